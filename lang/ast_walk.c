/* ast_walk.c -- visits every expression below an expression or a block, in the order of the tree, parents
 * before children. */
#include "ast.h"

static void walk_args(const AstArgs *args, AstVisit visit, void *data)
{
    for (int i = 0; i < args->len; i++)
        ast_walk_expr(args->data[i].value, visit, data);
}

static void walk_indices(const AstIndices *indices, AstVisit visit, void *data)
{
    for (int i = 0; i < indices->len; i++)
        ast_walk_expr(indices->data[i].bound, visit, data);
}

static void walk_subscript(const AstExpr *x, AstVisit visit, void *data)
{
    ast_walk_expr(x->subscript.base, visit, data);
    for (int i = 0; i < x->subscript.subs.len; i++) {
        ast_walk_expr(x->subscript.subs.data[i].index, visit, data);
        ast_walk_expr(x->subscript.subs.data[i].from, visit, data);
        ast_walk_expr(x->subscript.subs.data[i].to, visit, data);
    }
    ast_walk_expr(x->subscript.outside, visit, data);
}

void ast_walk_expr(const AstExpr *x, AstVisit visit, void *data)
{
    if (!x) return;
    visit(data, x);
    switch (x->kind) {
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_NAME:
    case AST_NEXT:
    case AST_REDUCER: break;
    case AST_LIST:
        for (int i = 0; i < x->list.len; i++)
            ast_walk_expr(x->list.data[i], visit, data);
        break;
    case AST_CALL:
        ast_walk_expr(x->call.callee, visit, data);
        walk_args(&x->call.args, visit, data);
        break;
    case AST_CAST: ast_walk_expr(x->cast.arg, visit, data); break;
    case AST_FOLD: walk_args(&x->fold.args, visit, data); break;
    case AST_SUBSCRIPT: walk_subscript(x, visit, data); break;
    case AST_MEMBER: ast_walk_expr(x->member.base, visit, data); break;
    case AST_UNARY: ast_walk_expr(x->unary.arg, visit, data); break;
    case AST_BINARY:
        ast_walk_expr(x->binary.lhs, visit, data);
        ast_walk_expr(x->binary.rhs, visit, data);
        break;
    case AST_IF:
        ast_walk_expr(x->cond.cond, visit, data);
        ast_walk_expr(x->cond.then, visit, data);
        ast_walk_expr(x->cond.otherwise, visit, data);
        break;
    case AST_REDUCE:
        walk_indices(&x->reduce.indices, visit, data);
        ast_walk_expr(x->reduce.where, visit, data);
        ast_walk_expr(x->reduce.body, visit, data);
        break;
    }
}

void ast_walk_block(const AstBlock *block, AstVisit visit, void *data)
{
    for (int i = 0; i < block->len; i++) {
        const AstStmt *s = block->data[i];
        for (int k = 0; k < s->values.len; k++)
            ast_walk_expr(s->values.data[k], visit, data);
        walk_indices(&s->indices, visit, data);
        for (int k = 0; k < s->carries.len; k++)
            ast_walk_expr(s->carries.data[k].value, visit, data);
        for (int k = 0; s->type && k < s->type->dims.len; k++)
            ast_walk_expr(s->type->dims.data[k].size, visit, data);
        ast_walk_block(&s->body, visit, data);
        ast_walk_block(&s->otherwise, visit, data);
    }
}

void ast_walk_item(const AstItem *item, AstVisit visit, void *data)
{
    for (int i = 0; i < item->params.len; i++)
        ast_walk_expr(item->params.data[i].fallback, visit, data);
    ast_walk_block(&item->body, visit, data);
}
