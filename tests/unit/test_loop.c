/* test_loop.c -- loops built by hand: their values, what belongs to their bodies, their text, and
 * what the verifier says of wrong ones. Expected numbers by hand. */
#include "eval.h"
#include "unit.h"

#define I(k)        scalar_iter(g, k)
#define REAL(v)     scalar_real(g, v)
#define OP2(o, ...) scalar_op2(g, OP_##o, __VA_ARGS__)
#define COUNT(a)    ((int)(sizeof(a) / sizeof *(a)))

static Context *context;
static Graph *g;
static EvalEnv env;

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
    env = eval_env(graph_arena(g), 7);
}

static void end(void)
{
    diag_print(context, stderr);
    context_free(context);
}

static const Node *vector(int n, const double *values)
{
    Extent shape = extent_fixed(n);
    return graph_const(g, TYPE_REAL, 1, &shape, values);
}
#define VECTOR(...) vector(COUNT(((double[]){__VA_ARGS__})), (double[]){__VA_ARGS__})

static const Scalar *load(const Node *node, const Scalar *const *subs)
{
    return scalar_load(g, node, subs, NULL, NO_SPAN);
}
#define LOAD(node, ...) load(node, (const Scalar *[]){__VA_ARGS__})

static const Node *map(int rank, int64_t n, const Scalar *body)
{
    Extent shape = extent_fixed(n);
    return graph_map(g, rank, &shape, body, NO_SPAN);
}

static const Loop *loop_of(int64_t steps, bool reversed)
{
    return graph_loop(g, name_of(context, "t"), extent_fixed(steps), reversed, NO_SPAN);
}

static const Scalar *time_of(const Loop *loop)
{
    return load(graph_time(g, loop), NULL);
}

static const Node *number_carry(const Loop *loop, int number)
{
    return graph_carry(g, loop, number, name_of(context, "h"), TYPE_REAL, 0, NULL);
}

/* Whether the node has exactly these elements, now and after its text was read again. */
static bool gives(const Node *node, int count, const double *expected)
{
    EvalArray *out = NULL;
    char error[256] = "";
    graph_verify(g, &node, 1, "the test");
    bool good = eval_roots(g, &env, &node, 1, &out, error, sizeof error) && out->count == count;
    if (!good) fprintf(stderr, "%s\n", error);
    for (int i = 0; good && i < count; i++)
        if (!unit_near(out->data[i], expected[i], 1e-14)) {
            fprintf(stderr, "[%d]: %.17g, not %.17g\n", i, out->data[i], expected[i]);
            good = false;
        }
    eval_array_free(out);
    StrBuf text = str_new(context_arena(context));
    graph_print(&text, g, &node, NULL, 1);
    GraphText again;
    bool same = graph_read(g, str_text(&text), NULL, 0, &again) && again.roots.data[0] == node;
    if (!same) fprintf(stderr, "%s\n", str_text(&text));
    return good && same;
}
#define GIVES(node, ...)                                                                           \
    CU_ASSERT(gives(node, COUNT(((double[]){__VA_ARGS__})), (double[]){__VA_ARGS__}))

/* h = 2 h + x[t] from 1: the last value, the values before and after each step. */
static void test_recurrence(void)
{
    for (int reversed = 0; reversed < 2; reversed++) {
        begin();
        const Node *x = VECTOR(1, 2, 3);
        const Loop *loop = loop_of(3, reversed);
        const Node *h = number_carry(loop, 0);
        const Scalar *next = OP2(ADD, OP2(MUL, REAL(2), load(h, NULL)), LOAD(x, time_of(loop)));
        Carry carry = {h, graph_scalar(g, REAL(1)), graph_scalar(g, next)};
        const Node *scan = graph_scan(g, loop, 1, &carry, NO_SPAN);
        const Node *before = graph_yield(g, scan, h, NO_SPAN);
        const Node *after = graph_yield(g, scan, carry.next, NO_SPAN);
        CU_ASSERT_PTR_NULL(before->free);
        CU_ASSERT_PTR_EQUAL(carry.next->free, &loop->only);
        if (reversed) {
            GIVES(graph_final(g, scan, 0), 25);
            GIVES(before, 12, 5, 1);
            GIVES(after, 25, 12, 5);
        } else {
            GIVES(graph_final(g, scan, 0), 19);
            GIVES(before, 1, 3, 8);
            GIVES(after, 3, 8, 19);
        }
        end();
    }
}

