/* fuzz_audit_note.c: checkpoints, tlog-proofs and verifier keys from strangers. What verifies has a
 * form that can be printed back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"

#include <assert.h>
#include <string.h>

static const char vkey[] =
    "log.example/node-1+8c1dcdc4+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t leaf_hash[AUDIT_HASH_BYTES];
    struct audit_checkpoint checkpoint;
    struct audit_key key;
    struct err err;
    uint64_t index;
    char text[AUDIT_VKEY_CHARS_MAX + 1];
    if (audit_checkpoint_verify(bytes_of(data, size), vkey, &checkpoint) != AUDIT_TAMPERED) {
        assert(audit_name_is_valid(bytes_of_string(checkpoint.origin)));
    }
    (void)audit_tlog_proof_verify(bytes_of(data, size), vkey, leaf_hash, &index, &checkpoint);
    if (audit_key_parse(bytes_of(data, size), &key, &err)) {
        audit_key_format(&key, text);
        assert(strlen(text) == size && strlen(key.name) <= AUDIT_ORIGIN_CHARS_MAX);
    }
    return 0;
}
