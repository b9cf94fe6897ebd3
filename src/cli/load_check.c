/* load_check.c: what `load` believes of an answer, and only after it has been checked: the same as
 * `exec` (exec_verify.c), made cheap for thousands a second.
 *
 * Of every answer: it opens, hashes to the commitment in the clear, speaks of our request and our
 * program, and the result is the right one. Of every `check_every`th also: the key's binding, the
 * log's entry, its proof and the receipt. Evidence is the same for all keys of an epoch and a
 * checkpoint for all answers of a batch: the same bytes are verified once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"
#include "cli/load.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool wrong(struct err *err, const char *what)
{
    return err_set(err, ERR_TAMPERED, "%s", what);
}

/* ---- the key ---- */

static const char *const evidence_members[] = {"provider", "statement", "report", "certificates"};
enum { EVIDENCE_MEMBERS = sizeof evidence_members / sizeof evidence_members[0] };

static bool evidence_is_same(const json_t *a, const json_t *b)
{
    for (size_t i = 0; i < EVIDENCE_MEMBERS; i++) {
        const json_t *left = json_object_get(a, evidence_members[i]);
        const json_t *right = json_object_get(b, evidence_members[i]);
        if (left == NULL || right == NULL || !json_equal(left, right)) {
            return false;
        }
    }
    return true;
}

/* A load test is no place to learn whom to trust: a simulated node will do, and one that nobody
 * vouches for is at least held to its own word. */
static const struct load_epoch *epoch_of(struct load_trust *trust, const json_t *evidence)
{
    for (struct load_epoch *epoch = trust->epochs; epoch != NULL; epoch = epoch->next) {
        if (evidence_is_same(epoch->evidence, evidence)) {
            return epoch;
        }
    }
    struct load_epoch *epoch = HEAP_NEW(struct load_epoch);
    if (epoch == NULL) {
        return NULL;
    }
    struct attest_policy policy = {.allow_any_simulated_root = true,
                                   .now_ms = clock_wall_ms(&clock_system)};
    attest_evidence_verify(evidence, &policy, &epoch->attestation);
    if (!epoch->attestation.ok && !exec_epoch_from_claims(evidence, &epoch->attestation)) {
        heap_free(epoch);
        return NULL;
    }
    epoch->evidence = json_incref((json_t *)(uintptr_t)evidence);
    epoch->next = trust->epochs;
    trust->epochs = epoch;
    return epoch;
}

void load_trust_release(struct load_trust *trust)
{
    while (trust->epochs != NULL) {
        struct load_epoch *epoch = trust->epochs;
        trust->epochs = epoch->next;
        json_decref(epoch->evidence);
        heap_free(epoch);
    }
    buffer_release(&trust->note);
}

static bool binding_check(const struct load_session *session, const json_t *binding,
                          struct err *err)
{
    json_t *payload = NULL;
    uint8_t point[CRYPTO_P256_POINT_BYTES], salt[CRYPTO_REQUEST_SALT_BYTES];
    if (!attest_signed_verify(binding, &session->epoch->attestation,
                              "wasm-hypervisor/1 request key", &payload, err)) {
        return err_wrap(err, "key binding");
    }
    bool ok = exec_says_text(payload, "request_id", session->request_id_text) &&
              exec_says_text(payload, "nonce", session->nonce_text) &&
              exec_base64_member(payload, "public_key", point, sizeof point) &&
              memcmp(point, session->public_key, sizeof point) == 0 &&
              exec_base64_member(payload, "key_derivation_salt", salt, sizeof salt) &&
              memcmp(salt, session->salt, sizeof salt) == 0;
    json_decref(payload);
    return ok || wrong(err, "key binding: it is not for this key, request and nonce");
}

bool load_check_key(struct load_trust *trust, struct load_session *session, const json_t *answer,
                    struct err *err)
{
    const char *id = json_string_value(json_object_get(answer, "request_id"));
    const json_t *evidence = json_object_get(answer, "attestation");
    bool ok =
        id != NULL && text_uuid_decode(id, strlen(id), session->request_id) &&
        exec_base64_member(answer, "public_key", session->public_key, sizeof session->public_key) &&
        exec_base64_member(answer, "key_derivation_salt", session->salt, sizeof session->salt);
    if (!ok) {
        return wrong(err, "the answer to /v1/keys has no usable key");
    }
    text_uuid_encode(session->request_id, session->request_id_text);
    session->epoch = epoch_of(trust, evidence);
    if (session->epoch == NULL) {
        return wrong(err, "the answer to /v1/keys has no usable evidence");
    }
    return !session->is_checked ||
           binding_check(session, json_object_get(evidence, "key_binding"), err);
}

