/* load_session.c: one execution as a client makes it (docs/protocol.md section 11): a key, the
 * request encrypted to it, the answer. What is sent is made here, what is received is judged in
 * load_check.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include <inttypes.h>
#include <string.h>

enum { SEALED_BYTES_MAX = 4096 };

static void session_end(struct load_session *session, enum load_outcome outcome,
                        const struct load_answer *answer, const char *complaint)
{
    load_flow_ended(session, outcome, answer, complaint);
    load_session_free(session);
}

void load_session_free(struct load_session *session)
{
    crypto_hpke_release(&session->hpke);
    load_call_release(&session->call);
    heap_free(session);
}

/* Head and body; `node_id` sends it to the node that has the key. */
static void request_write(struct load_session *session, const char *path, const char *node_id,
                          struct bytes body)
{
    const struct load_node *node = &session->flow->load->node;
    struct buffer *out = &session->call.request;
    bool is_v6 = strchr(node->host, ':') != NULL;
    out->size = 0;
    buffer_printf(out, "POST %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nContent-Type: application/json\r\n",
                  path, is_v6 ? "[" : "", node->host, is_v6 ? "]" : "", node->port);
    if (session->api_key != NULL) {
        buffer_printf(out, "X-API-Key: %s\r\n", session->api_key);
    }
    if (node_id != NULL) {
        buffer_printf(out, "X-Node-Id: %.80s\r\n", node_id);
    }
    buffer_printf(out, "Content-Length: %zu\r\n\r\n", body.size);
    buffer_append_bytes(out, body);
}

/* ---- encryption ---- */

static json_t *body_make(const struct load_session *session)
{
    const struct load_job *job = &session->job;
    json_t *arguments = load_program_arguments(job);
    return json_pack("{s:s, s:s, s:o, s:i}", "request_id", session->request_id_text,
                     "function_name", load_program_function(job->program), "arguments", arguments,
                     "timeout_seconds", (int)job->timeout_seconds);
}

static bool seal(struct load_session *session, const json_t *body, uint8_t *sealed, struct err *err)
{
    uint8_t info[CRYPTO_REQUEST_INFO_BYTES], header_hash[CRYPTO_SHA256_BYTES];
    struct bytes wasm = load_program_wasm(session->job.program);
    crypto_request_info(session->request_id, session->salt, info);
    if (!crypto_request_header_hash(body, header_hash, err)) {
        return false;
    }
    if (!crypto_hpke_send(&session->hpke, session->public_key, bytes_of(info, sizeof info), NULL,
                          session->enc) ||
        !crypto_hpke_seal(&session->hpke, bytes_of(header_hash, sizeof header_hash), wasm,
                          sealed)) {
        return err_set(err, ERR_CRYPTO, "the node's key cannot be used");
    }
    crypto_request_commitment(header_hash, bytes_of(sealed, wasm.size + CRYPTO_AEAD_TAG_BYTES),
                              bytes_of(NULL, 0), session->enc, session->request_commitment);
    return true;
}

/* The ciphertext and what belongs to it are spliced into the text of the other members. */
static bool body_write(const struct load_session *session, const json_t *body,
                       const uint8_t *sealed, struct buffer *out, struct err *err)
{
    char wasm[SEALED_BYTES_MAX / 3 * 4 + 8], point[2 * CRYPTO_P256_POINT_BYTES];
    char hash[2 * CRYPTO_SHA256_BYTES + 1];
    size_t size = load_program_wasm(session->job.program).size + CRYPTO_AEAD_TAG_BYTES;
    text_base64_encode(bytes_of(sealed, size), wasm);
    text_base64_encode(bytes_of(session->enc, sizeof session->enc), point);
    text_hex_encode(bytes_of(session->request_commitment, sizeof session->request_commitment),
                    hash);
    if (!json_write(body, out, err)) {
        return false;
    }
    out->size--; /* the brace */
    buffer_printf(out, ",\"public_key\":\"%s\",\"request_hash\":\"%s\",\"encrypted_wasm\":\"",
                  point, hash);
    buffer_append_string(out, wasm);
    buffer_append_string(out, "\"}");
    return !out->failed || err_set(err, ERR_NO_MEMORY, "no memory for a request");
}

static bool execute_make(struct load_session *session, const char *node_id, struct err *err)
{
    uint8_t sealed[SEALED_BYTES_MAX];
    struct buffer text;
    json_t *body = body_make(session);
    buffer_init(&text, 4 * SEALED_BYTES_MAX);
    bool ok = body != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a request");
    ok = ok && seal(session, body, sealed, err) && body_write(session, body, sealed, &text, err);
    if (ok) {
        request_write(session, "/v1/execute", node_id, buffer_bytes(&text));
    }
    buffer_release(&text);
    json_decref(body);
    return ok;
}

