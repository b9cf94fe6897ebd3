/* test_pieces: nothing that a module can have much of is done at once: steps are counted, against
 * what they are to do and what they may hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <string.h>

enum { STEP_BYTES = 4096, BUDGET_BYTES = 1 << 30 };

/* (global.set 0 (i32.add (global.get 0) (i32.const 1))) */
static const uint8_t count_up[] = {0x23, 0, 0x41, 1, 0x6a, 0x24, 0};

static struct buffer module_of(struct buffer body)
{
    struct buffer wasm = wasm_of_body(buffer_bytes(&body));
    buffer_release(&body);
    return wasm;
}

/* One function with locals of i32. */
static struct buffer module_of_locals(uint32_t locals, struct buffer body)
{
    struct buffer wasm = wasm_of_locals(locals, 0x7f, buffer_bytes(&body));
    buffer_release(&body);
    return wasm;
}

struct loading {
    size_t steps, body_bytes, code_bytes;
    size_t held; /* bytes, when all is loaded, the loader's included */
};

static struct loading load(struct buffer wasm)
{
    struct err err;
    struct budget budget;
    struct loading loading = {0};
    struct vm_module *module = NULL;
    struct vm_module_facts facts;
    budget_init(&budget, NULL, BUDGET_BYTES);
    struct vm_loader *loader =
        vm_loader_new(buffer_bytes(&wasm), &vm_limits_default, &budget, &err);
    buffer_release(&wasm);
    cr_assert_not_null(loader);
    enum vm_load_status status;
    do {
        status = vm_loader_step(loader, STEP_BYTES, &module, &err);
        loading.steps++;
    } while (status == VM_LOAD_MORE);
    cr_assert_eq(status, VM_LOAD_DONE, "%s", err.message);
    loading.held = budget_used(&budget);
    vm_module_facts(module, &facts);
    loading.body_bytes = facts.body_bytes;
    loading.code_bytes = facts.code_bytes;
    vm_loader_free(loader);
    vm_module_unref(module);
    cr_assert_eq(budget_used(&budget), 0);
    return loading;
}

Test(vm_pieces, a_bodys_code_is_kept_in_pieces_and_its_room_never_doubles)
{
    struct bytes none = {NULL, 0};
    struct loading loading =
        load(module_of(wasm_repeat(none, bytes_of(count_up, sizeof count_up), 100000, none)));
    cr_expect_gt(loading.code_bytes, 2000000);
    cr_expect_geq(loading.steps,
                  (2 * loading.body_bytes + loading.code_bytes / 16) / STEP_BYTES - 3);
    cr_expect_lt(loading.held, loading.body_bytes + loading.code_bytes * 5 / 2 + (1 << 20));
}

Test(vm_pieces, a_label_tells_its_branches_one_by_one_where_it_is)
{
    enum { BRANCHES = 100000 };
    static const uint8_t begin[] = {0x02, 0x40}, branch[] = {0x41, 0, 0x0d, 0}, end[] = {0x0b};
    struct loading loading =
        load(module_of(wasm_repeat(bytes_of(begin, sizeof begin), bytes_of(branch, sizeof branch),
                                   BRANCHES, bytes_of(end, sizeof end))));
    cr_expect_geq(loading.steps,
                  (2 * loading.body_bytes + BRANCHES + loading.code_bytes / 16) / STEP_BYTES - 3);
}

Test(vm_pieces, uses_of_locals_in_a_loop_are_added_up_on_the_way)
{
    static const uint8_t begin[] = {0x03, 0x40}, use[] = {0x20, 0, 0x1a, 0x20, 1, 0x1a},
                         end[] = {0x0b};
    struct loading loading = load(
        module_of_locals(2, wasm_repeat(bytes_of(begin, sizeof begin), bytes_of(use, sizeof use),
                                        250000, bytes_of(end, sizeof end))));
    cr_expect_lt(loading.held, 2 * loading.body_bytes + (1 << 20));
}

/* What translation plans with is small beside the code that it makes, whatever the loops are. */
static void plans_with_little(uint32_t locals, struct bytes begin, struct bytes loop,
                              uint32_t count, struct bytes end)
{
    struct loading loading = load(module_of_locals(locals, wasm_repeat(begin, loop, count, end)));
    cr_expect_lt(loading.held, loading.body_bytes + loading.code_bytes * 5 / 2 + (2 << 20), "%zu",
                 loading.held);
}

