/* recover.c: from the files of a directory to a log that can go on.
 *
 *     signed entries     [0, checkpoint.size)   every one is read, linked and hashed; the root must
 *                                               be the signed one, or the log is refused
 *     unsigned entries   the file of the checkpoint lags: kept, as their submitters may have been
 *                        answered under a newer one. They are written once more and synced before
 *                        anything is signed: after a sync that failed, reading them says nothing
 *     torn tail          from the first byte that is not of a whole, linking entry: cut. It was
 *                        never synced, as no batch is begun before the one before it is, so nobody
 *                        was told that it is there. What is longer than a batch is not torn, but
 *                        damage, and refused
 *     zeros              that were written ahead (ahead.c): cut
 *
 * An empty checkpoint file, or one of zeros, is what some file systems leave after a power cut. All
 * entries are then unsigned ones. It gives nothing away: who could empty the file could as well put
 * an older checkpoint there. Any other content that does not verify is refused.
 *
 * In the place of segments that were pruned their leaf hashes are read; a PRUNE entry must allow
 * it.
 *
 * Requests that were admitted and never answered are named in RECOVERED leaves, so that the log
 * itself says what a crash left open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/verify.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lost: size 0 and the root of nothing. */
static bool read_checkpoint(struct audit_log *log, struct audit_checkpoint *out,
                            struct audit_recovery *recovery, struct err *err)
{
    if (!audit_part_read(log, AUDIT_CHECKPOINT_FILE, &log->note, err)) {
        return false;
    }
    recovery->checkpoint_lost = audit_is_zeros(buffer_bytes(&log->note));
    if (recovery->checkpoint_lost) {
        *out = (struct audit_checkpoint){.size = 0};
        audit_range_root(&log->check, out->root);
        log->note.size = 0;
        return true;
    }
    enum audit_verdict verdict = audit_checkpoint_open(buffer_bytes(&log->note), &log->key, out);
    if (verdict != AUDIT_OK) {
        return err_set(err, ERR_TAMPERED, "%s/%s %s: " AUDIT_ADVICE, log->config.directory,
                       AUDIT_CHECKPOINT_FILE,
                       verdict == AUDIT_UNVERIFIABLE ? "is not signed by the log's key"
                                                     : "is malformed or its signature is bad");
    }
    return true;
}

/* ---- reading the entries ---- */

struct scan {
    struct audit_log *log;
    const struct audit_checkpoint *checkpoint;
    struct audit_entry_reader reader;
    struct audit_control control;            /* what the control entries amount to */
    char name[AUDIT_SEGMENT_NAME_CHARS + 1]; /* of the segment that is read */
    uint64_t last_stored;                    /* leaves */
    bool is_closed;                          /* the last entry is a SEGMENT_CLOSE */
    uint64_t unsigned_from; /* offset in this segment of what is not signed; UINT64_MAX: none is */
};

static bool scan_store(struct scan *scan, struct err *err)
{
    if (!audit_tree_store(&scan->log->tree, err)) {
        return false;
    }
    audit_tree_begin(&scan->log->tree);
    scan->last_stored = scan->log->check.size;
    return true;
}

static bool root_compare(const struct scan *scan, struct err *err)
{
    uint8_t root[AUDIT_HASH_BYTES];
    audit_range_root(&scan->log->check, root);
    if (memcmp(root, scan->checkpoint->root, sizeof(root)) != 0) {
        return err_set(err, ERR_TAMPERED,
                       "the first %" PRIu64 " entries of %s are not those that the checkpoint "
                       "signs: " AUDIT_ADVICE,
                       scan->checkpoint->size, scan->log->config.directory);
    }
    return true;
}

