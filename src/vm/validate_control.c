/* validate_control.c: blocks, branches and calls (core spec 3.3.8, appendix A.3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/validate.h"

static struct validate_types params_of(const struct vm_func_type *type)
{
    return (struct validate_types){type->types, type->param_count};
}

static struct validate_types results_of(const struct vm_func_type *type)
{
    return (struct validate_types){type->types + type->param_count, type->result_count};
}

/* A block type that is one value type needs that type to point to. */
static const enum vm_type *single_type(uint8_t byte)
{
    static const enum vm_type types[] = {VM_I32,  VM_I64,     VM_F32,      VM_F64,
                                         VM_V128, VM_FUNCREF, VM_EXTERNREF};
    size_t i = 0;
    while ((uint8_t)types[i] != byte) {
        i++;
    }
    return &types[i];
}

static bool block_types(struct validator *validator, struct validate_types *params,
                        struct validate_types *results)
{
    int64_t block_type = validator->instruction.as.block_type;
    *params = (struct validate_types){NULL, 0};
    *results = (struct validate_types){NULL, 0};
    if (block_type >= (int64_t)validator->module->type_count) {
        return validator_unknown(validator, "type", (uint32_t)block_type);
    }
    if (block_type >= 0) {
        *params = params_of(&validator->module->types[block_type]);
        *results = results_of(&validator->module->types[block_type]);
    } else if (block_type != -64) {
        *results = (struct validate_types){single_type((uint8_t)(block_type & 0x7f)), 1};
        return validator_type(validator, results->types[0]);
    }
    return true;
}

static bool begin_block(struct validator *validator, enum opcode opcode)
{
    struct validate_types params, results;
    if (opcode == OP_LOOP && validator->loop_offset == 0) {
        validator->loop_offset = validator->instruction.offset;
    }
    return block_types(validator, &params, &results) &&
           (opcode != OP_IF || validator_pop(validator, VM_I32)) &&
           validator_pop_types(validator, params) &&
           validator_push_frame(validator, opcode, params, results);
}

/* Takes the results of the innermost frame, after which nothing may be left, and closes it. */
static bool pop_frame(struct validator *validator, struct validate_frame *out)
{
    const struct validate_frame *frame = validator_frame(validator);
    if (!validator_pop_types(validator, frame->results)) {
        return false;
    }
    if (validator->operand_count != frame->height) {
        return validator_fail(validator, "type mismatch: values remain at the end of a block");
    }
    *out = *frame;
    validator->frame_count--;
    return true;
}

static bool else_block(struct validator *validator)
{
    struct validate_frame frame = {.height = 0};
    if (validator_frame(validator)->opcode != OP_IF) {
        return validator_fail(validator, "END opcode expected: else without if");
    }
    return pop_frame(validator, &frame) &&
           validator_push_frame(validator, OP_ELSE, frame.params, frame.results);
}

static bool types_equal(struct validate_types a, struct validate_types b)
{
    bool is_equal = a.count == b.count;
    for (uint32_t i = 0; is_equal && i < a.count; i++) {
        is_equal = a.types[i] == b.types[i];
    }
    return is_equal;
}

/* An `if` without else gives its params as results. */
static bool end_block(struct validator *validator)
{
    struct validate_frame frame = {.height = 0};
    if (!pop_frame(validator, &frame)) {
        return false;
    }
    if (frame.opcode == OP_IF && !types_equal(frame.params, frame.results)) {
        return validator_fail(validator, "type mismatch: if without else has other results");
    }
    return validator->frame_count == 0 || validator_push_types(validator, frame.results);
}

/* ---- Branches ---- */

static bool find_label(struct validator *validator, uint32_t label, struct validate_frame **out)
{
    if (label >= validator->frame_count) {
        return validator_unknown(validator, "label", label);
    }
    *out = &validator->frames[validator->frame_count - 1 - label];
    return true;
}

static struct validate_types label_types(const struct validate_frame *frame)
{
    return frame->opcode == OP_LOOP ? frame->params : frame->results;
}

static bool branch(struct validator *validator, bool is_conditional)
{
    struct validate_frame *frame = NULL;
    if (!find_label(validator, validator->instruction.as.index, &frame) ||
        (is_conditional && !validator_pop(validator, VM_I32)) ||
        !validator_pop_types(validator, label_types(frame))) {
        return false;
    }
    if (is_conditional) {
        return validator_push_types(validator, label_types(frame));
    }
    validator_set_unreachable(validator);
    return true;
}

/* Looks at the operands without taking them: below what the frame holds, unreachable code has
 * whatever is asked for. */
static bool peek_types(struct validator *validator, struct validate_types types)
{
    uint32_t count = validator->operand_count;
    if (!validator_pop_types(validator, types)) {
        return false;
    }
    validator->operand_count = count;
    return true;
}

