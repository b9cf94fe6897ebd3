/* test_address.c: addresses, networks, and who counts as one party.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/address.h"

#include <criterion/criterion.h>
#include <string.h>

static struct address address(const char *text)
{
    struct address out;
    cr_assert(address_parse(bytes_of_string(text), &out), "%s", text);
    return out;
}

static bool same(const char *a, const char *b)
{
    struct address left = address(a);
    struct address right = address(b);
    return address_equal(&left, &right);
}

Test(base_address, both_ways_to_write_an_ipv4_address_are_one)
{
    cr_expect(same("192.0.2.1", "::ffff:192.0.2.1"));
    cr_expect(same("2001:db8::1", "2001:0DB8:0:0:0:0:0:1"));
    cr_expect_not(same("192.0.2.1", "192.0.2.2"));
    cr_expect_not(same("192.0.2.1", "::192.0.2.1"));
}

Test(base_address, what_is_not_an_address_is_refused)
{
    static const char *const bad[] = {"",      "unknown",   "192.0.2",          "192.0.2.256",
                                      ":",     "1.2.3.4 ",  " 1.2.3.4",         "192.0.2.1:80",
                                      "[::1]", "fe80::1%1", "2001:db8::1/64",   "1.2.3.4.5",
                                      ":::",   "_",         "1:2:3:4:5:6:7:8:9"};
    char longest[64];
    struct address out;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_not(address_parse(bytes_of_string(bad[i]), &out), "%s", bad[i]);
    }
    memset(longest, '1', sizeof(longest));
    for (size_t size = 40; size <= sizeof(longest); size++) {
        cr_expect_not(address_parse(bytes_of(longest, size), &out));
    }
    cr_expect_not(address_parse(bytes_of("::1\0", 4), &out));
    cr_expect_not(address_parse(bytes_of(NULL, 0), &out));
}

static bool in_range(const char *range_text, const char *text)
{
    struct address_range range;
    struct address one = address(text);
    cr_assert(address_range_parse(bytes_of_string(range_text), &range), "%s", range_text);
    return address_range_has(&range, &one);
}

Test(base_address, a_network_has_what_shares_its_prefix)
{
    cr_expect(in_range("10.0.0.0/8", "10.255.255.255"));
    cr_expect_not(in_range("10.0.0.0/8", "11.0.0.0"));
    cr_expect(in_range("10.0.0.0/8", "::ffff:10.1.2.3"));
    cr_expect(in_range("192.0.2.128/25", "192.0.2.128"));
    cr_expect_not(in_range("192.0.2.128/25", "192.0.2.127"));
    cr_expect(in_range("192.0.2.1", "192.0.2.1"));
    cr_expect_not(in_range("192.0.2.1", "192.0.2.0"));
    cr_expect(in_range("192.0.2.1/32", "192.0.2.1"));
    cr_expect(in_range("0.0.0.0/0", "255.255.255.255"));
    cr_expect_not(in_range("0.0.0.0/0", "::1"));
    cr_expect(in_range("::/0", "::1"));
    cr_expect(in_range("2001:db8::/33", "2001:db8:7fff::"));
    cr_expect_not(in_range("2001:db8::/33", "2001:db8:8000::"));
    cr_expect(in_range("::1/128", "::1"));
}

Test(base_address, what_is_not_a_network_is_refused)
{
    static const char *const bad[] = {"",
                                      "/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "::/129",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/08",
                                      "10.0.0.1/8",
                                      "::1/127",
                                      "10.0.0.0/8 ",
                                      "10.0.0.0//8",
                                      "10.0.0.0/8/8",
                                      "0.0.0.1/0",
                                      "10.0.0.0/99999999999999999999"};
    struct address_range range;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_not(address_range_parse(bytes_of_string(bad[i]), &range), "%s", bad[i]);
    }
}

Test(base_address, loopback_is_127_and_1)
{
    static const struct {
        const char *text;
        bool is_loopback;
    } rows[] = {{"127.0.0.1", true},  {"127.255.255.255", true},  {"::1", true},
                {"128.0.0.1", false}, {"126.255.255.255", false}, {"::", false},
                {"::2", false},       {"::ffff:127.0.0.1", true}, {"7f00::1", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address one = address(rows[i].text);
        cr_expect_eq(address_is_loopback(&one), rows[i].is_loopback, "%s", rows[i].text);
    }
}

static bool same_group(const char *a, const char *b)
{
    struct address left = address(a);
    struct address right = address(b);
    left = address_group(&left);
    right = address_group(&right);
    return address_equal(&left, &right);
}

Test(base_address, a_party_is_an_ipv4_address_or_a_64)
{
    cr_expect(same_group("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
    cr_expect_not(same_group("2001:db8:1:2::1", "2001:db8:1:3::1"));
    cr_expect_not(same_group("192.0.2.1", "192.0.2.2"));
    cr_expect_not(same_group("192.0.2.1", "::1"));
}

Test(base_address, the_hash_follows_address_and_seed)
{
    static const uint64_t seed[2] = {0x123456789abcdef0, 0x0fedcba987654321};
    static const uint64_t other[2] = {0x123456789abcdef0, 0x0fedcba987654320};
    size_t buckets[64] = {0};
    struct address one = address("192.0.2.1");
    cr_expect_eq(address_hash(&one, seed), address_hash(&one, seed));
    cr_expect_neq(address_hash(&one, seed), address_hash(&one, other));
    for (unsigned i = 0; i < 64 * 64; i++) { /* neighbours spread */
        one.bytes[14] = (uint8_t)(i >> 8);
        one.bytes[15] = (uint8_t)i;
        buckets[address_hash(&one, seed) % 64]++;
    }
    for (size_t i = 0; i < 64; i++) {
        cr_expect(buckets[i] > 16 && buckets[i] < 128, "%zu in bucket %zu", buckets[i], i);
    }
}

Test(base_address, public_is_what_the_internet_routes)
{
    static const char *const public[] = {
        "1.1.1.1",         "9.255.255.255", "11.0.0.0",        "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.0",     "169.253.255.255", "169.255.0.0",    "172.15.255.255",
        "172.32.0.0",      "192.0.1.0",     "192.0.3.0",       "192.88.98.255",  "192.88.100.0",
        "192.167.255.255", "192.169.0.0",   "198.17.255.255",  "198.20.0.0",     "198.51.99.255",
        "203.0.112.255",   "203.0.114.0",   "223.255.255.255", "2001:200::",     "2001:db7:ffff::",
        "2001:db9::",      "2003::1",       "2606:4700::1111", "3ffe::",         "3fff:1000::",
    };
    static const char *const others[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::1.1.1.1",
        "64:ff9b:1::1",
        "100::1",
        "1fff:ffff::",
        "2001::1",
        "2001:1ff::",
        "2001:db8::1",
        "2002:0101:0101::1",
        "3fff::1",
        "3fff:fff::",
        "4000::",
        "5f00::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    };
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        struct address one = address(public[i]);
        cr_expect(address_is_public(&one), "%s", public[i]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct address one = address(others[i]);
        cr_expect_not(address_is_public(&one), "%s", others[i]);
    }
}
