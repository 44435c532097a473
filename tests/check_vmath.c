/* check_vmath.c -- the largest error of each function of rt/vmath.h over all floats, of those of
 * rt/vmath_f64.h over 2^24 doubles, and of functions of two numbers over 2^28 and 2^24 pairs, in
 * units of the last place (make check-vmath; T="sin exp_f64": only these): minutes of all
 * processors. The exit status is 1 if one is beyond what tests/unit/vmath*_error.h promise. */
#include "vmath_error.h"
/* The floats' first: the doubles' header makes other functions of exp and all. */
#include "vmath_f64_error.h"

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

static bool told(const char *name, double worst, double limit)
{
    printf("%-12s %.3f\n", name, worst);
    fflush(stdout);
    return worst <= limit;
}

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = processors < 1 ? 1 : processors > MAX_THREADS ? MAX_THREADS : (int)processors;
    bool good = true;
    for (int f = 0; f < VMATH_FUNCTIONS; f++) {
        if (!asked(argc, argv, vmath_functions[f].name)) continue;
        good &= told(vmath_functions[f].name, worst_of(f, threads), vmath_functions[f].limit);
    }
    static const struct {
        const char *name;
        double (*worst)(uint64_t n);
        int bits;
        double limit;
    } pairs[] = {{"pow", vmath_worst_pow, 28, VMATH_POW_LIMIT},
                 {"atan2", vmath_worst_atan2, 28, VMATH_ATAN2_LIMIT},
                 {"pow_f64", vmath_f64_worst_pow, 24, VMATH_F64_POW_LIMIT},
                 {"atan2_f64", vmath_f64_worst_atan2, 24, VMATH_F64_ATAN2_LIMIT}};
    for (int f = 0; f < VMATH_F64_FUNCTIONS && VMATH_LONG; f++)
        if (asked(argc, argv, vmath_f64_functions[f].name))
            good &= told(vmath_f64_functions[f].name, vmath_f64_worst(f, UINT64_C(1) << 24),
                         vmath_f64_functions[f].limit);
    for (size_t p = 0; p < (VMATH_LONG ? 4 : 2); p++)
        if (asked(argc, argv, pairs[p].name))
            good &=
                told(pairs[p].name, pairs[p].worst(UINT64_C(1) << pairs[p].bits), pairs[p].limit);
    return !good;
}
