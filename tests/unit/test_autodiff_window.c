/* test_autodiff_window.c -- derivatives of windows of all strides, dilations and paddings against
 * finite differences; those of convolutions are convolutions again. */
#include "autodiff_check.h"

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

/* Windows side by side: one map, by quotient and remainder, and the positions of the maxima. */
static void test_pooling(void)
{
    for (int64_t rows = 4; rows <= 5; rows++) {
        begin();
        const Node *x = LEAF(rows, 6, 2);
        const Scalar *row = OP2(ADD, OP2(MUL, INT(2), I(0)), I(3));
        const Scalar *col = OP2(ADD, OP2(MUL, INT(3), I(1)), I(4));
        const Scalar *body = LOAD(x, row, col, I(2));
        for (int kind = 0; kind < 2; kind++) {
            const Node *out[MAX_LEAVES];
            const Node *y =
                comp(kind ? REDUCE_MAX : REDUCE_MEAN, 3, DIMS(2, 2, 2, 2, 3), body, NULL);
            const Node *loss = weighted(y);
            CU_ASSERT(derivatives_agree(loss, 1));
            gradients(loss, out);
            CU_ASSERT(nodes_added(out[0], loss) <= 2);
        }
        end();
    }
}

/* y = the sum over the remaining iterators of body, in which x is the only leaf; no scatter. */
static bool parts_agree(const Node *x, const Node *y)
{
    bool good = derivatives_agree(weighted(y), 2);
    const Node *out[MAX_LEAVES];
    gradients(weighted(y), out);
    return good && x && scatters(out[0]) == 0;
}

static void test_parts(void)
{
    begin();
    const Node *x = LEAF(5, 4), *index = LEAF_INT(5, 3);
    const Scalar *half = OP2(IDIV, I(0), INT(2)), *third = OP2(IDIV, I(1), INT(3));
    const Scalar *around = OP2(MOD, I(1), INT(4)), *again = OP2(MOD, I(0), INT(3));
    const Scalar *twice = LOAD(x, half, third), *turned = LOAD(x, half, around);
    /* as wide as the tensor, narrower, wider than whole turns */
    CU_ASSERT(parts_agree(x, comp(REDUCE_NONE, 2, DIMS(10, 12), OP1(EXP, twice), NULL)));
    CU_ASSERT(parts_agree(x, comp(REDUCE_NONE, 2, DIMS(9, 7), OP1(EXP, twice), NULL)));
    CU_ASSERT(parts_agree(x, comp(REDUCE_SUM, 1, DIMS(9, 11), OP2(MUL, turned, turned), NULL)));
    CU_ASSERT(parts_agree(x, comp(REDUCE_MAX, 0, DIMS(7, 9), OP2(MUL, turned, twice), NULL)));
    CU_ASSERT(
        parts_agree(x, comp(REDUCE_SUM, 1, DIMS(8, 4), OP1(EXP, LOAD(x, again, I(1))), NULL)));
    const Scalar *both = OP2(MUL, LOAD(x, half, I(1)), LOAD(x, again, I(1)));
    CU_ASSERT(parts_agree(x, comp(REDUCE_SUM, 1, DIMS(9, 4), both, OP2(LT, I(1), I(0)))));
    const Scalar *beyond = LOAD_OUTSIDE(REAL(2), x, half, OP2(SUB, I(1), INT(1)));
    CU_ASSERT(parts_agree(x, comp(REDUCE_NONE, 2, DIMS(13, 6), OP1(EXP, beyond), NULL)));
    /* a column read from data remains a scatter */
    const Node *picked =
        comp(REDUCE_NONE, 1, DIMS(3), LOAD(x, OP2(IDIV, I(0), INT(2)), LOAD(index, I(0))), NULL);
    CU_ASSERT(derivatives_agree(weighted(picked), 2));
    end();
}

static const UnitTest tests[] = {{"quotients and remainders", test_parts},
                                 {"windows", test_windows},
                                 {"conv2d", test_conv2d},
                                 {"pooling", test_pooling}};
UNIT_MAIN("autodiff_window", tests)
