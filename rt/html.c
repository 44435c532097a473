/* html.c -- report.html: a training in one file that needs nothing else. Curves of log.csv,
 * reports, settings and the program's text; charts are inline SVG, pictures PNG in base64.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>
#include <sys/resource.h>

enum { HTML_WIDE = 440, HTML_HIGH = 230, HTML_LEFT = 58, HTML_BOTTOM = 26, HTML_TOP = 12 };

static const char html_style[] =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2.5em auto;max-width:960px;padding:0 1em;"
    "color:#1d2733;background:#fff}h1{font-size:1.6em;margin:0}h2{font-size:1.1em;margin:2em 0 "
    ".6em;"
    "border-bottom:1px solid #d8dee6;padding-bottom:.2em}h3{font-size:.95em;margin:0 0 .3em}"
    ".sub{color:#66727f}.chart{display:inline-block;vertical-align:top;margin:0 1.4em 1.4em 0}"
    ".figure{display:inline-block;border:1px solid #d8dee6;border-radius:6px;padding:.5em 1.1em;"
    "margin:0 .8em .8em 0}.figure b{display:block;font-size:1.5em;font-weight:600}"
    "table{border-collapse:collapse;font-size:.9em}td,th{padding:.25em .7em;text-align:right;"
    "border:1px solid #e3e8ee}th{color:#66727f;font-weight:500}pre{background:#f5f7f9;"
    "border-radius:6px;padding:1em;overflow:auto;font-size:13px;line-height:1.45}"
    "svg text{font:11px system-ui,sans-serif;fill:#66727f}img{image-rendering:pixelated}";

static void html_text(NndFile *file, const char *text)
{
    for (const char *c = text; *c != 0; c++) {
        const char *as = *c == '<' ? "&lt;" : *c == '>' ? "&gt;" : *c == '&' ? "&amp;" : NULL;
        nnd_file_write(file, as != NULL ? as : c, as != NULL ? strlen(as) : 1);
    }
}

static void html_base64(NndFile *file, const unsigned char *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t word = (uint32_t)data[i] << 16;
        if (i + 1 < size) word |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < size) word |= data[i + 2];
        char four[4] = {digits[word >> 18], digits[word >> 12 & 63],
                        i + 1 < size ? digits[word >> 6 & 63] : '=',
                        i + 2 < size ? digits[word & 63] : '='};
        nnd_file_write(file, four, 4);
    }
}

/* ---- charts ---- */

typedef struct Points {
    double *x, *y;
    int count;
} Points;

typedef struct Chart {
    double low_x, high_x, low_y, high_y;
} Chart;

static double chart_x(const Chart *chart, double x)
{
    double wide = chart->high_x - chart->low_x;
    return HTML_LEFT + (HTML_WIDE - HTML_LEFT - 12) * (wide > 0 ? (x - chart->low_x) / wide : 0.5);
}

static double chart_y(const Chart *chart, double y)
{
    double high = chart->high_y - chart->low_y, room = HTML_HIGH - HTML_TOP - HTML_BOTTOM;
    return HTML_HIGH - HTML_BOTTOM - room * (high > 0 ? (y - chart->low_y) / high : 0.5);
}

static Chart chart_range(const Points *points)
{
    Chart chart = {(double)INFINITY, -(double)INFINITY, (double)INFINITY, -(double)INFINITY};
    for (int i = 0; i < points->count; i++) {
        chart.low_x = fmin(chart.low_x, points->x[i]);
        chart.high_x = fmax(chart.high_x, points->x[i]);
        chart.low_y = fmin(chart.low_y, points->y[i]);
        chart.high_y = fmax(chart.high_y, points->y[i]);
    }
    return chart;
}

