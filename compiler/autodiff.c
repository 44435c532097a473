/* autodiff.c -- reverse mode: derivatives of a node by others, as more nodes of the same kinds.
 *
 * The nodes between wrt and y are visited users first. What arrives at a node is the sum of its
 * flows, one per load of it; it is then handed on through the node: for a comprehension out[P] =
 * sum over R of body, one backward sweep of the body gives every load T[a(P, R)] a coefficient, and
 * the adjoint of T at t is the sum of coefficient * arriving[P] over all points with a(P, R) = t
 * (autodiff_gather.c). What arrives is written into the formulas directly while they remain maps
 * over the same points, and becomes a node of its own before it is summed or read at other places.
 * Scans are visited as a whole (autodiff_scan.c).
 */
#include "autodiff.h"
#include "simplify.h"

#include <assert.h>
#include <math.h>

typedef struct Adjoint Adjoint;

typedef enum FlowKind {
    FLOW_PLAIN,   /* the flow's test says where it is zero */
    FLOW_TERM,    /* through a comprehension or scatter: stage, load, test */
    FLOW_MAPPED,  /* from's, with iterators replaced by map */
    FLOW_RESHAPED /* from's, in another shape */
} FlowKind;

/* One contribution. Where it does not come from a sum, its test says where it is zero; otherwise
 * this can be found out when needed: by asking the node it came from. */
typedef struct Flow {
    Masked value;
    FlowKind kind;
    Adjoint *from;
    const Stage *stage;
    const Scalar *load, *test;
    const Scalar *const *map;
} Flow;

struct Adjoint {
    const Node *node;
    VEC(Flow) flows;
    Masked sum;
    bool complete; /* nothing but sum.test makes it zero */
    bool forced;
    const Scalar *where; /* once forced: where it may be other than zero; NULL: everywhere */
};

/* --- shapes ---------------------------------------------------------------------------------- */

/* a over the node's own iterators becomes a over the extra ones and these. */
static const Scalar *behind_extra(Diff *d, const Scalar *a, int n)
{
    const Scalar *map[MAX_ITERS];
    if (!a || !d->extra) return a;
    for (int i = 0; i < n; i++)
        map[i] = scalar_iter(d->g, d->extra + i);
    return scalar_substitute(d->g, a, map, n);
}

static void extents_behind_extra(Diff *d, const Extent *from, int n, Extent *to)
{
    assert(d->extra + n <= MAX_ITERS && "too many iterators");
    for (int i = 0; i < d->extra; i++)
        to[i] = d->extents[i];
    for (int i = 0; i < n; i++)
        to[d->extra + i] = (Extent){from[i].max, behind_extra(d, from[i].size, n)};
}

void adjoint_shape(Diff *d, const Node *node, Extent *shape)
{
    assert(d->extra + node->rank <= MAX_RANK && "too many axes");
    extents_behind_extra(d, node->shape, node->rank, shape);
}

const Node *adjoint_node(Diff *d, const Node *node, Masked m)
{
    Extent shape[MAX_ITERS];
    extents_behind_extra(d, node->shape, node->rank, shape);
    return graph_map(d->g, d->extra + node->rank, shape, masked_scalar(d->g, m), node->span);
}

static Domain adjoint_domain(Diff *d, const Node *node)
{
    Domain domain = {.n = d->extra + node->rank};
    extents_behind_extra(d, node->shape, node->rank, domain.iters);
    return domain;
}

/* --- flows ----------------------------------------------------------------------------------- */

static Adjoint *adjoint_of(Diff *d, const Node *node)
{
    Adjoint *a = map_get(&d->adjoints, node);
    if (!a) {
        a = NEW(d->scratch, Adjoint);
        a->node = node;
        map_put(&d->adjoints, node, a);
    }
    return a;
}

/* Whether a node stands outside of the loop of whose step this is a sweep. */
static bool is_outer(const Diff *d, const Node *node)
{
    return d->loop && !loops_have(node->free, d->loop);
}