/* Two carries that change places; a carry that stays is its initial value. */
static void test_exchange(void)
{
    begin();
    const Loop *loop = loop_of(5, false);
    const Node *a = number_carry(loop, 0), *b = number_carry(loop, 1), *c = number_carry(loop, 2);
    const Node *init = graph_scalar(g, REAL(9));
    Carry carries[] = {{a, graph_scalar(g, REAL(1)), b},
                       {b, graph_scalar(g, REAL(2)), a},
                       {c, init, c}};
    const Node *scan = graph_scan(g, loop, 3, carries, NO_SPAN);
    GIVES(graph_final(g, scan, 0), 2);
    GIVES(graph_final(g, scan, 1), 1);
    GIVES(graph_yield(g, scan, a, NO_SPAN), 1, 2, 1, 2, 1);
    CU_ASSERT_PTR_EQUAL(graph_final(g, scan, 2), init);
    end();
}

/* What does not depend on the loop is outside of it, and its yield is a repetition. */
static void test_invariant(void)
{
    begin();
    const Loop *loop = loop_of(2, false), *none = loop_of(0, false);
    const Node *x = VECTOR(1, 2);
    const Node *square = map(1, 2, OP2(MUL, LOAD(x, I(0)), LOAD(x, I(0))));
    const Node *timed = map(1, 2, OP2(MUL, LOAD(square, I(0)),
                                      scalar_convert(g, time_of(loop), TYPE_REAL)));
    const Node *scan = graph_scan(g, loop, 0, NULL, NO_SPAN);
    CU_ASSERT_PTR_NULL(square->free);
    GIVES(graph_yield(g, scan, square, NO_SPAN), 1, 4, 1, 4);
    GIVES(graph_yield(g, scan, timed, NO_SPAN), 0, 0, 1, 4);
    const Node *root = graph_yield(g, scan, timed, NO_SPAN);
    const Region *whole = graph_regions(graph_arena(g), &root, 1, NULL);
    CU_ASSERT_FATAL(whole->inner.len == 1);
    const Region *body = whole->inner.data[0];
    CU_ASSERT(body->outer.len == 1 && body->outer.data[0] == square);
    CU_ASSERT(body->nodes.len == 2 && body->nodes.data[1] == timed);
    const Node *h = number_carry(none, 0);
    Carry carry = {h, graph_scalar(g, REAL(4)), graph_scalar(g, OP2(ADD, load(h, NULL), REAL(1)))};
    GIVES(graph_final(g, graph_scan(g, none, 1, &carry, NO_SPAN), 0), 4);
    end();
}

/* s = s + sum of the first t numbers, by a scan in a scan. */
static void test_nested(void)
{
    begin();
    const Loop *outer = loop_of(4, false), *inner = loop_of(3, false);
    const Node *s = number_carry(outer, 0), *r = number_carry(inner, 0);
    const Scalar *product = OP2(MUL, time_of(outer), time_of(inner));
    const Scalar *sum = OP2(ADD, load(r, NULL), scalar_convert(g, product, TYPE_REAL));
    Carry within = {r, s, graph_scalar(g, sum)};
    const Node *scan = graph_scan(g, inner, 1, &within, NO_SPAN);
    CU_ASSERT_PTR_EQUAL(scan->free, &outer->only);
    CU_ASSERT(within.next->free && within.next->free->n == 2);
    Carry around = {s, graph_scalar(g, REAL(0)), graph_final(g, scan, 0)};
    const Node *whole = graph_scan(g, outer, 1, &around, NO_SPAN);
    GIVES(graph_final(g, whole, 0), 18);
    const Node *steps = graph_yield(g, scan, within.next, NO_SPAN);
    GIVES(graph_yield(g, whole, steps, NO_SPAN), 0, 0, 0, 0, 1, 3, 3, 5, 9, 9, 12, 18);
    end();
}

