/* translate_control.c: blocks, branches, calls: where values must be where labels expect them, and
 * where straight runs end.
 *
 * A label's values lie in the homes above the block's height. Everything below is settled when the
 * block begins, so a branch moves only the label's values. A block that nobody branches to has no
 * label: its end emits nothing and forgets nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

/* ---- Labels ---- */

static struct control *top_control(struct translator *t)
{
    return &t->controls[t->control_count - 1];
}

static struct control *label_at(const struct translator *t, uint32_t depth)
{
    assert(depth < t->control_count);
    return &t->controls[t->control_count - 1 - depth];
}

static struct label_type label_type(const struct control *control)
{
    return control->kind == CONTROL_LOOP ? control->params : control->results;
}

/* The branch at `base` goes to the label: now, if it is a loop's, else when the label comes. */
static void link_label(struct translator *t, struct control *control, uint32_t base,
                       uint32_t rel_at, uint32_t cost_at)
{
    if (control->kind == CONTROL_LOOP) {
        emit_patch_u32(t, rel_at, control->loop_start - base);
        emit_patch_u32(t, cost_at, control->loop_cost);
        return;
    }
    if (t->is_search) {
        control->fixups = 0; /* there are some */
        return;
    }
    assert(t->fixup_count < t->fixup_capacity);
    *fixup_at(t, (int32_t)t->fixup_count) =
        (struct fixup){.next = control->fixups, .base = base, .rel_at = rel_at, .cost_at = cost_at};
    control->fixups = (int32_t)t->fixup_count++;
}

static void fix(struct translator *t, int32_t first)
{
    site_open_label(t, first);
    emit_label(t);
}

static void set_unreachable(struct translator *t)
{
    stack_truncate(t, top_control(t)->height);
    t->unreachable = true;
    t->skipped_blocks = 0;
}

/* ---- Conditions ---- */

struct condition {
    enum opcode opcode; /* a comparison or test */
    struct operand a, b;
    bool negate;
};

/* A comparison that was just made is taken back and becomes part of the branch; so is a test of
 * one: i32.eqz of it is its contrary. */
static struct condition pop_condition(struct translator *t)
{
    struct condition condition = {.opcode = OP_I32_EQZ, .a = stack_pop(t), .negate = true};
    while (condition.opcode == OP_I32_EQZ) {
        const struct emission *last =
            condition.a.kind == CODE_I ? NULL : emit_last(t, condition.a.producer);
        if (last == NULL || last->kind != EMISSION_NUMERIC) {
            break;
        }
        enum family family = family_rows[last->opcode].family;
        if (family != FAMILY_COMPARE && family != FAMILY_TEST) {
            break;
        }
        struct emission e = emit_take_back(t);
        condition =
            (struct condition){.opcode = e.opcode, .a = e.a, .b = e.b, .negate = !condition.negate};
    }
    operand_settle(t, &condition.a);
    return condition;
}

/* A branch taken if the condition is as `sense` says; returns where it begins. */
static uint32_t emit_branch(struct translator *t, const struct condition *condition, bool sense)
{
    return choose_branch(t, condition->opcode, condition->negate == sense, &condition->a,
                         &condition->b);
}

/* ---- Moving values to where a label or the caller wants them ---- */

/* The entry's value also goes to `slot`; the picture of the stack stays as it is. */
static void copy_entry(struct translator *t, uint32_t index, uint32_t slot)
{
    struct operand from = stack_peek(t, index);
    if (from.kind != CODE_S || from.slot != slot) {
        emit_forget(t);
        choose_move(t, slot, &from);
    }
}

/* Ascending order is safe: a home is never below the one its value goes to. */
static void copy_to_label(struct translator *t, const struct control *control, uint32_t count)
{
    uint32_t slot = control->base;
    for (uint32_t i = t->height - count; i < t->height; i++) {
        copy_entry(t, i, slot);
        slot += code_type_slots(t->entries[i].operand.type);
    }
}

