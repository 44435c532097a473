/* elaborate_bind.c -- a call's arguments meet the callee's parameters: which goes where, the axes the call is
 * mapped over (lifting), dimensions, defaults, declared result types.
 *
 * Lifting: a typed parameter of rank q takes an argument of rank r >= q; the r - q extra leading axes, the
 * same ones for all arguments that have any, become context axes of the callee. */
#include "elaborate.h"

#include <assert.h>

static const ElemType base_type[] = {[AST_REAL] = TYPE_REAL, [AST_INT] = TYPE_INT,
                                     [AST_BASE_BOOL] = TYPE_BOOL, [AST_U8] = TYPE_U8};

static const char *item_kind(const AstItem *item)
{
    return item->kind == AST_OPTIMIZER ? "optimizer" : "function";
}

/* --- which argument goes to which parameter -------------------------------------------------------------- */

static int param_find(const AstItem *item, Name name)
{
    for (int i = 0; i < item->params.len; i++)
        if (item->params.data[i].name.name == name) return i;
    return -1;
}

static bool unknown_param(Elab *e, const AstItem *item, const CallArg *arg)
{
    diag_error(e->context, arg->span, "%s() has no parameter `%s`", item->name.name, arg->name);
    VEC(const char *) names = {0};
    for (int i = 0; i < item->params.len; i++)
        vec_push(e->arena, &names, item->params.data[i].name.name);
    const char *near = suggest(arg->name, names.data, names.len);
    if (near) {
        diag_hint(e->context, "did you mean `%s`?", near);
        return false;
    }
    StrBuf list = str_new(e->arena);
    for (int i = 0; i < names.len; i++)
        str_printf(&list, "%s`%s`", i ? ", " : "", names.data[i]);
    diag_hint(e->context, names.len ? "its parameters are %s" : "it has none%s", str_text(&list));
    return false;
}

static const char *params_text(Elab *e, const AstItem *item)
{
    StrBuf s = str_new(e->arena);
    for (int i = 0; i < item->params.len; i++)
        str_printf(&s, "%s%s%s", i ? ", " : "", item->params.data[i].name.name,
                   item->params.data[i].fallback ? " = .." : "");
    return str_text(&s);
}

/* Assigns arguments to parameters: given[i] points to the argument of parameter i, or is NULL. */
static bool args_assign(Elab *e, Frame *callee, const AstItem *item, const CallArg *args,
                        int n_args, const CallArg **given, Span span)
{
    int position = 0;
    for (int i = 0; i < n_args; i++) {
        int k;
        if (!args[i].name) {
            k = position++;
            if (k >= item->params.len) {
                diag_error(e->context, span, "%s() takes %d argument%s, not %d", item->name.name,
                           item->params.len, item->params.len == 1 ? "" : "s", n_args);
                diag_hint(e->context, "it is %s(%s)", item->name.name, params_text(e, item));
                return false;
            }
        } else if ((k = param_find(item, args[i].name)) < 0) {
            if (strcmp(args[i].name, "training") != 0) return unknown_param(e, item, &args[i]);
            if (!value_is_number(&args[i].value) || value_type(&args[i].value) != TYPE_BOOL) {
                diag_error(e->context, args[i].span, "`training` is true or false");
                return false;
            }
            callee->training = args[i].value.scalar->value != 0;
            continue;
        }
        if (given[k]) {
            diag_error(e->context, args[i].span, "parameter `%s` of %s() is given twice",
                       item->params.data[k].name.name, item->name.name);
            return false;
        }
        given[k] = &args[i];
    }
    for (int i = 0; i < item->params.len; i++)
        if (!given[i] && !item->params.data[i].fallback) {
            diag_error(e->context, span, "%s() needs an argument for `%s`", item->name.name,
                       item->params.data[i].name.name);
            diag_hint(e->context, "it is %s(%s)", item->name.name, params_text(e, item));
            return false;
        }
    return true;
}

/* --- lifting ------------------------------------------------------------------------------------------------ */

/* The rank that a type asks for; -1 for ..S, which takes every axis. */
static int type_rank(const AstType *type)
{
    for (int i = 0; i < type->dims.len; i++)
        if (type->dims.data[i].rest) return -1;
    return type->dims.len;
}

