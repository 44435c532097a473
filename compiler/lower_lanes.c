/* lower_lanes.c -- a group of narrow layers (lanes.c) as one kernel.
 *
 *     for chunk                       fixed number: results do not depend on threads
 *         sums[chunk] = 0
 *         for block of examples
 *             what members read of other tensors example by example, turned around: also arrays
 *             each member:  array[features, lane] = ...
 *             each sink:    sums[chunk] += sum over lanes
 *     each sink:  sum over chunks of sums[chunk]
 *
 * The lanes behind the last example of a last block repeat an example, so that no value there can
 * do harm; before the sinks' turn they become zero, where that makes what is summed zero, so that
 * sums over whole vectors serve all blocks. */
#include "lanes.h"
#include "lower.h"

enum {
    CHUNKS = 16,
    CHUNK_WORK = 100000, /* operations from which on chunks pay */
    CHUNK = 24,
    BLOCK,
    PLACE,           /* a lane, while a body is being rewritten */
    EXAMPLE = PLACE, /* of loops over the examples of a block */
    FIRST_FREE,      /* variables; the nodes' iterators come before */
    MAX_COPIED = 128 /* elements per example of what is copied into an array */
};

typedef struct Build {
    Lowered *l;
    LaneGroup *group;
    Kernel *kernel;
    Map arrays; /* from a member, or what is read elsewhere, to its array: a node [features..,
                   lanes] */
    Map is_array;
    Nodes sums; /* of the sinks: nodes [chunks, ..] */
    int64_t blocks, chunks;
    bool whole;    /* all blocks are full */
    Block *block;  /* the body of the loop over blocks */
    int iter;      /* over the examples, of the node whose loads are being replaced */
    Nodes cleared; /* arrays that sinks want to be zero behind the last example */
} Build;

static const Scalar *example_at(Build *b, const Scalar *lane)
{
    Graph *g = b->l->g;
    const Scalar *first =
        scalar_op2(g, OP_MUL, scalar_iter(g, BLOCK), scalar_int(g, b->group->lanes));
    return scalar_op2(g, OP_ADD, first, lane);
}

static const Scalar *first_example(Build *b)
{
    return example_at(b, scalar_int(b->l->g, 0));
}

static const Scalar *examples_count(Build *b)
{
    Extent e = b->group->examples;
    return e.size ? e.size : scalar_int(b->l->g, e.max);
}

/* The example of a lane; the last one for lanes behind it. */
static const Scalar *example_clamped(Build *b, const Scalar *lane)
{
    Graph *g = b->l->g;
    const Scalar *at = example_at(b, lane);
    if (b->whole) return at;
    const Scalar *last = scalar_op2(g, OP_SUB, examples_count(b), scalar_int(g, 1));
    return scalar_op2(g, OP_MIN, at, last);
}

static const Node *array_of(const Build *b, const Node *member)
{
    return map_get(&b->arrays, member);
}

/* --- arrays ----------------------------------------------------------------------------------- */

/* The features of a member, then the lanes. */
static void array_shape(const Build *b, const Node *member, Extent *shape)
{
    for (int k = 1; k < member->rank; k++)
        shape[k - 1] = member->shape[k];
    shape[member->rank - 1] = extent_fixed(b->group->lanes);
}

/* Of a member, or of what is read elsewhere. */
static const Node *array_new(Build *b, const Node *member)
{
    Extent shape[MAX_RANK];
    array_shape(b, member, shape);
    Leaf leaf = {.kind = LEAF_INPUT};
    leaf.name = arena_strdup(b->l->arena, member->name ? member->name : "t"); /* its own */
    const Node *array = graph_leaf(b->l->g, &leaf, member->type, member->rank, shape);
    map_put(&b->arrays, member, (void *)(uintptr_t)array);
    map_put(&b->is_array, array, b);
    const Node *base = member->kind == NODE_RESHAPE ? array_of(b, member->arg) : NULL;
    if (base)
        map_put(&b->l->buffer_of, array, buffer_get(b->l, base));
    else
        buffer_new(b->l, BUFFER_LOCAL, array, leaf.name);
    return array;
}

