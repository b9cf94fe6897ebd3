/* test_histogram: values at, below and above every bound, sums, quantiles, several threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/histogram.h"

#include <criterion/criterion.h>
#include <pthread.h>

static struct histogram_facts facts_of(const struct histogram *histogram)
{
    struct histogram_facts facts;
    histogram_read(histogram, &facts);
    return facts;
}

static void check_bounds(enum histogram_kind kind)
{
    struct histogram histogram;
    histogram_init(&histogram, kind);
    const struct histogram_scale *scale = facts_of(&histogram).scale;
    cr_assert(scale->count > 0 && scale->count <= HISTOGRAM_BOUNDS_MAX);
    for (size_t i = 0; i < scale->count; i++) {
        cr_assert(i == 0 || scale->bounds[i] > scale->bounds[i - 1]);
        histogram_init(&histogram, kind);
        histogram_add(&histogram, scale->bounds[i] - 1);
        histogram_add(&histogram, scale->bounds[i]);
        histogram_add(&histogram, scale->bounds[i] + 1);
        struct histogram_facts facts = facts_of(&histogram);
        cr_expect_eq(facts.cumulated[i], 2);
        cr_expect_eq(facts.cumulated[i + 1], 3);
        cr_expect_eq(facts.count, 3);
        cr_expect_eq(facts.sum, 3 * scale->bounds[i]);
    }
    histogram_add(&histogram, UINT64_MAX / 2);
    struct histogram_facts facts = facts_of(&histogram);
    cr_expect_eq(facts.cumulated[scale->count], facts.count);
}

Test(base_histogram, a_value_counts_below_the_first_bound_that_it_does_not_exceed)
{
    for (int kind = 0; kind < HISTOGRAM_KIND_COUNT; kind++) {
        check_bounds((enum histogram_kind)kind);
    }
}

Test(base_histogram, a_zeroed_one_is_empty_and_of_seconds)
{
    static struct histogram histogram;
    struct histogram_facts facts = facts_of(&histogram);
    cr_expect_eq(facts.count, 0);
    cr_expect_eq(facts.sum, 0);
    cr_expect_eq(facts.scale->bounds[0], 10000);
    cr_expect_eq(facts.scale->bounds[facts.scale->count - 1], 500 * UINT64_C(1000000000));
}

enum { ADDS = 20000, THREADS = 4 };

static void *add_many(void *context)
{
    for (uint64_t i = 0; i < ADDS; i++) {
        histogram_add(context, i);
    }
    return NULL;
}

Test(base_histogram, threads_lose_nothing)
{
    static struct histogram histogram;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, add_many, &histogram), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    struct histogram_facts facts = facts_of(&histogram);
    cr_expect_eq(facts.count, (uint64_t)ADDS * THREADS);
    cr_expect_eq(facts.sum, (uint64_t)ADDS * (ADDS - 1) / 2 * THREADS);
}
