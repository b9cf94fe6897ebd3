/* verify.c: `audit verify`: is this directory the log that its key signed?
 *
 * The checkpoint is read first and the entries after it, so a log that is being written verifies,
 * too. Every entry is read once, in order, with memory for two compact ranges and one bit per
 * entry.
 *
 * That something is wrong is decided by the signed root alone. Which entry is wrong is told by the
 * links: entry i's hash is computed from its bytes, and claimed by the `prev` of entry i+1. Where
 * they first differ, either entry i was changed, or the `prev` of entry i+1 was. If the tree of the
 * claimed hashes has the signed root, it was entry i. If the hash of entry i+1 in turn is confirmed
 * by entry i+2, too. Else it was entry i+1. When all links hold and the root does not, the last
 * signed entry was changed, or everything from some entry on was made anew.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"
#include "audit/entries.h"
#include "audit/log.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROGRESS_STEP = 10000 };

struct verifier {
    const struct audit_io *io;
    int directory_fd;
    struct audit_key key;
    struct audit_checkpoint checkpoint;
    struct audit_checkpoint since; /* size 0: none */
    bool has_since;
    bool since_differs;
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;

    struct audit_range computed; /* lags one entry behind: a link is known before its leaf counts */
    struct audit_range claimed;  /* the same until the first broken link */
    struct audit_unanswered unanswered;
    uint64_t next_index;
    uint8_t last_hash[AUDIT_HASH_BYTES]; /* of entry next_index - 1, computed */
    uint64_t broken_index; /* the first entry whose `prev` is not what was computed; UINT64_MAX */
    bool broken_confirmed; /* the entry after it names it rightly */
    uint64_t stray_index;  /* the first entry that answers what was not asked; UINT64_MAX */
    struct audit_report *report;
};

static void PRINTF_LIKE(4, 5) conclude(struct verifier *verifier, enum audit_verdict verdict,
                                       uint64_t bad_index, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    verifier->report->verdict = verdict;
    verifier->report->bad_index = bad_index;
    (void)vsnprintf(verifier->report->detail, sizeof(verifier->report->detail), format, arguments);
    va_end(arguments);
}

/* ---- keys and checkpoints ---- */

/* False with *err if the file cannot be read; *found tells whether it is there. */
static bool read_part(struct verifier *verifier, const char *name, struct buffer *out, bool *found,
                      struct err *err)
{
    *found = audit_io_read_file(verifier->io, verifier->directory_fd, name, out, err);
    return *found || err->code == ERR_NOT_FOUND || err->code == ERR_FORMAT;
}

/* *go_on false: the report is done. */
static bool load_key(struct verifier *verifier, const char *vkey, bool *go_on, struct err *err)
{
    struct buffer text;
    struct err why;
    bool found = true;
    bool ok = false;
    buffer_init(&text, AUDIT_VKEY_CHARS_MAX + 1);
    if (vkey != NULL) {
        buffer_append_string(&text, vkey);
    } else if (!read_part(verifier, AUDIT_VKEY_FILE, &text, &found, err)) {
        goto out;
    }
    struct bytes line = buffer_bytes(&text);
    if (line.size > 0 && line.ptr[line.size - 1] == '\n') {
        line.size--;
    }
    ok = true;
    *go_on = found && audit_key_parse(line, &verifier->key, &why);
    if (!*go_on) {
        conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX, "%s is not a verifier key",
                 vkey != NULL ? "what was given" : AUDIT_VKEY_FILE);
    }
out:
    buffer_release(&text);
    return ok;
}

static void keep_head(struct verifier *verifier)
{
    struct audit_report *report = verifier->report;
    report->size = verifier->checkpoint.size;
    memcpy(report->origin, verifier->checkpoint.origin, sizeof(report->origin));
    text_hex_encode(bytes_of(verifier->checkpoint.root, AUDIT_HASH_BYTES), report->root_hex);
}

