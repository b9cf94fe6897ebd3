/* validate_body.c: the validation algorithm over one body (core spec, appendix A.3).
 *
 * One pass over the instructions; a row of opcodes.def with a signature is applied to the operand
 * stack as it stands there, the others have a rule in validate_control.c or validate_rules.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/validate.h"

#include <assert.h>
#include <string.h>

enum {
    STACK_ENTRIES_MIN = 64,
    STACK_SLACK = sizeof(uint32_t), /* operands are compared four at a time */
    VALUES_FREE = 65536,
    VALUES_OF_A_BYTE = 16, /* that take about as long as a byte of ordinary code */
};

bool validator_fail(struct validator *validator, const char *text)
{
    return err_set(validator->err, ERR_INVALID_WASM, "%s at offset 0x%x", text,
                   validator->instruction.offset);
}

bool validator_unknown(struct validator *validator, const char *what, uint32_t index)
{
    return err_set(validator->err, ERR_INVALID_WASM, "unknown %s %u at offset 0x%x", what, index,
                   validator->instruction.offset);
}

bool validator_feature(struct validator *validator, bool is_on, const char *text,
                       const char *feature)
{
    return is_on ||
           err_set(validator->err, ERR_INVALID_WASM, "%s: the feature %s is off at offset 0x%x",
                   text, feature, validator->instruction.offset);
}

bool validator_type(struct validator *validator, enum vm_type type)
{
    return type != VM_V128 || validator_feature(validator, validator->module->limits.features.simd,
                                                "malformed value type v128", "simd");
}

bool validator_limit(struct validator *validator, const char *limit, uint32_t max)
{
    return err_set(validator->err, ERR_LIMIT, "%s: over the limit of %u at offset 0x%x", limit, max,
                   validator->instruction.offset);
}

static bool mismatch(struct validator *validator, uint8_t expected, const char *found)
{
    return err_set(validator->err, ERR_INVALID_WASM,
                   "type mismatch: expected %s, found %s at offset 0x%x",
                   expected == VALIDATE_ANY ? "a value" : vm_type_name((enum vm_type)expected),
                   found, validator->instruction.offset);
}

/* ---- The stacks ---- */

/* Makes room for `count` entries, charged to the budget. */
static bool reserve(struct validator *validator, void **array, uint32_t *capacity, size_t count,
                    size_t entry_size)
{
    if (count <= *capacity) {
        return true;
    }
    size_t wanted = *capacity < STACK_ENTRIES_MIN ? STACK_ENTRIES_MIN : 2 * (size_t)*capacity;
    wanted = wanted < count ? count : wanted;
    size_t added = (wanted - *capacity) * entry_size;
    if (!budget_charge(validator->budget, added)) {
        return err_set(validator->err, ERR_NO_MEMORY, "no memory to validate a function");
    }
    void *grown = heap_resize(*array, wanted * entry_size);
    if (grown == NULL) {
        budget_release(validator->budget, added);
        return err_set(validator->err, ERR_NO_MEMORY, "no memory to validate a function");
    }
    *array = grown;
    *capacity = (uint32_t)wanted;
    return true;
}

static bool reserve_operand(struct validator *validator)
{
    if (validator->operand_count == validator->operand_max) {
        return validator_limit(validator, "stack_bytes_max",
                               validator->module->limits.stack_bytes_max);
    }
    void *operands = validator->operands;
    bool is_reserved =
        reserve(validator, &operands, &validator->operand_capacity,
                (size_t)validator->operand_count + 1 + STACK_SLACK, sizeof *validator->operands);
    validator->operands = operands;
    if (is_reserved) {
        uint32_t room = validator->operand_capacity - STACK_SLACK;
        validator->operand_room = room < validator->operand_max ? room : validator->operand_max;
    }
    return is_reserved;
}

bool validator_push(struct validator *validator, uint8_t type)
{
    if (validator->operand_count >= validator->operand_room && !reserve_operand(validator)) {
        return false;
    }
    validator->operands[validator->operand_count++] = type;
    return true;
}

bool validator_pop(struct validator *validator, uint8_t expected)
{
    const struct validate_frame *frame = validator_frame(validator);
    if (validator->operand_count == frame->height) {
        return frame->is_unreachable || mismatch(validator, expected, "nothing");
    }
    uint8_t found = validator->operands[--validator->operand_count];
    return found == expected || found == VALIDATE_ANY || expected == VALIDATE_ANY ||
           mismatch(validator, expected, vm_type_name((enum vm_type)found));
}

bool validator_pop_any(struct validator *validator, uint8_t *type)
{
    const struct validate_frame *frame = validator_frame(validator);
    bool is_empty = validator->operand_count == frame->height;
    *type = is_empty ? VALIDATE_ANY : validator->operands[validator->operand_count - 1];
    return validator_pop(validator, VALIDATE_ANY);
}

/* A few bytes can pass a thousand values: what that amounts to is bounded by the body's size. */
bool validator_pass_values(struct validator *validator, uint32_t count)
{
    validator->values += count;
    return validator->values <= validator->values_max ||
           validator_limit(validator, "values_per_byte_max",
                           validator->module->limits.values_per_byte_max);
}

