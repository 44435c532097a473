/* schedule.c -- vectors. Loops of one iteration vanish.
 *
 * A reduction inside a parallel loop whose variable has unit stride becomes a block of lanes: the
 * loop is cut into blocks of W iterations, every local variable becomes an array of W, and the
 * iterations of a block are the innermost loop everywhere, so that `acc[lane] += x[k * n + j +
 * lane]` is vector code. A reduction along contiguous elements gets W partial results that are
 * combined by halves at the end. */
#include "kernel.h"

#include <assert.h>
#include <math.h>

enum {
    LANES = 64,   /* of a block */
    PARTS = 16,   /* partial results of a reduction */
    HALVINGS = 3, /* until they are two */
    NEAR = 4,     /* largest stride of lanes where none is 1 */
    NARROW = 4    /* a loop shorter than this has no lanes */
};

/* --- strides ---------------------------------------------------------------------------------- */

/* The stride of a load in a variable; false if it is not affine. */
static bool load_stride(const Scalar *load, int var, int64_t *stride)
{
    *stride = 0;
    int64_t step = 1;
    for (int k = load->n_args - 1; k >= 0; k--) {
        Affine a;
        bool in = load->args[k]->iters >> var & 1;
        if (in && !affine_of(load->args[k], &a)) return false;
        if (in) *stride += a.coefficient[var] * step;
        step *= load->node->shape[k].max;
    }
    return true;
}

typedef struct Strides {
    int var;
    int unit, zero, near, other; /* loads by their stride in var */
} Strides;

static void strides_scalar(void *data, const Scalar *s)
{
    Strides *x = data;
    int64_t stride;
    if (s->kind != SCALAR_LOAD || s->node->rank == 0) return;
    if (!load_stride(s, x->var, &stride))
        x->other++;
    else if (stride == 1)
        x->unit++;
    else if (stride == 0)
        x->zero++;
    else if (stride > 0 && stride <= NEAR)
        x->near++;
    else
        x->other++;
}

static void strides_ref(void *data, const Scalar **s)
{
    scalar_visit(*s, strides_scalar, data);
}

static void strides_stmt(void *data, Stmt *s)
{
    if (s->kind == STMT_STORE) strides_ref(data, &s->value);
    if (s->kind == STMT_IF) strides_ref(data, &s->cond);
}

/* Of the loads in the innermost sequential loops of a block. */
static Strides strides_of(Stmt *loop, int var)
{
    Strides x = {.var = var};
    block_visit(&loop->body, strides_stmt, &x);
    return x;
}

/* Whether vectors along a variable read elements side by side, or near each other where that is
 * allowed. */
static bool vectors_along(Stmt *loop, int var, bool near)
{
    Strides along = strides_of(loop, var);
    return along.other == 0 && (near ? along.near > 0 : along.unit > 0 && along.near == 0);
}

/* --- loops of one iteration ------------------------------------------------------------------- */

typedef struct Unit {
    Lowered *l;
    int var;
} Unit;

static void unit_scalar(void *data, const Scalar **s)
{
    Unit *x = data;
    const Scalar *map[MAX_ITERS] = {0};
    map[x->var] = scalar_int(x->l->g, 0);
    *s = scalar_substitute(x->l->g, *s, map, MAX_ITERS);
}

static void unit_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, unit_scalar, data);
}

/* A loop that runs once is its body, at 0. */
static void units_remove(Lowered *l, Block *block)
{
    Block out = {0};
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        units_remove(l, &s->body);
        bool once =
            s->kind == STMT_LOOP && !s->extent.size && s->extent.max == 1 && !s->lo && !s->hi;
        for (int k = 0; once && k < s->body.len; k++)
            once = s->body.data[k]->kind != STMT_LOCAL; /* which would leave its scope */
        if (!once) {
            block_add(l, &out, s);
            continue;
        }
        Unit x = {l, s->var};
        block_visit(&s->body, unit_stmt, &x);
        for (int k = 0; k < s->body.len; k++)
            block_add(l, &out, s->body.data[k]);
    }
    *block = out;
}

/* --- blocks of lanes -------------------------------------------------------------------------- */

