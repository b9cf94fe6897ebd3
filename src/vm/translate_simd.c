/* translate_simd.c: the vector instructions that are of no other family's form, and their handlers:
 * constants, shuffles, bit selection, lanes in memory. All others are binary, unary, tests, loads
 * and stores like those of numbers.
 *
 * A vector is never a constant in the picture of the stack: v128.const is an instruction that has a
 * destination.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

static uint32_t place_of(enum code_kind kind)
{
    assert(kind_shapes[SHAPE_V].place[kind] > 0);
    return kind_shapes[SHAPE_V].place[kind] - 1u;
}

static void put_slot(uint8_t *at, enum code_field field, const struct operand *operand)
{
    if (operand->kind == CODE_S) {
        emit_put_u16(at + field, operand->slot);
    }
}

/* ---- From the stack to an emission ---- */

static void finish(struct translator *t, struct emission *e)
{
    e->kind = EMISSION_SIMD;
    e->source.offset = t->source.offset;
    e->source.gas = t->source.gas;
    emit(t, e);
    stack_push_result(t, &e->d);
}

static struct operand pop_settled(struct translator *t)
{
    struct operand operand = stack_pop(t);
    operand_settle(t, &operand);
    return operand;
}

/* In memories that are not memory 0 with 32-bit addresses all operands are slots. */
static void settle_for_far(struct translator *t, const struct instruction *instruction)
{
    if (far_is_needed(t, instruction)) {
        stack_settle_top(t, 2);
    }
}

static void load_lane(struct translator *t, const struct instruction *instruction)
{
    settle_for_far(t, instruction);
    struct emission e = {.opcode = instruction->opcode,
                         .lane = instruction->lane,
                         .is_far = far_is_needed(t, instruction),
                         .offset = instruction->as.memarg.memory,
                         .c.value = instruction->as.memarg.offset};
    e.b = stack_pop(t);
    e.a = pop_settled(t);
    stack_destination(t, CODE_v128, &e.d);
    e.d.kind = e.is_far ? CODE_S : e.d.kind;
    finish(t, &e);
}

static void put_lane(uint8_t *at, const struct emission *e)
{
    put_slot(at, CODE_A, &e->a);
    if (e->is_far) {
        put_slot(at, CODE_FAR_LANE_B, &e->b);
        at[CODE_FAR_LANE_NUMBER] = e->lane;
        emit_put_u32(at + CODE_FAR_MEMORY, e->offset);
        emit_put_u64(at + CODE_FAR_OFFSET, e->c.value);
    } else {
        put_slot(at, CODE_LANE_B, &e->b);
        at[CODE_LANE_NUMBER] = e->lane;
        emit_put_u32(at + CODE_OFFSET, (uint32_t)e->c.value);
    }
}

static void store_lane(struct translator *t, const struct instruction *instruction)
{
    const struct family_row *row = &family_rows[instruction->opcode];
    settle_for_far(t, instruction);
    struct emission e = {.lane = instruction->lane,
                         .is_far = far_is_needed(t, instruction),
                         .offset = instruction->as.memarg.memory,
                         .c.value = instruction->as.memarg.offset};
    e.b = stack_pop(t);
    e.a = pop_settled(t);
    uint32_t number = place_of(e.b.kind) * 2 + (e.a.kind == CODE_S ? 1u : 0u);
    put_lane(e.is_far ? emit_begin(t, row->far, CODE_FAR_LANE_BYTES)
                      : emit_begin(t, row->first + number, CODE_LANE_BYTES),
             &e);
}

static void vectors(struct translator *t, const struct instruction *instruction, uint32_t count)
{
    struct emission e = {.opcode = instruction->opcode};
    if (count == 3) {
        e.c = stack_pop(t);
    }
    if (count >= 2) {
        e.b = stack_pop(t);
        e.a = stack_pop(t);
    }
    if (instruction->opcode == OP_V128_CONST || instruction->opcode == OP_I8X16_SHUFFLE) {
        memcpy(e.v128, instruction->as.v128, sizeof e.v128);
    }
    stack_destination(t, CODE_v128, &e.d);
    finish(t, &e);
}

void translate_simd(struct translator *t, const struct instruction *instruction)
{
    switch ((int)family_rows[instruction->opcode].family) {
    case FAMILY_CONSTANT:
        vectors(t, instruction, 0);
        return;
    case FAMILY_SHUFFLE:
        vectors(t, instruction, 2);
        return;
    case FAMILY_TERNARY:
        vectors(t, instruction, 3);
        return;
    case FAMILY_LOAD_LANE:
        load_lane(t, instruction);
        return;
    default:
        store_lane(t, instruction);
    }
}

/* ---- From an emission to its handler ---- */

static void choose_load_lane(struct translator *t, const struct emission *e)
{
    const struct family_row *row = &family_rows[e->opcode];
    uint32_t number = (place_of(e->d.kind) * kind_shapes[SHAPE_V].count + place_of(e->b.kind)) * 2 +
                      (e->a.kind == CODE_S ? 1u : 0u);
    uint8_t *at = e->is_far ? emit_append(t, row->far, CODE_FAR_LANE_BYTES)
                            : emit_append(t, row->first + number, CODE_LANE_BYTES);
    put_slot(at, CODE_D, &e->d);
    put_lane(at, e);
}

static uint32_t pair_of(const struct emission *e)
{
    const struct pair_shape *shape = &pair_shapes[true][SHAPE_V];
    assert(shape->place[e->a.kind][e->b.kind] > 0);
    return place_of(e->d.kind) * shape->count + shape->place[e->a.kind][e->b.kind] - 1u;
}

/* In the order of TRIPLES_V, which has all four or only the slots. */
static uint32_t triple_of(const struct emission *e)
{
    uint32_t of = e->a.kind == CODE_R ? 0 : e->b.kind == CODE_R ? 2 : e->c.kind == CODE_R ? 3 : 1;
    return VM_PINS ? place_of(e->d.kind) * 4 + of : 0;
}

void simd_choose(struct translator *t, const struct emission *e)
{
    const struct family_row *row = &family_rows[e->opcode];
    uint8_t *at;
    switch ((int)row->family) {
    case FAMILY_LOAD_LANE:
        choose_load_lane(t, e);
        return;
    case FAMILY_TERNARY:
        at = emit_append(t, row->first + triple_of(e), 16);
        put_slot(at, CODE_C, &e->c);
        break;
    default: {
        uint32_t number = row->family == FAMILY_CONSTANT ? place_of(e->d.kind) : pair_of(e);
        at = emit_append(t, row->first + number, CODE_IMM128_BYTES);
        memcpy(at + CODE_IMM128, e->v128, sizeof e->v128);
    }
    }
    put_slot(at, CODE_D, &e->d);
    if (row->family != FAMILY_CONSTANT) {
        put_slot(at, CODE_A, &e->a);
        put_slot(at, CODE_B, &e->b);
    }
}

/* Of two vectors, in the order of handlers_control.def. */
void simd_choose_select(struct translator *t, const struct emission *e)
{
    uint32_t of_condition = kind_shapes[SHAPE_V].count * pair_shapes[true][SHAPE_V].count;
    uint32_t number = (e->c.kind == CODE_S ? of_condition : 0) + pair_of(e);
    uint8_t *at = emit_append(t, SIMD_SELECT_FIRST + number, 16);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
    put_slot(at, CODE_B, &e->b);
    put_slot(at, CODE_C, &e->c);
}
