/* value.c -- values of elaboration: formulas over context and visible axes; see elaborate.h. */
#include "elaborate.h"

#include <assert.h>

Value value_error(void)
{
    return (Value){.kind = VALUE_ERROR};
}

Value value_scalar(const Scalar *scalar)
{
    return (Value){.kind = VALUE_TENSOR, .scalar = scalar};
}

Value value_int(Elab *e, int64_t number)
{
    return value_scalar(scalar_int(e->g, number));
}

Value value_bool(Elab *e, bool truth)
{
    return value_scalar(scalar_bool(e->g, truth));
}

Value value_extent(Elab *e, Extent extent)
{
    Value v = extent.size ? value_scalar(extent.size) : value_int(e, extent.max);
    v.max = extent.size ? extent.max : 0;
    return v;
}

Value value_of_node(Elab *e, const Node *node)
{
    return value_of_hidden(e, node, 0);
}

bool value_is_number(const Value *v)
{
    return v->kind == VALUE_TENSOR && v->rank == 0 && v->scalar->kind == SCALAR_CONST;
}

bool value_is_int(const Value *v, int64_t *out)
{
    if (!value_is_number(v) || v->scalar->type != TYPE_INT) return false;
    *out = (int64_t)v->scalar->value;
    return true;
}

ElemType value_type(const Value *v)
{
    return v->scalar->type;
}

static const char *type_name(ElemType type)
{
    static const char *const names[] = {[TYPE_BOOL] = "bool", [TYPE_U8] = "u8", [TYPE_INT] = "int",
                                        [TYPE_REAL] = "real"};
    return names[type];
}

const char *extent_describe(Elab *e, Extent extent)
{
    if (!extent.size) return arena_printf(e->arena, "%lld", (long long)extent.max);
    const Node *sizes = extent.size->kind == SCALAR_LOAD ? extent.size->node : NULL;
    if (sizes && sizes->name && sizes->kind == NODE_LEAF && sizes->leaf->kind == LEAF_SIZE)
        return sizes->name;
    return arena_printf(e->arena, "%s<= %lld",
                        sizes && sizes->name ? arena_printf(e->arena, "%s ", sizes->name) : "",
                        (long long)extent.max);
}

const char *value_describe(Elab *e, const Value *v)
{
    switch (v->kind) {
    case VALUE_ERROR: return "an error";
    case VALUE_STRING: return arena_printf(e->arena, "the string \"%s\"", v->text);
    case VALUE_LIST: return arena_printf(e->arena, "a list of %d", v->n_items);
    case VALUE_FUNCTION: return arena_printf(e->arena, "the function %s", v->function->name);
    case VALUE_DATA: return arena_printf(e->arena, "the data set %s", v->data->name);
    case VALUE_TENSOR: break;
    }
    if (value_is_number(v)) {
        if (v->scalar->type == TYPE_BOOL) return v->scalar->value != 0 ? "`true`" : "`false`";
        return arena_printf(e->arena, "the number %.9g", v->scalar->value);
    }
    StrBuf s = str_new(e->arena);
    if (v->rank == 0 || v->scalar->type != TYPE_REAL) str_add(&s, type_name(v->scalar->type));
    for (int k = 0; k < v->rank; k++)
        str_printf(&s, "%s%s", k ? ", " : "[", extent_describe(e, v->shape[k]));
    if (v->rank) str_add(&s, "]");
    return str_text(&s);
}

/* --- types ------------------------------------------------------------------------------------------ */

ElemType type_of_base(AstBase base)
{
    switch (base) {
    case AST_REAL: return TYPE_REAL;
    case AST_INT: return TYPE_INT;
    case AST_BASE_BOOL: return TYPE_BOOL;
    case AST_U8: return TYPE_U8;
    }
    return TYPE_REAL;
}

ElemType type_join(ElemType a, ElemType b)
{
    return a > b ? a : b;
}

ElemType type_arithmetic(ElemType a, ElemType b)
{
    ElemType joined = type_join(a, b);
    return joined < TYPE_INT ? TYPE_INT : joined;
}

