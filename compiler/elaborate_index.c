/* elaborate_index.c -- index notation: subscripts, reductions, index definitions. An index in scope is a
 * context axis; a subscript replaces a visible axis of a formula by the subscript's formula. */
#include "elaborate.h"
#include "elaborate_range.h"

#include <assert.h>

IndexVar *index_find(const Frame *f, Name name)
{
    for (int i = f->indices.len - 1; i >= 0; i--)
        if (f->indices.data[i]->name == name) return f->indices.data[i];
    return NULL;
}

/* --- subscripts -------------------------------------------------------------------------------------------------- */

/* Whether a formula is the plain load of a node: context axes, then all visible axes in order. */
static bool load_is_plain(const Value *v)
{
    const Scalar *s = v->scalar;
    if (s->kind != SCALAR_LOAD || s->outside || s->n_args < v->rank) return false;
    for (int k = 0; k < v->rank; k++) {
        const Scalar *sub = s->args[s->n_args - v->rank + k];
        if (sub->kind != SCALAR_ITER || sub->iter != VISIBLE + k) return false;
    }
    for (int k = 0; k < s->n_args - v->rank; k++)
        if (s->args[k]->iters >> VISIBLE) return false;
    return true;
}

/* Whether it depends on what is known at run time only; of a scan's step the range is known. */
static bool has_load(const Scalar *a)
{
    if (a->kind == SCALAR_LOAD)
        return a->node->kind != NODE_LEAF || a->node->leaf->kind != LEAF_TIME;
    for (int i = 0; i < a->n_args; i++)
        if (has_load(a->args[i])) return true;
    return false;
}

/* Checks that a subscript stays in its axis; what is read from data is checked at run time. `read` becomes how
 * it is read in steps that an instance may not take, if that is more careful than what it was. */
static bool subscript_check(Elab *e, const AstExpr *x, const Value *base, int axis, Extent whole,
                            const Scalar *sub, StepRead *read, Span span)
{
    Extent iters[MAX_CONTEXT];
    for (int i = 0; i < e->axes.len; i++)
        iters[i] = e->axes.data[i].extent;
    StepRead step = step_read(e, sub, whole, iters, e->axes.len);
    if (step > *read) *read = step;
    if (step == STEP_INSIDE) return true;
    Range range = scalar_range(sub, iters, e->axes.len);
    if (range_within(range, whole)) return true;
    if (has_load(sub)) {
        scalar_access(e->g, sub, whole, x->span);
        return true;
    }
    if (range.hi < range.lo) return true; /* over nothing */
    const char *extent = extent_describe(e, base->shape[axis]);
    if (whole.size && range.lo >= 0 && range.hi < whole.max)
        diag_error(e->context, span,
                   "subscript %s may be out of bounds: axis %d of %s has a run-time size, %s elements",
                   quoted_text(e, span), axis, expr_text(e, x->subscript.base), extent);
    else if (range.lo == INT64_MIN || range.hi == INT64_MAX)
        diag_error(e->context, span, "nothing is known of subscript %s, but axis %d of %s has %s elements",
                   quoted_text(e, span), axis, expr_text(e, x->subscript.base), extent);
    else if (range.lo == range.hi)
        diag_error(e->context, span, "subscript %lld is out of bounds: axis %d of %s has %s elements",
                   (long long)range.lo, axis, expr_text(e, x->subscript.base), extent);
    else
        diag_error(e->context, span,
                   "subscript %s runs from %lld to %lld, but axis %d of %s has %s elements",
                   quoted_text(e, span), (long long)range.lo, (long long)range.hi, axis,
                   expr_text(e, x->subscript.base), extent);
    diag_hint(e->context, "it is %s; say what lies out there (x[i] outside 0) or bound the index",
              value_describe(e, base));
    return false;
}

static bool slice_end(Elab *e, Frame *f, const AstExpr *x, int64_t otherwise, int64_t *out)
{
    if (!x) {
        *out = otherwise;
        return true;
    }
    return eval_int(e, f, x, "the end of a slice", out);
}

