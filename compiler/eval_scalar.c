/* eval_scalar.c -- scalars compiled to small register programs and run, for the reference
 * evaluator.
 *
 * Each distinct scalar has one register. A choice runs only the branch it takes: what is
 * computed in branches only, but in more than one place, becomes a block of its own that runs
 * when it is first needed at a point (a stamp per register says whether it has). A load whose
 * subscripts are affine and stay inside for all values of the iterators is one flat address; any
 * other checks each subscript. */
#include "eval_scalar.h"
#include "nnd_rt.h"

#include <assert.h>
#include <math.h>

typedef enum InstrKind {
    INSTR_ITER,
    INSTR_LOAD,
    INSTR_DRAW,
    INSTR_OP,
    INSTR_ADD, /* the commonest operators, of reals */
    INSTR_SUB,
    INSTR_MUL,
    INSTR_BRANCH, /* to `target` unless args[0] */
    INSTR_JUMP,
    INSTR_COPY,
    INSTR_NEED /* run the block of register dst unless it ran at this point */
} InstrKind;

typedef struct Term {
    int iter;
    int64_t coefficient;
} Term;

typedef struct Sum { /* constant + terms */
    int64_t constant;
    int n_terms;
    Term *terms;
} Sum;

typedef struct Axis {
    int reg; /* the subscript, or -1: sum */
    Sum sum;
    int64_t dim, stride;
    Code *size; /* the run-time size as a function of the subscripts before, or NULL */
} Axis;

typedef struct Load {
    const Scalar *scalar;
    const double *data;
    bool flat; /* address is enough */
    Sum address;
    int rank;
    Axis *axes;
    Frame *subs; /* iterators are this load's subscripts: where sizes are evaluated */
    struct Block *outside;
    int outside_reg;
} Load;

typedef struct Instr {
    InstrKind kind;
    int dst;
    int args[3];
    int target;
    const Scalar *scalar;
    Load *load;
} Instr;

typedef struct Block {
    VEC(Instr) instrs;
} Block;

struct Code {
    Frame *frame;
    Map index; /* from Scalar to register + 1 */
    int n_regs;
    double *regs;
    bool *available; /* computed unconditionally by now */
    Block **blocks;  /* by register: computed on demand */
    int *users;
    uint64_t *stamps;
    uint64_t now;
    Block *main;
    int result;
};

/* --- compiling ------------------------------------------------------------------------------- */

static int reg_of(const Code *code, const Scalar *s)
{
    return (int)(intptr_t)map_get(&code->index, s) - 1;
}

static void register_add(void *data, const Scalar *s)
{
    Code *code = data;
    map_put(&code->index, s, (void *)(intptr_t)++code->n_regs);
}

static void users_count(void *data, const Scalar *s)
{
    Code *code = data;
    for (int i = 0; i < s->n_args; i++)
        code->users[reg_of(code, s->args[i])]++;
    if (s->outside) code->users[reg_of(code, s->outside)]++;
    if (s->kind == SCALAR_CONST) {
        bool round = s->type == TYPE_REAL && code->frame->run->env->f32;
        code->regs[reg_of(code, s)] = round ? (double)(float)s->value : s->value;
    }
}

static int emit(Code *code, Block *block, const Scalar *s, bool conditional);

static int push(Code *code, Block *block, Instr instr)
{
    vec_push(code->frame->arena, &block->instrs, instr);
    return block->instrs.len - 1;
}

static void sum_add(Arena *arena, Sum *sum, int64_t factor, const Affine *affine)
{
    Term *terms = NEW_ARRAY(arena, Term, MAX_ITERS);
    int n = 0;
    for (int i = 0; i < MAX_ITERS; i++) {
        int64_t c = factor * affine->coefficient[i];
        for (int t = 0; t < sum->n_terms; t++)
            if (sum->terms[t].iter == i) c += sum->terms[t].coefficient;
        if (c) terms[n++] = (Term){i, c};
    }
    sum->constant += factor * affine->constant;
    sum->n_terms = n;
    sum->terms = terms;
}