typedef struct Lanes {
    Lowered *l;
    int var, lane;    /* the loop's variable, the lane's */
    const Scalar *at; /* the value of var */
    int64_t width;
    Map arrays; /* from a local scalar to its array */
} Lanes;

static const Scalar *lane_load(void *data, const Scalar *load)
{
    Lanes *x = data;
    const Node *array = map_get(&x->arrays, load->node);
    if (!array) return NULL;
    const Scalar *sub = scalar_iter(x->l->g, x->lane);
    return scalar_load(x->l->g, array, &sub, NULL, load->span);
}

static void lane_scalar(void *data, const Scalar **s)
{
    Lanes *x = data;
    const Scalar *map[MAX_ITERS] = {0};
    map[x->var] = x->at;
    *s = scalar_substitute(x->l->g, *s, map, MAX_ITERS);
    *s = scalar_replace_loads(x->l->g, *s, lane_load, x);
}

static void lane_local(Lanes *x, Block *out, const Stmt *s)
{
    const Buffer *b = buffer_get(x->l, s->target);
    const Node *array = local_new(x->l, b->type, x->width, b->name);
    map_put(&x->arrays, s->target, (void *)(uintptr_t)array);
    block_add(x->l, out, stmt_local(x->l, array));
}

static Stmt *lane_clone(Lanes *x, Block *locals, const Stmt *s)
{
    Stmt *copy = arena_copy(x->l->arena, s, sizeof *s);
    copy->body = (Block){0};
    for (int i = 0; i < s->body.len; i++) {
        if (s->body.data[i]->kind == STMT_LOCAL)
            lane_local(x, locals, s->body.data[i]);
        else
            block_add(x->l, &copy->body, lane_clone(x, locals, s->body.data[i]));
    }
    stmt_scalars(copy, lane_scalar, x);
    const Node *array = copy->kind == STMT_STORE ? map_get(&x->arrays, copy->target) : NULL;
    if (array) {
        copy->target = array;
        copy->n_subs = 1;
        copy->subs[0] = scalar_iter(x->l->g, x->lane);
    }
    return copy;
}

static void run_flush(Lanes *x, Block *out, Block *run)
{
    if (run->len == 0) return;
    Stmt *loop = stmt_loop(x->l, x->lane, LOOP_VECTOR, extent_fixed(x->width), run->data[0]->span);
    loop->body = *run;
    block_add(x->l, out, loop);
    *run = (Block){0};
}

/* The statements of a block for all lanes: loops outside, lanes inside. */
static Block lanes_distribute(Lanes *x, const Block *in)
{
    Block out = {0}, run = {0};
    for (int i = 0; i < in->len; i++) {
        const Stmt *s = in->data[i];
        if (s->kind == STMT_LOCAL) {
            lane_local(x, &out, s);
        } else if (s->kind == STMT_LOOP) {
            run_flush(x, &out, &run);
            Stmt head = *s;
            head.body = (Block){0};
            Stmt *loop = lane_clone(x, &out, &head);
            loop->body = lanes_distribute(x, &s->body);
            block_add(x->l, &out, loop);
        } else {
            block_add(x->l, &run, lane_clone(x, &out, s));
        }
    }
    run_flush(x, &out, &run);
    return out;
}

typedef struct Shape {
    int loops, others; /* sequential loops; statements that cannot be distributed */
    uint64_t loop_vars;
    bool bounds_vary;
    int var;
} Shape;

static void shape_stmt(void *data, Stmt *s)
{
    Shape *x = data;
    if (s->kind == STMT_GEMM || s->kind == STMT_PART || s->tile ||
        (s->kind == STMT_LOCAL && s->target->rank > 0))
        x->others++;
    if (s->kind == STMT_IF)
        for (int i = 0; i < s->body.len; i++)
            x->others += s->body.data[i]->kind == STMT_LOOP;
    if (s->kind != STMT_LOOP) return;
    if (s->loop != LOOP_SEQUENTIAL) x->others++;
    x->loops++;
    x->loop_vars |= (uint64_t)1 << s->var;
    uint64_t bounds = (s->extent.size ? s->extent.size->iters : 0) | (s->lo ? s->lo->iters : 0) |
                      (s->hi ? s->hi->iters : 0);
    if (bounds >> x->var & 1) x->bounds_vary = true;
}

