/* elaborate_train.c -- train blocks: the step, the reports, the fits.
 *
 * The block is elaborated twice. As the step: `training` is true; every `minimize` differentiates its loss by
 * the parameters and runs the optimizer's body on each, so that the step is a function from what is kept to
 * what is kept. As the evaluation: `training` is false, and the batch axis stands for the whole split; stream.c
 * splits it into passes. */
#include "elaborate.h"

typedef struct TrainWork {
    Train *train;
    const AstItem *item;
    const Definition *definition;
    double clip;  /* 0: none */
    int minimizes;
} TrainWork;

/* --- minimize ----------------------------------------------------------------------------------------------- */

/* Whether the loss still reads the parameter as it was before this step's change. */
static bool reads_old(Elab *e, const Node *loss, const Persistent *p)
{
    Arena *scratch = arena_new();
    Map seen = map_new(scratch);
    Nodes todo = {0};
    bool found = false;
    vec_push(scratch, &todo, loss);
    while (todo.len && !found) {
        const Node *node = todo.data[--todo.len];
        if (map_get(&seen, node)) continue;
        map_put(&seen, node, (void *)(uintptr_t)node);
        if (node == p->leaf) found = true;
        bool current = false;
        for (int i = 0; i < e->session->changed.len && !current; i++)
            current = map_get(&e->session->current, e->session->changed.data[i]) == node;
        if (current) continue;
        Nodes operands = node_operands(scratch, node);
        for (int i = 0; i < operands.len; i++)
            vec_push(scratch, &todo, operands.data[i]);
    }
    arena_free(scratch);
    return found;
}

typedef VEC(Name) NameList;

/* The names of the models behind `over`; false after an error. */
static bool over_models(Elab *e, Frame *f, const AstStmt *s, NameList *models)
{
    for (int i = 0; i < s->over.len; i++) {
        const AstWho *who = &s->over.data[i];
        AstExpr name = {.kind = AST_NAME, .span = who->name.span, .name = who->name.name};
        Value v = eval_expr(e, f, &name);
        if (v.kind == VALUE_ERROR) return false;
        const Function *function = v.kind == VALUE_FUNCTION ? v.function : NULL;
        int64_t k;
        if (function && function->kind == FUNCTION_MODELS && who->index &&
            eval_int(e, f, who->index, "the number of a model", &k) && k >= 0 &&
            k < function->n_members)
            function = function->members[k];
        if (function && function->kind == FUNCTION_MODELS && !who->index) {
            for (int m = 0; m < function->n_members; m++)
                vec_push(e->arena, models, function->members[m]->model->model->name);
        } else if (function && function->kind == FUNCTION_MODELS) {
            diag_error(e->context, who->name.span, "there are %d models %s, numbered from 0",
                       function->n_members, function->name);
            return false;
        } else if (function && function->kind == FUNCTION_MODEL && who->index &&
                   v.function->kind == FUNCTION_MODEL) {
            diag_error(e->context, who->name.span, "`%s` is one model, not an array of models",
                       who->name.name);
            return false;
        } else if (function && function->kind == FUNCTION_MODEL) {
            vec_push(e->arena, models, function->model->model->name);
        } else {
            diag_error(e->context, who->name.span, "`over` names models; `%s` is %s", who->name.name,
                       value_describe(e, &v));
            return false;
        }
    }
    return true;
}

static bool name_listed(const NameList *list, Name name)
{
    for (int i = 0; i < list->len; i++)
        if (list->data[i] == name) return true;
    return false;
}

