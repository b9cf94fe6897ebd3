/* test_manifest.c: real reports of real machines, with the outcome that the vectors' manifest tells
 * for every row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"
#include "attest/inspection.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#define VECTORS WH_SOURCE_DIR "/../shared/attestation-vectors/"

enum { COLUMNS = 13, FILE_BYTES_MAX = 16384 };

struct der {
    uint8_t bytes[CERTIFICATE_BYTES_MAX];
    size_t size;
};

static size_t read_file(const char *name, uint8_t out[static FILE_BYTES_MAX])
{
    char path[1024];
    snprintf(path, sizeof path, VECTORS "%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    size_t size = fread(out, 1, FILE_BYTES_MAX, file);
    fclose(file);
    return size;
}

/* The index-th certificate of a PEM file, or the DER file as it is. */
static void read_certificate(const char *name, int index, struct der *out)
{
    uint8_t bytes[FILE_BYTES_MAX];
    size_t size = read_file(name, bytes);
    if (memcmp(bytes, "-----", 5) != 0) {
        cr_assert(index == 0 && size <= sizeof out->bytes);
        memcpy(out->bytes, bytes, size);
        out->size = size;
        return;
    }
    BIO *bio = BIO_new_mem_buf(bytes, (int)size);
    X509 *certificate = NULL;
    for (int i = 0; i <= index; i++) {
        X509_free(certificate);
        certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        cr_assert_not_null(certificate, "%s", name);
    }
    uint8_t *cursor = out->bytes;
    out->size = (size_t)i2d_X509(certificate, &cursor);
    X509_free(certificate);
    BIO_free(bio);
}

static bool passed(const struct attest_result *result, const char *check)
{
    return forge_check(result, check)->outcome == ATTEST_PASSED;
}

static bool is(const char *cell, const char *text)
{
    return strcmp(cell, text) == 0;
}

static const char *check_of(const char *refusal)
{
    static const char *const checks[][2] = {
        {"debug", "guest_policy_debug"},   {"provisional", "committed_firmware"},
        {"signature", "report_signature"}, {"chain", "chain"},
        {"expired", "certificate_time"},   {"not_yet_valid", "certificate_time"},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (is(refusal, checks[i][0])) {
            return checks[i][1];
        }
    }
    cr_assert_fail("an unknown refusal: %s", refusal);
    return NULL;
}

/* count 1: the leaf alone, AMD's authorities are known. */
static void verify_row(const char *provider, char *const *cells, size_t count,
                       struct attest_result *result)
{
    uint8_t report[FILE_BYTES_MAX];
    char chain[128], time[64];
    struct der der[3];
    struct bytes certificates[3];
    struct attest_policy policy = {.allow_any_simulated_root = true};
    size_t size = read_file(cells[1], report);
    /* ASK, ARK, ASVK in one file, of the line in lower case. */
    snprintf(chain, sizeof chain, "coco-trustee/%c%s_ask_ark_asvk.pem", cells[3][0] | 0x20,
             cells[3] + 1);
    read_certificate(cells[2], 0, &der[0]);
    read_certificate(chain, strstr(cells[2], "vlek") != NULL ? 2 : 0, &der[1]);
    read_certificate(chain, 1, &der[2]);
    for (size_t i = 0; i < 3; i++) {
        certificates[i] = bytes_of(der[i].bytes, der[i].size);
    }
    snprintf(time, sizeof time, "%sT00:00:00Z", cells[6]);
    cr_assert(clock_rfc3339_decode(time, strlen(time), &policy.now_ms));
    attest_report_verify(provider, bytes_of(report, size), certificates, count, &policy, result);
}

