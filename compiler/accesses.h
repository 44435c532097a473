/* accesses.h -- the elements of tensors that statements read and write, for fuse.c and its neighbours. */
#ifndef NND_ACCESSES_H
#define NND_ACCESSES_H

#include "kernel.h"

typedef struct Access {
    const Node *node;
    const Scalar *const *subs;
    bool write;
} Access;
typedef VEC(Access) Accesses;

/* Of a statement and all in it. */
Accesses accesses_of(Lowered *l, Stmt *s);
/* Whether it reads the buffer as a size that subscripts are compared with, not by a load that can be replaced. */
bool reads_as_size(Lowered *l, Stmt *s, const Buffer *b);

#endif
