/* run_c.h -- for tests of the back end: an entry as a C program with a main that reads the inputs
 * from standard input and writes the results, all as doubles; compiled by cc, run, and compared
 * with the reference evaluator. */
#ifndef NND_RUN_C_H
#define NND_RUN_C_H

#include "emit_c.h"
#include "eval.h"
#include "nnd_rt.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct CEntry {
    Program *program;
    Entry *entry;
    CProgram *code;
    Nodes inputs; /* persistent, field, file and argument leaves */
    char path[64];
    bool built;
    const char *text;
} CEntry;

static void run_c_inputs(CEntry *c)
{
    const Node *roots[64];
    int n = 0;
    for (int k = 0; k < c->entry->outputs.len; k++)
        roots[n++] = c->entry->outputs.data[k].node;
    for (int k = 0; k < c->entry->updates.len; k++)
        roots[n++] = c->entry->updates.data[k].value;
    Arena *arena = graph_arena(c->program->graph);
    Nodes all = graph_reach(arena, roots, n);
    for (int i = 0; i < all.len; i++)
        if (all.data[i]->kind == NODE_LEAF && all.data[i]->leaf->kind >= LEAF_FILE &&
            all.data[i]->leaf->kind <= LEAF_INPUT)
            vec_push(arena, &c->inputs, all.data[i]);
}

static const char *run_c_member(CEntry *c, const Node *leaf)
{
    return leaf->leaf->kind == LEAF_PERSIST ? c_persistent_name(c->code, leaf->leaf->persistent)
                                            : c_leaf_name(c->code, leaf);
}

static void run_c_main(Out *out, CEntry *c, const Options *options)
{
    out_line(out,
             "static double next(void) { double x = 0; return fread(&x, 8, 1, stdin) ? x : 0; }");
    out_line(out, "static void put(double x) { fwrite(&x, 8, 1, stdout); }");
    out_line(out, "int main(void)");
    out_open(out, "{");
    out_line(out, "struct Model *m = nnd_alloc(sizeof *m);");
    out_line(out, "memset(m, 0xa5, sizeof *m); memset(&m->fault, 0, sizeof m->fault);");
    out_line(out, "m->batch = (int32_t)next(); m->total = (int32_t)next();");
    out_line(out, "m->offset = (int32_t)next(); m->step = (int32_t)next();");
    out_line(out, "m->epoch = (int32_t)next(); m->seed = (uint64_t)next();");
    out_line(out, "m->pool = nnd_pool_new(0); nnd_pool_eager(m->pool);");
    for (int i = 0; i < c->inputs.len; i++) {
        const Node *leaf = c->inputs.data[i];
        const char *name = run_c_member(c, leaf), *type = c_element_type(options, leaf->type);
        if (!name) continue;
        long n = (long)node_max_elements(leaf);
        out_line(out, "{ %s *x = nnd_alloc(sizeof *x * %ld + 64);", type, n);
        out_line(out, "for (long i = 0; i < %ld; i++) x[i] = (%s)next();", n, type);
        if (leaf->leaf->kind == LEAF_PERSIST)
            out_line(out, "memcpy(m->%s, x, sizeof *x * %ld); nnd_free(x); }", name, n);
        else
            out_line(out, "m->%s = x; }", name);
    }
    out_line(out, "%s(m);", c->entry->name);
    out_line(out, "put(m->fault.place ? 1 : 0);");
    for (int k = 0; k < c->entry->outputs.len; k++) {
        /* Bools as bytes: those behind the batch are not set. */
        bool truth = c->entry->outputs.data[k].node->type == TYPE_BOOL;
        out_line(out, "for (long i = 0; i < %ld; i++) put((double)%sm->%s[i]);",
                 (long)node_max_elements(c->entry->outputs.data[k].node),
                 truth ? "*(const unsigned char *)&" : "", c_output_name(c->code, c->entry, k));
    }
    for (int k = 0; k < c->entry->updates.len; k++)
        out_line(out, "for (long i = 0; i < %ld; i++) put((double)m->%s[i]);",
                 (long)node_max_elements(c->entry->updates.data[k].value),
                 c_persistent_name(c->code, c->entry->updates.data[k].target));
    for (int i = 0; i < c->inputs.len; i++) {
        const Node *leaf = c->inputs.data[i];
        if (run_c_member(c, leaf) && leaf->leaf->kind != LEAF_PERSIST)
            out_line(out, "nnd_free((void *)(uintptr_t)m->%s);", run_c_member(c, leaf));
    }
    out_line(out, "nnd_pool_free(m->pool); nnd_free(m);");
    out_line(out, "return 0;");
    out_close(out, "}");
}

#define RUN_C_FLAGS                                                                                \
    "-std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes "    \
    "-Wmissing-prototypes -Wwrite-strings -Wvla -Wformat=2 -Werror "                               \
    "-ffp-contract=off -fno-math-errno -fopenmp-simd -pthread"