Test(vm_pieces, loops_that_pin_nothing_are_not_remembered)
{
    static const uint8_t empty[] = {0x03, 0x40, 0x0b},
                         recursive[] = {0x03, 0x40, 0x10, 0, 0x20, 0, 0x1a, 0x20, 0, 0x1a, 0x0b};
    struct bytes none = {NULL, 0};
    plans_with_little(1, none, bytes_of(empty, sizeof empty), 1000000, none);
    plans_with_little(1, none, bytes_of(recursive, sizeof recursive), 300000, none);
}

Test(vm_pieces, loops_that_pin_something_are_remembered_up_to_a_number)
{
    static const uint8_t loop[] = {0x03, 0x40, 0x20, 0, 0x1a, 0x20, 0, 0x1a, 0x0b};
    struct bytes none = {NULL, 0};
    plans_with_little(1, none, bytes_of(loop, sizeof loop), 500000, none);
}

Test(vm_pieces, uses_of_locals_in_the_loops_of_a_loop_are_added_up_on_the_way)
{
    static const uint8_t begin[] = {0x03, 0x40}, loop[] = {0x03, 0x40, 0x20, 0, 0x1a, 0x0b},
                         end[] = {0x0b};
    plans_with_little(1, bytes_of(begin, sizeof begin), bytes_of(loop, sizeof loop), 500000,
                      bytes_of(end, sizeof end));
}

/* ---- Instances ---- */

enum { GLOBALS = 1000, FUNCTIONS = 1000 };

static struct buffer module_of_many(void)
{
    struct buffer globals, funcs, code;
    buffer_init(&globals, 1 << 20);
    buffer_init(&funcs, 1 << 20);
    buffer_init(&code, 1 << 20);
    wasm_leb(&globals, GLOBALS);
    wasm_leb(&funcs, FUNCTIONS);
    wasm_leb(&code, FUNCTIONS);
    for (uint32_t i = 0; i < GLOBALS; i++) {
        buffer_append(&globals, (const uint8_t[]){0x7f, 0, 0x41, (uint8_t)(i % 64), 0x0b}, 5);
    }
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        buffer_append_u8(&funcs, 0);
        buffer_append(&code, (const uint8_t[]){2, 0, 0x0b}, 3);
    }
    struct buffer wasm = WASM({1, BYTES(1, 0x60, 0, 0)}, {3, buffer_bytes(&funcs)},
                              {6, buffer_bytes(&globals)}, {10, buffer_bytes(&code)});
    buffer_release(&globals);
    buffer_release(&funcs);
    buffer_release(&code);
    return wasm;
}

static size_t instantiate(struct vm_store *store, struct vm_module *module, size_t bytes,
                          struct vm_instance **out)
{
    struct err err;
    bool is_done = false;
    size_t steps = 0;
    cr_assert(vm_instantiate_begin(store, module, NULL, out, &err));
    for (; !is_done; steps++) {
        cr_assert(vm_instantiate_step(*out, bytes, &is_done, &err));
    }
    return steps;
}

Test(vm_pieces, an_instance_is_made_in_pieces_of_any_size)
{
    struct err err;
    struct budget budget;
    struct buffer wasm = module_of_many();
    budget_init(&budget, NULL, BUDGET_BYTES);
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    struct vm_store *store = vm_store_new(&vm_limits_default, &budget);
    for (size_t bytes = 1; bytes < 100000; bytes *= 10) {
        struct vm_instance *instance;
        size_t steps = instantiate(store, module, bytes, &instance);
        size_t of_a_step = (bytes + 7) / 8;
        size_t least = (FUNCTIONS + GLOBALS) / of_a_step;
        cr_expect(steps >= least && steps <= least + 3, "%zu", steps);
        for (uint32_t i = 0; i < GLOBALS; i++) {
            cr_assert_eq(vm_global_get(instance->globals[i]).as.i32, i % 64);
        }
        for (uint32_t i = 0; i < FUNCTIONS; i++) {
            cr_assert_eq(instance->funcs[i]->index, i);
        }
    }
    size_t pieces = 0, used = budget_used(&budget);
    for (; !vm_store_release_some(store, 4096); pieces++) {
        cr_assert_leq(used - budget_used(&budget), 8192);
        used = budget_used(&budget);
    }
    cr_expect_gt(pieces, 50);
    vm_store_free(store);
    vm_module_unref(module);
    cr_expect_eq(budget_used(&budget), 0);
}

/* ---- Runs ---- */

enum { COUNTS = 50000 };

