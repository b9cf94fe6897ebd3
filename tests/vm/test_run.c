/* test_run: beginning, calls over instances and into the host, interruption, accounts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <string.h>

static const enum vm_type add_types[] = {VM_I32, VM_I64, VM_F32, VM_F64, VM_F64};

static enum vm_trap host_add(void *context, struct vm_instance *caller, const struct vm_value *args,
                             struct vm_value *results)
{
    float third;
    double fourth, sum;
    cr_assert_not_null(caller);
    memcpy(&third, &args[2].as.f32, sizeof third);
    memcpy(&fourth, &args[3].as.f64, sizeof fourth);
    sum = args[0].as.i32 + (double)args[1].as.i64 + third + fourth;
    results[0].type = VM_F64;
    memcpy(&results[0].as.f64, &sum, sizeof sum);
    return *(enum vm_trap *)context;
}

/* caller.wat linked to callee.wat and to a host function that ends with *trap. */
static struct engine open_linked(enum vm_trap *trap)
{
    struct engine engine = engine_open("callee", (struct engine_options){0});
    const struct vm_func_type type = {4, 1, add_types};
    const struct vm_extern imports[] = {
        {VM_EXTERN_FUNC, engine_func(engine.instance, "bump")},
        {VM_EXTERN_FUNC, engine_func(engine.instance, "fail")},
        {VM_EXTERN_FUNC, vm_store_host_func(engine.store, &type, host_add, trap)},
    };
    engine.instance = engine_add(&engine, "caller", imports);
    struct err err;
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_start(run, engine.instance, &err));
    cr_assert_eq(vm_run_slice(run, 1000), VM_RETURNED);
    vm_run_free(run);
    return engine;
}

Test(vm_run, calls_cross_instances_and_reach_the_host)
{
    enum vm_trap trap = VM_TRAP_NONE;
    uint64_t gas = 0;
    for (uint64_t slice = 1; slice <= 1000; slice *= 10) {
        struct engine engine = open_linked(&trap);
        struct outcome outcome = engine_call(&engine, "run", 0, ENGINE_NO_LIMIT, slice);
        cr_assert_eq(outcome.status, VM_RETURNED);
        cr_assert_eq(outcome.results[0], 1000 + 6 + 4321);
        cr_assert(gas == 0 || outcome.gas == gas);
        gas = outcome.gas;
        engine_close(&engine);
    }
}

Test(vm_run, a_limit_inside_the_other_instance_is_exact_too)
{
    enum vm_trap trap = VM_TRAP_NONE;
    struct engine engine = open_linked(&trap);
    uint64_t gas = engine_call(&engine, "run", 0, ENGINE_NO_LIMIT, 1000).gas;
    engine_close(&engine);
    for (uint64_t limit = 0; limit <= gas; limit++) {
        if (limit > 60 && limit < 1020) { /* all one memory.grow */
            limit = 1020;
        }
        engine = open_linked(&trap);
        struct outcome outcome = engine_call(&engine, "run", 0, limit, 7);
        cr_assert_eq(outcome.status, limit < gas ? VM_OUT_OF_GAS : VM_RETURNED);
        cr_assert_eq(outcome.gas, limit);
        engine_close(&engine);
        limit += limit > 1100 && limit + 200 < gas ? 97 : 0;
    }
}

Test(vm_run, a_trap_in_another_instance_is_located_there)
{
    enum vm_trap trap = VM_TRAP_NONE;
    struct engine engine = open_linked(&trap);
    struct outcome outcome = engine_call(&engine, "fail", 0, ENGINE_NO_LIMIT, 1);
    cr_assert_eq(outcome.trap.trap, VM_TRAP_OUT_OF_BOUNDS_MEMORY);
    cr_assert(outcome.trap.has_location);
    cr_assert_neq(outcome.trap.module, engine.instance->module);
    cr_assert_eq(outcome.trap.module->wasm.ptr[outcome.trap.offset], 0x28, "i32.load");
    engine_close(&engine);
}