bool value_convert(Elab *e, Value *v, ElemType type, Span span)
{
    if (v->kind == VALUE_ERROR || !value_tensor(e, v, span)) return false;
    ElemType from = v->scalar->type;
    if (from == type) return true;
    if (type == TYPE_BOOL) {
        diag_error(e->context, span, "a bool is wanted here, not %s", value_describe(e, v));
        diag_hint(e->context, "compare it: %s != 0", place_text(e, span, "x"));
        return false;
    }
    if (from > type) {
        diag_error(e->context, span, "%s is wanted here, not %s", type == TYPE_INT ? "an int" : "a u8",
                   value_describe(e, v));
        diag_hint(e->context, "write %s(%s) to truncate it", type_name(type),
                  place_text(e, span, ".."));
        return false;
    }
    v->scalar = scalar_convert(e->g, v->scalar, type);
    return true;
}

bool shapes_same(const Value *a, const Value *b)
{
    if (a->rank != b->rank) return false;
    for (int k = 0; k < a->rank; k++)
        if (!extents_agree(a->shape[k], b->shape[k])) return false;
    return true;
}

/* --- between formulas and nodes ------------------------------------------------------------------------ */

bool shape_fits(Elab *e, int rank, const Extent *shape, Span span)
{
    int64_t elements = shape_max_elements(rank, shape);
    if (rank <= MAX_RANK && elements <= MAX_ELEMENTS) return true;
    if (e->unfit) return false; /* what follows from it stays silent */
    e->unfit = true;
    if (rank > MAX_RANK) {
        diag_error(e->context, span, "a value that differs over %d axes: a tensor has at most %d", rank,
                   MAX_RANK - 1);
        return false;
    }
    StrBuf s = str_new(e->arena);
    for (int k = 0; k < rank; k++)
        str_printf(&s, "%s%s", k ? ", " : "[", extent_describe(e, shape[k]));
    diag_error(e->context, span, "a tensor %s] is too large: more than 2^40 elements", str_text(&s));
    return false;
}

const Node *value_node_over(Elab *e, const Value *v, uint64_t axes, Span span)
{
    Domain d = {.n = 0};
    domain_context(e, &d, axes);
    domain_visible(e, &d, v, 0, v->rank);
    if (!shape_fits(e, d.n, d.iters, span)) return NULL;
    return graph_map(e->g, d.n, d.iters, domain_scalar(e, &d, v->scalar), span);
}

const Node *value_node(Elab *e, const Value *v, uint64_t *hidden, Span span)
{
    uint64_t axes = value_context(e, v);
    const Node *node = value_node_over(e, v, axes, span);
    if (hidden) *hidden = node ? axes : 0;
    if (node) return node;
    Extent shape[MAX_RANK];
    for (int k = 0; k < v->rank; k++)
        shape[k] = extent_fixed(v->shape[k].max);
    return graph_map(e->g, v->rank, shape, scalar_const(e->g, v->scalar->type, 0), span);
}

Value value_of_hidden(Elab *e, const Node *node, uint64_t hidden)
{
    const Scalar *subs[MAX_RANK];
    int n = 0;
    for (int i = 0; i < VISIBLE; i++)
        if (hidden >> i & 1) subs[n++] = scalar_iter(e->g, i);
    return value_of_subscripts(e, node, subs, n);
}

Value value_settle(Elab *e, const Value *v, Name name, Span span)
{
    if (v->kind != VALUE_TENSOR || value_is_number(v) || v->max) return *v;
    uint64_t hidden;
    Value stepped = *v;
    stepped.scalar = step_value(e, v);
    const Node *node = value_node(e, &stepped, &hidden, span);
    if (name && node->kind != NODE_LEAF) graph_name(node, name);
    return value_of_hidden(e, node, hidden);
}

bool value_tensor(Elab *e, Value *v, Span span)
{
    if (v->kind == VALUE_TENSOR) return true;
    if (v->kind == VALUE_ERROR) return false;
    if (v->kind == VALUE_LIST) {
        *v = value_stack(e, v->items, v->n_items, span);
        return v->kind == VALUE_TENSOR;
    }
    diag_error(e->context, span, "a number or a tensor is wanted here, not %s",
               value_describe(e, v));
    return false;
}

/* --- elementwise ------------------------------------------------------------------------------------------ */

