/* describe.c: a report in words, field by field.
 *
 * Nothing is judged here, also not whether it is signed: it says what the bytes say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/report.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

const struct attest_bit attest_guest_policy_bits[] = {
    {16, "smt", "the guest may run with simultaneous multithreading on"},
    {18, "migration", "a migration agent may carry the guest away, with its keys"},
    {19, "debug", "the host may debug the guest: nothing in it is secret"},
    {20, "single_socket", "the guest runs on one socket only"},
    {21, "cxl", "memory behind CXL may be used"},
    {22, "aes_256_xts", "memory must be encrypted with AES-256-XTS"},
    {23, "rapl_disabled", "the power meter (RAPL) must be off"},
    {24, "ciphertext_hiding", "the host must not see ciphertext of the guest's memory"},
    {25, "page_swap_disabled", "the host must not move or swap pages of the guest"},
    {0, NULL, NULL},
};

const struct attest_bit attest_platform_bits[] = {
    {0, "smt", "simultaneous multithreading is on"},
    {1, "tsme", "all memory is encrypted, also outside of guests"},
    {2, "ecc", "memory has error correction"},
    {3, "rapl_disabled", "the power meter (RAPL) is off"},
    {4, "ciphertext_hiding", "the host does not see ciphertext of guests' memory"},
    {5, "alias_check", "memory was checked for aliased addresses (BadRAM)"},
    {7, "tio", "trusted I/O is on"},
    {0, NULL, NULL},
};

static void hex_line(struct buffer *out, const char *name, const uint8_t *bytes, size_t size)
{
    char hex[2 * 64 + 1];
    text_hex_encode(bytes_of(bytes, size), hex);
    buffer_printf(out, "%-20s %s\n", name, hex);
}

static void bits_lines(struct buffer *out, uint64_t value, const struct attest_bit *bits)
{
    uint64_t known = 0;
    for (; bits->name != NULL; bits++) {
        uint64_t mask = UINT64_C(1) << bits->bit;
        known |= mask;
        buffer_printf(out, "  %3s %-18s bit %u: %s\n", (value & mask) != 0 ? "yes" : "no",
                      bits->name, bits->bit, bits->meaning);
    }
    if ((value & ~known) != 0) {
        buffer_printf(out, "  other bits that are set: %#" PRIx64 "\n", value & ~known);
    }
}

/* Without the processor's line the order of the parts is not known. */
static void tcb_line(struct buffer *out, const char *name, uint64_t tcb, bool has_line,
                     enum attest_line line)
{
    uint8_t parts[ATTEST_TCB_PARTS];
    buffer_printf(out, "%-20s %016" PRIx64, name, tcb);
    if (has_line) {
        report_tcb_split(tcb, line, parts);
        if (line == ATTEST_TURIN) {
            buffer_printf(out, "  fmc %u", parts[ATTEST_TCB_FMC]);
        }
        buffer_printf(out, "%s bootloader %u, tee %u, snp %u, microcode %u",
                      line == ATTEST_TURIN ? "," : " ", parts[ATTEST_TCB_BOOTLOADER],
                      parts[ATTEST_TCB_TEE], parts[ATTEST_TCB_SNP], parts[ATTEST_TCB_MICROCODE]);
    }
    buffer_append_string(out, "\n");
}

static void guest_lines(struct buffer *out, const struct report *report)
{
    /* Bit 17 is always one, the low 16 are a version. */
    buffer_printf(out, "%-20s %u\n%-20s %u\n", "version", report->version, "guest_svn",
                  report->guest_svn);
    buffer_printf(out, "%-20s %#" PRIx64 "  firmware interface %u.%u at least\n", "policy",
                  report->policy, (unsigned)(report->policy >> 8 & 0xFF),
                  (unsigned)(report->policy & 0xFF));
    bits_lines(out, report->policy & ~(UINT64_C(0xFFFF) | REPORT_POLICY_RESERVED_ONE),
               attest_guest_policy_bits);
    hex_line(out, "family_id", report->family_id, sizeof report->family_id);
    hex_line(out, "image_id", report->image_id, sizeof report->image_id);
    if (report->vmpl == UINT32_MAX) {
        buffer_printf(out, "%-20s the host asked for this report, not the guest\n", "vmpl");
    } else {
        buffer_printf(out, "%-20s %u\n", "vmpl", report->vmpl);
    }
    hex_line(out, "report_data", report->report_data, sizeof report->report_data);
    hex_line(out, "measurement", report->measurement, sizeof report->measurement);
    hex_line(out, "host_data", report->host_data, sizeof report->host_data);
    hex_line(out, "id_key_digest", report->id_key_digest, sizeof report->id_key_digest);
    hex_line(out, "author_key_digest", report->author_key_digest, sizeof report->author_key_digest);
    hex_line(out, "report_id", report->report_id, sizeof report->report_id);
    hex_line(out, "report_id_ma", report->report_id_ma, sizeof report->report_id_ma);
}

