/* pipeline.c -- runs the passes of passes.def over an entry. */
#include "kernel.h"

const PassInfo pass_table[PASS_COUNT] = {
#define PASS(NAME, LEVEL, DOC) {#NAME, LEVEL, DOC, pass_##NAME},
#include "passes.def"
#undef PASS
};

static Lowered *compile_once(Program *program, Entry *entry, const Options *options, int64_t most)
{
    Lowered *l = entry_lower(program, entry, options);
    l->arena_most = most;
    for (int i = 0; i < PASS_COUNT; i++) {
        if (options->optimize < pass_table[i].level) continue;
        pass_table[i].run(l);
        kernels_verify(l, pass_table[i].name);
    }
    return l;
}

/* How much lies unused between tensors is known when there is a plan. */
Lowered *entry_compile(Program *program, Entry *entry, const Options *options, int64_t most)
{
    enum { TRIES = 4 };
    int64_t wanted = most;
    Lowered *l = compile_once(program, entry, options, most);
    for (int i = 1; i < TRIES && l->arena_reached && l->arena_size > most; i++) {
        wanted -= l->arena_size - most;
        if (wanted <= 0) break;
        l = compile_once(program, entry, options, wanted);
    }
    return l;
}
