/* library.c -- a program as a C library: a header of documented, typed functions, and a source that
 * holds the program's code and tables, the part of the runtime that drives them (rt/nnd_host.h),
 * and those functions, each a call of the runtime with its arguments in arrays.
 *
 * Whatever the program is, the functions are: create, free, error, save, load, get, set, path,
 * shape; TRAIN_step, TRAIN_steps, TRAIN_fit, TRAIN_report for each train block; MODEL for each
 * model. All other names in the source are static. */
#include "library.h"
#include "amalgamate.h"
#include "describe.h"
#include "nnd_host.h"
#include "out.h"
#include "trainer.h"

#include <ctype.h>

typedef struct Library {
    Program *program;
    const NndProgram *described;
    Arena *arena;
    const char *name, *upper; /* dqn, DQN */
    const char *real;         /* float or double */
    Out header, source;
    Map functions; /* names that are taken: to what has them */
} Library;

/* --- names and types ----------------------------------------------------------------------------
 */

/* Net[2] as Net_2. */
static const char *identifier(Arena *arena, const char *name)
{
    char *text = arena_strdup(arena, name);
    size_t n = strlen(text);
    if (n && text[n - 1] == ']') text[n - 1] = '\0';
    for (char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
    return text;
}

static bool is_identifier(const char *name)
{
    if (!isalpha((unsigned char)*name)) return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_') return false;
    return true;
}

static const char *type_text(const Library *l, NndType type)
{
    switch (type) {
    case NND_REAL:
    case NND_F64: return l->real;
    case NND_INT: return "int32_t";
    case NND_BOOL:
    case NND_U8: return "uint8_t";
    }
    return "";
}

/* "float[n][28][28]", "int32_t[n]", "one float". */
static const char *shape_text(Library *l, const NndPort *port)
{
    StrBuf s = str_new(l->arena);
    str_printf(&s, "%s%s%s", port->batched || port->rank ? "" : "one ", type_text(l, port->type),
               port->batched ? "[n]" : "");
    for (int k = 0; k < port->rank; k++)
        str_printf(&s, "[%lld]", (long long)port->shape[k]);
    if (port->type == NND_BOOL) str_add(&s, ", 0 or 1");
    return str_text(&s);
}

/* "int32_t[n], from 0 to 6: how much of [6] is filled in x, tag": sizes of a bounded axis. */
static const char *sizes_text(Library *l, const NndPort *port, int64_t most, const char *owners)
{
    return arena_printf(l->arena, "%s, from 0 to %lld: how much of [%lld] is filled in %s", shape_text(l, port),
                        (long long)most, (long long)most, owners);
}

/* --- a function ----------------------------------------------------------------------------------
 */

typedef struct Parameter {
    const char *name, *type, *doc; /* type with its star; doc NULL: said elsewhere */
} Parameter;

typedef struct Function {
    const char *name; /* dqn_dqn_step */
    const char *returns;
    VEC(Parameter) parameters;
} Function;

/* Words of C and C++, and of our own signatures, that no parameter may be called. */
static bool word_taken(const char *word)
{
    static const char *const words =
        " ctx n seed message size path values count shape alignas alignof and and_eq asm auto "
        "bitand "
        "bitor bool break case catch char class compl concept const constexpr const_cast continue "
        "co_await co_return co_yield decltype default delete do double dynamic_cast else enum "
        "explicit "
        "export extern false float for friend goto if inline int int32_t int64_t long mutable "
        "namespace "
        "new noexcept not not_eq nullptr operator or or_eq private protected public register "
        "reinterpret_cast requires restrict return short signed sizeof size_t static static_assert "
        "static_cast struct switch template this thread_local throw true try typedef typeid "
        "typename "
        "typeof uint64_t uint8_t union unsigned using virtual void volatile wchar_t while xor "
        "xor_eq "
        "linux unix NULL fields results EOF errno stdin stdout stderr ";
    size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at++)
        if (at[-1] == ' ' && at[n] == ' ') return true;
    return false;
}

