/* train.c -- the training loop of every program: fits, steps in shuffled batches, reports at the
 * end of each epoch or every so many steps, log.csv, checkpoints from which a training goes on bit
 * for bit, and its end: after the steps planned, or when the monitor no longer gets better.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>

#define TRAIN_SAVE_EPOCHS 2.0  /* seconds: an epoch's end sooner after a checkpoint writes none */
#define TRAIN_SAVE_STEPS  60.0 /* seconds between checkpoints within an epoch */

typedef struct Training {
    NndSession *session;
    const NndTrainInfo *info;
    uint64_t seed;
    NndFeeder feeder;
    int64_t per_epoch, total, step;
    double *sums, *weights; /* of each loss of the epoch so far, times examples; examples */
    void **outputs;
    NndArray *losses;
    NndLog *log;
    const char *checkpoint, *best_path, *folder;
    NndBest best;
    FILE *trace;
    NndProgress progress;
    double saved_at;
    bool stopped;
} Training;

/* ---- names of the log's columns ---- */

typedef struct LogNames { /* loss (or loss1, loss2, ...), then the reports of all train blocks */
    const char **names;
    char (*losses)[16];
    int loss_count, count;
} LogNames;

static bool output_is_number(const NndPort *port)
{
    return port->rank == 0 && !port->batched;
}

static int log_names_make(const NndProgram *program, LogNames *names)
{
    int most = 0, room = 1;
    for (int i = 0; i < program->train_count; i++) {
        const NndTrainInfo *train = &program->trains[i];
        if (train->loss_count > most) most = train->loss_count;
        if (train->report != NULL) room += train->report->finish->output_count;
    }
    *names = (LogNames){.loss_count = most, .count = most};
    names->names = calloc((size_t)(room + most), sizeof *names->names);
    names->losses = calloc((size_t)most + 1, sizeof *names->losses);
    if (names->names == NULL || names->losses == NULL) return 1;
    for (int i = 0; i < most; i++) {
        if (most == 1)
            strcpy(names->losses[i], "loss");
        else
            snprintf(names->losses[i], sizeof names->losses[i], "loss%d", i + 1);
        names->names[i] = names->losses[i];
    }
    for (int i = 0; i < program->train_count; i++) {
        const NndTrainInfo *train = &program->trains[i];
        for (int k = 0; train->report != NULL && k < train->report->finish->output_count; k++) {
            const NndPort *port = &train->report->finish->outputs[k];
            bool known = !output_is_number(port);
            for (int j = most; j < names->count && !known; j++)
                known = strcmp(names->names[j], port->name) == 0;
            if (!known) names->names[names->count++] = port->name;
        }
    }
    return 0;
}

static int log_row(Training *training, const LogNames *names, const char *name, int64_t step,
                   bool with_losses, const NndArray *reports)
{
    const NndTrainInfo *info = training->info;
    double *values = malloc(((size_t)names->count + 1) * sizeof *values);
    if (values == NULL) return nnd_error(&training->session->error, "out of memory");
    for (int i = 0; i < names->count; i++)
        values[i] = (double)NAN;
    for (int i = 0; with_losses && i < info->loss_count; i++)
        values[i] = training->sums[i] / training->weights[i]; /* NaN: none */
    for (int k = 0; reports != NULL && k < info->report->finish->output_count; k++)
        for (int j = names->loss_count; j < names->count; j++)
            if (strcmp(names->names[j], info->report->finish->outputs[k].name) == 0 &&
                output_is_number(&info->report->finish->outputs[k]))
                values[j] = nnd_array_value(&reports[k], 0);
    int failed = nnd_log_row(training->log, step / training->per_epoch, step, name, values,
                             &training->session->error);
    free(values);
    return failed;
}

/* ---- checkpoints ---- */

