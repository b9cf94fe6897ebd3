/* test_checks.c: for every check of the verifier, evidence that fails this check and no other.
 *
 * The table must have a row for each check that there is, in the same order, and
 * docs/attestation.md one as well: a check that cannot be seen to fail is none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct vector {
    struct forge forge;
    struct attest_policy policy;
    json_t *evidence; /* in `finish`: the evidence as made */
};

struct row {
    const char *check;
    void (*prepare)(struct vector *vector); /* before the evidence is made; NULL: nothing */
    void (*finish)(struct vector *vector);  /* afterwards */
};

static const uint8_t other[64] = {0x77};
static const struct attest_values others = {other, 1};

static void no_report(struct vector *v)
{
    json_object_del(v->evidence, "report");
}

static void abacus(struct vector *v)
{
    strcpy(v->forge.statement.provider, "abacus");
    v->forge.provider = "abacus";
}

static void empty_statement(struct vector *v)
{
    v->forge.statement_text = "{}";
}

static void ended(struct vector *v)
{
    v->forge.statement.not_after_ms = FORGE_NOW_MS - 1;
}

static void two_certificates(struct vector *v)
{
    json_array_remove(json_object_get(v->evidence, "certificates"), 2);
}

static void certificate_of_nothing(struct vector *v)
{
    json_array_set_new(json_object_get(v->evidence, "certificates"), 1, json_string("AAAA"));
}

static void nobody_named_the_root(struct vector *v)
{
    v->policy.allow_any_simulated_root = false;
}

static void names_another_issuer(struct vector *v)
{
    v->forge.leaf_issuer = "SEV-Genoa";
}

static void issued_by_another(struct vector *v)
{
    v->forge.wrong_issuer_key = true;
}

static void expired(struct vector *v)
{
    v->forge.leaf_not_after_ms = FORGE_NOW_MS - 1000;
}

static void list_is_missing(struct vector *v)
{
    v->policy.crl_required = true;
}

static void key_on_p256(struct vector *v)
{
    v->forge.leaf_algorithm = CRYPTO_ECDSA_P256_SHA256;
}

static void one_byte_short(struct vector *v)
{
    v->forge.report_size--;
}

static void version_7(struct vector *v)
{
    v->forge.report.version = 7;
}

static void reserved_bit(struct vector *v)
{
    v->forge.before[0] = (struct forge_patch){0x4C, 1};
}

static void report_of_milan(struct vector *v)
{
    v->forge.report.cpu_model = 0x01;
}

static void leaf_is_vlek(struct vector *v)
{
    v->forge.leaf_name = "SEV-VLEK";
}

static void leaf_of_other_tcb(struct vector *v)
{
    v->forge.leaf_tcb ^= 1;
}

static void leaf_of_other_chip(struct vector *v)
{
    v->forge.hardware_id[0] ^= 1;
}

static void chip_key_masked(struct vector *v)
{
    v->forge.report.key_info = REPORT_KEY_MASK_CHIP;
}

static void algorithm_2(struct vector *v)
{
    v->forge.report.signature_algorithm = 2;
}

static void trailing_byte(struct vector *v)
{
    v->forge.after[0] = (struct forge_patch){0x49F, 1};
}

static void measurement_exchanged(struct vector *v)
{
    v->forge.after[0] = (struct forge_patch){0x90, 1};
}

static void asked_for_by_the_host(struct vector *v)
{
    v->forge.report.vmpl = UINT32_MAX;
}

static void debug(struct vector *v)
{
    v->forge.report.policy |= REPORT_POLICY_DEBUG;
}

static void migration(struct vector *v)
{
    v->forge.report.policy |= REPORT_POLICY_MIGRATE_MA;
}

static void provisional(struct vector *v)
{
    v->forge.report.current_version[0]++;
}

static void reported_above_committed(struct vector *v)
{
    v->forge.leaf_tcb = v->forge.report.reported_tcb += 1;
}

static void other_measurement(struct vector *v)
{
    v->policy.measurements = others;
}

static void other_host_data(struct vector *v)
{
    v->policy.host_data = others;
}

static void other_id_key(struct vector *v)
{
    v->policy.id_keys = others;
}

static void other_author_key(struct vector *v)
{
    v->policy.author_keys = others;
}

static void other_family(struct vector *v)
{
    v->policy.family_ids = others;
}

