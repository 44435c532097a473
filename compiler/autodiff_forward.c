/* autodiff_forward.c -- forward mode: the derivative of a node by a number, as more nodes.
 *
 * Beside each node on the way from x to y stands its tangent, of the same shape: the derivative of
 * every element by x. A tangent is made from those of the operands by the formulas of ops.def,
 * which are linear in what arrives, so that one table serves both modes. Where y is to be
 * differentiated again, by parameters, this is several times cheaper than reverse over reverse: a
 * value and its tangents go through the same products side by side, and one sweep goes back.
 *
 * x may have axes: one number for each of many instances. One tangent per element then serves all
 * of them, provided that instances do not meet on the way; `aligned` follows their axes. What does
 * not suit forward mode (instances that meet; choices, extrema and scatters, where reverse mode
 * follows which values count) is left to reverse mode. */
#include "formula.h"

#include <assert.h>

typedef struct Tangent {
    const Node *node;         /* the derivative of each element */
    int8_t aligned[MAX_RANK]; /* axis of x -> axis of the node */
} Tangent;

typedef struct Forward {
    Graph *g;
    Arena *scratch;
    const Node *x;
    Map tangents; /* from Node to Tangent */
    bool failed;
} Forward;

static const Tangent *tangent_of(const Forward *f, const Node *node)
{
    return map_get(&f->tangents, node);
}

static void tangent_set(Forward *f, const Node *node, const Node *tangent, const int8_t *aligned)
{
    Tangent *t = NEW(f->scratch, Tangent);
    t->node = tangent;
    for (int a = 0; a < f->x->rank; a++)
        t->aligned[a] = aligned[a];
    map_put(&f->tangents, node, t);
}

/* --- a scalar body ---------------------------------------------------------------------------- */

typedef struct Sweep {
    Forward *f;
    const Node *node;
    Map tangents;             /* from Scalar to Scalar; none: zero */
    int8_t aligned[MAX_RANK]; /* of the node: -1 until a load tells */
} Sweep;

/* Instances stay apart where their axes are subscripted by the same parallel iterators in all
 * loads. */
static void sweep_load(Sweep *w, const Scalar *s)
{
    const Tangent *t = tangent_of(w->f, s->node);
    if (s->outside && (t || map_get(&w->tangents, s->outside))) w->f->failed = true;
    if (!t || w->f->failed) return;
    for (int a = 0; a < w->f->x->rank; a++) {
        const Scalar *sub = s->args[t->aligned[a]];
        bool apart = sub->kind == SCALAR_ITER && sub->iter < w->node->rank &&
                     (w->aligned[a] < 0 || w->aligned[a] == sub->iter);
        if (!apart) {
            w->f->failed = true;
            return;
        }
        w->aligned[a] = (int8_t)sub->iter;
    }
    map_put(&w->tangents, s,
            (void *)(uintptr_t)scalar_load(w->f->g, t->node, s->args, NULL, s->span));
}

static void sweep_op(Sweep *w, const Scalar *s)
{
    Graph *g = w->f->g;
    bool whole = s == w->node->body && node_is_map(w->node);
    const Scalar *out = whole ? scalar_load_at(g, w->node, 0) : s, *sum = NULL;
    for (int k = 0; k < s->n_args; k++) {
        const Scalar *tangent = map_get(&w->tangents, s->args[k]);
        const Scalar *part = tangent ? op_derivative(g, s, k, out, tangent) : NULL;
        if (part) sum = sum ? scalar_op2(g, OP_ADD, sum, part) : part;
    }
    if (!sum) return;
    if (s->op == OP_SELECT || s->op == OP_MAX || s->op == OP_MIN)
        w->f->failed = true;
    else
        map_put(&w->tangents, s, (void *)(uintptr_t)sum);
}

static void sweep_visit(void *data, const Scalar *s)
{
    Sweep *w = data;
    if (s->type != TYPE_REAL || w->f->failed) return;
    if (s->outside && map_get(&w->tangents, s->outside)) w->f->failed = true;
    if (s->kind == SCALAR_LOAD) sweep_load(w, s);
    if (s->kind == SCALAR_OP) sweep_op(w, s);
}

