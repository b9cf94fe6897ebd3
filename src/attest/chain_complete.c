/* chain_complete.c: a whole chain from what a host or a user has at hand, which often is the leaf
 * alone.
 *
 * AMD's authorities (amd/<line>.pem: intermediate of VCEKs, root, intermediate of VLEKs) are
 * compiled in. This only collects: what was found is verified like everything else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/certificate.h"
#include "attest/chain.h"

#include <pthread.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

enum { AUTHORITIES = 9, CANDIDATES_MAX = AUTHORITIES + CHAIN_CERTIFICATES_MAX };

/* amd_certificates.c, made from amd/ by the build. */
extern const char attest_amd_certificates[];

struct candidate {
    struct x509_st *certificate;
    struct bytes der;
};

static struct {
    uint8_t der[AUTHORITIES][2048];
    size_t size[AUTHORITIES];
    size_t count;
} authorities;

static void authorities_read(void)
{
    BIO *bio = BIO_new_mem_buf(attest_amd_certificates, -1);
    for (size_t i = 0; bio != NULL && i < AUTHORITIES; i++) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        int size = certificate == NULL ? 0 : i2d_X509(certificate, NULL);
        uint8_t *cursor = authorities.der[i];
        if (size > 0 && (size_t)size <= sizeof authorities.der[i]) {
            authorities.size[i] = (size_t)i2d_X509(certificate, &cursor);
            authorities.count++;
        }
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error();
}

static size_t candidates_collect(const struct bytes *given, size_t count, struct candidate *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t found = 0;
    (void)pthread_once(&once, authorities_read);
    for (size_t i = 0; i < authorities.count; i++) {
        out[found++].der = bytes_of(authorities.der[i], authorities.size[i]);
    }
    for (size_t i = 0; i < count; i++) {
        out[found++].der = given[i];
    }
    for (size_t i = 0; i < found; i++) {
        out[i].certificate = certificate_parse(out[i].der);
    }
    return found;
}

static const struct candidate *leaf_find(const struct candidate *candidates, size_t count)
{
    char name[CERTIFICATE_NAME_BYTES_MAX];
    for (size_t i = authorities.count; i < count; i++) {
        if (candidates[i].certificate != NULL &&
            certificate_common_name(candidates[i].certificate, name) &&
            (strcmp(name, "SEV-VCEK") == 0 || strcmp(name, "SEV-VLEK") == 0)) {
            return &candidates[i];
        }
    }
    return NULL;
}

static const struct candidate *issuer_find(const struct candidate *candidates, size_t count,
                                           const struct candidate *of)
{
    for (size_t i = 0; of != NULL && i < count; i++) {
        if (candidates[i].certificate != NULL &&
            certificate_names_issuer(of->certificate, candidates[i].certificate)) {
            return &candidates[i];
        }
    }
    return NULL;
}

bool attest_certificates_complete(struct bytes certificates)
{
    struct bytes split[CHAIN_CERTIFICATES_MAX], chain[3];
    size_t count = 0;
    return chain_split(certificates, split, &count) && chain_complete(split, count, chain);
}

bool chain_complete(const struct bytes *given, size_t count, struct bytes out[static 3])
{
    struct candidate candidates[CANDIDATES_MAX] = {0};
    if (count > CHAIN_CERTIFICATES_MAX) {
        return false;
    }
    size_t found = candidates_collect(given, count, candidates);
    const struct candidate *leaf = leaf_find(candidates, found);
    const struct candidate *intermediate = issuer_find(candidates, found, leaf);
    const struct candidate *root = issuer_find(candidates, found, intermediate);
    if (root != NULL) {
        out[0] = leaf->der;
        out[1] = intermediate->der;
        out[2] = root->der;
    }
    for (size_t i = 0; i < found; i++) {
        certificate_free(candidates[i].certificate);
    }
    return root != NULL;
}
