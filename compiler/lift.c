/* lift.c -- a node of a loop's body, done for all steps at once.
 *
 * A comprehension or scatter of the body becomes one with the steps as its first axis: LEAF_TIME turns
 * into that axis' iterator, and what it loads of the body is read from where it stands for all steps. */
#include "ir.h"

typedef struct Lift {
    Graph *g;
    const Loop *loop;
    const Node *(*all_steps)(void *data, const Node *node);
    void *data;
} Lift;

static const Scalar *lift_load(void *data, const Scalar *load)
{
    const Lift *lift = data;
    const Node *node = load->node;
    if (!loops_have(node->free, lift->loop)) return NULL;
    if (node->kind == NODE_LEAF && node->leaf->kind == LEAF_TIME) return scalar_iter(lift->g, 0);
    const Scalar *subs[MAX_RANK] = {scalar_iter(lift->g, 0)};
    for (int k = 0; k < load->n_args; k++)
        subs[k + 1] = load->args[k];
    return scalar_load(lift->g, lift->all_steps(lift->data, node), subs, load->outside, load->span);
}

static const Scalar *lift_scalar(Lift *lift, const Scalar *a)
{
    const Scalar *map[MAX_ITERS];
    if (!a) return NULL;
    for (int i = 0; i + 1 < MAX_ITERS; i++)
        map[i] = scalar_iter(lift->g, i + 1);
    a = scalar_substitute(lift->g, a, map, MAX_ITERS - 1);
    return scalar_replace_loads(lift->g, a, lift_load, lift);
}

static void lift_extents(Lift *lift, const Extent *from, int n, Extent *to)
{
    to[0] = lift->loop->extent;
    for (int i = 0; i < n; i++)
        to[i + 1] = (Extent){from[i].max, lift_scalar(lift, from[i].size)};
}

bool node_can_lift(const Node *node)
{
    bool domain = node->kind == NODE_COMP || node->kind == NODE_SCATTER;
    return domain && node->rank < MAX_RANK - 1 && node->n_iters < MAX_ITERS - MAX_RANK;
}

const Node *node_lift(Graph *g, const Node *node, const Loop *loop,
                      const Node *(*all_steps)(void *data, const Node *node), void *data)
{
    Lift lift = {g, loop, all_steps, data};
    Extent iters[MAX_ITERS], shape[MAX_RANK];
    lift_extents(&lift, node->iters, node->n_iters, iters);
    const Scalar *body = lift_scalar(&lift, node->body), *guard = lift_scalar(&lift, node->guard);
    if (node->kind == NODE_COMP)
        return graph_comp(g, node->reduce, node->rank + 1, node->n_iters + 1, iters, body, guard,
                          node->span);
    const Scalar *position[MAX_RANK] = {scalar_iter(g, 0)};
    for (int k = 0; k < node->rank; k++)
        position[k + 1] = lift_scalar(&lift, node->position[k]);
    lift_extents(&lift, node->shape, node->rank, shape);
    return graph_scatter(g, node->rank + 1, shape, position, node->n_iters + 1, iters, body, guard,
                         node->span);
}

const Node *node_at_step(Graph *g, const Node *all, const Node *like, const Loop *loop)
{
    const Scalar *subs[MAX_RANK] = {
        scalar_load(g, graph_time(g, loop), NULL, NULL, like->span)};
    for (int k = 0; k < like->rank; k++)
        subs[k + 1] = scalar_iter(g, k);
    const Node *node = graph_map(g, like->rank, like->shape,
                                 scalar_load(g, all, subs, NULL, like->span), like->span);
    if (like->name) graph_name(node, like->name);
    return node;
}
