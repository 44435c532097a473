/* demand.c -- what is needed only where a condition holds.
 *
 * The branch of a choice whose condition is one truth value for the whole tensor is needed where the condition
 * holds. Going from the roots to what they are computed from, a node is needed where any of its uses is: it has
 * the conditions that all of them have in common. A condition is known before what depends on it, since
 * whatever leads to the node passes the choice, which asks the condition first; so it is never computed from
 * the node, and its own conditions are among the node's.
 *
 * In the body of a loop conditions may depend on the step. What is computed outside has those only that are
 * known there. */
#include "demand.h"

#include <assert.h>
#include <stdlib.h>

typedef VEC(const When *) Whens;

struct Demand {
    Graph *g;
    Arena *arena;
    const When *always;
    Whens known;
    Map when;   /* from Node to When; nodes that no use of is seen yet have none */
    Map before; /* from Node to Nodes */
};

/* --- sets of conditions ----------------------------------------------------------------------------------- */

static int when_find(const When *w, const Node *node, bool holds)
{
    for (int i = 0; i < w->nodes.len; i++)
        if (w->nodes.data[i] == node && w->holds[i] == holds) return i;
    return -1;
}

bool when_within(const When *a, const When *b)
{
    for (int i = 0; i < a->nodes.len; i++)
        if (when_find(b, a->nodes.data[i], a->holds[i]) < 0) return false;
    return true;
}

/* The set of these, which is one that is known if there is an equal one. */
static const When *when_new(Demand *d, const Nodes *nodes, const bool *holds)
{
    When made = {.nodes = *nodes, .holds = holds};
    for (int i = 0; i < d->known.len; i++)
        if (d->known.data[i]->nodes.len == nodes->len && when_within(&made, d->known.data[i]))
            return d->known.data[i];
    for (int i = 0; i < nodes->len; i++) {
        const Scalar *read = scalar_load(d->g, nodes->data[i], NULL, NULL, NO_SPAN);
        made.reads = made.reads ? scalar_op2(d->g, OP_AND, made.reads, read) : read;
    }
    const When *kept = arena_copy(d->arena, &made, sizeof made);
    vec_push(d->arena, &d->known, kept);
    return kept;
}

typedef bool KeepFn(const void *data, const Node *node, bool holds);

static const When *when_filter(Demand *d, const When *w, KeepFn *keep, const void *data)
{
    Nodes nodes = {0};
    bool *holds = NEW_ARRAY(d->arena, bool, w->nodes.len + 1);
    for (int i = 0; i < w->nodes.len; i++) {
        if (!keep(data, w->nodes.data[i], w->holds[i])) continue;
        holds[nodes.len] = w->holds[i];
        vec_push(d->arena, &nodes, w->nodes.data[i]);
    }
    return nodes.len == w->nodes.len ? w : when_new(d, &nodes, holds);
}

static bool keep_common(const void *data, const Node *node, bool holds)
{
    return when_find(data, node, holds) >= 0;
}

static bool keep_other(const void *data, const Node *node, bool holds)
{
    return when_find(data, node, holds) < 0;
}

/* Whether the condition is known where a value is computed that depends on the loops of the set. */
static bool keep_known(const void *data, const Node *node, bool holds)
{
    (void)holds;
    for (int i = 0; node->free && i < node->free->n; i++)
        if (!loops_have(data, node->free->loops[i])) return false;
    return true;
}

const When *when_common(Demand *d, const When *a, const When *b)
{
    return a == b ? a : when_filter(d, a, keep_common, b);
}

const When *when_without(Demand *d, const When *a, const When *b)
{
    return when_filter(d, a, keep_other, b);
}

static const When *when_add(Demand *d, const When *w, const Node *node, bool holds)
{
    if (when_find(w, node, holds) >= 0) return w;
    Nodes nodes = {0};
    bool *all = NEW_ARRAY(d->arena, bool, w->nodes.len + 1);
    for (int i = 0; i < w->nodes.len; i++) {
        all[i] = w->holds[i];
        vec_push(d->arena, &nodes, w->nodes.data[i]);
    }
    all[nodes.len] = holds;
    vec_push(d->arena, &nodes, node);
    return when_new(d, &nodes, all);
}

/* --- conditions ------------------------------------------------------------------------------------------- */

