/* auth.h: who is asking: API keys, from the store into memory. Private to service.
 *
 * A secret's text is "wh_<16 hex id>_<43 base64url characters>"; the id finds the row, SHA-256 of
 * the whole text is compared in constant time. Only the hash is ever stored. An unknown id costs
 * the same work as a wrong secret, and both are answered alike.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_AUTH_H
#define SERVICE_AUTH_H

#include "base/clock.h"
#include "base/message.h"
#include "store/store.h"

/* What a caller without a key is called where keys are not demanded. No key has this id. */
#define AUTH_ANONYMOUS "-"

struct identity {
    char key_id[STORE_KEY_ID_CHARS + 1]; /* "" if nobody was authenticated */
    uint32_t scopes;                     /* of enum store_scope */
};

/* Why a presented key was refused. An unknown id and a wrong secret are one reason, as they are one
 * answer: the counts of both together do not tell which ids there are. */
enum auth_failure {
    AUTH_FAILURE_MALFORMED, /* two different keys, or another scheme than Bearer */
    AUTH_FAILURE_UNKNOWN_KEY,
    AUTH_FAILURE_EXPIRED_KEY,
    AUTH_FAILURE_REVOKED_KEY,
    AUTH_FAILURE_MISSING_SCOPE, /* a good key, but not for this */
    AUTH_FAILURE_KINDS,
};

struct auth;

/* Reads all keys. `required` false: a request without a key is AUTH_ANONYMOUS with the scopes
 * EXECUTE and METRICS (a request with a key must still have a good one). */
bool auth_open(struct store *store, const struct clock *clock, bool required, struct auth **out,
               struct err *err) MUST_CHECK;
void auth_close(struct auth *auth);
/* Reads the keys anew if the set has changed. May block on the disk. */
bool auth_reload(struct auth *auth, struct err *err) MUST_CHECK;
/* Does the request bring a key, good or bad? */
bool auth_is_presented(const struct message_request *request);
/* UNAUTHENTICATED: no key, unknown, wrong, expired, revoked, or two different ones. */
bool auth_check(struct auth *auth, const struct message_request *request, struct identity *out,
                struct err *err) MUST_CHECK;
/* Counts a key that was good, but not for what was asked. */
void auth_count_missing_scope(struct auth *auth);
/* Refusals since the start, by reason (requests without a key do not count). */
void auth_failures_by_kind(const struct auth *auth, uint64_t out[static AUTH_FAILURE_KINDS]);
/* Bad secrets among them: all but MISSING_SCOPE. */
uint64_t auth_failures(const struct auth *auth);
/* How many keys are good now. */
uint64_t auth_key_count(struct auth *auth);

#endif
