/* signal.c -- Ctrl-C: a flag that the training loop asks for after each step. The flag is the one
 * variable of the runtime that outlives a call: a signal handler has no argument to hang it on.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <signal.h>

static volatile sig_atomic_t signal_stop;

static void signal_handler(int number)
{
    (void)number;
    signal_stop = 1;
}

void nnd_stop_watch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = signal_handler;
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND; /* the second one acts as by default */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool nnd_stop_requested(void)
{
    return signal_stop != 0;
}

void nnd_stop_clear(void)
{
    signal_stop = 0;
}
