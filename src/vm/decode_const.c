/* decode_const.c: constant expressions (core spec 3.3.10, 5.4.9).
 *
 * In WebAssembly 2.0 a constant expression that is valid is one instruction of a few kinds and an
 * end, and struct module_const can say nothing else. So an expression of another shape is refused
 * here; types and indices are validate.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

/* False when the instruction is not constant. */
static bool const_from(const struct instruction *instruction, struct module_const *out)
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

bool decode_const(struct vm_module *module, struct reader *reader, struct module_const *out,
                  struct err *err)
{
    struct instruction instruction;
    struct reader at = *reader;
    uint32_t count = 0;
    for (;; count++) {
        if (!opcode_read(reader, 0, &instruction, err)) {
            return false;
        }
        if (instruction.opcode == OP_END) {
            break;
        }
        if (!const_from(&instruction, out)) {
            return err_set(err, ERR_INVALID_WASM, "constant expression required at offset 0x%x",
                           instruction.offset);
        }
        if (out->kind == MODULE_CONST_FUNC) {
            decode_declare_func(module, out->index);
        }
    }
    return count == 1 || decode_fail(&at, err, "type mismatch: a constant is one value");
}
