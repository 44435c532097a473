/* eval.c -- the reference evaluator: nodes as plain loops, in order of creation; the body of a scan
 * again at every step.
 *
 * Reductions run in the order in which their iterators are written, sums of ints wrap. An array
 * is freed after its last use. Anything that can be wrong at run time is checked at every point
 * and reported with value, bound and source line; after the first error the rest is skipped. */
#include "eval.h"
#include "eval_scalar.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* --- arrays and environments ----------------------------------------------------------------- */

EvalArray *eval_array_new(int rank, const int64_t *dims)
{
    EvalArray *array = calloc(1, sizeof *array);
    if (!array) die("out of memory");
    array->rank = rank;
    array->count = 1;
    for (int k = 0; k < rank; k++) {
        array->dims[k] = dims[k];
        array->count *= dims[k];
    }
    array->data = calloc(array->count ? (size_t)array->count : 1, sizeof *array->data);
    if (!array->data) die("out of memory (%lld elements)", (long long)array->count);
    return array;
}

void eval_array_free(EvalArray *array)
{
    if (!array) return;
    free(array->data);
    free(array);
}

EvalEnv eval_env(Arena *arena, uint64_t seed)
{
    return (EvalEnv){.seed = seed, .leaves = map_new(arena)};
}

void eval_set(EvalEnv *env, const Node *leaf, const EvalArray *value)
{
    assert(leaf->kind == NODE_LEAF);
    map_put(&env->leaves, leaf, (void *)(uintptr_t)value);
}

/* --- the run --------------------------------------------------------------------------------- */

void run_fail(EvalRun *run, Span span, const char *format, ...)
{
    if (run->failed) return;
    run->failed = true;
    if (!run->error_size) return;
    int used = 0;
    run->error[0] = 0;
    if (span.line)
        used = snprintf(run->error, run->error_size, "%s: ",
                        span_users_place(graph_context(run->g), span));
    if (used < 0 || (size_t)used >= run->error_size) return;
    va_list args;
    va_start(args, format);
    vsnprintf(run->error + used, run->error_size - (size_t)used, format, args);
    va_end(args);
}

const EvalArray *run_value(EvalRun *run, const Node *node)
{
    intptr_t position = (intptr_t)map_get(&run->index, node);
    assert(position > 0);
    return run->values[position - 1];
}

const char *run_name(EvalRun *run, const Node *node)
{
    if (node->name) return node->name;
    if (node->kind == NODE_LEAF && node->leaf->name) return node->leaf->name;
    return arena_printf(run->arena, "t%u", (unsigned)node->id);
}

/* --- domains: nested loops over iterators ---------------------------------------------------- */

typedef struct Domain {
    Frame frame;
    const Node *node;
    Code *sizes[MAX_ITERS]; /* NULL: fixed, or already in bound */
} Domain;

/* Compiles the extents; those that are one number for the whole node are evaluated. */
static void domain_open(Domain *d, EvalRun *run, Arena *arena, const Node *node)
{
    *d = (Domain){.frame = {.run = run, .arena = arena}, .node = node};
    for (int i = 0; i < node->n_iters; i++) {
        Extent extent = node->iters[i];
        d->frame.bound[i] = extent.max;
        d->frame.n_iters = i;
        Code *size = extent.size ? code_new(&d->frame, extent.size) : NULL;
        if (size && !extent.size->iters)
            d->frame.bound[i] = extent_eval(&d->frame, extent, size);
        else
            d->sizes[i] = size;
    }
    d->frame.n_iters = node->n_iters;
}

static int64_t domain_extent(Domain *d, int level)
{
    if (!d->sizes[level]) return d->frame.bound[level];
    return extent_eval(&d->frame, d->node->iters[level], d->sizes[level]);
}

typedef void PointFn(void *data);

/* Calls at(data) for all values of the iterators level .. end - 1. */
static void domain_loop(Domain *d, int level, int end, PointFn *at, void *data)
{
    if (level == end) {
        at(data);
        return;
    }
    int64_t n = domain_extent(d, level);
    for (int64_t i = 0; i < n && !d->frame.run->failed; i++) {
        d->frame.iter[level] = i;
        if (level + 1 == end)
            at(data);
        else
            domain_loop(d, level + 1, end, at, data);
    }
}

