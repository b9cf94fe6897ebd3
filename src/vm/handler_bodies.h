/* handler_bodies.h: what handlers do: one template for each family. The same text is compiled two
 * ways, as functions that tail-call each other (interp_tail.h) and as labels of one function
 * (interp_goto.c). It finds these names: pc, fp, gas, r0, r1, r2, f0, f1, memory, bound, machine;
 * and these ways out, none of which comes back: DISPATCH() runs the instruction at pc, GOTO(name)
 * goes on in another handler.
 *
 * Rules: a branch is a real jump, never a conditional move of pc, so that the processor can run
 * ahead (the asm statements in the arms keep the compiler from merging them). Nothing on a hot path
 * calls a C function. Slots hold i32 zero-extended; so does r0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_HANDLER_BODIES_H
#define VM_HANDLER_BODIES_H

#include "vm/gas.h"
#include "vm/interp.h"
#include "vm/numeric.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* ---- Operands ---- */

/* A float register holds an f32 or f64 in its lowest lane; the rest is nobody's. Said with
 * shuffles, because compilers then see that nothing has to be done. */
typedef float float_lanes __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) float lowest_f32(vector_register from)
{
    return ((float_lanes)from)[0];
}

static inline __attribute__((always_inline)) vector_register vector_of_f32(float value)
{
    float_lanes lanes = {value};
    return (vector_register)__builtin_shufflevector(lanes, lanes, 0, -1, -1, -1);
}

static inline __attribute__((always_inline)) vector_register vector_of_f64(double value)
{
    vector_register lanes = {value};
    return __builtin_shufflevector(lanes, lanes, 0, -1);
}

#define VALUE_R_i32 ((uint32_t)r0)
#define VALUE_R_i64 r0
#define VALUE_R_f32 lowest_f32(f0)
#define VALUE_R_f64 f0[0]
#define VALUE_P_i32 ((uint32_t)r1)
#define VALUE_P_i64 r1
#define VALUE_P_f32 lowest_f32(f1)
#define VALUE_P_f64 f1[0]
#define VALUE_Q_i32 ((uint32_t)r2)
#define VALUE_Q_i64 r2

#define SLOT(at) fp[code_u16(pc, at)]
#define SLOT_i32(at) ((uint32_t)SLOT(at))
#define SLOT_i64(at) SLOT(at)
#define SLOT_f32(at) f32_of_bits((uint32_t)SLOT(at))
#define SLOT_f64(at) f64_of_bits(SLOT(at))

#define IMMEDIATE_i32(at) code_u32(pc, at)
#define IMMEDIATE_i64(at) code_u64(pc, at)
#define IMMEDIATE_f32(at) f32_of_bits(code_u32(pc, at))
#define IMMEDIATE_f64(at) f64_of_bits(code_u64(pc, at))

/* Where a value goes. A pinned local is written through: register and slot always agree. */
#define SET_R_i32(at, value) r0 = (uint32_t)(value)
#define SET_R_i64(at, value) r0 = (value)
#define SET_R_f32(at, value) f0 = vector_of_f32(value)
#define SET_R_f64(at, value) f0 = vector_of_f64(value)
#define SET_S_i32(at, value) SLOT(at) = (uint32_t)(value)
#define SET_S_i64(at, value) SLOT(at) = (value)
#define SET_S_f32(at, value) SLOT(at) = f32_bits(value)
#define SET_S_f64(at, value) SLOT(at) = f64_bits(value)
#define SET_P_i32(at, value) SLOT(at) = r1 = (uint32_t)(value)
#define SET_P_i64(at, value) SLOT(at) = r1 = (value)
#define SET_Q_i32(at, value) SLOT(at) = r2 = (uint32_t)(value)
#define SET_Q_i64(at, value) SLOT(at) = r2 = (value)
#define SET_P_f32(at, value)                                                                       \
    do {                                                                                           \
        f1 = vector_of_f32(value);                                                                 \
        SLOT(at) = f32_bits(lowest_f32(f1));                                                       \
    } while (0)
#define SET_P_f64(at, value)                                                                       \
    do {                                                                                           \
        f1 = vector_of_f64(value);                                                                 \
        SLOT(at) = f64_bits(f1[0]);                                                                \
    } while (0)

