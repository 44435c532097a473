/* window.c -- operands of sums of products as register tiles want them.
 *
 * A factor that is 0 outside of its tensor (a convolution with padding, the data gradient of any, a
 * sequence shorter than its bound) is read from a copy with that border written out, so that the
 * innermost loops have no conditions.
 * A factor that should give the lanes but has another axis innermost is read from a transposed
 * copy; so is one that a loop would transpose at every step. Both copies are maps, shared by all
 * that read the same; rearranging costs one pass over an operand that is read many times. */
#include "kernel.h"

#include <assert.h>

/* Readings of each element from which on a copy pays: a transposed one, and one with a border, in which most tensors
 * are computed in their place (border.c). */
enum { MIN_REUSE = 4, MIN_PADDED = 2 };

static double points_of(const Node *node)
{
    double points = 1;
    for (int i = 0; i < node->n_iters; i++)
        points *= (double)node->iters[i].max;
    return points;
}

/* Whether a load is 0 outside, with affine subscripts, and those that leave their axes have bounds, which are the
 * sizes of the copy then, also where an axis has another size for each instance. */
static bool load_pads(const Scalar *s, const Node *reader)
{
    if (s->kind != SCALAR_LOAD || !s->outside || !scalar_is_const(s->outside, 0)) return false;
    for (int k = 0; k < s->n_args; k++) {
        Affine a;
        if (!affine_of(s->args[k], &a)) return false;
        Range r = scalar_range(s->args[k], reader->iters, reader->n_iters);
        if (range_within(r, s->node->shape[k])) continue;
        if (r.size || r.lo == INT64_MIN || r.hi == INT64_MAX) return false;
    }
    return true;
}

/* The same load from a copy that has the border; NULL if the copy would be out of proportion. */
static const Scalar *load_padded(Lowered *l, const Scalar *s, const Node *reader)
{
    Graph *g = l->g;
    Extent shape[MAX_RANK];
    const Scalar *from[MAX_RANK], *subs[MAX_RANK];
    for (int k = 0; k < s->n_args; k++) {
        Range r = scalar_range(s->args[k], reader->iters, reader->n_iters);
        shape[k] = s->node->shape[k];
        from[k] = scalar_iter(g, k);
        subs[k] = s->args[k];
        if (range_within(r, shape[k])) continue;
        shape[k] = extent_fixed(r.hi - r.lo + 1);
        from[k] = scalar_op2(g, OP_ADD, from[k], scalar_int(g, r.lo));
        subs[k] = scalar_op2(g, OP_SUB, subs[k], scalar_int(g, r.lo));
    }
    const Scalar *body = scalar_load(g, s->node, from, s->outside, s->span);
    const Node *copy = graph_map(g, s->n_args, shape, body, s->span);
    if (node_max_elements(copy) > 4 * node_max_elements(s->node)) return NULL;
    return scalar_load(g, copy, subs, NULL, s->span);
}

/* Whether axes that the iterators subscript stand in front of others and can be moved behind them.
 */
static bool axes_movable(const Scalar *s, uint64_t inner, bool *moved)
{
    uint64_t seen = 0;
    bool behind = false, front = false; /* a moved axis was seen; another behind it */
    for (int k = 0; k < s->n_args; k++) {
        moved[k] = s->args[k]->iters & inner;
        front = front || (behind && !moved[k]);
        behind = behind || moved[k];
        if (s->node->shape[k].size && (moved[k] || s->node->shape[k].size->iters)) return false;
        if (!moved[k]) continue;
        if (s->args[k]->kind != SCALAR_ITER || (seen & s->args[k]->iters)) return false;
        seen |= s->args[k]->iters;
    }
    return front;
}

/* The load from a copy with the axes that these iterators subscript innermost; the load itself if
 * it is so, or cannot be. */
