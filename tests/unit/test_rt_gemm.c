/* test_rt_gemm.c -- matrix products of many shapes against a triple loop in double, with operands
 * wider than the matrix, of floats and doubles, on every instruction set that the machine has, and
 * equality of the bits for every number of threads; what comes after products, block by block. Built twice: with the runtime's own kernels and
 * with a BLAS. */
#include "rt_files.h"

static float *filled(int64_t count, uint64_t site)
{
    float *values = nnd_alloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = nnd_uniform(1, site, 0, (uint32_t)i) - 0.5f;
    return values;
}

static double *filled_f64(int64_t count, uint64_t site)
{
    double *values = nnd_alloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = nnd_uniform_f64(1, site, 0, (uint32_t)i) - 0.5;
    return values;
}

/* NAME: the largest error of a product, relative to what k roundings may add up to; 99 if an element
 * beside the matrix was changed. */
#define PRODUCT_ERROR(NAME, REAL, FILLED, CALL, SUM, ROUNDING)                                     \
    static double NAME(bool ta, bool tb, int64_t m, int64_t n, int64_t k, bool accumulate,         \
                       NndIsa isa)                                                                 \
    {                                                                                              \
        int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 5, ldc = n + 2;                       \
        REAL *a = FILLED((ta ? k : m) * lda, 1), *b = FILLED((tb ? n : k) * ldb, 2);               \
        REAL *c = FILLED(m * ldc, 3), *before = FILLED(m * ldc, 3);                                \
        double worst = 0;                                                                          \
        CALL(NULL, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, accumulate, isa, NULL);                \
        for (int64_t i = 0; i < m; i++) {                                                          \
            for (int64_t j = 0; j < ldc; j++) {                                                    \
                SUM sum = accumulate ? (SUM)before[i * ldc + j] : 0;                               \
                for (int64_t l = 0; j < n && l < k; l++)                                           \
                    sum += (SUM)a[ta ? l * lda + i : i * lda + l] *                                \
                           (SUM)b[tb ? j * ldb + l : l * ldb + j];                                 \
                if (j >= n && c[i * ldc + j] != before[i * ldc + j]) worst = 99;                   \
                double error = fabs((double)((SUM)c[i * ldc + j] - sum)) /                         \
                               (ROUNDING * (double)(k + 1));                                       \
                if (j < n) worst = fmax(worst, error < 1 ? error : 99); /* NaN is no small error */ \
            }                                                                                      \
        }                                                                                          \
        nnd_free(a);                                                                               \
        nnd_free(b);                                                                               \
        nnd_free(c);                                                                               \
        nnd_free(before);                                                                          \
        return worst;                                                                              \
    }
PRODUCT_ERROR(error_f32, float, filled, nnd_gemm, double, 1e-7)
PRODUCT_ERROR(error_f64, double, filled_f64, nnd_gemm_f64, long double, 2e-16)

/* Of all instruction sets that the machine has, and both types. */
static double product_error(bool ta, bool tb, int64_t m, int64_t n, int64_t k, bool accumulate)
{
    double worst = 0;
    for (NndIsa isa = 0; isa < NND_ISA_COUNT; isa++)
        if (nnd_isa_here(isa)) {
            worst = fmax(worst, error_f32(ta, tb, m, n, k, accumulate, isa));
            worst = fmax(worst, error_f64(ta, tb, m, n, k, accumulate, isa));
        }
    return worst;
}

static void test_edges(void)
{
    for (int64_t m = 1; m <= 30; m++)
        for (int64_t n = 1; n <= 70; n += 3)
            CU_ASSERT(product_error(false, false, m, n, 5, true) < 1);
    for (int mode = 0; mode < 4; mode++) {
        CU_ASSERT(product_error(mode & 1, mode & 2, 113, 300, 500, false) < 1);
        CU_ASSERT(product_error(mode & 1, mode & 2, 250, 65, 1025, true) < 1);
    }
}

