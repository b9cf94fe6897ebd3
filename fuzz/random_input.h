/* random_input.h: the input of a seed: random bytes, mostly some hundreds, so that a seed is all
 * one must remember.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_RANDOM_INPUT_H
#define FUZZ_RANDOM_INPUT_H

#include <stddef.h>
#include <stdint.h>

enum { RANDOM_INPUT_BYTES_MAX = 8192 };

static inline uint64_t random_next(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

/* Returns the size. */
static inline size_t random_input(uint8_t bytes[static RANDOM_INPUT_BYTES_MAX], uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    uint64_t choice = random_next(&state) >> 32;
    size_t size = choice % 4 == 0 ? RANDOM_INPUT_BYTES_MAX : 200 + choice / 4 % 2000;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(random_next(&state) >> 56);
    }
    return size;
}

#endif
