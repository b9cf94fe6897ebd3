/* api_key.c: API keys: who may ask for what, known by the SHA-256 of a secret.
 *
 * Every change raises a number in the same transaction, so that a running node sees what another
 * process did.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include "store/writer.h"

#include <assert.h>
#include <string.h>

/* ---- writing ---- */

struct add_call {
    struct store_call call;
    const struct store_api_key *key;
};

static bool exists(const struct database *database, const char *id, bool *out, struct err *err)
{
    sqlite3_stmt *find = store_database_statement(database, DATABASE_API_KEY_EXISTS);
    (void)sqlite3_bind_text(find, 1, id, -1, SQLITE_STATIC);
    if (!store_database_step(database, find, out, err)) {
        return false;
    }
    (void)sqlite3_reset(find);
    return true;
}

static bool add_run(const struct database *database, struct store_job *job, bool *own,
                    struct err *err)
{
    const struct store_api_key *key = ((const struct add_call *)(void *)job)->key;
    bool there = false;
    if (!exists(database, key->id, &there, err)) {
        return false;
    }
    if (there) {
        *own = true;
        return err_set(err, ERR_BUSY, "there is an API key %s already", key->id);
    }
    sqlite3_stmt *add = store_database_statement(database, DATABASE_API_KEY_ADD);
    (void)sqlite3_bind_text(add, 1, key->id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(add, 2, key->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(add, 3, key->scopes);
    (void)sqlite3_bind_blob(add, 4, key->secret_hash, STORE_HASH_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int64(add, 5, key->created_ms);
    (void)sqlite3_bind_int64(add, 6, key->expires_ms);
    (void)sqlite3_bind_int64(add, 7, key->revoked_ms);
    return store_database_run(database, add, err) &&
           store_meta_increment(database, STORE_META_API_KEYS_VERSION, err);
}

bool store_add_api_key(struct store *store, const struct store_api_key *key, struct err *err)
{
    struct add_call call = {.call.job.run = add_run, .key = key};
    return store_writer_call(store, &call.call, err);
}

struct revoke_call {
    struct store_call call;
    const char *id;
    int64_t now_ms;
};

static bool revoke_run(const struct database *database, struct store_job *job, bool *own,
                       struct err *err)
{
    const struct revoke_call *call = (const struct revoke_call *)(void *)job;
    bool there = false;
    if (!exists(database, call->id, &there, err)) {
        return false;
    }
    if (!there) {
        *own = true;
        return err_set(err, ERR_NOT_FOUND, "there is no API key %.32s", call->id);
    }
    sqlite3_stmt *revoke = store_database_statement(database, DATABASE_API_KEY_REVOKE);
    (void)sqlite3_bind_text(revoke, 1, call->id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(revoke, 2, call->now_ms);
    if (!store_database_run(database, revoke, err)) {
        return false;
    }
    /* Revoking twice changes nothing, and keeps the first time. */
    return sqlite3_changes(database->handle) == 0 ||
           store_meta_increment(database, STORE_META_API_KEYS_VERSION, err);
}

bool store_revoke_api_key(struct store *store, const char *id, struct err *err)
{
    struct revoke_call call = {
        .call.job.run = revoke_run, .id = id, .now_ms = clock_wall_ms(store->clock)};
    return store_writer_call(store, &call.call, err);
}

/* ---- reading ---- */

static bool row_read(const struct store *store, sqlite3_stmt *row, struct store_api_key *out,
                     struct err *err)
{
    if (!store_column_text(row, 0, out->id, sizeof(out->id)) ||
        !store_column_text(row, 1, out->name, sizeof(out->name)) ||
        !store_column_bytes(row, 3, out->secret_hash, STORE_HASH_BYTES)) {
        return err_set(err, ERR_FORMAT, "%s holds an API key that it cannot hold", store->path);
    }
    out->scopes = (uint32_t)sqlite3_column_int64(row, 2);
    out->created_ms = sqlite3_column_int64(row, 4);
    out->expires_ms = sqlite3_column_int64(row, 5);
    out->revoked_ms = sqlite3_column_int64(row, 6);
    return true;
}

/* The number of rows is not known beforehand, so they form a list in the arena first. */
struct key_node {
    struct key_node *next;
    struct store_api_key key;
};

static bool rows_read(const struct store *store, struct arena *arena, struct key_node **first,
                      size_t *count, struct err *err)
{
    sqlite3_stmt *list = store_database_statement(&store->read, DATABASE_API_KEY_LIST);
    struct key_node **tail = first;
    bool row = true;
    bool ok = true;
    for (;;) {
        if (!store_database_step(&store->read, list, &row, err)) {
            return false;
        }
        if (!row) {
            break;
        }
        struct key_node *node = ARENA_NEW(arena, struct key_node);
        if (node == NULL) {
            ok = err_set(err, ERR_NO_MEMORY, "no memory for the API keys");
            break;
        }
        if (!row_read(store, list, &node->key, err)) {
            ok = false;
            break;
        }
        *tail = node;
        tail = &node->next;
        (*count)++;
    }
    (void)sqlite3_reset(list);
    return ok;
}

bool store_list_api_keys(struct store *store, struct arena *arena, struct store_api_key **out,
                         size_t *count, struct err *err)
{
    struct key_node *first = NULL;
    size_t found = 0;
    pthread_mutex_lock(&store->read_mutex);
    bool ok = rows_read(store, arena, &first, &found, err);
    pthread_mutex_unlock(&store->read_mutex);
    if (!ok) {
        return false;
    }
    struct store_api_key *keys = ARENA_ARRAY(arena, struct store_api_key, found);
    if (keys == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the API keys");
    }
    size_t index = 0;
    for (const struct key_node *node = first; node != NULL; node = node->next) {
        keys[index++] = node->key;
    }
    *out = keys;
    *count = found;
    return true;
}
