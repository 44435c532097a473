/* elaborate_require.c -- `require condition, "text"`: what a function asks of its arguments and dimensions,
 * settled when compiling, but for what an optimizer is given that changes from step to step. One that does not
 * hold is the mistake of whoever called: it is reported at the call that led out of the user's text, with the
 * values of the names in the condition. */
#include "elaborate.h"

typedef struct Facts {
    Elab *e;
    const Frame *f;
    Map seen;
    StrBuf known;        /* "; rate is 1.5, heads is 3" */
    const AstExpr *late; /* a name whose value is known at run time only */
} Facts;

/* What a compile-time value is, in few words; NULL: nothing to show. */
static const char *value_short(Elab *e, const Value *v)
{
    if (v->kind == VALUE_STRING) return arena_printf(e->arena, "\"%s\"", v->text);
    if (v->kind == VALUE_LIST || v->kind == VALUE_FUNCTION) return value_describe(e, v);
    if (v->kind != VALUE_TENSOR || !value_is_number(v)) return NULL;
    if (value_type(v) == TYPE_BOOL) return v->scalar->value != 0 ? "true" : "false";
    return arena_printf(e->arena, "%.9g", v->scalar->value);
}

static void fact_of_name(void *data, const AstExpr *x)
{
    Facts *facts = data;
    const Local *local = x->kind == AST_NAME ? local_find(facts->f, x->name) : NULL;
    if (!local || !local->bound || map_get(&facts->seen, x->name)) return;
    map_put(&facts->seen, x->name, facts);
    const char *text = value_short(facts->e, &local->value);
    if (!text && !facts->late) facts->late = x;
    if (text)
        str_printf(&facts->known, "%s%s is %s", facts->known.len ? ", " : "; ", x->name, text);
}

static void require_late(Elab *e, const AstExpr *condition, const Facts *facts)
{
    if (facts->late)
        diag_error(e->context, condition->span,
                   "`require` wants a condition that is known when compiling; `%s` is known at run time",
                   facts->late->name);
    else
        diag_error(e->context, condition->span,
                   "`require` wants a condition that is known when compiling; this is known at run time");
    diag_hint(e->context, "parameters without a type and dimensions are known when compiling");
}

/* Reports at the innermost call that stands outside the library, or at the statement if nobody calls; notes show
 * the statement and the calls around that one. */
static void require_failed(Elab *e, const Frame *f, const AstStmt *s, const Facts *facts)
{
    enum { MOST_CALLS = 8 };
    const AstExpr *text = s->values.data[1];
    const Frame *at = f;
    while (at->scope->library && at->caller && at->caller->scope->library)
        at = at->caller;
    bool called = at->caller && at->call_span.line;
    diag_error(e->context, called ? at->call_span : s->span, "%s(): %.*s%s", at->item->name.name,
               (int)text->string.len, text->string.text, str_text(&facts->known));
    if (called) diag_note(e->context, s->span, "required here");
    for (int n = 0; called && n < MOST_CALLS; n++) {
        at = at->caller;
        if (!at->item || !at->caller || at->caller->kind == FRAME_CONST) break; /* no call, but a model alone */
        diag_note(e->context, at->call_span, "%s() is called here", at->item->name.name);
    }
}

void exec_require(Elab *e, Frame *f, const AstStmt *s)
{
    const AstExpr *condition = s->values.data[0];
    Value v = eval_expr(e, f, condition);
    if (v.kind == VALUE_ERROR || !value_convert(e, &v, TYPE_BOOL, condition->span)) {
        f->refused = true;
        return;
    }
    if (value_is_number(&v) && v.scalar->value != 0) return;
    if (!value_is_number(&v) && f->kind == FRAME_OPTIMIZER) return; /* a rate that changes */
    Facts facts = {.e = e, .f = f, .seen = map_new(e->arena), .known = str_new(e->arena)};
    ast_walk_expr(condition, fact_of_name, &facts);
    if (value_is_number(&v))
        require_failed(e, f, s, &facts);
    else
        require_late(e, condition, &facts);
    f->refused = true;
}