/* The next leaf enters the trees. */
static bool scan_count(struct scan *scan, const uint8_t hash[static AUDIT_HASH_BYTES],
                       struct err *err)
{
    struct audit_log *log = scan->log;
    memcpy(log->check_prev, hash, AUDIT_HASH_BYTES);
    audit_range_append(&log->check, hash, NULL);
    if (!audit_tree_append(&log->tree, hash, err)) {
        return false;
    }
    if (log->check.size - scan->last_stored == AUDIT_BATCH_ENTRIES_MAX && !scan_store(scan, err)) {
        return false;
    }
    return log->check.size != scan->checkpoint->size || root_compare(scan, err);
}

/* What a verifier would hold against a control entry; NULL: nothing. Signing it would make the log
 * bad for ever. */
static const char *scan_breach(struct scan *scan, const struct audit_leaf *leaf, struct bytes bytes)
{
    uint8_t said[AUDIT_HASH_BYTES];
    uint8_t root[AUDIT_HASH_BYTES];
    if (!audit_leaf_is_control(leaf)) {
        return NULL;
    }
    const char *why = audit_control_apply(&scan->control, leaf, bytes);
    if (why == NULL && audit_control_closes(leaf, bytes, said)) {
        audit_range_root(&scan->log->check, root);
        why =
            memcmp(said, root, sizeof(root)) == 0 ? NULL : "it closes a segment with another root";
    }
    return why;
}

/* Links the next entry. False with a reason: it is not an entry; without: it failed. */
static bool scan_accept(struct scan *scan, struct bytes bytes, uint64_t offset, const char **why,
                        struct err *err)
{
    struct audit_log *log = scan->log;
    struct audit_leaf leaf;
    uint8_t hash[AUDIT_HASH_BYTES];
    if (!audit_leaf_parse(bytes, &leaf, why)) {
        return false;
    }
    if (leaf.index != log->check.size) {
        *why = "it carries another index";
        return false;
    }
    if (memcmp(leaf.prev, log->check_prev, sizeof(leaf.prev)) != 0) {
        *why = "it does not name the entry before it";
        return false;
    }
    if (scan->is_closed && offset > 0) {
        *why = "the segment ended before it";
        return false;
    }
    *why = scan_breach(scan, &leaf, bytes);
    if (*why != NULL) {
        return false;
    }
    if (!audit_unanswered_apply(&log->unanswered, &leaf, err)) {
        *why = err->code == ERR_TAMPERED ? "it answers what was not asked" : NULL;
        return false;
    }
    *why = NULL;
    if (!audit_offsets_add(&log->committed.offsets, leaf.index, offset)) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the index of the log");
    }
    scan->is_closed = leaf.kind_is_known && leaf.kind == AUDIT_SEGMENT_CLOSE;
    if (!scan->is_closed) {
        audit_segment_count(log, leaf.time_ms, bytes.size);
    }
    audit_leaf_hash(bytes, hash);
    if (!scan_count(scan, hash, err)) {
        return false;
    }
    if (log->check.size == scan->checkpoint->size) {
        scan->unsigned_from = scan->reader.offset;
    }
    return true;
}

/* Takes entries until the index `end`. What is signed, and what another segment follows, must be
 * there; else they end where the first is not whole or does not link. */
static bool scan_until(struct scan *scan, uint64_t end, struct err *err)
{
    struct audit_log *log = scan->log;
    while (log->check.size < end) {
        struct bytes bytes;
        const char *why = "the file ends before it does";
        uint64_t offset = scan->reader.offset;
        enum audit_entry_result result = audit_entry_next(&scan->reader, &bytes, err);
        if (result == AUDIT_ENTRY_FAILED) {
            return false;
        }
        if (result == AUDIT_ENTRY_TOO_LONG) {
            why = "its length is over the limit";
        }
        if (result == AUDIT_ENTRY_BLANK) {
            why = "its length is zero";
        }
        if (result == AUDIT_ENTRY_WHOLE && scan_accept(scan, bytes, offset, &why, err)) {
            continue;
        }
        scan->reader.offset = offset;
        if (result == AUDIT_ENTRY_WHOLE && why == NULL) {
            return false;
        }
        if (log->check.size >= scan->checkpoint->size && end == UINT64_MAX) {
            return true;
        }
        return err_set(
            err, ERR_TAMPERED,
            "%s/%s: the checkpoint signs %" PRIu64 " entries; entry %" PRIu64 ": %s; " AUDIT_ADVICE,
            log->config.directory, scan->name, scan->checkpoint->size, log->check.size, why);
    }
    return true;
}

