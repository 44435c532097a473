/* test_cost.c -- how long statements are expected to take, of statements made by hand. */
#include "kernel.h"
#include "unit.h"

static Context *context;
static Lowered *l;
static const Node *x;
static const Scalar *condition;

static void begin(void)
{
    context = context_new();
    l = NEW(context_arena(context), Lowered);
    l->g = graph_new(context);
    l->arena = graph_arena(l->g);
    Extent shape = extent_fixed(1000);
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_of(context, "x")}, truth = leaf;
    x = graph_leaf(l->g, &leaf, TYPE_REAL, 1, &shape);
    truth.name = name_of(context, "p");
    const Node *p = graph_leaf(l->g, &truth, TYPE_BOOL, 0, NULL);
    condition = scalar_load(l->g, p, NULL, NULL, NO_SPAN);
}

/* x[i] = 0, so many times. */
static void stores_add(Block *block, int64_t times)
{
    Stmt *loop = stmt_loop(l, 1, LOOP_SEQUENTIAL, extent_fixed(times), NO_SPAN);
    const Scalar *subs[] = {scalar_iter(l->g, 1)};
    block_add(l, block, loop);
    block_add(l, &loop->body, stmt_store(l, x, subs, 1, scalar_real(l->g, 0)));
}

static void branch_add(Stmt *loop, const Scalar *test, int64_t times)
{
    Stmt *branch = stmt_if(l, test);
    block_add(l, &loop->body, branch);
    stores_add(&branch->body, times);
}

static double cost_of(const Stmt *loop)
{
    Cost cost = cost_iteration(l, loop);
    return cost_most(&cost);
}

static Stmt *outer(void)
{
    return stmt_loop(l, 0, LOOP_PARALLEL, extent_fixed(4), NO_SPAN);
}

static void test_alternatives(void)
{
    begin();
    const Scalar *otherwise = scalar_op1(l->g, OP_NOT, condition);
    Stmt *usual = outer(), *both = outer(), *twice = outer();
    branch_add(usual, condition, 10);
    branch_add(both, condition, 10);
    branch_add(both, otherwise, 1000);
    branch_add(twice, condition, 10);
    branch_add(twice, condition, 10);
    CU_ASSERT(cost_of(usual) > 0);
    CU_ASSERT_DOUBLE_EQUAL(cost_of(both), cost_of(usual), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(cost_of(twice), 2 * cost_of(usual), 1e-9);
    context_free(context);
}

static const UnitTest tests[] = {{"alternatives", test_alternatives}};

UNIT_MAIN("cost", tests)
