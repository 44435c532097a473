/* contract.c -- sums of products as matrix products.
 *
 * In out[P] = sum[R] A[..] * B[..] with affine subscripts every iterator moves the addresses of
 * out, A and B by constant strides. By the operands an iterator occurs in it belongs to M (out and
 * A), N (out and B), K (A and B, reducing) or the batch (all three). Iterators of one class whose
 * strides continue each other are one longer axis. Where out, A and B each have a unit stride along
 * M, N or K, the sum is a matrix product, and the iterators left over are loops around it. */
#include "kernel.h"

#include <assert.h>

enum {
    MIN_WORK = 4096, /* multiplications below which plain loops are as good */
    MUCH_LARGER = 8  /* times: reading decides, not writing */
};

/* One axis of the matrix product: a group of iterators. */
typedef struct Axis {
    int64_t extent;     /* product of those of the fixed iterators */
    const Scalar *size; /* run-time extent of the outermost, or NULL */
    int64_t a, b, c;    /* strides */
    int64_t max;
    int iters[MAX_ITERS], n; /* of the group, inner ones first */
} Axis;

/* Whether a subscript is the same at every point, and no constant: the number of a step. */
static bool is_base(const Scalar *sub)
{
    return !sub->iters && sub->kind != SCALAR_CONST && sub->type == TYPE_INT;
}

/* The load's address as strides of the iterators; false if it is not affine or may be out of
 * bounds. */
static bool operand_of(Graph *g, const Scalar *load, const Extent *iters, int n_iters, Operand *out)
{
    *out = (Operand){.node = load->node, .load = load};
    if (load->kind != SCALAR_LOAD || load->outside || load->type != TYPE_REAL) return false;
    if (load->iters >> n_iters) return false; /* depends on a loop around */
    int64_t stride = 1;
    for (int k = load->n_args - 1; k >= 0; k--) {
        Affine a = {0};
        if (!load_is_safe(load, k, iters, n_iters)) return false;
        if (is_base(load->args[k])) {
            if (node_max_elements(load->node) > INT32_MAX) return false;
            const Scalar *at = scalar_op2(g, OP_MUL, load->args[k], scalar_int(g, stride));
            out->base = out->base ? scalar_op2(g, OP_ADD, out->base, at) : at;
        } else if (!affine_of(load->args[k], &a)) {
            return false;
        }
        out->offset += a.constant * stride;
        for (int i = 0; i < n_iters; i++)
            out->stride[i] += a.coefficient[i] * stride;
        stride *= load->node->shape[k].max;
    }
    return true;
}

/* The strides of the result. */
static void result_of(Contraction *x)
{
    int64_t stride = 1;
    x->c.node = x->node;
    for (int i = x->node->rank - 1; i >= 0; i--) {
        x->c.stride[i] = stride;
        stride *= x->node->iters[i].max;
    }
}

bool contraction_of(Graph *g, Contraction *x, const Node *node)
{
    *x = (Contraction){.node = node};
    const Scalar *body = node->body;
    if (node->kind != NODE_COMP || node->reduce != REDUCE_SUM || node->guard) return false;
    if (body->kind != SCALAR_OP || body->op != OP_MUL || body->type != TYPE_REAL) return false;
    if (!operand_of(g, body->args[0], node->iters, node->n_iters, &x->a)) return false;
    if (!operand_of(g, body->args[1], node->iters, node->n_iters, &x->b)) return false;
    result_of(x);
    for (int i = 0; i < node->n_iters; i++) {
        if (node->iters[i].size && node->iters[i].size->iters) return false;
        x->class[i] =
            (x->a.stride[i] ? IN_A : 0) | (x->b.stride[i] ? IN_B : 0) | (i < node->rank ? IN_C : 0);
        bool known = x->class[i] == CLASS_M || x->class[i] == CLASS_N ||
                     x->class[i] == CLASS_BATCH || (i >= node->rank && x->class[i] == CLASS_K);
        if (!known) return false;
    }
    return true;
}

