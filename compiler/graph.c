/* graph.c -- nodes: hash-consed constructors, operands, walking and rewriting.
 *
 * Nodes are immutable and equal ones are one pointer, so common subexpressions cost nothing. Ids count in
 * order of creation and operands exist before their users: sorting by id is a topological order. Only a
 * node's `name` may be filled in later; it says nothing about the value. */
#include "graph_table.h"

#include <assert.h>
#include <stdlib.h>

Graph *graph_new(Context *context)
{
    Graph *g = NEW(context_arena(context), Graph);
    g->context = context;
    g->arena = context_arena(context);
    g->cache = map_new(g->arena);
    g->presumed = map_new(g->arena);
    g->accesses = map_new(g->arena);
    return g;
}

Context *graph_context(Graph *g)
{
    return g->context;
}

Arena *graph_arena(Graph *g)
{
    return g->arena;
}

Map *graph_cache(Graph *g)
{
    return &g->cache;
}

Map *graph_presumed(Graph *g)
{
    return &g->presumed;
}

int graph_call(Graph *g, int call)
{
    int before = g->call;
    g->call = call;
    return before;
}

/* --- hash consing -------------------------------------------------------------------------------- */

static bool extents_same(const Extent *a, const Extent *b, int n)
{
    for (int i = 0; i < n; i++)
        if (!extent_equal(a[i], b[i])) return false;
    return true;
}

/* Whether two leaves of equal shapes are the same tensor. */
static bool leaf_same(const Leaf *a, const Leaf *b, int64_t count)
{
    if (a == b) return true;
    if (!a || !b || a->kind != b->kind || a->name != b->name || a->source != b->source ||
        a->persistent != b->persistent || a->field != b->field || a->loop != b->loop ||
        a->number != b->number)
        return false;
    return a->kind != LEAF_CONST ||
           memcmp(a->values, b->values, sizeof *a->values * (size_t)count) == 0;
}

static bool node_same(const Node *a, const Node *b)
{
    if (a->hash != b->hash || a->kind != b->kind || a->type != b->type || a->rank != b->rank ||
        a->reduce != b->reduce || a->n_iters != b->n_iters || a->body != b->body ||
        a->guard != b->guard || a->arg != b->arg || a->tag != b->tag || a->axis != b->axis ||
        a->n_pieces != b->n_pieces || a->loop != b->loop || a->n_carries != b->n_carries ||
        a->carry != b->carry || a->value != b->value || a->place != b->place)
        return false;
    if (!extents_same(a->shape, b->shape, a->rank) || !extents_same(a->iters, b->iters, a->n_iters))
        return false;
    if ((a->position != NULL) != (b->position != NULL)) return false;
    for (int k = 0; a->position && k < a->rank; k++)
        if (a->position[k] != b->position[k]) return false;
    for (int k = 0; k < a->n_pieces; k++)
        if (a->pieces[k].part != b->pieces[k].part || a->pieces[k].offset != b->pieces[k].offset ||
            a->pieces[k].stride != b->pieces[k].stride)
            return false;
    for (int k = 0; k < a->n_carries; k++)
        if (a->carries[k].leaf != b->carries[k].leaf || a->carries[k].init != b->carries[k].init ||
            a->carries[k].next != b->carries[k].next)
            return false;
    return leaf_same(a->leaf, b->leaf, node_max_elements(a));
}

static uint32_t leaf_hash(uint32_t h, const Leaf *leaf, int64_t count)
{
    h = hash_mix(h, (uint64_t)leaf->kind);
    h = hash_mix(h, leaf->loop ? leaf->loop->id * 64u + (uint32_t)leaf->number : 0);
    h = hash_mix(h, (uintptr_t)leaf->name); /* not its text: local variables have names of their own */
    for (int64_t i = 0; leaf->kind == LEAF_CONST && i < count && i < 64; i++) {
        uint64_t bits;
        memcpy(&bits, &leaf->values[i], sizeof bits);
        h = hash_mix(h, bits);
    }
    return h;
}