/* x[:n] with a run-time n: an axis of that size. False if the slice is of another kind. */
static bool slice_bounded(Elab *e, Frame *f, const AstSub *s, Extent whole, Value *result, bool *ok)
{
    if (s->from || !s->to || whole.size) return false;
    Value n = eval_expr(e, f, s->to);
    if (n.kind == VALUE_TENSOR && value_is_number(&n)) return false;
    *ok = false;
    if (n.kind == VALUE_ERROR || !value_tensor(e, &n, s->span)) return true;
    if (n.rank || value_type(&n) > TYPE_INT) {
        diag_error(e->context, s->to->span, "the end of a slice is an int, not %s",
                   value_describe(e, &n));
        return true;
    }
    int64_t most = n.max && n.max < whole.max ? n.max : whole.max;
    result->shape[result->rank++] = (Extent){most, scalar_convert(e->g, n.scalar, TYPE_INT)};
    *ok = true;
    return true;
}

/* One subscript: sets its formula, or for a slice the new visible axis. map: what stands for the visible
 * axes before. */
static bool subscript_one(Elab *e, Frame *f, const AstExpr *x, const Value *base, int axis,
                          const Scalar *const *map, const Scalar **sub, StepRead *read,
                          Value *result)
{
    const AstSub *s = &x->subscript.subs.data[axis];
    Extent extent = extent_renumber(e, base->shape[axis], map);
    if (s->slice) {
        const Scalar *at = scalar_iter(e->g, VISIBLE + result->rank);
        if (extent.size && !s->from && !s->to) {
            *sub = at;
            result->shape[result->rank++] = extent;
            return true;
        }
        bool ok;
        if (slice_bounded(e, f, s, extent, result, &ok)) {
            *sub = at;
            return ok;
        }
        if (extent.size) {
            diag_error(e->context, s->span, "a slice of an axis of run-time size: axis %d of %s has %s "
                       "elements", axis, expr_text(e, x->subscript.base), extent_describe(e, extent));
            diag_hint(e->context, "say which elements, and what lies outside: y[t < 10] = x[t] outside 0");
            return false;
        }
        int64_t from, to;
        if (!slice_end(e, f, s->from, 0, &from) || !slice_end(e, f, s->to, extent.max, &to))
            return false;
        if (from < 0 || to > extent.max || from > to) {
            diag_error(e->context, s->span, "slice %lld:%lld is out of bounds: axis %d of %s has %s "
                       "elements", (long long)from, (long long)to, axis,
                       expr_text(e, x->subscript.base), extent_describe(e, extent));
            return false;
        }
        *sub = scalar_op2(e->g, OP_ADD, at, scalar_int(e->g, from));
        result->shape[result->rank++] = extent_fixed(to - from);
        return true;
    }
    Value v = eval_expr(e, f, s->index);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, s->span)) return false;
    if (v.rank != 0) {
        diag_error(e->context, s->span, "a subscript is one int, not %s", value_describe(e, &v));
        return false;
    }
    if (value_type(&v) == TYPE_REAL) {
        diag_error(e->context, s->span, "a subscript is an int, not %s", value_describe(e, &v));
        diag_hint(e->context, "write int(..) to truncate, or // for a quotient rounded down");
        return false;
    }
    *sub = scalar_convert(e->g, v.scalar, TYPE_INT);
    return x->subscript.outside || subscript_check(e, x, base, axis, extent, *sub, read, s->span);
}

static Value eval_outside(Elab *e, Frame *f, const AstExpr *x, ElemType type)
{
    Value v = eval_expr(e, f, x);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, x->span)) return value_error();
    if (v.rank != 0) {
        diag_error(e->context, x->span, "what lies outside is a scalar, not %s",
                   value_describe(e, &v));
        return value_error();
    }
    ElemType wanted = type < TYPE_INT && value_type(&v) >= TYPE_INT ? value_type(&v) : type;
    return value_convert(e, &v, wanted, x->span) ? v : value_error();
}

/* x[k] of a list of compile-time values. */
static Value list_element(Elab *e, Frame *f, const AstExpr *x, const Value *list)
{
    int64_t k;
    if (!eval_int(e, f, x->subscript.subs.data[0].index, "the index of a list", &k))
        return value_error();
    if (k < 0 || k >= list->n_items) {
        diag_error(e->context, x->span, "the list has %d elements; there is no element %lld",
                   list->n_items, (long long)k);
        return value_error();
    }
    const Value *item = &list->items[k]; /* the size of an axis that differs along another one is no number */
    if (item->kind == VALUE_TENSOR && item->rank == 0 && item->scalar->iters >> VISIBLE) {
        diag_error(e->context, x->span, "this axis has a size that differs along another one");
        return value_error();
    }
    return list->items[k];
}

