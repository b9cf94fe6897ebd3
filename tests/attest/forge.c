/* forge.c: see forge.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"

#include "base/json.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/x509.h>

enum { EXTENSIONS_MAX = 16, AUTHORITY_DAYS = 9000 };

struct authority {
    struct crypto_signer *root;
    struct crypto_signer *intermediate;
};

static struct crypto_signer *key_open(const char *name)
{
    struct err err;
    char path[1024];
    struct crypto_signer *key = NULL;
    snprintf(path, sizeof path, "%s/attest-authority/%s.pem", WH_BUILD_DIR, name);
    if (access(path, F_OK) != 0) {
        struct crypto_signer *made = crypto_signer_generate(CRYPTO_RSA_4096);
        cr_assert(crypto_signer_save(made, path, &err), "%s", err.message);
        crypto_signer_free(made);
    }
    cr_assert(crypto_signer_load(path, &key, &err), "%s", err.message);
    return key;
}

/* Criterion runs tests in parallel processes: they take turns here. */
static void authority_open(struct authority *authority)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/attest-authority", WH_BUILD_DIR);
    (void)mkdir(path, 0700);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0, "%s", path);
    authority->root = key_open("ark");
    authority->intermediate = key_open("ask");
    close(fd);
}

static void authority_close(struct authority *authority)
{
    crypto_signer_free(authority->root);
    crypto_signer_free(authority->intermediate);
}

const char *forge_simulated_directory(void)
{
    return WH_BUILD_DIR "/attest-simulated";
}

void forge_init(struct forge *forge)
{
    *forge = (struct forge){
        .leaf_name = "SEV-VCEK",
        .leaf_issuer = "SEV-Forged",
        .product = "Genoa",
        .leaf_tcb = UINT64_C(0xD917000000000A04),
        .hardware_id_size = 64,
        .leaf_not_before_ms = FORGE_NOW_MS - 100 * FORGE_DAY_MS,
        .leaf_not_after_ms = FORGE_NOW_MS + 100 * FORGE_DAY_MS,
        .leaf_algorithm = CRYPTO_ECDSA_P384_SHA384,
        .report =
            {
                .version = 3,
                .policy = REPORT_POLICY_RESERVED_ONE,
                .vmpl = 0,
                .signature_algorithm = REPORT_ALGORITHM_ECDSA_P384_SHA384,
                .cpu_family = 0x19,
                .cpu_model = 0x11,
                .current_version = {1, 55, 1},
                .committed_version = {1, 55, 1},
                .measurement = {0xAB},
            },
        .report_size = ATTEST_REPORT_BYTES,
        .statement =
            {
                .signing_key = {1},
                .log_origin = "origin",
                .log_vkey = "vkey",
                .node_id = "00ff",
                .build_id = "build",
                .not_before_ms = FORGE_NOW_MS - 1000,
                .not_after_ms = FORGE_NOW_MS + 3600000,
                .provider = "simulated",
            },
        .provider = "simulated",
    };
    forge->report.current_tcb = forge->leaf_tcb;
    forge->report.reported_tcb = forge->leaf_tcb;
    forge->report.committed_tcb = forge->leaf_tcb;
    forge->statement.epoch[6] = 0x40;
    forge->statement.epoch[8] = 0x80;
    for (size_t i = 0; i < 64; i++) {
        forge->hardware_id[i] = (uint8_t)(i + 1);
        forge->report.chip_id[i] = (uint8_t)(i + 1);
    }
}

static struct bytes integer_der(uint8_t value, uint8_t out[static 4])
{
    out[0] = 2;
    out[1] = value >= 0x80 ? 2 : 1;
    out[2] = value >= 0x80 ? 0 : value;
    out[3] = value;
    return bytes_of(out, value >= 0x80 ? 4 : 3);
}

static struct bytes ia5_der(const char *text, uint8_t out[static 80])
{
    out[0] = 0x16;
    out[1] = (uint8_t)strlen(text);
    memcpy(out + 2, text, strlen(text));
    return bytes_of(out, 2 + strlen(text));
}

/* Signs the certificate in *out anew with RSASSA-PKCS1-v1_5. */
static void sign_pkcs1(const struct crypto_signer *issuer, struct buffer *out)
{
    const uint8_t *cursor = out->ptr;
    uint8_t *der = NULL;
    X509 *certificate = d2i_X509(NULL, &cursor, (long)out->size);
    cr_assert(X509_sign(certificate, crypto_signer_native(issuer), EVP_sha384()) > 0);
    int size = i2d_X509(certificate, &der);
    buffer_release(out);
    buffer_append(out, der, (size_t)size);
    OPENSSL_free(der);
    X509_free(certificate);
}

