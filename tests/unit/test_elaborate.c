/* test_elaborate.c -- from source text to values: index ranges, subscripts, lifting, names of parameters,
 * draws, derivatives, choices. Expected values were worked out by hand. */
#include "program_check.h"

/* --- ranges ------------------------------------------------------------------------------------------------ */

static void test_ranges(void)
{
    EXPECT("fn f(a: [M, N]) { y[i] = sum[j] a[i, j]\nreturn y }\n"
           "model M() = f([[1.0, 2, 3], [4, 5, 6]])", 6, 15);
    /* The largest range that stays inside: 3 windows of 2 over 4. */
    EXPECT("fn f(x: [N], w: [K]) { y[i] = sum[p] x[i + p] * w[p]\nreturn y }\n"
           "model M() = f([1.0, 2, 3, 4], [1.0, 10])", 21, 32, 43);
    EXPECT("fn f(x: [N]) { y[i] = x[2 * i + 1]\nreturn y }\nmodel M() = f([1.0, 2, 3, 4, 5])", 2, 4);
    EXPECT("fn f(x: [N]) { y[i < N] = x[N - 1 - i]\nreturn y }\nmodel M() = f([1.0, 2, 3])", 3, 2, 1);
    EXPECT("fn f(x: [N]) { y[i < N] = x[i - 1] outside 9\nreturn y }\nmodel M() = f([1.0, 2, 3])",
           9, 1, 2);
    /* An inner reduction may use an outer index's name. */
    EXPECT("fn f(x: [N]) { y[i] = x[i] / sum[i] x[i]\nreturn y }\nmodel M() = f([1.0, 3])", 0.25, 0.75);
    EXPECT("fn f(x: [N]) { y[i < 2, j < 3] = 10 * i + j\nreturn y }\nmodel M() = f([1.0])",
           0, 1, 2, 10, 11, 12);
    CU_ASSERT_EQUAL(errors("fn f(x: [N]) { y[i] = x[i // 2]\nreturn y }\nmodel M() = f([1.0])"), 1);
    CU_ASSERT_EQUAL(errors("fn f(x: [N], z: [K]) { y[i] = x[i] + z[i]\nreturn y }\n"
                           "model M() = f([1.0, 2], [1.0])"), 1);
}

static void test_reductions(void)
{
    EXPECT("model M() = sum([1.0, 2, 3])", 6);
    EXPECT("fn f(x: [N]) = [max(x), min(x), mean(x), prod(x)]\nmodel M() = f([1.0, 2, 6])", 6, 1, 3, 12);
    EXPECT("fn f(x: [N]) { y = mean[i where x[i] > 1] x[i]\nreturn y }\nmodel M() = f([1.0, 2, 6])", 4);
    EXPECT("fn f(a: [N, K]) = argmax(a)\nmodel M() = f([[1.0, 5, 5], [7, 2, 3]])", 1, 0);
    /* A reduction binds like Sigma on paper. */
    EXPECT("fn f(a: [N]) { y = sum[i] a[i] * 2 + 100\nreturn y }\nmodel M() = f([1.0, 2])", 106);
    EXPECT("fn f(x: [N]) = sum(x == 2)\nmodel M() = f([2.0, 2, 6])", 2);
}

static void test_subscripts(void)
{
    EXPECT("fn f(a: [N, K]) = a[1]\nmodel M() = f([[1.0, 2], [3, 4]])", 3, 4);
    EXPECT("fn f(a: [N, K]) = a[:, 1]\nmodel M() = f([[1.0, 2], [3, 4]])", 2, 4);
    EXPECT("fn f(a: [N, K]) = a[:, :1] outside 0\nmodel M() = f([[1.0, 2], [3, 4]])", 1, 3);
    EXPECT("fn f(t: [V, D], k: int[T]) { y[i, d] = t[k[i], d]\nreturn y }\n"
           "model M() = f([[1.0, 2], [3, 4], [5, 6]], [2, 0])", 5, 6, 1, 2);
    EXPECT("fn f(x: [N]) = x[1:3][1]\nmodel M() = f([1.0, 2, 3, 4])", 3);
    EXPECT("fn f(x: [N]) = concat(x[2:], x[:2])\nmodel M() = f([1.0, 2, 3])", 3, 1, 2);
    CU_ASSERT_EQUAL(errors("fn f(x: [N]) = x[3]\nmodel M() = f([1.0, 2, 3])"), 1);
    CU_ASSERT_EQUAL(errors("fn f(x: [N]) = x[-1]\nmodel M() = f([1.0, 2, 3])"), 1);
}

