/* stress_service_executions: clients, cancellers, onlookers and the tick all at once on one node,
 * then a close in the middle of it. For ThreadSanitizer; every answer must be whole and of its own
 * request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "support/programs.h"
#include "support/service_world.h"

enum { CLIENTS = 6, ROUNDS = 150 };

static struct world world;
static _Atomic bool is_over;

static void wait_answer(struct world_call *call, struct prepared *prepared, const char *expected)
{
    struct reply reply = world_end(call);
    WORLD_CHECK(reply.json != NULL);
    if (reply.status == 200) {
        json_t *result = client_open(prepared, &reply);
        const json_t *output = json_array_get(json_object_get(result, "outputs"), 0);
        const char *text = json_string_value(json_object_get(output, "value"));
        WORLD_CHECK(expected != NULL && text != NULL && strcmp(text, expected) == 0);
        json_decref(result);
    } else {
        WORLD_CHECK(reply.status == 422 || reply.status == 503);
    }
    reply_release(&reply);
}

/* One execution that answers its own text, or one that never ends and is cancelled in one of two
 * ways. */
static void execute_one(int client, int round)
{
    struct prepared prepared;
    char arguments[128], expected[64], target[80];
    struct bytes wasm = bytes_of(program_kitchen, sizeof(program_kitchen));
    (void)snprintf(expected, sizeof(expected), "client %d round %d", client, round);
    (void)snprintf(arguments, sizeof(arguments), "[{\"type\":\"string\",\"value\":\"%s\"}]",
                   expected);
    bool is_endless = round % 3 != 0;
    client_prepare(&world, world.user.secret, wasm, is_endless ? "forever" : "echo",
                   is_endless ? "[]" : arguments,
                   is_endless ? "{\"timeout_seconds\":60}" : "{\"result_type\":\"string\"}",
                   round % 2 == 0, &prepared);
    struct world_call *call = client_begin(&world, world.user.secret, &prepared);
    if (round % 3 == 1) {
        (void)snprintf(target, sizeof(target), "/executions/%s", prepared.id);
        struct reply reply = world_ask(&world, "DELETE", target, world.user.secret, NULL);
        while (reply.status == 404) { /* not admitted yet */
            reply_release(&reply);
            reply = world_ask(&world, "DELETE", target, world.user.secret, NULL);
        }
        reply_release(&reply);
    } else if (round % 3 == 2) {
        world_leave(call);
    }
    wait_answer(call, &prepared, is_endless ? NULL : expected);
    prepared_release(&prepared);
}

static void *client_main(void *context)
{
    for (int round = 0; round < ROUNDS; round++) {
        execute_one((int)(intptr_t)context, round);
    }
    return NULL;
}

static void *onlooker_main(void *context)
{
    (void)context;
    while (!atomic_load(&is_over)) {
        struct reply reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
        WORLD_CHECK(reply.status == 200);
        reply_release(&reply);
        reply = world_ask(&world, "GET", "/readyz?verbose", NULL, NULL);
        reply_release(&reply);
        service_tick(world.service);
    }
    return NULL;
}

int main(void)
{
    pthread_t clients[CLIENTS], onlooker;
    struct service_config config = service_config_default;
    struct err err;
    config.workers = 3;
    config.concurrent_executions_max = 4;
    WORLD_CHECK(log_open(NULL, LOG_ERROR, false, &err));
    world_open(&world, &config, NULL);
    WORLD_CHECK(pthread_create(&onlooker, NULL, onlooker_main, NULL) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        WORLD_CHECK(pthread_create(&clients[i], NULL, client_main, (void *)(intptr_t)i) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
    }
    atomic_store(&is_over, true);
    pthread_join(onlooker, NULL);
    struct prepared left;
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   "forever", "[]", "{\"timeout_seconds\":60}", false, &left);
    struct world_call *call = client_begin(&world, world.user.secret, &left);
    service_close(world.service);
    world.service = NULL;
    wait_answer(call, &left, NULL);
    prepared_release(&left);
    world_close(&world);
    log_close();
    return 0;
}
