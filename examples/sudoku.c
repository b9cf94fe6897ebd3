/* sudoku.c: solves a Sudoku, the square with the fewest candidates first.
 *
 *   solve(string) -> string: 81 characters, '.' or '0' for an empty square; "" if there is no
 *   solution. Traps on any other text.
 *
 * Rows, columns and boxes keep the digits they hold as bit sets. The search keeps its own stack of
 * squares, so its depth is bounded by the 81 squares and not by the machine's stack.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guest.h"

enum { SQUARES = 81, ALL_DIGITS = 0x1ff };

static char grid[SQUARES]; /* 0: empty, else 1..9 */
static uint16_t rows[9], columns[9], boxes[9];

static int box_of(int square)
{
    return square / 27 * 3 + square % 9 / 3;
}

static uint32_t candidates(int square)
{
    return ALL_DIGITS & ~(uint32_t)(rows[square / 9] | columns[square % 9] | boxes[box_of(square)]);
}

/* Puts a digit into a square, or takes it out again. */
static void toggle(int square, int digit)
{
    uint16_t bit = (uint16_t)(1 << (digit - 1));
    rows[square / 9] ^= bit;
    columns[square % 9] ^= bit;
    boxes[box_of(square)] ^= bit;
    grid[square] = grid[square] == 0 ? (char)digit : 0;
}

static void read_grid(const char *text, size_t size)
{
    if (size != SQUARES) {
        __builtin_trap();
    }
    for (int square = 0; square < SQUARES; square++) {
        char c = text[square];
        if (c >= '1' && c <= '9') {
            if ((candidates(square) & 1u << (c - '1')) == 0) {
                __builtin_trap();
            }
            toggle(square, c - '0');
        } else if (c != '.' && c != '0') {
            __builtin_trap();
        }
    }
}

/* The empty square with the fewest candidates; -1 when the grid is full. */
static int choose(void)
{
    int best = -1, best_count = 10;
    for (int square = 0; square < SQUARES; square++) {
        if (grid[square] == 0) {
            int count = __builtin_popcount(candidates(square));
            if (count < best_count) {
                best = square;
                best_count = count;
            }
        }
    }
    return best;
}

static bool search(void)
{
    struct {
        int square;
        uint32_t left; /* candidates not yet tried */
    } stack[SQUARES];
    int depth = 0;
    int square = choose();
    if (square < 0) {
        return true;
    }
    stack[0].square = square;
    stack[0].left = candidates(square);
    while (depth >= 0) {
        square = stack[depth].square;
        if (grid[square] != 0) {
            toggle(square, grid[square]);
        }
        if (stack[depth].left == 0) {
            depth--;
            continue;
        }
        int digit = __builtin_ctz(stack[depth].left) + 1;
        stack[depth].left &= stack[depth].left - 1;
        toggle(square, digit);
        square = choose();
        if (square < 0) {
            return true;
        }
        depth++;
        stack[depth].square = square;
        stack[depth].left = candidates(square);
    }
    return false;
}

EXPORT("solve") int64_t solve(const char *text, size_t size)
{
    read_grid(text, size);
    struct text out = text_new();
    if (search()) {
        for (int square = 0; square < SQUARES; square++) {
            text_char(&out, (char)('0' + grid[square]));
        }
    }
    return text_result(out);
}
