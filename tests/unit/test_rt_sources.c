/* test_rt_sources.c -- the readers of files without a header, of HDF5 files and of folders of
 * images: what they read, and what they say about files that are damaged. tests/data/small.h5 and
 * the JPEG files there were written by libhdf5 and libjpeg. Where a library is missing, its reader
 * must say so. */
#include "rt_files.h"

static int read_file(const char *kind, const char *path, const NndSourceOptions *options,
                     NndArray *array, NndError *error)
{
    strcpy(error->text, "");
    return nnd_source_read(kind, path, options, array, error);
}

/* Whether the array is of this type and shape and its elements are those wanted; frees it. */
static int holds(NndArray *array, NndType type, int rank, const int64_t *shape,
                 const double *wanted)
{
    int good = array->type == type && array->rank == rank &&
               memcmp(array->shape, shape, sizeof *shape * (size_t)rank) == 0 &&
               nnd_array_convert(array, NND_F64, NULL) == 0;
    for (int64_t i = 0; good && i < nnd_array_size(array); i++)
        good = ((double *)array->data)[i] == wanted[i];
    nnd_array_free(array);
    return good;
}

static void test_raw(void)
{
    static const struct {
        const char *type;
        const char bytes[16];
        size_t size;
        NndType read;
        double wanted[2];
    } cases[] = {
        {"u8", "\1\377", 2, NND_U8, {1, 255}},
        {"i8", "\1\377", 2, NND_INT, {1, -1}},
        {"i16", "\0\1\376\377", 4, NND_INT, {256, -2}},
        {"i32", "\1\0\0\0\0\0\1\0", 8, NND_INT, {1, 65536}},
        {"f32", "\0\0\xc0\x3f\0\0\0\xc0", 8, NND_REAL, {1.5, -2}},
        {"bf16", "\xc0\x3f\0\xc0", 4, NND_REAL, {1.5, -2}},
        {"f64", "\0\0\0\0\0\0\xf8\x3f\0\0\0\0\0\0\0\xc0", 16, NND_REAL, {1.5, -2}},
        {"bool", "\0\3", 2, NND_BOOL, {0, 1}},
    };
    char folder[64];
    files_folder(folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        NndArray array;
        NndError error;
        NndSourceOptions options = {.tensor = cases[i].type, .rank = 2, .shape = {2, 1}};
        const char *path = files_write(folder, "a.bin", cases[i].bytes, cases[i].size);
        CU_ASSERT_EQUAL_FATAL(nnd_source_shape("raw", path, &options, &array, &error), 0);
        CU_ASSERT(array.type == cases[i].read && array.rank == 2 && array.data == NULL);
        CU_ASSERT_EQUAL_FATAL(read_file("raw", path, &options, &array, &error), 0);
        CU_ASSERT(holds(&array, cases[i].read, 2, (int64_t[]){2, 1}, cases[i].wanted));
        options.rank = 0;
        CU_ASSERT_EQUAL_FATAL(read_file("raw", path, &options, &array, &error), 0);
        CU_ASSERT(holds(&array, cases[i].read, 1, (int64_t[]){2}, cases[i].wanted));
    }
    files_remove(folder);
}

static void test_raw_bad(void)
{
    char folder[64];
    NndArray array;
    NndError error;
    NndSourceOptions options = {.tensor = "f32", .rank = 2, .shape = {10, 3}};
    const char *path = files_write(files_folder(folder), "a.bin", "123456789", 9);
    CU_ASSERT(files_says(read_file("raw", path, &options, &array, &error), &error,
                         "a.bin|only 9 bytes|[10, 3]|4 bytes|120"));
    options = (NndSourceOptions){.tensor = "u8", .rank = 1, .shape = {8}};
    CU_ASSERT(
        files_says(read_file("raw", path, &options, &array, &error), &error, "holds 9 bytes|8"));
    options = (NndSourceOptions){.tensor = "f32"};
    CU_ASSERT(files_says(read_file("raw", path, &options, &array, &error), &error,
                         "9 bytes|whole number"));
    options = (NndSourceOptions){.tensor = "f32", .rank = 2, .shape = {INT64_MAX, 2}};
    CU_ASSERT(files_says(read_file("raw", path, &options, &array, &error), &error, "too large"));
    options = (NndSourceOptions){.tensor = "float"};
    CU_ASSERT(
        files_says(read_file("raw", path, &options, &array, &error), &error, "float|\"f32\""));
    CU_ASSERT(files_says(read_file("raw", path, NULL, &array, &error), &error, "\"f32\""));
    CU_ASSERT_PTR_NULL(array.data);
    files_remove(folder);
}

