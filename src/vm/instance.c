/* instance.c: instances (core spec 4.5.4): index spaces from imports and definitions, constants
 * evaluated, segments applied; in pieces.
 *
 * What an instantiation that failed half-way has made stays in the store until the store ends, as
 * everything does; nothing refers to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

#include <assert.h>

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
    instance->own_funcs =
        ARENA_ARRAY(arena, struct vm_func, module->func_count - module->func_import_count);
    instance->own_globals =
        ARENA_ARRAY(arena, struct vm_global, module->global_count - module->global_import_count);
    if (instance->funcs == NULL || instance->tables == NULL || instance->memories == NULL ||
        instance->globals == NULL || instance->type_ids == NULL || instance->elements == NULL ||
        instance->data == NULL || instance->own_funcs == NULL || instance->own_globals == NULL) {
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

/* Each adds the next thing of its part, and takes from *left what it looks at for it. */
static bool add_type(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err)
{
    const struct vm_func_type *type = &instance->module->types[i];
    module_take(left, (size_t)type->param_count + type->result_count);
    instance->type_ids[i] = store_type_id(instance->store, type);
    return instance->type_ids[i] != UINT32_MAX || no_memory(err);
}

static bool add_func(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err)
{
    (void)left;
    (void)err;
    uint32_t index = instance->module->func_import_count + i;
    const struct module_func *func = &instance->module->funcs[index];
    instance->own_funcs[i] = (struct vm_func){
        .code = func->code,
        .instance = instance,
        .type_id = instance->type_ids[func->type_index],
        .index = index,
        .type = func->type,
    };
    instance->funcs[index] = &instance->own_funcs[i];
    return true;
}

static bool add_table(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err)
{
    (void)left;
    uint32_t index = instance->module->table_import_count + i;
    instance->tables[index] = table_new(instance->store, &instance->module->tables[index], err);
    return instance->tables[index] != NULL;
}

static bool add_memory(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err)
{
    (void)left;
    uint32_t index = instance->module->memory_import_count + i;
    instance->memories[index] =
        memory_new(instance->store, &instance->module->memories[index], err);
    return instance->memories[index] != NULL;
}

static bool add_global(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err)
{
    (void)err;
    uint32_t index = instance->module->global_import_count + i;
    const struct module_global *from = &instance->module->globals[index];
    module_take(left, from->init.code.size);
    struct vm_global *global = &instance->own_globals[i];
    global->type = from->type;
    global->is_mutable = from->is_mutable;
    constant_evaluate(instance, &from->init, global->value);
    instance->globals[index] = global;
    return true;
}

static bool add_element(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err)
{
    (void)left;
    uint32_t count = instance->module->elements[i].count;
    uint64_t *items = ARENA_ARRAY(&instance->store->arena, uint64_t, count);
    instance->elements[i] = (struct instance_element){items, count};
    return items != NULL || no_memory(err);
}

static bool add_data(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err)
{
    (void)left;
    (void)err;
    instance->data[i] = instance->module->data[i].content;
    return true;
}

bool vm_instantiate_begin(struct vm_store *store, struct vm_module *module,
                          const struct vm_extern *imports, struct vm_instance **out,
                          struct err *err)
{
    if (!link_check(module, imports, err)) {
        return false;
    }
    struct vm_instance *instance = instance_new(store, module);
    if (instance == NULL) {
        return no_memory(err);
    }
    add_imports(instance, imports);
    *out = instance;
    return true;
}

/* What adding costs beside what is looked at for it, in bytes as the loader counts them. */
enum { ADD_BYTES = 8 };

bool vm_instantiate_step(struct vm_instance *instance, size_t bytes, bool *is_done, struct err *err)
{
    const struct vm_module *module = instance->module;
    const struct {
        uint32_t count;
        bool (*add)(struct vm_instance *instance, uint32_t i, size_t *left, struct err *err);
    } parts[] = {
        {module->type_count, add_type},
        {module->func_count - module->func_import_count, add_func},
        {module->table_count - module->table_import_count, add_table},
        {module->memory_count - module->memory_import_count, add_memory},
        {module->global_count - module->global_import_count, add_global},
        {module->element_count, add_element},
        {module->data_count, add_data},
    };
    const uint32_t part_count = sizeof parts / sizeof parts[0];
    size_t left = bytes > 0 ? bytes : 1;
    while (instance->part < part_count && left > 0) {
        if (instance->next == parts[instance->part].count) {
            instance->part++;
            instance->next = 0;
            continue;
        }
        module_take(&left, ADD_BYTES);
        if (!parts[instance->part].add(instance, instance->next++, &left, err)) {
            return false;
        }
    }
    *is_done = instance->part == part_count;
    return true;
}

bool vm_instantiate(struct vm_store *store, struct vm_module *module,
                    const struct vm_extern *imports, struct vm_instance **out, struct err *err)
{
    struct vm_instance *instance;
    bool is_done;
    if (!vm_instantiate_begin(store, module, imports, &instance, err) ||
        !vm_instantiate_step(instance, SIZE_MAX, &is_done, err)) {
        return false;
    }
    assert(is_done);
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
