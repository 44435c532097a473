/* lower.h -- the inside of lowering: for lower*.c only. */
#ifndef NND_LOWER_H
#define NND_LOWER_H

#include "lanes.h"

/* Makes the buffer of a node and the kernel that computes it. */
void lower_node(Lowered *l, const Node *node);
/* Gives a node work memory, unless it has a buffer. */
void lower_buffer(Lowered *l, const Node *node);
/* Begins the kernel that computes a node, which has a buffer. */
Kernel *lower_kernel(Lowered *l, const Node *node);
/* Adds the statements that reduce, over the node's reducing iterators; returns the result. */
const Scalar *lower_reduction(Lowered *l, Block *block, const Node *node);
/* sum / the number of points of a mean without guard. */
const Scalar *lower_mean(Lowered *l, const Scalar *sum, const Node *node);
/* A tensor like `like`, with a buffer of its own. */
const Node *lower_fresh(Lowered *l, const Node *like, BufferKind kind, const char *name);
/* Begins a kernel that copies a value: the body of the loops over its axes, iterators 0, 1, .. */
Block *lower_loops(Lowered *l, const Node *value, const char *name);
/* target[i, j, ..] := value[i, j, ..] in such loops. */
void lower_store(Lowered *l, Block *body, const Node *target, const Node *value);
/* target := value, element by element. */
void lower_copy(Lowered *l, const Node *target, const Node *value);
/* What a value is a view of. */
const Node *lower_underlying(const Node *node);

/* --- lower_update.c --------------------------------------------------------------------------- */

/* Finds, for all updates and carries, the values that are written in one place of the old one (Lowered.places). */
void places_find(Lowered *l);
/* old := value; called when all is done that reads the old value. */
void lower_update(Lowered *l, const Node *old, const Node *value);

/* --- lower_order.c ---------------------------------------------------------------------------- */

void lower_order(Lowered *l, const Node *node);

/* --- lower_scan.c ----------------------------------------------------------------------------- */

/* All kernels of a region, those of its scans between the marks of their loops. */
void lower_region(Lowered *l, const Region *region);

/* --- lower_slice.c ---------------------------------------------------------------------------- */

/* Lets the kernels from `begin` on compute and read a yielded value in its slice of the yield;
 * false, and nothing is changed, where that is not possible. */
bool lower_in_slice(Lowered *l, const Node *yield, int begin);

/* --- lower_lanes.c ---------------------------------------------------------------------------- */

/* One kernel for a group, and one for each of its sinks. */
void lower_lanes(Lowered *l, LaneGroup *group);

#endif
