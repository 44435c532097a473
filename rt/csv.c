/* csv.c -- tables of numbers with a header line of column names (RFC 4180: quoted fields, doubled
 * quotes, CRLF; also a byte order mark and blanks around numbers). The chosen columns become one
 * array [rows, columns]; it is int if every entry is an integer of 32 bits, else real. The file is
 * read once, line by line; messages name file, line and column. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <ctype.h>
#include <stdlib.h>

enum { CSV_BUFFER = 1 << 15, CSV_MAX_NAME = 64 };

typedef struct CsvReader {
    NndStream *stream;
    const char *path;
    NndError *error;
    char separator;
    unsigned char buffer[CSV_BUFFER];
    size_t at, filled;
    int64_t line;      /* of the record being read, from 1 */
    int64_t next_line; /* of what comes next */
    char *text;        /* the record's fields, each NUL-terminated */
    size_t used, room;
    size_t *start; /* of each field in text */
    int fields, capacity;
    char *names; /* the header's text and fields, kept */
    size_t *name_start;
    int columns;
    int *chosen; /* columns to read, in order */
    int chosen_count;
    double *values;
    int64_t count, value_room;
    bool all_int;
} CsvReader;

/* The next byte, -1 at the end, -2 after an error. */
static int csv_byte(CsvReader *csv)
{
    if (csv->at == csv->filled) {
        csv->at = 0;
        if (nnd_stream_read(csv->stream, csv->buffer, CSV_BUFFER, &csv->filled, csv->error))
            return -2;
        if (csv->filled == 0) return -1;
    }
    return csv->buffer[csv->at++];
}

static int csv_out_of_memory(CsvReader *csv)
{
    nnd_error(csv->error, "%s:%lld: out of memory", csv->path, (long long)csv->line);
    return 1;
}

static int csv_put(CsvReader *csv, int byte)
{
    if (csv->used == csv->room) {
        size_t room = csv->room * 2 + 256;
        char *text = realloc(csv->text, room);
        if (text == NULL) return csv_out_of_memory(csv);
        csv->text = text;
        csv->room = room;
    }
    csv->text[csv->used++] = (char)byte;
    return 0;
}

static int csv_begin_field(CsvReader *csv)
{
    if (csv->fields == csv->capacity) {
        int capacity = csv->capacity * 2 + 16;
        size_t *start = realloc(csv->start, (size_t)capacity * sizeof *start);
        if (start == NULL) return csv_out_of_memory(csv);
        csv->start = start;
        csv->capacity = capacity;
    }
    csv->start[csv->fields++] = csv->used;
    return 0;
}

/* Reads the inside of a quoted field; returns the byte behind its closing quote, -2 on errors. */
static int csv_quoted(CsvReader *csv)
{
    for (;;) {
        int byte = csv_byte(csv);
        if (byte == '"') {
            byte = csv_byte(csv);
            if (byte != '"') return byte;
        }
        if (byte == -1) {
            nnd_error(csv->error, "%s:%lld: a quoted field is not closed; is a \" missing?",
                      csv->path, (long long)csv->line);
            return -2;
        }
        if (byte == '\n') csv->next_line++;
        if (byte == 0) {
            nnd_error(csv->error, "%s:%lld: a NUL byte; this is not a text file", csv->path,
                      (long long)csv->line);
            return -2;
        }
        if (byte == -2 || csv_put(csv, byte)) return -2;
    }
}

/* Reads one field and what ends it: the separator, '\n', -1 (the end), -2 (an error). */
static int csv_field(CsvReader *csv)
{
    if (csv_begin_field(csv)) return -2;
    int byte = csv_byte(csv);
    bool quoted = byte == '"';
    if (quoted) byte = csv_quoted(csv);
    for (;; byte = csv_byte(csv)) {
        if (byte == '\r') {
            byte = csv_byte(csv);
            if (byte != '\n' && byte >= 0 && csv_put(csv, '\r')) return -2;
        }
        if (byte < 0 || byte == '\n' || byte == csv->separator) break;
        if (byte == 0 || (quoted && byte != ' ')) {
            nnd_error(csv->error, "%s:%lld: %s", csv->path, (long long)csv->line,
                      byte == 0
                          ? "a NUL byte; this is not a text file"
                          : "text follows a closing quote; write a quote inside a field twice");
            return -2;
        }
        if (!quoted && csv_put(csv, byte)) return -2;
    }
    if (byte == '\n') csv->next_line++;
    if (byte == -2 || csv_put(csv, 0)) return -2;
    return byte;
}

/* Reads a record: 1 if there is one, 0 at the end, -1 after an error. */
static int csv_record(CsvReader *csv)
{
    int byte;
    csv->used = 0;
    csv->fields = 0;
    csv->line = csv->next_line;
    do
        byte = csv_field(csv);
    while (byte == csv->separator);
    if (byte == -2) return -1;
    return byte == -1 && csv->fields == 1 && csv->text[0] == 0 ? 0 : 1;
}

