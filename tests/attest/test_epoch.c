/* test_epoch.c: epochs: what they say, what they sign, how long they last.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include "base/arena.h"
#include "support/epoch_sign.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LIFETIME_MS = 3600000 };

static const uint8_t config_digest[32] = {7};
static const struct attest_facts facts = {.node_id = "00ff",
                                          .log_origin = "origin",
                                          .log_vkey = "vkey",
                                          .build_id = "build",
                                          .config_digest = config_digest};
static struct err err;
static struct tee provider;

static int64_t fake_ms = FORGE_NOW_MS;

static int64_t wall_ms(void *context)
{
    (void)context;
    return fake_ms;
}

static uint64_t monotonic_ns(void *context)
{
    (void)context;
    return 0;
}

static const struct clock fake_clock = {
    .monotonic_ns = monotonic_ns, .wall_ms = wall_ms, .context = NULL};

static void setup(void)
{
    fake_ms = clock_wall_ms(&clock_system); /* the shared signer is as old as the build directory */
    cr_assert(tee_simulated_new(forge_simulated_directory(), &clock_system, &provider, &err), "%s",
              err.message);
}

static void teardown(void)
{
    provider.free(provider.context);
}

TestSuite(attest_epoch, .init = setup, .fini = teardown);

static struct attest_epoch *open_epoch(const struct attest_epoch *previous)
{
    struct attest_epoch *epoch = NULL;
    cr_assert(
        attest_epoch_open(&provider, &facts, previous, &fake_clock, LIFETIME_MS, &epoch, &err),
        "%s", err.message);
    return epoch;
}

static void verify(const struct attest_epoch *epoch, struct attest_result *result)
{
    const struct attest_policy policy = {.allow_any_simulated_root = true, .now_ms = fake_ms};
    json_t *evidence = attest_epoch_evidence(epoch);
    attest_evidence_verify(evidence, &policy, result);
    json_decref(evidence);
}

Test(attest_epoch, evidence_verifies_and_says_the_facts)
{
    struct attest_result result;
    struct attest_epoch *epoch = open_epoch(NULL);
    verify(epoch, &result);
    forge_assert_result_ok(&result);
    cr_assert_arr_eq(result.epoch_digest, attest_epoch_digest(epoch), sizeof result.epoch_digest);
    cr_assert_str_eq(result.log_origin, "origin");
    cr_assert_str_eq(result.node_id, "00ff");
    cr_assert_str_eq(attest_epoch_provider(epoch), "simulated");
    cr_assert_eq(attest_epoch_not_after_ms(epoch), fake_ms + LIFETIME_MS);
    attest_epoch_unref(epoch);
}

Test(attest_epoch, ends_after_its_lifetime)
{
    struct attest_result result;
    struct attest_epoch *epoch = open_epoch(NULL);
    fake_ms += LIFETIME_MS;
    verify(epoch, &result);
    forge_assert_result_ok(&result);
    fake_ms += 1;
    verify(epoch, &result);
    cr_assert_not(result.ok);
    cr_assert_eq(forge_check(&result, "statement_time")->outcome, ATTEST_FAILED);
    attest_epoch_unref(epoch);
}

Test(attest_epoch, names_the_one_before)
{
    char hex[2 * ATTEST_EPOCH_DIGEST_BYTES + 1];
    struct attest_epoch *first = open_epoch(NULL);
    struct attest_epoch *second = open_epoch(first);
    cr_assert(memcmp(attest_epoch_digest(first), attest_epoch_digest(second), 64) != 0);
    text_hex_encode(bytes_of(attest_epoch_digest(first), ATTEST_EPOCH_DIGEST_BYTES), hex);
    json_t *evidence = attest_epoch_evidence(second);
    cr_assert_not_null(strstr(json_string_value(json_object_get(evidence, "statement")), hex));
    json_decref(evidence);
    evidence = attest_epoch_evidence(first);
    cr_assert_not_null(
        strstr(json_string_value(json_object_get(evidence, "statement")), "\"previous\":null"));
    json_decref(evidence);
    attest_epoch_unref(first);
    attest_epoch_unref(second);
}

Test(attest_epoch, lives_until_the_last_reference)
{
    struct attest_epoch *epoch = open_epoch(NULL);
    cr_assert_eq(attest_epoch_ref(epoch), epoch);
    attest_epoch_unref(epoch);
    cr_assert_str_eq(attest_epoch_provider(epoch), "simulated");
    attest_epoch_unref(epoch);
    attest_epoch_unref(NULL);
}

