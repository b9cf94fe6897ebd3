/* matrix.c: the product of two matrices of doubles, the schoolbook way.
 *
 * Exercises float loads from computed addresses and multiply-add: the inner loop walks a row and a
 * column, so two addresses move at different strides.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { SIDE = 48 };

static double left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

static void prepare(void)
{
    uint32_t seed = 7;
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            left[i][j] = (int32_t)(random_next(&seed) % 2001) - 1000;
            right[i][j] = (double)(random_next(&seed) % 1000) / SIDE;
        }
    }
}

static void multiply(void)
{
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            double sum = 0;
            for (int k = 0; k < SIDE; k++) {
                sum += left[i][k] * right[k][j];
            }
            product[i][j] = sum;
        }
    }
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    prepare();
    for (uint32_t round = 0; round < n; round++) {
        multiply();
        for (int i = 0; i < SIDE; i++) {
            sum = mix(sum, (uint32_t)(int32_t)product[i][SIDE - 1 - i]);
            left[i][0] += 1;
        }
    }
    return sum;
}
