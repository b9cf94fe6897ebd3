/* test_idempotency.c: a request that comes again with its Idempotency-Key runs once and is answered
 * alike, whatever happens in between.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
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
    config.idempotency_keys_per_api_key_max = 2;
    config.result_retention_ms = 1000 * 1000;
    fake_clock_init(&fake);
    world_open(&world, &config, &fake.clock);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_idempotency, .init = open_world, .fini = close_world);

static void prepare(const char *function, const char *arguments, struct prepared *out)
{
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   function, arguments, "{\"timeout_seconds\":300}", false, out);
}

static struct world_call *begin(const struct prepared *prepared, const struct world_key *key,
                                const char *idempotency_key, const char *prefer)
{
    struct message_header headers[] = {{"idempotency-key", idempotency_key}, {"prefer", prefer}};
    char *text = json_dumps(prepared->body, JSON_COMPACT);
    struct world_call *call =
        world_begin_with(&world, "POST", "/v1/execute", key->secret, bytes_of_string(text),
                         "application/json", headers, prefer == NULL ? 1 : 2);
    heap_free(text);
    return call;
}

static struct reply send(const struct prepared *prepared, const char *idempotency_key)
{
    return world_end(begin(prepared, &world.user, idempotency_key, NULL));
}

static void expect_refused(const struct prepared *prepared, const char *idempotency_key,
                           const char *code)
{
    struct reply reply = send(prepared, idempotency_key);
    cr_expect_str_eq(reply_text(&reply, "error_code"), code, "%s", reply.text);
    cr_expect_str_eq(reply_header(&reply, "Idempotent-Replayed"), "");
    reply_release(&reply);
}

static void expect_same(const struct reply *first, const struct reply *again)
{
    cr_expect_eq(again->status, first->status, "%s", again->text);
    cr_expect_str_eq(again->text, first->text);
    cr_expect_str_eq(again->response.content_type, first->response.content_type);
    cr_expect_str_eq(reply_header(first, "Idempotent-Replayed"), "");
    cr_expect_str_eq(reply_header(again, "Idempotent-Replayed"), "true");
}

static bool count_admit(void *context, uint64_t index, struct bytes leaf)
{
    (void)index;
    uint64_t *count = context;
    *count += memmem(leaf.ptr, leaf.size, "\"ADMIT\"", 7) != NULL;
    return true;
}

static uint64_t admitted(void)
{
    uint64_t count = 0;
    struct err err;
    cr_assert(audit_log_each(world.log, 0, count_admit, &count, &err), "%s", err.message);
    return count;
}

static void until_state(const struct prepared *prepared, const char *state)
{
    char target[80];
    (void)snprintf(target, sizeof(target), "/executions/%s", prepared->id);
    bool is_there = false;
    while (!is_there) {
        struct reply reply = world_ask(&world, "GET", target, world.user.secret, NULL);
        is_there = strcmp(reply_text(&reply, "state"), state) == 0;
        reply_release(&reply);
        sched_yield();
    }
}

/* A live execution has no time of expiry yet. */
static void until_stored(const struct prepared *prepared)
{
    char target[80];
    (void)snprintf(target, sizeof(target), "/executions/%s", prepared->id);
    bool is_there = false;
    while (!is_there) {
        struct reply reply = world_ask(&world, "GET", target, world.user.secret, NULL);
        is_there = reply_text(&reply, "expires_at")[0] != 0;
        reply_release(&reply);
        sched_yield();
    }
}

static void cancel(const struct prepared *prepared)
{
    char target[80];
    (void)snprintf(target, sizeof(target), "/executions/%s", prepared->id);
    struct reply reply = world_ask(&world, "DELETE", target, world.user.secret, NULL);
    reply_release(&reply);
}

/* ---- replays ---- */

Test(service_idempotency, a_repeat_gets_the_same_bytes_and_runs_nothing)
{
    static const char *const functions[] = {"add", "div"};
    for (int i = 0; i < 2; i++) { /* a success and a failure */
        struct prepared prepared;
        prepare(functions[i], "[4,0]", &prepared);
        struct reply first = send(&prepared, functions[i]);
        cr_expect_eq(first.status, i == 0 ? 200 : 422, "%s", first.text);
        for (int j = 0; j < 3; j++) {
            if (j == 2) {
                world_stop(&world);
                world_start(&world);
            }
            struct reply again = send(&prepared, j == 0   ? functions[i]
                                                 : i == 0 ? "\"add\""
                                                          : "div");
            expect_same(&first, &again);
            reply_release(&again);
        }
        cr_expect_eq(admitted(), (uint64_t)i + 1);
        reply_release(&first);
        prepared_release(&prepared);
    }
}

