/* threads.c -- what is divided among threads.
 *
 * The outermost parallel loop of a kernel, if the kernel is worth it. A long reduction that no
 * parallel loop surrounds (the gradient of a bias, a mean over the batch) is cut into a number of
 * chunks that is always the same; each adds up on its own, and the sums are added in order. So
 * results never depend on the number of threads. */
#include "kernel.h"

#include <assert.h>

enum {
    THREAD_COST = 5000, /* nanoseconds from which on threads pay (rt/pool.c) */
    CHUNK_COST = 20000, /* ... and chunks */
    CHUNKS = 16,
    FEW = 8,      /* iterations, each a product, that may be too few for the threads there are */
    ENOUGH = 6,   /* ... and that are enough after all */
    COLUMNS = 64, /* of a product that is not cut further */
    MAX_SUMS = 256 /* elements of a result that each chunk keeps */
};

/* All iterations, at the largest extents. */
static double loop_cost(const Lowered *l, const Stmt *loop)
{
    Cost one = cost_iteration(l, loop);
    return cost_most(&one) * (double)loop->extent.max;
}

/* --- products ---------------------------------------------------------------------------------- */

/* Columns of the result of all products that are the body of the loop; 0: there are others. */
static int64_t products_columns(const Stmt *loop)
{
    int64_t columns = 0;
    if (loop->extent.size || loop->extent.max >= FEW) return 0;
    for (int i = 0; i < loop->body.len; i++) {
        const Gemm *gemm = loop->body.data[i]->kind == STMT_GEMM ? loop->body.data[i]->gemm : NULL;
        if (!gemm || gemm->n.size || (columns && gemm->n.max != columns)) return 0;
        columns = gemm->n.max;
    }
    return columns;
}

static const Scalar *offset_substitute(Graph *g, const Scalar *at, const Scalar *const *map, const Scalar *more)
{
    return scalar_op2(g, OP_ADD, scalar_substitute(g, at, map, MAX_ITERS), more);
}

/* A few large products in a loop are cut along their columns: `cuts` times as many iterations. */
static void products_cut(Lowered *l, Stmt *loop, int64_t cuts)
{
    Graph *g = l->g;
    const Scalar *var = scalar_iter(g, loop->var), *by = scalar_int(g, cuts);
    const Scalar *part = scalar_op2(g, OP_MOD, var, by), *map[MAX_ITERS] = {0};
    map[loop->var] = scalar_op2(g, OP_IDIV, var, by);
    loop->extent.max *= cuts;
    for (int i = 0; i < loop->body.len; i++) {
        Gemm *gemm = loop->body.data[i]->gemm;
        gemm->n.max /= cuts;
        const Scalar *column = scalar_op2(g, OP_MUL, part, scalar_int(g, gemm->n.max));
        const Scalar *row = scalar_op2(g, OP_MUL, column, scalar_int(g, gemm->tb ? gemm->ldb : 1));
        gemm->a_at = scalar_substitute(g, gemm->a_at, map, MAX_ITERS);
        gemm->b_at = offset_substitute(g, gemm->b_at, map, row);
        gemm->c_at = offset_substitute(g, gemm->c_at, map, column);
        if (gemm->accumulate) gemm->accumulate = scalar_substitute(g, gemm->accumulate, map, MAX_ITERS);
    }
}

/* Makes a loop of products long enough to be divided; false where the products themselves are better divided. */
static bool products_divide(Lowered *l, Stmt *loop)
{
    int64_t columns = products_columns(loop), cuts = 1;
    if (columns == 0) return true;
    while (loop->extent.max * cuts < FEW && columns % (2 * cuts * COLUMNS) == 0)
        cuts *= 2;
    if (loop->extent.max * cuts < ENOUGH) return false;
    if (cuts > 1) products_cut(l, loop, cuts);
    return true;
}

static void threads(Lowered *l, Block *block)
{
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        if (s->kind != STMT_LOOP || s->lo || s->hi || s->step != 1) continue;
        if (s->loop == LOOP_PARALLEL && s->extent.max > 1 && loop_cost(l, s) >= THREAD_COST &&
            products_divide(l, s))
            s->loop = LOOP_THREADS;
    }
}

