/* elaborate_scan.c -- `scan`: a recurrence becomes a loop in the graph.
 *
 * The body is elaborated once, as a scope of its own, with the index bound to the loop's time and every
 * carried name to the loop's leaf for it. A carried value differs over all context axes of the place. A
 * state that the body reads or sets, in whatever function, is carried, too, without a name. What turns out
 * to stay the same is replaced by its initial value, so that it is no part of the loop. */
#include "elaborate.h"

Scan *scan_here(const Elab *e, const Frame *f)
{
    return e->scan && e->scan->frame == f ? e->scan : NULL;
}

static Carried *carried_find(Scan *scan, Name name)
{
    for (int i = 0; i < scan->carried.len; i++)
        if (!scan->carried.data[i]->state && scan->carried.data[i]->name == name)
            return scan->carried.data[i];
    return NULL;
}

Carried *scan_carried(const Elab *e, const Frame *f, Name name)
{
    for (Scan *scan = e->scan; scan && scan->frame == f; scan = scan->outer) {
        Carried *c = carried_find(scan, name);
        if (c) return c;
    }
    return NULL;
}

bool scan_yields(const Elab *e, const Frame *f, Name name)
{
    for (const Scan *scan = e->scan; scan && scan->frame == f; scan = scan->outer)
        for (int i = 0; i < scan->yields.len; i++)
            if (scan->yields.data[i].name.name == name) return true;
    return false;
}

const Scalar *scan_position(const Elab *e, const Scan *scan)
{
    if (!scan) return scalar_int(e->g, 0);
    const Scalar *outer = scan_position(e, scan->outer);
    outer = scalar_op2(e->g, OP_MUL, outer, scalar_int(e->g, scan->extent.max));
    const Scalar *time = scalar_load(e->g, graph_time(e->g, scan->loop), NULL, NULL, NO_SPAN);
    return scalar_op2(e->g, OP_ADD, outer, time);
}

/* --- what is carried ------------------------------------------------------------------------------------------ */

static Carried *carried_new(Elab *e, Scan *scan, Name name, const Node *init)
{
    Carried *c = NEW(e->arena, Carried);
    c->name = name;
    c->init = init;
    c->leaf = graph_carry(e->g, scan->loop, scan->carried.len, name, init->type, init->rank,
                          init->shape);
    c->next_node = c->leaf;
    vec_push(e->arena, &scan->carried, c);
    return c;
}

Carried *scan_state(Elab *e, const Persistent *p)
{
    Scan *scan = e->scan;
    for (int i = 0; i < scan->carried.len; i++)
        if (scan->carried.data[i]->state == p) return scan->carried.data[i];
    e->scan = scan->outer;
    const Node *init = persistent_current(e, p);
    e->scan = scan;
    Carried *c = carried_new(e, scan, p->path, init);
    c->state = p;
    return c;
}

static const ElemType base_type[] = {[AST_REAL] = TYPE_REAL, [AST_INT] = TYPE_INT,
                                     [AST_BASE_BOOL] = TYPE_BOOL, [AST_U8] = TYPE_U8};

/* The value with which a carry starts, of its type and shape; false after an error. */
static bool carry_start(Elab *e, Frame *f, const AstCarry *carry, Value *out)
{
    Value v = eval_expr(e, f, carry->value);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, carry->value->span)) return false;
    ElemType type = value_type(&v);
    if (value_is_number(&v) && type != TYPE_BOOL) type = TYPE_REAL;
    Value wanted = v;
    if (carry->type) {
        type = base_type[carry->type->base];
        if (!type_shape(e, f, carry->type, &wanted.rank, wanted.shape)) return false;
    }
    if (!value_convert(e, &v, type, carry->value->span)) return false;
    if (v.rank && !shapes_same(&v, &wanted)) {
        diag_error(e->context, carry->value->span, "the carry `%s` starts as %s, but is declared %s",
                   carry->name.name, value_describe(e, &v), value_describe(e, &wanted));
        return false;
    }
    wanted.scalar = v.scalar;
    wanted.max = 0;
    *out = wanted;
    return true;
}

static uint64_t all_axes(const Elab *e)
{
    return ((uint64_t)1 << e->axes.len) - 1;
}