static bool lanes_pay(Stmt *loop, bool near)
{
    Shape shape = {.var = loop->var};
    block_visit(&loop->body, shape_stmt, &shape);
    if (shape.others || shape.loops == 0 || shape.bounds_vary || loop->extent.size) return false;
    if (loop->lo || loop->hi || loop->extent.max < NARROW) return false;
    return vectors_along(loop, loop->var, near);
}

/* Puts the blocks of the loop at block->data[at] in its place. */
static void lanes_apply(Lowered *l, Kernel *k, Block *block, int at)
{
    Stmt *loop = block->data[at];
    int64_t extent = loop->extent.max;
    int64_t width = extent < LANES ? extent : LANES, blocks = extent / width;
    int lane = k->n_vars++;
    const Scalar *one = scalar_iter(l->g, lane);
    const Scalar *start =
        scalar_op2(l->g, OP_MUL, scalar_iter(l->g, loop->var), scalar_int(l->g, width));
    Lanes x = {.l = l, .var = loop->var, .lane = lane, .width = width, .arrays = map_new(l->arena)};
    x.at = blocks > 1 ? scalar_op2(l->g, OP_ADD, start, one) : one;
    Block inside = lanes_distribute(&x, &loop->body);
    Block out = {0};
    for (int i = 0; i < at; i++)
        block_add(l, &out, block->data[i]);
    if (blocks > 1) {
        Stmt *outer = stmt_loop(l, loop->var, loop->loop, extent_fixed(blocks), loop->span);
        outer->body = inside;
        block_add(l, &out, outer);
    } else {
        for (int i = 0; i < inside.len; i++)
            block_add(l, &out, inside.data[i]);
    }
    if (extent % width) {
        Lanes rest = {.l = l,
                      .var = loop->var,
                      .lane = lane,
                      .width = extent % width,
                      .arrays = map_new(l->arena)};
        rest.at = scalar_op2(l->g, OP_ADD, one, scalar_int(l->g, blocks * width));
        Block tail = lanes_distribute(&rest, &loop->body);
        for (int i = 0; i < tail.len; i++)
            block_add(l, &out, tail.data[i]);
    }
    for (int i = at + 1; i < block->len; i++)
        block_add(l, &out, block->data[i]);
    *block = out;
}

/* --- partial results -------------------------------------------------------------------------- */

static bool scalar_loads_node(const Scalar *s, const Node *node)
{
    if (s->kind == SCALAR_LOAD && s->node == node) return true;
    for (int i = 0; i < s->n_args; i++)
        if (scalar_loads_node(s->args[i], node)) return true;
    return s->outside && scalar_loads_node(s->outside, node);
}

/* acc + v, or the larger or smaller of both: v, or NULL. */
static const Scalar *reduction_term(const Stmt *s)
{
    const Scalar *v = s->value, *term = NULL;
    if (s->kind != STMT_STORE || s->target->rank != 0 || v->kind != SCALAR_OP ||
        v->type != TYPE_REAL)
        return NULL;
    if (v->op == OP_ADD)
        term = v->args[0]->kind == SCALAR_LOAD && v->args[0]->node == s->target ? v->args[1]
                                                                                : v->args[0];
    if (v->op == OP_SELECT && v->args[0]->kind == SCALAR_OP && v->args[0]->op == OP_LT &&
        v->args[2]->kind == SCALAR_LOAD && v->args[2]->node == s->target)
        term = v->args[1];
    bool other = term && v->op == OP_ADD && !scalar_loads_node(v, s->target);
    return !term || other || scalar_loads_node(term, s->target) ? NULL : term;
}

/* A loop as partial results: what stands before the nest, whole blocks, the rest, what follows it.
 */
typedef struct Parts {
    Lowered *l;
    Stmt *loop;
    Lanes whole, rest;
    Block first, body, tail, halves[HALVINGS], end;
} Parts;

