/* test_hostile: programs made to break out: of their frame, of their account, of their turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <string.h>

enum { BODY_BYTES_MAX = 8 << 20 };

/* A function of type [] -> [] with so many i32 locals. */
static void append_function(struct buffer *out, uint32_t locals, struct bytes body)
{
    struct buffer function;
    buffer_init(&function, BODY_BYTES_MAX);
    buffer_append_u8(&function, 1);
    wasm_leb(&function, locals);
    buffer_append_u8(&function, 0x7f);
    buffer_append_bytes(&function, body);
    buffer_append_u8(&function, 0x0b);
    wasm_leb(out, (uint32_t)function.size);
    buffer_append_bytes(out, buffer_bytes(&function));
    buffer_release(&function);
}

/* ---- The frame ---- */

enum { LOCALS = 50000, SLOTS_MAX = 65536 };

/* A caller whose operand stack ends at the last slot that an instruction can name, or one before,
 * and a callee that fills its locals with ones. */
static struct buffer module_of_full_frame(uint32_t height)
{
    static const uint8_t callee[] = {0x41, 1, 0x21, 0, 0x41, 1, 0x21, 1, 0x41, 1, 0x21, 2};
    struct buffer code, body;
    buffer_init(&code, BODY_BYTES_MAX);
    buffer_init(&body, BODY_BYTES_MAX);
    for (uint32_t i = 0; i < height; i++) {
        buffer_append(&body, (const uint8_t[]){0x41, 0}, 2);
    }
    buffer_append(&body, (const uint8_t[]){0x10, 1}, 2);
    for (uint32_t i = 0; i < height; i++) {
        buffer_append_u8(&body, 0x1a);
    }
    buffer_append_u8(&code, 2);
    append_function(&code, LOCALS, buffer_bytes(&body));
    append_function(&code, 3, bytes_of(callee, sizeof callee));
    struct buffer wasm =
        WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(2, 0, 0)}, {10, buffer_bytes(&code)});
    buffer_release(&code);
    buffer_release(&body);
    return wasm;
}

/* The return address lies in slot 0, locals follow, then operands: the callee's frame would begin
 * at slot 65536, which an instruction cannot say. */
Test(vm_hostile, a_frame_is_never_called_over)
{
    uint32_t room = SLOTS_MAX - (1 + LOCALS);
    wasm_accepted(module_of_full_frame(room - 1), NULL);
    wasm_refused(module_of_full_frame(room), NULL, ERR_LIMIT, "frame of more than 65536 slots");
    wasm_refused(module_of_full_frame(room + 1), NULL, ERR_LIMIT, "frame of more than 65536 slots");
}

/* ---- The time to load ---- */

enum { RESULTS = 512, FREE_CALLS = 65536 / RESULTS };

/* Calls that give 512 values for two bytes, which pile up: no frame would hold them, but the code
 * cannot be reached. */
static struct buffer module_of_calls(uint32_t calls)
{
    struct buffer types, code, body;
    buffer_init(&types, BODY_BYTES_MAX);
    buffer_init(&code, BODY_BYTES_MAX);
    buffer_init(&body, BODY_BYTES_MAX);
    buffer_append(&types, (const uint8_t[]){2, 0x60, 0, 0, 0x60, 0}, 6);
    wasm_leb(&types, RESULTS);
    for (uint32_t i = 0; i < RESULTS; i++) {
        buffer_append_u8(&types, 0x7f);
    }
    buffer_append_u8(&body, 0); /* unreachable */
    for (uint32_t i = 0; i < calls; i++) {
        buffer_append(&body, (const uint8_t[]){0x10, 0}, 2);
    }
    buffer_append_u8(&body, 0); /* all of them may stay */
    buffer_append_u8(&code, 1);
    append_function(&code, 1, buffer_bytes(&body));
    struct buffer wasm = WASM({1, buffer_bytes(&types)}, {2, BYTES(1, 0, 0, 0, 1)},
                              {3, BYTES(1, 0)}, {10, buffer_bytes(&code)});
    buffer_release(&types);
    buffer_release(&code);
    buffer_release(&body);
    return wasm;
}

Test(vm_hostile, values_passed_are_bounded_by_the_bytes_of_the_body)
{
    struct vm_limits limits = vm_limits_default;
    limits.values_per_byte_max = 0;
    wasm_accepted(module_of_calls(FREE_CALLS - 1), &limits);
    wasm_accepted(module_of_calls(FREE_CALLS), &limits);
    wasm_refused(module_of_calls(FREE_CALLS + 1), &limits, ERR_LIMIT, "values_per_byte_max");
    limits.values_per_byte_max = 1; /* a body of 2 x 129 + 2 bytes */
    wasm_refused(module_of_calls(FREE_CALLS + 1), &limits, ERR_LIMIT, "values_per_byte_max");
    limits.values_per_byte_max = 2;
    wasm_accepted(module_of_calls(FREE_CALLS + 1), &limits);
    wasm_refused(module_of_calls(200), NULL, ERR_LIMIT, "values_per_byte_max");
}

