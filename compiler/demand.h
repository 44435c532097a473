/* demand.h -- under which conditions the value of a node is needed at all. */
#ifndef NND_DEMAND_H
#define NND_DEMAND_H

#include "ir.h"

/* Conditions that must all hold: nodes[i], a truth value of rank 0, is holds[i]. Those around others come
 * first: where one does not hold, those behind it may not be known. Equal sets are the same When. */
typedef struct When {
    Nodes nodes;
    const bool *holds;
    const Scalar *reads; /* the nodes' values as one scalar: all that the conditions read; NULL: none */
} When;

typedef struct Demand Demand;

/* The nodes that the roots need. A root with an `olds[i]` (which may be NULL) is to replace the value of that
 * leaf: where it is nothing but the old value, it is not needed. Adds the nodes of conditions to the graph. */
Demand *demand_find(Graph *g, Arena *arena, const Node *const *roots, const Node *const *olds, int n_roots);
/* What must hold for the node to be needed; without conditions: always. Never NULL. */
const When *demand_when(const Demand *d, const Node *node);
const When *when_always(const Demand *d);
/* What must hold beside b for a to hold. */
const When *when_without(Demand *d, const When *a, const When *b);
/* What both ask for. */
const When *when_common(Demand *d, const When *a, const When *b);
/* Whether everything that a asks for is asked for by b. */
bool when_within(const When *a, const When *b);
/* From Node to the Nodes of its conditions, which must be computed before it. */
const Map *demand_before(const Demand *d);

#endif
