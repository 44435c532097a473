/* autodiff_gather.c -- the adjoint of one load, in gather form where its subscripts allow.
 *
 * A load T[a(I)] over a domain of iterators I hands to T, at position t, the sum over all points
 * with a(I) = t. Each axis is an equation. Affine ones are solved for an iterator: with coefficient
 * 1 or -1 directly; t = s*i + d*p + c by residue classes of t modulo s, each an index space of its
 * own, joined by pieces: with g = gcd(s, d) and r = t - c, class rho has points only if g divides
 * rho - c; then p = p0 + (s/g)*p' with p0 the least solution of d*p0 = rho - c (mod s), and i = t'
 * + (rho - c - d*p0)/s - (d/g)*p'. So a convolution's derivative is a convolution. A solution may
 * lie outside its iterator's range: if only the arriving derivative is read there, that load says
 * `outside 0`, else a test remains. Equations without a free iterator become tests. Where an
 * equation cannot be solved (subscripts read from data, // and %), the adjoint is a scatter. */
#include "autodiff.h"

#include <assert.h>
#include <stdlib.h>

enum { MAX_SLOTS = MAX_ITERS };

/* A solution outside `extent` is no point of the domain. */
typedef struct Bound {
    int slot; /* the iterator that was solved */
    Affine index;
    Extent extent;
} Bound;

/* Slots 0 .. domain.n-1 are the iterators of the domain, then come the axes t of T. Solving
 * expresses slots by others; a slot may also change its meaning (p becomes p', t becomes t'). */
typedef struct Plan {
    int n_slots;
    uint64_t free;            /* iterators not solved */
    Affine slot[MAX_SLOTS];   /* every original slot in terms of the present ones */
    Extent extent[MAX_SLOTS]; /* of free iterators, sizes in terms of original slots */
    bool affine[MAX_RANK], done[MAX_RANK], split[MAX_RANK];
    Affine equation[MAX_RANK]; /* a_k - t_k = 0 */
    int64_t split_extent[MAX_RANK];
    Bound bounds[MAX_SLOTS + MAX_RANK];
    int n_bounds;
} Plan;

typedef struct Gather {
    Diff *d;
    const Stage *stage;
    const Scalar *load;
    Masked term;
    bool count;
    int n_old, rank; /* iterators of the domain; axes of T */
} Gather;

Extent load_extent(Graph *g, const Scalar *load, int k)
{
    Extent e = load->node->shape[k];
    if (e.size) e.size = scalar_substitute(g, e.size, load->args, load->n_args);
    return e;
}

/* --- the plan -------------------------------------------------------------------------------- */

static void affine_replace(Affine *a, int slot, const Affine *by)
{
    int64_t c = a->coefficient[slot];
    if (!c) return;
    a->coefficient[slot] = 0;
    a->constant += c * by->constant;
    for (int i = 0; i < MAX_SLOTS; i++)
        a->coefficient[i] += c * by->coefficient[i];
}

static void plan_replace(Plan *plan, int slot, Affine by, int rank)
{
    for (int i = 0; i < plan->n_slots; i++)
        affine_replace(&plan->slot[i], slot, &by);
    for (int k = 0; k < rank; k++)
        affine_replace(&plan->equation[k], slot, &by);
    for (int b = 0; b < plan->n_bounds; b++)
        affine_replace(&plan->bounds[b].index, slot, &by);
}

static void plan_bound(Plan *plan, int slot, Affine index, Extent extent)
{
    assert(plan->n_bounds < MAX_SLOTS + MAX_RANK);
    plan->bounds[plan->n_bounds++] = (Bound){slot, index, extent};
}

/* Slot := index, which must lie within the slot's extent. */
static void plan_solve(Plan *plan, int slot, Affine index, int rank)
{
    plan->free &= ~((uint64_t)1 << slot);
    plan_replace(plan, slot, index, rank);
    plan_bound(plan, slot, index, plan->extent[slot]);
}

