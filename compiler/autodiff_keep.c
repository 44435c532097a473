/* autodiff_keep.c -- what a scan keeps of its steps, so that they need not be done again on the way back.
 *
 * The derivative of a step is written in terms of the step's own values. Sums and products are done again
 * where they are needed; an exponential or the like costs more than to store and to read a number. So every
 * such operation on values of the step alone becomes a node of the step, which the scan then yields
 * (autodiff_scan.c), as it does its reductions: what came before it need not be known any more.
 *
 * What a node outside of the loop gets is found behind the loop, from the nodes that load it (autodiff_scan.c);
 * so that nothing heavy is done again there, such a node is seen as two: tanh(h + b) as tanh(p) of p = h + b. */
#include "autodiff.h"

typedef struct Keep {
    Diff *d;
    Graph *g;
    const Node *scan;
    const Loop *forward, *backward;
    /* of the node at hand */
    const Extent *iters;
    int n_iters;
    Map done; /* from Scalar to Scalar */
} Keep;

bool scan_can_yield(const Node *scan, const Node *node)
{
    for (int i = 0; node->free && i < node->free->n; i++)
        if (node->free->loops[i] != scan->loop && !loops_have(scan->free, node->free->loops[i])) return false;
    return true;
}

/* The axes that a node for this expression would have, in the order of their iterators: map, shape; their
 * number, or -1 if one's size hangs on an iterator that is none of them. */
static int axes_of(const Keep *k, const Scalar *a, const Scalar **map, int *iter_of, Extent *shape)
{
    int n = 0;
    for (int i = 0; i < k->n_iters; i++) {
        map[i] = NULL;
        if (!(a->iters >> i & 1)) continue;
        if (n == MAX_RANK - 1) return -1;
        const Scalar *size = k->iters[i].size;
        for (int j = 0; size && j < k->n_iters; j++)
            if (size->iters >> j & 1 && (j >= i || !map[j])) return -1;
        if (size) size = scalar_substitute(k->g, size, map, i);
        shape[n] = (Extent){k->iters[i].max, size};
        iter_of[n] = i;
        map[i] = scalar_iter(k->g, n++);
    }
    return n;
}

static bool is_heavy(const Scalar *a)
{
    return a->kind == SCALAR_OP && a->type == TYPE_REAL && op_cost(a->op) >= COST_HEAVY;
}

/* Whether the step has a value that is as large as what would be stored. */
static bool is_small(Arena *scratch, const Loop *loop, const Scalar *a, double elements)
{
    Scalars loads = scalar_loads(scratch, a);
    for (int i = 0; i < loads.len; i++)
        if (loops_have(loads.data[i]->node->free, loop) &&
            (double)node_max_elements(loads.data[i]->node) >= elements)
            return true;
    return false;
}

/* Whether all that the expression reads is known in a forward step and may be read at every point. */
static bool is_of_step(const Keep *k, const Scalar *a)
{
    Scalars loads = scalar_loads(k->d->scratch, a);
    for (int i = 0; i < loads.len; i++) {
        const Scalar *load = loads.data[i];
        if (loops_have(load->node->free, k->backward) || !scan_can_yield(k->scan, load->node)) return false;
        for (int axis = 0; axis < load->n_args; axis++)
            if (!load_is_safe(load, axis, k->iters, k->n_iters)) return false;
    }
    return true;
}

bool node_is_done_again(const Diff *d, const Loop *loop, const Node *node)
{
    if (node_is_map(node))
        return !is_heavy(node->body) ||
               !is_small(d->scratch, loop, node->body, (double)node_max_elements(node));
    return node->kind == NODE_RESHAPE || node->kind == NODE_PIECES || node->kind == NODE_TAG;
}

/* A load of the expression as a node of the step, or NULL. */
static const Scalar *kept(Keep *k, const Scalar *a)
{
    const Scalar *map[MAX_ITERS], *subs[MAX_RANK];
    int iter_of[MAX_RANK];
    Extent shape[MAX_RANK];
    int rank = axes_of(k, a, map, iter_of, shape);
    double elements = 1;
    for (int i = 0; i < rank; i++) {
        elements *= (double)shape[i].max;
        subs[i] = scalar_iter(k->g, iter_of[i]);
    }
    if (rank < 0 || !is_small(k->d->scratch, k->forward, a, elements) || !is_of_step(k, a)) return NULL;
    const Node *node =
        graph_map(k->g, rank, shape, scalar_substitute(k->g, a, map, k->n_iters), a->span);
    return scalar_load(k->g, node, subs, NULL, a->span);
}

static const Scalar *keep_in(Keep *k, const Scalar *a)
{
    if (a->kind != SCALAR_OP || a->type != TYPE_REAL) return a;
    const Scalar *known = map_get(&k->done, a);
    if (known) return known;
    const Scalar *result = is_heavy(a) ? kept(k, a) : NULL;
    if (!result) {
        const Scalar *args[3];
        for (int i = 0; i < a->n_args; i++)
            args[i] = keep_in(k, a->args[i]);
        bool same = true;
        for (int i = 0; i < a->n_args; i++)
            same = same && args[i] == a->args[i];
        result = same ? a : scalar_op(k->g, a->op, args, a->span);
    }
    map_put(&k->done, a, (void *)(uintptr_t)result);
    return result;
}

