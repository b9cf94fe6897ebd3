/* test_rate_limit.c: buckets to the token and to the nanosecond.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/rate_limit.h"

#include "base/arena.h"

#include <criterion/criterion.h>

static const uint64_t second = 1000000000;

static struct address party(uint32_t number)
{
    struct address out = {{0xfd}};
    for (size_t i = 0; i < 4; i++) {
        out.bytes[4 + i] = (uint8_t)(number >> 8 * i);
    }
    return out;
}

static struct rate_limit *limit_of(uint32_t per_second, uint32_t window_s, uint32_t parties_max)
{
    struct rate_limit_policy policy = {per_second, window_s};
    struct rate_limit *limit = rate_limit_new(&policy, parties_max);
    cr_assert_not_null(limit);
    return limit;
}

static bool take(struct rate_limit *limit, uint32_t number, uint64_t now_ns)
{
    struct rate_limit_state state;
    struct address who = party(number);
    return rate_limit_take(limit, &who, now_ns, &state);
}

Test(service_rate_limit, the_quota_is_taken_to_the_last_and_no_further)
{
    struct rate_limit *limit = limit_of(2, 5, 8);
    struct rate_limit_state state;
    struct address who = party(1);
    cr_expect_eq(rate_limit_quota(limit), 10);
    for (uint64_t left = 10; left > 0; left--) {
        cr_expect(rate_limit_take(limit, &who, 0, &state));
        cr_expect_eq(state.remaining, left - 1);
        cr_expect_eq(state.full_s, (10 - left) / 2 + 1);
        cr_expect_eq(state.retry_s, left == 1);
    }
    cr_expect_not(rate_limit_take(limit, &who, 0, &state));
    cr_expect_eq(state.remaining, 0);
    cr_expect_eq(state.full_s, 5);
    cr_expect_eq(state.retry_s, 1);
    rate_limit_free(limit);
}

Test(service_rate_limit, a_token_is_back_at_its_nanosecond_and_not_before)
{
    struct rate_limit *limit = limit_of(3, 1, 8); /* a third of a second has no end in decimals */
    for (int i = 0; i < 3; i++) {
        cr_expect(take(limit, 1, 5 * second));
    }
    cr_expect_not(take(limit, 1, 5 * second + 333333333));
    cr_expect(take(limit, 1, 5 * second + 333333334));
    cr_expect_not(take(limit, 1, 5 * second + 666666666));
    cr_expect(take(limit, 1, 5 * second + 666666667));
    cr_expect_not(take(limit, 1, 6 * second - 1));
    cr_expect(take(limit, 1, 6 * second));
    rate_limit_free(limit);
}

Test(service_rate_limit, looking_often_wins_and_loses_nothing)
{
    struct rate_limit *limit = limit_of(7, 1, 8);
    uint64_t taken = 0;
    uint64_t step_ns = 999983; /* about a millisecond, and prime */
    uint64_t now_ns = 0;
    for (; now_ns < 100 * second; now_ns += step_ns) {
        taken += take(limit, 1, now_ns);
    }
    cr_expect_eq(taken, 7 + (now_ns - step_ns) * 7 / second);
    rate_limit_free(limit);
}

Test(service_rate_limit, a_bucket_never_holds_more_than_its_quota)
{
    struct rate_limit *limit = limit_of(5, 2, 8);
    uint64_t times[] = {2 * second, 1000 * second, UINT64_MAX / 2, UINT64_MAX};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        for (int taken = 0; taken < 10; taken++) {
            cr_expect(take(limit, 1, times[i]));
        }
        cr_expect_not(take(limit, 1, times[i]));
    }
    rate_limit_free(limit);
}

Test(service_rate_limit, time_that_goes_back_brings_nothing)
{
    struct rate_limit *limit = limit_of(1, 1, 8);
    cr_expect(take(limit, 1, 10 * second));
    cr_expect_not(take(limit, 1, 0));
    rate_limit_free(limit);
}

Test(service_rate_limit, the_largest_numbers_do_not_overflow)
{
    struct rate_limit *limit = limit_of(RATE_LIMIT_PER_SECOND_MAX, RATE_LIMIT_WINDOW_S_MAX, 8);
    struct rate_limit_state state;
    struct address who = party(1);
    uint64_t quota = (uint64_t)RATE_LIMIT_PER_SECOND_MAX * RATE_LIMIT_WINDOW_S_MAX;
    cr_expect(rate_limit_take(limit, &who, UINT64_MAX - second, &state));
    cr_expect_eq(state.remaining, quota - 1);
    cr_expect(rate_limit_take(limit, &who, UINT64_MAX - second, &state));
    cr_expect(rate_limit_take(limit, &who, UINT64_MAX, &state));
    cr_expect_eq(state.remaining, quota - 1);
    cr_expect_eq(state.full_s, 1);
    rate_limit_free(limit);
}

Test(service_rate_limit, parties_have_buckets_of_their_own)
{
    struct rate_limit *limit = limit_of(1, 1, 4096);
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect(take(limit, i, 0));
    }
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect_not(take(limit, i, 0));
    }
    rate_limit_free(limit);
}

/* One set, eight slots: more parties than that. */
Test(service_rate_limit, whoever_has_spent_least_makes_way_and_nobody_is_kept_out)
{
    struct rate_limit *limit = limit_of(2, 1, 8);
    for (uint32_t i = 0; i < 8; i++) {
        cr_expect(take(limit, i, 0));
        cr_expect(i == 3 || take(limit, i, 0));
    }
    cr_expect(take(limit, 100, 0)); /* takes over the slot of 3, which had a token left */
    for (uint32_t i = 0; i < 8; i++) {
        cr_expect(i == 3 || !take(limit, i, 0), "%u is still known", i);
    }
    cr_expect(take(limit, 100, 0), "its second, and its slot stayed");
    for (uint32_t i = 1000; i < 100000; i++) { /* a flood of parties */
        cr_expect(take(limit, i, 0));
    }
    rate_limit_free(limit);
}

Test(service_rate_limit, idle_slots_are_taken_before_others)
{
    struct rate_limit *limit = limit_of(1, 10, 8);
    for (uint32_t i = 0; i < 7; i++) {
        for (int taken = 0; taken < 10; taken++) {
            cr_expect(take(limit, i, second));
        }
    }
    cr_expect(take(limit, 7, 0)); /* a second older: full again */
    cr_expect(take(limit, 8, second));
    for (uint32_t i = 0; i < 7; i++) {
        cr_expect_not(take(limit, i, second));
    }
    rate_limit_free(limit);
}

Test(service_rate_limit, without_memory_there_is_none)
{
    struct rate_limit_policy policy = {1, 1};
    for (size_t i = 1; i <= 2; i++) {
        heap_fail_after(i);
        cr_expect_null(rate_limit_new(&policy, 8));
    }
    heap_fail_after(0);
    rate_limit_free(NULL);
}
