/* simplify_node.c -- simplification of whole graphs.
 *
 * Every node is rebuilt with simplified scalars (simplify.c). A sum whose points are chosen by an
 * equality is solved for an iterator (masked.c), or, where a tensor read stands on one side and a
 * parallel iterator on the other, becomes a scatter: sum[e where dst[e] == v] m[e] adds each m[e]
 * where dst[e] says. Reductions lose parallel axes on which they do not depend. */
#include "kernel.h"
#include "masked.h"
#include "simplify.h"

typedef struct Simplify {
    Graph *g;
    const Options *options;
} Simplify;

/* --- loads ----------------------------------------------------------------------------------- */

/* A constant instead of a load of one. */
static const Scalar *load_fold(void *data, const Scalar *load)
{
    Graph *g = data;
    const Node *node = load->node;
    bool inside = true;
    int64_t position = 0;
    for (int k = 0; k < load->n_args; k++) {
        const Scalar *a = load->args[k];
        Extent axis = node->shape[k];
        bool known =
            a->kind == SCALAR_CONST && !axis.size && a->value >= 0 && a->value < (double)axis.max;
        inside = inside && known;
        if (known) position = position * axis.max + (int64_t)a->value;
    }
    if (node->kind == NODE_LEAF && node->leaf->kind == LEAF_CONST && inside)
        return scalar_const(g, node->type, node->leaf->values[position]);
    if (node_is_map(node) && node->body->kind == SCALAR_CONST && (inside || !load->outside))
        return node->body;
    return NULL;
}

static const Scalar *scalar_rewrite(Simplify *s, const Node *node, const Scalar *a)
{
    if (!a) return NULL;
    a = scalar_replace_loads(s->g, a, load_fold, s->g);
    a = scalar_decide(s->g, a, node->iters, node->n_iters);
    return scalar_simplify(s->g, a, s->options);
}

/* --- sums that are scatters ------------------------------------------------------------------ */

/* How an equality may choose the place where a point of a sum counts. */
typedef enum Chosen {
    CHOSEN_BY_ANY,   /* any expression of the reducing iterators */
    CHOSEN_BY_WINDOW /* s*i + d*p + c with a stride: solved for neither i nor p */
} Chosen;

static bool place_fits(const Node *node, const Scalar *place, Chosen chosen)
{
    Affine a;
    bool stride = false;
    if (chosen == CHOSEN_BY_ANY) return place->iters >> node->rank;
    if (!affine_of(place, &a)) return false;
    int count = 0;
    for (int i = node->rank; i < node->n_iters; i++) {
        count += a.coefficient[i] != 0;
        stride = stride || a.coefficient[i] > 1 || a.coefficient[i] < -1;
    }
    return stride && count > 1;
}

/* An equality that gives a parallel iterator which occurs nowhere else the value `place`, at each
 * point of the sum: the number of the part, or -1. */
static int scatter_part(Simplify *s, const Node *node, const Scalars *parts, Chosen chosen,
                        int *axis, const Scalar **place)
{
    uint64_t sizes = node->body->iters;
    for (int i = 0; i < node->n_iters; i++)
        if (node->iters[i].size) sizes |= node->iters[i].size->iters;
    for (int i = 0; i < parts->len; i++) {
        if (!test_is_equality(parts->data[i])) continue;
        uint64_t others = sizes;
        for (int j = 0; j < parts->len; j++)
            if (j != i) others |= parts->data[j]->iters;
        for (int k = 0; k < node->rank; k++) {
            if (others >> k & 1 || !(parts->data[i]->iters >> k & 1)) continue;
            const Scalar *value = equality_solve(s->g, parts->data[i], k);
            if (!value || !place_fits(node, value, chosen)) continue;
            *axis = k;
            *place = value;
            return i;
        }
    }
    return -1;
}

