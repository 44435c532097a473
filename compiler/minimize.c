/* minimize.c -- `minimize loss over models using optimizer`: the loss is differentiated by the parameters it
 * depends on, and the optimizer's body runs for the elements of each. All gradients are taken before any
 * parameter changes; a loss computed before an earlier change of the same parameters is an error. */
#include "elaborate_train.h"

/* Whether a derivative goes no further: at what is kept, now or before, and at stop(x). */
static bool is_end(void *data, const Node *node)
{
    const Session *session = data;
    if (node->kind == NODE_LEAF || map_get(&session->owner, node)) return true;
    return node_is_map(node) && node->body->kind == SCALAR_OP && node->body->op == OP_STOP;
}

/* The nodes that a loss is computed from, as far as its derivative goes. */
static Nodes loss_reach(Elab *e, Arena *scratch, const Node *loss)
{
    return graph_reach_to(scratch, &loss, 1, is_end, e->session);
}

typedef VEC(Name) NameList;

static bool over_add(Elab *e, Name model, Span span, NameList *models)
{
    for (int i = 0; i < models->len; i++)
        if (models->data[i] == model) {
            diag_error(e->context, span, "`over` names %s twice", model);
            return false;
        }
    vec_push(e->arena, models, model);
    return true;
}

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
                if (!over_add(e, function->members[m]->model->model->name, who->name.span, models))
                    return false;
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
            if (!over_add(e, function->model->model->name, who->name.span, models)) return false;
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
    o->site = site_hash(e, f, o->optimizer_path, 1);
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
    int before = diag_count(e->context), outer = library_enter(e, f, step->optimizer, o->call_span);
    if (optimizer_names_free(e, o->item) && params_bind(e, o, o->item, step->args, step->n_args, step->using->span)) {
        exec_block(e, o, &o->item->body);
        if (!o->refused) optimizer_finish(e, o, step->using->span);
        if (o->refused) {
            /* reported */
        } else if (o->has_next_parameter) {
            persistent_set(e, p, node_over_context(e, &o->next_parameter, step->using->span));
        } else if (!diag_errors(e->context)) {
            diag_error(e->context, o->item->name.span, "the optimizer %s never sets `next p`",
                       o->item->name.name);
        }
    }
    e->axes.len = first;
    graph_call(e->g, outer);
    if (step->optimizer->scope->library) diag_reanchor(e->context, before, step->using->span);
}

/* Says which models named the loss does not reach. */
static void over_unreached(Elab *e, const AstStmt *s, const NameList *over, Persistent *const *found,
                           int n)
{
    for (int i = 0; i < over->len; i++) {
        bool any = false;
        for (int k = 0; k < n; k++)
            any = any || found[k]->model == over->data[i];
        if (!any)
            diag_warning(e->context, s->span, "the loss does not depend on %s", over->data[i]);
    }
}

/* The kept tensor whose value the node is, or was; NULL: of none. */
static const Persistent *node_owner(Elab *e, const Node *node)
{
    if (node->kind == NODE_LEAF) return node->leaf->persistent;
    return map_get(&e->session->owner, node);
}

static void loss_outdated(Elab *e, const AstStmt *s, const Persistent *p)
{
    diag_error(e->context, s->values.data[0]->span,
               "this loss was computed from `%s` before line %d changed it; compute it again after that "
               "line", p->path, e->session->last_change.line);
}

/* The parameters that the loss trains, with their current values; false after an error. */
static bool parameters_find(Elab *e, const AstStmt *s, const NameList *over, const Node *loss,
                            Persistent **out, const Node **nodes, int *n)
{
    Arena *scratch = arena_new();
    Map reached = map_new(scratch);
    Nodes reach = loss_reach(e, scratch, loss);
    bool good = true;
    *n = 0;
    for (int i = 0; i < reach.len && good; i++) {
        const Persistent *p = node_owner(e, reach.data[i]);
        map_put(&reached, reach.data[i], (void *)(uintptr_t)reach.data[i]);
        if (!p || p->kind != PERSIST_PARAM || (over->len && !name_listed(over, p->model))) continue;
        good = persistent_current(e, p) == reach.data[i];
        if (!good) loss_outdated(e, s, p);
    }
    for (int i = 0; i < e->program->persistents.len && good; i++) {
        Persistent *p = e->program->persistents.data[i];
        if (p->kind != PERSIST_PARAM || (over->len && !name_listed(over, p->model))) continue;
        const Node *current = persistent_current(e, p);
        if (!map_get(&reached, current)) continue;
        out[*n] = p;
        nodes[(*n)++] = current;
    }
    arena_free(scratch);
    if (good) over_unreached(e, s, over, out, *n);
    return good;
}

