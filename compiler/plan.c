/* plan.c -- work memory: one arena per entry, in which a tensor has its place only from the kernel
 * that first writes it to the one that last uses it. Offsets are chosen tensor by tensor, each at the
 * lowest place that is free during its life, largest first (Pisarchyk and Lee 2020, Efficient memory
 * management for deep neural net inference). Where that is not good enough, the one that reached highest
 * has its turn first, and so on (squeaky wheels; Joslin and Clements 1999). */
#include "kernel.h"

#include <assert.h>
#include <stdlib.h>

enum {
    ALIGNMENT = 64,
    ROUNDS = 30,     /* orders that are tried at most */
    GOOD_ENOUGH = 50 /* none is if the one before is above the bound by less than that part of it */
};

static int64_t align_up(int64_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool lives_overlap(const Lifetime *a, const Lifetime *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which t fits among those already placed, which are in order of offsets. */
static int64_t offset_find(const Lifetime *t, Lifetime *const *placed, int n)
{
    int64_t at = 0, size = align_up(t->size);
    for (int i = 0; i < n; i++) {
        const Lifetime *p = placed[i];
        int64_t end = p->offset + align_up(p->size);
        if (end <= at || !lives_overlap(t, p)) continue;
        if (p->offset >= at + size) break;
        at = end;
    }
    return at;
}

/* Keeps the order of offsets; of equal ones the later comes last. */
static void offset_insert(Lifetime **placed, int n, Lifetime *t)
{
    int first = 0, last = n;
    while (first < last) {
        int middle = first + (last - first) / 2;
        if (placed[middle]->offset <= t->offset)
            first = middle + 1;
        else
            last = middle;
    }
    memmove(placed + first + 1, placed + first, sizeof *placed * (size_t)(n - first));
    placed[first] = t;
}

static int larger_first(const void *a, const void *b)
{
    const Lifetime *x = *(Lifetime *const *)a, *y = *(Lifetime *const *)b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x < y ? -1 : x > y; /* in the order given */
}

/* Each in its turn at the lowest place; returns the size of all. */
static int64_t offsets_in_order(Lifetime *const *order, int count, Lifetime **placed)
{
    int64_t size = 0;
    for (int i = 0; i < count; i++) {
        order[i]->offset = offset_find(order[i], placed, i);
        offset_insert(placed, i, order[i]);
        int64_t end = order[i]->offset + align_up(order[i]->size);
        if (end > size) size = end;
    }
    return size;
}

/* The last in the order that reaches to the end of all comes first next time. */
static void order_change(Lifetime **order, int count, int64_t size)
{
    int i = count - 1;
    while (i > 0 && order[i]->offset + align_up(order[i]->size) < size)
        i--;
    Lifetime *top = order[i];
    memmove(order + 1, order, sizeof *order * (size_t)i);
    order[0] = top;
}

int64_t plan_offsets(Lifetime *tensors, int count)
{
    Lifetime **order = malloc(sizeof *order * 2 * ((size_t)count + 1));
    int64_t *best = malloc(sizeof *best * ((size_t)count + 1));
    if (!order || !best) die("no memory");
    for (int i = 0; i < count; i++)
        order[i] = &tensors[i];
    qsort(order, (size_t)count, sizeof *order, larger_first);
    int when;
    int64_t good = plan_bound(tensors, count, &when), least = INT64_MAX;
    good += good / GOOD_ENOUGH;
    for (int round = 0; round < ROUNDS && least > good; round++) {
        int64_t size = offsets_in_order(order, count, order + count);
        for (int i = 0; i < count && size < least; i++)
            best[i] = tensors[i].offset;
        if (size < least) least = size;
        if (count) order_change(order, count, size);
    }
    for (int i = 0; i < count; i++)
        tensors[i].offset = best[i];
    free(order);
    free(best);
    return least;
}

int64_t plan_bound(const Lifetime *tensors, int count, int *when)
{
    int end = 0;
    for (int i = 0; i < count; i++)
        if (tensors[i].last >= end) end = tensors[i].last + 1;
    int64_t *change = calloc((size_t)end + 1, sizeof *change), live = 0, most = 0;
    if (!change) die("no memory");
    for (int i = 0; i < count; i++) {
        change[tensors[i].first] += align_up(tensors[i].size);
        change[tensors[i].last + 1] -= align_up(tensors[i].size);
    }
    *when = 0;
    for (int k = 0; k < end; k++) {
        live += change[k];
        if (live <= most) continue;
        most = live;
        *when = k;
    }
    free(change);
    return most;
}

int64_t type_bytes(ElemType type, const Options *options)
{
    switch (type) {
    case TYPE_BOOL:
    case TYPE_U8: return 1;
    case TYPE_INT: return 4;
    case TYPE_REAL: return options_f64(options) ? 8 : 4;
    }
    return 8;
}

int64_t buffer_bytes(const Lowered *l, const Buffer *buffer)
{
    return buffer->elements * type_bytes(buffer->type, l->options);
}

static void lives_extend(Lifetime *lives, const Uses *uses, int kernel)
{
    for (int i = 0; i < uses->len; i++) {
        Lifetime *life = &lives[uses->data[i].buffer->index];
        if (life->first < 0) life->first = kernel;
        life->last = kernel;
    }
}

/* What is used both in a loop and outside of it is needed as long as the loop runs: its steps read it
 * again, or the last one's value is what counts. */
static void lives_around(const Lowered *l, Lifetime *lives, int begin)
{
    int end = kernels_loop_end(l, begin);
    for (int i = 0; i < l->buffers.len; i++) {
        Lifetime *life = &lives[i];
        if (life->first < begin && life->last >= begin && life->last < end) life->last = end;
        if (life->first > begin && life->first <= end && life->last > end) life->first = begin;
    }
}

Lifetime *plan_lives(Lowered *l)
{
    Lifetime *lives = NEW_ARRAY(l->arena, Lifetime, l->buffers.len + 1);
    for (int i = 0; i < l->buffers.len; i++)
        lives[i].first = lives[i].last = -1;
    for (int k = 0; k < l->kernels.len; k++) {
        Stmt all = kernel_stmt(l->kernels.data[k]);
        Uses uses = stmt_uses(l, &all);
        lives_extend(lives, &uses, k);
    }
    for (int k = 0; k < l->kernels.len; k++)
        if (l->kernels.data[k]->kind == KERNEL_BEGIN) lives_around(l, lives, k);
    return lives;
}

void pass_plan(Lowered *l)
{
    int n = l->buffers.len, count = 0;
    Lifetime *lives = plan_lives(l);
    Lifetime *planned = NEW_ARRAY(l->arena, Lifetime, n + 1);
    for (int i = 0; i < n; i++) {
        Buffer *b = l->buffers.data[i];
        if (b->kind != BUFFER_ARENA || lives[i].first < 0) continue;
        planned[count] = lives[i];
        planned[count++].size = buffer_bytes(l, b);
    }
    int when;
    l->arena_size = plan_offsets(planned, count);
    l->arena_bound = plan_bound(planned, count, &when);
    count = 0;
    for (int i = 0; i < n; i++) {
        Buffer *b = l->buffers.data[i];
        b->offset = -1;
        b->peak = false;
        if (b->kind != BUFFER_ARENA || lives[i].first < 0) continue;
        b->offset = planned[count++].offset;
        b->peak = lives[i].first <= when && when <= lives[i].last;
    }
}
