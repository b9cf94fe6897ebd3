/* test_hpke.c: HPKE against the vectors of RFC 9180, and the edges they do not reach.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/crypto.h"
#include "crypto/vectors.h"

#include <criterion/criterion.h>
#include <string.h>

enum { ROW_BYTES_MAX = 256 };

static void check_encryptions(const json_t *vector, struct crypto_hpke *sender,
                              struct crypto_hpke *recipient)
{
    size_t index;
    json_t *row;
    json_t *rows = json_object_get(vector, "encryptions");
    cr_assert_eq(json_array_size(rows), 257);
    json_array_foreach (rows, index, row) {
        uint8_t out[ROW_BYTES_MAX];
        struct bytes plaintext = vectors_hex(row, "pt");
        struct bytes ciphertext = vectors_hex(row, "ct");
        struct bytes aad = vectors_hex(row, "aad");
        cr_assert(ciphertext.size <= sizeof out);
        cr_assert(crypto_hpke_seal(sender, aad, plaintext, out));
        cr_assert(bytes_equal(bytes_of(out, plaintext.size + CRYPTO_AEAD_TAG_BYTES), ciphertext),
                  "message %zu", index);
        cr_assert(crypto_hpke_open(recipient, aad, ciphertext, out));
        cr_assert(bytes_equal(bytes_of(out, plaintext.size), plaintext), "message %zu", index);
    }
}

static void check_exports(const json_t *vector, const struct crypto_hpke *hpke)
{
    size_t index;
    json_t *row;
    json_array_foreach (json_object_get(vector, "exports"), index, row) {
        uint8_t out[ROW_BYTES_MAX];
        size_t size = (size_t)json_integer_value(json_object_get(row, "L"));
        cr_assert(crypto_hpke_export(hpke, vectors_hex(row, "exporter_context"), out, size));
        cr_assert(bytes_equal(bytes_of(out, size), vectors_hex(row, "exported_value")),
                  "export %zu", index);
    }
}

static void check_vector(const json_t *vector)
{
    struct crypto_hpke sender, recipient;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    uint8_t public_point[CRYPTO_P256_POINT_BYTES];
    struct bytes info = vectors_hex(vector, "info");
    struct crypto_p256_key *recipient_key =
        crypto_p256_from_private(vectors_hex(vector, "skRm").ptr);
    struct crypto_p256_key *ephemeral = crypto_p256_from_private(vectors_hex(vector, "skEm").ptr);
    crypto_p256_public(recipient_key, public_point);
    cr_assert_arr_eq(public_point, vectors_hex(vector, "pkRm").ptr, sizeof public_point);

    cr_assert(crypto_hpke_send(&sender, public_point, info, ephemeral, enc));
    cr_assert_arr_eq(enc, vectors_hex(vector, "enc").ptr, sizeof enc);
    cr_assert(crypto_hpke_receive(&recipient, recipient_key, enc, info));
    cr_assert_arr_eq(sender.key, vectors_hex(vector, "key").ptr, sizeof sender.key);
    cr_assert_arr_eq(sender.base_nonce, vectors_hex(vector, "base_nonce").ptr,
                     sizeof sender.base_nonce);
    cr_assert_arr_eq(sender.exporter_secret, vectors_hex(vector, "exporter_secret").ptr,
                     sizeof sender.exporter_secret);
    check_encryptions(vector, &sender, &recipient);
    check_exports(vector, &sender);
    check_exports(vector, &recipient);
    crypto_hpke_release(&sender);
    crypto_hpke_release(&recipient);
    crypto_p256_free(recipient_key);
    crypto_p256_free(ephemeral);
}

Test(crypto_hpke, agrees_with_rfc_9180)
{
    json_t *root = vectors_shared("hpke-dhkem-p256-hkdf-sha256.json");
    size_t index, checked = 0;
    json_t *vector;
    json_array_foreach (root, index, vector) {
        if (json_integer_value(json_object_get(vector, "aead_id")) == CRYPTO_HPKE_AEAD) {
            check_vector(vector);
            checked++;
        }
    }
    json_decref(root);
    cr_assert_eq(checked, 1);
}

struct pair {
    struct crypto_p256_key *key;
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    struct crypto_hpke sender;
    struct crypto_hpke recipient;
};

static void pair_init(struct pair *pair)
{
    pair->key = crypto_p256_generate();
    crypto_p256_public(pair->key, pair->point);
    cr_assert(
        crypto_hpke_send(&pair->sender, pair->point, bytes_of_string("info"), NULL, pair->enc));
    cr_assert(crypto_hpke_receive(&pair->recipient, pair->key, pair->enc, bytes_of_string("info")));
}

static void pair_release(struct pair *pair)
{
    crypto_hpke_release(&pair->sender);
    crypto_hpke_release(&pair->recipient);
    crypto_p256_free(pair->key);
}

Test(crypto_hpke, makes_a_fresh_ephemeral_key_each_time)
{
    struct pair pair;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    pair_init(&pair);
    cr_assert(crypto_hpke_send(&pair.sender, pair.point, bytes_of_string("info"), NULL, enc));
    cr_assert(memcmp(enc, pair.enc, sizeof enc) != 0);
    pair_release(&pair);
}

Test(crypto_hpke, refuses_bad_points_and_wipes_the_context)
{
    struct pair pair;
    struct crypto_hpke hpke;
    static const uint8_t wiped[sizeof(struct crypto_hpke)];
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    pair_init(&pair);
    pair.enc[64] ^= 1;
    memset(&hpke, 0xee, sizeof hpke);
    cr_assert_not(crypto_hpke_receive(&hpke, pair.key, pair.enc, bytes_of_string("info")));
    cr_assert_eq(memcmp(&hpke, wiped, sizeof hpke), 0);
    pair.point[0] = 3;
    memset(&hpke, 0xee, sizeof hpke);
    cr_assert_not(crypto_hpke_send(&hpke, pair.point, bytes_of_string("info"), NULL, enc));
    cr_assert_eq(memcmp(&hpke, wiped, sizeof hpke), 0);
    pair_release(&pair);
}

Test(crypto_hpke, opens_in_order_and_only_what_was_sealed)
{
    struct pair pair;
    uint8_t first[3 + CRYPTO_AEAD_TAG_BYTES], second[3 + CRYPTO_AEAD_TAG_BYTES], out[3];
    struct bytes aad = bytes_of_string("aad");
    pair_init(&pair);
    cr_assert(crypto_hpke_seal(&pair.sender, aad, bytes_of_string("one"), first));
    cr_assert(crypto_hpke_seal(&pair.sender, aad, bytes_of_string("two"), second));
    struct bytes one = bytes_of(first, sizeof first);
    struct bytes two = bytes_of(second, sizeof second);
    cr_assert_not(crypto_hpke_open(&pair.recipient, aad, two, out));
    cr_assert_not(crypto_hpke_open(&pair.recipient, bytes_of_string("aae"), one, out));
    cr_assert_not(crypto_hpke_open(&pair.recipient, aad, bytes_of(first, sizeof first - 1), out));
    cr_assert_not(crypto_hpke_open(&pair.recipient, aad, bytes_of(first, 0), out));
    first[0] ^= 1;
    cr_assert_not(crypto_hpke_open(&pair.recipient, aad, one, out));
    first[0] ^= 1;
    cr_assert_eq(pair.recipient.sequence, 0, "a failure is no message");
    cr_assert(crypto_hpke_open(&pair.recipient, aad, one, out));
    cr_assert_not(crypto_hpke_open(&pair.recipient, aad, one, out), "no replay");
    cr_assert(crypto_hpke_open(&pair.recipient, aad, two, out));
    cr_assert_arr_eq(out, "two", 3);
    pair_release(&pair);
}

Test(crypto_hpke, another_info_is_another_context)
{
    struct pair pair;
    struct crypto_hpke other;
    uint8_t sealed[3 + CRYPTO_AEAD_TAG_BYTES], out[3];
    pair_init(&pair);
    cr_assert(crypto_hpke_receive(&other, pair.key, pair.enc, bytes_of_string("Info")));
    cr_assert(crypto_hpke_seal(&pair.sender, bytes_of(NULL, 0), bytes_of_string("one"), sealed));
    cr_assert_not(
        crypto_hpke_open(&other, bytes_of(NULL, 0), bytes_of(sealed, sizeof sealed), out));
    crypto_hpke_release(&other);
    pair_release(&pair);
}

Test(crypto_hpke, stops_before_the_sequence_wraps)
{
    struct pair pair;
    uint8_t sealed[CRYPTO_AEAD_TAG_BYTES], out[1];
    struct bytes empty = bytes_of(NULL, 0);
    pair_init(&pair);
    pair.sender.sequence = UINT64_MAX - 1;
    pair.recipient.sequence = UINT64_MAX - 1;
    cr_assert(crypto_hpke_seal(&pair.sender, empty, empty, sealed));
    cr_assert(crypto_hpke_open(&pair.recipient, empty, bytes_of(sealed, sizeof sealed), out));
    cr_assert_not(crypto_hpke_seal(&pair.sender, empty, empty, sealed));
    /* What a sender without that rule would send next does not open either. */
    uint8_t nonce[CRYPTO_AEAD_NONCE_BYTES];
    memcpy(nonce, pair.sender.base_nonce, sizeof nonce);
    for (size_t i = 4; i < sizeof nonce; i++) {
        nonce[i] ^= 0xFF;
    }
    cr_assert(crypto_aead_seal(pair.sender.key, nonce, empty, empty, sealed));
    cr_assert(
        crypto_aead_open(pair.recipient.key, nonce, empty, bytes_of(sealed, sizeof sealed), out));
    cr_assert_not(crypto_hpke_open(&pair.recipient, empty, bytes_of(sealed, sizeof sealed), out));
    pair_release(&pair);
}