static Plan plan_new(const Gather *w)
{
    const Stage *stage = w->stage;
    Plan plan = {.n_slots = w->n_old + w->rank};
    assert(plan.n_slots <= MAX_SLOTS && "too many iterators");
    for (int i = 0; i < plan.n_slots; i++)
        plan.slot[i].coefficient[i] = 1;
    for (int i = 0; i < w->n_old; i++) {
        plan.extent[i] = stage->domain.iters[i];
        if (i >= w->d->extra) plan.free |= (uint64_t)1 << i;
    }
    for (int k = 0; k < w->rank; k++) {
        plan.affine[k] = affine_of(w->load->args[k], &plan.equation[k]);
        plan.equation[k].coefficient[w->n_old + k] -= 1;
    }
    return plan;
}

/* The free iterators in equation k. */
static int equation_free(const Plan *plan, int k, int *slots)
{
    int n = 0;
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->free >> i & 1 && plan->equation[k].coefficient[i]) slots[n++] = i;
    return n;
}

static bool slot_parallel(const Gather *w, int slot)
{
    return slot < w->d->extra + w->stage->node->rank && w->stage->node->kind == NODE_COMP;
}

static void equation_solve(Plan *plan, int k, int slot, int rank)
{
    Affine index = plan->equation[k];
    int64_t sign = index.coefficient[slot];
    assert(sign == 1 || sign == -1);
    index.coefficient[slot] = 0;
    index.constant *= -sign;
    for (int i = 0; i < MAX_SLOTS; i++)
        index.coefficient[i] *= -sign;
    plan->done[k] = true;
    plan_solve(plan, slot, index, rank);
}

/* Solves one more equation for an iterator with coefficient 1 or -1: first those with a single free
 * iterator, then for parallel ones, then, in equations without parallel ones, for reducing ones. */
static bool plan_step(const Gather *w, Plan *plan)
{
    int slots[MAX_SLOTS];
    for (int phase = 0; phase < 3; phase++)
        for (int k = 0; k < w->rank; k++) {
            if (plan->done[k] || !plan->affine[k]) continue;
            int n = equation_free(plan, k, slots), best = -1;
            bool any_parallel = false;
            if (phase == 0 && n != 1) continue;
            for (int j = 0; j < n; j++) {
                bool parallel = slot_parallel(w, slots[j]);
                any_parallel = any_parallel || parallel;
                if (llabs(plan->equation[k].coefficient[slots[j]]) != 1) continue;
                if (phase == 1 && !parallel) continue;
                if (best < 0 || plan->extent[slots[j]].max > plan->extent[best].max)
                    best = slots[j];
            }
            if (best < 0 || (phase == 2 && any_parallel)) continue;
            equation_solve(plan, k, best, w->rank);
            return true;
        }
    return false;
}

/* An equation t = s*i + d*p + c for residue classes: sets the slots of i and p (-1: none). */
static bool plan_window(const Gather *w, const Plan *plan, int *equation, int *i, int *p)
{
    int slots[MAX_SLOTS];
    for (int k = 0; k < w->rank; k++) {
        if (plan->done[k] || !plan->affine[k] || plan->split[k]) continue;
        if (w->load->node->shape[k].size) continue;
        int n = equation_free(plan, k, slots);
        if (n < 1 || n > 2) continue;
        bool clean = true;
        for (int j = 0; j < plan->n_slots; j++)
            if (plan->equation[k].coefficient[j] && !(plan->free >> j & 1) && j != w->n_old + k)
                clean = false;
        if (!clean) continue;
        bool second = n == 2 && !slot_parallel(w, slots[0]) && slot_parallel(w, slots[1]);
        bool both = n == 2 && slot_parallel(w, slots[0]) == slot_parallel(w, slots[1]);
        if (both) second = plan->extent[slots[1]].max > plan->extent[slots[0]].max;
        *equation = k;
        *i = slots[second];
        *p = n == 2 ? slots[!second] : -1;
        return true;
    }
    return false;
}