static void parameter_add(Library *l, Function *f, const char *wanted, const char *type,
                          const char *doc)
{
    const char *name = identifier(l->arena, wanted);
    bool taken = doc && word_taken(name);
    for (int i = 0; !taken && i < f->parameters.len; i++)
        taken = !strcmp(f->parameters.data[i].name, name);
    if (taken) {
        parameter_add(l, f, arena_printf(l->arena, "%s_", name), type, doc);
        return;
    }
    vec_push(l->arena, &f->parameters, ((Parameter){name, type, doc}));
}

static Function function_new(Library *l, const char *name, const char *verb)
{
    Function f = {.returns = "int"};
    f.name = arena_printf(l->arena, "%s_%s%s%s", l->name, identifier(l->arena, name),
                          *verb ? "_" : "", verb);
    parameter_add(l, &f, "ctx", arena_printf(l->arena, "%s_ctx *", l->name), NULL);
    return f;
}

/* A name for each function, or an error at the place of what cannot have its own. */
static void function_name_take(Library *l, const char *name, const char *what, Span span)
{
    Name key = name_of(l->program->context, name);
    const char *other = map_get(&l->functions, key);
    if (other) {
        diag_error(l->program->context, span,
                   "%s would be the function %s of the library, as is %s", what, name, other);
        diag_hint(l->program->context, "rename it, or give the library another name with -o");
    }
    map_put(&l->functions, key, (void *)(uintptr_t)what);
}

static const char *parameter_text(Library *l, const Parameter *p)
{
    size_t n = strlen(p->type);
    return arena_printf(l->arena, "%s%s%s", p->type, p->type[n - 1] == '*' ? "" : " ", p->name);
}

static const char *signature(Library *l, const Function *f)
{
    StrBuf s = str_new(l->arena);
    size_t n = strlen(f->returns);
    str_printf(&s, "%s%s%s(", f->returns, f->returns[n - 1] == '*' ? "" : " ", f->name);
    for (int i = 0; i < f->parameters.len; i++)
        str_printf(&s, "%s%s", i ? ", " : "", parameter_text(l, &f->parameters.data[i]));
    str_add(&s, ")");
    return str_text(&s);
}

/* The declaration with its comment; a parameter that has one stands on a line of its own. */
static void declare(Library *l, const Function *f, const char *doc)
{
    int documented = 0, width = 0;
    Function plain = *f;
    for (int i = 0; i < f->parameters.len; i++) {
        int n = (int)strlen(parameter_text(l, &f->parameters.data[i])) + 1;
        if (!f->parameters.data[i].doc) continue;
        if (!documented++) plain.parameters.len = i;
        if (n > width) width = n;
    }
    out_comment(&l->header, doc);
    const char *head = signature(l, &plain);
    if (!documented) {
        out_line(&l->header, "%s;", head);
    } else {
        out_line(&l->header, "%.*s,", (int)strlen(head) - 1, head);
        for (int i = plain.parameters.len; i < f->parameters.len; i++) {
            const Parameter *p = &f->parameters.data[i];
            bool last = i + 1 == f->parameters.len;
            const char *text =
                arena_printf(l->arena, "%s%s", parameter_text(l, p), last ? ");" : ",");
            out_directive(&l->header, "    %-*s /* %s */", width + 1, text, p->doc);
        }
    }
    out_blank(&l->header);
}

/* --- the functions that every library has --- */

typedef struct Common {
    const char *returns, *name,
        *parameters; /* $ stands for the library's name, REAL for its type */
    const char *body;
    const char *doc;
} Common;

