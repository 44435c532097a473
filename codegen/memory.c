/* memory.c -- what a program keeps in memory while it runs, added up from its tables and its plan of
 * work memory; and who is to blame where that is too much. */
#include "memory.h"

#include <stdlib.h>

static int64_t array_bytes(NndType type, int rank, const int64_t *shape)
{
    return (int64_t)nnd_type_size(type) * nnd_shape_size(rank, shape);
}

static int64_t tensor_bytes(const NndTensorInfo *tensor)
{
    return array_bytes(tensor->type, tensor->rank, tensor->shape);
}

static int64_t file_bytes(const NndFileInfo *file)
{
    return array_bytes(file->type, file->rank, file->shape);
}

static int64_t port_bytes(const NndPort *port)
{
    return array_bytes(port->type, port->rank, port->shape);
}

/* The most that the entry, or what was seen before, gathers. */
static void batch_add(const NndEntry *entry, int64_t *most)
{
    int64_t bytes = 0;
    if (!entry) return;
    for (int i = 0; i < entry->input_count; i++)
        if (entry->inputs[i].set >= 0) bytes += entry->batch * port_bytes(&entry->inputs[i]);
    if (bytes > *most) *most = bytes;
}

static int64_t batch_most(const NndProgram *described)
{
    int64_t most = 0;
    for (int i = 0; i < described->train_count; i++) {
        const NndTrainInfo *train = &described->trains[i];
        batch_add(train->step, &most);
        for (int k = 0; train->report && k < train->report->pass_count; k++)
            batch_add(train->report->passes[k], &most);
    }
    return most;
}

static void kept_add(NndMemory *m, const NndTensorInfo *tensor)
{
    int64_t *part = &m->states;
    if (tensor->kept == NND_PARAM) part = &m->parameters;
    if (tensor->kept == NND_OPTIMIZER) part = &m->optimizers;
    *part += tensor_bytes(tensor);
}

NndMemory memory_of(const NndProgram *described, const CProgram *c)
{
    NndMemory m = {.batch = batch_most(described)};
    const Lowered *largest = c_program_largest(c);
    for (int i = 0; i < described->tensor_count; i++)
        kept_add(&m, &described->tensors[i]);
    m.results = c_program_arrays(c) - m.parameters - m.optimizers - m.states;
    if (largest) m.work = largest->arena_size;
    for (int i = 0; i < described->file_count; i++)
        m.data += file_bytes(&described->files[i]);
    for (int i = 0; described->load && i < described->load->output_count; i++)
        m.data += port_bytes(&described->load->outputs[i]);
    return m;
}

static const char *bytes_text(Arena *arena, int64_t bytes)
{
    char text[40];
    return arena_strdup(arena, nnd_bytes_text(text, sizeof text, bytes));
}

static const char *memory_text(Arena *arena, const NndMemory *memory)
{
    char text[300];
    nnd_memory_text(text, sizeof text, memory);
    return arena_strdup(arena, text);
}

/* " (m.nnd:3)": the line of the user's that a tensor comes from, or "". */
static const char *place_text(Program *program, const Node *node)
{
    const char *function;
    Span span = span_users(program->context, node->span, &function);
    if (!span.line) return "";
    return arena_printf(context_arena(program->context), " (%s)", span_place(program->context, span));
}

/* --- computed again ------------------------------------------------------------------------------- */

const char *memory_again(Program *program, const CProgram *c)
{
    enum { SHOWN = 8 };
    Arena *arena = context_arena(program->context);
    StrBuf out = str_new(arena);
    for (int i = 0; i < c_program_entries(c); i++) {
        const Lowered *l = c_program_lowered(c, i);
        if (!l->again.len) continue;
        str_printf(&out, "%s%s computes %d tensors a second time, which takes about %.0f %% longer:",
                   out.len ? "; " : "", l->entry->name, l->again.len, 100 * l->cost_again / l->cost);
        for (int k = 0; k < l->again.len && k < SHOWN; k++) {
            const Node *node = l->again.data[k];
            const Buffer *b = buffer_get(l, node);
            str_printf(&out, "%s %s%s", k ? "," : "", b ? b->name : "a tensor", place_text(program, node));
        }
        if (l->again.len > SHOWN) str_add(&out, ", ...");
    }
    return out.len ? str_text(&out) : NULL;
}

/* --- too much ----------------------------------------------------------------------------------- */

typedef struct Blamed {
    int64_t bytes;
    const char *text;
} Blamed;
typedef VEC(Blamed) BlamedList;

static void blame(Arena *arena, BlamedList *list, int64_t bytes, const char *text)
{
    vec_push(arena, list, ((Blamed){bytes, text}));
}

static int larger_first(const void *a, const void *b)
{
    const Blamed *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->text, y->text);
}

/* Work memory by the tensors that live when most of it is in use. */
static void blame_work(Program *program, const Lowered *l, BlamedList *list)
{
    Arena *arena = context_arena(program->context);
    for (int i = 0; l && i < l->buffers.len; i++) {
        const Buffer *b = l->buffers.data[i];
        if (b->kind != BUFFER_ARENA || b->offset < 0 || !b->peak) continue;
        blame(arena, list, buffer_bytes(l, b),
              arena_printf(arena, "%s in %s%s", b->name, l->entry->name, place_text(program, b->node)));
    }
}

static bool is_step(const NndProgram *described, const Lowered *l)
{
    for (int i = 0; l && i < described->train_count; i++)
        if (described->trains[i].step && described->trains[i].step->data == l->entry) return true;
    return false;
}

void memory_fit(const NndProgram *described, CProgram *c, int64_t most)
{
    NndMemory memory = memory_of(described, c);
    int64_t others = nnd_memory_total(&memory) - memory.work;
    if (nnd_memory_total(&memory) > most) c_program_fit(c, most > others ? most - others : 1);
}

void memory_check(Program *program, const NndProgram *described, const CProgram *c, int64_t most)
{
    enum { SHOWN = 5 };
    Arena *arena = context_arena(program->context);
    NndMemory memory = memory_of(described, c);
    BlamedList list = {0};
    if (nnd_memory_total(&memory) <= most) return;
    blame_work(program, c_program_largest(c), &list);
    for (int i = 0; i < described->tensor_count; i++)
        blame(arena, &list, tensor_bytes(&described->tensors[i]), described->tensors[i].name);
    for (int i = 0; i < described->file_count; i++)
        blame(arena, &list, file_bytes(&described->files[i]),
              arena_printf(arena, "%s (%s)", described->files[i].path, described->files[i].place));
    for (int i = 0; described->load && i < described->load->output_count; i++)
        blame(arena, &list, port_bytes(&described->load->outputs[i]), described->load->outputs[i].name);
    if (list.len) qsort(list.data, (size_t)list.len, sizeof *list.data, larger_first);
    StrBuf largest = str_new(arena);
    for (int i = 0; i < list.len && i < SHOWN; i++)
        str_printf(&largest, "%s%s %s", i ? ", " : "", bytes_text(arena, list.data[i].bytes), list.data[i].text);
    diag_error(program->context, NO_SPAN,
               "%s takes more memory than --max-memory allows, %s: the least that it can do with is %s", program->path,
               bytes_text(arena, most), memory_text(arena, &memory));
    diag_hint(program->context, "--max-memory %lldK is the least; the largest tensors are %s%s",
              (long long)(nnd_memory_total(&memory) + 1023) / 1024, str_text(&largest),
              is_step(described, c_program_largest(c)) && memory.work > nnd_memory_total(&memory) / 2
                  ? "; a smaller `batch` makes work memory smaller"
                  : "");
}
