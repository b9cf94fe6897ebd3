/* verify.c: verifies evidence: the client's side of attest.h.
 *
 * The evidence is foreign JSON. Its members are decoded first, within limits; then the statement is
 * read, then report and chain are checked (verify_report.c), what the policy asks for besides
 * (verify_policy.c), and last that the report is for this statement, and what its key signed
 * (verify_signed.c). Only when nothing failed does
 * anything of the statement reach the result.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/chain.h"
#include "attest/inspection.h"

#include <stdio.h>
#include <string.h>

enum {
    REPORT_BYTES_MAX = 3072, /* what is too long for a report is told so later */
    /* A client's clock may be that much behind the node's. */
    CLOCK_SKEW_MS = 2 * 60 * 1000,
};

/* ---- The evidence's members ---- */

static bool decode_certificates(struct inspection *inspection, const json_t *member)
{
    inspection->certificate_count = json_array_size(member);
    bool ok = json_is_array(member);
    for (size_t i = 0; ok && i < inspection->certificate_count && i < INSPECTION_CERTIFICATES;
         i++) {
        ok = inspection_base64(inspection, json_array_get(member, i), CERTIFICATE_BYTES_MAX,
                               &inspection->certificate_bytes[i]);
    }
    return ok;
}

static bool check_evidence_format(struct inspection *inspection, struct attest_check *check)
{
    const json_t *evidence = inspection->evidence;
    if (inspection->bare) {
        inspection->have |= HAVE_EVIDENCE;
        return inspection_pass_by(check, "there is only a report");
    }
    const json_t *provider = json_object_get(evidence, "provider");
    const json_t *statement = json_object_get(evidence, "statement");
    const json_t *report = json_object_get(evidence, "report");
    if (!json_is_object(evidence)) {
        return inspection_fail(check, "the evidence is not a JSON object");
    }
    if (!json_is_string(provider) || json_string_length(provider) >= ATTEST_PROVIDER_BYTES_MAX) {
        return inspection_fail(check, "\"provider\" is missing or malformed");
    }
    if (!json_is_string(statement)) {
        return inspection_fail(check, "\"statement\" is not a text");
    }
    if (!json_is_null(report) &&
        !inspection_base64(inspection, report, REPORT_BYTES_MAX, &inspection->report_bytes)) {
        return inspection_fail(check, "\"report\" is neither null nor base64");
    }
    if (!decode_certificates(inspection, json_object_get(evidence, "certificates"))) {
        return inspection_fail(check, "\"certificates\" is not a list of certificates in base64");
    }
    inspection->provider = json_string_value(provider);
    inspection->statement_text =
        bytes_of(json_string_value(statement), json_string_length(statement));
    inspection->have |= HAVE_EVIDENCE;
    return inspection_pass(check, "every member is there");
}

static bool check_provider(struct inspection *inspection, struct attest_check *check)
{
    static const char *const hardware[] = {"configfs-tsm", "sev-guest"};
    const char *provider = inspection->provider;
    snprintf(inspection->result->provider, sizeof inspection->result->provider, "%s", provider);
    inspection->simulated = strcmp(provider, "simulated") == 0;
    inspection->result->simulated = inspection->simulated;
    bool known = inspection->simulated;
    for (size_t i = 0; i < sizeof hardware / sizeof hardware[0]; i++) {
        known = known || strcmp(provider, hardware[i]) == 0;
    }
    if (strcmp(provider, "none") == 0) {
        return inspection_fail(check, "the node has no trusted hardware: nothing vouches for it");
    }
    if (!known) {
        return inspection_fail(check, "this provider is not known");
    }
    inspection->have |= HAVE_PROVIDER;
    return inspection_pass(check, "%s", provider);
}

static bool check_statement_format(struct inspection *inspection, struct attest_check *check)
{
    struct err err;
    if (inspection->bare) {
        inspection->have |= HAVE_STATEMENT; /* what is asked of it is answered by its absence */
        return inspection_pass_by(check, "there is only a report");
    }
    if (!attest_statement_read(inspection->statement_text, &inspection->statement, &err)) {
        return inspection_fail(check, "%.150s", err.message);
    }
    if (strcmp(inspection->statement.provider, inspection->provider) != 0) {
        return inspection_fail(check, "the statement names another provider");
    }
    inspection->have |= HAVE_STATEMENT;
    return inspection_pass(check, "every member is there");
}

static bool check_statement_time(struct inspection *inspection, struct attest_check *check)
{
    const struct attest_statement *statement = &inspection->statement;
    char text[CLOCK_RFC3339_CHARS + 1];
    if (inspection->bare) {
        return inspection_pass_by(check, "there is only a report");
    }
    if (inspection->policy->now_ms < statement->not_before_ms - CLOCK_SKEW_MS) {
        clock_rfc3339_encode(statement->not_before_ms, text);
        return inspection_fail(check, "the epoch begins only at %s", text);
    }
    clock_rfc3339_encode(statement->not_after_ms, text);
    if (inspection->policy->now_ms > statement->not_after_ms) {
        return inspection_fail(check, "the epoch ended at %s", text);
    }
    return inspection_pass(check, "until %s", text);
}

