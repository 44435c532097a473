/* read.c -- reads graphs from the text that print.c writes (see there for the forms).
 *
 * The text is the body of a function in the eyes of the parser; its statements become nodes one
 * after the other. Only constructors of the graph are called, so what is read into the graph
 * that was printed is the very same nodes. Indices may have any names. */
#include "print.h"
#include "ast.h"

#include <math.h>
#include <stdlib.h>

typedef struct Reader {
    Graph *g;
    Context *context;
    Arena *arena;
    const Node *const *leaves;
    int n_leaves;
    Map nodes;   /* from Name to Node */
    Map scalars; /* from Name to Scalar: lines s1 = @let(..) */
    Map loops;   /* from Name to Loop: lines loop1 = @loop(..) */
    Map taken;   /* leaves that were read */
    Name iters[MAX_ITERS];
    int n_iters; /* named in this statement */
    bool failed;
} Reader;

static void fail(Reader *r, Span span, const char *format, ...) NND_PRINTF(3, 4);
static void fail(Reader *r, Span span, const char *format, ...)
{
    if (r->failed) return;
    r->failed = true;
    va_list args;
    va_start(args, format);
    diag_error(r->context, span, "%s", arena_vprintf(r->arena, format, args));
    va_end(args);
}

/* --- scalars --------------------------------------------------------------------------------- */

static const Scalar *read_scalar(Reader *r, const AstExpr *e);

static const Scalar *nothing(Reader *r)
{
    return scalar_int(r->g, 0);
}

static const Node *read_node(Reader *r, const AstExpr *e)
{
    const Node *node = e->kind == AST_NAME ? map_get(&r->nodes, e->name) : NULL;
    if (!node) fail(r, e->span, "the name of a node above is wanted here");
    return node;
}

static const Scalar *read_op(Reader *r, const AstExpr *e, Op op, const AstExpr *const *operands)
{
    const Scalar *args[3];
    for (int i = 0; i < op_table[op].arity; i++)
        args[i] = read_scalar(r, operands[i]);
    for (int i = 1; i < op_table[op].arity && op != OP_SELECT; i++)
        if (args[i]->type != args[0]->type)
            fail(r, e->span, "operands of `%s` differ in type", op_table[op].name);
    if (op == OP_SELECT && (args[0]->type != TYPE_BOOL || args[1]->type != args[2]->type))
        fail(r, e->span, "a choice between values of different types, or by a number");
    return r->failed ? nothing(r) : scalar_op(r->g, op, args, e->span);
}

static const Scalar *read_name(Reader *r, const AstExpr *e)
{
    for (int i = r->n_iters - 1; i >= 0; i--)
        if (r->iters[i] == e->name) return scalar_iter(r->g, i);
    const Scalar *line = map_get(&r->scalars, e->name);
    if (line) return line;
    const Node *node = map_get(&r->nodes, e->name);
    if (node && node->rank == 0) return scalar_load(r->g, node, NULL, NULL, e->span);
    if (strcmp(e->name, "inf") == 0) return scalar_real(r->g, INFINITY);
    if (strcmp(e->name, "nan") == 0) return scalar_real(r->g, NAN);
    int iter = r->n_iters ? -1 : iter_of_name(e->name);
    if (node || iter < 0) fail(r, e->span, "`%s` is no scalar here", e->name);
    return iter < 0 ? nothing(r) : scalar_iter(r->g, iter);
}

static const Scalar *read_load(Reader *r, const AstExpr *e)
{
    const Node *node = read_node(r, e->subscript.base);
    if (!node) return nothing(r);
    const Scalar *subs[MAX_RANK], *outside = NULL;
    if (e->subscript.subs.len != node->rank) {
        fail(r, e->span, "%d subscripts for %d axes", e->subscript.subs.len, node->rank);
        return nothing(r);
    }
    for (int k = 0; k < node->rank; k++) {
        const AstSub *sub = &e->subscript.subs.data[k];
        subs[k] = sub->slice ? nothing(r) : read_scalar(r, sub->index);
        if (sub->slice || subs[k]->type != TYPE_INT) fail(r, sub->span, "a subscript is an int");
    }
    if (e->subscript.outside) outside = read_scalar(r, e->subscript.outside);
    if (outside && outside->type != node->type)
        fail(r, e->span, "the value outside has another type");
    return scalar_load(r->g, node, subs, outside, e->span);
}

