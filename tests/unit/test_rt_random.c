/* test_rt_random.c -- Threefry against the published vectors, the distributions of draws, and what
 * is built on them: permutations, splits, batches. */
#include "rt_files.h"

/* Random123 1.14, tests/kat_vectors, threefry2x32 20: counter, key, result. */
static const uint32_t kat[3][6] = {
    {0, 0, 0, 0, 0x6b200159, 0x99ba4efe},
    {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc, 0xbb002be7},
    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xc4923a9c, 0x483df7a0},
};

static void test_vectors(void)
{
    for (int i = 0; i < 3; i++) {
        const uint32_t *k = kat[i];
        NndBits bits = nnd_threefry(k[0], k[1], k[2], k[3]);
        CU_ASSERT_EQUAL(memcmp(bits.word, k + 4, sizeof bits.word), 0);
    }
}

/* (seed, site, run, position) and what a program in Python made of the definition. */
static const struct {
    uint64_t seed, site;
    uint32_t run, position, word[2];
} draws[] = {
    {UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX, {0x5bc59050, 0x26382218}},
    {UINT64_C(0x299f31d0a4093822), UINT64_C(0x0370734413198a2e), 0x85a308d3, 0x243f6a88, {0x0ccdfbf5, 0xab8ffcf1}},
    {0, 0, 0, 0, {0xf84e8312, 0x2fef64f3}},
};

static void test_draws(void)
{
    for (int i = 0; i < 3; i++) {
        NndBits bits = nnd_bits(draws[i].seed, draws[i].site, draws[i].run, draws[i].position);
        CU_ASSERT_EQUAL(memcmp(bits.word, draws[i].word, sizeof draws[i].word), 0);
        float u = nnd_uniform(draws[i].seed, draws[i].site, draws[i].run, draws[i].position);
        CU_ASSERT_EQUAL(u, (float)(draws[i].word[0] >> 8) / 16777216.0f);
    }
}

static void test_uniform(void)
{
    enum { N = 100000 };
    double sum = 0, squares = 0;
    int different = 0, outside = 0;
    for (uint32_t i = 0; i < N; i++) {
        float u = nnd_uniform(7, 42, 3, i);
        double d = nnd_uniform_f64(7, 42, 3, i);
        different += (double)u != d;
        outside += u < 0 || u >= 1;
        sum += d;
        squares += d * d;
    }
    CU_ASSERT_EQUAL(different, 0);
    CU_ASSERT_EQUAL(outside, 0);
    CU_ASSERT(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N)); /* five standard deviations */
    CU_ASSERT(fabs(squares / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N));
}

static void test_normal(void)
{
    enum { N = 200000 };
    double sum = 0, squares = 0, fourth = 0, worst = 0;
    int infinite = 0;
    for (uint32_t i = 0; i < N; i++) {
        float z = nnd_normal(1, UINT64_C(0x123456789abcdef), i, 5);
        double d = nnd_normal_f64(1, UINT64_C(0x123456789abcdef), i, 5);
        infinite += !isfinite(z) || fabsf(z) > 5.8f;
        worst = fmax(worst, fabs((double)z - d));
        sum += d;
        squares += d * d;
        fourth += d * d * d * d;
    }
    CU_ASSERT_EQUAL(infinite, 0);
    CU_ASSERT(worst < 2e-6);
    CU_ASSERT(fabs(sum / N) < 5 * sqrt(1.0 / N));
    CU_ASSERT(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
    CU_ASSERT(fabs(fourth / N - 3) < 5 * sqrt(96.0 / N));
}

static void test_permutation(void)
{
    enum { N = 1000 };
    int64_t a[N], b[N], place[5] = {0};
    bool seen[N] = {false};
    nnd_permutation(9, NND_SITE_SHUFFLE, 0, 0, N, a);
    nnd_permutation(9, NND_SITE_SHUFFLE, 0, 0, N, b);
    CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
    for (int i = 0; i < N; i++)
        seen[a[i]] = true;
    for (int i = 0; i < N; i++)
        CU_ASSERT(seen[i]);
    nnd_permutation(9, NND_SITE_SHUFFLE, 0, 1, N, b);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    nnd_permutation(9, NND_SITE_SHUFFLE, 1, 0, N, b);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    nnd_permutation(10, NND_SITE_SHUFFLE, 0, 0, N, b);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    for (uint32_t epoch = 0; epoch < 5000; epoch++) { /* where 0 of five lands: evenly */
        nnd_permutation(1, NND_SITE_SHUFFLE, 0, epoch, 5, b);
        for (int i = 0; i < 5; i++)
            place[i] += b[i] == 0;
    }
    for (int i = 0; i < 5; i++)
        CU_ASSERT(llabs(place[i] - 1000) < 150);
}

static void test_split(void)
{
    const double fractions[] = {0.8, 0.1, 0.1}, part[] = {0.25, 0.5}, over[] = {0.8, 0.3},
                 negative[] = {-0.1, 1}, tiny[] = {0.001, 0.999};
    int64_t order[103], again[103], start[4];
    bool seen[103] = {false};
    NndError error;
    CU_ASSERT_EQUAL(nnd_split(3, 0, 103, fractions, 3, order, start, &error), 0);
    CU_ASSERT(start[0] == 0 && start[1] == 82 && start[2] == 93 && start[3] == 103);
    for (int i = 0; i < 103; i++)
        seen[order[i]] = true;
    for (int i = 0; i < 103; i++)
        CU_ASSERT(seen[i]);
    CU_ASSERT(order[0] < order[81] && order[82] < order[92]);
    CU_ASSERT_EQUAL(nnd_split(3, 0, 103, fractions, 3, again, start, &error), 0);
    CU_ASSERT_EQUAL(memcmp(order, again, sizeof order), 0);
    CU_ASSERT_EQUAL(nnd_split(4, 0, 103, fractions, 3, again, start, &error), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(order, again, sizeof order), 0);
    CU_ASSERT_EQUAL(nnd_split(3, 0, 100, part, 2, order, start, &error), 0);
    CU_ASSERT(start[1] == 25 && start[2] == 75);
    CU_ASSERT(files_says(nnd_split(3, 0, 9, over, 2, order, start, &error), &error, "1.1"));
    CU_ASSERT(files_says(nnd_split(3, 0, 9, negative, 2, order, start, &error), &error, "-0.1"));
    CU_ASSERT(files_says(nnd_split(3, 0, 9, tiny, 2, order, start, &error), &error, "train"));
}

static void test_gather(void)
{
    enum { ROWS = 5, PICKED = 4 };
    static const int64_t indices[PICKED] = {4, 0, 0, 3};
    static const size_t bytes[] = {1, 3, 4, 8, 12};
    unsigned char from[ROWS * 12], to[PICKED * 12 + 1];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i * 7);
    for (int b = 0; b < 5; b++) {
        memset(to, 255, sizeof to);
        nnd_gather(to, from, bytes[b], indices, PICKED);
        for (size_t i = 0; i < PICKED * bytes[b]; i++)
            CU_ASSERT_EQUAL(to[i], from[(size_t)indices[i / bytes[b]] * bytes[b] + i % bytes[b]]);
        CU_ASSERT_EQUAL(to[PICKED * bytes[b]], 255);
    }
}