bool validator_push_types(struct validator *validator, struct validate_types types)
{
    if (!validator_pass_values(validator, types.count)) {
        return false;
    }
    for (uint32_t i = 0; i < types.count; i++) {
        if (!validator_push(validator, (uint8_t)types.types[i])) {
            return false;
        }
    }
    return true;
}

bool validator_pop_types(struct validator *validator, struct validate_types types)
{
    if (!validator_pass_values(validator, types.count)) {
        return false;
    }
    for (uint32_t i = types.count; i > 0; i--) {
        if (!validator_pop(validator, (uint8_t)types.types[i - 1])) {
            return false;
        }
    }
    return true;
}

bool validator_push_frame(struct validator *validator, enum opcode opcode,
                          struct validate_types params, struct validate_types results)
{
    uint32_t nesting_max = validator->module->limits.nesting_max;
    if (validator->frame_count > nesting_max) { /* the body itself is a frame, but no nesting */
        return validator_limit(validator, "nesting_max", nesting_max);
    }
    void *frames = validator->frames;
    bool is_reserved = reserve(validator, &frames, &validator->frame_capacity,
                               (size_t)validator->frame_count + 1, sizeof *validator->frames);
    validator->frames = frames;
    if (!is_reserved) {
        return false;
    }
    validator->frames[validator->frame_count++] = (struct validate_frame){
        .params = params,
        .results = results,
        .height = validator->operand_count,
        .opcode = opcode,
    };
    return validator_push_types(validator, params);
}

void validator_set_unreachable(struct validator *validator)
{
    struct validate_frame *frame = validator_frame(validator);
    validator->operand_count = frame->height;
    frame->is_unreachable = true;
}

/* ---- A body ---- */

/* The letters of a signature. */
static const uint8_t letter_types[128] = {
    ['i'] = VM_I32, ['I'] = VM_I64, ['f'] = VM_F32, ['F'] = VM_F64, ['v'] = VM_V128,
};

static uint8_t letter_type(const struct validator *validator, char letter)
{
    return letter >= 'a' && letter <= 'c' ? validator->address[letter - 'a']
                                          : letter_types[(unsigned char)letter];
}

static bool apply_signature(struct validator *validator, const char *signature)
{
    const char *colon = signature;
    while (*colon != ':') {
        colon++;
    }
    for (const char *letter = colon; letter > signature; letter--) {
        if (!validator_pop(validator, letter_type(validator, letter[-1]))) {
            return false;
        }
    }
    for (const char *letter = colon + 1; *letter != '\0'; letter++) {
        if (!validator_push(validator, letter_type(validator, *letter))) {
            return false;
        }
    }
    return true;
}

/* Where addresses have 64 bits, what an address is depends on the instruction. */
static bool has_wide(const struct vm_module *module)
{
    bool is_wide = false;
    for (uint32_t i = 0; i < module->memory_count; i++) {
        is_wide = is_wide || module->memories[i].is_64;
    }
    for (uint32_t i = 0; i < module->table_count; i++) {
        is_wide = is_wide || module->tables[i].is_64;
    }
    return is_wide;
}

/* 0: not always the same. */
static uint8_t quick_type(char letter, bool is_wide)
{
    bool is_address = letter >= 'a' && letter <= 'c';
    return is_address && !is_wide ? VM_I32 : letter_types[(unsigned char)letter];
}

static void make_signature(struct validate_signature *out, const char *text, bool is_wide)
{
    const char *letter = text;
    bool is_known = true;
    *out = (struct validate_signature){.state = VALIDATE_NOT_QUICK};
    for (; *letter != ':' && out->pops < sizeof out->types; letter++) {
        uint8_t type = quick_type(*letter, is_wide);
        is_known = is_known && type != 0;
        out->types |= (uint32_t)type << 8 * out->pops;
        out->mask |= (uint32_t)0xff << 8 * out->pops;
        out->pops++;
    }
    if (is_known && letter[0] == ':' && (letter[1] == '\0' || letter[2] == '\0')) {
        out->push = quick_type(letter[1], is_wide);
        out->pushes = letter[1] != '\0';
        out->state = out->pushes == 0 || out->push != 0 ? VALIDATE_QUICK : VALIDATE_NOT_QUICK;
    }
}

/* The operands are there, are just what the row asks for, and there is room for the result: one
 * comparison. False: look closer. */
static inline bool apply_quickly(struct validator *validator, const char *signature)
{
    struct validate_signature *quick = &validator->signatures[validator->instruction.opcode];
    if (quick->state == VALIDATE_NOT_MADE) {
        make_signature(quick, signature, validator->is_wide);
    }
    uint32_t count = validator->operand_count;
    if (quick->state != VALIDATE_QUICK || count >= validator->operand_room ||
        count - validator_frame(validator)->height < quick->pops) {
        return false;
    }
    uint32_t found;
    uint8_t *lowest = validator->operands + (count - quick->pops);
    memcpy(&found, lowest, sizeof found);
    if (((found ^ quick->types) & quick->mask) != 0) {
        return false;
    }
    *lowest = quick->push;
    validator->operand_count = count - quick->pops + quick->pushes;
    return true;
}