/* Whether 0 <= affine < dim for all values of the frame's iterators. */
static bool affine_inside(const Frame *frame, const Affine *affine, int64_t dim)
{
    int64_t lo = affine->constant, hi = affine->constant;
    for (int i = 0; i < frame->n_iters; i++) {
        int64_t c = affine->coefficient[i], last = frame->bound[i] - 1;
        if (last < 0) return true; /* nothing is evaluated */
        lo += c < 0 ? c * last : 0;
        hi += c > 0 ? c * last : 0;
    }
    return lo >= 0 && hi < dim;
}

/* The size of an axis that differs from row to row, over the subscripts of the axes before. */
static Code *axis_size(Code *code, Load *load, int k)
{
    Extent extent = load->scalar->node->shape[k];
    if (!extent.size || !extent.size->iters) return NULL;
    if (!load->subs) {
        load->subs = NEW(code->frame->arena, Frame);
        load->subs->run = code->frame->run;
        load->subs->arena = code->frame->arena;
        load->subs->n_iters = load->rank;
        for (int i = 0; i < load->rank; i++)
            load->subs->bound[i] = load->axes[i].dim;
    }
    return code_new(load->subs, extent.size);
}

static Load *load_plan(Code *code, Block *block, const Scalar *s, bool conditional)
{
    Frame *frame = code->frame;
    const EvalArray *array = run_value(frame->run, s->node);
    Load *load = NEW(frame->arena, Load);
    load->scalar = s;
    load->data = array->data;
    load->rank = array->rank;
    load->axes = NEW_ARRAY(frame->arena, Axis, array->rank + 1);
    load->flat = true;
    int64_t stride = 1;
    for (int k = array->rank - 1; k >= 0; k--) {
        load->axes[k].dim = array->dims[k];
        load->axes[k].stride = stride;
        stride *= array->dims[k];
    }
    for (int k = 0; k < array->rank; k++) {
        Axis *axis = &load->axes[k];
        Affine affine;
        axis->size = axis_size(code, load, k);
        axis->reg = -1;
        if (affine_of(s->args[k], &affine)) {
            sum_add(frame->arena, &axis->sum, 1, &affine);
            sum_add(frame->arena, &load->address, axis->stride, &affine);
            if (axis->size || !affine_inside(frame, &affine, axis->dim)) load->flat = false;
        } else {
            axis->reg = emit(code, block, s->args[k], conditional);
            load->flat = false;
        }
    }
    if (s->outside && !load->flat) {
        load->outside = NEW(frame->arena, Block);
        load->outside_reg = emit(code, load->outside, s->outside, true);
    }
    return load;
}

static void emit_select(Code *code, Block *block, const Scalar *s, int dst, bool conditional)
{
    int cond = emit(code, block, s->args[0], conditional);
    int branch = push(code, block, (Instr){.kind = INSTR_BRANCH, .args = {cond}});
    int value = emit(code, block, s->args[1], true);
    push(code, block, (Instr){.kind = INSTR_COPY, .dst = dst, .args = {value}});
    int jump = push(code, block, (Instr){.kind = INSTR_JUMP});
    block->instrs.data[branch].target = block->instrs.len;
    value = emit(code, block, s->args[2], true);
    push(code, block, (Instr){.kind = INSTR_COPY, .dst = dst, .args = {value}});
    block->instrs.data[jump].target = block->instrs.len;
}

static void emit_op(Code *code, Block *block, const Scalar *s, int dst, bool conditional)
{
    if (s->op == OP_SELECT) {
        emit_select(code, block, s, dst, conditional);
        return;
    }
    Instr instr = {.kind = INSTR_OP, .dst = dst, .scalar = s};
    for (int i = 0; i < s->n_args; i++)
        instr.args[i] = emit(code, block, s->args[i], conditional);
    if (s->type == TYPE_REAL && s->args[0]->type == TYPE_REAL) {
        if (s->op == OP_ADD) instr.kind = INSTR_ADD;
        if (s->op == OP_SUB) instr.kind = INSTR_SUB;
        if (s->op == OP_MUL) instr.kind = INSTR_MUL;
    }
    push(code, block, instr);
}

