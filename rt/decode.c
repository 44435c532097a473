/* decode.c -- numbers as files store them (any width, either byte order) to arrays of our types.
 * Narrow integers become int, bytes u8, half and bfloat16 real; integers that do not fit an int are
 * an error that names the record. Works in blocks, so that a file is never held twice; numbers that
 * need no change go straight to their place.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

enum { DECODE_BLOCK = 1 << 15 };

size_t nnd_code_size(NndCode code)
{
    switch (code) {
    case NND_CODE_BOOL:
    case NND_CODE_U8:
    case NND_CODE_I8: return 1;
    case NND_CODE_U16:
    case NND_CODE_I16:
    case NND_CODE_F16:
    case NND_CODE_BF16: return 2;
    case NND_CODE_U32:
    case NND_CODE_I32:
    case NND_CODE_F32: return 4;
    case NND_CODE_U64:
    case NND_CODE_I64:
    case NND_CODE_F64: return 8;
    }
    return 0;
}

NndType nnd_code_type(NndCode code, NndType real)
{
    switch (code) {
    case NND_CODE_BOOL: return NND_BOOL;
    case NND_CODE_U8: return NND_U8;
    case NND_CODE_I8:
    case NND_CODE_U16:
    case NND_CODE_I16:
    case NND_CODE_U32:
    case NND_CODE_I32:
    case NND_CODE_U64:
    case NND_CODE_I64: return NND_INT;
    case NND_CODE_F16:
    case NND_CODE_BF16:
    case NND_CODE_F32:
    case NND_CODE_F64: return real;
    }
    return real;
}

static uint64_t decode_word(const unsigned char *bytes, size_t size, bool big)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++)
        word = word << 8 | bytes[big ? i : size - 1 - i];
    return word;
}

static double decode_half(uint32_t half)
{
    uint32_t exponent = half >> 10 & 31, fraction = half & 1023;
    double value;
    if (exponent == 31)
        value = fraction != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(fraction, -24);
    else
        value = ldexp(fraction + 1024, (int)exponent - 25);
    return half & 0x8000 ? -value : value;
}

static double decode_real(uint64_t word, NndCode code)
{
    if (code == NND_CODE_F64) {
        double value;
        memcpy(&value, &word, sizeof value);
        return value;
    }
    if (code == NND_CODE_F16) return decode_half((uint32_t)word);
    uint32_t bits = code == NND_CODE_BF16 ? (uint32_t)word << 16 : (uint32_t)word;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* Returns false if the integer does not fit an int32_t. */
static bool decode_int(uint64_t word, NndCode code, int32_t *value)
{
    bool is_signed =
        code == NND_CODE_I8 || code == NND_CODE_I16 || code == NND_CODE_I32 || code == NND_CODE_I64;
    unsigned bits = (unsigned)nnd_code_size(code) * 8;
    if (is_signed && bits < 64 && (word >> (bits - 1) & 1) != 0) word |= ~UINT64_C(0) << bits;
    *value = (int32_t)(uint32_t)word;
    if (is_signed) return word + 0x80000000u <= 0xffffffffu;
    return word <= INT32_MAX;
}

/* Converts n numbers to elements first.. of the array; returns how many fitted. */
static int64_t decode_block(NndArray *array, int64_t first, const unsigned char *bytes, int64_t n,
                            NndCode code, bool big)
{
    size_t size = nnd_code_size(code);
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = decode_word(bytes + (size_t)i * size, size, big);
        if (array->type == NND_BOOL)
            ((uint8_t *)array->data)[first + i] = word != 0;
        else if (array->type == NND_REAL)
            ((float *)array->data)[first + i] = (float)decode_real(word, code);
        else if (array->type == NND_F64)
            ((double *)array->data)[first + i] = decode_real(word, code);
        else if (!decode_int(word, code, (int32_t *)array->data + first + i))
            return i;
    }
    return n;
}

static int64_t decode_records(const NndArray *array)
{
    return array->rank > 0 && array->shape[0] > 0 ? array->shape[0] : 1;
}

/* Only `bytes` (or, at_most, even fewer) of the wanted ones are there. */
static int decode_short(const NndStream *stream, const NndArray *array, int64_t bytes, bool at_most,
                        int64_t wanted, NndError *error)
{
    char text[200];
    int64_t records = decode_records(array);
    return nnd_error(error,
                     "%s: truncated in record %lld of %lld: the header announces %s, %lld bytes of "
                     "data, and %s%lld are there; copy or download it again",
                     nnd_stream_path(stream), (long long)(bytes / (wanted / records)),
                     (long long)records,
                     nnd_shape_text(text, sizeof text, array->rank, array->shape),
                     (long long)wanted, at_most ? "no more than " : "", (long long)bytes);
}

/* Whether the file has the numbers as arrays have them, so that they are read into their place. */
static bool decode_alike(NndCode code, bool big, NndType type)
{
    const uint16_t one = 1;
    bool machine_big = *(const unsigned char *)&one == 0;
    if (type == NND_U8) return true;
    return big == machine_big &&
           ((code == NND_CODE_F32 && type == NND_REAL) || (code == NND_CODE_F64 && type == NND_F64) ||
            (code == NND_CODE_I32 && type == NND_INT));
}

static int decode_in_place(NndStream *stream, size_t bytes, NndArray *array, NndError *error)
{
    size_t got;
    if (nnd_stream_read(stream, array->data, bytes, &got, error)) return 1;
    if (got == bytes) return 0;
    return decode_short(stream, array, (int64_t)got, false, (int64_t)bytes, error);
}

static int decode_all(NndStream *stream, NndCode code, bool big, NndArray *array, NndError *error)
{
    unsigned char block[DECODE_BLOCK];
    size_t size = nnd_code_size(code);
    int64_t count = nnd_array_size(array);
    if (decode_alike(code, big, array->type))
        return decode_in_place(stream, (size_t)count * size, array, error);
    for (int64_t done = 0; done < count;) {
        int64_t n = DECODE_BLOCK / (int64_t)size;
        if (n > count - done) n = count - done;
        size_t got;
        if (nnd_stream_read(stream, block, (size_t)n * size, &got, error)) return 1;
        if (got < (size_t)n * size)
            return decode_short(stream, array, done * (int64_t)size + (int64_t)got, false,
                                count * (int64_t)size, error);
        int64_t fitted = decode_block(array, done, block, n, code, big);
        if (fitted < n)
            return nnd_error(error,
                             "%s: record %lld: an integer does not fit 32 bits; store it as a real",
                             nnd_stream_path(stream),
                             (long long)((done + fitted) / (count / decode_records(array))));
        done += n;
    }
    return 0;
}

int nnd_stream_decode(NndStream *stream, NndCode code, bool big, NndType real, NndArray *array,
                      NndError *error)
{
    char text[200];
    const char *path = nnd_stream_path(stream);
    int64_t count = nnd_array_size(array), bytes;
    array->type = nnd_code_type(code, real);
    array->data = NULL;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)nnd_code_size(code), &bytes))
        return nnd_error(error, "%s: the shape %s in its header is too large; is the file corrupt?",
                         path, nnd_shape_text(text, sizeof text, array->rank, array->shape));
    if (bytes > nnd_stream_bound(stream))
        return decode_short(stream, array, nnd_stream_bound(stream), true, bytes, error);
    if (nnd_array_alloc(array, error)) return 1;
    if (decode_all(stream, code, big, array, error)) {
        nnd_array_free(array);
        return 1;
    }
    return 0;
}