/* Whether the scalar is one value for the whole tensor, and can be computed anywhere without harm. */
static bool is_plain(const Scalar *s)
{
    if (s->iters || s->outside) return false;
    if (s->kind == SCALAR_OP && (s->op == OP_IDIV || s->op == OP_MOD) &&
        (s->args[1]->kind != SCALAR_CONST || s->args[1]->value == 0))
        return false;
    for (int i = 0; i < s->n_args; i++) {
        if (s->kind == SCALAR_LOAD && !load_is_safe(s, i, NULL, 0)) return false;
        if (!is_plain(s->args[i])) return false;
    }
    return true;
}

/* The node of a condition. What is kept changes at the end of the entry or of the step: its value of before
 * becomes one of its own. */
static const Node *condition_node(Demand *d, const Scalar *cond)
{
    const Node *base = cond->kind == SCALAR_LOAD && cond->node->rank == 0 ? cond->node : NULL;
    while (base && (base->kind == NODE_RESHAPE || base->kind == NODE_TAG))
        base = base->arg;
    if (base && base->kind != NODE_LEAF) return cond->node;
    if (base) cond = scalar_op2(d->g, OP_EQ, cond, scalar_bool(d->g, true));
    const Node *node = graph_map(d->g, 0, NULL, cond, cond->span);
    graph_name(node, name_of(graph_context(d->g), "taken"));
    return node;
}

/* What the condition is computed from, if it is a node of its own that joins others. */
static const Scalar *condition_parts(const Scalar *cond)
{
    bool joined = cond->kind == SCALAR_LOAD && cond->node->rank == 0 && node_is_map(cond->node);
    const Scalar *body = joined ? cond->node->body : cond;
    bool logic = body->kind == SCALAR_OP &&
                 (body->op == OP_NOT || body->op == OP_AND || body->op == OP_OR);
    return logic ? body : cond;
}

static void node_use(Demand *d, const Node *node, const When *when);

/* What must hold in the branch of a choice that is taken where the condition `holds`. */
static const When *branch_when(Demand *d, const When *w, const Scalar *cond, bool holds)
{
    cond = condition_parts(cond);
    if (cond->kind == SCALAR_OP && cond->op == OP_NOT) return branch_when(d, w, cond->args[0], !holds);
    if (cond->kind == SCALAR_OP && cond->op == (holds ? OP_AND : OP_OR)) {
        w = branch_when(d, w, cond->args[0], holds);
        return branch_when(d, w, cond->args[1], holds);
    }
    if (cond->kind == SCALAR_CONST || !is_plain(cond)) return w;
    const Node *node = condition_node(d, cond);
    node_use(d, node, w);
    return when_add(d, w, node, holds);
}

/* --- uses ------------------------------------------------------------------------------------------------- */

static void node_use(Demand *d, const Node *node, const When *when)
{
    when = when_filter(d, when, keep_known, node->free);
    const When *old = map_get(&d->when, node);
    if (old) when = when_common(d, old, when);
    if (when != old) map_put(&d->when, node, (void *)(uintptr_t)when);
}

typedef struct Body {
    Demand *d;
    Map when;    /* from the body's Scalars to When */
    Scalars all; /* operands first */
} Body;

static void scalar_add(void *data, const Scalar *s)
{
    Body *b = data;
    vec_push(b->d->arena, &b->all, s);
}