static void flow_add(Diff *d, const Node *to, Flow flow)
{
    Domain domain = adjoint_domain(d, to);
    flow.value = masked_split(d->g, &domain, flow.value);
    if (is_outer(d, to)) {
        Outer direct = {to, flow.value};
        if (flow.value.value) vec_push(d->scratch, &d->direct, direct);
        return;
    }
    Adjoint *a = adjoint_of(d, to);
    if (flow.value.value) vec_push(d->scratch, &a->flows, flow);
}

static void adjoint_sum(Diff *d, Adjoint *a)
{
    a->complete = true;
    bool everywhere = false;
    for (int i = 0; i < a->flows.len; i++) {
        const Flow *flow = &a->flows.data[i];
        a->sum = masked_add(d->g, a->sum, flow->value);
        a->complete = a->complete && flow->kind == FLOW_PLAIN;
        everywhere = everywhere || (flow->kind == FLOW_PLAIN && !flow->value.test);
    }
    if (a->sum.value && scalar_is_const(a->sum.value, 0)) a->sum.value = NULL;
    a->complete = a->complete || everywhere;
}

static const Scalar *adjoint_where(Diff *d, Adjoint *a);

/* The place of a point of the stage in the axes of the adjoint that arrives there. */
static const Scalar *at_point(Diff *d, const Stage *stage, const Scalar *a)
{
    return a ? scalar_substitute(d->g, a, stage->subs, d->extra + stage->node->rank) : NULL;
}

static const Scalar *flow_where(Diff *d, const Flow *flow, const Node *node)
{
    Graph *g = d->g;
    if (flow->kind == FLOW_PLAIN) return flow->value.test;
    const Scalar *where = adjoint_where(d, flow->from);
    switch (flow->kind) {
    case FLOW_PLAIN: break;
    case FLOW_TERM: {
        const Scalar *test =
            test_and(g, &flow->stage->domain, at_point(d, flow->stage, where), flow->test);
        Masked any = {test, scalar_bool(g, true)};
        return gather(d, flow->stage, flow->load, any, true).flow.test;
    }
    case FLOW_MAPPED: return where ? scalar_substitute(g, where, flow->map, MAX_ITERS) : NULL;
    case FLOW_RESHAPED: {
        if (!where) return NULL;
        Extent shape[MAX_RANK];
        adjoint_shape(d, node, shape);
        const Node *mask = adjoint_node(d, flow->from->node, (Masked){NULL, where});
        mask = graph_reshape(g, mask, d->extra + node->rank, shape, node->span);
        return scalar_load_at(g, mask, 0);
    }
    }
    return where;
}

/* Where the adjoint may be other than zero; NULL: everywhere. */
static const Scalar *adjoint_where(Diff *d, Adjoint *a)
{
    if (a->forced) return a->where;
    a->forced = true;
    if (a->complete) return a->where = a->sum.test;
    const Scalar *where = NULL;
    for (int i = 0; i < a->flows.len; i++) {
        const Scalar *test = flow_where(d, &a->flows.data[i], a->node);
        if (!test) return a->where = NULL;
        where = where ? scalar_op2(d->g, OP_OR, where, test) : test;
    }
    return a->where = where;
}

/* --- through a comprehension ----------------------------------------------------------------- */

/* Which points of a domain count, and how, before the body's derivative does. A scatter's points
 * with a position outside of its axes add nothing. */
typedef struct Points {
    const Scalar *test;   /* points that take part */
    const Scalar *factor; /* of the arriving derivative, or NULL */
} Points;

static const Scalar *load_result(Diff *d, const Node *node)
{
    return scalar_load_at(d->g, node, d->extra);
}

