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

/* What is called, by the name that it begins with: Net of Net[2](x); "" if that is none. */
static Name callee_name(Elab *e, const AstExpr *call)
{
    const AstExpr *x = call->call.callee;
    while (x->kind == AST_SUBSCRIPT || x->kind == AST_MEMBER)
        x = x->kind == AST_SUBSCRIPT ? x->subscript.base : x->member.base;
    return x->kind == AST_NAME ? x->name : name_of(e->context, "");
}

static void visit_call(void *data, const AstExpr *x)
{
    Walk *w = data;
    if (x->kind != AST_CALL) return;
    Call call = {callee_name(w->e, x), x->call.callee->span, x};
    vec_push(w->e->arena, &w->calls, call);
    const AstArgs *args = &x->call.args;
    if (!strcmp(call.name, "grad") && args->len == 2 && args->data[1].value->kind == AST_NAME)
        map_put(&w->info->differentiated, args->data[1].value->name, w->info);
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
    ast_walk_item(item, visit_call, &w);
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

static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (const char *c = text; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    return mix(hash, 0);
}

/* The name of an imported file with a body, not its folder; "" for others: a program may be renamed and moved. */
static const char *file_name(Elab *e, const Frame *f)
{
    if (f->scope->library || f->scope == e->main) return "";
    const Source *source = source_get(e->context, f->item->span.source);
    const char *slash = source ? strrchr(source->path, '/') : NULL;
    return slash ? slash + 1 : source ? source->path : "";
}

uint64_t site_hash(Elab *e, const Frame *f, const char *name, int ordinal)
{
    uint64_t hash = mix_text(mix(f->site, (uint64_t)ordinal), name);
    if (f->item) {
        hash = mix_text(mix(hash, (uint64_t)f->item->kind), f->item->name.name);
        hash = mix_text(hash, file_name(e, f));
    }
    for (int i = 0; i < f->loops.len; i++)
        hash = mix(hash, (uint64_t)f->loops.data[i]);
    return hash;
}

uint64_t call_site(Elab *e, const Frame *f, const AstExpr *call)
{
    return site_hash(e, f, callee_name(e, call), call_ordinal(e, f->item, call));
}
