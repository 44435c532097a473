/* fuse.c -- merges kernels whose outer parallel loops are equal, and turns what is then used in one
 * kernel only into local variables and small arrays.
 *
 * A kernel may join an earlier one if nothing between them depends on either, and if their loops
 * can be one: every tensor that one writes and the other touches must be accessed at the same value
 * of the loop's variable on both sides, so that no iteration sees another's results (Kennedy and
 * McKinley 1993, Maximizing loop parallelism and improving data locality via loop fusion and
 * distribution). Inner loops merge by the same rule. Afterwards an axis of an intermediate that is
 * always subscripted by the variable of one and the same loop is dropped (array contraction). */
#include "kernel.h"

#include <assert.h>

enum {
    MAX_FUSED = 24,   /* nodes in one kernel */
    MAX_LOCAL = 1024, /* elements of a local array */
    MAX_RESIDENT = 1 << 14, /* ... that matrix products use */
    MAX_SEARCH = 64,  /* kernels to look back */
    MOST_VARS = MAX_ITERS - BLOCK_VARS
};

/* --- accesses --------------------------------------------------------------------------------- */

typedef struct Access {
    const Node *node;
    const Scalar *const *subs;
    bool write;
} Access;
typedef VEC(Access) Accesses;

typedef struct Collect {
    Lowered *l;
    Accesses *list;
} Collect;

static void collect_load(void *data, const Scalar *s)
{
    Collect *c = data;
    if (s->kind != SCALAR_LOAD) return;
    Access a = {s->node, s->args, false};
    vec_push(c->l->arena, c->list, a);
}

static void collect_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, collect_load, data);
}

static void collect_stmt(void *data, Stmt *s)
{
    Collect *c = data;
    stmt_scalars(s, collect_scalar, c);
    if (s->kind == STMT_GEMM) {
        Access c_access = {s->gemm->result, s->gemm->c_subs, true};
        collect_load(c, s->gemm->a_load);
        collect_load(c, s->gemm->b_load);
        vec_push(c->l->arena, c->list, c_access);
    }
    if (s->kind != STMT_STORE && s->kind != STMT_TILE) return;
    bool tile = s->kind == STMT_TILE;
    Access a = {tile ? s->tile->c : s->target, tile ? s->tile->c_subs : s->subs, true};
    vec_push(c->l->arena, c->list, a);
}

static Accesses accesses_of(Lowered *l, Stmt *s)
{
    Accesses list = {0};
    Collect c = {l, &list};
    collect_stmt(&c, s);
    block_visit(&s->body, collect_stmt, &c);
    return list;
}

static bool stmts_conflict(Lowered *l, Stmt *a, Stmt *b)
{
    Uses x = stmt_uses(l, a), y = stmt_uses(l, b);
    return uses_conflict(&x, &y);
}

/* Sizes that subscripts are compared with: they are read, too, but not by a load that can be replaced. */
typedef struct SizeReads {
    Lowered *l;
    const Buffer *buffer;
    bool inside, found;
} SizeReads;

static void size_load(void *data, const Scalar *s)
{
    SizeReads *r = data;
    if (s->kind != SCALAR_LOAD) return;
    if (r->inside && buffer_get(r->l, s->node) == r->buffer) r->found = true;
    bool inside = r->inside;
    r->inside = true;
    for (int k = 0; k < s->node->rank && !inside; k++)
        if (s->node->shape[k].size) scalar_visit(s->node->shape[k].size, size_load, r);
    r->inside = inside;
}

static void size_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, size_load, data);
}

static void size_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, size_scalar, data);
}

static bool reads_as_size(Lowered *l, Stmt *s, const Buffer *b)
{
    SizeReads r = {l, b, false, false};
    size_stmt(&r, s);
    block_visit(&s->body, size_stmt, &r);
    return r.found;
}

/* --- merging of loops ------------------------------------------------------------------------- */

static bool loops_alike(const Stmt *a, const Stmt *b)
{
    return a->kind == STMT_LOOP && b->kind == STMT_LOOP && a->loop == LOOP_PARALLEL &&
           b->loop == LOOP_PARALLEL && a->var == b->var && extent_equal(a->extent, b->extent) &&
           !a->lo && !a->hi && !b->lo && !b->hi && a->step == 1 && b->step == 1;
}

