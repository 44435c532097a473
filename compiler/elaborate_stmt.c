/* elaborate_stmt.c -- statements of bodies: bindings, choices, unrolled loops, return. A value that gets a
 * name is settled: its formula becomes a node, computed once. */
#include "elaborate.h"

enum { MAX_ROUNDS = 20000 };

Local *local_find(const Frame *f, Name name)
{
    return map_get(&f->locals, name);
}

bool name_differentiated(Elab *e, const Frame *f, Name name)
{
    return f->item && map_get(&body_info(e, f->item)->differentiated, name) != NULL;
}

/* Gives a value a node of its own, over all context axes, which grad can differentiate by. */
static void local_tag(Elab *e, Local *local, Span span)
{
    Value *v = &local->value;
    if (v->kind != VALUE_TENSOR || value_type(v) != TYPE_REAL) return;
    const Node *node = node_over_context(e, v, span);
    if (node->rank != e->axes.len + v->rank) { /* reported: too many axes */
        *v = value_error();
        return;
    }
    local->tag = graph_tag(e->g, node);
    graph_name(local->tag, local->name);
    local->tag_hidden = ((uint64_t)1 << e->axes.len) - 1;
    *v = value_of_hidden(e, local->tag, local->tag_hidden);
}

Local *local_bind(Elab *e, Frame *f, AstName name, const Value *value)
{
    Local *local = local_find(f, name.name);
    if (!local) {
        local = NEW(e->arena, Local);
        map_put(&f->locals, name.name, local);
        vec_push(e->arena, &f->order, local);
    }
    *local = (Local){.name = name.name, .span = name.span, .bound = true};
    local->value = value->kind == VALUE_TENSOR ? value_settle(e, value, name.name, name.span)
                                               : *value;
    if (name_differentiated(e, f, name.name)) local_tag(e, local, name.span);
    return local;
}

/* --- assignments --------------------------------------------------------------------------------------------- */

static void bind_target(Elab *e, Frame *f, AstName name, const Value *value)
{
    if (!strcmp(name.name, "_")) return;
    if (!strcmp(name.name, "training") || !strcmp(name.name, "pi") || !strcmp(name.name, "inf")) {
        diag_error(e->context, name.span, "`%s` cannot be assigned", name.name);
        return;
    }
    local_bind(e, f, name, value);
}

static void exec_assign(Elab *e, Frame *f, const AstStmt *s)
{
    enum { MAX_RESULTS = 32 };
    Value values[MAX_RESULTS];
    int n = s->names.len;
    if (n > MAX_RESULTS) {
        diag_error(e->context, s->span, "too many targets");
        return;
    }
    for (int i = 0; i < n; i++)
        values[i] = value_error();
    if (s->values.len == 1 && n > 1) {
        int got = eval_results(e, f, s->values.data[0], values, MAX_RESULTS);
        if (got && got != n)
            diag_error(e->context, s->span, "%d names for %d value%s of %s", n, got,
                       got == 1 ? "" : "s", expr_text(e, s->values.data[0]));
        if (got != n)
            for (int i = 0; i < n; i++)
                values[i] = value_error();
    } else if (s->values.len != n) {
        diag_error(e->context, s->span, "%d names for %d values", n, s->values.len);
    } else {
        for (int i = 0; i < n; i++)
            values[i] = eval_expr(e, f, s->values.data[i]);
    }
    for (int i = 0; i < n; i++)
        bind_target(e, f, s->names.data[i], &values[i]);
}