/* A result asked for late makes the run wait for what is younger than the scan. */
static void test_late(void)
{
    begin();
    const Loop *loop = loop_of(3, false);
    const Node *h = number_carry(loop, 0);
    Carry carry = {h, graph_scalar(g, REAL(1)), graph_scalar(g, OP2(ADD, load(h, NULL), REAL(1)))};
    const Node *scan = graph_scan(g, loop, 1, &carry, NO_SPAN);
    const Node *last = graph_final(g, scan, 0);
    const Node *x = VECTOR(2, 3);
    const Node *scaled = map(1, 2, OP2(MUL, LOAD(x, I(0)), load(h, NULL)));
    const Node *late = graph_yield(g, scan, scaled, NO_SPAN);
    const Scalar *ratio = OP2(DIV, LOAD(late, scalar_int(g, 2), I(0)), load(last, NULL));
    GIVES(map(1, 2, ratio), 1.5, 2.25);
    end();
}

static const Node *twice(void *data, Rewrite *rewrite, const Node *node)
{
    if (node->kind != NODE_LEAF || node->leaf->kind != LEAF_CONST) return NULL;
    (void)rewrite;
    double value = 2 * node->leaf->values[0];
    return graph_const(data, TYPE_REAL, 1, node->shape, (double[]){value, value});
}

static void test_rewrite(void)
{
    begin();
    const Loop *loop = loop_of(2, false);
    const Node *h = number_carry(loop, 0), *x = VECTOR(3, 3);
    const Scalar *next = OP2(ADD, load(h, NULL), LOAD(x, time_of(loop)));
    Carry carry = {h, graph_scalar(g, REAL(1)), graph_scalar(g, next)};
    const Node *last = graph_final(g, graph_scan(g, loop, 1, &carry, NO_SPAN), 0);
    GIVES(last, 7);
    graph_rewrite(g, &last, 1, twice, g);
    GIVES(last, 13);
    end();
}

static void finds(const Node *node, const char *words)
{
    const char *fault = graph_check(graph_arena(g), g, &node, 1);
    bool good = fault && strstr(fault, words);
    if (!good) fprintf(stderr, "wanted \"%s\", found \"%s\"\n", words, fault ? fault : "");
    CU_ASSERT(good);
}

static void test_faults(void)
{
    begin();
    const Loop *loop = loop_of(2, false), *other = loop_of(2, false);
    const Node *h = number_carry(loop, 0), *x = VECTOR(1, 2);
    const Node *zero = graph_scalar(g, REAL(0));
    const Node *next = graph_scalar(g, OP2(ADD, load(h, NULL), REAL(1)));
    finds(next, "stands outside of");
    Carry wide = {h, zero, map(1, 2, OP2(ADD, LOAD(x, I(0)), load(h, NULL)))};
    finds(graph_final(g, graph_scan(g, loop, 1, &wide, NO_SPAN), 0), "changes its type or shape");
    Carry strange = {h, zero, next};
    finds(graph_final(g, graph_scan(g, other, 1, &strange, NO_SPAN), 0), "hangs on a loop");
    Carry wrong = {number_carry(other, 0), zero, next};
    finds(graph_final(g, graph_scan(g, loop, 1, &wrong, NO_SPAN), 0), "no leaf of the loop");
    Carry good = {h, zero, next};
    const Node *scan = graph_scan(g, loop, 1, &good, NO_SPAN);
    finds(graph_tag(g, scan), "a scan is no tensor");
    end();
}

static const UnitTest tests[] = {
    {"a recurrence", test_recurrence},
    {"carries that change places", test_exchange},
    {"what does not depend on the loop", test_invariant},
    {"a scan in a scan", test_nested},
    {"a result asked for late", test_late},
    {"rewriting", test_rewrite},
    {"what the verifier finds", test_faults},
};

UNIT_MAIN("loops", tests)
