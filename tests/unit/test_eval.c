/* test_eval.c -- the reference evaluator on graphs built by hand; expected numbers by hand. */
#include "eval.h"
#include "nnd_rt.h"
#include "unit.h"

#define I(k)      scalar_iter(g, k)
#define INT(v)    scalar_int(g, v)
#define REAL(v)   scalar_real(g, v)
#define OP2(o, ...) scalar_op2(g, OP_##o, __VA_ARGS__)
#define COUNT(a)  ((int)(sizeof(a) / sizeof *(a)))

static Context *context;
static Graph *g;
static EvalEnv env;
static char error[256];

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
    env = eval_env(graph_arena(g), 7);
    error[0] = 0;
}

static void end(void)
{
    context_free(context);
}

static const Node *constant(ElemType type, int rank, const int64_t *dims, const double *values)
{
    Extent shape[MAX_RANK];
    for (int k = 0; k < rank; k++)
        shape[k] = extent_fixed(dims[k]);
    return graph_const(g, type, rank, shape, values);
}
#define VECTOR(type, ...)                                                                          \
    constant(type, 1, (int64_t[]){COUNT(((double[]){__VA_ARGS__}))}, (double[]){__VA_ARGS__})

static const Scalar *load(const Node *node, const Scalar *const *subs, const Scalar *outside)
{
    return scalar_load(g, node, subs, outside, NO_SPAN);
}
#define LOAD(node, ...) load(node, (const Scalar *[]){__VA_ARGS__}, NULL)

/* Whether the node has exactly these elements (NaN equals NaN). */
static bool gives(const Node *node, int count, const double *expected)
{
    EvalArray *out = NULL;
    const char *fault = graph_check(graph_arena(g), g, &node, 1);
    if (fault) {
        fprintf(stderr, "%s\n", fault);
        return false;
    }
    bool good = eval_roots(g, &env, &node, 1, &out, error, sizeof error) && out->count == count;
    for (int i = 0; good && i < count; i++)
        if (!unit_near(out->data[i], expected[i], 1e-14)) {
            fprintf(stderr, "[%d]: %.17g, not %.17g\n", i, out->data[i], expected[i]);
            good = false;
        }
    eval_array_free(out);
    return good;
}
#define GIVES(node, ...)                                                                           \
    CU_ASSERT(gives(node, COUNT(((double[]){__VA_ARGS__})), (double[]){__VA_ARGS__}))

static const Node *comp(Reduce reduce, int rank, int n, const int64_t *extents,
                        const Scalar *body, const Scalar *guard)
{
    Extent iters[MAX_ITERS];
    for (int i = 0; i < n; i++)
        iters[i] = extent_fixed(extents[i]);
    return graph_comp(g, reduce, rank, n, iters, body, guard, NO_SPAN);
}
#define EXTENTS(...) COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[]){__VA_ARGS__}

static void test_product(void)
{
    begin();
    const Node *x = constant(TYPE_REAL, 2, (int64_t[]){2, 3}, (double[]){1, 2, 3, 4, 5, 6});
    const Node *w = constant(TYPE_REAL, 2, (int64_t[]){3, 2}, (double[]){1, 0, 2, 1, 0, 3});
    const Scalar *body = OP2(MUL, LOAD(x, I(0), I(2)), LOAD(w, I(2), I(1)));
    GIVES(comp(REDUCE_SUM, 2, EXTENTS(2, 2, 3), body, NULL), 5, 11, 14, 23);
    GIVES(comp(REDUCE_SUM, 0, EXTENTS(2, 3), LOAD(x, I(0), I(1)), NULL), 21);
    GIVES(comp(REDUCE_SUM, 1, EXTENTS(2, 0), OP2(MUL, LOAD(x, I(0), I(1)), LOAD(x, I(0), INT(0))),
               NULL), 0, 0);
    const Scalar *back = LOAD(x, I(0), OP2(SUB, INT(2), I(1)));
    GIVES(comp(REDUCE_SUM, 1, EXTENTS(2, 3), OP2(MUL, LOAD(x, I(0), I(1)), back), NULL), 10, 73);
    env.f32 = true; /* (1 + 2^-30) * 2^30 - 2^30 needs doubles */
    const Node *y = VECTOR(TYPE_REAL, 1 + 0x1p-30, 1), *z = VECTOR(TYPE_REAL, 0x1p30, -0x1p30);
    body = OP2(MUL, LOAD(y, I(0)), LOAD(z, I(0)));
    GIVES(comp(REDUCE_SUM, 0, EXTENTS(2), body, NULL), 0);
    env.f32 = false;
    GIVES(comp(REDUCE_SUM, 0, EXTENTS(2), body, NULL), 1);
    end();
}

