/* test_attest.c: `attest verify` and `attest show` as programs, on real reports.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/program.h"
#include "cli/temporary.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VECTORS WH_SOURCE_DIR "/../shared/attestation-vectors/"
#define MILAN VECTORS "ms-tav/milan_attestation_report.bin"
#define MILAN_LEAF VECTORS "ms-tav/milan_vcek.pem"
#define PROVISIONAL VECTORS "coco-trustee/test-report.bin"
#define PROVISIONAL_LEAF VECTORS "coco-trustee/test-vcek.der"
#define FORGED_LEAF VECTORS "coco-trustee/test-vcek-invalid-new.der"

static struct temporary directory;

static void setup(void)
{
    temporary_make(&directory);
}

static void teardown(void)
{
    temporary_remove(&directory);
}

TestSuite(cli_attest, .init = setup, .fini = teardown);

static void need_vectors(void)
{
    if (access(MILAN, R_OK) != 0) {
        cr_skip("skipped: real reports, get them by putting the attestation vectors into " VECTORS);
    }
}

static void expect(struct program_result result, int code, const char *out, const char *err)
{
    cr_expect_eq(result.code, code, "%d: %s%s", result.code, result.out, result.err);
    cr_expect_not_null(strstr(result.out, out), "'%s' lacks '%s'", result.out, out);
    cr_expect_not_null(strstr(result.err, err), "'%s' lacks '%s'", result.err, err);
    program_result_release(&result);
}

Test(cli_attest, the_exit_status_tells_what_is_wrong)
{
    need_vectors();
    expect(PROGRAM_RUN("attest", "verify", MILAN, "--certs", MILAN_LEAF, "--at", "2026-06-01"), 0,
           "\nOK\n", "");
    expect(PROGRAM_RUN("attest", "verify", PROVISIONAL, "--certs", PROVISIONAL_LEAF, "--at",
                       "2026-06-01T12:00:00Z"),
           12, "REFUSED (policy): committed_firmware", "");
    expect(
        PROGRAM_RUN("attest", "verify", PROVISIONAL, "--certs", FORGED_LEAF, "--at", "2026-06-01"),
        4, "REFUSED (cryptography): chain", "");
    expect(PROGRAM_RUN("attest", "verify", MILAN_LEAF, "--certs", MILAN_LEAF), 13,
           "REFUSED (format): report_size", "");
    expect(PROGRAM_RUN("attest", "verify", MILAN), 13, "REFUSED (format): certificates_present",
           "");
    expect(PROGRAM_RUN("attest", "verify", MILAN, "--certs", MILAN_LEAF, "--at", "2020-01-01"), 4,
           "REFUSED (cryptography): certificate_time", "");
}

Test(cli_attest, a_simulated_root_does_not_help_hardware_nor_hurt_it)
{
    need_vectors();
    expect(PROGRAM_RUN("attest", "verify", MILAN, "--certs", MILAN_LEAF, "--at", "2026-06-01",
                       "--allow-simulated", "any"),
           0, "sev-guest", "");
}

Test(cli_attest, a_policy_decides)
{
    need_vectors();
    const char *allowing =
        temporary_write(&directory, "allowing.yaml", "allow: provisional_firmware\n");
    expect(PROGRAM_RUN("attest", "verify", PROVISIONAL, "--certs", PROVISIONAL_LEAF, "--at",
                       "2026-06-01", "--policy", allowing),
           0, "\nOK\n", "");
    const char *turin = temporary_write(&directory, "turin.yaml", "products: Turin\n");
    expect(PROGRAM_RUN("attest", "verify", MILAN, "--certs", MILAN_LEAF, "--at", "2026-06-01",
                       "--policy", turin),
           12, "REFUSED (policy): product_allowed: Milan is not in the policy", "");
    const char *wrong = temporary_write(&directory, "wrong.yaml", "product: Turin\n");
    expect(PROGRAM_RUN("attest", "verify", MILAN, "--policy", wrong), 2, "", "wrong.yaml:1: ");
    expect(PROGRAM_RUN("exec", "x.wasm", "--attestation-policy", wrong), 2, "", "wrong.yaml:1: ");
}

Test(cli_attest, revocation_lists_come_by_flag_and_by_policy)
{
    need_vectors();
    const char *required = temporary_write(&directory, "p.yaml",
                                           "revocation: required\nrevocation_list: " VECTORS
                                           "automata-atakit/milan.crl.der\n");
    const char *report = VECTORS "automata-atakit/gcp_milan_v5_report.bin";
    const char *leaf = VECTORS "automata-atakit/gcp_milan_v5_vcek.der";
    expect(PROGRAM_RUN("attest", "verify", report, "--certs", leaf, "--at", "2026-07-15",
                       "--policy", required),
           0, "passed          revocation", "");
    expect(PROGRAM_RUN("attest", "verify", report, "--certs", leaf, "--at", "2026-09-01", "--crl",
                       VECTORS "automata-atakit/milan.crl.der"),
           4, "revocation list is stale", "");
    expect(PROGRAM_RUN("attest", "verify", report, "--certs", leaf, "--crl", leaf), 2, "",
           "no revocation list");
}

Test(cli_attest, json_has_every_check)
{
    need_vectors();
    struct program_result result = PROGRAM_RUN("attest", "verify", PROVISIONAL, "--certs",
                                               PROVISIONAL_LEAF, "--at", "2026-06-01", "--json");
    json_t *json = program_json(&result);
    cr_expect(json_is_false(json_object_get(json, "ok")));
    cr_expect_str_eq(json_string_value(json_object_get(json, "failure")), "policy");
    cr_expect_str_eq(json_string_value(json_object_get(json, "failed_check")),
                     "committed_firmware");
    cr_expect_gt(json_array_size(json_object_get(json, "checks")), 40);
    json_decref(json);
    program_result_release(&result);
}

Test(cli_attest, wrong_usage_is_named)
{
    const char *text = temporary_write(&directory, "report", "{");
    expect(PROGRAM_RUN("attest", "verify", text), 13, "REFUSED (format): evidence_format", "");
    expect(PROGRAM_RUN("attest", "verify", text, "--at", "today"), 2, "", "--at takes");
    char nonce[88 + 1] = {0};
    memset(nonce, 'A', 86);
    memcpy(nonce + 86, "==", 2); /* 64 bytes */
    expect(PROGRAM_RUN("attest", "verify", text, "--nonce", nonce), 13, "REFUSED (format)", "");
    nonce[86] = 'A'; /* 65 */
    expect(PROGRAM_RUN("attest", "verify", text, "--nonce", nonce), 2, "", "up to 64 bytes");
    expect(PROGRAM_RUN("attest", "verify", text, "--certs", text), 2, "", "holds no certificates");
    expect(PROGRAM_RUN("attest", "verify", text, "--certs", "/nowhere"), 2, "", "/nowhere");
    expect(PROGRAM_RUN("attest", "verify", "/nowhere"), 2, "", "/nowhere");
    expect(PROGRAM_RUN("attest", "verify", text, "--allow-simulated", "some"), 2, "", "64 hex");
    expect(PROGRAM_RUN("attest", "verify", text, text), 2, "", "one argument too many");
    expect(PROGRAM_RUN("attest", "verify", text, "--certs", "1", "--certs", "2", "--certs", "3",
                       "--certs", "4", "--certs", "5", "--certs", "6", "--certs", "7", "--certs",
                       "8", "--certs", "9"),
           2, "", "8 files at most");
    expect(PROGRAM_RUN("attest", "report", "--node", "http://127.0.0.1:1"), 3, "", "attest report");
    expect(PROGRAM_RUN("attest", "report", "x"), 2, "", "one argument too many");
}

