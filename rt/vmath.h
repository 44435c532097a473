/* vmath.h -- exp, log, tanh, sigmoid, log1p, expm1, pow, sin, cos, tan, erf, sinh, cosh, asin, acos,
 * atan and atan2 of floats without branches, calls or tables, so that loops over them become vector
 * code. With -ffp-contract=off they give the same bits from every compiler, at every level of
 * optimisation, on every machine that has fused multiply-add; on others exp, log, tanh, sigmoid, sinh
 * and cosh may differ in the last bit. SPDX-License-Identifier: 0BSD
 *
 * S. Moshier, Cephes mathematical library (single precision): argument reduction by multiples of
 * log 2 in two parts, polynomials of least maximum error; J.-M. Muller, Elementary Functions, 3rd
 * edition 2016. Those that would lose too much in float arithmetic compute in double. Largest errors,
 * over all floats, in units of the last place (make check-vmath): exp 0.992, log 0.834, tanh 2.458,
 * sigmoid 2.402, erf 0.514, sinh 2.228, cosh 1.454, asin 2.350, acos 1.116, atan 1.890, sin, cos, tan,
 * log1p and expm1 0.500; pow 0.500 and atan2 1.989 of 2^28 pairs. Infinities, NaN, zeros and denormal
 * numbers are as in C. Include it after math.h: expf and the others mean these functions from here
 * on. */
#ifndef NND_VMATH_H
#define NND_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* x y + z, rounded once where the machine can; and 1 + r + p r^2 with the least error. */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
#define NND_FMA(x, y, z)  __builtin_fmaf(x, y, z)
#define NND_EXP_END(p, r) NND_FMA(NND_FMA(p, r, 1.0f), r, 1.0f)
#else
#define NND_FMA(x, y, z)  ((x) * (y) + (z))
#define NND_EXP_END(p, r) (((p) * (r) * (r) + (r)) + 1.0f)
#endif

/* A call that is left in a loop keeps it from being vector code. */
#define NND_VMATH static inline __attribute__((always_inline))

NND_VMATH float nnd_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

NND_VMATH uint32_t nnd_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* e^x = 2^n e^r with n whole, modulo 2^32 as everything on it, and |r| <= log(2) / 2; p so that
 * e^r = 1 + r + p r^2. */
NND_VMATH float nnd_exp_parts(float x, uint32_t *n, float *r)
{
    float shifted = NND_FMA(x, 1.44269504f, 12582912.0f); /* 1.5 * 2^23: rounds to a whole number */
    *n = nnd_bits_of_float(shifted) - 0x4b400000u;
    float whole = shifted - 12582912.0f;
    *r = NND_FMA(whole, 2.12194440e-4f, NND_FMA(whole, -0.693359375f, x));
    float p = 1.9875691500e-4f;
    p = NND_FMA(p, *r, 1.3981999507e-3f);
    p = NND_FMA(p, *r, 8.3334519073e-3f);
    p = NND_FMA(p, *r, 4.1665795894e-2f);
    p = NND_FMA(p, *r, 1.6666665459e-1f);
    return NND_FMA(p, *r, 5.0000001201e-1f);
}

/* e^r */
NND_VMATH float nnd_exp_rest(float x, uint32_t *n)
{
    float r, p = nnd_exp_parts(x, n, &r);
    return NND_EXP_END(p, r);
}

/* e^r - 1 */
NND_VMATH float nnd_expm1_rest(float x, uint32_t *n)
{
    float r, p = nnd_exp_parts(x, n, &r);
    return NND_FMA(p * r, r, r);
}

/* 2^n in two factors, since n may be -150 or 128: 2^(n + 64) and 2^-64, or 2^(n - 64) and 2^64. */
NND_VMATH float nnd_expf(float x)
{
    uint32_t n;
    float e = nnd_exp_rest(x < -104.0f ? -104.0f : x, &n);
    float a = nnd_float_of_bits((n + (x < 0.0f ? 191u : 63u)) << 23);
    float y = e * a * (x < 0.0f ? 0x1p-64f : 0x1p64f);
    return x > 89.0f ? INFINITY : y;
}

/* e^x for x <= 0. */
NND_VMATH float nnd_exp_down(float x)
{
    uint32_t n;
    float e = nnd_exp_rest(x < -104.0f ? -104.0f : x, &n);
    return e * nnd_float_of_bits((n + 191u) << 23) * 0x1p-64f;
}

