/* audit.h: the append-only log: what was asked, what came out, committed so that nobody can rewrite
 * it.
 *
 * Leaves are canonical JSON, at most 1 KiB, hashes only; each holds `prev`, the leaf hash before
 * it. They form one RFC 6962 tree per node, for ever; heads are C2SP checkpoints signed with
 * Ed25519 (docs/audit-log.md has the bytes). A commit batch is: build in memory, recompute and
 * compare, append to the entry file, fdatasync, sign, publish, call back. The checkpoint file
 * follows within a second.
 * After a failed write or sync the log is dead: it says so once through `fatal` and refuses
 * everything after.
 *
 * The log owns two threads: one writes, one replaces the checkpoint file. submit is thread-safe;
 * callbacks come from the writer thread, in order of index.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "base/clock.h"
#include "base/histogram.h"
#include "crypto/crypto.h"

#include <jansson.h>
#include <stdio.h>

enum { AUDIT_LEAF_BYTES_MAX = 1024, AUDIT_HASH_BYTES = 32 };

/* ---- RFC 6962 / 9162 hashing and proofs (tree.c, proof.c, consistency.c): pure functions ---- */

void audit_leaf_hash(struct bytes leaf, uint8_t out[static AUDIT_HASH_BYTES]);
void audit_node_hash(const uint8_t left[static AUDIT_HASH_BYTES],
                     const uint8_t right[static AUDIT_HASH_BYTES],
                     uint8_t out[static AUDIT_HASH_BYTES]);
/* RFC 9162 section 2.1.3.2; proof: hash_count * 32 bytes. */
bool audit_inclusion_verify(uint64_t index, uint64_t size,
                            const uint8_t leaf_hash[static AUDIT_HASH_BYTES], const uint8_t *proof,
                            size_t hash_count, const uint8_t root[static AUDIT_HASH_BYTES]);
/* RFC 9162 section 2.1.4.2, of what a stranger may have sent: hashes of another size than 32 bytes,
 * and an old size of 0 or above the new one, are no proof. At the same size there is nothing to
 * prove: the roots are the same or not. */
bool audit_consistency_verify(uint64_t old_size, uint64_t new_size, struct bytes proof,
                              struct bytes old_root, struct bytes new_root);

/* A tree over leaves that are in no log (tree_memory.c), for proofs of all of them. Immutable. */
struct audit_memory_tree;
enum { AUDIT_MEMORY_LEAVES_MAX = 65536, AUDIT_MEMORY_PROOF_HASHES_MAX = 16 };

/* count: 1 to AUDIT_MEMORY_LEAVES_MAX; leaf_hashes: count * 32 bytes. NULL: no memory. */
struct audit_memory_tree *audit_memory_tree_new(const uint8_t *leaf_hashes, size_t count);
void audit_memory_tree_free(struct audit_memory_tree *tree); /* NULL is fine */
void audit_memory_tree_root(const struct audit_memory_tree *tree,
                            uint8_t out[static AUDIT_HASH_BYTES]);
/* The inclusion proof of a leaf; how many hashes it has. */
size_t
audit_memory_tree_prove(const struct audit_memory_tree *tree, size_t index,
                        uint8_t proof[static AUDIT_MEMORY_PROOF_HASHES_MAX * AUDIT_HASH_BYTES]);

/* ---- Checkpoints and tlog-proofs (C2SP signed-note, tlog-checkpoint, tlog-proof) ---- */

enum {
    AUDIT_ORIGIN_CHARS_MAX = 200,
    AUDIT_CHECKPOINT_BYTES_MAX = 16384, /* with cosignatures, also of larger algorithms */
    AUDIT_KEY_ID_BYTES = 4,
    AUDIT_VKEY_CHARS_MAX = AUDIT_ORIGIN_CHARS_MAX + 1 + 8 + 1 + 44,
};

struct audit_key { /* of a log or of a witness */
    char name[AUDIT_ORIGIN_CHARS_MAX + 1];
    uint8_t type;
    uint8_t id[AUDIT_KEY_ID_BYTES];
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_BYTES];
};

struct audit_checkpoint {
    char origin[AUDIT_ORIGIN_CHARS_MAX + 1];
    uint64_t size;
    uint8_t root[AUDIT_HASH_BYTES];
};

