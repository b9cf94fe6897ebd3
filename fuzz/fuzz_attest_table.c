/* fuzz_attest_table.c: certificates in all forms in which a host or a user hands them over, and
 * revocation lists.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/attest.h"
#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer chain;
    struct err err;
    uint8_t *der = NULL;
    size_t der_size = 0;
    buffer_init(&chain, 32768);
    bool read = attest_certificates_add(bytes_of(data, size), &chain, &err);
    if (attest_crl_read(bytes_of(data, size), &der, &der_size, &err)) {
        heap_free(der);
    }
    buffer_release(&chain);
    (void)read;
    return 0;
}
