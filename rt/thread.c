/* thread.c -- the number of threads, and the clock. Threads are OpenMP's; kernels split their work
 * by shape, so the number changes times, never results. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <time.h>
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

double nnd_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
