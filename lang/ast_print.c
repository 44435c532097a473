/* ast_print.c -- expressions as text, with as few parentheses as possible.
 *
 * Every operator binds to its left and to its right with a strength (after Pratt). An expression
 * needs parentheses if an operator beside it would pull one of its operands away; prefix operators
 * (-, not, sum[i]) have no left operand to lose, so only what stands to their right counts. */
#include "ast.h"

#include <stdlib.h>

/* Strengths; those of binary operators are strength_left and strength_right. */
enum {
    OPEN = 0, /* nothing beside it */
    PIPE = 2,
    CONDITIONAL = 4,
    NOT = 10,
    REDUCE = 16,
    NEGATE = 20,
    POSTFIX = 30
};

static const char *const op_texts[] = {
    [AST_ADD] = "+",   [AST_SUB] = "-", [AST_MUL] = "*", [AST_DIV] = "/",   [AST_INT_DIV] = "//",
    [AST_MOD] = "%",   [AST_POW] = "^", [AST_EQ] = "==", [AST_NE] = "!=",   [AST_LT] = "<",
    [AST_GT] = ">",    [AST_LE] = "<=", [AST_GE] = ">=", [AST_AND] = "and", [AST_OR] = "or",
    [AST_NOT] = "not", [AST_NEG] = "-"};

static const char *const reduce_texts[] = {
    [AST_SUM] = "sum",       [AST_MEAN] = "mean", [AST_PROD] = "prod",
    [AST_MAX] = "max",       [AST_MIN] = "min",   [AST_ARGMAX] = "argmax",
    [AST_ARGMIN] = "argmin", [AST_ANY] = "any",   [AST_ALL] = "all"};

static const char *const base_texts[] = {
    [AST_REAL] = "real", [AST_INT] = "int", [AST_BASE_BOOL] = "bool", [AST_U8] = "u8"};

const char *ast_op_text(AstOp op)
{
    return op_texts[op];
}

const char *ast_reduce_text(AstReduce reduce)
{
    return reduce_texts[reduce];
}

const char *ast_base_text(AstBase base)
{
    return base_texts[base];
}

/* How strongly an operator holds its left operand. */
static int strength_left(AstOp op)
{
    switch (op) {
    case AST_OR: return 6;
    case AST_AND: return 8;
    case AST_EQ:
    case AST_NE:
    case AST_LT:
    case AST_GT:
    case AST_LE:
    case AST_GE: return 12;
    case AST_ADD:
    case AST_SUB: return 14;
    case AST_MUL:
    case AST_DIV:
    case AST_INT_DIV:
    case AST_MOD: return 18;
    case AST_POW: return 23;
    case AST_NOT: return NOT;
    case AST_NEG: return NEGATE;
    }
    return OPEN;
}

/* Its right operand: more strongly, so that it associates to the left; `^` the other way round. */
static int strength_right(AstOp op)
{
    return op == AST_POW ? 22 : strength_left(op) + (op != AST_NOT && op != AST_NEG);
}

/* What a left operand has to its right; comparisons do not chain. */
static int strength_beside(AstOp op)
{
    return op >= AST_EQ && op <= AST_GE ? strength_right(op) : strength_left(op);
}

static void print(StrBuf *out, const AstExpr *e, int left, int right);

