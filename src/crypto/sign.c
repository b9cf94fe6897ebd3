/* sign.c: Ed25519 and ECDSA (P-256 with SHA-256, P-384 with SHA-384), signing and verifying.
 *
 * A signer's algorithm follows from its key. ECDSA signatures come in two spellings: DER, which
 * OpenSSL speaks, and R || S in fixed width (IEEE P1363), which reports and WebCrypto speak.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/sign.h"

#include "base/arena.h"

#include <assert.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

enum { RSA_BITS = 4096 };

struct crypto_signer *crypto_signer_generate(enum crypto_signature_algorithm algorithm)
{
    EVP_PKEY *native = NULL;
    switch (algorithm) {
    case CRYPTO_ED25519:
        native = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    case CRYPTO_ECDSA_P256_SHA256:
        native = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        break;
    case CRYPTO_ECDSA_P384_SHA384:
        native = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        break;
    case CRYPTO_RSA_4096:
        native = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS);
        break;
    }
    return crypto_signer_of(native);
}

static bool algorithm_of(const EVP_PKEY *native, enum crypto_signature_algorithm *out)
{
    char curve[32];
    size_t size = 0;
    if (EVP_PKEY_is_a(native, "ED25519")) {
        *out = CRYPTO_ED25519;
        return true;
    }
    if (EVP_PKEY_is_a(native, "RSA")) {
        *out = CRYPTO_RSA_4096;
        return EVP_PKEY_get_bits(native) == RSA_BITS;
    }
    if (!EVP_PKEY_is_a(native, "EC") ||
        EVP_PKEY_get_utf8_string_param(native, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof curve,
                                       &size) != 1) {
        return false;
    }
    int nid = EC_curve_nist2nid(curve);
    nid = nid == NID_undef ? OBJ_txt2nid(curve) : nid;
    *out = nid == NID_secp384r1 ? CRYPTO_ECDSA_P384_SHA384 : CRYPTO_ECDSA_P256_SHA256;
    return nid == NID_secp384r1 || nid == NID_X9_62_prime256v1;
}

static const EVP_MD *digest_of(enum crypto_signature_algorithm algorithm)
{
    switch (algorithm) {
    case CRYPTO_ECDSA_P256_SHA256:
        return crypto_native()->sha256;
    case CRYPTO_ECDSA_P384_SHA384:
        return crypto_native()->sha384;
    case CRYPTO_ED25519: /* hashes by itself */
    case CRYPTO_RSA_4096:
        break;
    }
    return NULL;
}

/* Ready to sign: looking up how a key signs costs a tenth of a signature. */
static EVP_MD_CTX *sign_context(EVP_PKEY *native, const EVP_MD *digest)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestSignInit(context, NULL, digest, NULL, native) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return context;
}

struct crypto_signer *crypto_signer_of(EVP_PKEY *native)
{
    enum crypto_signature_algorithm algorithm = CRYPTO_ED25519;
    struct crypto_signer *signer = NULL;
    if (native != NULL && algorithm_of(native, &algorithm)) {
        signer = HEAP_NEW(struct crypto_signer);
    }
    if (signer == NULL) {
        EVP_PKEY_free(native);
        (void)crypto_fail();
        return NULL;
    }
    signer->algorithm = algorithm;
    signer->native = native;
    signer->prepared =
        algorithm == CRYPTO_RSA_4096 ? NULL : sign_context(native, digest_of(algorithm));
    if (algorithm != CRYPTO_RSA_4096 && signer->prepared == NULL) {
        crypto_signer_free(signer);
        (void)crypto_fail();
        return NULL;
    }
    return signer;
}

struct crypto_signer *crypto_signer_from_seed(const uint8_t seed[static CRYPTO_ED25519_SEED_BYTES])
{
    return crypto_signer_of(
        EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, CRYPTO_ED25519_SEED_BYTES));
}

void crypto_signer_seed(const struct crypto_signer *signer,
                        uint8_t out[static CRYPTO_ED25519_SEED_BYTES])
{
    size_t size = CRYPTO_ED25519_SEED_BYTES;
    assert(signer->algorithm == CRYPTO_ED25519);
    crypto_require(EVP_PKEY_get_raw_private_key(signer->native, out, &size) == 1);
}

void crypto_signer_free(struct crypto_signer *signer)
{
    if (signer != NULL) {
        EVP_MD_CTX_free(signer->prepared);
        EVP_PKEY_free(signer->native);
        heap_free(signer);
    }
}

enum crypto_signature_algorithm crypto_signer_algorithm(const struct crypto_signer *signer)
{
    return signer->algorithm;
}

void *crypto_signer_native(const struct crypto_signer *signer)
{
    return signer->native;
}

void *crypto_signer_native_context(const struct crypto_signer *signer)
{
    bool rsa = signer->algorithm == CRYPTO_RSA_4096;
    const EVP_MD *digest = rsa ? crypto_native()->sha384 : digest_of(signer->algorithm);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;
    bool ok = context != NULL &&
              EVP_DigestSignInit(context, &settings, digest, NULL, signer->native) == 1;
    if (ok && rsa) {
        ok = EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, CRYPTO_SHA384_BYTES) == 1;
    }
    if (!ok) {
        EVP_MD_CTX_free(context);
        (void)crypto_fail();
        return NULL;
    }
    return context;
}

void crypto_signer_native_context_free(void *context)
{
    EVP_MD_CTX_free(context);
}

