/* elaborate.c -- from a source file to a program: files and their names, the library, models, and the order in
 * which things are elaborated. See elaborate.h for the idea. */
#include "elaborate.h"
#include "embedded.h"

#include <stdlib.h>
#include <sys/stat.h>

Function *function_new(Elab *e, FunctionKind kind, Name name)
{
    bool interned = kind == FUNCTION_REDUCTION || kind == FUNCTION_CAST;
    Name key = name_printf(e->context, "%d %s", (int)kind, name);
    Function *function = interned ? map_get(&e->functions, key) : NULL;
    if (function) return function;
    function = NEW(e->arena, Function);
    function->kind = kind;
    function->name = name;
    if (interned) map_put(&e->functions, key, function);
    return function;
}

Extent elab_batch(Elab *e, int64_t max)
{
    Span none = NO_SPAN;
    return (Extent){max, scalar_load(e->g, e->size_leaf, NULL, NULL, none)};
}

Session *session_new(Elab *e, bool step)
{
    Session *session = NEW(e->arena, Session);
    session->current = map_new(e->arena);
    session->owner = map_new(e->arena);
    session->step = step;
    e->rounds = 0;
    return session;
}

Frame *frame_new(Elab *e, FrameKind kind, const Scope *scope)
{
    Frame *f = NEW(e->arena, Frame);
    f->kind = kind;
    f->scope = scope;
    f->locals = map_new(e->arena);
    return f;
}

/* The value of --set name=..., if it is given. */
bool setting_override(Elab *e, Name name, Value *out)
{
    for (int i = e->options->n_settings - 1; i >= 0; i--) {
        const Setting *s = &e->options->settings[i];
        if (strcmp(s->name, name) != 0) continue;
        const Value *known = map_get(&e->overrides, s);
        if (known) {
            *out = *known;
            return true;
        }
        const Source *source = source_add(e->context, arena_printf(e->arena, "--set %s", name),
                                          s->value, strlen(s->value), false);
        const AstExpr *x = parse_expr(e->context, source);
        *out = x ? eval_expr(e, frame_new(e, FRAME_CONST, e->main ? e->main : e->library), x)
                 : value_error();
        map_put(&e->overrides, s, arena_copy(e->arena, out, sizeof *out));
        return true;
    }
    return false;
}

/* --- scopes ------------------------------------------------------------------------------------------------ */

static const Definition *scope_own(const Scope *scope, Name name)
{
    return map_get(&scope->names, name);
}

/* A train block is no value, and hides none of its name. */
const Definition *scope_find(const Scope *scope, Name name)
{
    const Definition *train = NULL;
    for (; scope; scope = scope->outer) {
        const Definition *d = scope_own(scope, name);
        for (int i = 0; !d && i < scope->imports.len; i++)
            d = scope_own(scope->imports.data[i], name);
        if (d && d->item && d->item->kind == AST_TRAIN) train = d;
        else if (d) return d;
    }
    return train;
}

const Definition *definition_find(Elab *e, const Scope *scope, AstName name)
{
    const Definition *d = scope_find(scope, name.name);
    if (d) return d;
    name_unknown(e, scope, name, NULL, 0);
    return NULL;
}

static Scope *scope_new(Elab *e, const Scope *outer)
{
    Scope *scope = NEW(e->arena, Scope);
    scope->names = map_new(e->arena);
    scope->outer = outer;
    scope->folder = "";
    return scope;
}

static Definition *scope_define(Elab *e, Scope *scope, AstName name, const AstItem *item)
{
    const Definition *old = scope_own(scope, name.name);
    if (old) {
        diag_error(e->context, name.span, "`%s` is defined twice", name.name);
        diag_note(e->context, old->span, "the first definition");
        return NULL;
    }
    Definition *d = NEW(e->arena, Definition);
    *d = (Definition){.name = name.name, .span = name.span, .item = item, .scope = scope};
    map_put(&scope->names, name.name, d);
    return d;
}

/* --- items --------------------------------------------------------------------------------------------------- */

