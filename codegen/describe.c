/* describe.c -- makes the runtime's tables (rt/nnd_program.h) from a program. Both ways to run a
 * program use them: the C trainer, into which trainer.c prints them, and the reference evaluator.
 */
#include "describe.h"

typedef struct Describe {
    Program *program;
    Arena *arena;
    const DescribeOptions *options;
    bool failed;
} Describe;

NndType describe_type(ElemType type, bool real_f64)
{
    switch (type) {
    case TYPE_BOOL: return NND_BOOL;
    case TYPE_U8: return NND_U8;
    case TYPE_INT: return NND_INT;
    case TYPE_REAL: return real_f64 ? NND_F64 : NND_REAL;
    }
    return NND_REAL;
}

static bool extent_is_batch(Extent extent)
{
    const Scalar *size = extent.size;
    return size && size->kind == SCALAR_LOAD && size->node->kind == NODE_LEAF &&
           size->node->leaf->kind == LEAF_SIZE;
}

/* Where a tensor comes from. */
static Span node_place(const Node *node)
{
    if (node->span.line || node->kind != NODE_LEAF) return node->span;
    if (node->leaf->kind == LEAF_PERSIST) return node->leaf->persistent->span;
    if (node->leaf->kind == LEAF_FILE) return node->leaf->source->span;
    return node->leaf->kind == LEAF_FIELD ? node->leaf->field->span : node->span;
}

/* The extents from axis `first` on; returns their number. */
static int shape_describe(Describe *d, const Node *node, int first, int64_t *shape)
{
    int rank = node->rank - first;
    if (rank > NND_MAX_RANK) {
        diag_error(d->program->context, node_place(node),
                   "a tensor of %d axes is kept, read or reported; at most %d are possible", rank,
                   NND_MAX_RANK);
        d->failed = true;
        return 0;
    }
    for (int k = 0; k < rank; k++)
        shape[k] = node->shape[first + k].max;
    return rank;
}

/* --- entries ---------------------------------------------------------------------------------- */

static void stream_entries(Arena *arena, const Stream *stream, Entries *out)
{
    if (!stream) return;
    if (stream->reset) vec_push(arena, out, stream->reset);
    for (int i = 0; i < stream->passes.len; i++)
        vec_push(arena, out, stream->passes.data[i]);
    if (stream->finish) vec_push(arena, out, stream->finish);
}

Entries program_entries(Program *program)
{
    Arena *arena = context_arena(program->context);
    Entries out = {0};
    if (program->init) vec_push(arena, &out, program->init);
    if (program->load) vec_push(arena, &out, program->load);
    for (int i = 0; i < program->trains.len; i++) {
        Train *train = program->trains.data[i];
        for (int k = 0; k < train->fits.len; k++)
            stream_entries(arena, train->fits.data[k], &out);
        vec_push(arena, &out, train->step);
        stream_entries(arena, train->report, &out);
    }
    for (int i = 0; i < program->models.len; i++)
        if (program->models.data[i]->entry) vec_push(arena, &out, program->models.data[i]->entry);
    return out;
}

static bool nodes_have(const Nodes *nodes, const Node *node)
{
    for (int i = 0; i < nodes->len; i++)
        if (nodes->data[i] == node) return true;
    return false;
}

Nodes entry_inputs(Program *program, const Entry *entry)
{
    Arena *arena = context_arena(program->context);
    Nodes roots = {0}, inputs = {0};
    for (int i = 0; i < entry->outputs.len; i++)
        vec_push(arena, &roots, entry->outputs.data[i].node);
    for (int i = 0; i < entry->updates.len; i++)
        vec_push(arena, &roots, entry->updates.data[i].value);
    for (int i = 0; i < entry->inputs.len; i++)
        vec_push(arena, &inputs, entry->inputs.data[i]);
    Nodes reach = graph_reach(arena, roots.data, roots.len);
    for (int i = 0; i < reach.len; i++) {
        const Node *node = reach.data[i];
        if (node->kind != NODE_LEAF || nodes_have(&inputs, node)) continue;
        LeafKind kind = node->leaf->kind;
        if (kind == LEAF_FIELD || kind == LEAF_FILE || kind == LEAF_INPUT)
            vec_push(arena, &inputs, node);
    }
    return inputs;
}

