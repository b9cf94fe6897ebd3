/* test_async.c: executions that do not wait for their client: accepted, watched, waited for,
 * cancelled, and there after a restart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "support/fake_clock.h"
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>
#include <sched.h>

static struct world world;
static struct fake_clock fake;

static void open_world(void)
{
    struct service_config config = service_config_default;
    config.workers = 2;
    config.queued_executions_max = 4;
    config.concurrent_executions_max = 2;
    config.express_executions_max = 0;
    config.api_key_percent = 100;
    fake_clock_init(&fake);
    world_open(&world, &config, &fake.clock);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_async, .init = open_world, .fini = close_world);

/* The client of one execution. */
struct flow {
    struct prepared prepared;
    char target[80];
};

static void flow_open(struct flow *flow, const char *function, const char *arguments)
{
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   function, arguments, "{\"timeout_seconds\":300}", false, &flow->prepared);
    (void)snprintf(flow->target, sizeof(flow->target), "/v1/executions/%s", flow->prepared.id);
}

static struct world_call *flow_begin(const struct flow *flow, const char *prefer)
{
    static struct message_header header = {.name = "prefer"};
    char *text = json_dumps(flow->prepared.body, JSON_COMPACT);
    header.value = prefer;
    struct world_call *call =
        world_begin_with(&world, "POST", "/v1/execute", world.user.secret, bytes_of_string(text),
                         "application/json", &header, 1);
    heap_free(text);
    return call;
}

static struct reply flow_send(const struct flow *flow, const char *prefer)
{
    return world_end(flow_begin(flow, prefer));
}

static struct reply flow_show(const struct flow *flow)
{
    return world_ask(&world, "GET", flow->target, world.user.secret, NULL);
}

static struct world_call *flow_begin_wait(const struct flow *flow, const char *prefer)
{
    static struct message_header header = {.name = "prefer"};
    header.value = prefer;
    return world_begin_with(&world, "GET", flow->target, world.user.secret, bytes_of(NULL, 0), NULL,
                            &header, 1);
}

/* Asks until it has that state, and keeps the last answer. */
static struct reply flow_until(const struct flow *flow, const char *state)
{
    struct reply reply = flow_show(flow);
    while (strcmp(reply_text(&reply, "state"), state) != 0) {
        reply_release(&reply);
        sched_yield();
        reply = flow_show(flow);
    }
    return reply;
}

static int flow_cancel(const struct flow *flow, const struct world_key *key)
{
    struct reply reply = world_ask(&world, "DELETE", flow->target, key->secret, NULL);
    int status = reply.status;
    reply_release(&reply);
    return status;
}

static void flow_close(struct flow *flow)
{
    prepared_release(&flow->prepared);
}

/* The stored answer opens like one that came at once. */
static void expect_answer(const struct flow *flow, const struct reply *shown, int status,
                          const char *said)
{
    struct reply inner = {.json = json_object_get(shown->json, "answer")};
    json_t *result = client_open(&flow->prepared, &inner);
    cr_expect_eq(json_integer_value(json_object_get(shown->json, "answer_status")), status);
    cr_assert_not_null(result, "%s", shown->text);
    cr_expect_str_eq(json_string_value(json_object_get(result, "status")), said);
    json_decref(result);
}

/* Five seconds, and then on: a wait may have begun only after the clock was moved. */
static void until_over(struct world_call *call)
{
    fake_clock_advance(&fake, 5000);
    for (int i = 0; !world_is_answered(call); i++) {
        fake_clock_advance(&fake, i % 1000 == 999 ? 5000 : 0);
        service_tick(world.service);
        sched_yield();
    }
}

/* ---- accepted ---- */