Test(crypto_hpke, exports_up_to_255_blocks)
{
    static uint8_t out[65537];
    struct pair pair;
    pair_init(&pair);
    struct bytes context = bytes_of_string("x");
    cr_assert(crypto_hpke_export(&pair.sender, context, out, 0));
    cr_assert(crypto_hpke_export(&pair.sender, context, out, (size_t)255 * 32));
    cr_assert_not(crypto_hpke_export(&pair.sender, context, out, (size_t)255 * 32 + 1));
    cr_assert_not(crypto_hpke_export(&pair.sender, context, out, 65536));
    pair_release(&pair);
}

Test(crypto_response, opens_on_the_other_side_only)
{
    struct pair pair, stranger;
    uint8_t sealed[6 + CRYPTO_RESPONSE_OVERHEAD_BYTES], again[sizeof sealed], out[6];
    struct bytes aad = bytes_of_string("commitment");
    pair_init(&pair);
    pair_init(&stranger);
    cr_assert(
        crypto_response_seal(&pair.recipient, pair.enc, aad, bytes_of_string("result"), sealed));
    cr_assert(
        crypto_response_seal(&pair.recipient, pair.enc, aad, bytes_of_string("result"), again));
    cr_assert(memcmp(sealed, again, sizeof sealed) != 0, "a fresh nonce each time");
    struct bytes whole = bytes_of(sealed, sizeof sealed);
    cr_assert(crypto_response_open(&pair.sender, pair.enc, aad, whole, out));
    cr_assert_arr_eq(out, "result", 6);
    cr_assert_not(crypto_response_open(&stranger.sender, pair.enc, aad, whole, out));
    cr_assert_not(crypto_response_open(&pair.sender, stranger.enc, aad, whole, out));
    cr_assert_not(
        crypto_response_open(&pair.sender, pair.enc, bytes_of_string("other"), whole, out));
    for (size_t size = 0; size < sizeof sealed; size++) {
        cr_assert_not(
            crypto_response_open(&pair.sender, pair.enc, aad, bytes_of(sealed, size), out));
    }
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 0x80;
        cr_assert_not(crypto_response_open(&pair.sender, pair.enc, aad, whole, out));
        sealed[i] ^= 0x80;
    }
    pair_release(&pair);
    pair_release(&stranger);
}
