/* emit_c.c -- a program's entries as C: the struct of all data, kernels, entry functions. */
#include "emit_c.h"

#include "c_text.h"

#include <assert.h>

typedef struct Member {
    const void *key; /* Persistent, leaf Node, or Output of an entry */
    const char *name, *type;
    int64_t elements; /* 0: a pointer */
    int64_t bytes;    /* of the elements */
    const char *comment;
} Member;

struct CProgram {
    Program *program;
    const Options *options;
    Arena *arena;
    VEC(Lowered *) entries;
    VEC(Member) members;
    Map member_of; /* from a key to 1 + the number of its member */
    NameSet names; /* of the members */
    int64_t arena_size;
    CParts parts;
    Map kernels; /* from a kernel's text without names to the function that was printed for it */
};

const char *c_element_type(const Options *options, ElemType type)
{
    CKernel k = {.f64 = strcmp(options->real, "f64") == 0};
    return c_type(&k, type);
}

/* --- members of the struct
 * ------------------------------------------------------------------------ */

static const Member *member_find(const CProgram *c, const void *key)
{
    intptr_t place = (intptr_t)map_get(&c->member_of, key);
    return place ? &c->members.data[place - 1] : NULL;
}

/* "[784, 512]", "[batch <= 128, 10]", "" for a number. */
static const char *shape_text(CProgram *c, const Node *node)
{
    StrBuf s = str_new(c->arena);
    for (int k = 0; k < node->rank; k++)
        str_printf(&s, "%s%s%lld", k ? ", " : "[", node->shape[k].size ? "<= " : "",
                   (long long)node->shape[k].max);
    if (node->rank) str_add(&s, "]");
    return str_text(&s);
}

static void member_add(CProgram *c, const void *key, const char *wanted, const Node *node,
                       bool pointer)
{
    if (member_find(c, key)) return;
    int64_t n = node_max_elements(node);
    Member m = {.key = key,
                .name = names_fresh(&c->names, identifier_of(c->arena, wanted)),
                .type = c_element_type(c->options, node->type),
                .elements = pointer ? 0
                            : n > 0 ? n
                                    : 1,
                .comment = shape_text(c, node)};
    m.bytes = m.elements * type_bytes(node->type, c->options);
    vec_push(c->arena, &c->members, m);
    map_put(&c->member_of, key, (void *)(intptr_t)c->members.len);
}

static void members_of_entry(CProgram *c, const Lowered *l)
{
    const Entry *e = l->entry;
    for (int i = 0; i < l->buffers.len; i++)
        if (l->buffers.data[i]->kind == BUFFER_DATA && l->buffers.data[i]->node->leaf)
            member_add(c, l->buffers.data[i]->node, l->buffers.data[i]->node->name,
                       l->buffers.data[i]->node, true);
    for (int k = 0; k < e->outputs.len; k++)
        member_add(c, &e->outputs.data[k],
                   arena_printf(c->arena, "%s_%s", e->name, e->outputs.data[k].name),
                   e->outputs.data[k].node, false);
}

static void arena_measure(CProgram *c)
{
    c->arena_size = 0;
    for (int i = 0; i < c->entries.len; i++)
        if (c->entries.data[i]->arena_size > c->arena_size) c->arena_size = c->entries.data[i]->arena_size;
}

