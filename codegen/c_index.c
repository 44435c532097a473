/* c_index.c -- where elements lie: subscripts and offsets as C expressions of type long. Affine
 * subscripts of all axes are added up before they are printed, so that x[i, j + 1] of a row-major
 * tensor is "x[i * 784 + j + 1]". */
#include "c_text.h"

#include <assert.h>

static Text atom(const char *s)
{
    return (Text){s, PREC_ATOM};
}

/* --- subscripts ------------------------------------------------------------------------------- */

/* A sum that grows term by term: "i * 784 + j - 1". */
typedef struct Sum {
    StrBuf text;
    int terms;
    int prec; /* of the only term */
} Sum;

static void sum_term(CKernel *k, Sum *sum, Text t, int64_t factor)
{
    bool minus = factor < 0;
    int64_t times = minus ? -factor : factor;
    int needed = times != 1 || minus ? PREC_MUL : PREC_ADD;
    const char *text = c_wrap(k, t, times != 1 ? PREC_MUL : needed);
    if (sum->terms > 0)
        str_add(&sum->text, minus ? " - " : " + ");
    else if (minus)
        str_add(&sum->text, "-");
    str_add(&sum->text, text);
    if (times != 1) str_printf(&sum->text, " * %lld", (long long)times);
    sum->prec = sum->terms > 0 ? PREC_ADD : minus ? PREC_UNARY : times != 1 ? PREC_MUL : t.prec;
    sum->terms++;
}

static void sum_affine(CKernel *k, Sum *sum, const Affine *a)
{
    for (int i = 0; i < MAX_ITERS; i++)
        if (a->coefficient[i] > 0) sum_term(k, sum, atom(k->var_name[i]), a->coefficient[i]);
    for (int i = 0; i < MAX_ITERS; i++)
        if (a->coefficient[i] < 0) sum_term(k, sum, atom(k->var_name[i]), a->coefficient[i]);
}

static Text sum_finish(CKernel *k, Sum *sum, int64_t constant)
{
    if (sum->terms == 0) {
        const char *text = arena_printf(k->arena, "%lld", (long long)constant);
        return (Text){text, constant < 0 ? PREC_UNARY : PREC_ATOM};
    }
    if (constant) {
        str_printf(&sum->text, constant < 0 ? " - %lld" : " + %lld",
                   (long long)(constant < 0 ? -constant : constant));
        sum->prec = PREC_ADD;
    }
    return (Text){str_text(&sum->text), sum->prec};
}

static Text affine_text(CKernel *k, const Affine *a)
{
    Sum sum = {.text = str_new(k->arena)};
    sum_affine(k, &sum, a);
    return sum_finish(k, &sum, a->constant);
}

/* x // c and x % c where x is known not to be negative: C's own operators. */
bool c_plain_division(CKernel *k, const Scalar *s)
{
    if ((s->op != OP_IDIV && s->op != OP_MOD) || s->type != TYPE_INT) return false;
    if (s->args[1]->kind != SCALAR_CONST || s->args[1]->value <= 0) return false;
    return scalar_range(s->args[0], k->var_extent, MAX_ITERS).lo >= 0;
}

Text c_index_op(CKernel *k, const Scalar *s)
{
    const char *sign = s->op == OP_ADD ? "+" : s->op == OP_SUB ? "-" : s->op == OP_MUL ? "*" : NULL;
    int prec = s->op == OP_MUL ? PREC_MUL : PREC_ADD;
    if (c_plain_division(k, s)) {
        Text x = c_index(k, s->args[0]);
        return (Text){arena_printf(k->arena, "%s %s %lld", c_wrap(k, x, PREC_MUL),
                                   s->op == OP_IDIV ? "/" : "%", (long long)s->args[1]->value),
                      PREC_MUL};
    }
    if (!sign) return c_value(k, s);
    Text a = c_index(k, s->args[0]), b = c_index(k, s->args[1]);
    const char *cast = c_affine(s->args[0]) || c_affine(s->args[1]) ? "" : "(long)";
    return (Text){arena_printf(k->arena, "%s%s %s %s", cast,
                               c_wrap(k, a, *cast ? PREC_UNARY : prec), sign,
                               c_wrap(k, b, prec + 1)),
                  prec};
}

Text c_index(CKernel *k, const Scalar *s)
{
    const char *name = c_named(k, s);
    if (name) return atom(name);
    Affine a;
    if (affine_of(s, &a)) return affine_text(k, &a);
    if (s->kind == SCALAR_OP && s->type == TYPE_INT && !c_used_often(k, s)) return c_index_op(k, s);
    return c_value(k, s);
}

/* Whether a run-time size is known to fit: the caller's batch (or so many times it), sizes that were checked
 * where they came in, ... */
