/* test_steps: what is large in an execution is cut: steps are counted, and what comes between two
 * of them takes effect.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/service_world.h"
#include "support/wasm_bytes.h"

#include "service/internal.h"

#include <criterion/criterion.h>
#include <string.h>

/* (module (memory 1024) (func (export "f") (memory.fill (i32.const 0) (i32.const 1) (i32.const
 * 0x4000000)))) */
static const uint8_t program_fill[] = {0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04,
                                       0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00, 0x05, 0x04,
                                       0x01, 0x00, 0x80, 0x08, 0x07, 0x05, 0x01, 0x01, 0x66, 0x00,
                                       0x00, 0x0a, 0x10, 0x01, 0x0e, 0x00, 0x41, 0x00, 0x41, 0x01,
                                       0x41, 0x80, 0x80, 0x80, 0x20, 0xfc, 0x0b, 0x00, 0x0b};

enum { SLICE_GAS = 500000, FILL_BYTES = 64 << 20, BYTES_PER_GAS = 4, STEPS_MAX = 100000 };

static struct world world;

static void open_world(void)
{
    world_open(&world, NULL, NULL);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_steps, .init = open_world, .fini = close_world);

/* A session whose program has just been decrypted. */
static struct session *session_of(struct bytes wasm)
{
    struct err err;
    struct session *session = session_new(world.service, world.user.id);
    cr_assert_not_null(session);
    session_enter(session, SESSION_KEY_GENERATED);
    session_enter(session, SESSION_DECRYPTING);
    session->request.function_name = bytes_of_string("f");
    session->request.gas_limit = UINT64_MAX;
    session->request.memory_limit_bytes = FILL_BYTES;
    session->request.timeout_seconds = 1;
    session->request.arguments = json_array();
    session->program.limits = policy_limits(session);
    session->program.loader = vm_loader_new(wasm, &session->program.limits, &session->budget, &err);
    cr_assert_not_null(session->program.loader);
    session->phase = PHASE_LOAD;
    return session;
}

/* Steps while the session is in that phase, but no more than `most`. */
static uint32_t steps_in(struct session *session, enum session_phase phase, uint32_t most)
{
    uint32_t steps = 0;
    for (; session->phase == phase && steps < most; steps++) {
        struct scheduler_slice slice = {.gas = SLICE_GAS};
        cr_assert_eq(execute_step(&session->run, &slice), SCHEDULER_AGAIN);
    }
    return steps;
}

static void step_to(struct session *session, enum session_phase phase)
{
    for (uint32_t steps = 0; session->phase != phase; steps++) {
        cr_assert_lt(steps, STEPS_MAX);
        struct scheduler_slice slice = {.gas = SLICE_GAS};
        cr_assert_eq(execute_step(&session->run, &slice), SCHEDULER_AGAIN);
    }
}

Test(service_steps, a_large_fill_takes_as_many_steps_as_its_bytes)
{
    struct session *session = session_of(bytes_of(program_fill, sizeof program_fill));
    step_to(session, PHASE_CALL);
    uint32_t expected = (FILL_BYTES - 1) / (SLICE_GAS * BYTES_PER_GAS) + 1;
    cr_expect_gt(expected, 30);
    cr_expect_eq(steps_in(session, PHASE_CALL, STEPS_MAX), expected);
    step_to(session, PHASE_RELEASE);
    cr_expect_eq(session->outcome.err.code, ERR_NONE);
    cr_expect_eq(session->outcome.gas_consumed, 4 + FILL_BYTES / 64);
    session_free(session);
}

Test(service_steps, a_large_fill_is_cancelled_in_its_middle)
{
    struct session *session = session_of(bytes_of(program_fill, sizeof program_fill));
    step_to(session, PHASE_CALL);
    cr_expect_eq(steps_in(session, PHASE_CALL, 5), 5);
    atomic_store(&session->run.stop, (int)SCHEDULER_CANCEL);
    cr_expect_eq(steps_in(session, PHASE_CALL, STEPS_MAX), 1);
    cr_expect_eq(session->outcome.err.code, ERR_CANCELLED);
    uint64_t moved = (uint64_t)5 * SLICE_GAS * BYTES_PER_GAS;
    cr_expect_eq(session->outcome.gas_consumed, 4 + moved / 64);
    session_free(session);
}

