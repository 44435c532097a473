/* test_verify.c -- the verifier finds each kind of violation, and says which. The graphs are
 * made by the constructors, which check little. */
#include "ir.h"
#include "unit.h"

static Context *context;
static Graph *g;
static const Node *x, *n; /* real[3, 4], int[3] */

#define I(k) scalar_iter(g, k)

static const Scalar *load(const Node *node, const Scalar *const *subs)
{
    return scalar_load(g, node, subs, NULL, NO_SPAN);
}
#define LOAD(node, ...) load(node, (const Scalar *[]){__VA_ARGS__})

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
    Extent shape[] = {extent_fixed(3), extent_fixed(4)};
    Leaf a = {.kind = LEAF_INPUT, .name = name_of(context, "x")};
    Leaf b = {.kind = LEAF_INPUT, .name = name_of(context, "n")};
    x = graph_leaf(g, &a, TYPE_REAL, 2, shape);
    n = graph_leaf(g, &b, TYPE_INT, 1, shape);
}

/* Whether the verifier's message about the node contains the words; then the context ends. */
static void finds(const Node *node, const char *words)
{
    const char *fault = graph_check(graph_arena(g), g, &node, 1);
    bool good = fault && strstr(fault, words);
    if (!good) fprintf(stderr, "wanted \"%s\", found \"%s\"\n", words, fault ? fault : "");
    CU_ASSERT(good);
    context_free(context);
}

/* reduce over 3, 4 of the body, to a vector of 3. */
static const Node *comp(Reduce reduce, const Scalar *body, const Scalar *guard)
{
    Extent iters[] = {extent_fixed(3), extent_fixed(4)};
    return graph_comp(g, reduce, 1, 2, iters, body, guard, NO_SPAN);
}

static void test_scalars(void)
{
    begin();
    finds(comp(REDUCE_SUM, LOAD(x, I(0), I(2)), NULL), "iterator 2 of 2");
    begin();
    finds(comp(REDUCE_SUM, LOAD(x, I(0), scalar_real(g, 1)), NULL), "subscript 1 of a load");
    begin();
    finds(comp(REDUCE_SUM, scalar_op2(g, OP_ADD, LOAD(x, I(0), I(1)), I(0)), NULL),
          "operands of ADD differ");
    begin();
    finds(comp(REDUCE_SUM, scalar_op1(g, OP_EXP, I(0)), NULL), "EXP of other than reals");
    begin();
    finds(comp(REDUCE_SUM, scalar_const(g, TYPE_INT, 0.5), NULL), "0.5 does not fit");
    begin();
    const Scalar *subs[] = {I(0), I(1)};
    finds(comp(REDUCE_SUM, scalar_load(g, x, subs, scalar_int(g, 0), NO_SPAN), NULL),
          "the value outside");
    begin();
    const Scalar *draw = scalar_draw(g, 1, false, scalar_real(g, 0), I(0), NO_SPAN);
    finds(comp(REDUCE_SUM, draw, NULL), "a draw");
}

static void test_comprehensions(void)
{
    begin();
    finds(comp(REDUCE_MEAN, I(0), NULL), "a mean that is not a real");
    begin();
    finds(comp(REDUCE_ANY, I(0), NULL), "any or all");
    begin();
    finds(comp(REDUCE_SUM, scalar_bool(g, true), NULL), "neither ints nor reals");
    begin();
    finds(comp(REDUCE_SUM, I(0), I(1)), "the guard has a wrong type");
    begin();
    const Extent later[] = {{3, LOAD(n, I(0))}}; /* its size depends on itself */
    finds(graph_map(g, 1, later, I(0), NO_SPAN), "iterator 0 of 0");
}

static void test_companions(void)
{
    begin();
    const Extent shape[] = {extent_fixed(6), extent_fixed(4)}, five = extent_fixed(5);
    finds(graph_reshape(g, x, 1, &five, NO_SPAN), "the number of elements");
    begin();
    Piece overlap[] = {{x, 0, 1}, {x, 2, 1}};
    finds(graph_pieces(g, TYPE_REAL, 2, shape, 0, 2, overlap, NO_SPAN), "overlaps");
    begin();
    Piece long_piece[] = {{x, 2, 2}};
    finds(graph_pieces(g, TYPE_REAL, 2, shape, 0, 1, long_piece, NO_SPAN), "leaves the axis");
    begin();
    Piece along[] = {{x, 0, 1}};
    finds(graph_pieces(g, TYPE_REAL, 2, shape, 1, 1, along, NO_SPAN), "axis 0 of piece 0");
    begin();
    const Scalar *position = scalar_real(g, 0);
    finds(graph_scatter(g, 1, &five, &position, 1, &five, scalar_real(g, 1), NULL, NO_SPAN),
          "the position has a wrong type");
    begin();
    Leaf size = {.kind = LEAF_SIZE};
    finds(graph_leaf(g, &size, TYPE_REAL, 0, NULL), "a counter");
}

static const UnitTest tests[] = {{"scalars", test_scalars},
                                 {"comprehensions", test_comprehensions},
                                 {"companions", test_companions}};
UNIT_MAIN("verify", tests)
