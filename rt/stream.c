/* stream.c -- the bytes of a file, of a gzip file, or of one member of an archive, in order.
 * A stream owns an input buffer; compressed input goes through zlib's inflate, which checks the
 * CRC of gzip members. Members that follow each other are joined (as gzip does), anything else
 * behind a member is an error. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#ifdef NND_NO_ZLIB
#include "no_zlib.h"
#else
#include <zlib.h>
#endif

enum { STREAM_BUFFER = 1 << 16, STREAM_RATIO = 1040 /* deflate cannot do better than 1032:1 */ };

struct NndStream {
    FILE *file;
    char *path;
    int64_t left;  /* bytes of the file not yet in the buffer */
    bool deflated; /* raw or gzip */
    bool gzip;
    bool finished; /* the compressed data ended */
    bool checked;  /* the contents must have the CRC `wanted` */
    uint32_t crc, wanted;
    z_stream z; /* next_in, avail_in are the buffer's unread part, also without compression */
    unsigned char buffer[STREAM_BUFFER];
};

const char *nnd_stream_path(const NndStream *stream)
{
    return stream->path;
}

void nnd_stream_close(NndStream *stream)
{
    if (stream == NULL) return;
    if (stream->deflated) inflateEnd(&stream->z);
    if (stream->file != NULL) fclose(stream->file);
    free(stream->path);
    free(stream);
}

/* Fills the empty buffer; leaves it empty at the end. */
static int stream_fill(NndStream *stream, NndError *error)
{
    size_t want = stream->left < STREAM_BUFFER ? (size_t)stream->left : STREAM_BUFFER;
    size_t got = want == 0 ? 0 : fread(stream->buffer, 1, want, stream->file);
    if (got < want)
        return nnd_error(error, "%s: cannot be read: %s", stream->path,
                         ferror(stream->file) ? strerror(errno) : "it became shorter meanwhile");
    stream->left -= (int64_t)got;
    stream->z.next_in = stream->buffer;
    stream->z.avail_in = (uInt)got;
    return 0;
}

static int stream_start_part(NndStream *stream, int64_t offset, int64_t size, NndError *error)
{
    struct stat status;
    if (stream->file == NULL)
        return nnd_error(error, "%s: cannot be opened: %s%s", stream->path, strerror(errno),
                         errno == ENOENT ? " (is the path right? it is taken relative to the "
                                           "folder of the .nnd file)"
                                         : "");
    if (fstat(fileno(stream->file), &status) != 0 || S_ISDIR(status.st_mode))
        return nnd_error(error, "%s: is a folder, not a file", stream->path);
    if (!S_ISREG(status.st_mode))
        return nnd_error(error, "%s: is not a regular file", stream->path);
    if (size < 0) size = status.st_size;
    if (offset < 0 || offset > status.st_size || size > status.st_size - offset)
        return nnd_error(error, "%s: truncated: %lld bytes are expected at offset %lld of %lld",
                         stream->path, (long long)size, (long long)offset,
                         (long long)status.st_size);
    if (offset > 0 && fseeko(stream->file, (off_t)offset, SEEK_SET) != 0)
        return nnd_error(error, "%s: cannot be read: %s", stream->path, strerror(errno));
    stream->left = size;
    return 0;
}

static int stream_start_inflate(NndStream *stream, int window_bits, NndError *error)
{
    int code = inflateInit2(&stream->z, window_bits);
    if (code != Z_OK)
        return nnd_error(error, "%s: cannot be read: %s", stream->path,
                         code == Z_VERSION_ERROR && stream->z.msg != NULL ? stream->z.msg
                                                                          : "out of memory");
    stream->deflated = true;
    return 0;
}

static NndStream *stream_new(const char *path, NndError *error)
{
    NndStream *stream = calloc(1, sizeof *stream);
    if (stream != NULL) stream->path = malloc(strlen(path) + 1);
    if (stream == NULL || stream->path == NULL) {
        free(stream);
        nnd_error(error, "%s: out of memory", path);
        return NULL;
    }
    strcpy(stream->path, path);
    stream->file = fopen(path, "rb");
    return stream;
}

int nnd_stream_open(NndStream **out, const char *path, NndError *error)
{
    *out = NULL;
    NndStream *stream = stream_new(path, error);
    if (stream == NULL) return 1;
    int failed = stream_start_part(stream, 0, -1, error) || stream_fill(stream, error);
    if (!failed && stream->z.avail_in == 0)
        failed = nnd_error(error, "%s: the file is empty", path);
    if (!failed) {
        const unsigned char *head = stream->z.next_in;
        size_t length = strlen(path);
        stream->gzip = stream->z.avail_in >= 2 && head[0] == 0x1f && head[1] == 0x8b;
        if (stream->gzip)
            failed = stream_start_inflate(stream, 15 + 16, error);
        else if (length > 3 && strcmp(path + length - 3, ".gz") == 0)
            failed = nnd_error(error,
                               "%s: is not a gzip file in spite of its name (it begins with bytes "
                               "%02x %02x, not 1f 8b; was an error page downloaded?)",
                               path, head[0], stream->z.avail_in > 1 ? head[1] : 0);
    }
    if (failed) {
        nnd_stream_close(stream);
        return 1;
    }
    *out = stream;
    return 0;
}