static void chart_begin(NndFile *file, const Chart *chart, const char *title)
{
    nnd_file_print(file, "<div class=chart><h3>");
    html_text(file, title);
    nnd_file_print(file, "</h3><svg width=%d height=%d viewBox='0 0 %d %d'>", HTML_WIDE, HTML_HIGH,
                   HTML_WIDE, HTML_HIGH);
    for (int i = 0; i <= 4; i++) {
        double y = chart->low_y + (chart->high_y - chart->low_y) * i / 4, at = chart_y(chart, y);
        double x = chart->low_x + (chart->high_x - chart->low_x) * i / 4;
        if (i > 0 && chart->high_y <= chart->low_y) break;
        nnd_file_print(file,
                       "<line x1=%d x2=%d y1=%.1f y2=%.1f stroke='#e3e8ee'/>"
                       "<text x=%d y=%.1f text-anchor=end>%.3g</text>",
                       HTML_LEFT, HTML_WIDE - 12, at, at, HTML_LEFT - 6, at + 4, y);
        nnd_file_print(file, "<text x=%.1f y=%d text-anchor=%s>%.4g</text>", chart_x(chart, x),
                       HTML_HIGH - 8, i < 4 ? "middle" : "end", x);
    }
}

static void chart_line(NndFile *file, const Points *points, const Chart *chart, const char *title)
{
    chart_begin(file, chart, title);
    nnd_file_print(file, "<polyline fill=none stroke='#2563a8' stroke-width=1.8 points='");
    for (int i = 0; i < points->count; i++)
        nnd_file_print(file, "%.1f,%.1f ", chart_x(chart, points->x[i]),
                       chart_y(chart, points->y[i]));
    nnd_file_print(file, "'/>");
    for (int i = 0; i < points->count && points->count < 40; i++)
        nnd_file_print(file, "<circle r=2.2 fill='#2563a8' cx=%.1f cy=%.1f />",
                       chart_x(chart, points->x[i]), chart_y(chart, points->y[i]));
    nnd_file_print(file, "</svg></div>\n");
}

static void chart_bars(NndFile *file, const Points *points, const char *title)
{
    Chart chart = chart_range(points);
    double half = points->count > 1 ? (points->x[1] - points->x[0]) / 2 : 0.5;
    chart.low_x -= half;
    chart.high_x += half;
    chart.low_y = 0;
    chart_begin(file, &chart, title);
    for (int i = 0; i < points->count; i++) {
        double left = chart_x(&chart, points->x[i] - half), top = chart_y(&chart, points->y[i]);
        nnd_file_print(file, "<rect fill='#2563a8' x=%.1f y=%.1f width=%.1f height=%.1f />", left,
                       top, fmax(0.5, chart_x(&chart, points->x[i] + half) - left - 1),
                       chart_y(&chart, 0) - top);
    }
    nnd_file_print(file, "</svg></div>\n");
}

/* ---- reports ---- */

static int points_open(Points *points, int64_t count, NndError *error)
{
    *points = (Points){malloc(((size_t)count + 1) * sizeof(double)),
                       malloc(((size_t)count + 1) * sizeof(double)), 0};
    if (points->x != NULL && points->y != NULL) return 0;
    return nnd_error(error, "out of memory");
}

static void points_add(Points *points, double x, double y)
{
    if (!isfinite(x) || !isfinite(y)) return;
    points->x[points->count] = x;
    points->y[points->count++] = y;
}

static void points_close(Points *points)
{
    free(points->x);
    free(points->y);
}

static int html_chart(NndFile *file, const NndArray *array, bool bars, const char *name,
                      NndError *error)
{
    Points points;
    int failed = points_open(&points, array->shape[0], error);
    for (int64_t i = 0; i < array->shape[0] && !failed; i++)
        points_add(&points, nnd_array_value(array, 2 * i), nnd_array_value(array, 2 * i + 1));
    Chart unit = {0, 1, 0, 1};
    if (!failed && points.count > 0 && bars) chart_bars(file, &points, name);
    if (!failed && points.count > 0 && !bars) chart_line(file, &points, &unit, name);
    points_close(&points);
    return failed;
}

