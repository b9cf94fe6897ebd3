/* measure.c: the launch digest that a VM of SEV-SNP gets, computed from what it starts with.
 *
 * The firmware of the processor hashes every page that the hypervisor puts into the guest, one
 * after the other (AMD 56860, 8.17): digest = SHA-384 of PAGE_INFO, which holds the digest before
 * it. QEMU puts in: the guest's firmware, the pages that a table in that firmware names (among them
 * one with the hashes of kernel, initrd and command line), and the first registers of each
 * processor.
 *
 *   the firmware's end   ... metadata ... entries, footer entry, 32 bytes     (read from the end)
 *   an entry             data, size u16 (of all of it), GUID
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/attest.h"

#include <string.h>

enum {
    PAGE_BYTES = 4096,
    GUID_BYTES = 16,
    ENTRY_HEAD_BYTES = 2 + GUID_BYTES,
    FOOTER_DISTANCE = 32,
    SECTIONS_MAX = 64,
    SECTION_PAGES_MAX = 16384,
    HASHES_BYTES = 16 + 2 + 3 * (16 + 2 + 32),
    VCPUS_MAX = 4096,
};

enum page_type { PAGE_NORMAL = 1, PAGE_VMSA = 2, PAGE_ZERO = 3, PAGE_SECRETS = 5, PAGE_CPUID = 6 };
enum section_type {
    SECTION_MEMORY = 1,
    SECTION_SECRETS = 2,
    SECTION_CPUID = 3,
    SECTION_CAA = 4,
    SECTION_HASHES = 0x10,
};

#define FOUR_GIB UINT64_C(0x100000000)
#define VMSA_ADDRESS UINT64_C(0xFFFFFFFFF000)
#define FIRST_PROCESSOR_START UINT32_C(0xFFFFFFF0)

/* GUIDs as they stand in memory: the first three parts little endian. */
static const uint8_t guid_footer[GUID_BYTES] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                                0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t guid_hash_area[GUID_BYTES] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
                                                   0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
static const uint8_t guid_reset[GUID_BYTES] = {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f,
                                               0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e};
static const uint8_t guid_metadata[GUID_BYTES] = {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47,
                                                  0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc};
static const uint8_t guid_table[GUID_BYTES] = {0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c,
                                               0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21};
static const uint8_t guid_kernel[GUID_BYTES] = {0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42,
                                                0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b};
static const uint8_t guid_initrd[GUID_BYTES] = {0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b,
                                                0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d};
static const uint8_t guid_command[GUID_BYTES] = {0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c,
                                                 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a};

struct section {
    uint32_t address, size, type;
};

struct firmware {
    struct bytes image;
    uint32_t reset; /* where the other processors begin; 0: not told */
    uint32_t hash_area;
    struct section sections[SECTIONS_MAX];
    uint32_t section_count;
};

