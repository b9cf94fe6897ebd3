/* make_vectors.c: prints docs/vectors/execution.json: two executions with everything that
 * docs/protocol.md section 2 derives, so that other implementations can compare step by step.
 *
 * Keys, request ids and salts are fixed. The response nonce is drawn by crypto_response_seal, so a
 * new run gives another encrypted result; the file is made once and then read by test_protocol.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct example {
    const char *name;
    const char *body;      /* the request without what is computed here */
    const char *arguments; /* encrypted as message 1; NULL: they are in the body */
    const char *result;
};

static const char recipient_private[] =
    "1f8c2a5d4e7b90361c2d3e4f5a6b7c8d9e0f112233445566778899aabbccddee";
static const char ephemeral_private[] =
    "0a1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff0";
static const char request_id[] = "6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f";
static const char module_hex[] = /* (module (func (export "add") (param i32 i32) (result i32) …)) */
    "0061736d0100000001070160027f7f017f03020100070701036164640000"
    "0a09010700200020016a0b";

static const struct example examples[] = {
    {"arguments in the clear",
     "{\"timeout_seconds\":10,\"request_id\":\"6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f\","
     "\"function_name\":\"add\",\"arguments\":[2,{\"type\":\"i32\",\"value\":40}],"
     "\"request_metadata\":{\"note\":\"not part of the header\"}}",
     NULL, "{\"outputs\":[{\"type\":\"i32\",\"value\":42}],\"status\":\"success\"}"},
    {"arguments encrypted",
     "{\"request_id\":\"6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f\",\"function_name\":\"add\","
     "\"gas_limit\":1000000,\"memory_limit_bytes\":1048576,\"mode\":\"interpreter\","
     "\"result_type\":\"values\",\"timeout_seconds\":1.5}",
     "[2,40]", "{\"outputs\":[{\"type\":\"i32\",\"value\":42}],\"status\":\"success\"}"},
};

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "make_vectors: %s failed\n", what);
        exit(1);
    }
}

static void put_hex(json_t *object, const char *member, struct bytes in)
{
    char text[4096];
    require(2 * in.size < sizeof text, member);
    text_hex_encode(in, text);
    require(json_object_set_new(object, member, json_string(text)) == 0, member);
}

static void put_text(json_t *object, const char *member, const char *text)
{
    require(json_object_set_new(object, member, json_string(text)) == 0, member);
}

/* Everything one example needs and the document that it fills. */
struct work {
    json_t *out;
    struct crypto_hpke sender;
    struct crypto_hpke recipient;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    uint8_t header_hash[CRYPTO_SHA256_BYTES];
    uint8_t commitment[CRYPTO_SHA256_BYTES];
};

static void put_keys(struct work *work)
{
    uint8_t scalar[32], id[16], salt[CRYPTO_REQUEST_SALT_BYTES];
    uint8_t point[CRYPTO_P256_POINT_BYTES], info[CRYPTO_REQUEST_INFO_BYTES];
    require(text_hex_decode(recipient_private, 64, scalar, 32), "recipient key");
    put_hex(work->out, "recipient_private_key", bytes_of(scalar, 32));
    struct crypto_p256_key *recipient = crypto_p256_from_private(scalar);
    require(text_hex_decode(ephemeral_private, 64, scalar, 32), "ephemeral key");
    put_hex(work->out, "ephemeral_private_key", bytes_of(scalar, 32));
    struct crypto_p256_key *ephemeral = crypto_p256_from_private(scalar);
    require(recipient != NULL && ephemeral != NULL, "keys");
    crypto_p256_public(recipient, point);
    put_hex(work->out, "recipient_public_key", bytes_of(point, sizeof point));
    for (size_t i = 0; i < sizeof salt; i++) {
        salt[i] = (uint8_t)(0xa0 + i);
    }
    require(text_uuid_decode(request_id, strlen(request_id), id), "request id");
    put_text(work->out, "request_id", request_id);
    put_hex(work->out, "key_derivation_salt", bytes_of(salt, sizeof salt));
    crypto_request_info(id, salt, info);
    put_hex(work->out, "info", bytes_of(info, sizeof info));
    require(
        crypto_hpke_send(&work->sender, point, bytes_of(info, sizeof info), ephemeral, work->enc),
        "send");
    require(
        crypto_hpke_receive(&work->recipient, recipient, work->enc, bytes_of(info, sizeof info)),
        "receive");
    put_hex(work->out, "enc", bytes_of(work->enc, sizeof work->enc));
    put_hex(work->out, "hpke_key", bytes_of(work->sender.key, sizeof work->sender.key));
    put_hex(work->out, "hpke_base_nonce",
            bytes_of(work->sender.base_nonce, sizeof work->sender.base_nonce));
    put_hex(work->out, "hpke_exporter_secret",
            bytes_of(work->sender.exporter_secret, sizeof work->sender.exporter_secret));
    crypto_p256_free(recipient);
    crypto_p256_free(ephemeral);
}

