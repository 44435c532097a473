/* emit_c.h -- entries of a program as C functions.
 *
 * All data of the emitted program lie in one struct: the persistent tensors, pointers to the
 * examples of the batch and to files, the numbers of the run (batch, step, ...), the outputs of all
 * entries and the work memory. An entry becomes `static void NAME(struct Model *m)`, which expects
 * the inputs in *m and leaves outputs and updates there. Where a subscript left its tensor,
 * m->fault.place is not NULL afterwards, and the results mean nothing. */
#ifndef NND_EMIT_C_H
#define NND_EMIT_C_H

#include "kernel.h"
#include "out.h"

typedef struct CProgram CProgram;

/* Compiles the entries (to kernels); NULL entries are skipped. */
CProgram *c_program_new(Program *program, const Options *options, Entry *const *entries, int count);
/* Compiles those entries again that need more work memory, so that they do with so much if they can. */
void c_program_fit(CProgram *c, int64_t most);
/* The entries as they are compiled. */
int c_program_entries(const CProgram *c);
const Lowered *c_program_lowered(const CProgram *c, int number);
/* The entry with the most work memory, which all entries share; NULL: there is no entry. */
const Lowered *c_program_largest(const CProgram *c);
/* Bytes of the arrays in the struct without work memory: what is kept, and outputs. */
int64_t c_program_arrays(const CProgram *c);
/* Includes, helpers, struct Model. */
void c_program_head(Out *out, CProgram *c);
/* The kernels of an entry and its function. */
void c_program_entry(Out *out, CProgram *c, const Entry *entry);

/* How the struct names things (without "m->"). An array for a persistent tensor and for an output
 * (of one element if it is a scalar), a pointer to be set before a run for a field, a file, an
 * argument; NULL if no entry uses the leaf. */
const char *c_persistent_name(CProgram *c, const Persistent *p);
const char *c_leaf_name(CProgram *c, const Node *leaf);
const char *c_output_name(CProgram *c, const Entry *entry, int output);
/* "float", "int32_t", "bool", "uint8_t" */
const char *c_element_type(const Options *options, ElemType type);

#endif
