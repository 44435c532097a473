/* test_rt_checkpoint.c -- safetensors files: written and read back, refused when damaged or of
 * another model, and never half written. */
#include "rt_files.h"

#include <signal.h>
#include <sys/resource.h>

enum { TENSORS = 4 };

static void tensors_make(NndTensor tensors[TENSORS])
{
    static const char *const names[] = {"M.flag", "M.dense1.w", "M.count", "N.\"odd\"\n\xc3\xa9"};
    static const NndType types[] = {NND_BOOL, NND_REAL, NND_INT, NND_F64};
    NndError error;
    for (int i = 0; i < TENSORS; i++) {
        NndTensor *t = &tensors[i];
        *t = (NndTensor){names[i], {.type = types[i], .rank = i, .shape = {3, 5, 2}}};
        if (nnd_array_alloc(&t->array, &error)) abort();
        size_t bytes = (size_t)nnd_array_size(&t->array) * nnd_type_size(t->array.type);
        for (size_t b = 0; b < bytes; b++)
            ((unsigned char *)t->array.data)[b] = (unsigned char)(i == 0 ? 1 : b * 37 + 1);
    }
}

static void tensors_free(NndTensor tensors[TENSORS])
{
    for (int i = 0; i < TENSORS; i++)
        nnd_array_free(&tensors[i].array);
}

/* Writes a checkpoint of tensors_make into the folder and returns its path. */
static const char *checkpoint_make(const char *folder, char path[100])
{
    NndTensor tensors[TENSORS];
    NndState state = {.keys = NULL};
    NndError error;
    snprintf(path, 100, "%s/c.safetensors", folder);
    tensors_make(tensors);
    CU_ASSERT_EQUAL(nnd_state_set_int(&state, "step", 1234567890123, &error), 0);
    CU_ASSERT_EQUAL(nnd_state_set_real(&state, "best", 0.1, &error), 0);
    CU_ASSERT_EQUAL(nnd_state_set(&state, "program", "a \"b\" \\ \t", &error), 0);
    CU_ASSERT_EQUAL(nnd_state_set_int(&state, "step", -7, &error), 0);
    CU_ASSERT_EQUAL_FATAL(nnd_checkpoint_write(path, tensors, TENSORS, &state, &error), 0);
    nnd_state_free(&state);
    tensors_free(tensors);
    return path;
}

static void test_round_trip(void)
{
    char folder[64], path[100];
    NndTensor wanted[TENSORS], tensors[TENSORS];
    NndState state = {.keys = NULL};
    NndError error;
    int64_t step;
    double best;
    checkpoint_make(files_folder(folder), path);
    tensors_make(wanted);
    tensors_make(tensors);
    for (int i = 0; i < TENSORS; i++)
        memset(tensors[i].array.data, 0,
               (size_t)nnd_array_size(&tensors[i].array) * nnd_type_size(tensors[i].array.type));
    CU_ASSERT_EQUAL_FATAL(nnd_checkpoint_read(path, tensors, TENSORS, &state, &error), 0);
    for (int i = 0; i < TENSORS; i++)
        CU_ASSERT_EQUAL(
            memcmp(tensors[i].array.data, wanted[i].array.data,
                   (size_t)nnd_array_size(&wanted[i].array) * nnd_type_size(wanted[i].array.type)),
            0);
    CU_ASSERT(nnd_state_get_int(&state, "step", &step, &error) == 0 && step == -7);
    CU_ASSERT(nnd_state_get_real(&state, "best", &best, &error) == 0 && best == 0.1);
    CU_ASSERT_STRING_EQUAL(nnd_state_get(&state, "program"), "a \"b\" \\ \t");
    CU_ASSERT(files_says(nnd_state_get_int(&state, "epoch", &step, &error), &error, "no entry"));
    CU_ASSERT(files_says(nnd_state_get_int(&state, "program", &step, &error), &error, "no number"));
    CU_ASSERT_EQUAL(nnd_checkpoint_state(path, &state, &error), 0);
    CU_ASSERT_EQUAL(state.count, 3);
    CU_ASSERT_EQUAL(files_count(folder), 1);
    nnd_state_free(&state);
    tensors_free(wanted);
    tensors_free(tensors);
    files_remove(folder);
}

/* The layout of the format, by its definition: length, JSON, data; data aligned and without gaps.
 */