static Value models_element(Elab *e, Frame *f, const AstExpr *x, const Function *models)
{
    int64_t k;
    if (x->subscript.subs.len != 1 || x->subscript.subs.data[0].slice ||
        !eval_int(e, f, x->subscript.subs.data[0].index, "the number of a model", &k))
        return value_error();
    if (k < 0 || k >= models->n_members) {
        diag_error(e->context, x->span, "there are %d models %s, numbered from 0", models->n_members,
                   models->name);
        return value_error();
    }
    return (Value){.kind = VALUE_FUNCTION, .function = models->members[k]};
}

static Value subscript_base(Elab *e, Frame *f, const AstExpr *base)
{
    Value *known = f->ranges ? map_get(&f->ranges->bases, base) : NULL;
    return known ? *known : eval_expr(e, f, base);
}

/* A subscript of a byte or truth-value tensor whose `outside` is wider becomes a choice. */
static const Scalar *load_outside(Elab *e, const Node *node, const Scalar *const *subs,
                                  const Scalar *outside, Span span)
{
    if (outside->type == node->type) return scalar_load(e->g, node, subs, outside, span);
    Extent shape[MAX_RANK];
    memcpy(shape, node->shape, sizeof(Extent) * (size_t)node->rank);
    const Scalar *wide = scalar_convert(e->g, scalar_load_at(e->g, node, 0), outside->type);
    const Node *converted = graph_map(e->g, node->rank, shape, wide, span);
    return scalar_load(e->g, converted, subs, outside, span);
}

/* Whether a subscript never leaves its axis, so that what is said to lie outside never counts. */
static bool subscript_inside(Elab *e, const Scalar *sub, Extent axis, const Value *result)
{
    Extent iters[VISIBLE + MAX_RANK] = {{0, NULL}};
    for (int i = 0; i < e->axes.len; i++)
        iters[i] = e->axes.data[i].extent;
    for (int k = 0; k < result->rank; k++)
        iters[VISIBLE + k] = result->shape[k];
    return range_within(scalar_range(sub, iters, VISIBLE + result->rank), axis);
}

/* Whether a subscript mentions an index or the step of a scan: a list becomes a tensor then. */
static bool known_at_run_time(Elab *e, Frame *f, const AstExpr *x)
{
    if (expr_mentions_index(f, x)) return true;
    Value v = eval_expr(e, f, x);
    return v.kind == VALUE_TENSOR && v.rank == 0 && !value_is_number(&v) &&
           value_type(&v) == TYPE_INT;
}

Value eval_subscript(Elab *e, Frame *f, const AstExpr *x)
{
    Value member;
    const Value *before = f->ranges ? map_get(&f->ranges->bases, x) : NULL;
    if (before) return *before;
    if (eval_round_member(e, f, x, &member)) return member;
    Value base = subscript_base(e, f, x->subscript.base);
    if (base.kind == VALUE_ERROR) return base;
    const AstSubs *subs = &x->subscript.subs;
    if (base.kind == VALUE_FUNCTION && base.function->kind == FUNCTION_MODELS)
        return models_element(e, f, x, base.function);
    if (base.kind == VALUE_LIST && subs->len == 1 && !subs->data[0].slice &&
        !known_at_run_time(e, f, subs->data[0].index))
        return list_element(e, f, x, &base);
    if (!value_tensor(e, &base, x->span)) return value_error();
    bool indexed = false;
    for (int k = 0; k < subs->len; k++)
        indexed = indexed || (!subs->data[k].slice && expr_mentions_index(f, subs->data[k].index));
    if (subs->len > base.rank || (indexed && subs->len < base.rank)) {
        diag_error(e->context, x->span, "%d subscript%s for %s, which is %s", subs->len,
                   subs->len == 1 ? "" : "s", expr_text(e, x->subscript.base),
                   value_describe(e, &base));
        return value_error();
    }
    if (!load_is_plain(&base)) {
        base.max = 0;
        base = value_settle(e, &base, NULL, x->subscript.base->span);
        if (base.scalar->kind != SCALAR_LOAD) return base; /* a constant of rank 0 */
    }
    Value result = {.kind = VALUE_TENSOR};
    const Scalar *load = base.scalar, *at[MAX_RANK], *map[VISIBLE + MAX_RANK] = {NULL};
    bool ok = true;
    StepRead read = STEP_PLAIN;
    for (int k = 0; k < base.rank; k++) {
        if (k < subs->len) {
            at[k] = NULL;
            if (!subscript_one(e, f, x, &base, k, map, &at[k], &read, &result)) ok = false;
        } else {
            at[k] = scalar_iter(e->g, VISIBLE + result.rank);
            result.shape[result.rank++] = extent_renumber(e, base.shape[k], map);
        }
        map[VISIBLE + k] = at[k];
    }
    if (!ok) return value_error();
    bool inside = true;
    for (int k = 0; k < base.rank; k++)
        inside = inside && subscript_inside(e, at[k], extent_renumber(e, base.shape[k], map), &result);
    if (!x->subscript.outside) {
        result.scalar = step_load(e, element_at(e, load, map, x->span), read);
        if (!inside) result.scalar = choice_guard(e, result.scalar, 0);
        return result;
    }
    Value outside = eval_outside(e, f, x->subscript.outside, load->type);
    if (outside.kind == VALUE_ERROR) return outside;
    const Scalar *all[MAX_RANK];
    int leading = load->n_args - base.rank;
    for (int k = 0; k < load->n_args; k++)
        all[k] = k < leading ? load->args[k] : at[k - leading];
    if (inside && outside.scalar->type == load->type) {
        result.scalar = scalar_load(e->g, load->node, all, NULL, x->span);
        return result;
    }
    result.scalar = load_outside(e, load->node, all, outside.scalar, x->span);
    return result;
}

