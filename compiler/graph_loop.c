/* graph_loop.c -- loops: their leaves, the scans over them, and which nodes belong to which body.
 *
 * A loop has no block of nodes of its own. What depends on its leaves is its body, everything else
 * is outside; sets of loops are interned and kept on every scalar and node as they are made. */
#include "graph_table.h"

#include <assert.h>
#include <stdlib.h>

/* --- loops and sets of them
 * ------------------------------------------------------------------------ */

static const Loop *loop_new(Graph *g, uint32_t id, Name name, Extent extent, bool reversed,
                            Span span)
{
    Loop *loop = NEW(g->arena, Loop);
    *loop = (Loop){.id = id, .name = name, .extent = extent, .reversed = reversed, .span = span};
    const Loop **self = NEW(g->arena, const Loop *);
    *self = loop;
    loop->only = (LoopSet){1, self};
    vec_push(g->arena, &g->loops, loop);
    return loop;
}

static uint32_t loop_next_id(const Graph *g)
{
    uint32_t id = 0;
    for (int i = 0; i < g->loops.len; i++)
        if (g->loops.data[i]->id > id) id = g->loops.data[i]->id;
    return id + 1;
}

const Loop *graph_loop(Graph *g, Name name, Extent extent, bool reversed, Span span)
{
    return loop_new(g, loop_next_id(g), name, extent, reversed, span);
}

const Loop *graph_loop_numbered(Graph *g, uint32_t id, Name name, Extent extent, bool reversed,
                                Span span)
{
    for (int i = 0; i < g->loops.len; i++) {
        const Loop *loop = g->loops.data[i];
        if (loop->id != id) continue;
        bool same =
            loop->name == name && extent_equal(loop->extent, extent) && loop->reversed == reversed;
        return same ? loop : graph_loop(g, name, extent, reversed, span);
    }
    return loop_new(g, id, name, extent, reversed, span);
}

bool loops_have(const LoopSet *set, const Loop *loop)
{
    for (int i = 0; set && i < set->n; i++)
        if (set->loops[i] == loop) return true;
    return false;
}

static const LoopSet *set_intern(Graph *g, int n, const Loop *const *loops)
{
    if (n == 0) return NULL;
    if (n == 1) return &loops[0]->only;
    for (int i = 0; i < g->loop_sets.len; i++) {
        const LoopSet *set = g->loop_sets.data[i];
        if (set->n == n && memcmp(set->loops, loops, sizeof *loops * (size_t)n) == 0) return set;
    }
    LoopSet *set = NEW(g->arena, LoopSet);
    *set = (LoopSet){n, arena_copy(g->arena, loops, sizeof *loops * (size_t)n)};
    vec_push(g->arena, &g->loop_sets, set);
    return set;
}

const LoopSet *loops_union(Graph *g, const LoopSet *a, const LoopSet *b)
{
    if (a == b || !b) return a;
    if (!a) return b;
    max_align_t room[ARENA_ROOM];
    Arena *scratch = arena_within(room, sizeof room);
    const Loop **both = NEW_ARRAY(scratch, const Loop *, a->n + b->n);
    int n = 0;
    for (int i = 0, j = 0; i < a->n || j < b->n;) {
        bool first = j == b->n || (i < a->n && a->loops[i]->id <= b->loops[j]->id);
        if (first && j < b->n && a->loops[i] == b->loops[j]) j++;
        both[n++] = first ? a->loops[i++] : b->loops[j++];
    }
    const LoopSet *set = set_intern(g, n, both);
    arena_free(scratch);
    return set;
}

const LoopSet *loops_without(Graph *g, const LoopSet *set, const Loop *loop)
{
    if (!loops_have(set, loop)) return set;
    max_align_t room[ARENA_ROOM];
    Arena *scratch = arena_within(room, sizeof room);
    const Loop **rest = NEW_ARRAY(scratch, const Loop *, set->n);
    int n = 0;
    for (int i = 0; i < set->n; i++)
        if (set->loops[i] != loop) rest[n++] = set->loops[i];
    const LoopSet *result = set_intern(g, n, rest);
    arena_free(scratch);
    return result;
}

static const LoopSet *loops_of_extents(Graph *g, const LoopSet *set, const Extent *extents, int n)
{
    for (int i = 0; i < n; i++)
        if (extents[i].size) set = loops_union(g, set, extents[i].size->free);
    return set;
}