static void other_image(struct vector *v)
{
    v->policy.image_ids = others;
}

static void other_report_data(struct vector *v)
{
    v->policy.report_data = others;
}

static void other_chip(struct vector *v)
{
    v->policy.chips = others;
}

static void only_turin(struct vector *v)
{
    v->policy.products = 1U << ATTEST_TURIN;
}

static void only_vmpl_1(struct vector *v)
{
    v->policy.vmpls = 1U << 1;
}

static void smt_forbidden(struct vector *v)
{
    v->policy.guest_policy_forbidden = UINT64_C(1) << 16;
    v->forge.report.policy |= UINT64_C(1) << 16;
}

static void alias_check_wanted(struct vector *v)
{
    v->policy.platform_required = UINT64_C(1) << 5;
}

static void mitigation_wanted(struct vector *v)
{
    v->policy.mitigations_required = 1;
}

static void svn_wanted(struct vector *v)
{
    v->policy.guest_svn_min = 1;
}

static void newer_firmware_wanted(struct vector *v)
{
    v->policy.firmware_min = 1U << 16 | 55U << 8 | 2;
}

static void newer_microcode_wanted(struct vector *v)
{
    v->policy.tcb_min[ATTEST_GENOA][ATTEST_TCB_MICROCODE] = 0xDA;
}

static void younger_wanted(struct vector *v)
{
    v->policy.age_ms_max = 999;
}

static void statement_with_a_space(struct vector *v)
{
    char text[ATTEST_STATEMENT_BYTES_MAX];
    json_t *statement = json_object_get(v->evidence, "statement");
    snprintf(text, sizeof text, "%s ", json_string_value(statement));
    json_string_set(statement, text);
}

static struct crypto_signer *epoch_key;

static void own_epoch_key(struct vector *v)
{
    epoch_key = forge_epoch_key(&v->forge);
}

static void other_key_than_signed(struct vector *v)
{
    v->evidence = forge_key_answer(v->evidence, epoch_key, NULL);
    json_object_set_new(v->evidence, "public_key", json_string("another"));
    crypto_signer_free(epoch_key);
}

static void nonce_signed_as_receipt(struct vector *v)
{
    json_object_set_new(v->evidence, "nonce_binding",
                        forge_signed(v->evidence, epoch_key,
                                     json_pack("{s:s, s:s}", "domain", "wasm-hypervisor/1 receipt",
                                               "nonce", "AAAA")));
    crypto_signer_free(epoch_key);
}

static void nonce_wanted(struct vector *v)
{
    v->policy.nonce = bytes_of(other, 8);
}

static struct attest_batch alone(void)
{
    struct attest_batch batch = {.nonce = bytes_of(other, 16), .size = 1};
    attest_batch_leaf(batch.nonce, batch.root);
    return batch;
}

static void batch_of_one(struct vector *v)
{
    const struct attest_batch batch = alone();
    forge_batch(&v->forge, &batch);
}

static void second_of_one(struct vector *v)
{
    struct attest_batch batch = alone();
    batch.index = 1;
    forge_put_batch(v->evidence, &batch);
}

static void other_nonce(struct vector *v)
{
    struct attest_batch batch = alone();
    batch.nonce = bytes_of(other, 17);
    forge_put_batch(v->evidence, &batch);
}

