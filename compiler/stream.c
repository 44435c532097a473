/* stream.c -- splits a computation over a whole split of the data into passes over chunks.
 *
 * In the entry that comes in, the batch axis is the whole split. A node that reduces over it
 * becomes two: its partial result over a chunk, which a pass adds into an accumulator (a
 * PERSIST_SCRATCH tensor), and its value, which later passes and the end make of the
 * accumulators. What it loads may itself hang on such values: the pass of a reduction is the
 * number of reductions over the batch on the longest way to it. Everything else is computed
 * again in each pass that wants it, for the examples of the chunk: an iterator over the batch,
 * where its value counts, becomes its place in the chunk + the chunk's place in the split. A
 * scan is one computation, done again in each pass that wants any of its results.
 *
 * A pass goes through one data set: what needs examples of one other than the train block's first alone
 * is accumulated in passes of its own. What needs several goes through the first, and the others wrap.
 *
 * Nodes that need all examples at once are "late", and so is what depends on them: they are
 * computed at the end, where the batch axis is the whole split. What they take from nodes that are
 * not late, and what is wanted with a batch axis, passes hand out chunk by chunk to be collected. */
#include "program.h"

#include <assert.h>

typedef struct Accumulated {
    const Node *target; /* the leaf of the accumulator */
    Persistent *persistent;
    const Node *chunk;  /* its value after a chunk */
    int pass;
    const DataSet *data; /* whose examples it is about; NULL: of the first data set */
} Accumulated;

/* The values of a node that has a batch axis, of all examples. */
typedef struct Collected {
    const Node *node;  /* in the whole */
    const Node *chunk; /* in a pass; NULL: they are data, and need no pass */
    const Node *leaf;  /* at the end */
    int pass;
} Collected;

typedef struct Splitter {
    Program *program;
    Graph *g;
    Arena *arena;
    Name name;
    Rewrite *rewrite;     /* while rewriting */
    const Node *node;     /* being rewritten */
    bool failed;
    Map pass;             /* from Node (of the whole) to the pass that can compute it, + 1 */
    Map scalars;          /* of this node: from Scalar to its replacement */
    VEC(Accumulated) accumulated;
    int n_passes;
    const Entry *whole;
    const DataSet *main;  /* the train block's first */
    Map late;             /* nodes that need all examples at once */
    Map done;             /* from Node that late ones take to its value at the end */
    VEC(Collected) collected;
} Splitter;

/* --- the batch axis -------------------------------------------------------------------------- */

static bool scalar_is_leaf(const Scalar *s, LeafKind kind)
{
    return s && s->kind == SCALAR_LOAD && s->node->kind == NODE_LEAF && s->node->leaf->kind == kind;
}

static bool extent_is_batch(Extent extent)
{
    return scalar_is_leaf(extent.size, LEAF_SIZE);
}

/* The one iterator over the batch, or -1. */
static int batch_iter(const Node *node)
{
    for (int i = 0; i < node->n_iters; i++)
        if (extent_is_batch(node->iters[i])) return i;
    return -1;
}

static bool has_batch_axis(const Node *node)
{
    for (int k = 0; k < node->rank; k++)
        if (extent_is_batch(node->shape[k])) return true;
    return false;
}

/* Whether it reduces over the batch: what a pass accumulates. */
static bool is_accumulated(const Node *node)
{
    return (node->kind == NODE_COMP || node->kind == NODE_SCATTER) && batch_iter(node) >= 0 &&
           !has_batch_axis(node);
}

static const Scalar *counter(Splitter *s, LeafKind kind, const char *name)
{
    Leaf leaf = {.kind = kind, .name = name_of(s->program->context, name)};
    return scalar_load(s->g, graph_leaf(s->g, &leaf, TYPE_INT, 0, NULL), NULL, NULL, NO_SPAN);
}

/* Reports once per split: the node compares examples with each other. */
static void refuse(Splitter *s, const char *what)
{
    if (s->failed) return;
    s->failed = true;
    diag_error(s->program->context, s->node->span,
               "%s, which cannot be done for a whole split of the data at once", what);
    diag_hint(s->program->context,
              "in a report or fit, examples meet only in reductions over all of them "
              "(sum, mean, max, argmax, ...)");
}

/* --- scalars --------------------------------------------------------------------------------- */

static const Scalar *stream_scalar(Splitter *s, const Scalar *a);