static int64_t modulo(int64_t a, int64_t m)
{
    int64_t r = a % m;
    return r < 0 ? r + m : r;
}

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

/* Restricts the plan to t_k = |s|*t' + rho; false if no point falls there. */
static bool plan_residue(const Gather *w, Plan *plan, int k, int i, int p, int64_t rho)
{
    const Affine *e = &plan->equation[k];
    int64_t s = e->coefficient[i], d = p >= 0 ? e->coefficient[p] : 0, size = llabs(s);
    int64_t r = rho - e->constant, divisor = gcd(size, llabs(d)), p0 = 0;
    int t = w->n_old + k;
    if (modulo(r, divisor)) return false;
    while (modulo(r - d * p0, size))
        p0++;
    Affine index = {.constant = (r - d * p0) / size}, scaled = {.constant = p0};
    index.coefficient[t] = 1;
    if (p >= 0) {
        if (p0 >= plan->extent[p].max) return false;
        int64_t step = size / divisor, points = (plan->extent[p].max - 1 - p0) / step + 1;
        index.coefficient[p] = points > 1 ? -(d / divisor) : 0;
        scaled.coefficient[p] = points > 1 ? step : 0;
        if (points == 1) plan->free &= ~((uint64_t)1 << p);
    }
    if (s < 0) {
        index.constant = -index.constant;
        for (int j = 0; j < MAX_SLOTS; j++)
            index.coefficient[j] = -index.coefficient[j];
    }
    Affine place = {.constant = rho};
    place.coefficient[t] = size;
    plan->done[k] = plan->split[k] = true;
    plan->split_extent[k] = (w->load->node->shape[k].max - rho + size - 1) / size;
    /* i's solution is in terms of p' and t': first give p and t their new meaning elsewhere. */
    if (p >= 0) {
        plan_replace(plan, p, scaled, w->rank);
        if (plan->extent[p].size) plan_bound(plan, p, scaled, plan->extent[p]);
        plan->extent[p] = extent_fixed((plan->extent[p].max - 1 - p0) / (size / divisor) + 1);
    }
    plan_replace(plan, t, place, w->rank);
    plan_solve(plan, i, index, w->rank);
    return true;
}

/* --- from a plan to a sum -------------------------------------------------------------------- */

/* The plan's index space: extra iterators, axes t, free iterators. Where only its axes matter, the
 * plan has no free iterators, and slots that depend on some have no scalar. */
typedef struct Space {
    Domain domain;
    int n_par;
    const Scalar *map[MAX_SLOTS]; /* every original slot over the domain */
    int number[MAX_SLOTS];        /* of a present slot in the domain */
    const Scalar *test;           /* of free iterators whose size cannot bound their loop */
} Space;

static const Scalar *space_scalar(const Gather *w, const Space *space, const Affine *a, int n_slots)
{
    Affine moved = {.constant = a->constant};
    for (int i = 0; i < n_slots; i++)
        if (a->coefficient[i] && space->number[i] < 0)
            return NULL;
        else if (a->coefficient[i])
            moved.coefficient[space->number[i]] += a->coefficient[i];
    return affine_scalar(w->d->g, &moved);
}

static Extent space_extent(const Gather *w, const Space *space, Extent e)
{
    if (e.size) e.size = scalar_substitute(w->d->g, e.size, space->map, w->n_old);
    return e;
}

static void space_axes(const Gather *w, const Plan *plan, Space *space)
{
    for (int k = 0; k < w->rank; k++) {
        Extent e = w->load->node->shape[k];
        if (e.size) e.size = scalar_substitute(w->d->g, e.size, space->map + w->n_old, w->rank);
        if (plan->split[k]) e = extent_fixed(plan->split_extent[k]);
        space->domain.iters[w->d->extra + k] = e;
    }
}