/* Several axes may be chosen by data at once; at the end every equality found is a position. */
static const Node *sum_to_scatter(Simplify *s, const Node *node, Chosen chosen)
{
    Graph *g = s->g;
    if (!node->guard) return NULL;
    Arena *scratch = arena_new();
    Scalars parts = test_parts(scratch, node->guard);
    const Scalar *places[MAX_RANK] = {0}, *place;
    uint64_t gone = 0;
    int axis, part;
    while ((part = scatter_part(s, node, &parts, chosen, &axis, &place)) >= 0) {
        places[axis] = place;
        gone |= (uint64_t)1 << axis;
        for (int i = part; i + 1 < parts.len; i++)
            parts.data[i] = parts.data[i + 1];
        parts.len--;
    }
    const Scalar *map[MAX_ITERS] = {0}, *position[MAX_RANK], *guard = NULL;
    Domain domain = {0};
    for (int i = 0; i < node->n_iters; i++) {
        if (gone >> i & 1) continue;
        map[i] = scalar_iter(g, domain.n);
        domain.iters[domain.n++] = node->iters[i];
    }
    for (int i = 0; i < domain.n; i++)
        if (domain.iters[i].size)
            domain.iters[i].size = scalar_substitute(g, domain.iters[i].size, map, node->n_iters);
    for (int k = 0; k < node->rank; k++)
        position[k] = places[k] ? scalar_substitute(g, places[k], map, node->n_iters) : map[k];
    for (int i = 0; i < parts.len; i++)
        guard =
            test_and(g, &domain, guard, scalar_substitute(g, parts.data[i], map, node->n_iters));
    arena_free(scratch);
    if (!gone) return NULL;
    return graph_scatter(g, node->rank, node->shape, position, domain.n, domain.iters,
                         scalar_substitute(g, node->body, map, node->n_iters), guard, node->span);
}

/* mean[e where dst[e] == v]: the quotient of two scatters. */
static const Node *mean_to_scatter(Simplify *s, const Node *node)
{
    Graph *g = s->g;
    const Scalar *one = scalar_int(g, 1);
    const Node *sum = graph_comp(g, REDUCE_SUM, node->rank, node->n_iters, node->iters, node->body,
                                 node->guard, node->span);
    sum = sum_to_scatter(s, sum, CHOSEN_BY_ANY);
    if (!sum) return NULL;
    const Node *count = graph_comp(g, REDUCE_SUM, node->rank, node->n_iters, node->iters, one,
                                   node->guard, node->span);
    count = sum_to_scatter(s, count, CHOSEN_BY_ANY);
    if (!count) return NULL;
    const Scalar *n = scalar_load_at(g, count, 0), *points = scalar_convert(g, n, TYPE_REAL);
    const Scalar *mean = scalar_op2(g, OP_DIV, scalar_load_at(g, sum, 0), points);
    const Scalar *some = scalar_op2(g, OP_LT, scalar_int(g, 0), n);
    return graph_map(g, node->rank, node->shape, scalar_select(g, some, mean, scalar_real(g, 0)),
                     node->span);
}

/* --- comprehensions -------------------------------------------------------------------------- */

static const Node *map_of(Simplify *s, const Node *node, const Scalar *body)
{
    return graph_map(s->g, node->rank, node->shape, body, node->span);
}

/* Whether all parallel iterators matter to the reduction. */
static bool axes_used(const Node *node)
{
    uint64_t used = node->body->iters | (node->guard ? node->guard->iters : 0);
    for (int i = 0; i < node->n_iters; i++)
        if (node->iters[i].size) used |= node->iters[i].size->iters;
    for (int k = 0; k < node->rank; k++)
        if (!(used >> k & 1)) return false;
    return true;
}

/* Whether the reduction gives its body, which is the same at every point, and some there are. */
static bool is_its_body(const Node *node)
{
    bool alike = node->reduce == REDUCE_ANY || node->reduce == REDUCE_ALL ||
                 node->reduce == REDUCE_MAX || node->reduce == REDUCE_MIN;
    if (!alike || node->guard || node->body->iters >> node->rank) return false;
    for (int i = node->rank; i < node->n_iters; i++)
        if (node->iters[i].size || node->iters[i].max < 1) return false;
    return true;
}