/* @rand("site", run, position) */
static const Scalar *read_draw(Reader *r, const AstExpr *e, bool normal)
{
    if (e->call.args.len != 3 || e->call.args.data[0].value->kind != AST_STRING) {
        fail(r, e->span, "a draw has a site, a run and a position");
        return nothing(r);
    }
    uint64_t site = strtoull(e->call.args.data[0].value->string.text, NULL, 16);
    const Scalar *run = read_scalar(r, e->call.args.data[1].value);
    const Scalar *position = read_scalar(r, e->call.args.data[2].value);
    return scalar_draw(r->g, site, normal, run, position, e->span);
}

/* Whether e is a call of this name. */
static bool is_call(const AstExpr *e, const char *name)
{
    return e->kind == AST_CALL && e->call.callee->kind == AST_NAME &&
           strcmp(e->call.callee->name, name) == 0;
}

static const Scalar *read_call(Reader *r, const AstExpr *e, AstArgs args, const char *name)
{
    int op = op_find(name);
    const AstExpr *operands[3];
    if (op < 0 || op_table[op].arity != args.len) {
        fail(r, e->span, "`%s` is no operator with %d operands", name, args.len);
        return nothing(r);
    }
    for (int i = 0; i < args.len; i++)
        operands[i] = args.data[i].value;
    return read_op(r, e, (Op)op, operands);
}

static const Scalar *read_binary(Reader *r, const AstExpr *e)
{
    static const Op ops[] = {[AST_ADD] = OP_ADD, [AST_SUB] = OP_SUB, [AST_MUL] = OP_MUL,
                             [AST_DIV] = OP_DIV, [AST_INT_DIV] = OP_IDIV, [AST_MOD] = OP_MOD,
                             [AST_POW] = OP_POW, [AST_EQ] = OP_EQ, [AST_NE] = OP_EQ,
                             [AST_LT] = OP_LT, [AST_GT] = OP_LT, [AST_LE] = OP_LE,
                             [AST_GE] = OP_LE, [AST_AND] = OP_AND, [AST_OR] = OP_OR};
    AstOp op = e->binary.op;
    bool swap = op == AST_GT || op == AST_GE;
    const AstExpr *lhs = e->binary.lhs, *rhs = e->binary.rhs;
    const Scalar *value = read_op(r, e, ops[op], (const AstExpr *[]){swap ? rhs : lhs,
                                                                     swap ? lhs : rhs});
    return op == AST_NE && !r->failed ? scalar_op1(r->g, OP_NOT, value) : value;
}

static const Scalar *read_scalar(Reader *r, const AstExpr *e)
{
    static const Op casts[] = {[AST_REAL] = OP_TO_REAL, [AST_INT] = OP_TO_INT,
                               [AST_BASE_BOOL] = OP_TO_BOOL, [AST_U8] = OP_TO_U8};
    switch (e->kind) {
    case AST_NUMBER:
        return scalar_const(r->g, e->number.is_int ? TYPE_INT : TYPE_REAL, e->number.value);
    case AST_BOOL: return scalar_bool(r->g, e->boolean);
    case AST_NAME: return read_name(r, e);
    case AST_SUBSCRIPT: return read_load(r, e);
    case AST_CALL:
        if (is_call(e, "@rand")) return read_draw(r, e, false);
        if (is_call(e, "@randn")) return read_draw(r, e, true);
        if (e->call.callee->kind != AST_NAME) break;
        return read_call(r, e, e->call.args, e->call.callee->name);
    case AST_CAST:
        return read_op(r, e, casts[e->cast.base], (const AstExpr *[]){e->cast.arg});
    case AST_FOLD: return read_call(r, e, e->fold.args, ast_reduce_text(e->fold.reduce));
    case AST_UNARY:
        return read_op(r, e, e->unary.op == AST_NOT ? OP_NOT : OP_NEG,
                       (const AstExpr *[]){e->unary.arg});
    case AST_BINARY: return read_binary(r, e);
    case AST_IF:
        return read_op(r, e, OP_SELECT,
                       (const AstExpr *[]){e->cond.cond, e->cond.then, e->cond.otherwise});
    case AST_STRING:
    case AST_NEXT:
    case AST_LIST:
    case AST_MEMBER:
    case AST_REDUCE:
    case AST_REDUCER: break;
    }
    fail(r, e->span, "this is no scalar");
    return nothing(r);
}