/* The loss as a node of rank 0; NULL after an error. */
static const Node *loss_node(Elab *e, Frame *f, const AstStmt *s)
{
    Value v = eval_expr(e, f, s->values.data[0]);
    Span span = s->values.data[0]->span;
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, span)) return NULL;
    if (v.rank) {
        diag_error(e->context, span, "minimize wants one number; this is %s", value_describe(e, &v));
        diag_hint(e->context, "take the mean over the batch: minimize mean(..)");
        return NULL;
    }
    if (value_type(&v) == TYPE_BOOL) {
        diag_error(e->context, span, "minimize wants a number that varies smoothly; this is a truth value");
        return NULL;
    }
    if (!value_convert(e, &v, TYPE_REAL, span)) return NULL;
    return value_node(e, &v, NULL, span);
}

/* The factor that brings the global norm of the gradients down to the limit. */
static Value clip_factor(Elab *e, const Node *const *gradients, int n, double limit, Span span)
{
    Value total = value_scalar(scalar_real(e->g, 0));
    for (int i = 0; i < n; i++) {
        if (!gradients[i]) continue;
        Value g = value_of_node(e, gradients[i]);
        Value square = value_op(e, OP_MUL, (Value[]){g, g}, 2, span);
        Value sum = value_reduce(e, REDUCE_SUM, 0, &square, NULL, 0, span);
        total = value_op(e, OP_ADD, (Value[]){total, sum}, 2, span);
    }
    Value norm = value_op(e, OP_SQRT, &total, 1, span);
    norm = value_settle(e, &norm, NULL, span);
    Value most = value_scalar(scalar_real(e->g, limit)), one = value_scalar(scalar_real(e->g, 1));
    Value over = value_op(e, OP_LT, (Value[]){most, norm}, 2, span);
    Value ratio = value_op(e, OP_DIV, (Value[]){most, norm}, 2, span);
    Value factor = value_op(e, OP_SELECT, (Value[]){over, ratio, one}, 3, span);
    return value_settle(e, &factor, NULL, span);
}

/* Finds the optimizer and its arguments in `using primary`. */
static const Function *optimizer_find(Elab *e, Frame *f, const AstExpr *x, CallArg **args,
                                      int *n_args)
{
    const AstExpr *callee = x->kind == AST_CALL ? x->call.callee : x;
    Value v = eval_expr(e, f, callee);
    if (v.kind == VALUE_ERROR) return NULL;
    if (v.kind != VALUE_FUNCTION || v.function->kind != FUNCTION_OPTIMIZER) {
        diag_error(e->context, callee->span, "%s is not an optimizer", expr_text(e, callee));
        return NULL;
    }
    *args = NULL;
    *n_args = 0;
    if (x->kind == AST_CALL) {
        if (!eval_args(e, f, &x->call.args, args)) return NULL;
        *n_args = x->call.args.len;
        for (int i = 0; i < *n_args; i++)
            if ((*args)[i].value.kind == VALUE_TENSOR)
                (*args)[i].value = value_settle(e, &(*args)[i].value, NULL, (*args)[i].span);
    }
    return v.function;
}

typedef struct Step {
    const AstExpr *using;
    const Function *optimizer;
    CallArg *args;
    int n_args;
    const char *path;   /* mlp.minimize1 */
    const Node *t;      /* its step number, from 1 */
} Step;

/* p, g and t have their meaning in an optimizer: no parameter is called so. */
static bool optimizer_names_free(Elab *e, const AstItem *item)
{
    for (int i = 0; i < item->params.len; i++) {
        const char *name = item->params.data[i].name.name;
        if (strcmp(name, "p") && strcmp(name, "g") && strcmp(name, "t")) continue;
        diag_error(e->context, item->params.data[i].name.span,
                   "`%s` is %s in an optimizer; choose another name", name,
                   *name == 'p' ? "the parameter" : *name == 'g' ? "its gradient" : "the step number");
        return false;
    }
    return true;
}