/* The number of points that took part in a mean, over extra and own axes. */
static const Scalar *mean_count(Diff *d, const Node *node)
{
    Graph *g = d->g;
    double count = 1;
    bool fixed = !node->guard;
    for (int i = node->rank; i < node->n_iters; i++) {
        fixed = fixed && !node->iters[i].size;
        count *= (double)node->iters[i].max;
    }
    if (fixed) return scalar_real(g, count);
    Domain domain = {.n = node->n_iters};
    memcpy(domain.iters, node->iters, sizeof(Extent) * (size_t)node->n_iters);
    const Scalar *total = NULL;
    bool simple = !node->guard;
    for (int i = node->rank; i < node->n_iters; i++) {
        const Scalar *size = node->iters[i].size;
        simple = simple && !(size && size->iters >> node->rank);
        if (!size) size = scalar_int(g, node->iters[i].max);
        total = total ? scalar_op2(g, OP_MUL, total, size) : size;
    }
    if (!simple)
        total = reduce_load(g, REDUCE_SUM, &domain, node->rank, scalar_int(g, 1), node->guard,
                            node->span);
    return behind_extra(d, scalar_convert(g, total, TYPE_REAL), node->rank);
}

/* The row-by-row number of the reducing iterators, which argmax gives. */
static const Scalar *row_number(Diff *d, const Node *node)
{
    Graph *g = d->g;
    const Scalar *number = scalar_int(g, 0);
    for (int i = node->rank; i < node->n_iters; i++) {
        number = scalar_op2(g, OP_MUL, number, scalar_int(g, node->iters[i].max));
        number = scalar_op2(g, OP_ADD, number, scalar_iter(g, d->extra + i));
    }
    return number;
}

static const Scalar *load_outside(Graph *g, const Scalar *load, const Scalar *outside)
{
    return scalar_load(g, load->node, load->args, outside, load->span);
}

/* Only the first maximiser counts; none if nothing was greater than -inf. The test may be evaluated
 * outside of the node's axes, where it fails. */
static const Scalar *extremum_test(Diff *d, Stage *stage)
{
    Graph *g = d->g;
    const Node *node = stage->node;
    bool max = node->reduce == REDUCE_MAX;
    if (node->n_iters == node->rank && !node->guard) return NULL;
    stage->arg = graph_comp(g, max ? REDUCE_ARGMAX : REDUCE_ARGMIN, node->rank, node->n_iters,
                            node->iters, node->body, node->guard, node->span);
    const Scalar *arg = load_outside(g, load_result(d, stage->arg), scalar_int(g, -1));
    const Scalar *test = scalar_op2(g, OP_EQ, row_number(d, node), arg);
    if (node_presumed_finite(d, node)) return test;
    const Scalar *empty = scalar_real(g, max ? -INFINITY : INFINITY);
    const Scalar *out = load_outside(g, load_result(d, node), empty);
    const Scalar *some = scalar_op2(g, OP_LT, max ? empty : out, max ? out : empty);
    return scalar_op2(g, OP_AND, some, test);
}

/* How many points a reduction has; 0: as many as a size says that is known when running. */
static int64_t points_count(const Node *node)
{
    int64_t count = 1;
    for (int i = node->rank; i < node->n_iters; i++)
        count *= node->iters[i].size ? 0 : node->iters[i].max;
    return count;
}

/* [N, axes]: at each of the N factors, the last axis of `factors`, the product of those before it,
 * or of those behind it. */
static const Node *products_up_to(Diff *d, const Node *node, const Node *factors, bool behind)
{
    Graph *g = d->g;
    Name name = name_of(graph_context(g), "product");
    const Loop *loop = graph_loop(g, name, factors->shape[node->rank], behind, node->span);
    const Scalar *subs[MAX_RANK];
    for (int axis = 0; axis < node->rank; axis++)
        subs[axis] = scalar_iter(g, axis);
    subs[node->rank] = scalar_load_at(g, graph_time(g, loop), 0);
    const Node *product = graph_carry(g, loop, 0, name, TYPE_REAL, node->rank, node->shape);
    const Scalar *factor = scalar_load(g, factors, subs, NULL, node->span);
    const Scalar *next = scalar_op2(g, OP_MUL, scalar_load_at(g, product, 0), factor);
    const Node *one = graph_map(g, node->rank, node->shape, scalar_real(g, 1), node->span);
    const Carry carry = {product, one, graph_map(g, node->rank, node->shape, next, node->span)};
    const Node *scan = graph_scan(g, loop, 1, &carry, node->span);
    return graph_yield(g, graph_scan_within(g, scan, node->free), product, node->span);
}

