/* elaborate_load.c -- `load NAME = safetensors("file")`: the parameters, states and fitted values of a model, or of
 * all models of an array, start from the tensors of an archive. They are found by path, with the name in front
 * (`Vgg.dense1.w`, `Net[2].dense1.w`, as in our checkpoints) or without (`dense1.w`, `[2].dense1.w`); all must be
 * there with their shapes, and nothing else. */
#include "elaborate.h"
#include "nnd_rt.h"

enum { LOAD_SHOWN = 6 }; /* names that a message lists */

typedef struct NameList { /* "a, b, c and 4 more" */
    StrBuf text;
    int count;
} NameList;

struct Load {
    const AstItem *item;
    Name model;         /* or of the array */
    bool array;
    Name kind;
    const char *path, *full;
    char **names;       /* in the archive */
    bool *used;
    int count;
    bool prefixed;      /* the names begin with the model's */
    bool any;           /* the model has something to load */
    NameList missing, wrong;
};

static void list_add(NameList *list, const char *text)
{
    if (list->count++ < LOAD_SHOWN)
        str_printf(&list->text, "%s%s", list->count > 1 ? ", " : "", text);
}

static const char *list_text(NameList *list)
{
    if (list->count > LOAD_SHOWN)
        str_printf(&list->text, " and %d more", list->count - LOAD_SHOWN);
    return str_text(&list->text);
}

