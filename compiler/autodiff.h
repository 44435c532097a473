/* autodiff.h -- the inside of differentiation; for autodiff*.c only.
 *
 * An adjoint is a Masked: a value over the extra axes and the node's own (iterators 0, 1, ...),
 * zero unless its test holds. Formulas are instantiated under the test, never multiplied by a mask,
 * so that a branch not chosen cannot bring in a NaN, in derivatives of any order. */
#ifndef NND_AUTODIFF_H
#define NND_AUTODIFF_H

#include "masked.h"

/* A node with what arrives at it. */
typedef struct Outer {
    const Node *node;
    Masked value;
} Outer;
typedef VEC(Outer) Outers;

typedef struct Diff {
    Graph *g;
    Arena *scratch;
    int extra;             /* leading axes that all adjoints carry */
    const Extent *extents; /* of these axes */
    Map depends;           /* nodes through which a derivative flows */
    Map adjoints;          /* from Node to Adjoint */
    Map presumed;          /* from nodes in loops to a letter: what is known of their values */
    Facts facts;
    Map wrt_number;        /* from an end to 1 + its number */
    const Node **out;
    const Loop *loop;      /* in a sweep over one step of it; nodes outside are kept for later: */
    Map members;           /* nodes of the body */
    Outers lifted;         /* nodes of the body that load such ones, to be done for all steps */
    Outers direct;         /* such ones that are reached in other ways, with what they get at a step */
} Diff;

/* --- autodiff.c ------------------------------------------------------------------------------ */

/* The sum of what arrived, as a node. */
const Node *adjoint_node(Diff *d, const Node *node, Masked m);
/* Adds to what arrives at a node. */
void adjoint_add(Diff *d, const Node *to, Masked value);
/* What arrived at a node that was visited and is no end; value NULL: nothing. */
Masked adjoint_value(const Diff *d, const Node *node);
/* Visits the nodes of a region, users first, and hands on what arrived at them. */
void adjoint_sweep(Diff *d, const Region *region);
/* Hands on what arrives at a node that is not visited. */
void adjoint_through(Diff *d, const Node *node, Masked value);

/* --- autodiff_scan.c ------------------------------------------------------------------------- */

void through_scan(Diff *d, const Region *region);
/* Decides for the scan's carries, whose leaves say nothing, whether they are presumed finite. */
void scan_presume_finite(Diff *d, const Node *scan);

/* --- autodiff_keep.c ------------------------------------------------------------------------- */

/* Whether the scan can yield a node of its body: it hangs on no loop inside of this one. */
bool scan_can_yield(const Node *scan, const Node *node);
/* Whether a node of the loop's body is as cheap to do again as to store. */
bool node_is_done_again(const Diff *d, const Loop *loop, const Node *node);
/* In roots of the step backwards, which read values of the scan's step: heavy operations on these alone
 * become nodes of the step. */
void scan_keep(Diff *d, const Node *scan, const Loop *backward, Nodes *roots);

/* A map of the step as a map of others, whose heavy operations read nothing from outside of the loop: in
 * `parts`. NULL: it is as good as it is. */
const Node *node_peel(Diff *d, const Node *node, Nodes *parts);

/* --- autodiff_body.c ------------------------------------------------------------------------- */

/* The derivative of a scalar body by one of its loads, times what arrives at the body. */
typedef struct Term {
    const Scalar *load;
    Masked coefficient;
} Term;
typedef VEC(Term) Terms;

/* One backward sweep. `arriving` is the derivative at the body; `out`, unless NULL, is a scalar
 * with the body's value. */
Terms body_terms(Diff *d, const Domain *domain, const Scalar *body, const Scalar *out,
                 const Scalar *arriving);
bool node_depends(const Diff *d, const Node *node);

/* --- autodiff_finite.c ----------------------------------------------------------------------- */

/* Whether a value is finite wherever it is evaluated, presuming that data, parameters and states
 * are and that nothing overflows. */
bool scalar_presumed_finite(Diff *d, const Scalar *a);
bool node_presumed_finite(Diff *d, const Node *node);
/* Presumes it of a node, whatever it is. */
void node_presume_finite(Diff *d, const Node *node);

