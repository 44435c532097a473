/* factor.c -- sums without what they need not multiply by at every point.
 *
 * A factor or divisor that does not depend on what is summed over comes out of the sum:
 * sum[k] a[i, k] * b[k, j] / c is (sum[k] a[i, k] * b[k, j]) / c. What is left may be a product of two
 * loads, as matrix products and register tiles want it, or a sum that is wanted elsewhere, too (the
 * derivatives of a normalisation are a few sums with different factors); what came out is elementwise
 * work, which moves on into what reads it. Rounding changes as much as by the order of a sum. */
#include "kernel.h"

typedef struct Factors {
    Graph *g;
    int rank;
    const Scalar *times, *over; /* what came out, or NULL */
} Factors;

static bool summed(const Factors *f, const Scalar *a)
{
    return a->iters >> f->rank;
}

static const Scalar *times(Graph *g, const Scalar *a, const Scalar *b)
{
    return a && b ? scalar_op2(g, OP_MUL, a, b) : a ? a : b;
}

/* Takes out of a product what does not depend on the sum; returns the rest, or NULL for 1. */
static const Scalar *factors_take(Factors *f, const Scalar *a)
{
    bool product = a->kind == SCALAR_OP && a->op == OP_MUL;
    bool quotient = a->kind == SCALAR_OP && a->op == OP_DIV;
    if (a->kind == SCALAR_OP && a->op == OP_NEG && summed(f, a)) {
        f->times = times(f->g, f->times, scalar_real(f->g, -1));
        return factors_take(f, a->args[0]);
    }
    if (!summed(f, a)) {
        f->times = times(f->g, f->times, a);
        return NULL;
    }
    if (product) {
        const Scalar *x = factors_take(f, a->args[0]);
        return times(f->g, x, factors_take(f, a->args[1]));
    }
    if (quotient && !summed(f, a->args[1])) {
        f->over = times(f->g, f->over, a->args[1]);
        return factors_take(f, a->args[0]);
    }
    return a;
}

/* Over no point at all the sum is 0, whatever the factors; they must not make a NaN of it. A batch has an
 * example. */
static bool sum_has_points(const Node *node)
{
    for (int i = node->rank; i < node->n_iters; i++) {
        const Scalar *size = node->iters[i].size;
        bool batch = size && size->kind == SCALAR_LOAD && size->node->kind == NODE_LEAF &&
                     size->node->leaf->kind == LEAF_SIZE;
        if ((size && !batch) || node->iters[i].max < 1) return false;
    }
    return true;
}

static bool harmless(const Node *node, const Scalar *a)
{
    return !a || a->kind == SCALAR_CONST || sum_has_points(node);
}

static const Node *factor_node(void *data, Rewrite *rewrite, const Node *node)
{
    Graph *g = data;
    const Node *made = rewrite_operands(rewrite, node);
    if (made->kind != NODE_COMP || made->reduce != REDUCE_SUM || made->guard) return made;
    Factors f = {.g = g, .rank = made->rank};
    const Scalar *rest = factors_take(&f, made->body);
    if (!rest || rest == made->body || made->type != TYPE_REAL) return made;
    if (!harmless(made, f.times) || !harmless(made, f.over)) return made;
    const Node *sum = graph_comp(g, REDUCE_SUM, made->rank, made->n_iters, made->iters, rest, NULL,
                                 made->span);
    const Scalar *value = times(g, f.times, scalar_load_at(g, sum, 0));
    if (f.over) value = scalar_op2(g, OP_DIV, value, f.over);
    const Node *result = graph_map(g, made->rank, made->shape, value, made->span);
    if (made->name) graph_name(result, made->name);
    return result;
}

void pass_factor(Lowered *l)
{
    graph_rewrite(l->g, l->roots, l->n_roots, factor_node, l->g);
}
