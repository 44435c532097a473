/* host.c -- what a program holds that another one drives: making it, its tensors by name, and
 * checkpoints. SPDX-License-Identifier: 0BSD */
#include "nnd_host.h"

#include <stdlib.h>

static int host_open(NndHost *host)
{
    const NndProgram *program = host->session.program;
    NndCall call = {.seed = host->session.seed};
    size_t trains = (size_t)program->train_count + 1;
    host->steps = calloc(trains, sizeof *host->steps);
    host->fitted = calloc(trains, sizeof *host->fitted);
    if (host->steps == NULL || host->fitted == NULL)
        return nnd_error(&host->session.error, "out of memory");
    if (nnd_session_open(&host->session)) return 1;
    return nnd_entry_run(&host->session, program->init, &call);
}

NndHost *nnd_host_create(const NndProgram *program, uint64_t seed, int threads, char *message,
                         size_t size)
{
    NndHost *host = threads < 0 ? NULL : calloc(1, sizeof *host);
    const char *text = threads < 0 ? "the number of threads is negative" : "out of memory";
    NndError error;
    if (message != NULL && size > 0) message[0] = 0;
    if (host != NULL) {
        host->session.program = program;
        host->session.seed = seed;
        host->session.options.threads = threads;
        if (!nnd_isa_check(program->isa, &host->session.error) && !host_open(host)) return host;
        error = host->session.error;
        text = error.text;
        nnd_host_free(host);
    }
    if (message != NULL && size > 0) snprintf(message, size, "%s_create: %s", program->name, text);
    return NULL;
}

void nnd_host_free(NndHost *host)
{
    if (host == NULL) return;
    for (int i = 0; i < host->entry_count; i++)
        nnd_host_entry_free(&host->entries[i]);
    nnd_session_close(&host->session);
    free(host->entries);
    free(host->steps);
    free(host->fitted);
    free(host);
}

const char *nnd_host_error(const NndHost *host)
{
    return host != NULL ? host->session.error.text : "the context is NULL";
}

int64_t nnd_host_steps(const NndHost *host, int train)
{
    return host != NULL ? host->steps[train] : 0;
}

/* ---- tensors by name ---- */

static NndTensor *host_tensor(const NndHost *host, const char *path)
{
    for (int i = 0; path != NULL && i < host->session.saved_count; i++)
        if (strcmp(host->session.saved[i].name, path) == 0) return &host->session.saved[i];
    return NULL;
}

const char *nnd_host_path(const NndHost *host, int i)
{
    if (host == NULL || i < 0 || i >= host->session.saved_count) return NULL;
    return host->session.saved[i].name;
}

int nnd_host_shape(const NndHost *host, const char *path, int64_t shape[NND_MAX_RANK])
{
    const NndTensor *tensor = host != NULL ? host_tensor(host, path) : NULL;
    if (tensor == NULL) return -1;
    for (int k = 0; shape != NULL && k < tensor->array.rank; k++)
        shape[k] = tensor->array.shape[k];
    return tensor->array.rank;
}

/* The tensor, if a call for `count` of its elements is right. */
static NndTensor *host_access(NndHost *host, const char *verb, const char *path, const void *values,
                              int64_t count)
{
    NndError *error = &host->session.error;
    NndTensor *tensor = host_tensor(host, path);
    const char *name = host->session.program->name;
    error->text[0] = 0;
    if (path == NULL || values == NULL)
        nnd_error(error, "%s_%s: %s is NULL", name, verb, path == NULL ? "path" : "values");
    else if (tensor == NULL)
        nnd_error(error,
                  "%s_%s: there is no tensor \"%.100s\"; %s_path(ctx, 0) is the first, \"%s\"",
                  name, verb, path, name,
                  host->session.saved_count > 0 ? host->session.saved[0].name : "");
    else if (count != nnd_array_size(&tensor->array))
        nnd_error(error, "%s_%s: %s has %lld elements, not %lld", name, verb, path,
                  (long long)nnd_array_size(&tensor->array), (long long)count);
    return error->text[0] == 0 ? tensor : NULL;
}

int nnd_host_get(NndHost *host, const char *path, void *values, int64_t count)
{
    if (host == NULL) return NND_HOST_CALL;
    const NndTensor *tensor = host_access(host, "get", path, values, count);
    if (tensor == NULL) return NND_HOST_CALL;
    for (int64_t i = 0; i < count; i++) {
        double value = nnd_array_value(&tensor->array, i);
        if (host->session.program->real == NND_F64)
            ((double *)values)[i] = value;
        else
            ((float *)values)[i] = (float)value;
    }
    return NND_HOST_OK;
}

/* Whether a tensor of this type can hold the number. */
static bool type_holds(NndType type, double value)
{
    if (type == NND_REAL || type == NND_F64) return true;
    double most = type == NND_INT ? INT32_MAX : type == NND_U8 ? 255 : 1;
    return value >= (type == NND_INT ? INT32_MIN : 0) && value <= most && value == floor(value);
}

