/* matrix.c: the determinant of a matrix, by Gaussian elimination with partial pivoting.
 *
 *   determinant(string) -> f64      rows on lines of their own, numbers with blanks between
 *   power(n, exponent) -> i64       top left of [[1,1],[1,0]]^exponent mod n: Fibonacci numbers
 *
 * Traps if the rows are not as many and as long as a square wants.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guest.h"

static size_t read_matrix(const char *at, const char *end, double **out)
{
    size_t count = 0, rows = 0, columns = 0;
    *out = alloc(0);
    while (at < end) {
        double value;
        if (read_f64(&at, end, &value)) {
            heap_reach((uintptr_t)(*out + count + 1));
            (*out)[count++] = value;
        } else if (*at == ' ' || *at == '\n') {
            rows += *at++ == '\n';
        } else {
            __builtin_trap();
        }
        columns = rows == 0 ? count : columns;
    }
    if (count == 0 || columns * columns != count) {
        __builtin_trap();
    }
    return columns;
}

static double magnitude(double value)
{
    return value < 0 ? -value : value;
}

/* Brings the row with the largest entry of that column to the diagonal; true if it moved. */
static bool pivot(double *matrix, size_t size, size_t column)
{
    size_t best = column;
    for (size_t row = column + 1; row < size; row++) {
        if (magnitude(matrix[row * size + column]) > magnitude(matrix[best * size + column])) {
            best = row;
        }
    }
    for (size_t index = 0; best != column && index < size; index++) {
        double swapped = matrix[best * size + index];
        matrix[best * size + index] = matrix[column * size + index];
        matrix[column * size + index] = swapped;
    }
    return best != column;
}

EXPORT("determinant") double determinant(const char *text, size_t text_size)
{
    double *matrix;
    size_t size = read_matrix(text, text + text_size, &matrix);
    double product = 1;
    for (size_t column = 0; column < size; column++) {
        product = pivot(matrix, size, column) ? -product : product;
        double diagonal = matrix[column * size + column];
        product *= diagonal;
        if (diagonal == 0) {
            return 0;
        }
        for (size_t row = column + 1; row < size; row++) {
            double factor = matrix[row * size + column] / diagonal;
            for (size_t index = column; index < size; index++) {
                matrix[row * size + index] -= factor * matrix[column * size + index];
            }
        }
    }
    return product;
}

struct square {
    uint64_t a, b, c, d;
};

static struct square multiply(struct square left, struct square right, uint64_t modulus)
{
    return (struct square){
        (left.a * right.a + left.b * right.c) % modulus,
        (left.a * right.b + left.b * right.d) % modulus,
        (left.c * right.a + left.d * right.c) % modulus,
        (left.c * right.b + left.d * right.d) % modulus,
    };
}

EXPORT("power") int64_t power(uint32_t modulus, uint64_t exponent)
{
    struct square result = {1, 0, 0, 1}, base = {1, 1, 1, 0};
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0) {
            result = multiply(result, base, modulus);
        }
        base = multiply(base, base, modulus);
    }
    return (int64_t)(result.a % modulus);
}
