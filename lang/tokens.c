/* tokens.c -- from raw tokens to the tokens of the grammar, one at a time.
 *
 * Three things happen here. Line ends become `;` as in Go: after a token that can end a statement,
 * outside of ( ) and [ ], unless the next line goes on with `|>`, `over`, `using`, `then` or
 * `else`. Words that are keywords only in places become names elsewhere; two rules suffice, for no
 * statement begins with two names and no two operands stand side by side. And brackets are watched,
 * so that one that was never closed costs one message and not the rest of the file: what can only
 * begin a statement or an item ends the brackets before it. */
#include "parse.h"
#include "lang/parser.h"

/* --- the neighbourhood of a raw token -----------------------------------------------------------
 */

static const Token *raw_at(const Parser *parser, int index)
{
    int last = parser->tokens.len - 1;
    return &parser->tokens.data[index < 0 ? 0 : index > last ? last : index];
}

static bool raw_begins_line(const Parser *parser, int index)
{
    return index == 0 ||
           raw_at(parser, index)->span.line > raw_at(parser, index - 1)->span.end_line;
}

/* The next token if it stands on the same line after a blank, else the end of the file. */
static const Token *raw_follower(const Parser *parser, int index)
{
    const Token *token = raw_at(parser, index), *next = raw_at(parser, index + 1);
    bool near = next->span.line == token->span.end_line && next->span.col > token->span.end_col;
    return near ? next : raw_at(parser, parser->tokens.len - 1);
}

/* --- words ----------------------------------------------------------------------------------- */

static bool kind_ends_operand(int kind)
{
    switch (kind) {
    case TOK_NAME:
    case TOK_NUMBER:
    case TOK_STRING:
    case TOK_TRUE:
    case TOK_FALSE:
    case TOK_RPAREN:
    case TOK_RBRACKET:
    case TOK_REDUCE:
    case TOK_QUANTIFIER:
    case TOK_BASE:
    case TOK_REVERSED: return true;
    default: return false;
    }
}

static bool kind_ends_statement(int kind)
{
    return kind_ends_operand(kind) || kind == TOK_RETURN || kind == TOK_BROKEN;
}

static bool at_statement_start(const Parser *parser)
{
    switch (parser->current.kind) {
    case TOK_START_FILE:
    case TOK_SEMICOLON:
    case TOK_LBRACE:
    case TOK_RBRACE: return true;
    default: return false;
    }
}

static bool kind_is_infix_word(int kind)
{
    switch (kind) {
    case TOK_AND:
    case TOK_OR:
    case TOK_IN:
    case TOK_THEN:
    case TOK_ELSE:
    case TOK_WHERE:
    case TOK_OUTSIDE:
    case TOK_REVERSED:
    case TOK_ON:
    case TOK_OVER:
    case TOK_LIKE:
    case TOK_USING:
    case TOK_CARRY: return true;
    default: return false;
    }
}

/* What may follow a keyword that begins a statement. */
static bool follows_keyword(const Token *keyword, const Token *follower)
{
    return follower->word || follower->kind == TOK_NUMBER || follower->kind == TOK_STRING ||
           follower->kind == TOK_LPAREN || follower->kind == TOK_LBRACE ||
           ((keyword->kind == TOK_MINIMIZE || keyword->kind == TOK_REQUIRE) &&
            follower->kind == TOK_MINUS);
}

/* The kind of a raw token in its place: a word may be a mere name there. */
static int kind_in_place(const Parser *parser, int index)
{
    const Token *token = raw_at(parser, index), *follower = raw_follower(parser, index);
    if (token->word && parser->current.kind == TOK_DOT) return TOK_NAME;
    switch (token->kind) {
    case TOK_TRAIN:
    case TOK_VALID:
    case TOK_TEST:
    case TOK_DATA:
    case TOK_STATE:
    case TOK_PARAM:
    case TOK_FIT:
    case TOK_YIELD:
    case TOK_FEED:
    case TOK_REPORT:
    case TOK_UPDATE:
    case TOK_PHASE:
    case TOK_REPEAT:
    case TOK_EVERY:
    case TOK_LOAD:
    case TOK_REQUIRE:
    case TOK_MINIMIZE:
        return at_statement_start(parser) && follows_keyword(token, follower) ? token->kind
                                                                              : TOK_NAME;
    case TOK_NEXT:
        if (!follower->word) return TOK_NAME;
        return at_statement_start(parser) || !kind_is_infix_word(follower->kind) ? TOK_NEXT
                                                                                 : TOK_NAME;
    case TOK_ON:
    case TOK_OVER:
    case TOK_LIKE:
    case TOK_USING:
    case TOK_CARRY: return kind_ends_operand(parser->current.kind) ? token->kind : TOK_NAME;
    default: return token->kind;
    }
}

