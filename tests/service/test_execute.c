/* test_execute.c: whole executions inside one process: real crypto, log and store; what comes out
 * is opened, and what is committed is proved.
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

TestSuite(service_execute, .init = open_world, .fini = close_world);

#define PROGRAM(name) bytes_of(program_##name, sizeof(program_##name))

/* ---- helpers ---- */

static struct reply run(struct bytes wasm, const char *function, const char *arguments,
                        const char *extra, bool private, json_t **result)
{
    struct prepared prepared;
    client_prepare(&world, world.user.secret, wasm, function, arguments, extra, private, &prepared);
    struct reply reply = client_send(&world, world.user.secret, &prepared);
    *result = client_open(&prepared, &reply);
    prepared_release(&prepared);
    return reply;
}

static const json_t *at(const json_t *object, const char *first, const char *second)
{
    return json_object_get(json_object_get(object, first), second);
}

/* The log proof, the leaf and the receipt of an answer say the same as the answer. */
static void check_proof(const struct reply *reply)
{
    const json_t *commitment = json_object_get(reply->json, "commitment");
    const char *leaf = json_string_value(json_object_get(commitment, "leaf"));
    const char *proof = json_string_value(json_object_get(commitment, "tlog_proof"));
    uint8_t hash[AUDIT_HASH_BYTES];
    uint64_t index = 0;
    struct audit_checkpoint checkpoint;
    cr_assert(leaf != NULL && proof != NULL, "%s", reply->text);
    audit_leaf_hash(bytes_of_string(leaf), hash);
    cr_expect_eq(audit_tlog_proof_verify(bytes_of_string(proof), audit_log_vkey(world.log), hash,
                                         &index, &checkpoint),
                 AUDIT_OK);
    cr_expect_eq((json_int_t)index, json_integer_value(json_object_get(commitment, "leaf_index")));
    json_t *parsed = NULL;
    json_t *receipt = NULL;
    struct err err;
    cr_assert(json_text_parse(bytes_of_string(leaf), &parsed, &err));
    const char *payload = json_string_value(at(reply->json, "receipt", "payload"));
    cr_expect(world_is_canonical(bytes_of_string(payload)));
    cr_assert(json_text_parse(bytes_of_string(payload), &receipt, &err));
    cr_expect_str_eq(json_string_value(json_object_get(parsed, "result_commitment")),
                     reply_text(reply, "result_commitment"));
    cr_expect_str_eq(json_string_value(json_object_get(receipt, "result_commitment")),
                     reply_text(reply, "result_commitment"));
    cr_expect_str_eq(json_string_value(json_object_get(receipt, "request_commitment")),
                     reply_text(reply, "request_commitment"));
    cr_expect(json_equal(json_object_get(parsed, "gas_consumed"),
                         at(reply->json, "execution_summary", "gas_consumed")));
    cr_expect(json_equal(json_object_get(receipt, "status"),
                         at(reply->json, "execution_summary", "status")));
    cr_expect(json_equal(json_object_get(parsed, "error_code"),
                         json_object_get(reply->json, "error_code")) ||
              json_object_get(reply->json, "error_code") == NULL);
    cr_expect(
        json_equal(json_object_get(parsed, "admit"), json_object_get(commitment, "admit_index")));
    json_decref(parsed);
    json_decref(receipt);
}

static void expect_failure(const struct reply *reply, const json_t *result, enum err_code code,
                           const char *status)
{
    cr_expect_eq(reply->status, err_code_http_status(code), "%s", reply->text);
    cr_expect_str_eq(reply_text(reply, "error_code"), err_code_name(code), "%s", reply->text);
    cr_assert_not_null(result, "%s", reply->text);
    cr_expect_str_eq(json_string_value(at(result, "error", "code")), err_code_name(code));
    cr_expect_str_eq(json_string_value(json_object_get(result, "status")), status);
    cr_expect_null(json_object_get(result, "outputs"));
    cr_expect(json_equal(json_object_get(result, "execution_summary"),
                         json_object_get(reply->json, "execution_summary")));
    check_proof(reply);
}

static int64_t gas_of(const struct reply *reply)
{
    return json_integer_value(at(reply->json, "execution_summary", "gas_consumed"));
}

static const char *limit_hit(const struct reply *reply)
{
    const json_t *limits = at(reply->json, "execution_summary", "resource_limits_hit");
    const char *text = json_string_value(json_array_get(limits, 0));
    return text == NULL ? "" : text;
}

/* ---- success ---- */

