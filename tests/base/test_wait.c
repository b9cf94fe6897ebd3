/* test_wait.c: waiting for a condition until a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "base/wait.h"

#include <criterion/criterion.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;
static bool is_there;

static void setup(void)
{
    wait_init(&condition);
    pthread_mutex_lock(&mutex);
}

static void teardown(void)
{
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&condition);
}

TestSuite(base_wait, .init = setup, .fini = teardown);

Test(base_wait, a_time_that_is_over_is_not_waited_for)
{
    cr_expect_not(wait_until(&condition, &mutex, 0));
    cr_expect_not(wait_until(&condition, &mutex, clock_monotonic_ns(&clock_system)));
}

Test(base_wait, it_ends_at_its_time_and_not_before)
{
    uint64_t until_ns = wait_end_ns(3 * 1000 * 1000);
    while (wait_until(&condition, &mutex, until_ns)) {
    }
    cr_expect_geq(clock_monotonic_ns(&clock_system), until_ns);
}

static void *come(void *context)
{
    (void)context;
    pthread_mutex_lock(&mutex); /* given free by who waits */
    is_there = true;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

Test(base_wait, what_comes_ends_it)
{
    const uint64_t year_ns = UINT64_C(365) * 24 * 3600 * 1000 * 1000 * 1000;
    uint64_t until_ns = wait_end_ns(year_ns);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, come, NULL), 0);
    while (!is_there) {
        cr_assert(wait_until(&condition, &mutex, until_ns));
    }
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&mutex);
}
