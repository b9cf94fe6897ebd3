/* translate_plain.c: instructions that only compute: numeric, memory, variable, reference, table.
 *
 * Each takes its operands from the picture of the stack as they are (register, slot, immediate),
 * brings them into a combination that has a handler, and pushes where the result went.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

static void finish(struct translator *t, struct emission *e, enum code_type type)
{
    stack_destination(t, type, &e->d);
    e->source.offset = t->source.offset;
    e->source.gas = t->source.gas;
    emit(t, e);
    stack_push_result(t, &e->d);
}

/* ---- Numeric ---- */

/* Subtracting a constant is adding its contrary, which more fusions know. */
static void add_instead(struct emission *e)
{
    if (e->opcode == OP_I32_SUB) {
        e->opcode = OP_I32_ADD;
        e->b.value = (uint32_t)(0 - e->b.value);
    } else if (e->opcode == OP_I64_SUB) {
        e->opcode = OP_I64_ADD;
        e->b.value = 0 - e->b.value;
    }
}

/* Only some vector instructions have one; in the others it is not set. */
static uint8_t lane_of(const struct instruction *instruction)
{
    if (instruction->opcode < OP_V128_LOAD) {
        return 0;
    }
    enum opcode_immediate immediate = opcode_info(instruction->opcode)->immediate;
    return immediate >= OPCODE_LANE2 && immediate <= OPCODE_LANE16 ? instruction->lane : 0;
}

static void binary(struct translator *t, const struct instruction *instruction)
{
    enum opcode opcode = instruction->opcode;
    struct emission e = {.kind = EMISSION_NUMERIC, .opcode = opcode, .lane = lane_of(instruction)};
    e.b = stack_pop(t);
    e.a = stack_pop(t);
    if (family_rows[opcode].pins == SHAPE_REPLACE) {
        operand_settle(t, &e.b);
    }
    if (e.a.kind == CODE_I && e.b.kind == CODE_I) {
        operand_settle(t, &e.a);
    }
    if (e.b.kind == CODE_I && !t->slots_only) {
        add_instead(&e);
    }
    finish(t, &e, family_rows[opcode].out);
}

/* i32.eqz of a comparison that was just made is the contrary comparison. */
static bool invert_comparison(struct translator *t)
{
    struct operand top = stack_peek(t, t->height - 1);
    const struct emission *last = emit_last(t, top.producer);
    if (last == NULL || last->kind != EMISSION_NUMERIC) {
        return false;
    }
    const struct family_row *row = &family_rows[last->opcode];
    if (row->family != FAMILY_COMPARE || row->branch_not != 0) {
        return false;
    }
    (void)stack_pop(t);
    struct emission e = emit_take_back(t);
    e.opcode = row->inverse;
    finish(t, &e, CODE_i32);
    return true;
}

static void unary(struct translator *t, enum opcode opcode, uint8_t lane)
{
    if (opcode == OP_I32_EQZ && invert_comparison(t)) {
        return;
    }
    struct emission e = {.kind = EMISSION_NUMERIC, .opcode = opcode, .lane = lane};
    e.a = stack_pop(t);
    operand_settle(t, &e.a);
    finish(t, &e, family_rows[opcode].out);
}

/* A value whose bits stay what they are, since slots hold i32 zero-extended: only its type changes,
 * unless it must change registers. */
static bool rename_value(struct translator *t, enum opcode opcode)
{
    struct entry *top = &t->entries[t->height - 1];
    bool crosses = opcode != OP_I64_EXTEND_I32_U;
    if (t->slots_only || (crosses && top->kind == ENTRY_REGISTER)) {
        return false;
    }
    top->operand.type = family_rows[opcode].out;
    return true;
}

/* ---- Memory ---- */

static const struct emission *last_numeric(const struct translator *t,
                                           const struct operand *operand, enum opcode opcode)
{
    const struct emission *last =
        operand->kind == CODE_R || operand->kind == CODE_S ? emit_last(t, operand->producer) : NULL;
    return last != NULL && last->kind == EMISSION_NUMERIC && last->opcode == opcode ? last : NULL;
}

