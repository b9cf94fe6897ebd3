/* wait.c: see wait.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/wait.h"

#include "base/clock.h"

#include <time.h>

enum { NS_PER_S = 1000000000 };

void wait_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    /* None of them allocates, and the clock is one that they know: none can fail. */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

uint64_t wait_end_ns(uint64_t ns)
{
    return clock_monotonic_ns(&clock_system) + ns;
}

bool wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};
    return pthread_cond_timedwait(condition, mutex, &until) == 0;
}
