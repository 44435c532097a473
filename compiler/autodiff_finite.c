/* autodiff_finite.c -- which values are presumed finite, so that zero times them may be relied on
 * to be zero and need not be tested for.
 *
 * Data, parameters and states are presumed to be, and that nothing overflows; what may divide by
 * zero, or take a logarithm of it, is not. So signs are followed, too: a mean of squares plus a
 * positive number can be divided by, also its root. Numbers less the largest of them are not
 * positive, and the sum of their exponentials is at least 1; this holds where some are -inf, as
 * long as one is not. */
#include "autodiff.h"

#include <math.h>

/* What is known of a value: a set of these. All but the empty set exclude NaN; FINITE implies
 * NOT_INF, which excludes inf, but not -inf. */
enum { FINITE = 1, NOT_NEGATIVE = 2, NOT_POSITIVE = 4, NOT_ZERO = 8, NOT_INF = 16, REAL = 17 };
typedef unsigned Known;

typedef struct Presume {
    Diff *d;
    const Extent *iters; /* of the body; at most n_iters are in use */
    int n_iters;
    Map known; /* from Scalar */
} Presume;

/* A Known in a map. */
static void *letter_of(Known known)
{
    return (void *)((uintptr_t)known + 1);
}

static Known letter_known(const void *letter)
{
    return letter ? (Known)((uintptr_t)letter - 1) : 0;
}

static Known known_of(const Presume *p, const Scalar *a)
{
    return letter_known(map_get(&p->known, a));
}

/* Where a node's is kept: what a carried value is presumed to be holds in the differentiation at hand only. */
static Map *node_letters(Diff *d, const Node *node)
{
    return node->free ? &d->presumed : graph_presumed(d->g);
}

static Known const_known(double value)
{
    if (isnan(value)) return 0;
    return (isfinite(value) ? REAL : value < 0 ? NOT_INF : 0u) | (value >= 0 ? NOT_NEGATIVE : 0u) |
           (value <= 0 ? NOT_POSITIVE : 0u) | (value != 0 ? NOT_ZERO : 0u);
}

static Known sum_known(Known a, Known b)
{
    Known both = a & b & (REAL | NOT_NEGATIVE | NOT_POSITIVE);
    bool away = both & (NOT_NEGATIVE | NOT_POSITIVE) && (a | b) & NOT_ZERO;
    return both | (away ? NOT_ZERO : 0u);
}

static Known opposite_known(Known a)
{
    return (a & FINITE ? REAL : 0u) | (a & NOT_ZERO) | (a & NOT_NEGATIVE ? NOT_POSITIVE : 0u) |
           (a & NOT_POSITIVE ? NOT_NEGATIVE : 0u);
}

/* Of numbers both finite: the sign of the product, which may be zero by underflow. */
static Known product_sign(Known a, Known b)
{
    bool below = (a & NOT_NEGATIVE && b & NOT_POSITIVE) || (a & NOT_POSITIVE && b & NOT_NEGATIVE);
    bool above = a & b & (NOT_NEGATIVE | NOT_POSITIVE);
    return (above ? NOT_NEGATIVE : 0u) | (below ? NOT_POSITIVE : 0u);
}

/* Without constants for differentiation and names in between. */
static const Scalar *bare(Graph *g, const Scalar *a)
{
    for (;;) {
        bool map = a->kind == SCALAR_LOAD && !a->outside && node_is_map(a->node);
        const Scalar *body = map ? a->node->body : a;
        bool stops = body->kind == SCALAR_OP && body->op == OP_STOP;
        if (map && !stops && body->kind != SCALAR_LOAD) return a;
        if (!map && !stops) return a;
        a = map ? scalar_inline(g, a) : a->args[0];
    }
}

/* Whether `largest` loads a maximum of what `a` is one of. Where `over` is given, that is true of
 * all that the maximum is of, in turn, as the iterators from `over` on run. */
static bool is_maximand(Graph *g, const Scalar *a, const Scalar *largest, const Extent *iters,
                        int over)
{
    largest = bare(g, largest);
    a = bare(g, a);
    const Node *max = largest->kind == SCALAR_LOAD ? largest->node : NULL;
    if (!max || max->kind != NODE_COMP || max->reduce != REDUCE_MAX || max->guard) return false;
    const Scalar *of = bare(g, max->body);
    if (a->kind != SCALAR_LOAD || of->kind != SCALAR_LOAD || a->node != of->node || of->outside)
        return false;
    for (int k = 0; k < a->n_args; k++) {
        const Scalar *at = of->args[k], *here = a->args[k];
        if (!(at->iters >> max->rank)) {
            if (scalar_substitute(g, at, largest->args, max->rank) != here) return false;
            continue;
        }
        Extent axis = a->node->shape[k];
        if (at->kind != SCALAR_ITER || !extent_equal(max->iters[at->iter], axis)) return false;
        bool runs = here->kind == SCALAR_ITER && here->iter >= over;
        if (iters && (!runs || !extent_equal(iters[here->iter], axis))) return false;
    }
    return true;
}

