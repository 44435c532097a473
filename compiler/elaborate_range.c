/* elaborate_range.c -- the ranges of a statement's indices, before its body is elaborated.
 *
 * A walk over the statement collects every index and every subscript that mentions one. Then, until all
 * are decided: (1) a bound `i < n` decides; (2) an axis where the index stands alone decides, and all such
 * axes must agree; (3) the largest range that keeps every affine subscript without `outside` in bounds, for
 * an index that is the only undecided one in them, index after index in the order written. A tensor before
 * `[ ]` that mentions no index is evaluated here, once, and kept for the body. */
#include "elaborate.h"
#include "elaborate_range.h"

#include <assert.h>

typedef struct Constraint {
    Extent extent;        /* of the axis; its size may depend on the axes before it */
    const AstSubs *subs;  /* of all axes */
    const AstExpr *sub;   /* of this one */
    bool outside;
    VEC(IndexVar *) scope; /* the indices in scope there */
} Constraint;

typedef struct Deferred {
    const AstExpr *subscript; /* its base mentions indices */
    VEC(IndexVar *) scope;
    bool done;
} Deferred;

typedef struct Infer {
    Elab *e;
    Frame *f;
    int outer_axes, outer_indices;
    VEC(IndexVar *) vars; /* in the order written */
    VEC(Constraint) constraints;
    VEC(Deferred) deferred;
    bool failed;
    int errors; /* reported before */
} Infer;

/* --- which names an expression mentions -------------------------------------------------------------------- */

typedef struct Hidden {
    const AstIndices *indices;
    const struct Hidden *outer;
} Hidden;

static bool name_hidden(const Hidden *hidden, Name name)
{
    for (; hidden; hidden = hidden->outer)
        for (int i = 0; i < hidden->indices->len; i++)
            if (hidden->indices->data[i].name == name) return true;
    return false;
}

static bool mentions(const Frame *f, const AstExpr *x, const Hidden *hidden);

static bool args_mention(const Frame *f, const AstArgs *args, const Hidden *hidden)
{
    for (int i = 0; i < args->len; i++)
        if (mentions(f, args->data[i].value, hidden)) return true;
    return false;
}

static bool subs_mention(const Frame *f, const AstSubs *subs, const Hidden *hidden)
{
    for (int i = 0; i < subs->len; i++) {
        const AstSub *s = &subs->data[i];
        if (mentions(f, s->index, hidden) || mentions(f, s->from, hidden) ||
            mentions(f, s->to, hidden))
            return true;
    }
    return false;
}

static bool mentions(const Frame *f, const AstExpr *x, const Hidden *hidden)
{
    if (!x) return false;
    switch (x->kind) {
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_NEXT:
    case AST_REDUCER: return false;
    case AST_NAME: return !name_hidden(hidden, x->name) && index_find(f, x->name) != NULL;
    case AST_LIST:
        for (int i = 0; i < x->list.len; i++)
            if (mentions(f, x->list.data[i], hidden)) return true;
        return false;
    case AST_CALL:
        return mentions(f, x->call.callee, hidden) || args_mention(f, &x->call.args, hidden);
    case AST_CAST: return mentions(f, x->cast.arg, hidden);
    case AST_FOLD: return args_mention(f, &x->fold.args, hidden);
    case AST_SUBSCRIPT:
        return mentions(f, x->subscript.base, hidden) ||
               subs_mention(f, &x->subscript.subs, hidden) ||
               mentions(f, x->subscript.outside, hidden);
    case AST_MEMBER: return mentions(f, x->member.base, hidden);
    case AST_UNARY: return mentions(f, x->unary.arg, hidden);
    case AST_BINARY:
        return mentions(f, x->binary.lhs, hidden) || mentions(f, x->binary.rhs, hidden);
    case AST_IF:
        return mentions(f, x->cond.cond, hidden) || mentions(f, x->cond.then, hidden) ||
               mentions(f, x->cond.otherwise, hidden);
    case AST_REDUCE: {
        Hidden inner = {&x->reduce.indices, hidden};
        return mentions(f, x->reduce.where, &inner) || mentions(f, x->reduce.body, &inner);
    }
    }
    return false;
}

