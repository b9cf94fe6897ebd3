/* writer.c: the store's one writing thread (writer.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/writer.h"

#include "base/process.h"
#include "base/wait.h"

#include <assert.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

static bool queue_is_due(const struct store *store)
{
    return store->closing || store->impatient_count > 0 ||
           store->queue_count >= STORE_TRANSACTION_JOBS_MAX ||
           store->queue_bytes >= STORE_QUEUE_BYTES_MAX / 2;
}

/* Lets patient jobs lie. Holds the mutex; waiting is real whatever clock stamps the rows. */
static void batch_gather(struct store *store)
{
    uint64_t until_ns = wait_end_ns((uint64_t)STORE_GATHER_MS * NS_PER_MS);
    while (!queue_is_due(store) && wait_until(&store->wake, &store->mutex, until_ns)) {
    }
}

/* Waits for jobs and moves up to a transaction's worth into *batch. False: closing, none left. */
static bool batch_take(struct store *store, struct list *batch)
{
    size_t count = 0;
    pthread_mutex_lock(&store->mutex);
    while (list_is_empty(&store->queue) && !store->closing) {
        pthread_cond_wait(&store->wake, &store->mutex);
    }
    batch_gather(store);
    while (count < STORE_TRANSACTION_JOBS_MAX && !list_is_empty(&store->queue)) {
        struct list *link = list_pop_front(&store->queue);
        const struct store_job *job = LIST_ENTRY(link, struct store_job, link);
        store->queue_bytes -= job->size;
        store->impatient_count -= !job->is_patient;
        list_push_back(batch, link);
        count++;
    }
    store->queue_count -= count;
    pthread_mutex_unlock(&store->mutex);
    return count > 0;
}

static bool statement_run(const struct database *database, enum database_statement which,
                          struct err *err)
{
    return store_database_run(database, store_database_statement(database, which), err);
}

static bool batch_run(const struct database *database, const struct list *batch, struct err *err)
{
    if (!statement_run(database, DATABASE_BEGIN, err)) {
        return false;
    }
    for (struct list *link = batch->next; link != batch; link = link->next) {
        struct store_job *job = LIST_ENTRY(link, struct store_job, link);
        bool own = false;
        job->failed = !job->run(database, job, &own, &job->err);
        if (job->failed && !own) {
            *err = job->err;
            goto rollback;
        }
    }
    if (statement_run(database, DATABASE_COMMIT, err)) {
        return true;
    }
rollback:
    /* Some errors have ended the transaction by themselves. */
    if (sqlite3_get_autocommit(database->handle) == 0) {
        struct err ignored;
        (void)!statement_run(database, DATABASE_ROLLBACK, &ignored);
    }
    return false;
}

static void batch_finish(struct list *batch, const struct err *err)
{
    struct list *link;
    while ((link = list_pop_front(batch)) != NULL) {
        struct store_job *job = LIST_ENTRY(link, struct store_job, link);
        struct err own = job->err;
        bool failed = job->failed;
        job->finish(job, err != NULL ? err : failed ? &own : NULL);
    }
}

static void *writer_run(void *context)
{
    struct store *store = context;
    struct list batch;
    struct err err;
    list_init(&batch);
    process_thread_name("store writer");
    process_thread_be_prompt();
    while (batch_take(store, &batch)) {
        uint64_t began_ns = clock_monotonic_ns(&clock_system);
        bool ok = batch_run(&store->write, &batch, &err);
        histogram_add(&store->transactions, clock_monotonic_ns(&clock_system) - began_ns);
        batch_finish(&batch, ok ? NULL : &err);
    }
    return NULL;
}

bool store_writer_start(struct store *store, struct err *err)
{
    list_init(&store->queue);
    if (pthread_mutex_init(&store->mutex, NULL) != 0) {
        return err_set(err, ERR_NO_MEMORY, "no mutex");
    }
    wait_init(&store->wake);
    int code = pthread_create(&store->writer, NULL, writer_run, store);
    if (code == 0) {
        return true;
    }
    err_set(err, ERR_NO_MEMORY, "the store's thread: %s", strerror(code));
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    return false;
}

void store_writer_stop(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->closing = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->writer, NULL);
    assert(list_is_empty(&store->queue));
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
}

bool store_writer_queue(struct store *store, struct store_job *job, struct err *err)
{
    bool ok = false;
    list_init(&job->link);
    pthread_mutex_lock(&store->mutex);
    /* One job is always let in, whatever its size. */
    bool full = store->queue_count >= STORE_QUEUE_JOBS_MAX ||
                (store->queue_count > 0 && store->queue_bytes + job->size > STORE_QUEUE_BYTES_MAX);
    if (full) {
        err_set(err, ERR_OVERLOADED, "%zu changes wait for the store", store->queue_count);
        goto out;
    }
    list_push_back(&store->queue, &job->link);
    store->queue_count++;
    store->queue_bytes += job->size;
    store->impatient_count += !job->is_patient;
    if (store->queue_count == 1 || queue_is_due(store)) {
        pthread_cond_signal(&store->wake);
    }
    ok = true;
out:
    pthread_mutex_unlock(&store->mutex);
    return ok;
}

void store_facts(struct store *store, struct store_facts *out)
{
    pthread_mutex_lock(&store->mutex);
    *out = (struct store_facts){store->queue_count, store->queue_bytes, &store->transactions};
    pthread_mutex_unlock(&store->mutex);
}

static void put_finish(struct store_job *job, const struct err *err)
{
    struct store_put *put = (struct store_put *)(void *)job;
    if (put->done != NULL) {
        put->done(put->context, err == NULL);
    }
    heap_free(put);
}

bool store_writer_put(struct store *store, struct store_put *put, struct err *err)
{
    static_assert(offsetof(struct store_put, job) == 0, "a put is its job");
    put->job.finish = put_finish;
    bool ok = store_writer_queue(store, &put->job, err);
    if (!ok) {
        heap_free(put);
    }
    return ok;
}

static void call_finish(struct store_job *job, const struct err *err)
{
    struct store_call *call = (struct store_call *)(void *)job;
    pthread_mutex_lock(&call->mutex);
    call->ok = err == NULL;
    if (err != NULL) {
        job->err = *err;
    }
    call->done = true;
    pthread_cond_signal(&call->done_condition);
    pthread_mutex_unlock(&call->mutex);
}

bool store_writer_call(struct store *store, struct store_call *call, struct err *err)
{
    bool ok = false;
    static_assert(offsetof(struct store_call, job) == 0, "a call is its job");
    call->job.finish = call_finish;
    if (pthread_mutex_init(&call->mutex, NULL) != 0) {
        return err_set(err, ERR_NO_MEMORY, "no mutex");
    }
    if (pthread_cond_init(&call->done_condition, NULL) != 0) {
        err_set(err, ERR_NO_MEMORY, "no condition variable");
        goto mutex;
    }
    if (!store_writer_queue(store, &call->job, err)) {
        goto condition;
    }
    pthread_mutex_lock(&call->mutex);
    while (!call->done) {
        pthread_cond_wait(&call->done_condition, &call->mutex);
    }
    pthread_mutex_unlock(&call->mutex);
    ok = call->ok;
    if (!ok) {
        *err = call->job.err;
    }
condition:
    pthread_cond_destroy(&call->done_condition);
mutex:
    pthread_mutex_destroy(&call->mutex);
    return ok;
}
