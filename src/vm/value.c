/* value.c: value types, values between the embedder's form and 64-bit slots, traps by name, and the
 * limits that hold when nobody sets others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

#include <assert.h>
#include <string.h>

const struct vm_limits vm_limits_default = {
    .features =
        {
            .simd = true,
            .tail_call = true,
            .extended_const = true,
            .multi_memory = true,
            .memory64 = true,
        },
    .module_bytes_max = 64u << 20,
    .types_max = 10000,
    .functions_max = 200000,
    .tables_max = 100,
    .memories_max = 100,
    .globals_max = 100000,
    .imports_max = 100000,
    .exports_max = 100000,
    .segments_max = 100000,
    .params_max = 1000,
    .results_max = 1000,
    .locals_max = 50000,
    .function_bytes_max = 8u << 20,
    .constant_bytes_max = 4096,
    .nesting_max = 10000,
    .br_table_max = 65536,
    .values_per_byte_max = 16,
    .name_bytes_max = 100000,
    .code_bytes_max = 512u << 20,
    .memory_pages_max = 65536,
    .memory_pages_total_max = UINT32_MAX,
    .table_elements_max = 10000000,
    .call_depth_max = 50000,
    .stack_bytes_max = 8u << 20,
    .memory_limit_traps = false,
};

const char *vm_type_name(enum vm_type type)
{
    switch (type) {
    case VM_I32:
        return "i32";
    case VM_I64:
        return "i64";
    case VM_F32:
        return "f32";
    case VM_F64:
        return "f64";
    case VM_V128:
        return "v128";
    case VM_FUNCREF:
        return "funcref";
    case VM_EXTERNREF:
        return "externref";
    }
    return "?";
}

bool vm_type_is_reference(uint8_t byte)
{
    return byte == VM_FUNCREF || byte == VM_EXTERNREF;
}

bool vm_type_is_value(uint8_t byte)
{
    return (byte >= VM_V128 && byte <= VM_I32) || vm_type_is_reference(byte);
}

bool vm_func_type_equal(const struct vm_func_type *a, const struct vm_func_type *b)
{
    size_t count = (size_t)a->param_count + a->result_count;
    return a->param_count == b->param_count && a->result_count == b->result_count &&
           (count == 0 || memcmp(a->types, b->types, count * sizeof a->types[0]) == 0);
}

uint32_t vm_type_slots(enum vm_type type)
{
    return type == VM_V128 ? 2 : 1;
}

void value_to_slots(const struct vm_value *value, uint64_t *slots)
{
    switch (value->type) {
    case VM_I32:
        slots[0] = value->as.i32;
        return;
    case VM_I64:
        slots[0] = value->as.i64;
        return;
    case VM_F32:
        slots[0] = value->as.f32;
        return;
    case VM_F64:
        slots[0] = value->as.f64;
        return;
    case VM_V128:
        memcpy(slots, value->as.v128, sizeof value->as.v128);
        return;
    case VM_FUNCREF:
        slots[0] = (uint64_t)(uintptr_t)value->as.funcref;
        return;
    case VM_EXTERNREF:
        slots[0] = value->as.externref;
        return;
    }
    assert(false && "a value without a type");
}

struct vm_value value_from_slots(enum vm_type type, const uint64_t *slots)
{
    struct vm_value value = {.type = type};
    switch (type) {
    case VM_I32:
        value.as.i32 = (uint32_t)slots[0];
        break;
    case VM_I64:
        value.as.i64 = slots[0];
        break;
    case VM_F32:
        value.as.f32 = (uint32_t)slots[0];
        break;
    case VM_F64:
        value.as.f64 = slots[0];
        break;
    case VM_V128:
        memcpy(value.as.v128, slots, sizeof value.as.v128);
        break;
    case VM_FUNCREF:
        value.as.funcref = (const struct vm_func *)(uintptr_t)slots[0];
        break;
    case VM_EXTERNREF:
        value.as.externref = slots[0];
        break;
    }
    return value;
}

/* ---- Traps ---- */

static const struct {
    const char *name;
    const char *text;
    enum err_code code;
} traps[] = {
    [VM_TRAP_NONE] = {"NONE", "none", ERR_NONE},
#define TRAP(name, error_code, text) [VM_TRAP_##name] = {#name, text, ERR_##error_code},
#include "vm/traps.def"
#undef TRAP
};

const char *vm_trap_text(enum vm_trap trap)
{
    return traps[trap].text;
}

const char *vm_trap_name(enum vm_trap trap)
{
    return traps[trap].name;
}

enum err_code vm_trap_error_code(enum vm_trap trap)
{
    return traps[trap].code;
}
