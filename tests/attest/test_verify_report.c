/* test_verify_report.c: one mutation at least for every check of a report; all but the one under
 * test pass, because mutations are made before the report is signed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct attest_policy any_root = {.allow_any_simulated_root = true,
                                              .now_ms = FORGE_NOW_MS};

static struct forge forge;

static void setup(void)
{
    forge_init(&forge);
}

TestSuite(attest_verify_report, .init = setup);

static void assert_fails(const char *check)
{
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &any_root, check);
    json_decref(evidence);
}

static void assert_ok(const struct attest_policy *policy)
{
    json_t *evidence = forge_evidence(&forge);
    forge_assert_ok(evidence, policy);
    json_decref(evidence);
}

/* Flips bits of one byte before or after signing, alone. */
static void before(size_t offset, uint8_t bits)
{
    forge.before[0] = (struct forge_patch){offset, bits};
}

static void after(size_t offset, uint8_t bits)
{
    forge.after[0] = (struct forge_patch){offset, bits};
}

Test(attest_verify_report, size_is_exact)
{
    const size_t sizes[] = {0, 1, ATTEST_REPORT_BYTES - 1, ATTEST_REPORT_BYTES + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        forge.report_size = sizes[i];
        assert_fails("report_size");
    }
    forge.report_size = ATTEST_REPORT_BYTES;
    json_t *evidence = forge_evidence(&forge);
    json_object_set_new(evidence, "report", json_null());
    forge_assert_fails(evidence, &any_root, "report_size");
    json_decref(evidence);
}

Test(attest_verify_report, versions_2_to_5_are_known)
{
    for (uint32_t version = 2; version <= 5; version++) {
        forge.report.version = version;
        forge.report.cpu_family = version == 2 ? 0 : 0x19; /* version 2 has reserved zeros there */
        forge.report.cpu_model = version == 2 ? 0 : 0x11;
        assert_ok(&any_root);
    }
    const uint32_t others[] = {0, 1, 6, 7, 0x102, UINT32_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        forge.report.version = others[i];
        assert_fails("report_version");
    }
}

Test(attest_verify_report, reserved_bytes_are_zero)
{
    const size_t offsets[] = {0x49, 0x4B, 0x4C, 0x4F, 0x18B, 0x19F, 0x1EB, 0x1EF, 0x1F8, 0x29F};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        before(offsets[i], 0x80);
        assert_fails("report_reserved");
    }
    before(0x48, 0x20); /* above SIGNING_KEY */
    assert_fails("report_reserved");
}

Test(attest_verify_report, version_5_has_mitigation_vectors)
{
    forge.report.version = 5;
    before(0x1F8, 0x0B);
    assert_ok(&any_root);
    before(0x207, 0x01);
    assert_ok(&any_root);
    before(0x208, 0x01);
    assert_fails("report_reserved");
}

Test(attest_verify_report, version_2_has_no_cpu_numbers)
{
    forge.report.version = 2;
    assert_fails("report_reserved");
}

Test(attest_verify_report, policy_bit_17_is_one)
{
    forge.report.policy = 0;
    assert_fails("report_reserved");
}

Test(attest_verify_report, unknown_platform_bits_are_let_through)
{
    forge.report.platform_info = UINT64_MAX;
    assert_ok(&any_root);
}

Test(attest_verify_report, masked_chip_key_means_unsigned)
{
    forge.report.key_info = REPORT_KEY_MASK_CHIP;
    assert_fails("chip_key_unmasked");
}

Test(attest_verify_report, only_ecdsa_p384_is_known)
{
    forge.report.signature_algorithm = 0;
    assert_fails("signature_algorithm");
    forge.report.signature_algorithm = 2;
    assert_fails("signature_algorithm");
}

Test(attest_verify_report, signature_room_hides_nothing)
{
    const size_t offsets[] = {0x2A0 + 48, 0x2A0 + 71, 0x2E8 + 48, 0x2E8 + 71, 0x330, 0x49F};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        after(offsets[i], 1);
        assert_fails("signature_encoding");
    }
}

