/* trainer.c -- prints a whole program as one C file: a summary, the struct of all data, the
 * functions of every entry (emit_c.c), the tables by which the runtime drives them (describe.c),
 * and, of a trainer, main. */
#include "trainer.h"
#include "amalgamate.h"
#include "describe.h"
#include "emit_c.h"
#include "libraries.h"
#include "memory.h"

#include <math.h>
#include <stdlib.h>

typedef struct Trainer {
    Program *program;
    const NndProgram *described;
    const Options *options;
    Arena *arena;
    CProgram *c;
    Out out;
} Trainer;

/* --- C text of values ---------------------------------------------------------------------------
 */

static const char *quoted(Trainer *t, const char *text)
{
    return out_quoted(t->arena, text);
}

static const char *type_text(NndType type)
{
    switch (type) {
    case NND_REAL: return "NND_REAL";
    case NND_INT: return "NND_INT";
    case NND_BOOL: return "NND_BOOL";
    case NND_U8: return "NND_U8";
    case NND_F64: return "NND_F64";
    }
    return "";
}

static const char *kept_text(NndKept kept)
{
    switch (kept) {
    case NND_PARAM: return "NND_PARAM";
    case NND_STATE: return "NND_STATE";
    case NND_FIT: return "NND_FIT";
    case NND_OPTIMIZER: return "NND_OPTIMIZER";
    case NND_SCRATCH: return "NND_SCRATCH";
    }
    return "";
}

/* "2, {784, 512}", the members rank and shape. */
static const char *list_text(Trainer *t, int n, const int64_t *list)
{
    StrBuf out = str_new(t->arena);
    for (int k = 0; k < n; k++)
        str_printf(&out, "%s%lld", k ? ", " : "{", (long long)list[k]);
    str_add(&out, n ? "}" : "{0}");
    return str_text(&out);
}

static const char *shape_text(Trainer *t, int rank, const int64_t *shape)
{
    return arena_printf(t->arena, "%d, %s", rank, list_text(t, rank, shape));
}

