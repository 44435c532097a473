/* npy.c -- numpy's array format, versions 1 to 3 (numpy/lib/format.py): "\x93NUMPY", two version
 * bytes, the length of the header, the header (the text of a Python dict with descr, fortran_order
 * and shape), the numbers. Fortran order is turned into row-major order.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <ctype.h>
#include <stdlib.h>

enum { NPY_MAX_HEADER = 1 << 16 };

typedef struct NpyHeader {
    NndCode code;
    bool big, fortran;
    bool has_descr, has_order, has_shape;
} NpyHeader;

static const struct NpyType {
    const char *name;
    NndCode code;
} npy_types[] = {
    {"b1", NND_CODE_BOOL}, {"u1", NND_CODE_U8},  {"i1", NND_CODE_I8},  {"u2", NND_CODE_U16},
    {"i2", NND_CODE_I16},  {"u4", NND_CODE_U32}, {"i4", NND_CODE_I32}, {"u8", NND_CODE_U64},
    {"i8", NND_CODE_I64},  {"f2", NND_CODE_F16}, {"f4", NND_CODE_F32}, {"f8", NND_CODE_F64},
};

static const char *npy_skip(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t')
        at++;
    return at;
}

/* Reads 'text' or "text" into dst of 32 bytes; NULL if there is none. */
static const char *npy_string(const char *at, char *dst)
{
    char quote = *at;
    size_t length = 0;
    if (quote != '\'' && quote != '"') return NULL;
    for (at++; *at != 0 && *at != quote; at++) {
        if (length == 31) return NULL;
        dst[length++] = *at;
    }
    dst[length] = 0;
    return *at == quote ? at + 1 : NULL;
}

static const char *npy_shape(const char *at, NndArray *array)
{
    if (*at != '(') return NULL;
    array->rank = 0;
    for (at = npy_skip(at + 1); *at != ')'; at = npy_skip(at)) {
        int64_t extent = 0;
        if (!isdigit((unsigned char)*at) || array->rank == NND_MAX_RANK) return NULL;
        for (; isdigit((unsigned char)*at); at++)
            if (__builtin_mul_overflow(extent, 10, &extent) ||
                __builtin_add_overflow(extent, *at - '0', &extent))
                return NULL;
        if (*at == 'L') at++;
        array->shape[array->rank++] = extent;
        at = npy_skip(at);
        if (*at == ',')
            at++;
        else if (*at != ')')
            return NULL;
    }
    return at + 1;
}

static const char *npy_descr(const char *at, NpyHeader *header, const char *what, NndError *error)
{
    char descr[32];
    const char *after = npy_string(at, descr);
    if (after == NULL) {
        nnd_error(error, "%s: its elements are records or objects; only plain numbers can be read",
                  what);
        return NULL;
    }
    bool prefixed = strchr("<>=|", descr[0]) != NULL;
    header->big = descr[0] == '>';
    for (size_t i = 0; i < sizeof npy_types / sizeof npy_types[0]; i++) {
        if (strcmp(descr + prefixed, npy_types[i].name) != 0) continue;
        header->code = npy_types[i].code;
        return after;
    }
    nnd_error(error,
              "%s: elements of type '%s' cannot be read; save it as float32, float64, int32, uint8 "
              "or bool",
              what, descr);
    return NULL;
}

/* Parses the dict; the keys may come in any order. */
static int npy_dict(const char *at, const char *what, NpyHeader *header, NndArray *array,
                    NndError *error)
{
    char key[32];
    at = npy_skip(at);
    if (*at++ != '{') return nnd_error(error, "%s: corrupt header: no dictionary", what);
    for (at = npy_skip(at); *at != '}'; at = npy_skip(at)) {
        at = npy_string(at, key);
        if (at == NULL || *(at = npy_skip(at)) != ':')
            return nnd_error(error, "%s: corrupt header: a key is expected", what);
        at = npy_skip(at + 1);
        if (strcmp(key, "descr") == 0) {
            header->has_descr = true;
            if ((at = npy_descr(at, header, what, error)) == NULL) return 1;
        } else if (strcmp(key, "shape") == 0) {
            header->has_shape = true;
            if ((at = npy_shape(at, array)) == NULL)
                return nnd_error(error,
                                 "%s: corrupt header: a shape of up to %d extents is expected",
                                 what, NND_MAX_RANK);
        } else if (strcmp(key, "fortran_order") == 0) {
            header->has_order = true;
            header->fortran = *at == 'T';
            if (strncmp(at, "True", 4) != 0 && strncmp(at, "False", 5) != 0)
                return nnd_error(
                    error, "%s: corrupt header: fortran_order is neither True nor False", what);
            at += header->fortran ? 4 : 5;
        } else {
            return nnd_error(error, "%s: corrupt header: unknown key '%s'", what, key);
        }
        at = npy_skip(at);
        if (*at == ',')
            at++;
        else if (*at != '}')
            return nnd_error(error, "%s: corrupt header: '}' is missing", what);
    }
    if (!header->has_descr || !header->has_order || !header->has_shape)
        return nnd_error(error, "%s: corrupt header: %s is missing", what,
                         !header->has_descr   ? "descr"
                         : !header->has_shape ? "shape"
                                              : "fortran_order");
    return 0;
}

