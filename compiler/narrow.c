/* narrow.c -- what depends on few of the axes of a body is computed once for all others.
 *
 * In y[i, j, k] = (x[i, j, k] - m[k]) / sqrt(v[k] + e) the root is the same for all i and j. What does not depend
 * on a loop inside is computed in front of it when code is made; but the root depends on the innermost one, and so
 * it becomes a tensor of its own, [k]. That pays where it is dear, and needed for many points each. */
#include "kernel.h"

enum { CHEAP = 3 /* as inline.c has it */, OFTEN = 8, LITTLE = 2000 /* operations */ };

typedef struct Narrow {
    Graph *g;
    const Node *node;
    Map done; /* from a scalar to what it became */
    int cost; /* of the scalar at hand */
    bool safe;
} Narrow;

static void part_visit(void *data, const Scalar *s)
{
    Narrow *n = data;
    if (s->kind == SCALAR_DRAW || s->type == TYPE_U8) n->safe = false;
    if (s->kind == SCALAR_OP && s->type == TYPE_INT && (s->op == OP_IDIV || s->op == OP_MOD)) n->safe = false;
    if (s->kind == SCALAR_OP && s->type != TYPE_INT) n->cost += op_cost(s->op);
    for (int k = 0; s->kind == SCALAR_LOAD && k < s->n_args; k++)
        if (!load_is_safe(s, k, n->node->iters, n->node->n_iters)) n->safe = false;
}

/* How many points of the node have the same value of a part that depends on these iterators; 1 where that is so
 * only for loops inside of all of them. */
static double points_alike(const Node *node, uint64_t iters)
{
    double points = 1;
    bool outside = false;
    for (int i = 0; i < node->n_iters; i++) {
        if (iters >> i & 1) continue;
        points *= (double)node->iters[i].max;
        outside = outside || iters >> i;
    }
    return outside ? points : 1;
}

static double points_of(const Node *node)
{
    double points = 1;
    for (int i = 0; i < node->n_iters; i++)
        points *= (double)node->iters[i].max;
    return points;
}

static bool worth_it(Narrow *n, const Scalar *s)
{
    if (s->kind != SCALAR_OP || s->type != TYPE_REAL || !s->iters) return false;
    if (points_alike(n->node, s->iters) < OFTEN) return false;
    int axes = 0;
    for (int i = 0; i < n->node->n_iters; i++) {
        if (!(s->iters >> i & 1)) continue;
        axes++;
        if (n->node->iters[i].size && n->node->iters[i].size->iters) return false;
    }
    n->cost = 0;
    n->safe = axes <= MAX_RANK;
    scalar_visit(s, part_visit, n);
    return n->safe && n->cost > CHEAP && n->cost * points_of(n->node) > LITTLE;
}

/* The part as a tensor, and its element for the iterators at hand. */
static const Scalar *part_load(Narrow *n, const Scalar *s)
{
    Graph *g = n->g;
    Extent shape[MAX_RANK];
    const Scalar *subs[MAX_RANK], *map[MAX_ITERS] = {0};
    int rank = 0;
    for (int i = 0; i < n->node->n_iters; i++) {
        if (!(s->iters >> i & 1)) continue;
        shape[rank] = n->node->iters[i];
        map[i] = scalar_iter(g, rank);
        subs[rank++] = scalar_iter(g, i);
    }
    const Scalar *body = scalar_substitute(g, s, map, MAX_ITERS);
    return scalar_load(g, graph_map(g, rank, shape, body, s->span), subs, NULL, s->span);
}

static const Scalar *parts_take(Narrow *n, const Scalar *s)
{
    if (s->kind != SCALAR_OP) return s;
    const Scalar *known = map_get(&n->done, s), *args[3];
    if (known) return known;
    if (worth_it(n, s)) {
        known = part_load(n, s);
    } else {
        bool same = true;
        for (int i = 0; i < s->n_args; i++) {
            args[i] = parts_take(n, s->args[i]);
            same = same && args[i] == s->args[i];
        }
        known = same ? s : scalar_op(n->g, s->op, args, s->span);
    }
    map_put(&n->done, s, (void *)(uintptr_t)known);
    return known;
}

static const Node *narrow_build(void *data, Rewrite *rewrite, const Node *node)
{
    Graph *g = data;
    const Node *made = rewrite_operands(rewrite, node);
    if (made->kind != NODE_COMP || made->n_iters < 2) return made;
    Arena *scratch = arena_new();
    Narrow n = {.g = g, .node = made, .done = map_new(scratch)};
    const Scalar *body = parts_take(&n, made->body);
    arena_free(scratch);
    if (body == made->body) return made;
    const Node *result = graph_comp(g, made->reduce, made->rank, made->n_iters, made->iters, body,
                                    made->guard, made->span);
    if (made->name) graph_name(result, made->name);
    return result;
}

void pass_narrow(Lowered *l)
{
    graph_rewrite(l->g, l->roots, l->n_roots, narrow_build, l->g);
}
