/* libraries.h -- the libraries that only some readers of data files need. A trainer is linked with
 * those of the readers it uses. */
#ifndef NND_LIBRARIES_H
#define NND_LIBRARIES_H

#include "nnd_program.h"

typedef struct ReaderLibrary {
    const char *kind;   /* of source: "hdf5" */
    const char *macro;  /* that builds the reader into the runtime's sources */
    const char *object; /* the reader, built with it, beside the runtime's library */
    const char *cflags, *libs;
} ReaderLibrary;

enum { READER_LIBRARIES = 2 };
extern const ReaderLibrary reader_libraries[READER_LIBRARIES];

/* Whether the program reads a file of this kind. */
bool reader_library_used(const ReaderLibrary *library, const NndProgram *program);

#endif