static const Common common[] = {
    {"$_ctx *", "create", "uint64_t seed, int threads, char *message, size_t size",
     "return ($_ctx *)nnd_host_create(&program, seed, threads, message, size);",
     "A new context, whose parameters have their initial values, drawn with the seed. threads: of "
     "every "
     "later call; 0 for NND_THREADS of the environment or as many as there are cores. NULL if there is no memory; then a text of at "
     "most "
     "size - 1 characters is in message, unless that is NULL."},
    {"void", "free", "$_ctx *ctx", "nnd_host_free((NndHost *)ctx);",
     "Frees a context, or nothing if it is NULL."},
    {"const char *", "error", "const $_ctx *ctx", "return nnd_host_error((const NndHost *)ctx);",
     "Why the last call with this context failed, one line; \"\" if it did not. Valid until the "
     "next call."},
    {"int", "save", "$_ctx *ctx, const char *path", "return nnd_host_save((NndHost *)ctx, path);",
     "Writes everything that the context holds to a safetensors file: parameters, states, the "
     "states of "
     "optimisers, the numbers of steps and the seed. The file is written whole or not at all."},
    {"int", "load", "$_ctx *ctx, const char *path", "return nnd_host_load((NndHost *)ctx, path);",
     "Takes over a file by $_save, or a checkpoint of this program by `nndc train`: what follows "
     "is as if "
     "the context had made those steps. A file of another program is refused, and nothing is "
     "changed."},
    {"const char *", "path", "const $_ctx *ctx, int i",
     "return nnd_host_path((const NndHost *)ctx, i);",
     "The name of the i-th tensor (from 0) of those that are saved, as in \"Net.dense1.w\"; NULL "
     "behind "
     "the last."},
    {"int", "shape", "const $_ctx *ctx, const char *path, int64_t shape[8]",
     "return nnd_host_shape((const NndHost *)ctx, path, shape);",
     "The number of axes of a tensor, and their extents (shape may be NULL); -1 if there is no "
     "such tensor."},
    {"int", "get", "$_ctx *ctx, const char *path, REAL *values, int64_t count",
     "return nnd_host_get((NndHost *)ctx, path, values, count);",
     "Copies the elements of a tensor, row by row; count must be their number."},
    {"int", "set", "$_ctx *ctx, const char *path, const REAL *values, int64_t count",
     "return nnd_host_set((NndHost *)ctx, path, values, count);",
     "Sets the elements of a tensor; count must be their number. Tensors of ints take whole "
     "numbers only."},
};
enum { COMMON = sizeof common / sizeof *common };

static const char *filled_in(Library *l, const char *text)
{
    StrBuf s = str_new(l->arena);
    for (const char *c = text; *c; c++) {
        bool real = !strncmp(c, "REAL", 4);
        if (real)
            str_add(&s, l->real);
        else if (*c == '$')
            str_add(&s, l->name);
        else
            str_add_n(&s, c, 1);
        if (real) c += 3;
    }
    return str_text(&s);
}

static void common_print(Library *l)
{
    for (int i = 0; i < COMMON; i++) {
        const Common *c = &common[i];
        const char *returns = filled_in(l, c->returns);
        const char *text = arena_printf(l->arena, "%s%s%s_%s(%s)", returns,
                                        returns[strlen(returns) - 1] == '*' ? "" : " ", l->name,
                                        c->name, filled_in(l, c->parameters));
        out_comment(&l->header, filled_in(l, c->doc));
        out_line(&l->header, "%s;", text);
        out_blank(&l->header);
        out_line(&l->source, "%s", text);
        out_open(&l->source, "{");
        out_line(&l->source, "%s", filled_in(l, c->body));
        out_close(&l->source, "}");
        out_blank(&l->source);
    }
}

/* --- train blocks --- */

/* What a field holds; of sizes also whose they are. */
static const char *field_text(Library *l, const NndDataInfo *data, int number)
{
    const NndFieldInfo *field = &data->fields[number];
    NndPort port = {.type = field->type, .batched = true, .rank = field->rank};
    memcpy(port.shape, field->shape, sizeof port.shape);
    StrBuf owners = str_new(l->arena);
    int64_t most = 0;
    for (int i = 0; i < data->field_count; i++)
        for (int k = 0; k < data->fields[i].rank; k++) {
            if (data->fields[i].sizes[k] != number + 1) continue;
            str_printf(&owners, "%s%s", most ? ", " : "", data->fields[i].name);
            most = data->fields[i].shape[k];
        }
    return most ? sizes_text(l, &port, most, str_text(&owners)) : shape_text(l, &port);
}

