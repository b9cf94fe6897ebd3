/* test_idempotency.c: what an Idempotency-Key has stood for is found again, by its owner, for its
 * time, and an API key has a bounded number of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(store_idempotency, .init = store_setup, .fini = store_teardown);

static struct store_idempotency record_of(const char *owner, int key, uint8_t request)
{
    struct store_idempotency record = {.expires_ms = 2000};
    snprintf(record.api_key_id, sizeof(record.api_key_id), "%s", owner);
    memcpy(record.key_hash, &key, sizeof(key));
    memset(record.fingerprint, 7, sizeof(record.fingerprint));
    memset(record.request_id, request, sizeof(record.request_id));
    return record;
}

static void put(struct store *store, const struct store_idempotency *record, uint32_t max)
{
    struct done done = {0};
    struct err err;
    sem_init(&done.posted, 0, 0);
    cr_assert(store_put_idempotency(store, record, max, done_cb, &done, &err), "%s", err.message);
    sem_wait(&done.posted);
    cr_assert_eq(done.ok_count, 1);
}

static bool is_there(struct store *store, const char *owner, int key,
                     struct store_idempotency *found)
{
    struct store_idempotency record = record_of(owner, key, 0);
    struct err err;
    bool ok = store_get_idempotency(store, owner, record.key_hash, found, &err);
    cr_assert(ok || err.code == ERR_NOT_FOUND, "%s", err.message);
    return ok;
}

Test(store_idempotency, gives_back_what_was_put_to_its_owner_alone)
{
    struct store_idempotency found;
    struct store_idempotency record = record_of("a", 1, 9);
    struct store *store = open_store(NULL);
    put(store, &record, 10);
    store_close(store);
    store = open_store(NULL);
    cr_assert(is_there(store, "a", 1, &found));
    cr_assert_str_eq(found.api_key_id, "a");
    cr_assert_arr_eq(found.key_hash, record.key_hash, STORE_HASH_BYTES);
    cr_assert_arr_eq(found.fingerprint, record.fingerprint, STORE_HASH_BYTES);
    cr_assert_arr_eq(found.request_id, record.request_id, TEXT_UUID_BYTES);
    cr_assert_eq(found.expires_ms, 2000);
    cr_assert_not(is_there(store, "b", 1, &found));
    cr_assert_not(is_there(store, "a", 2, &found));
    store_close(store);
}

Test(store_idempotency, a_second_put_replaces_the_first)
{
    struct store_idempotency found;
    struct store_idempotency first = record_of("a", 1, 9), second = record_of("a", 1, 8);
    struct store *store = open_store(NULL);
    put(store, &first, 1);
    put(store, &second, 1);
    cr_assert(is_there(store, "a", 1, &found));
    cr_assert_eq(found.request_id[0], 8);
    store_close(store);
}

Test(store_idempotency, of_one_api_key_the_last_are_kept_and_others_lose_nothing)
{
    struct store_idempotency found;
    struct store *store = open_store(NULL);
    struct store_idempotency other = record_of("b", 0, 1);
    put(store, &other, 3);
    for (int i = 0; i < 5; i++) {
        struct store_idempotency record = record_of("a", i, 1);
        put(store, &record, 3);
        cr_assert(is_there(store, "a", i, &found));
        cr_assert_eq(is_there(store, "a", i - 2, &found), i >= 2, "%d", i);
        cr_assert_not(is_there(store, "a", i - 3, &found));
    }
    cr_assert(is_there(store, "b", 0, &found));
    store_close(store);
}

Test(store_idempotency, is_gone_when_its_time_is_over)
{
    struct store_idempotency found;
    struct store_idempotency record = record_of("a", 1, 9);
    uint64_t dropped = 99;
    struct err err;
    struct store *store = open_store(NULL);
    put(store, &record, 3);
    now_ms = 1999;
    cr_assert(store_expire(store, &dropped, &err) && dropped == 0);
    cr_assert(is_there(store, "a", 1, &found));
    now_ms = 2000;
    cr_assert_not(is_there(store, "a", 1, &found), "over, though not dropped yet");
    cr_assert(store_expire(store, &dropped, &err) && dropped == 0, "answers are counted");
    now_ms = 1999;
    cr_assert_not(is_there(store, "a", 1, &found), "dropped for good");
    store_close(store);
}

Test(store_idempotency, a_full_queue_takes_none)
{
    struct gate gate;
    struct err err;
    struct store *store = open_store(NULL);
    struct store_idempotency record = record_of("a", 1, 9);
    hold(store, &gate);
    for (int i = 0; i < STORE_QUEUE_JOBS_MAX; i++) {
        cr_assert(store_put_idempotency(store, &record, 1, NULL, NULL, &err), "%d", i);
    }
    cr_assert_not(store_put_idempotency(store, &record, 1, NULL, NULL, &err));
    cr_assert_eq(err.code, ERR_OVERLOADED);
    sem_post(&gate.leave);
    store_close(store);
}

Test(store_idempotency, a_row_that_cannot_be_is_refused)
{
    struct store_idempotency record = record_of("a", 1, 9);
    struct store_idempotency found;
    struct err err;
    struct store *store = open_store(NULL);
    put(store, &record, 1);
    store_close(store);
    run_sql("PRAGMA ignore_check_constraints = ON; UPDATE idempotency SET request_id = x'00'");
    store = open_store(NULL);
    cr_assert_not(store_get_idempotency(store, "a", record.key_hash, &found, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    store_close(store);
}
