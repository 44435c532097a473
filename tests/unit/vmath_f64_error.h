/* vmath_f64_error.h -- the functions of rt/vmath_f64.h beside the C library's of long doubles,
 * where these have more bits: distances in units of the last place, and what is promised of them.
 */
#ifndef NND_VMATH_F64_ERROR_H
#define NND_VMATH_F64_ERROR_H

#include "vmath_f64.h"

#include <float.h>
#include <stdbool.h>

#define VMATH_LONG (LDBL_MANT_DIG >= 64)

static inline long double vmath_logistic(long double x)
{
    return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}

#define VMATH_F64_FUNCTION(name)                                                                   \
    static void vmath_all_##name(const double *x, double *y, int n)                                \
    {                                                                                              \
        for (int i = 0; i < n; i++)                                                                \
            y[i] = nnd_##name(x[i]);                                                               \
    }
VMATH_F64_FUNCTION(exp)
VMATH_F64_FUNCTION(expm1)
VMATH_F64_FUNCTION(log)
VMATH_F64_FUNCTION(log1p)
VMATH_F64_FUNCTION(tanh)
VMATH_F64_FUNCTION(logistic)
VMATH_F64_FUNCTION(sinh)
VMATH_F64_FUNCTION(cosh)
VMATH_F64_FUNCTION(sin)
VMATH_F64_FUNCTION(cos)
VMATH_F64_FUNCTION(tan)
VMATH_F64_FUNCTION(asin)
VMATH_F64_FUNCTION(acos)
VMATH_F64_FUNCTION(atan)
VMATH_F64_FUNCTION(erf)

static const struct {
    const char *name;
    void (*all)(const double *x, double *y, int n);
    long double (*wanted)(long double x);
    double limit, end; /* promised for |x| < end */
} vmath_f64_functions[] = {
    {"exp_f64", vmath_all_exp, expl, 1.0, INFINITY},
    {"expm1_f64", vmath_all_expm1, expm1l, 2.2, INFINITY},
    {"log_f64", vmath_all_log, logl, 0.9, INFINITY},
    {"log1p_f64", vmath_all_log1p, log1pl, 0.9, INFINITY},
    {"tanh_f64", vmath_all_tanh, tanhl, 2.6, INFINITY},
    {"sigmoid_f64", vmath_all_logistic, vmath_logistic, 2.6, INFINITY},
    {"sinh_f64", vmath_all_sinh, sinhl, 2.5, INFINITY},
    {"cosh_f64", vmath_all_cosh, coshl, 1.6, INFINITY},
    {"sin_f64", vmath_all_sin, sinl, 2.2, 0x1p51},
    {"cos_f64", vmath_all_cos, cosl, 2.2, 0x1p51},
    {"tan_f64", vmath_all_tan, tanl, 3.8, 0x1p51},
    {"asin_f64", vmath_all_asin, asinl, 2.4, INFINITY},
    {"acos_f64", vmath_all_acos, acosl, 1.3, INFINITY},
    {"atan_f64", vmath_all_atan, atanl, 2.0, INFINITY},
    {"erf_f64", vmath_all_erf, erfl, 1.7, INFINITY},
};
#define VMATH_F64_POW_LIMIT   1.6
#define VMATH_F64_ATAN2_LIMIT 2.2
enum { VMATH_F64_FUNCTIONS = sizeof vmath_f64_functions / sizeof *vmath_f64_functions };

/* Distance in units of the last place of the wanted double; huge for another sign of 0. */
static inline double vmath_f64_distance(double got, long double wanted)
{
    double rounded = (double)wanted;
    if (isnan(wanted)) return isnan(got) ? 0 : 1e9;
    if (got == rounded) return !signbit(got) == !signbit(rounded) ? 0 : 1e9;
    if (isinf(rounded) || !isfinite(got)) return 1e9;
    double unit = nextafter(fabs(rounded), INFINITY) - fabs(rounded);
    return (double)(fabsl((long double)got - wanted) / (long double)unit);
}

static inline uint64_t vmath_f64_hash(uint64_t i)
{
    i = (i + UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xBF58476D1CE4E5B9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94D049BB133111EB);
    return i ^ (i >> 31);
}

/* The i-th of many doubles: of all sizes, within 1, 10, 800 and 10^6, and of moderate sizes. */
static inline double vmath_f64_sample(uint64_t i)
{
    uint64_t h = vmath_f64_hash(i);
    double x = nnd_double_of_bits(h), u = (double)(int64_t)h * 0x1p-63;
    const double widths[] = {1, 10, 800, 1e6};
    if (i % 6 == 0) return x;
    return i % 6 < 5 ? u * widths[i % 6 - 1] : ldexp(u, (int)(vmath_f64_hash(h) % 120) - 70);
}

/* The largest distance of function f at n doubles. */
static inline double vmath_f64_worst(int f, uint64_t n)
{
    double most = 0;
    for (uint64_t i = 0; i < n; i++) {
        double x = vmath_f64_sample(i), y;
        if (fabs(x) >= vmath_f64_functions[f].end) continue;
        vmath_f64_functions[f].all(&x, &y, 1);
        double d = vmath_f64_distance(y, vmath_f64_functions[f].wanted((long double)x));
        if (d > most) most = d;
    }
    return most;
}

/* The same of pow at n pairs: also whole exponents, and bases near 1 with large ones. */
static inline double vmath_f64_worst_pow(uint64_t n)
{
    double most = 0;
    for (uint64_t i = 0; i < n; i++) {
        double x = vmath_f64_sample(i), y = vmath_f64_sample(i * 7 + 3);
        if (i % 3) x = fabs(x);
        if (i % 5 == 0) y = rint(y);
        if (i % 7 == 0 && fabs(x) < 1) x = 1 + x * 1e-7, y *= 1e8;
        double d = vmath_f64_distance(nnd_pow(x, y), powl((long double)x, (long double)y));
        if (d > most) most = d;
    }
    return most;
}

static inline double vmath_f64_worst_atan2(uint64_t n)
{
    double most = 0;
    for (uint64_t i = 0; i < n; i++) {
        double y = vmath_f64_sample(i), x = vmath_f64_sample(i * 7 + 3);
        double d = vmath_f64_distance(nnd_atan2(y, x), atan2l((long double)y, (long double)x));
        if (d > most) most = d;
    }
    return most;
}

#endif