Test(service_async, is_accepted_at_once_and_the_answer_is_fetched)
{
    struct flow flow;
    flow_open(&flow, "add", "[2,40]");
    struct reply reply = flow_send(&flow, "respond-async");
    cr_assert_eq(reply.status, 202, "%s", reply.text);
    cr_expect_str_eq(reply_header(&reply, "Location"), flow.target);
    cr_expect_str_eq(reply_header(&reply, "Preference-Applied"), "respond-async");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "1");
    cr_expect_str_eq(reply_text(&reply, "request_id"), flow.prepared.id);
    cr_expect_neq(reply_text(&reply, "state")[0], 0);
    cr_expect_null(json_object_get(reply.json, "answer"));
    reply_release(&reply);
    reply = flow_until(&flow, "COMPLETED");
    expect_answer(&flow, &reply, 200, "success");
    cr_expect_neq(reply_text(&reply, "started_at")[0], 0, "%s", reply.text);
    cr_expect_neq(reply_text(&reply, "ended_at")[0], 0);
    reply_release(&reply);
    flow_close(&flow);
}

Test(service_async, the_answer_is_there_after_a_restart_with_its_times)
{
    struct flow flow;
    flow_open(&flow, "add", "[2,40]");
    struct reply reply = flow_send(&flow, "respond-async");
    reply_release(&reply);
    reply = flow_until(&flow, "COMPLETED");
    world_stop(&world);
    world_start(&world);
    struct reply again = flow_show(&flow);
    expect_answer(&flow, &again, 200, "success");
    static const char *const times[] = {"created_at", "started_at", "ended_at"};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_str_eq(reply_text(&again, times[i]), reply_text(&reply, times[i]));
    }
    reply_release(&again);
    reply_release(&reply);
    flow_close(&flow);
}

Test(service_async, an_answer_is_kept_for_seven_days_and_no_longer)
{
    enum { MINUTE_MS = 60 * 1000, DAYS_MS = 7 * 24 * 60 * MINUTE_MS };
    char expires[CLOCK_RFC3339_CHARS + 1];
    struct flow flow;
    struct err err;
    uint64_t dropped = 99;
    clock_rfc3339_encode(clock_wall_ms(&fake.clock) + DAYS_MS, expires);
    flow_open(&flow, "add", "[2,40]");
    struct reply reply = flow_send(&flow, "respond-async");
    reply_release(&reply);
    reply = flow_until(&flow, "COMPLETED");
    reply_release(&reply);
    world_stop(&world); /* now it is only in the store */
    world_start(&world);
    fake_clock_advance(&fake, DAYS_MS - 1);
    reply = flow_show(&flow);
    expect_answer(&flow, &reply, 200, "success");
    cr_expect_str_eq(reply_text(&reply, "expires_at"), expires);
    reply_release(&reply);
    fake_clock_advance(&fake, 1);
    reply = flow_show(&flow);
    cr_expect_eq(reply.status, 200, "that it ran is still known");
    cr_expect_str_eq(reply_text(&reply, "state"), "COMPLETED");
    cr_expect_str_eq(reply_text(&reply, "expires_at"), expires);
    cr_expect_null(json_object_get(reply.json, "answer"), "%s", reply.text);
    cr_expect_null(json_object_get(reply.json, "answer_status"));
    reply_release(&reply);
    service_tick(world.service);
    while (atomic_load(&world.service->tick_is_running)) {
        sched_yield();
    }
    cr_assert(store_expire(world.store, &dropped, &err));
    cr_expect_eq(dropped, 0, "the store has dropped it by itself");
    flow_close(&flow);
}

Test(service_async, a_refusal_before_admission_is_told_at_once_and_leaves_the_key)
{
    struct flow flow;
    flow_open(&flow, "add", "[2,40]");
    json_t *hash = json_incref(json_object_get(flow.prepared.body, "request_hash"));
    (void)json_object_set_new(flow.prepared.body, "request_hash", json_string("00"));
    struct reply reply = flow_send(&flow, "respond-async, wait=60");
    cr_expect_str_eq(reply_text(&reply, "error_code"), "MALFORMED_REQUEST");
    reply_release(&reply);
    (void)json_object_set_new(flow.prepared.body, "request_hash", hash);
    reply = flow_send(&flow, "respond-async");
    cr_expect_eq(reply.status, 202);
    reply_release(&reply);
    reply = flow_send(&flow, "respond-async");
    cr_expect_str_eq(reply_text(&reply, "error_code"), "KEY_ALREADY_USED");
    reply_release(&reply);
    reply = flow_until(&flow, "COMPLETED");
    reply_release(&reply);
    flow_close(&flow);
}

