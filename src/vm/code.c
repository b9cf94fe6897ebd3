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

/* ---- Shapes: their lists as tables ---- */

#define PAIR_NUMBER(shape, a, b) PAIR_##shape##_##a##b,
#define PAIR_PLACE(shape, a, b) [CODE_##a][CODE_##b] = PAIR_##shape##_##a##b + 1,
#define KIND_NUMBER(shape, a) KIND_##shape##_##a,
#define KIND_PLACE(shape, a) [CODE_##a] = KIND_##shape##_##a + 1,
#define ADDRESS_NUMBER(shape, a) ADDRESS_##shape##_##a,
#define ADDRESS_PLACE(shape, a) [CODE_ADDRESS_##a] = ADDRESS_##shape##_##a + 1,
#define SHAPE_NUMBERS(list, number) enum { list(number, list) list##_COUNT };
#define SHAPE_TABLE(list, row)                                                                     \
    {                                                                                              \
        .count = list##_COUNT, .place = { list(row, list) }                                        \
    }

SHAPE_NUMBERS(PAIRS_COMMUTES_NONE, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_COMMUTES_P, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_COMMUTES_PQ, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_ORDERED_NONE, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_ORDERED_P, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_ORDERED_PQ, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_COMMUTES_V, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_ORDERED_V, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_ORDERED_SHIFT, PAIR_NUMBER)
SHAPE_NUMBERS(PAIRS_ORDERED_REPLACE, PAIR_NUMBER)
SHAPE_NUMBERS(KINDS_NONE, KIND_NUMBER)
SHAPE_NUMBERS(KINDS_V, KIND_NUMBER)
SHAPE_NUMBERS(KINDS_P, KIND_NUMBER)
SHAPE_NUMBERS(KINDS_PQ, KIND_NUMBER)
SHAPE_NUMBERS(VALUES_NONE, KIND_NUMBER)
SHAPE_NUMBERS(VALUES_P, KIND_NUMBER)
SHAPE_NUMBERS(VALUES_PQ, KIND_NUMBER)
SHAPE_NUMBERS(ADDRESSES_NONE, ADDRESS_NUMBER)
SHAPE_NUMBERS(ADDRESSES_PQ, ADDRESS_NUMBER)
SHAPE_NUMBERS(ADDRESSES_SCALED, ADDRESS_NUMBER)

const struct pair_shape pair_shapes[2][SHAPES] = {
    {[SHAPE_NONE] = SHAPE_TABLE(PAIRS_COMMUTES_NONE, PAIR_PLACE),
     [SHAPE_P] = SHAPE_TABLE(PAIRS_COMMUTES_P, PAIR_PLACE),
     [SHAPE_PQ] = SHAPE_TABLE(PAIRS_COMMUTES_PQ, PAIR_PLACE),
     [SHAPE_V] = SHAPE_TABLE(PAIRS_COMMUTES_V, PAIR_PLACE)},
    {[SHAPE_NONE] = SHAPE_TABLE(PAIRS_ORDERED_NONE, PAIR_PLACE),
     [SHAPE_P] = SHAPE_TABLE(PAIRS_ORDERED_P, PAIR_PLACE),
     [SHAPE_PQ] = SHAPE_TABLE(PAIRS_ORDERED_PQ, PAIR_PLACE),
     [SHAPE_V] = SHAPE_TABLE(PAIRS_ORDERED_V, PAIR_PLACE),
     [SHAPE_SHIFT] = SHAPE_TABLE(PAIRS_ORDERED_SHIFT, PAIR_PLACE),
     [SHAPE_REPLACE] = SHAPE_TABLE(PAIRS_ORDERED_REPLACE, PAIR_PLACE)},
};
const struct kind_shape kind_shapes[SHAPES] = {
    [SHAPE_NONE] = SHAPE_TABLE(KINDS_NONE, KIND_PLACE),
    [SHAPE_P] = SHAPE_TABLE(KINDS_P, KIND_PLACE),
    [SHAPE_PQ] = SHAPE_TABLE(KINDS_PQ, KIND_PLACE),
    [SHAPE_V] = SHAPE_TABLE(KINDS_V, KIND_PLACE),
    [SHAPE_SHIFT] = SHAPE_TABLE(KINDS_V, KIND_PLACE),
    [SHAPE_REPLACE] = SHAPE_TABLE(KINDS_V, KIND_PLACE),
};
const struct kind_shape value_shapes[SHAPES] = {
    [SHAPE_NONE] = SHAPE_TABLE(VALUES_NONE, KIND_PLACE),
    [SHAPE_P] = SHAPE_TABLE(VALUES_P, KIND_PLACE),
    [SHAPE_PQ] = SHAPE_TABLE(VALUES_PQ, KIND_PLACE),
    [SHAPE_V] = SHAPE_TABLE(KINDS_V, KIND_PLACE),
};
const struct address_shape address_shapes[SHAPES] = {
    [SHAPE_NONE] = SHAPE_TABLE(ADDRESSES_NONE, ADDRESS_PLACE),
    [SHAPE_PQ] = SHAPE_TABLE(ADDRESSES_PQ, ADDRESS_PLACE),
    [SHAPE_SCALED] = SHAPE_TABLE(ADDRESSES_SCALED, ADDRESS_PLACE),
};

