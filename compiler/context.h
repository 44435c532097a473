/* context.h -- the inside of a Context; for base.c, place.c and diag.c only. */
#ifndef NND_CONTEXT_H
#define NND_CONTEXT_H

#include "base.h"

struct NameEntry {
    struct NameEntry *next;
    uint64_t hash;
    size_t len;
    char text[];
};

typedef struct Note {
    Span span;
    const char *text;
} Note;

typedef struct Diagnostic {
    Severity severity;
    Span span;
    const char *text;
    const char *hint; /* or NULL */
    VEC(Note) notes;
    int order; /* as reported, to keep equal places in order */
} Diagnostic;

/* A call of a library function that stands in the user's text. */
typedef struct LibraryCall {
    Span place;
    const char *function;
} LibraryCall;

struct Context {
    Arena *arena;
    struct NameEntry **names;
    int names_len, names_cap;
    VEC(Source *) sources;
    VEC(LibraryCall) calls; /* number 0: none */
    VEC(Diagnostic) diagnostics;
    int latest; /* the diagnostic that hints and notes belong to */
    int errors;
};

#endif
