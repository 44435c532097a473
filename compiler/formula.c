/* formula.c -- text of derivative formulas and rules, instantiated with scalars for its names.
 *
 * The text is an expression of the language over scalars: numbers, names, operators, comparisons,
 * `if`, and the functions of ops.def. It is parsed once per graph. Types follow the language: ints
 * meet reals as reals, so that `g * 2` of a real g multiplies by 2.0. The texts are the compiler's
 * own tables: a mistake in one is our bug, and stops here. */
#include "formula.h"

#include <assert.h>
#include <math.h>

typedef struct Formula {
    Graph *g;
    const char *const *names;
    const Scalar *const *values;
    int n_names;
} Formula;

const AstExpr *formula_parse(Graph *g, const char *text)
{
    const AstExpr *expr = map_get(graph_cache(g), text);
    if (expr) return expr;
    Context *context = graph_context(g);
    expr = parse_expr(context, source_add(context, "formula", text, strlen(text), true));
    assert(expr && "a formula of the compiler's tables does not parse");
    map_put(graph_cache(g), text, (void *)(uintptr_t)expr);
    return expr;
}

static const Scalar *build(Formula *f, const AstExpr *e);

static const Scalar *build_name(Formula *f, Name name)
{
    for (int i = 0; i < f->n_names; i++)
        if (strcmp(f->names[i], name) == 0) {
            assert(f->values[i] && "a formula uses a name without a value");
            return f->values[i];
        }
    if (strcmp(name, "pi") == 0) return scalar_real(f->g, 3.14159265358979323846);
    if (strcmp(name, "inf") == 0) return scalar_real(f->g, INFINITY);
    assert(!"unknown name in a formula");
    return NULL;
}

/* Brings two operands to the type that both convert to; at least int where `number`. */
static void unify(Graph *g, const Scalar **a, const Scalar **b, bool number)
{
    ElemType type = (*a)->type > (*b)->type ? (*a)->type : (*b)->type;
    if (number && type < TYPE_INT) type = TYPE_INT;
    *a = scalar_convert(g, *a, type);
    *b = scalar_convert(g, *b, type);
}

static const Scalar *build_op(Graph *g, Op op, const Scalar **args)
{
    const OpInfo *info = &op_table[op];
    switch (info->result) {
    case RESULT_SAME:
        if (info->arity == 2)
            unify(g, &args[0], &args[1], true);
        else if (args[0]->type < TYPE_INT)
            args[0] = scalar_convert(g, args[0], TYPE_INT);
        break;
    case RESULT_REAL:
        for (int i = 0; i < info->arity; i++)
            args[i] = scalar_convert(g, args[i], TYPE_REAL);
        break;
    case RESULT_BOOL: unify(g, &args[0], &args[1], false); break;
    case RESULT_PICK: unify(g, &args[1], &args[2], false); break;
    case RESULT_LOGIC:
    case RESULT_TO_REAL:
    case RESULT_TO_INT:
    case RESULT_TO_BOOL:
    case RESULT_TO_U8: break;
    }
    return scalar_op(g, op, args, NO_SPAN);
}

static const Scalar *build_binary(Formula *f, const AstExpr *e)
{
    static const Op plain[] = {
        [AST_ADD] = OP_ADD,      [AST_SUB] = OP_SUB, [AST_MUL] = OP_MUL, [AST_DIV] = OP_DIV,
        [AST_INT_DIV] = OP_IDIV, [AST_MOD] = OP_MOD, [AST_POW] = OP_POW, [AST_EQ] = OP_EQ,
        [AST_NE] = OP_EQ,        [AST_LT] = OP_LT,   [AST_GT] = OP_LT,   [AST_LE] = OP_LE,
        [AST_GE] = OP_LE,        [AST_AND] = OP_AND, [AST_OR] = OP_OR};
    AstOp op = e->binary.op;
    bool swap = op == AST_GT || op == AST_GE;
    const Scalar *lhs = build(f, e->binary.lhs), *rhs = build(f, e->binary.rhs);
    const Scalar *args[2] = {swap ? rhs : lhs, swap ? lhs : rhs};
    assert((size_t)op < sizeof plain / sizeof *plain);
    const Scalar *result = build_op(f->g, plain[op], args);
    return op == AST_NE ? scalar_op1(f->g, OP_NOT, result) : result;
}

static const Scalar *build_call(Formula *f, const char *name, const AstArgs *arguments)
{
    int op = op_find(name);
    assert(op >= 0 && arguments->len == op_table[op].arity && "unknown function in a formula");
    const Scalar *args[3];
    for (int i = 0; i < arguments->len; i++)
        args[i] = build(f, arguments->data[i].value);
    return build_op(f->g, (Op)op, args);
}

static const Scalar *build(Formula *f, const AstExpr *e)
{
    static const Op cast[] = {[AST_REAL] = OP_TO_REAL,
                              [AST_INT] = OP_TO_INT,
                              [AST_BASE_BOOL] = OP_TO_BOOL,
                              [AST_U8] = OP_TO_U8};
    const Scalar *args[3];
    switch ((int)e->kind) {
    case AST_NUMBER:
        return scalar_const(f->g, e->number.is_int ? TYPE_INT : TYPE_REAL, e->number.value);
    case AST_BOOL: return scalar_bool(f->g, e->boolean);
    case AST_NAME: return build_name(f, e->name);
    case AST_CALL:
        assert(e->call.callee->kind == AST_NAME);
        return build_call(f, e->call.callee->name, &e->call.args);
    case AST_FOLD: return build_call(f, ast_reduce_text(e->fold.reduce), &e->fold.args);
    case AST_CAST: args[0] = build(f, e->cast.arg); return build_op(f->g, cast[e->cast.base], args);
    case AST_UNARY:
        args[0] = build(f, e->unary.arg);
        return build_op(f->g, e->unary.op == AST_NOT ? OP_NOT : OP_NEG, args);
    case AST_BINARY: return build_binary(f, e);
    case AST_IF:
        args[0] = build(f, e->cond.cond);
        if (args[0]->kind == SCALAR_CONST)
            return build(f, args[0]->value != 0 ? e->cond.then : e->cond.otherwise);
        args[1] = build(f, e->cond.then);
        args[2] = build(f, e->cond.otherwise);
        return build_op(f->g, OP_SELECT, args);
    }
    assert(!"a formula may only contain scalar expressions");
    return NULL;
}

const Scalar *formula_instantiate(Graph *g, const AstExpr *expr, const char *const *names,
                                  const Scalar *const *values, int n_names)
{
    Formula f = {.g = g, .names = names, .values = values, .n_names = n_names};
    return build(&f, expr);
}

const Scalar *formula_build(Graph *g, const char *text, const char *const *names,
                            const Scalar *const *values, int n_names)
{
    return formula_instantiate(g, formula_parse(g, text), names, values, n_names);
}

const Scalar *op_derivative(Graph *graph, const Scalar *op, int k, const Scalar *out,
                            const Scalar *g)
{
    static const char *const names[] = {"x", "y", "z", "out", "g"};
    const Scalar *values[] = {NULL, NULL, NULL, out, g};
    const char *formula = op_table[op->op].grad[k];
    if (!formula) return NULL;
    for (int i = 0; i < op->n_args; i++)
        values[i] = op->args[i];
    return scalar_convert(graph, formula_build(graph, formula, names, values, 5), TYPE_REAL);
}
