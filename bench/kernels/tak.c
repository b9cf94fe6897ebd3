/* tak.c: Takeuchi's function (as in Gabriel's Lisp benchmarks, 1985).
 *
 * Exercises calls with three arguments, three of them nested in a fourth: moving values to where
 * the callee wants them, and keeping others over calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

static int32_t tak(int32_t x, int32_t y, int32_t z)
{
    return y < x ? tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y)) : z;
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum = mix(sum, (uint32_t)tak(14, 10 - (int32_t)(i & 1), 4));
    }
    return sum;
}
