/* test_kernel.c -- graphs built by hand, as C programs at every optimisation level, against the
 * reference evaluator. Values of inputs are drawn; sizes are chosen so that whole and partial
 * blocks occur. */
#include "kernel_test.h"

/* --- maps ---------------------------------------------------------------------------------- */

static void test_maps(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(13)));
    const Node *b = input("b", TYPE_U8, 1, SHAPE(N(13)));
    const Scalar *sum = OP2(ADD, LOAD(x, I(0), I(1)), scalar_convert(g, LOAD(b, I(1)), TYPE_REAL));
    const Node *h = map(2, SHAPE(B, N(13)), OP2(MAX, REAL(0), sum));
    output("h", h);
    output("t", map(2, SHAPE(N(13), B), OP1(EXP, OP1(NEG, LOAD(h, I(1), I(0))))));
    output("rows", map(2, SHAPE(B, N(13)),
                       scalar_convert(g, OP2(ADD, OP2(MUL, I(0), INT(3)), I(1)), TYPE_REAL)));
    CU_ASSERT(agrees());
}

static void test_operators(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 1, SHAPE(N(40)));
    const Node *y = input("y", TYPE_REAL, 1, SHAPE(N(40)));
    const Node *m = input("m", TYPE_INT, 1, SHAPE(N(40)));
    const Node *n = input("n", TYPE_INT, 1, SHAPE(N(40)));
    for (int op = 0; op < OP_COUNT; op++) {
        const OpInfo *info = &op_table[op];
        if (info->result == RESULT_LOGIC || info->result == RESULT_PICK || op == OP_POLYGAMMA)
            continue;
        const Scalar *args[3] = {LOAD(x, I(0)), LOAD(y, I(0)), NULL};
        if (op == OP_LOG || op == OP_POW || op == OP_SQRT || op == OP_ACOS || op == OP_LGAMMA)
            args[0] = OP1(ABS, args[0]);
        if (op == OP_DIV || op == OP_MOD || op == OP_IDIV) args[1] = OP2(ADD, args[1], REAL(1.5));
        const Scalar *value = scalar_convert(g, scalar_op(g, (Op)op, args, here), TYPE_REAL);
        output(info->id, map(1, SHAPE(N(40)), value));
        if (info->int_text[0] == 0 || info->result == RESULT_REAL) continue;
        const Scalar *ints[3] = {OP2(SUB, LOAD(m, I(0)), INT(4)), LOAD(n, I(0)), NULL};
        if (op == OP_IDIV || op == OP_MOD) ints[1] = OP2(ADD, ints[1], INT(1));
        const char *id = arena_printf(graph_arena(g), "int_%s", info->id);
        output(id, map(1, SHAPE(N(40)), scalar_op(g, (Op)op, ints, here)));
    }
    const Scalar *low = OP2(LT, LOAD(x, I(0)), REAL(0)), *high = OP2(LE, REAL(0), LOAD(y, I(0)));
    output("both", map(1, SHAPE(N(40)), OP2(OR, OP2(AND, low, high), OP1(NOT, high))));
    output("pick", map(1, SHAPE(N(40)), scalar_select(g, low, LOAD(x, I(0)), LOAD(y, I(0)))));
    const Scalar *big = OP2(MUL, OP2(ADD, LOAD(m, I(0)), INT(2147483000)), INT(1000));
    output("wraps", map(1, SHAPE(N(40)), big));
    CU_ASSERT(agrees_within(1e-4, false));
}

/* --- reductions
 * --------------------------------------------------------------------------------------- */

