/* verify.c -- asserts what every pass may rely on: operands before users, iterators within their
 * comprehension, types as the operators want them, subscripts one int per axis, parallel iterators
 * equal to the shape, pieces that do not overlap, loops whose values keep their shape. A violation is our bug, never the user's. */
#include "ir.h"

#include <math.h>

typedef struct Verifier {
    Arena *arena;
    const Node *node;
    int n_iters;       /* iterators of the scalar at hand */
    const char *fault; /* the first found */
} Verifier;

static void fault(Verifier *v, const char *format, ...) NND_PRINTF(2, 3);
static void fault(Verifier *v, const char *format, ...)
{
    if (v->fault) return;
    va_list args;
    va_start(args, format);
    v->fault = arena_vprintf(v->arena, format, args);
    va_end(args);
}

/* --- scalars --------------------------------------------------------------------------------- */

static void verify_load(Verifier *v, const Scalar *s)
{
    if (!s->node) {
        fault(v, "a load of no node");
        return;
    }
    if (s->node->id >= v->node->id)
        fault(v, "loads node %u, which is not older", (unsigned)s->node->id);
    if (s->n_args != s->node->rank)
        fault(v, "a load of node %u, of rank %d, has %d subscripts", (unsigned)s->node->id,
              s->node->rank, s->n_args);
    for (int k = 0; k < s->n_args; k++)
        if (s->args[k]->type != TYPE_INT)
            fault(v, "subscript %d of a load of node %u is not an int", k, (unsigned)s->node->id);
    if (s->type != s->node->type) fault(v, "a load has another type than its node");
    if (s->outside && s->outside->type != s->type)
        fault(v, "the value outside of node %u has another type", (unsigned)s->node->id);
}

static void verify_op(Verifier *v, const Scalar *s)
{
    const OpInfo *info = &op_table[s->op];
    if (s->n_args != info->arity) {
        fault(v, "%s has %d operands", info->id, s->n_args);
        return;
    }
    int first = info->result == RESULT_PICK;
    ElemType operand = s->args[first]->type;
    for (int i = first; i < s->n_args; i++)
        if (s->args[i]->type != operand) fault(v, "operands of %s differ in type", info->id);
    switch (info->result) {
    case RESULT_SAME:
        if (operand != TYPE_INT && operand != TYPE_REAL)
            fault(v, "%s of neither ints nor reals", info->id);
        if (operand == TYPE_INT && !*info->int_text) fault(v, "%s of ints", info->id);
        break;
    case RESULT_REAL:
        if (operand != TYPE_REAL) fault(v, "%s of other than reals", info->id);
        break;
    case RESULT_LOGIC:
        if (operand != TYPE_BOOL) fault(v, "%s of other than bools", info->id);
        break;
    case RESULT_PICK:
        if (s->args[0]->type != TYPE_BOOL) fault(v, "the condition of a choice is not a bool");
        break;
    case RESULT_BOOL:
    case RESULT_TO_REAL:
    case RESULT_TO_INT:
    case RESULT_TO_BOOL:
    case RESULT_TO_U8: break;
    }
    if (s->type != op_result_type(s->op, operand)) fault(v, "the result of %s", info->id);
}

static void verify_const(Verifier *v, const Scalar *s)
{
    double x = s->value;
    bool fits = true;
    switch (s->type) {
    case TYPE_REAL: break;
    case TYPE_INT: fits = x >= INT32_MIN && x <= INT32_MAX && x == floor(x); break;
    case TYPE_U8: fits = x >= 0 && x <= 255 && x == floor(x); break;
    case TYPE_BOOL: fits = x == 0 || x == 1; break;
    }
    if (!fits) fault(v, "the constant %g does not fit its type", x);
}

static void verify_visit(void *data, const Scalar *s)
{
    Verifier *v = data;
    for (int i = 0; i < s->n_args; i++)
        if (s->args[i]->id >= s->id) fault(v, "an operand of a scalar is not older");
    switch (s->kind) {
    case SCALAR_CONST: verify_const(v, s); break;
    case SCALAR_ITER:
        if (s->type != TYPE_INT || s->iter < 0 || s->iter >= v->n_iters)
            fault(v, "iterator %d of %d", s->iter, v->n_iters);
        break;
    case SCALAR_LOAD: verify_load(v, s); break;
    case SCALAR_OP: verify_op(v, s); break;
    case SCALAR_DRAW:
        if (s->type != TYPE_REAL || s->n_args != 2 || s->args[0]->type != TYPE_INT ||
            s->args[1]->type != TYPE_INT)
            fault(v, "a draw without int run and position");
        break;
    }
}

