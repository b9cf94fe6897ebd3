/* hash.c: SHA-2 and the comparison that takes the same time whatever the contents.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/native.h"

#include <openssl/crypto.h>

bool crypto_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.size) == 0);
}

void crypto_sha256(struct bytes in, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    crypto_require(EVP_Digest(in.ptr, in.size, out, NULL, crypto_native()->sha256, NULL) == 1);
}

void crypto_sha384(struct bytes in, uint8_t out[static CRYPTO_SHA384_BYTES])
{
    crypto_require(EVP_Digest(in.ptr, in.size, out, NULL, crypto_native()->sha384, NULL) == 1);
}

void crypto_sha512(struct bytes in, uint8_t out[static CRYPTO_SHA512_BYTES])
{
    crypto_require(EVP_Digest(in.ptr, in.size, out, NULL, crypto_native()->sha512, NULL) == 1);
}

void crypto_sha256_parts(const struct bytes *parts, size_t count,
                         uint8_t out[static CRYPTO_SHA256_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    crypto_require(context != NULL &&
                   EVP_DigestInit_ex2(context, crypto_native()->sha256, NULL) == 1);
    for (size_t i = 0; i < count; i++) {
        crypto_require(EVP_DigestUpdate(context, parts[i].ptr, parts[i].size) == 1);
    }
    crypto_require(EVP_DigestFinal_ex(context, out, NULL) == 1);
    EVP_MD_CTX_free(context);
}

/* ---- In pieces: the struct is OpenSSL's ---- */

struct crypto_sha256 *crypto_sha256_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestInit_ex2(context, crypto_native()->sha256, NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return (struct crypto_sha256 *)context;
}

void crypto_sha256_begin(struct crypto_sha256 *hash)
{
    crypto_require(EVP_DigestInit_ex2((EVP_MD_CTX *)hash, NULL, NULL) == 1);
}

void crypto_sha256_add(struct crypto_sha256 *hash, struct bytes in)
{
    crypto_require(EVP_DigestUpdate((EVP_MD_CTX *)hash, in.ptr, in.size) == 1);
}

void crypto_sha256_get(struct crypto_sha256 *hash, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    crypto_require(EVP_DigestFinal_ex((EVP_MD_CTX *)hash, out, NULL) == 1);
}

void crypto_sha256_free(struct crypto_sha256 *hash)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)hash);
}