/* a and b, of which a is so far what the store's target holds. */
static const Scalar *parts_join(Graph *g, const Stmt *store, const Scalar *a, const Scalar *b)
{
    if (store->value->op == OP_ADD) return scalar_op2(g, OP_ADD, a, b);
    const Scalar *better = store->value->args[0]->args[0];
    bool largest = better->kind == SCALAR_LOAD && better->node == store->target;
    return scalar_select(g, scalar_op2(g, OP_LT, largest ? a : b, largest ? b : a), b, a);
}

/* One of the loop's reductions. */
static void part_add(Parts *p, Stmt *store)
{
    Lowered *l = p->l;
    Graph *g = l->g;
    bool sum = store->value->op == OP_ADD;
    const Scalar *one = scalar_iter(g, p->whole.lane);
    const Scalar *acc = scalar_load(g, store->target, NULL, NULL, NO_SPAN);
    const Node *array = local_new(l, store->target->type, PARTS, "part");
    map_put(&p->whole.arrays, store->target, (void *)(uintptr_t)array);
    map_put(&p->rest.arrays, store->target, (void *)(uintptr_t)array);
    const Scalar *part = scalar_load(g, array, &one, NULL, NO_SPAN);
    Block none = {0};
    block_add(l, &p->first, stmt_store(l, array, &one, 1, sum ? scalar_real(g, 0) : acc));
    block_add(l, &p->body, lane_clone(&p->whole, &none, store));
    block_add(l, &p->tail, lane_clone(&p->rest, &none, store));
    for (int i = 0; i < HALVINGS; i++) {
        const Scalar *behind = scalar_op2(g, OP_ADD, one, scalar_int(g, PARTS >> (i + 1)));
        const Scalar *other = scalar_load(g, array, &behind, NULL, NO_SPAN);
        block_add(l, &p->halves[i],
                  stmt_store(l, array, &one, 1, parts_join(g, store, part, other)));
    }
    block_add(l, &p->end, stmt_store(l, store->target, NULL, 0, parts_join(g, store, acc, part)));
}

static void part_loop(Parts *p, Block *out, LoopKind kind, int64_t extent, const Block *body)
{
    if (extent == 0) return;
    Stmt *loop = stmt_loop(p->l, p->whole.lane, kind, extent_fixed(extent), p->loop->span);
    loop->body = *body;
    block_add(p->l, out, loop);
}

/* The blocks of a loop in place of it, inside a nest of sequential loops. */
static void parts_inside(Parts *p, Block *nest)
{
    int64_t extent = p->loop->extent.max;
    Block out = {0};
    Stmt *main =
        stmt_loop(p->l, p->loop->var, LOOP_SEQUENTIAL, extent_fixed(extent / PARTS), p->loop->span);
    part_loop(p, &main->body, LOOP_VECTOR, PARTS, &p->body);
    block_add(p->l, &out, main);
    part_loop(p, &out, LOOP_VECTOR, extent % PARTS, &p->tail);
    while (nest->data[0] != p->loop)
        nest = &nest->data[0]->body;
    *nest = out;
}

/* Puts the nest at block->data[at], whose innermost loop is `loop`, into partial results, which are
 * combined behind the nest. */
static void parts_apply(Lowered *l, Kernel *k, Block *block, int at, Stmt *loop)
{
    Graph *g = l->g;
    int lane = k->n_vars++;
    const Scalar *one = scalar_iter(g, lane);
    Lanes lanes = {.l = l, .var = loop->var, .lane = lane, .width = PARTS};
    Parts p = {.l = l, .loop = loop, .whole = lanes, .rest = lanes};
    p.whole.arrays = map_new(l->arena);
    p.whole.at = scalar_op2(g, OP_ADD, one,
                            scalar_op2(g, OP_MUL, scalar_iter(g, loop->var), scalar_int(g, PARTS)));
    p.rest.arrays = map_new(l->arena);
    p.rest.at = scalar_op2(g, OP_ADD, one, scalar_int(g, loop->extent.max / PARTS * PARTS));
    for (int i = 0; i < loop->body.len; i++)
        part_add(&p, loop->body.data[i]);
    Block out = {0};
    for (int i = 0; i < at; i++)
        block_add(l, &out, block->data[i]);
    for (int i = 0; i < p.first.len; i++)
        block_add(l, &out, stmt_local(l, p.first.data[i]->target));
    part_loop(&p, &out, LOOP_VECTOR, PARTS, &p.first);
    Block nest = {0};
    block_add(l, &nest, block->data[at]);
    parts_inside(&p, &nest);
    for (int i = 0; i < nest.len; i++)
        block_add(l, &out, nest.data[i]);
    for (int i = 0; i < HALVINGS; i++)
        part_loop(&p, &out, LOOP_VECTOR, PARTS >> (i + 1), &p.halves[i]);
    part_loop(&p, &out, LOOP_SEQUENTIAL, PARTS >> HALVINGS, &p.end);
    for (int i = at + 1; i < block->len; i++)
        block_add(l, &out, block->data[i]);
    *block = out;
}

