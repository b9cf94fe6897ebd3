/* test_consistency.c: consistency proofs: the generator against the verifier and against the RFC's
 * recursive definition, and both kinds of proofs against published vectors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/support.h"
#include "audit/tree.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE_MAX_TRIED = 300, PROOF_BYTES = AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES };

/* The tree of SIZE_MAX_TRIED leaves as a log stores it, and the root at each size. */
static struct buffer stored;
static uint8_t roots[SIZE_MAX_TRIED + 1][AUDIT_HASH_BYTES];

static void trees_make(void)
{
    struct audit_range range;
    audit_range_init(&range);
    buffer_init(&stored, 2 * SIZE_MAX_TRIED * AUDIT_HASH_BYTES);
    for (int i = 0; i < SIZE_MAX_TRIED; i++) {
        uint8_t leaf[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
        uint8_t hash[AUDIT_HASH_BYTES];
        audit_leaf_hash(bytes_of(leaf, sizeof(leaf)), hash);
        audit_range_append(&range, hash, &stored);
        audit_range_root(&range, roots[i + 1]);
    }
    cr_assert_not(stored.failed);
}

static struct bytes root_of(uint64_t size)
{
    return bytes_of(roots[size], AUDIT_HASH_BYTES);
}

/* context: the size of the tree that may be looked at. */
static bool stored_node(void *context, unsigned level, uint64_t number,
                        uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    const uint64_t *size = context;
    (void)err;
    cr_assert((number + 1) << level <= *size, "a subtree beyond the tree's end");
    memcpy(out, stored.ptr + audit_tree_place(level, number) * AUDIT_HASH_BYTES, AUDIT_HASH_BYTES);
    return true;
}

static size_t prove(uint64_t old_size, uint64_t size, uint8_t proof[static PROOF_BYTES])
{
    size_t count = 99;
    struct err err;
    cr_assert(audit_consistency_prove(old_size, size, stored_node, &size, proof, &count, &err));
    return count;
}

static bool verify(uint64_t old_size, uint64_t size, const uint8_t *proof, size_t hash_count)
{
    return audit_consistency_verify(old_size, size, bytes_of(proof, hash_count * AUDIT_HASH_BYTES),
                                    root_of(old_size), root_of(size));
}

Test(audit_consistency, every_pair_of_sizes_has_a_proof_that_verifies, .init = trees_make)
{
    uint8_t proof[PROOF_BYTES];
    for (uint64_t size = 1; size <= SIZE_MAX_TRIED; size++) {
        for (uint64_t old_size = 1; old_size <= size; old_size++) {
            size_t count = prove(old_size, size, proof);
            cr_assert(verify(old_size, size, proof, count), "from %d to %d", (int)old_size,
                      (int)size);
            cr_assert_eq(count == 0, old_size == size);
        }
    }
    buffer_release(&stored);
}

/* RFC 9162 section 2.1.4.1, SUBPROOF, as it is written there; the leaves [first, first + count). */
static size_t subproof(uint64_t m, uint64_t first, uint64_t count, bool complete, uint8_t *out);

static void tree_hash(uint64_t first, uint64_t count, uint8_t out[static AUDIT_HASH_BYTES])
{
    uint8_t right[AUDIT_HASH_BYTES];
    uint64_t k = 1;
    if (count == 1) {
        uint64_t size = SIZE_MAX_TRIED;
        struct err err;
        cr_assert(stored_node(&size, 0, first, out, &err));
        return;
    }
    while (2 * k < count) {
        k *= 2;
    }
    tree_hash(first, k, out);
    tree_hash(first + k, count - k, right);
    audit_node_hash(out, right, out);
}

static size_t subproof(uint64_t m, uint64_t first, uint64_t count, bool complete, uint8_t *out)
{
    uint64_t k = 1;
    size_t used = 0;
    if (m == count) {
        if (!complete) {
            tree_hash(first, count, out);
        }
        return complete ? 0 : 1;
    }
    while (2 * k < count) {
        k *= 2;
    }
    if (m <= k) {
        used = subproof(m, first, k, complete, out);
        tree_hash(first + k, count - k, out + used * AUDIT_HASH_BYTES);
    } else {
        used = subproof(m - k, first + k, count - k, false, out);
        tree_hash(first, k, out + used * AUDIT_HASH_BYTES);
    }
    return used + 1;
}

Test(audit_consistency, proofs_are_those_of_the_recursive_definition, .init = trees_make)
{
    for (uint64_t size = 1; size <= 70; size++) {
        for (uint64_t old_size = 1; old_size <= size; old_size++) {
            uint8_t expected[PROOF_BYTES];
            uint8_t proof[PROOF_BYTES];
            size_t count = prove(old_size, size, proof);
            cr_assert_eq(count, subproof(old_size, 0, size, true, expected));
            cr_assert_arr_eq(proof, expected, count * AUDIT_HASH_BYTES);
        }
    }
    buffer_release(&stored);
}

Test(audit_consistency, no_mutation_of_a_proof_verifies, .init = trees_make)
{
    uint8_t proof[PROOF_BYTES];
    for (uint64_t size = 2; size <= 70; size++) {
        for (uint64_t old_size = 1; old_size < size; old_size++) {
            size_t count = prove(old_size, size, proof);
            struct bytes good = bytes_of(proof, count * AUDIT_HASH_BYTES);
            struct bytes cut = bytes_of(proof, good.size - 1);
            memset(proof + good.size, 7, AUDIT_HASH_BYTES);
            cr_assert_not(verify(old_size, size, proof, count + 1));
            cr_assert_not(verify(old_size, size, proof, count - 1));
            cr_assert_not(
                audit_consistency_verify(old_size, size, cut, root_of(old_size), root_of(size)));
            cr_assert_not(
                audit_consistency_verify(old_size, size, good, root_of(size), root_of(old_size)));
            cr_assert_not(verify(size, old_size, proof, count));
            for (size_t i = 0; i < count; i++) {
                proof[i * AUDIT_HASH_BYTES + (old_size + i) % AUDIT_HASH_BYTES] ^= 1;
                cr_assert_not(verify(old_size, size, proof, count));
                proof[i * AUDIT_HASH_BYTES + (old_size + i) % AUDIT_HASH_BYTES] ^= 1;
            }
        }
    }
    buffer_release(&stored);
}

Test(audit_consistency, the_same_size_has_the_same_root_and_nothing_to_prove, .init = trees_make)
{
    cr_assert(verify(7, 7, NULL, 0));
    cr_assert_not(verify(7, 7, roots[1], 1));
    cr_assert_not(
        audit_consistency_verify(7, 7, bytes_of(NULL, 0), root_of(7), bytes_of(roots[8], 32)));
    /* Nothing is the beginning of everything, so that is no statement. */
    cr_assert_not(audit_consistency_verify(0, 7, bytes_of(NULL, 0), root_of(1), root_of(7)));
    cr_assert_not(audit_consistency_verify(0, 0, bytes_of(NULL, 0), root_of(1), root_of(1)));
    cr_assert_not(audit_consistency_verify(1, 7, bytes_of(NULL, 0), root_of(1), root_of(7)));
    buffer_release(&stored);
}

static bool failing_node(void *context, unsigned level, uint64_t number,
                         uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    int *left = context;
    (void)level;
    (void)number;
    memset(out, 0, AUDIT_HASH_BYTES);
    return (*left)-- > 0 || err_set(err, ERR_IO, "no");
}

Test(audit_consistency, a_node_that_cannot_be_had_fails_the_proof)
{
    /* From 6 to 70: the subtree of leaves 4 and 5, two siblings left and right of it, three more,
     * and the right edge of two peaks. */
    uint8_t proof[PROOF_BYTES];
    size_t count = 99;
    struct err err;
    int left = 0;
    for (int allowed = 0; !audit_consistency_prove(6, 70, failing_node, &left, proof, &count, &err);
         left = ++allowed) {
        cr_assert_eq(err.code, ERR_IO);
        cr_assert_eq(count, 99);
        cr_assert_lt(allowed, 9);
    }
    cr_assert_eq(count, 7);
}

Test(audit_consistency, a_log_proves_that_it_continues_any_earlier_size)
{
    char directory[PATH_BYTES];
    struct buffer proof;
    struct buffer note;
    struct audit_checkpoint checkpoint;
    struct err err;
    directory_make(directory);
    rmdir(directory);
    log_make(directory, 40);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    uint64_t size = audit_log_size(log);
    struct audit_range range;
    audit_range_init(&range);
    for (uint64_t old_size = 1; old_size <= size; old_size++) {
        struct buffer leaf;
        uint8_t hash[AUDIT_HASH_BYTES];
        uint8_t old_root[AUDIT_HASH_BYTES];
        buffer_init(&leaf, AUDIT_LEAF_BYTES_MAX);
        buffer_init(&proof, 65536);
        buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
        cr_assert(audit_log_prove(log, old_size - 1, &leaf, &proof, &err), "%s", err.message);
        audit_leaf_hash(buffer_bytes(&leaf), hash);
        audit_range_append(&range, hash, NULL);
        audit_range_root(&range, old_root);
        proof.size = 0;
        cr_assert(audit_log_prove_between(log, old_size, size, &proof, &err));
        cr_assert(audit_log_checkpoint(log, &note));
        cr_assert_eq(audit_checkpoint_verify(buffer_bytes(&note), audit_log_vkey(log), &checkpoint),
                     AUDIT_OK);
        cr_assert(audit_consistency_verify(old_size, checkpoint.size, buffer_bytes(&proof),
                                           bytes_of(old_root, sizeof(old_root)),
                                           bytes_of(checkpoint.root, AUDIT_HASH_BYTES)));
        buffer_release(&leaf);
        buffer_release(&proof);
        buffer_release(&note);
    }
    buffer_init(&proof, 65536);
    cr_assert_not(audit_log_prove_between(log, 0, size, &proof, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_not(audit_log_prove_between(log, size + 1, size, &proof, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_not(audit_log_prove_between(log, 1, size + 1, &proof, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    buffer_init(&proof, 1); /* too small for a proof */
    cr_assert_not(audit_log_prove_between(log, 3, size, &proof, &err));
    cr_assert_eq(err.code, ERR_NO_MEMORY);
    buffer_release(&proof);
    audit_log_close(log);
    directory_remove(directory);
}

/* ---- transparency-dev/merkle's vectors ---- */

static size_t vector_count;

struct hash_text { /* a root or a hash as a vector gives it: of any length */
    uint8_t bytes[256];
    size_t size;
};

static struct hash_text decode_hash(const json_t *text)
{
    struct hash_text hash = {.size = 0};
    const char *string = json_string_value(text);
    cr_assert(string != NULL && strlen(string) <= sizeof(hash.bytes));
    cr_assert(text_base64_decode(string, strlen(string), hash.bytes, &hash.size));
    return hash;
}

/* False: some hash is not of 32 bytes; whoever reads proofs refuses such a one before they are put
 * together. */
static bool decode_proof(const json_t *array, uint8_t *out, size_t *count)
{
    *count = json_array_size(array);
    cr_assert(*count <= AUDIT_PROOF_HASHES_MAX);
    for (size_t i = 0; i < *count; i++) {
        struct hash_text hash = decode_hash(json_array_get(array, i));
        if (hash.size != AUDIT_HASH_BYTES) {
            return false;
        }
        memcpy(out + i * AUDIT_HASH_BYTES, hash.bytes, AUDIT_HASH_BYTES);
    }
    return true;
}

static uint64_t number_of(const json_t *vector, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(vector, name));
}

static bool inclusion_vector(const json_t *vector, const uint8_t *proof, size_t count)
{
    struct hash_text leaf = decode_hash(json_object_get(vector, "leafHash"));
    struct hash_text root = decode_hash(json_object_get(vector, "root"));
    return leaf.size == AUDIT_HASH_BYTES && root.size == AUDIT_HASH_BYTES &&
           audit_inclusion_verify(number_of(vector, "leafIdx"), number_of(vector, "treeSize"),
                                  leaf.bytes, proof, count, root.bytes);
}

static bool consistency_vector(const json_t *vector, const uint8_t *proof, size_t count)
{
    struct hash_text old_root = decode_hash(json_object_get(vector, "root1"));
    struct hash_text new_root = decode_hash(json_object_get(vector, "root2"));
    return audit_consistency_verify(number_of(vector, "size1"), number_of(vector, "size2"),
                                    bytes_of(proof, count * AUDIT_HASH_BYTES),
                                    bytes_of(old_root.bytes, old_root.size),
                                    bytes_of(new_root.bytes, new_root.size));
}

static void run_vector(const char *path, const json_t *vector)
{
    uint8_t proof[PROOF_BYTES];
    size_t count = 0;
    bool is_inclusion = json_object_get(vector, "leafIdx") != NULL;
    bool got = decode_proof(json_object_get(vector, "proof"), proof, &count) &&
               (is_inclusion ? inclusion_vector(vector, proof, count)
                             : consistency_vector(vector, proof, count));
    vector_count++;
    cr_expect_eq(got, json_is_false(json_object_get(vector, "wantErr")), "%s: %s", path,
                 json_string_value(json_object_get(vector, "desc")));
}

/* One of them has the index 2^64 - 1, which jansson's integers end before: it becomes -1, whose
 * bits are the same. */
static json_t *load_vector(const char *path)
{
    static const char largest[] = "18446744073709551615";
    json_error_t error;
    size_t size = 0;
    char *text = (char *)file_read("/", path, &size);
    cr_assert_not_null(text);
    char *found = memmem(text, size, largest, sizeof(largest) - 1);
    if (found != NULL) {
        memset(found, ' ', sizeof(largest) - 1);
        memcpy(found, "-1", 2);
    }
    json_t *vector = json_loadb(text, size, 0, &error);
    cr_assert_not_null(vector, "%s: %s", path, error.text);
    heap_free(text);
    return vector;
}

Test(audit_consistency, agrees_with_the_published_vectors)
{
    static const char archive[] =
        WH_SOURCE_DIR "/../shared/vectors/merkle/inclusion-consistency.tar.xz";
    char directory[PATH_BYTES];
    char command[4 * PATH_BYTES];
    char path[PATH_BYTES];
    if (access(archive, R_OK) != 0) {
        printf("skipped: transparency-dev/merkle's proofs, get them by packing testdata/inclusion "
               "and testdata/consistency of that repository into %s\n",
               archive);
        return;
    }
    directory_make(directory);
    snprintf(command, sizeof(command), "tar -xJf '%s' -C '%s' && find '%s' -name '*.json' | sort",
             archive, directory, directory);
    FILE *listing = popen(command, "r");
    cr_assert_not_null(listing);
    while (fgets(path, sizeof(path), listing) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        json_t *vector = load_vector(path);
        run_vector(path, vector);
        json_decref(vector);
    }
    cr_assert_eq(pclose(listing), 0);
    cr_assert_eq(vector_count, 196);
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    cr_assert_eq(system(command), 0);
}
