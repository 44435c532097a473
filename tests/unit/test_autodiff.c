/* test_autodiff.c -- derivatives of graphs built by hand, of first to third order, against finite
 * differences of the reference evaluator; windows of all strides against them, too. */
#include "eval.h"
#include "unit.h"

#include <stdlib.h>

#define I(k)        scalar_iter(g, k)
#define INT(v)      scalar_int(g, v)
#define REAL(v)     scalar_real(g, v)
#define OP1(o, a)   scalar_op1(g, OP_##o, a)
#define OP2(o, ...) scalar_op2(g, OP_##o, __VA_ARGS__)
#define COUNT(a)    ((int)(sizeof(a) / sizeof *(a)))

enum { MAX_LEAVES = 8 };

static Context *context;
static Graph *g;
static EvalEnv env;
static uint64_t random_state;
static struct {
    const Node *node;
    EvalArray *value;
    bool differentiate;
} leaves[MAX_LEAVES];
static int n_leaves;

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
    env = eval_env(graph_arena(g), 7);
    env.batch = 3;
    n_leaves = 0;
    random_state = 12345;
}

static void end(void)
{
    for (int i = 0; i < n_leaves; i++)
        eval_array_free(leaves[i].value);
    context_free(context);
}

/* In (0, 1). */
static double random_real(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(random_state >> 40) + 0.5) / (double)(1 << 24);
}

static const Node *leaf_shaped(ElemType type, int rank, const Extent *shape, const int64_t *dims,
                               double lo, double hi)
{
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_printf(context, "x%d", n_leaves)};
    const Node *node = graph_leaf(g, &leaf, type, rank, shape);
    EvalArray *value = eval_array_new(rank, dims);
    for (int64_t i = 0; i < value->count; i++) {
        double x = lo + (hi - lo) * random_real();
        value->data[i] = type == TYPE_REAL ? x : floor(x);
    }
    leaves[n_leaves].node = node;
    leaves[n_leaves].value = value;
    leaves[n_leaves].differentiate = type == TYPE_REAL;
    n_leaves++;
    eval_set(&env, node, value);
    return node;
}

static const Node *leaf(ElemType type, int rank, const int64_t *dims, double lo, double hi)
{
    Extent shape[MAX_RANK];
    for (int k = 0; k < rank; k++)
        shape[k] = extent_fixed(dims[k]);
    return leaf_shaped(type, rank, shape, dims, lo, hi);
}
#define DIMS(...)                                                                                  \
    COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[])                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define LEAF(...)        leaf(TYPE_REAL, DIMS(__VA_ARGS__), -1, 1)
#define POSITIVE(...)    leaf(TYPE_REAL, DIMS(__VA_ARGS__), 0.3, 2)
#define LEAF_INT(n, ...) leaf(TYPE_INT, DIMS(__VA_ARGS__), 0, n)

static const Scalar *load(const Node *node, const Scalar *const *subs, const Scalar *outside)
{
    return scalar_load(g, node, subs, outside, NO_SPAN);
}
#define LOAD(node, ...)                load(node, (const Scalar *[]){__VA_ARGS__}, NULL)
#define LOAD_OUTSIDE(value, node, ...) load(node, (const Scalar *[]){__VA_ARGS__}, value)

static const Node *comp(Reduce reduce, int rank, int n, const int64_t *extents, const Scalar *body,
                        const Scalar *guard)
{
    Extent iters[MAX_ITERS];
    for (int i = 0; i < n; i++)
        iters[i] = extent_fixed(extents[i]);
    return graph_comp(g, reduce, rank, n, iters, body, guard, NO_SPAN);
}

static const EvalArray *evaluate(const Node *node)
{
    EvalArray *out = NULL;
    char error[256];
    const char *fault = graph_check(graph_arena(g), g, &node, 1);
    bool good = !fault && eval_roots(g, &env, &node, 1, &out, error, sizeof error);
    if (!good) fprintf(stderr, "%s\n", fault ? fault : error);
    return good ? out : NULL;
}

static double value_of(const Node *node)
{
    EvalArray *out = (EvalArray *)(uintptr_t)evaluate(node);
    double value = out && out->count == 1 ? out->data[0] : NAN;
    eval_array_free(out);
    return value;
}

/* sum over all elements of node * (different weights) */
static const Node *weighted(const Node *node)
{
    const Scalar *number = INT(0);
    for (int k = 0; k < node->rank; k++)
        number = OP2(ADD, OP2(MUL, number, INT(3)), I(k));
    const Scalar *angle = OP2(MUL, OP1(TO_REAL, number), REAL(0.7));
    const Scalar *weight = OP2(ADD, OP1(SIN, OP2(ADD, angle, REAL(0.4))), REAL(0.2));
    return graph_comp(g, REDUCE_SUM, 0, node->rank, node->shape,
                      OP2(MUL, weight, scalar_load_at(g, node, 0)), NULL, NO_SPAN);
}

static int scatters(const Node *root)
{
    Nodes nodes = graph_reach(graph_arena(g), &root, 1);
    int n = 0;
    for (int i = 0; i < nodes.len; i++)
        n += nodes.data[i]->kind == NODE_SCATTER;
    return n;
}

static int nodes_added(const Node *root, const Node *y)
{
    return graph_reach(graph_arena(g), &root, 1).len - graph_reach(graph_arena(g), &y, 1).len;
}

/* The derivatives of the scalar node y by all real leaves; NULL where there is none. */
static void gradients(const Node *y, const Node **out)
{
    const Node *wrt[MAX_LEAVES], *some[MAX_LEAVES];
    int n = 0;
    for (int i = 0; i < n_leaves; i++)
        if (leaves[i].differentiate) wrt[n++] = leaves[i].node;
    autodiff(g, y, graph_scalar(g, REAL(1)), 0, wrt, n, some);
    for (int i = n_leaves - 1; i >= 0; i--)
        out[i] = leaves[i].differentiate ? some[--n] : NULL;
}

