/* tree.h: the incremental RFC 6962 tree, and where its hashes are kept.
 *
 * A tree of n leaves is a row of full subtrees, one for each bit of n: `audit_range` holds their
 * roots, so appending and the root of the whole need 64 hashes of memory, however long the log is.
 *
 * `audit_tree` also keeps the root of every full subtree, which is what inclusion proofs are made
 * of. They are stored in the order in which they become complete: leaf i is followed by the roots
 * of the subtrees that it completes, one for each 1 at the low end of i. So the file only grows at
 * its end, and level and number of a subtree give its place:
 *
 *     leaf      0  1     2  3        4 ...
 *     level     0  0 1   0  0 1 2    0 ...
 *     place     0  1 2   3  4 5 6    7 ...
 *
 * The file is scratch: it is made when the log is opened, from the entries, has no name, and is
 * never trusted across a restart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_TREE_H
#define AUDIT_TREE_H

#include "audit/audit.h"
#include "audit/io.h"

enum {
    AUDIT_LEVELS_MAX = 64,
    AUDIT_PROOF_HASHES_MAX = 64,
};

struct audit_range {
    uint64_t size;                                    /* leaves */
    uint8_t peak[AUDIT_LEVELS_MAX][AUDIT_HASH_BYTES]; /* [level]: valid if that bit of size is 1 */
};

void audit_range_init(struct audit_range *range);
/* `completed` (optional) gets the leaf hash and the roots of the subtrees that it completes. */
void audit_range_append(struct audit_range *range, const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                        struct buffer *completed);
/* SHA-256 of nothing for the empty tree. */
void audit_range_root(const struct audit_range *range, uint8_t out[static AUDIT_HASH_BYTES]);

/* How many hashes are stored for `size` leaves, and the place of a subtree among them. */
uint64_t audit_tree_hash_count(uint64_t size);
uint64_t audit_tree_place(unsigned level, uint64_t number);

/* Where a proof gets the root of the full subtree `number` of `level` from. */
typedef bool (*audit_node_cb)(void *context, unsigned level, uint64_t number,
                              uint8_t out[static AUDIT_HASH_BYTES], struct err *err);

/* RFC 6962 section 2.1.1: at most AUDIT_PROOF_HASHES_MAX hashes, from the leaf's sibling to the
 * root's child. index < size. */
bool audit_inclusion_prove(uint64_t index, uint64_t size, audit_node_cb node, void *context,
                           uint8_t proof[static AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES],
                           size_t *hash_count, struct err *err) MUST_CHECK;

/* The siblings on the way up from that full subtree; appended at *hash_count. What inclusion and
 * consistency proofs have in common. */
bool audit_path_prove(unsigned level, uint64_t number, uint64_t size, audit_node_cb node,
                      void *context,
                      uint8_t proof[static AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES],
                      size_t *hash_count, struct err *err) MUST_CHECK;
/* RFC 9162 section 2.1.4.1. 0 < old_size <= new_size. */
bool audit_consistency_prove(uint64_t old_size, uint64_t new_size, audit_node_cb node,
                             void *context,
                             uint8_t proof[static AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES],
                             size_t *hash_count, struct err *err) MUST_CHECK;

/* A batch is begun, appended to, stored; then it can still be read from memory until the next one
 * is begun. One thread writes; any thread may read what is stored. */
struct audit_tree {
    const struct audit_io *io;
    int fd;                   /* scratch */
    struct audit_range range; /* with the batch */
    struct audit_range base;  /* without it */
    struct buffer recent;     /* the hashes of the batch */
};

/* Makes the scratch file in the directory. batch_leaves_max bounds what may be appended between two
 * begins. */
bool audit_tree_open(struct audit_tree *tree, const struct audit_io *io, int directory_fd,
                     size_t batch_leaves_max, struct err *err) MUST_CHECK;
void audit_tree_close(struct audit_tree *tree);
void audit_tree_begin(struct audit_tree *tree);
/* False when there is no memory. */
bool audit_tree_append(struct audit_tree *tree, const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                       struct err *err) MUST_CHECK;
bool audit_tree_store(struct audit_tree *tree, struct err *err) MUST_CHECK;

/* audit_node_cb with a `struct audit_tree *`. `recent` is the writer's, and knows the batch and the
 * peaks before it: all that proofs for the batch's own leaves need, so it does no input. `stored`
 * is any thread's, and reads the file. */
bool audit_tree_recent_node(void *tree, unsigned level, uint64_t number,
                            uint8_t out[static AUDIT_HASH_BYTES], struct err *err);
bool audit_tree_stored_node(void *tree, unsigned level, uint64_t number,
                            uint8_t out[static AUDIT_HASH_BYTES], struct err *err);
/* `count` leaf hashes from `first` on, which is a multiple of 256; count is 1 to 256. One read.
 * Any thread's. */
enum { AUDIT_TREE_ROW_MAX = 256 };
bool audit_tree_stored_leaves(const struct audit_tree *tree, uint64_t first, size_t count,
                              uint8_t *out, struct err *err) MUST_CHECK;

#endif