Test(service_idempotency, a_different_request_is_refused_while_and_after_the_first)
{
    struct prepared forever, other;
    prepare("forever", "[]", &forever);
    prepare("add", "[1,2]", &other);
    struct world_call *call = begin(&forever, &world.user, "k", NULL);
    until_state(&forever, "EXECUTING");
    expect_refused(&other, "k", "IDEMPOTENCY_MISMATCH");
    cancel(&forever);
    struct reply reply = world_end(call);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "CANCELLED");
    reply_release(&reply);
    until_state(&forever, "CANCELLED");
    expect_refused(&other, "k", "IDEMPOTENCY_MISMATCH");
    reply = send(&other, "another");
    cr_expect_eq(reply.status, 200, "its request key was left alone");
    reply_release(&reply);
    prepared_release(&forever);
    prepared_release(&other);
}

Test(service_idempotency, a_repeat_while_the_first_runs_is_told_to_wait)
{
    struct prepared prepared;
    prepare("forever", "[]", &prepared);
    struct world_call *call = begin(&prepared, &world.user, "k", NULL);
    until_state(&prepared, "EXECUTING");
    struct reply reply = send(&prepared, "k");
    cr_expect_eq(reply.status, 409);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "IDEMPOTENCY_IN_FLIGHT");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "1");
    reply_release(&reply);
    reply = world_end(begin(&prepared, &world.user, "k", "respond-async"));
    cr_expect_eq(reply.status, 202, "an asynchronous one is told where to look");
    cr_expect_str_eq(reply_header(&reply, "Idempotent-Replayed"), "true");
    cr_expect_str_eq(reply_text(&reply, "request_id"), prepared.id);
    reply_release(&reply);
    cancel(&prepared);
    reply = world_end(call);
    struct reply again = {0};
    do { /* between being answered and being stored it may be told so once more */
        reply_release(&again);
        again = send(&prepared, "k");
    } while (again.status == 409);
    expect_same(&reply, &again);
    reply_release(&again);
    reply_release(&reply);
    prepared_release(&prepared);
}

Test(service_idempotency, an_asynchronous_one_is_replayed_as_its_answer)
{
    struct prepared prepared;
    prepare("add", "[1,2]", &prepared);
    struct reply reply = world_end(begin(&prepared, &world.user, "k", "respond-async"));
    cr_expect_eq(reply.status, 202);
    reply_release(&reply);
    until_state(&prepared, "COMPLETED");
    do {
        reply_release(&reply);
        reply = world_end(begin(&prepared, &world.user, "k", "respond-async"));
    } while (reply.status == 202);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    json_t *result = client_open(&prepared, &reply);
    cr_expect_not_null(result);
    json_decref(result);
    reply_release(&reply);
    prepared_release(&prepared);
}

Test(service_idempotency, a_client_that_goes_away_does_not_cancel)
{
    struct prepared prepared;
    prepare("spin", "[10000000]", &prepared);
    struct world_call *call = begin(&prepared, &world.user, "k", NULL);
    world_leave(call);
    struct reply reply = world_end(call);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    struct reply again = {0};
    do {
        reply_release(&again);
        again = send(&prepared, "k");
    } while (again.status == 409);
    expect_same(&reply, &again);
    reply_release(&again);
    reply_release(&reply);
    prepared_release(&prepared);
}

/* ---- what is not replayed ---- */

Test(service_idempotency, a_refused_request_leaves_no_record)
{
    struct prepared prepared;
    prepare("add", "[1,2]", &prepared);
    json_t *hash = json_incref(json_object_get(prepared.body, "request_hash"));
    (void)json_object_set_new(prepared.body, "request_hash", json_string("00"));
    expect_refused(&prepared, "k", "MALFORMED_REQUEST");
    expect_refused(&prepared, "k", "MALFORMED_REQUEST");
    (void)json_object_set_new(prepared.body, "request_hash", hash);
    struct reply reply = send(&prepared, "k");
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    prepared_release(&prepared);
}