/* One operand: its slot's field is `at`, its immediate's `imm`. */
#define ONE_R(type, at, imm) VALUE_R_##type
#define ONE_P(type, at, imm) VALUE_P_##type
#define ONE_Q(type, at, imm) VALUE_Q_##type
#define ONE_S(type, at, imm) SLOT_##type(at)
#define ONE_I(type, at, imm) IMMEDIATE_##type(imm)

/* A pair. The slot right of an immediate is the first field. */
#define RIGHT_OF_R(first, second) second
#define RIGHT_OF_P(first, second) second
#define RIGHT_OF_Q(first, second) second
#define RIGHT_OF_S(first, second) second
#define RIGHT_OF_I(first, second) first
#define IMMEDIATE_AT_i32 CODE_IMM32
#define IMMEDIATE_AT_i64 CODE_IMM64
#define IMMEDIATE_AT_f32 CODE_IMM32
#define IMMEDIATE_AT_f64 CODE_IMM64

#define BINARY_LEFT(type, a, b) ONE_##a(type, CODE_A, IMMEDIATE_AT_##type)
#define BINARY_RIGHT(type, a, b) ONE_##b(type, RIGHT_OF_##a(CODE_A, CODE_B), IMMEDIATE_AT_##type)
#define BRANCH_LEFT(type, a, b) ONE_##a(type, CODE_BRANCH_A, CODE_BRANCH_IMM)
#define BRANCH_RIGHT(type, a, b) ONE_##b(type, CODE_BRANCH_B, CODE_BRANCH_IMM)

/* ---- How long an instruction is ---- */

#define WIDE_i32 0
#define WIDE_i64 8
#define WIDE_f32 0
#define WIDE_f64 8
#define IS_I_R 0
#define IS_I_P 0
#define IS_I_Q 0
#define IS_I_S 0
#define IS_I_I 1
#define BINARY_BYTES(type, a, b) (16 + (IS_I_##a | IS_I_##b) * WIDE_##type)
#define BRANCH_BYTES(a, b) (24 + (IS_I_##a | IS_I_##b) * 8)

/* ---- Ways on ---- */

#define NEXT(bytes)                                                                                \
    do {                                                                                           \
        pc += (bytes);                                                                             \
        DISPATCH();                                                                                \
    } while (0)

/* Pays for the edge to pc and goes on there. WH_WITHOUT_GAS: in builds that measure what that
 * costs, and can do nothing else (docs/benchmarks.md). */
#ifdef WH_WITHOUT_GAS
#define FOLLOW(price)                                                                              \
    do {                                                                                           \
        (void)(price);                                                                             \
        DISPATCH();                                                                                \
    } while (0)
#else
#define FOLLOW(price)                                                                              \
    do {                                                                                           \
        uint32_t cost = (price);                                                                   \
        gas -= cost;                                                                               \
        if (UNLIKELY(gas < 0)) {                                                                   \
            machine->edge_cost = cost;                                                             \
            GOTO(EDGE);                                                                            \
        }                                                                                          \
        DISPATCH();                                                                                \
    } while (0)
#endif

/* After whatever may have grown memory 0 or changed the instance. */
#define RELOAD_MEMORY()                                                                            \
    do {                                                                                           \
        machine_reload_memory(machine);                                                            \
        memory = machine->memory;                                                                  \
        bound = machine->bound;                                                                    \
    } while (0)

#define TRAP_WITH(reason)                                                                          \
    do {                                                                                           \
        machine->trap = (reason);                                                                  \
        GOTO(TRAP);                                                                                \
    } while (0)

/* ---- Numeric families ---- */

/* DO_x is what an instruction does, BODY_x that and going on. */
#define DO_BINARY(body, in, out, d, a, b)                                                          \
    SET_##d##_##out(CODE_D, body(BINARY_LEFT(in, a, b), BINARY_RIGHT(in, a, b)));
#define BODY_BINARY(body, in, out, d, a, b)                                                        \
    {                                                                                              \
        DO_BINARY(body, in, out, d, a, b)                                                          \
        NEXT(BINARY_BYTES(in, a, b));                                                              \
    }