/* --- lifting -------------------------------------------------------------------------------------------------- */

static void test_lifting(void)
{
    EXPECT("fn norm(x: [N]) = sqrt(sum(x^2))\nmodel M() = norm([[3.0, 4], [6, 8]])", 5, 10);
    /* What has no extra axes goes whole to every instance. */
    EXPECT("fn dot(a: [N], b: [N]) = sum(a * b)\nmodel M() = dot([[1.0, 2], [3, 4]], [1.0, 10])",
           21, 43);
    EXPECT("fn g(x: real) = x + 1\nfn f(x: [N]) { y[i] = g(x[i]) * 2\nreturn y }\n"
           "model M() = f([1.0, 2])", 4, 6);
    /* Every result has the mapped axes in front, also one that is the same for all. */
    EXPECT("fn one(x: [N]) = size(x)\nmodel M() = one([[1.0, 2], [3, 4]])", 2, 2);
    EXPECT("fn centre(x: [N]) = x - mean(x)\nmodel M() = centre([[1.0, 3], [5, 5]])", -1, 1, 0, 0);
    EXPECT("fn two(x: real) { return x, 2 * x }\nfn f(x: [N]) { a, b = two(x)\nreturn a + b }\n"
           "model M() = f([1.0, 2])", 3, 6);
    CU_ASSERT_EQUAL(errors("model M() = [1.0, 2] + [1.0, 2, 3]"), 1);
    CU_ASSERT_EQUAL(errors("fn f(a: [N], b: [S, N]) = sum(a)\n"
                           "model M() = f([[1.0, 2]], [[[1.0, 2]], [[3, 4]]])"), 1);
}

