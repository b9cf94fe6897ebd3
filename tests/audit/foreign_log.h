/* foreign_log.h: a log that somebody else runs, in memory: checkpoints of any of its sizes, and
 * consistency proofs made as RFC 6962 section 2.1.2 words them, recursively.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_AUDIT_FOREIGN_LOG_H
#define TESTS_AUDIT_FOREIGN_LOG_H

#include "audit/cosignature.h"

enum { FOREIGN_LEAVES_MAX = 64 };

struct foreign_log {
    struct crypto_signer *signer;
    struct audit_key key;
    char vkey[AUDIT_VKEY_CHARS_MAX + 1];
    uint8_t leaves[FOREIGN_LEAVES_MAX][AUDIT_HASH_BYTES];
};

/* A new key under that name; leaf i is its number in decimal. */
void foreign_log_init(struct foreign_log *log, const char *origin);
void foreign_log_release(struct foreign_log *log);
/* From that leaf on another history: same key. */
void foreign_log_fork(struct foreign_log *log, size_t at);
/* Appends its signed checkpoint. */
void foreign_log_checkpoint(const struct foreign_log *log, size_t size, struct buffer *out);
/* Appends the hashes. */
void foreign_log_prove(const struct foreign_log *log, size_t old_size, size_t size,
                       struct buffer *out);
/* Appends a whole add-checkpoint request. */
void foreign_log_request(const struct foreign_log *log, size_t old_size, size_t size,
                         struct buffer *out);

#endif
