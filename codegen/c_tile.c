/* c_tile.c -- register tiles as C: arrays of vectors with literal bounds, which compilers keep in
 * registers if every loop over them is unrolled.
 *
 * All tiles of a program with as many rows and lanes and the same distance between rows of a are one
 * function, which takes the places of the first elements and, as numbers, how far to move in each of
 * the loops that are summed over. That costs nothing beside the sums, and no text is compiled twice.
 * (The distance stands in the text: all rows then are one pointer with offsets. With a pointer for
 * every few rows tiles of 13 rows are 4 % slower.) */
#include "c_text.h"

#include <assert.h>

enum { LEAST_LOOPS = 3 }; /* of a tile's function; those that are too many run once */

static const char *real(const CKernel *k)
{
    return c_type(k, TYPE_REAL);
}

static const char *vector_type(const CKernel *k, const Tile *t, int column)
{
    return arena_printf(k->arena, "%c%d", k->f64 ? 'D' : 'F', t->width[column]);
}

/* "acc3": what belongs to a column. */
static const char *numbered(const CKernel *k, const char *base, int column)
{
    return column ? arena_printf(k->arena, "%s%d", base, column + 1) : base;
}

/* How far the place moves with a variable. */
static int64_t stride_of(const Node *node, const Scalar *const *subs, int var)
{
    int64_t stride = 0, size = 1;
    for (int i = node->rank - 1; i >= 0; size *= node->shape[i--].max) {
        Affine a;
        if (!(subs[i]->iters >> var & 1)) continue;
        bool affine = affine_of(subs[i], &a);
        assert(affine);
        (void)affine;
        stride += a.coefficient[var] * size;
    }
    return stride;
}

/* How far the factor a, which may be a number, moves. */
static int64_t factor_stride(const Tile *t, int var)
{
    return t->a->kind == SCALAR_LOAD ? stride_of(t->a->node, t->a->args, var) : 0;
}

static int64_t row_of(const Tile *t)
{
    return factor_stride(t, t->row);
}

/* --- the function ----------------------------------------------------------------------------- */

static void rows_open(Out *out, const Tile *t)
{
    out_line(out, "UNROLL");
    out_open(out, "for (long i = 0; i < %d; i++) {", t->rows);
}

/* A statement for every lane of a column that counts: the address of acc would keep it in memory. */
static void each_lane(Out *out, int first, int count, const char *acc, bool load)
{
    for (int i = 0; i < count; i++)
        if (load)
            out_line(out, "%s[i][%d] = c[i * c_row + %d];", acc, i, first + i);
        else
            out_line(out, "c[i * c_row + %d] = %s[i][%d];", first + i, acc, i);
}

static void print_begin(Out *out, const CKernel *k, const Tile *t)
{
    for (int c = 0; c < t->n_columns; c++)
        out_line(out, "%s %s[%d];", vector_type(k, t, c), numbered(k, "acc", c), t->rows);
    rows_open(out, t);
    for (int c = 0, lane = 0; c < t->n_columns; lane += t->width[c++]) {
        const char *acc = numbered(k, "acc", c), *type = vector_type(k, t, c);
        bool whole = t->lanes - lane >= t->width[c], resume = t->resume && !t->dot;
        if (resume && whole)
            out_line(out, "%s[i] = LOAD(%s, c + i * c_row + %d);", acc, type, lane);
        else
            out_line(out, "%s[i] = (%s){0};", acc, type);
        if (resume && !whole) each_lane(out, lane, t->lanes - lane, acc, true);
    }
    out_close(out, "}");
}

/* Four columns' sums at once: most of their steps serve all of them. */
static void print_four_sums(Out *out, const CKernel *k, const Tile *t)
{
    const char *four = k->f64 ? "D4" : "F4";
    out_line(out, "const %s sums = SUM4(%s, acc[i], acc2[i], acc3[i], acc4[i]);", four,
             vector_type(k, t, 0));
    out_line(out, "if (c_column == 1)");
    out_line(out, "    STORE(%s, c + i * c_row, LOAD(%s, c + i * c_row) + sums);", four, four);
    out_line(out, "else");
    out_line(out, "    for (long j = 0; j < 4; j++)");
    out_line(out, "        c[i * c_row + j * c_column] += sums[j];");
}

static void print_end(Out *out, const CKernel *k, const Tile *t)
{
    rows_open(out, t);
    if (t->dot && t->n_columns == 4) {
        print_four_sums(out, k, t);
        out_close(out, "}");
        return;
    }
    for (int c = 0, lane = 0; c < t->n_columns; lane += t->width[c++]) {
        const char *acc = numbered(k, "acc", c), *type = vector_type(k, t, c);
        if (t->dot)
            out_line(out, "c[i * c_row + %d * c_column] += SUM(%s, %s[i]);", c, type, acc);
        else if (t->lanes - lane >= t->width[c])
            out_line(out, "STORE(%s, c + i * c_row + %d, %s[i]);", type, lane, acc);
        else
            each_lane(out, lane, t->lanes - lane, acc, false);
    }
    out_close(out, "}");
}

