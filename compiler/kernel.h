/* kernel.h -- kernels: loops over buffers, what the back half of the compiler works on.
 *
 * An entry of the program becomes a list of kernels that run in order. A kernel is a tree of
 * statements: loops, conditions, stores, local variables, calls. The expressions in it are Scalars
 * whose iterators are the variables of the loops around them (by number) and whose loads name the
 * node whose value they read; a map tells which buffer holds a node's value. Several nodes share a
 * buffer where one is another's view. Backends print kernels and know nothing of tensors. */
#ifndef NND_KERNEL_H
#define NND_KERNEL_H

#include "demand.h"
#include "nnd_rt.h"
#include "options.h"
#include "program.h"

/* --- buffers ---------------------------------------------------------------------------------- */

typedef enum BufferKind {
    BUFFER_PERSIST, /* a parameter or state, kept between runs */
    BUFFER_DATA,    /* a field of the batch, a file, an argument: read only, owned by the caller */
    BUFFER_CONST,   /* an array written in the program */
    BUFFER_RUN,     /* one number that the caller sets: batch size, step, ... */
    BUFFER_TIME,    /* the number of a loop's step: a variable of the entry */
    BUFFER_OUTPUT,  /* a result of the entry */
    BUFFER_ARENA,   /* work memory, planned */
    BUFFER_LOCAL    /* a variable or small array inside a kernel */
} BufferKind;

/* Elements lie row-major by the largest extents of the axes. */
typedef struct Buffer {
    BufferKind kind;
    ElemType type;
    int64_t elements; /* at most; at least 1 */
    Name name;        /* a C identifier, unique in its entry (and, but for LOCAL, in its kernels) */
    const Node *node; /* the value it was made for */
    int index;        /* in order of creation */
    int64_t offset;   /* ARENA: in bytes */
    bool peak;        /* ARENA: lives when most bytes do */
    int output;       /* OUTPUT: its number in the entry; also PERSIST: of no output, -1 */
    bool vector;      /* LOCAL: kept in vector registers */
    bool block;       /* LOCAL: of a product that exists in blocks only, the one at hand */
    int use;          /* its place in the Uses at hand */
    struct Buffer *into; /* the one whose place it takes, and which stands for it from then on; or NULL */
} Buffer;

/* The buffers that a part of a program reads and writes, each once. */
typedef struct Use {
    Buffer *buffer;
    const Node *node; /* as which it is used; NULL: as several, views of each other */
    bool read, written;
} Use;
typedef VEC(Use) Uses;

/* --- statements ------------------------------------------------------------------------------- */

typedef struct Stmt Stmt;
typedef VEC(Stmt *) Block;

typedef enum StmtKind {
    STMT_LOOP,       /* for (var = 0; var < extent; var++) body */
    STMT_IF,         /* if (cond) body */
    STMT_LOCAL,      /* declares the local buffer of target */
    STMT_STORE,      /* target[subs] = value */
    STMT_GEMM,       /* a matrix product of the runtime; body: what comes after it */
    STMT_TILE,       /* a part of a sum of products, held in vector registers */
    STMT_PART        /* body: a function of its own, so that equal parts are written once */
} StmtKind;

typedef enum LoopKind {
    LOOP_SEQUENTIAL, /* iterations in order */
    LOOP_PARALLEL,   /* iterations independent of each other */
    LOOP_THREADS,    /* independent, and divided among threads */
    LOOP_VECTOR,     /* independent, innermost, of a fixed small extent or divided into such */
    LOOP_UNROLLED    /* independent, of a fixed small extent, unrolled */
} LoopKind;

/* The variables of the elements of a product along its rows or columns, outer ones first: together they
 * count them. */
typedef struct GemmAxis {
    int n, var[MAX_RANK];
    Extent extent[MAX_RANK];
} GemmAxis;

/* What the runtime says of the block of a product that is whole, as variables of the kernel. */
enum { BLOCK_ROW, BLOCK_ROW_END, BLOCK_COLUMN, BLOCK_COLUMN_END, BLOCK_VARS };

/* Row-major C[m, n] = op(A)[m, k] op(B)[k, n], as nnd_gemm has it. What stands in the statement's body
 * comes after the product, block by block: loops over rows and columns, and in them statements that
 * read C at their own element only. */
typedef struct Gemm {
    bool ta, tb;
    Extent m, n, k;
    const Node *a, *b, *c;
    const Scalar *a_load, *b_load;    /* an element of each, by variables of loops around and of the product's own */
    const Scalar *a_at, *b_at, *c_at; /* offsets of the first elements */
    int64_t lda, ldb, ldc;
    const Scalar *accumulate; /* where it holds, added to C; NULL: never */
    GemmAxis rows, columns;
    const Node *result; /* C as a tensor; its elements by these variables, its rows, where the first begins */
    const Scalar *c_subs[MAX_RANK];
    int64_t step;
    const Scalar *first;
    int block; /* the first of the variables that tell the block, if there is a body */
} Gemm;

