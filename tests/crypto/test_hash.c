/* test_hash.c: hashing, comparison, randomness.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "crypto/crypto.h"

#include <criterion/criterion.h>
#include <string.h>

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
    char text[2 * CRYPTO_SHA512_BYTES + 1];
    text_hex_encode(bytes_of(bytes, size), text);
    cr_assert_str_eq(text, expected);
}

Test(crypto_hash, gives_fips_180_values)
{
    uint8_t out[CRYPTO_SHA512_BYTES];
    crypto_sha256(bytes_of_string("abc"), out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(bytes_of(NULL, 0), out);
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha384(bytes_of_string("abc"), out);
    assert_hex(out, 48,
               "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358"
               "baeca134c825a7");
    crypto_sha512(bytes_of_string("abc"), out);
    assert_hex(out, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836"
               "ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

Test(crypto_hash, of_parts_is_hash_of_concatenation)
{
    uint8_t whole[CRYPTO_SHA256_BYTES];
    uint8_t parted[CRYPTO_SHA256_BYTES];
    const struct bytes parts[] = {bytes_of_string("a"), bytes_of(NULL, 0), bytes_of_string("bc")};
    crypto_sha256(bytes_of_string("abc"), whole);
    crypto_sha256_parts(parts, 3, parted);
    cr_assert_arr_eq(whole, parted, sizeof whole);
    crypto_sha256(bytes_of(NULL, 0), whole);
    crypto_sha256_parts(NULL, 0, parted);
    cr_assert_arr_eq(whole, parted, sizeof whole);
}

Test(crypto_equal, compares_contents_and_sizes)
{
    const uint8_t a[] = {1, 2, 3};
    const uint8_t first[] = {0, 2, 3};
    const uint8_t last[] = {1, 2, 2};
    cr_assert(crypto_equal(bytes_of(a, 3), bytes_of(a, 3)));
    cr_assert_not(crypto_equal(bytes_of(a, 3), bytes_of(first, 3)));
    cr_assert_not(crypto_equal(bytes_of(a, 3), bytes_of(last, 3)));
    cr_assert_not(crypto_equal(bytes_of(a, 3), bytes_of(a, 2)));
    cr_assert_not(crypto_equal(bytes_of(a, 1), bytes_of(NULL, 0)));
    cr_assert(crypto_equal(bytes_of(NULL, 0), bytes_of(NULL, 0)));
    cr_assert(crypto_equal(bytes_of(a, 0), bytes_of(NULL, 0)));
}

Test(crypto_random, fills_all_of_it_and_differs)
{
    /* Every one of 64 bytes takes a value other than zero within 64 tries, or the chance was 2^-512
     * per byte. */
    uint8_t seen[64] = {0};
    uint8_t last[64] = {0};
    for (int round = 0; round < 64; round++) {
        uint8_t now[64] = {0};
        crypto_random(now, sizeof now);
        cr_assert(memcmp(now, last, sizeof now) != 0);
        memcpy(last, now, sizeof now);
        for (size_t i = 0; i < sizeof now; i++) {
            seen[i] |= now[i];
        }
    }
    for (size_t i = 0; i < sizeof seen; i++) {
        cr_assert_neq(seen[i], 0);
    }
    crypto_random(last, 0);
}

Test(crypto_hash, sha256_in_pieces_is_that_of_the_whole)
{
    uint8_t data[300], whole[CRYPTO_SHA256_BYTES], pieces[CRYPTO_SHA256_BYTES];
    crypto_random(data, sizeof data);
    crypto_sha256(bytes_of(data, sizeof data), whole);
    for (size_t piece = 1; piece <= sizeof data; piece *= 3) {
        struct crypto_sha256 *hash = crypto_sha256_new();
        cr_assert_not_null(hash);
        for (size_t done = 0; done < sizeof data; done += piece) {
            size_t left = sizeof data - done;
            crypto_sha256_add(hash, bytes_of(data + done, left < piece ? left : piece));
        }
        crypto_sha256_get(hash, pieces);
        cr_expect_arr_eq(pieces, whole, sizeof whole);
        crypto_sha256_free(hash);
    }
    crypto_sha256_free(NULL);
}
