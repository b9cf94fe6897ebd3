/* test_verify_chain.c: one mutation at least for every check of the certificates.
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

TestSuite(attest_verify_chain, .init = setup);

static void assert_fails(const char *check)
{
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &any_root, check);
    json_decref(evidence);
}

static void assert_ok(void)
{
    json_t *evidence = forge_evidence(&forge);
    forge_assert_ok(evidence, &any_root);
    json_decref(evidence);
}

Test(attest_verify_chain, three_certificates_it_is)
{
    json_t *evidence = forge_evidence(&forge);
    json_t *list = json_object_get(evidence, "certificates");
    json_array_append(list, json_array_get(list, 2));
    forge_assert_fails(evidence, &any_root, "certificates_present");
    json_array_remove(list, 3);
    json_array_remove(list, 2);
    forge_assert_fails(evidence, &any_root, "certificates_present");
    json_array_clear(list);
    forge_assert_fails(evidence, &any_root, "certificates_present");
    json_decref(evidence);
}

/* Decodes a certificate, changes it, puts it back. */
static void change_certificate(json_t *evidence, size_t index, ptrdiff_t grow, size_t flip_from_end)
{
    static char text[16384];
    static uint8_t der[CERTIFICATE_BYTES_MAX];
    size_t size = 0;
    json_t *list = json_object_get(evidence, "certificates");
    const json_t *old = json_array_get(list, index);
    memset(der, 0, sizeof der);
    cr_assert(text_base64_decode(json_string_value(old), json_string_length(old), der, &size));
    if (flip_from_end > 0) {
        der[size - flip_from_end] ^= 1;
    }
    text_base64_encode(bytes_of(der, (size_t)((ptrdiff_t)size + grow)), text);
    json_array_set_new(list, index, json_string(text));
}

Test(attest_verify_chain, certificates_are_der_and_nothing_else)
{
    for (size_t index = 0; index < 3; index++) {
        json_t *evidence = forge_evidence(&forge);
        json_t *longer = json_deep_copy(evidence);
        change_certificate(evidence, index, -1, 0);
        forge_assert_fails(evidence, &any_root, "certificates_parse");
        change_certificate(longer, index, 1, 0);
        forge_assert_fails(longer, &any_root, "certificates_parse");
        json_array_set_new(json_object_get(longer, "certificates"), index, json_string(""));
        forge_assert_fails(longer, &any_root, "certificates_parse");
        json_decref(evidence);
        json_decref(longer);
    }
}

Test(attest_verify_chain, simulated_root_must_be_named)
{
    uint8_t root[CRYPTO_SHA256_BYTES];
    forge_root_sha256(root);
    struct attest_policy policy = {.now_ms = FORGE_NOW_MS};
    json_t *evidence = forge_evidence(&forge);
    forge_assert_fails(evidence, &policy, "root_pinned");
    /* The same keys make another certificate each time they are used: name this one. */
    struct attest_result result;
    attest_evidence_verify(evidence, &any_root, &result);
    forge_assert_result_ok(&result);
    policy.allowed_simulated_root = result.root_sha256;
    forge_assert_ok(evidence, &policy);
    root[0] ^= 1;
    policy.allowed_simulated_root = root;
    forge_assert_fails(evidence, &policy, "root_pinned");
    json_decref(evidence);
}

Test(attest_verify_chain, hardware_provider_needs_amds_root)
{
    const char *const providers[] = {"sev-guest", "configfs-tsm"};
    for (size_t i = 0; i < 2; i++) {
        strcpy(forge.statement.provider, providers[i]);
        forge.provider = providers[i];
        assert_fails("root_pinned");
    }
}

Test(attest_verify_chain, leaf_must_be_signed_by_the_intermediate)
{
    forge.wrong_issuer_key = true;
    assert_fails("chain");
}

Test(attest_verify_chain, only_pss_with_sha384_signs_certificates)
{
    forge.issuer_signs_pkcs1 = true;
    assert_fails("chain");
}

Test(attest_verify_chain, every_signature_counts_the_roots_own_too)
{
    for (size_t index = 0; index < 3; index++) {
        json_t *evidence = forge_evidence(&forge);
        change_certificate(evidence, index, 0, 1);
        forge_assert_fails(evidence, &any_root, "chain");
        json_decref(evidence);
    }
}

Test(attest_verify_chain, issuers_are_named)
{
    forge.leaf_issuer = "ARK-Forged";
    assert_fails("issuer_names");
    forge.leaf_issuer = "sev-forged "; /* the same to X.509, which knows neither case nor space */
    assert_ok();
    forge.wrong_issuer_key = true; /* and signed by whom it names: still not by the intermediate */
    forge.leaf_issuer = "ARK-Forged";
    assert_fails("issuer_names");
}

