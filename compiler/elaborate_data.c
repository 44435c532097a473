/* elaborate_data.c -- data blocks and data sources. A source is a leaf whose type and shape are read from the
 * file when compiling; a field is any expression of sources and draws, with the examples on its leading axis. */
#include "elaborate.h"
#include "nnd_rt.h"

#include <assert.h>

/* --- sources ---------------------------------------------------------------------------------------------- */

const char *source_path(Elab *e, const Scope *scope, const char *path)
{
    const char *folder = scope ? scope->folder : "";
    if (path[0] == '/' || !folder[0]) return path;
    return arena_printf(e->arena, "%s/%s", folder, path);
}

static bool column_list(Elab *e, const Value *v, Span span, const char ***out)
{
    if (v->kind == VALUE_STRING) {
        *out = NEW_ARRAY(e->arena, const char *, 2);
        (*out)[0] = v->text;
        return true;
    }
    bool ok = v->kind == VALUE_LIST;
    if (ok) *out = NEW_ARRAY(e->arena, const char *, v->n_items + 1);
    for (int i = 0; ok && i < v->n_items; i++) {
        ok = v->items[i].kind == VALUE_STRING;
        if (ok) (*out)[i] = v->items[i].text;
    }
    if (!ok) diag_error(e->context, span, "columns are named by a string or a list of strings");
    return ok;
}

static int columns_count(const char **columns)
{
    int n = 0;
    while (columns && columns[n])
        n++;
    return n;
}

/* The shape of a file that does not say it. */
static bool source_shape(Elab *e, const CallArg *a, FileSource *source)
{
    bool ok = a->value.kind == VALUE_LIST && a->value.n_items > 0 && a->value.n_items <= NND_MAX_RANK;
    for (int i = 0; ok && i < a->value.n_items; i++)
        ok = value_is_int(&a->value.items[i], &source->shape[i]) && source->shape[i] > 0;
    source->rank = ok ? a->value.n_items : 0;
    if (ok) return true;
    diag_error(e->context, a->span, "the shape of a raw file is a list of compile-time ints, from 1");
    diag_hint(e->context, "raw(\"file\", \"f32\", [1000, 64])");
    return false;
}

/* What the arguments after the path say. */
static const struct SourceForm {
    const char *kind, *usage;
    bool columns, shape, must; /* names of columns, or one name; a shape after it; the name must be there */
} source_forms[] = {
    {"idx", "idx(\"file\")", false, false, false},
    {"csv", "csv(\"file\", \"column\")", true, false, false},
    {"npy", "npy(\"file\")", false, false, false},
    {"npz", "npz(\"file\", \"name\")", true, false, false},
    {"safetensors", "safetensors(\"file\", \"name\")", true, false, false},
    {"hdf5", "hdf5(\"file\", \"dataset\")", true, false, false},
    {"images", "images(\"folder\")", false, false, false},
    {"raw", "raw(\"file\", \"f32\", [1000, 64])", true, true, true},
    {"text", "text(\"file\")", false, false, false},
};

static const struct SourceForm *source_form(Name kind)
{
    size_t i = 0;
    while (strcmp(source_forms[i].kind, kind) != 0) {
        i++;
        assert(i < sizeof source_forms / sizeof *source_forms);
    }
    return &source_forms[i];
}