/* Bytes of one coordinate or scalar of an ECDSA algorithm; 0 for the others. */
static size_t scalar_bytes(enum crypto_signature_algorithm algorithm)
{
    switch (algorithm) {
    case CRYPTO_ECDSA_P256_SHA256:
        return 32;
    case CRYPTO_ECDSA_P384_SHA384:
        return 48;
    case CRYPTO_ED25519:
    case CRYPTO_RSA_4096:
        break;
    }
    return 0;
}

size_t crypto_signer_public(const struct crypto_signer *signer, uint8_t *out)
{
    size_t size = CRYPTO_ED25519_PUBLIC_BYTES;
    if (signer->algorithm == CRYPTO_ED25519) {
        crypto_require(EVP_PKEY_get_raw_public_key(signer->native, out, &size) == 1);
        return size;
    }
    if (signer->algorithm == CRYPTO_RSA_4096) {
        return 0;
    }
    crypto_require(EVP_PKEY_get_octet_string_param(signer->native, OSSL_PKEY_PARAM_PUB_KEY, out,
                                                   2 * scalar_bytes(signer->algorithm) + 1,
                                                   &size) == 1);
    return size;
}

bool crypto_signer_sign(const struct crypto_signer *signer, struct bytes message,
                        uint8_t signature[static CRYPTO_SIGNATURE_BYTES_MAX],
                        size_t *signature_size)
{
    if (signer->algorithm == CRYPTO_RSA_4096) {
        return false;
    }
    size_t size = CRYPTO_SIGNATURE_BYTES_MAX;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context != NULL && EVP_MD_CTX_copy_ex(context, signer->prepared) == 1 &&
              EVP_DigestSign(context, signature, &size, message.ptr, message.size) == 1;
    EVP_MD_CTX_free(context);
    if (!ok) {
        return crypto_fail();
    }
    *signature_size = size;
    return true;
}

bool crypto_signer_sign_p1363(const struct crypto_signer *signer, struct bytes message,
                              uint8_t signature[static CRYPTO_SIGNATURE_BYTES_MAX],
                              size_t *signature_size)
{
    uint8_t der[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t der_size = 0;
    int width = (int)scalar_bytes(signer->algorithm);
    if (width == 0 || !crypto_signer_sign(signer, message, der, &der_size)) {
        return false;
    }
    const uint8_t *cursor = der;
    ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &cursor, (long)der_size);
    bool ok = parsed != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(parsed), signature, width) == width &&
              BN_bn2binpad(ECDSA_SIG_get0_s(parsed), signature + width, width) == width;
    ECDSA_SIG_free(parsed);
    if (!ok) {
        return crypto_fail();
    }
    *signature_size = 2 * (size_t)width;
    return true;
}

static EVP_PKEY *load_public(enum crypto_signature_algorithm algorithm, struct bytes public_key)
{
    switch (algorithm) {
    case CRYPTO_ED25519:
        return public_key.size == CRYPTO_ED25519_PUBLIC_BYTES
                   ? EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, public_key.ptr,
                                                    public_key.size)
                   : NULL;
    case CRYPTO_ECDSA_P256_SHA256:
        return crypto_point_load(crypto_native()->p256_parameters, public_key);
    case CRYPTO_ECDSA_P384_SHA384:
        return crypto_point_load(crypto_native()->p384_parameters, public_key);
    case CRYPTO_RSA_4096:
        break;
    }
    return NULL;
}

bool crypto_verify(enum crypto_signature_algorithm algorithm, struct bytes public_key,
                   struct bytes message, struct bytes signature)
{
    EVP_PKEY *key = load_public(algorithm, public_key);
    EVP_MD_CTX *context = key == NULL ? NULL : EVP_MD_CTX_new();
    bool ok =
        context != NULL &&
        EVP_DigestVerifyInit(context, NULL, digest_of(algorithm), NULL, key) == 1 &&
        EVP_DigestVerify(context, signature.ptr, signature.size, message.ptr, message.size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return ok || crypto_fail();
}

/* R || S to DER; 0 when there is no memory. */
static size_t der_of_p1363(struct bytes signature, uint8_t out[static CRYPTO_SIGNATURE_BYTES_MAX])
{
    int width = (int)(signature.size / 2);
    size_t size = 0;
    BIGNUM *r = BN_bin2bn(signature.ptr, width, NULL);
    BIGNUM *s = BN_bin2bn(signature.ptr + width, width, NULL);
    ECDSA_SIG *parsed = ECDSA_SIG_new();
    if (r != NULL && s != NULL && parsed != NULL && ECDSA_SIG_set0(parsed, r, s) == 1) {
        r = NULL; /* transferred */
        s = NULL;
        uint8_t *cursor = out;
        int written = i2d_ECDSA_SIG(parsed, &cursor);
        size = written > 0 ? (size_t)written : 0;
    }
    ECDSA_SIG_free(parsed);
    BN_free(r);
    BN_free(s);
    return size;
}

bool crypto_verify_p1363(enum crypto_signature_algorithm algorithm, struct bytes public_key,
                         struct bytes message, struct bytes signature)
{
    uint8_t der[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t width = scalar_bytes(algorithm);
    if (width == 0 || signature.size != 2 * width) {
        return false;
    }
    size_t size = der_of_p1363(signature, der);
    return size > 0 && crypto_verify(algorithm, public_key, message, bytes_of(der, size));
}
