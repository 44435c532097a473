/* vmath.h -- exp, log and tanh without branches, calls or tables, so that loops over them become
 * vector code. SPDX-License-Identifier: 0BSD
 *
 * S. Moshier, Cephes mathematical library (single precision): argument reduction by multiples of
 * log 2 in two parts, polynomials of least maximum error. Largest errors, over all floats, in units
 * of the last place: exp 1.0, log 0.9, tanh 1.5. Infinities, NaN, zeros and denormal numbers are as
 * in C. Include it after math.h: expf, logf and tanhf mean these functions from here on. */
#ifndef NND_VMATH_H
#define NND_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float nnd_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t nnd_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* e^x = 2^n e^r with n whole, modulo 2^32 as everything on it, and |r| <= log(2) / 2: e^r. */
static inline float nnd_exp_parts(float x, uint32_t *n)
{
    float shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to a whole number */
    *n = nnd_bits_of_float(shifted) - 0x4b400000u;
    float whole = shifted - 12582912.0f;
    float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * r * r + r) + 1.0f;
}

/* 2^n in two factors, since n may be -150 or 128. */
static inline float nnd_expf(float x)
{
    float t = x < -104.0f ? -104.0f : x;
    uint32_t n;
    float e = nnd_exp_parts(t > 89.0f ? 89.0f : t, &n);
    uint32_t half = ((n + 1024u) >> 1) - 512u; /* n / 2 rounded down */
    float a = nnd_float_of_bits((half + 127u) << 23);
    float b = nnd_float_of_bits((n - half + 127u) << 23);
    return e * a * b;
}

/* log x = e log 2 + log m with m in [sqrt(1/2), sqrt(2)). */
static inline float nnd_logf(float x)
{
    float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x; /* denormal: times 2^23 */
    float offset = x < 1.17549435e-38f ? -23.0f : 0.0f;
    uint32_t i = nnd_bits_of_float(scaled) - 0x3f3504f3u;
    float e = (float)((int32_t)i >> 23) + offset;
    float f = nnd_float_of_bits((i & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
    float z = f * f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float y = f * z * p + e * -2.12194440e-4f - 0.5f * z;
    y = (f + y) + e * 0.693359375f;
    y = x > 3.4028234e38f ? x : y; /* inf */
    y = x == 0.0f ? -INFINITY : y;
    return x >= 0.0f ? y : NAN;
}

/* A polynomial below 0.625, 1 - 2 / (e^2x + 1) above. */
static inline float nnd_tanhf(float x)
{
    float a = fabsf(x), z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near = p * z * x + x;
    uint32_t n; /* at most 29: added to the exponent */
    float e = nnd_exp_parts(2.0f * (a > 10.0f ? 10.0f : a), &n);
    float far = 1.0f - 2.0f / (nnd_float_of_bits(nnd_bits_of_float(e) + (n << 23)) + 1.0f);
    far = x < 0.0f ? -far : far;
    far = a < 0.625f ? near : far;
    return z > 0.0f ? far : x; /* 0 with its sign, NaN */
}

#define expf(x)  nnd_expf(x)
#define logf(x)  nnd_logf(x)
#define tanhf(x) nnd_tanhf(x)

#endif