Test(cli_attest, show_tells_fields_and_bits)
{
    need_vectors();
    expect(PROGRAM_RUN("attest", "show", VECTORS "ms-tav/turin_attestation_report.bin"), 0,
           "reported_tcb         5100000004010101  fmc 1, bootloader 1, tee 1, snp 4, microcode 81",
           "");
    expect(PROGRAM_RUN("attest", "show", VECTORS "ms-tav/turin_attestation_report.bin"), 0,
           "other bits that are set: 0x40", "");
    expect(PROGRAM_RUN("attest", "show", VECTORS "go-sev-guest/attestation.bin"), 0,
           "yes debug              bit 19: the host may debug the guest: nothing in it is secret",
           "");
    const char *text = temporary_write(&directory, "short", "report");
    expect(PROGRAM_RUN("attest", "show", text), 13, "", "a report has 1184 bytes, this is 6");
    text = temporary_write(&directory, "json", "{\"report\":null}");
    expect(PROGRAM_RUN("attest", "show", text), 13, "", "no report in this evidence");
}

Test(cli_attest, measure_prints_what_a_policy_takes)
{
    const char *firmware = WH_SOURCE_DIR "/tests/attest/vectors/ovmf_amdsev_tail.bin";
    const char *empty = temporary_write(&directory, "empty", "");
    expect(
        PROGRAM_RUN("attest", "measure", firmware, "--kernel", empty, "--initrd", empty, "--append",
                    "console=ttyS0 loglevel=7"),
        0,
        "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e70636"
        "3b4b08fa\n",
        "");
    expect(PROGRAM_RUN("attest", "measure", firmware, "--kernel", empty, "--vcpus", "4",
                       "--vcpu-type", "EPYC-v4", "--guest-features", "33"),
           0, "4953b1fb416fa874980e8442b3706d345926d5f38879134e", "");
    expect(PROGRAM_RUN("attest", "measure", firmware, "--append", "x"), 2, "", "need --kernel");
    expect(PROGRAM_RUN("attest", "measure", firmware, "--vcpu-type", "x"), 2, "", "EPYC-Genoa");
    expect(PROGRAM_RUN("attest", "measure", firmware, "--vcpus", "0"), 2, "", "from 1 to 4096");
    expect(PROGRAM_RUN("attest", "measure", empty), 2, "", "whole number of pages");
}

Test(cli_attest, fresh_says_what_it_cannot_use)
{
    expect(PROGRAM_RUN("attest", "fresh", "more"), 2, "", "unexpected argument 'more'");
    expect(PROGRAM_RUN("attest", "fresh", "--allow-simulated", "some"), 2, "",
           "--allow-simulated takes");
    expect(PROGRAM_RUN("attest", "fresh", "--policy", "/nowhere.yaml"), 2, "", "/nowhere.yaml");
    expect(PROGRAM_RUN("attest", "fresh", "--node", "nowhere"), 2, "", "not the address");
    expect(PROGRAM_RUN("attest", "fresh", "--node", "http://127.0.0.1:1"), 3, "", "127.0.0.1");
    setenv("WASM_HYPERVISOR_URL", "told://here", 1);
    static const char *const commands[] = {"fresh", "report"};
    for (size_t i = 0; i < 2; i++) {
        expect(PROGRAM_RUN("attest", commands[i]), 2, "", "'told://here'");
        expect(PROGRAM_RUN("attest", commands[i], "--node", ""), 2, "", "'told://here'");
        expect(PROGRAM_RUN("attest", commands[i], "--node", "x://y"), 2, "", "'x://y'");
    }
}