static const char *type_text(Elab *e, const AstType *type)
{
    static const char *const names[] = {[AST_REAL] = "real", [AST_INT] = "int",
                                        [AST_BASE_BOOL] = "bool", [AST_U8] = "u8"};
    StrBuf s = str_new(e->arena);
    if (!type->dims.len || type->base != AST_REAL) str_add(&s, names[type->base]);
    for (int i = 0; i < type->dims.len; i++) {
        const AstDim *d = &type->dims.data[i];
        str_add(&s, i ? ", " : "[");
        if (d->bounded) str_printf(&s, "%s <= ", d->bounded);
        if (d->rest) str_printf(&s, "..%s", d->rest);
        else if (d->size && d->size->kind == AST_NAME) str_add(&s, d->size->name);
        else if (d->size && d->size->kind == AST_NUMBER) str_printf(&s, "%g", d->size->number.value);
        else str_add(&s, "..");
    }
    if (type->dims.len) str_add(&s, "]");
    return str_text(&s);
}

static bool rank_error(Elab *e, const AstItem *item, const AstParam *p, const CallArg *arg)
{
    diag_error(e->context, arg->span, "%s() takes %s: %s, and %s is %s", item->name.name,
               p->name.name, type_text(e, p->type), quoted_text(e, arg->span),
               value_describe(e, &arg->value));
    if (arg->value.rank == 0 && p->type->dims.len == 1)
        diag_hint(e->context, "[x] makes a vector of one number");
    return false;
}

/* Finds the axes that the call is mapped over and pushes them. */
static bool lift(Elab *e, const AstItem *item, const CallArg **given, const Value *values, Span span)
{
    const Value *widest = NULL;
    int extra = 0, first = 0;
    for (int i = 0; i < item->params.len; i++) {
        const AstParam *p = &item->params.data[i];
        if (!p->type || !given[i]) continue;
        int rank = type_rank(p->type);
        if (rank < 0) continue;
        int more = values[i].rank - rank;
        if (more < 0) return rank_error(e, item, p, given[i]);
        if (more == 0) continue;
        if (item->kind == AST_OPTIMIZER) {
            diag_error(e->context, given[i]->span,
                       "`%s` of the optimizer %s is one number for all parameters, not %s",
                       p->name.name, item->name.name, value_describe(e, &values[i]));
            return false;
        }
        bool same = !widest || more == extra;
        for (int k = 0; widest && same && k < extra; k++)
            same = extents_agree(values[i].shape[k], widest->shape[k]);
        if (!same) {
            const AstParam *q = &item->params.data[first];
            diag_error(e->context, given[i]->span,
                       "%s() is mapped over the leading axes of `%s` and of `%s`, which differ: "
                       "%s for %s, and %s for %s", item->name.name, q->name.name, p->name.name,
                       value_describe(e, widest), type_text(e, q->type),
                       value_describe(e, &values[i]), type_text(e, p->type));
            diag_hint(e->context, "all arguments that have extra leading axes must have the same");
            return false;
        }
        if (!widest) {
            widest = &values[i];
            extra = more;
            first = i;
        }
    }
    if (!axes_room(e, extra, span)) return false;
    if (widest) axes_push_visible(e, widest, extra);
    return true;
}

/* --- dimensions --------------------------------------------------------------------------------------------- */

/* Whether a name in a type is a dimension that the argument binds. */
static bool name_is_dimension(const Frame *callee, const AstItem *item, Name name)
{
    int k = param_find(item, name);
    if (k >= 0) return false;
    const Definition *d = scope_find(callee->scope, name);
    return !(d && d->item && d->item->kind == AST_CONST && d->scope == callee->scope);
}

static bool dim_mismatch(Elab *e, const AstItem *item, const AstParam *p, const CallArg *arg,
                         const Value *v, int axis, const char *wanted)
{
    diag_error(e->context, arg ? arg->span : p->name.span,
               "%s() takes %s: %s, where axis %d has %s elements, and %s is %s", item->name.name,
               p->name.name, type_text(e, p->type), axis, wanted,
               arg ? quoted_text(e, arg->span) : "this", value_describe(e, v));
    return false;
}

