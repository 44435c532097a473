/* ast_item.c -- the constructors of statements and items, and the two ways into the parser.
 *
 * Statements are NULL where the parser recovered from an error, and dropped. The grammar has one
 * production for the statements of functions, data and train blocks; which may stand where is
 * checked here, when an item is complete. */
#include "parse.h"
#include "lang/parser.h"

/* --- statements ------------------------------------------------------------------------------ */

static AstStmt *stmt_new(Parser *p, AstStmt stmt)
{
    AstStmt *result = NEW(p->arena, AstStmt);
    *result = stmt;
    return result;
}

static AstNames names_one(Parser *p, AstName name)
{
    return name.name ? ast_names(p, (AstNames){0}, name) : (AstNames){0};
}

static AstExprs exprs_one(Parser *p, AstExpr *expr)
{
    return expr ? ast_exprs(p, (AstExprs){0}, expr) : (AstExprs){0};
}

AstStmt *ast_assign(Parser *p, Span span, AstNames names, AstExprs values)
{
    if (values.len > 1 && values.len != names.len)
        parse_error(p, span, "%d names on the left, %d values on the right", names.len, values.len);
    return stmt_new(p, (AstStmt){AST_ASSIGN, span, .names = names, .values = values});
}

AstStmt *ast_define(Parser *p, Span span, AstStmtKind kind, AstName name, AstIndices indices,
                    AstType *type, AstExpr *value)
{
    return stmt_new(p, (AstStmt){kind, span, .names = names_one(p, name), .indices = indices,
                                 .type = type, .values = exprs_one(p, value)});
}

AstStmt *ast_nest(Parser *p, Span span, AstStmtKind kind, AstName name, AstExpr *value,
                  AstBlock body)
{
    return stmt_new(p, (AstStmt){kind, span, .names = names_one(p, name),
                                 .values = exprs_one(p, value), .body = body});
}

AstStmt *ast_for(Parser *p, Span span, AstName name, AstExpr *from, AstExpr *to, AstBlock body)
{
    ast_bound_check(p, from, "the beginning of a range");
    ast_bound_check(p, to, "the end of a range");
    return stmt_new(p, (AstStmt){AST_FOR, span, .names = names_one(p, name),
                                 .values = ast_exprs(p, exprs_one(p, from), to), .body = body});
}

AstStmt *ast_if_stmt(Parser *p, Span span, AstExpr *cond, AstBlock body, AstBlock otherwise)
{
    return stmt_new(p, (AstStmt){AST_IF_STMT, span, .values = exprs_one(p, cond), .body = body,
                                 .otherwise = otherwise});
}

AstStmt *ast_scan(Parser *p, Span span, AstIndex index, bool reversed, AstCarries carries,
                  AstBlock body)
{
    return stmt_new(p, (AstStmt){AST_SCAN, span,
                                 .names = names_one(p, (AstName){index.name, index.span}),
                                 .indices = ast_indices(p, (AstIndices){0}, index),
                                 .reversed = reversed, .carries = carries, .body = body});
}

AstStmt *ast_return(Parser *p, Span span, AstExprs values)
{
    return stmt_new(p, (AstStmt){AST_RETURN, span, .values = values});
}

AstStmt *ast_require(Parser *p, Span span, AstExpr *condition, Span at, TokenValue text)
{
    return stmt_new(p, (AstStmt){AST_REQUIRE, span,
                                 .values = ast_exprs(p, exprs_one(p, condition),
                                                     ast_string(p, at, text))});
}

AstStmt *ast_minimize(Parser *p, Span span, AstExpr *loss, AstWhos over, AstExpr *optimizer)
{
    return stmt_new(p, (AstStmt){AST_MINIMIZE, span, .over = over,
                                 .values = ast_exprs(p, exprs_one(p, loss), optimizer)});
}

/* --- which statements may stand where -------------------------------------------------------- */

enum { IN_FUNCTION = 1, IN_DATA = 2, IN_TRAIN = 4 };