static uint32_t extents_hash(uint32_t h, const Extent *e, int n)
{
    for (int i = 0; i < n; i++)
        h = hash_mix(h, (uint64_t)e[i].max * 31u + (e[i].size ? e[i].size->id : 0));
    return h;
}

static uint32_t node_hash(const Node *n)
{
    uint32_t h = hash_mix((uint32_t)n->kind, (uint64_t)n->type * 64u + (uint64_t)n->reduce);
    h = extents_hash(h, n->shape, n->rank);
    h = extents_hash(h, n->iters, n->n_iters);
    h = hash_mix(h, n->body ? n->body->id : 0);
    h = hash_mix(h, n->guard ? n->guard->id : 0);
    h = hash_mix(h, n->arg ? n->arg->id : 0);
    h = hash_mix(h, n->tag * 64u + (uint32_t)n->axis);
    for (int k = 0; n->position && k < n->rank; k++)
        h = hash_mix(h, n->position[k]->id);
    for (int k = 0; k < n->n_pieces; k++)
        h = hash_mix(h, n->pieces[k].part->id + 31u * (uint64_t)n->pieces[k].offset);
    h = hash_mix(h, n->loop ? n->loop->id + 31u * (uint64_t)(n->place ? n->place->n : 0) : 0);
    for (int k = 0; k < n->n_carries; k++)
        h = hash_mix(h, n->carries[k].init->id + 31u * (uint64_t)n->carries[k].next->id);
    h = hash_mix(h, n->value ? n->value->id + 31u : (uint32_t)n->carry);
    if (n->leaf) h = leaf_hash(h, n->leaf, node_max_elements(n));
    return h;
}

static void nodes_grow(Graph *g)
{
    uint32_t cap = g->nodes_cap ? 2 * g->nodes_cap : 512;
    Node **table = NEW_ARRAY(g->arena, Node *, cap);
    for (uint32_t i = 0; i < g->nodes_cap; i++)
        for (Node *n = g->nodes[i], *next; n; n = next) {
            next = n->next;
            n->next = table[n->hash & (cap - 1)];
            table[n->hash & (cap - 1)] = n;
        }
    g->nodes = table;
    g->nodes_cap = cap;
}

/* --- operands --------------------------------------------------------------------------------------- */

typedef struct OperandList {
    Arena *arena;
    Nodes nodes;
} OperandList;

static void operand_add(OperandList *list, const Node *node)
{
    for (int i = 0; i < list->nodes.len; i++)
        if (list->nodes.data[i] == node) return;
    vec_push(list->arena, &list->nodes, node);
}

static void operand_of_scalar(void *data, const Scalar *s)
{
    if (s->kind != SCALAR_LOAD) return;
    operand_add(data, s->node);
    for (int k = 0; k < s->node->rank; k++) /* what a subscript is compared with */
        if (s->node->shape[k].size) scalar_visit(s->node->shape[k].size, operand_of_scalar, data);
}

static void operands_of_extents(OperandList *list, const Extent *extents, int n)
{
    for (int i = 0; i < n; i++)
        if (extents[i].size) scalar_visit(extents[i].size, operand_of_scalar, list);
}

static Nodes operands_find(Arena *arena, const Node *node)
{
    OperandList list = {.arena = arena};
    operands_of_extents(&list, node->shape, node->rank);
    operands_of_extents(&list, node->iters, node->n_iters);
    if (node->guard) scalar_visit(node->guard, operand_of_scalar, &list);
    if (node->body) scalar_visit(node->body, operand_of_scalar, &list);
    for (int k = 0; node->position && k < node->rank; k++)
        scalar_visit(node->position[k], operand_of_scalar, &list);
    if (node->arg) operand_add(&list, node->arg);
    for (int k = 0; k < node->n_pieces; k++)
        operand_add(&list, node->pieces[k].part);
    if (node->loop) operands_of_extents(&list, &node->loop->extent, 1);
    for (int k = 0; k < node->n_carries; k++) {
        operand_add(&list, node->carries[k].leaf);
        operand_add(&list, node->carries[k].init);
        operand_add(&list, node->carries[k].next);
    }
    if (node->value) operand_add(&list, node->value);
    return list.nodes;
}