Test(service_async, a_client_that_goes_away_changes_nothing)
{
    struct flow flow;
    flow_open(&flow, "add", "[2,40]");
    struct world_call *call = flow_begin(&flow, "respond-async");
    world_leave(call);
    struct reply reply = world_end(call);
    reply_release(&reply);
    reply = flow_until(&flow, "COMPLETED");
    reply_release(&reply);
    flow_close(&flow);
}

/* ---- waiting ---- */

Test(service_async, with_wait_a_short_one_is_answered_as_ever)
{
    struct flow flow;
    flow_open(&flow, "add", "[2,40]");
    struct reply reply = flow_send(&flow, "respond-async, wait=60");
    cr_assert_eq(reply.status, 200, "%s", reply.text);
    json_t *result = client_open(&flow.prepared, &reply);
    cr_expect_not_null(result);
    json_decref(result);
    reply_release(&reply);
    flow_close(&flow);
}

Test(service_async, with_wait_a_long_one_is_accepted_when_the_time_is_over)
{
    struct flow flow;
    flow_open(&flow, "forever", "[]");
    struct world_call *call = flow_begin(&flow, "respond-async, wait=5");
    struct reply reply = flow_until(&flow, "EXECUTING");
    reply_release(&reply);
    fake_clock_advance(&fake, 4999);
    service_tick(world.service);
    cr_expect_not(world_is_answered(call));
    until_over(call);
    reply = world_end(call);
    cr_expect_eq(reply.status, 202);
    cr_expect_str_eq(reply_text(&reply, "state"), "EXECUTING");
    reply_release(&reply);
    cr_expect_eq(flow_cancel(&flow, &world.user), 202);
    reply = flow_until(&flow, "CANCELLED");
    reply_release(&reply);
    flow_close(&flow);
}

Test(service_async, showing_waits_for_the_end)
{
    struct flow flow;
    flow_open(&flow, "forever", "[]");
    struct reply reply = flow_send(&flow, "respond-async");
    reply_release(&reply);
    struct world_call *first = flow_begin_wait(&flow, "wait=60");
    struct world_call *second = flow_begin_wait(&flow, "wait=60");
    reply = flow_until(&flow, "EXECUTING");
    reply_release(&reply);
    cr_expect_eq(flow_cancel(&flow, &world.user), 202);
    struct world_call *calls[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        reply = world_end(calls[i]);
        cr_expect_str_eq(reply_text(&reply, "state"), "CANCELLED");
        expect_answer(&flow, &reply, 422, "cancelled");
        reply_release(&reply);
    }
    flow_close(&flow);
}

Test(service_async, showing_waits_no_longer_than_asked)
{
    struct flow flow;
    flow_open(&flow, "forever", "[]");
    struct reply reply = flow_send(&flow, "respond-async");
    reply_release(&reply);
    reply = flow_until(&flow, "EXECUTING");
    reply_release(&reply);
    struct world_call *call = flow_begin_wait(&flow, "wait=5");
    until_over(call);
    reply = world_end(call);
    cr_expect_str_eq(reply_text(&reply, "state"), "EXECUTING");
    reply_release(&reply);
    cr_expect_eq(flow_cancel(&flow, &world.user), 202);
    flow_close(&flow);
}

Test(service_async, whoever_waits_and_goes_away_is_let_go)
{
    struct flow flow;
    flow_open(&flow, "forever", "[]");
    struct reply reply = flow_send(&flow, "respond-async");
    reply_release(&reply);
    struct world_call *call = flow_begin_wait(&flow, "wait=60");
    world_leave(call);
    reply = world_end(call);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    cr_expect_eq(flow_cancel(&flow, &world.user), 202);
    flow_close(&flow);
}

Test(service_async, what_has_not_begun_or_is_another_ones_is_not_waited_for)
{
    struct flow flow;
    flow_open(&flow, "add", "[1,2]");
    struct reply reply = world_end(flow_begin_wait(&flow, "wait=60"));
    cr_expect_str_eq(reply_text(&reply, "state"), "KEY_GENERATED");
    reply_release(&reply);
    struct message_header header = {"prefer", "wait=60"};
    reply = flow_send(&flow, "respond-async");
    reply_release(&reply);
    reply = world_end(world_begin_with(&world, "GET", flow.target, world.other.secret,
                                       bytes_of(NULL, 0), NULL, &header, 1));
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
    flow_close(&flow);
}

