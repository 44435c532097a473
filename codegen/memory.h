/* memory.h -- how much memory a program takes, known before it runs. */
#ifndef NND_MEMORY_H
#define NND_MEMORY_H

#include "emit_c.h"
#include "nnd_program.h"

NndMemory memory_of(const NndProgram *described, const CProgram *c);
/* What is computed a second time for lack of memory, as a sentence; NULL: nothing. */
const char *memory_again(Program *program, const CProgram *c);
/* Makes the entries compute things again rather than keep them, if the program takes more than `most` bytes. */
void memory_fit(const NndProgram *described, CProgram *c, int64_t most);
/* An error that names the largest tensors where the program takes more than `most` bytes. */
void memory_check(Program *program, const NndProgram *described, const CProgram *c, int64_t most);

#endif