static int file_index(Describe *d, const FileSource *source)
{
    for (int i = 0; i < d->program->files.len; i++)
        if (d->program->files.data[i] == source) return i;
    return -1;
}

/* Sets the data set and the field that a LEAF_FIELD stands for. */
static void field_locate(Describe *d, const Node *leaf, NndPort *port)
{
    for (int s = 0; s < d->program->data.len; s++)
        for (int k = 0; k < SPLIT_COUNT; k++) {
            const Split *split = &d->program->data.data[s]->splits[k];
            for (int i = 0; i < split->fields.len; i++)
                if (split->fields.data[i]->leaf == leaf ||
                    split->fields.data[i] == leaf->leaf->field) {
                    port->set = s;
                    port->field = i;
                    return;
                }
        }
}

static NndPort port_describe(Describe *d, const Node *node, const char *name)
{
    NndPort port = {.name = name, .set = NND_GIVEN};
    port.type = describe_type(node->type, d->options->real_f64);
    port.batched = node->rank > 0 && extent_is_batch(node->shape[0]);
    port.rank = shape_describe(d, node, port.batched, port.shape);
    if (node->kind != NODE_LEAF) return port;
    if (node->leaf->kind == LEAF_FIELD) field_locate(d, node, &port);
    if (node->leaf->kind == LEAF_FILE) {
        port.set = NND_FILE;
        port.field = file_index(d, node->leaf->source);
    }
    return port;
}

/* Which axis of which input the sizes in an input are of. */
static void sizes_locate(const Nodes *inputs, int which, NndPort *port)
{
    const Node *sizes = inputs->data[which];
    port->most = sizes->leaf->most;
    for (int i = 0; port->most && i < inputs->len; i++)
        for (int k = 0; k < inputs->data[i]->rank; k++) {
            const Scalar *size = inputs->data[i]->shape[k].size;
            if (!size || size->kind != SCALAR_LOAD || size->node != sizes) continue;
            port->sizes_of = i;
            port->axis = k - extent_is_batch(inputs->data[i]->shape[0]);
            return;
        }
}

static const NndEntry *entry_describe(Describe *d, const Entry *entry)
{
    NndEntry *out = NEW(d->arena, NndEntry);
    Nodes inputs = entry_inputs(d->program, entry);
    NndPort *ins = NEW_ARRAY(d->arena, NndPort, inputs.len + 1);
    NndPort *outs = NEW_ARRAY(d->arena, NndPort, entry->outputs.len + 1);
    for (int i = 0; i < inputs.len; i++) {
        ins[i] = port_describe(d, inputs.data[i], inputs.data[i]->leaf->name);
        if (inputs.data[i]->leaf->kind == LEAF_INPUT) ins[i].set = NND_GIVEN;
        sizes_locate(&inputs, i, &ins[i]);
    }
    for (int i = 0; i < entry->outputs.len; i++) {
        const Output *output = &entry->outputs.data[i];
        outs[i] = port_describe(d, output->node, output->name);
        outs[i].set = NND_GIVEN;
    }
    *out = (NndEntry){.inputs = ins,
                      .outputs = outs,
                      .input_count = inputs.len,
                      .output_count = entry->outputs.len,
                      .batch = entry->batch,
                      .set = entry->data ? entry->data->index + 1 : 0,
                      .data = entry};
    return out;
}

static void stream_describe(Describe *d, const Stream *stream, NndStreamed *out)
{
    const NndEntry **passes = NEW_ARRAY(d->arena, const NndEntry *, stream->passes.len + 1);
    for (int i = 0; i < stream->passes.len; i++)
        passes[i] = entry_describe(d, stream->passes.data[i]);
    *out = (NndStreamed){stream->reset ? entry_describe(d, stream->reset) : NULL,
                         entry_describe(d, stream->finish), passes, stream->passes.len};
}

/* --- tables -------------------------------------------------------------------------------------
 */