static void test_convolution(void)
{
    begin();
    const Node *x = VECTOR(TYPE_REAL, 1, 2, 3, 4);
    const Node *w = VECTOR(TYPE_REAL, 1, 10, 100);
    const Scalar *at = OP2(SUB, OP2(ADD, I(0), I(1)), INT(1));
    const Scalar *body = OP2(MUL, load(x, &at, REAL(0)), LOAD(w, I(1)));
    GIVES(comp(REDUCE_SUM, 1, EXTENTS(4, 3), body, NULL), 210, 321, 432, 43);
    const Scalar *outside = scalar_convert(g, I(0), TYPE_REAL); /* differs from point to point */
    body = load(x, &at, outside);
    GIVES(comp(REDUCE_SUM, 1, EXTENTS(4, 3), body, NULL), 3, 6, 9, 10);
    end();
}

static void test_gather(void)
{
    begin();
    const Node *table = VECTOR(TYPE_REAL, 5, 6, 7);
    const Node *good = VECTOR(TYPE_INT, 2, 0, 1), *bad = VECTOR(TYPE_INT, 2, 3, 1);
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(3), LOAD(table, LOAD(good, I(0))), NULL), 7, 5, 6);
    graph_name(table, name_of(context, "table"));
    const Node *wrong = comp(REDUCE_NONE, 1, EXTENTS(3), LOAD(table, LOAD(bad, I(0))), NULL);
    EvalArray *out;
    CU_ASSERT(!eval_roots(g, &env, &wrong, 1, &out, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(error, "subscript 3 of `table` is outside its axis 0 of size 3");
    /* the same where the branch is not chosen, or the guard fails */
    const Scalar *inside = OP2(LT, LOAD(bad, I(0)), INT(3));
    const Scalar *value = LOAD(table, LOAD(bad, I(0)));
    const Scalar *chosen = scalar_select(g, inside, OP2(MUL, value, value), REAL(-1));
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(3), chosen, NULL), 49, -1, 36);
    const Scalar *twice = scalar_select(g, inside, value, REAL(0)); /* in two branches */
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(3), OP2(ADD, chosen, twice), NULL), 56, -1, 42);
    GIVES(comp(REDUCE_SUM, 0, EXTENTS(3), value, inside), 13);
    end();
}

