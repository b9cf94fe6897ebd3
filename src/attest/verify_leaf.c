/* verify_leaf.c: what the leaf says: its key, its kind, its product, the firmware and the chip that
 * it was issued for. All of it must be what the report says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"

#include <inttypes.h>
#include <string.h>

enum { LEAF };

bool inspection_leaf_key(struct inspection *inspection, struct attest_check *check)
{
    if (!certificate_p384_key(inspection->certificates[LEAF], inspection->leaf_key)) {
        return inspection_fail(check, "the leaf's key is not on P-384");
    }
    inspection->have |= HAVE_LEAF_KEY;
    return inspection_pass(check, "a point on P-384");
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
    enum attest_line line = ATTEST_MILAN;
    enum attest_line other = ATTEST_MILAN;
    if (!certificate_extension_text(inspection->certificates[LEAF], CERTIFICATE_PRODUCT_NAME,
                                    name)) {
        return inspection_fail(check, "the leaf does not name its product");
    }
    /* "Milan-B0": the line, and perhaps a stepping. */
    while (strncmp(name, attest_line_name(line), strlen(attest_line_name(line))) != 0) {
        line++;
        if (line == ATTEST_LINE_COUNT) {
            return inspection_fail(check, "the leaf's product \"%s\" is not known", name);
        }
    }
    if (report->version >= 3 && !(report_line_of(report, &other) && other == line)) {
        return inspection_fail(check, "the leaf is for %s, the report from CPU %02x/%02x",
                               attest_line_name(line), report->cpu_family, report->cpu_model);
    }
    if (inspection_is_amd_root(inspection, &other) && other != line) {
        return inspection_fail(check, "the leaf is for %s, the root for %s", attest_line_name(line),
                               attest_line_name(other));
    }
    inspection->line = line;
    inspection->have |= HAVE_LINE;
    return inspection_pass(check, "%s", name);
}

/* The TCB that the leaf was issued for, in the order of the report's bytes on that line. */
static bool leaf_tcb(const struct x509_st *leaf, enum attest_line line, uint64_t *out)
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
    const char *const *names = line == ATTEST_TURIN ? turin : milan_genoa;
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

bool inspection_leaf_tcb(struct inspection *inspection, struct attest_check *check)
{
    uint64_t reported = inspection->report.reported_tcb;
    uint64_t tcb = 0;
    if (!leaf_tcb(inspection->certificates[LEAF], inspection->line, &tcb)) {
        return inspection_fail(check, "the leaf does not name its TCB");
    }
    return tcb == reported ? inspection_pass(check, "issued for the reported TCB %016" PRIx64, tcb)
                           : inspection_fail(check,
                                             "the leaf is for TCB %016" PRIx64 ", the report says "
                                             "%016" PRIx64,
                                             tcb, reported);
}

bool inspection_leaf_chip(struct inspection *inspection, struct attest_check *check)
{
    const struct x509_st *leaf = inspection->certificates[LEAF];
    char provider[CERTIFICATE_NAME_BYTES_MAX];
    struct bytes id;
    bool has_id = certificate_extension(leaf, CERTIFICATE_HARDWARE_ID, &id);
    bool has_provider = certificate_extension_text(leaf, CERTIFICATE_CSP_ID, provider);
    if (report_signing_key(&inspection->report) == REPORT_KEY_VLEK) {
        return has_provider && !has_id
                   ? inspection_pass(check, "the cloud provider \"%s\"", provider)
                   : inspection_fail(check, "a VLEK names its cloud provider and no chip");
    }
    if (!has_id || has_provider) {
        return inspection_fail(check, "a VCEK names its chip and no cloud provider");
    }
    return hardware_id_matches(id, inspection->report.chip_id)
               ? inspection_pass(check, "the leaf is of the report's chip")
               : inspection_fail(check, "the leaf belongs to another chip");
}