static bool size_fits(CKernel *k, const Scalar *size, int64_t max)
{
    if (size->kind == SCALAR_LOAD && size->node->kind == NODE_LEAF &&
        size->node->leaf->kind >= LEAF_SIZE)
        return true;
    if (size->kind == SCALAR_OP && size->op == OP_MUL && size->args[1]->kind == SCALAR_CONST)
        return size_fits(k, size->args[0], max);
    if (size->kind == SCALAR_OP && size->op == OP_MUL && size->args[0]->kind == SCALAR_CONST)
        return size_fits(k, size->args[1], max);
    Range r = scalar_range(size, k->var_extent, MAX_ITERS);
    return r.lo >= 0 && r.hi <= max;
}

Text c_extent(CKernel *k, Extent e)
{
    if (!e.size) return atom(arena_printf(k->arena, "%lld", (long long)e.max));
    Text size = c_index(k, e.size);
    if (size_fits(k, e.size, e.max)) return size;
    const char *text = c_wrap(k, size, PREC_ADD);
    return (Text){arena_printf(k->arena, "%s < %lld ? %s : %lld", text, (long long)e.max, text,
                               (long long)e.max), PREC_PICK};
}

Text c_loop_extent(CKernel *k, Extent e, Span span)
{
    if (!e.size || size_fits(k, e.size, e.max)) return c_extent(k, e);
    const char *name = c_name(k, "size");
    k->uses_fault = true;
    out_line(k->out, "const long %s = sized(%s, %lld, %s, fault);", name,
             c_index(k, e.size).s, (long long)e.max,
             out_quoted(k->arena, span_users_place(k->l->program->context,
                                                   e.size->span.line ? e.size->span : span)));
    return atom(name);
}

/* A subscript that may leave its axis: stops being out of bounds by a check when running. */
static Text checked_subscript(CKernel *k, const Node *node, const Scalar *const *subs, int i,
                              Span span)
{
    Extent e = node->shape[i];
    if (e.size && e.size->iters) e.size = scalar_substitute(k->l->g, e.size, subs, i);
    k->uses_fault = true;
    return atom(arena_printf(k->arena, "checked(%s, %s, %s, fault)", c_index(k, subs[i]).s,
                             c_extent(k, e).s,
                             out_quoted(k->arena, span_subscript(k->l->program->context, span))));
}

/* The offset of an element; check: subscripts that are not proven inside are checked. */
static Text offset_text(CKernel *k, const Node *node, const Scalar *const *subs, bool check,
                        Span span)
{
    Affine all = {0};
    Sum sum = {.text = str_new(k->arena)};
    int64_t stride = 1;
    int64_t strides[MAX_RANK];
    for (int i = node->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= node->shape[i].max;
    }
    for (int i = 0; i < node->rank; i++) {
        Affine a;
        if (check && !c_subscript_safe(k, node, subs, i)) {
            sum_term(k, &sum, checked_subscript(k, node, subs, i, span), strides[i]);
        } else if (affine_of(subs[i], &a)) {
            all.constant += a.constant * strides[i];
            for (int v = 0; v < MAX_ITERS; v++)
                all.coefficient[v] += a.coefficient[v] * strides[i];
        } else if (strides[i] != 1) {
            Text t = c_index(k, subs[i]);
            t = (Text){arena_printf(k->arena, "(long)%s", c_wrap(k, t, PREC_UNARY)), PREC_UNARY};
            sum_term(k, &sum, t, strides[i]);
        } else {
            sum_term(k, &sum, c_index(k, subs[i]), 1);
        }
    }
    sum_affine(k, &sum, &all);
    return sum_finish(k, &sum, all.constant);
}

Text c_offset(CKernel *k, const Node *node, const Scalar *const *subs)
{
    return offset_text(k, node, subs, false, node->span);
}

const char *c_buffer(CKernel *k, const Node *node)
{
    Buffer *b = buffer_get(k->l, node);
    const char *name = map_get(&k->buffer_name, b);
    assert(name);
    map_put(&k->buffer_used, b, b);
    return name;
}

Text c_checked_place(CKernel *k, const Node *node, const Scalar *const *subs, bool check, Span span)
{
    const Buffer *b = buffer_get(k->l, node);
    const char *name = c_buffer(k, node);
    if (buffer_is_number(b) || (b->kind == BUFFER_LOCAL && b->node->rank == 0)) return atom(name);
    return atom(arena_printf(k->arena, "%s[%s]", name, offset_text(k, node, subs, check, span).s));
}

Text c_place(CKernel *k, const Node *node, const Scalar *const *subs)
{
    return c_checked_place(k, node, subs, false, node->span);
}