const struct code_address_row code_address_rows[CODE_ADDRESSES] = {
#define ADDRESS_ROW(name, base, index, shifted) {CODE_##base, CODE_##index, shifted},
    ADDRESS_KINDS(ADDRESS_ROW)
#undef ADDRESS_ROW
};

/* ---- Families. The first handler is named after R and the first pair, address or value kind. ----
 */

#if VM_PINS
#define FIRST_V(op, rest) HANDLER_##op##_R_R##rest
#define FIRST_S(op, rest) HANDLER_##op##_R_##rest
#define FIRST_KIND(op) HANDLER_##op##_R
#else
#define FIRST_V(op, rest) HANDLER_##op##_S_S##rest
#define FIRST_S(op, rest) HANDLER_##op##_S_##rest
#define FIRST_KIND(op) HANDLER_##op##_S
#endif
#define FIRST_PAIR_NONE(op) HANDLER_##op##_R_RS
#define FIRST_PAIR_P(op) HANDLER_##op##_R_RS
#define FIRST_PAIR_PQ(op) HANDLER_##op##_R_RS
#define FIRST_PAIR_V(op) FIRST_V(op, S)
#define FIRST_ONE_NONE(op) HANDLER_##op##_R_R
#define FIRST_ONE_P(op) HANDLER_##op##_R_R
#define FIRST_ONE_PQ(op) HANDLER_##op##_R_R
#define FIRST_ONE_V(op) FIRST_V(op, )

