/* embedded.h -- files that travel inside the compiler: the library (lang/std) and the runtime's
 * sources (rt), written to $(BUILD)/embedded.c by tools/embed.sh. */
#ifndef NND_EMBEDDED_H
#define NND_EMBEDDED_H

#include <stddef.h>

typedef struct EmbeddedFile {
    const char *path; /* as in the repository: "lang/std/losses.nnd" */
    const char *text; /* NUL-terminated */
    size_t size;      /* without the NUL */
} EmbeddedFile;

extern const EmbeddedFile nnd_embedded[]; /* ends with a NULL path */

#endif
