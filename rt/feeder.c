/* feeder.c -- the examples of the steps of a training, one batch after the other. Where a batch is so
 * large that it pays, a thread chooses and gathers the next one while the step computes; which
 * examples these are depends on (seed, set, step) alone, so the results are the same.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { FEEDER_LEAST = 1 << 19 }; /* bytes of a batch: gathering fewer takes less than waking a thread */

struct NndFeederThread {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int64_t wanted; /* step whose examples are to be gathered into the other place; -1: none */
    bool quit;
};

/* ---- one batch ---- */

static int examples_open(NndFeeder *feeder, NndExamples *examples)
{
    NndSession *session = feeder->session;
    const NndTrainInfo *info = feeder->info;
    examples->step = -1;
    examples->numbers = calloc((size_t)info->set_count + 1, sizeof *examples->numbers);
    examples->rows = calloc((size_t)session->program->data_count + 1, sizeof *examples->rows);
    if (examples->numbers == NULL || examples->rows == NULL)
        return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < info->set_count; i++) {
        examples->numbers[i] = malloc(((size_t)info->batch + 1) * sizeof **examples->numbers);
        if (examples->numbers[i] == NULL) return nnd_error(&session->error, "out of memory");
        examples->rows[info->sets[i]] = examples->numbers[i];
    }
    return nnd_feed_open(session, info->step, &examples->feed);
}

static void examples_close(const NndTrainInfo *info, NndExamples *examples)
{
    for (int i = 0; examples->numbers != NULL && i < info->set_count; i++)
        free(examples->numbers[i]);
    if (examples->feed.entry != NULL) nnd_feed_close(&examples->feed);
    free(examples->numbers);
    free(examples->rows);
}

/* Chooses the examples of a step and gathers them. */
static void examples_fill(NndFeeder *feeder, NndExamples *examples, int64_t step)
{
    const NndTrainInfo *info = feeder->info;
    int64_t epoch = step / feeder->per_epoch, index = step % feeder->per_epoch;
    examples->n = info->batch;
    for (int i = 0; i < info->set_count; i++) {
        NndBatches *batches = &feeder->batches[i];
        if (i == 0) {
            const int64_t *rows = batches->order; /* which changes with the epoch: copied */
            examples->n = nnd_batch(batches, epoch, index, &rows);
            memcpy(examples->numbers[0], rows, (size_t)examples->n * sizeof *rows);
        } else {
            int64_t before = epoch * feeder->batches[0].count + index * feeder->batches[0].size;
            nnd_batch_wrapped(batches, before, examples->n, examples->numbers[i]);
        }
    }
    nnd_feed_fill(feeder->session, &examples->feed, NND_TRAIN, examples->rows, 0, examples->n);
    examples->step = step;
}

/* ---- the thread ---- */

static void *feeder_run(void *argument)
{
    NndFeeder *feeder = argument;
    NndFeederThread *thread = feeder->thread;
    pthread_mutex_lock(&thread->mutex);
    while (!thread->quit) {
        if (thread->wanted < 0) {
            pthread_cond_wait(&thread->changed, &thread->mutex);
            continue;
        }
        int64_t step = thread->wanted;
        pthread_mutex_unlock(&thread->mutex);
        examples_fill(feeder, &feeder->places[!feeder->current], step);
        pthread_mutex_lock(&thread->mutex);
        thread->wanted = -1;
        pthread_cond_broadcast(&thread->changed);
    }
    pthread_mutex_unlock(&thread->mutex);
    return NULL;
}

/* Signals are for the threads of the program. Without the thread everything works, too. */
static void thread_start(NndFeeder *feeder)
{
    sigset_t all, before;
    NndFeederThread *thread = calloc(1, sizeof *thread);
    if (thread == NULL) return;
    thread->wanted = -1;
    pthread_mutex_init(&thread->mutex, NULL);
    pthread_cond_init(&thread->changed, NULL);
    feeder->thread = thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->thread, NULL, feeder_run, feeder);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) return;
    pthread_cond_destroy(&thread->changed);
    pthread_mutex_destroy(&thread->mutex);
    free(thread);
    feeder->thread = NULL;
}

static void thread_stop(NndFeederThread *thread)
{
    if (thread == NULL) return;
    pthread_mutex_lock(&thread->mutex);
    thread->quit = true;
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&thread->mutex);
    pthread_join(thread->thread, NULL);
    pthread_cond_destroy(&thread->changed);
    pthread_mutex_destroy(&thread->mutex);
    free(thread);
}

static void thread_wait(NndFeederThread *thread)
{
    pthread_mutex_lock(&thread->mutex);
    while (thread->wanted >= 0)
        pthread_cond_wait(&thread->changed, &thread->mutex);
    pthread_mutex_unlock(&thread->mutex);
}

static void thread_want(NndFeederThread *thread, int64_t step)
{
    pthread_mutex_lock(&thread->mutex);
    thread->wanted = step;
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&thread->mutex);
}

/* ---- */

/* Bytes of a batch, as they are gathered. */
static int64_t feeder_bytes(const NndFeeder *feeder)
{
    const NndFeed *feed = &feeder->places[0].feed;
    int64_t bytes = 0;
    for (int i = 0; i < feed->entry->input_count; i++)
        if (feed->buffers[i].data != NULL)
            bytes += (int64_t)nnd_type_size(feed->buffers[i].type) * nnd_array_size(&feed->buffers[i]);
    return bytes;
}

int nnd_feeder_open(NndFeeder *feeder, NndSession *session, const NndTrainInfo *info, uint64_t seed)
{
    *feeder = (NndFeeder){.session = session, .info = info, .per_epoch = 1};
    feeder->batches = calloc((size_t)info->set_count + 1, sizeof *feeder->batches);
    if (feeder->batches == NULL) return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < info->set_count; i++) {
        int set = info->sets[i];
        if (nnd_set_need(session, set)) return 1;
        const NndSplit *split = &session->sets[set].splits[NND_TRAIN];
        if (nnd_batches_open(&feeder->batches[i], split->count, split->rows, info->batch, seed,
                             (uint32_t)set, info->shuffle, &session->error))
            return 1;
    }
    if (info->set_count > 0) feeder->per_epoch = nnd_batches_per_epoch(&feeder->batches[0]);
    if (examples_open(feeder, &feeder->places[0])) return 1;
    if (nnd_pool_threads(session->pool) == 1 || feeder_bytes(feeder) < FEEDER_LEAST) return 0;
    if (examples_open(feeder, &feeder->places[1])) return 1;
    thread_start(feeder);
    return 0;
}

void nnd_feeder_close(NndFeeder *feeder)
{
    if (feeder->info == NULL) return;
    thread_stop(feeder->thread);
    for (int i = 0; feeder->batches != NULL && i < feeder->info->set_count; i++)
        nnd_batches_close(&feeder->batches[i]);
    examples_close(feeder->info, &feeder->places[0]);
    examples_close(feeder->info, &feeder->places[1]);
    free(feeder->batches);
}

NndExamples *nnd_feeder_take(NndFeeder *feeder, int64_t step, bool more)
{
    if (feeder->thread == NULL) {
        examples_fill(feeder, &feeder->places[0], step);
        return &feeder->places[0];
    }
    thread_wait(feeder->thread);
    feeder->current = !feeder->current;
    NndExamples *examples = &feeder->places[feeder->current];
    if (examples->step != step) examples_fill(feeder, examples, step);
    if (more) thread_want(feeder->thread, step + 1);
    return examples;
}