static bool source_args(Elab *e, Frame *f, Name kind, const AstExpr *call, const AstArgs *args,
                        FileSource *source, bool *keep_axis)
{
    CallArg *a;
    const struct SourceForm *form = source_form(kind);
    bool table = !strcmp(kind, "csv");
    if (!eval_args(e, f, args, &a)) return false;
    if (args->len < 1 || a[0].name || a[0].value.kind != VALUE_STRING) {
        diag_error(e->context, call->span, "%s() takes the path of a file: %s", kind, form->usage);
        return false;
    }
    source->path = a[0].value.text;
    source->full = source_path(e, f->scope, source->path);
    if (form->must && args->len < 2) {
        diag_error(e->context, call->span, "%s() takes more than a path: %s", kind, form->usage);
        return false;
    }
    for (int i = 1; i < args->len; i++) {
        bool except = table && a[i].name && !strcmp(a[i].name, "except");
        if (!form->columns || i > 1 + form->shape || (a[i].name && !except)) {
            diag_error(e->context, a[i].span, "%s() does not take this argument: %s", kind, form->usage);
            return false;
        }
        if (i == 2) {
            if (!source_shape(e, &a[i], source)) return false;
            continue;
        }
        if (!table && a[i].value.kind != VALUE_STRING) {
            diag_error(e->context, a[i].span, "%s() takes a string here: %s", kind, form->usage);
            return false;
        }
        if (!column_list(e, &a[i].value, a[i].span, &source->columns)) return false;
        source->except = except;
        *keep_axis = a[i].value.kind == VALUE_LIST;
    }
    return true;
}

static NndSourceOptions source_options(Elab *e, const FileSource *s, bool keep_axis)
{
    NndSourceOptions options = {.real = e->options->real_f64 ? NND_F64 : NND_REAL,
                                .keep_axis = keep_axis};
    bool table = !strcmp(s->kind, "csv");
    if (!table) {
        options.tensor = s->columns ? s->columns[0] : NULL;
        options.rank = s->rank;
        memcpy(options.shape, s->shape, sizeof options.shape);
    } else if (s->except) {
        options.except = s->columns;
        options.except_count = columns_count(s->columns);
    } else {
        options.columns = s->columns;
        options.column_count = columns_count(s->columns);
    }
    return options;
}

/* Whether two sources are the same part of the same file: one tensor, read once. */
static bool source_same(const FileSource *a, const FileSource *b)
{
    int n = columns_count(a->columns);
    if (a->kind != b->kind || strcmp(a->full, b->full) != 0 || a->except != b->except ||
        a->keep_axis != b->keep_axis || n != columns_count(b->columns) ||
        a->rank != b->rank || memcmp(a->shape, b->shape, sizeof a->shape) != 0)
        return false;
    for (int i = 0; i < n; i++)
        if (strcmp(a->columns[i], b->columns[i]) != 0) return false;
    return true;
}

const Node *source_leaf(Elab *e, FileSource *source)
{
    for (int i = 0; i < e->program->files.len; i++)
        if (source_same(e->program->files.data[i], source)) return e->program->files.data[i]->leaf;
    NndSourceOptions options = source_options(e, source, source->keep_axis);
    NndArray header = {0};
    NndError error = {{0}};
    if (nnd_source_shape(source->kind, source->full, &options, &header, &error)) {
        diag_error(e->context, source->span, "%s", error.text);
        return NULL;
    }
    static const ElemType types[] = {[NND_REAL] = TYPE_REAL, [NND_INT] = TYPE_INT,
                                     [NND_BOOL] = TYPE_BOOL, [NND_U8] = TYPE_U8,
                                     [NND_F64] = TYPE_REAL};
    Extent shape[MAX_RANK];
    if (header.rank > MAX_RANK - 1) {
        diag_error(e->context, source->span, "%s has %d axes; a tensor has at most %d", source->path,
                   header.rank, MAX_RANK - 1);
        return NULL;
    }
    for (int k = 0; k < header.rank; k++)
        shape[k] = extent_fixed(header.shape[k]);
    const char *slash = strrchr(source->path, '/');
    Leaf leaf = {.kind = LEAF_FILE, .source = source,
                 .name = name_of(e->context, slash ? slash + 1 : source->path)};
    if (!shape_fits(e, header.rank, shape, source->span)) return NULL;
    source->leaf = graph_leaf(e->g, &leaf, types[header.type], header.rank, shape);
    vec_push(e->arena, &e->program->files, source);
    return source->leaf;
}

Value source_value(Elab *e, Frame *f, Name kind, const AstExpr *call, const AstArgs *args)
{
    FileSource *source = NEW(e->arena, FileSource);
    *source = (FileSource){.kind = kind, .span = call->span};
    if (!source_args(e, f, kind, call, args, source, &source->keep_axis)) return value_error();
    const Node *leaf = source_leaf(e, source);
    return leaf ? value_of_node(e, leaf) : value_error();
}

