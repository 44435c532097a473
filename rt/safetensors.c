/* safetensors.c -- the header of safetensors files, and their tensors as data sources
 * (https://github.com/huggingface/safetensors: eight bytes with the header's length, little-endian;
 * the header, JSON; the data). Extents and offsets are checked against each other and the file's
 * size before anything is allocated by them. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>

enum { ST_MAX_HEADER = 100000000 /* as in the reference implementation */ };

static const struct StType {
    const char *name;
    NndCode code;
} st_types[] = {
    {"BOOL", NND_CODE_BOOL}, {"U8", NND_CODE_U8},   {"I8", NND_CODE_I8},     {"U16", NND_CODE_U16},
    {"I16", NND_CODE_I16},   {"U32", NND_CODE_U32}, {"I32", NND_CODE_I32},   {"U64", NND_CODE_U64},
    {"I64", NND_CODE_I64},   {"F16", NND_CODE_F16}, {"BF16", NND_CODE_BF16}, {"F32", NND_CODE_F32},
    {"F64", NND_CODE_F64},
};

void nnd_st_header_free(NndStHeader *header)
{
    for (int i = 0; i < header->count; i++)
        free(header->entries[i].name);
    free(header->entries);
    nnd_state_free(&header->metadata);
    *header = (NndStHeader){.entries = NULL};
}

const NndStEntry *nnd_st_find(const NndStHeader *header, const char *name)
{
    for (int i = 0; i < header->count; i++)
        if (strcmp(header->entries[i].name, name) == 0) return &header->entries[i];
    return NULL;
}

static int st_metadata(NndJson *json, NndState *metadata)
{
    bool first = true;
    if (nnd_json_expect(json, '{')) return 1;
    while (!nnd_json_next_is(json, '}')) {
        char *key = NULL, *value = NULL;
        if (!first && nnd_json_expect(json, ',')) return 1;
        first = false;
        int failed = nnd_json_string(json, &key) || nnd_json_expect(json, ':') ||
                     nnd_json_string(json, &value) ||
                     nnd_state_set(metadata, key, value, json->error);
        free(key);
        free(value);
        if (failed) return 1;
    }
    return nnd_json_expect(json, '}');
}

static int st_dtype(NndJson *json, NndStEntry *entry)
{
    char *name;
    bool found = false;
    if (nnd_json_string(json, &name)) return 1;
    for (size_t i = 0; i < sizeof st_types / sizeof st_types[0]; i++) {
        if (strcmp(st_types[i].name, name) != 0) continue;
        entry->code = st_types[i].code;
        found = true;
    }
    if (!found)
        nnd_error(json->error, "%s: tensor \"%s\": the type \"%.20s\" cannot be read", json->what,
                  entry->name, name);
    free(name);
    return !found;
}

/* Reads [a, b, ...] of at most `room` integers. */
static int st_integers(NndJson *json, int64_t *values, int room, int *count)
{
    *count = 0;
    if (nnd_json_expect(json, '[')) return 1;
    while (!nnd_json_next_is(json, ']')) {
        if (*count == room)
            return nnd_error(json->error, "%s: corrupt header: a list longer than %d at byte %lld",
                             json->what, room, (long long)(json->at - json->begin));
        if (*count > 0 && nnd_json_expect(json, ',')) return 1;
        if (nnd_json_integer(json, &values[(*count)++])) return 1;
    }
    return nnd_json_expect(json, ']');
}