/* Loops over the axes of an array, from the first on; returns the innermost body. */
static Block *array_loops(Build *b, Block *block, const Extent *shape, int rank, Span span)
{
    for (int k = 0; k < rank; k++) {
        Stmt *loop = stmt_loop(b->l, k, LOOP_PARALLEL, shape[k], span);
        block_add(b->l, block, loop);
        block = &loop->body;
    }
    return block;
}

static void array_store(Build *b, Block *block, const Node *array, const Scalar *value)
{
    const Scalar *subs[MAX_RANK];
    for (int k = 0; k < array->rank; k++)
        subs[k] = scalar_iter(b->l->g, k);
    block_add(b->l, block, stmt_store(b->l, array, subs, array->rank, value));
}

/* A new part at the end of a block: a long kernel as one text would take the C compiler long. */
static Block *part_add(Build *b, Block *block)
{
    Stmt *part = stmt_part(b->l);
    block_add(b->l, block, part);
    return &part->body;
}

/* --- arrays and tensors ----------------------------------------------------------------------- */

/* A loop over the examples of a block; receives the example, and its lane. */
static Block *examples_loop(Build *b, Block *block, const Scalar **example, const Scalar **lane)
{
    Graph *g = b->l->g;
    const Scalar *at = scalar_iter(g, EXAMPLE), *first = first_example(b);
    Extent extent = b->whole ? extent_fixed(b->group->lanes) : b->group->examples;
    Stmt *loop = stmt_loop(b->l, EXAMPLE, LOOP_PARALLEL, extent, NO_SPAN);
    block_add(b->l, block, loop);
    *example = b->whole ? example_at(b, at) : at;
    *lane = b->whole ? at : scalar_op2(g, OP_SUB, at, first);
    if (!b->whole) {
        loop->lo = first;
        loop->hi = scalar_op2(g, OP_ADD, first, scalar_int(g, b->group->lanes));
    }
    return &loop->body;
}

/* The lanes behind the last example := the first one's value, or 0; in whole vectors. */
static void rest_fill(Build *b, Block *block, const Node *array, bool zero)
{
    Graph *g = b->l->g;
    int last = array->rank - 1;
    const Scalar *subs[MAX_RANK];
    for (int k = 0; k < last; k++)
        subs[k] = scalar_iter(g, k);
    subs[last] = scalar_int(g, 0);
    const Scalar *value =
        zero ? scalar_const(g, array->type, 0) : scalar_load(g, array, subs, NULL, NO_SPAN);
    const Scalar *width = scalar_int(g, LANES_STEP), *first = scalar_iter(g, EXAMPLE);
    const Scalar *left = scalar_op2(g, OP_SUB, examples_count(b), first_example(b));
    subs[last] = scalar_op2(g, OP_ADD, scalar_op2(g, OP_MUL, first, width), scalar_iter(g, last));
    const Scalar *old = scalar_load(g, array, subs, NULL, NO_SPAN);
    value = scalar_select(g, scalar_op2(g, OP_LT, subs[last], left), old, value);
    block = array_loops(b, block, array->shape, last, NO_SPAN);
    Extent vectors = extent_fixed(b->group->lanes / LANES_STEP);
    Stmt *loop = stmt_loop(b->l, EXAMPLE, LOOP_SEQUENTIAL, vectors, NO_SPAN);
    loop->lo = scalar_op2(g, OP_IDIV, left, width);
    block_add(b->l, block, loop);
    Stmt *lanes = stmt_loop(b->l, last, LOOP_PARALLEL, extent_fixed(LANES_STEP), NO_SPAN);
    block_add(b->l, &loop->body, lanes);
    block_add(b->l, &lanes->body, stmt_store(b->l, array, subs, array->rank, value));
}

