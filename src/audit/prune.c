/* prune.c: removing old segments, so that what they held can still be proved to have been there.
 *
 *     1. PRUNE            an entry: those before `to` may be gone, and why; with its checkpoint
 *     2. <first>.hashes   the leaf hashes of the segment, synced, and its name too
 *     3. <first>.log      unlinked; the folder is synced. Then the next segment
 *
 * A crash leaves a log that opens: where both files are there, the entries count. Doing it again
 * goes on from there, under the PRUNE entry that there is. `from` is 0 always: an older PRUNE entry
 * may itself be pruned.
 *
 * A bundle (c2sp.org/tlog-tiles) that a pruned entry lies in cannot be read from outside any more.
 * So that everybody sees the PRUNE entry, it lies in a later one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"
#include "audit/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define HASHES_TEMPORARY AUDIT_ENTRIES_DIRECTORY "/hashes.tmp"

enum { HASHES_AT_ONCE = 256 };

/* ---- reading the hashes ---- */

/* Those of one file, until `end`. */
static bool file_each(struct audit_log *log, uint64_t first, uint64_t end,
                      bool (*visit)(void *context, const uint8_t *leaf_hash, struct err *err),
                      void *context, struct err *err)
{
    char name[AUDIT_SEGMENT_NAME_CHARS + 1];
    uint8_t chunk[HASHES_AT_ONCE * AUDIT_HASH_BYTES];
    size_t count = HASHES_AT_ONCE;
    bool ok = true;
    audit_segment_name(first, AUDIT_SEGMENT_HASHES, name);
    int fd = log->io->open(log->io->context, log->directory_fd, name, O_RDONLY, 0);
    if (fd < 0) {
        return err_set(err, ERR_IO, "%s/%s: %s", log->config.directory, name, strerror(errno));
    }
    for (uint64_t at = first; ok && at < end && count == HASHES_AT_ONCE; at += count) {
        size_t size = 0;
        ok = audit_io_read_most(log->io, fd, chunk, sizeof(chunk), (at - first) * AUDIT_HASH_BYTES,
                                &size, err) ||
             err_wrap(err, "%s", name);
        count = size / AUDIT_HASH_BYTES;
        for (size_t i = 0; ok && i < count && at + i < end; i++) {
            ok = visit(context, chunk + i * AUDIT_HASH_BYTES, err);
        }
    }
    close(fd);
    return ok;
}

bool audit_pruned_each(struct audit_log *log,
                       bool (*visit)(void *context, const uint8_t *leaf_hash, struct err *err),
                       void *context, struct err *err)
{
    struct audit_segments hashes;
    const uint64_t kept = log->segments.firsts[0];
    if (!audit_segments_list(log->directory_fd, AUDIT_SEGMENT_HASHES, &hashes, err)) {
        return false;
    }
    bool ok = true;
    /* A gap is found by who counts them. */
    for (size_t i = 0; ok && i < hashes.count && hashes.firsts[i] < kept; i++) {
        uint64_t end =
            i + 1 < hashes.count && hashes.firsts[i + 1] < kept ? hashes.firsts[i + 1] : kept;
        ok = file_each(log, hashes.firsts[i], end, visit, context, err);
    }
    audit_segments_release(&hashes);
    return ok;
}

/* ---- writing them ---- */

struct writing {
    struct audit_log *log;
    int fd;
    uint64_t offset;
    uint64_t end; /* index */
    struct buffer hashes;
    bool ok;
    struct err *err;
};

static bool hashes_flush(struct writing *writing)
{
    const struct audit_io *io = writing->log->io;
    if (writing->hashes.failed) {
        return err_set(writing->err, ERR_NO_MEMORY, "no memory for leaf hashes");
    }
    if (!audit_io_write_all(io, writing->fd, buffer_bytes(&writing->hashes), writing->offset,
                            writing->err)) {
        return err_wrap(writing->err, "%s", HASHES_TEMPORARY);
    }
    writing->offset += writing->hashes.size;
    writing->hashes.size = 0;
    return true;
}

