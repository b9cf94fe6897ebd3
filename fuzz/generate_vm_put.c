/* generate_vm_put.c: instructions, constants, and the few sequences that everything is built of;
 * see generate_vm.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "generate_vm.h"

#include "vm/opcode.h"

#include <assert.h>

void generate_op(struct generator *g, enum opcode opcode)
{
    const struct opcode_info *info = opcode_info(opcode);
    if (info->prefix != 0) {
        generate_byte(g, info->prefix);
        generate_u32(g, info->code);
    } else {
        generate_byte(g, (uint8_t)info->code);
    }
}

void generate_indexed(struct generator *g, enum opcode opcode, uint32_t index)
{
    generate_op(g, opcode);
    generate_u32(g, index);
}

/* ---- Constants ---- */

void generate_signed(struct generator *g, int64_t value)
{
    while (value < -64 || value > 63) {
        generate_byte(g, (uint8_t)(0x80 | (value & 0x7f)));
        value >>= 7;
    }
    generate_byte(g, (uint8_t)(value & 0x7f));
}

void generate_i32(struct generator *g, int32_t value)
{
    generate_op(g, OP_I32_CONST);
    generate_signed(g, value);
}

static const int64_t integers[] = {
    0,          1,
    -1,         2,
    7,          31,
    64,         255,
    0x7f,       -128,
    0xffff,     65528,
    65535,      0x10000,
    131064,     -32768,
    INT32_MAX,  INT32_MIN,
    UINT32_MAX, INT64_MAX,
    INT64_MIN,  INT64_C(0x123456789abcdef),
    -8,         1000,
};

static const uint32_t floats[] = {
    0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
    0x7fa00001, 0xffc01234, 0x00000001, 0x4f000000, 0xcf000000, 0x4f800000, 0x5f000000,
    0xdf000000, 0x3f000000, 0x40490fdb, 0x7f7fffff, 0x42280000, 0xc2c80000,
};

static const uint64_t doubles[] = {
    0,
    0x8000000000000000,
    0x3ff0000000000000,
    0xbff0000000000000,
    0x7ff0000000000000,
    0xfff0000000000000,
    0x7ff8000000000000,
    0x7ff4000000000001,
    0xfff8000000012345,
    1,
    0x41e0000000000000,
    0xc1e0000000200000,
    0x43e0000000000000,
    0x43f0000000000000,
    0x3fe0000000000000,
    0x400921fb54442d18,
    0x7fefffffffffffff,
    0x47f0000000000000,
    0x36a0000000000000,
    0xc059000000000000,
};

static void put_bits(struct generator *g, uint64_t bits, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        generate_byte(g, (uint8_t)(bits >> (8 * i)));
    }
}

/* Of a vector: both halves are the same, but for one in four. */
static void put_lanes(struct generator *g)
{
    uint32_t kind = generate_choose(g, 3);
    uint64_t bits = kind == 0   ? (uint64_t)GENERATE_FROM(g, integers)
                    : kind == 1 ? GENERATE_FROM(g, floats) * UINT64_C(0x100000001)
                                : GENERATE_FROM(g, doubles);
    put_bits(g, bits, 8);
    put_bits(g, generate_choose(g, 4) == 3 ? (uint64_t)GENERATE_FROM(g, integers) : bits, 8);
}

void generate_constant(struct generator *g, uint8_t type)
{
    switch ((enum vm_type)type) {
    case VM_I32:
        generate_i32(g, generate_choose(g, 2) == 0 ? (int32_t)GENERATE_FROM(g, integers)
                                                   : (int32_t)generate_choose(g, 65536));
        return;
    case VM_I64:
        generate_op(g, OP_I64_CONST);
        generate_signed(g, GENERATE_FROM(g, integers));
        return;
    case VM_F32:
        generate_op(g, OP_F32_CONST);
        put_bits(g, GENERATE_FROM(g, floats), 4);
        return;
    case VM_F64:
        generate_op(g, OP_F64_CONST);
        put_bits(g, GENERATE_FROM(g, doubles), 8);
        return;
    case VM_FUNCREF:
        if (generate_choose(g, 3) > 0) {
            generate_indexed(g, OP_REF_FUNC, generate_choose(g, g->func_count));
            return;
        }
        generate_indexed(g, OP_REF_NULL, type);
        return;
    case VM_EXTERNREF:
        generate_indexed(g, OP_REF_NULL, type);
        return;
    case VM_V128:
        generate_op(g, OP_V128_CONST);
        put_lanes(g);
        return;
    }
    assert(false);
}

