/* test_kernel_scan.c -- scans built by hand, as C programs at every optimisation level and with one
 * and three threads, against the reference evaluator. */
#include "kernel_test.h"

#define VALUE(node) scalar_load(g, node, NULL, NULL, here)

enum { MOST_CARRIES = 4 };

/* A scan in the making. */
typedef struct Make {
    const Loop *loop;
    const Scalar *t;
    Carry carries[MOST_CARRIES];
    int n;
    const Node *scan;
} Make;

static Make steps(const char *name, Extent extent, bool reversed)
{
    Make m = {.loop = graph_loop(g, name_of(context, name), extent, reversed, here)};
    m.t = scalar_load(g, graph_time(g, m.loop), NULL, NULL, here);
    return m;
}

static const Node *carry(Make *m, const char *name, const Node *init)
{
    const Node *leaf =
        graph_carry(g, m->loop, m->n, name_of(context, name), init->type, init->rank, init->shape);
    m->carries[m->n++] = (Carry){leaf, init, leaf};
    return leaf;
}

static const Node *next(Make *m, const Node *leaf, const Node *value)
{
    return m->carries[leaf->leaf->number].next = value;
}

static void finish(Make *m)
{
    m->scan = graph_scan(g, m->loop, m->n, m->carries, here);
}

static void final(Make *m, const char *name, const Node *leaf)
{
    output(name, graph_final(g, m->scan, leaf->leaf->number));
}

static void yield(Make *m, const char *name, const Node *value)
{
    output(name, graph_yield(g, m->scan, value, here));
}

static const Node *constant(int rank, const Extent *shape, double value)
{
    return map(rank, shape, REAL(value));
}

/* --- one loop ------------------------------------------------------------------------------- */

static void test_sums(bool reversed)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 3, SHAPE(N(9), B, N(5)));
    Make m = steps("t", N(9), reversed);
    const Node *s = carry(&m, "s", constant(2, SHAPE(B, N(5)), 0.5));
    const Node *sum =
        map(2, SHAPE(B, N(5)), OP2(ADD, LOAD(s, I(0), I(1)), LOAD(x, m.t, I(0), I(1))));
    next(&m, s, sum);
    finish(&m);
    final(&m, "last", s);
    yield(&m, "before", s);
    yield(&m, "after", sum);
    yield(&m, "squares",
          map(2, SHAPE(B, N(5)), OP2(MUL, LOAD(sum, I(0), I(1)), LOAD(sum, I(0), I(1)))));
    yield(&m, "number", map(0, NULL, scalar_convert(g, m.t, TYPE_REAL)));
    output("total", reduce(REDUCE_SUM, 0, 2, SHAPE(B, N(5)),
                           LOAD(graph_final(g, m.scan, 0), I(0), I(1)), NULL));
    CU_ASSERT(agrees());
}

static void test_forward(void)
{
    test_sums(false);
}

static void test_reversed(void)
{
    test_sums(true);
}

/* Carries that change places, one that stays, one that only counts. */
static void test_carries(void)
{
    begin();
    const Node *x = input("x", TYPE_INT, 1, SHAPE(N(6)));
    const Node *y = input("y", TYPE_INT, 1, SHAPE(N(6)));
    Make m = steps("t", N(7), false);
    const Node *a = carry(&m, "a", x), *b = carry(&m, "b", y), *kept = carry(&m, "kept", x);
    const Node *r = carry(&m, "r", y);
    const Scalar *there = LOAD(r, OP2(SUB, INT(5), I(0)));
    const Scalar *product = OP2(MUL, LOAD(b, I(0)), LOAD(kept, I(0)));
    next(&m, a, b);
    next(&m, b, a);
    next(&m, r, map(1, SHAPE(N(6)), OP2(SUB, product, there)));
    finish(&m);
    final(&m, "a", a);
    final(&m, "b", b);
    final(&m, "kept", kept);
    final(&m, "r", r);
    yield(&m, "as", a);
    yield(&m, "rs", r);
    CU_ASSERT(agrees());
}

static void test_no_steps(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(3)));
    Make m = steps("t", B, false); /* none where the batch is empty */
    const Node *s = carry(&m, "s", constant(1, SHAPE(N(3)), 2));
    const Node *sum =
        map(1, SHAPE(N(3)), OP2(ADD, OP2(MUL, REAL(0.5), LOAD(s, I(0))), LOAD(x, m.t, I(0))));
    next(&m, s, sum);
    finish(&m);
    final(&m, "last", s);
    yield(&m, "all", sum);
    CU_ASSERT(agrees());
}

/* --- bodies --------------------------------------------------------------------------------- */

/* A sigmoid of one of the four sums of each unit. */
static const Node *gate(const Node *pre, int number, Extent rows, int units)
{
    const Scalar *a = LOAD(pre, I(0), INT(number), I(1));
    const Scalar *sigmoid = OP2(DIV, REAL(1), OP2(ADD, REAL(1), OP1(EXP, OP1(NEG, a))));
    return map(2, SHAPE(rows, N(units)), sigmoid);
}

