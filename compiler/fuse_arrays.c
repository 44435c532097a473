/* fuse_arrays.c -- turns what is used in one kernel only into local variables and small arrays: an axis
 * of a tensor that is always subscripted by the variable of one and the same loop is dropped (array
 * contraction). */
#include "accesses.h"

enum {
    MAX_LOCAL = 1024,       /* elements of a local array */
    MAX_STACK = 640 << 10,  /* bytes of those local arrays of a kernel that are larger */
    MAX_RESIDENT = 1 << 16, /* elements of one that matrix products use */
    BEHIND = 16             /* elements that vectors may read behind a large local array */
};

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

/* `left`: bytes that the kernel has left for large local arrays. */
static void contract_buffer(Lowered *l, Kernel *kernel, Buffer *b, int64_t *left)
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
    int64_t n = 1;
    int dropped = 0;
    for (int k = 0; k < b->node->rank; k++) {
        if (c.drop[k] && c.product && dropped < k) c.fits = false;
        dropped += c.drop[k];
        if (!c.drop[k]) n *= b->node->shape[k].max;
    }
    bool worth = dropped > 0 || (b->node->rank == 0 && !kernel_is_parallel(kernel));
    int64_t stack = n > MAX_LOCAL ? n * type_bytes(b->type, l->options) : 0;
    if (!c.fits || !worth || outside.found || n < 1 || stack > *left) return;
    if (c.product && n > MAX_RESIDENT) return;
    *left -= stack;
    c.local = local_new(l, b->type, stack ? n + BEHIND : n, b->name);
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
    int64_t *left = NEW_ARRAY(l->arena, int64_t, l->kernels.len + 1);
    for (int k = 0; k < l->kernels.len; k++) {
        left[k] = MAX_STACK;
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
            contract_buffer(l, l->kernels.data[user[i]], l->buffers.data[i], &left[user[i]]);
            epilogue_contract(l, l->kernels.data[user[i]], l->buffers.data[i]);
        }
}
