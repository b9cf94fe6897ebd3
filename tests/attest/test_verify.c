/* test_verify.c: evidence as a whole: its format, provider and statement, and what is signed under
 * it. test_verify_report.c and test_verify_chain.c mutate what lies below.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include "base/json.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct attest_policy any_root = {.allow_any_simulated_root = true,
                                              .now_ms = FORGE_NOW_MS};

/* Puts a new value under `member` and expects the check to fail. */
static void assert_member_fails(const char *member, json_t *value, const char *check)
{
    struct forge forge;
    forge_init(&forge);
    json_t *evidence = forge_evidence(&forge);
    if (value == NULL) {
        json_object_del(evidence, member);
    } else {
        json_object_set_new(evidence, member, value);
    }
    forge_assert_fails(evidence, &any_root, check);
    json_decref(evidence);
}

Test(attest_verify, accepts_good_evidence_and_tells_what_it_says)
{
    struct attest_result result;
    struct forge forge;
    uint8_t digest[CRYPTO_SHA512_BYTES];
    forge_init(&forge);
    json_t *evidence = forge_evidence(&forge);
    attest_evidence_verify(evidence, &any_root, &result);
    forge_assert_result_ok(&result);
    cr_assert(result.simulated);
    cr_assert_str_eq(result.provider, "simulated");
    cr_assert_str_eq(result.log_origin, "origin");
    cr_assert_str_eq(result.log_vkey, "vkey");
    cr_assert_str_eq(result.node_id, "00ff");
    cr_assert_arr_eq(result.epoch_key, forge.statement.signing_key, sizeof result.epoch_key);
    cr_assert_arr_eq(result.measurement, forge.report.measurement, sizeof result.measurement);
    const char *text = json_string_value(json_object_get(evidence, "statement"));
    crypto_sha512(bytes_of_string(text), digest);
    cr_assert_arr_eq(result.epoch_digest, digest, sizeof digest);
    json_decref(evidence);
}

Test(attest_verify, evidence_format_refuses_other_shapes)
{
    json_t *array = json_array();
    forge_assert_fails(array, &any_root, "evidence_format");
    forge_assert_fails(NULL, &any_root, "evidence_format");
    json_decref(array);
    assert_member_fails("provider", NULL, "evidence_format");
    assert_member_fails("provider", json_integer(1), "evidence_format");
    assert_member_fails("provider", json_string("abcdefghijklmnopqrstuvwx"), "evidence_format");
    assert_member_fails("statement", NULL, "evidence_format");
    assert_member_fails("statement", json_object(), "evidence_format");
    assert_member_fails("report", NULL, "evidence_format");
    assert_member_fails("report", json_string("!!!!"), "evidence_format");
    assert_member_fails("report", json_string("AAA"), "evidence_format");
    assert_member_fails("certificates", NULL, "evidence_format");
    assert_member_fails("certificates", json_string(""), "evidence_format");
    assert_member_fails("certificates", json_pack("[i]", 1), "evidence_format");
    assert_member_fails("certificates", json_pack("[s]", "!"), "evidence_format");
}

Test(attest_verify, evidence_format_bounds_what_it_decodes)
{
    static char text[20001];
    memset(text, 'A', sizeof text - 1);
    text[4100] = '\0';
    assert_member_fails("report", json_string(text), "evidence_format");
    text[4096] = '\0';
    assert_member_fails("report", json_string(text), "report_size");
    text[4100] = 'A';
    text[4096] = 'A';
    assert_member_fails("certificates", json_pack("[s]", text), "evidence_format");
}

Test(attest_verify, provider_must_be_known)
{
    struct forge forge;
    forge_init(&forge);
    strcpy(forge.statement.provider, "abacus");
    forge.provider = "abacus";
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &any_root, "provider");
    json_decref(evidence);
}

Test(attest_verify, provider_none_is_never_ok)
{
    struct attest_result result;
    struct forge forge;
    const struct attest_policy everything = {.allow_any_simulated_root = true,
                                             .allow_debug = true,
                                             .allow_migration = true,
                                             .allow_provisional = true,
                                             .now_ms = FORGE_NOW_MS};
    forge_init(&forge);
    strcpy(forge.statement.provider, "none");
    forge.provider = "none";
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &everything, "provider");
    json_object_set_new(evidence, "report", json_null());
    json_object_set_new(evidence, "certificates", json_array());
    forge_assert_fails(evidence, &everything, "provider");
    attest_evidence_verify(evidence, &everything, &result);
    cr_assert_not(result.simulated);
    cr_assert_str_eq(result.provider, "none");
    cr_assert_eq(forge_check(&result, "report_signature")->outcome, ATTEST_SKIPPED);
    json_decref(evidence);
}

Test(attest_verify, statement_must_name_the_same_provider)
{
    struct forge forge;
    forge_init(&forge);
    strcpy(forge.statement.provider, "sev-guest");
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &any_root, "statement_format");
    json_decref(evidence);
}

