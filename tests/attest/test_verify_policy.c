/* test_verify_policy.c: what only a policy asks for: passed by when it does not, met at the limit,
 * refused below it, and refused when a report cannot tell.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include <criterion/criterion.h>
#include <string.h>

static struct forge forge;
static struct attest_policy policy;

static void setup(void)
{
    forge_init(&forge);
    policy = (struct attest_policy){.allow_any_simulated_root = true, .now_ms = FORGE_NOW_MS};
}

TestSuite(attest_verify_policy, .init = setup);

static void assert_fails(const char *check)
{
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &policy, check);
    json_decref(evidence);
}

static void assert_outcome(const char *check, enum attest_check_outcome outcome)
{
    struct attest_result result;
    json_t *evidence = forge_evidence(&forge);
    attest_evidence_verify(evidence, &policy, &result);
    forge_assert_result_ok(&result);
    cr_assert_eq(forge_check(&result, check)->outcome, outcome, "%s: %s", check,
                 forge_check(&result, check)->detail);
    json_decref(evidence);
}

Test(attest_verify_policy, asks_for_nothing_by_itself)
{
    static const char *const optional[] = {
        "revocation",      "measurement",      "host_data",    "id_key",       "author_key",
        "family_id",       "image_id",         "chip_allowed", "vmpl_allowed", "named_report_data",
        "product_allowed", "guest_policy",     "platform",     "mitigations",  "guest_svn",
        "tcb_floor",       "firmware_version", "age"};
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        assert_outcome(optional[i], ATTEST_NOT_APPLICABLE);
    }
}

Test(attest_verify_policy, lists_hold_any_of_their_values)
{
    uint8_t values[2][48] = {{1}, {0}};
    memcpy(values[1], forge.report.measurement, sizeof values[1]);
    policy.measurements = (struct attest_values){values[0], 2};
    assert_outcome("measurement", ATTEST_PASSED);
    policy.measurements.count = 1;
    assert_fails("measurement");
    values[0][47] = 1;
    memcpy(values[0], forge.report.measurement, 47); /* all but the last byte */
    assert_fails("measurement");
}

Test(attest_verify_policy, chips_are_allowed_or_refused)
{
    const uint8_t another[64] = {1};
    policy.chips = (struct attest_values){forge.report.chip_id, 1};
    assert_outcome("chip_allowed", ATTEST_PASSED);
    policy.chips_refused = (struct attest_values){another, 1};
    assert_outcome("chip_allowed", ATTEST_PASSED);
    policy.chips_refused = policy.chips;
    assert_fails("chip_allowed");
    policy.chips = (struct attest_values){0};
    assert_fails("chip_allowed");
    policy.chips_refused = (struct attest_values){another, 1};
    assert_outcome("chip_allowed", ATTEST_PASSED);
}

Test(attest_verify_policy, floors_are_met_at_the_limit)
{
    forge.report.guest_svn = 3;
    policy.guest_svn_min = 3;
    assert_outcome("guest_svn", ATTEST_PASSED);
    policy.guest_svn_min = 4;
    assert_fails("guest_svn");
    policy.guest_svn_min = 0;
    policy.firmware_min = 1U << 16 | 55U << 8 | 1; /* the forged report's own */
    assert_outcome("firmware_version", ATTEST_PASSED);
    policy.firmware_min = 1U << 16 | 56U << 8;
    assert_fails("firmware_version");
}

Test(attest_verify_policy, tcb_floor_is_of_each_part_and_of_the_product)
{
    const uint8_t genoa[ATTEST_TCB_PARTS] = {0, 0x04, 0x0A, 0x17, 0xD9};
    memcpy(policy.tcb_min[ATTEST_GENOA], genoa, sizeof genoa);
    assert_outcome("tcb_floor", ATTEST_PASSED);
    for (size_t i = 0; i < ATTEST_TCB_PARTS; i++) {
        policy.tcb_min[ATTEST_GENOA][i]++;
        assert_fails("tcb_floor");
        policy.tcb_min[ATTEST_GENOA][i]--;
    }
    memset(policy.tcb_min, 0, sizeof policy.tcb_min);
    memset(policy.tcb_min[ATTEST_MILAN], 0xFF, ATTEST_TCB_PARTS);
    assert_outcome("tcb_floor", ATTEST_NOT_APPLICABLE);
}

Test(attest_verify_policy, tcb_floor_knows_the_order_of_turin)
{
    forge.product = "Turin";
    forge.turin_order = true;
    forge.report.cpu_family = 0x1A;
    forge.report.cpu_model = 0x02;
    forge.hardware_id_size = 8;
    memset(forge.report.chip_id + 8, 0, 56);
    forge.leaf_tcb = UINT64_C(0x5500000004030201);
    forge.report.reported_tcb = forge.report.committed_tcb = forge.report.current_tcb =
        forge.leaf_tcb;
    const uint8_t turin[ATTEST_TCB_PARTS] = {1, 2, 3, 4, 0x55};
    memcpy(policy.tcb_min[ATTEST_TURIN], turin, sizeof turin);
    assert_outcome("tcb_floor", ATTEST_PASSED);
    for (size_t i = 0; i < ATTEST_TCB_PARTS; i++) {
        policy.tcb_min[ATTEST_TURIN][i]++;
        assert_fails("tcb_floor");
        policy.tcb_min[ATTEST_TURIN][i]--;
    }
}

