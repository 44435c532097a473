/* ir.h -- the intermediate representation: graphs of comprehensions.
 *
 * Everything that index notation can say is one kind of node, the comprehension:
 *
 *     out[P...] = reduce over R...  of  body( loads T_k[ subscripts in P, R ] )
 *
 * A Node is a tensor; a Scalar is an expression that a node evaluates at each point of its domain.
 * Both are immutable and hash-consed: equal ones are the same pointer. `id` counts in order of
 * creation, operands before users, so walking by id is a topological order, the same on every
 * machine. The header is cut into sections titled by the file that implements them. */
#ifndef NND_IR_H
#define NND_IR_H

#include "base.h"

typedef struct Graph Graph;
typedef struct Node Node;
typedef struct Scalar Scalar;
typedef struct Loop Loop;
typedef struct LoopSet LoopSet;
typedef VEC(const Node *) Nodes;

/* --- types
 * ---------------------------------------------------------------------------------------- */

/* In the order in which they convert upwards when they meet. */
typedef enum ElemType { TYPE_BOOL, TYPE_U8, TYPE_INT, TYPE_REAL } ElemType;

/* The extent of an axis or of an iterator. `size` NULL: exactly `max`. Else the run-time extent is
 * the value of `size`, an int Scalar between 0 and `max`; the iterators in it are those of the axes
 * before this one (none for the batch axis: size is a load of the batch-size leaf). */
typedef struct Extent {
    int64_t max;
    const Scalar *size;
} Extent;

static inline Extent extent_fixed(int64_t n)
{
    return (Extent){n, NULL};
}
static inline bool extent_equal(Extent a, Extent b)
{
    return a.max == b.max && a.size == b.size;
}

enum { MAX_RANK = 16, MAX_ITERS = 48 };
static const int64_t MAX_ELEMENTS = (int64_t)1 << 40; /* of a tensor */

/* --- ops.c: the table of scalar operators and reductions (ops.def)
 * ---------------------------------- */

typedef enum Op {
#define SCALAR(id, ...) OP_##id,
#define REDUCTION(id, ...)
#include "ops.def"
#undef SCALAR
#undef REDUCTION
    OP_COUNT
} Op;

typedef enum Reduce {
    REDUCE_NONE,
#define SCALAR(id, ...)
#define REDUCTION(id, ...) REDUCE_##id,
#include "ops.def"
#undef SCALAR
#undef REDUCTION
    REDUCE_COUNT
} Reduce;

/* How the type of a result follows from those of the operands. */
typedef enum OpResult {
    RESULT_SAME,  /* operands of one type, int or real; the result too */
    RESULT_REAL,  /* real operands, real result */
    RESULT_BOOL,  /* operands of one type; a truth value */
    RESULT_LOGIC, /* bool operands and result */
    RESULT_PICK,  /* SELECT: bool, then two of one type, which is the result's */
    RESULT_TO_REAL,
    RESULT_TO_INT,
    RESULT_TO_BOOL,
    RESULT_TO_U8 /* conversions from any type */
} OpResult;

typedef struct OpInfo {
    const char *id;   /* "ADD" */
    const char *name; /* as the language writes it: "exp", "+" */
    int arity;
    OpResult result;
    const char *real_text; /* C expression over float x, y, z */
    const char *int_text;  /* C expression over int32_t x, y, z, or "" if not for ints */
    const char *grad[3];   /* formula over x y z out g, in the language; NULL: no derivative */
    bool commutes;
    bool infix;       /* printed between its operands */
    const char *llvm; /* how LLVM says it, or NULL */
    const char *doc;
    const char *example; /* a true equation, or NULL */
} OpInfo;

extern const OpInfo op_table[OP_COUNT];

typedef struct ReduceInfo {
    const char *id;
    const char *name;    /* "sum" */
    double empty;        /* over nothing; also where the accumulation starts (argmax: see doc) */
    const char *combine; /* C expression over float x, y; "" if special (mean, argmax, argmin) */
    const char *doc;
    const char *example; /* a true equation */
} ReduceInfo;

extern const ReduceInfo reduce_table[REDUCE_COUNT];

/* The operator's value in double precision; ints are exact, wrapped to 32 bits. The oracle of
 * folding and of every backend. */