/* A scatter, in gather form where that is possible. */
static const Node *scatter_best(Simplify *s, const Node *scatter)
{
    const Node *gathered = scatter ? scatter_in_gather_form(s->g, scatter) : NULL;
    return gathered ? gathered : scatter;
}

static const Node *widen_node(void *data, Rewrite *rewrite, const Node *node)
{
    Simplify *s = data;
    const Node *made = rewrite_operands(rewrite, node);
    bool sum = made->kind == NODE_COMP && made->reduce == REDUCE_SUM && made->guard;
    return sum ? sum_widen(s->g, made) : made;
}

/* The sums of which a window consists. */
static const Node *sums_widen(Simplify *s, const Node *node)
{
    graph_rewrite(s->g, &node, 1, widen_node, s);
    return node;
}

static const Node *simplify_sum(Simplify *s, const Node *node, const Domain *domain)
{
    Graph *g = s->g;
    bool guarded, solved;
    const Node *window = sum_to_scatter(s, node, CHOSEN_BY_WINDOW);
    if (window) window = scatter_best(s, window);
    if (window && window->kind != NODE_SCATTER) return sums_widen(s, window);
    Masked term = {node->guard, node->body};
    term = masked_sum(g, domain, node->rank, term, NULL, node->span, &guarded, &solved);
    if (!term.value) return map_of(s, node, scalar_const(g, node->type, 0));
    if (guarded && term.value->kind == SCALAR_LOAD) {
        const Scalar *load = term.value;
        const Node *wide = sum_widen(g, load->node);
        if (wide != load->node) term.value = scalar_load(g, wide, load->args, NULL, node->span);
        const Node *scatter = scatter_best(s, sum_to_scatter(s, load->node, CHOSEN_BY_ANY));
        if (scatter) term.value = scalar_load(g, scatter, load->args, NULL, node->span);
    }
    return map_of(s, node, scalar_simplify(g, masked_scalar(g, term), s->options));
}

static const Node *simplify_reduction(Simplify *s, const Node *node)
{
    Domain domain = {.n = node->n_iters};
    memcpy(domain.iters, node->iters, sizeof(Extent) * (size_t)node->n_iters);
    if (node->reduce == REDUCE_SUM) return simplify_sum(s, node, &domain);
    const Node *scatter = node->reduce == REDUCE_MEAN ? mean_to_scatter(s, node) : NULL;
    if (scatter) return scatter;
    if (is_its_body(node)) return map_of(s, node, node->body);
    if (axes_used(node)) return node;
    return map_of(
        s, node,
        reduce_load(s->g, node->reduce, &domain, node->rank, node->body, node->guard, node->span));
}

static const Node *simplify_comp(Simplify *s, const Node *node)
{
    Graph *g = s->g;
    const Scalar *body = scalar_rewrite(s, node, node->body),
                 *guard = scalar_rewrite(s, node, node->guard);
    const Node *made = graph_comp(g, node->reduce, node->rank, node->n_iters, node->iters, body,
                                  guard, node->span);
    if (made->kind != NODE_COMP || made->n_iters == made->rank) return made;
    return simplify_reduction(s, made);
}

static const Node *simplify_scatter(Simplify *s, const Node *node)
{
    Graph *g = s->g;
    Domain domain = {.n = node->n_iters};
    memcpy(domain.iters, node->iters, sizeof(Extent) * (size_t)node->n_iters);
    const Scalar *position[MAX_RANK];
    for (int k = 0; k < node->rank; k++)
        position[k] = scalar_rewrite(s, node, node->position[k]);
    Masked term = {scalar_rewrite(s, node, node->guard), scalar_rewrite(s, node, node->body)};
    term = masked_split(g, &domain, term);
    if (!term.value) return map_of(s, node, scalar_const(g, node->type, 0));
    masked_solve(g, &domain, 0, &term, position, node->rank, NULL);
    return scatter_best(s, graph_scatter(g, node->rank, node->shape, position, domain.n,
                                         domain.iters, term.value, term.test, node->span));
}

