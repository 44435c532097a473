/* ast.c -- the constructors of the syntax tree, one per production of the grammar, and the two ways
 * into the parser.
 *
 * Expressions are never NULL. They know the depth of their tree, and one that would be too deep is
 * reported and replaced by a leaf, so that whoever walks trees may recurse. Statements are NULL where
 * the parser recovered from an error, and dropped. The grammar has one production for the statements
 * of functions, data and train blocks; which may stand where is checked here, when an item is
 * complete. */
#include "parse.h"
#include "lang/parser.h"

/* --- names and lists ------------------------------------------------------------------------------ */

AstName ast_name_at(Span span, TokenValue word)
{
    return (AstName){word.word.name, span};
}

#define LIST(function, List, Element)                                                              \
    List function(Parser *p, List list, Element element)                                           \
    {                                                                                              \
        vec_push(p->arena, &list, element);                                                        \
        return list;                                                                               \
    }
LIST(ast_names, AstNames, AstName)
LIST(ast_exprs, AstExprs, AstExpr *)
LIST(ast_args, AstArgs, AstArg)
LIST(ast_subs, AstSubs, AstSub)
LIST(ast_indices, AstIndices, AstIndex)
LIST(ast_dims, AstDims, AstDim)
LIST(ast_types, AstTypes, AstType *)
LIST(ast_params, AstParams, AstParam)
LIST(ast_carries, AstCarries, AstCarry)
LIST(ast_whos, AstWhos, AstWho)
#undef LIST

AstBlock ast_stmts(Parser *p, AstBlock block, AstStmt *stmt)
{
    if (stmt) vec_push(p->arena, &block, stmt);
    return block;
}

/* --- expressions ---------------------------------------------------------------------------------- */

/* The depth of the deepest expression below. */
static int depth_below(const AstExpr *expr)
{
    int depth = 0;
#define BELOW(child) if ((child) && (child)->depth > depth) depth = (child)->depth
    switch (expr->kind) {
    case AST_NUMBER: case AST_STRING: case AST_BOOL: case AST_NAME: case AST_NEXT: case AST_REDUCER:
        break;
    case AST_LIST:
        for (int i = 0; i < expr->list.len; i++)
            BELOW(expr->list.data[i]);
        break;
    case AST_CALL:
        BELOW(expr->call.callee);
        for (int i = 0; i < expr->call.args.len; i++)
            BELOW(expr->call.args.data[i].value);
        break;
    case AST_CAST: BELOW(expr->cast.arg); break;
    case AST_FOLD:
        for (int i = 0; i < expr->fold.args.len; i++)
            BELOW(expr->fold.args.data[i].value);
        break;
    case AST_SUBSCRIPT:
        BELOW(expr->subscript.base);
        BELOW(expr->subscript.outside);
        for (int i = 0; i < expr->subscript.subs.len; i++) {
            BELOW(expr->subscript.subs.data[i].index);
            BELOW(expr->subscript.subs.data[i].from);
            BELOW(expr->subscript.subs.data[i].to);
        }
        break;
    case AST_MEMBER: BELOW(expr->member.base); break;
    case AST_UNARY: BELOW(expr->unary.arg); break;
    case AST_BINARY:
        BELOW(expr->binary.lhs);
        BELOW(expr->binary.rhs);
        break;
    case AST_IF:
        BELOW(expr->cond.cond);
        BELOW(expr->cond.then);
        BELOW(expr->cond.otherwise);
        break;
    case AST_REDUCE:
        BELOW(expr->reduce.where);
        BELOW(expr->reduce.body);
        for (int i = 0; i < expr->reduce.indices.len; i++)
            BELOW(expr->reduce.indices.data[i].bound);
        break;
    }
#undef BELOW
    return depth;
}

/* A copy of the expression in the arena, with its depth. */
static AstExpr *expr_new(Parser *p, AstExpr expr)
{
    AstExpr *result = NEW(p->arena, AstExpr);
    *result = expr;
    result->depth = 1 + depth_below(result);
    if (result->depth <= AST_DEPTH_MAX) return result;
    if (!p->too_deep && parse_error(p, expr.span, "this expression is nested too deeply"))
        diag_hint(p->context, "give its parts names of their own");
    p->too_deep = true;
    *result = (AstExpr){.kind = AST_NUMBER, .span = expr.span, .depth = 1};
    return result;
}

AstExpr *ast_number(Parser *p, Span span, TokenValue number)
{
    return expr_new(p, (AstExpr){.kind = AST_NUMBER,
                                 .span = span,
                                 .number = {number.number.value, number.number.is_int}});
}

AstExpr *ast_string(Parser *p, Span span, TokenValue string)
{
    return expr_new(p, (AstExpr){.kind = AST_STRING,
                                 .span = span,
                                 .string = {string.string.text, string.string.len}});
}

AstExpr *ast_bool(Parser *p, Span span, bool value)
{
    return expr_new(p, (AstExpr){.kind = AST_BOOL, .span = span, .boolean = value});
}

