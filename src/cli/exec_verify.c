/* exec_verify.c: what a client believes only after it has been checked (docs/protocol.md).
 *
 * Two moments. Before anything is sent: does the evidence vouch for the epoch's key, and has that
 * key signed the request's public key together with our nonce? After the answer: does the result
 * open, hash to its commitment and speak of our program; does the log's entry hold both commitments
 * and stand in the signed tree; and does the receipt say the same as all of these?
 *
 * A finding is never taken back, and each one is reported, also after another has failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"

#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define KEY_DOMAIN "wasm-hypervisor/1 request key"
#define RECEIPT_DOMAIN "wasm-hypervisor/1 receipt"

const char *exec_check_name(enum exec_check check)
{
    static const char *const names[EXEC_CHECK_COUNT] = {
        [EXEC_CHECK_ATTESTATION] = "attestation",
        [EXEC_CHECK_KEY_BINDING] = "key_binding",
        [EXEC_CHECK_REQUEST_COMMITMENT] = "request_commitment",
        [EXEC_CHECK_RESULT_COMMITMENT] = "result_commitment",
        [EXEC_CHECK_RESULT_CONTENT] = "result_content",
        [EXEC_CHECK_LEAF] = "log_entry",
        [EXEC_CHECK_AUDIT_PROOF] = "audit_proof",
        [EXEC_CHECK_RECEIPT] = "receipt",
    };
    return names[check];
}

bool exec_finding_set(struct exec *exec, enum exec_check check, enum exec_outcome outcome,
                      const char *format, ...)
{
    struct exec_finding *finding = &exec->findings[check];
    va_list arguments;
    va_start(arguments, format);
    finding->outcome = outcome;
    vsnprintf(finding->detail, sizeof finding->detail, format, arguments);
    va_end(arguments);
    if (outcome == EXEC_FAILED) {
        progress_step(&exec->progress, PROGRESS_FAILED, "%s: %s", exec_check_name(check),
                      finding->detail);
    }
    return outcome == EXEC_VERIFIED;
}

bool exec_has_failed(const struct exec *exec)
{
    for (size_t i = 0; i < EXEC_CHECK_COUNT; i++) {
        if (exec->findings[i].outcome == EXEC_FAILED) {
            return true;
        }
    }
    return false;
}

/* ---- members that must say the same as what we know ---- */

bool exec_says_text(const json_t *object, const char *member, const char *expected)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL && expected != NULL && strcmp(text, expected) == 0;
}

bool exec_says_hash(const json_t *object, const char *member,
                    const uint8_t expected[static CRYPTO_SHA256_BYTES])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    return exec_hex_member(object, member, hash, sizeof hash) &&
           bytes_equal(bytes_of(hash, sizeof hash), bytes_of(expected, CRYPTO_SHA256_BYTES));
}

bool exec_says_number(const json_t *object, const char *member, uint64_t expected)
{
    const json_t *value = json_object_get(object, member);
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           (uint64_t)json_integer_value(value) == expected;
}

/* ---- before anything is sent ---- */

/* With --no-attestation: what the node says of itself takes the place of what was verified, so that
 * its signatures can at least be held against each other. */
bool exec_epoch_from_claims(const json_t *evidence, struct attest_result *epoch)
{
    const char *text = json_string_value(json_object_get(evidence, "statement"));
    json_t *statement = NULL;
    struct err err;
    if (text == NULL || !json_text_parse(bytes_of_string(text), &statement, &err)) {
        return false;
    }
    const char *origin = json_string_value(json_object_get(statement, "log_origin"));
    const char *vkey = json_string_value(json_object_get(statement, "log_vkey"));
    bool ok =
        origin != NULL && vkey != NULL && strlen(origin) < sizeof epoch->log_origin &&
        strlen(vkey) < sizeof epoch->log_vkey &&
        exec_base64_member(statement, "signing_key", epoch->epoch_key, sizeof epoch->epoch_key);
    if (ok) {
        memcpy(epoch->log_origin, origin, strlen(origin) + 1);
        memcpy(epoch->log_vkey, vkey, strlen(vkey) + 1);
        crypto_sha512(bytes_of_string(text), epoch->epoch_digest);
        epoch->ok = true;
    }
    json_decref(statement);
    return ok;
}

static void failed_checks_tell(const struct exec *exec, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < exec->attestation.check_count; i++) {
        const struct attest_check *check = &exec->attestation.checks[i];
        if (check->outcome == ATTEST_FAILED && used < size) {
            int length = snprintf(out + used, size - used, "%s%s%s%s", used > 0 ? "; " : "",
                                  check->name, check->detail[0] != '\0' ? ": " : "", check->detail);
            used += length > 0 ? (size_t)length : 0;
        }
    }
}

