/* c_expr.c -- scalars as C expressions.
 *
 * A scalar that is used more than once in a statement, or whose text grows long, becomes a named
 * constant in front of the statement; a choice of which a branch may fail (a subscript that is
 * checked when running) becomes an if statement, every other one a conditional expression.
 * Subscripts are computed in long, values of type int in int32_t with arithmetic that wraps. */
#include "c_text.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

enum { LONG_TEXT = 70 };

static Text atom(const char *s)
{
    return (Text){s, PREC_ATOM};
}

const char *c_wrap(CKernel *k, Text t, int needed)
{
    return t.prec >= needed ? t.s : arena_printf(k->arena, "(%s)", t.s);
}

const char *c_type(const CKernel *k, ElemType type)
{
    switch (type) {
    case TYPE_BOOL: return "bool";
    case TYPE_U8: return "uint8_t";
    case TYPE_INT: return "int32_t";
    case TYPE_REAL: return k->f64 ? "double" : "float";
    }
    return "";
}

/* --- names ------------------------------------------------------------------------------------ */

/* Words that a local name must not hide: C's own, and what emitted code calls. */
static bool word_reserved(const char *word)
{
    static const char *const words[] = {
        "unix",  "linux", "fault", "seed", "pool",   "checked", "sized", "divisor", "min",
        "max",   "div",   "abs",   "y0",   "y1",     "yn",      "j0",    "j1",      "jn",
        "gamma", "index", "log",   "exp",  "signal", "time",    "main",  "real"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) return true;
    return word_of_c(word) || strncmp(word, "nnd", 3) == 0;
}

static Name name_text(const CKernel *k, const char *text)
{
    return name_of(k->l->program->context, text);
}

bool c_taken(const CKernel *k, const char *name)
{
    Name text = name_text(k, name);
    intptr_t at = (intptr_t)map_get(&k->taken_at, text);
    return at && at <= k->taken.len && k->taken.data[at - 1].name == text;
}

static bool name_in_use(const CKernel *k, const char *name)
{
    for (int i = 0; i < k->sites.len; i++)
        if (strcmp(k->sites.data[i].name, name) == 0) return true;
    return c_taken(k, name) || word_reserved(name);
}

/* 1 + the place of the base's last variant that is in use; 0: none. */
static int variant_last(const CKernel *k, Name base)
{
    intptr_t at = (intptr_t)map_get(&k->variant_at, base);
    return at && at <= k->taken.len && k->taken.data[at - 1].base == base ? (int)at : 0;
}

static void variant_take(CKernel *k, Name name, Name base, int number)
{
    Taken t = {name, base, number, variant_last(k, base)};
    vec_push(k->arena, &k->taken, t);
    map_put(&k->taken_at, name, (void *)(intptr_t)k->taken.len);
    map_put(&k->variant_at, base, (void *)(intptr_t)k->taken.len);
}

void c_take(CKernel *k, const char *name)
{
    variant_take(k, name_text(k, name), name_text(k, name), 1);
}

void c_scope_end(CKernel *k, int names)
{
    while (k->taken.len > names) {
        const Taken *t = &k->taken.data[--k->taken.len];
        if (t->last) map_put(&k->variant_at, t->base, (void *)(intptr_t)t->last);
    }
}

const char *c_name(CKernel *k, const char *wanted)
{
    Name base = name_text(k, wanted), name = base;
    int last = variant_last(k, base), n = 1;
    if (last) n = k->taken.data[last - 1].number; /* those before it are in use */
    while (n > 1 || name_in_use(k, name)) {
        bool digit = isdigit((unsigned char)wanted[strlen(wanted) - 1]);
        name = name_printf(k->l->program->context, "%s%s%d", wanted, digit ? "_" : "", ++n);
        if (!name_in_use(k, name)) break;
    }
    variant_take(k, name, base, n);
    return name;
}

void c_let(CKernel *k, const Scalar *s, const char *name)
{
    Named n = {s, name};
    vec_push(k->arena, &k->named, n);
    map_put(&k->named_at, s, (void *)(intptr_t)k->named.len);
}

const char *c_named(const CKernel *k, const Scalar *s)
{
    intptr_t at = (intptr_t)map_get(&k->named_at, s);
    bool holds = at && at <= k->named.len && k->named.data[at - 1].scalar == s;
    return holds ? k->named.data[at - 1].name : NULL;
}

