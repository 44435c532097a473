/* names.c -- lists of names. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>

int nnd_names_add(NndNames *names, const char *name, size_t length, NndError *error)
{
    if (names->count == names->capacity) {
        int capacity = 2 * names->capacity + 16;
        char **grown = realloc(names->names, (size_t)capacity * sizeof *grown);
        if (grown == NULL) return nnd_error(error, "out of memory");
        names->names = grown;
        names->capacity = capacity;
    }
    char *copy = malloc(length + 1);
    if (copy == NULL) return nnd_error(error, "out of memory");
    memcpy(copy, name, length);
    copy[length] = 0;
    names->names[names->count++] = copy;
    return 0;
}

void nnd_names_free(NndNames *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (NndNames){.names = NULL};
}
