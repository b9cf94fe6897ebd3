/* instance.c: instances (core spec 4.5.4): index spaces from imports and definitions, constants
 * evaluated, segments applied.
 *
 * What an instantiation that failed half-way has made stays in the store until the store ends, as
 * everything does; nothing refers to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for an instance");
}

static struct vm_instance *instance_new(struct vm_store *store, struct vm_module *module)
{
    struct arena *arena = &store->arena;
    struct vm_instance *instance = ARENA_NEW(arena, struct vm_instance);
    if (instance == NULL) {
        return NULL;
    }
    instance->store = store;
    instance->funcs = ARENA_ARRAY(arena, struct vm_func *, module->func_count);
    instance->tables = ARENA_ARRAY(arena, struct vm_table *, module->table_count);
    instance->memories = ARENA_ARRAY(arena, struct vm_memory *, module->memory_count);
    instance->globals = ARENA_ARRAY(arena, struct vm_global *, module->global_count);
    instance->type_ids = ARENA_ARRAY(arena, uint32_t, module->type_count);
    instance->elements = ARENA_ARRAY(arena, struct instance_element, module->element_count);
    instance->data = ARENA_ARRAY(arena, struct bytes, module->data_count);
    if (instance->funcs == NULL || instance->tables == NULL || instance->memories == NULL ||
        instance->globals == NULL || instance->type_ids == NULL || instance->elements == NULL ||
        instance->data == NULL) {
        return NULL;
    }
    instance->module = vm_module_ref(module);
    list_push_back(&store->instances, &instance->link);
    return instance;
}

static void add_imports(struct vm_instance *instance, const struct vm_extern *imports)
{
    uint32_t funcs = 0, tables = 0, memories = 0, globals = 0;
    for (uint32_t i = 0; i < instance->module->import_count; i++) {
        switch (imports[i].kind) {
        case VM_EXTERN_FUNC:
            instance->funcs[funcs++] = imports[i].object;
            break;
        case VM_EXTERN_TABLE:
            instance->tables[tables++] = imports[i].object;
            break;
        case VM_EXTERN_MEMORY:
            instance->memories[memories++] = imports[i].object;
            break;
        case VM_EXTERN_GLOBAL:
            instance->globals[globals++] = imports[i].object;
            break;
        }
    }
}

static bool add_funcs(struct vm_instance *instance, struct err *err)
{
    const struct vm_module *module = instance->module;
    for (uint32_t i = 0; i < module->type_count; i++) {
        instance->type_ids[i] = store_type_id(instance->store, &module->types[i]);
        if (instance->type_ids[i] == UINT32_MAX) {
            return no_memory(err);
        }
    }
    uint32_t first = module->func_import_count;
    struct vm_func *own =
        ARENA_ARRAY(&instance->store->arena, struct vm_func, module->func_count - first);
    if (own == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = first; i < module->func_count; i++) {
        const struct module_func *func = &module->funcs[i];
        own[i - first] = (struct vm_func){
            .code = func->code,
            .instance = instance,
            .type_id = instance->type_ids[func->type_index],
            .index = i,
            .type = func->type,
        };
        instance->funcs[i] = &own[i - first];
    }
    return true;
}

static bool add_tables_and_memories(struct vm_instance *instance, struct err *err)
{
    const struct vm_module *module = instance->module;
    for (uint32_t i = module->table_import_count; i < module->table_count; i++) {
        instance->tables[i] = table_new(instance->store, &module->tables[i], err);
        if (instance->tables[i] == NULL) {
            return false;
        }
    }
    for (uint32_t i = module->memory_import_count; i < module->memory_count; i++) {
        instance->memories[i] = memory_new(instance->store, &module->memories[i], err);
        if (instance->memories[i] == NULL) {
            return false;
        }
    }
    return true;
}

static bool add_globals(struct vm_instance *instance, struct err *err)
{
    const struct vm_module *module = instance->module;
    uint32_t first = module->global_import_count;
    struct vm_global *own =
        ARENA_ARRAY(&instance->store->arena, struct vm_global, module->global_count - first);
    if (own == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = first; i < module->global_count; i++) {
        struct vm_global *global = &own[i - first];
        global->type = module->globals[i].type;
        global->is_mutable = module->globals[i].is_mutable;
        constant_evaluate(instance, &module->globals[i].init, global->value);
        instance->globals[i] = global;
    }
    return true;
}

static bool add_segments(struct vm_instance *instance, struct err *err)
{
    const struct vm_module *module = instance->module;
    for (uint32_t i = 0; i < module->element_count; i++) {
        const struct module_element *element = &module->elements[i];
        uint64_t *items = ARENA_ARRAY(&instance->store->arena, uint64_t, element->count);
        if (items == NULL) {
            return no_memory(err);
        }
        instance->elements[i] = (struct instance_element){items, element->count};
    }
    for (uint32_t i = 0; i < module->data_count; i++) {
        instance->data[i] = module->data[i].content;
    }
    return true;
}

bool vm_instantiate(struct vm_store *store, struct vm_module *module,
                    const struct vm_extern *imports, struct vm_instance **out, struct err *err)
{
    if (!link_check(module, imports, err)) {
        return false;
    }
    struct vm_instance *instance = instance_new(store, module);
    if (instance == NULL) {
        return no_memory(err);
    }
    add_imports(instance, imports);
    if (!add_funcs(instance, err) || !add_tables_and_memories(instance, err) ||
        !add_globals(instance, err) || !add_segments(instance, err)) {
        return false;
    }
    *out = instance;
    return true;
}

/* An i32 or i64 constant. */
static uint64_t segment_offset(const struct vm_instance *instance,
                               const struct module_const *constant)
{
    uint64_t slots[2];
    constant_evaluate(instance, constant, slots);
    return slots[0];
}

