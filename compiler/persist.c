/* persist.c -- what is kept between steps: parameters, states, and the states of optimizers (fitted values:
 * elaborate_fit.c).
 * Each is named by its path; a second view of a model finds the same one again. */
#include "elaborate.h"

#include <assert.h>

const Node *node_over_context(Elab *e, const Value *v, Span span)
{
    int depth = e->axes.len;
    Axis saved[MAX_CONTEXT];
    if (depth) memcpy(saved, e->axes.data, sizeof(Axis) * (size_t)depth);
    Value all = axes_pop(e, 0, v, span);
    for (int i = 0; i < depth; i++)
        vec_push(e->arena, &e->axes, saved[i]);
    if (all.kind == VALUE_ERROR) all = value_scalar(scalar_real(e->g, 0));
    return value_node(e, &all, NULL, span);
}

/* --- the tensors ------------------------------------------------------------------------------------------- */

Persistent *persistent_new(Elab *e, PersistKind kind, Name path, const char *model, const Node *init,
                           ElemType type, int rank, const Extent *shape, Span span)
{
    Persistent *p = NEW(e->arena, Persistent);
    *p = (Persistent){.kind = kind, .path = path, .model = model, .init = init, .span = span,
                      .index = e->program->persistents.len};
    Leaf leaf = {.kind = LEAF_PERSIST, .name = path, .persistent = p};
    p->leaf = graph_leaf(e->g, &leaf, type, rank, shape);
    vec_push(e->arena, &e->program->persistents, p);
    map_put(&e->persistents, path, p);
    if (load_initial(e, p) && kind == PERSIST_FIT) map_put(&e->fitted, p, p);
    return p;
}

const Node *persistent_current(Elab *e, const Persistent *p)
{
    if (e->scan && e->session && p->kind == PERSIST_STATE) return scan_state(e, p)->next_node;
    const Node *node = e->session ? map_get(&e->session->current, p) : NULL;
    return node ? node : p->leaf;
}

/* What is kept is a number like any other once it is there: a later derivative does not flow through the
 * computation that made it. */
void persistent_set(Elab *e, Persistent *p, const Node *value)
{
    Session *s = e->session;
    if (value->type == TYPE_REAL) {
        const Scalar *stopped = scalar_op1(e->g, OP_STOP, scalar_load_at(e->g, value, 0));
        const Node *kept = graph_map(e->g, value->rank, value->shape, stopped, value->span);
        if (value->name) graph_name(kept, value->name);
        value = kept;
    }
    if (e->scan) {
        scan_state(e, p)->next_node = value;
        return;
    }
    if (!map_get(&s->current, p)) vec_push(e->arena, &s->changed, p);
    const Persistent *other = map_get(&s->owner, value);
    if (other && other != p) value = graph_tag(e->g, value); /* equal, but not the same to a derivative */
    map_put(&s->owner, value, p);
    map_put(&s->current, p, (void *)(uintptr_t)value);
}

Name persist_path(Elab *e, const Frame *f, Name name)
{
    StrBuf s = str_new(e->arena);
    const char *owner = f->kind == FRAME_TRAIN ? e->train->name : f->path;
    size_t length = f->kind == FRAME_TRAIN ? strcspn(owner, ".") : strlen(owner);
    str_add_n(&s, owner, length);
    str_printf(&s, ".%s", name);
    for (int i = 0; i < f->loops.len; i++)
        str_printf(&s, "[%lld]", (long long)f->loops.data[i]);
    return name_of(e->context, str_text(&s));
}

/* --- initial values ------------------------------------------------------------------------------------------ */

/* Whether a value needs no data, parameters or arguments. */
static bool init_is_constant(Elab *e, const Node *node, Span span)
{
    Arena *scratch = arena_new();
    Nodes nodes = graph_reach(scratch, &node, 1);
    const Node *bad = NULL;
    for (int i = 0; i < nodes.len && !bad; i++)
        if (nodes.data[i]->kind == NODE_LEAF && nodes.data[i]->leaf->kind != LEAF_CONST &&
            nodes.data[i]->leaf->kind != LEAF_FILE && !nodes.data[i]->leaf->loop)
            bad = nodes.data[i];
    arena_free(scratch);
    if (!bad) return true;
    diag_error(e->context, span,
               "an initial value uses compile-time values and draws only, not `%s`",
               bad->name ? bad->name : "data");
    return false;
}

static uint64_t path_hash(Name path)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *c = path; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