static bool validate_instruction(struct validator *validator)
{
    const struct opcode_info *info = opcode_info(validator->instruction.opcode);
    if (info->prefix == OPCODE_PREFIX_SIMD &&
        !validator_feature(validator, validator->module->limits.features.simd, "illegal opcode",
                           "simd")) {
        return false;
    }
    if (info->signature[0] != '*') {
        return validate_immediate(validator, info) && (apply_quickly(validator, info->signature) ||
                                                       apply_signature(validator, info->signature));
    }
    return validator->instruction.opcode <= OP_RETURN_CALL_INDIRECT ? validate_control(validator)
                                                                    : validate_variable(validator);
}

/* Spreads params and local runs out, a byte each. */
static bool set_locals(struct validator *validator, const struct module_func *func)
{
    void *locals = validator->locals;
    bool is_reserved = reserve(validator, &locals, &validator->local_capacity, func->local_count,
                               sizeof *validator->locals);
    validator->locals = locals;
    if (!is_reserved) {
        return false;
    }
    uint32_t count = 0;
    for (; count < func->type->param_count; count++) {
        validator->locals[count] = (uint8_t)func->type->types[count];
    }
    for (uint32_t i = 0; i < func->local_run_count; i++) {
        const struct module_local_run *run = &func->local_runs[i];
        if (run->count > 0) {
            memset(validator->locals + count, (int)run->type, run->count);
        }
        count += run->count;
    }
    assert(count == func->local_count);
    return true;
}

static bool begin_body(struct validator *validator, const struct module_func *func)
{
    /* Not only the body: one that goes on past its size ends elsewhere than it should. */
    const struct bytes *wasm = &validator->module->wasm;
    validator->reader = reader_of(bytes_of(func->body.ptr, wasm->size - func->body_offset));
    const struct validate_types results = {func->type->types + func->type->param_count,
                                           func->type->result_count};
    validator->func = func;
    validator->operand_count = 0;
    validator->frame_count = 0;
    validator->values = 0;
    validator->loop_offset = 0;
    validator->values_max =
        VALUES_FREE + (uint64_t)validator->module->limits.values_per_byte_max * func->body.size;
    validator->instruction.offset = func->body_offset;
    return set_locals(validator, func) &&
           validator_push_frame(validator, OP_BLOCK, (struct validate_types){NULL, 0}, results);
}

/* The work since `begin`, in bytes of ordinary code. */
static inline size_t work_since(const struct validator *validator, const struct reader *reader,
                                const uint8_t *begin, uint64_t values)
{
    return (size_t)(reader->ptr - begin) + (size_t)(validator->values - values) / VALUES_OF_A_BYTE;
}

static bool continue_body(struct validator *validator, size_t *left)
{
    struct reader reader = validator->reader;
    const uint8_t *begin = reader.ptr;
    uint64_t values = validator->values;
    uint32_t body_offset = validator->func->body_offset;
    while (validator->frame_count > 0 && work_since(validator, &reader, begin, values) < *left) {
        if (!opcode_read(&reader, body_offset, &validator->instruction, validator->err) ||
            !validate_instruction(validator)) {
            return false;
        }
    }
    size_t work = work_since(validator, &reader, begin, values);
    validator->reader = reader;
    *left -= work < *left ? work : *left;
    return validator->frame_count > 0 || reader_offset(&reader) == validator->func->body.size ||
           validator_fail(validator, "section size mismatch");
}

bool validator_begin(struct validator *validator, uint32_t function_index, struct err *err)
{
    validator->err = err;
    return begin_body(validator, &validator->module->funcs[function_index]) ||
           module_err_in_func(err, function_index);
}

bool validator_continue(struct validator *validator, size_t *left, bool *is_done, struct err *err)
{
    validator->err = err;
    if (!continue_body(validator, left)) {
        return module_err_in_func(err, (uint32_t)(validator->func - validator->module->funcs));
    }
    *is_done = validator->frame_count == 0;
    return true;
}

uint32_t validator_loop(const struct validator *validator)
{
    return validator->loop_offset;
}

struct validator *validator_new(const struct vm_module *module, struct budget *budget)
{
    if (!budget_charge(budget, sizeof(struct validator))) {
        return NULL;
    }
    struct validator *validator = HEAP_NEW(struct validator);
    if (validator == NULL) {
        budget_release(budget, sizeof *validator);
        return NULL;
    }
    validator->module = module;
    validator->budget = budget;
    validator->is_wide = has_wide(module);
    validator->operand_max = module->limits.stack_bytes_max / sizeof(uint64_t);
    return validator;
}

void validator_free(struct validator *validator)
{
    if (validator == NULL) {
        return;
    }
    budget_release(validator->budget, sizeof *validator + validator->operand_capacity +
                                          validator->frame_capacity * sizeof *validator->frames +
                                          validator->local_capacity);
    heap_free(validator->operands);
    heap_free(validator->frames);
    heap_free(validator->locals);
    heap_free(validator);
}
