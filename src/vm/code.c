/* code.c: the tables that describe handlers and families, generated from handlers.def and the
 * families' rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/code.h"

const struct handler_layout handler_layouts[HANDLER_COUNT] = {
#define HANDLER(name, layout, body) [HANDLER_##name] = {#name, layout},
#include "vm/handlers.def"
#undef HANDLER
};

/* The first handler of a family is named after R and the first pair, address or value kind. */
#define PAIRS_COMMUTES false
#define PAIRS_ORDERED true
#define BINARY(op, body, type, pairs)                                                              \
    [OP_##op] = {.family = FAMILY_BINARY,                                                          \
                 .in = CODE_##type,                                                                \
                 .out = CODE_##type,                                                               \
                 .ordered = PAIRS_##pairs,                                                         \
                 .first = HANDLER_##op##_R_RS,                                                     \
                 .swapped = OP_##op},
#define DIVISION(op, body, type, pairs) BINARY(op, body, type, pairs)
#define COMPARE(op, body, type, other, contrary)                                                   \
    [OP_##op] = {.family = FAMILY_COMPARE,                                                         \
                 .in = CODE_##type,                                                                \
                 .out = CODE_i32,                                                                  \
                 .first = HANDLER_##op##_R_RS,                                                     \
                 .branch = HANDLER_BRANCH_##op##_RS,                                               \
                 .swapped = OP_##other,                                                            \
                 .inverse = OP_##contrary},
#define COMPARE_FLOAT(op, body, type, other)                                                       \
    [OP_##op] = {.family = FAMILY_COMPARE,                                                         \
                 .in = CODE_##type,                                                                \
                 .out = CODE_i32,                                                                  \
                 .first = HANDLER_##op##_R_RS,                                                     \
                 .branch = HANDLER_BRANCH_##op##_RS,                                               \
                 .branch_not = HANDLER_BRANCH_NOT_##op##_RS,                                       \
                 .swapped = OP_##other},
#define TEST(op, body, type)                                                                       \
    [OP_##op] = {.family = FAMILY_TEST,                                                            \
                 .in = CODE_##type,                                                                \
                 .out = CODE_i32,                                                                  \
                 .first = HANDLER_##op##_R_R,                                                      \
                 .branch = HANDLER_BRANCH_##op##_R,                                                \
                 .branch_not = HANDLER_BRANCH_NOT_##op##_R},
#define UNARY(op, body, from, to)                                                                  \
    [OP_##op] = {                                                                                  \
        .family = FAMILY_UNARY, .in = CODE_##from, .out = CODE_##to, .first = HANDLER_##op##_R_R},
#define TRUNCATION(op, body, from, to) UNARY(op, body, from, to)
#define LOAD(op, body, type, bytes)                                                                \
    [OP_##op] = {                                                                                  \
        .family = FAMILY_LOAD, .in = CODE_i32, .out = CODE_##type, .first = HANDLER_##op##_R_R},
#define STORE(op, body, type, bytes)                                                               \
    [OP_##op] = {.family = FAMILY_STORE, .in = CODE_##type, .first = HANDLER_##op##_R_R},

const struct family_row family_rows[OPCODE_COUNT] = {
#include "vm/families_float.def"
#include "vm/families_integer.def"
#include "vm/families_memory.def"
};

enum handler handler_of_word(uint64_t word)
{
    enum handler handler = 0;
    while (handler < HANDLER_COUNT && handler_word(handler) != word) {
        handler++;
    }
    return handler;
}
