/* native.h: what the files of this folder share of OpenSSL: algorithms fetched once.
 *
 * OpenSSL 3.0 looks an algorithm up in its provider store on every implicit use (EVP_sha256() and
 * its like), under a lock. Fetching once takes that away from every hash, MAC and key. The objects
 * are immutable from then on and shared by all threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CRYPTO_NATIVE_H
#define CRYPTO_NATIVE_H

#include "crypto/crypto.h"

#include <openssl/ec.h>
#include <openssl/evp.h>

struct crypto_native {
    EVP_MD *sha256;
    EVP_MD *sha384;
    EVP_MD *sha512;
    EVP_CIPHER *aes_256_gcm;
    EVP_MAC_CTX *hmac_sha256; /* without a key: duplicated for every use */
    EC_GROUP *p256;
    EVP_PKEY *p256_parameters; /* keys without key material: what points are loaded into */
    EVP_PKEY *p384_parameters;
};

const struct crypto_native *crypto_native(void);

/* For steps that fail only when OpenSSL has no memory or is not there at all, in functions that
 * have no way to say so: ends the process. */
void crypto_require(bool condition);

/* Returns false, with OpenSSL's error queue of this thread emptied. */
bool crypto_fail(void);

/* A public key of the curve of `parameters` from an uncompressed SEC1 point, checked; else NULL. */
EVP_PKEY *crypto_point_load(const EVP_PKEY *parameters, struct bytes point);

#endif