static void exec_return(Elab *e, Frame *f, const AstStmt *s)
{
    if (scan_here(e, f)) {
        diag_error(e->context, s->span, "`return` cannot stand in a scan: every step is done");
        diag_hint(e->context, "carry or yield the value, and return it behind the scan");
        return;
    }
    int n = s->values.len;
    Value *results = NEW_ARRAY(e->arena, Value, n + 8);
    if (n == 1) {
        int got = eval_results(e, f, s->values.data[0], results, 8);
        if (got == 0) results[0] = value_error();
        n = got > 1 ? got : 1;
    } else {
        for (int i = 0; i < n; i++)
            results[i] = eval_expr(e, f, s->values.data[i]);
    }
    for (int i = 0; i < n; i++)
        if (results[i].kind == VALUE_LIST) {
            bool numbers = true;
            for (int k = 0; k < results[i].n_items; k++)
                numbers = numbers && results[i].items[k].kind != VALUE_STRING &&
                          results[i].items[k].kind != VALUE_FUNCTION;
            if (numbers) value_tensor(e, &results[i], s->span);
        } else if (results[i].kind == VALUE_TENSOR) {
            results[i] = value_settle(e, &results[i], NULL, s->span);
        }
    f->returned = true;
    f->return_span = s->values.data[0]->span;
    f->results = results;
    f->n_results = n;
}

static void exec_for(Elab *e, Frame *f, const AstStmt *s)
{
    int64_t from, to;
    if (!eval_int(e, f, s->values.data[0], "the start of a loop", &from) ||
        !eval_int(e, f, s->values.data[1], "the end of a loop", &to))
        return;
    if (to > from) e->rounds += to - from;
    if (e->rounds > MAX_ROUNDS) {
        diag_error(e->context, s->span, "this loop is unrolled %lld times when compiling%s",
                   (long long)(to - from), to - from < MAX_ROUNDS ? ", again and again" : "");
        diag_hint(e->context, "%d rounds are possible, in all; index notation repeats at run time",
                  MAX_ROUNDS);
        return;
    }
    int errors = diag_errors(e->context);
    for (int64_t k = from; k < to && !f->returned && !f->refused; k++) {
        Value v = value_int(e, k);
        local_bind(e, f, s->names.data[0], &v);
        vec_push(e->arena, &f->loops, k);
        exec_block(e, f, &s->body);
        f->loops.len--;
        if (diag_errors(e->context) > errors) break; /* one round's mistakes are enough */
    }
    Local *local = local_find(f, s->names.data[0].name);
    if (local) local->bound = false;
}

/* --- if -------------------------------------------------------------------------------------------------------- */

Snapshot snapshot_take(Elab *e, const Frame *f)
{
    Snapshot s = {.n = f->order.len, .returned = f->returned, .results = f->results,
                  .n_results = f->n_results, .next_parameter = f->next_parameter,
                  .has_next_parameter = f->has_next_parameter};
    s.locals = NEW_ARRAY(e->arena, Local, s.n + 1);
    for (int i = 0; i < s.n; i++)
        s.locals[i] = *f->order.data[i];
    s.n_kept = e->session ? e->session->changed.len : 0;
    s.kept = NEW_ARRAY(e->arena, const Node *, s.n_kept + 1);
    for (int i = 0; i < s.n_kept; i++)
        s.kept[i] = map_get(&e->session->current, e->session->changed.data[i]);
    const Scan *scan = scan_here(e, f);
    s.n_states = e->scan ? e->scan->carried.len : 0;
    s.states = NEW_ARRAY(e->arena, const Node *, s.n_states + 1);
    for (int i = 0; i < s.n_states; i++)
        s.states[i] = e->scan->carried.data[i]->next_node;
    if (!scan) return s;
    s.n_carried = scan->carried.len;
    s.carried = NEW_ARRAY(e->arena, Carried, s.n_carried + 1);
    for (int i = 0; i < s.n_carried; i++)
        s.carried[i] = *scan->carried.data[i];
    s.n_yields = scan->yields.len;
    s.yields = arena_copy(e->arena, scan->yields.data, sizeof(Yielded) * (size_t)s.n_yields);
    return s;
}

/* What the kept tensor with number i among the changed ones was then. */
static const Node *snapshot_kept(Elab *e, const Snapshot *s, int i)
{
    return i < s->n_kept ? s->kept[i] : e->session->changed.data[i]->leaf;
}

/* The same of carry number i of the innermost scan, which is a state. */
static const Node *snapshot_state(Elab *e, const Snapshot *s, int i)
{
    return i < s->n_states ? s->states[i] : e->scan->carried.data[i]->leaf;
}