static const NndTensorInfo *tensors_describe(Describe *d)
{
    Program *program = d->program;
    NndTensorInfo *out = NEW_ARRAY(d->arena, NndTensorInfo, program->persistents.len + 1);
    for (int i = 0; i < program->persistents.len; i++) {
        const Persistent *p = program->persistents.data[i];
        static const NndKept kept[] = {
            [PERSIST_PARAM] = NND_PARAM,     [PERSIST_STATE] = NND_STATE,
            [PERSIST_FIT] = NND_FIT,         [PERSIST_OPTIMIZER] = NND_OPTIMIZER,
            [PERSIST_SCRATCH] = NND_SCRATCH,
        };
        out[i].name = p->path;
        out[i].kept = kept[p->kind];
        out[i].type = describe_type(p->leaf->type, d->options->real_f64);
        out[i].rank = shape_describe(d, p->leaf, 0, out[i].shape);
    }
    return out;
}

static const NndFileInfo *files_describe(Describe *d)
{
    Program *program = d->program;
    NndFileInfo *out = NEW_ARRAY(d->arena, NndFileInfo, program->files.len + 1);
    for (int i = 0; i < program->files.len; i++) {
        const FileSource *file = program->files.data[i];
        out[i] = (NndFileInfo){.kind = file->kind,
                               .path = file->path,
                               .place = span_place(program->context, file->span),
                               .columns = file->columns,
                               .except = file->except};
        out[i].type = describe_type(file->leaf->type, d->options->real_f64);
        out[i].rank = shape_describe(d, file->leaf, 0, out[i].shape);
    }
    return out;
}

/* The file, or the output of `load`, that holds all examples of a field. */
static void source_describe(Describe *d, const Node *whole, int *file, int *made)
{
    *file = *made = -1;
    if (whole->kind == NODE_LEAF && whole->leaf->kind == LEAF_FILE)
        *file = file_index(d, whole->leaf->source);
    for (int i = 0; *file < 0 && d->program->load && i < d->program->load->outputs.len; i++)
        if (d->program->load->outputs.data[i].node == whole) *made = i;
}

static void data_describe(Describe *d, const DataSet *set, NndDataInfo *out)
{
    *out = (NndDataInfo){.name = set->name, .drawn = set->drawn};
    for (int k = 0; k < SPLIT_COUNT; k++) {
        const Split *split = &set->splits[k];
        out->count[k] = split->present && !set->fed ? split->count : -1;
        out->fractions[k] = set->fractions[k];
        if (split->fields.len > out->field_count) out->field_count = split->fields.len;
    }
    NndFieldInfo *fields = NEW_ARRAY(d->arena, NndFieldInfo, out->field_count + 1);
    for (int k = 0; k < SPLIT_COUNT; k++)
        for (int i = 0; i < set->splits[k].fields.len; i++) {
            const Field *field = set->splits[k].fields.data[i];
            fields[i].name = field->name;
            fields[i].type = describe_type(field->whole->type, d->options->real_f64);
            fields[i].rank = shape_describe(d, field->whole, 1, fields[i].shape);
            for (int a = 0; a < fields[i].rank; a++)
                for (int s = 0; field->sizes[a + 1] && s < set->splits[k].fields.len; s++)
                    if (set->splits[k].fields.data[s] == field->sizes[a + 1])
                        fields[i].sizes[a] = s + 1;
            source_describe(d, field->whole, &fields[i].source[k].file, &fields[i].source[k].made);
        }
    out->fields = fields;
}

static NndDrawing drawing_describe(Drawing drawing)
{
    switch (drawing) {
    case DRAW_PLAIN: return NND_PLAIN;
    case DRAW_MATRIX: return NND_MATRIX;
    case DRAW_CURVE: return NND_CURVE;
    case DRAW_BARS: return NND_BARS;
    case DRAW_IMAGE: return NND_IMAGE;
    case DRAW_TEXT: return NND_TEXT;
    }
    return NND_PLAIN;
}

