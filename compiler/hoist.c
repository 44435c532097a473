/* hoist.c -- what the body of a scan does by time alone is done outside, for all steps at once.
 *
 * A reduction that depends on a loop's step but on none of its carries (x[t, n] * w[n, u] summed over n) is
 * lifted (lift.c): one product over all steps in place of one for each. The body reads the step's part. What
 * is yielded by time alone needs no loop either. What only some steps need stays in the body; so does a
 * product that is large in each step, whose result is then read from the cache. */
#include "kernel.h"
#include "simplify.h"

enum {
    ENOUGH_ROWS = 32,      /* that use each element of a factor */
    RESIDENT = 256 * 1024 /* elements of a result that stay in the cache until they are read */
};

typedef struct Hoist {
    Graph *g;
    Arena *scratch;
    Map carried;      /* from Node to the loops whose carries it depends on, in a Carried */
    const Loop *loop; /* being hoisted out of */
    Demand *demand;   /* of the graph as it was */
} Hoist;

typedef struct Carried {
    const LoopSet *loops;
} Carried;

/* The loops on whose carries the node depends. */
static const LoopSet *carried_by(Hoist *h, const Node *node)
{
    if (!node->free) return NULL;
    const Carried *known = map_get(&h->carried, node);
    if (known) return known->loops;
    const LoopSet *set = NULL;
    if (node->kind == NODE_LEAF && node->leaf->kind == LEAF_CARRY) set = &node->leaf->loop->only;
    Nodes operands = node->operands;
    for (int i = 0; i < operands.len; i++)
        set = loops_union(h->g, set, carried_by(h, operands.data[i]));
    if (node->kind == NODE_SCAN) set = loops_without(h->g, set, node->loop);
    if (node->kind == NODE_YIELD) set = loops_without(h->g, set, node->arg->loop);
    Carried *c = NEW(h->scratch, Carried);
    c->loops = set;
    map_put(&h->carried, node, c);
    return set;
}

/* --- all steps of a node ---------------------------------------------------------------------------- */

/* Whether the node, which depends on the loop by time alone, can be done for all steps. */
static bool can_lift(Hoist *h, const Node *node)
{
    if (!loops_have(node->free, h->loop)) return true;
    if (node->kind == NODE_LEAF) return node->leaf->kind == LEAF_TIME;
    bool simple = node->kind == NODE_RESHAPE || node->kind == NODE_PIECES;
    if (!simple && !node_can_lift(node)) return false;
    if (node->rank >= MAX_RANK - 1 || loops_have(carried_by(h, node), h->loop)) return false;
    Nodes operands = node->operands;
    for (int i = 0; i < operands.len; i++)
        if (!can_lift(h, operands.data[i])) return false;
    return true;
}

/* The tensor whose part at the step the node is, or NULL. */
static const Node *steps_known(const Hoist *h, const Node *node)
{
    if (!node_is_map(node) || node->body->kind != SCALAR_LOAD || node->body->outside) return NULL;
    const Scalar *load = node->body;
    if (load->n_args != node->rank + 1 || loops_have(load->node->free, h->loop)) return NULL;
    const Scalar *time = load->args[0];
    if (time->kind != SCALAR_LOAD || time->node != graph_time(h->g, h->loop)) return NULL;
    for (int k = 0; k < node->rank; k++)
        if (load->args[k + 1] != scalar_iter(h->g, k) ||
            !extent_equal(load->node->shape[k + 1], node->shape[k]))
            return NULL;
    return extent_equal(load->node->shape[0], h->loop->extent) ? load->node : NULL;
}

static const Node *steps_of(void *data, const Node *node);

static const Node *steps_of_pieces(Hoist *h, const Node *node, const Extent *shape)
{
    Piece *pieces = NEW_ARRAY(h->scratch, Piece, node->n_pieces);
    const Extent *inner = node->shape;
    for (int i = 0; i < node->n_pieces; i++) {
        pieces[i] = node->pieces[i];
        const Node *part = pieces[i].part;
        if (!loops_have(part->free, h->loop)) { /* the same at every step */
            Extent axes[MAX_RANK] = {h->loop->extent};
            memcpy(axes + 1, part->shape, sizeof *inner * (size_t)part->rank);
            pieces[i].part = graph_map(h->g, part->rank + 1, axes, scalar_load_at(h->g, part, 1),
                                       part->span);
        } else {
            pieces[i].part = steps_of(h, part);
        }
    }
    return graph_pieces(h->g, node->type, node->rank + 1, shape, node->axis + 1, node->n_pieces,
                        pieces, node->span);
}

