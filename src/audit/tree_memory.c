/* tree_memory.c: the tree of tree.h with all its hashes in memory, for leaves that are in no log:
 * small, made at once, and never appended to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/tree.h"

#include "base/arena.h"

#include <assert.h>
#include <string.h>

struct audit_memory_tree {
    struct audit_range range;
    struct buffer nodes; /* in the order of audit_tree_place */
};

static_assert(1 << AUDIT_MEMORY_PROOF_HASHES_MAX == AUDIT_MEMORY_LEAVES_MAX, "height of the tree");

struct audit_memory_tree *audit_memory_tree_new(const uint8_t *leaf_hashes, size_t count)
{
    assert(count > 0 && count <= AUDIT_MEMORY_LEAVES_MAX);
    struct audit_memory_tree *tree = HEAP_NEW(struct audit_memory_tree);
    if (tree == NULL) {
        return NULL;
    }
    size_t bytes = (size_t)audit_tree_hash_count(count) * AUDIT_HASH_BYTES;
    buffer_init(&tree->nodes, bytes);
    buffer_expect(&tree->nodes, bytes);
    audit_range_init(&tree->range);
    for (size_t i = 0; i < count; i++) {
        audit_range_append(&tree->range, leaf_hashes + i * AUDIT_HASH_BYTES, &tree->nodes);
    }
    if (tree->nodes.failed) {
        audit_memory_tree_free(tree);
        return NULL;
    }
    return tree;
}

void audit_memory_tree_free(struct audit_memory_tree *tree)
{
    if (tree != NULL) {
        buffer_release(&tree->nodes);
        heap_free(tree);
    }
}

void audit_memory_tree_root(const struct audit_memory_tree *tree,
                            uint8_t out[static AUDIT_HASH_BYTES])
{
    audit_range_root(&tree->range, out);
}

static bool node(void *context, unsigned level, uint64_t number,
                 uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    const struct buffer *nodes = context;
    size_t offset = (size_t)audit_tree_place(level, number) * AUDIT_HASH_BYTES;
    (void)err;
    assert(offset + AUDIT_HASH_BYTES <= nodes->size);
    memcpy(out, nodes->ptr + offset, AUDIT_HASH_BYTES);
    return true;
}

size_t
audit_memory_tree_prove(const struct audit_memory_tree *tree, size_t index,
                        uint8_t proof[static AUDIT_MEMORY_PROOF_HASHES_MAX * AUDIT_HASH_BYTES])
{
    uint8_t path[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    struct buffer nodes = tree->nodes; /* borrowed */
    struct err err;
    size_t count = 0;
    bool ok = audit_inclusion_prove(index, tree->range.size, node, &nodes, path, &count, &err);
    assert(ok && count <= AUDIT_MEMORY_PROOF_HASHES_MAX);
    memcpy(proof, path, count * AUDIT_HASH_BYTES);
    return ok ? count : 0;
}