static const struct {
    const char *word;
    int places;
} stmt_rules[] = {
    [AST_ASSIGN] = {"an assignment", IN_FUNCTION | IN_DATA | IN_TRAIN},
    [AST_INDEX_DEF] = {"an index definition", IN_FUNCTION | IN_DATA | IN_TRAIN},
    [AST_PARAM] = {"`param`", IN_FUNCTION},
    [AST_STATE] = {"`state`", IN_FUNCTION | IN_TRAIN},
    [AST_FIT] = {"`fit`", IN_FUNCTION},
    [AST_SET_NEXT] = {"`next`", IN_FUNCTION | IN_TRAIN},
    [AST_YIELD] = {"`yield`", IN_FUNCTION},
    [AST_FOR] = {"`for`", IN_FUNCTION | IN_TRAIN},
    [AST_IF_STMT] = {"`if`", IN_FUNCTION | IN_TRAIN},
    [AST_SCAN] = {"`scan`", IN_FUNCTION},
    [AST_RETURN] = {"`return`", IN_FUNCTION},
    [AST_REQUIRE] = {"`require`", IN_FUNCTION},
    [AST_SETTING] = {"a setting", IN_DATA | IN_TRAIN},
    [AST_FEED] = {"`feed`", IN_DATA},
    [AST_SPLIT] = {"a split of the data", IN_DATA},
    [AST_MINIMIZE] = {"`minimize`", IN_TRAIN},
    [AST_UPDATE] = {"`update`", IN_TRAIN},
    [AST_REPORT] = {"`report`", IN_TRAIN},
    [AST_REPEAT] = {"`repeat`", IN_TRAIN},
    [AST_EVERY] = {"`every`", IN_TRAIN},
    [AST_PHASE] = {"`phase`", IN_TRAIN},
};

static void stmt_misplaced(Parser *p, const AstStmt *stmt, int place)
{
    static const char *const names[] = {[IN_FUNCTION] = "the body of a function",
                                        [IN_DATA] = "a `data` block",
                                        [IN_TRAIN] = "a `train` block"};
    Span span = stmt->span;
    if (stmt->kind != AST_IF_STMT && stmt->body.len)
        span = (Span){span.source, span.line, span.col, span.line, span.col, 0};
    if (!parse_error(p, span, "%s cannot stand in %s", stmt_rules[stmt->kind].word, names[place]))
        return;
    int places = stmt_rules[stmt->kind].places;
    if (stmt->kind == AST_SETTING)
        diag_hint(p->context,
                  "a value is assigned with `%s = ...`; a type is declared with "
                  "`param`, `state` or `carry`",
                  stmt->names.data[0].name);
    else if (stmt->kind == AST_PARAM)
        diag_hint(p->context, "parameters belong to a `layer` or `model`");
    else if (places == IN_FUNCTION || places == IN_DATA || places == IN_TRAIN)
        diag_hint(p->context, "it belongs in %s", names[places]);
    else
        diag_hint(p->context, "write it in a function and call that");
}

static void block_check(Parser *p, AstBlock block, int place)
{
    for (int i = 0; i < block.len; i++) {
        const AstStmt *stmt = block.data[i];
        if (!(stmt_rules[stmt->kind].places & place)) {
            stmt_misplaced(p, stmt, place);
        } else {
            block_check(p, stmt->body, place);
            block_check(p, stmt->otherwise, place);
        }
    }
}

/* --- items ----------------------------------------------------------------------------------- */

/* The comment lines that end just above a line, joined; NULL if there are none. */
static const char *doc_above(Parser *p, int line)
{
    int last = p->comments.len - 1;
    while (last >= 0 && p->comments.data[last].line >= line)
        last--;
    int first = last;
    if (last < 0 || p->comments.data[last].line != line - 1) return NULL;
    while (first > 0 && p->comments.data[first - 1].line == p->comments.data[first].line - 1)
        first--;
    StrBuf text = str_new(p->arena);
    for (int i = first; i <= last; i++) {
        const Comment *comment = &p->comments.data[i];
        size_t blank = comment->len && comment->text[0] == ' ';
        if (i > first) str_add(&text, "\n");
        str_add_n(&text, comment->text + blank, comment->len - blank);
    }
    return str_text(&text);
}

