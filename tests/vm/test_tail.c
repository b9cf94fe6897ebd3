/* test_tail: tail calls take no stack and no depth, whatever they go to; gas and traps are exact
 * (wat/tail.wat, wat/tail_other.wat).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

static const enum vm_type add_types[] = {VM_I32, VM_I64, VM_F32, VM_F64, VM_F64};
static enum vm_trap host_trap;

static enum vm_trap host_add(void *context, struct vm_instance *caller, const struct vm_value *args,
                             struct vm_value *results)
{
    float third;
    double fourth, sum;
    (void)context;
    cr_assert_not_null(caller);
    memcpy(&third, &args[2].as.f32, sizeof third);
    memcpy(&fourth, &args[3].as.f64, sizeof fourth);
    sum = args[0].as.i32 + (double)args[1].as.i64 + third + fourth;
    results[0].type = VM_F64;
    memcpy(&results[0].as.f64, &sum, sizeof sum);
    return host_trap;
}

static struct engine open_with(bool slots_only, const struct vm_limits *limits)
{
    struct engine_options options = {.slots_only = slots_only, .limits = limits};
    struct engine engine = engine_open("tail_other", options);
    const struct vm_func_type type = {4, 1, add_types};
    struct vm_instance *other = engine.instance;
    const struct vm_extern imports[] = {
        {VM_EXTERN_FUNC, engine_func(other, "pong")},
        {VM_EXTERN_FUNC, engine_func(other, "finish")},
        {VM_EXTERN_FUNC, vm_store_host_func(engine.store, &type, host_add, NULL)},
    };
    engine.instance = engine_add_with(&engine, "tail", imports, options);
    other->tables[0]->elements[0] = (uint64_t)(uintptr_t)engine_func(engine.instance, "ping");
    struct err err;
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_start(run, engine.instance, &err));
    cr_assert_eq(vm_run_slice(run, 1000), VM_RETURNED);
    vm_run_free(run);
    return engine;
}

static struct engine open_tail(bool slots_only)
{
    return open_with(slots_only, NULL);
}

static uint64_t result_of(const char *name, uint32_t argument)
{
    struct engine engine = open_tail(false);
    struct outcome outcome = engine_call(&engine, name, argument, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    cr_assert_eq(outcome.status, VM_RETURNED, "%s: %s", name, vm_trap_text(outcome.trap.trap));
    engine_close(&engine);
    return outcome.results[0];
}

static double as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

Test(vm_tail, results_come_to_whoever_called_first)
{
    cr_assert_eq(result_of("even", 10), 1);
    cr_assert_eq(result_of("even", 11), 0);
    cr_assert_eq(result_of("swapping", 4), 42);
    cr_assert_eq(result_of("swapping", 5), (uint32_t)-42);
    cr_assert_eq(result_of("host", 1), 1 + 20 + 300 + 700);
    cr_assert_eq(as_double(result_of("host_outermost", 2)), 2 + 20 + 300 + 700);
    cr_assert_eq(result_of("deep", 50), 51);
    /* pong counts: for 5 down to 0 by twos it is called three times; finish adds 26 */
    cr_assert_eq(result_of("over", 6), 1 + 3 + 26);
    cr_assert_eq(result_of("over", 5), 1 + 3);
    cr_assert_eq(result_of("indirect_over", 4), 3);
}

/* As the same program comes to with plain calls: wide(3, 3, _, 5), computed by hand.
 *   wide: b = 3 + 2, narrow(3, 5 + 5)          narrow: sum = 10 (0+1+2+3+4) = 100 at its end, but
 *   leaves at i = 5 by the second tail call: wide(2, 100, _, 5) -> narrow(2, 5 + 102) ... */
static uint32_t narrow(uint32_t count, uint32_t factor);

static uint32_t wide(uint32_t count, uint64_t b, uint32_t add)
{
    return count == 0 ? add : narrow(count, add + (uint32_t)(b + 2));
}

static uint32_t narrow(uint32_t count, uint32_t factor)
{
    uint32_t sum = 0;
    for (uint32_t i = 0;;) {
        sum += i * factor;
        i++;
        if (i < 5) {
            continue;
        }
        return (count & 1) != 0 ? wide(count - 1, sum, factor - i) : wide(count - 1, sum, i);
    }
}

Test(vm_tail, frames_of_all_sizes_change_into_each_other)
{
    for (uint32_t count = 0; count < 9; count++) {
        cr_assert_eq(result_of("moving", count), (uint32_t)(1000 + wide(count, 3, 5)), "%u", count);
    }
}

Test(vm_tail, everything_is_swept_at_every_gas_limit)
{
    struct outcome all = engine_assert_sweep(open_tail, "run", 0, 0);
    cr_assert_eq(all.status, VM_RETURNED);
    all = engine_assert_sweep(open_tail, "run", 1, all.gas);
    cr_assert_eq(all.trap.trap, VM_TRAP_INTEGER_DIVIDE_BY_ZERO);
}

/* ---- No stack, no depth ---- */

