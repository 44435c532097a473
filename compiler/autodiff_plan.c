/* autodiff_plan.c -- solving the equations of a load's subscripts for its iterators.
 *
 * A load T[a(I)] reads position t where a(I) = t: an equation per axis. Those with a coefficient 1
 * or -1 are solved directly. For t = s*i + d*p + c, with g = gcd(s, d): each residue class rho of t
 * modulo s is an index space of its own, t = s*t' + rho. It has points only if g divides rho - c;
 * then p = p0 + (s/g)*p' with p0 the least solution of d*p0 = rho - c (mod s), and
 * i = t' + (rho - c - d*p0)/s - (d/g)*p'. Where windows do not overlap (d = 1, p < s) and no
 * iterator remains, i and p are quotient and remainder of t - c by s. */
#include "autodiff.h"

#include <assert.h>
#include <stdlib.h>

static void affine_replace(Affine *a, int slot, const Affine *by)
{
    int64_t c = a->coefficient[slot];
    if (!c) return;
    a->coefficient[slot] = 0;
    a->constant += c * by->constant;
    for (int i = 0; i < MAX_SLOTS; i++)
        a->coefficient[i] += c * by->coefficient[i];
}

static void plan_replace(Plan *plan, int slot, Affine by, int rank)
{
    for (int i = 0; i < plan->n_slots; i++)
        affine_replace(&plan->slot[i], slot, &by);
    for (int k = 0; k < rank; k++)
        affine_replace(&plan->equation[k], slot, &by);
    for (int b = 0; b < plan->n_bounds; b++)
        affine_replace(&plan->bounds[b].index, slot, &by);
}

static void plan_bound(Plan *plan, int slot, Affine index, Extent extent)
{
    assert(plan->n_bounds < MAX_SLOTS + MAX_RANK);
    plan->bounds[plan->n_bounds++] = (Bound){slot, index, extent};
}

/* Slot := index, which must lie within the slot's extent. */
static void plan_solve(Plan *plan, int slot, Affine index, int rank)
{
    plan->free &= ~((uint64_t)1 << slot);
    plan_replace(plan, slot, index, rank);
    plan_bound(plan, slot, index, plan->extent[slot]);
}

Plan plan_new(const Gather *w)
{
    const Stage *stage = w->stage;
    Plan plan = {.n_slots = w->n_old + w->rank};
    assert(plan.n_slots <= MAX_SLOTS && "too many iterators");
    for (int i = 0; i < plan.n_slots; i++)
        plan.slot[i].coefficient[i] = 1;
    for (int i = 0; i < w->n_old; i++) {
        plan.extent[i] = stage->domain.iters[i];
        if (i >= w->d->extra) plan.free |= (uint64_t)1 << i;
    }
    for (int k = 0; k < w->rank; k++) {
        plan.affine[k] = affine_of(w->load->args[k], &plan.equation[k]);
        plan.equation[k].coefficient[w->n_old + k] -= 1;
    }
    return plan;
}

/* The free iterators in equation k. */
static int equation_free(const Plan *plan, int k, int *slots)
{
    int n = 0;
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->free >> i & 1 && plan->equation[k].coefficient[i]) slots[n++] = i;
    return n;
}

bool slot_parallel(const Gather *w, int slot)
{
    return slot < w->d->extra + w->stage->node->rank && w->stage->node->kind == NODE_COMP;
}

static void equation_solve(Plan *plan, int k, int slot, int rank)
{
    Affine index = plan->equation[k];
    int64_t sign = index.coefficient[slot];
    assert(sign == 1 || sign == -1);
    index.coefficient[slot] = 0;
    index.constant *= -sign;
    for (int i = 0; i < MAX_SLOTS; i++)
        index.coefficient[i] *= -sign;
    plan->done[k] = true;
    plan_solve(plan, slot, index, rank);
}

/* Whether an equation of two iterators is better solved by residue classes for the other one, which
 * has the larger extent. */
static bool plan_prefers_window(const Gather *w, const Plan *plan, int k, int slot, int other)
{
    return llabs(plan->equation[k].coefficient[other]) > 1 && !w->load->node->shape[k].size &&
           plan->extent[other].max > plan->extent[slot].max;
}

/* First those with a single free
 * iterator, then for parallel ones, then, in equations without parallel ones, for reducing ones. */
bool plan_step(const Gather *w, Plan *plan)
{
    int slots[MAX_SLOTS];
    for (int phase = 0; phase < 3; phase++)
        for (int k = 0; k < w->rank; k++) {
            if (plan->done[k] || !plan->affine[k]) continue;
            int n = equation_free(plan, k, slots), best = -1;
            bool any_parallel = false;
            if (phase == 0 && n != 1) continue;
            for (int j = 0; j < n; j++) {
                bool parallel = slot_parallel(w, slots[j]);
                any_parallel = any_parallel || parallel;
                if (llabs(plan->equation[k].coefficient[slots[j]]) != 1) continue;
                if (phase == 1 && !parallel) continue;
                if (phase == 2 && n == 2 && plan_prefers_window(w, plan, k, slots[j], slots[!j]))
                    continue;
                if (best < 0 || plan->extent[slots[j]].max > plan->extent[best].max)
                    best = slots[j];
            }
            if (best < 0 || (phase == 2 && any_parallel)) continue;
            equation_solve(plan, k, best, w->rank);
            return true;
        }
    return false;
}