static void test_text(void)
{
    char folder[64];
    NndArray array;
    NndError error;
    const char *path = files_write_gz(files_folder(folder), "a.txt.gz", "Hi\n\xc3\xa9", 5);
    CU_ASSERT_EQUAL_FATAL(nnd_source_shape("text", path, NULL, &array, &error), 0);
    CU_ASSERT_EQUAL(array.shape[0], 5);
    CU_ASSERT_EQUAL_FATAL(read_file("text", path, NULL, &array, &error), 0);
    CU_ASSERT(holds(&array, NND_U8, 1, (int64_t[]){5}, (double[]){72, 105, 10, 195, 169}));
    path = files_write(folder, "a.txt", "", 0);
    CU_ASSERT(files_says(read_file("text", path, NULL, &array, &error), &error, "a.txt|empty"));
    files_remove(folder);
}

/* Whether the reader was built in; where it was not, its message is checked. */
static bool built_in(const char *kind, const char *path, const char *package)
{
    NndArray array;
    NndError error = {""};
    NndSourceOptions options = {.tensor = "x"};
    nnd_source_shape(kind, path, &options, &array, &error);
    if (strstr(error.text, "without") == NULL) return true;
    CU_ASSERT(strstr(error.text, path) != NULL && strstr(error.text, package) != NULL);
    return false;
}

static void test_hdf5(void)
{
    static const char *const path = NND_ROOT "/tests/data/small.h5";
    double x[20], shorts[10], bytes[10];
    NndArray array;
    NndError error;
    if (!built_in("hdf5", path, "libhdf5-dev")) return;
    for (int i = 0; i < 20; i++)
        x[i] = 0.5 * i - 2;
    for (int i = 0; i < 10; i++) {
        shorts[i] = -300 * i;
        bytes[i] = 25 * i;
    }
    NndSourceOptions options = {.tensor = "x"}; /* big-endian doubles, compressed */
    CU_ASSERT_EQUAL_FATAL(nnd_source_shape("hdf5", path, &options, &array, &error), 0);
    CU_ASSERT(array.type == NND_REAL && array.rank == 2 && array.shape[1] == 2 && !array.data);
    CU_ASSERT_EQUAL_FATAL(read_file("hdf5", path, &options, &array, &error), 0);
    CU_ASSERT(holds(&array, NND_REAL, 2, (int64_t[]){10, 2}, x));
    options.real = NND_F64;
    CU_ASSERT_EQUAL_FATAL(read_file("hdf5", path, &options, &array, &error), 0);
    CU_ASSERT(holds(&array, NND_F64, 2, (int64_t[]){10, 2}, x));
    options.tensor = "more/short";
    CU_ASSERT_EQUAL_FATAL(read_file("hdf5", path, &options, &array, &error), 0);
    CU_ASSERT(holds(&array, NND_INT, 1, (int64_t[]){10}, shorts));
    options.tensor = "byte";
    CU_ASSERT_EQUAL_FATAL(read_file("hdf5", path, &options, &array, &error), 0);
    CU_ASSERT(holds(&array, NND_U8, 1, (int64_t[]){10}, bytes));
    options.tensor = "/more/truth";
    CU_ASSERT_EQUAL_FATAL(read_file("hdf5", path, &options, &array, &error), 0);
    CU_ASSERT(
        holds(&array, NND_BOOL, 1, (int64_t[]){10}, (double[]){1, 0, 0, 1, 1, 0, 1, 0, 0, 1}));
}

static void test_hdf5_bad(void)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"y", "small.h5|\"y\"|byte, more/short, more/truth, more/wide, words, x"},
        {NULL, "name one|byte, more/short"},
        {"more", "\"more\"|byte, more/short"},
        {"words", "\"words\"|strings"},
        {"more/wide", "more/wide|1099511627776|32 bits"},
    };
    static const char *const path = NND_ROOT "/tests/data/small.h5";
    char folder[64];
    NndArray array;
    NndError error;
    if (!built_in("hdf5", path, "libhdf5-dev")) return;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        NndSourceOptions options = {.tensor = cases[i].name};
        CU_ASSERT(
            files_says(read_file("hdf5", path, &options, &array, &error), &error, cases[i].words));
        CU_ASSERT_PTR_NULL(array.data);
    }
    NndSourceOptions options = {.tensor = "x"};
    size_t size = 0;
    unsigned char *bytes = files_read(path, &size);
    const char *cut = files_write(files_folder(folder), "cut.h5", bytes, size / 2);
    CU_ASSERT(
        files_says(read_file("hdf5", cut, &options, &array, &error), &error, "cut.h5|truncated"));
    cut = files_write(folder, "text.h5", "hello", 5);
    CU_ASSERT(files_says(read_file("hdf5", cut, &options, &array, &error), &error, "not an HDF5"));
    CU_ASSERT(files_says(read_file("hdf5", folder, &options, &array, &error), &error, "folder"));
    free(bytes);
    files_remove(folder);
}