static void test_shapes(void)
{
    static const int64_t sizes[] = {0, 1, 7, 33, 129};
    for (int mode = 0; mode < 8; mode++)
        for (int i = 0; i < 125; i++) {
            int64_t m = sizes[i % 5], n = sizes[i / 5 % 5], k = sizes[i / 25];
            double worst = product_error(mode & 1, mode & 2, m, n, k, mode & 4);
            CU_ASSERT(worst < 1);
            if (worst >= 1)
                printf("\n    %lldx%lldx%lld mode %d: %g\n", (long long)m, (long long)n,
                       (long long)k, mode, worst);
        }
}

/* NAME: whether pools of any size compute the bits that one thread does. */
#define PRODUCT_THREADS(NAME, REAL, FILLED, CALL)                                                  \
    static bool NAME(bool ta, bool tb, int64_t m, int64_t n, int64_t k)                            \
    {                                                                                              \
        REAL *a = FILLED(m * k, 1), *b = FILLED(n * k, 2);                                         \
        REAL *one = FILLED(m * n, 3), *many = FILLED(m * n, 4);                                    \
        bool equal = true;                                                                         \
        for (int threads = 1; threads <= 5; threads++) {                                           \
            REAL *c = threads == 1 ? one : many;                                                   \
            NndPool *pool = nnd_pool_new(threads);                                                 \
            CU_ASSERT_PTR_NOT_NULL_FATAL(pool);                                                    \
            nnd_pool_eager(pool);                                                                  \
            CALL(pool, ta, tb, m, n, k, a, ta ? m : k, b, tb ? k : n, c, n, false,                 \
                 NND_ISA_NATIVE, NULL);                                                            \
            nnd_pool_free(pool);                                                                   \
            if (c == many) equal = equal && !memcmp(one, many, (size_t)(m * n) * sizeof *one);     \
        }                                                                                          \
        nnd_free(a);                                                                               \
        nnd_free(b);                                                                               \
        nnd_free(one);                                                                             \
        nnd_free(many);                                                                            \
        return equal;                                                                              \
    }
PRODUCT_THREADS(equal_f32, float, filled, nnd_gemm)
PRODUCT_THREADS(equal_f64, double, filled_f64, nnd_gemm_f64)

static void test_threads(void)
{
    static const int64_t shapes[][3] = {
        {128, 512, 784}, {784, 512, 128}, {300, 10, 900}, {7, 999, 64}};
    for (int i = 0; i < 16; i++) {
        const int64_t *s = shapes[i / 4];
        CU_ASSERT(equal_f32(i & 1, i & 2, s[0], s[1], s[2]));
        CU_ASSERT(equal_f64(i & 1, i & 2, s[0], s[1], s[2]));
    }
}

/* Without accumulate, what C held does not matter, be it NaN. */
static void test_overwrites(void)
{
    float a[] = {1, 2}, b[] = {3, 4}, c[] = {NAN, NAN};
    nnd_gemm(NULL, false, false, 1, 1, 2, a, 2, b, 1, c, 1, false, NND_ISA_NATIVE, NULL);
    CU_ASSERT_EQUAL(c[0], 11);
    CU_ASSERT(isnan(c[1]));
    nnd_gemm(NULL, false, false, 1, 2, 0, a, 1, b, 2, c, 2, false, NND_ISA_NATIVE, NULL);
    CU_ASSERT(c[0] == 0 && c[1] == 0);
    c[0] = 5;
    nnd_gemm(NULL, false, false, 1, 2, 0, a, 1, b, 2, c, 2, true, NND_ISA_NATIVE, NULL);
    CU_ASSERT_EQUAL(c[0], 5);
}

/* What comes after a product: twice the element, plus one. */
typedef struct Taken {
    int64_t m, n, ldc;
    bool f64, kept;
    double *out;
    int32_t *visits;
} Taken;

static void take(const void *data, int64_t row, int64_t row_end, int64_t column, int64_t column_end,
                 void *block)
{
    const Taken *t = data;
    int64_t ld = t->kept ? t->ldc : NND_BLOCK_COLUMNS;
    bool within = row >= 0 && row_end <= t->m && column >= 0 && column_end <= t->n;
    if (!within || (!t->kept && row_end - row > NND_BLOCK_ROWS)) return;
    for (int64_t i = row; i < row_end; i++)
        for (int64_t j = column; j < column_end; j++) {
            int64_t at = (i - row) * ld + j - column;
            double c = t->f64 ? ((double *)block)[at] : (double)((float *)block)[at];
            t->out[i * t->n + j] = 2 * c + 1;
            t->visits[i * t->n + j]++;
        }
}

