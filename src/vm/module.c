/* module.c: what others may ask of a loaded module, and its reference count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/module.h"

#include <assert.h>

struct vm_module *vm_module_ref(struct vm_module *module)
{
    atomic_fetch_add_explicit(&module->references, 1, memory_order_relaxed);
    return module;
}

bool vm_module_is_shared(const struct vm_module *module)
{
    return atomic_load_explicit(&module->references, memory_order_acquire) > 1;
}

bool vm_module_charge_to(struct vm_module *module, struct budget *budget)
{
    assert(!vm_module_is_shared(module));
    return arena_charge_to(&module->arena, budget);
}

void vm_module_unref_to(struct vm_module *module, struct arena *rest)
{
    arena_init(rest, NULL);
    if (module != NULL &&
        atomic_fetch_sub_explicit(&module->references, 1, memory_order_acq_rel) == 1) {
        *rest = module->arena; /* the module lies in it */
    }
}

void vm_module_unref(struct vm_module *module)
{
    struct arena rest;
    vm_module_unref_to(module, &rest);
    arena_release_wiped(&rest); /* somebody's program, sent encrypted */
}

bool module_err_in_func(struct err *err, uint32_t index)
{
    const struct err cause = *err;
    return err_set(err, cause.code, "%s in function %u", cause.message, index);
}

struct vm_extern_type module_extern_type(const struct vm_module *module, enum vm_extern_kind kind,
                                         uint32_t index)
{
    struct vm_extern_type type = {.kind = kind};
    switch (kind) {
    case VM_EXTERN_FUNC:
        type.func = *module->funcs[index].type;
        break;
    case VM_EXTERN_TABLE:
        type.type = module->tables[index].type;
        type.is_64 = module->tables[index].is_64;
        type.min = module->tables[index].min;
        type.max = module->tables[index].max;
        break;
    case VM_EXTERN_MEMORY:
        type.is_64 = module->memories[index].is_64;
        type.min = module->memories[index].min;
        type.max = module->memories[index].max;
        break;
    case VM_EXTERN_GLOBAL:
        type.type = module->globals[index].type;
        type.is_mutable = module->globals[index].is_mutable;
        break;
    }
    return type;
}

uint32_t vm_module_import_count(const struct vm_module *module)
{
    return module->import_count;
}

struct vm_import vm_module_import(const struct vm_module *module, uint32_t index)
{
    assert(index < module->import_count);
    return module->imports[index];
}

uint32_t vm_module_export_count(const struct vm_module *module)
{
    return module->export_count;
}

struct vm_export vm_module_export(const struct vm_module *module, uint32_t index)
{
    assert(index < module->export_count);
    struct vm_export out = module->exports[index];
    out.type = module_extern_type(module, out.type.kind, out.index);
    return out;
}

bool vm_module_find_export(const struct vm_module *module, struct bytes name, struct vm_export *out)
{
    uint32_t low = 0;
    uint32_t high = module->export_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct vm_export *export = module->exports_by_name[middle];
        int order = module_name_compare(export->name, name);
        if (order == 0) {
            *out = vm_module_export(module, (uint32_t)(export - module->exports));
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

struct bytes vm_module_function_name(const struct vm_module *module, uint32_t function_index)
{
    assert(function_index < module->func_count);
    return module->func_names != NULL ? module->func_names[function_index] : bytes_of(NULL, 0);
}

void vm_module_facts(const struct vm_module *module, struct vm_module_facts *out)
{
    *out = (struct vm_module_facts){
        .type_count = module->type_count,
        .function_count = module->func_count,
        .table_count = module->table_count,
        .memory_count = module->memory_count,
        .global_count = module->global_count,
        .data_count = module->data_count,
        .element_count = module->element_count,
        .wasm_bytes = module->wasm.size,
        .code_bytes = module->code_bytes,
        .memory_bytes = module->arena.charged,
        .has_start = module->has_start,
        .start_function = module->start,
    };
    for (uint32_t i = module->func_import_count; i < module->func_count; i++) {
        out->body_bytes += module->funcs[i].body.size;
    }
}