/* An index shifted by a constant is shifted by the load or store itself. */
static void fuse_shift(struct translator *t, struct address *address)
{
    const struct emission *shift = last_numeric(t, &address->index, OP_I32_SHL);
    if (shift == NULL || address->base.kind == CODE_R || shift->b.kind != CODE_I ||
        (shift->b.value & 31) == 0) {
        return;
    }
    struct emission e = emit_take_back(t);
    address->index = e.a;
    address->shift = (uint8_t)(e.b.value & 31);
}

/* The address on top of the stack; a sum that was just made becomes part of it. */
static struct address pop_address(struct translator *t, const struct instruction *instruction)
{
    struct address address = {.base = stack_pop(t),
                              .index = {.kind = CODE_N},
                              .offset = (uint32_t)instruction->as.memarg.offset};
    if (last_numeric(t, &address.base, OP_I32_ADD) == NULL) {
        return address;
    }
    struct emission sum = emit_take_back(t);
    address.base = sum.a;
    address.index = sum.b;
    if (choose_scales(instruction->opcode)) {
        if (last_numeric(t, &address.base, OP_I32_SHL) != NULL) {
            address.base = sum.b;
            address.index = sum.a;
        }
        fuse_shift(t, &address);
    }
    return address;
}

static void load(struct translator *t, const struct instruction *instruction)
{
    struct address address = pop_address(t, instruction);
    struct emission e = {.kind = EMISSION_LOAD,
                         .opcode = instruction->opcode,
                         .a = address.base,
                         .b = address.index,
                         .shift = address.shift,
                         .offset = address.offset};
    finish(t, &e, family_rows[instruction->opcode].out);
}

static void store(struct translator *t, const struct instruction *instruction)
{
    struct operand value = stack_pop(t);
    struct address address = pop_address(t, instruction);
    choose_store(t, instruction->opcode, &address, &value);
}

/* ---- Parametric and variable ---- */

static void select_one(struct translator *t)
{
    struct emission e = {.kind = EMISSION_SELECT};
    e.c = stack_pop(t);
    e.b = stack_pop(t);
    e.a = stack_pop(t);
    operand_settle(t, &e.c);
    finish(t, &e, e.a.type);
}

static void local_set(struct translator *t, uint32_t local, bool tee)
{
    struct operand value = stack_pop(t);
    uint32_t slot = stack_local_slot(t, local);
    if (emit_last(t, value.producer) != NULL) {
        struct emission again = emit_take_back(t);
        stack_detach_local(t, local);
        again.d.kind = CODE_S;
        again.d.slot = (uint16_t)slot;
        emit(t, &again);
    } else {
        bool is_itself = value.kind == CODE_S && value.slot == slot;
        if (is_itself && tee) {
            stack_push_local(t, local);
            return;
        }
        stack_detach_local(t, local);
        if (!is_itself) {
            emit_forget(t);
            choose_move(t, slot, &value);
        }
        if (tee && (value.kind == CODE_I || value.kind == CODE_R)) {
            if (value.kind == CODE_I) {
                stack_push_constant(t, value.type, value.value);
            } else {
                stack_push_result(t, &value);
            }
            return;
        }
    }
    if (tee) {
        stack_push_local(t, local);
    }
}

static enum code_type global_type(const struct translator *t, uint32_t index)
{
    return code_type_of(t->module->globals[index].type);
}

static void global_get(struct translator *t, uint32_t index)
{
    struct emission e = {.kind = EMISSION_GLOBAL, .offset = index};
    finish(t, &e, global_type(t, index));
}

