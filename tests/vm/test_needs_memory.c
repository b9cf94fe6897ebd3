/* test_needs_memory: a guest that is within its own limits, in an engine that has no memory left
 * for it, waits where it stands: nothing has happened, nothing has been paid, and when there is
 * memory it comes to what it would have come to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

enum { HELD_BYTES = 1 << 30 };

static struct budget shared;

struct need {
    char name[8];
    uint32_t argument;
    uint32_t result;
};

static struct engine open_traps(void)
{
    struct vm_limits limits = vm_limits_default;
    limits.memory_limit_traps = true;
    budget_init(&shared, NULL, HELD_BYTES);
    return engine_open("needy", (struct engine_options){.limits = &limits, .parent = &shared});
}

/* All that is left of the budget that guests share. */
static size_t hold_the_rest(void)
{
    size_t rest = HELD_BYTES - budget_used(&shared);
    cr_assert(budget_charge(&shared, rest));
    return rest;
}

static struct vm_run *begin(struct engine *engine, const struct need *need)
{
    struct err err;
    struct vm_value argument = engine_i32(need->argument);
    struct vm_run *run = vm_run_new(engine->store, ENGINE_NO_LIMIT);
    cr_assert_not_null(run);
    cr_assert(
        vm_run_begin_call(run, engine_func(engine->instance, need->name), &argument, 1, &err));
    return run;
}

static enum vm_status run_slices(struct vm_run *run, uint64_t gas)
{
    enum vm_status status;
    do {
        status = vm_run_slice(run, gas);
    } while (status == VM_SUSPENDED);
    return status;
}

static void expect_result(const struct vm_run *run, const struct need *need, uint64_t gas)
{
    uint32_t count;
    cr_expect_eq(vm_run_results(run, &count)[0].as.i32, need->result, "%s: %u", need->name,
                 vm_run_results(run, &count)[0].as.i32);
    cr_expect_eq(vm_run_gas_consumed(run), gas, "%s: %llu, not %llu", need->name,
                 (unsigned long long)vm_run_gas_consumed(run), (unsigned long long)gas);
}

static uint64_t gas_with_memory(const struct need *need)
{
    struct engine engine = open_traps();
    struct vm_run *run = begin(&engine, need);
    cr_assert_eq(run_slices(run, ENGINE_NO_LIMIT), VM_RETURNED);
    uint64_t gas = vm_run_gas_consumed(run);
    expect_result(run, need, gas);
    vm_run_free(run);
    engine_close(&engine);
    return gas;
}

ParameterizedTestParameters(vm_needs_memory, waits_and_goes_on)
{
    static struct need needs[] = {
        {"grow", 3, 5000 + 1 + 400}, {"extend", 5000, 10001}, {"deep", 3000, 6000}};
    return cr_make_param_array(struct need, needs, sizeof needs / sizeof needs[0]);
}

ParameterizedTest(struct need *need, vm_needs_memory, waits_and_goes_on)
{
    uint64_t gas = gas_with_memory(need);
    for (uint64_t slice = 1; slice <= 1000000; slice *= 1000) {
        struct engine engine = open_traps();
        struct vm_run *run = begin(&engine, need);
        size_t held = hold_the_rest();
        cr_assert_eq(run_slices(run, slice), VM_NEEDS_MEMORY);
        uint64_t before = vm_run_gas_consumed(run);
        cr_expect_lt(before, gas);
        for (int again = 0; again < 3; again++) {
            cr_assert_eq(vm_run_slice(run, slice), VM_NEEDS_MEMORY);
            cr_expect_eq(vm_run_gas_consumed(run), before, "waiting costs nothing");
        }
        budget_release(&shared, held);
        cr_assert_eq(run_slices(run, slice), VM_RETURNED);
        expect_result(run, need, gas);
        vm_run_free(run);
        engine_close(&engine);
        cr_expect_eq(budget_used(&shared), 0);
    }
}

Test(vm_needs_memory, who_does_not_want_to_wait_interrupts)
{
    struct engine engine = open_traps();
    struct vm_run *run = begin(&engine, &(struct need){"grow", 3, 0});
    size_t held = hold_the_rest();
    cr_assert_eq(run_slices(run, 1000), VM_NEEDS_MEMORY);
    vm_run_interrupt(run);
    cr_assert_eq(vm_run_slice(run, 1000), VM_TRAPPED);
    cr_expect_eq(vm_run_trap(run).trap, VM_TRAP_INTERRUPTED);
    budget_release(&shared, held);
    vm_run_free(run);
    engine_close(&engine);
}

/* Its own limits are another matter: waiting would not help. */
Test(vm_needs_memory, past_its_own_limits_a_guest_traps_whoever_else_has_memory)
{
    struct engine engine = open_traps();
    engine.store->limits.memory_pages_max = 3;
    for (int is_held = 0; is_held < 2; is_held++) {
        struct vm_run *run = begin(&engine, &(struct need){"grow", 3, 0});
        size_t held = is_held == 1 ? hold_the_rest() : 0;
        cr_assert_eq(run_slices(run, 1000), VM_TRAPPED);
        cr_expect_eq(vm_run_trap(run).trap, VM_TRAP_MEMORY_BUDGET);
        budget_release(&shared, held);
        vm_run_free(run);
    }
    engine_close(&engine);
}

/* An engine whose limits do not trap says -1, as the standard has it. */
Test(vm_needs_memory, without_traps_growing_fails_at_once)
{
    struct engine engine;
    budget_init(&shared, NULL, HELD_BYTES);
    engine = engine_open("needy", (struct engine_options){.parent = &shared});
    struct vm_run *run = begin(&engine, &(struct need){"grow", 3, 0});
    size_t held = hold_the_rest();
    uint32_t count;
    cr_assert_eq(run_slices(run, 1000), VM_RETURNED);
    cr_expect_eq(vm_run_results(run, &count)[0].as.i32, 5000 - 1 + 100);
    budget_release(&shared, held);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_needs_memory, a_new_memory_or_table_tells_whose_limit_it_was)
{
    struct err err;
    struct budget own;
    budget_init(&shared, NULL, 100000);
    for (int is_own = 0; is_own < 2; is_own++) {
        budget_init(&own, &shared, is_own == 1 ? 50000 : HELD_BYTES);
        struct vm_store *store = vm_store_new(&vm_limits_default, &own);
        enum err_code expected = is_own == 1 ? ERR_MEMORY_EXCEEDED : ERR_NO_MEMORY;
        cr_assert_null(memory_new(store, &(struct module_memory){.min = 2, .max = 2}, &err));
        cr_expect_eq(err.code, expected);
        const struct module_table table = {.type = VM_FUNCREF, .min = 20000, .max = 20000};
        cr_assert_null(table_new(store, &table, &err));
        cr_expect_eq(err.code, expected);
        vm_store_free(store);
    }
    cr_expect_eq(budget_used(&shared), 0);
}
