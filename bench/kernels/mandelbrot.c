/* mandelbrot.c: iterations of z -> z*z + c until |z| > 2, over a small picture.
 *
 * Exercises a float loop that touches no memory: a chain of multiplications and additions, whose
 * values are all locals, with a float comparison as its exit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { SIDE = 32, ITERATIONS = 200 };

static uint32_t escape(double cx, double cy)
{
    double x = 0, y = 0, xx = 0, yy = 0;
    uint32_t count = 0;
    while (count < ITERATIONS && xx + yy <= 4) {
        y = 2 * x * y + cy;
        x = xx - yy + cx;
        xx = x * x;
        yy = y * y;
        count++;
    }
    return count;
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t round = 0; round < n; round++) {
        double scale = 2.5 / (SIDE + round % 8);
        for (int row = 0; row < SIDE; row++) {
            for (int column = 0; column < SIDE; column++) {
                sum = mix(sum, escape(column * scale - 2, row * scale - 1.25));
            }
        }
    }
    return sum;
}