static const Scalar *stream_load(Splitter *s, const Scalar *load)
{
    if (scalar_is_leaf(load, LEAF_SIZE)) return counter(s, LEAF_TOTAL, "total");
    const Scalar *subs[MAX_RANK];
    for (int k = 0; k < load->n_args; k++) {
        subs[k] = load->args[k];
        if (!extent_is_batch(load->node->shape[k])) {
            subs[k] = stream_scalar(s, load->args[k]);
        } else if (subs[k]->kind != SCALAR_ITER || subs[k]->iter != batch_iter(s->node)) {
            refuse(s, "this reads an example by its number");
        }
    }
    const Scalar *outside = load->outside ? stream_scalar(s, load->outside) : NULL;
    return scalar_load(s->g, rewrite_get(s->rewrite, load->node), subs, outside, load->span);
}

/* The scalar as a pass computes it. */
static const Scalar *stream_scalar(Splitter *s, const Scalar *a)
{
    if (!a) return NULL;
    const Scalar *known = map_get(&s->scalars, a);
    if (known) return known;
    const Scalar *result = a, *args[3];
    switch (a->kind) {
    case SCALAR_CONST: return a;
    case SCALAR_ITER:
        if (a->iter == batch_iter(s->node))
            result = scalar_op2(s->g, OP_ADD, a, counter(s, LEAF_OFFSET, "offset"));
        break;
    case SCALAR_LOAD: result = stream_load(s, a); break;
    case SCALAR_OP:
        for (int i = 0; i < a->n_args; i++)
            args[i] = stream_scalar(s, a->args[i]);
        result = scalar_op(s->g, a->op, args, a->span);
        break;
    case SCALAR_DRAW:
        result = scalar_draw(s->g, a->site, a->normal, stream_scalar(s, a->args[0]),
                             stream_scalar(s, a->args[1]), a->span);
        break;
    }
    map_put(&s->scalars, a, (void *)(uintptr_t)result);
    return result;
}

/* Sizes of the batch stay what they are: the size of the chunk. */
static const Extent *stream_extents(Splitter *s, const Extent *extents, int n)
{
    Extent *copy = arena_copy(s->arena, extents, sizeof *extents * (size_t)n);
    for (int k = 0; k < n; k++)
        if (!extent_is_batch(copy[k])) copy[k].size = stream_scalar(s, copy[k].size);
    return copy;
}

/* --- data sets ------------------------------------------------------------------------------- */

static const DataSet *field_data(const Program *program, const Field *field)
{
    for (int i = 0; i < program->data.len; i++) {
        const Split *split = &program->data.data[i]->splits[SPLIT_TRAIN];
        for (int k = 0; k < split->fields.len; k++)
            if (split->fields.data[k]->leaf == field->leaf) return program->data.data[i];
    }
    return NULL;
}

static bool is_accumulated_end(void *data, const Node *node)
{
    const Node *root = data;
    return node != root && is_accumulated(node);
}

/* The data set whose examples alone a node of the whole takes; NULL: it takes those of the first, of several, or
 * of none. */
static const DataSet *other_data(Splitter *s, const Node *node)
{
    if (!s->main) return NULL;
    Arena *scratch = arena_new();
    Nodes nodes = graph_reach_to(scratch, &node, 1, is_accumulated_end, (void *)(uintptr_t)node);
    const DataSet *data = NULL;
    bool one = true;
    for (int i = 0; i < nodes.len && one; i++) {
        if (nodes.data[i]->kind != NODE_LEAF || nodes.data[i]->leaf->kind != LEAF_FIELD) continue;
        const DataSet *other = field_data(s->program, nodes.data[i]->leaf->field);
        one = !data || data == other;
        data = other;
    }
    arena_free(scratch);
    return one && data != s->main ? data : NULL;
}

/* --- accumulators ---------------------------------------------------------------------------- */

static const Node *fill(Splitter *s, const Node *like, ElemType type, double value)
{
    return graph_map(s->g, like->rank, stream_extents(s, like->shape, like->rank),
                     scalar_const(s->g, type, value), like->span);
}

