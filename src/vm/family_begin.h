/* family_begin.h: how a family's row becomes handlers: one for each combination of operand kinds.
 * Included before families_*.def, with HANDLER(name, layout, body) defined; family_end.h undoes it.
 * The bodies are macros of handler_bodies.h, expanded only where HANDLER uses its third argument.
 *
 * The order of the combinations is what translate_emit.c computes a handler's number from:
 * destination R before S, then the pairs, then address and value kinds as listed here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define LAYOUT(format, type, d, a, b) CODE_##format, CODE_##type, CODE_##d, CODE_##a, CODE_##b

/* Pairs of operands. There is one transient register of each class, so R occurs at most once; where
 * operands may change places, register and slot come before slot and immediate. */
#define PAIRS_COMMUTES(ROW, ...)                                                                   \
    ROW(__VA_ARGS__, R, S)                                                                         \
    ROW(__VA_ARGS__, S, S)                                                                         \
    ROW(__VA_ARGS__, R, I)                                                                         \
    ROW(__VA_ARGS__, S, I)
#define PAIRS_ORDERED(ROW, ...)                                                                    \
    PAIRS_COMMUTES(ROW, __VA_ARGS__)                                                               \
    ROW(__VA_ARGS__, S, R)                                                                         \
    ROW(__VA_ARGS__, I, R)                                                                         \
    ROW(__VA_ARGS__, I, S)

#define BINARY_ROW(op, body, type, d, a, b)                                                        \
    HANDLER(op##_##d##_##a##b, LAYOUT(BINARY, type, d, a, b),                                      \
            BODY_BINARY(body, type, type, d, a, b))
#define BINARY(op, body, type, pairs)                                                              \
    PAIRS_##pairs(BINARY_ROW, op, body, type, R) PAIRS_##pairs(BINARY_ROW, op, body, type, S)

#define DIVISION_ROW(op, body, type, d, a, b)                                                      \
    HANDLER(op##_##d##_##a##b, LAYOUT(BINARY, type, d, a, b), BODY_DIVISION(body, type, d, a, b))
#define DIVISION(op, body, type, pairs)                                                            \
    PAIRS_##pairs(DIVISION_ROW, op, body, type, R) PAIRS_##pairs(DIVISION_ROW, op, body, type, S)

#define COMPARE_ROW(op, body, type, d, a, b)                                                       \
    HANDLER(op##_##d##_##a##b, LAYOUT(BINARY, type, d, a, b), BODY_BINARY(body, type, i32, d, a, b))
#define BRANCH_ROW(op, body, type, sense, name, a, b)                                              \
    HANDLER(name##_##op##_##a##b, LAYOUT(BRANCH, type, N, a, b),                                   \
            BODY_BRANCH(body, type, sense, a, b))
#define COMPARE(op, body, type, swapped, inverse)                                                  \
    PAIRS_COMMUTES(COMPARE_ROW, op, body, type, R)                                                 \
    PAIRS_COMMUTES(COMPARE_ROW, op, body, type, S)                                                 \
    PAIRS_COMMUTES(BRANCH_ROW, op, body, type, , BRANCH)
#define COMPARE_FLOAT(op, body, type, swapped)                                                     \
    PAIRS_COMMUTES(COMPARE_ROW, op, body, type, R)                                                 \
    PAIRS_COMMUTES(COMPARE_ROW, op, body, type, S)                                                 \
    PAIRS_COMMUTES(BRANCH_ROW, op, body, type, , BRANCH)                                           \
    PAIRS_COMMUTES(BRANCH_ROW, op, body, type, !, BRANCH_NOT)

#define UNARY_ROW(op, body, from, to, d, a)                                                        \
    HANDLER(op##_##d##_##a, LAYOUT(UNARY, from, d, a, N), BODY_UNARY(body, from, to, d, a))
#define UNARY(op, body, from, to)                                                                  \
    UNARY_ROW(op, body, from, to, R, R)                                                            \
    UNARY_ROW(op, body, from, to, R, S)                                                            \
    UNARY_ROW(op, body, from, to, S, R)                                                            \
    UNARY_ROW(op, body, from, to, S, S)

#define TEST_ROW(op, body, type, sense, name, a)                                                   \
    HANDLER(name##_##op##_##a, LAYOUT(BRANCH, type, N, a, N), BODY_TEST(body, type, sense, a))
#define TEST(op, body, type)                                                                       \
    UNARY(op, body, type, i32)                                                                     \
    TEST_ROW(op, body, type, , BRANCH, R)                                                          \
    TEST_ROW(op, body, type, , BRANCH, S)                                                          \
    TEST_ROW(op, body, type, !, BRANCH_NOT, R)                                                     \
    TEST_ROW(op, body, type, !, BRANCH_NOT, S)

#define TRUNCATION_ROW(op, body, from, to, d, a)                                                   \
    HANDLER(op##_##d##_##a, LAYOUT(UNARY, from, d, a, N), BODY_TRUNCATION(body, from, to, d, a))
#define TRUNCATION(op, body, from, to)                                                             \
    TRUNCATION_ROW(op, body, from, to, R, R)                                                       \
    TRUNCATION_ROW(op, body, from, to, R, S)                                                       \
    TRUNCATION_ROW(op, body, from, to, S, R)                                                       \
    TRUNCATION_ROW(op, body, from, to, S, S)

#define ADDRESSES(ROW, ...)                                                                        \
    ROW(__VA_ARGS__, R)                                                                            \
    ROW(__VA_ARGS__, S)                                                                            \
    ROW(__VA_ARGS__, I)                                                                            \
    ROW(__VA_ARGS__, SS)                                                                           \
    ROW(__VA_ARGS__, SI)

#define LOAD_ROW(op, body, type, bytes, d, a)                                                      \
    HANDLER(op##_##d##_##a, LAYOUT(LOAD, type, d, a, N), BODY_LOAD(body, type, bytes, d, a))
#define LOAD(op, body, type, bytes)                                                                \
    ADDRESSES(LOAD_ROW, op, body, type, bytes, R) ADDRESSES(LOAD_ROW, op, body, type, bytes, S)

#define STORE_ROW(op, body, type, bytes, v, a)                                                     \
    HANDLER(op##_##v##_##a, LAYOUT(STORE, type, v, a, N), BODY_STORE(body, type, bytes, v, a))
#define STORE(op, body, type, bytes)                                                               \
    ADDRESSES(STORE_ROW, op, body, type, bytes, R)                                                 \
    ADDRESSES(STORE_ROW, op, body, type, bytes, S)                                                 \
    ADDRESSES(STORE_ROW, op, body, type, bytes, I)