/* The common shape of operands, all equal or scalar; false and an error if there is none. */
static bool shape_common(Elab *e, const Value *args, int n_args, Value *result, Span span)
{
    *result = (Value){.kind = VALUE_TENSOR};
    const Value *first = NULL;
    for (int i = 0; i < n_args; i++) {
        if (args[i].rank == 0) continue;
        if (first && !shapes_same(first, &args[i])) {
            diag_error(e->context, span, "shapes differ: %s and %s", value_describe(e, first),
                       value_describe(e, &args[i]));
            for (int k = 0; k < first->rank && first->rank == args[i].rank; k++)
                if (!extents_agree(first->shape[k], args[i].shape[k]) &&
                    axes_differ_hint(e, first->shape[k], args[i].shape[k]))
                    return false;
            diag_hint(e->context, "operands have equal shapes, or one is a scalar; for other "
                                  "combinations write indices: y[i, j] = a[i, j] + b[j]");
            return false;
        }
        if (!first) memcpy(result->shape, args[i].shape, sizeof result->shape);
        for (int k = 0; first && k < first->rank; k++) /* of one run-time size: the tighter bound */
            if (args[i].shape[k].max < result->shape[k].max)
                result->shape[k].max = args[i].shape[k].max;
        first = &args[i];
    }
    result->rank = first ? first->rank : 0;
    return true;
}

/* Converts the operands to what the operator wants. */
static bool operands_convert(Elab *e, Op op, Value *args, int n_args, Span span)
{
    const OpInfo *info = &op_table[op];
    switch (info->result) {
    case RESULT_REAL:
        for (int i = 0; i < n_args; i++)
            args[i].scalar = scalar_convert(e->g, args[i].scalar, TYPE_REAL);
        return true;
    case RESULT_LOGIC:
        for (int i = 0; i < n_args; i++)
            if (!value_convert(e, &args[i], TYPE_BOOL, span)) return false;
        return true;
    case RESULT_SAME: {
        ElemType type = op == OP_STOP ? value_type(&args[0]) : TYPE_INT;
        for (int i = 0; i < n_args; i++)
            type = type_join(type, value_type(&args[i]));
        if (op == OP_POW && type == TYPE_INT &&
            !(value_is_number(&args[1]) && args[1].scalar->value >= 0))
            type = TYPE_REAL;
        for (int i = 0; i < n_args; i++)
            args[i].scalar = scalar_convert(e->g, args[i].scalar, type);
        return true;
    }
    case RESULT_BOOL: {
        ElemType type = type_join(value_type(&args[0]), value_type(&args[1]));
        if (type == TYPE_U8) type = TYPE_INT;
        for (int i = 0; i < n_args; i++)
            args[i].scalar = scalar_convert(e->g, args[i].scalar, type);
        return true;
    }
    case RESULT_PICK: {
        if (!value_convert(e, &args[0], TYPE_BOOL, span)) return false;
        ElemType type = type_join(value_type(&args[1]), value_type(&args[2]));
        args[1].scalar = scalar_convert(e->g, args[1].scalar, type);
        args[2].scalar = scalar_convert(e->g, args[2].scalar, type);
        return true;
    }
    case RESULT_TO_REAL:
    case RESULT_TO_INT:
    case RESULT_TO_BOOL:
    case RESULT_TO_U8: return true;
    }
    return true;
}

Value value_op(Elab *e, Op op, const Value *operands, int n_args, Span span)
{
    Value args[3] = {{.kind = VALUE_ERROR}}, result;
    for (int i = 0; i < n_args; i++) {
        args[i] = operands[i];
        if (!value_tensor(e, &args[i], span)) return value_error();
    }
    if (!shape_common(e, args, n_args, &result, span)) return value_error();
    if (!operands_convert(e, op, args, n_args, span)) return value_error();
    const Scalar *scalars[3];
    for (int i = 0; i < n_args; i++)
        scalars[i] = args[i].scalar;
    bool whole = (op == OP_IDIV || op == OP_MOD) && scalars[0]->type == TYPE_INT;
    if (whole && scalar_is_const(scalars[1], 0)) {
        diag_error(e->context, span, "integer division by zero");
        return value_error();
    }
    result.scalar = scalar_op(e->g, op, scalars, span);
    return result;
}

/* --- joining ---------------------------------------------------------------------------------------------- */

/* The context axes that any of the parts depends on. */
static uint64_t parts_hidden(const Elab *e, const Value *parts, int n_parts)
{
    uint64_t hidden = 0;
    for (int i = 0; i < n_parts; i++)
        hidden |= value_context(e, &parts[i]);
    return hidden;
}

