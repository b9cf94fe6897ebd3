/* sieve.c: the sieve of Eratosthenes over bytes.
 *
 * Exercises the shortest loop there is: store, add, compare, branch. A fused loop end and a cheap
 * bounds check decide it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { SIEVE_LIMIT = 65536 };

static uint8_t composite[SIEVE_LIMIT];

static uint32_t count_primes(uint32_t limit)
{
    uint32_t count = 0;
    bytes_set(composite, 0, limit);
    for (uint32_t candidate = 2; candidate < limit; candidate++) {
        if (composite[candidate] == 0) {
            count++;
            for (uint32_t k = 2 * candidate; k < limit; k += candidate) {
                composite[k] = 1;
            }
        }
    }
    return count;
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum = mix(sum, count_primes(SIEVE_LIMIT - i % 16));
    }
    return sum;
}
