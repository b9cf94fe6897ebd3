/* store.c: the store: what instances and host objects live in, and which function types are equal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

#include <string.h>

enum { STORE_TYPE_BYTES = sizeof(struct vm_func_type) + sizeof(uint32_t) };

struct vm_store *vm_store_new(const struct vm_limits *limits, struct budget *budget)
{
    if (!budget_charge(budget, sizeof(struct vm_store))) {
        return NULL;
    }
    struct vm_store *store = HEAP_NEW(struct vm_store);
    if (store == NULL) {
        budget_release(budget, sizeof *store);
        return NULL;
    }
    store->limits = *limits;
    store->budget = budget;
    arena_init(&store->arena, budget);
    list_init(&store->instances);
    list_init(&store->memories);
    list_init(&store->tables);
    return store;
}

/* All that is not the arena's. */
static void release_objects(struct vm_store *store)
{
    struct list *link;
    while ((link = list_pop_front(&store->instances)) != NULL) {
        vm_module_unref(LIST_ENTRY(link, struct vm_instance, link)->module);
    }
    while ((link = list_pop_front(&store->memories)) != NULL) {
        memory_release(LIST_ENTRY(link, struct vm_memory, link));
    }
    while ((link = list_pop_front(&store->tables)) != NULL) {
        table_release(LIST_ENTRY(link, struct vm_table, link));
    }
}

void vm_store_free(struct vm_store *store)
{
    if (store == NULL) {
        return;
    }
    release_objects(store);
    heap_free(store->types);
    heap_free(store->type_order);
    budget_release(store->budget, sizeof *store + store->type_capacity * STORE_TYPE_BYTES);
    arena_release(&store->arena);
    heap_free(store);
}

bool vm_store_release_some(struct vm_store *store, size_t bytes)
{
    for (struct list *link = store->memories.next; link != &store->memories; link = link->next) {
        if (memory_release_some(LIST_ENTRY(link, struct vm_memory, link), bytes) > 0) {
            return false;
        }
    }
    for (struct list *link = store->tables.next; link != &store->tables; link = link->next) {
        if (table_release_some(LIST_ENTRY(link, struct vm_table, link), bytes) > 0) {
            return false;
        }
    }
    release_objects(store);
    return arena_release_some(&store->arena, bytes);
}

bool store_charge(struct vm_store *store, size_t size)
{
    if (!budget_charge(store->budget, size)) {
        return false;
    }
    store->used += size;
    store->peak = store->used > store->peak ? store->used : store->peak;
    return true;
}

enum vm_trap store_refusal_trap(const struct vm_store *store)
{
    if (!store->limits.memory_limit_traps) {
        return VM_TRAP_NONE;
    }
    bool is_own = budget_refusal(store->budget) == BUDGET_REFUSED_HERE;
    return is_own ? VM_TRAP_MEMORY_BUDGET : VM_TRAP_NO_MEMORY;
}

bool store_refusal_err(const struct vm_store *store, const char *what, uint64_t count,
                       struct err *err)
{
    bool is_own = budget_refusal(store->budget) == BUDGET_REFUSED_HERE;
    return err_set(err, is_own ? ERR_MEMORY_EXCEEDED : ERR_NO_MEMORY,
                   "%s of %llu is over the memory limit", what, (unsigned long long)count);
}

void store_release(struct vm_store *store, size_t size)
{
    budget_release(store->budget, size);
    store->used -= size;
}

uint64_t vm_store_memory_peak(const struct vm_store *store)
{
    return store->peak;
}

/* ---- Types: sorted, so that no choice of types makes it slow ---- */

static int type_compare(const struct vm_func_type *a, const struct vm_func_type *b)
{
    if (a->param_count != b->param_count) {
        return a->param_count < b->param_count ? -1 : 1;
    }
    if (a->result_count != b->result_count) {
        return a->result_count < b->result_count ? -1 : 1;
    }
    size_t count = (size_t)a->param_count + a->result_count;
    return count == 0 ? 0 : memcmp(a->types, b->types, count * sizeof a->types[0]);
}