#define ORDERED_COMMUTES false
#define ORDERED_ORDERED true
#define BINARY(op, body, type, pairs, pinned)                                                      \
    [OP_##op] = {.family = FAMILY_BINARY,                                                          \
                 .in = CODE_##type,                                                                \
                 .out = CODE_##type,                                                               \
                 .ordered = ORDERED_##pairs,                                                       \
                 .pins = SHAPE_##pinned,                                                           \
                 .first = FIRST_PAIR_##pinned(op),                                                 \
                 .swapped = OP_##op},
#define DIVISION(op, body, type, pairs, pinned) BINARY(op, body, type, pairs, pinned)
#define COMPARE(op, body, type, pinned, other, contrary)                                           \
    [OP_##op] = {.family = FAMILY_COMPARE,                                                         \
                 .in = CODE_##type,                                                                \
                 .out = CODE_i32,                                                                  \
                 .pins = SHAPE_##pinned,                                                           \
                 .first = HANDLER_##op##_R_RS,                                                     \
                 .branch = HANDLER_BRANCH_##op##_RS,                                               \
                 .swapped = OP_##other,                                                            \
                 .inverse = OP_##contrary},
#define COMPARE_FLOAT(op, body, type, pinned, other)                                               \
    [OP_##op] = {.family = FAMILY_COMPARE,                                                         \
                 .in = CODE_##type,                                                                \
                 .out = CODE_i32,                                                                  \
                 .pins = SHAPE_##pinned,                                                           \
                 .first = HANDLER_##op##_R_RS,                                                     \
                 .branch = HANDLER_BRANCH_##op##_RS,                                               \
                 .branch_not = HANDLER_BRANCH_NOT_##op##_RS,                                       \
                 .swapped = OP_##other},
#define TEST(op, body, type, pinned)                                                               \
    [OP_##op] = {.family = FAMILY_TEST,                                                            \
                 .in = CODE_##type,                                                                \
                 .out = CODE_i32,                                                                  \
                 .pins = SHAPE_##pinned,                                                           \
                 .first = HANDLER_##op##_R_R,                                                      \
                 .branch = HANDLER_BRANCH_##op##_R,                                                \
                 .branch_not = HANDLER_BRANCH_NOT_##op##_R},
#define UNARY(op, body, from, to, pinned)                                                          \
    [OP_##op] = {.family = FAMILY_UNARY,                                                           \
                 .in = CODE_##from,                                                                \
                 .out = CODE_##to,                                                                 \
                 .pins = SHAPE_##pinned,                                                           \
                 .first = FIRST_ONE_##pinned(op)},
#define TRUNCATION(op, body, from, to, pinned) UNARY(op, body, from, to, pinned)
#define LOAD(op, body, type, bytes, pinned, shape)                                                 \
    [OP_##op] = {.family = FAMILY_LOAD,                                                            \
                 .in = CODE_i32,                                                                   \
                 .out = CODE_##type,                                                               \
                 .pins = SHAPE_##pinned,                                                           \
                 .addresses = SHAPE_##shape,                                                       \
                 .far = HANDLER_##op##_WIDE_R_R,                                                   \
                 .first = HANDLER_##op##_R_R},
#define STORE(op, body, type, bytes, pinned, shape)                                                \
    [OP_##op] = {.family = FAMILY_STORE,                                                           \
                 .in = CODE_##type,                                                                \
                 .pins = SHAPE_##pinned,                                                           \
                 .addresses = SHAPE_##shape,                                                       \
                 .far = HANDLER_##op##_WIDE_R_R,                                                   \
                 .first = HANDLER_##op##_R_R},
#define LOAD_V(op, body, bytes, shape)                                                             \
    [OP_##op] = {.family = FAMILY_LOAD,                                                            \
                 .in = CODE_i32,                                                                   \
                 .out = CODE_v128,                                                                 \
                 .pins = SHAPE_V,                                                                  \
                 .addresses = SHAPE_##shape,                                                       \
                 .first = FIRST_S(op, R),                                                          \
                 .far = HANDLER_##op##_FAR_S_S},
#define STORE_V(op, body, bytes, shape)                                                            \
    [OP_##op] = {.family = FAMILY_STORE,                                                           \
                 .in = CODE_v128,                                                                  \
                 .pins = SHAPE_V,                                                                  \
                 .addresses = SHAPE_##shape,                                                       \
                 .first = FIRST_S(op, R),                                                          \
                 .far = HANDLER_##op##_FAR_S_S},
#define LOAD_LANE(op, body, bytes)                                                                 \
    [OP_##op] = {.family = FAMILY_LOAD_LANE,                                                       \
                 .in = CODE_v128,                                                                  \
                 .out = CODE_v128,                                                                 \
                 .pins = SHAPE_V,                                                                  \
                 .first = FIRST_V(op, _R),                                                         \
                 .far = HANDLER_##op##_FAR},
#define STORE_LANE(op, body, bytes)                                                                \
    [OP_##op] = {.family = FAMILY_STORE_LANE,                                                      \
                 .in = CODE_v128,                                                                  \
                 .pins = SHAPE_V,                                                                  \
                 .first = FIRST_S(op, R),                                                          \
                 .far = HANDLER_##op##_FAR},
#define VECTORS(op, its_family, shape, number)                                                     \
    [OP_##op] = {.family = FAMILY_##its_family,                                                    \
                 .in = CODE_v128,                                                                  \
                 .out = CODE_v128,                                                                 \
                 .ordered = true,                                                                  \
                 .pins = SHAPE_##shape,                                                            \
                 .first = number},
#define CONSTANT(op) VECTORS(op, CONSTANT, V, FIRST_KIND(op))
#define SHUFFLE(op, body) VECTORS(op, SHUFFLE, V, FIRST_V(op, S))
#define TERNARY(op, body) VECTORS(op, TERNARY, V, FIRST_V(op, SS))
#define SHIFT(op, body) VECTORS(op, BINARY, SHIFT, FIRST_V(op, R))
#define REPLACE(op, body, from) VECTORS(op, BINARY, REPLACE, FIRST_V(op, R))
#define EXTRACT(op, body, to) UNARY(op, body, v128, to, NONE)

const struct family_row family_rows[OPCODE_COUNT] = {
#include "vm/families_float.def"
#include "vm/families_integer.def"
#include "vm/families_memory.def"
#include "vm/families_simd.def"
};

enum handler handler_of_word(uint64_t word)
{
    enum handler handler = 0;
    while (handler < HANDLER_COUNT && handler_word(handler) != word) {
        handler++;
    }
    return handler;
}