/* Parameters for the fields of a block's data sets: n, then each; names that clash are x_y. */
static int fields_add(Library *l, Function *f, const NndTrainInfo *train)
{
    int count = 0;
    if (!train->set_count) return 0;
    parameter_add(l, f, "n", "int64_t", NULL);
    for (int s = 0; s < train->set_count; s++) {
        const NndDataInfo *data = &l->described->data[train->sets[s]];
        for (int i = 0; i < data->field_count; i++, count++) {
            const NndFieldInfo *field = &data->fields[i];
            const char *name = field->name;
            for (int o = 0; o < train->set_count; o++)
                for (int k = 0; o != s && k < l->described->data[train->sets[o]].field_count; k++)
                    if (!strcmp(l->described->data[train->sets[o]].fields[k].name, field->name))
                        name = arena_printf(l->arena, "%s_%s", data->name, field->name);
            parameter_add(l, f, name,
                          arena_printf(l->arena, "const %s *", type_text(l, field->type)),
                          field_text(l, data, i));
        }
    }
    return count;
}

/* "    const void *const fields[] = {s, action};" of the `count` parameters from `first` on; what is
 * there beyond them, up to `room`, nobody wants. */
static const char *array_print(Library *l, const Function *f, const char *type, const char *name,
                               int first, int count, int room)
{
    if (!room) return "NULL";
    StrBuf s = str_new(l->arena);
    for (int i = 0; i < room; i++)
        str_printf(&s, "%s%s", i ? ", " : "",
                   i < count ? f->parameters.data[first + i].name : "NULL");
    out_line(&l->source, "%s *const %s[] = {%s};", type, name, str_text(&s));
    return name;
}

/* How a block's fields and results are called in its body: n, fields, and the rest. */
static void train_function(Library *l, const NndTrainInfo *train, int number, const char *verb,
                           const Function *f, int fields, int results)
{
    int n = train->set_count > 0;
    out_line(&l->source, "%s", signature(l, f));
    out_open(&l->source, "{");
    bool fit = !strcmp(verb, "fit");
    const NndEntry *entry = !strcmp(verb, "step") ? train->step
                            : fit                 ? NULL
                                                  : train->report->finish;
    const char *values = array_print(l, f, "const void", "fields", 1 + n, fields, fields);
    const char *to = array_print(l, f, "void", "results", 1 + n + fields, results,
                                 entry ? entry->output_count : 0);
    out_line(&l->source, "return nnd_host_%s((NndHost *)ctx, %d, %s, %s%s%s);", verb, number,
             n ? "n" : "0", values, fit ? "" : ", ", fit ? "" : to);
    out_close(&l->source, "}");
    out_blank(&l->source);
}

static void step_print(Library *l, const NndTrainInfo *train, int number)
{
    Function f = function_new(l, train->name, "step");
    int fields = fields_add(l, &f, train);
    for (int i = 0; i < train->loss_count; i++)
        parameter_add(l, &f,
                      train->loss_count == 1 ? "loss" : arena_printf(l->arena, "loss%d", i + 1),
                      arena_printf(l->arena, "%s *", l->real),
                      arena_printf(l->arena, "the loss before the step, of %s; may be NULL",
                                   train->losses[i]));
    declare(l, &f,
            arena_printf(l->arena,
                         train->set_count
                             ? "One step of the train block %s (%s) on n examples, 1 <= n <= %lld:"
                             : "One step of the train block %s (%s):",
                         train->name, train->place, (long long)train->batch));
    train_function(l, train, number, "step", &f, fields, train->loss_count);
    Function steps = function_new(l, train->name, "steps");
    steps.returns = "int64_t";
    steps.parameters.data[0].type = arena_printf(l->arena, "const %s_ctx *", l->name);
    declare(l, &steps, "How many of them have been made.");
    out_line(&l->source, "%s", signature(l, &steps));
    out_open(&l->source, "{");
    out_line(&l->source, "return nnd_host_steps((const NndHost *)ctx, %d);", number);
    out_close(&l->source, "}");
    out_blank(&l->source);
}

