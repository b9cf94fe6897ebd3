/* test_fusions: a fused handler does exactly what its two instructions do one after the other, for
 * every row of fusions.def.
 *
 * Each pair is written as code with random fields, once with the first instruction's own handler
 * and once with the fused one, and run on the same random machine: registers, frame, memory,
 * position, gas, traps must come out the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 24,
    SLOTS = 24, /* that fields name; the frame has room for one of a callee */
    FRAME_SLOTS = 256,
    MEMORY_BYTES = 512,
    CODE_BYTES = 256,
    TARGET = 128, /* in the code: where all edges lead */
    RETURN_SLOT = SLOTS,
};

struct state {
    _Alignas(16) uint8_t code[CODE_BYTES];
    uint64_t frame[FRAME_SLOTS];
    uint8_t memory[MEMORY_BYTES];
    struct code callee;
    struct module_func func;
    struct machine machine;
};

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint32_t choose(uint32_t count)
{
    return (uint32_t)(random_bits() >> 32) % count;
}

/* An i32 address in memory as often as anything else. */
static uint64_t random_value(void)
{
    switch (choose(4)) {
    case 0:
        return random_bits();
    case 1:
        return (uint32_t)random_bits();
    case 2:
        return 0x3ff0000000000000 + (random_bits() >> 20);
    default:
        return choose(MEMORY_BYTES);
    }
}

static void put_u16(uint8_t *at, uint32_t value)
{
    memcpy(at, &(uint16_t){(uint16_t)value}, 2);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, 4);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, 8);
}

static bool is_wide(const struct handler_layout *layout)
{
    return layout->type == CODE_i64 || layout->type == CODE_f64;
}

static void put_operands(uint8_t *at, const struct handler_layout *layout)
{
    bool has_immediate = layout->a == CODE_I || layout->b == CODE_I;
    put_u16(at + CODE_D, choose(SLOTS));
    put_u16(at + CODE_A, choose(SLOTS));
    if (has_immediate && is_wide(layout)) {
        put_u64(at + CODE_IMM64, random_value());
    } else if (has_immediate) {
        put_u32(at + CODE_IMM32, (uint32_t)random_value());
    } else {
        put_u16(at + CODE_B, choose(SLOTS));
    }
}

static void put_address(uint8_t *at, const struct handler_layout *layout)
{
    const struct code_address_row *row = &code_address_rows[layout->a];
    put_u16(at + CODE_D, choose(SLOTS));
    put_u16(at + CODE_A, choose(SLOTS));
    put_u32(at + CODE_OFFSET, choose(MEMORY_BYTES / 4));
    if (row->base == CODE_I && row->index == CODE_N) {
        put_u64(at + CODE_ADDRESS, choose(MEMORY_BYTES));
    } else if (row->index == CODE_I) {
        put_u32(at + CODE_ADDRESS, choose(MEMORY_BYTES));
    } else if (row->index != CODE_N) {
        put_u16(at + CODE_ADDRESS, choose(SLOTS));
        at[CODE_SHIFT] = (uint8_t)choose(4);
        put_u32(at + CODE_ADDRESS_BASE, choose(MEMORY_BYTES));
    }
    if (layout->format == CODE_STORE && layout->d == CODE_I) {
        put_u64(at + code_instruction_bytes(layout, at) - 8, random_value());
    }
}

static void put_edge(uint8_t *rel, uint8_t *cost, uint32_t from)
{
    put_u32(rel, TARGET - from);
    put_u32(cost, choose(40));
}

/* Writes the fields; returns how long the instruction is. */
static uint32_t put_fields(struct state *state, uint32_t offset,
                           const struct handler_layout *layout)
{
    uint8_t *at = state->code + offset;
    switch ((int)layout->format) {
    case CODE_LOAD:
    case CODE_STORE:
        put_address(at, layout);
        break;
    case CODE_BRANCH:
        put_u16(at + CODE_BRANCH_A, choose(SLOTS));
        put_u16(at + CODE_BRANCH_B, choose(SLOTS));
        put_edge(at + CODE_BRANCH_REL, at + CODE_BRANCH_TAKEN, offset);
        put_u32(at + CODE_BRANCH_FALL, choose(40));
        put_u64(at + CODE_BRANCH_IMM, random_value());
        break;
    case CODE_JUMP:
        put_edge(at + CODE_JUMP_REL, at + CODE_JUMP_COST, offset);
        break;
    case CODE_TABLE:
        put_u16(at + CODE_A, choose(SLOTS));
        put_u32(at + CODE_TABLE_COUNT, 2);
        for (uint32_t i = 0; i <= 2; i++) {
            uint8_t *entry = at + CODE_TABLE_ENTRIES + (size_t)8 * i;
            put_edge(entry, entry + 4, offset);
        }
        break;
    case CODE_RETURN:
        put_u16(at + CODE_RETURN_SLOT, RETURN_SLOT);
        put_u16(at + CODE_A, choose(SLOTS));
        put_u32(at + CODE_RETURN_COUNT, 1);
        if (layout->a == CODE_I) {
            put_u64(at + CODE_IMM64, random_value());
        }
        break;
    case CODE_CALL:
        put_u64(at + CODE_CALL_TARGET, (uint64_t)(uintptr_t)&state->func);
        put_u16(at + CODE_CALL_DELTA, choose(SLOTS));
        put_u32(at + CODE_CALL_COST, choose(40));
        break;
    default:
        put_operands(at, layout);
    }
    return code_instruction_bytes(layout, at);
}

