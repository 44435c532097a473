/* c_kernel.c -- one kernel as one C function.
 *
 * What does not change in a loop is computed before it; a value that was just stored and is read
 * again in the same block gets a name instead. Both rest on the verifier's guarantee that a
 * subscript without a check is inside its tensor, so that evaluating it early is harmless. */
#include "c_text.h"

#include <assert.h>
#include <stdlib.h>

enum {
    MANY_PARTS = 48
}; /* with fewer a kernel is one function, which the C compiler sees as a whole */

/* --- names that stop to hold ------------------------------------------------------------------ */

typedef struct ReadsAny {
    CKernel *k;
    const Uses *uses;
    bool found;
} ReadsAny;

static void reads_any(void *data, const Scalar *s)
{
    ReadsAny *r = data;
    if (s->kind == SCALAR_LOAD && uses_write(r->uses, buffer_get(r->k->l, s->node)))
        r->found = true;
}

/* Whether a value reads what is written. */
static bool scalar_reads(CKernel *k, const Scalar *s, const Uses *uses)
{
    ReadsAny r = {k, uses, false};
    scalar_visit(s, reads_any, &r);
    return r.found;
}

/* Forgets the names of values that read what is written. */
static void names_forget(CKernel *k, const Uses *uses)
{
    for (int i = 0; i < k->named.len; i++)
        if (k->named.data[i].scalar && scalar_reads(k, k->named.data[i].scalar, uses))
            k->named.data[i].scalar = NULL;
}

/* --- hoisting --------------------------------------------------------------------------------- */

typedef struct Hoist {
    CKernel *k;
    uint64_t inner; /* variables bound in the loop */
    Uses uses;      /* in the loop */
    bool sure;      /* the statement at hand is reached */
    Map seen;
    Scalars found;
} Hoist;

static bool worth_hoisting(Hoist *h, const Scalar *s)
{
    Affine a;
    if (s->kind == SCALAR_CONST || s->kind == SCALAR_ITER) return false;
    if (s->type == TYPE_INT && affine_of(s, &a)) return false;
    if (s->kind != SCALAR_LOAD) return true;
    const Buffer *b = buffer_get(h->k->l, s->node);
    return !buffer_is_number(b) && !(b->kind == BUFFER_LOCAL && b->node->rank == 0);
}

static void hoist_scalar(Hoist *h, const Scalar *s)
{
    if (map_get(&h->seen, s)) return;
    map_put(&h->seen, s, h);
    bool fixed = !(s->iters & h->inner) && worth_hoisting(h, s) &&
                 !scalar_reads(h->k, s, &h->uses) && (h->sure || !c_unsafe(h->k, s));
    if (fixed) {
        vec_push(h->k->arena, &h->found, s);
        return;
    }
    bool lazy = s->kind == SCALAR_OP && s->op == OP_SELECT &&
                (c_unsafe(h->k, s->args[1]) || c_unsafe(h->k, s->args[2]));
    for (int i = 0; i < (lazy ? 1 : s->n_args); i++)
        hoist_scalar(h, s->args[i]);
    if (s->outside) hoist_scalar(h, s->outside);
}

/* What is known of subscripts depends on it. */
Extent c_range(CKernel *k, int var, Extent extent)
{
    Extent old = k->var_extent[var];
    if (extent_equal(old, extent)) return old;
    k->var_extent[var] = extent;
    k->unsafe = map_new(k->arena);
    return old;
}

static void hoist_ref(void *data, const Scalar **s)
{
    hoist_scalar(data, *s);
}

static void hoist_block(Hoist *h, const Block *block)
{
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        bool sure = h->sure;
        if (s->kind == STMT_PART && h->k->in_parts) continue; /* it has its own */
        if (s->kind == STMT_GEMM) continue;
        if (s->kind == STMT_IF) {
            if (s->cond) hoist_scalar(h, s->cond);
            h->sure = false;
        } else if (!s->tile) {
            stmt_scalars(s, hoist_ref, h);
            if (s->kind == STMT_LOOP && (s->extent.size || s->lo || s->hi || s->extent.max < 1))
                h->sure = false;
        }
        Extent old = {0};
        if (s->kind == STMT_LOOP) old = c_range(h->k, s->var, s->extent);
        hoist_block(h, &s->body);
        if (s->kind == STMT_LOOP) c_range(h->k, s->var, old);
        h->sure = sure;
    }
}

