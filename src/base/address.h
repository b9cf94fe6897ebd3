/* address.h: addresses of the internet as values to compare and to count by.
 *
 * Both families are 16 bytes: an IPv4 address is its IPv4-mapped form (RFC 4291 section 2.5.5.2),
 * so "192.0.2.1" and "::ffff:192.0.2.1" are one. Whoever counts what one party does counts by
 * group: an IPv4 address is a group of its own, an IPv6 address stands for its /64, because that is
 * what one party is given.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "base/bytes.h"

enum { ADDRESS_BYTES = 16 };

struct address {
    uint8_t bytes[ADDRESS_BYTES];
};

struct address_range {
    struct address address;
    unsigned bits; /* of its 128 that count */
};

/* "192.0.2.1" or "2001:db8::1", nothing around it; false: it is neither. */
bool address_parse(struct bytes text, struct address *out) MUST_CHECK;
/* An address, or "192.0.2.0/24", where what lies behind the prefix must be zero. */
bool address_range_parse(struct bytes text, struct address_range *out) MUST_CHECK;
bool address_range_has(const struct address_range *range, const struct address *address);
bool address_equal(const struct address *a, const struct address *b);
bool address_is_loopback(const struct address *address); /* 127.0.0.0/8, ::1 */
/* One that the internet routes: neither private, shared (RFC 6598), link-local, loopback,
 * multicast, unspecified, reserved or for documentation, nor one that stands for an IPv4 address
 * (NAT64, 6to4, Teredo): where that leads is the network's affair. */
bool address_is_public(const struct address *address);
struct address address_group(const struct address *address);
/* Where it goes in a hash table. Whoever does not know the seed cannot choose addresses that fall
 * together. */
uint64_t address_hash(const struct address *address, const uint64_t seed[static 2]);

#endif
