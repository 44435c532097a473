/* best.c -- the weights with which a training's monitor was best: a copy in memory, written as
 * best.safetensors beside each checkpoint. It holds what a model computes with (parameters, states,
 * fitted values), not the optimisers' state. It is written before the checkpoint that counts on it:
 * should a run end between the two, the one that resumes from the older checkpoint meets the same
 * best weights again. SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static bool best_keeps(NndKept kept)
{
    return kept == NND_PARAM || kept == NND_STATE || kept == NND_FIT;
}

int nnd_best_open(NndSession *session, NndBest *best)
{
    const NndProgram *program = session->program;
    *best = (NndBest){.value = (double)INFINITY, .step = -1};
    best->tensors = calloc((size_t)program->tensor_count + 1, sizeof *best->tensors);
    if (best->tensors == NULL) return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < program->tensor_count; i++) {
        if (!best_keeps(program->tensors[i].kept)) continue;
        NndTensor *copy = &best->tensors[best->count++];
        *copy = session->tensors[i];
        copy->array.data = NULL;
        if (nnd_array_alloc(&copy->array, &session->error)) return 1;
    }
    return 0;
}

void nnd_best_close(NndBest *best)
{
    for (int i = 0; i < best->count; i++)
        nnd_array_free(&best->tensors[i].array);
    free(best->tensors);
    *best = (NndBest){.tensors = NULL};
}

static size_t best_bytes(const NndTensor *tensor)
{
    return nnd_type_size(tensor->array.type) * (size_t)nnd_array_size(&tensor->array);
}

/* Copies between the kept tensors and the best ones. */
static void best_copy(NndSession *session, const NndBest *best, bool restore)
{
    for (int i = 0, k = 0; i < session->program->tensor_count; i++) {
        if (!best_keeps(session->program->tensors[i].kept)) continue;
        void *now = session->tensors[i].array.data, *kept = best->tensors[k].array.data;
        memcpy(restore ? now : kept, restore ? kept : now, best_bytes(&best->tensors[k]));
        k++;
    }
}

void nnd_best_offer(NndSession *session, NndBest *best, double value, int64_t step)
{
    if (!(value < best->value)) { /* NaN is never better */
        best->waited++;
        return;
    }
    best->value = value;
    best->step = step;
    best->waited = 0;
    best->written = false;
    best_copy(session, best, false);
}

void nnd_best_restore(NndSession *session, const NndBest *best)
{
    best_copy(session, best, true);
}

int nnd_best_write(NndSession *session, NndBest *best, const char *path, const char *train)
{
    NndState state = {.keys = NULL};
    NndError *error = &session->error;
    if (best->written) return 0;
    if (best->step < 0) {
        if (unlink(path) == 0 || errno == ENOENT) return 0;
        return nnd_error(error, "%s: cannot be removed: %s", path, strerror(errno));
    }
    int failed = nnd_state_set(&state, "train", train, error) ||
                 nnd_state_set_int(&state, "step", best->step, error) ||
                 nnd_state_set_real(&state, "monitor", best->value, error) ||
                 nnd_checkpoint_write(path, best->tensors, best->count, &state, error);
    nnd_state_free(&state);
    best->written = !failed;
    return failed;
}

int nnd_best_read(NndSession *session, NndBest *best, const char *path, const char *train)
{
    NndState state = {.keys = NULL};
    NndError *error = &session->error;
    int failed = nnd_checkpoint_read(path, best->tensors, best->count, &state, error);
    const char *name = failed ? NULL : nnd_state_get(&state, "train");
    if (!failed && (name == NULL || strcmp(name, train) != 0))
        failed = nnd_error(error, "%s: holds the best weights of another train block than \"%s\"",
                           path, train);
    nnd_state_free(&state);
    best->written = !failed;
    return failed;
}