static const Node *simplify_node(void *data, Rewrite *rewrite, const Node *node)
{
    Simplify *s = data;
    const Node *made = rewrite_operands(rewrite, node);
    const Name name = made->name;
    if (made->kind == NODE_COMP)
        made = simplify_comp(s, made);
    else if (made->kind == NODE_SCATTER)
        made = simplify_scatter(s, made);
    if (name) graph_name(made, name);
    return made;
}

static bool roots_rewrite(Graph *g, const Node **roots, int n_roots, RewriteFn build, void *data)
{
    bool changed = false;
    Arena *scratch = arena_new();
    const Node **before = arena_copy(scratch, roots, sizeof *roots * (size_t)n_roots);
    graph_rewrite(g, roots, n_roots, build, data);
    for (int i = 0; i < n_roots; i++)
        changed = changed || roots[i] != before[i];
    arena_free(scratch);
    return changed;
}

bool graph_simplify(Graph *g, const Node **roots, int n_roots, const Options *options)
{
    Simplify s = {g, options};
    return roots_rewrite(g, roots, n_roots, simplify_node, &s);
}

/* --- what only differentiation needs --------------------------------------------------------- */

static const Scalar *stop_remove(Graph *g, const Scalar *a, Map *done)
{
    if (!a || a->n_args == 0) return a;
    const Scalar *known = map_get(done, a);
    if (known) return known;
    const Scalar *args[MAX_RANK], *outside = stop_remove(g, a->outside, done), *result = a;
    bool same = outside == a->outside;
    for (int i = 0; i < a->n_args; i++) {
        args[i] = stop_remove(g, a->args[i], done);
        same = same && args[i] == a->args[i];
    }
    if (a->kind == SCALAR_OP && a->op == OP_STOP)
        result = args[0];
    else if (same)
        result = a;
    else if (a->kind == SCALAR_OP)
        result = scalar_op(g, a->op, args, a->span);
    else if (a->kind == SCALAR_LOAD)
        result = scalar_load(g, a->node, args, outside, a->span);
    else if (a->kind == SCALAR_DRAW)
        result = scalar_draw(g, a->site, a->normal, args[0], args[1], a->span);
    map_put(done, a, (void *)(uintptr_t)result);
    return result;
}

static const Node *untag_node(void *data, Rewrite *rewrite, const Node *node)
{
    Graph *g = data;
    if (node->kind == NODE_TAG) return rewrite_get(rewrite, node->arg);
    const Node *made = rewrite_operands(rewrite, node);
    if (made->kind != NODE_COMP && made->kind != NODE_SCATTER) return made;
    Arena *scratch = arena_new();
    Map done = map_new(scratch);
    const Scalar *body = stop_remove(g, made->body, &done);
    const Scalar *guard = stop_remove(g, made->guard, &done), *position[MAX_RANK];
    const Node *result;
    if (made->kind == NODE_COMP) {
        result = graph_comp(g, made->reduce, made->rank, made->n_iters, made->iters, body, guard,
                            made->span);
    } else {
        for (int k = 0; k < made->rank; k++)
            position[k] = stop_remove(g, made->position[k], &done);
        result = graph_scatter(g, made->rank, made->shape, position, made->n_iters, made->iters,
                               body, guard, made->span);
    }
    arena_free(scratch);
    if (made->name) graph_name(result, made->name);
    return result;
}

bool graph_untag(Graph *g, const Node **roots, int n_roots)
{
    return roots_rewrite(g, roots, n_roots, untag_node, g);
}

/* --- passes ---------------------------------------------------------------------------------- */

void pass_untag(Lowered *l)
{
    graph_untag(l->g, l->roots, l->n_roots);
}

void pass_simplify(Lowered *l)
{
    graph_simplify(l->g, l->roots, l->n_roots, l->options);
}