/* --- comprehensions -------------------------------------------------------------------------- */

typedef struct Comp {
    Domain domain;
    const Node *node;
    Code *body, *guard;
    EvalArray *out;
    Op combine; /* of sums and products */
    bool round;
    bool product; /* a sum of products: its last loop is code_dot */
    double value; /* so far */
    int64_t count, best;
} Comp;

/* Position in the reducing iterators, row by row of their bounds. */
static int64_t comp_position(const Comp *c)
{
    int64_t position = 0;
    for (int i = c->node->rank; i < c->node->n_iters; i++)
        position = position * c->node->iters[i].max + c->domain.frame.iter[i];
    return position;
}

static void comp_reduce(void *data)
{
    Comp *c = data;
    if (c->guard && code_eval(c->guard) == 0) return;
    double y = code_eval(c->body);
    switch (c->node->reduce) {
    case REDUCE_NONE: c->value = y; break;
    case REDUCE_MEAN: c->count++; /* fall through */
    case REDUCE_SUM:
        if (c->node->type == TYPE_REAL) {
            c->value += y;
            if (c->round) c->value = (double)(float)c->value;
            break;
        } /* fall through */
    case REDUCE_PROD:
        c->value = op_eval(c->combine, c->node->type, (double[]){c->value, y});
        if (c->round) c->value = (double)(float)c->value;
        break;
    case REDUCE_MAX:
        if (y > c->value) c->value = y;
        break;
    case REDUCE_MIN:
        if (y < c->value) c->value = y;
        break;
    case REDUCE_ARGMAX:
    case REDUCE_ARGMIN:
        if (c->node->reduce == REDUCE_ARGMAX ? y > c->value : y < c->value) {
            c->value = y;
            c->best = comp_position(c);
        }
        break;
    case REDUCE_ANY: c->value = c->value != 0 || y != 0; break;
    case REDUCE_ALL: c->value = c->value != 0 && y != 0; break;
    case REDUCE_COUNT: break;
    }
}

static void comp_dot(void *data)
{
    Comp *c = data;
    int inner = c->node->n_iters - 1;
    c->value = code_dot(c->body, inner, domain_extent(&c->domain, inner), c->value);
}

static void comp_element(void *data)
{
    Comp *c = data;
    const Node *node = c->node;
    int64_t address = 0;
    for (int k = 0; k < node->rank; k++)
        address = address * c->out->dims[k] + c->domain.frame.iter[k];
    if (node->reduce == REDUCE_NONE) {
        c->out->data[address] = code_eval(c->body);
        return;
    }
    c->value = reduce_empty(node->reduce, node->type);
    if (node->reduce == REDUCE_ARGMAX) c->value = -INFINITY;
    if (node->reduce == REDUCE_ARGMIN) c->value = INFINITY;
    c->count = c->best = 0;
    if (c->product)
        domain_loop(&c->domain, node->rank, node->n_iters - 1, comp_dot, c);
    else
        domain_loop(&c->domain, node->rank, node->n_iters, comp_reduce, c);
    double value = c->value;
    if (node->reduce == REDUCE_MEAN) value = c->count ? value / (double)c->count : 0;
    if (node->reduce == REDUCE_ARGMAX || node->reduce == REDUCE_ARGMIN) value = (double)c->best;
    c->out->data[address] = c->round ? (double)(float)value : value;
}

static void comp_eval(EvalRun *run, Arena *arena, const Node *node, EvalArray *out)
{
    Comp c = {.node = node, .out = out};
    domain_open(&c.domain, run, arena, node);
    c.body = code_new(&c.domain.frame, node->body);
    c.guard = node->guard ? code_new(&c.domain.frame, node->guard) : NULL;
    c.combine = node->reduce == REDUCE_PROD ? OP_MUL : OP_ADD;
    c.round = run->env->f32 && node->type == TYPE_REAL;
    c.product = node->reduce == REDUCE_SUM && node->type == TYPE_REAL && !c.guard &&
                node->n_iters > node->rank && code_is_product(c.body);
    domain_loop(&c.domain, 0, node->rank, comp_element, &c);
}

