/* decide.c -- alternatives of which one always holds: `j == 0 or j == 1` where j < 2.
 *
 * They come from parts that were put side by side and cover an axis: differentiation asks which
 * part an element belongs to. Intervals say nothing about them, but all values of a short axis can
 * be tried. */
#include "simplify.h"

enum { MOST_VALUES = 16 };

typedef struct Decide {
    Graph *g;
    const Extent *iters;
    int n_iters;
    Map done;
} Decide;

static int only_iter(const Scalar *a)
{
    for (int i = 0; i < MAX_ITERS; i++)
        if (a->iters == (uint64_t)1 << i) return i;
    return -1;
}

static bool always_holds(const Decide *d, const Scalar *a)
{
    const int iter = only_iter(a);
    if (iter < 0 || iter >= d->n_iters || d->iters[iter].size || d->iters[iter].max > MOST_VALUES)
        return false;
    for (int64_t value = 0; value < d->iters[iter].max; value++) {
        const Scalar *map[MAX_ITERS] = {0};
        map[iter] = scalar_int(d->g, value);
        if (!scalar_is_const(scalar_substitute(d->g, a, map, MAX_ITERS), 1)) return false;
    }
    return true;
}

static const Scalar *decide(Decide *d, const Scalar *a)
{
    if (!a || a->n_args == 0) return a;
    const Scalar *known = map_get(&d->done, a);
    if (known) return known;
    const Scalar *args[MAX_RANK], *result = a, *outside = decide(d, a->outside);
    bool same = outside == a->outside;
    for (int i = 0; i < a->n_args; i++) {
        args[i] = decide(d, a->args[i]);
        same = same && args[i] == a->args[i];
    }
    if (a->kind == SCALAR_OP && a->op == OP_OR && always_holds(d, a))
        result = scalar_const(d->g, TYPE_BOOL, 1);
    else if (!same && a->kind == SCALAR_OP)
        result = scalar_op(d->g, a->op, args, a->span);
    else if (!same && a->kind == SCALAR_LOAD)
        result = scalar_load(d->g, a->node, args, outside, a->span);
    else if (!same && a->kind == SCALAR_DRAW)
        result = scalar_draw(d->g, a->site, a->normal, args[0], args[1], a->span);
    map_put(&d->done, a, (void *)(uintptr_t)result);
    return result;
}

static void find_or(void *data, const Scalar *s)
{
    bool *found = data;
    if (s->kind == SCALAR_OP && s->op == OP_OR) *found = true;
}

const Scalar *scalar_decide(Graph *g, const Scalar *a, const Extent *iters, int n_iters)
{
    bool found = false;
    scalar_visit(a, find_or, &found);
    if (!found) return a;
    Arena *scratch = arena_new();
    Decide d = {g, iters, n_iters, map_new(scratch)};
    a = decide(&d, a);
    arena_free(scratch);
    return a;
}