/* Evaluates `x` once per element of the axes given; they become its leading visible axes: all axes for one
 * number, those in front for a value that has axes of its own. */
static Value init_mapped(Elab *e, Frame *f, const AstExpr *x, int rank, const Extent *shape)
{
    for (int k = 0; k < rank; k++)
        axes_push(e, shape[k], NULL);
    Value v = eval_expr(e, f, x);
    if (v.kind != VALUE_ERROR) value_tensor(e, &v, x->span);
    return axes_pop(e, 0, &v, x->span);
}

/* The initial value for a declared shape (rank -1: whatever the value's shape is), as a node. */
static const Node *init_node(Elab *e, Frame *f, const AstExpr *x, Name path, ElemType type, int rank,
                             const Extent *shape)
{
    Axis saved[MAX_CONTEXT];
    int depth = e->axes.len;
    if (depth) memcpy(saved, e->axes.data, sizeof(Axis) * (size_t)depth);
    uint64_t site = f->site;
    bool initialising = e->initialising;
    Scan *scan = e->scan;
    e->scan = NULL;
    f->site = path_hash(path);
    e->initialising = true;
    e->axes.len = 0;
    Value v = init_mapped(e, f, x, 0, NULL);
    if (v.kind == VALUE_TENSOR && v.rank < rank) v = init_mapped(e, f, x, rank - v.rank, shape);
    f->site = site;
    e->scan = scan;
    e->initialising = initialising;
    e->axes.len = 0;
    for (int i = 0; i < depth; i++)
        vec_push(e->arena, &e->axes, saved[i]);
    if (v.kind != VALUE_TENSOR) return NULL;
    if (rank < 0) {
        type = value_is_number(&v) || value_type(&v) > type ? TYPE_REAL : value_type(&v);
    } else {
        Value wanted = {.kind = VALUE_TENSOR, .scalar = v.scalar, .rank = rank};
        memcpy(wanted.shape, shape, sizeof(Extent) * (size_t)rank);
        if (!shapes_same(&wanted, &v)) {
            diag_error(e->context, x->span, "the initial value is %s, but %s is wanted",
                       value_describe(e, &v), value_describe(e, &wanted));
            return NULL;
        }
    }
    if (!value_convert(e, &v, type, x->span)) return NULL;
    const Node *node = value_node(e, &v, NULL, x->span);
    return init_is_constant(e, node, x->span) ? node : NULL;
}

static ElemType declared_type(const AstType *type)
{
    static const ElemType types[] = {[AST_REAL] = TYPE_REAL, [AST_INT] = TYPE_INT,
                                     [AST_BASE_BOOL] = TYPE_BOOL, [AST_U8] = TYPE_U8};
    return types[type->base];
}

/* Finds the tensor with this path, or makes it; NULL after an error. */
static Persistent *declare(Elab *e, Frame *f, const AstStmt *s, PersistKind kind, Name path)
{
    int rank = -1;
    Extent shape[MAX_RANK];
    ElemType type = TYPE_REAL;
    if (s->type) {
        if (!type_shape(e, f, s->type, &rank, shape)) return NULL;
        type = declared_type(s->type);
        for (int k = 0; k < rank; k++)
            if (shape[k].size) {
                diag_error(e->context, s->type->span,
                           "the size of what is kept must be known when compiling");
                return NULL;
            }
    }
    if (kind == PERSIST_PARAM && type != TYPE_REAL) {
        diag_error(e->context, s->type->span, "a parameter is real: it is trained");
        return NULL;
    }
    Persistent *known = map_get(&e->persistents, path);
    if (known && known->kind != kind) {
        diag_error(e->context, s->span, "`%s` is declared twice", s->names.data[0].name);
        diag_note(e->context, known->span, "the first declaration");
        return NULL;
    }
    if (known && !s->type) return known;
    if (known) {
        bool same = known->leaf->rank == rank && known->leaf->type == type;
        for (int k = 0; same && k < rank; k++)
            same = extent_equal(known->leaf->shape[k], shape[k]);
        if (same) return known;
        Value old = value_of_node(e, known->leaf), wanted = old;
        wanted.rank = rank;
        memcpy(wanted.shape, shape, sizeof shape);
        diag_error(e->context, s->span, "`%s` is %s here, and %s in another call of its model", path,
                   value_describe(e, &wanted), value_describe(e, &old));
        return NULL;
    }
    const Node *init = init_node(e, f, s->values.data[0], path, type, rank, shape);
    if (!init) return NULL;
    return persistent_new(e, kind, path, f->model ? f->model->model->name : NULL, init, init->type,
                          init->rank, init->shape, s->span);
}

