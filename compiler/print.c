/* print.c -- graphs as .nnd text, one statement per node in order of creation; read.c reads it
 * back.
 *
 *     h[i < @upto(batch, 128), j < 512] = sum[k < 784] x[i, k] * w[k, j]
 *
 * Iterators are called i, j, k, l, m, n, i6, i7, ... in their order; nodes by their name if no
 * other has it, else t and their id. What the language cannot say has an @: leaves (@param(M.w,
 * [3, 4])), @scatter, @pieces, @reshape, @order, @tag, draws, run-time extents,
 * @time and @carry of a loop, @scan, @final, @yield. Of a scalar that
 * stands in several places and is long, or nested deeply, a line of its own is made before the
 * statement: s3 = @let(exp(x[i])). Loops have lines, too: loop1 = @loop(1, t, 20). */
#include "print.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

static const char *const base_names[] = {
    [TYPE_BOOL] = "bool", [TYPE_U8] = "u8", [TYPE_INT] = "int", [TYPE_REAL] = "real"};

const char *const leaf_forms[LEAF_FORMS] = {
    [LEAF_CONST] = "@const", [LEAF_FILE] = "@file",     [LEAF_PERSIST] = "@param",
    [LEAF_FIELD] = "@field", [LEAF_INPUT] = "@input",   [LEAF_SIZE] = "@size",
    [LEAF_TOTAL] = "@total", [LEAF_OFFSET] = "@offset", [LEAF_STEP] = "@step",
    [LEAF_EPOCH] = "@epoch", [LEAF_CARRY] = "@carry",   [LEAF_TIME] = "@time"};

const char *const persist_forms[PERSIST_FORMS] = {
    [PERSIST_PARAM] = "@param",         [PERSIST_STATE] = "@state",
    [PERSIST_FIT] = "@fit",             [PERSIST_OPTIMIZER] = "@optimizer",
    [PERSIST_SCRATCH] = "@scratch"};

/* How strongly operators bind: an operand is put in parentheses if it binds less strongly than its
 * place wants. */
enum { ANY, CHOICE, OR, AND, NOT, COMPARE, ADD, FOLD, MUL, NEGATE, POWER, ATOM };

typedef struct Printer {
    Graph *g; /* NULL: a scalar alone */
    StrBuf *out;
    Map names;  /* from Node to Name: those in use */
    Map bound;  /* from Scalar to the number of its own line + 1 */
    int n_bound;
    Map loops;  /* those that have their line */
    bool plain; /* for readers only: without ranges and what tells draws apart */
} Printer;

/* --- names ----------------------------------------------------------------------------------- */

void iter_print(StrBuf *out, int iter)
{
    if (iter < 6)
        str_printf(out, "%c", "ijklmn"[iter]);
    else
        str_printf(out, "i%d", iter);
}

int iter_of_name(const char *name)
{
    if (name[0] >= 'i' && name[0] <= 'n' && !name[1]) return name[0] - 'i';
    if (name[0] != 'i' || !isdigit((unsigned char)name[1])) return -1;
    char *end;
    long number = strtol(name + 1, &end, 10);
    return *end || number < 6 || number >= MAX_ITERS ? -1 : (int)number;
}

static bool name_is_reserved(const char *name)
{
    static const char *const words[] = {
        "import", "const",   "fn",    "layer",  "model",   "optimizer", "for",  "in",     "if",
        "else",   "then",    "scan",  "return", "and",     "or",        "not",  "true",   "false",
        "where",  "outside", "real",  "int",    "bool",    "u8",        "sum",  "mean",   "prod",
        "max",    "min",     "argmax", "argmin", "any",    "all",       "next", "on",     "over",
        "like",   "using",   "carry", "reversed", "inf",   "nan"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(name, words[i]) == 0) return true;
    bool numbered = (name[0] == 's' || name[0] == 't') && isdigit((unsigned char)name[1]);
    numbered = numbered || (strncmp(name, "loop", 4) == 0 && isdigit((unsigned char)name[4]));
    if (numbered || iter_of_name(name) >= 0) return true;
    return !isalpha((unsigned char)name[0]) && *name != '_';
}

/* The node's own name as an identifier: M.block[3].w becomes M_block_3_w. False if it has none. */
static bool own_name(const Node *node, char *text, size_t size)
{
    if (!node->name || node->kind == NODE_TAG) return false;
    size_t n = 0;
    for (const char *c = node->name; *c && n + 1 < size; c++) {
        bool good = isalnum((unsigned char)*c) || *c == '_';
        if (good) text[n++] = *c;
        else if (n && text[n - 1] != '_' && c[1]) text[n++] = '_';
    }
    text[n] = 0;
    return n > 0 && n + 1 < size && !name_is_reserved(text);
}

