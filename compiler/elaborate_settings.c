/* elaborate_settings.c -- the settings of a train block: `name: value` lines, each at most once, and what
 * --set on the command line puts in their place. */
#include "elaborate.h"

#include <math.h>

static const char *const setting_names[] = {"batch",   "epochs", "steps",    "seed",   "shuffle",
                                            "clip", "evaluate", "patience", "monitor"};
enum {
    SETTING_COUNT = sizeof setting_names / sizeof *setting_names,
    SETTING_VALUES = SETTING_COUNT - 1 /* all but `monitor`, which is an expression over reports */
};

typedef struct Settings {
    Train *train;
    const AstItem *item;
    double *clip;
} Settings;

static void setting_unknown(Elab *e, const AstStmt *s)
{
    Name name = s->names.data[0].name;
    diag_error(e->context, s->names.data[0].span, "a train block has no setting `%s`", name);
    const char *near = suggest(name, setting_names, SETTING_COUNT);
    if (near) diag_hint(e->context, "did you mean `%s`?", near);
}

static void setting_int(Elab *e, const Value *v, const char *name, Span span, int64_t least, int64_t *out)
{
    int64_t n;
    if (!value_is_int(v, &n) || n < least) {
        diag_error(e->context, span, "`%s` is a compile-time int of at least %lld, not %s", name,
                   (long long)least, value_describe(e, v));
        return;
    }
    *out = n;
}

static void setting_apply(Elab *e, const Settings *s, const char *name, const Value *v, Span span)
{
    Train *t = s->train;
    bool number = value_is_number(v);
    if (v->kind == VALUE_ERROR) return;
    if (!strcmp(name, "batch")) setting_int(e, v, name, span, 1, &t->batch);
    else if (!strcmp(name, "epochs")) setting_int(e, v, name, span, 1, &t->epochs);
    else if (!strcmp(name, "steps")) setting_int(e, v, name, span, 1, &t->steps);
    else if (!strcmp(name, "evaluate")) setting_int(e, v, name, span, 1, &t->evaluate);
    else if (!strcmp(name, "patience")) setting_int(e, v, name, span, 1, &t->patience);
    else if (!strcmp(name, "seed")) setting_int(e, v, name, span, 0, &t->seed);
    else if (!strcmp(name, "shuffle") && number && value_type(v) == TYPE_BOOL)
        t->shuffle = v->scalar->value != 0;
    else if (!strcmp(name, "clip") && number && value_type(v) >= TYPE_INT && v->scalar->value > 0)
        *s->clip = v->scalar->value;
    else
        diag_error(e->context, span, "`%s` is %s, not %s", name,
                   name[0] == 's' ? "true or false" : "a positive number", value_describe(e, v));
}

static bool setting_known(Name name)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (!strcmp(name, setting_names[i])) return true;
    return false;
}

const AstStmt *setting_find(const AstItem *item, const char *name)
{
    for (int i = 0; i < item->body.len; i++) {
        const AstStmt *s = item->body.data[i];
        if (s->kind == AST_SETTING && !strcmp(s->names.data[0].name, name)) return s;
    }
    return NULL;
}

/* The settings that the block has, and what --set puts in their place or beside them. */
static void settings_apply(Elab *e, Frame *f, const Settings *s)
{
    for (int i = 0; i < s->item->body.len; i++) {
        const AstStmt *line = s->item->body.data[i];
        if (line->kind != AST_SETTING) continue;
        Name name = line->names.data[0].name;
        const AstStmt *first = setting_find(s->item, name);
        Value v;
        if (!setting_known(name)) {
            setting_unknown(e, line);
        } else if (first != line) {
            diag_error(e->context, line->span, "`%s` is set twice", name);
            diag_note(e->context, first->span, "the first time");
        } else if (strcmp(name, "monitor") && !setting_override(e, name, &v)) {
            v = eval_expr(e, f, line->values.data[0]);
            setting_apply(e, s, name, &v, line->span);
        }
    }
    for (int i = 0; i < SETTING_VALUES; i++) {
        Value v;
        const AstStmt *line = setting_find(s->item, setting_names[i]);
        if (setting_override(e, name_of(e->context, setting_names[i]), &v))
            setting_apply(e, s, setting_names[i], &v, line ? line->span : s->item->name.span);
    }
}

