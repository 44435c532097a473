/* eval.h -- the reference evaluator: graphs by plain loops in double precision, the oracle of
 * folding, of the passes and of every backend. */
#ifndef NND_EVAL_H
#define NND_EVAL_H

#include "ir.h"

/* A tensor's value: row-major doubles. An axis whose run-time size is one number for the whole
 * tensor (the batch) has that extent; one whose size differs from row to row has its bound, and
 * what lies behind a row's size is 0 and never read. */
typedef struct EvalArray {
    int rank;
    int64_t dims[MAX_RANK];
    int64_t count;
    double *data;
} EvalArray;

/* Zeroed; freed with eval_array_free. */
EvalArray *eval_array_new(int rank, const int64_t *dims);
void eval_array_free(EvalArray *array); /* NULL is fine */

/* What a graph is evaluated in: values of leaves. Constants bring theirs with them. */
typedef struct EvalEnv {
    uint64_t seed;
    int64_t batch, total, offset, step, epoch; /* LEAF_SIZE, LEAF_TOTAL, ... */
    bool f32;   /* every stored element and every operation is rounded to float */
    Map leaves; /* from Node (persistents, fields, inputs, files) to EvalArray */
} EvalEnv;

EvalEnv eval_env(Arena *arena, uint64_t seed);
/* The array stays the caller's, and must live as long as the environment is used. */
void eval_set(EvalEnv *env, const Node *leaf, const EvalArray *value);

/* Evaluates the roots: out[i] is a new array for each (eval_array_free). On a run-time error (a
 * subscript out of bounds, an integer division by zero, a leaf without value) returns false with a
 * message of one line in error, and nothing in out. */
bool eval_roots(Graph *g, const EvalEnv *env, const Node *const *roots, int n_roots,
                EvalArray **out, char *error, size_t error_size);

#endif