static int training_save(Training *training)
{
    NndSession *session = training->session;
    NndState state = {.keys = NULL};
    NndError *error = &session->error;
    char key[24];
    int failed = nnd_state_set(&state, "train", training->info->name, error) ||
                 nnd_state_set_int(&state, "step", training->step, error) ||
                 nnd_state_set_int(&state, "seed", (int64_t)training->seed, error) ||
                 nnd_state_set_int(&state, "steps_per_epoch", training->per_epoch, error) ||
                 nnd_state_set_int(&state, "log_rows", training->log->rows, error);
    if (!failed && training->info->monitor >= 0)
        failed = nnd_state_set_real(&state, "best", training->best.value, error) ||
                 nnd_state_set_int(&state, "best_step", training->best.step, error) ||
                 nnd_state_set_int(&state, "waited", training->best.waited, error);
    for (int i = 0; i < training->info->loss_count && !failed; i++) {
        snprintf(key, sizeof key, "loss_sum%d", i + 1);
        failed = nnd_state_set_real(&state, key, training->sums[i], error);
        snprintf(key, sizeof key, "loss_weight%d", i + 1);
        if (!failed) failed = nnd_state_set_real(&state, key, training->weights[i], error);
    }
    if (!failed)
        failed = nnd_best_write(session, &training->best, training->best_path,
                                training->info->name) ||
                 nnd_checkpoint_write(training->checkpoint, session->saved, session->saved_count,
                                      &state, error);
    nnd_state_free(&state);
    training->saved_at = nnd_clock();
    return failed;
}

/* The best weights so far, which stand in a file of their own. */
static int best_restore(Training *training, const NndState *state)
{
    NndSession *session = training->session;
    NndBest *best = &training->best;
    if (training->info->monitor < 0) return 0;
    if (nnd_state_get_real(state, "best", &best->value, &session->error) ||
        nnd_state_get_int(state, "best_step", &best->step, &session->error) ||
        nnd_state_get_int(state, "waited", &best->waited, &session->error))
        return 1;
    if (best->step < 0) return 0;
    return nnd_best_read(session, best, training->best_path, training->info->name);
}

/* Takes over where the checkpoint of this block stands. */
static int training_restore(Training *training, const NndState *state)
{
    NndError *error = &training->session->error;
    int64_t seed, per_epoch;
    char key[24];
    if (nnd_state_get_int(state, "step", &training->step, error) ||
        nnd_state_get_int(state, "seed", &seed, error) ||
        nnd_state_get_int(state, "steps_per_epoch", &per_epoch, error))
        return 1;
    for (int i = 0; i < training->info->loss_count; i++) {
        snprintf(key, sizeof key, "loss_sum%d", i + 1);
        if (nnd_state_get_real(state, key, &training->sums[i], error)) return 1;
        snprintf(key, sizeof key, "loss_weight%d", i + 1);
        if (nnd_state_get_real(state, key, &training->weights[i], error)) return 1;
    }
    if ((uint64_t)seed != training->seed)
        return nnd_error(error,
                         "%s: was trained with the seed %lld, not %llu: it cannot go on as if "
                         "never stopped",
                         training->checkpoint, (long long)seed, (unsigned long long)training->seed);
    if (per_epoch != training->per_epoch)
        return nnd_error(error,
                         "%s: was trained in epochs of %lld steps, not %lld (was the batch or "
                         "the data changed?)",
                         training->checkpoint, (long long)per_epoch,
                         (long long)training->per_epoch);
    return best_restore(training, state);
}

/* ---- one train block ---- */

static int training_open(Training *training)
{
    NndSession *session = training->session;
    const NndTrainInfo *info = training->info;
    size_t losses = (size_t)info->step->output_count + 1;
    training->sums = calloc(losses, sizeof *training->sums);
    training->weights = calloc(losses, sizeof *training->weights);
    training->outputs = calloc(losses, sizeof *training->outputs);
    training->losses = calloc(losses, sizeof *training->losses);
    if (training->sums == NULL || training->weights == NULL || training->outputs == NULL ||
        training->losses == NULL)
        return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < info->step->output_count; i++) {
        if (nnd_port_alloc(&info->step->outputs[i], info->batch, &training->losses[i],
                           &session->error))
            return 1;
        training->outputs[i] = training->losses[i].data;
    }
    if (nnd_feeder_open(&training->feeder, session, info, training->seed)) return 1;
    training->per_epoch = training->feeder.per_epoch;
    training->total = info->steps > 0 ? info->steps : info->epochs * training->per_epoch;
    return info->monitor >= 0 && nnd_best_open(session, &training->best);
}