static int64_t axis_stride(const Node *node, int axis)
{
    int64_t stride = 1;
    for (int k = node->rank - 1; k > axis; k--)
        stride *= node->shape[k].max;
    return stride;
}

/* The axis of an access whose subscript is the variable itself, or -1. */
static int aligned_axis(const Access *a, int var)
{
    for (int k = 0; k < a->node->rank; k++)
        if (a->subs[k]->kind == SCALAR_ITER && a->subs[k]->iter == var) return k;
    return -1;
}

static bool pair_aligned(const Access *a, const Access *b, int var)
{
    int i = aligned_axis(a, var), k = aligned_axis(b, var);
    if (i < 0 || i != k || axis_stride(a->node, i) != axis_stride(b->node, k)) return false;
    return i == 0 || shape_equal(a->node, b->node);
}

/* Whether one loop may run both bodies. */
static bool loops_mergeable(Lowered *l, Stmt *a, Stmt *b)
{
    Accesses x = accesses_of(l, a), y = accesses_of(l, b);
    for (int i = 0; i < x.len; i++)
        if (x.data[i].write && reads_as_size(l, b, buffer_get(l, x.data[i].node))) return false;
    for (int i = 0; i < x.len; i++)
        for (int k = 0; k < y.len; k++) {
            if (!x.data[i].write && !y.data[k].write) continue;
            if (buffer_get(l, x.data[i].node) != buffer_get(l, y.data[k].node)) continue;
            if (!pair_aligned(&x.data[i], &y.data[k], a->var)) return false;
        }
    return true;
}

/* The same of loops around a block each, all the way in. */
static bool nests_mergeable(Lowered *l, Stmt *a, Stmt *b)
{
    while (loops_alike(a, b) && loops_mergeable(l, a, b)) {
        if (a->body.data[0]->kind != STMT_LOOP) return true;
        a = a->body.data[0];
        b = b->body.data[0];
    }
    return false;
}

static void note_tile(void *data, Stmt *s)
{
    if (s->tile || s->kind == STMT_GEMM) *(bool *)data = true;
}

static void note_if(void *data, Stmt *s)
{
    if (s->kind == STMT_IF) *(bool *)data = true;
}

/* Whether the access runs along contiguous elements with the variable. */
static bool contiguous(const Access *a, int var)
{
    const Scalar *last = a->node->rank ? a->subs[a->node->rank - 1] : NULL;
    return last && last->iters >> var & 1;
}

/* Two reductions over the same iterators that read an element in common. */
static bool reductions_alike(Lowered *l, Stmt *a, Stmt *b)
{
    if (a->kind != STMT_LOOP || b->kind != STMT_LOOP || a->loop != LOOP_SEQUENTIAL ||
        b->loop != LOOP_SEQUENTIAL || a->var != b->var || !extent_equal(a->extent, b->extent) ||
        a->lo || a->hi || b->lo || b->hi || stmts_conflict(l, a, b))
        return false;
    bool tiles = false, common = false; /* registers hold one tile at a time */
    block_visit(&a->body, note_tile, &tiles);
    block_visit(&b->body, note_tile, &tiles);
    if (tiles) return false;
    bool a_if = false, b_if = false; /* the one can be vector code, the other not */
    block_visit(&a->body, note_if, &a_if);
    block_visit(&b->body, note_if, &b_if);
    Accesses x = accesses_of(l, a), y = accesses_of(l, b);
    for (int i = 0; i < x.len; i++)
        for (int k = 0; k < y.len; k++) {
            bool same = x.data[i].node == y.data[k].node;
            for (int n = 0; same && n < x.data[i].node->rank; n++)
                same = x.data[i].subs[n] == y.data[k].subs[n];
            if (same && a_if != b_if && contiguous(&x.data[i], a->var)) return false;
            common = common || (same && x.data[i].node->rank > 0);
        }
    return common;
}

/* The declaration or first value of a local variable. */
static bool stmt_declares(Lowered *l, const Stmt *s)
{
    if (s->kind == STMT_LOCAL) return true;
    return s->kind == STMT_STORE && s->value->kind == SCALAR_CONST &&
           buffer_get(l, s->target)->kind == BUFFER_LOCAL;
}

