/* fuzz_audit_leaf.c: the scanner that reads every entry of a log when it is opened or verified.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_leaf leaf;
    const char *why = NULL;
    uint64_t index = 0;
    if (audit_leaf_parse(bytes_of(data, size), &leaf, &why)) {
        assert(leaf.index <= AUDIT_INDEX_MAX && size <= AUDIT_LEAF_BYTES_MAX);
        while (audit_leaf_next_admit(&leaf.admits, &index)) {
            assert(index <= AUDIT_INDEX_MAX);
        }
    } else {
        assert(why != NULL);
    }
    return 0;
}