static bool never_above_zero(const Scalar *a, Known x)
{
    bool opposites =
        a->kind == SCALAR_OP && a->op == OP_MIN && a->args[1]->kind == SCALAR_OP &&
        a->args[1]->op == OP_NEG && a->args[1]->args[0] == a->args[0];
    return x & NOT_POSITIVE || opposites;
}

/* An operator that gives something finite for finite operands x, y; with its sign. */
static Known finite_op_known(const Scalar *a, Known x, Known y)
{
    switch ((int)a->op) {
    case OP_MUL:
        if (a->args[0] == a->args[1]) return REAL | NOT_NEGATIVE;
        return REAL | product_sign(x, y);
    case OP_MIN: return REAL | (x & y) | ((x | y) & NOT_POSITIVE);
    case OP_MAX: return REAL | (x & y) | ((x | y) & NOT_NEGATIVE);
    case OP_ABS: return REAL | NOT_NEGATIVE | (x & NOT_ZERO);
    case OP_SQRT: return x & NOT_NEGATIVE ? x : 0;
    case OP_LOG: return x & NOT_NEGATIVE && x & NOT_ZERO ? REAL : 0;
    case OP_LOG1P: return x & NOT_NEGATIVE ? REAL | NOT_NEGATIVE : 0;
    case OP_POW: {
        const Scalar *power = a->args[1];
        bool whole = power->kind == SCALAR_CONST && power->value == floor(power->value);
        if (!whole || power->value < 0) return 0;
        return REAL | (fmod(power->value, 2) == 0 ? NOT_NEGATIVE : x & NOT_NEGATIVE);
    }
    case OP_SIGN:
    case OP_FLOOR:
    case OP_CEIL:
    case OP_ROUND:
    case OP_SIN:
    case OP_COS:
    case OP_TANH:
    case OP_ATAN:
    case OP_ERF: return REAL;
    case OP_SIGMOID: return REAL | NOT_NEGATIVE;
    default: return 0;
    }
}

/* 1, 0, or -1 if a condition is not known. */
static int condition(const Presume *p, const Scalar *a)
{
    if (a->kind == SCALAR_CONST) return a->value != 0;
    bool order = a->kind == SCALAR_OP && (a->op == OP_LT || a->op == OP_LE);
    if (!order || a->args[0]->type != TYPE_INT || p->n_iters == 0) return -1;
    Range x = scalar_range(a->args[0], p->iters, p->n_iters);
    Range y = scalar_range(a->args[1], p->iters, p->n_iters);
    if (x.size || y.size) return -1;
    if (x.hi < y.lo || (a->op == OP_LE && x.hi == y.lo)) return 1;
    return y.hi < x.lo || (a->op == OP_LT && y.hi == x.lo) ? 0 : -1;
}

static Known op_known(const Presume *p, const Scalar *a)
{
    Known x = known_of(p, a->args[0]), y = a->n_args > 1 ? known_of(p, a->args[1]) : x;
    switch ((int)a->op) {
    case OP_SELECT: {
        int which = condition(p, a->args[0]);
        Known z = known_of(p, a->args[2]);
        return which == 1 ? y : which == 0 ? z : y & z;
    }
    case OP_ADD: return sum_known(x, y);
    case OP_SUB: {
        bool below = x & NOT_INF && y & FINITE &&
                     is_maximand(p->d->g, a->args[0], a->args[1], NULL, 0);
        return sum_known(x, opposite_known(y)) | (below ? NOT_POSITIVE : 0u);
    }
    case OP_EXP:
        if (!(x & NOT_INF)) return 0;
        return NOT_NEGATIVE | (never_above_zero(a->args[0], x) ? REAL : 0u);
    case OP_NEG: return opposite_known(x);
    case OP_STOP:
    case OP_TO_REAL: return x;
    case OP_DIV: /* by something large without bound, too */
        return x & FINITE && y & NOT_ZERO ? REAL | product_sign(x, y) : 0;
    }
    return x & y & FINITE ? finite_op_known(a, x, y) : 0;
}

static Known node_known(Diff *d, const Node *node);

static void presume_visit(void *data, const Scalar *a)
{
    Presume *p = data;
    Known known = 0;
    switch (a->kind) {
    case SCALAR_CONST: known = const_known(a->value); break;
    case SCALAR_ITER: known = REAL | NOT_NEGATIVE; break;
    case SCALAR_DRAW: known = REAL; break;
    case SCALAR_LOAD:
        known = node_known(p->d, a->node);
        if (a->outside) known &= known_of(p, a->outside);
        break;
    case SCALAR_OP: known = a->type == TYPE_REAL ? op_known(p, a) : 0; break;
    }
    if (a->type != TYPE_REAL) known |= REAL;
    map_put(&p->known, a, letter_of(known));
}

static Known scalar_known(Diff *d, const Scalar *a, const Extent *iters, int n_iters)
{
    max_align_t room[ARENA_ROOM];
    Arena *scratch = arena_within(room, sizeof room);
    Presume p = {d, iters, n_iters, map_new(scratch)};
    scalar_visit(a, presume_visit, &p);
    Known known = known_of(&p, a);
    arena_free(scratch);
    return known;
}

