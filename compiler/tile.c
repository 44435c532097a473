/* tile.c -- sums of products as register tiles.
 *
 * Convolutions and their derivatives are contractions whose operands overlap, so no matrix product
 * is made of them; but the innermost work is the same: a tile of rows x lanes of the result is held
 * in vector registers while the reduction runs, and each step loads the lanes of b, broadcasts one
 * number of a for each row, and multiplies and adds. Lanes run along the axis in which the result
 * and b have unit stride, rows along another axis that only a and the result have (neighbouring
 * pixels, or input channels). Where all three have the lanes' axis (a convolution of each channel
 * by itself), each step loads the lanes of every row of a. Rows are split evenly, so that there are at most two sizes of tile.
 * Where the sum is long and the result small (the gradient of a convolution's weights), the sum is
 * cut into chunks, always as many, that add up into tensors of their own, which are added in order. So is a sum
 * over what a scan yields (the gradient of a bias): a product with 1, while its operand is in the cache for others.
 * See van Zee and van de Geijn 2015, BLIS: a framework for rapidly instantiating BLAS
 * functionality. */
#include "kernel.h"

#include <assert.h>
#include <stdlib.h>

enum {
    MIN_TILE_WORK = 4096,     /* multiplications below which plain loops are as good */
    RESIDENT = 512 * 1024,    /* bytes of operands that stay in the cache over a whole reduction */
    RESIDENT_OUT = 64 * 1024, /* elements of a result that stay there */
    DEPTH = 128,              /* terms between two visits of a result's tile that hide them */
    CHUNKS = 8,
    CHUNK_VARS = 12 /* variables of the loops over chunks and in a chunk: the same in all kernels, which may merge */
};

typedef struct Tiling {
    Lowered *l;
    Kernel *kernel;
    Contraction x;
    int lane, row;        /* iterators; row -1: none */
    int split;            /* the reducing iterator outside of the tiles, or -1 */
    int64_t block;        /* so many of its values at once; 1: one */
    int block_var;        /* that counts blocks of it, or -1 */
    int chunk;            /* the variable that counts parts of the split iterator, or -1 */
    int step;             /* the split iterator's in a chunk, or -1 */
    const Node *parts;    /* [CHUNKS, axes of the result]: the sums of the chunks */
    int order[MAX_ITERS]; /* the other reducing iterators, outermost first */
    int n_order;
} Tiling;

static int64_t extent_of(const Tiling *t, int i)
{
    return t->x.node->iters[i].max;
}

/* --- choices ---------------------------------------------------------------------------------- */

/* The innermost iterator of M with at least four values, or else the longest. */
static int row_choose(const Tiling *t)
{
    int best = -1;
    for (int i = t->x.node->rank - 1; i >= 0; i--) {
        if (t->x.class[i] != CLASS_M || t->x.node->iters[i].size || extent_of(t, i) < 2) continue;
        if (extent_of(t, i) >= 4) return i;
        if (best < 0 || extent_of(t, i) > extent_of(t, best)) best = i;
    }
    return best;
}

/* Reducing iterators as they lie in the larger operand, the longest stride outermost. */
static void order_choose(Tiling *t)
{
    bool in_b = node_max_elements(t->x.b.node) > node_max_elements(t->x.a.node);
    const int64_t *stride = in_b ? t->x.b.stride : t->x.a.stride;
    for (int i = t->x.node->rank; i < t->x.node->n_iters; i++) {
        int at = t->n_order++;
        for (; at > 0 && llabs(stride[t->order[at - 1]]) < llabs(stride[i]); at--)
            t->order[at] = t->order[at - 1];
        t->order[at] = i;
    }
}

/* Where both operands are long and the result is small, the outermost reducing iterator runs
 * outside, so that a part of the operands is used for all of the result before the next. */
