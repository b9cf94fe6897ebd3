/* report.c: reads and writes the fields of an SEV-SNP report from one table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/report.h"

#include <assert.h>
#include <string.h>

enum { SCALAR_BYTES = 48, SCALAR_ROOM = 72, R_OFFSET = 0x2A0, S_OFFSET = 0x2E8, TAIL = 0x330 };

static_assert((int)R_OFFSET == (int)REPORT_SIGNED_BYTES && S_OFFSET == R_OFFSET + SCALAR_ROOM &&
                  TAIL == S_OFFSET + SCALAR_ROOM,
              "the signature follows the signed bytes");

struct field {
    size_t offset; /* in the report */
    size_t member; /* in struct report */
    size_t size;
    bool number; /* little endian in the report, the host's order in the struct */
};

#define NUMBER(offset, name)                                                                       \
    {                                                                                              \
        (offset), offsetof(struct report, name), sizeof((struct report *)0)->name, true            \
    }
#define BYTES(offset, name)                                                                        \
    {                                                                                              \
        (offset), offsetof(struct report, name), sizeof((struct report *)0)->name, false           \
    }

static const struct field fields[] = {
    NUMBER(0x000, version),
    NUMBER(0x004, guest_svn),
    NUMBER(0x008, policy),
    BYTES(0x010, family_id),
    BYTES(0x020, image_id),
    NUMBER(0x030, vmpl),
    NUMBER(0x034, signature_algorithm),
    NUMBER(0x038, current_tcb),
    NUMBER(0x040, platform_info),
    NUMBER(0x048, key_info),
    BYTES(0x050, report_data),
    BYTES(0x090, measurement),
    BYTES(0x0C0, host_data),
    BYTES(0x0E0, id_key_digest),
    BYTES(0x110, author_key_digest),
    BYTES(0x140, report_id),
    BYTES(0x160, report_id_ma),
    NUMBER(0x180, reported_tcb),
    BYTES(0x188, cpu_family),
    BYTES(0x189, cpu_model),
    BYTES(0x18A, cpu_stepping),
    BYTES(0x1A0, chip_id),
    NUMBER(0x1E0, committed_tcb),
    BYTES(0x1E8, current_version),
    BYTES(0x1EC, committed_version),
    NUMBER(0x1F0, launch_tcb),
    NUMBER(0x1F8, launch_mitigations),
    NUMBER(0x200, current_mitigations),
};

const char *attest_line_name(enum attest_line line)
{
    static const char *const names[ATTEST_LINE_COUNT] = {"Milan", "Genoa", "Turin"};
    return names[line];
}

static uint64_t number_load(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

void report_parse(const uint8_t raw[static ATTEST_REPORT_BYTES], struct report *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct field *field = &fields[i];
        uint8_t *member = (uint8_t *)out + field->member;
        uint64_t wide = number_load(raw + field->offset, field->number ? field->size : 0);
        uint32_t narrow = (uint32_t)wide;
        if (!field->number) {
            memcpy(member, raw + field->offset, field->size);
        } else if (field->size == sizeof wide) {
            memcpy(member, &wide, sizeof wide);
        } else {
            memcpy(member, &narrow, sizeof narrow);
        }
    }
}

void report_build(const struct report *report, uint8_t raw[static ATTEST_REPORT_BYTES])
{
    memset(raw, 0, ATTEST_REPORT_BYTES);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct field *field = &fields[i];
        const uint8_t *member = (const uint8_t *)report + field->member;
        uint64_t wide = 0;
        uint32_t narrow = 0;
        if (!field->number) {
            memcpy(raw + field->offset, member, field->size);
            continue;
        }
        if (field->size == sizeof wide) {
            memcpy(&wide, member, sizeof wide);
        } else {
            memcpy(&narrow, member, sizeof narrow);
            wide = narrow;
        }
        for (size_t byte = 0; byte < field->size; byte++) {
            raw[field->offset + byte] = (uint8_t)(wide >> (8 * byte));
        }
    }
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < size; i++) {
        seen |= bytes[i];
    }
    return seen == 0;
}

