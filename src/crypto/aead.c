/* aead.c: AES-256-GCM with a 96-bit nonce and a 128-bit tag behind the ciphertext.
 *
 * OpenSSL counts in int, so text and associated data are bounded at INT_MAX bytes; GCM's own bound
 * (2^36 - 32) is far above.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "crypto/native.h"

#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>

static bool sizes_fit(struct bytes aad, struct bytes text)
{
    return aad.size <= INT_MAX && text.size <= INT_MAX;
}

/* Runs aad and text through a context that has its key. An update without output pointer is aad,
 * and one without input would end the stream: empty ones are left out. */
static bool update(EVP_CIPHER_CTX *context, struct bytes aad, struct bytes text, uint8_t *out)
{
    int done = 0;
    if (aad.size > 0 && EVP_CipherUpdate(context, NULL, &done, aad.ptr, (int)aad.size) != 1) {
        return false;
    }
    if (text.size > 0 && (EVP_CipherUpdate(context, out, &done, text.ptr, (int)text.size) != 1 ||
                          (size_t)done != text.size)) {
        return false;
    }
    return true;
}

static bool seal(EVP_CIPHER_CTX *context, const uint8_t *key, const uint8_t *nonce,
                 struct bytes aad, struct bytes plaintext, uint8_t *out)
{
    uint8_t *tag = out + plaintext.size;
    int done = 0;
    return EVP_CipherInit_ex2(context, crypto_native()->aes_256_gcm, key, nonce, 1, NULL) == 1 &&
           update(context, aad, plaintext, out) && EVP_CipherFinal_ex(context, tag, &done) == 1 &&
           done == 0 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CRYPTO_AEAD_TAG_BYTES, tag) == 1;
}

bool crypto_aead_seal(const uint8_t key[static CRYPTO_AEAD_KEY_BYTES],
                      const uint8_t nonce[static CRYPTO_AEAD_NONCE_BYTES], struct bytes aad,
                      struct bytes plaintext, uint8_t *out)
{
    if (!sizes_fit(aad, plaintext)) {
        return false;
    }
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool ok = context != NULL && seal(context, key, nonce, aad, plaintext, out);
    EVP_CIPHER_CTX_free(context); /* wipes the key schedule */
    return ok || crypto_fail();
}

static bool open(EVP_CIPHER_CTX *context, const uint8_t *key, const uint8_t *nonce,
                 struct bytes aad, struct bytes text, const uint8_t *tag, uint8_t *out)
{
    uint8_t expected_tag[CRYPTO_AEAD_TAG_BYTES];
    uint8_t none = 0;
    int done = 0;
    for (size_t i = 0; i < sizeof expected_tag; i++) {
        expected_tag[i] = tag[i]; /* the setter takes no const */
    }
    return EVP_CipherInit_ex2(context, crypto_native()->aes_256_gcm, key, nonce, 0, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CRYPTO_AEAD_TAG_BYTES,
                               expected_tag) == 1 &&
           update(context, aad, text, out) && EVP_CipherFinal_ex(context, &none, &done) == 1 &&
           done == 0;
}

bool crypto_aead_open(const uint8_t key[static CRYPTO_AEAD_KEY_BYTES],
                      const uint8_t nonce[static CRYPTO_AEAD_NONCE_BYTES], struct bytes aad,
                      struct bytes ciphertext, uint8_t *out)
{
    if (ciphertext.size < CRYPTO_AEAD_TAG_BYTES) {
        return false;
    }
    struct bytes text = bytes_of(ciphertext.ptr, ciphertext.size - CRYPTO_AEAD_TAG_BYTES);
    if (!sizes_fit(aad, text)) {
        return false;
    }
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool ok = context != NULL && open(context, key, nonce, aad, text, text.ptr + text.size, out);
    EVP_CIPHER_CTX_free(context);
    if (!ok) {
        memory_wipe(out, text.size); /* GCM decrypts before it knows the tag */
        return crypto_fail();
    }
    return true;
}

/* ---- In pieces: the struct is OpenSSL's ---- */

struct crypto_opening *crypto_aead_open_begin(const uint8_t key[static CRYPTO_AEAD_KEY_BYTES],
                                              const uint8_t nonce[static CRYPTO_AEAD_NONCE_BYTES],
                                              struct bytes aad)
{
    const struct bytes nothing = {NULL, 0};
    EVP_CIPHER_CTX *context = sizes_fit(aad, nothing) ? EVP_CIPHER_CTX_new() : NULL;
    if (context != NULL &&
        (EVP_CipherInit_ex2(context, crypto_native()->aes_256_gcm, key, nonce, 0, NULL) != 1 ||
         !update(context, aad, nothing, NULL))) {
        EVP_CIPHER_CTX_free(context);
        (void)crypto_fail();
        context = NULL;
    }
    return (struct crypto_opening *)context;
}

bool crypto_opening_add(struct crypto_opening *opening, struct bytes ciphertext, uint8_t *out)
{
    const struct bytes nothing = {NULL, 0};
    return (sizes_fit(nothing, ciphertext) &&
            update((EVP_CIPHER_CTX *)opening, nothing, ciphertext, out)) ||
           crypto_fail();
}

bool crypto_opening_end(struct crypto_opening *opening,
                        const uint8_t tag[static CRYPTO_AEAD_TAG_BYTES])
{
    EVP_CIPHER_CTX *context = (EVP_CIPHER_CTX *)opening;
    uint8_t expected_tag[CRYPTO_AEAD_TAG_BYTES];
    uint8_t none = 0;
    int done = 0;
    memcpy(expected_tag, tag, sizeof expected_tag); /* the setter takes no const */
    return (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CRYPTO_AEAD_TAG_BYTES,
                                expected_tag) == 1 &&
            EVP_CipherFinal_ex(context, &none, &done) == 1 && done == 0) ||
           crypto_fail();
}

void crypto_opening_free(struct crypto_opening *opening)
{
    EVP_CIPHER_CTX_free((EVP_CIPHER_CTX *)opening); /* wipes the key schedule */
}
