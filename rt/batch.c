/* batch.c -- which examples come when: permutations, splits, batches. Everything is a function of
 * (seed, set, epoch), so that training resumes at any batch without a stored generator.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>

/* Fisher and Yates (Durstenfeld 1964). The bias of the remainder is below n / 2^64. */
void nnd_permutation(uint64_t seed, uint64_t site, uint32_t set, uint32_t epoch, int64_t n,
                     int64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        NndBits bits = nnd_bits(seed, site + ((uint64_t)set << 8), epoch, (uint32_t)i);
        uint64_t draw = (uint64_t)bits.word[0] << 32 | bits.word[1];
        int64_t j = (int64_t)(draw % (uint64_t)(i + 1)), kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}

static int batch_ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int64_t nnd_split_end(double before, int64_t n)
{
    int64_t end = (int64_t)(before * (double)n + 0.5);
    return end < n ? end : n;
}

int nnd_split(uint64_t seed, uint32_t set, int64_t n, const double *fractions, int parts,
              int64_t *order, int64_t *start, NndError *error)
{
    static const char *const names[] = {"train", "valid", "test"};
    double sum = 0;
    for (int k = 0; k < parts; k++) {
        if (!(fractions[k] >= 0))
            return nnd_error(error,
                             "split: the %s part is %g; a fraction of the examples is wanted",
                             names[k], fractions[k]);
        sum += fractions[k];
    }
    if (sum > 1 + 1e-6)
        return nnd_error(error, "split: the fractions add up to %g; at most 1 can be given away",
                         sum);
    nnd_permutation(seed, NND_SITE_SPLIT, set, 0, n, order);
    double before = 0;
    start[0] = 0;
    for (int k = 0; k < parts; k++) {
        before += fractions[k];
        start[k + 1] = k == parts - 1 && sum > 1 - 1e-6 ? n : nnd_split_end(before, n);
        if (fractions[k] > 0 && start[k + 1] == start[k])
            return nnd_error(error, "split: the %s part (%g of %lld examples) is empty", names[k],
                             fractions[k], (long long)n);
        qsort(order + start[k], (size_t)(start[k + 1] - start[k]), sizeof *order, batch_ascending);
    }
    return 0;
}

int nnd_batches_open(NndBatches *batches, int64_t count, const int64_t *rows, int64_t size,
                     uint64_t seed, uint32_t set, bool shuffle, NndError *error)
{
    *batches = (NndBatches){.count = count,
                            .size = size < count ? size : count,
                            .seed = seed,
                            .set = set,
                            .shuffle = shuffle,
                            .rows = rows,
                            .epoch = -1};
    if (count < 1 || count > UINT32_MAX)
        return nnd_error(error, "a data set of %lld examples cannot be trained on",
                         (long long)count);
    if (size < 1) return nnd_error(error, "batch: %lld; at least 1 is wanted", (long long)size);
    batches->order = nnd_alloc((size_t)count * sizeof *batches->order);
    if (batches->order == NULL) return nnd_error(error, "out of memory for the order of examples");
    return 0;
}

void nnd_batches_close(NndBatches *batches)
{
    nnd_free(batches->order);
    batches->order = NULL;
}

int64_t nnd_batches_per_epoch(const NndBatches *batches)
{
    return (batches->count + batches->size - 1) / batches->size;
}

static void batch_seek(NndBatches *batches, int64_t epoch)
{
    if (batches->epoch >= 0 && (!batches->shuffle || batches->epoch == epoch)) return;
    if (batches->shuffle)
        nnd_permutation(batches->seed, NND_SITE_SHUFFLE, batches->set, (uint32_t)epoch,
                        batches->count, batches->order);
    else
        for (int64_t i = 0; i < batches->count; i++)
            batches->order[i] = i;
    for (int64_t i = 0; batches->rows != NULL && i < batches->count; i++)
        batches->order[i] = batches->rows[batches->order[i]];
    batches->epoch = epoch;
}

int64_t nnd_batch(NndBatches *batches, int64_t epoch, int64_t index, const int64_t **indices)
{
    int64_t first = index * batches->size;
    if (index < 0 || first >= batches->count) return 0;
    batch_seek(batches, epoch);
    *indices = batches->order + first;
    return first + batches->size <= batches->count ? batches->size : batches->count - first;
}

void nnd_batch_wrapped(NndBatches *batches, int64_t first, int64_t n, int64_t *indices)
{
    for (int64_t i = 0; i < n; i++) {
        batch_seek(batches, (first + i) / batches->count);
        indices[i] = batches->order[(first + i) % batches->count];
    }
}

/* With a known number of bytes no call is left, which would take longer than the copy. */
static inline void gather_rows(char *to, const char *from, size_t bytes,
                                  const int64_t *indices, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * bytes, from + (size_t)indices[i] * bytes, bytes);
}

void nnd_gather(void *dst, const void *src, size_t row_bytes, const int64_t *indices, int64_t n)
{
    switch (row_bytes) {
    case 1: gather_rows(dst, src, 1, indices, n); break;
    case 4: gather_rows(dst, src, 4, indices, n); break;
    case 8: gather_rows(dst, src, 8, indices, n); break;
    default: gather_rows(dst, src, row_bytes, indices, n);
    }
}
