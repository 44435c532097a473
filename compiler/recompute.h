/* recompute.h -- the inside of computing again what memory has no room for: recompute*.c only. */
#ifndef NND_RECOMPUTE_H
#define NND_RECOMPUTE_H

#include "kernel.h"

/* How a unit uses a buffer. */
typedef struct UnitUse {
    int buffer; /* its index */
    bool read, written;
} UnitUse;

/* Two buffers of which the second can take the place of the first (reuse.c). */
typedef struct Pair {
    int from, to;
} Pair;

/* A kernel that stands outside of loops, or a whole loop: what can be done a second time. */
typedef struct Unit {
    int first, last; /* kernels */
    VEC(UnitUse) uses;
    VEC(Pair) pairs;
    bool repeatable;
    int64_t inside; /* bytes of what is used nowhere else, of a loop */
    double cost;    /* nanoseconds */
} Unit;
typedef VEC(int) Numbers;

/* An entry as units, and what is known of its buffers. */
typedef struct Steps {
    Lowered *l;
    Arena *scratch;
    VEC(Unit) units;
    int n_buffers;
    int64_t *bytes;   /* of each buffer in work memory; else, and inside of loops only: 0 */
    Numbers *writers; /* of each buffer, in order */
} Steps;

/* --- recompute_units.c ---------------------------------------------------------------------------------- */

Steps steps_of(Lowered *l, Arena *scratch);
/* Rewrites the entry: unit u is done a second time before unit again[u], for those that come after it, where
 * that is not -1. */
void steps_apply(Steps *s, const int *again);

#endif