/* --- what is known of a scalar ---------------------------------------------------------------- */

/* Whether subscript i of a load is proven inside its axis; the size of the axis may depend on the
 * axes before, which have the load's own subscripts. */
bool c_subscript_safe(CKernel *k, const Node *node, const Scalar *const *subs, int i)
{
    if (buffer_get(k->l, node)->block) return true; /* the element at hand of the block at hand */
    Range r = scalar_range(subs[i], k->var_extent, MAX_ITERS);
    Extent e = node->shape[i];
    if (e.size && e.size->iters) e.size = scalar_substitute(k->l->g, e.size, subs, i);
    return range_within(r, e);
}

typedef struct FindSkipped {
    CKernel *k;
    bool found;
} FindSkipped;

/* What is not computed wherever this kernel runs. */
static void find_skipped(void *data, const Scalar *s)
{
    FindSkipped *f = data;
    const Lowered *l = f->k->l;
    const When *here = f->k->kernel ? f->k->kernel->when : when_always(l->demand);
    if (s->kind == SCALAR_LOAD && !when_within(demand_when(l->demand, s->node), here))
        f->found = true;
}

/* Whether a load is to be evaluated only where it is asked for: a subscript is checked, or is a
 * value that may not have been computed. */
static bool load_checked(CKernel *k, const Scalar *s)
{
    if (s->kind != SCALAR_LOAD) return false;
    FindSkipped skipped = {k, false};
    for (int i = 0; i < s->n_args; i++) {
        if (!s->outside && !c_subscript_safe(k, s->node, s->args, i)) return true;
        if (!c_affine(s->args[i])) scalar_visit(s->args[i], find_skipped, &skipped);
    }
    return skipped.found;
}

/* An int's quotient or remainder by what may be zero. */
static bool divisor_checked(CKernel *k, const Scalar *s)
{
    if (s->kind != SCALAR_OP || (s->op != OP_IDIV && s->op != OP_MOD) || s->type != TYPE_INT)
        return false;
    Range r = scalar_range(s->args[1], k->var_extent, MAX_ITERS);
    return r.lo <= 0 && r.hi >= 0;
}

/* The divisor, which stops being zero by a check when running. */
static Text checked_divisor(CKernel *k, const Scalar *s, Text divisor)
{
    k->uses_fault = true;
    const char *place = span_users_place(k->l->program->context, s->span);
    const char *what = s->op == OP_IDIV ? "division" : "remainder";
    return atom(arena_printf(
        k->arena, "divisor(%s, %s, fault)", divisor.s,
        out_quoted(k->arena, arena_printf(k->arena, "%s: integer %s by zero", place, what))));
}

bool c_unsafe(CKernel *k, const Scalar *s)
{
    const char *known = map_get(&k->unsafe, s);
    if (known) return *known == 'y';
    bool unsafe = load_checked(k, s) || divisor_checked(k, s);
    for (int i = 0; i < s->n_args && !unsafe; i++)
        unsafe = c_unsafe(k, s->args[i]);
    if (s->outside && !unsafe) unsafe = c_unsafe(k, s->outside);
    static char yes[] = "y", no[] = "n";
    map_put(&k->unsafe, s, unsafe ? yes : no);
    return unsafe;
}

static bool guarded_choice(CKernel *k, const Scalar *s)
{
    return s->kind == SCALAR_OP && s->op == OP_SELECT &&
           (c_unsafe(k, s->args[1]) || c_unsafe(k, s->args[2]));
}

bool c_affine(const Scalar *s)
{
    Affine a;
    return s->type == TYPE_INT && affine_of(s, &a);
}

/* --- counting --------------------------------------------------------------------------------- */

static void count_uses(CKernel *k, const Scalar *s)
{
    intptr_t n = (intptr_t)map_get(&k->uses, s) + 1;
    map_put(&k->uses, s, (void *)n);
    if (n > 1) return;
    bool guarded = guarded_choice(k, s);
    for (int i = 0; i < (guarded ? 1 : s->n_args); i++)
        count_uses(k, s->args[i]);
    if (s->outside) count_uses(k, s->outside);
}

