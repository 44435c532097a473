/* early.c -- what is kept between runs is updated as soon as nothing reads its old value any more, by kernels that
 * stand together. Lowering computes new values where what they need is known, and sets them all at the end;
 * apart, behind a loop or far away, these could not become one kernel (fuse.c), and the new value would be
 * a tensor of its own until then.
 *
 * What is computed element by element for updates only moves with them; all of it that hangs together, as the
 * moments of a parameter's optimizer do with the parameter, is one bundle, and becomes part of an earlier kernel
 * only where all of it can. */
#include "kernel.h"

/* A kernel outside of loops, or a whole loop. */
typedef struct Group {
    int first, last;
    Uses uses;
    bool sets; /* what is kept */
    int bundle; /* -1: none */
} Group;
typedef VEC(Group *) Groups;

static bool group_sets(const Group *group)
{
    for (int i = 0; i < group->uses.len; i++)
        if (group->uses.data[i].written && group->uses.data[i].buffer->kind == BUFFER_PERSIST) return true;
    return false;
}

static Groups groups_find(Lowered *l, Arena *scratch)
{
    Groups groups = {0};
    for (int k = 0; k < l->kernels.len; k++) {
        Group *group = NEW(scratch, Group);
        Stmt whole = {.kind = STMT_IF};
        *group = (Group){.first = k, .last = k, .bundle = -1};
        if (l->kernels.data[k]->kind == KERNEL_BEGIN) group->last = kernels_loop_end(l, k);
        for (int i = group->first; i <= group->last; i++) {
            Stmt *all = NEW(scratch, Stmt);
            *all = kernel_stmt(l->kernels.data[i]);
            vec_push(scratch, &whole.body, all);
        }
        k = group->last;
        group->uses = stmt_uses(l, &whole);
        group->sets = group->first == group->last && group_sets(group);
        vec_push(scratch, &groups, group);
    }
    return groups;
}

/* --- bundles ---------------------------------------------------------------------------------------------- */

/* Whether the group computes a tensor element by element, and nothing else. */
static bool is_elementwise(const Lowered *l, const Group *group)
{
    const Kernel *k = l->kernels.data[group->first];
    if (group->first != group->last || k->kind != KERNEL_WORK || k->nodes.len != 1) return false;
    const Buffer *b = buffer_get(l, k->nodes.data[0]);
    return node_is_map(k->nodes.data[0]) && b && b->kind == BUFFER_ARENA && b->elements > 1;
}

static bool group_reads(const Group *group, const Buffer *b)
{
    for (int i = 0; i < group->uses.len; i++)
        if (group->uses.data[i].buffer == b) return true;
    return false;
}

static void bundles_join(const Groups *groups, int from, int to)
{
    for (int i = 0; i < groups->len; i++)
        if (groups->data[i]->bundle == from) groups->data[i]->bundle = to;
}

/* Updates, and what only these need, from the last to the first. */
static void bundles_find(const Lowered *l, const Groups *groups)
{
    for (int i = groups->len - 1; i >= 0; i--) {
        Group *group = groups->data[i];
        if (group->sets) group->bundle = i;
        if (group->sets || !is_elementwise(l, group)) continue;
        const Buffer *made = buffer_get(l, l->kernels.data[group->first]->nodes.data[0]);
        bool only = true, any = false;
        for (int k = i + 1; k < groups->len && only; k++) {
            if (!group_reads(groups->data[k], made)) continue;
            any = true;
            only = groups->data[k]->bundle >= 0;
        }
        if (!only || !any) continue;
        group->bundle = i;
        for (int k = i + 1; k < groups->len; k++)
            if (groups->data[k]->bundle != i && group_reads(groups->data[k], made))
                bundles_join(groups, groups->data[k]->bundle, i);
    }
}

/* --- moving ----------------------------------------------------------------------------------------------- */

/* Whether the groups of the bundle can all stand where its last one does. */
static bool can_gather(const Groups *groups, int bundle, int last)
{
    for (int i = 0; i < last; i++) {
        if (groups->data[i]->bundle != bundle) continue;
        for (int k = i + 1; k < last; k++)
            if (groups->data[k]->bundle != bundle && uses_conflict(&groups->data[i]->uses, &groups->data[k]->uses))
                return false;
    }
    return true;
}

/* Moves what is not of the bundle, from `first` to `last`, in front of what is. */
static void gather(Arena *scratch, Groups *groups, int bundle, int first, int last)
{
    Groups others = {0}, own = {0};
    for (int i = first; i <= last; i++)
        vec_push(scratch, groups->data[i]->bundle == bundle ? &own : &others, groups->data[i]);
    for (int i = 0; i < others.len; i++)
        groups->data[first + i] = others.data[i];
    for (int i = 0; i < own.len; i++)
        groups->data[first + others.len + i] = own.data[i];
}

static void bundle_move(Lowered *l, Arena *scratch, Groups *groups, int bundle)
{
    int first = -1, last = -1;
    Uses uses = {0};
    for (int i = 0; i < groups->len; i++) {
        if (groups->data[i]->bundle != bundle) continue;
        if (first < 0) first = i;
        last = i;
    }
    if (first < 0 || !can_gather(groups, bundle, last)) return;
    gather(scratch, groups, bundle, first, last);
    while (groups->data[first]->bundle != bundle)
        first++;
    for (int i = first; i <= last; i++)
        uses_add(l, &uses, &groups->data[i]->uses);
    int to = first, size = last - first + 1;
    while (to > 0 && !uses_conflict(&groups->data[to - 1]->uses, &uses))
        to--;
    Group **own = arena_copy(scratch, groups->data + first, sizeof *own * (size_t)size);
    memmove(groups->data + to + size, groups->data + to, sizeof *own * (size_t)(first - to));
    memcpy(groups->data + to, own, sizeof *own * (size_t)size);
    for (int i = to; i < to + size && to > 0; i++)
        l->kernels.data[groups->data[i]->first]->after = l->kernels.data[groups->data[to - 1]->last];
}

void pass_early(Lowered *l)
{
    Arena *scratch = arena_new();
    Groups groups = groups_find(l, scratch);
    bundles_find(l, &groups);
    for (int bundle = 0; bundle < groups.len; bundle++)
        bundle_move(l, scratch, &groups, bundle);
    Kernel **kernels = arena_copy(scratch, l->kernels.data, sizeof *kernels * (size_t)l->kernels.len);
    l->kernels.len = 0;
    for (int i = 0; i < groups.len; i++)
        for (int k = groups.data[i]->first; k <= groups.data[i]->last; k++)
            vec_push(l->arena, &l->kernels, kernels[k]);
    arena_free(scratch);
}
