/* test_programs.c -- every program under tests/num and examples: its graphs keep the invariants,
 * and what is printed of them reads back to the same nodes. */
#include "describe.h"
#include "unit.h"

#include <glob.h>
#include <stdlib.h>

static void check_entry(Program *program, const Entry *entry)
{
    Arena *arena = context_arena(program->context);
    Nodes roots = {0};
    for (int i = 0; i < entry->outputs.len; i++)
        vec_push(arena, &roots, entry->outputs.data[i].node);
    for (int i = 0; i < entry->updates.len; i++)
        vec_push(arena, &roots, entry->updates.data[i].value);
    const char *fault = graph_check(arena, program->graph, roots.data, roots.len);
    if (fault) fprintf(stderr, "%s, %s: %s\n", program->path, entry->name, fault);
    CU_ASSERT_PTR_NULL(fault);
    StrBuf text = str_new(arena);
    graph_print(&text, program->graph, roots.data, NULL, roots.len);
    Nodes reach = graph_reach(arena, roots.data, roots.len);
    GraphText again;
    bool good = !roots.len || graph_read(program->graph, str_text(&text), reach.data, reach.len,
                                         &again);
    for (int i = 0; i < roots.len && good; i++)
        good = again.roots.data[i] == roots.data[i];
    if (!good)
        fprintf(stderr, "%s, %s: reads back otherwise than printed\n", program->path, entry->name);
    CU_ASSERT(good);
    diag_print(program->context, stderr);
}

static void check_file(const char *path)
{
    Context *context = context_new();
    const Source *source = source_read(context, path, NO_SPAN);
    ElaborateOptions options = {0};
    Program *program = source ? program_elaborate(context, source, &options) : NULL;
    if (!program) diag_print(context, stderr);
    CU_ASSERT_PTR_NOT_NULL(program);
    Entries entries = {0};
    if (program) entries = program_entries(program);
    for (int i = 0; i < entries.len; i++)
        check_entry(program, entries.data[i]);
    context_free(context);
}

static void check_files(const char *pattern, size_t least)
{
    glob_t found;
    CU_ASSERT_FATAL(glob(pattern, 0, NULL, &found) == 0);
    CU_ASSERT(found.gl_pathc >= least);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_file(found.gl_pathv[i]);
    globfree(&found);
}

static void test_references(void)
{
    check_files(NND_ROOT "/tests/num/*/model.nnd", 22);
}

static void test_examples(void)
{
    check_files(NND_ROOT "/examples/*/model.nnd", 7);
}

static const UnitTest tests[] = {{"references", test_references}, {"examples", test_examples}};
UNIT_MAIN("programs", tests)