/* ---- answers ---- */

static json_t *answer_parse(const struct load_call *call, struct err *err)
{
    json_t *body = NULL;
    if (!json_text_parse(buffer_bytes(&call->answer), &body, err)) {
        err_wrap(err, "answer %d is not JSON", call->status);
        return NULL;
    }
    return body;
}

static enum err_code code_find(const json_t *body)
{
    const char *name = json_string_value(json_object_get(body, "error_code"));
    for (int code = ERR_NONE + 1; name != NULL && code < ERR_CODE_COUNT; code++) {
        if (err_code_is_public((enum err_code)code) &&
            strcmp(err_code_name((enum err_code)code), name) == 0) {
            return (enum err_code)code;
        }
    }
    return ERR_NONE;
}

/* A refusal before ADMIT has a code and no result. */
static void refused(struct load_session *session, const json_t *body)
{
    struct load_answer answer = {.code = code_find(body)};
    const char *message = json_string_value(json_object_get(body, "message"));
    char complaint[ERR_MESSAGE_BYTES_MAX];
    snprintf(complaint, sizeof complaint, "answer %d: %.300s", session->call.status,
             message != NULL ? message : "no message");
    session_end(session, answer.code == ERR_NONE ? LOAD_WRONG : LOAD_REFUSED, &answer, complaint);
}

static void execute_done(struct load_call *call)
{
    struct load_session *session = LIST_ENTRY(call, struct load_session, call);
    struct load_answer answer = {0};
    struct err err;
    if (call->status == 0) {
        session_end(session, call->was_cut ? LOAD_CUT : LOAD_LOST, NULL,
                    "no answer to /v1/execute");
        return;
    }
    json_t *body = answer_parse(call, &err);
    if (body != NULL && json_object_get(body, "result_commitment") == NULL) {
        refused(session, body);
    } else if (body == NULL ||
               !load_check_answer(&session->flow->load->trust, session, body, &answer, &err)) {
        session_end(session, LOAD_WRONG, NULL, err.message);
    } else {
        session_end(session, answer.code == ERR_NONE ? LOAD_RIGHT : LOAD_REFUSED, &answer, NULL);
    }
    json_decref(body);
}

void load_session_fire(struct load_session *session)
{
    struct load_call *call = &session->call;
    list_remove(&session->held);
    call->done = execute_done;
    call->can_wait = true;
    call->can_repeat = false;
    call->cut = session->execute_cut;
    call->cut_bytes = call->request.size / 2;
    load_call_submit(call);
}

static void key_done(struct load_call *call)
{
    struct load_session *session = LIST_ENTRY(call, struct load_session, call);
    struct load_flow *flow = session->flow;
    struct err err;
    if (call->status == 0) {
        session_end(session, call->was_cut ? LOAD_CUT : LOAD_LOST, NULL, "no answer to /v1/keys");
        return;
    }
    json_t *body = answer_parse(call, &err);
    if (body != NULL && call->status != 201) {
        refused(session, body);
    } else if (body == NULL || !load_check_key(&flow->load->trust, session, body, &err) ||
               !execute_make(session, json_string_value(json_object_get(body, "node_id")), &err)) {
        session_end(session, LOAD_WRONG, NULL, err.message);
    } else if (flow->is_held) {
        list_push_back(&flow->ready, &session->held);
        flow->ready_count++;
    } else {
        load_session_fire(session);
    }
    json_decref(body);
}

bool load_session_start(struct load_flow *flow, const struct load_job *job, uint64_t intended_ns)
{
    struct load *load = flow->load;
    struct load_session *session = HEAP_NEW(struct load_session);
    char body[64];
    if (session == NULL) {
        return false;
    }
    session->flow = flow;
    session->job = *job;
    session->intended_ns = intended_ns;
    session->is_checked = load->sequence % load->trust.check_every == 0;
    session->api_key = load->node.api_key_count == 0
                           ? NULL
                           : load->node.api_keys[load->sequence % load->node.api_key_count];
    load->sequence++;
    list_init(&session->held);
    crypto_random(session->nonce, sizeof session->nonce);
    text_base64_encode(bytes_of(session->nonce, sizeof session->nonce), session->nonce_text);
    int size = snprintf(body, sizeof body, "{\"nonce\":\"%s\"}", session->nonce_text);
    load_call_init(&session->call, &load->http, key_done);
    session->call.can_repeat = true;
    request_write(session, "/v1/keys", NULL, bytes_of(body, (size_t)size));
    if (flow->started != NULL) {
        flow->started(flow, session);
    }
    load_call_submit(&session->call);
    return true;
}