static bool br_table_label(struct validator *validator, struct reader *labels,
                           struct validate_frame **frame)
{
    uint32_t label;
    bool is_read = reader_leb_u32(labels, &label) == LEB_OK; /* opcode_read has read them before */
    return is_read && find_label(validator, label, frame);
}

/* However often a label is listed, it is looked at once: listing is cheap, types may be many. */
static bool br_table(struct validator *validator)
{
    uint32_t count = validator->instruction.as.vector.count;
    uint32_t max = validator->module->limits.br_table_max;
    struct reader labels = reader_of(validator->instruction.as.vector.labels);
    struct validate_frame *frame = NULL;
    uint32_t arity = 0;
    if (count > max) {
        return validator_limit(validator, "br_table_max", max);
    }
    if (!validator_pop(validator, VM_I32)) {
        return false;
    }
    validator->br_table++;
    for (uint32_t i = 0; i <= count; i++) {
        if (!br_table_label(validator, &labels, &frame)) {
            return false;
        }
        struct validate_types types = label_types(frame);
        if (i > 0 && types.count != arity) {
            return validator_fail(validator, "type mismatch: labels of different arity");
        }
        arity = types.count;
        if (frame->br_table != validator->br_table && !peek_types(validator, types)) {
            return false;
        }
        frame->br_table = validator->br_table;
    }
    validator_set_unreachable(validator);
    return true;
}

static bool return_from(struct validator *validator)
{
    if (!validator_pop_types(validator, validator->frames[0].results)) {
        return false;
    }
    validator_set_unreachable(validator);
    return true;
}

/* ---- Calls ---- */

static bool direct_type(struct validator *validator, const struct vm_func_type **out)
{
    uint32_t index = validator->instruction.as.index;
    if (index >= validator->module->func_count) {
        return validator_unknown(validator, "function", index);
    }
    *out = validator->module->funcs[index].type;
    return true;
}

/* Takes the index, too. */
static bool indirect_type(struct validator *validator, const struct vm_func_type **out)
{
    const struct vm_module *module = validator->module;
    uint32_t type = validator->instruction.as.pair.first;
    uint32_t table = validator->instruction.as.pair.second;
    uint8_t index_type;
    if (!validate_table_index(validator, table, &index_type)) {
        return false;
    }
    if (module->tables[table].type != VM_FUNCREF) {
        return validator_fail(validator, "type mismatch: call through a table of no functions");
    }
    if (type >= module->type_count) {
        return validator_unknown(validator, "type", type);
    }
    *out = &module->types[type];
    return validator_pop(validator, index_type);
}

static bool call(struct validator *validator, bool is_indirect)
{
    const struct vm_func_type *type = NULL;
    return (is_indirect ? indirect_type(validator, &type) : direct_type(validator, &type)) &&
           validator_pop_types(validator, params_of(type)) &&
           validator_push_types(validator, results_of(type));
}

/* A call and a return: its results must be the function's own, and nothing comes after it. */
static bool tail_call(struct validator *validator, bool is_indirect)
{
    const struct vm_func_type *type = NULL;
    if (!validator_feature(validator, validator->module->limits.features.tail_call,
                           "illegal opcode", "tail_call") ||
        !(is_indirect ? indirect_type(validator, &type) : direct_type(validator, &type))) {
        return false;
    }
    if (!types_equal(results_of(type), validator->frames[0].results)) {
        return validator_fail(validator, "type mismatch: a tail call with other results");
    }
    if (!validator_pop_types(validator, params_of(type)) ||
        !validator_pass_values(validator, type->result_count)) {
        return false;
    }
    validator_set_unreachable(validator);
    return true;
}

bool validate_control(struct validator *validator)
{
    switch ((int)validator->instruction.opcode) {
    case OP_UNREACHABLE:
        validator_set_unreachable(validator);
        return true;
    case OP_BLOCK:
    case OP_LOOP:
    case OP_IF:
        return begin_block(validator, validator->instruction.opcode);
    case OP_ELSE:
        return else_block(validator);
    case OP_END:
        return end_block(validator);
    case OP_BR:
        return branch(validator, false);
    case OP_BR_IF:
        return branch(validator, true);
    case OP_BR_TABLE:
        return br_table(validator);
    case OP_RETURN:
        return return_from(validator);
    case OP_CALL:
        return call(validator, false);
    case OP_CALL_INDIRECT:
        return call(validator, true);
    case OP_RETURN_CALL:
        return tail_call(validator, false);
    case OP_RETURN_CALL_INDIRECT:
        return tail_call(validator, true);
    default:
        return validator_fail(validator, "illegal opcode: no rule");
    }
}