/* --- shapes and reductions ------------------------------------------------------------------- */

/* A whole number, negated or not. */
static int64_t read_int(Reader *r, const AstExpr *e)
{
    const Scalar *s = read_scalar(r, e);
    if (s->kind != SCALAR_CONST || s->type != TYPE_INT) fail(r, e->span, "an int is wanted here");
    return (int64_t)s->value;
}

/* n, or size <= n, or @upto(size, n). */
static Extent read_extent(Reader *r, const AstExpr *e)
{
    if (e->kind == AST_BINARY && e->binary.op == AST_LE)
        return (Extent){read_int(r, e->binary.rhs), read_scalar(r, e->binary.lhs)};
    if (is_call(e, "@upto") && e->call.args.len == 2)
        return (Extent){read_int(r, e->call.args.data[1].value),
                        read_scalar(r, e->call.args.data[0].value)};
    return extent_fixed(read_int(r, e));
}

/* Axes of a shape are iterators by their own names (i, j, k, ...). */
static int read_shape(Reader *r, const AstExpr *e, Extent *shape)
{
    if (e->kind != AST_LIST || e->list.len > MAX_RANK) {
        fail(r, e->span, "a list of extents is wanted here");
        return 0;
    }
    for (int k = 0; k < e->list.len; k++)
        shape[k] = read_extent(r, e->list.data[k]);
    return e->list.len;
}

static void read_indices(Reader *r, AstIndices indices, Extent *iters)
{
    for (int i = 0; i < indices.len; i++) {
        const AstIndex *index = &indices.data[i];
        if (!index->bound || r->n_iters >= MAX_ITERS) {
            fail(r, index->span, "an index without bound, or one too many");
            return;
        }
        iters[r->n_iters] = read_extent(r, index->bound);
        r->iters[r->n_iters++] = index->name;
    }
}

typedef struct Reduction {
    Reduce reduce;
    const AstExpr *body;
    const Scalar *guard;
} Reduction;

static Reduce reduce_of(AstReduce reduce)
{
    return (Reduce)(REDUCE_NONE + 1 + (int)reduce); /* both in the order of the language */
}

/* sum[...] body, @point(sum, body, guard), or a body alone. */
static Reduction read_reduction(Reader *r, const AstExpr *e, Extent *iters)
{
    Reduction reduction = {REDUCE_NONE, e, NULL};
    if (e->kind == AST_REDUCE) {
        read_indices(r, e->reduce.indices, iters);
        reduction.reduce = reduce_of(e->reduce.reduce);
        reduction.body = e->reduce.body;
        if (e->reduce.where) reduction.guard = read_scalar(r, e->reduce.where);
    } else if (is_call(e, "@point")) {
        AstArgs args = e->call.args;
        if (args.len < 2 || args.data[0].value->kind != AST_REDUCER) {
            fail(r, e->span, "a reduction and a body are wanted here");
            return reduction;
        }
        reduction.reduce = reduce_of(args.data[0].value->reducer.reduce);
        reduction.body = args.data[1].value;
        if (args.len > 2) reduction.guard = read_scalar(r, args.data[2].value);
    }
    return reduction;
}

/* --- nodes ----------------------------------------------------------------------------------- */

