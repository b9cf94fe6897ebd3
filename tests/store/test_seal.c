/* test_seal.c: kept answers that are sealed in the file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/seal.h"
#include "store/support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t key_one[STORE_KEY_BYTES] = "the first key of a test's store.";
static const uint8_t key_two[STORE_KEY_BYTES] = "another key of the same test....";

TestSuite(store_seal, .init = store_setup, .fini = store_teardown);

static struct store *open_sealed(const uint8_t *key, uint64_t expected_dropped)
{
    struct err err;
    uint64_t dropped = 99;
    struct store *store = open_store(NULL);
    cr_assert(store_seal(store, key, &dropped, &err), "%s", err.message);
    cr_assert_eq(dropped, expected_dropped);
    return store;
}

static void put(struct store *store, int number)
{
    struct store_execution execution = sample(number);
    cr_assert(put_and_wait(store, &execution));
}

/* What the row gives: its answer, nothing, or an error. */
static enum err_code answer_of(struct store *store, int number, bool *is_there)
{
    struct arena arena;
    struct store_execution found;
    struct err err = {.code = ERR_NONE};
    arena_init(&arena, NULL);
    bool ok = get(store, number, &arena, &found, &err);
    *is_there = ok && found.answer.size > 0;
    cr_assert(!*is_there ||
              (found.answer_status == 200 && bytes_equal(found.answer, sample(number).answer)));
    cr_assert(!ok || *is_there || found.answer_status == 0);
    arena_release(&arena);
    return ok ? ERR_NONE : err.code;
}

static void expect_answer(struct store *store, int number, bool expected)
{
    bool is_there = false;
    cr_assert_eq(answer_of(store, number, &is_there), ERR_NONE, "row %d", number);
    cr_assert_eq(is_there, expected, "row %d", number);
}

static bool file_has(const char *suffix, const char *text)
{
    char name[PATH_BYTES + 8];
    static char content[1 << 20];
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    int fd = open(name, O_RDONLY);
    ssize_t size = fd < 0 ? 0 : read(fd, content, sizeof(content));
    if (fd >= 0) {
        close(fd);
    }
    return size > 0 && memmem(content, (size_t)size, text, strlen(text)) != NULL;
}

Test(store_seal, a_sealed_answer_comes_back_and_is_not_in_the_file)
{
    struct store *store = open_sealed(key_one, 0);
    for (int i = 0; i < 3; i++) {
        put(store, i);
    }
    expect_answer(store, 1, true);
    cr_assert(file_has("-wal", "COMPLETED") && !file_has("-wal", "\"answer\""));
    store_close(store);
    cr_assert(file_has("", "COMPLETED") && !file_has("", "\"answer\""));
    store = open_sealed(key_one, 0);
    expect_answer(store, 2, true);
    store_close(store);
}

Test(store_seal, answers_from_before_stay_readable_until_they_expire)
{
    struct store *store = open_sealed(NULL, 0);
    put(store, 1);
    store_close(store);
    store = open_sealed(key_one, 0);
    put(store, 2);
    expect_answer(store, 1, true);
    expect_answer(store, 2, true);
    store_close(store);
    store = open_sealed(NULL, 1); /* and back */
    expect_answer(store, 1, true);
    expect_answer(store, 2, false);
    store_close(store);
}

Test(store_seal, under_another_key_sealed_answers_are_dropped_and_the_rest_stays)
{
    struct err err;
    struct arena arena;
    struct store_api_key *keys = NULL;
    size_t count = 0;
    struct store *store = open_sealed(key_one, 0);
    add_key(store, "aaaa", 1);
    put(store, 1);
    put(store, 2);
    store_close(store);
    store = open_sealed(key_two, 2);
    expect_answer(store, 1, false);
    put(store, 3);
    expect_answer(store, 3, true);
    arena_init(&arena, NULL);
    cr_assert(store_list_api_keys(store, &arena, &keys, &count, &err) && count == 1);
    arena_release(&arena);
    store_close(store);
    store = open_sealed(key_two, 0);
    expect_answer(store, 3, true);
    store_close(store);
}

Test(store_seal, who_has_not_said_which_key_sees_no_sealed_answer_and_drops_none)
{
    struct store *store = open_sealed(key_one, 0);
    put(store, 1);
    struct store *beside = open_store(NULL); /* as `key add` does */
    expect_answer(beside, 1, false);
    store_close(beside);
    expect_answer(store, 1, true);
    store_close(store);
}

static void expect_tampered(const char *sql)
{
    bool is_there = false;
    struct store *store = open_sealed(key_one, 0);
    put(store, 1);
    put(store, 2);
    store_close(store);
    run_sql(sql);
    store = open_sealed(key_one, 0);
    cr_assert_eq(answer_of(store, 1, &is_there), ERR_TAMPERED, "%s", sql);
    struct store_execution found;
    struct err err;
    cr_assert(get(store, 1, NULL, &found, &err), "the row without the answer: %s", err.message);
    cr_assert(found.kept_bytes > 0 && found.answer.size == 0);
    store_close(store);
}

Test(store_seal, an_answer_cannot_be_moved_relabelled_or_cut)
{
    expect_tampered("UPDATE executions SET answer = (SELECT answer FROM executions AS other"
                    " WHERE other.request_id <> executions.request_id)");
    expect_tampered("UPDATE executions SET answer_status = 201");
    expect_tampered("UPDATE executions SET answer = substr(answer, 1, length(answer) - 1)");
    expect_tampered("UPDATE executions SET answer = substr(answer, 1, 28)");
    expect_tampered("UPDATE executions SET answer = substr(answer, 1, 27)");
    expect_tampered("UPDATE executions SET answer = x'00'");
}

Test(store_seal, no_bit_of_a_sealed_answer_can_be_changed)
{
    struct store_execution execution = sample(1);
    uint8_t sealed[64], opened[64];
    size_t size = execution.answer.size + STORE_SEAL_OVERHEAD_BYTES;
    cr_assert_leq(size, sizeof(sealed));
    cr_assert(store_answer_seal(key_one, &execution, sealed));
    for (size_t bit = 0; bit < 8 * size; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cr_assert_not(store_answer_open(key_one, &execution, bytes_of(sealed, size), opened));
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    cr_assert_not(store_answer_open(key_two, &execution, bytes_of(sealed, size), opened));
    cr_assert(store_answer_open(key_one, &execution, bytes_of(sealed, size), opened));
    cr_assert_arr_eq(opened, execution.answer.ptr, execution.answer.size);
}

Test(store_seal, the_same_answer_is_never_sealed_the_same_way_twice)
{
    struct store_execution execution = sample(1);
    uint8_t one[64], two[64];
    cr_assert(store_answer_seal(key_one, &execution, one));
    cr_assert(store_answer_seal(key_one, &execution, two));
    cr_assert_neq(memcmp(one, two, 12), 0);
    cr_assert_neq(memcmp(one + 12, two + 12, execution.answer.size), 0);
}