void ast_items(Parser *p, AstItem *item)
{
    if (!item) return;
    item->doc = doc_above(p, item->span.line);
    vec_push(p->arena, &p->file->items, item);
}

static AstItem *item_new(Parser *p, AstItem item)
{
    AstItem *result = NEW(p->arena, AstItem);
    *result = item;
    return result;
}

AstItem *ast_import(Parser *p, Span span, TokenValue path)
{
    const char *text = path.string.text;
    if (strlen(text) != path.string.len || !*text) parse_error(p, span, "this is not a path");
    return item_new(p, (AstItem){.kind = AST_IMPORT, .span = span, .path = text});
}

AstItem *ast_value(Parser *p, Span span, AstItemKind kind, AstName name, AstExpr *value)
{
    return item_new(p, (AstItem){.kind = kind, .span = span, .name = name, .value = value});
}

/* Parameters have names of their own. */
static void params_check(Parser *p, AstParams params)
{
    Map seen = map_new(p->arena);
    for (int i = 0; i < params.len; i++) {
        AstName *name = &params.data[i].name;
        if (map_get(&seen, name->name))
            parse_error(p, name->span, "a second parameter named `%s`", name->name);
        map_put(&seen, name->name, name);
    }
}

AstItem *ast_function(Parser *p, Span span, AstItemKind kind, AstName name, AstExpr *count,
                      AstParams params, AstTypes results, AstBlock body)
{
    params_check(p, params);
    block_check(p, body, IN_FUNCTION);
    return item_new(p, (AstItem){.kind = kind,
                                 .span = span,
                                 .name = name,
                                 .count = count,
                                 .params = params,
                                 .results = results,
                                 .body = body});
}

AstItem *ast_model_like(Parser *p, Span span, AstName name, AstName other)
{
    return item_new(p,
                    (AstItem){.kind = AST_MODEL_LIKE, .span = span, .name = name, .other = other});
}

AstItem *ast_block_item(Parser *p, Span span, AstItemKind kind, AstName name, AstNames on,
                        AstBlock body)
{
    block_check(p, body, kind == AST_DATA ? IN_DATA : IN_TRAIN);
    return item_new(p, (AstItem){.kind = kind, .span = span, .name = name, .on = on, .body = body});
}

AstItem *ast_stray(Parser *p, AstStmt *stmt)
{
    if (!stmt) return NULL;
    const char *word = stmt_rules[stmt->kind].word;
    if (!parse_error(p, stmt->span, "%s outside of any body", word)) return NULL;
    if (stmt->kind == AST_ASSIGN && stmt->names.len == 1)
        diag_hint(p->context, "a constant of the file is `const %s = ...`",
                  stmt->names.data[0].name);
    else if (stmt->kind == AST_RETURN)
        diag_hint(p->context, "was the `{` of the body forgotten, or the body closed too early?");
    else
        diag_hint(p->context,
                  "a file consists of import, const, fn, layer, model, load, optimizer, "
                  "data and train");
    return NULL;
}

/* --- the two ways in ------------------------------------------------------------------------- */

static Parser parser_make(Context *context, const Source *source, int start)
{
    Arena *arena = context_arena(context);
    Parser parser = {.context = context,
                     .arena = arena,
                     .source = source,
                     .start = start,
                     .unclosed = -1,
                     .suspect = -1};
    parser.file = NEW(arena, AstFile);
    parser.file->source = source;
    tokens_scan(&parser);
    return parser;
}

AstFile *parse_file(Context *context, const Source *source)
{
    Parser parser = parser_make(context, source, TOK_START_FILE);
    nnd_yyparse(&parser);
    return parser.file;
}

AstExpr *parse_expr(Context *context, const Source *source)
{
    Parser parser = parser_make(context, source, TOK_START_EXPR);
    nnd_yyparse(&parser);
    return parser.errors ? NULL : parser.expr;
}
