/* bytecode.c: an interpreter for a small stack machine, running Collatz sequences.
 *
 * Exercises what interpreted interpreters do: a br_table for each of their instructions, a stack in
 * memory, and a virtual pc that every load depends on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum op { PUSH, LOAD, STORE, ADD, MUL, SHR, AND, LESS, JUMP, JUMP_ZERO, HALT };

/* v0: the number; v1: steps so far. The comments begin with the offset, for the jumps. */
static const uint8_t program[] = {
    PUSH, 1,  LOAD, 0, LESS, JUMP_ZERO, 42,                 /*  0: while 1 < v0 */
    LOAD, 0,  PUSH, 1, AND,  JUMP_ZERO, 26,                 /*  7: if v0 & 1 */
    LOAD, 0,  PUSH, 3, MUL,  PUSH,      1,  ADD,  STORE, 0, /* 14: v0 = v0 * 3 + 1 */
    JUMP, 33,                                               /* 24 */
    LOAD, 0,  PUSH, 1, SHR,  STORE,     0,                  /* 26: else v0 = v0 >> 1 */
    LOAD, 1,  PUSH, 1, ADD,  STORE,     1,  JUMP, 0,        /* 33: v1 = v1 + 1 */
    HALT,                                                   /* 42 */
};

static uint32_t variables[2], stack[16];

static uint32_t execute(const uint8_t *code)
{
    const uint8_t *pc = code;
    uint32_t *top = stack;
    for (;;) {
        enum op op = *pc++;
        switch (op) {
        case PUSH:
            *top++ = *pc++;
            break;
        case LOAD:
            *top++ = variables[*pc++];
            break;
        case STORE:
            variables[*pc++] = *--top;
            break;
        case ADD:
            top--;
            top[-1] += top[0];
            break;
        case MUL:
            top--;
            top[-1] *= top[0];
            break;
        case SHR:
            top--;
            top[-1] >>= top[0];
            break;
        case AND:
            top--;
            top[-1] &= top[0];
            break;
        case LESS:
            top--;
            top[-1] = top[-1] < top[0];
            break;
        case JUMP:
            pc = code + *pc;
            break;
        case JUMP_ZERO:
            pc = *--top == 0 ? code + *pc : pc + 1;
            break;
        case HALT:
            return variables[1];
        }
    }
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 1; i <= n * 16; i++) {
        variables[0] = i % 1024 + 2;
        variables[1] = 0;
        sum = mix(sum, execute(program));
    }
    return sum;
}
