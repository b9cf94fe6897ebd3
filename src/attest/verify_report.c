/* verify_report.c: the checks of a report, with its chain (verify_chain.c) among them.
 *
 * The signature is checked over the bytes as received, never over a re-encoding. Platform bits that
 * are not known are let through: new ones appear without a new version.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"

#include <string.h>

static bool check_report_size(struct inspection *inspection, struct attest_check *check)
{
    if (inspection->report_bytes.size != ATTEST_REPORT_BYTES) {
        return inspection_fail(check, "%zu bytes, not %d", inspection->report_bytes.size,
                               ATTEST_REPORT_BYTES);
    }
    report_parse(inspection->report_bytes.ptr, &inspection->report);
    inspection->have |= HAVE_REPORT;
    return inspection_pass(check, "%d bytes", ATTEST_REPORT_BYTES);
}

static bool check_report_version(struct inspection *inspection, struct attest_check *check)
{
    uint32_t version = inspection->report.version;
    if (version < REPORT_VERSION_MIN || version > REPORT_VERSION_MAX) {
        return inspection_fail(check, "version %u, known are %d to %d", version, REPORT_VERSION_MIN,
                               REPORT_VERSION_MAX);
    }
    inspection->have |= HAVE_VERSION;
    return inspection_pass(check, "version %u", version);
}

static bool check_report_reserved(struct inspection *inspection, struct attest_check *check)
{
    if (!report_reserved_is_zero(inspection->report_bytes.ptr)) {
        return inspection_fail(check, "a reserved byte is not zero");
    }
    return (inspection->report.policy & REPORT_POLICY_RESERVED_ONE) != 0
               ? inspection_pass(check, "zero, and bit 17 of the guest policy one")
               : inspection_fail(check, "bit 17 of the guest policy is not one");
}

static bool check_chip_key_unmasked(struct inspection *inspection, struct attest_check *check)
{
    return (inspection->report.key_info & REPORT_KEY_MASK_CHIP) == 0
               ? inspection_pass(check, "MASK_CHIP_KEY is not set")
               : inspection_fail(check, "MASK_CHIP_KEY is set: such a report is not signed");
}

static bool check_signature_algorithm(struct inspection *inspection, struct attest_check *check)
{
    return inspection->report.signature_algorithm == REPORT_ALGORITHM_ECDSA_P384_SHA384
               ? inspection_pass(check, "ECDSA P-384 with SHA-384")
               : inspection_fail(check, "algorithm %u is not ECDSA P-384 with SHA-384",
                                 inspection->report.signature_algorithm);
}

static bool check_signature_encoding(struct inspection *inspection, struct attest_check *check)
{
    if (!report_signature_get(inspection->report_bytes.ptr, inspection->signature)) {
        return inspection_fail(check, "R or S is too wide, or there is something behind them");
    }
    inspection->have |= HAVE_SIGNATURE;
    return inspection_pass(check, "R and S of 48 bytes, and zeros");
}

static bool check_report_signature(struct inspection *inspection, struct attest_check *check)
{
    return crypto_verify_p1363(CRYPTO_ECDSA_P384_SHA384,
                               bytes_of(inspection->leaf_key, sizeof inspection->leaf_key),
                               bytes_of(inspection->report_bytes.ptr, REPORT_SIGNED_BYTES),
                               bytes_of(inspection->signature, sizeof inspection->signature))
               ? inspection_pass(check, "the leaf's key signed bytes 0 to 671")
               : inspection_fail(check, "the leaf's key did not sign this report");
}

static bool check_report_vmpl(struct inspection *inspection, struct attest_check *check)
{
    uint32_t vmpl = inspection->report.vmpl;
    if (vmpl == UINT32_MAX) {
        return inspection_fail(check, "the host asked for this report, not the guest");
    }
    return vmpl <= 3 ? inspection_pass(check, "VMPL %u", vmpl)
                     : inspection_fail(check, "there is no VMPL %u", vmpl);
}

static bool check_guest_policy_debug(struct inspection *inspection, struct attest_check *check)
{
    if ((inspection->report.policy & REPORT_POLICY_DEBUG) == 0) {
        return inspection_pass(check, "DEBUG is not set");
    }
    return inspection->policy->allow_debug
               ? inspection_pass(check, "DEBUG is set, and allowed: the host can read the guest")
               : inspection_fail(check, "DEBUG is set: the host can read the guest");
}

static bool check_guest_policy_migration(struct inspection *inspection, struct attest_check *check)
{
    if ((inspection->report.policy & REPORT_POLICY_MIGRATE_MA) == 0) {
        return inspection_pass(check, "MIGRATE_MA is not set");
    }
    return inspection->policy->allow_migration
               ? inspection_pass(check, "MIGRATE_MA is set, and allowed")
               : inspection_fail(check, "MIGRATE_MA is set: a migration agent holds the guest's "
                                        "keys");
}

static bool check_committed_firmware(struct inspection *inspection, struct attest_check *check)
{
    const struct report *report = &inspection->report;
    if (report->current_tcb == report->committed_tcb &&
        memcmp(report->current_version, report->committed_version,
               sizeof report->current_version) == 0) {
        return inspection_pass(check, "the current firmware is committed");
    }
    return inspection->policy->allow_provisional
               ? inspection_pass(check, "provisional firmware, and allowed")
               : inspection_fail(check,
                                 "provisional firmware: current TCB %016llx, committed "
                                 "%016llx",
                                 (unsigned long long)report->current_tcb,
                                 (unsigned long long)report->committed_tcb);
}

/* Older firmware than it says it may fall back to, or than it reports, is no state that a processor
 * can be in. */
