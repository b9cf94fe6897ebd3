/* certificate_table.c: see certificate_table.h. And the other forms in which certificates come.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/certificate_table.h"

#include "attest/certificate.h"
#include "attest/chain.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

enum { GUID_BYTES = 16, PEM_BYTES_MAX = 128 * 1024 };

static const uint8_t known[][GUID_BYTES] = {
    /* VCEK */
    {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac,
     0xcd},
    /* VLEK */
    {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8,
     0xa1},
    /* ASK or ASVK */
    {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7,
     0x82},
    /* ARK */
    {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0,
     0xae},
};

static bool guid_is_known(struct bytes guid)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (bytes_equal(guid, bytes_of(known[i], GUID_BYTES))) {
            return true;
        }
    }
    return false;
}

static bool is_pem(struct bytes in)
{
    return in.size > 5 && memcmp(in.ptr, "-----", 5) == 0;
}

/* Every certificate of the text; false if there is none, or more than a chain may hold. */
static bool pem_add(struct bytes in, struct buffer *chain)
{
    BIO *bio = in.size <= PEM_BYTES_MAX ? BIO_new_mem_buf(in.ptr, (int)in.size) : NULL;
    X509 *certificate = NULL;
    size_t count = 0;
    while (bio != NULL && count <= CHAIN_CERTIFICATES_MAX &&
           (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        uint8_t *der = NULL;
        int size = i2d_X509(certificate, &der);
        chain_append(chain, bytes_of(der, size > 0 ? (size_t)size : 0));
        count++;
        OPENSSL_free(der);
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count > 0 && count <= CHAIN_CERTIFICATES_MAX;
}

static bool one_add(struct bytes in, struct buffer *chain)
{
    if (is_pem(in)) {
        return pem_add(in, chain);
    }
    chain_append(chain, in);
    return true;
}

bool certificate_table_is(struct bytes table)
{
    return table.size >= CERTIFICATE_TABLE_ENTRY_BYTES &&
           guid_is_known(bytes_of(table.ptr, GUID_BYTES));
}

bool certificate_table_read(struct bytes table, struct buffer *chain)
{
    static const uint8_t end[GUID_BYTES];
    struct reader reader = reader_of(table);
    if (table.size == 0) {
        return true;
    }
    for (size_t i = 0; i < CERTIFICATE_TABLE_ENTRIES_MAX; i++) {
        struct bytes guid;
        uint32_t offset = 0, size = 0;
        if (!reader_take(&reader, GUID_BYTES, &guid) || !reader_u32le(&reader, &offset) ||
            !reader_u32le(&reader, &size)) {
            return false;
        }
        if (bytes_equal(guid, bytes_of(end, sizeof end))) {
            return true;
        }
        if (offset > table.size || size > table.size - offset) {
            return false;
        }
        if (guid_is_known(guid) && size > 0 &&
            !one_add(bytes_of(table.ptr + offset, size), chain)) {
            return false;
        }
    }
    return false;
}

bool attest_certificates_add(struct bytes file, struct buffer *certificates, struct err *err)
{
    struct bytes split[CHAIN_CERTIFICATES_MAX];
    size_t count = 0;
    bool ok = false;
    if (certificate_table_is(file)) {
        ok = certificate_table_read(file, certificates);
    } else if (is_pem(file)) {
        ok = pem_add(file, certificates);
    } else {
        struct x509_st *certificate = certificate_parse(file);
        ok = certificate != NULL;
        certificate_free(certificate);
        if (ok) {
            chain_append(certificates, file);
        }
    }
    if (!ok) {
        return err_set(err, ERR_FORMAT, "it holds no certificates in DER, PEM or a host's table");
    }
    return (!certificates->failed && chain_split(buffer_bytes(certificates), split, &count)) ||
           err_set(err, ERR_FORMAT, "more than %d certificates", CHAIN_CERTIFICATES_MAX);
}

bool attest_crl_read(struct bytes file, uint8_t **out, size_t *size, struct err *err)
{
    const uint8_t *cursor = file.ptr;
    BIO *bio = file.size <= PEM_BYTES_MAX ? BIO_new_mem_buf(file.ptr, (int)file.size) : NULL;
    X509_CRL *crl = bio == NULL    ? NULL
                    : is_pem(file) ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)
                                   : d2i_X509_CRL(NULL, &cursor, (long)file.size);
    struct buffer der;
    uint8_t *encoded = NULL;
    int encoded_size = crl == NULL ? 0 : i2d_X509_CRL(crl, &encoded);
    buffer_init(&der, PEM_BYTES_MAX);
    buffer_append(&der, encoded, encoded_size > 0 ? (size_t)encoded_size : 0);
    OPENSSL_free(encoded);
    X509_CRL_free(crl);
    BIO_free(bio);
    ERR_clear_error();
    if (encoded_size <= 0 || der.failed) {
        buffer_release(&der);
        return err_set(err, ERR_FORMAT, "it holds no revocation list in DER or PEM");
    }
    *out = buffer_detach(&der, size);
    return true;
}
