/* train_report.c -- what a train block reports: values over a whole split, and `monitor`, the number among
 * them that says when the weights were best. */
#include "elaborate_train.h"

void exec_report(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    AstName name = s->names.data[0];
    Entry *whole = w->entry;
    Value v = eval_expr(e, f, s->values.data[0]);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, s->span)) return;
    for (int k = 0; k < v.rank; k++)
        if (v.shape[k].size) {
            diag_error(e->context, s->values.data[0]->span,
                       "a report is one value for the whole split; this is %s",
                       value_describe(e, &v));
            diag_hint(e->context, "take the mean over the examples: mean(..)");
            return;
        }
    for (int i = 0; i < whole->outputs.len; i++)
        if (whole->outputs.data[i].name == name.name) {
            diag_error(e->context, name.span, "there are two reports `%s`", name.name);
            return;
        }
    Output output = {name.name, value_node(e, &v, NULL, s->span), s->span};
    vec_push(e->arena, &whole->outputs, output);
}

/* --- monitor ------------------------------------------------------------------------------------------------ */

/* Says so if `monitor` looks at examples that it should not choose weights by. */
static void monitor_split_check(Elab *e, const Train *t, Span span)
{
    if (!t->data.len) return;
    const DataSet *data = t->data.data[0];
    bool there[SPLIT_COUNT];
    for (int k = 0; k < SPLIT_COUNT; k++)
        there[k] = data->drawn ? data->fractions[k] > 0 : data->splits[k].present;
    if (there[SPLIT_VALID]) return;
    diag_warning(e->context, span, "%s has no validation split: `monitor` looks at the %s split",
                 data->name, there[SPLIT_TEST] ? "test" : "training");
    diag_hint(e->context, "split: [0.8, 0.1, 0.1] draws training, validation and test examples");
}

void exec_monitor(Elab *e, Frame *f, TrainWork *w)
{
    const AstStmt *s = setting_find(w->item, "monitor");
    Entry *whole = w->entry;
    if (!s) return;
    for (int i = 0; i < whole->outputs.len; i++) {
        const Output *report = &whole->outputs.data[i];
        Value v = value_of_node(e, report->node);
        local_bind(e, f, (AstName){report->name, report->span}, &v);
    }
    Value v = eval_expr(e, f, s->values.data[0]);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, s->span)) return;
    if (v.rank) {
        diag_error(e->context, s->values.data[0]->span,
                   "`monitor` is one number that is to become small; this is %s",
                   value_describe(e, &v));
        diag_hint(e->context, "take the mean over the examples: mean(..)");
        return;
    }
    if (!value_convert(e, &v, TYPE_REAL, s->span)) return;
    monitor_split_check(e, w->train, s->span);
    w->train->monitor = whole->outputs.len;
    Output output = {name_of(e->context, "monitor"), value_node(e, &v, NULL, s->span), s->span};
    vec_push(e->arena, &whole->outputs, output);
}
