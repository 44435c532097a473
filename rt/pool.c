/* pool.c -- loops divided among threads that stay.
 *
 * A region is one loop: a function that does a range of its iterations, which are independent of
 * each other. It is cut into pieces, and each thread has a run of neighbouring ones to begin with,
 * the same whenever the loop comes again, so that a core finds its part in its cache; whoever is
 * done goes on with what others have not begun. So a thread that the system gives to another
 * process delays a region by one piece at most, and if none comes, the caller does everything by
 * itself. No result depends on who does what.
 *
 * A worker that has nothing to do looks out for the next region for a while, which costs far less
 * than sleeping and being woken (0.3 us against 50), and then sleeps, since somebody else may want
 * the core. A region opens and closes by one counter, odd while it is open; a worker is inside
 * between adding one to `inside` and taking it off, and stays only if it sees the region open after
 * the former, while the caller closes it and then waits for `inside` to be 0: one of the two always
 * sees the other (Dekker 1965).
 *
 * Work that is not worth the others' attention is done by the caller alone: the compiler says how
 * long an iteration takes, and the constants below what attention costs.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef NND_BLAS
/* Present in OpenBLAS only; the products are split by nnd_gemm. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));
#endif

enum {
    POOL_LINE = 64,  /* bytes that only one core may have for writing */
    POOL_PIECES = 4, /* of each thread in a region */
    POOL_STACK = 8 << 20
};

/* Nanoseconds. */
enum {
    POOL_WORTH = 5000,     /* a region that takes as long alone gains from threads that are awake */
    POOL_PIECE = 1000,     /* a piece takes as long at least */
    POOL_LOOK_OUT = 50000, /* so long threads that wait do not sleep */
    POOL_WAKE = 100000,    /* such regions together are worth waking up the others ... */
    POOL_WAKE_MOST = 6400000 /* ... or as many, where waking them up has not paid before */
};

typedef struct PoolRun { /* the pieces that a thread begins with */
    _Alignas(POOL_LINE) _Atomic int64_t next;
    int64_t end;
} PoolRun;

typedef struct PoolWorker {
    NndPool *pool;
    int number; /* 0 is the caller */
    pthread_t thread;
} PoolWorker;

struct NndPool {
    int threads;   /* wanted, with the caller's */
    int started;   /* workers */
    pid_t process; /* in which they run: a fork does not have them */
    double slept;  /* work that was done alone while the others slept */
    double helped; /* work that others have done since they were woken up */
    double wake;   /* what is worth waking them up now */
    double least;  /* a loop takes as long, whatever is said */
    PoolWorker *workers;
    PoolRun *runs;
    atomic_flag busy; /* somebody's region is open: others', and those inside of it, run alone */

    NndTask *task; /* the region */
    const void *data;
    int64_t n, piece;

    _Alignas(POOL_LINE) atomic_uint region; /* odd: open */
    atomic_bool quit;
    _Alignas(POOL_LINE) atomic_int inside;
    _Alignas(POOL_LINE) atomic_int asleep;
    atomic_bool waiting; /* the caller sleeps until nobody is inside */
    pthread_mutex_t mutex;
    pthread_cond_t opened, left;
};

static inline void pool_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- what all threads do ---- */

/* Does pieces of the region, those of its own run first, until all have been begun; returns how
 * many. */
static int64_t pool_work(NndPool *pool, int self)
{
    int64_t done = 0;
    for (int k = 0; k < pool->threads; k++) {
        PoolRun *run = &pool->runs[(self + k) % pool->threads];
        while (atomic_load_explicit(&run->next, memory_order_relaxed) < run->end) {
            int64_t piece = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed);
            if (piece >= run->end) break;
            int64_t begin = piece * pool->piece, end = begin + pool->piece;
            pool->task(pool->data, begin, end < pool->n ? end : pool->n);
            done++;
        }
    }
    return done;
}

/* Whether a region has opened after `last`, or the pool ends; the number as it is. */
static bool pool_opened(NndPool *pool, unsigned last, unsigned *region)
{
    *region = atomic_load_explicit(&pool->region, memory_order_acquire);
    return (*region != last && *region & 1) || atomic_load(&pool->quit);
}

/* Until there is one. Whoever is woken up looks out again before it sleeps: the region it was woken up for
 * may be over by then, but others will follow. */