static void print_name(Printer *p, const Node *node)
{
    char own[100];
    const char *name = p->g ? map_get(&p->names, node) : NULL;
    if (!p->g && own_name(node, own, sizeof own)) name = own;
    if (name && *name)
        str_add(p->out, name);
    else
        str_printf(p->out, "t%u", (unsigned)node->id);
}

/* Gives every node whose own name is its alone that name. */
static void choose_names(Printer *p, Nodes nodes)
{
    char own[100];
    Map owners = map_new(p->names.arena);
    for (int i = 0; i < nodes.len; i++) {
        if (!own_name(nodes.data[i], own, sizeof own)) continue;
        Name name = name_of(graph_context(p->g), own);
        Node *other = map_get(&owners, name);
        if (other) map_put(&p->names, other, (void *)(uintptr_t)"");
        else map_put(&p->names, nodes.data[i], (void *)(uintptr_t)name);
        map_put(&owners, name, (void *)(uintptr_t)nodes.data[i]);
    }
}

/* The name of a leaf or result: M.block[3].w as it is, anything else as a string. */
static void print_path(Printer *p, const char *path)
{
    bool plain = isalpha((unsigned char)*path) && !name_is_reserved(path);
    for (const char *c = path; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("_.[]", *c));
    if (!plain) str_add(p->out, "\"");
    for (const char *c = path; *c; c++)
        str_printf(p->out, !plain && strchr("\"\\", *c) ? "\\%c" : "%c", *c);
    if (!plain) str_add(p->out, "\"");
}

/* --- scalars --------------------------------------------------------------------------------- */

static void print(Printer *p, const Scalar *s, int place);

void number_print(StrBuf *out, ElemType type, double value)
{
    char text[40];
    if (type == TYPE_BOOL) {
        str_add(out, value != 0 ? "true" : "false");
    } else if (type == TYPE_U8) {
        str_printf(out, "u8(%.0f)", value);
    } else if (type == TYPE_INT) {
        if (value == INT32_MIN) str_add(out, "-2147483647 - 1");
        else str_printf(out, "%.0f", value);
    } else if (!isfinite(value)) {
        str_add(out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    } else {
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value) break;
        }
        str_add(out, text);
        if (!strpbrk(text, ".e")) str_add(out, ".0");
    }
}

static int op_strength(Op op)
{
    switch ((int)op) {
    case OP_SELECT: return CHOICE;
    case OP_OR: return OR;
    case OP_AND: return AND;
    case OP_NOT: return NOT;
    case OP_EQ:
    case OP_LT:
    case OP_LE: return COMPARE;
    case OP_ADD:
    case OP_SUB: return ADD;
    case OP_MUL:
    case OP_DIV:
    case OP_IDIV:
    case OP_MOD: return MUL;
    case OP_NEG: return NEGATE;
    case OP_POW: return POWER;
    default: return ATOM;
    }
}

static int strength(const Printer *p, const Scalar *s)
{
    if (map_get(&p->bound, s)) return ATOM;
    if (s->kind == SCALAR_CONST) {
        if (s->type == TYPE_INT && s->value == INT32_MIN) return ADD;
        bool sign = s->type != TYPE_BOOL && (s->value < 0 || (s->value == 0 && signbit(s->value)));
        return sign ? NEGATE : ATOM;
    }
    return s->kind == SCALAR_OP ? op_strength(s->op) : ATOM;
}

static void print_list(Printer *p, const Scalar *const *args, int n, const char *open,
                       const char *close)
{
    str_add(p->out, open);
    for (int i = 0; i < n; i++) {
        if (i) str_add(p->out, ", ");
        print(p, args[i], ANY);
    }
    str_add(p->out, close);
}

static void print_op(Printer *p, const Scalar *s)
{
    const OpInfo *info = &op_table[s->op];
    int own = op_strength(s->op);
    if (s->op == OP_SELECT) {
        str_add(p->out, "if ");
        print(p, s->args[0], OR);
        str_add(p->out, " then ");
        print(p, s->args[1], OR);
        str_add(p->out, " else ");
        print(p, s->args[2], CHOICE);
    } else if (s->op == OP_NOT || s->op == OP_NEG) {
        str_add(p->out, s->op == OP_NOT ? "not " : "-");
        print(p, s->args[0], s->op == OP_NOT ? COMPARE : POWER);
    } else if (info->infix) {
        bool loose = own != COMPARE && s->op != OP_POW; /* a - b - c is (a - b) - c */
        print(p, s->args[0], loose ? own : own + 1);
        str_printf(p->out, " %s ", info->name);
        print(p, s->args[1], own + 1);
    } else {
        str_add(p->out, info->name);
        print_list(p, s->args, s->n_args, "(", ")");
    }
}

