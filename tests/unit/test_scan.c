/* test_scan.c -- scans from source text to values: carries, yields, scopes, states, draws. Expected
 * values were worked out by hand. */
#include "program_check.h"

/* --- values -------------------------------------------------------------------------------------- */

static void test_carries(void)
{
    EXPECT("model M() { x = [1.0, 2, 3]\n scan t < 3 carry s = 0 { next s = 2 * s + x[t] }\n return s }", 11);
    EXPECT("model M() { x = [1.0, 2, 3]\n scan t < 3 reversed carry s = 0 { next s = 2 * s + x[t] }\n"
           " return s }", 17);
    /* Fibonacci; `next` is readable once it is set; a carry without `next` stays. */
    EXPECT("model M() { scan t < 6 carry a: int = 0, b: int = 1, c = 7 { next a = b\n next b = a + b }\n"
           " return [a, b, c] }", 8, 13, 7);
    EXPECT("model M() { scan t < 3 carry a = 1, b = 0 { next a = 2 * a\n next b = b + next a }\n"
           " return [a, b] }", 8, 14);
    /* A scalar fills the type; elements by index. */
    EXPECT("model M() { scan t < 2 carry h: [3] = 1 { next h[i] = h[2 - i] + i + t }\n return h }", 4, 4, 4);
    EXPECT("model M() { scan t < 0 carry h: [2] = 5 { next h = h + 1\n yield y = h }\n"
           " return concat(h, [real(size(y, 0))]) }", 5, 5, 0);
}

static void test_yields(void)
{
    EXPECT("model M() { x = [1.0, 2, 3]\n scan t < 3 carry s = 0 { next s = s + x[t]\n yield y = next s\n"
           " yield z[k < 2] = s * k }\n return concat(y, flatten(z)) }", 1, 3, 6, 0, 0, 0, 1, 0, 3);
    EXPECT("model M() { x = [1.0, 2, 3]\n scan t < 3 reversed carry s = 0 { next s = s + x[t]\n"
           " yield y = next s }\n return y }", 6, 5, 3);
    /* Without carries, and of what does not change. */
    EXPECT("model M() { scan t < 3 { yield y = 10 * t\n yield z = 4 }\n return real(y + z) }", 4, 14, 24);
}

static void test_scopes(void)
{
    /* Outer names are read; binding one inside is local; the index counts in bounds. */
    EXPECT("model M() { a = 2.0\n x = [1.0, 2, 3, 4]\n"
           " scan t < 3 carry s = 0 { a = a * x[t + 1]\n next s = s + a }\n return [a, s] }", 2, 18);
    EXPECT("model M() { x = [1.0, 2, 3, 4]\n scan t < 3 { yield y = sum[p] x[t + p] }\n return y }", 3, 5, 7);
    EXPECT("model M() { x = [[1.0, 2], [3, 4]]\n scan i < 2 carry s = 0 {\n"
           " scan j < 2 carry r = s { next r = r + x[i, j]\n yield z = next r }\n"
           " next s = r\n yield y = z }\n return concat([s], flatten(y)) }", 10, 1, 3, 6, 10);
    EXPECT("model M() { for k in 0..2 { scan t < 3 carry s = k { next s = s + 1 } }\n return s }", 4);
}

static void test_choices(void)
{
    EXPECT("model M() { x = [1.0, -2, 3]\n scan t < 3 carry s = 0 {\n"
           " if x[t] > 0 { next s = s + x[t]\n yield y = next s } else { yield y = x[t] }\n }\n"
           " return concat(y, [s]) }", 1, -2, 4, 4);
    EXPECT("model M() { x = [1.0, -2]\n if x[0] > 0 { scan t < 2 carry s = 0 { next s = s + x[t] } }\n"
           " else { s = 5.0 }\n return s }", -1);
}

/* Over instances and indices: every one has its own carries. */
static void test_lifting(void)
{
    EXPECT("fn f(x: [T], k: real) { scan t < T carry s = 0 { next s = s * k + x[t]\n yield y = next s }\n"
           " return y }\nfn g(x: [T]) = f(x, 2)\n"
           "model M() = g([[1.0, 2, 3], [4, 5, 6]])", 1, 4, 11, 4, 13, 32);
    EXPECT("fn f(x: [T], k: real) { scan t < T carry s = 0 { next s = s * k + x[t] }\n return s }\n"
           "model M() { x = [[1.0, 2], [3, 4]]\n y[i, k < 2] = f(x[i, :], real(k))\n return y }", 2, 3, 4, 7);
}

/* One set of parameters; a new draw at every step. */
static void test_layers(void)
{
    CU_ASSERT_FATAL(compile("layer cell(h: [N]) { param w: [N, N] = 0.5\n y[j] = sum[i] h[i] * w[i, j]\n"
                            " return y }\n"
                            "model M() { scan t < 3 carry h: [2] = 1 { next h = cell(h) + 1 }\n return h }"));
    CU_ASSERT_EQUAL(program->persistents.len, 1);
    CU_ASSERT_STRING_EQUAL(program->persistents.data[0]->path, "M.cell1.w");
    EvalArray *out = run("M");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT(out->count == 2 && out->data[0] == 4 && out->data[1] == 4);
    eval_array_free(out);
    done();
    CU_ASSERT_FATAL(compile("model M() { scan i < 2 { scan t < 3 { yield y[k < 2] = rand() }\n yield z = y }\n"
                            " return flatten(z) }"));
    out = run("M");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(out->count, 12);
    for (int i = 0; i < out->count; i++)
        for (int k = 0; k < i; k++)
            CU_ASSERT_NOT_EQUAL(out->data[i], out->data[k]);
    eval_array_free(out);
    done();
}

/* A state that the body sets goes on from step to step, and from training step to training step. */
static void test_states(void)
{
    const char *text =
        "model M(x: [3]) {\n param w = 1\n state n = 10\n"
        " scan t < 3 carry s = 0 {\n"
        "  if training { next n = n + t }\n"
        "  next s = s + w * count(x[t])\n }\n return s }\n"
        "layer count(x: real) {\n state m = 0\n if training { next m = m + 1 }\n return x }\n"
        "train fit {\n batch: 2\n steps: 2\n minimize mean((M([[1.0, 2, 3], [4, 5, 6]]))^2) using sgd(0.0) }\n";
    CU_ASSERT_FATAL(compile(text));
    ASSERT_NEAR(after_steps("M.n", 1), 13);
    ASSERT_NEAR(after_steps("M.count1.m", 1), 3);
    ASSERT_NEAR(after_steps("M.n", 2), 16);
    ASSERT_NEAR(after_steps("M.count1.m", 2), 6);
    done();
}

/* The number of steps is no matter of compiling. */
static void test_long(void)
{
    EXPECT("model M() { scan t < 10000 carry s = 0 { next s = s + 1 }\n return s }", 10000);
    CU_ASSERT_FATAL(compile("model M() { scan t < 10000 carry s = 0 { next s = s + t }\n return s }"));
    const Node *root = model_find("M")->entry->outputs.data[0].node;
    CU_ASSERT(graph_reach(context_arena(context), &root, 1).len < 10);
    done();
}

static const UnitTest tests[] = {
    {"carries", test_carries},   {"yields", test_yields}, {"scopes", test_scopes},
    {"choices", test_choices},   {"lifting", test_lifting}, {"layers", test_layers},
    {"states", test_states},     {"many steps", test_long},
};

UNIT_MAIN("scan", tests)
