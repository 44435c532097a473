/* syntax_error.c -- what a syntax error says: what was found, what could have stood there, which
 * bracket is open, and a hint where the slip is a common one.
 *
 * The grammar hands over the names of all tokens that would have been accepted. They are put into
 * groups ("an expression" for the thirteen tokens that begin one), so that the list stays readable.
 */
#include "parse.h"
#include "lang/parser.h"

bool parse_error(Parser *parser, Span span, const char *format, ...)
{
    if (parser->stopped) return false;
    if (++parser->errors > ERRORS_MAX) {
        parser->stopped = true;
        diag_error(parser->context, span, "more than %d syntax errors; the rest is not reported",
                   ERRORS_MAX);
        return false;
    }
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(parser->arena, format, args);
    va_end(args);
    diag_error(parser->context, span, "%s", text);
    return true;
}

const char *span_text(const Parser *parser, Span span)
{
    const char *text = parser->source->text, *end = text + parser->source->size;
    for (int line = 1; line < span.line && text; line++) {
        text = memchr(text, '\n', (size_t)(end - text));
        if (text) text++;
    }
    if (!text || span.line != span.end_line || text + span.end_col - 1 > end) return "";
    int len = span.end_col - span.col;
    if (len > 40) return arena_printf(parser->arena, "%.*s...", 40, text + span.col - 1);
    return arena_printf(parser->arena, "%.*s", len, text + span.col - 1);
}

/* --- expected -------------------------------------------------------------------------------- */

typedef struct Expected {
    const char *const *names;
    int count;
} Expected;

static bool expects(Expected expected, const char *name)
{
    for (int i = 0; i < expected.count; i++)
        if (!strcmp(expected.names[i], name)) return true;
    return false;
}

/* Tokens that are named together: if `sign` is among the expected ones, all `members` are. */
static const struct Group {
    const char *sign, *text, *members;
} groups[] = {
    {"fn", "an item (fn, layer, model, data, train, ...)",
     " import const load fn layer model optimizer data train return for if scan feed update report "
     "minimize valid test repeat every phase param state fit next yield require name ; "},
    {"scan", "a statement",
     " return for if scan feed update report minimize train valid test repeat every phase param "
     "state "
     "fit next yield require name ; "},
    {"number", "an expression",
     " number string true false name next ( [ if not - reduction base-type any-or-all "},
    {"+", "an operator", " + - * / // % ^ == != < > <= >= and or |> ( [ . outside "},
    {"base type", "a type", " base-type [ "},
};

static bool group_has(const struct Group *group, const char *name)
{
    char word[40] = " ";
    size_t n = 1;
    for (; *name && n < sizeof word - 2; name++)
        word[n++] = *name == ' ' ? '-' : *name;
    word[n++] = ' ';
    word[n] = 0;
    return strstr(group->members, word) != NULL;
}

/* A token of the grammar as a message names it. */
static const char *expected_text(Parser *parser, const char *name)
{
    if (!strcmp(name, "name")) return "a name";
    if (!strcmp(name, "number")) return "a number";
    if (!strcmp(name, "string")) return "a string";
    if (!strcmp(name, ";")) return "the end of the statement";
    if (!strcmp(name, "end of the file")) return "the end of the file";
    return arena_printf(parser->arena, "`%s`", name);
}

/* "`)`, `,` or an operator"; NULL if that would be a long list. */
static const char *expected_list(Parser *parser, Expected expected)
{
    enum { LONGEST = 5 };
    const char *parts[LONGEST];
    bool used[sizeof groups / sizeof *groups] = {false};
    int count = 0;
    for (int i = 0; i < expected.count; i++) {
        const char *text = NULL;
        bool skip =
            expected.count > 1 && (!strcmp(expected.names[i], "end of the file") ||
                                   (!strcmp(expected.names[i], "=") && expects(expected, "+")));
        for (size_t g = 0; g < sizeof groups / sizeof *groups && !text && !skip; g++) {
            if (!expects(expected, groups[g].sign) || !group_has(&groups[g], expected.names[i]))
                continue;
            skip = used[g];
            used[g] = true;
            text = groups[g].text;
        }
        if (skip) continue;
        if (count == LONGEST) return NULL;
        parts[count++] = text ? text : expected_text(parser, expected.names[i]);
    }
    StrBuf list = str_new(parser->arena);
    for (int i = 0; i < count; i++)
        str_printf(&list, "%s%s", i == 0 ? "" : i == count - 1 ? " or " : ", ", parts[i]);
    return count ? str_text(&list) : NULL;
}

/* --- found ----------------------------------------------------------------------------------- */

static const Token *raw_next(const Parser *parser)
{
    return &parser->tokens
                .data[parser->at < parser->tokens.len ? parser->at : parser->tokens.len - 1];
}

static const char *found_text(Parser *parser)
{
    const Token *token = &parser->current, *next = raw_next(parser);
    if (token->kind == TOK_YYEOF) return "the end of the file";
    if (tokens_at_new_statement(parser)) return "the end of the line";
    if (!token->automatic)
        return arena_printf(parser->arena, "`%s`", span_text(parser, token->span));
    if (next->kind == TOK_YYEOF)
        return parser->file && parser->previous.span.line ? "the end of the file" : "nothing";
    if (next->kind == TOK_RBRACE && next->span.line == token->span.line) return "`}`";
    return "the end of the line";
}

