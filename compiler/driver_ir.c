/* driver_ir.c -- `nndc ir`: the graph of each entry as text, or its kernels after a pass; `nndc
 * passes`. */
#include "c_text.h"
#include "describe.h"
#include "driver.h"
#include "kernel.h"

/* The graph of an entry with these roots: its outputs, then the values of its updates. */
static void graph_text(Driver *driver, const Program *program, const Entry *entry,
                       const Node *const *roots)
{
    int n = entry->outputs.len + entry->updates.len;
    Name *names = NEW_ARRAY(driver->arena, Name, n + 1);
    StrBuf out = str_new(driver->arena);
    if (!n) return;
    for (int i = 0; i < n; i++)
        names[i] = i < entry->outputs.len
                       ? entry->outputs.data[i].name
                       : entry->updates.data[i - entry->outputs.len].target->path;
    graph_print(&out, program->graph, roots, names, n);
    printf("# %s\n%s\n", entry->name, str_text(&out));
}

static void entry_print(Driver *driver, Program *program, Entry *entry)
{
    graph_text(driver, program, entry, entry_lower(program, entry, &driver->options)->roots);
}

static const char *buffer_name(void *data, const Buffer *b)
{
    (void)data;
    return b->name;
}

static void kernel_print(Driver *driver, Out *out, Lowered *l, const Kernel *kernel)
{
    const Loop *loop = kernel->loop;
    if (kernel->when->nodes.len && kernel->kind != KERNEL_END)
        out_line(out, "# if %s", c_outer_condition(l, kernel->when, buffer_name, NULL));
    const char *time = loop ? buffer_get(l, graph_time(l->g, loop))->name : NULL;
    switch (kernel->kind) {
    case KERNEL_WORK:
        c_kernel(out, NULL, l, kernel, arena_printf(driver->arena, "kernel_%s", kernel->name));
        break;
    case KERNEL_BEGIN:
        out_line(out, "# steps %s < %s%s", time,
                 c_outer_extent(out, l, loop->extent, buffer_name, NULL),
                 loop->reversed ? " reversed" : "");
        break;
    case KERNEL_END: out_line(out, "# end of steps %s", time); break;
    }
    out_blank(out);
}

/* An entry as it is after a pass: its graph, or its kernels where there are some. */
static void after_print(Driver *driver, Program *program, Entry *entry)
{
    Lowered *l = entry_lower(program, entry, &driver->options);
    l->arena_most = driver->options.max_memory;
    for (int i = 0; i < PASS_COUNT; i++) {
        if (driver->options.optimize >= pass_table[i].level) pass_table[i].run(l);
        if (!strcmp(pass_table[i].name, driver->options.after)) break;
    }
    if (!l->kernels.len) {
        graph_text(driver, program, entry, l->roots);
        return;
    }
    Out out = out_new(driver->arena);
    int count = 0;
    for (int i = 0; i < l->kernels.len; i++) {
        const Kernel *kernel = l->kernels.data[i];
        kernel_print(driver, &out, l, kernel);
        count += kernel->kind == KERNEL_WORK;
    }
    printf("# %s: %d kernels, %lld bytes of work memory, of which %lld live at the same time\n%s",
           entry->name, count, (long long)l->arena_size, (long long)l->arena_bound,
           str_text(&out.text));
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
            after_print(driver, program, entries.data[i]);
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