static bool must_move(const struct translator *t, const struct control *control, uint32_t count)
{
    uint32_t slot = control->base;
    for (uint32_t i = t->height - count; i < t->height; i++) {
        struct operand from = stack_peek(t, i);
        if (from.kind != CODE_S || from.slot != slot) {
            return true;
        }
        slot += code_type_slots(from.type);
    }
    return false;
}

static void emit_return(struct translator *t, begin_cb *begin)
{
    uint32_t count = t->func->type->result_count;
    enum handler handler = count == 0 ? HANDLER_RETURN : HANDLER_RETURN_MANY;
    struct operand value = {.kind = CODE_S};
    if (count == 1) {
        value = stack_peek(t, t->height - 1);
        handler = HANDLER_RETURN_i64_R + (uint32_t)value.kind;
        if (value.kind == CODE_R && value.type == CODE_f32) {
            handler = HANDLER_RETURN_f32_R;
        } else if (value.kind == CODE_R && value.type == CODE_f64) {
            handler = HANDLER_RETURN_f64_R;
        } else if (value.type == CODE_v128) {
            handler = value.kind == CODE_R ? HANDLER_RETURN_v128_R : HANDLER_RETURN_v128_S;
        }
    } else if (count > 1) {
        for (uint32_t i = t->height - count; i < t->height; i++) {
            copy_entry(t, i, stack_home(t, i));
        }
        value.slot = (uint16_t)stack_home(t, t->height - count);
    }
    pin_leave_function(t);
    uint8_t *at = begin(t, handler, value.kind == CODE_I ? 24 : 16);
    emit_put_u16(at + CODE_RETURN_SLOT, t->return_slot);
    if (value.kind == CODE_I) {
        emit_put_u64(at + CODE_IMM64, value.value);
    } else {
        emit_put_u16(at + CODE_A, value.slot);
        emit_put_u32(at + CODE_RETURN_COUNT, t->result_slots);
    }
}

static void emit_jump(struct translator *t, struct control *control, begin_cb *begin)
{
    (void)begin(t, HANDLER_JUMP, 16);
    uint32_t base = t->code_size - 16;
    link_label(t, control, base, base + CODE_JUMP_REL, base + CODE_JUMP_COST);
}

/* ---- Branches ---- */

static void branch(struct translator *t, uint32_t depth)
{
    struct control *control = label_at(t, depth);
    uint32_t count = label_type(control).count;
    if (control->kind == CONTROL_FUNCTION) {
        emit_return(t, emit_begin_control);
        set_unreachable(t);
        return;
    }
    struct operand top = count > 0 ? stack_peek(t, t->height - 1) : (struct operand){0};
    if (count == 1 && top.kind != CODE_I && emit_last(t, top.producer) != NULL) {
        struct emission again = emit_take_back(t);
        again.d.kind = CODE_S;
        again.d.slot = (uint16_t)control->base;
        emit(t, &again);
    } else {
        copy_to_label(t, control, count);
    }
    emit_jump(t, control, emit_begin_control);
    set_unreachable(t);
}

/* Where values must move first, the contrary condition jumps over the moves and the jump. */
static void branch_if(struct translator *t, uint32_t depth)
{
    struct control *control = label_at(t, depth);
    struct condition condition = pop_condition(t);
    uint32_t count = label_type(control).count;
    bool is_return = control->kind == CONTROL_FUNCTION;
    if (!is_return && !must_move(t, control, count)) {
        uint32_t base = emit_branch(t, &condition, true);
        link_label(t, control, base, base + CODE_BRANCH_REL, base + CODE_BRANCH_TAKEN);
        site_open(t, base + CODE_BRANCH_FALL);
        return;
    }
    uint32_t base = emit_branch(t, &condition, false);
    if (is_return) {
        emit_return(t, emit_begin);
    } else {
        copy_to_label(t, control, count);
        emit_jump(t, control, emit_begin);
    }
    emit_patch_u32(t, base + CODE_BRANCH_REL, t->code_size - base);
    emit_label(t);
    site_open(t, base + CODE_BRANCH_TAKEN);
}

