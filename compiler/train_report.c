/* train_report.c -- what a train block reports: values over a whole split, and `monitor`, the number among
 * them that says when the weights were best. */
#include "elaborate_train.h"

/* --- reports ------------------------------------------------------------------------------------------------ */

enum { EXAMPLES_SHOWN = 36 }; /* as pictures or texts */

/* Functions of the library whose value, reported, is shown in a way of its own. */
static Drawing drawing_of(const Frame *f, const AstExpr *x)
{
    static const struct {
        const char *name;
        Drawing drawing;
    } drawn[] = {{"confusion", DRAW_MATRIX}, {"roc", DRAW_CURVE}, {"histogram", DRAW_BARS},
                 {"image", DRAW_IMAGE},   {"letters", DRAW_TEXT}};
    if (x->kind != AST_CALL || x->call.callee->kind != AST_NAME) return DRAW_PLAIN;
    const Definition *d = scope_find(f->scope, x->call.callee->name);
    for (size_t i = 0; d && d->scope->library && i < sizeof drawn / sizeof *drawn; i++)
        if (!strcmp(d->name, drawn[i].name)) return drawn[i].drawing;
    return DRAW_PLAIN;
}

/* Texts are lines of codes, or one. */
static bool letters_shape_check(Elab *e, const Value *v, Span span)
{
    int places = v->rank - (v->rank && v->shape[0].size);
    if (value_type(v) != TYPE_REAL && places >= 1 && v->rank <= 2) return true;
    diag_error(e->context, span, "letters are int[places] or int[lines, places]; this is %s", value_describe(e, v));
    return false;
}

/* Only the first axis of a report may be that of the examples; images are of two axes, and colours. */
static bool report_shape_check(Elab *e, const Value *v, Drawing drawing, Span span)
{
    for (int k = 0; k < v->rank; k++) {
        const Scalar *size = v->shape[k].size;
        if (!size || (size->kind == SCALAR_LOAD && size->node == e->size_leaf)) continue;
        diag_error(e->context, span, "axis %d of this report has a run-time size: it is %s", k,
                   value_describe(e, v));
        diag_hint(e->context, "take the mean along it: mean(..)");
        return false;
    }
    for (int k = 1; k < v->rank; k++)
        if (v->shape[k].size) {
            diag_error(e->context, span, "the examples are not the first axis of this report: it is %s",
                       value_describe(e, v));
            diag_hint(e->context, "take the mean over the examples: mean(..)");
            return false;
        }
    int first = v->rank && v->shape[0].size, rank = v->rank - first;
    int64_t last = v->rank ? v->shape[v->rank - 1].max : 0;
    bool image = rank == 2 || (rank == 3 && (last == 1 || last == 3));
    if (drawing == DRAW_TEXT) return letters_shape_check(e, v, span);
    if (drawing != DRAW_IMAGE || image) return true;
    diag_error(e->context, span, "an image is [rows, columns], [rows, columns, 1] or [rows, columns, 3]; this is %s",
               value_describe(e, v));
    diag_hint(e->context, "a vector becomes one by index: y[i < 28, j < 28] = x[28 * i + j], in a function of "
                          "one example");
    return false;
}

void exec_report(Elab *e, Frame *f, TrainWork *w, const AstStmt *s)
{
    AstName name = s->names.data[0];
    Entry *whole = w->entry;
    if (w->condition) {
        diag_error(e->context, s->span, "a report stands outside of conditions that are known at run time");
        diag_hint(e->context, "`evaluate` says after how many steps there are reports");
        return;
    }
    const AstExpr *x = s->values.data[0];
    Drawing drawing = drawing_of(f, x);
    Value v = eval_expr(e, f, x);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, s->span)) return;
    if (!report_shape_check(e, &v, drawing, x->span)) return;
    for (int i = 0; i < whole->outputs.len; i++)
        if (whole->outputs.data[i].name == name.name) {
            diag_error(e->context, name.span, "there are two reports `%s`", name.name);
            return;
        }
    Output output = {.name = name.name, .node = value_node(e, &v, NULL, s->span), .span = s->span,
                     .drawing = drawing};
    if ((drawing == DRAW_IMAGE || drawing == DRAW_TEXT) && v.shape[0].size)
        output.first = EXAMPLES_SHOWN < whole->total ? EXAMPLES_SHOWN : whole->total;
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
    Output output = {.name = name_of(e->context, "monitor"), .node = value_node(e, &v, NULL, s->span),
                     .span = s->span};
    vec_push(e->arena, &whole->outputs, output);
}
