/* elaborate_model.c -- models as entry points of their own: the results of a model for a batch of inputs, with
 * `training` false. Sizes that the signature leaves open are those of the model's first call. */
#include "elaborate.h"

enum {
    LEAST_BATCH = 64,
    MOST_BATCH = 256,
    SMALL_BATCH = 16,      /* enough for products to be fast, and for threads */
    BATCH_ELEMENTS = 1 << 18 /* of the largest tensor: a megabyte, which the caches hold */
};

/* How many examples a model is run on at once: as many as a step of the training has, so that it needs no more
 * memory than that, if they are neither too few to be fast nor more than it takes. */
static int64_t model_batch(const Elab *e)
{
    int64_t most = e->program->trains.len ? LEAST_BATCH : MOST_BATCH;
    for (int i = 0; i < e->program->trains.len; i++)
        if (e->program->trains.data[i]->batch > most) most = e->program->trains.data[i]->batch;
    return most < MOST_BATCH ? most : MOST_BATCH;
}

/* Fewer where the tensors of so many examples would leave the caches, and fill the memory: half as many and half
 * again, until the largest of an entry of `batch` examples is small. */
static int64_t smaller_batch(Elab *e, const Entry *entry, int64_t batch)
{
    VEC(const Node *) roots = {0};
    for (int i = 0; i < entry->outputs.len; i++)
        vec_push(e->arena, &roots, entry->outputs.data[i].node);
    Nodes nodes = graph_reach(e->arena, roots.data, roots.len);
    const Scalar *size = elab_batch(e, batch).size;
    int64_t largest = 0;
    for (int i = 0; i < nodes.len; i++) {
        const Node *node = nodes.data[i];
        for (int k = 0; k < node->rank; k++)
            if (node->shape[k].size == size && node_max_elements(node) > largest)
                largest = node_max_elements(node);
    }
    while (batch >= 2 * SMALL_BATCH && largest > BATCH_ELEMENTS) {
        batch /= 2;
        largest /= 2;
    }
    return batch;
}

/* An input of the entry that holds the sizes of a bounded axis. */
typedef struct SizeInput {
    const Scalar *size; /* of the axis in the first call; NULL: there was none */
    Name name;
    const Node *leaf;
} SizeInput;

typedef struct Inputs {
    Elab *e;
    ModelInstance *m;
    const Scope *scope;
    Entry *entry;
    Extent batch;
    VEC(SizeInput) sizes;
} Inputs;

/* The name of the size of axis k in a type: T of T <= 60, or of a dimension T. */
static Name size_name(Elab *e, const AstParam *p, int k, int rank)
{
    const AstDim *d = p->type->dims.len == rank ? &p->type->dims.data[k] : NULL;
    if (d && d->bounded) return d->bounded;
    if (d && d->size && d->size->kind == AST_NAME) return d->size->name;
    return name_printf(e->context, "%s_size%d", p->name.name, k);
}

/* The size of axis k of an input as the load of an input of its own, one for all axes that share it. */
static const Scalar *size_input(Inputs *in, const Scalar *size, Name name, int64_t max)
{
    Elab *e = in->e;
    const Node *leaf = NULL;
    for (int i = 0; i < in->sizes.len && !leaf; i++) {
        const SizeInput *known = &in->sizes.data[i];
        if (size ? known->size == size : known->name == name) leaf = known->leaf;
    }
    if (!leaf) {
        Leaf input = {.kind = LEAF_INPUT, .name = name, .most = max};
        leaf = graph_leaf(e->g, &input, TYPE_INT, 1, &in->batch);
        SizeInput made = {size, name, leaf};
        vec_push(e->arena, &in->sizes, made);
    }
    return scalar_load_at(e->g, leaf, 0);
}

/* The shape of one example of an input in the first call; false if there was none, or an axis has a size that
 * no single number says. */
