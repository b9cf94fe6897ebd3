/* test_aead.c: AES-256-GCM against Wycheproof, and what must not open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/crypto.h"
#include "crypto/vectors.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

enum { ROW_BYTES_MAX = 1024 };

static void check_row(const json_t *row, bool valid)
{
    uint8_t sealed[ROW_BYTES_MAX + CRYPTO_AEAD_TAG_BYTES];
    uint8_t out[ROW_BYTES_MAX + CRYPTO_AEAD_TAG_BYTES];
    long long id = json_integer_value(json_object_get(row, "tcId"));
    struct bytes message = vectors_hex(row, "msg");
    struct bytes ciphertext = vectors_hex(row, "ct");
    struct bytes tag = vectors_hex(row, "tag");
    struct bytes aad = vectors_hex(row, "aad");
    struct bytes key = vectors_hex(row, "key");
    struct bytes nonce = vectors_hex(row, "iv");
    cr_assert(message.size <= ROW_BYTES_MAX && ciphertext.size <= ROW_BYTES_MAX);
    memcpy(sealed, ciphertext.ptr, ciphertext.size);
    memcpy(sealed + ciphertext.size, tag.ptr, tag.size);
    struct bytes whole = bytes_of(sealed, ciphertext.size + tag.size);
    bool ok = crypto_aead_open(key.ptr, nonce.ptr, aad, whole, out);
    cr_assert_eq(ok, valid, "aes_gcm row %lld opens: %d", id, ok);
    if (valid) {
        cr_assert(bytes_equal(bytes_of(out, message.size), message), "row %lld", id);
        cr_assert(crypto_aead_seal(key.ptr, nonce.ptr, aad, message, out));
        cr_assert(bytes_equal(bytes_of(out, whole.size), whole), "row %lld", id);
    }
}

Test(crypto_aead, agrees_with_wycheproof)
{
    json_t *root = vectors_shared("wycheproof/aes_gcm_test.json");
    size_t group_index, index, valid = 0, invalid = 0, other_sizes = 0;
    json_t *group, *row;
    json_array_foreach (json_object_get(root, "testGroups"), group_index, group) {
        bool ours = json_integer_value(json_object_get(group, "keySize")) == 256 &&
                    json_integer_value(json_object_get(group, "ivSize")) == 96 &&
                    json_integer_value(json_object_get(group, "tagSize")) == 128;
        json_array_foreach (json_object_get(group, "tests"), index, row) {
            bool row_valid = strcmp(vectors_text(row, "result"), "valid") == 0;
            if (!ours) {
                other_sizes++; /* not applicable: AES-128/192, nonces of other sizes, short tags */
                continue;
            }
            check_row(row, row_valid);
            valid += row_valid;
            invalid += !row_valid;
        }
    }
    json_decref(root);
    cr_assert(valid > 30 && invalid > 20, "%zu valid, %zu invalid, %zu of other sizes", valid,
              invalid, other_sizes);
}

static const uint8_t key[CRYPTO_AEAD_KEY_BYTES] = {1};
static const uint8_t nonce[CRYPTO_AEAD_NONCE_BYTES] = {2};

Test(crypto_aead, opens_only_what_was_sealed)
{
    uint8_t sealed[5 + CRYPTO_AEAD_TAG_BYTES];
    uint8_t out[5];
    struct bytes aad = bytes_of_string("header");
    cr_assert(crypto_aead_seal(key, nonce, aad, bytes_of_string("hello"), sealed));
    cr_assert(crypto_aead_open(key, nonce, aad, bytes_of(sealed, sizeof sealed), out));
    cr_assert_arr_eq(out, "hello", 5);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cr_assert_not(crypto_aead_open(key, nonce, aad, bytes_of(sealed, sizeof sealed), out));
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t size = 0; size < sizeof sealed; size++) {
        cr_assert_not(crypto_aead_open(key, nonce, aad, bytes_of(sealed, size), out));
    }
    uint8_t other_key[CRYPTO_AEAD_KEY_BYTES] = {3};
    uint8_t other_nonce[CRYPTO_AEAD_NONCE_BYTES] = {3};
    struct bytes whole = bytes_of(sealed, sizeof sealed);
    cr_assert_not(crypto_aead_open(other_key, nonce, aad, whole, out));
    cr_assert_not(crypto_aead_open(key, other_nonce, aad, whole, out));
    cr_assert_not(crypto_aead_open(key, nonce, bytes_of_string("headeR"), whole, out));
    cr_assert_not(crypto_aead_open(key, nonce, bytes_of(NULL, 0), whole, out));
}