Test(service_execute, gives_the_result_the_proof_and_the_receipt)
{
    json_t *result = NULL;
    struct reply reply = run(PROGRAM(kitchen), "add", "[2,40]", NULL, false, &result);
    cr_assert_eq(reply.status, 200, "%s", reply.text);
    cr_assert_not_null(result);
    char *outputs = json_dumps(json_object_get(result, "outputs"), JSON_COMPACT | JSON_SORT_KEYS);
    cr_expect_str_eq(outputs, "[{\"type\":\"i32\",\"value\":42}]");
    uint8_t hash[32];
    char hex[65];
    crypto_sha256(bytes_of_string(outputs), hash);
    text_hex_encode(bytes_of(hash, 32), hex);
    cr_expect_str_eq(json_string_value(json_object_get(result, "output_hash")), hex);
    crypto_sha256(PROGRAM(kitchen), hash);
    text_hex_encode(bytes_of(hash, 32), hex);
    cr_expect_str_eq(json_string_value(json_object_get(result, "program_hash")), hex);
    cr_expect_eq(strlen(json_string_value(json_object_get(result, "blind"))), 64);
    cr_expect_str_eq(json_string_value(json_object_get(result, "request_id")),
                     reply_text(&reply, "request_id"));
    cr_expect(json_equal(json_object_get(result, "execution_summary"),
                         json_object_get(reply.json, "execution_summary")));
    cr_expect_gt(gas_of(&reply), 0);
    check_proof(&reply);
    heap_free(outputs);
    json_decref(result);
    reply_release(&reply);
}

struct success {
    const char *function, *arguments, *extra, *outputs;
};

static const struct success successes[] = {
    {"add", "[{\"value\":-1},{\"type\":\"i32\",\"value\":4294967295}]", NULL,
     "[{\"type\":\"i32\",\"value\":-2}]"},
    {"i64", "[{\"type\":\"i64\",\"value\":\"-9007199254740993\"}]", NULL,
     "[{\"type\":\"i64\",\"value\":\"-9007199254740993\"}]"},
    {"f32", "[0.1]", NULL, "[{\"type\":\"f32\",\"value\":0.10000000149011612}]"},
    {"f64", "[{\"value\":\"-inf\"}]", NULL, "[{\"type\":\"f64\",\"value\":\"-inf\"}]"},
    {"f64", "[{\"value\":\"-0\"}]", NULL, "[{\"type\":\"f64\",\"value\":\"-0\"}]"},
    {"two", "[1,2]", NULL, "[{\"type\":\"i64\",\"value\":\"2\"},{\"type\":\"i32\",\"value\":1}]"},
    {"grow", "[1]", NULL, "[{\"type\":\"i32\",\"value\":1}]"},
    {"first_byte", "[{\"type\":\"bytes\",\"value\":\"/wA=\"}]", NULL,
     "[{\"type\":\"i32\",\"value\":255}]"},
    {"echo", "[{\"type\":\"string\",\"value\":\"gr\\u00fc\\u00dfe\"}]",
     "{\"result_type\":\"string\"}",
     "[{\"type\":\"string\",\"value\":\"gr\xc3\xbc\xc3\x9f"
     "e\"}]"},
    {"echo64", "[{\"type\":\"bytes\",\"value\":\"AAECAw==\"}]", "{\"result_type\":\"bytes\"}",
     "[{\"type\":\"bytes\",\"value\":\"AAECAw==\"}]"},
    {"echo", "[{\"type\":\"bytes\",\"value\":\"\"}]", "{\"result_type\":\"string\"}",
     "[{\"type\":\"string\",\"value\":\"\"}]"},
    {"bad_text", "[]", "{\"result_type\":\"bytes\"}", "[{\"type\":\"bytes\",\"value\":\"//4=\"}]"},
    {"echo", "[7,8]", NULL, "[{\"type\":\"i32\",\"value\":7},{\"type\":\"i32\",\"value\":8}]"},
};

Test(service_execute, values_and_buffers_come_back_as_they_went_in)
{
    for (size_t i = 0; i < sizeof(successes) / sizeof(successes[0]); i++) {
        const struct success *row = &successes[i];
        json_t *result = NULL;
        struct reply reply =
            run(PROGRAM(kitchen), row->function, row->arguments, row->extra, i % 2 == 0, &result);
        cr_expect_eq(reply.status, 200, "%s %s: %s", row->function, row->arguments, reply.text);
        struct buffer outputs;
        struct err err;
        buffer_init(&outputs, 1000);
        cr_assert(json_canonical(json_object_get(result, "outputs"), &outputs, &err));
        cr_expect(bytes_equal(buffer_bytes(&outputs), bytes_of_string(row->outputs)), "%.*s",
                  (int)outputs.size, (const char *)outputs.ptr);
        buffer_release(&outputs);
        json_decref(result);
        reply_release(&reply);
    }
}

