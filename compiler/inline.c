/* inline.c -- elementwise work moves into what reads it.
 *
 * A map (a comprehension without reduction) that is read once per element, or that is cheap and read only a few
 * times, is written into its readers' bodies: it is never stored. Work that a reduction would repeat for every
 * output point, or a loop at every step, stays a tensor of its own (a matrix product reads its operands many
 * times), and so do rows picked by data that a reduction reads again and again: looked up once, they are a matrix.
 * What a subscript may leave stays, too: there the map must not be evaluated. Work that is needed only where a
 * condition holds does not move to where it would be done always. Readers are looked at first, so that
 * how often a map is evaluated is known through the readers that are themselves moved. */
#include "kernel.h"
#include "simplify.h"

#include <assert.h>

enum { CHEAP = 3, FEW = 4, LITTLE = 1000 /* operations */ };

/* How a node is read by what stays a tensor, through what is moved. */
typedef struct Reading {
    double reads;     /* loads of it, in all */
    bool repeated;    /* by a reduction that reads an element many times */
    bool fixed;       /* by something that needs it stored */
    bool skipped;     /* a reader's place is in use where the node is not needed */
    bool moved;       /* decided: written into its readers */
    const When *place; /* what holds wherever it is evaluated, if it is moved; NULL: not read yet */
} Reading;

typedef struct Inline {
    Lowered *l;
    Arena *scratch;
    Map readings; /* from Node to Reading */
    Demand *demand;
} Inline;

static Reading *reading_of(Inline *in, const Node *node)
{
    Reading *r = map_get(&in->readings, node);
    if (!r) {
        r = NEW(in->scratch, Reading);
        map_put(&in->readings, node, r);
    }
    return r;
}

/* --- what a body costs ------------------------------------------------------------------------------------ */

static void cost_visit(void *data, const Scalar *s)
{
    int *cost = data;
    bool subscript = s->type == TYPE_INT && s->kind == SCALAR_OP && s->iters;
    if (s->kind == SCALAR_OP && !subscript) *cost += op_cost(s->op);
    if (s->kind == SCALAR_DRAW) *cost += COST_HEAVY;
}

static int body_cost(const Scalar *body)
{
    int cost = 0;
    scalar_visit(body, cost_visit, &cost);
    return cost;
}

static double points_of(const Node *node)
{
    double points = 1;
    for (int i = 0; i < node->n_iters; i++)
        points *= (double)node->iters[i].max;
    return points;
}

/* --- who reads what ----------------------------------------------------------------------------------------- */

typedef struct Reader {
    Inline *in;
    const Node *node;
} Reader;

/* Whether the map may be evaluated wherever the load reads it. */
static bool load_allows(const Scalar *load, const Node *reader)
{
    if (load->outside) return false;
    for (int k = 0; k < load->n_args; k++)
        if (!load_is_safe(load, k, reader->iters, reader->n_iters)) return false;
    return true;
}

/* Notes the place of a reader, which a node would be evaluated at. */
static void place_note(Inline *in, Reading *r, const Node *node, const When *place)
{
    r->place = r->place ? when_common(in->demand, r->place, place) : place;
    if (!when_within(demand_when(in->demand, node), place)) r->skipped = true;
}

static void load_note(void *data, const Scalar *s)
{
    Reader *reader = data;
    if (s->kind != SCALAR_LOAD) return;
    const Node *node = reader->node;
    Reading *r = reading_of(reader->in, s->node), *own = reading_of(reader->in, node);
    place_note(reader->in, r, s->node, own->moved ? own->place : demand_when(reader->in->demand, node));
    if (!load_allows(s, node)) r->fixed = true;
    double again = loops_trips(node->free, s->node->free);
    if (own->moved) {
        r->reads += own->reads * again;
        r->repeated = r->repeated || own->repeated;
        return;
    }
    double points = points_of(node) * again, elements = (double)node_max_elements(s->node);
    r->reads += points;
    if (node->reduce != REDUCE_NONE && points > 1.5 * elements) r->repeated = true;
}

static void stored_note(void *data, const Scalar *s)
{
    Inline *in = data;
    if (s->kind == SCALAR_LOAD) reading_of(in, s->node)->fixed = true;
}

static void extents_note(Inline *in, const Extent *extents, int n)
{
    for (int i = 0; i < n; i++)
        if (extents[i].size) scalar_visit(extents[i].size, stored_note, in);
}

