/* c_tile.c -- register tiles as C: arrays of vectors with literal bounds, which compilers keep in
 * registers if every loop over them is unrolled. */
#include "c_text.h"

/* A scalar with the tile's lane at the column's first. */
static const Scalar *at_lane(CKernel *k, const Tile *t, const Scalar *s, int lane)
{
    const Scalar *map[MAX_ITERS] = {0};
    map[t->lane] = scalar_int(k->l->g, lane);
    return scalar_substitute(k->l->g, s, map, MAX_ITERS);
}

/* "&y[i * 64 + 16]": where the lanes of a column lie in C. */
static const char *column_place(CKernel *k, const Tile *t, int lane)
{
    const Scalar *subs[MAX_RANK];
    for (int i = 0; i < t->c->rank; i++)
        subs[i] = at_lane(k, t, t->c_subs[i], lane);
    return arena_printf(k->arena, "&%s", c_place(k, t->c, subs).s);
}

static Extent rows_open(CKernel *k, const Tile *t)
{
    Extent old = k->var_extent[t->row];
    k->var_extent[t->row] = extent_fixed(t->rows);
    out_line(k->out, "UNROLL");
    out_open(k->out, "for (long %s = 0; %s < %d; %s++) {", k->var_name[t->row], k->var_name[t->row],
             t->rows, k->var_name[t->row]);
    return old;
}

static void rows_close(CKernel *k, const Tile *t, Extent old)
{
    out_close(k->out, "}");
    k->var_extent[t->row] = old;
}

/* "F16": the type of a column's vectors (simd.h). */
static const char *vector_type(const CKernel *k, const Tile *t, int column)
{
    return arena_printf(k->arena, "%c%d", k->f64 ? 'D' : 'F', t->width[column]);
}

static int lanes_valid(const Tile *t, int lane, int width)
{
    return t->lanes - lane < width ? t->lanes - lane : width;
}

/* "y[i * 6], y[i * 6 + 1], ..." */
static const char *lane_list(CKernel *k, const Tile *t, int lane, int count)
{
    StrBuf s = str_new(k->arena);
    for (int i = 0; i < count; i++)
        str_printf(&s, "%s%s", i ? ", " : "", column_place(k, t, lane + i) + 1);
    return str_text(&s);
}

/* --- sums along contiguous elements -------------------------------------------------------------- */

static void dot_begin(CKernel *k, Tile *t)
{
    for (int c = 0; c < t->n_columns; c++) {
        t->names[c] = c_name(k, "acc");
        out_line(k->out, "%s %s[%d];", vector_type(k, t, c), t->names[c], t->rows);
    }
    Extent old = rows_open(k, t);
    for (int c = 0; c < t->n_columns; c++)
        out_line(k->out, "%s[%s] = (%s){0};", t->names[c], k->var_name[t->row],
                 vector_type(k, t, c));
    rows_close(k, t, old);
}

static void dot_add(CKernel *k, Tile *t)
{
    const char *b[MAX_COLUMNS], *type = vector_type(k, t, 0);
    for (int c = 0; c < t->n_columns; c++) {
        b[c] = c_name(k, "lanes");
        const Scalar *load = at_lane(k, t, t->b, c);
        out_line(k->out, "const %s %s = LOAD(%s, &%s);", type, b[c], type,
                 c_place(k, load->node, load->args).s);
    }
    int names = k->taken.len; /* the vectors stay: there may be no loop around */
    Extent old = rows_open(k, t);
    const char *a = c_name(k, "factor"), *row = k->var_name[t->row];
    out_line(k->out, "const %s %s = LOAD(%s, &%s);", type, a, type,
             c_place(k, t->a->node, t->a->args).s);
    for (int c = 0; c < t->n_columns; c++)
        out_line(k->out, "%s[%s] = FMA(%s, %s, %s, %s[%s]);", t->names[c], row, type, a, b[c],
                 t->names[c], row);
    rows_close(k, t, old);
    c_scope_end(k, names);
}

static void dot_end(CKernel *k, Tile *t)
{
    Extent old = rows_open(k, t);
    for (int c = 0; c < t->n_columns; c++)
        out_line(k->out, "%s += SUM(%s, %s[%s]);", column_place(k, t, c) + 1, vector_type(k, t, c),
                 t->names[c], k->var_name[t->row]);
    rows_close(k, t, old);
}

/* --- sums of lanes times numbers ------------------------------------------------------------------ */

void c_tile_begin(CKernel *k, Tile *t)
{
    if (t->dot) {
        dot_begin(k, t);
        return;
    }
    for (int c = 0; c < t->n_columns; c++) {
        t->names[c] = c_name(k, "acc");
        out_line(k->out, "%s %s[%d];", vector_type(k, t, c), t->names[c], t->rows);
    }
    Extent old = rows_open(k, t);
    for (int c = 0, lane = 0; c < t->n_columns; lane += t->width[c++]) {
        const char *acc = t->names[c], *row = k->var_name[t->row], *type = vector_type(k, t, c);
        int valid = lanes_valid(t, lane, t->width[c]);
        if (!t->resume) out_line(k->out, "%s[%s] = (%s){0};", acc, row, type);
        if (t->resume && valid < t->width[c])
            out_line(k->out, "%s[%s] = (%s){%s};", acc, row, type, lane_list(k, t, lane, valid));
        if (t->resume && valid == t->width[c])
            out_line(k->out, "%s[%s] = LOAD(%s, %s);", acc, row, type, column_place(k, t, lane));
    }
    rows_close(k, t, old);
}

void c_tile_add(CKernel *k, Tile *t)
{
    if (t->dot) {
        dot_add(k, t);
        return;
    }
    const char *b[MAX_COLUMNS];
    for (int c = 0, lane = 0; c < t->n_columns; lane += t->width[c++]) {
        b[c] = c_name(k, "lanes");
        const Scalar *load = at_lane(k, t, t->b, lane);
        const char *type = vector_type(k, t, c);
        out_line(k->out, "const %s %s = LOAD(%s, &%s);", type, b[c], type,
                 c_place(k, load->node, load->args).s);
    }
    int names = k->taken.len;
    Extent old = rows_open(k, t);
    c_count(k, &t->a, 1);
    const char *a = c_name(k, "factor");
    out_line(k->out, "const %s %s = %s;", c_type(k, TYPE_REAL), a, c_value(k, t->a).s);
    for (int c = 0; c < t->n_columns; c++) {
        const char *acc = t->names[c], *row = k->var_name[t->row], *type = vector_type(k, t, c);
        out_line(k->out, "%s[%s] = FMA(%s, SPLAT(%s, %s), %s, %s[%s]);", acc, row, type, type, a,
                 b[c], acc, row);
    }
    rows_close(k, t, old);
    c_scope_end(k, names);
}

void c_tile_end(CKernel *k, Tile *t)
{
    if (t->dot) {
        dot_end(k, t);
        return;
    }
    Extent old = rows_open(k, t);
    for (int c = 0, lane = 0; c < t->n_columns; lane += t->width[c++]) {
        const char *acc = t->names[c], *row = k->var_name[t->row];
        int valid = lanes_valid(t, lane, t->width[c]);
        if (valid < t->width[c]) { /* by element: the address of acc would keep it in memory */
            for (int i = 0; i < valid; i++)
                out_line(k->out, "%s = %s[%s][%d];", column_place(k, t, lane + i) + 1, acc, row, i);
        } else
            out_line(k->out, "STORE(%s, %s, %s[%s]);", vector_type(k, t, c),
                     column_place(k, t, lane), acc, row);
    }
    rows_close(k, t, old);
}
