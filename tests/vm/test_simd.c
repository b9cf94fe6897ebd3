/* test_simd: vectors. Every instruction is compared with itself under every kind of operand, in
 * folded code and in slots only; that the results are right is the official suite's to say. Then
 * what modules may not say of them, and vectors at the borders: of memory, calls, instances, host.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include "support/wasm_bytes.h"
#include "vm/engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS = 7, BODY_BYTES_MAX = 128, ADDRESS = 1000 };

/* ---- A module with a function for each way to write an instruction ---- */

/* (v128 v128 v128 i32 i64 f32 f64) -> v128, and how each kind of letter is got from there. */
static const uint8_t param_types[PARAMS] = {0x7b, 0x7b, 0x7b, 0x7f, 0x7e, 0x7d, 0x7c};

struct way {
    enum opcode opcode;
    uint32_t kinds;   /* bit i: operand i comes through the register */
    bool is_constant; /* the last operand, an i32 */
    bool to_local;    /* the result goes into a local first */
    uint8_t memory;   /* of a load or store: memory 2 has 64-bit addresses */
};
enum { MEMORIES = 3 };

static void put(struct buffer *out, const uint8_t *bytes, size_t size)
{
    buffer_append(out, bytes, size);
}
#define PUT(out, ...)                                                                              \
    put(out, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Leaves the value in its register, unchanged: twice the contrary. */
static void put_through_register(struct buffer *out, char letter)
{
    switch (letter) {
    case 'v':
        PUT(out, 0xfd, 0x4d, 0xfd, 0x4d);
        return;
    case 'i':
        PUT(out, 0x41, 0x7f, 0x73, 0x41, 0x7f, 0x73);
        return;
    case 'I':
        PUT(out, 0x42, 0x7f, 0x85, 0x42, 0x7f, 0x85);
        return;
    case 'f':
        PUT(out, 0x8c, 0x8c);
        return;
    default:
        PUT(out, 0x9a, 0x9a);
    }
}

static void put_operand(struct buffer *out, const struct way *way, uint32_t number, char letter)
{
    static const char letters[] = "vvviIfF";
    if (letter == 'a') { /* an address */
        PUT(out, way->memory == 2 ? 0x42 : 0x41, 0xe8, 0x07);
        letter = way->memory == 2 ? 'I' : 'i';
    } else if (way->is_constant && letter == 'i') {
        PUT(out, 0x41, 13);
        return;
    } else {
        uint8_t local =
            letter == 'v' ? (uint8_t)number : (uint8_t)(strchr(letters, letter) - letters);
        PUT(out, 0x20, local);
    }
    if ((way->kinds >> number & 1) != 0) {
        put_through_register(out, letter);
    }
}

static uint32_t natural_exponent(enum opcode_immediate immediate)
{
    switch ((int)immediate) {
    case OPCODE_MEM2:
    case OPCODE_MEM2_LANE:
        return 1;
    case OPCODE_MEM4:
    case OPCODE_MEM4_LANE:
        return 2;
    case OPCODE_MEM8:
    case OPCODE_MEM8_LANE:
        return 3;
    case OPCODE_MEM16:
        return 4;
    default:
        return 0;
    }
}

/* How many lanes an immediate may name; 0: it names none. */
static uint32_t lanes_of(enum opcode_immediate immediate)
{
    switch ((int)immediate) {
    case OPCODE_LANE2:
    case OPCODE_MEM8_LANE:
        return 2;
    case OPCODE_LANE4:
    case OPCODE_MEM4_LANE:
        return 4;
    case OPCODE_LANE8:
    case OPCODE_MEM2_LANE:
        return 8;
    case OPCODE_LANE16:
    case OPCODE_MEM1_LANE:
        return 16;
    default:
        return 0;
    }
}

static bool is_memory(enum opcode_immediate immediate)
{
    return (immediate >= OPCODE_MEM1 && immediate <= OPCODE_MEM16) || immediate >= OPCODE_MEM1_LANE;
}

static void put_memarg(struct buffer *out, uint32_t memory, uint32_t exponent)
{
    wasm_leb(out, memory == 0 ? exponent : exponent | 0x40);
    if (memory != 0) {
        wasm_leb(out, memory);
    }
    wasm_leb(out, 7); /* offset */
}

static void put_instruction(struct buffer *out, enum opcode opcode, uint32_t lane, uint32_t memory,
                            uint32_t exponent)
{
    const struct opcode_info *info = opcode_info(opcode);
    PUT(out, 0xfd);
    wasm_leb(out, info->code);
    if (is_memory(info->immediate)) {
        put_memarg(out, memory, exponent);
    }
    if (info->immediate == OPCODE_V128 || info->immediate == OPCODE_SHUFFLE) {
        for (uint32_t i = 0; i < 16; i++) {
            PUT(out, (uint8_t)((i * 13 + lane) % 32));
        }
    } else if (lanes_of(info->immediate) > 0) {
        PUT(out, (uint8_t)lane);
    }
}

/* What the instruction leaves, as a v128. */
static void put_result(struct buffer *out, char letter, uint32_t memory)
{
    switch (letter) {
    case 'i':
        PUT(out, 0xfd, 0x11);
        return;
    case 'I':
        PUT(out, 0xfd, 0x12);
        return;
    case 'f':
        PUT(out, 0xfd, 0x13);
        return;
    case 'F':
        PUT(out, 0xfd, 0x14);
        return;
    case '\0': /* a store: what is there now */
        PUT(out, memory == 2 ? 0x42 : 0x41, 0xe8, 0x07, 0xfd, 0x00);
        put_memarg(out, memory, 0);
        return;
    default:
        return;
    }
}

/* The local that holds what the letter stands for. */
static uint8_t local_for(char letter)
{
    return letter == 'v' ? 0 : letter == 'i' ? 3 : letter == 'I' ? 4 : letter == 'f' ? 5 : 6;
}

static void put_body(struct buffer *out, const struct way *way)
{
    const struct opcode_info *info = opcode_info(way->opcode);
    const char *colon = strchr(info->signature, ':');
    uint32_t lanes = lanes_of(info->immediate);
    for (const char *letter = info->signature; letter < colon; letter++) {
        put_operand(out, way, (uint32_t)(letter - info->signature), *letter);
    }
    put_instruction(out, way->opcode, lanes > 0 ? lanes - 1 : 5, way->memory, 0);
    if (way->to_local && colon[1] != '\0') {
        PUT(out, 0x21, local_for(colon[1]), 0x20, local_for(colon[1]));
    }
    put_result(out, colon[1], way->memory);
}

enum { WAYS_MAX = 8192 };
static struct way ways[WAYS_MAX];
static uint32_t way_count;

static void add_ways(enum opcode opcode)
{
    const char *signature = opcode_info(opcode)->signature;
    uint32_t params = (uint32_t)(strchr(signature, ':') - signature);
    bool has_i32 = params > 0 && strchr(signature, 'i') != NULL && signature[params - 1] == 'i';
    int memories = is_memory(opcode_info(opcode)->immediate) ? MEMORIES : 1;
    for (uint32_t kinds = 0; kinds < 1u << params; kinds++) {
        for (int variant = 0; variant < (has_i32 ? 4 : 2 * memories); variant++) {
            cr_assert_lt(way_count, WAYS_MAX);
            ways[way_count++] = (struct way){.opcode = opcode,
                                             .kinds = kinds,
                                             .to_local = variant % 2,
                                             .is_constant = has_i32 && variant > 1,
                                             .memory = has_i32 ? 0 : (uint8_t)(variant / 2)};
        }
    }
}

static struct buffer module_of_ways(void)
{
    struct buffer functions, code, body;
    buffer_init(&functions, 1 << 20);
    buffer_init(&code, 1 << 20);
    wasm_leb(&functions, way_count);
    wasm_leb(&code, way_count);
    for (uint32_t i = 0; i < way_count; i++) {
        buffer_init(&body, BODY_BYTES_MAX);
        PUT(&body, 0); /* locals */
        put_body(&body, &ways[i]);
        PUT(&body, 0x0b);
        wasm_leb(&functions, 0);
        wasm_leb(&code, (uint32_t)body.size);
        buffer_append_bytes(&code, buffer_bytes(&body));
        buffer_release(&body);
    }
    uint8_t type[4 + PARAMS + 1] = {1, 0x60, PARAMS};
    memcpy(type + 3, param_types, PARAMS);
    type[3 + PARAMS] = 1;
    type[4 + PARAMS] = 0x7b;
    const struct wasm_section sections[] = {{1, {type, sizeof type}},
                                            {3, buffer_bytes(&functions)},
                                            {5, BYTES(3, 0, 1, 0, 1, 4, 1)},
                                            {10, buffer_bytes(&code)}};
    struct buffer wasm = wasm_of(sections, 4);
    buffer_release(&functions);
    buffer_release(&code);
    return wasm;
}

/* ---- Running it ---- */

struct runner {
    struct vm_store *store;
    struct vm_instance *instance;
    struct vm_run *run;
};

static struct runner runner_open(bool slots_only)
{
    const struct translate_options options = {.slots_only = true};
    struct runner runner;
    struct err err;
    struct buffer wasm = module_of_ways();
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    cr_assert_not_null(module, "%s", err.message);
    for (uint32_t i = 0; slots_only && i < module->func_count; i++) {
        cr_assert(translate_func_with(module, i, &options, &err), "%s", err.message);
    }
    runner.store = vm_store_new(&vm_limits_default, NULL);
    cr_assert(vm_instantiate(runner.store, module, NULL, &runner.instance, &err));
    runner.run = vm_run_new(runner.store, ENGINE_NO_LIMIT);
    vm_module_unref(module);
    return runner;
}

static void runner_close(struct runner *runner)
{
    vm_run_free(runner->run);
    vm_store_free(runner->store);
}

static uint64_t random_bits(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1d;
}

/* Any bits, or what borders and exceptions are made of. */
static uint64_t random_value(void)
{
    static const uint64_t odd[] = {0,
                                   UINT64_MAX,
                                   0x8000000000000000,
                                   0x8000000080000000,
                                   0x7f7f80807fff8000,
                                   0x7ff8000000000000,
                                   0x7ff4000000000001,
                                   0x7fc000007f800000,
                                   0xff800000ffa00001,
                                   0x3ff0000000000000,
                                   0x4f0000004f800000,
                                   0xcf000000bf800000,
                                   0x41e0000000000000,
                                   0xc1e0000000200000,
                                   0x41f0000000000000,
                                   0x3f0000003fc00000};
    uint64_t bits = random_bits();
    return bits % 3 == 0 ? odd[(bits >> 32) % (sizeof odd / sizeof odd[0])] : bits;
}

static void random_arguments(struct vm_value args[PARAMS])
{
    for (int i = 0; i < PARAMS; i++) {
        args[i].type = (enum vm_type)param_types[i];
        uint64_t halves[2] = {random_value(), random_value()};
        memcpy(args[i].as.v128, halves, sizeof halves);
    }
}

/* Memory begins the same for all, so that a store's neighbours count, too. */
static void run_way(struct runner *runner, uint32_t way, const struct vm_value args[PARAMS],
                    uint8_t result[16])
{
    struct err err;
    uint32_t count;
    uint8_t *bytes = runner->instance->memories[ways[way].memory]->base + ADDRESS;
    for (int i = 0; i < 64; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
    }
    cr_assert(vm_run_begin_call(runner->run, runner->instance->funcs[way], args, PARAMS, &err));
    cr_assert_eq(vm_run_slice(runner->run, ENGINE_NO_LIMIT), VM_RETURNED);
    memcpy(result, vm_run_results(runner->run, &count)->as.v128, 16);
    cr_assert_eq(count, 1);
}

Test(vm_simd, every_instruction_is_the_same_whatever_its_operands_are)
{
    enum { ROUNDS = 24 };
    for (int opcode = OP_V128_LOAD; opcode <= OP_F64X2_CONVERT_LOW_I32X4_U; opcode++) {
        add_ways((enum opcode)opcode);
    }
    struct runner folded = runner_open(false);
    struct runner slots = runner_open(true);
    for (int round = 0; round < ROUNDS; round++) {
        struct vm_value args[PARAMS];
        uint8_t first[2][16], again[16];
        random_arguments(args);
        args[3].as.i32 = round % 2 == 0 ? 13 : args[3].as.i32; /* as the constant is */
        for (uint32_t i = 0; i < way_count; i++) {
            bool is_first = i == 0 || ways[i].opcode != ways[i - 1].opcode;
            bool as_constant = ways[i].is_constant && args[3].as.i32 != 13;
            const char *text = opcode_info(ways[i].opcode)->text;
            if (is_first) {
                run_way(&slots, i, args, first[0]);
            }
            if (as_constant && ways[i].kinds == 0 && !ways[i].to_local) {
                run_way(&slots, i, args, first[1]);
            }
            run_way(&slots, i, args, again);
            cr_assert_arr_eq(again, first[as_constant], 16, "%s, slots, %u", text, ways[i].kinds);
            run_way(&folded, i, args, again);
            cr_assert_arr_eq(again, first[as_constant], 16, "%s, %u", text, ways[i].kinds);
        }
    }
    runner_close(&folded);
    runner_close(&slots);
}

Test(vm_simd, every_form_can_be_printed)
{
    for (int opcode = OP_V128_LOAD; opcode <= OP_F64X2_CONVERT_LOW_I32X4_U; opcode++) {
        add_ways((enum opcode)opcode);
    }
    struct runner runner = runner_open(false);
    for (uint32_t i = 0; i < way_count; i++) {
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        vm_module_disassemble(runner.instance->module, i, true, out);
        fclose(out);
        cr_assert_not_null(strstr(text, opcode_info(ways[i].opcode)->text), "%s", text);
        cr_assert_not_null(strstr(text, "RETURN_v128"), "%s", text);
        cr_assert_null(strstr(text, "  ?\n"), "%s", text);
        free(text);
    }
    runner_close(&runner);
}

/* ---- What is refused ---- */

/* In code that is never reached, so that operands need not be there. */
static struct buffer module_with(enum opcode opcode, uint32_t lane, uint32_t exponent)
{
    struct buffer body;
    buffer_init(&body, BODY_BYTES_MAX);
    PUT(&body, 0x00);
    put_instruction(&body, opcode, lane, 0, exponent);
    PUT(&body, 0x00);
    struct buffer wasm = wasm_of_body(buffer_bytes(&body));
    buffer_release(&body);
    return wasm;
}

Test(vm_simd, a_lane_that_is_not_there_is_refused)
{
    uint32_t checked = 0;
    for (int opcode = OP_V128_LOAD; opcode <= OP_F64X2_CONVERT_LOW_I32X4_U; opcode++) {
        uint32_t lanes = lanes_of(opcode_info((enum opcode)opcode)->immediate);
        if (lanes > 0) {
            wasm_accepted(module_with((enum opcode)opcode, lanes - 1, 0), NULL);
            wasm_refused(module_with((enum opcode)opcode, lanes, 0), NULL, ERR_INVALID_WASM,
                         "invalid lane index");
            wasm_refused(module_with((enum opcode)opcode, 255, 0), NULL, ERR_INVALID_WASM,
                         "invalid lane index");
            checked++;
        }
    }
    cr_assert_eq(checked, 14 + 8);
}

Test(vm_simd, a_shuffle_of_more_than_32_lanes_is_refused)
{
    for (uint32_t place = 0; place < 16; place++) {
        for (uint32_t lane = 31; lane <= 32; lane++) {
            uint8_t body[] = {0x00, 0xfd, 0x0d, 0, 0, 0, 0, 0, 0, 0,
                              0,    0,    0,    0, 0, 0, 0, 0, 0, 0x00};
            body[3 + place] = (uint8_t)lane;
            struct buffer wasm = wasm_of_body(bytes_of(body, sizeof body));
            if (lane == 31) {
                wasm_accepted(wasm, NULL);
            } else {
                wasm_refused(wasm, NULL, ERR_INVALID_WASM, "invalid lane index");
            }
        }
    }
}

Test(vm_simd, an_alignment_over_the_natural_one_is_refused)
{
    uint32_t checked = 0;
    for (int opcode = OP_V128_LOAD; opcode <= OP_F64X2_CONVERT_LOW_I32X4_U; opcode++) {
        enum opcode_immediate immediate = opcode_info((enum opcode)opcode)->immediate;
        if (is_memory(immediate)) {
            uint32_t exponent = natural_exponent(immediate);
            wasm_accepted(module_with((enum opcode)opcode, 0, exponent), NULL);
            wasm_refused(module_with((enum opcode)opcode, 0, exponent + 1), NULL, ERR_INVALID_WASM,
                         "alignment must not be larger than natural");
            checked++;
        }
    }
    cr_assert_eq(checked, 14 + 8);
}

/* ---- Vectors among other things: wat/simd.wat ---- */

static const struct {
    uint32_t kind; /* what its `run` is asked for */
    enum vm_trap trap;
} sweeps[] = {
    {0, VM_TRAP_NONE},
    {1, VM_TRAP_OUT_OF_BOUNDS_MEMORY}, /* v128.load */
    {2, VM_TRAP_OUT_OF_BOUNDS_MEMORY}, /* v128.store */
    {3, VM_TRAP_OUT_OF_BOUNDS_MEMORY}, /* v128.load32_lane */
    {4, VM_TRAP_OUT_OF_BOUNDS_MEMORY}, /* v128.store64_lane */
    {5, VM_TRAP_OUT_OF_BOUNDS_MEMORY}, /* v128.load8x8_u */
    {6, VM_TRAP_UNREACHABLE},          /* with vectors on the stack */
};

static struct outcome run_once(bool slots_only, uint32_t kind, uint64_t gas_limit, uint64_t slice)
{
    struct engine engine = engine_open("simd", (struct engine_options){.slots_only = slots_only});
    struct outcome outcome = engine_call(&engine, "run", kind, gas_limit, slice);
    engine_close(&engine);
    return outcome;
}

ParameterizedTestParameters(vm_simd, every_gas_limit_stops_at_the_same_instruction)
{
    return cr_make_param_array(__typeof__(sweeps[0]), (void *)sweeps,
                               sizeof sweeps / sizeof sweeps[0]);
}

ParameterizedTest(const __typeof__(sweeps[0]) *sweep, vm_simd,
                  every_gas_limit_stops_at_the_same_instruction)
{
    struct outcome all = run_once(false, sweep->kind, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    cr_assert_eq(all.status, sweep->trap == VM_TRAP_NONE ? VM_RETURNED : VM_TRAPPED);
    cr_assert_eq(all.trap.trap, sweep->trap, "%s", vm_trap_text(all.trap.trap));
    static const uint64_t slices[] = {1, 7, 1000};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        for (int slots_only = 0; slots_only < 2; slots_only++) {
            struct outcome other = run_once(slots_only, sweep->kind, ENGINE_NO_LIMIT, slices[i]);
            engine_assert_equal(&all, &other);
        }
    }
    /* What comes before the last trap is the same for all kinds: kind 0 sweeps it all. */
    for (uint64_t limit = sweep->kind == 0 ? 0 : all.gas - 20; limit < all.gas + 2; limit++) {
        struct outcome folded = run_once(false, sweep->kind, limit, ENGINE_NO_LIMIT);
        struct outcome slots = run_once(true, sweep->kind, limit, 7);
        engine_assert_equal(&folded, &slots);
        cr_assert_eq(folded.gas, limit < all.gas ? limit : all.gas);
        cr_assert_eq(folded.status, limit < all.gas ? VM_OUT_OF_GAS : all.status);
    }
}

/* The last address that fits and the first that does not, for each width. */
Test(vm_simd, memory_ends_where_it_ends)
{
    static const struct {
        const char *name;
        uint32_t bytes;
    } accesses[] = {{"load16", 16},     {"load8", 8},    {"load1", 1},    {"splat4", 4},
                    {"zero8", 8},       {"lane2", 2},    {"store16", 16}, {"store_lane8", 8},
                    {"store_lane1", 1}, {"folded16", 16}};
    for (int slots_only = 0; slots_only < 2; slots_only++) {
        struct engine engine =
            engine_open("simd", (struct engine_options){.slots_only = slots_only});
        for (size_t i = 0; i < sizeof accesses / sizeof accesses[0]; i++) {
            uint32_t last = 65536 - accesses[i].bytes;
            struct outcome outcome =
                engine_call(&engine, accesses[i].name, last, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
            cr_assert_eq(outcome.status, VM_RETURNED, "%s", accesses[i].name);
            uint32_t outside[] = {last + 1, 65536, UINT32_MAX, 65536 + last};
            for (size_t j = 0; j < sizeof outside / sizeof outside[0]; j++) {
                outcome = engine_call(&engine, accesses[i].name, outside[j], ENGINE_NO_LIMIT, 1);
                cr_assert_eq(outcome.status, VM_TRAPPED, "%s", accesses[i].name);
                cr_assert_eq(outcome.trap.trap, VM_TRAP_OUT_OF_BOUNDS_MEMORY);
            }
        }
        engine_close(&engine);
    }
}

/* ---- The host, and another instance ---- */

/* (i32 v128 i64 v128) -> (v128 f64 v128): the vectors change places, each byte one more. */
static enum vm_trap swap_vectors(void *context, struct vm_instance *caller,
                                 const struct vm_value *args, struct vm_value *results)
{
    (void)caller;
    (*(uint32_t *)context)++;
    cr_assert_eq(args[0].as.i32, 5);
    cr_assert_eq(args[2].as.i64, 6);
    for (int i = 0; i < 16; i++) {
        results[0].as.v128[i] = (uint8_t)(args[3].as.v128[i] + 1);
        results[2].as.v128[i] = (uint8_t)(args[1].as.v128[i] + 1);
    }
    results[1].as.f64 = 0x4000000000000000; /* 2 */
    return VM_TRAP_NONE;
}

static struct vm_value v128_of(uint64_t low, uint64_t high)
{
    struct vm_value value = {.type = VM_V128};
    memcpy(value.as.v128, &low, 8);
    memcpy(value.as.v128 + 8, &high, 8);
    return value;
}

static void expect_v128(const struct vm_value *value, uint64_t low, uint64_t high)
{
    struct vm_value wanted = v128_of(low, high);
    cr_assert_eq(value->type, VM_V128);
    cr_assert_arr_eq(value->as.v128, wanted.as.v128, 16);
}

/* simd_user.wat imports from the host and from an instance of simd.wat. */
static struct vm_instance *add_user(struct engine *engine, uint32_t *calls)
{
    static const enum vm_type types[] = {VM_I32,  VM_V128, VM_I64, VM_V128,
                                         VM_V128, VM_F64,  VM_V128};
    const struct vm_func_type type = {.param_count = 4, .result_count = 3, .types = types};
    struct vm_extern imports[] = {
        {VM_EXTERN_FUNC, vm_store_host_func(engine->store, &type, swap_vectors, calls)},
        {VM_EXTERN_FUNC, engine_func(engine->instance, "mixed")},
        {VM_EXTERN_GLOBAL, NULL},
        {VM_EXTERN_GLOBAL, vm_store_host_global(engine->store, v128_of(3, 4), false)}};
    cr_assert(vm_instance_find_export(engine->instance, bytes_of_string("global"), &imports[2]));
    struct vm_instance *user = engine_add(engine, "simd_user", imports);
    struct vm_run *run = vm_run_new(engine->store, ENGINE_NO_LIMIT);
    struct err err;
    cr_assert(vm_run_begin_start(run, user, &err)); /* fills the table */
    cr_assert_eq(vm_run_slice(run, ENGINE_NO_LIMIT), VM_RETURNED);
    vm_run_free(run);
    return user;
}

static const struct vm_value *call_user(struct vm_run *run, const struct vm_instance *user,
                                        const char *name, const struct vm_value *args,
                                        uint32_t count)
{
    struct err err;
    cr_assert(vm_run_begin_call(run, engine_func(user, name), args, count, &err), "%s",
              err.message);
    enum vm_status status;
    while ((status = vm_run_slice(run, 1)) == VM_SUSPENDED) {
    }
    cr_assert_eq(status, VM_RETURNED, "%s", name);
    return vm_run_results(run, &count);
}

Test(vm_simd, vectors_go_to_the_host_and_to_other_instances_and_back)
{
    struct engine engine = engine_open("simd", (struct engine_options){0});
    uint32_t calls = 0;
    struct vm_instance *user = add_user(&engine, &calls);
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    const struct vm_value args[] = {v128_of(0x10, 0x20), v128_of(0x30, 0x40)};
    const struct vm_value *results = call_user(run, user, "host", args, 2);
    expect_v128(&results[0], 0x0101010101010131, 0x0101010101010141);
    cr_assert_eq(results[1].as.f64, 0x4000000000000000);
    expect_v128(&results[2], 0x0101010101010111, 0x0101010101010121);
    cr_assert_eq(calls, 1);
    /* mixed(a, 7, b): (b, 7, a), over a bridge, directly and through a table */
    for (uint32_t i = 0; i < 2; i++) {
        results = call_user(run, user, i == 0 ? "bridge" : "indirect", args, 2);
        expect_v128(&results[0], 0x30, 0x40);
        cr_assert_eq(results[1].as.i32, 7);
        expect_v128(&results[2], 0x10, 0x20);
    }
    vm_run_free(run);
    engine_close(&engine);
}

Test(vm_simd, globals_are_shared_whole)
{
    struct engine engine = engine_open("simd", (struct engine_options){0});
    uint32_t calls = 0;
    struct vm_instance *user = add_user(&engine, &calls);
    struct vm_run *run = vm_run_new(engine.store, ENGINE_NO_LIMIT);
    const struct vm_value args[] = {v128_of(0x1111, 0x2222)};
    expect_v128(call_user(run, user, "constant", NULL, 0), 3, 4); /* made of the host's */
    (void)call_user(run, user, "set_global", args, 1);
    expect_v128(call_user(run, engine.instance, "get_global", NULL, 0), 0x1111, 0x2222);
    struct vm_extern global;
    cr_assert(vm_instance_find_export(engine.instance, bytes_of_string("global"), &global));
    struct vm_value value = vm_global_get(global.object);
    expect_v128(&value, 0x1111, 0x2222);
    vm_run_free(run);
    engine_close(&engine);
}
