/* test_verify.c: GET /v1/verify/{id}.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;
static struct prepared prepared;
static struct reply answer;

static void open_world(void)
{
    world_open(&world, NULL, NULL);
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   "add", "[1,2]", NULL, false, &prepared);
    answer = client_send(&world, world.user.secret, &prepared);
    cr_assert_eq(answer.status, 200, "%s", answer.text);
}

static void close_world(void)
{
    reply_release(&answer);
    prepared_release(&prepared);
    world_close(&world);
}

TestSuite(service_verify, .init = open_world, .fini = close_world);

static struct reply verify(const char *type, const char *hash)
{
    char target[256];
    (void)snprintf(target, sizeof(target), "/v1/verify/%s?commitment_type=%s%s%s", prepared.id,
                   type, hash == NULL ? "" : "&hash_value=", hash == NULL ? "" : hash);
    return world_ask(&world, "GET", target, NULL, NULL);
}

static void check_leaf(const struct reply *reply)
{
    const char *leaf = reply_text(reply, "leaf");
    uint8_t hash[AUDIT_HASH_BYTES];
    uint64_t index = 0;
    struct audit_checkpoint checkpoint;
    audit_leaf_hash(bytes_of_string(leaf), hash);
    cr_expect_eq(audit_tlog_proof_verify(bytes_of_string(reply_text(reply, "tlog_proof")),
                                         reply_text(reply, "log_vkey"), hash, &index, &checkpoint),
                 AUDIT_OK);
    cr_expect_eq(
        json_integer_value(json_object_get(json_object_get(reply->json, "record"), "leaf_index")),
        (json_int_t)index);
}

Test(service_verify, request_and_result_match_what_the_client_has)
{
    static const char *const types[] = {"request", "result"};
    static const char *const members[] = {"request_commitment", "result_commitment"};
    for (size_t i = 0; i < 2; i++) {
        struct reply reply = verify(types[i], reply_text(&answer, members[i]));
        cr_assert_eq(reply.status, 200, "%s", reply.text);
        cr_expect(json_is_true(json_object_get(reply.json, "matches")));
        cr_expect_str_eq(reply_text(&reply, "commitment"), reply_text(&answer, members[i]));
        check_leaf(&reply);
        reply_release(&reply);
        reply = verify(types[i], reply_text(&answer, members[1 - i]));
        cr_expect(json_is_false(json_object_get(reply.json, "matches")));
        reply_release(&reply);
    }
}

Test(service_verify, combined_is_the_documented_hash_and_the_default)
{
    static const char label[] = "wasm-hypervisor/1 combined commitment";
    uint8_t request[32], result[32], combined[32];
    char hex[65], target[256];
    cr_assert(text_hex_decode(reply_text(&answer, "request_commitment"), 64, request, 32));
    cr_assert(text_hex_decode(reply_text(&answer, "result_commitment"), 64, result, 32));
    struct bytes parts[] = {bytes_of(label, sizeof(label)), bytes_of(request, 32),
                            bytes_of(result, 32)};
    crypto_sha256_parts(parts, 3, combined);
    text_hex_encode(bytes_of(combined, 32), hex);
    (void)snprintf(target, sizeof(target), "/verify/%s?hash_value=%s", prepared.id, hex);
    struct reply reply = world_ask(&world, "GET", target, NULL, NULL);
    cr_expect(json_is_true(json_object_get(reply.json, "matches")), "%s", reply.text);
    cr_expect_str_eq(reply_text(&reply, "commitment_type"), "combined");
    reply_release(&reply);
}

Test(service_verify, without_a_hash_nothing_is_compared)
{
    struct reply reply = verify("result", NULL);
    cr_expect(json_is_null(json_object_get(reply.json, "matches")));
    check_leaf(&reply);
    reply_release(&reply);
}

Test(service_verify, a_bad_question_is_told_why)
{
    static const struct {
        const char *query, *why;
    } rows[] = {
        {"commitment_type=everything", "commitment_type"},
        {"commitment_type=", "commitment_type"},
        {"commitment_type", "commitment_type"},
        {"commitment_type=RESULT", "commitment_type"},
        {"commitment_type=result%00", "commitment_type"},
        {"commitment_type=%zz", "commitment_type"},
        {"hash_value=abc", "hash_value"},
        {"hash_value=", "hash_value"},
        {"hash_value=%", "hash_value"},
        {"hash_value=00112233445566778899aabbccddeeff00112233445566778899aabbccddee", "hash_value"},
        {"hash_value=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0",
         "hash_value"},
        {"hash_value=00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg",
         "hash_value"},
        {"hash_value=aa&hash_value=bb", "twice"},
        {"commitment_type=result&commitment_type=result", "twice"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char target[256];
        (void)snprintf(target, sizeof(target), "/v1/verify/%s?%s", prepared.id, rows[i].query);
        struct reply reply = world_ask(&world, "GET", target, NULL, NULL);
        cr_expect_eq(reply.status, 400, "%s", rows[i].query);
        cr_expect_str_eq(reply_text(&reply, "error_code"), "INVALID_ARGUMENTS");
        cr_expect_not_null(strstr(reply_text(&reply, "message"), rows[i].why), "%s", reply.text);
        reply_release(&reply);
    }
}

/* A row that the store was given, whatever the log says. */
static void put_row(const char *id, uint64_t admit_index, uint64_t result_index)
{
    struct store_execution row = {
        .state = "COMPLETED", .admit_index = admit_index, .result_index = result_index};
    struct err err;
    uint64_t size = 0;
    cr_assert(text_uuid_decode(id, strlen(id), row.request_id));
    cr_assert(store_put_execution(world.store, &row, NULL, NULL, &err));
    cr_assert(store_indexed_size(world.store, &size, &err));
    cr_assert(store_set_indexed_size(world.store, size, &err)); /* and so it is written */
}

