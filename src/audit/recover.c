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
 *
 * An empty checkpoint file, or one of zeros, is what some file systems leave after a power cut. All
 * entries are then unsigned ones. It gives nothing away: who could empty the file could as well put
 * an older checkpoint there. Any other content that does not verify is refused.
 *
 * Requests that were admitted and never answered are named in RECOVERED leaves, so that the log
 * itself says what a crash left open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADVICE                                                                                     \
    "keep the directory as evidence, run `wasm-hypervisor audit verify` on it, and go on from a "  \
    "copy that it calls OK"

static bool missing(const struct audit_log *log, const char *name, struct err *err)
{
    return err_set(err, ERR_TAMPERED,
                   "%s has no %s: if no log was ever kept there, empty it and run `wasm-hypervisor "
                   "audit init`; else a part of the log is gone, so " ADVICE,
                   log->config.directory, name);
}

/* A small file of the log; its absence is a missing log. */
static bool read_part(const struct audit_log *log, const char *name, struct buffer *out,
                      struct err *err)
{
    if (audit_io_read_file(log->io, log->directory_fd, name, out, err)) {
        return true;
    }
    if (err->code == ERR_NOT_FOUND) {
        return missing(log, name, err);
    }
    if (err->code == ERR_FORMAT) {
        return err_set(err, ERR_TAMPERED, "%s/%s is too long: " ADVICE, log->config.directory,
                       name);
    }
    return err_wrap(err, "%s", log->config.directory);
}

static bool read_vkey(struct audit_log *log, struct err *err)
{
    struct buffer text;
    struct err why;
    bool ok = false;
    buffer_init(&text, AUDIT_VKEY_CHARS_MAX + 1);
    if (!read_part(log, AUDIT_VKEY_FILE, &text, err)) {
        goto out;
    }
    if (text.size == 0 || text.ptr[text.size - 1] != '\n' ||
        !audit_key_parse(bytes_of(text.ptr, text.size - 1), &log->key, &why)) {
        err_set(err, ERR_TAMPERED, "%s/%s is not a verifier key: restore it from a copy",
                log->config.directory, AUDIT_VKEY_FILE);
        goto out;
    }
    audit_key_format(&log->key, log->vkey);
    ok = true;
out:
    buffer_release(&text);
    return ok;
}

/* The private key must be ours alone and belong to the verifier key. */
static bool read_signer(struct audit_log *log, struct err *err)
{
    uint8_t public_key[128];
    struct stat status;
    bool ok = false;
    char *path = NULL;
    struct buffer name;
    buffer_init(&name, 64 * 1024);
    buffer_printf(&name, "%s/%s", log->config.directory, AUDIT_KEY_FILE);
    path = (char *)buffer_detach(&name, &(size_t){0});
    if (path == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a path");
        goto out;
    }
    if (fstatat(log->directory_fd, AUDIT_KEY_FILE, &status, 0) != 0) {
        missing(log, AUDIT_KEY_FILE, err);
        goto out;
    }
    if ((status.st_mode & 077) != 0) {
        err_set(err, ERR_CONFIG, "%s can be read by others: chmod 600 it", path);
        goto out;
    }
    if (!crypto_signer_load(path, &log->signer, err)) {
        goto out;
    }
    if (crypto_signer_algorithm(log->signer) != CRYPTO_ED25519 ||
        crypto_signer_public(log->signer, public_key) != CRYPTO_ED25519_PUBLIC_BYTES ||
        memcmp(public_key, log->key.public_key, CRYPTO_ED25519_PUBLIC_BYTES) != 0) {
        err_set(err, ERR_TAMPERED, "%s is not the key that %s names: restore the right one", path,
                AUDIT_VKEY_FILE);
        goto out;
    }
    ok = true;
out:
    heap_free(path);
    buffer_release(&name);
    return ok;
}