static void training_close(Training *training)
{
    const NndTrainInfo *info = training->info;
    for (int i = 0; training->losses != NULL && i < info->step->output_count; i++)
        nnd_array_free(&training->losses[i]);
    nnd_feeder_close(&training->feeder);
    nnd_best_close(&training->best);
    free(training->sums);
    free(training->weights);
    free(training->outputs);
    free(training->losses);
}

/* Whether the last step computed a loss: its `minimize` may stand under a condition. */
static bool loss_ran(const Training *training, int i)
{
    int output = training->info->ran != NULL ? training->info->ran[i] : -1;
    return output < 0 || nnd_array_value(&training->losses[output], 0) != 0;
}

/* seconds: that the step took. */
static int step_losses(Training *training, int64_t n, double seconds)
{
    const NndTrainInfo *info = training->info;
    double weight = n > 0 ? (double)n : 1; /* without data every step counts the same */
    if (training->trace != NULL)
        fprintf(training->trace, "%s,%lld,%.9f", info->name, (long long)training->step, seconds);
    for (int i = 0; i < info->loss_count; i++) {
        double loss = nnd_array_value(&training->losses[i], 0);
        if (!loss_ran(training, i)) {
            if (training->trace != NULL) fputc(',', training->trace);
            continue;
        }
        if (training->trace != NULL) fprintf(training->trace, ",%.17g", loss);
        if (!isfinite(loss))
            return nnd_error(
                &training->session->error,
                "%s: the loss is %s at step %lld (epoch %lld); checkpoints are as they "
                "were before. Is the learning rate too large?",
                info->losses[i], isnan(loss) ? "not a number" : "infinite",
                (long long)training->step, (long long)(training->step / training->per_epoch + 1));
        training->sums[i] += loss * weight;
        training->weights[i] += weight;
    }
    if (training->trace != NULL) fputc('\n', training->trace);
    return 0;
}

static int training_step(Training *training)
{
    double start = training->trace != NULL ? nnd_clock() : 0;
    NndExamples *examples =
        nnd_feeder_take(&training->feeder, training->step, training->step + 1 < training->total);
    int64_t n = examples->n, epoch = training->step / training->per_epoch;
    NndCall call = {.seed = training->seed,
                    .batch = n,
                    .total = n,
                    .step = training->step,
                    .epoch = epoch,
                    .inputs = examples->feed.inputs,
                    .outputs = training->outputs};
    if (nnd_entry_run(training->session, training->info->step, &call)) {
        nnd_feed_blame(training->session, &examples->feed, NND_TRAIN, examples->rows, 0, n, &call);
        return 1;
    }
    if (step_losses(training, n, training->trace != NULL ? nnd_clock() - start : 0)) return 1;
    bool ran = training->info->loss_count > 0 && loss_ran(training, 0);
    double loss = ran ? nnd_array_value(&training->losses[0], 0) : (double)NAN;
    nnd_progress_batch(&training->progress, epoch, training->step % training->per_epoch, n, loss);
    training->step++;
    return 0;
}

/* Whether the last step ends the epoch, or the steps between two reports. */
static bool training_reports(const Training *training)
{
    const NndTrainInfo *info = training->info;
    int64_t every = info->evaluate > 0    ? info->evaluate
                    : info->set_count > 0 ? training->per_epoch
                                          : (training->total + 19) / 20; /* there are no epochs */
    return training->step % every == 0 || training->step == training->total;
}

static bool training_done(const Training *training)
{
    const NndTrainInfo *info = training->info;
    return training->step >= training->total ||
           (info->patience > 0 && training->best.waited >= info->patience);
}

