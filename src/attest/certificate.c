/* certificate.c: reads what the verifier needs out of a certificate, and checks a chain of three.
 *
 * OpenSSL's strict mode and its CRL checking cannot be used on AMD's certificates (leaves have no
 * authority key identifier, and only the root publishes a CRL), so a chain is checked with the
 * self-signature of the root on and at least 128 bits of security; time and revocation by
 * themselves (certificate_crl.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/certificate.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

enum { SECURITY_LEVEL_128_BITS = 3, OBJECT_TEXT_BYTES_MAX = 64 };

struct x509_st *certificate_parse(struct bytes der)
{
    const uint8_t *cursor = der.ptr;
    if (der.size == 0 || der.size > CERTIFICATE_BYTES_MAX) {
        return NULL;
    }
    X509 *certificate = d2i_X509(NULL, &cursor, (long)der.size);
    if (certificate != NULL && cursor != der.ptr + der.size) {
        X509_free(certificate);
        certificate = NULL;
    }
    ERR_clear_error();
    return certificate;
}

void certificate_free(struct x509_st *certificate)
{
    X509_free(certificate);
}

/* Copies a short text of printable ASCII, so that it can be compared and shown. */
static bool text_copy(struct bytes in, char out[static CERTIFICATE_NAME_BYTES_MAX])
{
    if (in.size >= CERTIFICATE_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < in.size; i++) {
        if (in.ptr[i] < 0x20 || in.ptr[i] > 0x7E) {
            return false;
        }
        out[i] = (char)in.ptr[i];
    }
    out[in.size] = '\0';
    return true;
}

bool certificate_common_name(const struct x509_st *certificate,
                             char out[static CERTIFICATE_NAME_BYTES_MAX])
{
    const X509_NAME *name = X509_get_subject_name(certificate);
    int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (index < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, index) >= 0) {
        return false;
    }
    const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
    return text_copy(bytes_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)), out);
}

bool certificate_p384_key(const struct x509_st *certificate,
                          uint8_t out[static CERTIFICATE_P384_POINT_BYTES])
{
    ASN1_OBJECT *algorithm = NULL;
    const uint8_t *key = NULL;
    int key_size = 0;
    X509_ALGOR *parameters = NULL;
    const void *curve = NULL;
    int curve_type = 0;
    X509_PUBKEY *info = X509_get_X509_PUBKEY(certificate);
    if (info == NULL ||
        X509_PUBKEY_get0_param(&algorithm, &key, &key_size, &parameters, info) != 1) {
        return false;
    }
    X509_ALGOR_get0(NULL, &curve_type, &curve, parameters);
    if (OBJ_obj2nid(algorithm) != NID_X9_62_id_ecPublicKey || curve_type != V_ASN1_OBJECT ||
        OBJ_obj2nid(curve) != NID_secp384r1 || key_size != CERTIFICATE_P384_POINT_BYTES ||
        key[0] != 0x04) {
        return false;
    }
    memcpy(out, key, CERTIFICATE_P384_POINT_BYTES);
    return true;
}

bool certificate_signature_is_pss_sha384(struct x509_st *certificate)
{
    int digest = NID_undef;
    int key = NID_undef;
    bool known = X509_get_signature_info(certificate, &digest, &key, NULL, NULL) == 1;
    ERR_clear_error();
    return known && digest == NID_sha384 && key == NID_rsassaPss;
}

bool certificate_extension(const struct x509_st *certificate, const char *name, struct bytes *out)
{
    char text[OBJECT_TEXT_BYTES_MAX];
    snprintf(text, sizeof text, "1.3.6.1.4.1.3704.1.%s", name);
    ASN1_OBJECT *object = OBJ_txt2obj(text, 1);
    if (object == NULL) {
        return false;
    }
    int index = X509_get_ext_by_OBJ(certificate, object, -1);
    bool twice = index >= 0 && X509_get_ext_by_OBJ(certificate, object, index) >= 0;
    ASN1_OBJECT_free(object);
    if (index < 0 || twice) {
        return false;
    }
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(certificate, index));
    *out = bytes_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    return true;
}

bool certificate_extension_u8(const struct x509_st *certificate, const char *name, uint8_t *out)
{
    struct bytes der;
    if (!certificate_extension(certificate, name, &der)) {
        return false;
    }
    /* INTEGER: 02 01 xx up to 127, 02 02 00 xx above. */
    if (der.size == 3 && der.ptr[0] == 0x02 && der.ptr[1] == 1 && der.ptr[2] < 0x80) {
        *out = der.ptr[2];
        return true;
    }
    if (der.size == 4 && der.ptr[0] == 0x02 && der.ptr[1] == 2 && der.ptr[2] == 0 &&
        der.ptr[3] >= 0x80) {
        *out = der.ptr[3];
        return true;
    }
    return false;
}

bool certificate_extension_text(const struct x509_st *certificate, const char *name,
                                char out[static CERTIFICATE_NAME_BYTES_MAX])
{
    struct bytes der;
    return certificate_extension(certificate, name, &der) && der.size >= 2 && der.ptr[0] == 0x16 &&
           der.ptr[1] == der.size - 2 && text_copy(bytes_of(der.ptr + 2, der.size - 2), out);
}

static bool chain_verify(X509_STORE_CTX *context, char *detail, size_t detail_size)
{
    if (X509_verify_cert(context) != 1) {
        int error = X509_STORE_CTX_get_error(context);
        snprintf(detail, detail_size, "%s, at depth %d", X509_verify_cert_error_string(error),
                 X509_STORE_CTX_get_error_depth(context));
        return false;
    }
    if (sk_X509_num(X509_STORE_CTX_get0_chain(context)) != 3) {
        snprintf(detail, detail_size, "the chain is not leaf, intermediate, root");
        return false;
    }
    return true;
}

bool certificate_chain_verify(struct x509_st *leaf, struct x509_st *intermediate,
                              struct x509_st *root, char *detail, size_t detail_size)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    bool ok = store != NULL && context != NULL && untrusted != NULL &&
              X509_STORE_add_cert(store, root) == 1 && sk_X509_push(untrusted, intermediate) > 0 &&
              X509_STORE_CTX_init(context, store, leaf, untrusted) == 1;
    if (ok) {
        X509_VERIFY_PARAM *settings = X509_STORE_CTX_get0_param(context);
        X509_VERIFY_PARAM_set_auth_level(settings, SECURITY_LEVEL_128_BITS);
        ok = X509_VERIFY_PARAM_set_flags(settings, X509_V_FLAG_CHECK_SS_SIGNATURE |
                                                       X509_V_FLAG_NO_CHECK_TIME) == 1 &&
             chain_verify(context, detail, detail_size);
    } else {
        snprintf(detail, detail_size, "no memory to verify the chain");
    }
    sk_X509_free(untrusted);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    ERR_clear_error();
    return ok;
}
