/* test_executions.c: an answer of any size can be fetched, from the table and from the store, by
 * who waited for it and by who asks again; and what happens when there is no room for a copy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "support/gate.h"
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

enum { LARGE_BYTES = 409600, RETRY_S = 7 };

static struct world world;

static void open_world(void)
{
    world_open(&world, NULL, NULL);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_executions, .init = open_world, .fini = close_world);

/* The client of one execution, and its answer as it was said first. */
struct flow {
    struct prepared prepared;
    char target[80];
    struct reply first;
};

static void flow_prepare(struct flow *flow, bool is_large)
{
    struct bytes wasm = is_large ? bytes_of(program_large, sizeof(program_large))
                                 : bytes_of(program_kitchen, sizeof(program_kitchen));
    client_prepare(&world, world.user.secret, wasm, is_large ? "large" : "add",
                   is_large ? "[]" : "[2,40]", is_large ? "{\"result_type\":\"bytes\"}" : NULL,
                   false, &flow->prepared);
    (void)snprintf(flow->target, sizeof(flow->target), "/v1/executions/%s", flow->prepared.id);
}

static struct reply flow_send(const struct flow *flow, const char *header, const char *value)
{
    struct message_header headers[] = {{header, value}};
    char *text = json_dumps(flow->prepared.body, JSON_COMPACT);
    struct reply reply =
        world_end(world_begin_with(&world, "POST", "/v1/execute", world.user.secret,
                                   bytes_of_string(text), "application/json", headers, 1));
    heap_free(text);
    return reply;
}

/* Takes over the answer that was said first, but not its charge: the node may be started anew. */
static void flow_keep(struct flow *flow, struct reply first)
{
    cr_assert_eq(first.status, 200, "%s", first.text);
    arena_release(&first.response.arena);
    flow->first = first;
}

static void flow_run(struct flow *flow, bool is_large)
{
    flow_prepare(flow, is_large);
    flow_keep(flow, flow_send(flow, "idempotency-key", is_large ? "\"large\"" : "\"small\""));
}

static struct reply flow_ask(const struct flow *flow, const char *method)
{
    return world_ask(&world, method, flow->target, world.user.secret, NULL);
}

static void flow_close(struct flow *flow)
{
    reply_release(&flow->first);
    prepared_release(&flow->prepared);
}

static void expect_large(const struct flow *flow, const struct reply *reply)
{
    json_t *result = client_open(&flow->prepared, reply);
    cr_assert_not_null(result);
    const json_t *output = json_array_get(json_object_get(result, "outputs"), 0);
    const char *value = json_string_value(json_object_get(output, "value"));
    cr_assert_not_null(value);
    cr_expect_eq(strlen(value), text_base64_encoded_size(LARGE_BYTES));
    json_decref(result);
}

/* Byte for byte what was said first. */
static void expect_shown(const struct flow *flow)
{
    struct reply reply = flow_ask(flow, "GET");
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    cr_expect_eq(json_integer_value(json_object_get(reply.json, "answer_status")), 200);
    cr_expect_str_eq(reply_text(&reply, "state"), "COMPLETED");
    cr_expect_not_null(strstr(reply.text, flow->first.text));
    reply_release(&reply);
}

static void expect_no_room(struct reply *reply)
{
    cr_expect_eq(reply->status, 503, "%s", reply->text);
    cr_expect_str_eq(reply_text(reply, "error_code"), "OVERLOADED");
    cr_expect_str_eq(reply_header(reply, "Retry-After"), "7");
    cr_expect_str_eq(reply_header(reply, "Idempotent-Replayed"), "");
    reply_release(reply);
}

static void restart(void)
{
    world_stop(&world);
    world_start(&world);
    atomic_store(&world.service->queue_wait_s, RETRY_S);
}

/* ---- large answers ---- */

static void gate_cb(void *context, bool ok)
{
    struct gate *gate = context;
    WORLD_CHECK(ok);
    gate_pass(gate);
}

/* Until the gate is open nothing is stored, and sessions stay in the table. */
static void hold_store(struct gate *gate)
{
    struct err err;
    const struct store_execution row = {.state = "ERROR", .result_index = UINT64_MAX};
    gate_init(gate, true);
    cr_assert(store_put_execution(world.store, &row, gate_cb, gate, &err));
    gate_wait(gate);
}

Test(service_executions, a_large_answer_is_shown_while_it_is_being_stored_and_after_a_restart)
{
    struct flow flow;
    struct gate gate;
    flow_prepare(&flow, true);
    hold_store(&gate);
    flow_keep(&flow, client_send(&world, world.user.secret, &flow.prepared));
    expect_large(&flow, &flow.first);
    expect_shown(&flow);
    gate_set(&gate, false);
    restart();
    expect_shown(&flow);
    flow_close(&flow);
}