/* Where the label's values must move, or where it returns, a stub behind the table does it. */
static void table_stub(struct translator *t, struct control *control)
{
    uint32_t count = label_type(control).count;
    bool is_return = control->kind == CONTROL_FUNCTION;
    control->stub = TRANSLATE_NO_STUB;
    if (!is_return && !must_move(t, control, count)) {
        return;
    }
    control->stub = t->code_size;
    emit_label(t);
    if (is_return) {
        emit_return(t, emit_begin);
    } else {
        copy_to_label(t, control, count);
        emit_jump(t, control, emit_begin);
    }
}

/* However often a label is listed, its values are looked at once. */
static void table_entry(struct translator *t, uint32_t base, uint32_t entry, uint32_t depth)
{
    struct control *control = label_at(t, depth);
    if (control->stub_table != base + 1) {
        control->stub_table = base + 1;
        table_stub(t, control);
    }
    if (control->stub == TRANSLATE_NO_STUB) {
        link_label(t, control, base, entry, entry + 4);
    } else {
        emit_patch_u32(t, entry, control->stub - base);
    }
}

static void branch_table(struct translator *t, const struct instruction *instruction)
{
    uint32_t count = instruction->as.vector.count;
    if (!t->is_search && !translator_reserve_fixups(t, (uint64_t)t->fixup_count + count + 1)) {
        return;
    }
    struct operand index = stack_pop(t);
    operand_settle(t, &index);
    enum handler handler = index.kind == CODE_R ? HANDLER_TABLE_R : HANDLER_TABLE_S;
    uint8_t *at = emit_begin_control(t, handler, CODE_TABLE_ENTRIES);
    uint32_t base = t->code_size - CODE_TABLE_ENTRIES;
    emit_put_u32(at + CODE_TABLE_COUNT, count);
    if (index.kind == CODE_S) {
        emit_put_u16(at + CODE_A, index.slot);
    }
    struct reader labels = reader_of(instruction->as.vector.labels);
    for (uint32_t i = 0; i <= count && !t->failed; i++) {
        (void)emit_more(t, 8);
    }
    for (uint32_t i = 0; i <= count && !t->failed; i++) {
        uint32_t depth = 0;
        bool read = reader_leb_u32(&labels, &depth) == LEB_OK;
        assert(read);
        (void)read;
        table_entry(t, base, base + CODE_TABLE_ENTRIES + 8 * i, depth);
    }
    set_unreachable(t);
}

/* ---- Blocks ---- */

static struct label_type single_type(const struct translator *t, int64_t block_type, bool results)
{
    static const enum vm_type types[] = {VM_I32,  VM_I64,     VM_F32,      VM_F64,
                                         VM_V128, VM_FUNCREF, VM_EXTERNREF};
    if (block_type >= 0) {
        const struct vm_func_type *type = &t->module->types[block_type];
        return results ? (struct label_type){type->types + type->param_count, type->result_count}
                       : (struct label_type){type->types, type->param_count};
    }
    for (size_t i = 0; results && i < sizeof types / sizeof types[0]; i++) {
        if (types[i] == (enum vm_type)(block_type & 0x7f)) {
            return (struct label_type){&types[i], 1};
        }
    }
    return (struct label_type){NULL, 0};
}

static struct control *push_control(struct translator *t, enum control_kind kind,
                                    struct label_type params, struct label_type results)
{
    assert(t->control_count < t->control_capacity);
    struct control *control = &t->controls[t->control_count++];
    uint32_t height = t->height - params.count;
    *control = (struct control){.kind = kind,
                                .height = height,
                                .base = stack_home(t, height),
                                .params = params,
                                .results = results,
                                .fixups = TRANSLATE_NONE,
                                .else_fixup = TRANSLATE_NONE,
                                .next_open_loop = TRANSLATE_NONE};
    return control;
}

