/* translate_tail.c: return_call and return_call_indirect.
 *
 * The arguments are settled into their homes; the handler moves them to the frame's beginning and
 * the pc to return to from this function's place for it to the callee's. The edge is the callee's
 * entry, so its price is the callee's entry cost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

static uint8_t *begin_tail_call(struct translator *t, enum handler handler,
                                const struct vm_func_type *type)
{
    struct label_type params = {type->types, type->param_count};
    stack_settle_top(t, params.count);
    pin_leave_function(t);
    uint8_t *at = emit_begin_control(t, handler, CODE_CALL_BYTES);
    emit_put_u16(at + CODE_TAIL_FROM, stack_home(t, t->height - params.count));
    emit_put_u16(at + CODE_TAIL_COUNT, label_type_slots(params));
    emit_put_u16(at + CODE_TAIL_RETURN, t->return_slot);
    return at;
}

static void direct(struct translator *t, uint32_t index)
{
    const struct module_func *callee = &t->module->funcs[index];
    if (callee->is_import) {
        emit_put_u32(
            begin_tail_call(t, HANDLER_RETURN_CALL_IMPORT, callee->type) + CODE_CALL_TARGET, index);
    } else {
        emit_put_u64(begin_tail_call(t, HANDLER_RETURN_CALL, callee->type) + CODE_CALL_TARGET,
                     (uint64_t)(uintptr_t)callee);
    }
}

static void indirect(struct translator *t, const struct instruction *instruction)
{
    struct operand index = stack_pop(t);
    operand_settle(t, &index);
    enum handler handler =
        index.kind == CODE_R ? HANDLER_RETURN_CALL_INDIRECT_R : HANDLER_RETURN_CALL_INDIRECT_S;
    uint8_t *at = begin_tail_call(t, handler, &t->module->types[instruction->as.pair.first]);
    emit_put_u32(at + CODE_CALL_TARGET, instruction->as.pair.first);
    emit_put_u32(at + CODE_CALL_TABLE, instruction->as.pair.second);
    emit_put_u16(at + CODE_CALL_A, index.slot);
}

void translate_tail_call(struct translator *t, const struct instruction *instruction)
{
    if (instruction->opcode == OP_RETURN_CALL) {
        direct(t, instruction->as.index);
    } else {
        indirect(t, instruction);
    }
}
