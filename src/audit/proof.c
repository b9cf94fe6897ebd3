/* proof.c: inclusion proofs: made as RFC 9162 section 2.1.3.1 says, checked as 2.1.3.2 does step by
 * step. `fn` is the leaf's number at a level and `sn` the last number there; both are the RFC's
 * names.
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

bool audit_path_prove(unsigned level, uint64_t number, uint64_t size, audit_node_cb node,
                      void *context,
                      uint8_t proof[static AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES],
                      size_t *hash_count, struct err *err)
{
    size_t count = *hash_count;
    assert(number < size >> level);
    uint64_t fn = number;
    uint64_t sn = (size - 1) >> level;
    for (; sn > 0; level++, fn >>= 1, sn >>= 1) {
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

bool audit_inclusion_prove(uint64_t index, uint64_t size, audit_node_cb node, void *context,
                           uint8_t proof[static AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES],
                           size_t *hash_count, struct err *err)
{
    size_t count = 0;
    assert(index < size);
    if (!audit_path_prove(0, index, size, node, context, proof, &count, err)) {
        return false;
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