/* A new accumulator of the node's shape that starts from `start`; its leaf. */
static Persistent *accumulator(Splitter *s, const Node *like, ElemType type, double start)
{
    Program *program = s->program;
    Persistent *p = NEW(s->arena, Persistent);
    p->kind = PERSIST_SCRATCH;
    p->index = program->persistents.len;
    p->path = name_printf(program->context, "%s.total%d", s->name, s->accumulated.len + 1);
    p->span = like->span;
    Leaf leaf = {.kind = LEAF_PERSIST, .name = p->path, .persistent = p};
    p->leaf = graph_leaf(s->g, &leaf, type, like->rank, stream_extents(s, like->shape, like->rank));
    p->init = fill(s, like, type, start);
    vec_push(s->arena, &program->persistents, p);
    return p;
}

static const Scalar *at(Splitter *s, const Node *node)
{
    return scalar_load_at(s->g, node, 0);
}

static const Node *map_like(Splitter *s, const Node *like, const Scalar *body)
{
    return graph_map(s->g, like->rank, like->shape, body, like->span);
}

static void accumulate(Splitter *s, Persistent *p, const Scalar *value)
{
    int pass = (int)(intptr_t)map_get(&s->pass, s->node) - 1;
    Accumulated a = {.target = p->leaf, .persistent = p, .pass = pass, .data = other_data(s, s->node),
                     .chunk = map_like(s, p->leaf, value)};
    vec_push(s->arena, &s->accumulated, a);
    if (pass + 1 > s->n_passes) s->n_passes = pass + 1;
}

/* op(a, b) of any type: maxima of bytes and truth values are those of ints. */
static const Scalar *combine(Splitter *s, Op op, const Scalar *a, const Scalar *b)
{
    ElemType type = a->type;
    if (op == OP_AND || op == OP_OR || type == TYPE_REAL) return scalar_op2(s->g, op, a, b);
    const Scalar *second = scalar_convert(s->g, b, TYPE_INT);
    const Scalar *both = scalar_op2(s->g, op, scalar_convert(s->g, a, TYPE_INT), second);
    return scalar_convert(s->g, both, type);
}

/* Accumulates a partial result by one operator; its value is the accumulator itself. */
static const Node *accumulate_simple(Splitter *s, const Node *chunk, Op op)
{
    Persistent *p =
        accumulator(s, s->node, chunk->type, reduce_empty(chunk->reduce, chunk->type));
    const Scalar *before = at(s, p->leaf);
    accumulate(s, p, combine(s, op, at(s, chunk), before));
    return p->leaf;
}

/* Positions of the largest or smallest: the best value so far is kept beside them. */
static const Node *accumulate_position(Splitter *s, const Node *chunk)
{
    Graph *g = s->g;
    int batch = batch_iter(chunk);
    if (batch != chunk->rank) {
        refuse(s, "this finds a position by several indices, the example not being the first");
        return chunk;
    }
    bool max = chunk->reduce == REDUCE_ARGMAX;
    const Node *value = graph_comp(g, max ? REDUCE_MAX : REDUCE_MIN, chunk->rank, chunk->n_iters,
                                   chunk->iters, chunk->body, chunk->guard, chunk->span);
    Reduce reduce = max ? REDUCE_MAX : REDUCE_MIN;
    Persistent *best =
        accumulator(s, s->node, value->type, reduce_empty(reduce, value->type));
    const Scalar *before = at(s, best->leaf), *now = at(s, value);
    accumulate(s, best, combine(s, max ? OP_MAX : OP_MIN, now, before));
    Persistent *position = accumulator(s, s->node, TYPE_INT, 0);
    int64_t row = 1;
    for (int i = batch + 1; i < chunk->n_iters; i++)
        row *= chunk->iters[i].max;
    const Scalar *first = scalar_op2(g, OP_MUL, counter(s, LEAF_OFFSET, "offset"),
                                     scalar_int(g, row));
    const Scalar *here = scalar_op2(g, OP_ADD, at(s, chunk), first);
    const Scalar *better = scalar_op2(g, OP_LT, max ? before : now, max ? now : before);
    accumulate(s, position, scalar_select(g, better, here, at(s, position->leaf)));
    return position->leaf;
}

/* Elements that an example adds to the mean, if that is known: no guard, fixed extents; else 0. */
static int64_t points_per_example(const Node *chunk)
{
    int64_t points = 1;
    for (int i = chunk->rank; i < chunk->n_iters; i++) {
        if (extent_is_batch(chunk->iters[i])) continue;
        if (chunk->iters[i].size) return 0;
        points *= chunk->iters[i].max;
    }
    return chunk->guard ? 0 : points;
}

