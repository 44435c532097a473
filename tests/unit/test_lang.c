/* test_lang.c -- expressions: their trees (by a printer of its own that writes every parenthesis,
 * so that the one under test is not its own judge), what is none, and that what is printed reads
 * back. */
#include "ast.h"
#include "unit.h"

/* --- trees as text -------------------------------------------------------------------------------
 */

static void tree(StrBuf *out, const AstExpr *e);

static void tree_args(StrBuf *out, AstArgs args)
{
    for (int i = 0; i < args.len; i++) {
        str_add(out, " ");
        if (args.data[i].name) str_printf(out, "%s=", args.data[i].name);
        tree(out, args.data[i].value);
    }
}

static void tree_subs(StrBuf *out, AstSubs subs)
{
    for (int i = 0; i < subs.len; i++) {
        const AstSub *sub = &subs.data[i];
        str_add(out, " ");
        if (sub->index) tree(out, sub->index);
        if (sub->from) tree(out, sub->from);
        if (sub->slice) str_add(out, ":");
        if (sub->to) tree(out, sub->to);
    }
}

static void tree_reduce(StrBuf *out, const AstExpr *e)
{
    str_printf(out, "(%s[", ast_reduce_text(e->reduce.reduce));
    for (int i = 0; i < e->reduce.indices.len; i++) {
        str_printf(out, "%s%s", i ? " " : "", e->reduce.indices.data[i].name);
        if (!e->reduce.indices.data[i].bound) continue;
        str_add(out, "<");
        tree(out, e->reduce.indices.data[i].bound);
    }
    if (e->reduce.where) {
        str_add(out, " where ");
        tree(out, e->reduce.where);
    }
    str_add(out, "] ");
    tree(out, e->reduce.body);
    str_add(out, ")");
}

/* Writes an expression without operands, or a reduction; false if it is neither. */
static bool tree_leaf(StrBuf *out, const AstExpr *e)
{
    switch (e->kind) {
    case AST_NUMBER:
        str_printf(out, e->number.is_int ? "%.0f" : "%.17gr", e->number.value);
        return true;
    case AST_STRING: str_printf(out, "'%.*s'", (int)e->string.len, e->string.text); return true;
    case AST_BOOL: str_add(out, e->boolean ? "true" : "false"); return true;
    case AST_NAME: str_add(out, e->name); return true;
    case AST_NEXT: str_printf(out, "next:%s", e->name); return true;
    case AST_REDUCER:
        str_printf(out, "`%s",
                   e->reducer.is_cast ? ast_base_text(e->reducer.base)
                                      : ast_reduce_text(e->reducer.reduce));
        return true;
    case AST_REDUCE: tree_reduce(out, e); return true;
    default: return false;
    }
}

/* Everything in prefix form: (+ a (* b c)), (f x k=1), (pipe f x), (at x i : outside 0). */
static void tree(StrBuf *out, const AstExpr *e)
{
    if (tree_leaf(out, e)) return;
    str_add(out, "(");
    switch (e->kind) {
    case AST_LIST:
        str_add(out, "list");
        for (int i = 0; i < e->list.len; i++) {
            str_add(out, " ");
            tree(out, e->list.data[i]);
        }
        break;
    case AST_CALL:
        if (e->call.piped) str_add(out, "pipe ");
        tree(out, e->call.callee);
        tree_args(out, e->call.args);
        break;
    case AST_CAST:
        str_printf(out, "%s ", ast_base_text(e->cast.base));
        tree(out, e->cast.arg);
        break;
    case AST_FOLD:
        str_printf(out, "%s%s", e->fold.piped ? "pipe " : "", ast_reduce_text(e->fold.reduce));
        tree_args(out, e->fold.args);
        break;
    case AST_SUBSCRIPT:
        str_add(out, "at ");
        tree(out, e->subscript.base);
        tree_subs(out, e->subscript.subs);
        if (!e->subscript.outside) break;
        str_add(out, " outside ");
        tree(out, e->subscript.outside);
        break;
    case AST_MEMBER:
        tree(out, e->member.base);
        str_printf(out, " . %s", e->member.name.name);
        break;
    case AST_UNARY:
        str_printf(out, "%s ", ast_op_text(e->unary.op));
        tree(out, e->unary.arg);
        break;
    case AST_BINARY:
        str_printf(out, "%s ", ast_op_text(e->binary.op));
        tree(out, e->binary.lhs);
        str_add(out, " ");
        tree(out, e->binary.rhs);
        break;
    case AST_IF:
        str_add(out, "if ");
        tree(out, e->cond.cond);
        str_add(out, " ");
        tree(out, e->cond.then);
        str_add(out, " ");
        tree(out, e->cond.otherwise);
        break;
    default: CU_FAIL("a leaf here"); break;
    }
    str_add(out, ")");
}

