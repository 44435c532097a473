/* nnd_host.h -- a program that is driven by another one: what the functions of a library written by
 * `nndc build --lib` call. SPDX-License-Identifier: 0BSD
 *
 * A host is a session of a program without data: whoever calls brings the examples. Two hosts share
 * nothing. Every function returns a code and, unless that is OK, leaves a message in the host.
 * Nothing here prints, exits, or changes a setting of the process. */
#ifndef NND_HOST_H
#define NND_HOST_H

#include "nnd_program.h"

/* NND_HOST_CODE(name, meaning): the codes, from 0 on. */
#define NND_HOST_CODES                                                                             \
    NND_HOST_CODE(OK, "done")                                                                      \
    NND_HOST_CODE(CALL, "a wrong argument: nothing was done")                                      \
    NND_HOST_CODE(RANGE, "a subscript or a size in the caller's data is outside its axis")         \
    NND_HOST_CODE(NOT_FINITE, "a loss is infinite or not a number")                                \
    NND_HOST_CODE(FILE, "a file cannot be read or written, or is of another program")              \
    NND_HOST_CODE(MEMORY, "out of memory: nothing was done")

#define NND_HOST_CODE(name, meaning) NND_HOST_##name,
typedef enum NndHostCode { NND_HOST_CODES } NndHostCode;
#undef NND_HOST_CODE

typedef struct NndHostEntry { /* an entry that has been called, with memory of its own */
    const NndEntry *entry;
    NndArray *inputs, *outputs; /* of the largest batch */
    const void **in;            /* their data */
    void **out;
} NndHostEntry;

typedef struct NndHost {
    NndSession session;
    int64_t *steps;   /* made so far, of each train block */
    bool *fitted;     /* whether the fits of each train block have values */
    int last;         /* the train block that made the last step */
    int64_t log_rows; /* of the trainer whose checkpoint was loaded */
    NndHostEntry *entries;
    int entry_count, entry_room;
} NndHost;

/* ---- host.c: what a host holds -----------------------------------------------------------------
 */

/* Parameters and states have their initial values, drawn with the seed. threads: 0 for as many as
 * there are cores. On failure NULL, with a message of at most size - 1 characters. */
NndHost *nnd_host_create(const NndProgram *program, uint64_t seed, int threads, char *message,
                         size_t size);
void nnd_host_free(NndHost *host);
/* Why the last call failed; "" if it did not. */
const char *nnd_host_error(const NndHost *host);
/* Checkpoints of the trainer's format: either reads what the other writes. */
int nnd_host_save(NndHost *host, const char *path);
int nnd_host_load(NndHost *host, const char *path);
/* The name of tensor i of those that are saved; NULL behind the last. */
const char *nnd_host_path(const NndHost *host, int i);
/* The rank of the tensor with this name, and its extents; -1 if there is none. */
int nnd_host_shape(const NndHost *host, const char *path, int64_t shape[NND_MAX_RANK]);
/* All `count` elements of a tensor from or to numbers of the program's real type. */
int nnd_host_get(NndHost *host, const char *path, void *values, int64_t count);
int nnd_host_set(NndHost *host, const char *path, const void *values, int64_t count);
int64_t nnd_host_steps(const NndHost *host, int train);

/* ---- host_run.c: what a host does
 * ---------------------------------------------------------------- */

/* Steps in an epoch of the trainer; 1 where there are no epochs. */
int64_t nnd_host_per_epoch(const NndHost *host, int train);
void nnd_host_entry_free(NndHostEntry *entry);
/* fields: those of all data sets of the train block, in order, each with n examples. */
int nnd_host_step(NndHost *host, int train, int64_t n, const void *const *fields,
                  void *const *losses);
int nnd_host_fit(NndHost *host, int train, int64_t n, const void *const *fields);
int nnd_host_report(NndHost *host, int train, int64_t n, const void *const *fields,
                    void *const *results);
int nnd_host_model(NndHost *host, int model, uint64_t seed, int64_t n, const void *const *inputs,
                   void *const *outputs);

#endif