/* Runs the optimizer's body for the elements of one parameter. */
static void parameter_step(Elab *e, Frame *f, const Step *step, Persistent *p, const Node *gradient,
                           const Value *factor)
{
    const Node *current = persistent_current(e, p);
    Frame *o = frame_new(e, FRAME_OPTIMIZER, step->optimizer->scope);
    o->caller = f;
    o->item = step->optimizer->item;
    map_put(&e->reached, o->item, (void *)(uintptr_t)o->item);
    o->function = step->optimizer;
    o->training = true;
    o->optimizer_path = arena_printf(e->arena, "%s.%s", step->path, p->path);
    o->parameter = current;
    o->target = p;
    o->call_span = step->using->span;
    o->site = site_hash(e, f, step->using->span);
    int first = e->axes.len;
    for (int k = 0; k < current->rank; k++)
        axes_push(e, current->shape[k], NULL);
    uint64_t all = ((uint64_t)1 << current->rank) - 1;
    Span none = NO_SPAN;
    Value pv = value_of_hidden(e, current, all), gv = value_of_hidden(e, gradient, all);
    if (factor) gv = value_op(e, OP_MUL, (Value[]){gv, *factor}, 2, step->using->span);
    Value tv = value_of_node(e, step->t);
    local_bind(e, o, (AstName){name_of(e->context, "p"), none}, &pv);
    local_bind(e, o, (AstName){name_of(e->context, "g"), none}, &gv);
    local_bind(e, o, (AstName){name_of(e->context, "t"), none}, &tv);
    int before = diag_count(e->context);
    if (optimizer_names_free(e, o->item) && params_bind(e, o, o->item, step->args, step->n_args, step->using->span)) {
        exec_block(e, o, &o->item->body);
        if (o->has_next_parameter) {
            persistent_set(e, p, node_over_context(e, &o->next_parameter, step->using->span));
        } else if (!diag_errors(e->context)) {
            diag_error(e->context, o->item->name.span, "the optimizer %s never sets `next p`",
                       o->item->name.name);
        }
    }
    e->axes.len = first;
    if (step->optimizer->scope->library) diag_reanchor(e->context, before, step->using->span);
}

/* The parameters that the loss trains, with their current values. */
static void parameters_find(Elab *e, const AstStmt *s, const NameList *over, const Node *loss,
                            Persistent ***out, const Node ***nodes, int *n)
{
    Arena *arena = e->arena;
    Nodes reached = graph_reach(arena, &loss, 1);
    Map seen = map_new(arena);
    for (int i = 0; i < reached.len; i++)
        map_put(&seen, reached.data[i], (void *)(uintptr_t)reached.data[i]);
    int count = e->program->persistents.len;
    *out = NEW_ARRAY(arena, Persistent *, count + 1);
    *nodes = NEW_ARRAY(arena, const Node *, count + 1);
    *n = 0;
    for (int i = 0; i < count; i++) {
        Persistent *p = e->program->persistents.data[i];
        if (p->kind != PERSIST_PARAM || (over->len && !name_listed(over, p->model))) continue;
        const Node *current = persistent_current(e, p);
        if (current != p->leaf && reads_old(e, loss, p)) {
            diag_error(e->context, s->values.data[0]->span,
                       "this loss was computed from `%s` before line %d changed it; compute it again "
                       "after that line", p->path, e->session->last_change.line);
            return;
        }
        if (!map_get(&seen, current)) continue;
        (*out)[*n] = p;
        (*nodes)[(*n)++] = current;
    }
    for (int i = 0; i < over->len; i++) {
        bool any = false;
        for (int k = 0; k < *n; k++)
            any = any || (*out)[k]->model == over->data[i];
        if (!any)
            diag_warning(e->context, s->span, "the loss does not depend on %s", over->data[i]);
    }
}

/* The optimizer's step number: kept, one per minimize, counted up here. */
static const Node *step_number(Elab *e, const char *path, Span span)
{
    Name name = name_printf(e->context, "%s.t", path);
    Persistent *p = map_get(&e->persistents, name);
    const Node *zero = graph_map(e->g, 0, NULL, scalar_int(e->g, 0), span);
    if (!p) p = persistent_new(e, PERSIST_OPTIMIZER, name, NULL, zero, TYPE_INT, 0, NULL, span);
    const Scalar *next = scalar_op2(e->g, OP_ADD, scalar_load(e->g, p->leaf, NULL, NULL, span),
                                    scalar_int(e->g, 1));
    const Node *node = graph_map(e->g, 0, NULL, next, span);
    graph_name(node, name_of(e->context, "t"));
    persistent_set(e, p, node);
    return node;
}