bool contraction_of_ones(Graph *g, Contraction *x, const Node *node)
{
    *x = (Contraction){.node = node};
    if (node->kind != NODE_COMP || node->reduce != REDUCE_SUM || node->guard) return false;
    if (!operand_of(g, node->body, node->iters, node->n_iters, &x->b)) return false;
    x->a = (Operand){.node = x->b.node, .load = scalar_real(g, 1)};
    result_of(x);
    for (int i = 0; i < node->n_iters; i++) {
        if ((node->iters[i].size && node->iters[i].size->iters) || !x->b.stride[i]) return false;
        x->class[i] = i < node->rank ? CLASS_N : CLASS_K;
        if (i >= node->rank) x->a.stride[i] = x->b.stride[i];
    }
    return true;
}

/* M and N change places: C is computed as it lies in memory. */
void contraction_swap(Contraction *x)
{
    Operand a = x->a;
    x->a = x->b;
    x->b = a;
    for (int i = 0; i < x->node->n_iters; i++)
        if (x->class[i] == CLASS_M || x->class[i] == CLASS_N)
            x->class[i] = x->class[i] == CLASS_M ? CLASS_N : CLASS_M;
}

/* The axis that begins with iterator i and goes on with those of its class that continue its
 * strides. */
static Axis axis_grow(Contraction *x, int i)
{
    const Extent *iters = x->node->iters;
    Axis axis = {iters[i].size ? 1 : iters[i].max,
                 iters[i].size,
                 x->a.stride[i],
                 x->b.stride[i],
                 x->c.stride[i],
                 iters[i].max,
                 {i},
                 1};
    x->used[i] = true;
    for (bool grown = true; grown && !axis.size;) {
        grown = false;
        for (int k = 0; k < x->node->n_iters; k++) {
            bool next = !x->used[k] && x->class[k] == x->class[i] &&
                        x->a.stride[k] == axis.a * axis.extent &&
                        x->b.stride[k] == axis.b * axis.extent &&
                        x->c.stride[k] == axis.c * axis.extent;
            if (!next) continue;
            x->used[k] = grown = true;
            axis.size = iters[k].size;
            axis.max *= iters[k].max;
            axis.iters[axis.n++] = k;
            if (!axis.size) axis.extent *= iters[k].max;
            break;
        }
    }
    return axis;
}

/* The iterator of a class with the least stride in an operand, or -1. */
static int innermost(const Contraction *x, int class, const Operand *operand)
{
    int best = -1;
    for (int i = 0; i < x->node->n_iters; i++)
        if (x->class[i] == class && !x->used[i] &&
            (best < 0 || operand->stride[i] < operand->stride[best]))
            best = i;
    return best;
}

static Extent axis_extent(Lowered *l, const Axis *axis)
{
    if (!axis->size) return extent_fixed(axis->extent);
    const Scalar *size = scalar_op2(l->g, OP_MUL, axis->size, scalar_int(l->g, axis->extent));
    return (Extent){axis->max, size};
}

/* Chooses M, N and K; false where an operand has no unit stride. */
static bool axes_choose(Contraction *x, Axis *m, Axis *n, Axis *k)
{
    int lane = -1;
    for (int i = 0; i < x->node->rank; i++)
        if (x->c.stride[i] == 1 && x->node->iters[i].max > 1) lane = i;
    if (lane < 0 || x->class[lane] == CLASS_BATCH) return false;
    if (x->class[lane] == CLASS_M) contraction_swap(x);
    *n = axis_grow(x, lane);
    bool in_a = node_max_elements(x->a.node) > MUCH_LARGER * node_max_elements(x->node);
    int row = innermost(x, CLASS_M, in_a ? &x->a : &x->c); /* rows side by side in what is larger */
    if (row < 0) return false;
    *m = axis_grow(x, row);
    int sum = -1;
    int64_t least = 0; /* the innermost, so that outer ones can continue it */
    for (int i = x->node->rank; i < x->node->n_iters; i++) {
        bool fits = (x->a.stride[i] == 1 || m->a == 1) && (x->b.stride[i] == 1 || n->b == 1);
        int64_t stride = x->a.stride[i] + x->b.stride[i];
        if (!fits || x->a.stride[i] < 1 || x->b.stride[i] < 1) continue;
        if (sum >= 0 && stride >= least) continue;
        sum = i;
        least = stride;
    }
    if (sum < 0) return false;
    *k = axis_grow(x, sum);
    return true;
}

