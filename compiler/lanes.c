/* lanes.c -- which nodes are computed block of examples by block, with the examples as lanes.
 *
 * Where layers are narrow, matrix products are too small for tiles along the features, and most of
 * the time goes into carrying intermediate values to memory and back. There the forward pass, the
 * loss, the backward pass and the sums of the parameters' gradients of a block of examples become
 * one kernel: a value is a small array [features, examples of the block] in the cache, and vectors
 * run along the examples, however narrow the layer. Where features fill vectors themselves, kernels
 * of their own are faster (docs/benchmarks.md).
 *
 * Members of a group are maps and reductions over [examples, ...] that read other members at their
 * own example only; sinks are sums over the examples of what members hold. What depends on a sink
 * comes in a later stage. Nothing here knows what the nodes mean. */
#include "lanes.h"

#include <assert.h>

enum {
    MIN_EXAMPLES = 32,
    MAX_FEATURES = 128,   /* elements of a member per example */
    MAX_POINTS = 16384,   /* of a member's body per example */
    MAX_OUTSIDE = 32,     /* elements per example of what a reduction reads from elsewhere */
    MAX_SUMS = 128 * 128, /* elements of a sink */
    MAX_LANES = 128,      /* examples of a block */
    VECTOR = 16,            /* reals */
    MAX_BYTES = 768 * 1024, /* of all arrays of a block */
    MAX_ITERATORS = 20
};

typedef struct Planner {
    Lowered *l;
    LanePlan *plan;
    LaneGroups others; /* whose axes turned out not to be of examples */
} Planner;

/* --- stages ----------------------------------------------------------------------------------- */

int lanes_stage(const LanePlan *plan, const Node *node)
{
    return (int)(intptr_t)map_get(&plan->stage_of, node) - 1;
}

static int stage_get(const Planner *p, const Node *node)
{
    return lanes_stage(p->plan, node);
}

/* The first stage in which the node's whole value is there. */
static int available(const Planner *p, const Node *node)
{
    int stage = stage_get(p, node);
    bool grouped = map_get(&p->plan->member_of, node) || map_get(&p->plan->sink_of, node);
    return stage < 0 ? 0 : stage + grouped;
}

static void stage_set(Planner *p, const Node *node, int stage)
{
    map_put(&p->plan->stage_of, node, (void *)(intptr_t)(stage + 1));
    if (stage >= p->plan->stages) p->plan->stages = stage + 1;
}

static LaneGroup *group_at(Planner *p, Extent examples, const When *when, int level)
{
    LaneGroups *groups = &p->plan->groups;
    for (int i = 0; i < groups->len; i++)
        if (groups->data[i]->level == level && groups->data[i]->when == when &&
            extent_equal(groups->data[i]->examples, examples))
            return groups->data[i];
    LaneGroup *group = NEW(p->l->arena, LaneGroup);
    group->examples = examples;
    group->when = when;
    group->level = level;
    group->escapes = map_new(p->l->arena);
    vec_push(p->l->arena, groups, group);
    return group;
}

/* --- candidates ------------------------------------------------------------------------------- */

static int64_t elements_of(const Node *node, int from)
{
    int64_t n = 1;
    for (int k = from; k < node->rank; k++)
        n *= node->shape[k].max;
    return n;
}

/* Whether nothing has to be computed first to know the extent. */
static bool extent_known(Extent e)
{
    return !e.size ||
           (e.size->kind == SCALAR_LOAD && e.size->node->kind == NODE_LEAF && !e.size->iters);
}

static bool is_examples(const Planner *p, Extent e)
{
    for (int i = 0; i < p->others.len; i++)
        if (extent_equal(p->others.data[i]->examples, e)) return false;
    return e.max >= MIN_EXAMPLES && extent_known(e);
}

typedef struct Look {
    Planner *p;
    const Node *node;
    int iter; /* over the examples */
    Extent examples;
    const When *when;
    int stage;  /* the earliest */
    bool reads; /* a member of that stage or earlier */
    bool fits;
} Look;

static bool load_aligned(const Look *k, const Scalar *s)
{
    const LaneGroup *g = map_get(&k->p->plan->member_of, s->node);
    return g && g->when == k->when && extent_equal(g->examples, k->examples) &&
           lanes_aligned(s, k->iter);
}

