/* straight.c -- a matrix product whose result is only copied is computed where it is copied to: what a scan
 * carries from step to step. */
#include "kernel.h"

/* What a kernel that does nothing else copies, element by element, and where to; or false. */
static bool copy_of(const Kernel *k, const Node **from, const Node **to)
{
    const Block *block = &k->body;
    int depth = 0;
    if (k->kind != KERNEL_WORK) return false;
    for (; block->len == 1 && block->data[0]->kind == STMT_LOOP; block = &block->data[0]->body, depth++)
        if (block->data[0]->lo || block->data[0]->hi || block->data[0]->var != depth) return false;
    const Stmt *s = block->len == 1 ? block->data[0] : NULL;
    if (!s || s->kind != STMT_STORE || s->value->kind != SCALAR_LOAD || s->value->outside) return false;
    *from = s->value->node;
    *to = s->target;
    if (s->n_subs != depth || !shape_equal(*from, *to)) return false;
    for (int i = 0; i < depth; i++)
        if (s->subs[i]->kind != SCALAR_ITER || s->subs[i]->iter != i || s->value->args[i] != s->subs[i])
            return false;
    return true;
}

static bool kernel_uses(Lowered *l, const Kernel *k, const Buffer *b)
{
    Stmt all = kernel_stmt(k);
    Uses uses = stmt_uses(l, &all);
    for (int i = 0; i < uses.len; i++)
        if (uses.data[i].buffer == b) return true;
    return false;
}

/* The product among the first `n` kernels whose result `copy` copies, if it can be computed there; or NULL. */
static Gemm *product_copied(Lowered *l, int n, const Kernel *copy, const int *users, const Node **to)
{
    const Node *from;
    if (!copy_of(copy, &from, to)) return NULL;
    const Buffer *source = buffer_get(l, from), *target = buffer_get(l, *to);
    if (source->kind != BUFFER_ARENA || target->kind != BUFFER_ARENA || users[source->index] != 2) return NULL;
    for (int i = n - 1; i >= 0 && l->kernels.data[i]->kind == KERNEL_WORK; i--) {
        const Kernel *k = l->kernels.data[i];
        if (kernel_uses(l, k, target)) return NULL;
        Gemm *gemm = kernel_product(k);
        if (gemm && gemm->c == from) return k->when == copy->when ? gemm : NULL;
    }
    return NULL;
}

void pass_straight(Lowered *l)
{
    int *users = NEW_ARRAY(l->arena, int, l->buffers.len + 1), kept = 0;
    for (int k = 0; k < l->kernels.len; k++) {
        Stmt all = kernel_stmt(l->kernels.data[k]);
        Uses uses = stmt_uses(l, &all);
        for (int i = 0; i < uses.len; i++)
            users[uses.data[i].buffer->index]++;
    }
    for (int k = 0; k < l->kernels.len; k++) {
        const Node *to;
        Gemm *gemm = product_copied(l, kept, l->kernels.data[k], users, &to);
        if (gemm)
            gemm->c = gemm->result = to;
        else
            l->kernels.data[kept++] = l->kernels.data[k];
    }
    l->kernels.len = kept;
}
