/* test_autodiff_forward.c -- forward mode against reverse mode, which test_autodiff.c compares with
 * finite differences, and against formulas. */
#include "autodiff_check.h"

/* Per instance b: h = tanh(w [x, t]), reshaped, y = sum(v * h * exp(h)) / 4 + x^3. */
static const Node *network(const Node *x, const Node *t, const Node *w, const Node *v)
{
    Extent column[] = {x->shape[0], extent_fixed(1)}, both[] = {x->shape[0], extent_fixed(2)};
    Extent cut[] = {x->shape[0], extent_fixed(2), extent_fixed(2)};
    const Node *a = graph_reshape(g, x, 2, column, NO_SPAN);
    const Node *b = graph_reshape(g, t, 2, column, NO_SPAN);
    const Node *in =
        graph_pieces(g, TYPE_REAL, 2, both, 1, 2, (Piece[]){{a, 0, 1}, {b, 1, 1}}, NO_SPAN);
    const Node *z = comp(REDUCE_SUM, 2, DIMS(3, 4, 2),
                         OP2(MUL, LOAD(w, I(1), I(2)), LOAD(in, I(0), I(2))), NULL);
    const Node *h = comp(REDUCE_NONE, 2, DIMS(3, 4), OP1(TANH, LOAD(z, I(0), I(1))), NULL);
    const Node *r = graph_reshape(g, h, 3, cut, NO_SPAN);
    const Scalar *element = LOAD(r, I(0), I(1), I(2));
    const Node *y = comp(REDUCE_MEAN, 1, DIMS(3, 2, 2),
                         OP2(MUL, OP2(MUL, LOAD(v, I(1)), element), OP1(EXP, element)), NULL);
    return comp(REDUCE_NONE, 1, DIMS(3), OP2(ADD, LOAD(y, I(0)), OP2(POW, LOAD(x, I(0)), REAL(3))),
                NULL);
}

static const Node *reverse(const Node *y, const Node *x)
{
    Extent shape[] = {y->shape[0]};
    const Node *seed = graph_map(g, 1, shape, REAL(1), NO_SPAN), *out;
    autodiff(g, y, seed, 0, &x, 1, &out);
    return out;
}

static bool same_values(const Node *a, const Node *b)
{
    const EvalArray *x = evaluate(a), *y = evaluate(b);
    bool same = x && y && x->count == y->count;
    for (int64_t i = 0; same && i < x->count; i++)
        same = unit_near(x->data[i], y->data[i], 1e-10);
    eval_array_free((EvalArray *)(uintptr_t)x);
    eval_array_free((EvalArray *)(uintptr_t)y);
    return same;
}

/* The derivatives of first to third order, by x and by t, and theirs by parameters. */
static void test_agrees(void)
{
    begin();
    const Node *x = LEAF(3), *t = LEAF(3), *w = LEAF(4, 2), *v = LEAF(2);
    int aligned[] = {0};
    const Node *forward = network(x, t, w, v), *backward = forward;
    for (int order = 0; order < 3; order++) {
        const Node *by = order == 1 ? t : x;
        CU_ASSERT_FATAL(autodiff_forward(g, forward, by, aligned, &forward) && forward);
        backward = reverse(backward, by);
        CU_ASSERT(same_values(forward, backward));
    }
    const Node *gradient[MAX_LEAVES], *sum = weighted(forward);
    gradients(sum, gradient);
    for (int i = 0; i < n_leaves; i++)
        CU_ASSERT(gradient[i] && gradient_agrees(sum, i, gradient[i]));
    end();
}

