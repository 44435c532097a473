/* test_simplify.c -- every rewrite rule: both sides at random points and, where it claims to be
 * exact, at zeros, infinities and NaN; that it fires; and the simplification of whole graphs. */
#include "simplify.h"
#include "eval.h"
#include "formula.h"
#include "unit.h"

#include <ctype.h>

#define I(k)        scalar_iter(g, k)
#define INT(v)      scalar_int(g, v)
#define REAL(v)     scalar_real(g, v)
#define OP1(o, a)   scalar_op1(g, OP_##o, a)
#define OP2(o, ...) scalar_op2(g, OP_##o, __VA_ARGS__)
#define COUNT(a)    ((int)(sizeof(a) / sizeof *(a)))

enum { MAX_NAMES = 4 };

static Context *context;
static Graph *g;

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
}

static void end(void)
{
    context_free(context);
}

/* --- rules ---------------------------------------------------------------------------------------
 */

/* The names in a rule: k.. constants, p q truth values, others reals. */
typedef struct Names {
    const char *names[MAX_NAMES];
    const Scalar *values[MAX_NAMES]; /* rank-0 leaves; of constants, the constant */
    double at[MAX_NAMES];
    int n;
} Names;

static void names_collect(Names *names, const char *text)
{
    static const char letters[] = "abckpq";
    for (const char *c = text; *c; c++) {
        bool word = c > text && (isalnum((unsigned char)c[-1]));
        bool two = c[0] == 'k' && c[1] == '2';
        char name[3] = {c[0], two ? '2' : 0, 0};
        if (word || !strchr(letters, *c) || (isalpha((unsigned char)c[1]))) continue;
        bool known = false;
        for (int i = 0; i < names->n; i++)
            known = known || strcmp(names->names[i], name) == 0;
        if (!known) names->names[names->n++] = name_of(context, name);
    }
}

static void names_bind(Names *names)
{
    for (int i = 0; i < names->n; i++) {
        Name name = names->names[i];
        bool truth = name[0] == 'p' || name[0] == 'q';
        Leaf leaf = {.kind = LEAF_INPUT, .name = name};
        const Node *node = graph_leaf(g, &leaf, truth ? TYPE_BOOL : TYPE_REAL, 0, NULL);
        names->values[i] =
            name[0] == 'k' ? REAL(names->at[i]) : scalar_load(g, node, NULL, NULL, NO_SPAN);
    }
}

static double scalar_at(const Scalar *s, const Names *names)
{
    double args[3];
    if (s->kind == SCALAR_CONST) return s->value;
    if (s->kind == SCALAR_LOAD) {
        for (int i = 0; i < names->n; i++)
            if (names->names[i] == s->node->leaf->name) return names->at[i];
        return NAN;
    }
    for (int i = 0; i < s->n_args; i++)
        args[i] = scalar_at(s->args[i], names);
    ElemType operand = s->op == OP_SELECT ? s->args[1]->type : s->args[0]->type;
    return op_eval(s->op, operand, args);
}

static bool same_value(double a, double b, double tolerance)
{
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b) || a == 0 || b == 0) return a == b && signbit(a) == signbit(b);
    return fabs(a - b) <= tolerance * fabs(b);
}

static bool sides_agree(const Rule *rule, Names *names, double tolerance)
{
    names_bind(names);
    const Scalar *lhs = formula_instantiate(g, rule->lhs, names->names, names->values, names->n);
    const Scalar *rhs = formula_instantiate(g, rule->rhs, names->names, names->values, names->n);
    rhs = scalar_convert(g, rhs, lhs->type);
    double a = scalar_at(lhs, names), b = scalar_at(rhs, names);
    if (same_value(a, b, tolerance)) return true;
    fprintf(stderr, "%s: %.17g, %.17g at", rule->text, a, b);
    for (int i = 0; i < names->n; i++)
        fprintf(stderr, " %s = %g", names->names[i], names->at[i]);
    fprintf(stderr, "\n");
    return false;
}

static const double special[] = {0.0,  -0.0, 1,    -1,   2,        -2.5,      0.5, 3,
                                 1e30, -7e9, 1e-9, -0.1, INFINITY, -INFINITY, NAN};