Test(service_steps, a_large_memory_is_given_back_in_pieces)
{
    struct session *session = session_of(bytes_of(program_fill, sizeof program_fill));
    step_to(session, PHASE_RELEASE);
    size_t used = budget_used(&session->budget);
    cr_expect_geq(used, FILL_BYTES);
    uint32_t steps = 0;
    for (; session->phase == PHASE_RELEASE; steps++) {
        cr_expect_eq(steps_in(session, PHASE_RELEASE, 1), 1);
        cr_expect(budget_used(&session->budget) < used || session->phase != PHASE_RELEASE);
        used = budget_used(&session->budget);
    }
    cr_expect_gt(steps, 10);
    cr_expect_eq(session->phase, PHASE_SEAL);
    session_free(session);
}

/* A module of one body: (func (export "f") (drop (i32.const 1))…), about `size` bytes. */
static struct buffer big_body(uint32_t size)
{
    static const uint8_t drop[] = {0x41, 1, 0x1a};
    struct bytes none = {NULL, 0};
    struct buffer body = wasm_repeat(none, bytes_of(drop, sizeof drop), size / sizeof drop, none);
    struct buffer wasm = wasm_of_locals(0, 0x7f, buffer_bytes(&body));
    buffer_release(&body);
    return wasm;
}

Test(service_steps, a_large_body_is_loaded_in_pieces_and_can_be_cancelled)
{
    enum { BODY_BYTES = 600000, LOAD_BYTES = 16384 };
    struct buffer wasm = big_body(BODY_BYTES);
    struct session *session = session_of(buffer_bytes(&wasm));
    uint32_t steps = steps_in(session, PHASE_LOAD, STEPS_MAX);
    cr_expect_eq(session->outcome.err.code, ERR_NONE, "%s", session->outcome.err.message);
    cr_expect_geq(steps, 2 * BODY_BYTES / LOAD_BYTES); /* validated, translated */
    session_free(session);
    session = session_of(buffer_bytes(&wasm));
    cr_expect_eq(steps_in(session, PHASE_LOAD, steps / 2), steps / 2);
    atomic_store(&session->run.stop, (int)SCHEDULER_DEADLINE);
    cr_expect_eq(steps_in(session, PHASE_LOAD, STEPS_MAX), 1);
    cr_expect_eq(session->outcome.err.code, ERR_EXECUTION_TIMEOUT);
    session_free(session);
    buffer_release(&wasm);
}

/* (func (export "f")), and `count` times (global i32 (i32.const 1)). */
static struct buffer many_globals(uint32_t count)
{
    static const uint8_t global[] = {0x7f, 0, 0x41, 1, 0x0b};
    struct bytes none = {NULL, 0};
    struct buffer number;
    buffer_init(&number, 8);
    wasm_leb(&number, count);
    struct buffer globals =
        wasm_repeat(buffer_bytes(&number), bytes_of(global, sizeof global), count, none);
    struct buffer wasm =
        WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)}, {6, buffer_bytes(&globals)},
             {7, BYTES(1, 1, 'f', 0, 0)}, {10, BYTES(1, 2, 0, 0x0b)});
    buffer_release(&globals);
    buffer_release(&number);
    return wasm;
}

Test(service_steps, a_program_of_many_globals_is_linked_in_pieces)
{
    enum { GLOBALS = 50000, GLOBALS_OF_A_STEP = 16384 / 8 };
    struct buffer wasm = many_globals(GLOBALS);
    struct session *session = session_of(buffer_bytes(&wasm));
    step_to(session, PHASE_LINK);
    cr_expect_eq(session->outcome.err.code, ERR_NONE, "%s", session->outcome.err.message);
    cr_expect_geq(steps_in(session, PHASE_LINK, STEPS_MAX), GLOBALS / GLOBALS_OF_A_STEP);
    cr_expect_eq(session->phase, PHASE_START);
    session_free(session);
    buffer_release(&wasm);
}

/* (memory (export "memory") 64) (func (export "f") (result i32 i32) 8, 3,000,000), and
 * (func (export "alloc") (param i32) (result i32) 8), (func (export "take") (param i32 i32)). */
static const uint8_t program_buffers[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x10, 0x03, 0x60, 0x00, 0x02, 0x7f,
    0x7f, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f, 0x00, 0x03, 0x04, 0x03, 0x00,
    0x01, 0x02, 0x05, 0x03, 0x01, 0x00, 0x40, 0x07, 0x1d, 0x04, 0x06, 'm',  'e',  'm',  'o',
    'r',  'y',  0x02, 0x00, 0x01, 'f',  0x00, 0x00, 0x05, 'a',  'l',  'l',  'o',  'c',  0x00,
    0x01, 0x04, 't',  'a',  'k',  'e',  0x00, 0x02, 0x0a, 0x13, 0x03, 0x09, 0x00, 0x41, 0x08,
    0x41, 0xc0, 0x8d, 0xb7, 0x01, 0x0b, 0x04, 0x00, 0x41, 0x08, 0x0b, 0x02, 0x00, 0x0b};

