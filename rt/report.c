/* report.c -- the reports of a train block: their values over a split, printed, and compared with
 * what the program expects of them. SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>

enum { REPORT_PRINTED = 1000 }; /* numbers of a report that are printed */

int nnd_report(NndSession *session, const NndTrainInfo *train, int split, int64_t step,
               int64_t epoch, NndArray **arrays)
{
    const NndEntry *finish = train->report->finish;
    int failed = 0, set = train->set_count > 0 ? train->sets[0] : -1;
    *arrays = calloc((size_t)finish->output_count + 1, sizeof **arrays);
    if (*arrays == NULL) return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < finish->output_count && !failed; i++) {
        int64_t n = set < 0 ? 1 : session->sets[set].splits[split].count;
        failed = nnd_port_alloc(&finish->outputs[i], n, &(*arrays)[i], &session->error);
    }
    NndCall call = {.seed = session->seed, .step = step, .epoch = epoch};
    if (!failed) failed = nnd_stream_run(session, train->report, set, split, &call, *arrays);
    for (int i = 0; i < train->report_count && !failed && set >= 0; i++)
        if (train->reports[i].first && call.total < (*arrays)[i].shape[0])
            (*arrays)[i].shape[0] = call.total;
    return failed;
}

void nnd_report_free(const NndTrainInfo *train, NndArray *arrays)
{
    for (int i = 0; arrays != NULL && i < train->report->finish->output_count; i++)
        nnd_array_free(&arrays[i]);
    free(arrays);
}

static void number_print(const NndArray *array, int64_t i, bool json, FILE *out)
{
    double value = nnd_array_value(array, i);
    if (json && !isfinite(value))
        fprintf(out, "null");
    else if (array->type == NND_REAL || array->type == NND_F64)
        fprintf(out, "%.*g", array->type == NND_F64 ? 17 : json ? 9 : 7, value);
    else if (json && array->type == NND_BOOL)
        fprintf(out, value != 0 ? "true" : "false");
    else
        fprintf(out, "%.0f", value);
}

static int64_t json_print(const NndArray *array, int axis, int64_t at, FILE *out)
{
    if (axis == array->rank) {
        number_print(array, at, true, out);
        return at + 1;
    }
    fputc('[', out);
    for (int64_t i = 0; i < array->shape[axis]; i++) {
        if (i > 0) fprintf(out, ", ");
        at = json_print(array, axis + 1, at, out);
    }
    fputc(']', out);
    return at;
}

void nnd_array_print(const NndArray *array, bool json, FILE *out)
{
    if (json) {
        json_print(array, 0, 0, out);
        return;
    }
    int64_t count = nnd_array_size(array);
    int64_t row = array->rank > 1 ? array->shape[array->rank - 1] : 1;
    for (int64_t i = 0; i < count; i++) {
        number_print(array, i, false, out);
        fputc((i + 1) % row == 0 ? '\n' : ' ', out);
    }
}

void nnd_report_tables(const NndTrainInfo *train, const NndArray *arrays, FILE *out)
{
    for (int i = 0; i < train->report_count; i++) {
        const char *name = train->report->finish->outputs[i].name;
        char shape[200];
        if (arrays[i].rank == 0) continue;
        bool drawn =
            train->reports[i].drawing != NND_PLAIN && train->reports[i].drawing != NND_MATRIX;
        if (drawn || nnd_report_many(train, i) || nnd_array_size(&arrays[i]) > REPORT_PRINTED) {
            fprintf(out, "%s %s, in %s.%s.%s of the run folder\n", name,
                    nnd_shape_text(shape, sizeof shape, arrays[i].rank, arrays[i].shape),
                    train->name, name, nnd_result_kind(train, i, &arrays[i]));
            continue;
        }
        fprintf(out, "%s\n", name);
        nnd_array_print(&arrays[i], false, out);
    }
}

static bool train_reports(const NndTrainInfo *train, const char *name)
{
    for (int k = 0; k < train->report_count; k++)
        if (strcmp(name, train->report->finish->outputs[k].name) == 0) return true;
    return false;
}

