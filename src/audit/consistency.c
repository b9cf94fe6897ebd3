/* consistency.c: consistency proofs: that a tree is the continuation of an older one.
 *
 * Made as RFC 9162 section 2.1.4.1 says, checked as 2.1.4.2 does step by step; `fn` and `sn` are
 * the RFC's names. The old tree ends with a full subtree, whose last leaf is the old tree's last;
 * that subtree's root and its path up are the proof: from them both roots follow. Where the old
 * tree is that one subtree, its root is known to who checks, and left out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static bool is_one_subtree(uint64_t size)
{
    return (size & (size - 1)) == 0;
}

bool audit_consistency_prove(uint64_t old_size, uint64_t new_size, audit_node_cb node,
                             void *context,
                             uint8_t proof[static AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES],
                             size_t *hash_count, struct err *err)
{
    size_t count = 0;
    assert(old_size > 0 && old_size <= new_size);
    if (old_size == new_size) {
        *hash_count = 0;
        return true;
    }
    unsigned level = (unsigned)__builtin_ctzll(old_size);
    uint64_t number = (old_size >> level) - 1;
    if (!is_one_subtree(old_size)) {
        if (!node(context, level, number, proof, err)) {
            return false;
        }
        count = 1;
    }
    if (!audit_path_prove(level, number, new_size, node, context, proof, &count, err)) {
        return false;
    }
    *hash_count = count;
    return true;
}

bool audit_log_prove_between(struct audit_log *log, uint64_t old_size, uint64_t size,
                             struct buffer *proof, struct err *err)
{
    uint8_t hashes[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    size_t hash_count = 0;
    if (old_size == 0 || old_size > size || size > audit_log_size(log)) {
        return err_set(err, ERR_NOT_FOUND,
                       "a log of %" PRIu64 " entries is no continuation of one of %" PRIu64, size,
                       old_size);
    }
    if (!audit_consistency_prove(old_size, size, audit_tree_stored_node, &log->tree, hashes,
                                 &hash_count, err)) {
        return false;
    }
    buffer_append(proof, hashes, hash_count * AUDIT_HASH_BYTES);
    return !proof->failed || err_set(err, ERR_NO_MEMORY, "no memory for a proof");
}

static bool hashes_are_well_formed(struct bytes proof, struct bytes old_root, struct bytes new_root)
{
    return proof.size > 0 && proof.size % AUDIT_HASH_BYTES == 0 &&
           old_root.size == AUDIT_HASH_BYTES && new_root.size == AUDIT_HASH_BYTES;
}

bool audit_consistency_verify(uint64_t old_size, uint64_t new_size, struct bytes proof,
                              struct bytes old_root, struct bytes new_root)
{
    uint8_t old_hash[AUDIT_HASH_BYTES];
    uint8_t new_hash[AUDIT_HASH_BYTES];
    if (old_size == 0 || old_size > new_size) {
        return false; /* anything is consistent with nothing: such a proof says nothing */
    }
    if (old_size == new_size) {
        return proof.size == 0 && bytes_equal(old_root, new_root);
    }
    if (!hashes_are_well_formed(proof, old_root, new_root)) {
        return false;
    }
    uint64_t fn = old_size - 1;
    uint64_t sn = new_size - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    bool seed_is_known = is_one_subtree(old_size);
    size_t used = seed_is_known ? 0 : AUDIT_HASH_BYTES;
    memcpy(old_hash, seed_is_known ? old_root.ptr : proof.ptr, sizeof(old_hash));
    memcpy(new_hash, old_hash, sizeof(new_hash));
    for (; used < proof.size; used += AUDIT_HASH_BYTES) {
        const uint8_t *next = proof.ptr + used;
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            audit_node_hash(next, old_hash, old_hash);
            audit_node_hash(next, new_hash, new_hash);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            audit_node_hash(new_hash, next, new_hash);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(old_hash, old_root.ptr, sizeof(old_hash)) == 0 &&
           memcmp(new_hash, new_root.ptr, sizeof(new_hash)) == 0;
}
