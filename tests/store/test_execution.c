/* test_execution.c: what is put comes back, answers expire, and the queue has bounds.
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

TestSuite(store_execution, .init = store_setup, .fini = store_teardown);

Test(store_execution, makes_private_files)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    bool created = false;
    umask(0);
    struct store *store = open_store(&created);
    struct store_execution execution = sample(1);
    cr_assert(created);
    cr_assert(put_and_wait(store, &execution));
    for (size_t i = 0; i < 3; i++) {
        char name[PATH_BYTES];
        struct stat status;
        snprintf(name, sizeof(name), "%.500s%s", path, suffixes[i]);
        cr_assert_eq(stat(name, &status), 0, "%s", name);
        cr_assert_eq(status.st_mode & 0777, 0600, "%s", name);
    }
    store_close(store);
    store = open_store(&created);
    cr_assert_not(created);
    store_close(store);
    store_close(NULL);
}

Test(store_execution, gives_back_what_was_put)
{
    struct arena arena;
    struct store_execution found;
    struct err err;
    struct store *store = open_store(NULL);
    struct store_execution execution = sample(1);
    arena_init(&arena, NULL);
    cr_assert(put_and_wait(store, &execution));
    store_close(store);
    store = open_store(NULL);
    cr_assert(get(store, 1, &arena, &found, &err), "%s", err.message);
    cr_assert_arr_eq(found.request_id, execution.request_id, TEXT_UUID_BYTES);
    cr_assert_str_eq(found.api_key_id, execution.api_key_id);
    cr_assert_str_eq(found.state, execution.state);
    cr_assert(found.admit_index == 7 && found.result_index == 9 && found.answer_status == 200);
    cr_assert(found.created_ms == 500 && found.expires_ms == 2000);
    cr_assert(found.started_ms == 501 && found.ended_ms == 502);
    cr_assert_arr_eq(found.request_commitment, execution.request_commitment, STORE_HASH_BYTES);
    cr_assert_arr_eq(found.result_commitment, execution.result_commitment, STORE_HASH_BYTES);
    cr_assert(bytes_equal(found.answer, execution.answer));
    cr_assert_not(get(store, 2, &arena, &found, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    arena_release(&arena);
    store_close(store);
}

Test(store_execution, a_later_put_replaces_the_whole_row)
{
    struct arena arena;
    struct store_execution found;
    struct err err;
    struct store *store = open_store(NULL);
    struct store_execution execution = sample(1);
    arena_init(&arena, NULL);
    cr_assert(put_and_wait(store, &execution));
    execution.result_index = UINT64_MAX;
    execution.answer = bytes_of(NULL, 0);
    execution.answer_status = 0;
    snprintf(execution.state, sizeof(execution.state), "EXECUTING");
    cr_assert(put_and_wait(store, &execution));
    cr_assert(get(store, 1, &arena, &found, &err));
    cr_assert(found.result_index == UINT64_MAX && found.answer.size == 0);
    cr_assert_str_eq(found.state, "EXECUTING");
    arena_release(&arena);
    store_close(store);
}

Test(store_execution, answers_are_gone_when_their_time_is_over_and_rows_stay)
{
    struct arena arena;
    struct store_execution found;
    struct err err;
    uint64_t dropped = 99;
    struct store *store = open_store(NULL);
    arena_init(&arena, NULL);
    for (int i = 0; i < 3; i++) {
        struct store_execution execution = sample(i);
        execution.expires_ms = 2000 + i;
        cr_assert(put_and_wait(store, &execution));
    }
    now_ms = 1999;
    cr_assert(store_expire(store, &dropped, &err) && dropped == 0);
    cr_assert(get(store, 0, &arena, &found, &err) && found.answer.size > 0);
    now_ms = 2000;
    cr_assert(get(store, 0, &arena, &found, &err));
    cr_assert(found.answer.size == 0 && found.answer_status == 0, "over, though not dropped yet");
    cr_assert(store_expire(store, &dropped, &err) && dropped == 1);
    cr_assert(store_expire(store, &dropped, &err) && dropped == 0);
    now_ms = 1500;
    cr_assert(get(store, 0, &arena, &found, &err));
    cr_assert(found.answer.size == 0 && found.answer_status == 0, "dropped for good");
    cr_assert(get(store, 1, &arena, &found, &err) && found.answer.size > 0);
    arena_release(&arena);
    store_close(store);
}

Test(store_execution, an_answer_that_does_not_fit_the_readers_budget_fails)
{
    struct budget budget;
    struct arena arena;
    struct store_execution found;
    struct err err;
    static uint8_t large[200000];
    struct store *store = open_store(NULL);
    struct store_execution execution = sample(1);
    execution.answer = bytes_of(large, sizeof(large));
    cr_assert(put_and_wait(store, &execution));
    budget_init(&budget, NULL, 1000);
    arena_init(&arena, &budget);
    cr_assert_not(get(store, 1, &arena, &found, &err));
    cr_assert_eq(err.code, ERR_NO_MEMORY);
    arena_release(&arena);
    store_close(store);
}

Test(store_execution, without_an_arena_the_row_comes_without_its_answer)
{
    struct store_execution found;
    struct err err;
    struct store *store = open_store(NULL);
    struct store_execution execution = sample(1);
    cr_assert(put_and_wait(store, &execution));
    cr_assert(get(store, 1, NULL, &found, &err), "%s", err.message);
    cr_assert(found.answer.size == 0 && found.answer_status == 200);
    cr_assert_eq(found.kept_bytes, execution.answer.size);
    cr_assert_eq(found.result_index, 9);
    execution.answer = bytes_of(NULL, 0);
    execution.answer_status = 0;
    cr_assert(put_and_wait(store, &execution));
    cr_assert(get(store, 1, NULL, &found, &err) && found.kept_bytes == 0);
    execution = sample(1);
    cr_assert(put_and_wait(store, &execution));
    now_ms = execution.expires_ms;
    cr_assert(get(store, 1, NULL, &found, &err));
    cr_assert(found.kept_bytes == 0 && found.answer_status == 0, "its time is over");
    store_close(store);
}

Test(store_execution, done_comes_in_order_and_closing_writes_what_is_queued)
{
    struct done done = {0};
    struct err err;
    struct arena arena;
    struct store_execution found;
    struct store *store = open_store(NULL);
    sem_init(&done.posted, 0, 0);
    arena_init(&arena, NULL);
    for (int i = 0; i < 2000; i++) {
        struct store_execution execution = sample(i);
        cr_assert(store_put_execution(store, &execution, done_cb, &done, &err), "%s", err.message);
    }
    struct store_execution last = sample(2000);
    cr_assert(store_put_execution(store, &last, NULL, NULL, &err));
    store_close(store);
    cr_assert(done.ok_count == 2000 && done.failed_count == 0);
    store = open_store(NULL);
    cr_assert(get(store, 0, &arena, &found, &err));
    cr_assert(get(store, 2000, &arena, &found, &err));
    arena_release(&arena);
    store_close(store);
}

Test(store_execution, refuses_when_too_many_changes_wait)
{
    struct gate gate;
    struct err err;
    struct store *store = open_store(NULL);
    hold(store, &gate);
    struct store_execution execution = sample(1);
    for (int i = 0; i < STORE_QUEUE_JOBS_MAX; i++) {
        cr_assert(store_put_execution(store, &execution, NULL, NULL, &err), "%d", i);
    }
    cr_assert_not(store_put_execution(store, &execution, NULL, NULL, &err));
    cr_assert_eq(err.code, ERR_OVERLOADED);
    cr_assert_not(store_set_indexed_size(store, 1, &err));
    cr_assert_eq(err.code, ERR_OVERLOADED);
    sem_post(&gate.leave);
    store_close(store);
}

Test(store_execution, refuses_when_too_many_bytes_wait)
{
    static uint8_t large[STORE_QUEUE_BYTES_MAX / 2];
    struct gate gate;
    struct err err;
    struct store *store = open_store(NULL);
    hold(store, &gate);
    struct store_execution execution = sample(1);
    execution.answer = bytes_of(large, sizeof(large));
    cr_assert(store_put_execution(store, &execution, NULL, NULL, &err));
    cr_assert_not(store_put_execution(store, &execution, NULL, NULL, &err));
    cr_assert_eq(err.code, ERR_OVERLOADED);
    execution.answer.size /= 2;
    cr_assert(store_put_execution(store, &execution, NULL, NULL, &err));
    sem_post(&gate.leave);
    store_close(store);
}

Test(store_execution, the_indexed_size_comes_after_the_rows_before_it)
{
    struct done done = {0};
    uint64_t size = 99;
    struct err err;
    struct store *store = open_store(NULL);
    sem_init(&done.posted, 0, 0);
    cr_assert(store_indexed_size(store, &size, &err) && size == 0);
    for (int i = 0; i < 100; i++) {
        struct store_execution execution = sample(i);
        cr_assert(store_put_execution(store, &execution, done_cb, &done, &err));
    }
    cr_assert(store_set_indexed_size(store, (uint64_t)1 << 53, &err));
    cr_assert_eq(done.ok_count, 100);
    store_close(store);
    store = open_store(NULL);
    cr_assert(store_indexed_size(store, &size, &err) && size == (uint64_t)1 << 53);
    store_close(store);
}
