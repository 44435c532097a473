/* diag.c -- diagnostics: collected while compiling, printed in source order with the line and a
 * caret under the place. The same text at the same place is reported once, so that a layer used
 * twice does not complain twice. */
#include "base.h"
#include "context.h"

#include <stdlib.h>

static bool span_equal(Span a, Span b)
{
    return a.source == b.source && a.line == b.line && a.col == b.col;
}

static void diag_add(Context *context, Severity severity, Span span, const char *text)
{
    for (int i = 0; i < context->diagnostics.len; i++) {
        const Diagnostic *d = &context->diagnostics.data[i];
        if (d->severity == severity && span_equal(d->span, span) && !strcmp(d->text, text)) {
            context->latest = i;
            return;
        }
    }
    Diagnostic d = {
        .severity = severity, .span = span, .text = text, .order = context->diagnostics.len};
    context->latest = context->diagnostics.len;
    vec_push(context->arena, &context->diagnostics, d);
}

void diag_error(Context *context, Span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag_add(context, DIAG_ERROR, span, arena_vprintf(context->arena, format, args));
    va_end(args);
    context->errors++;
}

void diag_warning(Context *context, Span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag_add(context, DIAG_WARNING, span, arena_vprintf(context->arena, format, args));
    va_end(args);
}

void diag_hint(Context *context, const char *format, ...)
{
    if (!context->diagnostics.len) return;
    va_list args;
    va_start(args, format);
    context->diagnostics.data[context->latest].hint =
        arena_vprintf(context->arena, format, args);
    va_end(args);
}

/* A diagnostic that is reported again brings its notes along again. */
static void note_add(Context *context, Diagnostic *d, Span span, const char *text)
{
    for (int i = 0; i < d->notes.len; i++)
        if (span_equal(d->notes.data[i].span, span) && !strcmp(d->notes.data[i].text, text)) return;
    Note note = {span, text};
    vec_push(context->arena, &d->notes, note);
}

void diag_note(Context *context, Span span, const char *format, ...)
{
    if (!context->diagnostics.len) return;
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(context->arena, format, args);
    va_end(args);
    note_add(context, &context->diagnostics.data[context->latest], span, text);
}

int diag_count(const Context *context)
{
    return context->diagnostics.len;
}

void diag_reanchor(Context *context, int first, Span span)
{
    for (int i = first; i < context->diagnostics.len; i++) {
        Diagnostic *d = &context->diagnostics.data[i];
        const Source *source = source_get(context, d->span.source);
        if (!source || !source->library) continue;
        note_add(context, d, d->span, "in the library, here");
        d->span = span;
    }
}

int diag_errors(const Context *context)
{
    return context->errors;
}

static int diag_compare(const void *pa, const void *pb)
{
    const Diagnostic *a = pa, *b = pb;
    if (a->span.source != b->span.source) return a->span.source < b->span.source ? -1 : 1;
    if (a->span.line != b->span.line) return a->span.line < b->span.line ? -1 : 1;
    if (a->span.col != b->span.col) return a->span.col < b->span.col ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Prints the line of the span and carets under it; tabs stay tabs so that the columns agree. Of a
 * very long line only the surroundings of the span are shown, and no control characters. */
static void excerpt_print(const Source *source, Span span, FILE *out)
{
    const char *line = source->text;
    for (int n = 1; n < span.line && line; n++) {
        line = strchr(line, '\n');
        if (line) line++;
    }
    if (!line) return;
    enum { BEFORE = 100, SHOWN = 160 };
    int len = (int)strcspn(line, "\r\n");
    int first = span.col - 1;
    if (first > len) first = len;
    int last = span.end_line == span.line ? span.end_col - 1 : len;
    int skipped = first > BEFORE ? first - BEFORE : 0;
    line += skipped;
    len -= skipped;
    first -= skipped;
    last -= skipped;
    if (len > SHOWN) len = SHOWN;
    if (last > len) last = len;
    fprintf(out, "%5d | ", span.line);
    for (int i = 0; i < len; i++)
        fputc((unsigned char)line[i] < 32 && line[i] != '\t' ? '?' : line[i], out);
    fputs("\n      | ", out);
    for (int i = 0; i < first; i++)
        fputc(line[i] == '\t' ? '\t' : ' ', out);
    fputc('^', out);
    for (int i = first + 1; i < last; i++)
        fputc('~', out);
    fputc('\n', out);
}

static void place_print(const Context *context, Span span, const char *kind, const char *text,
                        FILE *out)
{
    const Source *source = source_get(context, span.source);
    if (source && span.line)
        fprintf(out, "%s:%d:%d: %s: %s\n", source->path, span.line, span.col, kind, text);
    else
        fprintf(out, "nndc: %s: %s\n", kind, text);
    if (source && span.line) excerpt_print(source, span, out);
}

void diag_print(Context *context, FILE *out)
{
    Diagnostic *all = context->diagnostics.data;
    int count = context->diagnostics.len;
    if (count) qsort(all, (size_t)count, sizeof *all, diag_compare);
    for (int i = 0; i < count; i++) {
        const Diagnostic *d = &all[i];
        bool again = false; /* several mistakes inside the library may be one at its call */
        for (int k = i - 1; k >= 0 && !again && span_equal(all[k].span, d->span); k--)
            again = !strcmp(all[k].text, d->text);
        if (again) continue;
        place_print(context, d->span, d->severity == DIAG_ERROR ? "error" : "warning", d->text, out);
        for (int n = 0; n < d->notes.len; n++)
            place_print(context, d->notes.data[n].span, "note", d->notes.data[n].text, out);
        if (d->hint) fprintf(out, "hint: %s\n", d->hint);
    }
    context->diagnostics.len = 0;
}

/* Edit distance with transpositions of neighbours (Damerau), of words up to 63 characters. */
static int word_distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    if (m > 63 || n > 63) return 99;
    int d[64][64];
    for (size_t i = 0; i <= m; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= n; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= m; i++)
        for (size_t j = 1; j <= n; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[m][n];
}

const char *suggest(const char *word, const char *const *candidates, int count)
{
    int limit = (int)strlen(word) / 3 + 1, best = limit + 1;
    const char *nearest = NULL;
    for (int i = 0; i < count; i++) {
        int distance = word_distance(word, candidates[i]);
        if (distance < best && distance < (int)strlen(candidates[i])) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
