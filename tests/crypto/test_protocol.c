/* test_protocol.c: the values both sides compute, and docs/vectors/execution.json, value by value.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/vectors.h"

#include <criterion/criterion.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1024 };

static struct err err;

static void assert_member(const json_t *vector, const char *member, const void *ptr, size_t size)
{
    cr_assert(bytes_equal(vectors_hex(vector, member), bytes_of(ptr, size)), "%s", member);
}

static void check_request(const json_t *vector, struct crypto_hpke *hpke,
                          const uint8_t header_hash[static CRYPTO_SHA256_BYTES])
{
    uint8_t out[TEXT_BYTES_MAX];
    struct bytes aad = bytes_of(header_hash, CRYPTO_SHA256_BYTES);
    struct bytes module = vectors_hex(vector, "module");
    struct bytes wasm = vectors_hex(vector, "encrypted_wasm");
    struct bytes arguments = vectors_hex(vector, "encrypted_arguments");
    cr_assert(crypto_hpke_open(hpke, aad, wasm, out));
    cr_assert(bytes_equal(bytes_of(out, module.size), module));
    if (arguments.size > 0) {
        const char *text = vectors_text(vector, "arguments");
        cr_assert(crypto_hpke_open(hpke, aad, arguments, out));
        cr_assert(bytes_equal(bytes_of(out, strlen(text)), bytes_of_string(text)));
    }
    crypto_request_commitment(header_hash, wasm, arguments, vectors_hex(vector, "enc").ptr, out);
    assert_member(vector, "request_commitment", out, CRYPTO_SHA256_BYTES);
}

static void check_response(const json_t *vector, const struct crypto_hpke *hpke)
{
    uint8_t out[TEXT_BYTES_MAX];
    struct bytes result = bytes_of_string(vectors_text(vector, "result"));
    cr_assert_str_eq(vectors_text(vector, "response_label"), CRYPTO_RESPONSE_LABEL);
    cr_assert(crypto_hpke_export(hpke, bytes_of_string(CRYPTO_RESPONSE_LABEL), out, 32));
    assert_member(vector, "response_secret", out, 32);
    cr_assert(crypto_response_open(hpke, vectors_hex(vector, "enc").ptr,
                                   vectors_hex(vector, "request_commitment"),
                                   vectors_hex(vector, "encrypted_result"), out));
    cr_assert(bytes_equal(bytes_of(out, result.size), result));
    crypto_sha256(result, out);
    assert_member(vector, "result_commitment", out, CRYPTO_SHA256_BYTES);
}

static void check_execution(const json_t *vector)
{
    struct crypto_hpke sender, recipient;
    uint8_t point[CRYPTO_P256_POINT_BYTES], enc[CRYPTO_P256_POINT_BYTES];
    uint8_t id[TEXT_UUID_BYTES], info[CRYPTO_REQUEST_INFO_BYTES], header[CRYPTO_SHA256_BYTES];
    const char *id_text = vectors_text(vector, "request_id");
    struct crypto_p256_key *key =
        crypto_p256_from_private(vectors_hex(vector, "recipient_private_key").ptr);
    struct crypto_p256_key *ephemeral =
        crypto_p256_from_private(vectors_hex(vector, "ephemeral_private_key").ptr);
    cr_assert(text_uuid_decode(id_text, strlen(id_text), id));
    crypto_request_info(id, vectors_hex(vector, "key_derivation_salt").ptr, info);
    assert_member(vector, "info", info, sizeof info);
    crypto_p256_public(key, point);
    assert_member(vector, "recipient_public_key", point, sizeof point);
    cr_assert(crypto_hpke_send(&sender, point, bytes_of(info, sizeof info), ephemeral, enc));
    assert_member(vector, "enc", enc, sizeof enc);
    cr_assert(crypto_hpke_receive(&recipient, key, enc, bytes_of(info, sizeof info)));
    assert_member(vector, "hpke_key", recipient.key, sizeof recipient.key);
    assert_member(vector, "hpke_base_nonce", recipient.base_nonce, sizeof recipient.base_nonce);
    assert_member(vector, "hpke_exporter_secret", recipient.exporter_secret,
                  sizeof recipient.exporter_secret);

    json_t *body = NULL;
    cr_assert(json_text_parse(bytes_of_string(vectors_text(vector, "body")), &body, &err));
    cr_assert(crypto_request_header_hash(body, header, &err), "%s", err.message);
    assert_member(vector, "header_hash", header, sizeof header);
    check_request(vector, &recipient, header);
    check_response(vector, &sender);
    json_decref(body);
    crypto_hpke_release(&sender);
    crypto_hpke_release(&recipient);
    crypto_p256_free(key);
    crypto_p256_free(ephemeral);
}

Test(crypto_protocol, agrees_with_the_published_executions)
{
    json_t *root = vectors_own("execution.json");
    size_t index;
    json_t *vector;
    cr_assert_eq(json_array_size(root), 2);
    json_array_foreach (root, index, vector) {
        check_execution(vector);
    }
    json_decref(root);
}

static void header_hash_of(const char *text, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    json_t *body = NULL;
    cr_assert(json_text_parse(bytes_of_string(text), &body, &err), "%s", err.message);
    cr_assert(crypto_request_header_hash(body, out, &err), "%s", err.message);
    json_decref(body);
}

Test(crypto_protocol, header_is_the_canonical_form_of_its_eight_members)
{
    uint8_t hash[CRYPTO_SHA256_BYTES], expected[CRYPTO_SHA256_BYTES];
    header_hash_of("{}", hash);
    crypto_sha256(bytes_of_string("{}"), expected);
    cr_assert_arr_eq(hash, expected, sizeof hash);
    header_hash_of(
        "{\"timeout_seconds\":1.50, \"result_type\":\"values\",\"request_id\":\"r\","
        "\"mode\":\"m\",\"memory_limit_bytes\":65536,\"gas_limit\":\"18446744073709551615\","
        "\"function_name\":\"f\",\"arguments\":[1,{\"b\":null,\"a\":true}]}",
        hash);
    crypto_sha256(
        bytes_of_string("{\"arguments\":[1,{\"a\":true,\"b\":null}],\"function_name\":\"f\","
                        "\"gas_limit\":\"18446744073709551615\",\"memory_limit_bytes\":65536,"
                        "\"mode\":\"m\",\"request_id\":\"r\",\"result_type\":\"values\","
                        "\"timeout_seconds\":1.5}"),
        expected);
    cr_assert_arr_eq(hash, expected, sizeof hash);
}

Test(crypto_protocol, header_changes_with_its_members_and_with_nothing_else)
{
    uint8_t plain[CRYPTO_SHA256_BYTES], other[CRYPTO_SHA256_BYTES];
    header_hash_of("{\"function_name\":\"f\"}", plain);
    header_hash_of("{\"function_name\":\"f\",\"encrypted_wasm\":\"AAAA\",\"public_key\":\"\","
                   "\"request_metadata\":{\"a\":1},\"request_hash\":\"00\"}",
                   other);
    cr_assert_arr_eq(plain, other, sizeof plain);
    static const char *const changed[] = {
        "{\"function_name\":\"g\"}",
        "{}",
        "{\"function_name\":\"f\",\"arguments\":[]}",
        "{\"function_name\":\"f\",\"gas_limit\":1}",
        "{\"function_name\":\"f\",\"memory_limit_bytes\":1}",
        "{\"function_name\":\"f\",\"mode\":null}",
        "{\"function_name\":\"f\",\"request_id\":\"\"}",
        "{\"function_name\":\"f\",\"result_type\":\"\"}",
        "{\"function_name\":\"f\",\"timeout_seconds\":1}",
    };
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
        header_hash_of(changed[i], other);
        cr_assert(memcmp(plain, other, sizeof plain) != 0, "%s", changed[i]);
    }
}

Test(crypto_protocol, header_of_what_is_no_object_is_an_error)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    json_t *array = json_array();
    cr_assert_not(crypto_request_header_hash(array, hash, &err));
    cr_assert_eq(err.code, ERR_MALFORMED_REQUEST);
    cr_assert_not(crypto_request_header_hash(NULL, hash, &err));
    cr_assert_eq(err.code, ERR_MALFORMED_REQUEST);
    json_decref(array);
}

Test(crypto_protocol, header_with_a_number_without_canonical_form_is_the_clients_error)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    json_t *body = NULL;
    cr_assert(json_text_parse(bytes_of_string("{\"arguments\":[9007199254740993]}"), &body, &err));
    cr_assert_not(crypto_request_header_hash(body, hash, &err));
    cr_assert_eq(err.code, ERR_MALFORMED_REQUEST, "%s", err.message);
    json_decref(body);
}

Test(crypto_protocol, commitment_changes_with_every_part)
{
    uint8_t header[32] = {1}, enc[CRYPTO_P256_POINT_BYTES] = {4};
    uint8_t base[32], other[32];
    struct bytes wasm = bytes_of_string("wasm"), none = bytes_of(NULL, 0);
    crypto_request_commitment(header, wasm, none, enc, base);
    crypto_request_commitment(header, none, wasm, enc, other);
    cr_assert(memcmp(base, other, 32) != 0);
    crypto_request_commitment(header, wasm, wasm, enc, other);
    cr_assert(memcmp(base, other, 32) != 0);
    enc[64] = 1;
    crypto_request_commitment(header, wasm, none, enc, other);
    cr_assert(memcmp(base, other, 32) != 0);
    enc[64] = 0;
    header[31] = 1;
    crypto_request_commitment(header, wasm, none, enc, other);
    cr_assert(memcmp(base, other, 32) != 0);
}
