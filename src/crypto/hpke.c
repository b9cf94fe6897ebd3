/* hpke.c: HPKE, RFC 9180, base mode, for DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
 *
 * Composed from kdf.c, p256.c and aead.c because OpenSSL has an HPKE call only from 3.2 on. The
 * functions bear the names of the RFC's sections; its own test vectors run through every one of
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "crypto/kdf.h"

#include <string.h>

static const uint8_t version_label[] = {'H', 'P', 'K', 'E', '-', 'v', '1'};
/* Section 4.1: "KEM" || I2OSP(kem_id, 2). Section 5.1: "HPKE" || kem_id || kdf_id || aead_id. */
static const uint8_t kem_suite[] = {'K', 'E', 'M', 0x00, CRYPTO_HPKE_KEM};
static const uint8_t hpke_suite[] = {
    'H', 'P', 'K', 'E', 0x00, CRYPTO_HPKE_KEM, 0x00, CRYPTO_HPKE_KDF, 0x00, CRYPTO_HPKE_AEAD};

#define SUITE_OF(array) bytes_of((array), sizeof(array))

/* Section 4: LabeledExtract(salt, label, ikm). */
static void labeled_extract(struct bytes suite, struct bytes salt, const char *label,
                            struct bytes ikm, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    const struct bytes parts[] = {SUITE_OF(version_label), suite, bytes_of_string(label), ikm};
    crypto_hmac_parts(salt, parts, sizeof parts / sizeof parts[0], out);
}

/* Section 4: LabeledExpand(prk, label, info, L). */
static bool labeled_expand(struct bytes suite, struct bytes prk, const char *label,
                           struct bytes info, uint8_t *out, size_t size)
{
    if (size > UINT16_MAX) {
        return false;
    }
    const uint8_t size_be[2] = {(uint8_t)(size >> 8), (uint8_t)size};
    const struct bytes parts[] = {bytes_of(size_be, sizeof size_be), SUITE_OF(version_label), suite,
                                  bytes_of_string(label), info};
    return crypto_hkdf_expand_parts(prk, parts, sizeof parts / sizeof parts[0], out, size);
}

/* Section 4.1: ExtractAndExpand(dh, enc || pkRm). */
static bool kem_secret(const uint8_t dh[static CRYPTO_P256_SECRET_BYTES],
                       const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                       const uint8_t recipient[static CRYPTO_P256_POINT_BYTES],
                       uint8_t out[static CRYPTO_SHA256_BYTES])
{
    uint8_t eae_prk[CRYPTO_SHA256_BYTES];
    uint8_t kem_context[2 * CRYPTO_P256_POINT_BYTES];
    memcpy(kem_context, enc, CRYPTO_P256_POINT_BYTES);
    memcpy(kem_context + CRYPTO_P256_POINT_BYTES, recipient, CRYPTO_P256_POINT_BYTES);
    labeled_extract(SUITE_OF(kem_suite), bytes_of(NULL, 0), "eae_prk",
                    bytes_of(dh, CRYPTO_P256_SECRET_BYTES), eae_prk);
    bool ok =
        labeled_expand(SUITE_OF(kem_suite), bytes_of(eae_prk, sizeof eae_prk), "shared_secret",
                       bytes_of(kem_context, sizeof kem_context), out, CRYPTO_SHA256_BYTES);
    memory_wipe(eae_prk, sizeof eae_prk);
    return ok;
}

/* Section 5.1: KeySchedule of mode_base, where psk and psk_id are empty. */
static bool key_schedule(struct crypto_hpke *hpke,
                         const uint8_t shared_secret[static CRYPTO_SHA256_BYTES], struct bytes info)
{
    const struct bytes suite = SUITE_OF(hpke_suite);
    const struct bytes empty = bytes_of(NULL, 0);
    uint8_t context[1 + 2 * CRYPTO_SHA256_BYTES] = {0x00}; /* mode_base */
    uint8_t secret[CRYPTO_SHA256_BYTES];
    labeled_extract(suite, empty, "psk_id_hash", empty, context + 1);
    labeled_extract(suite, empty, "info_hash", info, context + 1 + CRYPTO_SHA256_BYTES);
    labeled_extract(suite, bytes_of(shared_secret, CRYPTO_SHA256_BYTES), "secret", empty, secret);

    const struct bytes prk = bytes_of(secret, sizeof secret);
    const struct bytes schedule = bytes_of(context, sizeof context);
    bool ok = labeled_expand(suite, prk, "key", schedule, hpke->key, sizeof hpke->key) &&
              labeled_expand(suite, prk, "base_nonce", schedule, hpke->base_nonce,
                             sizeof hpke->base_nonce) &&
              labeled_expand(suite, prk, "exp", schedule, hpke->exporter_secret,
                             sizeof hpke->exporter_secret);
    hpke->sequence = 0;
    memory_wipe(secret, sizeof secret);
    return ok;
}

