/* kernel.c -- construction of kernels, walks over them, and what they must obey. */
#include "kernel.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

/* --- construction ----------------------------------------------------------------------------- */

static Stmt *stmt_new(Lowered *l, StmtKind kind)
{
    Stmt *s = NEW(l->arena, Stmt);
    s->kind = kind;
    return s;
}

Kernel *kernel_new(Lowered *l, const char *name)
{
    Kernel *k = NEW(l->arena, Kernel);
    k->name = name;
    k->when = l->when;
    vec_push(l->arena, &l->kernels, k);
    return k;
}

Stmt *stmt_loop(Lowered *l, int var, LoopKind kind, Extent extent, Span span)
{
    Stmt *s = stmt_new(l, STMT_LOOP);
    s->var = var;
    s->loop = kind;
    s->extent = extent;
    s->step = 1;
    s->span = span;
    return s;
}

Stmt *stmt_if(Lowered *l, const Scalar *cond)
{
    Stmt *s = stmt_new(l, STMT_IF);
    s->cond = cond;
    return s;
}

Stmt *stmt_part(Lowered *l)
{
    return stmt_new(l, STMT_PART);
}

Stmt *stmt_store(Lowered *l, const Node *target, const Scalar *const *subs, int n_subs,
                 const Scalar *value)
{
    Stmt *s = stmt_new(l, STMT_STORE);
    s->target = target;
    s->n_subs = n_subs;
    for (int k = 0; k < n_subs; k++)
        s->subs[k] = subs[k];
    s->value = value;
    s->span = value->span;
    return s;
}

Stmt *stmt_local(Lowered *l, const Node *local)
{
    Stmt *s = stmt_new(l, STMT_LOCAL);
    s->target = local;
    return s;
}

Stmt *stmt_gemm(Lowered *l, const Gemm *gemm, Span span)
{
    Stmt *s = stmt_new(l, STMT_GEMM);
    s->gemm = arena_copy(l->arena, gemm, sizeof *gemm);
    s->span = span;
    return s;
}

uint64_t stmt_vars(const Stmt *s)
{
    const uint64_t block = ((uint64_t)1 << BLOCK_VARS) - 1;
    if (s->kind == STMT_LOOP) return (uint64_t)1 << s->var;
    if (s->tile) return tile_vars(s->tile);
    return s->gemm && s->body.len ? block << s->gemm->block : 0;
}

Stmt *stmt_tile(Lowered *l, Tile *tile, Span span)
{
    Stmt *s = stmt_new(l, STMT_TILE);
    s->tile = tile;
    s->span = span;
    return s;
}

uint64_t tile_vars(const Tile *tile)
{
    uint64_t vars = (uint64_t)1 << tile->row | (uint64_t)1 << tile->lane;
    for (int i = 0; i < tile->n_sums; i++)
        vars |= (uint64_t)1 << tile->sums[i].var;
    return vars;
}

void block_add(Lowered *l, Block *block, Stmt *stmt)
{
    vec_push(l->arena, block, stmt);
}

bool word_of_c(const char *word)
{
    static const char *const words[] = {
        "auto",   "break",  "case",     "char",   "const",    "continue", "default",  "do",
        "double", "else",   "enum",     "extern", "float",    "for",      "goto",     "if",
        "inline", "int",    "long",     "short",  "register", "restrict", "return",   "signed",
        "sizeof", "static", "struct",   "switch", "typedef",  "union",    "unsigned", "void",
        "while",  "asm",    "volatile", "bool",   "true",     "false"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) return true;
    return false;
}

const char *identifier_of(Arena *arena, const char *text)
{
    char *id = arena_printf(arena, "%s%s", isdigit((unsigned char)*text) ? "_" : "", text);
    bool small = false;
    for (char *p = id; *p; p++) {
        if (!isalnum((unsigned char)*p)) *p = '_';
        small = small || islower((unsigned char)*p);
    }
    return (small || strlen(id) < 2) && !word_of_c(id) ? id : arena_printf(arena, "%s_", id);
}

Buffer *buffer_new(Lowered *l, BufferKind kind, const Node *node, const char *name)
{
    Buffer *b = NEW(l->arena, Buffer);
    b->kind = kind;
    b->type = node->type;
    b->elements = node_max_elements(node);
    if (b->elements < 1) b->elements = 1;
    b->node = node;
    b->index = l->buffers.len;
    const char *id = identifier_of(l->arena, name);
    bool shared = kind == BUFFER_LOCAL || kind == BUFFER_RUN;
    b->name = shared ? id : names_fresh(&l->names, id);
    if (kind == BUFFER_RUN) names_take(&l->names, id);
    vec_push(l->arena, &l->buffers, b);
    map_put(&l->buffer_of, node, b);
    return b;
}

const Node *local_new(Lowered *l, ElemType type, int64_t n, const char *name)
{
    Leaf leaf = {.kind = LEAF_INPUT, .name = arena_strdup(l->arena, name)}; /* its own */
    Extent extent = extent_fixed(n);
    const Node *node = graph_leaf(l->g, &leaf, type, n == 1 ? 0 : 1, &extent);
    buffer_new(l, BUFFER_LOCAL, node, name);
    return node;
}

