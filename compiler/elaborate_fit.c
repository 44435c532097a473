/* elaborate_fit.c -- fitted values: `fit m[i] = mean[each] x[i]`, computed over the training split before the
 * first step.
 *
 * All calls of a fit's path share it, and `each` in it runs over the instances of all of them: each reduction over
 * `each` that a call meets adds a part to the fit's pool, and stands in the fit's formula as a leaf. In the end the
 * leaves become their parts put together. What is not below such a reduction must be the same in every call. */
#include "elaborate_train.h"

/* A reduction over `each` of a fit, the same in all calls. */
typedef struct PoolLeaf {
    Reduce reduce;
    const Node *leaf;
    Span span;
} PoolLeaf;

/* What one call adds to a reduction. */
typedef struct PoolPart {
    const Node *value;
    const Node *sum, *count; /* of a mean */
} PoolPart;

struct FitCall {
    VEC(PoolPart) parts; /* in the order in which the formula reduces */
    Pool *pool;
};

/* The calls of one fit. */
struct Pool {
    Name path;
    Persistent *target;
    const Node *value;          /* of the leaves */
    VEC(PoolLeaf) leaves;
    VEC(const FitCall *) calls; /* on different data */
    bool here;                  /* computed in this train block, by no earlier one */
};

/* --- parts ----------------------------------------------------------------------------------------------- */

static bool is_fixed(const Node *node)
{
    for (int k = 0; k < node->rank; k++)
        if (node->shape[k].size) return false;
    return !node->free;
}

/* Over the context axes in `hidden`. */
static const Node *summed(Elab *e, uint64_t over, const Value *body, const Scalar *guard, uint64_t hidden, Span span)
{
    Value v = value_reduce(e, REDUCE_SUM, over, body, guard, 0, span);
    return v.kind == VALUE_TENSOR ? value_node_over(e, &v, hidden, span) : NULL;
}

static bool leaf_fits(const PoolLeaf *known, Reduce reduce, const Node *node)
{
    bool same = known->reduce == reduce && known->leaf->type == node->type && known->leaf->rank == node->rank;
    for (int k = 0; same && k < node->rank; k++)
        same = extent_equal(known->leaf->shape[k], node->shape[k]);
    return same;
}

/* 1, of the body's instances: it mentions the body, so that the examples which it counts are those of the same
 * data set. */
static Value instance_count(Elab *e, const Value *body, Span span)
{
    Value zero = value_scalar(scalar_real(e->g, 0)), one = value_scalar(scalar_real(e->g, 1));
    Value less = value_op(e, OP_LT, (Value[]){*body, *body}, 2, span); /* never */
    return value_op(e, OP_SELECT, (Value[]){less, zero, one}, 3, span);
}

Value fit_reduce(Elab *e, Reduce reduce, uint64_t over, const Value *body, const Scalar *guard, Span span)
{
    Value v = value_reduce(e, reduce, over, body, guard, 0, span);
    FitCall *call = e->scan ? NULL : e->fit;
    if (!call || v.kind != VALUE_TENSOR || v.scalar->kind != SCALAR_LOAD || !is_fixed(v.scalar->node)) return v;
    uint64_t hidden = v.scalar->iters;
    PoolPart part = {.value = v.scalar->node};
    if (reduce == REDUCE_MEAN) {
        Value one = instance_count(e, body, span);
        part.sum = summed(e, over, body, guard, hidden, span);
        part.count = summed(e, over, &one, guard, hidden, span);
        if (!part.sum || !part.count) return value_error();
    }
    Pool *pool = call->pool;
    int number = call->parts.len;
    vec_push(e->arena, &call->parts, part);
    if (number == pool->leaves.len) {
        Leaf leaf = {.kind = LEAF_INPUT, .name = name_printf(e->context, "%s.each%d", pool->path, number + 1)};
        PoolLeaf made = {reduce, graph_leaf(e->g, &leaf, part.value->type, part.value->rank, part.value->shape), span};
        vec_push(e->arena, &pool->leaves, made);
    }
    const PoolLeaf *known = &pool->leaves.data[number];
    return leaf_fits(known, reduce, part.value) ? value_of_hidden(e, known->leaf, hidden) : v;
}

