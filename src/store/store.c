/* store.c: opening and closing the store, and how far the index has come.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include "base/arena.h"
#include "store/writer.h"

bool store_open(const char *path, const struct clock *clock, struct store **out, bool *created,
                struct err *err)
{
    bool made = false;
    struct store *store = HEAP_NEW(struct store);
    if (store == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the store");
    }
    store->clock = clock;
    store->path = heap_strdup(path);
    if (store->path == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for the store");
        goto memory;
    }
    if (!store_database_open(&store->write, store->path, &made, err)) {
        goto memory;
    }
    if (!store_database_open(&store->read, store->path, NULL, err)) {
        goto write;
    }
    if (pthread_mutex_init(&store->read_mutex, NULL) != 0) {
        err_set(err, ERR_NO_MEMORY, "no mutex");
        goto read;
    }
    if (!store_writer_start(store, err)) {
        goto mutex;
    }
    *created = made;
    *out = store;
    return true;
mutex:
    pthread_mutex_destroy(&store->read_mutex);
read:
    store_database_close(&store->read);
write:
    store_database_close(&store->write);
memory:
    heap_free(store->path);
    heap_free(store);
    return false;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    store_writer_stop(store);
    store_database_close(&store->read);
    store_database_close(&store->write);
    pthread_mutex_destroy(&store->read_mutex);
    memory_wipe(store->answer_key, sizeof(store->answer_key));
    heap_free(store->path);
    heap_free(store);
}

static bool read_number(struct store *store, const char *name, uint64_t *out, struct err *err)
{
    pthread_mutex_lock(&store->read_mutex);
    bool ok = store_meta_get(&store->read, name, out, err);
    pthread_mutex_unlock(&store->read_mutex);
    return ok;
}

bool store_indexed_size(struct store *store, uint64_t *out, struct err *err)
{
    return read_number(store, STORE_META_INDEXED_SIZE, out, err);
}

bool store_api_keys_version(struct store *store, uint64_t *out, struct err *err)
{
    return read_number(store, STORE_META_API_KEYS_VERSION, out, err);
}

struct size_call {
    struct store_call call;
    uint64_t size;
};

static bool size_run(const struct database *database, struct store_job *job, bool *own,
                     struct err *err)
{
    (void)own;
    const struct size_call *call = (const struct size_call *)(void *)job;
    return store_meta_set(database, STORE_META_INDEXED_SIZE, call->size, err);
}

bool store_set_indexed_size(struct store *store, uint64_t size, struct err *err)
{
    struct size_call call = {.call.job.run = size_run, .size = size};
    return store_writer_call(store, &call.call, err);
}