void control_push_function(struct translator *t)
{
    const struct vm_func_type *type = t->func->type;
    push_control(t, CONTROL_FUNCTION, (struct label_type){NULL, 0},
                 (struct label_type){type->types + type->param_count, type->result_count});
}

static void begin_block(struct translator *t, const struct instruction *instruction)
{
    struct label_type params = single_type(t, instruction->as.block_type, false);
    struct label_type results = single_type(t, instruction->as.block_type, true);
    if (instruction->opcode == OP_IF) {
        struct condition condition = pop_condition(t);
        stack_settle_for_block(t, params.count);
        struct control *control = push_control(t, CONTROL_IF, params, results);
        uint32_t base = emit_branch(t, &condition, false);
        link_label(t, control, base, base + CODE_BRANCH_REL, base + CODE_BRANCH_TAKEN);
        control->else_fixup = control->fixups;
        control->fixups = TRANSLATE_NONE;
        site_open(t, base + CODE_BRANCH_FALL);
        return;
    }
    stack_settle_for_block(t, params.count);
    bool is_loop = instruction->opcode == OP_LOOP;
    struct control *control =
        push_control(t, is_loop ? CONTROL_LOOP : CONTROL_BLOCK, params, results);
    if (is_loop) {
        pin_enter_loop(t, control, instruction->offset);
        control->loop_start = t->code_size;
        control->loop_gas = t->gas;
        control->next_open_loop = t->open_loop;
        t->open_loop = (int32_t)t->control_count - 1;
        emit_label(t);
    }
}

static void begin_else(struct translator *t)
{
    struct control *control = top_control(t);
    if (!t->unreachable) {
        stack_settle_top(t, control->results.count);
        emit_jump(t, control, emit_begin_control);
    }
    stack_truncate(t, control->height);
    stack_push_slots(t, control->params);
    fix(t, control->else_fixup);
    control->else_fixup = TRANSLATE_NONE;
    control->kind = CONTROL_ELSE;
    t->unreachable = false;
}

static void end_block(struct translator *t)
{
    struct control control = *top_control(t);
    if (control.kind == CONTROL_FUNCTION) {
        if (!t->unreachable) {
            emit_return(t, emit_begin_control);
        }
        t->done = true;
        return;
    }
    if (t->open_loop == (int32_t)t->control_count - 1) { /* no branch can need its cost any more */
        t->open_loop = control.next_open_loop;
    }
    if (control.fixups != TRANSLATE_NONE || control.else_fixup != TRANSLATE_NONE) {
        if (!t->unreachable) {
            stack_settle_top(t, control.results.count);
        }
        stack_truncate(t, control.height);
        stack_push_slots(t, control.results);
        fix(t, control.fixups);
        fix(t, control.else_fixup);
        t->unreachable = false;
    }
    t->control_count--;
    pin_leave_loop(t, &control);
}

/* ---- Calls ---- */

static uint8_t *begin_call(struct translator *t, enum handler handler,
                           const struct vm_func_type *type)
{
    stack_settle_top(t, type->param_count);
    stack_settle_registers(t);
    stack_truncate(t, t->height - type->param_count);
    uint32_t frame = stack_home(t, t->height); /* just above the last slot if nothing is passed */
    if (frame > UINT16_MAX) {
        translator_fail(t, ERR_LIMIT, "frame of more than 65536 slots");
    }
    uint8_t *at = emit_begin_control(t, handler, CODE_CALL_BYTES);
    emit_put_u16(at + CODE_CALL_DELTA, frame);
    site_open(t, t->code_size - CODE_CALL_BYTES + CODE_CALL_COST);
    stack_push_slots(t, (struct label_type){type->types + type->param_count, type->result_count});
    return at;
}

static void call(struct translator *t, uint32_t index)
{
    const struct module_func *callee = &t->module->funcs[index];
    if (callee->is_import) {
        emit_put_u32(begin_call(t, HANDLER_CALL_IMPORT, callee->type) + CODE_CALL_TARGET, index);
    } else {
        emit_put_u64(begin_call(t, HANDLER_CALL, callee->type) + CODE_CALL_TARGET,
                     (uint64_t)(uintptr_t)callee);
    }
}