static void bound_vars(void *data, Stmt *s)
{
    *(uint64_t *)data |= stmt_vars(s);
}

static void scalar_vars(void *data, const Scalar **s)
{
    *(uint64_t *)data |= (*s)->iters;
}

static void used_vars(void *data, Stmt *s)
{
    stmt_scalars(s, scalar_vars, data);
}

uint64_t c_outer_vars(const Stmt *stmt)
{
    uint64_t inner = stmt_vars(stmt), used = 0;
    block_visit(&stmt->body, bound_vars, &inner);
    block_visit(&stmt->body, used_vars, &used);
    return used & ~inner;
}

/* Names, in front of a loop, what is the same in all its iterations. */
static void hoist(CKernel *k, Stmt *loop, const Uses *uses)
{
    Hoist h = {.k = k, .inner = (uint64_t)1 << loop->var, .uses = *uses, .seen = map_new(k->arena)};
    h.sure = !loop->extent.size && !loop->lo && !loop->hi && loop->extent.max >= 1 && !k->lazy;
    block_visit(&loop->body, bound_vars, &h.inner);
    Extent old = c_range(k, loop->var, loop->extent);
    hoist_block(&h, &loop->body);
    c_range(k, loop->var, old);
    if (h.found.len == 0) return;
    c_count(k, h.found.data, h.found.len);
    for (int i = 0; i < h.found.len; i++)
        c_bind(k, h.found.data[i], NULL);
}

/* --- statements ------------------------------------------------------------------------------- */

static void print_part(CKernel *k, const Stmt *part);

static void print_scope(CKernel *k, const Block *block)
{
    int scope = k->named.len, names = k->taken.len;
    c_block(k, block);
    k->named.len = scope;
    c_scope_end(k, names);
}

/* The loop's bounds; those that are not numbers get names. */
static const char *loop_begin(CKernel *k, const Stmt *s)
{
    if (!s->lo) return "0";
    if (s->lo->kind == SCALAR_CONST && s->lo->value >= 0) return c_index(k, s->lo).s;
    const bool inside = scalar_range(s->lo, k->var_extent, MAX_ITERS).lo >= 0;
    if (inside && s->lo->kind == SCALAR_ITER) return k->var_name[s->lo->iter];
    const char *name = c_name(k, "begin");
    const char *lo = c_index(k, s->lo).s;
    out_line(k->out, "const long %s = %s > 0 ? %s : 0;", name, lo, lo);
    return name;
}

static const char *loop_end(CKernel *k, const Stmt *s)
{
    Text extent = c_loop_extent(k, s->extent, s->span);
    if (!s->hi) return extent.prec > PREC_LT ? extent.s : arena_printf(k->arena, "(%s)", extent.s);
    const bool inside = scalar_range(s->hi, k->var_extent, MAX_ITERS).hi <= s->extent.max;
    if (inside && !s->extent.size && s->hi->kind == SCALAR_ITER) return k->var_name[s->hi->iter];
    const char *name = c_name(k, "end");
    const char *hi = c_index(k, s->hi).s;
    out_line(k->out, "const long %s = %s < %s ? %s : %s;", name, hi, extent.s, hi, extent.s);
    return name;
}

typedef struct Simple {
    CKernel *k;
    bool simple;
} Simple;

static void simple_scalar(void *data, const Scalar **s)
{
    Simple *x = data;
    if (c_unsafe(x->k, *s)) x->simple = false;
}

static void simple_stmt(void *data, Stmt *s)
{
    Simple *x = data;
    if (s->kind == STMT_LOOP || s->kind == STMT_GEMM || s->kind == STMT_PART || s->tile)
        x->simple = false;
    stmt_scalars(s, simple_scalar, x);
}

/* Whether the loop is vector code: innermost, independent, and without checks. */
static bool loop_is_vector(CKernel *k, Stmt *s)
{
    Simple x = {k, s->loop == LOOP_VECTOR || s->loop == LOOP_PARALLEL};
    if (x.simple) block_visit(&s->body, simple_stmt, &x);
    return x.simple;
}

typedef struct Border {
    CKernel *k;
    int var;
    const Scalar *load;
    const char *inside;
} Border;