static void test_division(void)
{
    begin();
    const Node *d = VECTOR(TYPE_INT, 2, 0);
    const Node *wrong =
        comp(REDUCE_NONE, 1, EXTENTS(2), OP2(IDIV, INT(7), LOAD(d, I(0))), NULL);
    EvalArray *out;
    CU_ASSERT(!eval_roots(g, &env, &wrong, 1, &out, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(error, "integer division by zero");
    const Node *big = VECTOR(TYPE_INT, 2147483647, 1, 5);
    GIVES(comp(REDUCE_SUM, 0, EXTENTS(3), LOAD(big, I(0)), NULL), -2147483643.0);
    GIVES(comp(REDUCE_PROD, 0, EXTENTS(3), LOAD(big, I(0)), NULL), 2147483643.0);
    end();
}

static void test_reductions(void)
{
    begin();
    const Node *x = VECTOR(TYPE_REAL, 1, NAN, 4, -2, 4);
    const Scalar *v = LOAD(x, I(0)), *none = scalar_bool(g, false);
    const Scalar *number = OP2(EQ, v, v);
    GIVES(comp(REDUCE_MAX, 0, EXTENTS(5), v, NULL), 4);
    GIVES(comp(REDUCE_MIN, 0, EXTENTS(5), v, NULL), -2);
    GIVES(comp(REDUCE_ARGMAX, 0, EXTENTS(5), v, NULL), 2);
    GIVES(comp(REDUCE_ARGMIN, 0, EXTENTS(5), v, NULL), 3);
    GIVES(comp(REDUCE_SUM, 0, EXTENTS(5), v, NULL), NAN);
    GIVES(comp(REDUCE_MEAN, 0, EXTENTS(5), v, number), 1.75);
    GIVES(comp(REDUCE_PROD, 0, EXTENTS(5), v, number), -32);
    GIVES(comp(REDUCE_ANY, 0, EXTENTS(5), number, NULL), 1);
    GIVES(comp(REDUCE_ALL, 0, EXTENTS(5), number, NULL), 0);
    static const double nothing[] = {0, 0, 1, -INFINITY, INFINITY, 0, 0};
    for (Reduce r = REDUCE_SUM; r <= REDUCE_ARGMIN; r++)
        CU_ASSERT(gives(comp(r, 0, EXTENTS(5), v, none), 1, &nothing[r - REDUCE_SUM]));
    GIVES(comp(REDUCE_ANY, 0, EXTENTS(5), number, none), 0);
    GIVES(comp(REDUCE_ALL, 0, EXTENTS(5), number, none), 1);
    GIVES(comp(REDUCE_MAX, 0, EXTENTS(5), I(0), none), -2147483648.0);
    const Node *m = constant(TYPE_INT, 2, (int64_t[]){2, 3}, (double[]){1, 9, 2, 9, 0, 0});
    GIVES(comp(REDUCE_ARGMAX, 0, EXTENTS(2, 3), LOAD(m, I(0), I(1)), NULL), 1);
    GIVES(comp(REDUCE_ARGMIN, 1, EXTENTS(2, 3), LOAD(m, I(0), I(1)), NULL), 0, 1);
    end();
}

static void test_scatter(void)
{
    begin();
    const Node *dst = VECTOR(TYPE_INT, 2, 0, 2, 5, -1);
    const Node *x = VECTOR(TYPE_REAL, 1, 2, 4, 8, 16);
    Extent shape = extent_fixed(3), edges = extent_fixed(5);
    const Scalar *position = LOAD(dst, I(0));
    GIVES(graph_scatter(g, 1, &shape, &position, 1, &edges, LOAD(x, I(0)), NULL, NO_SPAN), 2, 0,
          5);
    const Scalar *guard = OP2(LT, I(0), INT(2));
    GIVES(graph_scatter(g, 1, &shape, &position, 1, &edges, LOAD(x, I(0)), guard, NO_SPAN), 2, 0,
          1);
    end();
}

static void test_companions(void)
{
    begin();
    const Node *even = VECTOR(TYPE_REAL, 1, 3), *odd = VECTOR(TYPE_REAL, 2);
    Extent shape = extent_fixed(5);
    Piece pieces[] = {{even, 0, 2}, {odd, 1, 2}};
    GIVES(graph_pieces(g, TYPE_REAL, 1, &shape, 0, 2, pieces, NO_SPAN), 1, 2, 3, 0, 0);
    const Node *x = VECTOR(TYPE_REAL, 3, NAN, 1, 3, -5, 1);
    GIVES(graph_order(g, x, NO_SPAN), 4, 2, 5, 0, 3, 1);
    Extent square[] = {extent_fixed(2), extent_fixed(3)};
    const Node *rows = graph_reshape(g, x, 2, square, NO_SPAN);
    GIVES(graph_order(g, rows, NO_SPAN), 2, 0, 1, 1, 2, 0);
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(2), LOAD(graph_tag(g, rows), I(0), INT(2)), NULL), 1, 1);
    end();
}

