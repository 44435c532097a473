/* gemm.c -- row-major single-precision matrix products. C is cut into blocks by its shape alone;
 * each block is one task, computed by one thread, in one order of summation: results do not depend
 * on the number of threads.
 *
 * Own kernels (BLIS, van Zee and van de Geijn 2015): a register tile of MR rows by one or two
 * vectors, one function per (MR, vectors) with literal bounds, since compilers keep accumulators in
 * registers only then; rows are split evenly among tiles, so every MR up to the largest exists. A
 * is packed only if transposed; B only if transposed or at the right edge. The instruction set is
 * chosen when running. With -DNND_BLAS the blocks go to cblas_sgemm.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

/* Nanoseconds of one multiplication, about: what decides how many threads are worth it. */
static const double gemm_cost = 0.015;

#ifdef NND_BLAS
enum { GEMM_SMALL = 100000 /* multiplications that are not cut into parts */ };
#endif

static int64_t gemm_parts(int64_t extent, int64_t most)
{
    return (extent + most - 1) / most;
}

static int64_t gemm_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* k = 0: the sum over nothing. */
static void gemm_clear(int64_t m, int64_t n, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
}

#ifdef NND_BLAS

void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc);

enum { GEMM_ROW_MAJOR = 101, GEMM_PLAIN = 111, GEMM_TRANSPOSED = 112, GEMM_MOST_PARTS = 8 };

typedef struct GemmTask {
    bool ta, tb, wide; /* wide: cut along n, not m */
    int64_t m, n, k, size;
    const float *a, *b;
    int64_t lda, ldb, ldc;
    float *c;
    bool accumulate;
} GemmTask;

static void gemm_run(const void *data, int64_t begin, int64_t end)
{
    const GemmTask *t = data;
    for (int64_t part = begin; part < end; part++) {
        int64_t at = part * t->size, here = gemm_min(t->size, (t->wide ? t->n : t->m) - at);
        int64_t row = t->wide ? 0 : at, column = t->wide ? at : 0;
        cblas_sgemm(GEMM_ROW_MAJOR, t->ta ? GEMM_TRANSPOSED : GEMM_PLAIN,
                    t->tb ? GEMM_TRANSPOSED : GEMM_PLAIN, (int)(t->wide ? t->m : here),
                    (int)(t->wide ? here : t->n), (int)t->k, 1.0f,
                    t->a + row * (t->ta ? 1 : t->lda), (int)t->lda,
                    t->b + column * (t->tb ? t->ldb : 1), (int)t->ldb, t->accumulate ? 1.0f : 0.0f,
                    t->c + row * t->ldc + column, (int)t->ldc);
    }
}

void nnd_gemm(NndPool *pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
              int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        if (!accumulate) gemm_clear(m, n, c, ldc);
        return;
    }
    GemmTask task = {.ta = ta,
                     .tb = tb,
                     .wide = n >= m,
                     .m = m,
                     .n = n,
                     .k = k,
                     .a = a,
                     .b = b,
                     .lda = lda,
                     .ldb = ldb,
                     .ldc = ldc,
                     .c = c,
                     .accumulate = accumulate};
    int64_t extent = task.wide ? n : m;
    double work = (double)m * (double)n * (double)k;
    int64_t parts = work < GEMM_SMALL ? 1 : gemm_min(GEMM_MOST_PARTS, gemm_parts(extent, 64));
    task.size = gemm_parts(gemm_parts(extent, parts), 16) * 16;
    parts = gemm_parts(extent, task.size);
    nnd_parallel(pool, gemm_run, &task, parts, work * gemm_cost / (double)parts);
}

#else

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { GEMM_MC = 112, GEMM_KC = 384, GEMM_MAX_WIDTH = 32, GEMM_MAX_ROWS = 14 };

/* c[MR][..] = (add: c +) sum_k a[i * sam + k * sak] * b[k * sbk + ..], n terms. */
typedef void GemmTile(int64_t n, const float *a, int64_t sam, int64_t sak, const float *b,
                      int64_t sbk, float *c, int64_t ldc, bool add);