static void test_format(void)
{
    char folder[64], path[100];
    NndStHeader header;
    NndError error;
    size_t size = 0;
    checkpoint_make(files_folder(folder), path);
    unsigned char *bytes = files_read(path, &size);
    uint64_t length = bytes[0] | (uint64_t)bytes[1] << 8;
    CU_ASSERT_EQUAL((8 + length) % 64, 0);
    CU_ASSERT_EQUAL(size, 8 + length + 3 * 5 * 2 * 8 + 3 * 5 * 4 + 3 * 4 + 1);
    CU_ASSERT_EQUAL(bytes[8], '{');
    CU_ASSERT_EQUAL_FATAL(nnd_st_header_read(path, &header, &error), 0);
    for (int i = 0; i < header.count; i++)
        CU_ASSERT_EQUAL(header.entries[i].begin % (int64_t)nnd_code_size(header.entries[i].code),
                        0);
    CU_ASSERT_EQUAL(nnd_st_find(&header, "M.dense1.w")->code, NND_CODE_F32);
    nnd_st_header_free(&header);
    free(bytes);
    files_remove(folder);
}

static void test_other_model(void)
{
    char folder[64], path[100];
    NndTensor tensors[TENSORS];
    NndState state = {.keys = NULL};
    NndError error;
    checkpoint_make(files_folder(folder), path);
    tensors_make(tensors);
    memset(tensors[1].array.data, 9, 4);
    tensors[3].name = "N.other";
    CU_ASSERT(files_says(nnd_checkpoint_read(path, tensors, TENSORS, &state, &error), &error,
                         "another model|no tensor \"N.other\"|f64[3, 5, 2]"));
    CU_ASSERT(files_says(nnd_checkpoint_read(path, tensors, TENSORS - 1, &state, &error), &error,
                         "another model|has a tensor \"N.|[3, 5, 2]"));
    tensors_free(tensors);
    tensors_make(tensors);
    tensors[2].array.shape[0] = 4;
    CU_ASSERT(files_says(nnd_checkpoint_read(path, tensors, TENSORS, &state, &error), &error,
                         "another model|\"M.count\"|[3, 5]|[4, 5]"));
    tensors[2].array.shape[0] = 3;
    tensors[1].array.type = NND_INT;
    CU_ASSERT(files_says(nnd_checkpoint_read(path, tensors, TENSORS, &state, &error), &error,
                         "another model|\"M.dense1.w\"|I32"));
    tensors[1].array.type = NND_REAL;
    unsigned char *first = tensors[1].array.data;
    CU_ASSERT_EQUAL(first[1], 38); /* nothing was changed by the refusals */
    CU_ASSERT_PTR_NULL(state.keys);
    CU_ASSERT(files_says(nnd_checkpoint_read("/nowhere/c", tensors, TENSORS, NULL, &error), &error,
                         "/nowhere/c|No such file"));
    CU_ASSERT_EQUAL(nnd_checkpoint_load(path, "M.", tensors, 3, &error), 0);
    tensors[0].name = "M.new";
    CU_ASSERT(files_says(nnd_checkpoint_load(path, "M.", tensors, 3, &error), &error, "\"M.new\""));
    CU_ASSERT_EQUAL(nnd_checkpoint_load(path, "N.", tensors, TENSORS, &error), 0);
    tensors_free(tensors);
    files_remove(folder);
}

/* Reading a file with this header and so many bytes of data must fail with the words. */
static int refuses(const char *json, size_t data, const char *words)
{
    char folder[64];
    unsigned char bytes[1000] = {0};
    NndStHeader header;
    NndError error;
    size_t length = strlen(json);
    bytes[0] = (unsigned char)length;
    bytes[1] = (unsigned char)(length >> 8);
    memcpy(bytes + 8, json, length);
    const char *path =
        files_write(files_folder(folder), "bad.safetensors", bytes, 8 + length + data);
    int failed = nnd_st_header_read(path, &header, &error);
    if (!failed) nnd_st_header_free(&header);
    files_remove(folder);
    return files_says(failed, &error, words) && strstr(error.text, "bad.safetensors") != NULL;
}

