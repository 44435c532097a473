/* elaborate_call.c -- calls: finding the callee, elaborating its body in a frame of its own, handing its
 * results back with the mapped axes in front. */
#include "elaborate.h"

#include <assert.h>

enum { MAX_DEPTH = 200 };

bool eval_args(Elab *e, Frame *f, const AstArgs *args, CallArg **out)
{
    *out = NEW_ARRAY(e->arena, CallArg, args->len + 1);
    bool ok = true;
    for (int i = 0; i < args->len; i++) {
        const AstArg *a = &args->data[i];
        (*out)[i] = (CallArg){a->name, a->name ? a->span : a->value->span, eval_expr(e, f, a->value)};
        if ((*out)[i].value.kind == VALUE_ERROR) ok = false;
    }
    return ok;
}

/* Where a call stands: of a pipe, behind the `|>`. */
static Span call_place(const AstExpr *call)
{
    if (!call->call.piped) return call->span;
    Span span = call->call.callee->span;
    span.end_line = call->span.end_line;
    span.end_col = call->span.end_col;
    return span;
}

/* --- the frame of a call ------------------------------------------------------------------------------------ */

static bool recursion(Elab *e, const Frame *f, const Function *function, Span span)
{
    for (const Frame *at = f; at; at = at->caller)
        if (at->item && at->item == function->item) {
            diag_error(e->context, span, "%s calls itself%s", function->name,
                       at == f ? "" : ", through other functions");
            diag_hint(e->context, "a repetition is a `for` (unrolled) or a `scan`");
            return true;
        }
    if (e->depth > MAX_DEPTH) {
        diag_error(e->context, span, "calls are nested more than %d deep", MAX_DEPTH);
        return true;
    }
    return false;
}

static Name layer_path(Elab *e, const Frame *f, const AstExpr *call)
{
    Name written = call->call.callee->kind == AST_NAME ? call->call.callee->name : "layer";
    StrBuf s = str_new(e->arena);
    str_printf(&s, "%s.%s%d", f->path, written, call_ordinal(e, f->item, call));
    for (int i = 0; i < f->loops.len; i++)
        str_printf(&s, "[%lld]", (long long)f->loops.data[i]);
    return name_of(e->context, str_text(&s));
}

/* The frame in which the callee's body runs, or NULL after an error. */
static Frame *callee_frame(Elab *e, Frame *f, const Function *function, const AstExpr *call)
{
    Frame *callee = frame_new(e, FRAME_BODY, function->scope);
    callee->caller = f;
    callee->function = function;
    callee->item = function->item;
    map_put(&e->reached, function->item, (void *)(uintptr_t)function->item);
    callee->training = f->training;
    callee->in_fit = f->in_fit;
    callee->call_span = call_place(call);
    callee->site = call_site(e, f, call);
    if (function->kind == FUNCTION_LAYER) {
        if (!f->path) {
            diag_error(e->context, call->span,
                       "%s is a layer: only layers and models call layers, for they hold its "
                       "parameters", function->name);
            diag_hint(e->context, "make this body a layer, or define a model and call it");
            return NULL;
        }
        callee->path = layer_path(e, f, call);
        callee->model = f->model;
    } else if (function->kind == FUNCTION_MODEL) {
        callee->path = function->model->model->name;
        callee->model = function->model;
    }
    return callee;
}

/* Remembers the shapes of a model's first call, which fix what its signature leaves open. */
static void model_called(Elab *e, const Frame *callee, ModelInstance *m)
{
    const AstItem *item = m->item;
    if (m->first_args) return;
    m->first_args = NEW_ARRAY(e->arena, Value, item->params.len + 1);
    m->n_first_args = item->params.len;
    for (int i = 0; i < item->params.len; i++) {
        Local *local = local_find(callee, item->params.data[i].name.name);
        if (local) m->first_args[i] = local->value;
    }
}

static int frame_results(Elab *e, Frame *callee, const AstItem *item, Value *out, int max,
                         int first_axis, Span span)
{
    int n = callee->n_results;
    if (callee->refused) return 0;
    if (!callee->returned) {
        if (diag_errors(e->context) == callee->errors)
            diag_error(e->context, item->name.span, "%s returns no value: it has no `return`",
                       item->name.name);
        return 0;
    }
    if (item->results.len && n != item->results.len) {
        diag_error(e->context, item->name.span, "%s returns %d values, but declares %d",
                   item->name.name, n, item->results.len);
        return 0;
    }
    if (n > max && max > 1) {
        diag_error(e->context, span, "%s() gives %d values", item->name.name, n);
        return 0;
    }
    for (int i = 0; i < n && i < max; i++) {
        Value v = callee->results[i];
        if (item->results.len && v.kind != VALUE_ERROR &&
            !result_check(e, callee, item->results.data[i], &v, callee->return_span))
            v = value_error();
        int mapped = e->axes.len;
        out[i] = axes_pop(e, first_axis, &v, span);
        if (i + 1 < n && i + 1 < max) e->axes.len = mapped;
    }
    return n;
}

int library_enter(Elab *e, const Frame *f, const Function *function, Span place)
{
    int outer = graph_call(e->g, 0);
    bool enters = function->scope->library && !f->scope->library;
    graph_call(e->g, enters ? span_call_new(e->context, place, function->name) : outer);
    return outer;
}