int nnd_stream_open_part(NndStream **out, const char *path, int64_t offset, int64_t size,
                         bool deflated, NndError *error)
{
    *out = NULL;
    NndStream *stream = stream_new(path, error);
    if (stream == NULL) return 1;
    if (stream_start_part(stream, offset, size, error) ||
        (deflated && stream_start_inflate(stream, -15, error))) {
        nnd_stream_close(stream);
        return 1;
    }
    *out = stream;
    return 0;
}

/* At the end of a gzip member: another one may follow, nothing else. */
static int stream_next_member(NndStream *stream, NndError *error)
{
    if (stream->z.avail_in == 0 && stream_fill(stream, error)) return 1;
    if (stream->z.avail_in == 0) {
        stream->finished = true;
        return 0;
    }
    if (!stream->gzip || stream->z.next_in[0] != 0x1f)
        return nnd_error(error, "%s: bytes follow behind the end of the compressed data",
                         stream->path);
    if (inflateReset(&stream->z) != Z_OK)
        return nnd_error(error, "%s: out of memory", stream->path);
    return 0;
}

static int stream_inflate(NndStream *stream, unsigned char *data, size_t size, size_t *got,
                          NndError *error)
{
    while (*got < size && !stream->finished) {
        if (stream->z.avail_in == 0 && stream_fill(stream, error)) return 1;
        if (stream->z.avail_in == 0)
            return nnd_error(error,
                             "%s: truncated: the compressed data break off after %lld bytes of "
                             "contents; copy or download it again",
                             stream->path, (long long)stream->z.total_out);
        size_t room = size - *got < (1u << 30) ? size - *got : (1u << 30);
        stream->z.next_out = data + *got;
        stream->z.avail_out = (uInt)room;
        int code = inflate(&stream->z, Z_NO_FLUSH);
        *got += room - stream->z.avail_out;
        if (code == Z_STREAM_END) {
            if (stream_next_member(stream, error)) return 1;
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            return nnd_error(error,
                             "%s: corrupt: %s after %lld bytes of contents; copy or download it "
                             "again",
                             stream->path, stream->z.msg != NULL ? stream->z.msg : "bad gzip data",
                             (long long)stream->z.total_out);
        }
    }
    return 0;
}

static int stream_copy(NndStream *stream, unsigned char *bytes, size_t size, size_t *got,
                       NndError *error)
{
    while (*got < size) {
        if (stream->z.avail_in == 0 && stream_fill(stream, error)) return 1;
        if (stream->z.avail_in == 0) return 0;
        size_t part = size - *got < stream->z.avail_in ? size - *got : stream->z.avail_in;
        memcpy(bytes + *got, stream->z.next_in, part);
        stream->z.next_in += part;
        stream->z.avail_in -= (uInt)part;
        *got += part;
    }
    return 0;
}

int nnd_stream_read(NndStream *stream, void *data, size_t size, size_t *got, NndError *error)
{
    unsigned char *bytes = data;
    *got = 0;
    if (stream->deflated ? stream_inflate(stream, bytes, size, got, error)
                         : stream_copy(stream, bytes, size, got, error))
        return 1;
    if (stream->checked) stream->crc = (uint32_t)crc32_z(stream->crc, bytes, *got);
    return 0;
}

void nnd_stream_check(NndStream *stream, uint32_t crc)
{
    stream->checked = true;
    stream->wanted = crc;
}

int64_t nnd_stream_bound(const NndStream *stream)
{
    int64_t here = stream->left + stream->z.avail_in;
    if (!stream->deflated) return here;
    if (here > INT64_MAX / STREAM_RATIO - STREAM_BUFFER) return INT64_MAX;
    /* zlib may hold back up to a window of output */
    return (here + STREAM_BUFFER) * STREAM_RATIO;
}

int nnd_stream_end(NndStream *stream, NndError *error)
{
    unsigned char byte;
    size_t got;
    if (nnd_stream_read(stream, &byte, 1, &got, error)) return 1;
    if (got == 0 && (!stream->checked || stream->crc == stream->wanted)) return 0;
    if (got == 0) return nnd_error(error, "%s: corrupt: the contents' CRC is wrong", stream->path);
    return nnd_error(error, "%s: more bytes follow behind the data that its header announces",
                     stream->path);
}
