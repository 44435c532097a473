/* scalar.c -- scalar expressions: hash-consed constructors, folding of constants, substitution.
 *
 * Equal scalars are one pointer. Constructors fold what holds for every value, so that the graph never
 * contains x + 0 or a choice already made; affine int expressions have one canonical form, so that equal
 * subscripts are the same pointer. Everything with conditions is a rule (simplify.c). */
#include "graph_table.h"

#include <assert.h>
#include <math.h>

static bool scalar_same(const Scalar *a, const Scalar *b, const Scalar *const *args)
{
    if (a->kind != b->kind || a->type != b->type || a->n_args != b->n_args ||
        a->iter != b->iter || a->op != b->op || a->node != b->node || a->outside != b->outside ||
        a->site != b->site || a->normal != b->normal)
        return false;
    if (memcmp(&a->value, &b->value, sizeof a->value) != 0) return false;
    for (int i = 0; i < a->n_args; i++)
        if (a->args[i] != args[i]) return false;
    return true;
}

static uint32_t scalar_hash(const Scalar *a, const Scalar *const *args)
{
    uint64_t bits;
    memcpy(&bits, &a->value, sizeof bits);
    uint32_t h = hash_mix((uint32_t)a->kind * 31u + (uint32_t)a->type, bits);
    h = hash_mix(h, (uint64_t)a->iter * 64u + (uint64_t)a->op);
    h = hash_mix(h, a->site + a->normal);
    h = hash_mix(h, a->node ? a->node->id : 0);
    h = hash_mix(h, a->outside ? a->outside->id : 0);
    for (int i = 0; i < a->n_args; i++)
        h = hash_mix(h, args[i]->id);
    return h;
}

static void scalars_grow(Graph *g)
{
    uint32_t cap = g->scalars_cap ? 2 * g->scalars_cap : 1024;
    Scalar **table = NEW_ARRAY(g->arena, Scalar *, cap);
    for (uint32_t i = 0; i < g->scalars_cap; i++)
        for (Scalar *s = g->scalars[i], *next; s; s = next) {
            next = s->next;
            s->next = table[s->hash & (cap - 1)];
            table[s->hash & (cap - 1)] = s;
        }
    g->scalars = table;
    g->scalars_cap = cap;
}

/* The one scalar equal to `wanted` with these operands. */
static const Scalar *scalar_intern(Graph *g, const Scalar *wanted, const Scalar *const *args)
{
    uint32_t hash = scalar_hash(wanted, args);
    if (g->n_scalars >= g->scalars_cap) scalars_grow(g);
    Scalar **head = &g->scalars[hash & (g->scalars_cap - 1)];
    for (Scalar *old = *head; old; old = old->next)
        if (old->hash == hash && scalar_same(old, wanted, args)) return old;
    size_t size = sizeof(Scalar) + sizeof *args * (size_t)wanted->n_args;
    Scalar *s = arena_alloc(g->arena, size);
    *s = *wanted;
    if (s->n_args) memcpy(s->args, args, sizeof *args * (size_t)s->n_args);
    s->hash = hash;
    if (s->kind == SCALAR_ITER) s->iters = (uint64_t)1 << s->iter;
    if (s->node) s->free = s->node->free;
    for (int i = 0; i < s->n_args; i++) {
        s->iters |= s->args[i]->iters;
        s->free = loops_union(g, s->free, s->args[i]->free);
    }
    if (s->outside) {
        s->iters |= s->outside->iters;
        s->free = loops_union(g, s->free, s->outside->free);
    }
    if (!s->span.call) s->span.call = g->call;
    s->id = ++g->n_scalars;
    s->next = *head;
    *head = s;
    return s;
}

const Scalar *scalar_const(Graph *g, ElemType type, double value)
{
    if (type != TYPE_REAL && value == 0) value = 0; /* no -0 among ints */
    if (isnan(value)) value = NAN;
    Scalar s = {.kind = SCALAR_CONST, .type = type, .value = value};
    return scalar_intern(g, &s, NULL);
}

