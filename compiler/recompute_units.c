/* recompute_units.c -- an entry as units that can be done twice, and the entry in which some are.
 *
 * What is done again is the very same kernel, so its results are the same bits. It writes to buffers of its own;
 * whatever comes after it reads these. */
#include "recompute.h"

/* --- uses ------------------------------------------------------------------------------------------------- */

static void use_add(Steps *s, Unit *unit, const Use *use)
{
    for (int i = 0; i < unit->uses.len; i++) {
        UnitUse *old = &unit->uses.data[i];
        if (old->buffer != use->buffer->index) continue;
        old->read = old->read || use->read;
        old->written = old->written || use->written;
        return;
    }
    UnitUse added = {use->buffer->index, use->read, use->written};
    vec_push(s->scratch, &unit->uses, added);
}

/* Buffers that are read where no other can be named: sizes of shapes and loops, conditions of kernels. */
typedef struct Fixed {
    Lowered *l;
    bool *fixed; /* by buffer */
} Fixed;

static void fix_load(void *data, const Scalar *s)
{
    const Fixed *f = data;
    if (s->kind == SCALAR_LOAD) f->fixed[buffer_get(f->l, s->node)->index] = true;
}

static void fix_sizes(void *data, const Scalar *s)
{
    for (int k = 0; s->kind == SCALAR_LOAD && k < s->node->rank; k++)
        if (s->node->shape[k].size) scalar_visit(s->node->shape[k].size, fix_load, data);
}

static void fix_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, fix_sizes, data);
}

static void fix_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, fix_scalar, data);
}

static bool *fixed_find(Lowered *l, Arena *scratch)
{
    Fixed f = {l, NEW_ARRAY(scratch, bool, l->buffers.len + 1)};
    for (int k = 0; k < l->kernels.len; k++) {
        const Kernel *kernel = l->kernels.data[k];
        Stmt head = kernel_stmt(kernel);
        if (head.cond) scalar_visit(head.cond, fix_load, &f);
        if (head.extent.size) scalar_visit(head.extent.size, fix_load, &f);
        block_visit(&kernel->body, fix_stmt, &f);
    }
    return f.fixed;
}

/* --- units ------------------------------------------------------------------------------------------------ */

/* How often the kernel runs in one run of its unit. */
static double trips_of(const Lowered *l, const Unit *unit, int kernel)
{
    double trips = 1;
    for (int k = unit->first; k < kernel; k++) {
        const Kernel *mark = l->kernels.data[k];
        if (mark->kind == KERNEL_BEGIN) trips *= (double)mark->loop->extent.max;
        if (mark->kind == KERNEL_END && mark->loop->extent.max) trips /= (double)mark->loop->extent.max;
    }
    return trips;
}

static void unit_add(Steps *s, int first, int last)
{
    Unit unit = {.first = first, .last = last};
    for (int k = first; k <= last; k++) {
        Stmt all = kernel_stmt(s->l->kernels.data[k]);
        Uses uses = stmt_uses(s->l, &all);
        for (int i = 0; i < uses.len; i++)
            use_add(s, &unit, &uses.data[i]);
        Cost cost = cost_body(s->l, &s->l->kernels.data[k]->body);
        unit.cost += trips_of(s->l, &unit, k) * cost_most(&cost);
    }
    for (int i = 0; i < unit.uses.len; i++)
        if (unit.uses.data[i].written)
            vec_push(s->scratch, &s->writers[unit.uses.data[i].buffer], s->units.len);
    vec_push(s->scratch, &s->units, unit);
}

/* Whether it may be done twice as far as it alone says: it leaves nothing behind but work memory and results. */
static bool is_repeatable(const Steps *s, const Unit *unit, const bool *fixed)
{
    for (int i = 0; i < unit->uses.len; i++) {
        const UnitUse *use = &unit->uses.data[i];
        const Buffer *b = s->l->buffers.data[use->buffer];
        bool result = b->kind == BUFFER_OUTPUT && !use->read && s->writers[use->buffer].len == 1;
        bool own = b->kind == BUFFER_LOCAL;
        if (use->written && !own && !result && (b->kind != BUFFER_ARENA || fixed[use->buffer])) return false;
    }
    return true;
}

/* Buffers of a loop that nothing else uses lie inside of its unit. */
static void insides_find(Steps *s, const Lifetime *lives)
{
    Lifetime *inner = NEW_ARRAY(s->scratch, Lifetime, s->n_buffers + 1);
    for (int u = 0; u < s->units.len; u++) {
        Unit *unit = &s->units.data[u];
        int count = 0, when;
        for (int i = 0; unit->last > unit->first && i < unit->uses.len; i++) {
            int b = unit->uses.data[i].buffer;
            if (!s->bytes[b] || lives[b].first <= unit->first || lives[b].last >= unit->last) continue;
            inner[count] = lives[b];
            inner[count++].size = s->bytes[b];
            s->bytes[b] = 0;
        }
        unit->inside = plan_bound(inner, count, &when);
    }
}

