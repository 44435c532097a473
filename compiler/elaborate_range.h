/* elaborate_range.h -- ranges of indices, between elaborate_range.c and elaborate_index.c. */
#ifndef NND_ELABORATE_RANGE_H
#define NND_ELABORATE_RANGE_H

#include "elaborate.h"

/* Decides the extents of a statement's indices (`out`, one each) and of those of every reduction below it (kept
 * in f->ranges); without `indices`, body is itself a reduction. False after an error. */
bool ranges_infer(Elab *e, Frame *f, const AstIndices *indices, const AstExpr *body, Extent *out);

/* Whether the expression mentions an index in scope. */
bool expr_mentions_index(const Frame *f, const AstExpr *x);

#endif