static void through_comp(Forward *f, const Node *node)
{
    Sweep w = {.f = f, .node = node, .tangents = map_new(f->scratch)};
    for (int a = 0; a < f->x->rank; a++)
        w.aligned[a] = -1;
    scalar_visit(node->body, sweep_visit, &w);
    const Scalar *body = map_get(&w.tangents, node->body);
    bool sums =
        node->reduce == REDUCE_NONE || node->reduce == REDUCE_SUM || node->reduce == REDUCE_MEAN;
    if (!body) return;
    if (!sums || node->guard) {
        f->failed = true;
        return;
    }
    const Node *tangent = graph_comp(f->g, node->reduce, node->rank, node->n_iters, node->iters,
                                     body, NULL, node->span);
    tangent_set(f, node, tangent, w.aligned);
}

/* --- the other nodes -------------------------------------------------------------------------- */

static void through_pieces(Forward *f, const Node *node)
{
    Piece *pieces = NEW_ARRAY(f->scratch, Piece, node->n_pieces);
    const Tangent *first = NULL;
    int n = 0;
    for (int k = 0; k < node->n_pieces; k++) {
        const Tangent *t = tangent_of(f, node->pieces[k].part);
        if (!t) continue;
        for (int a = 0; a < f->x->rank; a++)
            if (t->aligned[a] == node->axis || (first && t->aligned[a] != first->aligned[a]))
                f->failed = true;
        first = t;
        pieces[n] = node->pieces[k];
        pieces[n++].part = t->node;
    }
    if (!first || f->failed) return;
    const Node *tangent =
        graph_pieces(f->g, TYPE_REAL, node->rank, node->shape, node->axis, n, pieces, node->span);
    tangent_set(f, node, tangent, first->aligned);
}

static void through_reshape(Forward *f, const Node *node)
{
    const Tangent *t = tangent_of(f, node->arg);
    if (!t) return;
    for (int a = 0; a < f->x->rank; a++)
        for (int k = 0; k <= t->aligned[a]; k++)
            if (k >= node->rank || !extent_equal(node->shape[k], node->arg->shape[k]))
                f->failed = true;
    if (f->failed) return;
    tangent_set(f, node, graph_reshape(f->g, t->node, node->rank, node->shape, node->span),
                t->aligned);
}

static void through_node(Forward *f, const Node *node)
{
    if (node->type != TYPE_REAL && node->kind != NODE_SCAN) return;
    switch (node->kind) {
    case NODE_COMP: through_comp(f, node); return;
    case NODE_PIECES: through_pieces(f, node); return;
    case NODE_RESHAPE: through_reshape(f, node); return;
    case NODE_TAG: {
        const Tangent *t = tangent_of(f, node->arg);
        if (t) tangent_set(f, node, t->node, t->aligned);
        return;
    }
    case NODE_LEAF:
    case NODE_ORDER: return;
    case NODE_SCATTER:
    case NODE_SCAN:
    case NODE_FINAL:
    case NODE_YIELD: {
        Nodes operands = node->operands;
        for (int k = 0; k < operands.len; k++)
            f->failed = f->failed || tangent_of(f, operands.data[k]);
        return;
    }
    }
}

bool autodiff_forward(Graph *g, const Node *y, const Node *x, const int *aligned, const Node **out)
{
    Arena *scratch = arena_new();
    Forward f = {.g = g, .scratch = scratch, .x = x, .tangents = map_new(scratch)};
    Nodes nodes = graph_reach(scratch, &y, 1);
    int8_t own[MAX_RANK];
    for (int a = 0; a < x->rank; a++)
        own[a] = (int8_t)a;
    for (int i = 0; i < nodes.len && !f.failed; i++) {
        const Node *node = nodes.data[i];
        if (node == x)
            tangent_set(&f, x, graph_map(g, x->rank, x->shape, scalar_real(g, 1), x->span), own);
        else
            through_node(&f, node);
    }
    const Tangent *t = tangent_of(&f, y);
    *out = t ? t->node : NULL;
    for (int a = 0; t && a < x->rank; a++)
        f.failed = f.failed || t->aligned[a] != aligned[a];
    arena_free(scratch);
    return !f.failed;
}