/* The sum, divided at the end by the number of points, which is counted unless it is known. */
static const Node *accumulate_mean(Splitter *s, const Node *chunk)
{
    Graph *g = s->g;
    const Node *sum = graph_comp(g, REDUCE_SUM, chunk->rank, chunk->n_iters, chunk->iters,
                                 chunk->body, chunk->guard, chunk->span);
    const Node *total = accumulate_simple(s, sum, OP_ADD);
    int64_t points = points_per_example(chunk);
    const Scalar *one = scalar_real(g, 1), *count;
    if (points > 0 && !other_data(s, s->node)) {
        count = scalar_convert(g, counter(s, LEAF_TOTAL, "total"), TYPE_REAL);
        count = scalar_op2(g, OP_MUL, count, scalar_real(g, (double)points));
    } else {
        const Node *counted =
            graph_comp(g, REDUCE_SUM, chunk->rank, chunk->n_iters, chunk->iters, one,
                       chunk->guard, chunk->span);
        count = at(s, accumulate_simple(s, counted, OP_ADD));
    }
    count = scalar_op2(g, OP_MAX, count, one);
    const Scalar *mean = scalar_op2(g, OP_DIV, at(s, total), count);
    return map_like(s, total, mean);
}

static const Node *accumulate_node(Splitter *s, const Node *chunk)
{
    if (chunk->kind == NODE_SCATTER) return accumulate_simple(s, chunk, OP_ADD);
    switch (chunk->reduce) {
    case REDUCE_SUM: return accumulate_simple(s, chunk, OP_ADD);
    case REDUCE_PROD: return accumulate_simple(s, chunk, OP_MUL);
    case REDUCE_MAX: return accumulate_simple(s, chunk, OP_MAX);
    case REDUCE_MIN: return accumulate_simple(s, chunk, OP_MIN);
    case REDUCE_ANY: return accumulate_simple(s, chunk, OP_OR);
    case REDUCE_ALL: return accumulate_simple(s, chunk, OP_AND);
    case REDUCE_MEAN: return accumulate_mean(s, chunk);
    case REDUCE_ARGMAX:
    case REDUCE_ARGMIN: return accumulate_position(s, chunk);
    case REDUCE_NONE:
    case REDUCE_COUNT: break;
    }
    assert(!"a reduction over the batch");
    return chunk;
}

/* --- nodes ----------------------------------------------------------------------------------- */

static const Node *stream_scatter(Splitter *s, const Node *node, const Extent *iters,
                                  const Scalar *body, const Scalar *guard)
{
    const Scalar *position[MAX_RANK];
    for (int k = 0; k < node->rank; k++) {
        position[k] = node->position[k];
        if (!extent_is_batch(node->shape[k]))
            position[k] = stream_scalar(s, node->position[k]);
        else if (position[k]->kind != SCALAR_ITER || position[k]->iter != batch_iter(node))
            refuse(s, "this writes to an example by its number");
    }
    return graph_scatter(s->g, node->rank, stream_extents(s, node->shape, node->rank), position,
                         node->n_iters, iters, body, guard, node->span);
}

/* A comprehension or scatter as a pass computes it, over the examples of a chunk. */
static const Node *stream_domain(Splitter *s, const Node *node)
{
    int over_batch = 0;
    for (int i = 0; i < node->n_iters; i++)
        over_batch += extent_is_batch(node->iters[i]);
    if (over_batch > 1) refuse(s, "this compares every example with every other");
    const Extent *iters = stream_extents(s, node->iters, node->n_iters);
    const Scalar *body = stream_scalar(s, node->body), *guard = stream_scalar(s, node->guard);
    if (node->kind == NODE_SCATTER) return stream_scatter(s, node, iters, body, guard);
    return graph_comp(s->g, node->reduce, node->rank, node->n_iters, iters, body, guard,
                      node->span);
}

static const Node *stream_node(void *data, Rewrite *rewrite, const Node *node)
{
    Splitter *s = data;
    s->rewrite = rewrite;
    s->node = node;
    s->scalars = map_new(s->arena);
    if (node->kind == NODE_ORDER && extent_is_batch(node->shape[node->rank - 1]))
        refuse(s, "this sorts the examples");
    if (node->kind == NODE_PIECES && extent_is_batch(node->shape[node->axis]))
        refuse(s, "this joins along the axis of the examples");
    if (node->kind == NODE_SCAN && extent_is_batch(node->loop->extent))
        refuse(s, "this goes from example to example");
    if (is_accumulated(node) && node->free)
        refuse(s, "this reduces over the examples at every step of a scan");
    if (s->failed) return node;
    if (node->kind != NODE_COMP && node->kind != NODE_SCATTER) return NULL;
    const Node *chunk = stream_domain(s, node);
    if (s->failed) return node;
    if (node->name) graph_name(chunk, node->name);
    return is_accumulated(node) ? accumulate_node(s, chunk) : chunk;
}