static const char *tree_text(Context *context, const AstExpr *e)
{
    StrBuf out = str_new(context_arena(context));
    if (e)
        tree(&out, e);
    else
        str_add(&out, "error");
    return str_text(&out);
}

static const Source *source_of(Context *context, const char *text)
{
    if (!source_get(context, 1)) source_add(context, "none", "", 0, false);
    return source_add(context, "test.nnd", text, strlen(text), false);
}

static AstExpr *expr_of(Context *context, const char *text)
{
    return parse_expr(context, source_of(context, text));
}

/* --- expressions ----------------------------------------------------------------------------- */

static const struct {
    const char *text, *tree;
} expressions[] = {
    /* operators, from weak to strong */
    {"a or b and c", "(or a (and b c))"},
    {"a and b or c and d", "(or (and a b) (and c d))"},
    {"not a and b", "(and (not a) b)"},
    {"not a == b", "(not (== a b))"},
    {"not not a", "(not (not a))"},
    {"a == not b", "(== a (not b))"},
    {"a < b + c", "(< a (+ b c))"},
    {"a + b >= c and d != e", "(and (>= (+ a b) c) (!= d e))"},
    {"a - b - c", "(- (- a b) c)"},
    {"a - b + c", "(+ (- a b) c)"},
    {"a + b * c", "(+ a (* b c))"},
    {"a * b / c // d % e", "(% (// (/ (* a b) c) d) e)"},
    {"-a * b", "(* (- a) b)"},
    {"a * -b", "(* a (- b))"},
    {"-a ^ b", "(- (^ a b))"},
    {"a ^ -b", "(^ a (- b))"},
    {"a ^ b ^ c", "(^ a (^ b c))"},
    {"a ^ -b ^ c", "(^ a (- (^ b c)))"},
    {"--a", "(- (- a))"},
    {"a--b", "(- a (- b))"},
    {"(a + b) * c", "(* (+ a b) c)"},
    {"1 - beta1^t", "(- 1 (^ beta1 t))"},
    {"2*i + p - 1", "(- (+ (* 2 i) p) 1)"},
    {"x<-1", "(< x (- 1))"},
    /* reductions: stronger than +, weaker than * */
    {"sum[i] a[i] * b[i] + c", "(+ (sum[i] (* (at a i) (at b i))) c)"},
    {"e / sum[j] e[j] * 2", "(/ e (sum[j] (* (at e j) 2)))"},
    {"-sum[i] x[i] / 2", "(- (sum[i] (/ (at x i) 2)))"},
    {"sum[i] -x[i] ^ 2", "(sum[i] (- (^ (at x i) 2)))"},
    {"sum[i, j < n - 1 where i < j and ok] x", "(sum[i j<(- n 1) where (and (< i j) ok)] x)"},
    {"2 ^ max[i] x[i] * y", "(^ 2 (max[i] (* (at x i) y)))"},
    {"sum[i] max[j] x[i, j] - 1", "(- (sum[i] (max[j] (at x i j))) 1)"},
    {"sum[i] x[i] > 3", "(> (sum[i] (at x i)) 3)"},
    {"any[i] x[i] > 0 and y", "(and (any[i] (> (at x i) 0)) y)"},
    {"all[i] a[i] + 1 == b[i] or c", "(or (all[i] (== (+ (at a i) 1) (at b i))) c)"},
    {"1 - any[i] x[i]", "(- 1 (any[i] (at x i)))"},
    {"mean[each] (x[c] - m[c])^2", "(mean[each] (^ (- (at x c) (at m c)) 2))"},
    {"sum[i] (if a then b else c)", "(sum[i] (if a b c))"},
    {"sum[e where dst[e] == v] m[e, f]", "(sum[e where (== (at dst e) v)] (at m e f))"},
    /* if, pipes */
    {"if a then b else c + d", "(if a b (+ c d))"},
    {"if a then b else if c then d else e", "(if a b (if c d e))"},
    {"if a then if b then c else d else e", "(if a (if b c d) e)"},
    {"if causal and r > t then -inf else 0", "(if (and causal (> r t)) (- inf) 0)"},
    {"x |> f", "(pipe f x)"},
    {"x |> f(a, k = b) |> g", "(pipe g (pipe f x a k=b))"},
    {"a + b |> f", "(pipe f (+ a b))"},
    {"if a then b else c |> f", "(pipe f (if a b c))"},
    {"x |> Net[k]", "(pipe (at Net k) x)"},
    {"x |> sum", "(pipe sum x)"},
    {"x |> max(0)", "(pipe max x 0)"},
    {"x |> int", "(int x)"},
    {"(x |> f) + 1", "(+ (pipe f x) 1)"},
    {"f(x |> g)", "(f (pipe g x))"},
    /* primaries */
    {"12", "12"},
    {"0.5", "0.5r"},
    {"1e3", "1000r"},
    {"2.5e-1", "0.25r"},
    {"\"a\\tb\\x41\\101\\\"\"", "'a\tbAA\"'"},
    {"true", "true"},
    {"next h", "next:h"},
    {"[a, b]", "(list a b)"},
    {"[[1, 2], [3, 4]]", "(list (list 1 2) (list 3 4))"},
    {"x[i + p - 1, c] outside 0 * w", "(* (at x (- (+ i p) 1) c outside 0) w)"},
    {"x[i] outside -inf + 1", "(+ (at x i outside (- inf)) 1)"},
    {"x[i] outside (a + 1) ^ 2", "(^ (at x i outside (+ a 1)) 2)"},
    {"x[i] outside pad - 1", "(- (at x i outside pad) 1)"},
    {"x[1:, :k, :, a:b, 3]", "(at x 1: :k : a:b 3)"},
    {"M.dense1.w[3]", "(at ((M . dense1) . w) 3)"},
    {"b.data.sum.if", "(((b . data) . sum) . if)"},
    {"grad(y[a], x)[b]", "(at (grad (at y a) x) b)"},
    {"max(a, b) + sum(x)", "(+ (max a b) (sum x))"},
    {"int(x) + real(y)", "(+ (int x) (real y))"},
    {"pool(x, reduce = max)", "(pool x reduce=`max)"},
    {"f(all, int, [sum, max])", "(f `all `int (list `sum `max))"},
    {"f() + f(\n x,\n\n k =\n 1)", "(+ (f) (f x k=1))"},
    {"@param(M.w, 0) * @rand(3)", "(* (@param (M . w) 0) (@rand 3))"},
    /* words that are keywords elsewhere */
    {"state + over * data(next) - using", "(- (+ state (* over (data next))) using)"},
    {"f(state = 1, next = next x, on = on)", "(f state=1 next=next:x on=on)"},
    {"if next then phase else every", "(if next phase every)"},
    {"next and train", "(and next train)"},
    {"repeat (3)", "(repeat 3)"},
};

