/* test_rt_read.c -- the readers of IDX, npy, npz and safetensors files: what they read, and what
 * they say about files that are damaged. Arrays in hexadecimal were written by numpy 2.4. */
#include "rt_files.h"

static const char npz_hex[] = /* np.savez_compressed(x=[[1.5, -2], [0.25, 1e10]] as f4,
                                 y=[[-3, -2, -1], [0, 1, 2]] as i8) */
    "504b03042d00000008000000210092afadecffffffffffffffff05001400782e6e70790100100090000000000000"
    "0055000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f"
    "5f94920a12774bcc294e058a17672416a402f91a463a0a469a3a0ab50a64032e068603f60c408281a1c1ee279368"
    "0000504b03042d0000000800000021007a4a727dffffffffffffffff05001400792e6e707901001000b000000000"
    "00000056000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1aea3a09e965f54529498"
    "179f5f94920a12774bcc294e058a17672416a402f91a463a0ac69a3a0ab50a6403aebfff21e0df7f54c000058c50"
    "9a094a0300504b01022d032d00000008000000210092afadec550000009000000005000000000000000000000080"
    "0100000000782e6e7079504b01022d032d0000000800000021007a4a727d56000000b00000000500000000000000"
    "0000000080018c000000792e6e7079504b0506000000000200020066000000190100000000";
static const char fortran_hex[] = /* y in Fortran order */
    "934e554d5059010076007b276465736372273a20273c6938272c2027666f727472616e5f6f72646572273a205472"
    "75652c20277368617065273a2028322c2033292c207d202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020202020202020202020202020202020202020200afdffffffffffffff0000"
    "000000000000feffffffffffffff0100000000000000ffffffffffffffff0200000000000000";
static const char half_hex[] = /* [1, -0.5, 65504, 6e-8, inf] as f2 */
    "934e554d5059010076007b276465736372273a20273c6632272c2027666f727472616e5f6f72646572273a204661"
    "6c73652c20277368617065273a2028352c292c207d20202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020202020202020202020202020202020202020200a003c00b8ff7b0100007c";

static int read_file(const char *kind, const char *path, const char *tensor, NndArray *array,
                     NndError *error)
{
    NndSourceOptions options = {.tensor = tensor};
    strcpy(error->text, "");
    return nnd_source_read(kind, path, &options, array, error);
}

/* Reading the bytes must fail with the words, and leave no array. */
static int refuses(const char *kind, const char *name, const void *bytes, size_t size,
                   const char *words)
{
    char folder[64];
    NndError error;
    NndArray array;
    const char *path = files_write(files_folder(folder), name, bytes, size);
    int failed = read_file(kind, path, "x", &array, &error);
    int good = files_says(failed, &error, words) && strstr(error.text, name) != NULL;
    if (array.data != NULL) good = 0;
    files_remove(folder);
    return good;
}
#define REFUSES(kind, name, bytes, words)                                                          \
    CU_ASSERT(refuses(kind, name, bytes, sizeof(bytes) - 1, words))

static void test_idx_types(void)
{
    static const struct {
        const char bytes[24];
        size_t size;
        NndType type;
        double second;
    } cases[] = {
        {"\0\0\x08\1\0\0\0\2\1\377", 10, NND_U8, 255},
        {"\0\0\x09\1\0\0\0\2\1\377", 10, NND_INT, -1},
        {"\0\0\x0b\1\0\0\0\2\0\1\377\376", 12, NND_INT, -2},
        {"\0\0\x0c\1\0\0\0\2\0\0\0\1\0\1\0\0", 16, NND_INT, 65536},
        {"\0\0\x0d\1\0\0\0\2\0\0\0\0\x3f\xc0\0\0", 16, NND_F64, 1.5},
        {"\0\0\x0e\1\0\0\0\2\0\0\0\0\0\0\0\0\xbf\xe0\0\0\0\0\0\0", 24, NND_F64, -0.5},
    };
    char folder[64];
    files_folder(folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        NndArray array, header;
        NndError error;
        NndSourceOptions options = {.real = NND_F64};
        const char *path = files_write(folder, "a.idx", cases[i].bytes, cases[i].size);
        CU_ASSERT_EQUAL_FATAL(nnd_source_read("idx", path, &options, &array, &error), 0);
        CU_ASSERT_EQUAL(nnd_source_shape("idx", path, &options, &header, &error), 0);
        CU_ASSERT_EQUAL(header.type, cases[i].type);
        CU_ASSERT_EQUAL(header.shape[0], 2);
        CU_ASSERT_PTR_NULL(header.data);
        CU_ASSERT_EQUAL(array.type, cases[i].type);
        CU_ASSERT_EQUAL(array.rank, 1);
        CU_ASSERT_EQUAL(nnd_array_convert(&array, NND_F64, &error), 0);
        CU_ASSERT_EQUAL(((double *)array.data)[1], cases[i].second);
        nnd_array_free(&array);
    }
    files_remove(folder);
}