enum { MAX_COLUMNS = 4, MAX_ROWS = 14 };

/* A variable that a tile sums over: from lo (NULL: 0) on, at most so many of its values (0: all). */
typedef struct TileSum {
    int var;
    Extent extent;
    const Scalar *lo;
    int64_t most;
} TileSum;

/* One product of a tile's sum. */
typedef struct TileTerm {
    const Scalar *a, *b; /* loads */
} TileTerm;

/* A block of rows x lanes of a sum of products: c(row, lane) = sum of a(row) * b(lane). The variables
 * row, lane and those summed over are bound by the tile itself; the places of all three are affine
 * in them. */
typedef struct Tile {
    int row, rows;
    int lane, lanes; /* lanes that count; the vectors may be wider */
    int n_columns;
    int width[MAX_COLUMNS]; /* of the vectors */
    const Scalar *a, *b;    /* loads: b has unit stride in lane, a does not depend on it */
    bool both;              /* a has unit stride in lane, too */
    const Node *c;
    const Scalar *c_subs[MAX_RANK];
    TileSum sums[MAX_ITERS]; /* outermost first */
    int n_sums;
    bool resume; /* begins with what C holds */
    bool dot;    /* a and b have unit stride in the only variable summed over, of whole vectors; at
                    the end the lanes' sums are added to C */
    TileTerm *more; /* of dots: products that are added, with the strides of the first */
    int n_more;
} Tile;

struct Stmt {
    StmtKind kind;
    Span span;
    /* LOOP */
    int var;
    LoopKind loop;
    Extent extent;         /* its size in terms of the variables around */
    const Scalar *lo, *hi; /* narrower bounds, or NULL: max(0, lo) <= var < min(extent, hi) */
    int64_t step;          /* 1, or the width of a block */
    /* IF */
    const Scalar *cond;
    /* LOOP, IF, PART, GEMM */
    Block body;
    /* STORE, LOCAL */
    const Node *target;
    const Scalar *subs[MAX_RANK];
    int n_subs;
    const Scalar *value;
    Gemm *gemm;
    Tile *tile;
};

typedef enum KernelKind {
    KERNEL_WORK,
    KERNEL_BEGIN, /* a mark: the kernels up to its KERNEL_END run once for each step of a loop */
    KERNEL_END
} KernelKind;

typedef struct Kernel {
    KernelKind kind;
    const Loop *loop; /* of a mark, which has nothing else */
    Block body;
    Nodes nodes; /* what it computes, for comments */
    Name name;   /* a C identifier */
    int n_vars;  /* variables 0 .. n_vars - 1 are in use */
    const When *when; /* it runs only where this holds; of a mark: the loop */
    const struct Kernel *after; /* it does not become part of one before this; NULL: of any */
} Kernel;

/* One entry on its way to code. */
typedef struct Place Place;

typedef struct Lowered {
    Program *program;
    Graph *g;
    Arena *arena;
    const Options *options;
    Entry *entry;
    const Node **roots; /* outputs, then values of updates */
    int n_roots;
    Demand *demand;   /* of the graph as it is lowered */
    const When *when; /* where what is being lowered is needed */
    VEC(Kernel *) kernels;
    VEC(Buffer *) buffers;
    Map buffer_of;      /* from Node to Buffer */
    Map places;         /* from a value to the Place (lower_update.c) where it differs from the old one */
    NameSet names;        /* of all buffers but local ones */
    int64_t arena_size;  /* bytes */
    int64_t arena_bound; /* bytes that live at the same time: no plan needs fewer */
    int64_t arena_most;  /* bytes it should do with, if it can; 0: any */
    bool arena_reached;
    double cost, cost_again;   /* about how many nanoseconds it takes, and more than it would with more memory */
    Nodes again;               /* what is computed a second time, in order */
} Lowered;

/* --- target.c: the machine ---------------------------------------------------------------------- */

/* What --isa says. */
NndIsa options_isa(const Options *options);
/* Whether reals are doubles. */
bool options_f64(const Options *options);
/* Reals in the widest vector. */
int target_lanes(const Lowered *l);
/* The most vectors side by side in a register tile; and the rows that fit beside so many. */
int target_columns(const Lowered *l);
int target_rows(const Lowered *l, int columns);

/* --- kernel.c: small helpers ------------------------------------------------------------------ */

/* A new kernel, behind the others. */
Kernel *kernel_new(Lowered *l, const char *name);
Stmt *stmt_loop(Lowered *l, int var, LoopKind kind, Extent extent, Span span);
Stmt *stmt_if(Lowered *l, const Scalar *cond);
Stmt *stmt_part(Lowered *l);
Stmt *stmt_store(Lowered *l, const Node *target, const Scalar *const *subs, int n_subs,
                 const Scalar *value);