/* The product over all other points, at each point: of those before it and of those behind it. */
static const Scalar *product_by_scans(Diff *d, const Node *node)
{
    Graph *g = d->g;
    int rank = node->rank;
    const Scalar *factor = node->body;
    if (node->guard) factor = scalar_select(g, node->guard, factor, scalar_real(g, 1));
    const Node *factors = graph_map(g, node->n_iters, node->iters, factor, node->span);
    Extent shape[MAX_RANK];
    for (int axis = 0; axis < rank; axis++)
        shape[axis] = node->shape[axis];
    shape[rank] = extent_fixed(points_count(node));
    factors = graph_reshape(g, factors, rank + 1, shape, node->span);
    const Scalar *subs[MAX_RANK] = {row_number(d, node)};
    for (int axis = 0; axis < rank; axis++)
        subs[1 + axis] = scalar_iter(g, d->extra + axis);
    const Node *before = products_up_to(d, node, factors, false);
    const Node *behind = products_up_to(d, node, factors, true);
    const Scalar *first = scalar_load(g, before, subs, NULL, node->span);
    return scalar_op2(g, OP_MUL, first, scalar_load(g, behind, subs, NULL, node->span));
}

/* The product over all other points, at each point. For few it is taken anew at each. */
static const Scalar *product_of_others(Diff *d, const Node *node)
{
    enum { FEW = 8 };
    Graph *g = d->g;
    int n = node->n_iters, n_reduce = n - node->rank;
    if (n_reduce == 0) return NULL;
    if (points_count(node) > FEW && n <= MAX_RANK) return product_by_scans(d, node);
    Domain domain = {.n = n + n_reduce};
    assert(domain.n <= MAX_ITERS && "too many iterators");
    const Scalar *map[MAX_ITERS] = {0}, *same = NULL;
    for (int i = 0; i < n; i++)
        domain.iters[i] = node->iters[i];
    for (int i = node->rank; i < n; i++) {
        map[i] = scalar_iter(g, n + i - node->rank);
        const Scalar *equal = scalar_op2(g, OP_EQ, scalar_iter(g, i), map[i]);
        same = same ? scalar_op2(g, OP_AND, same, equal) : equal;
    }
    for (int i = node->rank; i < n; i++) {
        Extent e = node->iters[i];
        if (e.size) e.size = scalar_substitute(g, e.size, map, n);
        domain.iters[n + i - node->rank] = e;
    }
    const Scalar *guard = scalar_op1(g, OP_NOT, same);
    if (node->guard)
        guard = scalar_op2(g, OP_AND, guard, scalar_substitute(g, node->guard, map, n));
    const Scalar *body = scalar_substitute(g, node->body, map, n);
    return behind_extra(d, reduce_load(g, REDUCE_PROD, &domain, n, body, guard, node->span), n);
}

static Points points_of(Diff *d, Stage *stage)
{
    Graph *g = d->g;
    const Domain *domain = &stage->domain;
    const Node *node = stage->node;
    Points points = {.test = behind_extra(d, node->guard, node->n_iters)};
    for (int k = 0; node->kind == NODE_SCATTER && k < node->rank; k++) {
        const Scalar *at = stage->subs[d->extra + k];
        Extent axis = {node->shape[k].max, behind_extra(d, node->shape[k].size, node->rank)};
        if (axis.size)
            axis.size = scalar_substitute(g, axis.size, stage->subs, d->extra + node->rank);
        points.test =
            test_and(g, domain, points.test, test_in_range(g, domain, &d->facts, at, axis));
    }
    if (node->kind != NODE_COMP) return points;
    if (node->reduce == REDUCE_PROD) points.factor = product_of_others(d, node);
    if (node->reduce == REDUCE_MAX || node->reduce == REDUCE_MIN)
        points.test = test_and(g, domain, points.test, extremum_test(d, stage));
    return points;
}