/* Whether a raw token can only begin an item: so a body before it has not been closed. */
static bool raw_begins_item(const Parser *parser, int index)
{
    const Token *token = raw_at(parser, index), *next = raw_at(parser, index + 1);
    const Token *after = raw_at(parser, index + 2);
    bool names = next->word && next->span.line == token->span.end_line;
    if (!raw_begins_line(parser, index)) return false;
    switch (token->kind) {
    case TOK_IMPORT: return next->kind == TOK_STRING;
    case TOK_CONST:
    case TOK_FN:
    case TOK_LAYER:
    case TOK_MODEL:
    case TOK_OPTIMIZER: return names;
    case TOK_TRAIN: return names && (after->kind == TOK_ON || after->kind == TOK_LBRACE);
    case TOK_DATA: return names && after->kind == TOK_LBRACE;
    case TOK_LOAD: return names && after->kind == TOK_ASSIGN;
    default: return false;
    }
}

/* Whether a raw token at the beginning of a line can only begin a statement or an item. */
static bool raw_begins_statement(const Parser *parser, int index)
{
    if (!raw_begins_line(parser, index)) return false;
    switch (raw_at(parser, index)->kind) {
    case TOK_RETURN: return true;
    case TOK_FOR:
    case TOK_SCAN: return raw_at(parser, index + 1)->word;
    default: return raw_begins_item(parser, index);
    }
}

/* Whether a raw token at the beginning of a line goes on with the statement before it. */
static bool raw_continues(const Parser *parser, int index)
{
    const Token *follower = raw_follower(parser, index);
    switch (raw_at(parser, index)->kind) {
    case TOK_PIPE:
    case TOK_THEN:
    case TOK_ELSE: return true;
    case TOK_OVER: return follower->word;
    case TOK_USING: return follower->word || follower->kind == TOK_LPAREN;
    default: return false;
    }
}

/* --- brackets -------------------------------------------------------------------------------- */

/* The raw index of the innermost open bracket, or -1. */
static int open_top(const Parser *parser)
{
    return parser->open.len ? parser->open.data[parser->open.len - 1] : -1;
}

static bool open_is_paren(const Parser *parser)
{
    int top = open_top(parser);
    return top >= 0 && raw_at(parser, top)->kind != TOK_LBRACE;
}

/* Gives up the ( and [ that are open within the innermost { }. */
static void open_strip(Parser *parser)
{
    while (open_is_paren(parser)) {
        parser->unclosed = open_top(parser);
        parser->open.len--;
    }
}

/* The column in which the line of a raw token begins. */
static int raw_indent(const Parser *parser, int index)
{
    while (!raw_begins_line(parser, index))
        index--;
    return raw_at(parser, index)->span.col;
}

static void open_update(Parser *parser, int kind, int index)
{
    switch (kind) {
    case TOK_LBRACE:
        open_strip(parser);
        vec_push(parser->arena, &parser->open, index);
        break;
    case TOK_LPAREN:
    case TOK_LBRACKET: vec_push(parser->arena, &parser->open, index); break;
    case TOK_RPAREN:
    case TOK_RBRACKET:
        if (!open_is_paren(parser)) break;
        if ((raw_at(parser, open_top(parser))->kind == TOK_LPAREN) != (kind == TOK_RPAREN))
            parser->unclosed = open_top(parser);
        parser->open.len--;
        break;
    case TOK_RBRACE:
        open_strip(parser);
        if (!parser->open.len) break;
        if (parser->suspect < 0 && raw_begins_line(parser, index) &&
            raw_indent(parser, open_top(parser)) != raw_at(parser, index)->span.col)
            parser->suspect = open_top(parser);
        parser->open.len--;
        break;
    default: break;
    }
}

const Token *tokens_enclosing(const Parser *parser)
{
    int top = parser->unclosed >= 0   ? parser->unclosed
              : open_is_paren(parser) ? open_top(parser)
                                      : -1;
    /* the current token itself may be the bracket that was opened last */
    if (top >= 0 && top == parser->at - 1 && parser->unclosed < 0 && parser->open.len > 1) {
        top = parser->open.data[parser->open.len - 2];
        if (raw_at(parser, top)->kind == TOK_LBRACE) return NULL;
    }
    return top >= 0 ? raw_at(parser, top) : NULL;
}

/* --- the stream ------------------------------------------------------------------------------ */

/* A token that was not written, at the end of the one before it. */
static Token token_automatic(const Parser *parser, int kind)
{
    Span span = raw_at(parser, parser->at)->span;
    if (parser->at) {
        span = raw_at(parser, parser->at - 1)->span;
        span.line = span.end_line;
        span.col = span.end_col;
    }
    span.end_line = span.line;
    span.end_col = span.col;
    return (Token){.kind = kind, .automatic = true, .span = span};
}

/* Whether a `;` is due before the next raw token. */
static bool semicolon_due(Parser *parser)
{
    const Token *next = raw_at(parser, parser->at);
    int last = parser->current.kind;
    if (at_statement_start(parser)) return false;
    if (next->kind == TOK_RBRACE || next->kind == TOK_YYEOF) return last != TOK_START_EXPR;
    if (raw_begins_statement(parser, parser->at)) return true;
    if (open_is_paren(parser)) return false;
    if (!raw_begins_line(parser, parser->at) || !kind_ends_statement(last)) return false;
    if (next->kind == TOK_LBRACE) {
        if (parse_error(parser, next->span, "a `{` cannot begin a line"))
            diag_hint(parser->context,
                      "the line end before it ended the statement: write it there");
        return false;
    }
    return !raw_continues(parser, parser->at);
}