/* Appends the code that computes s. */
static void emit_code(Code *code, Block *block, const Scalar *s, bool conditional)
{
    int dst = reg_of(code, s);
    Instr instr = {.kind = INSTR_ITER, .dst = dst, .scalar = s};
    switch (s->kind) {
    case SCALAR_CONST: break;
    case SCALAR_ITER: push(code, block, instr); break;
    case SCALAR_LOAD:
        instr.kind = INSTR_LOAD;
        instr.load = load_plan(code, block, s, conditional);
        push(code, block, instr);
        break;
    case SCALAR_OP: emit_op(code, block, s, dst, conditional); break;
    case SCALAR_DRAW:
        instr.kind = INSTR_DRAW;
        instr.args[0] = emit(code, block, s->args[0], conditional);
        instr.args[1] = emit(code, block, s->args[1], conditional);
        push(code, block, instr);
        break;
    }
}

/* Makes sure that s is computed when the block gets here; returns its register. */
static int emit(Code *code, Block *block, const Scalar *s, bool conditional)
{
    int reg = reg_of(code, s);
    if (s->kind == SCALAR_CONST || code->available[reg]) return reg;
    bool shared = conditional && code->users[reg] > 1 && s->kind != SCALAR_ITER;
    if (shared && !code->blocks[reg]) {
        code->blocks[reg] = NEW(code->frame->arena, Block);
        emit_code(code, code->blocks[reg], s, true);
    }
    if (code->blocks[reg])
        push(code, block, (Instr){.kind = INSTR_NEED, .dst = reg});
    else
        emit_code(code, block, s, conditional);
    if (!conditional) code->available[reg] = true;
    return reg;
}

Code *code_new(Frame *frame, const Scalar *scalar)
{
    Arena *arena = frame->arena;
    Code *code = NEW(arena, Code);
    code->frame = frame;
    code->index = map_new(arena);
    scalar_visit(scalar, register_add, code);
    code->regs = NEW_ARRAY(arena, double, code->n_regs);
    code->available = NEW_ARRAY(arena, bool, code->n_regs);
    code->blocks = NEW_ARRAY(arena, Block *, code->n_regs);
    code->users = NEW_ARRAY(arena, int, code->n_regs);
    code->stamps = NEW_ARRAY(arena, uint64_t, code->n_regs);
    scalar_visit(scalar, users_count, code);
    code->main = NEW(arena, Block);
    code->result = emit(code, code->main, scalar, false);
    return code;
}

/* --- running --------------------------------------------------------------------------------- */

static void block_run(Code *code, const Block *block);

static int64_t sum_eval(const Sum *sum, const int64_t *iter)
{
    int64_t value = sum->constant;
    for (int t = 0; t < sum->n_terms; t++)
        value += sum->terms[t].coefficient * iter[sum->terms[t].iter];
    return value;
}

static double load_outside(Code *code, const Load *load, int k, int64_t sub, int64_t size)
{
    if (load->outside) {
        block_run(code, load->outside);
        return code->regs[load->outside_reg];
    }
    EvalRun *run = code->frame->run;
    Span span = load->scalar->span, none = NO_SPAN;
    if (span.line) /* the words of compiled programs */
        run_fail(run, none, "%s is %lld, but its axis has %lld element%s",
                 span_subscript(graph_context(run->g), span), (long long)sub, (long long)size,
                 size == 1 ? "" : "s");
    else
        run_fail(run, none, "subscript %lld of `%s` is outside its axis %d of size %lld", (long long)sub,
                 run_name(run, load->scalar->node), k, (long long)size);
    return 0;
}

static double load_run(Code *code, const Load *load)
{
    const int64_t *iter = code->frame->iter;
    if (load->flat) return load->data[sum_eval(&load->address, iter)];
    int64_t address = 0;
    for (int k = 0; k < load->rank; k++) {
        const Axis *axis = &load->axes[k];
        int64_t sub = axis->reg < 0 ? sum_eval(&axis->sum, iter) : (int64_t)code->regs[axis->reg];
        int64_t size = axis->dim;
        if (axis->size) size = (int64_t)code_eval(axis->size);
        if (sub < 0 || sub >= size) return load_outside(code, load, k, sub, size);
        if (load->subs) load->subs->iter[k] = sub;
        address += axis->stride * sub;
    }
    return load->data[address];
}

static double draw_run(const EvalRun *run, const Scalar *s, double run_number, double position)
{
    uint64_t seed = run->env->seed;
    uint32_t r = (uint32_t)(int64_t)run_number, p = (uint32_t)(int64_t)position;
    if (run->env->f32)
        return (double)(s->normal ? nnd_normal(seed, s->site, r, p)
                                  : nnd_uniform(seed, s->site, r, p));
    return s->normal ? nnd_normal_f64(seed, s->site, r, p) : nnd_uniform_f64(seed, s->site, r, p);
}

