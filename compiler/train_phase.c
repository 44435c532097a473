/* train_phase.c -- `phase NAME { }`: phases run one after the other, each as a train block of its own. It has
 * the statements of the block around it, in their order, without those of the other phases; settings of the
 * block are its defaults. So step, epoch, optimiser states, reports and checkpoints are a phase's own. */
#include "elaborate_train.h"

static bool is_length(const AstStmt *s)
{
    return !strcmp(s->names.data[0].name, "steps") || !strcmp(s->names.data[0].name, "epochs");
}

/* Whether the phase sets what a setting of the block sets; how long to train is one thing. */
static bool sets_anew(const AstStmt *phase, const AstStmt *setting)
{
    for (int i = 0; i < phase->body.len; i++) {
        const AstStmt *s = phase->body.data[i];
        if (s->kind != AST_SETTING) continue;
        if (s->names.data[0].name == setting->names.data[0].name) return true;
        if (is_length(s) && is_length(setting)) return true;
    }
    return false;
}

static AstItem *phase_item(Elab *e, const AstItem *block, const AstStmt *phase)
{
    AstItem *item = arena_copy(e->arena, block, sizeof *block);
    item->name.name = name_printf(e->context, "%s.%s", block->name.name, phase->names.data[0].name);
    item->name.span = phase->names.data[0].span;
    item->span = phase->span;
    item->body = (AstBlock){0};
    for (int i = 0; i < block->body.len; i++) {
        AstStmt *s = block->body.data[i];
        if (s->kind == AST_SETTING && sets_anew(phase, s)) continue;
        if (s->kind != AST_PHASE) vec_push(e->arena, &item->body, s);
        for (int k = 0; s == phase && k < phase->body.len; k++)
            vec_push(e->arena, &item->body, phase->body.data[k]);
    }
    return item;
}

/* Phases follow each other: none stands in another statement, and each has a name of its own. */
static void phases_check(Elab *e, const AstBlock *block, bool inside)
{
    for (int i = 0; i < block->len; i++) {
        const AstStmt *s = block->data[i];
        if (s->kind == AST_PHASE && inside)
            diag_error(e->context, s->span, "a phase stands at the top of a train block, not inside of a statement");
        for (int k = 0; k < i && !inside && s->kind == AST_PHASE; k++) {
            const AstStmt *other = block->data[k];
            if (other->kind != AST_PHASE || other->names.data[0].name != s->names.data[0].name) continue;
            diag_error(e->context, s->names.data[0].span, "there are two phases `%s`", s->names.data[0].name);
            diag_note(e->context, other->names.data[0].span, "the first one");
        }
        phases_check(e, &s->body, true);
        phases_check(e, &s->otherwise, true);
    }
}

/* The name as a C identifier that no other train block has. */
static Name identifier_of(Elab *e, Name name)
{
    char *text = arena_strdup(e->arena, name);
    for (char *c = text; *c; c++)
        if (*c == '.') *c = '_';
    for (;;) {
        Name identifier = name_of(e->context, text);
        const Definition *d = map_get(&e->main->names, identifier);
        bool taken = identifier != name && d && d->item && d->item->kind == AST_TRAIN;
        for (int i = 0; i < e->program->trains.len; i++)
            taken = taken || e->program->trains.data[i]->identifier == identifier;
        if (!taken) return identifier;
        text = arena_printf(e->arena, "%s_", text);
    }
}

void elaborate_train(Elab *e, const Definition *definition)
{
    const AstItem *block = definition->item;
    int errors = diag_errors(e->context);
    bool phases = false;
    phases_check(e, &block->body, false);
    for (int i = 0; i < block->body.len && diag_errors(e->context) == errors; i++) {
        const AstStmt *s = block->body.data[i];
        if (s->kind != AST_PHASE) continue;
        Definition *phase = arena_copy(e->arena, definition, sizeof *definition);
        phase->item = phase_item(e, block, s);
        phase->name = phase->item->name.name;
        elaborate_train_block(e, phase, identifier_of(e, phase->name));
        phases = true;
    }
    if (!phases && diag_errors(e->context) == errors)
        elaborate_train_block(e, definition, identifier_of(e, definition->name));
}
