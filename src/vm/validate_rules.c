/* validate_rules.c: references, drop and select, locals, globals, tables (core spec 3.3.2
 * to 3.3.6), and what the immediates of rows with a signature must name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/validate.h"

static bool ref_is_null(struct validator *validator)
{
    uint8_t type;
    if (!validator_pop_any(validator, &type)) {
        return false;
    }
    if (type != VM_FUNCREF && type != VM_EXTERNREF && type != VALIDATE_ANY) {
        return validator_fail(validator, "type mismatch: expected a reference");
    }
    return validator_push(validator, VM_I32);
}

static bool ref_func(struct validator *validator)
{
    uint32_t index = validator->instruction.as.index;
    if (index >= validator->module->func_count) {
        return validator_unknown(validator, "function", index);
    }
    if (!validator->module->funcs[index].is_declared) {
        return validator_fail(validator, "undeclared function reference");
    }
    return validator_push(validator, VM_FUNCREF);
}

/* Without types, select is for numbers and vectors only. */
static bool select_any(struct validator *validator)
{
    uint8_t first, second;
    if (!validator_pop(validator, VM_I32) || !validator_pop_any(validator, &second) ||
        !validator_pop_any(validator, &first)) {
        return false;
    }
    uint8_t type = first == VALIDATE_ANY ? second : first;
    if (second != VALIDATE_ANY && second != type) {
        return validator_fail(validator, "type mismatch: select of two types");
    }
    if (type == VM_FUNCREF || type == VM_EXTERNREF) {
        return validator_fail(validator, "type mismatch: select of references needs a type");
    }
    return validator_push(validator, type);
}

static bool select_type(struct validator *validator)
{
    if (validator->instruction.as.vector.count != 1) {
        return validator_fail(validator, "invalid result arity");
    }
    uint8_t type = validator->instruction.as.vector.labels.ptr[0];
    return validator_type(validator, (enum vm_type)type) && validator_pop(validator, VM_I32) &&
           validator_pop(validator, type) && validator_pop(validator, type) &&
           validator_push(validator, type);
}

static bool local(struct validator *validator)
{
    uint32_t index = validator->instruction.as.index;
    if (index >= validator->func->local_count) {
        return validator_unknown(validator, "local", index);
    }
    uint8_t type = validator->locals[index];
    if (validator->instruction.opcode == OP_LOCAL_GET) {
        return validator_push(validator, type);
    }
    return validator_pop(validator, type) &&
           (validator->instruction.opcode == OP_LOCAL_SET || validator_push(validator, type));
}

static bool global(struct validator *validator)
{
    uint32_t index = validator->instruction.as.index;
    if (index >= validator->module->global_count) {
        return validator_unknown(validator, "global", index);
    }
    const struct module_global *found = &validator->module->globals[index];
    if (validator->instruction.opcode == OP_GLOBAL_GET) {
        return validator_push(validator, (uint8_t)found->type);
    }
    if (!found->is_mutable) {
        return validator_fail(validator, "global is immutable");
    }
    return validator_pop(validator, (uint8_t)found->type);
}

static bool known_table(struct validator *validator, uint32_t index)
{
    return index < validator->module->table_count || validator_unknown(validator, "table", index);
}

bool validate_table_index(struct validator *validator, uint32_t table, uint8_t *type)
{
    if (!known_table(validator, table)) {
        return false;
    }
    *type = (uint8_t)module_address_type(validator->module->tables[table].is_64);
    return true;
}

static bool table(struct validator *validator)
{
    uint32_t number = validator->instruction.as.index;
    uint8_t index;
    if (!validate_table_index(validator, number, &index)) {
        return false;
    }
    uint8_t type = (uint8_t)validator->module->tables[number].type;
    switch ((int)validator->instruction.opcode) {
    case OP_TABLE_GET:
        return validator_pop(validator, index) && validator_push(validator, type);
    case OP_TABLE_SET:
        return validator_pop(validator, type) && validator_pop(validator, index);
    case OP_TABLE_GROW:
        return validator_pop(validator, index) && validator_pop(validator, type) &&
               validator_push(validator, index);
    default: /* table.fill */
        return validator_pop(validator, index) && validator_pop(validator, type) &&
               validator_pop(validator, index);
    }
}