AstExpr *ast_name(Parser *p, Span span, AstExprKind kind, TokenValue word)
{
    return expr_new(p, (AstExpr){.kind = kind, .span = span, .name = word.word.name});
}

AstExpr *ast_list(Parser *p, Span span, AstExprs elements)
{
    return expr_new(p, (AstExpr){.kind = AST_LIST, .span = span, .list = elements});
}

/* Positional arguments come before named ones, and a name once. */
static void args_check(Parser *p, AstArgs args)
{
    Map seen = map_new(p->arena);
    for (int i = 0; i < args.len; i++) {
        AstArg *arg = &args.data[i];
        if (i && !arg->name && args.data[i - 1].name)
            parse_error(p, arg->span, "an argument without a name after one with a name");
        if (!arg->name) continue;
        if (map_get(&seen, arg->name))
            parse_error(p, arg->span, "the argument `%s` is given twice", arg->name);
        map_put(&seen, arg->name, arg);
    }
}

AstExpr *ast_call(Parser *p, Span span, AstExpr *callee, AstArgs args)
{
    args_check(p, args);
    return expr_new(
        p, (AstExpr){.kind = AST_CALL, .span = span, .call = {.callee = callee, .args = args}});
}

/* x |> f and x |> f(a): the calls f(x) and f(x, a). */
AstExpr *ast_pipe(Parser *p, Span span, AstExpr *value, AstExpr *callee)
{
    AstArgs args = {0}, rest = {0};
    if (callee->kind == AST_CALL && !callee->call.piped) rest = callee->call.args;
    if (callee->kind == AST_FOLD && !callee->fold.piped) rest = callee->fold.args;
    vec_push(p->arena, &args, ast_arg(value->span, (TokenValue){0}, value));
    for (int i = 0; i < rest.len; i++)
        vec_push(p->arena, &args, rest.data[i]);
    AstExpr call = {.kind = AST_CALL, .span = span};
    call.call.args = args;
    call.call.piped = true;
    call.call.callee = callee;
    if (callee->kind == AST_CALL && !callee->call.piped) {
        call.call.callee = callee->call.callee;
    } else if (callee->kind == AST_FOLD && !callee->fold.piped) {
        AstReduce reduce = callee->fold.reduce;
        call = (AstExpr){.kind = AST_FOLD, .span = span, .fold = {reduce, args, true}};
    } else if (callee->kind == AST_REDUCER && callee->reducer.is_cast) {
        call = (AstExpr){.kind = AST_CAST, .span = span, .cast = {callee->reducer.base, value}};
    } else if (callee->kind == AST_REDUCER) {
        AstReduce reduce = callee->reducer.reduce;
        call = (AstExpr){.kind = AST_FOLD, .span = span, .fold = {reduce, args, true}};
    }
    return expr_new(p, call);
}

AstExpr *ast_cast(Parser *p, Span span, TokenValue base, AstExpr *arg)
{
    return expr_new(
        p, (AstExpr){.kind = AST_CAST, .span = span, .cast = {(AstBase)base.word.which, arg}});
}

AstExpr *ast_fold(Parser *p, Span span, TokenValue reduce, AstArgs args)
{
    args_check(p, args);
    return expr_new(p, (AstExpr){.kind = AST_FOLD,
                                 .span = span,
                                 .fold = {(AstReduce)reduce.word.which, args, false}});
}

AstExpr *ast_subscript(Parser *p, Span span, AstExpr *base, AstSubs subs, AstExpr *outside)
{
    return expr_new(
        p, (AstExpr){.kind = AST_SUBSCRIPT, .span = span, .subscript = {base, subs, outside}});
}

AstExpr *ast_member(Parser *p, Span span, AstExpr *base, AstName name)
{
    return expr_new(p, (AstExpr){.kind = AST_MEMBER, .span = span, .member = {base, name}});
}

AstExpr *ast_unary(Parser *p, Span span, AstOp op, AstExpr *arg)
{
    return expr_new(p, (AstExpr){.kind = AST_UNARY, .span = span, .unary = {op, arg}});
}

AstExpr *ast_binary(Parser *p, Span span, AstExpr *lhs, AstOp op, Span op_span, AstExpr *rhs)
{
    return expr_new(
        p, (AstExpr){.kind = AST_BINARY, .span = span, .binary = {op, lhs, rhs, op_span}});
}

AstExpr *ast_if(Parser *p, Span span, AstExpr *cond, AstExpr *then, AstExpr *otherwise)
{
    return expr_new(p, (AstExpr){.kind = AST_IF, .span = span, .cond = {cond, then, otherwise}});
}

AstExpr *ast_reduce(Parser *p, Span span, TokenValue reduce, AstIndices indices, AstExpr *where,
                    AstExpr *body)
{
    return expr_new(p, (AstExpr){.kind = AST_REDUCE,
                                 .span = span,
                                 .reduce = {(AstReduce)reduce.word.which, indices, where, body}});
}

AstExpr *ast_reducer(Parser *p, Span span, TokenValue word, bool is_cast)
{
    AstExpr expr = {.kind = AST_REDUCER, .span = span};
    expr.reducer.is_cast = is_cast;
    if (is_cast)
        expr.reducer.base = (AstBase)word.word.which;
    else
        expr.reducer.reduce = (AstReduce)word.word.which;
    return expr_new(p, expr);
}

