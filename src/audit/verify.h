/* verify.h: the inside of verifying a log: blocks of entries, which two threads parse and hash, and
 * what the control entries claim.
 *
 * A block is one entry bundle. Everything about it that depends on its bytes alone (framing, form,
 * leaf hashes, the root of its full subtree) is computed by whichever thread is free; what depends
 * on the entries before it (links, answers, keys, the tree) by the caller of the pool, in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include "audit/leaf.h"
#include "audit/note.h"
#include "audit/tree.h"
#include "audit/unanswered.h"

#include <pthread.h>

/* ---- blocks (verify_block.c) ---- */

enum { AUDIT_POOL_BLOCKS = 8 };

struct audit_block {
    uint64_t first;
    size_t count; /* entries that are wanted: they end at the bundle's or the tree's end */
    struct audit_bundle bundle;

    /* found out by audit_block_check */
    size_t found;    /* that are there and have the form of an entry */
    const char *why; /* entry first + found is bad in itself; NULL: it is not there at all */
    uint8_t hashes[AUDIT_TILE_WIDTH][AUDIT_HASH_BYTES];
    struct audit_leaf leaves[AUDIT_TILE_WIDTH]; /* from pruned_count on */
    struct bytes bytes[AUDIT_TILE_WIDTH];       /* the same; borrowed from the bundle */
    bool has_root;                              /* of a full block */
    uint8_t root[AUDIT_HASH_BYTES];
    bool is_checked; /* the pool's, under its mutex */
};

/* `hash` is the caller's, for reuse. */
void audit_block_check(struct audit_block *block, struct crypto_sha256 *hash);

/* Blocks go round: filled by the caller, checked by either thread, returned to the caller in order.
 * All functions are for the one thread that opened it. */
struct audit_pool {
    struct audit_block *blocks; /* AUDIT_POOL_BLOCKS of them */
    uint8_t *pruned_hashes;
    struct crypto_sha256 *hash;        /* the caller's */
    struct crypto_sha256 *helper_hash; /* the other thread's */
    pthread_t helper;
    bool helper_runs;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the helper: there is work, or an end; the caller: a block is checked */
    uint64_t filled;     /* blocks, counted from the beginning */
    uint64_t claimed;    /* by a thread, to be checked */
    uint64_t returned;   /* to the caller */
    uint64_t released;
    bool closing;
};

bool audit_pool_open(struct audit_pool *pool, struct err *err) MUST_CHECK;
void audit_pool_close(struct audit_pool *pool);
/* An empty block to be filled, or NULL if all are in use. */
struct audit_block *audit_pool_take(struct audit_pool *pool);
/* The block from audit_pool_take is filled. */
void audit_pool_put(struct audit_pool *pool);
/* The oldest block that was put and not returned yet, checked; NULL if there is none. */
struct audit_block *audit_pool_next(struct audit_pool *pool);
/* The oldest one that was returned is not needed any more. */
void audit_pool_release(struct audit_pool *pool);

/* ---- keys and control entries (verify_control.c) ---- */

enum { AUDIT_CHAIN_KEYS_MAX = 256 };

/* The keys of a log, as its entries name them: the first is INIT's, each further one a
 * KEY_ROTATE's. */
struct audit_chain {
    struct audit_key *keys; /* room for AUDIT_CHAIN_KEYS_MAX */
    uint64_t *begins;       /* keys[i] signs trees of more entries than begins[i] */
    size_t count;           /* 0: no entry that is there names one */
};

bool audit_chain_init(struct audit_chain *chain, struct err *err) MUST_CHECK;
void audit_chain_release(struct audit_chain *chain);
bool audit_chain_has(const struct audit_chain *chain, const struct audit_key *key);
/* The key that signs trees of that size; NULL if count is 0. */
const struct audit_key *audit_chain_at(const struct audit_chain *chain, uint64_t size);

