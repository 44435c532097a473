/* c_parallel.c -- what the runtime calls, as functions of their own: a loop that is divided among
 * threads (rt/pool.c), and what comes after a product block by block (rt/gemm.c).
 *
 * A loop of the kernel NAME becomes NAME_part, which does a range of its iterations; a struct of
 * what that needs of the kernel: tensors, numbers, local variables from before the loop; NAME_task,
 * which takes them out of the struct; and in the kernel a call of nnd_parallel. Arguments are
 * parameters again, since compilers believe `restrict` there only. What is the same in all
 * iterations is computed by every part for itself. A product's NAME_after does a block of rows and
 * columns, NAME_block takes its arguments out of the struct. */
#include "c_text.h"

#include <assert.h>

typedef VEC(const Buffer *) Buffers;

/* Whether the text of `inner` uses the buffer. */
static bool part_uses(const CKernel *inner, const Buffer *b)
{
    return map_get(&inner->buffer_used, b) != NULL;
}

static bool writes(const Uses *uses, const Buffer *b)
{
    for (int i = 0; i < uses->len; i++)
        if (uses->data[i].buffer == b) return uses->data[i].written;
    return false;
}

/* The variables that are declared so far. */
static Buffers locals_declared(const CKernel *k)
{
    Buffers locals = {0};
    for (int i = 0; i < k->l->buffers.len; i++) {
        Buffer *b = k->l->buffers.data[i];
        if (b->kind == BUFFER_LOCAL && map_get(&k->buffer_name, b)) vec_push(k->arena, &locals, b);
    }
    return locals;
}

/* What the part needs, as its parameters; vars: of the loops around it. */
static CFunction part_parameters(CKernel *k, const CKernel *inner, const Stmt *s,
                                 const Buffers *locals, uint64_t vars)
{
    CFunction f = {0};
    for (int v = 0; v < MAX_ITERS; v++) {
        CParameter p = {.var = v + 1, .name = k->var_name[v], .type = "long"};
        if (vars >> v & 1) vec_push(k->arena, &f.parameters, p);
    }
    Uses uses = stmt_uses(k->l, (Stmt *)(uintptr_t)s);
    for (int i = 0; i < k->function->parameters.len; i++) {
        CParameter p = k->function->parameters.data[i];
        if (!p.buffer) continue; /* a variable of a loop around */
        p.written = writes(&uses, p.buffer);
        if (part_uses(inner, p.buffer)) vec_push(k->arena, &f.parameters, p);
    }
    for (int i = 0; i < locals->len; i++) {
        const Buffer *b = locals->data[i];
        CParameter p = {.buffer = b,
                        .written = writes(&uses, b),
                        .name = map_get(&k->buffer_name, b),
                        .type = c_type(k, b->type)};
        assert(!part_uses(inner, b) || !p.written || !c_by_value(b));
        if (part_uses(inner, b)) vec_push(k->arena, &f.parameters, p);
    }
    c_parameters_rest(inner, &f);
    return f;
}

/* The kernel needs what its part does. */
static void needs_add(CKernel *k, const CKernel *inner, const CFunction *part)
{
    for (int i = 0; i < part->parameters.len; i++) {
        const Buffer *b = part->parameters.data[i].buffer;
        if (b) map_put(&k->buffer_used, b, (void *)(uintptr_t)b);
    }
    k->uses_seed |= inner->uses_seed;
    k->uses_fault |= inner->uses_fault;
}

/* What the kernel calls a parameter of its part: only a draw may have another name there. */
static const char *argument_name(CKernel *k, const CParameter *p)
{
    if (!p->site) return p->name;
    for (int i = 0; i < k->sites.len; i++)
        if (k->sites.data[i].site == p->site->site) return k->sites.data[i].name;
    Site site = {p->site->site, c_name(k, "site")};
    vec_push(k->arena, &k->sites, site);
    return site.name;
}

static void print_struct(Out *out, const char *name, const CFunction *part)
{
    out_open(out, "struct %s {", name);
    for (int i = 0; i < part->parameters.len; i++) {
        const CParameter *p = &part->parameters.data[i];
        if (p->buffer && !c_by_value(p->buffer))
            out_line(out, "%s%s *%s;", p->written ? "" : "const ", p->type, p->name);
        else
            out_line(out, "%s%s%s;", p->type, strchr(p->type, '*') ? "" : " ", p->name);
    }
    out_close(out, "};");
    out_blank(out);
}

/* The function that takes arguments out of the struct; head, before: its parameters but for `data`, and
 * what it passes on of them; unused: one that it does not pass on, or NULL. */
