/* clock.c -- the time. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <time.h>

double nnd_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