static const Node *read_comp(Reader *r, const AstStmt *stmt)
{
    Extent iters[MAX_ITERS];
    read_indices(r, stmt->indices, iters);
    int rank = r->n_iters;
    Reduction reduction = read_reduction(r, stmt->values.data[0], iters);
    const Scalar *body = read_scalar(r, reduction.body);
    if (r->failed) return NULL;
    return graph_comp(r->g, reduction.reduce, rank, r->n_iters, iters, body, reduction.guard,
                      stmt->span);
}

static const Node *read_scatter(Reader *r, const AstExpr *e)
{
    AstArgs args = e->call.args;
    Extent shape[MAX_RANK], iters[MAX_ITERS];
    int rank = args.len == 2 ? read_shape(r, args.data[0].value, shape) : 0;
    if (args.len < 1 || args.len > 2) fail(r, e->span, "a shape and a sum are wanted here");
    if (r->failed) return NULL;
    Reduction reduction = read_reduction(r, args.data[args.len - 1].value, iters);
    if (!is_call(reduction.body, "@at") || reduction.body->call.args.len != rank + 1) {
        fail(r, e->span, "@at with %d positions and a value is wanted here", rank);
        return NULL;
    }
    const Scalar *position[MAX_RANK + 1];
    for (int k = 0; k <= rank; k++)
        position[k] = read_scalar(r, reduction.body->call.args.data[k].value);
    if (r->failed) return NULL;
    return graph_scatter(r->g, rank, shape, position, r->n_iters, iters, position[rank],
                         reduction.guard, e->span);
}

static ElemType read_type(Reader *r, const AstExpr *e)
{
    static const ElemType types[] = {[AST_REAL] = TYPE_REAL, [AST_INT] = TYPE_INT,
                                     [AST_BASE_BOOL] = TYPE_BOOL, [AST_U8] = TYPE_U8};
    if (e->kind == AST_REDUCER && e->reducer.is_cast) return types[e->reducer.base];
    fail(r, e->span, "a type is wanted here");
    return TYPE_REAL;
}

static const Node *read_pieces(Reader *r, const AstExpr *e)
{
    AstArgs args = e->call.args;
    if (args.len < 3) {
        fail(r, e->span, "a type, a shape and an axis are wanted here");
        return NULL;
    }
    Extent shape[MAX_RANK];
    ElemType type = read_type(r, args.data[0].value);
    int rank = read_shape(r, args.data[1].value, shape);
    int axis = (int)read_int(r, args.data[2].value);
    Piece *pieces = NEW_ARRAY(r->arena, Piece, args.len);
    for (int i = 3; i < args.len && !r->failed; i++) {
        const AstExpr *piece = args.data[i].value;
        if (piece->kind != AST_LIST || piece->list.len != 3) {
            fail(r, piece->span, "a part, an offset and a stride are wanted here");
            return NULL;
        }
        pieces[i - 3] = (Piece){read_node(r, piece->list.data[0]),
                                read_int(r, piece->list.data[1]), read_int(r, piece->list.data[2])};
    }
    if (r->failed) return NULL;
    return graph_pieces(r->g, type, rank, shape, axis, args.len - 3, pieces, e->span);
}

static const Node *read_companion(Reader *r, const AstExpr *e)
{
    AstArgs args = e->call.args;
    const Node *arg = args.len ? read_node(r, args.data[0].value) : NULL;
    if (!arg) {
        fail(r, e->span, "a node is wanted here");
        return NULL;
    }
    if (is_call(e, "@order")) return graph_order(r->g, arg, e->span);
    if (is_call(e, "@tag")) {
        uint32_t tag = args.len > 1 ? (uint32_t)read_int(r, args.data[1].value) : 0;
        return graph_tag_numbered(r->g, arg, tag);
    }
    Extent shape[MAX_RANK];
    int rank = args.len > 1 ? read_shape(r, args.data[1].value, shape) : 0;
    return r->failed ? NULL : graph_reshape(r->g, arg, rank, shape, e->span);
}

/* --- leaves ---------------------------------------------------------------------------------- */

