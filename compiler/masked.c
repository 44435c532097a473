/* masked.c -- values that count only where a test holds, and sums of them; see masked.h.
 *
 * A sum over r whose test contains `f(r) == v`, f affine with coefficient 1 or -1 (or the
 * row-by-row number of several iterators) and v free of r, has one point: r is replaced by the
 * solution, and a test that the solution lies in r's range remains, unless it is known to. */
#include "masked.h"

#include <assert.h>
#include <stdlib.h>

/* --- tests ----------------------------------------------------------------------------------- */

/* Whether subscript k is an iterator that runs over exactly this axis, whose size depends on axes
 * before. */
static bool same_axis(const Domain *domain, const Scalar *load, int k)
{
    const Scalar *index = load->args[k];
    if (index->kind != SCALAR_ITER || index->iter >= domain->n) return false;
    Extent axis = load->node->shape[k], loop = domain->iters[index->iter];
    if (!axis.size || !loop.size || axis.max != loop.max) return false;
    /* Comparing the sizes for equality needs the axis' size at this load: iterators must agree. */
    for (int j = 0; j < k; j++) {
        bool used = axis.size->iters >> j & 1;
        if (used && (load->args[j]->kind != SCALAR_ITER || load->args[j]->iter != j)) return false;
    }
    return axis.size == loop.size;
}

typedef struct Proof {
    const Domain *domain;
    bool proven;
} Proof;

static void proof_visit(void *data, const Scalar *s)
{
    Proof *proof = data;
    if (s->kind != SCALAR_LOAD || s->outside || !proof->proven) return;
    for (int k = 0; k < s->n_args && proof->proven; k++)
        proof->proven = load_is_safe(s, k, proof->domain->iters, proof->domain->n) ||
                        same_axis(proof->domain, s, k);
}

bool loads_proven(const Domain *domain, const Scalar *a)
{
    Proof proof = {domain, true};
    scalar_visit(a, proof_visit, &proof);
    return proof.proven;
}

const Scalar *test_and(Graph *g, const Domain *domain, const Scalar *a, const Scalar *b)
{
    if (!a || !b) return a ? a : b;
    if (!loads_proven(domain, b)) return scalar_select(g, a, b, scalar_bool(g, false));
    return scalar_op2(g, OP_AND, a, b);
}

const Scalar *test_in_range(Graph *g, const Domain *domain, const Facts *facts, const Scalar *index,
                            Extent extent)
{
    for (int i = 0; facts && i < facts->len && index->kind == SCALAR_LOAD; i++)
        if (facts->data[i].node == index->node && extent_equal(facts->data[i].extent, extent))
            return NULL;
    if (index->kind == SCALAR_ITER && extent_equal(domain->iters[index->iter], extent)) return NULL;
    Range range = scalar_range(index, domain->iters, domain->n);
    if (range_within(range, extent)) return NULL;
    const Scalar *size = extent.size ? extent.size : scalar_int(g, extent.max);
    const Scalar *low = scalar_op2(g, OP_LE, scalar_int(g, 0), index);
    const Scalar *high = scalar_op2(g, OP_LT, index, size);
    Range above = range;
    above.lo = 0;
    if (range_within(above, extent)) return low;
    return range.lo >= 0 ? high : scalar_op2(g, OP_AND, low, high);
}

static void parts_add(Arena *arena, Scalars *parts, const Scalar *test)
{
    bool both = test->kind == SCALAR_OP && test->op == OP_AND;
    bool lazy = test->kind == SCALAR_OP && test->op == OP_SELECT &&
                test->args[2]->kind == SCALAR_CONST && test->args[2]->value == 0;
    if (both || lazy) {
        parts_add(arena, parts, test->args[0]);
        parts_add(arena, parts, test->args[1]);
        return;
    }
    for (int i = 0; i < parts->len; i++)
        if (parts->data[i] == test) return;
    vec_push(arena, parts, test);
}

Scalars test_parts(Arena *arena, const Scalar *test)
{
    Scalars parts = {0};
    if (test) parts_add(arena, &parts, test);
    return parts;
}

bool test_is_equality(const Scalar *test)
{
    return test->kind == SCALAR_OP && test->op == OP_EQ && test->args[0]->type == TYPE_INT;
}

/* --- masked values --------------------------------------------------------------------------- */

const Scalar *masked_scalar(Graph *g, Masked m)
{
    if (!m.test) return m.value;
    return scalar_select(g, m.test, m.value, scalar_const(g, m.value->type, 0));
}

