/* log.h: the inside of an open log, shared by log.c (its life, and submitting), read.c (reading),
 * writer.c (the writer thread), commit.c (a batch's way to the disk), saver.c (the thread of the
 * checkpoint file), ahead.c (zeros behind the entries), recover.c (opening) and init.c (making).
 *
 * Who owns what: `submitted` and the queue belong to the mutex; the files, the tree and the write
 * buffer belong to the writer (before it starts: to the opener); `committed` is written by the
 * writer under the mutex and read by anyone under it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_LOG_H
#define AUDIT_LOG_H

#include "audit/audit.h"
#include "audit/entries.h"
#include "audit/io.h"
#include "audit/note.h"
#include "audit/segments.h"
#include "audit/tree.h"
#include "audit/unanswered.h"
#include "base/list.h"

#include <pthread.h>

enum {
    AUDIT_BATCH_DELAY_MS_DEFAULT = 2,
    AUDIT_BATCH_ENTRIES_MAX = 1024,
    AUDIT_PENDING_ENTRIES_DEFAULT = 8192,
};

/* The largest batch; after a crash no more can lie behind the last whole entry. */
enum {
    AUDIT_TORN_BYTES_MAX =
        AUDIT_BATCH_ENTRIES_MAX * (AUDIT_ENTRY_PREFIX_BYTES + AUDIT_LEAF_BYTES_MAX),
};

/* So many zeros lie behind the entries at most, and half as many at least if the saver keeps up. */
enum { AUDIT_AHEAD_BYTES = 128 * 1024, AUDIT_AHEAD_GAP_BYTES = 32 * 1024 };

/* The checkpoint file is replaced when nothing has been committed for the one time, or when it has
 * said less than the log for the other. */
enum { AUDIT_SAVE_MS_MIN = 100, AUDIT_SAVE_MS_MAX = 1000 };

#define AUDIT_VKEY_FILE "log.vkey"
#define AUDIT_VKEY_TEMPORARY "log.vkey.tmp"
#define AUDIT_CHECKPOINT_FILE "checkpoint"
#define AUDIT_CHECKPOINT_TEMPORARY "checkpoint.tmp"
#define AUDIT_WITNESSED_FILE "checkpoint.witnessed"
#define AUDIT_WITNESSED_TEMPORARY "checkpoint.witnessed.tmp"

#define AUDIT_ADVICE                                                                               \
    "keep the directory as evidence, run `wasm-hypervisor audit verify` on it, and go on from a "  \
    "copy that it calls OK"

/* What the writer does once the last entry of a batch is committed. */
enum audit_after { AUDIT_AFTER_NOTHING, AUDIT_AFTER_BEGIN_SEGMENT, AUDIT_AFTER_SWITCH_KEY };

/* A leaf between submit and callback. */
struct audit_pending {
    struct list link;
    audit_commit_cb cb; /* NULL: nobody waits */
    void *context;
    enum audit_after after; /* not NOTHING: it is the last one of its batch */
    uint64_t index;
    int64_t time_ms;
    uint64_t submitted_ns;
    uint8_t leaf_hash[AUDIT_HASH_BYTES];
    size_t leaf_size;
    uint8_t leaf[];
};

/* A leaf that has no place in the log yet: what can be made without the mutex. */
struct audit_draft {
    struct audit_pending *pending;
    struct audit_leaf leaf; /* of it, under index 0 */
    struct audit_leaf_places places;
};

/* Verifier keys stay until the log is closed: readers hold the text. */
struct audit_vkey {
    struct audit_vkey *older;
    char text[AUDIT_VKEY_CHARS_MAX + 1];
};

/* A private key as it is kept. */
struct audit_private {
    struct crypto_signer *signer;
    struct audit_key key;
    bool is_sealed;
};

/* The saver, and the checkpoint file. All under the mutex. */
struct audit_save {
    uint64_t lags_since_ns; /* 0: the file says what was committed last */
    bool is_under_way;      /* replacing it: whoever set it owns the note */
    bool failed;            /* anything the saver does; with err */
    bool ends;              /* the thread has nothing to do any more */
    struct err err;
    struct buffer note;
    pthread_t thread;
    pthread_cond_t changed;
};

/* Zeros in the entry file (ahead.c). All under the mutex. */
struct audit_ahead {
    bool is_wanted; /* entries have come since the log was opened */
    bool is_under_way;
    uint64_t from; /* of those that are being written */
    uint64_t end;  /* of zeros and entries, written or about to be */
};