Nodes extent_operands(Arena *arena, Extent extent)
{
    OperandList list = {.arena = arena};
    operands_of_extents(&list, &extent, 1);
    return list.nodes;
}

/* --- interning --------------------------------------------------------------------------------------- */

const Node *graph_intern(Graph *g, Node wanted)
{
    assert(wanted.rank <= MAX_RANK && wanted.n_iters <= MAX_ITERS);
    wanted.hash = node_hash(&wanted);
    if (g->n_nodes >= g->nodes_cap) nodes_grow(g);
    Node **head = &g->nodes[wanted.hash & (g->nodes_cap - 1)];
    for (Node *old = *head; old; old = old->next)
        if (node_same(old, &wanted)) return old;
    Node *n = arena_copy(g->arena, &wanted, sizeof wanted);
    n->shape = arena_copy(g->arena, wanted.shape, sizeof(Extent) * (size_t)wanted.rank);
    n->iters = arena_copy(g->arena, wanted.iters, sizeof(Extent) * (size_t)wanted.n_iters);
    if (wanted.position)
        n->position =
            arena_copy(g->arena, wanted.position, sizeof *wanted.position * (size_t)wanted.rank);
    if (wanted.n_pieces)
        n->pieces =
            arena_copy(g->arena, wanted.pieces, sizeof(Piece) * (size_t)wanted.n_pieces);
    if (wanted.n_carries)
        n->carries = arena_copy(g->arena, wanted.carries, sizeof(Carry) * (size_t)wanted.n_carries);
    n->operands = operands_find(g->arena, n);
    n->operands.cap = n->operands.len; /* who adds to a list of them has a copy */
    n->free = node_loops(g, n);
    if (!n->span.call) n->span.call = g->call;
    n->id = ++g->n_nodes;
    n->next = *head;
    *head = n;
    return n;
}

/* --- constructors ---------------------------------------------------------------------------------- */

const Node *graph_leaf(Graph *g, const Leaf *leaf, ElemType type, int rank, const Extent *shape)
{
    Node n = {.kind = NODE_LEAF, .type = type, .rank = rank, .shape = shape,
              .leaf = arena_copy(g->arena, leaf, sizeof *leaf), .name = leaf->name};
    return graph_intern(g, n);
}

const Node *graph_const(Graph *g, ElemType type, int rank, const Extent *shape,
                        const double *values)
{
    int64_t count = 1;
    for (int k = 0; k < rank; k++)
        count *= shape[k].max;
    Leaf leaf = {.kind = LEAF_CONST,
                 .values = arena_copy(g->arena, values, sizeof *values * (size_t)count)};
    return graph_leaf(g, &leaf, type, rank, shape);
}

/* Whether body is node[iterators 0, 1, ...] of a node with this very shape. */
static bool load_is_identity(const Scalar *body, int rank, const Extent *shape)
{
    if (body->kind != SCALAR_LOAD || body->node->rank != rank) return false;
    for (int k = 0; k < rank; k++)
        if (body->args[k]->kind != SCALAR_ITER || body->args[k]->iter != k) return false;
    return extents_same(body->node->shape, shape, rank);
}

static ElemType reduce_type(Reduce reduce, const Scalar *body)
{
    if (reduce == REDUCE_ARGMAX || reduce == REDUCE_ARGMIN) return TYPE_INT;
    return body->type;
}

