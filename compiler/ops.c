/* ops.c -- the tables of ops.def, and their values in double precision.
 *
 * The C expressions of ops.def are written for floats; here the float functions are mapped to
 * double ones, and ints are computed in 64 bits and wrapped to 32, so that this is the oracle of
 * constant folding, of the reference evaluator and of every backend. */
#include "ir.h"
#include "scalar.h"

#include <ctype.h>
#include <math.h>

#define TEXT(...) #__VA_ARGS__

/* The texts are taken before any of the macros below could change them. */
#define NO_INT
const OpInfo op_table[OP_COUNT] = {
#define SCALAR(ID, NAME, ARITY, RESULT, REAL, INT, ...)                                            \
    [OP_##ID] = {.id = #ID, .name = NAME, .arity = ARITY, .result = RESULT, .real_text = #REAL,    \
                 .int_text = TEXT(INT), __VA_ARGS__},
#define REDUCTION(...)
#include "ops.def"
#undef SCALAR
#undef REDUCTION
};

const ReduceInfo reduce_table[REDUCE_COUNT] = {
    [REDUCE_NONE] = {"NONE", "", 0, "", "no reduction", NULL},
#define SCALAR(...)
#define REDUCTION(ID, NAME, EMPTY, COMBINE, DOC, EXAMPLE)                                          \
    [REDUCE_##ID] = {#ID, NAME, EMPTY, COMBINE, DOC, EXAMPLE},
#include "ops.def"
#undef SCALAR
#undef REDUCTION
};

#define expf          exp
#define logf          log
#define log1pf        log1p
#define expm1f        expm1
#define sqrtf         sqrt
#define powf          pow
#define sinf          sin
#define cosf          cos
#define tanf          tan
#define asinf         asin
#define acosf         acos
#define atanf         atan
#define atan2f        atan2
#define sinhf         sinh
#define coshf         cosh
#define tanhf         tanh
#define erff          erf
#define lgammaf       lgamma
#define fabsf         fabs
#define floorf        floor
#define ceilf         ceil
#define rintf         rint
#define nnd_sigmoid   nnd_sigmoid_f64
#define nnd_polygamma nnd_polygamma_f64
#define nnd_to_int    nnd_to_int_f64
#define nnd_to_u8     nnd_to_u8_f64

static double real_eval(Op op, double x, double y, double z)
{
    switch (op) {
#define SCALAR(ID, NAME, ARITY, RESULT, REAL, ...)                                                 \
    case OP_##ID: return REAL;
#define REDUCTION(...)
#define NO_INT 0
#include "ops.def"
#undef SCALAR
#undef REDUCTION
    case OP_COUNT: break;
    }
    return NAN;
}

/* x, y, z hold 32-bit ints: one operation on them fits 64 bits, but for those that wrap by
 * themselves. */
static int64_t int_eval(Op op, int32_t x32, int32_t y32)
{
    int64_t x = x32, y = y32, z = 0;
    switch (op) {
#define SCALAR(ID, NAME, ARITY, RESULT, REAL, INT, ...)                                            \
    case OP_##ID: return INT;
#define REDUCTION(...)
#define NO_INT 0
#include "ops.def"
#undef SCALAR
#undef REDUCTION
    case OP_COUNT: break;
    }
    return 0;
}

double op_eval(Op op, ElemType operand_type, const double *args)
{
    int arity = op_table[op].arity;
    double x = args[0], y = arity > 1 ? args[1] : 0, z = arity > 2 ? args[2] : 0;
    if (operand_type == TYPE_REAL || op_table[op].result >= RESULT_PICK)
        return real_eval(op, x, y, z);
    return (double)(int32_t)(uint32_t)int_eval(op, (int32_t)x, (int32_t)y);
}

ElemType op_result_type(Op op, ElemType operand_type)
{
    switch (op_table[op].result) {
    case RESULT_SAME:
    case RESULT_PICK: return operand_type;
    case RESULT_REAL:
    case RESULT_TO_REAL: return TYPE_REAL;
    case RESULT_BOOL:
    case RESULT_LOGIC:
    case RESULT_TO_BOOL: return TYPE_BOOL;
    case RESULT_TO_INT: return TYPE_INT;
    case RESULT_TO_U8: return TYPE_U8;
    }
    return operand_type;
}

double reduce_empty(Reduce reduce, ElemType type)
{
    double empty = reduce_table[reduce].empty;
    switch (type) {
    case TYPE_REAL: break;
    case TYPE_INT: return (double)nnd_to_int_f64(empty);
    case TYPE_U8: return (double)nnd_to_u8_f64(empty);
    case TYPE_BOOL: return empty > 0;
    }
    return empty;
}

int op_find(const char *name)
{
    for (int op = 0; op < OP_COUNT; op++)
        if (isalpha((unsigned char)op_table[op].name[0]) && !op_table[op].infix && op != OP_NOT &&
            op != OP_SELECT && strcmp(op_table[op].name, name) == 0)
            return op;
    return -1;
}

int op_cost(Op op)
{
    switch ((int)op) {
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_NEG:
    case OP_EQ:
    case OP_LT:
    case OP_LE:
    case OP_AND:
    case OP_OR:
    case OP_NOT:
    case OP_SELECT:
    case OP_MIN:
    case OP_MAX:
    case OP_ABS:
    case OP_TO_REAL:
    case OP_TO_INT:
    case OP_TO_BOOL:
    case OP_TO_U8: return 1;
    case OP_STOP: return 0;
    case OP_DIV:
    case OP_SQRT:
    case OP_FLOOR:
    case OP_CEIL:
    case OP_ROUND:
    case OP_SIGN:
    case OP_IDIV:
    case OP_MOD: return COST_MODERATE;
    default: return COST_HEAVY;
    }
}