Test(service_execute, the_same_twice_repeats_hashes_and_gas_but_not_the_commitment)
{
    json_t *a = NULL, *b = NULL;
    struct reply first = run(PROGRAM(kitchen), "spin", "[100000]", NULL, false, &a);
    struct reply second = run(PROGRAM(kitchen), "spin", "[100000]", NULL, true, &b);
    cr_expect(json_equal(json_object_get(a, "output_hash"), json_object_get(b, "output_hash")));
    cr_expect(json_equal(json_object_get(a, "program_hash"), json_object_get(b, "program_hash")));
    cr_expect_eq(gas_of(&first), gas_of(&second));
    cr_expect_str_neq(reply_text(&first, "result_commitment"),
                      reply_text(&second, "result_commitment"));
    json_decref(a);
    json_decref(b);
    reply_release(&first);
    reply_release(&second);
}

/* Buffers go through the memory exported as "memory", be it not the first; values need none. */
Test(service_execute, several_memories_and_64_bit_ones_are_the_programs_affair)
{
    static const char *const outputs[] = {"bb", "1"};
    for (size_t i = 0; i < 2; i++) {
        json_t *result = NULL;
        struct reply reply =
            i == 0 ? run(PROGRAM(memories), "f", "[{\"type\":\"string\",\"value\":\"ab\"}]",
                         "{\"result_type\":\"string\"}", false, &result)
                   : run(PROGRAM(memory64), "size", "[]", NULL, true, &result);
        const json_t *output = json_array_get(json_object_get(result, "outputs"), 0);
        cr_expect_str_eq(json_string_value(json_object_get(output, "value")), outputs[i]);
        json_decref(result);
        reply_release(&reply);
    }
}

/* ---- the program's failures ---- */

struct failure {
    struct bytes wasm;
    const char *function, *arguments, *extra;
    enum err_code code;
    const char *status, *limit, *says;
};