typedef struct GemmIsa {
    int lanes, rows;             /* of a vector; of the largest tile */
    GemmTile *const (*tiles)[2]; /* [MR][vectors - 1] */
} GemmIsa;

/* clang-format off */
#define GEMM_EACH(i, n) _Pragma("GCC unroll 32") for (int i = 0; i < (n); i++)
#define GEMM_TILE(ISA, MR, NV)                                                                     \
    static GEMM_TARGET_##ISA void gemm_##ISA##_##MR##x##NV(                                        \
        int64_t n, const float *a, int64_t sam, int64_t sak, const float *b, int64_t sbk,          \
        float *c, int64_t ldc, bool add)                                                           \
    {                                                                                              \
        GEMM_VECTOR_##ISA acc[MR][NV], bv[NV];                                                     \
        enum { LANES = (int)sizeof(bv[0]) / 4 };                                                   \
        GEMM_EACH(i, MR) GEMM_EACH(j, NV) acc[i][j] = GEMM_SPLAT_##ISA(0.0f);                      \
        for (int64_t k = 0; k < n; k++) {                                                          \
            GEMM_EACH(j, NV) __builtin_prefetch(b + (k + 6) * sbk + j * LANES);                    \
            GEMM_EACH(j, NV) bv[j] = GEMM_LOAD_##ISA(b + k * sbk + j * LANES);                     \
            GEMM_EACH(i, MR) {                                                                     \
                GEMM_VECTOR_##ISA av = GEMM_SPLAT_##ISA(a[i * sam + k * sak]);                     \
                GEMM_EACH(j, NV) acc[i][j] = GEMM_FMA_##ISA(av, bv[j], acc[i][j]);                 \
            }                                                                                      \
        }                                                                                          \
        if (add) GEMM_EACH(i, MR) GEMM_EACH(j, NV)                                                 \
            acc[i][j] += GEMM_LOAD_##ISA(c + i * ldc + j * LANES);                                 \
        GEMM_EACH(i, MR) GEMM_EACH(j, NV) GEMM_STORE_##ISA(c + i * ldc + j * LANES, acc[i][j]);    \
    }
#define GEMM_TILES(ISA, MR) GEMM_TILE(ISA, MR, 1) GEMM_TILE(ISA, MR, 2)
#define GEMM_ROW(ISA, MR)   {gemm_##ISA##_##MR##x1, gemm_##ISA##_##MR##x2}
#define GEMM_TILES_6(ISA)                                                                          \
    GEMM_TILES(ISA, 1) GEMM_TILES(ISA, 2) GEMM_TILES(ISA, 3) GEMM_TILES(ISA, 4) GEMM_TILES(ISA, 5) \
    GEMM_TILES(ISA, 6)
#define GEMM_ROWS_6(ISA)                                                                           \
    GEMM_ROW(ISA, 1), GEMM_ROW(ISA, 2), GEMM_ROW(ISA, 3), GEMM_ROW(ISA, 4), GEMM_ROW(ISA, 5),      \
        GEMM_ROW(ISA, 6)

/* Any machine: vectors of four. */
typedef float GemmFour __attribute__((vector_size(16)));
typedef float GemmFourLoose __attribute__((vector_size(16), aligned(4), may_alias));
#define GEMM_TARGET_any
#define GEMM_VECTOR_any         GemmFour
#define GEMM_SPLAT_any(x)       ((x) - (GemmFour){0})
#define GEMM_LOAD_any(p)        (*(const GemmFourLoose *)(p))
#define GEMM_STORE_any(p, v)    (*(GemmFourLoose *)(p) = (v))
#define GEMM_FMA_any(a, b, acc) ((acc) + (a) * (b))
GEMM_TILES_6(any)
static GemmTile *const gemm_any_tiles[][2] = {{NULL, NULL}, GEMM_ROWS_6(any)};
static const GemmIsa gemm_any = {4, 6, gemm_any_tiles};

