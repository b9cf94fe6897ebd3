/* verify_policy.c: the checks that only run when the policy asks: which programs, chips, products
 * and firmware one wants to believe, of all that are genuine.
 *
 * What the policy asks for and the report cannot show (a field of a later version) is a failure:
 * not being asked is the only way to be passed by.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"

#include <inttypes.h>
#include <string.h>

static bool is_among(const struct attest_values *list, const uint8_t *value, size_t size)
{
    for (size_t i = 0; i < list->count; i++) {
        if (memcmp(list->values + i * size, value, size) == 0) {
            return true;
        }
    }
    return false;
}

/* The value must be in the list, if there is one. */
static bool check_list(struct attest_check *check, const struct attest_values *list,
                       const uint8_t *value, size_t size)
{
    char hex[2 * 64 + 1];
    if (list->count == 0) {
        return inspection_pass_by(check, "the policy names none");
    }
    text_hex_encode(bytes_of(value, size), hex);
    return is_among(list, value, size) ? inspection_pass(check, "%s", hex)
                                       : inspection_fail(check, "%s is not in the policy", hex);
}

#define LIST_CHECK(name, list)                                                                     \
    static bool check_##name(struct inspection *inspection, struct attest_check *check)            \
    {                                                                                              \
        return check_list(check, &inspection->policy->list, inspection->report.name,               \
                          sizeof inspection->report.name);                                         \
    }

LIST_CHECK(measurement, measurements)
LIST_CHECK(host_data, host_data)
LIST_CHECK(id_key_digest, id_keys)
LIST_CHECK(author_key_digest, author_keys)
LIST_CHECK(family_id, family_ids)
LIST_CHECK(image_id, image_ids)
LIST_CHECK(report_data, report_data)

static bool check_chip_allowed(struct inspection *inspection, struct attest_check *check)
{
    const uint8_t *chip = inspection->report.chip_id;
    if (is_among(&inspection->policy->chips_refused, chip, sizeof inspection->report.chip_id)) {
        return inspection_fail(check, "the policy refuses this chip");
    }
    return inspection->policy->chips.count == 0 && inspection->policy->chips_refused.count > 0
               ? inspection_pass(check, "the policy does not refuse this chip")
               : check_list(check, &inspection->policy->chips, chip,
                            sizeof inspection->report.chip_id);
}

static bool check_product_allowed(struct inspection *inspection, struct attest_check *check)
{
    if (inspection->policy->products == 0) {
        return inspection_pass_by(check, "the policy names none");
    }
    const char *name = attest_line_name(inspection->line);
    return (inspection->policy->products >> inspection->line & 1U) != 0
               ? inspection_pass(check, "%s", name)
               : inspection_fail(check, "%s is not in the policy", name);
}

static bool check_vmpl_allowed(struct inspection *inspection, struct attest_check *check)
{
    uint32_t vmpl = inspection->report.vmpl;
    if (inspection->policy->vmpls == 0) {
        return inspection_pass_by(check, "the policy names none");
    }
    if (vmpl > 3) {
        return inspection_pass_by(check, "report_vmpl has refused it");
    }
    return (inspection->policy->vmpls >> vmpl & 1U) != 0
               ? inspection_pass(check, "VMPL %u", vmpl)
               : inspection_fail(check, "VMPL %u is not in the policy", vmpl);
}

static bool check_bits(struct attest_check *check, uint64_t value, uint64_t required,
                       uint64_t forbidden)
{
    if (required == 0 && forbidden == 0) {
        return inspection_pass_by(check, "the policy asks for no bits");
    }
    if ((required & ~value) != 0) {
        return inspection_fail(check, "it is %#" PRIx64 ": the bits %#" PRIx64 " are missing",
                               value, required & ~value);
    }
    return (value & forbidden) == 0
               ? inspection_pass(check, "%#" PRIx64, value)
               : inspection_fail(check, "it is %#" PRIx64 ": the bits %#" PRIx64 " are forbidden",
                                 value, value & forbidden);
}

static bool check_guest_policy(struct inspection *inspection, struct attest_check *check)
{
    return check_bits(check, inspection->report.policy, inspection->policy->guest_policy_required,
                      inspection->policy->guest_policy_forbidden);
}

static bool check_platform(struct inspection *inspection, struct attest_check *check)
{
    return check_bits(check, inspection->report.platform_info,
                      inspection->policy->platform_required,
                      inspection->policy->platform_forbidden);
}

static bool check_mitigations(struct inspection *inspection, struct attest_check *check)
{
    uint64_t required = inspection->policy->mitigations_required;
    if (required == 0) {
        return inspection_pass_by(check, "the policy asks for none");
    }
    if (inspection->report.version < 5) {
        return inspection_fail(check, "a report of version %u does not tell",
                               inspection->report.version);
    }
    return check_bits(check, inspection->report.current_mitigations, required, 0);
}

