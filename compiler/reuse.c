/* reuse.c -- results that take the place of what they are computed from: a buffer whose life begins with a
 * kernel may be one whose life ends with it, if each element is written only when nothing will touch the
 * element of the other at that place any more.
 *
 * Whether that is so follows from the places in memory alone, so it holds through other shapes, too. Places
 * are affine in the loops around an access. Iterations of the loops around both accesses do not meet if
 * their coefficients are the digits of a number system: each is larger than all that the smaller ones, and
 * the loops around one access only, can add up to. Then only the order in one iteration counts. */
#include "kernel.h"

#include <stdlib.h>

enum { LINE = 64, DEEPEST = MAX_ITERS };

/* The elements from at + place on, `width` of them, while `loops` run around the statement. */
typedef struct Access {
    const Node *node;
    const Stmt *stmt;
    const Stmt *product; /* that the statement follows block by block, in its body; or NULL */
    int order; /* of the statement in the kernel */
    bool reads, writes;
    bool known; /* else it may be anywhere */
    int64_t constant, width;
    int64_t coefficient[MAX_ITERS];
    int depth;
    const Stmt *const *loops;
} Access;
typedef VEC(Access) Accesses;

/* A walk over a kernel. */
typedef struct Walk {
    Lowered *l;
    Arena *scratch;
    Accesses *found;
    int order, depth;
    const Stmt *loops[DEEPEST];
    const Stmt *stmt, *product;
} Walk;

/* --- accesses --------------------------------------------------------------------------------------------- */

static Access *access_add(Walk *w, const Node *node, bool reads, bool writes)
{
    Access a = {.node = node, .stmt = w->stmt, .product = w->product, .order = w->order, .width = 1};
    a.reads = reads;
    a.writes = writes;
    a.depth = w->depth;
    a.loops = arena_copy(w->scratch, w->loops, sizeof *w->loops * (size_t)w->depth);
    vec_push(w->scratch, w->found, a);
    return &w->found->data[w->found->len - 1];
}

/* place += factor * s, or unknown. */
static void place_add(Access *a, const Scalar *s, int64_t factor)
{
    Affine x;
    if (!affine_of(s, &x)) {
        a->known = false;
        return;
    }
    a->constant += factor * x.constant;
    for (int i = 0; i < MAX_ITERS; i++)
        a->coefficient[i] += factor * x.coefficient[i];
}

static void access_subs(Walk *w, const Node *node, const Scalar *const *subs, bool reads, bool writes)
{
    Access *a = access_add(w, node, reads, writes);
    int64_t stride = 1;
    a->known = true;
    for (int k = node->rank - 1; k >= 0; k--) {
        place_add(a, subs[k], stride);
        stride *= node->shape[k].max;
    }
}

static void access_load(void *data, const Scalar *s)
{
    Walk *w = data;
    if (s->kind != SCALAR_LOAD) return;
    access_subs(w, s->node, s->args, true, false);
    for (int k = 0; k < s->node->rank; k++) { /* sizes that subscripts are compared with: read anywhere */
        Scalars sizes = {0};
        if (s->node->shape[k].size) sizes = scalar_loads(w->scratch, s->node->shape[k].size);
        for (int i = 0; i < sizes.len; i++)
            access_add(w, sizes.data[i]->node, true, false);
    }
}

static void access_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, access_load, data);
}

static void access_matrix(Walk *w, const Node *node, const Scalar *at, int64_t rows, int64_t step, int64_t columns,
                          bool written)
{
    Access *a = access_add(w, node, true, written);
    a->known = true;
    a->width = (rows - 1) * step + columns;
    place_add(a, at, 1);
}

static void access_gemm(Walk *w, const Gemm *g)
{
    int64_t m = g->m.max, n = g->n.max, k = g->k.max;
    access_matrix(w, g->a, g->a_at, g->ta ? k : m, g->lda, g->ta ? m : k, false);
    access_matrix(w, g->b, g->b_at, g->tb ? n : k, g->ldb, g->tb ? k : n, false);
    access_matrix(w, g->c, g->c_at, m, g->ldc, n, true);
}

/* The variables that a tile binds itself are loops, too. */
static void tile_loop(Walk *w, int var, Extent extent)
{
    Stmt *loop = NEW(w->scratch, Stmt);
    *loop = (Stmt){.kind = STMT_LOOP, .var = var, .extent = extent, .step = 1};
    w->loops[w->depth++] = loop;
}