static int report_print(Training *training, const char *kind, int64_t step,
                        const NndArray *reports)
{
    const NndTrainInfo *info = training->info;
    const char **names = malloc(((size_t)info->report_count + 1) * sizeof *names);
    double *values = malloc(((size_t)info->report_count + 1) * sizeof *values);
    int shown = 0, failed = names == NULL || values == NULL;
    if (failed) nnd_error(&training->session->error, "out of memory");
    for (int i = 0; i < info->report_count && !failed; i++) {
        if (!output_is_number(&info->report->finish->outputs[i])) continue;
        names[shown] = info->report->finish->outputs[i].name;
        values[shown++] = nnd_array_value(&reports[i], 0);
    }
    if (!failed && kind == NULL) {
        nnd_progress_epoch(&training->progress, (step - 1) / training->per_epoch,
                           info->evaluate > 0 ? step : -1, names, values, shown);
    } else if (!failed && !training->session->options.quiet) {
        fprintf(training->progress.out, "%s", kind);
        for (int i = 0; i < shown; i++)
            fprintf(training->progress.out, "  %s %.4g", names[i], values[i]);
        fputc('\n', training->progress.out);
    }
    free(names);
    free(values);
    return failed;
}

/* Reports on the weights after a step; prints and logs it. kind: "test" or "best" at the end, NULL
 * before. The caller frees *reports. */
static int training_report(Training *training, const LogNames *names, int split, const char *kind,
                           int64_t step, NndArray **reports)
{
    const NndTrainInfo *info = training->info;
    char row[300];
    int64_t epoch = (step - 1) / training->per_epoch;
    snprintf(row, sizeof row, "%s%s%s", info->name, kind != NULL ? "." : "",
             kind != NULL ? kind : "");
    nnd_report_free(info, *reports);
    *reports = NULL;
    if (info->report != NULL &&
        nnd_report(training->session, info, split, step, epoch, reports))
        return 1;
    return report_print(training, kind, step, *reports) ||
           log_row(training, names, row, step, kind == NULL, *reports);
}

/* All steps that are left; *last: the latest reports, or NULL. */
static int training_steps(Training *training, const LogNames *names, NndArray **last)
{
    const NndTrainInfo *info = training->info;
    int split = nnd_report_split(training->session, info, false);
    while (!training_done(training)) {
        if (training_step(training)) return 1;
        double since = nnd_clock() - training->saved_at;
        if (training_reports(training)) {
            if (training_report(training, names, split, NULL, training->step, last)) return 1;
            if (info->monitor >= 0)
                nnd_best_offer(training->session, &training->best,
                               nnd_array_value(&(*last)[info->monitor], 0), training->step);
            memset(training->sums, 0, sizeof(double) * (size_t)info->loss_count);
            memset(training->weights, 0, sizeof(double) * (size_t)info->loss_count);
            if ((since > TRAIN_SAVE_EPOCHS || training_done(training)) &&
                (training_save(training) ||
                 (info->report != NULL &&
                  nnd_results_write(training->session, info, training->folder, *last))))
                return 1;
        } else if (since > TRAIN_SAVE_STEPS) {
            if (training_save(training)) return 1;
        }
        if (nnd_stop_requested() && !training_done(training)) {
            training->stopped = true;
            return training_save(training);
        }
    }
    return 0;
}

/* Goes back to the best weights, if there is a monitor. */
static void training_best(Training *training)
{
    const NndBest *best = &training->best;
    FILE *out = training->progress.out;
    if (best->step < 0) return;
    nnd_best_restore(training->session, best);
    if (training->session->options.quiet) return;
    if (training->step < training->total)
        fprintf(out, "stopped early: monitor has not become smaller in %lld reports\n",
                (long long)best->waited);
    fprintf(out, "the best weights are those of step %lld (epoch %lld), monitor %.4g\n",
            (long long)best->step, (long long)((best->step - 1) / training->per_epoch + 1),
            best->value);
}

/* The figures at the end: with the best weights, and on the test split, if the reports before were
 * about others. */
