/* test_autodiff.c -- derivatives of graphs built by hand, of first to third order, against finite
 * differences of the reference evaluator; masks, Jacobians. */
#include "autodiff_check.h"

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

    begin(); /* long ones, whose others are products up to each point */
    const Node *y = LEAF(2, 10);
    AGREES(comp(REDUCE_PROD, 1, DIMS(2, 10), LOAD(y, I(0), I(1)), NULL), 3);
    AGREES(comp(REDUCE_PROD, 0, DIMS(2, 10), OP1(EXP, LOAD(y, I(0), I(1))), NULL), 2);
    AGREES(comp(REDUCE_PROD, 0, DIMS(10, 2), LOAD(y, I(1), I(0)), OP2(LT, I(1), I(0))), 2);
    leaves[0].value->data[1] = 0; /* one zero in a row, two in another */
    leaves[0].value->data[15] = leaves[0].value->data[17] = 0;
    AGREES(comp(REDUCE_PROD, 1, DIMS(2, 10), LOAD(y, I(0), I(1)), NULL), 2);
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
    const Scalar *shifted = OP2(ADD, LOAD(v, I(1)), LOAD(t, INT(0), I(0)));
    CU_ASSERT(jacobian_agrees(comp(REDUCE_PROD, 1, DIMS(3, 9), shifted, NULL)));
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
                                 {"ties", test_ties},          {"subscripts", test_subscripts},
                                 {"gathers", test_gathers},    {"companions", test_companions},
                                 {"bounded", test_bounded},    {"constants", test_constants},
                                 {"masks", test_masks},        {"kinks", test_kinks},
                                 {"jacobians", test_jacobians}};
UNIT_MAIN("autodiff", tests)
