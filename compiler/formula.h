/* formula.h -- scalar formulas written in the language: parsed once, instantiated many times.
 * Shared by the derivative formulas of ops.def (formula.c) and the rewrite rules (simplify.c). */
#ifndef NND_FORMULA_H
#define NND_FORMULA_H

#include "ast.h"
#include "ir.h"

/* The syntax tree of a formula; one per distinct text and graph. */
const AstExpr *formula_parse(Graph *g, const char *text);
/* The formula with scalars for its names. Whole numbers take the type of what they meet. */
const Scalar *formula_instantiate(Graph *g, const AstExpr *expr, const char *const *names,
                                  const Scalar *const *values, int n_names);

#endif