static void put(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

/* ---- The digest ---- */

static void add_page(uint8_t digest[static CRYPTO_SHA384_BYTES], enum page_type type,
                     uint64_t address, const uint8_t *contents)
{
    uint8_t info[2 * CRYPTO_SHA384_BYTES + 16] = {0};
    memcpy(info, digest, CRYPTO_SHA384_BYTES);
    if (contents != NULL) {
        crypto_sha384(bytes_of(contents, PAGE_BYTES), info + CRYPTO_SHA384_BYTES);
    }
    put(info + 96, sizeof info, 2);
    put(info + 98, type, 1);
    put(info + 104, address, 8);
    crypto_sha384(bytes_of(info, sizeof info), digest);
}

/* ---- The firmware's tables ---- */

static bool u32_of(struct bytes data, uint32_t *out)
{
    struct reader reader = reader_of(data);
    return reader_u32le(&reader, out);
}

static bool metadata_read(struct firmware *firmware, uint32_t from_end, struct err *err)
{
    struct bytes magic;
    uint32_t size = 0, version = 0;
    if (from_end > firmware->image.size) {
        return err_set(err, ERR_FORMAT, "the firmware's SEV metadata lies outside");
    }
    struct reader reader =
        reader_of(bytes_of(firmware->image.ptr + firmware->image.size - from_end, from_end));
    if (!reader_take(&reader, 4, &magic) || memcmp(magic.ptr, "ASEV", 4) != 0 ||
        !reader_u32le(&reader, &size) || !reader_u32le(&reader, &version) || version != 1 ||
        !reader_u32le(&reader, &firmware->section_count) ||
        firmware->section_count > SECTIONS_MAX) {
        return err_set(err, ERR_FORMAT, "the firmware's SEV metadata cannot be read");
    }
    for (uint32_t i = 0; i < firmware->section_count; i++) {
        struct section *section = &firmware->sections[i];
        if (!reader_u32le(&reader, &section->address) || !reader_u32le(&reader, &section->size) ||
            !reader_u32le(&reader, &section->type) || section->size % PAGE_BYTES != 0 ||
            section->size / PAGE_BYTES > SECTION_PAGES_MAX) {
            return err_set(err, ERR_FORMAT, "section %u of the firmware's SEV metadata", i);
        }
    }
    return true;
}

/* The entry that ends at `end`: its GUID and data; *end becomes its beginning. */
static bool entry_before(struct bytes image, size_t begin, size_t *end, struct bytes *guid,
                         struct bytes *data)
{
    if (*end < begin + ENTRY_HEAD_BYTES) {
        return false;
    }
    const uint8_t *head = image.ptr + *end - ENTRY_HEAD_BYTES;
    size_t size = (size_t)head[0] | (size_t)head[1] << 8;
    if (size < ENTRY_HEAD_BYTES || size > *end - begin) {
        return false;
    }
    *guid = bytes_of(head + 2, GUID_BYTES);
    *data = bytes_of(image.ptr + *end - size, size - ENTRY_HEAD_BYTES);
    *end -= size;
    return true;
}

static bool guid_is(struct bytes guid, const uint8_t *wanted)
{
    return memcmp(guid.ptr, wanted, GUID_BYTES) == 0;
}

static bool firmware_read(struct firmware *firmware, struct err *err)
{
    struct bytes image = firmware->image, guid, data;
    uint32_t metadata = 0;
    if (image.size < PAGE_BYTES || image.size % PAGE_BYTES != 0 || image.size > FOUR_GIB / 4) {
        return err_set(err, ERR_FORMAT, "the firmware has no whole number of pages");
    }
    size_t end = image.size - FOOTER_DISTANCE;
    size_t whole = end;
    if (!entry_before(image, 0, &whole, &guid, &data) || !guid_is(guid, guid_footer)) {
        return err_set(err, ERR_FORMAT, "the firmware has no table of GUIDs: is it OVMF.fd?");
    }
    end -= ENTRY_HEAD_BYTES;
    while (end > whole && entry_before(image, whole, &end, &guid, &data)) {
        uint32_t value = 0;
        if (!u32_of(data, &value)) {
            continue;
        }
        firmware->reset = guid_is(guid, guid_reset) ? value : firmware->reset;
        firmware->hash_area = guid_is(guid, guid_hash_area) ? value : firmware->hash_area;
        metadata = guid_is(guid, guid_metadata) ? value : metadata;
    }
    if (metadata == 0) {
        return err_set(err, ERR_FORMAT,
                       "the firmware has no SEV metadata: it cannot start SEV-SNP");
    }
    return metadata_read(firmware, metadata, err);
}

/* ---- Pages ---- */

static uint8_t *hash_entry(uint8_t *at, const uint8_t *guid, struct bytes content)
{
    memcpy(at, guid, GUID_BYTES);
    put(at + GUID_BYTES, ENTRY_HEAD_BYTES + CRYPTO_SHA256_BYTES, 2);
    crypto_sha256(content, at + ENTRY_HEAD_BYTES);
    return at + ENTRY_HEAD_BYTES + CRYPTO_SHA256_BYTES;
}

/* As QEMU writes it; the command line with its NUL. */
static void hashes_page(const struct attest_launch *launch, uint32_t offset,
                        uint8_t page[static PAGE_BYTES])
{
    const char *command = launch->command_line != NULL ? launch->command_line : "";
    uint8_t *at = page + offset;
    memcpy(at, guid_table, GUID_BYTES);
    put(at + GUID_BYTES, HASHES_BYTES, 2);
    at = hash_entry(at + ENTRY_HEAD_BYTES, guid_command, bytes_of(command, strlen(command) + 1));
    at = hash_entry(at, guid_initrd, launch->initrd);
    hash_entry(at, guid_kernel, launch->kernel);
}

static void segment(uint8_t *page, unsigned index, uint16_t selector, uint16_t attributes,
                    uint64_t base)
{
    uint8_t *at = page + (size_t)16 * index;
    put(at, selector, 2);
    put(at + 2, attributes, 2);
    put(at + 4, 0xFFFF, 4);
    put(at + 8, base, 8);
}

/* The save area of a processor before its first instruction (AMD 24593, table B-4), with the values
 * that KVM and QEMU give it. */
static void vmsa_page(const struct attest_launch *launch, uint32_t start,
                      uint8_t page[static PAGE_BYTES])
{
    enum { ES, CS, SS, DS, FS, GS, GDTR, LDTR, IDTR, TR };
    static const struct {
        uint16_t offset;
        uint64_t value;
    } registers[] = {
        {0x0D0, 0x1000},             /* efer: SVME */
        {0x148, 0x40},               /* cr4: MCE */
        {0x158, 0x10},               /* cr0 */
        {0x160, 0x400},              /* dr7 */
        {0x168, 0xFFFF0FF0},         /* dr6 */
        {0x170, 0x2},                /* rflags */
        {0x268, 0x0007040600070406}, /* the page attribute table */
        {0x3E8, 0x1},                /* xcr0 */
        {0x408, 0x1F80},             /* mxcsr */
    };
    memset(page, 0, PAGE_BYTES);
    segment(page, ES, 0, 0x93, 0);
    segment(page, CS, 0xF000, 0x9B, start & 0xFFFF0000U);
    segment(page, SS, 0, 0x93, 0);
    segment(page, DS, 0, 0x93, 0);
    segment(page, FS, 0, 0x93, 0);
    segment(page, GS, 0, 0x93, 0);
    segment(page, GDTR, 0, 0, 0);
    segment(page, LDTR, 0, 0x82, 0);
    segment(page, IDTR, 0, 0, 0);
    segment(page, TR, 0, 0x8B, 0);
    for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++) {
        put(page + registers[i].offset, registers[i].value, 8);
    }
    put(page + 0x178, start & 0xFFFFU, 8);        /* rip */
    put(page + 0x310, launch->vcpu_signature, 8); /* rdx: CPUID of the model */
    put(page + 0x3B0, launch->guest_features, 8); /* sev_features */
    put(page + 0x410, 0x37F, 2);                  /* x87 control word */
}