static const Node *keep_node(void *data, Rewrite *rewrite, const Node *node)
{
    Keep *k = data;
    if (!loops_have(node->free, k->forward)) return node;
    bool known = !loops_have(node->free, k->backward);
    if (known && !node_is_done_again(k->d, k->forward, node)) return node;
    if (node->kind != NODE_COMP) return NULL;
    k->iters = node->iters;
    k->n_iters = node->n_iters;
    k->done = map_new(k->d->scratch);
    const Scalar *body = keep_in(k, node->body);
    if (body == node->body) return NULL;
    const Scalar *guard = rewrite_scalar(rewrite, node->guard);
    const Node *made = graph_comp(k->g, node->reduce, node->rank, node->n_iters, node->iters,
                                  rewrite_scalar(rewrite, body), guard, node->span);
    if (node->name) graph_name(made, node->name);
    return made;
}

void scan_keep(Diff *d, const Node *scan, const Loop *backward, Nodes *roots)
{
    Keep k = {.d = d, .g = d->g, .scan = scan, .forward = scan->loop, .backward = backward};
    graph_rewrite(d->g, roots->data, roots->len, keep_node, &k);
}

/* --- nodes that load what stands outside ------------------------------------------------------------------ */

typedef struct Peel {
    Diff *d;
    const Node *node;
    Nodes *parts;
    const Scalar *under; /* the choices around what is looked at, or NULL */
    Map done;            /* from Scalar to Scalar, under these */
} Peel;

static bool loads_outer(const Diff *d, const Scalar *a)
{
    Scalars loads = scalar_loads(d->scratch, a);
    for (int i = 0; i < loads.len; i++)
        if (!loops_have(loads.data[i]->node->free, d->loop) && node_depends(d, loads.data[i]->node)) return true;
    return false;
}

/* A load of the operand as a node of the step of its own, over the axes of the whole; or the operand. Where the
 * operand is not wanted it need not have a value: there the node is 0. */
static const Scalar *part_of(Peel *p, const Scalar *a)
{
    Graph *g = p->d->g;
    if (a->type != TYPE_REAL || a->kind != SCALAR_OP || !loads_outer(p->d, a)) return a;
    const Scalar *body = p->under ? scalar_select(g, p->under, a, scalar_real(g, 0)) : a;
    const Node *part = graph_map(g, p->node->rank, p->node->shape, body, a->span);
    bool later = map_get(&p->d->members, part) && part->id > p->node->id;
    if (later || !node_is_map(part) || !loops_have(part->free, p->d->loop)) return a;
    for (int i = 0; i < p->parts->len; i++)
        if (p->parts->data[i] == part) return scalar_load_at(g, part, 0);
    vec_push(p->d->scratch, p->parts, part);
    return scalar_load_at(g, part, 0);
}

static const Scalar *peel_in(Peel *p, const Scalar *a);

static const Scalar *peel_choice(Peel *p, const Scalar *a)
{
    Graph *g = p->d->g;
    const Scalar *under = p->under, *test = a->args[0], *args[3] = {test};
    Map done = p->done;
    for (int i = 1; i < 3; i++) {
        const Scalar *here = i == 1 ? test : scalar_op1(g, OP_NOT, test);
        p->under = under ? scalar_op2(g, OP_AND, under, here) : here;
        p->done = map_new(p->d->scratch);
        args[i] = peel_in(p, a->args[i]);
    }
    p->under = under;
    p->done = done;
    return scalar_op(g, OP_SELECT, args, a->span);
}

static const Scalar *peel_in(Peel *p, const Scalar *a)
{
    if (a->kind != SCALAR_OP || a->type != TYPE_REAL) return a;
    const Scalar *result = map_get(&p->done, a), *args[3];
    if (result) return result;
    for (int i = 0; i < a->n_args && a->op != OP_SELECT; i++)
        args[i] = is_heavy(a) ? part_of(p, a->args[i]) : peel_in(p, a->args[i]);
    result = a->op == OP_SELECT ? peel_choice(p, a) : scalar_op(p->d->g, a->op, args, a->span);
    map_put(&p->done, a, (void *)(uintptr_t)result);
    return result;
}

static void heavy_visit(void *data, const Scalar *s)
{
    if (is_heavy(s)) *(bool *)data = true;
}

const Node *node_peel(Diff *d, const Node *node, Nodes *parts)
{
    bool heavy = false;
    if (!d->loop || !node_is_map(node)) return NULL;
    scalar_visit(node->body, heavy_visit, &heavy);
    if (!heavy || !loads_outer(d, node->body)) return NULL;
    Peel p = {.d = d, .node = node, .parts = parts, .done = map_new(d->scratch)};
    const Scalar *body = peel_in(&p, node->body);
    return parts->len ? graph_map(d->g, node->rank, node->shape, body, node->span) : NULL;
}
