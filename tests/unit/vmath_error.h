/* vmath_error.h -- the functions of rt/vmath.h beside the C library's in double precision:
 * distances in units of the last place, and what is promised of them. */
#ifndef NND_VMATH_ERROR_H
#define NND_VMATH_ERROR_H

#include "vmath.h"

#include <stdbool.h>

static inline double vmath_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

#define VMATH_FUNCTION(name)                                                                       \
    static void vmath_all_##name(const float *x, float *y, int n)                                  \
    {                                                                                              \
        for (int i = 0; i < n; i++)                                                                \
            y[i] = nnd_##name(x[i]);                                                               \
    }
VMATH_FUNCTION(expf)
VMATH_FUNCTION(logf)
VMATH_FUNCTION(tanhf)
VMATH_FUNCTION(sigmoid)
VMATH_FUNCTION(log1pf)
VMATH_FUNCTION(expm1f)
VMATH_FUNCTION(sinf)
VMATH_FUNCTION(cosf)
VMATH_FUNCTION(tanf)
VMATH_FUNCTION(erff)
VMATH_FUNCTION(sinhf)
VMATH_FUNCTION(coshf)
VMATH_FUNCTION(asinf)
VMATH_FUNCTION(acosf)
VMATH_FUNCTION(atanf)

static const struct {
    const char *name;
    void (*all)(const float *x, float *y, int n);
    double (*wanted)(double x);
    double limit;
} vmath_functions[] = {
    {"exp", vmath_all_expf, exp, 1.0},       {"log", vmath_all_logf, log, 0.9},
    {"tanh", vmath_all_tanhf, tanh, 2.5},    {"sigmoid", vmath_all_sigmoid, vmath_sigmoid, 2.5},
    {"log1p", vmath_all_log1pf, log1p, 0.6}, {"expm1", vmath_all_expm1f, expm1, 0.6},
    {"sin", vmath_all_sinf, sin, 0.6},       {"cos", vmath_all_cosf, cos, 0.6},
    {"tan", vmath_all_tanf, tan, 0.6},       {"erf", vmath_all_erff, erf, 0.6},
    {"sinh", vmath_all_sinhf, sinh, 2.3},    {"cosh", vmath_all_coshf, cosh, 1.5},
    {"asin", vmath_all_asinf, asin, 2.4},    {"acos", vmath_all_acosf, acos, 1.2},
    {"atan", vmath_all_atanf, atan, 1.9},
};
#define VMATH_POW_LIMIT   0.6
#define VMATH_ATAN2_LIMIT 2.2
enum { VMATH_FUNCTIONS = sizeof vmath_functions / sizeof *vmath_functions };

/* Distance in units of the last place of the wanted float; huge for another sign of 0. */
static inline double vmath_distance(float got, double wanted)
{
    float rounded = (float)wanted;
    if (isnan(wanted)) return isnan(got) ? 0 : 1e9;
    if (got == rounded) return !signbit(got) == !signbit(rounded) ? 0 : 1e9;
    if (isinf(rounded) || !isfinite(got)) return 1e9;
    double unit = (double)nextafterf(fabsf(rounded), INFINITY) - (double)fabsf(rounded);
    return fabs((double)got - wanted) / unit;
}

/* The largest distance of function f at every step-th float from bits `first` on up to `end`. */
static inline double vmath_worst(int f, uint64_t first, uint64_t end, uint64_t step)
{
    enum { BLOCK = 256 };
    float x[BLOCK], y[BLOCK];
    double most = 0;
    for (uint64_t bits = first; bits < end;) {
        int n = 0;
        for (; n < BLOCK && bits < end; n++, bits += step)
            x[n] = nnd_float_of_bits((uint32_t)bits);
        vmath_functions[f].all(x, y, n);
        for (int i = 0; i < n; i++) {
            double d = vmath_distance(y[i], vmath_functions[f].wanted((double)x[i]));
            if (d > most) most = d;
        }
    }
    return most;
}

/* The same of pow, at n pairs: floats of all sizes, results of all sizes, whole exponents. */
static inline double vmath_worst_pow(uint64_t n)
{
    double most = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t h = i * UINT64_C(0x9E3779B97F4A7C15);
        h = (h ^ (h >> 29)) * UINT64_C(0xBF58476D1CE4E5B9);
        h ^= h >> 32;
        float x = nnd_float_of_bits((uint32_t)h), y = nnd_float_of_bits((uint32_t)(h >> 32));
        if (i % 4) y = (float)((int32_t)(h >> 40) - (1 << 23)) * 0x1p-18f; /* in [-32, 32) */
        if (i % 4 == 2) x = nnd_float_of_bits(((uint32_t)h & 0x3ffffffu) + 0x3d000000u); /* to 8 */
        if (i % 4 == 3) y = rintf(y);
        double d = vmath_distance(nnd_powf(x, y), pow((double)x, (double)y));
        if (d > most) most = d;
    }
    return most;
}

/* And of atan2. */
static inline double vmath_worst_atan2(uint64_t n)
{
    double most = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t h = i * UINT64_C(0x9E3779B97F4A7C15);
        h = (h ^ (h >> 29)) * UINT64_C(0xBF58476D1CE4E5B9);
        h ^= h >> 32;
        float y = nnd_float_of_bits((uint32_t)h), x = nnd_float_of_bits((uint32_t)(h >> 32));
        if (i % 2)
            x = y * ((float)((int32_t)(h >> 40) - (1 << 23)) * 0x1p-20f); /* 8 times either way */
        double d = vmath_distance(nnd_atan2f(y, x), atan2((double)y, (double)x));
        if (d > most) most = d;
    }
    return most;
}

#endif
