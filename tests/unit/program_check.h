/* program_check.h -- for unit tests of elaboration: source text to values, by the reference
 * evaluator. */
#ifndef NND_PROGRAM_CHECK_H
#define NND_PROGRAM_CHECK_H

#include "eval.h"
#include "program.h"
#include "unit.h"

#include <stdlib.h>

static Context *context;
static Program *program;

static inline bool compile(const char *text)
{
    static const ElaborateOptions options = {0};
    context = context_new();
    const Source *source = source_add(context, "test.nnd", text, strlen(text), false);
    program = program_elaborate(context, source, &options);
    if (!program) diag_print(context, stderr);
    return program != NULL;
}

static inline void done(void)
{
    context_free(context);
}

static inline const Model *model_find(const char *name)
{
    for (int i = 0; i < program->models.len; i++)
        if (!strcmp(program->models.data[i]->name, name)) return program->models.data[i];
    return NULL;
}

/* The result of a model without inputs; parameters have their initial values. */
static inline EvalArray *run(const char *name)
{
    EvalEnv env = eval_env(context_arena(context), 7);
    char error[256] = "";
    int n = program->persistents.len;
    EvalArray **inits = calloc((size_t)n + 1, sizeof *inits);
    for (int i = 0; i < n; i++) {
        const Persistent *p = program->persistents.data[i];
        if (!p->init ||
            !eval_roots(program->graph, &env, &p->init, 1, &inits[i], error, sizeof error))
            continue;
        eval_set(&env, p->leaf, inits[i]);
    }
    const Model *model = model_find(name);
    EvalArray *out = NULL;
    bool known = model && model->entry;
    if (known && !eval_roots(program->graph, &env, &model->entry->outputs.data[0].node, 1, &out,
                             error, sizeof error))
        fprintf(stderr, "%s\n", error);
    for (int i = 0; i < n; i++)
        if (inits[i]) eval_array_free(inits[i]);
    free(inits);
    return out;
}

/* Compiles `model M() = ...` and compares its elements. */
static inline void expect(const char *text, int count, const double *wanted)
{
    if (!compile(text)) {
        CU_FAIL("does not compile");
        done();
        return;
    }
    EvalArray *out = run("M");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(out->count, count);
    for (int i = 0; i < count && i < out->count; i++) {
        CU_ASSERT(unit_near(out->data[i], wanted[i], 1e-9));
        if (!unit_near(out->data[i], wanted[i], 1e-9))
            fprintf(stderr, "element %d is %g, not %g: %s\n", i, out->data[i], wanted[i], text);
    }
    eval_array_free(out);
    done();
}
#define EXPECT(text, ...)                                                                          \
    expect(text, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

/* How many errors a text has. */
static inline int errors(const char *text)
{
    static const ElaborateOptions options = {0};
    Context *c = context_new();
    const Source *source = source_add(c, "test.nnd", text, strlen(text), false);
    program_elaborate(c, source, &options);
    int n = diag_errors(c);
    context_free(c);
    return n;
}

/* The value of the tensor with this path after n steps; its first element. */
static inline double after_steps(const char *path, int n)
{
    EvalEnv env = eval_env(context_arena(context), 7);
    char error[256] = "";
    int count = program->persistents.len;
    EvalArray *values[64] = {NULL}, *next[64];
    CU_ASSERT_FATAL(count <= 64);
    for (int i = 0; i < count; i++) {
        const Persistent *p = program->persistents.data[i];
        if (p->init) eval_roots(program->graph, &env, &p->init, 1, &values[i], error, sizeof error);
        eval_set(&env, p->leaf, values[i]);
    }
    const Entry *step = program->trains.data[0]->step;
    for (int k = 0; k < n; k++, env.step++) {
        const Node *roots[64];
        for (int i = 0; i < step->updates.len; i++)
            roots[i] = step->updates.data[i].value;
        CU_ASSERT_FATAL(eval_roots(program->graph, &env, roots, step->updates.len, next, error,
                                   sizeof error));
        for (int i = 0; i < step->updates.len; i++) {
            int target = step->updates.data[i].target->index;
            eval_array_free(values[target]);
            values[target] = next[i];
            eval_set(&env, step->updates.data[i].target->leaf, next[i]);
        }
    }
    double result = NAN;
    for (int i = 0; i < count; i++) {
        if (values[i] && !strcmp(program->persistents.data[i]->path, path))
            result = values[i]->data[0];
        eval_array_free(values[i]);
    }
    return result;
}

#endif
