/* host.c: the module "spectest" that the scripts import: functions that would print, two constants,
 * a table, a memory. Printing is not what is tested: the functions do nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "spec.h"

#include <string.h>

static enum vm_trap print_nothing(void *context, struct vm_instance *caller,
                                  const struct vm_value *args, struct vm_value *results)
{
    (void)context;
    (void)caller;
    (void)args;
    (void)results;
    return VM_TRAP_NONE;
}

static const struct {
    const char *name;
    uint32_t param_count;
    enum vm_type params[2];
} functions[] = {
    {"print", 0, {0}},
    {"print_i32", 1, {VM_I32}},
    {"print_i64", 1, {VM_I64}},
    {"print_f32", 1, {VM_F32}},
    {"print_f64", 1, {VM_F64}},
    {"print_i32_f32", 2, {VM_I32, VM_F32}},
    {"print_f64_f64", 2, {VM_F64, VM_F64}},
};

static const struct {
    const char *name;
    struct vm_value value;
} globals[] = {
    {"global_i32", {VM_I32, {.i32 = 666}}},
    {"global_i64", {VM_I64, {.i64 = 666}}},
    {"global_f32", {VM_F32, {.f32 = 0x4426a666}}},         /* 666.6 */
    {"global_f64", {VM_F64, {.f64 = 0x4084d4cccccccccd}}}, /* 666.6 */
};

bool spec_host_init(struct spec_host *host, struct vm_store *store)
{
    host->store = store;
    host->table = vm_store_host_table(store, VM_FUNCREF, 10, 20);
    host->table64 = vm_store_host_table64(store, VM_FUNCREF, 10, 20);
    host->memory = vm_store_host_memory(store, 1, 2);
    bool is_whole = host->table != NULL && host->table64 != NULL && host->memory != NULL;
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        host->globals[i] = vm_store_host_global(store, globals[i].value, false);
        is_whole = is_whole && host->globals[i] != NULL;
    }
    return is_whole;
}

static bool named(const struct vm_import *import, const char *name)
{
    return bytes_equal(import->name, bytes_of_string(name));
}

struct vm_extern spec_host_find(struct spec_host *host, const struct vm_import *import)
{
    if (named(import, "table")) {
        return (struct vm_extern){VM_EXTERN_TABLE, host->table};
    }
    if (named(import, "table64")) {
        return (struct vm_extern){VM_EXTERN_TABLE, host->table64};
    }
    if (named(import, "memory")) {
        return (struct vm_extern){VM_EXTERN_MEMORY, host->memory};
    }
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        if (named(import, globals[i].name)) {
            return (struct vm_extern){VM_EXTERN_GLOBAL, host->globals[i]};
        }
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (named(import, functions[i].name)) {
            struct vm_func_type type = {functions[i].param_count, 0, functions[i].params};
            return (struct vm_extern){VM_EXTERN_FUNC,
                                      vm_store_host_func(host->store, &type, print_nothing, NULL)};
        }
    }
    return (struct vm_extern){VM_EXTERN_FUNC, NULL};
}
