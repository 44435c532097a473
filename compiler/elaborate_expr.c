/* elaborate_expr.c -- expressions to values: names, operators, choices, lists, members. Calls are in
 * elaborate_call.c, subscripts and reductions in elaborate_index.c. */
#include "elaborate.h"
#include "elaborate_range.h"

#include <math.h>

const char *place_text(Elab *e, Span span, const char *otherwise)
{
    enum { LONGEST = 40 };
    int length;
    const char *text = span_source(e->context, span, &length);
    return text && length <= LONGEST ? arena_printf(e->arena, "%.*s", length, text) : otherwise;
}

const char *quoted_text(Elab *e, Span span)
{
    const char *text = place_text(e, span, NULL);
    return text ? arena_printf(e->arena, "`%s`", text) : "this";
}

const char *expr_text(Elab *e, const AstExpr *x)
{
    return quoted_text(e, x->span);
}

/* --- names --------------------------------------------------------------------------------------------- */

/* The data sets of the train block that have the name, if several do; NULL otherwise. */
static const char *name_in_several(Elab *e, Name name)
{
    StrBuf sets = str_new(e->arena);
    int found = 0;
    for (int d = 0; e->train && d < e->train->data.len; d++) {
        const DataSet *data = e->train->data.data[d];
        const Split *split = &data->splits[SPLIT_TRAIN];
        for (int i = 0; i < split->fields.len; i++)
            if (split->fields.data[i]->name == name)
                str_printf(&sets, "%s%s.%s", found++ ? " or " : "", data->name, name);
    }
    return found > 1 ? str_text(&sets) : NULL;
}

static Value name_error(Elab *e, const Frame *f, AstName name)
{
    const char *several = f->kind == FRAME_TRAIN ? name_in_several(e, name.name) : NULL;
    if (several) {
        diag_error(e->context, name.span, "several data sets have `%s`", name.name);
        diag_hint(e->context, "say which: %s", several);
        return value_error();
    }
    VEC(const char *) words = {0};
    for (int i = 0; i < f->indices.len; i++)
        vec_push(e->arena, &words, f->indices.data[i]->name);
    for (int i = 0; i < f->order.len; i++)
        vec_push(e->arena, &words, f->order.data[i]->name);
    name_unknown(e, f->scope, name, words.data, words.len);
    return value_error();
}

static Value const_value(Elab *e, Definition *d, Span span)
{
    if (d->state == 1) {
        diag_error(e->context, span, "the constant `%s` depends on itself", d->name);
        return value_error();
    }
    if (d->state == 0) {
        const char *outer = e->constant;
        d->state = 1;
        e->constant = arena_printf(e->arena, "the constant `%s`", d->name);
        if (d->scope != e->main || !setting_override(e, d->name, &d->value)) {
            Frame *frame = frame_new(e, FRAME_CONST, d->scope);
            Scan *scan = e->scan;
            e->scan = NULL;
            d->value = eval_expr(e, frame, d->item->value);
            e->scan = scan;
        }
        if (d->value.kind == VALUE_TENSOR)
            d->value = value_settle(e, &d->value, d->name, d->span);
        e->constant = outer;
        d->state = 2;
    }
    return d->value;
}

static Value definition_value(Elab *e, Definition *d, Span span)
{
    if (d->function) return (Value){.kind = VALUE_FUNCTION, .function = d->function};
    if (d->data) return (Value){.kind = VALUE_DATA, .data = d->data};
    if (d->item && d->item->kind == AST_CONST) return const_value(e, d, span);
    if (d->value.kind != VALUE_ERROR) return d->value;
    diag_error(e->context, span, "`%s` is not a value", d->name);
    return value_error();
}

/* Names that mean something in some places only. */
static bool special_name(Elab *e, Frame *f, AstName name, Value *out)
{
    if (!strcmp(name.name, "pi")) {
        *out = value_scalar(scalar_real(e->g, 3.14159265358979323846));
    } else if (!strcmp(name.name, "inf")) {
        *out = value_scalar(scalar_real(e->g, INFINITY));
    } else if (!strcmp(name.name, "training")) {
        *out = value_bool(e, f->training);
    } else if (f->kind == FRAME_TRAIN && !strcmp(name.name, "step")) {
        *out = value_of_node(e, e->step_leaf);
    } else if (f->kind == FRAME_TRAIN && !strcmp(name.name, "epoch")) {
        if (e->train && e->train->fed) {
            diag_error(e->context, name.span, "there are no epochs: a host program feeds %s step by step",
                       e->train->fed->name);
            diag_hint(e->context, "`step` is the number of the step");
        }
        *out = value_of_node(e, e->epoch_leaf);
    } else if (f->kind == FRAME_TRAIN && !strcmp(name.name, "batch") && e->train) {
        *out = value_extent(e, elab_batch(e, e->train->batch));
    } else {
        return false;
    }
    return true;
}