static void exec_minimize(Elab *e, Frame *f, TrainWork *w, const AstStmt *s, Entry *entry)
{
    NameList over = {0};
    Step step = {.using = s->values.data[1]};
    const Node *loss = loss_node(e, f, s);
    step.optimizer = optimizer_find(e, f, step.using, &step.args, &step.n_args);
    if (!over_models(e, f, s, &over) || !loss || !step.optimizer) return;
    Persistent **targets;
    const Node **nodes;
    int n, errors = diag_errors(e->context);
    parameters_find(e, s, &over, loss, &targets, &nodes, &n);
    if (diag_errors(e->context) > errors) return;
    if (n == 0) {
        diag_error(e->context, s->span, "this loss depends on no parameter%s",
                   over.len ? " of the models named" : "");
        return;
    }
    Name name = name_printf(e->context, "minimize%d", ++w->minimizes);
    step.path = arena_printf(e->arena, "%s.%s", w->train->name, name);
    step.t = step_number(e, step.path, s->span);
    const Node *one = graph_scalar(e->g, scalar_real(e->g, 1));
    const Node **gradients = NEW_ARRAY(e->arena, const Node *, n);
    autodiff(e->g, loss, one, 0, nodes, n, gradients);
    Value factor;
    if (w->clip > 0) factor = clip_factor(e, gradients, n, w->clip, s->span);
    for (int i = 0; i < n; i++)
        if (gradients[i])
            parameter_step(e, f, &step, targets[i], gradients[i], w->clip > 0 ? &factor : NULL);
    e->session->last_change = s->span;
    Minimize m = {name, s->span, entry->outputs.len};
    vec_push(e->arena, &w->train->minimizes, m);
    Name shown = w->minimizes == 1 ? name_of(e->context, "loss")
                                   : name_printf(e->context, "loss%d", w->minimizes);
    Output output = {shown, loss, s->span};
    vec_push(e->arena, &entry->outputs, output);
}

/* --- the two elaborations --------------------------------------------------------------------------------------- */

static Frame *train_frame(Elab *e, TrainWork *w, bool training)
{
    Frame *f = frame_new(e, FRAME_TRAIN, w->definition->scope);
    f->item = w->item;
    f->training = training;
    Value failed = value_error();
    for (int d = 0; d < w->train->data.len; d++) {
        const DataSet *data = w->train->data.data[d];
        for (int i = 0; i < data->failed.len; i++)
            local_bind(e, f, (AstName){data->failed.data[i], NO_SPAN}, &failed);
        const Split *split = &w->train->data.data[d]->splits[SPLIT_TRAIN];
        for (int i = 0; i < split->fields.len; i++) {
            const Field *field = split->fields.data[i];
            bool clash = false;
            for (int o = 0; o < w->train->data.len; o++)
                for (int k = 0; o != d && k < w->train->data.data[o]->splits[SPLIT_TRAIN].fields.len; k++)
                    clash = clash ||
                            w->train->data.data[o]->splits[SPLIT_TRAIN].fields.data[k]->name ==
                                field->name;
            if (clash) continue;
            Value v = value_of_node(e, field->leaf);
            local_bind(e, f, (AstName){field->name, field->span}, &v);
        }
    }
    return f;
}

