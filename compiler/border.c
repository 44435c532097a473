/* border.c -- a tensor that is copied into one with a border of zeros is computed in its place there.
 *
 * Convolutions read their operand from a copy with a border (window.c). Where a kernel copies h into p,
 * p[i, j] = h[i - 1, j - 1] outside 0, h is no tensor of its own any more: whoever mentions h[i, j] mentions
 * p[i + 1, j + 1] instead, and of the copy remains the border, as a few loops. A tensor that is read in another
 * shape, or by a matrix product as contiguous rows, stays. */
#include "kernel.h"

/* How many times larger the outer one may be: it is read in place of the inner one, with gaps. */
static const double MOST = 1.3;

typedef struct Border {
    const Node *inner, *outer;
    int64_t first[MAX_RANK]; /* of the inner one, along each axis of the outer one */
    int kernel;              /* the one that holds the copy */
    bool fits;
} Border;

typedef struct Borders {
    Lowered *l;
    Map of; /* from the inner node to its Border */
    bool any;
    int kernel;         /* the one at hand, and what its statement stores */
    const Node *target;
} Borders;

static Border *border_get(const Borders *b, const Node *inner)
{
    Border *border = map_get(&b->of, inner);
    return border && border->fits ? border : NULL;
}

/* --- copies ------------------------------------------------------------------------------------------------ */

/* A chain of loops with nothing in it but a store. */
typedef struct Chain {
    Stmt *loops[MAX_ITERS];
    int n;
    Stmt *store; /* NULL: something else */
} Chain;

static Chain chain_of(Stmt *s)
{
    Chain c = {.n = 0};
    while (s->kind == STMT_LOOP && s->loop == LOOP_PARALLEL && s->body.len == 1 && !s->lo && !s->hi &&
           s->step == 1 && c.n < MAX_ITERS) {
        c.loops[c.n++] = s;
        s = s->body.data[0];
    }
    if (s->kind == STMT_STORE) c.store = s;
    return c;
}

static int chain_at(const Chain *c, int var)
{
    for (int i = 0; i < c->n; i++)
        if (c->loops[i]->var == var) return i;
    return -1;
}

/* Whether the axis has a border, whose ends are then known. */
static bool axis_bordered(const Border *b, int axis)
{
    return b->first[axis] || !extent_equal(b->outer->shape[axis], b->inner->shape[axis]);
}

/* Whether along this axis the store copies all of the inner tensor, in a loop of the chain if there is a border. */
static bool axis_copied(const Lowered *l, Border *b, const Chain *c, int axis)
{
    const Scalar *to = c->store->subs[axis], *from = c->store->value->args[axis];
    Extent outer = b->outer->shape[axis], inner = b->inner->shape[axis];
    Affine a;
    if (to->kind != SCALAR_ITER || !affine_of(from, &a)) return false;
    b->first[axis] = -a.constant;
    a.constant = 0;
    if (affine_scalar(l->g, &a) != to) return false;
    if (!axis_bordered(b, axis)) return true;
    int at = chain_at(c, to->iter);
    return !outer.size && !inner.size && b->first[axis] >= 0 && b->first[axis] + inner.max <= outer.max &&
           at >= 0 && extent_equal(c->loops[at]->extent, outer);
}

static bool store_copies(const Lowered *l, const Chain *c, Border *b)
{
    const Scalar *value = c->store->value;
    if (value->kind != SCALAR_LOAD || !value->outside || !scalar_is_const(value->outside, 0)) return false;
    *b = (Border){.inner = value->node, .outer = c->store->target, .fits = true};
    const Buffer *from = buffer_get(l, b->inner), *to = buffer_get(l, b->outer);
    if (from->kind != BUFFER_ARENA || to->kind != BUFFER_ARENA || from->node != b->inner ||
        to->node != b->outer || from == to || b->inner->rank != b->outer->rank || b->inner->type != b->outer->type)
        return false;
    bool bordered = false;
    for (int k = 0; k < b->inner->rank; k++) {
        if (!axis_copied(l, b, c, k)) return false;
        bordered = bordered || axis_bordered(b, k);
    }
    double more = (double)node_max_elements(b->outer) / (double)node_max_elements(b->inner);
    return bordered && more <= MOST;
}

static void copies_find(Borders *b, const Block *block)
{
    for (int i = 0; i < block->len; i++) {
        Chain c = chain_of(block->data[i]);
        Border found;
        if (!c.store) {
            copies_find(b, &block->data[i]->body);
        } else if (store_copies(b->l, &c, &found) && !map_get(&b->of, found.inner)) {
            found.kernel = b->kernel;
            map_put(&b->of, found.inner, arena_copy(b->l->arena, &found, sizeof found));
            b->any = true;
        }
    }
}

/* --- what stands against it ------------------------------------------------------------------------------------ */

static void refuse(Borders *b, const Node *node)
{
    Border *border = border_get(b, node);
    if (border) border->fits = false;
}

/* Beyond the edge of the inner tensor it would read the border, which is there from its copy on. */
static void read_check(void *data, const Scalar *s)
{
    const Borders *b = data;
    if (s->kind != SCALAR_LOAD || !s->outside) return;
    Border *border = border_get(b, s->node);
    if (!border) return;
    bool early = b->kernel <= border->kernel && b->target != border->outer;
    if (early || !scalar_is_const(s->outside, 0)) border->fits = false;
}

static void scalar_check(void *data, const Scalar **s)
{
    scalar_visit(*s, read_check, data);
}