/* --- data blocks ---------------------------------------------------------------------------------------------- */

/* ragged(values, offsets, most): row n is values[offsets[n] : offsets[n + 1]], a bounded axis. */
Value ragged_value(Elab *e, const CallArg *args, Span span)
{
    Value values = args[0].value, offsets = args[1].value;
    int64_t most;
    if (!value_tensor(e, &values, args[0].span) || !value_tensor(e, &offsets, args[1].span))
        return value_error();
    if (values.rank < 1 || offsets.rank != 1 || value_type(&offsets) > TYPE_INT ||
        offsets.shape[0].size || offsets.shape[0].max < 1 || values.shape[0].size) {
        diag_error(e->context, span, "ragged() takes the values of all rows, one after the other, and an int "
                   "vector of where each row starts, and where the last one ends; these are %s and %s",
                   value_describe(e, &values), value_describe(e, &offsets));
        return value_error();
    }
    if (!value_is_int(&args[2].value, &most) || most < 1 || most > INT32_MAX) {
        diag_error(e->context, args[2].span, "the most elements that a row may have is a compile-time int, "
                   "from 1");
        return value_error();
    }
    values = value_settle(e, &values, NULL, args[0].span);
    offsets = value_settle(e, &offsets, NULL, args[1].span);
    offsets.scalar = scalar_convert(e->g, offsets.scalar, TYPE_INT);
    const Scalar *row = scalar_iter(e->g, VISIBLE), *map[VISIBLE + MAX_RANK] = {NULL};
    map[VISIBLE] = scalar_op2(e->g, OP_ADD, row, scalar_int(e->g, 1));
    const Scalar *end = scalar_substitute(e->g, offsets.scalar, map, VISIBLE + MAX_RANK);
    Value sizes = {.kind = VALUE_TENSOR, .rank = 1};
    sizes.scalar = scalar_op2(e->g, OP_SUB, end, offsets.scalar);
    sizes.shape[0] = extent_fixed(offsets.shape[0].max - 1);
    sizes = value_settle(e, &sizes, NULL, span);
    Value out = {.kind = VALUE_TENSOR, .rank = values.rank + 1};
    if (!shape_fits(e, out.rank + 1, values.shape, span)) return value_error();
    out.shape[0] = sizes.shape[0];
    out.shape[1] = (Extent){most, sizes.scalar};
    for (int k = 0; k < values.rank; k++)
        map[VISIBLE + k] = scalar_iter(e->g, VISIBLE + k + 1);
    for (int k = 1; k < values.rank; k++)
        out.shape[k + 1] = extent_renumber(e, values.shape[k], map);
    map[VISIBLE] = scalar_op2(e->g, OP_ADD, offsets.scalar, map[VISIBLE]);
    out.scalar = element_at(e, values.scalar, map, span);
    return out;
}

static Field *field_find(const Split *split, Name name)
{
    for (int i = 0; i < split->fields.len; i++)
        if (split->fields.data[i]->name == name) return split->fields.data[i];
    return NULL;
}

/* The field that holds the sizes of axis k: one for all fields that share it. */
static Field *field_sizes(Elab *e, Split *split, const Field *of, const Value *v, int k)
{
    Value sizes = *v;
    sizes.rank = k;
    sizes.scalar = v->shape[k].size;
    const Node *whole = value_node(e, &sizes, NULL, of->span);
    for (int i = 0; i < split->fields.len; i++)
        if (split->fields.data[i]->most == v->shape[k].max && split->fields.data[i]->whole == whole)
            return split->fields.data[i];
    Field *field = NEW(e->arena, Field);
    *field = (Field){.name = name_printf(e->context, "%s.size%d", of->name, k), .whole = whole,
                     .span = of->span, .most = v->shape[k].max};
    memcpy(field->sizes, of->sizes, sizeof(Field *) * (size_t)k);
    vec_push(e->arena, &split->fields, field);
    return field;
}

