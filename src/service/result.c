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
    RESULT_BYTES_COMMON = 1023, /* most are shorter */
    NS_PER_US = 1000,
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

/* Milliseconds to the microsecond, in the shortest form, which is the canonical one: sealed and
 * clear summary are equal, byte by byte. */
void result_summary(const struct session *session, struct buffer *out)
{
    const struct session_outcome *outcome = &session->outcome;
    json_put_open(out);
    json_put_thousandths(out, "execution_time_ms", outcome->execution_ns / NS_PER_US);
    json_put_integer(out, "gas_consumed", (int64_t)outcome->gas_consumed);
    json_put_integer(out, "gas_schedule", VM_GAS_SCHEDULE);
    json_put_integer(out, "memory_used_bytes", (int64_t)outcome->memory_used_bytes);
    json_put_thousandths(out, "queue_time_ms", outcome->queue_ns / NS_PER_US);
    json_put_name(out, "resource_limits_hit");
    buffer_append_string(out, outcome->limit == NULL ? "[" : "[\"");
    buffer_append_string(out, outcome->limit == NULL ? "" : outcome->limit);
    buffer_append_string(out, outcome->limit == NULL ? "]" : "\"]");
    json_put_string(out, "status", result_status(session));
    json_put_close(out);
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

/* The outputs' canonical form and, before it, the hash of it. */
static bool put_outputs(const json_t *outputs, struct buffer *out, struct err *err)
{
    struct buffer canonical;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    buffer_init(&canonical, out->size_max);
    bool ok = json_canonical(outputs, &canonical, err);
    if (ok) {
        crypto_sha256(buffer_bytes(&canonical), hash);
        json_put_hex(out, "output_hash", bytes_of(hash, sizeof(hash)));
        json_put_json(out, "outputs", buffer_bytes(&canonical));
    }
    buffer_release_wiped(&canonical);
    return ok;
}

static bool put_error(const struct session_outcome *outcome, struct buffer *out, struct err *err)
{
    json_t *details = error_details(outcome);
    json_put_name(out, "error");
    bool ok = details != NULL ? json_canonical(details, out, err)
                              : err_set(err, ERR_NO_MEMORY, "no memory for the result");
    json_decref(details);
    return ok;
}

/* Canonical: the names are in order. */
static bool put_document(const struct session *session, struct buffer *out, struct err *err)
{
    const struct session_outcome *outcome = &session->outcome;
    uint8_t blind[RESULT_BLIND_BYTES];
    crypto_random(blind, sizeof(blind));
    json_put_open(out);
    json_put_hex(out, "blind", bytes_of(blind, sizeof(blind)));
    memory_wipe(blind, sizeof(blind));
    if (outcome->err.code != ERR_NONE && !put_error(outcome, out, err)) {
        return false;
    }
    json_put_name(out, "execution_summary");
    result_summary(session, out);
    if (outcome->outputs != NULL && !put_outputs(outcome->outputs, out, err)) {
        return false;
    }
    if (session->is_opened) {
        json_put_hex(out, "program_hash", bytes_of(session->program_hash, CRYPTO_SHA256_BYTES));
    }
    json_put_string(out, "request_id", session->request.request_id_text);
    json_put_string(out, "status", result_status(session));
    json_put_close(out);
    if (out->no_memory) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the result");
    }
    return !out->failed || err_set(err, ERR_LIMIT, "the result is over %zu bytes", out->size_max);
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
    struct buffer plaintext;
    buffer_init(&plaintext, bytes_max);
    buffer_expect(&plaintext, RESULT_BYTES_COMMON);
    bool ok = put_document(session, &plaintext, err);
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