/* --- scatter --------------------------------------------------------------------------------- */

typedef struct Scatter {
    Domain domain;
    const Node *node;
    Code *body, *guard, *position[MAX_RANK];
    EvalArray *out;
    bool round;
} Scatter;

/* A position outside of the result is skipped: no index equals it. */
static void scatter_point(void *data)
{
    Scatter *s = data;
    if (s->guard && code_eval(s->guard) == 0) return;
    int64_t address = 0;
    for (int k = 0; k < s->node->rank; k++) {
        int64_t at = (int64_t)code_eval(s->position[k]);
        if (at < 0 || at >= s->out->dims[k]) return;
        address = address * s->out->dims[k] + at;
    }
    double *to = &s->out->data[address];
    *to = op_eval(OP_ADD, s->node->type, (double[]){*to, code_eval(s->body)});
    if (s->round) *to = (double)(float)*to;
}

static void scatter_eval(EvalRun *run, Arena *arena, const Node *node, EvalArray *out)
{
    Scatter s = {.node = node, .out = out, .round = run->env->f32 && node->type == TYPE_REAL};
    domain_open(&s.domain, run, arena, node);
    s.body = code_new(&s.domain.frame, node->body);
    s.guard = node->guard ? code_new(&s.domain.frame, node->guard) : NULL;
    for (int k = 0; k < node->rank; k++)
        s.position[k] = code_new(&s.domain.frame, node->position[k]);
    domain_loop(&s.domain, 0, node->n_iters, scatter_point, &s);
}

/* --- the companions -------------------------------------------------------------------------- */

/* out[outer, offset + stride * t, inner] = part[outer, t, inner] */
static void pieces_eval(EvalRun *run, const Node *node, EvalArray *out)
{
    int64_t outer = 1, inner = 1, extent = out->dims[node->axis];
    for (int k = 0; k < node->axis; k++)
        outer *= out->dims[k];
    for (int k = node->axis + 1; k < node->rank; k++)
        inner *= out->dims[k];
    for (int i = 0; i < node->n_pieces; i++) {
        Piece piece = node->pieces[i];
        const EvalArray *part = run_value(run, piece.part);
        int64_t count = part->dims[node->axis];
        for (int64_t o = 0; o < outer; o++)
            for (int64_t t = 0; t < count; t++) {
                int64_t at = piece.offset + piece.stride * t;
                if (at >= extent) break; /* a run-time extent ends there */
                memcpy(out->data + (o * extent + at) * inner, part->data + (o * count + t) * inner,
                       sizeof(double) * (size_t)inner);
            }
    }
}

/* NaN comes last; equal ones stay in order. */
static bool order_before(double a, double b)
{
    return a < b || (isnan(b) && !isnan(a));
}

/* Merge sort of positions by value. */
static void order_row(const double *values, double *positions, double *spare, int64_t n)
{
    if (n < 2) return;
    int64_t half = n / 2, i = 0, j = half;
    order_row(values, positions, spare, half);
    order_row(values, positions + half, spare, n - half);
    for (int64_t k = 0; k < n; k++) {
        bool second = i == half || (j < n && order_before(values[(int64_t)positions[j]],
                                                          values[(int64_t)positions[i]]));
        spare[k] = second ? positions[j++] : positions[i++];
    }
    memcpy(positions, spare, sizeof *positions * (size_t)n);
}

typedef struct Order {
    Domain domain;
    const EvalArray *arg;
    EvalArray *out;
    double *spare;
} Order;

static void order_vector(void *data)
{
    Order *s = data;
    int last = s->out->rank - 1;
    int64_t row = 0;
    for (int k = 0; k < last; k++)
        row = row * s->out->dims[k] + s->domain.frame.iter[k];
    int64_t n = domain_extent(&s->domain, last);
    double *out = s->out->data + row * s->out->dims[last];
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)i;
    order_row(s->arg->data + row * s->out->dims[last], out, s->spare, n);
}