static double op_run(Code *code, const Instr *instr)
{
    const Scalar *s = instr->scalar;
    double args[3];
    for (int i = 0; i < s->n_args; i++)
        args[i] = code->regs[instr->args[i]];
    ElemType type = s->args[0]->type;
    if ((s->op == OP_IDIV || s->op == OP_MOD) && type != TYPE_REAL && args[1] == 0) {
        run_fail(code->frame->run, s->span, "integer %s by zero",
                 s->op == OP_IDIV ? "division" : "remainder");
        return 0;
    }
    return op_eval(s->op, type, args);
}

static void block_run(Code *code, const Block *block)
{
    double *regs = code->regs;
    bool f32 = code->frame->run->env->f32;
    for (int pc = 0; pc < block->instrs.len; pc++) {
        const Instr *i = &block->instrs.data[pc];
        double value = 0;
        switch (i->kind) {
        case INSTR_ITER: value = (double)code->frame->iter[i->scalar->iter]; break;
        case INSTR_LOAD: value = load_run(code, i->load); break;
        case INSTR_DRAW:
            value = draw_run(code->frame->run, i->scalar, regs[i->args[0]], regs[i->args[1]]);
            break;
        case INSTR_OP: value = op_run(code, i); break;
        case INSTR_ADD: value = regs[i->args[0]] + regs[i->args[1]]; break;
        case INSTR_SUB: value = regs[i->args[0]] - regs[i->args[1]]; break;
        case INSTR_MUL: value = regs[i->args[0]] * regs[i->args[1]]; break;
        case INSTR_BRANCH:
            if (regs[i->args[0]] == 0) pc = i->target - 1;
            continue;
        case INSTR_JUMP: pc = i->target - 1; continue;
        case INSTR_COPY: value = regs[i->args[0]]; break;
        case INSTR_NEED:
            if (code->stamps[i->dst] != code->now) {
                code->stamps[i->dst] = code->now;
                block_run(code, code->blocks[i->dst]);
            }
            continue;
        }
        if (f32 && i->kind >= INSTR_OP && i->kind <= INSTR_MUL && i->scalar->type == TYPE_REAL)
            value = (double)(float)value;
        regs[i->dst] = value;
    }
}

double code_eval(Code *code)
{
    code->now++;
    block_run(code, code->main);
    return code->regs[code->result];
}

bool code_is_product(const Code *code)
{
    const Instr *instrs = code->main->instrs.data;
    if (code->main->instrs.len != 3 || code->frame->run->env->f32) return false;
    for (int i = 0; i < 2; i++)
        if (instrs[i].kind != INSTR_LOAD || !instrs[i].load->flat) return false;
    return instrs[2].kind == INSTR_MUL && instrs[2].args[0] != instrs[2].args[1];
}

/* Where a flat load is at inner = 0, and how far it moves with it. */
static const double *load_start(const Load *load, int64_t *iter, int inner, int64_t *step)
{
    *step = 0;
    for (int t = 0; t < load->address.n_terms; t++)
        if (load->address.terms[t].iter == inner) *step = load->address.terms[t].coefficient;
    iter[inner] = 0;
    return load->data + sum_eval(&load->address, iter);
}

double code_dot(const Code *code, int inner, int64_t n, double value)
{
    int64_t *iter = code->frame->iter, x_step, y_step;
    const Instr *instrs = code->main->instrs.data;
    if (n <= 0) return value;
    const double *x = load_start(instrs[0].load, iter, inner, &x_step);
    const double *y = load_start(instrs[1].load, iter, inner, &y_step);
    for (int64_t i = 0; i < n; i++)
        value += x[i * x_step] * y[i * y_step];
    return value;
}

int64_t extent_eval(Frame *frame, Extent extent, Code *code)
{
    if (!code) return extent.max;
    int64_t size = (int64_t)code_eval(code);
    if (size >= 0 && size <= extent.max) return size;
    run_fail(frame->run, extent.size->span, "a run-time size of %lld, where at most %lld fit",
             (long long)size, (long long)extent.max);
    return 0;
}
