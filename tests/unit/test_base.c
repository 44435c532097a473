/* test_base.c -- arenas that begin in memory of the caller's, and identifiers of which each is given once. */
#include "base.h"
#include "unit.h"

static void test_arena_within(void)
{
    max_align_t room[ARENA_ROOM];
    memset(room, 0xff, sizeof room);
    Arena *arena = arena_within(room, sizeof room);
    bool zero = true;
    unsigned char *parts[100];
    for (int i = 0; i < 100; i++) { /* more than there is room for */
        parts[i] = arena_alloc(arena, 100);
        for (int k = 0; k < 100; k++)
            zero = zero && parts[i][k] == 0;
        memset(parts[i], i, 100);
    }
    CU_ASSERT(zero);
    CU_ASSERT((max_align_t *)(void *)parts[0] >= room &&
              (max_align_t *)(void *)parts[0] < room + ARENA_ROOM);
    bool kept = true;
    for (int i = 0; i < 100; i++)
        kept = kept && parts[i][0] == i && parts[i][99] == i;
    CU_ASSERT(kept);
    arena_free(arena);
}

static void test_names(void)
{
    Context *context = context_new();
    NameSet names = names_new(context, context_arena(context));
    names_take(&names, "batch");
    CU_ASSERT_STRING_EQUAL(names_fresh(&names, "w"), "w");
    CU_ASSERT_STRING_EQUAL(names_fresh(&names, "w_3"), "w_3");
    CU_ASSERT_STRING_EQUAL(names_fresh(&names, "w"), "w_2");
    CU_ASSERT_STRING_EQUAL(names_fresh(&names, "w"), "w_4"); /* w_3 has another */
    CU_ASSERT_STRING_EQUAL(names_fresh(&names, "batch"), "batch_2");
    CU_ASSERT_STRING_EQUAL(names_fresh(&names, "w_2"), "w_2_2");
    context_free(context);
}

static const UnitTest tests[] = {
    {"an arena in memory of the caller's", test_arena_within},
    {"identifiers of which each is given once", test_names},
};

UNIT_MAIN("base", tests)
