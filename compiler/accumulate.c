/* accumulate.c -- matrix products of which only the sum is read: the second adds to the first's result. A
 * recurrence has such a pair at every step, of the input and of the state. */
#include "kernel.h"

/* The result of a product that is all that its kernel does, maybe in loops. */
typedef struct Product {
    Gemm *gemm; /* NULL: the buffer is no such result */
    const Kernel *kernel;
    int at, place;       /* kernels and marks before it */
    const Node *partner; /* to which it is added wherever it is read */
    bool other;          /* used in other ways, too */
    bool joined;         /* now part of its partner */
} Product;

typedef struct Sums {
    Lowered *l;
    Product *products; /* by the index of the buffer */
    bool any;
} Sums;

static Product *result_of(const Sums *s, const Node *node)
{
    const Buffer *b = buffer_get(s->l, node);
    return b && s->products[b->index].gemm ? &s->products[b->index] : NULL;
}

static void note_other(const Sums *s, const Node *node)
{
    Product *p = result_of(s, node);
    if (p) p->other = true;
}

static void note_load(const Sums *s, const Scalar *a)
{
    if (a && a->kind == SCALAR_LOAD) note_other(s, a->node);
}

/* Whether a scalar adds elements of two tensors at the same place. */
static bool is_sum(const Scalar *a)
{
    if (a->kind != SCALAR_OP || a->op != OP_ADD) return false;
    const Scalar *x = a->args[0], *y = a->args[1];
    if (x->kind != SCALAR_LOAD || y->kind != SCALAR_LOAD || x->outside || y->outside) return false;
    if (x->node == y->node || !shape_equal(x->node, y->node)) return false;
    for (int k = 0; k < x->n_args; k++)
        if (x->args[k] != y->args[k]) return false;
    return true;
}

static void note_partner(const Sums *s, const Node *node, const Node *partner)
{
    Product *p = result_of(s, node);
    if (!p) return;
    if (p->gemm->c != node || (p->partner && p->partner != partner)) p->other = true;
    p->partner = partner;
}

static void note_scalar(void *data, const Scalar *a)
{
    const Sums *s = data;
    note_load(s, a->outside);
    if (is_sum(a)) {
        note_partner(s, a->args[0]->node, a->args[1]->node);
        note_partner(s, a->args[1]->node, a->args[0]->node);
        return;
    }
    for (int k = 0; k < a->n_args; k++)
        note_load(s, a->args[k]);
}

static void note_ref(void *data, const Scalar **a)
{
    note_load(data, *a);
    scalar_visit(*a, note_scalar, data);
}

static void note_stmt(void *data, Stmt *stmt)
{
    const Sums *s = data;
    stmt_scalars(stmt, note_ref, data);
    if (stmt->kind == STMT_STORE) note_other(s, stmt->target);
    if (stmt->tile) note_other(s, stmt->tile->c);
    if (!stmt->gemm) return;
    note_other(s, stmt->gemm->a);
    note_other(s, stmt->gemm->b);
    const Product *p = result_of(s, stmt->gemm->c);
    if (p && p->gemm != stmt->gemm) note_other(s, stmt->gemm->c);
}

/* The innermost bodies of two kernels that are equal loops around a product; or false. */
static bool loops_equal(Kernel *a, Kernel *b, Block **body_a, Block **body_b)
{
    Block *x = &a->body, *y = &b->body;
    if (x->data[0]->kind != STMT_LOOP) return false;
    for (; x->data[0]->kind == STMT_LOOP; x = &x->data[0]->body, y = &y->data[0]->body) {
        const Stmt *p = x->data[0], *q = y->data[0];
        if (q->kind != STMT_LOOP || p->var != q->var || p->loop != q->loop || p->lo || p->hi || q->lo || q->hi ||
            !extent_equal(p->extent, q->extent))
            return false;
    }
    *body_a = x;
    *body_b = y;
    return y->data[0]->kind == STMT_GEMM;
}

