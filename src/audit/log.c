/* log.c: the public side of an open log, and its writer thread.
 *
 * Group commit: while one batch is being synced the next one gathers. An idle log commits the first
 * entry at once. Only when the last batch was larger, and has just been answered, does a batch wait
 * a little for as many again: whoever submitted them is about to submit anew, and one sync serves
 * all of them as well as one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

/* Waiting is real whatever clock stamps the entries. */
static uint64_t now_ns(void)
{
    return clock_monotonic_ns(&clock_system);
}

/* ---- life ---- */

/* The largest batch in bytes. */
static size_t batch_bytes_max(const struct audit_config *config)
{
    return (size_t)config->batch_entries_max * (AUDIT_ENTRY_PREFIX_BYTES + AUDIT_LEAF_BYTES_MAX);
}

static void config_fill(struct audit_config *config)
{
    if (config->batch_delay_ms_max == 0) {
        config->batch_delay_ms_max = AUDIT_BATCH_DELAY_MS_DEFAULT;
    }
    if (config->batch_entries_max == 0) {
        config->batch_entries_max = AUDIT_BATCH_ENTRIES_DEFAULT;
    }
    if (config->pending_entries_max == 0) {
        config->pending_entries_max = AUDIT_PENDING_ENTRIES_DEFAULT;
    }
    if (config->clock == NULL) {
        config->clock = &clock_system;
    }
}

static bool directory_lock(struct audit_log *log, struct err *err)
{
    const char *directory = log->config.directory;
    log->directory_fd =
        log->io->open(log->io->context, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
    if (log->directory_fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return err_set(err, ERR_TAMPERED,
                           "there is no log in %s: make one with `wasm-hypervisor audit init`, or "
                           "restore the one that was there",
                           directory);
        }
        return err_set(err, ERR_IO, "%s: %s", directory, strerror(errno));
    }
    if (flock(log->directory_fd, LOCK_EX | LOCK_NB) != 0) {
        return err_set(err, errno == EWOULDBLOCK ? ERR_BUSY : ERR_IO, "%s: %s", directory,
                       errno == EWOULDBLOCK ? "another process has the log open" : strerror(errno));
    }
    return true;
}

static bool sync_make(struct audit_log *log, struct err *err)
{
    pthread_condattr_t attributes;
    bool ok = false;
    if (pthread_condattr_init(&attributes) != 0) {
        return err_set(err, ERR_NO_MEMORY, "no condition variable");
    }
    if (pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&log->wake, &attributes) != 0) {
        err_set(err, ERR_NO_MEMORY, "no condition variable");
        goto out;
    }
    if (pthread_mutex_init(&log->mutex, NULL) != 0) {
        pthread_cond_destroy(&log->wake);
        err_set(err, ERR_NO_MEMORY, "no mutex");
        goto out;
    }
    log->sync_made = true;
    ok = true;
out:
    pthread_condattr_destroy(&attributes);
    return ok;
}

/* A proof must not fail for lack of memory once its entry is on the disk. */
static bool proof_reserve(struct audit_log *log, struct err *err)
{
    static const uint8_t zeros[AUDIT_TLOG_PROOF_BYTES_MAX];
    buffer_append(&log->proof, zeros, sizeof(zeros));
    log->proof.size = 0;
    if (log->proof.failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for proofs");
    }
    return true;
}