/* --- hints ----------------------------------------------------------------------------------- */

static bool is_comparison(int kind)
{
    return kind == TOK_EQ || kind == TOK_NE || kind == TOK_LT || kind == TOK_GT || kind == TOK_LE ||
           kind == TOK_GE;
}

static bool is_operator(int kind)
{
    return is_comparison(kind) || (kind >= TOK_PLUS && kind <= TOK_POWER) || kind == TOK_AND ||
           kind == TOK_OR;
}

static bool is_statement_start(int kind)
{
    return kind == TOK_SEMICOLON || kind == TOK_LBRACE || kind == TOK_RBRACE ||
           kind == TOK_START_FILE;
}

/* Words by which other languages begin what is begun differently here. */
static const char *foreign_word_hint(const char *word)
{
    static const struct {
        const char *word, *hint;
    } words[] = {
        {"def", "a function is `fn f(x) = ...` or `fn f(x) { ... }`"},
        {"func", "a function is `fn f(x) = ...` or `fn f(x) { ... }`"},
        {"function", "a function is `fn f(x) = ...` or `fn f(x) { ... }`"},
        {"class", "a template with parameters is a `layer`, an instance a `model`"},
        {"let", "a name is assigned without a word before it: `x = ...`"},
        {"var", "a name is assigned without a word before it: `x = ...`"},
        {"val", "a name is assigned without a word before it: `x = ...`"},
        {"while", "loops are `for k in 0..n { }`, unrolled, and `scan t < T { }`"},
        {"loop", "loops are `for k in 0..n { }`, unrolled, and `scan t < T { }`"},
        {"elif", "write `else if`"},
        {"include", "another file is read with `import \"file.nnd\"`"},
        {"from", "another file is read with `import \"file.nnd\"`"},
        {"loss", "a loss is given by `minimize ... using ...` in a `train` block"},
        {"optimiser", "the word is `optimizer`"},
        {"minimise", "the word is `minimize`"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].word, word)) return words[i].hint;
    return NULL;
}

/* Hints about the statement as a whole, from the tokens before the one found. */
static const char *hint_statement(Parser *parser, Expected expected)
{
    int found = parser->current.kind;
    bool first = is_statement_start(parser->before.kind) && parser->previous.kind == TOK_NAME;
    if ((found == TOK_INT_DIVIDE && is_statement_start(parser->previous.kind)) ||
        (found == TOK_TIMES && parser->previous.kind == TOK_DIVIDE))
        return "a comment begins with `#`";
    if (found == TOK_BASE && is_statement_start(parser->previous.kind))
        return "a name is assigned without its type; only `param`, `state` and `carry` declare one";
    if (!first) return NULL;
    const char *word = parser->previous.value.word.name;
    const char *hint = foreign_word_hint(word);
    if (hint) return hint;
    const char *written = span_text(parser, parser->previous.span);
    static const char soft[] = " minimize repeat every phase report update train valid test state "
                               "param fit next yield feed data load require ";
    if (found == TOK_LPAREN || found == TOK_LBRACE) {
        if (strstr(soft, arena_printf(parser->arena, " %s ", written)))
            return arena_printf(parser->arena, "a blank stands after `%s`", written);
        if (found == TOK_LPAREN)
            return "a statement is not an expression; `_ = f(x)` discards a result";
    }
    if (found == TOK_EQ && expects(expected, "=")) return "an assignment is written `=`";
    return NULL;
}

/* Hints about `if`, `for` and blocks. */
static const char *hint_control(Parser *parser, Expected expected)
{
    int found = parser->current.kind;
    if (found == TOK_IF && expects(expected, "number"))
        return "an `if` inside an expression stands in parentheses";
    if (found == TOK_LBRACE && expects(expected, "then"))
        return "as an expression it is `if a then b else c`";
    if (found == TOK_THEN && expects(expected, "{"))
        return "as a statement it is `if a { ... } else { ... }`";
    if (expects(expected, "else") && !expects(expected, "{") && found == TOK_SEMICOLON)
        return "an `if` expression has an `else`";
    if (found == TOK_OVER && expects(expected, ";")) return "`over` stands before `using`";
    if (found == TOK_LBRACE && expects(expected, "..")) return "a range is written `0..n`";
    if (found == TOK_SEMICOLON && parser->current.automatic && expects(expected, "{"))
        return "the block begins with a `{` on this line";
    return NULL;
}