/* The value over all context axes; NULL if that is too large a tensor, which is reported. */
static const Node *over_context(Elab *e, const Value *v, Span span)
{
    const Node *node = node_over_context(e, v, span);
    return node->rank == e->axes.len + v->rank ? node : NULL;
}

/* Evaluates what the carries start from, outside of the loop. */
static bool carries_start(Elab *e, Frame *f, const AstStmt *s, Value *starts, const Node **inits)
{
    bool ok = true;
    for (int i = 0; i < s->carries.len; i++) {
        const AstCarry *carry = &s->carries.data[i];
        bool twice = carry->name.name == s->indices.data[0].name;
        for (int k = 0; k < i; k++)
            twice = twice || s->carries.data[k].name.name == carry->name.name;
        if (twice)
            diag_error(e->context, carry->name.span, "`%s` stands twice in this scan",
                       carry->name.name);
        inits[i] = !twice && carry_start(e, f, carry, &starts[i])
                       ? over_context(e, &starts[i], carry->value->span) : NULL;
        ok = ok && inits[i];
    }
    return ok;
}

/* --- the range ------------------------------------------------------------------------------------------------ */

static bool scan_extent(Elab *e, Frame *f, const AstStmt *s, Scan *scan)
{
    Extent *out = &scan->extent;
    const AstIndex *index = &s->indices.data[0];
    if (!index->bound) {
        diag_error(e->context, index->span, "how far does the scan go?");
        diag_hint(e->context, "say it: scan %s < T", index->name);
        return false;
    }
    Value bound = eval_expr(e, f, index->bound);
    int64_t n;
    if (bound.kind == VALUE_ERROR) return false;
    if (value_is_int(&bound, &n)) {
        *out = extent_fixed(n);
        if (n >= 0) return true;
        diag_error(e->context, index->bound->span, "the scan would take %lld steps", (long long)n);
        return false;
    }
    if (bound.kind == VALUE_TENSOR && bound.max && bound.scalar->kind == SCALAR_LOAD &&
        bound.scalar->node->kind == NODE_LEAF && !bound.scalar->iters) {
        *out = (Extent){bound.max, bound.scalar};
        return true;
    }
    if (bound.kind == VALUE_TENSOR && bound.max) {
        *out = extent_fixed(bound.max);
        scan->length = bound.scalar;
        return true;
    }
    diag_error(e->context, index->bound->span,
               "the number of steps of a scan must be known when compiling, or be the size of an axis; "
               "%s is %s", expr_text(e, index->bound), value_describe(e, &bound));
    diag_hint(e->context, "a scan of as many steps as possible can keep its carries from some step on: "
                          "next h = if t < n then .. else h");
    return false;
}

/* --- statements of the body ------------------------------------------------------------------------------------ */

void exec_yield(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    Scan *scan = scan_here(e, f);
    if (!scan) {
        diag_error(e->context, s->span, "`yield` stands in a scan");
        diag_hint(e->context, "outside it is a binding: %s = ..", name.name);
        return;
    }
    Value v = s->indices.len ? eval_index_def(e, f, &s->indices, s->values.data[0])
                             : eval_expr(e, f, s->values.data[0]);
    if (v.kind != VALUE_ERROR && !value_tensor(e, &v, s->span)) v = value_error();
    for (int i = 0; i < scan->yields.len; i++)
        if (scan->yields.data[i].name.name == name.name) {
            diag_error(e->context, name.span, "`%s` is yielded twice in a step", name.name);
            diag_note(e->context, scan->yields.data[i].name.span, "the first time");
            return;
        }
    if (carried_find(scan, name.name)) {
        diag_error(e->context, name.span, "`%s` is a carry of this scan, and keeps its last value",
                   name.name);
        diag_hint(e->context, "give what is yielded another name");
        return;
    }
    Yielded y = {name, v.kind == VALUE_TENSOR ? value_settle(e, &v, name.name, s->span) : v};
    vec_push(e->arena, &scan->yields, y);
}