static void global_set(struct translator *t, uint32_t index)
{
    struct operand value = stack_pop(t);
    enum code_type type = global_type(t, index);
    enum handler handler = type == CODE_f32    ? HANDLER_GLOBAL_SET_f32_R
                           : type == CODE_f64  ? HANDLER_GLOBAL_SET_f64_R
                           : type == CODE_v128 ? HANDLER_GLOBAL_SET_v128_R
                                               : HANDLER_GLOBAL_SET_i64_R;
    uint8_t *at = emit_begin(t, handler + (uint32_t)value.kind, value.kind == CODE_I ? 24 : 16);
    emit_put_u32(at + CODE_OFFSET, index);
    if (value.kind == CODE_S) {
        emit_put_u16(at + CODE_A, value.slot);
    } else if (value.kind == CODE_I) {
        emit_put_u64(at + CODE_IMM64, value.value);
    }
}

/* ---- Rare ones: operands in their homes, one handler each ---- */

struct rare {
    enum handler handler;
    uint8_t pops, pushes;
    bool is_bulk; /* its gas depends on its operands: it ends a straight run */
};

static void rare(struct translator *t, struct rare rare, uint32_t x, uint32_t y,
                 enum code_type result)
{
    stack_settle_top(t, rare.pops);
    stack_truncate(t, t->height - rare.pops);
    uint32_t base = stack_home(t, t->height);
    if (rare.pushes > 0) {
        stack_push_slot(t, result);
    }
    uint8_t *at = rare.is_bulk ? emit_begin_control(t, rare.handler, CODE_RARE_BYTES)
                               : emit_begin(t, rare.handler, CODE_RARE_BYTES);
    emit_put_u16(at + CODE_A, base);
    emit_put_u32(at + CODE_RARE_X, x);
    emit_put_u32(at + CODE_RARE_Y, y);
    if (rare.is_bulk && translator_reserve_control(t)) {
        site_open(t, t->code_size - CODE_RARE_BYTES + CODE_RARE_COST);
    }
}

#define RARE(op, pops, pushes)                                                                     \
    (struct rare)                                                                                  \
    {                                                                                              \
        HANDLER_##op, pops, pushes, false                                                          \
    }
#define BULK(op, pops, pushes)                                                                     \
    (struct rare)                                                                                  \
    {                                                                                              \
        HANDLER_##op, pops, pushes, true                                                           \
    }

static enum code_type address_type(bool is_64)
{
    return is_64 ? CODE_i64 : CODE_i32;
}

static bool reference_or_table(struct translator *t, const struct instruction *instruction)
{
    uint32_t index = instruction->as.index;
    uint32_t first = instruction->as.pair.first;
    uint32_t second = instruction->as.pair.second;
    switch ((int)instruction->opcode) {
    case OP_REF_NULL:
        stack_push_constant(t, CODE_i64, 0);
        return true;
    case OP_REF_IS_NULL:
        unary(t, OP_I64_EQZ, 0);
        return true;
    case OP_REF_FUNC:
        rare(t, RARE(REF_FUNC, 0, 1), index, 0, CODE_i64);
        return true;
    case OP_TABLE_GET:
        rare(t, RARE(TABLE_GET, 1, 1), index, 0, CODE_i64);
        return true;
    case OP_TABLE_SET:
        rare(t, RARE(TABLE_SET, 2, 0), index, 0, CODE_i64);
        return true;
    case OP_TABLE_SIZE:
        rare(t, RARE(TABLE_SIZE, 0, 1), index, 0, address_type(t->module->tables[index].is_64));
        return true;
    case OP_TABLE_GROW:
        rare(t, BULK(TABLE_GROW, 2, 1), index, 0, address_type(t->module->tables[index].is_64));
        return true;
    case OP_TABLE_FILL:
        rare(t, BULK(TABLE_FILL, 3, 0), index, 0, CODE_i64);
        return true;
    case OP_TABLE_INIT:
        rare(t, BULK(TABLE_INIT, 3, 0), first, second, CODE_i64);
        return true;
    case OP_TABLE_COPY:
        rare(t, BULK(TABLE_COPY, 3, 0), first, second, CODE_i64);
        return true;
    case OP_ELEM_DROP:
        rare(t, RARE(ELEM_DROP, 0, 0), index, 0, CODE_i64);
        return true;
    default:
        return false;
    }
}

