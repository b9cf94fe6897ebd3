/* proof.c: making inclusion proofs, and checking inclusion and consistency proofs.
 *
 * Checking follows RFC 9162 sections 2.1.3.2 and 2.1.4.2 step by step. `fn` is the leaf's number at
 * a level and `sn` the last number there; both are the RFC's names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/tree.h"

#include <assert.h>
#include <string.h>

/* The root over the last leaves of the tree: those from the last multiple of 2^level on. */
static bool right_edge(uint64_t size, unsigned level, audit_node_cb node, void *context,
                       uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    uint64_t rest = size & (((uint64_t)1 << level) - 1);
    bool begun = false;
    if (rest == 0) {
        return node(context, level, (size >> level) - 1, out, err);
    }
    for (unsigned below = 0; below < level; below++) {
        uint8_t peak[AUDIT_HASH_BYTES];
        if ((rest >> below & 1) == 0) {
            continue;
        }
        if (!node(context, below, (size >> below) - 1, peak, err)) {
            return false;
        }
        if (begun) {
            audit_node_hash(peak, out, out);
        } else {
            memcpy(out, peak, AUDIT_HASH_BYTES);
            begun = true;
        }
    }
    return true;
}

bool audit_inclusion_prove(uint64_t index, uint64_t size, audit_node_cb node, void *context,
                           uint8_t proof[static AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES],
                           size_t *hash_count, struct err *err)
{
    size_t count = 0;
    assert(index < size);
    uint64_t fn = index;
    uint64_t sn = size - 1;
    for (unsigned level = 0; sn > 0; level++, fn >>= 1, sn >>= 1) {
        uint8_t *out = proof + count * AUDIT_HASH_BYTES;
        bool ok = true;
        if ((fn & 1) != 0) {
            ok = node(context, level, fn - 1, out, err);
        } else if (fn + 1 < sn) {
            ok = node(context, level, fn + 1, out, err);
        } else if (fn + 1 == sn) {
            ok = right_edge(size, level, node, context, out, err);
        } else {
            continue; /* the last of an odd row has no sibling: it moves up alone */
        }
        if (!ok) {
            return false;
        }
        count++;
    }
    *hash_count = count;
    return true;
}

bool audit_inclusion_verify(uint64_t index, uint64_t size,
                            const uint8_t leaf_hash[static AUDIT_HASH_BYTES], const uint8_t *proof,
                            size_t hash_count, const uint8_t root[static AUDIT_HASH_BYTES])
{
    uint8_t hash[AUDIT_HASH_BYTES];
    if (index >= size) {
        return false;
    }
    uint64_t fn = index;
    uint64_t sn = size - 1;
    memcpy(hash, leaf_hash, sizeof(hash));
    for (size_t i = 0; i < hash_count; i++) {
        const uint8_t *sibling = proof + i * AUDIT_HASH_BYTES;
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            audit_node_hash(sibling, hash, hash);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            audit_node_hash(hash, sibling, hash);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(hash, root, sizeof(hash)) == 0;
}

bool audit_consistency_verify(uint64_t old_size, uint64_t new_size, const uint8_t *proof,
                              size_t hash_count, const uint8_t old_root[static AUDIT_HASH_BYTES],
                              const uint8_t new_root[static AUDIT_HASH_BYTES])
{
    uint8_t old_hash[AUDIT_HASH_BYTES];
    uint8_t new_hash[AUDIT_HASH_BYTES];
    size_t used = 0;
    if (old_size == 0 || old_size > new_size) {
        return false; /* anything is consistent with nothing: such a proof says nothing */
    }
    if (old_size == new_size) {
        return hash_count == 0 && memcmp(old_root, new_root, AUDIT_HASH_BYTES) == 0;
    }
    if (hash_count == 0) {
        return false;
    }
    uint64_t fn = old_size - 1;
    uint64_t sn = new_size - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    /* A full old tree is itself a subtree of the new one: the proof then leaves its root out. */
    const uint8_t *seed = old_root;
    if ((old_size & (old_size - 1)) != 0) {
        seed = proof;
        used = 1;
    }
    memcpy(old_hash, seed, sizeof(old_hash));
    memcpy(new_hash, seed, sizeof(new_hash));
    for (; used < hash_count; used++) {
        const uint8_t *next = proof + used * AUDIT_HASH_BYTES;
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
    return sn == 0 && memcmp(old_hash, old_root, sizeof(old_hash)) == 0 &&
           memcmp(new_hash, new_root, sizeof(new_hash)) == 0;
}