static bool gradient_agrees(const Node *y, int i, const Node *gradient)
{
    EvalArray *array = leaves[i].value;
    const EvalArray *found = gradient ? evaluate(gradient) : NULL;
    bool good = !gradient || (found && found->count == array->count);
    for (int64_t k = 0; good && k < array->count; k++) {
        double x = array->data[k], h = 1e-4, f[4];
        static const double at[] = {-2, -1, 1, 2};
        for (int j = 0; j < 4; j++) {
            array->data[k] = x + at[j] * h;
            f[j] = value_of(y);
        }
        array->data[k] = x;
        double expected = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
        double value = found ? found->data[k] : 0;
        good = unit_near(value, expected, 1e-6) && isfinite(value);
        if (!good) fprintf(stderr, "leaf %d [%d]: %.9g, not %.9g\n", i, (int)k, value, expected);
    }
    eval_array_free((EvalArray *)(uintptr_t)found);
    return good;
}

/* Whether derivatives up to this order agree with differences of those of one order less. */
static bool derivatives_agree(const Node *y, int order)
{
    if (order == 0) return true;
    const Node *gradient[MAX_LEAVES];
    gradients(y, gradient);
    const Scalar *sum = REAL(0);
    for (int i = 0; i < n_leaves; i++) {
        if (leaves[i].differentiate && !gradient_agrees(y, i, gradient[i])) return false;
        if (gradient[i]) sum = OP2(ADD, sum, LOAD(weighted(gradient[i]), NULL));
    }
    return derivatives_agree(graph_scalar(g, sum), order - 1);
}
#define AGREES(node, order) CU_ASSERT(derivatives_agree(weighted(node), order))

/* --- reductions ------------------------------------------------------------------------------ */

static void test_maps(void)
{
    begin();
    const Node *x = POSITIVE(3), *y = POSITIVE(3);
    const Scalar *a = LOAD(x, I(0)), *b = LOAD(y, I(0));
    const Scalar *bodies[] = {
        OP2(ADD, OP2(MUL, a, b), a),
        OP2(DIV, a, b),
        OP2(POW, a, b),
        OP2(POW, a, REAL(2)),
        OP1(EXP, OP2(SUB, a, b)),
        OP1(LOG, OP2(MUL, a, a)),
        OP1(TANH, OP2(MUL, a, b)),
        OP1(SQRT, OP2(ADD, a, b)),
        OP2(MAX, a, b),
        OP2(MIN, OP1(SIN, a), OP1(COS, b)),
        OP1(LGAMMA, a),
        OP2(ATAN2, a, b),
        OP1(ERF, OP2(SUB, a, b)),
        OP1(ABS, OP2(SUB, a, b)),
        scalar_select(g, OP2(LT, a, b), OP2(MUL, a, a), OP2(MUL, b, OP1(EXP, a)))};
    for (int i = 0; i < COUNT(bodies); i++)
        AGREES(comp(REDUCE_NONE, 1, DIMS(3), bodies[i], NULL), 2);
    AGREES(comp(REDUCE_NONE, 1, DIMS(3), bodies[6], NULL), 3);
    const Node *t = comp(REDUCE_NONE, 1, DIMS(3), OP1(TANH, a), NULL);
    const Node *u = comp(REDUCE_NONE, 2, DIMS(3, 3), OP2(MUL, LOAD(t, I(0)), LOAD(y, I(1))), NULL);
    const Node *v =
        comp(REDUCE_NONE, 2, DIMS(3, 3), OP2(ADD, LOAD(u, I(1), I(0)), LOAD(t, I(0))), NULL);
    AGREES(comp(REDUCE_NONE, 2, DIMS(3, 3),
                OP1(SIN, OP2(MUL, LOAD(v, I(0), I(1)), LOAD(u, I(0), I(1)))), NULL),
           3);
    end();
}

static void test_sums(void)
{
    begin();
    const Node *x = LEAF(4, 3), *w = LEAF(3, 2);
    const Scalar *product = OP2(MUL, LOAD(x, I(0), I(2)), LOAD(w, I(2), I(1)));
    const Node *h = comp(REDUCE_SUM, 2, DIMS(4, 2, 3), product, NULL);
    AGREES(h, 3);
    AGREES(comp(REDUCE_NONE, 2, DIMS(4, 2), OP1(TANH, LOAD(h, I(0), I(1))), NULL), 2);
    AGREES(comp(REDUCE_NONE, 2, DIMS(4, 2), OP2(MAX, LOAD(h, I(0), I(1)), REAL(0)), NULL), 2);
    AGREES(comp(REDUCE_MEAN, 1, DIMS(2, 4), OP1(EXP, LOAD(h, I(1), I(0))), NULL), 2);
    const Scalar *some = OP2(LT, REAL(-0.2), LOAD(x, I(0), I(1)));
    AGREES(comp(REDUCE_MEAN, 1, DIMS(4, 3), OP2(MUL, LOAD(x, I(0), I(1)), LOAD(w, I(1), INT(0))),
                some),
           2);
    AGREES(
        comp(REDUCE_SUM, 1, DIMS(4, 3), OP2(MUL, LOAD(x, I(0), I(1)), LOAD(w, I(1), INT(1))), some),
        2);
    /* softmax and its cross-entropy */
    const Node *m = comp(REDUCE_MAX, 1, DIMS(4, 3), LOAD(x, I(0), I(1)), NULL);
    const Node *shifted = comp(REDUCE_NONE, 2, DIMS(4, 3),
                               OP2(SUB, LOAD(x, I(0), I(1)), OP1(STOP, LOAD(m, I(0)))), NULL);
    const Node *sum = comp(REDUCE_SUM, 1, DIMS(4, 3), OP1(EXP, LOAD(shifted, I(0), I(1))), NULL);
    const Node *lp = comp(REDUCE_NONE, 2, DIMS(4, 3),
                          OP2(SUB, LOAD(shifted, I(0), I(1)), OP1(LOG, LOAD(sum, I(0)))), NULL);
    const Node *label = LEAF_INT(3, 4);
    const Node *loss =
        comp(REDUCE_MEAN, 0, DIMS(4), OP1(NEG, LOAD(lp, I(0), LOAD(label, I(0)))), NULL);
    CU_ASSERT(derivatives_agree(loss, 2));
    const Node *out[MAX_LEAVES];
    gradients(loss, out);
    CU_ASSERT_EQUAL(scatters(out[0]), 0);
    CU_ASSERT(nodes_added(out[0], loss) <= 2);
    end();
}