static struct buffer straight_module(uint8_t last)
{
    struct bytes none = {NULL, 0};
    return module_of(
        wasm_repeat(none, bytes_of(count_up, sizeof count_up), COUNTS, bytes_of(&last, 1)));
}

static struct engine open_straight(uint8_t last, struct engine_options options)
{
    struct buffer wasm = straight_module(last);
    struct engine engine = engine_open_wasm(buffer_bytes(&wasm), options);
    buffer_release(&wasm);
    return engine;
}

static enum vm_status run_first(struct engine *engine, uint64_t gas_limit, uint64_t slice,
                                struct vm_run **run, size_t *slices)
{
    struct err err;
    enum vm_status status;
    *run = vm_run_new(engine->store, gas_limit);
    cr_assert(vm_run_begin_call(*run, engine->instance->funcs[0], NULL, 0, &err));
    *slices = 0;
    do {
        status = vm_run_slice(*run, slice);
        ++*slices;
    } while (status == VM_SUSPENDED);
    return status;
}

static uint32_t counted(const struct engine *engine)
{
    return vm_global_get(engine->instance->globals[0]).as.i32;
}

Test(vm_pieces, a_long_straight_run_ends_every_thousand_instructions)
{
    enum { NOP = 1, GAS = 1000 };
    struct engine engine = open_straight(NOP, (struct engine_options){0});
    struct vm_run *run;
    size_t slices;
    uint32_t before = counted(&engine);
    cr_assert_eq(run_first(&engine, ENGINE_NO_LIMIT, GAS, &run, &slices), VM_RETURNED);
    cr_expect_geq(slices, 4 * COUNTS / 2048);
    cr_expect_eq(vm_run_gas_consumed(run), 4 * COUNTS);
    cr_expect_eq(counted(&engine) - before, COUNTS);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_pieces, gas_ends_exactly_wherever_in_a_long_straight_run)
{
    enum { NOP = 1 };
    static const uint32_t limits[] = {1, 1023, 1024, 1025, 1027, 65537, 123457, 4 * COUNTS - 1};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct engine engine = open_straight(NOP, (struct engine_options){0});
        struct vm_run *run;
        size_t slices;
        uint32_t before = counted(&engine);
        cr_assert_eq(run_first(&engine, limits[i], 1000, &run, &slices), VM_OUT_OF_GAS);
        cr_expect_eq(vm_run_gas_consumed(run), limits[i]);
        cr_expect_eq(counted(&engine) - before, limits[i] / 4, "%u", limits[i]);
        vm_run_free(run);
        engine_close(&engine);
    }
}

/* ---- Where a long straight run is cut: between any two instructions ---- */

#define LITERAL(...) (struct bytes) BYTES(__VA_ARGS__)
#define COUNT_UP 0x23, 0, 0x41, 1, 0x6a, 0x24, 0

struct straight { /* bodies that leave what they come to in global 0 */
    struct bytes begin, pattern, end;
    uint32_t count;
};

struct ending {
    enum vm_status status;
    uint64_t gas;
    uint32_t global;
};

enum { CUT_GAS = 1024, FIRST_LIMIT = CUT_GAS - 6, LIMITS = 13, ENDINGS = LIMITS + 1 };

/* A value is on the stack throughout, as i32, f64, v128; or it is what a branch looks at. */
static struct buffer branches(uint32_t count)
{
    struct bytes none = {NULL, 0};
    struct buffer counts = wasm_repeat(LITERAL(0x02, 0x40), LITERAL(COUNT_UP), 254, none);
    /* 2 more gas; (br_if 0 (i32.lt_u (global.get 0) (i32.const 512))); what it jumps over */
    struct buffer block =
        wasm_repeat(buffer_bytes(&counts), LITERAL(0x41, 0, 0x1a), 1,
                    LITERAL(0x23, 0, 0x41, 0x80, 4, 0x49, 0x0d, 0, COUNT_UP, 0x0b));
    struct buffer out = wasm_repeat(none, buffer_bytes(&block), count, none);
    buffer_release(&counts);
    buffer_release(&block);
    return out;
}

static struct buffer padded(struct bytes pad, const struct straight *straight)
{
    struct bytes none = {NULL, 0};
    struct buffer body =
        straight->pattern.size > 0
            ? wasm_repeat(straight->begin, straight->pattern, straight->count, straight->end)
            : branches(straight->count);
    struct buffer all = wasm_repeat(pad, buffer_bytes(&body), 1, none);
    buffer_release(&body);
    return module_of(all);
}

