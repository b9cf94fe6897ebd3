/* test_instance: linking matches kinds and types as the spec says; constants, segments and exports
 * are what the module asks for; equal types are one type in a store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/instance.h"

#include <criterion/criterion.h>
#include <string.h>

#define WHOLE (&(struct segments){.bulk = {.left = UINT64_MAX}})

static struct vm_module *load(struct buffer wasm)
{
    struct err err;
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    cr_assert_not_null(module, "%s", err.message);
    return module;
}

static enum vm_trap host_nothing(void *context, struct vm_instance *caller,
                                 const struct vm_value *args, struct vm_value *results)
{
    (void)context;
    (void)caller;
    (void)args;
    (void)results;
    return VM_TRAP_NONE;
}

/* What the seed "import" asks for, in its order. */
static void imports_of(struct vm_store *store, struct vm_extern imports[4])
{
    static const enum vm_type param = VM_I32;
    const struct vm_func_type type = {1, 0, &param};
    const struct vm_value value = {VM_I32, {.i32 = 6}};
    imports[0] =
        (struct vm_extern){VM_EXTERN_FUNC, vm_store_host_func(store, &type, host_nothing, NULL)};
    imports[1] = (struct vm_extern){VM_EXTERN_GLOBAL, vm_store_host_global(store, value, false)};
    imports[2] =
        (struct vm_extern){VM_EXTERN_TABLE, vm_store_host_table(store, VM_FUNCREF, 10, 20)};
    imports[3] = (struct vm_extern){VM_EXTERN_MEMORY, vm_store_host_memory(store, 1, 2)};
    for (int i = 0; i < 4; i++) {
        cr_assert_not_null(imports[i].object);
    }
}