/* A table whose cells are the darker the greater their share of the row. */
static void html_table(NndFile *file, const NndArray *array, bool matrix, const char *name)
{
    int64_t columns = array->rank > 1 ? array->shape[1] : 1;
    if (columns > 40 || array->shape[0] > 100) return;
    nnd_file_print(file, "<div class=chart><h3>");
    html_text(file, name);
    nnd_file_print(file, "</h3><table>");
    if (matrix) {
        nnd_file_print(file, "<tr><th>label \\ said</th>");
        for (int64_t k = 0; k < columns; k++)
            nnd_file_print(file, "<th>%lld</th>", (long long)k);
        nnd_file_print(file, "</tr>");
    }
    for (int64_t i = 0; i < array->shape[0]; i++) {
        double sum = 0;
        for (int64_t k = 0; k < columns; k++)
            sum += nnd_array_value(array, i * columns + k);
        nnd_file_print(file, matrix ? "<tr><th>%lld</th>" : "<tr>", (long long)i);
        for (int64_t k = 0; k < columns; k++) {
            double value = nnd_array_value(array, i * columns + k);
            double share = matrix && sum > 0 ? value / sum : 0;
            nnd_file_print(file, "<td style='background:rgba(37,99,168,%.3f);color:%s'>%.5g</td>",
                           0.9 * share, share > 0.5 ? "#fff" : "#1d2733", value);
        }
        nnd_file_print(file, "</tr>");
    }
    nnd_file_print(file, "</table></div>\n");
}

static int html_image(NndFile *file, const NndArray *array, bool many, const char *name,
                      NndError *error)
{
    unsigned char *png;
    size_t size;
    if (nnd_png_sheet(array, many, &png, &size, error)) return 1;
    nnd_file_print(file, "<div class=chart><h3>");
    html_text(file, name);
    nnd_file_print(file, "</h3><img width=%d alt='' src='data:image/png;base64,", HTML_WIDE);
    html_base64(file, png, size);
    nnd_file_print(file, "'></div>\n");
    free(png);
    return 0;
}

static int html_letters(NndFile *file, const NndArray *array, const char *name, NndError *error)
{
    char *text = nnd_letters(array, error);
    if (text == NULL) return 1;
    nnd_file_print(file, "<h3>");
    html_text(file, name);
    nnd_file_print(file, "</h3><pre>");
    html_text(file, text);
    nnd_file_print(file, "</pre>\n");
    free(text);
    return 0;
}

static int html_reports(NndFile *file, const NndTrainInfo *train, const NndArray *arrays,
                        NndError *error)
{
    int failed = 0;
    for (int i = 0; i < train->report_count; i++)
        if (arrays[i].rank == 0) {
            nnd_file_print(file, "<div class=figure><b>%.5g</b>", nnd_array_value(&arrays[i], 0));
            html_text(file, train->report->finish->outputs[i].name);
            nnd_file_print(file, "</div>");
        }
    nnd_file_print(file, "\n<div>");
    for (int i = 0; i < train->report_count && !failed; i++) {
        const char *name = train->report->finish->outputs[i].name;
        NndDrawing drawing = train->reports[i].drawing;
        bool many = nnd_report_many(train, i);
        if (arrays[i].rank == 0 || nnd_array_size(&arrays[i]) == 0) continue;
        if (drawing == NND_CURVE || drawing == NND_BARS)
            failed = html_chart(file, &arrays[i], drawing == NND_BARS, name, error);
        else if (drawing == NND_IMAGE)
            failed = html_image(file, &arrays[i], many, name, error);
        else if (drawing == NND_TEXT)
            failed = html_letters(file, &arrays[i], name, error);
        else if (arrays[i].rank <= 2 && !many)
            html_table(file, &arrays[i], drawing == NND_MATRIX, name);
    }
    nnd_file_print(file, "</div>\n");
    return failed;
}

/* ---- curves of the log ---- */

/* The field with this number of a line of log.csv, whose names hold no comma. */
static const char *log_field_at(const char *line, int number)
{
    for (; number > 0 && *line != 0 && *line != '\n'; line++)
        number -= *line == ',';
    return line;
}