/* Writes what is not signed once more, so that the sync after it means something: a process that
 * was killed may not have synced it, and after a sync that failed the system shows what is not on
 * the disk, and takes it for clean. (Asking the system to forget it would be but a hint.) */
static bool write_again(const struct scan *scan, struct err *err)
{
    const struct audit_log *log = scan->log;
    const uint64_t to = scan->reader.offset;
    uint8_t chunk[16 * 1024];
    size_t size = 0;
    if (scan->unsigned_from >= to) {
        return true;
    }
    for (uint64_t from = scan->unsigned_from; from < to; from += size) {
        size_t wanted = to - from < sizeof(chunk) ? (size_t)(to - from) : sizeof(chunk);
        if (!audit_io_read_most(log->io, log->entries_fd, chunk, wanted, from, &size, err) ||
            !audit_io_write_all(log->io, log->entries_fd, bytes_of(chunk, size), from, err)) {
            return err_wrap(err, "%s", scan->name);
        }
        if (size == 0) {
            return err_set(err, ERR_IO, "%s: it was cut meanwhile", scan->name);
        }
    }
    return log->io->sync(log->io->context, log->entries_fd) == 0 ||
           err_set(err, ERR_IO, "%s: fsync: %s", scan->name, strerror(errno));
}

/* What follows the entries, up to the zeros at the end of the file. */
static bool torn_find(const struct scan *scan, uint64_t file_size, uint64_t *torn, struct err *err)
{
    const struct audit_log *log = scan->log;
    const uint64_t from = scan->reader.offset;
    uint8_t chunk[16 * 1024];
    size_t size = 1;
    *torn = 0;
    for (uint64_t at = from; at < file_size && size > 0; at += size) {
        if (!audit_io_read_most(log->io, log->entries_fd, chunk, sizeof(chunk), at, &size, err)) {
            return err_wrap(err, "%s", scan->name);
        }
        for (size_t i = 0; i < size; i++) {
            *torn = chunk[i] != 0 ? at + i + 1 - from : *torn;
        }
    }
    return true;
}

static bool cut_tail(struct scan *scan, struct audit_recovery *recovery, struct err *err)
{
    struct audit_log *log = scan->log;
    const struct audit_io *io = log->io;
    const uint64_t size = scan->reader.offset;
    struct stat status;
    if (fstat(log->entries_fd, &status) != 0) {
        return err_set(err, ERR_IO, "%s: %s", scan->name, strerror(errno));
    }
    const uint64_t file_size = (uint64_t)status.st_size;
    log->file_size = size;
    if (file_size == size) {
        return true;
    }
    if (file_size - size > AUDIT_TORN_BYTES_MAX) {
        return err_set(
            err, ERR_TAMPERED,
            "%s/%s: %" PRIu64 " bytes after entry %" PRIu64
            " are no entries of this log, and more than a crash can leave: " AUDIT_ADVICE,
            log->config.directory, scan->name, file_size - size, log->check.size - 1);
    }
    if (!torn_find(scan, file_size, &recovery->torn_bytes_cut, err)) {
        return false;
    }
    if (io->truncate(io->context, log->entries_fd, (off_t)size) != 0 ||
        io->sync(io->context, log->entries_fd) != 0) {
        return err_set(err, ERR_IO, "%s: cutting the torn tail: %s", scan->name, strerror(errno));
    }
    return true;
}