enum { RESULT_BYTES = 3000000 };

Test(service_steps, a_large_result_is_made_and_sealed_in_pieces)
{
    for (int is_text = 0; is_text < 2; is_text++) {
        struct session *session = session_of(bytes_of(program_buffers, sizeof program_buffers));
        session->request.result_type = is_text ? EXECUTE_STRING : EXECUTE_BYTES;
        step_to(session, PHASE_CALL);
        uint8_t *at;
        struct vm_extern memory;
        cr_assert(
            vm_instance_find_export(session->program.instance, bytes_of_string("memory"), &memory));
        cr_assert(vm_memory_range(memory.object, 8, RESULT_BYTES, &at));
        memset(at, 'a', RESULT_BYTES);
        step_to(session, PHASE_OUTPUTS);
        cr_expect_geq(steps_in(session, PHASE_OUTPUTS, STEPS_MAX), RESULT_BYTES / (192 * 1024));
        cr_expect_eq(session->outcome.err.code, ERR_NONE, "%s", session->outcome.err.message);
        size_t least = is_text ? RESULT_BYTES : (size_t)RESULT_BYTES / 3 * 4;
        cr_expect_gt(session->result.outputs.size, least);
        cr_expect_lt(session->result.outputs.size, least + 40);
        step_to(session, PHASE_SEAL);
        cr_expect_geq(steps_in(session, PHASE_SEAL, STEPS_MAX), 2 * least / (512 * 1024));
        cr_expect_eq(session->phase, PHASE_COMMIT);
        session_free(session);
    }
}

/* Characters of three bytes: pieces end inside of some. */
Test(service_steps, a_text_is_checked_across_the_ends_of_its_pieces)
{
    for (int is_bad = 0; is_bad < 2; is_bad++) {
        struct session *session = session_of(bytes_of(program_buffers, sizeof program_buffers));
        session->request.result_type = EXECUTE_STRING;
        step_to(session, PHASE_CALL);
        uint8_t *at;
        struct vm_extern memory;
        cr_assert(
            vm_instance_find_export(session->program.instance, bytes_of_string("memory"), &memory));
        cr_assert(vm_memory_range(memory.object, 8, RESULT_BYTES, &at));
        at[0] = 'x';
        for (size_t i = 1; i + 3 <= RESULT_BYTES; i += 3) {
            memcpy(at + i, "\xe2\x82\xac", 3);
        }
        at[RESULT_BYTES - 2] = 'y';
        at[RESULT_BYTES - 1] = is_bad ? 0x82 : 'z';
        step_to(session, PHASE_RELEASE);
        cr_expect_eq(session->outcome.err.code, is_bad ? ERR_EXECUTION_TRAP : ERR_NONE);
        size_t expected = is_bad ? 0 : RESULT_BYTES + strlen("[{'type':'string','value':''}]");
        cr_expect_eq(session->result.outputs.size, expected);
        step_to(session, PHASE_COMMIT);
        session_free(session);
    }
}

Test(service_steps, a_large_argument_is_read_and_copied_in_pieces)
{
    char *text = heap_alloc(RESULT_BYTES + 1);
    memset(text, 'a', RESULT_BYTES);
    struct session *session = session_of(bytes_of(program_buffers, sizeof program_buffers));
    session->request.function_name = bytes_of_string("take");
    json_array_append_new(session->request.arguments,
                          json_pack("{s:s, s:s}", "type", "string", "value", text));
    step_to(session, PHASE_READ_BUFFERS);
    cr_expect_geq(steps_in(session, PHASE_READ_BUFFERS, STEPS_MAX), RESULT_BYTES / (256 * 1024));
    step_to(session, PHASE_COPY);
    cr_expect_geq(steps_in(session, PHASE_COPY, STEPS_MAX), RESULT_BYTES / (1024 * 1024));
    step_to(session, PHASE_CALL);
    uint8_t *at;
    struct vm_extern memory;
    cr_assert(
        vm_instance_find_export(session->program.instance, bytes_of_string("memory"), &memory));
    cr_assert(vm_memory_range(memory.object, 8, RESULT_BYTES, &at));
    cr_expect_arr_eq(at, text, RESULT_BYTES);
    session_free(session);
    heap_free(text);
}