Test(service_execute, every_failure_of_a_program_is_committed_and_sealed)
{
    static const uint8_t not_wasm[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    const struct failure rows[] = {
        {bytes_of(not_wasm, sizeof(not_wasm)), "f", "[]", NULL, ERR_INVALID_WASM, "error", "", ""},
        {bytes_of(not_wasm, 0), "f", "[]", NULL, ERR_INVALID_WASM, "error", "", ""},
        {bytes_of(program_kitchen, sizeof(program_kitchen) - 1), "add", "[1,2]", NULL,
         ERR_INVALID_WASM, "error", "", ""},
        {PROGRAM(imports), "add", "[1,2]", NULL, ERR_POLICY_VIOLATION, "error", "",
         "\"env\" \"clock\""},
        {PROGRAM(kitchen), "nothing", "[]", NULL, ERR_FUNCTION_NOT_FOUND, "error", "", "nothing"},
        {PROGRAM(kitchen), "memory", "[]", NULL, ERR_FUNCTION_NOT_FOUND, "error", "", "memory"},
        {PROGRAM(kitchen), "add", "[1]", NULL, ERR_INVALID_ARGUMENTS, "error", "", "takes 2"},
        {PROGRAM(kitchen), "add", "[1,2,3]", NULL, ERR_INVALID_ARGUMENTS, "error", "", "too many"},
        {PROGRAM(kitchen), "add", "[1,2.5]", NULL, ERR_INVALID_ARGUMENTS, "error", "",
         "arguments[1]"},
        {PROGRAM(kitchen), "i64", "[{\"type\":\"i32\",\"value\":1}]", NULL, ERR_INVALID_ARGUMENTS,
         "error", "", "arguments[0]"},
        {PROGRAM(kitchen), "add", "[1,2]", "{\"result_type\":\"string\"}", ERR_INVALID_ARGUMENTS,
         "error", "", "result_type"},
        {PROGRAM(no_memory), "f", "[{\"type\":\"string\",\"value\":\"x\"}]", NULL,
         ERR_INVALID_ARGUMENTS, "error", "", "no allocator"},
        {PROGRAM(hidden_memory), "f", "[{\"type\":\"string\",\"value\":\"x\"}]", NULL,
         ERR_INVALID_ARGUMENTS, "error", "", "no memory"},
        {PROGRAM(memory64), "f", "[{\"type\":\"string\",\"value\":\"x\"}]", NULL,
         ERR_INVALID_ARGUMENTS, "error", "", "arguments[0]: the program's memory has 64-bit"},
        {PROGRAM(memory64), "f", "[1,2]", "{\"result_type\":\"bytes\"}", ERR_INVALID_ARGUMENTS,
         "error", "", "result_type: the program's memory has 64-bit"},
        {PROGRAM(memories), "f", "[1,2]", "{\"memory_limit_bytes\":131071}", ERR_MEMORY_EXCEEDED,
         "resource_exhausted", "memory", "131071"},
        {PROGRAM(memories), "grow", "[1]", "{\"memory_limit_bytes\":196607}", ERR_MEMORY_EXCEEDED,
         "resource_exhausted", "memory", "196607"},
        {PROGRAM(null_malloc), "f", "[{\"type\":\"string\",\"value\":\"x\"}]", NULL,
         ERR_MEMORY_EXCEEDED, "resource_exhausted", "memory", "allocator"},
        {PROGRAM(edge_realloc), "f", "[{\"type\":\"string\",\"value\":\"1234567\"}]", NULL,
         ERR_EXECUTION_TRAP, "error", "", "outside"},
        {PROGRAM(kitchen), "div", "[1,0]", NULL, ERR_EXECUTION_TRAP, "error", "", "divide by zero"},
        {PROGRAM(kitchen), "div", "[-2147483648,-1]", NULL, ERR_EXECUTION_TRAP, "error", "",
         "integer overflow"},
        {PROGRAM(kitchen), "bad_text", "[]", "{\"result_type\":\"string\"}", ERR_EXECUTION_TRAP,
         "error", "", "UTF-8"},
        {PROGRAM(kitchen), "nul_text", "[]", "{\"result_type\":\"string\"}", ERR_EXECUTION_TRAP,
         "error", "", "NUL"},
        {PROGRAM(kitchen), "outside", "[]", "{\"result_type\":\"bytes\"}", ERR_EXECUTION_TRAP,
         "error", "", "outside"},
        {PROGRAM(kitchen), "recurse", "[]", NULL, ERR_STACK_EXHAUSTED, "resource_exhausted",
         "stack", "stack"},
        {PROGRAM(kitchen), "forever", "[]", "{\"gas_limit\":100000}", ERR_GAS_EXHAUSTED,
         "resource_exhausted", "gas", "100000"},
        {PROGRAM(start_forever), "f", "[]", "{\"gas_limit\":100000}", ERR_GAS_EXHAUSTED,
         "resource_exhausted", "gas", "100000"},
        {PROGRAM(kitchen), "grow", "[1]", "{\"memory_limit_bytes\":65536}", ERR_MEMORY_EXCEEDED,
         "resource_exhausted", "memory", "65536"},
        {PROGRAM(kitchen), "grow", "[1024]", NULL, ERR_MEMORY_EXCEEDED, "resource_exhausted",
         "memory", ""},
        {PROGRAM(wide), "f", "[]", "{\"memory_limit_bytes\":33488896}", ERR_MEMORY_EXCEEDED,
         "resource_exhausted", "memory", ""},
        {PROGRAM(kitchen), "add", "[1,2]", "{\"memory_limit_bytes\":65535}", ERR_MEMORY_EXCEEDED,
         "resource_exhausted", "memory", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct failure *row = &rows[i];
        json_t *result = NULL;
        struct reply reply =
            run(row->wasm, row->function, row->arguments, row->extra, i % 2 == 1, &result);
        expect_failure(&reply, result, row->code, row->status);
        cr_expect_str_eq(limit_hit(&reply), row->limit, "row %zu: %s", i, reply.text);
        cr_expect_not_null(strstr(json_string_value(at(result, "error", "message")), row->says),
                           "row %zu: %s", i, json_string_value(at(result, "error", "message")));
        cr_expect_null(strstr(reply_text(&reply, "message"), "clock"), "nothing leaks");
        json_decref(result);
        reply_release(&reply);
    }
}

Test(service_execute, a_trap_says_where_in_the_sealed_part_only)
{
    json_t *result = NULL;
    struct reply reply = run(PROGRAM(kitchen), "div", "[1,0]", NULL, false, &result);
    expect_failure(&reply, result, ERR_EXECUTION_TRAP, "error");
    cr_expect_str_eq(json_string_value(at(result, "error", "trap")), "INTEGER_DIVIDE_BY_ZERO");
    cr_expect(json_is_integer(at(result, "error", "offset")));
    cr_expect_eq(json_integer_value(at(result, "error", "function_index")), 2);
    cr_expect_null(strstr(reply.text, "DIVIDE"));
    cr_expect_null(strstr(reply.text, "divide"));
    json_decref(result);
    reply_release(&reply);
}

Test(service_execute, gas_is_exact_at_the_limit)
{
    json_t *result = NULL;
    struct reply reply = run(PROGRAM(kitchen), "spin", "[1000]", NULL, false, &result);
    int64_t needed = gas_of(&reply);
    char extra[64];
    json_decref(result);
    reply_release(&reply);
    (void)snprintf(extra, sizeof(extra), "{\"gas_limit\":%lld}", (long long)needed);
    reply = run(PROGRAM(kitchen), "spin", "[1000]", extra, false, &result);
    cr_expect_eq(reply.status, 200);
    cr_expect_eq(gas_of(&reply), needed);
    json_decref(result);
    reply_release(&reply);
    (void)snprintf(extra, sizeof(extra), "{\"gas_limit\":%lld}", (long long)needed - 1);
    reply = run(PROGRAM(kitchen), "spin", "[1000]", extra, false, &result);
    expect_failure(&reply, result, ERR_GAS_EXHAUSTED, "resource_exhausted");
    cr_expect_eq(gas_of(&reply), needed - 1);
    json_decref(result);
    reply_release(&reply);
}

Test(service_execute, a_result_longer_than_the_limit_is_refused)
{
    world_stop(&world);
    world.config.result_bytes_max = 65535;
    world_start(&world);
    json_t *result = NULL;
    struct reply reply =
        run(PROGRAM(kitchen), "big", "[]", "{\"result_type\":\"bytes\"}", false, &result);
    expect_failure(&reply, result, ERR_MEMORY_EXCEEDED, "resource_exhausted");
    json_decref(result);
    reply_release(&reply);
}

Test(service_execute, a_result_is_as_long_as_its_text)
{
    world_stop(&world);
    world.config.result_bytes_max = 70000; /* the bytes fit, their base64 does not */
    world_start(&world);
    json_t *result = NULL;
    struct reply reply =
        run(PROGRAM(kitchen), "big", "[]", "{\"result_type\":\"bytes\"}", false, &result);
    expect_failure(&reply, result, ERR_MEMORY_EXCEEDED, "resource_exhausted");
    json_decref(result);
    reply_release(&reply);
}

/* ---- keys and ciphertexts ---- */

Test(service_execute, a_key_serves_one_execution)
{
    struct prepared prepared;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, false,
                   &prepared);
    struct reply stranger = client_send(&world, world.other.secret, &prepared);
    cr_expect_str_eq(reply_text(&stranger, "error_code"), "NOT_FOUND");
    reply_release(&stranger);
    struct reply first = client_send(&world, world.user.secret, &prepared);
    cr_expect_eq(first.status, 200, "%s", first.text);
    struct reply second = client_send(&world, world.user.secret, &prepared);
    cr_expect_eq(second.status, 409);
    cr_expect_str_eq(reply_text(&second, "error_code"), "KEY_ALREADY_USED");
    cr_expect_str_eq(reply_text(&second, "request_id"), prepared.id);
    cr_expect_null(json_object_get(second.json, "commitment"));
    stranger = client_send(&world, world.other.secret, &prepared);
    cr_expect_str_eq(reply_text(&stranger, "error_code"), "NOT_FOUND");
    reply_release(&stranger);
    reply_release(&first);
    reply_release(&second);
    prepared_release(&prepared);
}

Test(service_execute, a_refused_request_leaves_its_key_alone)
{
    struct prepared prepared;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, false,
                   &prepared);
    json_t *good = json_deep_copy(prepared.body);
    json_object_set_new(
        prepared.body, "request_hash",
        json_string("00000000000000000000000000000000000000000000000000000000000000aa"));
    struct reply reply = client_send(&world, world.user.secret, &prepared);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "COMMITMENT_MISMATCH");
    reply_release(&reply);
    json_object_set_new(prepared.body, "surplus", json_true());
    reply = client_send(&world, world.user.secret, &prepared);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "MALFORMED_REQUEST");
    reply_release(&reply);
    json_decref(prepared.body);
    prepared.body = good;
    reply = client_send(&world, world.user.secret, &prepared);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    prepared_release(&prepared);
}

