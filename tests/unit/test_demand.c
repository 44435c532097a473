/* test_demand.c -- under which conditions nodes are needed, of graphs built by hand. */
#include "demand.h"
#include "unit.h"

#define I(k)            scalar_iter(g, k)
#define INT(v)          scalar_int(g, v)
#define REAL(v)         scalar_real(g, v)
#define N(v)            extent_fixed(v)
#define OP1(o, a)       scalar_op1(g, OP_##o, a)
#define OP2(o, ...)     scalar_op2(g, OP_##o, __VA_ARGS__)
#define LOAD(node, ...) scalar_load(g, node, (const Scalar *[]){__VA_ARGS__}, NULL, NO_SPAN)

static Context *context;
static Graph *g;

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
}

static void end(void)
{
    context_free(context);
}

static const Scalar *number(const Node *node)
{
    return scalar_load(g, node, NULL, NULL, NO_SPAN);
}

static const Node *leaf_of(const char *name, ElemType type, int rank)
{
    Extent shape = N(6);
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_of(context, name)};
    return graph_leaf(g, &leaf, type, rank, &shape);
}

static const Node *vector_map(const Scalar *body)
{
    Extent shape = N(6);
    return graph_map(g, 1, &shape, body, NO_SPAN);
}

static const Node *vector_sum(const Node *x)
{
    Extent iters[] = {N(6), N(6)};
    return graph_comp(g, REDUCE_SUM, 1, 2, iters, OP2(MUL, LOAD(x, I(1)), LOAD(x, I(0))), NULL, NO_SPAN);
}

static Demand *demand_of(const Node *root)
{
    return demand_find(g, graph_arena(g), &root, NULL, 1);
}

/* Whether the node is needed where these hold, and only there. */
static bool needed_where(const Demand *d, const Node *node, int n, const Node *const *nodes, const bool *holds)
{
    const When *w = demand_when(d, node);
    bool same = w->nodes.len == n;
    for (int i = 0; i < n && same; i++)
        same = w->nodes.data[i] == nodes[i] && w->holds[i] == holds[i];
    return same;
}
#define NEEDED(d, node, n, ...) CU_ASSERT(needed_where(d, node, n, (const Node *[]){__VA_ARGS__}, holds))

static void test_branches(void)
{
    begin();
    const Node *x = leaf_of("x", TYPE_REAL, 1), *r = leaf_of("r", TYPE_REAL, 0);
    const Node *c = graph_scalar(g, OP2(LT, REAL(0), number(r)));
    const Node *a = vector_sum(x), *b = vector_sum(a), *both = vector_map(OP2(ADD, LOAD(x, I(0)), REAL(1)));
    const Scalar *sum = OP2(ADD, LOAD(a, I(0)), LOAD(both, I(0)));
    const Scalar *other = OP2(ADD, LOAD(b, I(0)), LOAD(both, I(0)));
    const bool holds[] = {true}, fails[] = {false};
    Demand *d = demand_of(vector_map(scalar_select(g, number(c), sum, LOAD(both, I(0)))));
    NEEDED(d, a, 1, c);
    NEEDED(d, both, 0, NULL);
    NEEDED(d, c, 0, NULL);
    /* b is computed from a, which both branches use then. */
    d = demand_of(vector_map(scalar_select(g, number(c), sum, other)));
    NEEDED(d, a, 0, NULL);
    CU_ASSERT(needed_where(d, b, 1, &c, fails));
    /* `not c` asks for the contrary. */
    d = demand_of(vector_map(scalar_select(g, OP1(NOT, number(c)), sum, LOAD(x, I(0)))));
    CU_ASSERT(needed_where(d, a, 1, &c, fails));
    CU_ASSERT(when_common(d, demand_when(d, a), when_always(d)) == when_always(d));
    /* A condition per element decides nothing. */
    d = demand_of(vector_map(scalar_select(g, OP2(LT, REAL(0), LOAD(x, I(0))), sum, LOAD(x, I(0)))));
    NEEDED(d, a, 0, NULL);
    end();
}

