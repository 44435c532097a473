/* lower.c -- every node of an entry as one kernel in its plainest form: loops over the parallel
 * iterators, inside them the reduction into a local variable, then one store. Iterator i of the
 * node is variable i of the kernel, so kernels over the same domain have equal loops outside and
 * can be merged (fuse.c). What updates a persistent tensor is computed into memory of its own and
 * copied at the end; merging and contraction make that an update in place. */
#include "lower.h"

#include <assert.h>

/* --- small scalars ---------------------------------------------------------------------------- */

static const Scalar *load_local(Lowered *l, const Node *local)
{
    return scalar_load(l->g, local, NULL, NULL, NO_SPAN);
}

static Stmt *set_local(Lowered *l, const Node *local, const Scalar *value)
{
    return stmt_store(l, local, NULL, 0, value);
}

static const Scalar *extent_scalar(Lowered *l, Extent e)
{
    return e.size ? e.size : scalar_int(l->g, e.max);
}

/* --- kernels and loops ------------------------------------------------------------------------ */

Kernel *lower_kernel(Lowered *l, const Node *node)
{
    Kernel *k = kernel_new(l, buffer_get(l, node)->name);
    vec_push(l->arena, &k->nodes, node);
    k->n_vars = node->n_iters > node->rank ? node->n_iters : node->rank;
    return k;
}

/* Nests loops over variables first .. last - 1 into a block; returns the innermost body. */
static Block *loops_add(Lowered *l, Block *block, const Extent *extents, int first, int last,
                        LoopKind kind, Span span)
{
    for (int i = first; i < last; i++) {
        Stmt *loop = stmt_loop(l, i, kind, extents[i], span);
        block_add(l, block, loop);
        block = &loop->body;
    }
    return block;
}

static void store_at_iters(Lowered *l, Block *block, const Node *node, const Scalar *value)
{
    const Scalar *subs[MAX_RANK];
    for (int k = 0; k < node->rank; k++)
        subs[k] = scalar_iter(l->g, k);
    block_add(l, block, stmt_store(l, node, subs, node->rank, value));
}

static void fill_zero(Lowered *l, Block *block, const Node *node, int from)
{
    Block *body = loops_add(l, block, node->shape, from, node->rank, LOOP_PARALLEL, node->span);
    store_at_iters(l, body, node, scalar_const(l->g, node->type, 0));
}

/* --- reductions ------------------------------------------------------------------------------- */

static const Scalar *reduce_start(Lowered *l, const Node *node)
{
    Reduce reduce = node->reduce == REDUCE_ARGMAX   ? REDUCE_MAX
                    : node->reduce == REDUCE_ARGMIN ? REDUCE_MIN
                                                    : node->reduce;
    return scalar_const(l->g, node->body->type, reduce_empty(reduce, node->body->type));
}

static const Scalar *combine(Lowered *l, Reduce reduce, const Scalar *acc, const Scalar *value)
{
    switch ((int)reduce) {
    case REDUCE_PROD: return scalar_op2(l->g, OP_MUL, acc, value);
    case REDUCE_MAX: return scalar_select(l->g, scalar_op2(l->g, OP_LT, acc, value), value, acc);
    case REDUCE_MIN: return scalar_select(l->g, scalar_op2(l->g, OP_LT, value, acc), value, acc);
    case REDUCE_ANY: return scalar_op2(l->g, OP_OR, acc, value);
    case REDUCE_ALL: return scalar_op2(l->g, OP_AND, acc, value);
    default: return scalar_op2(l->g, OP_ADD, acc, value);
    }
}

/* sum / count, 0 over nothing. */
static const Scalar *mean_of(Lowered *l, const Scalar *sum, const Scalar *count)
{
    const Scalar *quotient = scalar_op2(l->g, OP_DIV, sum, scalar_convert(l->g, count, TYPE_REAL));
    const Scalar *some = scalar_op2(l->g, OP_LT, scalar_int(l->g, 0), count);
    return scalar_select(l->g, some, quotient, scalar_real(l->g, 0));
}

/* The number of points of the reducing iterators, without a guard: a product of extents that do not
 * depend on each other. */