#define F32(name, shape, begin, end)                                                               \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void test_bad_headers(void)
{
    CU_ASSERT(refuses("{" F32("a", "[2]", "0", "8") "}", 7, "truncated|\"a\"|7"));
    CU_ASSERT(refuses("{" F32("a", "[2]", "0", "8") "}", 9, "1 bytes follow"));
    CU_ASSERT(refuses("{" F32("a", "[3]", "0", "8") "}", 8, "\"a\"|shape"));
    CU_ASSERT(refuses("{" F32("a", "[2]", "8", "0") "}", 8, "\"a\""));
    CU_ASSERT(refuses("{" F32("a", "[2]", "0", "8") "," F32("b", "[2]", "4", "12") "}", 12,
                      "\"b\"|begins at byte 4"));
    CU_ASSERT(refuses("{" F32("a", "[2]", "0", "8") "," F32("b", "[2]", "12", "20") "}", 20,
                      "\"b\"|begins at byte 12"));
    CU_ASSERT(refuses("{" F32("a", "[1]", "0", "4") "," F32("a", "[1]", "4", "8") "}", 8, "twice"));
    CU_ASSERT(refuses("{" F32("a", "[4294967296,4294967296]", "0", "8") "}", 8, "shape"));
    CU_ASSERT(refuses("{" F32("a", "[-1]", "0", "8") "}", 8, "integer"));
    CU_ASSERT(refuses("{" F32("a", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "longer than 8"));
    CU_ASSERT(refuses("{" F32("a", "[99999999999999999999]", "0", "4") "}", 4, "63 bits"));
    CU_ASSERT(
        refuses("{\"a\":{\"dtype\":\"F8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "\"F8\""));
    CU_ASSERT(refuses("{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, "lacks"));
    CU_ASSERT(refuses("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0]}}", 1, "two"));
    CU_ASSERT(refuses("{\"a\":{\"dtype\":\"U8\",\"x\":3}}", 1, "unknown"));
    CU_ASSERT(refuses("{\"__metadata__\":{\"a\":1}}", 0, "a string"));
    CU_ASSERT(refuses("{\"__metadata__\":{\"a\":\"1\"}", 0, "','"));
    CU_ASSERT(refuses("{\"__metadata__\":{\"a\":\"\\ud800\"}}", 0, "character"));
    CU_ASSERT(refuses("{\"__metadata__\":{\"a\":\"\\u00g0\"}}", 0, "character"));
    CU_ASSERT(refuses("{\"a", 0, "end of a string"));
    CU_ASSERT(refuses("{} x", 0, "the end"));
    CU_ASSERT(refuses("[]", 0, "'{'"));
    CU_ASSERT(refuses("{}", 5, "5 bytes follow"));
    CU_ASSERT(refuses("", 0, "not a safetensors"));
    char folder[64];
    NndStHeader header;
    NndError error;
    const char *path =
        files_write(files_folder(folder), "l", "\377\377\377\377\377\377\377\177{}", 10);
    CU_ASSERT(files_says(nnd_st_header_read(path, &header, &error), &error, "length|10 bytes"));
    path = files_write(folder, "e", "", 0);
    CU_ASSERT(files_says(nnd_st_header_read(path, &header, &error), &error, "not a safetensors"));
    files_remove(folder);
}

/* Any byte may be damaged, any tail lost: an error or another content, never a crash. */
static void test_fuzz(void)
{
    char folder[64], path[100], other[100];
    NndError error;
    NndTensor tensors[TENSORS];
    size_t size = 0;
    int accepted = 0;
    checkpoint_make(files_folder(folder), path);
    unsigned char *bytes = files_read(path, &size);
    tensors_make(tensors);
    snprintf(other, sizeof other, "%s/fuzz", folder);
    for (size_t cut = 0; cut < size; cut += 3) {
        files_write(folder, "fuzz", bytes, cut);
        accepted += nnd_checkpoint_read(other, tensors, TENSORS, NULL, &error) == 0;
    }
    CU_ASSERT_EQUAL(accepted, 0);
    for (uint32_t i = 0; i < 3000; i++) {
        NndBits bits = nnd_bits(1, 2, 3, i);
        size_t at = bits.word[0] % 700;
        unsigned char kept = bytes[at];
        uint32_t draw = bits.word[1] / 3;
        bytes[at] = (unsigned char)(bits.word[1] % 3 == 0 ? "{}[]\",:\\u0"[draw % 10]
                                                          : (int)(draw & 255));
        files_write(folder, "fuzz", bytes, size);
        NndState state = {.keys = NULL};
        (void)nnd_checkpoint_read(other, tensors, TENSORS, &state, &error);
        nnd_state_free(&state);
        bytes[at] = kept;
    }
    tensors_free(tensors);
    free(bytes);
    files_remove(folder);
}

/* A disk that is full, by a limit on the size of files. */
static void test_full_disk(void)
{
    char folder[64], path[100];
    struct rlimit old, limit;
    NndTensor tensors[TENSORS], large = {"L.w", {.type = NND_REAL, .rank = 1, .shape = {100000}}};
    NndState state = {.keys = NULL};
    NndError error;
    checkpoint_make(files_folder(folder), path);
    CU_ASSERT_EQUAL_FATAL(nnd_array_alloc(&large.array, &error), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old;
    limit.rlim_cur = 65536;
    setrlimit(RLIMIT_FSIZE, &limit);
    int failed = nnd_checkpoint_write(path, &large, 1, NULL, &error);
    setrlimit(RLIMIT_FSIZE, &old);
    CU_ASSERT(files_says(failed, &error, "c.safetensors|cannot be written|disk full|kept"));
    CU_ASSERT_EQUAL(files_count(folder), 1);
    tensors_make(tensors);
    CU_ASSERT_EQUAL(nnd_checkpoint_read(path, tensors, TENSORS, &state, &error), 0);
    nnd_state_free(&state);
    tensors_free(tensors);
    nnd_array_free(&large.array);
    files_remove(folder);
}

static void test_unwritable(void)
{
    char folder[64], path[200];
    NndTensor tensors[TENSORS];
    NndError error;
    tensors_make(tensors);
    files_write(files_folder(folder), "file", "x", 1);
    snprintf(path, sizeof path, "%s/file/c.safetensors", folder);
    CU_ASSERT(files_says(nnd_checkpoint_write(path, tensors, TENSORS, NULL, &error), &error,
                         "file/c.safetensors|cannot be written|Not a directory"));
    snprintf(path, sizeof path, "%s/none/c.safetensors", folder);
    CU_ASSERT(files_says(nnd_checkpoint_write(path, tensors, TENSORS, NULL, &error), &error,
                         "No such file|folder"));
    snprintf(path, sizeof path, "%s/run", folder);
    CU_ASSERT_EQUAL(nnd_folder_make(path, &error), 0);
    CU_ASSERT_EQUAL(nnd_folder_make(path, &error), 0);
    /* a folder stands where the file should: the renaming fails, nothing is left behind */
    CU_ASSERT(
        files_says(nnd_checkpoint_write(path, tensors, TENSORS, NULL, &error), &error, "run"));
    CU_ASSERT_EQUAL(files_count(folder), 2);
    snprintf(path, sizeof path, "%s/file", folder);
    CU_ASSERT(files_says(nnd_folder_make(path, &error), &error, "a file stands in its place"));
    snprintf(path, sizeof path, "%s/file/run", folder);
    CU_ASSERT(files_says(nnd_folder_make(path, &error), &error, "cannot be made"));
    tensors_free(tensors);
    files_remove(folder);
}

static void test_source(void)
{
    char folder[64], path[100];
    NndArray array;
    NndError error;
    NndSourceOptions options = {.tensor = "M.dense1.w", .real = NND_F64};
    checkpoint_make(files_folder(folder), path);
    CU_ASSERT_EQUAL(nnd_source_shape("safetensors", path, &options, &array, &error), 0);
    CU_ASSERT(array.type == NND_F64 && array.rank == 1 && array.shape[0] == 3);
    CU_ASSERT_EQUAL_FATAL(nnd_source_read("safetensors", path, &options, &array, &error), 0);
    NndTensor tensors[TENSORS];
    tensors_make(tensors);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(((double *)array.data)[i], (double)((float *)tensors[1].array.data)[i]);
    tensors_free(tensors);
    nnd_array_free(&array);
    options.tensor = "M.dense2.w";
    CU_ASSERT(files_says(nnd_source_read("safetensors", path, &options, &array, &error), &error,
                         "M.dense2.w|holds 4"));
    options.tensor = NULL;
    CU_ASSERT(files_says(nnd_source_read("safetensors", path, &options, &array, &error), &error,
                         "name one"));
    files_remove(folder);
}

static const UnitTest tests[] = {
    {"written and read", test_round_trip},
    {"the format", test_format},
    {"checkpoints of another model", test_other_model},
    {"damaged headers", test_bad_headers},
    {"random damage", test_fuzz},
    {"a full disk", test_full_disk},
    {"folders that cannot be written", test_unwritable},
    {"safetensors as a source", test_source},
};

UNIT_MAIN("runtime: checkpoints", tests)