#define BODY_DIVISION(body, type, d, a, b)                                                         \
    {                                                                                              \
        enum vm_trap trap = body##_trap(BINARY_LEFT(type, a, b), BINARY_RIGHT(type, a, b));        \
        if (UNLIKELY(trap != VM_TRAP_NONE)) {                                                      \
            TRAP_WITH(trap);                                                                       \
        }                                                                                          \
        DO_BINARY(body, type, type, d, a, b)                                                       \
        NEXT(BINARY_BYTES(type, a, b));                                                            \
    }

#define DO_UNARY(body, from, to, d, a)                                                             \
    SET_##d##_##to(CODE_D, body(ONE_##a(from, CODE_A, CODE_IMM64)));
#define BODY_UNARY(body, from, to, d, a)                                                           \
    {                                                                                              \
        DO_UNARY(body, from, to, d, a)                                                             \
        NEXT(16);                                                                                  \
    }

#define BODY_TRUNCATION(body, from, to, d, a)                                                      \
    {                                                                                              \
        enum vm_trap trap = body##_trap(ONE_##a(from, CODE_A, CODE_IMM64));                        \
        if (UNLIKELY(trap != VM_TRAP_NONE)) {                                                      \
            TRAP_WITH(trap);                                                                       \
        }                                                                                          \
        DO_UNARY(body, from, to, d, a)                                                             \
        NEXT(16);                                                                                  \
    }

#define MOVE_BYTES(type, a) (16 + IS_I_##a * WIDE_##type)
#define DO_MOVE(type, d, a) SET_##d##_##type(CODE_D, ONE_##a(type, CODE_A, IMMEDIATE_AT_##type));
#define BODY_MOVE(type, d, a)                                                                      \
    {                                                                                              \
        DO_MOVE(type, d, a)                                                                        \
        NEXT(MOVE_BYTES(type, a));                                                                 \
    }

/* ---- Pinned locals ---- */

#define RELOAD_P r1 = SLOT(CODE_A)
#define RELOAD_Q r2 = SLOT(CODE_B)
#define RELOAD_F f1 = vector_of_f64(f64_of_bits(SLOT(CODE_C)))

#define BODY_PIN(reloads)                                                                          \
    {                                                                                              \
        reloads;                                                                                   \
        NEXT(16);                                                                                  \
    }

/* The registers of pinned locals are the caller's: a function that pins keeps them in its frame. */
#define BODY_PINS_SAVE                                                                             \
    {                                                                                              \
        uint64_t *save = fp + code_u16(pc, CODE_A);                                                \
        save[0] = r1;                                                                              \
        save[1] = r2;                                                                              \
        save[2] = f64_bits(f1[0]);                                                                 \
        NEXT(16);                                                                                  \
    }

#define DO_PINS_RESTORE()                                                                          \
    {                                                                                              \
        const uint64_t *saved = fp + code_u16(pc, CODE_A);                                         \
        r1 = saved[0];                                                                             \
        r2 = saved[1];                                                                             \
        f1 = vector_of_f64(f64_of_bits(saved[2]));                                                 \
    }
#define BODY_PINS_RESTORE                                                                          \
    {                                                                                              \
        DO_PINS_RESTORE()                                                                          \
        NEXT(16);                                                                                  \
    }

/* ---- Branches ---- */

#define BRANCH_ON(condition, bytes)                                                                \
    {                                                                                              \
        if (condition) {                                                                           \
            __asm__ volatile("");                                                                  \
            uint32_t taken = code_u32(pc, CODE_BRANCH_TAKEN);                                      \
            pc += code_i32(pc, CODE_BRANCH_REL);                                                   \
            FOLLOW(taken);                                                                         \
        }                                                                                          \
        __asm__ volatile("" ::: "memory");                                                         \
        uint32_t fall = code_u32(pc, CODE_BRANCH_FALL);                                            \
        pc += (bytes);                                                                             \
        FOLLOW(fall);                                                                              \
    }

#define BODY_BRANCH(body, type, sense, a, b)                                                       \
    BRANCH_ON(sense body(BRANCH_LEFT(type, a, b), BRANCH_RIGHT(type, a, b)), BRANCH_BYTES(a, b))