bool expr_mentions_index(const Frame *f, const AstExpr *x)
{
    return mentions(f, x, NULL);
}

/* --- collecting ---------------------------------------------------------------------------------------------- */

/* Elaborates an expression as it stands before the statement: without its indices. */
static Value eval_before(Infer *in, const AstExpr *x)
{
    Elab *e = in->e;
    Axis saved[MAX_CONTEXT];
    IndexVar *saved_indices[MAX_ITERS];
    int n_axes = e->axes.len - in->outer_axes, n_indices = in->f->indices.len - in->outer_indices;
    for (int i = 0; i < n_axes; i++) /* no memcpy: there may be no array yet */
        saved[i] = e->axes.data[in->outer_axes + i];
    for (int i = 0; i < n_indices; i++)
        saved_indices[i] = in->f->indices.data[in->outer_indices + i];
    e->axes.len = in->outer_axes;
    in->f->indices.len = in->outer_indices;
    RangeTable *table = in->f->ranges;
    in->f->ranges = NULL;
    Value v = eval_expr(e, in->f, x);
    if (v.kind == VALUE_TENSOR) v = value_settle(e, &v, NULL, x->span);
    in->f->ranges = table;
    e->axes.len = in->outer_axes;
    in->f->indices.len = in->outer_indices;
    for (int i = 0; i < n_axes; i++)
        vec_push(e->arena, &e->axes, saved[i]);
    for (int i = 0; i < n_indices; i++)
        vec_push(e->arena, &in->f->indices, saved_indices[i]);
    return v;
}

static void scope_copy(Infer *in, void *vec)
{
    VEC(IndexVar *) *scope = vec;
    for (int i = 0; i < in->f->indices.len; i++)
        vec_push(in->e->arena, scope, in->f->indices.data[i]);
}

static void constraints_add(Infer *in, const AstExpr *subscript, const Value *base)
{
    const AstSubs *subs = &subscript->subscript.subs;
    for (int k = 0; k < subs->len && k < base->rank; k++) {
        if (subs->data[k].slice || !expr_mentions_index(in->f, subs->data[k].index)) continue;
        Constraint c = {.extent = base->shape[k], .subs = subs, .sub = subs->data[k].index,
                        .outside = subscript->subscript.outside != NULL};
        scope_copy(in, &c.scope);
        vec_push(in->e->arena, &in->constraints, c);
    }
}

static void collect(Infer *in, const AstExpr *x);

static void collect_args(Infer *in, const AstArgs *args)
{
    for (int i = 0; i < args->len; i++)
        collect(in, args->data[i].value);
}

static void collect_subscript(Infer *in, const AstExpr *x)
{
    const AstExpr *base = x->subscript.base;
    Value member;
    if (eval_round_member(in->e, in->f, x, &member)) {
        map_put(&in->f->ranges->bases, x, arena_copy(in->e->arena, &member, sizeof member));
        return;
    }
    if (!expr_mentions_index(in->f, base)) {
        Value *known = map_get(&in->f->ranges->bases, base);
        if (!known) {
            known = NEW(in->e->arena, Value);
            *known = eval_before(in, base);
            if (known->kind == VALUE_LIST) value_tensor(in->e, known, base->span);
            map_put(&in->f->ranges->bases, base, known);
        }
        if (known->kind == VALUE_ERROR) in->failed = true;
        if (known->kind == VALUE_TENSOR) constraints_add(in, x, known);
    } else {
        collect(in, base);
        Deferred d = {.subscript = x};
        scope_copy(in, &d.scope);
        vec_push(in->e->arena, &in->deferred, d);
    }
    for (int k = 0; k < x->subscript.subs.len; k++) {
        collect(in, x->subscript.subs.data[k].index);
        collect(in, x->subscript.subs.data[k].from);
        collect(in, x->subscript.subs.data[k].to);
    }
    collect(in, x->subscript.outside);
}

