/* test_kdf.c: HKDF-SHA256 against Wycheproof, and its limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "crypto/crypto.h"
#include "crypto/vectors.h"

#include <criterion/criterion.h>
#include <string.h>

enum { OUT_BYTES_MAX = 255 * CRYPTO_SHA256_BYTES };

Test(crypto_kdf, agrees_with_wycheproof)
{
    json_t *root = vectors_shared("wycheproof/hkdf_sha256_test.json");
    size_t group_index, index, valid = 0, invalid = 0;
    json_t *group, *row;
    json_array_foreach (json_object_get(root, "testGroups"), group_index, group) {
        json_array_foreach (json_object_get(group, "tests"), index, row) {
            static uint8_t out[OUT_BYTES_MAX];
            uint8_t prk[CRYPTO_SHA256_BYTES];
            size_t size = (size_t)json_integer_value(json_object_get(row, "size"));
            crypto_hkdf_extract(vectors_hex(row, "salt"), vectors_hex(row, "ikm"), prk);
            bool ok =
                crypto_hkdf_expand(bytes_of(prk, sizeof prk), vectors_hex(row, "info"), out, size);
            if (strcmp(vectors_text(row, "result"), "invalid") == 0) {
                cr_assert_not(ok, "hkdf row %lld",
                              json_integer_value(json_object_get(row, "tcId")));
                invalid++;
                continue;
            }
            cr_assert(ok && bytes_equal(bytes_of(out, size), vectors_hex(row, "okm")),
                      "hkdf row %lld", json_integer_value(json_object_get(row, "tcId")));
            valid++;
        }
    }
    json_decref(root);
    cr_assert(valid > 70 && invalid > 0, "%zu valid, %zu invalid", valid, invalid);
}

Test(crypto_kdf, expands_up_to_255_blocks_and_no_further)
{
    static uint8_t out[OUT_BYTES_MAX + 1];
    uint8_t prk[CRYPTO_SHA256_BYTES] = {1};
    struct bytes key = bytes_of(prk, sizeof prk);
    cr_assert(crypto_hkdf_expand(key, bytes_of_string("x"), out, OUT_BYTES_MAX - 1));
    cr_assert(crypto_hkdf_expand(key, bytes_of_string("x"), out, OUT_BYTES_MAX));
    cr_assert_not(crypto_hkdf_expand(key, bytes_of_string("x"), out, OUT_BYTES_MAX + 1));
    cr_assert(crypto_hkdf_expand(key, bytes_of_string("x"), out, 0));
}
