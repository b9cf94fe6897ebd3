/* idempotency.c: the records of idempotency keys.
 *
 * They are numbered for each API key, so that the oldest beyond the bound is found without
 * counting. Forgetting one is harmless: the request that comes again names a request key that has
 * been used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include "base/arena.h"
#include "store/writer.h"

#include <assert.h>
#include <string.h>

struct idempotency_put {
    struct store_put put;
    struct store_idempotency record;
    uint32_t per_api_key_max;
};

static bool put_run(const struct database *database, struct store_job *job, bool *own,
                    struct err *err)
{
    (void)own;
    const struct idempotency_put *mine = (const struct idempotency_put *)(void *)job;
    const struct store_idempotency *record = &mine->record;
    sqlite3_stmt *insert = store_database_statement(database, DATABASE_IDEMPOTENCY_PUT);
    (void)sqlite3_bind_text(insert, 1, record->api_key_id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(insert, 2, record->key_hash, STORE_HASH_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_blob(insert, 3, record->fingerprint, STORE_HASH_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_blob(insert, 4, record->request_id, TEXT_UUID_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int64(insert, 5, record->expires_ms);
    if (!store_database_run(database, insert, err)) {
        return false;
    }
    sqlite3_stmt *trim = store_database_statement(database, DATABASE_IDEMPOTENCY_TRIM);
    (void)sqlite3_bind_text(trim, 1, record->api_key_id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(trim, 2, mine->per_api_key_max);
    return store_database_run(database, trim, err);
}

bool store_put_idempotency(struct store *store, const struct store_idempotency *record,
                           uint32_t per_api_key_max, void (*done)(void *context, bool ok),
                           void *context, struct err *err)
{
    static_assert(offsetof(struct idempotency_put, put) == 0, "it is its put");
    struct idempotency_put *mine = HEAP_NEW(struct idempotency_put);
    if (mine == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the store's queue");
    }
    *mine = (struct idempotency_put){
        .put = {.job = {.run = put_run, .size = sizeof(*mine)}, .done = done, .context = context},
        .record = *record,
        .per_api_key_max = per_api_key_max,
    };
    return store_writer_put(store, &mine->put, err);
}

static bool row_read(const struct store *store, sqlite3_stmt *row, struct store_idempotency *out,
                     struct err *err)
{
    out->expires_ms = sqlite3_column_int64(row, 2);
    return (store_column_bytes(row, 0, out->fingerprint, STORE_HASH_BYTES) &&
            store_column_bytes(row, 1, out->request_id, TEXT_UUID_BYTES)) ||
           err_set(err, ERR_FORMAT, "%s holds an idempotency record that it cannot hold",
                   store->path);
}

bool store_get_idempotency(struct store *store, const char *api_key_id,
                           const uint8_t key_hash[static STORE_HASH_BYTES],
                           struct store_idempotency *out, struct err *err)
{
    struct store_idempotency found = {0};
    bool row = false;
    bool ok = false;
    assert(strlen(api_key_id) <= STORE_KEY_ID_CHARS);
    memcpy(found.api_key_id, api_key_id, strlen(api_key_id) + 1);
    memcpy(found.key_hash, key_hash, sizeof(found.key_hash));
    pthread_mutex_lock(&store->read_mutex);
    sqlite3_stmt *get = store_database_statement(&store->read, DATABASE_IDEMPOTENCY_GET);
    (void)sqlite3_bind_text(get, 1, api_key_id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(get, 2, key_hash, STORE_HASH_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int64(get, 3, clock_wall_ms(store->clock));
    if (store_database_step(&store->read, get, &row, err)) {
        ok = row ? row_read(store, get, &found, err)
                 : err_set(err, ERR_NOT_FOUND, "there is no such idempotency key");
        (void)sqlite3_reset(get);
    }
    pthread_mutex_unlock(&store->read_mutex);
    if (ok) {
        *out = found;
    }
    return ok;
}