static const char *hint_expression(Parser *parser, Expected expected)
{
    int found = parser->current.kind;
    bool in_index = expects(expected, "<") && expects(expected, ",") && !expects(expected, "+");
    if (in_index && found == TOK_LE) return "an index runs below its bound: `i < n + 1`";
    if (in_index && found == TOK_IN) return "an index and its bound are written `i < n`";
    if (in_index && is_operator(found))
        return "an index stands alone here; shift it where it is used: `x[i - 1]`";
    if (expected.count == 1 && expects(expected, "name") && found == TOK_NUMBER)
        return "names of indices stand here; a fixed position cannot be assigned";
    if (found == TOK_ASSIGN && expects(expected, "+") && !expects(expected, "="))
        return "a comparison is written `==`";
    if (is_comparison(found) && expects(expected, "+"))
        return "comparisons do not chain: write `a < b and b < c`";
    if (is_operator(found) && expects(expected, "|>"))
        return "only another `|>` follows a pipe: put it in parentheses";
    if (found == TOK_PLUS && expects(expected, "number")) return "there is no unary `+`";
    if ((found == TOK_LPAREN || found == TOK_LBRACKET || found == TOK_DOT) &&
        parser->before.kind == TOK_OUTSIDE)
        return "after `outside` stands a number, a name or an expression in parentheses";
    if (found == TOK_COMMA && expects(expected, ")") && expects(expected, "+"))
        return "a list is written `[a, b]`";
    if ((found == TOK_RPAREN || found == TOK_RBRACKET) && parser->previous.kind == TOK_COMMA)
        return "no comma stands before the closing bracket";
    if (found == TOK_NAME && expects(expected, "base type") && !expects(expected, "number"))
        return "a tensor's type is `[N]`, a scalar's `real`, `int`, `bool` or `u8`";
    if (expected.count == 1 && expects(expected, "string"))
        return parser->previous.kind == TOK_IMPORT
                   ? "a file is named in quotes: `import \"layers.nnd\"`"
                   : "what is required is said in quotes: `require n > 0, \"n must be positive\"`";
    if (found == TOK_SEMICOLON && expects(expected, ",") && expects(expected, "+") &&
        !expects(expected, ";"))
        return "the text follows: `require n > 0, \"n must be positive\"`";
    if (found == TOK_LBRACKET && expects(expected, ":") && parser->previous.kind == TOK_NAME)
        return "a type follows a colon: `x: [N]`";
    return NULL;
}

/* --- the message ----------------------------------------------------------------------------- */

/* A keyword where a name should be; the token in question, or NULL. */
static const Token *keyword_as_name(const Parser *parser, Expected expected)
{
    const Token *found = &parser->current, *before = &parser->previous;
    int next = raw_next(parser)->kind;
    bool defines =
        next == TOK_ASSIGN || next == TOK_COLON || next == TOK_COMMA || next == TOK_LBRACKET;
    bool only_name = expected.count == 1 && expects(expected, "name");
    if (found->word && found->kind != TOK_NAME && found->kind != TOK_ELSE &&
        expects(expected, "name") && (only_name || defines || next == TOK_RPAREN))
        return found;
    if (only_name && before->word && (found->kind == TOK_ASSIGN || found->kind == TOK_COLON))
        return before;
    return NULL;
}

/* Errors that have a message of their own; false if this is none of them. */
static bool special_error(Parser *parser, Expected expected)
{
    const Token *found = &parser->current, *keyword = keyword_as_name(parser, expected);
    bool wants_operand = expects(expected, "number");
    if (keyword) {
        const char *word = span_text(parser, keyword->span);
        if (parse_error(parser, keyword->span,
                        "`%s` is a word of the language and cannot be a name", word))
            diag_hint(parser->context, "choose another name, `%s_` for example", word);
        return true;
    }
    if (found->kind == TOK_ELSE && !expects(expected, "else") &&
        (is_statement_start(parser->previous.kind) || expects(expected, ";"))) {
        parse_error(parser, found->span, "this `else` belongs to no `if`");
        return true;
    }
    if ((found->kind == TOK_RPAREN || found->kind == TOK_RBRACKET) && !wants_operand &&
        expects(expected, ";") && !tokens_enclosing(parser)) {
        parse_error(parser, found->span, "this `%s` closes nothing",
                    span_text(parser, found->span));
        return true;
    }
    return false;
}

void syntax_error(Parser *parser, const char *const *names, int count)
{
    Expected expected = {names, count};
    const Token *opener = tokens_enclosing(parser);
    if (!special_error(parser, expected)) {
        const char *list = expected_list(parser, expected), *found = found_text(parser);
        Span span = parser->current.span;
        if (tokens_at_new_statement(parser)) {
            span = parser->previous.span;
            span.line = span.end_line;
            span.col = span.end_col;
        }
        bool said = list ? parse_error(parser, span, "expected %s, found %s", list, found)
                         : parse_error(parser, span, "unexpected %s", found);
        const char *closer = opener && opener->kind == TOK_LPAREN ? ")" : "]";
        if (said && opener && (parser->current.automatic || expects(expected, closer)))
            diag_note(parser->context, opener->span, "`%s` is still open here",
                      opener->kind == TOK_LPAREN ? "(" : "[");
        const char *hint = hint_statement(parser, expected);
        if (!hint) hint = hint_control(parser, expected);
        if (!hint) hint = hint_expression(parser, expected);
        if (said && hint) diag_hint(parser->context, "%s", hint);
    }
    tokens_recover(parser);
}
