/* kdf.h: HMAC and HKDF-Expand over a list of parts, for the labelled forms of RFC 9180.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CRYPTO_KDF_H
#define CRYPTO_KDF_H

#include "crypto/crypto.h"

void crypto_hmac_parts(struct bytes key, const struct bytes *parts, size_t count,
                       uint8_t out[static CRYPTO_SHA256_BYTES]);
/* info is the concatenation of at most CRYPTO_EXPAND_PARTS_MAX parts. */
enum { CRYPTO_EXPAND_PARTS_MAX = 6 };
bool crypto_hkdf_expand_parts(struct bytes prk, const struct bytes *info, size_t info_count,
                              uint8_t *out, size_t out_size) MUST_CHECK;

#endif
