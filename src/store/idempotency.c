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

struct put_job {
    struct store_job job;
    struct store_idempotency record;
    uint32_t per_api_key_max;
    void (*done)(void *context, bool ok);
    void *context;
};

static bool put_run(const struct database *database, struct store_job *job, bool *own,
                    struct err *err)
{
    (void)own;
    const struct put_job *put = (const struct put_job *)(void *)job;
    const struct store_idempotency *record = &put->record;
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
    (void)sqlite3_bind_int64(trim, 2, put->per_api_key_max);
    return store_database_run(database, trim, err);
}

static void put_finish(struct store_job *job, const struct err *err)
{
    struct put_job *put = (struct put_job *)(void *)job;
    if (put->done != NULL) {
        put->done(put->context, err == NULL);
    }
    heap_free(put);
}

bool store_put_idempotency(struct store *store, const struct store_idempotency *record,
                           uint32_t per_api_key_max, void (*done)(void *context, bool ok),
                           void *context, struct err *err)
{
    static_assert(offsetof(struct put_job, job) == 0, "a put is its job");
    struct put_job *put = HEAP_NEW(struct put_job);
    if (put == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the store's queue");
    }
    *put = (struct put_job){
        .job = {.run = put_run, .finish = put_finish, .size = sizeof(struct put_job)},
        .record = *record,
        .per_api_key_max = per_api_key_max,
        .done = done,
        .context = context,
    };
    if (!store_writer_queue(store, &put->job, err)) {
        heap_free(put);
        return false;
    }
    return true;
}

/* A blob of exactly that size, as all of ours are. */
static bool column_bytes(sqlite3_stmt *row, int column, uint8_t *out, int size)
{
    const void *blob = sqlite3_column_blob(row, column);
    if (blob == NULL || sqlite3_column_bytes(row, column) != size) {
        return false;
    }
    memcpy(out, blob, (size_t)size);
    return true;
}

static bool row_read(const struct store *store, sqlite3_stmt *row, struct store_idempotency *out,
                     struct err *err)
{
    out->expires_ms = sqlite3_column_int64(row, 2);
    return (column_bytes(row, 0, out->fingerprint, STORE_HASH_BYTES) &&
            column_bytes(row, 1, out->request_id, TEXT_UUID_BYTES)) ||
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