bool persist_may(Elab *e, const Frame *f, const AstStmt *s, const char *what)
{
    if (f->path) return true;
    diag_error(e->context, s->span, "%s stands in layers and models only", what);
    if (f->kind == FRAME_BODY)
        diag_hint(e->context, "make `%s` a layer", f->item ? f->item->name.name : "this function");
    return false;
}

void bind_failed(Elab *e, Frame *f, AstName name)
{
    Value v = value_error();
    local_bind(e, f, name, &v);
}

static void declared_once(Elab *e, const Frame *f, AstName name, const Persistent *p)
{
    const Local *local = local_find(f, name.name);
    if (!local || local->declared != p) return;
    diag_error(e->context, name.span, "`%s` is declared twice", name.name);
    diag_note(e->context, local->span, "the first declaration");
}

void exec_param(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    Persistent *p = persist_may(e, f, s, "`param`")
                        ? declare(e, f, s, PERSIST_PARAM, persist_path(e, f, name.name)) : NULL;
    if (!p) {
        bind_failed(e, f, name);
        return;
    }
    Value v = value_of_node(e, persistent_current(e, p));
    declared_once(e, f, name, p);
    local_bind(e, f, name, &v)->declared = p;
}

/* --- states ---------------------------------------------------------------------------------------------------- */

/* A state of an optimizer: one value for each element of the parameter. */
static void optimizer_state(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    Name path = name_printf(e->context, "%s.%s", f->optimizer_path, name.name);
    const Node *parameter = f->parameter;
    if (s->type && s->type->dims.len) {
        diag_error(e->context, s->type->span, "a state of an optimizer is one number for each element of the parameter");
        diag_hint(e->context, "leave the axes out: state %s = ..", name.name);
        bind_failed(e, f, name);
        return;
    }
    Persistent *p = map_get(&e->persistents, path);
    const Local *local = local_find(f, name.name);
    if (p && local && local->state == p) {
        diag_error(e->context, s->span, "`%s` is declared twice", name.name);
        diag_note(e->context, p->span, "the first declaration");
        bind_failed(e, f, name);
        return;
    }
    ElemType type = s->type ? declared_type(s->type) : TYPE_REAL;
    if (!p) { /* else an earlier round of a `repeat` made it */
        const Node *init =
            init_node(e, f, s->values.data[0], path, type, parameter->rank, parameter->shape);
        if (!init) {
            bind_failed(e, f, name);
            return;
        }
        p = persistent_new(e, PERSIST_OPTIMIZER, path, NULL, init, type, init->rank, init->shape,
                           s->span);
    }
    uint64_t all = ((uint64_t)1 << parameter->rank) - 1;
    Value v = value_of_hidden(e, persistent_current(e, p), all);
    local_bind(e, f, name, &v)->state = p;
}

void exec_state(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    if (f->kind == FRAME_OPTIMIZER) {
        optimizer_state(e, f, s);
        return;
    }
    Persistent *p = f->kind == FRAME_TRAIN || persist_may(e, f, s, "`state`")
                        ? declare(e, f, s, PERSIST_STATE, persist_path(e, f, name.name)) : NULL;
    if (!p) {
        bind_failed(e, f, name);
        return;
    }
    Value v = value_of_node(e, persistent_current(e, p));
    declared_once(e, f, name, p);
    Local *local = local_bind(e, f, name, &v);
    local->state = p;
    local->declared = p;
}

/* --- next --------------------------------------------------------------------------------------------------------- */

/* The value that next assigns, of the type and shape wanted; an error value after a mistake. */
static Value next_value(Elab *e, Frame *f, const AstStmt *s)
{
    if (s->indices.len) return eval_index_def(e, f, &s->indices, s->values.data[0]);
    Value v = eval_expr(e, f, s->values.data[0]);
    if (v.kind != VALUE_ERROR && !value_tensor(e, &v, s->span)) return value_error();
    return v;
}