/* Writes the pixels as a PNG file by the runtime's writer, which other tests hold to the standard.
 */
static void png_put(const char *folder, const char *name, const unsigned char *pixels, int rows,
                    int columns, int colours)
{
    unsigned char *bytes;
    size_t size = 0;
    if (nnd_png_encode(pixels, rows, columns, colours, &bytes, &size, NULL)) abort();
    files_write(folder, name, bytes, size);
    free(bytes);
}

static void jpeg_put(const char *folder, const char *name, const char *from, double share)
{
    size_t size = 0;
    unsigned char *bytes = files_read(from, &size);
    files_write(folder, name, bytes, (size_t)((double)size * share));
    free(bytes);
}

#define GREY NND_ROOT "/tests/data/grey.jpg" /* 2 x 3 pixels of 200 */
#define RED  NND_ROOT "/tests/data/red.jpg"

static void test_images(void)
{
    static const double grey[] = {1,   2,   3,   4, 5, 6, 200, 200, 200,
                                  200, 200, 200, 7, 8, 9, 10,  11,  12};
    char folder[64];
    NndArray array;
    NndError error;
    if (!built_in("images", files_folder(folder), "libpng-dev")) return;
    png_put(folder, "c.PNG", (const unsigned char *)"\7\10\11\12\13\14", 2, 3, 1);
    png_put(folder, "a.png", (const unsigned char *)"\1\2\3\4\5\6", 2, 3, 1);
    jpeg_put(folder, "b.jpg", GREY, 1);
    files_write(folder, "README", "no image", 8);
    CU_ASSERT_EQUAL_FATAL(nnd_source_shape("images", folder, NULL, &array, &error), 0);
    CU_ASSERT(array.rank == 4 && array.shape[0] == 3 && array.shape[3] == 1 && !array.data);
    CU_ASSERT_EQUAL_FATAL(read_file("images", folder, NULL, &array, &error), 0);
    CU_ASSERT(holds(&array, NND_U8, 4, (int64_t[]){3, 2, 3, 1}, grey));
    files_remove(folder);
    png_put(files_folder(folder), "a.png", (const unsigned char *)"\1\2\3\4\5\6", 1, 2, 3);
    CU_ASSERT_EQUAL_FATAL(read_file("images", folder, NULL, &array, &error), 0);
    CU_ASSERT(holds(&array, NND_U8, 4, (int64_t[]){1, 1, 2, 3}, (double[]){1, 2, 3, 4, 5, 6}));
    files_remove(folder);
    jpeg_put(files_folder(folder), "a.jpeg", RED, 1);
    CU_ASSERT_EQUAL_FATAL(read_file("images", folder, NULL, &array, &error), 0);
    const unsigned char *pixels = array.data; /* through YCbCr: nearly red */
    CU_ASSERT(array.shape[3] == 3 && pixels[0] >= 253 && pixels[1] <= 2 && pixels[2] <= 2);
    nnd_array_free(&array);
    files_remove(folder);
}

static void test_images_bad(void)
{
    char folder[64];
    NndArray array;
    NndError error;
    if (!built_in("images", files_folder(folder), "libpng-dev")) return;
    CU_ASSERT(
        files_says(read_file("images", "/none", NULL, &array, &error), &error, "/none|folder"));
    CU_ASSERT(
        files_says(read_file("images", folder, NULL, &array, &error), &error, "holds no .png"));
    jpeg_put(folder, "a.jpg", GREY, 1);
    jpeg_put(folder, "b.jpg", RED, 1);
    CU_ASSERT(files_says(read_file("images", folder, NULL, &array, &error), &error,
                         "b.jpg|[2, 3, 3]|a.jpg|[2, 3, 1]"));
    jpeg_put(folder, "b.jpg", GREY, 0.97);
    CU_ASSERT(
        files_says(read_file("images", folder, NULL, &array, &error), &error, "b.jpg|truncated"));
    png_put(folder, "b.jpg", (const unsigned char *)"\1\2\3\4\5\6", 2, 3, 1);
    CU_ASSERT(
        files_says(read_file("images", folder, NULL, &array, &error), &error, "b.jpg|no JPEG"));
    jpeg_put(folder, "b.png", GREY, 1);
    remove(files_write(folder, "b.jpg", "", 0));
    CU_ASSERT(
        files_says(read_file("images", folder, NULL, &array, &error), &error, "b.png|no PNG"));
    CU_ASSERT_PTR_NULL(array.data);
    files_remove(folder);
}

static const UnitTest tests[] = {
    {"raw", test_raw},
    {"raw: wrong sizes and types", test_raw_bad},
    {"text", test_text},
    {"hdf5", test_hdf5},
    {"hdf5: damaged files", test_hdf5_bad},
    {"images", test_images},
    {"images: damaged files", test_images_bad},
};

UNIT_MAIN("runtime: more readers", tests)