static Value eval_name(Elab *e, Frame *f, AstName name)
{
    IndexVar *index = index_find(f, name.name);
    if (index) return value_scalar(scalar_iter(e->g, index->axis));
    Local *local = local_find(f, name.name);
    if (local && local->bound) return local->value;
    if (scan_yields(e, f, name.name)) {
        diag_error(e->context, name.span, "`%s` is yielded by this scan, and can be read behind it only",
                   name.name);
        diag_hint(e->context, "in the body give the value a name of its own, and yield that");
        return value_error();
    }
    if (local) {
        diag_error(e->context, name.span,
                   "`%s` has no value here: it is bound in one branch or loop only", name.name);
        return value_error();
    }
    Value value;
    const Definition *d = f->scope ? scope_find(f->scope, name.name) : NULL;
    if (d) return definition_value(e, (Definition *)(uintptr_t)d, name.span);
    if (special_name(e, f, name, &value)) return value;
    return name_error(e, f, name);
}

static Value eval_next(Elab *e, Frame *f, AstName name)
{
    if (f->kind == FRAME_OPTIMIZER && !strcmp(name.name, "p") && f->has_next_parameter)
        return f->next_parameter;
    const Carried *carried = scan_carried(e, f, name.name);
    if (carried && carried->has_next) return carried->next;
    if (carried) {
        diag_error(e->context, name.span, "`next %s` is read before it is set", name.name);
        return value_error();
    }
    Local *local = local_find(f, name.name);
    if (local && local->has_next) return local->next;
    if (local && local->state)
        diag_error(e->context, name.span, "`next %s` is read before it is set", name.name);
    else
        diag_error(e->context, name.span, "`%s` is not a state of this body", name.name);
    return value_error();
}

/* --- members: data.field, Model.layer1.w ------------------------------------------------------------------ */

/* The path that a chain of members and constant subscripts spells, or NULL. */
static const char *member_path(Elab *e, Frame *f, const AstExpr *x)
{
    if (x->kind == AST_NAME) return x->name;
    if (x->kind == AST_MEMBER) {
        const char *base = member_path(e, f, x->member.base);
        return base ? arena_printf(e->arena, "%s.%s", base, x->member.name.name) : NULL;
    }
    if (x->kind == AST_SUBSCRIPT && x->subscript.subs.len == 1 &&
        !x->subscript.subs.data[0].slice) {
        const char *base = member_path(e, f, x->subscript.base);
        int64_t k;
        if (!base || !eval_int(e, f, x->subscript.subs.data[0].index, "this index", &k)) return NULL;
        return arena_printf(e->arena, "%s[%lld]", base, (long long)k);
    }
    return NULL;
}

static Value eval_field(Elab *e, const DataSet *data, AstName name)
{
    const Split *split = &data->splits[SPLIT_TRAIN];
    for (int i = 0; i < split->fields.len; i++)
        if (split->fields.data[i]->name == name.name && split->fields.data[i]->leaf)
            return value_of_node(e, split->fields.data[i]->leaf);
    diag_error(e->context, name.span, "the data set %s has no `%s`", data->name, name.name);
    return value_error();
}

/* The model that a chain of members and subscripts begins with, or NULL. */
static const Function *member_model(Elab *e, Frame *f, const AstExpr *x)
{
    const AstExpr *element = NULL; /* Net[2], of an array of models */
    while (x->kind == AST_MEMBER || x->kind == AST_SUBSCRIPT) {
        element = x->kind == AST_SUBSCRIPT ? x : NULL;
        x = x->kind == AST_SUBSCRIPT ? x->subscript.base : x->member.base;
    }
    Value v = x->kind == AST_NAME ? eval_name(e, f, (AstName){x->name, x->span}) : value_error();
    if (v.kind == VALUE_FUNCTION && v.function->kind == FUNCTION_MODELS && element) v = eval_subscript(e, f, element);
    return v.kind == VALUE_FUNCTION && v.function->kind == FUNCTION_MODEL ? v.function : NULL;
}