int nnd_host_set(NndHost *host, const char *path, const void *values, int64_t count)
{
    if (host == NULL) return NND_HOST_CALL;
    NndTensor *tensor = host_access(host, "set", path, values, count);
    if (tensor == NULL) return NND_HOST_CALL;
    NndArray from = {.type = host->session.program->real, .data = (void *)(uintptr_t)values};
    NndType type = tensor->array.type;
    for (int64_t i = 0; i < count; i++)
        if (!type_holds(type, nnd_array_value(&from, i))) {
            nnd_error(&host->session.error, "%s_set: element %lld is %g, and %s is of type %s",
                      host->session.program->name, (long long)i, nnd_array_value(&from, i), path,
                      nnd_type_name(type));
            return NND_HOST_CALL;
        }
    for (int64_t i = 0; i < count; i++) {
        double value = nnd_array_value(&from, i);
        if (type == NND_REAL)
            ((float *)tensor->array.data)[i] = (float)value;
        else if (type == NND_F64)
            ((double *)tensor->array.data)[i] = value;
        else if (type == NND_INT)
            ((int32_t *)tensor->array.data)[i] = (int32_t)value;
        else
            ((uint8_t *)tensor->array.data)[i] = (uint8_t)value;
    }
    return NND_HOST_OK;
}

/* ---- checkpoints ---- */

static void steps_key(char *key, size_t size, const NndTrainInfo *train)
{
    snprintf(key, size, "step.%.200s", train->name);
}

/* What a trainer writes, so that one can go on from it, and the steps of every train block. */
static int state_make(const NndHost *host, NndState *state, NndError *error)
{
    const NndProgram *program = host->session.program;
    char key[220];
    int failed = nnd_state_set_int(state, "seed", (int64_t)host->session.seed, error);
    for (int i = 0; i < program->train_count && !failed; i++) {
        steps_key(key, sizeof key, &program->trains[i]);
        failed = nnd_state_set_int(state, key, host->steps[i], error);
    }
    if (failed || program->train_count == 0) return failed;
    const NndTrainInfo *train = &program->trains[host->last];
    failed =
        nnd_state_set(state, "train", train->name, error) ||
        nnd_state_set_int(state, "step", host->steps[host->last], error) ||
        nnd_state_set_int(state, "steps_per_epoch", nnd_host_per_epoch(host, host->last), error) ||
        nnd_state_set_int(state, "log_rows", host->log_rows, error);
    for (int i = 0; i < train->loss_count && !failed; i++) {
        snprintf(key, sizeof key, "loss_sum%d", i + 1);
        failed = nnd_state_set_real(state, key, 0, error);
        snprintf(key, sizeof key, "loss_weight%d", i + 1);
        if (!failed) failed = nnd_state_set_real(state, key, 0, error);
    }
    return failed;
}

int nnd_host_save(NndHost *host, const char *path)
{
    if (host == NULL) return NND_HOST_CALL;
    NndError *error = &host->session.error;
    NndState state = {.keys = NULL};
    error->text[0] = 0;
    if (path == NULL) {
        nnd_error(error, "%s_save: path is NULL", host->session.program->name);
        return NND_HOST_CALL;
    }
    int code = NND_HOST_OK;
    if (state_make(host, &state, error))
        code = NND_HOST_MEMORY;
    else if (nnd_checkpoint_write(path, host->session.saved, host->session.saved_count, &state,
                                  error))
        code = NND_HOST_FILE;
    nnd_state_free(&state);
    return code;
}

/* Takes over the counters that are there; a file of tensors alone leaves them as they are. */
static void state_take(NndHost *host, const NndState *state)
{
    const NndProgram *program = host->session.program;
    const char *name = nnd_state_get(state, "train");
    char key[220];
    int64_t value;
    if (!nnd_state_get_int(state, "seed", &value, NULL)) host->session.seed = (uint64_t)value;
    if (!nnd_state_get_int(state, "log_rows", &value, NULL)) host->log_rows = value;
    for (int i = 0; i < program->train_count; i++) {
        const NndTrainInfo *train = &program->trains[i];
        bool last = name != NULL && strcmp(name, train->name) == 0;
        steps_key(key, sizeof key, train);
        host->fitted[i] = true;
        if (last) host->last = i;
        if (name != NULL) host->steps[i] = 0;
        if (!nnd_state_get_int(state, key, &value, NULL) ||
            (last && !nnd_state_get_int(state, "step", &value, NULL)))
            host->steps[i] = value > 0 ? value : 0;
    }
}

int nnd_host_load(NndHost *host, const char *path)
{
    if (host == NULL) return NND_HOST_CALL;
    NndError *error = &host->session.error;
    NndState state = {.keys = NULL};
    error->text[0] = 0;
    if (path == NULL) {
        nnd_error(error, "%s_load: path is NULL", host->session.program->name);
        return NND_HOST_CALL;
    }
    int failed =
        nnd_checkpoint_read(path, host->session.saved, host->session.saved_count, &state, error);
    if (!failed) state_take(host, &state);
    nnd_state_free(&state);
    return failed ? NND_HOST_FILE : NND_HOST_OK;
}