static bool load_checkpoint(struct verifier *verifier, bool *go_on, struct err *err)
{
    struct buffer note;
    bool found = false;
    bool ok = false;
    *go_on = false;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    if (!read_part(verifier, AUDIT_CHECKPOINT_FILE, &note, &found, err)) {
        goto out;
    }
    ok = true;
    if (!found) {
        bool longer = note.failed;
        conclude(verifier, longer ? AUDIT_TAMPERED : AUDIT_TRUNCATED, UINT64_MAX,
                 longer ? "the checkpoint is too long" : "there is no checkpoint");
        goto out;
    }
    enum audit_verdict verdict =
        audit_checkpoint_open(buffer_bytes(&note), &verifier->key, &verifier->checkpoint);
    if (verdict != AUDIT_TAMPERED) {
        keep_head(verifier);
    }
    if (verdict == AUDIT_UNVERIFIABLE) {
        conclude(verifier, verdict, UINT64_MAX, "the checkpoint is not signed by %s",
                 verifier->key.name);
    } else if (verdict != AUDIT_OK) {
        conclude(verifier, verdict, UINT64_MAX,
                 "the checkpoint is malformed or its signature is bad");
    }
    *go_on = verdict == AUDIT_OK;
out:
    buffer_release(&note);
    return ok;
}

/* The auditor's own checkpoint: if it does not verify, that says nothing about the log. */
static bool load_since(struct verifier *verifier, struct bytes since)
{
    if (since.size == 0) {
        return true;
    }
    if (audit_checkpoint_open(since, &verifier->key, &verifier->since) != AUDIT_OK) {
        conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX,
                 "the older checkpoint to compare with does not verify with this key");
        return false;
    }
    verifier->has_since = true;
    return true;
}

/* ---- entries ---- */

static void compare_since(struct verifier *verifier)
{
    uint8_t root[AUDIT_HASH_BYTES];
    if (verifier->has_since && verifier->computed.size == verifier->since.size) {
        audit_range_root(&verifier->computed, root);
        verifier->since_differs = memcmp(root, verifier->since.root, sizeof(root)) != 0;
    }
}

/* Entry next_index - 1 enters both trees, with its computed and its claimed hash. */
static void count_leaf(struct verifier *verifier, const uint8_t claim[static AUDIT_HASH_BYTES])
{
    if (verifier->broken_index != UINT64_MAX) {
        audit_range_append(&verifier->claimed, claim, NULL);
    }
    audit_range_append(&verifier->computed, verifier->last_hash, NULL);
    compare_since(verifier);
}

/* Entry next_index, which is not read further yet, claims this hash for the one before it. */
static void check_link(struct verifier *verifier, const uint8_t claim[static AUDIT_HASH_BYTES])
{
    bool holds = memcmp(claim, verifier->last_hash, AUDIT_HASH_BYTES) == 0;
    if (verifier->broken_index == UINT64_MAX) {
        if (!holds) {
            verifier->claimed = verifier->computed;
            verifier->broken_index = verifier->next_index;
        }
    } else if (verifier->next_index == verifier->broken_index + 1) {
        verifier->broken_confirmed = holds;
    }
}

/* Names the first bad entry when a link is broken. */
static void conclude_broken_link(struct verifier *verifier, bool claims_hold)
{
    bool before = claims_hold || verifier->broken_confirmed;
    uint64_t bad = before ? verifier->broken_index - 1 : verifier->broken_index;
    conclude(verifier, AUDIT_TAMPERED, bad, "entry %" PRIu64 " is not what was committed", bad);
}

static void conclude_unreadable(struct verifier *verifier, const char *why)
{
    if (verifier->broken_index != UINT64_MAX) {
        conclude_broken_link(verifier, false);
        return;
    }
    conclude(verifier, AUDIT_TAMPERED, verifier->next_index, "entry %" PRIu64 ": %s",
             verifier->next_index, why);
}