static void border_scalar(void *data, const Scalar *s)
{
    Border *b = data;
    if (b->load || s->kind != SCALAR_LOAD || !s->outside || s->n_args == 0) return;
    b->inside = c_inside(b->k, s, b->var);
    if (b->inside) b->load = s;
}

static void border_ref(void *data, const Scalar **s)
{
    scalar_visit(*s, border_scalar, data);
}

static void border_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, border_ref, data);
}

/* A load that for a whole loop is inside its tensor or outside (a copy with a border): the loop is
 * written for either case, for compilers make no vector code of loads that depend on a condition. */
static const Scalar *border_find(CKernel *k, Stmt *loop, const char **inside)
{
    Border b = {.k = k, .var = loop->var};
    block_visit(&loop->body, border_stmt, &b);
    *inside = b.inside;
    return b.load;
}

static void print_loop_text(CKernel *k, Stmt *s, bool vector, const char *begin, const char *end)
{
    const char *var = k->var_name[s->var];
    if (vector) out_line(k->out, "SIMD");
    if (s->step == 1)
        out_open(k->out, "for (long %s = %s; %s < %s; %s++) {", var, begin, var, end, var);
    else
        out_open(k->out, "for (long %s = %s; %s < %s; %s += %lld) {", var, begin, var, end, var,
                 (long long)s->step);
    print_scope(k, &s->body);
    out_close(k->out, "}");
}

void c_loop(CKernel *k, Stmt *s, const char *begin, const char *end)
{
    Uses uses = stmt_uses(k->l, s);
    hoist(k, s, &uses);
    Extent outer = c_range(k, s->var, s->extent);
    bool vector = loop_is_vector(k, s);
    const char *inside = NULL;
    const Scalar *border = vector ? border_find(k, s, &inside) : NULL;
    if (border) {
        out_open(k->out, "if (%s) {", inside);
        k->known_inside = border;
        print_loop_text(k, s, vector, begin, end);
        k->known_inside = NULL;
        out_close(k->out, "} else {");
        k->out->indent++;
        k->known_outside = border;
        print_loop_text(k, s, vector, begin, end);
        k->known_outside = NULL;
        out_close(k->out, "}");
    } else
        print_loop_text(k, s, vector, begin, end);
    c_range(k, s->var, outer);
}

static void print_loop(CKernel *k, Stmt *s)
{
    if (s->loop == LOOP_THREADS && !k->divided) {
        c_parallel(k, s);
        return;
    }
    Uses uses = stmt_uses(k->l, s);
    names_forget(k, &uses);
    int scope = k->named.len;
    Scalars bounds = {0};
    if (s->extent.size) vec_push(k->arena, &bounds, s->extent.size);
    if (s->lo) vec_push(k->arena, &bounds, s->lo);
    if (s->hi) vec_push(k->arena, &bounds, s->hi);
    c_count(k, bounds.data, bounds.len);
    const char *begin = loop_begin(k, s), *end = loop_end(k, s);
    int names = k->taken.len; /* bounds are declared around the loop */
    c_loop(k, s, begin, end);
    if (k->named.len > scope) k->named.len = scope;
    c_scope_end(k, names);
}

static void print_if(CKernel *k, Stmt *s)
{
    Uses uses = stmt_uses(k->l, s);
    c_count(k, &s->cond, 1);
    Text cond = c_value(k, s->cond);
    out_open(k->out, "if (%s) {", cond.s);
    bool lazy = k->lazy;
    k->lazy = true;
    print_scope(k, &s->body);
    k->lazy = lazy;
    out_close(k->out, "}");
    names_forget(k, &uses);
}

/* "x = value", "x += term" or "x = value" with a choice. */
static void print_assignment(CKernel *k, const char *place, const Scalar *self, const Scalar *value)
{
    if (value->kind == SCALAR_OP && value->op == OP_ADD && value->type == TYPE_REAL) {
        for (int i = 0; i < 2; i++)
            if (value->args[i] == self && value->args[1 - i] != self) {
                c_count(k, &value->args[1 - i], 1);
                Text term = c_value(k, value->args[1 - i]);
                out_line(k->out, "%s += %s;", place, term.s);
                return;
            }
    }
    out_line(k->out, "%s = %s;", place, c_value(k, value).s);
}

