/* test_print.c -- graphs as text: what is printed reads back to the same nodes, prints the same in
 * another graph, and looks as it should. */
#include "print.h"
#include "unit.h"

#include <stdlib.h>

static Context *context;
static Graph *g;

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
}

static void end(void)
{
    diag_print(context, stderr);
    context_free(context);
}

static const char *print(const GraphText *graph)
{
    StrBuf out = str_new(context_arena(context));
    graph_print(&out, g, graph->roots.data, graph->names.data, graph->roots.len);
    return str_text(&out);
}

static bool read(const char *text, const Nodes *leaves, GraphText *out)
{
    bool good = graph_read(g, text, leaves ? leaves->data : NULL, leaves ? leaves->len : 0, out);
    if (!good) diag_print(context, stderr);
    return good;
}

/* Reads text, prints, reads again: the same nodes, and the text is `expected`. */
static void round_trip(const char *text, const char *expected)
{
    begin();
    GraphText first, second;
    CU_ASSERT_FATAL(read(text, NULL, &first));
    const char *printed = print(&first);
    if (strcmp(printed, expected) != 0)
        fprintf(stderr, "printed:\n%s\nexpected:\n%s\n", printed, expected);
    CU_ASSERT_STRING_EQUAL(printed, expected);
    Nodes all = graph_reach(context_arena(context), first.roots.data, first.roots.len);
    CU_ASSERT_FATAL(read(printed, &all, &second));
    CU_ASSERT(first.roots.len == second.roots.len);
    for (int i = 0; i < first.roots.len; i++) {
        CU_ASSERT_PTR_EQUAL(first.roots.data[i], second.roots.data[i]);
        CU_ASSERT_PTR_EQUAL(first.names.data[i], second.names.data[i]);
    }
    end();
}
#define SAME(text) round_trip(text, text)

static void test_layers(void)
{
    SAME("batch = @size(batch)\n"
         "mnist_image = @field(mnist.image, u8, [batch <= 128, 784])\n"
         "MLP_dense1_w = @param(MLP.dense1.w, real, [784, 512])\n"
         "MLP_dense1_b = @param(MLP.dense1.b, real, [512])\n"
         "a[i < @upto(batch, 128), j < 512] = sum[k < 784] real(mnist_image[i, k]) / 255.0 * "
         "MLP_dense1_w[k, j]\n"
         "h[i < @upto(batch, 128), j < 512] = max(a[i, j] + MLP_dense1_b[j], 0.0)\n"
         "loss = mean[i < @upto(batch, 128), j < 512] h[i, j]\n"
         "return @result(loss, loss)\n");
    SAME("x = @input(x, real, [28, 28, 3])\n"
         "Net_2_block_3_w = @param(Net[2].block[3].w, real, [3, 3, 3])\n"
         "y[i < 28, j < 28] = sum[k < 3, l < 3, m < 3] x[i + k - 1, j + l - 1, m] outside 0.0 * "
         "Net_2_block_3_w[k, l, m]\n"
         "return y\n");
}

static void test_kinds(void)
{
    SAME("c = @const(int, [2, 2], 1, -2, 3, 4)\n"
         "u = @const(u8, [2], 1, 255)\n"
         "mnist_train_images_gz = @file(\"mnist/train-images.gz\", u8, [60, 28])\n"
         "T_buffer = @state(T.buffer, real, [6])\n"
         "epoch = @epoch(epoch)\n"
         "order = @order(T_buffer)\n"
         "t7 = @tag(T_buffer, 3)\n"
         "square = @reshape(t7, [2, 3])\n"
         "joined = @pieces(real, [2, 6], 1, [square, 0, 2], [square, 1, 2])\n"
         "hits = @scatter([5], sum[i < 6 where T_buffer[i] < 2.0] "
         "@at(order[i] - 1, joined[0, i]))\n"
         "total = @scatter(sum[i < 6] @at(T_buffer[i]))\n"
         "best[i < 2] = argmax[j < 6 where joined[i, j] <= 1e+300] joined[i, j]\n"
         "most[i < 2] = @point(max, joined[i, 0], 1 == c[i, i])\n"
         "return best,\n       total,\n       most,\n       hits,\n"
         "       mnist_train_images_gz,\n       u,\n       epoch\n");
}

