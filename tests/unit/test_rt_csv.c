/* test_rt_csv.c -- tables: columns by name, quoting, line ends, what is an int, and the messages
 * about everything that is wrong with a table. */
#include "rt_files.h"

static int read_table(const char *text, const NndSourceOptions *options, NndArray *array,
                      NndError *error)
{
    char folder[64];
    const char *path = files_write(files_folder(folder), "t.csv", text, strlen(text));
    strcpy(error->text, "");
    int failed = nnd_source_read("csv", path, options, array, error);
    files_remove(folder);
    return failed;
}

/* Whether reading gives this type, shape and these values (as many as the shape says). */
static int reads(const char *text, const NndSourceOptions *options, NndType type, int rank,
                 int64_t rows, int64_t columns, const double *values)
{
    NndArray array;
    NndError error;
    if (read_table(text, options, &array, &error)) {
        printf("\n    %s\n", error.text);
        return 0;
    }
    int good = array.type == type && array.rank == rank && array.shape[0] == rows &&
               (rank == 1 || array.shape[1] == columns);
    good = good && nnd_array_convert(&array, NND_F64, &error) == 0;
    for (int64_t i = 0; good && i < rows * columns; i++)
        good = ((double *)array.data)[i] == values[i];
    nnd_array_free(&array);
    return good;
}

static int refuses(const char *text, const NndSourceOptions *options, const char *words)
{
    NndArray array;
    NndError error;
    int failed = read_table(text, options, &array, &error);
    return files_says(failed, &error, words) && strstr(error.text, "t.csv:") != NULL;
}

static void test_plain(void)
{
    static const double values[] = {1, 2.5, 3, -4, 5, 60};
    const NndSourceOptions f64 = {.real = NND_F64};
    CU_ASSERT(reads("a,b,c\n1,2.5,3\n-4,5,6e1\n", &f64, NND_F64, 2, 2, 3, values));
    CU_ASSERT(reads("a,b,c\n1,2.5,3\n-4,5,6e1", NULL, NND_REAL, 2, 2, 3, values));
    CU_ASSERT(reads("a,b,c\r\n1,2.5,3\r\n-4,5,6e1\r\n", &f64, NND_F64, 2, 2, 3, values));
    CU_ASSERT(reads("\xef\xbb\xbf"
                    "a,b,c\n1,2.5,3\n\n-4,5,6e1\n\n",
                    &f64, NND_F64, 2, 2, 3, values));
    CU_ASSERT(reads("\"a\",\"b,\"\"x\",\"c\nd\"\n\"1\", 2.5 ,3\n-4,+5,\"60\"\n", &f64, NND_F64, 2,
                    2, 3, values));
    const NndSourceOptions semicolon = {.real = NND_F64, .separator = ';'};
    CU_ASSERT(reads("a;b;c\n1;2.5;3\n-4;5;60\n", &semicolon, NND_F64, 2, 2, 3, values));
}

static void test_columns(void)
{
    static const char *const ca[] = {"c", "a"}, *const b[] = {"b"}, *const bom[] = {"a"};
    static const double c_a[] = {3, 1, 6, 4}, only_b[] = {2.5, 5}, only_a[] = {1, 4};
    const char *text = "\xef\xbb\xbf"
                       "a, b ,c,name\n1,2.5,3,x\n4,5,6,\"y, z\"\n";
    NndSourceOptions options = {.real = NND_F64, .columns = ca, .column_count = 2};
    CU_ASSERT(reads(text, &options, NND_INT, 2, 2, 2, c_a));
    options = (NndSourceOptions){.real = NND_F64, .columns = b, .column_count = 1};
    CU_ASSERT(reads(text, &options, NND_F64, 1, 2, 1, only_b));
    options.keep_axis = true;
    CU_ASSERT(reads(text, &options, NND_F64, 2, 2, 1, only_b));
    options = (NndSourceOptions){.columns = bom, .column_count = 1};
    CU_ASSERT(reads(text, &options, NND_INT, 1, 2, 1, only_a));
    static const char *const but[] = {"name", "b", "c"};
    options = (NndSourceOptions){.except = but, .except_count = 3};
    CU_ASSERT(reads(text, &options, NND_INT, 2, 2, 1, only_a));
}

static void test_int(void)
{
    static const double edge[] = {INT32_MAX, INT32_MIN}, beyond[] = {2147483648.0, 0};
    const NndSourceOptions f64 = {.real = NND_F64};
    CU_ASSERT(reads("a\n2147483647\n-2147483648\n", &f64, NND_INT, 2, 2, 1, edge));
    CU_ASSERT(reads("a\n2147483648\n0\n", &f64, NND_F64, 2, 2, 1, beyond));
    CU_ASSERT(reads("a\n1.0\n", &f64, NND_F64, 2, 1, 1, (double[]){1}));
}