const Scalar *scalar_int(Graph *g, int64_t value)
{
    return scalar_const(g, TYPE_INT, (double)value);
}

const Scalar *scalar_real(Graph *g, double value)
{
    return scalar_const(g, TYPE_REAL, value);
}

const Scalar *scalar_bool(Graph *g, bool value)
{
    return scalar_const(g, TYPE_BOOL, value);
}

const Scalar *scalar_iter(Graph *g, int iter)
{
    assert(iter >= 0 && iter < 64);
    Scalar s = {.kind = SCALAR_ITER, .type = TYPE_INT, .iter = iter};
    return scalar_intern(g, &s, NULL);
}

const Scalar *scalar_load(Graph *g, const Node *node, const Scalar *const *subs,
                          const Scalar *outside, Span span)
{
    Scalar s = {.kind = SCALAR_LOAD, .type = node->type, .node = node, .outside = outside,
                .span = span, .n_args = node->rank};
    return scalar_intern(g, &s, subs);
}

const Scalar *scalar_load_at(Graph *g, const Node *node, int first)
{
    const Scalar *subs[MAX_RANK];
    for (int k = 0; k < node->rank; k++)
        subs[k] = scalar_iter(g, first + k);
    return scalar_load(g, node, subs, NULL, node->span);
}

bool scalar_is_const(const Scalar *a, double value)
{
    return a->kind == SCALAR_CONST && a->value == value;
}

static const Scalar *op_make(Graph *g, Op op, const Scalar *const *args, Span span)
{
    const OpInfo *info = &op_table[op];
    const Scalar *sorted[3] = {args[0], info->arity > 1 ? args[1] : NULL,
                               info->arity > 2 ? args[2] : NULL};
    if (info->commutes && sorted[0]->id > sorted[1]->id) {
        sorted[0] = args[1];
        sorted[1] = args[0];
    }
    ElemType operand = op == OP_SELECT ? args[1]->type : args[0]->type;
    Scalar s = {.kind = SCALAR_OP, .type = op_result_type(op, operand), .op = op, .span = span,
                .n_args = info->arity};
    return scalar_intern(g, &s, sorted);
}

const Scalar *affine_scalar(Graph *g, const Affine *a)
{
    Span none = NO_SPAN;
    const Scalar *sum = NULL;
    for (int i = 0; i < MAX_ITERS; i++) {
        int64_t c = a->coefficient[i];
        if (c == 0) continue;
        const Scalar *term = scalar_iter(g, i);
        bool minus = sum && c < 0 && c != INT32_MIN;
        int64_t factor = minus ? -c : c;
        if (factor != 1)
            term = op_make(g, OP_MUL, (const Scalar *[]){scalar_int(g, factor), term}, none);
        sum = sum ? op_make(g, minus ? OP_SUB : OP_ADD, (const Scalar *[]){sum, term}, none) : term;
    }
    if (!sum) return scalar_int(g, a->constant);
    if (a->constant == 0) return sum;
    bool minus = a->constant < 0 && a->constant != INT32_MIN;
    const Scalar *constant = scalar_int(g, minus ? -a->constant : a->constant);
    return op_make(g, minus ? OP_SUB : OP_ADD, (const Scalar *[]){sum, constant}, none);
}

/* The value if all operands are constants. */
static const Scalar *op_fold(Graph *g, Op op, const Scalar *const *args)
{
    const OpInfo *info = &op_table[op];
    double values[3];
    for (int i = 0; i < info->arity; i++) {
        if (args[i]->kind != SCALAR_CONST) return NULL;
        values[i] = args[i]->value;
    }
    ElemType operand = op == OP_SELECT ? args[1]->type : args[0]->type;
    if ((op == OP_IDIV || op == OP_MOD) && operand == TYPE_INT && values[1] == 0) return NULL;
    return scalar_const(g, op_result_type(op, operand), op_eval(op, operand, values));
}