/* Those that looked at something; what nobody asked for proves nothing. */
static size_t checks_passed(const struct attest_result *result)
{
    size_t count = 0;
    for (size_t i = 0; i < result->check_count; i++) {
        count += result->checks[i].outcome == ATTEST_PASSED ? 1 : 0;
    }
    return count;
}

static bool attestation_verify(struct exec *exec, const json_t *evidence)
{
    const struct exec_request *request = exec->request;
    struct attest_policy policy = request->policy_file.policy;
    attest_root_apply(&request->root, &policy);
    policy.now_ms = exec->judged_ms;
    struct attest_result *result = &exec->attestation;
    attest_evidence_verify(evidence, &policy, result);
    if (result->ok) {
        progress_step(&exec->progress, PROGRESS_DONE, "attestation verified: %s, %zu checks%s",
                      result->provider, checks_passed(result),
                      result->simulated ? " (simulated: no hardware vouches)" : "");
        return exec_finding_set(exec, EXEC_CHECK_ATTESTATION, EXEC_VERIFIED, "%s",
                                result->provider);
    }
    char reasons[ERR_MESSAGE_BYTES_MAX / 2];
    failed_checks_tell(exec, reasons, sizeof reasons);
    if (!request->no_attestation) {
        return exec_finding_set(exec, EXEC_CHECK_ATTESTATION, EXEC_FAILED, "%s%s", reasons,
                                result->simulated
                                    ? " (--allow-simulated accepts a simulated node, for trials)"
                                    : " (--no-attestation goes on without, unverified)");
    }
    if (!exec_epoch_from_claims(evidence, &exec->attestation)) {
        return exec_finding_set(exec, EXEC_CHECK_ATTESTATION, EXEC_FAILED,
                                "the node's statement cannot be read");
    }
    progress_step(&exec->progress, PROGRESS_NOTE, "attestation NOT verified: %s", reasons);
    exec_finding_set(exec, EXEC_CHECK_ATTESTATION, EXEC_UNCHECKED, "%s", reasons);
    return true;
}

static bool binding_says_ours(const struct exec *exec, const json_t *payload)
{
    uint8_t point[CRYPTO_P256_POINT_BYTES], salt[CRYPTO_REQUEST_SALT_BYTES];
    uint8_t nonce[sizeof exec->nonce];
    return exec_says_text(payload, "request_id", exec->request_id_text) &&
           exec_base64_member(payload, "public_key", point, sizeof point) &&
           memcmp(point, exec->public_key, sizeof point) == 0 &&
           exec_base64_member(payload, "key_derivation_salt", salt, sizeof salt) &&
           memcmp(salt, exec->salt, sizeof salt) == 0 &&
           exec_base64_member(payload, "nonce", nonce, sizeof nonce) &&
           memcmp(nonce, exec->nonce, sizeof nonce) == 0;
}

bool exec_verify_key(struct exec *exec)
{
    const json_t *attestation = json_object_get(exec->key_answer, "attestation");
    if (!attestation_verify(exec, attestation)) {
        return false;
    }
    json_t *payload = NULL;
    struct err err;
    if (!attest_signed_verify(json_object_get(attestation, "key_binding"), &exec->attestation,
                              KEY_DOMAIN, &payload, &err)) {
        return exec_finding_set(exec, EXEC_CHECK_KEY_BINDING, EXEC_FAILED, "%s", err.message);
    }
    bool ok = binding_says_ours(exec, payload);
    json_decref(payload);
    if (!ok) {
        return exec_finding_set(exec, EXEC_CHECK_KEY_BINDING, EXEC_FAILED,
                                "what was signed is not this key, request and nonce");
    }
    progress_step(&exec->progress, PROGRESS_DONE,
                  "the key is the node's own, made for this request");
    return exec_finding_set(exec, EXEC_CHECK_KEY_BINDING, EXEC_VERIFIED,
                            "public key, salt, request id and nonce");
}

/* ---- the answer ---- */

