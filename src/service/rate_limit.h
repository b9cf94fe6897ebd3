/* rate_limit.h: token buckets in a table of fixed size. Private to service.
 *
 * A party may do `quota` things at once, and gets per_second of them back every second; the quota
 * is what window_s seconds bring. Everything is counted in whole units of 1/1,000,000,000 of a
 * token, of which a nanosecond brings exactly per_second, so nothing is lost or won by looking
 * often.
 *
 * Parties are never refused for want of room: a set of slots that is full of others gives up the
 * slot that has spent least, and a slot that has spent nothing is an empty one. So a flood of
 * addresses costs no memory, and wins nothing: a new party has its whole quota anyway.
 *
 * Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_RATE_LIMIT_H
#define SERVICE_RATE_LIMIT_H

#include "base/address.h"

enum { RATE_LIMIT_PER_SECOND_MAX = 1000 * 1000, RATE_LIMIT_WINDOW_S_MAX = 3600 };

struct rate_limit_policy {
    uint32_t per_second; /* at least 1 */
    uint32_t window_s;   /* at least 1 */
};

/* A party's bucket after a charge. */
struct rate_limit_state {
    uint64_t remaining; /* whole tokens */
    uint64_t full_s;    /* until it is full again, rounded up */
    uint64_t retry_s;   /* until there is one token, rounded up; 0 if there is one */
};

struct rate_limit;

/* NULL: no memory. */
struct rate_limit *rate_limit_new(const struct rate_limit_policy *policy, uint32_t parties_max);
void rate_limit_free(struct rate_limit *limit); /* NULL is fine */
uint64_t rate_limit_quota(const struct rate_limit *limit);
/* Takes a token of that party's; false, and nothing has changed, if there is none. A party is 16
 * bytes: an address, or the id of an API key. Time does not go back. */
bool rate_limit_take(struct rate_limit *limit, const struct address *party, uint64_t now_ns,
                     struct rate_limit_state *out);

#endif