double op_eval(Op op, ElemType operand_type, const double *args);
/* The type of a result, given those of the operands. */
ElemType op_result_type(Op op, ElemType operand_type);
/* Where a reduction to this type starts, which is also its value over nothing: reduce_table's
 * `empty` as that type, so that the maximum of no ints is the smallest int. */
double reduce_empty(Reduce reduce, ElemType type);
/* The operator with this name in the language (functions only: "exp"), or -1. */
int op_find(const char *name);
/* About how much longer than an addition it takes, as vector code. */
enum { COST_MODERATE = 4, COST_HEAVY = 12 };
int op_cost(Op op);

/* --- scalars (scalar.c)
 * ------------------------------------------------------------------------------ */

typedef enum ScalarKind {
    SCALAR_CONST, /* value */
    SCALAR_ITER,  /* the value of iterator `iter` of the comprehension it stands in; an int */
    SCALAR_LOAD,  /* node[args...], one int subscript per axis; `outside` where one leaves its axis
                   */
    SCALAR_OP,    /* op(args...); SELECT evaluates only the branch it takes */
    SCALAR_DRAW /* a random number, a function of (seed, site, args[0] = run, args[1] = position) */
} ScalarKind;

struct Scalar {
    ScalarKind kind;
    ElemType type;
    uint32_t id;
    uint32_t hash;
    Scalar *next;          /* in the hash table */
    Span span;             /* who asked for it first; not part of equality */
    double value;          /* CONST, of any type (an int32 is exact) */
    int iter;              /* ITER */
    Op op;                 /* OP */
    const Node *node;      /* LOAD */
    const Scalar *outside; /* LOAD: value where a subscript leaves its axis; NULL: it must not, and
                              a subscript that is not proven inside is checked at run time */
    uint64_t site;         /* DRAW: hash of the call path of its place */
    bool normal;           /* DRAW: randn(), else rand() */
    uint64_t iters;        /* bit i: iterator i occurs in it */
    const LoopSet *free;   /* loops that the nodes it loads depend on; NULL: none */
    int n_args;
    const Scalar *args[];
};

const Scalar *scalar_const(Graph *g, ElemType type, double value);
const Scalar *scalar_int(Graph *g, int64_t value);
const Scalar *scalar_real(Graph *g, double value);
const Scalar *scalar_bool(Graph *g, bool value);
const Scalar *scalar_iter(Graph *g, int iter);
/* A load of every axis of a node; constant subscripts of constant leaves are not folded here. */
/* Notes that the program asks, at `span`, for an element at a subscript of this axis that is read from data. Where
 * passes ask for elements of other tensors at what was read there (of a gradient, say), the places of these are the
 * program's. */
void scalar_access(Graph *g, const Scalar *sub, Extent axis, Span span);
const Scalar *scalar_load(Graph *g, const Node *node, const Scalar *const *subs,
                          const Scalar *outside, Span span);
/* The load node[iters first, first + 1, ...]. */
const Scalar *scalar_load_at(Graph *g, const Node *node, int first);
/* op(args): operands must have the types the operator wants (see scalar_convert). Folds constants
 * and the identities that hold for every value (x + 0, x * 1, select of a constant, ...). */
const Scalar *scalar_op(Graph *g, Op op, const Scalar *const *args, Span span);
const Scalar *scalar_op1(Graph *g, Op op, const Scalar *a);
const Scalar *scalar_op2(Graph *g, Op op, const Scalar *a, const Scalar *b);
const Scalar *scalar_select(Graph *g, const Scalar *cond, const Scalar *a, const Scalar *b);
const Scalar *scalar_draw(Graph *g, uint64_t site, bool normal, const Scalar *run,
                          const Scalar *position, Span span);
/* The value as another type, by the conversions of the language's types. */
const Scalar *scalar_convert(Graph *g, const Scalar *a, ElemType type);
bool scalar_is_const(const Scalar *a, double value);
/* Replaces iterator i by map[i] (NULL: stays); simultaneous. */
const Scalar *scalar_substitute(Graph *g, const Scalar *a, const Scalar *const *map, int n_map);
/* a with `value` in place of `known`. */
const Scalar *scalar_replace(Graph *g, const Scalar *a, const Scalar *known, const Scalar *value);
/* The scalar where the truth value `known` has this value. */
const Scalar *scalar_assume(Graph *g, const Scalar *a, const Scalar *known, bool value);
/* Rebuilds a bottom-up: every LOAD whose (already rebuilt) form is l becomes replace(data, l), or
 * stays where replace returns NULL. */