bool exec_carry_next(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    Carried *c = scan_carried(e, f, name.name);
    if (!c) return false;
    if (!carried_find(scan_here(e, f), name.name)) {
        diag_error(e->context, name.span, "`%s` is a carry of the scan around this one", name.name);
        diag_hint(e->context, "carry a value here, and set `next %s` behind this scan", name.name);
        return true;
    }
    if (c->has_next) {
        diag_error(e->context, name.span, "`next %s` is set twice in a step", name.name);
        return true;
    }
    Value v = s->indices.len ? eval_index_def(e, f, &s->indices, s->values.data[0])
                             : eval_expr(e, f, s->values.data[0]);
    c->has_next = true;
    c->next = value_error();
    if (v.kind == VALUE_ERROR || !value_convert(e, &v, c->leaf->type, s->values.data[0]->span))
        return true;
    if (v.rank == 0 && c->value.rank) {
        v.rank = c->value.rank;
        memcpy(v.shape, c->value.shape, sizeof v.shape);
    }
    if (!shapes_same(&v, &c->value)) {
        diag_error(e->context, s->span, "the carry `%s` is %s, and this is %s", name.name,
                   value_describe(e, &c->value), value_describe(e, &v));
        return true;
    }
    c->next = value_settle(e, &v, NULL, s->span);
    return true;
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

/* In the body the names mean what they are at a step. */
static void scan_enter(Elab *e, Frame *f, const AstStmt *s, Scan *scan, const Value *starts,
                       const Node *const *inits)
{
    const AstIndex *index = &s->indices.data[0];
    Value time = value_of_node(e, graph_time(e->g, scan->loop));
    for (int i = 0; i < f->order.len; i++) {
        Local *local = f->order.data[i];
        if (!local->bound || !local->state || local->state->kind != PERSIST_STATE) continue;
        local->value = value_of_node(e, persistent_current(e, local->state));
        local->has_next = false;
    }
    local_bind(e, f, (AstName){index->name, index->span}, &time);
    for (int i = 0; i < s->carries.len; i++) {
        AstName name = s->carries.data[i].name;
        Carried *c = carried_new(e, scan, name.name, inits[i]);
        c->value = value_of_hidden(e, c->leaf, all_axes(e));
        c->value.rank = starts[i].rank;
        local_bind(e, f, name, &c->value);
    }
}

typedef struct Stay {
    const Node *leaf, *init;
} Stay;

static const Node *stay_replace(void *data, Rewrite *rewrite, const Node *node)
{
    const Stay *stay = data;
    (void)rewrite;
    return node == stay->leaf ? stay->init : NULL;
}

/* What stays the same is no part of the loop: the body uses its initial value. */
static void scan_settle(Elab *e, Scan *scan, const Node **yields)
{
    Nodes roots = {0};
    for (int i = 0; i < scan->carried.len; i++)
        vec_push(e->arena, &roots, scan->carried.data[i]->next_node);
    for (int i = 0; i < scan->yields.len; i++)
        vec_push(e->arena, &roots, yields[i]);
    for (int i = 0; i < scan->carried.len; i++) {
        Carried *c = scan->carried.data[i];
        if (c->stays || roots.data[i] != c->leaf) continue;
        Stay stay = {c->leaf, c->init};
        c->stays = true;
        graph_rewrite(e->g, roots.data, roots.len, stay_replace, &stay);
        i = -1; /* others may stay now */
    }
    for (int i = 0; i < scan->carried.len; i++)
        scan->carried.data[i]->next_node = roots.data[i];
    for (int i = 0; i < scan->yields.len; i++)
        yields[i] = roots.data[scan->carried.len + i];
}

static const Node *scan_node(Elab *e, const Scan *scan, Span span)
{
    Carry *carries = NEW_ARRAY(e->arena, Carry, scan->carried.len + 1);
    int n = 0;
    for (int i = 0; i < scan->carried.len; i++) {
        Carried *c = scan->carried.data[i];
        if (c->stays) continue;
        c->position = n;
        carries[n++] = (Carry){c->leaf, c->init, c->next_node};
    }
    return graph_scan(e->g, scan->loop, n, carries, span);
}

static const Node *carried_final(Elab *e, const Node *scan, const Carried *c)
{
    return c->stays ? c->init : graph_final(e->g, scan, c->position);
}

/* Whether every tensor of the body has room for an axis of the steps of all scans around it, as derivatives
 * and what is done for all steps at once want; reports if not. */
static bool scan_fits(Elab *e, const Scan *scan, const Node *const *yields, Span span)
{
    Nodes roots = {0};
    for (int i = 0; i < scan->carried.len; i++)
        vec_push(e->arena, &roots, scan->carried.data[i]->next_node);
    for (int i = 0; i < scan->yields.len; i++)
        vec_push(e->arena, &roots, yields[i]);
    Arena *scratch = arena_new();
    Nodes nodes = graph_reach(scratch, roots.data, roots.len);
    bool fits = true;
    for (int i = 0; i < nodes.len; i++) {
        const Node *node = nodes.data[i];
        int depth = loops_have(node->free, scan->loop) ? node->free->n : 0;
        fits = fits && node->rank + depth < MAX_RANK && node->n_iters + depth < MAX_ITERS - MAX_RANK;
    }
    arena_free(scratch);
    if (fits) return true;
    diag_error(e->context, span, "too many axes in a scan: with one for the steps a tensor has at most %d",
               MAX_RANK - 1);
    return false;
}

/* A state changes in the steps that any instance takes. */
static bool state_at_step(Elab *e, Carried *c, const Scalar *taken, Span span)
{
    Value any = value_scalar(taken);
    if (value_context(e, &any)) any = value_reduce(e, REDUCE_ANY, value_context(e, &any), &any, NULL, 0, span);
    if (any.kind == VALUE_ERROR) return false;
    const Scalar *changed = scalar_load_at(e->g, c->next_node, 0), *before = scalar_load_at(e->g, c->leaf, 0);
    const Scalar *next = scalar_select(e->g, any.scalar, changed, before);
    if (next->type == TYPE_REAL) next = scalar_op1(e->g, OP_STOP, next);
    c->next_node = graph_map(e->g, c->leaf->rank, c->leaf->shape, next, c->next_node->span);
    return true;
}

/* The nodes of a step: what is carried on, and what is yielded, over the context axes in `hidden`. */
static bool scan_nodes(Elab *e, Scan *scan, const Node **yields, uint64_t *hidden, Span span)
{
    const Scalar *taken = scan_taken(e, scan);
    for (int i = 0; i < scan->carried.len; i++) {
        Carried *c = scan->carried.data[i];
        if (c->state && c->next_node != c->leaf && taken && !state_at_step(e, c, taken, span)) return false;
        if (c->state || !c->has_next) continue;
        if (c->next.kind == VALUE_ERROR) return false;
        Value next = c->next;
        if (taken) next.scalar = scalar_select(e->g, taken, next.scalar, c->value.scalar);
        c->next_node = over_context(e, &next, c->next.scalar->span);
        if (!c->next_node) return false;
    }
    for (int i = 0; i < scan->yields.len; i++) {
        Yielded *y = &scan->yields.data[i];
        if (y->value.kind == VALUE_ERROR) return false;
        yields[i] = value_node(e, &y->value, &hidden[i], y->name.span);
        Extent shape[MAX_RANK + 1] = {scan->extent};
        memcpy(shape + 1, yields[i]->shape, sizeof(Extent) * (size_t)yields[i]->rank);
        if (!shape_fits(e, yields[i]->rank + 1, shape, y->name.span)) return false;
    }
    return scan_fits(e, scan, yields, span);
}

/* The yielded value: time in front of its own axes, behind the context axes. */
static Value yield_value(Elab *e, const Scan *scan, const Node *node, uint64_t hidden,
                         const Value *element)
{
    Value v = {.kind = VALUE_TENSOR, .rank = element->rank + 1};
    const Scalar *subs[MAX_RANK] = {scalar_iter(e->g, VISIBLE)};
    int n = 1;
    v.shape[0] = scan->length ? (Extent){scan->extent.max, scan->length} : node->shape[0];
    for (int i = 0; i < VISIBLE; i++)
        if (hidden >> i & 1) subs[n++] = scalar_iter(e->g, i);
    for (int k = 0; k < element->rank; k++) {
        v.shape[k + 1] = element->shape[k];
        subs[n++] = scalar_iter(e->g, VISIBLE + k + 1);
    }
    v.scalar = scalar_load(e->g, node, subs, NULL, node->span);
    return v;
}

/* Behind the scan its carries hold their last values, states are what the last step made of them, and what
 * was yielded is bound. */
static void scan_leave(Elab *e, Frame *f, const AstStmt *s, Scan *scan, const Node **yields,
                       const uint64_t *hidden)
{
    scan_settle(e, scan, yields);
    const Node *node = scan_node(e, scan, s->span);
    for (int i = 0; i < scan->yields.len; i++) { /* one run for all */
        const LoopSet *loops = loops_without(e->g, yields[i]->free, scan->loop);
        if (loops_have(yields[i]->free, scan->loop)) node = graph_scan_within(e->g, node, loops);
    }
    for (int i = 0; i < scan->carried.len; i++) {
        Carried *c = scan->carried.data[i];
        const Node *last = carried_final(e, node, c);
        if (!c->state) {
            Value v = value_of_hidden(e, last, all_axes(e));
            AstName name = {c->name, s->span};
            for (int k = 0; k < s->carries.len; k++)
                if (s->carries.data[k].name.name == c->name) name = s->carries.data[k].name;
            local_bind(e, f, name, &v);
            continue;
        }
        if (c->stays) continue;
        persistent_set(e, (Persistent *)(uintptr_t)c->state, last);
        for (int k = 0; k < f->order.len; k++) {
            Local *local = f->order.data[k];
            if (!local->bound || local->state != c->state) continue;
            Value v = value_of_node(e, last);
            local->has_next = true;
            local->next = value_op(e, OP_STOP, &v, 1, s->span);
        }
    }
    for (int i = 0; i < scan->yields.len; i++) {
        const Yielded *y = &scan->yields.data[i];
        const Node *all = graph_yield(e->g, node, yields[i], y->name.span);
        graph_name(all, y->name.name);
        Value v = yield_value(e, scan, all, hidden[i], &y->value);
        local_bind(e, f, y->name, &v);
    }
}

static void block_failed(Elab *e, Frame *f, const AstBlock *block)
{
    Value v = value_error();
    for (int i = 0; i < block->len; i++) {
        const AstStmt *s = block->data[i];
        if (s->kind == AST_YIELD) local_bind(e, f, s->names.data[0], &v);
        if (s->kind == AST_IF_STMT) {
            block_failed(e, f, &s->body);
            block_failed(e, f, &s->otherwise);
        }
    }
}

/* After a mistake: the names that the scan would bind are known, so that their uses stay silent. */
static void scan_failed(Elab *e, Frame *f, const AstStmt *s)
{
    Value v = value_error();
    for (int i = 0; i < s->carries.len; i++)
        local_bind(e, f, s->carries.data[i].name, &v);
    block_failed(e, f, &s->body);
}

void exec_scan(Elab *e, Frame *f, const AstStmt *s)
{
    const AstIndex *index = &s->indices.data[0];
    Value *starts = NEW_ARRAY(e->arena, Value, s->carries.len + 1);
    const Node **inits = NEW_ARRAY(e->arena, const Node *, s->carries.len + 1);
    Scan scan = {.outer = e->scan, .frame = f};
    bool ok = scan_extent(e, f, s, &scan);
    if (!carries_start(e, f, s, starts, inits) || !ok) {
        scan_failed(e, f, s);
        return;
    }
    scan.loop = graph_loop(e->g, index->name, scan.extent, s->reversed, s->span);
    Snapshot before = snapshot_take(e, f);
    int errors = diag_errors(e->context), choices = f->choices;
    e->scan = &scan;
    f->choices = 0;
    scan_enter(e, f, s, &scan, starts, inits);
    exec_block(e, f, &s->body);
    const Node **yields = NEW_ARRAY(e->arena, const Node *, scan.yields.len + 1);
    uint64_t *hidden = NEW_ARRAY(e->arena, uint64_t, scan.yields.len + 1);
    ok = diag_errors(e->context) == errors && scan_nodes(e, &scan, yields, hidden, s->span);
    f->choices = choices;
    e->scan = scan.outer;
    snapshot_restore(e, f, &before);
    if (ok) scan_leave(e, f, s, &scan, yields, hidden);
    else scan_failed(e, f, s);
}
