/* forge.h: evidence made to measure: a good one by default, with every field of report, leaf and
 * statement open to change before it is signed, and every byte of the report after.
 *
 * The authorities' RSA keys take seconds to make, so they are kept in the build directory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_ATTEST_FORGE_H
#define TESTS_ATTEST_FORGE_H

#include "attest/certificate.h"
#include "attest/report.h"
#include "attest/statement.h"

#define FORGE_NOW_MS INT64_C(1795219200000) /* 2026-11-21 */
#define FORGE_DAY_MS INT64_C(86400000)

/* Zeros in base64: as many bytes as a nonce may have, and one more in as many characters. */
#define FORGE_NONCE_64                                                                             \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                                                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define FORGE_NONCE_65                                                                             \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                                                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

enum { FORGE_PATCHES_MAX = 4 };

struct forge_patch {
    size_t offset;
    uint8_t xor_with;
};

struct forge {
    /* The leaf. */
    const char *leaf_name;
    const char *leaf_issuer;
    const char *product; /* NULL: no extension */
    uint64_t leaf_tcb;
    bool turin_order;
    uint8_t hardware_id[66];
    size_t hardware_id_size; /* 0: no extension */
    bool hardware_id_twice;
    const char *csp_id;
    int64_t leaf_not_before_ms;
    int64_t leaf_not_after_ms;
    enum crypto_signature_algorithm leaf_algorithm;
    bool wrong_issuer_key;   /* names right, but signed by the root */
    bool issuer_signs_pkcs1; /* the right key, but not RSASSA-PSS */
    /* The report. */
    struct report report;
    struct forge_patch before[FORGE_PATCHES_MAX]; /* xor_with 0: unused */
    struct forge_patch after[FORGE_PATCHES_MAX];
    size_t report_size;    /* cut or filled up with zeros */
    bool keep_report_data; /* do not put the statement's digest in */
    /* The statement. */
    struct attest_statement statement;
    const char *statement_text; /* instead of the above */
    const char *provider;
};

void forge_init(struct forge *forge);
/* A new reference. */
json_t *forge_evidence(const struct forge *forge);
/* A key for the statement, and what it signs under the evidence's statement: new references.
 * `payload` is stolen. An answer to POST /v1/keys takes the evidence, too. */
struct crypto_signer *forge_epoch_key(struct forge *forge);
json_t *forge_signed(const json_t *evidence, const struct crypto_signer *key, json_t *payload);
json_t *forge_key_answer(json_t *evidence, const struct crypto_signer *key, const char *nonce);
/* The report becomes one of that batch; afterwards the statement stays as it is. The member "batch"
 * is put into evidence. */
void forge_batch(struct forge *forge, const struct attest_batch *batch);
void forge_put_batch(json_t *evidence, const struct attest_batch *batch);
/* A revocation list of the forged root; appends its DER. next_ms 0: it does not say. */
struct forge_crl {
    int64_t last_ms, next_ms;
    bool revokes_intermediate;
    bool wrong_key;
};
void forge_crl(const struct forge_crl *wanted, struct buffer *out);
/* The SHA-256 of the root that all forgeries share. */
void forge_root_sha256(uint8_t out[static CRYPTO_SHA256_BYTES]);
/* The directory of the one simulated signer that tests share. */
const char *forge_simulated_directory(void);

/* The outcome of the check of that name; fails the test if there is none. */
const struct attest_check *forge_check(const struct attest_result *result, const char *name);
/* Verifies; that check and no other failed. */
void forge_assert_fails(const json_t *evidence, const struct attest_policy *policy,
                        const char *name);
void forge_assert_ok(const json_t *evidence, const struct attest_policy *policy);
/* Fails with the first failed check of the result if there is one. */
void forge_assert_result_ok(const struct attest_result *result);

#endif