static bool result_open(struct exec *exec)
{
    const json_t *member = json_object_get(exec->execute_answer, "encrypted_result");
    size_t text_size = json_string_length(member);
    uint8_t *sealed = heap_alloc(text_size / 4 * 3 + 1);
    size_t size = 0;
    bool ok = sealed != NULL &&
              text_base64_decode(json_string_value(member), text_size, sealed, &size) &&
              size >= CRYPTO_RESPONSE_OVERHEAD_BYTES;
    if (ok) {
        exec->plaintext_size = size - CRYPTO_RESPONSE_OVERHEAD_BYTES;
        exec->plaintext = heap_alloc(exec->plaintext_size + 1);
        ok = exec->plaintext != NULL &&
             crypto_response_open(&exec->hpke, exec->enc,
                                  bytes_of(exec->request_commitment, CRYPTO_SHA256_BYTES),
                                  bytes_of(sealed, size), exec->plaintext);
    }
    heap_free(sealed);
    if (!ok) {
        return exec_finding_set(exec, EXEC_CHECK_RESULT_COMMITMENT, EXEC_FAILED,
                                "the result cannot be decrypted");
    }
    progress_step(&exec->progress, PROGRESS_DONE, "result decrypted (%zu bytes)",
                  exec->plaintext_size);
    return true;
}

static void commitments_verify(struct exec *exec)
{
    crypto_sha256(bytes_of(exec->plaintext, exec->plaintext_size), exec->result_commitment);
    if (exec_says_hash(exec->execute_answer, "request_commitment", exec->request_commitment)) {
        exec_finding_set(exec, EXEC_CHECK_REQUEST_COMMITMENT, EXEC_VERIFIED, "as computed here");
    } else {
        exec_finding_set(exec, EXEC_CHECK_REQUEST_COMMITMENT, EXEC_FAILED,
                         "the node committed to another request");
    }
    if (exec_says_hash(exec->execute_answer, "result_commitment", exec->result_commitment)) {
        exec_finding_set(exec, EXEC_CHECK_RESULT_COMMITMENT, EXEC_VERIFIED, "as computed here");
    } else {
        exec_finding_set(exec, EXEC_CHECK_RESULT_COMMITMENT, EXEC_FAILED,
                         "the node committed to another result");
    }
}

static bool output_hash_fits(const struct exec *exec, const json_t *outputs)
{
    struct buffer canonical;
    struct err err;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    buffer_init(&canonical, 2 * exec->plaintext_size + 64);
    bool ok = json_canonical(outputs, &canonical, &err);
    if (ok) {
        crypto_sha256(buffer_bytes(&canonical), hash);
        ok = exec_says_hash(exec->result, "output_hash", hash);
    }
    buffer_release_wiped(&canonical);
    return ok;
}

/* Does the sealed result speak of our request and our program, and fit the clear part? */
static const char *content_problem(const struct exec *exec)
{
    const json_t *result = exec->result;
    const json_t *outputs = json_object_get(result, "outputs");
    bool is_success = exec_says_text(result, "status", "success");
    if (!exec_says_text(result, "request_id", exec->request_id_text)) {
        return "it is the result of another request";
    }
    if (is_success != (exec->execute_status == 200) || is_success != (outputs != NULL)) {
        return "its status contradicts the answer's";
    }
    if ((is_success || json_object_get(result, "program_hash") != NULL) &&
        !exec_says_hash(result, "program_hash", exec->program_hash)) {
        return "it is the result of another program";
    }
    if (outputs != NULL && !output_hash_fits(exec, outputs)) {
        return "output_hash is not the hash of the outputs";
    }
    if (!json_equal(json_object_get(result, "execution_summary"),
                    json_object_get(exec->execute_answer, "execution_summary"))) {
        return "its summary is not the one in the clear";
    }
    return NULL;
}

static void content_verify(struct exec *exec)
{
    struct err err;
    if (!json_text_parse(bytes_of(exec->plaintext, exec->plaintext_size), &exec->result, &err)) {
        exec_finding_set(exec, EXEC_CHECK_RESULT_CONTENT, EXEC_FAILED, "the result: %s",
                         err.message);
        return;
    }
    const char *problem = content_problem(exec);
    if (problem != NULL) {
        exec_finding_set(exec, EXEC_CHECK_RESULT_CONTENT, EXEC_FAILED, "%s", problem);
    } else {
        exec_finding_set(exec, EXEC_CHECK_RESULT_CONTENT, EXEC_VERIFIED,
                         "request, program, outputs and summary");
    }
}

/* What log entry and receipt both have to repeat. */
static bool says_same(const struct exec *exec, const json_t *object)
{
    const json_t *summary = json_object_get(exec->result, "execution_summary");
    const json_t *gas = json_object_get(summary, "gas_consumed");
    return exec_says_text(object, "request_id", exec->request_id_text) &&
           exec_says_hash(object, "request_commitment", exec->request_commitment) &&
           exec_says_hash(object, "result_commitment", exec->result_commitment) &&
           exec_says_text(object, "status",
                          json_string_value(json_object_get(exec->result, "status"))) &&
           gas != NULL && json_equal(json_object_get(object, "gas_consumed"), gas);
}

