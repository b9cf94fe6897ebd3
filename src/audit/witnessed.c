/* witnessed.c: the log seen from its witnesses: is what they have seen still its beginning, and the
 * checkpoint that they cosigned, which lies beside the log's own.
 *
 * That file proves nothing against who can roll the directory back, because it is rolled back with
 * it; it is for whoever reads the log, or a copy of the directory, without asking the witnesses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include <string.h>

static bool proves_continuation(struct audit_log *log, const struct audit_checkpoint *old,
                                const struct audit_checkpoint *now, bool *continues,
                                struct err *err)
{
    struct buffer proof;
    buffer_init(&proof, (size_t)AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES);
    bool ok = audit_log_prove_between(log, old->size, now->size, &proof, err);
    if (ok) {
        *continues = audit_consistency_verify(old->size, now->size, buffer_bytes(&proof),
                                              bytes_of(old->root, AUDIT_HASH_BYTES),
                                              bytes_of(now->root, AUDIT_HASH_BYTES));
    }
    buffer_release(&proof);
    return ok;
}

bool audit_log_continues(struct audit_log *log, const struct audit_checkpoint *old, bool *continues,
                         struct err *err)
{
    struct audit_checkpoint now;
    struct bytes text;
    struct bytes lines;
    struct buffer note;
    uint8_t empty[AUDIT_HASH_BYTES];
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    bool ok = audit_log_checkpoint(log, &note) &&
              audit_note_split(buffer_bytes(&note), &text, &lines) &&
              audit_checkpoint_parse(text, &now);
    buffer_release(&note);
    if (!ok) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint");
    }
    if (old->size == 0) {
        crypto_sha256(bytes_of(NULL, 0), empty);
        *continues = memcmp(old->root, empty, sizeof(empty)) == 0;
        return true;
    }
    if (strcmp(old->origin, now.origin) != 0 || old->size > now.size) {
        *continues = false;
        return true;
    }
    return proves_continuation(log, old, &now, continues, err);
}

bool audit_log_keep_cosigned(struct audit_log *log, struct bytes note, struct err *err)
{
    return audit_io_replace_file(log->io, log->directory_fd, AUDIT_WITNESSED_FILE,
                                 AUDIT_WITNESSED_TEMPORARY, note, err);
}

bool audit_log_read_cosigned(struct audit_log *log, struct buffer *out, struct err *err)
{
    return audit_io_read_file(log->io, log->directory_fd, AUDIT_WITNESSED_FILE, out, err);
}