static bool parts_agree(Elab *e, Value *parts, int n_parts, int axis, Span span)
{
    ElemType type = TYPE_BOOL;
    for (int i = 0; i < n_parts; i++) {
        if (!value_tensor(e, &parts[i], span)) return false;
        type = type_join(type, value_type(&parts[i]));
    }
    for (int i = 0; i < n_parts; i++) {
        parts[i].scalar = scalar_convert(e->g, parts[i].scalar, type);
        bool same = parts[i].rank == parts[0].rank;
        for (int k = 0; same && k < parts[0].rank; k++)
            same = k == axis || extent_equal(parts[i].shape[k], parts[0].shape[k]);
        if (!same) {
            diag_error(e->context, span, "the parts' shapes differ: %s and %s",
                       value_describe(e, &parts[0]), value_describe(e, &parts[i]));
            return false;
        }
    }
    return true;
}

Value value_concat(Elab *e, Value *parts, int n_parts, int axis, Span span)
{
    if (!parts_agree(e, parts, n_parts, axis, span)) return value_error();
    uint64_t hidden = parts_hidden(e, parts, n_parts);
    int leading = 0;
    for (int i = 0; i < VISIBLE; i++)
        leading += (int)(hidden >> i & 1);
    Piece *pieces = NEW_ARRAY(e->arena, Piece, n_parts);
    int64_t offset = 0;
    for (int i = 0; i < n_parts; i++) {
        if (parts[i].shape[axis].size) {
            diag_error(e->context, span, "an axis of run-time size cannot be joined: %s",
                       value_describe(e, &parts[i]));
            diag_hint(e->context, "join along another axis, or say what stands where: y[t < 20] = if t < "
                                  "size(x, 0) then x[t] outside 0 else ..");
            return value_error();
        }
        for (int k = axis + 1; k < parts[i].rank; k++)
            if (parts[i].shape[k].size && parts[i].shape[k].size->iters >> (VISIBLE + axis) & 1) {
                diag_error(e->context, span, "axis %d of %s has a size that depends on the axis to join", k,
                           value_describe(e, &parts[i]));
                return value_error();
            }
        pieces[i] = (Piece){value_node_over(e, &parts[i], hidden, span), offset, 1};
        if (!pieces[i].part) return value_error();
        offset += parts[i].shape[axis].max;
    }
    const Node *first = pieces[0].part;
    Extent shape[MAX_RANK];
    memcpy(shape, first->shape, sizeof(Extent) * (size_t)first->rank);
    shape[leading + axis] = extent_fixed(offset);
    if (!shape_fits(e, first->rank, shape, span)) return value_error();
    const Node *node = graph_pieces(e->g, first->type, first->rank, shape, leading + axis, n_parts,
                                    pieces, span);
    return value_of_hidden(e, node, hidden);
}

/* A nested list of numbers as an array; false if it holds anything else. */
static bool list_numbers(const Value *v, int depth, int *rank, int64_t *shape, ElemType *type,
                         double *out, int64_t *count)
{
    if (value_is_number(v)) {
        if (*rank == -1) *rank = depth;
        if (depth != *rank) return false;
        *type = type_join(*type, v->scalar->type);
        if (out) out[*count] = v->scalar->value;
        ++*count;
        return true;
    }
    if (v->kind != VALUE_LIST || depth >= MAX_RANK || (*rank != -1 && depth >= *rank)) return false;
    if (shape[depth] == -1) shape[depth] = v->n_items;
    if (shape[depth] != v->n_items) return false;
    for (int i = 0; i < v->n_items; i++)
        if (!list_numbers(&v->items[i], depth + 1, rank, shape, type, out, count)) return false;
    return true;
}

static bool list_constant(Elab *e, Value *parts, int n_parts, Value *result)
{
    Value list = {.kind = VALUE_LIST, .items = parts, .n_items = n_parts};
    int64_t shape[MAX_RANK + 1], count = 0;
    for (int k = 0; k <= MAX_RANK; k++)
        shape[k] = -1;
    int rank = -1;
    ElemType type = TYPE_BOOL;
    if (!list_numbers(&list, 0, &rank, shape, &type, NULL, &count) || rank < 1) return false;
    double *values = NEW_ARRAY(e->arena, double, count);
    count = 0;
    list_numbers(&list, 0, &rank, shape, &type, values, &count);
    Extent extents[MAX_RANK];
    for (int k = 0; k < rank; k++)
        extents[k] = extent_fixed(shape[k]);
    *result = value_of_node(e, graph_const(e->g, type, rank, extents, values));
    return true;
}