/* A segment that another one follows ends with its SEGMENT_CLOSE and nothing more. */
static bool check_end(const struct scan *scan, struct err *err)
{
    struct stat status;
    if (fstat(scan->log->entries_fd, &status) != 0) {
        return err_set(err, ERR_IO, "%s: %s", scan->name, strerror(errno));
    }
    return ((uint64_t)status.st_size == scan->reader.offset && scan->is_closed) ||
           err_set(err, ERR_TAMPERED,
                   "%s/%s does not end where the next segment begins: " AUDIT_ADVICE,
                   scan->log->config.directory, scan->name);
}

/* Nothing is known of the segment that begins here. */
static void segment_forget(struct audit_log *log)
{
    log->segment.first = log->check.size;
    log->segment.bytes = 0;
    log->segment.until_ms = 0;
}

static bool scan_segment(struct scan *scan, size_t number, struct audit_recovery *recovery,
                         struct err *err)
{
    struct audit_log *log = scan->log;
    const struct audit_segments *segments = &log->segments;
    bool is_last = number + 1 == segments->count;
    bool ok = false;
    audit_segment_name(segments->firsts[number], AUDIT_SEGMENT_ENTRIES, scan->name);
    if (segments->firsts[number] != log->check.size) {
        return err_set(err, ERR_TAMPERED,
                       "%s/%s should begin with entry %" PRIu64
                       ": a segment is gone; " AUDIT_ADVICE,
                       log->config.directory, scan->name, log->check.size);
    }
    if (log->entries_fd >= 0) {
        close(log->entries_fd);
    }
    segment_forget(log);
    scan->unsigned_from = log->check.size >= scan->checkpoint->size ? 0 : UINT64_MAX;
    log->entries_fd = log->io->open(log->io->context, log->directory_fd, scan->name, O_RDWR, 0);
    if (log->entries_fd < 0) {
        return err_set(err, ERR_IO, "%s/%s: %s", log->config.directory, scan->name,
                       strerror(errno));
    }
    if (!audit_entry_reader_open(&scan->reader, log->io, log->entries_fd, 0, err)) {
        return false;
    }
    ok = scan_until(scan, is_last ? UINT64_MAX : segments->firsts[number + 1], err) &&
         (is_last ? cut_tail(scan, recovery, err) : check_end(scan, err)) && write_again(scan, err);
    audit_entry_reader_close(&scan->reader);
    return ok;
}

static bool scan_pruned(void *context, const uint8_t *leaf_hash, struct err *err)
{
    struct scan *scan = context;
    struct audit_log *log = scan->log;
    return (audit_offsets_add(&log->committed.offsets, log->check.size, 0) ||
            err_set(err, ERR_NO_MEMORY, "no memory for the index of the log")) &&
           scan_count(scan, leaf_hash, err);
}

/* After all entries were read. */
static bool check_pruned(const struct scan *scan, struct err *err)
{
    struct audit_log *log = scan->log;
    log->prune_claimed = scan->control.prune_claimed;
    return log->segments.firsts[0] <= log->prune_claimed ||
           err_set(err, ERR_TAMPERED,
                   "the entries of %s before %" PRIu64
                   " are gone, and no PRUNE entry says why: " AUDIT_ADVICE,
                   log->config.directory, log->segments.firsts[0]);
}

