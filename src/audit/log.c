/* log.c: the life of an open log, and submitting to it.
 *
 * A leaf is built by its submitter's thread; under the mutex it only gets its index and its link to
 * the leaf before it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include "audit/verify.h"

#include "base/arena.h"
#include "base/wait.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000 };

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
    if (config->batch_entries_max == 0 || config->batch_entries_max > AUDIT_BATCH_ENTRIES_MAX) {
        config->batch_entries_max = AUDIT_BATCH_ENTRIES_MAX;
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
    if (pthread_mutex_init(&log->mutex, NULL) != 0) {
        return err_set(err, ERR_NO_MEMORY, "no mutex");
    }
    wait_init(&log->wake);
    wait_init(&log->save.changed);
    log->sync_made = true;
    return true;
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
    buffer_init(&log->text, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&log->note, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&log->proof, AUDIT_TLOG_PROOF_BYTES_MAX);
    buffer_init(&log->committed.note, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&log->save.note, AUDIT_CHECKPOINT_BYTES_MAX);
    audit_range_init(&log->check);
    audit_range_init(&log->placed);
    log->config.directory = heap_strdup(config->directory);
    if (log->config.directory == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for the log");
        goto fail;
    }
    if (!sync_make(log, err) || !proof_reserve(log, err) || !directory_lock(log, err) ||
        !audit_tree_open(&log->tree, io, log->directory_fd, AUDIT_BATCH_ENTRIES_MAX, err)) {
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
    crypto_signer_free(log->next_signer);
    for (struct audit_vkey *vkey = atomic_load(&log->vkey); vkey != NULL;) {
        struct audit_vkey *older = vkey->older;
        heap_free(vkey);
        vkey = older;
    }
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
        pthread_cond_destroy(&log->save.changed);
    }
    buffer_release(&log->write);
    buffer_release(&log->text);
    buffer_release(&log->note);
    buffer_release(&log->proof);
    buffer_release(&log->committed.note);
    buffer_release(&log->save.note);
    audit_offsets_release(&log->committed.offsets);
    audit_unanswered_release(&log->unanswered);
    audit_segments_release(&log->segments);
    heap_free((char *)(uintptr_t)log->config.directory);
    heap_free(log);
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
    if (!audit_saver_start(log, err)) {
        goto fail;
    }
    int code = pthread_create(&log->writer, NULL, audit_writer_run, log);
    if (code != 0) {
        audit_saver_end(log);
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
    audit_saver_end(log);
    audit_log_free(log);
}

const char *audit_log_origin(const struct audit_log *log)
{
    return log->key.name;
}

const char *audit_log_vkey(const struct audit_log *log)
{
    return atomic_load(&log->vkey)->text;
}

const char *audit_log_first_vkey(const struct audit_log *log)
{
    const struct audit_vkey *first = atomic_load(&log->vkey);
    while (first->older != NULL) {
        first = first->older;
    }
    return first->text;
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

uint64_t audit_log_sync_began_ns(const struct audit_log *log)
{
    return atomic_load_explicit(&log->sync_began_ns, memory_order_relaxed);
}

bool audit_log_checkpoint(struct audit_log *log, struct buffer *out)
{
    pthread_mutex_lock(&log->mutex);
    buffer_append_bytes(out, buffer_bytes(&log->committed.note));
    pthread_mutex_unlock(&log->mutex);
    return !out->failed;
}

/* Holds the mutex, as the next. */
static bool submit_is_alive(const struct audit_log *log, struct err *err)
{
    return (!log->dead && !log->closing) ||
           err_set(err, ERR_CLOSED, "the audit log is %s", log->dead ? "dead" : "closing");
}

static bool submit_is_open(const struct audit_log *log, struct err *err)
{
    return submit_is_alive(log, err) &&
           (log->pending_count < log->config.pending_entries_max ||
            err_set(err, ERR_OVERLOADED, "%zu entries wait for the audit log", log->pending_count));
}

void audit_log_enqueue(struct audit_log *log, struct audit_pending *pending)
{
    pending->submitted_ns = now_ns();
    list_push_back(&log->queue, &pending->link);
    log->queue_count++;
}

/* Leaves the mutex, and then wakes the writer if there is enough for it: it needs it at once. */
static void submit_leave(struct audit_log *log)
{
    bool wakes = log->queue_count > 0 && log->queue_count >= log->wake_at;
    pthread_mutex_unlock(&log->mutex);
    if (wakes) {
        pthread_cond_signal(&log->wake);
    }
}

bool audit_log_submit(struct audit_log *log, enum audit_kind kind, json_t *fields,
                      audit_commit_cb cb, void *context, struct err *err)
{
    struct audit_pending *pending = NULL;
    struct audit_pending *closing = NULL;
    struct audit_draft draft;
    assert(kind == AUDIT_ADMIT || kind == AUDIT_RESULT || kind == AUDIT_EPOCH ||
           kind == AUDIT_AUTH_FAILURES);
    if (!audit_draft_init(&draft, kind, clock_wall_ms(log->config.clock), fields, err)) {
        return false;
    }
    pthread_mutex_lock(&log->mutex);
    /* What was admitted has to end: there are no more RESULTs than ADMITs have been let in. */
    bool ok = (kind == AUDIT_RESULT ? submit_is_alive(log, err) : submit_is_open(log, err)) &&
              audit_segment_end_due(log, draft.pending->time_ms, &closing, err);
    if (closing != NULL) {
        audit_log_enqueue(log, closing);
    }
    ok = ok && audit_draft_place(log, &draft, &pending, err);
    if (ok) {
        pending->cb = cb;
        pending->context = context;
        audit_log_enqueue(log, pending);
    }
    submit_leave(log);
    audit_draft_release(&draft);
    return ok;
}

bool audit_log_rotate(struct audit_log *log, audit_commit_cb cb, void *context, struct err *err)
{
    struct audit_pending *closing = NULL;
    pthread_mutex_lock(&log->mutex);
    uint64_t last = log->next_index - 1;
    bool is_empty = log->segment.until_ms == 0;
    bool ok = submit_is_open(log, err) && (is_empty || audit_segment_end(log, &closing, err));
    if (closing != NULL) {
        closing->cb = cb;
        closing->context = context;
        audit_log_enqueue(log, closing);
    }
    submit_leave(log);
    if (ok && is_empty && cb != NULL) {
        const struct audit_commit commit = {.ok = true, .index = last};
        cb(context, &commit);
    }
    return ok;
}

bool audit_log_rotate_key(struct audit_log *log, audit_commit_cb cb, void *context, struct err *err)
{
    struct audit_pending *rotating = NULL;
    pthread_mutex_lock(&log->mutex);
    bool ok = submit_is_open(log, err) &&
              (!log->is_rotating_key ||
               err_set(err, ERR_BUSY, "the key of the audit log is being replaced already")) &&
              (log->key_count < AUDIT_TRUSTED_KEYS_MAX ||
               err_set(err, ERR_LIMIT, "the audit log has had %zu keys", log->key_count));
    log->is_rotating_key = log->is_rotating_key || ok;
    pthread_mutex_unlock(&log->mutex);
    if (!ok) {
        return false;
    }
    ok = audit_key_begin(log, err);
    pthread_mutex_lock(&log->mutex);
    ok = ok && submit_is_open(log, err) && audit_key_place(log, &rotating, err);
    if (ok) {
        log->key_count++;
        rotating->cb = cb;
        rotating->context = context;
        audit_log_enqueue(log, rotating);
    } else {
        audit_key_abandon(log);
        log->is_rotating_key = false;
    }
    submit_leave(log);
    return ok;
}
