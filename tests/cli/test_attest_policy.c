/* test_attest_policy.c: a policy file says what it says, and a mistake in it has a line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/attest.h"

#include "cli/temporary.h"

#include <criterion/criterion.h>
#include <string.h>

#define H32 "0123456789abcdef0123456789abcdef"
#define H64 H32 H32
#define H96 H64 H32
#define H128 H64 H64

static struct attest_policy_file file;

static bool load(const char *text, struct err *err)
{
    attest_policy_file_release(&file);
    attest_policy_file_init(&file);
    return attest_policy_file_load_text(&file, bytes_of_string(text), "p.yaml", err);
}

static void setup(void)
{
    attest_policy_file_init(&file);
}

static void teardown(void)
{
    attest_policy_file_release(&file);
}

TestSuite(cli_attest_policy, .init = setup, .fini = teardown);

Test(cli_attest_policy, says_everything)
{
    struct err err;
    const struct attest_policy *policy = &file.policy;
    cr_assert(load("measurements: [" H96 ", " H96 "]\n"
                   "host_data: " H64 "\n"
                   "id_keys: " H96 "\nauthor_keys: " H96 "\n"
                   "family_ids: " H32 "\nimage_ids: " H32 "\n"
                   "report_data: " H128 "\nchips: " H128 "\nchips_refused: [" H128 "]\n"
                   "products: [Genoa, Turin]\nvmpl: [0, 3]\n"
                   "guest_policy: {required: single_socket, forbidden: [smt, cxl]}\n"
                   "platform: {required: [alias_check, ecc], forbidden: tio}\n"
                   "mitigations: 0x1F\n"
                   "minimum:\n"
                   "  guest_svn: 7\n"
                   "  firmware: 1.55.29\n"
                   "  Milan: {bootloader: 4, snp: 24, microcode: 219}\n"
                   "  Genoa: {tee: 1}\n"
                   "  Turin: {fmc: 9, bootloader: 255}\n"
                   "max_age_seconds: 3600\n"
                   "revocation: required\n"
                   "allow: [debug, migration, provisional_firmware]\n",
                   &err),
              "%s", err.message);
    cr_expect_eq(policy->measurements.count, 2);
    cr_expect_eq(policy->measurements.values[48 + 1], 0x23);
    cr_expect_eq(policy->host_data.count, 1);
    cr_expect_eq(policy->id_keys.count, 1);
    cr_expect_eq(policy->author_keys.count, 1);
    cr_expect_eq(policy->family_ids.count, 1);
    cr_expect_eq(policy->image_ids.count, 1);
    cr_expect_eq(policy->report_data.count, 1);
    cr_expect_eq(policy->chips.count, 1);
    cr_expect_eq(policy->chips_refused.count, 1);
    cr_expect_eq(policy->products, 1U << ATTEST_GENOA | 1U << ATTEST_TURIN);
    cr_expect_eq(policy->vmpls, 1U | 1U << 3);
    cr_expect_eq(policy->guest_policy_required, UINT64_C(1) << 20);
    cr_expect_eq(policy->guest_policy_forbidden, UINT64_C(1) << 16 | UINT64_C(1) << 21);
    cr_expect_eq(policy->platform_required, 1U << 5 | 1U << 2);
    cr_expect_eq(policy->platform_forbidden, 1U << 7);
    cr_expect_eq(policy->mitigations_required, 0x1F);
    cr_expect_eq(policy->guest_svn_min, 7);
    cr_expect_eq(policy->firmware_min, 1U << 16 | 55U << 8 | 29);
    const uint8_t milan[ATTEST_TCB_PARTS] = {0, 4, 0, 24, 219};
    const uint8_t genoa[ATTEST_TCB_PARTS] = {0, 0, 1, 0, 0};
    const uint8_t turin[ATTEST_TCB_PARTS] = {9, 255, 0, 0, 0};
    cr_expect_arr_eq(policy->tcb_min[ATTEST_MILAN], milan, sizeof milan);
    cr_expect_arr_eq(policy->tcb_min[ATTEST_GENOA], genoa, sizeof genoa);
    cr_expect_arr_eq(policy->tcb_min[ATTEST_TURIN], turin, sizeof turin);
    cr_expect_eq(policy->age_ms_max, 3600000);
    cr_expect(policy->crl_required);
    cr_expect(policy->allow_debug && policy->allow_migration && policy->allow_provisional);
}

Test(cli_attest_policy, says_nothing_when_empty)
{
    struct err err;
    const struct attest_policy strict = {0};
    cr_assert(load("", &err));
    cr_assert_arr_eq(&file.policy, &strict, sizeof strict);
    cr_assert(load("# nothing\n", &err));
    cr_assert(load("revocation: optional\n", &err));
    cr_assert_arr_eq(&file.policy, &strict, sizeof strict);
}

Test(cli_attest_policy, a_mistake_has_its_line_and_what_would_be_right)
{
    static const struct {
        const char *text;
        const char *message;
    } mistakes[] = {
        {"vmpl: 0\nmeasurement: " H96 "\n",
         "p.yaml:2: a policy has no 'measurement' here; known: "},
        {"vmpl: 0\nvmpl: 0\n", "p.yaml:2: vmpl is given twice"},
        {"measurements: " H64 "\n", "p.yaml:1: measurements takes 96 hexadecimal digits"},
        {"measurements:\n- " H96 "\n- x\n", "p.yaml:3: measurements takes"},
        {"measurements: []\n", "measurements takes one value or a list"},
        {"measurements: {}\n", "measurements takes one value or a list"},
        {"measurements:\n", "p.yaml:1: measurements takes 96"},
        {"host_data: " H96 "\n", "host_data takes 64"},
        {"products: Naples\n", "products takes Milan, Genoa and Turin"},
        {"products: milan\n", "products takes Milan"},
        {"products: [[Milan]]\n", "products takes Milan"},
        {"vmpl: 4\n", "vmpl takes a number, at most 3"},
        {"vmpl: x\n", "vmpl takes a number"},
        {"vmpl: {}\n", "vmpl takes one value"},
        {"guest_policy: smt\n", "here go keys with values"},
        {"guest_policy: {forbid: smt}\n", "a policy has no 'forbid' here; known: required"},
        {"guest_policy: {forbidden: tsme}\n", "there is no bit 'tsme' here"},
        {"platform: {required: []}\n", "required takes one value"},
        {"platform: {required: [[]]}\n", "there is no bit '?' here"},
        {"mitigations: -1\n", "mitigations takes a number"},
        {"mitigations: 0x\n", "mitigations takes a number"},
        {"mitigations: 0x11111111111111111\n", "mitigations takes a number"},
        {"mitigations: 0x 1\n", "mitigations takes a number"},
        {"minimum: {guest_svn: 4294967296}\n", "guest_svn takes a number, at most 4294967295"},
        {"minimum: {firmware: 1.55}\n", "firmware takes a version such as"},
        {"minimum: {firmware: 1.55.29.1}\n", "firmware takes a version"},
        {"minimum: {firmware: 1.55.256}\n", "firmware takes a version"},
        {"minimum: {firmware: []}\n", "firmware takes a version"},
        {"minimum: {Milan: {snp: 256}}\n", "snp takes a number, at most 255"},
        {"minimum: {Milan: {fmc: 1}}\n", "a policy has no 'fmc' here"},
        {"max_age_seconds: 0\n", "max_age_seconds is 1 at least"},
        {"max_age_seconds: 1h\n", "max_age_seconds takes a number"},
        {"revocation: always\n", "revocation takes required or optional"},
        {"revocation: []\n", "revocation takes required or optional"},
        {"revocation_list: ''\n", "revocation_list takes the name of a file"},
        {"revocation_list: /nowhere/x.crl\n", "cannot open '/nowhere/x.crl'"},
        {"allow: everything\n", "allow takes debug, migration, provisional_firmware"},
        {"allow: []\n", "allow takes one value"},
        {"[]\n", "here go keys with values"},
        {"? [a]\n: b\n", "a policy has no '?' here"},
        {"vmpl: \"0\\0\"\n", "vmpl takes a number"},
        {"vmpl: [\n", "not YAML"},
        {"vmpl: 0\n---\nvmpl: 1\n", "one file holds one policy"},
        {"vmpl: 0\n---\n[\n", "one file holds one policy"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct err err = {0};
        cr_expect_not(load(mistakes[i].text, &err), "%s", mistakes[i].text);
        cr_expect_not_null(strstr(err.message, mistakes[i].message), "%s: %s", mistakes[i].text,
                           err.message);
    }
}

Test(cli_attest_policy, a_revocation_list_is_looked_for_beside_the_file)
{
    struct err err;
    struct temporary directory;
    temporary_make(&directory);
    temporary_write(&directory, "x.crl", "no list");
    const char *path = temporary_write(&directory, "policy.yaml", "revocation_list: x.crl\n");
    cr_expect_not(attest_policy_file_load(&file, path, &err));
    cr_expect_not_null(strstr(err.message, "x.crl holds no revocation list"), "%s", err.message);
    cr_expect_not(attest_policy_file_load(&file, "/nowhere/policy.yaml", &err));
    temporary_remove(&directory);
}
