/* wait.h: conditions that are waited for until a time of the monotonic clock.
 *
 * That waiting is real, whatever clock a test plays elsewhere: times are clock_system's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Of wait_until, and of pthread_cond_wait as well. */
void wait_init(pthread_cond_t *condition);
/* What lies so far ahead. */
uint64_t wait_end_ns(uint64_t ns);
/* Holds the mutex, and again when it returns. False: it is past that time. True: perhaps there is
 * what was waited for, perhaps not, as with every condition. */
bool wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t until_ns);

#endif