static int training_finish(Training *training, const LogNames *names, NndArray **last)
{
    NndSession *session = training->session;
    const NndTrainInfo *info = training->info;
    training_best(training);
    if (info->report == NULL) return 0;
    int during = nnd_report_split(session, info, false),
        end = nnd_report_split(session, info, true);
    int64_t step = training->best.step >= 0 ? training->best.step : training->step;
    const char *kind = during != end ? "test" : "best";
    if ((during != end || step != training->step || *last == NULL) &&
        training_report(training, names, end, kind, step, last))
        return 1;
    if (!session->options.quiet && !session->options.json)
        nnd_report_tables(info, *last, stdout);
    return nnd_results_write(session, info, training->folder, *last);
}

static int training_html(Training *training, const NndArray *reports)
{
    return nnd_html_write(training->session, training->info, training->folder, reports,
                          training->step, nnd_clock() - training->progress.start);
}

static void train_json(const NndTrainInfo *info, const NndArray *reports, bool first)
{
    printf("%s\"%s\": {", first ? "{" : ", ", info->name);
    for (int i = 0; reports != NULL && i < info->report_count; i++) {
        printf("%s\"%s\": ", i > 0 ? ", " : "", info->report->finish->outputs[i].name);
        nnd_array_print(&reports[i], true, stdout);
    }
    printf("}");
}

/* Says which block an error is about, and its line where the error names none of its own. */
static void train_error(NndSession *session, const NndTrainInfo *info)
{
    NndError cause = session->error;
    const char *colon = strrchr(info->place, ':');
    size_t file = colon != NULL ? (size_t)(colon - info->place) + 1 : 0;
    if (file > 0 && strncmp(cause.text, info->place, file) == 0)
        nnd_error(&session->error, "%.420s (train %s)", cause.text, info->name);
    else
        nnd_error(&session->error, "%s: train %s: %.420s", info->place, info->name, cause.text);
}

/* Trains one block. state: of the checkpoint to go on from, or NULL. Returns 0, 1 or 130. */
static int train_block(Training *training, const LogNames *names, const NndState *state, bool first,
                       int *failed_expects)
{
    NndSession *session = training->session;
    const NndTrainInfo *info = training->info;
    NndArray *last = NULL;
    int failed = training_open(training);
    if (!failed && state != NULL) failed = training_restore(training, state);
    for (int i = 0; i < info->fit_count && !failed && state == NULL; i++) {
        NndCall call = {.seed = training->seed};
        failed = nnd_stream_run(session, &info->fits[i], info->set_count > 0 ? info->sets[0] : -1,
                                NND_TRAIN, &call, NULL);
    }
    if (!failed) {
        int64_t epochs = (training->total + training->per_epoch - 1) / training->per_epoch;
        nnd_progress_start(&training->progress, session->options.json ? stderr : stdout,
                           session->options.quiet, epochs, training->per_epoch,
                           training->step / training->per_epoch,
                           training->step % training->per_epoch);
        training->progress.loss_weight = training->weights[0];
        training->progress.loss_sum = training->sums[0];
        training->saved_at = nnd_clock();
        failed = training_steps(training, names, &last);
        nnd_progress_stop(&training->progress);
    }
    if (!failed && !training->stopped) failed = training_finish(training, names, &last);
    if (!failed) failed = training_html(training, last);
    if (!failed && !training->stopped && session->options.json) train_json(info, last, first);
    if (!failed && !training->stopped && info->report != NULL)
        *failed_expects += nnd_expects_check(session, info, last);
    nnd_report_free(info, last);
    bool stopped = training->stopped;
    training_close(training);
    if (failed && session->error.text[0] != 0) train_error(session, info);
    if (stopped && !failed && !session->options.quiet)
        fprintf(stderr, "stopped at step %lld; the checkpoint is in %s, --resume goes on from it\n",
                (long long)training->step, training->checkpoint);
    return failed ? 1 : stopped ? 130 : 0;
}

/* ---- all of them ---- */

