/* raw.c -- files without a header: plain numbers, little-endian and row-major, whose type and shape
 * the program gives, and the bytes of a text. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

static const struct RawType {
    const char *name;
    NndCode code;
} raw_types[] = {
    {"bool", NND_CODE_BOOL}, {"u8", NND_CODE_U8},   {"i8", NND_CODE_I8},     {"u16", NND_CODE_U16},
    {"i16", NND_CODE_I16},   {"u32", NND_CODE_U32}, {"i32", NND_CODE_I32},   {"u64", NND_CODE_U64},
    {"i64", NND_CODE_I64},   {"f16", NND_CODE_F16}, {"bf16", NND_CODE_BF16}, {"f32", NND_CODE_F32},
    {"f64", NND_CODE_F64},
};

static int raw_code(const char *path, const char *name, NndCode *code, NndError *error)
{
    for (size_t i = 0; i < sizeof raw_types / sizeof raw_types[0]; i++) {
        if (name == NULL || strcmp(name, raw_types[i].name) != 0) continue;
        *code = raw_types[i].code;
        return 0;
    }
    return nnd_error(
        error,
        "%s: the numbers of a raw file are of a type \"u8\", \"i8\", \"u16\", \"i16\", "
        "\"u32\", \"i32\", \"u64\", \"i64\", \"f16\", \"bf16\", \"f32\", \"f64\" or "
        "\"bool\", not \"%s\"",
        path, name != NULL ? name : "");
}

/* Counts the bytes by reading them: a compressed file does not say how many there are. */
static int raw_count(const char *path, int64_t *bytes, NndError *error)
{
    unsigned char block[1 << 14];
    size_t got = sizeof block;
    NndStream *stream;
    *bytes = 0;
    if (nnd_stream_open(&stream, path, error)) return 1;
    int failed = 0;
    while (!failed && got == sizeof block) {
        failed = nnd_stream_read(stream, block, sizeof block, &got, error);
        *bytes += (int64_t)got;
    }
    nnd_stream_close(stream);
    return failed;
}

/* The shape that is asked for, or all the numbers that are there. */
static int raw_shape(const char *path, const NndSourceOptions *options, NndCode code, int64_t bytes,
                     NndArray *array, NndError *error)
{
    char text[200];
    int64_t size = (int64_t)nnd_code_size(code), wanted;
    array->rank = options->rank > 0 ? options->rank : 1;
    array->shape[0] = bytes / size;
    for (int k = 0; k < options->rank; k++)
        array->shape[k] = options->shape[k];
    int64_t count = nnd_array_size(array);
    if (count < 0 || __builtin_mul_overflow(count, size, &wanted))
        return nnd_error(error, "%s: the shape %s is too large", path,
                         nnd_shape_text(text, sizeof text, array->rank, array->shape));
    if (wanted == bytes) return 0;
    if (options->rank == 0)
        return nnd_error(error,
                         "%s: holds %lld bytes, no whole number of elements of %lld bytes; is it "
                         "truncated, or its type another?",
                         path, (long long)bytes, (long long)size);
    return nnd_error(error,
                     "%s: %s %lld bytes; the shape %s of elements of %lld bytes takes %lld; is it "
                     "truncated, or its type or shape another?",
                     path, bytes < wanted ? "holds only" : "holds", (long long)bytes,
                     nnd_shape_text(text, sizeof text, array->rank, array->shape), (long long)size,
                     (long long)wanted);
}

static int raw_numbers(const char *path, const NndSourceOptions *options, NndCode code,
                       bool header_only, NndArray *array, NndError *error)
{
    NndStream *stream;
    int64_t bytes;
    array->type = nnd_code_type(code, options->real);
    if (raw_count(path, &bytes, error) || raw_shape(path, options, code, bytes, array, error))
        return 1;
    if (header_only) return 0;
    if (nnd_stream_open(&stream, path, error)) return 1;
    int failed = nnd_stream_decode(stream, code, false, options->real, array, error);
    if (!failed && nnd_stream_end(stream, error)) {
        nnd_array_free(array);
        failed = 1;
    }
    nnd_stream_close(stream);
    return failed;
}

int nnd_raw_read(const char *path, const NndSourceOptions *options, bool header_only,
                 NndArray *array, NndError *error)
{
    NndCode code = NND_CODE_U8;
    if (raw_code(path, options->tensor, &code, error)) return 1;
    return raw_numbers(path, options, code, header_only, array, error);
}

int nnd_text_read(const char *path, const NndSourceOptions *options, bool header_only,
                  NndArray *array, NndError *error)
{
    NndSourceOptions all = {.real = options->real};
    return raw_numbers(path, &all, NND_CODE_U8, header_only, array, error);
}