static void print_load(Printer *p, const Scalar *s)
{
    print_name(p, s->node);
    if (s->n_args) print_list(p, s->args, s->n_args, "[", "]");
    if (!s->outside) return;
    bool bare = s->outside->kind == SCALAR_CONST && s->outside->type == TYPE_REAL;
    str_add(p->out, bare ? " outside " : " outside (");
    print(p, s->outside, ANY);
    if (!bare) str_add(p->out, ")");
}

static void print(Printer *p, const Scalar *s, int place)
{
    intptr_t bound = (intptr_t)map_get(&p->bound, s);
    if (bound) {
        str_printf(p->out, "s%d", (int)bound);
        return;
    }
    bool parentheses = strength(p, s) < place;
    if (parentheses) str_add(p->out, "(");
    switch (s->kind) {
    case SCALAR_CONST: number_print(p->out, s->type, s->value); break;
    case SCALAR_ITER: iter_print(p->out, s->iter); break;
    case SCALAR_LOAD: print_load(p, s); break;
    case SCALAR_OP: print_op(p, s); break;
    case SCALAR_DRAW:
        if (p->plain) {
            str_add(p->out, s->normal ? "randn()" : "rand()");
            break;
        }
        str_printf(p->out, "%s(\"%016llx\", ", s->normal ? "@randn" : "@rand",
                   (unsigned long long)s->site);
        print_list(p, s->args, s->n_args, "", ")");
        break;
    }
    if (parentheses) str_add(p->out, ")");
}

/* --- scalars that get a line of their own ---------------------------------------------------- */

enum { LONG = 8, DEEP = 40 };

typedef struct Sharing {
    Printer *p;
    Map users; /* from Scalar to how often it stands in another */
    Map sizes; /* from Scalar to its length, and its depth, as printed */
} Sharing;

static void count_users(void *data, const Scalar *s)
{
    Sharing *sharing = data;
    for (int i = 0; i < s->n_args; i++) {
        intptr_t n = (intptr_t)map_get(&sharing->users, s->args[i]);
        map_put(&sharing->users, s->args[i], (void *)(n + 1));
    }
}

static void bind_scalar(void *data, const Scalar *s)
{
    Sharing *sharing = data;
    Printer *p = sharing->p;
    if (map_get(&p->bound, s)) return;
    intptr_t size = 1, depth = 1;
    for (int i = 0; i < s->n_args; i++) {
        intptr_t arg = (intptr_t)map_get(&sharing->sizes, s->args[i]);
        size += arg % 65536;
        if (arg / 65536 + 1 > depth) depth = arg / 65536 + 1;
    }
    bool shared = (intptr_t)map_get(&sharing->users, s) > 1 && size >= LONG;
    if (s->kind != SCALAR_CONST && s->kind != SCALAR_ITER && (shared || depth >= DEEP)) {
        str_printf(p->out, "s%d = @let(", p->n_bound + 1);
        print(p, s, ANY);
        str_add(p->out, ")\n");
        map_put(&p->bound, s, (void *)(intptr_t)++p->n_bound);
        size = depth = 1;
    }
    map_put(&sharing->sizes, s, (void *)(depth * 65536 + size));
}