static void field_add(Elab *e, Frame *f, DataSet *data, Split *split, AstName name,
                      const char *where)
{
    Local *local = local_find(f, name.name);
    if (!local || local->value.kind == VALUE_ERROR) {
        vec_push(e->arena, &data->failed, name.name);
        return;
    }
    Value v = local->value;
    if (v.kind != VALUE_TENSOR && !value_tensor(e, &v, name.span)) return;
    if (v.rank == 0) return; /* a number that other fields use */
    if (v.rank > MAX_RANK - 2) {
        diag_error(e->context, name.span, "`%s` has %d axes; an example has at most %d", name.name,
                   v.rank, MAX_RANK - 3);
        return;
    }
    if (field_find(split, name.name)) {
        diag_error(e->context, name.span, "`%s` is defined twice in %s", name.name, where);
        return;
    }
    if (v.shape[0].size) {
        diag_error(e->context, name.span, "`%s` is %s: the number of examples must be known when compiling",
                   name.name, value_describe(e, &v));
        return;
    }
    if (split->fields.len == 0) {
        split->count = v.shape[0].max;
    } else if (split->count != v.shape[0].max) {
        const Field *first = split->fields.data[0];
        diag_error(e->context, name.span, "`%s` has %lld examples, but `%s` has %lld", name.name,
                   (long long)v.shape[0].max, first->name, (long long)split->count);
        vec_push(e->arena, &data->failed, name.name);
        return;
    }
    split->present = true;
    Field *field = NEW(e->arena, Field);
    *field = (Field){.name = name.name, .whole = value_node(e, &v, NULL, name.span),
                     .span = name.span};
    vec_push(e->arena, &split->fields, field);
    for (int k = 1; k < v.rank; k++)
        if (v.shape[k].size) field->sizes[k] = field_sizes(e, split, field, &v, k);
}

/* A field that a host program brings: of its examples only the shape is known. */
static Field *fed_field(Elab *e, const DataSet *data, AstName name, ElemType type, int rank, Extent *shape)
{
    Field *field = NEW(e->arena, Field);
    Leaf leaf = {.kind = LEAF_FIELD, .field = field, .name = name_printf(e->context, "%s.%s", data->name, name.name)};
    shape[0] = extent_fixed(0);
    *field = (Field){.name = name.name, .span = name.span, .whole = graph_leaf(e->g, &leaf, type, rank + 1, shape)};
    return field;
}

/* T <= 60 in the type of a fed field: the sizes are a field T, and T stands for them in this type and later ones.
 * Returns the field if it is new. */
static Field *fed_sizes(Elab *e, Frame *f, const DataSet *data, const Split *split, const AstDim *d)
{
    AstName name = {d->bounded, d->span};
    const Local *local = local_find(f, d->bounded);
    const Field *known = field_find(split, d->bounded);
    int64_t most;
    if (!eval_int(e, f, d->size, "the bound of an axis", &most)) return NULL;
    if (most < 1 || most > INT32_MAX) {
        diag_error(e->context, d->span, "an axis of at most %lld elements", (long long)most);
        return NULL;
    }
    if (known && !known->most) {
        diag_error(e->context, d->span, "`%s` is fed itself: it cannot be the size of an axis", d->bounded);
        diag_hint(e->context, "a host program gives the sizes beside the field: leave `feed %s` out", d->bounded);
        return NULL;
    }
    if (local && local->value.max != most) {
        diag_error(e->context, d->span, "`%s` is at most %lld here, and at most %lld in a field before", d->bounded,
                   (long long)most, (long long)local->value.max);
        return NULL;
    }
    if (local) return NULL;
    Extent shape[1];
    Field *field = fed_field(e, data, name, TYPE_INT, 0, shape);
    field->most = most;
    Value size = value_scalar(scalar_load_at(e->g, field->whole, 0));
    size.max = most;
    local_bind(e, f, name, &size);
    return field;
}