static void test_operators(void)
{
    SAME("x = @input(x, real, [9])\n"
         "y = @input(y, int, [9])\n"
         "a[i < 9] = x[i] - (x[i] - 2.0) - -3.0 * -x[i] / (x[i] / 4.0) ^ 0.5\n"
         "b[i < 9] = (2.0 ^ x[i]) ^ (x[i] ^ 3.0) + exp(-x[i] ^ 2.0)\n"
         "c[i < 9] = if not (x[i] < 1.0 and x[i] == x[i]) or x[i] <= 0.1 then inf else "
         "if x[i] < 0.5 then -inf else nan\n"
         "d[i < 9] = y[i] // 2 * (y[i] % 3) + (-2147483647 - 1)\n"
         "e[i < 9] = int(x[i]) + int(u8(x[i])) + 2 * min(y[i], i)\n"
         "f[i < 9] = real(bool(x[i])) + polygamma(1.0, x[i]) + stop(x[i]) + 1e-30\n"
         "g[i < 9] = @rand(\"00c0ffee12345678\", 3, i) + "
         "@randn(\"ffffffffffffffff\", y[i], 1 + i * 2)\n"
         "h[i < 9] = 2.0 * (if x[i] < 1.0 then x[i] else 1.0)\n"
         "return a,\n       b,\n       c,\n       d,\n       e,\n       f,\n       g,\n       h\n");
}

static void test_ragged(void)
{
    SAME("batch = @size(batch)\n"
         "jets_len = @field(jets.len, int, [batch <= 8])\n"
         "jets_x = @field(jets.x, real, [batch <= 8, jets_len[i] <= 15, 3])\n"
         "y[i < @upto(batch, 8), j < 3] = mean[k < @upto(jets_len[i], 15)] jets_x[i, k, j]\n"
         "return y\n");
}

/* Indices may be called anything; names of nodes that are taken twice are numbered. */
static void test_names(void)
{
    begin();
    GraphText graph;
    CU_ASSERT_FATAL(read("x = @input(x, real, [3, 4])\n"
                         "y[row < 3] = sum[col < 4] x[row, col]\n"
                         "z[row < 3] = y[row] * 2.0\n"
                         "y[row < 3] = z[row] + 1.0\n"
                         "return @result(first, z), y\n",
                         NULL, &graph));
    CU_ASSERT_STRING_EQUAL(print(&graph), "x = @input(x, real, [3, 4])\n"
                                          "t2[i < 3] = sum[j < 4] x[i, j]\n"
                                          "z[i < 3] = t2[i] * 2.0\n"
                                          "t4[i < 3] = z[i] + 1.0\n"
                                          "return @result(first, z),\n"
                                          "       t4\n");
    StrBuf out = str_new(context_arena(context));
    shape_print(&out, graph.roots.data[0]);
    str_add(&out, " ");
    scalar_print(&out, graph.roots.data[1]->body);
    CU_ASSERT_STRING_EQUAL(str_text(&out), "[3] z[i] + 1.0");
    end();
}

/* A scalar with 2^40 paths, and one nested 500 deep, print in lines. */
static void test_sharing(void)
{
    begin();
    GraphText graph, again;
    CU_ASSERT_FATAL(read("x = @input(x, real, [3])\ny[i < 3] = x[i]\nreturn x\n", NULL, &graph));
    const Node *x = graph.roots.data[0];
    const Scalar *s = scalar_load_at(g, x, 0), *deep = s;
    for (int i = 0; i < 40; i++)
        s = scalar_op2(g, OP_MUL, scalar_op1(g, OP_SIN, s), scalar_op1(g, OP_COS, s));
    for (int i = 0; i < 500; i++)
        deep = scalar_op1(g, OP_SIN, deep);
    graph.roots.data[0] = graph_map(g, 1, x->shape, s, NO_SPAN);
    vec_push(context_arena(context), &graph.roots, graph_map(g, 1, x->shape, deep, NO_SPAN));
    graph.names.data = NULL;
    const char *text = print(&graph);
    CU_ASSERT(strlen(text) < 10000);
    CU_ASSERT_FATAL(read(text, &(Nodes){&x, 1, 1}, &again));
    CU_ASSERT_PTR_EQUAL(again.roots.data[0], graph.roots.data[0]);
    CU_ASSERT_PTR_EQUAL(again.roots.data[1], graph.roots.data[1]);
    end();
}

static void test_errors(void)
{
    static const char *const wrong[] = {
        "y = x\nreturn y\n",
        "x = @input(x, real, [3])\ny[i < 3] = x[i, i]\nreturn y\n",
        "x = @input(x, real, [3])\ny[i < 3] = x[i] + 1\nreturn y\n",
        "x = @input(x, real, [3])\ny[i] = x[i]\nreturn y\n",
        "x = @input(x, real, [3])\ny = @reshape(x, [4])\nreturn y\n",
        "x = @input(x, real, [3])\ny[i < 3] = x[0.5]\nreturn y\n",
        "x = @const(real, [3], 1.0)\nreturn x\n",
        "x = (((\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin();
        GraphText graph;
        CU_ASSERT(!graph_read(g, wrong[i], NULL, 0, &graph));
        CU_ASSERT(diag_errors(context) >= 1);
        context_free(context);
    }
}

static const UnitTest tests[] = {
    {"layers", test_layers},     {"kinds", test_kinds},   {"operators", test_operators},
    {"ragged", test_ragged},     {"names", test_names},   {"sharing", test_sharing},
    {"errors", test_errors}};
UNIT_MAIN("print", tests)
