/* builtins.c -- the functions that are not written in the language: scalar operators by name, whole-tensor
 * reductions, shapes, draws, data sources. One row each in a table; the scalar ones come from ops.def. */
#include "elaborate.h"

#include <ctype.h>

Value fold_value(Elab *e, Reduce reduce, const Value *args, int n_args, Span span)
{
    if (n_args == 2 && (reduce == REDUCE_MAX || reduce == REDUCE_MIN))
        return value_op(e, reduce == REDUCE_MAX ? OP_MAX : OP_MIN, args, 2, span);
    if (n_args != 1) {
        diag_error(e->context, span, "%s() takes one tensor%s", reduce_table[reduce].name,
                   reduce == REDUCE_MAX || reduce == REDUCE_MIN ? ", or two numbers" : "");
        return value_error();
    }
    bool position = reduce == REDUCE_ARGMAX || reduce == REDUCE_ARGMIN;
    if (position && args[0].rank == 0) {
        diag_error(e->context, span, "%s() takes a vector, not %s", reduce_table[reduce].name,
                   value_describe(e, &args[0]));
        return value_error();
    }
    int first = position ? args[0].rank - 1 : 0;
    Value v = value_reduce(e, reduce, 0, &args[0], NULL, first, span);
    return v;
}

/* --- arguments --------------------------------------------------------------------------------------------- */

/* Evaluates the arguments and checks how many there are; NULL after an error. */
static CallArg *plain_args(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args, int least,
                           int most)
{
    CallArg *out;
    if (!eval_args(e, f, args, &out)) return NULL;
    if (args->len < least || args->len > most) {
        diag_error(e->context, call->span, "%s() takes %d%s argument%s, not %d",
                   call->call.callee->name, least, least == most ? "" : " or more",
                   least == 1 && most == 1 ? "" : "s", args->len);
        return NULL;
    }
    return out;
}

/* --- sizes and shapes ----------------------------------------------------------------------------------------- */

static Value builtin_size(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    CallArg *a = plain_args(e, f, call, args, 1, 2);
    if (!a) return value_error();
    Value v = a[0].value;
    if (v.kind == VALUE_LIST && args->len == 1) return value_int(e, v.n_items);
    if (!value_tensor(e, &v, call->span)) return value_error();
    if (args->len == 2) {
        int64_t k;
        if (!value_is_int(&a[1].value, &k) || k < 0 || k >= v.rank) {
            diag_error(e->context, a[1].span, "%s has axes 0 to %d", value_describe(e, &v),
                       v.rank - 1);
            return value_error();
        }
        if (v.shape[k].size && v.shape[k].size->iters >> VISIBLE) {
            diag_error(e->context, call->span, "axis %lld of %s has a size that differs along an axis before it",
                       (long long)k, value_describe(e, &v));
            diag_hint(e->context, "write a function of one instance, without that axis: it is mapped over it");
            return value_error();
        }
        return value_extent(e, v.shape[k]);
    }
    for (int k = 0; k < v.rank; k++)
        if (v.shape[k].size) {
            diag_error(e->context, call->span, "the size of %s is known at run time only",
                       value_describe(e, &v));
            diag_hint(e->context, "size(x, %d) is the run-time size of that axis", k);
            return value_error();
        }
    int64_t product = shape_max_elements(v.rank, v.shape);
    if (product <= INT32_MAX) return value_int(e, product);
    diag_error(e->context, call->span, "the size of %s does not fit in an int", value_describe(e, &v));
    return value_error();
}

/* The elements of all axes but a leading run-time one; -1 if that is not possible. */
static int64_t fixed_elements(const Value *v)
{
    for (int k = 0; k < v->rank; k++)
        if (v->shape[k].size) return -1;
    return shape_max_elements(v->rank, v->shape);
}

static Value builtin_flatten(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    CallArg *a = plain_args(e, f, call, args, 1, 1);
    if (!a || !value_tensor(e, &a[0].value, a[0].span)) return value_error();
    int64_t n = fixed_elements(&a[0].value);
    if (n < 0) {
        diag_error(e->context, call->span, "%s cannot be flattened: an axis has a run-time size",
                   value_describe(e, &a[0].value));
        diag_hint(e->context, "flatten sees every axis: call it inside a function of fixed rank, "
                              "fn pixels(image: u8[28, 28]) = flatten(image)");
        return value_error();
    }
    Extent shape = extent_fixed(n);
    return value_reshape(e, &a[0].value, 1, &shape, call->span);
}