static bool check_guest_svn(struct inspection *inspection, struct attest_check *check)
{
    uint32_t min = inspection->policy->guest_svn_min;
    uint32_t svn = inspection->report.guest_svn;
    if (min == 0) {
        return inspection_pass_by(check, "the policy asks for none");
    }
    return svn >= min ? inspection_pass(check, "%u", svn)
                      : inspection_fail(check, "it is %u, the policy wants %u", svn, min);
}

static bool check_firmware_version(struct inspection *inspection, struct attest_check *check)
{
    const uint8_t *parts = inspection->report.committed_version; /* build, minor, major */
    uint32_t version = (uint32_t)parts[2] << 16 | (uint32_t)parts[1] << 8 | parts[0];
    if (inspection->policy->firmware_min == 0) {
        return inspection_pass_by(check, "the policy asks for none");
    }
    return version >= inspection->policy->firmware_min
               ? inspection_pass(check, "%u.%u.%u", parts[2], parts[1], parts[0])
               : inspection_fail(check, "the committed firmware %u.%u.%u is too old", parts[2],
                                 parts[1], parts[0]);
}

static bool check_tcb_floor(struct inspection *inspection, struct attest_check *check)
{
    static const char *const names[ATTEST_TCB_PARTS] = {"fmc", "bootloader", "tee", "snp",
                                                        "microcode"};
    const uint8_t *min = inspection->policy->tcb_min[inspection->line];
    uint8_t tcb[ATTEST_TCB_PARTS];
    bool asked = false;
    report_tcb_split(inspection->report.reported_tcb, inspection->line, tcb);
    for (size_t i = 0; i < ATTEST_TCB_PARTS; i++) {
        asked = asked || min[i] > 0;
        if (tcb[i] < min[i]) {
            return inspection_fail(check, "%s is at %u, the policy wants %u", names[i], tcb[i],
                                   min[i]);
        }
    }
    return asked ? inspection_pass(check, "every part of the reported TCB is new enough")
                 : inspection_pass_by(check, "the policy sets none for this product");
}

static bool check_age(struct inspection *inspection, struct attest_check *check)
{
    const struct attest_policy *policy = inspection->policy;
    if (policy->age_ms_max == 0) {
        return inspection_pass_by(check, "the policy sets no age");
    }
    if (inspection->bare) {
        return inspection_fail(check, "a report without a statement has no age");
    }
    int64_t age_ms = policy->now_ms - inspection->statement.not_before_ms;
    return age_ms <= 0 || (uint64_t)age_ms <= policy->age_ms_max
               ? inspection_pass(check, "%" PRId64 " s", age_ms / 1000)
               : inspection_fail(check, "it is %" PRId64 " s old", age_ms / 1000);
}

static const struct inspection_check checks[] = {
    {"measurement", ATTEST_POLICY, HAVE_REPORT, check_measurement},
    {"host_data", ATTEST_POLICY, HAVE_REPORT, check_host_data},
    {"id_key", ATTEST_POLICY, HAVE_REPORT, check_id_key_digest},
    {"author_key", ATTEST_POLICY, HAVE_REPORT, check_author_key_digest},
    {"family_id", ATTEST_POLICY, HAVE_REPORT, check_family_id},
    {"image_id", ATTEST_POLICY, HAVE_REPORT, check_image_id},
    {"named_report_data", ATTEST_POLICY, HAVE_REPORT, check_report_data},
    {"chip_allowed", ATTEST_POLICY, HAVE_REPORT, check_chip_allowed},
    {"product_allowed", ATTEST_POLICY, HAVE_LINE, check_product_allowed},
    {"vmpl_allowed", ATTEST_POLICY, HAVE_REPORT, check_vmpl_allowed},
    {"guest_policy", ATTEST_POLICY, HAVE_REPORT, check_guest_policy},
    {"platform", ATTEST_POLICY, HAVE_REPORT, check_platform},
    {"mitigations", ATTEST_POLICY, HAVE_REPORT, check_mitigations},
    {"guest_svn", ATTEST_POLICY, HAVE_REPORT, check_guest_svn},
    {"firmware_version", ATTEST_POLICY, HAVE_REPORT, check_firmware_version},
    {"tcb_floor", ATTEST_POLICY, HAVE_LINE, check_tcb_floor},
    {"age", ATTEST_POLICY, HAVE_STATEMENT, check_age},
};

struct inspection_table inspection_table_policy(void)
{
    return (struct inspection_table){checks, sizeof checks / sizeof checks[0]};
}
