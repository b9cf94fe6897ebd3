/* result.c: what came out, as the client will read it (docs/protocol.md section 5): canonical JSON
 * with a random blind, its SHA-256 as commitment, and sealed with the response key of the request's
 * HPKE context.
 *
 * What is said of a failure in detail is said here and only here: the clear part of the answer
 * names its code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

enum {
    RESULT_BLIND_BYTES = 32,
    RESULT_MEMBERS_BYTES_MAX = 8192,
    NS_PER_US = 1000,
    US_PER_MS = 1000,
};

const char *result_status(const struct session *session)
{
    switch ((int)session->outcome.err.code) {
    case ERR_NONE:
        return "success";
    case ERR_EXECUTION_TIMEOUT:
        return "timeout";
    case ERR_GAS_EXHAUSTED:
    case ERR_MEMORY_EXCEEDED:
    case ERR_STACK_EXHAUSTED:
        return "resource_exhausted";
    case ERR_CANCELLED:
        return "cancelled";
    default:
        return "error";
    }
}

/* Milliseconds to the microsecond. A whole number is an integer, because that is what canonical
 * JSON makes of it: sealed and clear summary are equal, member by member. */
static json_t *milliseconds(uint64_t ns)
{
    uint64_t us = ns / NS_PER_US;
    return us % US_PER_MS == 0 ? json_integer((json_int_t)(us / US_PER_MS))
                               : json_real((double)us / (double)US_PER_MS);
}

json_t *result_summary(const struct session *session)
{
    const struct session_outcome *outcome = &session->outcome;
    json_t *limits = outcome->limit == NULL ? json_array() : json_pack("[s]", outcome->limit);
    return json_pack("{s:s, s:o, s:o, s:I, s:I, s:i, s:o}", "status", result_status(session),
                     "execution_time_ms", milliseconds(outcome->execution_ns), "queue_time_ms",
                     milliseconds(outcome->queue_ns), "memory_used_bytes",
                     (json_int_t)outcome->memory_used_bytes, "gas_consumed",
                     (json_int_t)outcome->gas_consumed, "gas_schedule", VM_GAS_SCHEDULE,
                     "resource_limits_hit", limits);
}

static json_t *error_details(const struct session_outcome *outcome)
{
    json_t *details = json_pack("{s:s, s:s}", "code", err_code_name(outcome->err.code), "message",
                                outcome->err.message);
    bool ok = details != NULL;
    if (ok && outcome->has_trap) {
        ok = json_object_set_new(details, "trap", json_string(outcome->trap)) == 0;
    }
    if (ok && outcome->has_location) {
        ok = json_object_set_new(details, "function", json_string(outcome->function_name)) == 0 &&
             json_object_set_new(details, "function_index",
                                 json_integer(outcome->function_index)) == 0 &&
             json_object_set_new(details, "offset", json_integer(outcome->offset)) == 0;
    }
    if (!ok) {
        json_decref(details);
        return NULL;
    }
    return details;
}

static json_t *hex_of(const void *bytes, size_t size)
{
    char text[2 * 64 + 1];
    text_hex_encode(bytes_of(bytes, size), text);
    return json_string(text);
}

/* Adds the outputs and the hash of their canonical form alone. */
static bool add_outputs(json_t *result, json_t *outputs, size_t bytes_max, struct err *err)
{
    struct buffer canonical;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    buffer_init(&canonical, bytes_max);
    bool ok = json_canonical(outputs, &canonical, err);
    if (ok) {
        crypto_sha256(buffer_bytes(&canonical), hash);
        ok = (json_object_set(result, "outputs", outputs) == 0 &&
              json_object_set_new(result, "output_hash", hex_of(hash, sizeof(hash))) == 0) ||
             err_set(err, ERR_NO_MEMORY, "no memory for the result");
    }
    buffer_release_wiped(&canonical);
    return ok;
}

static json_t *result_document(const struct session *session, size_t bytes_max, struct err *err)
{
    const struct session_outcome *outcome = &session->outcome;
    uint8_t blind[RESULT_BLIND_BYTES];
    crypto_random(blind, sizeof(blind));
    json_t *result =
        json_pack("{s:s, s:s, s:o, s:o}", "request_id", session->request.request_id_text, "status",
                  result_status(session), "blind", hex_of(blind, sizeof(blind)),
                  "execution_summary", result_summary(session));
    memory_wipe(blind, sizeof(blind));
    bool ok = result != NULL;
    if (ok && session->is_opened) {
        ok = json_object_set_new(result, "program_hash",
                                 hex_of(session->program_hash, CRYPTO_SHA256_BYTES)) == 0;
    }
    if (ok && outcome->err.code != ERR_NONE) {
        ok = json_object_set_new(result, "error", error_details(outcome)) == 0;
    }
    if (!ok) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for the result");
    }
    if (!ok ||
        (outcome->outputs != NULL && !add_outputs(result, outcome->outputs, bytes_max, err))) {
        json_decref(result);
        return NULL;
    }
    return result;
}

/* Seals and encodes; nothing if there is nobody to seal for. */
static bool seal(struct session *session, struct bytes plaintext, struct err *err)
{
    if (!session->is_established) {
        return true;
    }
    size_t size = plaintext.size + CRYPTO_RESPONSE_OVERHEAD_BYTES;
    uint8_t *sealed = heap_alloc(size);
    char *text = heap_alloc(text_base64_encoded_size(size) + 1);
    bool ok = sealed != NULL && text != NULL &&
              crypto_response_seal(&session->hpke, session->request.enc,
                                   bytes_of(session->request.commitment, CRYPTO_SHA256_BYTES),
                                   plaintext, sealed);
    if (ok) {
        text_base64_encode(bytes_of(sealed, size), text);
        session->encrypted_result = text;
        text = NULL; /* transferred */
    }
    heap_free(sealed);
    heap_free(text);
    return ok || err_set(err, ERR_CRYPTO, "the result could not be sealed");
}

bool result_seal(struct session *session, struct err *err)
{
    size_t bytes_max = session->service->config.result_bytes_max + RESULT_MEMBERS_BYTES_MAX;
    json_t *result = result_document(session, bytes_max, err);
    struct buffer plaintext;
    buffer_init(&plaintext, bytes_max);
    bool ok = result != NULL && json_canonical(result, &plaintext, err);
    json_decref(result);
    if (ok) {
        crypto_sha256(buffer_bytes(&plaintext), session->result_commitment);
        ok = seal(session, buffer_bytes(&plaintext), err);
    } else if (err->code == ERR_LIMIT) {
        (void)err_set(err, ERR_MEMORY_EXCEEDED, "the result is longer than %zu bytes",
                      session->service->config.result_bytes_max);
    }
    buffer_release_wiped(&plaintext);
    return ok;
}