/* --- calls ----------------------------------------------------------------------------------------------- */

static Pool *pool_of(Elab *e, Name path)
{
    for (int i = 0; i < e->session->fits.len; i++)
        if (e->session->fits.data[i]->path == path) return e->session->fits.data[i];
    Pool *pool = NEW(e->arena, Pool);
    pool->path = path;
    return pool;
}

static bool call_same(const FitCall *a, const FitCall *b)
{
    bool same = a->parts.len == b->parts.len;
    for (int i = 0; same && i < a->parts.len; i++)
        same = a->parts.data[i].value == b->parts.data[i].value;
    return same;
}

/* Adds a call whose formula has become `value`; calls on the same data count once. */
static void pool_add(Elab *e, Pool *pool, const FitCall *call, const Node *value, Span span)
{
    if (!pool->value) {
        pool->value = value;
        vec_push(e->arena, &e->session->fits, pool);
    } else if (pool->value != value || call->parts.len != pool->calls.data[0]->parts.len) {
        diag_error(e->context, span, "calls of %s on different data share `%s`, and it differs between them outside "
                   "of reductions over `each`", pool->target->model ? pool->target->model : "this layer", pool->path);
        diag_hint(e->context, "what is fitted may depend on instances only below a reduction in this statement: "
                  "mean[each] ..");
        return;
    }
    for (int i = 0; i < pool->calls.len; i++)
        if (call_same(pool->calls.data[i], call)) return;
    vec_push(e->arena, &pool->calls, call);
}

/* The value of a fit's formula, in which `each` runs over the instances of all calls of `call`'s pool. */
static Value fit_value(Elab *e, Frame *f, const AstStmt *s, FitCall *call)
{
    bool in_fit = f->in_fit;
    FitCall *outer = e->fit;
    const Scalar *taken = e->taken; /* it is there in any case */
    f->in_fit = true;
    e->taken = NULL;
    e->fit = call;
    Value v = s->indices.len ? eval_index_def(e, f, &s->indices, s->values.data[0])
                             : eval_expr(e, f, s->values.data[0]);
    f->in_fit = in_fit;
    e->taken = taken;
    e->fit = outer;
    return v.kind == VALUE_ERROR || !value_convert(e, &v, TYPE_REAL, s->span) ? value_error() : v;
}

/* The fitted value as a node; NULL after an error. */
static const Node *fit_node(Elab *e, const Value *v, Span span)
{
    uint64_t hidden;
    const Node *node = value_node(e, v, &hidden, span);
    if (node->free) {
        diag_error(e->context, span, "a fitted value must not differ between the steps of a scan");
        return NULL;
    }
    if (!hidden && is_fixed(node)) return node;
    diag_error(e->context, span, "a fitted value must not differ between instances");
    diag_hint(e->context, "reduce over them: mean[each] ..");
    return NULL;
}

/* The place in the user's text that led to one in the library. */
static Span user_span(const Frame *f, Span span)
{
    for (; f && f->scope && f->scope->library; f = f->caller)
        span = f->call_span;
    return span;
}

static bool declared_here(const Frame *f, Name name, const Persistent *p)
{
    const Local *local = local_find(f, name);
    return local && local->declared == p;
}

/* Whether this call's instances are among those that the fit is about: those of the step, and of the reports if
 * no step knows it. */
static bool fit_is_met(Elab *e, const Persistent *p)
{
    const Session *session = e->session;
    return session && (session->step || (session->report && !(p && map_get(&e->fitted, p))));
}

