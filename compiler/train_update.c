/* train_update.c -- `update B = 0.99 * B + 0.01 * A`: sets what is kept of a model, tensor by tensor, from the
 * tensors of the same path in other models. */
#include "elaborate_train.h"

typedef struct UpdateNames {
    Elab *e;
    Frame *from, *f;
    const char *suffix; /* ".dense1.w" */
    int member;         /* of arrays of models, where an array is updated; else -1 */
    bool ok;
} UpdateNames;

static const Function *models_named(const Frame *f, Name name)
{
    if (local_find(f, name)) return NULL;
    const Definition *d = scope_find(f->scope, name);
    const Function *function = d ? d->function : NULL;
    bool model = function && (function->kind == FUNCTION_MODEL || function->kind == FUNCTION_MODELS);
    return model ? function : NULL;
}

/* The current value of the model's tensor with the suffix; an error value after a report. */
static Value model_tensor(UpdateNames *u, const Function *model, Span span)
{
    Elab *e = u->e;
    Name path = name_printf(e->context, "%s%s", model->model->model->name, u->suffix);
    model_declare(e, model);
    const Persistent *p = map_get(&e->persistents, path);
    if (p) return value_of_node(e, persistent_current(e, p));
    diag_error(e->context, span, "%s has no parameter `%s`", model->model->model->name, path);
    u->ok = false;
    return value_error();
}

/* A model's name in the expression stands for its parameter (or state) with the suffix, an array's for those
 * of its members. */
static void update_name(void *data, const AstExpr *x)
{
    UpdateNames *u = data;
    const Function *models = x->kind == AST_NAME ? models_named(u->from, x->name) : NULL;
    if (!models || !u->ok) return;
    Value v;
    if (models->kind == FUNCTION_MODEL) {
        v = model_tensor(u, models, x->span);
    } else if (u->member >= 0 && u->member < models->n_members) {
        v = model_tensor(u, models->members[u->member], x->span);
    } else {
        v = (Value){.kind = VALUE_LIST, .n_items = models->n_members};
        v.items = NEW_ARRAY(u->e->arena, Value, models->n_members + 1);
        for (int k = 0; k < models->n_members && u->ok; k++)
            v.items[k] = model_tensor(u, models->members[k], x->span);
    }
    if (u->ok) local_bind(u->e, u->f, (AstName){x->name, x->span}, &v);
}

/* The values that the expression may use: those of the block, with models replaced. */
static Frame *update_frame(UpdateNames *u, const AstExpr *x, const Persistent *p)
{
    Frame *f = u->f = frame_new(u->e, FRAME_TRAIN, u->from->scope);
    f->training = true;
    f->item = u->from->item;
    f->site = site_hash(u->e, u->from, p->path, 1);
    for (int i = 0; i < u->from->order.len; i++) {
        const Local *local = u->from->order.data[i];
        if (!local->bound) continue;
        Local *bound = local_bind(u->e, f, (AstName){local->name, local->span}, &local->value);
        bound->has_next = local->has_next;
        bound->next = local->next;
    }
    ast_walk_expr(x, update_name, u);
    return f;
}

static bool update_one(Elab *e, Frame *from, const AstStmt *s, Persistent *p, int member)
{
    const AstExpr *x = s->values.data[0];
    UpdateNames u = {.e = e, .from = from, .suffix = p->path + strlen(p->model), .member = member, .ok = true};
    Frame *f = update_frame(&u, x, p);
    Value v = u.ok ? eval_expr(e, f, x) : value_error();
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, x->span) ||
        !value_convert(e, &v, p->leaf->type, x->span))
        return false;
    Value wanted = value_of_node(e, p->leaf);
    if (v.rank == 0) {
        v.rank = wanted.rank;
        memcpy(v.shape, wanted.shape, sizeof v.shape);
        v.max = 0;
    }
    if (!shapes_same(&v, &wanted)) {
        diag_error(e->context, x->span, "`%s` is %s, and this is %s", p->path,
                   value_describe(e, &wanted), value_describe(e, &v));
        return false;
    }
    persistent_set(e, p, value_node(e, &v, NULL, s->span));
    return true;
}

/* Whether the expression is nothing but a model: then states are copied, too. */
static bool is_copy(const Frame *f, const AstExpr *x)
{
    if (x->kind == AST_SUBSCRIPT) x = x->subscript.base;
    return x->kind == AST_NAME && models_named(f, x->name);
}

/* False after an error. */
static bool update_model(Elab *e, Frame *f, const AstStmt *s, const Function *function, int member)
{
    Name model = function->model->model->name;
    bool any = false, copy = is_copy(f, s->values.data[0]);
    model_declare(e, function);
    int n = e->program->persistents.len;
    for (int i = 0; i < n; i++) {
        Persistent *p = e->program->persistents.data[i];
        bool kept = p->kind == PERSIST_PARAM || (copy && p->kind == PERSIST_STATE);
        if (p->model != model || !kept) continue;
        any = true;
        if (!update_one(e, f, s, p, member)) return false;
    }
    if (!any && !diag_errors(e->context)) {
        diag_error(e->context, s->names.data[0].span, "%s has no parameters yet", model);
        diag_hint(e->context, "they exist from its first call on: _ = %s(..) before this line", model);
    }
    return any;
}

void exec_update(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    const Function *function = models_named(f, name.name);
    if (!function) {
        diag_error(e->context, name.span, "`update` changes a model; `%s` is none", name.name);
        return;
    }
    bool array = function->kind == FUNCTION_MODELS, good = true;
    for (int k = 0; array && k < function->n_members && good; k++)
        good = update_model(e, f, s, function->members[k], k);
    if (!array) update_model(e, f, s, function, -1);
    e->session->last_change = s->span;
}
