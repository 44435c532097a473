/* describe.h -- a program as the tables that the runtime works by (rt/nnd_program.h). */
#ifndef NND_DESCRIBE_H
#define NND_DESCRIBE_H

#include "nnd_program.h"
#include "program.h"

typedef struct DescribeOptions {
    const char *name;   /* what run folders are called by, without .run */
    const char *folder; /* where relative paths of data begin */
    bool real_f64;
} DescribeOptions;

/* All tables, in the arena of the program's context; names and texts are shared with it. The
 * entries have no `run` yet; their `data` is the Entry. NULL after an error, which has been
 * reported. */
const NndProgram *program_describe(Program *program, const DescribeOptions *options);
/* The leaves that an entry reads from outside, in the order of its inputs: those of a model's own
 * inputs, then fields and files in order of creation. */
Nodes entry_inputs(Program *program, const Entry *entry);
/* All entries of a program, each once, in a fixed order. */
typedef VEC(Entry *) Entries;
Entries program_entries(Program *program);
/* The type in the runtime. */
NndType describe_type(ElemType type, bool real_f64);

#endif