static void put_request(struct work *work, const struct example *example)
{
    struct err err;
    json_t *body = NULL;
    uint8_t module[256], sealed_module[512], sealed_arguments[512];
    size_t module_size = strlen(module_hex) / 2, sealed_arguments_size = 0;
    const struct bytes aad = bytes_of(work->header_hash, sizeof work->header_hash);
    require(json_text_parse(bytes_of_string(example->body), &body, &err), "body");
    require(crypto_request_header_hash(body, work->header_hash, &err), "header");
    put_text(work->out, "body", example->body);
    put_hex(work->out, "header_hash", aad);
    require(text_hex_decode(module_hex, strlen(module_hex), module, module_size), "module");
    put_hex(work->out, "module", bytes_of(module, module_size));
    require(crypto_hpke_seal(&work->sender, aad, bytes_of(module, module_size), sealed_module),
            "seal");
    struct bytes wasm = bytes_of(sealed_module, module_size + CRYPTO_AEAD_TAG_BYTES);
    put_hex(work->out, "encrypted_wasm", wasm);
    if (example->arguments != NULL) {
        require(crypto_hpke_seal(&work->sender, aad, bytes_of_string(example->arguments),
                                 sealed_arguments),
                "seal");
        sealed_arguments_size = strlen(example->arguments) + CRYPTO_AEAD_TAG_BYTES;
        put_text(work->out, "arguments", example->arguments);
    }
    put_hex(work->out, "encrypted_arguments", bytes_of(sealed_arguments, sealed_arguments_size));
    crypto_request_commitment(work->header_hash, wasm,
                              bytes_of(sealed_arguments, sealed_arguments_size), work->enc,
                              work->commitment);
    put_hex(work->out, "request_commitment", bytes_of(work->commitment, sizeof work->commitment));
    json_decref(body);
}

static void put_response(struct work *work, const struct example *example)
{
    uint8_t secret[32], sealed[1024], hash[CRYPTO_SHA256_BYTES];
    struct bytes result = bytes_of_string(example->result);
    require(crypto_hpke_export(&work->sender, bytes_of_string(CRYPTO_RESPONSE_LABEL), secret,
                               sizeof secret),
            "export");
    put_text(work->out, "response_label", CRYPTO_RESPONSE_LABEL);
    put_hex(work->out, "response_secret", bytes_of(secret, sizeof secret));
    put_text(work->out, "result", example->result);
    crypto_sha256(result, hash);
    put_hex(work->out, "result_commitment", bytes_of(hash, sizeof hash));
    require(crypto_response_seal(&work->recipient, work->enc,
                                 bytes_of(work->commitment, sizeof work->commitment), result,
                                 sealed),
            "response");
    put_hex(work->out, "encrypted_result",
            bytes_of(sealed, result.size + CRYPTO_RESPONSE_OVERHEAD_BYTES));
}

int main(void)
{
    json_t *root = json_array();
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct work work = {.out = json_object()};
        require(root != NULL && work.out != NULL, "memory");
        put_text(work.out, "name", examples[i].name);
        put_keys(&work);
        put_request(&work, &examples[i]);
        put_response(&work, &examples[i]);
        require(json_array_append_new(root, work.out) == 0, "append");
    }
    require(json_dumpf(root, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0, "output");
    json_decref(root);
    return 0;
}
