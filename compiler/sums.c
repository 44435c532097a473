/* sums.c -- sums over the examples that are only ever added up become one.
 *
 * The gradient of a layer that is used more than once, as a derivative of its network is, adds up
 * a sum over the examples for each use. Where a group of narrow layers (lanes.c) computes them
 * together they become one sum of all their terms: one array to add to for each block of examples,
 * and one set of register tiles. Elsewhere each is a matrix product, and stays one. */
#include "lower.h"

enum { MAX_LEAVES = 64 };

typedef struct Sums {
    Lowered *l;
    LanePlan *plan;
    Map added_in; /* from a sink to the one sum of values that reads it, or to itself: it is read
                     elsewhere */
} Sums;

static bool is_addition(const Scalar *a)
{
    return a->kind == SCALAR_OP && a->op == OP_ADD && a->type == TYPE_REAL;
}

/* What a tree of additions adds; false if that is too much. */
static bool leaves_of(Arena *arena, const Scalar *a, Scalars *leaves)
{
    if (is_addition(a))
        return leaves_of(arena, a->args[0], leaves) && leaves_of(arena, a->args[1], leaves);
    vec_push(arena, leaves, a);
    return leaves->len <= MAX_LEAVES;
}

/* Whether the node is one of a kept group's sums over the examples alone. */
static bool is_sum(const Sums *s, const Node *node)
{
    const LaneGroup *group = map_get(&s->plan->sink_of, node);
    return group && group->kept && node->reduce == REDUCE_SUM && !node->guard &&
           node->n_iters == node->rank + 1;
}

static void note(Sums *s, const Node *node, const void *tree)
{
    if (!is_sum(s, node)) return;
    const void *known = map_get(&s->added_in, node);
    if (known && known != tree) tree = node;
    map_put(&s->added_in, node, (void *)(uintptr_t)tree);
}

/* --- where sums are read ---------------------------------------------------------------------- */

typedef struct Walk {
    Sums *s;
    Map seen;
    Scalars trees; /* of additions, the largest */
} Walk;

static void walk(Walk *w, const Scalar *a)
{
    Arena *arena = w->s->l->arena;
    if (map_get(&w->seen, a)) return;
    map_put(&w->seen, a, w);
    Scalars leaves = {0};
    if (is_addition(a) && leaves_of(arena, a, &leaves)) {
        vec_push(arena, &w->trees, a);
        for (int i = 0; i < leaves.len; i++) {
            const Scalar *leaf = leaves.data[i];
            if (leaf->kind == SCALAR_LOAD && !leaf->outside) note(w->s, leaf->node, a);
            if (leaf->kind != SCALAR_LOAD || leaf->outside) walk(w, leaf);
        }
        return;
    }
    if (a->kind == SCALAR_LOAD) note(w->s, a->node, a->node);
    for (int i = 0; i < a->n_args; i++)
        walk(w, a->args[i]);
    if (a->outside) walk(w, a->outside);
}

static Walk trees_find(Sums *s, const Node *node)
{
    Walk w = {.s = s, .seen = map_new(s->l->arena)};
    if (node->kind == NODE_COMP) walk(&w, node->body);
    return w;
}

static void load_note(void *data, const Scalar *a)
{
    Sums *s = data;
    if (a->kind == SCALAR_LOAD) note(s, a->node, a->node);
}

static void uses_note(Sums *s, const Node *node)
{
    if (node->kind != NODE_COMP) {
        for (int i = 0; i < node->operands.len; i++)
            note(s, node->operands.data[i], node->operands.data[i]);
        return;
    }
    trees_find(s, node);
    if (node->guard) scalar_visit(node->guard, load_note, s);
    for (int i = 0; i < node->n_iters; i++)
        if (node->iters[i].size) scalar_visit(node->iters[i].size, load_note, s);
}

/* --- one sum ---------------------------------------------------------------------------------- */

