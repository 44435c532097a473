/* test_vmath.c -- exp, log and tanh of emitted programs against the C library in double precision,
 * over floats of all sizes. */
#include "vmath.h"
#include "unit.h"

/* Distance in units of the last place of the wanted float. */
static double distance(float got, double wanted)
{
    float rounded = (float)wanted;
    if (isnan(wanted)) return isnan(got) ? 0 : 1e9;
    if (got == rounded) return 0;
    if (isinf(rounded) || isinf(got)) return 1e9;
    double unit = (double)nextafterf(fabsf(rounded), INFINITY) - (double)fabsf(rounded);
    return fabs((double)got - wanted) / unit;
}

static double worst(float (*f)(float), double (*g)(double))
{
    double most = 0;
    for (uint64_t bits = 0; bits < UINT64_C(0x100000000); bits += 1009) {
        float x = nnd_float_of_bits((uint32_t)bits);
        double d = distance(f(x), g((double)x));
        if (d > most) most = d;
    }
    return most;
}

static void test_exp(void)
{
    CU_ASSERT(worst(nnd_expf, exp) <= 1.0);
}

static void test_log(void)
{
    CU_ASSERT(worst(nnd_logf, log) <= 0.9);
}

static void test_tanh(void)
{
    CU_ASSERT(worst(nnd_tanhf, tanh) <= 1.5);
    CU_ASSERT(signbit(nnd_tanhf(-0.0f)));
}

static const UnitTest tests[] = {{"exp", test_exp}, {"log", test_log}, {"tanh", test_tanh}};

UNIT_MAIN("vmath", tests)