enum audit_verdict {
    AUDIT_OK,
    AUDIT_PENDING,
    AUDIT_PRUNED,
    AUDIT_NOT_FOUND,
    AUDIT_TAMPERED,
    AUDIT_TRUNCATED,
    AUDIT_ROLLED_BACK,
    AUDIT_FORKED,
    AUDIT_UNVERIFIABLE, /* a key that the verifier does not know; never TAMPERED */
};
const char *audit_verdict_name(enum audit_verdict verdict); /* "OK" */

/* vkey: "name+hex8+base64" as C2SP signed-note writes it. OK, UNVERIFIABLE (no known key signed) or
 * TAMPERED (bad signature, bad form). *out is set on OK and UNVERIFIABLE. */
enum audit_verdict audit_checkpoint_verify(struct bytes note, const char *vkey,
                                           struct audit_checkpoint *out);
/* A tlog-proof: is `leaf_hash` at that index of the tree of the checkpoint inside? */
enum audit_verdict audit_tlog_proof_verify(struct bytes proof, const char *vkey,
                                           const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                                           uint64_t *index, struct audit_checkpoint *out);
/* The same but for the signature, for who checks many proofs under one checkpoint: *note (borrowed
 * from the proof) is yet to be verified. */
bool audit_tlog_proof_open(struct bytes proof, const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                           uint64_t *index, struct bytes *note) MUST_CHECK;

/* ---- Witnesses (C2SP tlog-cosignature, tlog-witness): cosignature.c, witness.c ---- */

enum {
    AUDIT_WITNESSES_MAX = 16,
    /* The size, 63 hashes in lines of 45 characters, the checkpoint. */
    AUDIT_ADD_CHECKPOINT_BYTES_MAX = 32 + 63 * 45 + AUDIT_CHECKPOINT_BYTES_MAX,
};

/* A witness's verifier key: as a log's, but for its type, 0x04. FORMAT. */
bool audit_cosigner_parse(struct bytes vkey, struct audit_key *out, struct err *err) MUST_CHECK;
/* Did that witness cosign the checkpoint? OK (*time_s is set: when it did, or did last, in seconds
 * since 1970), UNVERIFIABLE (it did not) or TAMPERED (a bad cosignature, a bad form). */
enum audit_verdict audit_cosignature_verify(struct bytes note, const struct audit_key *cosigner,
                                            uint64_t *time_s);

struct audit_policy { /* which witnesses count, and how many of them are enough */
    const struct audit_key *cosigners;
    size_t count;
    size_t threshold;
};
/* OK, UNVERIFIABLE (fewer than the threshold) or TAMPERED (a cosignature of one of them is bad). */
enum audit_verdict audit_policy_check(const struct audit_policy *policy, struct bytes note,
                                      size_t *cosigned);

/* Appends to the checkpoint in `note` the first of a witness's signature lines that is its
 * cosignature of it; lines of others are passed over. UNVERIFIABLE: there is none; TAMPERED: it is
 * bad, or no lines of that form. */
enum audit_verdict audit_cosignature_add(struct bytes lines, const struct audit_key *cosigner,
                                         struct buffer *note);

/* Appends the body of an add-checkpoint request. proof: hashes of 32 bytes. False: no memory. */
bool audit_add_checkpoint_format(uint64_t old_size, struct bytes proof, struct bytes note,
                                 struct buffer *out) MUST_CHECK;

/* The node as a witness of other logs. What it has cosigned is on the disk before the cosignature
 * is given, and never goes back; thread-safe. */
struct audit_witness;

struct audit_witness_config {
    const char *directory; /* made, 0700, if it is not there; one process at a time */
    const char *name;      /* of the key that is made at the first use */
    const char *logs; /* their verifier keys, with blanks between; several of one origin: any */
    const struct clock *clock;
};
/* CONFIG for what is no verifier key; TAMPERED for a state that this witness did not write. */
bool audit_witness_open(const struct audit_witness_config *config, struct audit_witness **out,
                        struct err *err) MUST_CHECK;
void audit_witness_close(struct audit_witness *witness);
const char *audit_witness_vkey(const struct audit_witness *witness);

