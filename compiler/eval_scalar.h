/* eval_scalar.h -- scalars as small register programs, for eval.c and eval_scalar.c only. */
#ifndef NND_EVAL_SCALAR_H
#define NND_EVAL_SCALAR_H

#include "eval.h"

/* One evaluation of a graph. */
typedef struct EvalRun {
    Graph *g;
    const EvalEnv *env;
    Arena *arena;    /* lives as long as the run */
    const EvalArray **values; /* by position in `nodes` */
    bool *borrowed;           /* the value is the environment's */
    Nodes nodes;
    Map index;       /* from Node to its position + 1 */
    Map regions;     /* from scans to their Regions */
    bool failed;
    char *error;
    size_t error_size;
} EvalRun;

/* Records the first error. */
void run_fail(EvalRun *run, Span span, const char *format, ...) NND_PRINTF(3, 4);
/* The value of a node that was evaluated before. */
const EvalArray *run_value(EvalRun *run, const Node *node);
/* "x", or "t12" where the node has no name. */
const char *run_name(EvalRun *run, const Node *node);

/* Where scalars are evaluated: the values of the iterators, and for each an exclusive bound. */
typedef struct Frame {
    EvalRun *run;
    Arena *arena; /* of the node at hand */
    int n_iters;
    int64_t iter[MAX_ITERS];
    int64_t bound[MAX_ITERS];
} Frame;

typedef struct Code Code;

/* Compiles a scalar whose iterators are the frame's; the nodes it loads are evaluated. */
Code *code_new(Frame *frame, const Scalar *scalar);
/* Its value at the frame's iterators. */
double code_eval(Code *code);
/* Whether it is nothing but the product of two loads that stay inside. */
bool code_is_product(const Code *code);
/* value + the products for n values, from 0, of the frame's iterator `inner`, added in this
 * order. */
double code_dot(const Code *code, int inner, int64_t n, double value);
/* The size of an extent at the frame's iterators; `code` is NULL for a fixed one. */
int64_t extent_eval(Frame *frame, Extent extent, Code *code);

#endif
