/* response.c: sealing an answer under the request's HPKE context (RFC 9458 section 4.4, our label).
 *
 *   secret         = Export("wasm-hypervisor/1 response", 32)
 *   response_nonce = random(32)
 *   prk            = HKDF-Extract(salt = enc || response_nonce, secret)
 *   key, nonce     = HKDF-Expand(prk, "key", 32), HKDF-Expand(prk, "nonce", 12)
 *   sealed         = response_nonce || AES-256-GCM(key, nonce, aad, plaintext)
 *
 * The random nonce makes a key of its own for every answer, so an answer may be sealed again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "crypto/crypto.h"

#include <string.h>

struct response_keys {
    uint8_t key[CRYPTO_AEAD_KEY_BYTES];
    uint8_t nonce[CRYPTO_AEAD_NONCE_BYTES];
};

static bool derive(const struct crypto_hpke *hpke,
                   const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                   const uint8_t response_nonce[static CRYPTO_RESPONSE_NONCE_BYTES],
                   struct response_keys *keys)
{
    uint8_t secret[CRYPTO_AEAD_KEY_BYTES];
    uint8_t prk[CRYPTO_SHA256_BYTES];
    uint8_t salt[CRYPTO_P256_POINT_BYTES + CRYPTO_RESPONSE_NONCE_BYTES];
    memcpy(salt, enc, CRYPTO_P256_POINT_BYTES);
    memcpy(salt + CRYPTO_P256_POINT_BYTES, response_nonce, CRYPTO_RESPONSE_NONCE_BYTES);
    bool ok =
        crypto_hpke_export(hpke, bytes_of_string(CRYPTO_RESPONSE_LABEL), secret, sizeof secret);
    if (ok) {
        crypto_hkdf_extract(bytes_of(salt, sizeof salt), bytes_of(secret, sizeof secret), prk);
        ok = crypto_hkdf_expand(bytes_of(prk, sizeof prk), bytes_of_string("key"), keys->key,
                                sizeof keys->key) &&
             crypto_hkdf_expand(bytes_of(prk, sizeof prk), bytes_of_string("nonce"), keys->nonce,
                                sizeof keys->nonce);
    }
    memory_wipe(secret, sizeof secret);
    memory_wipe(prk, sizeof prk);
    return ok;
}

bool crypto_response_seal(const struct crypto_hpke *hpke,
                          const uint8_t enc[static CRYPTO_P256_POINT_BYTES], struct bytes aad,
                          struct bytes plaintext, uint8_t *out)
{
    struct response_keys keys;
    crypto_random(out, CRYPTO_RESPONSE_NONCE_BYTES);
    bool ok =
        derive(hpke, enc, out, &keys) &&
        crypto_aead_seal(keys.key, keys.nonce, aad, plaintext, out + CRYPTO_RESPONSE_NONCE_BYTES);
    memory_wipe(&keys, sizeof keys);
    return ok;
}

bool crypto_response_open(const struct crypto_hpke *hpke,
                          const uint8_t enc[static CRYPTO_P256_POINT_BYTES], struct bytes aad,
                          struct bytes sealed, uint8_t *out)
{
    if (sealed.size < CRYPTO_RESPONSE_OVERHEAD_BYTES) {
        return false;
    }
    struct response_keys keys;
    struct bytes ciphertext = bytes_of(sealed.ptr + CRYPTO_RESPONSE_NONCE_BYTES,
                                       sealed.size - CRYPTO_RESPONSE_NONCE_BYTES);
    bool ok = derive(hpke, enc, sealed.ptr, &keys) &&
              crypto_aead_open(keys.key, keys.nonce, aad, ciphertext, out);
    memory_wipe(&keys, sizeof keys);
    return ok;
}
