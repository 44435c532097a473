/* memory.c -- how much memory a program takes: as its compiler planned it, and as it turned out.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    size_t offset; /* in NndMemory */
} memory_parts[] = {
    {"parameters", offsetof(NndMemory, parameters)}, {"states", offsetof(NndMemory, states)},
    {"optimizers", offsetof(NndMemory, optimizers)}, {"work", offsetof(NndMemory, work)},
    {"results", offsetof(NndMemory, results)},       {"batch", offsetof(NndMemory, batch)},
    {"data", offsetof(NndMemory, data)},
};
enum { MEMORY_PARTS = sizeof memory_parts / sizeof *memory_parts };

static int64_t memory_part(const NndMemory *memory, int part)
{
    int64_t bytes;
    memcpy(&bytes, (const char *)memory + memory_parts[part].offset, sizeof bytes);
    return bytes;
}

int64_t nnd_memory_total(const NndMemory *memory)
{
    int64_t total = 0;
    for (int i = 0; i < MEMORY_PARTS; i++)
        total += memory_part(memory, i);
    return total;
}

const char *nnd_bytes_text(char *text, size_t size, int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double number = (double)bytes;
    int unit = 0;
    for (; number >= 1024 && unit < 4; unit++)
        number /= 1024;
    snprintf(text, size, unit ? "%.1f %s" : "%.0f %s", number, units[unit]);
    return text;
}

void nnd_memory_text(char *text, size_t size, const NndMemory *memory)
{
    char bytes[40];
    int shown = 0;
    int at = snprintf(text, size, "%s", nnd_bytes_text(bytes, sizeof bytes, nnd_memory_total(memory)));
    for (int i = 0; i < MEMORY_PARTS && at >= 0 && (size_t)at < size; i++)
        if (memory_part(memory, i) > 0)
            at += snprintf(text + at, size - (size_t)at, "%s %s %s", shown++ ? "," : ":", memory_parts[i].name,
                           nnd_bytes_text(bytes, sizeof bytes, memory_part(memory, i)));
}

/* Of this program: what started it may have taken more, which getrusage() would count. */
int64_t nnd_memory_peak(void)
{
    char line[200];
    long long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %lld", &kib) == 1) break;
    if (status != NULL) fclose(status);
    if (kib > 0) return kib * 1024;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#ifdef __linux__
    return (int64_t)usage.ru_maxrss * 1024;
#else
    return (int64_t)usage.ru_maxrss;
#endif
}

void nnd_memory_print(const NndMemory *memory, FILE *out)
{
    char peak[40], planned[300];
    if (nnd_memory_total(memory) == 0) return; /* the evaluator, which plans nothing */
    nnd_memory_text(planned, sizeof planned, memory);
    fprintf(out, "memory: %s at most; planned %s\n", nnd_bytes_text(peak, sizeof peak, nnd_memory_peak()), planned);
}

void nnd_memory_json(const NndMemory *memory, FILE *out)
{
    fprintf(out, "{");
    for (int i = 0; i < MEMORY_PARTS; i++)
        fprintf(out, "\"%s\": %lld, ", memory_parts[i].name, (long long)memory_part(memory, i));
    fprintf(out, "\"total\": %lld, \"peak\": %lld}", (long long)nnd_memory_total(memory), (long long)nnd_memory_peak());
}
