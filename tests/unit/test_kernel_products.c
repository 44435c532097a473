/* test_kernel_products.c -- sums of products, by every instruction set that the machine has, at every
 * level and in both precisions, against the reference evaluator: matrix products in all layouts, with what comes after,
 * convolutions with both gradients, sums cut into chunks, sums over lanes of examples. */
#include "kernel_test.h"

/* `made` must stand in what is made of it. Without optimisation there are no tiles, so one
 * instruction set will do. */
static bool agrees_everywhere(const char *made, double tolerance)
{
    bool good = agrees_in(&(Options){.optimize = 0, .blas = "none", .real = "f32"}, "-O1",
                          tolerance, NULL);
    for (int i = 0; i < NND_ISA_COUNT; i++)
        for (int f64 = 0; f64 < 2 && nnd_isa_here((NndIsa)i) && good; f64++) {
            Options options = {.optimize = 2, .blas = "none", .real = f64 ? "f64" : "f32"};
            options.isa = nnd_isa_info((NndIsa)i)->name;
            good = agrees_in(&options, "-O2", f64 ? 1e-11 : tolerance, made);
        }
    end();
    return good;
}

static void product(const char *name, const Node *a, const Node *b, bool ta, bool tb, Extent m,
                    int n, Extent k)
{
    const Scalar *x = ta ? LOAD(a, I(2), I(0)) : LOAD(a, I(0), I(2));
    const Scalar *y = tb ? LOAD(b, I(1), I(2)) : LOAD(b, I(2), I(1));
    output(name, reduce(REDUCE_SUM, 2, 3, SHAPE(m, N(n), k), OP2(MUL, x, y), NULL));
}

static void test_products(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(37)));
    const Node *w = input("w", TYPE_REAL, 2, SHAPE(N(37), N(50)));
    const Node *wt = input("wt", TYPE_REAL, 2, SHAPE(N(50), N(37)));
    const Node *dy = input("dy", TYPE_REAL, 2, SHAPE(B, N(50)));
    product("nn", x, w, false, false, B, 50, N(37));
    product("nt", x, wt, false, true, B, 50, N(37));
    product("tn", x, dy, true, false, N(37), 50, B);
    product("nt2", dy, w, false, true, B, 37, N(50));
    const Node *q = input("q", TYPE_REAL, 3, SHAPE(B, N(4), N(8)));
    const Node *k = input("k", TYPE_REAL, 3, SHAPE(B, N(4), N(8)));
    output("scores", reduce(REDUCE_SUM, 3, 4, SHAPE(B, N(4), N(4), N(8)),
                            OP2(MUL, LOAD(q, I(0), I(1), I(3)), LOAD(k, I(0), I(2), I(3))), NULL));
    output("vector", reduce(REDUCE_SUM, 1, 2, SHAPE(N(50), N(37)),
                            OP2(MUL, LOAD(w, I(1), I(0)), LOAD(wt, I(0), I(1))), NULL));
    CU_ASSERT(agrees_everywhere("nnd_gemm", 1e-4));
}

/* What comes after products: their rows and columns are axes or groups of them; some results are wanted
 * elsewhere, too, and one is wanted only there. */
static void test_after(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 3, SHAPE(B, N(7), N(37)));
    const Node *w = input("w", TYPE_REAL, 2, SHAPE(N(37), N(290)));
    const Node *bias = input("bias", TYPE_REAL, 1, SHAPE(N(290)));
    const Node *dy = input("dy", TYPE_REAL, 3, SHAPE(B, N(7), N(290)));
    const Node *y = reduce(REDUCE_SUM, 3, 4, SHAPE(B, N(7), N(290), N(37)),
                           OP2(MUL, LOAD(x, I(0), I(1), I(3)), LOAD(w, I(3), I(2))), NULL);
    const Scalar *sum = OP2(ADD, LOAD(y, I(0), I(1), I(2)), LOAD(bias, I(2)));
    const Node *h = map(3, SHAPE(B, N(7), N(290)), OP1(TANH, sum));
    output("h", h);
    const Node *back = reduce(REDUCE_SUM, 3, 4, SHAPE(B, N(7), N(37), N(290)),
                              OP2(MUL, LOAD(dy, I(0), I(1), I(3)), LOAD(w, I(2), I(3))), NULL);
    output("back", back);
    const Scalar *element = LOAD(back, I(0), I(1), I(2));
    output("square", map(3, SHAPE(B, N(7), N(37)), OP2(MUL, element, element)));
    const Node *dw = reduce(REDUCE_SUM, 2, 4, SHAPE(N(37), N(290), B, N(7)),
                            OP2(MUL, LOAD(x, I(2), I(3), I(0)), LOAD(dy, I(2), I(3), I(1))), NULL);
    const Scalar *step = OP2(MUL, REAL(0.01), LOAD(dw, I(0), I(1)));
    output("new", map(2, SHAPE(N(37), N(290)), OP2(SUB, LOAD(w, I(0), I(1)), step)));
    output("large", map(2, SHAPE(N(37), N(290)), OP2(LT, REAL(1), LOAD(dw, I(0), I(1)))));
    CU_ASSERT(agrees_everywhere("NndAfter", 1e-4));
}