/* The size of an axis that differs along another visible one is no single number. */
static bool dim_single(Elab *e, const CallArg *arg, const Value *v, int axis, Name name, Span span)
{
    const Scalar *size = v->shape[axis].size;
    if (!size || !(size->iters >> VISIBLE)) return true;
    diag_error(e->context, arg ? arg->span : span,
               "`%s` would be the size of axis %d of %s, which differs along an axis before it", name, axis,
               value_describe(e, v));
    diag_hint(e->context, "write the function for one instance, without that axis: it is mapped over it");
    return false;
}

/* The name is bound to the extent of the axis, or must agree with what it is bound to. */
static bool dim_name(Elab *e, Frame *callee, const AstItem *item, const AstParam *p,
                     const CallArg *arg, const Value *v, int axis, Name name, Span span)
{
    if (!dim_single(e, arg, v, axis, name, span)) return false;
    Local *known = local_find(callee, name);
    Value extent = value_extent(e, v->shape[axis]);
    if (!known) {
        local_bind(e, callee, (AstName){name, span}, &extent);
        return true;
    }
    if (known->bound && known->value.kind == VALUE_TENSOR &&
        known->value.scalar == extent.scalar) {
        if (extent.max && extent.max < known->value.max) known->value.max = extent.max;
        return true;
    }
    if (!known->bound || known->value.kind != VALUE_TENSOR) return true;
    Extent wanted = known->value.max ? (Extent){known->value.max, known->value.scalar}
                                     : extent_fixed((int64_t)known->value.scalar->value);
    dim_mismatch(e, item, p, arg, v, axis,
                 arena_printf(e->arena, "%s = %s", name, extent_describe(e, wanted)));
    axes_differ_hint(e, wanted, v->shape[axis]);
    return false;
}

/* ..S: the extents, their sizes in numbers that count from the first of these axes. */
static bool dim_rest(Elab *e, Frame *callee, const CallArg *arg, const Value *v, int axis, int rest,
                     const AstDim *d)
{
    Value list = {.kind = VALUE_LIST, .n_items = rest};
    list.items = NEW_ARRAY(e->arena, Value, rest + 1);
    const Scalar *map[VISIBLE + MAX_RANK] = {NULL};
    for (int k = 0; k < rest; k++)
        map[VISIBLE + axis + k] = scalar_iter(e->g, VISIBLE + k);
    for (int k = 0; k < rest; k++) {
        const Scalar *size = v->shape[axis + k].size;
        if (size && size->iters >> VISIBLE & (((uint64_t)1 << axis) - 1))
            return dim_single(e, arg, v, axis + k, d->rest, d->span);
        list.items[k] = value_extent(e, extent_renumber(e, v->shape[axis + k], map));
    }
    local_bind(e, callee, (AstName){d->rest, d->span}, &list);
    return true;
}

/* First pass: names are bound, left to right. */
static bool dims_bind(Elab *e, Frame *callee, const AstItem *item, const AstParam *p,
                      const CallArg *arg, const Value *v)
{
    const AstDims *dims = &p->type->dims;
    int rest = v->rank - (dims->len - 1), axis = 0;
    for (int i = 0; i < dims->len; i++) {
        const AstDim *d = &dims->data[i];
        if (d->rest) {
            if (!dim_rest(e, callee, arg, v, axis, rest, d)) return false;
            axis += rest;
            continue;
        }
        Name name = d->bounded                   ? d->bounded
                    : d->size->kind == AST_NAME ? d->size->name
                                                : NULL;
        bool bound_here = name && name_is_dimension(callee, item, name);
        if (d->bounded && !bound_here) {
            diag_error(e->context, d->span, "`%s` names the size of a bounded axis, and something else, too",
                       name);
            return false;
        }
        if (bound_here && !dim_name(e, callee, item, p, arg, v, axis, name, d->span)) return false;
        axis++;
    }
    return true;
}

