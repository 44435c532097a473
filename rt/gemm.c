/* gemm.c -- row-major matrix products, of floats and of doubles. C is cut into blocks by its shape
 * alone; each block is one task, computed by one thread, in one order of summation: results do not
 * depend on the number of threads.
 *
 * Own kernels (BLIS, van Zee and van de Geijn 2015): a register tile of MR rows by one or two
 * vectors, one function per (MR, vectors) with literal bounds, since compilers keep accumulators in
 * registers only then; rows are split evenly among tiles, so every MR up to the largest exists. A
 * is packed if transposed, B if transposed, at the right edge or used by many rows; either if its
 * rows would share a set of the cache. The instruction set is the caller's, or the best there is.
 * What comes after a product element by element is called for every block of rows that is whole,
 * which is then still in the second level of cache; a product that nobody else reads is never more
 * than such a block. gemm_body.h has all that depends on the type. With -DNND_BLAS products go to
 * cblas_sgemm and cblas_dgemm where these are faster.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

/* Nanoseconds of a vector's multiplications, about: what decides how many threads are worth it. */
static const double gemm_cost = 0.24;

enum {
    GEMM_MAX_WIDTH = 32,  /* of the widest tile, and its rows */
    GEMM_MAX_ROWS = 14,
    GEMM_ROW_VECTORS = 8, /* of a row that is alone */
    GEMM_MC = 112,        /* rows of a block of packed A */
    GEMM_KC = 1536,       /* bytes of the depth of a block */
    GEMM_NC = NND_BLOCK_COLUMNS, /* columns of a part of C, at most, and its rows */
    GEMM_MOST_ROWS = 448,
    GEMM_PART_WORK = 1 << 19, /* multiplications that are worth a thread */
    GEMM_FEW_PARTS = 4,
    GEMM_PACK_ROWS = 224, /* from which on it pays to pack B */
    GEMM_FAR = 4096,      /* bytes: rows at multiples of it share a set of the cache */
    GEMM_PAD = 16         /* elements that bring such rows apart */
};

static int64_t gemm_parts(int64_t extent, int64_t most)
{
    return (extent + most - 1) / most;
}

static int64_t gemm_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#ifdef NND_BLAS

void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc);
void cblas_dgemm(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a,
                 int lda, const double *b, int ldb, double beta, double *c, int ldc);

enum { GEMM_ROW_MAJOR = 101, GEMM_PLAIN = 111, GEMM_TRANSPOSED = 112, GEMM_MOST_PARTS = 8 };
enum { GEMM_SMALL = 100000 /* multiplications that are not cut into parts */ };

/* Whether OpenBLAS was measured to be faster (docs/benchmarks.md): for small and large products, for
 * results that leave lanes of one or two vectors idle; and where the own kernels have to do without
 * AVX, which OpenBLAS looks for itself. */
static bool gemm_blas_wins(int64_t m, int64_t n, int64_t k, int64_t lanes, size_t size)
{
    double work = (double)m * (double)n * (double)k;
    bool narrow = n < 2 * lanes && n % lanes != 0;
    return work <= 96 * 96 * 96 || work >= 1 << 28 || narrow || lanes * (int64_t)size < 32;
}

#endif

/* Vectors of an instruction set: functions are compiled for it whatever the file is compiled for. */
#if defined(__x86_64__)
#include <immintrin.h>
#define GEMM_TARGET_avx2 __attribute__((target("avx2,fma")))
#ifdef __clang__
#define GEMM_TARGET_avx512 __attribute__((target("avx512f"), __min_vector_width__(512)))
#else
#define GEMM_TARGET_avx512 __attribute__((target("avx512f,prefer-vector-width=512")))
#endif
#endif
#define GEMM_TARGET_any
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#define REAL      float
#define GEMM(x)   gemm_f32_##x
#define GEMM_CALL nnd_gemm
#define GEMM_BLAS cblas_sgemm
#include "gemm_body.h"

#define REAL      double
#define GEMM_F64
#define GEMM(x)   gemm_f64_##x
#define GEMM_CALL nnd_gemm_f64
#define GEMM_BLAS cblas_dgemm
#include "gemm_body.h"

#undef GEMM_TARGET_any
#if defined(__x86_64__)
#undef GEMM_TARGET_avx2
#undef GEMM_TARGET_avx512
#endif