bool audit_log_new(const struct audit_io *io, const struct audit_config *config,
                   struct audit_log **out, struct err *err)
{
    struct audit_log *log = HEAP_NEW(struct audit_log);
    if (log == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the log");
    }
    log->io = io;
    log->config = *config;
    config_fill(&log->config);
    log->directory_fd = -1;
    log->entries_fd = -1;
    list_init(&log->queue);
    histogram_init(&log->times.batch, HISTOGRAM_ENTRIES);
    buffer_init(&log->write, batch_bytes_max(&log->config));
    buffer_init(&log->note, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&log->proof, AUDIT_TLOG_PROOF_BYTES_MAX);
    buffer_init(&log->committed.note, AUDIT_CHECKPOINT_BYTES_MAX);
    audit_range_init(&log->check);
    log->config.directory = heap_strdup(config->directory);
    if (log->config.directory == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for the log");
        goto fail;
    }
    size_t batch_leaves_max = log->config.batch_entries_max > AUDIT_BATCH_ENTRIES_DEFAULT
                                  ? log->config.batch_entries_max
                                  : AUDIT_BATCH_ENTRIES_DEFAULT;
    if (!sync_make(log, err) || !proof_reserve(log, err) || !directory_lock(log, err) ||
        !audit_tree_open(&log->tree, io, log->directory_fd, batch_leaves_max, err)) {
        goto fail;
    }
    *out = log;
    return true;
fail:
    audit_log_free(log);
    return false;
}

void audit_log_free(struct audit_log *log)
{
    if (log == NULL) {
        return;
    }
    assert(!log->writer_runs && list_is_empty(&log->queue));
    crypto_signer_free(log->signer);
    audit_tree_close(&log->tree);
    if (log->entries_fd >= 0) {
        close(log->entries_fd);
    }
    if (log->directory_fd >= 0) {
        close(log->directory_fd); /* and with it the lock */
    }
    if (log->sync_made) {
        pthread_mutex_destroy(&log->mutex);
        pthread_cond_destroy(&log->wake);
    }
    buffer_release(&log->write);
    buffer_release(&log->note);
    buffer_release(&log->proof);
    buffer_release(&log->committed.note);
    audit_offsets_release(&log->committed.offsets);
    audit_unanswered_release(&log->unanswered);
    heap_free((char *)(uintptr_t)log->config.directory);
    heap_free(log);
}

/* ---- the writer thread ---- */

/* Waits for a batch to be worth its sync. Holds the mutex; the queue is not empty. */
static void writer_gather(struct audit_log *log)
{
    const struct audit_pending *first = LIST_ENTRY(log->queue.next, struct audit_pending, link);
    uint64_t delay_ns = (uint64_t)log->config.batch_delay_ms_max * NS_PER_MS;
    if (now_ns() - log->last_commit_ns > delay_ns) {
        return; /* the log was idle: nobody else is about to come */
    }
    uint64_t until_ns = first->submitted_ns + delay_ns;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};
    log->wake_at = log->last_batch_count;
    while (log->queue_count < log->last_batch_count && !log->closing) {
        if (pthread_cond_timedwait(&log->wake, &log->mutex, &until) != 0) {
            break;
        }
    }
}

/* Moves the next batch out of the queue. False: the log is closing and there is none. */
static bool writer_take(struct audit_log *log, struct list *batch)
{
    pthread_mutex_lock(&log->mutex);
    log->wake_at = 1;
    while (list_is_empty(&log->queue) && !log->closing) {
        pthread_cond_wait(&log->wake, &log->mutex);
    }
    if (!list_is_empty(&log->queue)) {
        writer_gather(log);
    }
    size_t count = 0;
    while (count < log->config.batch_entries_max && !list_is_empty(&log->queue)) {
        list_push_back(batch, list_pop_front(&log->queue));
        count++;
    }
    log->queue_count -= count;
    log->last_batch_count = count;
    pthread_mutex_unlock(&log->mutex);
    return count > 0;
}

