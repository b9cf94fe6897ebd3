/* commit.c: a batch's way to the disk, in the order that makes it hold.
 *
 *     1. append the leaf hashes to the tree, in memory
 *     2. read the bytes that are about to be written back as a verifier would, compute the root
 *        anew and compare: one flipped bit in memory must not be signed
 *     3. store the tree's hashes (scratch), write the entries, fdatasync
 *     4. sign the checkpoint; replace the file atomically
 *     5. publish: readers see the new size; the submitters get their proofs
 *
 * A failure anywhere ends the log: what is on the disk then is unknown until the next opening reads
 * it, and a second fdatasync after a failed one proves nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

bool audit_pending_new(struct audit_log *log, enum audit_kind kind, json_t *fields,
                       struct audit_pending **out, struct err *err)
{
    struct buffer leaf;
    struct audit_leaf parsed;
    const char *why = NULL;
    struct audit_pending *pending = NULL;
    int64_t time_ms = clock_wall_ms(log->config.clock);
    buffer_init(&leaf, AUDIT_LEAF_BYTES_MAX);
    if (log->next_index > AUDIT_INDEX_MAX) {
        return err_set(err, ERR_LIMIT, "the log is full");
    }
    if (!audit_leaf_build(kind, log->next_index, log->prev, time_ms, fields, &leaf, err)) {
        goto out;
    }
    if (!audit_leaf_parse(buffer_bytes(&leaf), &parsed, &why)) {
        err_set(err, ERR_FORMAT, "the log entry would not be readable: %s", why);
        goto out;
    }
    pending = heap_alloc(sizeof(*pending) + leaf.size);
    if (pending == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
        goto out;
    }
    if (!audit_unanswered_apply(&log->unanswered, &parsed, err)) {
        /* Here it is not the log that is wrong, but what was asked of it. */
        if (err->code == ERR_TAMPERED) {
            err->code = ERR_FORMAT;
        }
        heap_free(pending);
        pending = NULL;
        goto out;
    }
    list_init(&pending->link);
    pending->index = log->next_index;
    pending->time_ms = time_ms;
    pending->leaf_size = leaf.size;
    memcpy(pending->leaf, leaf.ptr, leaf.size);
    audit_leaf_hash(buffer_bytes(&leaf), pending->leaf_hash);
    memcpy(log->prev, pending->leaf_hash, sizeof(log->prev));
    log->next_index++;
    log->pending_count++;
    *out = pending;
out:
    buffer_release(&leaf);
    return pending != NULL;
}

/* Step 1: the bytes to write, and the tree. */
static bool batch_build(struct audit_log *log, const struct list *batch, struct err *err)
{
    log->write.size = 0;
    audit_tree_begin(&log->tree);
    for (struct list *link = batch->next; link != batch; link = link->next) {
        struct audit_pending *pending = LIST_ENTRY(link, struct audit_pending, link);
        assert(pending->index == log->tree.range.size);
        buffer_append_u16be(&log->write, (uint16_t)pending->leaf_size);
        buffer_append(&log->write, pending->leaf, pending->leaf_size);
        if (!audit_tree_append(&log->tree, pending->leaf_hash, err)) {
            return false;
        }
    }
    if (log->write.failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch of log entries");
    }
    return true;
}

/* Step 2: from the bytes alone. Also notes where the entries will be. */
static bool batch_check(struct audit_log *log, uint8_t root[static AUDIT_HASH_BYTES],
                        struct err *err)
{
    uint8_t tree_root[AUDIT_HASH_BYTES];
    struct reader reader = reader_of(buffer_bytes(&log->write));
    while (reader_left(&reader) > 0) {
        uint16_t size = 0;
        struct bytes bytes;
        struct audit_leaf leaf;
        const char *why = "it is cut";
        if (!reader_u16be(&reader, &size) || !reader_take(&reader, size, &bytes) ||
            !audit_leaf_parse(bytes, &leaf, &why)) {
            return err_set(err, ERR_INTERNAL, "entry %" PRIu64 " changed before it was written: %s",
                           log->check.size, why);
        }
        if (leaf.index != log->check.size ||
            memcmp(leaf.prev, log->check_prev, sizeof(leaf.prev)) != 0) {
            return err_set(err, ERR_INTERNAL, "entry %" PRIu64 " does not follow the one before it",
                           log->check.size);
        }
        audit_leaf_hash(bytes, log->check_prev);
        audit_range_append(&log->check, log->check_prev, NULL);
    }
    audit_range_root(&log->check, root);
    audit_range_root(&log->tree.range, tree_root);
    if (log->check.size != log->tree.range.size ||
        memcmp(root, tree_root, sizeof(tree_root)) != 0) {
        return err_set(err, ERR_INTERNAL, "the tree's root does not come out twice the same");
    }
    return true;
}