static void look_load(void *data, const Scalar *s)
{
    Look *k = data;
    if (s->kind != SCALAR_LOAD) return;
    for (int a = 0; a < s->n_args; a++)
        if (!extent_known(s->node->shape[a])) k->fits = false;
    if (load_aligned(k, s)) {
        int stage = stage_get(k->p, s->node);
        if (stage > k->stage) k->stage = stage;
        k->reads = true;
        return;
    }
    int stage = available(k->p, s->node);
    if (stage > k->stage) k->stage = stage;
    bool wide = false, along = false;
    for (int a = 0; a < s->n_args; a++)
        along = along || (s->args[a]->iters >> k->iter & 1);
    if (along && s->n_args > 0)
        wide = elements_of(s->node, 1) > MAX_OUTSIDE && k->node->reduce != REDUCE_NONE;
    if (wide) k->fits = false;
}

/* The first stage in which it is known whether the node is needed. */
static int conditions_stage(const Planner *p, const Node *node)
{
    const When *when = demand_when(p->l->demand, node);
    int stage = 0;
    for (int i = 0; i < when->nodes.len; i++)
        if (available(p, when->nodes.data[i]) > stage) stage = available(p, when->nodes.data[i]);
    return stage;
}

static Look look_at(Planner *p, const Node *node, int iter, Extent examples)
{
    Look k = {.p = p, .node = node, .iter = iter, .examples = examples, .fits = true};
    k.when = demand_when(p->l->demand, node);
    k.stage = conditions_stage(p, node);
    scalar_visit(node->body, look_load, &k);
    if (node->guard) scalar_visit(node->guard, look_load, &k);
    return k;
}

static bool extents_fixed(const Extent *extents, int n, int except)
{
    for (int i = 0; i < n; i++)
        if (i != except && extents[i].size) return false;
    return true;
}

static bool points_fit(const Node *node, int examples)
{
    int64_t points = 1;
    for (int i = 0; i < node->n_iters; i++)
        if (i != examples) points *= node->iters[i].max;
    return points <= MAX_POINTS;
}

static bool member_try(Planner *p, const Node *node)
{
    if (node->rank < 1 || !is_examples(p, node->shape[0]) || elements_of(node, 1) > MAX_FEATURES)
        return false;
    if (node->n_iters > MAX_ITERATORS || !extents_fixed(node->iters, node->n_iters, 0))
        return false;
    if (!points_fit(node, 0) || elements_of(node, 1) < 1) return false;
    Look k = look_at(p, node, 0, node->shape[0]);
    if (!k.fits) return false;
    LaneGroup *group = group_at(p, node->shape[0], k.when, k.stage);
    vec_push(p->l->arena, &group->members, node);
    map_put(&p->plan->member_of, node, group);
    stage_set(p, node, k.stage);
    return true;
}

/* A sum over examples of what members hold, at every place the same iterator. */
static bool sink_try(Planner *p, const Node *node)
{
    if (node->reduce != REDUCE_SUM && node->reduce != REDUCE_MEAN) return false;
    if (node->type != TYPE_REAL || node_max_elements(node) > MAX_SUMS) return false;
    if (node->reduce == REDUCE_MEAN && node->guard) return false;
    if (node->n_iters > MAX_ITERATORS || node_max_elements(node) < 1) return false;
    for (int q = node->rank; q < node->n_iters; q++) {
        if (q > node->rank && extent_equal(node->iters[q], node->iters[q - 1])) continue;
        if (!is_examples(p, node->iters[q]) || !extents_fixed(node->iters, node->n_iters, q))
            continue;
        if (!points_fit(node, q)) continue;
        Look k = look_at(p, node, q, node->iters[q]);
        if (!k.fits || !k.reads) continue;
        LaneGroup *group = group_at(p, node->iters[q], k.when, k.stage);
        if (group->members.len == 0) continue;
        vec_push(p->l->arena, &group->sinks, node);
        map_put(&p->plan->sink_of, node, group);
        stage_set(p, node, k.stage);
        return true;
    }
    return false;
}

/* The same elements of each example in another shape. */
static bool view_try(Planner *p, const Node *node)
{
    LaneGroup *group = map_get(&p->plan->member_of, node->arg);
    if (!group || node->rank < 1 || !extent_equal(node->shape[0], group->examples)) return false;
    if (!extents_fixed(node->shape, node->rank, 0)) return false;
    vec_push(p->l->arena, &group->members, node);
    map_put(&p->plan->member_of, node, group);
    stage_set(p, node, group->level);
    return true;
}