static void fit_print(Library *l, const NndTrainInfo *train, int number)
{
    if (!train->fit_count) return;
    Function f = function_new(l, train->name, "fit");
    int fields = fields_add(l, &f, train);
    declare(l, &f,
            arena_printf(l->arena,
                         "Fits what the models of %s compute from all n training examples (input "
                         "normalisation). To be called once before the first step, unless a "
                         "checkpoint is loaded:",
                         train->name));
    train_function(l, train, number, "fit", &f, fields, 0);
}

static void report_print(Library *l, const NndTrainInfo *train, int number)
{
    if (!train->report || !train->report_count) return;
    Function f = function_new(l, train->name, "report");
    int fields = fields_add(l, &f, train);
    const NndEntry *finish = train->report->finish;
    for (int i = 0; i < train->report_count; i++)
        parameter_add(l, &f, finish->outputs[i].name,
                      arena_printf(l->arena, "%s *", type_text(l, finish->outputs[i].type)),
                      arena_printf(l->arena, "%s, or NULL", shape_text(l, &finish->outputs[i])));
    declare(
        l, &f,
        arena_printf(l->arena, "The reports of the train block %s over n examples:", train->name));
    train_function(l, train, number, "report", &f, fields, train->report_count);
}

/* --- models --- */

static void draw_seen(void *data, const Scalar *s)
{
    if (s->kind == SCALAR_DRAW) *(bool *)data = true;
}

/* Whether an entry draws random numbers. */
static bool entry_draws(Library *l, const Entry *entry)
{
    Nodes roots = {0};
    bool draws = false;
    for (int i = 0; i < entry->outputs.len; i++)
        vec_push(l->arena, &roots, entry->outputs.data[i].node);
    Nodes reach = graph_reach(l->arena, roots.data, roots.len);
    for (int i = 0; i < reach.len; i++) {
        if (reach.data[i]->body) scalar_visit(reach.data[i]->body, draw_seen, &draws);
        if (reach.data[i]->guard) scalar_visit(reach.data[i]->guard, draw_seen, &draws);
    }
    return draws;
}

static void model_print(Library *l, const NndModelInfo *model, int number)
{
    const NndEntry *entry = model->entry;
    bool draws = entry_draws(l, entry->data);
    Function f = function_new(l, model->name, "");
    if (draws) parameter_add(l, &f, "seed", "uint64_t", NULL);
    if (entry->batch) parameter_add(l, &f, "n", "int64_t", NULL);
    int first = f.parameters.len;
    for (int i = 0; i < entry->input_count; i++) {
        const NndPort *port = &entry->inputs[i];
        parameter_add(l, &f, port->name, arena_printf(l->arena, "const %s *", type_text(l, port->type)),
                      port->most ? sizes_text(l, port, port->most, entry->inputs[port->sizes_of].name)
                                 : shape_text(l, port));
    }
    for (int i = 0; i < entry->output_count; i++)
        parameter_add(l, &f, entry->outputs[i].name,
                      arena_printf(l->arena, "%s *", type_text(l, entry->outputs[i].type)),
                      arena_printf(l->arena, "%s, written", shape_text(l, &entry->outputs[i])));
    declare(l, &f,
            arena_printf(l->arena, "The model %s%s%s, with its present parameters:", model->name,
                         entry->batch ? " for any number n of examples" : "",
                         draws ? "; it draws random numbers, with the seed" : ""));
    out_line(&l->source, "%s", signature(l, &f));
    out_open(&l->source, "{");
    const char *inputs = array_print(l, &f, "const void", "inputs", first, entry->input_count,
                                     entry->input_count);
    const char *outputs =
        array_print(l, &f, "void", "outputs", first + entry->input_count, entry->output_count,
                    entry->output_count);
    out_line(&l->source, "return nnd_host_model((NndHost *)ctx, %d, %s, %s, %s, %s);", number,
             draws ? "seed" : "0", entry->batch ? "n" : "1", inputs, outputs);
    out_close(&l->source, "}");
    out_blank(&l->source);
}

