/* scalar.h -- the scalar functions that C does not have, as the language defines them: integer
 * division that rounds down, powers of ints, saturating conversions, polygamma.
 * SPDX-License-Identifier: 0BSD
 *
 * Nothing here traps: division by zero gives 0 (programs check for it before), 32-bit arithmetic
 * wraps. The _f64 functions are the same in double precision. */
#ifndef NND_SCALAR_H
#define NND_SCALAR_H

#include <math.h>
#include <stdint.h>

/* x / y rounded down; 0 if y is 0; -2^31 / -1 wraps. */
static inline int32_t nnd_floor_div(int32_t x, int32_t y)
{
    if (y == 0) return 0;
    int64_t quotient = (int64_t)x / y;
    if (quotient * y != x && (x < 0) != (y < 0)) quotient--;
    return (int32_t)(uint32_t)quotient;
}

/* x - nnd_floor_div(x, y) * y, with the sign of y; 0 if y is 0. */
static inline int32_t nnd_floor_mod(int32_t x, int32_t y)
{
    if (y == 0) return 0;
    int64_t remainder = (int64_t)x % y;
    if (remainder != 0 && (remainder < 0) != (y < 0)) remainder += y;
    return (int32_t)remainder;
}

/* x to the power y, modulo 2^32; a negative y gives the reciprocal truncated to an int. */
static inline int32_t nnd_int_pow(int32_t x, int32_t y)
{
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    uint32_t power = (uint32_t)x, result = 1;
    for (; y > 0; y >>= 1) {
        if (y & 1) result *= power;
        power *= power;
    }
    return (int32_t)result;
}

/* Truncated towards zero; saturates; NaN gives 0. */
static inline int32_t nnd_to_int(float x)
{
    if (!(x > -2147483904.0f)) return x < 0 ? INT32_MIN : 0;
    return x < 2147483648.0f ? (int32_t)x : INT32_MAX;
}

static inline int32_t nnd_to_int_f64(double x)
{
    if (!(x > -2147483649.0)) return x < 0 ? INT32_MIN : 0;
    return x < 2147483648.0 ? (int32_t)x : INT32_MAX;
}

static inline uint8_t nnd_to_u8(float x)
{
    if (!(x > 0.0f)) return 0;
    return x < 255.0f ? (uint8_t)x : 255;
}

static inline uint8_t nnd_to_u8_f64(double x)
{
    if (!(x > 0.0)) return 0;
    return x < 255.0 ? (uint8_t)x : 255;
}

/* The logistic function; of floats: vmath.h. */
static inline double nnd_sigmoid_f64(double x)
{
    return 1 / (1 + exp(-x));
}

/* The derivative of order n + 1 of lgamma at x, n a whole number >= 0: digamma for n = 0. NaN at
 * the poles 0, -1, -2, ... and below -10000. Relative error about 1e-14. */
double nnd_polygamma_f64(double n, double x);
float nnd_polygamma(float n, float x);

#endif
