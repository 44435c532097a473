/* elaborate_grad.c -- grad(y, x): the derivative of a scalar by a name in scope, or by a parameter.
 *
 * The name's value was tagged when it was bound (elaborate_stmt.c): a node of its own over all context axes of
 * that place. y may depend on more context axes (indices since, instances): for each of them it is taken
 * separately, by seeding with the identity over those axes, which the result then carries. By a number the
 * derivative goes forward where that suits. */
#include "elaborate.h"

#include <assert.h>

/* How many instances there are of what y does not depend on: the derivative is that of the sum over them. */
static Value axes_product(Elab *e, uint64_t axes, Span span)
{
    Value one = value_scalar(scalar_real(e->g, 1));
    for (int i = 0; i < VISIBLE; i++)
        if (axes >> i & 1 && e->axes.data[i].extent.size && e->axes.data[i].extent.size->iters)
            return value_reduce(e, REDUCE_SUM, axes, &one, NULL, 0, span);
    for (int i = 0; i < VISIBLE; i++)
        if (axes >> i & 1) {
            Extent extent = e->axes.data[i].extent;
            const Scalar *n = extent.size ? extent.size : scalar_int(e->g, extent.max);
            one.scalar = scalar_op2(e->g, OP_MUL, one.scalar, scalar_convert(e->g, n, TYPE_REAL));
        }
    return one;
}

/* The derivative that arrives at y: 1 where the extra axes agree with y's own. An extra axis whose size
 * depends on others, which come after it, has its largest extent: the rest is zero, and never read. */
static const Node *seed_node(Elab *e, const Node *y, uint64_t hidden, uint64_t extra_axes,
                             const Scalar *value, int *extra)
{
    Domain d = {.n = 0};
    for (int i = 0; i < VISIBLE; i++)
        if (extra_axes >> i & 1) {
            Extent extent = e->axes.data[i].extent;
            d.iters[d.n++] = extent.size && extent.size->iters ? extent_fixed(extent.max) : extent;
        }
    *extra = d.n;
    domain_context(e, &d, hidden);
    assert(d.n == *extra + y->rank);
    const Scalar *body = domain_scalar(e, &d, value);
    int k = 0;
    for (int i = 0; i < VISIBLE; i++) {
        if (!(extra_axes >> i & 1)) continue;
        const Scalar *same = scalar_op2(e->g, OP_EQ, scalar_iter(e->g, k++), d.map[i]);
        body = scalar_select(e->g, same, body, scalar_real(e->g, 0));
    }
    return graph_map(e->g, d.n, d.iters, body, y->span);
}

/* The result, whose leading axes are the extra ones and then the tag's, as a value. */
static Value grad_value(Elab *e, const Node *node, uint64_t extra_axes, uint64_t tag_axes)
{
    const Scalar *subs[MAX_RANK];
    int n = 0;
    for (int i = 0; i < VISIBLE; i++)
        if (extra_axes >> i & 1) subs[n++] = scalar_iter(e->g, i);
    for (int i = 0; i < VISIBLE; i++)
        if (tag_axes >> i & 1) subs[n++] = scalar_iter(e->g, i);
    return value_of_subscripts(e, node, subs, n);
}

/* Whether every adjoint on the way has room for the extra axes; reports if not. */
static bool grad_fits(Elab *e, const Node *y, uint64_t extra_axes, const Node *tag, Span span)
{
    int extra = 0;
    for (int i = 0; i < VISIBLE; i++)
        extra += (int)(extra_axes >> i & 1);
    Arena *scratch = arena_new();
    Nodes nodes = graph_reach(scratch, &y, 1);
    int rank = tag->rank, iters = 0;
    for (int i = 0; extra && i < nodes.len; i++) {
        int depth = nodes.data[i]->free ? nodes.data[i]->free->n : 0; /* axes of steps */
        if (nodes.data[i]->rank + depth > rank) rank = nodes.data[i]->rank + depth;
        if (nodes.data[i]->n_iters > iters) iters = nodes.data[i]->n_iters;
    }
    arena_free(scratch);
    if (rank + extra <= MAX_RANK && iters + extra < MAX_ITERS - MAX_RANK) return true;
    diag_error(e->context, span, "too many axes for a derivative that is taken for each of %d more: a "
               "tensor has at most %d", extra, MAX_RANK - 1);
    return false;
}

