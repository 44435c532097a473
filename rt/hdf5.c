/* hdf5.c -- datasets of HDF5 files, by libhdf5. It is built in where NND_HDF5 is defined; without
 * it the reader is there, and says what is missing. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#ifdef NND_HDF5
#include <hdf5.h>
#include <stdlib.h>

typedef struct Hdf5 {
    const char *path, *name;
    hid_t file, set, type, space;
    int64_t size; /* of the file */
    NndError *error;
} Hdf5;

static void hdf5_close(Hdf5 *h)
{
    if (h->space >= 0) H5Sclose(h->space);
    if (h->type >= 0) H5Tclose(h->type);
    if (h->set >= 0) H5Dclose(h->set);
    if (h->file >= 0) H5Fclose(h->file);
}

static int hdf5_open(Hdf5 *h)
{
    NndStream *stream;
    h->file = h->set = h->type = h->space = -1;
    if (nnd_stream_open_part(&stream, h->path, 0, -1, false, h->error)) return 1;
    h->size = nnd_stream_bound(stream);
    nnd_stream_close(stream);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* the messages are ours */
    if (H5Fis_hdf5(h->path) <= 0) return nnd_error(h->error, "%s: is not an HDF5 file", h->path);
    h->file = H5Fopen(h->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (h->file >= 0) return 0;
    return nnd_error(h->error,
                     "%s: the HDF5 file cannot be opened: it is truncated, damaged, or open for "
                     "writing elsewhere",
                     h->path);
}

typedef struct Hdf5Names {
    char *text;
    size_t size;
    const char *name; /* looked for */
    bool found;
} Hdf5Names;

static herr_t hdf5_visit(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    Hdf5Names *names = data;
    size_t used = strlen(names->text);
    (void)info;
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0) return 0; /* a link to nowhere */
    if (H5Iget_type(object) == H5I_DATASET) {
        names->found = names->found || strcmp(names->name, name) == 0;
        snprintf(names->text + used, names->size - used, "%s%s", used == 0 ? "" : ", ", name);
    }
    H5Oclose(object);
    return 0;
}

static int hdf5_missing(const Hdf5 *h)
{
    char text[300] = "";
    Hdf5Names names = {text, sizeof text, h->name != NULL ? h->name : "", false};
    while (*names.name == '/')
        names.name++;
    H5Lvisit(h->file, H5_INDEX_NAME, H5_ITER_INC, hdf5_visit, &names);
    if (names.found)
        return nnd_error(h->error, "%s: the dataset \"%s\" is damaged", h->path, h->name);
    if (h->name == NULL)
        return nnd_error(h->error, "%s: an HDF5 file holds several datasets: name one (of: %s)",
                         h->path, text);
    return nnd_error(h->error, "%s: holds no dataset \"%s\" (it holds: %s)", h->path, h->name,
                     text);
}

/* Sets the type and shape of the array. */
static int hdf5_header(Hdf5 *h, NndType real, NndArray *array)
{
    hsize_t extents[H5S_MAX_RANK];
    if (h->name != NULL) h->set = H5Dopen2(h->file, h->name, H5P_DEFAULT);
    if (h->set < 0) return hdf5_missing(h);
    h->type = H5Dget_type(h->set);
    h->space = H5Dget_space(h->set);
    H5T_class_t class = H5Tget_class(h->type);
    size_t size = H5Tget_size(h->type);
    if (class == H5T_FLOAT)
        array->type = real;
    else if (class == H5T_INTEGER)
        array->type = size == 1 && H5Tget_sign(h->type) == H5T_SGN_NONE ? NND_U8 : NND_INT;
    else if (class == H5T_ENUM && size == 1) /* what h5py makes of bool */
        array->type = NND_BOOL;
    else
        return nnd_error(h->error,
                         "%s: \"%s\" holds strings, records or the like; only numbers can be read",
                         h->path, h->name);
    array->rank = H5Sget_simple_extent_ndims(h->space);
    if (H5Sget_simple_extent_type(h->space) == H5S_NULL || array->rank < 0 ||
        array->rank > NND_MAX_RANK)
        return nnd_error(h->error, "%s: \"%s\" has %d axes; 0 to %d can be read", h->path, h->name,
                         array->rank, NND_MAX_RANK);
    H5Sget_simple_extent_dims(h->space, extents, NULL);
    for (int k = 0; k < array->rank; k++)
        array->shape[k] = extents[k] > INT64_MAX ? -1 : (int64_t)extents[k];
    return 0;
}

