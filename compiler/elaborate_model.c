/* elaborate_model.c -- models as entry points of their own: the results of a model for a batch of inputs, with
 * `training` false. Sizes that the signature leaves open are those of the model's first call. */
#include "elaborate.h"

enum { MODEL_BATCH = 256 };

/* The shape of an input; false if it is not known. */
static bool input_shape(Elab *e, const ModelInstance *m, int k, const Scope *scope, int *rank,
                        Extent *shape)
{
    const AstType *type = m->item->params.data[k].type;
    if (m->first_args && m->first_args[k].kind == VALUE_TENSOR) {
        *rank = m->first_args[k].rank;
        memcpy(shape, m->first_args[k].shape, sizeof(Extent) * (size_t)*rank);
        for (int i = 0; i < *rank; i++)
            if (shape[i].size) return false;
        return true;
    }
    for (int i = 0; i < type->dims.len; i++) {
        const AstDim *d = &type->dims.data[i];
        if (d->rest || d->bounded) return false;
        if (d->size->kind == AST_NAME) {
            const Definition *c = scope_find(scope, d->size->name);
            if (!c || !c->item || c->item->kind != AST_CONST) return false;
        }
    }
    Frame *f = frame_new(e, FRAME_CONST, scope);
    return type_shape(e, f, type, rank, shape);
}

/* The arguments of the entry: leaves for typed parameters, compile-time values for the others. */
static bool model_inputs(Elab *e, ModelInstance *m, const Scope *scope, Entry *entry, CallArg *args)
{
    Extent batch = elab_batch(e, MODEL_BATCH);
    for (int i = 0; i < m->item->params.len; i++) {
        const AstParam *p = &m->item->params.data[i];
        args[i] = (CallArg){p->name.name, p->name.span, value_error()};
        if (!p->type) {
            if (m->first_args) args[i].value = m->first_args[i];
            else if (p->fallback)
                args[i].value = eval_expr(e, frame_new(e, FRAME_CONST, scope), p->fallback);
            if (args[i].value.kind == VALUE_ERROR) return false;
            continue;
        }
        Extent shape[MAX_RANK + 1];
        int rank;
        if (!input_shape(e, m, i, scope, &rank, shape + 1)) return false;
        shape[0] = batch;
        Leaf leaf = {.kind = LEAF_INPUT, .name = p->name.name};
        const Node *node =
            graph_leaf(e->g, &leaf, type_of_base(p->type->base), rank + 1, shape);
        vec_push(e->arena, &entry->inputs, node);
        vec_push(e->arena, &m->model->input_names, p->name.name);
        args[i].value = value_of_node(e, node);
    }
    return true;
}

static void model_entry(Elab *e, ModelInstance *m, const Function *function)
{
    Entry *entry = NEW(e->arena, Entry);
    char *name = arena_printf(e->arena, "model_%s", m->model->name);
    for (char *c = name; *c; c++)
        if (*c == '[' || *c == ']') *c = '_'; /* Net[2]: the name is an identifier */
    entry->name = name_of(e->context, name);
    CallArg *args = NEW_ARRAY(e->arena, CallArg, m->item->params.len + 1);
    if (!model_inputs(e, m, function->scope, entry, args)) return;
    entry->batch = entry->inputs.len ? MODEL_BATCH : 0;
    e->session = session_new(e, false);
    Frame *f = frame_new(e, FRAME_CONST, function->scope);
    AstExpr callee = {.kind = AST_NAME, .span = m->item->name.span, .name = m->model->name};
    AstExpr call = {.kind = AST_CALL, .span = m->item->name.span};
    call.call.callee = &callee;
    Value results[16];
    int n = call_function(e, f, function, &call, args, m->item->params.len, results, 16);
    for (int i = 0; i < n; i++) {
        if (results[i].kind != VALUE_TENSOR) return;
        Name out = n == 1 ? name_of(e->context, "out") : name_printf(e->context, "out%d", i + 1);
        Output output = {.name = out,
                         .node = value_node(e, &results[i], NULL, m->model->span),
                         .span = m->model->span};
        vec_push(e->arena, &entry->outputs, output);
    }
    e->session = NULL;
    if (n) m->model->entry = entry;
}

void elaborate_models(Elab *e)
{
    for (int i = 0; i < e->model_functions.len; i++) {
        const Function *function = e->model_functions.data[i];
        if (!diag_errors(e->context)) model_entry(e, function->model, function);
    }
    for (int i = 0; i < e->model_functions.len; i++) {
        Model *model = e->model_functions.data[i]->model->model;
        for (int k = 0; k < e->program->persistents.len; k++) {
            Persistent *p = e->program->persistents.data[k];
            if (p->model != model->name) continue;
            vec_push(e->arena, &model->persistents, p);
            if (p->kind == PERSIST_PARAM) model->n_parameters += node_max_elements(p->leaf);
        }
        vec_push(e->arena, &e->program->models, model);
    }
}