/* An equation t = s*i + d*p + c for residue classes: sets the slots of i and p (-1: none). */
bool plan_window(const Gather *w, const Plan *plan, int *equation, int *i, int *p)
{
    int slots[MAX_SLOTS];
    for (int k = 0; k < w->rank; k++) {
        if (plan->done[k] || !plan->affine[k] || plan->split[k]) continue;
        if (w->load->node->shape[k].size) continue;
        int n = equation_free(plan, k, slots);
        if (n < 1 || n > 2) continue;
        bool clean = true;
        for (int j = 0; j < plan->n_slots; j++)
            if (plan->equation[k].coefficient[j] && !(plan->free >> j & 1) && j != w->n_old + k)
                clean = false;
        if (!clean) continue;
        bool second = n == 2 && !slot_parallel(w, slots[0]) && slot_parallel(w, slots[1]);
        bool both = n == 2 && slot_parallel(w, slots[0]) == slot_parallel(w, slots[1]);
        if (both) second = plan->extent[slots[1]].max > plan->extent[slots[0]].max;
        *equation = k;
        *i = slots[second];
        *p = n == 2 ? slots[!second] : -1;
        return true;
    }
    return false;
}

static int64_t modulo(int64_t a, int64_t m)
{
    int64_t r = a % m;
    return r < 0 ? r + m : r;
}

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

/* Restricts the plan to t_k = |s|*t' + rho; false if no point falls there. */
bool plan_residue(const Gather *w, Plan *plan, int k, int i, int p, int64_t rho)
{
    const Affine *e = &plan->equation[k];
    int64_t s = e->coefficient[i], d = p >= 0 ? e->coefficient[p] : 0, size = llabs(s);
    int64_t r = rho - e->constant, divisor = gcd(size, llabs(d)), p0 = 0;
    int t = w->n_old + k;
    if (modulo(r, divisor)) return false;
    while (modulo(r - d * p0, size))
        p0++;
    Affine index = {.constant = (r - d * p0) / size}, scaled = {.constant = p0};
    index.coefficient[t] = 1;
    if (p >= 0) {
        if (p0 >= plan->extent[p].max) return false;
        int64_t step = size / divisor, points = (plan->extent[p].max - 1 - p0) / step + 1;
        index.coefficient[p] = points > 1 ? -(d / divisor) : 0;
        scaled.coefficient[p] = points > 1 ? step : 0;
        if (points == 1) plan->free &= ~((uint64_t)1 << p);
    }
    if (s < 0) {
        index.constant = -index.constant;
        for (int j = 0; j < MAX_SLOTS; j++)
            index.coefficient[j] = -index.coefficient[j];
    }
    Affine place = {.constant = rho};
    place.coefficient[t] = size;
    plan->done[k] = plan->split[k] = true;
    plan->split_extent[k] = (w->load->node->shape[k].max - rho + size - 1) / size;
    /* i's solution is in terms of p' and t': first give p and t their new meaning elsewhere. */
    if (p >= 0) {
        plan_replace(plan, p, scaled, w->rank);
        if (plan->extent[p].size) plan_bound(plan, p, scaled, plan->extent[p]);
        plan->extent[p] = extent_fixed((plan->extent[p].max - 1 - p0) / (size / divisor) + 1);
    }
    plan_replace(plan, t, place, w->rank);
    plan_solve(plan, i, index, w->rank);
    return true;
}

Plan plan_split(const Gather *w, Plan plan, int k, int64_t rho, int64_t size)
{
    Affine place = {.constant = rho};
    place.coefficient[w->n_old + k] = size;
    plan_replace(&plan, w->n_old + k, place, w->rank);
    plan.split[k] = true;
    plan.split_extent[k] = (w->load->node->shape[k].max - rho + size - 1) / size;
    plan.free = 0;
    return plan;
}

/* i and p of a window without overlap are quotient and remainder. */
static bool plan_quotient(const Gather *w, Plan *plan, int k, int i, int p)
{
    const Affine *e = &plan->equation[k];
    int64_t s = e->coefficient[i], constant = e->constant;
    if (p < 0 || e->coefficient[p] != 1 || s < 2 || plan->n_slots + 2 > MAX_SLOTS) return false;
    if (plan->extent[p].size || plan->extent[p].max > s) return false;
    int q = plan->n_slots++, r = plan->n_slots++;
    plan->tiles[q] = (Tile){k, constant, s, false};
    plan->tiles[r] = (Tile){k, constant, s, true};
    Affine quotient = {0}, remainder = {0};
    quotient.coefficient[q] = remainder.coefficient[r] = 1;
    plan->done[k] = true;
    plan_solve(plan, i, quotient, w->rank);
    plan_solve(plan, p, remainder, w->rank);
    return true;
}

bool plan_tile(const Gather *w, Plan *plan)
{
    int k, i, p;
    for (;;) {
        while (plan_step(w, plan))
            ;
        if (!plan_window(w, plan, &k, &i, &p)) return plan->free == 0;
        if (!plan_quotient(w, plan, k, i, p)) return false;
    }
}

bool plan_stuck(const Gather *w, const Plan *plan)
{
    int slots[MAX_SLOTS];
    for (int k = 0; k < w->rank; k++) {
        if (plan->done[k]) continue;
        if (plan->affine[k]) {
            if (equation_free(plan, k, slots)) return true;
            continue;
        }
        for (int s = 0; s < w->n_old; s++) {
            if (!(w->load->args[k]->iters >> s & 1)) continue;
            for (int f = 0; f < plan->n_slots; f++)
                if (plan->free >> f & 1 && plan->slot[s].coefficient[f]) return true;
        }
    }
    return false;
}