static void print_add(Out *out, const CKernel *k, const Tile *t)
{
    int64_t row = row_of(t);
    for (int c = 0, lane = 0; c < t->n_columns; lane += t->width[c++]) {
        const char *type = vector_type(k, t, c), *b = numbered(k, "b_vector", c);
        if (t->dot)
            out_line(out, "%s %s = LOAD(%s, y + %d * b_column);", type, b, type, c);
        else
            out_line(out, "%s %s = LOAD(%s, y + %d);", type, b, type, lane);
        out_line(out, "KEEP(%s, %s);", type, b);
    }
    rows_open(out, t);
    if (t->dot)
        out_line(out, "const %s factor = LOAD(%s, x + i * a_row);", vector_type(k, t, 0),
                 vector_type(k, t, 0));
    else if (!t->both)
        out_line(out, "const %s factor = x[i * %lld];", real(k), (long long)row);
    for (int c = 0, lane = 0; c < t->n_columns; lane += t->width[c++]) {
        const char *acc = numbered(k, "acc", c), *type = vector_type(k, t, c);
        const char *factor = t->dot ? "factor" : arena_printf(k->arena, "SPLAT(%s, factor)", type);
        if (t->both)
            factor = arena_printf(k->arena, "LOAD(%s, x + i * %lld + %d)", type, (long long)row, lane);
        out_line(out, "%s[i] = FMA(%s, %s, %s, %s[i]);", acc, type, factor,
                 numbered(k, "b_vector", c), acc);
    }
    out_close(out, "}");
}

/* The loops that are summed over, around what they add. */
static void print_sum(Out *out, const CKernel *k, const Tile *t, int loops)
{
    if (t->dot) {
        out_line(out, "for (long t = 0; t < terms; t++)");
        out->indent++;
        out_open(out, "for (long n = 0; n < n_1; n += %d) {", t->width[0]);
        out_line(out, "const %s *x = a[t] + n, *y = b[t] + n;", real(k));
        print_add(out, k, t);
        out_close(out, "}");
        out->indent--;
        return;
    }
    StrBuf x = str_new(k->arena), y = str_new(k->arena);
    for (int s = 1; s <= loops; s++) {
        out_open(out, "for (long n%d = 0; n%d < n_%d; n%d++) {", s, s, s, s);
        str_printf(&x, " + n%d * a_%d", s, s);
        str_printf(&y, " + n%d * b_%d", s, s);
    }
    out_line(out, "const %s *x = a%s;", real(k), str_text(&x));
    out_line(out, "const %s *y = b%s;", real(k), str_text(&y));
    print_add(out, k, t);
    for (int s = 1; s <= loops; s++)
        out_close(out, "}");
}

static void print_function(Out *out, const CKernel *k, const Tile *t, int loops, const char *name)
{
    StrBuf numbers = str_new(k->arena);
    for (int s = 1; s <= loops && !t->dot; s++)
        str_printf(&numbers, ", long n_%d, long a_%d, long b_%d", s, s, s);
    const char *factors = t->dot ? "*const *" : "*";
    out_line(out, "static PART void %s(%sconst %s %sa, %sconst %s %sb, %s%s *restrict c, long c_row%s%s)",
             name, t->dot ? "long terms, " : "", real(k), factors, t->dot ? "long a_row, " : "", real(k),
             factors, t->dot ? "long b_column, " : "", real(k),
             t->dot ? ", long c_column, long n_1" : "", str_text(&numbers));
    out_open(out, "{");
    print_begin(out, k, t);
    print_sum(out, k, t, loops);
    print_end(out, k, t);
    out_close(out, "}");
    out_blank(out);
}

/* Tiles of one name are equal. */
static const char *function_of(CKernel *k, const Tile *t, int loops)
{
    const char *more = loops > LEAST_LOOPS ? arena_printf(k->arena, "_%d", loops) : "";
    const char *kind = t->dot ? "dots" : t->both ? "lanes" : "tile";
    const char *add = t->resume && !t->dot ? "_add" : "", *name = NULL;
    long long row = row_of(t);
    if (t->dot || t->rows == 1)
        name = arena_printf(k->arena, "%s_%dx%d%s%s", kind, t->rows, t->lanes, add, more);
    else
        name = arena_printf(k->arena, "%s_%dx%d%s_by_%s%lld%s", kind, t->rows, t->lanes, add,
                            row < 0 ? "minus_" : "", row < 0 ? -row : row, more);
    if (!k->parts) return name;
    Name key = name_of(k->l->program->context, name);
    if (map_get(&k->parts->tiles, key)) return name;
    print_function(k->parts->out, k, t, loops, name);
    map_put(&k->parts->tiles, key, k->parts);
    return name;
}

/* --- the call --------------------------------------------------------------------------------- */