Value value_stack(Elab *e, Value *parts, int n_parts, Span span)
{
    Value result;
    if (n_parts == 0) {
        diag_error(e->context, span, "an empty list is not a tensor");
        return value_error();
    }
    if (list_constant(e, parts, n_parts, &result)) return result;
    Value *rows = NEW_ARRAY(e->arena, Value, n_parts);
    for (int i = 0; i < n_parts; i++)
        rows[i] = parts[i];
    if (!parts_agree(e, rows, n_parts, -1, span)) return value_error();
    for (int i = 0; i < n_parts; i++) {
        if (rows[i].rank + 1 >= MAX_RANK) {
            diag_error(e->context, span, "a tensor has at most %d axes", MAX_RANK - 1);
            return value_error();
        }
        const Scalar *map[VISIBLE + MAX_RANK] = {NULL};
        for (int k = 0; k < rows[i].rank; k++)
            map[VISIBLE + k] = scalar_iter(e->g, VISIBLE + k + 1);
        rows[i].scalar = scalar_substitute(e->g, rows[i].scalar, map, VISIBLE + MAX_RANK);
        for (int k = rows[i].rank; k > 0; k--)
            rows[i].shape[k] = extent_renumber(e, rows[i].shape[k - 1], map);
        rows[i].shape[0] = extent_fixed(1);
        rows[i].rank++;
        rows[i].max = 0;
    }
    return value_concat(e, rows, n_parts, 0, span);
}

/* --- reductions and reshape -------------------------------------------------------------------------------- */

/* The body as the reduction wants it: sums count truth values, means are real. */
static bool reduce_operand(Elab *e, Reduce reduce, Value *body, Span span)
{
    ElemType type = value_type(body);
    switch (reduce) {
    case REDUCE_ANY:
    case REDUCE_ALL: return value_convert(e, body, TYPE_BOOL, span);
    case REDUCE_MEAN: type = TYPE_REAL; break;
    default: type = type_arithmetic(type, type); break;
    }
    body->scalar = scalar_convert(e->g, body->scalar, type);
    return true;
}

Value value_reduce(Elab *e, Reduce reduce, uint64_t over, const Value *operand,
                   const Scalar *guard, int first_visible, Span span)
{
    Value body = *operand;
    if (!reduce_operand(e, reduce, &body, span)) return value_error();
    uint64_t all = value_context(e, &body) | (guard ? guard->iters : 0) | over;
    uint64_t used = axes_closed(e, all) & ~over;
    if (axes_closed(e, used) & over) {
        diag_error(e->context, span, "this reduces over an axis that the size of another axis depends on");
        diag_hint(e->context, "reduce over the other axis first");
        return value_error();
    }
    Domain d = {.n = 0};
    domain_context(e, &d, used);
    domain_visible(e, &d, &body, 0, first_visible);
    int rank = d.n;
    if (!shape_fits(e, rank, d.iters, span)) return value_error();
    domain_context(e, &d, over);
    domain_visible(e, &d, &body, first_visible, body.rank);
    const Scalar *where = domain_scalar(e, &d, guard);
    const Node *node =
        graph_comp(e->g, reduce, rank, d.n, d.iters, domain_scalar(e, &d, body.scalar), where, span);
    return value_of_hidden(e, node, used);
}

Value value_reshape(Elab *e, const Value *v, int rank, const Extent *shape, Span span)
{
    uint64_t hidden;
    const Node *node = value_node(e, v, &hidden, span);
    int leading = node->rank - v->rank;
    Extent whole[2 * MAX_RANK];
    memcpy(whole, node->shape, sizeof(Extent) * (size_t)leading);
    memcpy(whole + leading, shape, sizeof(Extent) * (size_t)rank);
    if (!shape_fits(e, leading + rank, whole, span)) return value_error();
    return value_of_hidden(e, graph_reshape(e->g, node, leading + rank, whole, span), hidden);
}