struct audit_log {
    const struct audit_io *io;
    struct audit_config config; /* defaults filled in; directory is owned */
    int directory_fd;           /* also holds the lock */
    int entries_fd;
    struct crypto_signer *signer;      /* the writer's, and under the mutex */
    struct crypto_signer *next_signer; /* of a key that is being brought in; else NULL */
    struct audit_key key;
    struct audit_key next_key;
    bool key_is_sealed;
    bool next_is_sealed;
    _Atomic(struct audit_vkey *) vkey;

    /* the writer's */
    struct audit_tree tree;
    struct audit_range check; /* the same tree, computed anew from the bytes that are written */
    uint8_t check_prev[AUDIT_HASH_BYTES];
    uint64_t file_size; /* entries in it, not zeros; changed under the mutex */
    struct buffer write;
    struct buffer text;
    struct buffer note;
    struct buffer proof;
    struct audit_times times;       /* readers may look any time */
    _Atomic uint64_t sync_began_ns; /* 0: none is under way */
    size_t last_batch_count;
    uint64_t last_commit_ns;

    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t writer;
    bool writer_runs;
    bool sync_made; /* mutex and condition exist */
    void (*fatal)(void *context, const struct err *err);
    void *fatal_context;

    struct list queue;
    size_t queue_count;
    size_t wake_at;       /* queue_count at which the writer wants to be woken */
    size_t pending_count; /* queued or being committed */
    bool closing;
    bool dead;
    bool is_rotating_key;
    size_t key_count; /* that the log has had */
    uint64_t next_index;
    uint8_t prev[AUDIT_HASH_BYTES];
    struct audit_range placed; /* the tree of all entries that have a place */
    struct audit_unanswered unanswered;
    struct {              /* that the next entry will lie in */
        uint64_t first;   /* its index */
        uint64_t bytes;   /* placed */
        int64_t until_ms; /* the end of its month; 0: it has no entries yet */
    } segment;
    struct audit_segments segments; /* that are on the disk */
    uint64_t prune_claimed;         /* PRUNE entries allow those before it to be gone */

    struct {
        uint64_t size;
        uint64_t at_ns;
        struct buffer note;
        struct audit_offsets offsets;
    } committed;
    struct audit_save save;
    struct audit_ahead ahead;
};

/* ---- log.c ---- */

/* Like the public functions without _with, on other system calls. `signer` NULL: a new key; else it
 * is taken over, also on failure. */
bool audit_log_init_with(const struct audit_io *io, const struct audit_config *config,
                         const char *origin, struct crypto_signer *signer,
                         struct err *err) MUST_CHECK;
bool audit_log_open_with(const struct audit_io *io, const struct audit_config *config,
                         void (*fatal)(void *context, const struct err *err), void *context,
                         struct audit_log **out, struct audit_recovery *recovery,
                         struct err *err) MUST_CHECK;
/* An empty log that holds the directory's lock; BUSY if another one has it. */
bool audit_log_new(const struct audit_io *io, const struct audit_config *config,
                   struct audit_log **out, struct err *err) MUST_CHECK;
/* The writer must have ended. NULL is fine. */
void audit_log_free(struct audit_log *log);

/* Behind all that wait. Holds the mutex. */
void audit_log_enqueue(struct audit_log *log, struct audit_pending *pending);

/* ---- writer.c ---- */

/* The thread, with a `struct audit_log *`; it ends when the log is closing or dead. */
void *audit_writer_run(void *log);

/* ---- saver.c ---- */

/* Replaces the checkpoint file if it lags, durably: with what is committed now. */
bool audit_log_save(struct audit_log *log, struct err *err) MUST_CHECK;
/* The thread that does it, and keeps zeros ahead, while the log is open. If it fails, so does
 * everybody after, and the writer is woken. */
bool audit_saver_start(struct audit_log *log, struct err *err) MUST_CHECK;
/* Must be called once it was started. */
void audit_saver_end(struct audit_log *log);

/* ---- ahead.c ---- */

/* More zeros should be written. Holds the mutex. */
bool audit_ahead_is_due(const struct audit_log *log);
/* Writes and syncs them. The saver; holds the mutex, but for that time. */
bool audit_ahead_write(struct audit_log *log, struct err *err) MUST_CHECK;
/* The writer is about to write up to that offset: it may once this returns. */
void audit_ahead_claim(struct audit_log *log, uint64_t end);
/* Makes the file end with its entries, durably, for good. The writer, with nothing under way. */
bool audit_ahead_cut(struct audit_log *log, struct err *err) MUST_CHECK;

