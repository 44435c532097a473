/* autodiff_body.c -- one backward sweep over a scalar body, by the formulas of ops.def.
 *
 * The scalars of the body are visited users first; each hands its adjoint, a Masked, to its
 * operands. A choice hands it to both branches, under the condition and under its contrary. Also
 * here: which values are presumed finite, so that zero times them may be relied on to be zero. */
#include "autodiff.h"

#include <assert.h>
#include <math.h>

bool node_depends(const Diff *d, const Node *node)
{
    return map_get(&d->depends, node) != NULL;
}

/* --- the sweep ------------------------------------------------------------------------------- */

typedef struct Sweep {
    Diff *d;
    const Domain *domain;
    const Scalar *body;
    const Scalar *out;
    Arena *scratch;
    Scalars order;
    Map active;   /* scalars on which the derivative depends */
    Map adjoints; /* from Scalar to Masked */
    Terms terms;
} Sweep;

static bool sweep_active(const Sweep *w, const Scalar *s)
{
    return s && map_get(&w->active, s) != NULL;
}

static void sweep_collect(void *data, const Scalar *s)
{
    Sweep *w = data;
    vec_push(w->scratch, &w->order, s);
    bool active = false;
    if (s->type == TYPE_REAL && s->kind == SCALAR_LOAD)
        active = node_depends(w->d, s->node) || sweep_active(w, s->outside);
    if (s->type == TYPE_REAL && s->kind == SCALAR_OP)
        for (int k = 0; k < s->n_args; k++)
            active = active || (op_table[s->op].grad[k] && sweep_active(w, s->args[k]));
    if (active) map_put(&w->active, s, (void *)(uintptr_t)s);
}

static void sweep_give(Sweep *w, const Scalar *operand, Masked m)
{
    if (!sweep_active(w, operand)) return;
    m = masked_split(w->d->g, w->domain, m);
    if (!m.value) return;
    Masked *sum = map_get(&w->adjoints, operand);
    if (!sum) {
        sum = NEW(w->scratch, Masked);
        map_put(&w->adjoints, operand, sum);
    }
    *sum = masked_add(w->d->g, *sum, m);
}

static void sweep_op(Sweep *w, const Scalar *s, Masked m)
{
    Graph *g = w->d->g;
    if (s->op == OP_SELECT) {
        const Scalar *contrary = scalar_op1(g, OP_NOT, s->args[0]);
        sweep_give(w, s->args[1], (Masked){test_and(g, w->domain, m.test, s->args[0]), m.value});
        sweep_give(w, s->args[2], (Masked){test_and(g, w->domain, m.test, contrary), m.value});
        return;
    }
    static const char *const names[] = {"x", "y", "z", "out", "g"};
    const Scalar *out = s == w->body && w->out ? w->out : s;
    const Scalar *values[] = {s->args[0], s->n_args > 1 ? s->args[1] : NULL,
                              s->n_args > 2 ? s->args[2] : NULL, out, m.value};
    for (int k = 0; k < s->n_args; k++) {
        const char *formula = op_table[s->op].grad[k];
        if (!formula || !sweep_active(w, s->args[k])) continue;
        const Scalar *value = formula_build(g, formula, names, values, 5);
        sweep_give(w, s->args[k], (Masked){m.test, scalar_convert(g, value, TYPE_REAL)});
    }
}

static void sweep_load(Sweep *w, const Scalar *s, Masked m)
{
    Graph *g = w->d->g;
    if (node_depends(w->d, s->node)) {
        Term term = {s, m};
        vec_push(w->d->scratch, &w->terms, term);
    }
    if (!sweep_active(w, s->outside)) return;
    const Scalar *inside = NULL;
    for (int k = 0; k < s->n_args; k++) {
        const Scalar *test = test_in_range(g, w->domain, NULL, s->args[k], load_extent(g, s, k));
        inside = test_and(g, w->domain, inside, test);
    }
    if (!inside) return;
    const Scalar *beyond = scalar_op1(g, OP_NOT, inside);
    sweep_give(w, s->outside, (Masked){test_and(g, w->domain, m.test, beyond), m.value});
}

Terms body_terms(Diff *d, const Domain *domain, const Scalar *body, const Scalar *out,
                 const Scalar *arriving)
{
    Arena *scratch = arena_new();
    Sweep w = {.d = d,
               .domain = domain,
               .body = body,
               .out = out,
               .scratch = scratch,
               .active = map_new(scratch),
               .adjoints = map_new(scratch)};
    scalar_visit(body, sweep_collect, &w);
    sweep_give(&w, body, (Masked){NULL, arriving});
    for (int i = w.order.len - 1; i >= 0; i--) {
        const Scalar *s = w.order.data[i];
        const Masked *m = map_get(&w.adjoints, s);
        if (!m || !m->value) continue;
        if (s->kind == SCALAR_LOAD)
            sweep_load(&w, s, *m);
        else
            sweep_op(&w, s, *m);
    }
    Terms terms = w.terms;
    arena_free(scratch);
    return terms;
}