static const Scalar *count_points(Lowered *l, const Node *node)
{
    const Scalar *count = scalar_int(l->g, 1);
    for (int i = node->rank; i < node->n_iters; i++) {
        const Scalar *extent = extent_scalar(l, node->iters[i]);
        if (extent->iters >> node->rank) return NULL;
        count = scalar_op2(l->g, OP_MUL, count, extent);
    }
    return count;
}

/* The place among the reducing iterators, row by row of their bounds. */
static const Scalar *point_position(Lowered *l, const Node *node)
{
    const Scalar *place = scalar_int(l->g, 0);
    for (int i = node->rank; i < node->n_iters; i++) {
        place = scalar_op2(l->g, OP_MUL, place, scalar_int(l->g, node->iters[i].max));
        place = scalar_op2(l->g, OP_ADD, place, scalar_iter(l->g, i));
    }
    return place;
}

/* The loops over the reducing iterators; returns their innermost body, inside the guard. */
static Block *reduce_loops(Lowered *l, Block *block, const Node *node)
{
    Block *body =
        loops_add(l, block, node->iters, node->rank, node->n_iters, LOOP_SEQUENTIAL, node->span);
    if (!node->guard) return body;
    Stmt *guard = stmt_if(l, node->guard);
    block_add(l, body, guard);
    return &guard->body;
}

static const Scalar *lower_arg(Lowered *l, Block *block, const Node *node)
{
    const Node *best = local_new(l, node->body->type, 1, "best");
    const Node *place = local_new(l, TYPE_INT, 1, "place");
    block_add(l, block, stmt_local(l, best));
    block_add(l, block, set_local(l, best, reduce_start(l, node)));
    block_add(l, block, stmt_local(l, place));
    block_add(l, block, set_local(l, place, scalar_int(l->g, 0)));
    Block *body = reduce_loops(l, block, node);
    const Node *value = local_new(l, node->body->type, 1, "value");
    block_add(l, body, stmt_local(l, value));
    block_add(l, body, set_local(l, value, node->body));
    const Scalar *old = load_local(l, best), *new = load_local(l, value);
    bool largest = node->reduce == REDUCE_ARGMAX;
    Stmt *better = stmt_if(l, scalar_op2(l->g, OP_LT, largest ? old : new, largest ? new : old));
    block_add(l, &better->body, set_local(l, best, new));
    block_add(l, &better->body, set_local(l, place, point_position(l, node)));
    block_add(l, body, better);
    return load_local(l, place);
}

const Scalar *lower_mean(Lowered *l, const Scalar *sum, const Node *node)
{
    return mean_of(l, sum, count_points(l, node));
}

const Scalar *lower_reduction(Lowered *l, Block *block, const Node *node)
{
    if (node->reduce == REDUCE_ARGMAX || node->reduce == REDUCE_ARGMIN)
        return lower_arg(l, block, node);
    bool mean = node->reduce == REDUCE_MEAN;
    const Scalar *count = mean && !node->guard ? count_points(l, node) : NULL;
    const Node *counter = NULL;
    const Node *acc =
        local_new(l, node->body->type, 1, mean ? "sum" : reduce_table[node->reduce].name);
    block_add(l, block, stmt_local(l, acc));
    block_add(l, block, set_local(l, acc, reduce_start(l, node)));
    if (mean && !count) {
        counter = local_new(l, TYPE_INT, 1, "count");
        block_add(l, block, stmt_local(l, counter));
        block_add(l, block, set_local(l, counter, scalar_int(l->g, 0)));
        count = load_local(l, counter);
    }
    Block *body = reduce_loops(l, block, node);
    block_add(l, body, set_local(l, acc, combine(l, node->reduce, load_local(l, acc), node->body)));
    if (counter)
        block_add(l, body,
                  set_local(l, counter, scalar_op2(l->g, OP_ADD, count, scalar_int(l->g, 1))));
    return mean ? mean_of(l, load_local(l, acc), count) : load_local(l, acc);
}

