/* elaborate_train.c -- train blocks: the step and the reports (fits: elaborate_fit.c).
 *
 * The block is elaborated twice. As the step: `training` is true; every `minimize` differentiates its loss by
 * the parameters and runs the optimizer's body on each, so that the step is a function from what is kept to
 * what is kept. As the evaluation: `training` is false, and the batch axis stands for the whole split; stream.c
 * splits it into passes. */
#include "elaborate_train.h"

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
            bool clash = field->most > 0; /* sizes have no name of their own */
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

static void field_bind(Elab *e, DataSet *data, int number, Extent batch)
{
    Field *field = data->splits[SPLIT_TRAIN].fields.data[number];
    Extent shape[MAX_RANK];
    memcpy(shape, field->whole->shape, sizeof(Extent) * (size_t)field->whole->rank);
    shape[0] = batch;
    for (int k = 1; k < field->whole->rank; k++)
        if (field->sizes[k]) shape[k].size = scalar_load_at(e->g, field->sizes[k]->leaf, 0);
    Leaf leaf = {.kind = LEAF_FIELD, .field = field, .most = field->most,
                 .name = name_printf(e->context, "%s.%s", data->name, field->name)};
    field->leaf = graph_leaf(e->g, &leaf, field->whole->type, field->whole->rank, shape);
    for (int s = SPLIT_VALID; s < SPLIT_COUNT; s++)
        if (number < data->splits[s].fields.len) data->splits[s].fields.data[number]->leaf = field->leaf;
}

/* The leaves that stand for the examples of a batch, sizes before what has them. */
static void fields_bind(Elab *e, Train *t)
{
    Extent batch = elab_batch(e, t->batch);
    for (int d = 0; d < t->data.len; d++) {
        DataSet *data = t->data.data[d];
        const Split *split = &data->splits[SPLIT_TRAIN];
        for (int i = 0; i < split->fields.len; i++)
            if (split->fields.data[i]->most) field_bind(e, data, i, batch);
        for (int i = 0; i < split->fields.len; i++)
            if (!split->fields.data[i]->most) field_bind(e, data, i, batch);
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

/* Whether a statement of this kind stands in the block, however deep. */
static bool block_has(const AstBlock *block, AstStmtKind kind)
{
    for (int i = 0; i < block->len; i++)
        if (block->data[i]->kind == kind || block_has(&block->data[i]->body, kind) ||
            block_has(&block->data[i]->otherwise, kind))
            return true;
    return false;
}

static void elaborate_step(Elab *e, TrainWork *w)
{
    Train *t = w->train;
    t->step = w->entry = entry_new(e, "step", t->identifier, t->data.len ? t->batch : 0);
    w->step = true;
    e->session = session_new(e, true);
    exec_train_block(e, train_frame(e, w, true), w, &w->item->body);
    minimizes_finish(e, w);
    entry_updates(e, t->step, e->session);
}

/* The most examples that a report is about. */
static int64_t report_examples(const Train *t)
{
    int64_t most = 0;
    if (!t->data.len) return 0;
    const DataSet *data = t->data.data[0];
    if (data->drawn) return data->splits[SPLIT_TRAIN].count;
    for (int k = SPLIT_VALID; k < SPLIT_COUNT; k++)
        if (data->splits[k].present && data->splits[k].count > most) most = data->splits[k].count;
    return most ? most : data->splits[SPLIT_TRAIN].count;
}

static void elaborate_report(Elab *e, TrainWork *w)
{
    if (!block_has(&w->item->body, AST_REPORT) && !setting_find(w->item, "monitor")) return;
    Train *t = w->train;
    Entry *whole = w->entry = entry_new(e, "report", t->identifier, t->data.len ? t->batch : 0);
    whole->total = report_examples(t);
    w->step = false;
    e->session = session_new(e, false);
    e->session->report = true;
    Frame *f = train_frame(e, w, false);
    exec_train_block(e, f, w, &w->item->body);
    exec_monitor(e, f, w);
    if (diag_errors(e->context)) return;
    elaborate_fits(e, t, e->session);
    if (!diag_errors(e->context)) t->report = stream_split(e->program, whole->name, whole, train_main(t));
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
        if (d->data->fed && !w->train->fed) w->train->fed = d->data;
    }
}

void elaborate_train_block(Elab *e, const Definition *definition, Name identifier)
{
    const AstItem *item = definition->item;
    Train *t = NEW(e->arena, Train);
    *t = (Train){.name = item->name.name, .identifier = identifier, .span = item->span, .seed = -1,
                 .shuffle = true, .monitor = -1};
    TrainWork w = {.train = t, .item = item, .definition = definition,
                   .minimizes = map_new(e->arena)};
    int errors = diag_errors(e->context);
    data_find(e, &w);
    e->train = t;
    settings_read(e, definition, t, &w.clip);
    if (diag_errors(e->context) == errors) {
        fields_bind(e, t);
        elaborate_step(e, &w);
        if (!block_has(&item->body, AST_MINIMIZE) && !block_has(&item->body, AST_UPDATE) &&
            !block_has(&item->body, AST_SET_NEXT)) {
            diag_error(e->context, item->name.span, "the train block %s minimizes nothing", t->name);
            diag_hint(e->context, "add a line: minimize mean(..) using adam(1e-3)");
        }
        if (diag_errors(e->context) == errors) elaborate_fits(e, t, e->session);
        elaborate_report(e, &w); /* even so: its own errors are worth knowing */
    }
    e->train = NULL;
    e->session = NULL;
    vec_push(e->arena, &e->program->trains, t);
}