static void print_task(Out *out, const char *task, const char *name, const CFunction *part,
                       const char *head, const char *before, const char *unused)
{
    StrBuf arguments = str_new(out->arena);
    for (int i = 0; i < part->parameters.len; i++)
        str_printf(&arguments, ", part->%s", part->parameters.data[i].name);
    out_line(out, "static CALLS void %s(const void *data, %s)", task, head);
    out_open(out, "{");
    if (unused) out_line(out, "(void)%s;", unused);
    out_line(out, "const struct %s *part = data;", name);
    out_line(out, "%s(%s%s);", name, before, str_text(&arguments));
    out_close(out, "}");
    out_blank(out);
}

/* The text of the part, before the kernel; head: its parameters but for those of the struct. */
static void print_part_text(CKernel *k, const char *name, const CFunction *part, const char *head,
                            const Out *body)
{
    print_struct(k->tasks, name, part);
    out_line(k->tasks, "static PART void %s(%s, %s)", name, head, c_parameters_text(k, part));
    out_line(k->tasks, "{");
    str_add(&k->tasks->text, str_text(&((Out *)(uintptr_t)body)->text));
    out_line(k->tasks, "}");
    out_blank(k->tasks);
}

/* The struct with what the part needs, as a variable of the kernel: its name. */
static const char *print_arguments(CKernel *k, const char *name, const CFunction *part,
                                   const char *wanted)
{
    StrBuf values = str_new(k->arena);
    for (int i = 0; i < part->parameters.len; i++)
        str_printf(&values, "%s%s", i ? ", " : "", argument_name(k, &part->parameters.data[i]));
    const char *variable = c_name(k, wanted);
    out_line(k->out, "const struct %s %s = {%s};", name, variable, str_text(&values));
    return variable;
}

/* The kernel's text of a part is that of a function of its own. */
static CKernel part_kernel(const CKernel *k, Out *body)
{
    body->indent = 1;
    CKernel inner = *k;
    inner.out = body;
    inner.divided = true;
    inner.named.len = inner.named.cap = inner.sites.len = inner.sites.cap = 0;
    inner.named.data = NULL;
    inner.sites.data = NULL;
    inner.named_at = map_new(k->arena);
    inner.buffer_used = map_new(k->arena);
    inner.uses_seed = inner.uses_fault = inner.uses_pool = false;
    return inner;
}

/* "12.5 + 0.3 * batch" */
static const char *cost_text(CKernel *k, const Stmt *s)
{
    Cost cost = cost_iteration(k->l, s);
    StrBuf text = str_new(k->arena);
    const char *size = NULL;
    if (cost.size) {
        c_count(k, &cost.size, 1);
        size = c_index(k, cost.size).s;
    }
    for (int power = 0; power < COST_POWERS; power++) {
        if (cost.ns[power] == 0) continue;
        str_printf(&text, cost.ns[power] < 100 ? "%s%.2g" : "%s%.0f",
                   str_text(&text)[0] ? " + " : "", cost.ns[power]);
        for (int i = 0; i < power; i++)
            str_printf(&text, " * %s", size);
    }
    return str_text(&text)[0] ? str_text(&text) : "0";
}

void c_parallel(CKernel *k, Stmt *s)
{
    assert(!s->lo && !s->hi && s->step == 1);
    if (s->extent.size) c_count(k, &s->extent.size, 1);
    const char *extent = c_loop_extent(k, s->extent, s->span).s, *cost = cost_text(k, s);
    Buffers locals = locals_declared(k);
    Out body = out_new(k->arena);
    CKernel inner = part_kernel(k, &body);
    const char *begin = c_name(&inner, "begin"), *end = c_name(&inner, "end");
    c_loop(&inner, s, begin, end);
    c_scope_end(&inner, k->taken.len);

    CFunction part = part_parameters(k, &inner, s, &locals, 0);
    k->n_tasks = inner.n_tasks;
    const char *number = k->n_tasks++ ? arena_printf(k->arena, "%d", k->n_tasks) : "";
    const char *name = arena_printf(k->arena, "%s_part%s", k->function->name, number);
    const char *task = arena_printf(k->arena, "%s_task%s", k->function->name, number);
    print_part_text(k, name, &part, arena_printf(k->arena, "long %s, long %s", begin, end), &body);
    print_task(k->tasks, task, name, &part, "int64_t begin, int64_t end", "begin, end", NULL);
    needs_add(k, &inner, &part);
    k->uses_pool = true;
    const char *variable = print_arguments(k, name, &part, "part");
    out_line(k->out, "nnd_parallel(pool, %s, &%s, %s, %s);", task, variable, extent, cost);
}

