/* test_slots.c: executions when all slots are taken: real ones, in one process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;

static void open_world(void)
{
    world_open(&world, NULL, NULL);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_slots, .init = open_world, .fini = close_world);

#define PROGRAM(name) bytes_of(program_##name, sizeof(program_##name))

static struct reply ask(const char *method, const char *id)
{
    char target[80];
    (void)snprintf(target, sizeof(target), "/v1/executions/%s", id);
    return world_ask(&world, method, target, world.user.secret, NULL);
}

static void wait_until_it_runs(const char *id)
{
    struct reply reply = ask("GET", id);
    while (strcmp(reply_text(&reply, "state"), "EXECUTING") != 0) {
        cr_assert_null(json_object_get(reply.json, "answer"), "%s", reply.text);
        reply_release(&reply);
        sched_yield();
        reply = ask("GET", id);
    }
    reply_release(&reply);
}

/* What the second of two executions answers while the first, an endless one, holds the only slot.
 */
static void behind_an_endless_one(const char *extra, const char *code, int status)
{
    struct prepared first, second;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "forever", "[]",
                   "{\"timeout_seconds\":300}", false, &first);
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", extra, false,
                   &second);
    struct world_call *running = client_begin(&world, world.user.secret, &first);
    wait_until_it_runs(first.id);
    struct reply reply = client_send(&world, world.user.secret, &second);
    cr_expect_eq(reply.status, status, "%s", reply.text);
    const char *error_code = reply_text(&reply, "error_code");
    cr_expect_str_eq(error_code != NULL ? error_code : "", code);
    reply_release(&reply);
    reply = ask("DELETE", first.id);
    reply_release(&reply);
    reply = world_end(running);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "CANCELLED");
    reply_release(&reply);
    prepared_release(&first);
    prepared_release(&second);
}

Test(service_slots, a_short_one_needs_no_slot)
{
    world_stop(&world);
    world.config.concurrent_executions_max = 1;
    world_start(&world);
    behind_an_endless_one("{\"timeout_seconds\":300}", "", 200);
}

Test(service_slots, who_waits_too_long_for_a_slot_is_told_so)
{
    world_stop(&world);
    world.config.concurrent_executions_max = 1;
    world.config.express_executions_max = 0;
    world.config.queue_wait_max_ms = 1;
    world_start(&world);
    behind_an_endless_one("{\"timeout_seconds\":300}", "OVERLOADED", 503);
}

Test(service_slots, beyond_the_queue_it_is_overloaded_and_the_key_stays_good)
{
    world_stop(&world);
    world.config.concurrent_executions_max = 1;
    world.config.express_executions_max = 0;
    world.config.queued_executions_max = 1;
    world.config.api_key_percent = 100;
    world_start(&world);
    struct prepared first, second, third;
    const char *extra = "{\"timeout_seconds\":300}";
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "forever", "[]", extra, false,
                   &first);
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, false,
                   &second);
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[3,4]", NULL, false,
                   &third);
    struct world_call *running = client_begin(&world, world.user.secret, &first);
    wait_until_it_runs(first.id);
    struct world_call *queued = client_begin(&world, world.user.secret, &second);
    struct reply reply = client_send(&world, world.user.secret, &third);
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "OVERLOADED");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "1");
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/readyz", NULL, NULL);
    cr_expect_eq(reply.status, 503);
    reply_release(&reply);
    reply = ask("DELETE", first.id);
    reply_release(&reply);
    reply = world_end(running);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "CANCELLED");
    reply_release(&reply);
    reply = world_end(queued);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    do { /* the places are free once the answers are stored */
        reply = client_send(&world, world.user.secret, &third);
        if (reply.status == 503) {
            reply_release(&reply);
        }
    } while (reply.json == NULL);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    prepared_release(&first);
    prepared_release(&second);
    prepared_release(&third);
}
