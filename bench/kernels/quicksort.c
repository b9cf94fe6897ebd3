/* quicksort.c: Hoare's quicksort of 32-bit integers, insertion sort below a dozen.
 *
 * Exercises load, compare, branch where the branch cannot be predicted, and recursion.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { COUNT = 4096, SMALL = 12 };

static int32_t numbers[COUNT];

static void insertion_sort(int32_t *begin, int32_t *end)
{
    for (int32_t *next = begin + 1; next < end; next++) {
        int32_t value = *next;
        int32_t *hole = next;
        for (; hole > begin && hole[-1] > value; hole--) {
            *hole = hole[-1];
        }
        *hole = value;
    }
}

static void sort(int32_t *begin, int32_t *end)
{
    while (end - begin > SMALL) {
        int32_t pivot = begin[(end - begin) / 2];
        int32_t *left = begin, *right = end - 1;
        while (left <= right) {
            while (*left < pivot) {
                left++;
            }
            while (*right > pivot) {
                right--;
            }
            if (left <= right) {
                int32_t swap = *left;
                *left++ = *right;
                *right-- = swap;
            }
        }
        sort(begin, right + 1);
        begin = left;
    }
    insertion_sort(begin, end);
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 11, sum = 0;
    for (uint32_t round = 0; round < n; round++) {
        for (int i = 0; i < COUNT; i++) {
            numbers[i] = (int32_t)random_next(&seed);
        }
        sort(numbers, numbers + COUNT);
        for (int i = 0; i < COUNT; i += 64) {
            sum = mix(sum, (uint32_t)numbers[i]);
        }
    }
    return sum;
}