static void test_idx_gzip(void)
{
    char folder[64];
    unsigned char bytes[16 + 2 * 3 * 300] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 1, 44};
    NndArray array;
    NndError error;
    for (size_t i = 16; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7);
    const char *path = files_write_gz(files_folder(folder), "a.gz", bytes, sizeof bytes);
    CU_ASSERT_EQUAL_FATAL(read_file("idx", path, NULL, &array, &error), 0);
    CU_ASSERT_EQUAL(array.rank, 3);
    CU_ASSERT_EQUAL(array.shape[0], 2);
    CU_ASSERT_EQUAL(array.shape[2], 300);
    CU_ASSERT_EQUAL(memcmp(array.data, bytes + 16, sizeof bytes - 16), 0);
    nnd_array_free(&array);
    files_remove(folder);
}

static void test_idx_bad(void)
{
    REFUSES("idx", "empty.idx", "", "empty");
    REFUSES("idx", "short.idx", "\0\0", "truncated|header");
    REFUSES("idx", "magic.idx", "\1\0\x08\1\0\0\0\1\0", "not an IDX");
    REFUSES("idx", "type.idx", "\0\0\x0a\1\0\0\0\1\0", "not an IDX");
    REFUSES("idx", "rank0.idx", "\0\0\x08\0\0\0\0\0", "rank 0");
    REFUSES("idx", "rank9.idx", "\0\0\x08\x09\0\0\0\1\0", "rank 9");
    REFUSES("idx", "dims.idx", "\0\0\x08\3\0\0\0\1\0", "truncated|header|1 of 3");
    REFUSES("idx", "data.idx", "\0\0\x08\2\0\0\0\3\0\0\0\2abcd", "truncated|record 2 of 3|[3, 2]");
    REFUSES("idx", "more.idx", "\0\0\x08\1\0\0\0\2abc", "more bytes");
    REFUSES("idx", "overflow.idx",
            "\0\0\x0e\4\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377a",
            "too large");
    REFUSES("idx", "huge.idx", "\0\0\x0e\2\0\377\377\377\0\0\377\377a", "truncated|record 0");
    REFUSES("idx", "html.gz", "<!DOCTYPE html>", "not a gzip file");
    REFUSES("idx", "text.idx", "a,b\n1,2\n", "not an IDX");
}

static void test_idx_bad_gzip(void)
{
    char folder[64];
    unsigned char data[4096 + 8] = {0, 0, 8, 1, 0, 0, 16, 0}, *gz;
    size_t size = 0;
    for (size_t i = 8; i < sizeof data; i++)
        data[i] = (unsigned char)(i * i * 2654435761u >> 13);
    files_folder(folder);
    gz = files_read(files_write_gz(folder, "a.gz", data, sizeof data), &size);
    CU_ASSERT(refuses("idx", "cut.gz", gz, size / 2, "truncated|compressed"));
    CU_ASSERT(refuses("idx", "head.gz", gz, 5, "truncated"));
    gz[size] = 'x';
    CU_ASSERT(refuses("idx", "tail.gz", gz, size + 1, "bytes follow"));
    gz[size - 6] ^= 1; /* the CRC */
    CU_ASSERT(refuses("idx", "crc.gz", gz, size, "corrupt"));
    gz[size - 6] ^= 1;
    gz[12] ^= 0xff;
    CU_ASSERT(refuses("idx", "bits.gz", gz, size, "corrupt"));
    free(gz);
    gz = files_read(files_write_gz(folder, "b.gz", data, sizeof data - 100), &size);
    CU_ASSERT(refuses("idx", "few.gz", gz, size, "truncated|record 3996 of 4096"));
    free(gz);
    gz = files_read(files_write_gz(folder, "c.gz", "\0\0\x08\1\177\377\377\377ab", 10), &size);
    CU_ASSERT(refuses("idx", "bomb.gz", gz, size, "truncated|no more than"));
    free(gz);
    files_remove(folder);
}

static void test_no_file(void)
{
    NndArray array;
    NndError error;
    CU_ASSERT(files_says(read_file("idx", "/nowhere/a.gz", NULL, &array, &error), &error,
                         "/nowhere/a.gz|No such file|path"));
    CU_ASSERT(files_says(read_file("npy", "/tmp", NULL, &array, &error), &error, "folder"));
    CU_ASSERT(files_says(read_file("csv", "/dev/zero", NULL, &array, &error), &error, "regular"));
    CU_ASSERT(files_says(read_file("parquet", "a.pq", NULL, &array, &error), &error, "parquet|reader"));
    CU_ASSERT(nnd_source_known("csv"));
    CU_ASSERT(!nnd_source_known("parquet"));
}