static void order_eval(EvalRun *run, Arena *arena, const Node *node, EvalArray *out)
{
    Order s = {.arg = run_value(run, node->arg), .out = out};
    Node loops = *node; /* its axes as iterators */
    loops.n_iters = node->rank;
    loops.iters = node->shape;
    s.spare = NEW_ARRAY(arena, double, out->dims[node->rank - 1] + 1);
    domain_open(&s.domain, run, arena, &loops);
    domain_loop(&s.domain, 0, node->rank - 1, order_vector, &s);
}

/* --- leaves ---------------------------------------------------------------------------------- */

static bool rounds(const EvalRun *run, const Node *node)
{
    return run->env->f32 && node->type == TYPE_REAL;
}

/* The environment's value of a leaf, if it has the wanted extents; else reports. */
static const EvalArray *leaf_value(EvalRun *run, const Node *node, const int64_t *dims)
{
    const EvalArray *value = map_get(&run->env->leaves, node);
    if (!value) {
        run_fail(run, node->span, "`%s` has no value", run_name(run, node));
        return NULL;
    }
    if (value->rank != node->rank)
        run_fail(run, node->span, "`%s` has a value of rank %d, not %d", run_name(run, node),
                 value->rank, node->rank);
    for (int k = 0; k < value->rank && !run->failed; k++)
        if (value->dims[k] != dims[k])
            run_fail(run, node->span, "axis %d of `%s` has %lld elements where %lld are wanted", k,
                     run_name(run, node), (long long)value->dims[k], (long long)dims[k]);
    return run->failed ? NULL : value;
}

static void leaf_eval(EvalRun *run, const Node *node, EvalArray *out)
{
    const EvalEnv *env = run->env;
    const double *data = node->leaf->values;
    switch (node->leaf->kind) {
    case LEAF_FILE:
    case LEAF_PERSIST:
    case LEAF_FIELD:
    case LEAF_INPUT: {
        const EvalArray *value = leaf_value(run, node, out->dims);
        if (!value) return;
        data = value->data;
    } /* fall through */
    case LEAF_CONST:
        for (int64_t i = 0; i < out->count; i++)
            out->data[i] = rounds(run, node) ? (double)(float)data[i] : data[i];
        break;
    case LEAF_SIZE: out->data[0] = (double)env->batch; break;
    case LEAF_TOTAL: out->data[0] = (double)env->total; break;
    case LEAF_OFFSET: out->data[0] = (double)env->offset; break;
    case LEAF_STEP: out->data[0] = (double)env->step; break;
    case LEAF_EPOCH: out->data[0] = (double)env->epoch; break;
    case LEAF_CARRY:
    case LEAF_TIME: assert(!"set by its loop"); break;
    }
}

/* --- graphs ---------------------------------------------------------------------------------- */

/* The extents of the node's array: run-time axes that are one number have that extent. */
static void node_dims(EvalRun *run, Arena *arena, const Node *node, int64_t *dims)
{
    Frame frame = {.run = run, .arena = arena};
    for (int k = 0; k < node->rank; k++) {
        Extent extent = node->shape[k];
        bool one = extent.size && !extent.size->iters;
        dims[k] = extent_eval(&frame, extent, one ? code_new(&frame, extent.size) : NULL);
    }
}

static void node_eval(EvalRun *run, Arena *arena, const Node *node, EvalArray *out)
{
    switch (node->kind) {
    case NODE_LEAF: leaf_eval(run, node, out); break;
    case NODE_COMP: comp_eval(run, arena, node, out); break;
    case NODE_SCATTER: scatter_eval(run, arena, node, out); break;
    case NODE_PIECES: pieces_eval(run, node, out); break;
    case NODE_ORDER: order_eval(run, arena, node, out); break;
    case NODE_RESHAPE:
    case NODE_TAG: {
        const EvalArray *arg = run_value(run, node->arg);
        assert(arg->count == out->count);
        memcpy(out->data, arg->data, sizeof *out->data * (size_t)out->count);
        break;
    }
    case NODE_SCAN:
    case NODE_FINAL:
    case NODE_YIELD: assert(!"set by its scan"); break;
    }
}

/* --- regions --------------------------------------------------------------------------------- */

