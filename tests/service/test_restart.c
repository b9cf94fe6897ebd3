/* test_restart.c: what a node knows after it has been stopped and started: answers, records, and
 * the index anew from the log when its file is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;
static char id[TEXT_UUID_CHARS + 1];
static char commitment[65];

/* One execution that succeeded is behind it. */
static void open_world(void)
{
    struct prepared prepared;
    world_open(&world, NULL, NULL);
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   "add", "[1,2]", NULL, false, &prepared);
    struct reply reply = client_send(&world, world.user.secret, &prepared);
    cr_assert_eq(reply.status, 200, "%s", reply.text);
    memcpy(id, prepared.id, sizeof(id));
    memcpy(commitment, reply_text(&reply, "result_commitment"), 65);
    reply_release(&reply);
    prepared_release(&prepared);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_restart, .init = open_world, .fini = close_world);

static struct reply ask(const char *path, const char *query, const char *secret)
{
    char target[256];
    (void)snprintf(target, sizeof(target), "%s/%s%s", path, id, query);
    return world_ask(&world, "GET", target, secret, NULL);
}

Test(service_restart, answers_outlive_the_process)
{
    world_stop(&world);
    world_start(&world);
    struct reply reply = ask("/executions", "", world.user.secret);
    cr_expect_str_eq(reply_text(&reply, "state"), "COMPLETED");
    cr_expect_not_null(strstr(reply.text, commitment));
    reply_release(&reply);
    reply = ask("/executions", "", world.other.secret);
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
}

Test(service_restart, a_lost_index_is_made_anew_from_the_log)
{
    static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm"};
    struct world_key admin;
    world_stop(&world);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        world_path(&world, files[i], path);
        (void)unlink(path);
    }
    world_start(&world);
    struct reply reply = ask("/verify", "?commitment_type=result", NULL);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    cr_expect_str_eq(reply_text(&reply, "commitment"), commitment);
    reply_release(&reply);
    world_add_key(&world, STORE_SCOPE_ADMIN, 0, &admin);
    world_stop(&world);
    world_start(&world);
    reply = ask("/executions", "", admin.secret);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    cr_expect_str_eq(reply_text(&reply, "state"), "COMPLETED");
    cr_expect_null(json_object_get(reply.json, "answer"), "that is lost");
    reply_release(&reply);
}

Test(service_restart, reading_the_log_again_changes_nothing)
{
    struct err err;
    cr_assert(store_set_indexed_size(world.store, 0, &err));
    service_close(world.service);
    world.service = NULL;
    cr_assert(store_set_indexed_size(world.store, 0, &err));
    audit_log_close(world.log);
    store_close(world.store);
    world_start(&world);
    struct reply reply = ask("/executions", "", world.user.secret);
    cr_expect_str_eq(reply_text(&reply, "state"), "COMPLETED", "%s", reply.text);
    cr_expect_not_null(json_object_get(reply.json, "answer"), "the answer is still there");
    reply_release(&reply);
}

Test(service_restart, an_execution_that_never_ended_is_shown_as_an_error)
{
    struct store_execution row = {.state = "EXECUTING", .result_index = UINT64_MAX};
    struct err err;
    world_stop(&world);
    world_start(&world);
    cr_assert(text_uuid_decode("6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f", 36, row.request_id));
    memcpy(row.api_key_id, world.user.id, sizeof(row.api_key_id));
    cr_assert(store_put_execution(world.store, &row, NULL, NULL, &err));
    struct reply reply = {0};
    do {
        reply_release(&reply);
        reply = world_ask(&world, "GET", "/executions/6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f",
                          world.user.secret, NULL);
    } while (reply.status == 404);
    cr_expect_str_eq(reply_text(&reply, "state"), "ERROR");
    reply_release(&reply);
}
