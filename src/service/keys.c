/* keys.c: POST /v1/keys: a fresh key pair, bound to the node's epoch (docs/protocol.md section 3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

#include <assert.h>
#include <string.h>

enum {
    KEYS_NONCE_BYTES_MIN = 8,
    KEYS_NONCE_BYTES_MAX = 64,
    KEYS_BASE64_CHARS_MAX = 92, /* of 65 bytes, with room */
    KEYS_ANSWER_BYTES_MAX = 1024 * 1024,
    KEYS_ANSWER_EXTRA_BYTES = 2048, /* about what comes with the evidence */
    KEYS_BINDING_BYTES_MAX = 1024,
};

struct keys_texts { /* what the answer and the signed binding both say */
    char request_id[TEXT_UUID_CHARS + 1];
    char public_key[KEYS_BASE64_CHARS_MAX];
    char salt[KEYS_BASE64_CHARS_MAX];
    char created_at[CLOCK_RFC3339_CHARS + 1];
    char expires_at[CLOCK_RFC3339_CHARS + 1];
};

static void keys_texts_of(const struct request_key *key,
                          const uint8_t point[static CRYPTO_P256_POINT_BYTES],
                          struct keys_texts *texts)
{
    text_uuid_encode(key->request_id, texts->request_id);
    text_base64_encode(bytes_of(point, CRYPTO_P256_POINT_BYTES), texts->public_key);
    text_base64_encode(bytes_of(key->salt, sizeof(key->salt)), texts->salt);
    clock_rfc3339_encode(key->created_ms, texts->created_at);
    clock_rfc3339_encode(key->expires_ms, texts->expires_at);
}

/* The nonce as it was sent, in the arena; NULL if there is none. */
static bool keys_parse(const struct message_request *request, struct arena *arena,
                       const char **nonce, struct err *err)
{
    static const char *const known[] = {"nonce", NULL};
    json_t *body = NULL;
    struct bytes decoded;
    *nonce = NULL;
    if (request->body.size == 0) {
        return true;
    }
    if (!json_text_parse(request->body, &body, err)) {
        return false;
    }
    bool ok = json_is_object(body) ||
              err_set(err, ERR_MALFORMED_REQUEST, "the body must be a JSON object");
    ok = ok && execute_request_no_others(body, known, err) &&
         execute_request_base64(body, "nonce", KEYS_NONCE_BYTES_MIN, KEYS_NONCE_BYTES_MAX,
                                ERR_INVALID_ARGUMENTS, arena, &decoded, err);
    const json_t *text = ok ? json_object_get(body, "nonce") : NULL;
    if (text != NULL) {
        *nonce = arena_strdup(arena, json_string_value(text));
        ok = *nonce != NULL || err_set(err, ERR_NO_MEMORY, "no memory for nonce");
    }
    json_decref(body);
    return ok;
}

/* Canonical: the names are in order. */
static bool keys_binding(const struct epoch *epoch, const struct keys_texts *texts,
                         const char *nonce, struct buffer *out)
{
    struct buffer binding;
    buffer_init(&binding, KEYS_BINDING_BYTES_MAX);
    buffer_expect(&binding, KEYS_BINDING_BYTES_MAX);
    json_put_open(&binding);
    json_put_string(&binding, "domain", "wasm-hypervisor/1 request key");
    json_put_string(&binding, "expires_at", texts->expires_at);
    json_put_string(&binding, "key_derivation_salt", texts->salt);
    if (nonce != NULL) {
        json_put_string(&binding, "nonce", nonce);
    }
    json_put_string(&binding, "public_key", texts->public_key);
    json_put_string(&binding, "request_id", texts->request_id);
    json_put_close(&binding);
    bool ok = !binding.failed && attest_epoch_sign_text(epoch->attest, buffer_bytes(&binding), out);
    buffer_release(&binding);
    return ok;
}

/* The evidence is large and the same for all keys of an epoch: its text is spliced in, without its
 * last brace. */
static bool keys_answer(const struct service *service, const struct epoch *epoch,
                        const struct keys_texts *texts, const char *nonce, struct buffer *out)
{
    size_t evidence_size = strlen(epoch->evidence);
    assert(evidence_size > 2 && epoch->evidence[evidence_size - 1] == '}');
    buffer_expect(out, evidence_size + KEYS_ANSWER_EXTRA_BYTES);
    json_put_open(out);
    json_put_string(out, "request_id", texts->request_id);
    json_put_string(out, "public_key", texts->public_key);
    json_put_string(out, "algorithm", "P-256");
    json_put_name(out, "suite");
    json_put_open(out);
    json_put_integer(out, "kem", CRYPTO_HPKE_KEM);
    json_put_integer(out, "kdf", CRYPTO_HPKE_KDF);
    json_put_integer(out, "aead", CRYPTO_HPKE_AEAD);
    json_put_close(out);
    json_put_string(out, "key_derivation_salt", texts->salt);
    json_put_string(out, "created_at", texts->created_at);
    json_put_string(out, "expires_at", texts->expires_at);
    json_put_string(out, "node_id", service->parts.node_id);
    json_put_json(out, "attestation", bytes_of(epoch->evidence, evidence_size - 1));
    json_put_name(out, "key_binding");
    bool ok = keys_binding(epoch, texts, nonce, out);
    json_put_close(out);
    json_put_close(out);
    return ok && !out->failed;
}

void keys_create(struct api_call *call)
{
    struct service *service = call->service;
    struct err err;
    struct request_key key;
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    const char *nonce = NULL;
    struct buffer answer;
    buffer_init(&answer, KEYS_ANSWER_BYTES_MAX);
    struct epoch *epoch = NULL;
    bool ok = !atomic_load(&service->is_draining) ||
              err_set(&err, ERR_DRAINING, "this node is shutting down; another one will serve");
    ok = ok && epochs_signing(service->epochs, &epoch, &err) &&
         keys_parse(&call->exchange->request, &call->exchange->arena, &nonce, &err) &&
         request_keys_issue(service->keys, call->identity.key_id, epoch, &key, point, &err);
    if (ok) {
        struct keys_texts texts;
        keys_texts_of(&key, point, &texts);
        ok = keys_answer(service, epoch, &texts, nonce, &answer) ||
             err_set(&err, ERR_NO_MEMORY, "no memory for the answer");
    }
    epoch_unref(epoch);
    if (ok) {
        metric_add(service->metrics.keys_issued, 1);
        api_answer_text(call, 201, "application/json", buffer_bytes(&answer));
    } else {
        api_answer_err(call, &err, NULL);
    }
    buffer_release(&answer);
}
