/* test_stream.c -- a computation split into passes over chunks gives what it gives over all
 * examples at once; both by the reference evaluator, and some by hand. */
#include "eval.h"
#include "program.h"
#include "unit.h"

enum { EXAMPLES = 10, CHUNK = 4, MAX_PERSIST = 64 };

#define I(k)        scalar_iter(g, k)
#define INT(v)      scalar_int(g, v)
#define REAL(v)     scalar_real(g, v)
#define OP1(o, a)   scalar_op1(g, OP_##o, a)
#define OP2(o, ...) scalar_op2(g, OP_##o, __VA_ARGS__)

static Context *context;
static Graph *g;
static Program *program;
static Entry *whole;
static Extent batch, row[2]; /* [batch], [batch, 2] */
static const Node *x, *label, *len;
static EvalArray *all[3]; /* values of x, label, len */
static EvalArray *state[MAX_PERSIST];

static const Node *input(const char *name, ElemType type, int rank, const Extent *shape)
{
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_of(context, name)};
    return graph_leaf(g, &leaf, type, rank, shape);
}

static const Scalar *load(const Node *node, const Scalar *const *subs)
{
    return scalar_load(g, node, subs, NULL, NO_SPAN);
}
#define LOAD(node, ...) load(node, (const Scalar *[]){__VA_ARGS__})

static const Node *reduce(Reduce r, int rank, int n, const Extent *iters, const Scalar *body,
                          const Scalar *guard)
{
    return graph_comp(g, r, rank, n, iters, body, guard, NO_SPAN);
}

static void output(const Node *node)
{
    Output o = {.name = name_printf(context, "out%d", whole->outputs.len), .node = node};
    vec_push(context_arena(context), &whole->outputs, o);
}

static void begin(void)
{
    context = context_new();
    Arena *arena = context_arena(context);
    g = graph_new(context);
    program = NEW(arena, Program);
    program->context = context;
    program->graph = g;
    whole = NEW(arena, Entry);
    whole->batch = CHUNK;
    Leaf leaf = {.kind = LEAF_SIZE, .name = name_of(context, "batch")};
    batch = (Extent){EXAMPLES, LOAD(graph_leaf(g, &leaf, TYPE_INT, 0, NULL), NULL)};
    row[0] = batch;
    row[1] = extent_fixed(2);
    x = input("x", TYPE_REAL, 2, row);
    label = input("label", TYPE_INT, 1, &batch);
    len = input("len", TYPE_INT, 1, &batch);
    for (int k = 0; k < 3; k++)
        all[k] = eval_array_new(k ? 1 : 2, (int64_t[]){EXAMPLES, 2});
    for (int i = 0; i < EXAMPLES; i++) {
        all[0]->data[2 * i] = sin(3 * i);
        all[0]->data[2 * i + 1] = cos(5 * i);
        all[1]->data[i] = i * i % 3;
        all[2]->data[i] = i % 3;
    }
}

static void end(void)
{
    for (int k = 0; k < 3; k++)
        eval_array_free(all[k]);
    for (int k = 0; k < MAX_PERSIST; k++) {
        eval_array_free(state[k]);
        state[k] = NULL;
    }
    context_free(context);
}

