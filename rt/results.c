/* results.c -- reports that are more than a number, as files of the run folder: matrices, curves
 * and bars as .csv, pictures as .png, letters as .txt, values of every example and everything else
 * as .npy. Each appears whole or not at all. SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>

/* A table with a line of names: those of the drawing, or numbers. */
static int csv_write(const char *path, NndDrawing drawing, const NndArray *array, NndError *error)
{
    static const char *const heads[] = {[NND_CURVE] = "x,y\n", [NND_BARS] = "middle,count\n"};
    int64_t columns = array->rank > 1 ? array->shape[1] : 1;
    bool matrix = drawing == NND_MATRIX;
    NndFile file;
    if (nnd_file_create(&file, path, error)) return 1;
    if (drawing == NND_CURVE || drawing == NND_BARS) {
        nnd_file_print(&file, "%s", heads[drawing]);
    } else {
        if (matrix) nnd_file_print(&file, "label,");
        for (int64_t k = 0; k < columns; k++)
            nnd_file_print(&file, "%s%lld%s", matrix ? "said " : "c", (long long)k,
                           k + 1 < columns ? "," : "\n");
    }
    for (int64_t i = 0; i < array->shape[0]; i++) {
        if (matrix) nnd_file_print(&file, "%lld,", (long long)i);
        for (int64_t k = 0; k < columns; k++)
            nnd_file_print(&file, "%.9g%s", nnd_array_value(array, i * columns + k),
                           k + 1 < columns ? "," : "\n");
    }
    return nnd_file_commit(&file, error);
}

bool nnd_report_many(const NndTrainInfo *train, int report)
{
    const NndPort *port = &train->report->finish->outputs[report];
    return port->batched || train->reports[report].first;
}

static int png_write(const char *path, const NndArray *array, bool many, NndError *error)
{
    unsigned char *png;
    size_t size = 0;
    NndFile file;
    if (nnd_png_sheet(array, many, &png, &size, error)) return 1;
    int failed = nnd_file_create(&file, path, error);
    if (!failed) {
        nnd_file_write(&file, png, size);
        failed = nnd_file_commit(&file, error);
    }
    free(png);
    return failed;
}

char *nnd_letters(const NndArray *array, NndError *error)
{
    int64_t count = nnd_array_size(array), places = array->shape[array->rank - 1];
    char *text = malloc(2 * (size_t)count + 1), *to = text;
    if (text == NULL) {
        nnd_error(error, "out of memory");
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        double code = nnd_array_value(array, i);
        bool shown = code == '\n' || code == '\t' || (code >= ' ' && code < 256);
        *to++ = shown ? (char)(unsigned char)code : '?';
        if ((i + 1) % places == 0) *to++ = '\n';
    }
    *to = 0;
    return text;
}

static int letters_write(const char *path, const NndArray *array, NndError *error)
{
    NndFile file;
    char *text = nnd_letters(array, error);
    if (text == NULL) return 1;
    int failed = nnd_file_create(&file, path, error);
    if (!failed) {
        nnd_file_write(&file, text, strlen(text));
        failed = nnd_file_commit(&file, error);
    }
    free(text);
    return failed;
}

const char *nnd_result_kind(const NndTrainInfo *train, int report, const NndArray *array)
{
    NndDrawing drawing = train->reports[report].drawing;
    if (array->rank == 0) return NULL;
    if (drawing == NND_IMAGE) return "png";
    if (drawing == NND_TEXT) return "txt";
    bool table = array->rank <= 2 && !nnd_report_many(train, report);
    return drawing != NND_PLAIN || table ? "csv" : "npy";
}

int nnd_results_write(NndSession *session, const NndTrainInfo *train, const char *folder,
                      const NndArray *arrays)
{
    int failed = 0;
    NndError *error = &session->error;
    for (int i = 0; i < train->report_count && !failed; i++) {
        char name[400];
        const NndArray *array = &arrays[i];
        const char *kind = nnd_result_kind(train, i, array);
        if (kind == NULL || nnd_array_size(array) == 0) continue;
        snprintf(name, sizeof name, "%s.%s.%s", train->name, train->report->finish->outputs[i].name,
                 kind);
        char *path = nnd_path_join(folder, name);
        if (path == NULL) return nnd_error(error, "out of memory");
        failed = strcmp(kind, "png") == 0 ? png_write(path, array, nnd_report_many(train, i), error)
                 : strcmp(kind, "txt") == 0 ? letters_write(path, array, error)
                 : strcmp(kind, "csv") == 0
                     ? csv_write(path, train->reports[i].drawing, array, error)
                     : nnd_npy_write(path, array, error);
        free(path);
    }
    return failed;
}
