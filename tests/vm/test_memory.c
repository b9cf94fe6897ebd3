/* test_memory: memories and tables grow exactly as far as their type, the limits and the budget let
 * them, and give everything back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <string.h>

/* Not cut. */
#define WHOLE (&(struct bulk){.left = UINT64_MAX})
#define NO_MAX UINT64_MAX

static struct vm_store *store_of(uint32_t pages_max, uint32_t elements_max, bool traps,
                                 struct budget *budget)
{
    struct vm_limits limits = vm_limits_default;
    limits.memory_pages_max = pages_max;
    limits.table_elements_max = elements_max;
    limits.memory_limit_traps = traps;
    struct vm_store *store = vm_store_new(&limits, budget);
    cr_assert_not_null(store);
    return store;
}

static int64_t grow(struct vm_memory *memory, uint64_t delta)
{
    enum vm_trap trap = VM_TRAP_NONE;
    int64_t old = memory_grow(memory, delta, &trap);
    cr_assert_eq(trap, VM_TRAP_NONE);
    return old;
}

static struct vm_memory *new_memory(struct vm_store *store, uint64_t min, struct err *err)
{
    return memory_new(store, &(struct module_memory){.min = min, .max = NO_MAX}, err);
}

static struct vm_table *new_table(struct vm_store *store, uint64_t min, struct err *err)
{
    return table_new(store, &(struct module_table){.type = VM_FUNCREF, .min = min, .max = NO_MAX},
                     err);
}

Test(vm_memory, grows_to_its_declared_maximum_and_never_past_it)
{
    struct vm_store *store = store_of(100, 0, true, NULL);
    struct vm_memory *memory = vm_store_host_memory(store, 1, 3);
    const uint8_t *base = memory->base;
    cr_assert_eq(grow(memory, 0), 1);
    cr_assert_eq(grow(memory, 3), -1);
    cr_assert_eq(grow(memory, 1), 1);
    cr_assert_eq(grow(memory, 1), 2);
    cr_assert_eq(grow(memory, 1), -1);
    cr_assert_eq(grow(memory, UINT64_MAX), -1);
    cr_assert_eq(grow(memory, 0), 3);
    cr_assert_eq(memory->base, base);
    cr_assert_eq(vm_memory_bytes(memory), 3 * VM_PAGE_BYTES);
    vm_store_free(store);
}

Test(vm_memory, what_is_new_is_zero_and_what_was_there_stays)
{
    struct vm_store *store = store_of(4, 0, false, NULL);
    struct vm_memory *memory = vm_store_host_memory(store, 1, NO_MAX);
    memory->base[VM_PAGE_BYTES - 1] = 42;
    cr_assert_eq(grow(memory, 2), 1);
    cr_assert_eq(memory->base[VM_PAGE_BYTES - 1], 42);
    for (size_t i = VM_PAGE_BYTES; i < 3 * VM_PAGE_BYTES; i += 997) {
        cr_assert_eq(memory->base[i], 0);
    }
    vm_store_free(store);
}

Test(vm_memory, past_the_page_limit_growing_gives_minus_one_or_traps)
{
    for (int traps = 0; traps < 2; traps++) {
        struct vm_store *store = store_of(2, 0, traps == 1, NULL);
        struct vm_memory *memory = vm_store_host_memory(store, 1, NO_MAX);
        enum vm_trap trap = VM_TRAP_NONE;
        cr_assert_eq(memory_grow(memory, 2, &trap), -1);
        cr_assert_eq(trap, traps == 1 ? VM_TRAP_MEMORY_BUDGET : VM_TRAP_NONE);
        cr_assert_eq(grow(memory, 1), 1);
        cr_assert_eq(grow(memory, 65536), -1); /* past what the type has: never a trap */
        vm_store_free(store);
    }
}