static void test_products(void)
{
    begin();
    const Node *x = LEAF(3, 4);
    const Node *p = comp(REDUCE_PROD, 1, DIMS(3, 4), LOAD(x, I(0), I(1)), NULL);
    AGREES(p, 3);
    leaves[0].value->data[1] = 0; /* one zero in a row, two in another */
    leaves[0].value->data[5] = leaves[0].value->data[7] = 0;
    AGREES(p, 2);
    AGREES(comp(REDUCE_PROD, 0, DIMS(3, 4), OP2(ADD, LOAD(x, I(0), I(1)), REAL(0.5)),
                OP2(LT, I(0), I(1))),
           2);
    end();
}

static void test_extrema(void)
{
    begin();
    const Node *x = LEAF(3, 4, 2), *c = LEAF(4);
    const Scalar *a = LOAD(x, I(0), I(1), I(2));
    AGREES(comp(REDUCE_MAX, 1, DIMS(3, 4, 2), a, NULL), 1);
    AGREES(comp(REDUCE_MIN, 1, DIMS(3, 4, 2), OP2(MUL, a, LOAD(c, I(1))), NULL), 2);
    AGREES(comp(REDUCE_MAX, 0, DIMS(3, 4, 2), OP2(MUL, a, OP1(EXP, a)), NULL), 3);
    AGREES(comp(REDUCE_MAX, 2, DIMS(3, 2, 4), OP2(MUL, LOAD(x, I(0), I(2), I(1)), LOAD(c, I(2))),
                OP2(LT, LOAD(c, I(2)), REAL(0.5))),
           2);
    /* what does not run over the reduced axis, and nothing that passes the guard */
    AGREES(comp(REDUCE_MAX, 1, DIMS(3, 4), OP2(MUL, LOAD(x, I(0), INT(0), INT(0)), LOAD(c, I(1))),
                NULL),
           2);
    const Node *none =
        comp(REDUCE_MAX, 1, DIMS(3, 4), OP2(MUL, LOAD(x, I(0), I(1), INT(1)), LOAD(c, I(1))),
             OP2(LT, I(0), INT(1)));
    const Scalar *m = LOAD(none, I(0));
    const Scalar *kept = scalar_select(g, OP2(LT, m, REAL(-1e9)), REAL(0), OP2(MUL, m, m));
    AGREES(comp(REDUCE_NONE, 1, DIMS(3), kept, NULL), 2);
    const Node *out[MAX_LEAVES];
    gradients(weighted(comp(REDUCE_ARGMAX, 1, DIMS(3, 4), LOAD(x, I(0), I(1), INT(0)), NULL)), out);
    CU_ASSERT_PTR_NULL(out[0]);
    gradients(comp(REDUCE_MAX, 0, DIMS(4), LOAD(c, I(0)), NULL), out);
    CU_ASSERT_PTR_NULL(out[0]);
    CU_ASSERT_EQUAL(scatters(out[1]), 0);
    end();
}

/* The first of equal maximisers gets all of it; where all are -inf or NaN, none. */
static void test_ties(void)
{
    begin();
    const Node *x = LEAF(3, 3);
    const double values[] = {1, 1, 0, -INFINITY, -INFINITY, -INFINITY, NAN, 2, 2};
    memcpy(leaves[0].value->data, values, sizeof values);
    const Node *out[MAX_LEAVES];
    gradients(comp(REDUCE_SUM, 0, DIMS(3),
                   LOAD(comp(REDUCE_MAX, 1, DIMS(3, 3), LOAD(x, I(0), I(1)), NULL), I(0)), NULL),
              out);
    const EvalArray *found = evaluate(out[0]);
    const double expected[] = {1, 0, 0, 0, 0, 0, 0, 1, 0};
    for (int i = 0; found && i < 9; i++)
        CU_ASSERT_EQUAL(found->data[i], expected[i]);
    CU_ASSERT_PTR_NOT_NULL(found);
    eval_array_free((EvalArray *)(uintptr_t)found);
    end();
}

/* --- windows --------------------------------------------------------------------------------- */

/* y[i] = sum[p] x[s*i + d*p - a] outside 0 * w[p]; returns whether both derivatives agree. */
static bool window_agrees(int64_t s, int64_t d, int64_t a, int64_t size, int64_t window, int64_t n,
                          Reduce reduce, int order)
{
    begin();
    const Node *x = LEAF(size), *w = LEAF(window);
    const Scalar *at = OP2(ADD, OP2(MUL, INT(s), I(0)), OP2(SUB, OP2(MUL, INT(d), I(1)), INT(a)));
    const Scalar *body = OP2(MUL, LOAD_OUTSIDE(REAL(0), x, at), LOAD(w, I(1)));
    const Node *y = comp(reduce, 1, DIMS(n, window), body, NULL);
    bool good = derivatives_agree(weighted(y), order);
    const Node *out[MAX_LEAVES];
    gradients(weighted(y), out);
    for (int i = 0; i < 2; i++)
        if (out[i] && scatters(out[i])) good = false;
    if (!good)
        fprintf(stderr, "s %d d %d a %d size %d window %d n %d\n", (int)s, (int)d, (int)a,
                (int)size, (int)window, (int)n);
    end();
    return good;
}

