/* hash64.c: a 64-bit hash in the manner of xxHash and MurmurHash3's finaliser.
 *
 * Exercises 64-bit multiplication, rotation and exclusive or with constants that need all 64 bits,
 * in four chains that do not depend on each other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { WORDS = 1024, LANES = 4 };

static const uint64_t prime_1 = 0x9e3779b185ebca87, prime_2 = 0xc2b2ae3d27d4eb4f;
static uint64_t words[WORDS];

static uint64_t rotate_left_64(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

static uint64_t step(uint64_t lane, uint64_t word)
{
    return rotate_left_64(lane + word * prime_2, 31) * prime_1;
}

static uint64_t finish(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53;
    return hash ^ hash >> 33;
}

static uint64_t hash_words(uint64_t seed)
{
    uint64_t a = seed + prime_1, b = seed + prime_2, c = seed, d = seed - prime_1;
    for (int i = 0; i < WORDS; i += LANES) {
        a = step(a, words[i]);
        b = step(b, words[i + 1]);
        c = step(c, words[i + 2]);
        d = step(d, words[i + 3]);
    }
    return finish(rotate_left_64(a, 1) + rotate_left_64(b, 7) + rotate_left_64(c, 12) +
                  rotate_left_64(d, 18));
}

uint32_t run(uint32_t n)
{
    uint64_t hash = 0;
    for (uint64_t i = 0; i < WORDS; i++) {
        words[i] = finish(i + 1);
    }
    for (uint32_t round = 0; round < n; round++) {
        hash = hash_words(hash);
        words[round % WORDS] ^= finish(hash);
    }
    return (uint32_t)(hash ^ hash >> 32);
}