static void leaf_make(const struct forge *forge, const struct authority *authority,
                      const struct crypto_signer *key, struct buffer *out)
{
    static const char *const genoa[] = {"3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"};
    static const char *const turin[] = {"3.9", "3.1", "3.2", "3.3", "3.5", "3.6", "3.7", "3.8"};
    struct err err;
    struct certificate_extension_value extensions[EXTENSIONS_MAX];
    uint8_t tcb[8][4], product[80], csp[80];
    size_t count = 0;
    for (size_t i = 0; i < 8; i++) {
        extensions[count].name = forge->turin_order ? turin[i] : genoa[i];
        extensions[count++].value = integer_der((uint8_t)(forge->leaf_tcb >> (8 * i)), tcb[i]);
    }
    if (forge->product != NULL) {
        extensions[count].name = "2";
        extensions[count++].value = ia5_der(forge->product, product);
    }
    for (int i = 0; i < (forge->hardware_id_size > 0) + forge->hardware_id_twice; i++) {
        extensions[count].name = "4";
        extensions[count++].value = bytes_of(forge->hardware_id, forge->hardware_id_size);
    }
    if (forge->csp_id != NULL) {
        extensions[count].name = "5";
        extensions[count++].value = ia5_der(forge->csp_id, csp);
    }
    const struct certificate_template template = {
        .role = CERTIFICATE_LEAF,
        .subject = forge->leaf_name,
        .issuer = forge->leaf_issuer,
        .not_before_ms = forge->leaf_not_before_ms,
        .not_after_ms = forge->leaf_not_after_ms,
        .extensions = extensions,
        .extension_count = count,
    };
    const struct crypto_signer *issuer =
        forge->wrong_issuer_key ? authority->root : authority->intermediate;
    cr_assert(certificate_make(&template, key, issuer, out, &err), "%s", err.message);
    if (forge->issuer_signs_pkcs1) {
        sign_pkcs1(issuer, out);
    }
}

static void authority_make(bool root, const struct crypto_signer *subject,
                           const struct crypto_signer *issuer, struct buffer *out)
{
    struct err err;
    const struct certificate_template template = {
        .role = root ? CERTIFICATE_ROOT : CERTIFICATE_INTERMEDIATE,
        .subject = root ? "ARK-Forged" : "SEV-Forged",
        .issuer = "ARK-Forged",
        .not_before_ms = FORGE_NOW_MS - AUTHORITY_DAYS * FORGE_DAY_MS,
        .not_after_ms = FORGE_NOW_MS + AUTHORITY_DAYS * FORGE_DAY_MS,
    };
    cr_assert(certificate_make(&template, subject, issuer, out, &err), "%s", err.message);
}

static void apply(const struct forge_patch *patches, uint8_t *raw)
{
    for (size_t i = 0; i < FORGE_PATCHES_MAX; i++) {
        raw[patches[i].offset] ^= patches[i].xor_with;
    }
}

static void report_make(const struct forge *forge, const struct crypto_signer *key,
                        struct bytes statement, uint8_t raw[static ATTEST_REPORT_BYTES])
{
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    struct report report = forge->report;
    if (!forge->keep_report_data) {
        crypto_sha512(statement, report.report_data);
    }
    report_build(&report, raw);
    apply(forge->before, raw);
    if (crypto_signer_sign_p1363(key, bytes_of(raw, REPORT_SIGNED_BYTES), signature, &size) &&
        size == REPORT_P1363_BYTES) {
        report_signature_put(raw, signature);
    }
    apply(forge->after, raw);
}

static void crl_revoke(X509_CRL *crl, long serial, int64_t now_ms)
{
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *time = ASN1_TIME_set(NULL, (time_t)(now_ms / 1000));
    ASN1_INTEGER_set(number, serial);
    cr_assert(X509_REVOKED_set_serialNumber(revoked, number) == 1 &&
              X509_REVOKED_set_revocationDate(revoked, time) == 1 &&
              X509_CRL_add0_revoked(crl, revoked) == 1);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(time);
}

