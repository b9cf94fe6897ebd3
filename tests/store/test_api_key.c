/* test_api_key.c: API keys, and that every change of them is seen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(store_api_key, .init = store_setup, .fini = store_teardown);

Test(store_api_key, api_keys_are_listed_oldest_first)
{
    struct arena arena;
    struct store_api_key *keys = NULL;
    size_t count = 99;
    struct err err;
    struct store *store = open_store(NULL);
    arena_init(&arena, NULL);
    cr_assert(store_list_api_keys(store, &arena, &keys, &count, &err) && count == 0);
    add_key(store, "bbbb", 20);
    add_key(store, "0123456789abcdef", 10);
    add_key(store, "aaaa", 20);
    store_close(store);
    store = open_store(NULL);
    cr_assert(store_list_api_keys(store, &arena, &keys, &count, &err));
    cr_assert_eq(count, 3);
    cr_assert_str_eq(keys[0].id, "0123456789abcdef");
    cr_assert_str_eq(keys[1].id, "bbbb");
    cr_assert_str_eq(keys[2].id, "aaaa");
    cr_assert_str_eq(keys[0].name, "a name");
    cr_assert(keys[0].scopes == 5 && keys[0].created_ms == 10 && keys[0].expires_ms == 77);
    cr_assert(keys[0].revoked_ms == 0 && keys[0].secret_hash[31] == 5);
    arena_release(&arena);
    store_close(store);
}

Test(store_api_key, revoking_keeps_the_key_and_its_first_time)
{
    struct arena arena;
    struct store_api_key *keys = NULL;
    size_t count = 0;
    struct err err;
    struct store *store = open_store(NULL);
    arena_init(&arena, NULL);
    add_key(store, "aaaa", 1);
    now_ms = 5000;
    cr_assert(store_revoke_api_key(store, "aaaa", &err));
    now_ms = 6000;
    cr_assert(store_revoke_api_key(store, "aaaa", &err));
    cr_assert(store_list_api_keys(store, &arena, &keys, &count, &err));
    cr_assert(count == 1 && keys[0].revoked_ms == 5000);
    cr_assert_not(store_revoke_api_key(store, "bbbb", &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    struct store_api_key again = key_sample("aaaa", 2);
    cr_assert_not(store_add_api_key(store, &again, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    arena_release(&arena);
    store_close(store);
}

Test(store_api_key, the_version_rises_with_every_change_and_only_then)
{
    struct err err;
    struct store *store = open_store(NULL);
    uint64_t first = version_of(store);
    add_key(store, "aaaa", 1);
    uint64_t second = version_of(store);
    cr_assert_gt(second, first);
    cr_assert(store_revoke_api_key(store, "aaaa", &err));
    uint64_t third = version_of(store);
    cr_assert_gt(third, second);
    cr_assert(store_revoke_api_key(store, "aaaa", &err));
    cr_assert_not(store_revoke_api_key(store, "bbbb", &err));
    struct store_api_key again = key_sample("aaaa", 2);
    cr_assert_not(store_add_api_key(store, &again, &err));
    struct store_execution execution = sample(1);
    cr_assert(put_and_wait(store, &execution));
    cr_assert_eq(version_of(store), third);
    store_close(store);
}

Test(store_api_key, too_many_keys_for_the_readers_budget_fail)
{
    struct budget budget;
    struct arena arena;
    struct store_api_key *keys = NULL;
    size_t count = 0;
    struct err err;
    struct store *store = open_store(NULL);
    add_key(store, "aaaa", 1);
    budget_init(&budget, NULL, 16);
    arena_init(&arena, &budget);
    cr_assert_not(store_list_api_keys(store, &arena, &keys, &count, &err));
    cr_assert_eq(err.code, ERR_NO_MEMORY);
    arena_release(&arena);
    store_close(store);
}

Test(store_api_key, no_secret_is_in_the_file)
{
    /* What is stored of a secret is what the caller hands over, its hash: the row has no more. */
    struct store *store = open_store(NULL);
    add_key(store, "aaaa", 1);
    store_close(store);
    sqlite3 *handle = NULL;
    sqlite3_stmt *columns = NULL;
    cr_assert_eq(sqlite3_open(path, &handle), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(handle,
                                    "SELECT group_concat(name) FROM pragma_table_info('api_keys')",
                                    -1, &columns, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(columns), SQLITE_ROW);
    cr_assert_str_eq((const char *)sqlite3_column_text(columns, 0),
                     "number,id,name,scopes,secret_hash,created_ms,expires_ms,revoked_ms");
    sqlite3_finalize(columns);
    sqlite3_close(handle);
}
