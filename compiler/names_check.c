/* names_check.c -- unknown names: what to suggest for one, and a look at the bodies that no call reached, which
 * elaboration never sees. There a name counts as known if anything in the body binds it. */
#include "elaborate.h"

#include <stdlib.h>

static int word_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

typedef VEC(const char *) Words;

static void words_of_scope(Elab *e, Words *words, const Scope *scope)
{
    for (int i = 0; i < scope->names.cap; i++)
        if (scope->names.slots[i].value) vec_push(e->arena, words, scope->names.slots[i].key);
}

void name_unknown(Elab *e, const Scope *scope, AstName name, const char *const *local, int n_local)
{
    static const char *const reductions[] = {"sum", "mean", "prod", "max", "min", "argmax", "argmin"};
    Words words = {0};
    for (int i = 0; i < n_local; i++)
        vec_push(e->arena, &words, local[i]);
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++)
        vec_push(e->arena, &words, reductions[i]);
    for (const Scope *s = scope; s; s = s->outer) {
        words_of_scope(e, &words, s);
        for (int i = 0; i < s->imports.len; i++)
            words_of_scope(e, &words, s->imports.data[i]);
    }
    /* A table's order depends on addresses; the suggestion must not. */
    qsort(words.data, (size_t)words.len, sizeof *words.data, word_compare);
    const char *near = suggest(name.name, words.data, words.len);
    diag_error(e->context, name.span, "unknown name `%s`", name.name);
    if (near) diag_hint(e->context, "did you mean `%s`?", near);
}

typedef struct Check {
    Elab *e;
    const Scope *scope;
    Map bound;
    Words words;
} Check;

static void bind_name(Check *c, Name name)
{
    if (!name || map_get(&c->bound, name)) return;
    map_put(&c->bound, name, c);
    vec_push(c->e->arena, &c->words, name);
}

static void bind_indices(Check *c, const AstIndices *indices)
{
    for (int i = 0; i < indices->len; i++)
        bind_name(c, indices->data[i].name);
}

static void bind_reduce(void *data, const AstExpr *x)
{
    if (x->kind == AST_REDUCE) bind_indices(data, &x->reduce.indices);
}

static void bind_block(Check *c, const AstBlock *block)
{
    for (int i = 0; i < block->len; i++) {
        const AstStmt *s = block->data[i];
        for (int k = 0; k < s->names.len; k++)
            bind_name(c, s->names.data[k].name);
        bind_indices(c, &s->indices);
        for (int k = 0; k < s->carries.len; k++)
            bind_name(c, s->carries.data[k].name.name);
        bind_block(c, &s->body);
        bind_block(c, &s->otherwise);
    }
}

static void bind_type(Check *c, const AstType *type)
{
    for (int i = 0; type && i < type->dims.len; i++) {
        const AstDim *d = &type->dims.data[i];
        bind_name(c, d->rest);
        bind_name(c, d->bounded);
        if (d->size && d->size->kind == AST_NAME) bind_name(c, d->size->name);
    }
}

static void check_name(void *data, const AstExpr *x)
{
    Check *c = data;
    if (x->kind != AST_NAME || map_get(&c->bound, x->name) || scope_find(c->scope, x->name)) return;
    name_unknown(c->e, c->scope, (AstName){x->name, x->span}, c->words.data, c->words.len);
}

static void check_item(Elab *e, const Scope *scope, const AstItem *item)
{
    static const char *const special[] = {"training", "pi", "inf", "each"};
    static const char *const element[] = {"p", "g", "t"};
    Check c = {.e = e, .scope = scope, .bound = map_new(e->arena)};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        bind_name(&c, name_of(e->context, special[i]));
    for (size_t i = 0; item->kind == AST_OPTIMIZER && i < 3; i++)
        bind_name(&c, name_of(e->context, element[i]));
    for (int i = 0; i < item->params.len; i++) {
        bind_name(&c, item->params.data[i].name.name);
        bind_type(&c, item->params.data[i].type);
    }
    bind_block(&c, &item->body);
    ast_walk_item(item, bind_reduce, &c);
    ast_walk_item(item, check_name, &c);
}

void names_check(Elab *e, const Scope *scope)
{
    for (int i = 0; i < scope->names.cap; i++) {
        const Definition *d = scope->names.slots[i].value;
        const AstItem *item = d ? d->item : NULL;
        if (!item || map_get(&e->reached, item)) continue;
        if (item->kind == AST_FN || item->kind == AST_LAYER || item->kind == AST_MODEL ||
            item->kind == AST_OPTIMIZER)
            check_item(e, scope, item);
    }
}