static void test_bad(void)
{
    CU_ASSERT(refuses("", NULL, "empty"));
    CU_ASSERT(refuses("\n1,2\n", NULL, "t.csv:1|column names"));
    CU_ASSERT(refuses("1,2\n3,4\n", NULL, "t.csv:1|column names|numbers"));
    CU_ASSERT(refuses("a,b\n", NULL, "no rows"));
    CU_ASSERT(refuses("a,b\n1,2\n3\n", NULL, "t.csv:3|\"b\"|missing|1 of 2"));
    CU_ASSERT(refuses("a,b\n1,2\n3,\n", NULL, "t.csv:3|\"b\"|missing"));
    CU_ASSERT(refuses("a,b\n1,2\n3,  \n", NULL, "t.csv:3|\"b\"|missing"));
    CU_ASSERT(refuses("a,b\n1,2,7\n", NULL, "t.csv:2|3 fields|2 columns|\"7\""));
    CU_ASSERT(refuses("a,b\n1,2\n3,x\n", NULL, "t.csv:3|\"b\"|\"x\"|not a finite number"));
    CU_ASSERT(refuses("a,b\n1,nan\n", NULL, "t.csv:2|\"nan\""));
    CU_ASSERT(refuses("a,b\n1,1e999\n", NULL, "t.csv:2|1e999"));
    CU_ASSERT(refuses("a,b\n1,0x10\n", NULL, "t.csv:2|0x10"));
    CU_ASSERT(refuses("a,b\n1,2 3\n", NULL, "t.csv:2|\"b\"|2 3"));
    CU_ASSERT(refuses("a\n1\n\n2\n", NULL, "t.csv:3|\"a\"|missing"));
    CU_ASSERT(refuses("a,b\n1,\"2\n", NULL, "t.csv:2|not closed"));
    CU_ASSERT(refuses("a,b\n1,\"2\"3\n", NULL, "t.csv:2|closing quote"));
    CU_ASSERT(refuses("a,\"b\nc\"\n1,2\nx,3\n", NULL, "t.csv:4|\"a\""));
}

static void test_bad_columns(void)
{
    static const char *const name[] = {"alcohl"}, *const other[] = {"zzzzzzzzzz"},
                             *const twice[] = {"b"};
    const NndSourceOptions misspelt = {.columns = name, .column_count = 1};
    const NndSourceOptions unknown = {.except = other, .except_count = 1};
    const NndSourceOptions doubled = {.columns = twice, .column_count = 1};
    const NndSourceOptions all = {.except = twice, .except_count = 1};
    const NndSourceOptions none = {.columns = twice, .column_count = 0};
    CU_ASSERT(refuses("ash,alcohol\n1,2\n", &misspelt, "\"alcohl\"|did you mean \"alcohol\""));
    CU_ASSERT(refuses("ash,alcohol\n1,2\n", &unknown, "\"zzzzzzzzzz\"|are ash, alcohol"));
    char wide[600] = "column0";
    for (int i = 1; i < 50; i++)
        snprintf(wide + strlen(wide), sizeof wide - strlen(wide), ",column%d", i);
    CU_ASSERT(refuses(wide, &unknown, "are column0, column1,|column19, ..."));
    CU_ASSERT(refuses("a,b,b\n1,2,3\n", &doubled, "\"b\"|2 times"));
    CU_ASSERT(refuses("ash;alcohol\n1;2\n", &misspelt, "semicolons"));
    CU_ASSERT(refuses("b\n1\n", &all, "no column is left"));
    CU_ASSERT(refuses("b\n1\n", &none, "no column is left"));
    NndArray array;
    NndError error;
    char folder[64];
    const char *path = files_write(files_folder(folder), "z.csv", "a,b\n1,\0,3\n", 11);
    CU_ASSERT(
        files_says(nnd_source_read("csv", path, NULL, &array, &error), &error, "z.csv:2|NUL"));
    files_remove(folder);
}

static void test_large(void)
{
    enum { ROWS = 20000 };
    char folder[64], *text = malloc(ROWS * 16 + 8), *at = text;
    NndArray array;
    NndError error;
    at += sprintf(at, "a,b\r\n");
    for (int i = 0; i < ROWS; i++)
        at += sprintf(at, "%d,\"%d\"\r\n", i, -i);
    const char *path = files_write_gz(files_folder(folder), "t.gz", text, (size_t)(at - text));
    CU_ASSERT_EQUAL_FATAL(nnd_source_read("csv", path, NULL, &array, &error), 0);
    CU_ASSERT_EQUAL(array.shape[0], ROWS);
    int bad = 0;
    for (int i = 0; i < ROWS; i++) {
        const int32_t *row = (int32_t *)array.data + 2 * (size_t)i;
        bad += row[0] != i || row[1] != -i;
    }
    CU_ASSERT_EQUAL(bad, 0);
    nnd_array_free(&array);
    free(text);
    files_remove(folder);
}

static const UnitTest tests[] = {
    {"plain tables", test_plain},      {"columns by name", test_columns},
    {"what is an int", test_int},      {"bad fields", test_bad},
    {"bad columns", test_bad_columns}, {"across buffers, compressed", test_large},
};

UNIT_MAIN("runtime: csv", tests)
