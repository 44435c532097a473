/* body_info.c -- what elaboration needs to know of a body before it runs: the ordinal of every call (a
 * layer's parameters are named by it) and the names that grad differentiates by (their values get a tag of
 * their own when they are bound). */
#include "elaborate.h"

#include <stdlib.h>

typedef struct Call {
    Name name;
    Span span; /* of the name */
    const AstExpr *call;
} Call;

typedef struct Walk {
    Elab *e;
    BodyInfo *info;
    VEC(Call) calls;
} Walk;

static void walk_expr(Walk *w, const AstExpr *x);

static void walk_exprs(Walk *w, const AstExprs *list)
{
    for (int i = 0; i < list->len; i++)
        walk_expr(w, list->data[i]);
}

static void walk_args(Walk *w, const AstArgs *args)
{
    for (int i = 0; i < args->len; i++)
        walk_expr(w, args->data[i].value);
}

static void walk_call(Walk *w, const AstExpr *x)
{
    const AstExpr *callee = x->call.callee;
    if (callee->kind == AST_NAME) {
        Call call = {callee->name, callee->span, x};
        vec_push(w->e->arena, &w->calls, call);
        const AstArgs *args = &x->call.args;
        if (!strcmp(callee->name, "grad") && args->len == 2 &&
            args->data[1].value->kind == AST_NAME)
            map_put(&w->info->differentiated, args->data[1].value->name, w->info);
    }
    walk_expr(w, callee);
    walk_args(w, &x->call.args);
}

static void walk_expr(Walk *w, const AstExpr *x)
{
    if (!x) return;
    switch (x->kind) {
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_NAME:
    case AST_NEXT:
    case AST_REDUCER: break;
    case AST_LIST: walk_exprs(w, &x->list); break;
    case AST_CALL: walk_call(w, x); break;
    case AST_CAST: walk_expr(w, x->cast.arg); break;
    case AST_FOLD: walk_args(w, &x->fold.args); break;
    case AST_SUBSCRIPT:
        walk_expr(w, x->subscript.base);
        for (int i = 0; i < x->subscript.subs.len; i++) {
            walk_expr(w, x->subscript.subs.data[i].index);
            walk_expr(w, x->subscript.subs.data[i].from);
            walk_expr(w, x->subscript.subs.data[i].to);
        }
        walk_expr(w, x->subscript.outside);
        break;
    case AST_MEMBER: walk_expr(w, x->member.base); break;
    case AST_UNARY: walk_expr(w, x->unary.arg); break;
    case AST_BINARY:
        walk_expr(w, x->binary.lhs);
        walk_expr(w, x->binary.rhs);
        break;
    case AST_IF:
        walk_expr(w, x->cond.cond);
        walk_expr(w, x->cond.then);
        walk_expr(w, x->cond.otherwise);
        break;
    case AST_REDUCE:
        for (int i = 0; i < x->reduce.indices.len; i++)
            walk_expr(w, x->reduce.indices.data[i].bound);
        walk_expr(w, x->reduce.where);
        walk_expr(w, x->reduce.body);
        break;
    }
}

static void walk_block(Walk *w, const AstBlock *block)
{
    for (int i = 0; i < block->len; i++) {
        const AstStmt *s = block->data[i];
        walk_exprs(w, &s->values);
        for (int k = 0; k < s->indices.len; k++)
            walk_expr(w, s->indices.data[k].bound);
        for (int k = 0; k < s->carries.len; k++)
            walk_expr(w, s->carries.data[k].value);
        walk_block(w, &s->body);
        walk_block(w, &s->otherwise);
    }
}

static int call_compare(const void *pa, const void *pb)
{
    const Call *a = pa, *b = pb;
    if (a->span.line != b->span.line) return a->span.line - b->span.line;
    return a->span.col - b->span.col;
}

const BodyInfo *body_info(Elab *e, const AstItem *item)
{
    BodyInfo *info = map_get(&e->bodies, item);
    if (info) return info;
    info = NEW(e->arena, BodyInfo);
    info->ordinals = map_new(e->arena);
    info->differentiated = map_new(e->arena);
    Walk w = {.e = e, .info = info};
    for (int i = 0; i < item->params.len; i++)
        walk_expr(&w, item->params.data[i].fallback);
    walk_block(&w, &item->body);
    if (w.calls.len) qsort(w.calls.data, (size_t)w.calls.len, sizeof(Call), call_compare);
    Map counts = map_new(e->arena);
    for (int i = 0; i < w.calls.len; i++) {
        int *count = map_get(&counts, w.calls.data[i].name);
        if (!count) {
            count = NEW(e->arena, int);
            map_put(&counts, w.calls.data[i].name, count);
        }
        int *ordinal = NEW(e->arena, int);
        *ordinal = ++*count;
        map_put(&info->ordinals, w.calls.data[i].call, ordinal);
    }
    map_put(&e->bodies, item, info);
    return info;
}

int call_ordinal(Elab *e, const AstItem *item, const AstExpr *call)
{
    const int *ordinal = item ? map_get(&body_info(e, item)->ordinals, call) : NULL;
    return ordinal ? *ordinal : 1;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 31);
}

uint64_t site_hash(Elab *e, const Frame *f, Span span)
{
    uint64_t hash = mix(f->site, (uint64_t)span.line * 4096u + (uint64_t)span.col);
    const Source *source = source_get(e->context, span.source);
    if (source) {
        /* The file's name, not its folder: the same program draws the same numbers anywhere. */
        const char *slash = strrchr(source->path, '/');
        for (const char *c = slash ? slash + 1 : source->path; *c; c++)
            hash = mix(hash, (unsigned char)*c);
    }
    for (int i = 0; i < f->loops.len; i++)
        hash = mix(hash, (uint64_t)f->loops.data[i]);
    return hash;
}
