/* autodiff_check.h -- frame of the tests of derivatives: leaves with random values, graphs built by
 * hand, and their derivatives against finite differences of the reference evaluator. */
#ifndef NND_AUTODIFF_CHECK_H
#define NND_AUTODIFF_CHECK_H

#include "eval.h"
#include "unit.h"

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

static inline void begin(void)
{
    context = context_new();
    g = graph_new(context);
    env = eval_env(graph_arena(g), 7);
    env.batch = 3;
    n_leaves = 0;
    random_state = 12345;
}

static inline void end(void)
{
    for (int i = 0; i < n_leaves; i++)
        eval_array_free(leaves[i].value);
    context_free(context);
}

/* In (0, 1). */
static inline double random_real(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(random_state >> 40) + 0.5) / (double)(1 << 24);
}

static inline const Node *leaf_shaped(ElemType type, int rank, const Extent *shape,
                                      const int64_t *dims, double lo, double hi)
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

static inline const Node *leaf(ElemType type, int rank, const int64_t *dims, double lo, double hi)
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

static inline const Scalar *load(const Node *node, const Scalar *const *subs, const Scalar *outside)
{
    return scalar_load(g, node, subs, outside, NO_SPAN);
}
#define LOAD(node, ...)                load(node, (const Scalar *[]){__VA_ARGS__}, NULL)
#define LOAD_OUTSIDE(value, node, ...) load(node, (const Scalar *[]){__VA_ARGS__}, value)

static inline const Node *comp(Reduce reduce, int rank, int n, const int64_t *extents,
                               const Scalar *body, const Scalar *guard)
{
    Extent iters[MAX_ITERS];
    for (int i = 0; i < n; i++)
        iters[i] = extent_fixed(extents[i]);
    return graph_comp(g, reduce, rank, n, iters, body, guard, NO_SPAN);
}

static inline const EvalArray *evaluate(const Node *node)
{
    EvalArray *out = NULL;
    char error[256];
    const char *fault = graph_check(graph_arena(g), g, &node, 1);
    bool good = !fault && eval_roots(g, &env, &node, 1, &out, error, sizeof error);
    if (!good) fprintf(stderr, "%s\n", fault ? fault : error);
    return good ? out : NULL;
}

static inline double value_of(const Node *node)
{
    EvalArray *out = (EvalArray *)(uintptr_t)evaluate(node);
    double value = out && out->count == 1 ? out->data[0] : NAN;
    eval_array_free(out);
    return value;
}

/* sum over all elements of node * (different weights) */
static inline const Node *weighted(const Node *node)
{
    const Scalar *number = INT(0);
    for (int k = 0; k < node->rank; k++)
        number = OP2(ADD, OP2(MUL, number, INT(3)), I(k));
    const Scalar *angle = OP2(MUL, OP1(TO_REAL, number), REAL(0.7));
    const Scalar *weight = OP2(ADD, OP1(SIN, OP2(ADD, angle, REAL(0.4))), REAL(0.2));
    return graph_comp(g, REDUCE_SUM, 0, node->rank, node->shape,
                      OP2(MUL, weight, scalar_load_at(g, node, 0)), NULL, NO_SPAN);
}

static inline int scatters(const Node *root)
{
    Nodes nodes = graph_reach(graph_arena(g), &root, 1);
    int n = 0;
    for (int i = 0; i < nodes.len; i++)
        n += nodes.data[i]->kind == NODE_SCATTER;
    return n;
}

static inline int nodes_added(const Node *root, const Node *y)
{
    return graph_reach(graph_arena(g), &root, 1).len - graph_reach(graph_arena(g), &y, 1).len;
}

/* The derivatives of the scalar node y by all real leaves; NULL where there is none. */
static inline void gradients(const Node *y, const Node **out)
{
    const Node *wrt[MAX_LEAVES], *some[MAX_LEAVES];
    int n = 0;
    for (int i = 0; i < n_leaves; i++)
        if (leaves[i].differentiate) wrt[n++] = leaves[i].node;
    autodiff(g, y, graph_scalar(g, REAL(1)), 0, wrt, n, some);
    for (int i = n_leaves - 1; i >= 0; i--)
        out[i] = leaves[i].differentiate ? some[--n] : NULL;
}

static inline bool gradient_agrees(const Node *y, int i, const Node *gradient)
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
static inline bool derivatives_agree(const Node *y, int order)
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

#endif
