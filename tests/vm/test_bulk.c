/* test_bulk: operations on many bytes or elements go in pieces that nobody can tell from the whole:
 * results, memories, tables, traps and gas (wat/bulk.wat).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

enum { FILL_GAS = 4 + 1, FILL_BYTES = 40000, FILL_UNITS = FILL_BYTES / 64, BYTES_PER_GAS = 4 };

static struct engine open_bulk(bool slots_only)
{
    return engine_open("bulk", (struct engine_options){.slots_only = slots_only});
}

/* ---- Cut or not, the same comes out ---- */

static const struct bulk_case {
    uint32_t kind;
    enum vm_trap trap;
} cases[] = {
    {0, VM_TRAP_NONE},  {1, VM_TRAP_NONE},  {2, VM_TRAP_NONE},
    {3, VM_TRAP_NONE},  {4, VM_TRAP_NONE},  {5, VM_TRAP_OUT_OF_BOUNDS_MEMORY},
    {10, VM_TRAP_NONE}, {11, VM_TRAP_NONE}, {12, VM_TRAP_NONE},
    {13, VM_TRAP_NONE}, {14, VM_TRAP_NONE}, {15, VM_TRAP_OUT_OF_BOUNDS_TABLE},
};

ParameterizedTestParameters(vm_bulk, pieces_are_the_whole)
{
    return cr_make_param_array(struct bulk_case, (void *)(uintptr_t)cases,
                               sizeof cases / sizeof cases[0]);
}

ParameterizedTest(struct bulk_case *bulk, vm_bulk, pieces_are_the_whole)
{
    struct engine engine = open_bulk(false);
    struct outcome whole = engine_call(&engine, "run", bulk->kind, ENGINE_NO_LIMIT, 1000000);
    engine_close(&engine);
    cr_assert_eq(whole.slices, 1, "the reference is not cut");
    cr_assert_eq(whole.status, bulk->trap == VM_TRAP_NONE ? VM_RETURNED : VM_TRAPPED);
    cr_assert(bulk->trap == VM_TRAP_NONE || whole.trap.trap == bulk->trap);
    struct outcome swept =
        engine_assert_sweep(open_bulk, "run", bulk->kind, whole.gas > 60 ? whole.gas - 60 : 0);
    engine_assert_equal(&whole, &swept);
}

/* What the whole is, is known here by other means. */
Test(vm_bulk, pieces_of_a_copy_do_not_overwrite_what_is_to_be_read)
{
    for (uint32_t kind = 1; kind <= 2; kind++) {
        uint32_t to = kind == 1 ? 133 : 67;
        struct engine engine = open_bulk(false);
        struct outcome outcome = engine_call(&engine, "run", kind, ENGINE_NO_LIMIT, 3);
        const uint8_t *memory = engine.instance->memories[0]->base;
        cr_assert_eq(outcome.status, VM_RETURNED);
        for (uint32_t i = 0; i < 200; i++) {
            cr_assert_eq(memory[to + i], (uint8_t)(7 * i), "%u", i);
        }
        engine_close(&engine);
    }
}

/* ---- How far a slice gets ---- */

static struct vm_run *begin(const struct engine *engine, const char *name, uint32_t argument,
                            uint64_t gas_limit)
{
    struct err err;
    struct vm_value value = engine_i32(argument);
    struct vm_run *run = vm_run_new(engine->store, gas_limit);
    cr_assert(vm_run_begin_call(run, engine_func(engine->instance, name), &value, 1, &err));
    return run;
}

