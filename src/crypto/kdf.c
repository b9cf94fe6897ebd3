/* kdf.c: HKDF with SHA-256 (RFC 5869) over OpenSSL's HMAC.
 *
 * OpenSSL's own HKDF object wants its inputs in one piece and a parameter list per call. HPKE calls
 * the two halves eight times per execution with inputs in several pieces, so the four lines of RFC
 * 5869 section 2 stand here, on HMAC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/kdf.h"

#include "base/arena.h"
#include "crypto/native.h"

#include <assert.h>
#include <string.h>

void crypto_hmac_parts(struct bytes key, const struct bytes *parts, size_t count,
                       uint8_t out[static CRYPTO_SHA256_BYTES])
{
    /* HMAC fills a short key up with zeros: 32 of them are the empty key, and a pointer that
     * OpenSSL does not take for "no key given". */
    static const uint8_t empty[CRYPTO_SHA256_BYTES];
    if (key.size == 0) {
        key = bytes_of(empty, sizeof empty);
    }
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(crypto_native()->hmac_sha256);
    crypto_require(context != NULL && EVP_MAC_init(context, key.ptr, key.size, NULL) == 1);
    for (size_t i = 0; i < count; i++) {
        crypto_require(EVP_MAC_update(context, parts[i].ptr, parts[i].size) == 1);
    }
    crypto_require(EVP_MAC_final(context, out, NULL, CRYPTO_SHA256_BYTES) == 1);
    EVP_MAC_CTX_free(context);
}

void crypto_hkdf_extract(struct bytes salt, struct bytes ikm,
                         uint8_t out[static CRYPTO_SHA256_BYTES])
{
    crypto_hmac_parts(salt, &ikm, 1, out);
}

bool crypto_hkdf_expand_parts(struct bytes prk, const struct bytes *info, size_t info_count,
                              uint8_t *out, size_t out_size)
{
    assert(info_count <= CRYPTO_EXPAND_PARTS_MAX);
    if (out_size > (size_t)255 * CRYPTO_SHA256_BYTES) {
        return false;
    }
    /* T(i) = HMAC(prk, T(i-1) || info || i) */
    uint8_t block[CRYPTO_SHA256_BYTES];
    uint8_t counter = 0;
    struct bytes parts[CRYPTO_EXPAND_PARTS_MAX + 2];
    parts[0] = bytes_of(NULL, 0);
    for (size_t i = 0; i < info_count; i++) {
        parts[1 + i] = info[i];
    }
    parts[1 + info_count] = bytes_of(&counter, 1);
    for (size_t done = 0; done < out_size;) {
        counter++;
        crypto_hmac_parts(prk, parts, info_count + 2, block);
        parts[0] = bytes_of(block, sizeof block);
        size_t take = out_size - done < sizeof block ? out_size - done : sizeof block;
        memcpy(out + done, block, take);
        done += take;
    }
    memory_wipe(block, sizeof block);
    return true;
}

bool crypto_hkdf_expand(struct bytes prk, struct bytes info, uint8_t *out, size_t out_size)
{
    return crypto_hkdf_expand_parts(prk, &info, 1, out, out_size);
}
