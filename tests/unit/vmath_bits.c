/* vmath_bits.c -- a program that test_vmath.c compiles in several ways: prints a hash of what loops
 * over the functions of rt/vmath.h give at floats of all sizes. NOT_VECTOR: without vector code. */
#include "vmath.h"

#include <stdio.h>

#ifdef NOT_VECTOR
#define LOOP for (volatile int i = 0; i < N; i++)
#else
#define LOOP _Pragma("omp simd") for (int i = 0; i < N; i++)
#endif

enum { N = 4093 }; /* a remainder of every width */

static float x[N], y[N], out[N];

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

int main(void)
{
    static void (*const maps[])(void) = {map_exp,   map_log,   map_tanh, map_sigmoid,
                                         map_log1p, map_expm1, map_sin,  map_cos,
                                         map_tan,   map_erf,   map_pow};
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
    }
    printf("%016llx\n", (unsigned long long)hash);
    return 0;
}
