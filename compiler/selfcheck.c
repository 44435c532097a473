/* selfcheck.c -- `nndc --self-check`: tests the tables by themselves.
 *
 * Every example of the operators, the reductions and the library, and every operator's value and
 * first and second derivatives at some points, become models of one program. It runs by the
 * reference evaluator and as compiled C. Examples must hold in both; in the evaluator derivatives
 * must agree with finite differences of what they derive from; compiled C must agree with the
 * evaluator. */
#include "ast.h"
#include "describe.h"
#include "driver.h"
#include "embedded.h"
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* Largest errors, relative where values exceed 1: of examples and differences in double precision,
 * and of compiled C in single. */
#define EXAMPLE_TOLERANCE    2e-7
#define DIFFERENCE_TOLERANCE 1e-6
#define SINGLE_TOLERANCE     3e-5
#define STEP                 "1e-5"

typedef enum CheckKind {
    CHECK_EQUAL,     /* models A and B give the same */
    CHECK_SHAPE,     /* model A gives the shape in `wanted` */
    CHECK_DERIVATIVE /* rows of model A: a value, then (derivative, difference) pairs */
} CheckKind;

typedef struct Check {
    CheckKind kind;
    int number;         /* of its models: A12, B12 */
    const char *what;   /* for the message */
    const char *wanted; /* SHAPE: "[2, 3]" */
} Check;

typedef struct Outcome { /* what a model gave */
    int rank;
    long shape[MAX_RANK];
    long count;
    double *values;
} Outcome;

typedef struct SelfCheck {
    Driver *driver;
    Arena *arena;
    StrBuf text; /* the program */
    VEC(Check) checks;
    int passed, failed;
} SelfCheck;

static Check *check_add(SelfCheck *s, CheckKind kind, const char *what)
{
    Check check = {.kind = kind, .number = s->checks.len, .what = what};
    vec_push(s->arena, &s->checks, check);
    return &s->checks.data[s->checks.len - 1];
}

static void report(SelfCheck *s, const char *what, const char *problem)
{
    if (!problem) {
        s->passed++;
        return;
    }
    s->failed++;
    printf("failed: %s: %s\n", what, problem);
}

/* --- examples -----------------------------------------------------------------------------------
 */

/* The last `==` outside brackets, or NULL. */
static const char *equation_find(const char *text)
{
    const char *found = NULL;
    int depth = 0;
    for (const char *c = text; *c; c++) {
        if (*c == '(' || *c == '[') depth++;
        if (*c == ')' || *c == ']') depth--;
        if (!depth && c[0] == '=' && c[1] == '=') found = c;
    }
    return found;
}

/* "minimize LOSS in x from 1 using OPT, 3 steps": a train block for a model of one number. */
static bool minimize_add(SelfCheck *s, int number, const char *text)
{
    const char *in = strstr(text, " in x from "), *using = strstr(text, " using ");
    const char *comma = NULL;
    for (const char *c = text; *c; c++)
        if (*c == ',') comma = c;
    if (!in || !using || !comma || comma < using) return false;
    str_printf(&s->text, "model A%d() -> real {\n    param x: real = %.*s\n    return x\n}\n",
               number, (int)(using - in - 11), in + 11);
    str_printf(&s->text, "train t%d {\n    steps: %ld\n    x = A%d()\n    minimize %.*s%.*s\n}\n",
               number, strtol(comma + 1, NULL, 10), number, (int)(in - text - 9), text + 9,
               (int)(comma - using), using);
    return true;
}

/* One example, in one of its three forms. */
static void example_add(SelfCheck *s, const char *text)
{
    const char *equals = equation_find(text), *what = arena_strdup(s->arena, text);
    if (!equals) {
        report(s, what, "an example is an equation: A == B");
        return;
    }
    const char *left = arena_printf(s->arena, "%.*s", (int)(equals - text), text);
    if (!strncmp(text, "shape(", 6)) {
        Check *check = check_add(s, CHECK_SHAPE, what);
        const char *close = strrchr(left, ')');
        check->wanted = arena_strdup(s->arena, equals + 2 + strspn(equals + 2, " "));
        str_printf(&s->text, "model A%d() = %.*s\n", check->number, (int)(close - left - 6),
                   left + 6);
        return;
    }
    int number = check_add(s, CHECK_EQUAL, what)->number;
    str_printf(&s->text, "model B%d() = %s\n", number, equals + 2);
    if (strncmp(text, "minimize ", 9))
        str_printf(&s->text, "model A%d() = %s\n", number, left);
    else if (!minimize_add(s, number, left))
        report(s, what,
               "wanted: minimize LOSS in x from NUMBER using OPTIMIZER, N steps == NUMBER");
}

