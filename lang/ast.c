/* ast.c -- the constructors of the syntax tree, one per production of the grammar: lists,
 * expressions, types. Those of statements and items are in ast_item.c.
 *
 * Expressions are never NULL. They know the depth of their tree, and one that would be too deep is
 * reported and replaced by a leaf, so that whoever walks trees may recurse. */
#include "parse.h"

/* --- names and lists ------------------------------------------------------------------------- */

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

/* --- expressions ----------------------------------------------------------------------------- */

/* The depth of the deepest expression below. */
static int depth_below(const AstExpr *expr)
{
    int depth = 0;
#define BELOW(child)                                                                               \
    if ((child) && (child)->depth > depth) depth = (child)->depth
    switch (expr->kind) {
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_NAME:
    case AST_NEXT:
    case AST_REDUCER: break;
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
    return expr_new(p,
                    (AstExpr){.kind = AST_BINARY, .span = span, .binary = {op, lhs, rhs, op_span}});
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

/* --- parts: arguments, indices, dimensions, types -------------------------------------------- */

AstArg ast_arg(Span span, TokenValue word, AstExpr *value)
{
    return (AstArg){word.word.name, span, value};
}

void ast_bound_check(Parser *p, const AstExpr *expr, const char *what)
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
    if (bound) ast_bound_check(p, bound, "the bound of an index");
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
    ast_bound_check(p, dim.size, "a dimension");
    return dim;
}

AstType *ast_type(Parser *p, Span span, AstBase base, AstDims dims)
{
    AstType *type = NEW(p->arena, AstType);
    *type = (AstType){span, base, dims};
    return type;
}