static Space space_new(const Gather *w, const Plan *plan)
{
    Graph *g = w->d->g;
    int n_extra = w->d->extra;
    Space space = {.n_par = n_extra + w->rank};
    int n = space.n_par;
    for (int i = 0; i < plan->n_slots; i++) {
        if (i < n_extra)
            space.number[i] = i;
        else if (i >= w->n_old)
            space.number[i] = n_extra + i - w->n_old;
        else if (plan->free >> i & 1)
            space.number[i] = n++;
        else
            space.number[i] = -1;
    }
    assert(n <= MAX_ITERS);
    for (int i = 0; i < plan->n_slots; i++)
        space.map[i] = space_scalar(w, &space, &plan->slot[i], plan->n_slots);
    for (int i = 0; i < n_extra; i++)
        space.domain.iters[i] = w->stage->domain.iters[i];
    space_axes(w, plan, &space);
    space.domain.n = space.n_par;
    for (int i = 0; i < w->n_old; i++) {
        if (!(plan->free >> i & 1)) continue;
        Extent e = space_extent(w, &space, plan->extent[i]);
        int here = space.domain.n++;
        space.domain.iters[here] = e;
        if (!e.size || !(e.size->iters >> here)) continue;
        /* Its size depends on an iterator that now comes later. */
        space.domain.iters[here] = extent_fixed(e.max);
        const Scalar *within = scalar_op2(g, OP_LT, scalar_iter(g, here), e.size);
        space.test = space.test ? scalar_op2(g, OP_AND, space.test, within) : within;
    }
    return space;
}

typedef struct Fill {
    const Gather *w;
    bool outside;
} Fill;

/* What arrives at the stage takes the place of the hole. */
static const Scalar *hole_fill(void *data, const Scalar *load)
{
    const Fill *fill = data;
    const Stage *stage = fill->w->stage;
    Graph *g = fill->w->d->g;
    if (load->node != stage->hole) return NULL;
    if (!stage->whole) return scalar_substitute(g, stage->value, load->args, load->n_args);
    const Scalar *zero = fill->outside ? scalar_real(g, 0) : NULL;
    return scalar_load(g, stage->whole, load->args, zero, stage->node->span);
}

static const Scalar *hole_one(void *data, const Scalar *load)
{
    const Gather *w = data;
    return load->node == w->stage->hole ? scalar_real(w->d->g, 2) : NULL;
}

/* The iterators that something other than the load of the arriving derivative depends on. */
static uint64_t iters_beside_hole(const Gather *w, const Plan *plan)
{
    uint64_t used = w->term.test ? w->term.test->iters : 0;
    used |= scalar_replace_loads(w->d->g, w->term.value, hole_one, (void *)(uintptr_t)w)->iters;
    for (int i = 0; i < w->n_old; i++)
        if (plan->free >> i & 1 && plan->extent[i].size) used |= plan->extent[i].size->iters;
    for (int k = 0; k < w->rank; k++)
        if (!plan->done[k]) used |= w->load->args[k]->iters;
    return used;
}

/* The tests that a point of the space is one of the domain and is loaded at t. *outside: the
 * arriving derivative may be read outside its axes, and is zero there. */
static const Scalar *space_test(const Gather *w, const Plan *plan, const Space *space,
                                bool *outside)
{
    Graph *g = w->d->g;
    const Domain *domain = &space->domain;
    const Scalar *test = space->test;
    uint64_t beside = w->count || !w->stage->whole ? ~(uint64_t)0 : iters_beside_hole(w, plan);
    *outside = false;
    for (int b = 0; b < plan->n_bounds; b++) {
        const Bound *bound = &plan->bounds[b];
        const Scalar *index = space_scalar(w, space, &bound->index, plan->n_slots);
        Extent extent = space_extent(w, space, bound->extent);
        const Scalar *in = test_in_range(g, domain, &w->d->facts, index, extent);
        bool axis = slot_parallel(w, bound->slot) && bound->slot >= w->d->extra &&
                    extent_equal(bound->extent, w->stage->domain.iters[bound->slot]);
        if (in && axis && !(beside >> bound->slot & 1))
            *outside = true;
        else
            test = test_and(g, domain, test, in);
    }
    for (int k = 0; k < w->rank; k++) {
        if (plan->done[k]) continue;
        const Scalar *a = scalar_substitute(g, w->load->args[k], space->map, w->n_old);
        const Scalar *here = scalar_op2(g, OP_EQ, space->map[w->n_old + k], a);
        if (!scalar_is_const(here, 1)) test = test_and(g, domain, test, here);
    }
    return test;
}

