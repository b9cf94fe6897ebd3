/* test_sign.c: signatures against Wycheproof and RFC 8032, and both spellings of ECDSA.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/vectors.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct file {
    char name[64];
    enum crypto_signature_algorithm algorithm;
    bool p1363;
};

static void check_group(const struct file *file, const json_t *group, size_t *valid,
                        size_t *invalid)
{
    struct bytes key = vectors_hex(json_object_get(group, "publicKey"), "uncompressed");
    size_t index;
    json_t *row;
    json_array_foreach (json_object_get(group, "tests"), index, row) {
        struct bytes message = vectors_hex(row, "msg");
        struct bytes signature = vectors_hex(row, "sig");
        const char *result = vectors_text(row, "result");
        bool ok = file->p1363 ? crypto_verify_p1363(file->algorithm, key, message, signature)
                              : crypto_verify(file->algorithm, key, message, signature);
        long long id = json_integer_value(json_object_get(row, "tcId"));
        if (strcmp(result, "valid") == 0) {
            cr_assert(ok, "%s row %lld", file->name, id);
            (*valid)++;
        } else if (strcmp(result, "invalid") == 0) {
            cr_assert_not(ok, "%s row %lld", file->name, id);
            (*invalid)++;
        }
    }
}

ParameterizedTestParameters(crypto_sign, agrees_with_wycheproof)
{
    static struct file files[] = {
        {"wycheproof/ecdsa_secp256r1_sha256_test.json", CRYPTO_ECDSA_P256_SHA256, false},
        {"wycheproof/ecdsa_secp256r1_sha256_p1363_test.json", CRYPTO_ECDSA_P256_SHA256, true},
        {"wycheproof/ecdsa_secp384r1_sha384_test.json", CRYPTO_ECDSA_P384_SHA384, false},
        {"wycheproof/ecdsa_secp384r1_sha384_p1363_test.json", CRYPTO_ECDSA_P384_SHA384, true},
    };
    return cr_make_param_array(struct file, files, sizeof files / sizeof files[0]);
}

ParameterizedTest(struct file *file, crypto_sign, agrees_with_wycheproof)
{
    json_t *root = vectors_shared(file->name);
    size_t index, valid = 0, invalid = 0;
    json_t *group;
    json_array_foreach (json_object_get(root, "testGroups"), index, group) {
        check_group(file, group, &valid, &invalid);
    }
    json_decref(root);
    cr_assert(valid > 100 && invalid > 50, "%zu valid, %zu invalid", valid, invalid);
}

Test(crypto_sign, verifies_rfc_8032_test_1_and_no_other)
{
    uint8_t key[32], signature[64];
    const char *key_hex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const char *signature_hex = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    cr_assert(text_hex_decode(key_hex, 64, key, 32));
    cr_assert(text_hex_decode(signature_hex, 128, signature, 64));
    struct bytes public_key = bytes_of(key, 32), empty = bytes_of(NULL, 0);
    cr_assert(crypto_verify(CRYPTO_ED25519, public_key, empty, bytes_of(signature, 64)));
    cr_assert_not(
        crypto_verify(CRYPTO_ED25519, public_key, bytes_of_string("x"), bytes_of(signature, 64)));
    cr_assert_not(crypto_verify(CRYPTO_ED25519, public_key, empty, bytes_of(signature, 63)));
    cr_assert_not(crypto_verify(CRYPTO_ED25519, public_key, empty, empty));
    cr_assert_not(crypto_verify(CRYPTO_ED25519, bytes_of(key, 31), empty, bytes_of(signature, 64)));
    signature[0] ^= 1;
    cr_assert_not(crypto_verify(CRYPTO_ED25519, public_key, empty, bytes_of(signature, 64)));
}

struct kind {
    enum crypto_signature_algorithm algorithm;
    size_t public_bytes;
    size_t p1363_bytes;
};

ParameterizedTestParameters(crypto_sign, signs_what_verifies)
{
    static struct kind kinds[] = {
        {CRYPTO_ED25519, 32, 0},
        {CRYPTO_ECDSA_P256_SHA256, 65, 64},
        {CRYPTO_ECDSA_P384_SHA384, 97, 96},
    };
    return cr_make_param_array(struct kind, kinds, sizeof kinds / sizeof kinds[0]);
}

ParameterizedTest(struct kind *kind, crypto_sign, signs_what_verifies)
{
    uint8_t public_key[97], signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    struct bytes message = bytes_of_string("message");
    struct crypto_signer *signer = crypto_signer_generate(kind->algorithm);
    cr_assert_not_null(signer);
    cr_assert_eq(crypto_signer_algorithm(signer), kind->algorithm);
    cr_assert_not_null(crypto_signer_native(signer));
    cr_assert_eq(crypto_signer_public(signer, public_key), kind->public_bytes);
    struct bytes key = bytes_of(public_key, kind->public_bytes);
    cr_assert(crypto_signer_sign(signer, message, signature, &size));
    cr_assert(crypto_verify(kind->algorithm, key, message, bytes_of(signature, size)));
    cr_assert_not(
        crypto_verify(kind->algorithm, key, bytes_of_string("Message"), bytes_of(signature, size)));
    cr_assert_not(crypto_verify(kind->algorithm, key, message, bytes_of(signature, size - 1)));
    bool fixed = crypto_signer_sign_p1363(signer, message, signature, &size);
    cr_assert_eq(fixed, kind->p1363_bytes > 0);
    if (fixed) {
        cr_assert_eq(size, kind->p1363_bytes);
        cr_assert(crypto_verify_p1363(kind->algorithm, key, message, bytes_of(signature, size)));
        cr_assert_not(crypto_verify(kind->algorithm, key, message, bytes_of(signature, size)));
        cr_assert_not(
            crypto_verify_p1363(kind->algorithm, key, message, bytes_of(signature, size - 1)));
        public_key[0] = 2;
        cr_assert_not(
            crypto_verify_p1363(kind->algorithm, key, message, bytes_of(signature, size)));
    }
    crypto_signer_free(signer);
}

Test(crypto_sign, p1363_is_for_ecdsa_only)
{
    uint8_t signature[64] = {0};
    uint8_t key[32] = {0};
    cr_assert_not(crypto_verify_p1363(CRYPTO_ED25519, bytes_of(key, 32), bytes_of(NULL, 0),
                                      bytes_of(signature, 64)));
    cr_assert_not(crypto_verify(CRYPTO_RSA_4096, bytes_of(key, 32), bytes_of(NULL, 0),
                                bytes_of(signature, 64)));
    crypto_signer_free(NULL);
}

Test(crypto_sign, a_seed_makes_the_same_ed25519_key_again)
{
    /* RFC 8032, section 7.1, test 1 */
    static const uint8_t seed[CRYPTO_ED25519_SEED_BYTES] = {
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
        0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
        0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
    static const uint8_t expected[CRYPTO_ED25519_PUBLIC_BYTES] = {
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
        0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6,
        0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
    uint8_t public_key[97], again[CRYPTO_ED25519_SEED_BYTES];
    struct crypto_signer *signer = crypto_signer_from_seed(seed);
    cr_assert_not_null(signer);
    cr_assert_eq(crypto_signer_public(signer, public_key), sizeof expected);
    cr_assert_arr_eq(public_key, expected, sizeof expected);
    crypto_signer_seed(signer, again);
    cr_assert_arr_eq(again, seed, sizeof seed);
    crypto_signer_free(signer);
}