static void split_choose(Tiling *t)
{
    const Node *node = t->x.node;
    int64_t a = node_max_elements(t->x.a.node), b = node_max_elements(t->x.b.node);
    int64_t result = node_max_elements(node), real = options_f64(t->l->options) ? 8 : 4;
    if (result > RESIDENT_OUT && t->row != 0 && t->lane != 0) { /* its first axis is a loop around all */
        result /= extent_of(t, 0);
        if (t->x.a.stride[0]) a /= extent_of(t, 0);
        if (t->x.b.stride[0]) b /= extent_of(t, 0);
    }
    t->split = -1;
    if (t->n_order < 2 || real * (a + b) <= RESIDENT || result > RESIDENT_OUT) return;
    int outer = t->order[0];
    if (!t->x.a.stride[outer] || !t->x.b.stride[outer]) return;
    t->split = outer;
    t->n_order--;
    int64_t depth = 1;
    for (int i = 0; i < t->n_order; i++) {
        t->order[i] = t->order[i + 1];
        depth *= extent_of(t, t->order[i]);
    }
    t->block = (DEPTH + depth - 1) / depth;
}

/* Vectors that cover n lanes; returns how many lanes they cover. */
static int columns_choose(const Lowered *l, Tile *tile, int64_t n)
{
    tile->n_columns = 0;
    int covered = 0;
    while (covered < n && tile->n_columns < target_columns(l)) {
        int width = target_lanes(l), least = options_f64(l->options) ? 2 : 4;
        while (width > least && n - covered <= width / 2)
            width /= 2;
        tile->width[tile->n_columns++] = width;
        covered += width;
    }
    return covered < n ? covered : (int)n;
}

/* --- building --------------------------------------------------------------------------------- */

static Block *loop_add(Tiling *t, Block *block, int iter, LoopKind kind, Extent extent)
{
    Stmt *loop = stmt_loop(t->l, iter, kind, extent, t->x.node->span);
    block_add(t->l, block, loop);
    return &loop->body;
}

/* The values of the split iterator in this block of them. */
static TileSum block_sum(const Tiling *t)
{
    Graph *g = t->l->g;
    const Scalar *lo = scalar_op2(g, OP_MUL, scalar_iter(g, t->block_var), scalar_int(g, t->block));
    return (TileSum){t->split, t->x.node->iters[t->split], lo, t->block};
}

/* One tile at row = row_at, lane = lane_at (in terms of the tile's variables and those around). */
static void tile_add(Tiling *t, Block *block, Tile shape, const Scalar *row_at,
                     const Scalar *lane_at)
{
    Lowered *l = t->l;
    const Node *node = t->x.node;
    Tile *tile = arena_copy(l->arena, &shape, sizeof shape);
    const Scalar *map[MAX_ITERS] = {0};
    if (t->row >= 0) map[t->row] = row_at;
    map[t->lane] = lane_at;
    if (t->step >= 0) map[t->split] = scalar_iter(l->g, t->step);
    tile->a = scalar_substitute(l->g, t->x.a.load, map, MAX_ITERS);
    tile->b = scalar_substitute(l->g, t->x.b.load, map, MAX_ITERS);
    tile->both = t->x.class[t->lane] == CLASS_BATCH;
    tile->c = t->parts ? t->parts : node;
    if (t->parts) tile->c_subs[0] = scalar_iter(l->g, t->chunk);
    for (int k = 0; k < node->rank; k++)
        tile->c_subs[k + (t->parts != NULL)] =
            scalar_substitute(l->g, scalar_iter(l->g, k), map, MAX_ITERS);
    tile->resume = t->split >= 0;
    if (t->block_var >= 0) tile->sums[tile->n_sums++] = block_sum(t);
    for (int i = 0; i < t->n_order; i++)
        tile->sums[tile->n_sums++] = (TileSum){.var = t->order[i], .extent = node->iters[t->order[i]]};
    block_add(l, block, stmt_tile(l, tile, node->span));
}