Test(attest_verify_policy, tcbs_ascend)
{
    forge.report.committed_tcb -= 1; /* bootloader: below reported and current */
    policy.allow_provisional = true;
    assert_fails("tcb_order");
    forge_init(&forge);
    forge.report.current_tcb -= 1; /* below committed */
    assert_fails("tcb_order");
    forge_init(&forge);
    forge.leaf_tcb = forge.report.reported_tcb -= 1;
    assert_outcome("tcb_order", ATTEST_PASSED);
}

Test(attest_verify_policy, bits_are_required_and_forbidden)
{
    const uint64_t smt = UINT64_C(1) << 16, alias_check = UINT64_C(1) << 5;
    policy.guest_policy_required = smt;
    assert_fails("guest_policy");
    forge.report.policy |= smt;
    assert_outcome("guest_policy", ATTEST_PASSED);
    policy.guest_policy_required = 0;
    policy.guest_policy_forbidden = smt;
    assert_fails("guest_policy");
    setup();
    policy.platform_required = alias_check;
    assert_fails("platform");
    forge.report.platform_info = alias_check | 1;
    assert_outcome("platform", ATTEST_PASSED);
    policy.platform_forbidden = 1;
    assert_fails("platform");
}

Test(attest_verify_policy, mitigations_are_told_from_version_5_on)
{
    policy.mitigations_required = 2;
    assert_fails("mitigations");
    forge.report.version = 5;
    assert_fails("mitigations");
    forge.report.current_mitigations = 0xB;
    assert_outcome("mitigations", ATTEST_PASSED);
}

Test(attest_verify_policy, products_and_vmpls_are_sets)
{
    policy.products = 1U << ATTEST_MILAN | 1U << ATTEST_GENOA;
    assert_outcome("product_allowed", ATTEST_PASSED);
    policy.products = 1U << ATTEST_MILAN;
    assert_fails("product_allowed");
    policy.products = 0;
    policy.vmpls = 1U << 0 | 1U << 2;
    assert_outcome("vmpl_allowed", ATTEST_PASSED);
    forge.report.vmpl = 1;
    assert_fails("vmpl_allowed");
    forge.report.vmpl = 4; /* report_vmpl's matter alone */
    assert_fails("report_vmpl");
}

Test(attest_verify_policy, age_is_that_of_the_statement)
{
    policy.age_ms_max = 1000; /* the forged statement's */
    assert_outcome("age", ATTEST_PASSED);
    policy.age_ms_max = 999;
    assert_fails("age");
    forge.statement.not_before_ms = FORGE_NOW_MS + 1000; /* a clock ahead, within the skew */
    assert_outcome("age", ATTEST_PASSED);
}

static void assert_crl(const struct forge_crl *wanted, const char *failure)
{
    struct buffer der;
    buffer_init(&der, 65536);
    forge_crl(wanted, &der);
    policy.crl = buffer_bytes(&der);
    if (failure == NULL) {
        assert_outcome("revocation", ATTEST_PASSED);
    } else {
        struct attest_result result;
        json_t *evidence = forge_evidence(&forge);
        forge_assert_fails(evidence, &policy, "revocation");
        attest_evidence_verify(evidence, &policy, &result);
        cr_assert_not_null(strstr(forge_check(&result, "revocation")->detail, failure), "%s",
                           forge_check(&result, "revocation")->detail);
        json_decref(evidence);
    }
    buffer_release(&der);
}

Test(attest_verify_policy, revocation_list_is_signed_fresh_and_silent)
{
    const struct forge_crl good = {FORGE_NOW_MS - 1000, FORGE_NOW_MS + 1000, false, false};
    struct forge_crl crl = good;
    assert_crl(&crl, NULL);
    crl.revokes_intermediate = true;
    assert_crl(&crl, "revoked");
    crl = good;
    crl.wrong_key = true;
    assert_crl(&crl, "not signed by this root");
    crl = good;
    crl.last_ms = FORGE_NOW_MS + 1000;
    assert_crl(&crl, "not yet valid");
    crl = good;
    crl.next_ms = FORGE_NOW_MS - 1000;
    assert_crl(&crl, "stale");
    crl.next_ms = 0;
    assert_crl(&crl, "stale");
}

Test(attest_verify_policy, revocation_list_is_der_and_nothing_else)
{
    struct buffer der;
    const struct forge_crl good = {FORGE_NOW_MS - 1000, FORGE_NOW_MS + 1000, false, false};
    buffer_init(&der, 65536);
    forge_crl(&good, &der);
    buffer_append_u8(&der, 0);
    policy.crl = buffer_bytes(&der);
    assert_fails("revocation");
    policy.crl.size -= 2;
    assert_fails("revocation");
    buffer_release(&der);
}

Test(attest_verify_policy, the_gravest_failure_names_the_class)
{
    struct attest_result result;
    forge.report.policy |= REPORT_POLICY_DEBUG;
    forge.leaf_not_after_ms = FORGE_NOW_MS - 1000;
    json_t *evidence = forge_evidence(&forge);
    attest_evidence_verify(evidence, &policy, &result);
    cr_assert_eq(result.failure, ATTEST_CRYPTOGRAPHY);
    json_object_del(evidence, "statement");
    attest_evidence_verify(evidence, &policy, &result);
    cr_assert_eq(result.failure, ATTEST_FORMAT);
    json_decref(evidence);
}