/* Verifies a scalar that stands where there are n_iters iterators. */
static void verify_scalar(Verifier *v, const Scalar *s, int n_iters, ElemType type,
                          const char *what)
{
    if (!s) {
        fault(v, "no %s", what);
        return;
    }
    v->n_iters = n_iters;
    scalar_visit(s, verify_visit, v);
    if (s->type != type) fault(v, "the %s has a wrong type", what);
}

static void verify_extents(Verifier *v, const Extent *extents, int n)
{
    for (int k = 0; k < n; k++) {
        if (extents[k].max < 0) fault(v, "axis %d has a negative extent", k);
        if (extents[k].size) verify_scalar(v, extents[k].size, k, TYPE_INT, "size of an axis");
    }
}

/* --- nodes ----------------------------------------------------------------------------------- */

static void verify_comp(Verifier *v, const Node *n)
{
    if (n->n_iters < n->rank) {
        fault(v, "fewer iterators than axes");
        return;
    }
    for (int k = 0; k < n->rank; k++)
        if (!extent_equal(n->shape[k], n->iters[k]))
            fault(v, "axis %d differs from its iterator", k);
    verify_extents(v, n->iters, n->n_iters);
    ElemType body = n->type;
    bool number = n->type == TYPE_INT || n->type == TYPE_REAL;
    switch (n->reduce) {
    case REDUCE_NONE:
        if (n->n_iters != n->rank || n->guard) fault(v, "a map that reduces or has a guard");
        break;
    case REDUCE_SUM:
    case REDUCE_PROD:
        if (!number) fault(v, "a sum or product of neither ints nor reals");
        break;
    case REDUCE_MEAN:
        if (n->type != TYPE_REAL) fault(v, "a mean that is not a real");
        break;
    case REDUCE_MAX:
    case REDUCE_MIN: break;
    case REDUCE_ARGMAX:
    case REDUCE_ARGMIN:
        if (n->type != TYPE_INT) fault(v, "a position that is not an int");
        if (n->body) body = n->body->type;
        break;
    case REDUCE_ANY:
    case REDUCE_ALL:
        if (n->type != TYPE_BOOL) fault(v, "any or all of other than bools");
        break;
    case REDUCE_COUNT: fault(v, "no such reduction"); break;
    }
    verify_scalar(v, n->body, n->n_iters, body, "body");
    if (n->guard) verify_scalar(v, n->guard, n->n_iters, TYPE_BOOL, "guard");
}

static void verify_scatter(Verifier *v, const Node *n)
{
    verify_extents(v, n->iters, n->n_iters);
    verify_scalar(v, n->body, n->n_iters, n->type, "body");
    if (n->type != TYPE_INT && n->type != TYPE_REAL)
        fault(v, "a scatter of neither ints nor reals");
    if (n->guard) verify_scalar(v, n->guard, n->n_iters, TYPE_BOOL, "guard");
    for (int k = 0; k < n->rank; k++)
        verify_scalar(v, n->position[k], n->n_iters, TYPE_INT, "position");
}

static void verify_reshape(Verifier *v, const Node *n)
{
    if (node_max_elements(n) != node_max_elements(n->arg))
        fault(v, "a reshape changes the number of elements");
    const Node *a = n->arg;
    int i = 0, j = 0; /* run-time axes stay, in order */
    for (;;) {
        while (i < n->rank && !n->shape[i].size)
            i++;
        while (j < a->rank && !a->shape[j].size)
            j++;
        if (i >= n->rank || j >= a->rank) break;
        if (n->shape[i++].max != a->shape[j++].max) fault(v, "a reshape of a run-time axis");
    }
    if (i < n->rank || j < a->rank) fault(v, "a reshape makes or loses a run-time axis");
}