/* Puts a statement in front of the loops of a block if it may stand there, else at the end. */
static void block_declare(Lowered *l, Block *block, Stmt *s)
{
    int at = 0;
    while (at < block->len && block->data[at]->kind != STMT_LOOP)
        at++;
    for (int i = at; i < block->len; i++)
        if (stmts_conflict(l, block->data[i], s)) at = block->len;
    block_add(l, block, s);
    for (int i = block->len - 1; i > at; i--)
        block->data[i] = block->data[i - 1];
    block->data[at] = s;
}

static void note_inner(void *data, Stmt *s)
{
    bool *inner = data; /* parallel loops; others */
    if (s->kind == STMT_LOOP) inner[s->loop != LOOP_PARALLEL] = true;
}

/* Whether one of the loops has a sum in it and could be a loop of vectors, the other has such loops inside, and
 * nothing passes between them. */
static bool loops_of_lanes_and_rows(Lowered *l, Stmt *a, Stmt *b)
{
    bool in_a[2] = {false, false}, in_b[2] = {false, false};
    block_visit(&a->body, note_inner, in_a);
    block_visit(&b->body, note_inner, in_b);
    bool lanes_a = !in_a[0] && in_a[1], lanes_b = !in_b[0] && in_b[1];
    return ((lanes_a && in_b[0]) || (lanes_b && in_a[0])) && !stmts_conflict(l, a, b);
}

static void block_join(Lowered *l, Block *block, Stmt *s);

/* Whether the loop can come after the product, with what does already. */
static bool comes_after(Lowered *l, Stmt *gemm, Stmt *loop)
{
    if (gemm->kind != STMT_GEMM || !epilogue_fits(l, gemm, loop)) return false;
    return gemm->body.len == 0 || nests_mergeable(l, gemm->body.data[0], loop);
}

/* Appends a statement to a block, as part of an equal loop there if nothing stands in the way. */
static void block_join(Lowered *l, Block *block, Stmt *s)
{
    if (stmt_declares(l, s)) {
        block_declare(l, block, s);
        return;
    }
    for (int i = block->len - 1; i >= 0; i--) {
        Stmt *old = block->data[i];
        if (comes_after(l, old, s)) {
            block_join(l, &old->body, s);
            return;
        }
        bool one = loops_alike(old, s) && loops_mergeable(l, old, s) && !loops_of_lanes_and_rows(l, old, s);
        if (one || reductions_alike(l, old, s)) {
            for (int k = 0; k < s->body.len; k++)
                block_join(l, &old->body, s->body.data[k]);
            return;
        }
        if (stmts_conflict(l, old, s)) break;
    }
    block_add(l, block, s);
}

/* --- merging of kernels ----------------------------------------------------------------------- */

static bool shares_data(const Uses *a, const Uses *b)
{
    for (int i = 0; i < a->len; i++)
        for (int k = 0; k < b->len; k++) {
            const Use *x = &a->data[i], *y = &b->data[k];
            if (x->buffer != y->buffer) continue;
            bool large = !buffer_is_number(x->buffer) && x->buffer->elements >= 64;
            if ((x->written && y->read) || (x->read && large)) return true;
        }
    return false;
}

static bool has_parallel_loop(const Kernel *k)
{
    for (int i = 0; i < k->body.len; i++) {
        const Stmt *s = k->body.data[i];
        if (s->kind == STMT_GEMM || (s->kind == STMT_LOOP && s->loop != LOOP_SEQUENTIAL))
            return true;
    }
    return false;
}

/* A kernel that is kept, in its place in the order. */
typedef struct Kept {
    Kernel *kernel;
    Uses uses;
    int at;
} Kept;

typedef struct Order {
    Lowered *l;
    Kept **kept;
    int n, first;           /* kernels before the first are outside of the loop at hand */
    Kept **reader, **writer; /* by buffer: the last one, or NULL */
} Order;

static bool kernels_fit(Lowered *l, const Kept *to, const Kernel *b, const Uses *b_uses)
{
    const Kernel *a = to->kernel;
    if (a->when != b->when || a->n_vars > MOST_VARS || b->n_vars > MOST_VARS) return false;
    if (a->nodes.len + b->nodes.len > MAX_FUSED || !shares_data(&to->uses, b_uses)) return false;
    if (!has_parallel_loop(a) && !has_parallel_loop(b)) return true;
    if (a->body.len != 1 || b->body.len != 1) return false;
    Stmt *x = a->body.data[0], *y = b->body.data[0];
    return (loops_alike(x, y) && loops_mergeable(l, x, y)) || comes_after(l, x, y);
}