static void patience_check(Elab *e, const AstItem *item, const Train *t)
{
    const AstStmt *line = setting_find(item, "patience");
    if (!t->patience || setting_find(item, "monitor")) return;
    diag_error(e->context, line ? line->span : item->name.span,
               "`patience` waits for `monitor` to get better, and %s has no `monitor`", t->name);
    diag_hint(e->context, "add what is to become small: monitor: -accuracy, of a report `accuracy`");
}

/* A setting holds for the whole block: it does not stand inside of a statement. */
static void settings_inside(Elab *e, const AstBlock *block, int depth)
{
    for (int i = 0; i < block->len; i++) {
        const AstStmt *s = block->data[i];
        if (s->kind == AST_SETTING && depth) {
            diag_error(e->context, s->span, "a setting stands at the top of a train block, not inside of "
                       "a statement");
            diag_hint(e->context, "`%s` holds for every step; what changes from step to step is an "
                      "expression of `step`", s->names.data[0].name);
        }
        settings_inside(e, &s->body, depth + 1);
        settings_inside(e, &s->otherwise, depth + 1);
    }
}

/* How long, and in which order, is the host program's matter. */
static void fed_check(Elab *e, const AstItem *item, Train *t, int errors)
{
    static const char *const without[] = {"epochs",  "steps",    "shuffle",
                                         "monitor", "patience", "evaluate"};
    t->epochs = t->steps = 0;
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        const AstStmt *s = setting_find(item, without[i]);
        if (!s) continue;
        diag_error(e->context, s->span, "`%s` has no meaning here: a host program feeds %s, and decides "
                                        "on the steps", without[i], t->fed->name);
        diag_hint(e->context, "leave the line out; `nndc build --lib` makes the library that the host "
                              "program calls");
    }
    if (t->batch || diag_errors(e->context) > errors) return;
    diag_error(e->context, item->name.span, "the train block %s does not say how many examples a step "
                                            "takes at most", t->name);
    diag_hint(e->context, "add a line: batch: 64");
}

static void length_check(Elab *e, const AstItem *item, Train *t, int errors)
{
    Value v;
    if (t->fed) {
        fed_check(e, item, t, errors);
        return;
    }
    if (t->epochs && t->steps) {
        if (setting_override(e, name_of(e->context, "steps"), &v)) t->epochs = 0;
        else if (setting_override(e, name_of(e->context, "epochs"), &v)) t->steps = 0;
        else diag_error(e->context, item->name.span, "%s sets both `epochs` and `steps`", t->name);
    }
    if (diag_errors(e->context) > errors) return;
    if (!t->epochs && !t->steps) {
        diag_error(e->context, item->name.span, "the train block %s does not say how long to train",
                   t->name);
        diag_hint(e->context, "add a line: epochs: 10, or steps: 1000");
    }
    if (t->epochs && !item->on.len) {
        diag_error(e->context, item->name.span, "%s has no data, so it has no epochs", t->name);
        diag_hint(e->context, "set the number of steps: steps: 1000");
    }
}

void settings_read(Elab *e, const Definition *definition, Train *t, double *clip)
{
    Settings s = {t, definition->item, clip};
    Frame *f = frame_new(e, FRAME_CONST, definition->scope);
    f->item = s.item;
    int errors = diag_errors(e->context);
    settings_inside(e, &s.item->body, 0);
    settings_apply(e, f, &s);
    length_check(e, s.item, t, errors);
    patience_check(e, s.item, t);
    if (!t->data.len || t->fed) return;
    const DataSet *data = t->data.data[0];
    double fraction = data->drawn ? data->fractions[SPLIT_TRAIN] : 1;
    int64_t count = (int64_t)ceil((double)data->splits[SPLIT_TRAIN].count * fraction);
    if (!t->batch || t->batch > count) t->batch = count > 0 ? count : 1;
}
