/* sha256.c: SHA-256 (FIPS 180-4) over a message that is the last digest, repeated.
 *
 * Exercises chains of 32-bit rotate, exclusive or and add: values that are used once, at once, and
 * want a register rather than a slot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { ROUNDS = 64, BLOCKS = 64 };

/* The first 32 bits of the fractions of the cube roots of the first primes. */
static const uint32_t constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t schedule[ROUNDS];

static void expand(const uint32_t state[8], uint32_t block)
{
    for (uint32_t t = 0; t < 16; t++) {
        schedule[t] = state[t & 7] ^ (block + t);
    }
    for (uint32_t t = 16; t < ROUNDS; t++) {
        uint32_t x = schedule[t - 15], y = schedule[t - 2];
        schedule[t] = schedule[t - 16] + (rotate_left(x, 25) ^ rotate_left(x, 14) ^ x >> 3) +
                      schedule[t - 7] + (rotate_left(y, 15) ^ rotate_left(y, 13) ^ y >> 10);
    }
}

static void compress(uint32_t state[8])
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (uint32_t t = 0; t < ROUNDS; t++) {
        uint32_t first = h + (rotate_left(e, 26) ^ rotate_left(e, 21) ^ rotate_left(e, 7)) +
                         ((e & f) ^ (~e & g)) + constants[t] + schedule[t];
        uint32_t second = (rotate_left(a, 30) ^ rotate_left(a, 19) ^ rotate_left(a, 10)) +
                          ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

uint32_t run(uint32_t n)
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (uint32_t block = 0; block < n * BLOCKS; block++) {
        expand(state, block);
        compress(state);
    }
    return state[0] ^ state[7];
}