void forge_crl(const struct forge_crl *wanted, struct buffer *out)
{
    struct authority authority;
    struct buffer der;
    uint8_t *encoded = NULL;
    authority_open(&authority);
    buffer_init(&der, CERTIFICATE_BYTES_MAX);
    authority_make(true, authority.root, authority.root, &der);
    X509 *root = (X509 *)certificate_parse(buffer_bytes(&der));
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *last = ASN1_TIME_set(NULL, (time_t)(wanted->last_ms / 1000));
    ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)(wanted->next_ms / 1000));
    cr_assert(X509_CRL_set_version(crl, 1) == 1 &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(root)) == 1 &&
              X509_CRL_set1_lastUpdate(crl, last) == 1);
    cr_assert(wanted->next_ms == 0 || X509_CRL_set1_nextUpdate(crl, next) == 1);
    crl_revoke(crl, wanted->revokes_intermediate ? 65536 + CERTIFICATE_INTERMEDIATE : 12345,
               wanted->last_ms);
    void *context =
        crypto_signer_native_context(wanted->wrong_key ? authority.intermediate : authority.root);
    cr_assert(X509_CRL_sign_ctx(crl, context) > 0);
    int size = i2d_X509_CRL(crl, &encoded);
    buffer_append(out, encoded, (size_t)size);
    OPENSSL_free(encoded);
    crypto_signer_native_context_free(context);
    ASN1_TIME_free(last);
    ASN1_TIME_free(next);
    X509_CRL_free(crl);
    X509_free(root);
    buffer_release(&der);
    authority_close(&authority);
}

static json_t *base64_json(struct bytes in)
{
    static char text[65536];
    cr_assert(text_base64_encoded_size(in.size) < sizeof text);
    text_base64_encode(in, text);
    return json_string(text);
}

json_t *forge_evidence(const struct forge *forge)
{
    struct err err;
    struct authority authority;
    struct buffer text, certificate;
    uint8_t raw[2 * ATTEST_REPORT_BYTES] = {0};
    authority_open(&authority);
    struct crypto_signer *key = crypto_signer_generate(forge->leaf_algorithm);
    buffer_init(&text, 65536);
    if (forge->statement_text != NULL) {
        buffer_append_string(&text, forge->statement_text);
    } else {
        cr_assert(attest_statement_write(&forge->statement, &text, &err), "%s", err.message);
    }
    const char *statement = text.size == 0 ? "" : (const char *)text.ptr;
    json_t *certificates = json_array();
    for (int i = 0; i < 3; i++) {
        buffer_init(&certificate, CERTIFICATE_BYTES_MAX);
        if (i == 0) {
            leaf_make(forge, &authority, key, &certificate);
        } else {
            authority_make(i == 2, i == 2 ? authority.root : authority.intermediate, authority.root,
                           &certificate);
        }
        json_array_append_new(certificates, base64_json(buffer_bytes(&certificate)));
        buffer_release(&certificate);
    }
    report_make(forge, key, buffer_bytes(&text), raw);
    json_t *evidence = json_pack(
        "{s:s, s:s%, s:o, s:o}", "provider", forge->provider, "statement", statement, text.size,
        "report", base64_json(bytes_of(raw, forge->report_size)), "certificates", certificates);
    cr_assert_not_null(evidence);
    buffer_release(&text);
    crypto_signer_free(key);
    authority_close(&authority);
    return evidence;
}

struct crypto_signer *forge_epoch_key(struct forge *forge)
{
    struct crypto_signer *key = crypto_signer_generate(CRYPTO_ED25519);
    cr_assert_eq(crypto_signer_public(key, forge->statement.signing_key),
                 CRYPTO_ED25519_PUBLIC_BYTES);
    return key;
}

json_t *forge_signed(const json_t *evidence, const struct crypto_signer *key, json_t *payload)
{
    struct err err;
    struct buffer text;
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX], digest[CRYPTO_SHA512_BYTES];
    char hex[2 * CRYPTO_SHA512_BYTES + 1];
    size_t size = 0;
    buffer_init(&text, 65536);
    cr_assert(json_canonical(payload, &text, &err), "%s", err.message);
    cr_assert(crypto_signer_sign(key, buffer_bytes(&text), signature, &size));
    crypto_sha512(bytes_of_string(json_string_value(json_object_get(evidence, "statement"))),
                  digest);
    text_hex_encode(bytes_of(digest, sizeof digest), hex);
    json_t *signed_object =
        json_pack("{s:s%, s:o, s:s}", "payload", (const char *)text.ptr, text.size, "signature",
                  base64_json(bytes_of(signature, size)), "epoch", hex);
    buffer_release(&text);
    json_decref(payload);
    return signed_object;
}