/* A new local scalar (n = 1) or array of n elements; its node has rank 0 or 1. */
const Node *local_new(Lowered *l, ElemType type, int64_t n, const char *name);
Stmt *stmt_local(Lowered *l, const Node *local);
Stmt *stmt_gemm(Lowered *l, const Gemm *gemm, Span span);
Stmt *stmt_tile(Lowered *l, Tile *tile, Span span);
/* The variables that it binds. */
uint64_t tile_vars(const Tile *tile);
/* The variables that a statement binds for its body or its scalars: a loop's, a tile's, a product's. */
uint64_t stmt_vars(const Stmt *s);
void block_add(Lowered *l, Block *block, Stmt *stmt);
/* Whether C itself uses the word. */
bool word_of_c(const char *word);
/* The text as an identifier of C: underscores for what cannot stand in one, and one behind a word of C and
 * a name without small letters, as macros and vector types have. */
const char *identifier_of(Arena *arena, const char *text);
Buffer *buffer_new(Lowered *l, BufferKind kind, const Node *node, const char *name);
/* The buffer that holds a node's value; views share their operand's. NULL: none yet. */
Buffer *buffer_get(const Lowered *l, const Node *node);
/* Whether it is passed on as a number, not as the place of an array. */
static inline bool buffer_is_number(const Buffer *b)
{
    return b->kind == BUFFER_RUN || b->kind == BUFFER_TIME;
}
/* The matrix product that is all that a kernel does, maybe in loops; or NULL. */
Gemm *kernel_product(const Kernel *k);
/* A kernel as one statement: its body, or what a mark reads, and its condition. */
Stmt kernel_stmt(const Kernel *k);
/* Whether one of its outermost statements is work for several threads. */
bool kernel_is_parallel(const Kernel *k);
/* The mark that closes the loop which the one at `begin` opens. */
int kernels_loop_end(const Lowered *l, int begin);
/* How often what depends on the loops `inner` runs for one run of what depends on `outer`, at most. */
double loops_trips(const LoopSet *inner, const LoopSet *outer);
/* Calls visit for every statement of a block, outer ones first. */
void block_visit(const Block *block, void (*visit)(void *data, Stmt *stmt), void *data);
/* Whether a value takes a function of `var` that is more than an instruction: exp, tanh, ... */
bool scalar_has_function(const Scalar *a, int var);
/* Calls visit for every scalar that a statement itself holds (not those in its body). */
void stmt_scalars(Stmt *stmt, void (*visit)(void *data, const Scalar **scalar), void *data);
/* Of a statement and of what is in it. */
Uses stmt_uses(Lowered *l, Stmt *stmt);
bool uses_write(const Uses *uses, const Buffer *b);
void uses_add(Lowered *l, Uses *uses, const Uses *more);
/* Whether two parts of a program must keep their order. */
bool uses_conflict(const Uses *a, const Uses *b);
/* What the trees must obey; `when` names the pass for the message. */
void kernels_verify(const Lowered *l, const char *when);

/* --- lower.c: every node as loops ------------------------------------------------------------- */

/* Makes the buffers and, for each node that the entry needs, one kernel in its plainest form. */
Lowered *entry_lower(Program *program, Entry *entry, const Options *options);
/* What the entry needs where, of its graph as it is now. */
Demand *entry_demand(const Lowered *l, Arena *arena);

/* --- contract.c: sums of products ------------------------------------------------------------- */

enum {
    IN_A = 1,
    IN_B = 2,
    IN_C = 4,
    CLASS_M = IN_A | IN_C,
    CLASS_N = IN_B | IN_C,
    CLASS_K = IN_A | IN_B,
    CLASS_BATCH = IN_A | IN_B | IN_C
};

/* An operand of a product, or its result: strides of the iterators. */
typedef struct Operand {
    const Node *node;
    const Scalar *load; /* NULL: the result */
    int64_t stride[MAX_ITERS];
    int64_t offset;
    const Scalar *base; /* added to the offset: what the steps of loops around decide; or NULL */
} Operand;

/* out[P] = sum[R] a * b, each iterator of one of the classes. */
typedef struct Contraction {
    const Node *node;
    Operand a, b, c;
    int class[MAX_ITERS];
    bool used[MAX_ITERS]; /* by M, N or K of a matrix product */
} Contraction;

/* Whether the node is such a sum, of reals, with affine subscripts inside their tensors. */
bool contraction_of(Graph *g, Contraction *x, const Node *node);
/* Whether it is such a sum of one factor: the other is 1. */
bool contraction_of_ones(Graph *g, Contraction *x, const Node *node);
/* Makes a b and b a, and M N. */
void contraction_swap(Contraction *x);
/* Adds the node as loops around a matrix product, if it is one; else leaves nothing of use in body.
 * whole: only if the product sums over everything, so that no loop adds products up. */