Masked masked_split(Graph *g, const Domain *domain, Masked m)
{
    while (m.value && m.value->kind == SCALAR_OP && m.value->op == OP_SELECT) {
        const Scalar *cond = m.value->args[0], *yes = m.value->args[1], *no = m.value->args[2];
        if (scalar_is_const(no, 0)) {
            m.test = test_and(g, domain, m.test, cond);
            m.value = yes;
        } else if (scalar_is_const(yes, 0)) {
            m.test = test_and(g, domain, m.test, scalar_op1(g, OP_NOT, cond));
            m.value = no;
        } else {
            break;
        }
    }
    if (m.value && scalar_is_const(m.value, 0)) m.value = NULL;
    if (m.test && scalar_is_const(m.test, 1)) m.test = NULL;
    if (m.test && scalar_is_const(m.test, 0)) m.value = NULL;
    return m;
}

static bool part_in(const Scalars *parts, const Scalar *part)
{
    for (int i = 0; i < parts->len; i++)
        if (parts->data[i] == part) return true;
    return false;
}

/* The one part of a that is not in b, or NULL if there is none or are several. */
static const Scalar *part_only_in(const Scalars *a, const Scalars *b)
{
    const Scalar *only = NULL;
    for (int i = 0; i < a->len; i++) {
        if (part_in(b, a->data[i])) continue;
        if (only) return NULL;
        only = a->data[i];
    }
    return only;
}

/* The condition c where the tests are `p and c` and `p and not c`, with p (or NULL) in *common;
 * else NULL. *swap: a's is the negated one. */
static const Scalar *complement(Graph *g, const Scalar *a, const Scalar *b, const Scalar **common,
                                bool *swap)
{
    Arena *scratch = arena_new();
    Scalars x = test_parts(scratch, a), y = test_parts(scratch, b);
    const Scalar *p = part_only_in(&x, &y), *q = part_only_in(&y, &x), *found = NULL;
    *common = NULL;
    if (p && q && (scalar_op1(g, OP_NOT, q) == p || scalar_op1(g, OP_NOT, p) == q)) {
        *swap = p->kind == SCALAR_OP && p->op == OP_NOT;
        found = *swap ? q : p;
        for (int i = 0; i < x.len; i++)
            if (x.data[i] != p)
                *common = *common ? scalar_select(g, *common, x.data[i], scalar_bool(g, false))
                                  : x.data[i];
    }
    arena_free(scratch);
    return found;
}

/* The tests' common front as `a and b` where that is how it was written. */
static const Scalar *test_front(const Scalar *test, const Scalar *last, const Scalar *fallback)
{
    if (test->kind == SCALAR_OP && (test->op == OP_AND || test->op == OP_SELECT)) {
        if (test->args[1] == last) return test->args[0];
        if (test->op == OP_AND && test->args[0] == last) return test->args[1];
    }
    return fallback;
}

Masked masked_add(Graph *g, Masked a, Masked b)
{
    if (!a.value) return b;
    if (!b.value) return a;
    if (a.test == b.test) return (Masked){a.test, scalar_op2(g, OP_ADD, a.value, b.value)};
    const Scalar *common = NULL;
    bool swap = false;
    const Scalar *cond = a.test && b.test ? complement(g, a.test, b.test, &common, &swap) : NULL;
    if (cond) {
        if (common) common = test_front(swap ? b.test : a.test, cond, common);
        return (Masked){common, swap ? scalar_select(g, cond, b.value, a.value)
                                     : scalar_select(g, cond, a.value, b.value)};
    }
    const Scalar *either = a.test && b.test ? scalar_op2(g, OP_OR, a.test, b.test) : NULL;
    const Scalar *second = masked_scalar(g, b), *first = masked_scalar(g, a);
    return (Masked){either, scalar_op2(g, OP_ADD, first, second)};
}

/* --- reductions ------------------------------------------------------------------------------ */

const Scalar *reduce_load(Graph *g, Reduce reduce, const Domain *domain, int n_par,
                          const Scalar *body, const Scalar *guard, Span span)
{
    uint64_t used = body->iters | (guard ? guard->iters : 0);
    for (int i = n_par; i < domain->n; i++)
        used |= (uint64_t)1 << i;
    for (int i = domain->n - 1; i >= 0; i--)
        if (used >> i & 1 && domain->iters[i].size) used |= domain->iters[i].size->iters;
    const Scalar *map[MAX_ITERS] = {0}, *subs[MAX_ITERS];
    Extent iters[MAX_ITERS];
    int n = 0, rank = 0;
    for (int i = 0; i < domain->n; i++) {
        if (!(used >> i & 1)) continue;
        iters[n] = domain->iters[i];
        if (iters[n].size) iters[n].size = scalar_substitute(g, iters[n].size, map, domain->n);
        if (i < n_par) subs[rank++] = scalar_iter(g, i);
        map[i] = scalar_iter(g, n++);
    }
    body = scalar_substitute(g, body, map, domain->n);
    if (guard) guard = scalar_substitute(g, guard, map, domain->n);
    const Node *node = graph_comp(g, reduce, rank, n, iters, body, guard, span);
    return scalar_load(g, node, subs, NULL, span);
}