/* ---- commit.c ---- */

/* Builds a leaf but for its index and its link. Any thread. */
bool audit_draft_init(struct audit_draft *draft, enum audit_kind kind, int64_t time_ms,
                      json_t *fields, struct err *err) MUST_CHECK;
/* Gives it the next index and makes it the head of the chain; on failure nothing has changed. The
 * caller holds the mutex or is alone. */
bool audit_draft_place(struct audit_log *log, struct audit_draft *draft, struct audit_pending **out,
                       struct err *err) MUST_CHECK;
/* What was not placed. */
void audit_draft_release(struct audit_draft *draft);
/* Both steps, for who is alone. */
bool audit_pending_new(struct audit_log *log, enum audit_kind kind, json_t *fields,
                       struct audit_pending **out, struct err *err) MUST_CHECK;
/* Commits the entries of the batch, which may be empty (then only a new checkpoint is signed). The
 * list stays the caller's. */
bool audit_log_commit(struct audit_log *log, struct list *batch, struct err *err) MUST_CHECK;
/* Calls back each entry of the batch, with proof (ok) or without, and frees it. */
void audit_log_answer(struct audit_log *log, struct list *batch, bool ok);

/* ---- keys.c ---- */

/* A part of the directory; its absence is a missing log. */
bool audit_part_missing(const struct audit_log *log, const char *name, struct err *err);
bool audit_part_read(const struct audit_log *log, const char *name, struct buffer *out,
                     struct err *err) MUST_CHECK;
/* The verifier key and the private one, and the next one if there is any. */
bool audit_keys_read(struct audit_log *log, struct err *err) MUST_CHECK;
/* `last`: the key that the entries name last, if they name any. Removes a next key that it is not;
 * TAMPERED if it is neither the log's nor the next one. */
bool audit_keys_settle(struct audit_log *log, const struct audit_key *last,
                       struct err *err) MUST_CHECK;
bool audit_key_set(struct audit_log *log, const struct audit_key *key, struct err *err) MUST_CHECK;
/* Makes the next key and keeps it on the disk. Whoever set is_rotating_key. */
bool audit_key_begin(struct audit_log *log, struct err *err) MUST_CHECK;
/* Undoes that. */
void audit_key_abandon(struct audit_log *log);
/* The entry that brings it in. Holds the mutex. */
bool audit_key_place(struct audit_log *log, struct audit_pending **rotating,
                     struct err *err) MUST_CHECK;
/* Adds the next key's signature to the note. The writer, or who is alone; so is the next. */
bool audit_key_cosign(struct audit_log *log, struct err *err) MUST_CHECK;
/* The checkpoint is signed by both keys: makes the next one the log's. */
bool audit_key_switch(struct audit_log *log, struct err *err) MUST_CHECK;

/* ---- rotate.c ---- */

/* Ends the segment with the next entry. Holds the mutex or is alone. */
bool audit_segment_end(struct audit_log *log, struct audit_pending **closing,
                       struct err *err) MUST_CHECK;
/* The same if it is full or its month is over; *closing stays NULL if not. */
bool audit_segment_end_due(struct audit_log *log, int64_t time_ms, struct audit_pending **closing,
                           struct err *err) MUST_CHECK;
/* An entry of that time and size belongs to the segment. */
void audit_segment_count(struct audit_log *log, int64_t time_ms, size_t leaf_size);
/* Makes the file for the entries from check.size on, and writes there from now on. The writer, or
 * who is alone. */
bool audit_segment_begin(struct audit_log *log, struct err *err) MUST_CHECK;

/* New and removed names in the folder of the entries are on the disk. */
bool audit_segments_sync(struct audit_log *log, struct err *err) MUST_CHECK;

/* ---- prune.c ---- */

/* The leaf hashes of what was pruned, in order, as far as they are there. Who is alone. */
bool audit_pruned_each(struct audit_log *log,
                       bool (*visit)(void *context, const uint8_t *leaf_hash, struct err *err),
                       void *context, struct err *err) MUST_CHECK;
bool audit_log_prune_with(const struct audit_io *io, const struct audit_config *config,
                          const struct audit_pruning *wanted, struct audit_pruned *out,
                          struct err *err) MUST_CHECK;

/* ---- recover.c ---- */

/* Reads keys, checkpoint and entries, cuts a torn tail, and commits what has to be committed. */
bool audit_log_recover(struct audit_log *log, struct audit_recovery *recovery,
                       struct err *err) MUST_CHECK;

#endif