const LoopSet *node_loops(Graph *g, const Node *node)
{
    const LoopSet *set = loops_of_extents(g, NULL, node->shape, node->rank);
    set = loops_of_extents(g, set, node->iters, node->n_iters);
    if (node->leaf && node->leaf->loop) set = loops_union(g, set, &node->leaf->loop->only);
    if (node->body) set = loops_union(g, set, node->body->free);
    if (node->guard) set = loops_union(g, set, node->guard->free);
    for (int k = 0; node->position && k < node->rank; k++)
        set = loops_union(g, set, node->position[k]->free);
    for (int k = 0; k < node->n_pieces; k++)
        set = loops_union(g, set, node->pieces[k].part->free);
    if (node->value) set = loops_union(g, set, node->value->free);
    for (int k = 0; k < node->n_carries; k++)
        set = loops_union(g, set, node->carries[k].next->free);
    if (node->loop) set = loops_without(g, set, node->loop);
    if (node->value) set = loops_without(g, set, node->arg->loop);
    for (int k = 0; k < node->n_carries; k++)
        set = loops_union(g, set, node->carries[k].init->free);
    set = loops_union(g, set, node->place);
    return node->arg ? loops_union(g, set, node->arg->free) : set;
}

/* --- constructors
 * ---------------------------------------------------------------------------------- */

const Node *graph_time(Graph *g, const Loop *loop)
{
    Leaf leaf = {.kind = LEAF_TIME, .name = loop->name, .loop = loop};
    return graph_leaf(g, &leaf, TYPE_INT, 0, NULL);
}

const Node *graph_carry(Graph *g, const Loop *loop, int number, Name name, ElemType type, int rank,
                        const Extent *shape)
{
    Leaf leaf = {.kind = LEAF_CARRY, .name = name, .loop = loop, .number = number};
    return graph_leaf(g, &leaf, type, rank, shape);
}

const Node *graph_scan(Graph *g, const Loop *loop, int n_carries, const Carry *carries, Span span)
{
    Node n = {.kind = NODE_SCAN,
              .type = TYPE_BOOL,
              .loop = loop,
              .n_carries = n_carries,
              .carries = carries,
              .span = span};
    return graph_intern(g, n);
}

const Node *graph_scan_within(Graph *g, const Node *scan, const LoopSet *loops)
{
    bool within = true;
    for (int i = 0; loops && i < loops->n; i++)
        within = within && loops_have(scan->free, loops->loops[i]);
    if (within) return scan;
    Node n = *scan;
    n.place = loops_union(g, scan->place, loops);
    return graph_intern(g, n);
}

const Node *graph_final(Graph *g, const Node *scan, int carry)
{
    assert(scan->kind == NODE_SCAN && carry < scan->n_carries);
    const Carry *c = &scan->carries[carry];
    if (c->next == c->leaf || scan->loop->extent.max == 0) return c->init;
    Node n = {.kind = NODE_FINAL,
              .type = c->leaf->type,
              .rank = c->leaf->rank,
              .shape = c->leaf->shape,
              .arg = scan,
              .carry = carry,
              .span = scan->span,
              .name = c->leaf->name};
    return graph_intern(g, n);
}

/* The shape of the value behind an axis of steps. */
static void yield_shape(Graph *g, const Loop *loop, const Node *value, Extent *shape)
{
    const Scalar *map[MAX_RANK];
    for (int k = 0; k < value->rank; k++)
        map[k] = scalar_iter(g, k + 1);
    assert(value->rank < MAX_RANK);
    shape[0] = loop->extent;
    for (int k = 0; k < value->rank; k++) {
        Extent e = value->shape[k];
        assert(!e.size || !loops_have(e.size->free, loop));
        if (e.size) e.size = scalar_substitute(g, e.size, map, value->rank);
        shape[k + 1] = e;
    }
}

const Node *graph_yield(Graph *g, const Node *scan, const Node *value, Span span)
{
    assert(scan->kind == NODE_SCAN);
    Extent shape[MAX_RANK];
    yield_shape(g, scan->loop, value, shape);
    if (!loops_have(value->free, scan->loop))
        return graph_map(g, value->rank + 1, shape, scalar_load_at(g, value, 1), span);
    scan = graph_scan_within(g, scan, loops_without(g, value->free, scan->loop));
    Node n = {.kind = NODE_YIELD,
              .type = value->type,
              .rank = value->rank + 1,
              .shape = shape,
              .arg = scan,
              .value = value,
              .span = span};
    return graph_intern(g, n);
}

/* --- regions
 * --------------------------------------------------------------------------------------- */

typedef struct Planner {
    Arena *arena;
    Map regions; /* from scans to their Regions */
    Map filled;  /* Regions that are complete */
    const Map *before;
    bool (*end)(void *data, const Node *node); /* what nodes need for which it holds is left out */
    void *data;
} Planner;

static void region_fill(Planner *p, Region *region);