typedef struct Find {
    const Scalar *wanted;
    bool found;
} Find;

static void find_scalar(void *data, const Scalar *s)
{
    Find *f = data;
    if (s == f->wanted) f->found = true;
}

static void find_in(void *data, const Scalar **s)
{
    scalar_visit(*s, find_scalar, data);
}

static void find_in_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, find_in, data);
}

static bool read_later(const Block *block, int from, const Scalar *load)
{
    Find f = {load, false};
    for (int i = from; i < block->len && !f.found; i++) {
        find_in_stmt(&f, block->data[i]);
        block_visit(&block->data[i]->body, find_in_stmt, &f);
    }
    return f.found;
}

static void print_store(CKernel *k, const Block *block, int at)
{
    Stmt *s = block->data[at];
    const Buffer *b = buffer_get(k->l, s->target);
    const Scalar *self = scalar_load(k->l->g, s->target, s->subs, NULL, s->span);
    const Scalar *all[MAX_RANK + 1];
    for (int i = 0; i < s->n_subs; i++)
        all[i] = s->subs[i];
    all[s->n_subs] = s->value;
    c_count(k, all, s->n_subs + 1);
    Use target = {.buffer = buffer_get(k->l, s->target), .written = true};
    Uses uses = {0};
    vec_push(k->arena, &uses, target);
    if (b->kind != BUFFER_LOCAL && read_later(block, at + 1, self)) {
        const char *name = c_bind(k, s->value, NULL);
        out_line(k->out, "%s = %s;", c_place(k, s->target, s->subs).s, name);
        names_forget(k, &uses);
        c_let(k, self, name);
        return;
    }
    const char *place = c_place(k, s->target, s->subs).s;
    print_assignment(k, place, self, s->value);
    names_forget(k, &uses);
}

typedef struct CountStores {
    const Node *target;
    int n;
} CountStores;

static void count_store(void *data, Stmt *s)
{
    CountStores *c = data;
    c->n += s->kind == STMT_STORE && s->target == c->target;
}

/* A local variable, with its first value if the next statement gives one. */
static int print_local(CKernel *k, const Block *block, int at)
{
    Stmt *s = block->data[at];
    Buffer *b = buffer_get(k->l, s->target);
    const char *name = c_name(k, k->anonymous ? "local" : b->name);
    map_put(&k->buffer_name, b, (void *)(uintptr_t)name);
    const char *type = c_type(k, b->type);
    if (b->node->rank > 0) {
        bool large = b->elements >= 16; /* vectors of a part's argument, too, are aligned */
        out_line(k->out, "%s%s %s[%lld];", large ? "_Alignas(64) " : "", type, name,
                 (long long)b->elements);
        return at;
    }
    Stmt *next = at + 1 < block->len ? block->data[at + 1] : NULL;
    if (!next || next->kind != STMT_STORE || next->target != s->target) {
        out_line(k->out, "%s %s;", type, name);
        return at;
    }
    CountStores count = {s->target, 0};
    block_visit(&k->kernel->body, count_store, &count);
    c_count(k, &next->value, 1);
    Text value = c_value(k, next->value);
    out_line(k->out, "%s%s %s = %s;", count.n == 1 ? "const " : "", type, name, value.s);
    return at + 1;
}

const char *c_address(CKernel *k, const Node *node, const Scalar *at)
{
    const char *name = c_buffer(k, node);
    if (scalar_is_const(at, 0)) return name;
    Text offset = c_index(k, at);
    return arena_printf(k->arena, "%s + %s", name, offset.s);
}

