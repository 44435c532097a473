/* test_ops.c -- values of the scalar operators, above all at the edges of ints. Expected numbers
 * are by hand, those of polygamma from Abramowitz & Stegun 6.3 and 6.4. */
#include "ir.h"
#include "unit.h"

static double eval2(Op op, ElemType type, double x, double y)
{
    return op_eval(op, type, (double[]){x, y});
}

static double eval1(Op op, ElemType type, double x)
{
    return op_eval(op, type, &x);
}

static void test_ints(void)
{
    CU_ASSERT(eval2(OP_IDIV, TYPE_INT, -7, 2) == -4);
    CU_ASSERT(eval2(OP_IDIV, TYPE_INT, 7, -2) == -4);
    CU_ASSERT(eval2(OP_IDIV, TYPE_INT, -8, 2) == -4);
    CU_ASSERT(eval2(OP_MOD, TYPE_INT, -7, 3) == 2);
    CU_ASSERT(eval2(OP_MOD, TYPE_INT, 7, -3) == -2);
    CU_ASSERT(eval2(OP_MOD, TYPE_INT, -6, 3) == 0);
    CU_ASSERT(eval2(OP_IDIV, TYPE_INT, 5, 0) == 0);
    CU_ASSERT(eval2(OP_MOD, TYPE_INT, 5, 0) == 0);
    CU_ASSERT(eval2(OP_IDIV, TYPE_INT, -2147483648.0, -1) == -2147483648.0);
    CU_ASSERT(eval2(OP_ADD, TYPE_INT, 2147483647, 1) == -2147483648.0);
    CU_ASSERT(eval2(OP_MUL, TYPE_INT, 65536, 65536) == 0);
    CU_ASSERT(eval2(OP_MUL, TYPE_INT, 2147483647, 2147483647) == 1);
    CU_ASSERT(eval1(OP_NEG, TYPE_INT, -2147483648.0) == -2147483648.0);
    CU_ASSERT(eval2(OP_POW, TYPE_INT, -3, 3) == -27);
    CU_ASSERT(eval2(OP_POW, TYPE_INT, 2, 32) == 0);
    CU_ASSERT(eval2(OP_POW, TYPE_INT, 0, 0) == 1);
    CU_ASSERT(eval2(OP_POW, TYPE_INT, 2, -1) == 0);
}

static void test_reals(void)
{
    CU_ASSERT(eval2(OP_IDIV, TYPE_REAL, -7, 2) == -4);
    CU_ASSERT(eval2(OP_MOD, TYPE_REAL, -7.5, 2) == 0.5);
    CU_ASSERT(eval2(OP_DIV, TYPE_REAL, 1, 0) == INFINITY);
    CU_ASSERT(eval2(OP_MAX, TYPE_REAL, NAN, 2) == 2);
    CU_ASSERT(isnan(eval2(OP_MAX, TYPE_REAL, 2, NAN)));
    CU_ASSERT(eval1(OP_ROUND, TYPE_REAL, 2.5) == 2);
    CU_ASSERT(eval1(OP_EXP, TYPE_REAL, 1) == 2.718281828459045);
    CU_ASSERT(eval1(OP_SIGMOID, TYPE_REAL, -1000) == 0);
    CU_ASSERT(eval1(OP_SIGMOID, TYPE_REAL, 1000) == 1);
    CU_ASSERT(unit_near(eval1(OP_SIGMOID, TYPE_REAL, -2), 0.11920292202211756, 1e-15));
    CU_ASSERT(unit_near(eval1(OP_SIGMOID, TYPE_REAL, -700), 9.8596765437598214e-305, 1e-318));
    CU_ASSERT(op_eval(OP_SELECT, TYPE_REAL, (double[]){1, 0.5, 7}) == 0.5);
    CU_ASSERT(op_eval(OP_SELECT, TYPE_INT, (double[]){0, 5, 7}) == 7);
}

static void test_conversions(void)
{
    CU_ASSERT(eval1(OP_TO_INT, TYPE_REAL, -1.5) == -1);
    CU_ASSERT(eval1(OP_TO_INT, TYPE_REAL, 3e9) == 2147483647);
    CU_ASSERT(eval1(OP_TO_INT, TYPE_REAL, -INFINITY) == -2147483648.0);
    CU_ASSERT(eval1(OP_TO_INT, TYPE_REAL, NAN) == 0);
    CU_ASSERT(eval1(OP_TO_U8, TYPE_REAL, 254.9) == 254);
    CU_ASSERT(eval1(OP_TO_U8, TYPE_INT, 300) == 255);
    CU_ASSERT(eval1(OP_TO_U8, TYPE_INT, -3) == 0);
    CU_ASSERT(eval1(OP_TO_BOOL, TYPE_REAL, -0.5) == 1);
    CU_ASSERT(eval1(OP_TO_REAL, TYPE_BOOL, 1) == 1);
}

static void test_polygamma(void)
{
    CU_ASSERT(unit_near(eval2(OP_POLYGAMMA, TYPE_REAL, 0, 1), -0.57721566490153286, 1e-14));
    CU_ASSERT(unit_near(eval2(OP_POLYGAMMA, TYPE_REAL, 0, 0.5), -1.96351002602142348, 1e-14));
    CU_ASSERT(unit_near(eval2(OP_POLYGAMMA, TYPE_REAL, 0, -0.5), 0.03648997397857652, 1e-14));
    CU_ASSERT(unit_near(eval2(OP_POLYGAMMA, TYPE_REAL, 1, 1), 1.64493406684822644, 1e-14));
    CU_ASSERT(unit_near(eval2(OP_POLYGAMMA, TYPE_REAL, 2, 1), -2.40411380631918857, 1e-14));
    CU_ASSERT(unit_near(eval2(OP_POLYGAMMA, TYPE_REAL, 3, 0.5), 97.40909103400243724, 1e-14));
    CU_ASSERT(isnan(eval2(OP_POLYGAMMA, TYPE_REAL, 0, -3)));
}

static void test_table(void)
{
    for (int op = 0; op < OP_COUNT; op++) {
        CU_ASSERT_PTR_NOT_NULL(op_table[op].name);
        CU_ASSERT_PTR_NOT_NULL(op_table[op].doc);
        CU_ASSERT(op_table[op].arity >= 1 && op_table[op].arity <= 3);
    }
    CU_ASSERT(op_find("exp") == OP_EXP);
    CU_ASSERT(op_find("+") == -1 && op_find("and") == -1 && op_find("nonsense") == -1);
    CU_ASSERT_STRING_EQUAL(op_table[OP_SIGN].int_text, "(x > 0) - (x < 0)");
    CU_ASSERT_STRING_EQUAL(op_table[OP_EXP].int_text, "");
    CU_ASSERT_STRING_EQUAL(op_table[OP_EXP].real_text, "expf(x)");
    CU_ASSERT_STRING_EQUAL(op_table[OP_TO_INT].real_text, "nnd_to_int(x)");
    CU_ASSERT(op_result_type(OP_EQ, TYPE_REAL) == TYPE_BOOL);
    CU_ASSERT(op_result_type(OP_SELECT, TYPE_INT) == TYPE_INT);
    CU_ASSERT(reduce_table[REDUCE_MAX].empty == -INFINITY);
}

static const UnitTest tests[] = {{"ints", test_ints},
                                 {"reals", test_reals},
                                 {"conversions", test_conversions},
                                 {"polygamma", test_polygamma},
                                 {"table", test_table}};
UNIT_MAIN("ops", tests)
