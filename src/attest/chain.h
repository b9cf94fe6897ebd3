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

/* Finds leaf, intermediate and root (DER) among what is given, in any order, and AMD's authorities,
 * which are compiled in and go before given ones of the same name. False if one is missing, or more
 * than CHAIN_CERTIFICATES_MAX are given. Only names are looked at. Borrowed. */
bool chain_complete(const struct bytes *given, size_t count, struct bytes out[static 3]) MUST_CHECK;

#endif