Steps steps_of(Lowered *l, Arena *scratch)
{
    Steps s = {.l = l, .scratch = scratch, .n_buffers = l->buffers.len};
    s.bytes = NEW_ARRAY(scratch, int64_t, s.n_buffers + 1);
    s.writers = NEW_ARRAY(scratch, Numbers, s.n_buffers + 1);
    bool *fixed = fixed_find(l, scratch);
    for (int k = 0; k < l->kernels.len; k++) {
        int first = k;
        if (l->kernels.data[k]->kind == KERNEL_BEGIN) k = kernels_loop_end(l, k);
        unit_add(&s, first, k);
    }
    for (int i = 0; i < s.n_buffers; i++)
        if (l->buffers.data[i]->kind == BUFFER_ARENA) s.bytes[i] = (buffer_bytes(l, l->buffers.data[i]) + 63) / 64 * 64;
    for (int u = 0; u < s.units.len; u++)
        s.units.data[u].repeatable = is_repeatable(&s, &s.units.data[u], fixed);
    insides_find(&s, plan_lives(l));
    for (int u = 0; u < s.units.len; u++) {
        Unit *unit = &s.units.data[u];
        if (unit->first < unit->last || l->options->optimize == 0) continue;
        ReusePairs pairs = reuse_pairs(l, scratch, l->kernels.data[unit->first]);
        for (int i = 0; i < pairs.len; i++) {
            Pair pair = {pairs.data[i].from->index, pairs.data[i].to->index};
            vec_push(scratch, &unit->pairs, pair);
        }
    }
    return s;
}

/* --- doing them again ------------------------------------------------------------------------------------- */

typedef struct Renaming {
    Lowered *l;
    int n_buffers;  /* of before */
    Buffer **other; /* by buffer: the one that stands for it now, or NULL */
    Map nodes;      /* from Node to the Node that is used instead */
} Renaming;

/* The node by which the other buffer of a node's is accessed. */
static const Node *renamed(Renaming *r, const Node *node)
{
    int index = buffer_get(r->l, node)->index;
    Buffer *other = index < r->n_buffers ? r->other[index] : NULL;
    if (!other) return node;
    const Node *known = map_get(&r->nodes, node);
    if (known && buffer_get(r->l, known) == other) return known;
    Leaf leaf = {.kind = LEAF_INPUT, .name = other->name};
    const Node *made = graph_leaf(r->l->g, &leaf, node->type, node->rank, node->shape);
    map_put(&r->l->buffer_of, made, other);
    map_put(&r->nodes, node, (void *)(uintptr_t)made);
    return made;
}

static const Scalar *rename_load(void *data, const Scalar *load)
{
    Renaming *r = data;
    const Node *node = renamed(r, load->node);
    return node == load->node ? NULL : scalar_load(r->l->g, node, load->args, load->outside, load->span);
}

static void rename_scalar(void *data, const Scalar **s)
{
    Renaming *r = data;
    *s = scalar_replace_loads(r->l->g, *s, rename_load, r);
}

static void rename_stmt(void *data, Stmt *s)
{
    Renaming *r = data;
    stmt_scalars(s, rename_scalar, r);
    if (s->kind == STMT_STORE) s->target = renamed(r, s->target);
    if (s->tile) s->tile->c = renamed(r, s->tile->c);
    if (!s->gemm) return;
    s->gemm->a = renamed(r, s->gemm->a);
    s->gemm->b = renamed(r, s->gemm->b);
    s->gemm->c = renamed(r, s->gemm->c);
    s->gemm->result = renamed(r, s->gemm->result);
}

/* The statements of a tile share it. */
static Block block_clone(Lowered *l, const Block *block, Map *tiles)
{
    Block copy = {0};
    for (int i = 0; i < block->len; i++) {
        Stmt *s = arena_copy(l->arena, block->data[i], sizeof *s);
        if (s->gemm) s->gemm = arena_copy(l->arena, s->gemm, sizeof *s->gemm);
        if (s->tile) {
            Tile *known = map_get(tiles, s->tile);
            if (!known) known = arena_copy(l->arena, s->tile, sizeof *known);
            map_put(tiles, s->tile, known);
            s->tile = known;
        }
        s->body = block_clone(l, &block->data[i]->body, tiles);
        block_add(l, &copy, s);
    }
    return copy;
}

/* Buffers of its own for what the unit, done again, writes. */
static void others_make(Steps *s, Renaming *r, const Unit *unit)
{
    for (int i = 0; i < unit->uses.len; i++) {
        const UnitUse *use = &unit->uses.data[i];
        Buffer *b = s->l->buffers.data[use->buffer];
        if (!use->written || b->kind != BUFFER_ARENA || r->other[use->buffer]) continue;
        Leaf leaf = {.kind = LEAF_INPUT, .name = b->name};
        const Node *node = graph_leaf(s->l->g, &leaf, b->node->type, b->node->rank, b->node->shape);
        Buffer *made = buffer_new(s->l, BUFFER_ARENA, node, arena_printf(s->l->arena, "%s_again", b->name));
        made->elements = b->elements;
        r->other[use->buffer] = made;
    }
}

static void unit_again(Steps *s, Renaming *r, const Unit *unit, Kernel *const *kernels)
{
    Lowered *l = s->l;
    others_make(s, r, unit);
    for (int k = unit->first; k <= unit->last; k++) {
        Kernel *copy = arena_copy(l->arena, kernels[k], sizeof *copy);
        Map tiles = map_new(s->scratch);
        copy->body = block_clone(l, &kernels[k]->body, &tiles);
        block_visit(&copy->body, rename_stmt, r);
        vec_push(l->arena, &l->kernels, copy);
    }
}

void steps_apply(Steps *s, const int *again)
{
    Lowered *l = s->l;
    Kernel **kernels = l->kernels.data;
    Renaming r = {.l = l, .n_buffers = s->n_buffers, .nodes = map_new(s->scratch)};
    r.other = NEW_ARRAY(s->scratch, Buffer *, s->n_buffers + 1);
    memset(&l->kernels, 0, sizeof l->kernels);
    for (int u = 0; u < s->units.len; u++) {
        const Unit *unit = &s->units.data[u];
        for (int w = 0; w < u; w++)
            if (again[w] == u) unit_again(s, &r, &s->units.data[w], kernels);
        for (int k = unit->first; k <= unit->last; k++) {
            block_visit(&kernels[k]->body, rename_stmt, &r);
            vec_push(l->arena, &l->kernels, kernels[k]);
        }
    }
}
