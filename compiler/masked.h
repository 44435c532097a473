/* masked.h -- values that count only where a test holds, and sums of them. Shared by
 * differentiation (autodiff*.c), where an adjoint is such a pair, and by simplification
 * (simplify.c). */
#ifndef NND_MASKED_H
#define NND_MASKED_H

#include "ir.h"

/* The iterators of a comprehension. */
typedef struct Domain {
    int n;
    Extent iters[MAX_ITERS];
} Domain;

/* value where test holds (NULL: everywhere), zero elsewhere. Where the test fails the value is
 * never evaluated: it may be NaN, or load from outside an axis. value NULL: zero everywhere. */
typedef struct Masked {
    const Scalar *test;
    const Scalar *value;
} Masked;

/* Every element of an int node is known to lie within the extent. */
typedef struct Fact {
    const Node *node;
    Extent extent;
} Fact;
typedef VEC(Fact) Facts;

/* Whether all loads in a stay inside their axes at every point of the domain. */
bool loads_proven(const Domain *domain, const Scalar *a);
/* a and b, where b is evaluated only if a holds unless its loads are safe anyway; NULL: true. */
const Scalar *test_and(Graph *g, const Domain *domain, const Scalar *a, const Scalar *b);
/* 0 <= index < extent; NULL if that is known. */
const Scalar *test_in_range(Graph *g, const Domain *domain, const Facts *facts, const Scalar *index,
                            Extent extent);
/* The parts that must all hold, in an order in which later ones may rely on earlier ones. */
Scalars test_parts(Arena *arena, const Scalar *test);
/* Whether the test compares two ints for equality: what a sum can be solved by. */
bool test_is_equality(const Scalar *test);

/* The value that the equality gives an iterator, or NULL if it does not determine it. */
const Scalar *equality_solve(Graph *g, const Scalar *equality, int iter);

/* if test then value else 0 */
const Scalar *masked_scalar(Graph *g, Masked m);
/* Moves choices between something and zero at the root of the value into the test. */
Masked masked_split(Graph *g, const Domain *domain, Masked m);
Masked masked_add(Graph *g, Masked a, Masked b);

/* reduce over the iterators from n_par on of body where guard, as a load of the node made for it;
 * parallel iterators that it does not depend on are left out of that node. */
const Scalar *reduce_load(Graph *g, Reduce reduce, const Domain *domain, int n_par,
                          const Scalar *body, const Scalar *guard, Span span);
/* The sum over the iterators from n_par on. An equality in the test that determines one of them is
 * solved, not looped over; tests that do not depend on them come out in front. *guarded: whether a
 * sum remained whose points are chosen by a guard. *solved: whether an iterator was solved. */
Masked masked_sum(Graph *g, const Domain *domain, int n_par, Masked term, const Facts *facts,
                  Span span, bool *guarded, bool *solved);
/* Solves equalities of the test for iterators from n_par on: replaces them in test, value and the n
 * scalars of `more`, and removes them from the domain (the others move up). Returns how many. */
int masked_solve(Graph *g, Domain *domain, int n_par, Masked *term, const Scalar **more, int n_more,
                 const Facts *facts);

#endif
