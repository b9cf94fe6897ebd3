/* lz.c: an LZ77 compressor with a hash table of last positions, in the manner of LZ4, and its
 * decompressor.
 *
 * Exercises what compressors do: unaligned words put together from bytes, a table that is looked
 * up and overwritten, match loops of unforeseeable length.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { SIZE = 16384, HASH_BITS = 12, MATCH_MIN = 4, MATCH_MAX = 255 };

static uint8_t input[SIZE], packed[2 * SIZE], output[SIZE];
static uint16_t last[1 << HASH_BITS];

static uint32_t word_at(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t match_length(uint32_t from, uint32_t at)
{
    uint32_t length = 0;
    while (at + length < SIZE && length < MATCH_MAX && input[from + length] == input[at + length]) {
        length++;
    }
    return length;
}

/* Packed: a length of 0 and one byte, or a length and the distance back in two bytes. */
static uint32_t compress(void)
{
    uint8_t *out = packed;
    bytes_set(last, 0, sizeof(last));
    for (uint32_t at = 0; at < SIZE;) {
        uint32_t length = 0, from = 0;
        if (at + MATCH_MIN <= SIZE) {
            uint32_t hash = word_at(input + at) * 2654435761u >> (32 - HASH_BITS);
            from = last[hash];
            last[hash] = (uint16_t)at;
            length = from < at ? match_length(from, at) : 0;
        }
        if (length < MATCH_MIN) {
            *out++ = 0;
            *out++ = input[at++];
        } else {
            *out++ = (uint8_t)length;
            *out++ = (uint8_t)(at - from);
            *out++ = (uint8_t)((at - from) >> 8);
            at += length;
        }
    }
    return (uint32_t)(out - packed);
}

static void decompress(uint32_t packed_size)
{
    uint8_t *out = output;
    for (uint32_t i = 0; i < packed_size;) {
        uint32_t length = packed[i++];
        if (length == 0) {
            *out++ = packed[i++];
            continue;
        }
        const uint8_t *from = out - (packed[i] | (uint32_t)packed[i + 1] << 8);
        for (i += 2; length > 0; length--) {
            *out++ = *from++;
        }
    }
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 9, sum = 0;
    for (uint32_t i = 0; i < SIZE; i++) { /* words of a small language, some of them mutilated */
        uint32_t word = random_next(&seed);
        input[i] = (uint8_t)(word % 11 == 0 || i < 64 ? 'a' + word % 17 : input[i - 1 - i % 37]);
    }
    for (uint32_t round = 0; round < n; round++) {
        uint32_t size = compress();
        decompress(size);
        sum = mix(sum, size << 8 | output[round % SIZE]);
        input[round * 7 % SIZE]++;
    }
    return sum;
}