/* Whether the loop is nothing but reductions of elements side by side to different variables. */
static bool parts_possible(Stmt *s, bool near)
{
    if (s->lo || s->hi || s->extent.size || s->step != 1 || s->body.len < 1) return false;
    for (int i = 0; i < s->body.len; i++)
        if (!reduction_term(s->body.data[i])) return false;
    for (int i = 0; i < s->body.len; i++)
        for (int k = 0; k < s->body.len; k++)
            if (k != i && scalar_loads_node(s->body.data[k]->value, s->body.data[i]->target))
                return false;
    return vectors_along(s, s->var, near);
}

/* The innermost loop of a nest of reductions that pays in partial results, or NULL. */
static Stmt *parts_pay(Stmt *s, bool near)
{
    int64_t times = 1;
    for (; s->kind == STMT_LOOP && s->loop == LOOP_SEQUENTIAL; s = s->body.data[0]) {
        times *= s->extent.max;
        if (s->body.len == 1 && s->body.data[0]->kind == STMT_LOOP) continue;
        bool enough = s->extent.max >= PARTS && times >= 2 * PARTS;
        return enough && parts_possible(s, near) ? s : NULL;
    }
    return NULL;
}

/* --- the pass --------------------------------------------------------------------------------- */

/* A narrow loop that is all that is in a wider one goes outside, if that one can be lanes. */
static void narrow_outside(Stmt *wide)
{
    Stmt *narrow = wide->body.len == 1 ? wide->body.data[0] : NULL;
    if (!narrow || narrow->kind != STMT_LOOP || narrow->loop != LOOP_PARALLEL) return;
    if (narrow->extent.size || narrow->lo || narrow->hi || narrow->extent.max >= NARROW) return;
    Stmt swapped = *wide;
    swapped.body = narrow->body;
    if (!lanes_pay(&swapped, true)) return;
    Stmt outer = *narrow;
    outer.body = wide->body;
    *narrow = swapped;
    *wide = outer;
}

static void vectors(Lowered *l, Kernel *k, Block *block, bool near)
{
    int first = k->n_vars, most = first; /* statements side by side share variables */
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        int before = block->len;
        k->n_vars = first;
        if (first >= MAX_ITERS - 1) break;
        Stmt *reduction = parts_pay(s, near);
        if (near && s->kind == STMT_LOOP && s->loop == LOOP_PARALLEL) narrow_outside(s);
        if (s->kind == STMT_LOOP && s->loop == LOOP_PARALLEL && lanes_pay(s, near)) {
            lanes_apply(l, k, block, i);
            i += block->len - before;
        } else if (reduction) {
            parts_apply(l, k, block, i, reduction);
            i += block->len - before;
        } else {
            vectors(l, k, &s->body, near);
        }
        if (k->n_vars > most) most = k->n_vars;
    }
    k->n_vars = most;
}

/* Elements side by side first; what is left then may be a few elements apart. */
void pass_schedule(Lowered *l)
{
    for (int i = 0; i < l->kernels.len; i++) {
        Kernel *k = l->kernels.data[i];
        units_remove(l, &k->body);
        vectors(l, k, &k->body, false);
        vectors(l, k, &k->body, true);
        units_remove(l, &k->body);
        tails_add(l, &k->body);
    }
}