static bool leaf_says_ours(struct exec *exec, struct bytes leaf)
{
    json_t *object = NULL;
    struct err err;
    if (!json_text_parse(leaf, &object, &err)) {
        return false;
    }
    const json_t *index = json_object_get(object, "index");
    bool ok = exec_says_text(object, "type", "RESULT") && says_same(exec, object) &&
              json_is_integer(index) && json_integer_value(index) >= 0;
    if (ok) {
        exec->leaf_index = (uint64_t)json_integer_value(index);
    }
    json_decref(object);
    return ok;
}

/* The entry's own bytes are hashed here; the proof is for that hash and nothing else. */
static void log_verify(struct exec *exec)
{
    const json_t *commitment = json_object_get(exec->execute_answer, "commitment");
    const json_t *leaf = json_object_get(commitment, "leaf");
    const json_t *proof = json_object_get(commitment, "tlog_proof");
    uint8_t hash[AUDIT_HASH_BYTES];
    struct bytes leaf_bytes = bytes_of(json_string_value(leaf), json_string_length(leaf));
    audit_leaf_hash(leaf_bytes, hash);
    if (!exec_says_hash(commitment, "leaf_hash", hash) || !leaf_says_ours(exec, leaf_bytes)) {
        exec_finding_set(exec, EXEC_CHECK_LEAF, EXEC_FAILED,
                         "the log's entry is not about this request and this result");
        return;
    }
    exec_finding_set(exec, EXEC_CHECK_LEAF, EXEC_VERIFIED, "both commitments, status and gas");
    const char *vkey =
        exec->request->log_vkey != NULL ? exec->request->log_vkey : exec->attestation.log_vkey;
    uint64_t index = 0;
    enum audit_verdict verdict =
        audit_tlog_proof_verify(bytes_of(json_string_value(proof), json_string_length(proof)), vkey,
                                hash, &index, &exec->checkpoint);
    if (verdict != AUDIT_OK) {
        exec_finding_set(exec, EXEC_CHECK_AUDIT_PROOF, EXEC_FAILED, "%s",
                         audit_verdict_name(verdict));
    } else if (index != exec->leaf_index || !exec_says_number(commitment, "leaf_index", index) ||
               strcmp(exec->checkpoint.origin, exec->attestation.log_origin) != 0) {
        exec_finding_set(exec, EXEC_CHECK_AUDIT_PROOF, EXEC_FAILED,
                         "the proof is for another place or another log");
    } else {
        exec_finding_set(exec, EXEC_CHECK_AUDIT_PROOF, EXEC_VERIFIED,
                         "leaf %" PRIu64 " of %" PRIu64, index, exec->checkpoint.size);
    }
}

static void receipt_verify(struct exec *exec)
{
    json_t *receipt = NULL;
    struct err err;
    if (!attest_signed_verify(json_object_get(exec->execute_answer, "receipt"), &exec->attestation,
                              RECEIPT_DOMAIN, &receipt, &err)) {
        exec_finding_set(exec, EXEC_CHECK_RECEIPT, EXEC_FAILED, "%s", err.message);
        return;
    }
    bool ok = says_same(exec, receipt) &&
              exec_says_number(receipt, "leaf_index", exec->leaf_index) &&
              exec_says_text(receipt, "log_origin", exec->attestation.log_origin);
    json_decref(receipt);
    if (ok) {
        exec_finding_set(exec, EXEC_CHECK_RECEIPT, EXEC_VERIFIED, "signed by the epoch's key");
    } else {
        exec_finding_set(exec, EXEC_CHECK_RECEIPT, EXEC_FAILED,
                         "it is not about this request and this result");
    }
}

static void told(struct exec *exec, enum exec_check check, const char *what)
{
    const struct exec_finding *finding = &exec->findings[check];
    if (finding->outcome == EXEC_VERIFIED) {
        progress_step(&exec->progress, PROGRESS_DONE, "%s: %s", what, finding->detail);
    }
}

bool exec_verify_answer(struct exec *exec)
{
    if (!result_open(exec)) {
        return false;
    }
    commitments_verify(exec);
    content_verify(exec);
    told(exec, EXEC_CHECK_RESULT_CONTENT, "commitments and result");
    log_verify(exec);
    told(exec, EXEC_CHECK_AUDIT_PROOF, "audit log");
    receipt_verify(exec);
    told(exec, EXEC_CHECK_RECEIPT, "receipt");
    return !exec_has_failed(exec);
}
