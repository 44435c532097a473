/* graph_table.h -- the inside of a Graph: the hash tables of scalars and nodes; for scalar.c, graph.c and
 * graph_loop.c only. */
#ifndef NND_GRAPH_TABLE_H
#define NND_GRAPH_TABLE_H

#include "ir.h"

/* An element of a tensor that the program asks for by a subscript read from data. */
typedef struct Access {
    Extent axis;
    Span span;
    struct Access *next;
} Access;

struct Graph {
    Context *context;
    Arena *arena;
    Scalar **scalars;
    uint32_t n_scalars, scalars_cap;
    Node **nodes;
    uint32_t n_nodes, nodes_cap;
    uint32_t n_tags;
    VEC(const Loop *) loops;
    VEC(const LoopSet *) loop_sets; /* of several loops */
    Map cache;
    Map presumed;
    Map accesses; /* Node -> Access: subscripts that are read from it */
    int call; /* of the library, that is being elaborated: spans get it */
};

/* The one node equal to `wanted`; its arrays are copied if it is new. */
const Node *graph_intern(Graph *g, Node wanted);

static inline uint32_t hash_mix(uint32_t hash, uint64_t value)
{
    uint64_t h = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h ^ (h >> 32));
}

#endif