/* --- solving equalities ---------------------------------------------------------------------- */

/* An int expression as affine part + sum of coefficient * atom. */
enum { MAX_ATOMS = 8 };
typedef struct Linear {
    Affine affine;
    const Scalar *atom[MAX_ATOMS];
    int64_t factor[MAX_ATOMS];
    int n_atoms;
} Linear;

/* Adds factor * a; false if there are too many atoms. */
static bool linear_add(Linear *sum, const Scalar *a, int64_t factor)
{
    if (a->kind == SCALAR_CONST) {
        sum->affine.constant += factor * (int64_t)a->value;
        return true;
    }
    if (a->kind == SCALAR_ITER) {
        sum->affine.coefficient[a->iter] += factor;
        return true;
    }
    if (a->kind == SCALAR_OP && a->type == TYPE_INT) {
        if (a->op == OP_NEG) return linear_add(sum, a->args[0], -factor);
        if (a->op == OP_ADD || a->op == OP_SUB)
            return linear_add(sum, a->args[0], factor) &&
                   linear_add(sum, a->args[1], a->op == OP_ADD ? factor : -factor);
        for (int i = 0; a->op == OP_MUL && i < 2; i++)
            if (a->args[i]->kind == SCALAR_CONST)
                return linear_add(sum, a->args[1 - i], factor * (int64_t)a->args[i]->value);
    }
    if (sum->n_atoms == MAX_ATOMS) return false;
    sum->atom[sum->n_atoms] = a;
    sum->factor[sum->n_atoms++] = factor;
    return true;
}

/* sign * the expression */
static const Scalar *linear_scalar(Graph *g, const Linear *sum, int64_t sign)
{
    Affine affine = sum->affine;
    affine.constant *= sign;
    for (int i = 0; i < MAX_ITERS; i++)
        affine.coefficient[i] *= sign;
    const Scalar *result = affine_scalar(g, &affine);
    for (int i = 0; i < sum->n_atoms; i++) {
        int64_t factor = sign * sum->factor[i];
        const Scalar *size = scalar_int(g, factor < 0 ? -factor : factor);
        const Scalar *term = scalar_op2(g, OP_MUL, sum->atom[i], size);
        if (factor > 0 && scalar_is_const(result, 0))
            result = term;
        else
            result = scalar_op2(g, factor < 0 ? OP_SUB : OP_ADD, result, term);
    }
    return result;
}

const Scalar *equality_solve(Graph *g, const Scalar *equality, int iter)
{
    Linear sum = {0};
    if (!linear_add(&sum, equality->args[0], 1) || !linear_add(&sum, equality->args[1], -1))
        return NULL;
    int64_t sign = sum.affine.coefficient[iter];
    if (sign != 1 && sign != -1) return NULL;
    for (int i = 0; i < sum.n_atoms; i++)
        if (sum.atom[i]->iters >> iter & 1) return NULL;
    sum.affine.coefficient[iter] = 0;
    return linear_scalar(g, &sum, -sign);
}

typedef struct Solver {
    Graph *g;
    Domain *domain;
    int n_par;
    const Facts *facts;
    Scalars parts;
    int part; /* the equality */
    Masked *term;
    const Scalar **more;
    int n_more;
    Arena *scratch;
} Solver;

/* Replaces iterators by map everywhere. The test `in_range` takes the equality's place, before the
 * parts in which something is replaced. */
static void solver_replace(Solver *s, const Scalar *const *map, const Scalar *in_range)
{
    Graph *g = s->g;
    int n = s->domain->n;
    Scalars parts = {0};
    for (int late = 0; late < 2; late++) {
        if (late && in_range) parts_add(s->scratch, &parts, in_range);
        for (int i = 0; i < s->parts.len; i++) {
            const Scalar *part = scalar_substitute(g, s->parts.data[i], map, n);
            bool moved = part != s->parts.data[i] || i > s->part;
            if (i != s->part && moved == late && !scalar_is_const(part, 1))
                parts_add(s->scratch, &parts, part);
        }
    }
    s->parts = parts;
    s->term->value = scalar_substitute(g, s->term->value, map, n);
    for (int i = 0; i < s->n_more; i++)
        s->more[i] = scalar_substitute(g, s->more[i], map, n);
    for (int i = 0; i < n; i++)
        if (s->domain->iters[i].size)
            s->domain->iters[i].size = scalar_substitute(g, s->domain->iters[i].size, map, n);
}

