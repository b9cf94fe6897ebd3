/* chain.h: a certificate chain as bytes: each certificate's DER behind its size (u32 big endian),
 * the leaf first. This is how providers hand chains on (struct tee).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_CHAIN_H
#define ATTEST_CHAIN_H

#include "base/bytes.h"

enum { CHAIN_CERTIFICATES_MAX = 8 };

void chain_append(struct buffer *out, struct bytes der);
/* False when the sizes do not add up or there are more than CHAIN_CERTIFICATES_MAX. Borrowed. */
bool chain_split(struct bytes in, struct bytes out[static CHAIN_CERTIFICATES_MAX],
                 size_t *count) MUST_CHECK;

#endif