static void test_windows(void)
{
    int cases = 0;
    for (int64_t s = 1; s <= 4; s++)
        for (int64_t d = 1; d <= 4; d++)
            for (int64_t a = 0; a <= 2; a++)
                for (int64_t size = 5; size <= 8; size += 3)
                    for (int64_t window = 1; window <= 4; window++) {
                        int64_t n = (size + 2 * a - d * (window - 1) - 1);
                        n = n < 0 ? 1 : n / s + 1;
                        cases++;
                        CU_ASSERT(window_agrees(s, d, a, size, window, n, REDUCE_SUM, 1));
                    }
    CU_ASSERT(cases > 300);
    for (int64_t s = -3; s <= 3; s++)
        for (int64_t d = -3; d <= 3; d++)
            for (int64_t a = -2; a <= 1; a++)
                CU_ASSERT(window_agrees(s, d, a, 7, 3, 4, s == d ? REDUCE_MAX : REDUCE_SUM, 2));
}

/* A two-dimensional convolution over a batch, with channels. */
static void test_conv2d(void)
{
    for (int stride = 1; stride <= 3; stride++)
        for (int pad = 0; pad <= 1; pad++) {
            begin();
            const Node *x = LEAF(2, 5, 6, 2), *w = LEAF(3, 2, 2, 2);
            int64_t rows = (5 + 2 * pad - 3) / stride + 1, cols = (6 + 2 * pad - 2) / stride + 1;
            const Scalar *row = OP2(ADD, OP2(MUL, INT(stride), I(1)), OP2(SUB, I(4), INT(pad)));
            const Scalar *col = OP2(ADD, OP2(MUL, INT(stride), I(2)), OP2(SUB, I(5), INT(pad)));
            const Scalar *body = OP2(MUL, LOAD_OUTSIDE(REAL(0), x, I(0), row, col, I(6)),
                                     LOAD(w, I(4), I(5), I(6), I(3)));
            const Node *y = comp(REDUCE_SUM, 4, DIMS(2, rows, cols, 2, 3, 2, 2), body, NULL);
            const Node *r =
                graph_map(g, 4, y->shape, OP2(MAX, scalar_load_at(g, y, 0), REAL(0)), NO_SPAN);
            const Node *out[MAX_LEAVES], *loss = weighted(r);
            CU_ASSERT(derivatives_agree(loss, 1));
            gradients(loss, out);
            for (int i = 0; i < 2; i++) {
                CU_ASSERT_EQUAL(scatters(out[i]), 0);
                if (stride == 1) CU_ASSERT(nodes_added(out[i], loss) <= 1);
            }
            /* max pooling of it */
            Extent iters[6];
            memcpy(iters, y->shape, sizeof(Extent) * 4);
            iters[1].max /= 2;
            iters[2].max /= 2;
            iters[4] = iters[5] = extent_fixed(2);
            const Scalar *pr = OP2(ADD, OP2(MUL, INT(2), I(1)), I(4));
            const Scalar *pc = OP2(ADD, OP2(MUL, INT(2), I(2)), I(5));
            const Node *pool =
                graph_comp(g, REDUCE_MAX, 4, 6, iters, LOAD(y, I(0), pr, pc, I(3)), NULL, NO_SPAN);
            loss = weighted(pool);
            CU_ASSERT(derivatives_agree(loss, 1));
            gradients(loss, out);
            CU_ASSERT_EQUAL(scatters(out[0]) + scatters(out[1]), 0);
            end();
        }
}

/* --- other subscripts ------------------------------------------------------------------------ */

static void test_subscripts(void)
{
    begin();
    const Node *x = LEAF(4, 4), *v = LEAF(6);
    AGREES(comp(REDUCE_NONE, 1, DIMS(4), OP1(EXP, LOAD(x, I(0), I(0))), NULL), 2);
    AGREES(comp(REDUCE_NONE, 1, DIMS(4), OP1(SIN, LOAD(x, INT(2), I(0))), NULL), 2);
    AGREES(comp(REDUCE_NONE, 1, DIMS(3), OP2(MUL, LOAD(v, OP2(ADD, I(0), INT(3))), LOAD(v, I(0))),
                NULL),
           3);
    AGREES(comp(REDUCE_NONE, 1, DIMS(6), OP1(EXP, LOAD(v, OP2(SUB, INT(5), I(0)))), NULL), 2);
    AGREES(comp(REDUCE_NONE, 2, DIMS(3, 4), OP1(SIN, LOAD(v, OP2(ADD, I(0), I(1)))), NULL), 2);
    AGREES(comp(REDUCE_NONE, 2, DIMS(2, 2),
                OP1(SIN, LOAD(x, OP2(ADD, I(0), I(1)), OP2(SUB, OP2(ADD, I(0), INT(1)), I(1)))),
                NULL),
           2);
    AGREES(comp(REDUCE_NONE, 2, DIMS(2, 2),
                OP1(SIN, LOAD(v, OP2(ADD, OP2(MUL, INT(2), I(0)), OP2(MUL, INT(3), I(1))))), NULL),
           2);
    AGREES(comp(REDUCE_SUM, 1, DIMS(2, 2, 2),
                OP2(MUL, LOAD(v, OP2(ADD, OP2(ADD, OP2(MUL, INT(2), I(0)), I(1)), I(2))),
                    LOAD(x, I(1), I(2))),
                NULL),
           2);
    AGREES(comp(REDUCE_NONE, 1, DIMS(12), OP1(EXP, LOAD(v, OP2(IDIV, I(0), INT(2)))), NULL), 2);
    AGREES(comp(REDUCE_SUM, 0, DIMS(3),
                OP2(MUL, LOAD(v, OP2(ADD, I(0), INT(2))), LOAD(x, I(0), I(0))), NULL),
           2);
    const Scalar *far = LOAD_OUTSIDE(OP2(MUL, LOAD(x, INT(0), INT(0)), REAL(2)), v,
                                     OP2(SUB, OP2(MUL, INT(2), I(0)), INT(1)));
    AGREES(comp(REDUCE_NONE, 1, DIMS(5), OP2(MUL, far, far), NULL), 2);
    end();
}

