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

static json_t *keys_binding(const struct epoch *epoch, const struct keys_texts *texts,
                            const char *nonce)
{
    json_t *binding =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "domain", "wasm-hypervisor/1 request key",
                  "request_id", texts->request_id, "public_key", texts->public_key,
                  "key_derivation_salt", texts->salt, "expires_at", texts->expires_at);
    bool ok = binding != NULL;
    if (ok && nonce != NULL) {
        ok = json_object_set_new(binding, "nonce", json_string(nonce)) == 0;
    }
    json_t *signed_binding = ok ? attest_epoch_sign(epoch->attest, binding) : NULL;
    json_decref(binding);
    return signed_binding;
}

/* Appends an object's text without its last brace. */
static void append_open(struct buffer *out, const char *text)
{
    size_t size = strlen(text);
    assert(size > 2 && text[size - 1] == '}');
    buffer_append(out, text, size - 1);
}

/* The evidence is large and the same for all keys of an epoch: its text is spliced in. */
static bool keys_answer(const struct service *service, const struct epoch *epoch,
                        const struct keys_texts *texts, const char *nonce, struct buffer *out)
{
    json_t *head =
        json_pack("{s:s, s:s, s:s, s:{s:i, s:i, s:i}, s:s, s:s, s:s, s:s}", "request_id",
                  texts->request_id, "public_key", texts->public_key, "algorithm", "P-256", "suite",
                  "kem", CRYPTO_HPKE_KEM, "kdf", CRYPTO_HPKE_KDF, "aead", CRYPTO_HPKE_AEAD,
                  "key_derivation_salt", texts->salt, "created_at", texts->created_at, "expires_at",
                  texts->expires_at, "node_id", service->parts.node_id);
    json_t *binding = keys_binding(epoch, texts, nonce);
    char *head_text = head == NULL ? NULL : json_dumps(head, JSON_COMPACT);
    char *binding_text = binding == NULL ? NULL : json_dumps(binding, JSON_COMPACT);
    bool ok = head_text != NULL && binding_text != NULL;
    if (ok) {
        append_open(out, head_text);
        buffer_append_string(out, ",\"attestation\":");
        append_open(out, epoch->evidence);
        buffer_append_string(out, ",\"key_binding\":");
        buffer_append_string(out, binding_text);
        buffer_append_string(out, "}}");
    }
    heap_free(head_text);
    heap_free(binding_text);
    json_decref(head);
    json_decref(binding);
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
    struct epoch *epoch = epochs_current(service->epochs);
    bool ok = !atomic_load(&service->is_draining) ||
              err_set(&err, ERR_DRAINING, "this node is shutting down; another one will serve");
    ok = ok && keys_parse(&call->exchange->request, &call->exchange->arena, &nonce, &err) &&
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