/* --- chunks ----------------------------------------------------------------------------------- */

/* One long sequential loop of a kernel, and the local sums it adds to. */
typedef struct Chunks {
    Lowered *l;
    Kernel *kernel;
    Stmt *loop;
    bool fits;
    Nodes inside; /* locals declared in the loop */
    Nodes sums;
    Map copies; /* from a sum to the chunk's own */
    int chunk, lane;
} Chunks;

static bool nodes_have(const Nodes *nodes, const Node *node)
{
    for (int i = 0; i < nodes->len; i++)
        if (nodes->data[i] == node) return true;
    return false;
}

static void note_locals(void *data, Stmt *s)
{
    Chunks *c = data;
    if (s->kind == STMT_LOCAL) vec_push(c->l->arena, &c->inside, s->target);
    if (s->tile || s->kind == STMT_GEMM) c->fits = false;
}

typedef struct Reads {
    const Chunks *c;
    int found; /* loads of sums */
} Reads;

static void read_sum(void *data, const Scalar *s)
{
    Reads *r = data;
    if (s->kind == SCALAR_LOAD && nodes_have(&r->c->sums, s->node)) r->found++;
}

static void read_sum_ref(void *data, const Scalar **s)
{
    scalar_visit(*s, read_sum, data);
}

/* Stores in the loop go to its own locals or add to a sum. */
static void note_store(void *data, Stmt *s)
{
    Chunks *c = data;
    if (s->kind != STMT_STORE || nodes_have(&c->inside, s->target)) return;
    const Buffer *b = buffer_get(c->l, s->target);
    const Scalar *v = s->value;
    const Scalar *self = scalar_load(c->l->g, s->target, s->subs, NULL, NO_SPAN);
    bool adds = v->kind == SCALAR_OP && v->op == OP_ADD && v->type == TYPE_REAL;
    adds = adds && ((v->args[0]->kind == SCALAR_LOAD && v->args[0]->node == self->node) !=
                    (v->args[1]->kind == SCALAR_LOAD && v->args[1]->node == self->node));
    if (b->kind != BUFFER_LOCAL || b->elements > MAX_SUMS || !adds)
        c->fits = false;
    else if (!nodes_have(&c->sums, s->target))
        vec_push(c->l->arena, &c->sums, s->target);
}

/* A sum is read only where it is added to. */
static void check_reads(void *data, Stmt *s)
{
    Chunks *c = data;
    Reads r = {c, 0};
    stmt_scalars(s, read_sum_ref, &r);
    if (r.found > (s->kind == STMT_STORE && nodes_have(&c->sums, s->target))) c->fits = false;
}

static const Scalar *copy_load(void *data, const Scalar *load)
{
    Chunks *c = data;
    const Node *copy = map_get(&c->copies, load->node);
    return copy ? scalar_load(c->l->g, copy, load->args, NULL, load->span) : NULL;
}

static void copy_scalar(void *data, const Scalar **s)
{
    Chunks *c = data;
    *s = scalar_replace_loads(c->l->g, *s, copy_load, c);
}

static void copy_stmt(void *data, Stmt *s)
{
    Chunks *c = data;
    stmt_scalars(s, copy_scalar, c);
    const Node *copy = s->kind == STMT_STORE ? map_get(&c->copies, s->target) : NULL;
    if (copy) s->target = copy;
}

/* target[at] = value, for all elements of a sum. */
static Stmt *for_lanes(Chunks *c, const Node *sum, const Node *target, const Scalar *at,
                       const Scalar *value)
{
    Stmt *store = stmt_store(c->l, target, &at, target->rank, value);
    if (sum->rank == 0) return store;
    Stmt *loop = stmt_loop(c->l, c->lane, LOOP_VECTOR, sum->shape[0], c->loop->span);
    block_add(c->l, &loop->body, store);
    return loop;
}

static const Scalar *sum_element(Chunks *c, const Node *node)
{
    const Scalar *at = scalar_iter(c->l->g, c->lane);
    return scalar_load(c->l->g, node, &at, NULL, NO_SPAN);
}

