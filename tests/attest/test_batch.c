/* test_batch.c: fresh proofs: the bytes of leaves and reports, small trees exhaustively, ten
 * thousand nonces in one batch, and everything that is none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include "audit/audit.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { MANY = 10000, NONCE_BYTES = 32 };

static const struct attest_policy any_simulated = {.allow_any_simulated_root = true,
                                                   .now_ms = FORGE_NOW_MS};

static void expect_hex(struct bytes bytes, const char *expected)
{
    char hex[2 * 64 + 1];
    text_hex_encode(bytes, hex);
    cr_expect_str_eq(hex, expected);
}

/* python3: n = bytes(range(16)); l = sha256(b"\0wasm-hypervisor/1 batch nonce\0" + n).digest();
 * sha512(b"wasm-hypervisor/1 batch\0" + bytes(range(64)) + (3).to_bytes(8, "big") + l) */
Test(attest_batch, bytes_of_leaf_and_report)
{
    uint8_t numbers[64], leaf[CRYPTO_SHA256_BYTES], user_data[ATTEST_USER_DATA_BYTES];
    for (size_t i = 0; i < sizeof numbers; i++) {
        numbers[i] = (uint8_t)i;
    }
    attest_batch_leaf(bytes_of(numbers, 16), leaf);
    expect_hex(bytes_of(leaf, sizeof leaf),
               "a11ec1f40f3f69f7309c45e3feba79f770c0859bd4aaf2677ca73455053bbcf2");
    attest_batch_user_data(numbers, 3, leaf, user_data);
    expect_hex(bytes_of(user_data, sizeof user_data),
               "b57c63b1ecab4da276dec1760afae1569485c6c6d18d20e9cc131a925458eb5b"
               "fe0b281423e43fcce66c9569ee1f33cd9c351613be1f7ea39c552296b2e67f28");
}

/* ---- trees ---- */

struct nonces {
    uint8_t (*nonces)[NONCE_BYTES];
    uint8_t (*leaves)[CRYPTO_SHA256_BYTES];
    struct audit_memory_tree *tree;
    size_t count;
};

static void nonces_open(struct nonces *nonces, size_t count)
{
    nonces->count = count;
    nonces->nonces = heap_alloc_array(count, NONCE_BYTES);
    nonces->leaves = heap_alloc_array(count, CRYPTO_SHA256_BYTES);
    crypto_random(nonces->nonces[0], count * NONCE_BYTES);
    for (size_t i = 0; i < count; i++) {
        attest_batch_leaf(bytes_of(nonces->nonces[i], NONCE_BYTES), nonces->leaves[i]);
    }
    nonces->tree = audit_memory_tree_new(nonces->leaves[0], count);
    cr_assert_not_null(nonces->tree);
}

static void nonces_close(struct nonces *nonces)
{
    audit_memory_tree_free(nonces->tree);
    heap_free(nonces->nonces);
    heap_free(nonces->leaves);
}

static struct attest_batch place(const struct nonces *nonces, size_t index)
{
    struct attest_batch batch = {.nonce = bytes_of(nonces->nonces[index], NONCE_BYTES),
                                 .index = index,
                                 .size = nonces->count};
    audit_memory_tree_root(nonces->tree, batch.root);
    batch.path_count = audit_memory_tree_prove(nonces->tree, index, batch.path);
    return batch;
}

static bool leads(const struct attest_batch *batch)
{
    uint8_t leaf[CRYPTO_SHA256_BYTES];
    attest_batch_leaf(batch->nonce, leaf);
    return audit_inclusion_verify(batch->index, batch->size, leaf, batch->path, batch->path_count,
                                  batch->root);
}

/* No other nonce, index or path is in that place. A size says which way the path goes, so not every
 * other one is wrong for a path; the report is about the size. */
static void expect_no_other(const struct attest_batch *batch, size_t stride)
{
    struct attest_batch wrong = *batch;
    for (size_t i = 0; i <= batch->size; i += stride) {
        wrong.index = i;
        cr_expect_eq(leads(&wrong), i == batch->index, "%zu of %zu", i, (size_t)batch->size);
    }
    wrong = *batch;
    wrong.nonce.size--;
    cr_expect_not(leads(&wrong));
    for (size_t i = 0; i < batch->path_count; i++) {
        wrong = *batch;
        wrong.path[i * CRYPTO_SHA256_BYTES + i] ^= 1;
        cr_expect_not(leads(&wrong));
    }
    wrong = *batch;
    if (wrong.path_count > 0) {
        wrong.path_count--;
        cr_expect_not(leads(&wrong));
    }
    wrong = *batch;
    wrong.size = wrong.index;
    cr_expect_not(leads(&wrong));
}

Test(attest_batch, small_trees_prove_each_nonce_and_nothing_else)
{
    for (size_t count = 1; count <= 130; count++) {
        struct nonces nonces;
        nonces_open(&nonces, count);
        for (size_t i = 0; i < count; i++) {
            const struct attest_batch batch = place(&nonces, i);
            cr_assert(leads(&batch), "%zu of %zu", i, count);
            if (count <= 33 || i % 16 == 0) {
                expect_no_other(&batch, 1);
            }
        }
        nonces_close(&nonces);
    }
}

