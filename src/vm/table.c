/* table.c: tables (core spec 4.2.7, 4.4.6). Elements lie on the heap and grow by doubling; what is
 * allocated is charged to the budget.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

#include <string.h>

static bool table_resize(struct vm_table *table, size_t capacity)
{
    size_t added = (capacity - table->capacity) * sizeof *table->elements;
    if (!store_charge(table->store, added)) {
        return false;
    }
    uint64_t *elements = table->elements == NULL
                             ? heap_alloc_array(capacity, sizeof *elements)
                             : heap_resize(table->elements, capacity * sizeof *elements);
    if (elements == NULL) {
        store_release(table->store, added);
        budget_forget_refusal(table->store->budget); /* it was not the budget */
        return false;
    }
    table->elements = elements;
    table->capacity = capacity;
    return true;
}

/* Room for `count`: more than that where the budget has it. */
static bool table_reserve(struct vm_table *table, size_t count)
{
    if (count <= table->capacity) {
        return true;
    }
    size_t doubled = 2 * table->capacity;
    size_t max = table->store->limits.table_elements_max;
    max = table->max < max ? (size_t)table->max : max;
    doubled = doubled > max ? max : doubled;
    return (doubled > count && table_resize(table, doubled)) || table_resize(table, count);
}

/* From `begin` on. */
static void table_set(struct vm_table *table, uint64_t begin, uint64_t count, uint64_t value)
{
    for (uint64_t i = begin; i < begin + count; i++) {
        table->elements[i] = value;
    }
}

struct vm_table *table_new(struct vm_store *store, const struct module_table *type, struct err *err)
{
    if (type->min > store->limits.table_elements_max) {
        err_set(err, ERR_MEMORY_EXCEEDED, "table_elements_max: %llu is over the limit of %u",
                (unsigned long long)type->min, store->limits.table_elements_max);
        return NULL;
    }
    uint32_t min = (uint32_t)type->min;
    struct vm_table *table = ARENA_NEW(&store->arena, struct vm_table);
    if (table == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a table");
        return NULL;
    }
    table->store = store;
    table->type = type->type;
    table->is_64 = type->is_64;
    table->max = type->max;
    if (!table_reserve(table, min)) {
        store_refusal_err(store, "a table, in elements,", min, err);
        return NULL;
    }
    table->count = min; /* null as they come from the heap, so that a large one is made at once */
    list_push_back(&store->tables, &table->link);
    return table;
}

void table_release(struct vm_table *table)
{
    heap_free(table->elements);
    store_release(table->store, table->capacity * sizeof *table->elements);
}

size_t table_release_some(struct vm_table *table, size_t bytes)
{
    size_t count = bytes / sizeof *table->elements;
    if (table->capacity <= count) {
        return 0;
    }
    uint64_t *elements = heap_resize(table->elements, (table->capacity - count) * sizeof *elements);
    if (elements == NULL) {
        return 0;
    }
    table->elements = elements;
    table->capacity -= count;
    store_release(table->store, count * sizeof *elements);
    return count * sizeof *elements;
}

int64_t table_grow(struct vm_table *table, uint64_t delta, uint64_t value, struct bulk *bulk,
                   enum vm_trap *trap)
{
    const struct vm_limits *limits = &table->store->limits;
    uint64_t max = table->max < UINT32_MAX ? table->max : UINT32_MAX;
    if (delta > max - table->count) {
        return -1;
    }
    uint32_t old_count = table->count;
    uint64_t count = old_count + delta;
    if (count > limits->table_elements_max) {
        *trap = limits->memory_limit_traps ? VM_TRAP_MEMORY_BUDGET : VM_TRAP_NONE;
        return -1;
    }
    if (!table_reserve(table, (size_t)count)) {
        *trap = store_refusal_trap(table->store);
        return -1;
    }
    uint64_t done = bulk->done;
    uint64_t piece = bulk_take(bulk, delta, sizeof *table->elements);
    table_set(table, old_count + done, piece, value);
    table->count = bulk->is_under_way ? old_count : (uint32_t)count;
    return old_count;
}

enum vm_trap table_init(struct vm_table *table, const struct instance_element *segment, uint64_t to,
                        uint64_t from, uint64_t size, struct bulk *bulk)
{
    if (!range_is_inside(from, size, segment->count) || !range_is_inside(to, size, table->count)) {
        return VM_TRAP_OUT_OF_BOUNDS_TABLE;
    }
    uint64_t done = bulk->done;
    uint64_t count = bulk_take(bulk, size, sizeof *table->elements);
    if (count > 0) {
        memcpy(table->elements + to + done, segment->items + from + done,
               count * sizeof *table->elements);
    }
    return VM_TRAP_NONE;
}

enum vm_trap table_copy(struct vm_table *to_table, struct vm_table *from_table, uint64_t to,
                        uint64_t from, uint64_t size, struct bulk *bulk)
{
    if (!range_is_inside(from, size, from_table->count) ||
        !range_is_inside(to, size, to_table->count)) {
        return VM_TRAP_OUT_OF_BOUNDS_TABLE;
    }
    uint64_t done = bulk->done;
    uint64_t count = bulk_take(bulk, size, sizeof *to_table->elements);
    if (count > 0) {
        uint64_t begin = bulk_copy_begin(to, from, size, done, count);
        memmove(to_table->elements + to + begin, from_table->elements + from + begin,
                count * sizeof *to_table->elements);
    }
    return VM_TRAP_NONE;
}

enum vm_trap table_fill(struct vm_table *table, uint64_t to, uint64_t value, uint64_t size,
                        struct bulk *bulk)
{
    if (!range_is_inside(to, size, table->count)) {
        return VM_TRAP_OUT_OF_BOUNDS_TABLE;
    }
    uint64_t done = bulk->done;
    uint64_t count = bulk_take(bulk, size, sizeof *table->elements);
    table_set(table, to + done, count, value);
    return VM_TRAP_NONE;
}
