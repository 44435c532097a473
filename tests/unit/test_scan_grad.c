/* test_scan_grad.c -- derivatives of scans: what is written with `scan` must be, to rounding, what the same
 * written with `for`, which is unrolled and knows no loops, is. */
#include "program_check.h"

static EvalArray *result(const char *text)
{
    if (!compile(text)) return NULL;
    const Node *root = model_find("M")->entry->outputs.data[0].node;
    graph_verify(program->graph, &root, 1, "elaboration");
    return run("M");
}

/* The texts differ in one statement, which stands for `@`; the results must agree and not be all zero. */
static void same(const char *frame, const char *scan, const char *unrolled)
{
    char texts[2][3000];
    const char *at = strchr(frame, '@');
    snprintf(texts[0], sizeof texts[0], "%.*s%s%s", (int)(at - frame), frame, scan, at + 1);
    snprintf(texts[1], sizeof texts[1], "%.*s%s%s", (int)(at - frame), frame, unrolled, at + 1);
    EvalArray *a = result(texts[0]);
    if (a) done();
    EvalArray *b = result(texts[1]);
    if (b) done();
    CU_ASSERT(a && b && a->count == b->count);
    bool any = false, good = true;
    for (int64_t i = 0; a && b && i < a->count && i < b->count; i++) {
        any = any || b->data[i] != 0;
        good = good && unit_near(a->data[i], b->data[i], 1e-11);
        if (!unit_near(a->data[i], b->data[i], 1e-11))
            fprintf(stderr, "[%d]: %.15g by scan, %.15g unrolled\n%s\n", (int)i, a->data[i],
                    b->data[i], texts[0]);
    }
    CU_ASSERT(good && any);
    eval_array_free(a);
    eval_array_free(b);
}

static const char chain[] =
    "fn f(w: real, a: real, x: [T]) {\n h = a\n s = 0.0\n @\n y = h^2 + s\n return concat([grad(y, w), grad(y, a)], grad(y, x)) }\n"
    "model M() = f([0.7, -0.4], 0.3, [0.5, -1.0, 2.0, 0.25])\n";

static void test_first(void)
{
    same(chain, "scan t < T carry h = a, s = 0 { next h = tanh(w * h + x[t])\n next s = s + h * x[t] }",
         "for t in 0..T { k = tanh(w * h + x[t])\n s = s + h * x[t]\n h = k }");
    same(chain, "scan t < T reversed carry h = a { next h = sin(w * h) + x[t]\n yield y = next h * h }\n s = y[0] * y[2]",
         "y = x\n p = [0.0, 0, 0, 0]\n for t in 0..T { k = sin(w * h) + x[T - 1 - t]\n"
         " p[i] = if i == T - 1 - t then k * h else p[i]\n h = k }\n s = p[0] * p[2]");
    /* Shifted reads, choices, an outer value as the next one, carries that change places. */
    same(chain, "scan t < T carry h = a, s = w { next h = s\n next s = if t < 2 then h * x[t - 1] outside w else a }",
         "s = w\n for t in 0..T { k = s\n s = if t < 2 then h * (if t == 0 then w else x[max(t - 1, 0)]) else a\n h = k }");
    /* Nothing happens in no steps. */
    same(chain, "scan t < 0 carry h = a * w { next h = h * x[0] }\n s = sum(x)", "h = a * w\n s = sum(x)");
}

static const char matrix[] =
    "fn f(w: [N, N], b: [N], x: [T, N]) {\n @\n l = sum(y^2) + sum(h * b)\n"
    " return concat(flatten(grad(l, w)), grad(l, b), flatten(grad(l, x))) }\n"
    "model M() = f([[0.5, -0.3], [0.2, 0.8]], [0.1, 0.4], [[[0.5, 1], [-1, 2], [0.3, 0.6]], [[1, 1], [2, -1], [0, 3]]])\n";

static void test_matrices(void)
{
    same(matrix,
         "scan t < T carry h: [N] = 0 { next h[j] = tanh(sum[i] h[i] * w[i, j] + sum[i] x[t, i] * w[j, i] + b[j])\n yield y = next h }",
         "h = [0.0, 0]\n for t in 0..T { k[j] = tanh(sum[i] h[i] * w[i, j] + sum[i] x[t, i] * w[j, i] + b[j])\n h = k\n"
         " if t == 0 { y = [h] } else { y = concat(y, [h], axis = 0) } }");
    /* Maxima, joined parts, another shape, reads by numbers found on the way. */
    same(matrix,
         "scan t < T carry h: [N] = 1, k: int = 0 {\n m = max[i] h[i] * w[i, k]\n v = concat(h, b)\n"
         " next h = x[t] * m + v[1:3]\n next k = argmax(next h)\n yield y = w[next k] * flatten([h])  }",
         "h = [1.0, 1]\n k = 0 + argmax([1.0, 0])\n for t in 0..T { m = max[i] h[i] * w[i, k]\n v = concat(h, b)\n"
         " g = x[t] * m + v[1:3]\n k = argmax(g)\n z = w[k] * flatten([h])\n h = g\n"
         " if t == 0 { y = [z] } else { y = concat(y, [z], axis = 0) } }");
    same(matrix,
         "scan t < T carry h: [N] = 1 { next h = reshape(concat(flatten(w), b), [3, 2])[t] * h + x[t]\n yield y = h * b }",
         "h = [1.0, 1]\n for t in 0..T { z = h * b\n h = reshape(concat(flatten(w), b), [3, 2])[t] * h + x[t]\n"
         " if t == 0 { y = [z] } else { y = concat(y, [z], axis = 0) } }");
}