Test(vm_bulk, a_slice_moves_four_bytes_for_each_unit)
{
    struct engine engine = open_bulk(false);
    struct vm_run *run = begin(&engine, "fill", FILL_BYTES, ENGINE_NO_LIMIT);
    const uint8_t *memory = engine.instance->memories[0]->base;
    uint32_t slices = 1;
    for (; vm_run_slice(run, 100) == VM_SUSPENDED; slices++) {
        uint32_t moved = slices * 100 * BYTES_PER_GAS;
        cr_assert_eq(memory[moved - 1], 165);
        cr_assert_eq(memory[moved], 0);
        uint64_t left = (FILL_BYTES - moved) / 64;
        cr_assert_eq(vm_run_gas_consumed(run), FILL_GAS + FILL_UNITS - left - 1, "slice %u",
                     slices);
    }
    cr_assert_eq(slices, FILL_BYTES / (100 * BYTES_PER_GAS));
    cr_assert_eq(vm_run_gas_consumed(run), FILL_GAS - 1 + FILL_UNITS);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_bulk, several_small_ones_share_what_a_slice_moves)
{
    struct engine engine = open_bulk(false);
    struct outcome outcome = engine_call(&engine, "run", 4, ENGINE_NO_LIMIT, 100000);
    cr_assert_eq(outcome.slices, 1);
    engine_close(&engine);
    engine = open_bulk(false);
    struct vm_run *run = begin(&engine, "run", 4, ENGINE_NO_LIMIT);
    uint64_t gas = outcome.gas;
    /* enough gas for all of it but, at 4 bytes a unit, not for its 750 bytes */
    cr_assert_gt(gas, 187);
    cr_assert_eq(vm_run_slice(run, gas - 60), VM_SUSPENDED);
    while (vm_run_slice(run, 25) == VM_SUSPENDED) {
    }
    cr_assert_eq(vm_run_gas_consumed(run), gas);
    vm_run_free(run);
    engine_close(&engine);
}

/* ---- In the middle ---- */

Test(vm_bulk, an_interrupted_one_has_cost_what_was_done)
{
    struct engine engine = open_bulk(false);
    struct vm_run *run = begin(&engine, "fill", FILL_BYTES, ENGINE_NO_LIMIT);
    const uint8_t *memory = engine.instance->memories[0]->base;
    cr_assert_eq(vm_run_slice(run, 1600), VM_SUSPENDED);
    uint64_t gas = vm_run_gas_consumed(run);
    vm_run_interrupt(run);
    cr_assert_eq(vm_run_slice(run, 1600), VM_TRAPPED);
    cr_assert_eq(vm_run_trap(run).trap, VM_TRAP_INTERRUPTED);
    cr_assert_eq(vm_run_gas_consumed(run), gas);
    cr_assert_eq(gas, FILL_GAS - 1 + 1600 * BYTES_PER_GAS / 64);
    cr_assert_eq(memory[1600 * BYTES_PER_GAS - 1], 165);
    cr_assert_eq(memory[1600 * BYTES_PER_GAS], 0);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_bulk, a_growing_table_is_as_it_was_until_the_last_piece)
{
    struct engine engine = open_bulk(false);
    const struct vm_table *table = engine.instance->tables[0];
    struct vm_run *run = begin(&engine, "grow", 100, ENGINE_NO_LIMIT);
    cr_assert_eq(vm_run_slice(run, 50), VM_SUSPENDED);
    cr_assert_eq(table->count, 60);
    vm_run_interrupt(run);
    vm_run_free(run);
    cr_assert_eq(table->count, 60);
    struct outcome outcome = engine_call(&engine, "grow", 100, ENGINE_NO_LIMIT, 50);
    cr_assert_eq(outcome.results[0], 60);
    cr_assert_eq(outcome.slices, 100 * 8 / (50 * BYTES_PER_GAS));
    cr_assert_eq(table->count, 160);
    cr_assert_eq(table->elements[60], table->elements[159]);
    engine_close(&engine);
}

Test(vm_bulk, one_that_cannot_be_paid_moves_nothing)
{
    const uint64_t all = FILL_GAS - 1 + FILL_UNITS;
    for (uint64_t limit = all - 1; limit <= all; limit++) {
        struct engine engine = open_bulk(false);
        struct outcome outcome = engine_call(&engine, "fill", FILL_BYTES, limit, 10);
        cr_assert_eq(outcome.status, limit < all ? VM_OUT_OF_GAS : VM_RETURNED);
        cr_assert_eq(outcome.gas, limit);
        cr_assert_eq(engine.instance->memories[0]->base[0], limit < all ? 0 : 165);
        engine_close(&engine);
    }
}