Test(vm_memory, past_the_budget_growing_gives_minus_one_or_traps)
{
    for (int traps = 0; traps < 2; traps++) {
        struct budget budget;
        budget_init(&budget, NULL, 3 * VM_PAGE_BYTES + 16384);
        struct vm_store *store = store_of(100, 0, traps == 1, &budget);
        struct vm_memory *memory = vm_store_host_memory(store, 1, NO_MAX);
        enum vm_trap trap = VM_TRAP_NONE;
        cr_assert_eq(memory_grow(memory, 3, &trap), -1);
        cr_assert_eq(trap, traps == 1 ? VM_TRAP_MEMORY_BUDGET : VM_TRAP_NONE);
        cr_assert_eq(grow(memory, 2), 1);
        cr_assert_eq(vm_store_memory_peak(store), 3 * VM_PAGE_BYTES);
        vm_store_free(store);
        cr_assert_eq(budget_used(&budget), 0);
    }
}

Test(vm_memory, a_minimum_over_the_limit_or_the_budget_is_memory_exceeded)
{
    struct budget budget;
    struct err err = {.code = ERR_NONE};
    budget_init(&budget, NULL, 2 * VM_PAGE_BYTES + 16384);
    struct vm_store *store = store_of(3, 0, false, &budget);
    cr_assert_null(new_memory(store, 4, &err));
    cr_assert_eq(err.code, ERR_MEMORY_EXCEEDED);
    cr_assert_not_null(strstr(err.message, "memory_pages_max"));
    cr_assert_null(new_memory(store, 3, &err));
    cr_assert_eq(err.code, ERR_MEMORY_EXCEEDED);
    cr_assert_null(vm_store_host_memory(store, 3, NO_MAX));
    cr_assert_not_null(new_memory(store, 2, &err));
    vm_store_free(store);
    cr_assert_eq(budget_used(&budget), 0);
}