/* The identities of arithmetic that hold for every value. */
static const Scalar *arithmetic_identity(Graph *g, Op op, const Scalar *const *args)
{
    const Scalar *a = args[0], *b = op_table[op].arity > 1 ? args[1] : NULL;
    switch ((int)op) {
    case OP_ADD:
        if (scalar_is_const(a, 0)) return b;
        return scalar_is_const(b, 0) ? a : NULL;
    case OP_SUB:
        if (scalar_is_const(b, 0)) return a;
        return scalar_is_const(a, 0) ? scalar_op1(g, OP_NEG, b) : NULL;
    case OP_MUL:
        if (scalar_is_const(a, 1)) return b;
        if (scalar_is_const(b, 1)) return a;
        if (scalar_is_const(a, -1)) return scalar_op1(g, OP_NEG, b);
        if (scalar_is_const(b, -1)) return scalar_op1(g, OP_NEG, a);
        if (a->type == TYPE_INT && (scalar_is_const(a, 0) || scalar_is_const(b, 0)))
            return scalar_int(g, 0);
        return NULL;
    case OP_DIV:
    case OP_POW: return scalar_is_const(b, 1) ? a : NULL;
    case OP_IDIV: return a->type == TYPE_INT && scalar_is_const(b, 1) ? a : NULL;
    case OP_MOD: return a->type == TYPE_INT && scalar_is_const(b, 1) ? scalar_int(g, 0) : NULL;
    case OP_NEG:
        return a->kind == SCALAR_OP && a->op == OP_NEG ? a->args[0] : NULL;
    default: return NULL;
    }
}

static const Scalar *logic_identity(Graph *g, Op op, const Scalar *const *args)
{
    const Scalar *a = args[0], *b = op_table[op].arity > 1 ? args[1] : NULL;
    switch ((int)op) {
    case OP_AND:
        if (a == b || scalar_is_const(b, 1) || scalar_is_const(a, 0)) return a;
        return scalar_is_const(a, 1) || scalar_is_const(b, 0) ? b : NULL;
    case OP_OR:
        if (a == b || scalar_is_const(b, 0) || scalar_is_const(a, 1)) return a;
        return scalar_is_const(a, 0) || scalar_is_const(b, 1) ? b : NULL;
    case OP_NOT:
        return a->kind == SCALAR_OP && a->op == OP_NOT ? a->args[0] : NULL;
    case OP_EQ:
    case OP_LE:
        return a == b && a->type != TYPE_REAL ? scalar_bool(g, true) : NULL;
    case OP_LT:
        return a == b && a->type != TYPE_REAL ? scalar_bool(g, false) : NULL;
    case OP_SELECT:
        if (a->kind == SCALAR_CONST) return a->value != 0 ? b : args[2];
        if (b->kind == SCALAR_OP && b->op == OP_SELECT && b->args[0] == a)
            return scalar_select(g, a, b->args[1], args[2]);
        if (args[2]->kind == SCALAR_OP && args[2]->op == OP_SELECT && args[2]->args[0] == a)
            return scalar_select(g, a, b, args[2]->args[2]);
        return b == args[2] ? b : NULL;
    case OP_TO_REAL:
    case OP_TO_INT:
    case OP_TO_BOOL:
    case OP_TO_U8: return a->type == op_result_type(op, a->type) ? a : NULL;
    default: return NULL;
    }
}

const Scalar *scalar_op(Graph *g, Op op, const Scalar *const *args, Span span)
{
    const Scalar *known = op_fold(g, op, args);
    if (!known) known = arithmetic_identity(g, op, args);
    if (!known) known = logic_identity(g, op, args);
    if (known) return known;
    const Scalar *made = op_make(g, op, args, span);
    Affine affine;
    if (made->type == TYPE_INT && made->iters && affine_of(made, &affine))
        return affine_scalar(g, &affine);
    return made;
}

const Scalar *scalar_op1(Graph *g, Op op, const Scalar *a)
{
    return scalar_op(g, op, &a, a->span);
}