static int run_index(EvalRun *run, const Node *node)
{
    return (int)(intptr_t)map_get(&run->index, node) - 1;
}

static void run_scan(EvalRun *run, Arena *arena, const Region *region);

/* Evaluates node i; large leaves are not copied. */
static void run_node(EvalRun *run, Arena *arena, int i)
{
    if (run->values[i]) return; /* a result of a scan, or what a loop sets */
    const Node *node = run->nodes.data[i];
    if (node->kind == NODE_SCAN) {
        run_scan(run, arena, map_get(&run->regions, node));
        return;
    }
    int64_t dims[MAX_RANK] = {0};
    node_dims(run, arena, node, dims);
    if (run->failed) return;
    bool given = node->kind == NODE_LEAF && node->leaf->kind >= LEAF_FILE &&
                 node->leaf->kind <= LEAF_INPUT;
    if (given && !rounds(run, node)) {
        run->borrowed[i] = true;
        run->values[i] = leaf_value(run, node, dims);
        return;
    }
    EvalArray *out = eval_array_new(node->rank, dims);
    run->values[i] = out;
    node_eval(run, arena, node, out);
}

static void run_free(EvalRun *run, int i)
{
    if (!run->borrowed[i]) eval_array_free((EvalArray *)(uintptr_t)run->values[i]);
    run->values[i] = NULL;
}

/* What a node of a region needs before: a scan, what its body takes from outside. */
static Nodes region_operands(EvalRun *run, Arena *arena, const Node *node)
{
    if (node->kind == NODE_SCAN) {
        const Region *region = map_get(&run->regions, node);
        return region->outer;
    }
    Nodes operands = {0};
    if (node->kind == NODE_FINAL || node->kind == NODE_YIELD) {
        vec_push(arena, &operands, node->arg);
        return operands;
    }
    return node->operands;
}

/* last[i]: the position in the region of the last node that uses node i; roots are used at the
 * end. */
static int *last_uses(EvalRun *run, const Region *region, const Node *const *roots, int n_roots)
{
    int *last = NEW_ARRAY(run->arena, int, run->nodes.len + 1);
    for (int i = 0; i < region->nodes.len; i++) {
        Nodes operands = region_operands(run, run->arena, region->nodes.data[i]);
        for (int k = 0; k < operands.len; k++)
            last[run_index(run, operands.data[k])] = i;
    }
    for (int i = 0; i < n_roots; i++)
        last[run_index(run, roots[i])] = region->nodes.len;
    return last;
}

static void run_nodes(EvalRun *run, const Region *region, const int *last)
{
    for (int i = 0; i < region->nodes.len && !run->failed; i++) {
        Arena *arena = arena_new();
        run_node(run, arena, run_index(run, region->nodes.data[i]));
        Nodes operands = region_operands(run, arena, region->nodes.data[i]);
        for (int k = 0; k < operands.len; k++) {
            int at = run_index(run, operands.data[k]);
            if (last[at] == i) run_free(run, at);
        }
        arena_free(arena);
    }
}

static EvalArray *array_copy(const EvalArray *from)
{
    EvalArray *copy = eval_array_new(from->rank, from->dims);
    memcpy(copy->data, from->data, sizeof *copy->data * (size_t)from->count);
    return copy;
}

/* --- scans ----------------------------------------------------------------------------------- */

/* The values of the loop's leaves at step t. */
static void scan_enter(EvalRun *run, const Region *region, int64_t t, EvalArray *const *carried)
{
    const Node *scan = region->scan, *time = graph_time(run->g, scan->loop);
    if (map_get(&run->index, time)) {
        EvalArray *at = eval_array_new(0, NULL);
        at->data[0] = (double)t;
        run->values[run_index(run, time)] = at;
    }
    for (int k = 0; k < scan->n_carries; k++)
        run->values[run_index(run, scan->carries[k].leaf)] = array_copy(carried[k]);
}

