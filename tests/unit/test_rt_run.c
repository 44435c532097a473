/* test_rt_run.c -- what goes with a run: the log and its resumption, the progress lines, the flag
 * of Ctrl-C, the clock. */
#include "rt_files.h"

#include <signal.h>

static const char *const names[] = {"loss", "a,\"b\""};

static int log_is(const char *path, const char *wanted)
{
    size_t size = 0;
    char *text = (char *)files_read(path, &size);
    int good = text != NULL && size == strlen(wanted) && memcmp(text, wanted, size) == 0;
    if (!good) printf("\n    log: %.*s\n", (int)size, text);
    free(text);
    return good;
}

static void test_log(void)
{
    char folder[64], path[100];
    NndLog log;
    NndError error;
    double values[2] = {0.5, (double)NAN};
    snprintf(path, sizeof path, "%s/log.csv", files_folder(folder));
    CU_ASSERT_EQUAL_FATAL(nnd_log_open(&log, path, names, 2, 0, &error), 0);
    for (int64_t epoch = 0; epoch < 4; epoch++) {
        values[0] /= 2;
        CU_ASSERT_EQUAL(nnd_log_row(&log, epoch, 10 * epoch, "test", values, &error), 0);
    }
    CU_ASSERT(log_is(path,
                     "epoch,step,name,loss,\"a,\"\"b\"\"\"\n0,0,test,0.25,\n1,10,test,0.125,\n"
                     "2,20,test,0.0625,\n3,30,test,0.03125,\n")); /* flushed before closing */
    CU_ASSERT_EQUAL(log.rows, 4);
    CU_ASSERT_EQUAL(nnd_log_close(&log, &error), 0);
    values[1] = 3;
    CU_ASSERT_EQUAL_FATAL(nnd_log_open(&log, path, names, 2, 2, &error), 0); /* resume */
    CU_ASSERT_EQUAL(log.rows, 2);
    CU_ASSERT_EQUAL(nnd_log_row(&log, 2, 20, "test", values, &error), 0);
    CU_ASSERT_EQUAL(nnd_log_close(&log, &error), 0);
    CU_ASSERT(log_is(path,
                     "epoch,step,name,loss,\"a,\"\"b\"\"\"\n0,0,test,0.25,\n1,10,test,0.125,\n"
                     "2,20,test,0.03125,3\n"));
    files_write(folder, "log.csv", "epoch,step,name\n0,0,t,1\n1,1,t,", 30); /* a row cut off */
    CU_ASSERT_EQUAL_FATAL(nnd_log_open(&log, path, NULL, 0, 5, &error), 0);
    CU_ASSERT_EQUAL(log.rows, 1);
    CU_ASSERT_EQUAL(nnd_log_close(&log, &error), 0);
    CU_ASSERT(log_is(path, "epoch,step,name\n0,0,t,1\n"));
    snprintf(path, sizeof path, "%s/log.csv/log.csv", folder);
    CU_ASSERT(
        files_says(nnd_log_open(&log, path, names, 2, 0, &error), &error, "cannot be written"));
    files_remove(folder);
}

static void test_progress(void)
{
    char text[400] = "";
    const double values[] = {0.981, 2};
    NndProgress progress;
    FILE *out = tmpfile();
    nnd_progress_start(&progress, out, false, 20, 3, 2, 0);
    nnd_progress_batch(&progress, 2, 0, 128, 0.5);
    nnd_progress_batch(&progress, 2, 1, 128, 0.25);
    nnd_progress_batch(&progress, 2, 2, 64, 1.0);
    CU_ASSERT(fabs(nnd_progress_loss(&progress) - 0.5) < 1e-12);
    CU_ASSERT_EQUAL(ftell(out), 0); /* not a terminal: nothing before the epoch ends */
    nnd_progress_epoch(&progress, 2, -1, names, values, 2);
    nnd_progress_stop(&progress);
    rewind(out);
    CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof text, out));
    CU_ASSERT(strstr(text, "epoch 3/20  loss 0.5  loss 0.981  a,\"b\" 2  ") == text);
    CU_ASSERT(strstr(text, " examples/s  ") != NULL && strstr(text, " s\n") != NULL);
    CU_ASSERT_PTR_NULL(fgets(text, sizeof text, out));
    fclose(out);
    out = tmpfile();
    nnd_progress_start(&progress, out, true, 20, 3, 0, 0);
    nnd_progress_batch(&progress, 0, 0, 128, 0.5);
    nnd_progress_epoch(&progress, 0, -1, names, values, 2);
    nnd_progress_stop(&progress);
    CU_ASSERT_EQUAL(ftell(out), 0);
    progress.quiet = false; /* as on a terminal */
    progress.terminal = true;
    progress.shown = progress.start - 10;
    nnd_progress_batch(&progress, 1, 0, 1234567, 0.5);
    nnd_progress_batch(&progress, 1, 1, 1, 0.5); /* too soon to be shown */
    rewind(out);
    text[fread(text, 1, sizeof text - 1, out)] = 0;
    CU_ASSERT(strncmp(text, "\r\033[Kepoch 2/20  loss 0.5  ", 26) == 0);
    CU_ASSERT(strstr(text, " examples/s  ") != NULL && strstr(text, " left") != NULL);
    CU_ASSERT_PTR_NULL(strstr(text + 1, "\r"));
    CU_ASSERT_PTR_NULL(strchr(text, '\n'));
    fclose(out);
    out = tmpfile(); /* without data steps are counted */
    nnd_progress_start(&progress, out, false, 20, 1, 0, 0);
    nnd_progress_batch(&progress, 4, 0, 0, 0.5);
    nnd_progress_epoch(&progress, 4, -1, names, values, 0);
    rewind(out);
    CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof text, out));
    CU_ASSERT(strncmp(text, "step 5/20  loss 0.5  ", 21) == 0);
    CU_ASSERT_PTR_NULL(strstr(text, "examples"));
    fclose(out);
}

static void test_stop(void)
{
    nnd_stop_watch();
    CU_ASSERT(!nnd_stop_requested());
    raise(SIGINT);
    CU_ASSERT(nnd_stop_requested());
    nnd_stop_clear();
    CU_ASSERT(!nnd_stop_requested());
    nnd_stop_watch();
    raise(SIGTERM);
    CU_ASSERT(nnd_stop_requested());
    struct sigaction now; /* the second one would end the program */
    sigaction(SIGTERM, NULL, &now);
    CU_ASSERT_PTR_EQUAL(now.sa_handler, SIG_DFL);
    nnd_stop_clear();
}

static void test_machine(void)
{
    double before = nnd_clock();
    CU_ASSERT(nnd_clock() >= before);
    for (size_t size = 0; size < 1000; size += 100) {
        void *memory = nnd_alloc(size);
        CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
        CU_ASSERT_EQUAL((uintptr_t)memory % 128, 0);
        memset(memory, 1, size);
        nnd_free(memory);
    }
    CU_ASSERT_PTR_NULL(nnd_alloc(SIZE_MAX - 10));
}

static const UnitTest tests[] = {
    {"log", test_log},
    {"progress", test_progress},
    {"ctrl-c", test_stop},
    {"clock, memory", test_machine},
};

UNIT_MAIN("runtime: runs", tests)