static void print_gemm(CKernel *k, Stmt *s)
{
    const Gemm *g = s->gemm;
    bool whole = !buffer_get(k->l, g->c)->block;
    c_count(k, (const Scalar *[]){g->a_at, g->b_at, g->c_at}, 3);
    const char *a = c_address(k, g->a, g->a_at), *b = c_address(k, g->b, g->b_at);
    const char *c = whole ? c_address(k, g->c, g->c_at) : "NULL";
    Text m = c_loop_extent(k, g->m, s->span), n = c_loop_extent(k, g->n, s->span);
    Text depth = c_loop_extent(k, g->k, s->span);
    const char *after = s->body.len ? c_after(k, s) : "NULL";
    if (!k->divided) k->uses_pool = true;
    out_line(k->out, "%s(%s, %s, %s, %s, %s, %s, %s, %lld, %s, %lld, %s, %lld, %s, ISA, %s);",
             k->f64 ? "nnd_gemm_f64" : "nnd_gemm", k->divided ? "NULL" : "pool",
             g->ta ? "true" : "false", g->tb ? "true" : "false", m.s, n.s, depth.s, a,
             (long long)g->lda, b, (long long)g->ldb, c, (long long)g->ldc,
             g->accumulate ? c_value(k, g->accumulate).s : "false", after);
    Uses uses = stmt_uses(k->l, s);
    names_forget(k, &uses);
}

static void print_tile(CKernel *k, Stmt *s)
{
    c_tile(k, s);
    Uses uses = stmt_uses(k->l, s);
    names_forget(k, &uses);
}

void c_block(CKernel *k, const Block *block)
{
    for (int i = 0; i < block->len; i++)
        switch (block->data[i]->kind) {
        case STMT_LOOP: print_loop(k, block->data[i]); break;
        case STMT_IF: print_if(k, block->data[i]); break;
        case STMT_LOCAL: i = print_local(k, block, i); break;
        case STMT_STORE: print_store(k, block, i); break;
        case STMT_GEMM: print_gemm(k, block->data[i]); break;
        case STMT_TILE: print_tile(k, block->data[i]); break;
        case STMT_PART: print_part(k, block->data[i]); break;
        }
}

/* --- the function ----------------------------------------------------------------------------- */

static int by_index(const void *a, const void *b)
{
    int x = ((const Use *)a)->buffer->index, y = ((const Use *)b)->buffer->index;
    return (x > y) - (x < y);
}

static void note_local(void *data, Stmt *s)
{
    Map *declared = data;
    if (s->kind == STMT_LOCAL) map_put(declared, s->target, declared);
}

static void parameter_add(CKernel *k, CFunction *f, const Use *use)
{
    Buffer *b = use->buffer;
    if (b->kind == BUFFER_CONST) { /* a table of the file */
        c_take(k, b->name);
        map_put(&k->buffer_name, b, (void *)(uintptr_t)b->name);
        return;
    }
    CParameter p = {.buffer = b, .written = use->written, .type = c_type(k, b->type)};
    p.name = c_name(k, k->anonymous ? "tensor" : b->name);
    map_put(&k->buffer_name, b, (void *)(uintptr_t)p.name);
    vec_push(k->arena, &f->parameters, p);
}

/* What the kernel uses, but for what is declared in it. */
static void parameters_collect(CKernel *k, CFunction *f)
{
    Stmt all = {.kind = STMT_IF, .body = k->kernel->body};
    Uses uses = stmt_uses(k->l, &all);
    Map declared = map_new(k->arena);
    block_visit(&all.body, note_local, &declared);
    if (uses.len) qsort(uses.data, (size_t)uses.len, sizeof *uses.data, by_index);
    for (int i = 0; i < uses.len; i++)
        if (!uses.data[i].buffer->block && !map_get(&declared, uses.data[i].buffer->node))
            parameter_add(k, f, &uses.data[i]);
}

/* The first six are called as in formulas (print.c), the others by letters that are free. */
static void variables_name(CKernel *k)
{
    static const char letters[] = "ijklmnpqrsuvwabcdefghotxyz";
    int letter = 6;
    for (int v = 0; v < k->kernel->n_vars; v++) {
        const char *name = v < 6 ? arena_printf(k->arena, "%c", letters[v]) : "";
        while ((!*name || c_taken(k, name)) && letters[letter])
            name = arena_printf(k->arena, "%c", letters[letter++]);
        if (!*name || c_taken(k, name)) name = arena_printf(k->arena, "i%d", v);
        k->var_name[v] = c_name(k, name);
    }
}

const char *c_parameters_text(const CKernel *k, const CFunction *f)
{
    StrBuf out = str_new(k->arena);
    for (int i = 0; i < f->parameters.len; i++) {
        const CParameter *p = &f->parameters.data[i];
        const char *comma = i ? ", " : "", *space = strchr(p->type, '*') ? "" : " ";
        if (p->buffer && !c_by_value(p->buffer))
            str_printf(&out, "%s%s%s *restrict %s", comma, p->written ? "" : "const ", p->type,
                       p->name);
        else
            str_printf(&out, "%s%s%s%s", comma, p->type, space, p->name);
    }
    return str_text(&out);
}