static const struct row rows[] = {
    {"evidence_format", NULL, no_report},
    {"provider", abacus, NULL},
    {"statement_format", empty_statement, NULL},
    {"statement_time", ended, NULL},
    {"certificates_present", NULL, two_certificates},
    {"certificates_parse", NULL, certificate_of_nothing},
    {"root_pinned", nobody_named_the_root, NULL},
    {"issuer_names", names_another_issuer, NULL},
    {"chain", issued_by_another, NULL},
    {"certificate_time", expired, NULL},
    {"revocation", list_is_missing, NULL},
    {"leaf_key", key_on_p256, NULL},
    {"report_size", one_byte_short, NULL},
    {"report_version", version_7, NULL},
    {"report_reserved", reserved_bit, NULL},
    {"product", report_of_milan, NULL},
    {"leaf_kind", leaf_is_vlek, NULL},
    {"leaf_tcb", leaf_of_other_tcb, NULL},
    {"leaf_chip", leaf_of_other_chip, NULL},
    {"chip_key_unmasked", chip_key_masked, NULL},
    {"signature_algorithm", algorithm_2, NULL},
    {"signature_encoding", trailing_byte, NULL},
    {"report_signature", measurement_exchanged, NULL},
    {"report_vmpl", asked_for_by_the_host, NULL},
    {"guest_policy_debug", debug, NULL},
    {"guest_policy_migration", migration, NULL},
    {"committed_firmware", provisional, NULL},
    {"tcb_order", reported_above_committed, NULL},
    {"measurement", other_measurement, NULL},
    {"host_data", other_host_data, NULL},
    {"id_key", other_id_key, NULL},
    {"author_key", other_author_key, NULL},
    {"family_id", other_family, NULL},
    {"image_id", other_image, NULL},
    {"named_report_data", other_report_data, NULL},
    {"chip_allowed", other_chip, NULL},
    {"product_allowed", only_turin, NULL},
    {"vmpl_allowed", only_vmpl_1, NULL},
    {"guest_policy", smt_forbidden, NULL},
    {"platform", alias_check_wanted, NULL},
    {"mitigations", mitigation_wanted, NULL},
    {"guest_svn", svn_wanted, NULL},
    {"firmware_version", newer_firmware_wanted, NULL},
    {"tcb_floor", newer_microcode_wanted, NULL},
    {"age", younger_wanted, NULL},
    {"batch_format", batch_of_one, second_of_one},
    {"batch_inclusion", batch_of_one, other_nonce},
    {"report_data", NULL, statement_with_a_space},
    {"key_binding", own_epoch_key, other_key_than_signed},
    {"nonce_binding", own_epoch_key, nonce_signed_as_receipt},
    {"nonce", nonce_wanted, NULL},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void play(const struct row *row)
{
    struct vector vector = {.policy = {.allow_any_simulated_root = true, .now_ms = FORGE_NOW_MS}};
    forge_init(&vector.forge);
    if (row->prepare != NULL) {
        row->prepare(&vector);
    }
    vector.evidence = forge_evidence(&vector.forge);
    if (row->finish != NULL) {
        row->finish(&vector);
    }
    forge_assert_fails(vector.evidence, &vector.policy, row->check);
    json_decref(vector.evidence);
}

Test(attest_checks, each_fails_alone)
{
    for (size_t i = 0; i < ROWS; i++) {
        play(&rows[i]);
    }
}

Test(attest_checks, each_has_its_vector)
{
    for (size_t i = 0; i < ROWS; i++) {
        cr_assert_not_null(attest_check_name(i), "%s is no check", rows[i].check);
        cr_assert_str_eq(rows[i].check, attest_check_name(i));
    }
    cr_assert_null(attest_check_name(ROWS), "%s has no vector", attest_check_name(ROWS));
}

Test(attest_checks, results_list_all_in_this_order)
{
    struct forge forge;
    struct attest_result result;
    const struct attest_policy policy = {.now_ms = FORGE_NOW_MS};
    forge_init(&forge);
    json_t *evidence = forge_evidence(&forge);
    for (int round = 0; round < 2; round++) {
        attest_evidence_verify(round == 0 ? evidence : NULL, &policy, &result);
        cr_assert_eq(result.check_count, ROWS);
        for (size_t i = 0; i < ROWS; i++) {
            cr_assert_str_eq(result.checks[i].name, rows[i].check);
            cr_assert(result.checks[i].detail[0] != '\0', "%s says nothing", rows[i].check);
        }
    }
    json_decref(evidence);
}

/* The table in the documentation: "| `name` | class | ... |", in this order. */
Test(attest_checks, documentation_names_each_with_its_class)
{
    char line[1024], expected[128];
    size_t found = 0;
    struct attest_result result;
    const struct attest_policy policy = {.now_ms = FORGE_NOW_MS};
    attest_evidence_verify(NULL, &policy, &result); /* for the classes */
    FILE *file = fopen(WH_SOURCE_DIR "/docs/attestation.md", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL && found < ROWS) {
        snprintf(expected, sizeof expected, "| `%s` | %s |", rows[found].check,
                 attest_class_name(result.checks[found].class));
        found += strncmp(line, expected, strlen(expected)) == 0;
    }
    fclose(file);
    cr_assert_eq(found, ROWS, "docs/attestation.md has no row for %s",
                 found < ROWS ? rows[found].check : "");
}
