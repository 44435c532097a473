/* thread.c -- the number of threads, and the clock. Threads are OpenMP's; kernels split their work
 * by shape, so the number changes times, never results. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef NND_BLAS
/* Present in OpenBLAS only; the products are split by nnd_gemm. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));
#endif

int nnd_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

int nnd_runtime_init(int threads)
{
#ifdef NND_BLAS
    if (openblas_set_num_threads != NULL) openblas_set_num_threads(1);
#endif
#ifdef _OPENMP
    if (threads > 0) omp_set_num_threads(threads);
#else
    (void)threads;
#endif
    return nnd_threads();
}

int nnd_threads_enter(int threads)
{
    int before = nnd_threads();
#ifdef _OPENMP
    if (threads > 0 && threads != before) omp_set_num_threads(threads);
#else
    (void)threads;
#endif
    return before;
}

void nnd_threads_leave(int before)
{
#ifdef _OPENMP
    if (before != nnd_threads()) omp_set_num_threads(before);
#else
    (void)before;
#endif
}

/* A thread that waits at the end of a parallel loop spins first, for waking it up takes 50 us. Left to
 * themselves, OpenMP's runtimes spin for milliseconds (gcc's) or 200 ms (LLVM's), which is right on an
 * idle machine and ruins everything as soon as another process wants one of the cores: a training step
 * took 20 times as long beside one busy process, and 1.5 times with this limit, which costs some
 * percent otherwise. They read their settings when they are loaded, so the program starts again. */
void nnd_threads_prepare(char **argv)
{
#ifdef _OPENMP
    static const char *const settings[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"};
    for (int i = 0; i < 3; i++)
        if (getenv(settings[i])) return;
    if (setenv("GOMP_SPINCOUNT", "1000", 1) || setenv("KMP_BLOCKTIME", "0", 1)) return;
    execv("/proc/self/exe", argv); /* if this fails, the program goes on as it is */
#else
    (void)argv;
#endif
}

double nnd_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