/* The leaves that stand for the examples of a batch. */
static void fields_bind(Elab *e, Train *t)
{
    Extent batch = elab_batch(e, t->batch);
    for (int d = 0; d < t->data.len; d++) {
        DataSet *data = t->data.data[d];
        Split *split = &data->splits[SPLIT_TRAIN];
        for (int i = 0; i < split->fields.len; i++) {
            Field *field = split->fields.data[i];
            Extent shape[MAX_RANK];
            memcpy(shape, field->whole->shape, sizeof(Extent) * (size_t)field->whole->rank);
            shape[0] = batch;
            Leaf leaf = {.kind = LEAF_FIELD, .field = field,
                         .name = name_printf(e->context, "%s.%s", data->name, field->name)};
            field->leaf = graph_leaf(e->g, &leaf, field->whole->type, field->whole->rank, shape);
            for (int s = SPLIT_VALID; s < SPLIT_COUNT; s++)
                if (i < data->splits[s].fields.len)
                    data->splits[s].fields.data[i]->leaf = field->leaf;
        }
    }
}

static Entry *entry_new(Elab *e, const char *kind, Name name, int64_t batch)
{
    Entry *entry = NEW(e->arena, Entry);
    entry->name = name_printf(e->context, "%s_%s", kind, name);
    entry->batch = batch;
    return entry;
}

static void entry_updates(Elab *e, Entry *entry, const Session *session)
{
    for (int i = 0; i < session->changed.len; i++) {
        Persistent *p = session->changed.data[i];
        Update u = {p, map_get(&session->current, p)};
        if (u.value != p->leaf) vec_push(e->arena, &entry->updates, u);
    }
}

static void elaborate_step(Elab *e, TrainWork *w)
{
    Train *t = w->train;
    t->step = entry_new(e, "step", t->name, t->data.len ? t->batch : 0);
    e->session = session_new(e, true);
    Frame *f = train_frame(e, w, true);
    for (int i = 0; i < w->item->body.len; i++) {
        const AstStmt *s = w->item->body.data[i];
        if (s->kind == AST_MINIMIZE) exec_minimize(e, f, w, s, t->step);
        else if (s->kind != AST_SETTING && s->kind != AST_REPORT) exec_stmt(e, f, s);
    }
    entry_updates(e, t->step, e->session);
}

/* Replaces the fitted values met in the values of other fits by what they are fitted to. */
static const Node *fit_unfold(void *data, Rewrite *rewrite, const Node *node)
{
    const Session *session = data;
    if (node->kind != NODE_LEAF || node->leaf->kind != LEAF_PERSIST ||
        node->leaf->persistent->kind != PERSIST_FIT)
        return NULL;
    for (int i = 0; i < session->fits.len; i++)
        if (session->fits.data[i].target == node->leaf->persistent)
            return rewrite_get(rewrite, session->fits.data[i].value);
    return NULL;
}

static bool fit_is_allowed(Elab *e, const Update *fit)
{
    Arena *scratch = arena_new();
    Nodes nodes = graph_reach(scratch, &fit->value, 1);
    const Node *bad = NULL;
    for (int i = 0; i < nodes.len && !bad; i++)
        if (nodes.data[i]->kind == NODE_LEAF && nodes.data[i]->leaf->kind == LEAF_PERSIST &&
            nodes.data[i]->leaf->persistent->kind != PERSIST_FIT)
            bad = nodes.data[i];
    arena_free(scratch);
    if (!bad) return true;
    diag_error(e->context, fit->target->span,
               "a fit depends on data, constants and earlier fits only, not on `%s`",
               bad->leaf->name);
    return false;
}