static const char *number_text(Trainer *t, double value)
{
    if (isnan(value)) return "NAN";
    if (isinf(value)) return value < 0 ? "-INFINITY" : "INFINITY";
    const char *text = "";
    for (int digits = 6; digits <= 17; digits++) { /* as few as give the same number */
        text = arena_printf(t->arena, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    return text;
}

static const char *bool_text(bool value)
{
    return value ? "true" : "false";
}

static const Entry *entry_of(const NndEntry *entry)
{
    return entry->data;
}

/* "&entry_step_mlp", or NULL. */
static const char *entry_address(Trainer *t, const NndEntry *entry)
{
    return entry ? arena_printf(t->arena, "&entry_%s", entry_of(entry)->name) : "NULL";
}

/* --- entries
 * -------------------------------------------------------------------------------------- */

static void print_ports(Trainer *t, const char *kind, const char *entry, const NndPort *ports,
                        int count)
{
    if (!count) return;
    out_line(&t->out, "static const NndPort %s_%s[] = {", kind, entry);
    t->out.indent++;
    for (int i = 0; i < count; i++)
        out_line(&t->out, "{%s, %s, %s, %s, %d, %d%s},", quoted(t, ports[i].name),
                 type_text(ports[i].type), bool_text(ports[i].batched),
                 shape_text(t, ports[i].rank, ports[i].shape), ports[i].set, ports[i].field,
                 ports[i].most ? arena_printf(t->arena, ", %lld, %d, %d", (long long)ports[i].most,
                                              ports[i].sizes_of, ports[i].axis)
                               : ", 0, 0, 0");
    out_close(&t->out, "};");
}

/* run_NAME: sets what the entry reads, runs it, hands its outputs over. */
static void print_run(Trainer *t, const NndEntry *described)
{
    const Entry *entry = entry_of(described);
    Nodes inputs = entry_inputs(t->program, entry);
    out_line(&t->out, "static int run_%s(const NndCall *call)", entry->name);
    out_open(&t->out, "{");
    out_line(&t->out, "struct Model *m = call->model;");
    out_line(&t->out, "call_begin(m, call);");
    for (int i = 0; i < inputs.len; i++) {
        const char *name = c_leaf_name(t->c, inputs.data[i]);
        if (name) out_line(&t->out, "m->%s = call->inputs[%d];", name, i);
    }
    out_line(&t->out, "%s(m);", entry->name);
    for (int i = 0; i < entry->outputs.len; i++) {
        const Node *node = entry->outputs.data[i].node;
        const NndPort *port = &described->outputs[i];
        const char *name = c_output_name(t->c, entry, i);
        out_line(&t->out, "memcpy(call->outputs[%d], m->%s, %ssizeof(%s) * %lld);", i, name,
                 port->batched ? "(size_t)call->batch * " : "",
                 c_element_type(t->options, node->type),
                 (long long)nnd_shape_size(port->rank, port->shape));
    }
    out_line(&t->out, "return call_end(m, call);");
    out_close(&t->out, "}");
    out_blank(&t->out);
}

static void print_entry(Trainer *t, const NndEntry *described)
{
    if (!described) return;
    const char *name = entry_of(described)->name;
    print_run(t, described);
    print_ports(t, "inputs", name, described->inputs, described->input_count);
    print_ports(t, "outputs", name, described->outputs, described->output_count);
    out_line(&t->out, "static const NndEntry entry_%s = {run_%s, %s, %s, %d, %d, %lld, %d, NULL};",
             name, name,
             described->input_count ? arena_printf(t->arena, "inputs_%s", name) : "NULL",
             described->output_count ? arena_printf(t->arena, "outputs_%s", name) : "NULL",
             described->input_count, described->output_count, (long long)described->batch,
             described->set);
    out_blank(&t->out);
}

static void print_stream_entries(Trainer *t, const NndStreamed *stream)
{
    if (!stream) return;
    print_entry(t, stream->reset);
    for (int i = 0; i < stream->pass_count; i++)
        print_entry(t, stream->passes[i]);
    print_entry(t, stream->finish);
}

/* NAME: the table of `count` streams. */
static void print_streams(Trainer *t, const char *name, const NndStreamed *streams, int count)
{
    for (int i = 0; i < count; i++) {
        if (!streams[i].pass_count) continue;
        out_line(&t->out, "static const NndEntry *const passes_%s_%d[] = {", name, i);
        t->out.indent++;
        for (int k = 0; k < streams[i].pass_count; k++)
            out_line(&t->out, "%s,", entry_address(t, streams[i].passes[k]));
        out_close(&t->out, "};");
    }
    if (!count) return;
    out_line(&t->out, "static const NndStreamed %s[] = {", name);
    t->out.indent++;
    for (int i = 0; i < count; i++)
        out_line(&t->out, "{%s, %s, %s, %d},", entry_address(t, streams[i].reset),
                 entry_address(t, streams[i].finish),
                 streams[i].pass_count ? arena_printf(t->arena, "passes_%s_%d", name, i) : "NULL",
                 streams[i].pass_count);
    out_close(&t->out, "};");
    out_blank(&t->out);
}

static void print_helpers(Trainer *t)
{
    static const char *const lines[] = {
        "static void call_begin(struct Model *m, const NndCall *call)",
        "{",
        "    m->batch = (int32_t)call->batch;",
        "    m->total = (int32_t)call->total;",
        "    m->offset = (int32_t)call->offset;",
        "    m->step = (int32_t)call->step;",
        "    m->epoch = (int32_t)call->epoch;",
        "    m->seed = call->seed;",
        "    m->pool = call->pool;",
        "    m->fault = (struct Fault){0};",
        "}",
        "",
        "static int call_end(const struct Model *m, const NndCall *call)",
        "{",
        "    if (m->fault.place == NULL) return 0;",
        "    if (m->fault.what == A_DIVISOR) return nnd_error(call->error, \"%s\", m->fault.place);",
        "    if (m->fault.what == A_SIZE)",
        "        return nnd_error(call->error, \"%s: a run-time size of %ld, where at most %ld fit\",",
        "                         m->fault.place, m->fault.value, m->fault.bound);",
        "    return nnd_error(call->error, \"%s is %ld, but its axis has %ld element%s\", m->fault.place,",
        "                     m->fault.value, m->fault.bound, m->fault.bound == 1 ? \"\" : \"s\");",
        "}",
        "",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        out_directive(&t->out, "%s", lines[i]);
}

/* --- tables
 * ----------------------------------------------------------------------------------------- */

static void print_tensors(Trainer *t)
{
    const NndProgram *d = t->described;
    if (!d->tensor_count) return;
    out_line(&t->out, "static const NndTensorInfo tensors[] = {");
    t->out.indent++;
    for (int i = 0; i < d->tensor_count; i++)
        out_line(&t->out, "{%s, %s, %s, %s, offsetof(struct Model, %s)},",
                 quoted(t, d->tensors[i].name), kept_text(d->tensors[i].kept),
                 type_text(d->tensors[i].type),
                 shape_text(t, d->tensors[i].rank, d->tensors[i].shape),
                 c_persistent_name(t->c, t->program->persistents.data[i]));
    out_close(&t->out, "};");
    out_blank(&t->out);
}

static void print_files(Trainer *t)
{
    const NndProgram *d = t->described;
    if (!d->file_count) return;
    for (int i = 0; i < d->file_count; i++) {
        if (!d->files[i].columns) continue;
        out_line(&t->out, "static const char *const columns_%d[] = {", i);
        t->out.indent++;
        for (const char *const *c = d->files[i].columns; *c; c++)
            out_line(&t->out, "%s,", quoted(t, *c));
        out_line(&t->out, "NULL,");
        out_close(&t->out, "};");
    }
    out_line(&t->out, "static const NndFileInfo files[] = {");
    t->out.indent++;
    for (int i = 0; i < d->file_count; i++) {
        const NndFileInfo *f = &d->files[i];
        out_line(&t->out, "{%s, %s, %s, %s, %s, %s, %s},", quoted(t, f->kind), quoted(t, f->path),
                 quoted(t, f->place), f->columns ? arena_printf(t->arena, "columns_%d", i) : "NULL",
                 bool_text(f->except), type_text(f->type), shape_text(t, f->rank, f->shape));
    }
    out_close(&t->out, "};");
    out_blank(&t->out);
}

static void print_data(Trainer *t)
{
    const NndProgram *d = t->described;
    if (!d->data_count) return;
    for (int i = 0; i < d->data_count; i++) {
        if (!d->data[i].field_count) continue;
        out_line(&t->out, "static const NndFieldInfo fields_%s[] = {", d->data[i].name);
        t->out.indent++;
        for (int k = 0; k < d->data[i].field_count; k++) {
            const NndFieldInfo *f = &d->data[i].fields[k];
            int64_t sizes[NND_MAX_RANK] = {0};
            for (int a = 0; a < f->rank; a++)
                sizes[a] = f->sizes[a];
            const char *shape = shape_text(t, f->rank, f->shape);
            out_line(&t->out, "{%s, %s, %s, {{%d, %d}, {%d, %d}, {%d, %d}}, %s},",
                     quoted(t, f->name), type_text(f->type), shape, f->source[0].file,
                     f->source[0].made, f->source[1].file, f->source[1].made, f->source[2].file,
                     f->source[2].made, list_text(t, f->rank, sizes));
        }
        out_close(&t->out, "};");
    }
    out_line(&t->out, "static const NndDataInfo data[] = {");
    t->out.indent++;
    for (int i = 0; i < d->data_count; i++) {
        const NndDataInfo *s = &d->data[i];
        out_line(&t->out, "{%s, %s, %d, {%lld, %lld, %lld}, %s, {%s, %s, %s}},", quoted(t, s->name),
                 s->field_count ? arena_printf(t->arena, "fields_%s", s->name) : "NULL",
                 s->field_count, (long long)s->count[0], (long long)s->count[1],
                 (long long)s->count[2], bool_text(s->drawn), number_text(t, s->fractions[0]),
                 number_text(t, s->fractions[1]), number_text(t, s->fractions[2]));
    }
    out_close(&t->out, "};");
    out_blank(&t->out);
}

static const char *drawing_text(NndDrawing drawing)
{
    switch (drawing) {
    case NND_PLAIN: return "NND_PLAIN";
    case NND_MATRIX: return "NND_MATRIX";
    case NND_CURVE: return "NND_CURVE";
    case NND_BARS: return "NND_BARS";
    case NND_IMAGE: return "NND_IMAGE";
    case NND_TEXT: return "NND_TEXT";
    }
    return "";
}

static void print_train_tables(Trainer *t, const NndTrainInfo *train, const char *name)
{
    if (train->loss_count) {
        out_line(&t->out, "static const char *const losses_%s[] = {", name);
        t->out.indent++;
        for (int i = 0; i < train->loss_count; i++)
            out_line(&t->out, "%s,", quoted(t, train->losses[i]));
        out_close(&t->out, "};");
        StrBuf ran = str_new(t->arena);
        for (int i = 0; i < train->loss_count; i++)
            str_printf(&ran, "%s%d", i ? ", " : "", train->ran[i]);
        out_line(&t->out, "static const int ran_%s[] = {%s};", name, str_text(&ran));
    }
    if (train->set_count) {
        StrBuf sets = str_new(t->arena);
        for (int i = 0; i < train->set_count; i++)
            str_printf(&sets, "%s%d", i ? ", " : "", train->sets[i]);
        out_line(&t->out, "static const int sets_%s[] = {%s};", name, str_text(&sets));
    }
    print_streams(t, arena_printf(t->arena, "fits_%s", name), train->fits, train->fit_count);
    print_streams(t, arena_printf(t->arena, "report_%s", name), train->report,
                  train->report != NULL);
    if (!train->report) return;
    out_line(&t->out, "static const NndReportInfo reports_%s[] = {", name);
    t->out.indent++;
    for (int i = 0; i < train->report->finish->output_count; i++)
        out_line(&t->out, "{%s, %s},", drawing_text(train->reports[i].drawing),
                 bool_text(train->reports[i].first));
    out_close(&t->out, "};");
}

static void print_trains(Trainer *t)
{
    const NndProgram *d = t->described;
    if (!d->train_count) return;
    for (int i = 0; i < d->train_count; i++)
        print_train_tables(t, &d->trains[i], t->program->trains.data[i]->identifier);
    out_line(&t->out, "static const NndTrainInfo trains[] = {");
    t->out.indent++;
    for (int i = 0; i < d->train_count; i++) {
        const NndTrainInfo *b = &d->trains[i];
        const char *name = t->program->trains.data[i]->identifier;
        out_open(&t->out, "{");
        out_line(&t->out, ".name = %s, .place = %s,", quoted(t, b->name), quoted(t, b->place));
        if (b->loss_count) out_line(&t->out, ".losses = losses_%s, .ran = ran_%s,", name, name);
        out_line(&t->out, ".loss_count = %d,", b->loss_count);
        if (b->set_count) out_line(&t->out, ".sets = sets_%s,", name);
        out_line(&t->out, ".set_count = %d,", b->set_count);
        out_line(&t->out, ".batch = %lld, .epochs = %lld, .steps = %lld, .seed = %lld,",
                 (long long)b->batch, (long long)b->epochs, (long long)b->steps,
                 (long long)b->seed);
        out_line(&t->out, ".shuffle = %s, .evaluate = %lld, .patience = %lld,",
                 bool_text(b->shuffle), (long long)b->evaluate, (long long)b->patience);
        out_line(&t->out, ".step = %s,", entry_address(t, b->step));
        if (b->fit_count) out_line(&t->out, ".fits = fits_%s,", name);
        out_line(&t->out, ".fit_count = %d,", b->fit_count);
        if (b->report)
            out_line(&t->out, ".report = report_%s, .reports = reports_%s, .report_count = %d,", name,
                     name, b->report_count);
        out_line(&t->out, ".monitor = %d,", b->monitor);
        out_close(&t->out, "},");
    }
    out_close(&t->out, "};");
    out_blank(&t->out);
}

static void print_models(Trainer *t)
{
    const NndProgram *d = t->described;
    if (!d->model_count) return;
    out_line(&t->out, "static const NndModelInfo models[] = {");
    t->out.indent++;
    for (int i = 0; i < d->model_count; i++)
        out_line(&t->out, "{%s, %s},", quoted(t, d->models[i].name),
                 entry_address(t, d->models[i].entry));
    out_close(&t->out, "};");
    out_blank(&t->out);
}

static void print_expects(Trainer *t)
{
    const NndProgram *d = t->described;
    if (!d->expect_count) return;
    out_line(&t->out, "static const NndExpectInfo expects[] = {");
    t->out.indent++;
    for (int i = 0; i < d->expect_count; i++)
        out_line(&t->out, "{%s, %s, %s},", quoted(t, d->expects[i].report),
                 quoted(t, d->expects[i].relation), number_text(t, d->expects[i].value));
    out_close(&t->out, "};");
    out_blank(&t->out);
}

static void print_member(Trainer *t, const char *name, int count)
{
    if (count) out_line(&t->out, ".%s = %s,", name, name);
}

/* The program's own text, a literal for each line. */
static void print_text(Trainer *t)
{
    const char *line = t->described->text;
    out_line(&t->out, "static const char program_text[] =");
    t->out.indent++;
    while (*line) {
        size_t n = strcspn(line, "\n");
        n += line[n] == '\n';
        out_line(&t->out, "%s", quoted(t, arena_printf(t->arena, "%.*s", (int)n, line)));
        line += n;
    }
    out_line(&t->out, "\"\";");
    t->out.indent--;
    out_blank(&t->out);
}

static void print_program(Trainer *t)
{
    const NndProgram *d = t->described;
    out_open(&t->out, "static const NndProgram program = {");
    out_line(&t->out, ".name = %s,", quoted(t, d->name));
    out_line(&t->out, ".source = %s,", quoted(t, d->source));
    out_line(&t->out, ".folder = %s,", quoted(t, d->folder));
    out_line(&t->out, ".text = program_text,");
    out_line(&t->out, ".real = %s,", type_text(d->real));
    out_line(&t->out, ".isa = ISA,");
    out_line(&t->out, ".model_size = sizeof(struct Model),");
    NndMemory m = memory_of(d, t->c);
    out_line(&t->out, ".memory = {%lld, %lld, %lld, %lld, %lld, %lld, %lld},", (long long)m.parameters,
             (long long)m.states, (long long)m.optimizers, (long long)m.work, (long long)m.results,
             (long long)m.batch, (long long)m.data);
    print_member(t, "tensors", d->tensor_count);
    out_line(&t->out, ".tensor_count = %d,", d->tensor_count);
    print_member(t, "files", d->file_count);
    out_line(&t->out, ".file_count = %d,", d->file_count);
    print_member(t, "data", d->data_count);
    out_line(&t->out, ".data_count = %d,", d->data_count);
    print_member(t, "trains", d->train_count);
    out_line(&t->out, ".train_count = %d,", d->train_count);
    print_member(t, "models", d->model_count);
    out_line(&t->out, ".model_count = %d,", d->model_count);
    print_member(t, "expects", d->expect_count);
    out_line(&t->out, ".expect_count = %d,", d->expect_count);
    out_line(&t->out, ".init = %s,", entry_address(t, d->init));
    out_line(&t->out, ".load = %s,", entry_address(t, d->load));
    out_close(&t->out, "};");
    out_blank(&t->out);
}

/* --- the file
 * ----------------------------------------------------------------------------------------- */

static void print_summary(Trainer *t)
{
    Program *program = t->program;
    StrBuf models = str_new(t->arena);
    out_comment(&t->out, arena_printf(t->arena,
                                      "Written by nndc from %s. Edit the program, not this file. "
                                      "SPDX-License-Identifier: 0BSD",
                                      program->path));
    for (int i = 0; i < program->models.len; i++)
        str_printf(&models, "%s%s (%lld parameters)",
                   i ? ", " : "Models: ", program->models.data[i]->name,
                   (long long)program->models.data[i]->n_parameters);
    if (program->models.len) out_comment(&t->out, str_text(&models));
    char text[300];
    NndMemory memory = memory_of(t->described, t->c);
    nnd_memory_text(text, sizeof text, &memory);
    t->program->memory = arena_strdup(t->arena, text);
    t->program->again = memory_again(t->program, t->c);
    out_comment(&t->out, arena_printf(t->arena, "Memory: %s", text));
    if (t->program->again) out_comment(&t->out, arena_printf(t->arena, "To fit, %s", t->program->again));
    for (int i = 0; i < READER_LIBRARIES; i++) {
        const ReaderLibrary *library = &reader_libraries[i];
        if (!reader_library_used(library, t->described)) continue;
        out_comment(&t->out, arena_printf(t->arena, "%s() needs %s%s%s%s", library->kind, library->cflags,
                                          *library->cflags ? " " : "", library->libs,
                                          t->options->amalgamate ? "" : ", and the object file with the reader, "
                                          "before the runtime's archive"));
    }
    out_blank(&t->out);
}

static void print_entries(Trainer *t)
{
    const NndProgram *d = t->described;
    Entries entries = program_entries(t->program);
    for (int i = 0; i < entries.len; i++)
        c_program_entry(&t->out, t->c, entries.data[i]);
    print_helpers(t);
    print_entry(t, d->init);
    print_entry(t, d->load);
    for (int i = 0; i < d->train_count; i++) {
        for (int k = 0; k < d->trains[i].fit_count; k++)
            print_stream_entries(t, &d->trains[i].fits[k]);
        print_entry(t, d->trains[i].step);
        print_stream_entries(t, d->trains[i].report);
    }
    for (int i = 0; i < d->model_count; i++)
        print_entry(t, d->models[i].entry);
}

const char *program_text(Program *program, const NndProgram *described, const Options *options)
{
    Arena *arena = context_arena(program->context);
    Entries entries = program_entries(program);
    Trainer t = {.program = program, .described = described, .options = options, .arena = arena};
    t.c = c_program_new(program, options, entries.data, entries.len);
    if (options->max_memory) {
        memory_fit(described, t.c, options->max_memory);
        memory_check(program, described, t.c, options->max_memory);
    }
    t.out = out_new(arena);
    print_summary(&t);
    c_program_head(&t.out, t.c);
    out_directive(&t.out, "#include \"nnd_program.h\"");
    out_blank(&t.out);
    print_entries(&t);
    print_tensors(&t);
    print_files(&t);
    print_data(&t);
    print_trains(&t);
    print_models(&t);
    print_expects(&t);
    print_text(&t);
    print_program(&t);
    return str_text(&t.out.text);
}

const char *trainer_text(Program *program, const NndProgram *described, const Options *options)
{
    StrBuf out = str_new(context_arena(program->context));
    str_add(&out, program_text(program, described, options));
    str_add(&out, "int main(int argc, char **argv)\n"
                  "{\n"
                  "    return nnd_program_main(&program, argc, argv);\n"
                  "}\n");
    if (!options->amalgamate) return str_text(&out);
    StrBuf defines = str_new(context_arena(program->context));
    if (!strcmp(options->blas, "openblas")) str_add(&defines, "#define NND_BLAS\n");
    for (int i = 0; i < READER_LIBRARIES; i++)
        if (reader_library_used(&reader_libraries[i], described))
            str_printf(&defines, "#define %s\n", reader_libraries[i].macro);
    return amalgamate(context_arena(program->context), RUNTIME_PROGRAM, str_text(&defines),
                      str_text(&out));
}
