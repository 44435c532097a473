/* out.h -- text of C-like programs: indented lines, broken at blanks before column 100. */
#ifndef NND_OUT_H
#define NND_OUT_H

#include "base.h"

typedef struct Out {
    Arena *arena;
    StrBuf text;
    int indent; /* levels */
} Out;

Out out_new(Arena *arena);
/* One line at the present indentation, wrapped if it is too long. */
void out_line(Out *out, const char *format, ...) NND_PRINTF(2, 3);
/* The same, and what follows is one level deeper. */
void out_open(Out *out, const char *format, ...) NND_PRINTF(2, 3);
/* One level up; a line with `text` ("}"). */
void out_close(Out *out, const char *text);
/* A line that stands at the margin and is never wrapped: directives of the preprocessor. */
void out_directive(Out *out, const char *format, ...) NND_PRINTF(2, 3);
/* A comment, wrapped with stars. */
void out_comment(Out *out, const char *text);
void out_blank(Out *out);
/* The text as a C string literal; NULL for NULL. */
const char *out_quoted(Arena *arena, const char *text);

#endif