Test(vm_run, a_trap_of_the_host_has_no_place)
{
    enum vm_trap trap = VM_TRAP_HOST;
    struct engine engine = open_linked(&trap);
    struct outcome outcome = engine_call(&engine, "run", 0, ENGINE_NO_LIMIT, 1000);
    cr_assert_eq(outcome.status, VM_TRAPPED);
    cr_assert_eq(outcome.trap.trap, VM_TRAP_HOST);
    cr_assert_not(outcome.trap.has_location);
    engine_close(&engine);
}

Test(vm_run, a_host_function_may_be_the_outermost_call)
{
    static const enum vm_type types[] = {VM_I32};
    const struct vm_func_type type = {1, 0, types};
    enum vm_trap trap = VM_TRAP_NONE;
    struct engine engine = open_linked(&trap);
    struct err err;
    struct vm_value value = engine_i32(1);
    struct vm_func *func = vm_store_host_func(engine.store, &type, NULL, NULL);
    struct vm_run *run = vm_run_new(engine.store, 10);
    cr_assert_not(vm_run_begin_call(run, func, &value, 0, &err));
    cr_assert_eq(err.code, ERR_INVALID_ARGUMENTS);
    value.type = VM_I64;
    cr_assert_not(vm_run_begin_call(run, func, &value, 1, &err));
    cr_assert_eq(err.code, ERR_INVALID_ARGUMENTS);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_run, an_account_covers_several_calls)
{
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct vm_run *run = vm_run_new(engine.store, 7);
    struct vm_func *three = engine_func(engine.instance, "three");
    struct err err;
    for (uint64_t call = 1; call <= 3; call++) {
        uint32_t count;
        cr_assert(vm_run_begin_call(run, three, NULL, 0, &err));
        enum vm_status status;
        do {
            status = vm_run_slice(run, 1);
        } while (status == VM_SUSPENDED);
        cr_assert_eq(status, call < 3 ? VM_RETURNED : VM_OUT_OF_GAS);
        cr_assert_eq(vm_run_gas_consumed(run), call < 3 ? 3 * call : 7);
        cr_assert(status != VM_RETURNED || vm_run_results(run, &count)[0].as.i32 == 3);
    }
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_run, interruption_ends_a_suspended_run_and_charges_what_was_done)
{
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    struct vm_value rounds = engine_i32(1000000);
    struct err err;
    cr_assert(vm_run_begin_call(run, engine_func(engine.instance, "loop"), &rounds, 1, &err));
    cr_assert_eq(vm_run_slice(run, 1000), VM_SUSPENDED);
    uint64_t gas = vm_run_gas_consumed(run);
    cr_assert_eq(gas % 5, 0, "whole rounds");
    cr_assert(gas > 0 && gas <= 1005);
    vm_run_interrupt(run);
    cr_assert_eq(vm_run_slice(run, 1000), VM_TRAPPED);
    cr_assert_eq(vm_run_trap(run).trap, VM_TRAP_INTERRUPTED);
    cr_assert_not(vm_run_trap(run).has_location);
    cr_assert_eq(vm_run_gas_consumed(run), gas);
    vm_run_interrupt(run); /* has no effect on what has ended */
    cr_assert_eq(vm_run_gas_consumed(run), gas);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_run, new_run_fails_when_the_budget_has_no_stack)
{
    enum { STACK_FIRST_BYTES = 16384 };
    struct budget budget;
    budget_init(&budget, NULL, 1 << 20);
    struct vm_store *store = vm_store_new(&vm_limits_default, &budget);
    size_t used = budget_used(&budget);
    cr_assert(budget_charge(&budget, (1 << 20) - used - STACK_FIRST_BYTES + 1));
    cr_assert_null(vm_run_new(store, 1));
    budget_release(&budget, 1);
    struct vm_run *run = vm_run_new(store, 1);
    cr_assert_not_null(run);
    cr_assert_eq(budget_used(&budget), 1 << 20);
    vm_run_free(run);
    budget_release(&budget, (1 << 20) - used - STACK_FIRST_BYTES);
    cr_assert_eq(budget_used(&budget), used);
    vm_store_free(store);
}

Test(vm_run, dispatch_has_a_name)
{
    cr_assert(strcmp(vm_dispatch_name(), "tail-call") == 0 ||
              strcmp(vm_dispatch_name(), "computed-goto") == 0);
}
