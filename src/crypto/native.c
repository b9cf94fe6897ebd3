/* native.c: fetches the algorithms of native.h once per process.
 *
 * A process whose OpenSSL lacks SHA-2, AES-GCM or the NIST curves can do nothing of what it is for,
 * so a failed fetch ends it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/native.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/err.h>

static struct crypto_native native;
static pthread_once_t native_once = PTHREAD_ONCE_INIT;

void crypto_require(bool condition)
{
    if (!condition) {
        fputs("crypto: OpenSSL has no memory or lacks an algorithm that is needed\n", stderr);
        abort();
    }
}

bool crypto_fail(void)
{
    ERR_clear_error();
    return false;
}

static EVP_PKEY *curve_parameters(char *curve)
{
    EVP_PKEY *parameters = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    const OSSL_PARAM settings[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
        OSSL_PARAM_construct_end(),
    };
    crypto_require(context != NULL && EVP_PKEY_paramgen_init(context) == 1 &&
                   EVP_PKEY_CTX_set_params(context, settings) == 1 &&
                   EVP_PKEY_paramgen(context, &parameters) == 1);
    EVP_PKEY_CTX_free(context);
    return parameters;
}

static EVP_MAC_CTX *hmac_context(void)
{
    char digest[] = "SHA2-256";
    const OSSL_PARAM settings[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    crypto_require(mac != NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    crypto_require(context != NULL && EVP_MAC_CTX_set_params(context, settings) == 1);
    EVP_MAC_free(mac); /* the context holds its own reference */
    return context;
}

static void native_release(void)
{
    EVP_MD_free(native.sha256);
    EVP_MD_free(native.sha384);
    EVP_MD_free(native.sha512);
    EVP_CIPHER_free(native.aes_256_gcm);
    EVP_MAC_CTX_free(native.hmac_sha256);
    EC_GROUP_free(native.p256);
    EVP_PKEY_free(native.p256_parameters);
    EVP_PKEY_free(native.p384_parameters);
}

static void native_init(void)
{
    char p256[] = "P-256";
    char p384[] = "P-384";
    native.sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    native.sha384 = EVP_MD_fetch(NULL, "SHA2-384", NULL);
    native.sha512 = EVP_MD_fetch(NULL, "SHA2-512", NULL);
    native.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    crypto_require(native.sha256 != NULL && native.sha384 != NULL && native.sha512 != NULL &&
                   native.aes_256_gcm != NULL);
    native.hmac_sha256 = hmac_context();
    native.p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    crypto_require(native.p256 != NULL);
    native.p256_parameters = curve_parameters(p256);
    native.p384_parameters = curve_parameters(p384);
    /* Before OpenSSL's own end-of-process work: it runs such handlers last in, first out. */
    crypto_require(OPENSSL_atexit(native_release) == 1);
}

const struct crypto_native *crypto_native(void)
{
    crypto_require(pthread_once(&native_once, native_init) == 0);
    return &native;
}

EVP_PKEY *crypto_point_load(const EVP_PKEY *parameters, struct bytes point)
{
    /* SEC1 also knows compressed (2, 3) and hybrid (6, 7) forms and the one-byte infinity. */
    size_t expected = 2 * (((size_t)EVP_PKEY_get_bits(parameters) + 7) / 8) + 1;
    if (point.size != expected || point.ptr[0] != 0x04) {
        return NULL;
    }
    EVP_PKEY *key = EVP_PKEY_new();
    EVP_PKEY_CTX *check = NULL;
    bool ok = key != NULL && EVP_PKEY_copy_parameters(key, parameters) == 1 &&
              EVP_PKEY_set1_encoded_public_key(key, point.ptr, point.size) == 1;
    /* The quick check is: not infinity, coordinates below p, on the curve. With cofactor 1 that is
     * all of SP 800-56A section 5.6.2.3.3; the multiplication by the order adds nothing. */
    ok = ok && (check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) != NULL &&
         EVP_PKEY_public_check_quick(check) == 1;
    EVP_PKEY_CTX_free(check);
    if (!ok) {
        EVP_PKEY_free(key);
        (void)crypto_fail();
        return NULL;
    }
    return key;
}
