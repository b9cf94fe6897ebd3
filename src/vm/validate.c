/* validate.c: what must hold of a module beside its bodies (core spec 3.2, 3.4): limits, constants,
 * indices of exports, segments and the start function.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/module.h"

static bool fail(struct err *err, uint32_t offset, const char *text)
{
    return err_set(err, ERR_INVALID_WASM, "%s at offset 0x%x", text, offset);
}

static bool unknown(struct err *err, uint32_t offset, const char *what, uint32_t index)
{
    return err_set(err, ERR_INVALID_WASM, "unknown %s %u at offset 0x%x", what, index, offset);
}

static bool validate_tables(const struct vm_module *module, struct err *err)
{
    for (uint32_t i = 0; i < module->table_count; i++) {
        const struct module_table *table = &module->tables[i];
        if (!table->is_64 &&
            (table->min > UINT32_MAX || (table->max != UINT64_MAX && table->max > UINT32_MAX))) {
            return fail(err, table->offset, "table size must be at most 2^32-1");
        }
        if (table->min > table->max) {
            return fail(err, table->offset, "size minimum must not be greater than maximum");
        }
    }
    return true;
}

static bool validate_memories(const struct vm_module *module, struct err *err)
{
    for (uint32_t i = 0; i < module->memory_count; i++) {
        const struct module_memory *memory = &module->memories[i];
        if (i > 0 && !module->limits.features.multi_memory) {
            return fail(err, memory->offset, "multiple memories: the feature multi_memory is off");
        }
        uint64_t reach = memory->is_64 ? MODULE_MEMORY64_PAGES_MAX : MODULE_MEMORY_PAGES_MAX;
        if (memory->min > reach || (memory->max != UINT64_MAX && memory->max > reach)) {
            return fail(err, memory->offset,
                        memory->is_64 ? "memory size must be at most 2^48 pages"
                                      : "memory size must be at most 65536 pages (4GiB)");
        }
        if (memory->min > memory->max) {
            return fail(err, memory->offset, "size minimum must not be greater than maximum");
        }
    }
    return true;
}

/* A constant sees the first `globals` of them (3.4.10); without extended_const only imported ones.
 */
static bool validate_const(const struct vm_module *module, const struct module_const *constant,
                           uint32_t globals, enum vm_type type, struct err *err)
{
    enum vm_type found;
    uint32_t seen = module->limits.features.extended_const ? globals : module->global_import_count;
    if (!constant_type(module, constant, seen, &found, err)) {
        return false;
    }
    if (found != type) {
        return err_set(err, ERR_INVALID_WASM, "type mismatch: expected %s, found %s at offset 0x%x",
                       vm_type_name(type), vm_type_name(found), constant->offset);
    }
    return true;
}

static bool validate_globals(const struct vm_module *module, struct err *err)
{
    for (uint32_t i = module->global_import_count; i < module->global_count; i++) {
        const struct module_global *global = &module->globals[i];
        if (!validate_const(module, &global->init, i, global->type, err)) {
            return false;
        }
    }
    return true;
}

static bool validate_element(const struct vm_module *module, const struct module_element *element,
                             struct err *err)
{
    for (uint32_t i = 0; i < element->count; i++) {
        if (!validate_const(module, &element->items[i], module->global_count, element->type, err)) {
            return false;
        }
    }
    if (element->mode != MODULE_ACTIVE) {
        return true;
    }
    if (element->table_index >= module->table_count) {
        return unknown(err, element->position, "table", element->table_index);
    }
    if (module->tables[element->table_index].type != element->type) {
        return fail(err, element->position, "type mismatch: segment and table");
    }
    return validate_const(module, &element->offset, module->global_count,
                          module_address_type(module->tables[element->table_index].is_64), err);
}

static bool validate_segments(const struct vm_module *module, struct err *err)
{
    for (uint32_t i = 0; i < module->element_count; i++) {
        if (!validate_element(module, &module->elements[i], err)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < module->data_count; i++) {
        const struct module_data *data = &module->data[i];
        if (data->mode != MODULE_ACTIVE) {
            continue;
        }
        if (data->memory_index >= module->memory_count) {
            return unknown(err, data->position, "memory", data->memory_index);
        }
        if (!validate_const(module, &data->offset, module->global_count,
                            module_address_type(module->memories[data->memory_index].is_64), err)) {
            return false;
        }
    }
    return true;
}

static bool validate_start(const struct vm_module *module, struct err *err)
{
    if (!module->has_start) {
        return true;
    }
    if (module->start >= module->func_count) {
        return unknown(err, module->start_offset, "function", module->start);
    }
    const struct vm_func_type *type = module->funcs[module->start].type;
    if (type->param_count > 0 || type->result_count > 0) {
        return fail(err, module->start_offset, "start function must be of type [] -> []");
    }
    return true;
}

static uint32_t name_offset(const struct vm_module *module, const struct vm_export *export)
{
    return (uint32_t)(export->name.ptr - module->wasm.ptr);
}

static bool validate_exports(const struct vm_module *module, struct err *err)
{
    const struct {
        const char *name;
        uint32_t count;
    } spaces[] = {
        [VM_EXTERN_FUNC] = {"function", module->func_count},
        [VM_EXTERN_TABLE] = {"table", module->table_count},
        [VM_EXTERN_MEMORY] = {"memory", module->memory_count},
        [VM_EXTERN_GLOBAL] = {"global", module->global_count},
    };
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct vm_export *export = &module->exports[i];
        if (export->index >= spaces[export->type.kind].count) {
            return unknown(err, name_offset(module, export), spaces[export->type.kind].name,
                           export->index);
        }
    }
    for (uint32_t i = 1; i < module->export_count; i++) {
        const struct vm_export *export = module->exports_by_name[i];
        if (bytes_equal(export->name, module->exports_by_name[i - 1]->name)) {
            return fail(err, name_offset(module, export), "duplicate export name");
        }
    }
    return true;
}

bool validate_module(const struct vm_module *module, struct err *err)
{
    return validate_tables(module, err) && validate_memories(module, err) &&
           validate_globals(module, err) && validate_segments(module, err) &&
           validate_start(module, err) && validate_exports(module, err);
}