/* --- reductions ---------------------------------------------------------------------------------------------------- */

/* The context axes that `each` stands for: none for an optimizer of a single number. False and an
 * error where it may not stand. */
static bool each_axes(Elab *e, const Frame *f, Span span, uint64_t *over)
{
    if (!f->training && !f->in_fit && f->kind != FRAME_OPTIMIZER) {
        diag_error(e->context, span, "`each` may stand only where `training` is true, in `fit` and in "
                                     "optimizers");
        diag_hint(e->context, "put it under `if training`, and keep what inference needs in a state");
        return false;
    }
    if (f->base == 0 && f->kind != FRAME_OPTIMIZER) {
        diag_error(e->context, span, "`each` has nothing to run over: this call is not mapped");
        return false;
    }
    *over |= ((uint64_t)1 << f->base) - 1;
    return true;
}

static const Reduce reduce_of[] = {
    [AST_SUM] = REDUCE_SUM, [AST_MEAN] = REDUCE_MEAN, [AST_PROD] = REDUCE_PROD,
    [AST_MAX] = REDUCE_MAX, [AST_MIN] = REDUCE_MIN, [AST_ARGMAX] = REDUCE_ARGMAX,
    [AST_ARGMIN] = REDUCE_ARGMIN, [AST_ANY] = REDUCE_ANY, [AST_ALL] = REDUCE_ALL};

/* The formula that is reduced, and the condition that points must pass, or NULL; false after an error. */
static bool reduce_points(Elab *e, Frame *f, const AstExpr *x, Value *body, const Scalar **guard)
{
    *guard = NULL;
    if (!x->reduce.where) {
        *body = eval_expr(e, f, x->reduce.body);
        return true;
    }
    Value where = eval_expr(e, f, x->reduce.where);
    if (where.kind == VALUE_ERROR || !value_convert(e, &where, TYPE_BOOL, x->reduce.where->span))
        return false;
    if (where.rank) {
        diag_error(e->context, x->reduce.where->span, "a condition is one truth value, not %s",
                   value_describe(e, &where));
        return false;
    }
    *guard = where.scalar;
    const Scalar *around = choice_enter(e, &where, true);
    Value passed = eval_expr(e, f, x->reduce.body);
    e->taken = around;
    *body = value_taken(e, &where, &passed, true);
    return true;
}

static Value reduce_body(Elab *e, Frame *f, const AstExpr *x, uint64_t over, bool each)
{
    Value body;
    const Scalar *guard, *around = e->taken;
    if (around && around->iters & over) e->taken = NULL; /* all instances count, in either branch */
    bool good = reduce_points(e, f, x, &body, &guard);
    e->taken = around;
    if (!good) return value_error();
    if (body.kind == VALUE_ERROR || !value_tensor(e, &body, x->reduce.body->span))
        return value_error();
    if (body.rank) {
        diag_error(e->context, x->reduce.body->span,
                   "the body of a reduction is one number per index, not %s",
                   value_describe(e, &body));
        diag_hint(e->context, "subscript it in full, or reduce a whole tensor: %s(x)",
                  reduce_table[reduce_of[x->reduce.reduce]].name);
        return value_error();
    }
    /* At a step of a scan, `each` is over the instances that take it. */
    const Scalar *taken = each ? scan_taken(e, e->scan) : NULL;
    if (taken && taken->iters & over) guard = guard ? scalar_op2(e->g, OP_AND, taken, guard) : taken;
    Reduce reduce = reduce_of[x->reduce.reduce];
    return each ? fit_reduce(e, reduce, over, &body, guard, x->span)
                : value_reduce(e, reduce, over, &body, guard, 0, x->span);
}

