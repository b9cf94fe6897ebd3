/* simulated_make.c: makes the simulated signer: ARK and ASK (RSA-4096, PSS) and a VCEK (P-384) with
 * AMD's extensions.
 *
 * The private keys of ARK and ASK are used once and forgotten: nobody can issue a second VCEK under
 * a root that somebody has come to trust.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/simulated_make.h"

#include "attest/certificate.h"
#include "attest/chain.h"

#define DAY_MS INT64_C(86400000)

enum {
    AUTHORITY_DAYS = 25 * 365,
    LEAF_DAYS = 7 * 365,
    LEAF_EXTENSIONS = 11,
};

/* DER INTEGER of a byte: with a zero before it when it would read as negative. */
static struct bytes integer_der(uint8_t value, uint8_t out[static 4])
{
    bool high = value >= 0x80;
    out[0] = 0x02;
    out[1] = high ? 2 : 1;
    out[2] = high ? 0 : value;
    out[3] = value;
    return bytes_of(out, high ? 4 : 3);
}

static bool leaf_make(const struct crypto_signer *leaf, const struct crypto_signer *issuer,
                      const uint8_t chip_id[static 64], int64_t now_ms, struct buffer *out,
                      struct err *err)
{
    static const uint8_t product[] = {0x16, sizeof SIMULATED_PRODUCT - 1, 'G', 'e', 'n', 'o', 'a'};
    static const char *const tcb_names[] = {
        CERTIFICATE_BOOTLOADER_SPL, CERTIFICATE_TEE_SPL,       CERTIFICATE_SPL4,
        CERTIFICATE_SPL5,           CERTIFICATE_SPL6,          CERTIFICATE_SPL7,
        CERTIFICATE_SNP_SPL,        CERTIFICATE_MICROCODE_SPL,
    };
    uint8_t struct_version[4];
    uint8_t tcb[sizeof(uint64_t)][4];
    struct certificate_extension_value extensions[LEAF_EXTENSIONS] = {
        {CERTIFICATE_STRUCT_VERSION, integer_der(0, struct_version)},
        {CERTIFICATE_PRODUCT_NAME, bytes_of(product, sizeof product)},
        {CERTIFICATE_HARDWARE_ID, bytes_of(chip_id, 64)},
    };
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        extensions[3 + i].name = tcb_names[i];
        extensions[3 + i].value = integer_der((uint8_t)(SIMULATED_TCB >> (8 * i)), tcb[i]);
    }
    const struct certificate_template template = {
        .role = CERTIFICATE_LEAF,
        .subject = "SEV-VCEK",
        .issuer = "SEV-Simulated",
        .not_before_ms = now_ms - DAY_MS,
        .not_after_ms = now_ms + LEAF_DAYS * DAY_MS,
        .extensions = extensions,
        .extension_count = LEAF_EXTENSIONS,
    };
    return certificate_make(&template, leaf, issuer, out, err);
}

static bool authority_make(enum certificate_role role, const struct crypto_signer *subject,
                           const struct crypto_signer *issuer, int64_t now_ms, struct buffer *out,
                           struct err *err)
{
    const struct certificate_template template = {
        .role = role,
        .subject = role == CERTIFICATE_ROOT ? "ARK-Simulated" : "SEV-Simulated",
        .issuer = "ARK-Simulated",
        .not_before_ms = now_ms - DAY_MS,
        .not_after_ms = now_ms + AUTHORITY_DAYS * DAY_MS,
    };
    return certificate_make(&template, subject, issuer, out, err);
}

bool simulated_make(const struct crypto_signer *leaf, int64_t now_ms, struct buffer *chain,
                    struct err *err)
{
    uint8_t chip_id[64];
    struct buffer der[3]; /* leaf, ASK, ARK */
    for (size_t i = 0; i < 3; i++) {
        buffer_init(&der[i], CERTIFICATE_BYTES_MAX);
    }
    struct crypto_signer *root = crypto_signer_generate(CRYPTO_RSA_4096);
    struct crypto_signer *intermediate = crypto_signer_generate(CRYPTO_RSA_4096);
    crypto_random(chip_id, sizeof chip_id);
    bool ok = (root != NULL && intermediate != NULL) ||
              err_set(err, ERR_CRYPTO, "cannot make the simulated signer's keys");
    ok = ok && leaf_make(leaf, intermediate, chip_id, now_ms, &der[0], err) &&
         authority_make(CERTIFICATE_INTERMEDIATE, intermediate, root, now_ms, &der[1], err) &&
         authority_make(CERTIFICATE_ROOT, root, root, now_ms, &der[2], err);
    for (size_t i = 0; i < 3; i++) {
        chain_append(chain, buffer_bytes(&der[i]));
        buffer_release(&der[i]);
    }
    crypto_signer_free(root);
    crypto_signer_free(intermediate);
    return ok && (!chain->failed || err_set(err, ERR_NO_MEMORY, "no memory for certificates"));
}
