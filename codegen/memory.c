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

Memory memory_of(const NndProgram *described, const CProgram *c)
{
    Memory m = {.batch = batch_most(described)};
    const Lowered *largest = c_program_largest(c);
    int64_t kept = 0;
    for (int i = 0; i < described->tensor_count; i++) {
        m.kept[described->tensors[i].kept] += tensor_bytes(&described->tensors[i]);
        kept += tensor_bytes(&described->tensors[i]);
    }
    if (largest) m.work = largest->arena_size;
    m.results = c_program_arrays(c) - kept;
    for (int i = 0; i < described->file_count; i++)
        m.data += file_bytes(&described->files[i]);
    for (int i = 0; described->load && i < described->load->output_count; i++)
        m.data += port_bytes(&described->load->outputs[i]);
    return m;
}

int64_t memory_total(const Memory *memory)
{
    int64_t total = memory->work + memory->results + memory->batch + memory->data;
    for (int i = 0; i <= NND_SCRATCH; i++)
        total += memory->kept[i];
    return total;
}

static const char *bytes_text(Arena *arena, int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double number = (double)bytes;
    int unit = 0;
    for (; number >= 1024 && unit < 4; unit++)
        number /= 1024;
    return arena_printf(arena, unit ? "%.1f %s" : "%.0f %s", number, units[unit]);
}

const char *memory_text(Arena *arena, const Memory *memory)
{
    const struct {
        const char *name;
        int64_t bytes;
    } parts[] = {
        {"parameters", memory->kept[NND_PARAM]},
        {"states", memory->kept[NND_STATE] + memory->kept[NND_FIT] + memory->kept[NND_SCRATCH]},
        {"optimizers", memory->kept[NND_OPTIMIZER]},
        {"work", memory->work},
        {"results", memory->results},
        {"batch", memory->batch},
        {"data", memory->data},
    };
    StrBuf out = str_new(arena);
    str_add(&out, bytes_text(arena, memory_total(memory)));
    for (size_t i = 0, shown = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].bytes)
            str_printf(&out, "%s %s %s", shown++ ? "," : ":", parts[i].name,
                       bytes_text(arena, parts[i].bytes));
    return str_text(&out);
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
        const char *function;
        Span span = span_users(program->context, b->node->span, &function);
        const char *place = span.line ? span_place(program->context, span) : NULL;
        blame(arena, list, buffer_bytes(l, b),
              arena_printf(arena, "%s in %s%s%s%s", b->name, l->entry->name, place ? " (" : "",
                           place ? place : "", place ? ")" : ""));
    }
}

static bool is_step(const NndProgram *described, const Lowered *l)
{
    for (int i = 0; l && i < described->train_count; i++)
        if (described->trains[i].step && described->trains[i].step->data == l->entry) return true;
    return false;
}

void memory_check(Program *program, const NndProgram *described, const CProgram *c, int64_t most)
{
    enum { SHOWN = 5 };
    Arena *arena = context_arena(program->context);
    Memory memory = memory_of(described, c);
    BlamedList list = {0};
    if (memory_total(&memory) <= most) return;
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
    diag_error(program->context, NO_SPAN, "%s takes more memory than --max-memory allows, %s: it takes %s",
               program->path, bytes_text(arena, most), memory_text(arena, &memory));
    diag_hint(program->context, "the largest tensors are %s%s", str_text(&largest),
              is_step(described, c_program_largest(c)) && memory.work > memory_total(&memory) / 2
                  ? "; a smaller `batch` makes work memory smaller"
                  : "");
}