/* The field that holds the sizes of an axis of fed data. */
static Field *fed_sizes_of(Elab *e, const Split *split, Extent extent)
{
    for (int i = 0; i < split->fields.len; i++) {
        Field *field = split->fields.data[i];
        if (field->most && scalar_load_at(e->g, field->whole, 0) == extent.size) return field;
    }
    return NULL;
}

/* feed x: [4] */
static void data_feed(Elab *e, Frame *f, DataSet *data, const AstStmt *s)
{
    AstName name = s->names.data[0];
    Split *split = &data->splits[SPLIT_TRAIN];
    Extent shape[MAX_RANK + 1];
    int rank, errors = diag_errors(e->context);
    const Field *twice = field_find(split, name.name);
    if (twice) {
        diag_error(e->context, name.span, twice->most ? "`%s` is the size of an axis of a field before"
                                                      : "`%s` is fed twice", name.name);
        return;
    }
    VEC(Field *) sizes = {0};
    for (int i = 0; i < s->type->dims.len; i++) {
        Field *made = s->type->dims.data[i].bounded ? fed_sizes(e, f, data, split, &s->type->dims.data[i]) : NULL;
        if (made) vec_push(e->arena, &sizes, made);
    }
    if (diag_errors(e->context) > errors) {
        vec_push(e->arena, &data->failed, name.name);
        return;
    }
    if (!type_shape(e, f, s->type, &rank, shape + 1)) return;
    if (rank > MAX_RANK - 3) {
        diag_error(e->context, name.span, "`%s` has %d axes; an example has at most %d", name.name, rank,
                   MAX_RANK - 3);
        return;
    }
    Field *field = fed_field(e, data, name, type_of_base(s->type->base), rank, shape);
    vec_push(e->arena, &split->fields, field);
    for (int i = 0; i < sizes.len; i++)
        vec_push(e->arena, &split->fields, sizes.data[i]);
    for (int k = 1; k <= rank; k++)
        if (shape[k].size) field->sizes[k] = fed_sizes_of(e, split, shape[k]);
    split->present = true;
}

/* The names that a block would define, so that their uses stay silent. */
static void names_fail(Elab *e, DataSet *data, const AstBlock *block)
{
    for (int i = 0; i < block->len; i++) {
        const AstStmt *s = block->data[i];
        for (int k = 0; k < s->names.len && s->kind != AST_SETTING && s->kind != AST_SPLIT; k++)
            vec_push(e->arena, &data->failed, s->names.data[k].name);
        names_fail(e, data, &s->body);
    }
}

static const AstStmt *feed_find(const AstBlock *block)
{
    for (int i = 0; i < block->len; i++)
        if (block->data[i]->kind == AST_FEED) return block->data[i];
    return NULL;
}

/* A data block is fed as a whole or not; false if it mixes the two, which is reported. */
static bool feed_check(Elab *e, DataSet *data, const AstItem *item)
{
    const AstStmt *fed = feed_find(&item->body), *other = NULL;
    data->fed = fed != NULL;
    for (int i = 0; i < item->body.len; i++) {
        const AstStmt *s = item->body.data[i];
        const AstStmt *inside = s->kind == AST_SPLIT ? feed_find(&s->body) : NULL;
        if (inside) {
            diag_error(e->context, inside->span, "what a host program feeds has no parts");
            diag_hint(e->context, "`feed` stands in the data block itself");
            names_fail(e, data, &item->body);
            return false;
        }
        if (s->kind != AST_FEED && !other) other = s;
    }
    if (!fed || !other) return true;
    diag_error(e->context, other->span,
               "a host program feeds %s: a data block is fed as a whole, or not", data->name);
    diag_note(e->context, fed->span, "what is fed");
    diag_hint(e->context, "put it into a data block of its own, or into the train block");
    names_fail(e, data, &item->body);
    return false;
}

