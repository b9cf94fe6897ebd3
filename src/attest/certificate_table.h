/* certificate_table.h: the table of certificates that a host hands to its guest beside a report
 * (GHCB specification, section 4.1.8.1):
 *
 *   entries of 24 bytes   GUID (RFC 4122 byte order), offset u32 LE, size u32 LE; a zero entry ends
 *   data                  anywhere behind
 *
 * It comes from the host, so nothing in it is trusted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_CERTIFICATE_TABLE_H
#define ATTEST_CERTIFICATE_TABLE_H

#include "base/bytes.h"

enum { CERTIFICATE_TABLE_ENTRY_BYTES = 24, CERTIFICATE_TABLE_ENTRIES_MAX = 32 };

/* True if it begins with an entry of AMD's. */
bool certificate_table_is(struct bytes table) MUST_CHECK;
/* Appends (chain.h) the certificates of the kinds that we know, DER or PEM, in the table's order.
 * False when an entry lies outside the table, when there are too many, or no end. An empty table is
 * fine: many hosts have none. */
bool certificate_table_read(struct bytes table, struct buffer *chain) MUST_CHECK;

#endif