static void library_add(SelfCheck *s)
{
    for (const EmbeddedFile *file = nnd_embedded; file->path; file++) {
        if (strncmp(file->path, "lang/std/", 9)) continue;
        for (const char *line = file->text; line; line = strchr(line, '\n')) {
            if (*line == '\n') line++;
            if (strncmp(line, "# example: ", 11)) continue;
            size_t n = strcspn(line, "\n");
            example_add(s, arena_printf(s->arena, "%.*s", (int)n - 11, line + 11));
        }
    }
    for (int i = 0; i < OP_COUNT; i++)
        if (op_table[i].example) example_add(s, op_table[i].example);
    for (int i = 1; i < REDUCE_COUNT; i++)
        if (reduce_table[i].example) example_add(s, reduce_table[i].example);
}

/* --- values and derivatives
 * ----------------------------------------------------------------------- */

/* The expression for one operator over x, y, z. */
static const char *operator_text(SelfCheck *s, Op op)
{
    const OpInfo *info = &op_table[op];
    bool logic = info->result == RESULT_LOGIC;
    const char *x = logic ? "(x > 0)" : "x", *y = logic ? "(y > 0)" : "y", *text;
    if (op == OP_SELECT)
        text = "(if x > 0 then y else z)";
    else if (info->infix)
        text = arena_printf(s->arena, "(%s %s %s)", x, info->name, y);
    else if (op == OP_NEG)
        text = "(-x)";
    else if (op == OP_NOT)
        text = "(not (x > 0))";
    else if (info->arity == 2 && !info->grad[0] && info->grad[1])
        text = arena_printf(s->arena, "%s(1, y)", info->name); /* the first is a constant */
    else
        text = arena_printf(s->arena, info->arity == 1 ? "%s(%s)" : "%s(%s, %s)", info->name, x, y);
    bool truth = logic || info->result == RESULT_BOOL || info->result == RESULT_TO_BOOL;
    if (truth) return arena_printf(s->arena, "(if %s then 1.0 else 0.0)", text);
    if (info->result == RESULT_TO_INT || info->result == RESULT_TO_U8)
        return arena_printf(s->arena, "real(%s)", text);
    return text;
}

/* f with one operand moved: "f12(x, y + 1e-5, z)". */
static const char *moved(SelfCheck *s, const char *function, int operand, const char *by)
{
    static const char *const names[] = {"x", "y", "z"};
    StrBuf out = str_new(s->arena);
    str_printf(&out, "%s(", function);
    for (int k = 0; k < 3; k++)
        str_printf(&out, "%s%s%s", k ? ", " : "", names[k], k == operand ? by : "");
    str_add(&out, ")");
    return str_text(&out);
}

/* Rows "derivative, difference" of a function by an operand; returns the derivative's name. */
static const char *derivative_add(SelfCheck *s, StrBuf *rows, const char *function, int operand)
{
    const char *name = arena_printf(s->arena, "%s_%c", function, 'x' + operand);
    str_printf(&s->text, "fn %s(x: real, y: real, z: real) = grad(%s, %c)\n", name,
               moved(s, function, operand, ""), 'x' + operand);
    str_printf(rows, ", %s, (%s - %s) / (2 * " STEP ")", moved(s, name, operand, ""),
               moved(s, function, operand, " + " STEP), moved(s, function, operand, " - " STEP));
    return name;
}

/* A model whose rows are a function's values and derivatives at eight points. */
static void function_add(SelfCheck *s, const char *what, const char *expression,
                         const bool *differentiable)
{
    int number = check_add(s, CHECK_DERIVATIVE, what)->number;
    const char *name = arena_printf(s->arena, "f%d", number);
    StrBuf rows = str_new(s->arena);
    str_printf(&s->text, "fn %s(x: real, y: real, z: real) = %s\n", name, expression);
    for (int k = 0; k < 3; k++)
        if (differentiable[k]) {
            const char *first = derivative_add(s, &rows, name, k);
            derivative_add(s, &rows, first, k);
        }
    str_printf(&s->text,
               "model A%d() {\n"
               "    param x: [8] = [-1.7, -0.6, -0.2, 0.3, 0.8, 0.85, 2.4, 1.3]\n"
               "    param y: [8] = [0.7, -1.1, 1.6, 2.3, 0.35, -0.45, 1.15, 3.0]\n"
               "    param z: [8] = [2.5, 0.1, -0.9, 1.4, -2.2, 0.6, 0.35, -1.5]\n"
               "    return [%s%s]\n}\n",
               number, moved(s, name, 3, ""), str_text(&rows));
}

