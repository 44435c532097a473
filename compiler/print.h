/* print.h -- what print.c and read.c share: how leaves, iterators and results are written. */
#ifndef NND_PRINT_H
#define NND_PRINT_H

#include "program.h"

enum { LEAF_FORMS = LEAF_TIME + 1, PERSIST_FORMS = PERSIST_SCRATCH + 1 };

/* "@input" by LeafKind; of persistents by PersistKind: "@param", "@state", ... */
extern const char *const leaf_forms[LEAF_FORMS];
extern const char *const persist_forms[PERSIST_FORMS];

/* i, j, k, l, m, n, i6, i7, ... and back; -1 for another name. */
void iter_print(StrBuf *out, int iter);
int iter_of_name(const char *name);
/* A constant as it is written in a scalar. */
void number_print(StrBuf *out, ElemType type, double value);

#endif
