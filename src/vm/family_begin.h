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

/* Vectors. Memories that are not memory 0 with 32-bit addresses have one handler, after the others. */
#define LOAD_V_TO(op, body, bytes, addresses, d) ADDRESSES_##addresses(LOAD_ROW, op, body, v128, bytes, d)
#define LOAD_V(op, body, bytes, addresses) \
    KINDS_V(LOAD_V_TO, op, body, bytes, addresses) \
    HANDLER(op##_FAR_S_S, LAYOUT(FAR_LOAD, v128, S, S, N), BODY_FAR_LOAD(body, v128, bytes))
#define STORE_V_OF(op, body, bytes, addresses, v) ADDRESSES_##addresses(STORE_ROW, op, body, v128, bytes, v)
#define STORE_V(op, body, bytes, addresses) \
    KINDS_V(STORE_V_OF, op, body, bytes, addresses) \
    HANDLER(op##_FAR_S_S, LAYOUT(FAR_STORE, v128, S, S, N), BODY_FAR_STORE(body, v128, bytes))

#define LOAD_LANE_ROW(op, body, bytes, d, b, a) \
    HANDLER(op##_##d##_##b##_##a, LAYOUT(LOAD_LANE, v128, d, a, b), BODY_LOAD_LANE(body, bytes, d, b, a))
#define LOAD_LANE_OF(op, body, bytes, d, b) LOAD_LANE_ROW(op, body, bytes, d, b, R) LOAD_LANE_ROW(op, body, bytes, d, b, S)
#define LOAD_LANE_TO(op, body, bytes, d) KINDS_V_AGAIN(LOAD_LANE_OF, op, body, bytes, d)
#define LOAD_LANE(op, body, bytes) \
    KINDS_V(LOAD_LANE_TO, op, body, bytes) \
    HANDLER(op##_FAR, LAYOUT(FAR_LANE, v128, S, S, S), BODY_FAR_LOAD_LANE(body, bytes))
#define STORE_LANE_ROW(op, body, bytes, b, a) \
    HANDLER(op##_##b##_##a, LAYOUT(STORE_LANE, v128, N, a, b), BODY_STORE_LANE(body, bytes, b, a))
#define STORE_LANE_OF(op, body, bytes, b) STORE_LANE_ROW(op, body, bytes, b, R) STORE_LANE_ROW(op, body, bytes, b, S)
#define STORE_LANE(op, body, bytes) \
    KINDS_V(STORE_LANE_OF, op, body, bytes) \
    HANDLER(op##_FAR, LAYOUT(FAR_LANE, v128, N, S, S), BODY_FAR_STORE_LANE(body, bytes))

#define CONSTANT_ROW(op, d) HANDLER(op##_##d, LAYOUT(CONSTANT, v128, d, N, N), BODY_CONSTANT(d))
#define CONSTANT(op) KINDS_V(CONSTANT_ROW, op)
#define SHUFFLE_ROW(op, body, d, a, b) \
    HANDLER(op##_##d##_##a##b, LAYOUT(SHUFFLE, v128, d, a, b), BODY_SHUFFLE(body, d, a, b))
#define SHUFFLE_TO(op, body, d) PAIRS_ORDERED_V(SHUFFLE_ROW, op, body, d)
#define SHUFFLE(op, body) KINDS_V(SHUFFLE_TO, op, body)
#define EXTRACT_ROW(op, body, to, d, a) \
    HANDLER(op##_##d##_##a, LAYOUT(EXTRACT, to, d, a, N), BODY_EXTRACT(body, to, d, a))
#define EXTRACT_TO(op, body, to, d) KINDS_NONE_AGAIN(EXTRACT_ROW, op, body, to, d)
#define EXTRACT(op, body, to) KINDS_NONE(EXTRACT_TO, op, body, to)
#define REPLACE_ROW(op, body, from, d, a, b) \
    HANDLER(op##_##d##_##a##b, LAYOUT(REPLACE, from, d, a, b), BODY_REPLACE(body, from, d, a, b))
#define REPLACE_TO(op, body, from, d) PAIRS_ORDERED_REPLACE(REPLACE_ROW, op, body, from, d)
#define REPLACE(op, body, from) KINDS_V(REPLACE_TO, op, body, from)
#define SHIFT_ROW(op, body, d, a, b) \
    HANDLER(op##_##d##_##a##b, LAYOUT(SHIFTED, i32, d, a, b), BODY_SHIFT(body, d, a, b))
#define SHIFT_TO(op, body, d) PAIRS_ORDERED_SHIFT(SHIFT_ROW, op, body, d)
#define SHIFT(op, body) KINDS_V(SHIFT_TO, op, body)
#define TERNARY_ROW(op, body, d, a, b, c) \
    HANDLER(op##_##d##_##a##b##c, LAYOUT(TERNARY, v128, d, a, b), BODY_TERNARY(body, d, a, b, c))
#define TERNARY_TO(op, body, d) TRIPLES_V(TERNARY_ROW, op, body, d)
#define TERNARY(op, body) KINDS_V(TERNARY_TO, op, body)
/* clang-format on */
