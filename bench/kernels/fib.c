/* fib.c: Fibonacci by double recursion.
 *
 * Exercises calls and returns: a frame every few instructions, one argument, one result, and
 * nothing else that could hide what they cost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

static uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum = mix(sum, fib(20 + i % 3));
    }
    return sum;
}
