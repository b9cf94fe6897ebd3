/* p256.c: P-256 key pairs and their Diffie-Hellman secret (SP 800-56A; RFC 9180 section 7.1).
 *
 * Points travel as 65 bytes, SEC1 uncompressed. The public point is computed once, when the key is
 * made, because every use of the key needs it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "crypto/native.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

struct crypto_p256_key {
    EVP_PKEY *native; /* its private number is wiped by EVP_PKEY_free */
    uint8_t public_point[CRYPTO_P256_POINT_BYTES];
};

/* Takes over `native`, which may be NULL. */
static struct crypto_p256_key *key_new(EVP_PKEY *native)
{
    struct crypto_p256_key *key = native == NULL ? NULL : HEAP_NEW(struct crypto_p256_key);
    size_t size = 0;
    if (key == NULL ||
        EVP_PKEY_get_octet_string_param(native, OSSL_PKEY_PARAM_PUB_KEY, key->public_point,
                                        sizeof key->public_point, &size) != 1 ||
        size != sizeof key->public_point) {
        heap_free(key);
        EVP_PKEY_free(native);
        (void)crypto_fail();
        return NULL;
    }
    key->native = native;
    return key;
}

struct crypto_p256_key *crypto_p256_generate(void)
{
    EVP_PKEY *native = NULL;
    EVP_PKEY_CTX *context =
        EVP_PKEY_CTX_new_from_pkey(NULL, crypto_native()->p256_parameters, NULL);
    if (context != NULL && EVP_PKEY_keygen_init(context) == 1) {
        (void)EVP_PKEY_generate(context, &native); /* native stays NULL if it fails */
    }
    EVP_PKEY_CTX_free(context);
    return key_new(native);
}

/* The public point of a private number; false when the number is not in 1..n-1. */
static bool public_point(const BIGNUM *number, uint8_t out[static CRYPTO_P256_POINT_BYTES])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group == NULL ? NULL : EC_POINT_new(group);
    bool ok = point != NULL && !BN_is_zero(number) &&
              BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
              EC_POINT_mul(group, point, number, NULL, NULL, NULL) == 1 &&
              EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out,
                                 CRYPTO_P256_POINT_BYTES, NULL) == CRYPTO_P256_POINT_BYTES;
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return ok;
}

static EVP_PKEY *import(const BIGNUM *number, const uint8_t point[static CRYPTO_P256_POINT_BYTES])
{
    EVP_PKEY *native = NULL;
    OSSL_PARAM *settings = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (context != NULL && builder != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         CRYPTO_P256_POINT_BYTES) == 1 &&
        (settings = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
        EVP_PKEY_fromdata_init(context) == 1) {
        (void)EVP_PKEY_fromdata(context, &native, EVP_PKEY_KEYPAIR, settings);
    }
    if (settings != NULL) {
        /* The copy of the private number lies among the settings. */
        OSSL_PARAM *number_copy = OSSL_PARAM_locate(settings, OSSL_PKEY_PARAM_PRIV_KEY);
        memory_wipe(number_copy->data, number_copy->data_size);
    }
    OSSL_PARAM_free(settings);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return native;
}

struct crypto_p256_key *
crypto_p256_from_private(const uint8_t scalar[static CRYPTO_P256_PRIVATE_BYTES])
{
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    EVP_PKEY *native = NULL;
    BIGNUM *number = BN_new();
    if (number != NULL && BN_bin2bn(scalar, CRYPTO_P256_PRIVATE_BYTES, number) != NULL) {
        BN_set_flags(number, BN_FLG_CONSTTIME);
        if (public_point(number, point)) {
            native = import(number, point);
        }
    }
    BN_clear_free(number);
    return key_new(native);
}

void crypto_p256_free(struct crypto_p256_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->native);
        memory_wipe(key, sizeof *key);
        heap_free(key);
    }
}

void crypto_p256_public(const struct crypto_p256_key *key,
                        uint8_t out[static CRYPTO_P256_POINT_BYTES])
{
    for (size_t i = 0; i < CRYPTO_P256_POINT_BYTES; i++) {
        out[i] = key->public_point[i];
    }
}

bool crypto_p256_point_is_valid(const uint8_t point[static CRYPTO_P256_POINT_BYTES])
{
    EVP_PKEY *native = crypto_point_load(crypto_native()->p256_parameters,
                                         bytes_of(point, CRYPTO_P256_POINT_BYTES));
    EVP_PKEY_free(native);
    return native != NULL;
}

bool crypto_p256_ecdh(const struct crypto_p256_key *key,
                      const uint8_t peer[static CRYPTO_P256_POINT_BYTES],
                      uint8_t out[static CRYPTO_P256_SECRET_BYTES])
{
    size_t size = CRYPTO_P256_SECRET_BYTES;
    EVP_PKEY *other = crypto_point_load(crypto_native()->p256_parameters,
                                        bytes_of(peer, CRYPTO_P256_POINT_BYTES));
    EVP_PKEY_CTX *context =
        other == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key->native, NULL);
    /* 0: the point was checked when it was loaded. */
    bool ok = context != NULL && EVP_PKEY_derive_init(context) == 1 &&
              EVP_PKEY_derive_set_peer_ex(context, other, 0) == 1 &&
              EVP_PKEY_derive(context, out, &size) == 1 && size == CRYPTO_P256_SECRET_BYTES;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(other);
    if (!ok) {
        memory_wipe(out, CRYPTO_P256_SECRET_BYTES);
        return crypto_fail();
    }
    return true;
}
