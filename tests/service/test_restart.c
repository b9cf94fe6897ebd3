/* test_restart.c: what a node knows after it has been stopped and started: answers, records, and
 * the index anew from the log when its file is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>
#include <sched.h>

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

static void remove_index(void)
{
    static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        world_path(&world, files[i], path);
        (void)unlink(path);
    }
}

Test(service_restart, a_lost_index_is_made_anew_from_the_log)
{
    struct world_key admin;
    world_stop(&world);
    remove_index();
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

static _Atomic int results_committed;

static void count_commit(void *context, const struct audit_commit *commit)
{
    json_t *fields = context;
    WORLD_CHECK(commit->ok);
    if (fields == NULL) {
        atomic_fetch_add(&results_committed, 1);
    } else { /* of an ADMIT: here is its RESULT */
        struct err err;
        json_object_set_new(fields, "admit", json_integer((json_int_t)commit->index));
        WORLD_CHECK(audit_log_submit(world.log, AUDIT_RESULT, fields, count_commit, NULL, &err));
        json_decref(fields);
    }
}

/* Executions of which only the log knows. */
static void log_executions(int count)
{
    static const char hash[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    for (int i = 0; i < count; i++) {
        struct err err;
        json_t *request =
            json_pack("{s:o, s:s}", "request_id", json_sprintf("00000000-0000-4000-8000-%012x", i),
                      "request_commitment", hash);
        json_t *result = json_pack("{s:s, s:s, s:I, s:i}", "result_commitment", hash, "status",
                                   "success", "gas_consumed", (json_int_t)1, "gas_schedule", 1);
        json_object_update(result, request);
        while (audit_log_pending(world.log) > 2000) {
            sched_yield(); /* no ADMIT is refused */
        }
        cr_assert(audit_log_submit(world.log, AUDIT_ADMIT, request, count_commit, result, &err));
        json_decref(request);
    }
    while (atomic_load(&results_committed) < count) { /* between two callbacks none is pending */
        sched_yield();
    }
}

/* Longer than what the store lets wait; each RESULT close behind its ADMIT. */
Test(service_restart, a_long_log_is_indexed_whole)
{
    enum { EXECUTIONS = 9000 };
    log_executions(EXECUTIONS);
    world_stop(&world);
    remove_index();
    world_start(&world);
    for (int i = 0; i < EXECUTIONS; i += 97) {
        static const char *const types[] = {"request", "result"};
        for (size_t type = 0; type < 2; type++) {
            char target[128];
            (void)snprintf(target, sizeof(target),
                           "/verify/00000000-0000-4000-8000-%012x?commitment_type=%s", i,
                           types[type]);
            struct reply reply = world_ask(&world, "GET", target, NULL, NULL);
            cr_expect_eq(reply.status, 200, "%s: %s", target, reply.text);
            const json_t *record = json_object_get(reply.json, "record");
            cr_expect(json_integer_value(json_object_get(record, "admit_index")) > 0);
            reply_release(&reply);
        }
    }
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

/* Its RESULT may be in the log although the node was told that it is not. */
Test(service_restart, a_kept_answer_stays_when_its_row_is_mended)
{
    struct store_execution row;
    struct arena arena;
    struct err err;
    bool created = true;
    char path[128];
    uint8_t request_id[TEXT_UUID_BYTES];
    world_stop(&world);
    world_path(&world, "store.db", path);
    cr_assert(store_open(path, &clock_system, &world.store, &created, &err) && !created);
    arena_init(&arena, NULL);
    cr_assert(text_uuid_decode(id, strlen(id), request_id));
    cr_assert(store_get_execution(world.store, request_id, &arena, &row, &err));
    row.result_index = UINT64_MAX;
    memset(row.result_commitment, 0, sizeof(row.result_commitment));
    cr_assert(store_put_execution(world.store, &row, NULL, NULL, &err));
    cr_assert(store_set_indexed_size(world.store, 0, &err));
    store_close(world.store);
    world_start(&world);
    struct reply reply = ask("/verify", "?commitment_type=result", NULL);
    cr_expect_str_eq(reply_text(&reply, "commitment"), commitment);
    reply_release(&reply);
    reply = ask("/executions", "", world.user.secret);
    const json_t *answer = json_object_get(reply.json, "answer");
    const char *said = json_string_value(json_object_get(answer, "result_commitment"));
    cr_assert_not_null(said, "%s", reply.text);
    cr_expect_str_eq(said, commitment);
    reply_release(&reply);
    arena_release(&arena);
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