/* An index stands once in its brackets. */
static bool index_repeated(Infer *in, const AstIndices *indices, int i)
{
    for (int k = 0; k < i; k++)
        if (indices->data[k].name == indices->data[i].name) {
            diag_error(in->e->context, indices->data[i].span, "index `%s` stands twice here",
                       indices->data[i].name);
            diag_hint(in->e->context, "two indices, and a condition: [i, j] if i == j then .. else 0");
            in->failed = true;
            return true;
        }
    return false;
}

static void binders_open(Infer *in, const AstIndices *indices)
{
    Elab *e = in->e;
    for (int i = 0; i < indices->len; i++) {
        const AstIndex *index = &indices->data[i];
        if (index_repeated(in, indices, i)) return;
        if (!strcmp(index->name, "each")) {
            if (!index->bound) continue;
            diag_error(e->context, index->span, "`each` has no bound: it runs over the mapped axes");
            in->failed = true;
            return;
        }
        if (in->failed && e->axes.len == MAX_CONTEXT) return;
        if (!axes_room(e, 1, index->span)) {
            in->failed = true;
            return;
        }
        IndexVar *var = NEW(e->arena, IndexVar);
        *var = (IndexVar){.name = index->name, .span = index->span};
        if (index->bound) {
            Value bound = eval_expr(e, in->f, index->bound);
            int64_t n;
            if (value_is_int(&bound, &n) && n >= 0) {
                var->extent = extent_fixed(n);
            } else if (bound.kind == VALUE_TENSOR && bound.max) {
                var->extent = (Extent){bound.max, bound.scalar};
            } else {
                if (value_is_int(&bound, &n)) {
                    diag_error(e->context, index->bound->span,
                               "index `%s` would run over %lld elements", index->name,
                               (long long)n);
                } else if (bound.kind != VALUE_ERROR) {
                    diag_error(e->context, index->bound->span,
                               "the bound of index `%s` must be known when compiling, or be the "
                               "size of an axis; %s is %s", index->name,
                               expr_text(e, index->bound), value_describe(e, &bound));
                    diag_hint(e->context, "a condition that depends on data or on another index "
                                          "goes behind `where`");
                }
                in->failed = true;
                var->extent = extent_fixed(1);
            }
            var->decided = true;
        } else {
            var->extent = extent_fixed(1);
        }
        var->axis = axes_push(e, var->extent, var->name);
        vec_push(e->arena, &in->vars, var);
        vec_push(e->arena, &in->f->indices, var);
    }
}

static void collect_reduce(Infer *in, const AstExpr *x)
{
    int before = in->f->indices.len, first = in->vars.len;
    binders_open(in, &x->reduce.indices);
    int last = in->vars.len;
    collect(in, x->reduce.where);
    collect(in, x->reduce.body);
    in->f->indices.len = before;
    IndexVar **vars = NEW_ARRAY(in->e->arena, IndexVar *, last - first + 1);
    for (int i = first; i < last; i++)
        vars[i - first] = in->vars.data[i];
    map_put(&in->f->ranges->extents, x, vars);
}

static void collect_if(Infer *in, const AstExpr *x)
{
    /* Only branches that are elaborated count. */
    if (!expr_mentions_index(in->f, x->cond.cond)) {
        Value cond = eval_before(in, x->cond.cond);
        if (value_is_number(&cond)) {
            collect(in, cond.scalar->value != 0 ? x->cond.then : x->cond.otherwise);
            return;
        }
    }
    collect(in, x->cond.cond);
    collect(in, x->cond.then);
    collect(in, x->cond.otherwise);
}