static bool csv_blank(const CsvReader *csv)
{
    return csv->fields == 1 && csv->text[0] == 0;
}

/* Optimal string distance of two names: insertions, deletions, changes. */
static int csv_distance(const char *a, const char *b)
{
    int row[CSV_MAX_NAME + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > CSV_MAX_NAME || m > CSV_MAX_NAME) return CSV_MAX_NAME;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best =
                diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

static const char *csv_name(const CsvReader *csv, int column)
{
    return csv->names + csv->name_start[column];
}

/* The columns' names, as many as there is room for. */
static void csv_list_names(const CsvReader *csv, char *list, size_t room)
{
    const char more[] = ", ...";
    size_t used = 0;
    for (int i = 0; i < csv->columns; i++) {
        size_t length = strlen(csv_name(csv, i)) + 2;
        if (used + length + sizeof more > room) {
            memcpy(list + used, more, sizeof more);
            return;
        }
        used +=
            (size_t)snprintf(list + used, room - used, "%s%s", i > 0 ? ", " : "", csv_name(csv, i));
    }
}

static int csv_find(CsvReader *csv, const char *name, int *column)
{
    int nearest = 0, distance = CSV_MAX_NAME, found = 0;
    for (int i = 0; i < csv->columns; i++) {
        int d = csv_distance(name, csv_name(csv, i));
        if (d < distance) {
            distance = d;
            nearest = i;
        }
        if (strcmp(csv_name(csv, i), name) != 0) continue;
        *column = i;
        found++;
    }
    if (found == 1) return 0;
    if (found > 1)
        return nnd_error(csv->error, "%s:1: the column name \"%s\" stands %d times in the header",
                         csv->path, name, found);
    if (csv->columns == 1 && strpbrk(csv_name(csv, 0), ";\t") != NULL)
        return nnd_error(
            csv->error,
            "%s:1: has no column \"%s\"; its fields seem to be separated by %s, not by "
            "a comma",
            csv->path, name, strchr(csv_name(csv, 0), ';') != NULL ? "semicolons" : "tabs");
    if (distance <= 2 + (int)strlen(name) / 4)
        return nnd_error(csv->error, "%s:1: has no column \"%s\"; did you mean \"%s\"?", csv->path,
                         name, csv_name(csv, nearest));
    char list[200];
    csv_list_names(csv, list, sizeof list);
    return nnd_error(csv->error, "%s:1: has no column \"%s\"; its columns are %s", csv->path, name,
                     list);
}

static int csv_choose(CsvReader *csv, const NndSourceOptions *options)
{
    int count = options->columns != NULL ? options->column_count : csv->columns;
    csv->chosen = malloc(((size_t)count + 1) * sizeof *csv->chosen);
    if (csv->chosen == NULL) return csv_out_of_memory(csv);
    for (int i = 0; options->columns != NULL && i < count; i++)
        if (csv_find(csv, options->columns[i], &csv->chosen[i])) return 1;
    csv->chosen_count = count;
    if (options->columns == NULL) {
        for (int i = 0; i < count; i++)
            csv->chosen[i] = i;
        for (int e = 0; e < options->except_count; e++) {
            int column, kept = 0;
            if (csv_find(csv, options->except[e], &column)) return 1;
            for (int i = 0; i < csv->chosen_count; i++)
                if (csv->chosen[i] != column) csv->chosen[kept++] = csv->chosen[i];
            csv->chosen_count = kept;
        }
    }
    if (csv->chosen_count == 0)
        return nnd_error(csv->error, "%s: no column is left to read", csv->path);
    return 0;
}

static bool csv_number(const char *text, double *value, bool *is_int)
{
    char *end;
    while (*text == ' ' || *text == '\t')
        text++;
    if (text[strspn(text, "+-0123456789.eE \t")] != 0) return false; /* no hex, inf, nan */
    *value = strtod(text, &end);
    *is_int = end != text;
    for (const char *c = text; c < end; c++)
        if (!isdigit((unsigned char)*c) && !(c == text && end - text > 1)) *is_int = false;
    if (*value < INT32_MIN || *value > INT32_MAX) *is_int = false;
    bool any = end != text && isfinite(*value);
    while (*end == ' ' || *end == '\t')
        end++;
    return any && *end == 0;
}

static int csv_header(CsvReader *csv)
{
    bool numbers = true, is_int;
    double value;
    int code = csv_record(csv);
    if (code < 0) return 1;
    if (code == 0 || csv_blank(csv))
        return nnd_error(csv->error, "%s:1: the first line must hold the column names; it is empty",
                         csv->path);
    if (strncmp(csv->text, "\xef\xbb\xbf", 3) == 0) csv->start[0] += 3;
    for (int i = 0; i < csv->fields; i++) {
        char *name = csv->text + csv->start[i];
        size_t length;
        while (*name == ' ') {
            name++;
            csv->start[i]++;
        }
        for (length = strlen(name); length > 0 && name[length - 1] == ' ';)
            name[--length] = 0;
        if (!csv_number(name, &value, &is_int)) numbers = false;
    }
    if (numbers)
        return nnd_error(csv->error,
                         "%s:1: the first line must hold the column names; it holds numbers",
                         csv->path);
    csv->names = csv->text;
    csv->name_start = csv->start;
    csv->columns = csv->fields;
    csv->text = NULL;
    csv->start = NULL;
    csv->room = csv->used = 0;
    csv->capacity = csv->fields = 0;
    return 0;
}

static int csv_store(CsvReader *csv, double value)
{
    if (csv->count == csv->value_room) {
        int64_t room = csv->value_room * 2 + 1024;
        double *values = realloc(csv->values, (size_t)room * sizeof *values);
        if (values == NULL) return csv_out_of_memory(csv);
        csv->values = values;
        csv->value_room = room;
    }
    csv->values[csv->count++] = value;
    return 0;
}

static int csv_row(CsvReader *csv)
{
    if (csv->fields < csv->columns)
        return nnd_error(csv->error,
                         "%s:%lld: column \"%s\": the field is missing: the line has %d of %d "
                         "fields",
                         csv->path, (long long)csv->line, csv_name(csv, csv->fields), csv->fields,
                         csv->columns);
    if (csv->fields > csv->columns)
        return nnd_error(csv->error,
                         "%s:%lld: %d fields, but the header names %d columns; the first too many "
                         "is \"%.40s\" (a comma inside a field needs quotes)",
                         csv->path, (long long)csv->line, csv->fields, csv->columns,
                         csv->text + csv->start[csv->columns]);
    for (int i = 0; i < csv->chosen_count; i++) {
        const char *text = csv->text + csv->start[csv->chosen[i]];
        double value;
        bool is_int;
        if (!csv_number(text, &value, &is_int))
            return nnd_error(csv->error, "%s:%lld: column \"%s\": %s%.60s%s", csv->path,
                             (long long)csv->line, csv_name(csv, csv->chosen[i]),
                             text[strspn(text, " \t")] == 0 ? "the value is missing" : "\"", text,
                             text[strspn(text, " \t")] == 0 ? "" : "\" is not a finite number");
        if (!is_int) csv->all_int = false;
        if (csv_store(csv, value)) return 1;
    }
    return 0;
}

static int csv_rows(CsvReader *csv, int64_t *rows)
{
    int64_t blank = 0;
    int code;
    *rows = 0;
    while ((code = csv_record(csv)) == 1) {
        if (csv_blank(csv)) { /* fine at the end; a missing field before a record of one field */
            if (blank == 0) blank = csv->line;
            continue;
        }
        if (blank != 0 && csv->columns == 1)
            return nnd_error(csv->error, "%s:%lld: column \"%s\": the value is missing", csv->path,
                             (long long)blank, csv_name(csv, 0));
        if (csv_row(csv)) return 1;
        blank = 0;
        ++*rows;
    }
    if (code == 0 && *rows == 0)
        return nnd_error(csv->error, "%s: no rows follow the header line", csv->path);
    return code < 0;
}

static int csv_read_all(CsvReader *csv, const NndSourceOptions *options, bool header_only,
                        NndArray *array)
{
    int64_t rows;
    if (csv_header(csv) || csv_choose(csv, options) || csv_rows(csv, &rows)) return 1;
    bool vector = options->columns != NULL && csv->chosen_count == 1 && !options->keep_axis;
    array->rank = vector ? 1 : 2;
    array->shape[0] = rows;
    if (!vector) array->shape[1] = csv->chosen_count;
    array->type = csv->all_int ? NND_INT : options->real;
    if (header_only) return 0;
    if (nnd_array_alloc(array, csv->error)) return 1;
    for (int64_t i = 0; i < csv->count; i++) {
        if (array->type == NND_INT)
            ((int32_t *)array->data)[i] = (int32_t)csv->values[i];
        else if (array->type == NND_REAL)
            ((float *)array->data)[i] = (float)csv->values[i];
        else
            ((double *)array->data)[i] = csv->values[i];
    }
    return 0;
}

int nnd_csv_read(const char *path, const NndSourceOptions *options, bool header_only,
                 NndArray *array, NndError *error)
{
    CsvReader *csv = calloc(1, sizeof *csv);
    if (csv == NULL) return nnd_error(error, "%s: out of memory", path);
    csv->path = path;
    csv->error = error;
    csv->separator = options->separator != 0 ? options->separator : ',';
    csv->next_line = 1;
    csv->all_int = true;
    int failed = nnd_stream_open(&csv->stream, path, error) ||
                 csv_read_all(csv, options, header_only, array);
    nnd_stream_close(csv->stream);
    free(csv->text);
    free(csv->start);
    free(csv->names);
    free(csv->name_start);
    free(csv->chosen);
    free(csv->values);
    free(csv);
    return failed;
}
