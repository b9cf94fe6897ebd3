/* support.c: see support.h.
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

char directory[PATH_BYTES];
char path[PATH_BYTES];
int64_t now_ms = 1000;

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

const struct clock fake_clock = {.monotonic_ns = fake_monotonic, .wall_ms = fake_wall};

void store_setup(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof(directory), "%s/test_store.XXXXXX", base == NULL ? "/tmp" : base);
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%.400s/store.db", directory);
}

void store_teardown(void)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        char name[PATH_BYTES];
        snprintf(name, sizeof(name), "%.400s/%s", directory, names[i]);
        unlink(name);
    }
    rmdir(directory);
}

struct store *open_store(bool *created)
{
    struct store *store = NULL;
    bool unused;
    struct err err;
    cr_assert(store_open(path, &fake_clock, &store, created == NULL ? &unused : created, &err),
              "%s", err.message);
    return store;
}

void expect_refused(enum err_code code)
{
    struct store *store = NULL;
    bool created;
    struct err err = {.code = ERR_NONE};
    cr_expect_not(store_open(path, &fake_clock, &store, &created, &err));
    cr_expect_eq(err.code, code, "%s", err.message);
    cr_expect_not_null(strstr(err.message, "store.db"));
}

/* Something else's database, or ours made worse. */
void run_sql(const char *sql)
{
    sqlite3 *handle = NULL;
    cr_assert_eq(sqlite3_open(path, &handle), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(handle));
    sqlite3_close(handle);
}

void done_cb(void *context, bool ok)
{
    struct done *done = context;
    if (ok) {
        done->ok_count++;
    } else {
        done->failed_count++;
    }
    sem_post(&done->posted);
}

struct store_execution sample(int number)
{
    struct store_execution execution = {.api_key_id = "0123456789abcdef",
                                        .state = "COMPLETED",
                                        .admit_index = 7,
                                        .result_index = 9,
                                        .created_ms = 500,
                                        .started_ms = 501,
                                        .ended_ms = 502,
                                        .expires_ms = 2000,
                                        .answer_status = 200};
    memcpy(execution.request_id, &number, sizeof(number));
    memset(execution.request_commitment, 1, STORE_HASH_BYTES);
    memset(execution.result_commitment, 2, STORE_HASH_BYTES);
    execution.answer = bytes_of_string("{\"answer\":42}");
    return execution;
}

bool put_and_wait(struct store *store, const struct store_execution *execution)
{
    struct done done = {0};
    struct err err;
    sem_init(&done.posted, 0, 0);
    cr_assert(store_put_execution(store, execution, done_cb, &done, &err), "%s", err.message);
    sem_wait(&done.posted);
    return done.ok_count == 1;
}

bool get(struct store *store, int number, struct arena *arena, struct store_execution *out,
         struct err *err)
{
    return store_get_execution(store, sample(number).request_id, arena, out, err);
}

static void gate_cb(void *context, bool ok)
{
    struct gate *gate = context;
    cr_assert(ok);
    sem_post(&gate->entered);
    sem_wait(&gate->leave);
}

/* Holds the writer inside a callback. */
void hold(struct store *store, struct gate *gate)
{
    struct err err;
    struct store_execution execution = sample(-1);
    sem_init(&gate->entered, 0, 0);
    sem_init(&gate->leave, 0, 0);
    cr_assert(store_put_execution(store, &execution, gate_cb, gate, &err));
    sem_wait(&gate->entered);
}

struct store_api_key key_sample(const char *id, int64_t created_ms)
{
    struct store_api_key key = {.name = "a name",
                                .scopes = STORE_SCOPE_EXECUTE | STORE_SCOPE_ADMIN,
                                .created_ms = created_ms,
                                .expires_ms = 77};
    snprintf(key.id, sizeof(key.id), "%s", id);
    memset(key.secret_hash, 5, sizeof(key.secret_hash));
    return key;
}

void add_key(struct store *store, const char *id, int64_t created_ms)
{
    struct err err;
    struct store_api_key key = key_sample(id, created_ms);
    cr_assert(store_add_api_key(store, &key, &err), "%s", err.message);
}

uint64_t version_of(struct store *store)
{
    uint64_t version = 0;
    struct err err;
    cr_assert(store_api_keys_version(store, &version, &err), "%s", err.message);
    return version;
}