void snapshot_restore(Elab *e, Frame *f, const Snapshot *s)
{
    for (int i = 0; i < f->order.len; i++) {
        if (i < s->n) *f->order.data[i] = s->locals[i];
        else f->order.data[i]->bound = f->order.data[i]->has_next = false;
    }
    f->returned = s->returned;
    f->results = s->results;
    f->n_results = s->n_results;
    f->next_parameter = s->next_parameter;
    f->has_next_parameter = s->has_next_parameter;
    for (int i = 0; e->session && i < e->session->changed.len; i++)
        map_put(&e->session->current, e->session->changed.data[i],
                (void *)(uintptr_t)snapshot_kept(e, s, i));
    for (int i = 0; e->scan && i < e->scan->carried.len; i++)
        if (e->scan->carried.data[i]->state) e->scan->carried.data[i]->next_node = snapshot_state(e, s, i);
    Scan *scan = scan_here(e, f);
    if (!scan) return;
    for (int i = 0; i < s->n_carried; i++)
        *scan->carried.data[i] = s->carried[i];
    scan->yields.len = s->n_yields;
}

static Value choose(Elab *e, const Value *cond, const Value *a, const Value *b, Span span)
{
    if (a->kind == VALUE_ERROR || b->kind == VALUE_ERROR) return value_error();
    if (a->kind == VALUE_TENSOR && b->kind == VALUE_TENSOR && a->scalar == b->scalar &&
        shapes_same(a, b))
        return *a;
    return value_choose(e, cond, a, b, span);
}

/* Whether two values are one, of what is known when compiling and is no number. */
static bool value_same(const Value *a, const Value *b)
{
    if (a->kind != b->kind) return false;
    if (a->kind == VALUE_STRING) return !strcmp(a->text, b->text);
    if (a->kind == VALUE_FUNCTION) return a->function == b->function;
    if (a->kind == VALUE_LIST) return a->items == b->items;
    return a->kind == VALUE_DATA && a->data == b->data;
}

static void branches_differ(Elab *e, Local *local, const Value *then, Span span)
{
    diag_error(e->context, span, "`%s` becomes %s or %s, and which is known at run time", local->name,
               value_describe(e, then), value_describe(e, &local->value));
    diag_hint(e->context, "only numbers and tensors are chosen at run time");
    local->value = value_error();
}

/* `next` in one branch keeps the value in the other. */
static void merge_next(Elab *e, const Value *cond, const Local *a, Local *b, Span span)
{
    if (!a->has_next && !b->has_next) return;
    Value v = choose(e, cond, a->has_next ? &a->next : &a->value, b->has_next ? &b->next : &b->value, span);
    b->next = v.kind == VALUE_TENSOR ? value_settle(e, &v, NULL, span) : v;
    b->has_next = true;
}

/* Sets what is kept to one of its values after the branches. */
static bool kept_choose(Elab *e, const Value *cond, Persistent *p, const Node *a, const Node *b, Span span)
{
    if (a == b) return true;
    Value va = value_of_node(e, a), vb = value_of_node(e, b);
    Value v = value_op(e, OP_SELECT, (Value[]){*cond, va, vb}, 3, span);
    uint64_t hidden = 0;
    const Node *node = v.kind == VALUE_TENSOR ? value_node(e, &v, &hidden, span) : NULL;
    if (hidden) {
        diag_error(e->context, span, "the new value of `%s` differs between instances", p->path);
        diag_hint(e->context, "the condition differs; choose a value to reduce over them, outside of the `if`");
        return false;
    }
    if (node) persistent_set(e, p, node);
    return true;
}

/* The values of what is kept after both branches; before: as it is after the second one. */
static void merge_kept(Elab *e, const Value *cond, const Snapshot *then, Span span)
{
    bool ok = true;
    for (int i = 0; e->session && i < e->session->changed.len && ok; i++) {
        Persistent *p = e->session->changed.data[i];
        ok = kept_choose(e, cond, p, snapshot_kept(e, then, i), map_get(&e->session->current, p), span);
    }
    for (int i = 0; e->scan && i < e->scan->carried.len && ok; i++) {
        const Carried *c = e->scan->carried.data[i];
        if (!c->state) continue;
        ok = kept_choose(e, cond, (Persistent *)(uintptr_t)c->state, snapshot_state(e, then, i), c->next_node, span);
    }
}