static void verify_pieces(Verifier *v, const Node *n)
{
    if (n->axis < 0 || n->axis >= n->rank) {
        fault(v, "pieces along axis %d", n->axis);
        return;
    }
    int64_t extent = n->shape[n->axis].max;
    bool *taken = NEW_ARRAY(v->arena, bool, extent);
    for (int i = 0; i < n->n_pieces; i++) {
        Piece p = n->pieces[i];
        if (p.part->rank != n->rank || p.part->type != n->type) {
            fault(v, "piece %d has another rank or type", i);
            return;
        }
        for (int k = 0; k < n->rank; k++)
            if (k != n->axis && !extent_equal(p.part->shape[k], n->shape[k]))
                fault(v, "axis %d of piece %d differs", k, i);
        int64_t count = p.part->shape[n->axis].max;
        if (p.offset < 0 || p.stride < 1 ||
            (count > 0 && p.offset + p.stride * (count - 1) >= extent)) {
            fault(v, "piece %d leaves the axis", i);
            return;
        }
        for (int64_t t = 0; t < count; t++) {
            if (taken[p.offset + p.stride * t]) fault(v, "piece %d overlaps another", i);
            taken[p.offset + p.stride * t] = true;
        }
    }
}

static void verify_loop(Verifier *v, const Loop *loop)
{
    if (loop->extent.max < 0) fault(v, "a loop of negative extent");
    if (!loop->extent.size) return;
    verify_scalar(v, loop->extent.size, 0, TYPE_INT, "number of steps");
    Scalars loads = scalar_loads(v->arena, loop->extent.size);
    for (int i = 0; i < loads.len; i++)
        if (loads.data[i]->node->kind != NODE_LEAF || loads.data[i]->node->free)
            fault(v, "the number of steps is computed");
}

static bool same_kind(const Node *a, const Node *b)
{
    return a->type == b->type && shape_equal(a, b);
}

static void verify_scan(Verifier *v, const Node *n)
{
    verify_loop(v, n->loop);
    for (int k = 0; k < n->n_carries; k++) {
        Carry c = n->carries[k];
        bool leaf = c.leaf->kind == NODE_LEAF && c.leaf->leaf->kind == LEAF_CARRY &&
                    c.leaf->leaf->loop == n->loop;
        if (!leaf) fault(v, "carry %d is no leaf of the loop", k);
        if (!same_kind(c.leaf, c.init)) fault(v, "carry %d starts as another type or shape", k);
        if (!same_kind(c.leaf, c.next)) fault(v, "carry %d changes its type or shape", k);
        if (loops_have(c.init->free, n->loop)) fault(v, "carry %d starts inside of its loop", k);
        if (c.init->id >= n->id || c.next->id >= n->id) fault(v, "a carried value is not older");
    }
    for (int k = 0; k < n->n_carries && !v->fault; k++) {
        Scalars sizes = {0};
        for (int a = 0; a < n->carries[k].leaf->rank; a++)
            if (n->carries[k].leaf->shape[a].size)
                vec_push(v->arena, &sizes, n->carries[k].leaf->shape[a].size);
        for (int i = 0; i < sizes.len; i++)
            if (loops_have(sizes.data[i]->free, n->loop)) fault(v, "a size changes in its loop");
    }
}

static void verify_result(Verifier *v, const Node *n)
{
    const Node *scan = n->arg;
    if (scan->kind != NODE_SCAN) {
        fault(v, "a result of no scan");
    } else if (n->kind == NODE_FINAL) {
        if (n->carry < 0 || n->carry >= scan->n_carries)
            fault(v, "the final value of carry %d of %d", n->carry, scan->n_carries);
        else if (!same_kind(n, scan->carries[n->carry].leaf))
            fault(v, "a final value of another type or shape");
    } else if (n->value->id >= n->id || n->type != n->value->type ||
               n->rank != n->value->rank + 1 || !extent_equal(n->shape[0], scan->loop->extent)) {
        fault(v, "a yield of another type or shape");
    } else {
        const LoopSet *loops = n->value->free;
        for (int i = 0; loops && i < loops->n; i++)
            if (loops->loops[i] != scan->loop && !loops_have(scan->free, loops->loops[i]))
                fault(v, "a yield that hangs on a loop outside of which its scan stands");
    }
}

