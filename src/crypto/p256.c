/* p256.c: P-256 key pairs and their Diffie-Hellman secret (SP 800-56A; RFC 9180 section 7.1).
 *
 * Points travel as 65 bytes, SEC1 uncompressed. The public point is computed once, when the key is
 * made, because every use of the key needs it. A key is a number and a point of OpenSSL: what its
 * EVP does for a key agreement ends in the same multiplications, in constant time, but takes half
 * as long again to get there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "crypto/native.h"

#include <openssl/bn.h>

struct crypto_p256_key {
    BIGNUM *number; /* in 1..n-1 */
    uint8_t public_point[CRYPTO_P256_POINT_BYTES];
};

static bool public_point(const BIGNUM *number, uint8_t out[static CRYPTO_P256_POINT_BYTES])
{
    const EC_GROUP *group = crypto_native()->p256;
    EC_POINT *point = EC_POINT_new(group);
    bool ok = point != NULL && EC_POINT_mul(group, point, number, NULL, NULL, NULL) == 1 &&
              EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out,
                                 CRYPTO_P256_POINT_BYTES, NULL) == CRYPTO_P256_POINT_BYTES;
    EC_POINT_free(point);
    return ok;
}

/* Takes over `number`, which may be NULL. */
static struct crypto_p256_key *key_new(BIGNUM *number)
{
    struct crypto_p256_key *key = number == NULL ? NULL : HEAP_NEW(struct crypto_p256_key);
    if (key == NULL || !public_point(number, key->public_point)) {
        heap_free(key);
        BN_clear_free(number);
        (void)crypto_fail();
        return NULL;
    }
    key->number = number;
    return key;
}

static BIGNUM *number_new(void)
{
    BIGNUM *number = BN_new();
    if (number != NULL) {
        BN_set_flags(number, BN_FLG_CONSTTIME);
    }
    return number;
}

struct crypto_p256_key *crypto_p256_generate(void)
{
    const BIGNUM *order = EC_GROUP_get0_order(crypto_native()->p256);
    BIGNUM *number = number_new();
    bool ok = number != NULL;
    do {
        ok = ok && BN_priv_rand_range(number, order) == 1;
    } while (ok && BN_is_zero(number));
    if (!ok) {
        BN_clear_free(number);
        number = NULL;
    }
    return key_new(number);
}

struct crypto_p256_key *
crypto_p256_from_private(const uint8_t scalar[static CRYPTO_P256_PRIVATE_BYTES])
{
    const BIGNUM *order = EC_GROUP_get0_order(crypto_native()->p256);
    BIGNUM *number = number_new();
    if (number != NULL && (BN_bin2bn(scalar, CRYPTO_P256_PRIVATE_BYTES, number) == NULL ||
                           BN_is_zero(number) || BN_cmp(number, order) >= 0)) {
        BN_clear_free(number);
        number = NULL;
    }
    return key_new(number);
}

void crypto_p256_free(struct crypto_p256_key *key)
{
    if (key != NULL) {
        BN_clear_free(key->number);
        memory_wipe(key, sizeof *key);
        heap_free(key);
    }
}

void crypto_p256_public(const struct crypto_p256_key *key,
                        uint8_t out[static CRYPTO_P256_POINT_BYTES])
{
    for (size_t i = 0; i < CRYPTO_P256_POINT_BYTES; i++) {
        out[i] = key->public_point[i];
    }
}

/* NULL unless it is a point: coordinates below p, on the curve. With cofactor 1 that is all of SP
 * 800-56A section 5.6.2.3.3; the uncompressed form has no way to say infinity. */
static EC_POINT *point_load(const uint8_t bytes[static CRYPTO_P256_POINT_BYTES])
{
    const EC_GROUP *group = crypto_native()->p256;
    /* SEC1 also knows compressed (2, 3) and hybrid (6, 7) forms. */
    EC_POINT *point = bytes[0] == 0x04 ? EC_POINT_new(group) : NULL;
    if (point != NULL &&
        EC_POINT_oct2point(group, point, bytes, CRYPTO_P256_POINT_BYTES, NULL) != 1) {
        EC_POINT_free(point);
        point = NULL;
    }
    if (point == NULL) {
        (void)crypto_fail();
    }
    return point;
}

bool crypto_p256_point_is_valid(const uint8_t point[static CRYPTO_P256_POINT_BYTES])
{
    EC_POINT *loaded = point_load(point);
    bool is_valid = loaded != NULL;
    EC_POINT_free(loaded);
    return is_valid;
}

bool crypto_p256_ecdh(const struct crypto_p256_key *key,
                      const uint8_t peer[static CRYPTO_P256_POINT_BYTES],
                      uint8_t out[static CRYPTO_P256_SECRET_BYTES])
{
    const EC_GROUP *group = crypto_native()->p256;
    EC_POINT *other = point_load(peer);
    EC_POINT *shared = other == NULL ? NULL : EC_POINT_new(group);
    BIGNUM *x = BN_new();
    bool ok = shared != NULL && x != NULL &&
              EC_POINT_mul(group, shared, NULL, other, key->number, NULL) == 1 &&
              EC_POINT_get_affine_coordinates(group, shared, x, NULL, NULL) == 1 &&
              BN_bn2binpad(x, out, CRYPTO_P256_SECRET_BYTES) == CRYPTO_P256_SECRET_BYTES;
    BN_clear_free(x);
    EC_POINT_clear_free(shared);
    EC_POINT_free(other);
    if (!ok) {
        memory_wipe(out, CRYPTO_P256_SECRET_BYTES);
        return crypto_fail();
    }
    return true;
}
