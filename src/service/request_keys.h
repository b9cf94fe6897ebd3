/* request_keys.h: the key pairs that wait for their one execution. Private to service.
 *
 * A key is LIVE until it is taken (USED) or its time is over (EXPIRED); then the private key is
 * gone and a tombstone stays behind for a while, at most `tombstones_max` of them, so that a second
 * use is told from an unknown id. The number of live keys is bounded, in total and per owner. A key
 * is seen by its owner only: to everybody else it does not exist.
 *
 * "At most an hour" holds whatever is done to the wall clock: the time is over when either clock
 * says so.
 *
 * Thread-safe. Ids are random and made here, so their first bytes serve as hash.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_REQUEST_KEYS_H
#define SERVICE_REQUEST_KEYS_H

#include "base/clock.h"
#include "service/epochs.h"
#include "store/store.h"

struct request_key {
    uint8_t request_id[TEXT_UUID_BYTES];
    char owner[STORE_KEY_ID_CHARS + 1];
    uint8_t salt[CRYPTO_REQUEST_SALT_BYTES];
    int64_t created_ms;
    int64_t expires_ms;          /* as it is told */
    uint64_t expires_ns;         /* the same moment on the clock that nobody sets */
    struct crypto_p256_key *key; /* owned */
    struct epoch *epoch;         /* owned reference: who signed the binding */
};

void request_key_release(struct request_key *key); /* wipes */

struct request_keys_config {
    uint32_t live_max;
    uint32_t live_per_owner_max;
    uint32_t tombstones_max;
    uint64_t tombstone_ms; /* how long one is kept after its key's time */
    uint64_t lifetime_ms;
    const struct clock *clock;
};

struct request_keys;

struct request_keys *request_keys_new(const struct request_keys_config *config);
void request_keys_free(struct request_keys *keys);

/* Makes a key; what the client may know is copied to *out and to `point` (out->key and out->epoch
 * stay NULL). Takes its own reference to the epoch. RATE_LIMITED when the owner has its
 * share, OVERLOADED when the node is full. */
bool request_keys_issue(struct request_keys *keys, const char *owner, struct epoch *epoch,
                        struct request_key *out, uint8_t point[static CRYPTO_P256_POINT_BYTES],
                        struct err *err) MUST_CHECK;
/* Is there a live key of that id and owner? NOT_FOUND, KEY_EXPIRED, KEY_ALREADY_USED. out may be
 * NULL; it gets the same as from issue. */
bool request_keys_peek(struct request_keys *keys, const uint8_t request_id[static TEXT_UUID_BYTES],
                       const char *owner, struct request_key *out, struct err *err) MUST_CHECK;
/* Hands the key over, once: the caller owns *out from then on. Fails as peek. */
bool request_keys_take(struct request_keys *keys, const uint8_t request_id[static TEXT_UUID_BYTES],
                       const char *owner, struct request_key *out, struct err *err) MUST_CHECK;
/* Gives a key up that has not been used: from then on it is as if expired, as one is that has
 * expired. NOT_FOUND, KEY_ALREADY_USED. out gets the same as from issue. */
bool request_keys_drop(struct request_keys *keys, const uint8_t request_id[static TEXT_UUID_BYTES],
                       const char *owner, struct request_key *out, struct err *err) MUST_CHECK;
/* Undoes a take whose execution never came into being; *key is empty afterwards. */
void request_keys_return(struct request_keys *keys, struct request_key *key);
/* Wipes what has expired, forgets old tombstones. */
void request_keys_expire(struct request_keys *keys);
uint32_t request_keys_live(struct request_keys *keys);

#endif