static void call_indirect(struct translator *t, const struct instruction *instruction)
{
    struct operand index = stack_pop(t);
    operand_settle(t, &index);
    enum handler handler = index.kind == CODE_R ? HANDLER_CALL_INDIRECT_R : HANDLER_CALL_INDIRECT_S;
    uint8_t *at = begin_call(t, handler, &t->module->types[instruction->as.pair.first]);
    emit_put_u32(at + CODE_CALL_TARGET, instruction->as.pair.first);
    emit_put_u32(at + CODE_CALL_TABLE, instruction->as.pair.second);
    if (index.kind == CODE_S) {
        emit_put_u16(at + CODE_CALL_A, index.slot);
    }
}

/* ---- Which ---- */

static uint32_t signature_slots(const struct vm_func_type *type)
{
    return label_type_slots(
        (struct label_type){type->types, type->param_count + type->result_count});
}

uint32_t control_values(const struct translator *t, const struct instruction *instruction)
{
    uint32_t depth = 0;
    switch ((int)instruction->opcode) {
    case OP_BR:
    case OP_BR_IF:
        return label_type_slots(label_type(label_at(t, instruction->as.index)));
    case OP_BR_TABLE: { /* all labels take the same number */
        struct reader labels = reader_of(instruction->as.vector.labels);
        bool read = reader_leb_u32(&labels, &depth) == LEB_OK;
        assert(read);
        (void)read;
        return label_type_slots(label_type(label_at(t, depth)));
    }
    case OP_RETURN:
        return t->result_slots;
    case OP_CALL:
    case OP_RETURN_CALL:
        return signature_slots(t->module->funcs[instruction->as.index].type);
    case OP_CALL_INDIRECT:
    case OP_RETURN_CALL_INDIRECT:
        return signature_slots(&t->module->types[instruction->as.pair.first]);
    default:
        return 0;
    }
}

void translate_control(struct translator *t, const struct instruction *instruction)
{
    switch ((int)instruction->opcode) {
    case OP_BLOCK:
    case OP_LOOP:
    case OP_IF:
        begin_block(t, instruction);
        return;
    case OP_ELSE:
        begin_else(t);
        return;
    case OP_END:
        end_block(t);
        return;
    case OP_BR:
        branch(t, instruction->as.index);
        return;
    case OP_BR_IF:
        branch_if(t, instruction->as.index);
        return;
    case OP_BR_TABLE:
        branch_table(t, instruction);
        return;
    case OP_RETURN:
        branch(t, t->control_count - 1);
        return;
    case OP_UNREACHABLE:
        (void)emit_begin_control(t, HANDLER_UNREACHABLE, 8);
        set_unreachable(t);
        return;
    case OP_CALL:
        call(t, instruction->as.index);
        return;
    case OP_CALL_INDIRECT:
        call_indirect(t, instruction);
        return;
    case OP_RETURN_CALL:
    case OP_RETURN_CALL_INDIRECT:
        translate_tail_call(t, instruction);
        set_unreachable(t);
        return;
    case OP_NOP:
        return;
    default:
        assert(false && "a control instruction that nobody translates");
    }
}

/* Unreachable code emits nothing: only nesting is followed. */
void translate_skipped(struct translator *t, const struct instruction *instruction)
{
    switch ((int)instruction->opcode) {
    case OP_BLOCK:
    case OP_LOOP:
    case OP_IF:
        t->skipped_blocks++;
        return;
    case OP_ELSE:
        if (t->skipped_blocks == 0) {
            begin_else(t);
        }
        return;
    case OP_END:
        if (t->skipped_blocks == 0) {
            end_block(t);
        } else {
            t->skipped_blocks--;
        }
        return;
    default:
        return;
    }
}
