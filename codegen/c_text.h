/* c_text.h -- the inside of the C backend: one kernel on its way to text; for emit_c.c, c_expr.c
 * and c_kernel.c only. */
#ifndef NND_C_TEXT_H
#define NND_C_TEXT_H

#include "kernel.h"
#include "out.h"

/* How tightly a C expression holds together. */
enum { PREC_PICK, PREC_OR, PREC_AND, PREC_EQ, PREC_LT, PREC_ADD, PREC_MUL, PREC_UNARY, PREC_ATOM };

typedef struct Text {
    const char *s;
    int prec;
} Text;

/* A scalar whose value a C variable holds. */
typedef struct Named {
    const Scalar *scalar;
    const char *name;
} Named;

/* Where a draw stands (its stream of random numbers): a parameter, so that layers that differ in
 * nothing else are one function. */
typedef struct Site {
    uint64_t site;
    const char *name;
} Site;

/* An identifier in use: variant `number` of its base, "acc3" of "acc". */
typedef struct Taken {
    Name name, base;
    int number;
    int last; /* 1 + the place of the base's variant before; 0: none */
} Taken;

/* Functions of parts of kernels and of tiles, of all entries. */
typedef struct CParts {
    Out *out;      /* where new ones are printed */
    Map functions; /* from a text without names to the CFunction that was printed for it */
    Map of_part;   /* from a part's Stmt to its CFunction */
    Map tiles;     /* the names of the functions of tiles that are printed */
} CParts;

typedef struct CKernel {
    Lowered *l;
    CParts *parts; /* NULL: nothing is printed but kernels */
    bool in_parts; /* parts are functions of their own, not text where they stand */
    const Kernel *kernel;
    Out *out;
    Arena *arena;
    bool f64;
    const char *var_name[MAX_ITERS];
    Extent var_extent[MAX_ITERS];
    VEC(Taken) taken;         /* identifiers in use, inner scopes last */
    Map taken_at, variant_at; /* from a name, from a base to 1 + the place of the (last) one, while
                                 it holds */
    Map buffer_name;          /* from Buffer to its identifier here */
    Map buffer_used;          /* the buffers that stand in the text */
    VEC(Named) named;         /* in scope, inner ones last; scalar NULL: the name holds no longer */
    Map named_at;             /* from a Scalar to 1 + its place there, while it holds */
    Map uses;                 /* of the statement at hand: from Scalar to how often */
    const Scalar *known_inside, *known_outside; /* loads of which that is known here, or NULL */
    Map unsafe;               /* from Scalar to "yes" or "no": holds a checked subscript */
    int n_temps;
    bool lazy;      /* inside a branch: what may fail must not be moved out */
    bool anonymous; /* names that do not depend on the tensors, to find equal kernels */
    bool uses_fault, uses_seed, uses_pool;
    VEC(Site) sites; /* of the draws in the text */
    struct CFunction *function;
    Out *tasks; /* the text of what the runtime calls of it, which stands before it */
    int n_tasks;
    bool divided; /* this is one of them */
} CKernel;

/* A parameter of a kernel's function. */
typedef struct CParameter {
    const Buffer *buffer; /* NULL: not a buffer */
    int var;              /* of a part: 1 + a variable of a loop around it; 0: none */
    const Site *site;     /* of a draw; NULL: not a draw */
    bool written;
    const char *name, *type;
} CParameter;
/* Whether C has it as a number, not as an array. */
static inline bool c_by_value(const Buffer *b)
{
    return buffer_is_number(b) || (b->kind == BUFFER_LOCAL && b->node->rank == 0);
}

typedef struct CFunction {
    const char *name;
    VEC(CParameter) parameters;
} CFunction;

/* --- c_expr.c --------------------------------------------------------------------------------- */

const char *c_type(const CKernel *k, ElemType type);
/* An identifier like `wanted` that is not in use yet. */
const char *c_name(CKernel *k, const char *wanted);
/* Whether it is in use; takes it. */
bool c_taken(const CKernel *k, const char *name);
void c_take(CKernel *k, const char *name);
/* Frees all but the first `names` identifiers. */
void c_scope_end(CKernel *k, int names);
/* The value as a C expression; may first print declarations of temporaries. */
Text c_value(CKernel *k, const Scalar *s);
/* An int as an expression of type long or int, for subscripts and bounds. */
Text c_index(CKernel *k, const Scalar *s);
/* "x[i * 784 + j]" or "sum": where a node's element lies. */
Text c_place(CKernel *k, const Node *node, const Scalar *const *subs);
/* The element's offset from the start of the buffer. */
Text c_offset(CKernel *k, const Node *node, const Scalar *const *subs);
/* Prepares to print a statement: counts the uses of the scalars in it. */
void c_count(CKernel *k, const Scalar *const *scalars, int n);
/* The parameter that holds a draw's site. */
const char *c_site(CKernel *k, uint64_t site);
/* The size of an extent as an index expression. */
Text c_extent(CKernel *k, Extent e);
/* The identifier of a node's buffer, which the text is going to hold. */
const char *c_buffer(CKernel *k, const Node *node);
/* The same for a loop: a size that may not fit is checked first, in a line of its own. */
Text c_loop_extent(CKernel *k, Extent e, Span span);
/* The condition under which a load with an `outside` stays inside its tensor, if it is the same for
 * all values of the variable; NULL if it is not, or there is none. */
