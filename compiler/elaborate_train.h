/* elaborate_train.h -- between elaborate_train.c, train_block.c and minimize.c: a train block at work. */
#ifndef NND_ELABORATE_TRAIN_H
#define NND_ELABORATE_TRAIN_H

#include "elaborate.h"

typedef struct TrainWork {
    Train *train;
    const AstItem *item;
    const Definition *definition;
    double clip;            /* 0: none */
    Entry *entry;           /* the step, or the reports over the whole split */
    bool step;              /* which of the two */
    Map minimizes;          /* statement -> its number */
    int n_minimizes;
    const Node *condition;  /* known at run time, of the statements at hand; NULL: none */
    int64_t nest;           /* rounds of the unrolled loops around, multiplied; 0: none */
    VEC(int64_t) copies;    /* values of the enclosing `for` loops: their copies share no optimiser state */
} TrainWork;

/* The data set whose examples are an epoch; NULL: there is none. */
static inline const DataSet *train_main(const Train *t)
{
    return t->data.len ? t->data.data[0] : NULL;
}

/* elaborate_train.c: a train block without phases, or one of its phases. */
void elaborate_train_block(Elab *e, const Definition *definition, Name identifier);

/* elaborate_fit.c: the fits met in the step, or in reports alone, which nothing before has computed, as passes over
 * the data. */
void elaborate_fits(Elab *e, Train *t, Session *session);

/* train_block.c: the statements of a train block, in order. */
void exec_train_block(Elab *e, Frame *f, TrainWork *w, const AstBlock *block);

/* train_report.c: `report NAME = expr`, and, after all statements, what `monitor` says. */
void exec_report(Elab *e, Frame *f, TrainWork *w, const AstStmt *s);
void exec_monitor(Elab *e, Frame *f, TrainWork *w);

/* train_update.c: sets a model's parameters from those of others. */
void exec_update(Elab *e, Frame *f, const AstStmt *s);

/* minimize.c: one step of an optimiser on the parameters that a loss depends on. */
void exec_minimize(Elab *e, Frame *f, TrainWork *w, const AstStmt *s);
/* After all statements: outputs that say which of them were done. */
void minimizes_finish(Elab *e, TrainWork *w);

#endif
