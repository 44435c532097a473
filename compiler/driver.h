/* driver.h -- the commands of nndc and what they share.
 *
 * A command gets a Driver and returns the exit status: 0 done, 1 the program or its data is wrong,
 * 2 the command line is. What fails below reports to the context or says so itself; main prints the
 * context's diagnostics when the command has returned. */
#ifndef NND_DRIVER_H
#define NND_DRIVER_H

#include "base.h"
#include "options.h"

enum { STATUS_DONE = 0, STATUS_WRONG = 1, STATUS_USAGE = 2, STATUS_INTERNAL = 3 };

#define NND_VERSION "0.1"

typedef struct Driver {
    Context *context;
    Arena *arena; /* the context's */
    Options options;
    Arguments arguments;
    const char *self; /* argv[0]: where the runtime is looked for */
} Driver;

/* --- driver_check.c ----------------------------------------------------------------------------- */

int command_check(Driver *driver);

/* --- doc.c -------------------------------------------------------------------------------------- */

int command_doc(Driver *driver);

#endif