static void test_npy(void)
{
    char folder[64];
    unsigned char bytes[400];
    NndArray array;
    NndError error;
    size_t size = files_hex(fortran_hex, bytes);
    const char *path = files_write(files_folder(folder), "a.npy", bytes, size);
    CU_ASSERT_EQUAL_FATAL(read_file("npy", path, NULL, &array, &error), 0);
    CU_ASSERT_EQUAL(array.type, NND_INT);
    CU_ASSERT_EQUAL(array.shape[0], 2);
    CU_ASSERT_EQUAL(array.shape[1], 3);
    for (int i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(((int32_t *)array.data)[i], i - 3);
    nnd_array_free(&array);
    size = files_hex(half_hex, bytes);
    path = files_write(folder, "a.npy", bytes, size);
    CU_ASSERT_EQUAL_FATAL(read_file("npy", path, NULL, &array, &error), 0);
    const float *x = array.data;
    CU_ASSERT(x[0] == 1 && x[1] == -0.5f && x[2] == 65504 && isinf(x[4]));
    CU_ASSERT_EQUAL(x[3], 0x1p-24f);
    nnd_array_free(&array);
    files_remove(folder);
}

static void test_npy_write(void)
{
    static const NndType types[] = {NND_REAL, NND_INT, NND_BOOL, NND_U8, NND_F64};
    char folder[64], path[100];
    NndError error;
    snprintf(path, sizeof path, "%s/w.npy", files_folder(folder));
    for (int rank = 0; rank <= 3; rank++) {
        NndArray out = {.type = types[rank + 1], .rank = rank, .shape = {2, 3, 4}}, back;
        CU_ASSERT_EQUAL_FATAL(nnd_array_alloc(&out, &error), 0);
        size_t bytes = (size_t)nnd_array_size(&out) * nnd_type_size(out.type);
        for (size_t i = 0; i < bytes; i++)
            ((unsigned char *)out.data)[i] = out.type == NND_BOOL ? i % 2 : (unsigned char)(i * 3);
        CU_ASSERT_EQUAL(nnd_npy_write(path, &out, &error), 0);
        NndSourceOptions options = {.real = NND_F64};
        CU_ASSERT_EQUAL_FATAL(nnd_source_read("npy", path, &options, &back, &error), 0);
        CU_ASSERT_EQUAL(back.type, out.type);
        CU_ASSERT_EQUAL(back.rank, rank);
        CU_ASSERT_EQUAL(memcmp(back.shape, out.shape, (size_t)rank * sizeof *out.shape), 0);
        CU_ASSERT_EQUAL(memcmp(back.data, out.data, bytes), 0);
        nnd_array_free(&out);
        nnd_array_free(&back);
    }
    CU_ASSERT_EQUAL(files_count(folder), 1);
    files_remove(folder);
}

/* A version 1 file with this dictionary and nothing behind it. */
static int refuses_npy(const char *dict, const char *words)
{
    char bytes[500] = "\x93NUMPY\1";
    bytes[8] = (char)strlen(dict);
    memcpy(bytes + 10, dict, strlen(dict));
    return refuses("npy", "bad.npy", bytes, 10 + strlen(dict), words);
}

static void test_npy_bad(void)
{
    REFUSES("npy", "empty.npy", "", "empty");
    REFUSES("npy", "magic.npy", "\x93NUMPX\1\0\1\0{}", "not an .npy");
    REFUSES("npy", "version.npy", "\x93NUMPY\x09\0\1\0{}", "version 9");
    REFUSES("npy", "short.npy", "\x93NUMPY\1\0\100\0{}", "truncated|2 of 64");
    REFUSES("npy", "long.npy", "\x93NUMPY\2\0\377\377\377\377{}", "corrupt header");
    CU_ASSERT(refuses_npy("garbage", "corrupt header"));
    CU_ASSERT(refuses_npy("{'descr': '<f4', 'shape': (3,)}", "fortran_order is missing"));
    CU_ASSERT(refuses_npy("{'descr': '<f4', 'fortran_order': False, }", "shape is missing"));
    CU_ASSERT(refuses_npy("{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", "<c8"));
    CU_ASSERT(refuses_npy("{'descr': [('a', '<f4')], 'fortran_order': False}", "records"));
    CU_ASSERT(refuses_npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}", "neither"));
    CU_ASSERT(refuses_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", "shape"));
    CU_ASSERT(refuses_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3", "shape"));
    CU_ASSERT(refuses_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)", "'}'"));
    CU_ASSERT(refuses_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "record 0"));
    CU_ASSERT(refuses_npy("{'descr': '<f8', 'fortran_order': False, "
                          "'shape': (4294967296, 4294967296)}",
                          "too large"));
    CU_ASSERT(refuses_npy("{'descr': '<f8', 'fortran_order': False, "
                          "'shape': (99999999999999999999,)}",
                          "shape"));
    char wide[200] = "\x93NUMPY\1\0\100\0{'descr': '<i8', 'fortran_order': False, 'shape': (1, )}";
    memset(wide + 10 + strlen(wide + 10), ' ', 64 - strlen(wide + 10));
    memcpy(wide + 74, "\0\0\0\0\1\0\0\0", 8);
    CU_ASSERT(refuses("npy", "wide.npy", wide, 82, "record 0|32 bits"));
    memset(wide + 74, 0, 9);
    CU_ASSERT(refuses("npy", "more.npy", wide, 83, "more bytes"));
}

static void test_npz(void)
{
    char folder[64];
    unsigned char bytes[500];
    NndArray array;
    NndError error;
    size_t size = files_hex(npz_hex, bytes);
    const char *path = files_write(files_folder(folder), "a.npz", bytes, size);
    CU_ASSERT_EQUAL_FATAL(read_file("npz", path, "x", &array, &error), 0);
    const float *x = array.data;
    CU_ASSERT(array.rank == 2 && x[0] == 1.5f && x[1] == -2 && x[2] == 0.25f && x[3] == 1e10f);
    nnd_array_free(&array);
    CU_ASSERT_EQUAL_FATAL(read_file("npz", path, "y.npy", &array, &error), 0);
    CU_ASSERT_EQUAL(((int32_t *)array.data)[5], 2);
    nnd_array_free(&array);
    CU_ASSERT(
        files_says(read_file("npz", path, "z", &array, &error), &error, "\"z\"|x.npy, y.npy"));
    CU_ASSERT(files_says(read_file("npz", path, NULL, &array, &error), &error, "name one"));
    CU_ASSERT(refuses("npz", "cut.npz", bytes, size - 30, "not an .npz"));
    bytes[100] ^= 0xff;
    CU_ASSERT(refuses("npz", "bits.npz", bytes, size, "corrupt"));
    REFUSES("npz", "tiny.npz", "PK", "not an .npz");
    for (size_t i = 0; i < size; i++) { /* no damaged byte may crash the reader */
        size_t length = files_hex(npz_hex, bytes);
        bytes[i] ^= 0x55;
        path = files_write(folder, "fuzz.npz", bytes, length);
        if (read_file("npz", path, "y", &array, &error) == 0) nnd_array_free(&array);
    }
    files_remove(folder);
}

static void test_convert(void)
{
    NndArray array = {.type = NND_INT, .rank = 1, .shape = {3}};
    NndError error;
    CU_ASSERT_EQUAL_FATAL(nnd_array_alloc(&array, &error), 0);
    ((int32_t *)array.data)[1] = 255;
    CU_ASSERT_EQUAL(nnd_array_convert(&array, NND_U8, &error), 0);
    CU_ASSERT_EQUAL(((uint8_t *)array.data)[1], 255);
    CU_ASSERT_EQUAL(nnd_array_convert(&array, NND_INT, &error), 0);
    ((int32_t *)array.data)[2] = 256;
    CU_ASSERT(files_says(nnd_array_convert(&array, NND_U8, &error), &error, "element 2|256"));
    CU_ASSERT_EQUAL(nnd_array_convert(&array, NND_REAL, &error), 0);
    CU_ASSERT_EQUAL(((float *)array.data)[2], 256);
    CU_ASSERT(files_says(nnd_array_convert(&array, NND_INT, &error), &error, "real|int"));
    nnd_array_free(&array);
    array = (NndArray){.type = NND_F64, .rank = 2, .shape = {INT64_MAX, 2}};
    CU_ASSERT(files_says(nnd_array_alloc(&array, &error), &error, "too large"));
}

static const UnitTest tests[] = {
    {"idx: element types", test_idx_types},
    {"idx: gzip", test_idx_gzip},
    {"idx: damaged files", test_idx_bad},
    {"idx: damaged gzip", test_idx_bad_gzip},
    {"files that are not there", test_no_file},
    {"npy: written by numpy", test_npy},
    {"npy: written and read", test_npy_write},
    {"npy: damaged files", test_npy_bad},
    {"npz", test_npz},
    {"conversion", test_convert},
};

UNIT_MAIN("runtime: readers", tests)