/* All combinations of special values. */
static bool exact_everywhere(const Rule *rule, Names *names, int k)
{
    if (k == names->n) return sides_agree(rule, names, 1e-15);
    bool truth = names->names[k][0] == 'p' || names->names[k][0] == 'q';
    for (int i = 0; i < (truth ? 2 : COUNT(special)); i++) {
        names->at[k] = truth ? i : special[i];
        if (!exact_everywhere(rule, names, k + 1)) return false;
    }
    return true;
}

static void test_rules(void)
{
    begin();
    Rules rules = rules_get(g);
    CU_ASSERT(rules.n > 50);
    uint64_t state = 99;
    for (int r = 0; r < rules.n; r++) {
        const Rule *rule = &rules.rules[r];
        Names names = {0};
        names_collect(&names, rule->text);
        for (int sample = 0; sample < 50; sample++) {
            for (int i = 0; i < names.n; i++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                double x = 0.2 + 3 * (double)(state >> 11) / 9007199254740992.0;
                names.at[i] = names.names[i][0] == 'p' || names.names[i][0] == 'q' ? x > 1.5 : x;
            }
            CU_ASSERT(sides_agree(rule, &names, rule->fast ? 1e-9 : 1e-15));
        }
        if (!rule->fast) CU_ASSERT(exact_everywhere(rule, &names, 0));
    }
    end();
}

/* Every left side is rewritten, and not by the exact rules if it is a fast one's alone. */
static void test_rules_fire(void)
{
    begin();
    Options exact = {0}, fast = {.fast_math = true};
    Rules rules = rules_get(g);
    for (int r = 0; r < rules.n; r++) {
        const Rule *rule = &rules.rules[r];
        Names names = {0};
        names_collect(&names, rule->text);
        for (int i = 0; i < names.n; i++)
            names.at[i] = 3 + 4 * i;
        names_bind(&names);
        const Scalar *lhs = formula_instantiate(g, rule->lhs, names.names, names.values, names.n);
        const Scalar *made = scalar_simplify(g, lhs, rule->fast ? &fast : &exact);
        if (made == lhs) fprintf(stderr, "%s does not fire\n", rule->text);
        CU_ASSERT_PTR_NOT_EQUAL(made, lhs);
        if (rule->fast) CU_ASSERT_PTR_EQUAL(scalar_simplify(g, lhs, NULL), lhs);
    }
    end();
}

/* --- graphs
 * --------------------------------------------------------------------------------------- */

static const Node *constant(ElemType type, int rank, const int64_t *dims, const double *values)
{
    Extent shape[MAX_RANK];
    for (int k = 0; k < rank; k++)
        shape[k] = extent_fixed(dims[k]);
    return graph_const(g, type, rank, shape, values);
}

static const Scalar *load(const Node *node, const Scalar *const *subs)
{
    return scalar_load(g, node, subs, NULL, NO_SPAN);
}
#define LOAD(node, ...) load(node, (const Scalar *[]){__VA_ARGS__})
#define DIMS(...)                                                                                  \
    COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[])                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const Node *comp(Reduce reduce, int rank, int n, const int64_t *extents, const Scalar *body,
                        const Scalar *guard)
{
    Extent iters[MAX_ITERS];
    for (int i = 0; i < n; i++)
        iters[i] = extent_fixed(extents[i]);
    return graph_comp(g, reduce, rank, n, iters, body, guard, NO_SPAN);
}

/* The node simplified, if its value is as before; else NULL. */
static const Node *simplified(const Node *node)
{
    const Node *both[] = {node, node};
    EvalArray *out[2] = {0};
    char error[256] = "";
    EvalEnv env = eval_env(graph_arena(g), 7);
    graph_simplify(g, &both[1], 1, NULL);
    const char *fault = graph_check(graph_arena(g), g, both, 2);
    bool good = !fault && eval_roots(g, &env, both, 2, out, error, sizeof error);
    if (!good) fprintf(stderr, "%s\n", fault ? fault : error);
    good = good && out[0]->count == out[1]->count;
    for (int64_t i = 0; good && i < out[0]->count; i++)
        good = unit_near(out[1]->data[i], out[0]->data[i], 1e-13);
    eval_array_free(out[0]);
    eval_array_free(out[1]);
    return good ? both[1] : NULL;
}

