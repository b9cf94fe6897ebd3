/* chain.c: see chain.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/chain.h"

void chain_append(struct buffer *out, struct bytes der)
{
    buffer_append_u32be(out, (uint32_t)der.size);
    buffer_append_bytes(out, der);
}

bool chain_split(struct bytes in, struct bytes out[static CHAIN_CERTIFICATES_MAX], size_t *count)
{
    struct reader reader = reader_of(in);
    size_t found = 0;
    while (reader_left(&reader) > 0) {
        uint16_t high = 0;
        uint16_t low = 0;
        if (found == CHAIN_CERTIFICATES_MAX || !reader_u16be(&reader, &high) ||
            !reader_u16be(&reader, &low) ||
            !reader_take(&reader, (size_t)high << 16 | low, &out[found])) {
            return false;
        }
        found++;
    }
    *count = found;
    return true;
}