static void test_reductions(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(70)));
    const Node *m = input("m", TYPE_INT, 2, SHAPE(B, N(70)));
    const Scalar *v = LOAD(x, I(0), I(1)), *w = LOAD(m, I(0), I(1));
    const Scalar *guard = OP2(LT, REAL(0.3), v);
    for (int r = REDUCE_SUM; r < REDUCE_ANY; r++) {
        const char *id = reduce_table[r].id;
        Arena *arena = graph_arena(g);
        output(arena_printf(arena, "row_%s", id),
               reduce((Reduce)r, 1, 2, SHAPE(B, N(70)), v, NULL));
        output(arena_printf(arena, "some_%s", id),
               reduce((Reduce)r, 1, 2, SHAPE(B, N(70)), v, guard));
        output(arena_printf(arena, "column_%s", id),
               reduce((Reduce)r, 1, 2, SHAPE(N(70), B), LOAD(x, I(1), I(0)), NULL));
        output(arena_printf(arena, "all_%s", id),
               reduce((Reduce)r, 0, 2, SHAPE(B, N(70)), v, NULL));
        if (r == REDUCE_MEAN) continue;
        output(arena_printf(arena, "int_%s", id),
               reduce((Reduce)r, 1, 2, SHAPE(B, N(70)), w, NULL));
    }
    output("any", reduce(REDUCE_ANY, 1, 2, SHAPE(B, N(70)), OP2(LT, v, REAL(-0.95)), NULL));
    output("all", reduce(REDUCE_ALL, 1, 2, SHAPE(B, N(70)), OP2(LT, v, REAL(0.95)), NULL));
    CU_ASSERT(agrees_within(1e-4, false));
}

static void test_argmax(void)
{
    begin();
    double values[] = {1,         3,         3,         2,         NAN, 5,   5,   1,
                       -INFINITY, -INFINITY, -INFINITY, -INFINITY, NAN, NAN, NAN, NAN};
    const Node *x = graph_const(g, TYPE_REAL, 2, SHAPE(N(4), N(4)), values);
    output("most", reduce(REDUCE_ARGMAX, 1, 2, SHAPE(N(4), N(4)), LOAD(x, I(0), I(1)), NULL));
    output("least", reduce(REDUCE_ARGMIN, 1, 2, SHAPE(N(4), N(4)), LOAD(x, I(0), I(1)), NULL));
    output("max", reduce(REDUCE_MAX, 1, 2, SHAPE(N(4), N(4)), LOAD(x, I(0), I(1)), NULL));
    output("both", reduce(REDUCE_ARGMAX, 0, 2, SHAPE(N(4), N(4)), LOAD(x, I(0), I(1)), NULL));
    output("order", graph_order(g, x, here));
    CU_ASSERT(agrees());
}

/* --- subscripts
 * ------------------------------------------------------------------------------------------ */

static void test_outside(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(9)));
    const Scalar *shifted = OUTSIDE(x, REAL(-2), OP2(SUB, I(0), INT(1)), OP2(ADD, I(1), INT(4)));
    output("shifted", map(2, SHAPE(B, N(9)), shifted));
    const Scalar *half = OP2(IDIV, I(1), INT(2)), *odd = OP2(MOD, I(1), INT(5));
    output("half", map(2, SHAPE(B, N(9)), OP2(MUL, LOAD(x, I(0), half), LOAD(x, I(0), odd))));
    const Node *w = input("w", TYPE_REAL, 1, SHAPE(N(5)));
    const Scalar *window = OUTSIDE(x, REAL(0), I(0), OP2(SUB, OP2(ADD, I(1), I(2)), INT(2)));
    output("convolved",
           reduce(REDUCE_SUM, 2, 3, SHAPE(B, N(9), N(5)), OP2(MUL, window, LOAD(w, I(2))), NULL));
    const Scalar *padded =
        OUTSIDE(x, REAL(-INFINITY), I(0), OP2(SUB, OP2(ADD, OP2(MUL, I(1), INT(2)), I(2)), INT(1)));
    output("pooled", reduce(REDUCE_MAX, 2, 3, SHAPE(B, N(5), N(3)), padded, NULL));
    CU_ASSERT(agrees());
}

