/* driver_ir.c -- `nndc ir`: the graph of each entry as text, or its kernels after a pass; `nndc
 * passes`. */
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

static void stream_print(Driver *driver, const Program *program, const Stream *stream)
{
    if (!stream) return;
    if (stream->reset) entry_print(driver, program, stream->reset);
    for (int i = 0; i < stream->passes.len; i++)
        entry_print(driver, program, stream->passes.data[i]);
    entry_print(driver, program, stream->finish);
}

int command_ir(Driver *driver)
{
    Program *program = driver_program(driver);
    if (!program) return STATUS_WRONG;
    if (program->init) entry_print(driver, program, program->init);
    for (int i = 0; i < program->trains.len; i++) {
        const Train *train = program->trains.data[i];
        for (int k = 0; k < train->fits.len; k++)
            stream_print(driver, program, train->fits.data[k]);
        entry_print(driver, program, train->step);
        stream_print(driver, program, train->report);
    }
    for (int i = 0; i < program->models.len; i++)
        if (program->models.data[i]->entry)
            entry_print(driver, program, program->models.data[i]->entry);
    return STATUS_DONE;
}

int command_passes(Driver *driver)
{
    (void)driver;
    for (int i = 0; i < PASS_COUNT; i++)
        printf("%-12s -O%d  %s\n", pass_table[i].name, pass_table[i].level, pass_table[i].doc);
    return STATUS_DONE;
}
