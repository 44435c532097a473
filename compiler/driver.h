/* driver.h -- the commands of nndc and what they share.
 *
 * A command gets a Driver and returns the exit status. What fails below reports to the context or says
 * so itself; main prints the context's diagnostics when the command has returned. */
#ifndef NND_DRIVER_H
#define NND_DRIVER_H

#include "base.h"
#include "nnd_program.h"
#include "options.h"
#include "program.h"

enum {
    STATUS_DONE = 0,
    STATUS_WRONG = 1,   /* the program or its data */
    STATUS_USAGE = 2,   /* the command line */
    STATUS_INTERNAL = 3
};

#define NND_VERSION "0.1"

typedef struct Driver {
    Context *context;
    Arena *arena; /* the context's */
    Options options;
    Arguments arguments;
    const char *command;
    const char *self; /* argv[0]: where the runtime is looked for */
} Driver;

/* --- driver_program.c ------------------------------------------------------------------------- */

/* The program of the first argument; NULL after errors, which are in the context. */
Program *driver_program(Driver *driver);
/* FILE without .nnd. */
const char *driver_stem(Driver *driver);

/* --- driver_check.c --------------------------------------------------------------------------- */

int command_check(Driver *driver);

/* --- driver_run.c ------------------------------------------------------------------------------- */

int command_train(Driver *driver);
int command_build(Driver *driver);
int command_eval(Driver *driver);
int command_predict(Driver *driver);
/* Writes the trainer's source, and compiles it unless `executable` is NULL. */
struct DescribeOptions;
bool trainer_make(Driver *driver, Program *program, const struct DescribeOptions *describe,
                  const char *source, const char *executable);
/* Runs a trainer and waits; returns its exit status. Ctrl-C is the trainer's, which stops in good
 * order. */
int trainer_run(const char *const *words);

/* --- selfcheck.c ------------------------------------------------------------------------------ */

int command_self_check(Driver *driver);

/* --- driver_compile.c ------------------------------------------------------------------------- */

typedef struct Runtime {
    const char *archive, *headers;
} Runtime;

/* Finds the runtime's library and the folder of its headers; false if they are not installed. */
bool runtime_find(Driver *driver, Runtime *runtime);
/* Writes a text to a file, all of it or nothing; false after an error. */
bool file_write(Driver *driver, const char *path, const char *text);
/* Makes the folder; one that exists is fine. */
bool folder_make(Driver *driver, const char *path);
/* A new folder for what is removed afterwards, with folder_remove. */
const char *folder_temporary(Driver *driver);
void folder_remove(Driver *driver, const char *path);
/* Compiles a trainer's source to an executable, with the runtime, or, if NULL, a source that contains
 * it; false after an error. */
bool trainer_compile(Driver *driver, const Runtime *runtime, const NndProgram *program,
                     const char *source, const char *executable);
/* Compiles a library's source to a static and a shared library. */
bool library_compile(Driver *driver, const char *source, const char *archive, const char *shared);

/* --- driver_ir.c ---------------------------------------------------------------------------------- */

int command_ir(Driver *driver);
int command_passes(Driver *driver);

/* --- doc.c ------------------------------------------------------------------------------------------ */

int command_doc(Driver *driver);

#endif
