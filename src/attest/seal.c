/* seal.c: sealing and opening (seal.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/seal.h"

#include "base/arena.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEX_CHARS = 2 * CRYPTO_SHA384_BYTES, BOUND_CHARS_MAX = 192 };

struct attest_sealer {
    uint8_t secret[CRYPTO_SHA256_BYTES]; /* HKDF's pseudorandom key */
    struct sealed bound;                 /* its header, without purpose and nonce */
    char text[BOUND_CHARS_MAX];
};

bool attest_sealer_new(const struct tee *tee, struct attest_sealer **out, struct err *err)
{
    struct tee_derived derived;
    char measurement[HEX_CHARS + 1];
    struct attest_sealer *sealer = HEAP_NEW(struct attest_sealer);
    if (sealer == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a sealing key");
    }
    if (!tee->derived_key(tee->context, SEAL_FIELDS, &derived, err)) {
        heap_free(sealer);
        return false;
    }
    crypto_hkdf_extract(bytes_of_string("wasm-hypervisor/1 seal"),
                        bytes_of(derived.key, sizeof derived.key), sealer->secret);
    sealer->bound.fields = SEAL_FIELDS;
    sealer->bound.guest_policy = derived.guest_policy;
    memcpy(sealer->bound.measurement, derived.measurement, sizeof derived.measurement);
    snprintf(sealer->bound.root_key, sizeof sealer->bound.root_key, "%s", derived.root_key);
    memory_wipe(&derived, sizeof derived);
    text_hex_encode(bytes_of(sealer->bound.measurement, CRYPTO_SHA384_BYTES), measurement);
    snprintf(sealer->text, sizeof sealer->text,
             "root key %s, measurement %s, guest policy %#" PRIx64, sealer->bound.root_key,
             measurement, sealer->bound.guest_policy);
    *out = sealer;
    return true;
}

void attest_sealer_free(struct attest_sealer *sealer)
{
    if (sealer != NULL) {
        memory_wipe(sealer, sizeof *sealer);
        heap_free(sealer);
    }
}

const char *attest_sealer_bound_to(const struct attest_sealer *sealer)
{
    return sealer->text;
}

static bool key_of(const struct attest_sealer *sealer, enum attest_seal_purpose purpose,
                   uint8_t out[static CRYPTO_AEAD_KEY_BYTES])
{
    char info[64];
    snprintf(info, sizeof info, "wasm-hypervisor/1 seal %s", seal_purpose_name(purpose));
    return crypto_hkdf_expand(bytes_of(sealer->secret, sizeof sealer->secret),
                              bytes_of_string(info), out, CRYPTO_AEAD_KEY_BYTES);
}

bool attest_seal(const struct attest_sealer *sealer, enum attest_seal_purpose purpose,
                 const uint8_t secret[static ATTEST_SEALED_SECRET_BYTES], struct buffer *out,
                 struct err *err)
{
    uint8_t key[CRYPTO_AEAD_KEY_BYTES];
    struct sealed sealed = sealer->bound;
    struct buffer associated;
    buffer_init(&associated, ATTEST_SEALED_BYTES_MAX);
    sealed.purpose = purpose;
    crypto_random(sealed.nonce, sizeof sealed.nonce);
    sealed_associated(&sealed, &associated);
    bool ok = !associated.failed && key_of(sealer, purpose, key) &&
              crypto_aead_seal(key, sealed.nonce, buffer_bytes(&associated),
                               bytes_of(secret, ATTEST_SEALED_SECRET_BYTES), sealed.ciphertext);
    memory_wipe(key, sizeof key);
    buffer_release(&associated);
    if (ok) {
        sealed_write(&sealed, out);
    }
    return (ok && !out->failed) || err_set(err, ERR_NO_MEMORY, "no memory for sealing a key");
}

/* Each of these would fail to decrypt anyhow; here it is said why. */
static bool is_for_us(const struct attest_sealer *sealer, enum attest_seal_purpose purpose,
                      const struct sealed *sealed, struct err *err)
{
    const struct sealed *ours = &sealer->bound;
    char theirs_hex[HEX_CHARS + 1], ours_hex[HEX_CHARS + 1];
    if (sealed->purpose != purpose) {
        return err_set(err, ERR_CONFIG, "sealed as a %s, not as a %s",
                       seal_purpose_name(sealed->purpose), seal_purpose_name(purpose));
    }
    if (strcmp(sealed->root_key, ours->root_key) != 0) {
        return err_set(err, ERR_CONFIG, "sealed under the root key %s, this VM has %s",
                       sealed->root_key, ours->root_key);
    }
    if (sealed->fields != ours->fields) {
        return err_set(err, ERR_CONFIG,
                       "sealed for the guest fields %#" PRIx64 ", this program asks for %#" PRIx64,
                       sealed->fields, ours->fields);
    }
    if (memcmp(sealed->measurement, ours->measurement, sizeof ours->measurement) != 0) {
        text_hex_encode(bytes_of(sealed->measurement, CRYPTO_SHA384_BYTES), theirs_hex);
        text_hex_encode(bytes_of(ours->measurement, CRYPTO_SHA384_BYTES), ours_hex);
        return err_set(err, ERR_CONFIG, "sealed for measurement %s, this VM measures %s",
                       theirs_hex, ours_hex);
    }
    return sealed->guest_policy == ours->guest_policy ||
           err_set(err, ERR_CONFIG, "sealed for guest policy %#" PRIx64 ", this VM has %#" PRIx64,
                   sealed->guest_policy, ours->guest_policy);
}

bool attest_unseal(const struct attest_sealer *sealer, enum attest_seal_purpose purpose,
                   struct bytes file, uint8_t out[static ATTEST_SEALED_SECRET_BYTES],
                   struct err *err)
{
    uint8_t key[CRYPTO_AEAD_KEY_BYTES];
    struct sealed sealed;
    struct buffer associated;
    if (!sealed_read(file, &sealed, err) || !is_for_us(sealer, purpose, &sealed, err)) {
        return false;
    }
    buffer_init(&associated, ATTEST_SEALED_BYTES_MAX);
    sealed_associated(&sealed, &associated);
    if (associated.failed) {
        buffer_release(&associated);
        return err_set(err, ERR_NO_MEMORY, "no memory to open a sealed key");
    }
    bool ok = key_of(sealer, purpose, key) &&
              crypto_aead_open(key, sealed.nonce, buffer_bytes(&associated),
                               bytes_of(sealed.ciphertext, sizeof sealed.ciphertext), out);
    memory_wipe(key, sizeof key);
    buffer_release(&associated);
    return ok || err_set(err, ERR_TAMPERED,
                         "does not open, though image and policy are those that it was sealed for: "
                         "it was changed, or is of another %s",
                         strcmp(sealed.root_key, "vcek") == 0 ? "processor" : "simulator");
}
