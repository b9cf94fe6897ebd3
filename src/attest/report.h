/* report.h: the SEV-SNP attestation report, 1184 bytes of little-endian fields (AMD 56860, versions
 * 2 to 5).
 *
 *   0x000 .. 0x29F  what is signed: see report.c for every field
 *   0x2A0           R, 72 bytes little endian, of which a P-384 signature uses 48
 *   0x2E8           S, the same
 *   0x330 .. 0x49F  zero
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_REPORT_H
#define ATTEST_REPORT_H

#include "attest/attest.h"

enum {
    REPORT_SIGNED_BYTES = 0x2A0,
    REPORT_VERSION_MIN = 2,
    REPORT_VERSION_MAX = 5,
    REPORT_ALGORITHM_ECDSA_P384_SHA384 = 1,
    REPORT_KEY_VCEK = 0, /* key_info bits 4:2 */
    REPORT_KEY_VLEK = 1,
    REPORT_P1363_BYTES = 96,
};

/* Bits of `policy` and `key_info`. */
#define REPORT_POLICY_RESERVED_ONE (UINT64_C(1) << 17)
#define REPORT_POLICY_MIGRATE_MA (UINT64_C(1) << 18)
#define REPORT_POLICY_DEBUG (UINT64_C(1) << 19)
#define REPORT_KEY_MASK_CHIP (UINT32_C(1) << 1)

struct report {
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t vmpl;
    uint32_t signature_algorithm;
    uint64_t current_tcb;
    uint64_t platform_info;
    uint32_t key_info;
    uint8_t report_data[ATTEST_USER_DATA_BYTES];
    uint8_t measurement[48];
    uint8_t host_data[32];
    uint8_t id_key_digest[48];
    uint8_t author_key_digest[48];
    uint8_t report_id[32];
    uint8_t report_id_ma[32];
    uint64_t reported_tcb;
    uint8_t cpu_family; /* this and the next two from version 3 on */
    uint8_t cpu_model;
    uint8_t cpu_stepping;
    uint8_t chip_id[64];
    uint64_t committed_tcb;
    uint8_t current_version[3]; /* build, minor, major */
    uint8_t committed_version[3];
    uint64_t launch_tcb;
    uint64_t launch_mitigations; /* these two from version 5 on */
    uint64_t current_mitigations;
};

/* Takes the fields as they stand; what they mean is checked elsewhere. */
void report_parse(const uint8_t raw[static ATTEST_REPORT_BYTES], struct report *out);
/* The inverse; everything that is no field, the signature included, becomes zero. */
void report_build(const struct report *report, uint8_t raw[static ATTEST_REPORT_BYTES]);
/* Every byte and bit of the signed part that the report's version keeps at zero is zero. */
bool report_reserved_is_zero(const uint8_t raw[static ATTEST_REPORT_BYTES]) MUST_CHECK;
uint32_t report_signing_key(const struct report *report);

/* R || S, 48 bytes each, big endian. False when R or S is wider or the rest of the signature's room
 * is not zero: none of that is signed, so it must not be a place to hide something. */
bool report_signature_get(const uint8_t raw[static ATTEST_REPORT_BYTES],
                          uint8_t out[static REPORT_P1363_BYTES]) MUST_CHECK;
void report_signature_put(uint8_t raw[static ATTEST_REPORT_BYTES],
                          const uint8_t signature[static REPORT_P1363_BYTES]);

/* From CPUID family and model. False for version 2, which has none, and for unknown processors. */
bool report_line_of(const struct report *report, enum attest_line *out) MUST_CHECK;

/* A TCB's parts by the order of its line. */
void report_tcb_split(uint64_t tcb, enum attest_line line, uint8_t out[static ATTEST_TCB_PARTS]);

#endif
