/* vmath_bits.c -- a program that test_vmath.c compiles in several ways: prints a hash of what loops
 * over the functions of rt/vmath.h give at floats of all sizes. NOT_VECTOR: without vector code. */
#include "vmath_f64.h"

#include <stdio.h>

#ifdef NOT_VECTOR
#define LOOP for (volatile int i = 0; i < N; i++)
#else
#define LOOP _Pragma("omp simd") for (int i = 0; i < N; i++)
#endif

enum { N = 4093 }; /* a remainder of every width */

static float x[N], y[N], out[N];
static double x_f64[N], y_f64[N], out_f64[N];

#define MAP(name, value)                                                                           \
    static void name(void)                                                                         \
    {                                                                                              \
        LOOP out[i] = value;                                                                       \
    }
MAP(map_exp, nnd_expf(x[i]))
MAP(map_log, nnd_logf(x[i]))
MAP(map_tanh, nnd_tanhf(x[i]))
MAP(map_sigmoid, nnd_sigmoid(x[i]))
MAP(map_log1p, nnd_log1pf(x[i]))
MAP(map_expm1, nnd_expm1f(x[i]))
MAP(map_sin, nnd_sinf(x[i]))
MAP(map_cos, nnd_cosf(x[i]))
MAP(map_tan, nnd_tanf(x[i]))
MAP(map_erf, nnd_erff(x[i]))
MAP(map_pow, nnd_powf(x[i], y[i]))

MAP(map_sinh, nnd_sinhf(x[i]))
MAP(map_cosh, nnd_coshf(x[i]))
MAP(map_asin, nnd_asinf(x[i]))
MAP(map_acos, nnd_acosf(x[i]))
MAP(map_atan, nnd_atanf(x[i]))
MAP(map_atan2, nnd_atan2f(x[i], y[i]))

#define MAP_F64(name, value)                                                                       \
    static void name(void)                                                                         \
    {                                                                                              \
        LOOP out_f64[i] = value;                                                                   \
    }
MAP_F64(map_exp_f64, nnd_exp(x_f64[i]))
MAP_F64(map_expm1_f64, nnd_expm1(x_f64[i]))
MAP_F64(map_log_f64, nnd_log(x_f64[i]))
MAP_F64(map_log1p_f64, nnd_log1p(x_f64[i]))
MAP_F64(map_tanh_f64, nnd_tanh(x_f64[i]))
MAP_F64(map_sigmoid_f64, nnd_logistic(x_f64[i]))
MAP_F64(map_sinh_f64, nnd_sinh(x_f64[i]))
MAP_F64(map_cosh_f64, nnd_cosh(x_f64[i]))
MAP_F64(map_sin_f64, nnd_sin(x_f64[i]))
MAP_F64(map_cos_f64, nnd_cos(x_f64[i]))
MAP_F64(map_tan_f64, nnd_tan(x_f64[i]))
MAP_F64(map_asin_f64, nnd_asin(x_f64[i]))
MAP_F64(map_acos_f64, nnd_acos(x_f64[i]))
MAP_F64(map_atan_f64, nnd_atan(x_f64[i]))
MAP_F64(map_erf_f64, nnd_erf(x_f64[i]))
MAP_F64(map_pow_f64, nnd_pow(x_f64[i], y_f64[i]))
MAP_F64(map_atan2_f64, nnd_atan2(x_f64[i], y_f64[i]))

/* Every second double is of another size, the others within 8. */
static uint64_t hash_f64(uint64_t hash, uint32_t round)
{
    static void (*const maps[])(void) = {
        map_exp_f64,  map_expm1_f64, map_log_f64, map_log1p_f64, map_tanh_f64, map_sigmoid_f64,
        map_sinh_f64, map_cosh_f64,  map_sin_f64, map_cos_f64,   map_tan_f64,  map_asin_f64,
        map_acos_f64, map_atan_f64,  map_erf_f64, map_pow_f64,   map_atan2_f64};
    for (uint32_t i = 0; i < N; i++) {
        uint64_t bits = (round * N + i) * UINT64_C(0x9E3779B97F4A7C15);
        bits ^= bits >> 31;
        x_f64[i] = i % 2 ? nnd_double_of_bits(bits) : (double)(int64_t)bits * 0x1p-60;
        y_f64[i] = (double)(int64_t)(bits * UINT64_C(0xBF58476D1CE4E5B9)) * 0x1p-58;
    }
    for (size_t m = 0; m < sizeof maps / sizeof *maps; m++) {
        maps[m]();
        for (int i = 0; i < N; i++) {
            uint64_t bits = out_f64[i] != out_f64[i] ? 1 : nnd_bits_of_double(out_f64[i]);
            hash = (hash ^ bits) * UINT64_C(0x100000001b3);
        }
    }
    return hash;
}

int main(void)
{
    static void (*const maps[])(void) = {
        map_exp, map_log, map_tanh, map_sigmoid, map_log1p, map_expm1, map_sin,  map_cos,  map_tan,
        map_erf, map_pow, map_sinh, map_cosh,    map_asin,  map_acos,  map_atan, map_atan2};
    uint64_t hash = 0;
    for (uint32_t round = 0; round < 64; round++) {
        for (uint32_t i = 0; i < N; i++) {
            uint32_t bits = (round * N + i) * 16411u; /* 64 * 4093 * 16411 is about 2^32 */
            x[i] = nnd_float_of_bits(bits);
            y[i] = (float)((int32_t)(bits * 2654435761u >> 8) - (1 << 23)) * 0x1p-19f;
        }
        for (size_t m = 0; m < sizeof maps / sizeof *maps; m++) {
            maps[m]();
            for (int i = 0; i < N; i++) {
                uint32_t bits = out[i] != out[i] ? 0x7fc00000u : nnd_bits_of_float(out[i]);
                hash = (hash ^ bits) * UINT64_C(0x100000001b3);
            }
        }
        if (round % 8 == 0) hash = hash_f64(hash, round);
    }
    printf("%016llx\n", (unsigned long long)hash);
    return 0;
}