static Gathered gather_space(const Gather *w, const Plan *plan)
{
    Graph *g = w->d->g;
    Space space = space_new(w, plan);
    bool outside, guarded = false, solved = false;
    Span span = w->stage->node->span;
    const Scalar *test = space_test(w, plan, &space, &outside);
    Masked term = w->term;
    if (term.test) {
        const Scalar *own = scalar_substitute(g, term.test, space.map, w->n_old);
        term.test = test_and(g, &space.domain, test, own);
    } else {
        term.test = test;
    }
    term.value = scalar_substitute(g, term.value, space.map, w->n_old);
    if (w->count) {
        masked_solve(g, &space.domain, space.n_par, &term, NULL, 0, &w->d->facts);
        if (term.test && space.domain.n > space.n_par)
            term.test =
                reduce_load(g, REDUCE_ANY, &space.domain, space.n_par, term.test, NULL, span);
        return (Gathered){term, true};
    }
    Fill fill = {w, outside};
    term.value = scalar_replace_loads(g, term.value, hole_fill, &fill);
    term = masked_sum(g, &space.domain, space.n_par, term, &w->d->facts, span, &guarded, &solved);
    return (Gathered){term, !guarded && !outside};
}

/* --- residue classes ------------------------------------------------------------------------- */

/* The plan's axes, with axis k restricted to t_k = size*t' + rho. */
static Plan plan_split(const Gather *w, Plan plan, int k, int64_t rho, int64_t size)
{
    Affine place = {.constant = rho};
    place.coefficient[w->n_old + k] = size;
    plan_replace(&plan, w->n_old + k, place, w->rank);
    plan.split[k] = true;
    plan.split_extent[k] = (w->load->node->shape[k].max - rho + size - 1) / size;
    plan.free = 0;
    return plan;
}

/* A node over the extra axes and axes t of the plan; NULL if it is zero. */
static const Node *gathered_node(const Gather *w, Plan axes, Gathered part)
{
    Graph *g = w->d->g;
    Masked m = part.flow;
    if (w->count) {
        m.value = m.test ? m.test : scalar_bool(g, true);
        m.test = NULL;
    }
    if (!m.value) return NULL;
    Space space = space_new(w, &axes);
    return graph_map(g, space.n_par, space.domain.iters, masked_scalar(g, m), w->stage->node->span);
}

/* Solves what can be solved; false if an equation with free iterators is left. */
static bool gather_plan(const Gather *w, Plan plan, Gathered *result)
{
    while (plan_step(w, &plan))
        ;
    int k, i, p, slots[MAX_SLOTS];
    Graph *g = w->d->g;
    if (!plan_window(w, &plan, &k, &i, &p)) {
        for (int j = 0; j < w->rank; j++) {
            if (plan.done[j]) continue;
            if (plan.affine[j] && equation_free(&plan, j, slots)) return false;
            for (int s = 0; s < w->n_old && !plan.affine[j]; s++) {
                if (!(w->load->args[j]->iters >> s & 1)) continue;
                for (int f = 0; f < plan.n_slots; f++)
                    if (plan.free >> f & 1 && plan.slot[s].coefficient[f]) return false;
            }
        }
        *result = gather_space(w, &plan);
        return true;
    }
    int64_t size = llabs(plan.equation[k].coefficient[i]);
    int64_t extent = w->load->node->shape[k].max;
    Piece *pieces = NEW_ARRAY(w->d->scratch, Piece, size);
    int n_pieces = 0;
    for (int64_t rho = 0; rho < size && rho < extent; rho++) {
        Plan part_plan = plan;
        Gathered part;
        if (!plan_residue(w, &part_plan, k, i, p, rho)) continue;
        if (!gather_plan(w, part_plan, &part)) return false;
        const Node *node = gathered_node(w, plan_split(w, plan, k, rho, size), part);
        if (node) pieces[n_pieces++] = (Piece){node, rho, size};
    }
    *result = (Gathered){.complete = true};
    if (!n_pieces) return true;
    Plan axes = plan;
    axes.free = 0;
    Space space = space_new(w, &axes);
    const Node *node =
        graph_pieces(g, w->count ? TYPE_BOOL : TYPE_REAL, space.n_par, space.domain.iters,
                     w->d->extra + k, n_pieces, pieces, w->stage->node->span);
    const Scalar *load = scalar_load_at(g, node, 0);
    result->flow = w->count ? (Masked){load, scalar_bool(g, true)} : (Masked){NULL, load};
    result->complete = w->count;
    return true;
}