#if defined(__x86_64__)
#define GEMM_TARGET_avx2         __attribute__((target("avx2,fma")))
#define GEMM_VECTOR_avx2         __m256
#define GEMM_SPLAT_avx2(x)       _mm256_set1_ps(x)
#define GEMM_LOAD_avx2(p)        _mm256_loadu_ps(p)
#define GEMM_STORE_avx2(p, v)    _mm256_storeu_ps(p, v)
#define GEMM_FMA_avx2(a, b, acc) _mm256_fmadd_ps(a, b, acc)
GEMM_TILES_6(avx2)
static GemmTile *const gemm_avx2_tiles[][2] = {{NULL, NULL}, GEMM_ROWS_6(avx2)};
static const GemmIsa gemm_avx2 = {8, 6, gemm_avx2_tiles};

#ifdef __clang__
#define GEMM_TARGET_avx512 __attribute__((target("avx512f"), __min_vector_width__(512)))
#else
#define GEMM_TARGET_avx512 __attribute__((target("avx512f,prefer-vector-width=512")))
#endif
#define GEMM_VECTOR_avx512         __m512
#define GEMM_SPLAT_avx512(x)       _mm512_set1_ps(x)
#define GEMM_LOAD_avx512(p)        _mm512_loadu_ps(p)
#define GEMM_STORE_avx512(p, v)    _mm512_storeu_ps(p, v)
#define GEMM_FMA_avx512(a, b, acc) _mm512_fmadd_ps(a, b, acc)
GEMM_TILES_6(avx512)
GEMM_TILES(avx512, 7) GEMM_TILES(avx512, 8) GEMM_TILES(avx512, 9) GEMM_TILES(avx512, 10)
GEMM_TILES(avx512, 11) GEMM_TILES(avx512, 12) GEMM_TILES(avx512, 13) GEMM_TILES(avx512, 14)
static GemmTile *const gemm_avx512_tiles[][2] = {
    {NULL, NULL},         GEMM_ROWS_6(avx512),  GEMM_ROW(avx512, 7),  GEMM_ROW(avx512, 8),
    GEMM_ROW(avx512, 9),  GEMM_ROW(avx512, 10), GEMM_ROW(avx512, 11), GEMM_ROW(avx512, 12),
    GEMM_ROW(avx512, 13), GEMM_ROW(avx512, 14)};
static const GemmIsa gemm_avx512 = {16, 14, gemm_avx512_tiles};
#endif
/* clang-format on */

static const GemmIsa *gemm_isa(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return &gemm_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &gemm_avx2;
#endif
    return &gemm_any;
}

/* The product, or one block of it: operands as strides, (i, k) of A at i * sam + k * sak. */
typedef struct GemmTask {
    const GemmIsa *isa;
    int64_t m, n, k;
    const float *a, *b;
    int64_t sam, sak, sbk, sbn;
    float *c;
    int64_t ldc;
    bool accumulate;
    int64_t tiles;                          /* the rows are split evenly among them */
    int64_t row_parts, column_parts, width; /* of the product: its blocks */
} GemmTask;

/* to[0 .. n) = from[0 .. n): short runs, by vectors of four of which the last two may overlap. */
static inline void gemm_copy(float *to, const float *from, int64_t n)
{
    if (n < 4) {
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i];
        return;
    }
    for (int64_t i = 0; i + 4 < n; i += 4)
        GEMM_STORE_any(to + i, GEMM_LOAD_any(from + i));
    GEMM_STORE_any(to + n - 4, GEMM_LOAD_any(from + n - 4));
}

#ifdef __clang__
#define GEMM_PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t GemmMask __attribute__((vector_size(16)));
#define GEMM_PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (GemmMask){i, j, k, l})
#endif