/* --- the files --- */

static void header_begin(Library *l)
{
    static const char *const lines[] = {
        " * A context ($_ctx) holds the parameters, states and optimisers of the program. Examples "
        "and",
        " * results are the caller's arrays, row by row: float[n][4] is n rows of four numbers.",
        " * Where rows have sizes of their own, the array has room for the largest, and nothing behind a "
        "row's",
        " * size is read; a size that is too large is U_RANGE, and nothing is done then.",
        " *",
        " * Functions that return int give U_OK, which is 0, or another code; $_error(ctx) says "
        "then what",
        " * was wrong, with the argument, or the line of the program. A step that ends with "
        "U_RANGE was",
        " * given up where the subscript was met, in general before a parameter was changed; one "
        "that",
        " * ends with U_NOT_FINITE was made, and has spoilt the parameters: load what was saved "
        "before.",
        " *",
        " * A context may be used by one thread at a time. Contexts share nothing: different ones "
        "may be",
        " * used by different threads at the same time. Results do not depend on the number of "
        "threads. A thread that calls wants a stack of 2 MB.",
        " * Nothing is printed, and no setting of the process is changed.",
        " *",
        " *     cc host.c lib$.a -pthread -lm      or, without our static library, for any "
        "machine:",
        " *     cc -O2 -pthread -fopenmp-simd -fno-tree-vectorize -ffp-contract=off -fno-math-errno "
        "host.c $.c -lm",
        " */"};
    const char *upper = l->upper;
    out_directive(&l->header,
                  "/* %s.h -- the steps and models of %s as a C library, written by nndc.", l->name,
                  l->program->path);
    out_directive(&l->header, " * SPDX-License-Identifier: 0BSD");
    out_directive(&l->header, " *");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        StrBuf s = str_new(l->arena);
        for (const char *c = lines[i]; *c; c++) {
            bool code = !strncmp(c, "U_", 2);
            if (code)
                str_add(&s, upper);
            else if (*c == '$')
                str_add(&s, l->name);
            else
                str_add_n(&s, c, 1);
        }
        out_directive(&l->header, "%s", str_text(&s));
    }
    out_directive(&l->header, "#ifndef %s_H\n#define %s_H\n", upper, upper);
    out_directive(&l->header, "#include <stddef.h>\n#include <stdint.h>\n");
    out_directive(&l->header, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    out_line(&l->header, "typedef struct %s_ctx %s_ctx;", l->name, l->name);
    out_blank(&l->header);
#define NND_HOST_CODE(code, meaning) {#code, meaning},
    static const char *const codes[][2] = {NND_HOST_CODES};
#undef NND_HOST_CODE
    out_directive(&l->header, "enum {");
    for (int i = 0, n = sizeof codes / sizeof *codes; i < n; i++)
        out_directive(
            &l->header, "    %-*s /* %s */", (int)strlen(upper) + 16,
            arena_printf(l->arena, "%s_%s = %d%s", upper, codes[i][0], i, i + 1 < n ? "," : ""),
            codes[i][1]);
    out_directive(&l->header, "};\n");
}