static bool section_add(uint8_t *digest, const struct attest_launch *launch,
                        const struct firmware *firmware, const struct section *section,
                        struct err *err)
{
    uint8_t page[PAGE_BYTES] = {0};
    uint32_t offset = firmware->hash_area % PAGE_BYTES;
    switch ((enum section_type)section->type) {
    case SECTION_SECRETS:
        add_page(digest, PAGE_SECRETS, section->address, NULL);
        return true;
    case SECTION_CPUID:
        add_page(digest, PAGE_CPUID, section->address, NULL);
        return true;
    case SECTION_HASHES:
        if (launch->has_kernel) {
            if (section->size != PAGE_BYTES || offset + HASHES_BYTES > PAGE_BYTES) {
                return err_set(err, ERR_FORMAT, "the firmware's room for hashes");
            }
            hashes_page(launch, offset, page);
            add_page(digest, PAGE_NORMAL, section->address, page);
            return true;
        }
        break;
    case SECTION_MEMORY:
    case SECTION_CAA:
        break;
    default:
        return err_set(err, ERR_FORMAT, "the firmware has a section of type %u, which is not known",
                       section->type);
    }
    for (uint32_t done = 0; done < section->size; done += PAGE_BYTES) {
        add_page(digest, PAGE_ZERO, (uint64_t)section->address + done, NULL);
    }
    return true;
}

static bool sections_add(uint8_t *digest, const struct attest_launch *launch,
                         const struct firmware *firmware, struct err *err)
{
    bool has_hashes = false;
    for (uint32_t i = 0; i < firmware->section_count; i++) {
        has_hashes = has_hashes || firmware->sections[i].type == SECTION_HASHES;
        if (!section_add(digest, launch, firmware, &firmware->sections[i], err)) {
            return false;
        }
    }
    return !launch->has_kernel || has_hashes ||
           err_set(err, ERR_FORMAT,
                   "this firmware does not check the hashes of a kernel: use a "
                   "build of AmdSevX64");
}

bool attest_launch_measure(const struct attest_launch *launch,
                           uint8_t out[static CRYPTO_SHA384_BYTES], struct err *err)
{
    struct firmware firmware = {.image = launch->firmware};
    uint8_t digest[CRYPTO_SHA384_BYTES] = {0}, page[PAGE_BYTES];
    if (!firmware_read(&firmware, err)) {
        return false;
    }
    if (launch->vcpus == 0 || launch->vcpus > VCPUS_MAX ||
        (launch->vcpus > 1 && firmware.reset == 0)) {
        return err_set(err, ERR_FORMAT,
                       "1 to %d processors; more than one need firmware that says "
                       "where they begin",
                       VCPUS_MAX);
    }
    for (size_t done = 0; done < launch->firmware.size; done += PAGE_BYTES) {
        add_page(digest, PAGE_NORMAL, FOUR_GIB - launch->firmware.size + done,
                 launch->firmware.ptr + done);
    }
    if (!sections_add(digest, launch, &firmware, err)) {
        return false;
    }
    for (uint32_t i = 0; i < launch->vcpus; i++) {
        vmsa_page(launch, i == 0 ? FIRST_PROCESSOR_START : firmware.reset, page);
        add_page(digest, PAGE_VMSA, VMSA_ADDRESS, page);
    }
    memcpy(out, digest, sizeof digest);
    return true;
}