static int st_entry(NndJson *json, NndStEntry *entry)
{
    enum { ST_DTYPE = 1, ST_SHAPE = 2, ST_OFFSETS = 4 };
    int seen = 0, count;
    int64_t offsets[2];
    if (nnd_json_expect(json, '{')) return 1;
    while (!nnd_json_next_is(json, '}')) {
        char *key;
        int failed, bit = 0;
        if (seen != 0 && nnd_json_expect(json, ',')) return 1;
        if (nnd_json_string(json, &key)) return 1;
        failed = nnd_json_expect(json, ':');
        if (failed) {
            ;
        } else if (strcmp(key, "dtype") == 0) {
            bit = ST_DTYPE;
            failed = st_dtype(json, entry);
        } else if (strcmp(key, "shape") == 0) {
            bit = ST_SHAPE;
            failed = st_integers(json, entry->shape, NND_MAX_RANK, &entry->rank);
        } else if (strcmp(key, "data_offsets") == 0) {
            bit = ST_OFFSETS;
            failed = st_integers(json, offsets, 2, &count);
            if (!failed && count != 2)
                failed = nnd_error(json->error,
                                   "%s: corrupt header: tensor \"%s\": two offsets are "
                                   "expected",
                                   json->what, entry->name);
        }
        free(key);
        if (failed) return 1;
        if (bit == 0 || (seen & bit) != 0)
            return nnd_error(json->error,
                             "%s: corrupt header: tensor \"%s\": an unknown or double key",
                             json->what, entry->name);
        seen |= bit;
    }
    if (seen != (ST_DTYPE | ST_SHAPE | ST_OFFSETS))
        return nnd_error(json->error,
                         "%s: corrupt header: tensor \"%s\" lacks its dtype, shape or data_offsets",
                         json->what, entry->name);
    entry->begin = offsets[0];
    entry->end = offsets[1];
    return nnd_json_expect(json, '}');
}

static NndStEntry *st_add(NndStHeader *header)
{
    if (header->count == header->capacity) {
        int capacity = header->capacity * 2 + 16;
        NndStEntry *entries = realloc(header->entries, (size_t)capacity * sizeof *entries);
        if (entries == NULL) return NULL;
        header->entries = entries;
        header->capacity = capacity;
    }
    NndStEntry *entry = &header->entries[header->count];
    *entry = (NndStEntry){.name = NULL};
    return entry;
}

static int st_parse(NndJson *json, NndStHeader *header)
{
    bool first = true;
    if (nnd_json_expect(json, '{')) return 1;
    while (!nnd_json_next_is(json, '}')) {
        char *name;
        if (!first && nnd_json_expect(json, ',')) return 1;
        first = false;
        if (nnd_json_string(json, &name)) return 1;
        if (strcmp(name, "__metadata__") == 0) {
            free(name);
            if (nnd_json_expect(json, ':') || st_metadata(json, &header->metadata)) return 1;
            continue;
        }
        NndStEntry *entry = st_add(header);
        if (entry == NULL) {
            free(name);
            return nnd_error(json->error, "%s: out of memory", json->what);
        }
        entry->name = name;
        header->count++;
        if (nnd_json_expect(json, ':') || st_entry(json, entry)) return 1;
    }
    return nnd_json_expect(json, '}') || nnd_json_end(json);
}

