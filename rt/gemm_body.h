/* gemm_body.h -- matrix products of one type of number; gemm.c includes it once for each, with REAL,
 * GEMM(name) for its own names, GEMM_CALL and GEMM_BLAS. SPDX-License-Identifier: 0BSD */

/* k = 0: the sum over nothing. */
static void GEMM(nothing)(int64_t m, int64_t n, REAL *c, int64_t ldc, bool accumulate,
                          const NndAfter *after)
{
    REAL none[NND_BLOCK_COLUMNS] = {0};
    for (int64_t i = 0; c && !accumulate && i < m; i++)
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    for (int64_t i = 0; after && i < m; i++)
        for (int64_t j = 0; j < n; j += NND_BLOCK_COLUMNS)
            after->run(after->data, i, i + 1, j, gemm_min(n, j + NND_BLOCK_COLUMNS),
                       c ? c + i * ldc + j : none);
}

/* c[MR][..] = (add: c +) sum_k a[i * sam + k * sak] * b[k * sbk + ..], n terms. */
typedef void GEMM(Tile)(int64_t n, const REAL *a, int64_t sam, int64_t sak, const REAL *b,
                        int64_t sbk, REAL *c, int64_t ldc, bool add);

/* to[k][..] = b[k * sbk + ..], two vectors each. */
typedef void GEMM(Copy)(int64_t n, const REAL *b, int64_t sbk, REAL *to);

typedef struct GEMM(Isa) {
    int lanes, rows;                 /* of a vector; of the largest tile */
    GEMM(Tile) *const (*tiles)[2]; /* [MR][vectors - 1] */
    GEMM(Tile) *row;               /* one row of GEMM_ROW_VECTORS: of two, sums would wait for each other */
    GEMM(Copy) *copy;
} GEMM(Isa);

