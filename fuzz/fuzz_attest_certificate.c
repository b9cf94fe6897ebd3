/* fuzz_attest_certificate.c: a certificate as a host's certificate table brings it: everything that
 * the verifier reads out of one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[CERTIFICATE_NAME_BYTES_MAX];
    uint8_t key[CERTIFICATE_P384_POINT_BYTES], part = 0;
    struct bytes value;
    struct x509_st *certificate = certificate_parse(bytes_of(data, size));
    if (certificate != NULL) {
        bool read = certificate_common_name(certificate, text);
        read |= certificate_p384_key(certificate, key);
        read |= certificate_signature_is_pss_sha384(certificate);
        read |= certificate_extension(certificate, CERTIFICATE_HARDWARE_ID, &value);
        read |= certificate_extension_u8(certificate, CERTIFICATE_MICROCODE_SPL, &part);
        read |= certificate_extension_text(certificate, CERTIFICATE_PRODUCT_NAME, text);
        certificate_free(certificate);
        (void)read;
    }
    return 0;
}
