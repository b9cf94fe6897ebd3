/* test_isolation.c: many executions at once: each gets its own result, and nothing of another's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

enum { EXECUTIONS = 100, CLIENTS = 8 };

static struct world world;
static char ids[EXECUTIONS][TEXT_UUID_CHARS + 1];
static char commitments[EXECUTIONS][2 * CRYPTO_SHA256_BYTES + 1];
static _Atomic int next_execution;

/* Every execution is handed a text of its own and must give back that and no other. */
static void execute_one(int number)
{
    struct prepared prepared;
    char arguments[128], expected[64];
    (void)snprintf(expected, sizeof(expected), "secret of execution %d", number);
    (void)snprintf(arguments, sizeof(arguments), "[{\"type\":\"string\",\"value\":\"%s\"}]",
                   expected);
    client_prepare(&world, number % 2 == 0 ? world.user.secret : world.other.secret,
                   bytes_of(program_kitchen, sizeof(program_kitchen)), "echo", arguments,
                   "{\"result_type\":\"string\"}", true, &prepared);
    struct reply reply =
        client_send(&world, number % 2 == 0 ? world.user.secret : world.other.secret, &prepared);
    json_t *result = client_open(&prepared, &reply);
    const json_t *output = json_array_get(json_object_get(result, "outputs"), 0);
    WORLD_CHECK(reply.status == 200);
    WORLD_CHECK(strcmp(json_string_value(json_object_get(output, "value")), expected) == 0);
    WORLD_CHECK(strcmp(json_string_value(json_object_get(result, "request_id")), prepared.id) == 0);
    WORLD_CHECK(strstr(reply.text, "secret") == NULL);
    memcpy(ids[number], prepared.id, sizeof(prepared.id));
    memcpy(commitments[number], reply_text(&reply, "result_commitment"), 65);
    json_decref(result);
    reply_release(&reply);
    prepared_release(&prepared);
}

static void *client_main(void *context)
{
    (void)context;
    for (int number; (number = atomic_fetch_add(&next_execution, 1)) < EXECUTIONS;) {
        execute_one(number);
    }
    return NULL;
}

Test(service_isolation, a_hundred_executions_keep_to_themselves)
{
    pthread_t threads[CLIENTS];
    world_open(&world, NULL, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, client_main, NULL), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < EXECUTIONS; i++) {
        for (int k = 0; k < i; k++) {
            cr_assert_str_neq(ids[i], ids[k]);
            cr_assert_str_neq(commitments[i], commitments[k]);
        }
    }
    world_close(&world);
}

Test(service_isolation, a_hundred_at_once_all_end)
{
    enum { AT_ONCE = 100 };
    static struct prepared prepared[AT_ONCE];
    static struct world_call *calls[AT_ONCE];
    world_open(&world, NULL, NULL);
    for (int i = 0; i < AT_ONCE; i++) {
        char arguments[32];
        (void)snprintf(arguments, sizeof(arguments), "[%d]", 1000 + i);
        client_prepare(&world, world.user.secret,
                       bytes_of(program_kitchen, sizeof(program_kitchen)), "spin", arguments,
                       "{\"timeout_seconds\":300}", false, &prepared[i]);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        calls[i] = client_begin(&world, world.user.secret, &prepared[i]);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        struct reply reply = world_end(calls[i]);
        json_t *result = client_open(&prepared[i], &reply);
        const json_t *output = json_array_get(json_object_get(result, "outputs"), 0);
        cr_expect_eq(reply.status, 200, "%s", reply.text);
        cr_expect_eq(json_integer_value(json_object_get(output, "value")), 1000 + i);
        json_decref(result);
        reply_release(&reply);
        prepared_release(&prepared[i]);
    }
    world_close(&world);
}