/* --- parts: arguments, indices, dimensions, types ---------------------------------------------------- */

AstArg ast_arg(Span span, TokenValue word, AstExpr *value)
{
    return (AstArg){word.word.name, span, value};
}

/* Bounds and dimensions are numbers: a comparison there is a slip. */
static void bound_check(Parser *p, const AstExpr *expr, const char *what)
{
    bool truth = expr->kind == AST_BINARY && expr->binary.op >= AST_EQ;
    truth |= expr->kind == AST_UNARY && expr->unary.op == AST_NOT;
    if (!truth) return;
    Span span = expr->kind == AST_BINARY ? expr->binary.op_span : expr->span;
    const char *op = ast_op_text(expr->kind == AST_BINARY ? expr->binary.op : AST_NOT);
    if (parse_error(p, span, "%s is a number; `%s` makes a truth value", what, op) &&
        expr->kind == AST_BINARY && expr->binary.op <= AST_GE)
        diag_hint(p->context, "comparisons do not chain");
}

AstIndex ast_index(Parser *p, AstName name, AstExpr *bound)
{
    if (bound) bound_check(p, bound, "the bound of an index");
    return (AstIndex){name.name, name.span, bound};
}

/* A dimension: a size, or NAME <= size. */
AstDim ast_dim(Parser *p, Span span, AstExpr *size)
{
    AstDim dim = {.span = span, .size = size};
    if (size->kind == AST_BINARY && size->binary.op == AST_LE &&
        size->binary.lhs->kind == AST_NAME) {
        dim.bounded = size->binary.lhs->name;
        dim.size = size->binary.rhs;
    }
    bound_check(p, dim.size, "a dimension");
    return dim;
}

AstType *ast_type(Parser *p, Span span, AstBase base, AstDims dims)
{
    AstType *type = NEW(p->arena, AstType);
    *type = (AstType){span, base, dims};
    return type;
}

/* --- statements ------------------------------------------------------------------------------------- */

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
    bound_check(p, from, "the beginning of a range");
    bound_check(p, to, "the end of a range");
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
    return stmt_new(p, (AstStmt){AST_SCAN, span, .names = names_one(p, (AstName){index.name, index.span}),
                                 .indices = ast_indices(p, (AstIndices){0}, index),
                                 .reversed = reversed, .carries = carries, .body = body});
}

AstStmt *ast_return(Parser *p, Span span, AstExprs values)
{
    return stmt_new(p, (AstStmt){AST_RETURN, span, .values = values});
}

AstStmt *ast_minimize(Parser *p, Span span, AstExpr *loss, AstWhos over, AstExpr *optimizer)
{
    return stmt_new(p, (AstStmt){AST_MINIMIZE, span, .over = over,
                                 .values = ast_exprs(p, exprs_one(p, loss), optimizer)});
}

/* --- which statements may stand where --------------------------------------------------------------- */

enum { IN_FUNCTION = 1, IN_DATA = 2, IN_TRAIN = 4 };

static const struct { const char *word; int places; } stmt_rules[] = {
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
    static const char *const names[] = {
        [IN_FUNCTION] = "the body of a function", [IN_DATA] = "a `data` block",
        [IN_TRAIN] = "a `train` block"};
    Span span = stmt->span;
    if (stmt->kind != AST_IF_STMT && stmt->body.len) span = (Span){span.source, span.line, span.col, span.line, span.col};
    if (!parse_error(p, span, "%s cannot stand in %s", stmt_rules[stmt->kind].word, names[place]))
        return;
    int places = stmt_rules[stmt->kind].places;
    if (stmt->kind == AST_SETTING)
        diag_hint(p->context, "a value is assigned with `%s = ...`; a type is declared with "
                              "`param`, `state` or `carry`", stmt->names.data[0].name);
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

/* --- items -------------------------------------------------------------------------------------------- */

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
    return item_new(p, (AstItem){.kind = kind, .span = span, .name = name, .count = count,
                                 .params = params, .results = results, .body = body});
}

AstItem *ast_model_like(Parser *p, Span span, AstName name, AstName other)
{
    return item_new(p, (AstItem){.kind = AST_MODEL_LIKE, .span = span, .name = name, .other = other});
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
        diag_hint(p->context, "a constant of the file is `const %s = ...`", stmt->names.data[0].name);
    else if (stmt->kind == AST_RETURN)
        diag_hint(p->context, "was the body closed too early by a `}`?");
    else
        diag_hint(p->context, "a file consists of import, const, fn, layer, model, load, optimizer, "
                              "data and train");
    return NULL;
}

/* --- the two ways in ---------------------------------------------------------------------------------- */

static Parser parser_make(Context *context, const Source *source, int start)
{
    Arena *arena = context_arena(context);
    Parser parser = {.context = context, .arena = arena, .source = source, .start = start,
                     .unclosed = -1, .suspect = -1};
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
