/* epilogue.c -- what comes after a matrix product, element by element: the runtime calls it for every
 * block of the result that is whole, while that is in the cache (rt/gemm.c).
 *
 * A nest of loops over the rows and columns of the result, which reads the result at its own element
 * only, becomes the body of the product's statement (fuse.c); then its loops get the bounds of a block.
 * A result that nothing else reads is written where the body stores its own, of the same shape, or is
 * never in memory as a whole. */
#include "kernel.h"

/* --- what can come after a product ------------------------------------------------------------ */

/* The body of the innermost loop over rows and columns, if the statement is nothing but such loops;
 * bounded: they have the bounds of a block. */
static Block *nest_body(const Gemm *g, Stmt *s, bool bounded)
{
    const GemmAxis *axes[] = {&g->rows, &g->columns};
    Block *body = NULL;
    for (int a = 0; a < 2; a++)
        for (int i = 0; i < axes[a]->n; i++) {
            if (body && body->len != 1) return NULL;
            Stmt *loop = body ? body->data[0] : s;
            if (loop->kind != STMT_LOOP || loop->loop != LOOP_PARALLEL || loop->step != 1 ||
                loop->var != axes[a]->var[i] || !extent_equal(loop->extent, axes[a]->extent[i]) ||
                (loop->lo || loop->hi) != bounded)
                return NULL;
            body = &loop->body;
        }
    return body;
}

typedef struct Reads {
    Lowered *l;
    const Gemm *g;
    const Buffer *c;
    bool own, other; /* elements of C are read: the one at hand, others */
} Reads;

static void read_load(void *data, const Scalar *s)
{
    Reads *r = data;
    if (s->kind != SCALAR_LOAD) return;
    bool own = s->node == r->g->c;
    for (int k = 0; own && k < s->n_args; k++)
        own = s->args[k] == r->g->c_subs[k];
    if (buffer_get(r->l, s->node) == r->c) *(own ? &r->own : &r->other) = true;
    for (int k = 0; k < s->node->rank; k++) /* what a subscript is compared with */
        if (s->node->shape[k].size && !own) scalar_visit(s->node->shape[k].size, read_load, r);
}

static void read_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, read_load, data);
}

static void read_stmt(void *data, Stmt *s)
{
    Reads *r = data;
    stmt_scalars(s, read_scalar, r);
    if (s->kind != STMT_STORE && s->kind != STMT_LOCAL && s->kind != STMT_IF) r->other = true;
}

bool epilogue_fits(Lowered *l, const Stmt *gemm, Stmt *loop)
{
    const Gemm *g = gemm->gemm;
    Block *body = g->accumulate ? NULL : nest_body(g, loop, false);
    if (!body) return false;
    Reads r = {.l = l, .g = g, .c = buffer_get(l, g->c)};
    block_visit(body, read_stmt, &r);
    Uses uses = stmt_uses(l, loop);
    const Node *operands[] = {g->a, g->b, g->c};
    for (int i = 0; i < 3; i++)
        if (uses_write(&uses, buffer_get(l, operands[i]))) return false;
    return !r.other && (r.own || gemm->body.len > 0);
}

/* --- bounds of blocks ------------------------------------------------------------------------- */

/* The loops over the variables of an axis, from the loop on, run over begin <= their count < end. */
static Stmt *axis_bound(Lowered *l, Stmt *loop, const GemmAxis *axis, int begin, int end)
{
    Graph *g = l->g;
    const Scalar *from = scalar_iter(g, begin), *to = scalar_iter(g, end);
    int64_t inner = 1;
    for (int i = 1; i < axis->n; i++)
        inner *= axis->extent[i].max;
    for (int i = 0; i < axis->n; i++) {
        const Scalar *some = scalar_int(g, inner), *most = scalar_int(g, inner - 1);
        loop->lo = inner == 1 ? from : scalar_op2(g, OP_IDIV, from, some);
        loop->hi = inner == 1 ? to : scalar_op2(g, OP_IDIV, scalar_op2(g, OP_ADD, to, most), some);
        const Scalar *before = scalar_op2(g, OP_MUL, scalar_iter(g, loop->var), some);
        from = scalar_op2(g, OP_SUB, from, before);
        to = scalar_op2(g, OP_SUB, to, before);
        if (i + 1 < axis->n) inner /= axis->extent[i + 1].max;
        loop = loop->body.data[0];
    }
    return loop;
}

typedef struct Bound {
    Lowered *l;
    int block;
    bool any;
} Bound;

static void bound_stmt(void *data, Stmt *s)
{
    Bound *b = data;
    if (s->kind != STMT_GEMM || s->body.len == 0) return;
    Gemm *g = s->gemm;
    g->block = b->block;
    Stmt *columns = axis_bound(b->l, s->body.data[0], &g->rows, b->block + BLOCK_ROW,
                               b->block + BLOCK_ROW_END);
    axis_bound(b->l, columns, &g->columns, b->block + BLOCK_COLUMN, b->block + BLOCK_COLUMN_END);
    b->any = true;
}

void epilogues_bound(Lowered *l, Kernel *kernel)
{
    Bound b = {l, kernel->n_vars, false};
    block_visit(&kernel->body, bound_stmt, &b);
    if (b.any) kernel->n_vars += BLOCK_VARS;
}

/* --- results that need no place of their own -------------------------------------------------- */