/* `blocks` tiles of `rows` rows from row `first` on. */
static void row_blocks(Tiling *t, Block *block, Tile shape, int64_t first, int64_t blocks, int rows,
                       const Scalar *lane_at)
{
    if (blocks == 0) return;
    Graph *g = t->l->g;
    shape.rows = rows;
    const Scalar *at = scalar_op2(g, OP_ADD, scalar_iter(g, shape.row), scalar_int(g, first));
    if (blocks > 1) {
        const Scalar *start = scalar_op2(g, OP_MUL, scalar_iter(g, t->row), scalar_int(g, rows));
        at = scalar_op2(g, OP_ADD, at, start);
        block = loop_add(t, block, t->row, LOOP_PARALLEL, extent_fixed(blocks));
    }
    tile_add(t, block, shape, at, lane_at);
}

/* All rows of one group of lanes. */
static void rows_add(Tiling *t, Block *block, Tile shape, const Scalar *lane_at)
{
    shape.rows = 1;
    if (t->row < 0) {
        tile_add(t, block, shape, NULL, lane_at);
        return;
    }
    int64_t extent = extent_of(t, t->row), most = target_rows(t->l, shape.n_columns);
    int64_t tiles = (extent + most - 1) / most, rows = (extent + tiles - 1) / tiles;
    int64_t large = extent - tiles * (rows - 1); /* tiles of `rows`; the others have one less */
    row_blocks(t, block, shape, 0, large, (int)rows, lane_at);
    row_blocks(t, block, shape, large * rows, tiles - large, (int)rows - 1, lane_at);
}

/* Groups of as many vectors along the lanes as a tile may have. */
static void groups_add(Tiling *t, Block *block)
{
    Graph *g = t->l->g;
    Tile shape = {.row = t->kernel->n_vars++, .lane = t->kernel->n_vars++};
    int64_t extent = extent_of(t, t->lane);
    int64_t width = target_columns(t->l) * target_lanes(t->l), groups = extent / width;
    const Scalar *lane = scalar_iter(g, shape.lane);
    if (groups > 0) {
        shape.lanes = columns_choose(t->l, &shape, width);
        const Scalar *start = scalar_op2(g, OP_MUL, scalar_iter(g, t->lane), scalar_int(g, width));
        Block *inside = block;
        if (groups > 1) inside = loop_add(t, block, t->lane, LOOP_PARALLEL, extent_fixed(groups));
        rows_add(t, inside, shape, groups > 1 ? scalar_op2(g, OP_ADD, start, lane) : lane);
    }
    if (extent % width == 0) return;
    shape.lanes = columns_choose(t->l, &shape, extent % width);
    rows_add(t, block, shape, scalar_op2(g, OP_ADD, lane, scalar_int(g, groups * width)));
}

/* The subscripts of the result, behind the chunk's; returns how many. */
static int subs_fill(const Tiling *t, const Scalar **subs)
{
    int n = 0;
    if (t->parts) subs[n++] = scalar_iter(t->l->g, t->chunk);
    for (int k = 0; k < t->x.node->rank; k++)
        subs[n++] = scalar_iter(t->l->g, k);
    return n;
}

static void zero_add(Tiling *t, Block *block, int from)
{
    const Node *node = t->x.node;
    const Scalar *subs[MAX_RANK];
    int n = subs_fill(t, subs);
    for (int i = from; i < node->rank; i++)
        block = loop_add(t, block, i, LOOP_PARALLEL, node->iters[i]);
    block_add(t->l, block,
              stmt_store(t->l, t->parts ? t->parts : node, subs, n, scalar_real(t->l->g, 0)));
}

/* --- chunks ----------------------------------------------------------------------------------- */

