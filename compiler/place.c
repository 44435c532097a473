/* place.c -- places of the source as messages and emitted code name them, and what stands there.
 *
 * While the library is elaborated for a call in the user's text, what is made has spans in the library; they
 * remember the call, so that a mistake that shows when running can name the line that the user wrote. */
#include "base.h"
#include "context.h"

#include <assert.h>

int span_call_new(Context *context, Span place, const char *function)
{
    if (!context->calls.len) vec_push(context->arena, &context->calls, ((LibraryCall){0}));
    LibraryCall call = {place, function};
    vec_push(context->arena, &context->calls, call);
    return context->calls.len - 1;
}

Span span_users(const Context *context, Span span, const char **function)
{
    *function = NULL;
    const Source *source = source_get(context, span.source);
    if (!source || !source->library || !span.call) return span;
    assert(span.call < context->calls.len);
    *function = context->calls.data[span.call].function;
    return context->calls.data[span.call].place;
}

const char *span_place(Context *context, Span span)
{
    const Source *source = source_get(context, span.source);
    if (!source) return "";
    const char *slash = strrchr(source->path, '/');
    return arena_printf(context->arena, "%s:%d", slash ? slash + 1 : source->path, span.line);
}

const char *span_users_place(Context *context, Span span)
{
    const char *function;
    Span users = span_users(context, span, &function);
    const char *place = span_place(context, users);
    return function ? arena_printf(context->arena, "%s: in %s()", place, function) : place;
}

const char *span_source(const Context *context, Span span, int *length)
{
    const Source *source = source_get(context, span.source);
    if (!source || !span.line || span.end_line != span.line) return NULL;
    const char *line = source->text;
    for (int n = 1; n < span.line; n++) {
        line = strchr(line, '\n');
        if (!line) return NULL;
        line++;
    }
    *length = span.end_col - span.col;
    return *length > 0 ? line + span.col - 1 : NULL;
}

/* Of `x[a]` the stretch `a`, if the brackets hold one subscript; else false. */
static bool only_subscript(const char **text, int *length)
{
    const char *end = *text + *length - 1, *at = end;
    if (*end != ']') return false;
    for (int depth = 0; at >= *text; at--) {
        depth += *at == ']' || *at == ')' ? 1 : *at == '[' || *at == '(' ? -1 : 0;
        if (*at == ',' && depth == 1) return false;
        if (depth == 0) break;
    }
    if (at <= *text || end - at < 2) return false;
    *text = at + 1;
    *length = (int)(end - at) - 1;
    return true;
}

const char *span_subscript(Context *context, Span span)
{
    enum { LONGEST = 60 };
    int length;
    const char *place = span_users_place(context, span), *text = span_source(context, span, &length);
    const char *after = strstr(place, ": in ") ? ", " : ": ";
    if (!*place) after = "";
    bool only = text && only_subscript(&text, &length);
    if (!text || length > LONGEST)
        return arena_printf(context->arena, "%s%sa subscript that is read from data", place, after);
    return arena_printf(context->arena, "%s%s%s`%.*s`", place, after, only ? "" : "a subscript of ",
                        length, text);
}
