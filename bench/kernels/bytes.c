/* bytes.c: copying, comparing, searching and reversing bytes, each as a plain loop.
 *
 * Exercises the loops of a C library that was not written for WebAssembly: a load, perhaps a store,
 * two pointers that move, a branch.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { SIZE = 4096 };

static uint8_t text[SIZE + 1], copy[SIZE + 1];

static uint32_t length(const uint8_t *string)
{
    const uint8_t *end = string;
    while (*end != 0) {
        end++;
    }
    return (uint32_t)(end - string);
}

static int compare(const uint8_t *a, const uint8_t *b, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        if (a[i] != b[i]) {
            return a[i] - b[i];
        }
    }
    return 0;
}

static void reverse(uint8_t *begin, uint32_t size)
{
    for (uint8_t *end = begin + size - 1; begin < end; begin++, end--) {
        uint8_t swap = *begin;
        *begin = *end;
        *end = swap;
    }
}

static uint32_t count_byte(const uint8_t *bytes, uint32_t size, uint8_t wanted)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < size; i++) {
        count += bytes[i] == wanted;
    }
    return count;
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 3, sum = 0;
    for (uint32_t i = 0; i < SIZE; i++) {
        text[i] = (uint8_t)('a' + (random_next(&seed) >> 8) % 26);
    }
    text[SIZE] = 0;
    for (uint32_t round = 0; round < n; round++) {
        text[round % SIZE] = (uint8_t)('a' + round % 26);
        bytes_copy(copy, text, SIZE + 1);
        reverse(copy, length(copy));
        sum = mix(sum, (uint32_t)compare(copy, text, SIZE));
        reverse(copy, SIZE);
        sum = mix(sum, (uint32_t)compare(copy, text, SIZE));
        sum = mix(sum, count_byte(copy, SIZE, 'e'));
    }
    return sum;
}
