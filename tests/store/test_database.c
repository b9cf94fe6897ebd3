/* test_database.c: files that are not as they should be, full disks, other processes.
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

TestSuite(store_database, .init = store_setup, .fini = store_teardown);

/* ---- files that are not as they should be ---- */

static void write_file(const void *ptr, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, ptr, size) == (ssize_t)size);
    close(fd);
}

Test(store_database, an_empty_file_becomes_a_store)
{
    bool created = false;
    write_file("", 0);
    struct store *store = open_store(&created);
    cr_assert(created);
    store_close(store);
}

Test(store_database, a_file_that_is_no_database_is_refused)
{
    char text[4096];
    memset(text, 'x', sizeof(text));
    write_file(text, sizeof(text));
    expect_refused(ERR_FORMAT);
}

Test(store_database, a_foreign_database_is_refused_and_not_touched)
{
    struct stat before;
    struct stat after;
    run_sql("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);");
    cr_assert_eq(stat(path, &before), 0);
    expect_refused(ERR_FORMAT);
    cr_assert_eq(stat(path, &after), 0);
    cr_assert(before.st_size == after.st_size && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

Test(store_database, a_newer_version_is_refused)
{
    store_close(open_store(NULL));
    run_sql("PRAGMA user_version = 4");
    expect_refused(ERR_FORMAT);
    run_sql("PRAGMA user_version = 3");
    store_close(open_store(NULL));
    run_sql("PRAGMA user_version = 0");
    expect_refused(ERR_FORMAT);
    run_sql("PRAGMA user_version = -1");
    expect_refused(ERR_FORMAT);
}

/* A file as version 1 of the program left it. */
static const char version_1_file[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
    "CREATE TABLE executions ("
    "  request_id BLOB PRIMARY KEY CHECK (length(request_id) = 16),"
    "  api_key_id TEXT NOT NULL, state TEXT NOT NULL,"
    "  admit_index INTEGER NOT NULL, result_index INTEGER,"
    "  request_commitment BLOB NOT NULL CHECK (length(request_commitment) = 32),"
    "  result_commitment BLOB NOT NULL CHECK (length(result_commitment) = 32),"
    "  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    "  answer_status INTEGER NOT NULL, answer BLOB) STRICT;"
    "CREATE INDEX executions_by_expiry ON executions (expires_ms) WHERE answer IS NOT NULL;"
    "CREATE TABLE api_keys ("
    "  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    "  scopes INTEGER NOT NULL, secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),"
    "  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL"
    ") STRICT;"
    "INSERT INTO meta VALUES ('indexed_size', 41), ('api_keys_version', 3);"
    "INSERT INTO executions VALUES (x'00112233445546778899aabbccddeeff', 'owner', 'COMPLETED', 7, "
    "8,"
    "  zeroblob(32), zeroblob(32), 500, 2000, 200, x'7b7d');"
    "INSERT INTO api_keys (id, name, scopes, secret_hash, created_ms, expires_ms, revoked_ms)"
    "  VALUES ('aaaa', 'a name', 1, zeroblob(32), 1, 0, 0);"
    "PRAGMA application_id = 0x57484853; PRAGMA user_version = 1;";

Test(store_database, a_file_of_version_1_is_upgraded_and_keeps_what_it_holds)
{
    static const uint8_t id[TEXT_UUID_BYTES] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77,
                                                0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct arena arena;
    struct store_execution found;
    struct store_api_key *keys = NULL;
    size_t count = 0;
    uint64_t size = 0;
    bool created = true;
    struct err err;
    run_sql(version_1_file);
    arena_init(&arena, NULL);
    for (int i = 0; i < 2; i++) { /* and a second time there is nothing left to do */
        struct store *store = open_store(&created);
        cr_assert_not(created);
        cr_assert(store_get_execution(store, id, &arena, &found, &err), "%s", err.message);
        cr_assert(found.created_ms == 500 && found.admit_index == 7 && found.result_index == 8);
        cr_assert(found.started_ms == 0 && found.ended_ms == 0);
        cr_assert(bytes_equal(found.answer, bytes_of_string("{}")));
        cr_assert(store_indexed_size(store, &size, &err) && size == 41);
        cr_assert(store_list_api_keys(store, &arena, &keys, &count, &err) && count == 1);
        struct store_execution execution = sample(1);
        cr_assert(put_and_wait(store, &execution));
        store_close(store);
    }
    arena_release(&arena);
}

Test(store_database, an_upgrade_that_fails_changes_nothing)
{
    run_sql(version_1_file);
    run_sql("CREATE TABLE idempotency (in_the_way)");
    expect_refused(ERR_IO);
    expect_refused(ERR_IO);
    run_sql("DROP TABLE idempotency");
    store_close(open_store(NULL));
}

Test(store_database, missing_tables_are_refused)
{
    store_close(open_store(NULL));
    run_sql("DROP TABLE api_keys");
    expect_refused(ERR_FORMAT);
}

Test(store_database, missing_numbers_are_found)
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

Test(store_database, rows_that_cannot_be_are_refused)
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

Test(store_database, damaged_pages_are_reported_when_they_are_met)
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

Test(store_database, places_that_cannot_hold_a_store_are_refused)
{
    snprintf(path, sizeof(path), "%.400s/none/store.db", directory);
    expect_refused(ERR_IO);
    snprintf(path, sizeof(path), "%.400s/store.db", directory);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused(ERR_IO);
    rmdir(path);
}

Test(store_database, a_read_only_directory_is_refused)
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

Test(store_database, a_store_whose_directory_became_read_only_is_refused)
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

Test(store_database, a_full_disk_fails_the_put_and_nothing_else)
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

Test(store_database, every_change_of_a_failed_transaction_fails)
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

Test(store_database, synchronous_calls_report_a_full_disk)
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

Test(store_database, what_was_done_is_there_after_a_kill)
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

Test(store_database, another_process_revokes_a_key_beside_an_open_store)
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
Test(store_database, a_process_that_leaves_does_not_take_the_wal_along)
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

Test(store_database, two_open_stores_make_one_file)
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

Test(store_database, opening_fails_cleanly_wherever_memory_ends)
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
