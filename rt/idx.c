/* idx.c -- IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist): two zero bytes, a
 * type, the rank, the extents as big-endian 32-bit numbers, then the numbers, big-endian,
 * row-major. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

static bool idx_code(unsigned char byte, NndCode *code)
{
    switch (byte) {
    case 0x08: *code = NND_CODE_U8; return true;
    case 0x09: *code = NND_CODE_I8; return true;
    case 0x0B: *code = NND_CODE_I16; return true;
    case 0x0C: *code = NND_CODE_I32; return true;
    case 0x0D: *code = NND_CODE_F32; return true;
    case 0x0E: *code = NND_CODE_F64; return true;
    default: return false;
    }
}

static int idx_header(NndStream *stream, NndArray *array, NndCode *code, NndError *error)
{
    const char *path = nnd_stream_path(stream);
    unsigned char head[4], extents[4 * NND_MAX_RANK];
    size_t got;
    if (nnd_stream_read(stream, head, sizeof head, &got, error)) return 1;
    if (got < sizeof head)
        return nnd_error(error, "%s: truncated in the header: only %d bytes", path, (int)got);
    if (head[0] != 0 || head[1] != 0 || !idx_code(head[2], code))
        return nnd_error(
            error,
            "%s: is not an IDX file: it begins with bytes %02x %02x %02x %02x, not with "
            "00 00, a type (08, 09, 0b to 0e) and the rank",
            path, head[0], head[1], head[2], head[3]);
    array->rank = head[3];
    if (array->rank < 1 || array->rank > NND_MAX_RANK)
        return nnd_error(error, "%s: its header gives the rank %d; 1 to %d can be read", path,
                         array->rank, NND_MAX_RANK);
    if (nnd_stream_read(stream, extents, 4 * (size_t)array->rank, &got, error)) return 1;
    if (got < 4 * (size_t)array->rank)
        return nnd_error(error, "%s: truncated in the header: %d of %d extents are there", path,
                         (int)got / 4, array->rank);
    for (int axis = 0; axis < array->rank; axis++) {
        const unsigned char *e = extents + 4 * axis;
        array->shape[axis] = (int64_t)e[0] << 24 | e[1] << 16 | e[2] << 8 | e[3];
    }
    return 0;
}

int nnd_idx_read(const char *path, const NndSourceOptions *options, bool header_only,
                 NndArray *array, NndError *error)
{
    NndStream *stream;
    NndCode code = NND_CODE_U8;
    if (nnd_stream_open(&stream, path, error)) return 1;
    int failed = idx_header(stream, array, &code, error);
    if (!failed) array->type = nnd_code_type(code, options->real);
    if (!failed && !header_only) {
        failed = nnd_stream_decode(stream, code, true, options->real, array, error);
        if (!failed && nnd_stream_end(stream, error)) {
            nnd_array_free(array);
            failed = 1;
        }
    }
    nnd_stream_close(stream);
    return failed;
}
