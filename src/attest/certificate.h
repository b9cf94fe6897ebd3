/* certificate.h: X.509 certificates of the kind that AMD issues for its processors: reading them,
 * and making look-alikes for the simulated signer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_CERTIFICATE_H
#define ATTEST_CERTIFICATE_H

#include "attest/attest.h"

struct x509_st; /* OpenSSL's X509 */

enum {
    CERTIFICATE_BYTES_MAX = 8192,
    CERTIFICATE_P384_POINT_BYTES = 97,
    CERTIFICATE_NAME_BYTES_MAX = 64,
};

/* AMD's extensions, each below 1.3.6.1.4.1.3704.1. */
#define CERTIFICATE_STRUCT_VERSION "1"
#define CERTIFICATE_PRODUCT_NAME "2"
#define CERTIFICATE_BOOTLOADER_SPL "3.1"
#define CERTIFICATE_TEE_SPL "3.2"
#define CERTIFICATE_SNP_SPL "3.3"
#define CERTIFICATE_SPL4 "3.4"
#define CERTIFICATE_SPL5 "3.5"
#define CERTIFICATE_SPL6 "3.6"
#define CERTIFICATE_SPL7 "3.7"
#define CERTIFICATE_MICROCODE_SPL "3.8"
#define CERTIFICATE_FMC_SPL "3.9"
#define CERTIFICATE_HARDWARE_ID "4"
#define CERTIFICATE_CSP_ID "5"

/* ---- Reading ---- */

/* NULL unless the bytes are one DER certificate and nothing else. */
struct x509_st *certificate_parse(struct bytes der);
void certificate_free(struct x509_st *certificate);
/* The subject's only common name, at most CERTIFICATE_NAME_BYTES_MAX - 1 printable characters. */
bool certificate_common_name(const struct x509_st *certificate,
                             char out[static CERTIFICATE_NAME_BYTES_MAX]) MUST_CHECK;
/* The subject's public key if it is a P-384 point, uncompressed. */
bool certificate_p384_key(const struct x509_st *certificate,
                          uint8_t out[static CERTIFICATE_P384_POINT_BYTES]) MUST_CHECK;
/* Signed with RSASSA-PSS and SHA-384, as AMD's all are. */
bool certificate_signature_is_pss_sha384(struct x509_st *certificate) MUST_CHECK;
/* The value of AMD's extension; false if it is absent or there twice. Borrowed. */
bool certificate_extension(const struct x509_st *certificate, const char *name,
                           struct bytes *out) MUST_CHECK;
/* The same, decoded: a DER INTEGER in 0..255, an IA5String of printable characters. */
bool certificate_extension_u8(const struct x509_st *certificate, const char *name,
                              uint8_t *out) MUST_CHECK;
bool certificate_extension_text(const struct x509_st *certificate, const char *name,
                                char out[static CERTIFICATE_NAME_BYTES_MAX]) MUST_CHECK;

/* `leaf` was issued by `intermediate`, and that by `root`, which vouches for itself, whatever the
 * time. What is wrong goes into `detail`. */
bool certificate_chain_verify(struct x509_st *leaf, struct x509_st *intermediate,
                              struct x509_st *root, char *detail, size_t detail_size) MUST_CHECK;
/* Negative: not yet valid; positive: expired; 0: valid. */
int certificate_time_place(const struct x509_st *certificate, int64_t now_ms);
/* The DER is a revocation list that `root` signed, which is valid now and does not name
 * `intermediate`. */
bool certificate_crl_verify(struct bytes der, struct x509_st *intermediate, struct x509_st *root,
                            int64_t now_ms, char *detail, size_t detail_size) MUST_CHECK;
/* `issuer` bears the name of the certificate's issuer; no more is looked at. */
bool certificate_names_issuer(const struct x509_st *certificate,
                              const struct x509_st *issuer) MUST_CHECK;

/* ---- Making ---- */

struct certificate_extension_value {
    const char *name;
    struct bytes value; /* the extension's contents as they go into the certificate */
};

enum certificate_role { CERTIFICATE_ROOT, CERTIFICATE_INTERMEDIATE, CERTIFICATE_LEAF };

struct certificate_template {
    enum certificate_role role;
    const char *subject; /* common names */
    const char *issuer;
    int64_t not_before_ms;
    int64_t not_after_ms;
    const struct certificate_extension_value *extensions;
    size_t extension_count;
};

/* Appends the DER to *out. */
bool certificate_make(const struct certificate_template *template,
                      const struct crypto_signer *subject, const struct crypto_signer *issuer,
                      struct buffer *out, struct err *err) MUST_CHECK;

#endif
