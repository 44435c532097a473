/* simplify.c -- rewriting of scalars by the rules of rules.def.
 *
 * A scalar is rebuilt bottom-up; at each operator the rules with that operator at their root are
 * tried in the order of the table, operands of what commutes in all orders, until none applies.
 * Only reals and truth values are rewritten, and choices: int arithmetic has its canonical form
 * already (scalar.c). Rules that do not end are a bug: the number of steps is limited. */
#include "simplify.h"
#include "formula.h"

#include <assert.h>
#include <math.h>

static const char *const rule_texts[] = {
#define RULE(text) text,
#include "rules.def"
#undef RULE
};
enum { RULE_COUNT = sizeof rule_texts / sizeof *rule_texts, MAX_NAMES = 8, STEP_LIMIT = 100000 };

/* --- the table ------------------------------------------------------------------------------- */

/* The operator that an expression of a rule stands for; swapped: its operands stand in the other
 * order. */
static Op expr_op(const AstExpr *e, bool *swapped)
{
    static const Op binary[] = {
        [AST_ADD] = OP_ADD,      [AST_SUB] = OP_SUB, [AST_MUL] = OP_MUL, [AST_DIV] = OP_DIV,
        [AST_INT_DIV] = OP_IDIV, [AST_MOD] = OP_MOD, [AST_POW] = OP_POW, [AST_EQ] = OP_EQ,
        [AST_LT] = OP_LT,        [AST_GT] = OP_LT,   [AST_LE] = OP_LE,   [AST_GE] = OP_LE,
        [AST_AND] = OP_AND,      [AST_OR] = OP_OR};
    *swapped = false;
    int op = -1;
    if (e->kind == AST_BINARY) {
        assert(e->binary.op != AST_NE);
        *swapped = e->binary.op == AST_GT || e->binary.op == AST_GE;
        return binary[e->binary.op];
    }
    if (e->kind == AST_UNARY) return e->unary.op == AST_NOT ? OP_NOT : OP_NEG;
    if (e->kind == AST_IF) return OP_SELECT;
    if (e->kind == AST_CALL) op = op_find(e->call.callee->name);
    if (e->kind == AST_FOLD) op = op_find(ast_reduce_text(e->fold.reduce));
    assert(op >= 0 && "not an operator in a rule");
    return (Op)op;
}

/* How many commuting operators an expression of a rule contains. */
static int count_commuting(const AstExpr *e)
{
    bool swapped;
    int n = 0;
    if (e->kind == AST_NUMBER || e->kind == AST_BOOL || e->kind == AST_NAME) return 0;
    if (op_table[expr_op(e, &swapped)].commutes) n++;
    switch ((int)e->kind) {
    case AST_BINARY: return n + count_commuting(e->binary.lhs) + count_commuting(e->binary.rhs);
    case AST_UNARY: return n + count_commuting(e->unary.arg);
    case AST_IF:
        return n + count_commuting(e->cond.cond) + count_commuting(e->cond.then) +
               count_commuting(e->cond.otherwise);
    default: break;
    }
    const AstArgs *args = e->kind == AST_CALL ? &e->call.args : &e->fold.args;
    for (int i = 0; i < args->len; i++)
        n += count_commuting(args->data[i].value);
    return n;
}

static void rule_parse(Graph *g, const char *text, Rule *rule)
{
    const char *arrow = strstr(text, "->");
    rule->fast = !arrow;
    if (!arrow) arrow = strstr(text, "~>");
    assert(arrow && "a rule without an arrow");
    Arena *arena = graph_arena(g);
    rule->text = text;
    rule->lhs = formula_parse(g, arena_printf(arena, "%.*s", (int)(arrow - text), text));
    rule->rhs = formula_parse(g, arena_strdup(arena, arrow + 2));
    bool swapped;
    rule->op = expr_op(rule->lhs, &swapped);
    rule->commuting = count_commuting(rule->lhs);
}

Rules rules_get(Graph *g)
{
    Rule *rules = map_get(graph_cache(g), rule_texts);
    if (!rules) {
        rules = NEW_ARRAY(graph_arena(g), Rule, RULE_COUNT);
        for (int i = 0; i < RULE_COUNT; i++)
            rule_parse(g, rule_texts[i], &rules[i]);
        map_put(graph_cache(g), rule_texts, rules);
    }
    return (Rules){RULE_COUNT, rules};
}

/* --- matching -------------------------------------------------------------------------------- */

typedef struct Match {
    const char *names[MAX_NAMES];
    const Scalar *values[MAX_NAMES];
    int n;
    unsigned swaps; /* bit i: try the i-th commuting operator the other way round */
    int n_commuting;
} Match;

static bool match(Match *m, const AstExpr *e, const Scalar *s);

static bool match_name(Match *m, Name name, const Scalar *s)
{
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->names[i], name) == 0) return m->values[i] == s;
    if (name[0] == 'k' && s->kind != SCALAR_CONST) return false;
    assert(m->n < MAX_NAMES);
    m->names[m->n] = name;
    m->values[m->n++] = s;
    return true;
}