static Name read_path(Reader *r, const AstExpr *e)
{
    if (e->kind == AST_STRING) return name_intern(r->context, e->string.text, e->string.len);
    StrBuf text = str_new(r->arena);
    ast_expr_print(&text, e);
    return name_of(r->context, str_text(&text));
}

/* Makes what a leaf refers to, where no leaf of that name was given. */
static void leaf_object(Reader *r, Leaf *leaf, PersistKind kind, Span span)
{
    if (leaf->kind == LEAF_PERSIST) {
        leaf->persistent = NEW(r->arena, Persistent);
        leaf->persistent->kind = kind;
        leaf->persistent->path = leaf->name;
        leaf->persistent->span = span;
    } else if (leaf->kind == LEAF_FIELD) {
        leaf->field = NEW(r->arena, Field);
        leaf->field->name = leaf->name;
    } else if (leaf->kind == LEAF_FILE) {
        leaf->source = NEW(r->arena, FileSource);
        leaf->source->path = leaf->name;
    }
}

/* The first leaf of that kind and name that was not read before: a file read in two places is two
 * leaves, printed in order. */
static const Node *leaf_find(Reader *r, LeafKind kind, Name name)
{
    for (int i = 0; i < r->n_leaves; i++) {
        const Node *node = r->leaves[i];
        if (node->kind != NODE_LEAF || node->leaf->kind != kind || node->leaf->name != name ||
            map_get(&r->taken, node))
            continue;
        map_put(&r->taken, node, (void *)(uintptr_t)node);
        return node;
    }
    return NULL;
}

/* @const(real, [2, 2], 1.0, 2.0, 3.0, 4.0) */
static const Node *read_const(Reader *r, const AstExpr *e)
{
    AstArgs args = e->call.args;
    Extent shape[MAX_RANK];
    int64_t count = 1;
    if (args.len < 1) return NULL;
    ElemType type = read_type(r, args.data[0].value);
    bool shaped = args.len > 1 && args.data[1].value->kind == AST_LIST;
    int rank = shaped ? read_shape(r, args.data[1].value, shape) : 0;
    for (int k = 0; k < rank; k++)
        count *= shape[k].max;
    int first = 1 + shaped;
    if (r->failed || count != args.len - first) {
        fail(r, e->span, "%d values for %lld elements", args.len - first, (long long)count);
        return NULL;
    }
    double *values = NEW_ARRAY(r->arena, double, count);
    for (int i = 0; i < count; i++)
        values[i] = read_scalar(r, args.data[first + i].value)->value;
    return graph_const(r->g, type, rank, shape, values);
}

static const Node *read_leaf(Reader *r, const AstExpr *e, LeafKind kind, PersistKind persist)
{
    AstArgs args = e->call.args;
    if (kind == LEAF_CONST) return read_const(r, e);
    Leaf leaf = {.kind = kind};
    if (args.len > 0) leaf.name = read_path(r, args.data[0].value);
    if (leaf.name && !*leaf.name) leaf.name = NULL;
    if (kind >= LEAF_SIZE) return graph_leaf(r->g, &leaf, TYPE_INT, 0, NULL);
    const Node *known = leaf_find(r, kind, leaf.name);
    if (known) return known;
    if (args.len < 2) {
        fail(r, e->span, "a name and a type are wanted here");
        return NULL;
    }
    Extent shape[MAX_RANK];
    ElemType type = read_type(r, args.data[1].value);
    int rank = args.len > 2 ? read_shape(r, args.data[2].value, shape) : 0;
    leaf_object(r, &leaf, persist, e->span);
    const Node *node = r->failed ? NULL : graph_leaf(r->g, &leaf, type, rank, shape);
    if (node && leaf.persistent) leaf.persistent->leaf = node;
    if (node && leaf.field) leaf.field->leaf = node;
    if (node && leaf.source) leaf.source->leaf = node;
    return node;
}

/* --- loops ----------------------------------------------------------------------------------- */