static void data_statement(Elab *e, Frame *f, DataSet *data, const AstStmt *s, Split *split,
                           const char *where)
{
    if (s->kind != AST_ASSIGN && s->kind != AST_INDEX_DEF) {
        if (s->kind == AST_FEED) data_feed(e, f, data, s);
        else diag_error(e->context, s->span, "a data block holds names and settings only");
        return;
    }
    exec_stmt(e, f, s);
    for (int i = 0; i < s->names.len; i++)
        field_add(e, f, data, split, s->names.data[i], where);
}

static void data_fractions(Elab *e, Frame *f, DataSet *data, const AstStmt *s)
{
    Value v = eval_expr(e, f, s->values.data[0]);
    if (v.kind == VALUE_ERROR) return;
    bool ok = v.kind == VALUE_LIST && v.n_items >= 2 && v.n_items <= 3;
    double sum = 0, fractions[3] = {0};
    for (int i = 0; ok && i < v.n_items; i++) {
        ok = value_is_number(&v.items[i]) && v.items[i].scalar->value >= 0;
        if (ok) sum += fractions[i] = v.items[i].scalar->value;
    }
    if (ok && fractions[0] == 0) {
        diag_error(e->context, s->span, "split leaves nothing to train on: its first fraction is 0");
        return;
    }
    if (!ok || sum < 1 - 1e-9 || sum > 1 + 1e-9) {
        diag_error(e->context, s->span, "split takes two fractions (train, test) or three (train, "
                                        "valid, test) that add up to 1%s",
                   ok ? arena_printf(e->arena, ", not to %g", sum) : "");
        diag_hint(e->context, "split: [0.8, 0.1, 0.1]");
        return;
    }
    data->drawn = true;
    data->fractions[SPLIT_TRAIN] = fractions[0];
    data->fractions[SPLIT_VALID] = v.n_items == 3 ? fractions[1] : 0;
    data->fractions[SPLIT_TEST] = fractions[v.n_items - 1];
}

static void data_setting(Elab *e, Frame *f, DataSet *data, const AstStmt *s)
{
    Name name = s->names.data[0].name;
    if (!strcmp(name, "split")) {
        data_fractions(e, f, data, s);
        return;
    }
    diag_error(e->context, s->names.data[0].span, "a data block has no setting `%s`", name);
    const char *const known[] = {"split"};
    const char *near = suggest(name, known, 1);
    if (near) diag_hint(e->context, "did you mean `%s`?", near);
}

/* Whether the examples of two fields are of the same kind: bounded axes have the same bounds. */
static bool fields_alike(const Field *a, const Field *b)
{
    bool same = a->whole->rank == b->whole->rank && a->whole->type == b->whole->type;
    for (int k = 1; same && k < a->whole->rank; k++)
        same = a->whole->shape[k].max == b->whole->shape[k].max && !a->sizes[k] == !b->sizes[k];
    return same;
}

static Name sizes_owner(const Split *split, const Field *sizes)
{
    for (int i = 0; i < split->fields.len; i++)
        for (int k = 0; k < MAX_RANK; k++)
            if (split->fields.data[i]->sizes[k] == sizes) return split->fields.data[i]->name;
    return NULL;
}

/* Whether the bounded axes of two fields are shared with the same other fields; reports if not. */
static bool fields_share(Elab *e, const DataSet *data, const Field *a, const Field *b, int part,
                         const char *name)
{
    for (int k = 1; k < a->whole->rank; k++) {
        if (!a->sizes[k] || a->sizes[k]->name == b->sizes[k]->name) continue;
        Name first = sizes_owner(&data->splits[SPLIT_TRAIN], a->sizes[k]);
        Name here = sizes_owner(&data->splits[part], b->sizes[k]);
        if (first != a->name)
            diag_error(e->context, b->span, "`%s` has rows as long as those of `%s` in the train part, and "
                       "of their own here", b->name, first);
        else
            diag_error(e->context, b->span, "`%s` has rows of their own length in the train part, and as "
                       "long as those of `%s` here", b->name, here);
        diag_hint(e->context, "in every part of the data, the same fields share their offsets: see %s",
                  name);
        return false;
    }
    return true;
}