/* A block of a tensor that other kernels compute, with the examples innermost. */
static void copy_add(Build *b, const Node *node)
{
    if (array_of(b, node)) return;
    Graph *g = b->l->g;
    const Node *array = array_new(b, node);
    block_add(b->l, b->block, stmt_local(b->l, array));
    Block *part = part_add(b, b->block);
    const Scalar *from[MAX_RANK], *to[MAX_RANK];
    for (int k = 1; k < node->rank; k++)
        from[k] = to[k - 1] = scalar_iter(g, k - 1);
    Block *block = array_loops(b, part, array->shape, array->rank - 1, node->span);
    block = examples_loop(b, block, &from[0], &to[array->rank - 1]);
    const Scalar *value = scalar_load(g, node, from, NULL, node->span);
    block_add(b->l, block, stmt_store(b->l, array, to, array->rank, value));
    if (!b->whole) rest_fill(b, part, array, false);
}

static void copy_load(void *data, const Scalar *s)
{
    Build *b = data;
    if (s->kind != SCALAR_LOAD || s->n_args < 1 || !lanes_aligned(s, b->iter)) return;
    if (!extent_equal(s->node->shape[0], b->group->examples)) return;
    int64_t elements = 1;
    for (int k = 1; k < s->node->rank; k++) {
        if (s->node->shape[k].size) return;
        elements *= s->node->shape[k].max;
    }
    if (elements >= 1 && elements <= MAX_COPIED) copy_add(b, s->node);
}

/* What the node, whose iterator iter is over the examples, reads of other kernels' tensors. */
static void copies_add(Build *b, const Node *node, int iter)
{
    b->iter = iter;
    scalar_visit(node->body, copy_load, b);
    if (node->guard) scalar_visit(node->guard, copy_load, b);
}

/* What is read elsewhere, too, is stored there, example by example. */
static void escape_add(Build *b, Block *block, const Node *node)
{
    Graph *g = b->l->g;
    const Node *array = array_of(b, node);
    const Scalar *from[MAX_RANK], *to[MAX_RANK];
    for (int k = 1; k < node->rank; k++)
        to[k] = from[k - 1] = scalar_iter(g, k - 1);
    block = array_loops(b, block, array->shape, array->rank - 1, node->span);
    block = examples_loop(b, block, &to[0], &from[array->rank - 1]);
    const Scalar *value = scalar_load(g, array, from, NULL, NO_SPAN);
    block_add(b->l, block, stmt_store(b->l, node, to, node->rank, value));
}

/* --- bodies ----------------------------------------------------------------------------------- */

static const Scalar *load_replace(void *data, const Scalar *load)
{
    Build *b = data;
    const Node *array = array_of(b, load->node);
    if (!array || !lanes_aligned(load, b->iter)) return NULL;
    const Scalar *subs[MAX_RANK];
    for (int k = 1; k < load->n_args; k++)
        subs[k - 1] = load->args[k];
    subs[load->n_args - 1] = scalar_iter(b->l->g, PLACE);
    return scalar_load(b->l->g, array, subs, load->outside, load->span);
}

/* The body of a node with its iterators replaced; iter is the one over examples, which becomes the
 * lane. */
static const Scalar *body_of(Build *b, const Scalar *body, int iter, const Scalar **map,
                             const Scalar *lane)
{
    if (!body) return NULL;
    b->iter = iter;
    body = scalar_replace_loads(b->l->g, body, load_replace, b);
    map[iter] = example_clamped(b, lane);
    map[PLACE] = lane;
    return scalar_substitute(b->l->g, body, map, MAX_ITERS);
}

/* --- members ---------------------------------------------------------------------------------- */