Test(vm_memory, a_memory_that_can_only_be_empty_needs_no_mapping)
{
    struct vm_store *store = store_of(10, 0, false, NULL);
    struct vm_memory *memory = vm_store_host_memory(store, 0, 0);
    uint8_t *range;
    cr_assert_null(memory->base);
    cr_assert_eq(grow(memory, 0), 0);
    cr_assert_eq(grow(memory, 1), -1);
    cr_assert(vm_memory_range(memory, 0, 0, &range));
    cr_assert_not(vm_memory_range(memory, 0, 1, &range));
    cr_assert_eq(memory_fill(memory, 0, 1, 0, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(memory_copy(memory, memory, 0, 0, 0, WHOLE), VM_TRAP_NONE);
    vm_store_free(store);
}

Test(vm_memory, ranges_and_bulk_operations_are_exact_at_the_end)
{
    static const uint8_t data[] = {1, 2, 3, 4};
    struct vm_store *store = store_of(10, 0, false, NULL);
    struct vm_memory *memory = vm_store_host_memory(store, 1, NO_MAX);
    const struct bytes bytes = bytes_of(data, sizeof data);
    const uint64_t end = VM_PAGE_BYTES;
    const enum vm_trap out = VM_TRAP_OUT_OF_BOUNDS_MEMORY;
    uint8_t *range;
    cr_assert(vm_memory_range(memory, end - 4, 4, &range));
    cr_assert_eq(range, memory->base + end - 4);
    cr_assert(vm_memory_range(memory, end, 0, &range));
    cr_assert_not(vm_memory_range(memory, end - 4, 5, &range));
    cr_assert_not(vm_memory_range(memory, end + 1, 0, &range));
    cr_assert_not(vm_memory_range(memory, UINT64_MAX, 2, &range));
    cr_assert_eq(memory_init(memory, bytes, end - 4, 0, 4, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(memory->base[end - 1], 4);
    cr_assert_eq(memory_init(memory, bytes, end - 3, 0, 4, WHOLE), out);
    cr_assert_eq(memory_init(memory, bytes, 0, 1, 4, WHOLE), out);
    cr_assert_eq(memory_init(memory, bytes, 0, 4, 0, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(memory_init(memory, bytes, 0, 5, 0, WHOLE), out);
    cr_assert_eq(memory_copy(memory, memory, end - 3, end - 4, 3, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(memory->base[end - 1], 3);
    cr_assert_eq(memory_copy(memory, memory, end - 2, 0, 3, WHOLE), out);
    cr_assert_eq(memory_copy(memory, memory, 0, end - 2, 3, WHOLE), out);
    cr_assert_eq(memory_fill(memory, end - 2, 9, 2, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(memory->base[end - 2], 9);
    cr_assert_eq(memory_fill(memory, end - 2, 9, 3, WHOLE), out);
    cr_assert_eq(memory_fill(memory, end + 1, 9, 0, WHOLE), out);
    vm_store_free(store);
}

/* ---- Tables ---- */

Test(vm_table, grows_to_its_declared_maximum_with_the_value_given)
{
    struct vm_store *store = store_of(0, 1000, true, NULL);
    struct vm_table *table = vm_store_host_table(store, VM_EXTERNREF, 2, 10);
    enum vm_trap trap = VM_TRAP_NONE;
    cr_assert_eq(table_grow(table, 9, 7, WHOLE, &trap), -1);
    cr_assert_eq(table_grow(table, 1, 5, WHOLE, &trap), 2);
    cr_assert_eq(table_grow(table, 7, 6, WHOLE, &trap), 3);
    cr_assert_eq(table_grow(table, 0, 6, WHOLE, &trap), 10);
    cr_assert_eq(table_grow(table, 1, 6, WHOLE, &trap), -1);
    cr_assert_eq(table_grow(table, UINT64_MAX, 6, WHOLE, &trap), -1);
    cr_assert_eq(trap, VM_TRAP_NONE);
    static const uint64_t expected[] = {0, 0, 5, 6, 6, 6, 6, 6, 6, 6};
    cr_assert_arr_eq(table->elements, expected, sizeof expected);
    vm_store_free(store);
}

Test(vm_table, past_the_limit_or_the_budget_growing_gives_minus_one_or_traps)
{
    for (int traps = 0; traps < 2; traps++) {
        struct budget budget;
        const enum vm_trap expected = traps == 1 ? VM_TRAP_MEMORY_BUDGET : VM_TRAP_NONE;
        budget_init(&budget, NULL, 16384 + 1000 * sizeof(uint64_t));
        struct vm_store *store = store_of(0, 5000, traps == 1, &budget);
        struct vm_table *table = vm_store_host_table(store, VM_FUNCREF, 600, NO_MAX);
        enum vm_trap trap = VM_TRAP_NONE;
        cr_assert_eq(table_grow(table, 4401, 0, WHOLE, &trap), -1);
        cr_assert_eq(trap, expected);
        trap = VM_TRAP_NONE;
        cr_assert_eq(table_grow(table, 4400, 0, WHOLE, &trap), -1);
        cr_assert_eq(trap, expected);
        trap = VM_TRAP_NONE;
        cr_assert_eq(table_grow(table, 400, 0, WHOLE, &trap),
                     600); /* doubling is too much, this is not */
        cr_assert_eq(trap, VM_TRAP_NONE);
        vm_store_free(store);
        cr_assert_eq(budget_used(&budget), 0);
    }
}

Test(vm_table, a_minimum_over_the_limit_or_the_budget_is_memory_exceeded)
{
    struct budget budget;
    struct err err = {.code = ERR_NONE};
    budget_init(&budget, NULL, 16384);
    struct vm_store *store = store_of(0, 5000, false, &budget);
    cr_assert_null(new_table(store, 5001, &err));
    cr_assert_eq(err.code, ERR_MEMORY_EXCEEDED);
    cr_assert_not_null(strstr(err.message, "table_elements_max"));
    cr_assert_null(new_table(store, 5000, &err));
    cr_assert_eq(err.code, ERR_MEMORY_EXCEEDED);
    cr_assert_null(vm_store_host_table(store, VM_FUNCREF, 5000, NO_MAX));
    vm_store_free(store);
    cr_assert_eq(budget_used(&budget), 0);
}

Test(vm_table, bulk_operations_are_exact_at_the_end)
{
    uint64_t items[] = {11, 12, 13};
    const struct instance_element segment = {items, 3};
    const struct instance_element dropped = {items, 0};
    const enum vm_trap out = VM_TRAP_OUT_OF_BOUNDS_TABLE;
    struct vm_store *store = store_of(0, 100, false, NULL);
    struct vm_table *table = vm_store_host_table(store, VM_EXTERNREF, 5, NO_MAX);
    cr_assert_eq(table_init(table, &segment, 2, 0, 3, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(table->elements[4], 13);
    cr_assert_eq(table_init(table, &segment, 3, 0, 3, WHOLE), out);
    cr_assert_eq(table_init(table, &segment, 0, 1, 3, WHOLE), out);
    cr_assert_eq(table_init(table, &dropped, 0, 0, 1, WHOLE), out);
    cr_assert_eq(table_init(table, &dropped, 5, 0, 0, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(table_init(table, &dropped, 6, 0, 0, WHOLE), out);
    cr_assert_eq(table_copy(table, table, 1, 2, 3, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(table->elements[3], 13);
    cr_assert_eq(table_copy(table, table, 3, 0, 3, WHOLE), out);
    cr_assert_eq(table_copy(table, table, 0, 3, 3, WHOLE), out);
    cr_assert_eq(table_fill(table, 3, 9, 2, WHOLE), VM_TRAP_NONE);
    cr_assert_eq(table->elements[4], 9);
    cr_assert_eq(table_fill(table, 3, 9, 3, WHOLE), out);
    cr_assert_eq(table_fill(table, 6, 9, 0, WHOLE), out);
    vm_store_free(store);
}

/* ---- What one program leaves, the next must not see ---- */

static void assert_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        cr_assert_eq(bytes[i], 0, "byte %zu of %zu", i, size);
    }
}

static void dirty_store(uint64_t pages, uint64_t grown)
{
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    struct vm_memory *memory = vm_store_host_memory(store, pages, 64);
    enum vm_trap trap = VM_TRAP_NONE;
    assert_zero(memory->base, memory->bytes);
    memset(memory->base, 0x5a, memory->bytes);
    cr_assert_eq(memory_grow(memory, grown, &trap), (int64_t)pages);
    assert_zero(memory->base + pages * VM_PAGE_BYTES, grown * VM_PAGE_BYTES);
    memset(memory->base, 0x5a, memory->bytes);
    vm_store_free(store);
}

Test(vm_memory, memories_of_ended_stores_leave_nothing_to_later_ones)
{
    static const uint64_t pages[][2] = {{2, 0}, {1, 3}, {4, 0}, {1, 40}, {2, 1}, {1, 63}, {0, 5}};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
            dirty_store(pages[i][0], pages[i][1]);
        }
    }
    mapping_pool_trim();
}

Test(vm_memory, stacks_of_ended_runs_leave_nothing_to_later_ones)
{
    struct engine engine = engine_open("sweep", (struct engine_options){0});
    for (int round = 0; round < 3; round++) {
        (void)engine_call(&engine, "deep", 3000, ENGINE_NO_LIMIT, 1000);
        struct mapping mapping;
        cr_assert(mapping_take(&mapping, vm_limits_default.stack_bytes_max));
        cr_assert(mapping.is_reused);
        cr_assert(mapping_open(&mapping, 512 * 1024));
        assert_zero(mapping.base, 512 * 1024);
        mapping_give(&mapping, 512 * 1024);
    }
    engine_close(&engine);
}