static bool pieces_try(Planner *p, const Node *node)
{
    if (node->axis == 0 || !is_examples(p, node->shape[0]) || elements_of(node, 1) > MAX_FEATURES)
        return false;
    if (!extents_fixed(node->shape, node->rank, 0)) return false;
    const When *when = demand_when(p->l->demand, node);
    int stage = conditions_stage(p, node);
    for (int i = 0; i < node->n_pieces; i++) {
        const Node *part = node->pieces[i].part;
        const LaneGroup *g = map_get(&p->plan->member_of, part);
        bool same = g && g->when == when && extent_equal(g->examples, node->shape[0]);
        int at = same ? stage_get(p, part) : available(p, part);
        if (at > stage) stage = at;
        if (!extents_fixed(part->shape, part->rank, 0)) return false;
    }
    LaneGroup *group = group_at(p, node->shape[0], when, stage);
    vec_push(p->l->arena, &group->members, node);
    map_put(&p->plan->member_of, node, group);
    stage_set(p, node, stage);
    return true;
}

static void node_place(Planner *p, const Node *node)
{
    bool place = map_get(&p->l->places, node) != NULL; /* is written at the end */
    if (node->kind == NODE_COMP && !place && (sink_try(p, node) || member_try(p, node))) return;
    if (node->kind == NODE_RESHAPE && view_try(p, node)) return;
    if (node->kind == NODE_PIECES && pieces_try(p, node)) return;
    int stage = conditions_stage(p, node);
    Nodes operands = node->operands;
    for (int i = 0; i < operands.len; i++)
        if (available(p, operands.data[i]) > stage) stage = available(p, operands.data[i]);
    stage_set(p, node, stage);
}

/* --- what is read elsewhere ------------------------------------------------------------------- */

typedef struct Escape {
    Planner *p;
    const LaneGroup *reader; /* or NULL */
    Look look;
} Escape;

static void escape(Planner *p, const Node *node)
{
    LaneGroup *g = map_get(&p->plan->member_of, node);
    while (g && node->kind == NODE_RESHAPE && map_get(&p->plan->member_of, node->arg))
        node = node->arg;
    if (g) map_put(&g->escapes, node, g);
}

static void escape_load(void *data, const Scalar *s)
{
    Escape *e = data;
    if (s->kind != SCALAR_LOAD) return;
    const LaneGroup *g = map_get(&e->p->plan->member_of, s->node);
    if (g && (g != e->reader || !load_aligned(&e->look, s))) escape(e->p, s->node);
}

static void escapes_find(Planner *p, const Node *node)
{
    const LaneGroup *member = map_get(&p->plan->member_of, node),
                    *sink = map_get(&p->plan->sink_of, node);
    if (node->kind == NODE_COMP && (member || sink)) {
        Escape e = {.p = p, .reader = member ? member : sink};
        e.look = (Look){.p = p, .node = node};
        e.look.examples = e.reader->examples;
        e.look.when = e.reader->when;
        if (sink) e.look.iter = lanes_sink_iter(sink, node);
        scalar_visit(node->body, escape_load, &e);
        if (node->guard) scalar_visit(node->guard, escape_load, &e);
        return;
    }
    Nodes operands = node->operands;
    for (int i = 0; i < operands.len; i++)
        if (!member || map_get(&p->plan->member_of, operands.data[i]) != member)
            escape(p, operands.data[i]);
}

int lanes_sink_iter(const LaneGroup *group, const Node *sink)
{
    for (int q = sink->rank; q < sink->n_iters; q++)
        if (extent_equal(sink->iters[q], group->examples)) return q;
    assert(!"a sink sums over the examples");
    return -1;
}

bool lanes_grouped(const LanePlan *plan, const Node *node)
{
    const LaneGroup *g = map_get(&plan->member_of, node);
    if (!g) g = map_get(&plan->sink_of, node);
    return g && g->kept;
}

bool lanes_aligned(const Scalar *load, int iter)
{
    for (int a = 1; a < load->n_args; a++)
        if (load->args[a]->iters >> iter & 1) return false;
    return load->args[0]->kind == SCALAR_ITER && load->args[0]->iter == iter;
}