static void operators_add(SelfCheck *s)
{
    for (int i = 0; i < OP_COUNT; i++) {
        bool differentiable[3];
        for (int k = 0; k < 3; k++)
            differentiable[k] = op_table[i].grad[k] != NULL;
        const char *text = operator_text(s, (Op)i);
        function_add(s, arena_printf(s->arena, "operator %s", text), text, differentiable);
    }
    for (int i = 1; i < REDUCE_COUNT; i++) {
        Reduce reduce = (Reduce)i;
        bool truth = reduce == REDUCE_ANY || reduce == REDUCE_ALL;
        bool position = reduce == REDUCE_ARGMAX || reduce == REDUCE_ARGMIN;
        const bool differentiable[3] = {!truth && !position, !truth && !position, false};
        const char *text = arena_printf(s->arena,
                                        truth ? "(if %s([x > 0, y > 0, z > 0]) then 1.0 else 0.0)"
                                        : position ? "real(%s([x, y * y, x * z]))"
                                                   : "%s([x, y * y, x * z])^2",
                                        reduce_table[i].name);
        function_add(s, arena_printf(s->arena, "reduction %s", text), text, differentiable);
    }
}

/* --- running
 * ------------------------------------------------------------------------------------------ */

static bool run_c(SelfCheck *s, Program *program, const char *folder, const char *out)
{
    Driver driver = *s->driver;
    const char *executable = arena_printf(s->arena, "%s/program", folder);
    DescribeOptions describe = {executable, folder, false};
    if (!trainer_make(&driver, program, &describe, arena_printf(s->arena, "%s/program.c", folder),
                      executable))
        return false;
    const char *train[] = {executable, "train", "--quiet", NULL};
    const char *predict[] = {executable, "predict", "--all", "-o", out, NULL};
    return trainer_run(train) == 0 && trainer_run(predict) == 0;
}

static bool run_eval(SelfCheck *s, Program *program, const char *folder, const char *out)
{
    DescribeOptions describe = {arena_printf(s->arena, "%s/eval", folder), folder, true};
    const NndProgram *described = program_describe(program, &describe);
    NndOptions train = {.verb = "train", .seed = -1, .quiet = true};
    NndOptions predict = {.verb = "predict", .seed = -1, .all = true, .output = out};
    return described && reference_run(program, described, &train) == 0 &&
           reference_run(program, described, &predict) == 0;
}

/* Reads "NAME rank extents... values..." lines; Map from name to Outcome. */
static Map outcomes_read(SelfCheck *s, const char *path)
{
    Map map = map_new(s->arena);
    const Source *source = source_read(s->driver->context, path, NO_SPAN);
    for (const char *line = source ? source->text : NULL; line && *line;) {
        Outcome *outcome = NEW(s->arena, Outcome);
        size_t n = strcspn(line, " ");
        Name name = name_intern(s->driver->context, line, n);
        char *at = NULL;
        outcome->rank = (int)strtol(line + n, &at, 10);
        outcome->count = 1;
        for (int k = 0; k < outcome->rank; k++) {
            outcome->shape[k] = strtol(at, &at, 10);
            outcome->count *= outcome->shape[k];
        }
        outcome->values = NEW_ARRAY(s->arena, double, outcome->count + 1);
        for (long i = 0; i < outcome->count; i++)
            outcome->values[i] = strtod(at, &at);
        map_put(&map, name, outcome);
        line = *at == '\n' ? at + 1 : at;
    }
    return map;
}

/* --- comparing
 * ---------------------------------------------------------------------------------------- */

static const Outcome *outcome_get(SelfCheck *s, const Map *map, char letter, int number)
{
    return map_get(map, name_printf(s->driver->context, "%c%d", letter, number));
}

static bool near(double a, double b, double tolerance)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * fmax(1, fabs(b));
}

/* NULL if both agree in shape and values. */
static const char *outcomes_differ(SelfCheck *s, const Outcome *a, const Outcome *b,
                                   double tolerance)
{
    if (!a || !b) return "there is no result";
    bool same = a->rank == b->rank && !memcmp(a->shape, b->shape, sizeof a->shape);
    if (!same) return "the shapes differ";
    for (long i = 0; i < a->count; i++)
        if (!near(a->values[i], b->values[i], tolerance))
            return arena_printf(s->arena, "element %ld is %.9g, not %.9g", i, a->values[i],
                                b->values[i]);
    return NULL;
}

/* The same of every result of models A and B of an example. */
static const char *models_differ(SelfCheck *s, const Map *map_a, const Map *map_b, int number,
                                 double tolerance)
{
    const char *problem = outcomes_differ(s, outcome_get(s, map_a, 'A', number),
                                          outcome_get(s, map_b, 'B', number), tolerance);
    for (int k = 2; !problem; k++) {
        const Outcome *a = map_get(map_a, name_printf(s->driver->context, "A%d.%d", number, k));
        const Outcome *b = map_get(map_b, name_printf(s->driver->context, "B%d.%d", number, k));
        if (!a && !b) break;
        problem = outcomes_differ(s, a, b, tolerance);
        if (problem) problem = arena_printf(s->arena, "result %d: %s", k, problem);
    }
    return problem;
}