/* Finds for every node the pass that can compute it first. */
static void find_passes(Splitter *s, const Node *const *roots, int n_roots)
{
    Nodes nodes = graph_reach(s->arena, roots, n_roots);
    for (int i = 0; i < nodes.len; i++) {
        int pass = 0;
        Nodes operands = nodes.data[i]->operands;
        for (int k = 0; k < operands.len; k++) {
            int ready = (int)(intptr_t)map_get(&s->pass, operands.data[k]) - 1;
            if (is_accumulated(operands.data[k])) ready++;
            if (ready > pass) pass = ready;
        }
        map_put(&s->pass, nodes.data[i], (void *)(intptr_t)(pass + 1));
    }
}

/* --- late nodes ------------------------------------------------------------------------------- */

/* Whether it loads an example by another number than its own. */
static bool loads_by_number(Map *seen, const Node *node, const Scalar *a)
{
    if (!a || map_get(seen, a)) return false;
    map_put(seen, a, (void *)(uintptr_t)a);
    for (int i = 0; i < a->n_args; i++) {
        if (loads_by_number(seen, node, a->args[i])) return true;
        if (a->kind == SCALAR_LOAD && extent_is_batch(a->node->shape[i]) &&
            (a->args[i]->kind != SCALAR_ITER || a->args[i]->iter != batch_iter(node)))
            return true;
    }
    return a->kind == SCALAR_LOAD && loads_by_number(seen, node, a->outside);
}

static bool needs_all(Splitter *s, const Node *node)
{
    if (node->kind == NODE_ORDER) return extent_is_batch(node->shape[node->rank - 1]);
    if (node->kind == NODE_PIECES) return extent_is_batch(node->shape[node->axis]);
    if (node->kind != NODE_COMP && node->kind != NODE_SCATTER) return false;
    int over_batch = 0;
    for (int i = 0; i < node->n_iters; i++)
        over_batch += extent_is_batch(node->iters[i]);
    if (over_batch > 1) return true;
    bool position = node->kind == NODE_COMP &&
                    (node->reduce == REDUCE_ARGMAX || node->reduce == REDUCE_ARGMIN);
    if (position && is_accumulated(node) && batch_iter(node) != node->rank) return true;
    for (int k = 0; node->kind == NODE_SCATTER && k < node->rank; k++)
        if (extent_is_batch(node->shape[k]) && (node->position[k]->kind != SCALAR_ITER ||
                                                node->position[k]->iter != batch_iter(node)))
            return true;
    Map seen = map_new(s->arena);
    return loads_by_number(&seen, node, node->body) || loads_by_number(&seen, node, node->guard);
}

static Extent all_examples(Splitter *s, Extent extent)
{
    if (extent_is_batch(extent)) extent.max = s->whole->total;
    return extent;
}

/* A place for the values of all examples; *roots: what passes have to compute. */
static void collect(Splitter *s, const Node *node, int64_t first, Nodes *roots)
{
    Extent shape[MAX_RANK];
    Leaf leaf = {.kind = LEAF_INPUT};
    Collected c = {.node = node};
    int64_t size = 1;
    for (int i = 0; i < s->collected.len; i++)
        if (s->collected.data[i].node == node) return;
    for (int k = 0; k < node->rank; k++) {
        shape[k] = all_examples(s, node->shape[k]);
        if (first && k == 0) shape[k] = extent_fixed(first);
        size *= shape[k].max > 0 && size <= INT32_MAX ? shape[k].max : 1;
    }
    s->node = node;
    if (size > INT32_MAX) {
        refuse(s, "this keeps values of every example, more than 2^31 numbers");
        return;
    }
    if (!extent_is_batch(node->shape[0])) {
        refuse(s, "the examples are not the first axis of this");
        return;
    }
    bool data = node->kind == NODE_LEAF && node->leaf->kind == LEAF_FIELD && !first;
    leaf.name = name_printf(s->program->context, "%s.all%d", s->name,
                            s->collected.len + 1);
    c.leaf = graph_leaf(s->g, data ? node->leaf : &leaf, node->type, node->rank,
                        arena_copy(s->arena, shape, sizeof(Extent) * (size_t)node->rank));
    map_put(&s->done, node, (void *)(uintptr_t)c.leaf);
    c.pass = -1;
    if (!data) vec_push(s->arena, roots, node);
    vec_push(s->arena, &s->collected, c);
}