/* What Encap and Decap have in common, and the key schedule after them. */
static bool setup(struct crypto_hpke *hpke, const struct crypto_p256_key *mine,
                  const uint8_t peer[static CRYPTO_P256_POINT_BYTES],
                  const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                  const uint8_t recipient[static CRYPTO_P256_POINT_BYTES], struct bytes info)
{
    uint8_t dh[CRYPTO_P256_SECRET_BYTES];
    uint8_t shared_secret[CRYPTO_SHA256_BYTES];
    bool ok = crypto_p256_ecdh(mine, peer, dh) && kem_secret(dh, enc, recipient, shared_secret) &&
              key_schedule(hpke, shared_secret, info);
    memory_wipe(dh, sizeof dh);
    memory_wipe(shared_secret, sizeof shared_secret);
    if (!ok) {
        crypto_hpke_release(hpke);
    }
    return ok;
}

bool crypto_hpke_receive(struct crypto_hpke *hpke, const struct crypto_p256_key *key,
                         const uint8_t enc[static CRYPTO_P256_POINT_BYTES], struct bytes info)
{
    uint8_t recipient[CRYPTO_P256_POINT_BYTES];
    crypto_p256_public(key, recipient);
    return setup(hpke, key, enc, enc, recipient, info);
}

bool crypto_hpke_send(struct crypto_hpke *hpke,
                      const uint8_t recipient[static CRYPTO_P256_POINT_BYTES], struct bytes info,
                      const struct crypto_p256_key *ephemeral,
                      uint8_t enc_out[static CRYPTO_P256_POINT_BYTES])
{
    struct crypto_p256_key *fresh = ephemeral == NULL ? crypto_p256_generate() : NULL;
    const struct crypto_p256_key *key = ephemeral == NULL ? fresh : ephemeral;
    if (key == NULL) {
        return false;
    }
    crypto_p256_public(key, enc_out);
    bool ok = setup(hpke, key, recipient, enc_out, recipient, info);
    crypto_p256_free(fresh);
    return ok;
}

/* Section 5.2: ComputeNonce. The counter is 64 bits of the 96 that the nonce has. */
static void compute_nonce(const struct crypto_hpke *hpke,
                          uint8_t out[static CRYPTO_AEAD_NONCE_BYTES])
{
    memcpy(out, hpke->base_nonce, CRYPTO_AEAD_NONCE_BYTES);
    for (size_t i = 0; i < sizeof hpke->sequence; i++) {
        out[CRYPTO_AEAD_NONCE_BYTES - 1 - i] ^= (uint8_t)(hpke->sequence >> (8 * i));
    }
}

bool crypto_hpke_seal(struct crypto_hpke *hpke, struct bytes aad, struct bytes plaintext,
                      uint8_t *out)
{
    uint8_t nonce[CRYPTO_AEAD_NONCE_BYTES];
    compute_nonce(hpke, nonce);
    if (hpke->sequence == UINT64_MAX || !crypto_aead_seal(hpke->key, nonce, aad, plaintext, out)) {
        return false;
    }
    hpke->sequence++;
    return true;
}

bool crypto_hpke_open(struct crypto_hpke *hpke, struct bytes aad, struct bytes ciphertext,
                      uint8_t *out)
{
    uint8_t nonce[CRYPTO_AEAD_NONCE_BYTES];
    compute_nonce(hpke, nonce);
    if (hpke->sequence == UINT64_MAX || !crypto_aead_open(hpke->key, nonce, aad, ciphertext, out)) {
        return false;
    }
    hpke->sequence++;
    return true;
}

struct crypto_opening *crypto_hpke_open_begin(const struct crypto_hpke *hpke, struct bytes aad)
{
    uint8_t nonce[CRYPTO_AEAD_NONCE_BYTES];
    compute_nonce(hpke, nonce);
    return hpke->sequence == UINT64_MAX ? NULL : crypto_aead_open_begin(hpke->key, nonce, aad);
}

void crypto_hpke_opened(struct crypto_hpke *hpke)
{
    hpke->sequence++;
}

/* Section 5.3. */
bool crypto_hpke_export(const struct crypto_hpke *hpke, struct bytes context, uint8_t *out,
                        size_t size)
{
    return labeled_expand(SUITE_OF(hpke_suite),
                          bytes_of(hpke->exporter_secret, sizeof hpke->exporter_secret), "sec",
                          context, out, size);
}

void crypto_hpke_release(struct crypto_hpke *hpke)
{
    memory_wipe(hpke, sizeof *hpke);
}
