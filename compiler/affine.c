/* affine.c -- what is known about integer expressions: affine form and interval bounds. Bounds follow
 * by interval arithmetic over the ranges of the iterators; an iterator over a run-time extent is known
 * to stay below that extent's size, too. Ints wrap at 32 bits: coefficients are kept modulo 2^32, and of
 * what may wrap nothing is known. */
#include "ir.h"

#include <assert.h>

/* The int32 that is equal to n modulo 2^32. */
static int64_t wrapped(int64_t n)
{
    return (int64_t)(((uint64_t)n + 0x80000000u) & 0xffffffffu) - 0x80000000;
}

static bool affine_add(Affine *a, const Affine *b, int64_t factor)
{
    for (int i = 0; i < MAX_ITERS; i++)
        a->coefficient[i] = wrapped(a->coefficient[i] + factor * b->coefficient[i]);
    a->constant = wrapped(a->constant + factor * b->constant);
    return true;
}

static bool affine_constant(const Affine *a)
{
    for (int i = 0; i < MAX_ITERS; i++)
        if (a->coefficient[i]) return false;
    return true;
}

bool affine_of(const Scalar *a, Affine *out)
{
    *out = (Affine){0};
    if (a->kind == SCALAR_CONST && a->type == TYPE_INT) {
        out->constant = wrapped((int64_t)a->value);
        return true;
    }
    if (a->kind == SCALAR_ITER) {
        if (a->iter >= MAX_ITERS) return false;
        out->coefficient[a->iter] = 1;
        return true;
    }
    if (a->kind != SCALAR_OP || a->type != TYPE_INT) return false;
    Affine x, y;
    switch ((int)a->op) {
    case OP_NEG: return affine_of(a->args[0], &x) && affine_add(out, &x, -1);
    case OP_ADD:
    case OP_SUB:
        return affine_of(a->args[0], &x) && affine_of(a->args[1], &y) && affine_add(out, &x, 1) &&
               affine_add(out, &y, a->op == OP_ADD ? 1 : -1);
    case OP_MUL:
        if (!affine_of(a->args[0], &x) || !affine_of(a->args[1], &y)) return false;
        if (affine_constant(&x)) return affine_add(out, &y, x.constant);
        return affine_constant(&y) && affine_add(out, &x, y.constant);
    default: return false;
    }
}

static const Range UNKNOWN = {INT64_MIN, INT64_MAX, NULL, 0};

static bool known_lo(Range r)
{
    return r.lo != INT64_MIN;
}

static bool known_hi(Range r)
{
    return r.hi != INT64_MAX;
}

static Range range_fixed(int64_t lo, int64_t hi)
{
    return (Range){lo, hi, NULL, 0};
}

/* Bounds of what an operator gives exactly: if they leave the ints, its value may have wrapped. */
static Range range_exact(int64_t lo, int64_t hi)
{
    return lo < INT32_MIN || hi > INT32_MAX ? UNKNOWN : range_fixed(lo, hi);
}

static int64_t least(Range a)
{
    return known_lo(a) ? a.lo : INT32_MIN;
}

static int64_t most(Range a)
{
    return known_hi(a) ? a.hi : INT32_MAX;
}

static Range range_add(Range a, Range b)
{
    Range r = range_exact(least(a) + least(b), most(a) + most(b));
    if (!known_hi(r)) return r;
    if (a.size && !b.size && known_hi(b)) {
        r.size = a.size;
        r.over = a.over + b.hi;
    } else if (b.size && !a.size && known_hi(a)) {
        r.size = b.size;
        r.over = b.over + a.hi;
    }
    return r;
}

static Range range_negate(Range a)
{
    return range_exact(-most(a), -least(a));
}

