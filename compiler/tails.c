/* tails.c -- the last vector of a loop.
 *
 * Where a loop with functions fills no whole vectors, its last vector begins before the one before
 * ends, and computes some elements again: what compilers make of the rest, one function after the
 * other, takes longer. It comes first: who then reads the vectors from the first on finds each as
 * it was stored, and need not wait until two stores are in the cache. */
#include "kernel.h"

enum { TAIL_MOST = 32 /* vectors of a loop from which on the last one does not matter */ };

typedef struct Again {
    Lowered *l;
    Block *body;
    bool harmless;
} Again;

static void again_load(void *data, const Scalar *a)
{
    Again *x = data;
    if (a->kind != SCALAR_LOAD || a->node->rank == 0) return;
    for (int i = 0; i < x->body->len; i++) {
        const Stmt *s = x->body->data[i];
        if (s->kind == STMT_STORE && buffer_get(x->l, s->target) == buffer_get(x->l, a->node))
            x->harmless = false;
    }
}

/* Whether iterations of the loop, which may as well run twice, compute functions. */
static bool tail_pays(Lowered *l, Stmt *loop)
{
    int64_t n = loop->extent.max, width = target_lanes(l);
    bool parallel = loop->loop == LOOP_PARALLEL || loop->loop == LOOP_VECTOR;
    if (loop->kind != STMT_LOOP || !parallel || loop->extent.size || loop->lo || loop->hi ||
        n < width || n % width == 0 || n > TAIL_MOST * width)
        return false;
    Again x = {.l = l, .body = &loop->body, .harmless = true};
    bool function = false;
    for (int i = 0; i < loop->body.len; i++) {
        const Stmt *s = loop->body.data[i];
        if (s->kind == STMT_LOCAL && s->target->rank == 0) continue;
        if (s->kind != STMT_STORE) return false;
        if (s->target->rank > 0 && !(s->subs[s->n_subs - 1]->iters >> loop->var & 1)) return false;
        scalar_visit(s->value, again_load, &x);
        function = function || scalar_has_function(s->value, loop->var);
    }
    return function && x.harmless;
}

void tails_add(Lowered *l, Block *block)
{
    Block out = {0};
    for (int i = 0; i < block->len; i++) {
        Stmt *s = block->data[i];
        if (s->kind != STMT_LOOP || !tail_pays(l, s)) {
            tails_add(l, &s->body);
            block_add(l, &out, s);
            continue;
        }
        int64_t width = target_lanes(l), n = s->extent.max;
        Stmt *last = stmt_loop(l, s->var, s->loop, s->extent, s->span);
        last->lo = scalar_int(l->g, n - width);
        last->body = s->body;
        s->extent = extent_fixed(n - n % width);
        block_add(l, &out, last);
        block_add(l, &out, s);
    }
    *block = out;
}
