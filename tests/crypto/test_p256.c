/* test_p256.c: P-256 keys and their shared secret, against Wycheproof and against bad points.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/vectors.h"

#include <criterion/criterion.h>
#include <string.h>

#define ORDER "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
#define ORDER_LESS_ONE "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550"
#define GENERATOR                                                                                  \
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"                           \
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"

/* SubjectPublicKeyInfo with named curve secp256r1 and an uncompressed point, up to the point. */
static const uint8_t spki_prefix[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

struct counts {
    size_t valid;
    size_t invalid;
    size_t acceptable;
    size_t other_form; /* keys that our wire format cannot even say */
};

/* Wycheproof's private numbers are unsigned or two's complement, of any length. */
static bool scalar_of(struct bytes in, uint8_t out[32])
{
    while (in.size > 0 && in.ptr[0] == 0) {
        in = bytes_of(in.ptr + 1, in.size - 1);
    }
    if (in.size > 32) {
        return false;
    }
    memset(out, 0, 32);
    memcpy(out + 32 - in.size, in.ptr, in.size);
    return true;
}

static void check_row(const json_t *row, struct bytes point, struct counts *counts)
{
    uint8_t scalar[32];
    uint8_t secret[CRYPTO_P256_SECRET_BYTES];
    long long id = json_integer_value(json_object_get(row, "tcId"));
    const char *result = vectors_text(row, "result");
    if (point.size != CRYPTO_P256_POINT_BYTES) {
        cr_assert_str_neq(result, "valid", "row %lld has a valid key of another form", id);
        counts->other_form++;
        return;
    }
    cr_assert(scalar_of(vectors_hex(row, "private"), scalar));
    struct crypto_p256_key *key = crypto_p256_from_private(scalar);
    cr_assert_not_null(key);
    bool ok = crypto_p256_ecdh(key, point.ptr, secret);
    bool matches = ok && bytes_equal(bytes_of(secret, sizeof secret), vectors_hex(row, "shared"));
    cr_assert_eq(ok, crypto_p256_point_is_valid(point.ptr), "row %lld", id);
    if (strcmp(result, "valid") == 0) {
        cr_assert(matches, "row %lld", id);
        counts->valid++;
    } else if (strcmp(result, "invalid") == 0) {
        cr_assert_not(ok, "row %lld", id);
        counts->invalid++;
    } else {
        cr_assert(!ok || matches, "row %lld", id);
        counts->acceptable++;
    }
    crypto_p256_free(key);
}

Test(crypto_p256, agrees_with_wycheproof_on_points)
{
    json_t *root = vectors_shared("wycheproof/ecdh_secp256r1_ecpoint_test.json");
    struct counts counts = {0, 0, 0, 0};
    size_t group_index, index;
    json_t *group, *row;
    json_array_foreach (json_object_get(root, "testGroups"), group_index, group) {
        json_array_foreach (json_object_get(group, "tests"), index, row) {
            struct bytes point = vectors_hex(row, "public");
            if (point.size == 33) {
                counts.other_form++; /* not applicable: compressed, some of them valid */
                continue;
            }
            check_row(row, point, &counts);
        }
    }
    json_decref(root);
    cr_assert(counts.valid > 200 && counts.invalid > 0,
              "%zu valid, %zu invalid, %zu acceptable, %zu of another form", counts.valid,
              counts.invalid, counts.acceptable, counts.other_form);
}

Test(crypto_p256, agrees_with_wycheproof_on_spki)
{
    json_t *root = vectors_shared("wycheproof/ecdh_secp256r1_test.json");
    struct counts counts = {0, 0, 0, 0};
    size_t group_index, index;
    json_t *group, *row;
    json_array_foreach (json_object_get(root, "testGroups"), group_index, group) {
        json_array_foreach (json_object_get(group, "tests"), index, row) {
            /* Not applicable: explicit parameters, other curves, BER lengths, compressed points:
             * the wire format carries bare points, so those cannot reach us. */
            struct bytes spki = vectors_hex(row, "public");
            if (spki.size != sizeof spki_prefix + CRYPTO_P256_POINT_BYTES ||
                memcmp(spki.ptr, spki_prefix, sizeof spki_prefix) != 0) {
                counts.other_form++;
                continue;
            }
            check_row(row, bytes_of(spki.ptr + sizeof spki_prefix, spki.size - sizeof spki_prefix),
                      &counts);
        }
    }
    json_decref(root);
    cr_assert(counts.valid > 200 && counts.invalid > 0,
              "%zu valid, %zu invalid, %zu acceptable, %zu of another form", counts.valid,
              counts.invalid, counts.acceptable, counts.other_form);
}

static void point_of(const char *hex, uint8_t out[CRYPTO_P256_POINT_BYTES])
{
    cr_assert(text_hex_decode(hex, strlen(hex), out, CRYPTO_P256_POINT_BYTES));
}

static void assert_refused(const uint8_t *point)
{
    uint8_t secret[CRYPTO_P256_SECRET_BYTES];
    const uint8_t zeros[CRYPTO_P256_SECRET_BYTES] = {0};
    struct crypto_p256_key *key = crypto_p256_generate();
    memset(secret, 0xee, sizeof secret);
    cr_assert_not(crypto_p256_point_is_valid(point));
    cr_assert_not(crypto_p256_ecdh(key, point, secret));
    cr_assert_arr_eq(secret, zeros, sizeof zeros);
    crypto_p256_free(key);
}

Test(crypto_p256, refuses_what_is_no_point)
{
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    point_of(GENERATOR, point);
    cr_assert(crypto_p256_point_is_valid(point));
    for (unsigned prefix = 0; prefix < 256; prefix++) {
        point[0] = (uint8_t)prefix; /* infinity, compressed, hybrid, nonsense */
        if (prefix != 4) {
            assert_refused(point);
        }
    }
    point_of(GENERATOR, point);
    point[64] ^= 1; /* off the curve */
    assert_refused(point);
    memset(point + 1, 0, 64); /* (0, 0) */
    assert_refused(point);
    memset(point + 1, 0xff, 64); /* coordinates above p */
    assert_refused(point);
}

Test(crypto_p256, refuses_coordinates_that_are_not_reduced)
{
    /* x + p is the same number mod p; a point with a small x, y^2 = x^3 - 3x + b, x = 5. */
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    point_of("04" /* x = 5 */
             "0000000000000000000000000000000000000000000000000000000000000005"
             "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc",
             point);
    cr_assert(crypto_p256_point_is_valid(point));
    point_of("04" /* x = p + 5 */
             "ffffffff00000001000000000000000000000001000000000000000000000004"
             "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc",
             point);
    assert_refused(point);
}

Test(crypto_p256, makes_keys_from_numbers_below_the_order)
{
    uint8_t scalar[32] = {0};
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    uint8_t generator[CRYPTO_P256_POINT_BYTES];
    cr_assert_null(crypto_p256_from_private(scalar));
    scalar[31] = 1;
    struct crypto_p256_key *key = crypto_p256_from_private(scalar);
    cr_assert_not_null(key);
    crypto_p256_public(key, point);
    point_of(GENERATOR, generator);
    cr_assert_arr_eq(point, generator, sizeof point);
    crypto_p256_free(key);

    cr_assert(text_hex_decode(ORDER_LESS_ONE, 64, scalar, 32));
    key = crypto_p256_from_private(scalar);
    cr_assert_not_null(key);
    crypto_p256_public(key, point);
    cr_assert_arr_eq(point, generator, 33, "minus the generator has its x");
    cr_assert(memcmp(point, generator, sizeof point) != 0);
    crypto_p256_free(key);

    cr_assert(text_hex_decode(ORDER, 64, scalar, 32));
    cr_assert_null(crypto_p256_from_private(scalar));
    memset(scalar, 0xff, sizeof scalar);
    cr_assert_null(crypto_p256_from_private(scalar));
    crypto_p256_free(NULL);
}

Test(crypto_p256, generated_keys_agree_with_each_other)
{
    uint8_t a_point[CRYPTO_P256_POINT_BYTES], b_point[CRYPTO_P256_POINT_BYTES];
    uint8_t a_secret[CRYPTO_P256_SECRET_BYTES], b_secret[CRYPTO_P256_SECRET_BYTES];
    struct crypto_p256_key *a = crypto_p256_generate();
    struct crypto_p256_key *b = crypto_p256_generate();
    crypto_p256_public(a, a_point);
    crypto_p256_public(b, b_point);
    cr_assert(memcmp(a_point, b_point, sizeof a_point) != 0);
    cr_assert(crypto_p256_point_is_valid(a_point));
    cr_assert(crypto_p256_ecdh(a, b_point, a_secret));
    cr_assert(crypto_p256_ecdh(b, a_point, b_secret));
    cr_assert_arr_eq(a_secret, b_secret, sizeof a_secret);
    crypto_p256_free(a);
    crypto_p256_free(b);
}