/* What must be computed before the node where it stands: a scan and its results are one run. */
static Nodes outer_operands(Planner *p, const Node *node)
{
    Nodes operands = {0};
    if (p->end && p->end(p->data, node)) return operands;
    const Nodes *before = p->before ? map_get(p->before, node) : NULL;
    if (node->kind == NODE_FINAL || node->kind == NODE_YIELD) {
        vec_push(p->arena, &operands, node->arg);
    } else if (node->kind == NODE_SCAN) {
        Region *region = map_get(&p->regions, node);
        region_fill(p, region);
        for (int i = 0; i < region->outer.len; i++)
            vec_push(p->arena, &operands, region->outer.data[i]);
    } else if (!before) {
        return node->operands;
    } else {
        for (int i = 0; i < node->operands.len; i++)
            vec_push(p->arena, &operands, node->operands.data[i]);
    }
    for (int i = 0; before && i < before->len; i++)
        vec_push(p->arena, &operands, before->data[i]);
    return operands;
}

typedef struct Placing {
    Planner *p;
    Region *region;
    Map seen, placed, open;
    Nodes found;
} Placing;

static void placing_find(Placing *f, const Node *node)
{
    if (map_get(&f->seen, node)) return;
    map_put(&f->seen, node, f);
    bool inside = !f->region->scan || loops_have(node->free, f->region->scan->loop);
    vec_push(f->p->arena, inside ? &f->found : &f->region->outer, node);
}

static void place(Placing *f, const Node *node)
{
    if (map_get(&f->placed, node)) return;
    assert(!map_get(&f->open, node) && "a scan that needs its own results");
    map_put(&f->open, node, f);
    Nodes operands = outer_operands(f->p, node);
    for (int i = 0; i < operands.len; i++) {
        const Node *o = operands.data[i];
        if (!f->region->scan || loops_have(o->free, f->region->scan->loop)) place(f, o);
    }
    map_put(&f->placed, node, f);
    vec_push(f->p->arena, &f->region->nodes, node);
    if (node->kind == NODE_SCAN)
        vec_push(f->p->arena, &f->region->inner, map_get(&f->p->regions, node));
}

static int id_compare(const void *a, const void *b)
{
    const Node *x = *(const Node *const *)a, *y = *(const Node *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void nodes_sort(Nodes *nodes)
{
    if (nodes->len) qsort(nodes->data, (size_t)nodes->len, sizeof *nodes->data, id_compare);
}

/* Fills the region with what these need, in order of creation as far as that is possible: a result
 * asked for later may make its scan wait for nodes that are younger. */
static void region_place(Planner *p, Region *region, const Node *const *roots, int n_roots)
{
    Placing f = {p, region, map_new(p->arena), map_new(p->arena), map_new(p->arena), {0}};
    for (int i = 0; i < n_roots; i++)
        if (roots[i]) placing_find(&f, roots[i]);
    for (int i = 0; i < f.found.len; i++) {
        Nodes operands = outer_operands(p, f.found.data[i]);
        for (int k = 0; k < operands.len; k++)
            placing_find(&f, operands.data[k]);
    }
    nodes_sort(&f.found);
    for (int i = 0; i < f.found.len; i++)
        place(&f, f.found.data[i]);
}

static void region_fill(Planner *p, Region *region)
{
    if (map_get(&p->filled, region)) return;
    map_put(&p->filled, region, p);
    const Node *scan = region->scan;
    Nodes roots = {0}, before = {0};
    for (int k = 0; k < scan->n_carries; k++)
        vec_push(p->arena, &roots, scan->carries[k].next);
    for (int i = 0; i < region->results.len; i++)
        if (region->results.data[i]->value)
            vec_push(p->arena, &roots, region->results.data[i]->value);
    before = extent_operands(p->arena, scan->loop->extent);
    for (int k = 0; k < scan->n_carries; k++)
        vec_push(p->arena, &before, scan->carries[k].init);
    for (int i = 0; i < before.len; i++)
        vec_push(p->arena, &roots, before.data[i]);
    region_place(p, region, roots.data, roots.len);
    nodes_sort(&region->outer);
}

static Region *regions_find(Planner p, const Node *const *roots, int n_roots)
{
    Arena *arena = p.arena;
    p.regions = map_new(arena);
    p.filled = map_new(arena);
    Nodes all = graph_reach_to(arena, roots, n_roots, p.end, p.data);
    for (int i = 0; i < all.len; i++) {
        const Node *node = all.data[i];
        if (node->kind == NODE_SCAN) {
            Region *region = NEW(arena, Region);
            region->scan = node;
            map_put(&p.regions, node, region);
        } else if (node->kind == NODE_FINAL || node->kind == NODE_YIELD) {
            Region *region = map_get(&p.regions, node->arg);
            vec_push(arena, &region->results, node);
        }
    }
    Region *whole = NEW(arena, Region);
    region_place(&p, whole, roots, n_roots);
    return whole;
}

Region *graph_regions(Arena *arena, const Node *const *roots, int n_roots, const Map *before)
{
    return regions_find((Planner){.arena = arena, .before = before}, roots, n_roots);
}

Region *graph_regions_to(Arena *arena, const Node *const *roots, int n_roots,
                         bool (*end)(void *data, const Node *node), void *data)
{
    return regions_find((Planner){.arena = arena, .end = end, .data = data}, roots, n_roots);
}
