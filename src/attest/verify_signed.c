/* verify_signed.c: what an epoch's key signed: request keys, nonces, receipts.
 *
 * A signed object is {"payload": text, "signature": base64, "epoch": hex digest}. The payload is
 * verified as the text that it is and only then parsed; its "domain" says what it was signed for,
 * so that no signature can be taken for another purpose.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

#define KEY_DOMAIN "wasm-hypervisor/1 request key"
#define NONCE_DOMAIN "wasm-hypervisor/1 nonce"

enum { SIGNED_BYTES_MAX = 1024 * 1024 };

struct signer {
    const uint8_t *key;    /* CRYPTO_ED25519_PUBLIC_BYTES */
    const uint8_t *digest; /* ATTEST_EPOCH_DIGEST_BYTES */
};

static bool signature_verify(const json_t *signed_object, const struct signer *signer,
                             struct bytes text, struct err *err)
{
    const json_t *digest = json_object_get(signed_object, "epoch");
    const json_t *signature = json_object_get(signed_object, "signature");
    uint8_t digest_bytes[ATTEST_EPOCH_DIGEST_BYTES];
    uint8_t signature_bytes[(CRYPTO_ED25519_SIGNATURE_BYTES + 2) / 3 * 3];
    size_t size = 0;
    if (!json_is_string(digest) ||
        !text_hex_decode(json_string_value(digest), json_string_length(digest), digest_bytes,
                         sizeof digest_bytes)) {
        return err_set(err, ERR_FORMAT, "\"epoch\" is not a digest");
    }
    if (!json_is_string(signature) ||
        json_string_length(signature) != text_base64_encoded_size(CRYPTO_ED25519_SIGNATURE_BYTES) ||
        !text_base64_decode(json_string_value(signature), json_string_length(signature),
                            signature_bytes, &size) ||
        size != CRYPTO_ED25519_SIGNATURE_BYTES) {
        return err_set(err, ERR_FORMAT, "\"signature\" is not a signature");
    }
    if (!bytes_equal(bytes_of(digest_bytes, sizeof digest_bytes),
                     bytes_of(signer->digest, ATTEST_EPOCH_DIGEST_BYTES))) {
        return err_set(err, ERR_TAMPERED, "it is signed under an epoch that is not verified");
    }
    return crypto_verify(CRYPTO_ED25519, bytes_of(signer->key, CRYPTO_ED25519_PUBLIC_BYTES), text,
                         bytes_of(signature_bytes, size)) ||
           err_set(err, ERR_TAMPERED, "the epoch's key did not sign it");
}

static bool signed_open(const json_t *signed_object, const struct signer *signer,
                        const char *domain, json_t **payload, struct err *err)
{
    const json_t *member = json_object_get(signed_object, "payload");
    json_t *object = NULL;
    if (!json_is_string(member) || json_string_length(member) > SIGNED_BYTES_MAX) {
        return err_set(err, ERR_FORMAT, "there is no \"payload\" text");
    }
    struct bytes text = bytes_of(json_string_value(member), json_string_length(member));
    if (!signature_verify(signed_object, signer, text, err)) {
        return false;
    }
    if (!json_text_parse(text, &object, err)) {
        err->code = ERR_FORMAT;
        return err_wrap(err, "the signed payload");
    }
    const char *found = json_string_value(json_object_get(object, "domain"));
    if (found == NULL || strcmp(found, domain) != 0) {
        json_decref(object);
        return err_set(err, ERR_TAMPERED, "it is signed for another purpose than \"%s\"", domain);
    }
    *payload = object;
    return true;
}

bool attest_signed_verify(const json_t *signed_object, const struct attest_result *epoch,
                          const char *domain, json_t **payload, struct err *err)
{
    const struct signer signer = {epoch->epoch_key, epoch->epoch_digest};
    return epoch->ok
               ? signed_open(signed_object, &signer, domain, payload, err)
               : err_set(err, ERR_TAMPERED, "it is signed under an epoch that is not verified");
}

/* ---- Checks ---- */

static bool open_member(const struct inspection *inspection, const char *name, const char *domain,
                        json_t **payload, struct attest_check *check)
{
    struct err err;
    uint8_t digest[CRYPTO_SHA512_BYTES];
    const struct signer signer = {inspection->statement.signing_key, digest};
    crypto_sha512(inspection->statement_text, digest);
    return signed_open(json_object_get(inspection->evidence, name), &signer, domain, payload,
                       &err) ||
           inspection_fail(check, "%.150s", err.message);
}

/* The payload's nonce, if it has one, for the policy to look at: *out is left alone otherwise. */
static void nonce_note(struct inspection *inspection, const json_t *payload, struct bytes *out)
{
    (void)!inspection_base64(inspection, json_object_get(payload, "nonce"), ATTEST_NONCE_BYTES_MAX,
                             out);
}

static const char *key_problem(const struct inspection *inspection, const json_t *payload)
{
    static const char *const members[] = {"request_id", "public_key", "key_derivation_salt",
                                          "expires_at"};
    const json_t *answer = inspection->key_answer;
    const char *node = json_string_value(json_object_get(answer, "node_id"));
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const json_t *member = json_object_get(answer, members[i]);
        if (!json_is_string(member) || !json_equal(member, json_object_get(payload, members[i]))) {
            return members[i];
        }
    }
    return node == NULL || strcmp(node, inspection->statement.node_id) != 0 ? "node_id" : NULL;
}

bool inspection_key_binding(struct inspection *inspection, struct attest_check *check)
{
    json_t *payload = NULL;
    if (inspection->key_answer == NULL) {
        return inspection_pass_by(check, "this is no answer to POST /v1/keys");
    }
    if (!open_member(inspection, "key_binding", KEY_DOMAIN, &payload, check)) {
        return false;
    }
    const char *problem = key_problem(inspection, payload);
    nonce_note(inspection, payload, &inspection->nonces[0]);
    bool ok = problem != NULL
                  ? inspection_fail(check, "\"%s\" is not what was signed", problem)
                  : inspection_pass(check,
                                    "the epoch's key signed public key, request id, salt, until %s",
                                    json_string_value(json_object_get(payload, "expires_at")));
    json_decref(payload);
    return ok;
}

bool inspection_nonce_binding(struct inspection *inspection, struct attest_check *check)
{
    json_t *payload = NULL;
    if (json_object_get(inspection->evidence, "nonce_binding") == NULL) {
        return inspection_pass_by(check, "no nonce was signed alone");
    }
    if (!open_member(inspection, "nonce_binding", NONCE_DOMAIN, &payload, check)) {
        return false;
    }
    nonce_note(inspection, payload, &inspection->nonces[1]);
    json_decref(payload);
    return inspection_pass(check, "the epoch's key signed a nonce");
}

bool inspection_nonce(struct inspection *inspection, struct attest_check *check)
{
    struct bytes wanted = inspection->policy->nonce;
    if (wanted.size == 0) {
        return inspection_pass_by(check, "the policy names none");
    }
    if (bytes_equal(inspection->batch.nonce, wanted)) {
        return inspection_pass(check, "the report was made for it, among %" PRIu64,
                               inspection->batch.size);
    }
    if (inspection->policy->nonce_in_report) {
        return inspection_fail(check, "the report was not made for the nonce that was sent");
    }
    for (size_t i = 0; i < sizeof inspection->nonces / sizeof inspection->nonces[0]; i++) {
        if (bytes_equal(inspection->nonces[i], wanted)) {
            return inspection_pass(check, "signed %s", i == 0 ? "with the key" : "alone");
        }
    }
    return inspection_fail(check, "the nonce that was sent is not the one that was signed");
}