/* What the entries before it amount to, for judging what a control entry claims. */
struct audit_control {
    const char *origin;
    struct audit_chain chain;
    uint64_t prune_claimed; /* as far as PRUNE entries say */
    uint64_t segment_count;
    bool failed; /* there was no memory, so that whatever was found means nothing */
};

bool audit_leaf_is_control(const struct audit_leaf *leaf);
/* NULL: as far as the entry alone tells, what it claims is so. Else why it is not. */
const char *audit_control_apply(struct audit_control *control, const struct audit_leaf *leaf,
                                struct bytes bytes);
/* Is it a SEGMENT_CLOSE? Then `root` is what it says of the tree before it. */
bool audit_control_closes(const struct audit_leaf *leaf, struct bytes bytes,
                          uint8_t root[static AUDIT_HASH_BYTES]);

/* ---- one verification (verify.c; keys and checkpoints in verify_head.c) ---- */

enum { AUDIT_TRUSTED_KEYS_MAX = 64 };

struct audit_verifier {
    const struct audit_source *source;
    const struct audit_expectation *expectation;
    struct audit_report *report;

    struct audit_key trusted[AUDIT_TRUSTED_KEYS_MAX];
    size_t trusted_count; /* 0: the key that the log's first entry names */
    bool trusts_source;
    struct buffer note;
    struct audit_checkpoint checkpoint;
    bool is_signed; /* by a key that is trusted: surely that log's checkpoint */
    struct audit_checkpoint since;
    bool has_since;
    bool since_is_seen; /* its size was reached */
    bool since_differs;

    struct audit_pool pool;
    uint64_t next_wanted;     /* the first entry that no block was filled with */
    struct audit_block *held; /* the last block: linked, but not in `computed` yet */
    struct audit_range computed;
    struct audit_range claimed; /* from the first broken link on */
    struct audit_control control;
    struct audit_unanswered unanswered;
    uint64_t next_index;
    uint8_t last_hash[AUDIT_HASH_BYTES]; /* of entry next_index - 1, computed */
    bool last_closes;                    /* that entry is a SEGMENT_CLOSE */
    uint64_t broken_index; /* the first entry whose `prev` is not what was computed; UINT64_MAX */
    bool broken_confirmed; /* the entry after it names it rightly */
    uint64_t rule_index;   /* the first entry that breaks a rule, if it is as signed; UINT64_MAX */
    const char *rule_why;
};

void audit_verifier_conclude(struct audit_verifier *verifier, enum audit_verdict verdict,
                             uint64_t bad_index, const char *format, ...) PRINTF_LIKE(4, 5);
/* Before the entries. *go_on false, or for the last false: the report is done. */
bool audit_verifier_load_keys(struct audit_verifier *verifier, bool *go_on,
                              struct err *err) MUST_CHECK;
bool audit_verifier_load_checkpoint(struct audit_verifier *verifier, bool *go_on,
                                    struct err *err) MUST_CHECK;
bool audit_verifier_load_since(struct audit_verifier *verifier) MUST_CHECK;
/* Whatever was found counts only if the checkpoint is the log's. False: the report says
 * UNVERIFIABLE. */
bool audit_verifier_knows_signer(struct audit_verifier *verifier) MUST_CHECK;
/* All entries are as signed. By the right key? False: the report is done. */
bool audit_verifier_compare_signers(struct audit_verifier *verifier) MUST_CHECK;
/* A note whose checkpoint is *out already, with the key that had to sign a tree of its size. */
enum audit_verdict audit_verifier_open(const struct audit_verifier *verifier, struct bytes note,
                                       struct audit_checkpoint *out);
/* Origin, witnesses, age. False: the report is done. */
bool audit_verifier_meets_policy(struct audit_verifier *verifier) MUST_CHECK;
/* The report says that the auditor's own checkpoint does not verify. */
void audit_verifier_doubt_since(struct audit_verifier *verifier);

#endif
