/* simd_bytes.c: text, sixteen bytes at a time: upper case, a count of words, a sum of products.
 *
 * Exercises 128-bit vectors of integers: comparisons, masks and bits of masks, shuffles, widening
 * and saturating arithmetic. Written with the intrinsics of wasm_simd128.h, so it has no native
 * counterpart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

#include <wasm_simd128.h>

enum { SIZE = 16384, LANES = 16 };

static uint8_t text[SIZE + LANES];

static v128_t is_letter(v128_t bytes)
{
    v128_t from_a =
        wasm_i8x16_sub(wasm_v128_or(bytes, wasm_i8x16_splat(0x20)), wasm_i8x16_splat('a'));
    return wasm_u8x16_lt(from_a, wasm_i8x16_splat(26));
}

/* Turns the case of every letter; returns how many words begin. */
static uint32_t turn_case(uint8_t *bytes)
{
    uint32_t words = 0, carry = 0;
    for (uint32_t i = 0; i < SIZE; i += LANES) {
        v128_t chunk = wasm_v128_load(bytes + i);
        v128_t letters = is_letter(chunk);
        uint32_t mask = wasm_i8x16_bitmask(letters);
        words += (uint32_t)__builtin_popcount(mask & ~(mask << 1 | carry));
        carry = mask >> 15;
        chunk = wasm_v128_xor(chunk, wasm_v128_and(letters, wasm_i8x16_splat(0x20)));
        wasm_v128_store(bytes + i, chunk);
    }
    return words;
}

static uint32_t weigh(const uint8_t *bytes)
{
    v128_t sum = wasm_i32x4_splat(0);
    v128_t most = wasm_i8x16_splat(0);
    for (uint32_t i = 0; i < SIZE; i += LANES) {
        v128_t chunk = wasm_v128_load(bytes + i);
        v128_t turned =
            wasm_i8x16_shuffle(chunk, chunk, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        v128_t low = wasm_i32x4_dot_i16x8(wasm_u16x8_extend_low_u8x16(chunk),
                                          wasm_u16x8_extend_low_u8x16(turned));
        v128_t high = wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extend_high_u8x16(turned));
        sum = wasm_i32x4_add(sum, wasm_i32x4_add(low, high));
        most = wasm_u8x16_max(most, wasm_u8x16_add_sat(chunk, turned));
    }
    sum = wasm_v128_xor(sum, most);
    return (uint32_t)(wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1) * 3 +
                      wasm_i32x4_extract_lane(sum, 2) * 5 + wasm_i32x4_extract_lane(sum, 3) * 7);
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 17, sum = 0;
    for (uint32_t i = 0; i < SIZE; i++) {
        uint32_t word = random_next(&seed) >> 8;
        text[i] = (uint8_t)(word % 6 == 0 ? ' ' : 'a' + word % 26);
    }
    for (uint32_t round = 0; round < n; round++) {
        sum = mix(sum, turn_case(text));
        sum = mix(sum, weigh(text));
    }
    return sum;
}
