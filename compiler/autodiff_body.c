/* autodiff_body.c -- one backward sweep over a scalar body, by the formulas of ops.def.
 *
 * The scalars of the body are visited users first; each hands its adjoint, a Masked, to its
 * operands. A choice hands it to both branches, under the condition and under its contrary. */
#include "autodiff.h"

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
    const Scalar *out = s == w->body && w->out ? w->out : s;
    for (int k = 0; k < s->n_args; k++) {
        if (!sweep_active(w, s->args[k])) continue;
        const Scalar *part = op_derivative(g, s, k, out, m.value);
        if (part) sweep_give(w, s->args[k], (Masked){m.test, part});
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
