/* validate.c: what must hold of a module beside its bodies (core spec 3.2, 3.4): limits, constants,
 * indices of exports, segments and the start function; in pieces.
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

/* Each check looks at the next thing of its part, which is there. */
static bool check_table(const struct vm_module *module, struct module_check *check, size_t *left,
                        struct err *err)
{
    (void)left;
    const struct module_table *table = &module->tables[check->next++];
    if (!table->is_64 &&
        (table->min > UINT32_MAX || (table->max != UINT64_MAX && table->max > UINT32_MAX))) {
        return fail(err, table->offset, "table size must be at most 2^32-1");
    }
    return table->min <= table->max ||
           fail(err, table->offset, "size minimum must not be greater than maximum");
}

static bool check_memory(const struct vm_module *module, struct module_check *check, size_t *left,
                         struct err *err)
{
    (void)left;
    const struct module_memory *memory = &module->memories[check->next];
    if (check->next++ > 0 && !module->limits.features.multi_memory) {
        return fail(err, memory->offset, "multiple memories: the feature multi_memory is off");
    }
    uint64_t reach = memory->is_64 ? MODULE_MEMORY64_PAGES_MAX : MODULE_MEMORY_PAGES_MAX;
    if (memory->min > reach || (memory->max != UINT64_MAX && memory->max > reach)) {
        return fail(err, memory->offset,
                    memory->is_64 ? "memory size must be at most 2^48 pages"
                                  : "memory size must be at most 65536 pages (4GiB)");
    }
    return memory->min <= memory->max ||
           fail(err, memory->offset, "size minimum must not be greater than maximum");
}

/* A constant sees the first `globals` of them (3.4.10); without extended_const only imported ones.
 */
static bool check_const(const struct vm_module *module, const struct module_const *constant,
                        uint32_t globals, enum vm_type type, size_t *left, struct err *err)
{
    enum vm_type found;
    module_take(left, constant->code.size);
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

static bool check_global(const struct vm_module *module, struct module_check *check, size_t *left,
                         struct err *err)
{
    uint32_t index = check->next++;
    const struct module_global *global = &module->globals[index];
    return index < module->global_import_count ||
           check_const(module, &global->init, index, global->type, left, err);
}

/* An item, or, after the last one, the rest. */
static bool check_element(const struct vm_module *module, struct module_check *check, size_t *left,
                          struct err *err)
{
    const struct module_element *element = &module->elements[check->next];
    if (check->item < element->count) {
        return check_const(module, &element->items[check->item++], module->global_count,
                           element->type, left, err);
    }
    check->item = 0;
    check->next++;
    if (element->mode != MODULE_ACTIVE) {
        return true;
    }
    if (element->table_index >= module->table_count) {
        return unknown(err, element->position, "table", element->table_index);
    }
    const struct module_table *table = &module->tables[element->table_index];
    if (table->type != element->type) {
        return fail(err, element->position, "type mismatch: segment and table");
    }
    return check_const(module, &element->offset, module->global_count,
                       module_address_type(table->is_64), left, err);
}

static bool check_data(const struct vm_module *module, struct module_check *check, size_t *left,
                       struct err *err)
{
    const struct module_data *data = &module->data[check->next++];
    if (data->mode != MODULE_ACTIVE) {
        return true;
    }
    if (data->memory_index >= module->memory_count) {
        return unknown(err, data->position, "memory", data->memory_index);
    }
    return check_const(module, &data->offset, module->global_count,
                       module_address_type(module->memories[data->memory_index].is_64), left, err);
}

static bool check_start(const struct vm_module *module, struct module_check *check, size_t *left,
                        struct err *err)
{
    (void)left;
    check->next++;
    if (module->start >= module->func_count) {
        return unknown(err, module->start_offset, "function", module->start);
    }
    const struct vm_func_type *type = module->funcs[module->start].type;
    return (type->param_count == 0 && type->result_count == 0) ||
           fail(err, module->start_offset, "start function must be of type [] -> []");
}

static uint32_t name_offset(const struct vm_module *module, const struct vm_export *export)
{
    return (uint32_t)(export->name.ptr - module->wasm.ptr);
}

static bool check_export(const struct vm_module *module, struct module_check *check, size_t *left,
                         struct err *err)
{
    (void)left;
    const struct {
        const char *name;
        uint32_t count;
    } spaces[] = {
        [VM_EXTERN_FUNC] = {"function", module->func_count},
        [VM_EXTERN_TABLE] = {"table", module->table_count},
        [VM_EXTERN_MEMORY] = {"memory", module->memory_count},
        [VM_EXTERN_GLOBAL] = {"global", module->global_count},
    };
    const struct vm_export *export = &module->exports[check->next++];
    return export->index < spaces[export->type.kind].count ||
           unknown(err, name_offset(module, export), spaces[export->type.kind].name, export->index);
}

/* Equal names are neighbours once they are sorted. */
static bool check_name(const struct vm_module *module, struct module_check *check, size_t *left,
                       struct err *err)
{
    uint32_t index = check->next++;
    if (index == 0) {
        return true;
    }
    const struct vm_export *export = module->exports_by_name[index];
    struct bytes before = module->exports_by_name[index - 1]->name;
    module_take(left, module_name_cost(before, export->name));
    return !bytes_equal(export->name, before) ||
           fail(err, name_offset(module, export), "duplicate export name");
}

/* What each costs beside the constants and names that it looks at. */
enum { CHECK_BYTES = 4 };

bool validate_module(const struct vm_module *module, struct module_check *check, size_t *left,
                     bool *is_done, struct err *err)
{
    const struct {
        uint32_t count;
        bool (*check)(const struct vm_module *module, struct module_check *check, size_t *left,
                      struct err *err);
    } parts[] = {
        {module->table_count, check_table},   {module->memory_count, check_memory},
        {module->global_count, check_global}, {module->element_count, check_element},
        {module->data_count, check_data},     {module->has_start ? 1 : 0, check_start},
        {module->export_count, check_export}, {module->export_count, check_name},
    };
    const uint32_t part_count = sizeof parts / sizeof parts[0];
    while (check->part<part_count && * left> 0) {
        if (check->next == parts[check->part].count) {
            *check = (struct module_check){.part = check->part + 1};
            continue;
        }
        module_take(left, CHECK_BYTES);
        if (!parts[check->part].check(module, check, left, err)) {
            return false;
        }
    }
    *is_done = check->part == part_count;
    return true;
}