typedef struct Mentions {
    Lowered *l;
    const Buffer *buffer;
    int n;      /* statements that use it themselves */
    bool read;
    Stmt *made; /* the product whose result it is */
} Mentions;

static void mention_stmt(void *data, Stmt *s)
{
    Mentions *m = data;
    Stmt head = *s;
    head.body = (Block){0};
    Uses uses = stmt_uses(m->l, &head);
    for (int i = 0; i < uses.len; i++) {
        if (uses.data[i].buffer != m->buffer) continue;
        m->n++;
        m->read = m->read || uses.data[i].read;
    }
    if (s->gemm && s->body.len && buffer_get(m->l, s->gemm->c) == m->buffer) m->made = s;
}

static Mentions mentions_in(Lowered *l, const Block *block, const Buffer *buffer)
{
    Mentions m = {.l = l, .buffer = buffer};
    block_visit(block, mention_stmt, &m);
    return m;
}

/* Where the body stores a result that lies in memory as the product's does, and that nothing else in
 * the kernel touches; or NULL. */
static const Node *place_find(Lowered *l, const Kernel *kernel, const Gemm *g, const Block *body)
{
    for (int i = 0; i < body->len; i++) {
        const Stmt *s = body->data[i];
        if (s->kind != STMT_STORE || s->target->type != g->c->type) continue;
        const Buffer *b = buffer_get(l, s->target);
        bool same = b->kind == BUFFER_ARENA || b->kind == BUFFER_OUTPUT;
        same = same && s->target->rank == g->c->rank;
        for (int k = 0; same && k < g->c->rank; k++)
            same = s->subs[k] == g->c_subs[k] && s->target->shape[k].max == g->c->shape[k].max;
        if (!same) continue;
        Mentions m = mentions_in(l, &kernel->body, b);
        if (m.n == 1 && !m.read) return s->target;
    }
    return NULL;
}

/* How many of the axis' elements come before the one at hand and after the block's first. */
static const Scalar *axis_at(Lowered *l, const GemmAxis *axis, int begin)
{
    Graph *g = l->g;
    const Scalar *at = scalar_int(g, 0);
    for (int i = 0; i < axis->n; i++) {
        at = scalar_op2(g, OP_MUL, at, scalar_int(g, axis->extent[i].max));
        at = scalar_op2(g, OP_ADD, at, scalar_iter(g, axis->var[i]));
    }
    return scalar_op2(g, OP_SUB, at, scalar_iter(g, begin));
}

/* The product is in blocks only; returns its element at hand. */
static const Scalar *block_new(Lowered *l, Gemm *g)
{
    const Node *block =
        local_new(l, g->c->type, NND_BLOCK_ROWS * NND_BLOCK_COLUMNS, "block");
    buffer_get(l, block)->block = true;
    const Scalar *row = axis_at(l, &g->rows, g->block + BLOCK_ROW);
    row = scalar_op2(l->g, OP_MUL, row, scalar_int(l->g, NND_BLOCK_COLUMNS));
    const Scalar *at = scalar_op2(l->g, OP_ADD, row,
                                  axis_at(l, &g->columns, g->block + BLOCK_COLUMN));
    g->c = block;
    g->c_at = scalar_int(l->g, 0);
    g->ldc = NND_BLOCK_COLUMNS;
    return scalar_load(l->g, block, &at, NULL, NO_SPAN);
}

typedef struct Element {
    Lowered *l;
    const Node *c, *value; /* C; the variable that holds its element */
} Element;

static const Scalar *element_load(void *data, const Scalar *load)
{
    Element *e = data;
    return load->node == e->c ? scalar_load(e->l->g, e->value, NULL, NULL, load->span) : NULL;
}

static void element_scalar(void *data, const Scalar **s)
{
    Element *e = data;
    *s = scalar_replace_loads(e->l->g, *s, element_load, e);
}

static void element_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, element_scalar, data);
}

/* The result has its place: a store of the product there is none. Nothing may be left to do. */
static void body_finish(Lowered *l, Stmt *gemm, Block *body, const Node *element, const Scalar *value)
{
    Block out = {0};
    block_add(l, &out, stmt_local(l, element));
    block_add(l, &out, stmt_store(l, element, NULL, 0, value));
    for (int i = 0; i < body->len; i++) {
        const Stmt *s = body->data[i];
        bool same = s->kind == STMT_STORE && s->target == gemm->gemm->c &&
                    s->value->kind == SCALAR_LOAD && s->value->node == element;
        if (!same) block_add(l, &out, body->data[i]);
    }
    *body = out;
    if (out.len == 2) gemm->body.len = 0;
}

void epilogue_contract(Lowered *l, Kernel *kernel, const Buffer *result)
{
    Mentions all = mentions_in(l, &kernel->body, result);
    if (!all.made || all.n < 2 || mentions_in(l, &all.made->body, result).n + 1 < all.n) return;
    Gemm *g = all.made->gemm;
    Block *body = nest_body(g, all.made->body.data[0], true);
    Element e = {l, g->c, local_new(l, g->c->type, 1, "product")};
    block_visit(body, element_stmt, &e);
    const Node *place = place_find(l, kernel, g, body);
    if (place) g->c = place;
    const Scalar *value =
        place ? scalar_load(l->g, place, g->c_subs, NULL, NO_SPAN) : block_new(l, g);
    body_finish(l, all.made, body, e.value, value);
}