static void writer_die(struct audit_log *log, struct list *batch, const struct err *err)
{
    pthread_mutex_lock(&log->mutex);
    log->dead = true;
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

static void *writer_run(void *context)
{
    struct audit_log *log = context;
    struct list batch;
    struct err err;
    list_init(&batch);
    while (writer_take(log, &batch)) {
        if (!audit_log_commit(log, &batch, &err)) {
            err_wrap(&err, "the audit log %s stops", log->config.directory);
            writer_die(log, &batch, &err);
            return NULL;
        }
        audit_log_answer(log, &batch, true);
        log->last_commit_ns = now_ns();
    }
    return NULL;
}

/* ---- the public side ---- */

bool audit_log_open_with(const struct audit_io *io, const struct audit_config *config,
                         void (*fatal)(void *context, const struct err *err), void *context,
                         struct audit_log **out, struct audit_recovery *recovery, struct err *err)
{
    struct audit_log *log = NULL;
    if (!audit_log_new(io, config, &log, err)) {
        return false;
    }
    log->fatal = fatal;
    log->fatal_context = context;
    if (!audit_log_recover(log, recovery, err)) {
        goto fail;
    }
    int code = pthread_create(&log->writer, NULL, writer_run, log);
    if (code != 0) {
        err_set(err, ERR_NO_MEMORY, "the log's thread: %s", strerror(code));
        goto fail;
    }
    log->writer_runs = true;
    *out = log;
    return true;
fail:
    audit_log_free(log);
    return false;
}

bool audit_log_open(const struct audit_config *config,
                    void (*fatal)(void *context, const struct err *err), void *context,
                    struct audit_log **out, struct audit_recovery *recovery, struct err *err)
{
    return audit_log_open_with(&audit_io_system, config, fatal, context, out, recovery, err);
}

void audit_log_close(struct audit_log *log)
{
    if (log == NULL) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    log->closing = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->mutex);
    pthread_join(log->writer, NULL);
    log->writer_runs = false;
    audit_log_free(log);
}

const char *audit_log_origin(const struct audit_log *log)
{
    return log->key.name;
}

const char *audit_log_vkey(const struct audit_log *log)
{
    return log->vkey;
}

uint64_t audit_log_size(struct audit_log *log)
{
    pthread_mutex_lock(&log->mutex);
    uint64_t size = log->committed.size;
    pthread_mutex_unlock(&log->mutex);
    return size;
}

uint64_t audit_log_pending(struct audit_log *log)
{
    pthread_mutex_lock(&log->mutex);
    uint64_t count = log->pending_count;
    pthread_mutex_unlock(&log->mutex);
    return count;
}

const struct audit_times *audit_log_times(const struct audit_log *log)
{
    return &log->times;
}

bool audit_log_checkpoint(struct audit_log *log, struct buffer *out)
{
    pthread_mutex_lock(&log->mutex);
    buffer_append_bytes(out, buffer_bytes(&log->committed.note));
    pthread_mutex_unlock(&log->mutex);
    return !out->failed;
}

bool audit_log_submit(struct audit_log *log, enum audit_kind kind, json_t *fields,
                      audit_commit_cb cb, void *context, struct err *err)
{
    struct audit_pending *pending = NULL;
    bool ok = false;
    assert(kind == AUDIT_ADMIT || kind == AUDIT_RESULT || kind == AUDIT_EPOCH);
    pthread_mutex_lock(&log->mutex);
    if (log->dead || log->closing) {
        err_set(err, ERR_CLOSED, "the audit log is %s", log->dead ? "dead" : "closing");
        goto out;
    }
    if (log->pending_count >= log->config.pending_entries_max) {
        err_set(err, ERR_OVERLOADED, "%zu entries wait for the audit log", log->pending_count);
        goto out;
    }
    if (!audit_pending_new(log, kind, fields, &pending, err)) {
        goto out;
    }
    pending->cb = cb;
    pending->context = context;
    pending->submitted_ns = now_ns();
    list_push_back(&log->queue, &pending->link);
    log->queue_count++;
    if (log->queue_count >= log->wake_at) {
        pthread_cond_signal(&log->wake);
    }
    ok = true;
out:
    pthread_mutex_unlock(&log->mutex);
    return ok;
}

/* ---- reading ---- */

struct position {
    uint64_t size; /* committed */
    uint64_t index;
    uint64_t offset; /* of the entry `index`, at or before the wanted one */
};