/* An LSTM whose products are worth the runtime's, with all that its derivative would save. n_rows 0: as many
 * as the batch has. */
static void lstm(int n_steps, int n_rows, int units, bool reversed)
{
    begin();
    Extent rows = n_rows ? N(n_rows) : B;
    Extent shape[] = {rows, N(units)}, gates[] = {rows, N(4), N(units)};
    const Node *x = input("x", TYPE_REAL, 4, SHAPE(N(n_steps), rows, N(4), N(units)));
    const Node *w = input("w", TYPE_REAL, 3, SHAPE(N(units), N(4), N(units)));
    Make m = steps("t", N(n_steps), reversed);
    const Node *h = carry(&m, "h", constant(2, shape, 0)),
               *c = carry(&m, "c", constant(2, shape, 0));
    const Node *product = reduce(REDUCE_SUM, 3, 4, SHAPE(rows, N(4), N(units), N(units)),
                                 OP2(MUL, LOAD(h, I(0), I(3)), LOAD(w, I(3), I(1), I(2))), NULL);
    const Scalar *sum = OP2(ADD, LOAD(product, I(0), I(1), I(2)), LOAD(x, m.t, I(0), I(1), I(2)));
    const Node *pre = map(3, gates, sum);
    const Node *i = gate(pre, 0, rows, units), *f = gate(pre, 1, rows, units);
    const Node *o = gate(pre, 2, rows, units);
    const Node *n = map(2, shape, OP1(TANH, LOAD(pre, I(0), INT(3), I(1))));
    const Scalar *kept = OP2(MUL, LOAD(f, I(0), I(1)), LOAD(c, I(0), I(1)));
    const Scalar *new = OP2(MUL, LOAD(i, I(0), I(1)), LOAD(n, I(0), I(1)));
    next(&m, c, map(2, shape, OP2(ADD, kept, new)));
    const Scalar *shown = OP1(TANH, LOAD(m.carries[1].next, I(0), I(1)));
    next(&m, h, map(2, shape, OP2(MUL, LOAD(o, I(0), I(1)), shown)));
    const Node *back = carry(&m, "back", constant(2, shape, 0.25)); /* the weight the other way */
    const Scalar *term = OP2(MUL, LOAD(pre, I(0), I(2), I(3)), LOAD(w, I(1), I(2), I(3)));
    const Extent sums[] = {rows, N(units), N(4), N(units)};
    next(&m, back, reduce(REDUCE_SUM, 2, 4, sums, term, NULL));
    finish(&m);
    final(&m, "h", h);
    final(&m, "c", c);
    final(&m, "back", back);
    yield(&m, "pre", pre);
    yield(&m, "hs", m.carries[0].next);
    yield(&m, "before", h);
    yield(&m, "products", product);
}

static void test_lstm(void)
{
    lstm(5, 0, 24, false);
    CU_ASSERT(agrees_within(1e-4, false));
    lstm(3, 16, 32, true);
    CU_ASSERT(agrees_within(1e-4, false));
}

/* Reductions, positions, scatters, joined parts and draws of the step. */
static void test_kinds(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(N(11), N(6)));
    const Node *at = input("at", TYPE_INT, 1, SHAPE(N(11)));
    Make m = steps("t", N(11), false);
    const Node *s = carry(&m, "s", constant(1, SHAPE(N(6)), 1));
    const Node *order =
        graph_order(g, map(1, SHAPE(N(6)), OP2(ADD, LOAD(x, m.t, I(0)), LOAD(s, I(0)))), here);
    const Node *best = reduce(REDUCE_ARGMAX, 0, 1, SHAPE(N(6)), LOAD(s, I(0)), NULL);
    const Node *mean =
        reduce(REDUCE_MEAN, 0, 1, SHAPE(N(6)), LOAD(s, I(0)), OP2(LT, REAL(0), LOAD(s, I(0))));
    const Node *hits = graph_scatter(g, 1, SHAPE(N(10)), (const Scalar *[]){LOAD(at, m.t)}, 1,
                                     SHAPE(N(6)), LOAD(s, I(0)), NULL, here);
    const Scalar *noise =
        scalar_draw(g, 77, false, INT(0), OP2(ADD, OP2(MUL, m.t, INT(6)), I(0)), here);
    Piece parts[] = {{map(1, SHAPE(N(3)), LOAD(s, I(0))), 3, 1},
                     {map(1, SHAPE(N(3)), LOAD(x, m.t, I(0))), 0, 1}};
    const Node *joined = graph_pieces(g, TYPE_REAL, 1, SHAPE(N(6)), 0, 2, parts, here);
    const Scalar *before =
        scalar_load(g, x, (const Scalar *[]){OP2(SUB, m.t, INT(1)), I(0)}, REAL(7), here);
    const Scalar *value =
        OP2(ADD, OP2(MUL, REAL(0.3), LOAD(joined, I(0))), OP2(MUL, noise, before));
    next(&m, s, map(1, SHAPE(N(6)), OP2(ADD, value, VALUE(mean))));
    finish(&m);
    final(&m, "s", s);
    yield(&m, "orders", order);
    yield(&m, "bests", best);
    yield(&m, "means", mean);
    yield(&m, "hits", hits);
    yield(&m, "rows", graph_reshape(g, s, 2, SHAPE(N(2), N(3)), here));
    CU_ASSERT(agrees());
}

