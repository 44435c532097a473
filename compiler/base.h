/* base.h -- what every part of the compiler stands on: arenas, interned names, vectors, a hash map,
 * a string builder, sources, spans and diagnostics.
 *
 * All state hangs on a Context; two compilations in one process do not meet. Memory comes from the
 * context's arenas and is freed with them, never piece by piece. */
#ifndef NND_BASE_H
#define NND_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__GNUC__)
#define NND_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define NND_NORETURN __attribute__((noreturn))
#else
#define NND_PRINTF(text, first)
#define NND_NORETURN
#endif

/* --- arenas: memory by lifetime ------------------------------------------------------------- */

typedef struct Arena Arena;

Arena *arena_new(void);
/* An arena that begins in memory of the caller's, `max_align_t room[ARENA_ROOM]`: for short walks, most of
 * which need no more. */
Arena *arena_within(void *memory, size_t size);
enum { ARENA_ROOM = 64 };
void arena_free(Arena *arena);
/* Zeroed memory, aligned for any type, that lives as long as the arena. */
void *arena_alloc(Arena *arena, size_t size);
/* A copy of `size` bytes. */
void *arena_copy(Arena *arena, const void *data, size_t size);
char *arena_strdup(Arena *arena, const char *text);
char *arena_printf(Arena *arena, const char *format, ...) NND_PRINTF(2, 3);
char *arena_vprintf(Arena *arena, const char *format, va_list args) NND_PRINTF(2, 0);
#define NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define NEW_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

/* The machine failed (no memory, an output that cannot be written): says so, exits with status 3. */
void die(const char *format, ...) NND_PRINTF(1, 2) NND_NORETURN;

/* --- vectors -------------------------------------------------------------------------------- */

/* VEC(int) v = {0}; vec_push(arena, &v, 3); v.data[i], v.len. Grows inside the arena. */
#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *data;                                                                                \
        int len, cap;                                                                              \
    }
#define vec_push(arena, vec, value)                                                                \
    do {                                                                                           \
        (vec)->data = vec_grow((arena), (vec)->data, (vec)->len, &(vec)->cap,                      \
                               sizeof(*(vec)->data));                                              \
        (vec)->data[(vec)->len++] = (value);                                                       \
    } while (0)
void *vec_grow(Arena *arena, void *data, int len, int *cap, size_t item);

/* --- interned names ------------------------------------------------------------------------- */

typedef struct Context Context;

/* Equal names are the same pointer: compare with ==. NUL-terminated, valid as long as the context. */
typedef const char *Name;

/* --- a map from pointers (or small integers) to pointers -------------------------------------- */

typedef struct Map {
    Arena *arena;
    struct MapSlot {
        const void *key;
        void *value;
    } *slots;
    int len, cap;
} Map;

Map map_new(Arena *arena);
void *map_get(const Map *map, const void *key); /* NULL if absent */
void map_put(Map *map, const void *key, void *value);

/* --- identifiers of which each is given once --------------------------------------------------- */

typedef struct NameSet {
    Context *context;
    Map next; /* from a Name that is taken to the number with which its next variant may be free */
} NameSet;

NameSet names_new(Context *context, Arena *arena);
void names_take(NameSet *names, const char *text);
/* `wanted`, or the first of wanted_2, wanted_3, ... that is free; takes it. */
Name names_fresh(NameSet *names, const char *wanted);

/* --- string builder --------------------------------------------------------------------------- */

typedef struct StrBuf {
    Arena *arena;
    char *text; /* NUL-terminated once something was added */
    size_t len, cap;
} StrBuf;

StrBuf str_new(Arena *arena);
void str_add(StrBuf *s, const char *text);
void str_add_n(StrBuf *s, const char *text, size_t n);
void str_printf(StrBuf *s, const char *format, ...) NND_PRINTF(2, 3);
/* The text so far; "" if nothing was added. */
const char *str_text(const StrBuf *s);

/* --- context, sources, spans ------------------------------------------------------------------- */

typedef struct Source {
    const char *path; /* as messages show it */
    const char *text; /* NUL-terminated */
    size_t size;
    int index;        /* its number in the context */
    bool library;     /* part of the embedded library */
} Source;

/* A stretch of source; line and column count from 1; line 0: no place. The end is exclusive. */
typedef struct Span {
    int source;
    int line, col;
    int end_line, end_col;
    int call; /* in the library: the call in the user's text that led here (span_call_new); 0: not known */
} Span;

#define NO_SPAN ((Span){0})

Context *context_new(void);
void context_free(Context *context);
Arena *context_arena(Context *context); /* lives as long as the context */
Name name_intern(Context *context, const char *text, size_t len);
Name name_of(Context *context, const char *text);
Name name_printf(Context *context, const char *format, ...) NND_PRINTF(2, 3);

/* Adds a source text under a path; the text is copied. */
const Source *source_add(Context *context, const char *path, const char *text, size_t size,
                         bool library);
/* Reads a file; NULL and a diagnostic at `from` if it cannot be read. */
const Source *source_read(Context *context, const char *path, Span from);
const Source *source_get(const Context *context, int index);
/* The stretch from the beginning of a to the end of b. */
Span span_join(Span a, Span b);

/* --- places (place.c) --------------------------------------------------------------------------- */

/* "file.nnd:12", for comments in emitted code. */
const char *span_place(Context *context, Span span);
/* The number, from 1, of a call of the library's function that stands in the user's text. */
int span_call_new(Context *context, Span place, const char *function);
/* The place in the user's text that led to the span, and the library's function called there; the span itself and
 * NULL if it is the user's. */
Span span_users(const Context *context, Span span, const char **function);
/* "file.nnd:12" or "file.nnd:12: in conv2d()": the user's line, for messages of running programs. */
const char *span_users_place(Context *context, Span span);
/* "file.nnd:12: in cross_entropy(), `label`": the same with the subscript of an element like x[label]. */
const char *span_subscript(Context *context, Span span);
/* The text of a stretch within one line and its length; NULL for others. */
const char *span_source(const Context *context, Span span, int *length);

/* --- diagnostics: report and go on --------------------------------------------------------------- */

typedef enum Severity { DIAG_ERROR, DIAG_WARNING } Severity;

/* Records an error at a place; compilation goes on to find more. */
void diag_error(Context *context, Span span, const char *format, ...) NND_PRINTF(3, 4);
void diag_warning(Context *context, Span span, const char *format, ...) NND_PRINTF(3, 4);
/* A hint that belongs to the last error or warning ("hint: ..."). */
void diag_hint(Context *context, const char *format, ...) NND_PRINTF(2, 3);
/* Another place that belongs to the last error ("... declared here"). */
void diag_note(Context *context, Span span, const char *format, ...) NND_PRINTF(3, 4);
int diag_errors(const Context *context);
/* How many diagnostics there are. */
int diag_count(const Context *context);
/* Diagnostics from number `first` on that point into the library point to `span` instead, with the place in
 * the library as a note. */
void diag_reanchor(Context *context, int first, Span span);
/* Prints all diagnostics in source order, with the line and a caret, and forgets them. */
void diag_print(Context *context, FILE *out);
/* The nearest of `count` candidates to a misspelt word, or NULL if none is near. */
const char *suggest(const char *word, const char *const *candidates, int count);

#endif