/* ---- Segments ---- */

static enum vm_status start(struct engine *engine, uint64_t gas_limit, uint64_t slice,
                            uint64_t *gas, uint32_t *slices)
{
    struct err err;
    struct vm_run *run = vm_run_new(engine->store, gas_limit);
    cr_assert(vm_run_begin_start(run, engine->instance, &err));
    enum vm_status status;
    *slices = 0;
    *gas = 0;
    do {
        status = vm_run_slice(run, slice);
        ++*slices;
        cr_assert_geq(vm_run_gas_consumed(run), *gas);
        *gas = vm_run_gas_consumed(run);
    } while (status == VM_SUSPENDED);
    vm_run_free(run);
    return status;
}

static void same_items(const struct vm_instance *a, const struct vm_instance *b)
{
    for (uint32_t i = 0; i < a->module->element_count; i++) {
        for (uint32_t item = 0; item < a->module->elements[i].count; item++) {
            cr_assert_eq(a->elements[i].items[item] == 0, b->elements[i].items[item] == 0);
        }
    }
}

Test(vm_bulk, active_segments_go_in_pieces_too)
{
    enum { FIRST = 68, SECOND = 38, ELEMENTS = 10 };
    const uint64_t price = 3 + (FIRST + 63) / 64 + (SECOND + 63) / 64 + (ELEMENTS + 7) / 8;
    struct engine engine = open_bulk(false);
    for (uint64_t slice = 1; slice <= 1000; slice *= 10) {
        uint64_t gas;
        uint32_t slices;
        struct engine other = {engine.store, engine_add(&engine, "bulk", NULL)};
        cr_assert_eq(start(&other, ENGINE_NO_LIMIT, slice, &gas, &slices), VM_RETURNED);
        cr_assert_eq(gas, price);
        cr_assert_eq(slices > 1, slice < 1000, "%u slices of %u", slices, (unsigned)slice);
        cr_assert_arr_eq(other.instance->memories[0]->base, engine.instance->memories[0]->base,
                         VM_PAGE_BYTES);
        cr_assert_arr_eq(other.instance->memories[2]->base, engine.instance->memories[2]->base,
                         VM_PAGE_BYTES);
        cr_assert_eq(other.instance->elements[1].count, 0);
        same_items(engine.instance, other.instance);
        cr_assert_eq(other.instance->data[1].size, 0);
        for (uint32_t i = 3; i < 3 + ELEMENTS; i++) {
            cr_assert_neq(other.instance->tables[1]->elements[i], 0);
        }
        struct engine poor = {engine.store, engine_add(&engine, "bulk", NULL)};
        cr_assert_eq(start(&poor, price - 1, slice, &gas, &slices), VM_OUT_OF_GAS);
        cr_assert_eq(gas, price - 1);
        cr_assert_eq(poor.instance->tables[1]->elements[3], 0);
    }
    engine_close(&engine);
}

Test(vm_bulk, segments_can_be_interrupted)
{
    struct engine engine = open_bulk(false);
    struct engine other = {engine.store, engine_add(&engine, "bulk", NULL)};
    struct err err;
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_start(run, other.instance, &err));
    do { /* what is in the segments comes first */
        cr_assert_eq(vm_run_slice(run, 40), VM_SUSPENDED);
    } while (other.instance->tables[1]->elements[3] == 0);
    uint64_t gas = vm_run_gas_consumed(run);
    vm_run_interrupt(run);
    cr_assert_eq(vm_run_slice(run, 40), VM_TRAPPED);
    cr_assert_eq(vm_run_gas_consumed(run), gas);
    cr_assert_lt(gas, 8);
    cr_assert_neq(other.instance->tables[1]->elements[3], 0);
    cr_assert_eq(other.instance->memories[0]->base[3000], 0);
    vm_run_free(run);
    engine_close(&engine);
}