static void test_gathers(void)
{
    begin();
    const Node *table = LEAF(5, 3), *index = LEAF_INT(5, 4, 2), *x = LEAF(4, 6);
    const Scalar *at = LOAD(index, I(0), I(1));
    const Node *rows = comp(REDUCE_NONE, 3, DIMS(4, 2, 3), LOAD(table, at, I(2)), NULL);
    AGREES(comp(REDUCE_NONE, 3, DIMS(4, 2, 3), OP1(TANH, LOAD(rows, I(0), I(1), I(2))), NULL), 2);
    AGREES(comp(REDUCE_NONE, 2, DIMS(4, 2), OP1(EXP, LOAD(x, I(0), at)), NULL), 2);
    AGREES(
        comp(REDUCE_MAX, 1, DIMS(4, 2), OP2(MUL, LOAD(x, I(0), at), LOAD(table, at, INT(1))), NULL),
        2);
    const Node *one =
        comp(REDUCE_NONE, 1, DIMS(4),
             OP1(LOG, OP2(ADD, REAL(2), LOAD(x, I(0), LOAD(index, I(0), INT(0))))), NULL);
    const Node *out[MAX_LEAVES];
    AGREES(one, 2);
    gradients(weighted(one), out);
    CU_ASSERT_EQUAL(scatters(out[2]), 0);
    const Scalar *far = OP2(SUB, OP2(MUL, INT(2), at), INT(1));
    AGREES(comp(REDUCE_NONE, 2, DIMS(4, 2), OP1(EXP, LOAD_OUTSIDE(REAL(0.5), x, I(0), far)), NULL),
           2);
    /* the scatter of a graph network: received[v, f] = sum[e where dst[e] == v] m[e, f]^2 */
    const Scalar *position[] = {LOAD(index, I(0), INT(0)), I(1)};
    const Scalar *m = LOAD(x, I(0), I(1));
    Extent shape[] = {extent_fixed(5), extent_fixed(6)},
           iters[] = {extent_fixed(4), extent_fixed(6)};
    const Node *s = graph_scatter(g, 2, shape, position, 2, iters, OP2(MUL, m, m),
                                  OP2(LT, I(1), INT(5)), NO_SPAN);
    AGREES(s, 2);
    AGREES(comp(REDUCE_NONE, 2, DIMS(5, 6), OP1(SIN, LOAD(s, I(0), I(1))), NULL), 2);
    /* the same as a sum, and positions out of the axes, which add nothing */
    const Scalar *equal = OP2(EQ, LOAD(index, I(2), INT(0)), I(0));
    AGREES(comp(REDUCE_SUM, 2, DIMS(5, 6, 4), OP1(EXP, LOAD(x, I(2), I(1))), equal), 2);
    const Scalar *beyond[] = {OP2(SUB, LOAD(index, I(0), INT(1)), INT(1)), I(1)};
    AGREES(graph_scatter(g, 2, (Extent[]){extent_fixed(3), extent_fixed(6)}, beyond, 2, iters,
                         OP1(EXP, m), NULL, NO_SPAN),
           2);
    end();
}

static void test_companions(void)
{
    begin();
    const Node *x = LEAF(2, 6), *z = LEAF(2, 3);
    Extent shape[] = {extent_fixed(3), extent_fixed(4)};
    const Node *e = comp(REDUCE_NONE, 2, DIMS(2, 6), OP1(EXP, LOAD(x, I(0), I(1))), NULL);
    const Node *r = graph_reshape(g, e, 2, shape, NO_SPAN);
    AGREES(comp(REDUCE_NONE, 2, DIMS(4, 3), OP1(SIN, LOAD(r, I(1), I(0))), NULL), 3);
    Extent joined[] = {extent_fixed(2), extent_fixed(12)};
    Piece pieces[] = {{e, 0, 1}, {z, 6, 2}};
    const Node *j = graph_pieces(g, TYPE_REAL, 2, joined, 1, 2, pieces, NO_SPAN);
    AGREES(
        comp(REDUCE_NONE, 2, DIMS(2, 12), OP2(MUL, LOAD(j, I(0), I(1)), LOAD(j, I(0), I(1))), NULL),
        3);
    const Node *t = graph_tag(g, z);
    AGREES(comp(REDUCE_NONE, 2, DIMS(2, 3),
                OP2(MUL, LOAD(t, I(0), I(1)), OP1(EXP, LOAD(z, I(0), I(1)))), NULL),
           2);
    const Node *order = graph_order(g, x, NO_SPAN);
    const Node *sorted =
        comp(REDUCE_NONE, 2, DIMS(2, 6), LOAD(x, I(0), LOAD(order, I(0), I(1))), NULL);
    AGREES(comp(REDUCE_NONE, 2, DIMS(2, 6), OP2(MUL, LOAD(sorted, I(0), I(1)), OP1(TO_REAL, I(1))),
                NULL),
           1);
    end();
}

