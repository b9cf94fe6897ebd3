/* peers: how many connections each address has open. Private to net.
 *
 * Entries exist while there are connections, so the table is as small as the connections are few.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_PEERS_H
#define NET_PEERS_H

#include "base/address.h"
#include "base/list.h"

struct peer {
    struct list link; /* in its bucket */
    struct address group;
    uint32_t count;
};

struct peers {
    struct list *buckets;
    uint64_t mask;
    uint64_t seed[2];
};

/* False: no memory. */
bool peers_init(struct peers *peers, uint32_t connections_max) MUST_CHECK;
void peers_release(struct peers *peers); /* must be empty */
/* One connection more of that address's; NULL: no memory. */
struct peer *peers_add(struct peers *peers, const struct address *address);
/* One less; NULL is fine. */
void peers_remove(struct peer *peer);

#endif
