/* accesses.c -- the elements of tensors that statements read and write; see accesses.h. A product of the
 * runtime accesses those of its operands and of its result, by variables of its own. */
#include "accesses.h"

typedef struct Collect {
    Lowered *l;
    Accesses *list;
} Collect;

static void collect_load(void *data, const Scalar *s)
{
    Collect *c = data;
    if (s->kind != SCALAR_LOAD) return;
    Access a = {s->node, s->args, false};
    vec_push(c->l->arena, c->list, a);
}

static void collect_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, collect_load, data);
}

static void collect_stmt(void *data, Stmt *s)
{
    Collect *c = data;
    stmt_scalars(s, collect_scalar, c);
    if (s->kind == STMT_GEMM) {
        Access c_access = {s->gemm->result, s->gemm->c_subs, true};
        collect_load(c, s->gemm->a_load);
        collect_load(c, s->gemm->b_load);
        vec_push(c->l->arena, c->list, c_access);
    }
    if (s->kind != STMT_STORE && s->kind != STMT_TILE) return;
    bool tile = s->kind == STMT_TILE;
    Access a = {tile ? s->tile->c : s->target, tile ? s->tile->c_subs : s->subs, true};
    vec_push(c->l->arena, c->list, a);
}

Accesses accesses_of(Lowered *l, Stmt *s)
{
    Accesses list = {0};
    Collect c = {l, &list};
    collect_stmt(&c, s);
    block_visit(&s->body, collect_stmt, &c);
    return list;
}

/* Sizes that subscripts are compared with: they are read, too, but not by a load that can be replaced. */
typedef struct SizeReads {
    Lowered *l;
    const Buffer *buffer;
    bool inside, found;
} SizeReads;

static void size_load(void *data, const Scalar *s)
{
    SizeReads *r = data;
    if (s->kind != SCALAR_LOAD) return;
    if (r->inside && buffer_get(r->l, s->node) == r->buffer) r->found = true;
    bool inside = r->inside;
    r->inside = true;
    for (int k = 0; k < s->node->rank && !inside; k++)
        if (s->node->shape[k].size) scalar_visit(s->node->shape[k].size, size_load, r);
    r->inside = inside;
}

static void size_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, size_load, data);
}

static void size_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, size_scalar, data);
}

bool reads_as_size(Lowered *l, Stmt *s, const Buffer *b)
{
    SizeReads r = {l, b, false, false};
    size_stmt(&r, s);
    block_visit(&s->body, size_stmt, &r);
    return r.found;
}