static bool is_all_zeros(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Lost: size 0 and the root of nothing. */
static bool read_checkpoint(struct audit_log *log, struct audit_checkpoint *out,
                            struct audit_recovery *recovery, struct err *err)
{
    if (!read_part(log, AUDIT_CHECKPOINT_FILE, &log->note, err)) {
        return false;
    }
    recovery->checkpoint_lost = is_all_zeros(buffer_bytes(&log->note));
    if (recovery->checkpoint_lost) {
        *out = (struct audit_checkpoint){.size = 0};
        audit_range_root(&log->check, out->root);
        log->note.size = 0;
        return true;
    }
    enum audit_verdict verdict = audit_checkpoint_open(buffer_bytes(&log->note), &log->key, out);
    if (verdict != AUDIT_OK) {
        return err_set(err, ERR_TAMPERED, "%s/%s %s: " ADVICE, log->config.directory,
                       AUDIT_CHECKPOINT_FILE,
                       verdict == AUDIT_UNVERIFIABLE ? "is not signed by the log's key"
                                                     : "is malformed or its signature is bad");
    }
    return true;
}

/* ---- reading the entries ---- */

struct scan {
    struct audit_log *log;
    struct audit_entry_reader reader;
    uint64_t last_stored; /* leaves */
};

/* Reads, links and hashes the next entry. False with a reason: it is not an entry. */
static bool scan_accept(struct scan *scan, struct bytes bytes, uint64_t offset, const char **why,
                        struct err *err)
{
    struct audit_log *log = scan->log;
    struct audit_leaf leaf;
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
    if (!audit_unanswered_apply(&log->unanswered, &leaf, err)) {
        *why = err->code == ERR_TAMPERED ? "it answers what was not asked" : NULL;
        return false;
    }
    audit_leaf_hash(bytes, log->check_prev);
    audit_range_append(&log->check, log->check_prev, NULL);
    if (!audit_tree_append(&log->tree, log->check_prev, err)) {
        *why = NULL;
        return false;
    }
    if (!audit_offsets_add(&log->committed.offsets, leaf.index, offset)) {
        *why = NULL;
        err_set(err, ERR_NO_MEMORY, "no memory for the index of the log");
        return false;
    }
    return true;
}

static bool scan_store(struct scan *scan, struct err *err)
{
    if (!audit_tree_store(&scan->log->tree, err)) {
        return false;
    }
    audit_tree_begin(&scan->log->tree);
    scan->last_stored = scan->log->check.size;
    return true;
}

static bool root_compare(const struct scan *scan, const struct audit_checkpoint *checkpoint,
                         struct err *err)
{
    uint8_t root[AUDIT_HASH_BYTES];
    audit_range_root(&scan->log->check, root);
    if (memcmp(root, checkpoint->root, sizeof(root)) != 0) {
        return err_set(err, ERR_TAMPERED,
                       "the first %" PRIu64 " entries of %s/%s are not those that the checkpoint "
                       "signs: " ADVICE,
                       checkpoint->size, scan->log->config.directory, AUDIT_ENTRIES_FILE);
    }
    return true;
}

/* Takes entries up to `size`, or, without a bound, as long as they are whole and link. */
static bool scan_until(struct scan *scan, uint64_t size, bool bounded, struct err *err)
{
    struct audit_log *log = scan->log;
    while (!bounded || log->check.size < size) {
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
        if (result != AUDIT_ENTRY_WHOLE || !scan_accept(scan, bytes, offset, &why, err)) {
            scan->reader.offset = offset;
            if (why == NULL) {
                return false;
            }
            if (!bounded) {
                return true;
            }
            return err_set(err, ERR_TAMPERED,
                           "%s/%s is not what the checkpoint signs (%" PRIu64
                           " entries): entry %" PRIu64 ": %s; " ADVICE,
                           log->config.directory, AUDIT_ENTRIES_FILE, size, log->check.size, why);
        }
        if (log->check.size - scan->last_stored == AUDIT_BATCH_ENTRIES_MAX &&
            !scan_store(scan, err)) {
            return false;
        }
    }
    return true;
}

static bool cut_tail(struct audit_log *log, uint64_t size, struct audit_recovery *recovery,
                     struct err *err)
{
    struct stat status;
    if (fstat(log->entries_fd, &status) != 0) {
        return err_set(err, ERR_IO, "%s: %s", AUDIT_ENTRIES_FILE, strerror(errno));
    }
    log->file_size = size;
    recovery->torn_bytes_cut = (uint64_t)status.st_size - size;
    if (recovery->torn_bytes_cut == 0) {
        return true;
    }
    if (recovery->torn_bytes_cut > AUDIT_TORN_BYTES_MAX) {
        return err_set(err, ERR_TAMPERED,
                       "%s/%s: %" PRIu64 " bytes after entry %" PRIu64
                       " are no entries of this log, and more than a crash can leave: " ADVICE,
                       log->config.directory, AUDIT_ENTRIES_FILE, recovery->torn_bytes_cut,
                       log->check.size - 1);
    }
    if (log->io->truncate(log->io->context, log->entries_fd, (off_t)size) != 0 ||
        log->io->sync(log->io->context, log->entries_fd) != 0) {
        return err_set(err, ERR_IO, "%s: cutting the torn tail: %s", AUDIT_ENTRIES_FILE,
                       strerror(errno));
    }
    return true;
}

/* Writes what is in [from, to) once more, so that the sync after it means something: a process that
 * was killed may not have synced it, and after a sync that failed the system shows what is not on
 * the disk, and takes it for clean. (Asking the system to forget it would be but a hint.) */
static bool write_again(struct audit_log *log, uint64_t from, uint64_t to, struct err *err)
{
    uint8_t chunk[16 * 1024];
    size_t size = 0;
    if (from == to) {
        return true;
    }
    for (; from < to; from += size) {
        size_t wanted = to - from < sizeof(chunk) ? (size_t)(to - from) : sizeof(chunk);
        if (!audit_io_read_most(log->io, log->entries_fd, chunk, wanted, from, &size, err) ||
            !audit_io_write_all(log->io, log->entries_fd, bytes_of(chunk, size), from, err)) {
            return err_wrap(err, "%s", AUDIT_ENTRIES_FILE);
        }
        if (size == 0) {
            return err_set(err, ERR_IO, "%s: it was cut meanwhile", AUDIT_ENTRIES_FILE);
        }
    }
    return log->io->sync(log->io->context, log->entries_fd) == 0 ||
           err_set(err, ERR_IO, "%s: fsync: %s", AUDIT_ENTRIES_FILE, strerror(errno));
}

static bool read_entries(struct audit_log *log, const struct audit_checkpoint *checkpoint,
                         struct audit_recovery *recovery, struct err *err)
{
    struct scan scan = {.log = log};
    bool ok = false;
    if (!audit_entry_reader_open(&scan.reader, log->io, log->entries_fd, 0, err)) {
        return false;
    }
    if (!scan_until(&scan, checkpoint->size, true, err) || !root_compare(&scan, checkpoint, err)) {
        goto out;
    }
    uint64_t signed_bytes = scan.reader.offset;
    if (!scan_until(&scan, 0, false, err) || !scan_store(&scan, err)) {
        goto out;
    }
    if (log->check.size == 0) {
        missing(log, "entry", err);
        goto out;
    }
    if (!cut_tail(log, scan.reader.offset, recovery, err) ||
        !write_again(log, signed_bytes, scan.reader.offset, err)) {
        goto out;
    }
    recovery->unsigned_entries = log->check.size - checkpoint->size;
    ok = true;
out:
    audit_entry_reader_close(&scan.reader);
    return ok;
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
    bool unsigned_entries = recovery->unsigned_entries > 0;
    list_init(&batch);
    recovery->unanswered_count = log->unanswered.count;
    while (ok && (unsigned_entries || log->unanswered.count > 0)) {
        ok = batch_recovered(log, &batch, err) && audit_log_commit(log, &batch, err);
        audit_log_answer(log, &batch, ok);
        unsigned_entries = false;
    }
    return ok;
}

bool audit_log_recover(struct audit_log *log, struct audit_recovery *recovery, struct err *err)
{
    struct audit_checkpoint checkpoint;
    struct audit_recovery found = {0};
    if (!read_vkey(log, err) || !read_signer(log, err) ||
        !read_checkpoint(log, &checkpoint, &found, err)) {
        return false;
    }
    log->entries_fd =
        log->io->open(log->io->context, log->directory_fd, AUDIT_ENTRIES_FILE, O_RDWR, 0);
    if (log->entries_fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? missing(log, AUDIT_ENTRIES_FILE, err)
                   : err_set(err, ERR_IO, "%s/%s: %s", log->config.directory, AUDIT_ENTRIES_FILE,
                             strerror(errno));
    }
    if (!read_entries(log, &checkpoint, &found, err)) {
        return false;
    }
    log->next_index = log->check.size;
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
