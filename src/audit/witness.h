/* witness.h: the inside of a witness, for tests: the same on other system calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_WITNESS_H
#define AUDIT_WITNESS_H

#include "audit/io.h"
#include "audit/note.h"

#define AUDIT_WITNESS_KEY_FILE "witness-key.pem"
#define AUDIT_WITNESS_VKEY_FILE "witness.vkey"

enum { AUDIT_WITNESS_LOG_KEYS_MAX = 256 };

bool audit_witness_open_with(const struct audit_io *io, const struct audit_witness_config *config,
                             struct audit_witness **out, struct err *err) MUST_CHECK;

#endif
