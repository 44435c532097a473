/* amalgamate.h -- emitted C that contains the runtime. */
#ifndef NND_AMALGAMATE_H
#define NND_AMALGAMATE_H

#include "base.h"

typedef enum RuntimePart {
    RUNTIME_PROGRAM, /* of programs with a main function */
    RUNTIME_HOST     /* of libraries: no files but checkpoints, so no zlib */
} RuntimePart;

/* The definitions of macros, the sources of the runtime, then the text: one file that needs nothing else. All functions of the
 * runtime are static in it, so that two such files can be linked into one program. */
const char *amalgamate(Arena *arena, RuntimePart part, const char *defines, const char *text);

#endif