enum audit_witness_answer {                            /* as tlog-witness numbers them */
                            AUDIT_WITNESS_COSIGNED,    /* 200: signature lines are appended */
                            AUDIT_WITNESS_MALFORMED,   /* 400 */
                            AUDIT_WITNESS_UNTRUSTED,   /* 403: not signed by a key of that log, or
                                                          badly */
                            AUDIT_WITNESS_UNKNOWN_LOG, /* 404 */
                            AUDIT_WITNESS_CONFLICT, /* 409: the size that it knows is appended, as a
                                                       line */
                            AUDIT_WITNESS_UNPROVEN, /* 422: not shown to be a continuation of what
                                                       was cosigned */
                            AUDIT_WITNESS_FAILED, /* 500: the state could not be kept; nothing more
                                                     is cosigned */
};
/* body: "old" line, proof, checkpoint. *checkpoint is what was submitted, as far as it could be
 * read, else empty. *err is set unless COSIGNED. */
enum audit_witness_answer audit_witness_add(struct audit_witness *witness, struct bytes body,
                                            struct audit_checkpoint *checkpoint, struct buffer *out,
                                            struct err *err) MUST_CHECK;
/* Appends the checkpoint that was cosigned last for the log with that hash: 64 hex digits, SHA-256
 * of its origin. False: none. */
bool audit_witness_latest(struct audit_witness *witness, const char *origin_hash,
                          struct buffer *out) MUST_CHECK;

/* ---- The log ---- */

struct audit_log;

/* How the log's private keys are wrapped. The seed is secret, and wiped by whoever asked. */
struct audit_sealing {
    bool (*seal)(void *context, const uint8_t seed[static CRYPTO_ED25519_SEED_BYTES],
                 struct buffer *out, struct err *err);
    bool (*unseal)(void *context, struct bytes sealed,
                   uint8_t seed[static CRYPTO_ED25519_SEED_BYTES], struct err *err);
    void *context;
};

struct audit_config {
    const char *directory;
    uint32_t batch_delay_ms_max;  /* how long the first entry of a batch may wait; default 2 */
    uint32_t batch_entries_max;   /* default, and at most, 1024 */
    uint32_t pending_entries_max; /* submit refuses all but RESULTs with OVERLOADED beyond; default
                                     8192 */
    bool rotates_monthly;         /* the first entry of a month (UTC) begins a segment */
    uint64_t segment_bytes_max;   /* a segment that has so many is ended; 0: none */
    const struct clock *clock;
    const struct audit_sealing *sealing; /* borrowed; NULL: a sealed key is refused (CONFIG) */
    bool seals_new_keys;                 /* then there is a sealing */
};

struct audit_recovery {        /* what opening found */
    uint64_t size;             /* entries */
    uint64_t torn_bytes_cut;   /* of an entry that was not whole */
    uint64_t unsigned_entries; /* whole entries past the checkpoint file, which lags by up to
                                  a second: kept, and covered by a new one */
    bool checkpoint_lost;      /* its file was empty or all zeros, and was made anew */
    uint64_t unanswered_count; /* ADMITs without RESULT; a RECOVERED leaf with their indexes is
                                  appended */
};

/* Makes directory (0700), signing key (0600) and the INIT leaf. BUSY or IO if something is there
 * already. origin NULL: made from a random node id, "wasm-hypervisor.local/<hex>". Of the config
 * directory, clock and sealing count. */
bool audit_log_make(const struct audit_config *config, const char *origin,
                    struct err *err) MUST_CHECK;
/* In which forms private keys lie there: both while a change is under way, none without a log. */
void audit_log_key_forms(const char *directory, bool *plain, bool *sealed);
/* One process at a time (flock): else BUSY. Refuses (TAMPERED, with what to do) a checkpoint newer
 * than the data, another root at the same size, a missing log. `fatal` is called once if the log
 * dies later. */
bool audit_log_open(const struct audit_config *config,
                    void (*fatal)(void *context, const struct err *err), void *context,
                    struct audit_log **out, struct audit_recovery *recovery,
                    struct err *err) MUST_CHECK;
/* Commits what is pending, joins the writer. */
void audit_log_close(struct audit_log *log);

const char *audit_log_origin(const struct audit_log *log);
const char *audit_log_vkey(const struct audit_log *log);
/* The key that the log began with, which no audit_log_rotate_key changes. */
const char *audit_log_first_vkey(const struct audit_log *log);
uint64_t audit_log_size(struct audit_log *log);    /* committed */
uint64_t audit_log_pending(struct audit_log *log); /* submitted and not yet */

