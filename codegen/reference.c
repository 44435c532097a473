/* reference.c -- runs a program by the reference evaluator. The loop around it (batches, steps,
 * reports, checkpoints) is the runtime's, the same as in compiled trainers; here every entry's
 * `run` evaluates the graphs of its Entry. What the runtime keeps as bytes and 32-bit ints becomes
 * doubles for a call, and results turn back. */
#include "reference.h"
#include "describe.h"
#include "eval.h"

#include <stdlib.h>

/* What NndEntry.data points to. */
typedef struct ReferenceEntry {
    Program *program;
    const Entry *entry;
    Nodes inputs; /* leaves, in the order of the ports */
} ReferenceEntry;

/* The leaf's value as doubles, read from what the runtime holds. */
static EvalArray *array_import(const Node *leaf, const void *data, bool batched, int64_t batch)
{
    int64_t dims[MAX_RANK];
    for (int k = 0; k < leaf->rank; k++)
        dims[k] = leaf->shape[k].max;
    if (batched) dims[0] = batch;
    EvalArray *array = eval_array_new(leaf->rank, dims);
    NndArray from = {.type = describe_type(leaf->type, true), .data = (void *)(uintptr_t)data};
    for (int64_t i = 0; i < array->count; i++)
        array->data[i] = nnd_array_value(&from, i);
    return array;
}

static void array_export(const EvalArray *array, ElemType type, void *data)
{
    for (int64_t i = 0; i < array->count; i++)
        switch (type) {
        case TYPE_BOOL:
        case TYPE_U8: ((uint8_t *)data)[i] = (uint8_t)array->data[i]; break;
        case TYPE_INT: ((int32_t *)data)[i] = (int32_t)array->data[i]; break;
        case TYPE_REAL: ((double *)data)[i] = array->data[i]; break;
        }
}

/* Evaluates the roots and stores outputs, then updates (all were computed from the old values). */
static int reference_evaluate(const ReferenceEntry *reference, const EvalEnv *env,
                              const NndCall *call)
{
    const Entry *entry = reference->entry;
    int n = entry->outputs.len + entry->updates.len;
    const Node **roots = calloc((size_t)n + 1, sizeof *roots);
    EvalArray **values = calloc((size_t)n + 1, sizeof *values);
    char message[400];
    int status = roots && values ? 0 : nnd_error(call->error, "out of memory");
    for (int i = 0; i < n && !status; i++)
        roots[i] = i < entry->outputs.len ? entry->outputs.data[i].node
                                          : entry->updates.data[i - entry->outputs.len].value;
    if (!status &&
        !eval_roots(reference->program->graph, env, roots, n, values, message, sizeof message))
        status = nnd_error(call->error, "%s", message);
    for (int i = 0; i < n && !status; i++) {
        const Update *update =
            i < entry->outputs.len ? NULL : &entry->updates.data[i - entry->outputs.len];
        void *to = update          ? call->tensors[update->target->index]
                   : call->outputs ? call->outputs[i]
                                   : NULL;
        if (to) array_export(values[i], update ? update->target->leaf->type : roots[i]->type, to);
        eval_array_free(values[i]);
    }
    free(roots);
    free(values);
    return status;
}

/* Whether the entry can reach the persistent's value; a leaf nobody reads is not converted. */
static bool reads(const Nodes *reach, const Node *leaf)
{
    int low = 0, high = reach->len - 1; /* by id, for nodes come in order of creation */
    while (low <= high) {
        int middle = (low + high) / 2;
        if (reach->data[middle] == leaf) return true;
        if (reach->data[middle]->id < leaf->id)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return false;
}

static Nodes entry_reach(Arena *arena, const Entry *entry)
{
    Nodes roots = {0};
    for (int i = 0; i < entry->outputs.len; i++)
        vec_push(arena, &roots, entry->outputs.data[i].node);
    for (int i = 0; i < entry->updates.len; i++)
        vec_push(arena, &roots, entry->updates.data[i].value);
    return graph_reach(arena, roots.data, roots.len);
}

static int reference_entry_run(const NndCall *call)
{
    const ReferenceEntry *reference = call->entry->data;
    Program *program = reference->program;
    Arena *arena = arena_new();
    EvalEnv env = eval_env(arena, call->seed);
    env.batch = call->batch;
    env.total = call->total;
    env.offset = call->offset;
    env.step = call->step;
    env.epoch = call->epoch;
    Nodes reach = entry_reach(arena, reference->entry);
    VEC(EvalArray *) arrays = {0};
    for (int i = 0; i < program->persistents.len; i++) {
        const Node *leaf = program->persistents.data[i]->leaf;
        if (!reads(&reach, leaf)) continue;
        vec_push(arena, &arrays, array_import(leaf, call->tensors[i], false, 0));
        eval_set(&env, leaf, arrays.data[arrays.len - 1]);
    }
    for (int i = 0; i < reference->inputs.len; i++) {
        const Node *leaf = reference->inputs.data[i];
        bool batched = call->entry->inputs[i].batched;
        vec_push(arena, &arrays, array_import(leaf, call->inputs[i], batched, call->batch));
        eval_set(&env, leaf, arrays.data[arrays.len - 1]);
    }
    int status = reference_evaluate(reference, &env, call);
    for (int i = 0; i < arrays.len; i++)
        eval_array_free(arrays.data[i]);
    arena_free(arena);
    return status;
}

static void entry_prepare(Program *program, const NndEntry *entry)
{
    NndEntry *writable = (NndEntry *)(uintptr_t)entry;
    ReferenceEntry *reference = NEW(context_arena(program->context), ReferenceEntry);
    if (!entry || entry->run) return;
    *reference = (ReferenceEntry){program, entry->data, entry_inputs(program, entry->data)};
    writable->data = reference;
    writable->run = reference_entry_run;
}

static void stream_prepare(Program *program, const NndStreamed *stream)
{
    if (!stream) return;
    entry_prepare(program, stream->reset);
    for (int i = 0; i < stream->pass_count; i++)
        entry_prepare(program, stream->passes[i]);
    entry_prepare(program, stream->finish);
}

int reference_run(Program *program, const NndProgram *described, const NndOptions *options)
{
    entry_prepare(program, described->init);
    entry_prepare(program, described->load);
    for (int i = 0; i < described->train_count; i++) {
        const NndTrainInfo *train = &described->trains[i];
        entry_prepare(program, train->step);
        for (int k = 0; k < train->fit_count; k++)
            stream_prepare(program, &train->fits[k]);
        stream_prepare(program, train->report);
    }
    for (int i = 0; i < described->model_count; i++)
        entry_prepare(program, described->models[i].entry);
    return nnd_program_run(described, options);
}