/* Finds the late nodes; *roots: what passes compute for them and for results with a batch axis. */
static void find_late(Splitter *s, const Nodes *whole, Nodes *roots)
{
    Nodes nodes = graph_reach(s->arena, whole->data, whole->len);
    for (int i = 0; i < nodes.len && s->whole->total; i++) {
        const Node *node = nodes.data[i];
        Nodes operands = node->operands;
        bool late = needs_all(s, node);
        for (int k = 0; k < operands.len && !late; k++)
            late = map_get(&s->late, operands.data[k]) != NULL;
        if (!late) continue;
        map_put(&s->late, node, (void *)(uintptr_t)node);
        s->node = node;
        if (node->kind != NODE_COMP && node->kind != NODE_SCATTER && node->kind != NODE_ORDER &&
            has_batch_axis(node))
            refuse(s, "this rearranges values of all examples");
        for (int k = 0; k < operands.len; k++) {
            const Node *operand = operands.data[k];
            bool size = operand->kind == NODE_LEAF && operand->leaf->kind == LEAF_SIZE;
            if (size || map_get(&s->late, operand)) continue; /* the batch is the split, then */
            if (has_batch_axis(operand)) collect(s, operand, 0, roots);
            else vec_push(s->arena, roots, operand);
        }
    }
    for (int i = 0; i < whole->len; i++) {
        const Node *root = whole->data[i];
        if (map_get(&s->late, root)) continue;
        if (!has_batch_axis(root)) vec_push(s->arena, roots, root);
        else collect(s, root, i < s->whole->outputs.len ? s->whole->outputs.data[i].first : 0, roots);
    }
}

/* A late node over all examples. */
static const Node *late_node(void *data, Rewrite *rewrite, const Node *node)
{
    Splitter *s = data;
    const Node *done = map_get(&s->done, node);
    if (done) return done;
    if (!map_get(&s->late, node)) return node;
    if (node->kind != NODE_COMP && node->kind != NODE_SCATTER) return NULL;
    Extent iters[MAX_ITERS], shape[MAX_RANK];
    const Scalar *position[MAX_RANK];
    for (int i = 0; i < node->n_iters; i++)
        iters[i] = all_examples(s, node->iters[i]);
    for (int k = 0; k < node->rank; k++)
        shape[k] = all_examples(s, node->shape[k]);
    const Scalar *body = rewrite_scalar(rewrite, node->body),
                 *guard = rewrite_scalar(rewrite, node->guard);
    if (node->kind == NODE_COMP)
        return graph_comp(s->g, node->reduce, node->rank, node->n_iters, iters, body, guard,
                          node->span);
    for (int k = 0; k < node->rank; k++)
        position[k] = rewrite_scalar(rewrite, node->position[k]);
    return graph_scatter(s->g, node->rank, shape, position, node->n_iters, iters, body, guard,
                         node->span);
}

/* Splits the roots: those of passes, then the late ones, which replace *whole. */
static void split_roots(Splitter *s, Nodes *whole)
{
    Nodes early = {0}, values = {0};
    find_late(s, whole, &early);
    if (s->failed) return;
    find_passes(s, early.data, early.len);
    for (int i = 0; i < early.len; i++)
        vec_push(s->arena, &values, early.data[i]);
    graph_rewrite(s->program->graph, values.data, values.len, stream_node, s);
    for (int i = 0; i < early.len; i++) {
        for (int k = 0; k < s->collected.len; k++) {
            Collected *c = &s->collected.data[k];
            if (c->node != early.data[i]) continue;
            c->chunk = values.data[i];
            c->pass = (int)(intptr_t)map_get(&s->pass, c->node) - 1;
            if (c->pass + 1 > s->n_passes) s->n_passes = c->pass + 1;
        }
        if (values.data[i]->kind == NODE_LEAF && values.data[i]->leaf->kind == LEAF_SIZE)
            values.data[i] = counter(s, LEAF_TOTAL, "total")->node;
        if (!has_batch_axis(early.data[i]))
            map_put(&s->done, early.data[i], (void *)(uintptr_t)values.data[i]);
    }
    graph_rewrite(s->program->graph, whole->data, whole->len, late_node, s);
}

