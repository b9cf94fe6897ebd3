/* constant.c: what a constant expression is (core spec 3.3.10, 4.5.4): its type, its value.
 *
 * One of several instructions adds, subtracts and multiplies numbers. It is kept as bytes, and
 * walked twice: with types before any instance is there, with values when one is made. Its operands
 * wait on a stack of CONSTANT_DEPTH, deeper than anybody nests such sums.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

#include <assert.h>

enum { CONSTANT_DEPTH = 128 };

static bool fail(struct err *err, uint32_t offset, const char *text)
{
    return err_set(err, ERR_INVALID_WASM, "%s at offset 0x%x", text, offset);
}

/* ---- Types ---- */

/* The type of a constant that is one instruction. */
static bool simple_type(const struct vm_module *module, const struct module_const *constant,
                        uint32_t globals, enum vm_type *out, struct err *err)
{
    switch (constant->kind) {
    case MODULE_CONST_VALUE:
        *out = constant->value.type;
        return true;
    case MODULE_CONST_FUNC:
        *out = VM_FUNCREF;
        return constant->index < module->func_count ||
               err_set(err, ERR_INVALID_WASM, "unknown function %u at offset 0x%x", constant->index,
                       constant->offset);
    case MODULE_CONST_GLOBAL:
        if (constant->index >= globals) {
            bool is_off =
                !module->limits.features.extended_const && constant->index < module->global_count;
            return err_set(err, ERR_INVALID_WASM, "unknown global %u%s at offset 0x%x",
                           constant->index, is_off ? ": the feature extended_const is off" : "",
                           constant->offset);
        }
        *out = module->globals[constant->index].type;
        return !module->globals[constant->index].is_mutable ||
               fail(err, constant->offset, "constant expression required");
    case MODULE_CONST_EXPRESSION:
        break;
    }
    assert(false && "an expression inside an expression");
    return false;
}

struct type_stack {
    enum vm_type types[CONSTANT_DEPTH];
    uint32_t count;
};

static bool push_type(struct type_stack *stack, enum vm_type type, uint32_t offset, struct err *err)
{
    if (stack->count == CONSTANT_DEPTH) {
        return err_set(err, ERR_LIMIT,
                       "constant expression depth: over the limit of %d at offset 0x%x",
                       CONSTANT_DEPTH, offset);
    }
    stack->types[stack->count++] = type;
    return true;
}

/* The operands and result of an addition and its like are of one type. */
static bool arithmetic_type(struct type_stack *stack, const struct instruction *instruction,
                            struct err *err)
{
    enum vm_type type = opcode_info(instruction->opcode)->signature[0] == 'i' ? VM_I32 : VM_I64;
    if (stack->count < 2 || stack->types[stack->count - 1] != type ||
        stack->types[stack->count - 2] != type) {
        return err_set(err, ERR_INVALID_WASM, "type mismatch: expected two of %s at offset 0x%x",
                       vm_type_name(type), instruction->offset);
    }
    stack->count--;
    return true;
}

static uint32_t code_offset(const struct vm_module *module, const struct module_const *constant)
{
    return (uint32_t)(constant->code.ptr - module->wasm.ptr);
}

static bool expression_type(const struct vm_module *module, const struct module_const *constant,
                            uint32_t globals, enum vm_type *out, struct err *err)
{
    struct reader reader = reader_of(constant->code);
    struct type_stack stack = {.count = 0};
    while (reader_left(&reader) > 0) {
        struct instruction instruction;
        struct module_const operand;
        enum vm_type type = VM_I32;
        if (!opcode_read(&reader, code_offset(module, constant), &instruction, err)) {
            return false;
        }
        bool is_good = module_const_of(&instruction, &operand)
                           ? simple_type(module, &operand, globals, &type, err) &&
                                 push_type(&stack, type, instruction.offset, err)
                           : arithmetic_type(&stack, &instruction, err);
        if (!is_good) {
            return false;
        }
    }
    if (stack.count != 1) {
        return fail(err, constant->offset, "type mismatch: a constant is one value");
    }
    *out = stack.types[0];
    return true;
}

bool constant_type(const struct vm_module *module, const struct module_const *constant,
                   uint32_t globals, enum vm_type *out, struct err *err)
{
    return constant->kind == MODULE_CONST_EXPRESSION
               ? expression_type(module, constant, globals, out, err)
               : simple_type(module, constant, globals, out, err);
}

/* ---- Values ---- */

static void simple_value(const struct vm_instance *instance, const struct module_const *constant,
                         uint64_t slots[static 2])
{
    switch (constant->kind) {
    case MODULE_CONST_VALUE:
        value_to_slots(&constant->value, slots);
        return;
    case MODULE_CONST_GLOBAL:
        slots[0] = instance->globals[constant->index]->value[0];
        slots[1] = instance->globals[constant->index]->value[1];
        return;
    case MODULE_CONST_FUNC:
        slots[0] = (uint64_t)(uintptr_t)instance->funcs[constant->index];
        return;
    case MODULE_CONST_EXPRESSION:
        break;
    }
    assert(false && "an expression inside an expression");
}

static uint64_t arithmetic_value(enum opcode opcode, uint64_t a, uint64_t b)
{
    switch ((int)opcode) {
    case OP_I32_ADD:
        return (uint32_t)(a + b);
    case OP_I32_SUB:
        return (uint32_t)(a - b);
    case OP_I32_MUL:
        return (uint32_t)(a * b);
    case OP_I64_ADD:
        return a + b;
    case OP_I64_SUB:
        return a - b;
    default:
        assert(opcode == OP_I64_MUL);
        return a * b;
    }
}

void constant_evaluate(const struct vm_instance *instance, const struct module_const *constant,
                       uint64_t slots[static 2])
{
    if (constant->kind != MODULE_CONST_EXPRESSION) {
        simple_value(instance, constant, slots);
        return;
    }
    struct reader reader = reader_of(constant->code);
    uint64_t stack[CONSTANT_DEPTH + 1]; /* a value may take two slots, though only one is used */
    uint32_t count = 0;
    while (reader_left(&reader) > 0) {
        struct instruction instruction;
        struct module_const operand;
        struct err err;
        bool is_read = opcode_read(&reader, 0, &instruction, &err);
        assert(is_read && "it was read before");
        (void)is_read;
        if (module_const_of(&instruction, &operand)) {
            assert(count < CONSTANT_DEPTH);
            simple_value(instance, &operand, &stack[count++]);
        } else {
            count--;
            stack[count - 1] = arithmetic_value(instruction.opcode, stack[count - 1], stack[count]);
        }
    }
    assert(count == 1);
    slots[0] = stack[0];
}