static Kept *later(Kept *a, Kept *b)
{
    return !a || (b && b->at > a->at) ? b : a;
}

static void order_note(Order *o, Kept *kept)
{
    for (int i = 0; i < kept->uses.len; i++) {
        const Use *use = &kept->uses.data[i];
        Kept **reader = &o->reader[use->buffer->index], **writer = &o->writer[use->buffer->index];
        if (use->read) *reader = later(*reader, kept);
        if (use->written) *writer = later(*writer, kept);
    }
}

static void order_add(Order *o, Kernel *kernel, const Uses *uses)
{
    Kept *kept = NEW(o->l->arena, Kept);
    *kept = (Kept){kernel, *uses, o->n};
    o->kept[o->n++] = kept;
    if (kernel->kind == KERNEL_WORK)
        order_note(o, kept);
    else
        o->first = o->n;
}

/* The last kernel that must stay in front of one that uses this, but for `self`; or NULL. */
static Kept *order_bound(const Order *o, const Uses *uses, const Kept *self)
{
    Kept *bound = NULL;
    for (int i = 0; i < uses->len; i++) {
        const Use *use = &uses->data[i];
        Kept *reader = use->written ? o->reader[use->buffer->index] : NULL;
        Kept *writer = o->writer[use->buffer->index];
        if (reader != self) bound = later(bound, reader);
        if (writer != self) bound = later(bound, writer);
    }
    return bound;
}

static void kept_join(Order *o, Kept *to, const Kernel *kernel, const Uses *uses)
{
    Lowered *l = o->l;
    Kernel *a = to->kernel;
    for (int i = 0; i < kernel->body.len; i++)
        block_join(l, &a->body, kernel->body.data[i]);
    for (int i = 0; i < kernel->nodes.len; i++)
        vec_push(l->arena, &a->nodes, kernel->nodes.data[i]);
    if (kernel->n_vars > a->n_vars) a->n_vars = kernel->n_vars;
    uses_add(l, &to->uses, uses);
    order_note(o, to);
}

/* Puts a kernel that nothing behind it depends on right behind another. */
static void order_sink(Order *o, Kept *kept, const Kept *behind)
{
    int to = behind->at;
    for (int i = kept->at; i < to; i++) {
        o->kept[i] = o->kept[i + 1];
        o->kept[i]->at = i;
    }
    o->kept[to] = kept;
    kept->at = to;
    order_note(o, kept);
}

/* An earlier kernel that the kernel can join, or NULL: from its bound on, or one that computes what it reads
 * and can wait until then. */
static Kept *kept_find(Order *o, const Kernel *kernel, const Uses *uses)
{
    Kept *bound = order_bound(o, uses, NULL);
    int least = bound && bound->at >= o->first ? bound->at : o->first;
    for (int at = o->n - 1; at >= least && at >= o->n - MAX_SEARCH; at--)
        if (kernels_fit(o->l, o->kept[at], kernel, uses)) return o->kept[at];
    if (!bound || bound->at < o->first) return NULL;
    if (kernels_fit(o->l, bound, kernel, uses)) return bound;
    for (int i = 0; i < uses->len; i++) {
        Kept *made = uses->data[i].read ? o->writer[uses->data[i].buffer->index] : NULL;
        if (!made || made->at < o->first || made->at >= bound->at) continue;
        Kept *after = order_bound(o, &made->uses, made);
        if ((after && after->at > made->at) || !kernels_fit(o->l, made, kernel, uses)) continue;
        order_sink(o, made, bound);
        return made;
    }
    return NULL;
}

void pass_fuse(Lowered *l)
{
    Order o = {.l = l, .kept = NEW_ARRAY(l->arena, Kept *, l->kernels.len + 1)};
    o.reader = NEW_ARRAY(l->arena, Kept *, l->buffers.len + 1);
    o.writer = NEW_ARRAY(l->arena, Kept *, l->buffers.len + 1);
    for (int i = 0; i < l->kernels.len; i++) {
        Kernel *k = l->kernels.data[i];
        Stmt all = kernel_stmt(k);
        const Uses uses = stmt_uses(l, &all);
        Kept *to = k->kind == KERNEL_WORK ? kept_find(&o, k, &uses) : NULL;
        if (to)
            kept_join(&o, to, k, &uses);
        else
            order_add(&o, k, &uses);
    }
    l->kernels.len = o.n;
    for (int i = 0; i < o.n; i++) {
        l->kernels.data[i] = o.kept[i]->kernel;
        epilogues_bound(l, l->kernels.data[i]);
    }
}