/* x[n, t] along an axis whose size differs from row to row. */
static void test_bounded(void)
{
    begin();
    Leaf size_leaf = {.kind = LEAF_SIZE, .name = name_of(context, "batch")};
    const Node *size = graph_leaf(g, &size_leaf, TYPE_INT, 0, NULL);
    Extent batch = {3, LOAD(size, NULL)};
    Leaf len_leaf = {.kind = LEAF_INPUT, .name = name_of(context, "len")};
    const Node *len = graph_leaf(g, &len_leaf, TYPE_INT, 1, &batch);
    Extent shape[] = {batch, {4, LOAD(len, I(0))}};
    Leaf x_leaf = {.kind = LEAF_INPUT, .name = name_of(context, "x")};
    const Node *x = graph_leaf(g, &x_leaf, TYPE_REAL, 2, shape);
    EvalArray *lens = eval_array_new(1, (int64_t[]){2});
    EvalArray *xs = eval_array_new(2, (int64_t[]){2, 4});
    memcpy(lens->data, (double[]){3, 0}, sizeof(double) * 2);
    memcpy(xs->data, (double[]){1, 2, 6, 99, 99, 99, 99, 99}, sizeof(double) * 8);
    eval_set(&env, len, lens);
    eval_set(&env, x, xs);
    env.batch = 2;
    GIVES(graph_comp(g, REDUCE_MEAN, 1, 2, shape, LOAD(x, I(0), I(1)), NULL, NO_SPAN), 3, 0);
    GIVES(graph_map(g, 2, shape, OP2(ADD, LOAD(x, I(0), I(1)), REAL(1)), NO_SPAN), 2, 3, 7, 0, 0,
          0, 0, 0);
    /* outside begins at the row's own size */
    const Scalar *next[] = {I(0), OP2(ADD, I(1), INT(1))};
    GIVES(graph_map(g, 2, shape, load(x, next, REAL(-1)), NO_SPAN), 2, 6, -1, 0, 0, 0, 0, 0);
    const Node *wrong = graph_map(g, 2, shape, load(x, next, NULL), NO_SPAN);
    EvalArray *out;
    CU_ASSERT(!eval_roots(g, &env, &wrong, 1, &out, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(error, "subscript 3 of `x` is outside its axis 1 of size 3");
    GIVES(graph_order(g, x, NO_SPAN), 0, 1, 2, 0, 0, 0, 0, 0);
    GIVES(graph_comp(g, REDUCE_SUM, 0, 1, &batch, INT(1), NULL, NO_SPAN), 2);
    lens->data[1] = 5;
    wrong = graph_comp(g, REDUCE_MEAN, 1, 2, shape, LOAD(x, I(0), I(1)), NULL, NO_SPAN);
    CU_ASSERT(!eval_roots(g, &env, &wrong, 1, &out, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(error, "a run-time size of 5, where at most 4 fit");
    env.batch = 3;
    CU_ASSERT(!eval_roots(g, &env, &x, 1, &out, error, sizeof error));
    eval_array_free(lens);
    eval_array_free(xs);
    end();
}

static void test_draws(void)
{
    begin();
    const Scalar *u = scalar_draw(g, 42, false, INT(3), I(0), NO_SPAN);
    const Scalar *z = scalar_draw(g, 43, true, INT(3), OP2(MUL, I(0), INT(2)), NO_SPAN);
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(2), u, NULL), nnd_uniform_f64(7, 42, 3, 0),
          nnd_uniform_f64(7, 42, 3, 1));
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(2), z, NULL), nnd_normal_f64(7, 43, 3, 0),
          nnd_normal_f64(7, 43, 3, 2));
    env.f32 = true;
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(1), z, NULL), (double)nnd_normal(7, 43, 3, 0));
    const Node *x = VECTOR(TYPE_REAL, 0.1, 0.2);
    GIVES(comp(REDUCE_SUM, 0, EXTENTS(2), LOAD(x, I(0)), NULL), (double)(0.1f + 0.2f));
    GIVES(graph_scalar(g, OP2(DIV, LOAD(x, INT(0)), REAL(0.3))), (double)(0.1f / 0.3f));
    end();
}

/* A choice nested in itself 60 deep, both of whose branches use what is below: linear, not 2^60. */
static void test_sharing(void)
{
    begin();
    const Node *x = VECTOR(TYPE_REAL, 1, -1);
    const Scalar *s = LOAD(x, I(0));
    for (int i = 0; i < 60; i++)
        s = scalar_select(g, OP2(LT, s, REAL(10)), OP2(ADD, s, REAL(1)), OP2(SUB, s, REAL(5)));
    GIVES(comp(REDUCE_NONE, 1, EXTENTS(2), s, NULL), 7, 5);
    end();
}

static const UnitTest tests[] = {
    {"product", test_product},     {"convolution", test_convolution}, {"gather", test_gather},
    {"division", test_division},   {"reductions", test_reductions},   {"scatter", test_scatter},
    {"companions", test_companions}, {"bounded", test_bounded},       {"draws", test_draws},
    {"sharing", test_sharing}};
UNIT_MAIN("eval", tests)