/* Makes the parameters of the model that a chain of members begins with, if they can be there. */
static void members_declare(Elab *e, Frame *f, const AstExpr *x)
{
    const Function *model = member_model(e, f, x);
    if (model) model_declare(e, model);
}

static Persistent *member_persistent(Elab *e, Frame *f, const AstExpr *x, const char *path)
{
    members_declare(e, f, x);
    return map_get(&e->persistents, name_of(e->context, path));
}

const Node *member_parameter(Elab *e, Frame *f, const AstExpr *x)
{
    const char *path = member_path(e, f, x);
    Persistent *p = path ? member_persistent(e, f, x, path) : NULL;
    return p && p->kind == PERSIST_PARAM ? persistent_current(e, p) : NULL;
}

Value eval_member(Elab *e, Frame *f, const AstExpr *x)
{
    if (x->member.base->kind == AST_NAME) {
        Value base = eval_name(e, f, (AstName){x->member.base->name, x->member.base->span});
        if (base.kind == VALUE_ERROR) return base;
        if (base.kind == VALUE_DATA) return eval_field(e, base.data, x->member.name);
    }
    int errors = diag_errors(e->context);
    const char *path = member_path(e, f, x);
    if (!path) {
        if (diag_errors(e->context) == errors)
            diag_error(e->context, x->span, "this has no members");
        return value_error();
    }
    Persistent *p = member_persistent(e, f, x, path);
    if (p) return value_of_node(e, persistent_current(e, p));
    if (diag_errors(e->context) > errors) return value_error();
    diag_error(e->context, x->span, "there is no parameter `%s`", path);
    VEC(const char *) paths = {0};
    for (int i = 0; i < e->program->persistents.len; i++)
        vec_push(e->arena, &paths, e->program->persistents.data[i]->path);
    const char *near = suggest(path, paths.data, paths.len);
    if (near) diag_hint(e->context, "did you mean `%s`?", near);
    else diag_hint(e->context, "a model whose sizes its signature leaves open has parameters from its first call on");
    return value_error();
}

bool eval_round_member(Elab *e, Frame *f, const AstExpr *x, Value *out)
{
    const AstSubs *subs = &x->subscript.subs;
    const AstExpr *base = x->subscript.base;
    while (base->kind == AST_SUBSCRIPT)
        base = base->subscript.base;
    if (base->kind != AST_MEMBER || subs->len != 1 || subs->data[0].slice || expr_mentions_index(f, x)) return false;
    int errors = diag_errors(e->context);
    const Function *model = member_model(e, f, base);
    *out = value_error();
    if (diag_errors(e->context) > errors) return true;
    Value k = model ? eval_expr(e, f, subs->data[0].index) : value_error();
    int64_t number;
    if (diag_errors(e->context) > errors) return true;
    if (k.kind != VALUE_TENSOR || !value_is_int(&k, &number)) return false;
    const char *path = member_path(e, f, x);
    members_declare(e, f, base);
    Persistent *p = path ? map_get(&e->persistents, name_of(e->context, path)) : NULL;
    if (p) *out = value_of_node(e, persistent_current(e, p));
    return p || diag_errors(e->context) > errors;
}

/* --- operators ---------------------------------------------------------------------------------------------- */

static Value op2(Elab *e, Op op, Value a, Value b, Span span)
{
    return value_op(e, op, (Value[]){a, b}, 2, span);
}

static Value op1(Elab *e, Op op, Value a, Span span)
{
    return value_op(e, op, &a, 1, span);
}

/* Equality of what is known when compiling and is no number: strings, functions. */
static bool constant_equal(const Value *a, const Value *b, bool *equal)
{
    if (a->kind == VALUE_STRING && b->kind == VALUE_STRING) *equal = !strcmp(a->text, b->text);
    else if (a->kind == VALUE_FUNCTION && b->kind == VALUE_FUNCTION)
        *equal = a->function == b->function;
    else return false;
    return true;
}

static Value arithmetic(Elab *e, Op op, Value a, Value b, Span span)
{
    if (!value_tensor(e, &a, span) || !value_tensor(e, &b, span)) return value_error();
    Value args[2] = {a, b};
    for (int i = 0; i < 2; i++)
        if (value_type(&args[i]) < TYPE_INT)
            args[i].scalar = scalar_convert(e->g, args[i].scalar, TYPE_INT);
    bool divides = (op == OP_IDIV || op == OP_MOD) && value_type(&b) <= TYPE_INT;
    if (divides && b.scalar->kind != SCALAR_CONST)
        args[1].scalar = choice_guard(e, args[1].scalar, 1);
    return value_op(e, op, args, 2, span);
}

