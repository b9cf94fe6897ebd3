/* fuzz_audit_witness.c: what a stranger may post to a witness: old size, consistency proof,
 * checkpoint, cosignatures. What parses can be written back, byte by byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/cosignature.h"

#include <assert.h>

static const char vkey[] =
    "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_add_checkpoint request;
    struct audit_key key;
    struct buffer again;
    struct err err;
    uint64_t time_s = 0;
    if (!audit_add_checkpoint_parse(bytes_of(data, size), &request)) {
        return 0;
    }
    buffer_init(&again, size);
    bool ok = audit_add_checkpoint_format(
                  request.old_size, bytes_of(request.proof, request.hash_count * AUDIT_HASH_BYTES),
                  request.note, &again) &&
              bytes_equal(buffer_bytes(&again), bytes_of(data, size));
    assert(ok);
    buffer_release(&again);
    ok = audit_cosigner_parse(bytes_of_string(vkey), &key, &err);
    assert(ok);
    if (audit_cosignature_verify(request.note, &key, &time_s) == AUDIT_OK) {
        assert(time_s > 0 && time_s <= INT64_MAX);
    }
    return 0;
}
