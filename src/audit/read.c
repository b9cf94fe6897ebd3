/* read.c: reading committed entries of an open log, and proving them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct position {
    uint64_t size; /* committed */
    uint64_t index;
    uint64_t offset;        /* of the entry `index`, at or before the wanted one */
    uint64_t segment_first; /* in the segment that begins with that entry */
    uint64_t segment_end;   /* and ends before that one, or does not end yet: UINT64_MAX */
};

/* Where to start reading for `index`; also copies the checkpoint that `size` belongs to, and the
 * key that signed it. */
static bool position_find(struct audit_log *log, uint64_t index, struct buffer *note,
                          struct audit_key *key, struct position *out, struct err *err)
{
    const struct audit_segments *segments = &log->segments;
    pthread_mutex_lock(&log->mutex);
    out->size = log->committed.size;
    bool is_pruned = index < segments->firsts[0];
    bool found = index < out->size && !is_pruned;
    if (found) {
        size_t i = audit_segments_find(segments, index);
        out->segment_first = segments->firsts[i];
        out->segment_end = i + 1 < segments->count ? segments->firsts[i + 1] : UINT64_MAX;
        audit_offsets_find(&log->committed.offsets, index, &out->index, &out->offset);
        if (out->index < out->segment_first) { /* the remembered one lies in the segment before */
            out->index = out->segment_first;
            out->offset = 0;
        }
    }
    if (note != NULL) {
        buffer_append_bytes(note, buffer_bytes(&log->committed.note));
        *key = log->key;
    }
    pthread_mutex_unlock(&log->mutex);
    return found ||
           err_set(err, ERR_NOT_FOUND,
                   is_pruned ? "entry %" PRIu64 " was pruned" : "the log has no entry %" PRIu64,
                   index);
}

uint64_t audit_log_first(struct audit_log *log)
{
    pthread_mutex_lock(&log->mutex);
    uint64_t first = log->segments.firsts[0];
    pthread_mutex_unlock(&log->mutex);
    return first;
}

struct visit {
    uint64_t first; /* those before are passed over */
    bool (*cb)(void *context, uint64_t index, struct bytes leaf);
    void *context;
    bool goes_on;
};

static bool gone(const struct audit_log *log, const char *name, uint64_t index, struct err *err)
{
    return err_set(err, ERR_TAMPERED,
                   "entry %" PRIu64 " of %s/%s is not there any more: stop, keep the directory as "
                   "evidence, run `wasm-hypervisor audit verify` on it",
                   index, log->config.directory, name);
}

/* The entries of one segment, up to its end or the log's. */
static bool segment_visit(struct audit_log *log, const struct position *position,
                          struct visit *visit, struct err *err)
{
    char name[AUDIT_SEGMENT_NAME_CHARS + 1];
    struct audit_entry_reader reader;
    bool ok = false;
    uint64_t end = position->segment_end < position->size ? position->segment_end : position->size;
    audit_segment_name(position->segment_first, AUDIT_SEGMENT_ENTRIES, name);
    int fd = log->io->open(log->io->context, log->directory_fd, name, O_RDONLY, 0);
    if (fd < 0) {
        return errno == ENOENT ? gone(log, name, position->index, err)
                               : err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
    }
    if (!audit_entry_reader_open(&reader, log->io, fd, position->offset, err)) {
        goto close;
    }
    for (uint64_t index = position->index; index < end && visit->goes_on; index++) {
        struct bytes leaf;
        enum audit_entry_result result = audit_entry_next(&reader, &leaf, err);
        if (result != AUDIT_ENTRY_WHOLE) {
            ok = result != AUDIT_ENTRY_FAILED && gone(log, name, index, err);
            goto out;
        }
        visit->goes_on = index < visit->first || visit->cb(visit->context, index, leaf);
    }
    ok = true;
out:
    audit_entry_reader_close(&reader);
close:
    close(fd);
    return ok;
}

/* Goes on from segment to segment as far as position.size. */
static bool entries_visit(struct audit_log *log, struct position position, struct visit visit,
                          struct err *err)
{
    const uint64_t size = position.size;
    visit.goes_on = true;
    for (;;) {
        if (!segment_visit(log, &position, &visit, err)) {
            return false;
        }
        if (!visit.goes_on || position.segment_end >= size) {
            return true;
        }
        if (!position_find(log, position.segment_end, NULL, NULL, &position, err)) {
            return false;
        }
        position.size = size;
    }
}

bool audit_log_each(struct audit_log *log, uint64_t first,
                    bool (*visit)(void *context, uint64_t index, struct bytes leaf), void *context,
                    struct err *err)
{
    struct position position;
    struct err beyond;
    uint64_t kept = audit_log_first(log);
    first = first < kept ? kept : first;
    if (!position_find(log, first, NULL, NULL, &position, &beyond)) {
        return true; /* nothing from there on */
    }
    return entries_visit(log, position,
                         (struct visit){.first = first, .cb = visit, .context = context}, err);
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
    struct audit_key key;
    struct buffer note;
    const struct visit copy = {.first = index, .cb = visit_copy, .context = leaf};
    bool ok = false;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    if (!position_find(log, index, &note, &key, &position, err) ||
        !entries_visit(log, position, copy, err) ||
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
    if (audit_checkpoint_open(buffer_bytes(&note), &key, &checkpoint) != AUDIT_OK ||
        !audit_inclusion_verify(index, checkpoint.size, leaf_hash, hashes, hash_count,
                                checkpoint.root)) {
        err_set(err, ERR_TAMPERED, "entry %" PRIu64 " of %s is not what was committed", index,
                log->config.directory);
        goto out;
    }
    audit_tlog_proof_format(index, hashes, hash_count, buffer_bytes(&note), tlog_proof);
    ok = !tlog_proof->failed || err_set(err, ERR_NO_MEMORY, "no memory for a proof");
out:
    buffer_release(&note);
    return ok;
}
