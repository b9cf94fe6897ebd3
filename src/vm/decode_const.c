/* decode_const.c: constant expressions (core spec 3.3.10, 5.4.9).
 *
 * Nearly all are one instruction and an end, which struct module_const holds; of any other only the
 * bytes are kept. What is no constant instruction is refused here; types and indices are checked by
 * validate.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

#include <string.h>

bool module_const_of(const struct instruction *instruction, struct module_const *out)
{
    *out = (struct module_const){.offset = instruction->offset};
    struct vm_value *value = &out->value;
    switch ((int)instruction->opcode) {
    case OP_I32_CONST:
        value->type = VM_I32;
        value->as.i32 = instruction->as.i32;
        return true;
    case OP_I64_CONST:
        value->type = VM_I64;
        value->as.i64 = instruction->as.i64;
        return true;
    case OP_F32_CONST:
        value->type = VM_F32;
        value->as.f32 = instruction->as.f32;
        return true;
    case OP_F64_CONST:
        value->type = VM_F64;
        value->as.f64 = instruction->as.f64;
        return true;
    case OP_V128_CONST:
        value->type = VM_V128;
        memcpy(value->as.v128, instruction->as.v128, sizeof value->as.v128);
        return true;
    case OP_REF_NULL:
        value->type = (enum vm_type)instruction->as.index;
        return true;
    case OP_REF_FUNC:
        out->kind = MODULE_CONST_FUNC;
        out->index = instruction->as.index;
        return true;
    case OP_GLOBAL_GET:
        out->kind = MODULE_CONST_GLOBAL;
        out->index = instruction->as.index;
        return true;
    default:
        return false;
    }
}

void decode_declare_func(struct vm_module *module, uint32_t index)
{
    if (index < module->func_count) {
        module->funcs[index].is_declared = true;
    }
}

/* The constant instructions that take operands. */
static bool is_arithmetic(enum opcode opcode)
{
    return opcode == OP_I32_ADD || opcode == OP_I32_SUB || opcode == OP_I32_MUL ||
           opcode == OP_I64_ADD || opcode == OP_I64_SUB || opcode == OP_I64_MUL;
}

static bool const_fail(struct err *err, const struct instruction *instruction, const char *text)
{
    return err_set(err, ERR_INVALID_WASM, "%s at offset 0x%x", text, instruction->offset);
}

static bool const_instruction(struct vm_module *module, const struct instruction *instruction,
                              struct module_const *out, struct err *err)
{
    if (!module_const_of(instruction, out)) {
        if (!is_arithmetic(instruction->opcode)) {
            return const_fail(err, instruction, "constant expression required");
        }
        return module->limits.features.extended_const ||
               const_fail(err, instruction,
                          "constant expression required: the feature extended_const is off");
    }
    if (out->kind == MODULE_CONST_FUNC) {
        decode_declare_func(module, out->index);
    }
    return true;
}

static bool check_size(const struct vm_module *module, const struct reader *first,
                       const struct reader *next, struct err *err)
{
    size_t size = (size_t)(next->ptr - first->ptr);
    return size <= module->limits.constant_bytes_max ||
           decode_limit(first, err, "constant_bytes_max", size, module->limits.constant_bytes_max);
}

bool decode_const(struct vm_module *module, struct reader *reader, struct module_const *out,
                  struct err *err)
{
    struct instruction instruction;
    struct reader at = *reader;
    enum opcode first = OP_END;
    uint32_t count = 0;
    for (;; count++) {
        if (!opcode_read(reader, 0, &instruction, err) || !check_size(module, &at, reader, err)) {
            return false;
        }
        if (instruction.opcode == OP_END) {
            break;
        }
        first = count == 0 ? instruction.opcode : first;
        if (!const_instruction(module, &instruction, out, err)) {
            return false;
        }
    }
    if (count == 1 && !is_arithmetic(first)) {
        return true;
    }
    if (!module->limits.features.extended_const) {
        return decode_fail(&at, err, "type mismatch: a constant is one value");
    }
    *out = (struct module_const){
        .kind = MODULE_CONST_EXPRESSION,
        .offset = (uint32_t)reader_offset(&at),
        .code = bytes_of(at.ptr, (size_t)(reader->ptr - at.ptr) - 1),
    };
    return true;
}