/* --- several loops -------------------------------------------------------------------------- */

/* The inner loop starts from the outer one's state and sees both numbers. */
static void test_nested(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 3, SHAPE(N(4), N(3), B));
    Make m = steps("t", N(4), false);
    const Node *s = carry(&m, "s", constant(1, SHAPE(B), 0));
    Make k = steps("t", N(3), true);
    const Node *r = carry(&k, "r", map(1, SHAPE(B), OP2(MUL, REAL(0.5), LOAD(s, I(0)))));
    const Scalar *number = scalar_convert(g, OP2(ADD, OP2(MUL, m.t, INT(10)), k.t), TYPE_REAL);
    const Scalar *term = OP2(MUL, OP2(ADD, LOAD(x, m.t, k.t, I(0)), LOAD(r, I(0))), REAL(0.7));
    next(&k, r, map(1, SHAPE(B), OP2(ADD, term, OP2(MUL, number, REAL(0.01)))));
    finish(&k);
    const Node *inner = graph_yield(g, k.scan, k.carries[0].next, here);
    const Node *whole = reduce(REDUCE_MAX, 1, 2, SHAPE(B, N(3)), LOAD(inner, I(1), I(0)), NULL);
    const Node *last = graph_final(g, k.scan, 0);
    next(&m, s,
         map(1, SHAPE(B), OP2(ADD, LOAD(last, I(0)), OP2(MUL, LOAD(whole, I(0)), LOAD(s, I(0))))));
    finish(&m);
    final(&m, "s", s);
    yield(&m, "inner", inner);
    yield(&m, "last", last);
    yield(&m, "before", s);
    CU_ASSERT(agrees());
}

/* One scan after another, the second over the yields of the first; and two over one loop. */
static void test_chain(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(N(8), N(33)));
    Make m = steps("t", N(8), false);
    const Node *s = carry(&m, "s", constant(1, SHAPE(N(33)), 0));
    next(&m, s,
         map(1, SHAPE(N(33)), OP2(ADD, OP2(MUL, REAL(0.9), LOAD(s, I(0))), LOAD(x, m.t, I(0)))));
    finish(&m);
    const Node *all = graph_yield(g, m.scan, m.carries[0].next, here);
    Make again = m;
    again.carries[0].init = constant(1, SHAPE(N(33)), 3);
    finish(&again);
    Make back = steps("u", N(8), true);
    const Node *r = carry(&back, "r", graph_final(g, m.scan, 0));
    next(&back, r, map(1, SHAPE(N(33)), OP2(SUB, LOAD(r, I(0)), LOAD(all, back.t, I(0)))));
    finish(&back);
    final(&m, "first", s);
    final(&again, "second", s);
    yield(&again, "seconds", s);
    final(&back, "last", r);
    yield(&back, "backwards", r);
    CU_ASSERT(agrees());
}

/* --- the rest of a program ------------------------------------------------------------------ */

static void test_updates(void)
{
    begin();
    Persistent *p = parameter("p", 1, SHAPE(N(40)));
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(N(6), N(40)));
    Make m = steps("t", N(6), false);
    const Node *s = carry(&m, "s", p->leaf);
    next(&m, s,
         map(1, SHAPE(N(40)),
             OP2(SUB, LOAD(s, I(0)), OP2(MUL, LOAD(p->leaf, I(0)), LOAD(x, m.t, I(0))))));
    finish(&m);
    update(p, graph_final(g, m.scan, 0));
    yield(&m, "before", s);
    output("old", map(1, SHAPE(N(40)), OP2(MUL, LOAD(p->leaf, I(0)), REAL(2))));
    CU_ASSERT(agrees());
}

static void test_fault(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 1, SHAPE(N(9)));
    const Node *at = map(1, SHAPE(N(12)), OP2(MUL, I(0), INT(1)));
    Make m = steps("t", N(12), false);
    const Node *s = carry(&m, "s", constant(0, NULL, 0));
    next(&m, s, map(0, NULL, OP2(ADD, VALUE(s), LOAD(x, LOAD(at, m.t)))));
    finish(&m);
    final(&m, "s", s);
    CU_ASSERT(agrees_within(1e-5, true));
}

static const UnitTest tests[] = {
    {"forward", test_forward},
    {"reversed", test_reversed},
    {"several carries", test_carries},
    {"as many steps as examples", test_no_steps},
    {"an LSTM", test_lstm},
    {"nodes of every kind", test_kinds},
    {"nested", test_nested},
    {"one after another", test_chain},
    {"updates", test_updates},
    {"a subscript out of bounds in a step", test_fault},
};

UNIT_MAIN("scans as kernels", tests)