/* --- autodiff_gather.c ----------------------------------------------------------------------- */

/* A comprehension or scatter whose arriving derivative flows on to what it loads. */
typedef struct Stage {
    const Node *node;
    Domain domain;    /* extra iterators, then the node's */
    const Node *hole; /* in coefficients, loads of it stand for the arriving derivative */
    const Scalar *subs[MAX_RANK]; /* of the hole: where in the node's axes a point's result lies */
    const Scalar *value;          /* the arriving derivative over extra and own axes */
    const Node *arg;              /* of a maximum or minimum: which point it is; or NULL */
    const Node *whole;            /* the node that value is the load of, or NULL */
} Stage;

typedef struct Gathered {
    Masked flow;   /* over the extra axes and those of the node loaded */
    bool complete; /* nothing but the flow's test makes it zero */
    bool solved;   /* an equality of the test chose an iterator's value */
} Gathered;

/* One load on the way back to its node T. */
typedef struct Gather {
    Diff *d;
    const Stage *stage;
    const Scalar *load;
    Masked term;
    bool count;
    int n_old, rank; /* iterators of the domain; axes of T */
} Gather;

/* What arrives at the node of the load: at position t the sum of term over all points whose load is
 * at t. With `count`, no sum but whether there is a point where the term's test holds: in
 * flow.test. */
Gathered gather(Diff *d, const Stage *stage, const Scalar *load, Masked term, bool count);
/* The extents of a node's axes behind the extra ones. */
void adjoint_shape(Diff *d, const Node *node, Extent *shape);
/* The extent of axis k of a load, at its subscripts. */
Extent load_extent(Graph *g, const Scalar *load, int k);

/* --- autodiff_plan.c ------------------------------------------------------------------------- */

enum { MAX_SLOTS = MAX_ITERS };

/* A solution outside `extent` is no point of the domain. */
typedef struct Bound {
    int slot; /* the iterator that was solved */
    Affine index;
    Extent extent;
} Bound;

/* A slot for (t - constant) // size, or for the remainder, of an axis t. */
typedef struct Tile {
    int axis;
    int64_t constant, size;
    bool remainder;
} Tile;

/* Slots 0 .. domain.n-1 are the iterators of the domain, then come the axes t of T, then tiles.
 * Solving expresses slots by others; a slot may also change its meaning (p becomes p', t becomes
 * t'). */
typedef struct Plan {
    int n_slots;
    uint64_t free;            /* iterators not solved */
    Affine slot[MAX_SLOTS];   /* every original slot in terms of the present ones */
    Extent extent[MAX_SLOTS]; /* of free iterators, sizes in terms of original slots */
    bool affine[MAX_RANK], done[MAX_RANK], split[MAX_RANK];
    Affine equation[MAX_RANK]; /* a_k - t_k = 0 */
    int64_t split_extent[MAX_RANK];
    Bound bounds[MAX_SLOTS + MAX_RANK];
    int n_bounds;
    Tile tiles[MAX_SLOTS]; /* of slots behind those of the axes */
} Plan;

Plan plan_new(const Gather *w);
/* Solves one more equation for an iterator with coefficient 1 or -1; false if there is none. */
bool plan_step(const Gather *w, Plan *plan);
/* An equation t = s*i + d*p + c that needs residue classes: sets the slots of i, p (-1: none). */
bool plan_window(const Gather *w, const Plan *plan, int *equation, int *i, int *p);
/* Restricts the plan to t_k = |s|*t' + rho; false if no point falls there. */
bool plan_residue(const Gather *w, Plan *plan, int k, int i, int p, int64_t rho);
/* The plan's axes, with axis k restricted to t_k = size*t' + rho. */
Plan plan_split(const Gather *w, Plan plan, int k, int64_t rho, int64_t size);
/* Solves all equations by quotients and remainders; false if windows overlap or iterators remain
 * free. */
bool plan_tile(const Gather *w, Plan *plan);
/* Whether iterators are left in an equation that could not be solved. */
bool plan_stuck(const Gather *w, const Plan *plan);
bool slot_parallel(const Gather *w, int slot);

#endif