static void test_gather(void)
{
    begin();
    const Node *table = input("table", TYPE_REAL, 2, SHAPE(N(10), N(6)));
    const Node *token = input("token", TYPE_INT, 2, SHAPE(B, N(3)));
    output("rows", map(3, SHAPE(B, N(3), N(6)), LOAD(table, LOAD(token, I(0), I(1)), I(2))));
    const Scalar *sum = LOAD(table, LOAD(token, I(0), I(1)), I(2));
    output("sum", reduce(REDUCE_SUM, 1, 3, SHAPE(B, N(3), N(6)), sum, NULL));
    const Scalar *far = OUTSIDE(table, REAL(9), OP2(MUL, LOAD(token, I(0), I(1)), INT(2)), I(2));
    output("far", map(3, SHAPE(B, N(3), N(6)), far));
    CU_ASSERT(agrees());
}

static void test_fault(void)
{
    begin();
    const Node *table = input("table", TYPE_REAL, 1, SHAPE(N(10)));
    const Node *token = input("token", TYPE_INT, 1, SHAPE(N(30)));
    output("rows", map(1, SHAPE(N(30)), LOAD(table, OP2(ADD, LOAD(token, I(0)), INT(3)))));
    CU_ASSERT(agrees_within(0, true));
}

/* A subscript out of bounds in a branch not taken, or where the guard fails, is no fault. */
static void test_laziness(void)
{
    begin();
    const Node *table = input("table", TYPE_REAL, 1, SHAPE(N(5)));
    const Node *token = input("token", TYPE_INT, 1, SHAPE(N(30)));
    const Scalar *t = LOAD(token, I(0)), *inside = OP2(LT, t, INT(5));
    const Scalar *picked =
        scalar_select(g, inside, OP2(MUL, LOAD(table, t), LOAD(table, t)), REAL(-1));
    output("picked", map(1, SHAPE(N(30)), picked));
    output("guarded", reduce(REDUCE_SUM, 0, 1, SHAPE(N(30)), LOAD(table, t), inside));
    const Scalar *deep = scalar_select(g, OP2(LT, INT(2), t), OP2(ADD, picked, REAL(1)), REAL(3));
    output("deep", map(2, SHAPE(N(30), N(4)), deep));
    CU_ASSERT(agrees());
}

/* --- companions
 * -------------------------------------------------------------------------------------------- */

/* Parts of a short axis with formulas of their own. */
static void test_choices(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(19)));
    const Scalar *v = LOAD(x, I(0), I(2));
    const Scalar *rest =
        scalar_select(g, OP2(LT, I(1), INT(2)), OP2(MUL, v, v), OP2(SUB, v, REAL(1)));
    const Scalar *first = scalar_select(g, OP2(EQ, I(1), INT(0)), OP1(EXP, v), rest);
    const Node *parts = output("parts", map(3, SHAPE(B, N(4), N(19)), first));
    output("sums", reduce(REDUCE_SUM, 2, 3, SHAPE(B, N(4), N(19)),
                          OP2(ADD, LOAD(parts, I(0), I(1), I(2)),
                              scalar_select(g, OP2(EQ, I(1), INT(3)), v, REAL(0))),
                          NULL));
    CU_ASSERT(agrees());
}

static void test_scatter(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(6)));
    const Node *to = input("to", TYPE_INT, 1, SHAPE(B));
    const Scalar *position[] = {LOAD(to, I(0)), I(1)};
    output("sums", graph_scatter(g, 2, SHAPE(N(7), N(6)), position, 2, SHAPE(B, N(6)),
                                 LOAD(x, I(0), I(1)), NULL, here));
    const Node *at = input("at", TYPE_INT, 2, SHAPE(B, N(6)));
    const Scalar *in_row[] = {I(0), LOAD(at, I(0), I(1))};
    output("rows", graph_scatter(g, 2, SHAPE(B, N(10)), in_row, 2, SHAPE(B, N(6)),
                                 LOAD(x, I(0), I(1)), OP2(LT, REAL(0), LOAD(x, I(0), I(1))), here));
    CU_ASSERT(agrees());
}