static Value builtin_reshape(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    CallArg *a = plain_args(e, f, call, args, 2, 2);
    if (!a || !value_tensor(e, &a[0].value, a[0].span)) return value_error();
    const Value *list = &a[1].value;
    Extent shape[MAX_RANK];
    bool ok = list->kind == VALUE_LIST && list->n_items < MAX_RANK;
    for (int k = 0; ok && k < list->n_items; k++) {
        int64_t n;
        ok = value_is_int(&list->items[k], &n) && n >= 0;
        if (ok) shape[k] = extent_fixed(n);
    }
    if (!ok) {
        diag_error(e->context, a[1].span, "reshape takes a tensor and a list of sizes: "
                                          "reshape(x, [4, 3])");
        return value_error();
    }
    int64_t have = fixed_elements(&a[0].value);
    if (have < 0) {
        diag_error(e->context, call->span, "%s cannot be reshaped: an axis has a run-time size",
                   value_describe(e, &a[0].value));
        return value_error();
    }
    int64_t wanted = shape_max_elements(list->n_items, shape);
    if (have != wanted) {
        diag_error(e->context, call->span, "%s does not become %lld elements",
                   value_describe(e, &a[0].value), (long long)wanted);
        return value_error();
    }
    return value_reshape(e, &a[0].value, list->n_items, shape, call->span);
}

static Value builtin_concat(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    CallArg *a;
    if (!eval_args(e, f, args, &a)) return value_error();
    Value *parts = NEW_ARRAY(e->arena, Value, args->len + 1);
    int n = 0;
    int64_t axis = -1;
    for (int i = 0; i < args->len; i++) {
        if (a[i].name && !strcmp(a[i].name, "axis")) {
            if (!value_is_int(&a[i].value, &axis) || axis < 0) {
                diag_error(e->context, a[i].span, "`axis` is a compile-time int, from 0");
                return value_error();
            }
        } else if (a[i].name) {
            diag_error(e->context, a[i].span, "concat() has no parameter `%s`", a[i].name);
            return value_error();
        } else {
            parts[n] = a[i].value;
            if (!value_tensor(e, &parts[n++], a[i].span)) return value_error();
        }
    }
    if (n == 0 || parts[0].rank == 0) {
        diag_error(e->context, call->span, "concat joins tensors along an axis");
        diag_hint(e->context, "[a, b] makes a vector of numbers");
        return value_error();
    }
    if (axis < 0) axis = parts[0].rank - 1;
    if (axis >= parts[0].rank) {
        diag_error(e->context, call->span, "%s has no axis %lld", value_describe(e, &parts[0]),
                   (long long)axis);
        return value_error();
    }
    return value_concat(e, parts, n, (int)axis, call->span);
}

static Value builtin_order(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    CallArg *a = plain_args(e, f, call, args, 1, 1);
    if (!a || !value_tensor(e, &a[0].value, a[0].span)) return value_error();
    if (a[0].value.rank == 0) {
        diag_error(e->context, call->span, "order() takes a vector");
        return value_error();
    }
    uint64_t hidden;
    const Node *node = value_node(e, &a[0].value, &hidden, call->span);
    return value_of_hidden(e, graph_order(e->g, node, call->span), hidden);
}

static Value builtin_sumsq(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    CallArg *a = plain_args(e, f, call, args, 1, 1);
    if (!a) return value_error();
    if (a[0].value.kind != VALUE_FUNCTION || a[0].value.function->kind != FUNCTION_MODEL) {
        diag_error(e->context, a[0].span, "sumsq() takes a model: the sum of squares of its parameters");
        return value_error();
    }
    Name model = a[0].value.function->model->model->name;
    Value total = value_scalar(scalar_real(e->g, 0));
    bool any = false;
    for (int i = 0; i < e->program->persistents.len; i++) {
        const Persistent *p = e->program->persistents.data[i];
        if (p->kind != PERSIST_PARAM || p->model != model) continue;
        Value w = value_of_node(e, persistent_current(e, p));
        Value square = value_op(e, OP_MUL, (Value[]){w, w}, 2, call->span);
        Value sum = value_reduce(e, REDUCE_SUM, 0, &square, NULL, 0, call->span);
        total = value_op(e, OP_ADD, (Value[]){total, sum}, 2, call->span);
        any = true;
    }
    if (!any && diag_errors(e->context)) return value_error(); /* its call may have failed */
    if (!any) {
        diag_error(e->context, call->span, "%s has no parameters yet", model);
        diag_hint(e->context, "call the model before this line");
        return value_error();
    }
    return total;
}

/* --- draws --------------------------------------------------------------------------------------------------------- */

/* Where examples come in chunks: how many draws the place made for the examples of the chunks before, all of which
 * are full. */
