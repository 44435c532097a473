/* autodiff_finite.c -- which values are presumed finite, so that zero times them may be relied on
 * to be zero and need not be tested for.
 *
 * Data, parameters and states are presumed to be, and that nothing overflows; what may divide by
 * zero, or take a logarithm of it, is not. So signs are followed, too: a mean of squares plus a
 * positive number can be divided by, also its root. */
#include "autodiff.h"

#include <math.h>

/* What is known of a value: a set of these. All but the empty set exclude NaN. */
enum { FINITE = 1, NOT_NEGATIVE = 2, NOT_POSITIVE = 4, NOT_ZERO = 8 };
typedef unsigned Known;

typedef struct Presume {
    Diff *d;
    Map known; /* from Scalar to a letter of d->letters */
} Presume;

static Known known_of(const Presume *p, const Scalar *a)
{
    const char *letter = map_get(&p->known, a);
    return letter ? (Known)(letter - p->d->letters) : 0;
}

static Known const_known(double value)
{
    if (isnan(value)) return 0;
    return (isfinite(value) ? FINITE : 0u) | (value >= 0 ? NOT_NEGATIVE : 0u) |
           (value <= 0 ? NOT_POSITIVE : 0u) | (value != 0 ? NOT_ZERO : 0u);
}

static Known sum_known(Known a, Known b)
{
    Known both = a & b & (FINITE | NOT_NEGATIVE | NOT_POSITIVE);
    bool away = both & (NOT_NEGATIVE | NOT_POSITIVE) && (a | b) & NOT_ZERO;
    return both | (away ? NOT_ZERO : 0u);
}

static Known opposite_known(Known a)
{
    return (a & (FINITE | NOT_ZERO)) | (a & NOT_NEGATIVE ? NOT_POSITIVE : 0u) |
           (a & NOT_POSITIVE ? NOT_NEGATIVE : 0u);
}

/* Of numbers both finite: the sign of the product, which may be zero by underflow. */
static Known product_sign(Known a, Known b)
{
    bool below = (a & NOT_NEGATIVE && b & NOT_POSITIVE) || (a & NOT_POSITIVE && b & NOT_NEGATIVE);
    bool above = a & b & (NOT_NEGATIVE | NOT_POSITIVE);
    return (above ? NOT_NEGATIVE : 0u) | (below ? NOT_POSITIVE : 0u);
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
    case OP_SUB: return sum_known(x, opposite_known(y));
    case OP_MUL:
        if (a->args[0] == a->args[1]) return FINITE | NOT_NEGATIVE;
        return FINITE | product_sign(x, y);
    case OP_MIN: return FINITE | (x & y) | ((x | y) & NOT_POSITIVE);
    case OP_MAX: return FINITE | (x & y) | ((x | y) & NOT_NEGATIVE);
    case OP_ABS: return FINITE | NOT_NEGATIVE | (x & NOT_ZERO);
    case OP_SQRT: return x & NOT_NEGATIVE ? x : 0;
    case OP_EXP: return NOT_NEGATIVE | (never_above_zero(a->args[0], x) ? FINITE : 0u);
    case OP_LOG: return x & NOT_NEGATIVE && x & NOT_ZERO ? FINITE : 0;
    case OP_LOG1P: return x & NOT_NEGATIVE ? FINITE | NOT_NEGATIVE : 0;
    case OP_POW: {
        const Scalar *power = a->args[1];
        bool whole = power->kind == SCALAR_CONST && power->value == floor(power->value);
        if (!whole || power->value < 0) return 0;
        return FINITE | (fmod(power->value, 2) == 0 ? NOT_NEGATIVE : x & NOT_NEGATIVE);
    }
    case OP_SIGN:
    case OP_FLOOR:
    case OP_CEIL:
    case OP_ROUND:
    case OP_SIN:
    case OP_COS:
    case OP_TANH:
    case OP_ATAN:
    case OP_ERF: return FINITE;
    default: return 0;
    }
}

