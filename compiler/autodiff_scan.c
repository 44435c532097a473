/* autodiff_scan.c -- the derivative of a scan: a scan that runs the other way.
 *
 * What arrives at the finals and yields of a scan S over a loop L goes into a loop L' over the same
 * steps in the opposite order, which carries the derivatives by S's carries. Its body is the
 * ordinary backward sweep over one step of L, from the next values and yields to the carries before
 * the step. There the forward step is needed: its carries and reductions, and what is heavy
 * (autodiff_keep.c), are yielded by S and read at the step, the other maps between them are done
 * again.
 *
 * Of nodes outside of L (weights, inputs) nothing is added up from step to step. A node N of the
 * body that loads such ones yields what arrives at it; behind the loop N is lifted, done for all
 * steps at once (lift.c), and differentiated like any other node, so that the derivative by a
 * weight is one sum over steps and all. Only what is reached in other ways (a joined part, an
 * initial value within the body) has a carry of L' that adds it up.
 *
 * The result is scans and comprehensions again, to be differentiated, too. */
#include "autodiff.h"

#include <assert.h>

/* What arrives at a result of the scan. */
typedef struct Arrival {
    const Node *result, *adjoint;
} Arrival;

typedef struct Reverse {
    Diff *d;
    Graph *g;
    const Region *region;
    const Node *scan;
    const Loop *forward, *backward;
    VEC(Arrival) arrivals;
    const Node **leaves; /* of L', by carry of S; NULL: no derivative flows through it */
    Nodes roots;         /* what L' computes: next values, what lifted nodes and outer ones get */
    Outers lifted, direct;
} Reverse;

/* --- one step backwards
 * ---------------------------------------------------------------------------- */

static const Node *zeros(Diff *d, const Node *like)
{
    return adjoint_node(d, like, (Masked){NULL, scalar_real(d->g, 0)});
}

static bool find_arrivals(Reverse *r)
{
    Diff *d = r->d;
    for (int i = 0; i < r->region->results.len; i++) {
        const Node *result = r->region->results.data[i];
        Masked value = adjoint_value(d, result);
        if (!value.value) continue;
        Arrival a = {result, adjoint_node(d, result, value)};
        vec_push(d->scratch, &r->arrivals, a);
    }
    return r->arrivals.len > 0;
}

static void carries_new(Reverse *r)
{
    Diff *d = r->d;
    r->leaves = NEW_ARRAY(d->scratch, const Node *, r->scan->n_carries + 1);
    for (int k = 0; k < r->scan->n_carries; k++) {
        const Node *leaf = r->scan->carries[k].leaf;
        if (!node_depends(d, leaf)) continue;
        Extent shape[MAX_RANK];
        adjoint_shape(d, leaf, shape);
        r->leaves[k] = graph_carry(r->g, r->backward, k, leaf->leaf->name, TYPE_REAL,
                                   d->extra + leaf->rank, shape);
        node_presume_finite(d, r->leaves[k]);
    }
}

/* What arrives at a yield, at this step. */
static const Scalar *arrival_at_step(const Reverse *r, const Arrival *a)
{
    Graph *g = r->g;
    int extra = r->d->extra, n = 0;
    const Scalar *subs[MAX_RANK];
    for (int i = 0; i < extra; i++)
        subs[n++] = scalar_iter(g, i);
    subs[n++] = scalar_load(g, graph_time(g, r->backward), NULL, NULL, a->result->span);
    for (int i = 0; i < a->result->value->rank; i++)
        subs[n++] = scalar_iter(g, extra + i);
    return scalar_load(g, a->adjoint, subs, NULL, a->result->span);
}

