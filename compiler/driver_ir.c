/* driver_ir.c -- `nndc ir`: the graph of each entry as text, or its kernels after a pass; `nndc
 * passes`. */
#include "c_text.h"
#include "describe.h"
#include "driver.h"
#include "kernel.h"

static void entry_print(Driver *driver, const Program *program, const Entry *entry)
{
    VEC(const Node *) roots = {0};
    VEC(Name) names = {0};
    StrBuf out = str_new(driver->arena);
    for (int i = 0; i < entry->outputs.len; i++) {
        vec_push(driver->arena, &roots, entry->outputs.data[i].node);
        vec_push(driver->arena, &names, entry->outputs.data[i].name);
    }
    for (int i = 0; i < entry->updates.len; i++) {
        vec_push(driver->arena, &roots, entry->updates.data[i].value);
        vec_push(driver->arena, &names, entry->updates.data[i].target->path);
    }
    if (!roots.len) return;
    graph_print(&out, program->graph, roots.data, names.data, roots.len);
    printf("# %s\n%s\n", entry->name, str_text(&out));
}

/* The kernels of an entry as they are after a pass. */
static void kernels_print(Driver *driver, Program *program, Entry *entry)
{
    Lowered *l = entry_lower(program, entry, &driver->options);
    for (int i = 0; i < PASS_COUNT; i++) {
        if (driver->options.optimize >= pass_table[i].level) pass_table[i].run(l);
        if (!strcmp(pass_table[i].name, driver->options.after)) break;
    }
    Out out = out_new(driver->arena);
    for (int i = 0; i < l->kernels.len; i++) {
        const Kernel *kernel = l->kernels.data[i];
        c_kernel(&out, l, kernel, arena_printf(driver->arena, "kernel_%s", kernel->name));
        out_blank(&out);
    }
    printf("# %s: %d kernels, %lld bytes of work memory\n%s", entry->name, l->kernels.len,
           (long long)l->arena_size, str_text(&out.text));
}

static bool pass_known(const char *name)
{
    const char *names[PASS_COUNT];
    for (int i = 0; i < PASS_COUNT; i++) {
        names[i] = pass_table[i].name;
        if (!strcmp(names[i], name)) return true;
    }
    const char *near = suggest(name, names, PASS_COUNT);
    fprintf(stderr, "nndc: error: there is no pass `%s`\n", name);
    if (near)
        fprintf(stderr, "hint: did you mean `%s`?\n", near);
    else
        fprintf(stderr, "hint: `nndc passes` lists them\n");
    return false;
}

int command_ir(Driver *driver)
{
    if (driver->options.after && !pass_known(driver->options.after)) return STATUS_USAGE;
    Program *program = driver_program(driver);
    if (!program) return STATUS_WRONG;
    Entries entries = program_entries(program);
    for (int i = 0; i < entries.len; i++) {
        if (driver->options.after)
            kernels_print(driver, program, entries.data[i]);
        else
            entry_print(driver, program, entries.data[i]);
    }
    return STATUS_DONE;
}

int command_passes(Driver *driver)
{
    (void)driver;
    for (int i = 0; i < PASS_COUNT; i++)
        printf("%-12s -O%d  %s\n", pass_table[i].name, pass_table[i].level, pass_table[i].doc);
    return STATUS_DONE;
}