/* Where to start reading for `index`; also copies the checkpoint that `size` belongs to. */
static bool position_find(struct audit_log *log, uint64_t index, struct buffer *note,
                          struct position *out, struct err *err)
{
    bool found = false;
    pthread_mutex_lock(&log->mutex);
    out->size = log->committed.size;
    found = index < out->size;
    if (found) {
        audit_offsets_find(&log->committed.offsets, index, &out->index, &out->offset);
    }
    if (note != NULL) {
        buffer_append_bytes(note, buffer_bytes(&log->committed.note));
    }
    pthread_mutex_unlock(&log->mutex);
    return found || err_set(err, ERR_NOT_FOUND, "the log has no entry %" PRIu64, index);
}

/* Calls visit for the entries [first, position.size); those before are passed over. */
static bool entries_visit(struct audit_log *log, struct position position, uint64_t first,
                          bool (*visit)(void *context, uint64_t index, struct bytes leaf),
                          void *context, struct err *err)
{
    struct audit_entry_reader reader;
    bool ok = false;
    if (!audit_entry_reader_open(&reader, log->io, log->entries_fd, position.offset, err)) {
        return false;
    }
    for (uint64_t index = position.index; index < position.size; index++) {
        struct bytes leaf;
        enum audit_entry_result result = audit_entry_next(&reader, &leaf, err);
        if (result == AUDIT_ENTRY_FAILED) {
            goto out;
        }
        if (result != AUDIT_ENTRY_WHOLE) {
            err_set(err, ERR_TAMPERED,
                    "entry %" PRIu64 " of %s/%s is not there any more: stop, keep the directory as "
                    "evidence, run `wasm-hypervisor audit verify` on it",
                    index, log->config.directory, AUDIT_ENTRIES_FILE);
            goto out;
        }
        if (index >= first && !visit(context, index, leaf)) {
            break;
        }
    }
    ok = true;
out:
    audit_entry_reader_close(&reader);
    return ok;
}

bool audit_log_each(struct audit_log *log, uint64_t first,
                    bool (*visit)(void *context, uint64_t index, struct bytes leaf), void *context,
                    struct err *err)
{
    struct position position;
    struct err beyond;
    if (!position_find(log, first, NULL, &position, &beyond)) {
        return true; /* nothing from there on */
    }
    return entries_visit(log, position, first, visit, context, err);
}

static bool visit_copy(void *context, uint64_t index, struct bytes leaf)
{
    (void)index;
    buffer_append_bytes(context, leaf);
    return false; /* one is enough */
}

bool audit_log_prove(struct audit_log *log, uint64_t index, struct buffer *leaf,
                     struct buffer *tlog_proof, struct err *err)
{
    uint8_t hashes[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    uint8_t leaf_hash[AUDIT_HASH_BYTES];
    size_t hash_count = 0;
    size_t leaf_start = leaf->size;
    struct position position;
    struct audit_checkpoint checkpoint;
    struct buffer note;
    bool ok = false;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    if (!position_find(log, index, &note, &position, err) ||
        !entries_visit(log, position, index, visit_copy, leaf, err) ||
        !audit_inclusion_prove(index, position.size, audit_tree_stored_node, &log->tree, hashes,
                               &hash_count, err)) {
        goto out;
    }
    if (leaf->failed || note.failed) {
        err_set(err, ERR_NO_MEMORY, "no memory for a proof");
        goto out;
    }
    /* The disk is read again, so what it says is checked again. */
    audit_leaf_hash(bytes_of(leaf->ptr + leaf_start, leaf->size - leaf_start), leaf_hash);
    if (audit_checkpoint_open(buffer_bytes(&note), &log->key, &checkpoint) != AUDIT_OK ||
        !audit_inclusion_verify(index, checkpoint.size, leaf_hash, hashes, hash_count,
                                checkpoint.root)) {
        err_set(err, ERR_TAMPERED, "entry %" PRIu64 " of %s/%s is not what was committed", index,
                log->config.directory, AUDIT_ENTRIES_FILE);
        goto out;
    }
    audit_tlog_proof_format(index, hashes, hash_count, buffer_bytes(&note), tlog_proof);
    ok = !tlog_proof->failed || err_set(err, ERR_NO_MEMORY, "no memory for a proof");
out:
    buffer_release(&note);
    return ok;
}