/* The sweep over the nodes of one step; fills `roots` with what it finds, still in terms of L. */
static void step_back(Reverse *r)
{
    Diff *d = r->d;
    Map adjoints = d->adjoints;
    const Loop *loop = d->loop;
    Outers lifted = d->lifted, direct = d->direct;
    Map members = d->members;
    d->members = map_new(d->scratch);
    for (int i = 0; i < r->region->nodes.len; i++)
        map_put(&d->members, r->region->nodes.data[i], (void *)(uintptr_t)r->region);
    d->adjoints = map_new(d->scratch);
    d->loop = r->forward;
    d->lifted = d->direct = (Outers){0};
    for (int k = 0; k < r->scan->n_carries; k++)
        if (r->leaves[k] && node_depends(d, r->scan->carries[k].next))
            adjoint_add(d, r->scan->carries[k].next,
                        (Masked){NULL, scalar_load_at(r->g, r->leaves[k], 0)});
    for (int i = 0; i < r->arrivals.len; i++) {
        const Arrival *a = &r->arrivals.data[i];
        if (a->result->value && node_depends(d, a->result->value))
            adjoint_add(d, a->result->value, (Masked){NULL, arrival_at_step(r, a)});
    }
    adjoint_sweep(d, r->region);
    for (int k = 0; k < r->scan->n_carries; k++) {
        if (!r->leaves[k]) continue;
        Masked value = adjoint_value(d, r->scan->carries[k].leaf);
        const Node *leaf = r->scan->carries[k].leaf;
        vec_push(d->scratch, &r->roots,
                 value.value ? adjoint_node(d, leaf, value) : zeros(d, leaf));
    }
    for (int i = 0; i < d->lifted.len; i++) {
        const Outer *o = &d->lifted.data[i];
        vec_push(d->scratch, &r->lifted, *o);
        vec_push(d->scratch, &r->roots, adjoint_node(d, o->node, o->value));
    }
    for (int i = 0; i < d->direct.len; i++) {
        const Outer *o = &d->direct.data[i];
        vec_push(d->scratch, &r->direct, *o);
        vec_push(d->scratch, &r->roots, adjoint_node(d, o->node, o->value));
    }
    d->adjoints = adjoints;
    d->loop = loop;
    d->lifted = lifted;
    d->direct = direct;
    d->members = members;
}

/* --- from L to L'
 * ---------------------------------------------------------------------------------- */

static const Node *reverse_inner_scan(const Reverse *r, Rewrite *rewrite, const Node *node)
{
    Carry *carries = NEW_ARRAY(r->d->scratch, Carry, node->n_carries + 1);
    for (int k = 0; k < node->n_carries; k++)
        carries[k] = (Carry){rewrite_get(rewrite, node->carries[k].leaf),
                             rewrite_get(rewrite, node->carries[k].init),
                             rewrite_get(rewrite, node->carries[k].next)};
    const LoopSet *place = node->place;
    if (loops_have(place, r->forward))
        place = loops_union(r->g, loops_without(r->g, place, r->forward), &r->backward->only);
    const Node *scan = graph_scan(r->g, node->loop, node->n_carries, carries, node->span);
    return graph_scan_within(r->g, scan, place);
}

static const Node *reverse_node(void *data, Rewrite *rewrite, const Node *node)
{
    const Reverse *r = data;
    if (!loops_have(node->free, r->forward)) return node;
    if (node->kind == NODE_LEAF && node->leaf->kind == LEAF_TIME)
        return graph_time(r->g, r->backward);
    bool done_before = !loops_have(node->free, r->backward);
    if (node->kind == NODE_SCAN) return done_before ? node : reverse_inner_scan(r, rewrite, node);
    if (!done_before || node_is_done_again(r->d, r->forward, node) ||
        !scan_can_yield(r->scan, node))
        return NULL;
    const Node *all = graph_yield(r->g, r->scan, node, node->span);
    return node_at_step(r->g, all, node, r->backward);
}

/* --- the loop and what comes behind it
 * ------------------------------------------------------------- */

static const Node *arrival_of_final(const Reverse *r, int k)
{
    for (int i = 0; i < r->arrivals.len; i++)
        if (!r->arrivals.data[i].result->value && r->arrivals.data[i].result->carry == k)
            return r->arrivals.data[i].adjoint;
    return zeros(r->d, r->scan->carries[k].leaf);
}

/* A carry of L' that adds up what an outer node gets at every step. */
static Carry sum_carry(Reverse *r, int number, const Node *outer, const Node *part)
{
    Graph *g = r->g;
    const Node *leaf =
        graph_carry(g, r->backward, number, outer->name, TYPE_REAL, part->rank, part->shape);
    const Scalar *more = scalar_load_at(g, part, 0);
    const Scalar *sum = scalar_op2(g, OP_ADD, scalar_load_at(g, leaf, 0), more);
    return (Carry){leaf, zeros(r->d, outer),
                   graph_map(g, part->rank, part->shape, sum, part->span)};
}

static const Node *scan_back(Reverse *r, int *first_sum)
{
    Graph *g = r->g;
    int n = 0, root = 0, numbers = r->scan->n_carries;
    Carry *carries = NEW_ARRAY(r->d->scratch, Carry, r->scan->n_carries + r->direct.len + 1);
    for (int k = 0; k < r->scan->n_carries; k++)
        if (r->leaves[k])
            carries[n++] = (Carry){r->leaves[k], arrival_of_final(r, k), r->roots.data[root++]};
    *first_sum = n;
    root += r->lifted.len;
    for (int i = 0; i < r->direct.len; i++)
        carries[n++] = sum_carry(r, numbers + i, r->direct.data[i].node, r->roots.data[root++]);
    const LoopSet *place = NULL;
    for (int i = 0; i < r->roots.len; i++)
        place = loops_union(g, place, loops_without(g, r->roots.data[i]->free, r->backward));
    return graph_scan_within(g, graph_scan(g, r->backward, n, carries, r->scan->span), place);
}

