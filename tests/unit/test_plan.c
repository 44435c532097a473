/* test_plan.c -- offsets in the arena: no two tensors that live at the same time overlap, and
 * memory is used again. */
#include "kernel.h"
#include "unit.h"

#include <stdlib.h>

static bool disjoint(const Lifetime *t, int n, int64_t size)
{
    for (int i = 0; i < n; i++) {
        if (t[i].offset < 0 || t[i].offset % 64 || t[i].offset + t[i].size > size) return false;
        for (int k = 0; k < i; k++) {
            bool together = t[i].first <= t[k].last && t[k].first <= t[i].last;
            bool apart =
                t[i].offset + t[i].size <= t[k].offset || t[k].offset + t[k].size <= t[i].offset;
            if (together && !apart) return false;
        }
    }
    return true;
}

static void test_chain(void)
{
    Lifetime t[10] = {0};
    for (int i = 0; i < 10; i++)
        t[i] = (Lifetime){.size = 1000, .first = i, .last = i + 1};
    int64_t size = plan_offsets(t, 10);
    CU_ASSERT(disjoint(t, 10, size));
    CU_ASSERT_EQUAL(size, 2 * 1024); /* two places suffice */
    int when;
    CU_ASSERT_EQUAL(plan_bound(t, 10, &when), 2 * 1024); /* at 1, 2, ... */
    CU_ASSERT_EQUAL(when, 1);
}

static void test_gap(void)
{
    Lifetime t[] = {{.size = 640, .first = 0, .last = 9},
                    {.size = 320, .first = 0, .last = 3},
                    {.size = 320, .first = 4, .last = 9},
                    {.size = 64, .first = 2, .last = 5}};
    int64_t size = plan_offsets(t, 4);
    CU_ASSERT(disjoint(t, 4, size));
    CU_ASSERT_EQUAL(size, 640 + 320 + 64);
}

static void test_random(void)
{
    srand(1);
    for (int round = 0; round < 200; round++) {
        Lifetime t[60];
        int n = 1 + rand() % 60, total = 0;
        for (int i = 0; i < n; i++) {
            t[i] = (Lifetime){.size = rand() % 5000, .first = rand() % 40};
            t[i].last = t[i].first + rand() % 8;
            total += (int)t[i].size + 64;
        }
        int64_t size = plan_offsets(t, n);
        CU_ASSERT(disjoint(t, n, size));
        CU_ASSERT(size <= total);
        int when;
        int64_t bound = plan_bound(t, n, &when), live = 0;
        for (int i = 0; i < n; i++)
            if (t[i].first <= when && when <= t[i].last) live += (t[i].size + 63) / 64 * 64;
        CU_ASSERT_EQUAL(bound, live);
        CU_ASSERT(bound <= size);
    }
}

static void test_none(void)
{
    CU_ASSERT_EQUAL(plan_offsets(NULL, 0), 0);
}

static const UnitTest tests[] = {
    {"a chain needs two places", test_chain},
    {"a gap is filled", test_gap},
    {"random lifetimes", test_random},
    {"nothing", test_none},
};

UNIT_MAIN("plan", tests)
