/* recompute.c -- what there is no room to keep is computed again where it is needed (rematerialisation; as
 * Chen et al. 2016, Training deep nets with sublinear memory cost, but for any program).
 *
 * A buffer that lies idle where too much is in use may give up its place, if the units that wrote it are done
 * again just before its next use. What they read must be there: kept for that long, or done again with them, and
 * then only once for all. Of all that can be done about the place where most memory is in use, the step is
 * taken that brings most bytes below the limit per nanosecond it costs, until all are: so what is cheap and
 * large goes first, and long chains fall into segments, the ends of which are kept. */
#include "recompute.h"

#include <stdlib.h>

enum {
    CHOICES = 24, /* that are looked at in each round, those with most bytes per nanosecond */
    TARGETS = 14, /* below what is in use without */
    CALL = 1000   /* nanoseconds that no unit takes less than */
};

/* What is done again, and what memory is in use then. */
typedef struct Choice {
    int *again; /* by unit: before which it is done again, or -1 */
    double over; /* bytes above the limit, over all steps */
    double cost;
    int64_t most; /* bytes, at the worst step */
    int worst;
} Choice;

typedef struct Step {
    int unit;
    bool again;
    int at; /* the unit at hand, or before which it is done again */
} Step;

/* One buffer, or the one that stands for it when it was done again. */
typedef struct Life {
    int first, last;
} Life;

typedef struct Search {
    Steps *s;
    int64_t limit;
    Step *steps;
    int n_steps;
    int *place; /* of each unit among the steps */
    int *from;  /* of each buffer: the unit from which on it is another */
    Life *lives;    /* of buffers, then of the others in their place */
    int64_t *bytes; /* in use at each step */
} Search;

/* --- what is in use --------------------------------------------------------------------------------------- */

/* Units that are done again before the same one are so in their order. */
static void steps_list(Search *x, const int *again)
{
    int n = x->s->units.len, *place = x->place;
    memset(place, 0, sizeof *place * (size_t)(n + 1));
    for (int u = 0; u < n; u++)
        if (again[u] >= 0) place[again[u] + 1]++;
    for (int u = 0; u < n; u++)
        place[u + 1] += place[u] + 1;
    for (int u = 0; u < n; u++)
        if (again[u] >= 0) x->steps[place[again[u]]++] = (Step){u, true, again[u]};
    for (int u = 0; u < n; u++)
        x->steps[place[u]] = (Step){u, false, u};
    x->n_steps = place[n];
}

/* From which unit on the buffer is the one that is made again, or more than all. */
static int again_from(const Steps *s, const int *again, int buffer)
{
    int from = s->units.len;
    for (int i = 0; i < s->writers[buffer].len; i++) {
        int at = again[s->writers[buffer].data[i]];
        if (at >= 0 && at < from) from = at;
    }
    return from;
}

/* The buffer that a step means. */
static int meant(const Search *x, const Step *step, int buffer)
{
    return buffer + (x->from[buffer] <= step->at ? x->s->n_buffers : 0);
}

static void lives_find(Search *x, const int *again)
{
    int n = 2 * x->s->n_buffers;
    for (int b = 0; b < x->s->n_buffers; b++)
        x->from[b] = again_from(x->s, again, b);
    for (int i = 0; i < n; i++)
        x->lives[i] = (Life){-1, -1};
    for (int t = 0; t < x->n_steps; t++) {
        const Unit *unit = &x->s->units.data[x->steps[t].unit];
        for (int i = 0; i < unit->uses.len; i++) {
            if (!x->s->bytes[unit->uses.data[i].buffer]) continue;
            Life *life = &x->lives[meant(x, &x->steps[t], unit->uses.data[i].buffer)];
            if (life->first < 0) life->first = t;
            life->last = t;
        }
    }
}

/* What results save that take the place of something that ends with the step. */
static int64_t saved(const Search *x, int t)
{
    const Unit *unit = &x->s->units.data[x->steps[t].unit];
    int64_t sum = 0;
    for (int i = 0; i < unit->pairs.len; i++) {
        int from = unit->pairs.data[i].from, to = unit->pairs.data[i].to;
        if (x->lives[meant(x, &x->steps[t], from)].last != t) continue;
        if (x->lives[meant(x, &x->steps[t], to)].first != t) continue;
        bool taken = false;
        for (int k = 0; k < i; k++)
            taken = taken || unit->pairs.data[k].from == from || unit->pairs.data[k].to == to;
        if (!taken) sum += x->s->bytes[from];
    }
    return sum;
}