/* How it ends with limits around the first cut, and with none. */
static void play(const struct buffer *wasm, bool slots_only, uint64_t slice,
                 struct ending out[static ENDINGS])
{
    struct engine engine =
        engine_open_wasm(buffer_bytes(wasm), (struct engine_options){.slots_only = slots_only});
    for (uint32_t i = 0; i < ENDINGS; i++) {
        struct vm_run *run;
        size_t slices;
        uint64_t limit = i < LIMITS ? FIRST_LIMIT + i : ENGINE_NO_LIMIT;
        out[i].status = run_first(&engine, limit, slice, &run, &slices);
        out[i].gas = vm_run_gas_consumed(run);
        out[i].global = counted(&engine);
        cr_expect_eq(out[i].status, i < LIMITS ? VM_OUT_OF_GAS : VM_RETURNED);
        cr_expect(i == LIMITS || out[i].gas == limit);
        vm_run_free(run);
    }
    engine_close(&engine);
}

static void expect_cut_anywhere(const struct straight *straight, struct bytes pad)
{
    struct buffer wasm = padded(pad, straight);
    struct ending plain[ENDINGS], other[ENDINGS];
    play(&wasm, true, ENGINE_NO_LIMIT, plain);
    cr_expect_gt(plain[LIMITS].gas, 2 * CUT_GAS);
    for (int i = 0; i < 4; i++) {
        play(&wasm, i % 2 == 0, i < 2 ? 1 : 1000, other);
        for (uint32_t j = 0; j < ENDINGS; j++) {
            cr_assert_eq(other[j].status, plain[j].status);
            cr_assert_eq(other[j].gas, plain[j].gas, "%d: %u", i, (unsigned)j);
            cr_assert_eq(other[j].global, plain[j].global, "%d: %u: %u, not %u", i, (unsigned)j,
                         (unsigned)other[j].global, (unsigned)plain[j].global);
        }
    }
    buffer_release(&wasm);
}

Test(vm_pieces, a_long_straight_run_may_be_cut_between_any_two_instructions)
{
    struct bytes none = {NULL, 0};
    const struct straight straights[] = {
        {none, LITERAL(COUNT_UP), none, 600},
        {LITERAL(0x41, 0), LITERAL(0x41, 1, 0x6a), LITERAL(0x24, 0), 1100},
        {LITERAL(0x44, 0, 0, 0, 0, 0, 0, 0, 0), LITERAL(0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0xa0),
         LITERAL(0xaa, 0x24, 0), 1100},
        {LITERAL(0xfd, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
         LITERAL(0x41, 3, 0xfd, 0x11, 0xfd, 0xae, 1), LITERAL(0xfd, 0x1b, 1, 0x24, 0), 800},
        {none, none, none, 3}, /* branches */
    };
    /* 0, 2, 3, and 5 gas: where it is cut goes through all of a pattern */
    const struct bytes pads[] = {none, LITERAL(0x41, 0, 0x1a), LITERAL(0x41, 0, 0x45, 0x1a),
                                 LITERAL(0x41, 0, 0x1a, 0x41, 0, 0x45, 0x1a)};
    for (size_t i = 0; i < sizeof straights / sizeof straights[0]; i++) {
        for (size_t j = 0; j < sizeof pads / sizeof pads[0]; j++) {
            expect_cut_anywhere(&straights[i], pads[j]);
        }
    }
}

/* ---- Looking for the place of a trap ---- */

static struct engine open_shared(struct buffer wasm, struct budget *shared)
{
    struct vm_limits limits = vm_limits_default;
    limits.memory_limit_traps = true;
    budget_init(shared, NULL, BUDGET_BYTES);
    struct engine engine = engine_open_wasm(
        buffer_bytes(&wasm), (struct engine_options){.limits = &limits, .parent = shared});
    buffer_release(&wasm);
    return engine;
}

static size_t hold_the_rest(struct budget *shared)
{
    size_t rest = BUDGET_BYTES - budget_used(shared);
    cr_assert(budget_charge(shared, rest));
    return rest;
}

Test(vm_pieces, a_traps_place_is_found_with_little_memory_however_large_the_function)
{
    enum { UNREACHABLE = 0 };
    struct budget shared;
    struct engine engine = open_shared(straight_module(UNREACHABLE), &shared);
    struct vm_run *run;
    size_t slices;
    struct err err;
    run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_call(run, engine.instance->funcs[0], NULL, 0, &err));
    size_t held = hold_the_rest(&shared);
    for (slices = 1; vm_run_slice(run, 100000) == VM_SUSPENDED; slices++) {
    }
    cr_assert_eq(vm_run_slice(run, 1), VM_TRAPPED);
    cr_expect(vm_run_trap(run).has_location);
    cr_expect_eq(vm_run_gas_consumed(run), 4 * COUNTS + 1);
    cr_expect_gt(slices, 10);
    budget_release(&shared, held);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_pieces, a_traps_place_waits_for_memory_where_much_is_needed)
{
    enum { LOCALS = 50000, FRAME_BYTES = 8 * LOCALS };
    static const uint8_t unreachable[] = {0};
    struct budget shared;
    struct bytes none = {NULL, 0};
    struct buffer body = wasm_repeat(none, bytes_of(unreachable, 1), 1, none);
    struct engine engine = open_shared(module_of_locals(LOCALS, body), &shared);
    struct err err;
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_call(run, engine.instance->funcs[0], NULL, 0, &err));
    /* what the frame needs is there, and not again, for the search */
    size_t held = hold_the_rest(&shared);
    budget_release(&shared, FRAME_BYTES + FRAME_BYTES / 4);
    held -= FRAME_BYTES + FRAME_BYTES / 4;
    enum vm_status status;
    do {
        status = vm_run_slice(run, 100000);
    } while (status == VM_SUSPENDED);
    cr_assert_eq(status, VM_NEEDS_MEMORY);
    cr_assert_eq(vm_run_slice(run, 1), VM_NEEDS_MEMORY);
    budget_release(&shared, held);
    cr_assert_eq(vm_run_slice(run, 100000), VM_TRAPPED);
    cr_expect_eq(vm_run_trap(run).trap, VM_TRAP_UNREACHABLE);
    cr_expect(vm_run_trap(run).has_location);
    cr_expect_eq(vm_run_gas_consumed(run), LOCALS / 64 + 1);
    vm_run_free(run);
    engine_close(&engine);
}

