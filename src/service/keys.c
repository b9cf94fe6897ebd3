/* keys.c: POST /v1/keys: a fresh key pair, bound to the node's epoch (docs/protocol.md section 3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

#include <assert.h>
#include <string.h>

enum {
    KEYS_BASE64_CHARS_MAX = 92, /* of 65 bytes, with room */
    KEYS_ANSWER_BYTES_MAX = 1024 * 1024,
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

static bool keys_answer(const struct service *service, const struct epoch *epoch,
                        const struct keys_texts *texts, const char *nonce, struct buffer *out)
{
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
    json_put_name(out, "attestation");
    epoch_evidence_open(epoch->evidence, out);
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
    struct nonce nonce;
    struct buffer answer;
    buffer_init(&answer, KEYS_ANSWER_BYTES_MAX);
    struct epoch *epoch = NULL;
    bool ok = !atomic_load(&service->is_draining) || service_refuse_draining(&err);
    ok = ok && epochs_signing(service->epochs, &epoch, &err) &&
         nonce_of_body(call, NONCE_BYTES_MIN, &nonce, &err) &&
         request_keys_issue(service->keys, call->identity.key_id, epoch, &key, point, &err);
    if (ok) {
        struct keys_texts texts;
        keys_texts_of(&key, point, &texts);
        ok = keys_answer(service, epoch, &texts, nonce.text, &answer) ||
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