/* Whether the leaf's sum is added here alone. */
static bool leaf_joins(const Sums *s, const Scalar *tree, const Scalar *leaf)
{
    return leaf->kind == SCALAR_LOAD && !leaf->outside && is_sum(s, leaf->node) &&
           map_get(&s->added_in, leaf->node) == tree;
}

static bool leaves_alike(const Sums *s, const Scalar *a, const Scalar *b)
{
    const Node *x = a->node, *y = b->node;
    bool alike =
        x->n_iters == y->n_iters && map_get(&s->plan->sink_of, x) == map_get(&s->plan->sink_of, y);
    for (int i = 0; alike && i < x->n_iters; i++)
        alike = extent_equal(x->iters[i], y->iters[i]);
    for (int i = 0; alike && i < a->n_args; i++)
        alike = a->args[i] == b->args[i];
    return alike;
}

static const Scalar *add(Graph *g, const Scalar *a, const Scalar *b)
{
    return a ? scalar_op2(g, OP_ADD, a, b) : b;
}

/* The tree with every set of sums that can be one read as that one. */
static const Scalar *tree_join(Sums *s, Rewrite *rewrite, const Scalar *tree)
{
    Graph *g = s->l->g;
    Scalars leaves = {0};
    leaves_of(s->l->arena, tree, &leaves);
    const Scalar *value = NULL;
    bool joined = false;
    for (int i = 0; i < leaves.len; i++) {
        const Scalar *leaf = leaves.data[i];
        if (!leaf) continue;
        const Node *node = leaf->node;
        const Scalar *terms = NULL;
        for (int k = i + 1; k < leaves.len && leaf_joins(s, tree, leaf); k++) {
            const Scalar *other = leaves.data[k];
            if (!other || !leaf_joins(s, tree, other) || !leaves_alike(s, leaf, other)) continue;
            terms = add(g, terms ? terms : node->body, other->node->body);
            leaves.data[k] = NULL;
        }
        if (terms) {
            node = graph_comp(g, REDUCE_SUM, node->rank, node->n_iters, node->iters, terms, NULL,
                              node->span);
            node = rewrite_operands(rewrite, node);
            leaf = scalar_load(g, node, leaf->args, NULL, leaf->span);
            joined = true;
        }
        value = add(g, value, leaf);
    }
    return joined ? value : tree;
}

static const Node *node_join(void *data, Rewrite *rewrite, const Node *node)
{
    Sums *s = data;
    Walk w = trees_find(s, node);
    const Scalar *body = node->body;
    for (int i = 0; i < w.trees.len; i++) {
        const Scalar *tree = w.trees.data[i], *joined = tree_join(s, rewrite, tree);
        if (joined != tree) body = scalar_replace(s->l->g, body, tree, joined);
    }
    if (node->kind != NODE_COMP || body == node->body) return NULL;
    const Node *made = graph_comp(s->l->g, node->reduce, node->rank, node->n_iters, node->iters,
                                  body, node->guard, node->span);
    if (node->name) graph_name(made, node->name);
    return rewrite_operands(rewrite, made);
}

void pass_sums(Lowered *l)
{
    l->demand = entry_demand(l, l->arena);
    places_find(l);
    Region *region = graph_regions(l->arena, l->roots, l->n_roots, demand_before(l->demand));
    if (region->inner.len) return;
    Sums s = {.l = l, .plan = lanes_plan(l, &region->nodes), .added_in = map_new(l->arena)};
    bool kept = false;
    for (int i = 0; i < s.plan->groups.len; i++)
        kept = kept || s.plan->groups.data[i]->kept;
    if (!kept) return;
    for (int i = 0; i < l->n_roots; i++)
        note(&s, l->roots[i], l->roots[i]);
    for (int i = 0; i < region->nodes.len; i++)
        uses_note(&s, region->nodes.data[i]);
    graph_rewrite(l->g, l->roots, l->n_roots, node_join, &s);
}