/* "&y[i * 64 + 16]": the place of the first row, lane and terms. */
static const char *first_place(CKernel *k, const Tile *t, const Node *node, const Scalar *const *subs)
{
    Graph *g = k->l->g;
    const Scalar *map[MAX_ITERS] = {0}, *at[MAX_RANK];
    map[t->row] = map[t->lane] = scalar_int(g, 0);
    for (int i = 0; i < t->n_sums; i++)
        map[t->sums[i].var] = t->sums[i].lo ? t->sums[i].lo : scalar_int(g, 0);
    for (int i = 0; i < node->rank; i++)
        at[i] = scalar_substitute(g, subs[i], map, MAX_ITERS);
    return arena_printf(k->arena, "&%s", c_place(k, node, at).s);
}

/* The place of the first factor, which may be a number. */
static const char *first_factor(CKernel *k, const Tile *t)
{
    if (t->a->kind == SCALAR_LOAD) return first_place(k, t, t->a->node, t->a->args);
    return arena_printf(k->arena, "(const %s[]){%s}", real(k), c_value(k, t->a).s);
}

/* A loop of a call: how often it runs, and how far the factors move. */
typedef struct Count {
    int64_t fixed; /* that often, or -1: as the text says */
    const char *text;
    int64_t a, b;
} Count;

static Count count_of(CKernel *k, const Tile *t, const TileSum *sum, Span span)
{
    Count count = {.fixed = -1,
                 .a = factor_stride(t, sum->var),
                 .b = stride_of(t->b->node, t->b->args, sum->var)};
    if (!sum->extent.size && (!sum->lo || sum->extent.max % sum->most == 0))
        count.fixed = sum->lo ? sum->most : sum->extent.max;
    Text extent = c_loop_extent(k, sum->extent, span);
    count.text = c_wrap(k, extent, PREC_MUL);
    if (!sum->lo) return count;
    const char *lo = c_wrap(k, c_index(k, sum->lo), PREC_MUL), *left = c_name(k, "left");
    if (count.fixed < 0) out_line(k->out, "const long %s = %s - %s;", left, count.text, lo);
    count.text = arena_printf(k->arena, "(%s < %lld ? %s : %lld)", left, (long long)sum->most, left,
                             (long long)sum->most);
    return count;
}

/* Adds a loop; one that goes on where the outer one's next round begins is one with it. */
static int count_add(CKernel *k, Count *loops, int n, Count next)
{
    Count *outer = n ? &loops[n - 1] : NULL;
    if (next.fixed == 1) return n;
    if (!outer || next.fixed < 0 || outer->a != next.fixed * next.a ||
        outer->b != next.fixed * next.b) {
        loops[n] = next;
        return n + 1;
    }
    if (outer->fixed >= 0) outer->fixed *= next.fixed;
    outer->text = arena_printf(k->arena, "%s * %lld", outer->text, (long long)next.fixed);
    outer->a = next.a;
    outer->b = next.b;
    return n;
}

/* The place of the first factor a or b; of all terms of a sum along contiguous elements. */
static const char *factors_text(CKernel *k, const Tile *t, bool b)
{
    const char *place = b ? first_place(k, t, t->b->node, t->b->args) : first_factor(k, t);
    if (!t->dot) return place;
    StrBuf s = str_new(k->arena);
    str_printf(&s, "(const %s *const[]){%s", real(k), place);
    for (int i = 0; i < t->n_more; i++) {
        const Scalar *load = b ? t->more[i].b : t->more[i].a;
        str_printf(&s, ", %s", first_place(k, t, load->node, load->args));
    }
    str_add(&s, "}");
    return str_text(&s);
}

void c_tile(CKernel *k, const Stmt *s)
{
    const Tile *t = s->tile;
    Count loops[MAX_ITERS];
    int n = 0;
    for (int i = 0; i < t->n_sums; i++)
        n = count_add(k, loops, n, count_of(k, t, &t->sums[i], s->span));
    StrBuf args = str_new(k->arena);
    if (t->dot) str_printf(&args, "%d, ", t->n_more + 1);
    str_printf(&args, "%s, ", factors_text(k, t, false));
    if (t->dot) str_printf(&args, "%lld, ", (long long)row_of(t));
    str_printf(&args, "%s, ", factors_text(k, t, true));
    if (t->dot)
        str_printf(&args, "%lld, ", (long long)stride_of(t->b->node, t->b->args, t->lane));
    str_printf(&args, "%s, %lld", first_place(k, t, t->c, t->c_subs),
               (long long)stride_of(t->c, t->c_subs, t->row));
    if (t->dot)
        str_printf(&args, ", %lld, %s", (long long)stride_of(t->c, t->c_subs, t->lane), loops[0].text);
    for (int i = n; i < LEAST_LOOPS && !t->dot; i++)
        str_add(&args, ", 1, 0, 0");
    for (int i = 0; i < n && !t->dot; i++) {
        const char *count = loops[i].text;
        if (loops[i].fixed >= 0) count = arena_printf(k->arena, "%lld", (long long)loops[i].fixed);
        str_printf(&args, ", %s, %lld, %lld", count, (long long)loops[i].a, (long long)loops[i].b);
    }
    out_line(k->out, "%s(%s);", function_of(k, t, n < LEAST_LOOPS ? LEAST_LOOPS : n), str_text(&args));
}