static void test_pieces(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(6)));
    const Node *y = map(2, SHAPE(B, N(5)), OP1(NEG, LOAD(x, I(0), I(1))));
    Piece joined[] = {{x, 0, 1}, {y, 6, 1}};
    output("joined", graph_pieces(g, TYPE_REAL, 2, SHAPE(B, N(11)), 1, 2, joined, here));
    Piece apart[] = {{x, 1, 2}};
    output("apart", graph_pieces(g, TYPE_REAL, 2, SHAPE(B, N(13)), 1, 1, apart, here));
    const Node *flat = graph_reshape(g, x, 3, SHAPE(B, N(2), N(3)), here);
    output("view", map(3, SHAPE(B, N(3), N(2)), LOAD(flat, I(0), I(2), I(1))));
    output("same", flat);
    CU_ASSERT(agrees());
}

static void test_draws(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 2, SHAPE(B, N(6)));
    const Scalar *place = OP2(ADD, OP2(MUL, I(0), INT(6)), I(1));
    const Scalar *u = scalar_draw(g, 0x123456789abcdef0u, false, INT(3), place, here);
    const Scalar *kept = scalar_select(g, OP2(LT, u, REAL(0.5)), REAL(0), LOAD(x, I(0), I(1)));
    output("dropped", map(2, SHAPE(B, N(6)), kept));
    output("normal", map(1, SHAPE(N(50)), scalar_draw(g, 77, true, INT(0), I(0), here)));
    CU_ASSERT(agrees());
}

/* --- long sums
 * ---------------------------------------------------------------------------------------------- */

/* Sums long enough to be cut into chunks for threads. */
static void test_chunks(void)
{
    begin();
    const Node *x = input("x", TYPE_REAL, 4, SHAPE(B, N(30), N(20), N(20)));
    const Scalar *v = LOAD(x, I(1), I(2), I(3), I(0)), *w = LOAD(x, I(0), I(1), I(2), I(3));
    const Extent *iters = SHAPE(N(20), B, N(30), N(20));
    output("channels", reduce(REDUCE_SUM, 1, 4, iters, v, NULL));
    output("means", reduce(REDUCE_MEAN, 1, 4, iters, OP2(MUL, v, v), NULL));
    iters = SHAPE(B, N(30), N(20), N(20));
    output("all", reduce(REDUCE_SUM, 0, 4, iters, OP1(ABS, w), NULL));
    output("some", reduce(REDUCE_SUM, 0, 4, iters, w, OP2(LT, REAL(0.5), w)));
    output("most", reduce(REDUCE_MAX, 0, 4, iters, w, NULL));
    CU_ASSERT(agrees_within(1e-3, false));
}

/* --- together ----------------------------------------------------------------------------------
 */