/* Evaluates an entry for examples first .. first + n - 1; updates land in `state`. */
static bool run(const Entry *entry, int64_t first, int64_t n, EvalArray **out)
{
    EvalEnv env = eval_env(context_arena(context), 99);
    env.batch = n;
    env.total = EXAMPLES;
    env.offset = first;
    EvalArray part[3] = {*all[0], *all[1], *all[2]};
    const Node *leaves[] = {x, label, len};
    for (int k = 0; k < 3; k++) {
        part[k].dims[0] = n;
        part[k].count = n * all[k]->count / EXAMPLES;
        part[k].data += first * all[k]->count / EXAMPLES;
        eval_set(&env, leaves[k], &part[k]);
    }
    for (int k = 0; k < program->persistents.len; k++)
        if (state[k]) eval_set(&env, program->persistents.data[k]->leaf, state[k]);
    const Node *roots[2 * MAX_PERSIST];
    EvalArray *values[2 * MAX_PERSIST];
    int n_roots = 0;
    for (int i = 0; i < entry->outputs.len; i++)
        roots[n_roots++] = entry->outputs.data[i].node;
    for (int i = 0; i < entry->updates.len; i++)
        roots[n_roots++] = entry->updates.data[i].value;
    char error[200];
    graph_verify(g, roots, n_roots, entry->name);
    if (!eval_roots(g, &env, roots, n_roots, values, error, sizeof error)) {
        fprintf(stderr, "%s: %s\n", entry->name, error);
        return false;
    }
    for (int i = 0; i < entry->outputs.len; i++)
        out[i] = values[i];
    for (int i = 0; i < entry->updates.len; i++) {
        int k = entry->updates.data[i].target->index;
        eval_array_free(state[k]);
        state[k] = values[entry->outputs.len + i];
    }
    return true;
}

/* Splits and runs; compares with the whole. The number of passes, or -1. */
static int passes_of_equal(void)
{
    EvalArray *expected[MAX_PERSIST], *found[MAX_PERSIST];
    whole->name = name_of(context, "whole");
    Stream *stream = stream_split(program, name_of(context, "report"), whole, NULL);
    if (!stream || !run(whole, 0, EXAMPLES, expected) || !run(stream->reset, 0, 0, NULL)) return -1;
    for (int p = 0; p < stream->passes.len; p++)
        for (int first = 0; first < EXAMPLES; first += CHUNK) {
            int n = EXAMPLES - first < CHUNK ? EXAMPLES - first : CHUNK;
            if (!run(stream->passes.data[p], first, n, NULL)) return -1;
        }
    if (!run(stream->finish, 0, 0, found)) return -1;
    int passes = stream->passes.len;
    for (int i = 0; i < whole->outputs.len; i++) {
        for (int64_t k = 0; k < expected[i]->count; k++)
            if (!unit_near(found[i]->data[k], expected[i]->data[k], 1e-13)) {
                fprintf(stderr, "out%d[%d]: %.17g, not %.17g\n", i, (int)k, found[i]->data[k],
                        expected[i]->data[k]);
                passes = -1;
            }
        eval_array_free(expected[i]);
        eval_array_free(found[i]);
    }
    return passes;
}

static void test_reductions(void)
{
    begin();
    Extent over[] = {extent_fixed(2), batch};
    const Scalar *value = LOAD(x, I(1), I(0)), *guard = OP2(LT, REAL(0), value);
    for (Reduce r = REDUCE_SUM; r <= REDUCE_ARGMIN; r++) {
        output(reduce(r, 1, 2, over, value, NULL));
        output(reduce(r, 1, 2, over, value, guard));
        output(reduce(r, 1, 2, over, value, scalar_bool(g, false)));
        output(reduce(r, 0, 2, row, LOAD(x, I(0), I(1)), NULL));
    }
    output(reduce(REDUCE_ANY, 1, 2, over, guard, NULL));
    output(reduce(REDUCE_ALL, 1, 2, over, guard, NULL));
    output(reduce(REDUCE_MAX, 0, 1, &batch, LOAD(label, I(0)), NULL));
    const Scalar *small = scalar_convert(g, LOAD(label, I(0)), TYPE_U8);
    output(reduce(REDUCE_MAX, 0, 1, &batch, small, NULL));
    CU_ASSERT(passes_of_equal() == 1);
    end();
}

