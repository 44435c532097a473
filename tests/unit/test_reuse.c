/* test_reuse.c -- results in the place of what they are computed from, and results that must not be there:
 * every element of a product is read again, at the same place or at another, and the outcome is a factor of a
 * product in its turn, so both are in work memory. */
#include "kernel_test.h"

enum { WIDE = 1100 }; /* too many for a local array; blocks of lanes, and a rest */

/* y[i, j] = sum over k of x[i, k] w[k, j] */
static const Node *product(const Node *x, const char *name, int64_t width)
{
    const Node *w = input(name, TYPE_REAL, 2, SHAPE(x->shape[1], N(width)));
    const Extent iters[] = {x->shape[0], N(width), x->shape[1]};
    return reduce(REDUCE_SUM, 2, 3, iters, OP2(MUL, LOAD(x, I(0), I(2)), LOAD(w, I(2), I(1))), NULL);
}

static const Node *first(int64_t width)
{
    return product(input("x", TYPE_REAL, 2, SHAPE(B, N(24))), "first", width);
}

static bool last_agrees(const Node *z)
{
    output("out", product(z, "last", 30));
    return agrees_within(1e-3, false); /* long sums */
}

static void test_same_place(void)
{
    begin();
    const Node *y = first(WIDE);
    CU_ASSERT(last_agrees(map(2, SHAPE(B, N(WIDE)), OP1(TANH, LOAD(y, I(0), I(1))))));
}

static void test_reversed(void)
{
    begin();
    const Node *y = first(WIDE);
    const Scalar *other = LOAD(y, I(0), OP2(SUB, INT(WIDE - 1), I(1)));
    CU_ASSERT(last_agrees(map(2, SHAPE(B, N(WIDE)), OP1(TANH, OP2(SUB, LOAD(y, I(0), I(1)), other)))));
}

static void test_neighbours(void)
{
    for (int step = -1; step <= 1; step += 2) {
        begin();
        const Node *y = first(WIDE);
        const Scalar *next = OUTSIDE(y, REAL(0), I(0), OP2(ADD, I(1), INT(step)));
        CU_ASSERT(last_agrees(map(2, SHAPE(B, N(WIDE)), OP1(TANH, OP2(SUB, LOAD(y, I(0), I(1)), next)))));
    }
}

static void test_row_for_all(void)
{
    begin();
    const Node *y = first(WIDE);
    const Scalar *common = OUTSIDE(y, REAL(0), INT(0), I(1));
    CU_ASSERT(last_agrees(map(2, SHAPE(B, N(WIDE)), OP1(TANH, OP2(SUB, LOAD(y, I(0), I(1)), common)))));
}

static void test_turned(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(N(40), N(24)));
    const Node *y = product(x, "first", 40);
    CU_ASSERT(last_agrees(map(2, SHAPE(N(40), N(40)), OP1(TANH, OP2(SUB, LOAD(y, I(1), I(0)), LOAD(y, I(0), I(1)))))));
}

static void test_other_shape(void)
{
    begin();
    const Node *y = graph_reshape(g, first(WIDE), 3, SHAPE(B, N(4), N(WIDE / 4)), here);
    const Node *z = map(3, SHAPE(B, N(4), N(WIDE / 4)), OP1(TANH, LOAD(y, I(0), I(1), I(2))));
    CU_ASSERT(last_agrees(graph_reshape(g, z, 2, SHAPE(B, N(WIDE)), here)));
    begin();
    y = graph_reshape(g, first(WIDE), 3, SHAPE(B, N(4), N(WIDE / 4)), here);
    z = map(3, SHAPE(B, N(WIDE / 4), N(4)), OP1(TANH, LOAD(y, I(0), I(2), I(1))));
    CU_ASSERT(last_agrees(graph_reshape(g, z, 2, SHAPE(B, N(WIDE)), here)));
}

/* The largest and the sum of a row before it is written again; of a column, which others are part of. */
static void test_rows_and_columns(void)
{
    for (int axis = 0; axis < 2; axis++) {
        begin();
        const Node *y = first(WIDE);
        const Extent iters[2][2] = {{B, N(WIDE)}, {N(WIDE), B}};
        const Scalar *element = axis ? LOAD(y, I(1), I(0)) : LOAD(y, I(0), I(1));
        const Node *sum = reduce(REDUCE_SUM, 1, 2, iters[axis], element, NULL);
        const Node *most = reduce(REDUCE_MAX, 1, 2, iters[axis], element, NULL);
        const Scalar *both = OP2(ADD, LOAD(sum, I(axis)), LOAD(most, I(axis)));
        CU_ASSERT(last_agrees(map(2, SHAPE(B, N(WIDE)), OP1(TANH, OP2(SUB, LOAD(y, I(0), I(1)), both)))));
    }
}

/* Two results of one operand: only one can take its place. */
static void test_two_results(void)
{
    begin();
    const Node *y = first(WIDE);
    const Scalar *at = LOAD(y, I(0), I(1));
    const Node *a = product(map(2, SHAPE(B, N(WIDE)), OP1(TANH, at)), "a", 30);
    const Node *b = product(map(2, SHAPE(B, N(WIDE)), OP1(EXP, OP1(NEG, OP2(MUL, at, at)))), "b", 30);
    output("a", a);
    output("b", b);
    output("y", map(2, SHAPE(B, N(30)), OP2(MUL, LOAD(a, I(0), I(1)), LOAD(b, I(0), I(1)))));
    CU_ASSERT(agrees_within(1e-3, false));
}

static const UnitTest tests[] = {
    {"at the same place", test_same_place},
    {"the other way round", test_reversed},
    {"neighbours", test_neighbours},
    {"a row that all read", test_row_for_all},
    {"rows and columns exchanged", test_turned},
    {"another shape", test_other_shape},
    {"sums of rows and of columns", test_rows_and_columns},
    {"two results", test_two_results},
};

UNIT_MAIN("reuse", tests)