static void expect_refusal(const char *id, const char *query, int status, const char *code)
{
    char target[256];
    (void)snprintf(target, sizeof(target), "/verify/%s%s", id, query);
    struct reply reply = world_ask(&world, "GET", target, NULL, NULL);
    cr_expect_eq(reply.status, status, "%s: %s", target, reply.text);
    cr_expect_str_eq(reply_text(&reply, "error_code"), code);
    reply_release(&reply);
}

Test(service_verify, what_the_log_does_not_have_is_not_found)
{
    static const char id[] = "6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f";
    expect_refusal("nonsense", "", 404, "NOT_FOUND");
    expect_refusal(id, "", 404, "NOT_FOUND");
    put_row(id, UINT64_MAX, UINT64_MAX);
    expect_refusal(id, "?commitment_type=request", 404, "NOT_FOUND");
    expect_refusal(id, "?commitment_type=result", 404, "NOT_FOUND");
    expect_refusal(id, "", 404, "NOT_FOUND");
    put_row(id, 1000000, 1000001);
    expect_refusal(id, "?commitment_type=request", 404, "NOT_FOUND");
    expect_refusal(id, "?commitment_type=result", 404, "NOT_FOUND");
}

Test(service_verify, a_leaf_of_another_execution_is_never_shown)
{
    static const char id[] = "6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f";
    struct reply reply = verify("result", NULL);
    const json_t *record = json_object_get(reply.json, "record");
    uint64_t admit = (uint64_t)json_integer_value(json_object_get(record, "admit_index"));
    uint64_t result = (uint64_t)json_integer_value(json_object_get(record, "leaf_index"));
    reply_release(&reply);
    put_row(id, admit, result);
    expect_refusal(id, "?commitment_type=request", 500, "INTERNAL");
    expect_refusal(id, "?commitment_type=result", 500, "INTERNAL");
    put_row(id, 0, 0); /* INIT, which is of no execution */
    expect_refusal(id, "?commitment_type=request", 500, "INTERNAL");
    expect_refusal(id, "", 500, "INTERNAL");
    /* And where the row of this one leads to the ADMIT alone, there is no result in it. */
    world_stop(&world);
    world_start(&world);
    put_row(prepared.id, admit, admit);
    expect_refusal(prepared.id, "?commitment_type=result", 500, "INTERNAL");
    expect_refusal(prepared.id, "?commitment_type=combined", 500, "INTERNAL");
}

static struct reply verify_accepting(const char *accept)
{
    struct message_header header = {"accept", accept};
    char target[80];
    (void)snprintf(target, sizeof(target), "/v1/verify/%s", prepared.id);
    return world_end(
        world_begin_with(&world, "GET", target, NULL, bytes_of(NULL, 0), NULL, &header, 1));
}

Test(service_verify, who_prefers_text_gets_the_bare_proof)
{
    static const char *const text[] = {"text/plain", "text/plain, application/json;q=0.9",
                                       "text/*;q=0.2", "application/json;q=0, */*"};
    static const char *const json[] = {"application/json",
                                       "*/*",
                                       "application/json, text/plain",
                                       "text/plain;q=0.1, application/*;q=0.2",
                                       "image/png",
                                       ""};
    struct reply reply = verify("combined", NULL);
    const char *proof = reply_text(&reply, "tlog_proof");
    cr_expect_eq(strncmp(proof, "c2sp.org/tlog-proof@v1\n", 23), 0, "%s", proof);
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        struct reply bare = verify_accepting(text[i]);
        cr_expect_eq(bare.status, 200);
        cr_expect_str_eq(bare.response.content_type, "text/plain; charset=utf-8");
        cr_expect(bytes_equal(bare.response.body, bytes_of_string(proof)), "%s", text[i]);
        reply_release(&bare);
    }
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        struct reply whole = verify_accepting(json[i]);
        cr_expect_str_eq(whole.response.content_type, "application/json", "%s", json[i]);
        cr_expect_str_eq(reply_text(&whole, "tlog_proof"), proof);
        reply_release(&whole);
    }
    reply_release(&reply);
}
