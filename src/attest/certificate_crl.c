/* certificate_crl.c: when a certificate is valid, and whether its issuer has taken it back.
 *
 * AMD's roots publish one list each, about their intermediates; leaves have none. So a list is
 * checked by hand: signed by the root itself, fresh, and the intermediate's serial not in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/certificate.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

enum { CRL_BYTES_MAX = 1024 * 1024 };

/* -1, 0, 1: the time lies before, at or after; OpenSSL's own comparison calls equal times past. */
static int time_compare(const ASN1_TIME *time, int64_t now_ms)
{
    return ASN1_TIME_cmp_time_t(time, (time_t)(now_ms / 1000));
}

int certificate_time_place(const struct x509_st *certificate, int64_t now_ms)
{
    /* -2: the time cannot be read; then the certificate is never valid. */
    int begin = time_compare(X509_get0_notBefore(certificate), now_ms);
    int end = time_compare(X509_get0_notAfter(certificate), now_ms);
    if (begin > 0 || begin == -2) {
        return -1;
    }
    return end < 0 ? 1 : 0;
}

bool certificate_names_issuer(const struct x509_st *certificate, const struct x509_st *issuer)
{
    return X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(issuer)) == 0;
}

static const char *crl_problem(X509_CRL *crl, struct x509_st *intermediate, struct x509_st *root,
                               int64_t now_ms)
{
    X509_REVOKED *revoked = NULL;
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(root)) != 0 ||
        X509_CRL_verify(crl, X509_get0_pubkey(root)) != 1) {
        return "the revocation list is not signed by this root";
    }
    if (time_compare(X509_CRL_get0_lastUpdate(crl), now_ms) > 0) {
        return "the revocation list is not yet valid";
    }
    if (next == NULL || time_compare(next, now_ms) < 0) {
        return "the revocation list is stale";
    }
    if (X509_CRL_get0_by_cert(crl, &revoked, intermediate) != 0) {
        return "the intermediate has been revoked";
    }
    return NULL;
}

bool certificate_crl_verify(struct bytes der, struct x509_st *intermediate, struct x509_st *root,
                            int64_t now_ms, char *detail, size_t detail_size)
{
    const uint8_t *cursor = der.ptr;
    X509_CRL *crl = der.size == 0 || der.size > CRL_BYTES_MAX
                        ? NULL
                        : d2i_X509_CRL(NULL, &cursor, (long)der.size);
    const char *problem = crl == NULL || cursor != der.ptr + der.size
                              ? "the revocation list cannot be read"
                              : crl_problem(crl, intermediate, root, now_ms);
    if (problem != NULL) {
        snprintf(detail, detail_size, "%s", problem);
    }
    X509_CRL_free(crl);
    ERR_clear_error();
    return problem == NULL;
}