bool contract_gemm(Lowered *l, const Node *node, bool whole, Block *body);

/* --- epilogue.c: what comes after a product ----------------------------------------------------- */

/* Whether the loop can come after the product block by block: it reads the product's element at hand, or what
 * comes after the product already does. */
bool epilogue_fits(Lowered *l, const Stmt *gemm, Stmt *loop);
/* Of a kernel's products to which loops were added: the loops get the bounds of blocks. */
void epilogues_bound(Lowered *l, Kernel *kernel);
/* The product's result, which nothing but what comes after it reads: it is written where that puts its own
 * result, or exists in blocks only. */
void epilogue_contract(Lowered *l, Kernel *kernel, const Buffer *result);

/* --- tile.c ----------------------------------------------------------------------------------- */

/* Adds the node as loops around register tiles, if it is a sum of products that these suit. */
bool contract_tiles(Lowered *l, Kernel *kernel, const Node *node, Block *body);

/* --- dots.c ----------------------------------------------------------------------------------- */

/* Adds target[subs] += node, if it is a sum of products along contiguous elements of both factors, or of
 * such sums that fit into one tile; subs[k] is in terms of the node's iterators. */
bool contract_dots(Lowered *l, Kernel *kernel, const Node *node, const Node *target,
                   const Scalar *const *subs, Block *body);

/* --- tails.c ---------------------------------------------------------------------------------- */

/* Last vectors that overlap, for the loops of a block that they serve. */
void tails_add(Lowered *l, Block *block);

/* --- cost.c ----------------------------------------------------------------------------------- */

enum { COST_POWERS = 3 };

/* Nanoseconds, ns[0] + ns[1] size + ns[2] size^2. */
typedef struct Cost {
    double ns[COST_POWERS];
    const Scalar *size; /* one of the numbers of the run, or NULL */
    int64_t most;       /* of the size */
} Cost;

/* Of one iteration of the loop on one thread, on average. */
Cost cost_iteration(const Lowered *l, const Stmt *loop);
/* Of the body of a kernel. */
Cost cost_body(const Lowered *l, const Block *body);
/* Of what comes after a product, in nanoseconds an element. */
double cost_after(const Lowered *l, const Stmt *gemm);
/* At the largest size. */
double cost_most(const Cost *cost);

/* --- pipeline.c: the passes (passes.def) ------------------------------------------------------ */

enum {
#define PASS(NAME, LEVEL, DOC) PASS_##NAME,
#include "passes.def"
#undef PASS
    PASS_COUNT
};

#define PASS(NAME, LEVEL, DOC) void pass_##NAME(Lowered *l);
#include "passes.def"
#undef PASS

typedef struct PassInfo {
    const char *name;
    int level; /* the least optimisation level at which it runs */
    const char *doc;
    void (*run)(Lowered *l);
} PassInfo;

extern const PassInfo pass_table[PASS_COUNT];

/* Runs all passes: from an entry to kernels with planned buffers. Work memory of `most` bytes is enough, if
 * that can be reached by computing things again; 0: any. */
Lowered *entry_compile(Program *program, Entry *entry, const Options *options, int64_t most);

/* --- reuse.c ---------------------------------------------------------------------------------- */

/* The second of two buffers of work memory can be in the place of the first from this kernel on. */
typedef struct ReusePair {
    Buffer *from, *to;
} ReusePair;
typedef VEC(ReusePair) ReusePairs;

/* All of a kernel, whatever else uses them. */
ReusePairs reuse_pairs(Lowered *l, Arena *scratch, const Kernel *kernel);

/* --- plan.c ----------------------------------------------------------------------------------- */

/* A tensor that needs `size` bytes from kernel `first` to kernel `last`, both included. */
typedef struct Lifetime {
    int64_t size;
    int first, last;
    int64_t offset; /* out */
} Lifetime;

/* From where to where each buffer is in use, by its index; first -1: nowhere. A kernel's number stands for
 * all steps of a loop where what it uses is needed in the next step or behind the loop. */
Lifetime *plan_lives(Lowered *l);
/* Gives offsets (multiples of 64) so that what lives at the same time does not overlap; returns the
 * size of the arena. Largest first, each at the lowest place that is free. */
int64_t plan_offsets(Lifetime *tensors, int count);
/* Of an element, and of a whole buffer. */
int64_t type_bytes(ElemType type, const Options *options);
int64_t buffer_bytes(const Lowered *l, const Buffer *buffer);
/* The most bytes, in whole lines of 64, that live during one kernel, and during which (the first). */
int64_t plan_bound(const Lifetime *tensors, int count, int *when);

#endif