static void readers_note(Inline *in, const Node *node)
{
    Reader reader = {in, node};
    extents_note(in, node->shape, node->rank);
    extents_note(in, node->iters, node->n_iters);
    if (node->body) scalar_visit(node->body, load_note, &reader);
    if (node->guard) scalar_visit(node->guard, load_note, &reader);
    for (int k = 0; node->position && k < node->rank; k++)
        scalar_visit(node->position[k], stored_note, in);
    if (node->arg) reading_of(in, node->arg)->fixed = true;
    if (node->value) reading_of(in, node->value)->fixed = true;
    for (int k = 0; k < node->n_carries; k++) {
        reading_of(in, node->carries[k].init)->fixed = true;
        reading_of(in, node->carries[k].next)->fixed = true;
    }
    for (int k = 0; k < node->n_pieces; k++)
        reading_of(in, node->pieces[k].part)->fixed = true;
}

static void index_visit(void *data, const Scalar *s)
{
    if (s->kind == SCALAR_LOAD && s->iters) *(bool *)data = true;
}

static void pick_visit(void *data, const Scalar *s)
{
    for (int k = 0; s->kind == SCALAR_LOAD && k < s->n_args; k++)
        scalar_visit(s->args[k], index_visit, data);
}

/* Whether positions are looked up in data: a gather. */
static bool picks(const Scalar *body)
{
    bool found = false;
    scalar_visit(body, pick_visit, &found);
    return found;
}

static bool worth_moving(const Node *node, const Reading *r)
{
    if (!node_is_map(node) || r->fixed) return false;
    int cost = body_cost(node->body);
    if (cost == 0 && !(r->repeated && picks(node->body))) return true; /* other subscripts only */
    double elements = (double)node_max_elements(node);
    if (r->repeated || (r->skipped && cost > CHEAP && cost * elements > LITTLE)) return false;
    if (r->reads <= 1.5 * elements) return true;
    return cost <= CHEAP && r->reads <= FEW * elements;
}

/* --- the pass -------------------------------------------------------------------------------------------------- */

static const Scalar *load_replace(void *data, const Scalar *load)
{
    Inline *in = data;
    const Reading *r = map_get(&in->readings, load->node);
    return r && r->moved ? scalar_inline(in->l->g, load) : NULL;
}

/* The body with every load of a moved map written out, again and again. */
static const Scalar *write_out(Inline *in, const Scalar *a)
{
    while (a) {
        const Scalar *next = scalar_replace_loads(in->l->g, a, load_replace, in);
        if (next == a) break;
        a = next;
    }
    return a;
}

static void choice_visit(void *data, const Scalar *s)
{
    if (s->kind == SCALAR_OP && s->op == OP_SELECT) ++*(int *)data;
}

/* The same for a body; choices that come to stand inside others by the same condition are no choices. */
static const Scalar *write_whole(Inline *in, const Scalar *body)
{
    const Scalar *whole = write_out(in, body);
    int choices = 0;
    if (whole != body) scalar_visit(whole, choice_visit, &choices);
    return choices > 1 ? scalar_simplify(in->l->g, whole, in->l->options) : whole;
}

static const Node *node_build(void *data, Rewrite *rewrite, const Node *node)
{
    Inline *in = data;
    if (node->kind != NODE_COMP && node->kind != NODE_SCATTER) return NULL;
    const Reading *r = map_get(&in->readings, node);
    if (r && r->moved) return node; /* nobody reads it any more */
    Graph *g = in->l->g;
    const Scalar *body = rewrite_scalar(rewrite, write_whole(in, node->body));
    const Scalar *guard = rewrite_scalar(rewrite, write_out(in, node->guard));
    const Node *made =
        node->kind == NODE_COMP
            ? graph_comp(g, node->reduce, node->rank, node->n_iters, node->iters, body, guard,
                         node->span)
            : NULL;
    if (!made) {
        const Scalar *position[MAX_RANK];
        for (int k = 0; k < node->rank; k++)
            position[k] = rewrite_scalar(rewrite, node->position[k]);
        made = graph_scatter(g, node->rank, node->shape, position, node->n_iters, node->iters, body,
                             guard, node->span);
    }
    if (node->name) graph_name(made, node->name);
    return made;
}

void pass_inline(Lowered *l)
{
    Arena *scratch = arena_new();
    Inline in = {.l = l, .scratch = scratch, .readings = map_new(scratch)};
    in.demand = entry_demand(l, scratch);
    Nodes nodes = graph_reach(scratch, l->roots, l->n_roots);
    for (int i = 0; i < l->n_roots; i++)
        if (l->roots[i]) reading_of(&in, l->roots[i])->fixed = true;
    for (int i = nodes.len - 1; i >= 0; i--) {
        Reading *r = reading_of(&in, nodes.data[i]);
        r->moved = worth_moving(nodes.data[i], r);
        readers_note(&in, nodes.data[i]);
    }
    graph_rewrite(l->g, l->roots, l->n_roots, node_build, &in);
    arena_free(scratch);
}
