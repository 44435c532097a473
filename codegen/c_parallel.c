/* c_parallel.c -- a loop that is divided among threads (rt/pool.c), as a function of its own.
 *
 * A loop of the kernel NAME becomes NAME_part, which does a range of its iterations; a struct of
 * what that needs of the kernel: tensors, numbers, local variables from before the loop; NAME_task,
 * which takes them out of the struct; and in the kernel a call of nnd_parallel. Arguments are
 * parameters again, since compilers believe `restrict` there only. What is the same in all
 * iterations is computed by every part for itself. */
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

/* What the part needs, as its parameters. */
static CFunction part_parameters(CKernel *k, const CKernel *inner, const Stmt *s,
                                 const Buffers *locals)
{
    CFunction f = {0};
    Uses uses = stmt_uses(k->l, (Stmt *)(uintptr_t)s);
    for (int i = 0; i < k->function->parameters.len; i++) {
        CParameter p = k->function->parameters.data[i];
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
    k->uses_pool = true;
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

static void print_task(Out *out, const char *task, const char *name, const CFunction *part)
{
    StrBuf arguments = str_new(out->arena);
    for (int i = 0; i < part->parameters.len; i++)
        str_printf(&arguments, ", part->%s", part->parameters.data[i].name);
    out_line(out, "static CALLS void %s(const void *data, int64_t begin, int64_t end)", task);
    out_open(out, "{");
    out_line(out, "const struct %s *part = data;", name);
    out_line(out, "%s(begin, end%s);", name, str_text(&arguments));
    out_close(out, "}");
    out_blank(out);
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
    body.indent = 1;
    CKernel inner = *k;
    inner.out = &body;
    inner.divided = true;
    inner.named.len = inner.named.cap = inner.sites.len = inner.sites.cap = 0;
    inner.named.data = NULL;
    inner.sites.data = NULL;
    inner.named_at = map_new(k->arena);
    inner.buffer_used = map_new(k->arena);
    inner.uses_seed = inner.uses_fault = inner.uses_pool = false;
    c_loop(&inner, s, c_name(&inner, "begin"), c_name(&inner, "end"));
    c_scope_end(&inner, k->taken.len);

    CFunction part = part_parameters(k, &inner, s, &locals);
    const char *number = k->n_tasks++ ? arena_printf(k->arena, "%d", k->n_tasks) : "";
    const char *name = arena_printf(k->arena, "%s_part%s", k->function->name, number);
    const char *task = arena_printf(k->arena, "%s_task%s", k->function->name, number);
    print_struct(&k->tasks, name, &part);
    out_line(&k->tasks, "static PART void %s(long begin, long end, %s)", name,
             c_parameters_text(k, &part));
    out_line(&k->tasks, "{");
    str_add(&k->tasks.text, str_text(&body.text));
    out_line(&k->tasks, "}");
    out_blank(&k->tasks);
    print_task(&k->tasks, task, name, &part);

    needs_add(k, &inner, &part);
    StrBuf values = str_new(k->arena);
    for (int i = 0; i < part.parameters.len; i++)
        str_printf(&values, "%s%s", i ? ", " : "", argument_name(k, &part.parameters.data[i]));
    const char *variable = c_name(k, "part");
    out_line(k->out, "const struct %s %s = {%s};", name, variable, str_text(&values));
    out_line(k->out, "nnd_parallel(pool, %s, &%s, %s, %s);", task, variable, extent, cost);
}