#define BODY_TEST(body, type, sense, a)                                                            \
    BRANCH_ON(sense body(ONE_##a(type, CODE_BRANCH_A, CODE_BRANCH_IMM)), 24)

#define BODY_JUMP()                                                                                \
    {                                                                                              \
        uint32_t taken = code_u32(pc, CODE_JUMP_COST);                                             \
        pc += code_i32(pc, CODE_JUMP_REL);                                                         \
        FOLLOW(taken);                                                                             \
    }

#define BODY_TABLE(a)                                                                              \
    {                                                                                              \
        uint32_t count = code_u32(pc, CODE_TABLE_COUNT);                                           \
        uint32_t index = ONE_##a(i32, CODE_A, CODE_IMM64);                                         \
        index = index < count ? index : count;                                                     \
        const uint8_t *entry = pc + CODE_TABLE_ENTRIES + (size_t)index * 8;                        \
        pc += code_i32(entry, 0);                                                                  \
        FOLLOW(code_u32(entry, 4));                                                                \
    }

/* ---- Memory: the effective address is a 33-bit sum, compared unsigned ---- */

/* Only a sum has to be cut to 32 bits: i32 are zero-extended wherever they are. */
#define BASE_R r0
#define BASE_P r1
#define BASE_Q r2
#define BASE_S SLOT(CODE_A)
#define INDEX_R r0
#define INDEX_P r1
#define INDEX_Q r2
#define INDEX_S SLOT(CODE_ADDRESS)
#define INDEX_I code_u32(pc, CODE_ADDRESS)
#define ADDRESS_ALONE(base) (base + code_u32(pc, CODE_OFFSET))
#define ADDRESS_SUM(base, index) ((uint64_t)(uint32_t)(base + index) + code_u32(pc, CODE_OFFSET))
#define ADDRESS_SCALED(base, index)                                                                \
    ((uint64_t)((uint32_t)base + ((uint32_t)index << (pc[CODE_SHIFT] & 31))) +                     \
     code_u32(pc, CODE_OFFSET))

#define ADDRESS_R ADDRESS_ALONE(BASE_R)
#define ADDRESS_P ADDRESS_ALONE(BASE_P)
#define ADDRESS_Q ADDRESS_ALONE(BASE_Q)
#define ADDRESS_S ADDRESS_ALONE(BASE_S)
#define ADDRESS_I code_u64(pc, CODE_ADDRESS)
#define ADDRESS_RS ADDRESS_SUM(BASE_R, INDEX_S)
#define ADDRESS_RI ADDRESS_SUM(BASE_R, INDEX_I)
#define ADDRESS_SS ADDRESS_SUM(BASE_S, INDEX_S)
#define ADDRESS_SI ADDRESS_SUM(BASE_S, INDEX_I)
#define ADDRESS_RP ADDRESS_SUM(BASE_R, INDEX_P)
#define ADDRESS_RQ ADDRESS_SUM(BASE_R, INDEX_Q)
#define ADDRESS_PS ADDRESS_SUM(BASE_P, INDEX_S)
#define ADDRESS_QS ADDRESS_SUM(BASE_Q, INDEX_S)
#define ADDRESS_PQ ADDRESS_SUM(BASE_P, INDEX_Q)
#define ADDRESS_PI ADDRESS_SUM(BASE_P, INDEX_I)
#define ADDRESS_QI ADDRESS_SUM(BASE_Q, INDEX_I)
#define ADDRESS_SLR ADDRESS_SCALED(BASE_S, INDEX_R)
#define ADDRESS_SLS ADDRESS_SCALED(BASE_S, INDEX_S)
#define ADDRESS_SLP ADDRESS_SCALED(BASE_S, INDEX_P)
#define ADDRESS_SLQ ADDRESS_SCALED(BASE_S, INDEX_Q)
#define ADDRESS_PLR ADDRESS_SCALED(BASE_P, INDEX_R)
#define ADDRESS_PLS ADDRESS_SCALED(BASE_P, INDEX_S)
#define ADDRESS_PLQ ADDRESS_SCALED(BASE_P, INDEX_Q)
#define ADDRESS_QLR ADDRESS_SCALED(BASE_Q, INDEX_R)
#define ADDRESS_QLS ADDRESS_SCALED(BASE_Q, INDEX_S)
#define ADDRESS_QLP ADDRESS_SCALED(BASE_Q, INDEX_P)
#define ADDRESS_ILR ADDRESS_SCALED(code_u32(pc, CODE_ADDRESS_BASE), INDEX_R)
#define ADDRESS_ILS ADDRESS_SCALED(code_u32(pc, CODE_ADDRESS_BASE), INDEX_S)
#define ADDRESS_ILP ADDRESS_SCALED(code_u32(pc, CODE_ADDRESS_BASE), INDEX_P)
#define ADDRESS_ILQ ADDRESS_SCALED(code_u32(pc, CODE_ADDRESS_BASE), INDEX_Q)

#define ADDRESS_BYTES_R 16
#define ADDRESS_BYTES_P 16
#define ADDRESS_BYTES_Q 16
#define ADDRESS_BYTES_S 16
#define ADDRESS_BYTES_I 24
#define ADDRESS_BYTES_RS 24
#define ADDRESS_BYTES_RI 24
#define ADDRESS_BYTES_SS 24
#define ADDRESS_BYTES_SI 24
#define ADDRESS_BYTES_RP 24
#define ADDRESS_BYTES_RQ 24
#define ADDRESS_BYTES_PS 24
#define ADDRESS_BYTES_QS 24
#define ADDRESS_BYTES_PQ 24
#define ADDRESS_BYTES_PI 24
#define ADDRESS_BYTES_QI 24
#define ADDRESS_BYTES_SLR 24
#define ADDRESS_BYTES_SLS 24
#define ADDRESS_BYTES_SLP 24
#define ADDRESS_BYTES_SLQ 24
#define ADDRESS_BYTES_PLR 24
#define ADDRESS_BYTES_PLS 24
#define ADDRESS_BYTES_PLQ 24
#define ADDRESS_BYTES_QLR 24
#define ADDRESS_BYTES_QLS 24
#define ADDRESS_BYTES_QLP 24
#define ADDRESS_BYTES_ILR 24
#define ADDRESS_BYTES_ILS 24
#define ADDRESS_BYTES_ILP 24
#define ADDRESS_BYTES_ILQ 24

/* bound is 15 less than the size: below it every access fits; from there on look closer. */
#define CHECK(address, bytes)                                                                      \
    if (UNLIKELY(address >= bound)) {                                                              \
        if (machine->memory_bytes < (bytes) || address > machine->memory_bytes - (bytes)) {        \
            TRAP_WITH(VM_TRAP_OUT_OF_BOUNDS_MEMORY);                                               \
        }                                                                                          \
    }

#define DO_LOAD(body, type, bytes, d, a)                                                           \
    {                                                                                              \
        uint64_t address = ADDRESS_##a;                                                            \
        CHECK(address, bytes)                                                                      \
        SET_##d##_##type(CODE_D, body(memory + address));                                          \
    }
#define BODY_LOAD(body, type, bytes, d, a)                                                         \
    {                                                                                              \
        DO_LOAD(body, type, bytes, d, a)                                                           \
        NEXT(ADDRESS_BYTES_##a);                                                                   \
    }

#define STORE_BYTES(v, a) (ADDRESS_BYTES_##a + IS_I_##v * 8)
#define DO_STORE(body, type, bytes, v, a)                                                          \
    {                                                                                              \
        uint64_t address = ADDRESS_##a;                                                            \
        CHECK(address, bytes)                                                                      \
        body(memory + address, ONE_##v(type, CODE_D, ADDRESS_BYTES_##a));                          \
    }
#define BODY_STORE(body, type, bytes, v, a)                                                        \
    {                                                                                              \
        DO_STORE(body, type, bytes, v, a)                                                          \
        NEXT(STORE_BYTES(v, a));                                                                   \
    }

/* ---- Select: arithmetic, not a jump. The asm hides from the compiler what the mask is made of, or
 * it would make a jump of it and sink the loads of the operands into its arms. ---- */

#define BITS_OF_i64(value) (value)
#define BITS_OF_f32(value) ((uint64_t)f32_bits(value))
#define BITS_OF_f64(value) f64_bits(value)
#define VALUE_OF_i64(bits) (bits)
#define VALUE_OF_f32(bits) f32_of_bits((uint32_t)(bits))
#define VALUE_OF_f64(bits) f64_of_bits(bits)
#define SELECT_BITS_R(type, at, imm) BITS_OF_##type(VALUE_R_##type)
#define SELECT_BITS_S(type, at, imm) SLOT(at)
#define SELECT_BITS_I(type, at, imm) code_u64(pc, imm)

#define BODY_SELECT(type, d, a, b, c)                                                              \
    {                                                                                              \
        uint64_t mask = -(uint64_t)(ONE_##c(i32, CODE_C, CODE_IMM64) != 0);                        \
        __asm__("" : "+r"(mask));                                                                  \
        uint64_t one = SELECT_BITS_##a(type, CODE_A, CODE_SELECT_IMM_A);                           \
        uint64_t other = SELECT_BITS_##b(type, CODE_B, CODE_SELECT_IMM_B);                         \
        uint64_t chosen = other ^ ((one ^ other) & mask);                                          \
        SET_##d##_##type(CODE_D, VALUE_OF_##type(chosen));                                         \
        NEXT(16 + (IS_I_##a | IS_I_##b) * 16);                                                     \
    }

/* ---- Globals ---- */

#define GLOBAL_SLOT machine->globals[code_u32(pc, CODE_OFFSET)]->value[0]

#define BODY_GLOBAL_GET(type, d)                                                                   \
    {                                                                                              \
        uint64_t bits = GLOBAL_SLOT;                                                               \
        SET_##d##_##type(CODE_D, VALUE_OF_##type(bits));                                           \
        NEXT(16);                                                                                  \
    }

#define BODY_GLOBAL_SET(type, a)                                                                   \
    {                                                                                              \
        GLOBAL_SLOT = SELECT_BITS_##a(type, CODE_A, CODE_IMM64);                                   \
        NEXT(16 + IS_I_##a * 8);                                                                   \
    }

/* ---- Calls ---- */

/* Makes the frame of `code` at fp, its arguments being there, and goes in. The loop must not become
 * a call of memset, which would spill every register. */
#define BEGIN_FRAME(code, return_pc)                                                               \
    do {                                                                                           \
        uint64_t *word = fp + (code)->return_slot;                                                 \
        const uint64_t *last = word + (code)->zero_count;                                          \
        *word = (uint64_t)(uintptr_t)(return_pc);                                                  \
        while (word != last) {                                                                     \
            *++word = 0;                                                                           \
            __asm__ volatile("" ::: "memory");                                                     \
        }                                                                                          \
        pc = (code)->start;                                                                        \
        FOLLOW((code)->entry_cost);                                                                \
    } while (0)

/* The same at `frame`, one call deeper. */
#define CALL_INTO(code, frame, return_pc)                                                          \
    do {                                                                                           \
        uint64_t *begin = (frame);                                                                 \
        __asm__("" : "+r"(begin)); /* or it would be computed twice */                             \
        uint64_t stack_wanted = (uint64_t)(uintptr_t)(begin + (code)->frame_slots);                \
        if (UNLIKELY(stack_wanted > machine->stack_end || machine->depth_left == 0)) {             \
            machine->stack_wanted = stack_wanted;                                                  \
            GOTO(STACK);                                                                           \
        }                                                                                          \
        machine->depth_left--;                                                                     \
        fp = begin;                                                                                \
        BEGIN_FRAME(code, return_pc);                                                              \
    } while (0)

#define BODY_CALL()                                                                                \
    {                                                                                              \
        const struct module_func *target =                                                         \
            (const struct module_func *)(uintptr_t)code_u64(pc, CODE_CALL_TARGET);                 \
        const struct code *callee = target->code;                                                  \
        CALL_INTO(callee, fp + code_u16(pc, CODE_CALL_DELTA), pc + CODE_CALL_BYTES);               \
    }

#define BODY_CALL_IMPORT                                                                           \
    {                                                                                              \
        machine->callee = machine->funcs[code_u32(pc, CODE_CALL_TARGET)];                          \
        GOTO(FOREIGN);                                                                             \
    }

/* Defines `func`. An i32 index is zero-extended. */
#define FIND_INDIRECT(a)                                                                           \
    const struct vm_table *table = machine->tables[code_u32(pc, CODE_CALL_TABLE)];                 \
    uint64_t index = ONE_##a(i64, CODE_CALL_A, CODE_IMM64);                                        \
    if (UNLIKELY(index >= table->count)) {                                                         \
        TRAP_WITH(VM_TRAP_UNDEFINED_ELEMENT);                                                      \
    }                                                                                              \
    const struct vm_func *func = (const struct vm_func *)(uintptr_t)table->elements[index];        \
    if (UNLIKELY(func == NULL)) {                                                                  \
        TRAP_WITH(VM_TRAP_UNINITIALIZED_ELEMENT);                                                  \
    }                                                                                              \
    if (UNLIKELY(func->type_id != machine->type_ids[code_u32(pc, CODE_CALL_TARGET)])) {            \
        TRAP_WITH(VM_TRAP_INDIRECT_CALL_TYPE_MISMATCH);                                            \
    }

#define BODY_CALL_INDIRECT(a)                                                                      \
    {                                                                                              \
        FIND_INDIRECT(a);                                                                          \
        if (UNLIKELY(func->instance != machine->instance)) {                                       \
            machine->callee = func;                                                                \
            GOTO(FOREIGN);                                                                         \
        }                                                                                          \
        const struct code *callee = func->code;                                                    \
        CALL_INTO(callee, fp + code_u16(pc, CODE_CALL_DELTA), pc + CODE_CALL_BYTES);               \
    }

/* The six bytes before the pc to return to are the call's: how far below the caller's frame lies
 * and what its next straight run costs. */
#define RETURN_TO(return_pc)                                                                       \
    do {                                                                                           \
        pc = (return_pc);                                                                          \
        fp -= code_u16(pc, CODE_CALL_DELTA - CODE_CALL_BYTES);                                     \
        FOLLOW(code_u32(pc, CODE_CALL_COST - CODE_CALL_BYTES));                                    \
    } while (0)

#define RETURN_PC (const uint8_t *)(uintptr_t)SLOT(CODE_RETURN_SLOT)

#define BODY_RETURN()                                                                              \
    {                                                                                              \
        machine->depth_left++;                                                                     \
        RETURN_TO(RETURN_PC);                                                                      \
    }

#define BODY_RETURN_ONE(type, a)                                                                   \
    {                                                                                              \
        const uint8_t *return_pc = RETURN_PC;                                                      \
        fp[0] = BITS_OF_##type(ONE_##a(type, CODE_A, CODE_IMM64));                                 \
        machine->depth_left++;                                                                     \
        RETURN_TO(return_pc);                                                                      \
    }

#define BODY_RETURN_MANY                                                                           \
    {                                                                                              \
        const uint8_t *return_pc = RETURN_PC;                                                      \
        const uint64_t *from = fp + code_u16(pc, CODE_A);                                          \
        uint32_t count = code_u32(pc, CODE_RETURN_COUNT);                                          \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            fp[i] = from[i];                                                                       \
            __asm__ volatile("" ::: "memory");                                                     \
        }                                                                                          \
        machine->depth_left++;                                                                     \
        RETURN_TO(return_pc);                                                                      \
    }

#define BODY_ENTER                                                                                 \
    {                                                                                              \
        GOTO(FOREIGN);                                                                             \
    }

/* A call that leaves the instance: of the host, or over a bridge. */
#define BODY_FOREIGN                                                                               \
    {                                                                                              \
        const struct vm_func *func = machine->callee;                                              \
        uint64_t *frame = fp + code_u16(pc, CODE_CALL_DELTA);                                      \
        uint64_t slots = machine_frame_slots(func->type) + BRIDGE_SLOTS;                           \
        slots += func->code != NULL ? func->code->frame_slots : 0;                                 \
        machine->stack_wanted = (uint64_t)(uintptr_t)frame + slots * 8;                            \
        if (machine->stack_wanted > machine->stack_end || machine->depth_left == 0) {              \
            GOTO(STACK);                                                                           \
        }                                                                                          \
        if (func->code == NULL) {                                                                  \
            GOTO(HOST);                                                                            \
        }                                                                                          \
        frame = machine_bridge(machine, frame, pc + CODE_CALL_BYTES);                              \
        RELOAD_MEMORY();                                                                           \
        CALL_INTO(func->code, frame, &machine->stubs[STUB_BRIDGE]);                                \
    }

#define BODY_BRIDGE                                                                                \
    {                                                                                              \
        const uint8_t *return_pc = machine_unbridge(machine, fp);                                  \
        RELOAD_MEMORY();                                                                           \
        RETURN_TO(return_pc);                                                                      \
    }

#define BODY_HOST                                                                                  \
    {                                                                                              \
        enum vm_trap trap = machine_call_host(machine, fp + code_u16(pc, CODE_CALL_DELTA));        \
        if (trap != VM_TRAP_NONE) {                                                                \
            TRAP_WITH(trap);                                                                       \
        }                                                                                          \
        RELOAD_MEMORY();                                                                           \
        pc += CODE_CALL_BYTES;                                                                     \
        FOLLOW(code_u32(pc, CODE_CALL_COST - CODE_CALL_BYTES));                                    \
    }

/* The call at pc found no room: make some and do it again. */
#define BODY_STACK                                                                                 \
    {                                                                                              \
        enum vm_trap trap = machine_stack_grow(machine);                                           \
        if (trap != VM_TRAP_NONE) {                                                                \
            TRAP_WITH(trap);                                                                       \
        }                                                                                          \
        DISPATCH();                                                                                \
    }

/* ---- Rare operations ---- */

#define BODY_UNREACHABLE                                                                           \
    {                                                                                              \
        TRAP_WITH(VM_TRAP_UNREACHABLE);                                                            \
    }

#define BODY_RARE(op)                                                                              \
    {                                                                                              \
        enum vm_trap trap = rare_##op(machine, pc, fp + code_u16(pc, CODE_A));                     \
        if (UNLIKELY(trap != VM_TRAP_NONE)) {                                                      \
            TRAP_WITH(trap);                                                                       \
        }                                                                                          \
        NEXT(CODE_RARE_BYTES);                                                                     \
    }

/* The gas for its size may make `gas` negative as long as the reserve covers it: the edge that
 * follows then ends the slice. An operation that is cut is paid when it begins. */
#define BODY_BULK(op)                                                                              \
    {                                                                                              \
        if (!machine->bulk.is_under_way) {                                                         \
            gas -= rare_gas_##op(fp + code_u16(pc, CODE_A));                                       \
            if (gas < 0 && gas + machine->reserve < 0) {                                           \
                GOTO(STOP);                                                                        \
            }                                                                                      \
        }                                                                                          \
        enum vm_trap trap = rare_##op(machine, pc, fp + code_u16(pc, CODE_A));                     \
        if (UNLIKELY(trap != VM_TRAP_NONE)) {                                                      \
            TRAP_WITH(trap);                                                                       \
        }                                                                                          \
        if (UNLIKELY(machine->bulk.is_under_way)) {                                                \
            GOTO(PIECE);                                                                           \
        }                                                                                          \
        RELOAD_MEMORY();                                                                           \
        uint32_t fall = code_u32(pc, CODE_RARE_COST);                                              \
        pc += CODE_RARE_BYTES;                                                                     \
        FOLLOW(fall);                                                                              \
    }

/* ---- Leaving ---- */

#if VM_PINS
#define LEAVE_PINS machine->r1 = r1, machine->r2 = r2, machine->f1 = f1
#else
#define LEAVE_PINS (void)0
#endif

#define BODY_LEAVE(reason)                                                                         \
    {                                                                                              \
        machine->pc = pc;                                                                          \
        machine->fp = fp;                                                                          \
        machine->gas = gas;                                                                        \
        machine->r0 = r0;                                                                          \
        machine->f0 = f0;                                                                          \
        LEAVE_PINS;                                                                                \
        machine->leave = (reason);                                                                 \
        LEAVE();                                                                                   \
    }

#include "vm/handler_far.h"
#include "vm/handler_simd.h"

#endif
