/* infer.c -- times a model of a library that `nndc build --lib` made: MODEL_PROGRAM, whose context is CONTEXT
 * and whose model is RUN(context, n, inputs, outputs). Prints the median of the calls as JSON. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS = 20000 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    long n = atol(argv[1]);
    double start = seconds(), first = 0, end = 0;
    static double times[CALLS];
    char message[200];
    CONTEXT *context = CREATE(1, atoi(argv[2]), message, sizeof message);
    INPUT *in = malloc((size_t)n * INPUTS * sizeof *in);
    float *out = malloc((size_t)n * OUTPUTS * sizeof *out);
    if (!context || !in || !out) return 1;
    for (long i = 0; i < n * INPUTS; i++)
        in[i] = (INPUT)((double)(i * 7919 % 64) / SCALE);
    if (RUN(context, n, in, out)) {
        fprintf(stderr, "%s\n", ERROR(context));
        return 1;
    }
    first = seconds() - start;
    double one = seconds();
    for (int i = 0; i < 3; i++)
        RUN(context, n, in, out);
    one = (seconds() - one) / 3;
    long repeats = one < 2e-5 ? (long)(2e-5 / one) + 1 : 1;
    int calls = 0;
    for (end = seconds() + atof(argv[3]); calls < CALLS && (calls < 3 || seconds() < end); calls++) {
        double begin = seconds();
        for (long i = 0; i < repeats; i++)
            RUN(context, n, in, out);
        times[calls] = (seconds() - begin) / (double)repeats;
    }
    qsort(times, (size_t)calls, sizeof *times, compare);
    printf("{\"ms\": %.7f, \"p10\": %.7f, \"p90\": %.7f, \"calls\": %ld, \"ready_s\": %.6f}\n",
           times[calls / 2] * 1e3, times[calls / 10] * 1e3, times[calls * 9 / 10] * 1e3, calls * repeats,
           first);
    free(in);
    free(out);
    FREE(context);
    return 0;
}
