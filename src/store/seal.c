/* seal.c: see seal.h; and which key the answers in the file are sealed with.
 *
 * The file keeps a number made of that key. Under another one, or none, they can never be read
 * again, so they are dropped then instead of failing one by one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/seal.h"

#include "store/writer.h"

#include <string.h>

static const char answer_label[] = "wasm-hypervisor/1 kept answer"; /* with its NUL */

enum { CONTEXT_BYTES = sizeof(answer_label) + TEXT_UUID_BYTES + 4 };

static void context_of(const struct store_execution *execution, uint8_t out[static CONTEXT_BYTES])
{
    uint32_t status = (uint32_t)execution->answer_status;
    memcpy(out, answer_label, sizeof(answer_label));
    memcpy(out + sizeof(answer_label), execution->request_id, TEXT_UUID_BYTES);
    for (size_t i = 0; i < 4; i++) {
        out[CONTEXT_BYTES - 1 - i] = (uint8_t)(status >> 8 * i);
    }
}

static bool row_key(const uint8_t key[static STORE_KEY_BYTES],
                    const uint8_t context[static CONTEXT_BYTES],
                    uint8_t out[static CRYPTO_AEAD_KEY_BYTES])
{
    return crypto_hkdf_expand(bytes_of(key, STORE_KEY_BYTES), bytes_of(context, CONTEXT_BYTES - 4),
                              out, CRYPTO_AEAD_KEY_BYTES);
}

bool store_answer_seal(const uint8_t key[static STORE_KEY_BYTES],
                       const struct store_execution *execution, uint8_t *out)
{
    uint8_t context[CONTEXT_BYTES];
    uint8_t mine[CRYPTO_AEAD_KEY_BYTES];
    context_of(execution, context);
    crypto_random(out, CRYPTO_AEAD_NONCE_BYTES);
    bool ok = row_key(key, context, mine) &&
              crypto_aead_seal(mine, out, bytes_of(context, sizeof(context)), execution->answer,
                               out + CRYPTO_AEAD_NONCE_BYTES);
    memory_wipe(mine, sizeof(mine));
    return ok;
}

bool store_answer_open(const uint8_t key[static STORE_KEY_BYTES],
                       const struct store_execution *execution, struct bytes sealed, uint8_t *out)
{
    uint8_t context[CONTEXT_BYTES];
    uint8_t mine[CRYPTO_AEAD_KEY_BYTES];
    if (sealed.size < STORE_SEAL_OVERHEAD_BYTES) {
        return false;
    }
    context_of(execution, context);
    bool ok = row_key(key, context, mine) &&
              crypto_aead_open(mine, sealed.ptr, bytes_of(context, sizeof(context)),
                               bytes_of(sealed.ptr + CRYPTO_AEAD_NONCE_BYTES,
                                        sealed.size - CRYPTO_AEAD_NONCE_BYTES),
                               out);
    memory_wipe(mine, sizeof(mine));
    return ok;
}

/* ---- which key ---- */

/* 0 stands for none; SQLite's integers have a sign. */
static uint64_t number_of(const uint8_t *key)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    uint64_t number = 0;
    const struct bytes parts[] = {bytes_of_string("wasm-hypervisor/1 store key"),
                                  bytes_of(key, STORE_KEY_BYTES)};
    if (key == NULL) {
        return 0;
    }
    crypto_sha256_parts(parts, 2, hash);
    for (size_t i = 0; i < sizeof(number); i++) {
        number = number << 8 | hash[i];
    }
    return number >> 1 | 1;
}

struct seal_call {
    struct store_call call;
    uint64_t number;
    uint64_t dropped;
};

static bool seal_run(const struct database *database, struct store_job *job, bool *own,
                     struct err *err)
{
    struct seal_call *call = (struct seal_call *)(void *)job;
    uint64_t before = 0;
    (void)own;
    if (!store_meta_get(database, STORE_META_ANSWER_KEY, &before, err)) {
        return false;
    }
    if (before == call->number) {
        return true;
    }
    if (before != 0) {
        sqlite3_stmt *drop = store_database_statement(database, DATABASE_EXECUTION_DROP_SEALED);
        if (!store_database_run(database, drop, err)) {
            return false;
        }
        call->dropped = (uint64_t)sqlite3_changes64(database->handle);
    }
    return store_meta_set(database, STORE_META_ANSWER_KEY, call->number, err);
}

bool store_seal(struct store *store, const uint8_t *key, uint64_t *dropped, struct err *err)
{
    struct seal_call call = {.call.job.run = seal_run, .number = number_of(key)};
    if (!store_writer_call(store, &call.call, err)) {
        return false;
    }
    store->seals = key != NULL;
    if (key != NULL) {
        memcpy(store->answer_key, key, STORE_KEY_BYTES);
    }
    *dropped = call.dropped;
    return true;
}