/* NAME: whether every element is taken once, and is what the product has without anything after it
 * (whose errors are tested above). */
#define PRODUCT_AFTER(NAME, REAL, FILLED, CALL)                                                    \
    static bool NAME(bool ta, bool tb, int64_t m, int64_t n, int64_t k, bool kept, NndIsa isa)     \
    {                                                                                              \
        int64_t lda = ta ? m : k, ldb = tb ? k : n, ldc = n + 3, count = m * n;                    \
        REAL *a = FILLED(m * k + 1, 1), *b = FILLED(n * k + 1, 2);                                 \
        REAL *c = FILLED(m * ldc, 3), *plain = FILLED(m * ldc, 4);                                 \
        Taken t = {m, n, ldc, sizeof *a == sizeof(double), kept, NULL, NULL};                      \
        t.out = nnd_alloc((size_t)count * sizeof *t.out);                                          \
        t.visits = nnd_alloc((size_t)count * sizeof *t.visits);                                    \
        memset(t.visits, 0, (size_t)count * sizeof *t.visits);                                     \
        NndAfter after = {.run = take, .data = &t, .cost = 1};                                                          \
        NndPool *pool = nnd_pool_new(3);                                                           \
        nnd_pool_eager(pool);                                                                      \
        CALL(NULL, ta, tb, m, n, k, a, lda, b, ldb, plain, ldc, false, isa, NULL);                 \
        CALL(pool, ta, tb, m, n, k, a, lda, b, ldb, kept ? c : NULL, ldc, false, isa, &after);     \
        double worst = 0;                                                                          \
        bool good = true;                                                                          \
        for (int64_t i = 0; i < count; i++) {                                                      \
            double wanted = 2 * (double)plain[i / n * ldc + i % n] + 1;                            \
            worst = fmax(worst, fabs(t.out[i] - wanted));                                          \
            good = good && t.visits[i] == 1 && t.out[i] == t.out[i];                               \
            good = good && (!kept || c[i / n * ldc + i % n] == plain[i / n * ldc + i % n]);        \
        }                                                                                          \
        nnd_pool_free(pool);                                                                       \
        nnd_free(a);                                                                               \
        nnd_free(b);                                                                               \
        nnd_free(c);                                                                               \
        nnd_free(plain);                                                                           \
        nnd_free(t.out);                                                                           \
        nnd_free(t.visits);                                                                        \
        return good && worst <= (sizeof *a == sizeof(double) ? 4e-16 : 2e-7) * (double)(k + 1);    \
    }
PRODUCT_AFTER(after_f32, float, filled, nnd_gemm)
PRODUCT_AFTER(after_f64, double, filled_f64, nnd_gemm_f64)

static void test_after(void)
{
    static const int64_t shapes[][3] = {{128, 512, 784}, {784, 510, 129}, {300, 10, 900},
                                        {7, 999, 64},    {131, 33, 5},    {1, 1, 1},
                                        {113, 257, 0},   {64, 64, 64}};
    for (int i = 0; i < 64; i++) {
        const int64_t *s = shapes[i / 8];
        for (NndIsa isa = 0; isa < NND_ISA_COUNT; isa++) {
            if (!nnd_isa_here(isa)) continue;
            CU_ASSERT(after_f32(i & 1, i & 2, s[0], s[1], s[2], i & 4, isa));
            CU_ASSERT(after_f64(i & 1, i & 2, s[0], s[1], s[2], i & 4, isa));
        }
    }
}

static const UnitTest tests[] = {
    {"odd shapes, all transpositions", test_shapes},
    {"edges of tiles and blocks", test_edges},
    {"the number of threads", test_threads},
    {"what C held", test_overwrites},
    {"what comes after", test_after},
};

UNIT_MAIN("runtime: matrix products", tests)