Test(service_idempotency, a_key_that_is_none_is_refused)
{
    struct prepared prepared;
    prepare("add", "[1,2]", &prepared);
    expect_refused(&prepared, "", "MALFORMED_REQUEST");
    expect_refused(&prepared, "a b", "MALFORMED_REQUEST");
    struct reply reply = world_end(begin(&prepared, &world.user, "a b", "respond-async"));
    cr_expect_eq(reply.status, 400);
    reply_release(&reply);
    reply = send(&prepared, "ab");
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    prepared_release(&prepared);
}

Test(service_idempotency, is_one_api_keys_own)
{
    struct prepared prepared;
    prepare("add", "[1,2]", &prepared);
    struct reply reply = send(&prepared, "k");
    reply_release(&reply);
    reply = world_end(begin(&prepared, &world.other, "k", NULL));
    cr_expect_str_eq(reply_text(&reply, "error_code"), "NOT_FOUND", "as without any record");
    reply_release(&reply);
    prepared_release(&prepared);
}

Test(service_idempotency, the_oldest_are_forgotten_and_nothing_runs_twice)
{
    struct prepared prepared[3];
    static const char *const keys[] = {"0", "1", "2"};
    for (int i = 0; i < 3; i++) {
        prepare("add", "[1,2]", &prepared[i]);
        struct reply reply = send(&prepared[i], keys[i]);
        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
        until_state(&prepared[i], "COMPLETED");
    }
    expect_refused(&prepared[0], "0", "KEY_ALREADY_USED");
    struct reply reply = send(&prepared[1], "1");
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    cr_expect_eq(admitted(), 3);
    for (int i = 0; i < 3; i++) {
        prepared_release(&prepared[i]);
    }
}

Test(service_idempotency, expires_with_the_answer)
{
    struct prepared prepared;
    prepare("add", "[1,2]", &prepared);
    struct reply reply = send(&prepared, "k");
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    until_stored(&prepared);
    fake_clock_advance(&fake, 999 * 1000);
    reply = send(&prepared, "k");
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    fake_clock_advance(&fake, 1 * 1000);
    expect_refused(&prepared, "k", "KEY_ALREADY_USED");
    prepared_release(&prepared);
}

/* A node that was cut off while the program ran: the record is there, the answer never will be. */
Test(service_idempotency, a_run_without_an_answer_is_told_and_not_repeated)
{
    struct prepared prepared;
    struct store_idempotency record = {.expires_ms = INT64_MAX};
    struct store_execution row = {.state = "KEY_GENERATED", .result_index = UINT64_MAX};
    struct err err;
    prepare("add", "[1,2]", &prepared);
    char *text = json_dumps(prepared.body, JSON_COMPACT);
    struct bytes parts[] = {bytes_of("POST\0/execute", 14), bytes_of_string(text)};
    crypto_sha256_parts(parts, 2, record.fingerprint);
    crypto_sha256(bytes_of_string("k"), record.key_hash);
    cr_assert(text_uuid_decode(prepared.id, strlen(prepared.id), record.request_id));
    memcpy(record.api_key_id, world.user.id, sizeof(record.api_key_id));
    memcpy(row.api_key_id, world.user.id, sizeof(row.api_key_id));
    memcpy(row.request_id, record.request_id, sizeof(row.request_id));
    cr_assert(store_put_execution(world.store, &row, NULL, NULL, &err));
    cr_assert(store_put_idempotency(world.store, &record, 2, NULL, NULL, &err));
    cr_assert(store_set_indexed_size(world.store, 0, &err), "waits for both");
    expect_refused(&prepared, "k", "KEY_ALREADY_USED");
    cr_expect_eq(admitted(), 0);
    until_state(&prepared, "ERROR");
    heap_free(text);
    prepared_release(&prepared);
}

/* ---- many at once ---- */

Test(service_idempotency, of_many_at_once_one_runs)
{
    enum { CALLS = 16 };
    struct world_call *calls[CALLS];
    struct prepared prepared;
    int answered = 0;
    prepare("add", "[1,2]", &prepared);
    for (int i = 0; i < CALLS; i++) {
        calls[i] = begin(&prepared, &world.user, "k", NULL);
    }
    for (int i = 0; i < CALLS; i++) {
        struct reply reply = world_end(calls[i]);
        cr_expect(reply.status == 200 ||
                      strcmp(reply_text(&reply, "error_code"), "IDEMPOTENCY_IN_FLIGHT") == 0,
                  "%s", reply.text);
        answered += reply.status == 200;
        reply_release(&reply);
    }
    cr_expect_geq(answered, 1);
    cr_expect_eq(admitted(), 1);
    prepared_release(&prepared);
}