/* softmax with cross-entropy, its gradient, and a step of an optimizer with two states. */
static void test_training_step(void)
{
    begin();
    const Node *x = input("x", TYPE_U8, 2, SHAPE(B, N(30)));
    const Node *label = input("label", TYPE_INT, 1, SHAPE(B));
    Persistent *w = parameter("M.w", 2, SHAPE(N(30), N(10)));
    Persistent *m = parameter("opt.w.m", 2, SHAPE(N(30), N(10)));
    Persistent *v = parameter("opt.w.v", 2, SHAPE(N(30), N(10)));
    const Node *scaled = map(
        2, SHAPE(B, N(30)), OP2(DIV, scalar_convert(g, LOAD(x, I(0), I(1)), TYPE_REAL), REAL(255)));
    const Node *z = reduce(REDUCE_SUM, 2, 3, SHAPE(B, N(10), N(30)),
                           OP2(MUL, LOAD(scaled, I(0), I(2)), LOAD(w->leaf, I(2), I(1))), NULL);
    const Node *top = reduce(REDUCE_MAX, 1, 2, SHAPE(B, N(10)), LOAD(z, I(0), I(1)), NULL);
    const Node *e =
        map(2, SHAPE(B, N(10)), OP1(EXP, OP2(SUB, LOAD(z, I(0), I(1)), LOAD(top, I(0)))));
    const Node *s = reduce(REDUCE_SUM, 1, 2, SHAPE(B, N(10)), LOAD(e, I(0), I(1)), NULL);
    const Scalar *right = LOAD(z, I(0), LOAD(label, I(0)));
    const Node *loss =
        map(1, SHAPE(B), OP2(SUB, OP2(ADD, OP1(LOG, LOAD(s, I(0))), LOAD(top, I(0))), right));
    output("loss", reduce(REDUCE_MEAN, 0, 1, SHAPE(B), LOAD(loss, I(0)), NULL));
    const Scalar *hot = scalar_convert(g, OP2(EQ, I(1), LOAD(label, I(0))), TYPE_REAL);
    const Node *dz =
        map(2, SHAPE(B, N(10)), OP2(SUB, OP2(DIV, LOAD(e, I(0), I(1)), LOAD(s, I(0))), hot));
    const Node *dw = reduce(REDUCE_SUM, 2, 3, SHAPE(N(30), N(10), B),
                            OP2(MUL, LOAD(scaled, I(2), I(0)), LOAD(dz, I(2), I(1))), NULL);
    const Scalar *gradient = LOAD(dw, I(0), I(1));
    const Node *m2 = map(
        2, SHAPE(N(30), N(10)),
        OP2(ADD, OP2(MUL, REAL(0.9), LOAD(m->leaf, I(0), I(1))), OP2(MUL, REAL(0.1), gradient)));
    const Node *v2 = map(2, SHAPE(N(30), N(10)),
                         OP2(ADD, OP2(MUL, REAL(0.9), OP1(ABS, LOAD(v->leaf, I(0), I(1)))),
                             OP2(MUL, REAL(0.1), OP2(MUL, gradient, gradient))));
    const Scalar *step =
        OP2(DIV, LOAD(m2, I(0), I(1)), OP2(ADD, OP1(SQRT, LOAD(v2, I(0), I(1))), REAL(1e-3)));
    const Node *w2 = map(2, SHAPE(N(30), N(10)),
                         OP2(SUB, LOAD(w->leaf, I(0), I(1)), OP2(MUL, REAL(0.01), step)));
    update(w, w2);
    update(m, m2);
    update(v, v2);
    CU_ASSERT(agrees_within(1e-4, false));
}

/* Updates read all tensors as they were before the step. */
static void test_updates(void)
{
    begin();
    Persistent *a = parameter("a", 1, SHAPE(N(7)));
    Persistent *b = parameter("b", 1, SHAPE(N(7)));
    Persistent *c = parameter("c", 1, SHAPE(N(7)));
    update(a, b->leaf);
    update(b, a->leaf);
    update(c, map(1, SHAPE(N(7)),
                  OP2(ADD, LOAD(c->leaf, OP2(SUB, INT(6), I(0))), LOAD(a->leaf, I(0)))));
    output("old", map(1, SHAPE(N(7)), OP2(MUL, LOAD(a->leaf, I(0)), LOAD(c->leaf, I(0)))));
    output("leaf", b->leaf);
    CU_ASSERT(agrees());
}

static const UnitTest tests[] = {
    {"maps", test_maps},
    {"operators", test_operators},
    {"reductions", test_reductions},
    {"argmax, argmin, order with ties and NaN", test_argmax},
    {"outside", test_outside},
    {"gather", test_gather},
    {"a subscript out of bounds", test_fault},
    {"laziness", test_laziness},
    {"choices", test_choices},
    {"scatter", test_scatter},
    {"pieces and views", test_pieces},
    {"draws", test_draws},
    {"chunks", test_chunks},
    {"a training step", test_training_step},
    {"updates", test_updates},
};

UNIT_MAIN("kernel", tests)
