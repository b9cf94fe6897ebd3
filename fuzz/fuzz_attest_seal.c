/* fuzz_attest_seal.c: files of sealed keys: what is taken has one spelling.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/seal.h"
#include "base/arena.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sealed sealed;
    struct buffer again;
    struct err err;
    if (!sealed_read(bytes_of(data, size), &sealed, &err)) {
        return 0;
    }
    buffer_init(&again, ATTEST_SEALED_BYTES_MAX);
    sealed_write(&sealed, &again);
    assert(bytes_equal(buffer_bytes(&again), bytes_of(data, size)));
    buffer_release(&again);
    return 0;
}