/* The variables that tell the block, under the names that the function's head has. */
static void block_names(CKernel *inner, const Gemm *g)
{
    static const char *const names[BLOCK_VARS] = {
        [BLOCK_ROW] = "row",
        [BLOCK_ROW_END] = "row_end",
        [BLOCK_COLUMN] = "column",
        [BLOCK_COLUMN_END] = "column_end",
    };
    for (int i = 0; i < BLOCK_VARS; i++) {
        int64_t most = i < BLOCK_COLUMN ? g->m.max : g->n.max;
        inner->var_name[g->block + i] = c_name(inner, names[i]);
        c_range(inner, g->block + i, extent_fixed(most + 1));
    }
}

typedef struct Beside {
    CKernel *k;
    const Gemm *g;
    Buffers buffers;
    StrBuf text;
} Beside;

/* Notes what is accessed at the element at hand, in rows as the product would have in memory. */
static void beside_access(Beside *x, const Node *node, const Scalar *const *subs)
{
    const Buffer *b = buffer_get(x->k->l, node);
    const Node *result = x->g->result;
    bool same = node->type == TYPE_REAL && node->rank == result->rank && b->kind != BUFFER_LOCAL;
    for (int i = 0; same && i < node->rank; i++)
        same = subs[i] == x->g->c_subs[i] && node->shape[i].max == result->shape[i].max;
    for (int i = 0; i < x->buffers.len; i++)
        same = same && x->buffers.data[i] != b;
    if (!same || node == x->g->c || x->buffers.len == NND_BESIDE) return;
    const char *place = c_address(x->k, node, x->g->first);
    vec_push(x->k->arena, &x->buffers, b);
    str_printf(&x->text, "%s%s", x->buffers.len > 1 ? ", " : "", place);
}

static void beside_load(void *data, const Scalar *s)
{
    if (s->kind == SCALAR_LOAD) beside_access(data, s->node, s->args);
}

static void beside_scalar(void *data, const Scalar **s)
{
    scalar_visit(*s, beside_load, data);
}

static void beside_stmt(void *data, Stmt *s)
{
    stmt_scalars(s, beside_scalar, data);
    if (s->kind == STMT_STORE) beside_access(data, s->target, s->subs);
}

static const char *beside_text(CKernel *k, const Stmt *s)
{
    Beside x = {.k = k, .g = s->gemm, .text = str_new(k->arena)};
    block_visit(&s->body, beside_stmt, &x);
    return x.buffers.len ? str_text(&x.text) : "NULL";
}

const char *c_after(CKernel *k, Stmt *s)
{
    const Gemm *g = s->gemm;
    Buffer *c = buffer_get(k->l, g->c);
    Buffers locals = locals_declared(k);
    Out body = out_new(k->arena);
    CKernel inner = part_kernel(k, &body);
    block_names(&inner, g);
    const char *block = c->block ? c_name(&inner, "block") : NULL;
    if (block) map_put(&inner.buffer_name, c, (void *)(uintptr_t)block);
    c_block(&inner, &s->body);
    c_scope_end(&inner, k->taken.len);

    CFunction part = part_parameters(k, &inner, s, &locals, c_outer_vars(s));
    k->n_tasks = inner.n_tasks;
    const char *number = k->n_tasks++ ? arena_printf(k->arena, "%d", k->n_tasks) : "";
    const char *name = arena_printf(k->arena, "%s_after%s", k->function->name, number);
    const char *task = arena_printf(k->arena, "%s_block%s", k->function->name, number);
    StrBuf head = str_new(k->arena);
    for (int i = 0; i < BLOCK_VARS; i++)
        str_printf(&head, "%slong %s", i ? ", " : "", inner.var_name[g->block + i]);
    if (block) str_printf(&head, ", const %s *restrict %s", c_type(k, c->type), block);
    print_part_text(k, name, &part, str_text(&head), &body);
    print_task(k->tasks, task, name, &part,
               "int64_t row, int64_t row_end, int64_t column, int64_t column_end, void *block",
               block ? "row, row_end, column, column_end, block"
                     : "row, row_end, column, column_end",
               block ? NULL : "block");
    needs_add(k, &inner, &part);
    const char *variable = print_arguments(k, name, &part, "after");
    return arena_printf(k->arena, "&(NndAfter){%s, &%s, %.2g, %lld, {%s}}", task, variable,
                        cost_after(k->l, s), (long long)g->step, beside_text(k, s));
}
