/* limits.c -- what this machine can do: prints GFLOP/s of fused multiply-adds in f32 and GB/s of
 * copying from memory, for one thread and for all of OMP_NUM_THREADS together, best of several
 * trials. What benchmarks are compared with. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
enum { LANES = 16, CHAINS = 16 };
#elif defined(__AVX2__)
enum { LANES = 8, CHAINS = 12 };
#else
enum { LANES = 4, CHAINS = 12 };
#endif
typedef float Vector __attribute__((vector_size(4 * LANES)));
enum { FMAS = 1 << 18, TRIALS = 40, BYTES = 1 << 26 };

/* Independent chains, enough of them to hide the latency. */
static float fmas(void)
{
    Vector acc[CHAINS], factor = {0}, term = {0};
    factor += 0.999f;
    term += 1e-3f;
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        acc[i] = term * (float)i;
    for (int n = 0; n < FMAS; n++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * factor + term;
    float sum = 0;
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        sum += acc[i][0];
    return sum;
}

static double gflops(int threads)
{
    double best = 0;
    float sink = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        double start = omp_get_wtime();
#pragma omp parallel num_threads(threads) reduction(+ : sink)
        sink += fmas();
        double rate = 2.0 * LANES * CHAINS * FMAS * threads / (omp_get_wtime() - start) / 1e9;
        if (rate > best) best = rate;
    }
    return sink == 1 ? 0 : best;
}

static double copy_rate(int threads, char *from, char *to)
{
    double best = 0;
    size_t part = BYTES / (size_t)threads;
    for (int trial = 0; trial < 10; trial++) {
        double start = omp_get_wtime();
#pragma omp parallel num_threads(threads)
        {
            size_t at = part * (size_t)omp_get_thread_num();
            memcpy(to + at, from + at, part);
        }
        double rate = 2.0 * BYTES / (omp_get_wtime() - start) / 1e9;
        if (rate > best) best = rate;
    }
    return best;
}

int main(void)
{
    int all = omp_get_max_threads();
    char *from = malloc(BYTES), *to = malloc(BYTES);
    if (!from || !to) return 1;
    memset(from, 1, BYTES);
    memset(to, 1, BYTES);
    printf("{\"gflops\": [%.1f, %.1f], ", gflops(1), gflops(all));
    printf("\"copy\": [%.1f, %.1f]}\n", copy_rate(1, from, to), copy_rate(all, from, to));
    free(from);
    free(to);
    return 0;
}