static CKernel kernel_text(Out *out, CParts *parts, Lowered *l)
{
    CKernel k = {.l = l,
                 .parts = parts,
                 .out = out,
                 .arena = l->arena,
                 .f64 = options_f64(l->options),
                 .buffer_name = map_new(l->arena),
                 .buffer_used = map_new(l->arena),
                 .uses = map_new(l->arena),
                 .taken_at = map_new(l->arena),
                 .variant_at = map_new(l->arena),
                 .named_at = map_new(l->arena),
                 .unsafe = map_new(l->arena)};
    for (int i = 0; i < MAX_ITERS; i++)
        k.var_extent[i] = extent_fixed(INT32_MAX); /* a variable that no loop has bound yet */
    return k;
}

/* The variables of loops around a part that it uses become its parameters. */
static void outer_variables(CKernel *k, const CKernel *outer, CFunction *f)
{
    Stmt all = {.kind = STMT_IF, .body = k->kernel->body};
    const uint64_t used = c_outer_vars(&all);
    for (int v = 0; v < MAX_ITERS; v++) {
        k->var_extent[v] = outer->var_extent[v];
        if (!(used >> v & 1)) continue;
        CParameter p = {.var = v + 1, .name = k->var_name[v], .type = "long"};
        vec_push(k->arena, &f->parameters, p);
    }
}

void c_parameters_rest(const CKernel *k, CFunction *f)
{
    CParameter seed = {.name = "seed", .type = "uint64_t"};
    CParameter fault = {.name = "fault", .type = "struct Fault *"};
    CParameter pool = {.name = "pool", .type = "NndPool *"};
    if (k->uses_seed) vec_push(k->arena, &f->parameters, seed);
    for (int i = 0; i < k->sites.len; i++) {
        const Site *site = &k->sites.data[i];
        CParameter p = {.name = site->name, .type = "uint64_t", .site = site};
        vec_push(k->arena, &f->parameters, p);
    }
    if (k->uses_fault) vec_push(k->arena, &f->parameters, fault);
    if (k->uses_pool) vec_push(k->arena, &f->parameters, pool);
}

/* Parameters that the text does not use are dropped; those that only the text knows of are added.
 */
static void parameters_finish(CKernel *k, CFunction *f)
{
    int used =
        0; /* the size of an axis may be read only where a subscript has to be compared with it */
    for (int i = 0; i < f->parameters.len; i++)
        if (f->parameters.data[i].var || map_get(&k->buffer_used, f->parameters.data[i].buffer))
            f->parameters.data[used++] = f->parameters.data[i];
    f->parameters.len = used;
    c_parameters_rest(k, f);
}

static void count_part(void *data, Stmt *s)
{
    *(int *)data += s->kind == STMT_PART;
}

/* Prints a kernel, or a part of the kernel `outer`, as a function. */
static CFunction *kernel_print(Out *out, CParts *parts, Lowered *l, const Kernel *kernel,
                               const char *name, const CKernel *outer, bool anonymous)
{
    Arena *arena = l->arena;
    CFunction *f = NEW(arena, CFunction);
    f->name = name;
    Out body = out_new(arena);
    body.indent = 1;
    CKernel k = kernel_text(&body, parts, l);
    k.kernel = kernel;
    k.anonymous = anonymous;
    k.function = f;
    Out tasks = out_new(arena);
    k.tasks = &tasks;
    k.divided = outer != NULL;
    parameters_collect(&k, f);
    variables_name(&k);
    if (outer) outer_variables(&k, outer, f);
    int count = 0;
    block_visit(&kernel->body, count_part, &count);
    k.in_parts = parts && count >= MANY_PARTS;
    c_block(&k, &kernel->body);
    parameters_finish(&k, f);
    const char *head = c_parameters_text(&k, f);
    str_add(&out->text, str_text(&tasks.text));
    out_line(out, "static %svoid %s(%s)", outer ? "PART " : "", name, *head ? head : "void");
    out_line(out, "{");
    str_add(&out->text, str_text(&body.text));
    out_line(out, "}");
    return f;
}