/* Sends the request with a change and expects ENCRYPTION_ERROR: committed, but nothing sealed. */
static void expect_undecryptable(struct prepared *prepared)
{
    json_object_del(prepared->body, "request_hash");
    struct reply reply = client_send(&world, world.user.secret, prepared);
    cr_expect_eq(reply.status, 400, "%s", reply.text);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "ENCRYPTION_ERROR");
    cr_expect_str_eq(reply_text(&reply, "message"), "the request could not be decrypted");
    cr_expect_null(json_object_get(reply.json, "encrypted_result"));
    cr_expect_eq(gas_of(&reply), 0);
    check_proof(&reply);
    reply_release(&reply);
    prepared_release(prepared);
}

Test(service_execute, nothing_can_be_changed_without_the_decryption_failing)
{
    static const struct {
        const char *member, *value;
    } rows[] = {{"function_name", "\"div\""}, {"arguments", "[2,1]"},
                {"timeout_seconds", "11"},    {"gas_limit", "1000"},
                {"mode", "\"interpreter\""},  {"result_type", "\"values\""}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct prepared prepared;
        struct err err;
        json_t *value = NULL;
        client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, false,
                       &prepared);
        cr_assert(json_text_parse(bytes_of_string(rows[i].value), &value, &err));
        json_object_set_new(prepared.body, rows[i].member, value);
        expect_undecryptable(&prepared);
    }
}