/* The state is where it will run: addresses in it are its own. */
static void set_up(struct state *state, enum handler first, enum handler second)
{
    *state = (struct state){.func.code = &state->callee};
    for (uint32_t i = 0; i < FRAME_SLOTS; i++) {
        state->frame[i] = random_value();
    }
    for (uint32_t i = 0; i < MEMORY_BYTES; i++) {
        state->memory[i] = (uint8_t)random_bits();
    }
    uint32_t middle = put_fields(state, 0, &handler_layouts[first]);
    uint32_t end = middle + put_fields(state, middle, &handler_layouts[second]);
    put_u64(state->code, handler_word(first));
    put_u64(state->code + middle, handler_word(second));
    put_u64(state->code + end, handler_word(HANDLER_STOP));
    cr_assert_lt(end, TARGET - 8);
    put_u64(state->code + TARGET, handler_word(HANDLER_STOP)); /* what precedes it is zero */
    state->frame[RETURN_SLOT] = (uint64_t)(uintptr_t)(state->code + TARGET);
    state->callee = (struct code){.start = state->code + TARGET,
                                  .frame_slots = 8,
                                  .entry_cost = choose(40),
                                  .return_slot = choose(4),
                                  .zero_count = choose(3)};
    struct machine *machine = &state->machine;
    machine->pc = state->code;
    machine->fp = state->frame;
    machine->gas = choose(3) == 0 ? choose(40) : 1000;
    machine->r0 = random_value();
    machine->r1 = random_value();
    machine->r2 = random_value();
    uint64_t floats[2] = {random_value(), random_value()};
    memcpy(&machine->f0, &floats[0], 8);
    memcpy(&machine->f1, &floats[1], 8);
    machine->memory = state->memory;
    machine->memory_bytes = MEMORY_BYTES;
    machine->bound = MEMORY_BYTES - 15;
    machine->stack_end = (uint64_t)(uintptr_t)(state->frame + FRAME_SLOTS);
    machine->depth_left = 3;
}

static bool same_float(vector_register one, vector_register other, bool is_f32)
{
    return memcmp(&one, &other, is_f32 ? 4 : 8) == 0; /* above it is nobody's */
}

static bool same(const struct state *plain, const struct state *fused, bool is_f32)
{
    const struct machine *a = &plain->machine;
    const struct machine *b = &fused->machine;
    return a->pc == b->pc && a->fp == b->fp && a->gas == b->gas && a->r0 == b->r0 &&
           a->r1 == b->r1 && a->r2 == b->r2 && same_float(a->f0, b->f0, is_f32) &&
           same_float(a->f1, b->f1, is_f32) && a->leave == b->leave && a->trap == b->trap &&
           a->edge_cost == b->edge_cost && a->depth_left == b->depth_left &&
           memcmp(plain->frame, fused->frame, sizeof plain->frame) == 0 &&
           memcmp(plain->memory, fused->memory, sizeof plain->memory) == 0;
}

/* One after the other in the same place, so that even addresses are the same. */
static void compare(enum handler first, enum handler second, enum handler fused, unsigned *trapped)
{
    static struct state state, plain;
    const char *name = handler_layouts[fused].name;
    set_up(&state, first, second);
    struct state begin = state;
    interp_run(&state.machine);
    plain = state;
    state = begin;
    put_u64(state.code, handler_word(fused));
    interp_run(&state.machine);
    cr_expect(same(&plain, &state, strstr(name, "F32_") != NULL || strstr(name, "f32_") != NULL),
              "%s", name);
    *trapped += plain.machine.leave == LEAVE_TRAP;
}

static int by_name(const void *a, const void *b)
{
    const uint16_t *one = a;
    const uint16_t *other = b;
    return strcmp(handler_layouts[*one].name, handler_layouts[*other].name);
}

static uint16_t sorted[HANDLER_COUNT];

static enum handler named(const char *name, size_t length)
{
    uint32_t low = 0;
    uint32_t high = HANDLER_COUNT;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const char *at = handler_layouts[sorted[middle]].name;
        int order = strncmp(at, name, length);
        order = order == 0 && at[length] != '\0' ? 1 : order;
        if (order == 0) {
            return sorted[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    cr_assert_fail("no handler %.*s", (int)length, name);
    return HANDLER_COUNT;
}

Test(vm_fusions, do_what_their_two_instructions_do)
{
    unsigned fusions = 0;
    unsigned trapped = 0;
    for (uint32_t i = 0; i < HANDLER_COUNT; i++) {
        sorted[i] = (uint16_t)i;
    }
    qsort(sorted, HANDLER_COUNT, sizeof sorted[0], by_name);
    for (uint32_t i = 0; i < HANDLER_COUNT; i++) {
        const char *name = handler_layouts[i].name;
        const char *then = strstr(name, "_THEN_");
        cr_expect_eq(handler_is_fused((enum handler)i), then != NULL, "%s", name);
        if (then == NULL) {
            continue;
        }
        enum handler first = named(name, (size_t)(then - name));
        enum handler second = named(then + 6, strlen(then + 6));
        cr_expect_eq(handler_fused(first, second), i, "%s", name);
        for (int round = 0; round < ROUNDS; round++) {
            compare(first, second, (enum handler)i, &trapped);
        }
        fusions++;
    }
    cr_assert(!VM_PINS || (fusions > 2000 && trapped > 1000), "%u fusions, %u traps", fusions,
              trapped);
}

Test(vm_fusions, are_only_those_that_are_listed)
{
    cr_assert_eq(handler_fused(HANDLER_JUMP, HANDLER_JUMP), HANDLER_COUNT);
    cr_assert_eq(handler_fused(HANDLER_STOP, HANDLER_RETURN), HANDLER_COUNT);
}
