/* certificate_make.c: makes certificates in the shape of AMD's: v3, RSASSA-PSS with SHA-384, AMD's
 * extensions in the leaf. The organisation in their names says that they are not AMD's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/certificate.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { OBJECT_TEXT_BYTES_MAX = 64, X509_V3 = 2 };

static bool name_fill(X509_NAME *name, const char *common_name)
{
    const struct {
        int nid;
        const char *text;
    } entries[] = {
        {NID_organizationalUnitName, "Engineering"},
        {NID_countryName, "US"},
        {NID_organizationName, "Simulated, not AMD"},
        {NID_commonName, common_name},
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (X509_NAME_add_entry_by_NID(name, entries[i].nid, MBSTRING_ASC,
                                       (const unsigned char *)entries[i].text, -1, -1, 0) != 1) {
            return false;
        }
    }
    return true;
}

static bool extension_add(X509 *certificate, ASN1_OBJECT *object, struct bytes value)
{
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool ok = octets != NULL && ASN1_OCTET_STRING_set(octets, value.ptr, (int)value.size) == 1 &&
              (extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets)) != NULL &&
              X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    return ok;
}

static bool amd_extensions_add(X509 *certificate, const struct certificate_template *template)
{
    bool ok = true;
    for (size_t i = 0; ok && i < template->extension_count; i++) {
        char text[OBJECT_TEXT_BYTES_MAX];
        snprintf(text, sizeof text, "1.3.6.1.4.1.3704.1.%s", template->extensions[i].name);
        ASN1_OBJECT *object = OBJ_txt2obj(text, 1);
        ok = object != NULL && extension_add(certificate, object, template->extensions[i].value);
        ASN1_OBJECT_free(object);
    }
    return ok;
}

static bool standard_extension_add(X509 *certificate, int nid, const char *text)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, text);
    bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool authority_extensions_add(X509 *certificate, enum certificate_role role)
{
    if (role == CERTIFICATE_LEAF) {
        return true;
    }
    bool root = role == CERTIFICATE_ROOT;
    return standard_extension_add(certificate, NID_key_usage,
                                  root ? "critical,keyCertSign,cRLSign" : "critical,keyCertSign") &&
           standard_extension_add(certificate, NID_subject_key_identifier, "hash") &&
           standard_extension_add(certificate, NID_basic_constraints,
                                  root ? "critical,CA:TRUE" : "critical,CA:TRUE,pathlen:0");
}

static bool fill(X509 *certificate, const struct certificate_template *template,
                 const struct crypto_signer *subject)
{
    /* AMD's leaves have serial number 0 as well. */
    long serial = template->role == CERTIFICATE_LEAF ? 0 : 65536 + (long)template->role;
    X509_NAME *subject_name = X509_NAME_new();
    X509_NAME *issuer_name = X509_NAME_new();
    bool ok =
        subject_name != NULL && issuer_name != NULL &&
        X509_set_version(certificate, X509_V3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial) == 1 &&
        name_fill(subject_name, template->subject) && name_fill(issuer_name, template->issuer) &&
        X509_set_subject_name(certificate, subject_name) == 1 &&
        X509_set_issuer_name(certificate, issuer_name) == 1 &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)(template->not_before_ms / 1000)) !=
            NULL &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)(template->not_after_ms / 1000)) !=
            NULL &&
        X509_set_pubkey(certificate, crypto_signer_native(subject)) == 1 &&
        authority_extensions_add(certificate, template->role) &&
        amd_extensions_add(certificate, template);
    X509_NAME_free(subject_name);
    X509_NAME_free(issuer_name);
    return ok;
}

bool certificate_make(const struct certificate_template *template,
                      const struct crypto_signer *subject, const struct crypto_signer *issuer,
                      struct buffer *out, struct err *err)
{
    uint8_t *der = NULL;
    int size = 0;
    X509 *certificate = X509_new();
    void *context = crypto_signer_native_context(issuer);
    if (certificate != NULL && context != NULL && fill(certificate, template, subject) &&
        X509_sign_ctx(certificate, context) > 0) {
        size = i2d_X509(certificate, &der);
    }
    if (size > 0) {
        buffer_append(out, der, (size_t)size);
    }
    OPENSSL_free(der);
    crypto_signer_native_context_free(context);
    X509_free(certificate);
    ERR_clear_error();
    return (size > 0 && !out->failed) ||
           err_set(err, ERR_CRYPTO, "cannot make the certificate %s", template->subject);
}