int call_function(Elab *e, Frame *f, const Function *function, const AstExpr *call,
                  const CallArg *args, int n_args, Value *out, int max)
{
    if (recursion(e, f, function, call->span)) return 0;
    Frame *callee = callee_frame(e, f, function, call);
    if (!callee) return 0;
    int first = e->axes.len, n = 0, outer = library_enter(e, f, function, callee->call_span);
    e->depth++;
    callee->base = first;
    callee->errors = diag_errors(e->context);
    int before = diag_count(e->context);
    if (params_bind(e, callee, function->item, args, n_args, call->span)) {
        if (function->kind == FUNCTION_MODEL) model_called(e, callee, function->model);
        exec_block(e, callee, &function->item->body);
        n = frame_results(e, callee, function->item, out, max, first, call->span);
    }
    e->depth--;
    e->axes.len = first;
    graph_call(e->g, outer);
    /* A mistake that shows inside the library is the caller's: say so at the call. */
    if (function->scope->library && !f->scope->library)
        diag_reanchor(e->context, before, call->span);
    return n;
}

/* --- calls by kind of callee ----------------------------------------------------------------------------------- */

static int call_plain(Elab *e, const Function *function, const AstExpr *call, const CallArg *args,
                      int n_args, Value *out)
{
    Value values[3];
    int arity = function->kind == FUNCTION_REDUCTION ? n_args : op_table[function->op].arity;
    if (n_args != arity || n_args < 1 || n_args > 3) {
        diag_error(e->context, call->span, "%s() takes %d argument%s, not %d", function->name,
                   arity < 1 ? 1 : arity, arity < 2 ? "" : "s", n_args);
        return 0;
    }
    for (int i = 0; i < n_args; i++) {
        if (args[i].name) {
            diag_error(e->context, args[i].span, "%s() has no parameter `%s`", function->name,
                       args[i].name);
            return 0;
        }
        values[i] = args[i].value;
        if (!value_tensor(e, &values[i], args[i].span)) return 0;
    }
    if (function->kind == FUNCTION_REDUCTION)
        out[0] = fold_value(e, function->reduce, values, n_args, call->span);
    else
        out[0] = value_op(e, function->op, values, n_args, call->span);
    return 1;
}

static int call_fold(Elab *e, Frame *f, const AstExpr *call, Value *out)
{
    static const Reduce reduces[] = {
        [AST_SUM] = REDUCE_SUM, [AST_MEAN] = REDUCE_MEAN, [AST_PROD] = REDUCE_PROD,
        [AST_MAX] = REDUCE_MAX, [AST_MIN] = REDUCE_MIN, [AST_ARGMAX] = REDUCE_ARGMAX,
        [AST_ARGMIN] = REDUCE_ARGMIN, [AST_ANY] = REDUCE_ANY, [AST_ALL] = REDUCE_ALL};
    CallArg *args;
    if (!eval_args(e, f, &call->fold.args, &args)) return 0;
    Function reduction = {.kind = FUNCTION_REDUCTION, .reduce = reduces[call->fold.reduce]};
    reduction.name = reduce_table[reduction.reduce].name;
    return call_plain(e, &reduction, call, args, call->fold.args.len, out);
}

int eval_call(Elab *e, Frame *f, const AstExpr *call, Value *out, int max)
{
    if (call->kind == AST_FOLD) return call_fold(e, f, call, out);
    const AstExpr *callee = call->call.callee;
    Value v = eval_expr(e, f, callee);
    if (v.kind == VALUE_ERROR) return 0;
    if (v.kind != VALUE_FUNCTION) {
        diag_error(e->context, callee->span, "%s is %s and cannot be called", expr_text(e, callee),
                   value_describe(e, &v));
        if (callee->kind == AST_NAME && local_find(f, callee->name) &&
            scope_find(f->scope, callee->name))
            diag_hint(e->context, "the local name hides the function `%s`", callee->name);
        return 0;
    }
    const Function *function = v.function;
    if (function->kind == FUNCTION_BUILTIN) {
        out[0] = function->builtin(e, f, call, &call->call.args);
        return out[0].kind == VALUE_ERROR ? 0 : 1;
    }
    CallArg *args;
    if (!eval_args(e, f, &call->call.args, &args)) return 0;
    int n_args = call->call.args.len;
    switch (function->kind) {
    case FUNCTION_OPERATOR:
    case FUNCTION_CAST:
    case FUNCTION_REDUCTION: return call_plain(e, function, call, args, n_args, out);
    case FUNCTION_MODELS:
        diag_error(e->context, call->span, "%s is an array of %d models", function->name,
                   function->n_members);
        diag_hint(e->context, "say which: %s[0](..)", function->name);
        return 0;
    case FUNCTION_OPTIMIZER:
        diag_error(e->context, call->span, "the optimizer %s stands behind `using`", function->name);
        return 0;
    case FUNCTION_FN:
    case FUNCTION_LAYER:
    case FUNCTION_MODEL:
    case FUNCTION_BUILTIN: break;
    }
    return call_function(e, f, function, call, args, n_args, out, max);
}