const Node *graph_comp(Graph *g, Reduce reduce, int rank, int n_iters, const Extent *iters,
                       const Scalar *body, const Scalar *guard, Span span)
{
    assert(n_iters >= rank);
    if (guard && scalar_is_const(guard, 1)) guard = NULL;
    bool one_point = n_iters == rank && !guard &&
                     (reduce == REDUCE_SUM || reduce == REDUCE_PROD || reduce == REDUCE_MEAN ||
                      reduce == REDUCE_ANY || reduce == REDUCE_ALL);
    if (one_point) reduce = REDUCE_NONE;
    assert(reduce != REDUCE_NONE || (n_iters == rank && !guard));
    if (reduce == REDUCE_NONE && load_is_identity(body, rank, iters)) return body->node;
    Node n = {.kind = NODE_COMP, .type = reduce_type(reduce, body), .rank = rank, .shape = iters,
              .reduce = reduce, .n_iters = n_iters, .iters = iters, .body = body, .guard = guard,
              .span = span};
    return graph_intern(g, n);
}

const Node *graph_map(Graph *g, int rank, const Extent *shape, const Scalar *body, Span span)
{
    return graph_comp(g, REDUCE_NONE, rank, rank, shape, body, NULL, span);
}

const Node *graph_scatter(Graph *g, int rank, const Extent *shape, const Scalar *const *position,
                          int n_iters, const Extent *iters, const Scalar *body,
                          const Scalar *guard, Span span)
{
    if (guard && scalar_is_const(guard, 1)) guard = NULL;
    static const Scalar *const nowhere[1] = {NULL};
    Node n = {.kind = NODE_SCATTER, .type = body->type, .rank = rank, .shape = shape,
              .reduce = REDUCE_SUM, .n_iters = n_iters, .iters = iters, .body = body,
              .guard = guard, .position = rank ? position : nowhere, .span = span};
    return graph_intern(g, n);
}

const Node *graph_reshape(Graph *g, const Node *arg, int rank, const Extent *shape, Span span)
{
    while (arg->kind == NODE_RESHAPE)
        arg = arg->arg;
    if (arg->rank == rank && extents_same(arg->shape, shape, rank)) return arg;
    Node n = {.kind = NODE_RESHAPE, .type = arg->type, .rank = rank, .shape = shape, .arg = arg,
              .span = span};
    return graph_intern(g, n);
}

const Node *graph_pieces(Graph *g, ElemType type, int rank, const Extent *shape, int axis,
                         int n_pieces, const Piece *pieces, Span span)
{
    if (n_pieces == 1 && pieces[0].offset == 0 && pieces[0].stride == 1 &&
        extents_same(pieces[0].part->shape, shape, rank))
        return pieces[0].part;
    Node n = {.kind = NODE_PIECES, .type = type, .rank = rank, .shape = shape, .axis = axis,
              .n_pieces = n_pieces, .pieces = pieces, .span = span};
    return graph_intern(g, n);
}

const Node *graph_order(Graph *g, const Node *arg, Span span)
{
    Node n = {.kind = NODE_ORDER, .type = TYPE_INT, .rank = arg->rank, .shape = arg->shape,
              .arg = arg, .span = span};
    return graph_intern(g, n);
}

const Node *graph_tag(Graph *g, const Node *arg)
{
    return graph_tag_numbered(g, arg, g->n_tags + 1);
}

const Node *graph_tag_numbered(Graph *g, const Node *arg, uint32_t tag)
{
    if (tag > g->n_tags) g->n_tags = tag;
    Node n = {.kind = NODE_TAG, .type = arg->type, .rank = arg->rank, .shape = arg->shape,
              .arg = arg, .tag = tag, .span = arg->span, .name = arg->name};
    return graph_intern(g, n);
}

const Node *graph_scalar(Graph *g, const Scalar *value)
{
    return graph_map(g, 0, NULL, value, value->span);
}

int64_t node_max_elements(const Node *node)
{
    return shape_max_elements(node->rank, node->shape);
}