Test(attest_verify_chain, order_of_certificates_is_fixed)
{
    json_t *evidence = forge_evidence(&forge);
    json_t *list = json_object_get(evidence, "certificates");
    json_t *intermediate = json_incref(json_array_get(list, 1));
    json_array_set(list, 1, json_array_get(list, 2));
    json_array_set_new(list, 2, intermediate);
    forge_assert_fails(evidence, &any_root, "issuer_names");
    json_decref(evidence);
}

Test(attest_verify_chain, leaf_is_valid_at_the_given_time_only)
{
    forge.leaf_not_after_ms = FORGE_NOW_MS - 1000;
    assert_fails("certificate_time");
    forge.leaf_not_after_ms = FORGE_NOW_MS + 1000;
    assert_ok();
    forge.leaf_not_before_ms = FORGE_NOW_MS + 1000;
    assert_fails("certificate_time");
    forge.leaf_not_before_ms = FORGE_NOW_MS - 1000;
    assert_ok();
}

Test(attest_verify_chain, leaf_key_is_on_p384)
{
    forge.leaf_algorithm = CRYPTO_ECDSA_P256_SHA256;
    assert_fails("leaf_key");
    forge.leaf_algorithm = CRYPTO_RSA_4096;
    assert_fails("leaf_key");
}

Test(attest_verify_chain, leaf_kind_is_what_the_report_says)
{
    forge.report.key_info = REPORT_KEY_VLEK << 2;
    forge.csp_id = "CN=cloud"; /* so that only the name is wrong */
    forge.hardware_id_size = 0;
    assert_fails("leaf_kind");
    forge_init(&forge);
    forge.leaf_name = "SEV-VLEK";
    assert_fails("leaf_kind");
    forge.leaf_name = "VCEK";
    assert_fails("leaf_kind");
    forge_init(&forge);
    forge.report.key_info = 7U << 2;
    assert_fails("leaf_kind");
    forge.report.key_info = 2U << 2;
    assert_fails("leaf_kind");
}

Test(attest_verify_chain, vlek_names_its_cloud_and_no_chip)
{
    forge.leaf_name = "SEV-VLEK";
    forge.report.key_info = REPORT_KEY_VLEK << 2;
    forge.hardware_id_size = 0;
    forge.csp_id = "CN=cloud";
    memset(forge.report.chip_id, 0, sizeof forge.report.chip_id);
    assert_ok();
    forge.csp_id = NULL;
    assert_fails("leaf_chip");
    forge.csp_id = "CN=cloud";
    forge.hardware_id_size = 64;
    assert_fails("leaf_chip");
}

Test(attest_verify_chain, leaf_was_issued_for_the_reported_tcb)
{
    for (size_t byte = 0; byte < 8; byte++) {
        forge_init(&forge);
        forge.leaf_tcb ^= UINT64_C(1) << (8 * byte);
        assert_fails("leaf_tcb");
    }
}

Test(attest_verify_chain, leaf_belongs_to_the_reports_chip)
{
    forge.hardware_id[63] ^= 1;
    assert_fails("leaf_chip");
    forge_init(&forge);
    forge.hardware_id_size = 0;
    assert_fails("leaf_chip");
    forge.hardware_id_size = 63;
    assert_fails("leaf_chip");
    forge.hardware_id_size = 64;
    forge.hardware_id_twice = true;
    assert_fails("leaf_chip");
    forge_init(&forge);
    forge.csp_id = "CN=cloud";
    assert_fails("leaf_chip");
}

Test(attest_verify_chain, hardware_id_may_be_wrapped)
{
    memmove(forge.hardware_id + 2, forge.hardware_id, 64);
    forge.hardware_id[0] = 0x04;
    forge.hardware_id[1] = 64;
    forge.hardware_id_size = 66;
    assert_ok();
    forge.hardware_id[1] = 63;
    assert_fails("leaf_chip");
}

static void make_turin(void)
{
    forge.product = "Turin";
    forge.turin_order = true;
    forge.report.cpu_family = 0x1A;
    forge.report.cpu_model = 0x02;
    forge.hardware_id_size = 8;
    memset(forge.report.chip_id + 8, 0, 56);
}

Test(attest_verify_chain, turin_has_its_own_tcb_order_and_a_short_chip_id)
{
    make_turin();
    assert_ok();
    forge.turin_order = false;
    assert_fails("leaf_tcb");
    make_turin();
    forge.report.chip_id[8] = 1;
    assert_fails("leaf_chip");
}

Test(attest_verify_chain, product_is_the_same_everywhere)
{
    forge.report.cpu_model = 0x01; /* Milan */
    assert_fails("product");
    forge.report.cpu_model = 0xA0; /* Siena: Genoa's line */
    assert_ok();
    forge.report.cpu_model = 0x20;
    assert_fails("product");
    forge_init(&forge);
    forge.product = "Naples";
    assert_fails("product");
    forge.product = "Milan-B0";
    assert_fails("product");
    forge.product = "";
    assert_fails("product");
    forge.product = NULL;
    assert_fails("product");
}