static void lower_comp(Lowered *l, const Node *node)
{
    Kernel *k = lower_kernel(l, node);
    if (l->options->optimize > 0) {
        Block whole = {0}, parts = {0};
        if (contract_gemm(l, node, true, &whole)) {
            k->body = whole;
            return;
        }
        if (contract_tiles(l, k, node, &k->body)) return;
        if (contract_gemm(l, node, false, &parts)) {
            k->body = parts;
            return;
        }
    }
    Block *body = loops_add(l, &k->body, node->iters, 0, node->rank, LOOP_PARALLEL, node->span);
    const Scalar *value = node->reduce == REDUCE_NONE ? node->body : lower_reduction(l, body, node);
    store_at_iters(l, body, node, value);
}

/* --- the companions of the comprehension ------------------------------------------------------ */

static bool position_is_iter(const Node *node, int axis)
{
    const Scalar *p = node->position[axis];
    if (p->kind != SCALAR_ITER || !extent_equal(node->iters[p->iter], node->shape[axis]))
        return false;
    for (int k = 0; k < node->rank; k++)
        if (k != axis && (node->position[k]->iters & p->iters)) return false;
    return true;
}

/* Axes that are written at an iterator's own value stand for independent slices: those in front
 * become parallel loops, if the iterators stand in front, too; the others go innermost. */
static void lower_scatter(Lowered *l, const Node *node)
{
    Kernel *k = lower_kernel(l, node);
    int front = 0;
    while (front < node->rank && position_is_iter(node, front) &&
           node->position[front]->iter == front)
        front++;
    Block *outer = loops_add(l, &k->body, node->shape, 0, front, LOOP_PARALLEL, node->span);
    fill_zero(l, outer, node, front);
    uint64_t inner = 0;
    for (int axis = front; axis < node->rank; axis++)
        if (position_is_iter(node, axis)) inner |= node->position[axis]->iters;
    Block *body = outer;
    for (int pass = 0; pass < 2; pass++)
        for (int i = front; i < node->n_iters; i++)
            if ((inner >> i & 1) == (uint64_t)pass)
                body = loops_add(l, body, node->iters, i, i + 1,
                                 pass ? LOOP_PARALLEL : LOOP_SEQUENTIAL, node->span);
    if (node->guard) {
        Stmt *guard = stmt_if(l, node->guard);
        block_add(l, body, guard);
        body = &guard->body;
    }
    for (int axis = 0; axis < node->rank; axis++) { /* what falls outside is dropped */
        Extent extent = node->shape[axis];          /* its size is of the place that is added to */
        if (extent.size) extent.size = scalar_substitute(l->g, extent.size, node->position, axis);
        const Scalar *at = node->position[axis];
        if (range_within(scalar_range(at, node->iters, node->n_iters), extent)) continue;
        const Scalar *below = scalar_op2(l->g, OP_LT, at, extent_scalar(l, extent));
        const Scalar *above = scalar_op2(l->g, OP_LE, scalar_int(l->g, 0), at);
        Stmt *inside = stmt_if(l, scalar_op2(l->g, OP_AND, above, below));
        block_add(l, body, inside);
        body = &inside->body;
    }
    const Scalar *old = scalar_load(l->g, node, node->position, NULL, node->span);
    block_add(
        l, body,
        stmt_store(l, node, node->position, node->rank, scalar_op2(l->g, OP_ADD, old, node->body)));
}

static bool pieces_cover(const Node *node)
{
    int64_t covered = 0;
    for (int i = 0; i < node->n_pieces; i++) {
        Extent e = node->pieces[i].part->shape[node->axis];
        if (e.size && !extent_equal(e, node->shape[node->axis])) return false;
        covered += e.max;
    }
    return covered >= node->shape[node->axis].max;
}

static void lower_pieces(Lowered *l, const Node *node)
{
    Kernel *k = lower_kernel(l, node);
    if (!pieces_cover(node)) fill_zero(l, &k->body, node, 0);
    for (int i = 0; i < node->n_pieces; i++) {
        const Piece *piece = &node->pieces[i];
        Block *body =
            loops_add(l, &k->body, piece->part->shape, 0, node->rank, LOOP_PARALLEL, node->span);
        const Scalar *subs[MAX_RANK];
        for (int axis = 0; axis < node->rank; axis++)
            subs[axis] = scalar_iter(l->g, axis);
        Affine at = {.constant = piece->offset};
        at.coefficient[node->axis] = piece->stride;
        subs[node->axis] = affine_scalar(l->g, &at);
        Extent whole = node->shape[node->axis];
        if (whole.size) { /* the axis may end before the part does */
            Stmt *inside = stmt_if(l, scalar_op2(l->g, OP_LT, subs[node->axis], whole.size));
            block_add(l, body, inside);
            body = &inside->body;
        }
        block_add(l, body,
                  stmt_store(l, node, subs, node->rank, scalar_load_at(l->g, piece->part, 0)));
    }
}