/* 9 bytes that declare 50000 locals are more work than 9 bytes. */
Test(vm_hostile, a_step_of_loading_counts_what_is_declared)
{
    enum { FUNCTIONS = 100, STEP_BYTES = 65536 };
    struct buffer funcs, code;
    struct vm_module *module = NULL;
    struct err err;
    struct budget budget;
    uint32_t steps = 0;
    enum vm_load_status status;
    buffer_init(&funcs, BODY_BYTES_MAX);
    buffer_init(&code, BODY_BYTES_MAX);
    buffer_append_u8(&funcs, FUNCTIONS);
    buffer_append_u8(&code, FUNCTIONS);
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        buffer_append_u8(&funcs, 0);
        append_function(&code, LOCALS, bytes_of(NULL, 0));
    }
    struct buffer wasm =
        WASM({1, BYTES(1, 0x60, 0, 0)}, {3, buffer_bytes(&funcs)}, {10, buffer_bytes(&code)});
    budget_init(&budget, NULL, 64 << 20);
    struct vm_loader *loader =
        vm_loader_new(buffer_bytes(&wasm), &vm_limits_default, &budget, &err);
    do {
        status = vm_loader_step(loader, STEP_BYTES, &module, &err);
        steps++;
    } while (status == VM_LOAD_MORE);
    cr_assert_eq(status, VM_LOAD_DONE);
    cr_assert_gt(steps, FUNCTIONS * (LOCALS / 16) / STEP_BYTES);
    vm_loader_free(loader);
    vm_module_unref(module);
    buffer_release(&funcs);
    buffer_release(&code);
    buffer_release(&wasm);
}

/* ---- The account ---- */

/* The sizes are the largest there are, and the limit the largest or larger. */
Test(vm_hostile, the_account_does_not_overflow)
{
    const uint64_t gas = 2 + 1024 * (uint64_t)UINT32_MAX;
    const uint64_t limits[] = {gas, INT64_MAX - 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    const uint64_t slices[] = {1, INT64_MAX, UINT64_MAX};
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 3; j++) {
            struct engine engine = engine_open("gas", (struct engine_options){0});
            struct outcome grow = engine_call(&engine, "grow", UINT32_MAX, limits[i], slices[j]);
            cr_assert_eq(grow.status, VM_RETURNED);
            cr_assert_eq(grow.results[0], UINT32_MAX);
            cr_assert_eq(grow.gas, gas);
            grow = engine_call(&engine, "grow", UINT32_MAX, gas - 1, slices[j]);
            cr_assert_eq(grow.status, VM_OUT_OF_GAS);
            cr_assert_eq(grow.gas, gas - 1);
            struct outcome fill = engine_call(&engine, "fill", UINT32_MAX, limits[i], slices[j]);
            cr_assert_eq(fill.trap.trap, VM_TRAP_OUT_OF_BOUNDS_MEMORY);
            cr_assert_eq(fill.gas, 4 + (UINT64_C(1) << 32) / 64);
            engine_close(&engine);
        }
    }
}

/* ---- The run ---- */

struct reentry {
    struct vm_run *run;
    const struct vm_func *func;
    bool was_refused;
};

static enum vm_trap reenter(void *context, struct vm_instance *caller, const struct vm_value *args,
                            struct vm_value *results)
{
    struct reentry *reentry = context;
    struct err err;
    (void)caller;
    (void)args;
    (void)results;
    reentry->was_refused = !vm_run_begin_call(reentry->run, reentry->func, NULL, 0, &err) &&
                           err.code == ERR_INVALID_ARGUMENTS;
    return VM_TRAP_NONE;
}

Test(vm_hostile, a_run_that_is_under_way_cannot_begin_again)
{
    const struct vm_func_type type = {0, 0, NULL};
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct err err;
    struct reentry reentry = {.run = vm_run_new(engine.store, 10)};
    reentry.func = vm_store_host_func(engine.store, &type, reenter, &reentry);
    cr_assert(vm_run_begin_call(reentry.run, reentry.func, NULL, 0, &err));
    cr_assert_eq(vm_run_slice(reentry.run, 10), VM_RETURNED);
    cr_assert(reentry.was_refused);
    struct vm_value rounds = engine_i32(10);
    const struct vm_func *loop = engine_func(engine.instance, "loop");
    cr_assert(vm_run_begin_call(reentry.run, loop, &rounds, 1, &err));
    cr_assert_not(vm_run_begin_call(reentry.run, loop, &rounds, 1, &err), "begun");
    cr_assert_eq(vm_run_slice(reentry.run, 1), VM_SUSPENDED);
    cr_assert_not(vm_run_begin_call(reentry.run, loop, &rounds, 1, &err), "suspended");
    cr_assert_not(vm_run_begin_start(reentry.run, engine.instance, &err));
    while (vm_run_slice(reentry.run, 1) == VM_SUSPENDED) {
    }
    cr_assert_eq(vm_run_gas_consumed(reentry.run), 10);
    cr_assert_not(vm_run_begin_call(reentry.run, loop, &rounds, 1, &err), "out of gas");
    cr_assert_eq(err.code, ERR_INVALID_ARGUMENTS);
    vm_run_free(reentry.run);
    engine_close(&engine);
}