static void platform_lines(struct buffer *out, const struct report *report)
{
    enum attest_line line = ATTEST_MILAN;
    bool has_line = report_line_of(report, &line);
    if (report->version >= 3) {
        buffer_printf(out, "%-20s family %02x, model %02x, stepping %02x: %s\n", "cpu",
                      report->cpu_family, report->cpu_model, report->cpu_stepping,
                      has_line ? attest_line_name(line) : "not known");
    } else {
        buffer_printf(out, "%-20s not told before version 3; the certificate names the product\n",
                      "cpu");
    }
    buffer_printf(out, "%-20s %#" PRIx64 "\n", "platform_info", report->platform_info);
    bits_lines(out, report->platform_info, attest_platform_bits);
    tcb_line(out, "current_tcb", report->current_tcb, has_line, line);
    tcb_line(out, "committed_tcb", report->committed_tcb, has_line, line);
    tcb_line(out, "reported_tcb", report->reported_tcb, has_line, line);
    tcb_line(out, "launch_tcb", report->launch_tcb, has_line, line);
    buffer_printf(out, "%-20s %u.%u.%u\n%-20s %u.%u.%u\n", "current_firmware",
                  report->current_version[2], report->current_version[1],
                  report->current_version[0], "committed_firmware", report->committed_version[2],
                  report->committed_version[1], report->committed_version[0]);
    hex_line(out, "chip_id", report->chip_id, sizeof report->chip_id);
    if (report->version >= 5) {
        buffer_printf(out, "%-20s %#" PRIx64 "\n%-20s %#" PRIx64 "\n", "launch_mitigations",
                      report->launch_mitigations, "current_mitigations",
                      report->current_mitigations);
    }
}

static void key_lines(struct buffer *out, const struct report *report)
{
    uint32_t key = report_signing_key(report);
    buffer_printf(out, "%-20s %s\n", "signing_key",
                  key == REPORT_KEY_VCEK   ? "VCEK, the key of one chip"
                  : key == REPORT_KEY_VLEK ? "VLEK, the key of a cloud provider"
                                           : "none that is known");
    buffer_printf(out, "%-20s %s\n", "author_key_used", (report->key_info & 1) != 0 ? "yes" : "no");
    buffer_printf(out, "%-20s %s\n", "chip_key_masked",
                  (report->key_info & REPORT_KEY_MASK_CHIP) != 0 ? "yes: this report is not signed"
                                                                 : "no");
    buffer_printf(out, "%-20s %u%s\n", "signature_algorithm", report->signature_algorithm,
                  report->signature_algorithm == REPORT_ALGORITHM_ECDSA_P384_SHA384
                      ? ", ECDSA P-384 with SHA-384"
                      : "");
}

bool attest_report_describe(struct bytes report, struct buffer *out, struct err *err)
{
    struct report fields;
    if (report.size != ATTEST_REPORT_BYTES) {
        return err_set(err, ERR_FORMAT, "a report has %d bytes, this is %zu", ATTEST_REPORT_BYTES,
                       report.size);
    }
    report_parse(report.ptr, &fields);
    guest_lines(out, &fields);
    platform_lines(out, &fields);
    key_lines(out, &fields);
    return !out->failed || err_set(err, ERR_NO_MEMORY, "no memory for the report's text");
}
