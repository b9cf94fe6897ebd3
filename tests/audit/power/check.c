/* check.c: see check.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include "audit/leaf.h"
#include "audit/tree.h"
#include "base/arena.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static bool history_visit(void *context, uint64_t index, struct bytes leaf)
{
    struct check_history *history = context;
    assert(index == history->count);
    if ((history->count & (history->count - 1)) == 0) {
        size_t room = history->count == 0 ? 1 : 2 * (size_t)history->count;
        history->hashes = heap_resize(history->hashes, room * sizeof(*history->hashes));
        assert(history->hashes != NULL);
    }
    audit_leaf_hash(leaf, history->hashes[history->count++]);
    return true;
}

bool check_history_read(const char *directory, struct check_history *out, struct err *err)
{
    const struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    if (!audit_log_open(&config, NULL, NULL, &log, &recovery, err)) {
        return false;
    }
    *out = (struct check_history){0};
    bool ok = audit_log_each(log, 0, history_visit, out, err);
    /* One RECOVERED entry names up to AUDIT_RECOVERED_ADMITS_MAX requests. */
    out->own_count = out->count - (recovery.unanswered_count + AUDIT_RECOVERED_ADMITS_MAX - 1) /
                                      AUDIT_RECOVERED_ADMITS_MAX;
    audit_log_close(log);
    if (!ok) {
        check_history_release(out);
    }
    return ok;
}

void check_history_release(struct check_history *history)
{
    heap_free(history->hashes);
    *history = (struct check_history){0};
}

static bool verify(const struct check *check, const char *directory, struct audit_report *report,
                   struct err *err)
{
    if (!audit_verify_directory(directory, check->vkey, bytes_of(NULL, 0), NULL, NULL, report,
                                err)) {
        return false;
    }
    return report->verdict == AUDIT_OK ||
           err_set(err, ERR_TAMPERED, "audit verify says %s: %s",
                   audit_verdict_name(report->verdict), report->detail);
}

/* Every tree that was promised is a beginning of this one, every leaf is in its place. */
static bool promises_kept(const struct check *check, const struct check_history *history,
                          size_t record, struct err *err)
{
    uint8_t(*roots)[AUDIT_HASH_BYTES] =
        heap_alloc_array((size_t)history->count + 1, sizeof(*roots));
    struct audit_range range;
    bool ok = true;
    assert(roots != NULL);
    audit_range_init(&range);
    audit_range_root(&range, roots[0]);
    for (uint64_t i = 0; i < history->count; i++) {
        audit_range_append(&range, history->hashes[i], NULL);
        audit_range_root(&range, roots[i + 1]);
    }
    for (size_t i = 0; ok && i < check->promises->count; i++) {
        const struct promise *promise = &check->promises->rows[i];
        if (promise->record >= record) {
            break;
        }
        const char *what = promise->is_leaf ? "entry" : "tree of size";
        bool there =
            promise->is_leaf ? promise->place < history->count : promise->place <= history->count;
        if (!there) {
            ok = err_set(err, ERR_INTERNAL,
                         "%s %" PRIu64 " was promised, but only %" PRIu64 " entries are there",
                         what, promise->place, history->count);
        } else if (memcmp(promise->is_leaf ? history->hashes[promise->place]
                                           : roots[promise->place],
                          promise->hash, AUDIT_HASH_BYTES) != 0) {
            ok = err_set(err, ERR_INTERNAL, "%s %" PRIu64 " is not the one that was promised", what,
                         promise->place);
        }
    }
    heap_free(roots);
    return ok;
}

/* Nothing is there that the server never wrote. */
static bool nothing_invented(const struct check *check, const struct check_history *history,
                             struct err *err)
{
    if (history->own_count > check->whole->own_count ||
        memcmp(history->hashes, check->whole->hashes,
               (size_t)history->own_count * AUDIT_HASH_BYTES) != 0) {
        return err_set(err, ERR_INTERNAL, "the recovered entries are not a beginning of the log");
    }
    return true;
}

bool check_directory(const struct check *check, const char *directory, size_t record,
                     struct err *err)
{
    struct audit_report before;
    struct audit_report after;
    struct check_history history;
    struct err why;
    bool nothing_promised =
        check->promises->count == 0 || check->promises->rows[0].record >= record;
    bool verifies = verify(check, directory, &before, &why);
    if (!check_history_read(directory, &history, err)) {
        /* A log that was not made whole is refused, as long as nobody has heard of it. */
        return !check->log_was_there && nothing_promised && err->code == ERR_TAMPERED;
    }
    bool ok = verifies || (*err = why, false);
    ok = ok && promises_kept(check, &history, record, err) &&
         nothing_invented(check, &history, err) && verify(check, directory, &after, err);
    if (ok && (after.size != history.count || after.pending_entries != 0)) {
        ok = err_set(err, ERR_INTERNAL, "opened and closed, yet not everything is signed");
    }
    check_history_release(&history);
    return ok;
}