const Scalar *scalar_op2(Graph *g, Op op, const Scalar *a, const Scalar *b)
{
    return scalar_op(g, op, (const Scalar *[]){a, b}, a->span);
}

const Scalar *scalar_select(Graph *g, const Scalar *cond, const Scalar *a, const Scalar *b)
{
    return scalar_op(g, OP_SELECT, (const Scalar *[]){cond, a, b}, cond->span);
}

const Scalar *scalar_draw(Graph *g, uint64_t site, bool normal, const Scalar *run,
                          const Scalar *position, Span span)
{
    Scalar s = {.kind = SCALAR_DRAW, .type = TYPE_REAL, .site = site, .normal = normal,
                .span = span, .n_args = 2};
    return scalar_intern(g, &s, (const Scalar *[]){run, position});
}

const Scalar *scalar_convert(Graph *g, const Scalar *a, ElemType type)
{
    static const Op conversion[] = {[TYPE_BOOL] = OP_TO_BOOL, [TYPE_U8] = OP_TO_U8,
                                    [TYPE_INT] = OP_TO_INT, [TYPE_REAL] = OP_TO_REAL};
    return a->type == type ? a : scalar_op1(g, conversion[type], a);
}

/* --- rebuilding ---------------------------------------------------------------------------------- */

/* The first load in a but of a scan's step, or NULL. */
static const Scalar *first_load(const Scalar *a)
{
    if (a->kind == SCALAR_LOAD)
        return a->node->kind == NODE_LEAF && a->node->leaf->kind == LEAF_TIME ? NULL : a;
    const Scalar *found = NULL;
    for (int i = 0; i < a->n_args && !found; i++)
        found = first_load(a->args[i]);
    return found;
}

void scalar_access(Graph *g, const Scalar *sub, Extent axis, Span span)
{
    const Scalar *read = first_load(sub);
    Access *first = read ? map_get(&g->accesses, read->node) : NULL, *known = first;
    while (known && !extent_equal(known->axis, axis))
        known = known->next;
    if (!read || known) return;
    span.call = g->call;
    Access *access = NEW(g->arena, Access);
    *access = (Access){axis, span, first};
    map_put(&g->accesses, read->node, access);
}

/* The place of a load that becomes one at subscripts `args`: if one of these comes to be read from data, that of
 * the access that reads it. */
static Span load_place(Graph *g, const Scalar *a, const Scalar *const *args)
{
    for (int i = 0; i < a->n_args; i++) {
        if (args[i] == a->args[i] || first_load(a->args[i])) continue;
        const Scalar *read = first_load(args[i]);
        const Access *access = read ? map_get(&g->accesses, read->node) : NULL;
        while (access && !extent_equal(access->axis, a->node->shape[i]))
            access = access->next;
        if (access) return access->span;
    }
    return a->span;
}

/* Rebuilds a scalar with other operands. */
static const Scalar *scalar_with(Graph *g, const Scalar *a, const Scalar *const *args,
                                 const Scalar *outside)
{
    switch (a->kind) {
    case SCALAR_CONST:
    case SCALAR_ITER: return a;
    case SCALAR_LOAD: return scalar_load(g, a->node, args, outside, load_place(g, a, args));
    case SCALAR_OP: return scalar_op(g, a->op, args, a->span);
    case SCALAR_DRAW: return scalar_draw(g, a->site, a->normal, args[0], args[1], a->span);
    }
    assert(!"scalar kind");
    return NULL;
}

typedef struct Rebuild {
    Graph *g;
    Arena *arena;
    Map done;
    const Scalar *const *map; /* substitution of iterators, or NULL */
    int n_map;
    const Scalar *(*replace)(void *data, const Scalar *load);
    void *data;
    const Scalar *known, *value; /* known becomes value */
} Rebuild;