static bool read_entries(struct audit_log *log, const struct audit_checkpoint *checkpoint,
                         struct audit_recovery *recovery, struct err *err)
{
    struct scan scan = {.log = log, .checkpoint = checkpoint, .control = {.origin = log->key.name}};
    if (!audit_segments_list(log->directory_fd, AUDIT_SEGMENT_ENTRIES, &log->segments, err)) {
        return false;
    }
    if (log->segments.count == 0) {
        return audit_part_missing(log, AUDIT_ENTRIES_DIRECTORY, err);
    }
    log->unanswered.pruned = log->segments.firsts[0];
    bool ok = audit_chain_init(&scan.control.chain, err) &&
              audit_pruned_each(log, scan_pruned, &scan, err);
    for (size_t i = 0; ok && i < log->segments.count; i++) {
        ok = scan_segment(&scan, i, recovery, err);
    }
    ok = ok && check_pruned(&scan, err) &&
         audit_keys_settle(log, audit_chain_at(&scan.control.chain, UINT64_MAX), err) &&
         scan_store(&scan, err);
    log->key_count = scan.control.chain.count;
    audit_chain_release(&scan.control.chain);
    if (!ok) {
        return false;
    }
    if (log->check.size == 0) {
        return audit_part_missing(log, "entry", err);
    }
    recovery->unsigned_entries = log->check.size - checkpoint->size;
    if (!scan.is_closed || log->segment.first == log->check.size) {
        return true;
    }
    segment_forget(log);
    return audit_segment_begin(log, err);
}

/* ---- what a crash left open ---- */

static bool recovered_fields(const struct audit_unanswered *set, uint64_t *from, json_t *fields,
                             struct err *err)
{
    json_t *admits = json_array();
    uint64_t index = 0;
    while (json_array_size(admits) < AUDIT_RECOVERED_ADMITS_MAX &&
           audit_unanswered_next(set, *from, &index)) {
        if (json_array_append_new(admits, json_integer((json_int_t)index)) != 0) {
            break;
        }
        *from = index + 1;
    }
    if (json_array_size(admits) == 0 || json_object_set(fields, "admits", admits) != 0) {
        json_decref(admits);
        return err_set(err, ERR_NO_MEMORY, "no memory for a RECOVERED entry");
    }
    json_decref(admits);
    return true;
}

static bool batch_recovered(struct audit_log *log, struct list *batch, struct err *err)
{
    uint64_t from = 0;
    for (size_t count = 0; log->unanswered.count > 0 && count < log->config.batch_entries_max;
         count++) {
        struct audit_pending *pending = NULL;
        json_t *fields = json_object();
        bool ok = recovered_fields(&log->unanswered, &from, fields, err) &&
                  audit_pending_new(log, AUDIT_RECOVERED, fields, &pending, err);
        json_decref(fields);
        if (!ok) {
            return false;
        }
        list_push_back(batch, &pending->link);
    }
    return true;
}

static bool commit_open_ends(struct audit_log *log, struct audit_recovery *recovery,
                             struct err *err)
{
    struct list batch;
    bool ok = true;
    bool unsigned_entries = recovery->unsigned_entries > 0 || log->next_signer != NULL;
    list_init(&batch);
    recovery->unanswered_count = log->unanswered.count;
    while (ok && (unsigned_entries || log->unanswered.count > 0)) {
        ok = (log->next_signer != NULL || batch_recovered(log, &batch, err)) &&
             audit_log_commit(log, &batch, err) &&
             (log->next_signer == NULL || audit_key_switch(log, err));
        audit_log_answer(log, &batch, ok);
        unsigned_entries = false;
    }
    return ok;
}

bool audit_log_recover(struct audit_log *log, struct audit_recovery *recovery, struct err *err)
{
    struct audit_checkpoint checkpoint;
    struct audit_recovery found = {0};
    if (!audit_keys_read(log, err) || !read_checkpoint(log, &checkpoint, &found, err)) {
        return false;
    }
    if (!read_entries(log, &checkpoint, &found, err)) {
        return false;
    }
    log->next_index = log->check.size;
    log->placed = log->check;
    memcpy(log->prev, log->check_prev, sizeof(log->prev));
    buffer_append_bytes(&log->committed.note, buffer_bytes(&log->note));
    log->committed.size = checkpoint.size;
    if (log->committed.note.failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint");
    }
    if (!commit_open_ends(log, &found, err) || !audit_log_save(log, err)) {
        return false;
    }
    found.size = log->committed.size;
    *recovery = found;
    return true;
}
