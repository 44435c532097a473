/* test_rt_pool.c -- loops divided among threads: every iteration once, whatever the number of
 * threads, of iterations and what is going on besides. To be built with -fsanitize=thread, too. */
#include "rt_files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

static void pause_for(long microseconds)
{
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

typedef struct Loop {
    NndPool *pool;
    int n;
    atomic_int *counts; /* of each iteration */
    atomic_int calls, wrong;
} Loop;

static Loop loop_new(NndPool *pool, int n)
{
    Loop loop = {.pool = pool, .n = n, .counts = calloc((size_t)n + 1, sizeof(atomic_int))};
    if (loop.counts == NULL) abort();
    return loop;
}

static void count(const void *data, int64_t begin, int64_t end)
{
    Loop *loop = *(Loop *const *)data;
    atomic_fetch_add(&loop->calls, 1);
    if (begin < 0 || begin >= end || end > loop->n) atomic_fetch_add(&loop->wrong, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&loop->counts[i], 1);
}

/* Whether every iteration was done so often; frees the loop. */
static bool loop_end(Loop *loop, int times)
{
    bool good = loop->wrong == 0;
    for (int i = 0; i < loop->n; i++)
        good = good && loop->counts[i] == times;
    free(loop->counts);
    return good;
}

static NndPool *eager(int threads)
{
    NndPool *pool = nnd_pool_new(threads);
    if (pool == NULL) abort();
    nnd_pool_eager(pool);
    return pool;
}

static void test_once(void)
{
    for (int threads = 1; threads <= 8; threads++) {
        NndPool *pool = eager(threads);
        CU_ASSERT_EQUAL(nnd_pool_threads(pool), threads);
        for (int n = 0; n <= 300; n += n < 40 ? 1 : 13) {
            Loop loop = loop_new(pool, n), *data = &loop;
            nnd_parallel(pool, count, &data, n, 1);
            CU_ASSERT(loop_end(&loop, 1));
        }
        nnd_pool_free(pool);
    }
}

/* Short ones follow each other while workers look out; after a pause they must be woken up. */
static void test_many(void)
{
    NndPool *pool = eager(3);
    Loop loop = loop_new(pool, 12), *data = &loop;
    for (int i = 0; i < 10000; i++) {
        nnd_parallel(pool, count, &data, 12, 1);
        if (i % 500 == 0) pause_for(300);
    }
    CU_ASSERT(loop_end(&loop, 10000));
    nnd_pool_free(pool);
}

/* Nothing is divided that is not worth it, and threads that are never needed do not start. */
static void test_short(void)
{
    NndPool *pool = nnd_pool_new(4);
    Loop loop = loop_new(pool, 100), *data = &loop;
    for (int i = 0; i < 1000; i++)
        nnd_parallel(pool, count, &data, 100, 1);
    CU_ASSERT_EQUAL(loop.calls, 1000);
    CU_ASSERT(loop_end(&loop, 1000));
    nnd_pool_free(pool);

    loop = loop_new(NULL, 100);
    nnd_parallel(NULL, count, &data, 100, 1e9);
    CU_ASSERT_EQUAL(loop.calls, 1);
    CU_ASSERT(loop_end(&loop, 1));
    CU_ASSERT_EQUAL(nnd_pool_threads(NULL), 1);
}

/* Work that is worth it is divided. */
static void test_long(void)
{
    NndPool *pool = nnd_pool_new(2);
    Loop loop = loop_new(pool, 100), *data = &loop;
    nnd_parallel(pool, count, &data, 100, 1e6);
    CU_ASSERT(loop.calls > 1);
    CU_ASSERT(loop_end(&loop, 1));
    nnd_pool_free(pool);
}

static void nest(const void *data, int64_t begin, int64_t end)
{
    Loop *loop = *(Loop *const *)data;
    for (int64_t i = begin; i < end; i++)
        nnd_parallel(loop->pool, count, data, loop->n, 1e9);
}

/* A loop inside of a task is done by whoever meets it, in one call. */
static void test_nested(void)
{
    NndPool *pool = eager(3);
    Loop loop = loop_new(pool, 50), *data = &loop;
    nnd_parallel(pool, nest, &data, 40, 1);
    CU_ASSERT_EQUAL(loop.calls, 40);
    CU_ASSERT(loop_end(&loop, 40));
    nnd_pool_free(pool);
}

static void *call_often(void *data)
{
    Loop *loop = data;
    for (int i = 0; i < 300; i++)
        nnd_parallel(loop->pool, count, &loop, loop->n, 1);
    return NULL;
}

/* Several threads call at once: with a pool each, and with one for all. */
static void test_callers(void)
{
    for (int shared = 0; shared < 2; shared++) {
        NndPool *pools[4];
        Loop loops[4];
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            pools[i] = shared && i > 0 ? pools[0] : eager(2);
            loops[i] = loop_new(pools[i], 20 + i);
        }
        for (int i = 0; i < 4; i++)
            CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, call_often, &loops[i]), 0);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            CU_ASSERT(loop_end(&loops[i], 300));
        }
        for (int i = 0; i < (shared ? 1 : 4); i++)
            nnd_pool_free(pools[i]);
    }
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

/* A child process has the pool, but not its threads: it starts its own. */
static void test_fork(void)
{
#ifndef __SANITIZE_THREAD__ /* which does not know threads that are started after a fork */
    NndPool *pool = eager(3);
    Loop loop = loop_new(pool, 30), *data = &loop;
    nnd_parallel(pool, count, &data, 30, 1);
    for (int pause = 0; pause < 2; pause++) {
        pause_for(pause ? 20000 : 0); /* awake and asleep */
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 100; i++)
                nnd_parallel(pool, count, &data, 30, 1);
            bool good = loop.counts[29] == 101 && loop.wrong == 0;
            nnd_pool_free(pool);
            _exit(good ? 0 : 1);
        }
        int status = 1;
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    nnd_parallel(pool, count, &data, 30, 1);
    CU_ASSERT(loop_end(&loop, 2));
    nnd_pool_free(pool);
#endif
}

/* The number of threads: as asked for, or from the environment, or that of the cores. */
static void test_number(void)
{
    NndPool *pool = nnd_pool_new(3);
    CU_ASSERT_EQUAL(nnd_pool_threads(pool), 3);
    nnd_pool_free(pool);
    setenv("NND_THREADS", "5", 1);
    pool = nnd_pool_new(0);
    CU_ASSERT_EQUAL(nnd_pool_threads(pool), 5);
    nnd_pool_free(pool);
    setenv("NND_THREADS", "many", 1);
    pool = nnd_pool_new(0);
    CU_ASSERT(nnd_pool_threads(pool) >= 1 && nnd_pool_threads(pool) <= NND_MOST_THREADS);
    nnd_pool_free(pool);
    unsetenv("NND_THREADS");
    nnd_pool_free(NULL);
}

static const UnitTest tests[] = {
    {"every iteration once", test_once},
    {"ten thousand regions", test_many},
    {"what is not worth it", test_short},
    {"what is", test_long},
    {"loops in loops", test_nested},
    {"several callers", test_callers},
    {"fork", test_fork},
    {"the number of threads", test_number},
};

UNIT_MAIN("runtime: threads", tests)