static void comp_add(Build *b, Block *block, const Node *node)
{
    Graph *g = b->l->g;
    const Node *array = array_of(b, node);
    const Scalar *map[MAX_ITERS] = {0}, *guard_map[MAX_ITERS] = {0};
    const Scalar *lane = scalar_iter(g, node->rank - 1);
    Extent iters[MAX_ITERS];
    for (int i = 1; i < node->n_iters; i++) {
        bool moves = i < node->rank;
        if (moves) map[i] = guard_map[i] = scalar_iter(g, i - 1);
        iters[moves ? i - 1 : i] = node->iters[i];
    }
    iters[node->rank - 1] = extent_fixed(b->group->lanes);
    const Scalar *body = body_of(b, node->body, 0, map, lane);
    const Scalar *guard = body_of(b, node->guard, 0, guard_map, lane);
    if (node->reduce != REDUCE_NONE) {
        const Node *formula =
            graph_comp(g, node->reduce, node->rank, node->n_iters, iters, body, guard, node->span);
        map_put(&b->l->buffer_of, formula, buffer_get(b->l, array));
        if (formula->kind == NODE_COMP && contract_tiles(b->l, b->kernel, formula, block)) return;
        block = array_loops(b, block, array->shape, array->rank, node->span);
        body = formula->kind == NODE_COMP && formula->reduce != REDUCE_NONE
                   ? lower_reduction(b->l, block, formula)
                   : formula->body;
    } else
        block = array_loops(b, block, array->shape, array->rank, node->span);
    array_store(b, block, array, body);
}

static void piece_add(Build *b, Block *block, const Node *node, const Piece *piece)
{
    Graph *g = b->l->g;
    Extent shape[MAX_RANK];
    array_shape(b, piece->part, shape);
    block = array_loops(b, block, shape, node->rank, node->span);
    const Scalar *to[MAX_RANK], *from[MAX_RANK];
    for (int k = 0; k < node->rank; k++)
        to[k] = from[k] = scalar_iter(g, k);
    Affine at = {.constant = piece->offset};
    at.coefficient[node->axis - 1] = piece->stride;
    to[node->axis - 1] = affine_scalar(g, &at);
    const Scalar *value = scalar_load(g, array_of(b, piece->part), from, NULL, node->span);
    block_add(b->l, block, stmt_store(b->l, array_of(b, node), to, node->rank, value));
}

static void pieces_add(Build *b, Block *block, const Node *node)
{
    const Node *array = array_of(b, node);
    int64_t covered = 0;
    for (int i = 0; i < node->n_pieces; i++)
        covered += node->pieces[i].part->shape[node->axis].max;
    if (covered < node->shape[node->axis].max)
        array_store(b, array_loops(b, block, array->shape, array->rank, node->span), array,
                    scalar_const(b->l->g, node->type, 0));
    for (int i = 0; i < node->n_pieces; i++)
        piece_add(b, block, node, &node->pieces[i]);
}

static void member_add(Build *b, const Node *node)
{
    if (node->kind == NODE_RESHAPE && !map_get(&b->group->escapes, node)) return;
    b->kernel->n_vars = FIRST_FREE;
    if (node->kind == NODE_COMP) copies_add(b, node, 0);
    for (int i = 0; node->kind == NODE_PIECES && i < node->n_pieces; i++)
        copy_add(b, node->pieces[i].part);
    Block *block = part_add(b, b->block);
    if (node->kind == NODE_COMP) comp_add(b, block, node);
    if (node->kind == NODE_PIECES) pieces_add(b, block, node);
    if (map_get(&b->group->escapes, node)) escape_add(b, block, node);
}

/* --- sinks ------------------------------------------------------------------------------------ */

static const Scalar *sum_load(Build *b, const Node *sums, const Scalar *chunk, int rank,
                              const Scalar **subs)
{
    subs[0] = chunk;
    for (int k = 0; k < rank; k++)
        subs[k + 1] = scalar_iter(b->l->g, k);
    return scalar_load(b->l->g, sums, subs, NULL, NO_SPAN);
}