Test(service_execute, a_flipped_ciphertext_is_an_encryption_error)
{
    static const char *const members[] = {"encrypted_wasm", "encrypted_arguments"};
    for (size_t i = 0; i < 2; i++) {
        struct prepared prepared;
        uint8_t bytes[1000];
        client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, true,
                       &prepared);
        size_t size =
            world_unbase64(json_string_value(json_object_get(prepared.body, members[i])), bytes);
        bytes[size / 2] ^= 1;
        world_set_base64(prepared.body, members[i], bytes_of(bytes, size));
        expect_undecryptable(&prepared);
    }
}

Test(service_execute, sealed_arguments_must_be_arguments)
{
    static const char *const bad[] = {"", "7", "{}", "[true]", "[", "[1,2] x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *result = NULL;
        struct reply reply = run(PROGRAM(kitchen), "add", bad[i], NULL, true, &result);
        expect_failure(&reply, result, ERR_INVALID_ARGUMENTS, "error");
        json_decref(result);
        reply_release(&reply);
    }
}

/* ---- looking at executions, cancelling ---- */

static struct reply show(const char *method, const char *id, const char *secret)
{
    char target[80];
    (void)snprintf(target, sizeof(target), "/v1/executions/%s", id);
    return world_ask(&world, method, target, secret, NULL);
}

Test(service_execute, an_ended_execution_can_be_asked_for_by_its_owner)
{
    struct prepared prepared;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, false,
                   &prepared);
    struct reply answer = client_send(&world, world.user.secret, &prepared);
    struct reply shown = show("GET", prepared.id, world.user.secret);
    cr_expect_eq(shown.status, 200);
    cr_expect_str_eq(reply_text(&shown, "state"), "COMPLETED");
    cr_expect_eq(json_integer_value(json_object_get(shown.json, "answer_status")), 200);
    cr_expect_not_null(strstr(shown.text, answer.text), "byte for byte");
    reply_release(&shown);
    shown = show("GET", prepared.id, world.admin.secret);
    cr_expect_eq(shown.status, 200);
    reply_release(&shown);
    shown = show("GET", prepared.id, world.other.secret);
    cr_expect_eq(shown.status, 404);
    reply_release(&shown);
    shown = show("DELETE", prepared.id, world.other.secret);
    cr_expect_eq(shown.status, 404);
    reply_release(&shown);
    shown = show("DELETE", prepared.id, world.user.secret);
    cr_expect(shown.status == 200 || shown.status == 202, "%d", shown.status);
    cr_expect_str_eq(reply_text(&shown, "state"), "COMPLETED");
    reply_release(&shown);
    reply_release(&answer);
    prepared_release(&prepared);
}

static void wait_for_state(const char *id, const char *state)
{
    struct reply reply = show("GET", id, world.user.secret);
    while (strcmp(reply_text(&reply, "state"), state) != 0) {
        cr_assert_null(json_object_get(reply.json, "answer"), "waiting for %s, but: %s", state,
                       reply.text);
        reply_release(&reply);
        sched_yield();
        reply = show("GET", id, world.user.secret);
    }
    reply_release(&reply);
}

