/* test_store.c: executions, kept answers, API keys, and files that are not as they should be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include "store/writer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

static char directory[PATH_BYTES];
static char path[PATH_BYTES];
static int64_t now_ms = 1000;

static int64_t fake_wall(void *context)
{
    (void)context;
    return now_ms;
}

static uint64_t fake_monotonic(void *context)
{
    (void)context;
    return 0;
}

static const struct clock fake_clock = {.monotonic_ns = fake_monotonic, .wall_ms = fake_wall};

static void setup(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof(directory), "%s/test_store.XXXXXX", base == NULL ? "/tmp" : base);
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%.400s/store.db", directory);
}

static void teardown(void)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        char name[PATH_BYTES];
        snprintf(name, sizeof(name), "%.400s/%s", directory, names[i]);
        unlink(name);
    }
    rmdir(directory);
}

TestSuite(store, .init = setup, .fini = teardown);

static struct store *open_store(bool *created)
{
    struct store *store = NULL;
    bool unused;
    struct err err;
    cr_assert(store_open(path, &fake_clock, &store, created == NULL ? &unused : created, &err),
              "%s", err.message);
    return store;
}

static void expect_refused(enum err_code code)
{
    struct store *store = NULL;
    bool created;
    struct err err = {.code = ERR_NONE};
    cr_expect_not(store_open(path, &fake_clock, &store, &created, &err));
    cr_expect_eq(err.code, code, "%s", err.message);
    cr_expect_not_null(strstr(err.message, "store.db"));
}

/* Something else's database, or ours made worse. */
static void run_sql(const char *sql)
{
    sqlite3 *handle = NULL;
    cr_assert_eq(sqlite3_open(path, &handle), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(handle));
    sqlite3_close(handle);
}

struct done {
    sem_t posted;
    int ok_count;
    int failed_count;
};

static void done_cb(void *context, bool ok)
{
    struct done *done = context;
    if (ok) {
        done->ok_count++;
    } else {
        done->failed_count++;
    }
    sem_post(&done->posted);
}

static struct store_execution sample(int number)
{
    struct store_execution execution = {.api_key_id = "0123456789abcdef",
                                        .state = "COMPLETED",
                                        .admit_index = 7,
                                        .result_index = 9,
                                        .created_ms = 500,
                                        .expires_ms = 2000,
                                        .answer_status = 200};
    memcpy(execution.request_id, &number, sizeof(number));
    memset(execution.request_commitment, 1, STORE_HASH_BYTES);
    memset(execution.result_commitment, 2, STORE_HASH_BYTES);
    execution.answer = bytes_of_string("{\"answer\":42}");
    return execution;
}

static bool put_and_wait(struct store *store, const struct store_execution *execution)
{
    struct done done = {0};
    struct err err;
    sem_init(&done.posted, 0, 0);
    cr_assert(store_put_execution(store, execution, done_cb, &done, &err), "%s", err.message);
    sem_wait(&done.posted);
    return done.ok_count == 1;
}

static bool get(struct store *store, int number, struct arena *arena, struct store_execution *out,
                struct err *err)
{
    return store_get_execution(store, sample(number).request_id, arena, out, err);
}

/* ---- executions ---- */

Test(store, makes_private_files)
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

Test(store, gives_back_what_was_put)
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
    cr_assert_arr_eq(found.request_commitment, execution.request_commitment, STORE_HASH_BYTES);
    cr_assert_arr_eq(found.result_commitment, execution.result_commitment, STORE_HASH_BYTES);
    cr_assert(bytes_equal(found.answer, execution.answer));
    cr_assert_not(get(store, 2, &arena, &found, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    arena_release(&arena);
    store_close(store);
}

Test(store, a_later_put_replaces_the_whole_row)
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

Test(store, answers_are_gone_when_their_time_is_over_and_rows_stay)
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

Test(store, an_answer_that_does_not_fit_the_readers_budget_fails)
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

Test(store, done_comes_in_order_and_closing_writes_what_is_queued)
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

struct gate {
    sem_t entered;
    sem_t leave;
};

static void gate_cb(void *context, bool ok)
{
    struct gate *gate = context;
    cr_assert(ok);
    sem_post(&gate->entered);
    sem_wait(&gate->leave);
}

/* Holds the writer inside a callback. */
static void hold(struct store *store, struct gate *gate)
{
    struct err err;
    struct store_execution execution = sample(-1);
    sem_init(&gate->entered, 0, 0);
    sem_init(&gate->leave, 0, 0);
    cr_assert(store_put_execution(store, &execution, gate_cb, gate, &err));
    sem_wait(&gate->entered);
}

Test(store, refuses_when_too_many_changes_wait)
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

Test(store, refuses_when_too_many_bytes_wait)
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

Test(store, the_indexed_size_comes_after_the_rows_before_it)
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

/* ---- API keys ---- */

static struct store_api_key key_sample(const char *id, int64_t created_ms)
{
    struct store_api_key key = {.name = "a name",
                                .scopes = STORE_SCOPE_EXECUTE | STORE_SCOPE_ADMIN,
                                .created_ms = created_ms,
                                .expires_ms = 77};
    snprintf(key.id, sizeof(key.id), "%s", id);
    memset(key.secret_hash, 5, sizeof(key.secret_hash));
    return key;
}

static void add_key(struct store *store, const char *id, int64_t created_ms)
{
    struct err err;
    struct store_api_key key = key_sample(id, created_ms);
    cr_assert(store_add_api_key(store, &key, &err), "%s", err.message);
}

static uint64_t version_of(struct store *store)
{
    uint64_t version = 0;
    struct err err;
    cr_assert(store_api_keys_version(store, &version, &err), "%s", err.message);
    return version;
}

Test(store, api_keys_are_listed_oldest_first)
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

Test(store, revoking_keeps_the_key_and_its_first_time)
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

Test(store, the_version_rises_with_every_change_and_only_then)
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

Test(store, too_many_keys_for_the_readers_budget_fail)
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

Test(store, no_secret_is_in_the_file)
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

/* ---- files that are not as they should be ---- */

static void write_file(const void *ptr, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, ptr, size) == (ssize_t)size);
    close(fd);
}