/* Integers that may not fit 32 bits. */
static int hdf5_wide(const Hdf5 *h, NndArray *array)
{
    int64_t count = nnd_array_size(array);
    int64_t *wide = malloc((size_t)count * sizeof *wide + 1);
    int failed = 0;
    if (wide == NULL) return nnd_error(h->error, "%s: out of memory", h->path);
    if (H5Dread(h->set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, wide) < 0)
        failed = nnd_error(h->error, "%s: \"%s\" is truncated or damaged", h->path, h->name);
    for (int64_t i = 0; i < count && !failed; i++) {
        if (wide[i] < INT32_MIN || wide[i] > INT32_MAX)
            failed = nnd_error(h->error,
                               "%s: \"%s\" holds %lld, which does not fit 32 bits; store "
                               "it as a real",
                               h->path, h->name, (long long)wide[i]);
        else
            ((int32_t *)array->data)[i] = (int32_t)wide[i];
    }
    free(wide);
    return failed;
}

static int hdf5_numbers(const Hdf5 *h, NndArray *array)
{
    char text[200];
    int64_t count = nnd_array_size(array), bytes, most;
    if (__builtin_mul_overflow(h->size, (int64_t)1040 /* deflate cannot do better */, &most))
        most = INT64_MAX;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)H5Tget_size(h->type), &bytes) ||
        bytes > most)
        return nnd_error(h->error,
                         "%s: \"%s\" is said to be %s, more than the file of %lld bytes "
                         "can hold; is it damaged?",
                         h->path, h->name,
                         nnd_shape_text(text, sizeof text, array->rank, array->shape),
                         (long long)h->size);
    if (nnd_array_alloc(array, h->error)) return 1;
    if (array->type == NND_INT) return hdf5_wide(h, array);
    hid_t memory = array->type == NND_F64    ? H5Tcopy(H5T_NATIVE_DOUBLE)
                   : array->type == NND_REAL ? H5Tcopy(H5T_NATIVE_FLOAT)
                   : array->type == NND_U8   ? H5Tcopy(H5T_NATIVE_UINT8)
                                             : H5Tget_native_type(h->type, H5T_DIR_ASCEND);
    herr_t status = H5Dread(h->set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, array->data);
    H5Tclose(memory);
    if (status < 0)
        return nnd_error(h->error, "%s: \"%s\" is truncated or damaged", h->path, h->name);
    unsigned char *truths = array->data;
    for (int64_t i = 0; array->type == NND_BOOL && i < count; i++)
        truths[i] = truths[i] != 0;
    return 0;
}

int nnd_hdf5_read(const char *path, const NndSourceOptions *options, bool header_only,
                  NndArray *array, NndError *error)
{
    Hdf5 h = {.path = path, .name = options->tensor, .error = error};
    int failed = hdf5_open(&h) || hdf5_header(&h, options->real, array) ||
                 (!header_only && hdf5_numbers(&h, array));
    hdf5_close(&h);
    if (failed) nnd_array_free(array);
    return failed;
}

#else

int nnd_hdf5_read(const char *path, const NndSourceOptions *options, bool header_only,
                  NndArray *array, NndError *error)
{
    (void)options;
    (void)header_only;
    (void)array;
    return nnd_error(error,
                     "%s: HDF5 files are read by libhdf5, which this program was built without: "
                     "install the package libhdf5-dev, and build nndc again",
                     path);
}

#endif