static bool shape_called(Inputs *in, int k, int *rank, Extent *shape)
{
    const ModelInstance *m = in->m;
    const AstParam *p = &m->item->params.data[k];
    *rank = m->first_args[k].rank;
    for (int i = 0; i < *rank; i++) {
        shape[i] = m->first_args[k].shape[i];
        const Scalar *size = shape[i].size;
        if (!size) continue;
        if (size->iters >> VISIBLE) return false;
        shape[i].size = size_input(in, size, size_name(in->e, p, i, *rank), shape[i].max);
    }
    return true;
}

/* The shape that the signature gives; false if it leaves anything open. */
static bool shape_declared(Inputs *in, int k, int *rank, Extent *shape)
{
    const AstParam *p = &in->m->item->params.data[k];
    const AstDims *dims = &p->type->dims;
    Frame *f = frame_new(in->e, FRAME_CONST, in->scope);
    for (int i = 0; i < dims->len; i++) {
        const AstDim *d = &dims->data[i];
        if (d->rest) return false;
        if (d->size->kind != AST_NAME) continue;
        const Definition *c = scope_find(in->scope, d->size->name);
        if (!c || !c->item || c->item->kind != AST_CONST) return false;
    }
    *rank = dims->len;
    for (int i = 0; i < dims->len; i++) {
        const AstDim *d = &dims->data[i];
        int64_t n;
        if (!eval_int(in->e, f, d->size, "a dimension", &n) || n < 0 || n > INT32_MAX) return false;
        shape[i] = extent_fixed(n);
        if (d->bounded) shape[i].size = size_input(in, NULL, d->bounded, n);
    }
    return true;
}

static void input_add(Inputs *in, const Node *leaf)
{
    vec_push(in->e->arena, &in->entry->inputs, leaf);
    vec_push(in->e->arena, &in->m->model->input_names, leaf->leaf->name);
}

/* The arguments of the entry: leaves for typed parameters, compile-time values for the others. The sizes of
 * bounded axes follow the first input that has them. */
static bool model_inputs(Elab *e, ModelInstance *m, const Scope *scope, Entry *entry, int64_t batch,
                         CallArg *args)
{
    Inputs in = {.e = e, .m = m, .scope = scope, .entry = entry, .batch = elab_batch(e, batch)};
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
        Extent shape[MAX_RANK + 1] = {in.batch};
        int rank, sizes = in.sizes.len;
        bool called = m->first_args && m->first_args[i].kind == VALUE_TENSOR;
        if (!(called ? shape_called(&in, i, &rank, shape + 1)
                     : shape_declared(&in, i, &rank, shape + 1)) ||
            !shape_fits(e, rank + 1, shape, p->name.span))
            return false;
        Leaf leaf = {.kind = LEAF_INPUT, .name = p->name.name};
        const Node *node =
            graph_leaf(e->g, &leaf, type_of_base(p->type->base), rank + 1, shape);
        input_add(&in, node);
        for (; sizes < in.sizes.len; sizes++)
            input_add(&in, in.sizes.data[sizes].leaf);
        args[i].value = value_of_node(e, node);
    }
    return true;
}

/* The result as whoever calls the model gets it: bounded axes at their largest, zero behind their size. */
static Value result_padded(Elab *e, const Value *result, int64_t most, Span span)
{
    Value v = value_settle(e, result, NULL, span), out = v;
    bool bounded = false;
    const Scalar *batch = elab_batch(e, most).size;
    for (int k = 0; k < v.rank; k++)
        if (v.shape[k].size && v.shape[k].size != batch) {
            out.shape[k] = extent_fixed(v.shape[k].max);
            bounded = true;
        }
    if (!bounded || v.scalar->kind != SCALAR_LOAD) return v;
    out.scalar = scalar_load(e->g, v.scalar->node, v.scalar->args,
                             scalar_const(e->g, v.scalar->type, 0), span);
    return out;
}