static Value grad_zero(Elab *e, const Node *tag, uint64_t tag_axes)
{
    Value like = value_of_hidden(e, tag, tag_axes);
    like.scalar = scalar_real(e->g, 0);
    return like;
}

/* By a number, if it has the instances of y or fewer, forward mode is the cheaper one. */
static bool grad_forward(Elab *e, const Local *x, const Node *y, uint64_t hidden, const Node **out)
{
    int aligned[MAX_RANK], n = 0, axis = 0;
    if (x->tag_hidden & ~hidden || y->type != TYPE_REAL) return false;
    for (int i = 0; i < VISIBLE; i++) {
        if (x->tag_hidden >> i & 1) aligned[n++] = axis;
        axis += (int)(hidden >> i & 1);
    }
    if (n != x->tag->rank) return false;
    return autodiff_forward(e->g, y, x->tag, aligned, out) && *out;
}

/* What the derivative is by: the name's tag, or a parameter, Net.dense1.w. Reports if it is neither. */
static bool grad_by(Elab *e, Frame *f, const AstExpr *by, Local *out)
{
    Value x = eval_expr(e, f, by);
    if (x.kind == VALUE_ERROR) return false;
    if (by->kind == AST_MEMBER) {
        *out = (Local){.tag = member_parameter(e, f, by)};
        if (!out->tag)
            diag_error(e->context, by->span, "grad differentiates by a parameter or a name of this body; this is %s",
                       value_describe(e, &x));
        return out->tag;
    }
    Local *local = local_find(f, by->name);
    if (local && local->tag) {
        *out = *local;
        return true;
    }
    diag_error(e->context, by->span, "grad differentiates by a real name of this body; `%s` is %s",
               by->name, value_describe(e, &x));
    return false;
}

Value eval_grad(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    const AstExpr *by = args->len == 2 ? args->data[1].value : NULL;
    if (!by || args->data[0].name || args->data[1].name ||
        (by->kind != AST_NAME && by->kind != AST_MEMBER)) {
        diag_error(e->context, call->span,
                   "grad takes a scalar and a name or a parameter: grad(y, x), grad(loss, Net.dense1.w)");
        return value_error();
    }
    Value y = eval_expr(e, f, args->data[0].value);
    if (y.kind == VALUE_ERROR || !value_tensor(e, &y, args->data[0].value->span))
        return value_error();
    Local local;
    if (!grad_by(e, f, by, &local)) return value_error();
    if (y.rank) {
        diag_error(e->context, args->data[0].value->span,
                   "grad differentiates a scalar; this is %s", value_describe(e, &y));
        diag_hint(e->context, "take one element, or the sum: grad(sum(y), x)");
        return value_error();
    }
    uint64_t hidden;
    const Node *node = value_node(e, &y, &hidden, call->span);
    uint64_t extra_axes = hidden & ~local.tag_hidden;
    Value many = axes_product(e, local.tag_hidden & ~hidden, call->span);
    const Node *out = NULL;
    if (grad_forward(e, &local, node, hidden, &out)) return value_of_hidden(e, out, hidden);
    if (many.kind == VALUE_ERROR || !grad_fits(e, node, extra_axes, local.tag, call->span))
        return value_error();
    if (node->type == TYPE_REAL) {
        int extra;
        const Node *seed = seed_node(e, node, hidden, extra_axes, many.scalar, &extra);
        autodiff(e->g, node, seed, extra, &local.tag, 1, &out);
    }
    if (!out) {
        diag_warning(e->context, call->span, "%s does not depend on `%s`: its derivative is zero",
                     expr_text(e, args->data[0].value), expr_text(e, by));
        return grad_zero(e, local.tag, local.tag_hidden);
    }
    return grad_value(e, out, extra_axes, local.tag_hidden);
}
