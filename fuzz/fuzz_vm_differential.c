/* fuzz_vm_differential.c: however a program is translated and sliced, it does the same; a gas limit
 * cuts it off at exactly that unit, or not at all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "play_vm.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GAS_MAX = 2000000 };

static bool is_same_value(const struct vm_value *a, const struct vm_value *b)
{
    bool is_wide = a->type != VM_I32 && a->type != VM_F32;
    return a->type == b->type && (is_wide ? a->as.i64 == b->as.i64 : a->as.i32 == b->as.i32);
}

static bool is_same_state(const struct play_state *a, const struct play_state *b)
{
    return a->memories[0] == b->memories[0] && a->memories[1] == b->memories[1] &&
           a->globals == b->globals && a->tables == b->tables;
}

static bool is_same_step(const struct play_step *a, const struct play_step *b)
{
    bool is_same = a->status == b->status && a->gas == b->gas && a->trap.trap == b->trap.trap &&
                   a->trap.has_location == b->trap.has_location &&
                   a->trap.function_index == b->trap.function_index &&
                   a->trap.offset == b->trap.offset && a->result_count == b->result_count &&
                   is_same_state(&a->state, &b->state);
    for (uint32_t i = 0; is_same && i < a->result_count; i++) {
        is_same = is_same_value(&a->results[i], &b->results[i]);
    }
    return is_same;
}

static void print_step(const struct play_step *step)
{
    (void)fprintf(stderr, "  status %d gas %llu trap %s at %u state %x %x %x %x\n", step->status,
                  (unsigned long long)step->gas, vm_trap_name(step->trap.trap), step->trap.offset,
                  step->state.memories[0], step->state.memories[1], step->state.globals,
                  step->state.tables);
}

static _Noreturn void die(const char *what, uint32_t step, const struct play_step *expected,
                          const struct play_step *found)
{
    (void)fprintf(stderr, "%s: step %u\n", what, step);
    print_step(expected);
    print_step(found);
    abort();
}

static void demand_same(const struct play *expected, const struct play *found, const char *what)
{
    for (uint32_t i = 0; i < expected->count || i < found->count; i++) {
        if (expected->count != found->count ||
            !is_same_step(&expected->steps[i], &found->steps[i])) {
            die(what, i, &expected->steps[i], &found->steps[i]);
        }
    }
}

/* Mostly inside the longest run; often the very gas of a run, or one less. */
static uint64_t choose_limit(const struct play *play, const uint8_t *data, size_t size)
{
    uint64_t longest = 0, choice = size;
    for (uint32_t i = 0; i < play->count; i++) {
        longest = play->steps[i].gas > longest ? play->steps[i].gas : longest;
    }
    for (size_t i = 0; i < size; i++) {
        choice = choice * 31 + data[i];
    }
    uint64_t exact = play->steps[choice % play->count].gas;
    switch (choice / 64 % 4) {
    case 0:
        return exact;
    case 1:
        return exact > 0 ? exact - 1 : 0;
    default:
        return choice / 256 % (longest + 1);
    }
}

/* Runs that the limit suffices for do as without it, up to the first for which it does not: that
 * one spends it all. */
static void demand_limited(const struct play *whole, const struct play *limited, uint64_t limit)
{
    for (uint32_t i = 0; i < whole->count; i++) {
        const struct play_step *expected = &whole->steps[i];
        const struct play_step *found = &limited->steps[i];
        if (limited->count <= i) {
            die("a run is missing", i, expected, found);
        }
        if (expected->gas > limit) {
            if (found->status != VM_OUT_OF_GAS || found->gas != limit) {
                die("limit not kept", i, expected, found);
            }
            return;
        }
        if (!is_same_step(expected, found)) {
            die("limit cut too much", i, expected, found);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct play expected, found, limited;
    static const uint64_t slices[] = {1, 7, 1000};
    struct generated generated;
    struct play_modules modules, slots_only;
    struct play_options options = {.gas_limit = GAS_MAX, .slice = PLAY_ALL_AT_ONCE};
    generate(bytes_of(data, size), (struct generate_options){0}, &generated);
    play_load(&generated, false, &modules);
    play_load(&generated, true, &slots_only);
    play(&modules, &options, &expected);
    play(&slots_only, &options, &found);
    demand_same(&expected, &found, "slots only");
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        options.slice = slices[i];
        play(&modules, &options, &found);
        demand_same(&expected, &found, "slices");
    }
    options.gas_limit = choose_limit(&expected, data, size);
    options.slice = PLAY_ALL_AT_ONCE;
    play(&modules, &options, &limited);
    demand_limited(&expected, &limited, options.gas_limit);
    options.slice = 7;
    play(&slots_only, &options, &found);
    demand_same(&limited, &found, "limit");
    play_unload(&modules);
    play_unload(&slots_only);
    generated_release(&generated);
    return 0;
}