bool report_reserved_is_zero(const uint8_t raw[static ATTEST_REPORT_BYTES])
{
    uint64_t version = number_load(raw, 4);
    size_t cpu = version >= 3 ? 0x18B : 0x188;    /* version 3 brought family, model, stepping */
    size_t launch = version >= 5 ? 0x208 : 0x1F8; /* version 5 two mitigation vectors */
    return (raw[0x48] & 0xE0U) == 0 && is_zero(raw + 0x49, 3) && is_zero(raw + 0x4C, 4) &&
           is_zero(raw + cpu, 0x1A0 - cpu) && raw[0x1EB] == 0 && raw[0x1EF] == 0 &&
           is_zero(raw + launch, REPORT_SIGNED_BYTES - launch);
}

uint32_t report_signing_key(const struct report *report)
{
    return report->key_info >> 2 & 7U;
}

static bool scalar_get(const uint8_t *room, uint8_t *out)
{
    for (size_t i = 0; i < SCALAR_BYTES; i++) {
        out[i] = room[SCALAR_BYTES - 1 - i];
    }
    return is_zero(room + SCALAR_BYTES, SCALAR_ROOM - SCALAR_BYTES);
}

bool report_signature_get(const uint8_t raw[static ATTEST_REPORT_BYTES],
                          uint8_t out[static REPORT_P1363_BYTES])
{
    bool narrow_r = scalar_get(raw + R_OFFSET, out);
    bool narrow_s = scalar_get(raw + S_OFFSET, out + SCALAR_BYTES);
    return narrow_r && narrow_s && is_zero(raw + TAIL, ATTEST_REPORT_BYTES - TAIL);
}

void report_signature_put(uint8_t raw[static ATTEST_REPORT_BYTES],
                          const uint8_t signature[static REPORT_P1363_BYTES])
{
    for (size_t i = 0; i < SCALAR_BYTES; i++) {
        raw[R_OFFSET + i] = signature[SCALAR_BYTES - 1 - i];
        raw[S_OFFSET + i] = signature[2 * SCALAR_BYTES - 1 - i];
    }
}

bool report_line_of(const struct report *report, enum attest_line *out)
{
    static const struct {
        uint8_t family;
        uint8_t model_first;
        uint8_t model_last;
        enum attest_line line;
    } processors[] = {
        {0x19, 0x00, 0x0F, ATTEST_MILAN},
        {0x19, 0x10, 0x1F, ATTEST_GENOA},
        {0x19, 0xA0, 0xAF, ATTEST_GENOA}, /* Bergamo and Siena */
        {0x1A, 0x00, 0x1F, ATTEST_TURIN},
    };
    for (size_t i = 0; report->version >= 3 && i < sizeof processors / sizeof processors[0]; i++) {
        if (report->cpu_family == processors[i].family &&
            report->cpu_model >= processors[i].model_first &&
            report->cpu_model <= processors[i].model_last) {
            *out = processors[i].line;
            return true;
        }
    }
    return false;
}

void report_tcb_split(uint64_t tcb, enum attest_line line, uint8_t out[static ATTEST_TCB_PARTS])
{
    /* Which byte holds which part; Milan and Genoa have no FMC. */
    static const struct {
        enum attest_tcb_part part;
        unsigned byte;
    } older[] = {{ATTEST_TCB_BOOTLOADER, 0},
                 {ATTEST_TCB_TEE, 1},
                 {ATTEST_TCB_SNP, 6},
                 {ATTEST_TCB_MICROCODE, 7}},
      turin[] = {{ATTEST_TCB_FMC, 0},
                 {ATTEST_TCB_BOOTLOADER, 1},
                 {ATTEST_TCB_TEE, 2},
                 {ATTEST_TCB_SNP, 3},
                 {ATTEST_TCB_MICROCODE, 7}};
    bool is_turin = line == ATTEST_TURIN;
    size_t count = is_turin ? sizeof turin / sizeof turin[0] : sizeof older / sizeof older[0];
    memset(out, 0, ATTEST_TCB_PARTS);
    for (size_t i = 0; i < count; i++) {
        unsigned byte = is_turin ? turin[i].byte : older[i].byte;
        out[is_turin ? turin[i].part : older[i].part] = (uint8_t)(tcb >> (8 * byte));
    }
}