/* What will be gone is read once more, and must still be what was committed. */
static bool hashes_add(void *context, uint64_t index, struct bytes leaf)
{
    struct writing *writing = context;
    uint8_t hash[AUDIT_HASH_BYTES];
    uint8_t committed[AUDIT_HASH_BYTES];
    audit_leaf_hash(leaf, hash);
    if (!audit_tree_stored_node(&writing->log->tree, 0, index, committed, writing->err)) {
        return false;
    }
    if (memcmp(hash, committed, sizeof(hash)) != 0) {
        return err_set(writing->err, ERR_TAMPERED,
                       "entry %" PRIu64 " is not what was committed: " AUDIT_ADVICE, index);
    }
    buffer_append(&writing->hashes, hash, sizeof(hash));
    bool is_full = writing->hashes.size == HASHES_AT_ONCE * AUDIT_HASH_BYTES;
    bool is_last = index + 1 == writing->end;
    if ((is_full || is_last) && !hashes_flush(writing)) {
        return false;
    }
    writing->ok = is_last;
    return !is_last;
}

/* Into a file whose name nobody looks for. */
static bool hashes_write(struct audit_log *log, uint64_t first, uint64_t end, struct err *err)
{
    const struct audit_io *io = log->io;
    struct writing writing = {.log = log, .end = end, .err = err};
    if (io->unlink(io->context, log->directory_fd, HASHES_TEMPORARY) != 0 && errno != ENOENT) {
        return err_set(err, ERR_IO, "%s: unlink: %s", HASHES_TEMPORARY, strerror(errno));
    }
    writing.fd = io->open(io->context, log->directory_fd, HASHES_TEMPORARY,
                          O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (writing.fd < 0) {
        return err_set(err, ERR_IO, "%s: %s", HASHES_TEMPORARY, strerror(errno));
    }
    buffer_init(&writing.hashes, HASHES_AT_ONCE * AUDIT_HASH_BYTES);
    bool ok = audit_log_each(log, first, hashes_add, &writing, err) && writing.ok;
    if (ok && io->sync(io->context, writing.fd) != 0) {
        ok = err_set(err, ERR_IO, "%s: fsync: %s", HASHES_TEMPORARY, strerror(errno));
    }
    buffer_release(&writing.hashes);
    close(writing.fd);
    return ok;
}

/* Steps 2 and 3. */
static bool segment_prune(struct audit_log *log, uint64_t first, uint64_t end, struct err *err)
{
    char entries[AUDIT_SEGMENT_NAME_CHARS + 1];
    char hashes[AUDIT_SEGMENT_NAME_CHARS + 1];
    const struct audit_io *io = log->io;
    audit_segment_name(first, AUDIT_SEGMENT_ENTRIES, entries);
    audit_segment_name(first, AUDIT_SEGMENT_HASHES, hashes);
    if (!hashes_write(log, first, end, err)) {
        return false;
    }
    if (io->rename(io->context, log->directory_fd, HASHES_TEMPORARY, hashes) != 0) {
        return err_set(err, ERR_IO, "%s: rename: %s", hashes, strerror(errno));
    }
    if (!audit_segments_sync(log, err)) {
        return false;
    }
    if (io->unlink(io->context, log->directory_fd, entries) != 0) {
        return err_set(err, ERR_IO, "%s: unlink: %s", entries, strerror(errno));
    }
    return audit_segments_sync(log, err);
}

/* ---- which ones ---- */

struct age {
    int64_t before_ms;
    bool is_older;
};

static bool age_look(void *context, uint64_t index, struct bytes bytes)
{
    struct age *age = context;
    struct audit_leaf leaf;
    const char *why = NULL;
    (void)index;
    age->is_older = audit_leaf_parse(bytes, &leaf, &why) && leaf.time_ms < age->before_ms;
    return false; /* one is enough */
}

/* *end: the first entry that is to stay. */
static bool end_find(struct audit_log *log, const struct audit_pruning *wanted, uint64_t *end,
                     struct err *err)
{
    const struct audit_segments *segments = &log->segments;
    size_t count = 0;
    for (; count + 1 < segments->count; count++) {
        struct age age = {.before_ms = wanted->before_ms};
        uint64_t next = segments->firsts[count + 1];
        uint64_t bundle_end = (next + AUDIT_TILE_WIDTH - 1) / AUDIT_TILE_WIDTH * AUDIT_TILE_WIDTH;
        if (bundle_end > log->next_index || (wanted->segments > 0 && count == wanted->segments)) {
            break;
        }
        if (wanted->segments == 0) {
            /* The SEGMENT_CLOSE behind it is of the time when the next segment began. */
            if (!audit_log_each(log, next - 2, age_look, &age, err)) {
                return false;
            }
            if (!age.is_older) {
                break;
            }
        }
    }
    if (count < wanted->segments) {
        return err_set(err, ERR_USAGE,
                       "%zu of the %zu segments of %s can be pruned: the last one stays, and up to "
                       "%d entries before it",
                       count, segments->count, log->config.directory, AUDIT_TILE_WIDTH);
    }
    *end = segments->firsts[count];
    return true;
}

/* Step 1. */
static bool say(struct audit_log *log, uint64_t to, const char *reason, struct err *err)
{
    struct list batch;
    struct audit_pending *pending = NULL;
    json_t *fields = json_pack("{s:i, s:I, s:s}", "from", 0, "to", (json_int_t)to, "reason",
                               reason == NULL ? "retention" : reason);
    if (fields == NULL) {
        return err_set(err, ERR_FORMAT, "the reason is no text in UTF-8");
    }
    list_init(&batch);
    bool ok = audit_pending_new(log, AUDIT_PRUNE, fields, &pending, err);
    json_decref(fields);
    if (!ok) {
        return false;
    }
    list_push_back(&batch, &pending->link);
    ok = audit_log_commit(log, &batch, err) && audit_log_save(log, err);
    audit_log_answer(log, &batch, ok);
    if (ok) {
        log->prune_claimed = to;
    }
    return ok;
}

static bool prune(struct audit_log *log, const struct audit_pruning *wanted,
                  struct audit_pruned *out, struct err *err)
{
    const struct audit_segments *segments = &log->segments;
    uint64_t end = 0;
    assert(log->unanswered.count == 0); /* opening has named them in RECOVERED entries */
    *out = (struct audit_pruned){.size = segments->firsts[0]};
    bool is_unfinished = segments->firsts[0] < log->prune_claimed;
    if (!is_unfinished && (!end_find(log, wanted, &end, err) ||
                           (end > log->prune_claimed && !say(log, end, wanted->reason, err)))) {
        return false;
    }
    for (size_t i = 0; i + 1 < segments->count && segments->firsts[i + 1] <= log->prune_claimed;
         i++) {
        if (!segment_prune(log, segments->firsts[i], segments->firsts[i + 1], err)) {
            return false;
        }
        out->segments++;
        out->size = segments->firsts[i + 1];
    }
    return true;
}

bool audit_log_prune_with(const struct audit_io *io, const struct audit_config *config,
                          const struct audit_pruning *wanted, struct audit_pruned *out,
                          struct err *err)
{
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    if (!audit_log_new(io, config, &log, err)) {
        return false;
    }
    bool ok = audit_log_recover(log, &recovery, err) && prune(log, wanted, out, err);
    audit_log_free(log);
    return ok;
}

bool audit_log_prune(const struct audit_config *config, const struct audit_pruning *wanted,
                     struct audit_pruned *out, struct err *err)
{
    return audit_log_prune_with(&audit_io_system, config, wanted, out, err);
}
