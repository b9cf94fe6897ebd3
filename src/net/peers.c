/* peers.c: see peers.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peers.h"

#include "base/arena.h"

#include <assert.h>
#include <sys/random.h>

enum { PEERS_BUCKETS_MAX = 64 * 1024 };

bool peers_init(struct peers *peers, uint32_t connections_max)
{
    uint64_t count = 1;
    while (count < connections_max && count < PEERS_BUCKETS_MAX) {
        count *= 2;
    }
    peers->buckets = heap_alloc_array(count, sizeof(struct list));
    if (peers->buckets == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        list_init(&peers->buckets[i]);
    }
    peers->mask = count - 1;
    /* Never short for so few bytes (getrandom(2)). */
    return getrandom(peers->seed, sizeof(peers->seed), 0) == (ssize_t)sizeof(peers->seed);
}

void peers_release(struct peers *peers)
{
    for (uint64_t i = 0; peers->buckets != NULL && i <= peers->mask; i++) {
        assert(list_is_empty(&peers->buckets[i]));
    }
    heap_free(peers->buckets);
    peers->buckets = NULL;
}

struct peer *peers_add(struct peers *peers, const struct address *address)
{
    struct address group = address_group(address);
    struct list *bucket = &peers->buckets[address_hash(&group, peers->seed) & peers->mask];
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct peer *peer = LIST_ENTRY(link, struct peer, link);
        if (address_equal(&peer->group, &group)) {
            peer->count++;
            return peer;
        }
    }
    struct peer *peer = HEAP_NEW(struct peer);
    if (peer != NULL) {
        peer->group = group;
        peer->count = 1;
        list_push_back(bucket, &peer->link);
    }
    return peer;
}

void peers_remove(struct peer *peer)
{
    if (peer == NULL) {
        return;
    }
    assert(peer->count > 0);
    if (--peer->count == 0) {
        list_remove(&peer->link);
        heap_free(peer);
    }
}
