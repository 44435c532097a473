/* lower_scan.c -- scans as kernels between the marks of a loop.
 *
 * A carried value has one buffer, that of its leaf: its initial value is copied there before the
 * loop, at the end of each step the next one is, and afterwards it is the final value. Those copies
 * run over the same elements as the kernels that compute what is copied: merging (fuse.c) makes
 * them updates in place. What is yielded is computed in its slice of the yield (lower_slice.c), or
 * copied there if it is only another view. */
#include "lower.h"

static const char *carry_name(Lowered *l, const Node *leaf)
{
    const char *name = leaf->name ? leaf->name : leaf->leaf->name;
    return name ? name : arena_printf(l->arena, "carry%d", leaf->leaf->number);
}

static void mark(Lowered *l, KernelKind kind, const Loop *loop)
{
    Kernel *k = kernel_new(l, loop->name);
    k->kind = kind;
    k->loop = loop;
}

/* What the loop needs before its first step. */
static void loop_enter(Lowered *l, const Region *region)
{
    const Node *scan = region->scan, *time = graph_time(l->g, scan->loop);
    if (!buffer_get(l, time)) buffer_new(l, BUFFER_TIME, time, scan->loop->name);
    for (int i = 0; i < region->results.len; i++) {
        const Node *result = region->results.data[i];
        const char *name = result->value && !result->name ? result->value->name : result->name;
        if (!buffer_get(l, result))
            buffer_new(l, BUFFER_ARENA, result,
                       name ? name : arena_printf(l->arena, "t%u", (unsigned)result->id));
    }
    for (int k = 0; k < scan->n_carries; k++) {
        const Carry *c = &scan->carries[k];
        if (!buffer_get(l, c->leaf)) buffer_new(l, BUFFER_ARENA, c->leaf, carry_name(l, c->leaf));
        lower_copy(l, c->leaf, c->init);
    }
}

/* Whether the value is what the scan carries, before the step. */
static bool is_carried(const Node *scan, const Node *value)
{
    return value->kind == NODE_LEAF && value->leaf->kind == LEAF_CARRY &&
           value->leaf->loop == scan->loop;
}

/* What follows is done where the node is needed, inside a loop that runs where its scan is. */
static void when_needed(Lowered *l, const Region *region, const Node *node)
{
    l->when = demand_when(l->demand, node);
    if (region->scan) l->when = when_without(l->demand, l->when, demand_when(l->demand, region->scan));
}

/* Adds the yield's slice := value to the kernel; `body` is inside loops over the value's axes. */
static void yield_store(Lowered *l, Block *body, const Node *yield)
{
    const Node *value = yield->value;
    const Scalar *subs[MAX_RANK];
    subs[0] = scalar_load(l->g, graph_time(l->g, yield->arg->loop), NULL, NULL, yield->span);
    for (int i = 0; i < value->rank; i++)
        subs[i + 1] = scalar_iter(l->g, i);
    block_add(l, body, stmt_store(l, yield, subs, yield->rank, scalar_load_at(l->g, value, 0)));
}

/* Whether the value is a tensor of its own that its kernel could compute anywhere. */
static bool may_move(const Node *value)
{
    return value->kind != NODE_LEAF && value == lower_underlying(value);
}

/* Yields of what this step computes, by the kernels from `begin` on: moved: of what may move,
 * others. */
static void yields_keep(Lowered *l, const Region *region, int begin, bool moved)
{
    for (int i = 0; i < region->results.len; i++) {
        const Node *result = region->results.data[i];
        if (result->kind != NODE_YIELD || is_carried(region->scan, result->value)) continue;
        if (may_move(result->value) != moved) continue;
        when_needed(l, region, result);
        if (!moved || !lower_in_slice(l, result, begin))
            yield_store(l, lower_loops(l, result->value, "yield"), result);
    }
}

/* leaf := value. The yield of what it was before is kept in the same loops. */
static void carry_copy(Lowered *l, const Region *region, const Node *leaf, const Node *value)
{
    const Node *yield = NULL;
    Block *body = NULL;
    for (int i = 0; i < region->results.len; i++)
        if (region->results.data[i]->value == leaf) yield = region->results.data[i];
    bool place = map_get(&l->places, value) != NULL;
    if (yield) {
        when_needed(l, region, yield);
        body = lower_loops(l, value, buffer_get(l, leaf)->name);
        yield_store(l, body, yield);
    }
    if (value == leaf) return;
    const When *when = l->when;
    when_needed(l, region, value);
    if (place) {
        lower_update(l, leaf, value);
        return;
    }
    if (!body || l->when != when) body = lower_loops(l, value, buffer_get(l, leaf)->name);
    lower_store(l, body, leaf, value);
}

/* All carries at once: a value that is another's before the step is saved first. */
static void carries_copy(Lowered *l, const Region *region)
{
    const Node *scan = region->scan;
    const Node **values = NEW_ARRAY(l->arena, const Node *, scan->n_carries + 1);
    for (int k = 0; k < scan->n_carries; k++) {
        const Carry *c = &scan->carries[k];
        values[k] = c->next;
        if (c->next == c->leaf || !is_carried(scan, lower_underlying(c->next))) continue;
        when_needed(l, region, c->next);
        values[k] = lower_fresh(l, c->next, BUFFER_ARENA, "saved");
        lower_copy(l, values[k], c->next);
    }
    for (int k = 0; k < scan->n_carries; k++)
        carry_copy(l, region, scan->carries[k].leaf, values[k]);
}

/* The kernels of a loop that runs where `when` holds. */
static void lower_scan(Lowered *l, const Region *region)
{
    const Node *scan = region->scan;
    const When *when = l->when, *around = when_without(l->demand, demand_when(l->demand, scan), when);
    loop_enter(l, region);
    mark(l, KERNEL_BEGIN, scan->loop);
    int begin = l->kernels.len;
    lower_region(l, region);
    yields_keep(l, region, begin, false);
    carries_copy(l, region);
    yields_keep(l, region, begin, true);
    l->when = when;
    mark(l, KERNEL_END, scan->loop);
    for (int i = 0; i < region->results.len; i++) {
        const Node *result = region->results.data[i];
        if (result->kind != NODE_FINAL) continue;
        l->when = when_without(l->demand, demand_when(l->demand, result), around);
        lower_copy(l, result, scan->carries[result->carry].leaf);
    }
}

/* Without scans, groups of narrow layers are each a kernel. */
static void lower_stages(Lowered *l, const Nodes *nodes)
{
    LanePlan *plan = lanes_plan(l, nodes);
    for (int stage = 0; stage < plan->stages; stage++) {
        for (int i = 0; i < nodes->len; i++)
            if (lanes_stage(plan, nodes->data[i]) == stage && !lanes_grouped(plan, nodes->data[i])) {
                l->when = demand_when(l->demand, nodes->data[i]);
                lower_node(l, nodes->data[i]);
            }
        for (int i = 0; i < plan->groups.len; i++)
            if (plan->groups.data[i]->kept && plan->groups.data[i]->level == stage)
                lower_lanes(l, plan->groups.data[i]);
    }
}

void lower_region(Lowered *l, const Region *region)
{
    int inner = 0;
    if (!region->scan && region->inner.len == 0 && l->options->optimize > 0) {
        lower_stages(l, &region->nodes);
        return;
    }
    for (int i = 0; i < region->nodes.len; i++) {
        const Node *node = region->nodes.data[i];
        when_needed(l, region, node);
        if (node->kind == NODE_SCAN)
            lower_scan(l, region->inner.data[inner++]);
        else
            lower_node(l, node);
    }
}