static bool check_tcb_order(struct inspection *inspection, struct attest_check *check)
{
    const struct report *report = &inspection->report;
    uint8_t reported[ATTEST_TCB_PARTS], committed[ATTEST_TCB_PARTS], current[ATTEST_TCB_PARTS];
    report_tcb_split(report->reported_tcb, inspection->line, reported);
    report_tcb_split(report->committed_tcb, inspection->line, committed);
    report_tcb_split(report->current_tcb, inspection->line, current);
    for (size_t i = 0; i < ATTEST_TCB_PARTS; i++) {
        if (reported[i] > committed[i] || committed[i] > current[i]) {
            return inspection_fail(check,
                                   "the TCBs contradict each other: reported %u, committed "
                                   "%u, current %u",
                                   reported[i], committed[i], current[i]);
        }
    }
    return inspection_pass(check, "reported, committed and current TCB ascend");
}

static const struct inspection_check checks[] = {
    {"certificates_present", ATTEST_FORMAT, HAVE_PROVIDER, inspection_certificates_present},
    {"certificates_parse", ATTEST_FORMAT, HAVE_CHAIN_BYTES, inspection_certificates_parse},
    {"root_pinned", ATTEST_CRYPTOGRAPHY, HAVE_CERTIFICATES, inspection_root_pinned},
    {"issuer_names", ATTEST_CRYPTOGRAPHY, HAVE_CERTIFICATES, inspection_issuer_names},
    {"chain", ATTEST_CRYPTOGRAPHY, HAVE_ISSUERS, inspection_chain},
    {"certificate_time", ATTEST_CRYPTOGRAPHY, HAVE_CERTIFICATES, inspection_certificate_time},
    {"revocation", ATTEST_CRYPTOGRAPHY, HAVE_CERTIFICATES, inspection_revocation},
    {"leaf_key", ATTEST_CRYPTOGRAPHY, HAVE_CERTIFICATES, inspection_leaf_key},
    {"report_size", ATTEST_FORMAT, HAVE_PROVIDER, check_report_size},
    {"report_version", ATTEST_FORMAT, HAVE_REPORT, check_report_version},
    {"report_reserved", ATTEST_FORMAT, HAVE_VERSION, check_report_reserved},
    {"product", ATTEST_CRYPTOGRAPHY, HAVE_CERTIFICATES | HAVE_VERSION, inspection_product},
    {"leaf_kind", ATTEST_CRYPTOGRAPHY, HAVE_CERTIFICATES | HAVE_REPORT, inspection_leaf_kind},
    {"leaf_tcb", ATTEST_CRYPTOGRAPHY, HAVE_LINE, inspection_leaf_tcb},
    {"leaf_chip", ATTEST_CRYPTOGRAPHY, HAVE_LINE, inspection_leaf_chip},
    {"chip_key_unmasked", ATTEST_CRYPTOGRAPHY, HAVE_REPORT, check_chip_key_unmasked},
    {"signature_algorithm", ATTEST_FORMAT, HAVE_REPORT, check_signature_algorithm},
    {"signature_encoding", ATTEST_FORMAT, HAVE_REPORT, check_signature_encoding},
    {"report_signature", ATTEST_CRYPTOGRAPHY, HAVE_SIGNATURE | HAVE_LEAF_KEY,
     check_report_signature},
    {"report_vmpl", ATTEST_POLICY, HAVE_REPORT, check_report_vmpl},
    {"guest_policy_debug", ATTEST_POLICY, HAVE_REPORT, check_guest_policy_debug},
    {"guest_policy_migration", ATTEST_POLICY, HAVE_REPORT, check_guest_policy_migration},
    {"committed_firmware", ATTEST_POLICY, HAVE_REPORT, check_committed_firmware},
    {"tcb_order", ATTEST_POLICY, HAVE_LINE, check_tcb_order},
};

struct inspection_table inspection_table_report(void)
{
    return (struct inspection_table){checks, sizeof checks / sizeof checks[0]};
}