/* The name without the model's in front, or NULL if it begins otherwise. */
static const char *behind(const Load *load, const char *name)
{
    size_t n = strlen(load->model);
    if (strncmp(name, load->model, n) != 0 || name[n] != (load->array ? '[' : '.')) return NULL;
    return name + n + !load->array;
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static bool names_read(Elab *e, Load *load)
{
    NndError error = {{0}};
    NndNames names;
    if (nnd_source_names(load->kind, load->full, &names, &error)) {
        diag_error(e->context, load->item->value->span, "%s", error.text);
        return false;
    }
    load->count = names.count;
    load->names = NEW_ARRAY(e->arena, char *, names.count + 1);
    load->used = NEW_ARRAY(e->arena, bool, names.count + 1);
    for (int i = 0; i < names.count; i++) {
        load->names[i] = arena_strdup(e->arena, names.names[i]);
        load->prefixed = load->prefixed || behind(load, names.names[i]);
    }
    nnd_names_free(&names);
    return true;
}

static bool value_is_archive(const AstExpr *x)
{
    return x->kind == AST_CALL && x->call.callee->kind == AST_NAME &&
           (!strcmp(x->call.callee->name, "safetensors") || !strcmp(x->call.callee->name, "npz")) &&
           x->call.args.len == 1 && !x->call.args.data[0].name;
}

void load_open(Elab *e, const Scope *scope, const AstItem *item)
{
    const Definition *d = definition_find(e, scope, item->name);
    const AstExpr *x = item->value;
    if (!d) return;
    if (!d->function || (d->function->kind != FUNCTION_MODEL && d->function->kind != FUNCTION_MODELS)) {
        diag_error(e->context, item->name.span, "`load` gives a model its weights; `%s` is not a model",
                   item->name.name);
        return;
    }
    if (!value_is_archive(x)) {
        diag_error(e->context, x->span, "`load` takes tensors by name, from an archive of them");
        diag_hint(e->context, "load %s = safetensors(\"file\"), or npz(\"file\")", item->name.name);
        return;
    }
    for (int i = 0; i < e->loads.len; i++)
        if (e->loads.data[i]->model == d->name) {
            diag_error(e->context, item->span, "%s is loaded twice", d->name);
            diag_note(e->context, e->loads.data[i]->item->span, "the first time");
            return;
        }
    Value path = eval_expr(e, frame_new(e, FRAME_CONST, scope), x->call.args.data[0].value);
    if (path.kind != VALUE_STRING) {
        if (path.kind != VALUE_ERROR)
            diag_error(e->context, x->span, "the path of a file is a string, not %s",
                       value_describe(e, &path));
        return;
    }
    Load *load = NEW(e->arena, Load);
    *load = (Load){.item = item, .model = d->name, .array = d->function->kind == FUNCTION_MODELS,
                   .kind = x->call.callee->name, .path = path.text,
                   .full = source_path(e, scope, path.text)};
    load->missing.text = str_new(e->arena);
    load->wrong.text = str_new(e->arena);
    if (names_read(e, load)) vec_push(e->arena, &e->loads, load);
}

/* --- initial values --------------------------------------------------------------------------------------- */

static const char *shape_of(Elab *e, const Node *node)
{
    Value v = value_of_node(e, node);
    return value_describe(e, &v);
}

/* The tensor of the archive as a node of the type wanted; NULL if it is of another kind. */
static const Node *tensor_node(Elab *e, const Load *load, const char *name, const Persistent *p)
{
    FileSource *source = NEW(e->arena, FileSource);
    *source = (FileSource){.kind = load->kind, .path = load->path, .full = load->full,
                           .span = load->item->value->span};
    source->columns = NEW_ARRAY(e->arena, const char *, 2);
    source->columns[0] = name;
    const Node *node = source_leaf(e, source);
    if (!node) return NULL;
    bool same = node->rank == p->leaf->rank && node->type <= p->leaf->type;
    for (int k = 0; same && k < node->rank; k++)
        same = extent_equal(node->shape[k], p->leaf->shape[k]);
    if (!same) return node;
    if (node->type == p->leaf->type) return node;
    return graph_map(e->g, node->rank, node->shape,
                     scalar_convert(e->g, scalar_load_at(e->g, node, 0), p->leaf->type), source->span);
}

bool load_initial(Elab *e, Persistent *p)
{
    Load *load = NULL;
    for (int i = 0; i < e->loads.len && p->model; i++)
        if (behind(e->loads.data[i], p->path)) load = e->loads.data[i];
    if (!load) return false;
    load->any = true;
    const char *wanted = load->prefixed ? p->path : behind(load, p->path);
    int at = 0;
    while (at < load->count && strcmp(load->names[at], wanted) != 0)
        at++;
    if (at == load->count) {
        if (p->kind != PERSIST_FIT) /* that is fitted, then */
            list_add(&load->missing, arena_printf(e->arena, "%s (%s)", wanted, shape_of(e, p->leaf)));
        return false;
    }
    load->used[at] = true;
    const Node *node = tensor_node(e, load, load->names[at], p);
    if (!node) return false;
    bool same = node->rank == p->leaf->rank && node->type == p->leaf->type;
    for (int k = 0; same && k < node->rank; k++)
        same = extent_equal(node->shape[k], p->leaf->shape[k]);
    if (same) {
        p->init = node;
        return true;
    }
    list_add(&load->wrong, arena_printf(e->arena, "%s is %s there, and %s is wanted", wanted,
                                        shape_of(e, node), shape_of(e, p->leaf)));
    return false;
}

/* --- at the end ------------------------------------------------------------------------------------------- */

void loads_check(Elab *e)
{
    for (int i = 0; i < e->loads.len; i++) {
        Load *load = e->loads.data[i];
        NameList unexpected = {.text = str_new(e->arena)};
        for (int k = 0; k < load->count; k++)
            if (!load->used[k] && (!load->prefixed || behind(load, load->names[k])))
                list_add(&unexpected, load->names[k]);
        if (!load->any || (!load->missing.count && !load->wrong.count && !unexpected.count)) continue;
        diag_error(e->context, load->item->span, "%s does not fit %s", load->path, load->model);
        StrBuf hint = str_new(e->arena);
        if (load->missing.count) str_printf(&hint, "missing: %s", list_text(&load->missing));
        if (load->wrong.count)
            str_printf(&hint, "%sof another shape: %s", str_text(&hint)[0] ? "; " : "",
                       list_text(&load->wrong));
        if (unexpected.count)
            str_printf(&hint, "%s%s has no such tensor: %s", str_text(&hint)[0] ? "; " : "",
                       load->model, list_text(&unexpected));
        diag_hint(e->context, "%s", str_text(&hint));
    }
}