bool validate_variable(struct validator *validator)
{
    uint8_t dropped;
    switch ((int)validator->instruction.opcode) {
    case OP_REF_NULL:
        return validator_push(validator, (uint8_t)validator->instruction.as.index);
    case OP_REF_IS_NULL:
        return ref_is_null(validator);
    case OP_REF_FUNC:
        return ref_func(validator);
    case OP_DROP:
        return validator_pop_any(validator, &dropped);
    case OP_SELECT:
        return select_any(validator);
    case OP_SELECT_T:
        return select_type(validator);
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
        return local(validator);
    case OP_GLOBAL_GET:
    case OP_GLOBAL_SET:
        return global(validator);
    case OP_TABLE_GET:
    case OP_TABLE_SET:
    case OP_TABLE_GROW:
    case OP_TABLE_FILL:
        return table(validator);
    default:
        return validator_fail(validator, "illegal opcode: no rule");
    }
}

/* ---- Immediates of rows with a signature ---- */

static uint8_t narrower(uint8_t a, uint8_t b)
{
    return a == VM_I64 && b == VM_I64 ? VM_I64 : VM_I32;
}

/* The memory exists; *type: of its addresses. without: what naming it is without multi_memory. */
static bool memory_address(struct validator *validator, uint32_t index, const char *without,
                           uint8_t *type)
{
    const struct vm_module *module = validator->module;
    if (validator->instruction.names_memory &&
        !validator_feature(validator, module->limits.features.multi_memory, without,
                           "multi_memory")) {
        return false;
    }
    if (index >= module->memory_count) {
        return validator_unknown(validator, "memory", index);
    }
    *type = (uint8_t)module_address_type(module->memories[index].is_64);
    return true;
}

static bool memory(struct validator *validator, uint32_t index, const char *without)
{
    return memory_address(validator, index, without, &validator->address[0]);
}

/* An offset that needs memory64, or would if the memory had 64-bit addresses. */
static bool wide_offset(struct validator *validator)
{
    enum leb_result narrow = validator->instruction.as.memarg.narrow;
    const char *text =
        narrow == LEB_TOO_LONG ? "integer representation too long" : "integer too large";
    if (!validator_feature(validator, validator->module->limits.features.memory64, text,
                           "memory64")) {
        return false;
    }
    return validator->address[0] == VM_I64 ||
           validator->instruction.as.memarg.offset <= UINT32_MAX ||
           validator_fail(validator, "offset out of range");
}

/* The memory argument: align is the exponent, natural the bytes of the row. */
static bool memarg(struct validator *validator, uint32_t natural)
{
    uint32_t align = validator->instruction.as.memarg.align;
    if (align >= 32) {
        return validator_fail(validator,
                              "malformed memop flags: alignment must not be larger than natural");
    }
    if ((uint64_t)1 << align > natural) {
        return validator_fail(validator, "alignment must not be larger than natural");
    }
    return memory(validator, validator->instruction.as.memarg.memory, "malformed memop flags") &&
           (validator->instruction.as.memarg.narrow == LEB_OK || wide_offset(validator));
}

static bool memory_copy(struct validator *validator)
{
    uint8_t *address = validator->address;
    if (!memory_address(validator, validator->instruction.as.pair.first, "zero byte expected",
                        &address[0]) ||
        !memory_address(validator, validator->instruction.as.pair.second, "zero byte expected",
                        &address[1])) {
        return false;
    }
    address[2] = narrower(address[0], address[1]);
    return true;
}

