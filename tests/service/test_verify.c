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
    struct reply reply = verify("everything", NULL);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "INVALID_ARGUMENTS");
    cr_expect_not_null(strstr(reply_text(&reply, "message"), "commitment_type"));
    reply_release(&reply);
    reply = verify("result", "abc");
    cr_expect_not_null(strstr(reply_text(&reply, "message"), "hash_value"));
    reply_release(&reply);
    reply = verify("result", "aa&hash_value=bb");
    cr_expect_not_null(strstr(reply_text(&reply, "message"), "twice"));
    reply_release(&reply);
}

Test(service_verify, text_is_the_bare_proof)
{
    struct world_call *call = HEAP_NEW(struct world_call);
    struct message_header accept = {"accept", "text/plain"};
    char path[80];
    (void)snprintf(path, sizeof(path), "/v1/verify/%s", prepared.id);
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->answered, NULL);
    arena_init(&call->exchange.arena, NULL);
    call->exchange.request = (struct message_request){.method = "GET",
                                                      .path = path,
                                                      .query = "",
                                                      .headers = &accept,
                                                      .header_count = 1,
                                                      .peer = "127.0.0.1"};
    world_send(&world, call);
    struct reply reply = world_end(call);
    cr_expect_eq(reply.status, 200);
    cr_expect_eq(strncmp(reply.text, "c2sp.org/tlog-proof@v1\n", 23), 0, "%s", reply.text);
    reply_release(&reply);
}