/* An optimizer's `next p` in one branch leaves the parameter alone in the other. */
static void merge_parameter(Elab *e, Frame *f, const Value *cond, const Snapshot *then, Span span)
{
    if (!then->has_next_parameter && !f->has_next_parameter) return;
    Value p = value_of_hidden(e, f->parameter, ((uint64_t)1 << f->parameter->rank) - 1);
    Value v = choose(e, cond, then->has_next_parameter ? &then->next_parameter : &p,
                     f->has_next_parameter ? &f->next_parameter : &p, span);
    f->next_parameter = v.kind == VALUE_TENSOR ? value_settle(e, &v, NULL, span) : v;
    f->has_next_parameter = true;
}

static void merge_locals(Elab *e, Frame *f, const Value *cond, const Snapshot *then, Span span)
{
    for (int i = 0; i < f->order.len; i++) {
        Local *b = f->order.data[i];
        const Local *a = i < then->n ? &then->locals[i] : NULL;
        Local before = *b; /* a state that one branch alone declares is there in the other, too, and stays */
        before.has_next = false;
        if (b->state) merge_next(e, cond, a ? a : &before, b, span);
        if (!a || !a->bound || !b->bound) {
            b->bound = false;
            continue;
        }
        if (a->value.kind == VALUE_ERROR || b->value.kind == VALUE_ERROR) {
            b->value = value_error();
            continue;
        }
        if (value_same(&a->value, &b->value)) continue;
        if (a->value.kind != VALUE_TENSOR && a->value.kind != VALUE_LIST) {
            branches_differ(e, b, &a->value, span);
            continue;
        }
        if (b->value.kind != VALUE_TENSOR && b->value.kind != VALUE_LIST) {
            branches_differ(e, b, &a->value, span);
            continue;
        }
        Value v = choose(e, cond, &a->value, &b->value, span);
        if (v.kind == VALUE_TENSOR) v = value_settle(e, &v, b->name, span);
        b->value = v;
    }
}

/* Carries that one branch leaves alone stay; what is yielded, both branches yield. */
static void merge_scan(Elab *e, Frame *f, const Value *cond, const Snapshot *then, Span span)
{
    Scan *scan = scan_here(e, f);
    for (int i = 0; scan && i < then->n_carried; i++) {
        const Carried *a = &then->carried[i];
        Carried *b = scan->carried.data[i];
        if (b->state || (!a->has_next && !b->has_next)) continue;
        Value v = choose(e, cond, a->has_next ? &a->next : &a->value,
                         b->has_next ? &b->next : &b->value, span);
        b->next = v.kind == VALUE_TENSOR ? value_settle(e, &v, NULL, span) : v;
        b->has_next = true;
    }
    bool same = !scan || then->n_yields == scan->yields.len;
    for (int i = 0; scan && i < then->n_yields; i++) {
        Yielded *other = NULL;
        for (int k = 0; k < scan->yields.len; k++)
            if (scan->yields.data[k].name.name == then->yields[i].name.name)
                other = &scan->yields.data[k];
        same = same && other;
        if (!other) continue;
        Value v = choose(e, cond, &then->yields[i].value, &other->value, span);
        other->value = v.kind == VALUE_TENSOR ? value_settle(e, &v, other->name.name, span) : v;
    }
    if (same) return;
    diag_error(e->context, span,
               "`yield` stands in one branch only, and which one is taken is known at run time");
    diag_hint(e->context, "yield in both branches, or choose the value: yield y = if .. then .. else ..");
}

/* What the branches return, chosen; false after an error. */
static bool merge_returns(Elab *e, Frame *f, const Value *cond, const Snapshot *then, Span span)
{
    if (then->returned != f->returned) {
        diag_error(e->context, span,
                   "`return` stands in one branch only, and which one is taken is known at run time");
        diag_hint(e->context, "return in both branches, or bind a name in both and return it after");
        f->returned = true;
        f->n_results = 0;
        return false;
    }
    if (f->returned && then->n_results != f->n_results) {
        diag_error(e->context, span, "the branches return %d and %d values", then->n_results, f->n_results);
        return false;
    }
    for (int i = 0; f->returned && i < f->n_results; i++)
        f->results[i] = choose(e, cond, &then->results[i], &f->results[i], span);
    return true;
}