static const Scalar *rebuild(Rebuild *r, const Scalar *a)
{
    if (a == r->known) return r->value;
    if (r->map && !a->iters) return a;
    if (a->kind == SCALAR_CONST) return a;
    if (a->kind == SCALAR_ITER)
        return r->map && a->iter < r->n_map && r->map[a->iter] ? r->map[a->iter] : a;
    const Scalar *known = map_get(&r->done, a);
    if (known) return known;
    const Scalar *args[MAX_RANK];
    bool same = true;
    for (int i = 0; i < a->n_args; i++) {
        args[i] = rebuild(r, a->args[i]);
        same = same && args[i] == a->args[i];
    }
    const Scalar *outside = a->outside ? rebuild(r, a->outside) : NULL;
    const Scalar *result =
        same && outside == a->outside ? a : scalar_with(r->g, a, args, outside);
    if (r->replace && result->kind == SCALAR_LOAD) {
        const Scalar *other = r->replace(r->data, result);
        if (other) result = other;
    }
    map_put(&r->done, a, (void *)(uintptr_t)result);
    return result;
}

const Scalar *scalar_substitute(Graph *g, const Scalar *a, const Scalar *const *map, int n_map)
{
    max_align_t room[ARENA_ROOM];
    Arena *scratch = arena_within(room, sizeof room);
    Rebuild r = {.g = g, .arena = scratch, .done = map_new(scratch), .map = map, .n_map = n_map};
    const Scalar *result = rebuild(&r, a);
    arena_free(scratch);
    return result;
}

const Scalar *scalar_replace_loads(Graph *g, const Scalar *a,
                                   const Scalar *(*replace)(void *data, const Scalar *load),
                                   void *data)
{
    max_align_t room[ARENA_ROOM];
    Arena *scratch = arena_within(room, sizeof room);
    Rebuild r = {
        .g = g, .arena = scratch, .done = map_new(scratch), .replace = replace, .data = data};
    const Scalar *result = rebuild(&r, a);
    arena_free(scratch);
    return result;
}

const Scalar *scalar_replace(Graph *g, const Scalar *a, const Scalar *known, const Scalar *value)
{
    Arena *scratch = arena_new();
    Rebuild r = {.g = g, .arena = scratch, .done = map_new(scratch), .known = known,
                 .value = value};
    const Scalar *result = rebuild(&r, a);
    arena_free(scratch);
    return result;
}

const Scalar *scalar_assume(Graph *g, const Scalar *a, const Scalar *known, bool value)
{
    return scalar_replace(g, a, known, scalar_bool(g, value));
}

const Scalar *scalar_inline(Graph *g, const Scalar *load)
{
    assert(load->kind == SCALAR_LOAD && node_is_map(load->node) && !load->outside);
    return scalar_substitute(g, load->node->body, load->args, load->n_args);
}

/* --- walking ------------------------------------------------------------------------------------- */

static void visit(const Scalar *a, Map *seen, void (*f)(void *data, const Scalar *s), void *data)
{
    if (map_get(seen, a)) return;
    map_put(seen, a, seen);
    for (int i = 0; i < a->n_args; i++)
        visit(a->args[i], seen, f, data);
    if (a->outside) visit(a->outside, seen, f, data);
    f(data, a);
}

void scalar_visit(const Scalar *a, void (*f)(void *data, const Scalar *s), void *data)
{
    max_align_t room[ARENA_ROOM];
    Arena *scratch = arena_within(room, sizeof room);
    Map seen = map_new(scratch);
    visit(a, &seen, f, data);
    arena_free(scratch);
}

typedef struct LoadList {
    Arena *arena;
    Scalars loads;
} LoadList;

static void load_collect(void *data, const Scalar *s)
{
    LoadList *list = data;
    if (s->kind != SCALAR_LOAD) return;
    vec_push(list->arena, &list->loads, s);
    for (int i = list->loads.len - 1; i > 0 && list->loads.data[i - 1]->id > s->id; i--) {
        list->loads.data[i] = list->loads.data[i - 1];
        list->loads.data[i - 1] = s;
    }
}

Scalars scalar_loads(Arena *arena, const Scalar *a)
{
    LoadList list = {.arena = arena};
    scalar_visit(a, load_collect, &list);
    return list.loads;
}
