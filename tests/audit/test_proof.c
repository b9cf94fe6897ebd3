/* test_proof.c: the tree and its inclusion proofs against the RFC's recursive definition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/io.h"
#include "audit/support.h"
#include "audit/tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LEAVES = 70 };

static uint8_t leaf_hashes[LEAVES][AUDIT_HASH_BYTES];

static void leaves_make(void)
{
    for (int i = 0; i < LEAVES; i++) {
        uint8_t leaf[2] = {(uint8_t)i, 7};
        audit_leaf_hash(bytes_of(leaf, sizeof(leaf)), leaf_hashes[i]);
    }
}

/* RFC 6962 section 2.1, as it is written there. */
static void naive_root(size_t first, size_t count, uint8_t out[static AUDIT_HASH_BYTES])
{
    uint8_t left[AUDIT_HASH_BYTES];
    uint8_t right[AUDIT_HASH_BYTES];
    size_t k = 1;
    if (count == 0) {
        crypto_sha256(bytes_of(NULL, 0), out);
        return;
    }
    if (count == 1) {
        memcpy(out, leaf_hashes[first], AUDIT_HASH_BYTES);
        return;
    }
    while (2 * k < count) {
        k *= 2;
    }
    naive_root(first, k, left);
    naive_root(first + k, count - k, right);
    audit_node_hash(left, right, out);
}

static bool naive_node(void *context, unsigned level, uint64_t number,
                       uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    (void)context;
    (void)err;
    cr_assert((number + 1) << level <= LEAVES);
    naive_root((size_t)(number << level), (size_t)1 << level, out);
    return true;
}

static bool failing_node(void *context, unsigned level, uint64_t number,
                         uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    (void)level;
    (void)number;
    memset(out, 0, AUDIT_HASH_BYTES);
    int *left = context;
    return (*left)-- > 0 || err_set(err, ERR_IO, "no");
}

Test(audit_proof, roots_are_those_of_the_recursive_definition)
{
    struct audit_range range;
    leaves_make();
    audit_range_init(&range);
    for (size_t size = 0; size <= LEAVES; size++) {
        uint8_t expected[AUDIT_HASH_BYTES];
        uint8_t root[AUDIT_HASH_BYTES];
        naive_root(0, size, expected);
        audit_range_root(&range, root);
        cr_assert_arr_eq(root, expected, sizeof(root), "size %zu", size);
        if (size < LEAVES) {
            audit_range_append(&range, leaf_hashes[size], NULL);
        }
    }
}

Test(audit_proof, every_inclusion_proof_verifies_and_no_mutation_does)
{
    uint8_t proof[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    struct err err;
    leaves_make();
    for (size_t size = 1; size <= LEAVES; size++) {
        uint8_t root[AUDIT_HASH_BYTES];
        naive_root(0, size, root);
        for (size_t index = 0; index < size; index++) {
            size_t count = 0;
            const uint8_t *leaf = leaf_hashes[index];
            cr_assert(audit_inclusion_prove(index, size, naive_node, NULL, proof, &count, &err));
            cr_assert(audit_inclusion_verify(index, size, leaf, proof, count, root));
            cr_assert_not(audit_inclusion_verify(index + 1, size, leaf, proof, count, root));
            cr_assert_not(audit_inclusion_verify(index, size, leaf, proof, count + 1, root));
            if (count > 0) {
                cr_assert_not(audit_inclusion_verify(index, size, leaf, proof, count - 1, root));
                proof[(index % count) * AUDIT_HASH_BYTES] ^= 1;
                cr_assert_not(audit_inclusion_verify(index, size, leaf, proof, count, root));
            }
        }
    }
}

Test(audit_proof, an_index_at_or_beyond_the_size_is_never_included)
{
    uint8_t hash[AUDIT_HASH_BYTES] = {1};
    cr_assert(audit_inclusion_verify(0, 1, hash, NULL, 0, hash));
    cr_assert_not(audit_inclusion_verify(1, 1, hash, NULL, 0, hash));
    cr_assert_not(audit_inclusion_verify(0, 0, hash, NULL, 0, hash));
    cr_assert_not(audit_inclusion_verify(UINT64_MAX, UINT64_MAX, hash, NULL, 0, hash));
}

Test(audit_proof, a_node_that_cannot_be_had_fails_the_proof)
{
    uint8_t proof[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    /* Leaf 0 of 70: six siblings, of which the last is the right edge of two peaks. */
    for (int allowed = 0; allowed < 8; allowed++) {
        struct err err;
        size_t count = 99;
        int left = allowed;
        cr_assert_not(audit_inclusion_prove(0, 70, failing_node, &left, proof, &count, &err));
        cr_assert_eq(err.code, ERR_IO);
        cr_assert_eq(count, 99);
    }
}

Test(audit_proof, places_of_hashes_are_in_order_of_completion)
{
    uint64_t next = 0;
    for (uint64_t leaf = 0; leaf < 1000; leaf++) {
        for (unsigned level = 0; level < 64 && (leaf + 1) % ((uint64_t)1 << level) == 0; level++) {
            cr_assert_eq(audit_tree_place(level, ((leaf + 1) >> level) - 1), next++);
        }
        cr_assert_eq(audit_tree_hash_count(leaf + 1), next);
    }
}

Test(audit_proof, the_stored_tree_proves_old_and_new_leaves)
{
    char directory[PATH_BYTES];
    uint8_t proof[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    struct audit_tree tree;
    struct err err;
    leaves_make();
    directory_make(directory);
    int fd = open(directory, O_RDONLY | O_DIRECTORY);
    cr_assert(audit_tree_open(&tree, &audit_io_system, fd, 8, &err), "%s", err.message);
    for (size_t first = 0; first < LEAVES;) {
        size_t batch = first % 7 + 1 > LEAVES - first ? LEAVES - first : first % 7 + 1;
        uint8_t root[AUDIT_HASH_BYTES];
        audit_tree_begin(&tree);
        for (size_t i = 0; i < batch; i++) {
            cr_assert(audit_tree_append(&tree, leaf_hashes[first + i], &err));
        }
        cr_assert(audit_tree_store(&tree, &err));
        naive_root(0, first + batch, root);
        for (size_t index = 0; index < first + batch; index++) {
            size_t count = 0;
            cr_assert(audit_inclusion_prove(index, first + batch, audit_tree_stored_node, &tree,
                                            proof, &count, &err));
            cr_assert(audit_inclusion_verify(index, first + batch, leaf_hashes[index], proof, count,
                                             root));
            if (index < first) {
                continue;
            }
            cr_assert(audit_inclusion_prove(index, first + batch, audit_tree_recent_node, &tree,
                                            proof, &count, &err));
            cr_assert(audit_inclusion_verify(index, first + batch, leaf_hashes[index], proof, count,
                                             root));
        }
        first += batch;
    }
    /* A leaf of long ago needs what only the file has; beyond the end there is nothing. */
    uint8_t hash[AUDIT_HASH_BYTES];
    cr_assert_not(audit_tree_recent_node(&tree, 0, 0, hash, &err));
    cr_assert_eq(err.code, ERR_INTERNAL);
    cr_assert_not(audit_tree_stored_node(&tree, 0, LEAVES, hash, &err));
    cr_assert_eq(err.code, ERR_IO);
    audit_tree_close(&tree);
    close(fd);
    directory_remove(directory);
}