static void collect(Infer *in, const AstExpr *x)
{
    if (!x) return;
    switch (x->kind) {
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_NAME:
    case AST_NEXT:
    case AST_MEMBER:
    case AST_REDUCER: break;
    case AST_LIST:
        for (int i = 0; i < x->list.len; i++)
            collect(in, x->list.data[i]);
        break;
    case AST_CALL: collect_args(in, &x->call.args); break;
    case AST_CAST: collect(in, x->cast.arg); break;
    case AST_FOLD: collect_args(in, &x->fold.args); break;
    case AST_SUBSCRIPT: collect_subscript(in, x); break;
    case AST_UNARY: collect(in, x->unary.arg); break;
    case AST_BINARY:
        collect(in, x->binary.lhs);
        collect(in, x->binary.rhs);
        break;
    case AST_IF: collect_if(in, x); break;
    case AST_REDUCE: collect_reduce(in, x); break;
    }
}

/* --- deciding ----------------------------------------------------------------------------------------------------- */

static IndexVar *scope_var(const Constraint *c, Name name)
{
    for (int i = c->scope.len - 1; i >= 0; i--)
        if (c->scope.data[i]->name == name) return c->scope.data[i];
    return NULL;
}

static void decide(Infer *in, IndexVar *var, Extent extent, const AstExpr *from)
{
    uint64_t later = extent.size ? extent.size->iters >> var->axis : 0;
    if (later) {
        int other = var->axis;
        while (!(later >> (other - var->axis) & 1))
            other++;
        Name name = in->e->axes.data[other].name;
        diag_error(in->e->context, var->span,
                   "index `%s` stands before `%s`, which the size of its axis depends on", var->name,
                   name ? name : "another");
        diag_hint(in->e->context, "write `%s` after it", var->name);
        in->failed = true;
        extent = extent_fixed(extent.max);
    }
    var->decided = true;
    var->extent = extent;
    var->from = from;
    in->e->axes.data[var->axis].extent = extent;
}

/* Whether x mentions this one index. */
static bool mentions_only(Infer *in, const AstExpr *x, IndexVar *var)
{
    Frame alone = {.kind = in->f->kind};
    vec_push(in->e->arena, &alone.indices, var);
    return expr_mentions_index(&alone, x);
}

/* Whether all indices that x mentions are decided. */
static bool indices_decided(Infer *in, const Constraint *c, const AstExpr *x)
{
    for (int k = 0; k < c->scope.len; k++)
        if (!c->scope.data[k]->decided && mentions_only(in, x, c->scope.data[k])) return false;
    return true;
}

/* The value of an expression where the constraint stands. */
static Value eval_within(Infer *in, const Constraint *c, const AstExpr *x)
{
    Elab *e = in->e;
    int before = in->f->indices.len;
    for (int i = 0; i < c->scope.len; i++)
        vec_push(e->arena, &in->f->indices, c->scope.data[i]);
    Value v = eval_expr(e, in->f, x);
    in->f->indices.len = before;
    return v;
}

/* The extent of the constraint's axis: its size at the subscripts of the axes before. False if these are
 * not decided yet, or are slices. */
static bool constraint_extent(Infer *in, const Constraint *c, Extent *out)
{
    *out = c->extent;
    uint64_t axes = c->extent.size ? c->extent.size->iters >> VISIBLE : 0;
    const Scalar *map[VISIBLE + MAX_RANK] = {NULL};
    for (int k = 0; axes >> k; k++) {
        if (!(axes >> k & 1)) continue;
        const AstExpr *sub = c->subs->data[k].index;
        if (c->subs->data[k].slice) {
            if (!in->failed) {
                diag_error(in->e->context, c->sub->span,
                           "the size of this axis depends on an axis before it, which has no index");
                diag_hint(in->e->context, "give every axis an index");
            }
            in->failed = true;
            return false;
        }
        if (!indices_decided(in, c, sub)) return false;
        Value v = eval_within(in, c, sub);
        if (v.kind != VALUE_TENSOR || v.rank || value_type(&v) > TYPE_INT) return false;
        map[VISIBLE + k] = scalar_convert(in->e->g, v.scalar, TYPE_INT);
    }
    *out = extent_renumber(in->e, *out, map);
    return true;
}