/* The optimizer's step number: kept, one per minimize, counted up here. */
static const Node *step_number(Elab *e, const char *path, Span span)
{
    Name name = name_printf(e->context, "%s.t", path);
    Persistent *p = map_get(&e->persistents, name);
    const Node *zero = graph_map(e->g, 0, NULL, scalar_int(e->g, 0), span);
    if (!p) p = persistent_new(e, PERSIST_OPTIMIZER, name, NULL, zero, TYPE_INT, 0, NULL, span);
    const Scalar *last = scalar_load(e->g, persistent_current(e, p), NULL, NULL, span);
    const Scalar *next = scalar_op2(e->g, OP_ADD, last, scalar_int(e->g, 1));
    const Node *node = graph_map(e->g, 0, NULL, next, span);
    graph_name(node, name_of(e->context, "t"));
    persistent_set(e, p, node);
    return node;
}

/* minimize1, minimize2[3]: numbered by statement, and told apart by the `for` loops around it. Rounds of a
 * `repeat` have one name, and so one optimiser state. */
static Name minimize_name(Elab *e, TrainWork *w, const AstStmt *s)
{
    int *number = map_get(&w->minimizes, s);
    if (!number) {
        number = NEW(e->arena, int);
        *number = ++w->n_minimizes;
        map_put(&w->minimizes, s, number);
    }
    StrBuf name = str_new(e->arena);
    str_printf(&name, "minimize%d", *number);
    for (int i = 0; i < w->copies.len; i++)
        str_printf(&name, "[%lld]", (long long)w->copies.data[i]);
    return name_of(e->context, str_text(&name));
}

static const Node *node_of(Elab *e, Value v, Span span)
{
    return value_node(e, &v, NULL, span);
}

/* The step shows each loss once; of a repeated one, the last that was computed. */
static void loss_note(Elab *e, TrainWork *w, const AstStmt *s, Name name, const Node *loss)
{
    Train *t = w->train;
    Minimize *known = NULL;
    for (int i = 0; i < t->minimizes.len && !known; i++)
        if (t->minimizes.data[i].name == name) known = &t->minimizes.data[i];
    if (w->condition) {
        const Node *before = known ? w->entry->outputs.data[known->output].node
                                   : graph_scalar(e->g, scalar_real(e->g, 0));
        Value choice[] = {value_of_node(e, w->condition), value_of_node(e, loss), value_of_node(e, before)};
        loss = node_of(e, value_op(e, OP_SELECT, choice, 3, s->span), s->span);
    }
    if (known) {
        w->entry->outputs.data[known->output].node = loss;
        if (!w->condition) known->ran = NULL;
        if (!known->ran) return;
        Value either[] = {value_of_node(e, known->ran), value_of_node(e, w->condition)};
        known->ran = node_of(e, value_op(e, OP_OR, either, 2, s->span), s->span);
        return;
    }
    Minimize m = {name, s->span, w->entry->outputs.len, w->condition, -1};
    vec_push(e->arena, &t->minimizes, m);
    const char *number = name + strlen("minimize");
    Name shown = strcmp(number, "1") ? name_printf(e->context, "loss%s", number)
                                     : name_of(e->context, "loss");
    Output output = {.name = shown, .node = loss, .span = s->span};
    vec_push(e->arena, &w->entry->outputs, output);
}

void minimizes_finish(Elab *e, TrainWork *w)
{
    for (int i = 0; i < w->train->minimizes.len; i++) {
        Minimize *m = &w->train->minimizes.data[i];
        if (!m->ran) continue;
        m->ran_output = w->entry->outputs.len;
        Output output = {.name = name_printf(e->context, "ran_%s", m->name), .node = m->ran, .span = m->span};
        vec_push(e->arena, &w->entry->outputs, output);
    }
}

void exec_minimize(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    NameList over = {0};
    Step step = {.using = s->values.data[1]};
    const Node *loss = loss_node(e, f, s);
    step.optimizer = optimizer_find(e, f, step.using, &step.args, &step.n_args);
    if (!over_models(e, f, s, &over) || !loss || !step.optimizer) return;
    int n, most = e->program->persistents.len + 1;
    Persistent **targets = NEW_ARRAY(e->arena, Persistent *, most);
    const Node **nodes = NEW_ARRAY(e->arena, const Node *, most);
    if (!parameters_find(e, s, &over, loss, targets, nodes, &n)) return;
    if (n == 0) {
        diag_error(e->context, s->span, "this loss depends on no parameter%s",
                   over.len ? " of the models named" : "");
        return;
    }
    Name name = minimize_name(e, w, s);
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
    loss_note(e, w, s, name, loss);
}
