/* cosignature.h: what a witness says of a checkpoint, and how it is asked to say it.
 *
 *     cosignature = signature line whose key id is of type 0x04 and whose signature is
 *                   time[8, big endian, seconds since 1970] || Ed25519[64] over the message
 *     message     = "cosignature/v1" LF, "time " decimal LF, the checkpoint's text
 *     vkey        = name "+" hex(key id) "+" base64(0x04 || public key)
 *     request     = "old " decimal LF, base64(hash) LF each, LF, checkpoint
 *
 * Specifications: c2sp.org/tlog-cosignature, tlog-witness. A cosignature says: at that time this
 * was the largest tree that I had seen of that log, and a continuation of all that I had seen
 * before. Verifying is public: audit.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_COSIGNATURE_H
#define AUDIT_COSIGNATURE_H

#include "audit/note.h"

enum {
    AUDIT_CONSISTENCY_HASHES_MAX = 63, /* tlog-witness: a client must not send more */
    AUDIT_COSIGNATURE_BYTES = 8 + CRYPTO_ED25519_SIGNATURE_BYTES,
    AUDIT_COSIGNATURE_LINE_CHARS_MAX = 4 + AUDIT_ORIGIN_CHARS_MAX + 1 + 104 + 1,
};

/* Appends the signature line for a checkpoint's text, after checking it. key: of type COSIGNATURE,
 * the signer's. time_s: 1 to INT64_MAX. */
bool audit_cosign(struct bytes text, uint64_t time_s, const struct audit_key *key,
                  const struct crypto_signer *signer, struct buffer *out,
                  struct err *err) MUST_CHECK;

struct audit_add_checkpoint { /* a request to a witness */
    uint64_t old_size;
    uint8_t proof[AUDIT_CONSISTENCY_HASHES_MAX * AUDIT_HASH_BYTES];
    size_t hash_count;
    struct bytes note; /* borrowed; its form is not checked yet */
};
/* False for a bad form. */
bool audit_add_checkpoint_parse(struct bytes body, struct audit_add_checkpoint *out) MUST_CHECK;

#endif
