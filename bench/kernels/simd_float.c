/* simd_float.c: the Mandelbrot picture of mandelbrot.c, four points at a time.
 *
 * Exercises 128-bit vectors of floats: arithmetic, comparison to a mask, selection by the mask and
 * the test whether any lane is left. Written with the compilers' own vectors, so it runs natively
 * too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

typedef float floats __attribute__((vector_size(16)));
typedef int32_t integers __attribute__((vector_size(16)));

enum { SIDE = 32, ITERATIONS = 200 };

static integers escape(floats cx, floats cy)
{
    floats x = {0}, y = {0}, xx = {0}, yy = {0};
    integers count = {0};
    for (int i = 0; i < ITERATIONS; i++) {
        integers inside = xx + yy <= 4.0f;
        if ((inside[0] | inside[1] | inside[2] | inside[3]) == 0) {
            break;
        }
        count -= inside;
        y = 2.0f * x * y + cy;
        x = xx - yy + cx;
        xx = x * x;
        yy = y * y;
    }
    return count;
}

uint32_t run(uint32_t n)
{
    static const floats lanes = {0, 1, 2, 3};
    uint32_t sum = 0;
    for (uint32_t round = 0; round < n; round++) {
        float scale = 2.5f / (float)(SIDE + round % 8);
        for (int row = 0; row < SIDE; row++) {
            for (int column = 0; column < SIDE; column += 4) {
                floats cx = ((float)column + lanes) * scale - 2.0f;
                integers count = escape(cx, ((float)row * scale - 1.25f) + (floats){0});
                sum = mix(sum, (uint32_t)(count[0] + count[1] * 3 + count[2] * 5 + count[3] * 7));
            }
        }
    }
    return sum;
}