static void test_each(void)
{
    /* Over all mapped axes of this call and of those around it, not over the statement's index. */
    EXPECT("fn c(x: [C]) { m[c] = mean[each] x[c]\nreturn m }\n"
           "model M() = c([[[1.0, 10], [2, 20]], [[3, 30], [6, 60]]], training = true)",
           3, 30, 3, 30, 3, 30, 3, 30);
    CU_ASSERT_EQUAL(errors("fn c(x: [C]) { m[c] = mean[each] x[c]\nreturn m }\n"
                           "model M() = c([[1.0, 10], [2, 20]])"), 1);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static bool has_parameter(const char *path)
{
    for (int i = 0; i < program->persistents.len; i++)
        if (!strcmp(program->persistents.data[i]->path, path)) return true;
    return false;
}

static void test_paths(void)
{
    CU_ASSERT_FATAL(compile("layer block(x: [N]) = dense(x, N) |> dense(N)\n"
                            "model M() {\n  h = dense(dense([1.0, 2], 3), 2)\n"
                            "  for k in 0..2 { h = block(h) }\n  return h\n}\n"
                            "model T like M\nmodel U() = T()"));
    CU_ASSERT(has_parameter("M.dense1.w"));
    CU_ASSERT(has_parameter("M.dense2.b"));
    CU_ASSERT(has_parameter("M.block1[0].dense1.w"));
    CU_ASSERT(has_parameter("M.block1[1].dense2.w"));
    CU_ASSERT(has_parameter("T.block1[1].dense2.w"));
    CU_ASSERT(!has_parameter("U.dense1.w"));
    /* The outer call stands first in the text. */
    for (int i = 0; i < program->persistents.len; i++) {
        const Persistent *p = program->persistents.data[i];
        if (!strcmp(p->path, "M.dense1.w")) CU_ASSERT_EQUAL(p->leaf->shape[0].max, 3);
        if (!strcmp(p->path, "M.dense2.w")) CU_ASSERT_EQUAL(p->leaf->shape[0].max, 2);
    }
    CU_ASSERT_EQUAL(model_find("M")->n_parameters, 2 * 3 + 3 + 3 * 2 + 2 + 4 * (4 + 2));
    CU_ASSERT_EQUAL(model_find("U")->n_parameters, 0);
    done();
}

static void test_constants(void)
{
    EXPECT("const a = b * 2\nconst b = 3\nmodel M() { return [a, b // 2, 7 % 4, -7 // 2] }", 6, 1, 3, -4);
    EXPECT("fn half(n: int) = n // 2\nmodel M() { y[i < half(6)] = i\nreturn y }", 0, 1, 2);
    EXPECT("model M() { y = 0.0\nfor k in 1..4 { y = y + k }\nreturn y }", 6);
    EXPECT("fn pick(x, which) = if which == \"a\" then x else -x\n"
           "model M() = [pick(1.0, \"a\"), pick(1.0, \"b\")]", 1, -1);
    EXPECT("fn apply(x: real, f) = f(f(x))\nmodel M() = apply(2.0, exp) - exp(exp(2.0)) + 1", 1);
    CU_ASSERT_EQUAL(errors("const a = b\nconst b = a\nmodel M() = a"), 1);
    CU_ASSERT_EQUAL(errors("fn f(x: real) = f(x)\nmodel M() = f(1.0)"), 1);
}

/* --- choices --------------------------------------------------------------------------------------------------- */

static void test_choices(void)
{
    EXPECT("fn f(x: real) {\n  if x > 0 { y = x\n z = 1.0 } else { y = -x\n z = 2.0 }\n  return y * z\n}\n"
           "model M() = f([3.0, -3])", 3, 6);
    EXPECT("fn f(x: real) { if x > 0 { return x } else { return 0.0 } }\nmodel M() = f([3.0, -3])", 3, 0);
    EXPECT("fn f(x: [N], flip) = if flip then x[1:] else x\nmodel M() = f([3.0, -3], true)", -3);
    CU_ASSERT_EQUAL(errors("fn f(x: real) { if x > 0 { y = x }\nreturn y }\nmodel M() = f([1.0, 2])"), 1);
}

/* --- draws ------------------------------------------------------------------------------------------------------- */

static void test_draws(void)
{
    /* Two places, two calls, two rounds of a loop, two instances are independent; a name is drawn once. */
    CU_ASSERT_FATAL(compile("fn d(x: real) = rand()\nfn noise(x: [N]) { e = rand()\n return x * 0 + e }\n"
                            "model M() {\n  a = rand()\n  b = rand()\n  c = d([0.0, 0]) |> d\n"
                            "  k = noise([0.0, 0])\n  s = [0.0, 0]\n"
                            "  for i in 0..2 { s = concat(s, [rand()]) }\n"
                            "  return concat([a, b], c, k, s)\n}"));
    EvalArray *out = run("M");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    const double *v = out->data;
    CU_ASSERT_EQUAL(out->count, 10);
    const int different[] = {0, 1, 2, 3, 4, 8, 9};
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < i; k++)
            CU_ASSERT_NOT_EQUAL(v[different[i]], v[different[k]]);
    CU_ASSERT_EQUAL(v[4], v[5]);
    for (int i = 0; i < 10; i++)
        CU_ASSERT(v[i] >= 0 && v[i] < 1);
    eval_array_free(out);
    done();
}

/* --- derivatives --------------------------------------------------------------------------------------------------- */

static void test_grad(void)
{
    EXPECT("fn f(x: real) { y = x^3\nreturn grad(y, x) }\nmodel M() = f([1.0, 2])", 3, 12);
    EXPECT("fn f(x: real) { y = x^4\nd = grad(y, x)\nreturn grad(d, x) }\nmodel M() = f([1.0, 2])", 12, 48);
    /* The latest binding; the other argument stays fixed. */
    EXPECT("fn f(x: real) { y = x^2\n x = x^3\n return grad(y + x, x) }\nmodel M() = f(2.0)", 1);
    EXPECT("fn g(a: real, b: real) = grad(a * b, a)\nfn f(t: real) = g(t, t)\nmodel M() = f(5.0)", 5);
    /* The Jacobian, index by index. */
    EXPECT("fn f(x: [N]) { y[a] = x[a]^2 * x[0]\nj[a < N, b < N] = grad(y[a], x)[b]\nreturn j }\n"
           "model M() = f([2.0, 3])", 12, 0, 9, 12);
    EXPECT("fn f(x: real) = if x > 0 then log(x) else 0.0\n"
           "fn d(x: real) { y = f(x)\nreturn grad(y, x) }\nmodel M() = d([2.0, 0, -1])", 0.5, 0, 0);
    EXPECT("fn f(x: real) { y = x + stop(round(x) - x)\nreturn grad(y * 3, x) }\nmodel M() = f(1.4)", 3);
    EXPECT("fn d(x: real) { y = max(x, 0) + abs(x)\nreturn grad(y, x) }\nmodel M() = d([0.0, 2])", 0, 2);
    CU_ASSERT_EQUAL(errors("fn f(x: [N]) = grad(x, x)\nmodel M() = f([1.0])"), 1);
}