/* A batch axis of run-time size, and rows whose own lengths differ. */
static void test_bounded(void)
{
    begin();
    const Node *size = graph_leaf(g, &(Leaf){.kind = LEAF_SIZE, .name = name_of(context, "batch")},
                                  TYPE_INT, 0, NULL);
    Extent batch = {5, LOAD(size, NULL)}, fixed = extent_fixed(4);
    const Node *x = leaf_shaped(TYPE_REAL, 2, (Extent[]){batch, fixed}, (int64_t[]){3, 4}, -1, 1);
    const Node *w = LEAF(4, 2), *b = LEAF(2);
    const Scalar *product = OP2(MUL, LOAD(x, I(0), I(2)), LOAD(w, I(2), I(1)));
    const Node *h = graph_comp(g, REDUCE_SUM, 2, 3, (Extent[]){batch, extent_fixed(2), fixed},
                               product, NULL, NO_SPAN);
    const Node *r = graph_map(
        g, 2, h->shape, OP2(MAX, OP2(ADD, LOAD(h, I(0), I(1)), LOAD(b, I(1))), REAL(0)), NO_SPAN);
    const Node *m = graph_comp(g, REDUCE_MEAN, 1, 2, (Extent[]){extent_fixed(2), batch},
                               LOAD(r, I(1), I(0)), NULL, NO_SPAN);
    AGREES(r, 2);
    AGREES(m, 2);
    AGREES(
        graph_map(g, 2, r->shape, OP1(EXP, OP2(SUB, LOAD(r, I(0), I(1)), LOAD(m, I(1)))), NO_SPAN),
        2);
    AGREES(graph_comp(g, REDUCE_MAX, 1, 2, (Extent[]){fixed, batch}, LOAD(x, I(1), I(0)), NULL,
                      NO_SPAN),
           1);
    const Node *out[MAX_LEAVES];
    const Node *loss =
        graph_comp(g, REDUCE_MEAN, 0, 1, &batch, OP1(TANH, LOAD(h, I(0), INT(1))), NULL, NO_SPAN);
    CU_ASSERT(derivatives_agree(loss, 2));
    gradients(loss, out);
    CU_ASSERT_EQUAL(scatters(out[0]) + scatters(out[1]), 0);
    CU_ASSERT_EQUAL(out[0]->reduce, REDUCE_NONE);

    const Node *length = LEAF_INT(4, 3);
    Extent row = {4, LOAD(length, I(0))};
    const Node *z = LEAF(3, 4);
    const Extent rows[] = {extent_fixed(3), row};
    const Node *e = graph_map(g, 2, rows, OP1(EXP, LOAD(z, I(0), I(1))), NO_SPAN);
    AGREES(e, 2);
    AGREES(graph_comp(g, REDUCE_MEAN, 1, 2, rows, LOAD(e, I(0), I(1)), NULL, NO_SPAN), 2);
    const Node *p = graph_comp(g, REDUCE_PROD, 1, 2, rows, LOAD(e, I(0), I(1)), NULL, NO_SPAN);
    AGREES(p, 2);
    const Scalar *pair =
        OP2(MUL, LOAD(e, I(0), I(1)), OP2(MUL, LOAD(e, I(0), I(2)), LOAD(z, I(0), I(2))));
    const Extent triple[] = {rows[0], row, row};
    AGREES(graph_comp(g, REDUCE_SUM, 1, 3, triple, pair, NULL, NO_SPAN), 2);
    const Scalar *next = LOAD_OUTSIDE(REAL(0), e, I(0), OP2(ADD, I(1), INT(1)));
    AGREES(graph_map(g, 2, rows, OP2(MUL, next, LOAD(z, I(0), I(1))), NO_SPAN), 2);
    for (int i = 0; i < 3; i++)
        leaves[3].value->data[i] = 4 - i; /* no row is empty */
    AGREES(graph_comp(g, REDUCE_MAX, 1, 2, rows, LOAD(e, I(0), I(1)), NULL, NO_SPAN), 2);
    end();
}

static void test_constants(void)
{
    begin();
    const Node *x = LEAF(3);
    const Scalar *a = LOAD(x, I(0));
    const Node *out[MAX_LEAVES];
    const Scalar *none[] = {OP1(STOP, a),
                            OP1(FLOOR, a),
                            OP1(TO_REAL, OP1(TO_INT, a)),
                            OP1(TO_REAL, OP2(LT, a, REAL(0))),
                            OP1(SIGN, a),
                            REAL(3)};
    for (int i = 0; i < COUNT(none); i++) {
        gradients(weighted(comp(REDUCE_NONE, 1, DIMS(3), none[i], NULL)), out);
        CU_ASSERT_PTR_NULL(out[0]);
    }
    /* a node differentiated by is an end */
    const Node *t = graph_tag(g, comp(REDUCE_NONE, 1, DIMS(3), OP2(MUL, a, a), NULL));
    const Node *y = weighted(comp(REDUCE_NONE, 1, DIMS(3), OP2(MUL, a, LOAD(t, I(0))), NULL));
    const Node *wrt[] = {t, x, y}, *by[3];
    autodiff(g, y, graph_scalar(g, REAL(1)), 0, wrt, 2, by);
    CU_ASSERT_PTR_NOT_NULL(by[0]);
    CU_ASSERT_PTR_NOT_NULL(by[1]);
    const EvalArray *partial = evaluate(by[1]), *square = evaluate(t);
    const Node *whole[1];
    autodiff(g, y, graph_scalar(g, REAL(1)), 0, &x, 1, whole);
    const EvalArray *total = evaluate(whole[0]);
    for (int i = 0; i < 3; i++)
        CU_ASSERT(unit_near(total->data[i], 3 * partial->data[i], 1e-12) && square->data[i] >= 0);
    eval_array_free((EvalArray *)(uintptr_t)partial);
    eval_array_free((EvalArray *)(uintptr_t)square);
    eval_array_free((EvalArray *)(uintptr_t)total);
    autodiff(g, y, graph_scalar(g, REAL(1)), 0, &wrt[2], 1, by);
    ASSERT_NEAR(value_of(by[0]), 1);
    end();
}

/* --- masks ----------------------------------------------------------------------------------- */

/* Derivatives up to third order of y are finite and, at masked elements of leaf 0, zero. */
static bool masked_agrees(const Node *y, int order, const char *masked)
{
    for (; order > 0; order--) {
        const Node *gradient[MAX_LEAVES];
        gradients(y, gradient);
        const Scalar *sum = REAL(0);
        for (int i = 0; i < n_leaves; i++) {
            if (!gradient[i]) continue;
            const EvalArray *found = evaluate(gradient[i]);
            bool good = found != NULL;
            for (int64_t k = 0; good && k < found->count; k++) {
                good = isfinite(found->data[k]) && (i || masked[k] == ' ' || found->data[k] == 0);
                if (!good)
                    fprintf(stderr, "order %d leaf %d [%d]: %g\n", order, i, (int)k,
                            found->data[k]);
            }
            eval_array_free((EvalArray *)(uintptr_t)found);
            if (!good) return false;
            sum = OP2(ADD, sum, LOAD(weighted(gradient[i]), NULL));
        }
        y = graph_scalar(g, sum);
    }
    return true;
}