void exec_fit(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    if (!persist_may(e, f, s, "`fit`")) {
        bind_failed(e, f, name);
        return;
    }
    Name path = persist_path(e, f, name.name);
    Persistent *p = map_get(&e->persistents, path);
    FitCall *call = fit_is_met(e, p) ? NEW(e->arena, FitCall) : NULL;
    if (call) call->pool = pool_of(e, path);
    Value v = fit_value(e, f, s, call);
    const Node *node = v.kind == VALUE_TENSOR ? fit_node(e, &v, s->span) : NULL;
    if (!node) {
        bind_failed(e, f, name);
        return;
    }
    if (p && (p->kind != PERSIST_FIT || declared_here(f, name.name, p))) {
        diag_error(e->context, s->span, "`%s` is declared twice", name.name);
        diag_note(e->context, p->span, "the first declaration");
        bind_failed(e, f, name);
        return;
    }
    if (!p) {
        const Node *zero = graph_map(e->g, node->rank, node->shape, scalar_real(e->g, 0), s->span);
        p = persistent_new(e, PERSIST_FIT, path, f->model ? f->model->model->name : NULL, zero,
                           TYPE_REAL, node->rank, node->shape, user_span(f, s->span));
    }
    if (call) {
        call->pool->target = p;
        pool_add(e, call->pool, call, node, s->span);
    }
    Value fitted = value_of_node(e, p->leaf);
    local_bind(e, f, name, &fitted)->declared = p;
}

/* --- putting together -------------------------------------------------------------------------------------- */

static const Node *together(Elab *e, Op op, const Node *a, const Node *b, Span span)
{
    Value both[] = {value_of_node(e, a), value_of_node(e, b)};
    Value v = value_op(e, op, both, 2, span);
    value_convert(e, &v, a->type, span);
    return value_node(e, &v, NULL, span);
}

/* A reduction over the instances of all calls. */
static const Node *pool_reduce(Elab *e, const Pool *pool, int number)
{
    static const Op op_of[REDUCE_COUNT] = {[REDUCE_SUM] = OP_ADD, [REDUCE_MEAN] = OP_ADD, [REDUCE_PROD] = OP_MUL,
                                           [REDUCE_MAX] = OP_MAX, [REDUCE_MIN] = OP_MIN, [REDUCE_ANY] = OP_OR,
                                           [REDUCE_ALL] = OP_AND};
    const PoolLeaf *leaf = &pool->leaves.data[number];
    const PoolPart *first = &pool->calls.data[0]->parts.data[number];
    if (pool->calls.len == 1) return first->value;
    if (leaf->reduce == REDUCE_ARGMAX || leaf->reduce == REDUCE_ARGMIN) {
        diag_error(e->context, leaf->span, "the instances of several calls share `%s`, and have no numbers in common: "
                   "there is no position of one of them", pool->path);
        return first->value;
    }
    bool mean = leaf->reduce == REDUCE_MEAN;
    const Node *value = mean ? first->sum : first->value, *count = first->count;
    for (int i = 1; i < pool->calls.len; i++) {
        const PoolPart *part = &pool->calls.data[i]->parts.data[number];
        value = together(e, op_of[leaf->reduce], value, mean ? part->sum : part->value, leaf->span);
        if (mean) count = together(e, OP_ADD, count, part->count, leaf->span);
    }
    if (!mean) return value;
    Value some[] = {value_of_node(e, count), value_scalar(scalar_real(e->g, 1))};
    Value least = value_op(e, OP_MAX, some, 2, leaf->span); /* a mean over nothing is 0 */
    return together(e, OP_DIV, value, value_node(e, &least, NULL, leaf->span), leaf->span);
}

typedef struct Unfold {
    Elab *e;
    const Session *session;
    Map done;   /* from leaf to what it stands for */
    Nodes open; /* leaves on the way to the one at hand */
    bool circular;
} Unfold;

static const Node *unfold(Unfold *u, const Node *value);