/* to[k * width + j] = from[j * step + k] for four j and four k. */
static inline void gemm_transpose(float *to, int64_t width, const float *from, int64_t step)
{
    GemmFour a = GEMM_LOAD_any(from), b = GEMM_LOAD_any(from + step);
    GemmFour c = GEMM_LOAD_any(from + 2 * step), d = GEMM_LOAD_any(from + 3 * step);
    GemmFour ab = GEMM_PICK(a, b, 0, 4, 1, 5);
    GemmFour cd = GEMM_PICK(c, d, 0, 4, 1, 5);
    GemmFour ab2 = GEMM_PICK(a, b, 2, 6, 3, 7);
    GemmFour cd2 = GEMM_PICK(c, d, 2, 6, 3, 7);
    GEMM_STORE_any(to, GEMM_PICK(ab, cd, 0, 1, 4, 5));
    GEMM_STORE_any(to + width, GEMM_PICK(ab, cd, 2, 3, 6, 7));
    GEMM_STORE_any(to + 2 * width, GEMM_PICK(ab2, cd2, 0, 1, 4, 5));
    GEMM_STORE_any(to + 3 * width, GEMM_PICK(ab2, cd2, 2, 3, 6, 7));
}

/* packed[k][width] = b(k, column + j), zeros beyond the columns there are. */
static void gemm_pack_b(const GemmTask *t, int64_t k0, int64_t kc, int64_t column, int64_t width,
                        int64_t columns, float *packed)
{
    const float *b = t->b + k0 * t->sbk + column * t->sbn;
    int64_t whole_j = t->sbk == 1 ? columns / 4 * 4 : 0, whole_k = t->sbk == 1 ? kc / 4 * 4 : 0;
    for (int64_t k = 0; k < whole_k; k += 4)
        for (int64_t j = 0; j < whole_j; j += 4)
            gemm_transpose(packed + k * width + j, width, b + j * t->sbn + k, t->sbn);
    for (int64_t k = 0; k < kc; k++) {
        float *to = packed + k * width;
        int64_t done = k < whole_k ? whole_j : 0;
        if (t->sbn == 1) {
            gemm_copy(to, b + k * t->sbk, columns);
            done = columns;
        }
        for (int64_t j = done; j < width; j++)
            to[j] = j < columns ? b[k * t->sbk + j * t->sbn] : 0;
    }
}

/* packed[first row of the tile * kc + k * rows + i] = a(row + i, k) for all tiles. */
static void gemm_pack_a(const GemmTask *t, int64_t k0, int64_t kc, float *packed)
{
    for (int64_t tile = 0, row = 0; tile < t->tiles; tile++) {
        int64_t rows = t->m * (tile + 1) / t->tiles - row;
        float *to = packed + row * kc;
        const float *from = t->a + row * t->sam + k0 * t->sak;
        for (int64_t k = 0; k < kc; k++)
            gemm_copy(to + k * rows, from + k * t->sak, rows);
        row += rows;
    }
}

/* All row tiles of one panel of `columns` columns; b, sbk: the panel, packed or not. */
static void gemm_panel(const GemmTask *t, int64_t kc, const float *a, bool packed, const float *b,
                       int64_t sbk, int64_t column, int64_t columns, bool add)
{
    int lanes = t->isa->lanes, vectors = columns > lanes ? 2 : 1;
    bool edge = columns < vectors * lanes;
    for (int64_t tile = 0, row = 0; tile < t->tiles; tile++) {
        int64_t rows = t->m * (tile + 1) / t->tiles - row;
        GemmTile *run = t->isa->tiles[rows][vectors - 1];
        const float *ta = packed ? a + row * kc : a + row * t->sam;
        int64_t sam = packed ? 1 : t->sam, sak = packed ? rows : t->sak;
        float *c = t->c + row * t->ldc + column;
        if (!edge) {
            run(kc, ta, sam, sak, b, sbk, c, t->ldc, add);
        } else {
            float square[GEMM_MAX_ROWS * GEMM_MAX_WIDTH];
            run(kc, ta, sam, sak, b, sbk, square, vectors * lanes, false);
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < columns; j++) {
                    float sum = square[i * vectors * lanes + j];
                    c[i * t->ldc + j] = add ? sum + c[i * t->ldc + j] : sum;
                }
        }
        row += rows;
    }
}