/* Second pass: expressions are checked. */
static bool dims_check(Elab *e, Frame *callee, const AstItem *item, const AstParam *p,
                       const CallArg *arg, const Value *v)
{
    const AstDims *dims = &p->type->dims;
    int axis = 0;
    for (int i = 0; i < dims->len; i++) {
        const AstDim *d = &dims->data[i];
        if (d->rest) {
            axis += v->rank - (dims->len - 1);
            continue;
        }
        if (!d->bounded && d->size->kind == AST_NAME &&
            name_is_dimension(callee, item, d->size->name)) {
            axis++;
            continue;
        }
        int64_t n;
        if (!eval_int(e, callee, d->size, d->bounded ? "the bound of an axis" : "a dimension", &n))
            return false;
        if (d->bounded && v->shape[axis].max > n)
            return dim_mismatch(e, item, p, arg, v, axis,
                                arena_printf(e->arena, "at most %lld", (long long)n));
        if (!d->bounded && (v->shape[axis].size || v->shape[axis].max != n))
            return dim_mismatch(e, item, p, arg, v, axis,
                                arena_printf(e->arena, "%lld", (long long)n));
        axis++;
    }
    return true;
}

/* ..S in a type: the extents that it was bound to. */
static bool rest_shape(Elab *e, Frame *f, const AstDim *d, int *rank, Extent *shape)
{
    Local *list = local_find(f, d->rest);
    if (!list || list->value.kind != VALUE_LIST) {
        diag_error(e->context, d->span, "`..%s` is not bound by a parameter", d->rest);
        return false;
    }
    const Scalar *map[VISIBLE + MAX_RANK] = {NULL};
    for (int k = 0; k < list->value.n_items && *rank + k < MAX_RANK; k++)
        map[VISIBLE + k] = scalar_iter(e->g, VISIBLE + *rank + k);
    for (int k = 0; k < list->value.n_items && *rank < MAX_RANK - 1; k++) {
        const Value *v = &list->value.items[k];
        Extent extent = v->max ? (Extent){v->max, v->scalar}
                               : extent_fixed((int64_t)v->scalar->value);
        shape[(*rank)++] = extent_renumber(e, extent, map);
    }
    return true;
}

/* The extent that a dimension of a type stands for; false after a report. */
static bool dim_extent(Elab *e, Frame *f, const AstDim *d, Extent *out)
{
    int64_t n;
    Local *bounded = d->bounded ? local_find(f, d->bounded) : NULL;
    if (d->bounded && !(bounded && bounded->bound)) {
        diag_error(e->context, d->span, "`%s` is not the size of an axis of a parameter", d->bounded);
        return false;
    }
    Value v = bounded ? bounded->value : eval_expr(e, f, d->size);
    if (v.kind == VALUE_ERROR) return false;
    if (v.kind == VALUE_TENSOR && v.max) {
        *out = (Extent){v.max, v.scalar};
        return true;
    }
    if (!value_is_int(&v, &n)) {
        diag_error(e->context, d->span, "a dimension is a compile-time int, not %s",
                   value_describe(e, &v));
        if (v.kind == VALUE_TENSOR && v.rank == 0 && value_type(&v) == TYPE_INT)
            diag_hint(e->context, "a run-time size is a dimension only as it is: [T], not [T + 1]");
        return false;
    }
    if (n < 0 || n > INT32_MAX) {
        diag_error(e->context, d->span, "a dimension of %lld elements", (long long)n);
        return false;
    }
    *out = extent_fixed(n);
    return true;
}

bool type_shape(Elab *e, Frame *f, const AstType *type, int *rank, Extent *shape)
{
    *rank = 0;
    for (int i = 0; i < type->dims.len; i++) {
        const AstDim *d = &type->dims.data[i];
        if (d->rest) {
            if (!rest_shape(e, f, d, rank, shape)) return false;
            continue;
        }
        Extent extent;
        if (!dim_extent(e, f, d, &extent)) return false;
        if (*rank >= MAX_RANK - 1) {
            diag_error(e->context, d->span, "a tensor has at most %d axes", MAX_RANK - 1);
            return false;
        }
        shape[(*rank)++] = extent;
    }
    return shape_fits(e, *rank, shape, type->span);
}

