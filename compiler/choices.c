/* choices.c -- short loops whose body chooses by the loop's variable are written out.
 *
 * Where parts are put side by side (the four gates of an LSTM, whose derivatives arrive in slices
 * of one tensor), each element of a short axis is another formula, chosen by its number. Written
 * out, each copy of the body has its formula only, without conditions that would keep it from being
 * vector code and without the work of the others. */
#include "kernel.h"

enum { MOST_COPIES = 8 };

typedef struct Copies {
    Lowered *l;
    int var;
    const Scalar *value; /* of the variable, in the copy being made */
    bool chooses;
} Copies;

/* var == constant, or a comparison of order */
static void find_choice(void *data, const Scalar *s)
{
    Copies *c = data;
    if (s->kind != SCALAR_OP || (s->op != OP_EQ && s->op != OP_LT && s->op != OP_LE)) return;
    for (int i = 0; i < 2; i++)
        if (s->args[i]->kind == SCALAR_ITER && s->args[i]->iter == c->var &&
            s->args[1 - i]->kind == SCALAR_CONST)
            c->chooses = true;
}

static void find_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, find_choice, data);
}

static void find_stmt(void *data, Stmt *s)
{
    Copies *c = data;
    if (s->kind == STMT_STORE || s->kind == STMT_IF) stmt_scalars(s, find_scalar, c);
}

static void set_variable(void *data, const Scalar **s)
{
    Copies *c = data;
    const Scalar *map[MAX_ITERS] = {0};
    map[c->var] = c->value;
    *s = scalar_substitute(c->l->g, *s, map, MAX_ITERS);
}

static Stmt *stmt_copy(Copies *c, const Stmt *s)
{
    Stmt *copy = arena_copy(c->l->arena, s, sizeof *s);
    copy->body = (Block){0};
    for (int i = 0; i < s->body.len; i++)
        block_add(c->l, &copy->body, stmt_copy(c, s->body.data[i]));
    stmt_scalars(copy, set_variable, c);
    return copy;
}

static void note_shared(void *data, Stmt *s)
{
    if (s->tile || s->kind == STMT_GEMM) *(bool *)data = true;
}

static bool worth_writing_out(Lowered *l, Stmt *s)
{
    if (s->kind != STMT_LOOP || s->loop != LOOP_PARALLEL || s->extent.size || s->lo || s->hi ||
        s->step != 1 || s->extent.max < 2 || s->extent.max > MOST_COPIES)
        return false;
    Copies c = {.l = l, .var = s->var};
    bool shared = false;
    block_visit(&s->body, find_stmt, &c);
    block_visit(&s->body, note_shared, &shared);
    return c.chooses && !shared;
}

/* Each copy is a loop of one iteration, the scope of its locals. */
static void choices_write_out(Lowered *l, Block *block)
{
    Block out = {0};
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        choices_write_out(l, &s->body);
        if (!worth_writing_out(l, s)) {
            block_add(l, &out, s);
            continue;
        }
        for (int64_t at = 0; at < s->extent.max; at++) {
            Copies c = {.l = l, .var = s->var, .value = scalar_int(l->g, at)};
            Stmt *copy = stmt_copy(&c, s);
            copy->extent = extent_fixed(1);
            block_add(l, &out, copy);
        }
    }
    *block = out;
}

void pass_choices(Lowered *l)
{
    for (int i = 0; i < l->kernels.len; i++) {
        Block *body = &l->kernels.data[i]->body;
        for (int k = 0; k < body->len; k++)
            choices_write_out(l, &body->data[k]->body); /* the outermost loop has the threads */
    }
}