Test(attest_epoch, without_hardware_says_so)
{
    struct attest_result result;
    struct tee none;
    struct attest_epoch *epoch = NULL;
    tee_none_new(&none);
    cr_assert(attest_epoch_open(&none, &facts, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_str_eq(attest_epoch_provider(epoch), "none");
    json_t *evidence = attest_epoch_evidence(epoch);
    cr_assert(json_is_null(json_object_get(evidence, "report")));
    cr_assert_eq(json_array_size(json_object_get(evidence, "certificates")), 0);
    json_decref(evidence);
    verify(epoch, &result);
    cr_assert_not(result.ok);
    cr_assert_eq(forge_check(&result, "provider")->outcome, ATTEST_FAILED);
    attest_epoch_unref(epoch);
}

static struct tee inner;

static bool report_of_something_else(void *context, const uint8_t user_data[static 64],
                                     uint8_t *report, struct buffer *certificates,
                                     struct err *error)
{
    (void)user_data;
    const uint8_t other[ATTEST_USER_DATA_BYTES] = {1};
    return inner.report(context, other, report, certificates, error);
}

static bool report_of_zeros(void *context, const uint8_t user_data[static 64], uint8_t *report,
                            struct buffer *certificates, struct err *error)
{
    bool ok = inner.report(context, user_data, report, certificates, error);
    memset(report, 0, ATTEST_REPORT_BYTES);
    return ok;
}

static bool report_with_broken_chain(void *context, const uint8_t user_data[static 64],
                                     uint8_t *report, struct buffer *certificates,
                                     struct err *error)
{
    bool ok = inner.report(context, user_data, report, certificates, error);
    buffer_append_u8(certificates, 0);
    return ok;
}

static bool report_that_fails(void *context, const uint8_t user_data[static 64], uint8_t *report,
                              struct buffer *certificates, struct err *error)
{
    (void)context;
    (void)user_data;
    (void)report;
    (void)certificates;
    return err_set(error, ERR_BUSY, "firmware is busy");
}

Test(attest_epoch, does_not_open_on_a_report_that_does_not_verify)
{
    struct attest_epoch *epoch = NULL;
    inner = provider;
    struct tee lying = provider;
    lying.report = report_of_something_else;
    cr_assert_not(attest_epoch_open(&lying, &facts, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_eq(err.code, ERR_TAMPERED);
    cr_assert_not_null(strstr(err.message, "report_data"), "%s", err.message);
    lying.report = report_of_zeros;
    cr_assert_not(attest_epoch_open(&lying, &facts, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_eq(err.code, ERR_TAMPERED);
    lying.report = report_with_broken_chain;
    cr_assert_not(attest_epoch_open(&lying, &facts, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_eq(err.code, ERR_TAMPERED);
    lying.report = report_that_fails;
    cr_assert_not(attest_epoch_open(&lying, &facts, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    cr_assert_null(epoch);
}

Test(attest_epoch, facts_have_limits)
{
    static char text[400];
    struct attest_epoch *epoch = NULL;
    memset(text, 'x', sizeof text - 1);
    struct attest_facts wrong = facts;
    wrong.log_origin = text;
    cr_assert_not(
        attest_epoch_open(&provider, &wrong, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    wrong = facts;
    wrong.build_id = "";
    cr_assert_not(
        attest_epoch_open(&provider, &wrong, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    wrong = facts;
    wrong.build_id = "\xff";
    cr_assert_not(
        attest_epoch_open(&provider, &wrong, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    wrong = facts;
    text[200] = '\0';
    wrong.log_origin = text; /* 200 characters are the most */
    cr_assert(attest_epoch_open(&provider, &wrong, NULL, &fake_clock, LIFETIME_MS, &epoch, &err));
    attest_epoch_unref(epoch);
}

Test(attest_epoch, opening_survives_every_failed_allocation)
{
    struct attest_epoch *epoch = NULL;
    bool opened = false;
    size_t failures = 0;
    for (size_t n = 1; !opened; n++) {
        cr_assert(n < 10000);
        heap_fail_after(n);
        opened = attest_epoch_open(&provider, &facts, NULL, &fake_clock, LIFETIME_MS, &epoch, &err);
        heap_fail_after(0);
        failures += !opened;
    }
    cr_assert(failures > 3);
    attest_epoch_unref(epoch);
}

/* ---- Signing ---- */

static json_t *sign(const struct attest_epoch *epoch)
{
    json_t *object = json_pack("{s:s, s:i}", "domain", "test", "n", 1);
    json_t *out = epoch_sign(epoch, object);
    json_decref(object);
    cr_assert_not_null(out);
    return out;
}

static void assert_signed_fails(const json_t *signed_object, const struct attest_result *result,
                                const char *domain, enum err_code code)
{
    json_t *payload = NULL;
    cr_assert_not(attest_signed_verify(signed_object, result, domain, &payload, &err));
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_null(payload);
}

Test(attest_epoch, signs_what_verifies_under_it)
{
    struct attest_result result;
    json_t *payload = NULL;
    struct attest_epoch *epoch = open_epoch(NULL);
    verify(epoch, &result);
    json_t *signed_object = sign(epoch);
    cr_assert_str_eq(json_string_value(json_object_get(signed_object, "payload")),
                     "{\"domain\":\"test\",\"n\":1}");
    cr_assert(attest_signed_verify(signed_object, &result, "test", &payload, &err), "%s",
              err.message);
    cr_assert_eq(json_integer_value(json_object_get(payload, "n")), 1);
    json_decref(payload);
    json_decref(signed_object);
    attest_epoch_unref(epoch);
}

Test(attest_epoch, signature_is_for_its_domain_and_epoch_and_payload)
{
    struct attest_result result, other_result, unverified;
    struct attest_epoch *epoch = open_epoch(NULL);
    struct attest_epoch *other = open_epoch(epoch);
    verify(epoch, &result);
    verify(other, &other_result);
    json_t *good = sign(epoch);
    assert_signed_fails(good, &result, "tes", ERR_TAMPERED);
    assert_signed_fails(good, &result, "receipt", ERR_TAMPERED);
    assert_signed_fails(good, &other_result, "test", ERR_TAMPERED);
    unverified = result;
    unverified.ok = false;
    assert_signed_fails(good, &unverified, "test", ERR_TAMPERED);

    json_t *bad = json_deep_copy(good);
    json_object_set_new(bad, "payload", json_string("{\"domain\":\"test\",\"n\":2}"));
    assert_signed_fails(bad, &result, "test", ERR_TAMPERED);
    json_decref(bad);

    /* The other epoch's name on it does not make it the other epoch's. */
    char hex[2 * ATTEST_EPOCH_DIGEST_BYTES + 1];
    text_hex_encode(bytes_of(other_result.epoch_digest, ATTEST_EPOCH_DIGEST_BYTES), hex);
    bad = json_deep_copy(good);
    json_object_set_new(bad, "epoch", json_string(hex));
    assert_signed_fails(bad, &other_result, "test", ERR_TAMPERED);
    json_decref(bad);
    json_decref(good);
    attest_epoch_unref(epoch);
    attest_epoch_unref(other);
}

Test(attest_epoch, signed_object_has_a_shape)
{
    static const struct {
        const char *member;
        const char *value; /* NULL: absent */
    } breaches[] = {
        {"payload", NULL},
        {"epoch", NULL},
        {"epoch", "00"},
        {"epoch", "zz"},
        {"signature", NULL},
        {"signature", "AAAA"},
        {"signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                      "AAAAAAAAAAAA"},
    };
    struct attest_result result;
    struct attest_epoch *epoch = open_epoch(NULL);
    verify(epoch, &result);
    json_t *good = sign(epoch);
    for (size_t i = 0; i < sizeof breaches / sizeof breaches[0]; i++) {
        json_t *bad = json_deep_copy(good);
        if (breaches[i].value == NULL) {
            json_object_del(bad, breaches[i].member);
        } else {
            json_object_set_new(bad, breaches[i].member, json_string(breaches[i].value));
        }
        assert_signed_fails(bad, &result, "test", ERR_FORMAT);
        json_decref(bad);
    }
    assert_signed_fails(NULL, &result, "test", ERR_FORMAT);
    json_decref(good);
    attest_epoch_unref(epoch);
}

Test(attest_epoch, signed_payload_is_an_object_with_a_domain)
{
    struct attest_result result;
    struct attest_epoch *epoch = open_epoch(NULL);
    verify(epoch, &result);
    json_t *array = json_array();
    json_t *signed_array = epoch_sign(epoch, array);
    assert_signed_fails(signed_array, &result, "test", ERR_TAMPERED);
    json_decref(signed_array);
    json_decref(array);
    attest_epoch_unref(epoch);
}
