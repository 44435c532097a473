/* cost.c -- how long a statement takes on one thread, about.
 *
 * Nanoseconds on a machine with wide vectors, whose data are in the second level of cache: it is
 * wrong by a factor of two or three now and then, which is enough to tell what is worth a second
 * thread from what is not. A loop whose size is the batch's counts as often as it runs then. */
#include "kernel.h"

/* Of one operation alone, and of one lane of a vector. */
static const struct {
    double load, plain, divide, function, draw, store;
} cost_of[2] = {{0.3, 0.3, 1, 4, 5, 0.8}, {0.03, 0.02, 0.1, 0.4, 0.8, 0.05}};

static const double cost_fma = 0.2, cost_product = 0.015;

typedef struct Costs {
    const Lowered *l;
    const Stmt *outer; /* the loop, one iteration of which is asked for */
    bool lanes;        /* inside of vector code */
    double sum;
} Costs;

static void cost_scalar(void *data, const Scalar *s)
{
    Costs *c = data;
    if (s->kind == SCALAR_DRAW) c->sum += cost_of[c->lanes].draw;
    if (s->kind == SCALAR_LOAD && s->node->rank > 0) c->sum += cost_of[c->lanes].load;
    if (s->kind != SCALAR_OP) return;
    if (s->op == OP_DIV)
        c->sum += cost_of[c->lanes].divide;
    else if (op_table[s->op].result == RESULT_REAL)
        c->sum += cost_of[c->lanes].function;
    else
        c->sum += cost_of[c->lanes].plain;
}

static void cost_ref(void *data, const Scalar **s)
{
    scalar_visit(*s, cost_scalar, data);
}

/* A size that the caller of the kernel knows as a number. */
static const Scalar *number_of(const Lowered *l, Extent e)
{
    if (!e.size || e.size->kind != SCALAR_LOAD) return NULL;
    const Buffer *b = buffer_get(l, e.size->node);
    return b && buffer_is_number(b) ? e.size : NULL;
}

static Cost cost_block(Costs *c, const Block *block);

/* The cost of extent * part iterations. */
static Cost cost_times(const Costs *c, Cost one, Extent extent, double part)
{
    Cost all = {.size = one.size, .most = one.most};
    const Scalar *size = number_of(c->l, extent);
    bool known = size && (!one.size || one.size == size);
    for (int k = COST_POWERS - 1; k >= 0; k--)
        if (known && k + 1 < COST_POWERS)
            all.ns[k + 1] += one.ns[k] * part;
        else
            all.ns[k] += one.ns[k] * part * (double)extent.max;
    if (known) {
        all.size = size;
        all.most = extent.max;
    }
    return all;
}

static Cost cost_loop(Costs *c, const Stmt *s)
{
    bool lanes = c->lanes;
    if (s->loop == LOOP_VECTOR || s->loop == LOOP_PARALLEL) {
        c->lanes = true;
        for (int i = 0; i < s->body.len; i++)
            if (s->body.data[i]->kind == STMT_LOOP || s->body.data[i]->tile) c->lanes = lanes;
    }
    Cost one = cost_block(c, &s->body);
    c->lanes = lanes;
    double times = 1.0 / (double)s->step;
    if (c->outer && s->lo && s->lo->iters >> c->outer->var & 1) /* one of the chunks of the loop */
        times /= (double)c->outer->extent.max;
    return cost_times(c, one, s->extent, times);
}

/* What is in a tile, and what its sums cost. */
static Cost cost_tile(Costs *c, const Tile *t)
{
    Cost all = {.ns = {t->rows * t->n_columns * cost_fma}};
    for (int i = t->n_sums - 1; i >= 0; i--) {
        Extent extent = t->sums[i].most ? extent_fixed(t->sums[i].most) : t->sums[i].extent;
        all = cost_times(c, all, extent, t->dot ? 1.0 / t->width[0] : 1);
    }
    return all;
}

/* The cost, without that of its body, is in c->sum. */
static void cost_alone(Costs *c, Stmt *s)
{
    c->sum = 0;
    stmt_scalars(s, cost_ref, c);
    if (s->kind == STMT_STORE) c->sum += cost_of[c->lanes].store;
    if (s->kind == STMT_GEMM)
        c->sum =
            (double)s->gemm->m.max * (double)s->gemm->n.max * (double)s->gemm->k.max * cost_product;
    if (s->tile) c->sum = 2 * s->tile->rows * s->tile->n_columns * cost_fma; /* to and from registers */
}

/* The second of two alternatives: the first is the usual one, and counts. */
static bool is_alternative(const Block *block, int i)
{
    if (i == 0 || block->data[i]->kind != STMT_IF || block->data[i - 1]->kind != STMT_IF)
        return false;
    const Scalar *test = block->data[i]->cond;
    return test->kind == SCALAR_OP && test->op == OP_NOT &&
           test->args[0] == block->data[i - 1]->cond;
}

static Cost cost_block(Costs *c, const Block *block)
{
    Cost all = {0};
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        if (is_alternative(block, i)) continue;
        Cost inside = s->kind == STMT_LOOP ? cost_loop(c, s)
                      : s->tile            ? cost_tile(c, s->tile)
                                           : cost_block(c, &s->body);
        cost_alone(c, s);
        all.ns[0] += c->sum;
        if (!all.size) {
            all.size = inside.size;
            all.most = inside.most;
        }
        if (inside.size != all.size) { /* another number than the first: as it is at most */
            all.ns[0] += cost_most(&inside);
            continue;
        }
        for (int k = 0; k < COST_POWERS; k++)
            all.ns[k] += inside.ns[k];
    }
    return all;
}

Cost cost_iteration(const Lowered *l, const Stmt *loop)
{
    Costs c = {.l = l, .outer = loop};
    return cost_block(&c, &loop->body);
}

Cost cost_body(const Lowered *l, const Block *body)
{
    Costs c = {.l = l};
    return cost_block(&c, body);
}

double cost_after(const Lowered *l, const Stmt *gemm)
{
    Costs c = {.l = l};
    const Cost all = cost_block(&c, &gemm->body);
    return cost_most(&all) / ((double)gemm->gemm->m.max * (double)gemm->gemm->n.max);
}

double cost_most(const Cost *cost)
{
    double sum = 0, scale = 1;
    for (int k = 0; k < COST_POWERS; k++) {
        sum += cost->ns[k] * scale;
        scale *= (double)cost->most;
    }
    return sum;
}
