/* window.c -- operands of sums of products as register tiles want them.
 *
 * A factor that is 0 outside of its tensor (a convolution with padding, the data gradient of any)
 * is read from a copy with that border written out, so that the innermost loops have no conditions.
 * A factor that should give the lanes but has another axis innermost is read from a transposed
 * copy. Both copies are maps, shared by all that read the same; rearranging costs one pass over an
 * operand that is read many times. */
#include "kernel.h"

#include <assert.h>

enum { MIN_REUSE = 4 }; /* readings of each element from which on a copy pays */

static double points_of(const Node *node)
{
    double points = 1;
    for (int i = 0; i < node->n_iters; i++)
        points *= (double)node->iters[i].max;
    return points;
}

/* Whether a load is 0 outside, with affine subscripts, and leaves only axes of fixed extents. */
static bool load_pads(const Scalar *s, const Node *reader)
{
    if (s->kind != SCALAR_LOAD || !s->outside || !scalar_is_const(s->outside, 0)) return false;
    for (int k = 0; k < s->n_args; k++) {
        Affine a;
        if (!affine_of(s->args[k], &a)) return false;
        Range r = scalar_range(s->args[k], reader->iters, reader->n_iters);
        if (range_within(r, s->node->shape[k])) continue;
        if (s->node->shape[k].size || r.size || r.lo == INT64_MIN || r.hi == INT64_MAX)
            return false;
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

/* The load with the axis that iterator `lane` subscripts innermost; the load itself if it is so. */
static const Scalar *load_transposed(Lowered *l, const Scalar *s, int lane)
{
    Graph *g = l->g;
    int at = -1, n = 0;
    for (int k = 0; k < s->n_args; k++) {
        if (!(s->args[k]->iters >> lane & 1)) continue;
        if (at >= 0 || s->args[k]->kind != SCALAR_ITER || s->node->shape[k].size) return s;
        at = k;
    }
    if (at < 0 || at == s->n_args - 1) return s;
    Extent shape[MAX_RANK];
    const Scalar *from[MAX_RANK], *subs[MAX_RANK];
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < s->n_args; k++) {
            if ((k == at) != (pass == 1)) continue;
            if (s->node->shape[k].size && s->node->shape[k].size->iters) return s;
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
        bool reused = points_of(same) >= MIN_REUSE * (double)node_max_elements(s->node);
        const Scalar *padded = reused && load_pads(s, same) ? load_padded(l, s, same) : NULL;
        if (padded) factors[f] = padded;
        pads = pads || padded;
        if (factors[f]->outside) return same;
    }
    Lowered probe = *l;
    Block none = {0};
    if (!pads && contract_gemm(&probe, same, true, &none)) return same;
    int f = lane_factor(same);
    if (f >= 0 && points_of(same) >= MIN_REUSE * (double)node_max_elements(factors[f]->node))
        factors[f] = load_transposed(l, factors[f], same->rank - 1);
    const Scalar *product = scalar_op(l->g, OP_MUL, factors, body->span);
    return graph_comp(l->g, same->reduce, same->rank, same->n_iters, same->iters, product, NULL,
                      same->span);
}

void pass_window(Lowered *l)
{
    if (strcmp(l->options->real, "f32") != 0) return;
    graph_rewrite(l->g, l->roots, l->n_roots, window_build, l);
}