Test(service_execute, a_cancelled_execution_ends_and_is_committed)
{
    struct prepared prepared;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "forever", "[]",
                   "{\"timeout_seconds\":300}", false, &prepared);
    struct world_call *call = client_begin(&world, world.user.secret, &prepared);
    wait_for_state(prepared.id, "EXECUTING");
    struct reply reply = show("DELETE", prepared.id, world.other.secret);
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
    reply = show("DELETE", prepared.id, world.user.secret);
    cr_expect_eq(reply.status, 202);
    reply_release(&reply);
    reply = world_end(call);
    json_t *result = client_open(&prepared, &reply);
    expect_failure(&reply, result, ERR_CANCELLED, "cancelled");
    cr_expect_gt(gas_of(&reply), 0);
    json_decref(result);
    reply_release(&reply);
    prepared_release(&prepared);
}

Test(service_execute, a_client_that_goes_away_cancels_its_execution)
{
    struct prepared prepared;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "forever", "[]",
                   "{\"timeout_seconds\":300}", false, &prepared);
    struct world_call *call = client_begin(&world, world.user.secret, &prepared);
    cr_assert_not_null(call->exchange.gone);
    world_leave(call);
    struct reply reply = world_end(call);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "CANCELLED");
    check_proof(&reply);
    reply_release(&reply);
    prepared_release(&prepared);
}

/* ---- time ---- */

Test(service_execute, an_endless_loop_is_stopped_and_a_short_program_overtakes_it)
{
    struct prepared quick;
    struct world_call *calls[4];
    struct prepared loops[4];
    for (int i = 0; i < 4; i++) {
        client_prepare(&world, world.user.secret, PROGRAM(kitchen), "forever", "[]",
                       "{\"timeout_seconds\":2}", false, &loops[i]);
        calls[i] = client_begin(&world, world.user.secret, &loops[i]);
    }
    wait_for_state(loops[3].id, "EXECUTING");
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, false,
                   &quick);
    struct reply reply = client_send(&world, world.user.secret, &quick);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    for (int i = 0; i < 4; i++) {
        reply = world_end(calls[i]);
        json_t *result = client_open(&loops[i], &reply);
        expect_failure(&reply, result, ERR_EXECUTION_TIMEOUT, "timeout");
        cr_expect_str_eq(limit_hit(&reply), "time");
        json_decref(result);
        reply_release(&reply);
        wait_for_state(loops[i].id, "TIMEOUT");
        prepared_release(&loops[i]);
    }
    prepared_release(&quick);
}

/* ---- room ---- */

Test(service_execute, a_queued_execution_times_out_in_the_queue)
{
    world_stop(&world);
    world.config.concurrent_executions_max = 1;
    world.config.express_executions_max = 0;
    world_start(&world);
    struct prepared first, second;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "forever", "[]",
                   "{\"timeout_seconds\":300}", false, &first);
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]",
                   "{\"timeout_seconds\":1}", false, &second);
    struct world_call *running = client_begin(&world, world.user.secret, &first);
    wait_for_state(first.id, "EXECUTING");
    struct reply reply = client_send(&world, world.user.secret, &second);
    json_t *result = client_open(&second, &reply);
    expect_failure(&reply, result, ERR_EXECUTION_TIMEOUT, "timeout");
    cr_expect_eq(gas_of(&reply), 0);
    cr_expect_null(json_object_get(result, "program_hash"), "it was never opened");
    json_decref(result);
    reply_release(&reply);
    reply = show("DELETE", first.id, world.user.secret);
    reply_release(&reply);
    reply = world_end(running);
    reply_release(&reply);
    prepared_release(&first);
    prepared_release(&second);
}

static void drained_cb(void *context)
{
    atomic_store((_Atomic bool *)context, true);
}

Test(service_execute, draining_refuses_the_new_and_ends_the_old)
{
    struct prepared running, late;
    _Atomic bool drained = false;
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "forever", "[]",
                   "{\"timeout_seconds\":300}", false, &running);
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "add", "[1,2]", NULL, false, &late);
    struct world_call *call = client_begin(&world, world.user.secret, &running);
    wait_for_state(running.id, "EXECUTING");
    service_drain(world.service, drained_cb, (void *)&drained);
    struct reply reply = client_send(&world, world.user.secret, &late);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "DRAINING");
    cr_expect_eq(reply.status, 503);
    reply_release(&reply);
    cr_expect_not(atomic_load(&drained));
    service_close(world.service);
    cr_expect(atomic_load(&drained));
    reply = world_end(call);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "CANCELLED");
    check_proof(&reply);
    reply_release(&reply);
    prepared_release(&running);
    prepared_release(&late);
    world.service = NULL; /* closed twice is once */
}

