/* checkpoint.c -- parameters, optimiser state and the state of a training as one safetensors file,
 * so that one rename replaces all of it. Data are ordered by the size of their elements, the
 * header is padded to 64 bytes, so every tensor is aligned. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>

typedef struct CheckpointText { /* of the header, while it is made */
    char *text;
    size_t used, room;
    bool failed;
} CheckpointText;

static const char *checkpoint_dtype(NndType type)
{
    switch (type) {
    case NND_REAL: return "F32";
    case NND_INT: return "I32";
    case NND_BOOL: return "BOOL";
    case NND_U8: return "U8";
    case NND_F64: return "F64";
    }
    return "";
}

static NndCode checkpoint_code(NndType type)
{
    switch (type) {
    case NND_REAL: return NND_CODE_F32;
    case NND_INT: return NND_CODE_I32;
    case NND_BOOL: return NND_CODE_BOOL;
    case NND_U8: return NND_CODE_U8;
    case NND_F64: return NND_CODE_F64;
    }
    return NND_CODE_U8;
}

static void checkpoint_room(CheckpointText *out, size_t more)
{
    if (out->failed || out->used + more <= out->room) return;
    size_t room = 2 * (out->used + more);
    char *text = realloc(out->text, room);
    out->failed = text == NULL;
    if (text == NULL) return;
    out->text = text;
    out->room = room;
}

static void checkpoint_put(CheckpointText *out, const char *text)
{
    checkpoint_room(out, strlen(text) + 1);
    if (out->failed) return;
    strcpy(out->text + out->used, text);
    out->used += strlen(text);
}

static void checkpoint_quote(CheckpointText *out, const char *text)
{
    checkpoint_room(out, 6 * strlen(text) + 3);
    if (out->failed) return;
    out->used = (size_t)(nnd_json_quote(out->text + out->used, text) - out->text);
}

static size_t checkpoint_bytes(const NndTensor *tensor)
{
    return (size_t)nnd_array_size(&tensor->array) * nnd_type_size(tensor->array.type);
}

static void checkpoint_header(CheckpointText *out, const NndTensor *tensors, int count,
                              const NndState *state)
{
    char number[100];
    size_t offset = 0;
    checkpoint_put(out, "{");
    if (state != NULL && state->count > 0) {
        checkpoint_put(out, "\"__metadata__\":");
        for (int i = 0; i < state->count; i++) {
            checkpoint_put(out, i == 0 ? "{" : ",");
            checkpoint_quote(out, state->keys[i]);
            checkpoint_put(out, ":");
            checkpoint_quote(out, state->values[i]);
        }
        checkpoint_put(out, count > 0 ? "}," : "}");
    }
    const char *between = "";
    for (size_t size = 8; size > 0; size /= 2) {
        for (int i = 0; i < count; i++) {
            const NndArray *array = &tensors[i].array;
            if (nnd_type_size(array->type) != size) continue;
            checkpoint_put(out, between);
            between = ",";
            checkpoint_quote(out, tensors[i].name);
            checkpoint_put(out, ":{\"dtype\":\"");
            checkpoint_put(out, checkpoint_dtype(array->type));
            checkpoint_put(out, "\",\"shape\":");
            char shape[200];
            checkpoint_put(out, nnd_shape_text(shape, sizeof shape, array->rank, array->shape));
            snprintf(number, sizeof number, ",\"data_offsets\":[%zu,%zu]}", offset,
                     offset + checkpoint_bytes(&tensors[i]));
            checkpoint_put(out, number);
            offset += checkpoint_bytes(&tensors[i]);
        }
    }
    checkpoint_put(out, "}");
    while (!out->failed && (8 + out->used) % 64 != 0)
        checkpoint_put(out, " ");
}

int nnd_checkpoint_write(const char *path, const NndTensor *tensors, int count,
                         const NndState *state, NndError *error)
{
    CheckpointText header = {NULL, 0, 0, false};
    unsigned char length[8];
    NndFile file;
    checkpoint_header(&header, tensors, count, state);
    if (header.failed) {
        free(header.text);
        return nnd_error(error, "%s: out of memory", path);
    }
    if (nnd_file_create(&file, path, error)) {
        free(header.text);
        return 1;
    }
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)header.used >> (8 * i));
    nnd_file_write(&file, length, sizeof length);
    nnd_file_write(&file, header.text, header.used);
    free(header.text);
    for (size_t size = 8; size > 0; size /= 2)
        for (int i = 0; i < count; i++)
            if (nnd_type_size(tensors[i].array.type) == size)
                nnd_file_write(&file, tensors[i].array.data, checkpoint_bytes(&tensors[i]));
    return nnd_file_commit(&file, error);
}

static const NndTensor *checkpoint_wanted(const NndTensor *tensors, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(tensors[i].name, name) == 0) return &tensors[i];
    return NULL;
}

