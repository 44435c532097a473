/* reference.h -- runs a program by the reference evaluator, with the runtime around it. */
#ifndef NND_REFERENCE_H
#define NND_REFERENCE_H

#include "nnd_program.h"
#include "program.h"

/* Does what the program's compiled trainer would do with these options, in double precision, by
 * plain loops over the graphs. `described` was made with real_f64. Returns the exit status. */
int reference_run(Program *program, const NndProgram *described, const NndOptions *options);

#endif
