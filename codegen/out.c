/* out.c -- lines of emitted text. Lines longer than 100 columns are broken at a blank outside of
 * quotes, as late as possible, and go on two levels deeper. */
#include "out.h"

#include <ctype.h>

enum { COLUMNS = 100, TAB = 4 };

Out out_new(Arena *arena)
{
    return (Out){.arena = arena, .text = str_new(arena)};
}

static void blanks(Out *out, int n)
{
    for (int i = 0; i < n; i++)
        str_add(&out->text, " ");
}

/* Where to break text so that the first part has at most `room` characters: after a comma if that
 * does not waste half of the line, else in front of an operator or at any blank; 0: nowhere. */
static size_t break_at(const char *text, size_t room, bool code)
{
    size_t best = 0, comma = 0;
    bool quoted = false;
    for (size_t i = 0; text[i] && (i <= room || best == 0); i++) {
        if (text[i] == '"' && (i == 0 || text[i - 1] != '\\')) quoted = !quoted;
        if (text[i] != ' ' || quoted || i == 0) continue;
        bool after_operator = i >= 2 && text[i - 2] == ' ' && strchr("+-*/<>", text[i - 1]);
        bool joined = code && (after_operator || strncmp(text + i, " *restrict", 10) == 0);
        if (!joined || best == 0) best = i;
        if (text[i - 1] == ',') comma = i;
    }
    return code && comma > room / 2 ? comma : best;
}

static void wrapped(Out *out, const char *text, int column, const char *again, bool code)
{
    blanks(out, column);
    size_t room = (size_t)(COLUMNS - column);
    while (strlen(text) > room) {
        size_t at = break_at(text, room, code);
        if (at == 0) break;
        str_add_n(&out->text, text, at);
        str_add(&out->text, "\n");
        text += at + 1;
        blanks(out, column);
        str_add(&out->text, again);
        room = (size_t)(COLUMNS - column) - strlen(again);
    }
    str_add(&out->text, text);
    str_add(&out->text, "\n");
}

void out_line(Out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wrapped(out, arena_vprintf(out->arena, format, args), out->indent * TAB, "    ", true);
    va_end(args);
}

void out_open(Out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wrapped(out, arena_vprintf(out->arena, format, args), out->indent * TAB, "    ", true);
    va_end(args);
    out->indent++;
}

void out_close(Out *out, const char *text)
{
    out->indent--;
    out_line(out, "%s", text);
}

void out_directive(Out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    str_add(&out->text, arena_vprintf(out->arena, format, args));
    str_add(&out->text, "\n");
    va_end(args);
}

void out_comment(Out *out, const char *text)
{
    wrapped(out, arena_printf(out->arena, "/* %s */", text), out->indent * TAB, " * ", false);
}

void out_blank(Out *out)
{
    str_add(&out->text, "\n");
}

const char *out_quoted(Arena *arena, const char *text)
{
    if (!text) return "NULL";
    StrBuf out = str_new(arena);
    str_add(&out, "\"");
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            str_printf(&out, "\\%c", *c);
        else if (isprint((unsigned char)*c) && *c != '?')
            str_add_n(&out, c, 1);
        else
            str_printf(&out, "\\%03o", (unsigned)(unsigned char)*c);
    }
    str_add(&out, "\"");
    return str_text(&out);
}
