/* rate_limit.c: see rate_limit.h. A set of slots is two cache lines times two, found by a keyed
 * hash.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/rate_limit.h"

#include "base/arena.h"
#include "crypto/crypto.h"

#include <assert.h>

enum { RATE_LIMIT_WAYS = 8 };

static const uint64_t rate_limit_token = 1000000000; /* units */
static const uint64_t rate_limit_ns_per_s = 1000000000;

static_assert((uint64_t)RATE_LIMIT_PER_SECOND_MAX * RATE_LIMIT_WINDOW_S_MAX <
                  UINT64_MAX / 1000000000 - 1,
              "a full bucket in units");

struct rate_limit_slot {
    struct address party;
    uint64_t spent; /* units, at stamp_ns; 0: the slot is free */
    uint64_t stamp_ns;
};

struct rate_limit {
    struct rate_limit_policy policy;
    uint64_t capacity;  /* units */
    uint64_t window_ns; /* a bucket that was empty is full after it */
    uint64_t seed[2];
    uint64_t set_mask;
    struct rate_limit_slot *slots;
};

struct rate_limit *rate_limit_new(const struct rate_limit_policy *policy, uint32_t parties_max)
{
    assert(policy->per_second > 0 && policy->per_second <= RATE_LIMIT_PER_SECOND_MAX);
    assert(policy->window_s > 0 && policy->window_s <= RATE_LIMIT_WINDOW_S_MAX);
    uint64_t sets = 1;
    while (sets * RATE_LIMIT_WAYS < parties_max) {
        sets *= 2;
    }
    struct rate_limit *limit = HEAP_NEW(struct rate_limit);
    if (limit == NULL) {
        return NULL;
    }
    limit->policy = *policy;
    limit->capacity = policy->per_second * (uint64_t)policy->window_s * rate_limit_token;
    limit->window_ns = policy->window_s * rate_limit_ns_per_s;
    limit->set_mask = sets - 1;
    limit->slots = heap_alloc_array(sets * RATE_LIMIT_WAYS, sizeof(struct rate_limit_slot));
    if (limit->slots == NULL) {
        heap_free(limit);
        return NULL;
    }
    crypto_random(limit->seed, sizeof(limit->seed));
    return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
    if (limit != NULL) {
        heap_free(limit->slots);
        heap_free(limit);
    }
}

uint64_t rate_limit_quota(const struct rate_limit *limit)
{
    return limit->policy.per_second * (uint64_t)limit->policy.window_s;
}

/* What the slot has spent by now. */
static uint64_t slot_spent(const struct rate_limit *limit, const struct rate_limit_slot *slot,
                           uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns > slot->stamp_ns ? now_ns - slot->stamp_ns : 0;
    if (elapsed_ns >= limit->window_ns) {
        return 0;
    }
    uint64_t back = elapsed_ns * limit->policy.per_second;
    return back >= slot->spent ? 0 : slot->spent - back;
}

/* The party's slot, brought to now; one that it takes over has spent nothing. */
static struct rate_limit_slot *find_slot(struct rate_limit *limit, const struct address *party,
                                         uint64_t now_ns)
{
    uint64_t set = address_hash(party, limit->seed) & limit->set_mask;
    struct rate_limit_slot *slots = limit->slots + set * RATE_LIMIT_WAYS;
    struct rate_limit_slot *least = NULL;
    uint64_t least_spent = UINT64_MAX;
    for (size_t i = 0; i < RATE_LIMIT_WAYS; i++) {
        uint64_t spent = slot_spent(limit, &slots[i], now_ns);
        if (address_equal(&slots[i].party, party)) {
            slots[i].spent = spent;
            slots[i].stamp_ns = now_ns;
            return &slots[i];
        }
        if (spent < least_spent) {
            least = &slots[i];
            least_spent = spent;
        }
    }
    *least = (struct rate_limit_slot){.party = *party, .stamp_ns = now_ns};
    return least;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

bool rate_limit_take(struct rate_limit *limit, const struct address *party, uint64_t now_ns,
                     struct rate_limit_state *out)
{
    struct rate_limit_slot *slot = find_slot(limit, party, now_ns);
    uint64_t units_per_s = limit->policy.per_second * rate_limit_ns_per_s;
    bool ok = limit->capacity - slot->spent >= rate_limit_token;
    slot->spent += ok ? rate_limit_token : 0;
    uint64_t left = limit->capacity - slot->spent;
    *out = (struct rate_limit_state){
        .remaining = left / rate_limit_token,
        .full_s = divide_up(slot->spent, units_per_s),
        .retry_s = left >= rate_limit_token ? 0 : divide_up(rate_limit_token - left, units_per_s),
    };
    return ok;
}
