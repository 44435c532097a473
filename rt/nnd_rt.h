/* nnd_rt.h -- the runtime of programs written by nndc; usable alone. SPDX-License-Identifier: 0BSD
 *
 * The sections are titled by the files that implement them. Every function that can fail returns
 * 0 if it succeeded and 1 if not; it then has written to its NndError (which may be NULL) what
 * happened, where (file, record or line) and the likely cause. Nothing here exits, prints (but for
 * progress.c) or keeps state between calls (but for the flag of signal.c). Strings passed in are
 * not kept unless a comment says so. The .c files can be included one after the other into one
 * translation unit; they need POSIX (-D_POSIX_C_SOURCE=200809L), zlib and libm. */
#ifndef NND_RT_H
#define NND_RT_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "isa.h"

/* ---- array.c: errors, memory, arrays ----------------------------------------------------- */

typedef struct NndError {
    char text[512]; /* one line without a newline; "" where nothing went wrong */
} NndError;

/* Writes the message and returns 1, so that a caller can `return nnd_error(error, ...)`. */
int nnd_error(NndError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef enum NndType {
    NND_REAL, /* float */
    NND_INT,  /* int32_t */
    NND_BOOL, /* one byte, 0 or 1 */
    NND_U8,   /* uint8_t */
    NND_F64,  /* double */
} NndType;

enum { NND_MAX_RANK = 8 };

typedef struct NndArray {
    NndType type;
    int rank;
    int64_t shape[NND_MAX_RANK]; /* row-major: the last axis is contiguous */
    void *data;                  /* from nnd_alloc; NULL where only the header was asked for */
} NndArray;

size_t nnd_type_size(NndType type);
const char *nnd_type_name(NndType type); /* "real", "int", "bool", "u8", "f64" */

/* `size` bytes aligned to 128, not initialised; NULL if there are none. size 0 gives a pointer. */
void *nnd_alloc(size_t size);
void nnd_free(void *memory);

/* Product of the extents; -1 if one is negative or the product does not fit. */
int64_t nnd_shape_size(int rank, const int64_t *shape);
int64_t nnd_array_size(const NndArray *array);
/* Allocates array->data, filled with zeros, for its type, rank and shape. */
int nnd_array_alloc(NndArray *array, NndError *error);
void nnd_array_free(NndArray *array);
/* One element of an array, as a number. */
double nnd_array_value(const NndArray *array, int64_t i);
/* Converts the elements in place (possibly to new memory): any type to any other whose values can
 * hold it; real to int, number to bool, and an int outside 0..255 to u8 are errors. */
int nnd_array_convert(NndArray *array, NndType type, NndError *error);
/* Writes "[60000, 28, 28]"; returns text. */
const char *nnd_shape_text(char *text, size_t size, int rank, const int64_t *shape);

/* ---- names.c: lists of names -------------------------------------------------------------- */

typedef struct NndNames {
    char **names;
    int count, capacity;
} NndNames;

/* Copies the name, of `length` characters. */
int nnd_names_add(NndNames *names, const char *name, size_t length, NndError *error);
void nnd_names_free(NndNames *names);

/* ---- source.c: data files ----------------------------------------------------------------- */

typedef struct NndSourceOptions {
    NndType real;               /* what real numbers become: NND_REAL or NND_F64 */
    const char *const *columns; /* csv: these columns in this order; all if NULL */
    int column_count;
    const char *const *except; /* csv: all columns but these; columns must be NULL */
    int except_count;
    bool keep_axis;     /* csv: one column gives [n, 1], not [n] */
    char separator;     /* csv: 0 means a comma */
    const char *tensor; /* npz, safetensors, hdf5: the name of the array in the file; raw: the type
                           of the elements, "u8", "i16", "f32" */
    int rank;           /* raw: of the shape; 0: one axis, of all that the file holds */
    int64_t shape[NND_MAX_RANK];
} NndSourceOptions;

/* Reads the file of the given kind ("idx", "csv", "npy", "npz", "safetensors", "raw", "text",
 * which may be compressed with gzip; "hdf5"; "images": path is a folder). options may be NULL. */
int nnd_source_read(const char *kind, const char *path, const NndSourceOptions *options,
                    NndArray *array, NndError *error);
/* Sets type, rank and shape of `array` only (data is NULL) without reading more than it takes. */
int nnd_source_shape(const char *kind, const char *path, const NndSourceOptions *options,
                     NndArray *array, NndError *error);
bool nnd_source_known(const char *kind);

/* The names of the arrays in an archive ("npz", "safetensors"), in new memory. */
int nnd_source_names(const char *kind, const char *path, NndNames *names, NndError *error);
typedef int NndLister(const char *path, NndNames *names, NndError *error);
NndLister nnd_npz_names, nnd_safetensors_names;

/* A reader: fills array; with header_only its type and shape alone. */
typedef int NndReader(const char *path, const NndSourceOptions *options, bool header_only,
                      NndArray *array, NndError *error);
NndReader nnd_idx_read, nnd_csv_read, nnd_npy_read, nnd_npz_read, nnd_safetensors_read;
NndReader nnd_hdf5_read, nnd_images_read, nnd_raw_read, nnd_text_read;

/* ---- stream.c: bytes of a file, of a gzip file, of a part of an archive ------------------- */

typedef struct NndStream NndStream;

/* Opens a file; one that begins with gzip's magic number is decompressed. */
int nnd_stream_open(NndStream **stream, const char *path, NndError *error);
/* Opens `size` bytes at `offset`, stored or (raw) deflated. */
int nnd_stream_open_part(NndStream **stream, const char *path, int64_t offset, int64_t size,
                         bool deflated, NndError *error);
/* Reads up to size bytes; *got < size only at the end. Corrupt compressed data is an error. */
int nnd_stream_read(NndStream *stream, void *data, size_t size, size_t *got, NndError *error);
/* An upper bound of the bytes still to come; exact for what is not compressed. */
int64_t nnd_stream_bound(const NndStream *stream);
/* nnd_stream_end is to compare the CRC of all that was read with this one. */
void nnd_stream_check(NndStream *stream, uint32_t crc);
/* An error if bytes follow. */
int nnd_stream_end(NndStream *stream, NndError *error);
const char *nnd_stream_path(const NndStream *stream);
void nnd_stream_close(NndStream *stream);

/* ---- decode.c: numbers of files to arrays ------------------------------------------------- */

typedef enum NndCode {
    NND_CODE_BOOL,
    NND_CODE_U8,
    NND_CODE_I8,
    NND_CODE_U16,
    NND_CODE_I16,
    NND_CODE_U32,
    NND_CODE_I32,
    NND_CODE_U64,
    NND_CODE_I64,
    NND_CODE_F16,
    NND_CODE_BF16,
    NND_CODE_F32,
    NND_CODE_F64,
} NndCode;

size_t nnd_code_size(NndCode code);
/* The type that numbers of this code are read as; reals become `real`. */
NndType nnd_code_type(NndCode code, NndType real);
/* Allocates array->data for its rank and shape (type is set from code and real) and fills it from
 * the stream; big: the numbers are big-endian. Checks sizes before it allocates. */
int nnd_stream_decode(NndStream *stream, NndCode code, bool big, NndType real, NndArray *array,
                      NndError *error);

/* ---- npy.c: numpy's format ---------------------------------------------------------------- */

/* Reads what nnd_npy_read reads from an open stream; `what` names it in messages. */
int nnd_npy_stream(NndStream *stream, const char *what, NndType real, bool header_only,
                   NndArray *array, NndError *error);
/* Writes format 1.0, atomically. */
int nnd_npy_write(const char *path, const NndArray *array, NndError *error);

/* ---- random numbers: Threefry2x32-20, here so that inner loops can inline it --------------- */

/* J. Salmon, M. Moraes, R. Dror, D. Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
 * A draw is a function of (seed, site, run, position) and nothing else: the seed's key makes a key of
 * the site, once for a loop over positions, and that one the draws. Sums, shifts and exclusive ors of 32
 * bits are vectors on every machine (where compilers do not take the functions for too large to be
 * inlined): loops over positions become such under `omp simd` or -O3
 * (-fno-math-errno for the square root). With -ffp-contract=off normal draws have the same bits from
 * every compiler and on every machine. */
#define NND_ALWAYS __attribute__((always_inline))
typedef struct NndBits {
    uint32_t word[2];
} NndBits;

/* Sites of the runtime's own draws; those of programs are hashes of call paths. */
#define NND_SITE_SHUFFLE UINT64_C(0xffffffff00000001)
#define NND_SITE_SPLIT   UINT64_C(0xffffffff00000002)

#define NND_THREEFRY(rotation) (a += b, b = (b << (rotation) | b >> (32 - (rotation))) ^ a)
static inline NND_ALWAYS NndBits nnd_threefry(uint32_t a, uint32_t b, uint32_t k0, uint32_t k1)
{
    const uint32_t k2 = 0x1BD11BDAu ^ k0 ^ k1;
    a += k0, b += k1;
    NND_THREEFRY(13), NND_THREEFRY(15), NND_THREEFRY(26), NND_THREEFRY(6);
    a += k1, b += k2 + 1;
    NND_THREEFRY(17), NND_THREEFRY(29), NND_THREEFRY(16), NND_THREEFRY(24);
    a += k2, b += k0 + 2;
    NND_THREEFRY(13), NND_THREEFRY(15), NND_THREEFRY(26), NND_THREEFRY(6);
    a += k0, b += k1 + 3;
    NND_THREEFRY(17), NND_THREEFRY(29), NND_THREEFRY(16), NND_THREEFRY(24);
    a += k1, b += k2 + 4;
    NND_THREEFRY(13), NND_THREEFRY(15), NND_THREEFRY(26), NND_THREEFRY(6);
    return (NndBits){{a + k2, b + k0 + 5}};
}
#undef NND_THREEFRY

static inline NND_ALWAYS NndBits nnd_bits(uint64_t seed, uint64_t site, uint32_t run,
                                          uint32_t position)
{
    NndBits key = nnd_threefry((uint32_t)site, (uint32_t)(site >> 32), (uint32_t)seed,
                               (uint32_t)(seed >> 32));
    return nnd_threefry(position, run, key.word[0], key.word[1]);
}

/* In [0, 1): a multiple of 2^-24, the same number in both precisions. */
static inline NND_ALWAYS float nnd_uniform(uint64_t seed, uint64_t site, uint32_t run,
                                           uint32_t position)
{
    return (float)(int32_t)(nnd_bits(seed, site, run, position).word[0] >> 8) * 0x1p-24f;
}

static inline NND_ALWAYS double nnd_uniform_f64(uint64_t seed, uint64_t site, uint32_t run,
                                                uint32_t position)
{
    return (double)(int32_t)(nnd_bits(seed, site, run, position).word[0] >> 8) * 0x1p-24;
}

/* Box and Muller: sqrt(-2 log u) cos(2 pi v), u in (0, 1], v in [0, 1), both multiples of 2^-24, so
 * |z| < 5.8. With x = |v - 1/2| - 1/4, cos(2 pi v) is sin(2 pi x). Without branches or calls: the
 * logarithm and the sine are least-maximum-error polynomials (relative errors 6e-9, 2e-11) in float
 * arithmetic. */
static inline NND_ALWAYS float nnd_normal(uint64_t seed, uint64_t site, uint32_t run,
                                          uint32_t position)
{
    NndBits bits = nnd_bits(seed, site, run, position);
    float u = (float)(int32_t)((bits.word[0] >> 8) + 1) * 0x1p-24f;
    float v = (float)(int32_t)(bits.word[1] >> 8) * 0x1p-24f;
    uint32_t i;
    memcpy(&i, &u, sizeof i);
    i -= 0x3f3504f3u; /* sqrt(1/2): u = 2^e * m, m in [sqrt(1/2), sqrt(2)) */
    int32_t e = (int32_t)i >> 23;
    i = (i & 0x7fffffu) + 0x3f3504f3u;
    float m;
    memcpy(&m, &i, sizeof m);
    float y = m - 1.0f, x = fabsf(v - 0.5f) - 0.25f, z = x * x;
    float p = 0.14201758f + y * (-0.13160182f + y * (0.12761577f + y * -0.076344965f));
    p = 0.33333332f + y * (-0.25000821f + y * (0.20001227f + y * (-0.16623357f + y * p)));
    float log_u = (float)e * 0.69314718f + (y - y * y * (0.5f - y * p));
    float s = 81.605224f + z * (-76.704170f + z * (42.007797f + z * -14.381391f));
    s = x * (6.2831853f + z * (-41.341702f + z * s));
    return sqrtf(-2.0f * log_u) * s;
}

/* The same draw by libm in double. */
static inline NND_ALWAYS double nnd_normal_f64(uint64_t seed, uint64_t site, uint32_t run,
                                               uint32_t position)
{
    NndBits bits = nnd_bits(seed, site, run, position);
    double u = (double)((bits.word[0] >> 8) + 1) * 0x1p-24;
    double v = (double)(bits.word[1] >> 8) * 0x1p-24;
    return sqrt(-2.0 * log(u)) * sin(6.283185307179586477 * (fabs(v - 0.5) - 0.25));
}

/* ---- batch.c: order of examples, batches, splits ------------------------------------------ */

/* Fills out[0..n) with the permutation of 0..n-1 that belongs to (seed, site, set, epoch). */
void nnd_permutation(uint64_t seed, uint64_t site, uint32_t set, uint32_t epoch, int64_t n,
                     int64_t *out);

/* Draws a split of n examples into `parts` disjoint parts (train, valid, test) by fractions that
 * add up to at most 1 (within 1e-6, to all of them): part k is order[start[k]..start[k + 1]),
 * ascending. start has parts + 1 elements, order n. */
int nnd_split(uint64_t seed, uint32_t set, int64_t n, const double *fractions, int parts,
              int64_t *order, int64_t *start, NndError *error);

/* Where a part of n examples ends whose fraction and those of the parts before it add up to this.
 */
int64_t nnd_split_end(double before, int64_t n);

/* The examples of one data set (or one part of it) in batches. A batch depends on (seed, set,
 * epoch, index) only, so any batch can be asked for at any time. */
typedef struct NndBatches {
    int64_t count; /* examples */
    int64_t size;  /* of a batch */
    uint64_t seed;
    uint32_t set; /* number of the data set: sets are shuffled independently */
    bool shuffle;
    const int64_t *rows; /* kept: the examples' numbers, NULL for 0..count-1 */
    int64_t epoch;       /* that `order` belongs to, -1: none yet */
    int64_t *order;
} NndBatches;

/* A batch larger than count becomes count. */
int nnd_batches_open(NndBatches *batches, int64_t count, const int64_t *rows, int64_t size,
                     uint64_t seed, uint32_t set, bool shuffle, NndError *error);
void nnd_batches_close(NndBatches *batches);
/* Batches in an epoch, the last, smaller one included. */
int64_t nnd_batches_per_epoch(const NndBatches *batches);
/* Points *indices at the examples of a batch and returns their number; 0 after the last. */
int64_t nnd_batch(NndBatches *batches, int64_t epoch, int64_t index, const int64_t **indices);
/* The n examples from place `first` of the endless sequence epoch 0, epoch 1, ...: for data sets
 * that wrap around beside another. */
void nnd_batch_wrapped(NndBatches *batches, int64_t first, int64_t n, int64_t *indices);

/* dst[i] = src[indices[i]] for n rows of row_bytes bytes. */
void nnd_gather(void *dst, const void *src, size_t row_bytes, const int64_t *indices, int64_t n);

/* ---- json.c: a strict reader of a small JSON ---------------------------------------------- */

typedef struct NndJson {
    const char *at, *end; /* the text still to be read; it needs no NUL */
    NndError *error;
    const char *what; /* names the text in messages */
    const char *begin;
} NndJson;

/* Each skips white space, reads one thing and returns 0, or 1 with a message. */
int nnd_json_expect(NndJson *json, char punctuation);
bool nnd_json_next_is(NndJson *json, char punctuation); /* looks only */
/* Reads a string with its escapes into new memory (free), NUL-terminated; NUL inside is refused. */
int nnd_json_string(NndJson *json, char **text);
int nnd_json_integer(NndJson *json, int64_t *value); /* not negative */
int nnd_json_end(NndJson *json);
/* Appends text in quotes, escaped; dst holds at least 6 * strlen(text) + 3 bytes; returns the end.
 */
char *nnd_json_quote(char *dst, const char *text);

/* ---- state.c: strings by key -------------------------------------------------------------- */

typedef struct NndState { /* strings by key: a file's metadata, the state of a training */
    char **keys, **values;
    int count, capacity;
} NndState;

/* Sets (or replaces) a value; the strings are copied. Integers are written in decimal, reals in
 * hexadecimal so that they come back bit for bit. */
int nnd_state_set(NndState *state, const char *key, const char *value, NndError *error);
int nnd_state_set_int(NndState *state, const char *key, int64_t value, NndError *error);
int nnd_state_set_real(NndState *state, const char *key, double value, NndError *error);
const char *nnd_state_get(const NndState *state, const char *key); /* NULL if absent */
/* An error if absent or not a number. */
int nnd_state_get_int(const NndState *state, const char *key, int64_t *value, NndError *error);
int nnd_state_get_real(const NndState *state, const char *key, double *value, NndError *error);
void nnd_state_free(NndState *state);

/* ---- safetensors.c: tensors by name in one file ------------------------------------------- */

typedef struct NndStEntry {
    char *name;
    NndCode code;
    int rank;
    int64_t shape[NND_MAX_RANK];
    int64_t begin, end; /* bytes from the start of the file */
} NndStEntry;

typedef struct NndStHeader {
    NndStEntry *entries;
    int count, capacity;
    NndState metadata;
} NndStHeader;

/* Reads and checks the header: extents fit the file, data do not overlap. */
int nnd_st_header_read(const char *path, NndStHeader *header, NndError *error);
void nnd_st_header_free(NndStHeader *header);
const NndStEntry *nnd_st_find(const NndStHeader *header, const char *name); /* NULL if absent */

/* ---- checkpoint.c: parameters and the state of a training, in one safetensors file -------- */

typedef struct NndTensor {
    const char *name;
    NndArray array;
} NndTensor;

/* Writes tensors and state, atomically: to a temporary file beside `path`, synced and renamed. On
 * an error the old file is as it was and the temporary one is gone. state may be NULL. */
int nnd_checkpoint_write(const char *path, const NndTensor *tensors, int count,
                         const NndState *state, NndError *error);
/* Fills the data of all tensors (allocated by the caller, like their names, types and shapes) and,
 * unless NULL, replaces state. A file with other names, types or shapes is refused, as one of
 * another model, before anything is changed. */
int nnd_checkpoint_read(const char *path, NndTensor *tensors, int count, NndState *state,
                        NndError *error);
/* The state alone. */
int nnd_checkpoint_state(const char *path, NndState *state, NndError *error);
/* Where a checkpoint has them, fills those tensors whose name begins with prefix ("MLP."), and
 * says which are missing; what else is in the file is ignored. For `load` and `--weights`. */
int nnd_checkpoint_load(const char *path, const char *prefix, NndTensor *tensors, int count,
                        NndError *error);

/* ---- file.c: files that appear whole or not at all ---------------------------------------- */

typedef struct NndFile {
    FILE *file;
    char *path, *temporary;
    int code; /* errno of the first failed write */
} NndFile;

int nnd_file_create(NndFile *file, const char *path, NndError *error);
void nnd_file_write(NndFile *file, const void *data, size_t size); /* commit reports failures */
/* At most 999 characters. */
void nnd_file_print(NndFile *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
int nnd_file_commit(NndFile *file, NndError *error); /* sync, rename, sync the folder */
void nnd_file_abandon(NndFile *file);                /* removes the temporary file */
/* Makes the folder (not its parents); one that exists and can be written is fine. */
int nnd_folder_make(const char *path, NndError *error);

/* ---- png.c: pictures ------------------------------------------------------------------------ */

/* A PNG file in new memory (free), from rows of pixels of 1 or 3 colours. */
int nnd_png_encode(const unsigned char *pixels, int64_t rows, int64_t columns, int colours,
                   unsigned char **png, size_t *size, NndError *error);
/* One picture, [rows, columns] or [rows, columns, 1 or 3], or a sheet of `many`, one for each
 * element of a leading axis. Reals from 0 to 1, bytes and ints from 0 to 255. */
int nnd_png_sheet(const NndArray *array, bool many, unsigned char **png, size_t *size,
                  NndError *error);

/* ---- progress.c: what a training shows ---------------------------------------------------- */

typedef struct NndProgress {
    FILE *out;
    bool terminal, quiet;
    int64_t epochs, batches; /* planned; batches in an epoch */
    double start, epoch_start, shown;
    int64_t first; /* batch (of all) at which this run began */
    int64_t examples;
    double loss_sum, loss_weight;
} NndProgress;

/* Shows to `out`: one line rewritten in place on a terminal, else a line per epoch; nothing if
 * quiet. Counting begins at (epoch, batch), which is not (0, 0) after a resume. */
void nnd_progress_start(NndProgress *progress, FILE *out, bool quiet, int64_t epochs,
                        int64_t batches, int64_t epoch, int64_t batch);
/* Call after each batch; epoch and batch (from 0) are those just done. Cheap. */
void nnd_progress_batch(NndProgress *progress, int64_t epoch, int64_t batch, int64_t examples,
                        double loss);
/* Call after each epoch with the reports: "epoch 3/20  loss 0.1234  accuracy 0.981  12 s"; step:
 * what reports are counted by if not by epochs ("step 300  loss ..."), else -1. */
void nnd_progress_epoch(NndProgress *progress, int64_t epoch, int64_t step,
                        const char *const *names, const double *values, int count);
void nnd_progress_stop(NndProgress *progress); /* ends a line that is being rewritten */
/* Mean loss of the epoch so far, weighted by examples. */
double nnd_progress_loss(const NndProgress *progress);

/* ---- log.c: log.csv ------------------------------------------------------------------------ */

typedef struct NndLog {
    FILE *file;
    char *path;
    int count;
    int64_t rows; /* written so far, those kept included: store it in the checkpoint */
} NndLog;

/* A table "epoch,step,name,NAMES...". It begins with the first keep_rows rows of the file that is
 * there (resume), which are fewer if the file is shorter; 0 begins anew. */
int nnd_log_open(NndLog *log, const char *path, const char *const *names, int count,
                 int64_t keep_rows, NndError *error);
/* Appends a row and flushes it; NaN is written as an empty field. */
int nnd_log_row(NndLog *log, int64_t epoch, int64_t step, const char *name, const double *values,
                NndError *error);
int nnd_log_close(NndLog *log, NndError *error);

/* ---- signal.c: Ctrl-C ----------------------------------------------------------------------- */

/* From now on SIGINT and SIGTERM set the flag; a second one ends the program as usual. */
void nnd_stop_watch(void);
bool nnd_stop_requested(void);
void nnd_stop_clear(void);

/* ---- clock.c -------------------------------------------------------------------------------- */

double nnd_clock(void); /* monotonic seconds */

/* ---- isa.c: instruction sets (isa.h) ---------------------------------------------------------- */

const NndIsaInfo *nnd_isa_info(NndIsa isa);
bool nnd_isa_here(NndIsa isa); /* whether this machine has it */
NndIsa nnd_isa_best(void);     /* that this machine has */
int nnd_isa_check(NndIsa isa, NndError *error);

/* ---- pool.c: loops divided among threads ---------------------------------------------------- */

enum { NND_MOST_THREADS = 256 };

/* Threads that divide loops among them, with whoever calls nnd_parallel; they start when there is work
 * for them. */
typedef struct NndPool NndPool;
/* Does the iterations begin .. end - 1 of a loop. */
typedef void NndTask(const void *data, int64_t begin, int64_t end);

/* threads: with the caller's; 0: NND_THREADS of the environment, or the number of cores. NULL without
 * memory. */
NndPool *nnd_pool_new(int threads);
void nnd_pool_free(NndPool *pool);
/* 1 for NULL. */
int nnd_pool_threads(const NndPool *pool);
/* From now on every loop is divided, worth it or not: for tests. */
void nnd_pool_eager(NndPool *pool);
/* Does all iterations 0 .. n - 1, which must be independent of each other, by calls of the task at the
 * same time. cost: nanoseconds that one takes, about; where they are too few, where pool is NULL and
 * inside a task, one call does all. One thread at a time divides its loop; others that call with the
 * same pool meanwhile do theirs alone. Denormals are left as the machine has them. */
void nnd_parallel(NndPool *pool, NndTask *task, const void *data, int64_t n, double cost);

/* ---- gemm.c: matrix products ---------------------------------------------------------------- */

enum { NND_BLOCK_ROWS = 128, NND_BLOCK_COLUMNS = 256, NND_BESIDE = 4 };

/* Does something with rows row .. row_end - 1, columns column .. column_end - 1 of a product as soon
 * as they are whole, while they are in the cache: block is where the first of them lies. */
typedef void NndBlockTask(const void *data, int64_t row, int64_t row_end, int64_t column,
                          int64_t column_end, void *block);

/* What comes after a product, block by block: every element is in one block. */
typedef struct NndAfter {
    NndBlockTask *run;
    const void *data;
    double cost; /* nanoseconds that an element takes, about */
    /* What it reads and writes of the shape of the product, rows `step` elements of the product's type
     * apart, or NULL: this is brought into the cache meanwhile. */
    int64_t step;
    const void *beside[NND_BESIDE];
} NndAfter;

/* Row-major C[m, n] = op(A)[m, k] op(B)[k, n], added to C if accumulate. ta: A is stored [k, m];
 * tb: B is stored [n, k]. lda, ldb, ldc: elements from one stored row to the next. k = 0 gives
 * zeros (or C as it was). The work is split by the shape alone: results do not depend on the
 * number of threads of the pool. isa: that the kernels may use. With -DNND_BLAS by cblas_sgemm,
 * cblas_dgemm. after: NULL, or called for blocks that cover C; neither A nor B may lie in what it
 * writes. c NULL: the product exists in blocks only, each of at most NND_BLOCK_ROWS rows at
 * distances of NND_BLOCK_COLUMNS elements; ldc and accumulate do not count then. */
void nnd_gemm(NndPool *pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
              int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate,
              NndIsa isa, const NndAfter *after);
void nnd_gemm_f64(NndPool *pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double *a,
                  int64_t lda, const double *b, int64_t ldb, double *c, int64_t ldc,
                  bool accumulate, NndIsa isa, const NndAfter *after);

#endif