static void optimizer_next(Elab *e, Frame *f, const AstStmt *s, Value v)
{
    Name name = s->names.data[0].name;
    bool parameter = !strcmp(name, "p");
    Local *local = local_find(f, name);
    if (local && local->bound && local->value.kind == VALUE_ERROR) return;
    if (!parameter && (!local || !local->state)) {
        diag_error(e->context, s->names.data[0].span, "`%s` is not a state of this optimizer", name);
        return;
    }
    if (v.rank) {
        diag_error(e->context, s->span, "an optimizer works on one element: this is %s",
                   value_describe(e, &v));
        return;
    }
    ElemType type = parameter ? TYPE_REAL : local->state->leaf->type;
    if (!value_convert(e, &v, type, s->span)) return;
    v = value_settle(e, &v, NULL, s->span);
    if (parameter) {
        f->has_next_parameter = true;
        f->next_parameter = v;
        return;
    }
    local->has_next = true;
    local->next = v;
}

void optimizer_finish(Elab *e, Frame *f, Span span)
{
    for (int i = 0; i < f->order.len; i++) {
        const Local *local = f->order.data[i];
        if (!local->state || !local->has_next || local->next.kind == VALUE_ERROR) continue;
        persistent_set(e, local->state, node_over_context(e, &local->next, span));
    }
}

static void state_next(Elab *e, Frame *f, const AstStmt *s, Value v)
{
    AstName name = s->names.data[0];
    Local *local = local_find(f, name.name);
    if (local && local->bound && local->value.kind == VALUE_ERROR) return;
    if (!local || !local->state) {
        diag_error(e->context, name.span,
                   "`next %s`: `%s` is not a state of this body or a carry of a scan", name.name,
                   name.name);
        return;
    }
    if (local->has_next && f->kind == FRAME_TRAIN) {
        diag_error(e->context, s->span, "`next %s` is set twice", name.name);
        diag_hint(e->context, "bind the first value to a name of its own, and set `next %s` once", name.name);
        return;
    }
    if (!f->training && f->kind != FRAME_TRAIN) {
        diag_error(e->context, s->span, "a state changes in training only");
        diag_hint(e->context, "put it under `if training { .. }`");
        return;
    }
    if (f->in_fit) {
        diag_error(e->context, s->span, "a state does not change while a value is fitted, before the first step");
        return;
    }
    const Node *leaf = local->state->leaf;
    if (!value_convert(e, &v, leaf->type, s->span)) return;
    Value wanted = value_of_node(e, leaf);
    if (v.rank == 0 && wanted.rank) {
        v.rank = wanted.rank;
        memcpy(v.shape, wanted.shape, sizeof v.shape);
    }
    if (!shapes_same(&v, &wanted)) {
        diag_error(e->context, s->span, "`%s` is %s, and this is %s", name.name,
                   value_describe(e, &wanted), value_describe(e, &v));
        return;
    }
    uint64_t hidden;
    const Node *node = value_node(e, &v, &hidden, s->span);
    if (hidden) {
        diag_error(e->context, s->span, "the new value of `%s` differs between instances", name.name);
        diag_hint(e->context, "reduce over them: mean[each] ..");
        return;
    }
    Value kept = value_of_node(e, node);
    local->has_next = true;
    local->next = value_op(e, OP_STOP, &kept, 1, s->span);
    /* Where a train block is evaluated, nothing is changed. */
    if (e->session && f->training) persistent_set(e, local->state, node);
}

StateList states_set(Elab *e, const Frame *f)
{
    StateList set = {0};
    for (int i = 0; i < f->order.len; i++)
        if (f->order.data[i]->state && f->order.data[i]->has_next)
            vec_push(e->arena, &set, f->order.data[i]->state);
    return set;
}

void states_proceed(Elab *e, Frame *f, const StateList *before)
{
    for (int i = 0; i < f->order.len; i++) {
        Local *local = f->order.data[i];
        Persistent *state = local->state;
        bool stays = !state || !local->has_next;
        for (int k = 0; k < before->len && !stays; k++)
            stays = before->data[k] == state;
        if (stays) continue;
        AstName name = {local->name, local->span};
        const Persistent *declared = local->declared;
        Value next = local->next;
        local = local_bind(e, f, name, &next);
        local->state = state;
        local->declared = declared;
    }
}

void exec_next(Elab *e, Frame *f, const AstStmt *s)
{
    if (exec_carry_next(e, f, s)) return;
    Value v = next_value(e, f, s);
    Local *local = local_find(f, s->names.data[0].name);
    if (v.kind == VALUE_ERROR) { /* its uses stay silent */
        if (local && local->state) local->has_next = true;
        if (local && local->state) local->next = v;
        return;
    }
    if (f->kind == FRAME_OPTIMIZER) {
        optimizer_next(e, f, s, v);
        return;
    }
    state_next(e, f, s, v);
}
