/* trainer.h -- a whole program as one C file. */
#ifndef NND_TRAINER_H
#define NND_TRAINER_H

#include "nnd_program.h"
#include "options.h"
#include "program.h"

/* The text of a C11 program that trains, evaluates and predicts; described: the program's tables.
 * It includes the runtime's headers and wants its library, or, if options->amalgamate, contains
 * both. An error where it takes more than options->max_memory. */
const char *trainer_text(Program *program, const NndProgram *described, const Options *options);

/* The same without the runtime and main: it ends with the table `program`. */
const char *program_text(Program *program, const NndProgram *described, const Options *options);

#endif