static void elaborate_fits(Elab *e, TrainWork *w, Session *session)
{
    Train *t = w->train;
    Entry *whole = entry_new(e, "fit", t->name, t->batch);
    for (int i = 0; i < session->fits.len; i++) {
        Update *fit = &session->fits.data[i];
        if (!fit_is_allowed(e, fit)) return;
        bool again = false, other = false;
        for (int k = 0; k < i; k++)
            if (session->fits.data[k].target == fit->target) {
                again = true;
                other = session->fits.data[k].value != fit->value;
            }
        if (other) {
            elab_unsupported(e, fit->target->span, "a fit that two calls on different data share");
            return;
        }
        if (again || map_get(&e->fitted, fit->target)) continue;
        map_put(&e->fitted, fit->target, fit->target);
        const Node *value = fit->value;
        graph_rewrite(e->g, &value, 1, fit_unfold, session);
        Update unfolded = {fit->target, value};
        vec_push(e->arena, &whole->updates, unfolded);
    }
    if (!whole->updates.len || diag_errors(e->context)) return;
    Stream *stream = stream_split(e->program, whole->name, whole);
    if (stream) vec_push(e->arena, &t->fits, stream);
}

static void report_add(Elab *e, Frame *f, const AstStmt *s, Entry *whole)
{
    AstName name = s->names.data[0];
    Value v = eval_expr(e, f, s->values.data[0]);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, s->span)) return;
    for (int k = 0; k < v.rank; k++)
        if (v.shape[k].size) {
            diag_error(e->context, s->values.data[0]->span,
                       "a report is one value for the whole split; this is %s",
                       value_describe(e, &v));
            diag_hint(e->context, "take the mean over the examples: mean(..)");
            return;
        }
    for (int i = 0; i < whole->outputs.len; i++)
        if (whole->outputs.data[i].name == name.name) {
            diag_error(e->context, name.span, "there are two reports `%s`", name.name);
            return;
        }
    Output output = {name.name, value_node(e, &v, NULL, s->span), s->span};
    vec_push(e->arena, &whole->outputs, output);
}

static void elaborate_report(Elab *e, TrainWork *w)
{
    bool any = false;
    for (int i = 0; i < w->item->body.len; i++)
        any = any || w->item->body.data[i]->kind == AST_REPORT;
    if (!any) return;
    Train *t = w->train;
    Entry *whole = entry_new(e, "report", t->name, t->data.len ? t->batch : 0);
    e->session = session_new(e, false);
    Frame *f = train_frame(e, w, false);
    for (int i = 0; i < w->item->body.len; i++) {
        const AstStmt *s = w->item->body.data[i];
        if (s->kind == AST_REPORT) report_add(e, f, s, whole);
        else if (s->kind != AST_SETTING && s->kind != AST_MINIMIZE) exec_stmt(e, f, s);
    }
    if (!diag_errors(e->context)) t->report = stream_split(e->program, whole->name, whole);
}

static void data_find(Elab *e, TrainWork *w)
{
    for (int i = 0; i < w->item->on.len; i++) {
        const Definition *d = definition_find(e, w->definition->scope, w->item->on.data[i]);
        if (!d) continue;
        if (!d->data) {
            diag_error(e->context, w->item->on.data[i].span, "`%s` is not a data set", d->name);
            continue;
        }
        vec_push(e->arena, &w->train->data, d->data);
    }
}

void elaborate_train(Elab *e, const Definition *definition)
{
    const AstItem *item = definition->item;
    Train *t = NEW(e->arena, Train);
    *t = (Train){.name = item->name.name, .span = item->span, .seed = -1, .shuffle = true};
    TrainWork w = {.train = t, .item = item, .definition = definition};
    int errors = diag_errors(e->context);
    data_find(e, &w);
    e->train = t;
    settings_read(e, definition, t, &w.clip);
    if (diag_errors(e->context) == errors) {
        fields_bind(e, t);
        elaborate_step(e, &w);
        if (!t->minimizes.len && diag_errors(e->context) == errors) {
            diag_error(e->context, item->name.span, "the train block %s minimizes nothing", t->name);
            diag_hint(e->context, "add a line: minimize mean(..) using adam(1e-3)");
        }
        if (diag_errors(e->context) == errors) elaborate_fits(e, &w, e->session);
        if (diag_errors(e->context) == errors) elaborate_report(e, &w);
    }
    e->train = NULL;
    e->session = NULL;
    vec_push(e->arena, &e->program->trains, t);
}
