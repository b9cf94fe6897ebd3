/* test_far: several memories and 64-bit ones: loads, stores and bulk operations (wat/far.wat,
 * wat/wide.wat), their bounds at the top of 64 bits, their limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct engine open_far(bool slots_only)
{
    return engine_open("far", (struct engine_options){.slots_only = slots_only});
}

static struct engine open_wide(bool slots_only)
{
    return engine_open("wide", (struct engine_options){.slots_only = slots_only});
}

static struct engine open_vector(bool slots_only)
{
    return engine_open("far_vector", (struct engine_options){.slots_only = slots_only});
}

/* ---- Everything, in every way to run it ---- */

static const struct {
    uint32_t kind;     /* what the modules are asked for; 0: to return */
    uint8_t opcode[2]; /* of the instruction that traps */
} far_traps[] = {
    {1, {0x29}}, {2, {0x29}},     {3, {0x31}},     {4, {0x3a}},
    {5, {0x3d}}, {6, {0xfc, 11}}, {7, {0xfc, 10}},
};

ParameterizedTestParameters(vm_far, traps_are_the_same_in_every_code_slice_and_limit)
{
    return cr_make_param_array(__typeof__(far_traps[0]), (void *)far_traps,
                               sizeof far_traps / sizeof far_traps[0]);
}