int64_t shape_max_elements(int rank, const Extent *shape)
{
    int64_t count = 1;
    for (int k = 0; k < rank; k++)
        if (shape[k].max == 0) return 0;
    for (int k = 0; k < rank; k++) {
        if (count > INT64_MAX / shape[k].max) return INT64_MAX;
        count *= shape[k].max;
    }
    return count;
}

bool shape_equal(const Node *a, const Node *b)
{
    return a->rank == b->rank && extents_same(a->shape, b->shape, a->rank);
}

void graph_name(const Node *node, Name name)
{
    Node *mutable_node = (Node *)(uintptr_t)node;
    if (!mutable_node->name) mutable_node->name = name;
}

/* --- walking --------------------------------------------------------------------------------------------- */

static int node_compare(const void *a, const void *b)
{
    const Node *x = *(const Node *const *)a, *y = *(const Node *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

Nodes graph_reach(Arena *arena, const Node *const *roots, int n_roots)
{
    return graph_reach_to(arena, roots, n_roots, NULL, NULL);
}

Nodes graph_reach_to(Arena *arena, const Node *const *roots, int n_roots,
                     bool (*end)(void *data, const Node *node), void *data)
{
    Nodes found = {0};
    Map seen = map_new(arena);
    for (int i = 0; i < n_roots; i++)
        if (roots[i] && !map_get(&seen, roots[i])) {
            map_put(&seen, roots[i], (void *)(uintptr_t)roots[i]);
            vec_push(arena, &found, roots[i]);
        }
    for (int i = 0; i < found.len; i++) {
        if (end && end(data, found.data[i])) continue;
        Nodes operands = found.data[i]->operands;
        for (int k = 0; k < operands.len; k++)
            if (!map_get(&seen, operands.data[k])) {
                map_put(&seen, operands.data[k], (void *)(uintptr_t)operands.data[k]);
                vec_push(arena, &found, operands.data[k]);
            }
    }
    if (found.len) qsort(found.data, (size_t)found.len, sizeof *found.data, node_compare);
    return found;
}

/* --- rewriting ----------------------------------------------------------------------------------------- */

struct Rewrite {
    Graph *g;
    Arena *scratch;
    Map done;
};

const Node *rewrite_get(Rewrite *rewrite, const Node *node)
{
    const Node *other = map_get(&rewrite->done, node);
    return other ? other : node;
}

static const Scalar *rewrite_load(void *data, const Scalar *load)
{
    Rewrite *rewrite = data;
    const Node *node = rewrite_get(rewrite, load->node);
    if (node == load->node) return NULL;
    return scalar_load(rewrite->g, node, load->args, load->outside, load->span);
}

const Scalar *rewrite_scalar(Rewrite *rewrite, const Scalar *a)
{
    return a ? scalar_replace_loads(rewrite->g, a, rewrite_load, rewrite) : NULL;
}

static const Extent *rewrite_extents(Rewrite *rewrite, const Extent *extents, int n)
{
    Extent *copy = arena_copy(rewrite->scratch, extents, sizeof *extents * (size_t)n);
    for (int i = 0; i < n; i++)
        copy[i].size = rewrite_scalar(rewrite, extents[i].size);
    return copy;
}

static const Node *rewrite_domain(Rewrite *rewrite, const Node *node)
{
    Graph *g = rewrite->g;
    const Extent *iters = rewrite_extents(rewrite, node->iters, node->n_iters);
    const Scalar *body = rewrite_scalar(rewrite, node->body);
    const Scalar *guard = rewrite_scalar(rewrite, node->guard);
    if (node->kind == NODE_COMP)
        return graph_comp(g, node->reduce, node->rank, node->n_iters, iters, body, guard,
                          node->span);
    const Scalar *position[MAX_RANK];
    for (int k = 0; k < node->rank; k++)
        position[k] = rewrite_scalar(rewrite, node->position[k]);
    return graph_scatter(g, node->rank, rewrite_extents(rewrite, node->shape, node->rank), position,
                         node->n_iters, iters, body, guard, node->span);
}

static const Node *rewrite_pieces(Rewrite *rewrite, const Node *node)
{
    Piece *pieces =
        arena_copy(rewrite->scratch, node->pieces, sizeof(Piece) * (size_t)node->n_pieces);
    for (int k = 0; k < node->n_pieces; k++)
        pieces[k].part = rewrite_get(rewrite, pieces[k].part);
    return graph_pieces(rewrite->g, node->type, node->rank,
                        rewrite_extents(rewrite, node->shape, node->rank), node->axis,
                        node->n_pieces, pieces, node->span);
}

/* The leaf of a carried value follows its sizes. */
static const Node *rewrite_carry(Rewrite *rewrite, const Node *node)
{
    bool sized = false;
    for (int k = 0; k < node->rank; k++)
        sized = sized || node->shape[k].size;
    if (node->leaf->kind != LEAF_CARRY || !sized) return node;
    const Extent *shape = rewrite_extents(rewrite, node->shape, node->rank);
    return graph_leaf(rewrite->g, node->leaf, node->type, node->rank, shape);
}

static const Node *rewrite_scan(Rewrite *rewrite, const Node *node)
{
    Carry *carries =
        arena_copy(rewrite->scratch, node->carries, sizeof(Carry) * (size_t)node->n_carries);
    for (int k = 0; k < node->n_carries; k++) {
        carries[k].leaf = rewrite_get(rewrite, carries[k].leaf);
        carries[k].init = rewrite_get(rewrite, carries[k].init);
        carries[k].next = rewrite_get(rewrite, carries[k].next);
    }
    const Node *scan =
        graph_scan(rewrite->g, node->loop, node->n_carries, carries, node->span);
    return graph_scan_within(rewrite->g, scan, node->place);
}

const Node *rewrite_operands(Rewrite *rewrite, const Node *node)
{
    Graph *g = rewrite->g;
    const Node *made = node;
    switch (node->kind) {
    case NODE_LEAF: return rewrite_carry(rewrite, node);
    case NODE_COMP:
    case NODE_SCATTER: made = rewrite_domain(rewrite, node); break;
    case NODE_RESHAPE:
        made = graph_reshape(g, rewrite_get(rewrite, node->arg), node->rank,
                             rewrite_extents(rewrite, node->shape, node->rank), node->span);
        break;
    case NODE_PIECES: made = rewrite_pieces(rewrite, node); break;
    case NODE_ORDER: made = graph_order(g, rewrite_get(rewrite, node->arg), node->span); break;
    case NODE_TAG: {
        const Node *arg = rewrite_get(rewrite, node->arg);
        if (arg == node->arg) return node;
        Node n = *node;
        n.arg = arg;
        n.shape = arg->shape;
        made = graph_intern(g, n);
        break;
    }
    case NODE_SCAN: made = rewrite_scan(rewrite, node); break;
    case NODE_FINAL: made = graph_final(g, rewrite_get(rewrite, node->arg), node->carry); break;
    case NODE_YIELD:
        made = graph_yield(g, rewrite_get(rewrite, node->arg), rewrite_get(rewrite, node->value),
                           node->span);
        break;
    }
    if (node->name) graph_name(made, node->name);
    return made;
}

void graph_rewrite(Graph *g, const Node **roots, int n_roots, RewriteFn build, void *data)
{
    Arena *scratch = arena_new();
    Rewrite rewrite = {.g = g, .scratch = scratch, .done = map_new(scratch)};
    Nodes nodes = graph_reach(scratch, roots, n_roots);
    for (int i = 0; i < nodes.len; i++) {
        const Node *node = nodes.data[i];
        const Node *other = build ? build(data, &rewrite, node) : NULL;
        if (!other) other = rewrite_operands(&rewrite, node);
        map_put(&rewrite.done, node, (void *)(uintptr_t)other);
    }
    for (int i = 0; i < n_roots; i++)
        if (roots[i]) roots[i] = rewrite_get(&rewrite, roots[i]);
    arena_free(scratch);
}
