/* unit.h -- the frame of a unit test: a table of functions, run by CUnit; the exit status is 1 if
 * one of them fails. */
#ifndef NND_UNIT_H
#define NND_UNIT_H

#include <CUnit/Basic.h>

#include <math.h>

typedef struct UnitTest {
    const char *name;
    CU_TestFunc run;
} UnitTest;

/* Whether a is b within a relative (or, below 1, absolute) tolerance; equal infinities and NaNs
 * are equal. */
static inline int unit_near(double a, double b, double tolerance)
{
    if (a == b || (a != a && b != b)) return 1;
    return fabs(a - b) <= tolerance * fmax(1, fabs(b));
}
#define ASSERT_NEAR(a, b) CU_ASSERT(unit_near((a), (b), 1e-12))

static inline int unit_main(const char *suite_name, const UnitTest *tests, int count)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    for (int i = 0; suite && i < count; i++) CU_add_test(suite, tests[i].name, tests[i].run);
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_ErrorCode code = suite ? CU_basic_run_tests() : CU_get_error();
    unsigned failures = CU_get_number_of_failures();
    unsigned run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    return code != CUE_SUCCESS || failures > 0 || run < (unsigned)count;
}
#define UNIT_MAIN(suite_name, tests)                                                               \
    int main(void)                                                                                 \
    {                                                                                              \
        return unit_main(suite_name, tests, (int)(sizeof(tests) / sizeof(*(tests))));              \
    }

#endif