static int scalar_compare(const void *a, const void *b)
{
    const Scalar *x = *(const Scalar *const *)a, *y = *(const Scalar *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void scalar_use(Body *b, const Scalar *s, const When *when)
{
    if (!s) return;
    const When *old = map_get(&b->when, s);
    if (old) when = when_common(b->d, old, when);
    map_put(&b->when, s, (void *)(uintptr_t)when);
}

static void body_use(Demand *d, const Scalar *body, const When *when);

static void operands_use(Body *b, const Scalar *s, const When *when)
{
    if (s->kind == SCALAR_OP && s->op == OP_SELECT) {
        scalar_use(b, s->args[0], when);
        scalar_use(b, s->args[1], branch_when(b->d, when, s->args[0], true));
        scalar_use(b, s->args[2], branch_when(b->d, when, s->args[0], false));
        return;
    }
    for (int i = 0; i < s->n_args; i++)
        scalar_use(b, s->args[i], when);
    scalar_use(b, s->outside, when);
    if (s->kind != SCALAR_LOAD) return;
    node_use(b->d, s->node, when);
    for (int k = 0; k < s->node->rank; k++) /* what a subscript is compared with */
        body_use(b->d, s->node->shape[k].size, when);
}

/* Notes what a scalar reads that is evaluated where `when` holds. */
static void body_use(Demand *d, const Scalar *body, const When *when)
{
    if (!body) return;
    Body b = {.d = d, .when = map_new(d->arena)};
    scalar_visit(body, scalar_add, &b);
    qsort(b.all.data, (size_t)b.all.len, sizeof *b.all.data, scalar_compare);
    scalar_use(&b, body, when);
    for (int i = b.all.len - 1; i >= 0; i--)
        operands_use(&b, b.all.data[i], map_get(&b.when, b.all.data[i]));
}

static void extents_use(Demand *d, const Extent *extents, int n, const When *when)
{
    for (int i = 0; i < n; i++)
        body_use(d, extents[i].size, when);
}

/* Where the value is something else than the old one. */
static const When *changed_when(Demand *d, const When *w, const Node *value, const Node *old)
{
    if (!old || !node_is_map(value) || value->rank != old->rank) return w;
    const Scalar *same = scalar_load_at(d->g, old, 0), *body = value->body;
    while (body->kind == SCALAR_OP && body->op == OP_SELECT &&
           (body->args[1] == same || body->args[2] == same)) {
        bool holds = body->args[2] == same;
        w = branch_when(d, w, body->args[0], holds);
        body = body->args[holds ? 1 : 2];
    }
    return w;
}

/* Notes what a node reads that is needed where `w` holds. */
static void operands_note(Demand *d, const Node *node, const When *w)
{
    extents_use(d, node->shape, node->rank, w);
    extents_use(d, node->iters, node->n_iters, w);
    if (node->loop) extents_use(d, &node->loop->extent, 1, w);
    body_use(d, node->guard, w);
    const When *inside = node->guard ? branch_when(d, w, node->guard, true) : w;
    body_use(d, node->body, inside);
    for (int k = 0; node->position && k < node->rank; k++)
        body_use(d, node->position[k], inside);
    if (node->arg) node_use(d, node->arg, w);
    for (int k = 0; k < node->n_pieces; k++)
        node_use(d, node->pieces[k].part, w);
    for (int k = 0; k < node->n_carries; k++) {
        const Carry *c = &node->carries[k];
        node_use(d, c->leaf, w);
        node_use(d, c->init, w);
        node_use(d, c->next, changed_when(d, w, c->next, c->leaf));
    }
    if (node->value) node_use(d, node->value, w);
}

/* --- the whole -------------------------------------------------------------------------------------------- */

static void before_note(Demand *d, const Node *node)
{
    const When *when = demand_when(d, node);
    if (when->nodes.len) map_put(&d->before, node, (void *)(uintptr_t)&when->nodes);
}

Demand *demand_find(Graph *g, Arena *arena, const Node *const *roots, const Node *const *olds, int n_roots)
{
    Demand *d = NEW(arena, Demand);
    *d = (Demand){.g = g, .arena = arena, .when = map_new(arena), .before = map_new(arena)};
    d->always = when_new(d, &(Nodes){0}, NULL);
    Nodes nodes = graph_reach(arena, roots, n_roots);
    for (int i = 0; i < n_roots; i++)
        if (roots[i]) node_use(d, roots[i], changed_when(d, d->always, roots[i], olds ? olds[i] : NULL));
    for (int i = nodes.len - 1; i >= 0; i--)
        operands_note(d, nodes.data[i], map_get(&d->when, nodes.data[i]));
    for (int i = 0; i < nodes.len; i++)
        before_note(d, nodes.data[i]);
    for (int i = 0; i < d->known.len; i++)
        for (int k = 0; k < d->known.data[i]->nodes.len; k++)
            before_note(d, d->known.data[i]->nodes.data[k]);
    return d;
}

const When *demand_when(const Demand *d, const Node *node)
{
    const When *when = node->kind == NODE_LEAF ? NULL : map_get(&d->when, node);
    return when ? when : d->always;
}

const When *when_always(const Demand *d)
{
    return d->always;
}

const Map *demand_before(const Demand *d)
{
    return &d->before;
}
