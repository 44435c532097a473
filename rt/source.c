/* source.c -- the table of data readers. Adding a reader is one row here, one file, and its
 * declaration in nnd_rt.h. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>

typedef struct SourceReader {
    const char *kind;
    NndReader *read;
    NndLister *names; /* of archives */
} SourceReader;

static const SourceReader source_readers[] = {
    {"idx", nnd_idx_read, NULL},
    {"csv", nnd_csv_read, NULL},
    {"npy", nnd_npy_read, NULL},
    {"npz", nnd_npz_read, nnd_npz_names},
    {"safetensors", nnd_safetensors_read, nnd_safetensors_names},
    {"hdf5", nnd_hdf5_read, NULL},
    {"images", nnd_images_read, NULL},
    {"raw", nnd_raw_read, NULL},
    {"text", nnd_text_read, NULL},
};

enum { SOURCE_COUNT = sizeof source_readers / sizeof source_readers[0] };

static const SourceReader *source_find(const char *kind)
{
    for (int i = 0; i < SOURCE_COUNT; i++)
        if (strcmp(source_readers[i].kind, kind) == 0) return &source_readers[i];
    return NULL;
}

bool nnd_source_known(const char *kind)
{
    return source_find(kind) != NULL;
}

static int source_run(const char *kind, const char *path, const NndSourceOptions *options,
                      bool header_only, NndArray *array, NndError *error)
{
    static const NndSourceOptions source_defaults;
    const SourceReader *reader = source_find(kind);
    *array = (NndArray){.data = NULL};
    if (reader == NULL)
        return nnd_error(error, "%s: no reader for files of the kind \"%s\"", path, kind);
    return reader->read(path, options != NULL ? options : &source_defaults, header_only, array, error);
}

int nnd_source_read(const char *kind, const char *path, const NndSourceOptions *options,
                    NndArray *array, NndError *error)
{
    return source_run(kind, path, options, false, array, error);
}

int nnd_source_shape(const char *kind, const char *path, const NndSourceOptions *options,
                     NndArray *array, NndError *error)
{
    return source_run(kind, path, options, true, array, error);
}

int nnd_source_names(const char *kind, const char *path, NndNames *names, NndError *error)
{
    const SourceReader *reader = source_find(kind);
    *names = (NndNames){.names = NULL};
    if (reader == NULL || reader->names == NULL)
        return nnd_error(error, "%s: a file of the kind \"%s\" holds no named arrays", path, kind);
    int failed = reader->names(path, names, error);
    if (failed) nnd_names_free(names);
    return failed;
}