void c_count(CKernel *k, const Scalar *const *scalars, int n)
{
    k->uses = map_new(k->arena);
    for (int i = 0; i < n; i++)
        count_uses(k, scalars[i]);
}

bool c_used_often(const CKernel *k, const Scalar *s)
{
    return (intptr_t)map_get(&k->uses, s) > 1;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static Text real_literal(CKernel *k, double value)
{
    if (isnan(value)) return atom("NAN");
    if (isinf(value)) return value > 0 ? atom("INFINITY") : (Text){"-INFINITY", PREC_UNARY};
    char text[40];
    if (k->f64)
        snprintf(text, sizeof text, "%.17g", value);
    else
        snprintf(text, sizeof text, "%.9g", (double)(float)value);
    bool whole = value == floor(value) && fabs(value) < 1e6;
    if (whole) snprintf(text, sizeof text, "%.1f", value);
    for (int digits = 1; digits < 17 && !whole; digits++) { /* the shortest that reads back */
        char shorter[40];
        snprintf(shorter, sizeof shorter, "%.*g", digits, value);
        bool same = k->f64 ? strtod(shorter, NULL) == value : strtof(shorter, NULL) == (float)value;
        if (!same) continue;
        memcpy(text, shorter, sizeof text);
        break;
    }
    if (!strpbrk(text, ".e")) strcat(text, ".0");
    if (!k->f64) strcat(text, "f");
    return (Text){arena_strdup(k->arena, text), *text == '-' ? PREC_UNARY : PREC_ATOM};
}

static Text literal(CKernel *k, const Scalar *s)
{
    if (s->type == TYPE_REAL) return real_literal(k, s->value);
    if (s->type == TYPE_BOOL) return atom(s->value != 0 ? "true" : "false");
    if (s->value == INT32_MIN) return atom("INT32_MIN");
    return (Text){arena_printf(k->arena, "%ld", (long)s->value),
                  s->value < 0 ? PREC_UNARY : PREC_ATOM};
}

static void temp_declare(CKernel *k, const Scalar *s, const char *type, const char *name, Text t)
{
    out_line(k->out, "const %s %s = %s;", type, name, t.s);
    c_let(k, s, name);
}

static const char *temp_name(CKernel *k)
{
    return c_name(k, arena_printf(k->arena, "t%d", k->n_temps++));
}

/* --- loads ------------------------------------------------------------------------------------ */

/* The extent along axis i, which may depend on the subscripts before it. */
static Extent load_extent(CKernel *k, const Scalar *load, int i)
{
    Extent e = load->node->shape[i];
    if (e.size && e.size->iters) e.size = scalar_substitute(k->l->g, e.size, load->args, i);
    return e;
}

/* The conditions under which subscript i stays inside, as "s >= 0 && s < n"; only what is not
 * known. */
static void inside_conditions(CKernel *k, StrBuf *out, const Scalar *s, int i)
{
    if (c_subscript_safe(k, s->node, s->args, i)) return;
    Extent e = load_extent(k, s, i);
    Range r = scalar_range(s->args[i], k->var_extent, MAX_ITERS);
    const char *sub = c_affine(s->args[i]) ? c_wrap(k, c_index(k, s->args[i]), PREC_ADD)
                                           : c_bind(k, s->args[i], NULL);
    if (r.lo < 0) str_printf(out, "%s%s >= 0", str_text(out)[0] ? " && " : "", sub);
    bool above = e.size ? !(r.size == e.size && r.over <= -1) : r.hi >= e.max;
    if (above)
        str_printf(out, "%s%s < %s", str_text(out)[0] ? " && " : "", sub,
                   c_wrap(k, c_extent(k, e), PREC_ADD));
}

const char *c_inside(CKernel *k, const Scalar *load, int var)
{
    StrBuf cond = str_new(k->arena);
    for (int i = 0; i < load->n_args; i++) {
        if (c_subscript_safe(k, load->node, load->args, i)) continue;
        const Scalar *size = load_extent(k, load, i).size;
        if ((load->args[i]->iters | (size ? size->iters : 0)) >> var & 1) return NULL;
    }
    for (int i = 0; i < load->n_args; i++)
        inside_conditions(k, &cond, load, i);
    return str_text(&cond)[0] ? str_text(&cond) : NULL;
}

static Text load_text(CKernel *k, const Scalar *s)
{
    if (!s->outside) return c_checked_place(k, s->node, s->args, true, s->span);
    if (s == k->known_inside) return c_checked_place(k, s->node, s->args, false, s->span);
    if (s == k->known_outside) return c_value(k, s->outside);
    StrBuf cond = str_new(k->arena);
    for (int i = 0; i < s->n_args; i++)
        inside_conditions(k, &cond, s, i);
    Text place = c_checked_place(k, s->node, s->args, false, s->span);
    if (!str_text(&cond)[0]) return place;
    Text other = c_value(k, s->outside);
    return (Text){
        arena_printf(k->arena, "%s ? %s : %s", str_text(&cond), place.s, c_wrap(k, other, PREC_OR)),
        PREC_PICK};
}

/* --- operators -------------------------------------------------------------------------------- */

/* The precedence of a table's expression: that of its loosest operator outside of parentheses. */
static int pattern_prec(const char *p)
{
    int prec = PREC_ATOM, depth = 0;
    for (const char *at = p; *at; at++) {
        depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
        if (depth) continue;
        int here = PREC_ATOM;
        bool binary = at > p && at[-1] == ' ';
        if (*at == '?')
            here = PREC_PICK;
        else if (at[0] == '|' && at[1] == '|')
            here = PREC_OR;
        else if (at[0] == '&' && at[1] == '&')
            here = PREC_AND;
        else if ((*at == '=' || *at == '!') && at[1] == '=')
            here = PREC_EQ;
        else if (*at == '<' || *at == '>')
            here = PREC_LT;
        else if (*at == '+' || *at == '-')
            here = binary ? PREC_ADD : PREC_UNARY;
        else if (*at == '*' || *at == '/')
            here = PREC_MUL;
        else if (*at == '!')
            here = PREC_UNARY;
        if (here < prec) prec = here;
        while ((here == PREC_EQ || here == PREC_LT) && at[1] == '=')
            at++;
    }
    return prec;
}

/* Whether the identifier at p[from..to) is a whole argument of a call. */
static bool is_argument(const char *p, size_t from, size_t to)
{
    bool left = from >= 1 && (p[from - 1] == '(' || (from >= 2 && p[from - 2] == ','));
    bool call = left && (p[from - 1] != '(' || (from >= 2 && isalnum((unsigned char)p[from - 2])));
    return call && (p[to] == ')' || p[to] == ',');
}

static int occurrences(const char *p, char name)
{
    int n = 0;
    for (size_t i = 0; p[i]; i++) {
        bool word = isalnum((unsigned char)p[i + 1]) || p[i + 1] == '_' ||
                    (i > 0 && (isalnum((unsigned char)p[i - 1]) || p[i - 1] == '_'));
        n += p[i] == name && !word;
    }
    return n;
}

/* The function that computes what `name` does, for doubles: expf -> exp, nnd_x -> nnd_x_f64. */
static const char *function_f64(CKernel *k, const char *name)
{
    if (strncmp(name, "nnd_", 4) == 0) return arena_printf(k->arena, "%s_f64", name);
    size_t n = strlen(name);
    return name[n - 1] == 'f' ? arena_printf(k->arena, "%.*s", (int)(n - 1), name) : name;
}

/* The table's expression with operands in place of x, y, z. */
static Text instantiate(CKernel *k, const char *p, const Text *args, bool real)
{
    int prec = pattern_prec(p);
    bool infix = strlen(p) <= 6 && p[0] == 'x' && p[1] == ' ';
    StrBuf out = str_new(k->arena);
    for (size_t i = 0; p[i];) {
        size_t end = i;
        while (isalnum((unsigned char)p[end]) || p[end] == '_')
            end++;
        if (end == i || isdigit((unsigned char)p[i])) {
            end += end == i;
            str_add_n(&out, p + i, end - i);
        } else if (end == i + 1 && p[i] >= 'x' && p[i] <= 'z') {
            int needed = is_argument(p, i, end) ? PREC_PICK : PREC_ATOM;
            if (infix) needed = prec + (p[i] == 'y');
            if (infix && (prec == PREC_AND || prec == PREC_OR)) needed = PREC_EQ;
            if (infix && (prec == PREC_EQ || prec == PREC_LT)) needed = PREC_ADD;
            if (strlen(p) == 1) needed = PREC_PICK;
            str_add(&out, c_wrap(k, args[p[i] - 'x'], needed));
            if (strlen(p) == 1) prec = args[p[i] - 'x'].prec;
        } else {
            const char *word = arena_printf(k->arena, "%.*s", (int)(end - i), p + i);
            str_add(&out, real && k->f64 && p[end] == '(' ? function_f64(k, word) : word);
        }
        i = end;
    }
    return (Text){str_text(&out), prec};
}

static bool fits_int(Range r)
{
    return r.lo >= INT32_MIN && r.hi <= INT32_MAX;
}

/* + - * and negation of ints wrap: unsigned arithmetic where they may. */
static Text wrapping(CKernel *k, const Scalar *s, const char *pattern, const Text *args)
{
    if (fits_int(scalar_range(s, k->var_extent, MAX_ITERS)))
        return instantiate(k, pattern, args, false);
    Text casted[3];
    for (int i = 0; i < s->n_args; i++)
        casted[i] = (Text){arena_printf(k->arena, "(uint32_t)%s", c_wrap(k, args[i], PREC_UNARY)),
                           PREC_UNARY};
    Text t = instantiate(k, pattern, casted, false);
    return (Text){arena_printf(k->arena, "(int32_t)(%s)", t.s), PREC_UNARY};
}

/* x ^ n for small whole n by multiplication. */
static bool small_power(const Scalar *s, int *n)
{
    if (s->op != OP_POW || s->args[1]->kind != SCALAR_CONST) return false;
    double v = s->args[1]->value;
    *n = (int)v;
    return v == 2 || v == 3 || v == 4;
}

static Text power_text(CKernel *k, const Scalar *s, int n)
{
    const char *x = c_bind(k, s->args[0], NULL);
    StrBuf out = str_new(k->arena);
    for (int i = 0; i < n; i++)
        str_printf(&out, "%s%s", i ? " * " : "", x);
    return (Text){str_text(&out), PREC_MUL};
}

static Text convert_text(CKernel *k, const Scalar *s)
{
    const Scalar *arg = s->args[0];
    bool real = arg->type == TYPE_REAL;
    Text x = c_affine(arg) ? c_index(k, arg) : c_value(k, arg);
    if (s->op == OP_TO_BOOL || (real && s->op != OP_TO_REAL) || s->op == OP_TO_U8) {
        const char *pattern =
            real || s->op == OP_TO_U8 ? op_table[s->op].real_text : op_table[s->op].int_text;
        return instantiate(k, pattern, &x, real);
    }
    return (Text){arena_printf(k->arena, "(%s)%s", c_type(k, s->type), c_wrap(k, x, PREC_UNARY)),
                  PREC_UNARY};
}

static Text operator_text(CKernel *k, const Scalar *s)
{
    if (c_plain_division(k, s))
        return (Text){arena_printf(k->arena, "(int32_t)(%s)", c_index_op(k, s).s), PREC_UNARY};
    const OpInfo *info = &op_table[s->op];
    ElemType operand = s->args[info->result == RESULT_PICK]->type;
    int n;
    if (info->result >= RESULT_TO_REAL) return convert_text(k, s);
    if (operand == TYPE_REAL && small_power(s, &n)) return power_text(k, s, n);
    const char *pattern = operand == TYPE_REAL ? info->real_text : info->int_text;
    Text args[3];
    for (int i = 0; i < s->n_args; i++) {
        bool integral = info->result == RESULT_BOOL && operand == TYPE_INT;
        args[i] = integral ? c_index(k, s->args[i]) : c_value(k, s->args[i]);
        if (i == 1 && divisor_checked(k, s)) args[i] = checked_divisor(k, s, args[i]);
        bool twice = occurrences(pattern, (char)('x' + i)) > 1;
        if (twice && s->args[i]->kind != SCALAR_CONST) args[i] = atom(c_bind(k, s->args[i], NULL));
    }
    bool wraps = s->type == TYPE_INT &&
                 (s->op == OP_ADD || s->op == OP_SUB || s->op == OP_MUL || s->op == OP_NEG);
    return wraps ? wrapping(k, s, pattern, args)
                 : instantiate(k, pattern, args, operand == TYPE_REAL);
}

/* A choice whose branches may fail. */
static Text choice_text(CKernel *k, const Scalar *s)
{
    const char *name = temp_name(k);
    Text cond = c_value(k, s->args[0]);
    out_line(k->out, "%s %s;", c_type(k, s->type), name);
    Map uses = k->uses;
    bool lazy = k->lazy;
    for (int i = 1; i < 3; i++) {
        if (i == 1)
            out_open(k->out, "if (%s) {", cond.s);
        else
            out_open(k->out, "} else {");
        int scope = k->named.len;
        k->lazy = true;
        c_count(k, &s->args[i], 1);
        Text value = c_value(k, s->args[i]);
        out_line(k->out, "%s = %s;", name, value.s);
        k->named.len = scope;
        if (i == 1) k->out->indent--;
    }
    out_close(k->out, "}");
    k->uses = uses;
    k->lazy = lazy;
    c_let(k, s, name);
    return atom(name);
}

const char *c_site(CKernel *k, uint64_t site)
{
    for (int i = 0; i < k->sites.len; i++)
        if (k->sites.data[i].site == site) return k->sites.data[i].name;
    Site s = {site, c_name(k, "site")};
    vec_push(k->arena, &k->sites, s);
    return s.name;
}

static Text draw_text(CKernel *k, const Scalar *s)
{
    k->uses_seed = true;
    Text run = c_value(k, s->args[0]), place = c_index(k, s->args[1]);
    return atom(arena_printf(k->arena, "%s%s(seed, %s, (uint32_t)%s, (uint32_t)%s)",
                             s->normal ? "nnd_normal" : "nnd_uniform", k->f64 ? "_f64" : "",
                             c_site(k, s->site), c_wrap(k, run, PREC_UNARY),
                             c_wrap(k, place, PREC_UNARY)));
}

/* --- values ----------------------------------------------------------------------------------- */

static Text value_text(CKernel *k, const Scalar *s)
{
    switch (s->kind) {
    case SCALAR_CONST: return literal(k, s);
    case SCALAR_ITER:
        return (Text){arena_printf(k->arena, "(int32_t)%s", k->var_name[s->iter]), PREC_UNARY};
    case SCALAR_LOAD: return load_text(k, s);
    case SCALAR_DRAW: return draw_text(k, s);
    case SCALAR_OP: break;
    }
    if (guarded_choice(k, s)) return choice_text(k, s);
    if (c_affine(s) && fits_int(scalar_range(s, k->var_extent, MAX_ITERS)))
        return (Text){arena_printf(k->arena, "(int32_t)%s", c_wrap(k, c_index(k, s), PREC_UNARY)),
                      PREC_UNARY};
    return operator_text(k, s);
}

static bool worth_a_name(CKernel *k, const Scalar *s, Text t)
{
    if (s->kind == SCALAR_CONST || s->kind == SCALAR_ITER) return false;
    if (strlen(t.s) > LONG_TEXT) return true;
    /* a function's value may be wanted by another statement, too */
    if (s->kind == SCALAR_OP && s->type == TYPE_REAL && s->n_args == 1 && t.prec == PREC_ATOM)
        return true;
    if (!c_used_often(k, s) || c_affine(s)) return false;
    return s->kind != SCALAR_LOAD || t.prec < PREC_ATOM || strstr(t.s, "checked(") != NULL ||
           strlen(t.s) > 16;
}

Text c_value(CKernel *k, const Scalar *s)
{
    const char *name = c_named(k, s);
    if (name) return atom(name);
    Text t = value_text(k, s);
    name = c_named(k, s); /* a choice has named itself */
    if (name) return atom(name);
    if (!worth_a_name(k, s, t)) return t;
    name = temp_name(k);
    temp_declare(k, s, c_type(k, s->type), name, t);
    return atom(name);
}

const char *c_bind(CKernel *k, const Scalar *s, const char *wanted)
{
    Text t = c_value(k, s);
    bool word = t.prec == PREC_ATOM;
    for (const char *p = t.s; *p && word; p++)
        word = isalnum((unsigned char)*p) || *p == '_' || *p == '.';
    if (word) return t.s;
    const char *name = wanted ? c_name(k, wanted) : temp_name(k);
    /* gcc makes no vector code of a loop that reads a bool from outside */
    temp_declare(k, s, s->type == TYPE_BOOL ? "int" : c_type(k, s->type), name, t);
    return name;
}