const Scalar *scalar_replace_loads(Graph *g, const Scalar *a,
                                   const Scalar *(*replace)(void *data, const Scalar *load),
                                   void *data);
/* Calls visit once for every distinct scalar below and including a, operands first. */
void scalar_visit(const Scalar *a, void (*visit)(void *data, const Scalar *s), void *data);
/* All distinct loads in a, in order of creation; in subscripts and `outside`, too. */
typedef VEC(const Scalar *) Scalars;
Scalars scalar_loads(Arena *arena, const Scalar *a);

/* --- affine.c: what is known about integer expressions
 * ------------------------------------------------- */

/* constant + sum of coefficient[i] * iterator i */
typedef struct Affine {
    int64_t constant;
    int64_t coefficient[MAX_ITERS];
} Affine;

/* Whether a is affine in the iterators (no loads, no // or %). */
bool affine_of(const Scalar *a, Affine *out);
const Scalar *affine_scalar(Graph *g, const Affine *a);

/* Bounds of an int expression over a domain: lo <= a <= hi, and, where `size` is given, also
 * a <= value of size + over. Unknown: lo = INT64_MIN, hi = INT64_MAX. */
typedef struct Range {
    int64_t lo, hi;
    const Scalar *size;
    int64_t over;
} Range;
Range scalar_range(const Scalar *a, const Extent *iters, int n_iters);
/* Whether every value of a lies in 0 <= a < extent. */
bool range_within(Range range, Extent extent);
/* Whether subscript k of a load is proven to stay inside its axis, or the load says `outside`. */
bool load_is_safe(const Scalar *load, int k, const Extent *iters, int n_iters);

/* --- nodes (graph.c)
 * -------------------------------------------------------------------------------------- */

typedef enum NodeKind {
    NODE_LEAF,
    NODE_COMP,    /* comprehension */
    NODE_SCATTER, /* out[position] += body, over all iterators, where guard; zero elsewhere */
    NODE_RESHAPE, /* the same elements in another shape */
    NODE_PIECES,  /* parts in place along one axis: out[.., offset + stride * t, ..] = part[.., t,
                     ..] */
    NODE_ORDER,   /* positions of the elements of the last axis in ascending order (stable) */
    NODE_TAG,     /* identity, distinct from every other: what grad differentiates by */
    NODE_SCAN,    /* a loop with its carried values: no tensor, only the `arg` of the next two */
    NODE_FINAL,   /* carried value `carry` of the scan `arg` after its last step */
    NODE_YIELD    /* [steps, ...]: element t is `value` at step t of the scan `arg` */
} NodeKind;

typedef enum LeafKind {
    LEAF_CONST,   /* an array written in the program: leaf->values */
    LEAF_FILE,    /* read from a file at start: leaf->source */
    LEAF_PERSIST, /* a parameter, state, ...: leaf->persistent */
    LEAF_FIELD,   /* rows of a data field, one per example of the batch: leaf->field */
    LEAF_INPUT,   /* an argument of an exported model: leaf->name */
    LEAF_CARRY,   /* value leaf->number that leaf->loop carries, before the step */
    LEAF_SIZE,    /* int: examples in this batch (or chunk of a streamed entry) */
    LEAF_TOTAL,   /* int: examples in the whole split, in a streamed entry */
    LEAF_OFFSET,  /* int: number of the chunk's first example, in a streamed entry or a model's; else 0 */
    LEAF_STEP,    /* int: steps done so far in this train block, from 0 */
    LEAF_EPOCH,   /* int: from 0 */
    LEAF_TIME     /* int: the number of leaf->loop's step */
} LeafKind;

typedef struct Leaf {
    LeafKind kind;
    Name name; /* as printed: M.dense1.w, mnist.image, batch */
    const double *values;
    struct FileSource *source;
    struct Persistent *persistent;
    struct Field *field;
    const Loop *loop; /* CARRY, TIME */
    int number;       /* CARRY */
    int64_t most;     /* FIELD, INPUT: it holds sizes of a bounded axis, from 0 to this; else 0 */
} Leaf;

