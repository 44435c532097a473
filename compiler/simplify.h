/* simplify.h -- rewriting by rules, and simplification of whole graphs (simplify.c,
 * simplify_node.c). */
#ifndef NND_SIMPLIFY_H
#define NND_SIMPLIFY_H

#include "ast.h"
#include "ir.h"
#include "options.h"

/* One line of rules.def. */
typedef struct Rule {
    const char *text;
    const AstExpr *lhs, *rhs;
    Op op;         /* at the root of lhs */
    int commuting; /* operators in lhs whose operands may stand in either order */
    bool fast;     /* only under --fast-math */
} Rule;

typedef struct Rules {
    int n;
    const Rule *rules;
} Rules;

/* The table, parsed. */
Rules rules_get(Graph *g);
/* Rewrites a scalar by the rules, bottom-up until none applies. options NULL: exact rules only. */
const Scalar *scalar_simplify(Graph *g, const Scalar *a, const Options *options);

/* Simplifies all that the roots need, and replaces the roots: rules; loads of constants; sums over
 * an equality solved or turned into scatters; reductions over fewer axes where some do not matter.
 * Returns whether anything changed. */
bool graph_simplify(Graph *g, const Node **roots, int n_roots, const Options *options);
/* Takes out what only differentiation needs: NODE_TAG and OP_STOP. */
bool graph_untag(Graph *g, const Node **roots, int n_roots);

/* --- hoist.c --------------------------------------------------------------------------------- */

/* Takes out of the bodies of scans what depends on the step alone. */
void graph_hoist(Graph *g, const Node **roots, int n_roots);

/* --- decide.c -------------------------------------------------------------------------------- */

/* Alternatives that cover all values of a short axis are true. */
const Scalar *scalar_decide(Graph *g, const Scalar *a, const Extent *iters, int n_iters);

/* --- simplify_outside.c ---------------------------------------------------------------------- */

/* A sum with loads `outside 0` instead of tests that they stay inside, where that is the same. */
const Node *sum_widen(Graph *g, const Node *node);

/* --- autodiff_gather.c ----------------------------------------------------------------------- */

/* A scatter whose positions can be solved for its iterators, as sums (and pieces); else NULL. */
const Node *scatter_in_gather_form(Graph *g, const Node *scatter);

#endif
