/* sha256.c: SHA-256 (FIPS 180-4) inside the guest.
 *
 *   digest(bytes) -> bytes          the 32 bytes of the hash
 *   chain(bytes, count) -> bytes    the hash of the hash of …, count times
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guest.h"

enum { DIGEST_BYTES = 32, BLOCK_BYTES = 64, ROUNDS = 64 };

/* The first 32 bits of the fractions of the square and cube roots of the first primes. */
static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
static const uint32_t constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, int by)
{
    return word >> by | word << (32 - by);
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[ROUNDS], s[8];
    for (int t = 0; t < 16; t++) {
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    }
    for (int t = 16; t < ROUNDS; t++) {
        uint32_t x = w[t - 15], y = w[t - 2];
        w[t] = w[t - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[t - 7] +
               (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    for (int index = 0; index < 8; index++) {
        s[index] = state[index];
    }
    for (int t = 0; t < ROUNDS; t++) {
        uint32_t first = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                         ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[t] + w[t];
        uint32_t second = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                          ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int index = 7; index > 0; index--) {
            s[index] = s[index - 1];
        }
        s[4] += first;
        s[0] = first + second;
    }
    for (int index = 0; index < 8; index++) {
        state[index] += s[index];
    }
}

static void hash(const uint8_t *message, size_t size, uint8_t out[DIGEST_BYTES])
{
    uint32_t state[8];
    for (int index = 0; index < 8; index++) {
        state[index] = initial[index];
    }
    size_t whole = size / BLOCK_BYTES * BLOCK_BYTES;
    for (size_t offset = 0; offset < whole; offset += BLOCK_BYTES) {
        compress(state, message + offset);
    }
    uint8_t last[2 * BLOCK_BYTES] = {0};
    for (size_t index = whole; index < size; index++) {
        last[index - whole] = message[index];
    }
    last[size - whole] = 0x80;
    size_t last_size = size - whole < BLOCK_BYTES - 8 ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    for (size_t index = 0; index < 8; index++) {
        last[last_size - 1 - index] = (uint8_t)((uint64_t)size * 8 >> 8 * index);
    }
    for (size_t offset = 0; offset < last_size; offset += BLOCK_BYTES) {
        compress(state, last + offset);
    }
    for (int index = 0; index < DIGEST_BYTES; index++) {
        out[index] = (uint8_t)(state[index / 4] >> (24 - 8 * (index % 4)));
    }
}

EXPORT("chain") int64_t chain(const uint8_t *message, size_t size, uint32_t count)
{
    static uint8_t digest[DIGEST_BYTES];
    for (uint32_t done = 0; done < count; done++) {
        hash(message, size, digest);
        message = digest;
        size = DIGEST_BYTES;
    }
    return result(message, size);
}

EXPORT("digest") int64_t digest(const uint8_t *message, size_t size)
{
    return chain(message, size, 1);
}