static Value eval_binary(Elab *e, Frame *f, const AstExpr *x)
{
    AstOp op = x->binary.op;
    Value a = eval_expr(e, f, x->binary.lhs);
    if (op == AST_AND || op == AST_OR) {
        /* What is decided when compiling is not elaborated further. */
        if (value_is_number(&a) && value_type(&a) == TYPE_BOOL &&
            (a.scalar->value != 0) == (op == AST_OR))
            return a;
    }
    Value b = eval_expr(e, f, x->binary.rhs);
    if (a.kind == VALUE_ERROR || b.kind == VALUE_ERROR) return value_error();
    bool equal;
    if ((op == AST_EQ || op == AST_NE) && constant_equal(&a, &b, &equal))
        return value_bool(e, equal == (op == AST_EQ));
    Span span = x->span;
    switch (op) {
    case AST_ADD: return arithmetic(e, OP_ADD, a, b, span);
    case AST_SUB: return arithmetic(e, OP_SUB, a, b, span);
    case AST_MUL: return arithmetic(e, OP_MUL, a, b, span);
    case AST_DIV: return op2(e, OP_DIV, a, b, span);
    case AST_INT_DIV: return arithmetic(e, OP_IDIV, a, b, span);
    case AST_MOD: return arithmetic(e, OP_MOD, a, b, span);
    case AST_POW: return arithmetic(e, OP_POW, a, b, span);
    case AST_EQ: return op2(e, OP_EQ, a, b, span);
    case AST_NE: {
        Value v = op2(e, OP_EQ, a, b, span);
        return v.kind == VALUE_ERROR ? v : op1(e, OP_NOT, v, span);
    }
    case AST_LT: return op2(e, OP_LT, a, b, span);
    case AST_GT: return op2(e, OP_LT, b, a, span);
    case AST_LE: return op2(e, OP_LE, a, b, span);
    case AST_GE: return op2(e, OP_LE, b, a, span);
    case AST_AND: return op2(e, OP_AND, a, b, span);
    case AST_OR: return op2(e, OP_OR, a, b, span);
    case AST_NOT:
    case AST_NEG: break;
    }
    return value_error();
}

static Value eval_unary(Elab *e, Frame *f, const AstExpr *x)
{
    Value a = eval_expr(e, f, x->unary.arg);
    if (!value_tensor(e, &a, x->span)) return value_error();
    if (x->unary.op == AST_NOT) return op1(e, OP_NOT, a, x->span);
    if (value_type(&a) < TYPE_INT) a.scalar = scalar_convert(e->g, a.scalar, TYPE_INT);
    return op1(e, OP_NEG, a, x->span);
}

static Value eval_if(Elab *e, Frame *f, const AstExpr *x)
{
    Value cond = eval_expr(e, f, x->cond.cond);
    if (cond.kind == VALUE_ERROR || !value_convert(e, &cond, TYPE_BOOL, x->cond.cond->span))
        return value_error();
    if (value_is_number(&cond))
        return eval_expr(e, f, cond.scalar->value != 0 ? x->cond.then : x->cond.otherwise);
    const Scalar *around = choice_enter(e, &cond, true);
    Value then = eval_expr(e, f, x->cond.then);
    e->taken = around;
    choice_enter(e, &cond, false);
    Value otherwise = eval_expr(e, f, x->cond.otherwise);
    e->taken = around;
    if (then.kind == VALUE_ERROR || otherwise.kind == VALUE_ERROR) return value_error();
    return value_choose(e, &cond, &then, &otherwise, x->span);
}

static Value eval_cast(Elab *e, Frame *f, const AstExpr *x)
{
    static const Op ops[] = {[AST_REAL] = OP_TO_REAL, [AST_INT] = OP_TO_INT,
                             [AST_BASE_BOOL] = OP_TO_BOOL, [AST_U8] = OP_TO_U8};
    Value v = eval_expr(e, f, x->cast.arg);
    if (!value_tensor(e, &v, x->span)) return value_error();
    return op1(e, ops[x->cast.base], v, x->span);
}