static bool memory_operation(struct translator *t, const struct instruction *instruction)
{
    uint32_t index = instruction->as.index;
    uint32_t first = instruction->as.pair.first;
    uint32_t second = instruction->as.pair.second;
    switch ((int)instruction->opcode) {
    case OP_MEMORY_SIZE:
        rare(t, RARE(MEMORY_SIZE, 0, 1), index, 0, address_type(t->module->memories[index].is_64));
        return true;
    case OP_MEMORY_GROW:
        rare(t, BULK(MEMORY_GROW, 1, 1), index, 0, address_type(t->module->memories[index].is_64));
        return true;
    case OP_MEMORY_FILL:
        rare(t, BULK(MEMORY_FILL, 3, 0), index, 0, CODE_i32);
        return true;
    case OP_MEMORY_INIT:
        rare(t, BULK(MEMORY_INIT, 3, 0), first, second, CODE_i32);
        return true;
    case OP_MEMORY_COPY:
        rare(t, BULK(MEMORY_COPY, 3, 0), first, second, CODE_i32);
        return true;
    case OP_DATA_DROP:
        rare(t, RARE(DATA_DROP, 0, 0), index, 0, CODE_i32);
        return true;
    default:
        return false;
    }
}

static bool variable_or_constant(struct translator *t, const struct instruction *instruction)
{
    switch ((int)instruction->opcode) {
    case OP_LOCAL_GET:
        stack_push_local(t, instruction->as.index);
        return true;
    case OP_LOCAL_SET:
        local_set(t, instruction->as.index, false);
        return true;
    case OP_LOCAL_TEE:
        local_set(t, instruction->as.index, true);
        return true;
    case OP_GLOBAL_GET:
        global_get(t, instruction->as.index);
        return true;
    case OP_GLOBAL_SET:
        global_set(t, instruction->as.index);
        return true;
    case OP_I32_CONST:
        stack_push_constant(t, CODE_i32, instruction->as.i32);
        return true;
    case OP_I64_CONST:
        stack_push_constant(t, CODE_i64, instruction->as.i64);
        return true;
    case OP_F32_CONST:
        stack_push_constant(t, CODE_f32, instruction->as.f32);
        return true;
    case OP_F64_CONST:
        stack_push_constant(t, CODE_f64, instruction->as.f64);
        return true;
    case OP_DROP:
        (void)stack_pop(t);
        return true;
    case OP_SELECT:
    case OP_SELECT_T:
        select_one(t);
        return true;
    default:
        return false;
    }
}

static bool is_rename(enum opcode opcode)
{
    return opcode == OP_I64_EXTEND_I32_U || opcode == OP_I32_REINTERPRET_F32 ||
           opcode == OP_I64_REINTERPRET_F64 || opcode == OP_F32_REINTERPRET_I32 ||
           opcode == OP_F64_REINTERPRET_I64;
}

void translate_plain(struct translator *t, const struct instruction *instruction)
{
    enum opcode opcode = instruction->opcode;
    switch ((enum family)family_rows[opcode].family) {
    case FAMILY_BINARY:
    case FAMILY_COMPARE:
        binary(t, instruction);
        return;
    case FAMILY_TEST:
    case FAMILY_UNARY:
        if (!is_rename(opcode) || !rename_value(t, opcode)) {
            unary(t, opcode, lane_of(instruction));
        }
        return;
    case FAMILY_LOAD:
        far_is_needed(t, instruction) ? far_load(t, instruction) : load(t, instruction);
        return;
    case FAMILY_STORE:
        far_is_needed(t, instruction) ? far_store(t, instruction) : store(t, instruction);
        return;
    case FAMILY_CONSTANT:
    case FAMILY_SHUFFLE:
    case FAMILY_TERNARY:
    case FAMILY_LOAD_LANE:
    case FAMILY_STORE_LANE:
        translate_simd(t, instruction);
        return;
    case FAMILY_NONE:
        break;
    }
    bool known = variable_or_constant(t, instruction) || reference_or_table(t, instruction) ||
                 memory_operation(t, instruction);
    assert(known);
    (void)known;
}