static const Scalar *draws_before(Elab *e)
{
    const Scalar *size = elab_batch(e, 1).size;
    uint32_t each = 1; /* positions wrap around */
    bool examples = false;
    for (const Scan *scan = e->scan; scan; scan = scan->outer)
        each *= (uint32_t)scan->extent.max;
    for (int i = 0; i < e->axes.len; i++) {
        bool batch = !examples && e->axes.data[i].extent.size == size;
        examples = examples || batch;
        if (!batch) each *= (uint32_t)e->axes.data[i].extent.max;
    }
    if (!examples) return scalar_int(e->g, 0);
    Leaf leaf = {.kind = LEAF_OFFSET, .name = name_of(e->context, "offset")};
    const Node *offset = graph_leaf(e->g, &leaf, TYPE_INT, 0, NULL);
    return scalar_op2(e->g, OP_MUL, scalar_load(e->g, offset, NULL, NULL, NO_SPAN),
                      scalar_int(e->g, (int32_t)each));
}

static Value draw_value(Elab *e, Frame *f, bool normal, const AstExpr *call)
{
    Span span = call->call.callee->span;
    if (e->constant) {
        diag_error(e->context, span, "%s is known when compiling, and what is drawn at run time only", e->constant);
        diag_hint(e->context, "draw where it is used, or once for all steps, in the initial value of a `state`");
        return value_error();
    }
    const Scalar *position = scan_position(e, e->scan);
    for (int i = 0; i < e->axes.len; i++) {
        const Scalar *extent = scalar_int(e->g, e->axes.data[i].extent.max);
        if (i || e->scan) position = scalar_op2(e->g, OP_MUL, position, extent);
        position = scalar_op2(e->g, OP_ADD, position, scalar_iter(e->g, i));
    }
    if (e->session && e->session->chunks) position = scalar_op2(e->g, OP_ADD, position, draws_before(e));
    const Scalar *run = e->initialising || f->kind == FRAME_DATA || f->kind == FRAME_CONST
                            ? scalar_int(e->g, 0)
                            : scalar_load(e->g, e->step_leaf, NULL, NULL, span);
    return value_scalar(scalar_draw(e->g, call_site(e, f, call), normal, run, position, span));
}

static Value builtin_rand(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    return plain_args(e, f, call, args, 0, 0) ? draw_value(e, f, false, call) : value_error();
}

static Value builtin_randn(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    return plain_args(e, f, call, args, 0, 0) ? draw_value(e, f, true, call) : value_error();
}

/* --- sources --------------------------------------------------------------------------------------------------------- */

static Value builtin_source(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    return source_value(e, f, call->call.callee->name, call, args);
}

static Value builtin_ragged(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args)
{
    CallArg *a = plain_args(e, f, call, args, 3, 3);
    return a ? ragged_value(e, a, call->span) : value_error();
}

static const struct {
    const char *name;
    Builtin builtin;
} builtins[] = {
    {"size", builtin_size},       {"flatten", builtin_flatten},
    {"reshape", builtin_reshape}, {"concat", builtin_concat},
    {"order", builtin_order},     {"sumsq", builtin_sumsq},
    {"rand", builtin_rand},       {"randn", builtin_randn},
    {"grad", eval_grad},          {"idx", builtin_source},
    {"csv", builtin_source},      {"npy", builtin_source},
    {"npz", builtin_source},      {"safetensors", builtin_source},
    {"hdf5", builtin_source},     {"raw", builtin_source},
    {"text", builtin_source},     {"images", builtin_source},
    {"ragged", builtin_ragged},
};

static void define(Elab *e, Scope *scope, Function *function)
{
    Definition *d = NEW(e->arena, Definition);
    *d = (Definition){.name = function->name, .function = function, .scope = scope};
    map_put(&scope->names, function->name, d);
}

void builtins_define(Elab *e, Scope *scope)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
        Function *function =
            function_new(e, FUNCTION_BUILTIN, name_of(e->context, builtins[i].name));
        function->builtin = builtins[i].builtin;
        define(e, scope, function);
    }
    for (int op = 0; op < OP_COUNT; op++) {
        const OpInfo *info = &op_table[op];
        bool word = isalpha((unsigned char)info->name[0]) && info->result != RESULT_LOGIC &&
                    op != OP_SELECT && op != OP_MIN && op != OP_MAX &&
                    info->result < RESULT_TO_REAL;
        if (!word) continue;
        Function *function = function_new(e, FUNCTION_OPERATOR, name_of(e->context, info->name));
        function->op = (Op)op;
        define(e, scope, function);
    }
}
