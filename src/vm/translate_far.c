/* translate_far.c: loads and stores whose memory is not memory 0 with 32-bit addresses.
 *
 * Numbers in memory 0 with 64-bit addresses (WIDE) are moved from and to where they are wanted, as
 * long as the address is no constant; all else (FAR) takes slots and gives a slot. No address
 * arithmetic is fused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

enum { WIDE_STORES = 6 }; /* before the FAR one, in families_far.def; vectors have none */

static bool is_vector(const struct instruction *instruction)
{
    return instruction->opcode >= OP_V128_LOAD;
}

static bool is_wide(const struct instruction *instruction)
{
    return instruction->as.memarg.memory == 0 && !is_vector(instruction);
}

bool far_is_needed(const struct translator *t, const struct instruction *instruction)
{
    uint32_t memory = instruction->as.memarg.memory;
    return memory != 0 || t->module->memories[memory].is_64;
}

/* The entry `below` the top becomes a slot, unless it may be a register or constant. */
static void settle_operand(struct translator *t, uint32_t below, bool may_register,
                           bool may_constant)
{
    uint32_t index = t->height - 1 - below;
    enum code_kind kind = stack_peek(t, index).kind;
    if ((kind == CODE_R && !may_register) || (kind == CODE_I && !may_constant)) {
        stack_settle(t, index);
    }
}

void far_load(struct translator *t, const struct instruction *instruction)
{
    bool wide = is_wide(instruction);
    settle_operand(t, 0, wide, false);
    struct emission e = {.kind = wide ? EMISSION_WIDE_LOAD : EMISSION_FAR_LOAD,
                         .opcode = instruction->opcode,
                         .a = stack_pop(t),
                         .b.value = instruction->as.memarg.offset,
                         .offset = instruction->as.memarg.memory,
                         .source = t->source};
    stack_destination(t, family_rows[instruction->opcode].out, &e.d);
    e.d.kind = wide ? e.d.kind : CODE_S;
    emit(t, &e);
    stack_push_result(t, &e.d);
}

void far_store(struct translator *t, const struct instruction *instruction)
{
    bool wide = is_wide(instruction);
    settle_operand(t, 1, wide, false);
    settle_operand(t, 0, wide, wide);
    struct operand value = stack_pop(t);
    struct operand address = stack_pop(t);
    uint32_t kinds = (value.kind == CODE_R   ? 0u
                      : value.kind == CODE_S ? 2u
                                             : 4u) +
                     (address.kind == CODE_S ? 1u : 0u);
    uint32_t far = is_vector(instruction) ? 0 : WIDE_STORES;
    enum handler handler = family_rows[instruction->opcode].far + (wide ? kinds : far);
    bool has_immediate = value.kind == CODE_I;
    uint8_t *at = emit_begin(t, handler, CODE_FAR_IMM + (has_immediate ? 8 : 0));
    emit_put_u16(at + CODE_D, value.slot);
    emit_put_u16(at + CODE_A, address.slot);
    emit_put_u32(at + CODE_FAR_MEMORY, instruction->as.memarg.memory);
    emit_put_u64(at + CODE_FAR_OFFSET, instruction->as.memarg.offset);
    if (has_immediate) {
        emit_put_u64(at + CODE_FAR_IMM, value.value);
    }
}
