/* family_begin.h: how a family's row becomes handlers: one for each combination of operand kinds.
 * Included before families_*.def, with HANDLER(name, layout, body) defined; family_end.h undoes it.
 * The bodies are macros of handler_bodies.h, expanded only where HANDLER uses its third argument.
 *
 * The shapes (shapes.h) say which combinations there are; the destination's kind changes slowest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/shapes.h"

#define LAYOUT(format, type, d, a, b) CODE_##format, CODE_##type, CODE_##d, CODE_##a, CODE_##b
#define LAYOUT_ADDRESS(format, type, d, a)                                                         \
    CODE_##format, CODE_##type, CODE_##d, CODE_ADDRESS_##a, CODE_N

/* clang-format off */
#define FUSED(first, layout, kinds, effect, on, bytes, second, body, with) \
    HANDLER(first##_THEN_##second, layout kinds, { effect on pc += (bytes); body with })

#define BINARY_ROW(op, body, type, d, a, b) \
    HANDLER(op##_##d##_##a##b, LAYOUT(BINARY, type, d, a, b), BODY_BINARY(body, type, type, d, a, b))
#define BINARY_TO(op, body, type, pairs, pins, d) PAIRS_##pairs##_##pins(BINARY_ROW, op, body, type, d)
#define BINARY(op, body, type, pairs, pins) KINDS_##pins(BINARY_TO, op, body, type, pairs, pins)

#define DIVISION_ROW(op, body, type, d, a, b) \
    HANDLER(op##_##d##_##a##b, LAYOUT(BINARY, type, d, a, b), BODY_DIVISION(body, type, d, a, b))
#define DIVISION_TO(op, body, type, pairs, pins, d) PAIRS_##pairs##_##pins(DIVISION_ROW, op, body, type, d)
#define DIVISION(op, body, type, pairs, pins) KINDS_##pins(DIVISION_TO, op, body, type, pairs, pins)

/* A comparison is mostly part of a branch: without one it knows no pins. */
#define COMPARE_ROW(op, body, type, d, a, b) \
    HANDLER(op##_##d##_##a##b, LAYOUT(BINARY, type, d, a, b), BODY_BINARY(body, type, i32, d, a, b))
#define COMPARE_TO(op, body, type, d) PAIRS_COMMUTES_NONE(COMPARE_ROW, op, body, type, d)
#define BRANCH_ROW(op, body, type, sense, name, a, b) \
    HANDLER(name##_##op##_##a##b, LAYOUT(BRANCH, type, N, a, b), BODY_BRANCH(body, type, sense, a, b))
#define COMPARE(op, body, type, pins, swapped, inverse) \
    KINDS_NONE(COMPARE_TO, op, body, type) \
    PAIRS_COMMUTES_##pins(BRANCH_ROW, op, body, type, , BRANCH)
#define COMPARE_FLOAT(op, body, type, pins, swapped) \
    KINDS_NONE(COMPARE_TO, op, body, type) \
    PAIRS_COMMUTES_##pins(BRANCH_ROW, op, body, type, , BRANCH) \
    PAIRS_COMMUTES_##pins(BRANCH_ROW, op, body, type, !, BRANCH_NOT)

#define UNARY_ROW(op, body, from, to, d, a) \
    HANDLER(op##_##d##_##a, LAYOUT(UNARY, from, d, a, N), BODY_UNARY(body, from, to, d, a))
#define UNARY_TO(op, body, from, to, pins, d) KINDS_##pins##_AGAIN(UNARY_ROW, op, body, from, to, d)
#define UNARY(op, body, from, to, pins) KINDS_##pins(UNARY_TO, op, body, from, to, pins)

#define TEST_ROW(op, body, type, sense, name, a) \
    HANDLER(name##_##op##_##a, LAYOUT(BRANCH, type, N, a, N), BODY_TEST(body, type, sense, a))
#define TEST(op, body, type, pins) \
    UNARY(op, body, type, i32, pins) \
    KINDS_##pins(TEST_ROW, op, body, type, , BRANCH) \
    KINDS_##pins(TEST_ROW, op, body, type, !, BRANCH_NOT)

#define TRUNCATION_ROW(op, body, from, to, d, a) \
    HANDLER(op##_##d##_##a, LAYOUT(UNARY, from, d, a, N), BODY_TRUNCATION(body, from, to, d, a))
#define TRUNCATION_TO(op, body, from, to, pins, d) KINDS_##pins##_AGAIN(TRUNCATION_ROW, op, body, from, to, d)
#define TRUNCATION(op, body, from, to, pins) KINDS_##pins(TRUNCATION_TO, op, body, from, to, pins)

#define LOAD_ROW(op, body, type, bytes, d, a) \
    HANDLER(op##_##d##_##a, LAYOUT_ADDRESS(LOAD, type, d, a), BODY_LOAD(body, type, bytes, d, a))
#define LOAD_TO(op, body, type, bytes, addresses, d) ADDRESSES_##addresses(LOAD_ROW, op, body, type, bytes, d)
#define LOAD(op, body, type, bytes, pins, addresses) KINDS_##pins(LOAD_TO, op, body, type, bytes, addresses)

#define STORE_ROW(op, body, type, bytes, v, a) \
    HANDLER(op##_##v##_##a, LAYOUT_ADDRESS(STORE, type, v, a), BODY_STORE(body, type, bytes, v, a))
#define STORE_OF(op, body, type, bytes, addresses, v) ADDRESSES_##addresses(STORE_ROW, op, body, type, bytes, v)
#define STORE(op, body, type, bytes, pins, addresses) VALUES_##pins(STORE_OF, op, body, type, bytes, addresses)
/* clang-format on */
