/* session.c -- a program while it runs: the tensors that are kept, and one call of an entry.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>

char *nnd_path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    char *path = malloc(length + strlen(name) + 2);
    if (path == NULL) return NULL;
    if (name[0] == '/' || length == 0)
        strcpy(path, name);
    else
        sprintf(path, "%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
    return path;
}

int nnd_port_alloc(const NndPort *port, int64_t n, NndArray *array, NndError *error)
{
    *array = (NndArray){.type = port->type, .rank = port->rank + port->batched};
    if (port->batched) array->shape[0] = n;
    memcpy(array->shape + port->batched, port->shape, sizeof(int64_t) * (size_t)port->rank);
    return nnd_array_alloc(array, error);
}

/* Sizes of bounded axes are at most what fits. */
static int sizes_check(NndSession *session, const NndEntry *entry, const NndCall *call)
{
    for (int i = 0; i < entry->input_count; i++) {
        const NndPort *port = &entry->inputs[i];
        if (port->most == 0) continue;
        const int32_t *sizes = call->inputs[i];
        for (int64_t n = 0; n < (port->batched ? call->batch : 1); n++)
            if (sizes[n] < 0 || sizes[n] > port->most)
                return nnd_error(&session->error,
                                 "%s: the size %ld of example %lld is not between 0 and %lld",
                                 port->name, (long)sizes[n], (long long)(call->offset + n),
                                 (long long)port->most);
    }
    return 0;
}

int nnd_entry_run(NndSession *session, const NndEntry *entry, NndCall *call)
{
    if (sizes_check(session, entry, call)) return 1;
    call->entry = entry;
    call->tensors = session->data;
    call->model = session->model;
    call->pool = session->pool;
    call->error = &session->error;
    return entry->run(call);
}

int nnd_session_open(NndSession *session)
{
    const NndProgram *program = session->program;
    size_t count = (size_t)program->tensor_count + 1;
    session->tensors = calloc(count, sizeof *session->tensors);
    session->saved = calloc(count, sizeof *session->saved);
    session->data = calloc(count, sizeof *session->data);
    session->files = calloc((size_t)program->file_count + 1, sizeof *session->files);
    session->sets = calloc((size_t)program->data_count + 1, sizeof *session->sets);
    session->folder = malloc(strlen(program->name) + 5);
    int64_t threads = session->options.threads;
    session->pool = nnd_pool_new(threads < NND_MOST_THREADS ? (int)threads : NND_MOST_THREADS);
    if (session->pool == NULL || session->tensors == NULL || session->saved == NULL || session->data == NULL ||
        session->files == NULL || session->sets == NULL || session->folder == NULL)
        return nnd_error(&session->error, "out of memory");
    sprintf(session->folder, "%s.run", program->name);
    if (program->model_size > 0) {
        session->model = nnd_alloc(program->model_size);
        if (session->model == NULL)
            return nnd_error(&session->error, "out of memory: the program takes %.1f MiB",
                             (double)program->model_size / 1048576.0);
        memset(session->model, 0, program->model_size);
    }
    for (int i = 0; i < program->tensor_count; i++) {
        const NndTensorInfo *info = &program->tensors[i];
        NndTensor *tensor = &session->tensors[i];
        tensor->name = info->name;
        tensor->array = (NndArray){.type = info->type, .rank = info->rank};
        memcpy(tensor->array.shape, info->shape, sizeof info->shape);
        if (session->model != NULL)
            tensor->array.data = (char *)session->model + info->offset;
        else if (nnd_array_alloc(&tensor->array, &session->error))
            return 1;
        session->data[i] = tensor->array.data;
        if (info->kept != NND_SCRATCH) session->saved[session->saved_count++] = *tensor;
    }
    return 0;
}

void nnd_session_close(NndSession *session)
{
    bool own = session->tensors != NULL && session->model == NULL;
    for (int i = 0; own && i < session->program->tensor_count; i++)
        nnd_array_free(&session->tensors[i].array);
    nnd_pool_free(session->pool);
    nnd_free(session->model);
    free(session->tensors);
    free(session->saved);
    free(session->data);
    free(session->files);
    free(session->sets);
    free(session->folder);
}
