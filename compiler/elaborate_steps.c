/* elaborate_steps.c -- scans over bounded axes: which steps an instance takes.
 *
 * The loop goes to the bound, and each instance takes the steps before its own length: in the others its
 * carries stay as they are. What is computed there is chosen away whole, value by value and so derivative
 * by derivative, and what is read at the step's number reads zero, so that nothing in the padding counts. */
#include "elaborate.h"

const Scalar *scan_taken(Elab *e, const Scan *scan)
{
    const Scalar *taken = NULL;
    for (; scan; scan = scan->outer) {
        if (!scan->length) continue;
        const Scalar *time = scalar_load(e->g, graph_time(e->g, scan->loop), NULL, NULL, NO_SPAN);
        const Scalar *before = scalar_op2(e->g, OP_LT, time, scan->length);
        taken = taken ? scalar_op2(e->g, OP_AND, before, taken) : before;
    }
    return taken;
}

/* Whether a loop around this place ends at a length of each instance, and the value depends on its step. */
static bool in_bounded_step(const Elab *e, const Scalar *a)
{
    for (const Scan *scan = e->scan; scan; scan = scan->outer)
        if (scan->length && loops_have(a->free, scan->loop)) return true;
    return false;
}

const Scalar *step_value(Elab *e, const Value *v)
{
    if (v->scalar->kind != SCALAR_OP || !in_bounded_step(e, v->scalar)) return v->scalar;
    const Scalar *taken = scan_taken(e, e->scan);
    if (taken->iters & ~value_context(e, v)) return v->scalar; /* the same for all instances */
    return scalar_select(e->g, taken, v->scalar, scalar_const(e->g, v->scalar->type, 0));
}

typedef struct Steps {
    Elab *e;
    int first; /* the scans' steps as iterators, the innermost's first */
} Steps;

static const Scalar *step_iter(void *data, const Scalar *load)
{
    const Steps *steps = data;
    int iter = steps->first;
    if (load->node->kind != NODE_LEAF || load->node->leaf->kind != LEAF_TIME) return NULL;
    for (const Scan *scan = steps->e->scan; scan; scan = scan->outer) {
        if (scan->length && scan->loop == load->node->leaf->loop)
            return scalar_iter(steps->e->g, iter);
        iter += scan->length != NULL;
    }
    return NULL;
}

StepRead step_read(Elab *e, const Scalar *sub, Extent axis, const Extent *iters, int n)
{
    if (!in_bounded_step(e, sub) || range_within(scalar_range(sub, iters, n), axis)) return STEP_PLAIN;
    Extent all[MAX_ITERS];
    Steps steps = {e, n};
    memcpy(all, iters, sizeof(Extent) * (size_t)n);
    for (const Scan *scan = e->scan; scan; scan = scan->outer) {
        if (!scan->length) continue;
        if (n == MAX_ITERS) return STEP_CHECKED;
        all[n++] = (Extent){scan->extent.max, scan->length};
    }
    const Scalar *at = scalar_replace_loads(e->g, sub, step_iter, &steps);
    return range_within(scalar_range(at, all, n), axis) ? STEP_INSIDE : STEP_CHECKED;
}

const Scalar *step_load(Elab *e, const Scalar *load, StepRead read)
{
    const Scalar *zero = scalar_const(e->g, load->type, 0), *taken = scan_taken(e, e->scan);
    if (read == STEP_INSIDE) return scalar_load(e->g, load->node, load->args, zero, load->span);
    bool stepping = false; /* what is not read at the step is what an earlier step or this one made */
    for (int i = 0; i < load->n_args; i++)
        stepping = stepping || in_bounded_step(e, load->args[i]);
    if (!taken || !stepping) return load;
    if (read == STEP_PLAIN && taken->iters & ~load->iters) return load; /* the same for all instances */
    return scalar_select(e->g, taken, load, zero);
}
