/* threads.c -- four threads of a host, each with a context of its own that divides its loops among
 * 1, 2, 3 and 8 threads: the same seed and the same examples give the same bits everywhere. */
#include "wide.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { CALLERS = 4, BATCH = 64, INPUTS = 64, OUTPUTS = 8, STEPS = 60 };

typedef struct Caller {
    int threads, failed;
    float loss[STEPS], out[BATCH * OUTPUTS];
} Caller;

static void *call(void *data)
{
    Caller *caller = (Caller *)data;
    float s[BATCH * INPUTS], wanted[BATCH * OUTPUTS];
    for (int i = 0; i < BATCH * INPUTS; i++)
        s[i] = (float)(i % 17) / 17;
    for (int i = 0; i < BATCH * OUTPUTS; i++)
        wanted[i] = (float)(i % 5);
    wide_ctx *ctx = wide_create(7, caller->threads, NULL, 0);
    if (ctx == NULL) {
        caller->failed = 1;
        return NULL;
    }
    for (int i = 0; i < STEPS && !caller->failed; i++)
        caller->failed = wide_learn_step(ctx, BATCH, s, wanted, &caller->loss[i]);
    if (!caller->failed) caller->failed = wide_Pick(ctx, BATCH, s, caller->out);
    wide_free(ctx);
    return NULL;
}

int main(void)
{
    static Caller callers[CALLERS];
    static const int counts[CALLERS] = {1, 2, 3, 8};
    pthread_t threads[CALLERS];
    int bad = 0;
    for (int i = 0; i < CALLERS; i++) {
        callers[i].threads = counts[i];
        if (pthread_create(&threads[i], NULL, call, &callers[i]) != 0) return 2;
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CALLERS; i++)
        bad += callers[i].failed ||
               memcmp(callers[i].loss, callers[0].loss, sizeof callers[i].loss) ||
               memcmp(callers[i].out, callers[0].out, sizeof callers[i].out);
    printf("%d of %d differ\n", bad, CALLERS);
    return bad != 0;
}