/* Whether the split iterator is long, and nothing else outside of it can be divided as well. */
static bool chunks_pay(const Tiling *t)
{
    const Node *node = t->x.node;
    if (t->split < 0 || extent_of(t, t->split) < 2 * CHUNKS || node->rank + 1 > MAX_RANK ||
        node_max_elements(node) > RESIDENT_OUT)
        return false;
    return t->row == 0 || t->lane == 0 || (!node->iters[0].size && extent_of(t, 0) < CHUNKS);
}

/* How many blocks of the split iterator there are. */
static Extent blocks_of(const Tiling *t)
{
    Graph *g = t->l->g;
    Extent all = t->x.node->iters[t->split];
    Extent blocks = extent_fixed((all.max + t->block - 1) / t->block);
    if (!all.size || t->block == 1) return t->block == 1 ? all : blocks;
    blocks.size = scalar_op2(g, OP_IDIV, scalar_op2(g, OP_ADD, all.size, scalar_int(g, t->block - 1)),
                             scalar_int(g, t->block));
    return blocks;
}

/* blocks * chunk / CHUNKS */
static const Scalar *chunk_bound(const Tiling *t, int more)
{
    Graph *g = t->l->g;
    Extent extent = blocks_of(t);
    const Scalar *size = extent.size ? extent.size : scalar_int(g, extent.max);
    const Scalar *at = scalar_op2(g, OP_ADD, scalar_iter(g, t->chunk), scalar_int(g, more));
    return scalar_op2(g, OP_IDIV, scalar_op2(g, OP_MUL, size, at), scalar_int(g, CHUNKS));
}

/* The kernel that adds up the chunks. */
static void chunks_sum(Tiling *t)
{
    Lowered *l = t->l;
    const Node *node = t->x.node;
    Kernel *k = kernel_new(l, t->kernel->name);
    k->nodes = t->kernel->nodes;
    k->n_vars = t->kernel->n_vars;
    t->kernel->name = arena_printf(l->arena, "%s_parts", k->name);
    const Scalar *subs[MAX_RANK];
    int n = subs_fill(t, subs);
    Block *body = &k->body;
    for (int i = 0; i < node->rank; i++)
        body = loop_add(t, body, i, LOOP_PARALLEL, node->iters[i]);
    const Node *sum = local_new(l, node->type, 1, "sum");
    const Scalar *so_far = scalar_load(l->g, sum, NULL, NULL, NO_SPAN);
    const Scalar *part = scalar_load(l->g, t->parts, subs, NULL, NO_SPAN);
    block_add(l, body, stmt_local(l, sum));
    block_add(l, body, stmt_store(l, sum, NULL, 0, scalar_real(l->g, 0)));
    Block *each = loop_add(t, body, t->chunk, LOOP_SEQUENTIAL, extent_fixed(CHUNKS));
    block_add(l, each, stmt_store(l, sum, NULL, 0, scalar_op2(l->g, OP_ADD, so_far, part)));
    block_add(l, body, stmt_store(l, node, subs + n - node->rank, node->rank, so_far));
}

