/* target.c -- what register tiles need to know of the machine that a program is made for: the
 * option --isa, as a row of rt/isa.h. */
#include "kernel.h"

NndIsa options_isa(const Options *options)
{
    for (int i = 0; options->isa && i < NND_ISA_COUNT; i++)
        if (!strcmp(options->isa, nnd_isa_info((NndIsa)i)->name)) return (NndIsa)i;
    return NND_ISA_NATIVE;
}

bool options_f64(const Options *options)
{
    return strcmp(options->real, "f64") == 0;
}

int target_lanes(const Lowered *l)
{
    return nnd_isa_info(options_isa(l->options))->bytes / (options_f64(l->options) ? 8 : 4);
}

int target_columns(const Lowered *l)
{
    return nnd_isa_info(options_isa(l->options))->registers >= 32 ? MAX_COLUMNS : 2;
}

int target_rows(const Lowered *l, int columns)
{
    int registers = nnd_isa_info(options_isa(l->options))->registers;
    int rows = (registers - columns - 1) / columns;
    return rows < MAX_ROWS ? rows : MAX_ROWS;
}