static bool rule_alone(Infer *in)
{
    bool progress = false;
    for (int i = 0; i < in->constraints.len && !in->failed; i++) {
        const Constraint *c = &in->constraints.data[i];
        IndexVar *var = c->sub->kind == AST_NAME ? scope_var(c, c->sub->name) : NULL;
        Extent extent;
        if (!var || var->decided || !constraint_extent(in, c, &extent)) continue;
        decide(in, var, extent, c->sub);
        progress = true;
    }
    return progress;
}

/* All axes where an index stands alone agree, unless its bound is written. */
static void check_alone(Infer *in)
{
    for (int i = 0; i < in->constraints.len && !in->failed; i++) {
        const Constraint *c = &in->constraints.data[i];
        IndexVar *var = c->sub->kind == AST_NAME ? scope_var(c, c->sub->name) : NULL;
        Extent extent;
        if (!var || !var->from || !constraint_extent(in, c, &extent) ||
            extents_agree(extent, var->extent))
            continue;
        Elab *e = in->e;
        diag_error(e->context, c->sub->span,
                   "index `%s` runs over an axis of %s first, and over one of %s here", var->name,
                   extent_describe(e, var->extent), extent_describe(e, extent));
        diag_note(e->context, var->from->span, "the other axis");
        if (extent.size && var->extent.size)
            axes_differ_hint(e, extent, var->extent);
        else
            diag_hint(e->context, "say which range is meant: %s < %s", var->name,
                      extent.size || var->extent.size ? "T, the size of the bounded axis"
                                                      : extent_describe(e, extent));
        in->failed = true;
    }
}

/* Sums and products of numbers, names: what may be affine. */
static bool plain_arithmetic(const AstExpr *x)
{
    switch (x->kind) {
    case AST_NUMBER:
    case AST_NAME: return true;
    case AST_UNARY: return plain_arithmetic(x->unary.arg);
    case AST_BINARY: return plain_arithmetic(x->binary.lhs) && plain_arithmetic(x->binary.rhs);
    default: return false;
    }
}

/* The step of a scan around counts with its range: it stands for an iterator behind those in scope. */
typedef struct Steps {
    Infer *in;
    Extent *iters;
    int n;
} Steps;

static const Scalar *step_iter(void *data, const Scalar *load)
{
    Steps *steps = data;
    Elab *e = steps->in->e;
    if (load->node->kind != NODE_LEAF || load->node->leaf->kind != LEAF_TIME) return NULL;
    int at = e->axes.len;
    for (const Scan *scan = e->scan; scan && at < MAX_CONTEXT; scan = scan->outer, at++) {
        if (scan->loop != load->node->leaf->loop) continue;
        steps->iters[at] = scan->extent;
        if (at >= steps->n) steps->n = at + 1;
        return scalar_iter(e->g, at);
    }
    return NULL;
}

static bool constraint_affine(Infer *in, const Constraint *c, Affine *affine, Steps *steps)
{
    if (!plain_arithmetic(c->sub)) return false;
    Value v = eval_within(in, c, c->sub);
    if (v.kind != VALUE_TENSOR || v.rank || value_type(&v) != TYPE_INT) return false;
    return affine_of(scalar_replace_loads(in->e->g, v.scalar, step_iter, steps), affine);
}

static IndexVar *axis_var(const Infer *in, int axis)
{
    for (int i = 0; i < in->vars.len; i++)
        if (in->vars.data[i]->axis == axis) return in->vars.data[i];
    return NULL;
}