static bool check_report_data(struct inspection *inspection, struct attest_check *check)
{
    uint8_t expected[CRYPTO_SHA512_BYTES];
    if (inspection->bare) {
        return inspection_pass_by(check, "there is only a report: it says nothing of a key");
    }
    crypto_sha512(inspection->statement_text, expected);
    if (inspection->has_batch) {
        attest_batch_user_data(expected, inspection->batch.size, inspection->batch.root, expected);
    }
    return bytes_equal(
               bytes_of(expected, sizeof expected),
               bytes_of(inspection->report.report_data, sizeof inspection->report.report_data))
               ? inspection_pass(check, inspection->has_batch ? "the SHA-512 of statement and batch"
                                                              : "the SHA-512 of the statement")
               : inspection_fail(check,
                                 "the report was made for something else than this statement");
}

static const struct inspection_check first_checks[] = {
    {"evidence_format", ATTEST_FORMAT, 0, check_evidence_format},
    {"provider", ATTEST_POLICY, HAVE_EVIDENCE, check_provider},
    {"statement_format", ATTEST_FORMAT, HAVE_EVIDENCE, check_statement_format},
    {"statement_time", ATTEST_POLICY, HAVE_STATEMENT, check_statement_time},
};

static const struct inspection_check last_checks[] = {
    {"batch_format", ATTEST_FORMAT, HAVE_EVIDENCE, inspection_batch_format},
    {"batch_inclusion", ATTEST_CRYPTOGRAPHY, HAVE_BATCH, inspection_batch_inclusion},
    {"report_data", ATTEST_CRYPTOGRAPHY, HAVE_STATEMENT | HAVE_REPORT | HAVE_BATCH,
     check_report_data},
    {"key_binding", ATTEST_CRYPTOGRAPHY, HAVE_STATEMENT, inspection_key_binding},
    {"nonce_binding", ATTEST_CRYPTOGRAPHY, HAVE_STATEMENT, inspection_nonce_binding},
    {"nonce", ATTEST_POLICY, HAVE_STATEMENT, inspection_nonce},
};

struct inspection_table inspection_table_first(void)
{
    return (struct inspection_table){first_checks, sizeof first_checks / sizeof first_checks[0]};
}

struct inspection_table inspection_table_last(void)
{
    return (struct inspection_table){last_checks, sizeof last_checks / sizeof last_checks[0]};
}

static void result_fill(struct attest_result *result, const struct inspection *inspection)
{
    const struct attest_statement *statement = &inspection->statement;
    memcpy(result->epoch_key, statement->signing_key, sizeof result->epoch_key);
    crypto_sha512(inspection->statement_text, result->epoch_digest);
    memcpy(result->log_origin, statement->log_origin, sizeof result->log_origin);
    memcpy(result->log_vkey, statement->log_vkey, sizeof result->log_vkey);
    memcpy(result->node_id, statement->node_id, sizeof result->node_id);
    memcpy(result->root_sha256, inspection->root_sha256, sizeof result->root_sha256);
    memcpy(result->measurement, inspection->report.measurement, sizeof result->measurement);
}

static void run_all(struct inspection *inspection)
{
    const struct inspection_table tables[INSPECTION_TABLES] = {
        inspection_table_first(), inspection_table_report(), inspection_table_policy(),
        inspection_table_last()};
    for (size_t i = 0; i < INSPECTION_TABLES; i++) {
        inspection_run(inspection, tables[i].checks, tables[i].count);
    }
    inspection->result->ok = !inspection->failed;
}

void attest_evidence_verify(const json_t *evidence, const struct attest_policy *policy,
                            struct attest_result *result)
{
    struct inspection inspection;
    const json_t *member = json_object_get(evidence, "attestation");
    inspection_init(&inspection, policy, result);
    inspection.evidence = member != NULL ? member : evidence;
    inspection.key_answer = member != NULL ? evidence : NULL;
    run_all(&inspection);
    if (result->ok) {
        result_fill(result, &inspection);
    }
    inspection_release(&inspection);
}

void attest_report_verify(const char *provider, struct bytes report,
                          const struct bytes *certificates, size_t certificate_count,
                          const struct attest_policy *policy, struct attest_result *result)
{
    struct inspection inspection;
    inspection_init(&inspection, policy, result);
    inspection.bare = true;
    inspection.provider = provider;
    inspection.report_bytes = report;
    inspection.certificate_count = certificate_count;
    if (chain_complete(certificates, certificate_count, inspection.certificate_bytes)) {
        inspection.certificate_count = INSPECTION_CERTIFICATES;
    } else {
        for (size_t i = 0; i < certificate_count && i < INSPECTION_CERTIFICATES; i++) {
            inspection.certificate_bytes[i] = certificates[i];
        }
    }
    run_all(&inspection);
    if (result->ok) {
        memcpy(result->root_sha256, inspection.root_sha256, sizeof result->root_sha256);
        memcpy(result->measurement, inspection.report.measurement, sizeof result->measurement);
    }
    inspection_release(&inspection);
}

void attest_report_verify_collected(const char *provider, struct bytes report,
                                    struct bytes certificates, const struct attest_policy *policy,
                                    struct attest_result *result)
{
    struct bytes split[CHAIN_CERTIFICATES_MAX];
    size_t count = 0;
    bool whole = chain_split(certificates, split, &count);
    attest_report_verify(provider, report, split, whole ? count : 0, policy, result);
}
