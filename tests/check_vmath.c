/* check_vmath.c -- the largest error of each function of rt/vmath.h over all floats, and of pow
 * over 2^28 pairs, in units of the last place (make check-vmath; T="sin cos": only these): minutes
 * of all processors. The exit status is 1 if one is beyond what tests/unit/vmath_error.h promises.
 */
#include "vmath_error.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { MAX_THREADS = 64 };

typedef struct Part {
    int function;
    uint64_t first, end;
    double worst;
    pthread_t thread;
} Part;

static void *measure(void *data)
{
    Part *part = data;
    part->worst = vmath_worst(part->function, part->first, part->end, 1);
    return NULL;
}

/* Of all floats, divided among the threads. */
static double worst_of(int function, int threads)
{
    static Part parts[MAX_THREADS];
    const uint64_t all = UINT64_C(1) << 32;
    double most = 0;
    for (int t = 0; t < threads; t++) {
        parts[t] = (Part){.function = function,
                          .first = all * (uint64_t)t / (uint64_t)threads,
                          .end = all * (uint64_t)(t + 1) / (uint64_t)threads};
        if (pthread_create(&parts[t].thread, NULL, measure, &parts[t]) != 0) return INFINITY;
    }
    for (int t = 0; t < threads; t++) {
        pthread_join(parts[t].thread, NULL);
        if (parts[t].worst > most) most = parts[t].worst;
    }
    return most;
}

static bool asked(int argc, char **argv, const char *name)
{
    bool named = argc == 1;
    for (int i = 1; i < argc; i++)
        named = named || strcmp(argv[i], name) == 0;
    return named;
}

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = processors < 1 ? 1 : processors > MAX_THREADS ? MAX_THREADS : (int)processors;
    bool good = true;
    for (int f = 0; f < VMATH_FUNCTIONS; f++) {
        if (!asked(argc, argv, vmath_functions[f].name)) continue;
        double worst = worst_of(f, threads);
        printf("%-8s %.3f\n", vmath_functions[f].name, worst);
        fflush(stdout);
        good = good && worst <= vmath_functions[f].limit;
    }
    if (!asked(argc, argv, "pow")) return !good;
    double worst = vmath_worst_pow(UINT64_C(1) << 28);
    printf("%-8s %.3f\n", "pow", worst);
    return !good || worst > VMATH_POW_LIMIT;
}