/* --- train blocks --------------------------------------------------------------------------------------------------- */

static void test_train(void)
{
    /* One step of sgd(0.1) on w^2 is w := 0.8 w. */
    const char *text = "model A() -> real {\n  param w: real = 1\n  return w\n}\nmodel B like A\n"
                       "train t {\n  steps: 2\n  _ = B()\n"
                       "  repeat 3 { minimize A()^2 using sgd(0.1) }\n"
                       "  update B = 0.5 * B + 0.5 * A\n}";
    CU_ASSERT_FATAL(compile(text));
    ASSERT_NEAR(after_steps("A.w", 1), 0.512);
    ASSERT_NEAR(after_steps("A.w", 2), 0.512 * 0.512);
    ASSERT_NEAR(after_steps("B.w", 1), 0.5 + 0.256);
    ASSERT_NEAR(after_steps("B.w", 2), 0.5 * (0.5 + 0.256) + 0.5 * 0.512 * 0.512);
    ASSERT_NEAR(after_steps("t.minimize1.t", 2), 6);
    done();
    /* Rounds of repeat share one optimiser state: v = g, then 0.9 v + g. */
    CU_ASSERT_FATAL(compile("model A() -> real {\n  param w: real = 1\n  return w\n}\n"
                            "train t {\n  steps: 1\n"
                            "  repeat 2 { minimize A()^2 using sgd(0.1, momentum = 0.9) }\n}"));
    ASSERT_NEAR(after_steps("A.w", 1), 0.8 - 0.1 * (0.9 * 2 + 1.6));
    done();
    /* Copies made by for do not. */
    CU_ASSERT_FATAL(compile("model A[2]() -> real {\n  param w: real = 1\n  return w\n}\n"
                            "train t {\n  steps: 1\n"
                            "  for k in 0..2 { minimize A[k]()^2 using sgd(0.1 * (k + 1)) }\n}"));
    ASSERT_NEAR(after_steps("A[0].w", 1), 0.8);
    ASSERT_NEAR(after_steps("A[1].w", 1), 0.6);
    CU_ASSERT(has_parameter("t.minimize1[1].t"));
    done();
    /* A loss from before a change is an error; computed again it is not. */
    const char *stale = "model A() -> real {\n  param w: real = 1\n  return w\n}\n"
                        "train t {\n  steps: 1\n  a = A()\n  minimize a^2 using sgd(0.1)\n"
                        "  minimize a^4 using sgd(0.1)\n}";
    CU_ASSERT_EQUAL(errors(stale), 1);
    CU_ASSERT_FATAL(compile("model A() -> real {\n  param w: real = 1\n  return w\n}\n"
                            "train t {\n  steps: 1\n  a = A()\n  minimize a^2 using sgd(0.1)\n"
                            "  a = A()\n  minimize a^4 using sgd(0.1)\n}"));
    ASSERT_NEAR(after_steps("A.w", 1), 0.8 - 0.1 * 4 * 0.8 * 0.8 * 0.8);
    done();
    /* A parameter that an earlier minimize has set is a constant for a later one: B := 1 - 0.1 * A, and the
     * derivative of A * B by A is B, not B + A * dB/dA. */
    CU_ASSERT_FATAL(compile("model A() -> real {\n  param w: real = 3\n  return w\n}\n"
                            "model B() -> real {\n  param w: real = 1\n  return w\n}\n"
                            "train t {\n  steps: 1\n  minimize A() * B() over B using sgd(0.1)\n"
                            "  minimize A() * B() over A using sgd(0.1)\n}"));
    ASSERT_NEAR(after_steps("B.w", 1), 0.7);
    ASSERT_NEAR(after_steps("A.w", 1), 3 - 0.1 * 0.7);
    done();
}

int main(void)
{
    static const UnitTest tests[] = {
        {"ranges", test_ranges},       {"reductions", test_reductions},
        {"subscripts", test_subscripts},{"lifting", test_lifting},
        {"each", test_each},           {"paths", test_paths},
        {"constants", test_constants}, {"choices", test_choices},
        {"draws", test_draws},         {"derivatives", test_grad},
        {"train blocks", test_train}};
    return unit_main("elaborate", tests, (int)(sizeof tests / sizeof *tests));
}
