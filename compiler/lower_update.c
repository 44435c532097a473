/* lower_update.c -- values that differ from the old one in one place of an axis only, such as
 * `next memory[i, k] = if i == slot then x[k] else memory[i, k]`: they are written where the old
 * value stands, and nothing else is touched. That is done when everything that reads the old value
 * has, so the new one must be wanted for nothing else, and must not need what else is written before:
 * places come first, so that what is new in one may need what is kept and not written by places. */
#include "lower.h"

typedef struct Conditions {
    VEC(const Scalar *) all; /* all of them hold where the value is a new one */
} Conditions;

struct Place {
    int axis;
    const Scalar *at; /* the place on this axis; may depend on the other axes */
    Conditions others;
    const Scalar *value; /* what is new there */
};

/* --- finding them
 * --------------------------------------------------------------------------------- */

static void condition_add(Arena *arena, Conditions *c, const Scalar *test)
{
    if (test->kind == SCALAR_OP && test->op == OP_AND) {
        condition_add(arena, c, test->args[0]);
        condition_add(arena, c, test->args[1]);
    } else {
        vec_push(arena, &c->all, test);
    }
}

/* The scalar that the test compares an axis with: "i == at". */
static const Scalar *compared(const Scalar *test, int axis)
{
    if (test->kind != SCALAR_OP || test->op != OP_EQ) return NULL;
    for (int side = 0; side < 2; side++) {
        const Scalar *iter = test->args[side], *at = test->args[1 - side];
        if (iter->kind == SCALAR_ITER && iter->iter == axis && !(at->iters >> axis & 1)) return at;
    }
    return NULL;
}

/* What is written by places, and what of all that is kept their new values need. */
typedef struct Placed {
    Map targets, needed;
} Placed;

typedef struct Reads {
    const Node *old;
    int axis;
    Placed *placed;       /* NULL: nothing else that is kept may be needed */
    bool note;            /* what is needed in `placed` */
    bool other_places;    /* of the old value: elsewhere than on this axis */
    bool old_value, kept; /* it, others that are kept */
} Reads;

static void note_read(void *data, const Scalar *s)
{
    Reads *r = data;
    if (s->kind != SCALAR_LOAD) return;
    const Node *node = lower_underlying(s->node);
    bool kept = node->kind == NODE_LEAF &&
                (node->leaf->kind == LEAF_PERSIST || node->leaf->kind == LEAF_CARRY);
    if (node != r->old) {
        bool stays = r->placed && kept && node->leaf->kind == LEAF_PERSIST && !map_get(&r->placed->targets, node);
        if (stays && r->note) map_put(&r->placed->needed, node, (void *)(uintptr_t)node);
        r->kept = r->kept || (kept && !stays);
        return;
    }
    r->old_value = true;
    r->other_places = r->other_places || s->node != node;
    for (int k = 0; k < s->n_args; k++) {
        bool own = s->args[k]->kind == SCALAR_ITER && s->args[k]->iter == k;
        r->other_places = r->other_places || (k != r->axis && !own);
    }
}

/* Whether it can still be computed when other values are being written. */
static bool readable(const Scalar *s, const Node *old, int axis, bool old_value, Placed *placed)
{
    Reads r = {.old = old, .axis = axis, .placed = placed};
    scalar_visit(s, note_read, &r);
    return !r.kept && !r.other_places && (old_value || !r.old_value);
}

static bool place_choose(Place *p, const Node *old, Placed *placed)
{
    for (int i = 0; i < p->others.all.len; i++)
        for (int axis = 0; axis < old->rank; axis++) {
            const Scalar *at = compared(p->others.all.data[i], axis);
            if (!at || !readable(at, old, axis, false, placed)) continue;
            p->axis = axis;
            p->at = at;
            p->others.all.data[i] = p->others.all.data[--p->others.all.len];
            return true;
        }
    return false;
}

static const Place *place_find(Lowered *l, const Node *old, const Node *value, Placed *placed)
{
    if (!node_is_map(value) || value->rank != old->rank || old->rank == 0) return NULL;
    const Scalar *same = scalar_load_at(l->g, old, 0), *body = value->body;
    Place *p = NEW(l->arena, Place);
    while (body->kind == SCALAR_OP && body->op == OP_SELECT &&
           (body->args[1] == same || body->args[2] == same)) {
        bool holds = body->args[2] == same;
        const Scalar *test = holds ? body->args[0] : scalar_op1(l->g, OP_NOT, body->args[0]);
        condition_add(l->arena, &p->others, test);
        body = body->args[holds ? 1 : 2];
    }
    p->value = body;
    if (!place_choose(p, old, placed) || !readable(body, old, p->axis, true, placed)) return NULL;
    for (int i = 0; i < p->others.all.len; i++)
        if (!readable(p->others.all.data[i], old, p->axis, true, placed)) return NULL;
    return p;
}

