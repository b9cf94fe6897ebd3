/* test_interp: every way to run a module comes to the same result, gas and memory: folded and fused
 * code or slots only, any slice length, any gas limit, any thread; traps are the same, too, and say
 * where they were.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/code.h"
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

static const struct {
    uint32_t kind; /* what wat/sweep.wat is asked for */
    enum vm_trap trap;
} sweeps[] = {
    {0, VM_TRAP_NONE},
    {1, VM_TRAP_UNREACHABLE},
    {2, VM_TRAP_INTEGER_DIVIDE_BY_ZERO},
    {3, VM_TRAP_INTEGER_OVERFLOW},
    {4, VM_TRAP_INVALID_CONVERSION},
    {5, VM_TRAP_INTEGER_OVERFLOW},
    {6, VM_TRAP_NONE}, /* reads from the page that was grown */
    {7, VM_TRAP_OUT_OF_BOUNDS_MEMORY},
    {8, VM_TRAP_NONE},
    {9, VM_TRAP_UNDEFINED_ELEMENT},
    {10, VM_TRAP_UNINITIALIZED_ELEMENT},
    {11, VM_TRAP_INDIRECT_CALL_TYPE_MISMATCH},
    {12, VM_TRAP_OUT_OF_BOUNDS_TABLE},
    {13, VM_TRAP_INTEGER_DIVIDE_BY_ZERO},
};

static struct outcome run_once(bool slots_only, uint32_t kind, uint64_t gas_limit, uint64_t slice)
{
    struct engine engine = engine_open("sweep", (struct engine_options){.slots_only = slots_only});
    struct outcome outcome = engine_call(&engine, "run", kind, gas_limit, slice);
    engine_close(&engine);
    return outcome;
}

ParameterizedTestParameters(vm_interp, every_kind_of_trap_is_the_same_in_every_code_and_slice)
{
    return cr_make_param_array(__typeof__(sweeps[0]), (void *)sweeps,
                               sizeof sweeps / sizeof sweeps[0]);
}

ParameterizedTest(const __typeof__(sweeps[0]) *sweep, vm_interp,
                  every_kind_of_trap_is_the_same_in_every_code_and_slice)
{
    struct outcome all = run_once(false, sweep->kind, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    if (sweep->trap == VM_TRAP_NONE) {
        cr_assert_eq(all.status, VM_RETURNED);
    } else {
        cr_assert_eq(all.status, VM_TRAPPED);
        cr_assert_eq(all.trap.trap, sweep->trap, "%s", vm_trap_text(all.trap.trap));
        cr_assert(all.trap.has_location);
        cr_assert(bytes_equal(all.trap.function_name, bytes_of_string("")) ||
                  all.trap.function_name.size > 0);
    }
    static const uint64_t slices[] = {1, 7, 1000, ENGINE_NO_LIMIT};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        for (int slots_only = 0; slots_only < 2; slots_only++) {
            struct outcome other = run_once(slots_only, sweep->kind, ENGINE_NO_LIMIT, slices[i]);
            engine_assert_equal(&all, &other);
        }
    }
}

/* For one kind of ending: at every limit below what it takes, folded code stops with exactly that
 * much gas and with the memory that slot code has there. */
ParameterizedTestParameters(vm_interp, every_gas_limit_stops_at_the_same_instruction)
{
    return cr_make_param_array(__typeof__(sweeps[0]), (void *)sweeps,
                               sizeof sweeps / sizeof sweeps[0]);
}