/* The largest number of iterators of a node that is needed. */
static int most_iters(const Node *root)
{
    Nodes nodes = graph_reach(graph_arena(g), &root, 1);
    int most = 0;
    for (int i = 0; i < nodes.len; i++)
        if (nodes.data[i]->n_iters > most) most = nodes.data[i]->n_iters;
    return most;
}

static int count_kind(const Node *root, NodeKind kind)
{
    Nodes nodes = graph_reach(graph_arena(g), &root, 1);
    int n = 0;
    for (int i = 0; i < nodes.len; i++)
        n += nodes.data[i]->kind == kind;
    return n;
}

static void test_sums(void)
{
    begin();
    const Node *x =
        constant(TYPE_REAL, DIMS(3, 4), (double[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    const Node *v = constant(TYPE_REAL, DIMS(6), (double[]){1, -2, 3, -4, 5, -6});
    const Node *pick = constant(TYPE_INT, DIMS(3), (double[]){3, 0, 2});
    const Node *wild = constant(TYPE_INT, DIMS(3), (double[]){7, -1, 2});
    const Scalar *a = LOAD(x, I(0), I(1));
    /* an equality with data: no loop, and no test if the data is known to be in range */
    const Node *n = simplified(comp(REDUCE_SUM, 1, DIMS(3, 4), a, OP2(EQ, I(1), LOAD(pick, I(0)))));
    CU_ASSERT(n && most_iters(n) == 1 && n->body->kind == SCALAR_LOAD);
    n = simplified(comp(REDUCE_SUM, 1, DIMS(3, 4), a, OP2(EQ, I(1), LOAD(wild, I(0)))));
    CU_ASSERT(n && most_iters(n) == 1);
    const Scalar *one_hot =
        scalar_select(g, OP2(EQ, OP2(SUB, INT(3), I(1)), LOAD(wild, I(0))), a, REAL(0));
    n = simplified(comp(REDUCE_SUM, 1, DIMS(3, 4), one_hot, NULL));
    CU_ASSERT(n && most_iters(n) == 1);
    /* affine: y[i] = sum[p, q where p + q == i] v[p] * v[q]; two iterators by their row number */
    const Scalar *product = OP2(MUL, LOAD(v, I(1)), LOAD(v, I(2)));
    n = simplified(
        comp(REDUCE_SUM, 1, DIMS(11, 6, 6), product, OP2(EQ, OP2(ADD, I(1), I(2)), I(0))));
    CU_ASSERT(n && most_iters(n) == 2);
    const Scalar *row = OP2(ADD, OP2(MUL, INT(2), I(1)), I(2));
    n = simplified(
        comp(REDUCE_SUM, 1, DIMS(4, 3, 2), product, OP2(EQ, row, OP2(ADD, I(0), INT(1)))));
    CU_ASSERT(n && most_iters(n) == 1);
    n = simplified(
        comp(REDUCE_SUM, 1, DIMS(4, 3, 2), product, OP2(EQ, row, OP2(MUL, INT(2), I(0)))));
    CU_ASSERT(n && most_iters(n) == 1);
    /* earlier and later tests read at the solved place */
    const Scalar *positive = OP2(LT, REAL(0), LOAD(v, I(1)));
    const Scalar *tests[] = {OP2(AND, positive, OP2(EQ, I(1), LOAD(wild, I(0)))),
                             OP2(AND, OP2(EQ, I(1), LOAD(wild, I(0))), OP2(LT, I(0), I(1)))};
    for (int i = 0; i < 2; i++) {
        n = simplified(comp(REDUCE_SUM, 1, DIMS(3, 6), LOAD(v, I(1)), tests[i]));
        CU_ASSERT(n && most_iters(n) == 1);
    }
    /* coefficient 2: not solved, but every r has one place */
    n = simplified(
        comp(REDUCE_SUM, 1, DIMS(5, 3), LOAD(v, I(1)), OP2(EQ, OP2(MUL, INT(2), I(1)), I(0))));
    CU_ASSERT(n && n->kind == NODE_PIECES && most_iters(n) == 1);
    /* nothing depends on the reducing iterator; never; a reduction over fewer axes */
    n = simplified(comp(REDUCE_SUM, 1, DIMS(3, 4), LOAD(v, I(0)), NULL));
    CU_ASSERT(n && most_iters(n) == 1);
    n = simplified(comp(REDUCE_SUM, 1, DIMS(3, 4), a, OP2(LT, INT(3), INT(2))));
    CU_ASSERT(n && n->body->kind == SCALAR_CONST);
    n = simplified(comp(REDUCE_MAX, 2, DIMS(5, 3, 4), LOAD(x, I(1), I(2)), NULL));
    CU_ASSERT(n && most_iters(n) == 2);
    n = simplified(comp(REDUCE_SUM, 2, DIMS(5, 3, 4), LOAD(x, I(1), I(2)), OP2(LT, I(0), INT(2))));
    CU_ASSERT(n && most_iters(n) == 2);
    end();
}

static void test_scatters(void)
{
    begin();
    const Node *m = constant(TYPE_REAL, DIMS(4, 2), (double[]){1, 2, 3, 4, 5, 6, 7, 8});
    const Node *dst = constant(TYPE_INT, DIMS(4), (double[]){2, 0, 2, 5});
    const Scalar *here = OP2(EQ, LOAD(dst, I(2)), I(0));
    const Node *n = simplified(comp(REDUCE_SUM, 2, DIMS(3, 2, 4), LOAD(m, I(2), I(1)), here));
    CU_ASSERT(n && n->kind == NODE_SCATTER && n->n_iters == 2);
    const Scalar *large = OP2(AND, OP2(LT, REAL(2), LOAD(m, I(2), I(1))), here);
    n = simplified(comp(REDUCE_SUM, 2, DIMS(3, 2, 4), LOAD(m, I(2), I(1)), large));
    CU_ASSERT(n && n->kind == NODE_SCATTER && n->guard);
    n = simplified(comp(REDUCE_MEAN, 2, DIMS(3, 2, 4), LOAD(m, I(2), I(1)), here));
    CU_ASSERT(n && count_kind(n, NODE_SCATTER) == 2);
    /* counts of pairs: two axes at once */
    const Node *src = constant(TYPE_INT, DIMS(4), (double[]){0, 1, 0, 1});
    const Scalar *both = OP2(AND, OP2(EQ, LOAD(dst, I(2)), I(0)), OP2(EQ, I(1), LOAD(src, I(2))));
    n = simplified(comp(REDUCE_SUM, 2, DIMS(3, 2, 4), INT(1), both));
    CU_ASSERT(n && n->kind == NODE_SCATTER && n->n_iters == 1);
    /* the index occurs in the body, too: stays a sum */
    const Scalar *body = OP2(MUL, LOAD(m, I(2), I(1)), OP1(TO_REAL, I(0)));
    n = simplified(comp(REDUCE_SUM, 2, DIMS(3, 2, 4), body, here));
    CU_ASSERT(n && n->kind == NODE_COMP);
    end();
}

/* y[o] = sum[i, p where s*i + p - a == o] x[i] * w[p]: pieces of convolutions, never a loop over
 * all of i. */
static void test_transposed(void)
{
    for (int64_t s = 1; s <= 4; s++)
        for (int64_t d = 1; d <= 2; d++)
            for (int64_t a = 0; a <= 2; a++) {
                begin();
                const Node *x = constant(TYPE_REAL, DIMS(7), (double[]){1, -2, 3, 4, -5, 6, 7});
                const Node *w = constant(TYPE_REAL, DIMS(3), (double[]){2, -1, 5});
                const Scalar *at = OP2(ADD, OP2(MUL, INT(s), I(1)), OP2(MUL, INT(d), I(2)));
                const Scalar *body = OP2(MUL, LOAD(x, I(1)), LOAD(w, I(2)));
                int64_t size = 6 * s + 2 * d + 1 - a;
                const Scalar *here = OP2(EQ, OP2(SUB, at, INT(a)), I(0));
                const Node *n = simplified(comp(REDUCE_SUM, 1, DIMS(size, 7, 3), body, here));
                CU_ASSERT(n && most_iters(n) <= 2 && count_kind(n, NODE_SCATTER) == 0);
                /* windows without overlap need no pieces */
                bool tiles = d == 1 && s >= 3;
                CU_ASSERT(n && count_kind(n, NODE_PIECES) == (s > 1 && !tiles));
                Nodes nodes = graph_reach(graph_arena(g), &n, 1);
                for (int i = 0; i < nodes.len; i++)
                    if (nodes.data[i]->n_iters > 1)
                        CU_ASSERT(nodes.data[i]->iters[1].max <= 3 && !nodes.data[i]->guard);
                end();
            }
}

static void test_loads(void)
{
    begin();
    const Node *c = constant(TYPE_REAL, DIMS(2, 2), (double[]){1, 2, 3, 4});
    const Node *zero = comp(REDUCE_NONE, 1, DIMS(5), REAL(0.5), NULL);
    const Node *n = simplified(
        comp(REDUCE_NONE, 1, DIMS(5), OP2(MUL, LOAD(c, INT(1), INT(0)), LOAD(zero, I(0))), NULL));
    CU_ASSERT(n && scalar_is_const(n->body, 1.5));
    const Node *r = graph_reshape(g, graph_reshape(g, c, 1, (Extent[]){extent_fixed(4)}, NO_SPAN),
                                  2, (Extent[]){extent_fixed(4), extent_fixed(1)}, NO_SPAN);
    CU_ASSERT_PTR_EQUAL(r->arg, c);
    end();
}

/* Alternatives that cover an axis hold; the others stay, and so do those of a long axis. */
static void test_decide(void)
{
    begin();
    const Scalar *either = OP2(OR, OP2(EQ, I(0), INT(0)), OP2(EQ, I(0), INT(1)));
    Extent two = extent_fixed(2), three = extent_fixed(3), many = extent_fixed(1000);
    CU_ASSERT(scalar_is_const(scalar_decide(g, either, &two, 1), 1));
    CU_ASSERT_PTR_EQUAL(scalar_decide(g, either, &three, 1), either);
    const Scalar *sides = OP2(OR, OP2(LT, I(0), INT(500)), OP2(LE, INT(500), I(0)));
    CU_ASSERT_PTR_EQUAL(scalar_decide(g, sides, &many, 1), sides);
    const Node *any = simplified(comp(REDUCE_ANY, 0, DIMS(2), either, NULL));
    CU_ASSERT(any && any->reduce == REDUCE_NONE && scalar_is_const(any->body, 1));
    any = comp(REDUCE_ANY, 0, DIMS(3), OP2(EQ, I(0), INT(3)), NULL);
    CU_ASSERT(any->reduce == REDUCE_ANY);
    end();
}

static void test_untag(void)
{
    begin();
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_of(context, "x")};
    const Node *x = graph_leaf(g, &leaf, TYPE_REAL, 1, (Extent[]){extent_fixed(3)});
    const Node *t = graph_tag(g, graph_tag(g, x));
    const Scalar *body = OP2(MUL, OP1(STOP, OP1(EXP, LOAD(t, I(0)))), LOAD(graph_tag(g, t), I(0)));
    const Node *root = comp(REDUCE_NONE, 1, DIMS(3), body, NULL);
    const Node *wanted =
        comp(REDUCE_NONE, 1, DIMS(3), OP2(MUL, OP1(EXP, LOAD(x, I(0))), LOAD(x, I(0))), NULL);
    CU_ASSERT(graph_untag(g, &root, 1));
    CU_ASSERT_PTR_EQUAL(root, wanted);
    CU_ASSERT(!graph_untag(g, &root, 1));
    end();
}

static const UnitTest tests[] = {
    {"rules", test_rules},       {"rules_fire", test_rules_fire}, {"sums", test_sums},
    {"scatters", test_scatters}, {"transposed", test_transposed}, {"loads", test_loads},
    {"decide", test_decide},     {"untag", test_untag}};
UNIT_MAIN("simplify", tests)