static const Loop *read_loop(Reader *r, AstArgs args, Span span)
{
    const AstExpr *e = args.len ? args.data[0].value : NULL;
    const Loop *loop = e && e->kind == AST_NAME ? map_get(&r->loops, e->name) : NULL;
    if (!loop) fail(r, span, "the name of a loop above is wanted here");
    return loop;
}

/* loop1 = @loop(1, t, 20, true) */
static void read_loop_line(Reader *r, const AstExpr *e, Name name)
{
    AstArgs args = e->call.args;
    if (args.len < 3) {
        fail(r, e->span, "a number, a name and an extent are wanted here");
        return;
    }
    int64_t id = read_int(r, args.data[0].value);
    Name index = read_path(r, args.data[1].value);
    Extent extent = read_extent(r, args.data[2].value);
    if (r->failed) return;
    const Loop *loop = graph_loop_numbered(r->g, (uint32_t)id, *index ? index : NULL, extent,
                                           args.len > 3, e->span);
    map_put(&r->loops, name, (void *)(uintptr_t)loop);
}

/* @time(loop1), @carry(loop1, 0, h, real, [4]) */
static const Node *read_loop_leaf(Reader *r, const AstExpr *e)
{
    AstArgs args = e->call.args;
    const Loop *loop = read_loop(r, args, e->span);
    if (!loop) return NULL;
    if (is_call(e, "@time")) return graph_time(r->g, loop);
    if (args.len < 4) {
        fail(r, e->span, "a loop, a number, a name and a type are wanted here");
        return NULL;
    }
    int64_t number = read_int(r, args.data[1].value);
    Name name = read_path(r, args.data[2].value);
    ElemType type = read_type(r, args.data[3].value);
    Extent shape[MAX_RANK];
    int rank = args.len > 4 ? read_shape(r, args.data[4].value, shape) : 0;
    if (r->failed) return NULL;
    return graph_carry(r->g, loop, (int)number, *name ? name : NULL, type, rank, shape);
}

/* @scan(loop1, [h, init, next], ..., loop2): within loop 2 */
static const Node *read_scan(Reader *r, const AstExpr *e)
{
    AstArgs args = e->call.args;
    const Loop *loop = read_loop(r, args, e->span);
    Carry *carries = NEW_ARRAY(r->arena, Carry, args.len);
    const LoopSet *place = NULL;
    int n = 0;
    for (int i = 1; i < args.len && !r->failed; i++) {
        const AstExpr *carry = args.data[i].value;
        const Loop *within = carry->kind == AST_NAME ? map_get(&r->loops, carry->name) : NULL;
        if (within) {
            place = loops_union(r->g, place, &within->only);
            continue;
        }
        if (carry->kind != AST_LIST || carry->list.len != 3) {
            fail(r, carry->span, "a leaf, its first and its next value are wanted here");
            return NULL;
        }
        carries[n++] = (Carry){read_node(r, carry->list.data[0]),
                                 read_node(r, carry->list.data[1]),
                                 read_node(r, carry->list.data[2])};
    }
    if (r->failed) return NULL;
    return graph_scan_within(r->g, graph_scan(r->g, loop, n, carries, e->span), place);
}

/* @final(scan, 0), @yield(scan, value) */
static const Node *read_result(Reader *r, const AstExpr *e)
{
    AstArgs args = e->call.args;
    const Node *scan = args.len == 2 ? read_node(r, args.data[0].value) : NULL;
    if (!scan || scan->kind != NODE_SCAN) {
        fail(r, e->span, "a scan and what is wanted of it are wanted here");
        return NULL;
    }
    if (is_call(e, "@final")) {
        int64_t carry = read_int(r, args.data[1].value);
        if (carry < 0 || carry >= scan->n_carries) fail(r, e->span, "there is no such carry");
        return r->failed ? NULL : graph_final(r->g, scan, (int)carry);
    }
    const Node *value = read_node(r, args.data[1].value);
    return value ? graph_yield(r->g, scan, value, e->span) : NULL;
}

/* --- statements ------------------------------------------------------------------------------ */

