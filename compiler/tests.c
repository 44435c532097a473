/* tests.c -- whether a value is above a bound is asked of what is cut off there.
 *
 * The derivative of h = max(x, 0) asks whether 0 < x. That is so where 0 < h, and h is kept anyway where the next
 * layer multiplies by it; then x need not be stored for the way back at all. The same for min. */
#include "kernel.h"

typedef struct Tests {
    Graph *g;
    Map cut;  /* from x to a node max(x, k) or min(x, k) */
    Map done; /* of the body at hand: from a scalar to what it became */
} Tests;

/* The bound of max(x, k) or min(x, k), with all of x; NULL if the body is something else. */
static const Scalar *bound_of(const Node *node, const Node **x)
{
    const Scalar *body = node->body;
    if (!node_is_map(node) || body->kind != SCALAR_OP || (body->op != OP_MAX && body->op != OP_MIN)) return NULL;
    int c = body->args[1]->kind == SCALAR_CONST;
    const Scalar *load = body->args[!c], *bound = body->args[c];
    if (bound->kind != SCALAR_CONST || load->kind != SCALAR_LOAD || load->outside) return NULL;
    if (load->n_args != node->rank || load->n_args == 0) return NULL;
    for (int k = 0; k < load->n_args; k++)
        if (load->args[k]->kind != SCALAR_ITER || load->args[k]->iters != (uint64_t)1 << k ||
            !extent_equal(load->node->shape[k], node->shape[k]))
            return NULL;
    *x = load->node;
    return bound;
}

/* k < x as k < max(x, k), x < k as min(x, k) < k; NULL if it is no such test. */
static const Scalar *test_moved(Tests *t, const Scalar *s)
{
    if (s->op != OP_LT) return NULL;
    int c = s->args[1]->kind == SCALAR_CONST;
    const Scalar *load = s->args[!c], *bound = s->args[c], *args[2];
    if (load->kind != SCALAR_LOAD || load->outside) return NULL;
    const Node *cut = map_get(&t->cut, load->node), *x;
    if (!cut || bound_of(cut, &x) != bound || (cut->body->op == OP_MIN) != c) return NULL;
    args[c] = bound;
    args[!c] = scalar_load(t->g, cut, load->args, NULL, load->span);
    return scalar_op(t->g, OP_LT, args, s->span);
}

static const Scalar *tests_move(Tests *t, const Scalar *s)
{
    if (s->kind != SCALAR_OP) return s;
    const Scalar *known = map_get(&t->done, s), *args[3];
    if (known) return known;
    known = test_moved(t, s);
    if (!known) {
        bool same = true;
        for (int i = 0; i < s->n_args; i++) {
            args[i] = tests_move(t, s->args[i]);
            same = same && args[i] == s->args[i];
        }
        known = same ? s : scalar_op(t->g, s->op, args, s->span);
    }
    map_put(&t->done, s, (void *)(uintptr_t)known);
    return known;
}

static const Node *tests_build(void *data, Rewrite *rewrite, const Node *node)
{
    Tests *t = data;
    if (node->kind != NODE_COMP) return NULL;
    Arena *scratch = arena_new();
    t->done = map_new(scratch);
    const Scalar *body = tests_move(t, node->body);
    arena_free(scratch);
    if (body == node->body) return NULL;
    const Scalar *guard = node->guard ? rewrite_scalar(rewrite, node->guard) : NULL;
    const Node *made = graph_comp(t->g, node->reduce, node->rank, node->n_iters, node->iters,
                                  rewrite_scalar(rewrite, body), guard, node->span);
    if (node->name) graph_name(made, node->name);
    return made;
}

void pass_tests(Lowered *l)
{
    Arena *scratch = arena_new();
    Tests t = {.g = l->g, .cut = map_new(scratch)};
    Nodes nodes = graph_reach(scratch, l->roots, l->n_roots);
    for (int i = 0; i < nodes.len; i++) {
        const Node *x;
        if (nodes.data[i]->kind == NODE_COMP && bound_of(nodes.data[i], &x) && !map_get(&t.cut, x))
            map_put(&t.cut, x, (void *)(uintptr_t)nodes.data[i]);
    }
    graph_rewrite(l->g, l->roots, l->n_roots, tests_build, &t);
    arena_free(scratch);
}