static void assert_statement_fails(const char *text)
{
    struct forge forge;
    forge_init(&forge);
    forge.statement_text = text;
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &any_root, "statement_format");
    json_decref(evidence);
}

Test(attest_verify, statement_format_wants_a_small_json_object)
{
    static char text[ATTEST_STATEMENT_BYTES_MAX + 2];
    assert_statement_fails("");
    assert_statement_fails("{");
    assert_statement_fails("[]");
    assert_statement_fails("{}");
    memset(text, ' ', sizeof text - 1);
    assert_statement_fails(text);
}

Test(attest_verify, statement_format_wants_every_member_well_formed)
{
    static const struct {
        const char *member;
        const char *value; /* "": also as a number and absent */
    } breaches[] = {
        {"domain", "wasm-hypervisor/2 epoch"},
        {"epoch", "00000000-0000-0000-0000-000000000000"},
        {"signing_key", "AAAA"},
        {"signing_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="},
        {"provider", ""},
        {"log_origin", ""},
        {"log_vkey", ""},
        {"node_id", ""},
        {"build_id", ""},
        {"config_digest", "00"},
        {"not_before", "yesterday"},
        {"not_after", "2026-11-21"},
        {"previous", "00"},
    };
    for (size_t i = 0; i < sizeof breaches / sizeof breaches[0]; i++) {
        struct attest_statement statement;
        struct err err;
        struct forge forge;
        struct buffer text;
        json_t *object = NULL;
        forge_init(&forge);
        buffer_init(&text, 65536);
        cr_assert(attest_statement_write(&forge.statement, &text, &err));
        cr_assert(json_text_parse(buffer_bytes(&text), &object, &err));
        for (int round = 0; round < 3; round++) {
            if (round == 2) {
                json_object_del(object, breaches[i].member);
            } else {
                json_object_set_new(object, breaches[i].member,
                                    round == 0 ? json_string(breaches[i].value) : json_integer(1));
            }
            buffer_release(&text);
            cr_assert(json_canonical(object, &text, &err));
            cr_assert_not(attest_statement_read(buffer_bytes(&text), &statement, &err), "%s",
                          breaches[i].member);
            cr_assert_eq(err.code, ERR_FORMAT);
            cr_assert_not_null(strstr(err.message, breaches[i].member), "%s", err.message);
        }
        json_decref(object);
        buffer_release(&text);
    }
}

Test(attest_verify, statement_comes_back_as_it_was_written)
{
    struct attest_statement statement;
    struct err err;
    struct forge forge;
    struct buffer text;
    forge_init(&forge);
    forge.statement.has_previous = true;
    memset(forge.statement.previous, 0x5A, sizeof forge.statement.previous);
    buffer_init(&text, 65536);
    cr_assert(attest_statement_write(&forge.statement, &text, &err));
    cr_assert(attest_statement_read(buffer_bytes(&text), &statement, &err), "%s", err.message);
    cr_assert_arr_eq(statement.previous, forge.statement.previous, sizeof statement.previous);
    cr_assert(statement.has_previous);
    cr_assert_arr_eq(statement.epoch, forge.statement.epoch, sizeof statement.epoch);
    cr_assert_eq(statement.not_before_ms, forge.statement.not_before_ms);
    cr_assert_eq(statement.not_after_ms, forge.statement.not_after_ms);
    cr_assert_str_eq(statement.build_id, "build");
    buffer_release(&text);
}

Test(attest_verify, statement_time_has_two_ends)
{
    struct forge forge;
    forge_init(&forge);
    json_t *evidence = forge_evidence(&forge);
    struct attest_policy policy = any_root;
    policy.now_ms = forge.statement.not_after_ms;
    forge_assert_ok(evidence, &policy);
    policy.now_ms = forge.statement.not_after_ms + 1;
    forge_assert_fails(evidence, &policy, "statement_time");
    policy.now_ms = forge.statement.not_before_ms - 120000; /* the skew that is let through */
    forge_assert_ok(evidence, &policy);
    policy.now_ms = forge.statement.not_before_ms - 120001;
    forge_assert_fails(evidence, &policy, "statement_time");
    json_decref(evidence);
}

Test(attest_verify, report_data_binds_the_statement)
{
    struct forge forge;
    forge_init(&forge);
    forge.keep_report_data = true;
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &any_root, "report_data");
    json_decref(evidence);

    /* One character more than what was hashed is another statement, though it reads the same. */
    forge_init(&forge);
    evidence = forge_evidence(&forge);
    json_t *statement = json_object_get(evidence, "statement");
    char text[ATTEST_STATEMENT_BYTES_MAX];
    snprintf(text, sizeof text, "%s ", json_string_value(statement));
    json_string_set(statement, text);
    forge_assert_fails(evidence, &any_root, "report_data");
    json_decref(evidence);
}