static bool reserve_type(struct vm_store *store)
{
    if (store->type_count < store->type_capacity) {
        return true;
    }
    uint32_t capacity = store->type_capacity == 0 ? 16 : 2 * store->type_capacity;
    size_t added = (capacity - store->type_capacity) * STORE_TYPE_BYTES;
    if (!budget_charge(store->budget, added)) {
        return false;
    }
    struct vm_func_type *types = heap_resize(store->types, capacity * sizeof *types);
    store->types = types != NULL ? types : store->types;
    uint32_t *order =
        types != NULL ? heap_resize(store->type_order, capacity * sizeof *order) : NULL;
    if (order == NULL) {
        budget_release(store->budget, added);
        return false;
    }
    store->type_order = order;
    store->type_capacity = capacity;
    return true;
}

static bool copy_type(struct vm_store *store, const struct vm_func_type *type,
                      struct vm_func_type *out)
{
    size_t count = (size_t)type->param_count + type->result_count;
    enum vm_type *types = ARENA_ARRAY(&store->arena, enum vm_type, count);
    if (types == NULL) {
        return false;
    }
    if (count > 0) {
        memcpy(types, type->types, count * sizeof types[0]);
    }
    *out = (struct vm_func_type){type->param_count, type->result_count, types};
    return true;
}

uint32_t store_type_id(struct vm_store *store, const struct vm_func_type *type)
{
    uint32_t low = 0;
    uint32_t high = store->type_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t id = store->type_order[middle];
        int order = type_compare(&store->types[id], type);
        if (order == 0) {
            return id;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (!reserve_type(store) || !copy_type(store, type, &store->types[store->type_count])) {
        return UINT32_MAX;
    }
    memmove(&store->type_order[low + 1], &store->type_order[low],
            (store->type_count - low) * sizeof store->type_order[0]);
    store->type_order[low] = store->type_count;
    return store->type_count++;
}

/* ---- Host objects ---- */

struct vm_func *vm_store_host_func(struct vm_store *store, const struct vm_func_type *type,
                                   vm_host_cb cb, void *context)
{
    struct vm_func *func = ARENA_NEW(&store->arena, struct vm_func);
    struct vm_func_type *copy = ARENA_NEW(&store->arena, struct vm_func_type);
    uint32_t type_id = store_type_id(store, type);
    if (func == NULL || copy == NULL || type_id == UINT32_MAX || !copy_type(store, type, copy)) {
        return NULL;
    }
    *func = (struct vm_func){.type_id = type_id, .type = copy, .host = cb, .host_context = context};
    return func;
}

static struct vm_table *host_table(struct vm_store *store, const struct module_table *type)
{
    struct err ignored;
    return table_new(store, type, &ignored);
}

struct vm_table *vm_store_host_table(struct vm_store *store, enum vm_type type, uint32_t min,
                                     uint64_t max)
{
    return host_table(store, &(struct module_table){.type = type, .min = min, .max = max});
}

struct vm_table *vm_store_host_table64(struct vm_store *store, enum vm_type type, uint32_t min,
                                       uint64_t max)
{
    return host_table(store,
                      &(struct module_table){.type = type, .is_64 = true, .min = min, .max = max});
}

struct vm_memory *vm_store_host_memory(struct vm_store *store, uint64_t min_pages,
                                       uint64_t max_pages)
{
    struct err ignored;
    return memory_new(store, &(struct module_memory){.min = min_pages, .max = max_pages}, &ignored);
}

struct vm_global *vm_store_host_global(struct vm_store *store, struct vm_value value,
                                       bool is_mutable)
{
    struct vm_global *global = ARENA_NEW(&store->arena, struct vm_global);
    if (global != NULL) {
        global->type = value.type;
        global->is_mutable = is_mutable;
        value_to_slots(&value, global->value);
    }
    return global;
}

struct vm_value vm_global_get(const struct vm_global *global)
{
    return value_from_slots(global->type, global->value);
}

const struct vm_func_type *vm_func_get_type(const struct vm_func *func)
{
    return func->type;
}