static const Node *read_value(Reader *r, const AstStmt *stmt)
{
    const AstExpr *e = stmt->values.data[0];
    if (is_call(e, "@scatter")) return read_scatter(r, e);
    if (is_call(e, "@pieces")) return read_pieces(r, e);
    if (is_call(e, "@order") || is_call(e, "@tag") || is_call(e, "@reshape"))
        return read_companion(r, e);
    if (is_call(e, "@time") || is_call(e, "@carry")) return read_loop_leaf(r, e);
    if (is_call(e, "@scan")) return read_scan(r, e);
    if (is_call(e, "@final") || is_call(e, "@yield")) return read_result(r, e);
    for (int i = 0; i < PERSIST_FORMS; i++)
        if (is_call(e, persist_forms[i])) return read_leaf(r, e, LEAF_PERSIST, (PersistKind)i);
    for (int i = 0; i < LEAF_FORMS; i++)
        if (is_call(e, leaf_forms[i])) return read_leaf(r, e, (LeafKind)i, PERSIST_PARAM);
    return read_comp(r, stmt);
}

static void read_results(Reader *r, const AstStmt *stmt, GraphText *out)
{
    for (int i = 0; i < stmt->values.len; i++) {
        const AstExpr *e = stmt->values.data[i];
        Name name = NULL;
        if (is_call(e, "@result") && e->call.args.len == 2) {
            name = read_path(r, e->call.args.data[0].value);
            e = e->call.args.data[1].value;
        }
        vec_push(r->arena, &out->roots, read_node(r, e));
        vec_push(r->arena, &out->names, name);
    }
}

static void read_stmt(Reader *r, const AstStmt *stmt, GraphText *out)
{
    r->n_iters = 0;
    if (stmt->kind == AST_RETURN) {
        read_results(r, stmt, out);
        return;
    }
    bool defines = stmt->kind == AST_ASSIGN || stmt->kind == AST_INDEX_DEF;
    if (!defines || stmt->names.len != 1 || stmt->values.len != 1) {
        fail(r, stmt->span, "a graph consists of definitions of one name");
        return;
    }
    Name name = stmt->names.data[0].name;
    const AstExpr *value = stmt->values.data[0];
    if (is_call(value, "@let") && value->call.args.len == 1) {
        const Scalar *s = read_scalar(r, value->call.args.data[0].value);
        map_put(&r->scalars, name, (void *)(uintptr_t)s);
        return;
    }
    if (is_call(value, "@loop")) {
        read_loop_line(r, value, name);
        return;
    }
    const Node *node = read_value(r, stmt);
    if (!node) {
        fail(r, stmt->span, "this is no node");
        return;
    }
    bool numbered = name[0] == 't' && name[1] >= '0' && name[1] <= '9';
    if (!numbered) graph_name(node, name);
    map_put(&r->nodes, name, (void *)(uintptr_t)node);
}

bool graph_read(Graph *g, const char *text, const Node *const *leaves, int n_leaves,
                GraphText *out)
{
    Context *context = graph_context(g);
    Arena *arena = graph_arena(g);
    Reader r = {.g = g, .context = context, .arena = arena, .leaves = leaves,
                .n_leaves = n_leaves, .nodes = map_new(arena), .scalars = map_new(arena),
                .loops = map_new(arena),                .taken = map_new(arena)};
    *out = (GraphText){0};
    const char *body = arena_printf(arena, "fn graph() {\n%s\n}\n", text);
    const Source *source = source_add(context, "graph", body, strlen(body), true);
    int errors = diag_errors(context);
    AstFile *file = parse_file(context, source);
    if (diag_errors(context) > errors || file->items.len != 1) return false;
    AstBlock block = file->items.data[0]->body;
    for (int i = 0; i < block.len && !r.failed; i++)
        read_stmt(&r, block.data[i], out);
    const char *fault = NULL;
    if (!r.failed) fault = graph_check(arena, g, out->roots.data, out->roots.len);
    if (fault) fail(&r, file->items.data[0]->span, "%s", fault);
    return !r.failed;
}