static const Node *steps_of(void *data, const Node *node)
{
    Hoist *h = data;
    const Node *known = steps_known(h, node);
    if (known) return known;
    if (node->kind == NODE_COMP || node->kind == NODE_SCATTER)
        return node_lift(h->g, node, h->loop, steps_of, h);
    Extent shape[MAX_RANK] = {h->loop->extent};
    memcpy(shape + 1, node->shape, sizeof *shape * (size_t)node->rank);
    if (node->kind == NODE_PIECES) return steps_of_pieces(h, node, shape);
    return graph_reshape(h->g, steps_of(h, node->arg), node->rank + 1, shape, node->span);
}

static bool is_sized(const Node *node)
{
    for (int k = 0; k < node->rank; k++)
        if (node->shape[k].size && node->shape[k].size->iters) return true;
    return false;
}

static double points_of(const Node *node)
{
    double points = 1;
    for (int i = 0; i < node->n_iters; i++)
        points *= (double)node->iters[i].max;
    return points;
}

/* Whether a step alone is work enough, and its result is better read at once than kept for all of them: a sum of
 * products with a factor that is the same at every step and used for many rows in each. */
static bool suffices(const Node *node, const Loop *loop)
{
    const Scalar *body = node->body;
    if (node->kind != NODE_COMP || node->reduce != REDUCE_SUM || body->kind != SCALAR_OP ||
        body->op != OP_MUL || body->type != TYPE_REAL)
        return false;
    for (int f = 0; f < 2; f++) {
        const Scalar *same = body->args[f], *other = body->args[1 - f];
        if (same->kind != SCALAR_LOAD || other->kind != SCALAR_LOAD || other->outside) return false;
        if (loops_have(same->free, loop) || !loops_have(other->free, loop)) continue;
        return points_of(node) >= ENOUGH_ROWS * (double)node_max_elements(same->node) &&
               (double)node_max_elements(node) * (double)loop->extent.max > RESIDENT;
    }
    return false;
}

/* The node for all steps of a loop, if it depends on it by time alone; else NULL. */
static const Node *lifted_out_of(Hoist *h, const Node *node, const Loop *loop)
{
    h->loop = loop;
    if (!loops_have(node->free, loop) || loops_have(carried_by(h, node), loop)) return NULL;
    if (suffices(node, loop)) return NULL;
    return can_lift(h, node) && !is_sized(node) ? steps_of(h, node) : NULL;
}

/* --- the pass ---------------------------------------------------------------------------------------- */

static const Node *hoisted(Hoist *h, const Node *node)
{
    for (int i = 0; node->free && i < node->free->n; i++) {
        const Loop *loop = node->free->loops[i];
        const Node *all = lifted_out_of(h, node, loop);
        if (all) return node_at_step(h->g, hoisted(h, all), node, loop);
    }
    return node;
}

/* Whether conditions on a loop's step or carries decide that the node is needed. */
static bool in_some_steps(const Hoist *h, const Node *node)
{
    const When *when = demand_when(h->demand, node);
    for (int i = 0; i < when->nodes.len; i++)
        if (when->nodes.data[i]->free) return true;
    return false;
}

static const Node *hoist_node(void *data, Rewrite *rewrite, const Node *node)
{
    Hoist *h = data;
    if (node->kind != NODE_YIELD && !node->free) return NULL;
    const Node *made = rewrite_operands(rewrite, node);
    bool reduces = made->kind == NODE_SCATTER || (made->kind == NODE_COMP && !node_is_map(made));
    if (reduces) return in_some_steps(h, node) ? made : hoisted(h, made);
    if (made->kind != NODE_YIELD) return made;
    const Node *all = lifted_out_of(h, made->value, made->arg->loop);
    if (all && made->name) graph_name(all, made->name);
    return all ? all : made;
}

void graph_hoist(Graph *g, const Node **roots, int n_roots)
{
    Arena *scratch = arena_new();
    Hoist h = {.g = g, .scratch = scratch, .carried = map_new(scratch)};
    h.demand = demand_find(g, scratch, roots, NULL, n_roots);
    graph_rewrite(g, roots, n_roots, hoist_node, &h);
    arena_free(scratch);
}

void pass_hoist(Lowered *l)
{
    graph_hoist(l->g, l->roots, l->n_roots);
}