static const Node *steps_of_scan(void *data, const Node *node)
{
    const Reverse *r = data;
    return graph_yield(r->g, r->scan, node, node->span);
}

/* The nodes outside of the loop that a node of its body loads and that a derivative flows to. */
static Map outer_loads(const Reverse *r, const Node *node)
{
    Map only = map_new(r->d->scratch);
    Nodes operands = node->operands;
    for (int i = 0; i < operands.len; i++) {
        const Node *o = operands.data[i];
        if (!loops_have(o->free, r->forward) && node_depends(r->d, o))
            map_put(&only, o, (void *)(uintptr_t)o);
    }
    return only;
}

/* What arrived at a node of the body at every step goes on, through all steps of it at once. */
static void through_lifted(Reverse *r, const Node *node, const Node *arrived)
{
    Diff *d = r->d;
    Graph *g = r->g;
    const Node *lifted = node_lift(g, node, r->forward, steps_of_scan, r);
    const Scalar *subs[MAX_RANK] = {scalar_iter(g, d->extra)};
    for (int i = 1; i < arrived->rank; i++)
        subs[i] = scalar_iter(g, i <= d->extra ? i - 1 : i);
    Map depends = d->depends;
    d->depends = outer_loads(r, node);
    Masked value = {NULL, scalar_load(g, arrived, subs, NULL, node->span)};
    if (node_depends(d, lifted))
        adjoint_add(d, lifted, value); /* it only reads that at its step */
    else
        adjoint_through(d, lifted, value);
    d->depends = depends;
}

static void hand_on(Reverse *r, const Node *back, int first_sum)
{
    Diff *d = r->d;
    int n = 0, root = first_sum;
    for (int k = 0; k < r->scan->n_carries; k++) {
        if (!r->leaves[k]) continue;
        const Node *init = r->scan->carries[k].init;
        const Node *last = graph_final(r->g, back, n++);
        if (node_depends(d, init))
            adjoint_add(d, init, (Masked){NULL, scalar_load_at(r->g, last, 0)});
    }
    for (int i = 0; i < r->lifted.len; i++) {
        const Node *arrived = r->roots.data[root++];
        through_lifted(r, r->lifted.data[i].node, graph_yield(r->g, back, arrived, arrived->span));
    }
    for (int i = 0; i < r->direct.len; i++) {
        const Node *last = graph_final(r->g, back, first_sum + i);
        adjoint_add(d, r->direct.data[i].node, (Masked){NULL, scalar_load_at(r->g, last, 0)});
    }
}

void through_scan(Diff *d, const Region *region)
{
    Graph *g = d->g;
    const Node *scan = region->scan;
    Reverse r = {.d = d, .g = g, .region = region, .scan = scan, .forward = scan->loop};
    if (!find_arrivals(&r)) return;
    scan_presume_finite(d, scan);
    r.backward = graph_loop(g, scan->loop->name, scan->loop->extent, !scan->loop->reversed,
                            scan->loop->span);
    carries_new(&r);
    step_back(&r);
    scan_keep(d, scan, r.backward, &r.roots);
    graph_rewrite(g, r.roots.data, r.roots.len, reverse_node, &r);
    int first_sum;
    const Node *back = scan_back(&r, &first_sum);
    hand_on(&r, back, first_sum);
}

/* --- what is presumed finite
 * ------------------------------------------------------------------------ */

void scan_presume_finite(Diff *d, const Node *scan)
{
    if (map_get(&d->presumed, scan)) return;
    map_put(&d->presumed, scan, d);
    Map known = d->presumed;
    d->presumed = map_new(d->scratch); /* what follows from the presumption is not kept */
    for (int k = 0; k < scan->n_carries; k++)
        node_presume_finite(d, scan->carries[k].leaf);
    bool finite = true;
    for (int k = 0; k < scan->n_carries && finite; k++)
        finite = node_presumed_finite(d, scan->carries[k].init) &&
                 node_presumed_finite(d, scan->carries[k].next);
    d->presumed = known;
    for (int k = 0; k < scan->n_carries; k++)
        if (finite) node_presume_finite(d, scan->carries[k].leaf);
}