static void chunks_add(Tiling *t, Block *block)
{
    const Node *node = t->x.node;
    const char *name = arena_printf(t->l->arena, "%s_parts", t->kernel->name);
    Extent shape[MAX_RANK] = {extent_fixed(CHUNKS)};
    for (int k = 0; k < node->rank; k++)
        shape[k + 1] = node->shape[k];
    Leaf leaf = {.kind = LEAF_INPUT, .name = name};
    if (t->kernel->n_vars < CHUNK_VARS) t->kernel->n_vars = CHUNK_VARS;
    t->chunk = t->kernel->n_vars++;
    t->parts = graph_leaf(t->l->g, &leaf, node->type, node->rank + 1, shape);
    buffer_new(t->l, BUFFER_ARENA, t->parts, name);
    block = loop_add(t, block, t->chunk, LOOP_PARALLEL, extent_fixed(CHUNKS));
    zero_add(t, block, 0);
    bool fixed = !node->iters[t->split].size;
    int64_t most = fixed ? extent_of(t, t->split) / CHUNKS : 1; /* each has a block at least */
    if (t->block > most) t->block = most;
    int var = t->kernel->n_vars++;
    *(t->block > 1 ? &t->block_var : &t->step) = var;
    Stmt *loop = stmt_loop(t->l, var, LOOP_SEQUENTIAL, blocks_of(t), node->span);
    loop->lo = chunk_bound(t, 0);
    loop->hi = chunk_bound(t, 1);
    block_add(t->l, block, loop);
    block = &loop->body;
    for (int i = 0; i < node->rank; i++)
        if (i != t->row && i != t->lane)
            block = loop_add(t, block, i, LOOP_PARALLEL, node->iters[i]);
    groups_add(t, block);
    chunks_sum(t);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* Whether vectors may read past the end of a factor. */
static bool may_overrun(const Operand *factor)
{
    return factor->node->kind != NODE_LEAF || factor->node->leaf->kind == LEAF_PERSIST;
}

/* Makes b the factor with the lanes; false if there is none. */
static bool lanes_choose(Tiling *t)
{
    Contraction *x = &t->x;
    t->lane = x->node->rank - 1;
    if (x->class[t->lane] == CLASS_M) contraction_swap(x);
    bool both = x->class[t->lane] == CLASS_BATCH;
    if ((x->class[t->lane] != CLASS_N && !both) || x->node->iters[t->lane].size) return false;
    if (x->b.stride[t->lane] != 1 || extent_of(t, t->lane) < 3) return false;
    if (both && x->a.stride[t->lane] != 1) return false;
    bool over = extent_of(t, t->lane) % 4 != 0;
    if (over && (!may_overrun(&x->b) || (both && !may_overrun(&x->a)))) return false;
    t->row = row_choose(t);
    if (!both || t->row >= 0) return true;
    contraction_swap(x);
    t->row = row_choose(t);
    return t->row >= 0;
}

static bool tiling_choose(Tiling *t, const Node *node)
{
    bool ones = !contraction_of(t->l->g, &t->x, node);
    if (ones && !contraction_of_ones(t->l->g, &t->x, node)) return false;
    if (node->rank < 1 || (ones && t->x.b.node->kind != NODE_YIELD)) return false;
    if (!lanes_choose(t)) return false;
    double work = 1;
    for (int i = 0; i < node->n_iters; i++)
        work *= (double)extent_of(t, i);
    if (work < MIN_TILE_WORK || node->n_iters == node->rank) return false;
    order_choose(t);
    split_choose(t);
    return !ones || chunks_pay(t); /* a part of what adds up products with the same steps */
}

bool contract_tiles(Lowered *l, Kernel *kernel, const Node *node, Block *body)
{
    Tiling t = {.l = l, .kernel = kernel, .block = 1, .block_var = -1, .chunk = -1, .step = -1};
    if (kernel->n_vars > MAX_ITERS - 6) return false;
    if (!tiling_choose(&t, node)) return false;
    if (chunks_pay(&t)) {
        chunks_add(&t, body);
        return true;
    }
    bool first = true;
    for (int i = 0; i < node->rank; i++) {
        if (i == t.row || i == t.lane) continue;
        body = loop_add(&t, body, i, LOOP_PARALLEL, node->iters[i]);
        if (!first || t.split < 0 || i != 0) continue;
        first = false;
        zero_add(&t, body, 1);
        if (t.block > 1) t.block_var = kernel->n_vars++;
        body = loop_add(&t, body, t.block > 1 ? t.block_var : t.split, LOOP_SEQUENTIAL, blocks_of(&t));
    }
    if (first && t.split >= 0) {
        t.order[t.n_order++] = 0; /* no loop to stand in: part of the tile's reduction, outermost */
        for (int k = t.n_order - 1; k > 0; k--)
            t.order[k] = t.order[k - 1];
        t.order[0] = t.split;
        t.split = -1;
    }
    groups_add(&t, body);
    return true;
}