static void functions_name(Library *l)
{
    static const char *const verbs[] = {"step", "steps", "fit", "report"};
    for (int i = 0; i < COMMON; i++)
        function_name_take(l, arena_printf(l->arena, "%s_%s", l->name, common[i].name),
                           "one of its own", NO_SPAN);
    function_name_take(l, arena_printf(l->arena, "%s_ctx", l->name), "one of its own", NO_SPAN);
    for (int i = 0; i < l->program->trains.len; i++) {
        const Train *train = l->program->trains.data[i];
        for (int k = 0; k < 4; k++)
            function_name_take(l,
                               arena_printf(l->arena, "%s_%s_%s", l->name,
                                            identifier(l->arena, train->name), verbs[k]),
                               arena_printf(l->arena, "the train block %s", train->name),
                               train->span);
    }
    for (int i = 0; i < l->program->models.len; i++) {
        const Model *model = l->program->models.data[i];
        function_name_take(
            l, arena_printf(l->arena, "%s_%s", l->name, identifier(l->arena, model->name)),
            arena_printf(l->arena, "the model %s", model->name), model->span);
    }
}

static Library library_new(Program *program, const char *name)
{
    Arena *arena = context_arena(program->context);
    Library l = {.program = program, .arena = arena, .name = name};
    char *upper = arena_strdup(arena, name);
    for (char *c = upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    l.upper = upper;
    l.functions = map_new(arena);
    return l;
}

/* What an entry reads from files when it runs is not there in a library. */
static void files_refuse(Program *program, const Entry *entry)
{
    Nodes inputs = entry_inputs(program, entry);
    for (int i = 0; i < inputs.len; i++)
        if (inputs.data[i]->leaf->kind == LEAF_FILE) {
            diag_error(program->context, inputs.data[i]->leaf->source->span,
                       "a library reads no files when it runs, and `%s` is one",
                       inputs.data[i]->leaf->name);
            diag_hint(program->context, entry == program->init
                                            ? "the host program can bring weights: NAME_load, NAME_set"
                                            : "feed it, or pass it to the model");
            return;
        }
}

bool library_prepare(Program *program, const char *name)
{
    int errors = diag_errors(program->context);
    if (!is_identifier(name)) {
        diag_error(program->context, NO_SPAN,
                   "the functions of the library begin with its name, and `%s` is no name in C",
                   name);
        diag_hint(program->context, "give one made of letters, digits and _: -o %s",
                  isdigit((unsigned char)*name)
                      ? arena_printf(context_arena(program->context), "net%s",
                                     identifier(context_arena(program->context), name))
                      : identifier(context_arena(program->context), name));
        return false;
    }
    Library l = library_new(program, name);
    functions_name(&l);
    program->load = NULL; /* the caller brings the data */
    Entries entries = program_entries(program);
    for (int i = 0; i < entries.len; i++)
        files_refuse(program, entries.data[i]);
    program->files.len = 0;
    return diag_errors(program->context) == errors;
}

LibraryText library_text(Program *program, const NndProgram *described, const char *name,
                         const Options *options)
{
    Library l = library_new(program, name);
    l.described = described;
    l.real = !strcmp(options->real, "f64") ? "double" : "float";
    l.header = out_new(l.arena);
    l.source = out_new(l.arena);
    const char *code =
        amalgamate(l.arena, RUNTIME_HOST, "", program_text(program, described, options));
    header_begin(&l);
    out_directive(&l.source, "#include \"%s.h\"\n", name);
    common_print(&l);
    for (int i = 0; i < described->train_count; i++) {
        fit_print(&l, &described->trains[i], i);
        step_print(&l, &described->trains[i], i);
        report_print(&l, &described->trains[i], i);
    }
    for (int i = 0; i < described->model_count; i++)
        model_print(&l, &described->models[i], i);
    out_directive(&l.header, "#ifdef __cplusplus\n}\n#endif\n\n#endif");
    StrBuf source = str_new(l.arena);
    str_printf(
        &source,
        "/* %s.c -- the steps and models of %s as a C library, written by nndc: the part of the "
        "runtime that\n * it needs, the program's code, and the functions of %s.h. "
        "SPDX-License-Identifier: 0BSD */\n",
        name, program->path, name);
    str_add(&source, code);
    str_add(&source, str_text(&l.source.text));
    return (LibraryText){str_text(&l.header.text), str_text(&source)};
}