static void use_count(Map *uses, const Node *node)
{
    map_put(uses, node, (void *)((intptr_t)map_get(uses, node) + 1));
}

static void place_note(Lowered *l, const Map *uses, const Node *old, const Node *value, Placed *placed)
{
    if ((intptr_t)map_get(uses, value) != 1 || map_get(&l->places, value)) return;
    if (placed && map_get(&placed->needed, old)) return;
    const Place *p = place_find(l, old, value, placed);
    if (!p) return;
    map_put(&l->places, value, (void *)(uintptr_t)p);
    if (!placed) return;
    Reads needed = {.old = old, .axis = p->axis, .placed = placed, .note = true};
    map_put(&placed->targets, old, (void *)(uintptr_t)old);
    scalar_visit(value->body, note_read, &needed);
}

/* Those that need nothing else that is kept, then others. */
static void places_of_updates(Lowered *l, const Map *uses)
{
    Placed placed = {map_new(l->arena), map_new(l->arena)};
    const Node **values = l->roots + l->entry->outputs.len;
    for (int k = 0; k < l->entry->updates.len; k++) {
        const Node *old = l->entry->updates.data[k].target->leaf;
        place_note(l, uses, old, values[k], NULL);
        if (map_get(&l->places, values[k])) map_put(&placed.targets, old, (void *)(uintptr_t)old);
    }
    for (int k = 0; k < l->entry->updates.len; k++)
        place_note(l, uses, l->entry->updates.data[k].target->leaf, values[k], &placed);
}

void places_find(Lowered *l)
{
    Nodes nodes = graph_reach(l->arena, l->roots, l->n_roots);
    Map uses = map_new(l->arena);
    l->places = map_new(l->arena);
    for (int k = 0; k < l->n_roots; k++)
        use_count(&uses, l->roots[k]);
    for (int i = 0; i < nodes.len; i++)
        for (int k = 0; k < nodes.data[i]->operands.len; k++)
            use_count(&uses, nodes.data[i]->operands.data[k]);
    places_of_updates(l, &uses);
    for (int i = 0; i < nodes.len; i++)
        for (int k = 0; k < nodes.data[i]->n_carries; k++)
            place_note(l, &uses, nodes.data[i]->carries[k].leaf, nodes.data[i]->carries[k].next, NULL);
}

/* --- writing them
 * --------------------------------------------------------------------------------- */

static Block *loop_add(Lowered *l, Block *block, const Place *p, const Node *node, int axis)
{
    LoopKind kind = axis == p->axis ? LOOP_SEQUENTIAL : LOOP_PARALLEL;
    Stmt *loop = stmt_loop(l, axis, kind, node->shape[axis], node->span);
    if (axis == p->axis) { /* no step if the place is outside of the axis */
        loop->lo = p->at;
        loop->hi = scalar_op2(l->g, OP_ADD, p->at, scalar_int(l->g, 1));
    }
    block_add(l, block, loop);
    return &loop->body;
}

void lower_update(Lowered *l, const Node *old, const Node *value)
{
    const Place *p = map_get(&l->places, value);
    if (!p) {
        lower_copy(l, old, value);
        return;
    }
    Kernel *kernel = kernel_new(l, arena_printf(l->arena, "set_%s", buffer_get(l, old)->name));
    vec_push(l->arena, &kernel->nodes, value);
    kernel->n_vars = value->rank;
    Block *block = &kernel->body;
    bool first = p->at->iters == 0;
    if (first) block = loop_add(l, block, p, value, p->axis);
    for (int axis = 0; axis < value->rank; axis++)
        if (axis != p->axis) block = loop_add(l, block, p, value, axis);
    if (!first) block = loop_add(l, block, p, value, p->axis);
    for (int i = 0; i < p->others.all.len; i++) {
        Stmt *test = stmt_if(l, p->others.all.data[i]);
        block_add(l, block, test);
        block = &test->body;
    }
    const Scalar *subs[MAX_RANK];
    for (int axis = 0; axis < value->rank; axis++)
        subs[axis] = scalar_iter(l->g, axis);
    block_add(l, block, stmt_store(l, old, subs, value->rank, p->value));
}