static bool match_args(Match *m, const AstArgs *args, const Scalar *s)
{
    for (int i = 0; i < args->len; i++)
        if (!match(m, args->data[i].value, s->args[i])) return false;
    return true;
}

static bool match_op(Match *m, const AstExpr *e, const Scalar *s)
{
    bool swapped;
    Op op = expr_op(e, &swapped);
    if (op_table[op].commutes) swapped = m->swaps >> m->n_commuting++ & 1;
    if (s->kind != SCALAR_OP || s->op != op) return false;
    switch ((int)e->kind) {
    case AST_BINARY:
        return match(m, e->binary.lhs, s->args[swapped]) &&
               match(m, e->binary.rhs, s->args[!swapped]);
    case AST_UNARY: return match(m, e->unary.arg, s->args[0]);
    case AST_IF:
        return match(m, e->cond.cond, s->args[0]) && match(m, e->cond.then, s->args[1]) &&
               match(m, e->cond.otherwise, s->args[2]);
    case AST_CALL: return match_args(m, &e->call.args, s);
    default: return match_args(m, &e->fold.args, s);
    }
}

static bool match_number(double value, const Scalar *s)
{
    return s->kind == SCALAR_CONST && s->type != TYPE_BOOL && s->value == value &&
           (value != 0 || !signbit(s->value));
}

static bool match(Match *m, const AstExpr *e, const Scalar *s)
{
    if (e->kind == AST_NUMBER) return match_number(e->number.value, s);
    if (e->kind == AST_BOOL) return s->kind == SCALAR_CONST && s->value == (double)e->boolean;
    if (e->kind == AST_NAME) return match_name(m, e->name, s);
    if (e->kind == AST_UNARY && e->unary.op == AST_NEG && e->unary.arg->kind == AST_NUMBER)
        return match_number(-e->unary.arg->number.value, s);
    return match_op(m, e, s);
}

/* The right side, if the left side matches in some order of commuting operands; else NULL. */
static const Scalar *rule_apply(Graph *g, const Rule *rule, const Scalar *s)
{
    unsigned orders = 1u << rule->commuting;
    for (unsigned swaps = 0; swaps < orders; swaps++) {
        Match m = {.swaps = swaps};
        bool good = match(&m, rule->lhs, s);
        if (!good) continue;
        const Scalar *made = formula_instantiate(g, rule->rhs, m.names, m.values, m.n);
        return scalar_convert(g, made, s->type);
    }
    return NULL;
}

/* --- the engine ------------------------------------------------------------------------------ */

typedef struct Engine {
    Graph *g;
    Rules rules;
    bool fast;
    int steps;
    Map done;
} Engine;

static const Scalar *engine_rebuild(Engine *e, const Scalar *a, const Scalar *const *args,
                                    const Scalar *outside)
{
    bool same = outside == a->outside;
    for (int i = 0; i < a->n_args; i++)
        same = same && args[i] == a->args[i];
    if (same) return a;
    switch (a->kind) {
    case SCALAR_CONST:
    case SCALAR_ITER: break;
    case SCALAR_LOAD: return scalar_load(e->g, a->node, args, outside, a->span);
    case SCALAR_OP: return scalar_op(e->g, a->op, args, a->span);
    case SCALAR_DRAW: return scalar_draw(e->g, a->site, a->normal, args[0], args[1], a->span);
    }
    return a;
}

static const Scalar *engine_step(Engine *e, const Scalar *a)
{
    if (a->kind != SCALAR_OP || a->type == TYPE_U8) return NULL;
    if (a->type == TYPE_INT && a->op != OP_SELECT) return NULL;
    for (int i = 0; i < e->rules.n; i++) {
        const Rule *rule = &e->rules.rules[i];
        if (rule->op != a->op || (rule->fast && (!e->fast || a->type != TYPE_REAL))) continue;
        const Scalar *made = rule_apply(e->g, rule, a);
        if (made && made != a) return made;
    }
    return NULL;
}

static const Scalar *engine_run(Engine *e, const Scalar *a)
{
    if (a->n_args == 0 && !a->outside) return a;
    const Scalar *known = map_get(&e->done, a);
    if (known) return known;
    const Scalar *args[MAX_RANK];
    for (int i = 0; i < a->n_args; i++)
        args[i] = engine_run(e, a->args[i]);
    const Scalar *outside = a->outside ? engine_run(e, a->outside) : NULL;
    const Scalar *result = engine_rebuild(e, a, args, outside);
    const Scalar *next = engine_step(e, result);
    if (next) {
        e->steps++;
        assert(e->steps <= STEP_LIMIT && "the rules do not end");
        result = engine_run(e, next);
    }
    map_put(&e->done, a, (void *)(uintptr_t)result);
    return result;
}

const Scalar *scalar_simplify(Graph *g, const Scalar *a, const Options *options)
{
    Arena *scratch = arena_new();
    Engine e = {.g = g,
                .rules = rules_get(g),
                .fast = options && options->fast_math,
                .done = map_new(scratch)};
    const Scalar *result = engine_run(&e, a);
    arena_free(scratch);
    return result;
}