Test(store, an_empty_file_becomes_a_store)
{
    bool created = false;
    write_file("", 0);
    struct store *store = open_store(&created);
    cr_assert(created);
    store_close(store);
}

Test(store, a_file_that_is_no_database_is_refused)
{
    char text[4096];
    memset(text, 'x', sizeof(text));
    write_file(text, sizeof(text));
    expect_refused(ERR_FORMAT);
}

Test(store, a_foreign_database_is_refused_and_not_touched)
{
    struct stat before;
    struct stat after;
    run_sql("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);");
    cr_assert_eq(stat(path, &before), 0);
    expect_refused(ERR_FORMAT);
    cr_assert_eq(stat(path, &after), 0);
    cr_assert(before.st_size == after.st_size && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

Test(store, a_newer_version_is_refused)
{
    store_close(open_store(NULL));
    run_sql("PRAGMA user_version = 2");
    expect_refused(ERR_FORMAT);
    run_sql("PRAGMA user_version = 1");
    store_close(open_store(NULL));
}

Test(store, missing_tables_are_refused)
{
    store_close(open_store(NULL));
    run_sql("DROP TABLE api_keys");
    expect_refused(ERR_FORMAT);
}

Test(store, missing_numbers_are_found)
{
    uint64_t number = 0;
    struct err err;
    store_close(open_store(NULL));
    run_sql("DELETE FROM meta");
    struct store *store = open_store(NULL);
    cr_assert_not(store_indexed_size(store, &number, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    cr_assert_not(store_api_keys_version(store, &number, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    store_close(store);
}

Test(store, rows_that_cannot_be_are_refused)
{
    struct arena arena;
    struct store_execution found;
    struct store_api_key *keys = NULL;
    size_t count = 0;
    struct err err;
    struct store *store = open_store(NULL);
    struct store_execution execution = sample(1);
    cr_assert(put_and_wait(store, &execution));
    add_key(store, "aaaa", 1);
    store_close(store);
    run_sql("UPDATE executions SET state = 'far longer than any state that there can be';"
            "UPDATE api_keys SET id = 'far longer than any key id';");
    store = open_store(NULL);
    arena_init(&arena, NULL);
    cr_assert_not(get(store, 1, &arena, &found, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    cr_assert_not(store_list_api_keys(store, &arena, &keys, &count, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    arena_release(&arena);
    store_close(store);
}

Test(store, damaged_pages_are_reported_when_they_are_met)
{
    struct arena arena;
    struct store_execution found;
    struct err err;
    char garbage[4096];
    struct stat status;
    struct store *store = open_store(NULL);
    for (int i = 0; i < 500; i++) {
        struct store_execution execution = sample(i);
        cr_assert(store_put_execution(store, &execution, NULL, NULL, &err));
    }
    store_close(store);
    /* All pages but the first, which holds the schema, and the second, the table of numbers. */
    memset(garbage, 0xee, sizeof(garbage));
    cr_assert_eq(stat(path, &status), 0);
    int fd = open(path, O_WRONLY);
    for (off_t at = 8192; at < status.st_size; at += 4096) {
        cr_assert_eq(pwrite(fd, garbage, sizeof(garbage), at), (ssize_t)sizeof(garbage));
    }
    close(fd);
    arena_init(&arena, NULL);
    store = open_store(NULL);
    cr_assert_not(get(store, 1, &arena, &found, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    cr_assert_not_null(strstr(err.message, "damaged"));
    struct store_execution execution = sample(1);
    cr_assert_not(put_and_wait(store, &execution));
    arena_release(&arena);
    store_close(store);
}

Test(store, places_that_cannot_hold_a_store_are_refused)
{
    snprintf(path, sizeof(path), "%.400s/none/store.db", directory);
    expect_refused(ERR_IO);
    snprintf(path, sizeof(path), "%.400s/store.db", directory);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused(ERR_IO);
    rmdir(path);
}

Test(store, a_read_only_directory_is_refused)
{
    cr_assert_eq(chmod(directory, 0555), 0);
    if (geteuid() == 0) {
        cr_assert_eq(seteuid(65534), 0); /* the superuser may write anywhere */
    }
    expect_refused(ERR_IO);
    if (getuid() == 0) {
        cr_assert_eq(seteuid(0), 0);
    }
    chmod(directory, 0700);
}

Test(store, a_store_whose_directory_became_read_only_is_refused)
{
    store_close(open_store(NULL));
    cr_assert_eq(chmod(path, 0444), 0);
    cr_assert_eq(chmod(directory, 0555), 0);
    if (geteuid() == 0) {
        cr_assert_eq(seteuid(65534), 0);
    }
    expect_refused(ERR_IO);
    if (getuid() == 0) {
        cr_assert_eq(seteuid(0), 0);
    }
    chmod(directory, 0700);
}

/* ---- failures while running ---- */

Test(store, a_full_disk_fails_the_put_and_nothing_else)
{
    static uint8_t large[300000];
    struct arena arena;
    struct store_execution found;
    struct err err;
    struct store *store = open_store(NULL);
    struct store_execution small = sample(1);
    struct store_execution big = sample(2);
    big.answer = bytes_of(large, sizeof(large));
    arena_init(&arena, NULL);
    cr_assert(put_and_wait(store, &small));
    /* The writer sleeps now; a bound on the pages is a disk that is full. */
    cr_assert_eq(sqlite3_exec(store->write.handle, "PRAGMA max_page_count = 40", NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_not(put_and_wait(store, &big));
    cr_assert_not(get(store, 2, &arena, &found, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert(put_and_wait(store, &small), "what fits goes on");
    cr_assert_eq(
        sqlite3_exec(store->write.handle, "PRAGMA max_page_count = 100000", NULL, NULL, NULL),
        SQLITE_OK);
    cr_assert(put_and_wait(store, &big));
    arena_release(&arena);
    store_close(store);
}

Test(store, every_change_of_a_failed_transaction_fails)
{
    static uint8_t large[300000];
    struct gate gate;
    struct done done = {0};
    struct err err;
    struct store *store = open_store(NULL);
    sem_init(&done.posted, 0, 0);
    cr_assert_eq(sqlite3_exec(store->write.handle, "PRAGMA max_page_count = 40", NULL, NULL, NULL),
                 SQLITE_OK);
    hold(store, &gate); /* so that these three meet in one transaction */
    for (int i = 0; i < 3; i++) {
        struct store_execution execution = sample(i);
        execution.answer = bytes_of(large, i == 1 ? sizeof(large) : 10);
        cr_assert(store_put_execution(store, &execution, done_cb, &done, &err));
    }
    sem_post(&gate.leave);
    for (int i = 0; i < 3; i++) {
        sem_wait(&done.posted);
    }
    cr_assert(done.failed_count == 3 && done.ok_count == 0);
    store_close(store);
}

Test(store, synchronous_calls_report_a_full_disk)
{
    uint64_t dropped = 0;
    struct err err;
    struct store *store = open_store(NULL);
    struct store_execution execution = sample(1);
    cr_assert(put_and_wait(store, &execution));
    cr_assert_eq(sqlite3_exec(store->write.handle, "PRAGMA query_only = 1", NULL, NULL, NULL),
                 SQLITE_OK);
    struct store_api_key key = key_sample("aaaa", 1);
    now_ms = 9000;
    cr_assert_not(store_add_api_key(store, &key, &err));
    cr_assert_eq(err.code, ERR_IO);
    cr_assert_not(store_expire(store, &dropped, &err));
    cr_assert_not(store_set_indexed_size(store, 5, &err));
    cr_assert_not(put_and_wait(store, &execution));
    cr_assert_eq(sqlite3_exec(store->write.handle, "PRAGMA query_only = 0", NULL, NULL, NULL),
                 SQLITE_OK);
    add_key(store, "aaaa", 1);
    store_close(store);
}

/* ---- more than one process ---- */

Test(store, what_was_done_is_there_after_a_kill)
{
    int pipe_fds[2];
    int acknowledged = 0;
    char byte;
    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store = open_store(NULL);
        for (int i = 0; i < 50; i++) {
            struct store_execution execution = sample(i);
            struct err err;
            if (!put_and_wait(store, &execution) || write(pipe_fds[1], "x", 1) != 1) {
                _exit(1);
            }
            /* And some that nobody waits for. */
            execution = sample(1000 + i);
            (void)!store_put_execution(store, &execution, NULL, NULL, &err);
        }
        _exit(0); /* no close: as if it was killed */
    }
    close(pipe_fds[1]);
    while (read(pipe_fds[0], &byte, 1) == 1) {
        acknowledged++;
    }
    close(pipe_fds[0]);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(acknowledged, 50);
    struct store *store = open_store(NULL);
    struct arena arena;
    arena_init(&arena, NULL);
    for (int i = 0; i < acknowledged; i++) {
        struct store_execution found;
        struct err err;
        cr_assert(get(store, i, &arena, &found, &err), "%d: %s", i, err.message);
    }
    arena_release(&arena);
    store_close(store);
}

Test(store, another_process_revokes_a_key_beside_an_open_store)
{
    int go[2];
    char byte;
    int status = 0;
    cr_assert_eq(pipe(go), 0);
    pid_t child = fork(); /* before there are threads */
    if (child == 0) {
        struct err err;
        if (read(go[0], &byte, 1) != 1) {
            _exit(1);
        }
        struct store *store = open_store(NULL);
        bool ok = store_revoke_api_key(store, "aaaa", &err);
        store_close(store);
        _exit(ok ? 0 : 2);
    }
    struct arena arena;
    struct store_api_key *keys = NULL;
    size_t count = 0;
    struct err err;
    struct store *store = open_store(NULL);
    arena_init(&arena, NULL);
    add_key(store, "aaaa", 1);
    uint64_t before = version_of(store);
    cr_assert_eq(write(go[1], "x", 1), 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_gt(version_of(store), before);
    cr_assert(store_list_api_keys(store, &arena, &keys, &count, &err));
    cr_assert(count == 1 && keys[0].revoked_ms == now_ms);
    arena_release(&arena);
    store_close(store);
}

/* SQLite's locks are POSIX locks, which a process loses when it closes any descriptor of the file:
 * a store that touched its file by hand would lose them, and whoever leaves next would remove the
 * WAL under it. */
Test(store, a_process_that_leaves_does_not_take_the_wal_along)
{
    struct stat before;
    struct stat after;
    char wal[PATH_BYTES + 8];
    bool created;
    struct store *store = open_store(NULL);
    struct store_execution execution = sample(1);
    cr_assert(put_and_wait(store, &execution));
    snprintf(wal, sizeof(wal), "%s-wal", path);
    cr_assert_eq(stat(wal, &before), 0);
    for (int i = 0; i < 2; i++) {
        char id[8];
        int status = 0;
        uint64_t version = version_of(store);
        snprintf(id, sizeof(id), "key%d", i);
        add_key(store, id, i);
        pid_t child = fork();
        if (child == 0) {
            /* A program of its own, without the parent's connections and threads. */
            (void)!freopen("/dev/null", "w", stdout);
            execlp("sqlite3", "sqlite3", path, "PRAGMA user_version", (char *)NULL);
            _exit(127);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
            printf("skipped: a process that leaves, get it by apt-get install sqlite3\n");
        }
        cr_assert_gt(version_of(store), version);
    }
    cr_assert_eq(stat(wal, &after), 0);
    cr_assert_eq(before.st_ino, after.st_ino);
    store_close(store);
    store = open_store(&created);
    cr_assert_not(created);
    store_close(store);
}

Test(store, two_open_stores_make_one_file)
{
    bool first_created = false;
    bool second_created = true;
    struct store *first = open_store(&first_created);
    struct store *second = open_store(&second_created);
    cr_assert(first_created && !second_created);
    add_key(first, "aaaa", 1);
    add_key(second, "bbbb", 2);
    cr_assert_eq(version_of(first), version_of(second));
    store_close(first);
    store_close(second);
}

/* ---- no memory ---- */

Test(store, opening_fails_cleanly_wherever_memory_ends)
{
    for (size_t n = 1;; n++) {
        struct store *store = NULL;
        bool created;
        struct err err = {.code = ERR_NONE};
        heap_fail_after(n);
        bool opened = store_open(path, &fake_clock, &store, &created, &err);
        heap_fail_after(0);
        if (opened) {
            struct store_execution execution = sample(1);
            heap_fail_after(1);
            cr_assert_not(store_put_execution(store, &execution, NULL, NULL, &err));
            heap_fail_after(0);
            cr_assert_eq(err.code, ERR_NO_MEMORY);
            store_close(store);
            cr_assert_geq(n, 2);
            break;
        }
        cr_assert_eq(err.code, ERR_NO_MEMORY);
    }
}