/* Emits and compiles; flags: more of them for cc. */
static CEntry run_c_build(Program *program, Entry *entry, const Options *options, const char *flags)
{
    CEntry c = {.program = program, .entry = entry};
    c.code = c_program_new(program, options, &entry, 1);
    run_c_inputs(&c);
    Out out = out_new(graph_arena(program->graph));
    c_program_head(&out, c.code);
    c_program_entry(&out, c.code, entry);
    run_c_main(&out, &c, options);
    c.text = str_text(&out.text);
    snprintf(c.path, sizeof c.path, "/tmp/nnd_run_c_XXXXXX");
    int fd = mkstemp(c.path);
    if (fd < 0) return c;
    close(fd);
    char command[1024];
    const NndIsaInfo *isa = nnd_isa_info(options_isa(options));
    snprintf(command, sizeof command, "cat > %s.c", c.path);
    FILE *f = popen(command, "w");
    if (!f) return c;
    fputs(c.text, f);
    pclose(f);
    snprintf(command, sizeof command,
             "${CC:-cc} " RUN_C_FLAGS " %s %s -fno-tree-vectorize -I" NND_ROOT "/rt -o %s.exe %s.c " NND_BUILD
             "/libnnd_rt.a -lz -lm",
             options->isa ? isa->flags : isa->native, flags, c.path, c.path);
    c.built = system(command) == 0;
    if (!c.built) fprintf(stderr, "%s\n", c.text);
    return c;
}

static void run_c_free(CEntry *c)
{
    char command[512];
    snprintf(command, sizeof command, "rm -f %s %s.c %s.exe %s.in %s.out", c->path, c->path,
             c->path, c->path, c->path);
    if (!getenv("RUN_C_KEEP") && system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", c->path);
}

/* The element of a tensor with extents dims at place i of the emitted program's memory, or -1. */
static int64_t run_c_place(const Node *node, const int64_t *dims, int64_t i)
{
    int64_t at[MAX_RANK] = {0}, place = 0;
    for (int k = node->rank - 1; k >= 0; k--) {
        at[k] = i % node->shape[k].max;
        i /= node->shape[k].max;
    }
    for (int k = 0; k < node->rank; k++) {
        if (at[k] >= dims[k]) return -1;
        place = place * dims[k] + at[k];
    }
    return place;
}

static bool run_c_compare(CEntry *c, const Node *node, const EvalArray *expected, FILE *f,
                          double tolerance, const char *name)
{
    bool good = true;
    for (int64_t i = 0; i < node_max_elements(node); i++) {
        double x = 0;
        if (fread(&x, 8, 1, f) != 1) return false;
        int64_t place = run_c_place(node, expected->dims, i);
        if (place < 0) continue;
        double y = expected->data[place];
        bool same = x == y || (x != x && y != y);
        if (same || fabs(x - y) <= tolerance * fmax(1, fabs(y))) continue;
        if (good)
            fprintf(stderr, "%s %s[%lld]: %.9g, not %.9g\n", c->entry->name, name, (long long)i, x,
                    y);
        good = false;
    }
    return good;
}

/* Whether one, two, three and eight threads give the same bits, for the inputs of the last run_c_agrees. */
static inline bool run_c_same_bits(CEntry *c)
{
    char command[600];
    snprintf(command, sizeof command,
             "p=%s; NND_THREADS=1 $p.exe < $p.in > $p.out && for n in 2 3 8; do "
             "NND_THREADS=$n $p.exe < $p.in | cmp -s - $p.out || exit 1; done",
             c->path);
    return system(command) == 0;
}

/* Runs the program with the environment's values; whether all results agree with the evaluator's.
 * With `fault`, whether it reports a fault as the evaluator does. */
static bool run_c_agrees(CEntry *c, const EvalEnv *env, double tolerance, bool fault)
{
    if (!c->built) return false;
    char path[96], command[512], error[256];
    snprintf(path, sizeof path, "%s.in", c->path);
    FILE *f = fopen(path, "wb");
    if (!f) return false;
    double head[] = {(double)env->batch, (double)env->total, (double)env->offset,
                     (double)env->step,  (double)env->epoch, (double)env->seed};
    fwrite(head, 8, 6, f);
    for (int i = 0; i < c->inputs.len; i++) {
        const Node *leaf = c->inputs.data[i];
        const EvalArray *value = map_get(&env->leaves, leaf);
        for (int64_t k = 0; k < node_max_elements(leaf); k++) {
            int64_t place = run_c_place(leaf, value->dims, k);
            double x = place < 0 ? 0 : value->data[place];
            fwrite(&x, 8, 1, f);
        }
    }
    fclose(f);
    snprintf(command, sizeof command,
             "ASAN_OPTIONS=detect_leaks=0 timeout 60 %s.exe < %s.in > %s.out", c->path, c->path,
             c->path);
    if (system(command) != 0) return false;
    const Node *roots[64];
    int n = 0;
    for (int k = 0; k < c->entry->outputs.len; k++)
        roots[n++] = c->entry->outputs.data[k].node;
    for (int k = 0; k < c->entry->updates.len; k++)
        roots[n++] = c->entry->updates.data[k].value;
    EvalArray *out[64];
    bool fine = eval_roots(c->program->graph, env, roots, n, out, error, sizeof error);
    snprintf(path, sizeof path, "%s.out", c->path);
    f = fopen(path, "rb");
    double failed = 0;
    if (!f || fread(&failed, 8, 1, f) != 1) return false;
    if (!fine || fault || failed != 0) {
        if (fine || failed == 0)
            fprintf(stderr, "%s: evaluator: %s; program: %s\n", c->entry->name,
                    fine ? "fine" : error, failed != 0 ? "fault" : "fine");
        fclose(f);
        return !fine && fault && failed != 0;
    }
    bool good = true;
    for (int k = 0; k < n; k++) {
        int u = k - c->entry->outputs.len;
        const char *name =
            u < 0 ? c->entry->outputs.data[k].name : c->entry->updates.data[u].target->path;
        good = run_c_compare(c, roots[k], out[k], f, tolerance, name) && good;
    }
    fclose(f);
    for (int k = 0; k < n; k++)
        eval_array_free(out[k]);
    return good;
}

#endif