static void sum_store(Build *b, Block *block, const Node *sums, const Scalar *value, bool add)
{
    Graph *g = b->l->g;
    const Scalar *subs[MAX_RANK + 1];
    const Scalar *old = sum_load(b, sums, scalar_iter(g, CHUNK), sums->rank - 1, subs);
    if (add) value = scalar_op2(g, OP_ADD, old, value);
    block_add(b->l, block, stmt_store(b->l, sums, subs, sums->rank, value));
}

static const Node *sums_new(Build *b, const Node *sink)
{
    Extent shape[MAX_RANK + 1] = {extent_fixed(b->chunks)};
    for (int k = 0; k < sink->rank; k++)
        shape[k + 1] = sink->shape[k];
    Leaf leaf = {.kind = LEAF_INPUT, .name = arena_strdup(b->l->arena, "sums")}; /* its own */
    const Node *sums = graph_leaf(b->l->g, &leaf, TYPE_REAL, sink->rank + 1, shape);
    buffer_new(b->l, BUFFER_ARENA, sums, leaf.name);
    return sums;
}

/* A load of an array that is zero, for those that shall be. */
static const Scalar *load_zero(void *data, const Scalar *load)
{
    Build *b = data;
    return map_get(&b->is_array, load->node) ? scalar_const(b->l->g, load->type, 0) : NULL;
}

static void array_clear(void *data, const Scalar *s)
{
    Build *b = data;
    if (s->kind != SCALAR_LOAD || !map_get(&b->is_array, s->node)) return;
    for (int i = 0; i < b->cleared.len; i++)
        if (b->cleared.data[i] == s->node) return;
    vec_push(b->l->arena, &b->cleared, s->node);
}

/* The term of a sum that lanes behind the last example do not count in. */
static const Scalar *sink_term(Build *b, const Scalar *body, const Scalar *lane)
{
    Graph *g = b->l->g;
    if (b->whole) return body;
    if (scalar_is_const(scalar_replace_loads(g, body, load_zero, b), 0)) {
        scalar_visit(body, array_clear, b);
        return body;
    }
    const Scalar *left = scalar_op2(g, OP_SUB, examples_count(b), first_example(b));
    const Scalar *inside = scalar_op2(g, OP_LT, lane, left), *zero = scalar_real(g, 0);
    return scalar_op(g, OP_SELECT, (const Scalar *[]){inside, body, zero}, body->span);
}

/* sums[chunk] += the sum over all lanes of a term, as whatever loops. */
static void term_add(Build *b, Block *block, const Node *formula, const Node *sums)
{
    block = array_loops(b, block, formula->shape, formula->rank, formula->span);
    const Scalar *value = formula->kind == NODE_COMP && formula->reduce == REDUCE_SUM
                              ? lower_reduction(b->l, block, formula)
                              : scalar_load_at(b->l->g, formula, 0);
    sum_store(b, block, sums, value, true);
}

typedef struct SinkAdd {
    Build *b;
    Block *block;
    const Node *sink, *sums;
    Extent iters[MAX_ITERS];
    const Scalar *subs[MAX_RANK + 1]; /* of the sums */
    const Scalar *guard;
} SinkAdd;

/* The sum of these terms by register tiles, if they suit it; else returns the formula. */
static const Node *products_add(SinkAdd *s, const Scalar *body)
{
    Build *b = s->b;
    const Node *formula = graph_comp(b->l->g, REDUCE_SUM, s->sink->rank, s->sink->n_iters, s->iters,
                                     body, s->guard, s->sink->span);
    b->kernel->n_vars = FIRST_FREE; /* of one set of tiles after the other */
    bool tiles = contract_dots(b->l, b->kernel, formula, s->sums, s->subs, s->block);
    return tiles ? NULL : formula;
}

/* Adds what of a sum of terms are products; returns the others, or NULL. */
static const Scalar *terms_add(SinkAdd *s, const Scalar *body)
{
    if (body->kind != SCALAR_OP || body->op != OP_ADD) return products_add(s, body) ? body : NULL;
    const Scalar *x = terms_add(s, body->args[0]), *y = terms_add(s, body->args[1]);
    return x && y ? scalar_op2(s->b->l->g, OP_ADD, x, y) : x ? x : y;
}

