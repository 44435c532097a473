/* dots.c -- sums of products along contiguous elements of both factors, as register tiles.
 *
 * out[i, j] += sum over l of a[i, l] * b[j, l], with l innermost in memory: the gradients of a
 * layer's weights where the examples are the lanes. A tile holds rows x columns vectors of partial
 * sums; each step loads a vector of every row and column and makes all their products, and at the
 * end the lanes of each are added up, always in the same order. Where several such sums are added
 * (the layer is used more than once), a tile makes the products of all of them. */
#include "kernel.h"

enum { MIN_ELEMENTS = 8, MAX_TERMS = 16 };

typedef struct Dots {
    Lowered *l;
    Kernel *kernel;
    const Node *node;
    Contraction x[MAX_TERMS];
    int n_terms;
    const Node *target;
    const Scalar *const *subs;
    int row, column; /* iterators; -1: none */
    int last;        /* the one summed over */
} Dots;

static int64_t extent_of(const Dots *d, int i)
{
    return i < 0 ? 1 : d->node->iters[i].max;
}

static int longest(const Dots *d, const Contraction *x, int class)
{
    int best = -1;
    for (int i = d->node->rank - 1; i >= 0; i--)
        if (x->class[i] == class && (best < 0 || extent_of(d, i) > extent_of(d, best))) best = i;
    return best;
}

static void tile_add(Dots *d, Block *block, int64_t rows, const Scalar *row_at, int64_t columns,
                     const Scalar *column_at, int row, int column)
{
    Lowered *l = d->l;
    Graph *g = l->g;
    Tile *tile = NEW(l->arena, Tile);
    const Scalar *map[MAX_ITERS] = {0};
    if (d->row >= 0) map[d->row] = scalar_op2(g, OP_ADD, row_at, scalar_iter(g, row));
    if (d->column >= 0) map[d->column] = scalar_op2(g, OP_ADD, column_at, scalar_iter(g, column));
    *tile = (Tile){.row = row, .rows = (int)rows, .lane = column, .lanes = (int)columns};
    tile->n_columns = (int)columns;
    tile->dot = tile->resume = true;
    for (int c = 0; c < columns; c++)
        tile->width[c] = target_lanes(l);
    tile->a = scalar_substitute(g, d->x[0].a.load, map, MAX_ITERS);
    tile->b = scalar_substitute(g, d->x[0].b.load, map, MAX_ITERS);
    tile->n_more = d->n_terms - 1;
    tile->more = NEW_ARRAY(l->arena, TileTerm, d->n_terms);
    for (int t = 0; t < tile->n_more; t++) {
        tile->more[t].a = scalar_substitute(g, d->x[t + 1].a.load, map, MAX_ITERS);
        tile->more[t].b = scalar_substitute(g, d->x[t + 1].b.load, map, MAX_ITERS);
    }
    tile->c = d->target;
    for (int k = 0; k < d->target->rank; k++)
        tile->c_subs[k] = scalar_substitute(g, d->subs[k], map, MAX_ITERS);
    tile->sums[tile->n_sums++] = (TileSum){.var = d->last, .extent = d->node->iters[d->last]};
    block_add(l, block, stmt_tile(l, tile, d->node->span));
}

/* An axis in parts of two neighbouring sizes. */
typedef struct Parts {
    int64_t first, count, size;
} Parts;

static int split_axis(int64_t extent, int64_t most, Parts *out)
{
    int64_t parts = (extent + most - 1) / most, size = (extent + parts - 1) / parts;
    int64_t large = extent - parts * (size - 1);
    out[0] = (Parts){0, large, size};
    out[1] = (Parts){large * size, parts - large, size - 1};
    return parts > large ? 2 : 1;
}