/* Prints the lines of what the node's scalars share. */
static void bind_shared(Printer *p, const Node *node)
{
    Sharing sharing = {p, map_new(p->names.arena), map_new(p->names.arena)};
    const Scalar *all[MAX_RANK + 2];
    int n = 0;
    for (int k = 0; node->position && k < node->rank; k++)
        all[n++] = node->position[k];
    if (node->guard) all[n++] = node->guard;
    if (node->body) all[n++] = node->body;
    for (int i = 0; i < n; i++)
        scalar_visit(all[i], count_users, &sharing);
    for (int i = 0; i < n; i++)
        scalar_visit(all[i], bind_scalar, &sharing);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static void print_extent(Printer *p, Extent extent)
{
    if (extent.size) {
        print(p, extent.size, ADD);
        str_add(p->out, " <= ");
    }
    str_printf(p->out, "%lld", (long long)extent.max);
}

static void print_shape(Printer *p, const Node *node)
{
    str_add(p->out, "[");
    for (int k = 0; k < node->rank; k++) {
        if (k) str_add(p->out, ", ");
        print_extent(p, node->shape[k]);
    }
    str_add(p->out, "]");
}

static void print_indices(Printer *p, const Extent *iters, int from, int to)
{
    for (int i = from; i < to; i++) {
        if (i > from) str_add(p->out, ", ");
        iter_print(p->out, i);
        if (p->plain) continue;
        str_add(p->out, " < ");
        if (iters[i].size) {
            str_add(p->out, "@upto(");
            print(p, iters[i].size, ANY);
            str_printf(p->out, ", %lld)", (long long)iters[i].max);
        } else {
            str_printf(p->out, "%lld", (long long)iters[i].max);
        }
    }
}

/* sum[k < 3 where guard] body, or @point(sum, body, guard) where nothing but the point is
 * reduced. */
static void print_reduction(Printer *p, const Node *node, int first)
{
    const char *name = reduce_table[node->reduce].name;
    bool scatter = node->kind == NODE_SCATTER, point = node->n_iters == first;
    if (point) {
        str_printf(p->out, "@point(%s, ", name);
    } else {
        str_printf(p->out, "%s[", name);
        print_indices(p, node->iters, first, node->n_iters);
        if (node->guard) {
            str_add(p->out, " where ");
            print(p, node->guard, ANY);
        }
        str_add(p->out, "] ");
    }
    if (scatter) {
        print_list(p, node->position, node->rank, "@at(", node->rank ? ", " : "");
        print(p, node->body, ANY);
        str_add(p->out, ")");
    } else {
        print(p, node->body, point ? ANY : MUL);
    }
    if (point && node->guard) {
        str_add(p->out, ", ");
        print(p, node->guard, ANY);
    }
    if (point) str_add(p->out, ")");
}

static void print_leaf(Printer *p, const Node *node)
{
    const Leaf *leaf = node->leaf;
    bool persistent = leaf->kind == LEAF_PERSIST && leaf->persistent;
    str_add(p->out, persistent ? persist_forms[leaf->persistent->kind] : leaf_forms[leaf->kind]);
    str_add(p->out, "(");
    bool counter = leaf->kind >= LEAF_SIZE;
    if (leaf->loop) {
        str_printf(p->out, "loop%u", (unsigned)leaf->loop->id);
        if (leaf->kind == LEAF_CARRY) {
            str_printf(p->out, ", %d, ", leaf->number);
            print_path(p, leaf->name ? leaf->name : "");
            str_add(p->out, ", ");
        }
    } else if (leaf->kind != LEAF_CONST) {
        if (leaf->name) print_path(p, leaf->name);
        if (!counter) str_add(p->out, leaf->name ? ", " : "\"\", ");
    }
    if (!counter) {
        str_add(p->out, base_names[node->type]);
        if (node->rank) {
            str_add(p->out, ", ");
            print_shape(p, node);
        }
    }
    if (leaf->kind == LEAF_CONST) {
        int64_t n = node_max_elements(node);
        for (int64_t i = 0; i < n; i++) {
            str_add(p->out, ", ");
            number_print(p->out, node->type == TYPE_U8 ? TYPE_INT : node->type, leaf->values[i]);
        }
    }
    str_add(p->out, ")");
}

static void print_pieces(Printer *p, const Node *node)
{
    str_printf(p->out, "@pieces(%s, ", base_names[node->type]);
    print_shape(p, node);
    str_printf(p->out, ", %d", node->axis);
    for (int i = 0; i < node->n_pieces; i++) {
        str_add(p->out, ", [");
        print_name(p, node->pieces[i].part);
        str_printf(p->out, ", %lld, %lld]", (long long)node->pieces[i].offset,
                   (long long)node->pieces[i].stride);
    }
    str_add(p->out, ")");
}

/* loop1 = @loop(1, t, 20, true) before the first line that mentions it; true: reversed. */
static void bind_loop(Printer *p, const Loop *loop)
{
    if (map_get(&p->loops, loop)) return;
    map_put(&p->loops, loop, (void *)(uintptr_t)loop);
    str_printf(p->out, "loop%u = @loop(%u, ", (unsigned)loop->id, (unsigned)loop->id);
    print_path(p, loop->name ? loop->name : "");
    str_add(p->out, ", ");
    print_extent(p, loop->extent);
    str_add(p->out, loop->reversed ? ", true)\n" : ")\n");
}

static void print_scan(Printer *p, const Node *node)
{
    str_printf(p->out, "@scan(loop%u", (unsigned)node->loop->id);
    for (int k = 0; k < node->n_carries; k++) {
        str_add(p->out, ", [");
        print_name(p, node->carries[k].leaf);
        str_add(p->out, ", ");
        print_name(p, node->carries[k].init);
        str_add(p->out, ", ");
        print_name(p, node->carries[k].next);
        str_add(p->out, "]");
    }
    for (int i = 0; node->place && i < node->place->n; i++)
        str_printf(p->out, ", loop%u", (unsigned)node->place->loops[i]->id);
    str_add(p->out, ")");
}

static void print_right(Printer *p, const Node *node)
{
    switch (node->kind) {
    case NODE_LEAF: print_leaf(p, node); break;
    case NODE_COMP:
        if (node->reduce == REDUCE_NONE) print(p, node->body, ANY);
        else print_reduction(p, node, node->rank);
        break;
    case NODE_SCATTER:
        str_add(p->out, "@scatter(");
        if (node->rank) {
            print_shape(p, node);
            str_add(p->out, ", ");
        }
        print_reduction(p, node, 0);
        str_add(p->out, ")");
        break;
    case NODE_RESHAPE:
        str_add(p->out, "@reshape(");
        print_name(p, node->arg);
        if (node->rank) str_add(p->out, ", ");
        if (node->rank) print_shape(p, node);
        str_add(p->out, ")");
        break;
    case NODE_PIECES: print_pieces(p, node); break;
    case NODE_ORDER:
    case NODE_TAG:
        str_add(p->out, node->kind == NODE_ORDER ? "@order(" : "@tag(");
        print_name(p, node->arg);
        if (node->kind == NODE_TAG) str_printf(p->out, ", %u", (unsigned)node->tag);
        str_add(p->out, ")");
        break;
    case NODE_SCAN: print_scan(p, node); break;
    case NODE_FINAL:
    case NODE_YIELD:
        str_add(p->out, node->value ? "@yield(" : "@final(");
        print_name(p, node->arg);
        str_add(p->out, ", ");
        if (node->value) print_name(p, node->value);
        else str_printf(p->out, "%d", node->carry);
        str_add(p->out, ")");
        break;
    }
}

static void print_node(Printer *p, const Node *node)
{
    if (node->leaf && node->leaf->loop) bind_loop(p, node->leaf->loop);
    if (node->loop) bind_loop(p, node->loop);
    for (int i = 0; node->place && i < node->place->n; i++)
        bind_loop(p, node->place->loops[i]);
    bind_shared(p, node);
    print_name(p, node);
    if (node->kind == NODE_COMP && node->rank) {
        str_add(p->out, "[");
        print_indices(p, node->iters, 0, node->rank);
        str_add(p->out, "]");
    }
    str_add(p->out, " = ");
    print_right(p, node);
    str_add(p->out, "\n");
}

void graph_print(StrBuf *out, Graph *g, const Node *const *roots, const Name *names, int n_roots)
{
    Arena *scratch = arena_new();
    Printer p = {.g = g, .out = out, .names = map_new(scratch), .bound = map_new(scratch),
                 .loops = map_new(scratch)};
    Nodes nodes = graph_reach(scratch, roots, n_roots);
    choose_names(&p, nodes);
    for (int i = 0; i < nodes.len; i++)
        print_node(&p, nodes.data[i]);
    for (int i = 0; i < n_roots; i++) {
        str_add(out, i ? ",\n       " : "return ");
        if (names && names[i]) {
            str_add(out, "@result(");
            print_path(&p, names[i]);
            str_add(out, ", ");
        }
        print_name(&p, roots[i]);
        if (names && names[i]) str_add(out, ")");
    }
    str_add(out, "\n");
    arena_free(scratch);
}

void formula_print(StrBuf *out, Graph *g, const Node *node, const Map *names)
{
    Printer p = {.g = g, .out = out, .names = *names, .plain = true};
    print_name(&p, node);
    if (node->kind == NODE_COMP && node->rank) {
        str_add(out, "[");
        print_indices(&p, node->iters, 0, node->rank);
        str_add(out, "]");
    }
    str_add(out, " = ");
    print_right(&p, node);
}

void shape_print(StrBuf *out, const Node *node)
{
    Printer p = {.out = out};
    print_shape(&p, node);
}

void scalar_print(StrBuf *out, const Scalar *a)
{
    Printer p = {.out = out};
    print(&p, a, ANY);
}