/* ---- Things of a type ---- */

uint8_t generate_letter_type(char letter)
{
    switch (letter) {
    case 'i':
        return VM_I32;
    case 'I':
        return VM_I64;
    case 'f':
        return VM_F32;
    case 'F':
        return VM_F64;
    case 'v':
        return VM_V128;
    default: /* an address */
        return VM_I32;
    }
}

/* The first item of the type at or after a random place; count if there is none. */
uint32_t generate_find(struct generator *g, const uint8_t *types, uint32_t count, uint8_t type)
{
    uint32_t first = generate_choose(g, count);
    for (uint32_t i = 0; i < count; i++) {
        if (types[(first + i) % count] == type) {
            return (first + i) % count;
        }
    }
    return count;
}

void generate_leaf(struct generator *g, uint8_t type)
{
    uint32_t local = generate_find(g, g->locals, g->local_count, type);
    if (local < g->local_count && generate_choose(g, 3) > 0) {
        generate_indexed(g, OP_LOCAL_GET, local);
    } else {
        generate_constant(g, type);
    }
}

/* As for a number, in each lane. */
void generate_canonical_lanes(struct generator *g, bool has_doubles)
{
    uint32_t local = generate_find(g, g->locals, g->local_count, VM_V128);
    uint64_t nan = has_doubles ? 0x7ff8000000000000 : 0x7fc000007fc00000;
    if (local == g->local_count) {
        generate_op(g, OP_DROP);
        generate_constant(g, VM_V128);
        return;
    }
    generate_indexed(g, OP_LOCAL_TEE, local);
    generate_op(g, OP_V128_CONST);
    put_bits(g, nan, 8);
    put_bits(g, nan, 8);
    generate_indexed(g, OP_LOCAL_GET, local);
    generate_indexed(g, OP_LOCAL_GET, local);
    generate_op(g, has_doubles ? OP_F64X2_EQ : OP_F32X4_EQ);
    generate_op(g, OP_V128_BITSELECT);
    generate_indexed(g, OP_LOCAL_TEE, local); /* whose bits anything may look at */
}

/* A comparison with itself chooses between the value and a plain NaN. */
void generate_canonical(struct generator *g, uint8_t type)
{
    uint32_t local = generate_find(g, g->locals, g->local_count, type);
    bool is_f32 = type == VM_F32;
    if (local == g->local_count) { /* nowhere to keep it: take a constant instead */
        generate_op(g, OP_DROP);
        generate_op(g, is_f32 ? OP_F32_CONST : OP_F64_CONST);
        put_bits(g, 0, is_f32 ? 4 : 8);
        return;
    }
    generate_indexed(g, OP_LOCAL_TEE, local);
    generate_op(g, is_f32 ? OP_F32_CONST : OP_F64_CONST);
    put_bits(g, is_f32 ? 0x7fc00000 : 0x7ff8000000000000, is_f32 ? 4 : 8);
    generate_indexed(g, OP_LOCAL_GET, local);
    generate_indexed(g, OP_LOCAL_GET, local);
    generate_op(g, is_f32 ? OP_F32_EQ : OP_F64_EQ);
    generate_op(g, OP_SELECT);
}

/* Divides by the counter, so that it traps at 0: a branch would settle what waits on the stack. */
void generate_burn(struct generator *g)
{
    generate_i32(g, 1);
    generate_indexed(g, OP_GLOBAL_GET, 0);
    generate_op(g, OP_I32_DIV_U);
    generate_op(g, OP_DROP);
    generate_indexed(g, OP_GLOBAL_GET, 0);
    generate_i32(g, 1);
    generate_op(g, OP_I32_SUB);
    generate_indexed(g, OP_GLOBAL_SET, 0);
}
