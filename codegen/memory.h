/* memory.h -- how much memory a program takes, known before it runs. */
#ifndef NND_MEMORY_H
#define NND_MEMORY_H

#include "emit_c.h"
#include "nnd_program.h"

/* Bytes. */
typedef struct Memory {
    int64_t kept[NND_SCRATCH + 1]; /* by NndKept */
    int64_t work;                  /* of the entry that needs most: they share it */
    int64_t results;               /* the outputs of all entries */
    int64_t batch;                 /* examples gathered for the entry that takes most */
    int64_t data;                  /* files, and fields that are computed */
} Memory;

Memory memory_of(const NndProgram *described, const CProgram *c);
int64_t memory_total(const Memory *memory);
/* "58.3 MiB: parameters 2.6 MiB, ..., data 52.5 MiB" */
const char *memory_text(Arena *arena, const Memory *memory);
/* An error that names the largest tensors where the program takes more than `most` bytes. */
void memory_check(Program *program, const NndProgram *described, const CProgram *c, int64_t most);

#endif