static Function *model_function(Elab *e, const Scope *scope, const AstItem *item, Name name, Span span)
{
    Model *model = NEW(e->arena, Model);
    *model = (Model){.name = name, .span = span};
    Function *function = function_new(e, FUNCTION_MODEL, name);
    function->item = item;
    function->scope = scope;
    function->model = NEW(e->arena, ModelInstance);
    *function->model = (ModelInstance){.model = model, .item = item};
    vec_push(e->arena, &e->model_functions, function);
    return function;
}

static void define_models(Elab *e, Scope *scope, Definition *d, const AstItem *item)
{
    int64_t count;
    if (!item->count) {
        d->function = model_function(e, scope, item, item->name.name, item->name.span);
        return;
    }
    Function *array = function_new(e, FUNCTION_MODELS, item->name.name);
    d->function = array;
    Frame *f = frame_new(e, FRAME_CONST, scope);
    if (!eval_int(e, f, item->count, "the number of models", &count)) return;
    if (count < 1 || count > 10000) {
        diag_error(e->context, item->count->span, "an array of %lld models: from 1 to 10000 are possible",
                   (long long)count);
        return;
    }
    array->n_members = (int)count;
    array->members = NEW_ARRAY(e->arena, Function *, count);
    for (int64_t k = 0; k < count; k++)
        array->members[k] =
            model_function(e, scope, item, name_printf(e->context, "%s[%lld]", item->name.name,
                                                       (long long)k), item->name.span);
}

static void define_like(Elab *e, Scope *scope, Definition *d, const AstItem *item)
{
    const Definition *other = definition_find(e, scope, item->other);
    if (!other) return;
    if (other == d) {
        diag_error(e->context, item->other.span, "the model `%s` cannot be like itself", item->other.name);
        return;
    }
    if (!other->function || other->function->kind != FUNCTION_MODEL) {
        diag_error(e->context, item->other.span, "`%s` is not a model", item->other.name);
        return;
    }
    d->function = model_function(e, other->scope, other->item, item->name.name, item->name.span);
}

static void define_item(Elab *e, Scope *scope, const AstItem *item)
{
    if (item->kind == AST_IMPORT || item->kind == AST_LOAD) return;
    Definition *d = scope_define(e, scope, item->name, item);
    if (!d) return;
    if (item->kind == AST_FN || item->kind == AST_LAYER || item->kind == AST_OPTIMIZER) {
        d->function = function_new(e, item->kind == AST_FN ? FUNCTION_FN
                                      : item->kind == AST_LAYER ? FUNCTION_LAYER
                                                                : FUNCTION_OPTIMIZER,
                                   item->name.name);
        d->function->item = item;
        d->function->scope = scope;
    } else if (item->kind == AST_DATA) {
        d->data = NEW(e->arena, DataSet);
        *d->data = (DataSet){.name = item->name.name, .span = item->span,
                             .index = e->program->data.len};
        vec_push(e->arena, &e->program->data, d->data);
    }
}

static Scope *file_load(Elab *e, const Source *source);

/* Whether two paths lead to one file. */
static bool file_same(const char *a, const char *b)
{
    struct stat of_a, of_b;
    if (!strcmp(a, b)) return true;
    return !stat(a, &of_a) && !stat(b, &of_b) && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

static void file_import(Elab *e, Scope *scope, const AstItem *item)
{
    const char *path = item->path;
    if (path[0] != '/' && scope->folder[0])
        path = arena_printf(e->arena, "%s/%s", scope->folder, path);
    for (int i = 0; i < e->files.len; i++)
        if (file_same(e->files.data[i]->source->path, path)) {
            if (e->files.data[i] != scope) vec_push(e->arena, &scope->imports, e->files.data[i]);
            return;
        }
    const Source *source = source_read(e->context, path, item->span);
    if (source) vec_push(e->arena, &scope->imports, file_load(e, source));
}

static Scope *file_load(Elab *e, const Source *source)
{
    Scope *scope = scope_new(e, e->library);
    scope->source = source;
    const char *slash = strrchr(source->path, '/');
    if (slash) scope->folder = arena_printf(e->arena, "%.*s", (int)(slash - source->path),
                                            source->path);
    vec_push(e->arena, &e->files, scope);
    AstFile *file = parse_file(e->context, source);
    if (!e->main) e->main = scope;
    for (int i = 0; i < file->items.len; i++)
        if (file->items.data[i]->kind == AST_IMPORT) file_import(e, scope, file->items.data[i]);
    for (int i = 0; i < file->items.len; i++)
        define_item(e, scope, file->items.data[i]);
    /* Models after everything else: their number may be a constant, `like` names another model. */
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < file->items.len; i++) {
            const AstItem *item = file->items.data[i];
            bool like = item->kind == AST_MODEL_LIKE;
            if ((item->kind != AST_MODEL && !like) || like != (pass == 1)) continue;
            Definition *d = map_get(&scope->names, item->name.name);
            if (!d || d->item != item) continue;
            if (like) define_like(e, scope, d, item);
            else define_models(e, scope, d, item);
        }
    for (int i = 0; i < file->items.len; i++)
        if (file->items.data[i]->kind == AST_LOAD) load_open(e, scope, file->items.data[i]);
    return scope;
}

