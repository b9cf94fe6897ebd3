/* chacha.c: the ChaCha20 block function (RFC 8439, section 2.3), its keystream summed.
 *
 * Exercises sixteen live 32-bit values in memory: loads and stores with constant addresses, and the
 * triple add, exclusive or, rotate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { WORDS = 16, DOUBLE_ROUNDS = 10, BLOCKS = 64 };

static void quarter_round(uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b], x[d] = rotate_left(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = rotate_left(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = rotate_left(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = rotate_left(x[b] ^ x[c], 7);
}

static void block_function(uint32_t *out, const uint32_t *state)
{
    bytes_copy(out, state, WORDS * sizeof(*out));
    for (int round = 0; round < DOUBLE_ROUNDS; round++) {
        quarter_round(out, 0, 4, 8, 12);
        quarter_round(out, 1, 5, 9, 13);
        quarter_round(out, 2, 6, 10, 14);
        quarter_round(out, 3, 7, 11, 15);
        quarter_round(out, 0, 5, 10, 15);
        quarter_round(out, 1, 6, 11, 12);
        quarter_round(out, 2, 7, 8, 13);
        quarter_round(out, 3, 4, 9, 14);
    }
    for (int i = 0; i < WORDS; i++) {
        out[i] += state[i];
    }
}

uint32_t run(uint32_t n)
{
    static uint32_t state[WORDS], out[WORDS];
    static const uint32_t sigma[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        state[i] = i < 4 ? sigma[i] : i * 0x03020100;
    }
    for (uint32_t block = 0; block < n * BLOCKS; block++) {
        state[12] = block;
        block_function(out, state);
        for (int i = 0; i < WORDS; i++) {
            sum = mix(sum, out[i]);
        }
    }
    return sum;
}
