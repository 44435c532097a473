/* test_vmath_f64.c -- the functions of rt/vmath_f64.h against the C library of long doubles, at
 * doubles of all sizes and where formulas change. That they give the same bits however they are
 * compiled is test_vmath.c's. */
#include "unit.h"
#include "vmath_f64_error.h"

#include <stdio.h>

enum { SAMPLES = 60000 };

static void test_errors(void)
{
    if (!VMATH_LONG) return;
    for (int f = 0; f < VMATH_F64_FUNCTIONS; f++) {
        double worst = vmath_f64_worst(f, SAMPLES);
        if (worst > vmath_f64_functions[f].limit)
            printf("%s: %g units\n", vmath_f64_functions[f].name, worst);
        CU_ASSERT(worst <= vmath_f64_functions[f].limit);
    }
    CU_ASSERT(vmath_f64_worst_pow(SAMPLES) <= VMATH_F64_POW_LIMIT);
    CU_ASSERT(vmath_f64_worst_atan2(SAMPLES) <= VMATH_F64_ATAN2_LIMIT);
}

static const double edges[] = {
    0.0,
    0x1p-1074,
    0x1.fffffffffffffp-1023,
    0x1p-1022,
    1e-300,
    0x1p-54,
    0x1p-28,
    0.414213562,
    0.5,
    0.70710678,
    0.785398163,
    1.0,
    1.41421356,
    1.5,
    2.0,
    2.414213562,
    3.0,
    6.0,
    20.0,
    709.782712893,
    709.78271289338410,
    710.475860073,
    710.5,
    745.13321910194,
    745.2,
    746.0,
    0x1p51,
    0x1p52,
    0x1p52 + 1,
    0x1p53 - 1,
    0x1p53,
    0x1p66,
    0x1p1000,
    1e300,
    1.79769313e308,
    INFINITY,
    NAN,
    0x1.fffffffffffffp-1,
    0x1.0000000000001p0,
    1e22,
    0x1.fffffffffffffp50,
};
enum { EDGES = 2 * sizeof edges / sizeof *edges };

static double edge(int i)
{
    return i % 2 ? -edges[i / 2] : edges[i / 2];
}

static void close_to(const char *name, double x, double y, double got, long double wanted,
                     double limit)
{
    double d = vmath_f64_distance(got, wanted);
    if (d > limit) printf("%s(%a, %a) = %a: %g units\n", name, x, y, got, d);
    CU_ASSERT(d <= limit);
}

/* Where formulas change, and what the C standard has a word on; signs of zeros, too. */
static void test_edges(void)
{
    if (!VMATH_LONG) return;
    for (int i = 0; i < EDGES; i++) {
        double x = edge(i), y;
        for (int f = 0; f < VMATH_F64_FUNCTIONS; f++) {
            if (fabs(x) >= vmath_f64_functions[f].end) continue;
            vmath_f64_functions[f].all(&x, &y, 1);
            close_to(vmath_f64_functions[f].name, x, 0, y,
                     vmath_f64_functions[f].wanted((long double)x), vmath_f64_functions[f].limit);
        }
        for (int j = 0; j < EDGES; j++) {
            y = edge(j);
            close_to("pow", x, y, nnd_pow(x, y), powl((long double)x, (long double)y),
                     VMATH_F64_POW_LIMIT);
            close_to("atan2", x, y, nnd_atan2(x, y), atan2l((long double)x, (long double)y),
                     VMATH_F64_ATAN2_LIMIT);
        }
    }
}

/* Beyond 2^51 there is no sine: NaN, not just any number. */
static void test_far(void)
{
    double far[] = {0x1p51, -0x1p60, 1e300, INFINITY};
    for (int i = 0; i < 4; i++) {
        CU_ASSERT(isnan(nnd_sin(far[i])));
        CU_ASSERT(isnan(nnd_cos(far[i])));
        CU_ASSERT(isnan(nnd_tan(far[i])));
    }
}

static const UnitTest tests[] = {{"errors", test_errors}, {"edges", test_edges}, {"far", test_far}};

UNIT_MAIN("vmath of doubles", tests)