/* A condition inside another is itself needed only there, and is asked behind it. */
static void test_nested(void)
{
    begin();
    const Node *x = leaf_of("x", TYPE_REAL, 1), *r = leaf_of("r", TYPE_REAL, 0);
    const Node *inner = graph_scalar(g, OP2(LT, LOAD(vector_sum(x), INT(2)), number(r)));
    const Node *outer = graph_scalar(g, OP2(LT, REAL(0), number(r)));
    const Node *a = vector_sum(x), *b = vector_sum(a);
    const Node *choice = vector_map(scalar_select(g, number(inner), LOAD(b, I(0)), REAL(0)));
    const Node *twice = vector_sum(choice);
    Demand *d = demand_of(vector_map(scalar_select(g, number(outer), LOAD(twice, I(0)), REAL(1))));
    const bool holds[] = {true, true};
    NEEDED(d, choice, 1, outer);
    NEEDED(d, inner, 1, outer);
    NEEDED(d, a, 1, outer);
    NEEDED(d, b, 2, outer, inner);
    const Nodes *before = map_get(demand_before(d), b);
    CU_ASSERT(before && before->len == 2);
    /* The same conditions joined; a node that is the other way of asking for them. */
    const Scalar *joined = OP2(AND, number(outer), number(inner));
    d = demand_of(vector_map(scalar_select(g, joined, LOAD(b, I(0)), REAL(0))));
    CU_ASSERT(demand_when(d, b)->nodes.len == 2);
    const Node *own = graph_scalar(g, joined);
    Demand *e = demand_of(vector_map(scalar_select(g, number(own), LOAD(b, I(0)), REAL(0))));
    CU_ASSERT(when_within(demand_when(d, b), demand_when(e, b)));
    end();
}

/* What is kept is needed where it becomes something else; its value as a condition is one of its own. */
static void test_kept(void)
{
    begin();
    const Node *old = leaf_of("old", TYPE_REAL, 1), *flag = leaf_of("flag", TYPE_BOOL, 0);
    const Node *a = vector_sum(old);
    const Node *set = vector_map(scalar_select(g, number(flag), LOAD(old, I(0)), LOAD(a, I(0))));
    Demand *d = demand_find(g, graph_arena(g), &set, &old, 1);
    const When *when = demand_when(d, set);
    CU_ASSERT_FATAL(when->nodes.len == 1);
    CU_ASSERT(!when->holds[0] && when->nodes.data[0] != flag && when->nodes.data[0]->rank == 0);
    CU_ASSERT(demand_when(d, a) == when);
    CU_ASSERT(demand_when(demand_of(set), set)->nodes.len == 0);
    end();
}

/* In a loop: by the step, and by what is known outside. */
static void test_loop(void)
{
    begin();
    const Loop *loop = graph_loop(g, name_of(context, "t"), N(4), false, NO_SPAN);
    const Node *x = leaf_of("x", TYPE_REAL, 1), *r = leaf_of("r", TYPE_REAL, 0);
    const Node *h = graph_carry(g, loop, 0, name_of(context, "h"), TYPE_REAL, 1, x->shape);
    const Node *late = graph_scalar(g, OP2(LT, INT(2), number(graph_time(g, loop))));
    const Node *fixed = vector_sum(x), *each = vector_sum(h);
    const Scalar *value = OP2(ADD, LOAD(fixed, I(0)), LOAD(each, I(0)));
    const Node *next = vector_map(scalar_select(g, number(late), value, LOAD(h, I(0))));
    Carry carry = {h, x, next};
    const Node *scan = graph_scan(g, loop, 1, &carry, NO_SPAN), *final = graph_final(g, scan, 0);
    const bool holds[] = {true, true};
    Demand *d = demand_of(final);
    NEEDED(d, next, 1, late);
    NEEDED(d, each, 1, late);
    NEEDED(d, fixed, 0, NULL); /* outside of the loop the step is not known */
    NEEDED(d, scan, 0, NULL);
    const Node *c = graph_scalar(g, OP2(LT, REAL(0), number(r)));
    d = demand_of(vector_map(scalar_select(g, number(c), LOAD(final, I(0)), REAL(0))));
    NEEDED(d, scan, 1, c);
    NEEDED(d, fixed, 1, c);
    NEEDED(d, each, 2, c, late);
    end();
}

static const UnitTest tests[] = {
    {"branches of choices", test_branches},
    {"conditions in conditions", test_nested},
    {"what is kept", test_kept},
    {"loops", test_loop},
};

UNIT_MAIN("demand", tests)