Test(service_executions, a_large_answer_is_told_to_who_waited_for_it)
{
    struct flow flow;
    flow_prepare(&flow, true);
    flow_keep(&flow, flow_send(&flow, "prefer", "respond-async, wait=60"));
    expect_large(&flow, &flow.first);
    flow_close(&flow);
}

Test(service_executions, a_large_answer_is_said_again_to_a_repeat)
{
    struct flow flow;
    flow_run(&flow, true);
    for (int i = 0; i < 2; i++) {
        struct reply again = flow_send(&flow, "idempotency-key", "\"large\"");
        cr_expect_eq(again.status, 200, "%s", again.text);
        cr_expect_str_eq(again.text, flow.first.text);
        cr_expect_str_eq(reply_header(&again, "Idempotent-Replayed"), "true");
        reply_release(&again);
        restart();
    }
    flow_close(&flow);
}

/* ---- no room ---- */

static size_t fill_answers(size_t left)
{
    struct budget *answers = &world.memory.answers;
    size_t size = answers->limit - left;
    cr_assert_eq(budget_used(answers), 0, "all that was said is stored");
    cr_assert(budget_charge(answers, size));
    return size;
}

Test(service_executions, without_room_for_a_large_answer_its_reader_is_told_to_come_again)
{
    struct flow flow;
    flow_run(&flow, true);
    size_t size = strlen(flow.first.text);
    for (size_t copies = 0; copies < 3; copies++) { /* it is read, put into a text, and sent */
        restart();
        size_t filled = fill_answers(copies * size + size / 2);
        struct reply reply = flow_ask(&flow, "GET");
        expect_no_room(&reply);
        budget_release(&world.memory.answers, filled);
        expect_shown(&flow);
    }
    flow_close(&flow);
}

Test(service_executions, a_small_answer_needs_no_room)
{
    struct flow flow;
    flow_run(&flow, false);
    restart();
    size_t filled = fill_answers(0);
    expect_shown(&flow);
    budget_release(&world.memory.answers, filled);
    flow_close(&flow);
}

/* A repeat that cannot be answered is neither one nor said to be lost. */
Test(service_executions, a_repeat_without_room_is_told_to_come_again_and_not_counted)
{
    struct flow flow;
    flow_run(&flow, true);
    size_t size = strlen(flow.first.text);
    for (size_t copies = 0; copies < 2; copies++) {
        restart();
        const struct metrics *metrics = &world.service->metrics;
        size_t filled = fill_answers(copies * size + size / 2);
        struct reply again = flow_send(&flow, "idempotency-key", "\"large\"");
        expect_no_room(&again);
        cr_expect_eq(atomic_load(&metrics->replayed[0]), 0);
        cr_expect_eq(atomic_load(&metrics->refusals[ERR_OVERLOADED]), 1);
        budget_release(&world.memory.answers, filled);
        again = flow_send(&flow, "idempotency-key", "\"large\"");
        cr_expect_str_eq(again.text, flow.first.text);
        cr_expect_eq(atomic_load(&metrics->replayed[0]), 1);
        reply_release(&again);
    }
    flow_close(&flow);
}

static void respond(struct message_exchange *exchange, struct message_response *response)
{
    struct message_response *out = exchange->transport;
    *out = *response;
}

Test(service_executions, who_waited_is_told_where_the_answer_is_if_there_is_no_room_for_it)
{
    struct flow flow;
    struct message_response response = {0};
    flow_run(&flow, true);
    restart();
    size_t filled = fill_answers(0);
    struct message_exchange exchange = {.respond = respond, .transport = &response};
    struct api_call call = {.service = world.service, .exchange = &exchange};
    memcpy(call.identity.key_id, world.user.id, sizeof(world.user.id));
    cr_assert(text_uuid_decode(flow.prepared.id, strlen(flow.prepared.id), call.request_id));
    executions_waited(&call, call.request_id);
    struct reply reply = {.response = response};
    cr_expect_eq(response.status, 202);
    cr_expect_str_eq(reply_header(&reply, "Location"), flow.target);
    budget_release(&world.memory.answers, filled);
    reply_release(&reply);
    flow_close(&flow);
}

Test(service_executions, what_needs_no_answer_takes_none)
{
    char verify[80];
    struct flow flow;
    flow_run(&flow, true);
    restart();
    size_t filled = fill_answers(0);
    (void)snprintf(verify, sizeof(verify), "/v1/verify/%s", flow.prepared.id);
    struct reply reply = flow_ask(&flow, "DELETE");
    cr_expect_eq(reply.status, 200, "it has ended: %s", reply.text);
    reply_release(&reply);
    reply = world_ask(&world, "GET", verify, NULL, NULL);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    reply = world_ask(&world, "GET", flow.target, world.other.secret, NULL);
    cr_expect_eq(reply.status, 404, "%s", reply.text);
    reply_release(&reply);
    budget_release(&world.memory.answers, filled);
    flow_close(&flow);
}