static void choice_measure(Search *x, Choice *c)
{
    steps_list(x, c->again);
    lives_find(x, c->again);
    int64_t *bytes = x->bytes, live = 0;
    memset(bytes, 0, sizeof *bytes * (size_t)(x->n_steps + 1));
    for (int i = 0; i < 2 * x->s->n_buffers; i++) {
        int64_t size = x->s->bytes[i % x->s->n_buffers];
        if (x->lives[i].first < 0) continue;
        bytes[x->lives[i].first] += size;
        bytes[x->lives[i].last + 1] -= size;
    }
    c->over = c->cost = 0;
    c->most = c->worst = 0;
    for (int t = 0; t < x->n_steps; t++) {
        const Unit *unit = &x->s->units.data[x->steps[t].unit];
        live += bytes[t];
        int64_t here = live + unit->inside - saved(x, t);
        if (here > x->limit) c->over += (double)(here - x->limit);
        if (x->steps[t].again) c->cost += unit->cost + CALL;
        if (here <= c->most) continue;
        c->most = here;
        c->worst = t;
    }
}

/* --- doing a unit again ----------------------------------------------------------------------------------- */

typedef struct Again {
    const Steps *s;
    int *again;
    bool deep; /* what is read is done again rather than kept longer */
} Again;

static bool unit_before(Again *a, int unit, int at);

/* Whether something else than the unit writes the buffer before `at` and after it. */
static bool changes(const Again *a, int buffer, int unit, int at)
{
    const Numbers *writers = &a->s->writers[buffer];
    for (int i = 0; i < writers->len; i++)
        if (writers->data[i] > unit && writers->data[i] < at) return true;
    return false;
}

/* Whether a use from `at` on needs the buffer anyway. */
static bool is_there(const Again *a, int buffer, int at)
{
    for (int u = at; u < a->s->units.len; u++)
        for (int i = 0; i < a->s->units.data[u].uses.len; i++)
            if (a->s->units.data[u].uses.data[i].buffer == buffer) return true;
    return false;
}

/* All that wrote the buffer before. */
static bool writers_before(Again *a, int buffer, int at)
{
    const Numbers *writers = &a->s->writers[buffer];
    for (int i = 0; i < writers->len; i++)
        if (writers->data[i] < at && !unit_before(a, writers->data[i], at)) return false;
    return true;
}

/* The buffer as the unit read it. */
static bool read_before(Again *a, int buffer, int unit, int at)
{
    if (changes(a, buffer, unit, at)) return false;
    if (!a->s->bytes[buffer]) return true; /* kept anyway */
    int from = again_from(a->s, a->again, buffer);
    if (from <= at) return true;
    if (from < a->s->units.len) return writers_before(a, buffer, at);
    if (!a->deep || is_there(a, buffer, at)) return true;
    int *before = malloc(sizeof *before * (size_t)a->s->units.len);
    if (!before) die("no memory");
    memcpy(before, a->again, sizeof *before * (size_t)a->s->units.len);
    if (!writers_before(a, buffer, at)) memcpy(a->again, before, sizeof *before * (size_t)a->s->units.len);
    free(before);
    return true;
}

/* The unit is done again before unit `at`, or earlier; false if that cannot be. */
static bool unit_before(Again *a, int unit, int at)
{
    const Unit *u = &a->s->units.data[unit];
    if (a->again[unit] >= 0 && a->again[unit] <= at) return true;
    if (!u->repeatable || unit >= at) return false;
    a->again[unit] = at;
    for (int i = 0; i < u->uses.len; i++) {
        const UnitUse *use = &u->uses.data[i];
        bool work = a->s->bytes[use->buffer] > 0;
        if (use->written && work && !writers_before(a, use->buffer, at)) return false;
        if (use->read && !(use->written && work) && !read_before(a, use->buffer, unit, at)) return false;
    }
    return true;
}

/* Whether what is done again fits together: before the buffer is another one everything that wrote it is done
 * again, and nothing is that writes it later. */
static bool is_whole(const Steps *s, const int *again)
{
    for (int b = 0; b < s->n_buffers; b++) {
        int from = s->bytes[b] ? again_from(s, again, b) : s->units.len;
        for (int i = 0; from < s->units.len && i < s->writers[b].len; i++) {
            int writer = s->writers[b].data[i];
            if (again[writer] != (writer < from ? from : -1)) return false;
        }
    }
    return true;
}

/* --- choosing --------------------------------------------------------------------------------------------- */

/* A buffer that is idle at the worst step, and the unit that uses it next. */
typedef struct Idle {
    int buffer, next;
    double worth; /* bytes per nanosecond */
} Idle;
typedef VEC(Idle) Idles;

static int more_worth(const void *a, const void *b)
{
    const Idle *x = a, *y = b;
    if (x->worth != y->worth) return x->worth > y->worth ? -1 : 1;
    return x->buffer - y->buffer;
}

/* Whether a step uses the buffer as it was first made. */
static bool step_uses(const Search *x, int t, int buffer)
{
    const Unit *unit = &x->s->units.data[x->steps[t].unit];
    for (int i = 0; i < unit->uses.len; i++)
        if (unit->uses.data[i].buffer == buffer) return meant(x, &x->steps[t], buffer) == buffer;
    return false;
}