/* --- what is presumed finite ----------------------------------------------------------------- */

typedef struct Finite {
    Diff *d;
    Map known; /* scalars found finite */
} Finite;

static bool op_keeps_finite(const Scalar *a)
{
    switch ((int)a->op) {
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_NEG:
    case OP_MIN:
    case OP_MAX:
    case OP_ABS:
    case OP_SIGN:
    case OP_FLOOR:
    case OP_CEIL:
    case OP_ROUND:
    case OP_SIN:
    case OP_COS:
    case OP_TANH:
    case OP_ATAN:
    case OP_ERF:
    case OP_SELECT:
    case OP_STOP:
    case OP_TO_REAL: return true;
    case OP_DIV: return a->args[1]->kind == SCALAR_CONST && a->args[1]->value != 0;
    case OP_POW:
        return a->args[1]->kind == SCALAR_CONST && a->args[1]->value >= 0 &&
               a->args[1]->value == floor(a->args[1]->value);
    default: return a->type != TYPE_REAL;
    }
}

static void finite_visit(void *data, const Scalar *a)
{
    Finite *f = data;
    bool finite = a->type != TYPE_REAL;
    switch (a->kind) {
    case SCALAR_CONST: finite = finite || isfinite(a->value); break;
    case SCALAR_ITER:
    case SCALAR_DRAW: finite = true; break;
    case SCALAR_LOAD:
        finite = finite || (node_presumed_finite(f->d, a->node) &&
                            (!a->outside || map_get(&f->known, a->outside)));
        break;
    case SCALAR_OP:
        if (finite) break;
        finite = op_keeps_finite(a);
        for (int k = 0; k < a->n_args; k++)
            finite = finite && map_get(&f->known, a->args[k]);
        break;
    }
    if (finite) map_put(&f->known, a, (void *)(uintptr_t)a);
}

bool scalar_presumed_finite(Diff *d, const Scalar *a)
{
    Arena *scratch = arena_new();
    Finite f = {d, map_new(scratch)};
    scalar_visit(a, finite_visit, &f);
    bool finite = map_get(&f.known, a) != NULL;
    arena_free(scratch);
    return finite;
}

static bool leaf_presumed_finite(const Node *node)
{
    if (node->leaf->kind == LEAF_INPUT || node->leaf->kind == LEAF_CARRY) return false;
    if (node->leaf->kind != LEAF_CONST) return true;
    int64_t n = node_max_elements(node);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(node->leaf->values[i])) return false;
    return true;
}

static bool comp_presumed_finite(Diff *d, const Node *node)
{
    if (node->reduce == REDUCE_MAX || node->reduce == REDUCE_MIN) {
        if (node->guard) return false;
        for (int i = node->rank; i < node->n_iters; i++)
            if (node->iters[i].size || node->iters[i].max < 1) return false;
        /* A window that reaches over the edge: what lies outside is never the extremum. */
        const Scalar *body = node->body;
        if (body->kind == SCALAR_LOAD && body->outside && body->outside->kind == SCALAR_CONST)
            return node_presumed_finite(d, body->node);
    }
    return scalar_presumed_finite(d, node->body);
}

bool node_presumed_finite(Diff *d, const Node *node)
{
    const char *known = map_get(&d->finite, node);
    if (known) return known == &d->yes;
    bool finite = node->type != TYPE_REAL;
    if (!finite) switch (node->kind) {
        case NODE_LEAF: finite = leaf_presumed_finite(node); break;
        case NODE_COMP: finite = comp_presumed_finite(d, node); break;
        case NODE_SCATTER: finite = scalar_presumed_finite(d, node->body); break;
        case NODE_RESHAPE:
        case NODE_TAG: finite = node_presumed_finite(d, node->arg); break;
        case NODE_ORDER:
        case NODE_SCAN: finite = true; break;
        case NODE_FINAL:
        case NODE_YIELD: break;
        case NODE_PIECES:
            finite = true;
            for (int k = 0; k < node->n_pieces; k++)
                finite = finite && node_presumed_finite(d, node->pieces[k].part);
            break;
        }
    map_put(&d->finite, node, finite ? &d->yes : &d->no);
    return finite;
}