/* Before an item or the end of the file, the number of blocks that are still open; reports them. */
static int closing_due(Parser *parser)
{
    const Token *next = raw_at(parser, parser->at);
    if (!parser->open.len || !at_statement_start(parser)) return 0;
    if (next->kind != TOK_YYEOF && !raw_begins_item(parser, parser->at)) return 0;
    const Token *opener = raw_at(parser, parser->suspect >= 0 ? parser->suspect : open_top(parser));
    bool end = next->kind == TOK_YYEOF;
    if (parse_error(parser, next->span, "a `}` is missing before %s",
                    end ? "the end of the file" : "this item"))
        diag_note(parser->context, opener->span, "this `{` is not closed%s",
                  parser->suspect >= 0 ? ", as the indentation of its `}` suggests" : "");
    parser->suspect = -1;
    return parser->open.len;
}

/* Steps over every `}` that closes nothing, and reports it. */
static void strays_skip(Parser *parser)
{
    const Token *next = raw_at(parser, parser->at);
    for (; !parser->open.len && next->kind == TOK_RBRACE; next = raw_at(parser, ++parser->at))
        if (parse_error(parser, next->span, "this `}` closes nothing"))
            diag_hint(parser->context, "was a block closed too early, or its `{` forgotten?");
}

/* `elif` at the beginning of a statement is reported and read as `else if`. */
static bool elif_found(Parser *parser, const Token *token)
{
    if (token->kind != TOK_NAME || parser->current.kind != TOK_RBRACE) return false;
    const char *word = token->value.word.name;
    if (strcmp(word, "elif") && strcmp(word, "elsif") && strcmp(word, "elseif")) return false;
    if (!raw_follower(parser, parser->at)->span.line) return false;
    parse_error(parser, token->span, "`%s` is written `else if`", word);
    parser->queued = TOK_IF;
    return true;
}

static Token token_next(Parser *parser)
{
    Token token;
    if (parser->start) {
        token = (Token){.kind = parser->start, .span = {parser->source->index, 1, 1, 1, 1, 0}};
        parser->start = 0;
        return token;
    }
    if (parser->queued) {
        token = token_automatic(parser, parser->queued);
        parser->queued = 0;
        return token;
    }
    strays_skip(parser);
    if (semicolon_due(parser)) {
        open_strip(parser);
        return token_automatic(parser, TOK_SEMICOLON);
    }
    if (!parser->closing) parser->closing = closing_due(parser);
    if (parser->closing) {
        parser->closing--;
        parser->open.len--;
        return token_automatic(parser, TOK_RBRACE);
    }
    token = *raw_at(parser, parser->at);
    token.kind = elif_found(parser, &token) ? TOK_ELSE : kind_in_place(parser, parser->at);
    open_update(parser, token.kind, parser->at);
    if (parser->at < parser->tokens.len - 1) parser->at++;
    return token;
}

int nnd_yylex(Value *value, Span *span, Parser *parser)
{
    parser->unclosed = -1;
    Token token = token_next(parser);
    parser->before = parser->previous;
    parser->previous = parser->current;
    parser->current = token;
    if (token.kind == TOK_BROKEN) tokens_recover(parser);
    value->token = token.value;
    *span = token.span;
    return token.kind;
}

/* --- recovery -------------------------------------------------------------------------------- */

/* Whether the ( or [ that is open here is closed further on, before something that cannot stand in
 * brackets. */
static bool paren_closes(const Parser *parser, int index)
{
    for (int depth = 1; index < parser->tokens.len; index++) {
        const Token *token = raw_at(parser, index);
        switch (token->kind) {
        case TOK_LPAREN:
        case TOK_LBRACKET: depth++; break;
        case TOK_RPAREN:
        case TOK_RBRACKET:
            if (--depth == 0) return true;
            break;
        case TOK_LBRACE:
        case TOK_RBRACE:
        case TOK_SEMICOLON: return false;
        default:
            if (raw_begins_statement(parser, index)) return false;
            if (raw_begins_line(parser, index) && depth == 1 && token->word &&
                raw_at(parser, index + 1)->kind == TOK_ASSIGN)
                return false;
            break;
        }
    }
    return false;
}

bool tokens_at_new_statement(const Parser *parser)
{
    int index = parser->at - 1;
    return !parser->current.automatic && parser->current.word && index > 0 &&
           raw_begins_line(parser, index) && open_is_paren(parser) && !paren_closes(parser, index);
}

void tokens_recover(Parser *parser)
{
    int index = parser->at - 1;
    if (parser->current.automatic || index < 0 || !open_is_paren(parser)) return;
    if (paren_closes(parser, index)) return;
    bool again = tokens_at_new_statement(parser) && !raw_continues(parser, index);
    open_strip(parser);
    if (!again) return;
    parser->at = index;
    parser->queued = TOK_SEMICOLON;
}