CFunction *c_kernel(Out *out, CParts *parts, Lowered *l, const Kernel *kernel, const char *name)
{
    return kernel_print(out, parts, l, kernel, name, NULL, false);
}

/* The function of a part: an equal one's, of another layer or kernel, or a new one. */
static CFunction *part_function(CKernel *k, const Stmt *stmt)
{
    CFunction *seen = map_get(&k->parts->of_part, stmt);
    if (seen) return seen;
    const Kernel kernel = {.body = stmt->body, .n_vars = k->kernel->n_vars}, *part = &kernel;
    Out text = out_new(k->arena);
    CFunction *f = kernel_print(&text, k->parts, k->l, part, "part", k, true);
    Name key = name_of(k->l->program->context, str_text(&text.text));
    const CFunction *known = map_get(&k->parts->functions, key);
    f->name = known ? known->name : arena_printf(k->arena, "part_%d", k->parts->functions.len + 1);
    map_put(&k->parts->of_part, stmt, f);
    if (known) return f;
    kernel_print(k->parts->out, k->parts, k->l, part, f->name, k, false);
    out_blank(k->parts->out);
    map_put(&k->parts->functions, key, f);
    return f;
}

static const char *part_argument(CKernel *k, const CParameter *p)
{
    if (p->buffer) return c_buffer(k, p->buffer->node);
    if (p->var) return k->var_name[p->var - 1];
    if (p->site) return c_site(k, p->site->site);
    k->uses_fault = k->uses_fault || strcmp(p->name, "fault") == 0;
    k->uses_seed = k->uses_seed || strcmp(p->name, "seed") == 0;
    k->uses_pool = k->uses_pool || strcmp(p->name, "pool") == 0;
    return p->name;
}

/* A call of its function; where that cannot be, the part where it stands. */
static void print_part(CKernel *k, const Stmt *part)
{
    bool possible = k->in_parts;
    Stmt all = *part;
    Uses uses = stmt_uses(k->l, &all);
    for (int i = 0; i < uses.len; i++) /* a number that is set inside would have to come back */
        if (uses.data[i].written && uses.data[i].buffer->node->rank == 0 &&
            map_get(&k->buffer_name, uses.data[i].buffer) &&
            uses.data[i].buffer->kind == BUFFER_LOCAL)
            possible = false;
    if (!possible) {
        out_open(k->out, "{");
        print_scope(k, &part->body);
        out_close(k->out, "}");
    } else {
        CFunction *f = part_function(k, part);
        StrBuf args = str_new(k->arena);
        for (int i = 0; i < f->parameters.len; i++)
            str_printf(&args, "%s%s", i ? ", " : "", part_argument(k, &f->parameters.data[i]));
        out_line(k->out, "%s(%s);", f->name, str_text(&args));
    }
    names_forget(k, &uses);
}

const char *c_outer_extent(Out *out, Lowered *l, Extent e,
                           const char *(*name)(void *data, const Buffer *buffer), void *data)
{
    CKernel k = kernel_text(out, NULL, l);
    for (int i = 0; i < l->buffers.len; i++) {
        Buffer *b = l->buffers.data[i];
        if (b->kind == BUFFER_LOCAL) continue;
        c_take(&k, b->name);
        map_put(&k.buffer_name, b, (void *)(uintptr_t)name(data, b));
    }
    if (e.size) c_count(&k, &e.size, 1);
    return c_extent(&k, e).s;
}

const char *c_outer_condition(Lowered *l, const When *when,
                              const char *(*name)(void *data, const Buffer *buffer), void *data)
{
    StrBuf text = str_new(l->arena);
    for (int i = 0; i < when->nodes.len; i++)
        str_printf(&text, "%s%s*%s", i ? " && " : "", when->holds[i] ? "" : "!",
                   name(data, buffer_get(l, when->nodes.data[i])));
    return str_text(&text);
}

CFunction *c_kernel_key(CParts *parts, Lowered *l, const Kernel *kernel, const char **key)
{
    Out text = out_new(l->arena);
    CFunction *f = kernel_print(&text, parts, l, kernel, "kernel", NULL, true);
    *key = str_text(&text.text);
    return f;
}