/* Whether a later phase of the same block reports this, too: expectations are about the end. */
static bool reported_later(const NndSession *session, const NndTrainInfo *train, const char *name)
{
    const NndProgram *program = session->program;
    size_t block = strcspn(train->name, ".");
    for (const NndTrainInfo *t = train + 1; t < program->trains + program->train_count; t++)
        if (strcspn(t->name, ".") == block && strncmp(t->name, train->name, block) == 0 &&
            nnd_train_meant(&session->options, t) && train_reports(t, name))
            return true;
    return false;
}

/* Whether this block's report of that name is meant: `accuracy`, `digits.accuracy`,
 * `digits.tune.accuracy` for a phase. */
static bool expect_meant(const NndExpectInfo *expect, const NndTrainInfo *train, const char *name)
{
    const char *last = strrchr(expect->report, '.');
    if (last == NULL) return strcmp(expect->report, name) == 0;
    size_t length = (size_t)(last - expect->report);
    bool block = length == strlen(train->name) || length == strcspn(train->name, ".");
    return block && strncmp(expect->report, train->name, length) == 0 &&
           strcmp(last + 1, name) == 0;
}

int nnd_expects_check(NndSession *session, const NndTrainInfo *train, const NndArray *arrays)
{
    int failed = 0;
    FILE *out = session->options.json ? stderr : stdout;
    for (int i = 0; i < session->program->expect_count; i++) {
        const NndExpectInfo *expect = &session->program->expects[i];
        for (int k = 0; k < train->report_count; k++) {
            const char *name = train->report->finish->outputs[k].name;
            if (!expect_meant(expect, train, name)) continue;
            bool phase = strchr(expect->report, '.') != strrchr(expect->report, '.');
            if (!phase && reported_later(session, train, name)) continue;
            double value = nnd_array_value(&arrays[k], 0);
            bool good = strcmp(expect->relation, ">=") == 0   ? value >= expect->value
                        : strcmp(expect->relation, "<=") == 0 ? value <= expect->value
                                                              : value == expect->value;
            if (!good) failed++;
            if (good && session->options.quiet) continue;
            fprintf(out, "expect %s %s %g: %.6g %s\n", expect->report, expect->relation,
                    expect->value, value, good ? "ok" : "FAILED");
        }
    }
    return failed;
}

static const char *split_name(int split)
{
    static const char *const names[] = {"train", "valid", "test"};
    return names[split];
}

/* Prints one block's reports. */
static int eval_block(NndSession *session, const NndTrainInfo *train, bool first)
{
    NndArray *arrays = NULL;
    const NndEntry *finish = train->report->finish;
    for (int i = 0; i < train->set_count; i++)
        if (nnd_set_need(session, train->sets[i])) return 1;
    int split = nnd_report_split(session, train, true);
    int failed = nnd_report(session, train, split, 0, 0, &arrays);
    if (!failed && session->options.json)
        printf("%s\"%s\": {", first ? "{" : ", ", train->name);
    else if (!failed)
        printf("%s on %s:", train->name, split_name(split));
    for (int i = 0; i < train->report_count && !failed; i++) {
        if (session->options.json) {
            printf("%s\"%s\": ", i > 0 ? ", " : "", finish->outputs[i].name);
            nnd_array_print(&arrays[i], true, stdout);
        } else if (arrays[i].rank == 0) {
            printf("  %s %.6g", finish->outputs[i].name, nnd_array_value(&arrays[i], 0));
        }
    }
    if (!failed) printf(session->options.json ? "}" : "\n");
    if (!failed && !session->options.json) nnd_report_tables(train, arrays, stdout);
    if (!failed && session->options.output != NULL)
        failed = nnd_results_write(session, train, session->options.output, arrays);
    nnd_report_free(train, arrays);
    return failed;
}

int nnd_eval(NndSession *session)
{
    bool first = true, reports = false;
    for (int i = 0; i < session->program->train_count; i++)
        if (session->program->trains[i].report != NULL) reports = true;
    if (!reports) return nnd_error(&session->error, "%s has no reports", session->program->source);
    if (nnd_weights_load(session)) return 1;
    for (int i = 0; i < session->program->train_count; i++) {
        const NndTrainInfo *train = &session->program->trains[i];
        if (!nnd_train_meant(&session->options, train)) continue;
        if (train->report == NULL) continue;
        if (eval_block(session, train, first)) return 1;
        first = false;
    }
    if (first) return nnd_error(&session->error, "%s has no reports", session->options.only);
    if (session->options.json) printf("}\n");
    return 0;
}
