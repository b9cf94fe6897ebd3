/* execution.c: the rows of requests that were admitted, and their kept answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include "base/arena.h"
#include "store/seal.h"
#include "store/writer.h"

#include <assert.h>
#include <string.h>

/* ---- writing ---- */

struct execution_put {
    struct store_put put;
    struct store_execution execution; /* its answer is below */
    enum store_answer_form form;
    uint8_t answer[];
};

static void bind_hash(sqlite3_stmt *statement, int column, const uint8_t *hash)
{
    (void)sqlite3_bind_blob(statement, column, hash, STORE_HASH_BYTES, SQLITE_STATIC);
}

static bool put_run(const struct database *database, struct store_job *job, bool *own,
                    struct err *err)
{
    (void)own;
    const struct execution_put *mine = (const struct execution_put *)(void *)job;
    const struct store_execution *execution = &mine->execution;
    sqlite3_stmt *put = store_database_statement(database, DATABASE_EXECUTION_PUT);
    (void)sqlite3_bind_blob(put, 1, execution->request_id, TEXT_UUID_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_text(put, 2, execution->api_key_id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(put, 3, execution->state, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(put, 4, (sqlite3_int64)execution->admit_index);
    if (execution->result_index != UINT64_MAX) {
        (void)sqlite3_bind_int64(put, 5, (sqlite3_int64)execution->result_index);
    }
    bind_hash(put, 6, execution->request_commitment);
    bind_hash(put, 7, execution->result_commitment);
    (void)sqlite3_bind_int64(put, 8, execution->created_ms);
    (void)sqlite3_bind_int64(put, 9, execution->expires_ms);
    (void)sqlite3_bind_int(put, 10, execution->answer_status);
    if (execution->answer.size > 0) {
        (void)sqlite3_bind_blob64(put, 11, execution->answer.ptr, execution->answer.size,
                                  SQLITE_STATIC);
    }
    (void)sqlite3_bind_int64(put, 12, execution->started_ms);
    (void)sqlite3_bind_int64(put, 13, execution->ended_ms);
    (void)sqlite3_bind_int(put, 14, (int)mine->form);
    return store_database_run(database, put, err);
}

bool store_put_execution(struct store *store, const struct store_execution *execution,
                         void (*done)(void *context, bool ok), void *context, struct err *err)
{
    static_assert(offsetof(struct execution_put, put) == 0, "it is its put");
    bool has_answer = execution->answer.size > 0;
    bool seals = has_answer && store->seals;
    size_t stored = execution->answer.size + (seals ? STORE_SEAL_OVERHEAD_BYTES : 0);
    size_t size = sizeof(struct execution_put) + stored;
    struct execution_put *mine = heap_alloc(size);
    if (mine == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the store's queue");
    }
    mine->put.job.run = put_run;
    mine->put.job.size = size;
    mine->put.job.is_patient = has_answer; /* its client has it already */
    mine->put.done = done;
    mine->put.context = context;
    mine->execution = *execution;
    mine->form = seals ? STORE_ANSWER_SEALED : STORE_ANSWER_PLAIN;
    if (seals && !store_answer_seal(store->answer_key, execution, mine->answer)) {
        heap_free(mine);
        return err_set(err, ERR_LIMIT, "the answer is too large to be sealed");
    }
    if (has_answer && !seals) {
        memcpy(mine->answer, execution->answer.ptr, execution->answer.size);
    }
    mine->execution.answer = bytes_of(mine->answer, stored);
    return store_writer_put(store, &mine->put, err);
}

struct expire_call {
    struct store_call call;
    int64_t now_ms;
    uint64_t dropped;
};

static bool expire_run(const struct database *database, struct store_job *job, bool *own,
                       struct err *err)
{
    (void)own;
    struct expire_call *call = (struct expire_call *)(void *)job;
    sqlite3_stmt *expire = store_database_statement(database, DATABASE_EXECUTION_EXPIRE);
    (void)sqlite3_bind_int64(expire, 1, call->now_ms);
    if (!store_database_run(database, expire, err)) {
        return false;
    }
    call->dropped = (uint64_t)sqlite3_changes64(database->handle);
    expire = store_database_statement(database, DATABASE_IDEMPOTENCY_EXPIRE);
    (void)sqlite3_bind_int64(expire, 1, call->now_ms);
    return store_database_run(database, expire, err);
}

bool store_expire(struct store *store, uint64_t *dropped, struct err *err)
{
    struct expire_call call = {.call.job.run = expire_run, .now_ms = clock_wall_ms(store->clock)};
    if (!store_writer_call(store, &call.call, err)) {
        return false;
    }
    *dropped = call.dropped;
    return true;
}

/* ---- reading ---- */

/* As it was kept: it is opened when nobody waits for the connection any more. */
struct kept_answer {
    uint8_t *ptr; /* in the arena; NULL: none */
    size_t size;
    bool is_sealed;
};

static bool read_answer(const struct store *store, sqlite3_stmt *row, struct arena *arena,
                        struct store_execution *out, struct kept_answer *kept, struct err *err)
{
    kept->is_sealed = sqlite3_column_int(row, 12) == STORE_ANSWER_SEALED;
    if (kept->is_sealed && !store->seals) {
        return true; /* for nobody who has not said store_seal */
    }
    out->answer_status = sqlite3_column_int(row, 8);
    out->kept_bytes = (size_t)sqlite3_column_int64(row, 13);
    if (arena == NULL || out->kept_bytes == 0) {
        return true;
    }
    const void *answer = sqlite3_column_blob(row, 9);
    kept->size = (size_t)sqlite3_column_bytes(row, 9);
    kept->ptr = answer == NULL ? NULL : arena_alloc(arena, kept->size, 1);
    if (kept->ptr == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a kept answer of %zu bytes", kept->size);
    }
    memcpy(kept->ptr, answer, kept->size);
    return true;
}

/* In place. */
static bool open_answer(const struct store *store, const struct kept_answer *kept,
                        struct store_execution *out, struct err *err)
{
    struct bytes answer = bytes_of(kept->ptr, kept->size);
    if (kept->size > 0 && kept->is_sealed) {
        uint8_t *text = kept->ptr + CRYPTO_AEAD_NONCE_BYTES;
        if (kept->size < STORE_SEAL_OVERHEAD_BYTES ||
            !store_answer_open(store->answer_key, out, answer, text)) {
            return err_set(err, ERR_TAMPERED, "%s holds a sealed answer that does not open",
                           store->path);
        }
        answer = bytes_of(text, kept->size - STORE_SEAL_OVERHEAD_BYTES);
    }
    out->answer = answer;
    return true;
}

static bool row_read(const struct store *store, sqlite3_stmt *row, struct arena *arena,
                     struct store_execution *out, struct kept_answer *kept, struct err *err)
{
    if (!store_column_text(row, 0, out->api_key_id, sizeof(out->api_key_id)) ||
        !store_column_text(row, 1, out->state, sizeof(out->state)) ||
        !store_column_bytes(row, 4, out->request_commitment, STORE_HASH_BYTES) ||
        !store_column_bytes(row, 5, out->result_commitment, STORE_HASH_BYTES)) {
        return err_set(err, ERR_FORMAT, "%s holds an execution that it cannot hold", store->path);
    }
    out->admit_index = (uint64_t)sqlite3_column_int64(row, 2);
    out->result_index = sqlite3_column_type(row, 3) == SQLITE_NULL
                            ? UINT64_MAX
                            : (uint64_t)sqlite3_column_int64(row, 3);
    out->created_ms = sqlite3_column_int64(row, 6);
    out->expires_ms = sqlite3_column_int64(row, 7);
    out->started_ms = sqlite3_column_int64(row, 10);
    out->ended_ms = sqlite3_column_int64(row, 11);
    /* What is over is not handed out, whether or not it is dropped already. */
    return out->expires_ms <= clock_wall_ms(store->clock) ||
           read_answer(store, row, arena, out, kept, err);
}

bool store_get_execution(struct store *store, const uint8_t request_id[static TEXT_UUID_BYTES],
                         struct arena *arena, struct store_execution *out, struct err *err)
{
    struct store_execution found = {0};
    struct kept_answer kept = {0};
    bool row = false;
    bool ok = false;
    memcpy(found.request_id, request_id, sizeof(found.request_id));
    pthread_mutex_lock(&store->read_mutex);
    sqlite3_stmt *get = store_database_statement(&store->read, DATABASE_EXECUTION_GET);
    (void)sqlite3_bind_blob(get, 1, request_id, TEXT_UUID_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int(get, 2, arena != NULL);
    if (store_database_step(&store->read, get, &row, err)) {
        ok = row ? row_read(store, get, arena, &found, &kept, err)
                 : err_set(err, ERR_NOT_FOUND, "there is no such request");
        (void)sqlite3_reset(get);
    }
    pthread_mutex_unlock(&store->read_mutex);
    ok = ok && open_answer(store, &kept, &found, err);
    if (ok) {
        *out = found;
    }
    return ok;
}
