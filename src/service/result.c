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
#include "base/text.h"

#include <assert.h>

enum {
    RESULT_BLIND_BYTES = 32,
    RESULT_BYTES_COMMON = 1023, /* most are shorter */
    RESULT_BYTES_PER_STEP = 512 * 1024,
    RESULT_ENCODE_BYTES = 192 * 1024,
    NS_PER_US = 1000,
};
static_assert(RESULT_ENCODE_BYTES % 3 == 0, "a piece's base64 has no padding");

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

static bool put_error(const struct session_outcome *outcome, struct buffer *out, struct err *err)
{
    json_t *details = error_details(outcome);
    json_put_name(out, "error");
    bool ok = details != NULL ? json_canonical(details, out, err)
                              : err_set(err, ERR_NO_MEMORY, "no memory for the result");
    json_decref(details);
    return ok;
}

/* ---- the document ----
 *
 * Canonical: the names are in order. */

/* Fails at the end: the buffer says whether it holds all. */
static bool check_document(const struct buffer *out, struct err *err)
{
    if (out->no_memory) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the result");
    }
    return !out->failed || err_set(err, ERR_LIMIT, "the result is over %zu bytes", out->size_max);
}

static void put_output_hash(struct session_result *result)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256_get(result->hash, hash);
    json_put_hex(&result->document, "output_hash", bytes_of(hash, sizeof(hash)));
    json_put_name(&result->document, "outputs");
}

static bool begin_document(struct session *session, size_t *left, struct err *err)
{
    (void)left;
    const struct session_outcome *outcome = &session->outcome;
    struct session_result *result = &session->result;
    struct buffer *out = &result->document;
    uint8_t blind[RESULT_BLIND_BYTES];
    buffer_init(out, session->service->config.result_bytes_max + RESULT_MEMBERS_BYTES_MAX);
    buffer_expect(out, result->outputs.size + RESULT_BYTES_COMMON);
    crypto_random(blind, sizeof(blind));
    json_put_open(out);
    json_put_hex(out, "blind", bytes_of(blind, sizeof(blind)));
    memory_wipe(blind, sizeof(blind));
    if (outcome->err.code != ERR_NONE && !put_error(outcome, out, err)) {
        return false;
    }
    json_put_name(out, "execution_summary");
    result_summary(session, out);
    if (result->outputs.size > 0) {
        put_output_hash(result);
    }
    result->done = 0;
    result->stage = RESULT_OUTPUTS;
    return true;
}

static bool copy_outputs(struct session *session, size_t *left, struct err *err)
{
    (void)err;
    struct session_result *result = &session->result;
    size_t rest = result->outputs.size - result->done;
    size_t size = rest < *left ? rest : *left;
    if (size > 0) {
        buffer_append(&result->document, result->outputs.ptr + result->done, size);
    }
    result->done += size;
    *left -= size;
    result->stage = size == rest ? RESULT_END : RESULT_OUTPUTS;
    return true;
}

static bool end_document(struct session *session, size_t *left, struct err *err)
{
    (void)left;
    struct session_result *result = &session->result;
    struct buffer *out = &result->document;
    if (session->is_opened) {
        json_put_hex(out, "program_hash", bytes_of(session->program_hash, CRYPTO_SHA256_BYTES));
    }
    json_put_string(out, "request_id", session->request.request_id_text);
    json_put_string(out, "status", result_status(session));
    json_put_close(out);
    if (result->hash == NULL) {
        result->hash = crypto_sha256_new();
    }
    if (result->hash == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the result");
    }
    crypto_sha256_begin(result->hash);
    result->done = 0;
    result->stage = RESULT_COMMIT;
    return check_document(out, err);
}

static bool commit_document(struct session *session, size_t *left, struct err *err)
{
    (void)err;
    struct session_result *result = &session->result;
    size_t rest = result->document.size - result->done;
    size_t size = rest < *left ? rest : *left;
    crypto_sha256_add(result->hash, bytes_of(result->document.ptr + result->done, size));
    result->done += size;
    *left -= size;
    if (size == rest) {
        crypto_sha256_get(result->hash, session->result_commitment);
        result->stage = RESULT_SEAL;
    }
    return true;
}

/* ---- its sealed form ---- */

/* Nothing if there is nobody to seal for. */
static bool seal_document(struct session *session, size_t *left, struct err *err)
{
    struct session_result *result = &session->result;
    struct bytes document = buffer_bytes(&result->document);
    result->stage = RESULT_ENCODE;
    result->done = 0;
    if (!session->is_established) {
        return true;
    }
    result->sealed_size = document.size + CRYPTO_RESPONSE_OVERHEAD_BYTES;
    result->sealed = heap_alloc(result->sealed_size);
    result->text = heap_alloc(text_base64_encoded_size(result->sealed_size) + 1);
    bool ok = result->sealed != NULL && result->text != NULL &&
              crypto_response_seal(&session->hpke, session->request.enc,
                                   bytes_of(session->request.commitment, CRYPTO_SHA256_BYTES),
                                   document, result->sealed);
    *left -= document.size < *left ? document.size : *left;
    return ok || err_set(err, ERR_CRYPTO, "the result could not be sealed");
}

static bool encode(struct session *session, size_t *left, struct err *err)
{
    (void)err;
    struct session_result *result = &session->result;
    size_t rest = result->sealed_size - result->done;
    size_t size = rest <= RESULT_ENCODE_BYTES ? rest : RESULT_ENCODE_BYTES;
    if (size > 0) {
        text_base64_encode(bytes_of(result->sealed + result->done, size),
                           result->text + text_base64_encoded_size(result->done));
    }
    result->done += size;
    *left -= size < *left ? size : *left;
    return true;
}

void result_drop(struct session *session)
{
    struct session_result *result = &session->result;
    buffer_release_wiped(&result->outputs);
    buffer_release_wiped(&result->document);
    crypto_sha256_free(result->hash);
    heap_free(result->sealed);
    heap_free(result->text);
    *result = (struct session_result){0};
}

static bool seal_some(struct session *session, bool *is_done, struct err *err)
{
    static bool (*const stages[])(struct session *, size_t *, struct err *) = {
        [RESULT_BEGIN] = begin_document, [RESULT_OUTPUTS] = copy_outputs,
        [RESULT_END] = end_document,     [RESULT_COMMIT] = commit_document,
        [RESULT_SEAL] = seal_document,   [RESULT_ENCODE] = encode,
    };
    struct session_result *result = &session->result;
    size_t left = RESULT_BYTES_PER_STEP;
    *is_done = false;
    while (left > 0 && !*is_done) {
        if (!stages[result->stage](session, &left, err)) {
            return false;
        }
        *is_done = result->stage == RESULT_ENCODE && result->done == result->sealed_size;
    }
    return true;
}

bool result_seal(struct session *session, bool *is_done, struct err *err)
{
    bool ok = seal_some(session, is_done, err);
    if (ok && !*is_done) {
        return true;
    }
    if (ok) {
        session->encrypted_result = session->result.text;
        session->result.text = NULL; /* transferred */
    } else if (err->code == ERR_LIMIT) {
        (void)err_set(err, ERR_MEMORY_EXCEEDED, "the result is longer than %zu bytes",
                      session->service->config.result_bytes_max);
    }
    result_drop(session);
    return ok;
}