static int checkpoint_compare(const char *path, const NndStEntry *entry, const NndTensor *tensor,
                              NndError *error)
{
    char there[200], wanted[200];
    const NndArray *array = &tensor->array;
    bool same_shape =
        entry->rank == array->rank &&
        memcmp(entry->shape, array->shape, (size_t)array->rank * sizeof array->shape[0]) == 0;
    if (!same_shape)
        return nnd_error(
            error,
            "%s: is a checkpoint of another model: its tensor \"%s\" has the shape %s, "
            "and %s is wanted",
            path, tensor->name, nnd_shape_text(there, sizeof there, entry->rank, entry->shape),
            nnd_shape_text(wanted, sizeof wanted, array->rank, array->shape));
    return 0;
}

static int checkpoint_check(const char *path, const NndStHeader *header, const NndTensor *tensors,
                            int count, NndError *error)
{
    char shape[200];
    for (int i = 0; i < count; i++) {
        const NndArray *array = &tensors[i].array;
        const NndStEntry *entry = nnd_st_find(header, tensors[i].name);
        if (entry == NULL)
            return nnd_error(
                error,
                "%s: is a checkpoint of another model: it has no tensor \"%s\" (%s%s is "
                "wanted)",
                path, tensors[i].name, nnd_type_name(array->type),
                nnd_shape_text(shape, sizeof shape, array->rank, array->shape));
        if (checkpoint_compare(path, entry, &tensors[i], error)) return 1;
        if (entry->code != checkpoint_code(array->type))
            return nnd_error(
                error,
                "%s: is a checkpoint of another model: its tensor \"%s\" has elements of "
                "another type than %s (was the program compiled with another --real?)",
                path, tensors[i].name, checkpoint_dtype(array->type));
    }
    for (int i = 0; i < header->count; i++)
        if (checkpoint_wanted(tensors, count, header->entries[i].name) == NULL)
            return nnd_error(
                error,
                "%s: is a checkpoint of another model: it has a tensor \"%s\" %s, which "
                "this program has not",
                path, header->entries[i].name,
                nnd_shape_text(shape, sizeof shape, header->entries[i].rank,
                               header->entries[i].shape));
    return 0;
}

/* Reads one tensor into the memory that is there. */
static int checkpoint_fill(const char *path, const NndStEntry *entry, NndTensor *tensor,
                           NndError *error)
{
    NndStream *stream;
    NndArray array = tensor->array;
    NndType real = array.type == NND_F64 ? NND_F64 : NND_REAL;
    if (nnd_stream_open_part(&stream, path, entry->begin, entry->end - entry->begin, false, error))
        return 1;
    int failed = nnd_stream_decode(stream, entry->code, false, real, &array, error);
    nnd_stream_close(stream);
    if (failed) return 1;
    failed = array.type != tensor->array.type;
    if (failed)
        nnd_error(error, "%s: tensor \"%s\" is %s there, and %s is wanted", path, tensor->name,
                  nnd_type_name(array.type), nnd_type_name(tensor->array.type));
    else
        memcpy(tensor->array.data, array.data, checkpoint_bytes(tensor));
    nnd_array_free(&array);
    return failed;
}

int nnd_checkpoint_read(const char *path, NndTensor *tensors, int count, NndState *state,
                        NndError *error)
{
    NndStHeader header;
    if (nnd_st_header_read(path, &header, error)) return 1;
    int failed = checkpoint_check(path, &header, tensors, count, error);
    for (int i = 0; i < count && !failed; i++)
        failed = checkpoint_fill(path, nnd_st_find(&header, tensors[i].name), &tensors[i], error);
    if (!failed && state != NULL) {
        nnd_state_free(state);
        *state = header.metadata;
        header.metadata = (NndState){.keys = NULL};
    }
    nnd_st_header_free(&header);
    return failed;
}

int nnd_checkpoint_state(const char *path, NndState *state, NndError *error)
{
    NndStHeader header;
    if (nnd_st_header_read(path, &header, error)) return 1;
    nnd_state_free(state);
    *state = header.metadata;
    header.metadata = (NndState){.keys = NULL};
    nnd_st_header_free(&header);
    return 0;
}

int nnd_checkpoint_load(const char *path, const char *prefix, NndTensor *tensors, int count,
                        NndError *error)
{
    NndStHeader header;
    int failed = 0;
    if (nnd_st_header_read(path, &header, error)) return 1;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < count && !failed; i++) {
            if (strncmp(tensors[i].name, prefix, strlen(prefix)) != 0) continue;
            const NndStEntry *entry = nnd_st_find(&header, tensors[i].name);
            if (entry == NULL)
                failed =
                    nnd_error(error, "%s: has no tensor \"%s\"; are they weights of this model?",
                              path, tensors[i].name);
            else if (pass == 0)
                failed = checkpoint_compare(path, entry, &tensors[i], error);
            else
                failed = checkpoint_fill(path, entry, &tensors[i], error);
        }
    }
    nnd_st_header_free(&header);
    return failed;
}