/* --- buffers ---------------------------------------------------------------------------------- */

static void lower_leaf(Lowered *l, const Node *node)
{
    const Leaf *leaf = node->leaf;
    Arena *arena = l->arena;
    switch (leaf->kind) {
    case LEAF_CONST:
        buffer_new(l, BUFFER_CONST, node,
                   arena_printf(arena, "%s_table%u", l->entry->name, (unsigned)node->id));
        return;
    case LEAF_PERSIST: buffer_new(l, BUFFER_PERSIST, node, leaf->persistent->path); return;
    case LEAF_FILE:
    case LEAF_FIELD:
    case LEAF_INPUT: buffer_new(l, BUFFER_DATA, node, leaf->name); return;
    case LEAF_SIZE: buffer_new(l, BUFFER_RUN, node, "batch"); return;
    case LEAF_TOTAL: buffer_new(l, BUFFER_RUN, node, "total"); return;
    case LEAF_OFFSET: buffer_new(l, BUFFER_RUN, node, "offset"); return;
    case LEAF_STEP: buffer_new(l, BUFFER_RUN, node, "step"); return;
    case LEAF_EPOCH: buffer_new(l, BUFFER_RUN, node, "epoch"); return;
    case LEAF_TIME:
    case LEAF_CARRY: return; /* the loop's (lower_scan.c) */
    }
}

void lower_buffer(Lowered *l, const Node *node)
{
    if (buffer_get(l, node)) return;
    buffer_new(l, BUFFER_ARENA, node,
               node->name ? node->name : arena_printf(l->arena, "t%u", (unsigned)node->id));
}

void lower_node(Lowered *l, const Node *node)
{
    switch (node->kind) {
    case NODE_LEAF: lower_leaf(l, node); return;
    case NODE_RESHAPE:
    case NODE_TAG:
    case NODE_SCAN:
    case NODE_FINAL:
    case NODE_YIELD: return;
    case NODE_COMP:
    case NODE_SCATTER:
    case NODE_PIECES:
    case NODE_ORDER: break;
    }
    if (map_get(&l->places, node)) return;
    lower_buffer(l, node);
    if (node->kind == NODE_COMP) lower_comp(l, node);
    if (node->kind == NODE_SCATTER) lower_scatter(l, node);
    if (node->kind == NODE_PIECES) lower_pieces(l, node);
    if (node->kind == NODE_ORDER) lower_order(l, node);
}

/* --- copies ----------------------------------------------------------------------------------- */

Block *lower_loops(Lowered *l, const Node *value, const char *name)
{
    Kernel *k = kernel_new(l, arena_printf(l->arena, "copy_%s", name));
    vec_push(l->arena, &k->nodes, value);
    k->n_vars = value->rank;
    return loops_add(l, &k->body, value->shape, 0, value->rank, LOOP_PARALLEL, value->span);
}

void lower_store(Lowered *l, Block *body, const Node *target, const Node *value)
{
    store_at_iters(l, body, target, scalar_load_at(l->g, value, 0));
}

void lower_copy(Lowered *l, const Node *target, const Node *value)
{
    lower_store(l, lower_loops(l, value, buffer_get(l, target)->name), target, value);
}

const Node *lower_fresh(Lowered *l, const Node *like, BufferKind kind, const char *name)
{
    Leaf leaf = {.kind = LEAF_INPUT, .name = arena_strdup(l->arena, name)};
    const Node *node = graph_leaf(l->g, &leaf, like->type, like->rank, like->shape);
    buffer_new(l, kind, node, name);
    return node;
}

const Node *lower_underlying(const Node *node)
{
    while (node->kind == NODE_RESHAPE || node->kind == NODE_TAG)
        node = node->arg;
    return node;
}

/* --- results ---------------------------------------------------------------------------------- */

