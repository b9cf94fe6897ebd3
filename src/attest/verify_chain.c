/* verify_chain.c: the checks of the certificates: is the root one that we know by its bytes, does
 * it vouch for the leaf, and does the leaf speak of this report's chip and firmware.
 *
 * A root is known by the SHA-256 of its certificate, never by its name: names can be copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"

#include <string.h>

enum { LEAF, INTERMEDIATE, ROOT };

/* AMD's roots, as served by kdsintf.amd.com/vcek/v1/<line>/cert_chain. */
static const uint8_t amd_roots[REPORT_LINE_COUNT][CRYPTO_SHA256_BYTES] = {
    [REPORT_MILAN] = {0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1,
                      0xf4, 0x21, 0x0d, 0xe4, 0x9e, 0xf5, 0x55, 0x30, 0x82, 0x87, 0xd4,
                      0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd},
    [REPORT_GENOA] = {0x4c, 0x65, 0x98, 0xd1, 0x9c, 0x18, 0x71, 0x9c, 0x5d, 0xfd, 0x4a,
                      0x7d, 0x33, 0x5f, 0x67, 0x4e, 0x5b, 0xfe, 0x1d, 0x8f, 0x80, 0x0c,
                      0xea, 0x2c, 0xf2, 0x70, 0xc1, 0x0d, 0x10, 0x3d, 0xb2, 0xf1},
    [REPORT_TURIN] = {0x1f, 0x08, 0x41, 0x61, 0xa4, 0x4b, 0xb6, 0xd9, 0x37, 0x78, 0xa9,
                      0x04, 0x87, 0x7d, 0x48, 0x19, 0xca, 0xfa, 0x5d, 0x05, 0xef, 0x41,
                      0x93, 0xb2, 0xde, 0xd9, 0xdd, 0x9c, 0x73, 0xdd, 0x3f, 0x6a},
};

static struct bytes root_hash_of(const struct inspection *inspection)
{
    return bytes_of(inspection->root_sha256, sizeof inspection->root_sha256);
}