/* ---- the log's entry, its proof, the receipt ---- */

static bool says_same(const struct load_session *session, const json_t *body, const json_t *object)
{
    const json_t *summary = json_object_get(body, "execution_summary");
    const json_t *hash = json_object_get(body, "result_commitment");
    const json_t *gas = json_object_get(summary, "gas_consumed");
    const json_t *status = json_object_get(summary, "status");
    return exec_says_text(object, "request_id", session->request_id_text) &&
           exec_says_hash(object, "request_commitment", session->request_commitment) &&
           json_equal(json_object_get(object, "result_commitment"), hash) && gas != NULL &&
           json_equal(json_object_get(object, "gas_consumed"), gas) && status != NULL &&
           json_equal(json_object_get(object, "status"), status);
}

static bool leaf_check(const struct load_session *session, const json_t *body, struct bytes leaf,
                       uint64_t index, struct err *err)
{
    json_t *object = NULL;
    if (!json_text_parse(leaf, &object, err)) {
        return err_wrap(err, "log entry");
    }
    bool ok = exec_says_text(object, "type", "RESULT") && says_same(session, body, object) &&
              exec_says_number(object, "index", index);
    json_decref(object);
    return ok || wrong(err, "log entry: it is not about this request and this result");
}

static bool note_check(struct load_trust *trust, const struct load_session *session,
                       struct bytes note, struct err *err)
{
    const struct attest_result *epoch = &session->epoch->attestation;
    if (!bytes_equal(note, buffer_bytes(&trust->note))) {
        enum audit_verdict verdict =
            audit_checkpoint_verify(note, epoch->log_vkey, &trust->checkpoint);
        trust->note.size = 0;
        if (verdict != AUDIT_OK) {
            return err_set(err, ERR_TAMPERED, "checkpoint: %s", audit_verdict_name(verdict));
        }
        buffer_append_bytes(&trust->note, note);
    }
    return strcmp(trust->checkpoint.origin, epoch->log_origin) == 0 ||
           wrong(err, "checkpoint: it is another log's");
}

static bool log_check(struct load_trust *trust, const struct load_session *session,
                      const json_t *body, uint64_t *index, struct err *err)
{
    const json_t *commitment = json_object_get(body, "commitment");
    const json_t *leaf = json_object_get(commitment, "leaf");
    const json_t *proof = json_object_get(commitment, "tlog_proof");
    struct bytes leaf_bytes = bytes_of(json_string_value(leaf), json_string_length(leaf));
    struct bytes note;
    uint8_t hash[AUDIT_HASH_BYTES];
    audit_leaf_hash(leaf_bytes, hash);
    if (!exec_says_hash(commitment, "leaf_hash", hash) ||
        !audit_tlog_proof_open(bytes_of(json_string_value(proof), json_string_length(proof)), hash,
                               index, &note) ||
        !exec_says_number(commitment, "leaf_index", *index)) {
        return wrong(err, "log entry: it is not where the proof says");
    }
    return leaf_check(session, body, leaf_bytes, *index, err) &&
           note_check(trust, session, note, err);
}

/* How many checkpoints there are shows in the answers: the second line of each says its size. */
static void checkpoint_count(struct load_trust *trust, const json_t *body)
{
    const char *proof =
        json_string_value(json_object_get(json_object_get(body, "commitment"), "tlog_proof"));
    const char *note = proof != NULL ? strstr(proof, "\n\n") : NULL;
    const char *line = note != NULL ? strchr(note + 2, '\n') : NULL;
    uint64_t size = line != NULL ? strtoull(line + 1, NULL, 10) : 0;
    if (size > trust->size_seen) {
        trust->size_seen = size;
        trust->checkpoints++;
    }
}

static bool receipt_check(const struct load_session *session, const json_t *body, uint64_t index,
                          struct err *err)
{
    json_t *receipt = NULL;
    if (!attest_signed_verify(json_object_get(body, "receipt"), &session->epoch->attestation,
                              "wasm-hypervisor/1 receipt", &receipt, err)) {
        return err_wrap(err, "receipt");
    }
    bool ok = says_same(session, body, receipt) && exec_says_number(receipt, "leaf_index", index);
    json_decref(receipt);
    return ok || wrong(err, "receipt: it is not about this request and this result");
}