static Known op_known(const Presume *p, const Scalar *a)
{
    Known x = known_of(p, a->args[0]), y = a->n_args > 1 ? known_of(p, a->args[1]) : x;
    switch ((int)a->op) {
    case OP_SELECT: return known_of(p, a->args[1]) & known_of(p, a->args[2]);
    case OP_ADD: return sum_known(x, y);
    case OP_NEG: return opposite_known(x);
    case OP_STOP:
    case OP_TO_REAL: return x;
    case OP_DIV: /* by something large without bound, too */
        return x & FINITE && y & NOT_ZERO ? FINITE | product_sign(x, y) : 0;
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
    case SCALAR_ITER: known = FINITE | NOT_NEGATIVE; break;
    case SCALAR_DRAW: known = FINITE; break;
    case SCALAR_LOAD:
        known = node_known(p->d, a->node);
        if (a->outside) known &= known_of(p, a->outside);
        break;
    case SCALAR_OP: known = a->type == TYPE_REAL ? op_known(p, a) : 0; break;
    }
    if (a->type != TYPE_REAL) known |= FINITE;
    map_put(&p->known, a, &p->d->letters[known]);
}

static Known scalar_known(Diff *d, const Scalar *a)
{
    Arena *scratch = arena_new();
    Presume p = {d, map_new(scratch)};
    scalar_visit(a, presume_visit, &p);
    Known known = known_of(&p, a);
    arena_free(scratch);
    return known;
}

static Known leaf_known(const Node *node)
{
    if (node->leaf->kind == LEAF_INPUT || node->leaf->kind == LEAF_CARRY) return 0;
    if (node->leaf->kind != LEAF_CONST) return FINITE;
    Known known = FINITE | NOT_NEGATIVE | NOT_POSITIVE | NOT_ZERO;
    int64_t n = node_max_elements(node);
    for (int64_t i = 0; i < n; i++)
        known &= const_known(node->leaf->values[i]);
    return n > 0 ? known : FINITE;
}

static Known comp_known(Diff *d, const Node *node)
{
    bool some = !node->guard; /* points are reduced, at least one */
    for (int i = node->rank; i < node->n_iters; i++)
        some = some && !node->iters[i].size && node->iters[i].max >= 1;
    const Scalar *body = node->body;
    switch (node->reduce) {
    case REDUCE_NONE: return scalar_known(d, body);
    case REDUCE_MAX:
    case REDUCE_MIN:
        if (!some) return 0;
        /* A window that reaches over the edge: what lies outside is never the extremum. */
        if (body->kind == SCALAR_LOAD && body->outside && body->outside->kind == SCALAR_CONST)
            return node_known(d, body->node) & FINITE;
        return scalar_known(d, body);
    case REDUCE_SUM:
    case REDUCE_MEAN: {
        Known known = scalar_known(d, body);
        bool away = some && known & (NOT_NEGATIVE | NOT_POSITIVE);
        return away ? known : known & ~(Known)NOT_ZERO;
    }
    default: return scalar_known(d, body) & FINITE;
    }
}

static Known node_known(Diff *d, const Node *node)
{
    const char *letter = map_get(&d->presumed, node);
    if (letter) return (Known)(letter - d->letters);
    Known known = 0;
    switch (node->kind) {
    case NODE_LEAF: known = leaf_known(node); break;
    case NODE_COMP: known = comp_known(d, node); break;
    case NODE_SCATTER: known = scalar_known(d, node->body) & FINITE; break;
    case NODE_RESHAPE:
    case NODE_TAG: known = node_known(d, node->arg); break;
    case NODE_ORDER:
    case NODE_SCAN: known = FINITE; break;
    case NODE_FINAL:
    case NODE_YIELD: break;
    case NODE_PIECES:
        known = FINITE;
        for (int k = 0; k < node->n_pieces; k++)
            known &= node_known(d, node->pieces[k].part);
        break;
    }
    if (node->type != TYPE_REAL) known |= FINITE;
    map_put(&d->presumed, node, &d->letters[known]);
    return known;
}

bool scalar_presumed_finite(Diff *d, const Scalar *a)
{
    return scalar_known(d, a) & FINITE;
}

bool node_presumed_finite(Diff *d, const Node *node)
{
    return node_known(d, node) & FINITE;
}

void node_presume_finite(Diff *d, const Node *node)
{
    map_put(&d->presumed, node, &d->letters[FINITE]);
}