static void test_masks(void)
{
    begin();
    const Node *x = POSITIVE(4), *w = LEAF(3, 4);
    leaves[0].value->data[1] = leaves[0].value->data[2] = 0;
    const char *masked = " xx ";
    const Scalar *a = LOAD(x, I(0)), *zero = REAL(0), *good = OP2(LT, zero, a);
    const Node *y = comp(REDUCE_NONE, 1, DIMS(4), scalar_select(g, good, OP1(LOG, a), zero), NULL);
    CU_ASSERT(masked_agrees(weighted(y), 3, masked));
    const Node *u = comp(REDUCE_NONE, 1, DIMS(4), OP1(LOG, a), NULL);
    y = comp(REDUCE_NONE, 1, DIMS(4), scalar_select(g, good, LOAD(u, I(0)), zero), NULL);
    CU_ASSERT(masked_agrees(weighted(y), 3, masked));
    AGREES(y, 0);
    /* ... through more nodes: y = if good then sqrt(log(x)^2 + x) / x, */
    const Node *s = comp(REDUCE_NONE, 1, DIMS(4),
                         OP1(SQRT, OP2(ADD, OP2(MUL, LOAD(u, I(0)), LOAD(u, I(0))), a)), NULL);
    const Node *sx = comp(REDUCE_NONE, 1, DIMS(4), OP2(DIV, LOAD(s, I(0)), a), NULL);
    y = comp(REDUCE_NONE, 1, DIMS(4), scalar_select(g, OP1(NOT, good), REAL(1), LOAD(sx, I(0))),
             NULL);
    CU_ASSERT(masked_agrees(weighted(y), 3, masked));
    /* ... through sums with weights: h[i, j] = log(x[j]) * w[i, j], masked by element, */
    const Node *h =
        comp(REDUCE_NONE, 2, DIMS(3, 4), OP2(MUL, LOAD(u, I(1)), LOAD(w, I(0), I(1))), NULL);
    const Scalar *good1 = OP2(LT, zero, LOAD(x, I(1)));
    y = comp(REDUCE_NONE, 2, DIMS(3, 4), scalar_select(g, good1, LOAD(h, I(0), I(1)), zero), NULL);
    CU_ASSERT(masked_agrees(weighted(y), 3, masked));
    const Node *other =
        comp(REDUCE_SUM, 1, DIMS(3, 4), OP2(MUL, LOAD(u, I(1)), LOAD(w, I(0), I(1))), good1);
    CU_ASSERT(masked_agrees(weighted(other), 3, masked));
    /* ... as a filter over the results of other nodes, and a maximum, */
    y = comp(REDUCE_SUM, 1, DIMS(3, 4), OP1(EXP, LOAD(h, I(0), I(1))), good1);
    CU_ASSERT(masked_agrees(weighted(y), 3, masked));
    y = comp(REDUCE_MEAN, 1, DIMS(3, 4), OP1(SIN, LOAD(h, I(0), I(1))), good1);
    CU_ASSERT(masked_agrees(weighted(y), 3, masked));
    y = comp(REDUCE_MAX, 1, DIMS(3, 4), LOAD(h, I(0), I(1)), good1);
    CU_ASSERT(masked_agrees(weighted(y), 2, masked));
    /* ... through a reshape, pieces and a gather. */
    Extent flat[] = {extent_fixed(12)}, longer[] = {extent_fixed(14)};
    const Node *r = graph_reshape(g, h, 1, flat, NO_SPAN);
    const Node *v = comp(REDUCE_NONE, 1, DIMS(2), LOAD(u, OP2(MUL, INT(3), I(0))), NULL);
    const Node *j =
        graph_pieces(g, TYPE_REAL, 1, longer, 0, 2, (Piece[]){{r, 0, 1}, {v, 12, 1}}, NO_SPAN);
    const Scalar *column = OP2(MOD, I(0), INT(4));
    const Scalar *edge = OP2(OR, OP2(EQ, column, INT(0)), OP2(EQ, column, INT(3)));
    y = comp(REDUCE_NONE, 1, DIMS(12), scalar_select(g, edge, LOAD(j, I(0)), zero), NULL);
    CU_ASSERT(masked_agrees(weighted(y), 3, masked));
    end();
}

/* relu'(0) = 0 and the contrary branch at ties. */
static void test_kinks(void)
{
    begin();
    const Node *x = LEAF(2);
    leaves[0].value->data[0] = leaves[0].value->data[1] = 0;
    const Scalar *a = LOAD(x, I(0));
    const Scalar *bodies[] = {OP2(MAX, a, REAL(0)), OP1(ABS, a), OP2(MAX, REAL(0), a),
                              OP2(POW, a, REAL(2)), OP2(MUL, OP1(LOG, a), REAL(0))};
    const double expected[] = {0, 0, 1, 0, INFINITY};
    for (int i = 0; i < 4; i++) {
        const Node *out[MAX_LEAVES];
        gradients(comp(REDUCE_SUM, 0, DIMS(2), bodies[i], NULL), out);
        const EvalArray *found = out[0] ? evaluate(out[0]) : NULL;
        CU_ASSERT(found ? found->data[0] == expected[i] : expected[i] == 0);
        eval_array_free((EvalArray *)(uintptr_t)found);
    }
    end();
}

/* --- extra axes ------------------------------------------------------------------------------ */

/* The Jacobian of y, by a seed with y's axes twice, against the gradients of its elements one by
 * one. */
