/* fuse.c -- merges kernels whose outer parallel loops are equal.
 *
 * A kernel may join an earlier one if nothing between them depends on either, and if their loops
 * can be one: every tensor that one writes and the other touches must be accessed at the same value
 * of the loop's variable on both sides, so that no iteration sees another's results (Kennedy and
 * McKinley 1993, Maximizing loop parallelism and improving data locality via loop fusion and
 * distribution). Inner loops merge by the same rule; loops over the rows and columns of a matrix
 * product come after it block by block (epilogue.c). What is then used in one kernel only becomes
 * local (fuse_arrays.c). */
#include "accesses.h"

enum {
    MAX_FUSED = 24,  /* nodes in one kernel */
    MAX_SEARCH = 64, /* kernels to look back */
    MOST_VARS = MAX_ITERS - BLOCK_VARS
};

static bool stmts_conflict(Lowered *l, Stmt *a, Stmt *b)
{
    Uses x = stmt_uses(l, a), y = stmt_uses(l, b);
    return uses_conflict(&x, &y);
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

/* Whether loops of register tiles read from one tensor. */
static bool tiles_alike(Lowered *l, Stmt *a, Stmt *b)
{
    Accesses x = accesses_of(l, a), y = accesses_of(l, b);
    for (int i = 0; i < x.len; i++)
        for (int k = 0; k < y.len; k++)
            if (x.data[i].node == y.data[k].node && x.data[i].node->rank > 0) return true;
    return false;
}

/* Two reductions over the same iterators that read an element in common. */
static bool reductions_alike(Lowered *l, Stmt *a, Stmt *b)
{
    if (a->kind != STMT_LOOP || b->kind != STMT_LOOP || a->loop != LOOP_SEQUENTIAL ||
        b->loop != LOOP_SEQUENTIAL || a->var != b->var || !extent_equal(a->extent, b->extent) ||
        a->lo != b->lo || a->hi != b->hi || stmts_conflict(l, a, b))
        return false;
    bool tiles_a = false, tiles_b = false, common = false;
    block_visit(&a->body, note_tile, &tiles_a);
    block_visit(&b->body, note_tile, &tiles_b);
    if (tiles_a || tiles_b) return tiles_a && tiles_b && tiles_alike(l, a, b);
    if (a->lo || a->hi) return false;
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

typedef struct Functions {
    int var;
    bool found;
} Functions;

static void note_function(void *data, Stmt *s)
{
    Functions *f = data;
    if (s->kind == STMT_STORE && scalar_has_function(s->value, f->var)) f->found = true;
}

/* Whether the first loop is nothing but vectors of functions, and the second has loops inside, for each round of which
 * a function would be computed alone. What comes behind rows, as the logarithm of their sum, may lead to more rows. */
static bool functions_before_rows(const Stmt *a, const Stmt *b)
{
    bool in_a[2] = {false, false}, in_b[2] = {false, false};
    Functions functions = {.var = a->var};
    block_visit(&a->body, note_inner, in_a);
    block_visit(&b->body, note_inner, in_b);
    block_visit(&a->body, note_function, &functions);
    return functions.found && !in_a[0] && !in_a[1] && in_b[0];
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

/* A kernel that is kept, in its place in the order. */
typedef struct Kept {
    Kernel *kernel;
    Uses uses;
    int at;
} Kept;

typedef struct Order {
    Lowered *l;
    Kept **kept;
    int n, first;            /* kernels before the first are outside of the loop at hand */
    Kept **home;             /* by kernel of those seen: what it has become part of */
    int seen;
    Kept **reader, **writer; /* by buffer: the last one, or NULL */
} Order;

static bool kernels_fit(Lowered *l, const Kept *to, const Kernel *b, const Uses *b_uses)
{
    const Kernel *a = to->kernel;
    if (a->when != b->when || a->n_vars > MOST_VARS || b->n_vars > MOST_VARS) return false;
    if (a->nodes.len + b->nodes.len > MAX_FUSED || !shares_data(&to->uses, b_uses)) return false;
    if (!kernel_is_parallel(a) && !kernel_is_parallel(b)) return true;
    if (a->body.len != 1 || b->body.len != 1) return false;
    Stmt *x = a->body.data[0], *y = b->body.data[0];
    bool loops = loops_alike(x, y) && loops_mergeable(l, x, y) && !functions_before_rows(x, y);
    return loops || comes_after(l, x, y);
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

static Kept *order_add(Order *o, Kernel *kernel, const Uses *uses)
{
    Kept *kept = NEW(o->l->arena, Kept);
    *kept = (Kept){kernel, *uses, o->n};
    o->kept[o->n++] = kept;
    if (kernel->kind == KERNEL_WORK)
        order_note(o, kept);
    else
        o->first = o->n;
    return kept;
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

/* What the kernel, one of those seen, is or has become part of. */
static Kept *order_find(const Order *o, const Kernel *kernel)
{
    for (int i = o->seen - 1; kernel && i >= 0; i--)
        if (o->l->kernels.data[i] == kernel) return o->home[i];
    return NULL;
}

/* An earlier kernel that the kernel can join, or NULL: from its bound on, or one that computes what it reads
 * and can wait until then. */
static Kept *kept_find(Order *o, const Kernel *kernel, const Uses *uses)
{
    Kept *bound = later(order_bound(o, uses, NULL), order_find(o, kernel->after));
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
    o.home = NEW_ARRAY(l->arena, Kept *, l->kernels.len + 1);
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
            to = order_add(&o, k, &uses);
        o.home[o.seen++] = to;
    }
    l->kernels.len = o.n;
    for (int i = 0; i < o.n; i++) {
        l->kernels.data[i] = o.kept[i]->kernel;
        epilogues_bound(l, l->kernels.data[i]);
    }
}