static void print_number(StrBuf *out, double value, bool is_int)
{
    char text[40];
    if (is_int) {
        str_printf(out, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    str_add(out, text);
    if (!strpbrk(text, ".e")) str_add(out, ".0");
}

static void print_string(StrBuf *out, const char *text, size_t len)
{
    static const char special[] = "\n\t\r\\\"", letter[] = "ntr\\\"";
    str_add(out, "\"");
    for (size_t i = 0; i < len; i++) {
        const char *at = text[i] ? strchr(special, text[i]) : NULL;
        if (at)
            str_printf(out, "\\%c", letter[at - special]);
        else if ((unsigned char)text[i] < 32 || text[i] == 127)
            str_printf(out, "\\%03o", (unsigned char)text[i]);
        else
            str_add_n(out, text + i, 1);
    }
    str_add(out, "\"");
}

static void print_args(StrBuf *out, AstArgs args, int first)
{
    str_add(out, "(");
    for (int i = first; i < args.len; i++) {
        if (i > first) str_add(out, ", ");
        if (args.data[i].name) str_printf(out, "%s = ", args.data[i].name);
        print(out, args.data[i].value, OPEN, OPEN);
    }
    str_add(out, ")");
}

static void print_subs(StrBuf *out, AstSubs subs)
{
    str_add(out, "[");
    for (int i = 0; i < subs.len; i++) {
        const AstSub *sub = &subs.data[i];
        if (i) str_add(out, ", ");
        if (sub->index) print(out, sub->index, OPEN, OPEN);
        if (sub->from) print(out, sub->from, OPEN, OPEN);
        if (sub->slice) str_add(out, ":");
        if (sub->to) print(out, sub->to, OPEN, OPEN);
    }
    str_add(out, "]");
}

/* What lies outside: a number or a name, negated or not; anything else stands in parentheses. */
static void print_outside(StrBuf *out, const AstExpr *e)
{
    const AstExpr *leaf = e->kind == AST_UNARY && e->unary.op == AST_NEG ? e->unary.arg : e;
    bool bare = leaf->kind == AST_NUMBER || leaf->kind == AST_NAME;
    str_add(out, bare ? " outside " : " outside (");
    print(out, e, OPEN, OPEN);
    if (!bare) str_add(out, ")");
}

/* A pipe, unless it was not one or cannot be written as one. */
static bool is_pipe(const AstExpr *e)
{
    if (e->kind == AST_FOLD) return e->fold.piped && e->fold.args.len && !e->fold.args.data[0].name;
    return e->kind == AST_CALL && e->call.piped && e->call.args.len && !e->call.args.data[0].name &&
           e->call.callee->kind != AST_CALL && e->call.callee->kind != AST_FOLD;
}

static void print_pipe(StrBuf *out, const AstExpr *e)
{
    AstArgs args = e->kind == AST_FOLD ? e->fold.args : e->call.args;
    print(out, args.data[0].value, OPEN, PIPE);
    str_add(out, " |> ");
    if (e->kind == AST_FOLD)
        str_add(out, reduce_texts[e->fold.reduce]);
    else
        print(out, e->call.callee, POSTFIX, POSTFIX);
    if (args.len > 1) print_args(out, args, 1);
}

static void print_reduce(StrBuf *out, const AstExpr *e, int right)
{
    AstReduce reduce = e->reduce.reduce;
    str_printf(out, "%s[", reduce_texts[reduce]);
    for (int i = 0; i < e->reduce.indices.len; i++) {
        const AstIndex *index = &e->reduce.indices.data[i];
        str_printf(out, "%s%s", i ? ", " : "", index->name);
        if (!index->bound) continue;
        str_add(out, " < ");
        print(out, index->bound, strength_right(AST_LT), strength_right(AST_LT));
    }
    if (e->reduce.where) {
        str_add(out, " where ");
        print(out, e->reduce.where, OPEN, OPEN);
    }
    str_add(out, "] ");
    print(out, e->reduce.body, reduce >= AST_ANY ? NOT : REDUCE, right);
}

/* Whether operators of strength `left` and `right` beside the expression would tear it apart. */
static bool needs_parentheses(const AstExpr *e, int left, int right)
{
    switch (e->kind) {
    case AST_IF: return left > CONDITIONAL || right > CONDITIONAL;
    case AST_UNARY: return left == POSTFIX || strength_right(e->unary.op) <= right;
    case AST_REDUCE:
        return left == POSTFIX || (e->reduce.reduce >= AST_ANY ? NOT : REDUCE) <= right;
    case AST_BINARY:
        return strength_left(e->binary.op) <= left || strength_right(e->binary.op) <= right;
    case AST_CALL:
    case AST_FOLD: return is_pipe(e) && (left > OPEN || right > PIPE);
    case AST_SUBSCRIPT: return e->subscript.outside && right == POSTFIX;
    case AST_REDUCER: return right == POSTFIX;
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_NAME:
    case AST_NEXT:
    case AST_LIST:
    case AST_CAST:
    case AST_MEMBER: return false;
    }
    return false;
}

static void print_bare(StrBuf *out, const AstExpr *e, int left, int right)
{
    switch (e->kind) {
    case AST_NUMBER: print_number(out, e->number.value, e->number.is_int); break;
    case AST_STRING: print_string(out, e->string.text, e->string.len); break;
    case AST_BOOL: str_add(out, e->boolean ? "true" : "false"); break;
    case AST_NAME: str_add(out, e->name); break;
    case AST_NEXT: str_printf(out, "next %s", e->name); break;
    case AST_LIST:
        for (int i = 0; i < e->list.len; i++) {
            str_add(out, i ? ", " : "[");
            print(out, e->list.data[i], OPEN, OPEN);
        }
        str_add(out, "]");
        break;
    case AST_CALL:
        print(out, e->call.callee, POSTFIX, POSTFIX);
        print_args(out, e->call.args, 0);
        break;
    case AST_CAST:
        str_printf(out, "%s(", base_texts[e->cast.base]);
        print(out, e->cast.arg, OPEN, OPEN);
        str_add(out, ")");
        break;
    case AST_FOLD:
        str_add(out, reduce_texts[e->fold.reduce]);
        print_args(out, e->fold.args, 0);
        break;
    case AST_SUBSCRIPT:
        print(out, e->subscript.base, POSTFIX, POSTFIX);
        print_subs(out, e->subscript.subs);
        if (e->subscript.outside) print_outside(out, e->subscript.outside);
        break;
    case AST_MEMBER:
        print(out, e->member.base, POSTFIX, POSTFIX);
        str_printf(out, ".%s", e->member.name.name);
        break;
    case AST_UNARY:
        str_add(out, e->unary.op == AST_NOT ? "not " : "-");
        print(out, e->unary.arg, strength_right(e->unary.op), right);
        break;
    case AST_BINARY:
        print(out, e->binary.lhs, left, strength_beside(e->binary.op));
        str_printf(out, e->binary.op == AST_POW ? "%s" : " %s ", op_texts[e->binary.op]);
        print(out, e->binary.rhs, strength_right(e->binary.op), right);
        break;
    case AST_IF:
        str_add(out, "if ");
        print(out, e->cond.cond, OPEN, OPEN);
        str_add(out, " then ");
        print(out, e->cond.then, OPEN, OPEN);
        str_add(out, " else ");
        print(out, e->cond.otherwise, CONDITIONAL, right);
        break;
    case AST_REDUCE: print_reduce(out, e, right); break;
    case AST_REDUCER:
        str_add(out,
                e->reducer.is_cast ? base_texts[e->reducer.base] : reduce_texts[e->reducer.reduce]);
        break;
    }
}

static void print(StrBuf *out, const AstExpr *e, int left, int right)
{
    if (is_pipe(e) && !needs_parentheses(e, left, right)) {
        print_pipe(out, e);
    } else if (needs_parentheses(e, left, right)) {
        str_add(out, "(");
        print(out, e, OPEN, OPEN);
        str_add(out, ")");
    } else {
        print_bare(out, e, left, right);
    }
}

void ast_expr_print(StrBuf *out, const AstExpr *expr)
{
    print(out, expr, OPEN, OPEN);
}