typedef struct Piece {
    const Node *part;
    int64_t offset, stride;
} Piece;

/* One value that a scan carries from step to step. The leaf's number tells it from the loop's
 * others; a scan's carries may be some of them. */
typedef struct Carry {
    const Node *leaf; /* LEAF_CARRY, in the body */
    const Node *init; /* before the first step */
    const Node *next; /* after the step */
} Carry;

struct Node {
    NodeKind kind;
    ElemType type;
    int rank;
    const Extent *shape; /* of `rank` axes */
    uint32_t id;
    uint32_t hash;
    Node *next; /* in the hash table */
    Span span;  /* who asked for it first; not part of equality */
    Name name;  /* of the value in the source, if it has one; not part of equality */

    /* COMP: iterators 0 .. rank-1 are parallel and have the extents of the axes; the others reduce,
     * in the order written. SCATTER: all sum; position[k] is the place along axis k. */
    Reduce reduce;
    int n_iters;
    const Extent *iters;
    const Scalar *body;
    const Scalar *guard; /* bool: points that take part; NULL: all. Where it is false the body is
                            not evaluated */
    const Scalar *const *position;

    const Node *arg; /* RESHAPE, ORDER, TAG; FINAL, YIELD: the scan */
    uint32_t tag;    /* TAG */
    int axis;        /* PIECES */
    int n_pieces;
    const Piece *pieces;
    const Leaf *leaf; /* LEAF */

    const Loop *loop; /* SCAN */
    const LoopSet
        *place; /* SCAN: loops that it runs within though no carry depends on them; or NULL */
    int n_carries;
    const Carry *carries;
    int carry;         /* FINAL */
    const Node *value; /* YIELD */

    const LoopSet *free; /* loops whose leaves it depends on; NULL: none */
    Nodes operands; /* in order, each once; also those that sizes of what it loads from are read from */
};

Graph *graph_new(Context *context);
Context *graph_context(Graph *g);
Arena *graph_arena(Graph *g);
/* The call of the library (span_call_new) that spans of what is made from now on belong to, or 0; returns what it
 * was before. */
int graph_call(Graph *g, int call);
/* What was parsed from the compiler's tables (formulas, rules), by the address of the text or
 * table. */
Map *graph_cache(Graph *g);
/* What differentiation knows of the values of nodes that depend on no loop (autodiff_finite.c). */
Map *graph_presumed(Graph *g);

const Node *graph_leaf(Graph *g, const Leaf *leaf, ElemType type, int rank, const Extent *shape);
/* An array written in the program. */
const Node *graph_const(Graph *g, ElemType type, int rank, const Extent *shape,
                        const double *values);
/* reduce over iterators rank..n_iters-1 of body where guard. Returns an existing node where it is
 * the same tensor (an identity load). REDUCE_NONE: n_iters == rank; a guard is not allowed then. */
const Node *graph_comp(Graph *g, Reduce reduce, int rank, int n_iters, const Extent *iters,
                       const Scalar *body, const Scalar *guard, Span span);
/* A pure map: out[P] = body. */
const Node *graph_map(Graph *g, int rank, const Extent *shape, const Scalar *body, Span span);
const Node *graph_scatter(Graph *g, int rank, const Extent *shape, const Scalar *const *position,
                          int n_iters, const Extent *iters, const Scalar *body, const Scalar *guard,
                          Span span);
const Node *graph_reshape(Graph *g, const Node *arg, int rank, const Extent *shape, Span span);
/* Parts that together fill the axis, or leave zeros where none writes. */
const Node *graph_pieces(Graph *g, ElemType type, int rank, const Extent *shape, int axis,
                         int n_pieces, const Piece *pieces, Span span);
const Node *graph_order(Graph *g, const Node *arg, Span span);
const Node *graph_tag(Graph *g, const Node *arg);
/* A certain tag, for graphs that are read. */
const Node *graph_tag_numbered(Graph *g, const Node *arg, uint32_t tag);
/* A scalar constant as a node of rank 0. */
const Node *graph_scalar(Graph *g, const Scalar *value);

