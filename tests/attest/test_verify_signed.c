/* test_verify_signed.c: a saved answer to POST /v1/keys, and a nonce that was signed alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include <criterion/criterion.h>
#include <string.h>

#define NONCE "AAECAwQFBgc="

static const uint8_t nonce[] = {0, 1, 2, 3, 4, 5, 6, 7};
static struct attest_policy policy = {.allow_any_simulated_root = true, .now_ms = FORGE_NOW_MS};
static struct crypto_signer *key;
static json_t *evidence;

static void setup(void)
{
    struct forge forge;
    forge_init(&forge);
    key = forge_epoch_key(&forge);
    evidence = forge_evidence(&forge);
}

static void teardown(void)
{
    json_decref(evidence);
    crypto_signer_free(key);
}

TestSuite(attest_verify_signed, .init = setup, .fini = teardown);

static json_t *answer_make(const char *with_nonce)
{
    return forge_key_answer(json_incref(evidence), key, with_nonce);
}

static enum attest_check_outcome outcome(const json_t *json, const char *check)
{
    struct attest_result result;
    attest_evidence_verify(json, &policy, &result);
    return forge_check(&result, check)->outcome;
}

Test(attest_verify_signed, evidence_alone_has_no_key_to_look_at)
{
    cr_assert_eq(outcome(evidence, "key_binding"), ATTEST_NOT_APPLICABLE);
    cr_assert_eq(outcome(evidence, "nonce_binding"), ATTEST_NOT_APPLICABLE);
    cr_assert_eq(outcome(evidence, "nonce"), ATTEST_NOT_APPLICABLE);
}

Test(attest_verify_signed, a_good_answer_passes_and_its_result_is_that_of_the_evidence)
{
    struct attest_result alone, whole;
    json_t *answer = answer_make(NULL);
    forge_assert_ok(answer, &policy);
    cr_assert_eq(outcome(answer, "key_binding"), ATTEST_PASSED);
    attest_evidence_verify(evidence, &policy, &alone);
    attest_evidence_verify(answer, &policy, &whole);
    cr_assert_arr_eq(whole.epoch_digest, alone.epoch_digest, sizeof alone.epoch_digest);
    json_decref(answer);
}

Test(attest_verify_signed, every_member_is_held_to_what_was_signed)
{
    static const char *const members[] = {"request_id", "public_key", "key_derivation_salt",
                                          "expires_at", "node_id"};
    json_t *answer = answer_make(NULL);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *changed = json_copy(answer);
        json_object_set_new(changed, members[i], json_string("other"));
        forge_assert_fails(changed, &policy, "key_binding");
        json_object_set_new(changed, members[i], json_null());
        forge_assert_fails(changed, &policy, "key_binding");
        json_object_del(changed, members[i]);
        forge_assert_fails(changed, &policy, "key_binding");
        json_decref(changed);
    }
    json_decref(answer);
}

static json_t *payload_of(const char *domain, const char *text)
{
    return json_pack("{s:s, s:s}", "domain", domain, "nonce", text);
}

Test(attest_verify_signed, the_binding_is_of_this_epoch_for_this_purpose)
{
    struct crypto_signer *stranger = crypto_signer_generate(CRYPTO_ED25519);
    json_t *answer = answer_make(NULL);
    json_object_del(evidence, "key_binding");
    forge_assert_fails(answer, &policy, "key_binding");
    json_decref(answer);
    answer = forge_key_answer(json_incref(evidence), stranger, NULL);
    forge_assert_fails(answer, &policy, "key_binding");
    json_decref(answer);
    answer = answer_make(NULL);
    json_object_set_new(evidence, "key_binding",
                        forge_signed(evidence, key, payload_of("wasm-hypervisor/1 nonce", NONCE)));
    forge_assert_fails(answer, &policy, "key_binding");
    json_decref(answer);
    answer = answer_make(NULL);
    json_object_set_new(json_object_get(evidence, "key_binding"), "epoch", json_string("00"));
    forge_assert_fails(answer, &policy, "key_binding");
    json_decref(answer);
    crypto_signer_free(stranger);
}

Test(attest_verify_signed, the_nonce_that_was_sent_is_the_one_that_was_signed)
{
    json_t *answer = answer_make(NONCE);
    forge_assert_ok(answer, &policy);
    policy.nonce = bytes_of(nonce, sizeof nonce);
    forge_assert_ok(answer, &policy);
    policy.nonce = bytes_of(nonce, sizeof nonce - 1);
    forge_assert_fails(answer, &policy, "nonce");
    json_decref(answer);
    policy.nonce = bytes_of(nonce, sizeof nonce);
    static const char *const bad[] = {"", "AAECAwQFBgg=", "AAEC", "!", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        answer = answer_make(bad[i]);
        forge_assert_fails(answer, &policy, "nonce");
        json_decref(answer);
    }
}

Test(attest_verify_signed, a_nonce_has_64_bytes_at_most)
{
    static const uint8_t zeros[ATTEST_NONCE_BYTES_MAX + 1];
    json_t *answer = answer_make(FORGE_NONCE_64);
    policy.nonce = bytes_of(zeros, ATTEST_NONCE_BYTES_MAX);
    forge_assert_ok(answer, &policy);
    json_decref(answer);
    answer = answer_make(FORGE_NONCE_65);
    policy.nonce = bytes_of(zeros, sizeof zeros);
    forge_assert_fails(answer, &policy, "nonce");
    json_decref(answer);
}

Test(attest_verify_signed, a_nonce_may_be_signed_alone)
{
    policy.nonce = bytes_of(nonce, sizeof nonce);
    forge_assert_fails(evidence, &policy, "nonce");
    json_object_set_new(evidence, "nonce_binding",
                        forge_signed(evidence, key, payload_of("wasm-hypervisor/1 nonce", NONCE)));
    forge_assert_ok(evidence, &policy);
    policy.nonce = (struct bytes){NULL, 0};
    json_object_set_new(json_object_get(evidence, "nonce_binding"), "payload", json_string("{}"));
    forge_assert_fails(evidence, &policy, "nonce_binding");
    json_object_set_new(evidence, "nonce_binding", json_null());
    forge_assert_fails(evidence, &policy, "nonce_binding");
}

/* Whoever asks a bare report for a nonce gets a refusal, not silence. */
Test(attest_verify_signed, a_bare_report_has_no_nonce)
{
    struct attest_result result;
    policy.nonce = bytes_of(nonce, sizeof nonce);
    attest_report_verify("simulated", bytes_of(nonce, 0), NULL, 0, &policy, &result);
    cr_assert_eq(forge_check(&result, "nonce")->outcome, ATTEST_FAILED);
    cr_assert_eq(forge_check(&result, "key_binding")->outcome, ATTEST_NOT_APPLICABLE);
}
