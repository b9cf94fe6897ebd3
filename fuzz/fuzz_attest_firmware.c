/* fuzz_attest_firmware.c: the tables at the end of a firmware image that is to be measured.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct attest_launch launch = {
        .firmware = bytes_of(data, size), .vcpus = 2, .has_kernel = true};
    uint8_t digest[CRYPTO_SHA384_BYTES];
    struct err err;
    bool measured = attest_launch_measure(&launch, digest, &err);
    (void)measured;
    return 0;
}
