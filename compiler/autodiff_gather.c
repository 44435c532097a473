/* autodiff_gather.c -- the adjoint of one load, in gather form where its subscripts allow.
 *
 * A load T[a(I)] over a domain of iterators I hands to T, at position t, the sum over all points
 * with a(I) = t. The equations are solved for iterators (autodiff_plan.c), so that a convolution's
 * derivative is a convolution; residue classes of t are joined by pieces. A solution may lie
 * outside its iterator's range: if only the arriving derivative is read there, that load says
 * `outside 0`, else a test remains. Equations without a free iterator become tests. An iterator i
 * of which a subscript has i // c or i % c becomes two, i = c * q + r. Where an equation cannot be
 * solved (subscripts read from data), the adjoint is a scatter. */
#include "autodiff.h"
#include "simplify.h"

#include <assert.h>
#include <stdlib.h>

Extent load_extent(Graph *g, const Scalar *load, int k)
{
    Extent e = load->node->shape[k];
    if (e.size) e.size = scalar_substitute(g, e.size, load->args, load->n_args);
    return e;
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

static const Scalar *tile_scalar(const Gather *w, const Tile *tile)
{
    Graph *g = w->d->g;
    const Scalar *t = scalar_iter(g, w->d->extra + tile->axis);
    t = scalar_op2(g, OP_SUB, t, scalar_int(g, tile->constant));
    return scalar_op2(g, tile->remainder ? OP_MOD : OP_IDIV, t, scalar_int(g, tile->size));
}

static const Scalar *space_scalar(const Gather *w, const Space *space, const Affine *a,
                                  const Plan *plan)
{
    Graph *g = w->d->g;
    Affine moved = {.constant = a->constant};
    const Scalar *tiles = scalar_int(g, 0);
    for (int i = 0; i < plan->n_slots; i++) {
        if (!a->coefficient[i]) continue;
        if (i >= w->n_old + w->rank) {
            const Scalar *tile = tile_scalar(w, &plan->tiles[i]);
            tile = scalar_op2(g, OP_MUL, tile, scalar_int(g, a->coefficient[i]));
            tiles = scalar_op2(g, OP_ADD, tiles, tile);
        } else if (space->number[i] < 0) {
            return NULL;
        } else {
            moved.coefficient[space->number[i]] += a->coefficient[i];
        }
    }
    return scalar_op2(g, OP_ADD, affine_scalar(g, &moved), tiles);
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
    int n_slots = w->n_old + w->rank;
    for (int i = 0; i < n_slots; i++) {
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
    for (int i = 0; i < n_slots; i++)
        space.map[i] = space_scalar(w, &space, &plan->slot[i], plan);
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
    const Domain *domain;
    bool outside;
} Fill;

/* What arrives at the stage takes the place of the hole. Loads of a stage's results say what lies
 * outside of its axes: nothing, where they are known to stay inside. */
static const Scalar *hole_fill(void *data, const Scalar *load)
{
    const Fill *fill = data;
    const Stage *stage = fill->w->stage;
    Graph *g = fill->w->d->g;
    if (load->outside && (load->node == stage->arg || load->node == stage->node)) {
        const Scalar *plain = scalar_load(g, load->node, load->args, NULL, load->span);
        return loads_proven(fill->domain, plain) ? plain : NULL;
    }
    if (load->node != stage->hole) return NULL;
    if (!stage->whole) return scalar_substitute(g, stage->value, load->args, load->n_args);
    const Scalar *zero = fill->outside ? scalar_real(g, 0) : NULL;
    return scalar_load(g, stage->whole, load->args, zero, stage->node->span);
}

static const Scalar *hole_one(void *data, const Scalar *load)
{
    const Gather *w = data;
    const Stage *stage = w->stage;
    bool result = load->outside && (load->node == stage->arg || load->node == stage->node);
    return load->node == stage->hole || result ? scalar_const(w->d->g, load->type, 2) : NULL;
}

/* The iterators on which something depends that cannot be read outside the stage's axes. */
static uint64_t iters_kept_inside(const Gather *w, const Plan *plan)
{
    const Stage *stage = w->stage;
    Graph *g = w->d->g;
    void *data = (void *)(uintptr_t)w;
    if (w->count) return ~(uint64_t)0;
    if (!stage->whole && (!stage->arg || stage->value->kind != SCALAR_CONST)) return ~(uint64_t)0;
    uint64_t used = scalar_replace_loads(g, w->term.value, hole_one, data)->iters;
    if (w->term.test) used |= scalar_replace_loads(g, w->term.test, hole_one, data)->iters;
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
    uint64_t inside = iters_kept_inside(w, plan);
    *outside = false;
    for (int b = 0; b < plan->n_bounds; b++) {
        const Bound *bound = &plan->bounds[b];
        const Scalar *index = space_scalar(w, space, &bound->index, plan);
        Extent extent = space_extent(w, space, bound->extent);
        const Scalar *in = test_in_range(g, domain, &w->d->facts, index, extent);
        bool axis = slot_parallel(w, bound->slot) && bound->slot >= w->d->extra &&
                    extent_equal(bound->extent, w->stage->domain.iters[bound->slot]);
        if (in && axis && !(inside >> bound->slot & 1))
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
    Fill fill = {w, &space.domain, outside};
    if (term.test) term.test = scalar_replace_loads(g, term.test, hole_fill, &fill);
    if (w->count) {
        masked_solve(g, &space.domain, space.n_par, &term, NULL, 0, &w->d->facts);
        if (term.test && space.domain.n > space.n_par)
            term.test =
                reduce_load(g, REDUCE_ANY, &space.domain, space.n_par, term.test, NULL, span);
        return (Gathered){term, true, false};
    }
    term.value = scalar_replace_loads(g, term.value, hole_fill, &fill);
    term = masked_sum(g, &space.domain, space.n_par, term, &w->d->facts, span, &guarded, &solved);
    return (Gathered){term, !guarded && !outside, solved};
}

/* --- residue classes ------------------------------------------------------------------------- */

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
    int k, i, p;
    Graph *g = w->d->g;
    bool window = plan_window(w, &plan, &k, &i, &p);
    Plan tiled = plan;
    if (window && plan_tile(w, &tiled) && !plan_stuck(w, &tiled)) {
        *result = gather_space(w, &tiled);
        return true;
    }
    if (!window) {
        if (plan_stuck(w, &plan)) return false;
        *result = gather_space(w, &plan);
        return true;
    }
    int64_t size = llabs(plan.equation[k].coefficient[i]);
    int64_t extent = w->load->node->shape[k].max;
    Piece *pieces = NEW_ARRAY(w->d->scratch, Piece, size);
    int n_pieces = 0;
    bool solved = false;
    for (int64_t rho = 0; rho < size && rho < extent; rho++) {
        Plan part_plan = plan;
        Gathered part;
        if (!plan_residue(w, &part_plan, k, i, p, rho)) continue;
        if (!gather_plan(w, part_plan, &part)) return false;
        solved = solved || part.solved;
        const Node *node = gathered_node(w, plan_split(w, plan, k, rho, size), part);
        if (node) pieces[n_pieces++] = (Piece){node, rho, size};
    }
    *result = (Gathered){.complete = true, .solved = solved};
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
    Fill fill = {w, &domain, false};
    if (term.test) term.test = scalar_replace_loads(g, term.test, hole_fill, &fill);
    term.value =
        w->count ? scalar_real(g, 1) : scalar_replace_loads(g, term.value, hole_fill, &fill);
    term = masked_split(g, &domain, term);
    if (!term.value) return (Gathered){.complete = true};
    bool solved =
        masked_solve(g, &domain, n_extra, &term, position, n_extra + w->rank, &w->d->facts) > 0;
    Extent shape[MAX_RANK];
    adjoint_shape(w->d, w->load->node, shape);
    const Node *node = graph_scatter(g, n_extra + w->rank, shape, position, domain.n, domain.iters,
                                     term.value, term.test, w->stage->node->span);
    const Scalar *load = scalar_load_at(g, node, 0);
    if (!w->count) return (Gathered){{NULL, load}, false, solved};
    const Scalar *some = scalar_op2(g, OP_LT, scalar_real(g, 0), load);
    return (Gathered){{some, scalar_bool(g, true)}, true, solved};
}

/* --- quotients and remainders ---------------------------------------------------------------- */

/* An iterator i = size * q + r; q takes its number. */
typedef struct Halves {
    int iter, rest; /* numbers of q and of r */
    int64_t size;
} Halves;

static bool is_part(const Scalar *s)
{
    if (s->kind != SCALAR_OP || (s->op != OP_IDIV && s->op != OP_MOD)) return false;
    return s->args[0]->kind == SCALAR_ITER && s->args[1]->kind == SCALAR_CONST &&
           s->args[1]->value > 1;
}

typedef struct FindHalves {
    const Domain *domain;
    Halves found; /* size 0: none */
} FindHalves;

static void find_part(void *data, const Scalar *s)
{
    FindHalves *f = data;
    if (f->found.size || !is_part(s) || f->domain->iters[s->args[0]->iter].size) return;
    f->found = (Halves){s->args[0]->iter, f->domain->n, (int64_t)s->args[1]->value};
}

/* The scalar in terms of q and r. */
static const Scalar *halves_scalar(Graph *g, const Scalar *s, const Halves *h)
{
    const Scalar *q = scalar_iter(g, h->iter), *r = scalar_iter(g, h->rest);
    if (!(s->iters >> h->iter & 1)) return s;
    if (s->kind == SCALAR_ITER)
        return scalar_op2(g, OP_ADD, scalar_op2(g, OP_MUL, q, scalar_int(g, h->size)), r);
    if (is_part(s) && (int64_t)s->args[1]->value == h->size) return s->op == OP_IDIV ? q : r;
    const Scalar *args[MAX_RANK];
    for (int k = 0; k < s->n_args; k++)
        args[k] = halves_scalar(g, s->args[k], h);
    if (s->kind == SCALAR_OP) return scalar_op(g, s->op, args, s->span);
    return scalar_load(g, s->node, args, s->outside ? halves_scalar(g, s->outside, h) : NULL,
                       s->span);
}

/* The same points with q and r in the place of one iterator of which the load has a part; false if
 * there is none. */
static bool gather_halve(Gather *w, Stage *stage)
{
    Graph *g = w->d->g;
    FindHalves f = {.domain = &w->stage->domain};
    for (int k = 0; k < w->rank; k++)
        scalar_visit(w->load->args[k], find_part, &f);
    const Halves *h = &f.found;
    if (!h->size || w->n_old + 1 >= MAX_ITERS - w->rank) return false;
    *stage = *w->stage;
    int64_t extent = stage->domain.iters[h->iter].max;
    stage->domain.iters[h->iter] = extent_fixed((extent + h->size - 1) / h->size);
    stage->domain.iters[stage->domain.n++] = extent_fixed(h->size);
    w->stage = stage;
    w->n_old++;
    w->load = halves_scalar(g, w->load, h);
    w->term.value = halves_scalar(g, w->term.value, h);
    if (w->term.test) w->term.test = halves_scalar(g, w->term.test, h);
    if (extent % h->size == 0) return true;
    const Scalar *old = halves_scalar(g, scalar_iter(g, h->iter), h);
    const Scalar *within = scalar_op2(g, OP_LT, old, scalar_int(g, extent));
    w->term.test = test_and(g, &stage->domain, w->term.test, within);
    return true;
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
    Gather halved = w;
    Stage stages[MAX_RANK];
    int n = 0;
    while (n < MAX_RANK && gather_halve(&halved, &stages[n]))
        n++;
    if (n > 0 && gather_plan(&halved, plan_new(&halved), &result)) return result;
    return gather_scatter(&w);
}

const Node *scatter_in_gather_form(Graph *g, const Node *scatter)
{
    if (scatter->type != TYPE_REAL) return NULL;
    Arena *scratch = arena_new();
    Diff d = {.g = g, .scratch = scratch};
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_of(graph_context(g), "scattered")};
    const Node *target = graph_leaf(g, &leaf, TYPE_REAL, scatter->rank, scatter->shape);
    Stage stage = {.node = scatter, .domain.n = scatter->n_iters};
    memcpy(stage.domain.iters, scatter->iters, sizeof(Extent) * (size_t)scatter->n_iters);
    Gather w = {.d = &d,
                .stage = &stage,
                .n_old = scatter->n_iters,
                .rank = scatter->rank,
                .load = scalar_load(g, target, scatter->position, NULL, scatter->span),
                .term = {scatter->guard, scatter->body}};
    Gathered got;
    bool good = gather_plan(&w, plan_new(&w), &got);
    arena_free(scratch);
    if (!good) return NULL;
    const Scalar *value = got.flow.value ? masked_scalar(g, got.flow) : scalar_real(g, 0);
    return graph_map(g, scatter->rank, scatter->shape, value, scatter->span);
}