/* Evaluating costs as much as moving so many bytes, beside the bytes of an expression. */
enum { ITEM_BYTES = 8 };

/* An item of the segment that is being evaluated, or, after the last one, the next segment. */
static void evaluate_item(struct vm_instance *instance, struct segments *segments)
{
    const struct module_element *element = &instance->module->elements[segments->evaluating];
    uint64_t cost = ITEM_BYTES;
    if (segments->item == element->count) {
        segments->evaluating++;
        segments->item = 0;
    } else {
        const struct module_const *item = &element->items[segments->item];
        uint64_t slots[2];
        constant_evaluate(instance, item, slots);
        instance->elements[segments->evaluating].items[segments->item++] = slots[0];
        cost += item->code.size;
    }
    segments->bulk.left -= cost < segments->bulk.left ? cost : segments->bulk.left;
}

/* All items are evaluated before any can be seen (core 4.5.4 step 10). */
static bool are_evaluated(struct vm_instance *instance, struct segments *segments)
{
    while (segments->evaluating < instance->module->element_count && segments->bulk.left > 0) {
        evaluate_item(instance, segments);
    }
    return segments->evaluating == instance->module->element_count;
}

/* Both put the next piece of segment i where it belongs and drop it after the last one. */
static enum vm_trap init_element(struct vm_instance *instance, uint32_t i, struct bulk *bulk)
{
    const struct module_element *element = &instance->module->elements[i];
    struct instance_element *items = &instance->elements[i];
    enum vm_trap trap = VM_TRAP_NONE;
    if (element->mode == MODULE_ACTIVE) {
        trap = table_init(instance->tables[element->table_index], items,
                          segment_offset(instance, &element->offset), 0, element->count, bulk);
    }
    if (trap == VM_TRAP_NONE && element->mode != MODULE_PASSIVE && !bulk->is_under_way) {
        items->count = 0;
    }
    return trap;
}

static enum vm_trap init_data(struct vm_instance *instance, uint32_t i, struct bulk *bulk)
{
    const struct module_data *data = &instance->module->data[i];
    if (data->mode != MODULE_ACTIVE) {
        return VM_TRAP_NONE;
    }
    enum vm_trap trap =
        memory_init(instance->memories[data->memory_index], instance->data[i],
                    segment_offset(instance, &data->offset), 0, data->content.size, bulk);
    if (trap == VM_TRAP_NONE && !bulk->is_under_way) {
        instance->data[i].size = 0;
    }
    return trap;
}

bool instance_has_segments(const struct vm_instance *instance, const struct segments *segments)
{
    return segments->next < instance->module->element_count + instance->module->data_count;
}

/* Finding a segment costs as much as moving so many bytes. */
enum { SEGMENT_BYTES = 64 };

enum vm_trap instance_init_segments(struct vm_instance *instance, struct segments *segments)
{
    struct bulk *bulk = &segments->bulk;
    uint32_t element_count = instance->module->element_count;
    enum vm_trap trap = VM_TRAP_NONE;
    if (!are_evaluated(instance, segments)) {
        return trap;
    }
    while (trap == VM_TRAP_NONE && bulk->left > 0 && instance_has_segments(instance, segments)) {
        uint64_t before = bulk->left;
        uint32_t i = segments->next;
        trap = i < element_count ? init_element(instance, i, bulk)
                                 : init_data(instance, i - element_count, bulk);
        segments->moved += before - bulk->left;
        segments->next += !bulk->is_under_way;
        bulk->left -= bulk->left < SEGMENT_BYTES ? bulk->left : SEGMENT_BYTES;
    }
    return trap;
}

bool vm_instance_find_export(const struct vm_instance *instance, struct bytes name,
                             struct vm_extern *out)
{
    struct vm_export export;
    if (!vm_module_find_export(instance->module, name, &export)) {
        return false;
    }
    out->kind = export.type.kind;
    switch (export.type.kind) {
    case VM_EXTERN_FUNC:
        out->object = instance->funcs[export.index];
        break;
    case VM_EXTERN_TABLE:
        out->object = instance->tables[export.index];
        break;
    case VM_EXTERN_MEMORY:
        out->object = instance->memories[export.index];
        break;
    case VM_EXTERN_GLOBAL:
        out->object = instance->globals[export.index];
        break;
    }
    return true;
}
