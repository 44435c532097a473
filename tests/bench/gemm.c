/* gemm.c -- share of the machine's limit that matrix products reach: prints for each shape MxNxK and
 * layout (n: as it is, t: transposed) the runtime's own kernels and OpenBLAS, in per cent of the
 * rate of fused multiply-adds measured between them. One thread; CPU time; rounds take all shapes in
 * turn, and the least time of each counts. Arguments: the instruction set, rounds, f32 or f64, and
 * shapes "128x512x784:nt" (else a table of them). */
#include "nnd_rt.h"
#include "simd.h"

#include <stdlib.h>
#include <time.h>

void openblas_set_num_threads(int threads);
void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc);
void cblas_dgemm(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a,
                 int lda, const double *b, int ldb, double beta, double *c, int ldc);

enum { CHAINS = 12, FMAS = 1 << 18, MOST = 64 };
static const double TRIAL = 4e-3; /* seconds of one measurement */

static const char *const shapes[] = {
    "32x32x32:nn",      "48x48x48:nn",      "64x64x64:nn",       "96x96x96:nn",
    "128x128x128:nn",   "192x192x192:nn",   "256x256x256:nn",    "384x384x384:nn",
    "512x512x512:nn",   "1024x1024x1024:nn",
    /* T2: forward, weights, data */
    "128x512x784:nn",   "784x512x128:tn",   "128x512x512:nn",    "512x512x128:tn",
    "128x512x512:nt",   "128x10x512:nn",    "512x10x128:tn",     "128x512x10:nt",
    /* T3: the dense layers */
    "128x128x9216:nn",  "9216x128x128:tn",  "128x9216x128:nt",
    /* T4, T5: gates of a step, and of all */
    "128x512x128:nn",   "3584x512x28:nn",   "32x1024x256:nn",    "32x256x1024:nn",
    "2048x1024x65:nn",  "256x1024x2048:tn",
    /* T7, T8 */
    "256x64x64:nn",     "256x64x64:nt",     "64x64x256:tn",      "10000x20x20:nn",
    /* T9: projections, the block's two layers, attention */
    "2048x384x128:nn",  "2048x128x512:nn",  "2048x512x128:nn",   "128x512x2048:tn",
    "2048x512x128:nt",  "128x128x32:nt",    "128x32x128:nn",     "32x128x128:tn"};

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Independent chains, enough of them to hide the latency: multiply-adds of lanes a second. */
#define PEAK(name, Vector, LANES, MULTIPLY_ADD)                                                    \
    static double name(void)                                                                       \
    {                                                                                              \
        Vector acc[CHAINS], factor = {0}, term = {0};                                              \
        factor += 0.999f;                                                                          \
        term += 1e-3f;                                                                             \
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = term * (float)i;                          \
        double start = cpu();                                                                      \
        for (int n = 0; n < FMAS; n++)                                                             \
            UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = MULTIPLY_ADD(acc[i], factor, term);   \
        double time = cpu() - start;                                                               \
        volatile float sink = 0;                                                                   \
        UNROLL for (int i = 0; i < CHAINS; i++) sink += acc[i][0];                                 \
        return (double)(LANES)*CHAINS * FMAS / time;                                               \
    }
#define TWO(a, b, c) ((a) * (b) + (c))
PEAK(peak_16, F16, 16, FMA_F16)
PEAK(peak_8, F8, 8, FMA_F8)
PEAK(peak_4, F4, 4, FMA_F4)
PEAK(peak_two, F4, 4, TWO) /* without fused multiply-add */

/* Of an instruction set, FLOP/s. */
static double peak(NndIsa isa, bool f64)
{
    const NndIsaInfo *info = nnd_isa_info(isa);
    double rate = info->bytes == 64     ? peak_16()
                  : info->bytes == 32   ? peak_8()
                  : info->registers >= 16 ? peak_4()
                                        : peak_two();
    return f64 ? rate : 2 * rate;
}

typedef struct Case {
    bool ta, tb;
    int m, n, k;
    double best[2]; /* seconds: own, OpenBLAS */
} Case;

typedef struct Operands {
    void *a, *b, *c;
    bool f64;
    NndIsa isa;
} Operands;

