/* protocol.c: the values that a client and a node compute from the same request (docs/protocol.md
 * section 10). docs/vectors/execution.json holds one worked example of all of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"
#include "crypto/crypto.h"

#include <assert.h>
#include <string.h>

static const char request_label[] = "wasm-hypervisor/1 request"; /* its NUL is the separator */
static const char commitment_label[] = "wasm-hypervisor/1 request commitment";

enum {
    REQUEST_ID_BYTES = 16,
    /* Of the canonical header; the arguments are the only member that can be long. */
    HEADER_BYTES_MAX = 64 * 1024 * 1024,
};

static_assert(sizeof request_label + REQUEST_ID_BYTES + 6 + CRYPTO_REQUEST_SALT_BYTES ==
                  CRYPTO_REQUEST_INFO_BYTES,
              "the parts of info add up");

void crypto_request_info(const uint8_t request_id[static 16],
                         const uint8_t salt[static CRYPTO_REQUEST_SALT_BYTES],
                         uint8_t out[static CRYPTO_REQUEST_INFO_BYTES])
{
    static const uint8_t suite[] = {0x00, CRYPTO_HPKE_KEM, 0x00, CRYPTO_HPKE_KDF,
                                    0x00, CRYPTO_HPKE_AEAD};
    memcpy(out, request_label, sizeof request_label);
    out += sizeof request_label;
    memcpy(out, request_id, REQUEST_ID_BYTES);
    out += REQUEST_ID_BYTES;
    memcpy(out, suite, sizeof suite);
    out += sizeof suite;
    memcpy(out, salt, CRYPTO_REQUEST_SALT_BYTES);
}

void crypto_request_commitment_of(const uint8_t header_hash[static CRYPTO_SHA256_BYTES],
                                  const uint8_t wasm_hash[static CRYPTO_SHA256_BYTES],
                                  const uint8_t arguments_hash[static CRYPTO_SHA256_BYTES],
                                  const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                                  uint8_t out[static CRYPTO_SHA256_BYTES])
{
    const struct bytes parts[] = {
        bytes_of(commitment_label, sizeof commitment_label), /* with its NUL */
        bytes_of(header_hash, CRYPTO_SHA256_BYTES),
        bytes_of(wasm_hash, CRYPTO_SHA256_BYTES),
        bytes_of(arguments_hash, CRYPTO_SHA256_BYTES),
        bytes_of(enc, CRYPTO_P256_POINT_BYTES),
    };
    crypto_sha256_parts(parts, sizeof parts / sizeof parts[0], out);
}

void crypto_request_commitment(const uint8_t header_hash[static CRYPTO_SHA256_BYTES],
                               struct bytes encrypted_wasm, struct bytes encrypted_arguments,
                               const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                               uint8_t out[static CRYPTO_SHA256_BYTES])
{
    uint8_t wasm_hash[CRYPTO_SHA256_BYTES];
    uint8_t arguments_hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(encrypted_wasm, wasm_hash);
    crypto_sha256(encrypted_arguments, arguments_hash);
    crypto_request_commitment_of(header_hash, wasm_hash, arguments_hash, enc, out);
}

/* A new object that shares the header's members with the body; NULL when there is no memory. */
static json_t *header_of(const json_t *body)
{
    static const char *const members[] = {
        "arguments", "function_name", "gas_limit",   "memory_limit_bytes",
        "mode",      "request_id",    "result_type", "timeout_seconds",
    };
    json_t *header = json_object();
    for (size_t i = 0; header != NULL && i < sizeof members / sizeof members[0]; i++) {
        json_t *member = json_object_get(body, members[i]);
        if (member != NULL && json_object_set(header, members[i], member) != 0) {
            json_decref(header);
            header = NULL;
        }
    }
    return header;
}

bool crypto_request_header_hash(const struct json_t *body, uint8_t out[static CRYPTO_SHA256_BYTES],
                                struct err *err)
{
    if (!json_is_object(body)) {
        return err_set(err, ERR_MALFORMED_REQUEST, "the request is not a JSON object");
    }
    json_t *header = header_of(body);
    if (header == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the request's header");
    }
    struct buffer text;
    buffer_init(&text, HEADER_BYTES_MAX);
    bool ok = json_canonical(header, &text, err);
    if (ok) {
        crypto_sha256(buffer_bytes(&text), out);
    } else if (err->code == ERR_FORMAT) {
        err->code =
            ERR_MALFORMED_REQUEST; /* it is the client's number that has no canonical form */
    }
    buffer_release(&text);
    json_decref(header);
    return ok;
}