/* Keeps what the step yields and carries on, and forgets all else that it computed. */
static void scan_leave(EvalRun *run, const Region *region, int64_t t, EvalArray **carried)
{
    const Node *scan = region->scan;
    for (int i = 0; i < region->results.len && !run->failed; i++) {
        const Node *result = region->results.data[i];
        if (!result->value) continue;
        const EvalArray *value = run_value(run, result->value);
        const EvalArray *all = run_value(run, result);
        memcpy(all->data + t * value->count, value->data, sizeof(double) * (size_t)value->count);
    }
    for (int k = 0; k < scan->n_carries && !run->failed; k++) {
        eval_array_free(carried[k]);
        carried[k] = array_copy(run_value(run, scan->carries[k].next));
    }
    for (int k = 0; k < scan->n_carries; k++)
        run_free(run, run_index(run, scan->carries[k].leaf));
    for (int i = 0; i < region->nodes.len; i++)
        run_free(run, run_index(run, region->nodes.data[i]));
}

/* Runs the loop once, for all its results. */
static void run_scan(EvalRun *run, Arena *arena, const Region *region)
{
    const Node *scan = region->scan;
    Extent steps = scan->loop->extent;
    Frame frame = {.run = run, .arena = arena};
    int64_t n = extent_eval(&frame, steps, steps.size ? code_new(&frame, steps.size) : NULL);
    EvalArray **carried = NEW_ARRAY(arena, EvalArray *, scan->n_carries + 1);
    int64_t dims[MAX_RANK] = {0};
    for (int k = 0; k < scan->n_carries; k++)
        carried[k] = array_copy(run_value(run, scan->carries[k].init));
    for (int i = 0; i < region->results.len && !run->failed; i++) {
        const Node *result = region->results.data[i];
        if (!result->value) continue;
        node_dims(run, arena, result, dims);
        run->values[run_index(run, result)] = eval_array_new(result->rank, dims);
    }
    const int never = -1;
    int *last = NEW_ARRAY(arena, int, run->nodes.len + 1);
    for (int i = 0; i <= run->nodes.len; i++)
        last[i] = never;
    for (int64_t i = 0; i < n && !run->failed; i++) {
        int64_t t = scan->loop->reversed ? n - 1 - i : i;
        scan_enter(run, region, t, carried);
        run_nodes(run, region, last);
        scan_leave(run, region, t, carried);
    }
    for (int i = 0; i < region->results.len && !run->failed; i++) {
        const Node *result = region->results.data[i];
        if (!result->value)
            run->values[run_index(run, result)] = array_copy(carried[result->carry]);
    }
    for (int k = 0; k < scan->n_carries; k++)
        eval_array_free(carried[k]);
}

static void regions_index(EvalRun *run, Region *region)
{
    for (int i = 0; i < region->inner.len; i++) {
        Region *inner = region->inner.data[i];
        map_put(&run->regions, inner->scan, inner);
        regions_index(run, inner);
    }
}

bool eval_roots(Graph *g, const EvalEnv *env, const Node *const *roots, int n_roots,
                EvalArray **out, char *error, size_t error_size)
{
    Arena *arena = arena_new();
    EvalRun run = {.g = g, .env = env, .arena = arena, .index = map_new(arena),
                   .regions = map_new(arena), .error = error, .error_size = error_size};
    run.nodes = graph_reach(arena, roots, n_roots);
    run.values = NEW_ARRAY(arena, const EvalArray *, run.nodes.len + 1);
    run.borrowed = NEW_ARRAY(arena, bool, run.nodes.len + 1);
    for (int i = 0; i < run.nodes.len; i++)
        map_put(&run.index, run.nodes.data[i], (void *)(intptr_t)(i + 1));
    Region *whole = graph_regions(arena, roots, n_roots, NULL);
    regions_index(&run, whole);
    run_nodes(&run, whole, last_uses(&run, whole, roots, n_roots));
    for (int i = 0; i < n_roots; i++) {
        const EvalArray *value = run.failed ? NULL : run_value(&run, roots[i]);
        out[i] = value ? eval_array_new(value->rank, value->dims) : NULL;
        if (value) memcpy(out[i]->data, value->data, sizeof(double) * (size_t)value->count);
    }
    for (int i = 0; i < run.nodes.len; i++)
        run_free(&run, i);
    arena_free(arena);
    return !run.failed;
}