static Stage *stage_new(Diff *d, const Node *node)
{
    Stage *stage = NEW(d->scratch, Stage);
    stage->node = node;
    stage->domain.n = d->extra + node->n_iters;
    extents_behind_extra(d, node->iters, node->n_iters, stage->domain.iters);
    for (int i = 0; i < d->extra + node->rank; i++)
        stage->subs[i] = scalar_iter(d->g, i);
    for (int k = 0; node->kind == NODE_SCATTER && k < node->rank; k++)
        stage->subs[d->extra + k] = behind_extra(d, node->position[k], node->n_iters);
    Leaf leaf = {.kind = LEAF_INPUT, .name = name_of(graph_context(d->g), "arriving")};
    Extent shape[MAX_RANK];
    adjoint_shape(d, node, shape);
    stage->hole = graph_leaf(d->g, &leaf, TYPE_REAL, d->extra + node->rank, shape);
    node_presume_finite(d, stage->hole);
    return stage;
}

/* Whether the load reads each element once: its subscripts are all the iterators, in some order. */
static bool load_is_bijective(const Stage *stage, const Scalar *load, int extra)
{
    uint64_t seen = 0;
    if (load->n_args != stage->domain.n - extra) return false;
    for (int k = 0; k < load->n_args; k++) {
        const Scalar *a = load->args[k];
        if (a->kind != SCALAR_ITER || seen >> a->iter & 1) return false;
        if (a->iter < extra) return false;
        Extent axis = load->node->shape[k], loop = stage->domain.iters[a->iter];
        if (axis.max != loop.max || (axis.size != NULL) != (loop.size != NULL)) return false;
        if (axis.size && (axis.size->iters || axis.size != loop.size)) return false;
        seen |= (uint64_t)1 << a->iter;
    }
    return true;
}

static void scalar_count_visit(void *data, const Scalar *s)
{
    int *count = data;
    if (s->kind == SCALAR_OP || s->kind == SCALAR_DRAW) ++*count;
}

static int scalar_size(const Scalar *a)
{
    int count = 0;
    scalar_visit(a, scalar_count_visit, &count);
    return count;
}

/* The part of a test that compares ints: what sums can be solved by. */
static const Scalar *test_equalities(Diff *d, const Domain *domain, const Scalar *test)
{
    Scalars parts = test_parts(d->scratch, test);
    const Scalar *result = NULL;
    for (int i = 0; i < parts.len; i++)
        if (test_is_equality(parts.data[i])) result = test_and(d->g, domain, result, parts.data[i]);
    return result;
}

enum { INLINE_MAX = 48, INLINE_SHARED = 3 };

/* Decides how the arriving derivative is written into coefficients: in place, or as a node. Returns
 * whether it is zero by itself where its test fails. */
static bool stage_arrive(Diff *d, Stage *stage, Masked arriving, const Terms *terms)
{
    bool maps = stage->node->kind == NODE_COMP;
    for (int i = 0; i < terms->len; i++)
        maps = maps && load_is_bijective(stage, terms->data[i].load, d->extra);
    int size = scalar_size(arriving.value);
    const Scalar *test = arriving.test;
    bool constant = arriving.value->kind == SCALAR_CONST;
    bool load = arriving.value->kind == SCALAR_LOAD;
    bool small = maps ? size <= (terms->len > 1 ? INLINE_SHARED : INLINE_MAX) : load;
    if (!maps && load && test) {
        Domain domain = adjoint_domain(d, stage->node);
        small = test_equalities(d, &domain, test) == test;
    }
    stage->value = arriving.value;
    if (constant || small) {
        Extent shape[MAX_RANK];
        adjoint_shape(d, stage->node, shape);
        const Node *same =
            load ? adjoint_node(d, stage->node, (Masked){NULL, arriving.value}) : NULL;
        if (load && same == arriving.value->node && !test) stage->whole = same;
        return !test;
    }
    stage->whole = adjoint_node(d, stage->node, arriving);
    stage->value = scalar_load_at(d->g, stage->whole, 0);
    return true;
}