struct audit_times {         /* of what was committed since the log was opened */
    struct histogram commit; /* of an entry, from submit until its submitter is called back */
    struct histogram batch;  /* entries per batch */
    struct histogram sync;   /* fdatasync of a batch */
};
const struct audit_times *audit_log_times(const struct audit_log *log);
/* Since when a batch's fdatasync has been under way, by CLOCK_MONOTONIC; 0: none is. Any thread,
 * without a lock. */
uint64_t audit_log_sync_began_ns(const struct audit_log *log);
/* The current checkpoint: appended to out. */
bool audit_log_checkpoint(struct audit_log *log, struct buffer *out) MUST_CHECK;

enum audit_kind {
    AUDIT_INIT,
    AUDIT_ADMIT,
    AUDIT_RESULT,
    AUDIT_EPOCH,
    AUDIT_RECOVERED,
    AUDIT_SEGMENT_CLOSE,
    AUDIT_KEY_ROTATE,
    AUDIT_PRUNE,
    AUDIT_AUTH_FAILURES,
};

/* What a committed entry's submitter learns; pointers are valid during the callback. */
struct audit_commit {
    bool ok; /* false: the log died first; everything below is zero */
    uint64_t index;
    int64_t time_ms; /* of the leaf */
    uint8_t leaf_hash[AUDIT_HASH_BYTES];
    struct bytes leaf;
    struct bytes tlog_proof; /* inclusion proof and checkpoint, the C2SP text */
};
typedef void (*audit_commit_cb)(void *context, const struct audit_commit *commit);

/* Appends a leaf {"v":1,"type":"ADMIT"|…,"index":7,"prev":hex,"time":rfc3339} with `fields`
 * (borrowed; an object of strings, integers and booleans under names of [a-z0-9_], none of those
 * five) merged in. kind: ADMIT, RESULT, EPOCH or AUTH_FAILURES. A RESULT has an integer `admit`:
 * the index of a committed ADMIT that has no RESULT yet. Fails with FORMAT (fields that break these
 * rules), LIMIT (leaf too long), OVERLOADED, CLOSED, NO_MEMORY; then cb never comes. A callback may
 * submit, but not close. */
bool audit_log_submit(struct audit_log *log, enum audit_kind kind, json_t *fields,
                      audit_commit_cb cb, void *context, struct err *err) MUST_CHECK;

/* Ends the segment that is written, with a SEGMENT_CLOSE entry, and begins the next; what was
 * submitted before lies before it. A segment without entries is left as it is: then cb comes at
 * once, in this thread, with the log's last entry's index and nothing else. Fails as submit. */
bool audit_log_rotate(struct audit_log *log, audit_commit_cb cb, void *context,
                      struct err *err) MUST_CHECK;

/* Replaces the key that signs by a new one, sealed or not as the config says, with a KEY_ROTATE
 * entry that both sign. May block for some disk writes. BUSY while another one is under way, LIMIT
 * after 64 keys. When cb comes with ok, the new key is the log's and the old private key is gone;
 * audit_log_vkey says another text then, the old one stays valid until close. Fails as submit, or
 * with IO. */
bool audit_log_rotate_key(struct audit_log *log, audit_commit_cb cb, void *context,
                          struct err *err) MUST_CHECK;

/* Removes whole segments from the beginning of a log that nobody has open (else BUSY): a PRUNE
 * entry says so first, and the leaf hashes of the entries stay. What an earlier call was kept from
 * finishing is finished, and no more. The last segment stays, and enough that the PRUNE entry lies
 * in another entry bundle than the pruned ones. USAGE: so many segments cannot go. */
struct audit_pruning {
    size_t segments;    /* so many; 0: all that are old enough */
    int64_t before_ms;  /* of those: their last entry but the SEGMENT_CLOSE is older */
    const char *reason; /* for the PRUNE entry; NULL: "retention" */
};
struct audit_pruned {
    size_t segments; /* that are gone now */
    uint64_t size;   /* of the pruned beginning in entries, with what was pruned before */
};
bool audit_log_prune(const struct audit_config *config, const struct audit_pruning *wanted,
                     struct audit_pruned *out, struct err *err) MUST_CHECK;
/* The first entry that is not pruned. */
uint64_t audit_log_first(struct audit_log *log);

/* Reads a committed entry and proves it under the current checkpoint. NOT_FOUND beyond the end, and
 * for a pruned entry. */