/* A loop over the parts of a split; receives where each begins. */
static Block *split_loop(Dots *d, Block *block, int iter, const Parts *s, const Scalar **at)
{
    Graph *g = d->l->g;
    *at = scalar_int(g, s->first);
    if (s->count == 1) return block;
    Stmt *loop = stmt_loop(d->l, iter, LOOP_PARALLEL, extent_fixed(s->count), d->node->span);
    block_add(d->l, block, loop);
    const Scalar *start = scalar_op2(g, OP_MUL, scalar_iter(g, iter), scalar_int(g, s->size));
    *at = scalar_op2(g, OP_ADD, start, *at);
    return &loop->body;
}

/* The products of a sum of sums; false if one is no such thing. */
static bool terms_find(Dots *d, const Scalar *body)
{
    if (body->kind == SCALAR_OP && body->op == OP_ADD)
        return terms_find(d, body->args[0]) && terms_find(d, body->args[1]);
    if (d->n_terms == MAX_TERMS) return false;
    const Node *node = d->node;
    Contraction *x = &d->x[d->n_terms++];
    return contraction_of(d->l->g, x, graph_comp(d->l->g, REDUCE_SUM, node->rank, node->n_iters, node->iters,
                                        body, NULL, node->span)) &&
           x->a.stride[d->last] == 1 && x->b.stride[d->last] == 1;
}

/* Lets rows and columns be what they are in the first term; false if they lie in another way. */
static bool term_turn(Dots *d, Contraction *x)
{
    const Contraction *first = &d->x[0];
    for (int turn = 0; turn < 2; turn++) {
        bool alike = longest(d, x, CLASS_M) == d->row && longest(d, x, CLASS_N) == d->column;
        if (alike && d->row >= 0) alike = x->a.stride[d->row] == first->a.stride[d->row];
        if (alike && d->column >= 0) alike = x->b.stride[d->column] == first->b.stride[d->column];
        if (alike) return true;
        contraction_swap(x);
    }
    return false;
}

static bool dots_choose(Dots *d)
{
    const Node *node = d->node;
    if (node->kind != NODE_COMP || node->reduce != REDUCE_SUM || node->guard) return false;
    if (node->n_iters != node->rank + 1 || node_max_elements(node) < MIN_ELEMENTS) return false;
    d->last = node->rank;
    Extent along = node->iters[d->last];
    if (along.size || along.max % target_lanes(d->l) != 0) return false;
    for (int i = 0; i < node->rank; i++)
        if (node->iters[i].size) return false;
    if (!terms_find(d, node->body)) return false;
    Contraction *x = &d->x[0];
    if (longest(d, x, CLASS_M) < 0) contraction_swap(x);
    d->row = longest(d, x, CLASS_M);
    d->column = longest(d, x, CLASS_N);
    for (int t = 1; t < d->n_terms; t++)
        if (!term_turn(d, &d->x[t])) return false;
    return true;
}

bool contract_dots(Lowered *l, Kernel *kernel, const Node *node, const Node *target,
                   const Scalar *const *subs, Block *body)
{
    Dots d = {.l = l, .kernel = kernel, .node = node, .target = target, .subs = subs};
    if (kernel->n_vars > MAX_ITERS - 4 || !dots_choose(&d)) return false;
    int row = kernel->n_vars++, column = kernel->n_vars++;
    for (int i = 0; i < node->rank; i++) {
        if (i == d.row || i == d.column) continue;
        Stmt *loop = stmt_loop(l, i, LOOP_PARALLEL, node->iters[i], node->span);
        block_add(l, body, loop);
        body = &loop->body;
    }
    Parts columns[2], rows[2];
    int n_columns = split_axis(extent_of(&d, d.column), target_columns(l), columns);
    int n_rows = split_axis(extent_of(&d, d.row), target_rows(l, (int)columns[0].size), rows);
    for (int r = 0; r < n_rows; r++) {
        const Scalar *row_at, *column_at;
        Block *inner = split_loop(&d, body, d.row, &rows[r], &row_at);
        for (int c = 0; c < n_columns; c++) {
            Block *block = split_loop(&d, inner, d.column, &columns[c], &column_at);
            tile_add(&d, block, rows[r].size, row_at, columns[c].size, column_at, row, column);
        }
    }
    return true;
}