/* False: the report is done, or *failed. */
static bool take_entry(struct verifier *verifier, struct bytes bytes, bool *failed, struct err *err)
{
    static const uint8_t zeros[AUDIT_HASH_BYTES];
    struct audit_leaf leaf;
    const char *why = NULL;
    if (!audit_leaf_parse(bytes, &leaf, &why)) {
        conclude_unreadable(verifier, why);
        return false;
    }
    if (leaf.index != verifier->next_index) {
        conclude_unreadable(verifier, "it carries another index");
        return false;
    }
    if (leaf.index > 0) {
        check_link(verifier, leaf.prev);
        count_leaf(verifier, leaf.prev);
    } else if (memcmp(leaf.prev, zeros, sizeof(zeros)) != 0) {
        conclude_unreadable(verifier, "the first entry names one before it");
        return false;
    }
    struct err why_stray;
    if (!audit_unanswered_apply(&verifier->unanswered, &leaf, &why_stray)) {
        if (why_stray.code != ERR_TAMPERED) {
            *err = why_stray;
            *failed = true;
            return false;
        }
        /* Its fault only if the root holds: an ADMIT that was changed leaves its RESULT astray. */
        if (verifier->stray_index == UINT64_MAX) {
            verifier->stray_index = leaf.index;
        }
    }
    audit_leaf_hash(bytes, verifier->last_hash);
    verifier->next_index++;
    return true;
}

static void tell_progress(const struct verifier *verifier)
{
    bool due = verifier->next_index % PROGRESS_STEP == 0 ||
               verifier->next_index == verifier->checkpoint.size;
    if (verifier->progress != NULL && due) {
        verifier->progress(verifier->progress_context, verifier->next_index,
                           verifier->checkpoint.size);
    }
}

/* All entries that the checkpoint signs. */
static bool take_signed(struct verifier *verifier, struct audit_entry_reader *reader, bool *go_on,
                        struct err *err)
{
    *go_on = false;
    while (verifier->next_index < verifier->checkpoint.size) {
        struct bytes bytes;
        bool failed = false;
        switch (audit_entry_next(reader, &bytes, err)) {
        case AUDIT_ENTRY_FAILED:
            return false;
        case AUDIT_ENTRY_END:
        case AUDIT_ENTRY_TORN:
            conclude(verifier, AUDIT_TRUNCATED, verifier->next_index,
                     "the checkpoint signs %" PRIu64
                     " entries, but the file ends in entry %" PRIu64,
                     verifier->checkpoint.size, verifier->next_index);
            return true;
        case AUDIT_ENTRY_TOO_LONG:
            conclude_unreadable(verifier, "its length is over the limit");
            return true;
        case AUDIT_ENTRY_WHOLE:
            if (!take_entry(verifier, bytes, &failed, err)) {
                return !failed;
            }
        }
        tell_progress(verifier);
    }
    *go_on = true;
    return true;
}

/* Every byte is as it was signed; what is wrong now, the key itself signed against the rules. */
static bool compare_rules(struct verifier *verifier)
{
    if (verifier->broken_index != UINT64_MAX) {
        conclude(verifier, AUDIT_TAMPERED, verifier->broken_index,
                 "entry %" PRIu64 " was signed, but does not name the entry before it",
                 verifier->broken_index);
        return false;
    }
    if (verifier->stray_index != UINT64_MAX) {
        conclude(verifier, AUDIT_TAMPERED, verifier->stray_index,
                 "entry %" PRIu64 " was signed, but answers what was not asked",
                 verifier->stray_index);
        return false;
    }
    return true;
}

/* Counts the last signed entry, which has no successor to claim it. */
static bool compare_root(struct verifier *verifier)
{
    uint8_t root[AUDIT_HASH_BYTES];
    uint8_t claimed_root[AUDIT_HASH_BYTES];
    if (verifier->checkpoint.size > 0) {
        count_leaf(verifier, verifier->last_hash);
    }
    audit_range_root(&verifier->computed, root);
    if (memcmp(root, verifier->checkpoint.root, sizeof(root)) == 0) {
        return compare_rules(verifier);
    }
    if (verifier->broken_index == UINT64_MAX) {
        conclude(verifier, AUDIT_TAMPERED, verifier->checkpoint.size - 1,
                 "the links hold but the root is not the signed one: entry %" PRIu64
                 " was changed, or a run of entries that ends with it was made anew",
                 verifier->checkpoint.size - 1);
        return false;
    }
    audit_range_root(&verifier->claimed, claimed_root);
    conclude_broken_link(verifier,
                         memcmp(claimed_root, verifier->checkpoint.root, sizeof(root)) == 0);
    return false;
}