bool audit_log_prove(struct audit_log *log, uint64_t index, struct buffer *leaf,
                     struct buffer *tlog_proof, struct err *err) MUST_CHECK;
/* The hashes that prove the tree of the first `size` entries to be a continuation of that of the
 * first old_size. NOT_FOUND unless 0 < old_size <= size, and there are as many. */
bool audit_log_prove_between(struct audit_log *log, uint64_t old_size, uint64_t size,
                             struct buffer *proof, struct err *err) MUST_CHECK;
/* *continues: the log has all entries of that older tree of its own. */
bool audit_log_continues(struct audit_log *log, const struct audit_checkpoint *old, bool *continues,
                         struct err *err) MUST_CHECK;
/* A checkpoint of this log with its witnesses' lines, kept beside the log's own; durable, one
 * caller at a time. */
bool audit_log_keep_cosigned(struct audit_log *log, struct bytes note, struct err *err) MUST_CHECK;
/* Appends what was kept. NOT_FOUND: nothing was. */
bool audit_log_read_cosigned(struct audit_log *log, struct buffer *out, struct err *err) MUST_CHECK;
/* Calls `visit` for committed entries from `first` on, until it returns false; pruned ones are left
 * out. For rebuilding the index. */
bool audit_log_each(struct audit_log *log, uint64_t first,
                    bool (*visit)(void *context, uint64_t index, struct bytes leaf), void *context,
                    struct err *err) MUST_CHECK;

/* ---- Reading the log as c2sp.org/tlog-tiles serves it (tiles.c) ---- */

enum {
    AUDIT_TILE_WIDTH = 256,
    AUDIT_TILE_LEVEL_MAX = 63,
    AUDIT_TILE_PATH_CHARS_MAX = 48,
    AUDIT_TILE_BYTES_MAX = AUDIT_TILE_WIDTH * (2 + AUDIT_LEAF_BYTES_MAX), /* of an entry bundle */
};

struct audit_tile {
    bool is_entries; /* an entry bundle, not hashes; of level 0 */
    unsigned level;
    uint64_t number;
    unsigned width; /* 1 to 256; 256: a full tile */
};

/* What stands behind "tile/" in its path, "1/x001/234.p/7" or "entries/000"; only the one form that
 * the specification gives to each tile. At most six groups of digits. */
bool audit_tile_parse(const char *path, struct audit_tile *out) MUST_CHECK;
void audit_tile_format(const struct audit_tile *tile,
                       char out[static AUDIT_TILE_PATH_CHARS_MAX + 1]);
/* How wide that tile is in a tree of that size: 0 (there is none) to 256. */
unsigned audit_tile_width(uint64_t size, unsigned level, uint64_t number);
/* Appends the hashes or entries. Any thread. NOT_FOUND: the current checkpoint does not cover it,
 * or some of its entries were pruned. */
bool audit_log_tile(struct audit_log *log, const struct audit_tile *tile, struct buffer *out,
                    struct err *err) MUST_CHECK;

/* ---- Verifying from outside (`audit verify`): reads only, takes no lock ---- */

enum { AUDIT_VKEYS_BYTES_MAX = 64 * 1024 };

/* What a source has of a run of entries that lie in one entry bundle (c2sp.org/tlog-tiles). */
struct audit_bundle {
    size_t pruned_count;    /* the first so many are gone: only their leaf hashes are there */
    uint8_t *pruned_hashes; /* room for AUDIT_TILE_WIDTH of them */
    struct buffer entries;  /* the others, each behind its length; fewer: the log ends there */
    const char *problem;    /* why it ends there, if it is not simply the end; else NULL */
};

/* Where a log is read from: a directory (audit_directory_open), or whatever else its reader knows.
 * Texts are appended to `out`. */