static void library_load(Elab *e)
{
    e->builtins = scope_new(e, NULL);
    e->library = scope_new(e, e->builtins);
    e->library->library = true;
    builtins_define(e, e->builtins);
    for (const EmbeddedFile *file = nnd_embedded; file->path; file++) {
        size_t n = strlen(file->path);
        if (n < 4 || strcmp(file->path + n - 4, ".nnd") != 0) continue;
        const Source *source = source_add(e->context, file->path, file->text, file->size, true);
        AstFile *parsed = parse_file(e->context, source);
        for (int i = 0; i < parsed->items.len; i++)
            define_item(e, e->library, parsed->items.data[i]);
    }
}

/* --- the program ------------------------------------------------------------------------------------------------ */

static const Node *int_leaf(Elab *e, LeafKind kind, const char *name)
{
    Leaf leaf = {.kind = kind, .name = name_of(e->context, name)};
    return graph_leaf(e->g, &leaf, TYPE_INT, 0, NULL);
}

static void items_elaborate(Elab *e, const Scope *scope, AstItemKind kind)
{
    /* In the order of the text, for parameters and draws are numbered by it. */
    VEC(Definition *) found = {0};
    for (int i = 0; i < scope->names.cap; i++) {
        Definition *d = scope->names.slots[i].value;
        if (!d || !d->item || d->item->kind != kind) continue;
        vec_push(e->arena, &found, d);
        for (int k = found.len - 1; k > 0; k--) {
            Span a = found.data[k - 1]->span, b = found.data[k]->span;
            if (a.line < b.line || (a.line == b.line && a.col < b.col)) break;
            Definition *swap = found.data[k];
            found.data[k] = found.data[k - 1];
            found.data[k - 1] = swap;
        }
    }
    for (int i = 0; i < found.len; i++) {
        Definition *d = found.data[i];
        if (kind == AST_DATA) {
            elaborate_data(e, d);
        } else if (kind == AST_TRAIN) {
            /* One phase may need what an earlier one makes: NAME.PHASE stands for the block here. */
            const char *only = e->options->only;
            if (only && (strcspn(only, ".") != strlen(d->name) || strncmp(only, d->name, strlen(d->name))))
                continue;
            elaborate_train(e, d);
        } else if (kind == AST_CONST) {
            AstExpr name = {.kind = AST_NAME, .span = d->span, .name = d->name};
            eval_expr(e, frame_new(e, FRAME_CONST, scope), &name);
        }
    }
}

static void init_entry(Elab *e)
{
    Program *p = e->program;
    p->init = NEW(e->arena, Entry);
    p->init->name = name_of(e->context, "init");
    p->load = NEW(e->arena, Entry);
    p->load->name = name_of(e->context, "load");
    for (int i = 0; i < p->persistents.len; i++) {
        Persistent *t = p->persistents.data[i];
        Update u = {t, t->init};
        if (t->kind != PERSIST_SCRATCH) vec_push(e->arena, &p->init->updates, u);
    }
    for (int d = 0; d < p->data.len; d++)
        for (int s = 0; s < SPLIT_COUNT; s++) {
            const Split *split = &p->data.data[d]->splits[s];
            for (int i = 0; i < split->fields.len; i++) {
                const Field *field = split->fields.data[i];
                bool given = field->whole->kind == NODE_LEAF && field->whole->leaf->kind == LEAF_FILE;
                if (given || p->data.data[d]->fed) continue;
                Output output = {.name = name_printf(e->context, "%s_%d_%s", p->data.data[d]->name, s,
                                                     field->name),
                                 .node = field->whole, .span = field->span};
                vec_push(e->arena, &p->load->outputs, output);
            }
        }
}