static int html_curves(NndFile *file, const char *text, const char *train, NndError *error)
{
    int64_t lines = 0;
    int failed = 0;
    for (const char *c = text; *c != 0; c++)
        lines += *c == '\n';
    for (int column = 3; !failed; column++) {
        const char *head = log_field_at(text, column);
        if (*head == 0 || *head == '\n') break;
        char name[100], row[300];
        Points points;
        failed = points_open(&points, lines, error);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(head, ",\n"), head);
        const char *line = strchr(text, '\n');
        for (; line != NULL && line[1] != 0 && !failed; line = strchr(line + 1, '\n')) {
            const char *who = log_field_at(line + 1, 2), *value = log_field_at(line + 1, column);
            snprintf(row, sizeof row, "%.*s", (int)strcspn(who, ",\n"), who);
            if (strcmp(row, train) != 0 || *value == ',' || *value == '\n' || *value == 0) continue;
            points_add(&points, strtod(log_field_at(line + 1, 1), NULL), strtod(value, NULL));
        }
        Chart chart = chart_range(&points);
        if (!failed && points.count > 1) chart_line(file, &points, &chart, name);
        points_close(&points);
    }
    return failed;
}

static char *file_text(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size >= 0) text = malloc((size_t)size + 1);
    if (text != NULL) {
        rewind(file);
        text[fread(text, 1, (size_t)size, file)] = 0;
    }
    if (file != NULL) fclose(file);
    return text;
}

/* ---- the file ---- */

static void html_settings(NndFile *file, const NndSession *session, const NndTrainInfo *train,
                          int64_t steps, double seconds)
{
    char peak[40], planned[300];
    int64_t parameters = 0;
    for (int i = 0; i < session->program->tensor_count; i++)
        if (session->program->tensors[i].kept == NND_PARAM)
            parameters += nnd_array_size(&session->tensors[i].array);
    nnd_file_print(file,
                   "<h2>Settings and time</h2><table><tr><th>parameters</th><td>%lld</td></tr>"
                   "<tr><th>batch</th><td>%lld</td></tr>",
                   (long long)parameters, (long long)train->batch);
    if (train->epochs > 0)
        nnd_file_print(file, "<tr><th>epochs</th><td>%lld</td></tr>", (long long)train->epochs);
    nnd_file_print(
        file,
        "<tr><th>steps done</th><td>%lld</td></tr>"
        "<tr><th>threads</th><td>%d</td></tr><tr><th>time</th><td>%.3g s</td></tr>"
        "<tr><th>memory at most</th><td>%s</td></tr>",
        (long long)steps, nnd_pool_threads(session->pool), seconds,
        nnd_bytes_text(peak, sizeof peak, nnd_memory_peak()));
    nnd_memory_text(planned, sizeof planned, &session->program->memory);
    if (nnd_memory_total(&session->program->memory) > 0)
        nnd_file_print(file, "<tr><th>planned</th><td>%s</td></tr>", planned);
    nnd_file_print(file, "</table>\n");
}

int nnd_html_write(NndSession *session, const NndTrainInfo *train, const char *folder,
                   const NndArray *arrays, int64_t steps, double seconds)
{
    NndFile file;
    NndError *error = &session->error;
    char name[300];
    snprintf(name, sizeof name, session->program->train_count > 1 ? "%s.html" : "report.html",
             train->name);
    char *path = nnd_path_join(folder, name), *log_path = nnd_path_join(folder, "log.csv");
    char *log = log_path != NULL ? file_text(log_path) : NULL;
    int failed = path == NULL || log == NULL ? nnd_error(error, "%s: cannot be read", folder)
                                             : nnd_file_create(&file, path, error);
    if (!failed) {
        nnd_file_print(&file,
                       "<!doctype html><html lang=en><meta charset=utf-8><title>%s</title>\n",
                       train->name);
        nnd_file_print(&file, "<style>");
        nnd_file_write(&file, html_style, sizeof html_style - 1);
        nnd_file_print(&file, "</style><h1>%s</h1><p class=sub>", train->name);
        html_text(&file, session->program->source);
        nnd_file_print(&file, "</p>\n");
        if (arrays != NULL) failed = html_reports(&file, train, arrays, error);
        nnd_file_print(&file, "<h2>By step</h2>\n");
        if (!failed) failed = html_curves(&file, log, train->name, error);
        html_settings(&file, session, train, steps, seconds);
        nnd_file_print(&file, "<h2>Program</h2><pre>");
        html_text(&file, session->program->text);
        nnd_file_print(&file, "</pre></html>\n");
        if (failed)
            nnd_file_abandon(&file);
        else
            failed = nnd_file_commit(&file, error);
    }
    free(path);
    free(log_path);
    free(log);
    return failed;
}