/* Reads the checkpoint to resume from; *from is the number of its train block. */
static int train_resume(NndSession *session, const char *checkpoint, NndState *state, int *from)
{
    if (nnd_checkpoint_read(checkpoint, session->saved, session->saved_count, state,
                            &session->error))
        return 1;
    const char *name = nnd_state_get(state, "train");
    for (int i = 0; name != NULL && i < session->program->train_count; i++)
        if (strcmp(name, session->program->trains[i].name) == 0) {
            *from = i;
            return 0;
        }
    return nnd_error(&session->error,
                     "%s: is a checkpoint of the train block \"%s\", which %s has not", checkpoint,
                     name != NULL ? name : "", session->program->source);
}

static int train_blocks(NndSession *session, const char *const *paths, const LogNames *names,
                        const NndState *state, int from, NndLog *log, FILE *trace)
{
    int status = 0, failed_expects = 0;
    bool first = true;
    for (int i = from < 0 ? 0 : from; i < session->program->train_count && !status; i++) {
        const NndTrainInfo *info = &session->program->trains[i];
        if (!nnd_train_meant(&session->options, info)) continue;
        Training training = {.session = session,
                             .info = info,
                             .log = log,
                             .checkpoint = paths[0],
                             .best_path = paths[1],
                             .folder = paths[2],
                             .best = {.step = -1},
                             .trace = trace};
        training.seed = session->options.seed >= 0 ? (uint64_t)session->options.seed
                        : info->seed >= 0          ? (uint64_t)info->seed
                                                   : 0;
        status = train_block(&training, names, i == from ? state : NULL, first, &failed_expects);
        first = false;
    }
    if (session->options.json && !first) {
        printf(", \"memory bytes\": "); /* no train block is called so */
        nnd_memory_json(&session->program->memory, stdout);
        printf("}\n");
    } else if (!session->options.quiet && !status) {
        nnd_memory_print(&session->program->memory, stdout);
    }
    return !status && failed_expects > 0 ? 1 : status;
}

int nnd_train(NndSession *session)
{
    const char *folder =
        session->options.output != NULL ? session->options.output : session->folder;
    char *checkpoint = nnd_path_join(folder, "checkpoint.safetensors");
    char *best = nnd_path_join(folder, "best.safetensors");
    char *log_path = nnd_path_join(folder, "log.csv");
    const char *paths[] = {checkpoint, best, folder};
    LogNames names = {.count = 0};
    NndState state = {.keys = NULL};
    NndLog log = {.file = NULL};
    FILE *trace = NULL;
    int64_t rows = 0;
    int from = -1, status = 1;
    NndError *error = &session->error;
    if (session->program->train_count == 0)
        nnd_error(error, "%s has no train block", session->program->source);
    else if (checkpoint == NULL || best == NULL || log_path == NULL || log_names_make(session->program, &names))
        nnd_error(error, "out of memory");
    else if (nnd_folder_make(folder, error) ||
             (session->options.weights != NULL && nnd_weights_load(session)) ||
             (session->options.resume && (train_resume(session, checkpoint, &state, &from) ||
                                          nnd_state_get_int(&state, "log_rows", &rows, error))) ||
             nnd_log_open(&log, log_path, names.names, names.count, rows, error))
        status = 1;
    else if (session->options.trace != NULL && (trace = fopen(session->options.trace, "w")) == NULL)
        nnd_error(error, "%s: cannot be written", session->options.trace);
    else {
        if (trace != NULL) fprintf(trace, "name,step,seconds,loss\n");
        nnd_stop_watch();
        status = train_blocks(session, paths, &names, &state, from, &log, trace);
    }
    if (trace != NULL && fclose(trace) != 0 && !status)
        status = nnd_error(error, "%s: cannot be written", session->options.trace);
    if (log.file != NULL && nnd_log_close(&log, status ? NULL : error)) status = 1;
    nnd_state_free(&state);
    free(names.names);
    free(names.losses);
    free(checkpoint);
    free(best);
    free(log_path);
    return status;
}