/* --- binding ------------------------------------------------------------------------------------------------- */

static bool compile_time(const Value *v)
{
    return v->kind != VALUE_TENSOR || value_is_number(v);
}

static bool bind_default(Elab *e, Frame *callee, const AstParam *p)
{
    const char *outer = e->constant;
    if (!p->type) e->constant = arena_printf(e->arena, "the default of `%s`, a parameter without a type,", p->name.name);
    Value v = eval_expr(e, callee, p->fallback);
    e->constant = outer;
    if (v.kind == VALUE_ERROR) return false;
    if (p->type && !value_convert(e, &v, base_type[p->type->base], p->fallback->span)) return false;
    local_bind(e, callee, p->name, &v);
    return true;
}

static bool bind_untyped(Elab *e, Frame *callee, const AstItem *item, const AstParam *p,
                         const CallArg *arg)
{
    if (!compile_time(&arg->value) && item->kind != AST_OPTIMIZER) {
        diag_error(e->context, arg->span,
                   "parameter `%s` of %s() is a compile-time value; this is %s, known at run time only",
                   p->name.name, item->name.name, value_describe(e, &arg->value));
        diag_hint(e->context, "in the %s, a type makes it a tensor: %s: real", item_kind(item),
                  p->name.name);
        return false;
    }
    local_bind(e, callee, p->name, &arg->value);
    return true;
}

bool params_bind(Elab *e, Frame *callee, const AstItem *item, const CallArg *args, int n_args,
                 Span span)
{
    int n = item->params.len;
    const CallArg **given = NEW_ARRAY(e->arena, const CallArg *, n + 1);
    Value *values = NEW_ARRAY(e->arena, Value, n + 1);
    if (!args_assign(e, callee, item, args, n_args, given, span)) return false;
    for (int i = 0; i < n; i++) {
        const AstParam *p = &item->params.data[i];
        if (!p->type || !given[i]) continue;
        values[i] = given[i]->value;
        if (!value_convert(e, &values[i], base_type[p->type->base], given[i]->span)) return false;
        values[i] = value_settle(e, &values[i], NULL, given[i]->span);
    }
    int first = e->axes.len;
    if (!lift(e, item, given, values, span)) return false;
    callee->base = e->axes.len;
    for (int i = 0; i < n; i++) {
        const AstParam *p = &item->params.data[i];
        if (!given[i]) continue;
        if (!p->type) {
            if (!bind_untyped(e, callee, item, p, given[i])) return false;
            continue;
        }
        int rank = type_rank(p->type);
        int extra = rank < 0 ? 0 : values[i].rank - rank;
        if (extra) values[i] = axes_lower(e, &values[i], extra, first);
        if (rank < 0 && values[i].rank < p->type->dims.len - 1)
            return rank_error(e, item, p, given[i]);
        if (!dims_bind(e, callee, item, p, given[i], &values[i])) return false;
    }
    for (int i = 0; i < n; i++) {
        const AstParam *p = &item->params.data[i];
        if (!given[i] && !bind_default(e, callee, p)) return false;
        if (given[i] && p->type) {
            if (!dims_check(e, callee, item, p, given[i], &values[i])) return false;
            local_bind(e, callee, p->name, &values[i]);
        }
    }
    return true;
}

bool result_check(Elab *e, Frame *f, const AstType *type, Value *v, Span span)
{
    if (!value_convert(e, v, base_type[type->base], span)) return false;
    int rank;
    Extent shape[MAX_RANK];
    if (!type_shape(e, f, type, &rank, shape)) return false;
    bool same = rank == v->rank;
    for (int k = 0; same && k < rank; k++)
        same = extents_agree(shape[k], v->shape[k]);
    if (same) return true;
    Value wanted = {.kind = VALUE_TENSOR, .scalar = v->scalar, .rank = rank};
    memcpy(wanted.shape, shape, sizeof shape);
    diag_error(e->context, span, "this is %s, but %s is declared to return %s",
               value_describe(e, v), f->item ? f->item->name.name : "this",
               value_describe(e, &wanted));
    diag_note(e->context, type->span, "declared here");
    return false;
}
