/* test_profile: counting what runs changes nothing, and the counts are those one counts by hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"
#include "vm/profile.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

struct profiled {
    enum vm_status status;
    uint64_t gas;
    enum vm_trap trap;
    struct vm_profile_totals totals;
    char text[16384]; /* as printed */
};

static void print(const struct vm_profile *profile, char *text, size_t size)
{
    FILE *out = fmemopen(text, size, "w");
    cr_assert(vm_profile_print(profile, 1000, out));
    cr_assert_eq(fclose(out), 0);
}

static struct profiled profile_call(struct engine *engine, const char *name, uint32_t argument,
                                    uint64_t gas_limit, uint64_t slice)
{
    static struct profiled out;
    struct err err;
    struct vm_value value = engine_i32(argument);
    struct vm_func *func = engine_func(engine->instance, name);
    struct vm_run *run = vm_run_new(engine->store, gas_limit);
    struct vm_profile *profile = vm_profile_new();
    out = (struct profiled){0};
    cr_assert(vm_run_begin_call(run, func, &value, vm_func_get_type(func)->param_count, &err), "%s",
              err.message);
    do {
        out.status = vm_profile_slice(profile, run, slice);
    } while (out.status == VM_SUSPENDED);
    out.gas = vm_run_gas_consumed(run);
    out.trap = out.status == VM_TRAPPED ? vm_run_trap(run).trap : VM_TRAP_NONE;
    cr_assert(vm_profile_totals(profile, &out.totals));
    print(profile, out.text, sizeof out.text);
    vm_profile_free(profile);
    vm_run_free(run);
    return out;
}

/* The count in the line that ends with `words`; 0 if there is none. */
static uint64_t count_of(const char *text, const char *words)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        size_t size = end != NULL ? (size_t)(end - line) : strlen(line);
        const char *percent = memchr(line, '%', size);
        size_t length = strlen(words);
        if (percent != NULL && size > length + 2 && line[size - length - 1] == ' ' &&
            line[size - length - 2] == ' ' && strncmp(line + size - length, words, length) == 0) {
            return strtoull(percent + 1, NULL, 10);
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return 0;
}

