/* no_zlib.h -- in place of zlib.h with -DNND_NO_ZLIB: compressed files are then refused, and
 * no pictures written.
 * SPDX-License-Identifier: 0BSD */
#ifndef NND_NO_ZLIB_H
#define NND_NO_ZLIB_H

#include <stddef.h>

typedef unsigned int uInt;
typedef unsigned long uLong, uLongf;
typedef struct z_stream {
    const unsigned char *next_in;
    unsigned char *next_out;
    uInt avail_in, avail_out;
    unsigned long total_out;
    const char *msg;
} z_stream;

enum { Z_OK = 0, Z_STREAM_END = 1, Z_NO_FLUSH = 0, Z_BUF_ERROR = -5, Z_VERSION_ERROR = -6 };

static inline int inflate_none(z_stream *stream)
{
    stream->msg = "this program was built without zlib";
    return Z_VERSION_ERROR;
}

#define inflateInit2(stream, bits) ((void)(bits), inflate_none(stream))
#define inflateReset(stream)       inflate_none(stream)
#define inflate(stream, flush)     inflate_none(stream)
#define inflateEnd(stream)         ((void)(stream))
#define crc32_z(crc, bytes, size)  ((void)(bytes), (void)(size), (crc))
#define crc32(crc, bytes, size)    ((void)(bytes), (void)(size), (crc))
#define compressBound(size)        (size)

static inline int compress2(unsigned char *to, uLongf *packed, const unsigned char *from,
                            uLong size, int level)
{
    (void)to, (void)packed, (void)from, (void)size, (void)level;
    return Z_VERSION_ERROR;
}

#endif
