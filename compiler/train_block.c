/* train_block.c -- the statements of a train block, in order: values per batch, minimize, update, and
 * what repeats or chooses among them. The step runs everything but reports; the evaluation runs what gives
 * values, and reports. Loops are unrolled. */
#include "elaborate_train.h"

enum { MAX_ROUNDS = 10000 }; /* of loops, in one entry */

/* --- loops and choices ---------------------------------------------------------------------------------------- */

/* Counts the rounds of a loop that is unrolled, those of the loops in it for each of its own; false, and an
 * error, if they become too many. The caller sets w->nest back. */
static bool rounds_room(Elab *e, TrainWork *w, const AstStmt *s, int64_t rounds)
{
    int64_t nest = w->nest ? w->nest : 1, most = MAX_ROUNDS / nest;
    bool inside = nest > 1, after = e->rounds > 0;
    w->nest = nest * (rounds < most ? rounds : most);
    e->rounds += rounds < MAX_ROUNDS ? rounds : MAX_ROUNDS;
    if (rounds <= most && e->rounds <= MAX_ROUNDS) return true;
    diag_error(e->context, s->span, "%lld rounds%s are too many", (long long)rounds,
               inside  ? arena_printf(e->arena, " in each of %lld", (long long)nest)
               : after ? ", after those of other loops," : "");
    diag_hint(e->context, "loops of a train block are unrolled when compiling, to %d rounds in all; "
              "`steps` and `epochs` repeat at run time", MAX_ROUNDS);
    return false;
}

static void exec_repeat(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    int64_t rounds;
    if (!eval_int(e, f, s->values.data[0], "the number of rounds", &rounds)) return;
    if (rounds < 0) {
        diag_error(e->context, s->values.data[0]->span, "%lld rounds", (long long)rounds);
        return;
    }
    /* What is reported needs the values of one round only. */
    int64_t first = w->step || rounds == 0 ? 0 : rounds - 1;
    int errors = diag_errors(e->context);
    int64_t nest = w->nest;
    StateList set = states_set(e, f);
    if (!rounds_room(e, w, s, rounds - first)) rounds = first;
    for (int64_t k = first; k < rounds; k++) {
        states_proceed(e, f, &set);
        vec_push(e->arena, &f->loops, k);
        exec_train_block(e, f, w, &s->body);
        f->loops.len--;
        if (diag_errors(e->context) > errors) break;
    }
    w->nest = nest;
}

static void exec_copies(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    int64_t from, to;
    if (!eval_int(e, f, s->values.data[0], "the start of a loop", &from) ||
        !eval_int(e, f, s->values.data[1], "the end of a loop", &to))
        return;
    int errors = diag_errors(e->context);
    int64_t nest = w->nest;
    StateList set = states_set(e, f);
    if (!rounds_room(e, w, s, to > from ? to - from : 0)) to = from;
    for (int64_t k = from; k < to && diag_errors(e->context) == errors; k++) {
        Value v = value_int(e, k);
        states_proceed(e, f, &set);
        local_bind(e, f, s->names.data[0], &v);
        vec_push(e->arena, &f->loops, k);
        vec_push(e->arena, &w->copies, k);
        exec_train_block(e, f, w, &s->body);
        f->loops.len--;
        w->copies.len--;
    }
    w->nest = nest;
    Local *local = local_find(f, s->names.data[0].name);
    if (local) local->bound = false;
}

typedef struct TrainBranches {
    Elab *e;
    Frame *f;
    TrainWork *w;
    const AstStmt *s;
    Value cond;
    const Node *outer; /* the condition around */
} TrainBranches;

static void train_branch(void *data, bool then)
{
    TrainBranches *b = data;
    Elab *e = b->e;
    Span span = b->s->values.data[0]->span;
    Value c = then ? b->cond : value_op(e, OP_NOT, &b->cond, 1, span);
    if (b->outer) c = value_op(e, OP_AND, (Value[]){value_of_node(e, b->outer), c}, 2, span);
    b->w->condition = value_node(e, &c, NULL, span);
    exec_train_block(e, b->f, b->w, then ? &b->s->body : &b->s->otherwise);
    b->w->condition = b->outer;
}

/* Runs the statements where the condition holds; in each step, if it is known at run time. */
static void exec_where(Elab *e, Frame *f, TrainWork *w, const AstStmt *s, Value cond)
{
    Span span = s->values.data[0]->span;
    if (cond.kind == VALUE_ERROR || !value_convert(e, &cond, TYPE_BOOL, span)) return;
    if (value_is_number(&cond)) {
        exec_train_block(e, f, w, cond.scalar->value != 0 ? &s->body : &s->otherwise);
        return;
    }
    if (cond.rank) {
        diag_error(e->context, span, "a condition is one truth value; this is %s", value_describe(e, &cond));
        diag_hint(e->context, "any(..) or all(..) makes one of many");
        return;
    }
    cond = value_settle(e, &cond, NULL, span);
    TrainBranches branches = {e, f, w, s, cond, w->condition};
    exec_branches(e, f, &cond, s->span, train_branch, &branches);
}

/* every n { }: where step % n == 0. */
static void exec_every(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    int64_t n;
    Span span = s->values.data[0]->span;
    if (!eval_int(e, f, s->values.data[0], "the number of steps", &n)) return;
    if (n < 1) {
        diag_error(e->context, span, "`every` counts steps, from 1; this is %lld", (long long)n);
        return;
    }
    Value step = value_of_node(e, e->step_leaf), zero = value_int(e, 0), steps = value_int(e, n);
    Value rest = value_op(e, OP_MOD, (Value[]){step, steps}, 2, span);
    exec_where(e, f, w, s, n == 1 ? value_bool(e, true) : value_op(e, OP_EQ, (Value[]){rest, zero}, 2, span));
}

static void exec_train_stmt(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    switch ((int)s->kind) {
    case AST_SETTING: break; /* read before */
    case AST_MINIMIZE:
        if (w->step) exec_minimize(e, f, w, s);
        break;
    case AST_UPDATE:
        if (w->step) exec_update(e, f, s);
        break;
    case AST_REPORT:
        if (!w->step) exec_report(e, f, w, s);
        break;
    case AST_REPEAT: exec_repeat(e, f, w, s); break;
    case AST_FOR: exec_copies(e, f, w, s); break;
    case AST_EVERY: exec_every(e, f, w, s); break;
    case AST_IF_STMT: exec_where(e, f, w, s, eval_expr(e, f, s->values.data[0])); break;
    default: exec_stmt(e, f, s); break;
    }
}

void exec_train_block(Elab *e, Frame *f, TrainWork *w, const AstBlock *block)
{
    for (int i = 0; i < block->len; i++)
        exec_train_stmt(e, f, w, block->data[i]);
}