/* Until the execution has that many before it in the queue, and itself. */
static void flow_until_position(struct flow *flow, json_int_t position)
{
    json_int_t now = 0;
    while (now != position) {
        struct reply reply = flow_show(flow);
        now = json_integer_value(json_object_get(reply.json, "queue_position"));
        reply_release(&reply);
        sched_yield();
    }
}

Test(service_async, waits_for_a_slot_longer_than_a_client_would)
{
    struct flow flows[4]; /* two run, the third is asynchronous, the fourth is not */
    for (int i = 0; i < 4; i++) {
        flow_open(&flows[i], "forever", "[]");
    }
    for (int i = 0; i < 3; i++) {
        struct reply reply = flow_send(&flows[i], "respond-async");
        cr_expect_eq(reply.status, 202);
        reply_release(&reply);
    }
    flow_until_position(&flows[2], 1);
    struct world_call *call = flow_begin(&flows[3], "wait=100");
    flow_until_position(&flows[3], 2);
    fake_clock_advance(&fake, 5000);
    service_tick(world.service);
    struct reply reply = world_end(call);
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "OVERLOADED");
    reply_release(&reply);
    flow_until_position(&flows[2], 1);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(flow_cancel(&flows[i], &world.user), 202);
        reply = flow_until(&flows[i], "CANCELLED");
        reply_release(&reply);
    }
    for (int i = 0; i < 4; i++) {
        flow_close(&flows[i]);
    }
}

/* ---- cancelling, in every state ---- */

Test(service_async, a_cancel_of_the_queued_and_the_running_ends_them_for_their_owner_alone)
{
    struct flow flows[3]; /* two run, the third waits behind them */
    for (int i = 0; i < 3; i++) {
        flow_open(&flows[i], "forever", "[]");
        struct reply reply = flow_send(&flows[i], "respond-async");
        cr_expect_eq(reply.status, 202);
        reply_release(&reply);
    }
    for (int i = 0; i < 2; i++) {
        struct reply reply = flow_until(&flows[i], "EXECUTING");
        reply_release(&reply);
    }
    for (int i = 2; i >= 0; i--) {
        struct reply reply = flow_show(&flows[i]);
        cr_expect_str_eq(reply_text(&reply, "state"), i == 2 ? "KEY_GENERATED" : "EXECUTING");
        const json_t *position = json_object_get(reply.json, "queue_position");
        cr_expect_eq(json_integer_value(position), i == 2 ? 1 : 0, "%s", reply.text);
        reply_release(&reply);
        cr_expect_eq(flow_cancel(&flows[i], &world.other), 404);
        cr_expect_eq(flow_cancel(&flows[i], i == 1 ? &world.admin : &world.user), 202);
        reply = flow_until(&flows[i], "CANCELLED");
        expect_answer(&flows[i], &reply, 422, "cancelled");
        reply_release(&reply);
        cr_expect_eq(flow_cancel(&flows[i], &world.user), 200, "it had ended");
        cr_expect_eq(flow_cancel(&flows[i], &world.other), 404);
    }
    for (int i = 0; i < 3; i++) {
        flow_close(&flows[i]);
    }
}

Test(service_async, what_still_runs_when_the_node_closes_is_cancelled_and_its_answer_kept)
{
    struct flow flow;
    flow_open(&flow, "forever", "[]");
    struct reply reply = flow_send(&flow, "respond-async");
    reply_release(&reply);
    struct world_call *call = flow_begin_wait(&flow, "wait=60");
    world_stop(&world);
    reply = world_end(call);
    cr_expect_str_eq(reply_text(&reply, "state"), "CANCELLED");
    reply_release(&reply);
    world_start(&world);
    reply = flow_show(&flow);
    expect_answer(&flow, &reply, 422, "cancelled");
    reply_release(&reply);
    flow_close(&flow);
}
