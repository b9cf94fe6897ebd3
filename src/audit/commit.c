/* commit.c: a batch's way to the disk, in the order that makes it hold.
 *
 *     1. append the leaf hashes to the tree, in memory
 *     2. read the bytes that are about to be written back as a verifier would, compute the root
 *        anew and compare: one flipped bit in memory must not be signed
 *     3. store the tree's hashes (scratch), write the entries, fdatasync: the only sync
 *     4. sign the checkpoint
 *     5. publish: readers see the new size; the submitters get their proofs
 *
 * The checkpoint file is replaced later and for many batches at once (saver.c). It may
 * always be older than the entries: they hold whatever it would say, and give the same root again.
 * It can never be newer, as a head is signed only when its entries are on the disk.
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

bool audit_draft_init(struct audit_draft *draft, enum audit_kind kind, int64_t time_ms,
                      json_t *fields, struct err *err)
{
    struct buffer text;
    const char *why = NULL;
    struct audit_pending *pending = NULL;
    buffer_init(&text, AUDIT_DRAFT_BYTES_MAX);
    draft->pending = NULL;
    if (!audit_leaf_draft(kind, time_ms, fields, &text, &draft->places, err)) {
        goto out;
    }
    if (text.size > AUDIT_LEAF_BYTES_MAX) {
        err_set(err, ERR_LIMIT, "a log entry of %zu bytes is over the limit of %d", text.size,
                AUDIT_LEAF_BYTES_MAX);
        goto out;
    }
    pending = heap_alloc(sizeof(*pending) + text.size + AUDIT_INDEX_DIGITS_MAX);
    if (pending == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
        goto out;
    }
    *pending = (struct audit_pending){.time_ms = time_ms, .leaf_size = text.size};
    list_init(&pending->link);
    memcpy(pending->leaf, text.ptr, text.size);
    if (!audit_leaf_parse(bytes_of(pending->leaf, text.size), &draft->leaf, &why)) {
        err_set(err, ERR_FORMAT, "the log entry would not be readable: %s", why);
        heap_free(pending);
        goto out;
    }
    draft->pending = pending;
out:
    buffer_release(&text);
    return draft->pending != NULL;
}

void audit_draft_release(struct audit_draft *draft)
{
    heap_free(draft->pending);
    draft->pending = NULL;
}

bool audit_draft_place(struct audit_log *log, struct audit_draft *draft, struct audit_pending **out,
                       struct err *err)
{
    struct audit_pending *pending = draft->pending;
    if (log->next_index > AUDIT_INDEX_MAX) {
        return err_set(err, ERR_LIMIT, "the log is full");
    }
    /* What unanswered looks at, `admits`, lies before the index and stays where it is. */
    draft->leaf.index = log->next_index;
    if (!audit_leaf_place(pending->leaf, &pending->leaf_size, &draft->places, log->next_index,
                          log->prev, err)) {
        return false;
    }
    if (!audit_unanswered_apply(&log->unanswered, &draft->leaf, err)) {
        /* Here it is not the log that is wrong, but what was asked of it. */
        err->code = err->code == ERR_TAMPERED ? ERR_FORMAT : err->code;
        return false;
    }
    pending->index = log->next_index;
    audit_leaf_hash(bytes_of(pending->leaf, pending->leaf_size), pending->leaf_hash);
    memcpy(log->prev, pending->leaf_hash, sizeof(log->prev));
    audit_range_append(&log->placed, pending->leaf_hash, NULL);
    audit_segment_count(log, pending->time_ms, pending->leaf_size);
    log->next_index++;
    log->pending_count++;
    draft->pending = NULL; /* transferred */
    *out = pending;
    return true;
}

bool audit_pending_new(struct audit_log *log, enum audit_kind kind, json_t *fields,
                       struct audit_pending **out, struct err *err)
{
    struct audit_draft draft;
    bool ok = audit_draft_init(&draft, kind, clock_wall_ms(log->config.clock), fields, err) &&
              audit_draft_place(log, &draft, out, err);
    audit_draft_release(&draft);
    return ok;
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
    audit_ahead_claim(log, log->file_size + data.size);
    if (!audit_io_write_all(log->io, log->entries_fd, data, log->file_size, err)) {
        return err_wrap(err, "%s", AUDIT_ENTRIES_FILE);
    }
    uint64_t began_ns = clock_monotonic_ns(&clock_system);
    atomic_store(&log->sync_began_ns, began_ns);
    bool ok = log->io->sync_data(log->io->context, log->entries_fd) == 0;
    atomic_store(&log->sync_began_ns, 0);
    if (!ok) {
        return err_set(err, ERR_IO, "%s: fdatasync: %s", AUDIT_ENTRIES_FILE, strerror(errno));
    }
    histogram_add(&log->times.sync, clock_monotonic_ns(&clock_system) - began_ns);
    return true;
}

/* Step 4. */
static bool batch_sign(struct audit_log *log, const struct list *batch,
                       const uint8_t root[static AUDIT_HASH_BYTES], struct err *err)
{
    struct audit_checkpoint checkpoint = {.size = log->check.size};
    memcpy(checkpoint.origin, log->key.name, sizeof(checkpoint.origin));
    memcpy(checkpoint.root, root, AUDIT_HASH_BYTES);
    log->text.size = 0;
    audit_checkpoint_format(&checkpoint, &log->text);
    log->note.size = 0;
    if (log->text.failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint");
    }
    if (!audit_note_sign(buffer_bytes(&log->text), &log->key, log->signer, &log->note, err)) {
        return false;
    }
    /* An empty batch with a next key: opening goes on with what a crash cut off. */
    bool changes_key =
        list_is_empty(batch)
            ? log->next_signer != NULL
            : LIST_ENTRY(batch->prev, struct audit_pending, link)->after == AUDIT_AFTER_SWITCH_KEY;
    return !changes_key || audit_key_cosign(log, err);
}

/* Step 5, for readers. */
static bool batch_publish(struct audit_log *log, const struct list *batch, struct err *err)
{
    bool ok = true;
    bool wakes = false;
    pthread_mutex_lock(&log->mutex);
    if (log->save.failed) {
        *err = log->save.err;
        pthread_mutex_unlock(&log->mutex);
        return false;
    }
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
        log->committed.at_ns = clock_monotonic_ns(&clock_system);
        if (log->save.lags_since_ns == 0) {
            log->save.lags_since_ns = log->committed.at_ns;
            wakes = true;
        }
        if (wakes || audit_ahead_is_due(log)) {
            pthread_cond_broadcast(&log->save.changed);
        }
    }
    pthread_mutex_unlock(&log->mutex);
    return ok || err_set(err, ERR_NO_MEMORY, "no memory for the index of the log");
}

bool audit_log_commit(struct audit_log *log, struct list *batch, struct err *err)
{
    uint8_t root[AUDIT_HASH_BYTES];
    return batch_build(log, batch, err) && batch_check(log, root, err) && batch_write(log, err) &&
           batch_sign(log, batch, root, err) && batch_publish(log, batch, err);
}

static void pending_prove(struct audit_log *log, const struct audit_pending *pending)
{
    uint8_t hashes[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    size_t hash_count = 0;
    struct err err;
    bool proved = audit_inclusion_prove(pending->index, log->check.size, audit_tree_recent_node,
                                        &log->tree, hashes, &hash_count, &err);
    assert(proved); /* nothing is read for it: see audit_tree_recent_node */
    (void)proved;
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