static const Scalar *load_transposed(Lowered *l, const Scalar *s, uint64_t inner)
{
    Graph *g = l->g;
    bool moved[MAX_RANK];
    int n = 0;
    if (!axes_movable(s, inner, moved)) return s;
    Extent shape[MAX_RANK];
    const Scalar *from[MAX_RANK], *subs[MAX_RANK];
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < s->n_args; k++) {
            if (moved[k] != (pass == 1)) continue;
            shape[n] = s->node->shape[k];
            from[k] = scalar_iter(g, n);
            subs[n++] = s->args[k];
        }
    const Scalar *body = scalar_load(g, s->node, from, NULL, s->span);
    const Node *copy = graph_map(g, s->n_args, shape, body, s->span);
    return scalar_load(g, copy, subs, NULL, s->span);
}

/* Which factor gives the lanes: the one that the last axis of the result occurs in, alone. */
static int lane_factor(const Node *node)
{
    int lane = node->rank - 1;
    bool in[2];
    for (int f = 0; f < 2; f++)
        in[f] = node->body->args[f]->iters >> lane & 1;
    return in[0] == in[1] ? -1 : in[1];
}

/* The node with another load as one of its factors. */
static const Node *with_factors(Lowered *l, const Node *node, const Scalar *const *factors)
{
    const Scalar *product = scalar_op(l->g, OP_MUL, factors, node->body->span);
    return graph_comp(l->g, node->reduce, node->rank, node->n_iters, node->iters, product, NULL,
                      node->span);
}

/* A matrix product that a loop does at every step with a factor from outside, in the order in which
 * the product would have to transpose it each time: transposed once, before the loop. */
static const Node *product_resident(Lowered *l, const Node *node, const Block *block)
{
    while (block->data[0]->kind == STMT_LOOP)
        block = &block->data[0]->body;
    const Gemm *gemm = block->data[0]->gemm;
    const Scalar *factors[2] = {node->body->args[0], node->body->args[1]};
    int f = factors[1]->node == gemm->b;
    if (!gemm->tb || loops_trips(node->free, gemm->b->free) < 2) return node;
    if (factors[0]->node == factors[1]->node) return node;
    uint64_t result = ((uint64_t)1 << node->rank) - 1;
    uint64_t inner = factors[f]->iters & ~factors[1 - f]->iters & result;
    factors[f] = load_transposed(l, factors[f], inner);
    return with_factors(l, node, factors);
}

static const Node *window_build(void *data, Rewrite *rewrite, const Node *node)
{
    Lowered *l = data;
    if (node->kind != NODE_COMP || node->reduce != REDUCE_SUM || node->guard || node->rank < 1)
        return NULL;
    const Node *same = rewrite_operands(rewrite, node);
    if (same->kind != NODE_COMP || same->reduce != REDUCE_SUM) return same;
    const Scalar *body = same->body;
    if (body->kind != SCALAR_OP || body->op != OP_MUL || body->type != TYPE_REAL) return same;
    if (body->args[0]->kind != SCALAR_LOAD || body->args[1]->kind != SCALAR_LOAD) return same;
    const Scalar *factors[2];
    bool pads = false;
    for (int f = 0; f < 2; f++) {
        const Scalar *s = factors[f] = body->args[f];
        bool reused = points_of(same) >= MIN_PADDED * (double)node_max_elements(s->node);
        const Scalar *padded = reused && load_pads(s, same) ? load_padded(l, s, same) : NULL;
        if (padded) factors[f] = padded;
        pads = pads || padded;
        if (factors[f]->outside) return same;
    }
    Lowered probe = *l;
    Block none = {0};
    if (!pads && contract_gemm(&probe, same, true, &none)) return product_resident(l, same, &none);
    int f = lane_factor(same);
    if (f >= 0 && points_of(same) >= MIN_REUSE * (double)node_max_elements(factors[f]->node))
        factors[f] = load_transposed(l, factors[f], (uint64_t)1 << (same->rank - 1));
    return with_factors(l, same, factors);
}

void pass_window(Lowered *l)
{
    graph_rewrite(l->g, l->roots, l->n_roots, window_build, l);
}