static bool is_amd_root(const struct inspection *inspection, enum report_line *out)
{
    for (size_t line = 0; line < REPORT_LINE_COUNT; line++) {
        if (bytes_equal(root_hash_of(inspection),
                        bytes_of(amd_roots[line], sizeof amd_roots[line]))) {
            *out = (enum report_line)line;
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
    return true;
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
    return true;
}

bool inspection_root_pinned(struct inspection *inspection, struct attest_check *check)
{
    const struct attest_policy *policy = inspection->policy;
    enum report_line line = REPORT_MILAN;
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    text_hex_encode(root_hash_of(inspection), hex);
    bool amd = is_amd_root(inspection, &line);
    if (!inspection->simulated) {
        return amd ? inspection_pass(check, "ARK-%s", report_line_names[line])
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
                                    certificates[ROOT], inspection->policy->now_ms, check->detail,
                                    sizeof check->detail);
}

bool inspection_leaf_key(struct inspection *inspection, struct attest_check *check)
{
    if (!certificate_p384_key(inspection->certificates[LEAF], inspection->leaf_key)) {
        return inspection_fail(check, "the leaf's key is not on P-384");
    }
    inspection->have |= HAVE_LEAF_KEY;
    return true;
}

bool inspection_leaf_kind(struct inspection *inspection, struct attest_check *check)
{
    char name[CERTIFICATE_NAME_BYTES_MAX] = "";
    uint32_t key = report_signing_key(&inspection->report);
    const char *expected = key == REPORT_KEY_VCEK   ? "SEV-VCEK"
                           : key == REPORT_KEY_VLEK ? "SEV-VLEK"
                                                    : NULL;
    if (expected == NULL) {
        return inspection_fail(check, "the report names signing key %u, neither VCEK nor VLEK",
                               key);
    }
    if (!certificate_common_name(inspection->certificates[LEAF], name) ||
        strcmp(name, expected) != 0) {
        return inspection_fail(check, "the report is signed as %s, the leaf is \"%s\"", expected,
                               name);
    }
    return inspection_pass(check, "%s", expected);
}

bool inspection_product(struct inspection *inspection, struct attest_check *check)
{
    const struct report *report = &inspection->report;
    char name[CERTIFICATE_NAME_BYTES_MAX] = "";
    enum report_line line = REPORT_MILAN;
    enum report_line other = REPORT_MILAN;
    if (!certificate_extension_text(inspection->certificates[LEAF], CERTIFICATE_PRODUCT_NAME,
                                    name)) {
        return inspection_fail(check, "the leaf does not name its product");
    }
    /* "Milan-B0": the line, and perhaps a stepping. */
    while (strncmp(name, report_line_names[line], strlen(report_line_names[line])) != 0) {
        line++;
        if (line == REPORT_LINE_COUNT) {
            return inspection_fail(check, "the leaf's product \"%s\" is not known", name);
        }
    }
    if (report->version >= 3 && !(report_line_of(report, &other) && other == line)) {
        return inspection_fail(check, "the leaf is for %s, the report from CPU %02x/%02x",
                               report_line_names[line], report->cpu_family, report->cpu_model);
    }
    if (is_amd_root(inspection, &other) && other != line) {
        return inspection_fail(check, "the leaf is for %s, the root for %s",
                               report_line_names[line], report_line_names[other]);
    }
    inspection->line = line;
    inspection->have |= HAVE_LINE;
    return inspection_pass(check, "%s", name);
}

/* The TCB that the leaf was issued for, in the order of the report's bytes on that line. */
static bool leaf_tcb(const struct x509_st *leaf, enum report_line line, uint64_t *out)
{
    static const char *const milan_genoa[] = {
        CERTIFICATE_BOOTLOADER_SPL, CERTIFICATE_TEE_SPL,       CERTIFICATE_SPL4,
        CERTIFICATE_SPL5,           CERTIFICATE_SPL6,          CERTIFICATE_SPL7,
        CERTIFICATE_SNP_SPL,        CERTIFICATE_MICROCODE_SPL,
    };
    static const char *const turin[] = {
        CERTIFICATE_FMC_SPL, CERTIFICATE_BOOTLOADER_SPL, CERTIFICATE_TEE_SPL,
        CERTIFICATE_SNP_SPL, CERTIFICATE_SPL5,           CERTIFICATE_SPL6,
        CERTIFICATE_SPL7,    CERTIFICATE_MICROCODE_SPL,
    };
    const char *const *names = line == REPORT_TURIN ? turin : milan_genoa;
    uint64_t tcb = 0;
    for (size_t i = 0; i < sizeof tcb; i++) {
        uint8_t part = 0;
        if (!certificate_extension_u8(leaf, names[i], &part)) {
            return false;
        }
        tcb |= (uint64_t)part << (8 * i);
    }
    *out = tcb;
    return true;
}

/* The hardware id is the chip id's 64 bytes, bare or as an OCTET STRING; on Turin its first 8, the
 * rest of the chip id being zero. */
static bool hardware_id_matches(struct bytes id, const uint8_t chip_id[static 64])
{
    uint8_t whole[64] = {0};
    if (id.size == 66 && id.ptr[0] == 0x04 && id.ptr[1] == 64) {
        id = bytes_of(id.ptr + 2, 64);
    }
    if (id.size != 64 && id.size != 8) {
        return false;
    }
    memcpy(whole, id.ptr, id.size);
    return bytes_equal(bytes_of(whole, sizeof whole), bytes_of(chip_id, sizeof whole));
}

bool inspection_leaf_extensions(struct inspection *inspection, struct attest_check *check)
{
    const struct x509_st *leaf = inspection->certificates[LEAF];
    const struct report *report = &inspection->report;
    char provider[CERTIFICATE_NAME_BYTES_MAX];
    struct bytes id;
    uint64_t tcb = 0;
    if (!leaf_tcb(leaf, inspection->line, &tcb)) {
        return inspection_fail(check, "the leaf does not name its TCB");
    }
    if (tcb != report->reported_tcb) {
        return inspection_fail(check, "the leaf is for TCB %016llx, the report says %016llx",
                               (unsigned long long)tcb, (unsigned long long)report->reported_tcb);
    }
    bool has_id = certificate_extension(leaf, CERTIFICATE_HARDWARE_ID, &id);
    bool has_provider = certificate_extension_text(leaf, CERTIFICATE_CSP_ID, provider);
    if (report_signing_key(report) == REPORT_KEY_VLEK) {
        return (has_provider && !has_id) ||
               inspection_fail(check, "a VLEK names its cloud provider and no chip");
    }
    if (!has_id || has_provider) {
        return inspection_fail(check, "a VCEK names its chip and no cloud provider");
    }
    return hardware_id_matches(id, report->chip_id) ||
           inspection_fail(check, "the leaf belongs to another chip");
}