/* What a leaf of a pool, or a fit of this train block, is computed from; NULL: it is neither. */
static const Node *leaf_meaning(Unfold *u, const Node *node)
{
    for (int i = 0; i < u->session->fits.len; i++) {
        const Pool *pool = u->session->fits.data[i];
        if (pool->here && node == pool->target->leaf) return unfold(u, pool->value);
        for (int k = 0; k < pool->leaves.len; k++)
            if (node == pool->leaves.data[k].leaf) return unfold(u, pool_reduce(u->e, pool, k));
    }
    return NULL;
}

static const Node *unfold_node(void *data, Rewrite *rewrite, const Node *node)
{
    (void)rewrite;
    Unfold *u = data;
    if (node->kind != NODE_LEAF) return NULL;
    const Node *known = map_get(&u->done, node);
    if (known) return known;
    for (int i = 0; i < u->open.len; i++)
        if (u->open.data[i] == node) {
            u->circular = true;
            return NULL;
        }
    vec_push(u->e->arena, &u->open, node);
    known = leaf_meaning(u, node);
    u->open.len--;
    if (known) map_put(&u->done, node, (void *)(uintptr_t)known);
    return known;
}

/* The value by data alone: fits are not there before all of them are. */
static const Node *unfold(Unfold *u, const Node *value)
{
    graph_rewrite(u->e->g, &value, 1, unfold_node, u);
    return value;
}

static bool fit_is_allowed(Elab *e, const Persistent *target, const Node *value)
{
    Arena *scratch = arena_new();
    Nodes nodes = graph_reach(scratch, &value, 1);
    const Node *bad = NULL;
    for (int i = 0; i < nodes.len && !bad; i++)
        if (nodes.data[i]->kind == NODE_LEAF && nodes.data[i]->leaf->kind == LEAF_PERSIST &&
            nodes.data[i]->leaf->persistent->kind != PERSIST_FIT)
            bad = nodes.data[i];
    arena_free(scratch);
    if (!bad) return true;
    diag_error(e->context, target->span, "a fit depends on data, constants and earlier fits only, not on `%s`",
               bad->leaf->name);
    return false;
}

static bool fit_is_fed(Elab *e, const Train *t, const Persistent *target)
{
    if (!t->fed) return false;
    diag_error(e->context, target->span,
               "`%s` is fitted to all training data before the first step, and a host program feeds %s step by step",
               target->path, t->fed->name);
    diag_hint(e->context, "give the model constants, or a state that each step adjusts, as batch_norm() does");
    return true;
}

void elaborate_fits(Elab *e, Train *t, Session *session)
{
    Entry *whole = NEW(e->arena, Entry);
    whole->name = name_printf(e->context, session->report ? "fit_reports_%s" : "fit_%s", t->identifier);
    whole->batch = t->batch;
    for (int i = 0; i < session->fits.len; i++) {
        Pool *pool = session->fits.data[i];
        pool->here = !map_get(&e->fitted, pool->target);
        if (pool->here) map_put(&e->fitted, pool->target, pool->target);
    }
    Unfold u = {.e = e, .session = session, .done = map_new(e->arena)};
    for (int i = 0; i < session->fits.len; i++) {
        const Pool *pool = session->fits.data[i];
        if (!pool->here) continue;
        if (fit_is_fed(e, t, pool->target)) return;
        const Node *value = unfold(&u, pool->value);
        if (u.circular) {
            diag_error(e->context, pool->target->span, "`%s` is fitted to what is computed from it: one of its calls "
                       "takes a result of another", pool->path);
            return;
        }
        if (!fit_is_allowed(e, pool->target, value)) return;
        Update fit = {pool->target, value};
        vec_push(e->arena, &whole->updates, fit);
    }
    if (!whole->updates.len || diag_errors(e->context)) return;
    Stream *stream = stream_split(e->program, whole->name, whole, train_main(t));
    if (stream) vec_push(e->arena, &t->fits, stream);
}
