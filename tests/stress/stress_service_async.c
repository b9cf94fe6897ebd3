/* stress_service_async: asynchronous and repeated requests, waiting, going away, cancelling and the
 * tick all at once, then a close in the middle of it. For ThreadSanitizer; of all requests with one
 * Idempotency-Key one runs, and every answer to it is the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "support/programs.h"
#include "support/service_world.h"

enum { CLIENTS = 4, ROUNDS = 60, REPEATS = 3 };

static struct world world;

static struct world_call *send(const struct prepared *prepared, const char *prefer, const char *key)
{
    struct message_header headers[] = {{"prefer", prefer}, {"idempotency-key", key}};
    char *text = json_dumps(prepared->body, JSON_COMPACT);
    struct world_call *call =
        world_begin_with(&world, "POST", "/v1/execute", world.user.secret, bytes_of_string(text),
                         "application/json", headers, key == NULL ? 1 : 2);
    heap_free(text);
    return call;
}

static struct world_call *show(const struct prepared *prepared, const char *prefer)
{
    struct message_header header = {"prefer", prefer};
    char target[80];
    (void)snprintf(target, sizeof(target), "/executions/%s", prepared->id);
    return world_begin_with(&world, "GET", target, world.user.secret, bytes_of(NULL, 0), NULL,
                            &header, 1);
}

static void end(struct world_call *call)
{
    struct reply reply = world_end(call);
    WORLD_CHECK(reply.status < 500 || reply.status == 503);
    reply_release(&reply);
}

/* One that never ends: two wait for it, one of them goes away, then it is cancelled. */
static void cancel_one(const struct prepared *prepared)
{
    char target[80];
    end(send(prepared, "respond-async", NULL));
    struct world_call *first = show(prepared, "wait=60");
    struct world_call *second = show(prepared, "wait=60");
    world_leave(first);
    (void)snprintf(target, sizeof(target), "/executions/%s", prepared->id);
    struct reply reply = world_ask(&world, "DELETE", target, world.user.secret, NULL);
    reply_release(&reply);
    end(first);
    reply = world_end(second);
    WORLD_CHECK(strcmp(reply_text(&reply, "state"), "CANCELLED") == 0);
    reply_release(&reply);
}

/* One that is sent several times at once; whoever is not told to wait gets the same bytes. */
static void repeat_one(const struct prepared *prepared)
{
    struct world_call *calls[REPEATS];
    char *first = NULL;
    for (int i = 0; i < REPEATS; i++) {
        calls[i] = send(prepared, i == 1 ? "respond-async, wait=60" : "", prepared->id);
    }
    for (int i = 0; i < REPEATS; i++) {
        struct reply reply = world_end(calls[i]);
        WORLD_CHECK(reply.status == 200 || reply.status == 202 || reply.status == 409);
        if (reply.status == 200 && first == NULL) {
            first = heap_strdup(reply.text);
        }
        WORLD_CHECK(reply.status != 200 || strcmp(first, reply.text) == 0);
        reply_release(&reply);
    }
    struct reply reply = world_end(show(prepared, "wait=60"));
    WORLD_CHECK(json_object_get(reply.json, "answer") != NULL);
    WORLD_CHECK(first == NULL || strstr(reply.text, first) != NULL);
    reply_release(&reply);
    heap_free(first);
}

static void *client_main(void *context)
{
    (void)context;
    struct bytes wasm = bytes_of(program_kitchen, sizeof(program_kitchen));
    for (int round = 0; round < ROUNDS; round++) {
        struct prepared prepared;
        bool is_endless = round % 2 == 0;
        client_prepare(&world, world.user.secret, wasm, is_endless ? "forever" : "add",
                       is_endless ? "[]" : "[1,2]", "{\"timeout_seconds\":60}", false, &prepared);
        if (is_endless) {
            cancel_one(&prepared);
        } else {
            repeat_one(&prepared);
        }
        prepared_release(&prepared);
    }
    return NULL;
}

int main(void)
{
    pthread_t clients[CLIENTS];
    struct world_ticker ticker;
    struct service_config config = service_config_default;
    struct err err;
    config.workers = 3;
    config.idempotency_keys_per_api_key_max = 50;
    WORLD_CHECK(log_open(NULL, LOG_ERROR, false, &err));
    world_open(&world, &config, NULL);
    world_ticker_start(&ticker, &world);
    for (int i = 0; i < CLIENTS; i++) {
        WORLD_CHECK(pthread_create(&clients[i], NULL, client_main, NULL) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
    }
    world_ticker_stop(&ticker);
    struct prepared left;
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   "forever", "[]", "{\"timeout_seconds\":60}", false, &left);
    struct world_call *sent = send(&left, "respond-async, wait=60", left.id);
    struct world_call *shown = show(&left, "wait=60");
    service_close(world.service);
    world.service = NULL;
    end(sent);
    end(shown);
    prepared_release(&left);
    world_close(&world);
    log_close();
    return 0;
}