static const char *shape_differs(SelfCheck *s, const Outcome *a, const char *wanted)
{
    StrBuf found = str_new(s->arena);
    if (!a) return "there is no result";
    for (int k = 0; k < a->rank; k++)
        str_printf(&found, "%s%ld", k ? ", " : "[", a->shape[k]);
    str_add(&found, a->rank ? "]" : "[]");
    if (!strncmp(str_text(&found), wanted, strlen(str_text(&found)))) return NULL;
    return arena_printf(s->arena, "the shape is %s", str_text(&found));
}

/* Whether each derivative agrees with the difference beside it, where the function is a number. */
static const char *derivatives_differ(SelfCheck *s, const Outcome *a)
{
    if (!a || a->rank != 2) return "there is no result";
    long points = a->shape[1], compared = 0;
    for (long row = 1; row + 1 < a->shape[0]; row += 2)
        for (long i = 0; i < points; i++) {
            double derivative = a->values[row * points + i];
            double difference = a->values[(row + 1) * points + i];
            if (!isfinite(a->values[i]) || !isfinite(difference)) continue;
            compared++;
            if (!near(derivative, difference, DIFFERENCE_TOLERANCE))
                return arena_printf(s->arena,
                                    "derivative %ld at point %ld is %.9g; differences give %.9g",
                                    (row + 1) / 2, i, derivative, difference);
        }
    return a->shape[0] > 1 && !compared ? "no point of it could be compared" : NULL;
}

/* Values and derivatives of compiled C against the evaluator's; differences are too rough to
 * compare. */
static const char *single_differs(SelfCheck *s, const Outcome *c, const Outcome *e)
{
    if (!c || !e || c->rank != 2 || c->count != e->count) return "there is no result";
    for (long row = 0; row < e->shape[0]; row += row ? 2 : 1)
        for (long i = 0; i < e->shape[1]; i++) {
            long at = row * e->shape[1] + i;
            if (isfinite(e->values[i]) && !near(c->values[at], e->values[at], SINGLE_TOLERANCE))
                return arena_printf(s->arena, "row %ld at point %ld is %.9g, not %.9g", row, i,
                                    c->values[at], e->values[at]);
        }
    return NULL;
}

static void compare(SelfCheck *s, const Map *eval, const Map *c)
{
    for (int i = 0; i < s->checks.len; i++) {
        const Check *check = &s->checks.data[i];
        const Outcome *a = outcome_get(s, eval, 'A', i);
        const Outcome *a_c = outcome_get(s, c, 'A', i);
        const char *in_c = arena_printf(s->arena, "%s, compiled", check->what);
        switch (check->kind) {
        case CHECK_EQUAL:
            report(s, check->what, models_differ(s, eval, eval, i, EXAMPLE_TOLERANCE));
            report(s, in_c, models_differ(s, c, eval, i, SINGLE_TOLERANCE));
            break;
        case CHECK_SHAPE:
            report(s, check->what, shape_differs(s, a, check->wanted));
            report(s, in_c, shape_differs(s, a_c, check->wanted));
            break;
        case CHECK_DERIVATIVE:
            report(s, check->what, derivatives_differ(s, a));
            report(s, in_c, single_differs(s, a_c, a));
            break;
        }
    }
}

/* --- the command
 * ----------------------------------------------------------------------------------------- */

/* Runs all in a folder that exists. */
static int check_in(SelfCheck *s, const char *folder)
{
    Context *context = s->driver->context;
    const char *text = str_text(&s->text);
    const Source *source = source_add(context, "self-check.nnd", text, strlen(text), false);
    ElaborateOptions options = {0};
    Program *program = program_elaborate(context, source, &options);
    if (!program) return STATUS_WRONG;
    FILE *nowhere =
        fopen("/dev/null", "w"); /* warnings: derivatives that are zero, and meant to be */
    if (nowhere) {
        diag_print(context, nowhere);
        fclose(nowhere);
    }
    const char *eval = arena_printf(s->arena, "%s/eval.txt", folder);
    const char *c = arena_printf(s->arena, "%s/c.txt", folder);
    if (!run_eval(s, program, folder, eval) || !run_c(s, program, folder, c)) return STATUS_WRONG;
    Map eval_outcomes = outcomes_read(s, eval), c_outcomes = outcomes_read(s, c);
    compare(s, &eval_outcomes, &c_outcomes);
    return s->failed ? STATUS_WRONG : STATUS_DONE;
}

int command_self_check(Driver *driver)
{
    SelfCheck s = {.driver = driver, .arena = driver->arena, .text = str_new(driver->arena)};
    library_add(&s);
    operators_add(&s);
    const char *folder = folder_temporary(driver);
    int status = check_in(&s, folder);
    folder_remove(driver, folder);
    printf("%d passed, %d failed\n", s.passed, s.failed);
    return status;
}
