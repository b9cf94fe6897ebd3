/* store.h: the index over the log, kept results, and API keys, in SQLite (WAL, synchronous=FULL).
 *
 * The audit log is the truth; what this holds of it can be rebuilt from it. One writer thread
 * inside; any thread may read, one at a time, over a connection that all of them share. Times are
 * wall-clock milliseconds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/text.h"

struct store;

/* Opens or makes PATH (0600); a file of an older version is upgraded. One that is not ours, corrupt
 * or of a newer version: FORMAT, saying what to do. *created tells that the index is empty and has
 * to be rebuilt from the log. */
bool store_open(const char *path, const struct clock *clock, struct store **out, bool *created,
                struct err *err) MUST_CHECK;
void store_close(struct store *store); /* writes what is queued */

/* Keeps answers sealed under that key from now on; NULL: in the clear. Answers that another key
 * sealed are dropped, *dropped is their number; those in the clear stay. For the one process that
 * reads and writes answers, before it does. */
enum { STORE_KEY_BYTES = 32 };
bool store_seal(struct store *store, const uint8_t *key, uint64_t *dropped,
                struct err *err) MUST_CHECK;

struct store_facts {
    uint64_t queued; /* changes that wait for the writer, and what they hold */
    uint64_t queued_bytes;
    const struct histogram *transactions; /* how long each took; valid as long as the store */
};
void store_facts(struct store *store, struct store_facts *out);

/* ---- Executions ---- */

enum { STORE_HASH_BYTES = 32, STORE_KEY_ID_CHARS = 16 };

/* One row per request that was admitted. */
struct store_execution {
    uint8_t request_id[TEXT_UUID_BYTES];
    char api_key_id[STORE_KEY_ID_CHARS + 1]; /* owner; "" if rebuilt from the log */
    char state[20]; /* "EXECUTING", "COMPLETED", "TIMEOUT", … (docs/protocol.md section 1) */
    uint64_t admit_index;
    uint64_t result_index; /* UINT64_MAX: none yet */
    uint8_t request_commitment[STORE_HASH_BYTES];
    uint8_t result_commitment[STORE_HASH_BYTES]; /* zero: none yet */
    int64_t created_ms;
    int64_t started_ms;  /* when a worker first took it; 0: never, or not known */
    int64_t ended_ms;    /* 0: not yet, or not known */
    int64_t expires_ms;  /* of the kept answer */
    struct bytes answer; /* the whole JSON answer as it was sent; empty: none or expired */
    int answer_status;   /* its HTTP status; 0: none */
    size_t kept_bytes;   /* what the answer takes in the file; only told */
};

/* Queues an insert-or-replace (the row is copied); returns at once. done (optional) comes from the
 * writer thread after the commit, in order; false: the database failed, and the row is not there.
 * OVERLOADED when 16,384 changes or 64 MiB wait already. Whatever waits for its own commit
 * (store_set_indexed_size, …) also waits for all that was queued before it. */
bool store_put_execution(struct store *store, const struct store_execution *execution,
                         void (*done)(void *context, bool ok), void *context,
                         struct err *err) MUST_CHECK;
/* NOT_FOUND if there is none; TAMPERED if its answer is sealed and does not open. The answer is
 * copied into the arena, which takes kept_bytes. arena NULL: the row without the answer, which is
 * not even read. */
bool store_get_execution(struct store *store, const uint8_t request_id[static TEXT_UUID_BYTES],
                         struct arena *arena, struct store_execution *out,
                         struct err *err) MUST_CHECK;
/* The next log index that the index has not seen (for rebuilding), and marking it. */
bool store_indexed_size(struct store *store, uint64_t *out, struct err *err) MUST_CHECK;
bool store_set_indexed_size(struct store *store, uint64_t size, struct err *err) MUST_CHECK;
/* Drops answers whose time is over (the rows stay; *dropped is their number), and idempotency
 * records. */
bool store_expire(struct store *store, uint64_t *dropped, struct err *err) MUST_CHECK;

/* ---- Idempotency: which request an Idempotency-Key has stood for ---- */

struct store_idempotency {
    char api_key_id[STORE_KEY_ID_CHARS + 1];
    uint8_t key_hash[STORE_HASH_BYTES];    /* SHA-256 of the client's text */
    uint8_t fingerprint[STORE_HASH_BYTES]; /* of the request that it came with */
    uint8_t request_id[TEXT_UUID_BYTES];
    int64_t expires_ms;
};

/* Queues an insert-or-replace, as store_put_execution does: in one order with it. Of an API key's
 * records only the last `per_api_key_max` are kept. */
bool store_put_idempotency(struct store *store, const struct store_idempotency *record,
                           uint32_t per_api_key_max, void (*done)(void *context, bool ok),
                           void *context, struct err *err) MUST_CHECK;
/* NOT_FOUND if there is none, or its time is over. */
bool store_get_idempotency(struct store *store, const char *api_key_id,
                           const uint8_t key_hash[static STORE_HASH_BYTES],
                           struct store_idempotency *out, struct err *err) MUST_CHECK;

/* ---- API keys: only SHA-256 of the secret is stored ---- */

enum store_scope { STORE_SCOPE_EXECUTE = 1, STORE_SCOPE_METRICS = 2, STORE_SCOPE_ADMIN = 4 };

struct store_api_key {
    char id[STORE_KEY_ID_CHARS + 1]; /* hex */
    char name[65];
    uint32_t scopes; /* of enum store_scope */
    uint8_t secret_hash[STORE_HASH_BYTES];
    int64_t created_ms;
    int64_t expires_ms; /* 0: never */
    int64_t revoked_ms; /* 0: not */
};

/* BUSY if the id is taken. */
bool store_add_api_key(struct store *store, const struct store_api_key *key,
                       struct err *err) MUST_CHECK;
/* NOT_FOUND if there is none. A second time changes nothing. */
bool store_revoke_api_key(struct store *store, const char *id, struct err *err) MUST_CHECK;
/* All of them, oldest first, in the arena. */
bool store_list_api_keys(struct store *store, struct arena *arena, struct store_api_key **out,
                         size_t *count, struct err *err) MUST_CHECK;
/* Rises whenever the set of API keys changes, also by another process (`key revoke` beside a
 * running node). */
bool store_api_keys_version(struct store *store, uint64_t *out, struct err *err) MUST_CHECK;

#endif