/* Step 3. */
static bool batch_write(struct audit_log *log, struct err *err)
{
    struct bytes data = buffer_bytes(&log->write);
    if (data.size == 0) {
        return true;
    }
    if (!audit_tree_store(&log->tree, err)) {
        return false;
    }
    if (!audit_io_write_all(log->io, log->entries_fd, data, log->file_size, err)) {
        return err_wrap(err, "%s", AUDIT_ENTRIES_FILE);
    }
    uint64_t began_ns = clock_monotonic_ns(&clock_system);
    if (log->io->sync_data(log->io->context, log->entries_fd) != 0) {
        return err_set(err, ERR_IO, "%s: fdatasync: %s", AUDIT_ENTRIES_FILE, strerror(errno));
    }
    histogram_add(&log->times.sync, clock_monotonic_ns(&clock_system) - began_ns);
    return true;
}

/* Step 4. */
static bool batch_sign(struct audit_log *log, const uint8_t root[static AUDIT_HASH_BYTES],
                       struct err *err)
{
    struct audit_checkpoint checkpoint = {.size = log->check.size};
    struct buffer text;
    bool ok = false;
    memcpy(checkpoint.origin, log->key.name, sizeof(checkpoint.origin));
    memcpy(checkpoint.root, root, AUDIT_HASH_BYTES);
    buffer_init(&text, AUDIT_CHECKPOINT_BYTES_MAX);
    audit_checkpoint_format(&checkpoint, &text);
    log->note.size = 0;
    if (text.failed) {
        err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint");
        goto out;
    }
    if (!audit_note_sign(buffer_bytes(&text), &log->key, log->signer, &log->note, err)) {
        goto out;
    }
    ok = audit_io_replace_file(log->io, log->directory_fd, AUDIT_CHECKPOINT_FILE,
                               AUDIT_CHECKPOINT_TEMPORARY, buffer_bytes(&log->note), err);
out:
    buffer_release(&text);
    return ok;
}

/* Step 5, for readers. */
static bool batch_publish(struct audit_log *log, const struct list *batch, struct err *err)
{
    bool ok = true;
    pthread_mutex_lock(&log->mutex);
    for (struct list *link = batch->next; ok && link != batch; link = link->next) {
        struct audit_pending *pending = LIST_ENTRY(link, struct audit_pending, link);
        ok = audit_offsets_add(&log->committed.offsets, pending->index, log->file_size);
        log->file_size += AUDIT_ENTRY_PREFIX_BYTES + pending->leaf_size;
    }
    log->committed.note.size = 0;
    buffer_append_bytes(&log->committed.note, buffer_bytes(&log->note));
    ok = ok && !log->committed.note.failed;
    if (ok) {
        log->committed.size = log->check.size;
    }
    pthread_mutex_unlock(&log->mutex);
    return ok || err_set(err, ERR_NO_MEMORY, "no memory for the index of the log");
}

bool audit_log_commit(struct audit_log *log, struct list *batch, struct err *err)
{
    uint8_t root[AUDIT_HASH_BYTES];
    return batch_build(log, batch, err) && batch_check(log, root, err) && batch_write(log, err) &&
           batch_sign(log, root, err) && batch_publish(log, batch, err);
}

static void pending_prove(struct audit_log *log, const struct audit_pending *pending)
{
    uint8_t hashes[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    size_t hash_count = 0;
    struct err err;
    bool proved = audit_inclusion_prove(pending->index, log->check.size, audit_tree_recent_node,
                                        &log->tree, hashes, &hash_count, &err);
    assert(proved); /* nothing is read for it: see audit_tree_recent_node */
    log->proof.size = 0;
    audit_tlog_proof_format(pending->index, hashes, hash_count, buffer_bytes(&log->note),
                            &log->proof);
    assert(!log->proof.failed); /* its memory was taken when the log was opened */
}

void audit_log_answer(struct audit_log *log, struct list *batch, bool ok)
{
    struct list *link;
    size_t count = 0;
    for (link = batch->next; link != batch; link = link->next) {
        count++;
    }
    /* First, so that whoever is called back can submit again at once. */
    pthread_mutex_lock(&log->mutex);
    assert(log->pending_count >= count);
    log->pending_count -= count;
    pthread_mutex_unlock(&log->mutex);
    if (ok && count > 0) {
        histogram_add(&log->times.batch, count);
    }
    while ((link = list_pop_front(batch)) != NULL) {
        struct audit_pending *pending = LIST_ENTRY(link, struct audit_pending, link);
        struct audit_commit commit = {.ok = ok};
        if (pending->cb != NULL && ok) {
            pending_prove(log, pending);
            commit.index = pending->index;
            commit.time_ms = pending->time_ms;
            memcpy(commit.leaf_hash, pending->leaf_hash, sizeof(commit.leaf_hash));
            commit.leaf = bytes_of(pending->leaf, pending->leaf_size);
            commit.tlog_proof = buffer_bytes(&log->proof);
        }
        if (ok && pending->submitted_ns != 0) {
            histogram_add(&log->times.commit,
                          clock_monotonic_ns(&clock_system) - pending->submitted_ns);
        }
        if (pending->cb != NULL) {
            pending->cb(pending->context, &commit);
        }
        heap_free(pending);
    }
}
