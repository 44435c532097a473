/* elaborate_choice.c -- choices whose condition is known at run time.
 *
 * Both branches are elaborated, and what is written in one may become a tensor of its own, computed for all
 * instances. What can fail, a subscript that is read from data or a divisor, must not do so where the branch is
 * not taken: there it is chosen away itself. What stays a formula needs no such care, as it is evaluated only
 * where it is chosen. */
#include "elaborate.h"

const Scalar *choice_enter(Elab *e, const Value *cond, bool then)
{
    const Scalar *around = e->taken;
    if (cond->kind != VALUE_TENSOR || cond->rank) return around; /* element by element */
    const Scalar *here = then ? cond->scalar : scalar_op1(e->g, OP_NOT, cond->scalar);
    e->taken = around ? scalar_op2(e->g, OP_AND, around, here) : here;
    return around;
}

const Scalar *choice_guard(Elab *e, const Scalar *value, double other)
{
    return e->taken ? scalar_select(e->g, e->taken, value, scalar_const(e->g, value->type, other)) : value;
}

Value value_taken(Elab *e, const Value *cond, const Value *branch, bool then)
{
    Value v = *branch;
    if (v.kind == VALUE_TENSOR && !cond->rank)
        v.scalar = scalar_assume(e->g, v.scalar, cond->scalar, then);
    return v;
}

Value value_choose(Elab *e, const Value *cond, const Value *then, const Value *otherwise, Span span)
{
    Value args[] = {*cond, value_taken(e, cond, then, true), value_taken(e, cond, otherwise, false)};
    return value_op(e, OP_SELECT, args, 3, span);
}