/* --- scatter --------------------------------------------------------------------------------- */

/* Positions outside of the axes, of loads with `outside`, add nothing. */
static Gathered gather_scatter(const Gather *w)
{
    Graph *g = w->d->g;
    int n_extra = w->d->extra;
    Domain domain = w->stage->domain;
    Masked term = w->term;
    const Scalar *position[MAX_RANK];
    for (int i = 0; i < n_extra; i++)
        position[i] = scalar_iter(g, i);
    for (int k = 0; k < w->rank; k++)
        position[n_extra + k] = w->load->args[k];
    Fill fill = {w, false};
    term.value =
        w->count ? scalar_real(g, 1) : scalar_replace_loads(g, term.value, hole_fill, &fill);
    term = masked_split(g, &domain, term);
    if (!term.value) return (Gathered){.complete = true};
    masked_solve(g, &domain, n_extra, &term, position, n_extra + w->rank, &w->d->facts);
    Extent shape[MAX_RANK];
    adjoint_shape(w->d, w->load->node, shape);
    const Node *node = graph_scatter(g, n_extra + w->rank, shape, position, domain.n, domain.iters,
                                     term.value, term.test, w->stage->node->span);
    const Scalar *load = scalar_load_at(g, node, 0);
    if (!w->count) return (Gathered){{NULL, load}, false};
    const Scalar *some = scalar_op2(g, OP_LT, scalar_real(g, 0), load);
    return (Gathered){{some, scalar_bool(g, true)}, true};
}

/* What a subscript read from data says about that data: the load is checked, so all of it is in
 * range. */
static void gather_fact(const Gather *w, int k)
{
    const Scalar *index = w->load->args[k];
    Extent extent = w->load->node->shape[k];
    if (index->kind != SCALAR_LOAD || index->outside || w->load->outside) return;
    if (extent.size || w->term.test || w->stage->node->guard) return;
    uint64_t seen = 0;
    for (int j = 0; j < index->n_args; j++) {
        const Scalar *a = index->args[j];
        if (a->kind != SCALAR_ITER || seen >> a->iter & 1) return;
        if (!extent_equal(w->stage->domain.iters[a->iter], index->node->shape[j])) return;
        seen |= (uint64_t)1 << a->iter;
    }
    Fact fact = {index->node, extent};
    vec_push(w->d->scratch, &w->d->facts, fact);
}

Gathered gather(Diff *d, const Stage *stage, const Scalar *load, Masked term, bool count)
{
    Gather w = {.d = d,
                .stage = stage,
                .load = load,
                .term = term,
                .count = count,
                .n_old = stage->domain.n,
                .rank = load->node->rank};
    if (!count)
        for (int k = 0; k < w.rank; k++)
            gather_fact(&w, k);
    Gathered result;
    if (gather_plan(&w, plan_new(&w), &result)) return result;
    return gather_scatter(&w);
}