/* Takes the iterators of the mask, now unused, out of the domain. */
static void solver_remove(Solver *s, uint64_t mask)
{
    const Scalar *map[MAX_ITERS] = {0};
    Domain left = {0};
    for (int i = 0; i < s->domain->n; i++) {
        if (mask >> i & 1) continue;
        map[i] = scalar_iter(s->g, left.n);
        left.iters[left.n++] = s->domain->iters[i];
    }
    s->part = -1;
    solver_replace(s, map, NULL);
    for (int i = 0, k = 0; i < s->domain->n; i++)
        if (!(mask >> i & 1)) left.iters[k++].size = s->domain->iters[i].size;
    *s->domain = left;
}

/* Several iterators whose sum of coefficient * iterator numbers them row by row, fixed extents.
 * Fills order (fastest first) and returns how many, or 0. */
static int row_by_row(const Solver *s, const Linear *sum, int *order)
{
    int n = 0;
    for (int i = s->n_par; i < s->domain->n; i++) {
        if (!sum->affine.coefficient[i]) continue;
        int k = n++;
        for (; k > 0 &&
               llabs(sum->affine.coefficient[order[k - 1]]) > llabs(sum->affine.coefficient[i]);
             k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    int64_t step = n ? (sum->affine.coefficient[order[0]] < 0 ? -1 : 1) : 0;
    for (int k = 0; k < n; k++) {
        if (sum->affine.coefficient[order[k]] != step || s->domain->iters[order[k]].size) return 0;
        step *= s->domain->iters[order[k]].max;
    }
    return n;
}

static bool solve_rows(Solver *s, Linear sum, uint64_t atoms)
{
    Graph *g = s->g;
    int order[MAX_ITERS], n = row_by_row(s, &sum, order);
    if (n < 2) return false;
    uint64_t mask = 0;
    int64_t sign = sum.affine.coefficient[order[0]], total = 1;
    for (int k = 0; k < n; k++) {
        mask |= (uint64_t)1 << order[k];
        sum.affine.coefficient[order[k]] = 0;
        total *= s->domain->iters[order[k]].max;
    }
    if (atoms & mask) return false;
    const Scalar *v = linear_scalar(g, &sum, -sign), *map[MAX_ITERS] = {0};
    int64_t step = 1;
    for (int k = 0; k < n; k++) {
        int64_t extent = s->domain->iters[order[k]].max;
        const Scalar *q = scalar_op2(g, OP_IDIV, v, scalar_int(g, step));
        map[order[k]] = k == n - 1 ? q : scalar_op2(g, OP_MOD, q, scalar_int(g, extent));
        step *= extent;
    }
    solver_replace(s, map, test_in_range(g, s->domain, s->facts, v, extent_fixed(total)));
    solver_remove(s, mask);
    return true;
}

static bool solve_one(Solver *s, Linear sum, uint64_t atoms)
{
    int best = -1;
    for (int i = s->n_par; i < s->domain->n; i++) {
        int64_t c = sum.affine.coefficient[i];
        if ((c != 1 && c != -1) || atoms >> i & 1) continue;
        if (s->domain->iters[i].size && s->domain->iters[i].size->iters >> i & 1) continue;
        if (best < 0 || s->domain->iters[i].max > s->domain->iters[best].max) best = i;
    }
    if (best < 0) return false;
    int64_t sign = sum.affine.coefficient[best];
    sum.affine.coefficient[best] = 0;
    const Scalar *map[MAX_ITERS] = {0};
    map[best] = linear_scalar(s->g, &sum, -sign);
    const Scalar *in_range =
        test_in_range(s->g, s->domain, s->facts, map[best], s->domain->iters[best]);
    solver_replace(s, map, in_range);
    solver_remove(s, (uint64_t)1 << best);
    return true;
}

static bool solve_next(Solver *s)
{
    for (s->part = 0; s->part < s->parts.len; s->part++) {
        const Scalar *part = s->parts.data[s->part];
        if (!test_is_equality(part)) continue;
        Linear sum = {0};
        if (!linear_add(&sum, part->args[0], 1) || !linear_add(&sum, part->args[1], -1)) continue;
        uint64_t atoms = 0;
        for (int i = 0; i < sum.n_atoms; i++)
            atoms |= sum.atom[i]->iters;
        if (solve_rows(s, sum, atoms) || solve_one(s, sum, atoms)) return true;
    }
    return false;
}

int masked_solve(Graph *g, Domain *domain, int n_par, Masked *term, const Scalar **more, int n_more,
                 const Facts *facts)
{
    if (!term->test || domain->n == n_par) return 0;
    Arena *scratch = arena_new();
    Solver s = {.g = g,
                .domain = domain,
                .n_par = n_par,
                .facts = facts,
                .term = term,
                .more = more,
                .n_more = n_more,
                .scratch = scratch,
                .parts = test_parts(scratch, term->test)};
    int before = domain->n;
    while (solve_next(&s))
        ;
    if (domain->n != before) {
        term->test = NULL;
        for (int i = 0; i < s.parts.len; i++)
            term->test = test_and(g, domain, term->test, s.parts.data[i]);
    }
    arena_free(scratch);
    return before - domain->n;
}

/* --- sums ------------------------------------------------------------------------------------ */

/* Divides the test into what does not depend on the iterators of the mask and the rest. All stays
 * in the rest where value or tests could not be evaluated without it. */
static void test_hoist(Graph *g, const Domain *domain, const Scalar *test, const Scalar *value,
                       uint64_t mask, const Scalar **front, const Scalar **rest)
{
    *front = *rest = NULL;
    if (!test) return;
    Arena *scratch = arena_new();
    Scalars parts = test_parts(scratch, test);
    bool safe = loads_proven(domain, value);
    for (int i = 0; i < parts.len; i++)
        safe = safe && (!(parts.data[i]->iters & mask) || loads_proven(domain, parts.data[i]));
    if (!(test->iters & mask) && safe) {
        *front = test;
    } else if (!safe) {
        *rest = test;
    } else {
        for (int i = 0; i < parts.len; i++) {
            const Scalar *part = parts.data[i];
            bool out = !(part->iters & mask) && (!*rest || loads_proven(domain, part));
            if (out)
                *front = test_and(g, domain, *front, part);
            else
                *rest = test_and(g, domain, *rest, part);
        }
    }
    arena_free(scratch);
}

/* Takes out reducing iterators of fixed extent on which nothing depends: that many times the value.
 */
static void sum_constant(Graph *g, Domain *domain, int n_par, Masked *term)
{
    uint64_t used = term->value->iters | (term->test ? term->test->iters : 0), gone = 0;
    for (int i = 0; i < domain->n; i++)
        if (domain->iters[i].size) used |= domain->iters[i].size->iters;
    double times = 1;
    for (int i = n_par; i < domain->n; i++)
        if (!(used >> i & 1) && !domain->iters[i].size && domain->iters[i].max > 0) {
            gone |= (uint64_t)1 << i;
            times *= (double)domain->iters[i].max;
        }
    if (!gone) return;
    const Scalar *factor = scalar_const(g, term->value->type, times);
    term->value = scalar_op2(g, OP_MUL, term->value, factor);
    Solver s = {.g = g, .domain = domain, .n_par = n_par, .term = term, .scratch = arena_new()};
    if (term->test) s.parts = test_parts(s.scratch, term->test);
    solver_remove(&s, gone);
    term->test = NULL;
    for (int i = 0; i < s.parts.len; i++)
        term->test = test_and(g, domain, term->test, s.parts.data[i]);
    arena_free(s.scratch);
}

Masked masked_sum(Graph *g, const Domain *domain, int n_par, Masked term, const Facts *facts,
                  Span span, bool *guarded, bool *solved)
{
    Domain d = *domain;
    *guarded = *solved = false;
    term = masked_split(g, &d, term);
    if (!term.value) return term;
    *solved = masked_solve(g, &d, n_par, &term, NULL, 0, facts) > 0;
    term = masked_split(g, &d, term);
    if (!term.value) return term;
    if (d.n > n_par) sum_constant(g, &d, n_par, &term);
    if (d.n == n_par) return term;
    uint64_t mask = 0;
    for (int i = n_par; i < d.n; i++)
        mask |= (uint64_t)1 << i;
    const Scalar *front, *rest;
    test_hoist(g, &d, term.test, term.value, mask, &front, &rest);
    *guarded = rest != NULL;
    return (Masked){front, reduce_load(g, REDUCE_SUM, &d, n_par, term.value, rest, span)};
}