static void check_row(char *const *cells)
{
    struct attest_result result;
    /* Real hardware is not a simulated signer, whatever roots that may have. */
    verify_row("simulated", cells, 3, &result);
    cr_assert_not(passed(&result, "root_pinned"), "%s", cells[0]);
    struct attest_result short_result;
    verify_row("sev-guest", cells, 3, &result);
    verify_row("sev-guest", cells, 1, &short_result);
    cr_assert_arr_eq(&short_result, &result, sizeof result);
    cr_assert(passed(&result, "root_pinned"), "%s", cells[0]);
    cr_assert(passed(&result, "report_reserved"), "%s", cells[0]);
    bool timely = !is(cells[7], "expired") && !is(cells[7], "not_yet");
    cr_assert_eq(passed(&result, "certificate_time"), timely, "%s", cells[0]);
    cr_assert_eq(passed(&result, "chain"), is(cells[7], "ok") || !timely, "%s: chain: %s", cells[0],
                 forge_check(&result, "chain")->detail);
    cr_assert_eq(passed(&result, "report_signature"), is(cells[8], "ok"), "%s: sig", cells[0]);
    cr_assert_eq(passed(&result, "leaf_tcb"), is(cells[9], "ok"), "%s: leaf: %s", cells[0],
                 forge_check(&result, "leaf_tcb")->detail);
    cr_assert_eq(passed(&result, "leaf_chip"), !is(cells[10], "bad"), "%s: leaf: %s", cells[0],
                 forge_check(&result, "leaf_chip")->detail);
    if (is(cells[11], "accept")) {
        forge_assert_result_ok(&result);
    } else {
        cr_assert_not(result.ok, "%s", cells[0]);
        cr_assert_eq(forge_check(&result, check_of(cells[11] + strlen("refuse:")))->outcome,
                     ATTEST_FAILED, "%s", cells[0]);
        bool by_policy = is(cells[11], "refuse:debug") || is(cells[11], "refuse:provisional");
        cr_assert_eq(result.failure, by_policy ? ATTEST_POLICY : ATTEST_CRYPTOGRAPHY, "%s",
                     cells[0]);
    }
}

Test(attest_manifest, real_reports_come_out_as_the_manifest_says)
{
    char line[2048];
    size_t rows = 0;
    FILE *file = fopen(VECTORS "manifest.tsv", "r");
    if (file == NULL) {
        cr_skip("skipped: the manifest, get it by putting the attestation vectors into " VECTORS);
    }
    while (fgets(line, sizeof line, file) != NULL) {
        char *cells[COLUMNS] = {NULL};
        char *rest = line;
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < COLUMNS && rest != NULL; i++) {
            cells[i] = strsep(&rest, "\t");
        }
        cr_assert_not_null(cells[COLUMNS - 2], "a short row: %s", line);
        check_row(cells);
        rows++;
    }
    fclose(file);
    cr_assert_eq(rows, 20);
}

Test(attest_manifest, amds_real_revocation_list_counts_while_it_is_fresh)
{
    uint8_t report[FILE_BYTES_MAX], crl[FILE_BYTES_MAX];
    struct der leaf;
    struct attest_result result;
    if (access(VECTORS "manifest.tsv", R_OK) != 0) {
        cr_skip("skipped: the list, get it by putting the attestation vectors into " VECTORS);
    }
    size_t size = read_file("automata-atakit/gcp_milan_v5_report.bin", report);
    read_certificate("automata-atakit/gcp_milan_v5_vcek.der", 0, &leaf);
    struct attest_policy policy = {.crl_required = true};
    policy.crl = bytes_of(crl, read_file("automata-atakit/milan.crl.der", crl));
    const struct bytes certificate = bytes_of(leaf.bytes, leaf.size);
    static const struct {
        const char *at;
        bool fresh;
    } times[] = {{"2026-07-15T00:00:00Z", true}, {"2026-08-09T00:00:00Z", false}};
    for (size_t i = 0; i < 2; i++) {
        cr_assert(clock_rfc3339_decode(times[i].at, strlen(times[i].at), &policy.now_ms));
        attest_report_verify("sev-guest", bytes_of(report, size), &certificate, 1, &policy,
                             &result);
        cr_assert_eq(passed(&result, "revocation"), times[i].fresh, "%s",
                     forge_check(&result, "revocation")->detail);
        cr_assert_eq(result.ok, times[i].fresh);
    }
}