/* --- loops (graph_loop.c)
 * ---------------------------------------------------------------------------------
 *
 * The body of a loop is ordinary nodes that depend on its leaves, LEAF_TIME and LEAF_CARRY: `free`
 * says which loops a node depends on. What does not depend on a loop is outside of it by itself.
 * Whatever a program needs of one scan, finals and yields of any of its body's nodes, is computed
 * by one run. */

struct LoopSet {
    int n;
    const Loop *const *loops; /* by id */
};

struct Loop {
    uint32_t id;
    Name name;     /* of the index */
    Extent extent; /* a size loads leaves only */
    bool reversed; /* steps extent-1 .. 0 */
    Span span;
    LoopSet only; /* itself */
};

/* A new loop. */
const Loop *graph_loop(Graph *g, Name name, Extent extent, bool reversed, Span span);
/* The loop of this number, for graphs that are read. */
const Loop *graph_loop_numbered(Graph *g, uint32_t id, Name name, Extent extent, bool reversed,
                                Span span);
const Node *graph_time(Graph *g, const Loop *loop);
const Node *graph_carry(Graph *g, const Loop *loop, int number, Name name, ElemType type, int rank,
                        const Extent *shape);
const Node *graph_scan(Graph *g, const Loop *loop, int n_carries, const Carry *carries, Span span);
/* The same scan within more loops: those that a value of its body depends on. */
const Node *graph_scan_within(Graph *g, const Node *scan, const LoopSet *loops);
const Node *graph_final(Graph *g, const Node *scan, int carry);
/* What does not depend on the loop is only repeated. */
const Node *graph_yield(Graph *g, const Node *scan, const Node *value, Span span);

bool loops_have(const LoopSet *set, const Loop *loop);
const LoopSet *loops_union(Graph *g, const LoopSet *a, const LoopSet *b);
const LoopSet *loops_without(Graph *g, const LoopSet *set, const Loop *loop);
/* The loops that a node made of these parts depends on. */
const LoopSet *node_loops(Graph *g, const Node *node);

/* What is computed at one place: outside of all loops, or in the body of one. */
typedef struct Region Region;
struct Region {
    const Node *scan; /* NULL: outside of all */
    Nodes nodes; /* operands first; a scan stands for its whole run, its FINALs and YIELDs follow */
    Nodes outer; /* what the body needs from outside of the loop */
    Nodes results;       /* the FINALs and YIELDs wanted of the scan */
    VEC(Region *) inner; /* of the scans among the nodes, in order */
};
/* Everything that the roots need, by place. `before`, or NULL: from Node to Nodes that come before it, beside
 * its operands. */
Region *graph_regions(Arena *arena, const Node *const *roots, int n_roots, const Map *before);
/* The same without what only nodes need for which `end` holds. */
Region *graph_regions_to(Arena *arena, const Node *const *roots, int n_roots,
                         bool (*end)(void *data, const Node *node), void *data);

/* --- lift.c
 * ---------------------------------------------------------------------------------------------------
 */

/* A comprehension or scatter of a loop's body for all steps, as its first axis; all_steps gives the
 * same for the nodes of the body that it loads. */
const Node *node_lift(Graph *g, const Node *node, const Loop *loop,
                      const Node *(*all_steps)(void *data, const Node *node), void *data);
bool node_can_lift(const Node *node);
/* What `all` has at the loop's step: a tensor like `like`. */
const Node *node_at_step(Graph *g, const Node *all, const Node *like, const Loop *loop);

/* The nodes that an extent is read from. */
Nodes extent_operands(Arena *arena, Extent extent);
/* All nodes that the roots need (themselves included), in order of creation. */
Nodes graph_reach(Arena *arena, const Node *const *roots, int n_roots);
/* The same without what only nodes need for which `end` holds. */
Nodes graph_reach_to(Arena *arena, const Node *const *roots, int n_roots,
                     bool (*end)(void *data, const Node *node), void *data);
/* Rebuilds what the roots need, in order: build(data, node, map) returns the node's replacement,
 * given the replacements of its operands (`map`: from Node to Node), or NULL to rebuild it
 * unchanged. */
typedef struct Rewrite Rewrite;
typedef const Node *(*RewriteFn)(void *data, Rewrite *rewrite, const Node *node);
void graph_rewrite(Graph *g, const Node **roots, int n_roots, RewriteFn build, void *data);
/* Inside build: the replacement of an operand; the node with its operands replaced. */
const Node *rewrite_get(Rewrite *rewrite, const Node *node);
const Node *rewrite_operands(Rewrite *rewrite, const Node *node);
const Scalar *rewrite_scalar(Rewrite *rewrite, const Scalar *a);