/* The standard deviation needs the mean; what is divided by it needs both: three passes. */
static void test_levels(void)
{
    begin();
    Extent over[] = {extent_fixed(2), batch};
    const Node *mean = reduce(REDUCE_MEAN, 1, 2, over, LOAD(x, I(1), I(0)), NULL);
    const Scalar *d = OP2(SUB, LOAD(x, I(1), I(0)), LOAD(mean, I(0)));
    const Node *variance = reduce(REDUCE_MEAN, 1, 2, over, OP2(MUL, d, d), NULL);
    Extent two = extent_fixed(2);
    const Node *deviation = graph_map(g, 1, &two, OP1(SQRT, LOAD(variance, I(0))), NO_SPAN);
    const Scalar *scaled = OP2(DIV, OP2(SUB, LOAD(x, I(0), I(1)), LOAD(mean, I(1))),
                               LOAD(deviation, I(1)));
    const Node *normal = graph_map(g, 2, row, scaled, NO_SPAN); /* per example */
    output(mean);
    output(deviation);
    output(reduce(REDUCE_MAX, 1, 2, over, LOAD(normal, I(1), I(0)), NULL));
    CU_ASSERT(passes_of_equal() == 3);
    end();
}

static void test_places(void)
{
    begin();
    const Scalar *number = scalar_convert(g, I(0), TYPE_REAL);
    output(reduce(REDUCE_SUM, 0, 1, &batch, OP2(MUL, number, LOAD(x, I(0), INT(1))), NULL));
    const Scalar *place = OP2(ADD, OP2(MUL, I(0), INT(2)), I(1));
    const Scalar *draw = scalar_draw(g, 5, false, INT(0), place, NO_SPAN);
    output(reduce(REDUCE_SUM, 0, 2, row, OP2(MUL, draw, LOAD(x, I(0), I(1))), NULL));
    output(graph_scalar(g, batch.size)); /* as a value: the number of all examples */
    Extent count[] = {extent_fixed(3), extent_fixed(3)};
    const Scalar *position[] = {LOAD(label, I(0)), LOAD(len, I(0))};
    output(graph_scatter(g, 2, count, position, 1, &batch, INT(1), NULL, NO_SPAN));
    Extent ragged[] = {batch, {2, LOAD(len, I(0))}};
    const Node *part = graph_map(g, 2, ragged, LOAD(x, I(0), I(1)), NO_SPAN);
    output(reduce(REDUCE_MEAN, 0, 2, ragged, LOAD(part, I(0), I(1)), NULL));
    CU_ASSERT(passes_of_equal() == 1);
    end();
}

static void test_refused(void)
{
    begin();
    Extent pairs[] = {batch, batch};
    const Scalar *d = OP2(SUB, LOAD(x, I(0), INT(0)), LOAD(x, I(1), INT(0)));
    output(reduce(REDUCE_SUM, 0, 2, pairs, OP2(MUL, d, d), NULL));
    CU_ASSERT(passes_of_equal() == -1);
    CU_ASSERT(diag_errors(context) == 1);
    end();
    begin();
    output(graph_scalar(g, LOAD(x, INT(0), INT(1))));
    CU_ASSERT(passes_of_equal() == -1);
    CU_ASSERT(diag_errors(context) == 1);
    end();
}

/* By hand: 10 examples in chunks of 4, 4, 2. */
static void test_by_hand(void)
{
    begin();
    output(reduce(REDUCE_MEAN, 0, 1, &batch, scalar_convert(g, I(0), TYPE_REAL), NULL));
    Stream *stream = stream_split(program, name_of(context, "r"), whole, NULL);
    EvalArray *out = NULL;
    CU_ASSERT_FATAL(stream && stream->passes.len == 1);
    CU_ASSERT(run(stream->reset, 0, 0, NULL) && run(stream->passes.data[0], 0, 4, NULL));
    CU_ASSERT(state[0]->data[0] == 6);
    CU_ASSERT(run(stream->passes.data[0], 4, 4, NULL) && run(stream->passes.data[0], 8, 2, NULL));
    CU_ASSERT(state[0]->data[0] == 45);
    CU_ASSERT(run(stream->finish, 0, 0, &out) && out->data[0] == 4.5);
    CU_ASSERT_STRING_EQUAL(stream->passes.data[0]->name, "r_pass1");
    eval_array_free(out);
    end();
}

static const UnitTest tests[] = {{"reductions", test_reductions},
                                 {"levels", test_levels},
                                 {"places", test_places},
                                 {"refused", test_refused},
                                 {"by hand", test_by_hand}};
UNIT_MAIN("stream", tests)
