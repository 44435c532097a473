/* simplify_outside.c -- `x[e] outside 0` instead of a test that e lies inside x.
 *
 * In a sum of products whose guard says 0 <= e < N, N the extent of an axis that one factor reads
 * at e, the points that the guard leaves out add zero anyway if that factor is zero outside.
 * Without the guard the sum is a convolution like any other. Only where all else can be evaluated
 * there, too. */
#include "autodiff.h"
#include "simplify.h"

/* Whether the body is a product in which the load is one factor, once. */
static bool factor_of(const Scalar *body, const Scalar *load)
{
    if (body == load) return true;
    if (body->kind != SCALAR_OP) return false;
    if (body->op == OP_NEG || body->op == OP_DIV) return factor_of(body->args[0], load);
    if (body->op != OP_MUL) return false;
    return factor_of(body->args[0], load) != factor_of(body->args[1], load);
}

/* Whether the part is `0 <= index` or `index < extent`. */
static bool part_bounds(const Scalar *part, const Scalar *index, Extent extent)
{
    if (part->kind != SCALAR_OP) return false;
    if (part->op == OP_LE) return scalar_is_const(part->args[0], 0) && part->args[1] == index;
    if (part->op != OP_LT || part->args[0] != index) return false;
    if (extent.size) return part->args[1] == extent.size;
    return scalar_is_const(part->args[1], (double)extent.max);
}

typedef struct Exchange {
    Graph *g;
    const Scalar *load, *other;
} Exchange;

static const Scalar *exchange(void *data, const Scalar *load)
{
    const Exchange *e = data;
    return load == e->load ? e->other : NULL;
}

static const Scalar *load_exchange(Graph *g, const Scalar *a, const Scalar *load,
                                   const Scalar *other)
{
    Exchange e = {g, load, other};
    return scalar_replace_loads(g, a, exchange, &e);
}

/* The sum with one factor read `outside 0` in place of parts of the guard, or NULL. */
static const Node *load_widen(Graph *g, Diff *d, const Node *node, const Scalar *load)
{
    bool zero = load->outside && !scalar_is_const(load->outside, 0);
    if (load->type != TYPE_REAL || zero || !factor_of(node->body, load)) return NULL;
    Domain domain = {.n = node->n_iters};
    memcpy(domain.iters, node->iters, sizeof(Extent) * (size_t)node->n_iters);
    Scalars parts = test_parts(d->scratch, node->guard);
    const Scalar *guard = NULL;
    bool widened = false, safe = true;
    for (int i = 0; i < parts.len; i++) {
        bool bounds = false;
        for (int k = 0; k < load->n_args && !bounds; k++)
            bounds = part_bounds(parts.data[i], load->args[k], load_extent(g, load, k));
        widened = widened || bounds;
        if (bounds) continue;
        safe = safe && loads_proven(&domain, parts.data[i]);
        guard = test_and(g, &domain, guard, parts.data[i]);
    }
    const Scalar *rest = load_exchange(g, node->body, load, scalar_real(g, 2));
    if (!widened || !safe || !scalar_presumed_finite(d, rest)) return NULL;
    const Scalar *wide = scalar_load(g, load->node, load->args, scalar_real(g, 0), load->span);
    const Scalar *body = load_exchange(g, node->body, load, wide);
    if (!loads_proven(&domain, body)) return NULL;
    return graph_comp(g, REDUCE_SUM, node->rank, node->n_iters, node->iters, body, guard,
                      node->span);
}

const Node *sum_widen(Graph *g, const Node *node)
{
    Arena *scratch = arena_new();
    Diff d = {.g = g, .scratch = scratch, .presumed = map_new(scratch)};
    for (bool changed = true; changed && node->kind == NODE_COMP && node->guard;) {
        changed = false;
        Scalars loads = scalar_loads(scratch, node->body);
        for (int i = 0; i < loads.len && !changed; i++) {
            const Node *wider = load_widen(g, &d, node, loads.data[i]);
            changed = wider != NULL;
            if (wider) node = wider;
        }
    }
    arena_free(scratch);
    return node;
}