static Range range_times(Range a, int64_t c)
{
    if (c == 1) return a;
    if (c < 0) return range_times(range_negate(a), -c);
    if (c == 0) return range_fixed(0, 0);
    return range_exact(least(a) * c, most(a) * c);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static Range range_join(Range a, Range b)
{
    Range r = range_fixed(a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi);
    if (a.size && a.size == b.size) {
        r.size = a.size;
        r.over = a.over > b.over ? a.over : b.over;
    }
    return r;
}

/* Shared parts are visited once per use: after so many steps nothing more is found out. */
enum { RANGE_STEPS = 4000 };

static Range range_of(const Scalar *a, const Extent *iters, int n_iters, int *steps);

/* What is known of an element of an int tensor from how the tensor is made. */
static Range range_of_node(const Node *node, int *steps)
{
    if (node->type == TYPE_BOOL) return range_fixed(0, 1);
    if (node->type == TYPE_U8) return range_fixed(0, 255);
    if (node->kind == NODE_LEAF && node->leaf->kind == LEAF_TIME) {
        Extent extent = node->leaf->loop->extent;
        return (Range){0, extent.max - 1, extent.size, -1};
    }
    if (node->kind == NODE_LEAF && node->leaf->kind != LEAF_CONST &&
        node->leaf->kind >= LEAF_SIZE)
        return range_fixed(0, INT64_MAX);
    if (node->kind == NODE_LEAF && node->leaf->most) return range_fixed(0, node->leaf->most);
    if (node->kind == NODE_COMP &&
        (node->reduce == REDUCE_ARGMAX || node->reduce == REDUCE_ARGMIN)) {
        int64_t points = shape_max_elements(node->n_iters - node->rank, node->iters + node->rank);
        return range_exact(0, points > 0 ? points - 1 : 0);
    }
    if (node->kind == NODE_ORDER) return range_fixed(0, node->shape[node->rank - 1].max - 1);
    if (node->kind == NODE_LEAF && node->leaf->kind == LEAF_CONST) {
        int64_t n = node_max_elements(node);
        Range r = n ? range_fixed(INT32_MAX, INT32_MIN) : range_fixed(0, 0);
        for (int64_t i = 0; i < n; i++) {
            int64_t v = (int64_t)node->leaf->values[i];
            if (v < r.lo) r.lo = v;
            if (v > r.hi) r.hi = v;
        }
        return r;
    }
    if (node->kind == NODE_COMP && node->reduce == REDUCE_NONE && node->body)
        return range_of(node->body, node->iters, node->n_iters, steps);
    return UNKNOWN;
}

static Range range_of_op(const Scalar *a, const Extent *iters, int n_iters, int *steps)
{
    if (a->type == TYPE_BOOL) return range_fixed(0, 1);
    if (a->type == TYPE_U8) return range_fixed(0, 255);
    Range x = UNKNOWN, y = UNKNOWN;
    if (a->op != OP_SELECT && a->args[0]->type != TYPE_REAL)
        x = range_of(a->args[0], iters, n_iters, steps);
    if (a->n_args > 1 && a->args[1]->type != TYPE_REAL)
        y = range_of(a->args[1], iters, n_iters, steps);
    const Scalar *rhs = a->n_args > 1 ? a->args[1] : NULL;
    switch ((int)a->op) {
    case OP_ADD: return range_add(x, y);
    case OP_SUB: return range_add(x, range_negate(y));
    case OP_NEG: return range_negate(x);
    case OP_MUL:
        if (rhs->kind == SCALAR_CONST) return range_times(x, (int64_t)rhs->value);
        if (a->args[0]->kind == SCALAR_CONST) return range_times(y, (int64_t)a->args[0]->value);
        if (x.lo >= 0 && y.lo >= 0) return range_exact(x.lo * y.lo, most(x) * most(y));
        return UNKNOWN;
    case OP_IDIV:
        if (rhs->kind != SCALAR_CONST || rhs->value <= 0) return UNKNOWN;
        return range_fixed(known_lo(x) ? floor_div(x.lo, (int64_t)rhs->value) : INT64_MIN,
                           known_hi(x) ? floor_div(x.hi, (int64_t)rhs->value) : INT64_MAX);
    case OP_MOD: {
        if (rhs->kind != SCALAR_CONST || rhs->value <= 0) return UNKNOWN;
        int64_t c = (int64_t)rhs->value;
        if (known_lo(x) && known_hi(x) && floor_div(x.lo, c) == floor_div(x.hi, c))
            return range_fixed(x.lo - floor_div(x.lo, c) * c, x.hi - floor_div(x.lo, c) * c);
        return range_fixed(0, c - 1);
    }
    case OP_SELECT: return range_join(y, range_of(a->args[2], iters, n_iters, steps));
    case OP_MIN: {
        Range r = range_fixed(x.lo < y.lo ? x.lo : y.lo, x.hi < y.hi ? x.hi : y.hi);
        r.size = x.size ? x.size : y.size;
        r.over = x.size ? x.over : y.over;
        return r;
    }
    case OP_MAX: return range_fixed(x.lo > y.lo ? x.lo : y.lo, x.hi > y.hi ? x.hi : y.hi);
    case OP_TO_INT:
    case OP_STOP: return a->args[0]->type == TYPE_REAL ? UNKNOWN : x;
    default: return UNKNOWN;
    }
}

static Range range_of(const Scalar *a, const Extent *iters, int n_iters, int *steps)
{
    if (--*steps < 0) return UNKNOWN;
    switch (a->kind) {
    case SCALAR_CONST: return range_fixed((int64_t)a->value, (int64_t)a->value);
    case SCALAR_ITER: {
        assert(a->iter < n_iters);
        Extent e = iters[a->iter];
        Range r = range_fixed(0, e.max - 1);
        r.size = e.size;
        r.over = -1;
        return r;
    }
    case SCALAR_LOAD: {
        Range r = range_of_node(a->node, steps);
        if (a->outside) r = range_join(r, range_of(a->outside, iters, n_iters, steps));
        return r;
    }
    case SCALAR_OP: return range_of_op(a, iters, n_iters, steps);
    case SCALAR_DRAW: return UNKNOWN;
    }
    return UNKNOWN;
}

Range scalar_range(const Scalar *a, const Extent *iters, int n_iters)
{
    int steps = RANGE_STEPS;
    return range_of(a, iters, n_iters, &steps);
}

bool range_within(Range r, Extent extent)
{
    if (!known_lo(r) || r.lo < 0) return false;
    if (!extent.size) return known_hi(r) && r.hi < extent.max;
    return r.size == extent.size && r.over <= -1;
}

bool load_is_safe(const Scalar *load, int k, const Extent *iters, int n_iters)
{
    if (load->outside) return true;
    Range r = scalar_range(load->args[k], iters, n_iters);
    Extent extent = load->node->shape[k];
    if (extent.size && extent.size->iters) {
        /* The size depends on the axes before: compare with it at this load's subscripts. */
        return r.hi < 0;
    }
    return range_within(r, extent);
}