static Known leaf_known(const Node *node)
{
    if (node->leaf->kind == LEAF_INPUT || node->leaf->kind == LEAF_CARRY) return 0;
    if (node->leaf->kind != LEAF_CONST) return REAL;
    Known known = REAL | NOT_NEGATIVE | NOT_POSITIVE | NOT_ZERO;
    int64_t n = node_max_elements(node);
    for (int64_t i = 0; i < n; i++)
        known &= const_known(node->leaf->values[i]);
    return n > 0 ? known : REAL;
}

/* Of the first point that a reduction is over, looking through names. */
static Known first_known(Diff *d, const Node *node)
{
    const Scalar *map[MAX_ITERS] = {0};
    for (int i = node->rank; i < node->n_iters; i++)
        map[i] = scalar_int(d->g, 0);
    const Scalar *first = scalar_substitute(d->g, node->body, map, node->n_iters);
    if (first->kind == SCALAR_LOAD && !first->outside && node_is_map(first->node))
        first = scalar_inline(d->g, first);
    return scalar_known(d, first, node->iters, node->n_iters);
}

/* Whether a sum is one of exp(x - the largest x), and over all x: one of them is 1. */
static bool sum_of_shifted(Diff *d, const Node *node)
{
    const Scalar *body = node->body;
    if (node->guard) return false;
    if (body->kind == SCALAR_LOAD && !body->outside && node_is_map(body->node))
        body = scalar_inline(d->g, body);
    if (body->kind != SCALAR_OP || body->op != OP_EXP) return false;
    const Scalar *x = bare(d->g, body->args[0]);
    if (x->kind == SCALAR_LOAD && !x->outside && node_is_map(x->node)) x = scalar_inline(d->g, x);
    bool shifted = x->kind == SCALAR_OP && x->op == OP_SUB;
    return shifted && scalar_known(d, body, node->iters, node->n_iters) & FINITE &&
           is_maximand(d->g, x->args[0], x->args[1], node->iters, node->rank);
}

static Known comp_known(Diff *d, const Node *node)
{
    bool some = !node->guard; /* points are reduced, at least one */
    for (int i = node->rank; i < node->n_iters; i++)
        some = some && !node->iters[i].size && node->iters[i].max >= 1;
    const Scalar *body = node->body;
    Known known;
    switch (node->reduce) {
    case REDUCE_NONE: return scalar_known(d, body, node->iters, node->n_iters);
    case REDUCE_MAX:
    case REDUCE_MIN:
        if (!some) return 0;
        /* A window that reaches over the edge: what lies outside is never the extremum. */
        if (body->kind == SCALAR_LOAD && body->outside && body->outside->kind == SCALAR_CONST)
            return node_known(d, body->node) & REAL;
        known = scalar_known(d, body, node->iters, node->n_iters);
        return known | (known & NOT_INF && node->reduce == REDUCE_MAX ? first_known(d, node) & REAL
                                                                      : 0u);
    case REDUCE_SUM:
    case REDUCE_MEAN: {
        known = scalar_known(d, body, node->iters, node->n_iters);
        bool away = some && known & (NOT_NEGATIVE | NOT_POSITIVE);
        if (!away) known &= ~(Known)NOT_ZERO;
        return known | (some && sum_of_shifted(d, node) ? NOT_ZERO : 0u);
    }
    default: return scalar_known(d, body, node->iters, node->n_iters) & REAL;
    }
}

static Known node_known(Diff *d, const Node *node)
{
    const void *letter = map_get(node_letters(d, node), node);
    if (letter) return letter_known(letter);
    Known known = 0;
    switch (node->kind) {
    case NODE_LEAF: known = leaf_known(node); break;
    case NODE_COMP: known = comp_known(d, node); break;
    case NODE_SCATTER: known = scalar_known(d, node->body, node->iters, node->n_iters) & REAL; break;
    case NODE_RESHAPE:
    case NODE_TAG: known = node_known(d, node->arg); break;
    case NODE_ORDER:
    case NODE_SCAN: known = REAL; break;
    case NODE_FINAL:
        scan_presume_finite(d, node->arg);
        known = node_known(d, node->arg->carries[node->carry].leaf);
        break;
    case NODE_YIELD:
        scan_presume_finite(d, node->arg);
        known = node_known(d, node->value);
        break;
    case NODE_PIECES:
        known = REAL;
        for (int k = 0; k < node->n_pieces; k++)
            known &= node_known(d, node->pieces[k].part);
        break;
    }
    if (node->type != TYPE_REAL) known |= REAL;
    map_put(node_letters(d, node), node, letter_of(known));
    return known;
}

bool scalar_presumed_finite(Diff *d, const Scalar *a)
{
    return scalar_known(d, a, NULL, 0) & FINITE;
}

bool node_presumed_finite(Diff *d, const Node *node)
{
    return node_known(d, node) & FINITE;
}

void node_presume_finite(Diff *d, const Node *node)
{
    map_put(node_letters(d, node), node, letter_of(REAL));
}
