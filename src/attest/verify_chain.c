/* verify_chain.c: the checks of the chain: is the root one that we know by its bytes, does it vouch
 * for the leaf, is all that valid now, and has nothing of it been revoked. What the leaf says:
 * verify_leaf.c.
 *
 * A root is known by the SHA-256 of its certificate, never by its name: names can be copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"

#include <string.h>

enum { LEAF, INTERMEDIATE, ROOT };

static const char *const certificate_names[INSPECTION_CERTIFICATES] = {"leaf", "intermediate",
                                                                       "root"};

/* AMD's roots, as served by kdsintf.amd.com/vcek/v1/<line>/cert_chain. */
static const uint8_t amd_roots[ATTEST_LINE_COUNT][CRYPTO_SHA256_BYTES] = {
    [ATTEST_MILAN] = {0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1,
                      0xf4, 0x21, 0x0d, 0xe4, 0x9e, 0xf5, 0x55, 0x30, 0x82, 0x87, 0xd4,
                      0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd},
    [ATTEST_GENOA] = {0x4c, 0x65, 0x98, 0xd1, 0x9c, 0x18, 0x71, 0x9c, 0x5d, 0xfd, 0x4a,
                      0x7d, 0x33, 0x5f, 0x67, 0x4e, 0x5b, 0xfe, 0x1d, 0x8f, 0x80, 0x0c,
                      0xea, 0x2c, 0xf2, 0x70, 0xc1, 0x0d, 0x10, 0x3d, 0xb2, 0xf1},
    [ATTEST_TURIN] = {0x1f, 0x08, 0x41, 0x61, 0xa4, 0x4b, 0xb6, 0xd9, 0x37, 0x78, 0xa9,
                      0x04, 0x87, 0x7d, 0x48, 0x19, 0xca, 0xfa, 0x5d, 0x05, 0xef, 0x41,
                      0x93, 0xb2, 0xde, 0xd9, 0xdd, 0x9c, 0x73, 0xdd, 0x3f, 0x6a},
};

static struct bytes root_hash_of(const struct inspection *inspection)
{
    return bytes_of(inspection->root_sha256, sizeof inspection->root_sha256);
}

bool inspection_is_amd_root(const struct inspection *inspection, enum attest_line *out)
{
    for (size_t line = 0; line < ATTEST_LINE_COUNT; line++) {
        if (bytes_equal(root_hash_of(inspection),
                        bytes_of(amd_roots[line], sizeof amd_roots[line]))) {
            *out = (enum attest_line)line;
            return true;
        }
    }
    return false;
}

bool inspection_certificates_present(struct inspection *inspection, struct attest_check *check)
{
    if (inspection->certificate_count != INSPECTION_CERTIFICATES) {
        return inspection_fail(check, "%zu certificates, not leaf, intermediate and root",
                               inspection->certificate_count);
    }
    inspection->have |= HAVE_CHAIN_BYTES;
    return inspection_pass(check, "leaf, intermediate and root");
}

bool inspection_certificates_parse(struct inspection *inspection, struct attest_check *check)
{
    for (size_t i = 0; i < INSPECTION_CERTIFICATES; i++) {
        inspection->certificates[i] = certificate_parse(inspection->certificate_bytes[i]);
        if (inspection->certificates[i] == NULL) {
            return inspection_fail(check, "certificate %zu is not one in DER", i);
        }
    }
    crypto_sha256(inspection->certificate_bytes[ROOT], inspection->root_sha256);
    inspection->have |= HAVE_CERTIFICATES;
    return inspection_pass(check, "three certificates in DER");
}

bool inspection_root_pinned(struct inspection *inspection, struct attest_check *check)
{
    const struct attest_policy *policy = inspection->policy;
    enum attest_line line = ATTEST_MILAN;
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    text_hex_encode(root_hash_of(inspection), hex);
    bool amd = inspection_is_amd_root(inspection, &line);
    if (!inspection->simulated) {
        return amd ? inspection_pass(check, "ARK-%s", attest_line_name(line))
                   : inspection_fail(check, "%s is no root of AMD", hex);
    }
    if (amd) {
        return inspection_fail(check, "a simulated signer cannot have AMD's root");
    }
    if (policy->allowed_simulated_root != NULL &&
        bytes_equal(root_hash_of(inspection),
                    bytes_of(policy->allowed_simulated_root, CRYPTO_SHA256_BYTES))) {
        return inspection_pass(check, "the simulated root that was named: no hardware vouches");
    }
    if (policy->allow_any_simulated_root) {
        return inspection_pass(check, "a simulated root, any is allowed: no hardware vouches");
    }
    return inspection_fail(check, "the simulated root %s was not named", hex);
}

/* Names do not decide who is believed, the root's bytes do. But a certificate that names somebody
 * else than the one who signed it is none of this chain. */
bool inspection_issuer_names(struct inspection *inspection, struct attest_check *check)
{
    for (size_t i = 0; i < INSPECTION_CERTIFICATES; i++) {
        size_t issuer = i < ROOT ? i + 1 : ROOT;
        if (!certificate_names_issuer(inspection->certificates[i],
                                      inspection->certificates[issuer])) {
            return inspection_fail(check, "the %s names another issuer than %s",
                                   certificate_names[i], i < ROOT ? "the next one" : "itself");
        }
    }
    inspection->have |= HAVE_ISSUERS;
    return inspection_pass(check, "each names the next one, the root itself");
}

bool inspection_chain(struct inspection *inspection, struct attest_check *check)
{
    struct x509_st **certificates = inspection->certificates;
    for (size_t i = 0; i < INSPECTION_CERTIFICATES; i++) {
        if (!certificate_signature_is_pss_sha384(certificates[i])) {
            return inspection_fail(check, "certificate %zu is not signed with RSASSA-PSS, SHA-384",
                                   i);
        }
    }
    return certificate_chain_verify(certificates[LEAF], certificates[INTERMEDIATE],
                                    certificates[ROOT], check->detail, sizeof check->detail) &&
           inspection_pass(check, "the root signed itself and the intermediate, that the leaf");
}

bool inspection_certificate_time(struct inspection *inspection, struct attest_check *check)
{
    for (size_t i = 0; i < INSPECTION_CERTIFICATES; i++) {
        int place = certificate_time_place(inspection->certificates[i], inspection->policy->now_ms);
        if (place != 0) {
            return inspection_fail(check, place < 0 ? "the %s is not yet valid" : "the %s expired",
                                   certificate_names[i]);
        }
    }
    return inspection_pass(check, "all three are valid at that time");
}

/* By hand: leaves publish no list, so OpenSSL's own checking would refuse every chain. */
bool inspection_revocation(struct inspection *inspection, struct attest_check *check)
{
    const struct attest_policy *policy = inspection->policy;
    if (policy->crl.size == 0) {
        return policy->crl_required
                   ? inspection_fail(check, "the policy asks for a revocation list, there is none")
                   : inspection_pass_by(check, "no revocation list was given");
    }
    return certificate_crl_verify(policy->crl, inspection->certificates[INTERMEDIATE],
                                  inspection->certificates[ROOT], policy->now_ms, check->detail,
                                  sizeof check->detail) &&
           inspection_pass(check, "the root's list is fresh and does not name the intermediate");
}