struct audit_source {
    void *context;
    /* NOT_FOUND: there is none; FORMAT: it is too long. */
    bool (*checkpoint)(void *context, struct buffer *out, struct err *err);
    /* The last one that witnesses cosigned, for who asks for them. NOT_FOUND, FORMAT; NULL: it
     * keeps none apart. */
    bool (*cosigned)(void *context, struct buffer *out, struct err *err);
    /* The log's keys as it tells them, one per line, the current one first. NOT_FOUND; NULL: it
     * tells none. */
    bool (*vkeys)(void *context, struct buffer *out, struct err *err);
    /* Entries [first, first + count), at most AUDIT_TILE_WIDTH and all of one bundle. The
     * bundle comes empty. Fails only if nothing can be said about them. */
    bool (*bundle)(void *context, uint64_t first, size_t count, struct audit_bundle *out,
                   struct err *err);
    /* Hashes of the tree, as a tile of that width. NULL: there are none. */
    bool (*tile)(void *context, const struct audit_tile *tile, struct buffer *out, struct err *err);
    /* Does a segment begin with that entry? NULL: segments cannot be seen. */
    bool (*segment)(void *context, uint64_t index);
    bool has_more; /* entries past the checkpoint can be read, too */
};

/* Entries [first, end) in order, until `visit` returns false. Nothing is verified. TAMPERED: an
 * entry without form; NOT_FOUND: the log ends before. Pruned ones are left out. */
bool audit_source_each(const struct audit_source *source, uint64_t first, uint64_t end,
                       bool (*visit)(void *context, uint64_t index, struct bytes leaf),
                       void *context, struct err *err) MUST_CHECK;
/* The entry and its tlog-proof under the checkpoint `note`, which is the source's. `roots`: of the
 * full bundles, as audit_verify leaves them; not needed if the source has tiles. NOT_FOUND: the
 * checkpoint does not cover it; TAMPERED: it is not what the checkpoint signs. A pruned entry
 * leaves `leaf` empty. */
bool audit_source_prove(const struct audit_source *source, struct bytes roots, struct bytes note,
                        uint64_t index, struct buffer *leaf, struct buffer *tlog_proof,
                        struct err *err) MUST_CHECK;

/* A directory or a copy of one, also while it is being written. *out is valid until close. */
struct audit_directory;
bool audit_directory_open(const char *path, struct audit_directory **out,
                          struct audit_source *source, struct err *err) MUST_CHECK;
void audit_directory_close(struct audit_directory *directory);

struct audit_report {
    enum audit_verdict verdict;
    uint64_t size;             /* of the checkpoint */
    uint64_t bad_index;        /* first bad entry; UINT64_MAX if none in particular */
    uint64_t unanswered_count; /* ADMITs without a RESULT and not in a RECOVERED leaf */
    uint64_t recovered_count;  /* ADMITs that a RECOVERED leaf names */
    uint64_t pending_entries;  /* whole entries past the checkpoint */
    uint64_t pruned_entries;   /* at the beginning: only their hashes are there */
    uint64_t segment_count;    /* that a SEGMENT_CLOSE ended */
    uint64_t rotation_count;   /* changes of the key */
    uint64_t cosigned_count;   /* witnesses of the policy that signed the checkpoint, too */
    int64_t last_time_ms;      /* of the last signed entry; 0: none */
    char detail[256];          /* one sentence */
    char origin[AUDIT_ORIGIN_CHARS_MAX + 1];
    char root_hex[2 * AUDIT_HASH_BYTES + 1];
};

/* What an auditor asks for, beyond that the log be whole. Everything is optional. */
struct audit_expectation {
    const char *const *vkeys; /* one of them must be of the log; none: what the source tells */
    size_t vkey_count;
    struct bytes since; /* an older checkpoint that the auditor kept */
    const char *origin; /* the log's name */
    const struct audit_policy *witnesses;
    uint64_t age_ms_max; /* since the last entry, or the last cosignature of a witness; 0: any */
    const struct clock *clock;                                      /* for the age */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* after every bundle */
    /* Each signed entry that is there, in order, before the verdict is known. */
    void (*visit)(void *context, uint64_t index, struct bytes leaf);
    void *context;        /* of both */
    struct buffer *roots; /* gets the root of every full bundle, 32 bytes each */
    struct buffer *note;  /* gets the checkpoint that was verified */
};

/* Reads the whole log, with two threads and about 3 MiB beside one bit for each entry. False only
 * if the source cannot be read at all. */
bool audit_verify(const struct audit_source *source, const struct audit_expectation *expectation,
                  struct audit_report *report, struct err *err) MUST_CHECK;
/* The same for a directory. vkey NULL: the one in the directory (said so in detail). */
bool audit_verify_directory(const char *directory, const char *vkey, struct bytes since,
                            void (*progress)(void *context, uint64_t done, uint64_t total),
                            void *context, struct audit_report *report, struct err *err) MUST_CHECK;

#endif