/* A number that all instances share: the derivative of each. */
static void test_shared_number(void)
{
    begin();
    const Node *k = leaf_shaped(TYPE_REAL, 0, NULL, NULL, -1, 1), *x = LEAF(3), *out;
    const Node *y =
        comp(REDUCE_NONE, 1, DIMS(3), OP1(SIN, OP2(MUL, LOAD(x, I(0)), load(k, NULL, NULL))), NULL);
    CU_ASSERT_FATAL(autodiff_forward(g, y, k, NULL, &out) && out);
    const Scalar *angle = OP2(MUL, LOAD(x, I(0)), load(k, NULL, NULL));
    const Node *formula =
        comp(REDUCE_NONE, 1, DIMS(3), OP2(MUL, LOAD(x, I(0)), OP1(COS, angle)), NULL);
    CU_ASSERT(same_values(out, formula));
    CU_ASSERT(autodiff_forward(g, x, k, NULL, &out));
    CU_ASSERT_PTR_NULL(out);
    end();
}

static void test_refuses(void)
{
    begin();
    const Node *x = LEAF(3), *k = leaf_shaped(TYPE_REAL, 0, NULL, NULL, -1, 1),
               *index = LEAF_INT(3, 3), *out;
    int aligned[] = {0}, other[] = {1};
    const Scalar *a = LOAD(x, I(0)), *number = load(k, NULL, NULL);
    /* instances meet, or change places */
    const Node *sum = comp(REDUCE_SUM, 0, DIMS(3), a, NULL);
    const Node *meet = comp(REDUCE_NONE, 1, DIMS(3), OP2(MUL, a, load(sum, NULL, NULL)), NULL);
    CU_ASSERT_FALSE(autodiff_forward(g, meet, x, aligned, &out));
    const Node *moved = comp(REDUCE_NONE, 1, DIMS(3), LOAD(x, LOAD(index, I(0))), NULL);
    CU_ASSERT_FALSE(autodiff_forward(g, moved, x, aligned, &out));
    const Node *outer = comp(REDUCE_NONE, 2, DIMS(3, 3), OP2(MUL, a, LOAD(x, I(1))), NULL);
    CU_ASSERT_FALSE(autodiff_forward(g, outer, x, aligned, &out));
    /* along another axis than asked for */
    const Node *wide = comp(REDUCE_NONE, 2, DIMS(3, 3), OP1(EXP, a), NULL);
    CU_ASSERT(autodiff_forward(g, wide, x, aligned, &out));
    CU_ASSERT_FALSE(autodiff_forward(g, wide, x, other, &out));
    /* choices, extrema, guards, products, values outside, scatters */
    const Scalar *positive = OP2(LT, REAL(0), number);
    const Node *scaled = comp(REDUCE_NONE, 1, DIMS(3), OP2(MUL, a, number), NULL);
    const Node *no[] = {
        comp(REDUCE_NONE, 1, DIMS(3), scalar_select(g, positive, OP1(LOG, number), REAL(0)), NULL),
        comp(REDUCE_NONE, 1, DIMS(3), OP2(MAX, number, REAL(0)), NULL),
        comp(REDUCE_MAX, 0, DIMS(3), OP2(MUL, a, number), NULL),
        comp(REDUCE_PROD, 0, DIMS(3), OP2(MUL, a, number), NULL),
        comp(REDUCE_SUM, 0, DIMS(3), OP2(MUL, a, number), OP2(LT, I(0), INT(2))),
        comp(REDUCE_NONE, 1, DIMS(3), LOAD_OUTSIDE(REAL(0), scaled, OP2(ADD, I(0), INT(1))), NULL),
        graph_scatter(g, 1, (Extent[]){extent_fixed(3)}, (const Scalar *[]){LOAD(index, I(0))}, 1,
                      (Extent[]){extent_fixed(3)}, OP2(MUL, a, number), NULL, NO_SPAN)};
    for (int i = 0; i < COUNT(no); i++)
        CU_ASSERT_FALSE(autodiff_forward(g, no[i], k, NULL, &out));
    end();
}

static const UnitTest tests[] = {{"agrees with reverse mode", test_agrees},
                                 {"a number shared by instances", test_shared_number},
                                 {"refuses", test_refuses}};
UNIT_MAIN("autodiff_forward", tests)