Test(vm_instance, imports_exports_constants_and_segments_meet)
{
    struct budget budget;
    struct vm_extern imports[4], found;
    struct vm_instance *instance;
    struct err err;
    budget_init(&budget, NULL, 1 << 20);
    struct vm_store *store = vm_store_new(&vm_limits_default, &budget);
    struct vm_module *module = load(wasm_of_seed("import"));
    imports_of(store, imports);
    cr_assert(vm_instantiate(store, module, imports, &instance, &err), "%s", err.message);
    vm_module_unref(module); /* the instance has its own reference */
    const char *const names[] = {"p", "g", "t", "m"};
    for (int i = 0; i < 4; i++) {
        cr_assert(vm_instance_find_export(instance, bytes_of_string(names[i]), &found));
        cr_assert_eq(found.kind, imports[i].kind);
        cr_assert_eq(found.object, imports[i].object);
    }
    cr_assert_not(vm_instance_find_export(instance, bytes_of_string("nothing"), &found));
    cr_assert_eq(vm_global_get(instance->globals[1]).as.i32, 6);
    const struct vm_table *table = imports[2].object;
    const struct vm_memory *memory = imports[3].object;
    cr_assert_eq(table->elements[6], 0);
    cr_assert_eq(instance_init_segments(instance, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(table->elements[6], (uint64_t)(uintptr_t)imports[0].object);
    cr_assert_eq(memory->base[6], 'x');
    cr_assert_eq(instance->elements[0].count, 0);
    cr_assert_eq(instance->data[0].size, 0);
    cr_assert(vm_instance_find_export(instance, bytes_of_string("f"), &found));
    cr_assert_eq(vm_func_get_type(found.object)->param_count, 0);
    vm_store_free(store);
    cr_assert_eq(budget_used(&budget), 0);
}

Test(vm_instance, segments_outside_are_a_trap)
{
    struct vm_extern imports[4];
    struct vm_instance *instance;
    struct err err;
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    struct vm_module *module = load(wasm_of_seed("import"));
    imports_of(store, imports);
    ((struct vm_global *)imports[1].object)->value[0] = 10;
    cr_assert(vm_instantiate(store, module, imports, &instance, &err));
    cr_assert_eq(instance_init_segments(instance, WHOLE), VM_TRAP_OUT_OF_BOUNDS_TABLE);
    vm_module_unref(module);
    module = load(WASM({5, BYTES(1, 0, 0)}, {11, BYTES(1, 0, 0x41, 0, 0x0b, 1, 'x')}));
    cr_assert(vm_instantiate(store, module, NULL, &instance, &err));
    cr_assert_eq(instance_init_segments(instance, WHOLE), VM_TRAP_OUT_OF_BOUNDS_MEMORY);
    vm_module_unref(module);
    vm_store_free(store);
}

Test(vm_instance, an_import_of_another_kind_or_type_is_unlinkable)
{
    static const enum vm_type param = VM_I64;
    const struct vm_func_type other_type = {1, 0, &param};
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    struct vm_module *module = load(wasm_of_seed("import"));
    struct vm_extern good[4];
    imports_of(store, good);
    const struct vm_value i64 = {VM_I64, {.i64 = 6}};
    const struct vm_value i32 = {VM_I32, {.i32 = 6}};
    const struct {
        uint32_t index;
        struct vm_extern import;
        const char *text;
    } rows[] = {
        {0, {VM_EXTERN_FUNC, NULL}, "unknown import: \"spectest\" \"print_i32\""},
        {0, good[1], "incompatible import type: \"spectest\" \"print_i32\""},
        {0,
         {VM_EXTERN_FUNC, vm_store_host_func(store, &other_type, host_nothing, NULL)},
         "incompatible import type"},
        {1, {VM_EXTERN_GLOBAL, vm_store_host_global(store, i64, false)}, "incompatible"},
        {1, {VM_EXTERN_GLOBAL, vm_store_host_global(store, i32, true)}, "incompatible"},
        {2, {VM_EXTERN_TABLE, vm_store_host_table(store, VM_FUNCREF, 9, 20)}, "incompatible"},
        {2, {VM_EXTERN_TABLE, vm_store_host_table(store, VM_EXTERNREF, 10, 20)}, "incompatible"},
        {3, {VM_EXTERN_MEMORY, vm_store_host_memory(store, 0, 2)}, "incompatible"},
        {3, {VM_EXTERN_MEMORY, vm_store_host_memory(store, 1, 3)}, "incompatible"},
        {3, {VM_EXTERN_MEMORY, vm_store_host_memory(store, 1, UINT64_MAX)}, "incompatible"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vm_extern imports[4] = {good[0], good[1], good[2], good[3]};
        struct vm_instance *instance;
        struct err err = {.code = ERR_NONE};
        imports[rows[i].index] = rows[i].import;
        cr_assert_not(vm_instantiate(store, module, imports, &instance, &err), "row %zu", i);
        cr_assert_eq(err.code, ERR_UNLINKABLE);
        cr_assert_not_null(strstr(err.message, rows[i].text), "%s", err.message);
    }
    vm_module_unref(module);
    vm_store_free(store);
}

Test(vm_instance, a_minimum_over_the_limits_or_the_budget_is_memory_exceeded)
{
    struct vm_limits limits = vm_limits_default;
    limits.memory_pages_max = 2;
    limits.table_elements_max = 3;
    struct budget budget;
    budget_init(&budget, NULL, 100000);
    struct vm_store *store = vm_store_new(&limits, &budget);
    struct buffer rows[] = {
        WASM({5, BYTES(1, 0, 3)}),
        WASM({5, BYTES(1, 0, 2)}),
        WASM({4, BYTES(1, 0x70, 0, 4)}),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vm_instance *instance;
        struct err err = {.code = ERR_NONE};
        struct vm_module *module = load(rows[i]);
        cr_assert_not(vm_instantiate(store, module, NULL, &instance, &err), "row %zu", i);
        cr_assert_eq(err.code, ERR_MEMORY_EXCEEDED, "%s", err.message);
        vm_module_unref(module);
    }
    vm_store_free(store);
    cr_assert_eq(budget_used(&budget), 0);
}

Test(vm_instance, equal_types_have_equal_ids_across_modules_and_hosts)
{
    static const enum vm_type types[] = {VM_I32, VM_I64, VM_F32};
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    struct vm_instance *a, *b;
    struct err err;
    struct vm_module *module = load(WASM(
        {1, BYTES(4, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7e, 0x60, 2, 0x7f, 0x7e, 0, 0x60, 0, 0)}));
    cr_assert(vm_instantiate(store, module, NULL, &a, &err));
    cr_assert(vm_instantiate(store, module, NULL, &b, &err));
    cr_assert_arr_eq(a->type_ids, b->type_ids, 4 * sizeof(uint32_t));
    cr_assert_eq(a->type_ids[0], a->type_ids[3]);
    cr_assert_neq(a->type_ids[0], a->type_ids[1]);
    cr_assert_neq(a->type_ids[1], a->type_ids[2]); /* the same types, cut elsewhere */
    const struct vm_func_type split = {1, 1, types};
    const struct vm_func_type other = {1, 1, types + 1};
    cr_assert_eq(store_type_id(store, &split), a->type_ids[1]);
    cr_assert_eq(store_type_id(store, &other), 3);
    cr_assert_eq(store_type_id(store, &other), 3);
    cr_assert_not(vm_func_type_equal(&split, &other));
    vm_module_unref(module);
    vm_store_free(store);
}

Test(vm_instance, types_keep_their_ids_however_many_there_are)
{
    enum vm_type types[64];
    uint32_t ids[65];
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    for (int i = 0; i < 64; i++) {
        types[i] = VM_I32;
    }
    for (uint32_t i = 0; i < 65; i++) {
        const struct vm_func_type type = {i * 37 % 65, 0, types};
        ids[i] = store_type_id(store, &type);
        cr_assert_eq(ids[i], i);
    }
    for (uint32_t i = 0; i < 65; i++) {
        const struct vm_func_type type = {i * 37 % 65, 0, types};
        cr_assert_eq(store_type_id(store, &type), ids[i]);
    }
    vm_store_free(store);
}

Test(vm_instance, values_pass_through_slots_unchanged)
{
    const struct vm_value values[] = {
        {VM_I32, {.i32 = 0xffffffff}},
        {VM_I64, {.i64 = UINT64_MAX}},
        {VM_F32, {.f32 = 0x7fa00000}},
        {VM_F64, {.f64 = 0x7ff4000000000000}},
        {VM_FUNCREF, {.funcref = NULL}},
        {VM_EXTERNREF, {.externref = 8}},
        {VM_V128, {.v128 = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint64_t slots[2] = {0, 0};
        value_to_slots(&values[i], slots);
        struct vm_value back = value_from_slots(values[i].type, slots);
        cr_assert_eq(back.type, values[i].type);
        cr_assert_arr_eq(back.as.v128, values[i].as.v128, vm_type_slots(back.type) * 8);
        cr_assert_eq(vm_type_slots(back.type), back.type == VM_V128 ? 2u : 1u);
    }
    uint64_t slot = 0;
    value_to_slots(&values[0], &slot);
    cr_assert_eq(slot, 0xffffffff); /* zero-extended */
}

Test(vm_instance, every_trap_has_a_name_a_text_and_a_code)
{
    cr_assert_str_eq(vm_trap_name(VM_TRAP_INTEGER_DIVIDE_BY_ZERO), "INTEGER_DIVIDE_BY_ZERO");
    cr_assert_str_eq(vm_trap_text(VM_TRAP_INTEGER_DIVIDE_BY_ZERO), "integer divide by zero");
    cr_assert_eq(vm_trap_error_code(VM_TRAP_CALL_STACK_EXHAUSTED), ERR_STACK_EXHAUSTED);
    cr_assert_eq(vm_trap_error_code(VM_TRAP_MEMORY_BUDGET), ERR_MEMORY_EXCEEDED);
    cr_assert_eq(vm_trap_error_code(VM_TRAP_NONE), ERR_NONE);
}

/* ---- Allocation faults ---- */

/* A module with everything, instantiated; false when something failed, and then with the code that
 * says so. */
static bool instantiate_all(struct vm_module *const *modules, struct budget *budget)
{
    bool is_done = true;
    struct vm_store *store = vm_store_new(&vm_limits_default, budget);
    if (store == NULL) {
        return false;
    }
    for (size_t i = 0; modules[i] != NULL && is_done; i++) {
        struct vm_instance *instance;
        struct err err = {.code = ERR_NONE};
        is_done = vm_instantiate(store, modules[i], NULL, &instance, &err);
        cr_assert(is_done || err.code == ERR_NO_MEMORY || err.code == ERR_MEMORY_EXCEEDED);
    }
    vm_store_free(store);
    return is_done;
}

Test(vm_instance, any_allocation_may_fail_and_all_memory_comes_back)
{
    struct vm_module *modules[] = {load(wasm_of_seed("control")), load(wasm_of_seed("memory")),
                                   load(wasm_of_seed("table")), NULL};
    struct budget budget;
    budget_init(&budget, NULL, SIZE_MAX);
    bool is_done = false;
    for (size_t count = 1; !is_done; count++) {
        heap_fail_after(count);
        is_done = instantiate_all(modules, &budget);
        heap_fail_after(0);
        cr_assert_eq(budget_used(&budget), 0, "after %zu", count);
        cr_assert_lt(count, 1000);
    }
    is_done = false;
    for (size_t limit = 0; !is_done; limit += 256) {
        budget_init(&budget, NULL, limit);
        is_done = instantiate_all(modules, &budget);
        cr_assert_eq(budget_used(&budget), 0, "with %zu", limit);
        cr_assert_lt(limit, 1 << 20);
    }
    for (size_t i = 0; modules[i] != NULL; i++) {
        vm_module_unref(modules[i]);
    }
}

Test(vm_instance, host_objects_are_null_when_there_is_no_memory)
{
    struct budget budget;
    struct vm_func_type type = {0, 0, NULL};
    const struct vm_value value = {VM_I32, {.i32 = 1}};
    budget_init(&budget, NULL, sizeof(struct vm_store));
    struct vm_store *store = vm_store_new(&vm_limits_default, &budget);
    cr_assert_null(vm_store_host_func(store, &type, host_nothing, NULL));
    cr_assert_null(vm_store_host_table(store, VM_FUNCREF, 1, 1));
    cr_assert_null(vm_store_host_memory(store, 1, 1));
    cr_assert_null(vm_store_host_global(store, value, true));
    vm_store_free(store);
    cr_assert_eq(budget_used(&budget), 0);
    vm_store_free(NULL);
}