void forge_batch(struct forge *forge, const struct attest_batch *batch)
{
    struct err err;
    struct buffer text;
    uint8_t digest[CRYPTO_SHA512_BYTES];
    buffer_init(&text, 65536);
    cr_assert(attest_statement_write(&forge->statement, &text, &err), "%s", err.message);
    crypto_sha512(buffer_bytes(&text), digest);
    buffer_release(&text);
    attest_batch_user_data(digest, batch->size, batch->root, forge->report.report_data);
    forge->keep_report_data = true;
}

void forge_put_batch(json_t *evidence, const struct attest_batch *batch)
{
    struct err err;
    struct buffer text;
    json_t *object = NULL;
    buffer_init(&text, 65536);
    json_put_open(&text);
    attest_batch_put(batch, &text);
    json_put_close(&text);
    cr_assert(json_text_parse(buffer_bytes(&text), &object, &err), "%s", err.message);
    json_object_set(evidence, "batch", json_object_get(object, "batch"));
    json_decref(object);
    buffer_release(&text);
}

json_t *forge_key_answer(json_t *evidence, const struct crypto_signer *key, const char *nonce)
{
    static const char *const members[] = {"request_id", "public_key", "key_derivation_salt",
                                          "expires_at"};
    json_t *answer = json_pack("{s:s}", "node_id", "00ff");
    json_t *payload = json_pack("{s:s}", "domain", "wasm-hypervisor/1 request key");
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_object_set_new(answer, members[i], json_sprintf("this %s", members[i]));
        json_object_set(payload, members[i], json_object_get(answer, members[i]));
    }
    if (nonce != NULL) {
        json_object_set_new(payload, "nonce", json_string(nonce));
    }
    json_object_set_new(evidence, "key_binding", forge_signed(evidence, key, payload));
    json_object_set_new(answer, "attestation", evidence);
    return answer;
}

void forge_root_sha256(uint8_t out[static CRYPTO_SHA256_BYTES])
{
    struct attest_result result;
    struct forge forge;
    forge_init(&forge);
    const struct attest_policy policy = {.allow_any_simulated_root = true, .now_ms = FORGE_NOW_MS};
    json_t *evidence = forge_evidence(&forge);
    attest_evidence_verify(evidence, &policy, &result);
    json_decref(evidence);
    forge_assert_result_ok(&result);
    memcpy(out, result.root_sha256, CRYPTO_SHA256_BYTES);
}

const struct attest_check *forge_check(const struct attest_result *result, const char *name)
{
    for (size_t i = 0; i < result->check_count; i++) {
        if (strcmp(result->checks[i].name, name) == 0) {
            return &result->checks[i];
        }
    }
    cr_assert_fail("there is no check %s", name);
    return NULL;
}

void forge_assert_result_ok(const struct attest_result *result)
{
    for (size_t i = 0; i < result->check_count; i++) {
        cr_assert(result->checks[i].outcome == ATTEST_PASSED ||
                      result->checks[i].outcome == ATTEST_NOT_APPLICABLE,
                  "%s: %s", result->checks[i].name, result->checks[i].detail);
    }
    cr_assert(result->ok);
    cr_assert(result->check_count > 0);
}

void forge_assert_ok(const json_t *evidence, const struct attest_policy *policy)
{
    struct attest_result result;
    attest_evidence_verify(evidence, policy, &result);
    forge_assert_result_ok(&result);
}

void forge_assert_fails(const json_t *evidence, const struct attest_policy *policy,
                        const char *name)
{
    static const uint8_t zeros[ATTEST_EPOCH_DIGEST_BYTES];
    struct attest_result result;
    attest_evidence_verify(evidence, policy, &result);
    const struct attest_check *wanted = forge_check(&result, name);
    cr_assert_eq(wanted->outcome, ATTEST_FAILED, "%s did not fail", name);
    cr_assert(wanted->detail[0] != '\0', "%s failed without saying why", name);
    cr_assert_not(result.ok);
    cr_assert_eq(result.failure, wanted->class);
    for (size_t i = 0; i < result.check_count; i++) {
        cr_assert(&result.checks[i] == wanted || result.checks[i].outcome != ATTEST_FAILED,
                  "%s failed beside %s: %s", result.checks[i].name, name, result.checks[i].detail);
    }
    cr_assert_arr_eq(result.epoch_digest, zeros, sizeof zeros);
    cr_assert_arr_eq(result.epoch_key, zeros, sizeof result.epoch_key);
}
