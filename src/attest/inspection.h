/* inspection.h: one verification as a list of named checks over what has been found so far.
 *
 * A check runs when everything that it needs is there, and brings what the later ones need; if
 * something is missing because an earlier check failed, it is recorded as skipped. So the order is
 * the order of the tables, every check leaves a line, and a forgotten one cannot pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_INSPECTION_H
#define ATTEST_INSPECTION_H

#include "attest/certificate.h"
#include "attest/report.h"
#include "attest/statement.h"
#include "base/arena.h"

enum {
    INSPECTION_CERTIFICATES = 3, /* leaf, intermediate, root */
};

/* What checks bring, as bits. */
enum {
    HAVE_EVIDENCE = 1 << 0,     /* the JSON's members, decoded */
    HAVE_PROVIDER = 1 << 1,     /* one whose reports can be verified */
    HAVE_STATEMENT = 1 << 2,    /* parsed */
    HAVE_CHAIN_BYTES = 1 << 3,  /* three certificates as DER */
    HAVE_CERTIFICATES = 1 << 4, /* parsed */
    HAVE_LEAF_KEY = 1 << 5,
    HAVE_REPORT = 1 << 6, /* 1184 bytes, parsed */
    HAVE_VERSION = 1 << 7,
    HAVE_LINE = 1 << 8,      /* the processor line */
    HAVE_SIGNATURE = 1 << 9, /* R and S */
    HAVE_ISSUERS = 1 << 10,  /* the certificates name each other */
    HAVE_BATCH = 1 << 11,    /* of nonces: read, or known not to be there */
};

struct inspection {
    const struct attest_policy *policy;
    struct attest_result *result;
    struct arena arena;
    unsigned have;
    bool failed;
    bool bare;                /* a report without a statement */
    const json_t *evidence;   /* borrowed; NULL when a bare report is verified */
    const json_t *key_answer; /* to POST /v1/keys, around the evidence; NULL: there is none */
    /* From the evidence; borrowed from it or in the arena. */
    const char *provider;
    bool simulated; /* the provider says so: then AMD's roots do not count, and else only they do */
    struct bytes statement_text;
    struct bytes report_bytes; /* size 0: none */
    struct bytes certificate_bytes[INSPECTION_CERTIFICATES];
    size_t
        certificate_count; /* may be more than there is room for: then none is stored beyond it */
    /* Brought by checks. */
    struct attest_statement statement;
    struct x509_st *certificates[INSPECTION_CERTIFICATES];
    uint8_t leaf_key[CERTIFICATE_P384_POINT_BYTES];
    uint8_t root_sha256[CRYPTO_SHA256_BYTES];
    struct report report;
    enum attest_line line;
    uint8_t signature[REPORT_P1363_BYTES];
    bool has_batch;
    struct attest_batch batch; /* all zero without */
    struct bytes nonces[2];    /* that the epoch's key signed, beside the key and alone */
};

struct inspection_check {
    const char *name;
    enum attest_check_class class;
    unsigned needs;
    bool (*run)(struct inspection *inspection, struct attest_check *check);
};

void inspection_init(struct inspection *inspection, const struct attest_policy *policy,
                     struct attest_result *result);
void inspection_release(struct inspection *inspection);
void inspection_run(struct inspection *inspection, const struct inspection_check *checks,
                    size_t count);

/* For checks: false and true, with the detail. */
bool inspection_fail(struct attest_check *check, const char *format, ...) PRINTF_LIKE(2, 3);
bool inspection_pass(struct attest_check *check, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same when the policy does not ask, or there is no such thing. */
bool inspection_pass_by(struct attest_check *check, const char *format, ...) PRINTF_LIKE(2, 3);

/* A member that has to be base64 of at most so many bytes, decoded into the arena. Else false, and
 * *out is left alone. */
bool inspection_base64(struct inspection *inspection, const json_t *member, size_t size_max,
                       struct bytes *out) MUST_CHECK;

/* verify_chain.c */
bool inspection_certificates_present(struct inspection *inspection, struct attest_check *check);
bool inspection_certificates_parse(struct inspection *inspection, struct attest_check *check);
bool inspection_root_pinned(struct inspection *inspection, struct attest_check *check);
bool inspection_issuer_names(struct inspection *inspection, struct attest_check *check);
bool inspection_chain(struct inspection *inspection, struct attest_check *check);
bool inspection_certificate_time(struct inspection *inspection, struct attest_check *check);
bool inspection_revocation(struct inspection *inspection, struct attest_check *check);
/* verify_leaf.c */
bool inspection_leaf_key(struct inspection *inspection, struct attest_check *check);
bool inspection_leaf_kind(struct inspection *inspection, struct attest_check *check);
bool inspection_leaf_tcb(struct inspection *inspection, struct attest_check *check);
bool inspection_leaf_chip(struct inspection *inspection, struct attest_check *check);
bool inspection_product(struct inspection *inspection, struct attest_check *check);
/* The line whose root this is. */
bool inspection_is_amd_root(const struct inspection *inspection, enum attest_line *out);

/* verify_signed.c */
bool inspection_key_binding(struct inspection *inspection, struct attest_check *check);
bool inspection_nonce_binding(struct inspection *inspection, struct attest_check *check);
bool inspection_nonce(struct inspection *inspection, struct attest_check *check);

/* batch.c */
bool inspection_batch_format(struct inspection *inspection, struct attest_check *check);
bool inspection_batch_inclusion(struct inspection *inspection, struct attest_check *check);

/* The tables of all checks, in the order in which they run. */
struct inspection_table {
    const struct inspection_check *checks;
    size_t count;
};
enum { INSPECTION_TABLES = 4 };
struct inspection_table inspection_table_first(void);  /* verify.c */
struct inspection_table inspection_table_report(void); /* verify_report.c */
struct inspection_table inspection_table_policy(void); /* verify_policy.c */
struct inspection_table inspection_table_last(void);   /* verify.c */

#endif