static const struct {
    const char *name;
    uint32_t rounds;
} endless[] = {{"even", 1000000}, {"moving", 100000}, {"over", 1000000}, {"swapping", 1000000}};

Test(vm_tail, a_million_of_them_need_no_more_stack_than_one)
{
    struct vm_limits limits = vm_limits_default;
    limits.stack_bytes_max = 1024;
    limits.call_depth_max = 3;
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        for (int slots_only = 0; slots_only < 2; slots_only++) {
            struct engine engine = open_with(slots_only, &limits);
            struct outcome outcome = engine_call(&engine, endless[i].name, endless[i].rounds,
                                                 ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
            cr_assert_eq(outcome.status, VM_RETURNED, "%s: %s", endless[i].name,
                         vm_trap_text(outcome.trap.trap));
            engine_close(&engine);
        }
    }
}

/* even: local.get, eqz, if: local.get, const, sub, return_call; odd: the same, with a const and a
 * load for the index; the last one gives a constant. */
Test(vm_tail, a_million_of_them_cost_exactly_what_they_are)
{
    struct engine engine = open_tail(false);
    struct outcome outcome = engine_call(&engine, "even", 1000000, ENGINE_NO_LIMIT, 1000);
    cr_assert_eq(outcome.results[0], 1);
    cr_assert_eq(outcome.gas, 500000u * (7 + 9) + 4);
    uint64_t gas = outcome.gas;
    outcome = engine_call(&engine, "even", 1000000, gas - 1, 1000);
    cr_assert_eq(outcome.status, VM_OUT_OF_GAS);
    cr_assert_eq(outcome.gas, gas - 1);
    engine_close(&engine);
}

/* The callee's frame is looked at as a call's is. */
Test(vm_tail, a_frame_that_does_not_fit_is_a_stack_overflow_of_the_tail_call)
{
    struct vm_limits limits = vm_limits_default;
    bool fits_before = false;
    for (uint32_t bytes = 0; bytes <= 400; bytes += 8) {
        limits.stack_bytes_max = bytes;
        struct engine engine = open_with(false, &limits);
        struct outcome outcome =
            engine_call(&engine, "moving", 2, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
        bool fits = outcome.status == VM_RETURNED;
        cr_assert(fits || outcome.trap.trap == VM_TRAP_CALL_STACK_EXHAUSTED);
        cr_assert(fits || !fits_before, "%u", bytes);
        fits_before = fits;
        engine_close(&engine);
    }
    cr_assert(fits_before);
}

Test(vm_tail, the_depth_is_that_of_plain_calls_alone)
{
    struct vm_limits limits = vm_limits_default;
    limits.call_depth_max = 10;
    struct engine engine = open_with(false, &limits);
    /* the frame that calls $deep becomes its first one; each of them calls the next; $even ends */
    struct outcome outcome = engine_call(&engine, "deep", 9, ENGINE_NO_LIMIT, 3);
    cr_assert_eq(outcome.status, VM_RETURNED);
    cr_assert_eq(outcome.results[0], 10);
    outcome = engine_call(&engine, "deep", 10, ENGINE_NO_LIMIT, 3);
    cr_assert_eq(outcome.status, VM_TRAPPED);
    cr_assert_eq(outcome.trap.trap, VM_TRAP_CALL_STACK_EXHAUSTED);
    engine_close(&engine);
}

/* ---- Traps ---- */

static const struct {
    uint32_t kind;
    enum vm_trap trap;
    uint8_t opcode;
} traps[] = {
    {1, VM_TRAP_INTEGER_DIVIDE_BY_ZERO, 0x6e}, {2, VM_TRAP_UNDEFINED_ELEMENT, 0x13},
    {3, VM_TRAP_UNINITIALIZED_ELEMENT, 0x13},  {4, VM_TRAP_INDIRECT_CALL_TYPE_MISMATCH, 0x13},
    {5, VM_TRAP_INTEGER_DIVIDE_BY_ZERO, 0x6e},
};

Test(vm_tail, traps_are_located_and_paid_for_up_to_there)
{
    for (size_t i = 0; i < sizeof traps / sizeof traps[0]; i++) {
        struct outcome all = engine_assert_sweep(open_tail, "trap", traps[i].kind, 0);
        cr_assert_eq(all.status, VM_TRAPPED);
        cr_assert_eq(all.trap.trap, traps[i].trap);
        struct engine engine = open_tail(false);
        all = engine_call(&engine, "trap", traps[i].kind, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
        cr_assert_eq(all.trap.module, engine.instance->module);
        cr_assert_eq(all.trap.module->wasm.ptr[all.trap.offset], traps[i].opcode);
        engine_close(&engine);
    }
}

Test(vm_tail, a_host_function_that_fails_ends_the_run)
{
    struct engine engine = open_tail(false);
    host_trap = VM_TRAP_HOST;
    struct outcome outcome = engine_call(&engine, "host", 1, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    host_trap = VM_TRAP_NONE;
    cr_assert_eq(outcome.trap.trap, VM_TRAP_HOST);
    cr_assert_not(outcome.trap.has_location);
    engine_close(&engine);
}