ParameterizedTest(const __typeof__(sweeps[0]) *sweep, vm_interp,
                  every_gas_limit_stops_at_the_same_instruction)
{
    struct outcome all = run_once(false, sweep->kind, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    /* What comes before the last trap is the same for all kinds: kind 0 sweeps it all. */
    uint64_t first = sweep->kind == 0 ? 0 : all.gas - 40;
    for (uint64_t limit = first; limit <= all.gas + 3; limit++) {
        struct outcome folded = run_once(false, sweep->kind, limit, ENGINE_NO_LIMIT);
        struct outcome slots = run_once(true, sweep->kind, limit, 7);
        engine_assert_equal(&folded, &slots);
        cr_assert_leq(folded.gas, limit);
        if (limit >= all.gas) {
            engine_assert_equal(&folded, &all);
        } else {
            cr_assert_eq(folded.status, VM_OUT_OF_GAS);
            cr_assert_eq(folded.gas, limit);
        }
        /* memory.grow and the bulk operations take much at once: step over it */
        limit += limit > 900 && limit + 64 < all.gas && sweep->kind == 0 ? 11 : 0;
    }
}

Test(vm_interp, each_slice_may_run_in_another_thread)
{
    struct engine engine = engine_open("sweep", (struct engine_options){0});
    struct outcome here = engine_call(&engine, "fib", 12, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    struct outcome there = engine_call_on_threads(&engine, "fib", 12, ENGINE_NO_LIMIT, 50);
    engine_assert_equal(&here, &there);
    cr_assert_eq(here.results[0], 144);
    cr_assert_gt(there.slices, here.gas / 100);
    engine_close(&engine);
}

Test(vm_interp, a_trap_says_function_and_offset)
{
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct outcome outcome = engine_call(&engine, "divide", 0, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    cr_assert_eq(outcome.status, VM_TRAPPED);
    cr_assert_eq(outcome.trap.trap, VM_TRAP_INTEGER_DIVIDE_BY_ZERO);
    cr_assert_eq(outcome.trap.module, engine.instance->module);
    const struct module_func *func = &engine.instance->module->funcs[outcome.trap.function_index];
    cr_assert_eq(func,
                 &engine.instance->module->funcs[engine_func(engine.instance, "divide")->index]);
    cr_assert_eq(engine.instance->module->wasm.ptr[outcome.trap.offset], 0x6e, "i32.div_u");
    engine_close(&engine);
}

Test(vm_interp, calls_nest_up_to_the_limit_and_not_deeper)
{
    struct vm_limits limits = vm_limits_default;
    limits.call_depth_max = 100;
    struct engine engine = engine_open("sweep", (struct engine_options){.limits = &limits});
    struct outcome outcome = engine_call(&engine, "deep", 98, ENGINE_NO_LIMIT, 13);
    cr_assert_eq(outcome.results[0], 98);
    outcome = engine_call(&engine, "deep", 99, ENGINE_NO_LIMIT, 13); /* 100 frames */
    cr_assert_eq(outcome.status, VM_RETURNED);
    cr_assert_eq(outcome.results[0], 99);
    outcome = engine_call(&engine, "deep", 100, ENGINE_NO_LIMIT, 13);
    cr_assert_eq(outcome.status, VM_TRAPPED);
    cr_assert_eq(outcome.trap.trap, VM_TRAP_CALL_STACK_EXHAUSTED);
    cr_assert(outcome.trap.has_location);
    engine_close(&engine);
}

Test(vm_interp, frames_fill_the_stack_and_not_more)
{
    struct vm_limits limits = vm_limits_default;
    struct outcome outcomes[2];
    limits.stack_bytes_max = 1 << 20;
    limits.call_depth_max = UINT32_MAX;
    for (int slots_only = 0; slots_only < 2; slots_only++) {
        struct engine engine = engine_open(
            "sweep", (struct engine_options){.slots_only = slots_only, .limits = &limits});
        outcomes[slots_only] = engine_call(&engine, "recurse", 0, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
        engine_close(&engine);
    }
    cr_assert_eq(outcomes[0].trap.trap, VM_TRAP_CALL_STACK_EXHAUSTED);
    engine_assert_equal(&outcomes[0], &outcomes[1]);
}

Test(vm_interp, a_stack_too_small_for_one_frame_is_exhausted_at_once)
{
    struct vm_limits limits = vm_limits_default;
    limits.stack_bytes_max = 0;
    struct engine engine = engine_open("gas", (struct engine_options){.limits = &limits});
    struct outcome outcome = engine_call(&engine, "three", 0, ENGINE_NO_LIMIT, 1);
    cr_assert_eq(outcome.status, VM_TRAPPED);
    cr_assert_eq(outcome.trap.trap, VM_TRAP_CALL_STACK_EXHAUSTED);
    cr_assert_not(outcome.trap.has_location);
    cr_assert_eq(outcome.gas, 0);
    engine_close(&engine);
}

/* Every numeric instruction has a family row; the rest is hand-written. */
Test(vm_interp, every_instruction_with_numbers_only_has_a_family)
{
    for (int opcode = 0; opcode < OPCODE_COUNT; opcode++) {
        const struct opcode_info *info = opcode_info(opcode);
        bool numeric = info->prefix == 0 ? info->code >= 0x45 && info->code <= 0xc4
                                         : info->prefix == 0xfc && info->code <= 7;
        bool memory = info->prefix == 0 && info->code >= 0x28 && info->code <= 0x3e;
        numeric = numeric || info->prefix == 0xfd;
        bool has_row = family_rows[opcode].family != FAMILY_NONE;
        cr_assert_eq(has_row, numeric || memory, "%s", info->text);
    }
}