/* ---- A trap before the limit, in a straight run that goes beyond it ---- */

static const uint8_t divide_by_zero[] = {0x41, 1, 0x41, 0, 0x6d, 0x1a};
enum { COUNTS_BEFORE = 20, COUNTS_AFTER = 20, TRAP_GAS = 4 * COUNTS_BEFORE + 3 };

static struct engine open_late_trap(void)
{
    struct buffer body;
    buffer_init(&body, 1 << 10);
    for (int i = 0; i < COUNTS_BEFORE + COUNTS_AFTER; i++) {
        if (i == COUNTS_BEFORE) {
            buffer_append(&body, divide_by_zero, sizeof divide_by_zero);
        }
        buffer_append(&body, count_up, sizeof count_up);
    }
    struct buffer wasm = module_of(body);
    struct engine engine = engine_open_wasm(buffer_bytes(&wasm), (struct engine_options){0});
    buffer_release(&wasm);
    return engine;
}

/* How it ends where the n-th allocation fails, and all after it; whether its place is known. */
static enum vm_status end_without_memory(size_t n, uint64_t gas_limit, bool *has_location)
{
    struct err err;
    struct engine engine = open_late_trap();
    struct vm_run *run = vm_run_new(engine.store, gas_limit);
    cr_assert(vm_run_begin_call(run, engine.instance->funcs[0], NULL, 0, &err));
    heap_fail_after(n);
    enum vm_status status;
    do {
        status = vm_run_slice(run, 1000);
    } while (status == VM_SUSPENDED);
    heap_fail_after(0);
    bool has_trapped = status == VM_TRAPPED;
    *has_location = has_trapped && vm_run_trap(run).has_location;
    cr_assert(has_trapped || status == VM_OUT_OF_GAS);
    cr_expect(!has_trapped || vm_run_trap(run).trap == VM_TRAP_INTEGER_DIVIDE_BY_ZERO);
    cr_expect_eq(vm_run_gas_consumed(run), *has_location ? TRAP_GAS : gas_limit);
    vm_run_free(run);
    engine_close(&engine);
    return status;
}

Test(vm_pieces, what_has_trapped_is_no_longer_out_of_gas_where_memory_lacks_for_its_place)
{
    bool has_location = false, has_trapped = false;
    size_t unplaced = 0;
    for (size_t n = 1; !has_location; n++) {
        bool traps = end_without_memory(n, TRAP_GAS + 1, &has_location) == VM_TRAPPED;
        cr_expect(traps || !has_trapped, "%zu", n);
        has_trapped = traps;
        unplaced += traps && !has_location;
    }
    cr_expect_gt(unplaced, 0);
}
