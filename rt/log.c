/* log.c -- log.csv: a header line, then a row per report, each flushed when it is written. A
 * resumed training keeps as many rows as its checkpoint counted and goes on behind them, so no row
 * stands twice. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void log_field(NndFile *file, const char *text)
{
    if (strpbrk(text, ",\"\n") == NULL) {
        nnd_file_write(file, text, strlen(text));
        return;
    }
    nnd_file_write(file, "\"", 1);
    for (const char *c = text; *c != 0; c++)
        nnd_file_write(file, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    nnd_file_write(file, "\"", 1);
}

/* Copies the first `rows` complete rows behind the header of the old file. */
static int log_keep(NndFile *file, const char *path, int64_t rows, int64_t *kept, NndError *error)
{
    NndStream *stream;
    size_t got = 0;
    *kept = 0;
    if (nnd_stream_open_part(&stream, path, 0, -1, false, error)) return 1;
    size_t size = (size_t)nnd_stream_bound(stream);
    char *text = malloc(size + 1);
    int failed = text == NULL ? nnd_error(error, "%s: out of memory", path)
                              : nnd_stream_read(stream, text, size, &got, error);
    nnd_stream_close(stream);
    const char *end = text == NULL ? NULL : text + got;
    const char *row = text == NULL ? NULL : memchr(text, '\n', got);
    while (!failed && row != NULL && *kept < rows) {
        const char *next = memchr(row + 1, '\n', (size_t)(end - row - 1));
        if (next == NULL) break;
        nnd_file_write(file, row + 1, (size_t)(next - row));
        ++*kept;
        row = next;
    }
    free(text);
    return failed;
}

int nnd_log_open(NndLog *log, const char *path, const char *const *names, int count,
                 int64_t keep_rows, NndError *error)
{
    NndFile file;
    *log = (NndLog){.count = count};
    if (nnd_file_create(&file, path, error)) return 1;
    nnd_file_write(&file, "epoch,step,name", 15);
    for (int i = 0; i < count; i++) {
        nnd_file_write(&file, ",", 1);
        log_field(&file, names[i]);
    }
    nnd_file_write(&file, "\n", 1);
    if (keep_rows > 0 && access(path, F_OK) == 0 &&
        log_keep(&file, path, keep_rows, &log->rows, error)) {
        nnd_file_abandon(&file);
        return 1;
    }
    if (nnd_file_commit(&file, error)) return 1;
    log->path = malloc(strlen(path) + 1);
    if (log->path == NULL) return nnd_error(error, "%s: out of memory", path);
    strcpy(log->path, path);
    log->file = fopen(path, "a");
    if (log->file != NULL) return 0;
    nnd_error(error, "%s: cannot be written: %s", path, strerror(errno));
    free(log->path);
    log->path = NULL;
    return 1;
}

int nnd_log_row(NndLog *log, int64_t epoch, int64_t step, const char *name, const double *values,
                NndError *error)
{
    errno = 0;
    fprintf(log->file, "%lld,%lld,%s", (long long)epoch, (long long)step, name);
    for (int i = 0; i < log->count; i++) {
        if (isnan(values[i]))
            fputc(',', log->file);
        else
            fprintf(log->file, ",%.9g", values[i]);
    }
    fputc('\n', log->file);
    if (fflush(log->file) != 0 || ferror(log->file))
        return nnd_error(error, "%s: cannot be written: %s", log->path, strerror(errno));
    log->rows++;
    return 0;
}

int nnd_log_close(NndLog *log, NndError *error)
{
    int failed = 0;
    if (log->file != NULL && fclose(log->file) != 0)
        failed = nnd_error(error, "%s: cannot be written: %s", log->path, strerror(errno));
    free(log->path);
    *log = (NndLog){.file = NULL};
    return failed;
}