static void stmt_check(void *data, Stmt *s)
{
    Borders *b = data;
    b->target = s->kind == STMT_STORE ? s->target : NULL;
    stmt_scalars(s, scalar_check, data);
    if (!s->gemm) return;
    refuse(data, s->gemm->a);
    refuse(data, s->gemm->b);
    refuse(data, s->gemm->c);
}

static void kernel_check(Borders *b, const Kernel *kernel)
{
    Stmt all = kernel_stmt(kernel);
    Uses uses = stmt_uses(b->l, &all);
    for (int i = 0; i < uses.len; i++)
        if (uses.data[i].node != uses.data[i].buffer->node) refuse(b, uses.data[i].buffer->node);
    block_visit(&kernel->body, stmt_check, b);
}

/* --- the change ------------------------------------------------------------------------------------------------- */

static const Scalar *moved_sub(const Borders *b, const Border *border, const Scalar *sub, int axis)
{
    const Scalar *first = scalar_int(b->l->g, border->first[axis]);
    return border->first[axis] ? scalar_op2(b->l->g, OP_ADD, sub, first) : sub;
}

static const Scalar *load_moved(void *data, const Scalar *load)
{
    const Borders *b = data;
    const Border *border = border_get(b, load->node);
    if (!border) return NULL;
    const Scalar *subs[MAX_RANK];
    for (int k = 0; k < load->n_args; k++)
        subs[k] = moved_sub(b, border, load->args[k], k);
    return scalar_load(b->l->g, border->outer, subs, load->outside, load->span);
}

static void scalar_move(void *data, const Scalar **s)
{
    const Borders *b = data;
    *s = scalar_replace_loads(b->l->g, *s, load_moved, data);
}

static void target_move(const Borders *b, const Node **node, const Scalar **subs)
{
    const Border *border = border_get(b, *node);
    if (!border) return;
    *node = border->outer;
    for (int k = 0; k < border->outer->rank; k++)
        subs[k] = moved_sub(b, border, subs[k], k);
}

static void stmt_move(void *data, Stmt *s)
{
    stmt_scalars(s, scalar_move, data);
    if (s->kind == STMT_STORE) target_move(data, &s->target, s->subs);
    if (s->tile) target_move(data, &s->tile->c, s->tile->c_subs);
}

/* A copy of the chain from loop `from` on that stores zeros where the axis goes from `first` to `end`. */
static void side_add(const Borders *b, Block *block, const Chain *c, int from, const Border *border, int axis,
                     int64_t first, int64_t end)
{
    Lowered *l = b->l;
    if (first >= end) return;
    int var = c->store->subs[axis]->iter;
    for (int i = from; i < c->n; i++) {
        Extent extent = c->loops[i]->var == var ? extent_fixed(end - first) : c->loops[i]->extent;
        Stmt *loop = stmt_loop(l, c->loops[i]->var, LOOP_PARALLEL, extent, c->loops[i]->span);
        block_add(l, block, loop);
        block = &loop->body;
    }
    const Scalar *subs[MAX_RANK];
    for (int k = 0; k < border->outer->rank; k++)
        subs[k] = c->store->subs[k];
    subs[axis] = scalar_op2(l->g, OP_ADD, subs[axis], scalar_int(l->g, first));
    block_add(l, block, stmt_store(l, border->outer, subs, border->outer->rank, scalar_real(l->g, 0)));
}

/* The border instead of the copy: behind the loops over axes that have none. */
static void copy_replace(const Borders *b, Block *block, int at, const Chain *c, const Border *border)
{
    Lowered *l = b->l;
    int from = c->n;
    for (int k = 0; k < border->outer->rank; k++)
        if (axis_bordered(border, k) && chain_at(c, c->store->subs[k]->iter) < from)
            from = chain_at(c, c->store->subs[k]->iter);
    Block sides = {0};
    for (int k = 0; k < border->outer->rank; k++) {
        int64_t last = border->first[k] + border->inner->shape[k].max;
        if (!axis_bordered(border, k)) continue;
        side_add(b, &sides, c, from, border, k, 0, border->first[k]);
        side_add(b, &sides, c, from, border, k, last, border->outer->shape[k].max);
    }
    if (from > 0) {
        c->loops[from - 1]->body = sides;
        return;
    }
    Block rest = {0};
    for (int i = 0; i < block->len; i++)
        for (int k = 0; k < (i == at ? sides.len : 1); k++)
            block_add(l, &rest, i == at ? sides.data[k] : block->data[i]);
    *block = rest;
}

static void copies_replace(const Borders *b, Block *block)
{
    for (int i = 0; i < block->len; i++) {
        Chain c = chain_of(block->data[i]);
        Border found;
        if (!c.store) {
            copies_replace(b, &block->data[i]->body);
            continue;
        }
        if (!store_copies(b->l, &c, &found)) continue;
        const Border *border = border_get(b, found.inner);
        if (border && border->outer == found.outer) copy_replace(b, block, i, &c, border);
    }
}

void pass_border(Lowered *l)
{
    Borders b = {.l = l, .of = map_new(l->arena)};
    for (b.kernel = 0; b.kernel < l->kernels.len; b.kernel++)
        copies_find(&b, &l->kernels.data[b.kernel]->body);
    if (!b.any) return;
    for (b.kernel = 0; b.kernel < l->kernels.len; b.kernel++)
        kernel_check(&b, l->kernels.data[b.kernel]);
    for (int i = 0; i < l->kernels.len; i++) {
        copies_replace(&b, &l->kernels.data[i]->body);
        block_visit(&l->kernels.data[i]->body, stmt_move, &b);
    }
}