/* The largest n that keeps the subscript in its axis for var in 0..n-1; false if it says nothing. */
static bool constraint_limit(Infer *in, const Constraint *c, const IndexVar *var, int64_t *n)
{
    Affine a;
    Extent iters[MAX_CONTEXT] = {{0, NULL}};
    Steps steps = {in, iters, in->e->axes.len};
    for (int i = 0; i < in->e->axes.len; i++)
        iters[i] = in->e->axes.data[i].extent;
    if (c->outside || c->extent.size || !constraint_affine(in, c, &a, &steps)) return false;
    int64_t factor = a.coefficient[var->axis];
    if (factor == 0) return false;
    a.coefficient[var->axis] = 0;
    for (int i = 0; i < MAX_CONTEXT; i++) {
        IndexVar *other = a.coefficient[i] ? axis_var(in, i) : NULL;
        if (other && !other->decided) return false;
    }
    Range rest = scalar_range(affine_scalar(in->e->g, &a), iters, steps.n);
    if (rest.lo == INT64_MIN || rest.hi == INT64_MAX) return false;
    int64_t room = factor > 0 ? c->extent.max - 1 - rest.hi : rest.lo;
    int64_t step = factor > 0 ? factor : -factor;
    *n = room < 0 ? 0 : room / step + 1;
    return true;
}

static bool rule_affine(Infer *in)
{
    for (int i = 0; i < in->vars.len; i++) {
        IndexVar *var = in->vars.data[i];
        if (var->decided) continue;
        int64_t least = INT64_MAX, n;
        for (int k = 0; k < in->constraints.len; k++)
            if (constraint_limit(in, &in->constraints.data[k], var, &n) && n < least) least = n;
        if (least == INT64_MAX) continue;
        decide(in, var, extent_fixed(least), NULL);
        return true;
    }
    return false;
}

/* Bases that mention indices, once those are decided: only their shapes are wanted here. */
static bool rule_deferred(Infer *in)
{
    Elab *e = in->e;
    for (int i = 0; i < in->deferred.len; i++) {
        Deferred *d = &in->deferred.data[i];
        if (d->done) continue;
        bool ready = true;
        for (int k = 0; k < d->scope.len && ready; k++)
            ready = d->scope.data[k]->decided ||
                    !mentions_only(in, d->subscript->subscript.base, d->scope.data[k]);
        if (!ready) continue;
        d->done = true;
        int before = in->f->indices.len;
        for (int k = 0; k < d->scope.len; k++)
            vec_push(e->arena, &in->f->indices, d->scope.data[k]);
        Value base = eval_expr(e, in->f, d->subscript->subscript.base);
        if (base.kind == VALUE_TENSOR) constraints_add(in, d->subscript, &base);
        in->f->indices.len = before;
        return true;
    }
    return false;
}

static void report_undecided(Infer *in)
{
    if (in->failed || diag_errors(in->e->context) > in->errors) {
        in->failed = true;
        return;
    }
    for (int i = 0; i < in->vars.len; i++) {
        const IndexVar *var = in->vars.data[i];
        if (var->decided) continue;
        diag_error(in->e->context, var->span, "the range of index `%s` does not follow from its use",
                   var->name);
        diag_hint(in->e->context, "write its bound: %s < %s", var->name,
                  strcmp(var->name, "n") ? "n" : "10");
        in->failed = true;
    }
}

bool ranges_infer(Elab *e, Frame *f, const AstIndices *indices, const AstExpr *body, Extent *out)
{
    Infer in = {.e = e, .f = f, .outer_axes = e->axes.len, .outer_indices = f->indices.len,
                .errors = diag_errors(e->context)};
    if (indices) {
        binders_open(&in, indices);
        collect(&in, body);
    } else {
        collect_reduce(&in, body);
    }
    bool undecided = true;
    while (undecided && (rule_alone(&in) || rule_deferred(&in) || rule_affine(&in))) {
        undecided = false;
        for (int i = 0; i < in.vars.len; i++)
            undecided = undecided || !in.vars.data[i]->decided;
    }
    check_alone(&in);
    for (int i = 0; i < in.vars.len; i++)
        if (!in.vars.data[i]->decided) {
            report_undecided(&in);
            break;
        }
    e->axes.len = in.outer_axes;
    f->indices.len = in.outer_indices;
    for (int i = 0; indices && i < indices->len && i < in.vars.len; i++)
        out[i] = in.vars.data[i]->extent;
    return !in.failed;
}
