/* progress.c -- what a training shows while it runs: on a terminal one line rewritten in place a
 * few times a second, otherwise a line per epoch. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <unistd.h>

#define PROGRESS_INTERVAL 0.1 /* seconds between two drawings */

void nnd_progress_start(NndProgress *progress, FILE *out, bool quiet, int64_t epochs,
                        int64_t batches, int64_t epoch, int64_t batch)
{
    double now = nnd_clock();
    *progress = (NndProgress){.out = out,
                              .quiet = quiet,
                              .epochs = epochs,
                              .batches = batches,
                              .start = now,
                              .epoch_start = now,
                              .shown = now - PROGRESS_INTERVAL,
                              .first = epoch * batches + batch};
    progress->terminal = !quiet && isatty(fileno(out)) == 1;
}

double nnd_progress_loss(const NndProgress *progress)
{
    return progress->loss_weight > 0 ? progress->loss_sum / progress->loss_weight : (double)NAN;
}

/* Writes 1234567 as "1,234,567". */
static const char *progress_grouped(char *text, size_t size, double value)
{
    char digits[40];
    int length = snprintf(digits, sizeof digits, "%.0f", value < 1e15 ? value : 1e15);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0) text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

static const char *progress_time(char *text, size_t size, double seconds)
{
    if (seconds < 10)
        snprintf(text, size, "%.1f s", seconds);
    else if (seconds < 120)
        snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 7200)
        snprintf(text, size, "%.0f min", seconds / 60);
    else
        snprintf(text, size, "%.1f h", seconds / 3600);
    return text;
}

static double progress_rate(const NndProgress *progress, double now)
{
    double passed = now - progress->epoch_start;
    return passed > 0 ? (double)progress->examples / passed : 0;
}

/* What is counted: without data, every step is an epoch. */
static const char *progress_unit(const NndProgress *progress)
{
    return progress->batches == 1 && progress->examples == 0 ? "step" : "epoch";
}

void nnd_progress_batch(NndProgress *progress, int64_t epoch, int64_t batch, int64_t examples,
                        double loss)
{
    char rate[40], left[40];
    double weight = examples > 0 ? (double)examples : 1; /* without data every step counts the same */
    progress->examples += examples;
    if (!isnan(loss)) { /* one was computed */
        progress->loss_sum += loss * weight;
        progress->loss_weight += weight;
    }
    if (!progress->terminal) return;
    double now = nnd_clock();
    if (now - progress->shown < PROGRESS_INTERVAL) return;
    progress->shown = now;
    int64_t done = epoch * progress->batches + batch + 1 - progress->first;
    int64_t all = progress->epochs * progress->batches - progress->first;
    double remains =
        done > 0 && all > done ? (now - progress->start) / (double)done * (double)(all - done) : 0;
    fprintf(progress->out, "\r\033[K%s %lld/%lld  loss %.4g", progress_unit(progress),
            (long long)epoch + 1, (long long)progress->epochs, nnd_progress_loss(progress));
    if (progress->examples > 0)
        fprintf(progress->out, "  %s examples/s",
                progress_grouped(rate, sizeof rate, progress_rate(progress, now)));
    fprintf(progress->out, "  %s left", progress_time(left, sizeof left, remains));
    fflush(progress->out);
}

void nnd_progress_epoch(NndProgress *progress, int64_t epoch, int64_t step,
                        const char *const *names, const double *values, int count)
{
    char rate[40], took[40];
    double now = nnd_clock();
    if (!progress->quiet) {
        if (progress->terminal) fprintf(progress->out, "\r\033[K");
        if (step >= 0)
            fprintf(progress->out, "step %lld", (long long)step);
        else
            fprintf(progress->out, "%s %lld/%lld", progress_unit(progress), (long long)epoch + 1,
                    (long long)progress->epochs);
        if (progress->loss_weight > 0) fprintf(progress->out, "  loss %.4g", nnd_progress_loss(progress));
        for (int i = 0; i < count; i++)
            fprintf(progress->out, "  %s %.4g", names[i], values[i]);
        if (progress->examples > 0)
            fprintf(progress->out, "  %s examples/s",
                    progress_grouped(rate, sizeof rate, progress_rate(progress, now)));
        fprintf(progress->out, "  %s\n",
                progress_time(took, sizeof took, now - progress->epoch_start));
        fflush(progress->out);
    }
    progress->epoch_start = nnd_clock();
    progress->examples = 0;
    progress->loss_sum = progress->loss_weight = 0;
}

void nnd_progress_stop(NndProgress *progress)
{
    if (!progress->terminal) return;
    fprintf(progress->out, "\r\033[K");
    fflush(progress->out);
}