const char *c_inside(CKernel *k, const Scalar *load, int var);
/* Gives the value a name: prints its declaration, unless it is a name or a number already. */
const char *c_bind(CKernel *k, const Scalar *s, const char *wanted);
/* Whether s holds a subscript that is checked when running. */
bool c_unsafe(CKernel *k, const Scalar *s);

/* The text, in parentheses if it holds together less than `needed`. */
const char *c_wrap(CKernel *k, Text t, int needed);
/* From here on, in this scope, the variable holds the scalar's value. */
void c_let(CKernel *k, const Scalar *s, const char *name);
/* The name of the variable that holds a scalar's value, or NULL. */
const char *c_named(const CKernel *k, const Scalar *s);
/* Whether the statement at hand uses it more than once. */
bool c_used_often(const CKernel *k, const Scalar *s);

/* --- c_index.c -------------------------------------------------------------------------------- */

/* An int that is a sum of multiples of variables. */
bool c_affine(const Scalar *s);
/* Whether subscript i is proven inside its axis. */
bool c_subscript_safe(CKernel *k, const Node *node, const Scalar *const *subs, int i);
/* Whether x // c or x % c is C's own operator: x is known not to be negative. */
bool c_plain_division(CKernel *k, const Scalar *s);
/* An operator of ints in long arithmetic. */
Text c_index_op(CKernel *k, const Scalar *s);
/* As c_place; check: subscripts that are not proven inside are checked when running. */
Text c_checked_place(CKernel *k, const Node *node, const Scalar *const *subs, bool check,
                     Span span);

/* --- c_tile.c --------------------------------------------------------------------------------- */

/* A call of the function for tiles of its size, which is printed before where it is new. */
void c_tile(CKernel *k, const Stmt *s);

/* --- c_kernel.c ------------------------------------------------------------------------------- */

/* The function of a kernel, named `name`. */
CFunction *c_kernel(Out *out, CParts *parts, Lowered *l, const Kernel *kernel, const char *name);
/* The size of an extent in a function that is no kernel; name: what it calls a buffer there. */
const char *c_outer_extent(Out *out, Lowered *l, Extent e,
                           const char *(*name)(void *data, const Buffer *buffer), void *data);
/* The conditions as one, evaluated from left to right as far as needed. */
const char *c_outer_condition(Lowered *l, const When *when,
                              const char *(*name)(void *data, const Buffer *buffer), void *data);
/* A text that is the same for kernels that are equal but for the tensors they are called with, and
 * the parameters in the same order as those of c_kernel. */
CFunction *c_kernel_key(CParts *parts, Lowered *l, const Kernel *kernel, const char **key);
/* The variables of loops around that the body of a statement uses. */
uint64_t c_outer_vars(const Stmt *stmt);
/* "x + i * 100": a place in a buffer. */
const char *c_address(CKernel *k, const Node *node, const Scalar *at);
/* The statements of a block, in order. */
void c_block(CKernel *k, const Block *block);
/* Sets a variable's range; returns what it was. */
Extent c_range(CKernel *k, int var, Extent extent);
/* A loop from begin to end, with what is the same in all iterations before it. */
void c_loop(CKernel *k, Stmt *s, const char *begin, const char *end);
/* Adds what is not a tensor: seed, sites, fault and pool, as far as the text uses them. */
void c_parameters_rest(const CKernel *k, CFunction *f);
/* "float x, const int *restrict y" */
const char *c_parameters_text(const CKernel *k, const CFunction *f);

/* --- c_parallel.c ----------------------------------------------------------------------------- */

/* A loop that is divided among threads. */
void c_parallel(CKernel *k, Stmt *s);
/* What comes after a product, as an argument of its call. */
const char *c_after(CKernel *k, Stmt *gemm);

#endif