static void test_expressions(void)
{
    Context *context = context_new();
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        const char *found = tree_text(context, expr_of(context, expressions[i].text));
        if (strcmp(found, expressions[i].tree))
            printf("\n%s\n  is  %s\n  not %s\n", expressions[i].text, found, expressions[i].tree);
        CU_ASSERT_STRING_EQUAL(found, expressions[i].tree);
    }
    CU_ASSERT(!diag_errors(context));
    context_free(context);
}

static const char *const wrong_expressions[] = {
    "a < b < c",
    "a == b == c",
    "1 + if a then b else c",
    "sum[i] if a then b else c",
    "x |> f + 1",
    "x |> f |> g * 2",
    "x[i] outside f(y)",
    "x[i] outside 0[1]",
    "if a then b",
    "a b",
    "+a",
    "",
    "f(a,)",
    "[]",
    "a = b",
    "x[]",
    "2x",
    "1.",
    ".5",
    "f(k = 1, 2)",
    "f(k = 1, k = 2)",
    "0..5",
    "max[i < a < b] x",
    "sum[i + 1] x",
    "x.3",
    "a ! b",
    "\"abc",
    "9007199254740993",
    "1e999",
    "not",
    "(a",
    "a)",
    "f(a))",
    "a; b",
    "return",
    "x[1:2:3]",
    "'",
};

static void test_wrong_expressions(void)
{
    for (size_t i = 0; i < sizeof wrong_expressions / sizeof *wrong_expressions; i++) {
        Context *context = context_new();
        AstExpr *e = expr_of(context, wrong_expressions[i]);
        if (e) printf("\n%s is %s\n", wrong_expressions[i], tree_text(context, e));
        CU_ASSERT(!e && diag_errors(context) > 0);
        context_free(context);
    }
}