Test(attest_verify_report, signature_covers_every_field)
{
    /* A bit in each that no other check looks at. */
    const size_t offsets[] = {0x004, 0x010, 0x020, 0x040, 0x090, 0x0C0,
                              0x0E0, 0x110, 0x140, 0x160, 0x1F0};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        after(offsets[i], 1);
        assert_fails("report_signature");
    }
    after(0x2A0, 1); /* R */
    assert_fails("report_signature");
    after(0x2E8, 1); /* S */
    assert_fails("report_signature");
}

static void set_scalar(uint8_t *raw, size_t offset, const uint8_t *scalar)
{
    for (size_t i = 0; i < 48; i++) {
        raw[offset + i] = scalar[47 - i];
    }
}

static json_t *with_signature(const json_t *evidence, const uint8_t *r, const uint8_t *s)
{
    char text[4096];
    uint8_t raw[2048];
    size_t size = 0;
    const json_t *report = json_object_get(evidence, "report");
    cr_assert(
        text_base64_decode(json_string_value(report), json_string_length(report), raw, &size));
    set_scalar(raw, 0x2A0, r);
    set_scalar(raw, 0x2E8, s);
    text_base64_encode(bytes_of(raw, size), text);
    json_t *copy = json_deep_copy(evidence);
    json_object_set_new(copy, "report", json_string(text));
    return copy;
}

Test(attest_verify_report, signature_numbers_are_in_range)
{
    uint8_t zero[48] = {0}, one[48] = {0}, order[48];
    const char *order_hex = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf"
                            "581a0db248b0a77aecec196accc52973";
    one[47] = 1;
    cr_assert(text_hex_decode(order_hex, 96, order, 48));
    const uint8_t *const pairs[][2] = {{zero, zero}, {zero, one},  {one, zero},
                                       {order, one}, {one, order}, {order, order}};
    json_t *evidence = forge_evidence(&forge);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        json_t *copy = with_signature(evidence, pairs[i][0], pairs[i][1]);
        forge_assert_fails(copy, &any_root, "report_signature");
        json_decref(copy);
    }
    json_decref(evidence);
}

Test(attest_verify_report, all_zero_report_is_refused)
{
    struct attest_result result;
    char text[4096];
    const uint8_t zeros[ATTEST_REPORT_BYTES] = {0};
    json_t *evidence = forge_evidence(&forge);
    text_base64_encode(bytes_of(zeros, sizeof zeros), text);
    json_object_set_new(evidence, "report", json_string(text));
    attest_evidence_verify(evidence, &any_root, &result);
    cr_assert_not(result.ok);
    cr_assert_eq(forge_check(&result, "report_version")->outcome, ATTEST_FAILED);
    cr_assert_eq(forge_check(&result, "report_signature")->outcome, ATTEST_FAILED);
    json_decref(evidence);
}

Test(attest_verify_report, vmpl_is_one_of_the_guests)
{
    for (uint32_t vmpl = 0; vmpl <= 3; vmpl++) {
        forge.report.vmpl = vmpl;
        assert_ok(&any_root);
    }
    forge.report.vmpl = 4;
    assert_fails("report_vmpl");
    forge.report.vmpl = UINT32_MAX; /* asked for by the host */
    assert_fails("report_vmpl");
}

Test(attest_verify_report, debug_is_refused_unless_allowed)
{
    struct attest_policy allowing = any_root;
    allowing.allow_debug = true;
    forge.report.policy |= REPORT_POLICY_DEBUG;
    assert_fails("guest_policy_debug");
    assert_ok(&allowing);
}

Test(attest_verify_report, migration_is_refused_unless_allowed)
{
    struct attest_policy allowing = any_root;
    allowing.allow_migration = true;
    forge.report.policy |= REPORT_POLICY_MIGRATE_MA;
    assert_fails("guest_policy_migration");
    assert_ok(&allowing);
}

Test(attest_verify_report, provisional_firmware_is_refused_unless_allowed)
{
    struct attest_policy allowing = any_root;
    allowing.allow_provisional = true;
    forge.report.current_tcb += UINT64_C(1) << 56; /* microcode */
    assert_fails("committed_firmware");
    assert_ok(&allowing);
    forge.report.current_tcb = forge.report.committed_tcb;
    forge.report.current_version[0]++;
    assert_fails("committed_firmware");
}