/* sums[chunk] += sum over the lanes, the lanes innermost. */
static void sink_add(Build *b, Block *block, const Node *sink, const Node *sums)
{
    Graph *g = b->l->g;
    SinkAdd s = {.b = b, .block = block, .sink = sink, .sums = sums};
    int q = lanes_sink_iter(b->group, sink), last = sink->n_iters - 1;
    const Scalar *map[MAX_ITERS] = {0}, *guard_map[MAX_ITERS] = {0};
    for (int i = 0; i < sink->n_iters; i++) {
        if (i > q) map[i] = guard_map[i] = scalar_iter(g, i - 1);
        s.iters[i > q ? i - 1 : i] = sink->iters[i];
    }
    s.iters[last] = extent_fixed(b->group->lanes);
    const Scalar *lane = scalar_iter(g, last);
    const Scalar *body = sink_term(b, body_of(b, sink->body, q, map, lane), lane);
    s.guard = body_of(b, sink->guard, q, guard_map, lane);
    sum_load(b, sums, scalar_iter(g, CHUNK), sink->rank, s.subs);
    const Node *formula = products_add(&s, body);
    const Scalar *rest = formula ? terms_add(&s, body) : NULL;
    if (rest && rest != body) formula = products_add(&s, rest);
    if (rest) term_add(b, block, formula, sums);
}

static void sinks_add(Build *b)
{
    Lowered *l = b->l;
    Graph *g = l->g;
    const Nodes *sinks = &b->group->sinks;
    for (int i = 0; i < sinks->len; i++)
        copies_add(b, sinks->data[i], lanes_sink_iter(b->group, sinks->data[i]));
    Block sums = {0};
    for (int i = 0; i < sinks->len; i++) {
        sink_add(b, part_add(b, &sums), sinks->data[i], b->sums.data[i]);
    }
    const Scalar *left = scalar_op2(g, OP_SUB, examples_count(b), first_example(b));
    Stmt *partial = stmt_if(l, scalar_op2(g, OP_LT, left, scalar_int(g, b->group->lanes)));
    for (int i = 0; i < b->cleared.len; i++)
        rest_fill(b, part_add(b, &partial->body), b->cleared.data[i], true);
    if (b->cleared.len) block_add(l, b->block, partial);
    for (int i = 0; i < sums.len; i++)
        block_add(l, b->block, sums.data[i]);
}

/* The sums of the chunks, in order. */
static void sink_finish(Build *b, const Node *sink, const Node *sums)
{
    Lowered *l = b->l;
    Graph *g = l->g;
    lower_buffer(l, sink);
    Kernel *k = lower_kernel(l, sink);
    Block *block = array_loops(b, &k->body, sink->shape, sink->rank, sink->span);
    Extent iters[MAX_ITERS];
    for (int i = 0; i < sink->rank; i++)
        iters[i] = sink->shape[i];
    iters[sink->rank] = extent_fixed(b->chunks);
    const Scalar *subs[MAX_RANK + 1], *value;
    k->n_vars = sink->rank + 1;
    if (b->chunks == 1)
        value = sum_load(b, sums, scalar_int(g, 0), sink->rank, subs);
    else {
        value = sum_load(b, sums, scalar_iter(g, sink->rank), sink->rank, subs);
        value = lower_reduction(
            l, block,
            graph_comp(g, REDUCE_SUM, sink->rank, sink->rank + 1, iters, value, NULL, sink->span));
    }
    if (sink->reduce == REDUCE_MEAN) value = lower_mean(l, value, sink);
    array_store(b, block, sink, value);
}

/* --- the kernel ------------------------------------------------------------------------------- */

static double group_work(const LaneGroup *group)
{
    double work = 0;
    for (int m = 0; m < group->members.len; m++) {
        const Node *node = group->members.data[m];
        double points = 1;
        for (int i = 1; i < node->n_iters; i++)
            points *= (double)node->iters[i].max;
        work += points;
    }
    return work * (double)group->examples.max;
}

