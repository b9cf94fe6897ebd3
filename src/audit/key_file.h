/* key_file.h: the log's private keys in their files, in the clear or sealed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_KEY_FILE_H
#define AUDIT_KEY_FILE_H

#include "audit/log.h"

enum { AUDIT_SEALED_BYTES_MAX = 4096 };

enum audit_key_slot { AUDIT_KEY_CURRENT, AUDIT_KEY_NEXT };

/* NOT_FOUND if there is none; CONFIG if it can be read by others, or is sealed and nobody unseals
 * it; else what reading, parsing or unsealing fails with. */
bool audit_key_file_load(const struct audit_log *log, enum audit_key_slot slot,
                         struct audit_private *out, struct err *err) MUST_CHECK;
/* Durable. IO if something is there. */
bool audit_key_file_save(const struct audit_log *log, enum audit_key_slot slot,
                         const struct audit_private *private, struct err *err) MUST_CHECK;
/* The next key's file, of that form, becomes the key's; the old key is gone before. */
bool audit_key_file_promote(const struct audit_log *log, bool is_sealed,
                            struct err *err) MUST_CHECK;
bool audit_key_file_remove_next(const struct audit_log *log, bool is_sealed,
                                struct err *err) MUST_CHECK;

#endif