static Idles idles_at(const Search *x, int worst)
{
    const Steps *s = x->s;
    Idles idles = {0};
    for (int b = 0; b < s->n_buffers; b++) {
        if (!s->bytes[b] || x->lives[b].first >= worst || x->lives[b].last <= worst) continue;
        if (step_uses(x, worst, b)) continue;
        int next = worst + 1;
        while (!step_uses(x, next, b))
            next++;
        double cost = CALL;
        for (int i = 0; i < s->writers[b].len; i++)
            if (s->writers[b].data[i] < x->steps[next].at) cost += s->units.data[s->writers[b].data[i]].cost;
        Idle idle = {b, x->steps[next].at, (double)s->bytes[b] / cost};
        vec_push(s->scratch, &idles, idle);
    }
    if (idles.len) qsort(idles.data, (size_t)idles.len, sizeof *idles.data, more_worth);
    return idles;
}

/* What has been chosen with one buffer more done again, if it brings anything: bytes per nanosecond, or 0. */
static double idle_try(Search *x, const Choice *now, const Idle *idle, bool deep, Choice *tried)
{
    memcpy(tried->again, now->again, sizeof *tried->again * (size_t)x->s->units.len);
    Again a = {x->s, tried->again, deep};
    if (!writers_before(&a, idle->buffer, idle->next) || !is_whole(x->s, tried->again)) return 0;
    choice_measure(x, tried);
    if (tried->over >= now->over) return 0;
    double more = tried->cost - now->cost;
    return (now->over - tried->over) / (more > CALL ? more : CALL);
}

static Choice choice_new(Search *x)
{
    Choice c = {.again = NEW_ARRAY(x->s->scratch, int, x->s->units.len + 1)};
    for (int u = 0; u < x->s->units.len; u++)
        c.again[u] = -1;
    return c;
}

static void choice_swap(Choice *a, Choice *b)
{
    Choice c = *a;
    *a = *b;
    *b = c;
}

/* Does again what has to be, as far as it goes. */
static Choice choose(Search *x)
{
    Choice now = choice_new(x), best = choice_new(x), tried = choice_new(x);
    for (;;) {
        double worth = 0;
        choice_measure(x, &now);
        if (now.most <= x->limit) return now;
        Idles idles = idles_at(x, now.worst);
        for (int i = 0; i < idles.len && i < CHOICES; i++)
            for (int deep = 0; deep < 2; deep++) {
                double better = idle_try(x, &now, &idles.data[i], deep, &tried);
                if (better <= worth) continue;
                worth = better;
                choice_swap(&best, &tried);
            }
        if (worth <= 0) return now;
        choice_swap(&now, &best);
    }
}

/* --- the pass --------------------------------------------------------------------------------------------- */

/* What keeps the limit, or else the least that can be reached. Where the choice for the limit itself goes
 * astray one for another may not, so the same ones are tried whatever the limit is. */
static Choice choose_least(Search *x)
{
    const int64_t limit = x->limit;
    Choice found = choice_new(x);
    choice_measure(x, &found);
    double target = (double)found.most;
    found = choose(x);
    for (int i = 0; i < TARGETS && found.most > limit; i++) {
        target *= 0.85;
        x->limit = (int64_t)target;
        Choice c = choose(x);
        if (c.most < found.most) found = c;
    }
    return found;
}

static void note_again(Steps *s, const Choice *c)
{
    Lowered *l = s->l;
    for (int u = 0; u < s->units.len; u++) {
        const Unit *unit = &s->units.data[u];
        l->cost += unit->cost;
        if (c->again[u] < 0) continue;
        l->cost_again += unit->cost;
        for (int k = unit->first; k <= unit->last; k++)
            if (l->kernels.data[k]->nodes.len) vec_push(l->arena, &l->again, l->kernels.data[k]->nodes.data[0]);
    }
}

void pass_recompute(Lowered *l)
{
    if (!l->arena_most) return;
    Arena *scratch = arena_new();
    Steps s = steps_of(l, scratch);
    size_t n = (size_t)s.units.len;
    Search x = {.s = &s, .limit = l->arena_most};
    x.steps = NEW_ARRAY(scratch, Step, 2 * n + 1);
    x.place = NEW_ARRAY(scratch, int, n + 1);
    x.from = NEW_ARRAY(scratch, int, (size_t)s.n_buffers + 1);
    x.lives = NEW_ARRAY(scratch, Life, 2 * (size_t)s.n_buffers + 1);
    x.bytes = NEW_ARRAY(scratch, int64_t, 2 * n + 2);
    Choice c = choose_least(&x);
    l->arena_reached = c.most <= l->arena_most;
    note_again(&s, &c);
    steps_apply(&s, c.again);
    arena_free(scratch);
}
