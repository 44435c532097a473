/* lanes.h -- groups of nodes whose examples become the lanes of vectors; for lanes.c, lower*.c
 * only. */
#ifndef NND_LANES_H
#define NND_LANES_H

#include "kernel.h"

enum { LANES_STEP = 16 }; /* the examples of a block are a multiple of it */

/* Nodes over the same examples, from narrow layers, that one kernel computes block of examples by
 * block: members have the examples as their first axis and live in small arrays, examples
 * innermost; sinks are sums over the examples. */
typedef struct LaneGroup {
    Extent examples;
    const When *when; /* where all of them are needed */
    int level;
    Nodes members, sinks; /* operands first */
    Map escapes;          /* members that are read elsewhere, too */
    bool kept;            /* worth it */
    int64_t lanes;        /* examples of a block */
} LaneGroup;

typedef VEC(LaneGroup *) LaneGroups;

/* What comes when: nodes of the stage, then groups of it, then the next stage. */
typedef struct LanePlan {
    LaneGroups groups;
    Map member_of, sink_of; /* from Node to its LaneGroup, which may not be kept */
    Map stage_of;           /* from Node to its number, as intptr_t + 1 */
    int stages;
} LanePlan;

LanePlan *lanes_plan(Lowered *l, const Nodes *nodes);
int lanes_stage(const LanePlan *plan, const Node *node);
/* Whether the node is computed by a group's kernels. */
bool lanes_grouped(const LanePlan *plan, const Node *node);
/* The iterator over the examples that a sink of this group sums over. */
int lanes_sink_iter(const LaneGroup *group, const Node *sink);
/* Whether a load from a tensor over examples is at the example of iterator iter. */
bool lanes_aligned(const Scalar *load, int iter);

#endif