static void access_tile(Walk *w, const Tile *t)
{
    int first = w->found->len, depth = w->depth;
    tile_loop(w, t->row, extent_fixed(t->rows));
    tile_loop(w, t->lane, extent_fixed(t->lanes > t->n_columns ? t->lanes : t->n_columns));
    for (int i = 0; i < t->n_sums; i++) {
        if (t->sums[i].lo) scalar_visit(t->sums[i].lo, access_load, w);
        if (t->sums[i].extent.size) scalar_visit(t->sums[i].extent.size, access_load, w);
        tile_loop(w, t->sums[i].var, t->sums[i].extent);
    }
    scalar_visit(t->a, access_load, w);
    scalar_visit(t->b, access_load, w);
    for (int i = first; t->dot && i < w->found->len; i++)
        w->found->data[i].width = t->width[0];
    access_subs(w, t->c, t->c_subs, t->resume || t->dot, true);
    w->depth = depth;
}

static void walk_block(Walk *w, const Block *block)
{
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        w->stmt = s;
        w->order++;
        if (s->tile)
            access_tile(w, s->tile);
        else
            stmt_scalars(s, access_scalar, w);
        if (s->gemm) access_gemm(w, s->gemm);
        if (s->kind == STMT_STORE) access_subs(w, s->target, s->subs, false, true);
        const Stmt *product = w->product;
        if (s->kind == STMT_LOOP) w->loops[w->depth++] = s;
        if (s->gemm) w->product = s;
        walk_block(w, &s->body);
        w->product = product;
        if (s->kind == STMT_LOOP) w->depth--;
    }
}

static Accesses accesses_of(Lowered *l, Arena *scratch, const Kernel *k)
{
    Accesses found = {0};
    Walk w = {.l = l, .scratch = scratch, .found = &found};
    walk_block(&w, &k->body);
    return found;
}

/* --- two accesses ----------------------------------------------------------------------------------------- */

typedef struct Digit {
    int64_t unit, most; /* the least step, and the largest sum of steps */
} Digit;

static int larger_unit(const void *a, const void *b)
{
    int64_t x = ((const Digit *)a)->unit, y = ((const Digit *)b)->unit;
    return (x < y) - (x > y);
}

/* Adds what the loops from `depth` on can add to the place of an access to lo .. hi. */
static void reach(const Access *a, int depth, int64_t *lo, int64_t *hi)
{
    *lo += a->constant;
    *hi += a->constant + a->width - 1;
    for (int i = depth; i < a->depth; i++) {
        int64_t most = a->coefficient[a->loops[i]->var] * (a->loops[i]->extent.max - 1);
        *(most < 0 ? lo : hi) += most;
    }
}

/* The loops around both as digits, or -1 if one of them does not move both alike. */
static int digits_of(const Access *a, const Access *b, int common, Digit *digits)
{
    int n = 0;
    for (int i = 0; i < common; i++) {
        const Stmt *loop = a->loops[i];
        int64_t step = a->coefficient[loop->var];
        if (loop->extent.max <= 1) continue;
        if (step != b->coefficient[loop->var] || step == 0) return -1;
        digits[n++] = (Digit){llabs(step) * loop->step, llabs(step) * (loop->extent.max - 1)};
    }
    qsort(digits, (size_t)n, sizeof *digits, larger_unit);
    return n;
}

/* Whether no element is touched by a when b, a write, has been there. */
static bool before(const Access *a, const Access *b)
{
    Digit digits[DEEPEST];
    int common = 0;
    int64_t lo = 0, hi = 0, b_lo = 0, b_hi = 0, around = 0;
    if (!a->known || !b->known) return false;
    while (common < a->depth && common < b->depth && a->loops[common] == b->loops[common])
        common++;
    reach(a, common, &lo, &hi);
    reach(b, common, &b_lo, &b_hi);
    lo -= b_hi; /* the distance between them in one iteration */
    hi -= b_lo;
    int n = digits_of(a, b, common, digits);
    for (int i = n - 1; i >= 0; i--) {
        if (around + (-lo > hi ? -lo : hi) >= digits[i].unit) return false;
        around += digits[i].most;
    }
    if (n < 0) return false;
    bool once = a->depth == common && b->depth == common; /* not in two loops, whose body it is */
    if (a->stmt == b->stmt && once && a->stmt->kind == STMT_STORE && !a->writes) return true;
    bool blocks = b->product && (a->stmt == b->product || a->product == b->product);
    if (blocks && !(a->product && once)) /* the same element is in one block */ return lo > 0 || hi < 0;
    return a->order < b->order || lo > 0 || hi < 0;
}