static void test_convolution(void)
{
    begin();
    enum { H = 9, C = 5, O = 20, P = 3 };
    const Node *x = input("x", TYPE_REAL, 4, SHAPE(B, N(H), N(H), N(C)));
    const Node *w = input("w", TYPE_REAL, 4, SHAPE(N(P), N(P), N(C), N(O)));
    const Scalar *weight = LOAD(w, I(4), I(5), I(6), I(3));
    const Scalar *valid = LOAD(x, I(0), OP2(ADD, I(1), I(4)), OP2(ADD, I(2), I(5)), I(6));
    output("valid", reduce(REDUCE_SUM, 4, 7, SHAPE(B, N(H - 2), N(H - 2), N(O), N(P), N(P), N(C)),
                           OP2(MUL, valid, weight), NULL));
    const Scalar *same = OUTSIDE(x, REAL(0), I(0), OP2(SUB, OP2(ADD, I(1), I(4)), INT(1)),
                                 OP2(SUB, OP2(ADD, I(2), I(5)), INT(1)), I(6));
    output("same", reduce(REDUCE_SUM, 4, 7, SHAPE(B, N(H), N(H), N(O), N(P), N(P), N(C)),
                          OP2(MUL, same, weight), NULL));
    const Scalar *stride =
        OUTSIDE(x, REAL(0), I(0), OP2(SUB, OP2(ADD, OP2(MUL, I(1), INT(2)), I(4)), INT(1)),
                OP2(SUB, OP2(ADD, OP2(MUL, I(2), INT(2)), I(5)), INT(1)), I(6));
    output("strided", reduce(REDUCE_SUM, 4, 7, SHAPE(B, N(5), N(5), N(O), N(P), N(P), N(C)),
                             OP2(MUL, stride, weight), NULL));
    const Node *dy = input("dy", TYPE_REAL, 4, SHAPE(B, N(7), N(7), N(O)));
    /* dw[p, q, c, o] = sum[n, i, j] x[n, i + p, j + q, c] * dy[n, i, j, o] */
    const Scalar *xs = LOAD(x, I(4), OP2(ADD, I(5), I(0)), OP2(ADD, I(6), I(1)), I(2));
    output("dw", reduce(REDUCE_SUM, 4, 7, SHAPE(N(P), N(P), N(C), N(O), B, N(7), N(7)),
                        OP2(MUL, xs, LOAD(dy, I(4), I(5), I(6), I(3))), NULL));
    /* dx[n, y, x, c] = sum[p, q, o] dy[n, y - p, x - q, o] outside 0 * w[p, q, c, o] */
    const Scalar *dys =
        OUTSIDE(dy, REAL(0), I(0), OP2(SUB, I(1), I(4)), OP2(SUB, I(2), I(5)), I(6));
    output("dx", reduce(REDUCE_SUM, 4, 7, SHAPE(B, N(H), N(H), N(C), N(P), N(P), N(O)),
                        OP2(MUL, dys, LOAD(w, I(4), I(5), I(3), I(6))), NULL));
    CU_ASSERT(agrees_everywhere("FMA(", 1e-4));
}

/* The gradient of a convolution's weights, whose operands do not fit the cache. */
static void test_parts(void)
{
    begin();
    enum { BATCH = 32, H = 22, C = 8, O = 12, P = 2 };
    const Node *x = input("x", TYPE_REAL, 4, SHAPE(N(BATCH), N(H), N(H), N(C)));
    const Node *dy = input("dy", TYPE_REAL, 4, SHAPE(N(BATCH), N(H - 1), N(H - 1), N(O)));
    const Scalar *xs = LOAD(x, I(4), OP2(ADD, I(5), I(0)), OP2(ADD, I(6), I(1)), I(2));
    output("dw", reduce(REDUCE_SUM, 4, 7, SHAPE(N(P), N(P), N(C), N(O), N(BATCH), N(H - 1), N(H - 1)),
                        OP2(MUL, xs, LOAD(dy, I(4), I(5), I(6), I(3))), NULL));
    CU_ASSERT(agrees_everywhere("_parts(", 1e-3));
}

/* Two narrow layers and the gradients of their weights: examples are the lanes. */
static void test_lanes(void)
{
    begin();
    enum { BATCH = 70, F = 3, H = 11, O = 6 };
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(N(BATCH), N(F)));
    const Node *w1 = input("w1", TYPE_REAL, 2, SHAPE(N(F), N(H)));
    const Node *w2 = input("w2", TYPE_REAL, 2, SHAPE(N(H), N(O)));
    const Node *z = reduce(REDUCE_SUM, 2, 3, SHAPE(N(BATCH), N(H), N(F)),
                           OP2(MUL, LOAD(x, I(0), I(2)), LOAD(w1, I(2), I(1))), NULL);
    const Node *h = map(2, SHAPE(N(BATCH), N(H)), OP1(ABS, LOAD(z, I(0), I(1))));
    const Node *y = reduce(REDUCE_SUM, 2, 3, SHAPE(N(BATCH), N(O), N(H)),
                           OP2(MUL, LOAD(h, I(0), I(2)), LOAD(w2, I(2), I(1))), NULL);
    const Node *dy = map(2, SHAPE(N(BATCH), N(O)), OP1(ABS, LOAD(y, I(0), I(1))));
    output("dw2", reduce(REDUCE_SUM, 2, 3, SHAPE(N(H), N(O), N(BATCH)),
                         OP2(MUL, LOAD(h, I(2), I(0)), LOAD(dy, I(2), I(1))), NULL));
    output("db", reduce(REDUCE_SUM, 1, 2, SHAPE(N(O), N(BATCH)), LOAD(dy, I(1), I(0)), NULL));
    CU_ASSERT(agrees_everywhere("SUM(", 1e-4));
}

static const UnitTest tests[] = {
    {"matrix products", test_products},
    {"what comes after products", test_after},
    {"convolutions", test_convolution},
    {"sums in chunks", test_parts},
    {"sums over lanes", test_lanes},
};

UNIT_MAIN("kernels: sums of products on every instruction set", tests)