/* (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) */
Test(vm_profile, a_loop_of_a_thousand_rounds_shows_its_pairs_a_thousand_times)
{
    for (int slots_only = 0; slots_only < 2; slots_only++) {
        struct engine engine =
            engine_open("gas", (struct engine_options){.slots_only = slots_only});
        struct profiled got = profile_call(&engine, "loop", 1000, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
        cr_expect_eq(got.totals.instructions, 5000);
        cr_expect_eq(count_of(got.text, "i32.sub"), 1000);
        cr_expect_eq(count_of(got.text, "i32.sub, local.tee"), 1000);
        cr_expect_eq(count_of(got.text, "local.get, i32.const, i32.sub"), 1000);
        cr_expect_eq(count_of(got.text, "i32.const, i32.sub, local.tee"), 1000);
        cr_expect_eq(count_of(got.text, "br_if, local.get"), 0, "a branch ends a straight run");
        engine_close(&engine);
    }
}

Test(vm_profile, internal_pairs_are_those_of_the_code)
{
    struct engine engine = engine_open("gas", (struct engine_options){.slots_only = true});
    struct profiled got = profile_call(&engine, "loop", 1000, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    /* slot by slot: two moves, the subtraction, a move into the local, one for the branch */
    cr_expect_geq(got.totals.dispatches, 3 * 1000);
    cr_expect_eq(count_of(got.text, "I32_SUB_S_SS"), 1000);
    cr_expect_eq(count_of(got.text, "I32_SUB_S_SS, MOVE_i64_S_S"), 1000);
    engine_close(&engine);
}

Test(vm_profile, folding_saves_dispatches_but_no_gas)
{
    struct engine slots = engine_open("gas", (struct engine_options){.slots_only = true});
    struct profiled unfolded = profile_call(&slots, "loop", 100, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    engine_close(&slots);
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct profiled folded = profile_call(&engine, "loop", 100, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    engine_close(&engine);
    cr_expect_eq(folded.gas, unfolded.gas);
    cr_expect_lt(folded.totals.dispatches, unfolded.totals.dispatches);
    cr_expect_lt(folded.totals.dispatches, folded.totals.instructions);
}

Test(vm_profile, calls_and_returns_end_straight_runs)
{
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct profiled got = profile_call(&engine, "call", 0, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    cr_expect_eq(got.totals.instructions, got.gas);
    cr_expect_eq(count_of(got.text, "call"), 2);
    cr_expect_eq(count_of(got.text, "drop, call"), 1);
    cr_expect_eq(count_of(got.text, "i32.const, i32.const, i32.add"), 2);
    engine_close(&engine);
}

/* Results, traps and gas, at any limit and in any slices. */
Test(vm_profile, profiling_changes_nothing)
{
    static const struct {
        const char *name;
        uint32_t argument;
    } calls[] = {{"loop", 10}, {"call", 0},     {"choose", 0}, {"fill", 65},
                 {"grow", 1},  {"table", 9},    {"divide", 4}, {"divide", 0},
                 {"free", 0},  {"locals64", 0}, {"br_if16", 1}};
    const uint64_t slices[] = {1, 7, ENGINE_NO_LIMIT};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (uint64_t limit = 0; limit < 60; limit++) {
            struct engine plain = engine_open("gas", (struct engine_options){0});
            struct outcome want =
                engine_call(&plain, calls[i].name, calls[i].argument, limit, ENGINE_NO_LIMIT);
            engine_close(&plain);
            struct engine engine = engine_open("gas", (struct engine_options){0});
            struct profiled got =
                profile_call(&engine, calls[i].name, calls[i].argument, limit, slices[limit % 3]);
            engine_close(&engine);
            cr_assert_eq(got.status, want.status, "%s at %" PRIu64, calls[i].name, limit);
            cr_assert_eq(got.gas, want.gas, "%s at %" PRIu64, calls[i].name, limit);
            cr_assert_eq(got.trap, want.trap.trap, "%s at %" PRIu64, calls[i].name, limit);
        }
    }
}

Test(vm_profile, without_memory_it_says_so_and_the_run_goes_on)
{
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct err err;
    struct vm_value value = engine_i32(3);
    struct vm_profile_totals totals;
    char text[64];
    heap_fail_after(1);
    cr_expect_null(vm_profile_new());
    heap_fail_after(0);
    struct vm_profile *profile = vm_profile_new();
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_call(run, engine_func(engine.instance, "loop"), &value, 1, &err));
    heap_fail_after(1);
    cr_expect_eq(vm_profile_slice(profile, run, ENGINE_NO_LIMIT), VM_RETURNED);
    heap_fail_after(0);
    cr_expect_eq(vm_run_gas_consumed(run), 15);
    cr_expect_not(vm_profile_totals(profile, &totals));
    FILE *out = fmemopen(text, sizeof text, "w");
    cr_expect_not(vm_profile_print(profile, 1, out));
    fclose(out);
    vm_profile_free(profile);
    vm_profile_free(NULL);
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_profile, analysis_survives_every_failed_allocation)
{
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct err err;
    struct vm_value value = engine_i32(3);
    struct vm_profile_totals totals = {0};
    struct vm_profile *profile = vm_profile_new();
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_call(run, engine_func(engine.instance, "loop"), &value, 1, &err));
    cr_assert_eq(vm_profile_slice(profile, run, ENGINE_NO_LIMIT), VM_RETURNED);
    size_t count = 0;
    bool ok = false;
    while (!ok && count < 1000) {
        heap_fail_after(++count);
        ok = vm_profile_totals(profile, &totals);
        heap_fail_after(0);
        cr_assert(ok || totals.instructions == 0);
    }
    cr_expect_gt(count, 5);
    cr_expect_eq(totals.instructions, 15);
    vm_profile_free(profile);
    vm_run_free(run);
    engine_close(&engine);
}

/* More keys than a tally begins with. */
Test(vm_profile, a_tally_grows_and_sorts)
{
    struct tally tally = {0};
    cr_expect_eq(tally_get(&tally, 7), 0);
    for (uint64_t key = 0; key < 5000; key++) {
        tally_add(&tally, key << 40, key % 100 + 1);
        tally_add(&tally, key << 40, 1);
    }
    for (uint64_t key = 0; key < 5000; key++) {
        cr_assert_eq(tally_get(&tally, key << 40), key % 100 + 2);
    }
    cr_expect_eq(tally.used, 5000);
    tally_sort(&tally);
    cr_expect_eq(tally.rows[0].count, 101);
    cr_expect_eq(tally.rows[0].key, (uint64_t)99 << 40);
    cr_expect_eq(tally.rows[4999].count, 2);
    tally_release(&tally);
}