static int npy_header(NndStream *stream, const char *what, NpyHeader *header, NndArray *array,
                      NndError *error)
{
    unsigned char head[12];
    size_t got, more;
    if (nnd_stream_read(stream, head, 10, &got, error)) return 1;
    if (got < 10 || memcmp(head, "\x93NUMPY", 6) != 0)
        return nnd_error(error, "%s: is not an .npy file: it does not begin with \\x93NUMPY", what);
    if (head[6] < 1 || head[6] > 3)
        return nnd_error(error, "%s: version %d of the .npy format; 1 to 3 can be read", what,
                         head[6]);
    size_t length = head[8] | (size_t)head[9] << 8;
    if (head[6] > 1) {
        if (nnd_stream_read(stream, head + 10, 2, &more, error)) return 1;
        if (more < 2) return nnd_error(error, "%s: truncated in the header", what);
        length |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    }
    if (length > NPY_MAX_HEADER)
        return nnd_error(error, "%s: corrupt header: it claims to be %zu bytes long", what, length);
    char *text = malloc(length + 1);
    if (text == NULL) return nnd_error(error, "%s: out of memory", what);
    int failed = nnd_stream_read(stream, text, length, &got, error);
    text[length] = 0;
    if (!failed && got < length)
        failed = nnd_error(error, "%s: truncated in the header: %zu of %zu bytes are there", what,
                           got, length);
    if (!failed) failed = npy_dict(text, what, header, array, error);
    free(text);
    return failed;
}

/* Turns an array whose first axis is contiguous into one whose last axis is. */
static int npy_transpose(NndArray *array, NndError *error)
{
    NndArray result = *array;
    size_t size = nnd_type_size(array->type);
    int64_t count = nnd_array_size(array), index[NND_MAX_RANK] = {0}, from = 0;
    int64_t stride[NND_MAX_RANK];
    if (array->rank < 2 || count == 0) return 0;
    stride[0] = 1;
    for (int axis = 1; axis < array->rank; axis++)
        stride[axis] = stride[axis - 1] * array->shape[axis - 1];
    if (nnd_array_alloc(&result, error)) return 1;
    for (int64_t to = 0; to < count; to++) {
        memcpy((char *)result.data + (size_t)to * size, (char *)array->data + (size_t)from * size,
               size);
        for (int axis = array->rank - 1; axis >= 0; axis--) {
            from += stride[axis];
            if (++index[axis] < array->shape[axis]) break;
            from -= stride[axis] * array->shape[axis];
            index[axis] = 0;
        }
    }
    nnd_array_free(array);
    *array = result;
    return 0;
}

int nnd_npy_stream(NndStream *stream, const char *what, NndType real, bool header_only,
                   NndArray *array, NndError *error)
{
    NpyHeader header = {.code = NND_CODE_U8};
    if (npy_header(stream, what, &header, array, error)) return 1;
    array->type = nnd_code_type(header.code, real);
    if (header_only) return 0;
    if (nnd_stream_decode(stream, header.code, header.big, real, array, error)) return 1;
    if (nnd_stream_end(stream, error) || (header.fortran && npy_transpose(array, error))) {
        nnd_array_free(array);
        return 1;
    }
    return 0;
}

int nnd_npy_read(const char *path, const NndSourceOptions *options, bool header_only,
                 NndArray *array, NndError *error)
{
    NndStream *stream;
    if (nnd_stream_open(&stream, path, error)) return 1;
    int failed = nnd_npy_stream(stream, path, options->real, header_only, array, error);
    nnd_stream_close(stream);
    return failed;
}

static const char *npy_type_descr(NndType type)
{
    switch (type) {
    case NND_REAL: return "<f4";
    case NND_INT: return "<i4";
    case NND_BOOL: return "|b1";
    case NND_U8: return "|u1";
    case NND_F64: return "<f8";
    }
    return "";
}

int nnd_npy_write(const char *path, const NndArray *array, NndError *error)
{
    char text[512], shape[200];
    NndFile file;
    nnd_shape_text(shape, sizeof shape, array->rank, array->shape);
    shape[strlen(shape) - 1] = 0; /* "[2, 3]" becomes "2, 3" */
    int length =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                 npy_type_descr(array->type), shape + 1, array->rank == 1 ? "," : "");
    while ((10 + length + 1) % 64 != 0)
        text[length++] = ' ';
    text[length++] = '\n';
    unsigned char head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    head[8] = (unsigned char)(length & 255);
    head[9] = (unsigned char)(length >> 8);
    if (nnd_file_create(&file, path, error)) return 1;
    nnd_file_write(&file, head, sizeof head);
    nnd_file_write(&file, text, (size_t)length);
    nnd_file_write(&file, array->data, (size_t)nnd_array_size(array) * nnd_type_size(array->type));
    return nnd_file_commit(&file, error);
}