/* extent * chunk / CHUNKS */
static const Scalar *chunk_bound(Chunks *c, int more)
{
    Graph *g = c->l->g;
    const Scalar *extent =
        c->loop->extent.size ? c->loop->extent.size : scalar_int(g, c->loop->extent.max);
    const Scalar *at = scalar_op2(g, OP_ADD, scalar_iter(g, c->chunk), scalar_int(g, more));
    return scalar_op2(g, OP_IDIV, scalar_op2(g, OP_MUL, extent, at), scalar_int(g, CHUNKS));
}

/* Replaces the loop at block->data[at] by chunks and their sum. */
static void chunks_apply(Chunks *c, Block *block, int at)
{
    Lowered *l = c->l;
    Graph *g = l->g;
    c->chunk = c->kernel->n_vars++;
    c->lane = c->kernel->n_vars++;
    c->copies = map_new(l->arena);
    Block out = {0};
    for (int i = 0; i < at; i++)
        block_add(l, &out, block->data[i]);
    Extent chunks = extent_fixed(CHUNKS);
    Stmt *threads = stmt_loop(l, c->chunk, LOOP_THREADS, chunks, c->loop->span);
    Stmt *end = stmt_loop(l, c->chunk, LOOP_SEQUENTIAL, chunks, c->loop->span);
    Block store = {0};
    for (int i = 0; i < c->sums.len; i++) {
        const Node *sum = c->sums.data[i];
        const char *name = buffer_get(l, sum)->name;
        int64_t n = buffer_get(l, sum)->elements;
        const Node *own = local_new(l, sum->type, n, name);
        const Node *all = local_new(l, sum->type, n * CHUNKS, "chunk");
        map_put(&c->copies, sum, (void *)(uintptr_t)own);
        const Scalar *lane = sum->rank ? scalar_iter(g, c->lane) : scalar_int(g, 0);
        const Scalar *place = scalar_op2(
            g, OP_ADD, lane, scalar_op2(g, OP_MUL, scalar_iter(g, c->chunk), scalar_int(g, n)));
        const Scalar *part = scalar_load(g, all, &place, NULL, NO_SPAN);
        block_add(l, &out, stmt_local(l, all));
        block_add(l, &threads->body, stmt_local(l, own));
        block_add(l, &threads->body, for_lanes(c, sum, own, lane, scalar_real(g, 0)));
        block_add(l, &store, for_lanes(c, sum, all, place, sum_element(c, own)));
        block_add(l, &end->body,
                  for_lanes(c, sum, sum, lane, scalar_op2(g, OP_ADD, sum_element(c, sum), part)));
    }
    c->loop->lo = chunk_bound(c, 0);
    c->loop->hi = chunk_bound(c, 1);
    block_visit(&c->loop->body, copy_stmt, c);
    block_add(l, &threads->body, c->loop);
    for (int i = 0; i < store.len; i++)
        block_add(l, &threads->body, store.data[i]);
    block_add(l, &out, threads);
    block_add(l, &out, end);
    for (int i = at + 1; i < block->len; i++)
        block_add(l, &out, block->data[i]);
    *block = out;
}

static bool chunks_fit(Chunks *c)
{
    Stmt *s = c->loop;
    if (s->kind != STMT_LOOP || s->loop != LOOP_SEQUENTIAL || s->lo || s->hi || s->step != 1)
        return false;
    if (s->extent.max < CHUNKS || (s->extent.size && s->extent.size->iters)) return false;
    if (loop_cost(c->l, s) < CHUNK_COST) return false;
    c->fits = true;
    block_visit(&s->body, note_locals, c);
    block_visit(&s->body, note_store, c);
    if (c->fits) block_visit(&s->body, check_reads, c);
    return c->fits && c->sums.len > 0 && c->kernel->n_vars < MAX_ITERS - 2;
}

void pass_threads(Lowered *l)
{
    for (int i = 0; i < l->kernels.len; i++) {
        Kernel *k = l->kernels.data[i];
        threads(l, &k->body);
        for (int at = 0; at < k->body.len; at++) {
            Chunks c = {.l = l, .kernel = k, .loop = k->body.data[at]};
            if (!chunks_fit(&c)) continue;
            int before = k->body.len;
            chunks_apply(&c, &k->body, at);
            at += k->body.len - before;
        }
    }
}