/* --- entries --------------------------------------------------------------------------------- */

static Entry *entry_new(Splitter *s, const char *suffix, int number, int64_t batch)
{
    Entry *entry = NEW(s->arena, Entry);
    entry->name = number ? name_printf(s->program->context, "%s_%s%d", s->name, suffix, number)
                         : name_printf(s->program->context, "%s_%s", s->name, suffix);
    entry->batch = batch;
    return entry;
}

static Entry *pass_new(Splitter *s, Stream *stream, const Entry *whole, const DataSet *data)
{
    Entry *pass = entry_new(s, "pass", stream->passes.len + 1, whole->batch);
    pass->data = data;
    vec_push(s->arena, &stream->passes, pass);
    return pass;
}

/* The passes of one level: one over each data set that something is accumulated from. */
static void stream_passes(Splitter *s, Stream *stream, const Entry *whole, int level)
{
    VEC(const DataSet *) sets = {0};
    VEC(Entry *) passes = {0};
    for (int i = 0; i < s->accumulated.len; i++) {
        Accumulated a = s->accumulated.data[i];
        int k = 0;
        if (a.pass != level) continue;
        while (k < sets.len && sets.data[k] != a.data)
            k++;
        if (k == sets.len) {
            vec_push(s->arena, &sets, a.data);
            vec_push(s->arena, &passes, pass_new(s, stream, whole, a.data));
        }
        Update update = {a.persistent, a.chunk};
        vec_push(s->arena, &passes.data[k]->updates, update);
    }
    Entry *collecting = NULL;
    for (int k = 0; k < sets.len; k++)
        if (!sets.data[k]) collecting = passes.data[k];
    for (int i = 0; i < s->collected.len; i++) {
        const Collected *c = &s->collected.data[i];
        if (!c->chunk || c->pass != level) continue;
        if (!collecting) collecting = pass_new(s, stream, whole, NULL);
        Output output = {c->leaf->leaf->name, c->chunk, c->node->span, DRAW_PLAIN, 0};
        vec_push(s->arena, &collecting->outputs, output);
    }
}

static Stream *stream_new(Splitter *s, const Entry *whole, const Node *const *roots)
{
    Stream *stream = NEW(s->arena, Stream);
    stream->name = s->name;
    stream->reset = entry_new(s, "reset", 0, 0);
    for (int p = 0; p < s->n_passes; p++)
        stream_passes(s, stream, whole, p);
    for (int i = 0; i < s->accumulated.len; i++) {
        Update reset = {s->accumulated.data[i].persistent, s->accumulated.data[i].persistent->init};
        vec_push(s->arena, &stream->reset->updates, reset);
    }
    stream->finish = entry_new(s, "finish", 0, s->collected.len ? s->whole->total : 0);
    for (int i = 0; i < whole->outputs.len; i++) {
        Output output = whole->outputs.data[i];
        output.node = *roots++;
        vec_push(s->arena, &stream->finish->outputs, output);
    }
    for (int i = 0; i < whole->updates.len; i++) {
        Update update = {whole->updates.data[i].target, *roots++};
        vec_push(s->arena, &stream->finish->updates, update);
    }
    return stream;
}

Stream *stream_split(Program *program, Name name, const Entry *whole, const DataSet *main)
{
    Arena *arena = graph_arena(program->graph);
    Splitter s = {.program = program, .g = program->graph, .arena = arena, .name = name,
                  .pass = map_new(arena), .whole = whole, .main = main, .late = map_new(arena),
                  .done = map_new(arena)};
    Nodes roots = {0};
    for (int i = 0; i < whole->outputs.len; i++)
        vec_push(arena, &roots, whole->outputs.data[i].node);
    for (int i = 0; i < whole->updates.len; i++)
        vec_push(arena, &roots, whole->updates.data[i].value);
    for (int i = 0; i < roots.len; i++)
        assert(whole->total || !has_batch_axis(roots.data[i]));
    split_roots(&s, &roots);
    return s.failed ? NULL : stream_new(&s, whole, roots.data);
}