/* `# expect: accuracy >= 0.981` lines of the main file. */
static void expects_read(Elab *e, const Source *source)
{
    int number = 0;
    for (const char *line = source->text; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        number++;
        char report[128], relation[3];
        double value;
        int columns = 0, found;
        if (strncmp(line, "# expect:", 9)) continue;
        found = sscanf(line, "# expect: %127[A-Za-z0-9_.] %2[<>=] %lf%n", report, relation, &value,
                       &columns);
        Span span = {source->index, number, 1, number, 1 + columns, 0};
        bool known = found == 3 && relation[1] == '=';
        if (known && strchr("\r\n", line[columns])) {
            Expect x = {.report = name_of(e->context, report),
                        .relation = name_of(e->context, relation),
                        .value = value,
                        .span = span};
            vec_push(e->arena, &e->program->expects, x);
            continue;
        }
        span.end_col = 1 + (int)strcspn(line, "\r\n");
        diag_error(e->context, span, "what is expected cannot be read");
        diag_hint(
            e->context,
            "like `# expect: accuracy >= 0.95`, with >=, <= or ==; `digits.accuracy` is that of "
            "the train block `digits`");
    }
}

static Elab *elab_new(Context *context, const ElaborateOptions *options, const char *path)
{
    Arena *arena = context_arena(context);
    Elab *e = NEW(arena, Elab);
    e->context = context;
    e->arena = arena;
    e->options = options;
    e->g = graph_new(context);
    e->program = NEW(arena, Program);
    e->program->context = context;
    e->program->graph = e->g;
    e->program->path = path;
    e->persistents = map_new(arena);
    e->bodies = map_new(arena);
    e->fitted = map_new(arena);
    e->overrides = map_new(arena);
    e->reached = map_new(arena);
    e->functions = map_new(arena);
    e->size_leaf = int_leaf(e, LEAF_SIZE, "batch");
    e->step_leaf = int_leaf(e, LEAF_STEP, "step");
    e->epoch_leaf = int_leaf(e, LEAF_EPOCH, "epoch");
    library_load(e);
    return e;
}

Program *program_elaborate(Context *context, const Source *source, const ElaborateOptions *options)
{
    Elab *e = elab_new(context, options, source->path);
    Scope *scope = file_load(e, source);
    e->program->text = source->text;
    if (diag_errors(context)) return NULL;
    items_elaborate(e, scope, AST_CONST);
    for (int i = 0; i < e->files.len; i++)
        items_elaborate(e, e->files.data[i], AST_DATA);
    items_elaborate(e, scope, AST_TRAIN);
    if (!diag_errors(context)) elaborate_models(e);
    if (!diag_errors(context)) loads_check(e);
    for (int i = 0; i < e->files.len; i++)
        names_check(e, e->files.data[i]);
    init_entry(e);
    expects_read(e, source);
    return diag_errors(context) ? NULL : e->program;
}

const Node *program_expression(Context *context, const char *text, Program **program)
{
    static const ElaborateOptions none = {0};
    Elab *e = elab_new(context, &none, "example");
    *program = e->program;
    const Source *source = source_add(context, "example", text, strlen(text), false);
    const AstExpr *x = parse_expr(context, source);
    if (!x || diag_errors(context)) return NULL;
    Frame *f = frame_new(e, FRAME_BODY, e->library);
    f->path = name_of(context, "example");
    e->session = session_new(e, false);
    Value v = eval_expr(e, f, x);
    if (v.kind == VALUE_ERROR || !value_tensor(e, &v, x->span)) return NULL;
    const Node *node = value_node(e, &v, NULL, x->span);
    init_entry(e);
    return diag_errors(context) ? NULL : node;
}
