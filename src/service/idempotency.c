/* idempotency.c: the table of claims, and the answers to repeats.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/idempotency.h"

#include "service/internal.h"

#include <assert.h>
#include <string.h>

enum { CLAIM_BUCKETS = 256 };

struct idempotency {
    pthread_mutex_t lock;
    struct list buckets[CLAIM_BUCKETS]; /* by the hash's first byte */
};

/* ---- the table ---- */

struct idempotency *idempotency_new(void)
{
    struct idempotency *table = HEAP_NEW(struct idempotency);
    if (table == NULL) {
        return NULL;
    }
    pthread_mutex_init(&table->lock, NULL);
    for (size_t i = 0; i < CLAIM_BUCKETS; i++) {
        list_init(&table->buckets[i]);
    }
    return table;
}

void idempotency_free(struct idempotency *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < CLAIM_BUCKETS; i++) {
        assert(list_is_empty(&table->buckets[i]));
    }
    pthread_mutex_destroy(&table->lock);
    heap_free(table);
}

static bool is_same_key(const struct store_idempotency *a, const struct store_idempotency *b)
{
    return memcmp(a->key_hash, b->key_hash, sizeof(a->key_hash)) == 0 &&
           strcmp(a->api_key_id, b->api_key_id) == 0;
}

static bool check_fingerprint(const struct store_idempotency *first,
                              const struct store_idempotency *again, struct err *err)
{
    return memcmp(first->fingerprint, again->fingerprint, sizeof(first->fingerprint)) == 0 ||
           err_set(err, ERR_IDEMPOTENCY_MISMATCH,
                   "this Idempotency-Key has come with another request");
}

static struct idempotency_claim *find(const struct list *bucket,
                                      const struct store_idempotency *record)
{
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct idempotency_claim *claim = LIST_ENTRY(link, struct idempotency_claim, link);
        if (is_same_key(&claim->record, record)) {
            return claim;
        }
    }
    return NULL;
}

bool idempotency_claim(struct idempotency *table, const struct store_idempotency *record,
                       struct idempotency_claim *claim, uint8_t id[static TEXT_UUID_BYTES],
                       bool *has_id, struct err *err)
{
    struct list *bucket = &table->buckets[record->key_hash[0] % CLAIM_BUCKETS];
    *has_id = false;
    pthread_mutex_lock(&table->lock);
    const struct idempotency_claim *other = find(bucket, record);
    bool ok = other == NULL;
    if (ok) {
        *claim = (struct idempotency_claim){.table = table, .record = *record};
        list_push_back(bucket, &claim->link);
    } else if (check_fingerprint(&other->record, record, err)) {
        *has_id = other->has_request;
        memcpy(id, other->record.request_id, TEXT_UUID_BYTES);
        (void)err_set(err, ERR_IDEMPOTENCY_IN_FLIGHT,
                      "the first request with this Idempotency-Key has not been answered yet");
    }
    pthread_mutex_unlock(&table->lock);
    return ok;
}

void idempotency_name(struct idempotency_claim *claim, const uint8_t id[static TEXT_UUID_BYTES])
{
    if (claim->table != NULL) {
        pthread_mutex_lock(&claim->table->lock);
        memcpy(claim->record.request_id, id, TEXT_UUID_BYTES);
        claim->has_request = true;
        pthread_mutex_unlock(&claim->table->lock);
    }
}

void idempotency_release(struct idempotency_claim *claim)
{
    struct idempotency *table = claim->table;
    if (table != NULL) {
        pthread_mutex_lock(&table->lock);
        list_remove(&claim->link);
        claim->table = NULL;
        pthread_mutex_unlock(&table->lock);
    }
}

/* ---- the request that comes again ---- */

/* Of everything that makes it the same request. */
static void fingerprint_make(const struct api_call *call, uint8_t out[static STORE_HASH_BYTES])
{
    static const uint8_t separator[1] = {0};
    const struct message_request *request = &call->exchange->request;
    struct bytes parts[] = {bytes_of_string(call->route->method), bytes_of(separator, 1),
                            bytes_of_string(call->route->path), bytes_of(separator, 1),
                            request->body};
    crypto_sha256_parts(parts, sizeof(parts) / sizeof(parts[0]), out);
}

/* What the store knows of it, if anything, is the answer. */
static bool admit_known(struct session *session, const struct store_idempotency *record,
                        bool *is_answered, struct err *err)
{
    struct store_idempotency first;
    struct err store_err;
    struct store *store = session->service->parts.store;
    if (store_get_idempotency(store, record->api_key_id, record->key_hash, &first, &store_err)) {
        idempotency_release(&session->claim);
        *is_answered = check_fingerprint(&first, record, err) &&
                       executions_replay(session->call, first.request_id, err);
        return *is_answered;
    }
    if (store_err.code != ERR_NOT_FOUND) {
        *err = store_err;
        return false;
    }
    return true;
}

/* The store is asked before the claim, so that repeats do not get into each other's way, and after
 * it, because the first may have ended in between. */
bool idempotency_admit(struct session *session, bool *is_answered, struct err *err)
{
    struct api_call *call = session->call;
    struct store_idempotency record = {0};
    uint8_t id[TEXT_UUID_BYTES];
    bool found = false;
    bool has_id = false;
    *is_answered = false;
    if (!idempotency_key_read(&call->exchange->request, &found, record.key_hash, err)) {
        return false;
    }
    if (!found) {
        return true;
    }
    memcpy(record.api_key_id, session->owner, sizeof(record.api_key_id));
    fingerprint_make(call, record.fingerprint);
    if (!admit_known(session, &record, is_answered, err) || *is_answered) {
        return *is_answered;
    }
    if (idempotency_claim(session->service->idempotency, &record, &session->claim, id, &has_id,
                          err)) {
        return admit_known(session, &record, is_answered, err);
    }
    *is_answered = has_id && executions_replay(call, id, err);
    return *is_answered;
}
