/* read.c: reading committed entries of an open log, and proving them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include <inttypes.h>

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