/* ---- the result ---- */

/* What a success has to say: our program, and its one output. */
static bool outputs_check(const struct load_session *session, const json_t *result, struct err *err)
{
    const json_t *outputs = json_object_get(result, "outputs");
    const json_t *output = json_array_get(outputs, 0);
    char expected[24];
    uint8_t hash[CRYPTO_SHA256_BYTES];
    snprintf(expected, sizeof expected, "%" PRId64, (int64_t)load_program_result(&session->job));
    crypto_sha256(load_program_wasm(session->job.program), hash);
    if (!exec_says_hash(result, "program_hash", hash)) {
        return wrong(err, "the result is of another program");
    }
    if (json_array_size(outputs) != 1 || !exec_says_text(output, "type", "i64") ||
        !exec_says_text(output, "value", expected)) {
        return wrong(err, "the result is wrong");
    }
    return true;
}

static bool result_check(const struct load_session *session, const json_t *body,
                         const json_t *result, struct load_answer *out, struct err *err)
{
    const json_t *summary = json_object_get(result, "execution_summary");
    const char *code = json_string_value(json_object_get(body, "error_code"));
    bool is_success = exec_says_text(result, "status", "success");
    if (!exec_says_text(result, "request_id", session->request_id_text) ||
        !json_equal(summary, json_object_get(body, "execution_summary")) ||
        is_success != (session->call.status == 200)) {
        return wrong(err, "the result contradicts the answer around it");
    }
    out->queue_ms = json_number_value(json_object_get(summary, "queue_time_ms"));
    out->execution_ms = json_number_value(json_object_get(summary, "execution_time_ms"));
    out->has_times = true;
    if (is_success) {
        return outputs_check(session, result, err);
    }
    if (code == NULL || !exec_says_text(json_object_get(result, "error"), "code", code)) {
        return wrong(err, "the failure has two codes");
    }
    for (int i = ERR_NONE + 1; i < ERR_CODE_COUNT; i++) {
        if (strcmp(code, err_code_name((enum err_code)i)) == 0) {
            out->code = (enum err_code)i;
        }
    }
    return out->code != ERR_NONE || wrong(err, "the failure has an unknown code");
}

/* Opens, hashes and parses; *result is a new reference. */
static bool result_open(const struct load_session *session, const json_t *body, json_t **result,
                        size_t *size, struct err *err)
{
    const json_t *member = json_object_get(body, "encrypted_result");
    size_t text_size = json_string_length(member);
    uint8_t *sealed = heap_alloc(text_size / 4 * 3 + 1);
    uint8_t *plain = heap_alloc(text_size / 4 * 3 + 1);
    uint8_t hash[CRYPTO_SHA256_BYTES];
    size_t sealed_size = 0;
    bool ok = sealed != NULL && plain != NULL &&
              text_base64_decode(json_string_value(member), text_size, sealed, &sealed_size) &&
              sealed_size >= CRYPTO_RESPONSE_OVERHEAD_BYTES &&
              crypto_response_open(&session->hpke, session->enc,
                                   bytes_of(session->request_commitment, CRYPTO_SHA256_BYTES),
                                   bytes_of(sealed, sealed_size), plain);
    if (!ok) {
        (void)wrong(err, "the result does not open");
    } else {
        *size = sealed_size - CRYPTO_RESPONSE_OVERHEAD_BYTES;
        crypto_sha256(bytes_of(plain, *size), hash);
        ok = (exec_says_hash(body, "result_commitment", hash) &&
              exec_says_hash(body, "request_commitment", session->request_commitment)) ||
             wrong(err, "the node committed to another request or result");
        ok = ok && json_text_parse(bytes_of(plain, *size), result, err);
    }
    heap_free(sealed);
    heap_free(plain);
    return ok;
}

bool load_check_answer(struct load_trust *trust, const struct load_session *session,
                       const json_t *body, struct load_answer *out, struct err *err)
{
    json_t *result = NULL;
    uint64_t index = 0;
    bool ok = result_open(session, body, &result, &out->result_bytes, err) &&
              result_check(session, body, result, out, err);
    json_decref(result);
    checkpoint_count(trust, body);
    return ok && (!session->is_checked || (log_check(trust, session, body, &index, err) &&
                                           receipt_check(session, body, index, err)));
}
