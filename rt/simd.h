/* simd.h -- vectors for the register tiles of emitted code: F16, F8, F4 of floats, D8, D4, D2 of
 * doubles. Compilers split what is wider than the machine's; only a fused multiply-add, which they
 * have no operator for, is written per instruction set. SPDX-License-Identifier: 0BSD */
#ifndef NND_SIMD_H
#define NND_SIMD_H

#define UNROLL _Pragma("GCC unroll 16")

/* T_LOOSE: anywhere in memory. */
#define NND_VECTOR(T, type, lanes)                                                                 \
    typedef type T __attribute__((vector_size(sizeof(type) * (lanes))));                           \
    typedef type T##_LOOSE                                                                         \
        __attribute__((vector_size(sizeof(type) * (lanes)), aligned(sizeof(type)), may_alias));
NND_VECTOR(F16, float, 16)
NND_VECTOR(F8, float, 8)
NND_VECTOR(F4, float, 4)
NND_VECTOR(D8, double, 8)
NND_VECTOR(D4, double, 4)
NND_VECTOR(D2, double, 2)

#define LOAD(T, p)      (*(const T##_LOOSE *)(p))
#define STORE(T, p, v)  (*(T##_LOOSE *)(p) = (v))
#define SPLAT(T, x)     ((x) - (T){0}) /* exact, and no subtraction is left of it */
#define FMA(T, a, b, c) FMA_##T(a, b, c)
#define KEEP(T, v)      KEEP_##T(v)
#define SUM(T, v)       SUM_##T(v)
#define SUM4(T, a, b, c, d) SUM4_##T(a, b, c, d)

/* a * b + c, with one rounding where the instruction set has such a thing. */
#ifdef __FMA__
#include <immintrin.h>
#define FMA_F4(a, b, c) ((F4)_mm_fmadd_ps((__m128)(a), (__m128)(b), (__m128)(c)))
#define FMA_D2(a, b, c) ((D2)_mm_fmadd_pd((__m128d)(a), (__m128d)(b), (__m128d)(c)))
#define FMA_F8(a, b, c) ((F8)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define FMA_D4(a, b, c) ((D4)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define FMA_F4(a, b, c) ((F4)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define FMA_D2(a, b, c) ((D2)vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
#define FMA_F8(a, b, c) ((a) * (b) + (c))
#define FMA_D4(a, b, c) ((a) * (b) + (c))
#else
#define FMA_F4(a, b, c) ((a) * (b) + (c))
#define FMA_D2(a, b, c) ((a) * (b) + (c))
#define FMA_F8(a, b, c) ((a) * (b) + (c))
#define FMA_D4(a, b, c) ((a) * (b) + (c))
#endif
#ifdef __AVX512F__
#define FMA_F16(a, b, c) ((F16)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define FMA_D8(a, b, c)  ((D8)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#else
#define FMA_F16(a, b, c) ((a) * (b) + (c))
#define FMA_D8(a, b, c)  ((a) * (b) + (c))
#endif

/* A vector that is used more than once stays in a register: gcc would load it again for every use,
 * and tiles of four columns be bound by the loads. */
#define NND_KEEP(v) __asm__("" : "+v"(v))
#define NND_FREE(v) (void)0
#if defined(__SSE2__) && defined(__GNUC__) && !defined(__clang__)
#define KEEP_F4 NND_KEEP
#define KEEP_D2 NND_KEEP
#else
#define KEEP_F4 NND_FREE
#define KEEP_D2 NND_FREE
#endif
#if defined(__AVX__) && defined(__GNUC__) && !defined(__clang__)
#define KEEP_F8 NND_KEEP
#define KEEP_D4 NND_KEEP
#else
#define KEEP_F8 NND_FREE
#define KEEP_D4 NND_FREE
#endif
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#define KEEP_F16 NND_KEEP
#define KEEP_D8  NND_KEEP
#else
#define KEEP_F16 NND_FREE
#define KEEP_D8  NND_FREE
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* how functions of other files would pass vectors */
#endif

/* The sum of all lanes, by halves; SUM4: of four vectors, which share the last steps. */
#define NND_SUM(T, type, HALF, FOUR)                                                               \
    static inline __attribute__((unused)) HALF HALVES_##T(T v)                                     \
    {                                                                                              \
        union {                                                                                    \
            T whole;                                                                               \
            HALF half[2];                                                                          \
        } a = {v};                                                                                 \
        return a.half[0] + a.half[1];                                                              \
    }                                                                                              \
    static inline __attribute__((unused)) type SUM_##T(T v)                                        \
    {                                                                                              \
        return SUM_##HALF(HALVES_##T(v));                                                          \
    }                                                                                              \
    static inline __attribute__((unused)) FOUR SUM4_##T(T a, T b, T c, T d)                        \
    {                                                                                              \
        return SUM4_##HALF(HALVES_##T(a), HALVES_##T(b), HALVES_##T(c), HALVES_##T(d));            \
    }

#ifdef __clang__
#define NND_PICK4(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define NND_PICK4(a, b, i, j, k, l) __builtin_shuffle(a, b, (NND_I4){i, j, k, l})
#endif
typedef int NND_I4 __attribute__((vector_size(16)));

static inline __attribute__((unused)) float SUM_F4(F4 v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}
static inline __attribute__((unused)) double SUM_D2(D2 v)
{
    return v[0] + v[1];
}
static inline __attribute__((unused)) F4 SUM4_F4(F4 a, F4 b, F4 c, F4 d)
{
    F4 x = NND_PICK4(a, b, 0, 1, 4, 5) + NND_PICK4(a, b, 2, 3, 6, 7);
    F4 y = NND_PICK4(c, d, 0, 1, 4, 5) + NND_PICK4(c, d, 2, 3, 6, 7);
    return NND_PICK4(x, y, 0, 2, 4, 6) + NND_PICK4(x, y, 1, 3, 5, 7);
}
static inline __attribute__((unused)) D4 SUM4_D2(D2 a, D2 b, D2 c, D2 d)
{
    return (D4){SUM_D2(a), SUM_D2(b), SUM_D2(c), SUM_D2(d)};
}
NND_SUM(F8, float, F4, F4)
NND_SUM(D4, double, D2, D4)
NND_SUM(F16, float, F8, F4)
NND_SUM(D8, double, D4, D4)

#endif
