/* autodiff.h -- the inside of differentiation; for autodiff*.c only.
 *
 * An adjoint is a Masked: a value over the extra axes and the node's own (iterators 0, 1, ...),
 * zero unless its test holds. Formulas are instantiated under the test, never multiplied by a mask,
 * so that a branch not chosen cannot bring in a NaN, in derivatives of any order. */
#ifndef NND_AUTODIFF_H
#define NND_AUTODIFF_H

#include "masked.h"

typedef struct Diff {
    Graph *g;
    Arena *scratch;
    int extra;             /* leading axes that all adjoints carry */
    const Extent *extents; /* of these axes */
    Map depends;           /* nodes through which a derivative flows */
    Map adjoints;          /* from Node to Adjoint */
    Map finite;            /* from Node to &d->yes or &d->no: what is presumed about its values */
    Facts facts;
    char yes, no;
} Diff;

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
/* Whether a value is finite wherever it is evaluated, presuming that data, parameters and states are
 * and that nothing overflows. */
bool scalar_presumed_finite(Diff *d, const Scalar *a);
bool node_presumed_finite(Diff *d, const Node *node);

/* --- autodiff_gather.c ----------------------------------------------------------------------- */

/* A comprehension or scatter whose arriving derivative flows on to what it loads. */
typedef struct Stage {
    const Node *node;
    Domain domain;    /* extra iterators, then the node's */
    const Node *hole; /* in coefficients, loads of it stand for the arriving derivative */
    const Scalar *subs[MAX_RANK]; /* of the hole: where in the node's axes a point's result lies */
    const Scalar *value;          /* the arriving derivative over extra and own axes */
    const Node *whole;            /* the node that value is the load of, or NULL */
} Stage;

typedef struct Gathered {
    Masked flow;   /* over the extra axes and those of the node loaded */
    bool complete; /* nothing but the flow's test makes it zero */
} Gathered;

/* What arrives at the node of the load: at position t the sum of term over all points whose load is
 * at t. With `count`, no sum but whether there is a point where the term's test holds: in
 * flow.test. */
Gathered gather(Diff *d, const Stage *stage, const Scalar *load, Masked term, bool count);
/* The extents of a node's axes behind the extra ones. */
void adjoint_shape(Diff *d, const Node *node, Extent *shape);
/* The extent of axis k of a load, at its subscripts. */
Extent load_extent(Graph *g, const Scalar *load, int k);

#endif