/* log x = e log 2 + log m with m in [sqrt(1/2), sqrt(2)). */
NND_VMATH float nnd_logf(float x)
{
    float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x; /* denormal: times 2^23 */
    float offset = x < 1.17549435e-38f ? -23.0f : 0.0f;
    uint32_t i = nnd_bits_of_float(scaled) - 0x3f3504f3u;
    float e = (float)((int32_t)i >> 23) + offset;
    float f = nnd_float_of_bits((i & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
    float z = f * f;
    float p = 7.0376836292e-2f;
    p = NND_FMA(p, f, -1.1514610310e-1f);
    p = NND_FMA(p, f, 1.1676998740e-1f);
    p = NND_FMA(p, f, -1.2420140846e-1f);
    p = NND_FMA(p, f, 1.4249322787e-1f);
    p = NND_FMA(p, f, -1.6668057665e-1f);
    p = NND_FMA(p, f, 2.0000714765e-1f);
    p = NND_FMA(p, f, -2.4999993993e-1f);
    p = NND_FMA(p, f, 3.3333331174e-1f);
    float y = NND_FMA(f * z, p, NND_FMA(e, -2.12194440e-4f, -0.5f * z));
    y = NND_FMA(e, 0.693359375f, f + y);
    y = x > 3.4028234e38f ? x : y; /* inf */
    y = x == 0.0f ? -INFINITY : y;
    return x >= 0.0f ? y : NAN;
}

/* The sign of `sign`, which is 0 or positive else. */
NND_VMATH float nnd_with_sign_f32(float x, float sign)
{
    return nnd_float_of_bits(nnd_bits_of_float(x) | (nnd_bits_of_float(sign) & 0x80000000u));
}

/* m / (m + 2) with m = e^2|x| - 1 = 2^n (e^r - 1) + (2^n - 1): one formula for all x. */
NND_VMATH float nnd_tanhf(float x)
{
    float a = fabsf(x), t = a > 10.0f ? 10.0f : a;
    uint32_t n; /* at most 29 */
    float e = nnd_expm1_rest(t + t, &n);
    float scale = nnd_float_of_bits((n << 23) + 0x3f800000u);
    float m = e * scale + (scale - 1.0f), y = m / (m + 2.0f);
    return nnd_with_sign_f32(y, x);
}

/* e^x / (1 + e^x) of -|x|, and 1 less that: nothing overflows, results below 2^-126 are right. */
NND_VMATH float nnd_sigmoid(float x)
{
    float e = nnd_exp_down(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* (m + m / (m + 1)) / 2 with m = e^|x| - 1, of quarters, so that nothing overflows too early. */
NND_VMATH float nnd_sinhf(float x)
{
    float a = fabsf(x);
    uint32_t n; /* at most 129 */
    float e = nnd_expm1_rest(a > 89.5f ? 89.5f : a, &n);
    float scale = nnd_float_of_bits((n + 125u) << 23);
    float m = e * scale + (scale - 0.25f), y = 2.0f * (m + m / (4.0f * m + 1.0f));
    return nnd_with_sign_f32(a < 0x1p-13f ? a : y, x);
}

NND_VMATH float nnd_coshf(float x)
{
    float a = fabsf(x);
    uint32_t n;
    float e = nnd_expm1_rest(a > 89.5f ? 89.5f : a, &n);
    float scale = nnd_float_of_bits((n + 125u) << 23), m = e * scale + scale;
    return 2.0f * (m + 0.0625f / m);
}

/* The angle of (b, a), both >= 0, of (-b, a) where left > 0: between 0 and pi/8 as it is, up to
 * 3 pi/8 seen from pi/4, else from pi/2. */
NND_VMATH float nnd_anglef(float a, float b, float left)
{
    float middle = a > 0.41421357f * b ? 1.0f : 0.0f;
    float steep = a > 2.4142135f * b ? 1.0f : 0.0f;
    float num = middle > 0.0f ? a - b : a, den = middle > 0.0f ? a + b : b;
    num = steep > 0.0f ? -b : num;
    den = steep > 0.0f ? a : den;
    float q = num / (den == 0.0f ? 1.0f : den), z = q * q;
    float p = -0.0645150989f;
    p = p * z + 0.107436053f;
    p = p * z - 0.142639443f;
    p = p * z + 0.199995399f;
    p = p * z - 0.333333313f;
    float turns = 0.25f * (middle + steep); /* of pi; only 3/4 pi rounds */
    turns = left > 0.0f ? 1.0f - turns : turns;
    q = left > 0.0f ? -q : q;
    float high = turns * 3.14159274f, low = turns * -8.742278e-08f;
    high = turns == 0.75f ? 2.3561945f : high;
    low = turns == 0.75f ? -5.96244032e-09f : low;
    return high + (q + (p * z * q + low));
}

NND_VMATH float nnd_atanf(float x)
{
    return nnd_with_sign_f32(nnd_anglef(fabsf(x), 1.0f, 0.0f), x);
}

NND_VMATH float nnd_atan2f(float y, float x)
{
    float a = fabsf(y), b = fabsf(x), scale = ((a > 0x1p120f) | (b > 0x1p120f)) ? 0x1p-20f : 1.0f;
    float both = ((a == INFINITY) & (b == INFINITY)) ? 1.0f : 0.0f;
    float left = nnd_bits_of_float(x) >> 31 ? 1.0f : 0.0f;
    a = both > 0.0f ? 1.0f : a * scale;
    b = both > 0.0f ? 1.0f : b * scale;
    return nnd_with_sign_f32(nnd_anglef(a, b, left), y);
}

/* asin a for 0 <= a <= 1/2; for larger a that of sqrt((1 - a) / 2), a half of acos a. */
NND_VMATH float nnd_arcf(float a)
{
    float z = a > 0.5f ? (1.0f - a) * 0.5f : a * a, s = a > 0.5f ? sqrtf(z) : a;
    float p = 0.0336908475f;
    p = p * z + 0.0171492379f;
    p = p * z + 0.0311006624f;
    p = p * z + 0.0445994027f;
    p = p * z + 0.0750009418f;
    p = p * z + 0.166666657f;
    return p * z * s + s;
}

NND_VMATH float nnd_asinf(float x)
{
    float a = fabsf(x), arc = nnd_arcf(a);
    float far = 1.57079637f - (2.0f * arc + 4.371139e-08f);
    return nnd_with_sign_f32(a > 0.5f ? far : arc, x);
}

NND_VMATH float nnd_acosf(float x)
{
    float a = fabsf(x), arc = nnd_arcf(a);
    float near = 1.57079637f - ((x < 0.0f ? -arc : arc) + 4.371139e-08f);
    float far = x < 0.0f ? 3.14159274f - (2.0f * arc + 8.742278e-08f) : 2.0f * arc;
    return a > 0.5f ? far : near;
}

/* --- in double arithmetic inside: what a float's precision would not hold on the way ------------
 */

NND_VMATH double nnd_double_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

NND_VMATH uint64_t nnd_bits_of_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 1.5 * 2^52: to add it rounds to a whole number, which is then in the low bits. */
#define NND_WHOLE 0x1.8p52

/* b where the lowest bit of `odd` is set, else a. */
NND_VMATH double nnd_pick(uint64_t odd, double a, double b)
{
    uint64_t bits = nnd_bits_of_double(a);
    return nnd_double_of_bits(bits ^ ((bits ^ nnd_bits_of_double(b)) & (0 - (odd & 1))));
}

/* 2^n for the whole number in the low bits of `shifted` (NND_WHOLE + n), |n| < 1022. */
NND_VMATH double nnd_power_of_two(double shifted)
{
    return nnd_double_of_bits((nnd_bits_of_double(shifted) + 1023) << 52);
}

/* e^r - 1 for |r| <= log(2) / 2, relative error 5e-12. */
NND_VMATH double nnd_expm1_near(double r)
{
    double p = 2.4801499562295477e-05;
    p = p * r + 0.0001990746416946148;
    p = p * r + 0.0013888978512649106;
    p = p * r + 0.008333283732032688;
    p = p * r + 0.04166666595014166;
    p = p * r + 0.16666666785420692;
    p = p * r + 0.5000000000120757;
    return (p * r + 0.9999999999955693) * r;
}

/* log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)): 2 atanh(f / (2 + f)), relative error 3e-14. */
NND_VMATH double nnd_log1p_near(double f)
{
    double s = f / (2.0 + f), z = s * s;
    double p = 0.0980485761760738;
    p = p * z + 0.11087067761448884;
    p = p * z + 0.14286084484054304;
    p = p * z + 0.19999997431735833;
    p = p * z + 0.33333333339839377;
    return (p * z + 0.9999999999999734) * (2.0 * s);
}

/* x = 2^e (1 + f), x > 0 and no denormal number: f; 1 + f is in [sqrt(1/2), sqrt(2)). */
NND_VMATH double nnd_log_parts(double x, double *e)
{
    uint64_t i = nnd_bits_of_double(x) - UINT64_C(0x3fe6a09e667f3bcd); /* sqrt(1/2) */
    uint64_t biased = (i + (UINT64_C(1) << 62)) >> 52;                 /* e + 1024 */
    *e = nnd_double_of_bits(nnd_bits_of_double(NND_WHOLE) + biased) - (NND_WHOLE + 1024.0);
    return nnd_double_of_bits((i & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd)) - 1.0;
}

NND_VMATH float nnd_log1pf(float x)
{
    double d = x, u = 1.0 + d, e;
    double f = nnd_log_parts(u, &e);
    double y = e * 0.6931471805599453 + nnd_log1p_near(e == 0.0 ? d : f);
    y = d == 0.0 || d == (double)INFINITY ? d : y;
    y = d == -1.0 ? -(double)INFINITY : y;
    return (float)(d >= -1.0 ? y : (double)NAN);
}

/* e^x - 1 = 2^n (e^r - 1) + (2^n - 1) */
NND_VMATH float nnd_expm1f(float x)
{
    double d = x, t = d < -40.0 ? -40.0 : d;
    t = t > 90.0 ? 90.0 : t;
    double shifted = t * 1.4426950408889634 + NND_WHOLE, scale = nnd_power_of_two(shifted);
    double y = scale * nnd_expm1_near(t - (shifted - NND_WHOLE) * 0.6931471805599453);
    y += scale - 1.0;
    return (float)(d == 0.0 ? d : y);
}

/* |x|^y = 2^(y log2 |x|); then the sign and what the C standard lists. */
NND_VMATH float nnd_powf(float base, float exponent)
{
    double x = base, y = exponent, e;
    double a = fabs(x);
    double f = nnd_log_parts(a, &e);
    double l = e + nnd_log1p_near(f) * 1.4426950408889634;
    l = a == 0.0 ? -(double)INFINITY : l;
    l = a == (double)INFINITY ? a : l;
    double t = a == 1.0 ? 0.0 : y * l;
    t = t < -160.0 ? -160.0 : t;
    t = t > 140.0 ? 140.0 : t;
    double shifted = t + NND_WHOLE, r = (t - (shifted - NND_WHOLE)) * 0.6931471805599453;
    double scale = nnd_power_of_two(shifted);
    double power = scale * nnd_expm1_near(r) + scale;
    /* Floats from 2^24 on are even. */
    double limited = fabs(y) < 16777216.0 ? fabs(y) : 16777216.0;
    double whole = limited + NND_WHOLE;
    uint64_t negative = nnd_bits_of_double(x) >> 63;
    double odd = nnd_pick(negative & nnd_bits_of_double(whole), power, -power);
    double broken = ((x < 0.0) & (a < (double)INFINITY)) ? (double)NAN : power;
    power = whole - NND_WHOLE == limited ? odd : broken;
    power = ((x != x) | (y != y)) ? (double)NAN : power;
    return (float)(((y == 0.0) | (x == 1.0)) ? 1.0 : power);
}

/* x = (n + f) pi / 2 with |f| <= 1/2: f pi / 2, and n modulo 4 in the low bits of *quadrant.
 *
 * M. Payne, R. Hanek: Radian reduction for trigonometric functions. SIGNUM Newsletter 18, 1983: of
 * 2^k 2/pi only what is left modulo 4 matters if x / 2^k is whole. Four k serve all floats: below
 * 2^50 k = 0. A factor is the sum of three, whose products with a float of 24 bits are exact for
 * the first two (29 bits each). Error below 2^-60. */
NND_VMATH double nnd_quarter_turns(double x, uint64_t *quadrant)
{
    double a = fabs(x);
    double high = 0x1.45f306ep-1, middle = -0x1.b1bbebp-32, low = 0x1.4fe13abe8fa9ap-59, scale = 1;
    high = a < 0x1p50 ? high : -0x1.1b1bbeap-1;
    middle = a < 0x1p50 ? middle : -0x1.ac07b16p-30;
    low = a < 0x1p50 ? low : 0x1.f47d4d377036ep-59;
    scale = a < 0x1p50 ? scale : 0x1p-27;
    high = a < 0x1p77 ? high : 0x1.4a7f09dp+0;
    middle = a < 0x1p77 ? middle : 0x1.7d1f534p-30;
    low = a < 0x1p77 ? low : 0x1.bb81b6c52b328p-59;
    scale = a < 0x1p77 ? scale : 0x1p-54;
    high = a < 0x1p104 ? high : -0x1.505c159p+0;
    middle = a < 0x1p104 ? middle : -0x1.911f924p-30;
    low = a < 0x1p104 ? low : -0x1.d6a66c3bc6fbep-59;
    scale = a < 0x1p104 ? scale : 0x1p-81;
    double s = x * scale;
    double p = s * high, q = s * middle;
    double np = p + NND_WHOLE, nq = q + NND_WHOLE;
    p -= np - NND_WHOLE;
    q -= nq - NND_WHOLE;
    double n = p + q + NND_WHOLE;
    *quadrant = nnd_bits_of_double(np) + nnd_bits_of_double(nq) + nnd_bits_of_double(n);
    double f = (p - (n - NND_WHOLE)) + q + s * low;
    return x == 0.0 ? x : f * 1.5707963267948966; /* 0 with its sign */
}

/* |r| <= pi / 4, relative error 5e-12. */
NND_VMATH double nnd_sin_near(double r)
{
    double z = r * r;
    double p = 2.7171489261907027e-06;
    p = p * z - 0.00019839177932975336;
    p = p * z + 0.008333328688738583;
    p = p * z - 0.16666666630431415;
    return (p * z + 0.999999999995448) * r;
}

NND_VMATH double nnd_cos_near(double r)
{
    double z = r * r;
    double p = -2.716793965958991e-07;
    p = p * z + 2.4798843668455378e-05;
    p = p * z - 0.00138888799315077;
    p = p * z + 0.041666666533635974;
    p = p * z - 0.4999999999927087;
    return p * z + 0.9999999999999343;
}

/* The sine of x and `turns` quarter turns. */
NND_VMATH float nnd_sine(float x, uint64_t turns)
{
    uint64_t n;
    double r = nnd_quarter_turns((double)x, &n);
    double y = nnd_pick(n + turns, nnd_sin_near(r), nnd_cos_near(r));
    return (float)nnd_pick((n + turns) >> 1, y, -y);
}

NND_VMATH float nnd_sinf(float x)
{
    return nnd_sine(x, 0);
}

NND_VMATH float nnd_cosf(float x)
{
    return nnd_sine(x, 1);
}

NND_VMATH float nnd_tanf(float x)
{
    uint64_t n;
    double r = nnd_quarter_turns((double)x, &n);
    double s = nnd_sin_near(r), c = nnd_cos_near(r);
    return (float)(nnd_pick(n, s, -c) / nnd_pick(n, c, s));
}

/* x P(x^2) / Q(x^2), relative error 9e-10; 1 - 2^-25 is reached at 3.92. */
NND_VMATH float nnd_erff(float x)
{
    double d = x, z = d * d;
    double p = -5.041313982347792e-08;
    p = p * z - 1.120770645137608e-06;
    p = p * z + 0.00029395495178971635;
    p = p * z + 0.0028056576291340812;
    p = p * z + 0.0503800430327508;
    p = p * z + 0.1637736964163821;
    p = p * z + 1.1283791680047845;
    double q = -7.268247604352287e-07;
    q = q * z + 3.7420560693152054e-05;
    q = q * z + 0.0009957029861848285;
    q = q * z + 0.013162297419272119;
    q = q * z + 0.10413925794022633;
    q = q * z + 0.4784740267190226;
    q = q * z + 1.0;
    double y = d * p / q;
    y = d > 3.95 ? 1.0 : y;
    return (float)(d < -3.95 ? -1.0 : y);
}

#define expf(x)      nnd_expf(x)
#define logf(x)      nnd_logf(x)
#define tanhf(x)     nnd_tanhf(x)
#define log1pf(x)    nnd_log1pf(x)
#define expm1f(x)    nnd_expm1f(x)
#define powf(x, y)   nnd_powf(x, y)
#define sinf(x)      nnd_sinf(x)
#define cosf(x)      nnd_cosf(x)
#define tanf(x)      nnd_tanf(x)
#define erff(x)      nnd_erff(x)
#define sinhf(x)     nnd_sinhf(x)
#define coshf(x)     nnd_coshf(x)
#define asinf(x)     nnd_asinf(x)
#define acosf(x)     nnd_acosf(x)
#define atanf(x)     nnd_atanf(x)
#define atan2f(y, x) nnd_atan2f(y, x)

#endif