static const char *output_name(Lowered *l, int k)
{
    const Entry *e = l->entry;
    return arena_printf(l->arena, "%s_%s", e->name, e->outputs.data[k].name);
}

/* A computed output is written where the caller reads it; the others are copied at the end. */
static void outputs_place(Lowered *l)
{
    for (int k = 0; k < l->entry->outputs.len; k++) {
        const Node *node = l->roots[k];
        if (node->kind == NODE_LEAF || node != lower_underlying(node) || buffer_get(l, node))
            continue;
        buffer_new(l, BUFFER_OUTPUT, node, output_name(l, k))->output = k;
    }
}

static void outputs_copy(Lowered *l)
{
    for (int k = 0; k < l->entry->outputs.len; k++) {
        const Node *node = l->roots[k];
        Buffer *b = buffer_get(l, node);
        if (b->kind == BUFFER_OUTPUT && b->output == k) continue;
        const Node *target = lower_fresh(l, node, BUFFER_OUTPUT, output_name(l, k));
        buffer_get(l, target)->output = k;
        lower_copy(l, target, node);
    }
}

static Buffer *persist_buffer(Lowered *l, const Persistent *p)
{
    Buffer *b = buffer_get(l, p->leaf);
    return b ? b : buffer_new(l, BUFFER_PERSIST, p->leaf, p->path);
}

/* A value that is another persistent tensor, as it was on entry, is saved before any is written. What is
 * written in one place only comes first, since it may need what others were (lower_update.c). */
static void updates_copy(Lowered *l)
{
    int first = l->entry->outputs.len, n = l->entry->updates.len;
    const Node **values = NEW_ARRAY(l->arena, const Node *, n + 1);
    for (int k = 0; k < n; k++) {
        const Node *value = values[k] = l->roots[first + k], *base = lower_underlying(value);
        if (base->kind != NODE_LEAF || base->leaf->kind != LEAF_PERSIST || n == 1) continue;
        if (value == l->entry->updates.data[k].target->leaf) continue;
        values[k] = lower_fresh(l, value, BUFFER_ARENA, "saved");
        lower_copy(l, values[k], value);
    }
    for (int k = 0; k < 2 * n; k++) {
        const Persistent *target = l->entry->updates.data[k % n].target;
        const Node *value = values[k % n];
        if ((map_get(&l->places, value) != NULL) != (k < n)) continue;
        persist_buffer(l, target);
        l->when = demand_when(l->demand, value);
        if (value != target->leaf) lower_update(l, target->leaf, value);
    }
}

/* --- the entry -------------------------------------------------------------------------------- */

Lowered *entry_lower(Program *program, Entry *entry, const Options *options)
{
    Arena *arena = graph_arena(program->graph);
    Lowered *l = NEW(arena, Lowered);
    l->program = program;
    l->g = program->graph;
    l->arena = arena;
    l->options = options;
    l->entry = entry;
    l->buffer_of = map_new(arena);
    l->names = names_new(program->context, arena);
    l->n_roots = entry->outputs.len + entry->updates.len;
    l->roots = NEW_ARRAY(arena, const Node *, l->n_roots + 1);
    for (int k = 0; k < entry->outputs.len; k++)
        l->roots[k] = entry->outputs.data[k].node;
    for (int k = 0; k < entry->updates.len; k++)
        l->roots[entry->outputs.len + k] = entry->updates.data[k].value;
    return l;
}

Demand *entry_demand(const Lowered *l, Arena *arena)
{
    const Node **olds = NEW_ARRAY(arena, const Node *, l->n_roots + 1);
    for (int k = 0; k < l->entry->updates.len; k++)
        olds[l->entry->outputs.len + k] = l->entry->updates.data[k].target->leaf;
    return demand_find(l->g, arena, l->roots, olds, l->n_roots);
}

void pass_lower(Lowered *l)
{
    l->demand = entry_demand(l, l->arena);
    l->when = when_always(l->demand);
    places_find(l);
    outputs_place(l);
    lower_region(l, graph_regions(l->arena, l->roots, l->n_roots, demand_before(l->demand)));
    l->when = when_always(l->demand);
    outputs_copy(l);
    updates_copy(l);
}