static Value reduce_ranged(Elab *e, Frame *f, const AstExpr *x)
{
    IndexVar **vars = map_get(&f->ranges->extents, x);
    if (!vars) return value_error();
    int first = e->axes.len, before = f->indices.len, n = 0;
    uint64_t over = 0;
    bool each = false;
    if (!axes_room(e, x->reduce.indices.len, x->span)) return value_error();
    for (int i = 0; i < x->reduce.indices.len; i++) {
        const AstIndex *index = &x->reduce.indices.data[i];
        if (!strcmp(index->name, "each")) {
            if (!each_axes(e, f, index->span, &over)) return value_error();
            each = true;
            continue;
        }
        IndexVar *var = NEW(e->arena, IndexVar);
        *var = *vars[n++];
        var->axis = axes_push(e, var->extent, var->name);
        over |= (uint64_t)1 << var->axis;
        vec_push(e->arena, &f->indices, var);
    }
    Reduce reduce = reduce_of[x->reduce.reduce];
    Value result;
    if ((reduce == REDUCE_ARGMAX || reduce == REDUCE_ARGMIN) && x->reduce.indices.len != 1) {
        diag_error(e->context, x->span, "%s takes one index", reduce_table[reduce].name);
        result = value_error();
    } else {
        result = reduce_body(e, f, x, over, each);
    }
    f->indices.len = before;
    e->axes.len = first;
    return result;
}

static RangeTable *table_new(Elab *e)
{
    RangeTable *table = NEW(e->arena, RangeTable);
    table->extents = map_new(e->arena);
    table->bases = map_new(e->arena);
    return table;
}

Value eval_reduce(Elab *e, Frame *f, const AstExpr *x)
{
    if (f->ranges && map_get(&f->ranges->extents, x)) return reduce_ranged(e, f, x);
    RangeTable *outer = f->ranges;
    f->ranges = table_new(e);
    Value result = ranges_infer(e, f, NULL, x, NULL) ? reduce_ranged(e, f, x) : value_error();
    f->ranges = outer;
    return result;
}

/* `each` is no index of a definition, and at most 15 are. */
static bool indices_check(Elab *e, const AstIndices *indices)
{
    for (int i = 0; i < indices->len; i++)
        if (!strcmp(indices->data[i].name, "each")) {
            diag_error(e->context, indices->data[i].span,
                       "`each` stands in reductions only: y[i] = mean[each] x[i]");
            return false;
        }
    if (indices->len < MAX_RANK) return true;
    diag_error(e->context, indices->data[MAX_RANK - 1].span, "a tensor has at most %d axes",
               MAX_RANK - 1);
    return false;
}

Value eval_index_def(Elab *e, Frame *f, const AstIndices *indices, const AstExpr *value)
{
    if (!indices_check(e, indices)) return value_error();
    RangeTable *outer = f->ranges;
    f->ranges = table_new(e);
    int first = e->axes.len, before = f->indices.len;
    Value result = value_error();
    Extent *extents = NEW_ARRAY(e->arena, Extent, indices->len + 1);
    if (ranges_infer(e, f, indices, value, extents)) {
        for (int i = 0; i < indices->len; i++) {
            IndexVar *var = NEW(e->arena, IndexVar);
            *var = (IndexVar){.name = indices->data[i].name, .span = indices->data[i].span,
                              .decided = true, .extent = extents[i]};
            var->axis = axes_push(e, extents[i], var->name);
            vec_push(e->arena, &f->indices, var);
        }
        Value body = eval_expr(e, f, value);
        if (body.kind != VALUE_ERROR && value_tensor(e, &body, value->span)) {
            if (body.rank) {
                diag_error(e->context, value->span,
                           "an index definition gives one number per index, not %s",
                           value_describe(e, &body));
                diag_hint(e->context, "subscript it in full, or write y = .. without indices");
            } else {
                result = axes_pop(e, first, &body, value->span);
            }
        }
    }
    e->axes.len = first;
    f->indices.len = before;
    f->ranges = outer;
    return result;
}