/* Without a data count section a single pass could not know (5.5.16). */
static bool known_data(struct validator *validator, uint32_t index)
{
    if (index >= validator->module->data_count) {
        return validator_unknown(validator, "data segment", index);
    }
    return validator->module->has_data_count ||
           validator_fail(validator, "data count section required");
}

static bool known_element(struct validator *validator, uint32_t index)
{
    return index < validator->module->element_count ||
           validator_unknown(validator, "elem segment", index);
}

static bool table_init(struct validator *validator)
{
    uint32_t element = validator->instruction.as.pair.first;
    uint32_t index = validator->instruction.as.pair.second;
    const struct vm_module *module = validator->module;
    if (!validate_table_index(validator, index, &validator->address[0]) ||
        !known_element(validator, element)) {
        return false;
    }
    return module->elements[element].type == module->tables[index].type ||
           validator_fail(validator, "type mismatch: segment and table");
}

static bool table_copy(struct validator *validator)
{
    uint32_t to = validator->instruction.as.pair.first;
    uint32_t from = validator->instruction.as.pair.second;
    uint8_t *address = validator->address;
    if (!validate_table_index(validator, to, &address[0]) ||
        !validate_table_index(validator, from, &address[1])) {
        return false;
    }
    address[2] = narrower(address[0], address[1]);
    return validator->module->tables[to].type == validator->module->tables[from].type ||
           validator_fail(validator, "type mismatch: tables of different types");
}

static bool lane(struct validator *validator, uint32_t lanes)
{
    return validator->instruction.lane < lanes || validator_fail(validator, "invalid lane index");
}

/* Lanes of two vectors. */
static bool shuffle(struct validator *validator)
{
    for (size_t i = 0; i < sizeof validator->instruction.as.v128; i++) {
        if (validator->instruction.as.v128[i] >= 2 * sizeof validator->instruction.as.v128) {
            return validator_fail(validator, "invalid lane index");
        }
    }
    return true;
}

bool validate_immediate(struct validator *validator, const struct opcode_info *info)
{
    switch ((int)info->immediate) {
    case OPCODE_MEM1:
        return memarg(validator, 1);
    case OPCODE_MEM2:
        return memarg(validator, 2);
    case OPCODE_MEM4:
        return memarg(validator, 4);
    case OPCODE_MEM8:
        return memarg(validator, 8);
    case OPCODE_MEM16:
        return memarg(validator, 16);
    case OPCODE_MEMORY:
        return memory(validator, validator->instruction.as.index, "zero byte expected");
    case OPCODE_MEMORY_COPY:
        return memory_copy(validator);
    case OPCODE_MEMORY_INIT:
        return memory(validator, validator->instruction.as.pair.second, "zero byte expected") &&
               known_data(validator, validator->instruction.as.pair.first);
    case OPCODE_DATA:
        return known_data(validator, validator->instruction.as.index);
    case OPCODE_ELEM:
        return known_element(validator, validator->instruction.as.index);
    case OPCODE_TABLE:
        return validate_table_index(validator, validator->instruction.as.index,
                                    &validator->address[0]);
    case OPCODE_TABLE_INIT:
        return table_init(validator);
    case OPCODE_TABLE_COPY:
        return table_copy(validator);
    case OPCODE_SHUFFLE:
        return shuffle(validator);
    case OPCODE_LANE2:
        return lane(validator, 2);
    case OPCODE_LANE4:
        return lane(validator, 4);
    case OPCODE_LANE8:
        return lane(validator, 8);
    case OPCODE_LANE16:
        return lane(validator, 16);
    case OPCODE_MEM1_LANE:
        return memarg(validator, 1) && lane(validator, 16);
    case OPCODE_MEM2_LANE:
        return memarg(validator, 2) && lane(validator, 8);
    case OPCODE_MEM4_LANE:
        return memarg(validator, 4) && lane(validator, 4);
    case OPCODE_MEM8_LANE:
        return memarg(validator, 8) && lane(validator, 2);
    default: /* constants are as good as they are */
        return true;
    }
}