/* --- contraction of arrays -------------------------------------------------------------------- */

/* Where a buffer is used inside one kernel: the innermost block around all uses, and the loops to
 * it. */
typedef struct Home {
    Block *block;
    uint64_t vars; /* of the loops around the block */
} Home;

static bool stmt_mentions(Lowered *l, Stmt *s, const Buffer *b)
{
    Uses uses = stmt_uses(l, s);
    for (int i = 0; i < uses.len; i++)
        if (uses.data[i].buffer == b) return true;
    return false;
}

static Home home_find(Lowered *l, Block *block, const Buffer *b)
{
    Home home = {block, 0};
    for (;;) {
        Stmt *only = NULL;
        int users = 0;
        for (int i = 0; i < home.block->len; i++)
            if (stmt_mentions(l, home.block->data[i], b)) {
                only = home.block->data[i];
                users++;
            }
        if (users != 1 || only->body.len == 0) return home;
        Stmt head = *only; /* a use in the bounds or the condition ends the descent */
        head.body.len = 0;
        if (stmt_mentions(l, &head, b)) return home;
        if (only->kind == STMT_LOOP) home.vars |= (uint64_t)1 << only->var;
        home.block = &only->body;
    }
}

typedef struct Contract {
    Lowered *l;
    const Buffer *buffer;
    const Node *node; /* through which it is accessed */
    uint64_t vars;
    bool fits;
    bool drop[MAX_RANK]; /* axes subscripted by the variable drop_var everywhere */
    int drop_var[MAX_RANK];
    bool first, product; /* product: a matrix product has it as operand or result */
    const Node *local;
} Contract;

static void note_product(void *data, Stmt *s)
{
    Contract *c = data;
    const Gemm *g = s->gemm;
    if (!g) return;
    bool has = buffer_get(c->l, g->a) == c->buffer || buffer_get(c->l, g->b) == c->buffer ||
               buffer_get(c->l, g->c) == c->buffer;
    c->product = c->product || has;
}

static void contract_access(Contract *c, const Access *a)
{
    if (buffer_get(c->l, a->node) != c->buffer) return;
    if (a->node != c->node) c->fits = false;
    for (int k = 0; c->fits && k < a->node->rank; k++) {
        const Scalar *s = a->subs[k];
        bool home = s->kind == SCALAR_ITER && (c->vars >> s->iter & 1);
        if (c->first) {
            c->drop[k] = home;
            c->drop_var[k] = home ? s->iter : -1;
        } else if (!home || c->drop_var[k] != s->iter) {
            c->drop[k] = false;
        }
    }
    c->first = false;
}

/* The subscript into the local array: the axes that are kept, row-major. */
static const Scalar *local_subscript(Contract *c, const Scalar *const *subs)
{
    Graph *g = c->l->g;
    const Scalar *at = scalar_int(g, 0);
    for (int k = 0; k < c->node->rank; k++) {
        if (c->drop[k]) continue;
        at = scalar_op2(g, OP_MUL, at, scalar_int(g, c->node->shape[k].max));
        at = scalar_op2(g, OP_ADD, at, subs[k]);
    }
    return at;
}

static const Scalar *replace_load(void *data, const Scalar *load)
{
    Contract *c = data;
    if (load->node != c->node) return NULL;
    const Scalar *sub = local_subscript(c, load->args);
    return scalar_load(c->l->g, c->local, &sub, NULL, load->span);
}

static void replace_scalar(void *data, const Scalar **s)
{
    Contract *c = data;
    *s = scalar_replace_loads(c->l->g, *s, replace_load, c);
}

/* The axes that are dropped are the outer ones. */
static void replace_operand(Contract *c, const Node **node, const Scalar **load, const Scalar **at)
{
    if (*node != c->node) return;
    const Scalar *map[MAX_ITERS] = {0};
    for (int k = 0; k < c->node->rank; k++)
        if (c->drop[k]) map[c->drop_var[k]] = scalar_int(c->l->g, 0);
    *at = scalar_substitute(c->l->g, *at, map, MAX_ITERS);
    *node = c->local;
    if (load) replace_scalar(c, load);
}