/* Printed text parses to the same tree, and printing that gives the same text. */
static void check_round_trip(Context *context, const AstExpr *e)
{
    StrBuf first = str_new(context_arena(context)), second = str_new(context_arena(context));
    ast_expr_print(&first, e);
    AstExpr *again = expr_of(context, str_text(&first));
    CU_ASSERT_PTR_NOT_NULL(again);
    const char *wanted = tree_text(context, e), *found = tree_text(context, again);
    if (strcmp(wanted, found))
        printf("\n%s\n  printed as %s\n  is %s\n", wanted, str_text(&first), found);
    CU_ASSERT_STRING_EQUAL(wanted, found);
    if (!again) return;
    ast_expr_print(&second, again);
    CU_ASSERT_STRING_EQUAL(str_text(&first), str_text(&second));
}

static void test_printer(void)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"((a) * (b)) + ((c))", "a * b + c"},
        {"a - (b - c)", "a - (b - c)"},
        {"(a ^ b) ^ c", "(a^b)^c"},
        {"(-a) ^ b", "(-a)^b"},
        {"-(a ^ b)", "-a^b"},
        {"(a * sum[i] x[i]) * b", "a * (sum[i] x[i]) * b"},
        {"(sum[i] x[i]) + 1", "sum[i] x[i] + 1"},
        {"sum[i] (x[i] + 1)", "sum[i] (x[i] + 1)"},
        {"(a < b) == c", "(a < b) == c"},
        {"(not a) == b", "(not a) == b"},
        {"(x[i] outside 0)[1]", "(x[i] outside 0)[1]"},
        {"x[i] outside (0)", "x[i] outside 0"},
        {"(x |> f)(y)", "(x |> f)(y)"},
        {"if (a |> f) then (b) else (c)", "if a |> f then b else c"},
        {"1.0 + 0.1 + 1e-9 + 1e22", "1.0 + 0.1 + 1e-09 + 1e+22"},
        {"\"a\\n\\\\\\\"\"", "\"a\\n\\\\\\\"\""},
        {"(max)", "max"},
        {"x |> max(0)", "x |> max(0)"},
    };
    Context *context = context_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        StrBuf out = str_new(context_arena(context));
        ast_expr_print(&out, expr_of(context, cases[i].text));
        if (strcmp(str_text(&out), cases[i].printed)) printf("\n%s\n", str_text(&out));
        CU_ASSERT_STRING_EQUAL(str_text(&out), cases[i].printed);
    }
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
        check_round_trip(context, expr_of(context, expressions[i].text));
    context_free(context);
}

/* --- random trees ---------------------------------------------------------------------------- */

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Writes a random expression in which every operation stands in parentheses. */
static void random_expr(StrBuf *out, uint32_t *state, int depth)
{
    static const char *const forms[] = {"($ + $)",
                                        "($ - $)",
                                        "($ * $)",
                                        "($ / $)",
                                        "($ // $)",
                                        "($ % $)",
                                        "($ ^ $)",
                                        "($ < $)",
                                        "($ == $)",
                                        "($ and $)",
                                        "($ or $)",
                                        "(not $)",
                                        "(-$)",
                                        "(if $ then $ else $)",
                                        "(sum[i] $)",
                                        "(max[i < g($), j where $] $)",
                                        "(any[i] $)",
                                        "(all[i, j] $)",
                                        "($ |> f)",
                                        "($ |> max($))",
                                        "f($, k = $)",
                                        "[$, $]",
                                        "x[$, $:$] outside ($)",
                                        "$[$]",
                                        "$($)",
                                        "$.m",
                                        "int($)",
                                        "min($)"};
    if (depth == 0) {
        static const char *const leaves[] = {"a", "next b", "3", "0.5", "true", "inf", "\"s\""};
        str_add(out, leaves[random_next(state) % 7]);
        return;
    }
    const char *form = forms[random_next(state) % (sizeof forms / sizeof *forms)];
    for (; *form; form++)
        if (*form == '$') {
            str_add(out, "(");
            random_expr(out, state, (int)(random_next(state) % (unsigned)depth));
            str_add(out, ")");
        } else {
            str_add_n(out, form, 1);
        }
}

static void test_random_expressions(void)
{
    uint32_t state = 7;
    for (int i = 0; i < 40; i++) {
        Context *context = context_new();
        for (int k = 0; k < 50; k++) {
            StrBuf text = str_new(context_arena(context));
            random_expr(&text, &state, 5);
            AstExpr *e = expr_of(context, str_text(&text));
            if (!e) diag_print(context, stdout);
            CU_ASSERT_PTR_NOT_NULL(e);
            if (e) check_round_trip(context, e);
        }
        context_free(context);
    }
}

static const UnitTest tests[] = {
    {"trees of expressions", test_expressions},
    {"wrong expressions", test_wrong_expressions},
    {"printed expressions", test_printer},
    {"random expressions printed and read", test_random_expressions},
};

UNIT_MAIN("lang: expressions", tests)