Test(crypto_aead, leaves_no_plaintext_when_the_tag_is_wrong)
{
    uint8_t sealed[64 + CRYPTO_AEAD_TAG_BYTES];
    uint8_t text[64];
    uint8_t out[64];
    const uint8_t zeros[64] = {0};
    memset(text, 'x', sizeof text);
    memset(out, 0xee, sizeof out);
    cr_assert(crypto_aead_seal(key, nonce, bytes_of(NULL, 0), bytes_of(text, 64), sealed));
    sealed[64] ^= 1;
    cr_assert_not(crypto_aead_open(key, nonce, bytes_of(NULL, 0), bytes_of(sealed, 80), out));
    cr_assert_arr_eq(out, zeros, sizeof out);
}

Test(crypto_aead, seals_nothing_at_all)
{
    uint8_t sealed[CRYPTO_AEAD_TAG_BYTES];
    uint8_t out[1] = {7};
    cr_assert(crypto_aead_seal(key, nonce, bytes_of(NULL, 0), bytes_of(NULL, 0), sealed));
    cr_assert(crypto_aead_open(key, nonce, bytes_of(NULL, 0), bytes_of(sealed, 16), out));
    cr_assert_eq(out[0], 7);
}

Test(crypto_aead, refuses_two_gibibytes)
{
    /* The sizes are refused before a byte is touched. */
    uint8_t byte = 0;
    struct bytes huge = {&byte, (size_t)INT32_MAX + 1};
    struct bytes huge_sealed = {&byte, (size_t)INT32_MAX + 1 + CRYPTO_AEAD_TAG_BYTES};
    cr_assert_not(crypto_aead_seal(key, nonce, bytes_of(NULL, 0), huge, &byte));
    cr_assert_not(crypto_aead_seal(key, nonce, huge, bytes_of(NULL, 0), &byte));
    cr_assert_not(crypto_aead_open(key, nonce, bytes_of(NULL, 0), huge_sealed, &byte));
}

Test(crypto_aead, opens_in_pieces_what_was_sealed_whole)
{
    enum { SIZE = 1000 };
    static uint8_t plain[SIZE], sealed[SIZE + CRYPTO_AEAD_TAG_BYTES], out[SIZE];
    struct bytes aad = bytes_of_string("header");
    crypto_random(plain, SIZE);
    cr_assert(crypto_aead_seal(key, nonce, aad, bytes_of(plain, SIZE), sealed));
    for (size_t piece = 1; piece <= SIZE; piece = piece * 2 + 1) {
        for (int flip = 0; flip < 4; flip++) { /* nothing, text, tag, aad */
            uint8_t *at = flip == 1 ? sealed + 500 : sealed + SIZE;
            *at ^= flip == 1 || flip == 2;
            struct crypto_opening *opening =
                crypto_aead_open_begin(key, nonce, flip == 3 ? bytes_of_string("heading") : aad);
            cr_assert_not_null(opening);
            for (size_t done = 0; done < SIZE; done += piece) {
                size_t size = SIZE - done < piece ? SIZE - done : piece;
                cr_assert(crypto_opening_add(opening, bytes_of(sealed + done, size), out + done));
            }
            cr_expect_eq(crypto_opening_end(opening, sealed + SIZE), flip == 0);
            cr_expect(flip != 0 || memcmp(out, plain, SIZE) == 0);
            crypto_opening_free(opening);
            *at ^= flip == 1 || flip == 2;
        }
    }
}

Test(crypto_aead, an_opening_can_be_dropped_and_an_empty_message_opened)
{
    uint8_t tag[CRYPTO_AEAD_TAG_BYTES], byte = 0, out;
    struct crypto_opening *opening = crypto_aead_open_begin(key, nonce, bytes_of(NULL, 0));
    cr_assert(crypto_opening_add(opening, bytes_of(&byte, 1), &out));
    crypto_opening_free(opening);
    cr_assert(crypto_aead_seal(key, nonce, bytes_of(NULL, 0), bytes_of(NULL, 0), tag));
    opening = crypto_aead_open_begin(key, nonce, bytes_of(NULL, 0));
    cr_assert(crypto_opening_add(opening, bytes_of(&byte, 0), &out));
    cr_expect(crypto_opening_end(opening, tag));
    crypto_opening_free(opening);
    crypto_opening_free(NULL);
}