/* Rows of the stored matrices must not overlap: leading dimensions as a BLAS wants them. */
static bool gemm_strides(const Axis *m, const Axis *n, const Axis *k, Gemm *g)
{
    g->ta = k->a != 1;
    g->tb = n->b != 1;
    g->lda = g->ta ? k->a : m->a;
    g->ldb = g->tb ? n->b : k->b;
    g->ldc = m->c;
    if (g->ta && m->a != 1) return false;
    if (g->tb && k->b != 1) return false;
    return g->lda >= (g->ta ? m->max : k->max) && g->ldb >= (g->tb ? k->max : n->max) &&
           g->ldc >= n->max;
}

static GemmAxis axis_vars(const Axis *axis, const Node *node)
{
    GemmAxis vars = {.n = axis->n};
    for (int i = 0; i < axis->n; i++) {
        vars.var[i] = axis->iters[axis->n - 1 - i];
        vars.extent[i] = node->iters[vars.var[i]];
    }
    return vars;
}

static const Scalar *address(Lowered *l, const Contraction *x, const Operand *o)
{
    Affine at = {.constant = o->offset};
    for (int i = 0; i < x->node->n_iters; i++)
        if (!x->used[i]) at.coefficient[i] = o->stride[i];
    const Scalar *offset = affine_scalar(l->g, &at);
    return o->base ? scalar_op2(l->g, OP_ADD, o->base, offset) : offset;
}

bool contract_gemm(Lowered *l, const Node *node, bool whole, Block *body)
{
    Contraction x;
    Axis m, n, k;
    Gemm gemm = {0};
    if (!contraction_of(l->g, &x, node)) return false;
    if (!axes_choose(&x, &m, &n, &k) || !gemm_strides(&m, &n, &k, &gemm)) return false;
    if (m.max * n.max * k.max < MIN_WORK || m.max < 2 || n.max < 2) return false;
    gemm.m = axis_extent(l, &m);
    gemm.n = axis_extent(l, &n);
    gemm.k = axis_extent(l, &k);
    gemm.rows = axis_vars(&m, node);
    gemm.columns = axis_vars(&n, node);
    for (int i = 0; i < node->rank; i++)
        gemm.c_subs[i] = scalar_iter(l->g, i);
    gemm.a = x.a.node;
    gemm.b = x.b.node;
    gemm.a_load = x.a.load;
    gemm.b_load = x.b.load;
    gemm.c = node;
    for (int i = 0; i < node->n_iters; i++) {
        if (x.used[i]) continue;
        bool reducing = i >= node->rank;
        if (reducing && whole) return false;
        Stmt *loop =
            stmt_loop(l, i, reducing ? LOOP_SEQUENTIAL : LOOP_PARALLEL, node->iters[i], node->span);
        block_add(l, body, loop);
        body = &loop->body;
        if (!reducing) continue;
        if (node->iters[i].size || node->iters[i].max < 1) return false; /* may be empty */
        const Scalar *later = scalar_op2(l->g, OP_LT, scalar_int(l->g, 0), scalar_iter(l->g, i));
        gemm.accumulate = gemm.accumulate ? scalar_op2(l->g, OP_OR, gemm.accumulate, later) : later;
    }
    gemm.a_at = address(l, &x, &x.a);
    gemm.b_at = address(l, &x, &x.b);
    gemm.c_at = gemm.first = address(l, &x, &x.c);
    gemm.step = gemm.ldc;
    gemm.result = node;
    block_add(l, body, stmt_gemm(l, &gemm, node->span));
    return true;
}