/* Hands what arrives at a comprehension or scatter to one load of it. */
static void stage_term(Diff *d, Stage *stage, Adjoint *a, const Points *points, bool zeroed,
                       const Term *term)
{
    Graph *g = d->g;
    const Domain *domain = &stage->domain;
    const Scalar *own = test_and(g, domain, points->test, term->coefficient.test);
    /* A finite coefficient keeps the zeros that arrive: only others need to know where they are. */
    bool harmless = scalar_presumed_finite(d, term->coefficient.value);
    bool finite = zeroed && harmless;
    const Scalar *test = at_point(d, stage, a->sum.test), *where = test;
    if (finite) where = test_equalities(d, domain, test);
    if (!a->complete && !harmless) {
        const Scalar *full = at_point(d, stage, adjoint_where(d, a));
        where = full ? full : test;
    }
    Masked m = {test_and(g, domain, where, own), term->coefficient.value};
    Gathered got = gather(d, stage, term->load, m, false);
    if (finite && where && !got.solved) {
        /* The equalities are of no use. */
        m.test = own;
        got = gather(d, stage, term->load, m, false);
        where = NULL;
    }
    bool known = where == test || !finite;
    Flow flow = {.value = got.flow, .from = a, .stage = stage, .load = term->load, .test = own};
    flow.kind = got.complete && known && (a->complete || !harmless) ? FLOW_PLAIN : FLOW_TERM;
    flow_add(d, term->load->node, flow);
}

static void adjoint_hand_on(Diff *d, Adjoint *a);

/* Through the parts of a node of a loop's step, where it is seen as a map of such. */
static bool through_parts(Diff *d, Adjoint *a)
{
    Nodes parts = {0};
    const Node *node = node_peel(d, a->node, &parts);
    if (!node) return false;
    Adjoint *whole = NEW(d->scratch, Adjoint);
    *whole = *a;
    whole->node = node;
    for (int i = 0; i < parts.len; i++)
        map_put(&d->depends, parts.data[i], (void *)(uintptr_t)node);
    adjoint_hand_on(d, whole);
    for (int i = 0; i < parts.len; i++) {
        Adjoint *part = map_get(&d->adjoints, parts.data[i]);
        if (!part || map_get(&d->members, parts.data[i])) continue; /* visited in its turn */
        Adjoint *here = NEW(d->scratch, Adjoint);
        *here = *part;
        *part = (Adjoint){.node = part->node}; /* it may be a part of another node, too */
        adjoint_sum(d, here);
        if (here->sum.value) adjoint_hand_on(d, here);
    }
    return true;
}

static void through_domain(Diff *d, Adjoint *a)
{
    Graph *g = d->g;
    const Node *node = a->node;
    if (through_parts(d, a)) return;
    if (node->kind == NODE_COMP && node->reduce >= REDUCE_ARGMAX) return;
    Stage *stage = stage_new(d, node);
    Masked arriving = a->sum;
    if (node->kind == NODE_COMP && node->reduce == REDUCE_MEAN)
        arriving.value = scalar_op2(g, OP_DIV, arriving.value, mean_count(d, node));
    const Scalar *hole = scalar_load(g, stage->hole, stage->subs, NULL, node->span);
    bool constant = arriving.value->kind == SCALAR_CONST;
    Points points = points_of(d, stage);
    const Scalar *seed = constant ? arriving.value : hole;
    if (points.factor) seed = scalar_op2(g, OP_MUL, seed, points.factor);
    const Scalar *out = node_is_map(node) ? load_result(d, node) : NULL;
    const Scalar *body = behind_extra(d, node->body, node->n_iters);
    Terms terms = body_terms(d, &stage->domain, body, out, seed);
    if (terms.len == 0) return;
    bool zeroed = stage_arrive(d, stage, arriving, &terms), lifted = false;
    bool lift = node_can_lift(node);
    for (int i = 0; i < terms.len; i++) {
        if (lift && is_outer(d, terms.data[i].load->node)) {
            lifted = true;
            continue;
        }
        Masked *coefficient = &terms.data[i].coefficient;
        coefficient->value = scalar_simplify(g, coefficient->value, NULL);
        stage_term(d, stage, a, &points, zeroed, &terms.data[i]);
    }
    Outer outer = {node, a->sum};
    if (lifted) vec_push(d->scratch, &d->lifted, outer);
}

/* --- through the other nodes ----------------------------------------------------------------- */

