/* address.c: see address.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/address.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum { ADDRESS_BITS = 128, ADDRESS_IPV4_BITS = 32, ADDRESS_GROUP_BITS = 64 };

static const uint8_t address_mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool address_is_ipv4(const struct address *address)
{
    return memcmp(address->bytes, address_mapped, sizeof(address_mapped)) == 0;
}

bool address_parse(struct bytes text, struct address *out)
{
    char copy[INET6_ADDRSTRLEN];
    struct address address;
    if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.ptr, 0, text.size) != NULL) {
        return false;
    }
    memcpy(copy, text.ptr, text.size);
    copy[text.size] = 0;
    if (inet_pton(AF_INET6, copy, address.bytes) != 1) {
        memcpy(address.bytes, address_mapped, sizeof(address_mapped));
        if (inet_pton(AF_INET, copy, address.bytes + sizeof(address_mapped)) != 1) {
            return false;
        }
    }
    *out = address;
    return true;
}

static struct address address_prefix(const struct address *address, unsigned bits)
{
    struct address prefix = {{0}};
    assert(bits <= ADDRESS_BITS);
    memcpy(prefix.bytes, address->bytes, bits / 8);
    if (bits % 8 != 0) {
        prefix.bytes[bits / 8] = (uint8_t)(address->bytes[bits / 8] & (0xff00U >> bits % 8));
    }
    return prefix;
}

bool address_range_parse(struct bytes text, struct address_range *out)
{
    struct address_range range;
    const uint8_t *slash = text.size == 0 ? NULL : memchr(text.ptr, '/', text.size);
    size_t size = slash == NULL ? text.size : (size_t)(slash - text.ptr);
    if (!address_parse(bytes_of(text.ptr, size), &range.address)) {
        return false;
    }
    bool is_ipv4 = memchr(text.ptr, ':', size) == NULL;
    uint64_t bits = is_ipv4 ? ADDRESS_IPV4_BITS : ADDRESS_BITS;
    uint64_t given = bits;
    if (slash != NULL &&
        (!text_u64_decode((const char *)slash + 1, text.size - size - 1, &given) || given > bits)) {
        return false;
    }
    range.bits = (unsigned)(ADDRESS_BITS - bits + given);
    struct address prefix = address_prefix(&range.address, range.bits);
    if (!address_equal(&prefix, &range.address)) {
        return false;
    }
    *out = range;
    return true;
}

bool address_range_has(const struct address_range *range, const struct address *address)
{
    struct address prefix = address_prefix(address, range->bits);
    return address_equal(&prefix, &range->address);
}

bool address_equal(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, ADDRESS_BYTES) == 0;
}

bool address_is_loopback(const struct address *address)
{
    static const struct address ipv6 = {{[15] = 1}};
    return address_equal(address, &ipv6) || (address_is_ipv4(address) && address->bytes[12] == 127);
}

/* Those of IANA's special-purpose registries that lie inside what is public otherwise: all of IPv4,
 * and 2000::/3. */
static const char *const address_special[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "2001::/23",     "2001:db8::/32",   "2002::/16",      "3fff::/20",
};

bool address_is_public(const struct address *address)
{
    bool is_public = address_is_ipv4(address) || (address->bytes[0] & 0xe0) == 0x20;
    for (size_t i = 0; i < sizeof(address_special) / sizeof(address_special[0]) && is_public; i++) {
        struct address_range range;
        bool ok = address_range_parse(bytes_of_string(address_special[i]), &range);
        assert(ok);
        is_public = ok && !address_range_has(&range, address);
    }
    return is_public;
}

struct address address_group(const struct address *address)
{
    return address_is_ipv4(address) ? *address : address_prefix(address, ADDRESS_GROUP_BITS);
}

/* The product of two 64-bit numbers, folded. */
static uint64_t address_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t address_hash(const struct address *address, const uint64_t seed[static 2])
{
    uint64_t halves[2];
    memcpy(halves, address->bytes, sizeof(halves));
    return address_mix(address_mix(halves[0] ^ seed[0], halves[1] ^ seed[1]), seed[0] | 1);
}