/* Whether the buffer b can take the place of a in a kernel that does this. */
static bool fits(const Lowered *l, const Accesses *all, const Buffer *a, const Buffer *b)
{
    for (int i = 0; i < all->len; i++) {
        if (buffer_get(l, all->data[i].node) != a) continue;
        for (int k = 0; k < all->len; k++)
            if (all->data[k].writes && buffer_get(l, all->data[k].node) == b &&
                !before(&all->data[i], &all->data[k]))
                return false;
    }
    return true;
}

/* --- the pass --------------------------------------------------------------------------------------------- */

static bool is_large(const Lowered *l, const Buffer *b, BufferKind kind)
{
    return b->kind == kind && buffer_bytes(l, b) > LINE;
}

/* A buffer that dies in kernel k, and whose place the buffer b, which is made there, can take; or NULL. */
static Buffer *place_find(const Lowered *l, const Lifetime *lives, const Uses *uses, const Accesses *all,
                          const Buffer *b, int k)
{
    for (int i = 0; i < uses->len; i++) {
        Buffer *a = uses->data[i].buffer;
        bool dies = is_large(l, a, BUFFER_ARENA) && lives[a->index].last == k;
        if (a == b || !dies || a->type != b->type) continue;
        bool inside = lives[a->index].first == k && a->elements <= b->elements;
        if (a->elements != b->elements && !inside) continue;
        if (fits(l, all, a, b)) return a;
    }
    return NULL;
}

/* From now on the two are one. */
static void buffers_join(Buffer *a, Buffer *b, Lifetime *lives)
{
    Buffer *kept = b->kind == BUFFER_OUTPUT ? b : a, *gone = kept == a ? b : a;
    Lifetime *life = &lives[kept->index], *end = &lives[gone->index];
    gone->into = kept;
    if (!kept->node->name && gone->node->name) {
        Name name = kept->name;
        kept->name = gone->name;
        gone->name = name;
    }
    if (gone->elements > kept->elements) kept->elements = gone->elements;
    *life = (Lifetime){.first = lives[a->index].first, .last = lives[b->index].last};
    end->first = end->last = -1;
}

static void kernel_reuse(Lowered *l, Arena *scratch, Lifetime *lives, int k)
{
    Stmt all = kernel_stmt(l->kernels.data[k]);
    Uses uses = stmt_uses(l, &all);
    bool walked = false, dies = false;
    Accesses accesses = {0};
    for (int i = 0; i < uses.len; i++)
        dies = dies || (is_large(l, uses.data[i].buffer, BUFFER_ARENA) && lives[uses.data[i].buffer->index].last == k);
    for (int i = 0; dies && i < uses.len; i++) {
        Buffer *b = uses.data[i].buffer;
        bool made = is_large(l, b, BUFFER_ARENA) || is_large(l, b, BUFFER_OUTPUT);
        if (!made || lives[b->index].first != k) continue;
        if (!walked) accesses = accesses_of(l, scratch, l->kernels.data[k]);
        walked = true;
        Buffer *a = place_find(l, lives, &uses, &accesses, b, k);
        if (a) buffers_join(a, b, lives);
    }
}

ReusePairs reuse_pairs(Lowered *l, Arena *scratch, const Kernel *kernel)
{
    ReusePairs pairs = {0};
    Stmt all = kernel_stmt(kernel);
    Uses uses = stmt_uses(l, &all);
    Accesses accesses = accesses_of(l, scratch, kernel);
    for (int i = 0; i < uses.len; i++)
        for (int k = 0; k < uses.len; k++) {
            ReusePair pair = {uses.data[i].buffer, uses.data[k].buffer};
            bool large = is_large(l, pair.from, BUFFER_ARENA) && is_large(l, pair.to, BUFFER_ARENA);
            bool alike = pair.from->type == pair.to->type && pair.from->elements == pair.to->elements;
            if (i != k && uses.data[k].written && large && alike && fits(l, &accesses, pair.from, pair.to))
                vec_push(scratch, &pairs, pair);
        }
    return pairs;
}

void pass_reuse(Lowered *l)
{
    Arena *scratch = arena_new();
    Lifetime *lives = plan_lives(l);
    for (int k = 0; k < l->kernels.len; k++)
        if (l->kernels.data[k]->kind == KERNEL_WORK) kernel_reuse(l, scratch, lives, k);
    arena_free(scratch);
}
