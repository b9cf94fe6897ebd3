/* writer.c: the writer thread of an open log: which entries make a batch.
 *
 * Group commit: while one batch is being synced the next one gathers. An idle log commits the first
 * entry at once. Only when the last batch was larger, and no small one, and has just been answered,
 * does a batch wait a little for as many again: whoever submitted them is about to submit anew, and
 * one sync serves all of them as well as one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "base/process.h"
#include "base/wait.h"

enum {
    WORTH_WAITING = 4, /* entries: a commit for fewer takes less than waiting for them */
    NS_PER_MS = 1000000,
};

/* Waiting is real whatever clock stamps the entries. */
static uint64_t now_ns(void)
{
    return clock_monotonic_ns(&clock_system);
}

/* Waits for a batch to be worth its sync. Holds the mutex; the queue is not empty. */
static void writer_gather(struct audit_log *log)
{
    const struct audit_pending *first = LIST_ENTRY(log->queue.next, struct audit_pending, link);
    uint64_t delay_ns = (uint64_t)log->config.batch_delay_ms_max * NS_PER_MS;
    if (log->last_batch_count < WORTH_WAITING || now_ns() - log->last_commit_ns > delay_ns) {
        return; /* the log was idle, or nearly so: nobody else is about to come */
    }
    log->wake_at = log->last_batch_count;
    while (log->queue_count < log->last_batch_count && !log->closing &&
           wait_until(&log->wake, &log->mutex, first->submitted_ns + delay_ns)) {
    }
}

static void writer_take(struct audit_log *log, struct list *batch)
{
    writer_gather(log);
    size_t count = 0;
    enum audit_after after = AUDIT_AFTER_NOTHING;
    while (count < log->config.batch_entries_max && !list_is_empty(&log->queue) &&
           after == AUDIT_AFTER_NOTHING) {
        struct list *link = list_pop_front(&log->queue);
        after = LIST_ENTRY(link, struct audit_pending, link)->after;
        list_push_back(batch, link);
        count++;
    }
    log->queue_count -= count;
    log->last_batch_count = count;
    log->ahead.is_wanted = true;
}

enum writer_work { WRITER_COMMIT, WRITER_END };

/* Waits for something to do; with COMMIT the batch is taken out of the queue. */
static enum writer_work writer_next(struct audit_log *log, struct list *batch)
{
    enum writer_work work = WRITER_END;
    pthread_mutex_lock(&log->mutex);
    log->wake_at = 1;
    while (list_is_empty(&log->queue) && !log->closing && !log->save.failed) {
        pthread_cond_wait(&log->wake, &log->mutex);
    }
    if (!list_is_empty(&log->queue) && !log->save.failed) {
        work = WRITER_COMMIT;
        writer_take(log, batch);
    }
    pthread_mutex_unlock(&log->mutex);
    return work;
}

static void writer_die(struct audit_log *log, struct list *batch, const struct err *err)
{
    pthread_mutex_lock(&log->mutex);
    log->dead = true;
    log->save.ends = true;
    while (!list_is_empty(&log->queue)) {
        list_push_back(batch, list_pop_front(&log->queue));
    }
    log->queue_count = 0;
    pthread_mutex_unlock(&log->mutex);
    if (log->fatal != NULL) {
        log->fatal(log->fatal_context, err);
    }
    audit_log_answer(log, batch, false);
}

static bool writer_commit(struct audit_log *log, struct list *batch, struct err *err)
{
    if (!audit_log_commit(log, batch, err)) {
        return false;
    }
    switch (LIST_ENTRY(batch->prev, struct audit_pending, link)->after) {
    case AUDIT_AFTER_NOTHING:
        return true;
    case AUDIT_AFTER_BEGIN_SEGMENT:
        return audit_ahead_cut(log, err) && audit_segment_begin(log, err) &&
               audit_log_save(log, err);
    case AUDIT_AFTER_SWITCH_KEY:
        return audit_key_switch(log, err);
    }
    return true;
}

void *audit_writer_run(void *context)
{
    struct audit_log *log = context;
    enum writer_work work;
    struct list batch;
    struct err err;
    list_init(&batch);
    process_thread_name("log writer");
    process_thread_be_prompt();
    do {
        work = writer_next(log, &batch);
        bool ok = work == WRITER_COMMIT ? writer_commit(log, &batch, &err)
                                        : audit_log_save(log, &err) && audit_ahead_cut(log, &err);
        if (!ok) {
            err_wrap(&err, "the audit log %s stops", log->config.directory);
            writer_die(log, &batch, &err);
            return NULL;
        }
        if (work == WRITER_COMMIT) {
            audit_log_answer(log, &batch, true);
            log->last_commit_ns = now_ns();
        }
    } while (work != WRITER_END);
    return NULL;
}