Test(attest_batch, ten_thousand_nonces_verify_under_one_report)
{
    struct nonces nonces;
    struct forge forge;
    nonces_open(&nonces, MANY);
    struct attest_batch batch = place(&nonces, 0);
    forge_init(&forge);
    forge_batch(&forge, &batch);
    json_t *evidence = forge_evidence(&forge);
    for (size_t i = 0; i < MANY; i++) {
        batch = place(&nonces, i);
        cr_assert(leads(&batch), "%zu", i);
        if (i % 997 == 0 || i == MANY - 1) {
            struct attest_policy policy = any_simulated;
            policy.nonce = batch.nonce;
            policy.nonce_in_report = true;
            expect_no_other(&batch, 499);
            forge_put_batch(evidence, &batch);
            forge_assert_ok(evidence, &policy);
            policy.nonce = bytes_of(nonces.nonces[(i + 1) % MANY], NONCE_BYTES);
            forge_assert_fails(evidence, &policy, "nonce");
            batch.size++; /* the same path leads there, and the report is about another size */
            forge_put_batch(evidence, &batch);
            policy.nonce = batch.nonce;
            struct attest_result result;
            attest_evidence_verify(evidence, &policy, &result);
            cr_expect_not(result.ok);
            cr_expect_eq(forge_check(&result, "report_data")->outcome, ATTEST_FAILED);
        }
    }
    json_decref(evidence);
    nonces_close(&nonces);
}

Test(attest_batch, the_largest_has_16_hashes_of_path)
{
    struct nonces nonces;
    nonces_open(&nonces, ATTEST_BATCH_NONCES_MAX);
    const struct attest_batch batch = place(&nonces, ATTEST_BATCH_NONCES_MAX - 1);
    cr_expect_eq(batch.path_count, ATTEST_BATCH_PATH_HASHES_MAX);
    cr_expect(leads(&batch));
    nonces_close(&nonces);
}

/* ---- evidence ---- */

static void fails(const char *member, json_t *value, const char *check)
{
    struct nonces nonces;
    struct forge forge;
    nonces_open(&nonces, 3);
    const struct attest_batch batch = place(&nonces, 1);
    forge_init(&forge);
    forge_batch(&forge, &batch);
    json_t *evidence = forge_evidence(&forge);
    forge_put_batch(evidence, &batch);
    forge_assert_ok(evidence, &any_simulated);
    json_t *object = json_object_get(evidence, "batch");
    cr_assert_eq(value == NULL ? json_object_del(object, member)
                               : json_object_set_new(object, member, value),
                 0);
    forge_assert_fails(evidence, &any_simulated, check);
    json_decref(evidence);
    nonces_close(&nonces);
}

static json_t *strings(size_t count, const char *text)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(array, json_string(text));
    }
    return array;
}

Test(attest_batch, every_member_has_its_form)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const members[] = {"nonce", "index", "size", "root", "path"};
    for (size_t i = 0; i < 5; i++) {
        fails(members[i], NULL, "batch_format");
        fails(members[i], json_null(), "batch_format");
        fails(members[i], json_true(), "batch_format");
    }
    fails("nonce", json_string("AAAAAAAAAAAAAAAAAAAA"), "batch_format");        /* 15 bytes */
    fails("nonce", json_string("AAAAAAAAAAAAAAAAAAAAAA=="), "batch_inclusion"); /* 16 */
    fails("nonce", json_string("AAAAAAAAAAAAAAAAAAAAAA="), "batch_format");
    fails("nonce", json_string(FORGE_NONCE_64), "batch_inclusion");
    fails("nonce", json_string(FORGE_NONCE_65), "batch_format");
    fails("index", json_integer(-1), "batch_format");
    fails("index", json_integer(3), "batch_format");
    fails("index", json_integer(2), "batch_inclusion");
    fails("size", json_integer(1), "batch_format");
    fails("size", json_integer(65537), "batch_format");
    fails("root", json_string(zeros + 1), "batch_format");
    fails("path", strings(17, zeros), "batch_format");
    fails("path", strings(16, zeros), "batch_inclusion");
    fails("path", strings(2, zeros + 1), "batch_format");
    fails("path", strings(0, zeros), "batch_inclusion");
}

Test(attest_batch, a_report_of_another_epoch_or_of_the_epoch_alone_is_none)
{
    struct nonces nonces;
    struct forge forge;
    nonces_open(&nonces, 2);
    struct attest_batch batch = place(&nonces, 0);
    struct attest_policy policy = any_simulated;
    policy.nonce = batch.nonce;
    policy.nonce_in_report = true;
    forge_init(&forge);
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &policy, "nonce");
    forge_put_batch(evidence, &batch);
    forge_assert_fails(evidence, &policy, "report_data");
    json_decref(evidence);
    forge_batch(&forge, &batch);
    forge.statement.signing_key[0] ^= 1;
    evidence = forge_evidence(&forge);
    forge_put_batch(evidence, &batch);
    forge_assert_fails(evidence, &policy, "report_data");
    json_decref(evidence);
    nonces_close(&nonces);
}

Test(attest_batch, a_nonce_that_only_the_key_signed_is_not_in_the_report)
{
    struct forge forge;
    const uint8_t nonce[16] = {0};
    struct attest_policy policy = any_simulated;
    policy.nonce = bytes_of(nonce, sizeof nonce);
    forge_init(&forge);
    struct crypto_signer *key = forge_epoch_key(&forge);
    json_t *evidence = forge_evidence(&forge);
    json_object_set_new(evidence, "nonce_binding",
                        forge_signed(evidence, key,
                                     json_pack("{s:s, s:s}", "domain", "wasm-hypervisor/1 nonce",
                                               "nonce", "AAAAAAAAAAAAAAAAAAAAAA==")));
    forge_assert_ok(evidence, &policy);
    policy.nonce_in_report = true;
    forge_assert_fails(evidence, &policy, "nonce");
    json_decref(evidence);
    crypto_signer_free(key);
}