static int64_t memory_in_use(void)
{
    struct reply reply = world_ask(&world, "GET", "/health", NULL, NULL);
    int64_t bytes = json_integer_value(at(reply.json, "capacity", "memory_bytes"));
    reply_release(&reply);
    return bytes;
}

/* A node of which programs may have 70 MiB, and one holds 700 pages until it is cancelled. */
static struct world_call *hold_memory(struct prepared *holder)
{
    world_stop(&world);
    world.config.memory_budget_bytes = 112UL * 1024 * 1024;
    world_start(&world);
    client_prepare(&world, world.user.secret, PROGRAM(kitchen), "hold", "[700]",
                   "{\"timeout_seconds\":300}", false, holder);
    struct world_call *call = client_begin(&world, world.user.secret, holder);
    while (memory_in_use() < 700 * 65536) {
        sched_yield();
    }
    return call;
}

static void let_go(struct world_call *call, struct prepared *holder)
{
    struct reply reply = show("DELETE", holder->id, world.user.secret);
    reply_release(&reply);
    reply = world_end(call);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "CANCELLED");
    reply_release(&reply);
    prepared_release(holder);
}

Test(service_execute, a_program_waits_for_the_memory_of_another)
{
    struct prepared holder, waiter;
    struct world_call *held = hold_memory(&holder);
    client_prepare(&world, world.user.secret, PROGRAM(wide), "f", "[]", "{\"timeout_seconds\":300}",
                   false, &waiter);
    struct world_call *waiting = client_begin(&world, world.user.secret, &waiter);
    wait_for_state(waiter.id, "DECRYPTING");
    let_go(held, &holder);
    struct reply reply = world_end(waiting);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    prepared_release(&waiter);
}

Test(service_execute, a_program_that_waited_for_memory_in_vain_is_told_of_the_node)
{
    struct prepared holder;
    json_t *result = NULL;
    struct world_call *held = hold_memory(&holder);
    struct reply reply = run(PROGRAM(wide), "f", "[]", "{\"timeout_seconds\":1}", false, &result);
    expect_failure(&reply, result, ERR_OVERLOADED, "error");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "1");
    json_decref(result);
    reply_release(&reply);
    let_go(held, &holder);
}

Test(service_execute, a_program_that_grows_is_told_of_the_node_if_that_is_short)
{
    struct prepared holder;
    json_t *result = NULL;
    struct world_call *held = hold_memory(&holder);
    struct reply reply =
        run(PROGRAM(kitchen), "grow", "[700]", "{\"timeout_seconds\":1}", false, &result);
    expect_failure(&reply, result, ERR_OVERLOADED, "error");
    cr_expect_str_eq(limit_hit(&reply), "");
    json_decref(result);
    reply_release(&reply);
    reply = run(PROGRAM(kitchen), "grow", "[2]", "{\"memory_limit_bytes\":131072}", false, &result);
    expect_failure(&reply, result, ERR_MEMORY_EXCEEDED, "resource_exhausted");
    json_decref(result);
    reply_release(&reply);
    let_go(held, &holder);
}

Test(service_execute, metrics_tell_outcomes)
{
    json_t *result = NULL;
    struct reply reply = run(PROGRAM(kitchen), "add", "[1,2]", NULL, false, &result);
    json_decref(result);
    reply_release(&reply);
    reply = run(PROGRAM(kitchen), "div", "[1,0]", NULL, false, &result);
    json_decref(result);
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
    while (strstr(reply.text, "wasm_hypervisor_memory_bytes 0\n") == NULL) {
        reply_release(&reply); /* given back right after the answer was sent */
        reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
    }
    cr_expect_not_null(
        strstr(reply.text, "wasm_hypervisor_executions_total{outcome=\"SUCCESS\"} 1\n"));
    cr_expect_not_null(
        strstr(reply.text, "wasm_hypervisor_executions_total{outcome=\"EXECUTION_TRAP\"} 1\n"));
    cr_expect_not_null(strstr(reply.text, "wasm_hypervisor_execution_duration_seconds_count 2\n"));
    reply_release(&reply);
}