/* clang-format off */
#define GEMM_EACH(i, n) _Pragma("GCC unroll 32") for (int i = 0; i < (n); i++)
#define GEMM_VECTOR(ISA, bytes)                                                                    \
    typedef REAL GEMM(V_##ISA) __attribute__((vector_size(bytes)));                                \
    typedef REAL GEMM(L_##ISA) __attribute__((vector_size(bytes), aligned(sizeof(REAL)), may_alias));
#define GEMM_TILE(ISA, MR, NV)                                                                     \
    static GEMM_TARGET_##ISA void GEMM(ISA##_##MR##x##NV)(                                         \
        int64_t n, const REAL *a, int64_t sam, int64_t sak, const REAL *b, int64_t sbk,            \
        REAL *c, int64_t ldc, bool add)                                                            \
    {                                                                                              \
        GEMM(V_##ISA) acc[MR][NV], bv[NV];                                                         \
        enum { LANES = (int)(sizeof(bv[0]) / sizeof(REAL)) };                                      \
        GEMM_EACH(i, MR) GEMM_EACH(j, NV) acc[i][j] = (GEMM(V_##ISA)){0};                          \
        GEMM_EACH(i, MR) GEMM_EACH(j, NV) __builtin_prefetch(c + i * ldc + j * LANES, 1);          \
        for (int64_t k = 0; k < n; k++) {                                                          \
            GEMM_EACH(j, NV) __builtin_prefetch(b + (k + 6) * sbk + j * LANES);                    \
            GEMM_EACH(j, NV) bv[j] = *(const GEMM(L_##ISA) *)(b + k * sbk + j * LANES);            \
            GEMM_EACH(i, MR) {                                                                     \
                GEMM(V_##ISA) av = a[i * sam + k * sak] - (GEMM(V_##ISA)){0};                      \
                GEMM_EACH(j, NV) acc[i][j] = GEMM_FMA_##ISA(av, bv[j], acc[i][j]);                 \
            }                                                                                      \
        }                                                                                          \
        if (add) GEMM_EACH(i, MR) GEMM_EACH(j, NV)                                                 \
            acc[i][j] += *(const GEMM(L_##ISA) *)(c + i * ldc + j * LANES);                        \
        GEMM_EACH(i, MR) GEMM_EACH(j, NV) *(GEMM(L_##ISA) *)(c + i * ldc + j * LANES) = acc[i][j]; \
    }
#define GEMM_COPY(ISA)                                                                             \
    static GEMM_TARGET_##ISA void GEMM(ISA##_copy)(int64_t n, const REAL *b, int64_t sbk, REAL *to) \
    {                                                                                              \
        enum { LANES = (int)(sizeof(GEMM(V_##ISA)) / sizeof(REAL)) };                              \
        for (int64_t k = 0; k < n; k++, b += sbk, to += 2 * LANES)                                 \
            GEMM_EACH(j, 2) {                                                                      \
                __builtin_prefetch(b + 12 * sbk + j * LANES);                                      \
                *(GEMM(L_##ISA) *)(to + j * LANES) = *(const GEMM(L_##ISA) *)(b + j * LANES);      \
            }                                                                                      \
    }
#define GEMM_TILES(ISA, MR) GEMM_TILE(ISA, MR, 1) GEMM_TILE(ISA, MR, 2)
#define GEMM_ROW(ISA, MR)   {GEMM(ISA##_##MR##x1), GEMM(ISA##_##MR##x2)}
#define GEMM_TILES_6(ISA)                                                                          \
    GEMM_TILES(ISA, 1) GEMM_TILES(ISA, 2) GEMM_TILES(ISA, 3) GEMM_TILES(ISA, 4) GEMM_TILES(ISA, 5) \
    GEMM_TILES(ISA, 6) GEMM_TILE(ISA, 1, 8) GEMM_COPY(ISA)                                         \
    static GEMM(Tile) *const GEMM(ISA##_tiles)[][2] = {{NULL, NULL}, GEMM_ROWS_6(ISA)};            \
    static const GEMM(Isa) GEMM(ISA) = {sizeof(GEMM(V_##ISA)) / sizeof(REAL), 6, GEMM(ISA##_tiles),   \
                                        GEMM(ISA##_1x8), GEMM(ISA##_copy)};
#define GEMM_ROWS_6(ISA)                                                                           \
    GEMM_ROW(ISA, 1), GEMM_ROW(ISA, 2), GEMM_ROW(ISA, 3), GEMM_ROW(ISA, 4), GEMM_ROW(ISA, 5),      \
        GEMM_ROW(ISA, 6)
#define GEMM_TILES_14(ISA)                                                                         \
    GEMM_TILES(ISA, 1) GEMM_TILES(ISA, 2) GEMM_TILES(ISA, 3) GEMM_TILES(ISA, 4) GEMM_TILES(ISA, 5) \
    GEMM_TILES(ISA, 6) GEMM_TILES(ISA, 7) GEMM_TILES(ISA, 8) GEMM_TILES(ISA, 9)                    \
    GEMM_TILES(ISA, 10) GEMM_TILES(ISA, 11) GEMM_TILES(ISA, 12) GEMM_TILES(ISA, 13)                \
    GEMM_TILES(ISA, 14) GEMM_TILE(ISA, 1, 8) GEMM_COPY(ISA)                                        \
    static GEMM(Tile) *const GEMM(ISA##_tiles)[][2] = {                                            \
        {NULL, NULL}, GEMM_ROWS_6(ISA), GEMM_ROW(ISA, 7), GEMM_ROW(ISA, 8), GEMM_ROW(ISA, 9),      \
        GEMM_ROW(ISA, 10), GEMM_ROW(ISA, 11), GEMM_ROW(ISA, 12), GEMM_ROW(ISA, 13),                \
        GEMM_ROW(ISA, 14)};                                                                        \
    static const GEMM(Isa) GEMM(ISA) = {sizeof(GEMM(V_##ISA)) / sizeof(REAL), 14,                  \
                                        GEMM(ISA##_tiles), GEMM(ISA##_1x8), GEMM(ISA##_copy)};

GEMM_VECTOR(any, 16)
#if defined(__aarch64__) && defined(GEMM_F64)
#define GEMM_FMA_any(a, b, acc) ((GEMM(V_any))vfmaq_f64((float64x2_t)(acc), (float64x2_t)(a), (float64x2_t)(b)))
#elif defined(__aarch64__)
#define GEMM_FMA_any(a, b, acc) ((GEMM(V_any))vfmaq_f32((float32x4_t)(acc), (float32x4_t)(a), (float32x4_t)(b)))
#else
#define GEMM_FMA_any(a, b, acc) ((acc) + (a) * (b))
#endif
#if defined(__aarch64__)
GEMM_TILES_14(any)
#else
GEMM_TILES_6(any)
#endif
#if defined(__x86_64__)
#ifdef GEMM_F64
#define GEMM_FMA_avx2(a, b, acc)   ((GEMM(V_avx2))_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(acc)))
#define GEMM_FMA_avx512(a, b, acc) ((GEMM(V_avx512))_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(acc)))
#else
#define GEMM_FMA_avx2(a, b, acc)   ((GEMM(V_avx2))_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(acc)))
#define GEMM_FMA_avx512(a, b, acc) ((GEMM(V_avx512))_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(acc)))
#endif
GEMM_VECTOR(avx2, 32)
GEMM_TILES_6(avx2)
GEMM_VECTOR(avx512, 64)
GEMM_TILES_14(avx512)
#endif
/* clang-format on */

/* Four numbers anywhere in memory, for packing. */
typedef REAL GEMM(V_four) __attribute__((vector_size(4 * sizeof(REAL))));
typedef REAL GEMM(L_four)
    __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define GEMM_GET(p)    (*(const GEMM(L_four) *)(p))
#define GEMM_PUT(p, v) (*(GEMM(L_four) *)(p) = (v))

static const GEMM(Isa) *GEMM(isa)(NndIsa isa)
{
    if (isa == NND_ISA_NATIVE) isa = nnd_isa_best();
#if defined(__x86_64__)
    if (isa == NND_ISA_avx512) return &GEMM(avx512);
    if (isa == NND_ISA_avx2) return &GEMM(avx2);
#endif
    return &GEMM(any);
}

/* The product, or one block of it: operands as strides, (i, k) of A at i * sam + k * sak. */
typedef struct GEMM(Task) {
    const GEMM(Isa) *isa;
    int64_t m, n, k;
    const REAL *a, *b;
    int64_t sam, sak, sbk, sbn;
    REAL *c;
    int64_t ldc;
    bool accumulate, pack_b, turned; /* turned: (i, j) of C at i + j * ldc */
    bool last;                       /* of the blocks of its depth */
    int64_t tiles;                   /* the rows are split evenly among them */
    int64_t row_parts, column_parts, width; /* of the product: its parts */
    const NndAfter *after;
    int64_t row, column; /* of the product: where the block lies */
} GEMM(Task);

enum { GEMM(DEPTH) = GEMM_KC / (int)sizeof(REAL) };

/* to[0 .. n) = from[0 .. n): short runs, by vectors of four of which the last two may overlap. */
static inline void GEMM(copy)(REAL *to, const REAL *from, int64_t n)
{
    if (n < 4) {
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i];
        return;
    }
    for (int64_t i = 0; i + 4 < n; i += 4)
        GEMM_PUT(to + i, GEMM_GET(from + i));
    GEMM_PUT(to + n - 4, GEMM_GET(from + n - 4));
}

/* to[k * width + j] = from[j * step + k] for SQUARE values of j and of k: as many as registers of 16
 * bytes hold. */
enum { GEMM(SQUARE) = 16 / (int)sizeof(REAL) };
#ifdef GEMM_F64
static inline void GEMM(transpose)(REAL *to, int64_t width, const REAL *from, int64_t step)
{
    const GEMM(V_any) a = *(const GEMM(L_any) *)from, b = *(const GEMM(L_any) *)(from + step);
    *(GEMM(L_any) *)to = (GEMM(V_any)){a[0], b[0]};
    *(GEMM(L_any) *)(to + width) = (GEMM(V_any)){a[1], b[1]};
}
#else
#ifdef __clang__
#define GEMM_PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t GEMM(Mask) __attribute__((vector_size(16)));
#define GEMM_PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (GEMM(Mask)){i, j, k, l})
#endif
static inline void GEMM(transpose)(REAL *to, int64_t width, const REAL *from, int64_t step)
{
    const GEMM(V_four) a = GEMM_GET(from), b = GEMM_GET(from + step);
    const GEMM(V_four) c = GEMM_GET(from + 2 * step), d = GEMM_GET(from + 3 * step);
    const GEMM(V_four) ab = GEMM_PICK(a, b, 0, 4, 1, 5), cd = GEMM_PICK(c, d, 0, 4, 1, 5);
    const GEMM(V_four) ab2 = GEMM_PICK(a, b, 2, 6, 3, 7), cd2 = GEMM_PICK(c, d, 2, 6, 3, 7);
    GEMM_PUT(to, GEMM_PICK(ab, cd, 0, 1, 4, 5));
    GEMM_PUT(to + width, GEMM_PICK(ab, cd, 2, 3, 6, 7));
    GEMM_PUT(to + 2 * width, GEMM_PICK(ab2, cd2, 0, 1, 4, 5));
    GEMM_PUT(to + 3 * width, GEMM_PICK(ab2, cd2, 2, 3, 6, 7));
}
#endif

/* packed[k][width] = b(k, column + j), zeros beyond the columns there are. */
static void GEMM(pack_b)(const GEMM(Task) *t, int64_t k0, int64_t kc, int64_t column, int64_t width,
                        int64_t columns, REAL *packed)
{
    const REAL *b = t->b + k0 * t->sbk + column * t->sbn;
    if (t->sbn == 1 && columns == 2 * t->isa->lanes) {
        t->isa->copy(kc, b, t->sbk, packed);
        return;
    }
    const int64_t square = GEMM(SQUARE);
    int64_t whole_j = t->sbk == 1 ? columns / square * square : 0;
    int64_t whole_k = t->sbk == 1 ? kc / square * square : 0;
    const int64_t line = 64 / (int64_t)sizeof(REAL); /* of the cache, used up before the next */
    for (int64_t first = 0; first < whole_k; first += line)
        for (int64_t j = 0; j < whole_j; j += square) {
            for (int64_t i = 0; i < square; i++)
                __builtin_prefetch(b + (j + i) * t->sbn + first + 2 * line);
            for (int64_t k = first; k < whole_k && k < first + line; k += square)
                GEMM(transpose)(packed + k * width + j, width, b + j * t->sbn + k, t->sbn);
        }
    for (int64_t k = 0; k < kc; k++) {
        REAL *to = packed + k * width;
        int64_t done = k < whole_k ? whole_j : 0;
        if (t->sbn == 1) {
            static const REAL zeros[GEMM_MAX_WIDTH];
            GEMM(copy)(to, b + k * t->sbk, columns);
            GEMM(copy)(to + columns, zeros, width - columns);
            continue;
        }
        for (int64_t j = done; j < width; j++)
            to[j] = j < columns ? b[k * t->sbk + j * t->sbn] : 0;
    }
}

/* packed[first row of the tile * kc + k * rows + i] = a(row + i, k) for all tiles; rows of A that
 * are contiguous stay so, but not at distances that make them share a set of the cache. */
static void GEMM(pack_a)(const GEMM(Task) *t, int64_t k0, int64_t kc, REAL *packed)
{
    if (t->sak == 1) {
        for (int64_t i = 0; i < t->m; i++)
            memcpy(packed + i * (kc + GEMM_PAD), t->a + i * t->sam + k0, (size_t)kc * sizeof(REAL));
        return;
    }
    int64_t few = t->m / t->tiles, more = t->m % t->tiles; /* tiles of few + 1 rows, then of few */
    for (int64_t k = 0; k < kc; k++) {
        const REAL *from = t->a + (k0 + k) * t->sak;
        REAL *to = packed;
        for (int64_t i = 0; i < t->m; i += 64 / (int64_t)sizeof(REAL))
            __builtin_prefetch(from + 8 * t->sak + i);
        for (int64_t tile = 0; tile < t->tiles; tile++) {
            int64_t rows = few + (tile < more);
            GEMM(copy)(to + k * rows, from, rows);
            to += rows * kc;
            from += rows;
        }
    }
}

/* What comes after a tile will want these: they arrive while the tile is computed. (Compilers leave out
 * calls of functions that do nothing else.) */
static inline __attribute__((always_inline)) void GEMM(bring)(const NndAfter *after, int64_t row, int64_t rows, int64_t column,
                        int64_t columns)
{
    const int64_t line = 64 / (int64_t)sizeof(REAL);
    for (int b = 0; b < NND_BESIDE && after->beside[b]; b++)
        for (int64_t i = row; i < row + rows; i++) {
            const REAL *from = (const REAL *)after->beside[b] + i * after->step + column;
            for (int64_t j = 0; j < columns; j += line)
                __builtin_prefetch(from + j, 0, 2);
        }
}

/* All row tiles of one panel of `columns` columns, or a single row of many; b, sbk: the panel, packed or not. */
static void GEMM(panel)(const GEMM(Task) *t, int64_t kc, const REAL *a, bool packed, const REAL *b,
                       int64_t sbk, int64_t column, int64_t columns, bool add)
{
    int lanes = t->isa->lanes, vectors = columns > lanes ? 2 : 1;
    bool edge = columns < vectors * lanes || t->turned;
    int64_t few = t->m / t->tiles, more = t->m % t->tiles;
    for (int64_t tile = 0, row = 0; tile < t->tiles; tile++) {
        int64_t rows = few + (tile < more);
        GEMM(Tile) *run = columns > 2 * lanes ? t->isa->row : t->isa->tiles[rows][vectors - 1];
        bool turned = packed && t->sak != 1; /* by tiles; else rows as they were */
        int64_t sam = turned ? 1 : packed ? kc + GEMM_PAD : t->sam, sak = turned ? rows : 1;
        const REAL *ta = a + row * (turned ? kc : sam);
        if (t->last && t->after && t->turned)
            GEMM(bring)(t->after, t->column + column, columns, t->row + row, rows);
        else if (t->last && t->after)
            GEMM(bring)(t->after, t->row + row, rows, t->column + column, columns);
        REAL *c = t->c + (t->turned ? column * t->ldc + row : row * t->ldc + column);
        if (!edge) {
            run(kc, ta, sam, sak, b, sbk, c, t->ldc, add);
        } else {
            REAL square[GEMM_MAX_ROWS * GEMM_MAX_WIDTH];
            run(kc, ta, sam, sak, b, sbk, square, vectors * lanes, false);
            for (int64_t j = 0; t->turned && j < columns; j++)
                for (int64_t i = 0; i < rows; i++)
                    c[j * t->ldc + i] =
                        square[i * vectors * lanes + j] + (add ? c[j * t->ldc + i] : 0);
            for (int64_t i = 0; !t->turned && i < rows; i++) {
                REAL *sum = square + i * vectors * lanes, *to = c + i * t->ldc;
                for (int64_t j = 0; add && j < columns; j++)
                    sum[j] += to[j];
                GEMM(copy)(to, sum, columns);
            }
        }
        row += rows;
    }
}

/* What is done with rows of a part that are whole. */
static void GEMM(finish)(const GEMM(Task) *t)
{
    const NndAfter *after = t->after;
    if (t->turned)
        after->run(after->data, t->column, t->column + t->n, t->row, t->row + t->m, t->c);
    else
        after->run(after->data, t->row, t->row + t->m, t->column, t->column + t->n, t->c);
}

/* One part. Of each block of its depth, B is packed once, if it is, and A by blocks of rows. */
static void GEMM(block)(const GEMM(Task) *t)
{
    REAL packed_a[GEMM_MC * (GEMM(DEPTH) + GEMM_PAD)], packed_b[GEMM(DEPTH) * GEMM_NC];
    int64_t blocks = gemm_parts(t->k, GEMM(DEPTH)), width = 2 * t->isa->lanes;
    int64_t wide = GEMM_ROW_VECTORS * t->isa->lanes;
    int64_t row_blocks = gemm_parts(t->m, GEMM_MC);
    bool pack_a = t->sak != 1 || (t->sam * (int64_t)sizeof(REAL) % GEMM_FAR == 0 && t->n >= 128);
    for (int64_t block = 0; block < blocks; block++) {
        int64_t k0 = t->k * block / blocks, kc = t->k * (block + 1) / blocks - k0;
        for (int64_t i = 0; i < row_blocks; i++) {
            GEMM(Task) rows = *t;
            int64_t row = t->m * i / row_blocks;
            rows.m = t->m * (i + 1) / row_blocks - row;
            rows.tiles = gemm_parts(rows.m, t->isa->rows);
            rows.a += row * t->sam;
            rows.c += row * (t->turned ? 1 : t->ldc);
            rows.row += row;
            rows.last = block + 1 == blocks;
            if (pack_a) GEMM(pack_a)(&rows, k0, kc, packed_a);
            const REAL *a = pack_a ? packed_a : rows.a + k0;
            for (int64_t column = 0, columns; column < t->n; column += columns) {
                bool alone = t->m == 1 && !t->turned && !t->pack_b && t->n - column >= wide;
                columns = alone ? wide : gemm_min(width, t->n - column);
                int64_t padded = columns > t->isa->lanes ? width : t->isa->lanes;
                bool pack_b = t->pack_b || columns < padded;
                REAL *to = packed_b + column * kc;
                if (pack_b && i == 0) GEMM(pack_b)(t, k0, kc, column, padded, columns, to);
                const REAL *b = pack_b ? to : t->b + k0 * t->sbk + column;
                GEMM(panel)(&rows, kc, a, pack_a, b, pack_b ? padded : t->sbk, column, columns,
                            block > 0 || t->accumulate);
            }
            if (rows.last && t->after) GEMM(finish)(&rows);
        }
    }
}

/* The same, of a C that nobody else wants: it is there for what comes after only. */
static void GEMM(block_passing)(GEMM(Task) *t)
{
    REAL c[NND_BLOCK_ROWS * NND_BLOCK_COLUMNS];
    t->c = c;
    t->ldc = NND_BLOCK_COLUMNS;
    GEMM(block)(t);
}

/* A part has rows `part / column_parts` of the product, and columns the rest. */
static void GEMM(run)(const void *data, int64_t begin, int64_t end)
{
    const GEMM(Task) *all = data;
    for (int64_t part = begin; part < end; part++) {
        GEMM(Task) t = *all;
        int64_t i = part / all->column_parts, column = part % all->column_parts * all->width;
        int64_t row = all->m * i / all->row_parts;
        t.m = all->m * (i + 1) / all->row_parts - row;
        t.n = gemm_min(all->width, all->n - column);
        t.a += row * t.sam;
        t.b += column * t.sbn;
        t.row = row;
        t.column = column;
        bool far = t.sbk * (int64_t)sizeof(REAL) % GEMM_FAR == 0 && t.m > 3 * t.isa->rows;
        t.pack_b = t.sbn != 1 || far || t.m > GEMM_PACK_ROWS;
        if (!t.c) {
            GEMM(block_passing)(&t);
            continue;
        }
        t.c += t.turned ? column * t.ldc + row : row * t.ldc + column;
        GEMM(block)(&t);
    }
}

#ifdef NND_BLAS

typedef struct GEMM(BlasTask) {
    bool ta, tb, accumulate, wide; /* wide: cut along n, not m */
    int64_t m, n, k, size;
    const REAL *a, *b;
    int64_t lda, ldb, ldc;
    REAL *c;
    const NndAfter *after;
} GEMM(BlasTask);

static void GEMM(blas_run)(const void *data, int64_t begin, int64_t end)
{
    const GEMM(BlasTask) *t = data;
    for (int64_t part = begin; part < end; part++) {
        int64_t at = part * t->size, here = gemm_min(t->size, (t->wide ? t->n : t->m) - at);
        int64_t row = t->wide ? 0 : at, column = t->wide ? at : 0;
        GEMM_BLAS(GEMM_ROW_MAJOR, t->ta ? GEMM_TRANSPOSED : GEMM_PLAIN,
                  t->tb ? GEMM_TRANSPOSED : GEMM_PLAIN, (int)(t->wide ? t->m : here),
                  (int)(t->wide ? here : t->n), (int)t->k, 1, t->a + row * (t->ta ? 1 : t->lda),
                  (int)t->lda, t->b + column * (t->tb ? t->ldb : 1), (int)t->ldb,
                  t->accumulate ? 1 : 0, t->c + row * t->ldc + column, (int)t->ldc);
        if (t->after)
            t->after->run(t->after->data, row, row + (t->wide ? t->m : here), column,
                          column + (t->wide ? here : t->n), t->c + row * t->ldc + column);
    }
}

static void GEMM(blas)(NndPool *pool, GEMM(BlasTask) *t)
{
    double work = (double)t->m * (double)t->n * (double)t->k;
    t->wide = t->n >= t->m;
    int64_t extent = t->wide ? t->n : t->m;
    int64_t parts = work < GEMM_SMALL ? 1 : gemm_min(GEMM_MOST_PARTS, gemm_parts(extent, 64));
    t->size = gemm_parts(gemm_parts(extent, parts), 16) * 16;
    parts = gemm_parts(extent, t->size);
    double cost = work * gemm_cost / GEMM(isa)(NND_ISA_NATIVE)->lanes;
    if (t->after) cost += t->after->cost * (double)(t->m * t->n);
    nnd_parallel(pool, GEMM(blas_run), t, parts, cost / (double)parts);
}

#endif

void GEMM_CALL(NndPool *pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const REAL *a,
               int64_t lda, const REAL *b, int64_t ldb, REAL *c, int64_t ldc, bool accumulate,
               NndIsa isa, const NndAfter *after)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        GEMM(nothing)(m, n, c, ldc, accumulate, after);
        return;
    }
#ifdef NND_BLAS
    if (c && gemm_blas_wins(m, n, k, GEMM(isa)(isa)->lanes, sizeof(REAL))) {
        GEMM(BlasTask) t = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .a = a, .b = b, .c = c};
        t.lda = lda;
        t.ldb = ldb;
        t.ldc = ldc;
        t.accumulate = accumulate;
        t.after = after;
        GEMM(blas)(pool, &t);
        return;
    }
#endif
    GEMM(Task) all = {.isa = GEMM(isa)(isa), .m = m, .n = n, .k = k, .a = a, .b = b, .c = c};
    all.ldc = ldc;
    all.accumulate = accumulate && c;
    all.after = after;
    all.sam = ta ? 1 : lda;
    all.sak = ta ? lda : 1;
    all.sbk = tb ? 1 : ldb;
    all.sbn = tb ? ldb : 1;
    int64_t lanes = all.isa->lanes;
    if (ta && m >= 2 * lanes && 3 * gemm_parts(n, lanes) * lanes >= 4 * n) {
        /* the lanes of a narrow C would be idle: its rows, which A has side by side, are columns */
        all = (GEMM(Task)){.isa = all.isa, .m = n, .n = m, .k = k, .a = b, .b = a, .c = c};
        all.ldc = ldc;
        all.accumulate = accumulate && c;
        all.after = after;
        all.turned = true;
        all.sam = tb ? ldb : 1;
        all.sak = tb ? 1 : ldb;
        all.sbk = lda;
        all.sbn = 1;
        m = all.m;
        n = all.n;
    }
    /* what is packed for a part is packed again for its neighbours: parts are long where B is,
     * and wide where A is */
    bool far = all.sbn != 1 || all.sbk * (int64_t)sizeof(REAL) % GEMM_FAR == 0;
    bool long_parts = c && (all.sak == 1 || far);
    all.row_parts = gemm_parts(m, long_parts ? GEMM_MOST_ROWS : GEMM_MC);
    bool wide = all.sak != 1 || all.row_parts * gemm_parts(n, GEMM_NC) >= 8;
    int64_t most = wide && (c || !all.turned) ? GEMM_NC : GEMM_NC / 2;
    if (all.sak == 1 && all.row_parts * gemm_parts(n, most) < GEMM_FEW_PARTS) {
        /* nothing is packed twice: narrow enough for some threads, or else few enough rows */
        int64_t columns = gemm_parts(GEMM_PART_WORK, gemm_parts(m, all.row_parts) * k);
        most = gemm_min(most, columns < GEMM_MAX_WIDTH ? GEMM_MAX_WIDTH : columns);
    } else if (!far && all.row_parts * gemm_parts(n, most) < GEMM_FEW_PARTS) {
        int64_t rows = gemm_parts(GEMM_PART_WORK, n * k), tiles = 2 * all.isa->rows;
        int64_t parts = gemm_min(GEMM_FEW_PARTS, m / (rows < tiles ? tiles : rows));
        if (parts > all.row_parts) all.row_parts = parts;
    }
    all.width = gemm_parts(gemm_parts(n, gemm_parts(n, most)), GEMM_MAX_WIDTH) * GEMM_MAX_WIDTH;
    all.column_parts = gemm_parts(n, all.width);
    int64_t parts = all.row_parts * all.column_parts;
    double cost = (double)k * gemm_cost / (double)lanes + (after ? after->cost : 0);
    nnd_parallel(pool, GEMM(run), &all, parts, (double)m * (double)n * cost / (double)parts);
}

#undef GEMM_EACH
#undef GEMM_VECTOR
#undef GEMM_TILE
#undef GEMM_TILES
#undef GEMM_ROW
#undef GEMM_TILES_6
#undef GEMM_ROWS_6
#undef GEMM_TILES_14
#undef GEMM_FMA_any
#if defined(__x86_64__)
#undef GEMM_FMA_avx2
#undef GEMM_FMA_avx512
#endif
#undef GEMM_GET
#undef GEMM_PUT
#ifndef GEMM_F64
#undef GEMM_PICK
#endif

#undef REAL
#undef GEMM
#undef GEMM_CALL
#undef GEMM_BLAS
#undef GEMM_F64