static void through_reshape(Diff *d, Adjoint *a)
{
    const Node *arg = a->node->arg;
    if (!node_depends(d, arg)) return;
    Flow flow = {.value = a->sum, .kind = FLOW_RESHAPED, .from = a};
    if (a->complete && !a->sum.test) flow.kind = FLOW_PLAIN;
    if (a->sum.value->kind != SCALAR_CONST || a->sum.test) {
        Extent shape[MAX_RANK];
        adjoint_shape(d, arg, shape);
        const Node *whole = adjoint_node(d, a->node, a->sum);
        whole = graph_reshape(d->g, whole, d->extra + arg->rank, shape, a->node->span);
        flow.value = (Masked){NULL, scalar_load_at(d->g, whole, 0)};
    }
    flow_add(d, arg, flow);
}

static void through_pieces(Diff *d, Adjoint *a)
{
    Graph *g = d->g;
    const Node *node = a->node;
    Masked arriving = a->sum;
    if (scalar_size(arriving.value) > INLINE_SHARED)
        arriving.value = scalar_load_at(g, adjoint_node(d, node, arriving), 0);
    for (int k = 0; k < node->n_pieces; k++) {
        const Piece *piece = &node->pieces[k];
        if (!node_depends(d, piece->part)) continue;
        const Scalar **map = NEW_ARRAY(d->scratch, const Scalar *, MAX_ITERS);
        int axis = d->extra + node->axis;
        Affine place = {.constant = piece->offset};
        place.coefficient[axis] = piece->stride;
        map[axis] = affine_scalar(g, &place);
        Flow flow = {.kind = a->complete ? FLOW_PLAIN : FLOW_MAPPED, .from = a, .map = map};
        flow.value.value = scalar_substitute(g, arriving.value, map, MAX_ITERS);
        if (arriving.test) flow.value.test = scalar_substitute(g, arriving.test, map, MAX_ITERS);
        flow_add(d, piece->part, flow);
    }
}

static void through_tag(Diff *d, Adjoint *a)
{
    static const Scalar *const none[MAX_ITERS];
    if (!node_depends(d, a->node->arg)) return;
    Flow flow = {
        .value = a->sum, .kind = a->complete ? FLOW_PLAIN : FLOW_MAPPED, .from = a, .map = none};
    flow_add(d, a->node->arg, flow);
}