CProgram *c_program_new(Program *program, const Options *options, Entry *const *entries, int count)
{
    Arena *arena = graph_arena(program->graph);
    CProgram *c = NEW(arena, CProgram);
    c->program = program;
    c->options = options;
    c->arena = arena;
    c->kernels = map_new(arena);
    c->parts.functions = map_new(arena);
    c->parts.of_part = map_new(arena);
    c->parts.tiles = map_new(arena);
    c->member_of = map_new(arena);
    c->names = names_new(program->context, arena);
    static const char *const fixed[] = {"batch", "total", "offset", "step", "epoch",
                                        "seed",  "fault", "pool",   "arena"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        names_take(&c->names, fixed[i]);
    for (int i = 0; i < program->persistents.len; i++) {
        const Persistent *p = program->persistents.data[i];
        member_add(c, p, p->path, p->leaf, false);
    }
    for (int i = 0; i < count; i++) {
        if (!entries[i]) continue;
        Lowered *l = entry_compile(program, entries[i], options, 0);
        vec_push(arena, &c->entries, l);
        members_of_entry(c, l);
    }
    arena_measure(c);
    return c;
}

void c_program_fit(CProgram *c, int64_t most)
{
    for (int i = 0; i < c->entries.len; i++) {
        const Lowered *l = c->entries.data[i];
        if (l->arena_size > most) c->entries.data[i] = entry_compile(c->program, l->entry, c->options, most);
    }
    arena_measure(c);
}

int c_program_entries(const CProgram *c)
{
    return c->entries.len;
}

const Lowered *c_program_lowered(const CProgram *c, int number)
{
    return c->entries.data[number];
}

const Lowered *c_program_largest(const CProgram *c)
{
    const Lowered *largest = NULL;
    for (int i = 0; i < c->entries.len; i++)
        if (!largest || c->entries.data[i]->arena_size > largest->arena_size)
            largest = c->entries.data[i];
    return largest;
}

int64_t c_program_arrays(const CProgram *c)
{
    int64_t bytes = 0;
    for (int i = 0; i < c->members.len; i++)
        bytes += c->members.data[i].bytes;
    return bytes;
}

const char *c_persistent_name(CProgram *c, const Persistent *p)
{
    const Member *m = member_find(c, p);
    return m ? m->name : NULL;
}

const char *c_leaf_name(CProgram *c, const Node *leaf)
{
    const Member *m = member_find(c, leaf);
    return m ? m->name : NULL;
}

const char *c_output_name(CProgram *c, const Entry *entry, int output)
{
    const Member *m = member_find(c, &entry->outputs.data[output]);
    return m ? m->name : NULL;
}

/* --- the head
 * --------------------------------------------------------------------------------------- */

static void print_struct(Out *out, CProgram *c)
{
    out_comment(out,
                "All data: parameters and states, what the caller sets, results, work memory.");
    out_open(out, "struct Model {");
    for (int i = 0; i < c->members.len; i++) {
        const Member *m = &c->members.data[i];
        const char *comment = *m->comment ? arena_printf(c->arena, " /* %s */", m->comment) : "";
        if (m->elements == 0)
            out_line(out, "const %s *%s;%s", m->type, m->name, comment);
        else
            out_line(out, "_Alignas(64) %s %s[%lld];%s", m->type, m->name, (long long)m->elements,
                     comment);
    }
    out_line(out, "int32_t batch, total, offset, step, epoch;");
    out_line(out, "uint64_t seed;");
    out_line(out, "struct Fault fault;");
    out_line(out, "NndPool *pool; /* the threads */");
    out_line(out, "_Alignas(64) unsigned char arena[%lld]; /* vectors may read beyond */",
             (long long)(c->arena_size + 64));
    out_close(out, "};");
    out_blank(out);
}

/* ISA: what the machine that runs the program must have. Whoever compiles for another one than
 * nndc would is told, or, where nothing was asked for, gets what is made of the vectors. */
static void print_isa(Out *out, const Options *options)
{
    NndIsa isa = options_isa(options);
    const NndIsaInfo *info = nnd_isa_info(isa);
    if (isa == NND_ISA_NATIVE && *info->macro) {
        out_directive(out, "#ifdef %s", info->macro);
        out_directive(out, "#define ISA NND_ISA_%s", info->name);
        out_directive(out, "#else");
        out_directive(out, "#define ISA NND_ISA_NATIVE");
        out_directive(out, "#endif");
    } else {
        if (*info->macro) {
            out_directive(out, "#ifndef %s", info->macro);
            out_directive(out, "#error \"written for %s: a C compiler for it is wanted%s%s\"",
                          info->name, *info->flags ? ", with " : "", info->flags);
            out_directive(out, "#endif");
        }
        out_directive(out, "#define ISA NND_ISA_%s", info->name);
    }
    out_blank(out);
}

void c_program_head(Out *out, CProgram *c)
{
    static const char *const lines[] = {
        "#ifdef __clang__ /* a loop that may be vector code, but is not, is no mistake */",
        "#pragma clang diagnostic ignored \"-Wpass-failed\"",
        "#elif defined(__GNUC__) /* loop by loop, or register tiles are spilled for what is "
        "outside */",
        "#pragma GCC optimize(\"ira-region=all\")",
        "#endif",
        "",
        "#include \"nnd_rt.h\"",
        "#include \"scalar.h\"",
        "#include \"simd.h\"",
        "",
        "/* Iterations that are independent of each other (-fopenmp-simd). */",
        "#define SIMD _Pragma(\"omp simd\")",
        "#if defined(__GNUC__) && !defined(__clang__)",
        "#pragma GCC diagnostic ignored \"-Wunknown-pragmas\"",
        "#endif",
        "",
        "/* A part of a kernel or of a loop that threads divide among them (nnd_parallel). */",
        "#define PART __attribute__((noinline, unused))",
        "",
        "/* A list of calls gains nothing from an optimiser, which takes long where it is. */",
        "#ifdef __clang__",
        "#define CALLS __attribute__((optnone, noinline))",
        "#elif defined(__GNUC__)",
        "#define CALLS __attribute__((optimize(\"O0\")))",
        "#else",
        "#define CALLS",
        "#endif",
        "",
        "/* The first subscript that left its tensor, or size that does not fit: where it stands in the source. */",
        "struct Fault {",
        "    const char *place;",
        "    long value, bound;",
        "    enum { A_SUBSCRIPT, A_SIZE, A_DIVISOR } what;",
        "    int is_set;",
        "};",
        "",
        "/* Several threads may do so at once. */",
        "static inline __attribute__((unused)) void fault_set(struct Fault *fault, struct Fault "
        "found)",
        "{",
        "    if (!__atomic_exchange_n(&fault->is_set, 1, __ATOMIC_RELAXED)) *fault = found;",
        "}",
        "",
        "static inline __attribute__((unused)) long checked(long value, long bound, const char "
        "*place,",
        "                                                   struct Fault *fault)",
        "{",
        "    if (value >= 0 && value < bound) return value;",
        "    fault_set(fault, (struct Fault){place, value, bound, A_SUBSCRIPT, 1});",
        "    return 0;",
        "}",
        "",
        "static inline __attribute__((unused)) long sized(long value, long bound, const char "
        "*place,",
        "                                                 struct Fault *fault)",
        "{",
        "    if (value >= 0 && value <= bound) return value;",
        "    fault_set(fault, (struct Fault){place, value, bound, A_SIZE, 1});",
        "    return 0;",
        "}",
        "",
        "static inline __attribute__((unused)) int32_t divisor(int32_t value, const char *place,",
        "                                                      struct Fault *fault)",
        "{",
        "    if (value == 0) fault_set(fault, (struct Fault){place, 0, 0, A_DIVISOR, 1});",
        "    return value;",
        "}",
        "",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        out_directive(out, "%s", lines[i]);
    bool f64 = strcmp(c->options->real, "f64") == 0;
    out_directive(out, "#include \"vmath%s.h\"", f64 ? "_f64" : "");
    out_blank(out);
    print_isa(out, c->options);
    print_struct(out, c);
}

/* --- constants
 * ------------------------------------------------------------------------------------------ */

static void print_table(Out *out, CProgram *c, const Buffer *b)
{
    bool f64 = strcmp(c->options->real, "f64") == 0;
    StrBuf s = str_new(c->arena);
    int64_t n = node_max_elements(b->node);
    for (int64_t i = 0; i < n; i++) {
        double v = b->node->leaf->values[i];
        const char *comma = i ? ", " : "";
        if (b->type != TYPE_REAL)
            str_printf(&s, "%s%lld", comma, (long long)v);
        else if (v != v)
            str_printf(&s, "%sNAN", comma);
        else if (v - v != 0)
            str_printf(&s, "%s%sINFINITY", comma, v < 0 ? "-" : "");
        else if (f64)
            str_printf(&s, "%s%.17g", comma, v);
        else {
            const char *digits = arena_printf(c->arena, "%.9g", (double)(float)v);
            str_printf(&s, "%s%s%sf", comma, digits, strpbrk(digits, ".e") ? "" : ".0");
        }
    }
    out_line(out, "static const %s %s[%lld] = {%s};", c_element_type(c->options, b->type), b->name,
             (long long)b->elements, n ? str_text(&s) : "0");
    out_blank(out);
}

/* --- entries
 * -------------------------------------------------------------------------------------------- */

enum { LONG_FORMULA = 400 };

/* "h[i, j] = max(b[j] + y[i, j], 0.0)  layers.nnd:18": what a kernel computes, and for which line.
 */
static const char *formula(CProgram *c, const Lowered *l, const Node *node, const Map *names)
{
    StrBuf s = str_new(c->arena);
    formula_print(&s, l->g, node, names);
    if (s.len > LONG_FORMULA) {
        s = str_new(c->arena);
        const char *name = map_get(names, node);
        str_printf(&s, "%s%s", name ? name : "", shape_text(c, node));
    }
    if (node->span.line) str_printf(&s, "  %s", span_place(c->program->context, node->span));
    return str_text(&s);
}

/* What the tensors of an entry are called in its code. */
static Map tensor_names(CProgram *c, const Lowered *l)
{
    Map names = map_new(c->arena);
    for (int i = 0; i < l->buffers.len; i++)
        if (l->buffers.data[i]->node && !l->buffers.data[i]->into)
            map_put(&names, l->buffers.data[i]->node, (void *)(uintptr_t)l->buffers.data[i]->name);
    Nodes nodes = graph_reach(c->arena, l->roots, l->n_roots);
    for (int i = 0; i < nodes.len; i++) { /* views have the name of what they view */
        const Buffer *b = buffer_get(l, nodes.data[i]);
        if (b && !map_get(&names, nodes.data[i]))
            map_put(&names, nodes.data[i], (void *)(uintptr_t)b->name);
    }
    return names;
}

/* What an entry's function calls the struct: `m`, unless a tensor is called so. */
static const char *struct_name(CProgram *c, const Lowered *l)
{
    const char *name = "m";
    for (int i = 0; i < l->buffers.len; i++)
        if (!strcmp(l->buffers.data[i]->name, name)) {
            name = arena_printf(c->arena, "%s_", name);
            i = -1;
        }
    return name;
}

typedef struct EntryText {
    CProgram *c;
    Lowered *l;
    const char *self; /* the struct */
} EntryText;

/* What an entry's function calls a buffer. */
static const char *entry_buffer(void *data, const Buffer *b)
{
    const EntryText *t = data;
    CProgram *c = t->c;
    const void *key = b->node;
    switch (b->kind) {
    case BUFFER_RUN: return arena_printf(c->arena, "%s->%s", t->self, b->name);
    case BUFFER_TIME:
    case BUFFER_CONST:
    case BUFFER_ARENA: return b->name;
    case BUFFER_PERSIST: key = b->node->leaf->persistent; break;
    case BUFFER_OUTPUT: key = &t->l->entry->outputs.data[b->output]; break;
    case BUFFER_DATA:
    case BUFFER_LOCAL: break;
    }
    const Member *m = member_find(c, key);
    assert(m);
    return arena_printf(c->arena, "%s->%s", t->self, m->name);
}

static const char *argument(EntryText *t, const CParameter *p)
{
    if (p->buffer) return entry_buffer(t, p->buffer);
    if (p->site) /* a number of its own for each call */
        return arena_printf(t->c->arena, "UINT64_C(0x%016llx)", (unsigned long long)p->site->site);
    return arena_printf(t->c->arena, "%s%s->%s", strcmp(p->name, "fault") ? "" : "&", t->self,
                        p->name);
}

/* The memory plan, as pointers into the arena. */
static void print_plan(Out *out, const EntryText *t)
{
    CProgram *c = t->c;
    const Lowered *l = t->l;
    for (int i = 0; i < l->buffers.len; i++) {
        const Buffer *b = l->buffers.data[i];
        if (b->kind != BUFFER_ARENA || b->offset < 0) continue;
        const char *type = c_element_type(c->options, b->type);
        out_line(out, "%s *const %s = (%s *)(void *)(%s->arena + %lld); /* %s */", type, b->name,
                 type, t->self, (long long)b->offset, shape_text(c, b->node));
    }
}

/* The function of a kernel: an equal one's, of another layer or entry, or a new one. */
static CFunction *entry_kernel(Out *out, EntryText *t, int number, const Map *names)
{
    CProgram *c = t->c;
    const Kernel *k = t->l->kernels.data[number];
    const char *key;
    c->parts.out = out;
    CFunction *shared = c_kernel_key(&c->parts, t->l, k, &key);
    const CFunction *known = map_get(&c->kernels, name_of(c->program->context, key));
    if (known) {
        shared->name = known->name;
        return shared;
    }
    const char *last = "";
    for (int n = 0; n < k->nodes.len; n++) {
        const char *text = formula(c, t->l, k->nodes.data[n], names);
        if (strcmp(text, last) != 0) out_comment(out, text);
        last = text;
    }
    const char *name = arena_printf(c->arena, "%s_%d_%s", t->l->entry->name, number + 1, k->name);
    CFunction *f = c_kernel(out, &c->parts, t->l, k, name);
    map_put(&c->kernels, name_of(c->program->context, key), f);
    out_blank(out);
    return f;
}

/* Whether a kernel checks subscripts that are read from data. */
static bool function_checks(const CFunction *f)
{
    for (int i = 0; i < f->parameters.len; i++)
        if (!f->parameters.data[i].buffer && !strcmp(f->parameters.data[i].name, "fault"))
            return true;
    return false;
}

static void print_call(Out *out, EntryText *t, const CFunction *f)
{
    StrBuf args = str_new(t->c->arena);
    for (int p = 0; p < f->parameters.len; p++)
        str_printf(&args, "%s%s", p ? ", " : "", argument(t, &f->parameters.data[p]));
    out_line(out, "%s(%s);", f->name, str_text(&args));
    /* What was computed for a subscript outside must not reach parameters. */
    if (function_checks(f)) out_line(out, "if (%s->fault.place) return;", t->self);
}

/* The condition under which the kernels at hand run, at each depth of loops. */
typedef VEC(const When *) Conditions;

/* Closes the condition of the kernels before, and opens this one. */
static void print_condition(Out *out, EntryText *t, Conditions *open, const When *when)
{
    const When **now = &open->data[open->len - 1];
    if (*now == when) return;
    if ((*now)->nodes.len) out_close(out, "}");
    if (when->nodes.len) out_open(out, "if (%s) {", c_outer_condition(t->l, when, entry_buffer, t));
    *now = when;
}

/* The head or the end of a loop around kernels. */
static void print_mark(Out *out, EntryText *t, const Kernel *k)
{
    if (k->kind == KERNEL_END) {
        out_close(out, "}");
        return;
    }
    const char *time = buffer_get(t->l, graph_time(t->l->g, k->loop))->name;
    const char *extent = c_outer_extent(out, t->l, k->loop->extent, entry_buffer, t);
    if (k->loop->reversed)
        out_open(out, "for (int32_t %s = %s; %s-- > 0;) {", time, extent, time);
    else
        out_open(out, "for (int32_t %s = 0; %s < %s; %s++) {", time, time, extent, time);
}

void c_program_entry(Out *out, CProgram *c, const Entry *entry)
{
    Lowered *l = NULL;
    for (int i = 0; i < c->entries.len; i++)
        if (c->entries.data[i]->entry == entry) l = c->entries.data[i];
    assert(l);
    for (int i = 0; i < l->buffers.len; i++)
        if (l->buffers.data[i]->kind == BUFFER_CONST) print_table(out, c, l->buffers.data[i]);
    EntryText t = {c, l, struct_name(c, l)};
    VEC(CFunction *) functions = {0}; /* of a mark: NULL */
    Map names = tensor_names(c, l);
    for (int i = 0; i < l->kernels.len; i++) {
        bool work = l->kernels.data[i]->kind == KERNEL_WORK;
        vec_push(c->arena, &functions, work ? entry_kernel(out, &t, i, &names) : NULL);
    }
    out_line(out, "static CALLS void %s(struct Model *%s)", entry->name, t.self);
    out_open(out, "{");
    print_plan(out, &t);
    if (functions.len == 0) out_line(out, "(void)%s;", t.self);
    const When *always = when_always(l->demand);
    Conditions open = {0};
    vec_push(c->arena, &open, always);
    for (int i = 0; i < functions.len; i++) {
        const Kernel *k = l->kernels.data[i];
        if (k->kind == KERNEL_END) {
            print_condition(out, &t, &open, always);
            open.len--;
        }
        print_condition(out, &t, &open, k->when);
        if (functions.data[i])
            print_call(out, &t, functions.data[i]);
        else
            print_mark(out, &t, k);
        if (k->kind == KERNEL_BEGIN) vec_push(c->arena, &open, always);
    }
    print_condition(out, &t, &open, always);
    out_close(out, "}");
    out_blank(out);
}