/* --- what is worth it ------------------------------------------------------------------------- */

/* Whole vectors in blocks of about the same size, few of whose lanes are idle. */
static int64_t lanes_choose(int64_t examples, int64_t bytes)
{
    int64_t most = MAX_LANES;
    while (most > LANES_STEP && bytes * most > MAX_BYTES)
        most /= 2;
    int64_t blocks = (examples + most - 1) / most, lanes = (examples + blocks - 1) / blocks;
    return (lanes + LANES_STEP - 1) / LANES_STEP * LANES_STEP;
}

/* Sums over features. */
static bool is_product(const Node *node)
{
    return node->kind == NODE_COMP && node->reduce == REDUCE_SUM && node->n_iters > node->rank &&
           node->rank > 1;
}

static int group_products(const LaneGroup *group)
{
    int products = 0;
    for (int i = 0; i < group->members.len; i++)
        products += is_product(group->members.data[i]);
    return products;
}

/* Where many features fill vectors, kernels of their own have whole vectors along them and need not
 * turn the sums over the examples around. */
static bool fills_vectors(int64_t features)
{
    return features % VECTOR == 0 && features >= 4 * VECTOR;
}

/* Whether most of the work of the products is along axes that do not fill vectors. */
static bool group_narrow(const LaneGroup *group)
{
    double narrow = 0, wide = 0;
    for (int i = 0; i < group->members.len; i++) {
        const Node *node = group->members.data[i];
        if (!is_product(node)) continue;
        double points = 1;
        int64_t longest = 1;
        for (int k = 1; k < node->n_iters; k++) {
            points *= (double)node->iters[k].max;
            if (node->iters[k].max > longest) longest = node->iters[k].max;
        }
        if (fills_vectors(longest))
            wide += points;
        else
            narrow += points;
    }
    return narrow > wide;
}

/* A group pays if sums over features pass between its members: a chain of narrow layers. */
static void group_judge(LaneGroup *group)
{
    int64_t bytes = 0;
    for (int i = 0; i < group->members.len; i++)
        if (group->members.data[i]->kind != NODE_RESHAPE)
            bytes += 4 * elements_of(group->members.data[i], 1);
    group->lanes = lanes_choose(group->examples.max, bytes);
    group->kept = group_products(group) >= 2 && group->sinks.len > 0 && group_narrow(group) &&
                  bytes * group->lanes <= MAX_BYTES;
}

static void plan_make(Planner *p, const Nodes *nodes)
{
    LanePlan *plan = p->plan = NEW(p->l->arena, LanePlan);
    plan->member_of = map_new(p->l->arena);
    plan->sink_of = map_new(p->l->arena);
    plan->stage_of = map_new(p->l->arena);
    for (int i = 0; i < nodes->len; i++)
        node_place(p, nodes->data[i]);
}

/* Whether any groups over these examples could be worth it. */
static bool examples_pay(const LanePlan *plan, Extent examples)
{
    int products = 0, sinks = 0;
    for (int i = 0; i < plan->groups.len; i++) {
        const LaneGroup *group = plan->groups.data[i];
        if (!extent_equal(group->examples, examples)) continue;
        products += group_products(group);
        sinks += group->sinks.len;
    }
    return products >= 2 && sinks > 0;
}

/* Groups over axes that only look like examples, as rows of weights do, would divide the others:
 * what reads their values has to wait for all of them. */
static bool others_find(Planner *p)
{
    int before = p->others.len;
    for (int i = 0; i < p->plan->groups.len; i++)
        if (!examples_pay(p->plan, p->plan->groups.data[i]->examples))
            vec_push(p->l->arena, &p->others, p->plan->groups.data[i]);
    return p->others.len > before;
}

LanePlan *lanes_plan(Lowered *l, const Nodes *nodes)
{
    Planner p = {.l = l};
    do
        plan_make(&p, nodes);
    while (others_find(&p));
    for (int i = 0; i < nodes->len; i++)
        escapes_find(&p, nodes->data[i]);
    for (int i = 0; i < l->n_roots; i++)
        escape(&p, l->roots[i]);
    for (int i = 0; i < p.plan->groups.len; i++)
        group_judge(p.plan->groups.data[i]);
    return p.plan;
}