/* blocks * chunk / chunks */
static const Scalar *chunk_bound(Build *b, const Scalar *blocks, int more)
{
    Graph *g = b->l->g;
    const Scalar *at = scalar_op2(g, OP_ADD, scalar_iter(g, CHUNK), scalar_int(g, more));
    return scalar_op2(g, OP_IDIV, scalar_op2(g, OP_MUL, blocks, at), scalar_int(g, b->chunks));
}

/* The loop over the blocks of a chunk. */
static Stmt *blocks_loop(Build *b)
{
    Graph *g = b->l->g;
    Extent extent = extent_fixed(b->blocks);
    const Scalar *lanes = scalar_int(g, b->group->lanes);
    if (b->group->examples.size) {
        const Scalar *more = scalar_int(g, b->group->lanes - 1);
        extent.size =
            scalar_op2(g, OP_IDIV, scalar_op2(g, OP_ADD, b->group->examples.size, more), lanes);
    }
    Stmt *loop = stmt_loop(b->l, BLOCK, LOOP_SEQUENTIAL, extent, NO_SPAN);
    if (b->chunks == 1) return loop;
    const Scalar *blocks = extent.size ? extent.size : scalar_int(g, extent.max);
    loop->lo = chunk_bound(b, blocks, 0);
    loop->hi = chunk_bound(b, blocks, 1);
    return loop;
}

static void chunk_begin(Build *b, Block *block)
{
    Lowered *l = b->l;
    for (int i = 0; i < b->group->members.len; i++) {
        const Node *member = b->group->members.data[i];
        const Node *array = array_new(b, member);
        if (member->kind != NODE_RESHAPE) block_add(l, block, stmt_local(l, array));
        if (map_get(&b->group->escapes, member)) lower_buffer(l, member);
    }
    for (int i = 0; i < b->group->sinks.len; i++) {
        const Node *sink = b->group->sinks.data[i];
        Block *body = part_add(b, block);
        body = array_loops(b, body, sink->shape, sink->rank, sink->span);
        sum_store(b, body, b->sums.data[i], scalar_real(l->g, 0), false);
    }
}

void lower_lanes(Lowered *l, LaneGroup *group)
{
    Build b = {.l = l, .group = group, .arrays = map_new(l->arena), .is_array = map_new(l->arena)};
    b.blocks = (group->examples.max + group->lanes - 1) / group->lanes;
    b.chunks = group_work(group) < CHUNK_WORK ? 1 : b.blocks < CHUNKS ? b.blocks : CHUNKS;
    b.whole = !group->examples.size && group->examples.max % group->lanes == 0;
    for (int i = 0; i < group->sinks.len; i++)
        vec_push(l->arena, &b.sums, sums_new(&b, group->sinks.data[i]));
    l->when = group->when;
    Kernel *k = b.kernel = kernel_new(l, arena_printf(l->arena, "examples_%d", l->kernels.len));
    for (int i = 0; i < group->sinks.len; i++)
        vec_push(l->arena, &k->nodes, group->sinks.data[i]);
    Stmt *chunk = stmt_loop(l, CHUNK, b.chunks > 1 ? LOOP_THREADS : LOOP_SEQUENTIAL,
                            extent_fixed(b.chunks), NO_SPAN);
    block_add(l, &k->body, chunk);
    chunk_begin(&b, &chunk->body);
    Stmt *blocks = blocks_loop(&b);
    block_add(l, &chunk->body, blocks);
    b.block = &blocks->body;
    for (int i = 0; i < group->members.len; i++)
        member_add(&b, group->members.data[i]);
    sinks_add(&b);
    k->n_vars = FIRST_FREE + 2; /* those of the tiles */
    for (int i = 0; i < group->sinks.len; i++)
        sink_finish(&b, group->sinks.data[i], b.sums.data[i]);
}