static void test_nested(void)
{
    same(chain,
         "scan i < T carry h = a { scan j < 3 carry r = h { next r = sin(r * w) + x[i] * j\n yield q = r * x[i] }\n next h = r + sum(q)\n"
         " yield z = next h * w }\n s = sum(z)",
         "for i in 0..T { r = h\n q = 0.0\n for j in 0..3 { q = q + r * x[i]\n r = sin(r * w) + x[i] * j }\n h = r + q\n s = s + h * w }");
    /* The inner one does not depend on the outer one's carry, or not on the outer one at all. */
    same(chain,
         "scan i < T carry h = a { scan j < 3 carry r = w { next r = r * w + a\n yield q = r * x[i] }\n next h = h * r + sum(q) }",
         "for i in 0..T { r = w\n q = 0.0\n for j in 0..3 { q = q + r * x[i]\n r = r * w + a }\n h = h * r + q }");
}

/* Second derivatives: twice through the same scan. */
static void test_second(void)
{
    static const char second[] =
        "fn f(w: real, a: real, x: [T]) {\n h = a\n @\n y = h^2\n g = grad(y, w)\n l = g * sum(x) + g^2\n"
        " return concat([grad(l, w), grad(l, a)], grad(l, x)) }\n"
        "model M() = f([0.7, -0.4], 0.3, [0.5, -1.0, 2.0])\n";
    same(second, "scan t < T carry h = a { next h = tanh(w * h + x[t]) }",
         "for t in 0..T { h = tanh(w * h + x[t]) }");
    same(second, "scan t < T carry h = a, c = w { next c = sin(c) * h\n next h = h * w + next c * x[t]\n yield q = h * c }\n h = h + sum(q)",
         "c = w\n q = 0.0\n for t in 0..T { q = q + h * c\n d = sin(c) * h\n h = h * w + d * x[t]\n c = d }\n h = h + q");
    static const char matrices[] =
        "fn f(w: [N, N], x: [T, N]) {\n @\n l = sum(h^2)\n g = grad(l, w)\n k = sum(g^2)\n"
        " return concat(flatten(grad(k, w)), flatten(grad(k, x))) }\n"
        "model M() = f([[0.5, -0.3], [0.2, 0.8]], [[[0.5, 1], [-1, 2], [0.3, 0.6]], [[1, 1], [2, -1], [0, 3]]])\n";
    same(matrices, "scan t < T carry h: [N] = 0 { next h[j] = tanh(sum[i] h[i] * w[i, j] + x[t, j]) }",
         "h = [0.0, 0]\n for t in 0..T { k[j] = tanh(sum[i] h[i] * w[i, j] + x[t, j])\n h = k }");
}

/* Steps of descent within a scan, and through them: the derivative by what they start from. */
static void test_inside(void)
{
    static const char descent[] =
        "fn f(v: [N], x: [N]) {\n w = v\n @\n y = sum((w - x)^2)\n return concat(grad(y, v), grad(y, x)) }\n"
        "model M() = f([0.7, -0.4], [0.3, 0.9])\n";
    same(descent, "scan t < 4 carry w: [N] = v { l = sum((w * x - 1)^4)\n next w = w - 0.1 * grad(l, w) }",
         "for t in 0..4 { w = w + 0\n l = sum((w * x - 1)^4)\n w = w - 0.1 * grad(l, w) }");
}

/* For each of several results, and for each instance. */
static void test_jacobian(void)
{
    same("fn f(x: [N]) {\n @\n j[a < N, b < N] = grad(h[a], x)[b]\n return j }\n"
         "model M() = f([[0.7, -0.4], [0.3, 0.9]])\n",
         "scan t < 3 carry h: [N] = x { next h[i] = sin(h[i] + h[1 - i] * x[0]) }",
         "h = x\n for t in 0..3 { k[i] = sin(h[i] + h[1 - i] * x[0])\n h = k }");
}

static const UnitTest tests[] = {
    {"of numbers", test_first},       {"of matrices", test_matrices},
    {"scans in scans", test_nested},  {"second derivatives", test_second},
    {"derivatives inside", test_inside}, {"Jacobians", test_jacobian},
};

UNIT_MAIN("derivatives of scans", tests)