/* Puts the first product into the loops of the second, where the same part of the result is at hand. */
static void merge(Sums *s, const Product *first, const Product *second, bool *gone)
{
    Lowered *l = s->l;
    Block *one, *both;
    Kernel *a = l->kernels.data[first->at], *b = l->kernels.data[second->at];
    if (first->gemm->c_at != second->gemm->c_at || !loops_equal(a, b, &one, &both)) return;
    Stmt all = kernel_stmt(a);
    const Uses own = stmt_uses(l, &all);
    for (int i = first->at + 1; i < second->at; i++) {
        Stmt between = kernel_stmt(l->kernels.data[i]);
        const Uses uses = stmt_uses(l, &between);
        if (uses_conflict(&own, &uses)) return;
    }
    block_add(l, both, both->data[0]);
    both->data[0] = one->data[0];
    for (int i = 0; i < a->nodes.len; i++)
        vec_push(l->arena, &b->nodes, a->nodes.data[i]);
    if (a->n_vars > b->n_vars) b->n_vars = a->n_vars;
    gone[first->at] = true;
}

/* Makes the product part of its partner, which comes before it. */
static void join(Sums *s, Product *second, bool *gone)
{
    Product *first = second->partner ? result_of(s, second->partner) : NULL;
    if (!first || first->at > second->at || first->other || second->other || first->partner != second->gemm->c) return;
    if (first->place != second->place || first->kernel->when != second->kernel->when) return;
    second->gemm->c = second->gemm->result = first->gemm->c;
    second->gemm->accumulate = scalar_bool(s->l->g, true);
    second->joined = s->any = true;
    first->other = true;
    merge(s, first, second, gone);
}

static const Scalar *joined_load(void *data, const Scalar *load)
{
    Sums *s = data;
    const Product *p = result_of(s, load->node);
    return p && p->joined ? scalar_real(s->l->g, 0) : NULL;
}

static void joined_ref(void *data, const Scalar **a)
{
    Sums *s = data;
    *a = scalar_replace_loads(s->l->g, *a, joined_load, s);
}

static void joined_stmt(void *data, Stmt *stmt)
{
    stmt_scalars(stmt, joined_ref, data);
}

static void products_find(Sums *s)
{
    int place = 0;
    for (int i = 0; i < s->l->kernels.len; i++) {
        const Kernel *k = s->l->kernels.data[i];
        place += k->kind != KERNEL_WORK;
        Gemm *gemm = kernel_product(k);
        if (!gemm) continue;
        const Buffer *b = buffer_get(s->l, gemm->c);
        if (b->kind == BUFFER_ARENA && !gemm->accumulate)
            s->products[b->index] = (Product){.gemm = gemm, .kernel = k, .at = i, .place = place};
    }
}

static void visit_all(Sums *s, void (*visit)(void *data, Stmt *stmt))
{
    for (int i = 0; i < s->l->kernels.len; i++) {
        Stmt all = kernel_stmt(s->l->kernels.data[i]);
        block_visit(&all.body, visit, s);
    }
}

void pass_accumulate(Lowered *l)
{
    Sums s = {.l = l, .products = NEW_ARRAY(l->arena, Product, l->buffers.len + 1)};
    bool *gone = NEW_ARRAY(l->arena, bool, l->kernels.len + 1);
    int kept = 0;
    products_find(&s);
    visit_all(&s, note_stmt);
    for (int i = 0; i < l->kernels.len; i++) {
        const Gemm *gemm = kernel_product(l->kernels.data[i]);
        Product *p = gemm ? result_of(&s, gemm->c) : NULL;
        if (p && p->gemm == gemm) join(&s, p, gone);
    }
    if (s.any) visit_all(&s, joined_stmt);
    for (int i = 0; i < l->kernels.len; i++)
        if (!gone[i]) l->kernels.data[kept++] = l->kernels.data[i];
    l->kernels.len = kept;
}