Buffer *buffer_get(const Lowered *l, const Node *node)
{
    Buffer *b = map_get(&l->buffer_of, node);
    while (!b && (node->kind == NODE_RESHAPE || node->kind == NODE_TAG)) {
        node = node->arg;
        b = map_get(&l->buffer_of, node);
    }
    while (b && b->into)
        b = b->into;
    return b;
}

Gemm *kernel_product(const Kernel *k)
{
    const Block *block = &k->body;
    while (block->len == 1 && block->data[0]->kind == STMT_LOOP)
        block = &block->data[0]->body;
    return block->len == 1 && block->data[0]->kind == STMT_GEMM ? block->data[0]->gemm : NULL;
}

Stmt kernel_stmt(const Kernel *k)
{
    Stmt s = {.kind = STMT_IF, .body = k->body, .cond = k->when->reads};
    if (k->kind == KERNEL_BEGIN) s.extent = k->loop->extent;
    return s;
}

bool kernel_is_parallel(const Kernel *k)
{
    for (int i = 0; i < k->body.len; i++) {
        const Stmt *s = k->body.data[i];
        if (s->kind == STMT_GEMM || (s->kind == STMT_LOOP && s->loop != LOOP_SEQUENTIAL))
            return true;
    }
    return false;
}

int kernels_loop_end(const Lowered *l, int begin)
{
    int at = begin + 1;
    for (int inner = 0; inner > 0 || l->kernels.data[at]->kind != KERNEL_END; at++) {
        inner += l->kernels.data[at]->kind == KERNEL_BEGIN;
        inner -= l->kernels.data[at]->kind == KERNEL_END;
    }
    return at;
}

double loops_trips(const LoopSet *inner, const LoopSet *outer)
{
    double trips = 1;
    for (int i = 0; inner && i < inner->n; i++)
        if (!loops_have(outer, inner->loops[i])) trips *= (double)inner->loops[i]->extent.max;
    return trips;
}

/* --- walks ------------------------------------------------------------------------------------ */

void block_visit(const Block *block, void (*visit)(void *data, Stmt *stmt), void *data)
{
    for (int i = 0; i < block->len; i++) {
        visit(data, block->data[i]);
        block_visit(&block->data[i]->body, visit, data);
    }
}

typedef struct Function {
    int var;
    bool found;
} Function;

static void function_find(void *data, const Scalar *a)
{
    Function *f = data;
    bool instruction = a->kind != SCALAR_OP || a->op == OP_DIV || a->op == OP_SQRT ||
                       a->op == OP_FLOOR || a->op == OP_CEIL || a->op == OP_ROUND;
    if (instruction || !(a->iters >> f->var & 1)) return;
    if (op_table[a->op].result == RESULT_REAL) f->found = true;
}

bool scalar_has_function(const Scalar *a, int var)
{
    Function f = {.var = var};
    scalar_visit(a, function_find, &f);
    return f.found;
}

static void tile_scalars(Tile *t, void (*visit)(void *data, const Scalar **scalar), void *data)
{
    visit(data, &t->a);
    visit(data, &t->b);
    for (int i = 0; i < t->n_more; i++) {
        visit(data, &t->more[i].a);
        visit(data, &t->more[i].b);
    }
    for (int k = 0; k < t->c->rank; k++)
        visit(data, &t->c_subs[k]);
    for (int i = 0; i < t->n_sums; i++) {
        if (t->sums[i].extent.size) visit(data, &t->sums[i].extent.size);
        if (t->sums[i].lo) visit(data, &t->sums[i].lo);
    }
}

void stmt_scalars(Stmt *s, void (*visit)(void *data, const Scalar **scalar), void *data)
{
    if (s->extent.size) visit(data, &s->extent.size);
    if (s->lo) visit(data, &s->lo);
    if (s->hi) visit(data, &s->hi);
    if (s->cond) visit(data, &s->cond);
    for (int k = 0; k < s->n_subs; k++)
        visit(data, &s->subs[k]);
    if (s->value) visit(data, &s->value);
    if (s->tile) tile_scalars(s->tile, visit, data);
    if (!s->gemm) return;
    visit(data, &s->gemm->a_at);
    visit(data, &s->gemm->b_at);
    visit(data, &s->gemm->c_at);
    if (s->gemm->accumulate) visit(data, &s->gemm->accumulate);
    Extent *extents[] = {&s->gemm->m, &s->gemm->n, &s->gemm->k};
    for (int i = 0; i < 3; i++)
        if (extents[i]->size) visit(data, &extents[i]->size);
}

typedef struct Collect {
    Lowered *l;
    Uses uses;
} Collect;

static Use *use_find(const Uses *uses, const Buffer *b)
{
    return b->use < uses->len && uses->data[b->use].buffer == b ? &uses->data[b->use] : NULL;
}

