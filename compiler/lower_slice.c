/* lower_slice.c -- a yielded value that is computed in its slice: wherever the kernels of the step
 * mention the value, they mention the element of the yield at the step instead. */
#include "lower.h"

typedef struct Slice {
    Lowered *l;
    const Node *yield, *value;
    const Scalar *t;
    bool viewed; /* the value's elements are read in another shape, too */
} Slice;

static const Scalar *slice_load(void *data, const Scalar *load)
{
    Slice *s = data;
    if (load->node != s->value) return NULL;
    const Scalar *subs[MAX_RANK] = {s->t};
    for (int k = 0; k < load->n_args; k++)
        subs[k + 1] = load->args[k];
    return scalar_load(s->l->g, s->yield, subs, load->outside, load->span);
}

static void slice_scalar(void *data, const Scalar **scalar)
{
    Slice *s = data;
    *scalar = scalar_replace_loads(s->l->g, *scalar, slice_load, s);
}

/* node[subs], to be written. */
static void slice_target(Slice *s, const Node **node, const Scalar **subs)
{
    if (*node != s->value) return;
    for (int k = s->value->rank; k > 0; k--)
        subs[k] = subs[k - 1];
    subs[0] = s->t;
    *node = s->yield;
}

/* An operand of a matrix product, whose place is an offset. */
static void slice_operand(Slice *s, const Node **node, const Scalar **at)
{
    if (*node != s->value) return;
    Graph *g = s->l->g;
    const Scalar *size = scalar_int(g, node_max_elements(s->value));
    *at = scalar_op2(g, OP_ADD, scalar_op2(g, OP_MUL, s->t, size), *at);
    *node = s->yield;
}

static void slice_stmt(void *data, Stmt *stmt)
{
    Slice *s = data;
    stmt_scalars(stmt, slice_scalar, s);
    if (stmt->kind == STMT_STORE) {
        const Node *target = stmt->target;
        slice_target(s, &stmt->target, stmt->subs);
        stmt->n_subs += stmt->target != target;
    }
    if (stmt->tile) slice_target(s, &stmt->tile->c, stmt->tile->c_subs);
    if (!stmt->gemm) return;
    slice_scalar(s, &stmt->gemm->a_load);
    slice_scalar(s, &stmt->gemm->b_load);
    slice_operand(s, &stmt->gemm->a, &stmt->gemm->a_at);
    slice_operand(s, &stmt->gemm->b, &stmt->gemm->b_at);
    slice_target(s, &stmt->gemm->result, stmt->gemm->c_subs);
    slice_operand(s, &stmt->gemm->c, &stmt->gemm->c_at);
    stmt->gemm->first = stmt->gemm->c_at;
}

static void views_find(Slice *s, const Kernel *k)
{
    Stmt all = kernel_stmt(k);
    Uses uses = stmt_uses(s->l, &all);
    for (int i = 0; i < uses.len; i++)
        if (uses.data[i].buffer == buffer_get(s->l, s->value) && uses.data[i].node != s->value)
            s->viewed = true;
}

bool lower_in_slice(Lowered *l, const Node *yield, int begin)
{
    const Node *time = graph_time(l->g, yield->arg->loop);
    Slice s = {.l = l, .yield = yield, .value = yield->value};
    s.t = scalar_load(l->g, time, NULL, NULL, yield->span);
    for (int i = begin; i < l->kernels.len; i++)
        views_find(&s, l->kernels.data[i]);
    if (s.viewed || node_max_elements(yield) > INT32_MAX) return false;
    for (int i = begin; i < l->kernels.len; i++)
        block_visit(&l->kernels.data[i]->body, slice_stmt, &s);
    return true;
}
