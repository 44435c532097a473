/* pipeline.c -- runs the passes of passes.def over an entry. */
#include "kernel.h"

const PassInfo pass_table[PASS_COUNT] = {
#define PASS(NAME, LEVEL, DOC) {#NAME, LEVEL, DOC, pass_##NAME},
#include "passes.def"
#undef PASS
};

Lowered *entry_compile(Program *program, Entry *entry, const Options *options)
{
    Lowered *l = entry_lower(program, entry, options);
    for (int i = 0; i < PASS_COUNT; i++) {
        if (options->optimize < pass_table[i].level) continue;
        pass_table[i].run(l);
        kernels_verify(l, pass_table[i].name);
    }
    return l;
}
