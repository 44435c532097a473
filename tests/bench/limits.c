/* limits.c -- what this machine can do: prints GFLOP/s of fused multiply-adds in f32 and GB/s of
 * copying from memory, for one thread and for all together that the runtime uses, best of
 * several trials. What benchmarks are compared with. */
#include "nnd_rt.h"

#include <stdlib.h>

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

typedef struct Copy {
    char *from, *to;
    size_t part;
} Copy;

static void run_fmas(const void *data, int64_t begin, int64_t end)
{
    float *sinks = *(float *const *)data;
    for (int64_t i = begin; i < end; i++)
        sinks[i] = fmas();
}

static void run_copy(const void *data, int64_t begin, int64_t end)
{
    const Copy *c = data;
    size_t at = (size_t)begin * c->part;
    memcpy(c->to + at, c->from + at, (size_t)(end - begin) * c->part);
}

/* The best rate of doing `amount`, in as many parts as there are threads. */
static double best_rate(NndPool *pool, NndTask *task, const void *data, double amount, int trials)
{
    double best = 0;
    for (int trial = 0; trial < trials; trial++) {
        double start = nnd_clock();
        nnd_parallel(pool, task, data, nnd_pool_threads(pool), 1e9);
        best = fmax(best, amount / (nnd_clock() - start) / 1e9);
    }
    return best;
}

static double gflops(NndPool *pool)
{
    float sinks[NND_MOST_THREADS], *data = sinks;
    double amount = 2.0 * LANES * CHAINS * FMAS * nnd_pool_threads(pool);
    double best = best_rate(pool, run_fmas, &data, amount, TRIALS);
    return sinks[0] == 1 ? 0 : best;
}

static double copy_rate(NndPool *pool, char *from, char *to)
{
    Copy copy = {from, to, BYTES / (size_t)nnd_pool_threads(pool)};
    return best_rate(pool, run_copy, &copy, 2.0 * BYTES, 10);
}

int main(void)
{
    NndPool *all = nnd_pool_new(0);
    char *from = malloc(BYTES), *to = malloc(BYTES);
    if (!from || !to || !all) return 1;
    memset(from, 1, BYTES);
    memset(to, 1, BYTES);
    printf("{\"gflops\": [%.1f, %.1f], ", gflops(NULL), gflops(all));
    printf("\"copy\": [%.1f, %.1f]}\n", copy_rate(NULL, from, to), copy_rate(all, from, to));
    nnd_pool_free(all);
    free(from);
    free(to);
    return 0;
}
