/* library.h -- a program as a C library for a host program. */
#ifndef NND_LIBRARY_H
#define NND_LIBRARY_H

#include "nnd_program.h"
#include "options.h"
#include "program.h"

typedef struct LibraryText {
    const char *header, *source; /* NAME.h, NAME.c */
} LibraryText;

/* Whether the program can be a library called `name`, which begins every function's name; errors
 * are reported. Takes out of the program what a library does not do: reading data. */
bool library_prepare(Program *program, const char *name);
/* The library's texts; described: the tables of the prepared program. NULLs after an error. */
LibraryText library_text(Program *program, const NndProgram *described, const char *name,
                         const Options *options);

#endif