static void test_batches(void)
{
    NndBatches batches;
    NndError error;
    int64_t rows[10], first[4];
    const int64_t *indices;
    int count[20] = {0};
    for (int i = 0; i < 10; i++)
        rows[i] = 2 * i;
    CU_ASSERT_EQUAL_FATAL(nnd_batches_open(&batches, 10, rows, 4, 5, 0, true, &error), 0);
    CU_ASSERT_EQUAL(nnd_batches_per_epoch(&batches), 3);
    for (int64_t b = 0; b < 3; b++) {
        int64_t n = nnd_batch(&batches, 2, b, &indices);
        CU_ASSERT_EQUAL(n, b < 2 ? 4 : 2);
        for (int64_t i = 0; i < n; i++)
            count[indices[i]]++;
        if (b == 1) memcpy(first, indices, sizeof first);
    }
    CU_ASSERT_EQUAL(nnd_batch(&batches, 2, 3, &indices), 0);
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(count[i], i % 2 == 0);
    nnd_batches_close(&batches);
    nnd_batches_open(&batches, 10, rows, 4, 5, 0, true, &error); /* resume in the middle */
    CU_ASSERT_EQUAL(nnd_batch(&batches, 2, 1, &indices), 4);
    CU_ASSERT_EQUAL(memcmp(first, indices, sizeof first), 0);
    int64_t wrapped[8];
    nnd_batch_wrapped(&batches, 24, 8, wrapped); /* 6 of epoch 2, then epoch 3 */
    CU_ASSERT_EQUAL(memcmp(first, wrapped, sizeof first), 0);
    nnd_batch(&batches, 3, 0, &indices);
    CU_ASSERT_EQUAL(memcmp(wrapped + 6, indices, 2 * sizeof *indices), 0);
    nnd_batches_close(&batches);
    CU_ASSERT_EQUAL(nnd_batches_open(&batches, 3, NULL, 128, 5, 0, false, &error), 0);
    CU_ASSERT_EQUAL(nnd_batch(&batches, 7, 0, &indices), 3);
    CU_ASSERT(indices[0] == 0 && indices[2] == 2);
    nnd_batches_close(&batches);
    CU_ASSERT(files_says(nnd_batches_open(&batches, 0, NULL, 4, 5, 0, true, &error), &error, "0"));
    CU_ASSERT(
        files_says(nnd_batches_open(&batches, 9, NULL, 0, 5, 0, true, &error), &error, "batch"));
}

static const UnitTest tests[] = {
    {"threefry: published vectors", test_vectors},
    {"draws", test_draws},
    {"uniform", test_uniform},
    {"normal", test_normal},
    {"permutations", test_permutation},
    {"splits", test_split},
    {"batches", test_batches},
    {"gather", test_gather},
};

UNIT_MAIN("runtime: random numbers and batches", tests)
