/* handler_simd.h: vectors as operands, and the bodies of what only they have: more of
 * handler_bodies.h, which includes this.
 *
 * A vector is in f0, whose lowest lane is a float for other handlers, or in two slots, which are
 * aligned for 8 bytes only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_HANDLER_SIMD_H
#define VM_HANDLER_SIMD_H

#include "vm/numeric_simd.h"

static inline __attribute__((always_inline)) v128 slots_read(const uint64_t *slots)
{
    v128 value;
    memcpy(&value, slots, sizeof value);
    return value;
}

static inline __attribute__((always_inline)) void slots_write(uint64_t *slots, v128 value)
{
    memcpy(slots, &value, sizeof value);
}

#define VALUE_R_v128 f0
#define SLOT_v128(at) slots_read(&SLOT(at))
#define SET_R_v128(at, value) f0 = (value)
#define SET_S_v128(at, value) slots_write(&SLOT(at), (value))
#define IMMEDIATE_AT_v128 CODE_IMM64
#define WIDE_v128 0

#define BODY_CONSTANT(d)                                                                           \
    {                                                                                              \
        SET_##d##_v128(CODE_D, load_v128(pc + CODE_IMM128));                                       \
        NEXT(CODE_IMM128_BYTES);                                                                   \
    }

#define BODY_SHUFFLE(body, d, a, b)                                                                \
    {                                                                                              \
        v128 lanes = load_v128(pc + CODE_IMM128);                                                  \
        SET_##d##_v128(CODE_D, body(ONE_##a(v128, CODE_A, 0), ONE_##b(v128, CODE_B, 0), lanes));   \
        NEXT(CODE_IMM128_BYTES);                                                                   \
    }

#define BODY_EXTRACT(body, to, d, a)                                                               \
    {                                                                                              \
        SET_##d##_##to(CODE_D, body(ONE_##a(v128, CODE_A, 0), pc[CODE_LANE]));                     \
        NEXT(16);                                                                                  \
    }

#define BODY_REPLACE(body, from, d, a, b)                                                          \
    {                                                                                              \
        SET_##d##_v128(CODE_D,                                                                     \
                       body(ONE_##a(v128, CODE_A, 0), ONE_##b(from, CODE_B, 0), pc[CODE_LANE]));   \
        NEXT(16);                                                                                  \
    }

#define BODY_SHIFT(body, d, a, b)                                                                  \
    {                                                                                              \
        SET_##d##_v128(CODE_D, body(ONE_##a(v128, CODE_A, 0), ONE_##b(i32, CODE_B, CODE_IMM32)));  \
        NEXT(16);                                                                                  \
    }

#define BODY_TERNARY(body, d, a, b, c)                                                             \
    {                                                                                              \
        SET_##d##_v128(CODE_D, body(ONE_##a(v128, CODE_A, 0), ONE_##b(v128, CODE_B, 0),            \
                                    ONE_##c(v128, CODE_C, 0)));                                    \
        NEXT(16);                                                                                  \
    }

/* ---- A lane in memory ---- */

#define BODY_LOAD_LANE(body, bytes, d, b, a)                                                       \
    {                                                                                              \
        uint64_t address = ADDRESS_##a;                                                            \
        CHECK(address, bytes)                                                                      \
        SET_##d##_v128(                                                                            \
            CODE_D, body(memory + address, ONE_##b(v128, CODE_LANE_B, 0), pc[CODE_LANE_NUMBER]));  \
        NEXT(CODE_LANE_BYTES);                                                                     \
    }

#define BODY_STORE_LANE(body, bytes, b, a)                                                         \
    {                                                                                              \
        uint64_t address = ADDRESS_##a;                                                            \
        CHECK(address, bytes)                                                                      \
        body(memory + address, ONE_##b(v128, CODE_LANE_B, 0), pc[CODE_LANE_NUMBER]);               \
        NEXT(CODE_LANE_BYTES);                                                                     \
    }

#define BODY_FAR_LOAD_LANE(body, bytes)                                                            \
    {                                                                                              \
        FAR_ADDRESS(S);                                                                            \
        FAR_MEMORY(bytes);                                                                         \
        SET_S_v128(CODE_D, body(at, SLOT_v128(CODE_FAR_LANE_B), pc[CODE_FAR_LANE_NUMBER]));        \
        NEXT(CODE_FAR_LANE_BYTES);                                                                 \
    }

#define BODY_FAR_STORE_LANE(body, bytes)                                                           \
    {                                                                                              \
        FAR_ADDRESS(S);                                                                            \
        FAR_MEMORY(bytes);                                                                         \
        body(at, SLOT_v128(CODE_FAR_LANE_B), pc[CODE_FAR_LANE_NUMBER]);                            \
        NEXT(CODE_FAR_LANE_BYTES);                                                                 \
    }

/* ---- What every type has ---- */

#define BODY_SELECT_V128(d, a, b, c)                                                               \
    {                                                                                              \
        uint64_t mask = -(uint64_t)(ONE_##c(i32, CODE_C, CODE_IMM64) != 0);                        \
        __asm__("" : "+r"(mask));                                                                  \
        SET_##d##_v128(CODE_D, v128_bitselect(ONE_##a(v128, CODE_A, 0), ONE_##b(v128, CODE_B, 0),  \
                                              i64x2_splat(mask)));                                 \
        NEXT(16);                                                                                  \
    }

#define GLOBAL_SLOTS machine->globals[code_u32(pc, CODE_OFFSET)]->value

#define BODY_GLOBAL_GET_V128(d)                                                                    \
    {                                                                                              \
        SET_##d##_v128(CODE_D, slots_read(GLOBAL_SLOTS));                                          \
        NEXT(16);                                                                                  \
    }

#define BODY_GLOBAL_SET_V128(a)                                                                    \
    {                                                                                              \
        slots_write(GLOBAL_SLOTS, ONE_##a(v128, CODE_A, 0));                                       \
        NEXT(16);                                                                                  \
    }

#define BODY_RETURN_V128(a)                                                                        \
    {                                                                                              \
        const uint8_t *return_pc = RETURN_PC;                                                      \
        slots_write(fp, ONE_##a(v128, CODE_A, 0));                                                 \
        machine->depth_left++;                                                                     \
        RETURN_TO(return_pc);                                                                      \
    }

#endif