ParameterizedTest(const __typeof__(far_traps[0]) *row, vm_far,
                  traps_are_the_same_in_every_code_slice_and_limit)
{
    struct engine (*const opens[])(bool slots_only) = {open_far, open_wide};
    for (size_t i = 0; i < 2; i++) {
        struct engine engine = opens[i](false);
        struct outcome all =
            engine_call(&engine, "run", row->kind, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
        engine_close(&engine);
        cr_assert_eq(all.status, VM_TRAPPED);
        cr_assert_eq(all.trap.trap, VM_TRAP_OUT_OF_BOUNDS_MEMORY);
        cr_assert(all.trap.has_location);
        all = engine_assert_sweep(opens[i], "run", row->kind, all.gas - 30);
        cr_assert_eq(all.trap.trap, VM_TRAP_OUT_OF_BOUNDS_MEMORY);
    }
}

/* The results are wabt's interpreter's, too. */
Test(vm_far, several_memories_are_swept_at_every_gas_limit)
{
    struct outcome all = engine_assert_sweep(open_far, "run", 0, 0);
    cr_assert_eq(all.status, VM_RETURNED);
    cr_assert_eq(all.results[0], 18445925397409202818u);
}

Test(vm_far, a_64_bit_memory_is_swept_at_every_gas_limit)
{
    struct outcome all = engine_assert_sweep(open_wide, "run", 0, 0);
    cr_assert_eq(all.status, VM_RETURNED);
    cr_assert_eq(all.results[0], 8858899718311841794u);
}

Test(vm_far, vectors_in_other_memories_and_in_tail_calls_are_swept)
{
    struct outcome all = engine_assert_sweep(open_vector, "run", 0, 0);
    cr_assert_eq(all.status, VM_RETURNED);
    cr_assert_eq(all.results[0], 9102969423537584104u);
    for (uint32_t kind = 1; kind <= 6; kind++) {
        struct outcome trapped = engine_assert_sweep(open_vector, "run", kind, all.gas - 40);
        cr_assert_eq(trapped.status, VM_TRAPPED);
        cr_assert_eq(trapped.trap.trap, VM_TRAP_OUT_OF_BOUNDS_MEMORY);
        cr_assert(trapped.trap.has_location);
    }
}

Test(vm_far, a_trap_says_which_instruction_it_was)
{
    for (size_t i = 0; i < sizeof far_traps / sizeof far_traps[0]; i++) {
        for (int slots_only = 0; slots_only < 2; slots_only++) {
            struct engine engine = open_far(slots_only);
            struct outcome all =
                engine_call(&engine, "run", far_traps[i].kind, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
            const uint8_t *at = engine.instance->module->wasm.ptr + all.trap.offset;
            cr_assert_eq(at[0], far_traps[i].opcode[0], "%u: 0x%x", far_traps[i].kind, at[0]);
            cr_assert(at[0] != 0xfc || at[1] == far_traps[i].opcode[1]);
            engine_close(&engine);
        }
    }
}

/* What no memory can have is refused, whatever its size asks for in gas. */
Test(vm_far, growing_past_all_reason_is_refused)
{
    struct engine engine = open_wide(false);
    struct outcome outcome = engine_call(&engine, "run", 8, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    cr_assert_eq(outcome.status, VM_RETURNED);
    cr_assert_gt(outcome.gas, (uint64_t)1 << 58);
    engine_close(&engine);
    engine = open_wide(false);
    outcome = engine_call(&engine, "run", 8, (uint64_t)1 << 50, 1000);
    cr_assert_eq(outcome.status, VM_OUT_OF_GAS);
    cr_assert_eq(outcome.gas, (uint64_t)1 << 50);
    engine_close(&engine);
}

Test(vm_far, code_is_printed)
{
    static const struct {
        const char *module, *text;
    } rows[] = {
        {"far", "I64_LOAD32_U_FAR_S_S"},        {"far", "memory 2 ["},
        {"far", "F64_STORE_FAR_S_S"},           {"far", "memory=2"},
        {"far", "memory.copy memory=2 from=2"}, {"wide", "I64_LOAD8_U_WIDE_R_S"},
        {"wide", "I64_STORE_WIDE_I_R"},         {"wide", " + 32] = 0x7"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct engine engine = engine_open(rows[i].module, (struct engine_options){0});
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        for (uint32_t f = 0; f < engine.instance->module->func_count; f++) {
            vm_module_disassemble(engine.instance->module, f, true, out);
        }
        fclose(out);
        cr_assert_not_null(strstr(text, rows[i].text), "%s\n%s", rows[i].text, text);
        cr_assert_null(strstr(text, "  ?\n"), "%s", text);
        free(text);
        engine_close(&engine);
    }
}

/* ---- Modules in bytes: what the text format's assembler does not write ---- */

/* One memory with i64 addresses of a page, exported, and a function of a body. */
static struct buffer wasm_of_wide_body(struct bytes body)
{
    struct buffer code = wasm_code((struct bytes)BYTES(0), body);
    struct buffer wasm =
        WASM({1, BYTES(1, 0x60, 0, 1, 0x7e)}, {3, BYTES(1, 0)}, {5, BYTES(1, 4, 1)},
             {7, BYTES(1, 1, 'f', 0, 0)}, {10, buffer_bytes(&code)});
    buffer_release(&code);
    return wasm;
}

/* Runs the function "f" of a module that imports nothing. */
static enum vm_trap trap_of(struct buffer wasm, uint64_t *result)
{
    struct err err;
    struct vm_instance *instance;
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    cr_assert_not_null(module, "%s", err.message);
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    cr_assert(vm_instantiate(store, module, NULL, &instance, &err), "%s", err.message);
    vm_module_unref(module);
    struct vm_run *run = vm_run_new(store, 1000000);
    cr_assert(vm_run_begin_call(run, engine_func(instance, "f"), NULL, 0, &err), "%s", err.message);
    enum vm_trap trap = VM_TRAP_NONE;
    uint32_t count;
    if (vm_run_slice(run, 1000000) == VM_RETURNED) {
        *result = vm_run_results(run, &count)->as.i64;
    } else {
        trap = vm_run_trap(run).trap;
    }
    vm_run_free(run);
    vm_store_free(store);
    return trap;
}

/* i64.load8_u of address `at` (as LEB128 bytes) with an offset of ten bytes. */
#define LOAD_AT(at, ...) BYTES(0x42, at, 0x31, 0, __VA_ARGS__)
#define OFFSET_TOP 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 /* 2^64 - 1 */
#define OFFSET_65535 0xff, 0xff, 0x03

Test(vm_far, offsets_go_up_to_the_top_and_do_not_come_round)
{
    const struct {
        struct bytes body;
        enum vm_trap trap;
    } rows[] = {
        {LOAD_AT(0, OFFSET_TOP), VM_TRAP_OUT_OF_BOUNDS_MEMORY},
        {LOAD_AT(1, OFFSET_TOP), VM_TRAP_OUT_OF_BOUNDS_MEMORY},    /* 2^64 is not 0 */
        {LOAD_AT(2, OFFSET_TOP), VM_TRAP_OUT_OF_BOUNDS_MEMORY},    /* nor is it 1 */
        {LOAD_AT(0x7f, OFFSET_TOP), VM_TRAP_OUT_OF_BOUNDS_MEMORY}, /* -1 and the top */
        {LOAD_AT(0x7f, 1), VM_TRAP_OUT_OF_BOUNDS_MEMORY},
        {LOAD_AT(0, OFFSET_65535), VM_TRAP_NONE},
        {LOAD_AT(1, OFFSET_65535), VM_TRAP_OUT_OF_BOUNDS_MEMORY},
        {LOAD_AT(0x7f, OFFSET_65535), VM_TRAP_OUT_OF_BOUNDS_MEMORY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t result = 1;
        cr_assert_eq(trap_of(wasm_of_wide_body(rows[i].body), &result), rows[i].trap, "row %zu", i);
        cr_assert(rows[i].trap != VM_TRAP_NONE || result == 0);
    }
}

Test(vm_far, an_offset_of_a_32_bit_memory_has_32_bits)
{
    const uint8_t fits[] = {0x41, 0, 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a};
    const uint8_t too_large[] = {0x41, 0, 0x28, 0, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a};
    wasm_accepted(wasm_of_body(bytes_of(fits, sizeof fits)), NULL);
    wasm_refused(wasm_of_body(bytes_of(too_large, sizeof too_large)), NULL, ERR_INVALID_WASM,
                 "offset out of range");
}

Test(vm_far, pages_of_a_64_bit_memory_below_at_and_above_what_addresses_reach)
{
    /* 2^48 as LEB128; one more */
    wasm_accepted(WASM({5, BYTES(1, 5, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40)}), NULL);
    wasm_refused(WASM({5, BYTES(1, 5, 0, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40)}), NULL,
                 ERR_INVALID_WASM, "memory size must be at most 2^48 pages");
    wasm_refused(WASM({5, BYTES(1, 4, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40)}), NULL,
                 ERR_INVALID_WASM, "memory size must be at most 2^48 pages");
    wasm_refused(WASM({5, BYTES(1, 5, 2, 1)}), NULL, ERR_INVALID_WASM, "size minimum");
}

static bool instantiates(struct buffer wasm, const struct vm_limits *limits, struct budget *budget,
                         struct err *err)
{
    struct vm_instance *instance;
    struct vm_module *module = wasm_load(&wasm, limits, err);
    cr_assert_not_null(module, "%s", err->message);
    struct vm_store *store = vm_store_new(limits, budget);
    bool is_made = vm_instantiate(store, module, NULL, &instance, err);
    vm_module_unref(module);
    vm_store_free(store);
    return is_made;
}

Test(vm_far, memory_pages_max_is_for_each_memory_and_for_64_bit_ones_too)
{
    struct vm_limits limits = vm_limits_default;
    struct err err;
    limits.memory_pages_max = 3;
    cr_assert(instantiates(WASM({5, BYTES(2, 4, 2, 0, 3)}), &limits, NULL, &err));
    cr_assert(instantiates(WASM({5, BYTES(2, 4, 3, 0, 3)}), &limits, NULL, &err));
    cr_assert_not(instantiates(WASM({5, BYTES(2, 0, 3, 4, 4)}), &limits, NULL, &err));
    cr_assert_eq(err.code, ERR_MEMORY_EXCEEDED);
    cr_assert_not_null(strstr(err.message, "memory_pages_max"));
}

Test(vm_far, the_budget_is_for_all_memories_together)
{
    for (int pages = 5; pages <= 7; pages++) {
        struct budget budget;
        struct err err;
        budget_init(&budget, NULL, (size_t)pages * VM_PAGE_BYTES + 16384);
        bool is_made =
            instantiates(WASM({5, BYTES(3, 4, 2, 0, 3, 0, 1)}), &vm_limits_default, &budget, &err);
        cr_assert_eq(is_made, pages >= 6, "%d", pages);
        cr_assert(is_made || err.code == ERR_MEMORY_EXCEEDED);
        cr_assert_eq(budget_used(&budget), 0);
    }
}

Test(vm_far, memory_pages_total_max_below_at_and_above)
{
    struct vm_limits limits = vm_limits_default;
    struct err err;
    for (limits.memory_pages_total_max = 4; limits.memory_pages_total_max <= 6;
         limits.memory_pages_total_max++) {
        bool is_made = instantiates(WASM({5, BYTES(2, 4, 2, 0, 3)}), &limits, NULL, &err);
        cr_assert_eq(is_made, limits.memory_pages_total_max >= 5);
        cr_assert(is_made || strstr(err.message, "memory_pages_total_max") != NULL);
    }
    limits.memory_pages_total_max = 5;
    struct vm_store *store = vm_store_new(&limits, NULL);
    struct vm_memory *first = vm_store_host_memory(store, 2, 10);
    struct vm_memory *second = vm_store_host_memory(store, 1, 10);
    enum vm_trap trap = VM_TRAP_NONE;
    cr_assert_eq(memory_grow(first, 3, &trap), -1);
    cr_assert_eq(memory_grow(first, 1, &trap), 2);
    cr_assert_eq(memory_grow(second, 2, &trap), -1);
    cr_assert_eq(memory_grow(second, UINT64_MAX, &trap), -1);
    cr_assert_eq(memory_grow(second, 1, &trap), 1);
    cr_assert_eq(memory_grow(first, 1, &trap), -1);
    cr_assert_null(vm_store_host_memory(store, 1, 1));
    cr_assert_not_null(vm_store_host_memory(store, 0, 1));
    cr_assert_eq(trap, VM_TRAP_NONE);
    vm_store_free(store);
}

Test(vm_far, memories_max_below_at_and_above)
{
    struct vm_limits limits = vm_limits_default;
    limits.memories_max = 2;
    wasm_accepted(WASM({5, BYTES(1, 0, 1)}), &limits);
    wasm_accepted(WASM({5, BYTES(2, 0, 1, 4, 1)}), &limits);
    wasm_refused(WASM({5, BYTES(3, 0, 1, 4, 1, 0, 0)}), &limits, ERR_LIMIT, "memories_max");
    wasm_accepted(WASM({2, BYTES(1, 0, 0, 2, 0, 1)}, {5, BYTES(1, 0, 1)}), &limits);
    wasm_refused(WASM({2, BYTES(1, 0, 0, 2, 0, 1)}, {5, BYTES(2, 0, 1, 0, 1)}), &limits, ERR_LIMIT,
                 "memories_max");
}

Test(vm_far, addresses_must_be_of_the_memorys_type)
{
    /* memory 0 has i32 addresses, memory 1 i64 ones */
    const struct {
        struct bytes body;
        bool is_valid;
    } rows[] = {
        {BYTES(0x41, 0, 0x28, 0, 0, 0x1a), true},
        {BYTES(0x42, 0, 0x28, 0, 0, 0x1a), false},
        {BYTES(0x42, 0, 0x28, 0x40, 1, 0, 0x1a), true},
        {BYTES(0x41, 0, 0x28, 0x40, 1, 0, 0x1a), false},
        {BYTES(0x41, 0, 0x28, 0x40, 2, 0, 0x1a), false},
        /* a copy's size is of the narrower type */
        {BYTES(0x41, 0, 0x42, 0, 0x41, 0, 0xfc, 10, 0, 1), true},
        {BYTES(0x41, 0, 0x42, 0, 0x42, 0, 0xfc, 10, 0, 1), false},
        {BYTES(0x42, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 1, 0), true},
        {BYTES(0x42, 0, 0x42, 0, 0x42, 0, 0xfc, 10, 1, 1), true},
        {BYTES(0x42, 0, 0x42, 0, 0x41, 0, 0xfc, 10, 1, 1), false},
        {BYTES(0x42, 0, 0x41, 0, 0x42, 0, 0xfc, 11, 1), true},
        {BYTES(0x42, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 1), false},
        {BYTES(0x3f, 1, 0x42, 0, 0x7c, 0x1a), true},
        {BYTES(0x3f, 1, 0x41, 0, 0x6a, 0x1a), false},
        {BYTES(0x42, 0, 0x40, 1, 0x42, 0, 0x7c, 0x1a), true},
        {BYTES(0x41, 0, 0x40, 1, 0x1a), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer code;
        buffer_init(&code, 4096);
        wasm_leb(&code, 1);
        wasm_leb(&code, (uint32_t)rows[i].body.size + 2);
        buffer_append_u8(&code, 0);
        buffer_append_bytes(&code, rows[i].body);
        buffer_append_u8(&code, 0x0b);
        struct buffer wasm = WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)},
                                  {5, BYTES(2, 0, 1, 4, 1)}, {10, buffer_bytes(&code)});
        buffer_release(&code);
        struct err err;
        struct vm_module *module = wasm_load(&wasm, NULL, &err);
        cr_assert_eq(module != NULL, rows[i].is_valid, "row %zu: %s", i, err.message);
        vm_module_unref(module);
    }
}

Test(vm_far, imported_memories_and_tables_match_by_their_address_type)
{
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    struct vm_memory *memory = vm_store_host_memory(store, 1, 2);
    struct vm_table *narrow = vm_store_host_table(store, VM_FUNCREF, 1, 2);
    struct vm_table *wide = vm_store_host_table64(store, VM_FUNCREF, 1, 2);
    const struct {
        struct buffer wasm;
        struct vm_extern import;
        bool is_linked;
    } rows[] = {
        {WASM({2, BYTES(1, 0, 0, 2, 0, 1)}), {VM_EXTERN_MEMORY, memory}, true},
        {WASM({2, BYTES(1, 0, 0, 2, 4, 1)}), {VM_EXTERN_MEMORY, memory}, false},
        {WASM({2, BYTES(1, 0, 0, 1, 0x70, 0, 1)}), {VM_EXTERN_TABLE, narrow}, true},
        {WASM({2, BYTES(1, 0, 0, 1, 0x70, 0, 1)}), {VM_EXTERN_TABLE, wide}, false},
        {WASM({2, BYTES(1, 0, 0, 1, 0x70, 4, 1)}), {VM_EXTERN_TABLE, wide}, true},
        {WASM({2, BYTES(1, 0, 0, 1, 0x70, 4, 1)}), {VM_EXTERN_TABLE, narrow}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err;
        struct vm_instance *instance;
        struct buffer wasm = rows[i].wasm;
        struct vm_module *module = wasm_load(&wasm, NULL, &err);
        cr_assert_not_null(module, "%s", err.message);
        cr_assert_eq(vm_instantiate(store, module, &rows[i].import, &instance, &err),
                     rows[i].is_linked, "row %zu", i);
        cr_assert(rows[i].is_linked || err.code == ERR_UNLINKABLE);
        vm_module_unref(module);
    }
    vm_store_free(store);
}

/* ---- Constants ---- */

Test(vm_far, a_constant_expression_is_evaluated)
{
    struct err err;
    struct vm_instance *instance;
    /* (5 - 7) * 3, and its square as an i64 that wraps */
    struct buffer wasm = WASM({6, BYTES(2, 0x7f, 0, 0x41, 5, 0x41, 7, 0x6b, 0x41, 3, 0x6c, 0x0b, //
                                        0x7e, 0, 0x42, 0x7f, 0x42, 3, 0x7e, 0x42, 1, 0x7d, 0x0b)});
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    cr_assert(vm_instantiate(store, module, NULL, &instance, &err), "%s", err.message);
    cr_assert_eq(instance->globals[0]->value[0], (uint32_t)-6, "zero-extended");
    cr_assert_eq(instance->globals[1]->value[0], (uint64_t)-4);
    vm_module_unref(module);
    vm_store_free(store);
}

Test(vm_far, constants_that_are_none_are_refused)
{
    const struct {
        struct bytes global;
        const char *text;
    } rows[] = {
        {BYTES(1, 0x7f, 0, 0x0b), "type mismatch"},
        {BYTES(1, 0x7f, 0, 0x6a, 0x0b), "type mismatch"},
        {BYTES(1, 0x7f, 0, 0x41, 0, 0x6a, 0x0b), "type mismatch"},
        {BYTES(1, 0x7f, 0, 0x41, 0, 0x41, 0, 0x0b), "type mismatch"},
        {BYTES(1, 0x7f, 0, 0x41, 0, 0x42, 0, 0x6a, 0x0b), "type mismatch"},
        {BYTES(1, 0x7f, 0, 0x42, 0, 0x42, 0, 0x7c, 0x0b), "type mismatch"},
        {BYTES(1, 0x7f, 0, 0x41, 0, 0x41, 0, 0x6d, 0x0b), "constant expression required"},
        {BYTES(1, 0x7f, 0, 0x23, 0, 0x0b), "unknown global 0"}, /* itself */
        {BYTES(1, 0x7f, 0, 0x23, 1, 0x0b), "unknown global 1"},
        {BYTES(2, 0x7f, 1, 0x41, 0, 0x0b, 0x7f, 0, 0x23, 0, 0x0b), "constant expression required"},
        {BYTES(1, 0x7f, 0, 0xd2, 0, 0x41, 0, 0x6a, 0x0b), "unknown function 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wasm_refused(WASM({6, rows[i].global}), NULL, ERR_INVALID_WASM, rows[i].text);
    }
}

/* So many operands wait at once. */
static struct buffer wasm_of_deep_constant(uint32_t depth)
{
    struct buffer globals;
    buffer_init(&globals, 4096);
    buffer_append(&globals, (const uint8_t[]){1, 0x7f, 0}, 3);
    for (uint32_t i = 0; i < depth; i++) {
        buffer_append(&globals, (const uint8_t[]){0x41, 1}, 2);
    }
    for (uint32_t i = 1; i < depth; i++) {
        buffer_append_u8(&globals, 0x6a);
    }
    buffer_append_u8(&globals, 0x0b);
    struct buffer wasm = WASM({6, buffer_bytes(&globals)});
    buffer_release(&globals);
    return wasm;
}

Test(vm_far, a_constant_expression_has_a_depth_below_at_and_above)
{
    struct err err;
    for (uint32_t depth = 127; depth <= 128; depth++) {
        cr_assert(instantiates(wasm_of_deep_constant(depth), &vm_limits_default, NULL, &err));
    }
    wasm_refused(wasm_of_deep_constant(129), NULL, ERR_LIMIT, "constant expression depth");
}