/* The entry for at most `batch` examples at once. */
static void model_entry(Elab *e, ModelInstance *m, const Function *function, int64_t batch)
{
    Entry *entry = NEW(e->arena, Entry);
    char *name = arena_printf(e->arena, "model_%s", m->model->name);
    for (char *c = name; *c; c++)
        if (*c == '[' || *c == ']') *c = '_'; /* Net[2]: the name is an identifier */
    entry->name = name_of(e->context, name);
    CallArg *args = NEW_ARRAY(e->arena, CallArg, m->item->params.len + 1);
    if (!model_inputs(e, m, function->scope, entry, batch, args)) return;
    entry->batch = entry->inputs.len ? batch : 0;
    e->session = session_new(e, false);
    e->session->chunks = true;
    Frame *f = frame_new(e, FRAME_CONST, function->scope);
    AstExpr callee = {.kind = AST_NAME, .span = m->item->name.span, .name = m->model->name};
    AstExpr call = {.kind = AST_CALL, .span = m->item->name.span};
    call.call.callee = &callee;
    Value results[16];
    int n = call_function(e, f, function, &call, args, m->item->params.len, results, 16);
    for (int i = 0; i < n; i++) {
        if (results[i].kind != VALUE_TENSOR) return;
        Name out = n == 1 ? name_of(e->context, "out") : name_printf(e->context, "out%d", i + 1);
        Value padded = result_padded(e, &results[i], batch, m->model->span);
        Output output = {.name = out,
                         .node = value_node(e, &padded, NULL, m->model->span),
                         .span = m->model->span};
        vec_push(e->arena, &m->model->results, value_node(e, &results[i], NULL, m->model->span));
        vec_push(e->arena, &entry->outputs, output);
    }
    e->session = NULL;
    if (n) m->model->entry = entry;
}

static void model_forget(Model *model)
{
    model->entry = NULL;
    model->input_names.len = model->results.len = 0;
}

/* Sizes that a model's signature leaves open are those of a model of the same structure that was called. */
static void sizes_borrow(Elab *e, ModelInstance *m)
{
    for (int i = 0; i < e->model_functions.len && !m->first_args; i++) {
        const ModelInstance *other = e->model_functions.data[i]->model;
        if (other->item != m->item) continue;
        m->first_args = other->first_args;
        m->n_first_args = other->n_first_args;
    }
}

void model_declare(Elab *e, const Function *function)
{
    ModelInstance *m = function->model;
    for (int i = 0; i < e->program->persistents.len; i++)
        if (e->program->persistents.data[i]->model == m->model->name) return;
    if (m->declaring) return;
    Session *session = e->session;
    Scan *scan = e->scan;
    FitCall *fit = e->fit;
    int64_t rounds = e->rounds;
    Axis saved[MAX_CONTEXT];
    int depth = e->axes.len;
    if (depth) memcpy(saved, e->axes.data, sizeof(Axis) * (size_t)depth);
    m->declaring = true;
    e->scan = NULL;
    e->fit = NULL;
    e->axes.len = 0;
    sizes_borrow(e, m);
    model_entry(e, m, function, model_batch(e));
    model_forget(m->model);
    m->declaring = false;
    e->session = session;
    e->scan = scan;
    e->fit = fit;
    e->rounds = rounds;
    for (int i = 0; i < depth; i++)
        vec_push(e->arena, &e->axes, saved[i]);
}

void elaborate_models(Elab *e)
{
    for (int i = 0; i < e->model_functions.len; i++) {
        const Function *function = e->model_functions.data[i];
        if (diag_errors(e->context)) continue;
        Model *model = function->model->model;
        int64_t batch = model_batch(e);
        model_entry(e, function->model, function, batch);
        int64_t smaller = model->entry ? smaller_batch(e, model->entry, batch) : batch;
        if (smaller == batch) continue;
        model_forget(model);
        model_entry(e, function->model, function, smaller);
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