static void conclude_whole(struct verifier *verifier, bool key_from_directory)
{
    const struct audit_checkpoint *since = &verifier->since;
    if (verifier->has_since && since->size > verifier->checkpoint.size) {
        conclude(verifier, AUDIT_ROLLED_BACK, UINT64_MAX,
                 "the log has %" PRIu64 " entries, but it had %" PRIu64 " before",
                 verifier->checkpoint.size, since->size);
    } else if (verifier->since_differs) {
        conclude(verifier, AUDIT_FORKED, UINT64_MAX,
                 "the first %" PRIu64 " entries are not those of the older checkpoint: the key "
                 "signed two histories",
                 since->size);
    } else {
        conclude(verifier, AUDIT_OK, UINT64_MAX, "%" PRIu64 " entries verify%s",
                 verifier->checkpoint.size,
                 key_from_directory ? ", with the key that the directory itself holds" : "");
    }
}

/* What was written and not signed yet; what is torn after it is nobody's yet. */
static bool count_pending(struct verifier *verifier, struct audit_entry_reader *reader,
                          struct err *err)
{
    for (;;) {
        struct bytes bytes;
        struct audit_leaf leaf;
        const char *why;
        enum audit_entry_result result = audit_entry_next(reader, &bytes, err);
        if (result == AUDIT_ENTRY_FAILED) {
            return false;
        }
        if (result != AUDIT_ENTRY_WHOLE || !audit_leaf_parse(bytes, &leaf, &why) ||
            leaf.index != verifier->next_index ||
            memcmp(leaf.prev, verifier->last_hash, sizeof(leaf.prev)) != 0) {
            return true;
        }
        audit_leaf_hash(bytes, verifier->last_hash);
        verifier->next_index++;
        verifier->report->pending_entries++;
    }
}

static bool verify_entries(struct verifier *verifier, bool key_from_directory, struct err *err)
{
    struct audit_entry_reader reader;
    bool go_on = false;
    bool ok = false;
    int fd = verifier->io->open(verifier->io->context, verifier->directory_fd, AUDIT_ENTRIES_FILE,
                                O_RDONLY, 0);
    if (fd < 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            return err_set(err, ERR_IO, "%s: %s", AUDIT_ENTRIES_FILE, strerror(errno));
        }
        conclude(verifier, AUDIT_TRUNCATED, 0, "there is no %s", AUDIT_ENTRIES_FILE);
        return true;
    }
    if (!audit_entry_reader_open(&reader, verifier->io, fd, 0, err)) {
        goto close;
    }
    if (!take_signed(verifier, &reader, &go_on, err)) {
        goto out;
    }
    if (go_on && compare_root(verifier)) {
        verifier->report->unanswered_count = verifier->unanswered.count;
        verifier->report->recovered_count = verifier->unanswered.recovered;
        conclude_whole(verifier, key_from_directory);
        if (!count_pending(verifier, &reader, err)) {
            goto out;
        }
    }
    ok = true;
out:
    audit_entry_reader_close(&reader);
close:
    close(fd);
    return ok;
}

bool audit_verify_directory(const char *directory, const char *vkey, struct bytes since,
                            void (*progress)(void *context, uint64_t done, uint64_t total),
                            void *context, struct audit_report *report, struct err *err)
{
    struct audit_report found = {.bad_index = UINT64_MAX};
    struct verifier verifier = {
        .io = &audit_io_system,
        .progress = progress,
        .progress_context = context,
        .broken_index = UINT64_MAX,
        .stray_index = UINT64_MAX,
        .report = &found,
    };
    bool go_on = false;
    verifier.directory_fd =
        verifier.io->open(verifier.io->context, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
    if (verifier.directory_fd < 0) {
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", directory,
                       strerror(errno));
    }
    bool ok =
        load_key(&verifier, vkey, &go_on, err) &&
        (!go_on || load_checkpoint(&verifier, &go_on, err)) &&
        (!go_on || !load_since(&verifier, since) || verify_entries(&verifier, vkey == NULL, err));
    close(verifier.directory_fd);
    audit_unanswered_release(&verifier.unanswered);
    if (!ok) {
        return err_wrap(err, "%s", directory);
    }
    *report = found;
    return true;
}