void exec_branches(Elab *e, Frame *f, const Value *cond, Span span,
                   void (*branch)(void *data, bool then), void *data)
{
    Snapshot before = snapshot_take(e, f);
    f->choices++;
    const Scalar *around = choice_enter(e, cond, true);
    branch(data, true);
    e->taken = around;
    Snapshot then = snapshot_take(e, f);
    snapshot_restore(e, f, &before);
    choice_enter(e, cond, false);
    branch(data, false);
    e->taken = around;
    f->choices--;
    if (f->refused) return;
    if (!merge_returns(e, f, cond, &then, span)) return;
    merge_kept(e, cond, &then, span);
    merge_parameter(e, f, cond, &then, span);
    merge_scan(e, f, cond, &then, span);
    if (!f->returned) merge_locals(e, f, cond, &then, span);
}

typedef struct IfBranches {
    Elab *e;
    Frame *f;
    const AstStmt *s;
} IfBranches;

static void if_branch(void *data, bool then)
{
    IfBranches *b = data;
    exec_block(b->e, b->f, then ? &b->s->body : &b->s->otherwise);
}

static void exec_if(Elab *e, Frame *f, const AstStmt *s)
{
    Value cond = eval_expr(e, f, s->values.data[0]);
    if (cond.kind == VALUE_ERROR ||
        !value_convert(e, &cond, TYPE_BOOL, s->values.data[0]->span)) {
        return;
    }
    if (value_is_number(&cond)) {
        exec_block(e, f, cond.scalar->value != 0 ? &s->body : &s->otherwise);
        return;
    }
    IfBranches branches = {e, f, s};
    exec_branches(e, f, &cond, s->span, if_branch, &branches);
}

/* --- dispatch ---------------------------------------------------------------------------------------------------- */

static const char *const statement_names[] = {
    [AST_FEED] = "`feed`",
    [AST_REPEAT] = "`repeat`", [AST_EVERY] = "`every`", [AST_PHASE] = "`phase`",
    [AST_UPDATE] = "`update`", [AST_SETTING] = "a setting", [AST_SPLIT] = "a split",
    [AST_MINIMIZE] = "`minimize`", [AST_REPORT] = "`report`"};

void exec_stmt(Elab *e, Frame *f, const AstStmt *s)
{
    switch (s->kind) {
    case AST_ASSIGN: exec_assign(e, f, s); break;
    case AST_INDEX_DEF: {
        Value v = eval_index_def(e, f, &s->indices, s->values.data[0]);
        bind_target(e, f, s->names.data[0], &v);
        break;
    }
    case AST_PARAM: exec_param(e, f, s); break;
    case AST_STATE: exec_state(e, f, s); break;
    case AST_FIT: exec_fit(e, f, s); break;
    case AST_SET_NEXT: exec_next(e, f, s); break;
    case AST_FOR: exec_for(e, f, s); break;
    case AST_IF_STMT: exec_if(e, f, s); break;
    case AST_RETURN: exec_return(e, f, s); break;
    case AST_REQUIRE: exec_require(e, f, s); break;
    case AST_SCAN: exec_scan(e, f, s); break;
    case AST_YIELD: exec_yield(e, f, s); break;
    case AST_FEED:
    case AST_REPEAT:
    case AST_EVERY:
    case AST_PHASE:
    case AST_UPDATE:
    case AST_SETTING:
    case AST_SPLIT:
    case AST_MINIMIZE:
    case AST_REPORT:
        diag_error(e->context, s->span, "%s cannot stand here", statement_names[s->kind]);
        break;
    }
}

void exec_block(Elab *e, Frame *f, const AstBlock *block)
{
    for (int i = 0; i < block->len && !f->returned && !f->refused; i++)
        exec_stmt(e, f, block->data[i]);
}
