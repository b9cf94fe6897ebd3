/* test_gas: the schedule against programs counted by hand (wat/gas.wat).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"
#include "vm/gas.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

struct counted {
    char name[12];
    uint32_t argument;
    uint64_t gas;
};

static struct counted programs[] = {
    {"nothing", 0, 0},
    {"free", 0, 0},
    {"three", 0, 3},
    {"return", 0, 2},
    {"choose", 1, 3},       /* local.get if const */
    {"choose", 0, 5},       /* local.get if const const add */
    {"loop", 1, 5},         /* get const sub tee br_if */
    {"loop", 10, 50},       /* each time round */
    {"call", 0, 3 + 2 * 3}, /* call drop call, and "three" twice */
    {"skip", 0, 1},         /* br; what it jumps over is free */
    {"fill", 0, 4},         /* three operands and the instruction */
    {"fill", 1, 5},         /* 64 bytes begun */
    {"fill", 64, 5},
    {"fill", 65, 6},
    {"fill", 65536, 4 + 1024},
    {"grow", 0, 2},
    {"grow", 1, 2 + 1024},
    {"grow", 3, 2 + 3 * 1024},
    {"grow", 4, 2 + 4 * 1024}, /* refused: over the maximum, and paid for */
    {"table", 0, 3},
    {"table", 1, 4}, /* 8 elements begun */
    {"table", 8, 4},
    {"table", 9, 5},
    {"table", 1000, 3 + 125}, /* refused */
    {"locals63", 0, 0},
    {"locals64", 0, 1},
    {"locals192", 0, 3},
    {"take15", 0, 15 + 1},
    {"take16", 0, 16 + 2},
    {"indirect", 0, 17 + 2},
    {"give16", 0, 2 + 16 + 2 + 16},
    {"br15", 0, 15 + 1 + 15},
    {"br16", 0, 16 + 2 + 16},
    {"br_if16", 1, 2 + 16 + 1 + 2 + 17},
    {"br_if16", 0, 2 + 16 + 1 + 2 + 17 + 16 + 17},
    {"br_table16", 0, 16 + 1 + 2 + 16},
    {"br_table16", 1, 16 + 1 + 2 + 16},
    {"br_table16", 9, 16 + 1 + 2 + 16},
    {"vectors31", 0, 0}, /* 63 slots */
    {"vectors32", 0, 1},
    {"vectors_call", 0, 8 + 2 + 1 + 1}, /* 15 slots and one */
    {"vectors_br", 0, 8 + 1 + 8},       /* 15 slots */
    {"vectors_br8", 0, 8 + 2 + 8},
    {"divide", 4, 3 + 3 + 3},
    {"divide", 0, 3 + 3}, /* up to the division that traps */
};

ParameterizedTestParameters(vm_gas, is_what_one_counts_by_hand)
{
    return cr_make_param_array(struct counted, programs, sizeof programs / sizeof programs[0]);
}

ParameterizedTest(struct counted *program, vm_gas, is_what_one_counts_by_hand)
{
    for (int slots_only = 0; slots_only < 2; slots_only++) {
        struct engine engine =
            engine_open("gas", (struct engine_options){.slots_only = slots_only});
        struct outcome outcome = engine_call(&engine, program->name, program->argument,
                                             ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
        cr_assert_eq(outcome.gas, program->gas, "%s %u: %lu", program->name, program->argument,
                     outcome.gas);
        engine_close(&engine);
    }
}

/* One unit less than it takes is out of gas, exactly at the limit; what it takes is enough. */
ParameterizedTestParameters(vm_gas, limit_below_at_and_above)
{
    return cr_make_param_array(struct counted, programs, sizeof programs / sizeof programs[0]);
}

ParameterizedTest(struct counted *program, vm_gas, limit_below_at_and_above)
{
    for (uint64_t slice = 1; slice <= 1000000; slice *= 100) {
        struct engine engine = engine_open("gas", (struct engine_options){0});
        if (program->gas > 0) {
            struct outcome below =
                engine_call(&engine, program->name, program->argument, program->gas - 1, slice);
            cr_assert_eq(below.status, VM_OUT_OF_GAS);
            cr_assert_eq(below.gas, program->gas - 1);
        }
        engine_close(&engine);
        for (uint64_t more = 0; more < 2; more++) {
            engine = engine_open("gas", (struct engine_options){0});
            struct outcome enough =
                engine_call(&engine, program->name, program->argument, program->gas + more, slice);
            cr_assert_neq(enough.status, VM_OUT_OF_GAS);
            cr_assert_eq(enough.gas, program->gas);
            engine_close(&engine);
        }
    }
}

Test(vm_gas, bulk_operation_that_cannot_be_paid_is_not_done)
{
    struct engine engine = engine_open("gas", (struct engine_options){0});
    struct outcome nothing = engine_call(&engine, "nothing", 0, 0, 1);
    struct outcome fill = engine_call(&engine, "fill", 65536, 4 + 1023, ENGINE_NO_LIMIT);
    cr_assert_eq(fill.status, VM_OUT_OF_GAS);
    cr_assert_eq(fill.memory, nothing.memory);
    fill = engine_call(&engine, "fill", 65536, 4 + 1024, ENGINE_NO_LIMIT);
    cr_assert_eq(fill.status, VM_RETURNED);
    cr_assert_neq(fill.memory, nothing.memory);
    engine_close(&engine);
}

/* wat/start.wat: 3 elements and 70 bytes: 1 + 1 and 1 + 2; the start function: 3. */
Test(vm_gas, segments_and_the_start_function_are_paid_for)
{
    for (uint64_t limit = 0; limit < 10; limit++) {
        struct err err;
        struct engine engine = engine_open("gas", (struct engine_options){0});
        struct vm_instance *instance = engine_add(&engine, "start", NULL);
        struct vm_run *run = vm_run_new(engine.store, limit);
        cr_assert(vm_run_begin_start(run, instance, &err));
        enum vm_status status = vm_run_slice(run, 10000);
        cr_assert_eq(status, limit < 8 ? VM_OUT_OF_GAS : VM_RETURNED);
        cr_assert_eq(vm_run_gas_consumed(run), limit < 8 ? limit : 8);
        cr_assert_eq(instance->memories[0]->base[10], limit < 5 ? 0 : '0');
        cr_assert_eq(instance->memories[0]->base[0], limit < 8 ? 0 : 9);
        vm_run_free(run);
        engine_close(&engine);
    }
}