/* Whether it is a map without reduction, whose body can stand in place of loads of it. */
static inline bool node_is_map(const Node *n)
{
    return n->kind == NODE_COMP && n->reduce == REDUCE_NONE;
}
/* The body of a map with its iterators replaced by the subscripts of a load of it. */
const Scalar *scalar_inline(Graph *g, const Scalar *load);
int64_t node_max_elements(const Node *node);
/* The elements of a shape, every axis at its largest; INT64_MAX if they are more than that. */
int64_t shape_max_elements(int rank, const Extent *shape);
bool shape_equal(const Node *a, const Node *b);
/* Names a node after the value in the source that it became, unless it has a name. */
void graph_name(const Node *node, Name name);

/* --- print.c, read.c: graphs as .nnd text
 * ------------------------------------------------------------------ */

/* What the roots need as text, a line per node, then the roots, as @result(name, ..) where they
 * have names (which may be NULL); what it prints reads back to the same graph. */
void graph_print(StrBuf *out, Graph *g, const Node *const *roots, const Name *names, int n_roots);
/* Reads such a text. Leaves are looked up by kind and name among `leaves`; those of persistents,
 * fields and files that are not there are made anew. False after errors, which are reported. */
typedef struct GraphText {
    Nodes roots;
    VEC(Name) names; /* of the roots; NULL: none */
} GraphText;
bool graph_read(Graph *g, const char *text, const Node *const *leaves, int n_leaves,
                GraphText *out);
/* One node's statement for readers, without ranges: "h[i, j] = max(b[j] + y[i, j], 0.0)". `names`:
 * from Node to the text that stands for it. */
void formula_print(StrBuf *out, Graph *g, const Node *node, const Map *names);
/* "[3, batch <= 128]" */
void shape_print(StrBuf *out, const Node *node);
/* One scalar, as a formula over the iterators' names (i, j, k, ...) and the nodes' names. */
void scalar_print(StrBuf *out, const Scalar *a);

/* --- verify.c
 * --------------------------------------------------------------------------------------------------
 */

/* Asserts the invariants of everything the roots need; `when` names the pass for the message. */
void graph_verify(Graph *g, const Node *const *roots, int n_roots, const char *when);
/* The first violated invariant as text, or NULL if all hold. */
const char *graph_check(Arena *arena, Graph *g, const Node *const *roots, int n_roots);

/* --- autodiff.c
 * --------------------------------------------------------------------------------------------------
 */

/* Reverse mode. `seed` is the derivative that arrives at y: its shape is y's behind `extra` more
 * leading axes, which all results carry in front, too. out[i] becomes the derivative by the node
 * wrt[i], of its shape behind the extra axes, or NULL where y does not depend on it. Nodes wrt[i]
 * are ends: nothing flows through them. Through ints, bools, draws and OP_STOP nothing flows. */
void autodiff(Graph *g, const Node *y, const Node *seed, int extra, const Node *const *wrt,
              int n_wrt, const Node **out);

/* --- autodiff_forward.c
 * ------------------------------------------------------------------------------------------ */

/* Forward mode. Each element of x is a number of its own, of one instance; aligned[a] is the axis
 * of y along which axis a of x runs. out becomes the derivative of each element of y by its
 * instance's x, of y's shape, or NULL where y does not depend on x. False where forward mode does
 * not suit. */
bool autodiff_forward(Graph *g, const Node *y, const Node *x, const int *aligned, const Node **out);

/* --- formula.c: text of derivative formulas and rules
 * ---------------------------------------------------------- */

/* Instantiates formula text ("g * out") with scalars for its names; the text is one of the tables'.
 */
const Scalar *formula_build(Graph *g, const char *text, const char *const *names,
                            const Scalar *const *values, int n_names);
/* An operator's derivative by operand k times g, by its formula in ops.def; `out` has the
 * operator's value. NULL: there is no derivative. */
const Scalar *op_derivative(Graph *graph, const Scalar *op, int k, const Scalar *out,
                            const Scalar *g);

#endif