static void use_add(Lowered *l, Uses *uses, Use more)
{
    Use *use = use_find(uses, more.buffer);
    if (!use) {
        more.buffer->use = uses->len;
        vec_push(l->arena, uses, more);
        return;
    }
    if (use->node != more.node) use->node = NULL;
    use->read = use->read || more.read;
    use->written = use->written || more.written;
}

static void use_node(Collect *c, const Node *node, bool written)
{
    use_add(c->l, &c->uses, (Use){buffer_get(c->l, node), node, !written, written});
}

static void use_load(void *data, const Scalar *s)
{
    if (s->kind != SCALAR_LOAD) return;
    use_node(data, s->node, false);
    for (int k = 0; k < s->node->rank; k++) /* what a subscript is compared with */
        if (s->node->shape[k].size) scalar_visit(s->node->shape[k].size, use_load, data);
}

static void use_scalar(void *data, const Scalar **scalar)
{
    scalar_visit(*scalar, use_load, data);
}

static void use_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, use_scalar, data);
    if (s->kind == STMT_STORE) use_node(data, s->target, true);
    if (s->tile) use_node(data, s->tile->c, true);
    if (s->tile && s->tile->resume) use_node(data, s->tile->c, false);
    if (s->kind != STMT_GEMM) return;
    use_node(data, s->gemm->a, false);
    use_node(data, s->gemm->b, false);
    use_node(data, s->gemm->c, true);
}

Uses stmt_uses(Lowered *l, Stmt *stmt)
{
    Collect c = {.l = l};
    use_stmt(&c, stmt);
    block_visit(&stmt->body, use_stmt, &c);
    return c.uses;
}

bool uses_write(const Uses *uses, const Buffer *b)
{
    for (int i = 0; i < uses->len; i++)
        if (uses->data[i].buffer == b) return uses->data[i].written;
    return false;
}

/* The places, which a buffer knows of one list at a time. */
static void uses_at_hand(const Uses *uses)
{
    for (int i = 0; i < uses->len; i++)
        uses->data[i].buffer->use = i;
}

void uses_add(Lowered *l, Uses *uses, const Uses *more)
{
    uses_at_hand(uses);
    for (int i = 0; i < more->len; i++)
        use_add(l, uses, more->data[i]);
}

bool uses_conflict(const Uses *a, const Uses *b)
{
    uses_at_hand(a);
    for (int i = 0; i < b->len; i++) {
        const Use *use = use_find(a, b->data[i].buffer);
        if (use && (use->written || b->data[i].written)) return true;
    }
    return false;
}

/* --- the verifier ----------------------------------------------------------------------------- */

typedef struct Check {
    const Lowered *l;
    const char *when;
    uint64_t bound; /* variables of the loops around */
    const Kernel *kernel;
    VEC(const Loop *) open; /* those around the kernel */
} Check;

static void check_fail(const Check *c, const char *what)
{
    fprintf(stderr, "nndc: internal error: after %s, kernel %s: %s\n", c->when, c->kernel->name,
            what);
    assert(!"kernel verifier");
    abort();
}

static void check_load(void *data, const Scalar *s)
{
    const Check *c = data;
    if (s->kind != SCALAR_LOAD) return;
    if (!buffer_get(c->l, s->node)) check_fail(c, "a load of a node without buffer");
    if (s->n_args != s->node->rank) check_fail(c, "a load with a wrong number of subscripts");
    if (buffer_get(c->l, s->node)->kind != BUFFER_TIME) return;
    for (int i = 0; i < c->open.len; i++)
        if (c->open.data[i] == s->node->leaf->loop) return;
    check_fail(c, "the number of a step outside of its loop");
}

static void check_scalar(void *data, const Scalar **scalar)
{
    const Check *c = data;
    if ((*scalar)->iters & ~c->bound) check_fail(c, "a variable outside of its loop");
    scalar_visit(*scalar, check_load, data);
}

static void check_block(Check *c, const Block *block)
{
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        uint64_t bound = c->bound, own = stmt_vars(s);
        if (s->tile) c->bound |= own;
        stmt_scalars(s, check_scalar, c);
        if (s->target && !buffer_get(c->l, s->target)) check_fail(c, "a store without buffer");
        if (s->kind == STMT_STORE && s->target->type != s->value->type)
            check_fail(c, "a store of another type");
        if (!s->tile && bound & own) check_fail(c, "two nested loops over one variable");
        c->bound = bound | own;
        check_block(c, &s->body);
        c->bound = bound;
    }
}

void kernels_verify(const Lowered *l, const char *when)
{
    Check c = {.l = l, .when = when};
    for (int i = 0; i < l->kernels.len; i++) {
        const Kernel *k = c.kernel = l->kernels.data[i];
        Block block = {0};
        Stmt all = kernel_stmt(k);
        vec_push(l->arena, &block, &all);
        check_block(&c, &block);
        if (k->kind == KERNEL_BEGIN) vec_push(l->arena, &c.open, k->loop);
        if (k->kind != KERNEL_END) continue;
        if (!c.open.len || c.open.data[c.open.len - 1] != k->loop)
            check_fail(&c, "a loop that is closed, but not open");
        c.open.len--;
    }
    if (c.open.len) check_fail(&c, "a loop that is not closed");
}