static void train_describe(Describe *d, const Train *train, NndTrainInfo *out)
{
    int *sets = NEW_ARRAY(d->arena, int, train->data.len + 1);
    const char **losses = NEW_ARRAY(d->arena, const char *, train->minimizes.len + 1);
    int *ran = NEW_ARRAY(d->arena, int, train->minimizes.len + 1);
    NndStreamed *fits = NEW_ARRAY(d->arena, NndStreamed, train->fits.len + 1);
    NndStreamed *report = train->report ? NEW(d->arena, NndStreamed) : NULL;
    for (int i = 0; i < train->data.len; i++)
        for (int s = 0; s < d->program->data.len; s++)
            if (d->program->data.data[s] == train->data.data[i]) sets[i] = s;
    for (int i = 0; i < train->minimizes.len; i++)
        losses[i] = span_place(d->program->context, train->minimizes.data[i].span);
    for (int i = 0; i < train->minimizes.len; i++)
        ran[i] = train->minimizes.data[i].ran_output;
    for (int i = 0; i < train->fits.len; i++)
        stream_describe(d, train->fits.data[i], &fits[i]);
    if (report) stream_describe(d, train->report, report);
    NndReportInfo *reports = NEW_ARRAY(d->arena, NndReportInfo, 1);
    if (train->report) {
        const Entry *finish = train->report->finish;
        reports = NEW_ARRAY(d->arena, NndReportInfo, finish->outputs.len + 1);
        for (int i = 0; i < finish->outputs.len; i++)
            reports[i] = (NndReportInfo){drawing_describe(finish->outputs.data[i].drawing),
                                         finish->outputs.data[i].first > 0};
    }
    *out = (NndTrainInfo){.name = train->name,
                          .place = span_place(d->program->context, train->span),
                          .losses = losses,
                          .ran = ran,
                          .loss_count = train->minimizes.len,
                          .sets = sets,
                          .set_count = train->data.len,
                          .batch = train->batch,
                          .epochs = train->epochs,
                          .steps = train->steps,
                          .seed = train->seed,
                          .shuffle = train->shuffle,
                          .evaluate = train->evaluate,
                          .patience = train->patience,
                          .step = entry_describe(d, train->step),
                          .fits = fits,
                          .fit_count = train->fits.len,
                          .report = report,
                          .reports = reports,
                          .monitor = train->monitor};
    if (report) out->report_count = report->finish->output_count - (train->monitor >= 0);
}

static const NndModelInfo *models_describe(Describe *d, int *count)
{
    Program *program = d->program;
    NndModelInfo *out = NEW_ARRAY(d->arena, NndModelInfo, program->models.len + 1);
    *count = 0;
    for (int i = 0; i < program->models.len; i++) {
        const Model *model = program->models.data[i];
        if (!model->entry) continue;
        const NndEntry *entry = entry_describe(d, model->entry);
        for (int k = 0; k < model->input_names.len && k < entry->input_count; k++)
            ((NndPort *)entry->inputs)[k].name = model->input_names.data[k];
        out[(*count)++] = (NndModelInfo){model->name, entry};
    }
    return out;
}

static const NndExpectInfo *expects_describe(Describe *d)
{
    Program *program = d->program;
    NndExpectInfo *out = NEW_ARRAY(d->arena, NndExpectInfo, program->expects.len + 1);
    for (int i = 0; i < program->expects.len; i++) {
        const Expect *expect = &program->expects.data[i];
        out[i] = (NndExpectInfo){expect->report, expect->relation, expect->value};
    }
    return out;
}

const NndProgram *program_describe(Program *program, const DescribeOptions *options)
{
    Describe d = {program, context_arena(program->context), options, false};
    NndProgram *out = NEW(d.arena, NndProgram);
    NndDataInfo *data = NEW_ARRAY(d.arena, NndDataInfo, program->data.len + 1);
    NndTrainInfo *trains = NEW_ARRAY(d.arena, NndTrainInfo, program->trains.len + 1);
    for (int i = 0; i < program->data.len; i++)
        data_describe(&d, program->data.data[i], &data[i]);
    for (int i = 0; i < program->trains.len; i++)
        train_describe(&d, program->trains.data[i], &trains[i]);
    *out = (NndProgram){.name = options->name,
                        .source = program->path,
                        .text = program->text,
                        .folder = options->folder,
                        .real = options->real_f64 ? NND_F64 : NND_REAL,
                        .tensors = tensors_describe(&d),
                        .tensor_count = program->persistents.len,
                        .files = files_describe(&d),
                        .file_count = program->files.len,
                        .data = data,
                        .data_count = program->data.len,
                        .trains = trains,
                        .train_count = program->trains.len,
                        .expects = expects_describe(&d),
                        .expect_count = program->expects.len,
                        .init = entry_describe(&d, program->init),
                        .load = program->load ? entry_describe(&d, program->load) : NULL};
    out->models = models_describe(&d, &out->model_count);
    return d.failed ? NULL : out;
}