static bool jacobian_agrees(const Node *y)
{
    Extent shape[MAX_RANK];
    const Scalar *same = scalar_bool(g, true);
    int rank = y->rank;
    int64_t elements = node_max_elements(y);
    for (int k = 0; k < rank; k++) {
        shape[k] = shape[rank + k] = y->shape[k];
        same = OP2(AND, same, OP2(EQ, I(k), I(rank + k)));
    }
    const Node *wrt[MAX_LEAVES], *all[MAX_LEAVES], *one[MAX_LEAVES];
    int n = 0;
    for (int i = 0; i < n_leaves; i++)
        if (leaves[i].differentiate) wrt[n++] = leaves[i].node;
    const Node *seed =
        graph_map(g, 2 * rank, shape, scalar_select(g, same, REAL(1), REAL(0)), NO_SPAN);
    autodiff(g, y, seed, rank, wrt, n, all);
    const EvalArray *whole[MAX_LEAVES];
    bool good = true;
    for (int i = 0; i < n; i++)
        whole[i] = all[i] ? evaluate(all[i]) : NULL;
    for (int64_t e = 0; e < elements && good; e++) {
        const Scalar *subs[MAX_RANK];
        int64_t rest = e;
        for (int k = rank - 1; k >= 0; k--) {
            subs[k] = INT(rest % shape[k].max);
            rest /= shape[k].max;
        }
        autodiff(g, graph_scalar(g, load(y, subs, NULL)), graph_scalar(g, REAL(1)), 0, wrt, n, one);
        for (int i = 0; i < n && good; i++) {
            const EvalArray *row = one[i] ? evaluate(one[i]) : NULL;
            int64_t count = node_max_elements(wrt[i]);
            good = all[i] ? whole[i] && whole[i]->count == elements * count : !row;
            for (int64_t k = 0; good && all[i] && k < count; k++)
                good = unit_near(whole[i]->data[e * count + k], row ? row->data[k] : 0, 1e-12);
            eval_array_free((EvalArray *)(uintptr_t)row);
        }
    }
    for (int i = 0; i < n; i++)
        eval_array_free((EvalArray *)(uintptr_t)whole[i]);
    return good;
}

static void test_jacobians(void)
{
    begin();
    const Node *x = LEAF(2, 4), *w = LEAF(3, 4), *v = LEAF(9), *index = LEAF_INT(4, 3);
    const Node *h = comp(REDUCE_SUM, 2, DIMS(2, 3, 4),
                         OP2(MUL, LOAD(x, I(0), I(2)), LOAD(w, I(1), I(2))), NULL);
    const Node *t = comp(REDUCE_NONE, 2, DIMS(2, 3), OP1(TANH, LOAD(h, I(0), I(1))), NULL);
    CU_ASSERT(jacobian_agrees(h));
    CU_ASSERT(jacobian_agrees(t));
    CU_ASSERT(jacobian_agrees(comp(REDUCE_MAX, 1, DIMS(2, 3), LOAD(t, I(0), I(1)), NULL)));
    CU_ASSERT(jacobian_agrees(comp(REDUCE_PROD, 1, DIMS(3, 2), LOAD(t, I(1), I(0)), NULL)));
    CU_ASSERT(jacobian_agrees(comp(REDUCE_MEAN, 1, DIMS(3, 2), LOAD(t, I(1), I(0)), NULL)));
    CU_ASSERT(jacobian_agrees(
        comp(REDUCE_NONE, 1, DIMS(3), OP1(EXP, LOAD(x, INT(1), LOAD(index, I(0)))), NULL)));
    const Scalar *at = OP2(SUB, OP2(ADD, OP2(MUL, INT(2), I(0)), I(1)), INT(1));
    const Scalar *body = OP2(MUL, LOAD_OUTSIDE(REAL(0), v, at), LOAD(w, I(1), INT(0)));
    CU_ASSERT(jacobian_agrees(comp(REDUCE_SUM, 1, DIMS(5, 3), body, NULL)));
    Extent flat[] = {extent_fixed(6)}, joined[] = {extent_fixed(8)};
    const Node *r = graph_reshape(g, t, 1, flat, NO_SPAN);
    const Node *z = comp(REDUCE_NONE, 1, DIMS(2), OP1(EXP, LOAD(v, I(0))), NULL);
    const Node *j =
        graph_pieces(g, TYPE_REAL, 1, joined, 0, 2, (Piece[]){{r, 0, 1}, {z, 6, 1}}, NO_SPAN);
    CU_ASSERT(jacobian_agrees(comp(REDUCE_NONE, 1, DIMS(8), OP1(SIN, LOAD(j, I(0))), NULL)));
    const Scalar *position[] = {LOAD(index, I(0))};
    const Node *s = graph_scatter(g, 1, (Extent[]){extent_fixed(4)}, position, 2,
                                  (Extent[]){extent_fixed(3), extent_fixed(2)},
                                  OP1(SIN, LOAD(t, I(1), I(0))), NULL, NO_SPAN);
    CU_ASSERT(jacobian_agrees(s));
    /* the Jacobian of a map is a choice, not a sum */
    const Node *wrt[] = {v}, *out[1];
    Extent square[] = {extent_fixed(9), extent_fixed(9)};
    const Node *seed =
        graph_map(g, 2, square, scalar_select(g, OP2(EQ, I(0), I(1)), REAL(1), REAL(0)), NO_SPAN);
    autodiff(g, comp(REDUCE_NONE, 1, DIMS(9), OP1(EXP, LOAD(v, I(0))), NULL), seed, 1, wrt, 1, out);
    CU_ASSERT_EQUAL(out[0]->reduce, REDUCE_NONE);
    /* J of a sum of products: no sum over deltas remains */
    const Node *p =
        comp(REDUCE_SUM, 1, DIMS(3, 4), OP2(MUL, LOAD(w, I(0), I(1)), LOAD(x, INT(0), I(1))), NULL);
    square[0] = square[1] = extent_fixed(3);
    seed =
        graph_map(g, 2, square, scalar_select(g, OP2(EQ, I(0), I(1)), REAL(1), REAL(0)), NO_SPAN);
    const Node *both[2];
    autodiff(g, p, seed, 1, (const Node *[]){x, w}, 2, both);
    for (int i = 0; i < 2; i++)
        CU_ASSERT(both[i]->reduce == REDUCE_NONE && nodes_added(both[i], p) <= 0);
    end();
}

static const UnitTest tests[] = {{"maps", test_maps},          {"sums", test_sums},
                                 {"products", test_products},  {"extrema", test_extrema},
                                 {"ties", test_ties},          {"windows", test_windows},
                                 {"conv2d", test_conv2d},      {"subscripts", test_subscripts},
                                 {"gathers", test_gathers},    {"companions", test_companions},
                                 {"bounded", test_bounded},    {"constants", test_constants},
                                 {"masks", test_masks},        {"kinks", test_kinks},
                                 {"jacobians", test_jacobians}};
UNIT_MAIN("autodiff", tests)