/* The splits must have the same fields, with examples of the same kind. */
static void splits_check(Elab *e, const DataSet *data)
{
    const Split *train = &data->splits[SPLIT_TRAIN];
    static const char *const names[] = {"train", "valid", "test"};
    for (int s = SPLIT_VALID; s < SPLIT_COUNT; s++) {
        const Split *split = &data->splits[s];
        if (!split->present) continue;
        for (int i = 0; i < train->fields.len; i++) {
            const Field *a = train->fields.data[i];
            const Field *b = field_find(split, a->name);
            if (!b && a->most) continue; /* what has these sizes is compared */
            if (!b) {
                diag_error(e->context, split->span, "`%s` is missing in the %s part of %s", a->name,
                           names[s], data->name);
                continue;
            }
            if (fields_alike(a, b)) {
                fields_share(e, data, a, b, s, names[s]);
                continue;
            }
            Value va = value_of_node(e, a->whole), vb = value_of_node(e, b->whole);
            diag_error(e->context, b->span, "`%s` is %s here, but %s in the train part", b->name,
                       value_describe(e, &vb), value_describe(e, &va));
        }
    }
}

/* Puts the fields of a split into the order of the train split. */
static void split_sort(Split *split, const Split *train)
{
    for (int i = 0; i < train->fields.len && i < split->fields.len; i++)
        for (int k = i; k < split->fields.len; k++)
            if (split->fields.data[k]->name == train->fields.data[i]->name) {
                Field *swap = split->fields.data[i];
                split->fields.data[i] = split->fields.data[k];
                split->fields.data[k] = swap;
            }
}

static int split_index(Name name)
{
    return !strcmp(name, "valid") ? SPLIT_VALID : !strcmp(name, "test") ? SPLIT_TEST : SPLIT_TRAIN;
}

void elaborate_data(Elab *e, Definition *definition)
{
    const AstItem *item = definition->item;
    DataSet *data = definition->data;
    if (!feed_check(e, data, item)) return;
    bool initialising = e->initialising;
    e->initialising = true;
    Frame *common = frame_new(e, FRAME_DATA, definition->scope);
    common->item = item;
    bool parts = false;
    int errors = diag_errors(e->context);
    for (int i = 0; i < item->body.len; i++)
        parts = parts || item->body.data[i]->kind == AST_SPLIT;
    for (int i = 0; i < item->body.len; i++) {
        const AstStmt *s = item->body.data[i];
        if (s->kind == AST_SETTING) {
            data_setting(e, common, data, s);
        } else if (s->kind == AST_SPLIT) {
            Name name = s->names.data[0].name;
            Split *split = &data->splits[split_index(name)];
            split->span = s->span;
            Frame *f = frame_new(e, FRAME_DATA, definition->scope);
            f->item = item;
            f->site = split_index(name) + 1u;
            for (int k = 0; k < common->order.len; k++)
                local_bind(e, f, (AstName){common->order.data[k]->name, common->order.data[k]->span},
                           &common->order.data[k]->value);
            for (int k = 0; k < s->body.len; k++)
                data_statement(e, f, data, s->body.data[k], split, "this part");
        } else {
            Split unused = {0};
            data_statement(e, common, data, s, parts ? &unused : &data->splits[SPLIT_TRAIN],
                           "the data");
        }
    }
    e->initialising = initialising;
    if (!data->fed && diag_errors(e->context) == errors &&
        (!data->splits[SPLIT_TRAIN].present || !data->splits[SPLIT_TRAIN].count))
        diag_error(e->context, item->span, "the data set %s has no training examples", data->name);
    if (data->drawn && (data->splits[SPLIT_VALID].present || data->splits[SPLIT_TEST].present))
        diag_error(e->context, item->span, "%s has parts of its own: `split` has nothing to draw",
                   data->name);
    splits_check(e, data);
    for (int s = SPLIT_VALID; s < SPLIT_COUNT; s++)
        split_sort(&data->splits[s], &data->splits[SPLIT_TRAIN]);
}