static unsigned pool_await(NndPool *pool, unsigned last)
{
    unsigned region;
    for (;;) {
        double start = nnd_clock();
        for (int i = 1;; i++) {
            if (pool_opened(pool, last, &region)) return region;
            pool_pause();
            if (i % 32 == 0 && (nnd_clock() - start) * 1e9 > POOL_LOOK_OUT) break;
        }
        pthread_mutex_lock(&pool->mutex);
        atomic_fetch_add(&pool->asleep, 1);
        if (!pool_opened(pool, last, &region)) pthread_cond_wait(&pool->opened, &pool->mutex);
        atomic_fetch_sub(&pool->asleep, 1);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void *pool_worker(void *argument)
{
    const PoolWorker *worker = argument;
    NndPool *pool = worker->pool;
    for (unsigned last = 0;;) {
        last = pool_await(pool, last);
        if (atomic_load(&pool->quit)) return NULL;
        atomic_fetch_add(&pool->inside, 1);
        unsigned region = atomic_load(&pool->region);
        if (region & 1) {
            last = region;
            pool_work(pool, worker->number);
        }
        if (atomic_fetch_sub(&pool->inside, 1) == 1 && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->left);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

/* ---- the workers ---- */

static void pool_forget(NndPool *pool)
{
    pool->started = 0;
    pool->process = getpid();
    atomic_store(&pool->inside, 0);
    atomic_store(&pool->asleep, 0);
    atomic_store(&pool->waiting, false);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->opened, NULL);
    pthread_cond_init(&pool->left, NULL);
}

/* Signals are for the threads of the program. With fewer threads than wanted the pool works, too.
 */
static void pool_start(NndPool *pool)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pool->wake = INFINITY; /* unless somebody comes */
    if (pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setstacksize(&attributes, POOL_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int started = 0;
    for (; started < pool->threads - 1; started++) {
        PoolWorker *worker = &pool->workers[started];
        *worker = (PoolWorker){.pool = pool, .number = started + 1};
        if (pthread_create(&worker->thread, &attributes, pool_worker, worker) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    pool->started = started;
    if (started > 0) pool->wake = POOL_WAKE;
}

/* The threads that this process may use. */
static int pool_cores(void)
{
    const char *wanted = getenv("NND_THREADS");
    char line[4096];
    int cores = wanted != NULL ? atoi(wanted) : 0;
    if (cores > 0) return cores;
    FILE *status = fopen("/proc/self/status", "r"); /* Linux: cores may be given to others */
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "Cpus_allowed:", 13) != 0) continue;
        for (const char *c = line + 13; *c != 0; c++) {
            int digit = *c >= '0' && *c <= '9'   ? *c - '0'
                        : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10
                                                 : 0;
            cores += __builtin_popcount((unsigned)digit);
        }
    }
    if (status != NULL) fclose(status);
#ifdef _SC_NPROCESSORS_ONLN
    if (cores == 0) cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return cores > 0 ? cores : 1;
}

NndPool *nnd_pool_new(int threads)
{
#ifdef NND_BLAS
    if (openblas_set_num_threads != NULL) openblas_set_num_threads(1);
#endif
    NndPool *pool = nnd_alloc(sizeof *pool);
    if (pool == NULL) return NULL;
    memset(pool, 0, sizeof *pool);
    pool->threads = threads > 0 ? threads : pool_cores();
    if (pool->threads > NND_MOST_THREADS) pool->threads = NND_MOST_THREADS;
    pool->wake = POOL_WAKE;
    atomic_flag_clear(&pool->busy);
    pool_forget(pool);
    pool->workers = calloc((size_t)pool->threads, sizeof *pool->workers);
    pool->runs = nnd_alloc((size_t)pool->threads * sizeof *pool->runs);
    if (pool->workers != NULL && pool->runs != NULL) return pool;
    nnd_pool_free(pool);
    return NULL;
}

void nnd_pool_free(NndPool *pool)
{
    if (pool == NULL) return;
    if (pool->started > 0 && pool->process == getpid()) {
        pthread_mutex_lock(&pool->mutex);
        atomic_store(&pool->quit, true);
        pthread_cond_broadcast(&pool->opened);
        pthread_mutex_unlock(&pool->mutex);
        for (int i = 0; i < pool->started; i++)
            pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->left);
        pthread_cond_destroy(&pool->opened);
        pthread_mutex_destroy(&pool->mutex);
    }
    free(pool->workers);
    nnd_free(pool->runs);
    nnd_free(pool);
}

void nnd_pool_eager(NndPool *pool)
{
    pool->least = 1e15;
}

int nnd_pool_threads(const NndPool *pool)
{
    return pool != NULL ? pool->threads : 1;
}

/* ---- a region ---- */

/* Whether a region that would take so many nanoseconds is worth the others' attention, and whether
 * those who sleep must be woken up for it. */
static bool pool_worth(NndPool *pool, double work, bool *wake)
{
    int asleep = atomic_load_explicit(&pool->asleep, memory_order_relaxed);
    int away = pool->started > 0 ? asleep : 1, all = pool->started > 0 ? pool->started : 1;
    pool->slept += work * away / all;
    *wake = pool->slept >= pool->wake;
    if (*wake) {
        bool paid = pool->started == 0 || pool->helped >= POOL_WAKE;
        pool->wake = paid ? POOL_WAKE : pool->wake < POOL_WAKE_MOST ? 2 * pool->wake : pool->wake;
        pool->slept = pool->helped = 0;
    }
    return *wake || all > away;
}

static void pool_wake(NndPool *pool)
{
    if (pool->process != getpid()) pool_forget(pool);
    if (pool->started == 0) {
        pool_start(pool);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->mutex);
}

/* Cuts the region into pieces and gives each thread that it is long enough for its run of them. */
static void pool_cut(NndPool *pool, int64_t n, double work)
{
    double most = 2 * work / POOL_WORTH;
    int64_t threads = most < pool->threads ? (int64_t)most : pool->threads;
    double shares = work / ((double)threads * POOL_PIECE);
    int64_t pieces = threads * (shares < POOL_PIECES ? (int64_t)shares : POOL_PIECES);
    int64_t piece = (n + pieces - 1) / pieces;
    if (piece >= 64) piece = (piece + 15) / 16 * 16; /* no line of memory is two threads' */
    pieces = (n + piece - 1) / piece;
    pool->n = n;
    pool->piece = piece;
    for (int64_t t = 0; t < pool->threads; t++) {
        int64_t to = t < threads ? t : threads;
        atomic_store_explicit(&pool->runs[t].next, pieces * to / threads, memory_order_relaxed);
        pool->runs[t].end = pieces * (to < threads ? to + 1 : to) / threads;
    }
}

/* Until nobody is inside. */
static void pool_wait(NndPool *pool)
{
    if (atomic_load(&pool->inside) == 0) return;
    double start = nnd_clock();
    for (int i = 1; atomic_load_explicit(&pool->inside, memory_order_acquire) > 0; i++) {
        pool_pause();
        if (i % 32 == 0 && (nnd_clock() - start) * 1e9 > POOL_LOOK_OUT) break;
    }
    if (atomic_load(&pool->inside) == 0) return;
    if (pool->process != getpid()) { /* forked while a worker looked in */
        pool_forget(pool);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->waiting, true);
    while (atomic_load(&pool->inside) > 0)
        pthread_cond_wait(&pool->left, &pool->mutex);
    atomic_store(&pool->waiting, false);
    pthread_mutex_unlock(&pool->mutex);
}

void nnd_parallel(NndPool *pool, NndTask *task, const void *data, int64_t n, double cost)
{
    double work = (double)n * cost;
    bool wake = false;
    if (n <= 0) return;
    if (pool != NULL && work < pool->least) work = pool->least;
    if (pool == NULL || pool->threads == 1 || n == 1 || work < POOL_WORTH ||
        atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) {
        task(data, 0, n);
        return;
    }
    if (pool_worth(pool, work, &wake)) {
        pool->task = task;
        pool->data = data;
        pool_cut(pool, n, work);
        atomic_fetch_add(&pool->region, 1);
        if (wake) pool_wake(pool);
        int64_t own = pool_work(pool, 0) * pool->piece;
        atomic_fetch_add(&pool->region, 1);
        pool_wait(pool);
        if (own < n) pool->helped += work * (double)(n - own) / (double)n;
    } else
        task(data, 0, n);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
}
