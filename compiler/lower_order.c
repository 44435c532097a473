/* lower_order.c -- the positions of a vector's elements in ascending order, by merging runs of 1, 2, 4, ...
 * elements from the result into a spare vector and back, in time n log n. Equal elements keep their order;
 * NaN comes after everything else. Vectors of several rows are sorted row by row. */
#include "lower.h"

/* Variables of the kernel behind those of the axes, and the local numbers of a row. */
typedef struct Sort {
    Lowered *l;
    const Node *node;
    int rounds, place;   /* variables: pairs of passes; the place that is filled */
    const Node *width;   /* of the runs that are merged */
    const Node *i, *j;   /* the next places of the two runs */
    const Node *mid, *end; /* behind the first run, and the second */
} Sort;

static const Scalar *get(const Sort *s, const Node *local)
{
    return scalar_load(s->l->g, local, NULL, NULL, NO_SPAN);
}

static void set(const Sort *s, Block *block, const Node *local, const Scalar *value)
{
    block_add(s->l, block, stmt_store(s->l, local, NULL, 0, value));
}

static const Node *number(const Sort *s, Block *block, const char *name, const Scalar *first)
{
    const Node *local = local_new(s->l, TYPE_INT, 1, name);
    block_add(s->l, block, stmt_local(s->l, local));
    set(s, block, local, first);
    return local;
}

static const Scalar *length(const Sort *s)
{
    Extent e = s->node->shape[s->node->rank - 1];
    return e.size ? e.size : scalar_int(s->l->g, e.max);
}

/* Element `at` of the row of a tensor like the node. No element is asked for that is not there; that subscripts
 * stay inside is not proven, hence `outside`. */
static const Scalar *element(const Sort *s, const Node *of, const Scalar *at)
{
    const Scalar *subs[MAX_RANK];
    for (int axis = 0; axis < s->node->rank; axis++)
        subs[axis] = scalar_iter(s->l->g, axis);
    subs[s->node->rank - 1] = at;
    return scalar_load(s->l->g, of, subs, scalar_const(s->l->g, of->type, 0), s->node->span);
}

static void put(const Sort *s, Block *block, const Node *to, const Scalar *at, const Scalar *value)
{
    const Scalar *subs[MAX_RANK];
    for (int axis = 0; axis < s->node->rank; axis++)
        subs[axis] = scalar_iter(s->l->g, axis);
    subs[s->node->rank - 1] = at;
    block_add(s->l, block, stmt_store(s->l, to, subs, s->node->rank, value));
}

/* Whether y has to stand before x, which was first. */
static const Scalar *before(const Sort *s, const Scalar *y, const Scalar *x)
{
    Graph *g = s->l->g;
    const Scalar *less = scalar_op2(g, OP_LT, y, x);
    if (s->node->arg->type != TYPE_REAL) return less;
    const Scalar *x_nan = scalar_op1(g, OP_NOT, scalar_op2(g, OP_EQ, x, x));
    return scalar_op2(g, OP_OR, less, scalar_op2(g, OP_AND, scalar_op2(g, OP_EQ, y, y), x_nan));
}

/* from + width, or the length if that is less. */
static const Scalar *further(const Sort *s, const Scalar *from)
{
    Graph *g = s->l->g;
    const Scalar *left = scalar_op2(g, OP_SUB, length(s), from), *width = get(s, s->width);
    return scalar_select(g, scalar_op2(g, OP_LT, left, width), length(s), scalar_op2(g, OP_ADD, from, width));
}

/* Merges neighbouring runs of `from` into runs of `to` that are twice as long. */
static void merge_runs(const Sort *s, Block *block, const Node *from, const Node *to)
{
    Lowered *l = s->l;
    Graph *g = l->g;
    Span span = s->node->span;
    const Scalar *place = scalar_iter(g, s->place), *i = get(s, s->i), *j = get(s, s->j);
    set(s, block, s->end, scalar_int(g, 0));
    Stmt *loop = stmt_loop(l, s->place, LOOP_SEQUENTIAL, s->node->shape[s->node->rank - 1], span);
    block_add(l, block, loop);
    Stmt *pair = stmt_if(l, scalar_op2(g, OP_EQ, place, get(s, s->end)));
    block_add(l, &loop->body, pair);
    set(s, &pair->body, s->i, place);
    set(s, &pair->body, s->mid, further(s, place));
    set(s, &pair->body, s->j, get(s, s->mid));
    set(s, &pair->body, s->end, further(s, get(s, s->mid)));
    const Scalar *a = element(s, from, i), *b = element(s, from, j);
    const Scalar *less = before(s, element(s, s->node->arg, b), element(s, s->node->arg, a));
    const Scalar *second = scalar_select(
        g, scalar_op2(g, OP_EQ, i, get(s, s->mid)), scalar_bool(g, true),
        scalar_select(g, scalar_op2(g, OP_EQ, j, get(s, s->end)), scalar_bool(g, false), less));
    const Node *taken = number(s, &loop->body, "taken", scalar_convert(g, second, TYPE_INT));
    const Scalar *step = get(s, taken);
    put(s, &loop->body, to, place,
        scalar_select(g, scalar_op2(g, OP_EQ, step, scalar_int(g, 1)), b, a));
    set(s, &loop->body, s->j, scalar_op2(g, OP_ADD, j, step));
    set(s, &loop->body, s->i, scalar_op2(g, OP_SUB, scalar_op2(g, OP_ADD, i, scalar_int(g, 1)), step));
    set(s, block, s->width, scalar_op2(g, OP_MUL, get(s, s->width), scalar_int(g, 2)));
}

void lower_order(Lowered *l, const Node *node)
{
    int last = node->rank - 1, rounds = 0;
    Extent row = node->shape[last];
    while ((int64_t)1 << 2 * rounds < row.max)
        rounds++;
    Kernel *k = lower_kernel(l, node);
    Sort s = {.l = l, .node = node, .rounds = node->rank, .place = last};
    k->n_vars = node->rank + 1;
    Block *body = &k->body;
    for (int axis = 0; axis < last; axis++) {
        Stmt *loop = stmt_loop(l, axis, LOOP_PARALLEL, node->shape[axis], node->span);
        block_add(l, body, loop);
        body = &loop->body;
    }
    Stmt *begin = stmt_loop(l, s.place, LOOP_SEQUENTIAL, row, node->span);
    block_add(l, body, begin);
    put(&s, &begin->body, node, scalar_iter(l->g, s.place), scalar_iter(l->g, s.place));
    if (!rounds) return;
    const Scalar *zero = scalar_int(l->g, 0); /* those of a pair are set where it begins */
    s.width = number(&s, body, "width", scalar_int(l->g, 1));
    s.i = number(&s, body, "i", zero);
    s.j = number(&s, body, "j", zero);
    s.mid = number(&s, body, "mid", zero);
    s.end = number(&s, body, "end", zero);
    Stmt *loop = stmt_loop(l, s.rounds, LOOP_SEQUENTIAL, extent_fixed(rounds), node->span);
    block_add(l, body, loop);
    const Node *spare = lower_fresh(l, node, BUFFER_ARENA, arena_printf(l->arena, "%s_spare", k->name));
    merge_runs(&s, &loop->body, node, spare);
    merge_runs(&s, &loop->body, spare, node);
}
