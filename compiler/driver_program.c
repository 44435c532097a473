/* driver_program.c -- from a command line to a program. */
#include "driver.h"
#include "ast.h"

const char *driver_stem(Driver *driver)
{
    const char *path = driver->arguments.data[0];
    size_t len = strlen(path);
    if (len > 4 && !strcmp(path + len - 4, ".nnd")) len -= 4;
    return arena_printf(driver->arena, "%.*s", (int)len, path);
}

static const Setting *settings_read(Driver *driver)
{
    const OptionList *list = &driver->options.set;
    Setting *settings = NEW_ARRAY(driver->arena, Setting, list->len + 1);
    for (int i = 0; i < list->len; i++) {
        const char *equals = strchr(list->data[i], '=');
        settings[i].name =
            arena_printf(driver->arena, "%.*s", (int)(equals - list->data[i]), list->data[i]);
        settings[i].value = equals + 1;
    }
    return settings;
}

/* The names that --set may give a value: consts, and settings of train and data blocks. */
static void settings_check(Driver *driver, const AstFile *file, const Setting *settings)
{
    static const char *const of_blocks[] = {"batch",   "epochs", "steps",    "seed",
                                            "shuffle", "clip",   "evaluate", "patience"};
    VEC(const char *) names = {0};
    for (size_t i = 0; i < sizeof of_blocks / sizeof *of_blocks; i++)
        vec_push(driver->arena, &names, of_blocks[i]);
    for (int i = 0; i < file->items.len; i++)
        if (file->items.data[i]->kind == AST_CONST)
            vec_push(driver->arena, &names, file->items.data[i]->name.name);
    for (int k = 0; k < driver->options.set.len; k++) {
        bool known = false;
        for (int i = 0; i < names.len && !known; i++)
            known = !strcmp(names.data[i], settings[k].name);
        if (known) continue;
        diag_error(driver->context, NO_SPAN, "--set: there is no constant or setting `%s`",
                   settings[k].name);
        const char *near = suggest(settings[k].name, names.data, names.len);
        if (near) diag_hint(driver->context, "did you mean `%s`?", near);
    }
}

/* --only names a train block, or one of its phases: NAME.PHASE. */
static void only_check(Driver *driver, const AstFile *file)
{
    VEC(const char *) names = {0};
    const char *only = driver->options.only;
    if (!only) return;
    for (int i = 0; i < file->items.len; i++) {
        const AstItem *item = file->items.data[i];
        if (item->kind != AST_TRAIN) continue;
        vec_push(driver->arena, &names, item->name.name);
        for (int k = 0; k < item->body.len; k++)
            if (item->body.data[k]->kind == AST_PHASE)
                vec_push(driver->arena, &names,
                         arena_printf(driver->arena, "%s.%s", item->name.name,
                                      item->body.data[k]->names.data[0].name));
    }
    for (int i = 0; i < names.len; i++)
        if (!strcmp(only, names.data[i])) return;
    diag_error(driver->context, NO_SPAN, "--only: there is no train block `%s`", only);
    const char *near = suggest(only, names.data, names.len);
    if (near) diag_hint(driver->context, "did you mean `%s`?", near);
}

/* Every `# expect:` line names a report, alone or with its block, or block and phase. */
static void expects_check(Driver *driver, const Program *program)
{
    VEC(const char *) names = {0};
    for (int i = 0; i < program->trains.len; i++) {
        const Stream *report = program->trains.data[i]->report;
        const char *train = program->trains.data[i]->name;
        int block = (int)strcspn(train, ".");
        for (int k = 0; report && k < report->finish->outputs.len; k++) {
            const char *name = report->finish->outputs.data[k].name;
            vec_push(driver->arena, &names, name);
            vec_push(driver->arena, &names, arena_printf(driver->arena, "%s.%s", train, name));
            if (train[block])
                vec_push(driver->arena, &names,
                         arena_printf(driver->arena, "%.*s.%s", block, train, name));
        }
    }
    for (int i = 0; i < program->expects.len; i++) {
        const Expect *expect = &program->expects.data[i];
        bool known = driver->options.only != NULL; /* other blocks are not there */
        for (int k = 0; k < names.len && !known; k++)
            known = !strcmp(names.data[k], expect->report);
        if (known) continue;
        diag_error(driver->context, expect->span, "no train block reports `%s`", expect->report);
        const char *near = suggest(expect->report, names.data, names.len);
        if (near) diag_hint(driver->context, "did you mean `%s`?", near);
    }
}

Program *driver_program(Driver *driver)
{
    const Source *source = source_read(driver->context, driver->arguments.data[0], NO_SPAN);
    if (!source) return NULL;
    const AstFile *file = parse_file(driver->context, source);
    if (diag_errors(driver->context)) return NULL;
    const Setting *settings = settings_read(driver);
    settings_check(driver, file, settings);
    only_check(driver, file);
    if (diag_errors(driver->context)) return NULL;
    ElaborateOptions options = {.settings = settings,
                                .n_settings = driver->options.set.len,
                                .real_f64 = !strcmp(driver->options.real, "f64"),
                                .only = driver->options.only};
    Program *program = program_elaborate(driver->context, source, &options);
    if (program) expects_check(driver, program);
    return diag_errors(driver->context) ? NULL : program;
}
