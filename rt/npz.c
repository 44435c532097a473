/* npz.c -- arrays of numpy's .npz archives: a zip file (APPNOTE 6.3) whose members are .npy files,
 * stored or deflated. The member is found through the central directory; zip64 archives (members
 * of 4 GiB and more) are refused with a message. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>

enum { NPZ_TAIL = 65557 /* the end record and the longest comment */, NPZ_ENTRY = 46 };

typedef struct NpzMember {
    int64_t offset, size; /* of the local header; of the compressed data */
    int method;
    uint32_t crc;
} NpzMember;

static uint32_t npz_word(const unsigned char *at, int bytes)
{
    uint32_t word = 0;
    for (int i = bytes - 1; i >= 0; i--)
        word = word << 8 | at[i];
    return word;
}

/* Reads the bytes [offset, offset + size) of the file into new memory. */
static unsigned char *npz_bytes(const char *path, int64_t offset, int64_t size, NndError *error)
{
    NndStream *stream;
    size_t got;
    if (nnd_stream_open_part(&stream, path, offset, size, false, error)) return NULL;
    unsigned char *bytes = malloc((size_t)size + 1);
    if (bytes == NULL) nnd_error(error, "%s: out of memory", path);
    if (bytes != NULL && nnd_stream_read(stream, bytes, (size_t)size, &got, error)) {
        free(bytes);
        bytes = NULL;
    }
    nnd_stream_close(stream);
    return bytes;
}

/* Finds the central directory and reads it into new memory. */
static unsigned char *npz_directory(const char *path, int64_t *size, NndError *error)
{
    NndStream *stream;
    if (nnd_stream_open_part(&stream, path, 0, -1, false, error)) return NULL;
    int64_t length = nnd_stream_bound(stream);
    nnd_stream_close(stream);
    int64_t tail = length < NPZ_TAIL ? length : NPZ_TAIL, at = tail - 22;
    unsigned char *bytes = npz_bytes(path, length - tail, tail, error);
    if (bytes == NULL) return NULL;
    while (at >= 0 && npz_word(bytes + at, 4) != 0x06054b50)
        at--;
    if (at < 0) {
        nnd_error(error, "%s: is not an .npz (zip) archive, or is truncated: no end record", path);
        free(bytes);
        return NULL;
    }
    uint32_t offset = npz_word(bytes + at + 16, 4);
    *size = npz_word(bytes + at + 12, 4);
    free(bytes);
    if (offset == 0xffffffffu) {
        nnd_error(error, "%s: a zip64 archive (over 4 GiB); save its arrays as .npy files", path);
        return NULL;
    }
    return npz_bytes(path, offset, *size, error);
}

/* Whether the member's name is `name` or `name`.npy. */
static bool npz_is(const unsigned char *member, size_t length, const char *name)
{
    size_t n = strlen(name);
    if (length < n || memcmp(member, name, n) != 0) return false;
    return length == n || (length == n + 4 && memcmp(member + n, ".npy", 4) == 0);
}

static int npz_find(const char *path, const unsigned char *bytes, int64_t size, const char *name,
                    NpzMember *member, NndError *error)
{
    char names[200] = "";
    int64_t at = 0;
    while (at + NPZ_ENTRY <= size && npz_word(bytes + at, 4) == 0x02014b50) {
        const unsigned char *entry = bytes + at;
        uint32_t length = npz_word(entry + 28, 2);
        at += NPZ_ENTRY + length + npz_word(entry + 30, 2) + npz_word(entry + 32, 2);
        if (at > size) break;
        if (npz_is(entry + NPZ_ENTRY, length, name)) {
            member->method = (int)npz_word(entry + 10, 2);
            member->crc = npz_word(entry + 16, 4);
            member->size = npz_word(entry + 20, 4);
            member->offset = npz_word(entry + 42, 4);
            if (member->size == 0xffffffff || member->offset == 0xffffffff)
                return nnd_error(error, "%s: the array \"%s\" is over 4 GiB; save it as .npy", path,
                                 name);
            return 0;
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%.*s", used == 0 ? "" : ", ", (int)length,
                 (const char *)entry + NPZ_ENTRY);
    }
    return nnd_error(error, "%s: holds no array \"%s\" (it holds: %s)", path, name, names);
}

int nnd_npz_read(const char *path, const NndSourceOptions *options, bool header_only,
                 NndArray *array, NndError *error)
{
    NpzMember member = {0, 0, 0, 0};
    NndStream *stream;
    int64_t size;
    char what[300];
    if (options->tensor == NULL)
        return nnd_error(error, "%s: an .npz file holds several arrays: name one", path);
    unsigned char *bytes = npz_directory(path, &size, error);
    if (bytes == NULL) return 1;
    int failed = npz_find(path, bytes, size, options->tensor, &member, error);
    free(bytes);
    if (failed) return 1;
    if (member.method != 0 && member.method != 8)
        return nnd_error(error, "%s: \"%s\" is compressed by method %d; only deflate can be read",
                         path, options->tensor, member.method);
    bytes = npz_bytes(path, member.offset, 30, error);
    if (bytes == NULL) return 1;
    bool local = npz_word(bytes, 4) == 0x04034b50;
    member.offset += 30 + (int64_t)npz_word(bytes + 26, 2) + npz_word(bytes + 28, 2);
    free(bytes);
    if (!local) return nnd_error(error, "%s: corrupt: no member where the directory says", path);
    if (nnd_stream_open_part(&stream, path, member.offset, member.size, member.method == 8, error))
        return 1;
    nnd_stream_check(stream, member.crc);
    snprintf(what, sizeof what, "%s: \"%s\"", path, options->tensor);
    failed = nnd_npy_stream(stream, what, options->real, header_only, array, error);
    nnd_stream_close(stream);
    return failed;
}

int nnd_npz_names(const char *path, NndNames *names, NndError *error)
{
    int64_t size, at = 0;
    unsigned char *bytes = npz_directory(path, &size, error);
    int failed = bytes == NULL;
    while (!failed && at + NPZ_ENTRY <= size && npz_word(bytes + at, 4) == 0x02014b50) {
        const unsigned char *entry = bytes + at;
        uint32_t length = npz_word(entry + 28, 2);
        at += NPZ_ENTRY + length + npz_word(entry + 30, 2) + npz_word(entry + 32, 2);
        if (at > size) break;
        const char *name = (const char *)entry + NPZ_ENTRY;
        if (length > 4 && memcmp(name + length - 4, ".npy", 4) == 0) length -= 4;
        failed = nnd_names_add(names, name, length, error);
    }
    free(bytes);
    return failed;
}