static void verify_leaf(Verifier *v, const Node *n)
{
    const Leaf *leaf = n->leaf;
    bool counter = false;
    switch (leaf->kind) {
    case LEAF_CONST:
        if (!leaf->values) fault(v, "a constant without values");
        break;
    case LEAF_FILE:
        if (!leaf->source) fault(v, "a file leaf without source");
        break;
    case LEAF_PERSIST:
        if (!leaf->persistent) fault(v, "a persistent leaf without persistent");
        break;
    case LEAF_FIELD:
        if (!leaf->field) fault(v, "a field leaf without field");
        break;
    case LEAF_INPUT:
        if (!leaf->name) fault(v, "an input without name");
        break;
    case LEAF_SIZE:
    case LEAF_TOTAL:
    case LEAF_OFFSET:
    case LEAF_STEP:
    case LEAF_EPOCH: counter = true; break;
    case LEAF_TIME: counter = true; /* fall through */
    case LEAF_CARRY:
        if (!leaf->loop) fault(v, "a leaf of no loop");
        else verify_loop(v, leaf->loop);
        break;
    }
    if (counter && (n->rank != 0 || n->type != TYPE_INT))
        fault(v, "a counter that is not an int of rank 0");
}

static void verify_node(Verifier *v, const Node *n)
{
    v->node = n;
    if (n->rank < 0 || n->rank > MAX_RANK || n->n_iters > MAX_ITERS) {
        fault(v, "rank %d, %d iterators", n->rank, n->n_iters);
        return;
    }
    verify_extents(v, n->shape, n->rank);
    if (n->arg && n->arg->id >= n->id) fault(v, "its operand is not older");
    if (n->arg && n->arg->kind == NODE_SCAN && n->kind != NODE_FINAL && n->kind != NODE_YIELD)
        fault(v, "a scan is no tensor");
    for (int i = 0; i < n->n_pieces; i++)
        if (n->pieces[i].part->id >= n->id) fault(v, "piece %d is not older", i);
    if (v->fault) return;
    switch (n->kind) {
    case NODE_LEAF: verify_leaf(v, n); break;
    case NODE_COMP: verify_comp(v, n); break;
    case NODE_SCATTER: verify_scatter(v, n); break;
    case NODE_RESHAPE:
        if (n->type != n->arg->type) fault(v, "a reshape changes the type");
        verify_reshape(v, n);
        break;
    case NODE_PIECES: verify_pieces(v, n); break;
    case NODE_ORDER:
        if (n->rank < 1 || n->type != TYPE_INT || !shape_equal(n, n->arg))
            fault(v, "order of a scalar, of another shape, or not of ints");
        break;
    case NODE_TAG:
        if (n->type != n->arg->type || !shape_equal(n, n->arg)) fault(v, "a tag changes the type");
        break;
    case NODE_SCAN: verify_scan(v, n); break;
    case NODE_FINAL:
    case NODE_YIELD: verify_result(v, n); break;
    }
}

const char *graph_check(Arena *arena, Graph *g, const Node *const *roots, int n_roots)
{
    Arena *scratch = arena_new();
    Verifier v = {.arena = scratch};
    Nodes nodes = graph_reach(scratch, roots, n_roots);
    const char *message = NULL;
    for (int i = 0; i < n_roots && !message; i++)
        if (roots[i] && roots[i]->free)
            message = arena_printf(arena, "node %u hangs on a loop that it stands outside of",
                                   (unsigned)roots[i]->id);
    for (int i = 0; i < nodes.len && !message; i++) {
        const Node *n = nodes.data[i];
        verify_node(&v, n);
        if (!v.fault) continue;
        const char *place = n->span.line ? span_place(graph_context(g), n->span) : "no place";
        message = arena_printf(arena, "node %u (%s, %s): %s", (unsigned)n->id,
                               n->name ? n->name : "unnamed", place, v.fault);
    }
    arena_free(scratch);
    return message;
}

void graph_verify(Graph *g, const Node *const *roots, int n_roots, const char *when)
{
    Arena *scratch = arena_new();
    const char *message = graph_check(scratch, g, roots, n_roots);
    if (message) die("internal error after %s: %s", when, message);
    arena_free(scratch);
}