/* One block, at most GEMM_MC rows if A is packed. */
static void gemm_block(const GemmTask *t)
{
    float packed_a[GEMM_MC * GEMM_KC], packed_b[GEMM_KC * GEMM_MAX_WIDTH];
    int64_t blocks = gemm_parts(t->k, GEMM_KC), width = 2 * t->isa->lanes;
    bool pack_a = t->sak != 1;
    for (int64_t block = 0; block < blocks; block++) {
        int64_t k0 = t->k * block / blocks, kc = t->k * (block + 1) / blocks - k0;
        bool add = block > 0 || t->accumulate;
        if (pack_a) gemm_pack_a(t, k0, kc, packed_a);
        const float *a = pack_a ? packed_a : t->a + k0;
        for (int64_t column = 0; column < t->n; column += width) {
            int64_t columns = gemm_min(width, t->n - column);
            int64_t padded = columns > t->isa->lanes ? width : t->isa->lanes;
            bool pack_b = t->sbn != 1 || columns < padded;
            if (pack_b) gemm_pack_b(t, k0, kc, column, padded, columns, packed_b);
            const float *b = pack_b ? packed_b : t->b + k0 * t->sbk + column;
            gemm_panel(t, kc, a, pack_a, b, pack_b ? padded : t->sbk, column, columns, add);
        }
    }
}

static void gemm_run(const void *data, int64_t begin, int64_t end)
{
    const GemmTask *all = data;
    for (int64_t part = begin; part < end; part++) {
        GemmTask t = *all;
        int64_t i = part / all->column_parts, column = part % all->column_parts * all->width;
        int64_t row = all->m * i / all->row_parts;
        t.m = all->m * (i + 1) / all->row_parts - row;
        t.n = gemm_min(all->width, all->n - column);
        t.a += row * t.sam;
        t.b += column * t.sbn;
        t.c += row * t.ldc + column;
        t.tiles = gemm_parts(t.m, t.isa->rows);
        gemm_block(&t);
    }
}

void nnd_gemm(NndPool *pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
              int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        if (!accumulate) gemm_clear(m, n, c, ldc);
        return;
    }
    GemmTask all = {.isa = gemm_isa(), .m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .ldc = ldc};
    all.accumulate = accumulate;
    all.sam = ta ? 1 : lda;
    all.sak = ta ? lda : 1;
    all.sbk = tb ? 1 : ldb;
    all.sbn = tb ? ldb : 1;
    /* more rows where columns of B are packed for each block of them */
    all.row_parts = gemm_parts(m, all.sak == 1 && all.sbn != 1 ? 2 * GEMM_MC : GEMM_MC);
    int64_t most = all.row_parts * gemm_parts(n, 256) >= 8 ? 256 : 128;
    all.width = gemm_parts(gemm_parts(n, gemm_parts(n, most)), GEMM_MAX_WIDTH) * GEMM_MAX_WIDTH;
    all.column_parts = gemm_parts(n, all.width);
    int64_t parts = all.row_parts * all.column_parts;
    double work = (double)m * (double)n * (double)k;
    nnd_parallel(pool, gemm_run, &all, parts, work * gemm_cost / (double)parts);
}

#undef GEMM_PICK
#undef GEMM_EACH
#undef GEMM_TILE
#undef GEMM_TILES
#undef GEMM_ROW
#undef GEMM_TILES_6
#undef GEMM_ROWS_6
#undef GEMM_TARGET_any
#undef GEMM_VECTOR_any
#undef GEMM_SPLAT_any
#undef GEMM_LOAD_any
#undef GEMM_STORE_any
#undef GEMM_FMA_any
#if defined(__x86_64__)
#undef GEMM_TARGET_avx2
#undef GEMM_VECTOR_avx2
#undef GEMM_SPLAT_avx2
#undef GEMM_LOAD_avx2
#undef GEMM_STORE_avx2
#undef GEMM_FMA_avx2
#undef GEMM_TARGET_avx512
#undef GEMM_VECTOR_avx512
#undef GEMM_SPLAT_avx512
#undef GEMM_LOAD_avx512
#undef GEMM_STORE_avx512
#undef GEMM_FMA_avx512
#endif

#endif /* NND_BLAS */
