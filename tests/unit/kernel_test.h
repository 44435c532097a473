/* kernel_test.h -- for tests of the back end: an entry built by hand from drawn inputs, as C
 * programs at every optimisation level, against the reference evaluator. */
#ifndef NND_KERNEL_TEST_H
#define NND_KERNEL_TEST_H

#include "run_c.h"
#include "unit.h"

#define I(k)                      scalar_iter(g, k)
#define INT(v)                    scalar_int(g, v)
#define REAL(v)                   scalar_real(g, v)
#define OP1(o, a)                 scalar_op1(g, OP_##o, a)
#define OP2(o, ...)               scalar_op2(g, OP_##o, __VA_ARGS__)
#define SHAPE(...)                ((Extent[]){__VA_ARGS__})
#define N(v)                      extent_fixed(v)
#define LOAD(node, ...)           scalar_load(g, node, (const Scalar *[]){__VA_ARGS__}, NULL, here)
#define OUTSIDE(node, value, ...) scalar_load(g, node, (const Scalar *[]){__VA_ARGS__}, value, here)

static Context *context;
static Graph *g;
static Program *program;
static Entry *entry;
static EvalEnv env;
static Span here;
static const Node *batch_size;
static Extent B; /* the batch: at most 21 */
static uint32_t n_draws;

static void begin(void)
{
    context = context_new();
    g = graph_new(context);
    Arena *arena = graph_arena(g);
    program = NEW(arena, Program);
    program->context = context;
    program->graph = g;
    entry = NEW(arena, Entry);
    entry->name = "run";
    env = eval_env(arena, 7);
    env.f32 = false;
    const Source *source = source_add(context, "test.nnd", "x\n", 2, false);
    here = (Span){source->index, 1, 1, 1, 2, 0};
    Leaf leaf = {.kind = LEAF_SIZE, .name = name_of(context, "batch")};
    batch_size = graph_leaf(g, &leaf, TYPE_INT, 0, NULL);
    B = (Extent){21, scalar_load(g, batch_size, NULL, NULL, here)};
    env.batch = 21;
}

/* Values in -1 .. 1; ints 0 .. 9; bytes. */
static double draw(ElemType type)
{
    uint32_t bits = nnd_bits(3, 5, 0, n_draws++).word[0];
    switch (type) {
    case TYPE_BOOL: return bits & 1;
    case TYPE_U8: return bits & 255;
    case TYPE_INT: return bits % 10;
    case TYPE_REAL: return (double)(float)((double)bits / 2147483648.0 - 1);
    }
    return 0;
}

static void fill(const Node *leaf)
{
    int64_t dims[MAX_RANK];
    for (int k = 0; k < leaf->rank; k++)
        dims[k] = leaf->shape[k].size ? env.batch : leaf->shape[k].max;
    eval_array_free(map_get(&env.leaves, leaf));
    EvalArray *a = eval_array_new(leaf->rank, dims);
    for (int64_t i = 0; i < a->count; i++)
        a->data[i] = draw(leaf->type);
    eval_set(&env, leaf, a);
}

static inline const Node *input(const char *name, ElemType type, int rank, const Extent *shape)
{
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_of(context, name)};
    const Node *node = graph_leaf(g, &leaf, type, rank, shape);
    fill(node);
    return node;
}

static inline Persistent *parameter(const char *name, int rank, const Extent *shape)
{
    Persistent *p = NEW(graph_arena(g), Persistent);
    p->path = name_of(context, name);
    Leaf leaf = {.kind = LEAF_PERSIST, .name = p->path, .persistent = p};
    p->leaf = graph_leaf(g, &leaf, TYPE_REAL, rank, shape);
    p->index = program->persistents.len;
    vec_push(graph_arena(g), &program->persistents, p);
    fill(p->leaf);
    return p;
}

static const Node *output(const char *name, const Node *node)
{
    Output o = {.name = name_of(context, name), .node = node, .span = here};
    vec_push(graph_arena(g), &entry->outputs, o);
    return node;
}

static inline const Node *map(int rank, const Extent *shape, const Scalar *body)
{
    return graph_map(g, rank, shape, body, here);
}

static inline const Node *reduce(Reduce how, int rank, int n, const Extent *iters,
                                 const Scalar *body, const Scalar *guard)
{
    return graph_comp(g, how, rank, n, iters, body, guard, here);
}

static inline void update(Persistent *p, const Node *value)
{
    Update u = {p, value};
    vec_push(graph_arena(g), &entry->updates, u);
}

static void refill(void)
{
    Nodes leaves = {0};
    for (int i = 0; i < env.leaves.cap; i++)
        if (env.leaves.slots[i].key) vec_push(graph_arena(g), &leaves, env.leaves.slots[i].key);
    for (int i = 0; i < leaves.len; i++)
        fill(leaves.data[i]);
}

static bool faulty; /* whether a fault is expected */

/* Whether the entry gives the evaluator's results with these options, for several sizes of the
 * batch; made: a text that must stand in its code, or NULL. */
static bool agrees_in(const Options *options, const char *flags, double tolerance,
                      const char *made)
{
    static const int sizes[] = {21, 0, 1, 16};
    CEntry c = run_c_build(program, entry, options, flags);
    bool good = !made || strstr(c.text, made);
    for (int i = 0; i < 4 && good; i++) {
        env.batch = sizes[i];
        refill();
        good = run_c_agrees(&c, &env, tolerance, faulty);
        good = good && run_c_same_bits(&c);
    }
    if (!good)
        fprintf(stderr, "at level %d, %s, %s\n", options->optimize, options->real,
                options->isa ? options->isa : "native");
    if (!good && getenv("RUN_C_SHOW")) fprintf(stderr, "%s\n", c.text);
    run_c_free(&c);
    return good;
}

static void end(void)
{
    for (int k = 0; k < env.leaves.cap; k++)
        eval_array_free(env.leaves.slots[k].value);
    context_free(context);
}

/* The same at all levels and in both precisions. */
static inline bool agrees_within(double tolerance, bool fault)
{
    static const struct {
        int level;
        const char *real, *flags;
    } ways[] = {{0, "f32", "-O1"}, {2, "f32", "-O2"}, {2, "f64", "-O2"}};
    bool good = true;
    faulty = fault;
    for (int way = 0; way < 3 && good; way++) {
        bool f64 = strcmp(ways[way].real, "f64") == 0;
        Options options = {.optimize = ways[way].level, .blas = "none", .real = ways[way].real};
        good = agrees_in(&options, ways[way].flags, f64 ? 1e-11 : tolerance, NULL);
    }
    faulty = false;
    end();
    return good;
}

static inline bool agrees(void)
{
    return agrees_within(2e-5, false);
}

#endif
