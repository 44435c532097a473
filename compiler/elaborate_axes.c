/* elaborate_axes.c -- axes on their way between the context, values and nodes.
 *
 * The size of a bounded axis is a formula over the axes it depends on, in the numbers of where it stands:
 * context axes and earlier visible axes (VISIBLE + j) in a value, earlier context axes in the context,
 * earlier iterators in a node. Whoever renumbers a value's axes renumbers the sizes with them, and a value
 * that takes an axis with it takes the axes that its size depends on. */
#include "elaborate.h"

#include <assert.h>

static const uint64_t CONTEXT = ((uint64_t)1 << VISIBLE) - 1;

Extent extent_renumber(Elab *e, Extent extent, const Scalar *const *map)
{
    if (extent.size) extent.size = scalar_substitute(e->g, extent.size, map, VISIBLE + MAX_RANK);
    return extent;
}

bool extents_agree(Extent a, Extent b)
{
    if (a.size || b.size) return a.size == b.size;
    return a.max == b.max;
}

uint64_t axes_closed(const Elab *e, uint64_t axes)
{
    axes &= CONTEXT;
    for (int i = VISIBLE - 1; i >= 0; i--) {
        const Scalar *size = axes >> i & 1 ? e->axes.data[i].extent.size : NULL;
        if (size) axes |= size->iters & CONTEXT;
    }
    return axes;
}

uint64_t value_context(const Elab *e, const Value *v)
{
    uint64_t axes = v->scalar->iters;
    for (int k = 0; k < v->rank; k++)
        if (v->shape[k].size) axes |= v->shape[k].size->iters;
    return axes_closed(e, axes);
}

/* --- domains of nodes ------------------------------------------------------------------------------- */

static void domain_add(Elab *e, Domain *d, int axis, Extent extent)
{
    d->iters[d->n] = extent_renumber(e, extent, d->map);
    d->map[axis] = scalar_iter(e->g, d->n++);
}

void domain_context(Elab *e, Domain *d, uint64_t axes)
{
    for (int i = 0; i < VISIBLE; i++)
        if (axes >> i & 1) domain_add(e, d, i, e->axes.data[i].extent);
}

void domain_visible(Elab *e, Domain *d, const Value *v, int from, int to)
{
    for (int k = from; k < to; k++)
        domain_add(e, d, VISIBLE + k, v->shape[k]);
}

const Scalar *domain_scalar(Elab *e, const Domain *d, const Scalar *a)
{
    return a ? scalar_substitute(e->g, a, d->map, VISIBLE + MAX_RANK) : NULL;
}

Value value_of_subscripts(Elab *e, const Node *node, const Scalar **subs, int leading)
{
    Value v = {.kind = VALUE_TENSOR};
    assert(leading <= node->rank);
    for (int n = leading; n < node->rank; n++) {
        Extent extent = node->shape[n];
        if (extent.size) extent.size = scalar_substitute(e->g, extent.size, subs, n);
        v.shape[v.rank] = extent;
        subs[n] = scalar_iter(e->g, VISIBLE + v.rank++);
    }
    v.scalar = scalar_load(e->g, node, subs, NULL, node->span);
    return v;
}

const Scalar *element_at(Elab *e, const Scalar *a, const Scalar *const *map, Span span)
{
    const Scalar *subs[MAX_RANK];
    if (a->kind != SCALAR_LOAD || a->outside) return scalar_substitute(e->g, a, map, VISIBLE + MAX_RANK);
    for (int i = 0; i < a->n_args; i++)
        subs[i] = scalar_substitute(e->g, a->args[i], map, VISIBLE + MAX_RANK);
    return scalar_load(e->g, a->node, subs, NULL, span);
}

/* --- the context ------------------------------------------------------------------------------------- */

bool axes_room(Elab *e, int n, Span span)
{
    if (e->axes.len + n <= MAX_CONTEXT) return true;
    diag_error(e->context, span, "more than %d indices and mapped axes in one statement", MAX_CONTEXT);
    diag_hint(e->context, "give a part of it a name in a statement of its own");
    return false;
}

int axes_push(Elab *e, Extent extent, Name name)
{
    assert(e->axes.len < MAX_CONTEXT);
    Axis axis = {extent, name};
    vec_push(e->arena, &e->axes, axis);
    return e->axes.len - 1;
}

void axes_push_visible(Elab *e, const Value *v, int n)
{
    const Scalar *map[VISIBLE + MAX_RANK] = {NULL};
    for (int k = 0; k < n; k++) {
        int axis = axes_push(e, extent_renumber(e, v->shape[k], map), NULL);
        map[VISIBLE + k] = scalar_iter(e->g, axis);
    }
}

Value axes_pop(Elab *e, int first, const Value *v, Span span)
{
    int n = e->axes.len - first;
    if (v->kind != VALUE_TENSOR || n == 0) {
        e->axes.len = first;
        return *v;
    }
    Value out = *v;
    const Scalar *map[VISIBLE + MAX_RANK] = {NULL};
    if (out.rank + n > MAX_RANK) {
        diag_error(e->context, span, "a value of %d axes: a tensor has at most %d", out.rank + n,
                   MAX_RANK - 1);
        e->axes.len = first;
        return value_error();
    }
    for (int k = 0; k < out.rank; k++)
        map[VISIBLE + k] = scalar_iter(e->g, VISIBLE + k + n);
    for (int k = 0; k < n; k++)
        map[first + k] = scalar_iter(e->g, VISIBLE + k);
    for (int k = 0; k < n; k++)
        out.shape[k] = extent_renumber(e, e->axes.data[first + k].extent, map);
    for (int k = 0; k < v->rank; k++)
        out.shape[n + k] = extent_renumber(e, v->shape[k], map);
    out.rank += n;
    out.max = 0;
    out.scalar = scalar_substitute(e->g, out.scalar, map, VISIBLE + MAX_RANK);
    e->axes.len = first;
    return out;
}

Value axes_lower(Elab *e, const Value *v, int extra, int first)
{
    Value out = *v;
    const Scalar *map[VISIBLE + MAX_RANK] = {NULL};
    for (int k = 0; k < v->rank; k++)
        map[VISIBLE + k] = scalar_iter(e->g, k < extra ? first + k : VISIBLE + k - extra);
    out.rank -= extra;
    for (int k = 0; k < out.rank; k++)
        out.shape[k] = extent_renumber(e, v->shape[extra + k], map);
    out.scalar = scalar_substitute(e->g, out.scalar, map, VISIBLE + MAX_RANK);
    out.max = 0;
    return out;
}

/* --- mistakes ------------------------------------------------------------------------------------------ */

bool axes_differ_hint(Elab *e, Extent a, Extent b)
{
    if (!a.size && !b.size) return false;
    if (a.size && b.size)
        diag_hint(e->context, "axes of run-time size are the same if they come from the same axis, the "
                              "same name in a type, or the same run-time int: x[:n], y[:n]");
    else
        diag_hint(e->context, "one ends at its run-time size, the other is always as long: cut it, "
                              "y[:size(x, 0)], or index what both have");
    return true;
}