static void product(const Case *p, const Operands *o, bool blas)
{
    int lda = p->ta ? p->m : p->k, ldb = p->tb ? p->k : p->n;
    int ta = p->ta ? 112 : 111, tb = p->tb ? 112 : 111;
    if (blas && o->f64)
        cblas_dgemm(101, ta, tb, p->m, p->n, p->k, 1, o->a, lda, o->b, ldb, 0, o->c, p->n);
    else if (blas)
        cblas_sgemm(101, ta, tb, p->m, p->n, p->k, 1, o->a, lda, o->b, ldb, 0, o->c, p->n);
    else if (o->f64)
        nnd_gemm_f64(NULL, p->ta, p->tb, p->m, p->n, p->k, o->a, lda, o->b, ldb, o->c, p->n, false,
                     o->isa, NULL);
    else
        nnd_gemm(NULL, p->ta, p->tb, p->m, p->n, p->k, o->a, lda, o->b, ldb, o->c, p->n, false,
                 o->isa, NULL);
}

static void measure(Case *p, const Operands *o, int which)
{
    double work = 2.0 * p->m * p->n * p->k;
    int calls = (int)(TRIAL * 1e11 / work) + 1;
    product(p, o, which == 1);
    double start = cpu();
    for (int i = 0; i < calls; i++)
        product(p, o, which == 1);
    double time = (cpu() - start) / calls;
    if (p->best[which] == 0 || time < p->best[which]) p->best[which] = time;
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    const char *isa = argv[1];
    Operands o = {.f64 = !strcmp(argv[3], "f64"), .isa = NND_ISA_NATIVE};
    for (int i = 0; i < NND_ISA_COUNT; i++)
        if (!strcmp(isa, nnd_isa_info((NndIsa)i)->name)) o.isa = (NndIsa)i;
    const char *const *list = argc > 4 ? (const char *const *)argv + 4 : shapes;
    int count = argc > 4 ? argc - 4 : (int)(sizeof shapes / sizeof *shapes);
    size_t largest = 1;
    double limit = 0;
    Case cases[MOST] = {0};
    if (count > MOST) return 2;
    for (int i = 0; i < count; i++) {
        Case *p = &cases[i];
        char ta, tb;
        if (sscanf(list[i], "%dx%dx%d:%c%c", &p->m, &p->n, &p->k, &ta, &tb) != 5) return 2;
        p->ta = ta == 't';
        p->tb = tb == 't';
        size_t sizes[] = {(size_t)p->m * (size_t)p->n, (size_t)p->n * (size_t)p->k,
                          (size_t)p->m * (size_t)p->k};
        for (int s = 0; s < 3; s++)
            if (sizes[s] > largest) largest = sizes[s];
    }
    void **const operands[] = {&o.a, &o.b, &o.c};
    for (int i = 0; i < 3; i++) {
        if (!(*operands[i] = nnd_alloc(largest * (o.f64 ? 8 : 4)))) return 1;
        for (size_t e = 0; e < largest; e++)
            if (o.f64)
                ((double *)*operands[i])[e] = (double)(e % 13) / 13 - 0.5;
            else
                ((float *)*operands[i])[e] = (float)(e % 13) / 13 - 0.5f;
    }
    openblas_set_num_threads(1);
    for (int round = 0; round < atoi(argv[2]); round++)
        for (int i = 0; i < count; i++) {
            double rate = peak(o.isa, o.f64);
            if (rate > limit) limit = rate;
            measure(&cases[i], &o, 0);
            measure(&cases[i], &o, 1);
        }
    printf("| M x N x K | own | OpenBLAS | of %.1f GFLOP/s |\n|---|---|---|---|\n", limit * 1e-9);
    for (int i = 0; i < count; i++) {
        const Case *p = &cases[i];
        double work = 2.0 * p->m * p->n * p->k;
        printf("| %s | %.0f %% | %.0f %% | %s |\n", list[i], 100 * work / p->best[0] / limit,
               100 * work / p->best[1] / limit, p->best[0] <= p->best[1] ? "own" : "OpenBLAS");
    }
    return 0;
}