static Value eval_list(Elab *e, Frame *f, const AstExpr *x)
{
    Value v = {.kind = VALUE_LIST, .n_items = x->list.len};
    v.items = NEW_ARRAY(e->arena, Value, x->list.len);
    bool constant = true;
    for (int i = 0; i < x->list.len; i++) {
        v.items[i] = eval_expr(e, f, x->list.data[i]);
        if (v.items[i].kind == VALUE_ERROR) return value_error();
        constant = constant && (v.items[i].kind != VALUE_TENSOR || value_is_number(&v.items[i]));
    }
    return constant ? v : value_stack(e, v.items, v.n_items, x->span);
}

static Value eval_reducer(Elab *e, const AstExpr *x)
{
    static const Reduce reduces[] = {
        [AST_SUM] = REDUCE_SUM, [AST_MEAN] = REDUCE_MEAN, [AST_PROD] = REDUCE_PROD,
        [AST_MAX] = REDUCE_MAX, [AST_MIN] = REDUCE_MIN, [AST_ARGMAX] = REDUCE_ARGMAX,
        [AST_ARGMIN] = REDUCE_ARGMIN, [AST_ANY] = REDUCE_ANY, [AST_ALL] = REDUCE_ALL};
    static const Op casts[] = {[AST_REAL] = OP_TO_REAL, [AST_INT] = OP_TO_INT,
                               [AST_BASE_BOOL] = OP_TO_BOOL, [AST_U8] = OP_TO_U8};
    Function *function;
    if (x->reducer.is_cast) {
        Op op = casts[x->reducer.base];
        function = function_new(e, FUNCTION_CAST, name_of(e->context, op_table[op].name));
        function->op = op;
    } else {
        Reduce reduce = reduces[x->reducer.reduce];
        function = function_new(e, FUNCTION_REDUCTION,
                                name_of(e->context, reduce_table[reduce].name));
        function->reduce = reduce;
    }
    return (Value){.kind = VALUE_FUNCTION, .function = function};
}

Value eval_expr(Elab *e, Frame *f, const AstExpr *x)
{
    if (!x) return value_error();
    switch (x->kind) {
    case AST_NUMBER:
        if (x->number.is_int && fabs(x->number.value) > 2147483647.0) {
            diag_error(e->context, x->span, "this int does not fit in 32 bits");
            diag_hint(e->context, "write it with a point to make it a real");
            return value_error();
        }
        return value_scalar(scalar_const(e->g, x->number.is_int ? TYPE_INT : TYPE_REAL,
                                         x->number.value));
    case AST_STRING: return (Value){.kind = VALUE_STRING, .text = x->string.text};
    case AST_BOOL: return value_bool(e, x->boolean);
    case AST_NAME: return eval_name(e, f, (AstName){x->name, x->span});
    case AST_NEXT: return eval_next(e, f, (AstName){x->name, x->span});
    case AST_LIST: return eval_list(e, f, x);
    case AST_CALL:
    case AST_FOLD: {
        Value out;
        int n = eval_call(e, f, x, &out, 1);
        if (n == 1) return out;
        if (n > 1) {
            diag_error(e->context, x->span, "%s gives %d values, one is wanted here",
                       expr_text(e, x), n);
            diag_hint(e->context, "bind them first: a, b = %s", expr_text(e, x));
        }
        return value_error();
    }
    case AST_CAST: return eval_cast(e, f, x);
    case AST_SUBSCRIPT: return eval_subscript(e, f, x);
    case AST_MEMBER: return eval_member(e, f, x);
    case AST_UNARY: return eval_unary(e, f, x);
    case AST_BINARY: return eval_binary(e, f, x);
    case AST_IF: return eval_if(e, f, x);
    case AST_REDUCE: return eval_reduce(e, f, x);
    case AST_REDUCER: return eval_reducer(e, x);
    }
    return value_error();
}

int eval_results(Elab *e, Frame *f, const AstExpr *x, Value *out, int max)
{
    if (x && (x->kind == AST_CALL || x->kind == AST_FOLD)) return eval_call(e, f, x, out, max);
    out[0] = eval_expr(e, f, x);
    return 1;
}

bool eval_int(Elab *e, Frame *f, const AstExpr *x, const char *what, int64_t *out)
{
    Value v = eval_expr(e, f, x);
    if (v.kind == VALUE_ERROR) return false;
    if (value_is_int(&v, out)) return true;
    if (value_is_number(&v) && v.scalar->type == TYPE_REAL)
        diag_error(e->context, x->span, "%s is an int, not %s", what, value_describe(e, &v));
    else
        diag_error(e->context, x->span, "%s must be known when compiling; %s is %s", what,
                   expr_text(e, x), value_describe(e, &v));
    return false;
}