static void replace_stmt(void *data, Stmt *s)
{
    Contract *c = data;
    stmt_scalars(s, replace_scalar, c);
    if (s->tile && s->tile->c == c->node) {
        s->tile->c_subs[0] = local_subscript(c, s->tile->c_subs);
        s->tile->c = c->local;
    }
    if (s->gemm) {
        replace_operand(c, &s->gemm->a, &s->gemm->a_load, &s->gemm->a_at);
        replace_operand(c, &s->gemm->b, &s->gemm->b_load, &s->gemm->b_at);
        replace_operand(c, &s->gemm->c, NULL, &s->gemm->c_at);
    }
    if (s->kind != STMT_STORE || s->target != c->node) return;
    const Scalar *sub = local_subscript(c, s->subs);
    s->target = c->local;
    s->n_subs = c->local->rank;
    s->subs[0] = sub;
}

static bool load_has_outside(void *data, const Scalar *s)
{
    Contract *c = data;
    return s->kind == SCALAR_LOAD && s->node == c->node && s->outside;
}

typedef struct AnyOutside {
    Contract *c;
    bool found;
} AnyOutside;

static void find_outside(void *data, const Scalar *s)
{
    AnyOutside *a = data;
    if (load_has_outside(a->c, s)) a->found = true;
}

static void find_outside_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, find_outside, data);
}

static void find_outside_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, find_outside_scalar, data);
}

static void contract_buffer(Lowered *l, Kernel *kernel, Buffer *b)
{
    Home home = home_find(l, &kernel->body, b);
    Contract c = {
        .l = l, .buffer = b, .node = b->node, .vars = home.vars, .fits = true, .first = true};
    AnyOutside outside = {&c, false};
    for (int i = 0; i < home.block->len; i++) {
        Accesses list = accesses_of(l, home.block->data[i]);
        for (int k = 0; k < list.len; k++)
            contract_access(&c, &list.data[k]);
        note_product(&c, home.block->data[i]);
        block_visit(&home.block->data[i]->body, note_product, &c);
        if (reads_as_size(l, home.block->data[i], b)) c.fits = false;
        find_outside_stmt(&outside, home.block->data[i]);
        block_visit(&home.block->data[i]->body, find_outside_stmt, &outside);
    }
    int64_t n = 1, most = c.product ? MAX_RESIDENT : MAX_LOCAL;
    int dropped = 0;
    for (int k = 0; k < b->node->rank; k++) {
        if (c.drop[k] && c.product && dropped < k) c.fits = false;
        dropped += c.drop[k];
        if (!c.drop[k]) n *= b->node->shape[k].max;
    }
    bool worth = dropped > 0 || (b->node->rank == 0 && !has_parallel_loop(kernel));
    if (!c.fits || !worth || outside.found || n > most || n < 1) return;
    c.local = local_new(l, b->type, n, b->name);
    for (int i = 0; i < home.block->len; i++) {
        replace_stmt(&c, home.block->data[i]);
        block_visit(&home.block->data[i]->body, replace_stmt, &c);
    }
    int at = 0;
    while (!stmt_mentions(l, home.block->data[at], buffer_get(l, c.local)))
        at++;
    block_add(l, home.block, NULL);
    for (int i = home.block->len - 1; i > at; i--)
        home.block->data[i] = home.block->data[i - 1];
    home.block->data[at] = stmt_local(l, c.local);
}

void pass_contract(Lowered *l)
{
    int n = l->buffers.len;
    int *users = NEW_ARRAY(l->arena, int, n + 1), *user = NEW_ARRAY(l->arena, int, n + 1);
    for (int k = 0; k < l->kernels.len; k++) {
        Stmt all = kernel_stmt(l->kernels.data[k]);
        Uses uses = stmt_uses(l, &all);
        for (int i = 0; i < uses.len; i++) {
            if (uses.data[i].buffer->kind != BUFFER_ARENA) continue;
            users[uses.data[i].buffer->index]++;
            user[uses.data[i].buffer->index] = k;
        }
    }
    for (int i = 0; i < n; i++)
        if (users[i] == 1) {
            contract_buffer(l, l->kernels.data[user[i]], l->buffers.data[i]);
            epilogue_contract(l, l->kernels.data[user[i]], l->buffers.data[i]);
        }
}
