/* stress_store.c: many threads put, read and change keys in one store at once, for ThreadSanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 6, ROWS_EACH = 200, PATH_BYTES = 256 };

static struct store *store;
static _Atomic unsigned done_count;

static void check(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "stress_store: %s\n", what);
        exit(1);
    }
}

static void done_cb(void *context, bool ok)
{
    (void)context;
    check(ok, "a put failed");
    atomic_fetch_add(&done_count, 1);
}

static void *thread_run(void *context)
{
    unsigned number = *(const unsigned *)context;
    struct err err;
    for (unsigned i = 0; i < ROWS_EACH; i++) {
        struct arena arena;
        struct store_execution row = {.state = "COMPLETED", .result_index = i, .expires_ms = 1};
        struct store_execution found;
        unsigned id[2] = {number, i};
        uint64_t version = 0;
        memcpy(row.request_id, id, sizeof(id));
        check(store_put_execution(store, &row, done_cb, NULL, &err), "no put");
        if (i % 50 == 0) {
            struct store_api_key key = {.name = "stress"};
            (void)snprintf(key.id, sizeof(key.id), "%04x%04x", number, i);
            check(store_add_api_key(store, &key, &err), "no key");
            check(store_revoke_api_key(store, key.id, &err), "no revocation");
            /* Those calls waited for what was put before them. */
            arena_init(&arena, NULL);
            check(store_get_execution(store, row.request_id, &arena, &found, &err), "no row");
            arena_release(&arena);
        }
        check(store_api_keys_version(store, &version, &err), "no version");
    }
    return NULL;
}

int main(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    const char *base = getenv("TMPDIR");
    char directory[PATH_BYTES];
    char path[2 * PATH_BYTES];
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    bool created = false;
    struct err err;
    (void)snprintf(directory, sizeof(directory), "%s/stress_store.XXXXXX",
                   base == NULL ? "/tmp" : base);
    check(mkdtemp(directory) != NULL, "no directory");
    (void)snprintf(path, sizeof(path), "%s/store.db", directory);
    check(store_open(path, &clock_system, &store, &created, &err) && created, "no store");
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        check(pthread_create(&threads[i], NULL, thread_run, &numbers[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    store_close(store);
    check(atomic_load(&done_count) == THREADS * ROWS_EACH, "callbacks are missing");
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/store.db%s", directory, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
    return 0;
}