static void adjoint_hand_on(Diff *d, Adjoint *a)
{
    switch (a->node->kind) {
    case NODE_LEAF:
    case NODE_ORDER:
    case NODE_SCAN:
    case NODE_FINAL: /* the scan takes it from here */
    case NODE_YIELD: break;
    case NODE_COMP:
    case NODE_SCATTER: through_domain(d, a); break;
    case NODE_RESHAPE: through_reshape(d, a); break;
    case NODE_PIECES: through_pieces(d, a); break;
    case NODE_TAG: through_tag(d, a); break;
    }
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool is_wrt(const Diff *d, const Node *node)
{
    return map_get(&d->wrt_number, node) != NULL;
}

/* Whether no derivative flows through the node to what it is computed from. */
static bool nothing_flows(void *data, const Node *node)
{
    if (node_is_map(node) && node->body->kind == SCALAR_OP && node->body->op == OP_STOP)
        return true;
    return is_wrt(data, node);
}

void adjoint_add(Diff *d, const Node *to, Masked value)
{
    flow_add(d, to, (Flow){.value = value});
}

Masked adjoint_value(const Diff *d, const Node *node)
{
    const Adjoint *a = is_wrt(d, node) ? NULL : map_get(&d->adjoints, node);
    return a ? a->sum : (Masked){NULL, NULL};
}

void adjoint_through(Diff *d, const Node *node, Masked value)
{
    Adjoint *a = NEW(d->scratch, Adjoint);
    Domain domain = adjoint_domain(d, node);
    *a = (Adjoint){.node = node};
    Flow flow = {.value = masked_split(d->g, &domain, value)};
    if (!flow.value.value) return;
    vec_push(d->scratch, &a->flows, flow);
    adjoint_sum(d, a);
    if (a->sum.value) adjoint_hand_on(d, a);
}

void adjoint_sweep(Diff *d, const Region *region)
{
    int inner = region->inner.len;
    for (int i = region->nodes.len - 1; i >= 0; i--) {
        const Node *node = region->nodes.data[i];
        if (node->kind == NODE_SCAN) through_scan(d, region->inner.data[--inner]);
        Adjoint *a = map_get(&d->adjoints, node);
        if (!a) continue;
        adjoint_sum(d, a);
        if (!a->sum.value) continue;
        intptr_t k = (intptr_t)map_get(&d->wrt_number, node);
        if (k)
            d->out[k - 1] = adjoint_node(d, node, a->sum);
        else
            adjoint_hand_on(d, a);
    }
}

/* Whether a derivative flows through the node to one of its operands. */
static bool depends_here(Diff *d, const Node *node)
{
    if (is_wrt(d, node)) return true;
    if (node->type != TYPE_REAL) return false;
    if (node->kind == NODE_FINAL) return node_depends(d, node->arg->carries[node->carry].leaf);
    Nodes operands = node->operands;
    for (int k = 0; k < operands.len; k++)
        if (node_depends(d, operands.data[k])) return true;
    return false;
}

/* A carried value depends on what its initial or its next value depends on; that is found out when
 * the body has been seen, and may say more about the body. */
static bool depends_carried(Diff *d, const Node *scan)
{
    bool found = false;
    for (int k = 0; k < scan->n_carries; k++) {
        const Carry *c = &scan->carries[k];
        if (c->leaf->type != TYPE_REAL || node_depends(d, c->leaf)) continue;
        if (!node_depends(d, c->init) && !node_depends(d, c->next)) continue;
        map_put(&d->depends, c->leaf, (void *)(uintptr_t)c->leaf);
        found = true;
    }
    return found;
}

static void depends_find(Diff *d, const Nodes *nodes)
{
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < nodes->len; i++) {
            const Node *node = nodes->data[i];
            if (node->kind == NODE_SCAN)
                again = depends_carried(d, node) || again;
            else if (!node_depends(d, node) && depends_here(d, node))
                map_put(&d->depends, node, (void *)(uintptr_t)node);
        }
    }
}

/* The seed, written out if it is no more than a number or a choice by index. */
static Masked seed_value(Diff *d, const Node *y, const Node *seed)
{
    const Scalar *load = scalar_load_at(d->g, seed, 0);
    Domain domain = adjoint_domain(d, y);
    if (node_is_map(seed) && scalar_size(seed->body) <= 2 * seed->rank + 2) {
        Scalars loads = scalar_loads(d->scratch, seed->body);
        if (loads.len == 0)
            return masked_split(d->g, &domain, (Masked){NULL, scalar_inline(d->g, load)});
    }
    return (Masked){NULL, load};
}

void autodiff(Graph *g, const Node *y, const Node *seed, int extra, const Node *const *wrt,
              int n_wrt, const Node **out)
{
    Arena *scratch = arena_new();
    Diff d = {.g = g,
              .scratch = scratch,
              .extra = extra,
              .extents = seed->shape,
              .wrt_number = map_new(scratch),
              .out = out,
              .depends = map_new(scratch),
              .adjoints = map_new(scratch),
              .presumed = map_new(scratch)};
    assert(seed->rank == extra + y->rank && "the seed must have the shape of y");
    for (int i = 0; i < n_wrt; i++) {
        out[i] = NULL;
        if (!is_wrt(&d, wrt[i])) map_put(&d.wrt_number, wrt[i], (void *)(intptr_t)(i + 1));
    }
    Nodes nodes = graph_reach_to(scratch, &y, 1, nothing_flows, &d);
    depends_find(&d, &nodes);
    if (node_depends(&d, y)) flow_add(&d, y, (Flow){.value = seed_value(&d, y, seed)});
    adjoint_sweep(&d, graph_regions_to(scratch, &y, 1, nothing_flows, &d));
    for (int i = 0; i < n_wrt; i++) /* a node may be named twice */
        out[i] = out[(intptr_t)map_get(&d.wrt_number, wrt[i]) - 1];
    arena_free(scratch);
}
