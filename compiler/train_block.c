/* train_block.c -- the statements of a train block, in order: values per batch, minimize, update, and
 * what repeats or chooses among them. The step runs everything but reports; the evaluation runs what gives
 * values, and reports. Loops are unrolled. */
#include "elaborate_train.h"

enum { MAX_ROUNDS = 10000 }; /* of loops, in one entry */

/* --- update: parameter by parameter ------------------------------------------------------------------------ */

typedef struct UpdateNames {
    Elab *e;
    Frame *from, *f;
    const char *suffix; /* ".dense1.w" */
    bool ok;
} UpdateNames;

static const Function *model_named(const Frame *f, Name name)
{
    if (local_find(f, name)) return NULL;
    const Definition *d = scope_find(f->scope, name);
    return d && d->function && d->function->kind == FUNCTION_MODEL ? d->function : NULL;
}

/* A model's name in the expression stands for its parameter (or state) with the suffix. */
static void update_name(void *data, const AstExpr *x)
{
    UpdateNames *u = data;
    Elab *e = u->e;
    const Function *model = x->kind == AST_NAME ? model_named(u->from, x->name) : NULL;
    if (!model || !u->ok) return;
    Name path = name_printf(e->context, "%s%s", x->name, u->suffix);
    const Persistent *p = map_get(&e->persistents, path);
    if (!p) {
        diag_error(e->context, x->span, "%s has no parameter `%s`", x->name, path);
        u->ok = false;
        return;
    }
    Value v = value_of_node(e, persistent_current(e, p));
    local_bind(e, u->f, (AstName){x->name, x->span}, &v);
}

/* The values that the expression may use: those of the block, with models replaced. */
static Frame *update_frame(Elab *e, Frame *from, const AstExpr *x, const char *suffix, bool *ok)
{
    Frame *f = frame_new(e, FRAME_TRAIN, from->scope);
    f->training = true;
    for (int i = 0; i < from->order.len; i++)
        if (from->order.data[i]->bound)
            local_bind(e, f, (AstName){from->order.data[i]->name, from->order.data[i]->span},
                       &from->order.data[i]->value);
    UpdateNames u = {e, from, f, suffix, true};
    ast_walk_expr(x, update_name, &u);
    *ok = u.ok;
    return f;
}

static bool update_one(Elab *e, Frame *from, const AstStmt *s, Persistent *p, const char *suffix)
{
    const AstExpr *x = s->values.data[0];
    bool ok;
    Frame *f = update_frame(e, from, x, suffix, &ok);
    Value v = ok ? eval_expr(e, f, x) : value_error();
    if (v.kind == VALUE_ERROR || !value_convert(e, &v, p->leaf->type, x->span)) return false;
    Value wanted = value_of_node(e, p->leaf);
    if (v.rank == 0) {
        v.rank = wanted.rank;
        memcpy(v.shape, wanted.shape, sizeof v.shape);
        v.max = 0;
    }
    if (!shapes_same(&v, &wanted)) {
        diag_error(e->context, x->span, "`%s` is %s, and this is %s", p->path,
                   value_describe(e, &wanted), value_describe(e, &v));
        return false;
    }
    persistent_set(e, p, value_node(e, &v, NULL, s->span));
    return true;
}

static void exec_update(Elab *e, Frame *f, const AstStmt *s)
{
    AstName name = s->names.data[0];
    const Function *model = model_named(f, name.name);
    if (!model) {
        diag_error(e->context, name.span, "`update` changes a model; `%s` is none", name.name);
        return;
    }
    /* A plain copy takes states along. */
    bool copy = s->values.data[0]->kind == AST_NAME && model_named(f, s->values.data[0]->name);
    bool any = false;
    int n = e->program->persistents.len;
    for (int i = 0; i < n; i++) {
        Persistent *p = e->program->persistents.data[i];
        bool kept = p->kind == PERSIST_PARAM || (copy && p->kind == PERSIST_STATE);
        if (p->model != model->model->model->name || !kept) continue;
        any = true;
        if (!update_one(e, f, s, p, p->path + strlen(p->model))) return;
    }
    if (!any && !diag_errors(e->context)) {
        diag_error(e->context, name.span, "%s has no parameters yet", name.name);
        diag_hint(e->context, "they exist from its first call on: _ = %s(..) before this line",
                  name.name);
    }
    e->session->last_change = s->span;
}

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
    if (!rounds_room(e, w, s, rounds - first)) rounds = first;
    for (int64_t k = first; k < rounds; k++) {
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
    if (!rounds_room(e, w, s, to > from ? to - from : 0)) to = from;
    for (int64_t k = from; k < to && diag_errors(e->context) == errors; k++) {
        Value v = value_int(e, k);
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

static void exec_choice(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    Value cond = eval_expr(e, f, s->values.data[0]);
    if (cond.kind == VALUE_ERROR || !value_convert(e, &cond, TYPE_BOOL, s->values.data[0]->span))
        return;
    if (!value_is_number(&cond)) {
        elab_unsupported(e, s->span, "a condition that is known at run time, in a train block,");
        return;
    }
    exec_train_block(e, f, w, cond.scalar->value != 0 ? &s->body : &s->otherwise);
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
    case AST_IF_STMT: exec_choice(e, f, w, s); break;
    default: exec_stmt(e, f, s); break;
    }
}

void exec_train_block(Elab *e, Frame *f, TrainWork *w, const AstBlock *block)
{
    for (int i = 0; i < block->len; i++)
        exec_train_stmt(e, f, w, block->data[i]);
}