static int st_by_begin(const void *a, const void *b)
{
    const NndStEntry *x = *(const NndStEntry *const *)a, *y = *(const NndStEntry *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int st_by_name(const void *a, const void *b)
{
    return strcmp((*(const NndStEntry *const *)a)->name, (*(const NndStEntry *const *)b)->name);
}

/* Every tensor's bytes are as many as its shape says; together they cover the data, once. */
static int st_check_entries(const NndStHeader *header, const NndStEntry **sorted, int64_t data,
                            const char *path, NndError *error)
{
    int64_t at = 0, bytes;
    for (int i = 0; i < header->count; i++) {
        const NndStEntry *entry = sorted[i];
        bytes = nnd_shape_size(entry->rank, entry->shape);
        if (bytes < 0 ||
            __builtin_mul_overflow(bytes, (int64_t)nnd_code_size(entry->code), &bytes) ||
            entry->begin > entry->end || bytes != entry->end - entry->begin)
            return nnd_error(error,
                             "%s: corrupt header: tensor \"%s\" has %lld bytes, which is not "
                             "what its shape takes",
                             path, entry->name, (long long)(entry->end - entry->begin));
        if (entry->begin != at)
            return nnd_error(error,
                             "%s: corrupt header: tensor \"%s\" begins at byte %lld of the data, "
                             "the one before ends at %lld",
                             path, entry->name, (long long)entry->begin, (long long)at);
        at = entry->end;
        if (at > data)
            return nnd_error(
                error,
                "%s: truncated: tensor \"%s\" ends at byte %lld of the data, and %lld are "
                "there",
                path, entry->name, (long long)at, (long long)data);
    }
    if (at != data)
        return nnd_error(error, "%s: %lld bytes follow behind the last tensor", path,
                         (long long)(data - at));
    return 0;
}

static int st_check(NndStHeader *header, int64_t data, const char *path, NndError *error)
{
    if (header->count == 0 && data == 0) return 0;
    const NndStEntry **sorted = malloc(((size_t)header->count + 1) * sizeof *sorted);
    if (sorted == NULL) return nnd_error(error, "%s: out of memory", path);
    for (int i = 0; i < header->count; i++)
        sorted[i] = &header->entries[i];
    qsort(sorted, (size_t)header->count, sizeof *sorted, st_by_name);
    int failed = 0;
    for (int i = 1; i < header->count && !failed; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            failed = nnd_error(error, "%s: corrupt header: tensor \"%s\" stands twice", path,
                               sorted[i]->name);
    qsort(sorted, (size_t)header->count, sizeof *sorted, st_by_begin);
    failed = failed || st_check_entries(header, sorted, data, path, error);
    free(sorted);
    return failed;
}

static int st_read(NndStream *stream, const char *path, NndStHeader *header, NndError *error)
{
    unsigned char head[8];
    int64_t size = nnd_stream_bound(stream);
    uint64_t length = 0;
    size_t got;
    if (nnd_stream_read(stream, head, sizeof head, &got, error)) return 1;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | head[i];
    if (got < sizeof head || length < 2 || length > ST_MAX_HEADER || (int64_t)length > size - 8)
        return nnd_error(error,
                         "%s: is not a safetensors file, or is truncated: its first eight bytes do "
                         "not give the length of a header within its %lld bytes",
                         path, (long long)size);
    char *text = malloc((size_t)length);
    if (text == NULL) return nnd_error(error, "%s: out of memory", path);
    int failed = nnd_stream_read(stream, text, (size_t)length, &got, error);
    NndJson json = {text, text + length, error, path, text};
    failed = failed || st_parse(&json, header) ||
             st_check(header, size - 8 - (int64_t)length, path, error);
    free(text);
    for (int i = 0; i < header->count; i++) {
        header->entries[i].begin += 8 + (int64_t)length;
        header->entries[i].end += 8 + (int64_t)length;
    }
    return failed;
}

int nnd_st_header_read(const char *path, NndStHeader *header, NndError *error)
{
    NndStream *stream;
    *header = (NndStHeader){.entries = NULL};
    if (nnd_stream_open_part(&stream, path, 0, -1, false, error)) return 1;
    int failed = st_read(stream, path, header, error);
    nnd_stream_close(stream);
    if (failed) nnd_st_header_free(header);
    return failed;
}

int nnd_safetensors_read(const char *path, const NndSourceOptions *options, bool header_only,
                         NndArray *array, NndError *error)
{
    NndStHeader header;
    NndStream *stream;
    if (options->tensor == NULL)
        return nnd_error(error, "%s: a safetensors file holds several tensors: name one", path);
    if (nnd_st_header_read(path, &header, error)) return 1;
    const NndStEntry *entry = nnd_st_find(&header, options->tensor);
    int failed = 0;
    if (entry == NULL) {
        failed = nnd_error(error, "%s: holds no tensor \"%s\" (it holds %d, the first is \"%s\")",
                           path, options->tensor, header.count,
                           header.count > 0 ? header.entries[0].name : "");
    } else {
        array->rank = entry->rank;
        memcpy(array->shape, entry->shape, sizeof array->shape);
        array->type = nnd_code_type(entry->code, options->real);
        if (!header_only) {
            failed = nnd_stream_open_part(&stream, path, entry->begin, entry->end - entry->begin,
                                          false, error);
            if (!failed) {
                failed = nnd_stream_decode(stream, entry->code, false, options->real, array, error);
                nnd_stream_close(stream);
            }
        }
    }
    nnd_st_header_free(&header);
    return failed;
}

int nnd_safetensors_names(const char *path, NndNames *names, NndError *error)
{
    NndStHeader header;
    if (nnd_st_header_read(path, &header, error)) return 1;
    int failed = 0;
    for (int i = 0; i < header.count && !failed; i++)
        failed = nnd_names_add(names, header.entries[i].name, strlen(header.entries[i].name), error);
    nnd_st_header_free(&header);
    return failed;
}
