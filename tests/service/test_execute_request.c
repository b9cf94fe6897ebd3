/* test_execute_request.c: the body of POST /v1/execute: every member absent, null, of another type,
 * empty, too long, badly encoded, out of range; each with its code and its name in the message.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/execute_request.h"

#include "base/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *const good_id = "6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f";
static char good_key[100];

/* A point of the curve, as base64. */
static void make_key(void)
{
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    struct crypto_p256_key *key = crypto_p256_generate();
    crypto_p256_public(key, point);
    crypto_p256_free(key);
    text_base64_encode(bytes_of(point, sizeof(point)), good_key);
}

TestSuite(service_execute_request, .init = make_key);

static json_t *good_body(void)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "request_id", good_id, "encrypted_wasm",
                     "AAAAAAAAAAAAAAAAAAAAAA==", "function_name", "f", "public_key", good_key);
}

static bool parse_text(const char *text, struct execute_request *out, struct arena *arena,
                       struct err *err)
{
    struct bytes body = bytes_of_string(text);
    struct execute_intake *intake = execute_intake_new(body, &service_config_default, arena, out);
    bool is_done = false;
    bool ok = intake != NULL || err_set(err, ERR_NO_MEMORY, "no intake");
    while (ok && !is_done) {
        ok = execute_intake_step(intake, 16, &is_done, err);
    }
    execute_intake_free(intake);
    return ok;
}

static bool parse(json_t *body, struct execute_request *out, struct arena *arena, struct err *err)
{
    char *text = json_dumps(body, JSON_COMPACT);
    bool ok = parse_text(text, out, arena, err);
    heap_free(text);
    return ok;
}

/* What the good body becomes with that member. */
static struct err parse_with(const char *member, json_t *value)
{
    struct err err = {.code = ERR_NONE};
    struct execute_request request;
    struct arena arena;
    json_t *body = good_body();
    arena_init(&arena, NULL);
    if (value == NULL) {
        json_object_del(body, member);
    } else {
        json_object_set_new(body, member, value);
    }
    if (parse(body, &request, &arena, &err)) {
        execute_request_release(&request);
    }
    json_decref(body);
    arena_release(&arena);
    return err;
}

static json_t *json_of(const char *text)
{
    json_t *value = NULL;
    struct err err;
    cr_assert(json_text_parse(bytes_of_string(text), &value, &err), "%s: %s", text, err.message);
    return value;
}

struct row {
    const char *member;
    const char *value; /* JSON text; NULL: absent */
    enum err_code code;
};

static const struct row rows[] = {
    {"request_id", NULL, ERR_MALFORMED_REQUEST},
    {"request_id", "null", ERR_MALFORMED_REQUEST},
    {"request_id", "7", ERR_MALFORMED_REQUEST},
    {"request_id", "\"\"", ERR_MALFORMED_REQUEST},
    {"request_id", "\"6f1d2c3b4a5946879768-5a4b3c2d1e0f\"", ERR_MALFORMED_REQUEST},
    {"request_id", "\"6f1d2c3b-4a59-1687-9768-5a4b3c2d1e0f\"", ERR_MALFORMED_REQUEST},
    {"encrypted_wasm", NULL, ERR_MALFORMED_REQUEST},
    {"encrypted_wasm", "null", ERR_MALFORMED_REQUEST},
    {"encrypted_wasm", "[]", ERR_MALFORMED_REQUEST},
    {"encrypted_wasm", "\"\"", ERR_INVALID_ARGUMENTS},
    {"encrypted_wasm", "\"AAAA\"", ERR_INVALID_ARGUMENTS},
    {"encrypted_wasm", "\"AAAAAAAAAAAAAAAAAAAA\"", ERR_INVALID_ARGUMENTS}, /* 15 bytes */
    {"encrypted_wasm", "\"AAAAAAAAAAAAAAAAAAAAAA\"", ERR_MALFORMED_REQUEST},
    {"encrypted_wasm", "\"AAAAAAAAAAAAAAAAAAAAAB==\"", ERR_MALFORMED_REQUEST},
    {"encrypted_wasm", "\"AAAAAAAAAAAAAAAAAAAA\\nAA==\"", ERR_MALFORMED_REQUEST},
    {"encrypted_wasm", "\"AAAAAAAAAAAAAAAAAAAA-_==\"", ERR_MALFORMED_REQUEST},
    {"encrypted_arguments", "null", ERR_MALFORMED_REQUEST},
    {"encrypted_arguments", "{}", ERR_MALFORMED_REQUEST},
    {"encrypted_arguments", "\"\"", ERR_INVALID_ARGUMENTS},
    {"encrypted_arguments", "\"!\"", ERR_MALFORMED_REQUEST},
    {"function_name", NULL, ERR_MALFORMED_REQUEST},
    {"function_name", "null", ERR_MALFORMED_REQUEST},
    {"function_name", "1", ERR_MALFORMED_REQUEST},
    {"function_name", "\"\"", ERR_INVALID_ARGUMENTS},
    {"arguments", "null", ERR_MALFORMED_REQUEST},
    {"arguments", "\"[]\"", ERR_MALFORMED_REQUEST},
    {"arguments", "{}", ERR_MALFORMED_REQUEST},
    {"arguments", "[true]", ERR_INVALID_ARGUMENTS},
    {"public_key", NULL, ERR_MALFORMED_REQUEST},
    {"public_key", "null", ERR_MALFORMED_REQUEST},
    {"public_key", "7", ERR_MALFORMED_REQUEST},
    {"public_key", "\"?\"", ERR_MALFORMED_REQUEST},
    {"public_key", "\"\"", ERR_INVALID_KEY},
    {"public_key", "\"AAAA\"", ERR_INVALID_KEY},
    {"request_hash", "null", ERR_MALFORMED_REQUEST},
    {"request_hash", "1", ERR_MALFORMED_REQUEST},
    {"request_hash", "\"\"", ERR_MALFORMED_REQUEST},
    {"request_hash", "\"0000000000000000000000000000000000000000000000000000000000000000\"",
     ERR_COMMITMENT_MISMATCH},
    {"request_hash", "\"000000000000000000000000000000000000000000000000000000000000000g\"",
     ERR_MALFORMED_REQUEST},
    {"timeout_seconds", "null", ERR_MALFORMED_REQUEST},
    {"timeout_seconds", "\"10\"", ERR_MALFORMED_REQUEST},
    {"timeout_seconds", "1.5", ERR_MALFORMED_REQUEST},
    {"timeout_seconds", "0", ERR_INVALID_ARGUMENTS},
    {"timeout_seconds", "-1", ERR_INVALID_ARGUMENTS},
    {"timeout_seconds", "301", ERR_INVALID_ARGUMENTS},
    {"timeout_seconds", "1", ERR_NONE},
    {"timeout_seconds", "300", ERR_NONE},
    {"gas_limit", "null", ERR_MALFORMED_REQUEST},
    {"gas_limit", "\"1\"", ERR_MALFORMED_REQUEST},
    {"gas_limit", "0", ERR_INVALID_ARGUMENTS},
    {"gas_limit", "-1", ERR_INVALID_ARGUMENTS},
    {"gas_limit", "9007199254740992", ERR_INVALID_ARGUMENTS},
    {"gas_limit", "9007199254740991", ERR_NONE},
    {"gas_limit", "1", ERR_NONE},
    {"memory_limit_bytes", "null", ERR_MALFORMED_REQUEST},
    {"memory_limit_bytes", "-1", ERR_INVALID_ARGUMENTS},
    {"memory_limit_bytes", "67108865", ERR_INVALID_ARGUMENTS},
    {"memory_limit_bytes", "67108864", ERR_NONE},
    {"memory_limit_bytes", "0", ERR_NONE},
    {"result_type", "null", ERR_MALFORMED_REQUEST},
    {"result_type", "7", ERR_MALFORMED_REQUEST},
    {"result_type", "\"\"", ERR_INVALID_ARGUMENTS},
    {"result_type", "\"Values\"", ERR_INVALID_ARGUMENTS},
    {"result_type", "\"bytes\"", ERR_NONE},
    {"mode", "null", ERR_MALFORMED_REQUEST},
    {"mode", "\"\"", ERR_INVALID_ARGUMENTS},
    {"mode", "\"jit\"", ERR_INVALID_ARGUMENTS},
    {"mode", "\"interpreter\"", ERR_NONE},
    {"request_metadata", "null", ERR_MALFORMED_REQUEST},
    {"request_metadata", "[]", ERR_MALFORMED_REQUEST},
    {"request_metadata", "{\"a\":[1]}", ERR_NONE},
    {"surplus", "1", ERR_MALFORMED_REQUEST},
};

Test(service_execute_request, every_member_wrong_in_every_way_has_its_code_and_its_name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct err err = parse_with(row->member, row->value == NULL ? NULL : json_of(row->value));
        cr_expect_eq(err.code, row->code, "%s %s: %d %s", row->member, row->value, err.code,
                     err.message);
        cr_expect(row->code == ERR_NONE || strstr(err.message, row->member) != NULL, "%s: %s",
                  row->member, err.message);
    }
}

static json_t *repeated(char letter, size_t count)
{
    char *text = heap_alloc(count + 1);
    memset(text, letter, count);
    json_t *json = json_string(text);
    heap_free(text);
    return json;
}

Test(service_execute_request, what_is_too_long_is_told_from_what_just_fits)
{
    cr_expect_eq(parse_with("function_name", repeated('f', 256)).code, ERR_NONE);
    cr_expect_eq(parse_with("function_name", repeated('f', 257)).code, ERR_INVALID_ARGUMENTS);
    size_t module_max = service_config_default.module_bytes_max + CRYPTO_AEAD_TAG_BYTES;
    size_t fits = module_max / 3 * 4;
    cr_expect_eq(parse_with("encrypted_wasm", repeated('A', fits)).code, ERR_NONE);
    cr_expect_eq(parse_with("encrypted_wasm", repeated('A', fits + 4)).code, ERR_PAYLOAD_TOO_LARGE);
    cr_expect_eq(parse_with("encrypted_wasm", repeated('A', fits + 400)).code,
                 ERR_PAYLOAD_TOO_LARGE);
    cr_expect_eq(parse_with("public_key", repeated('A', 1000)).code, ERR_INVALID_KEY);
    cr_expect_eq(parse_with("request_metadata", json_pack("{s:o}", "a", repeated('x', 4088))).code,
                 ERR_NONE);
    cr_expect_eq(parse_with("request_metadata", json_pack("{s:o}", "a", repeated('x', 4089))).code,
                 ERR_INVALID_ARGUMENTS);
}

Test(service_execute_request, a_key_must_be_a_point_in_either_form)
{
    uint8_t point[CRYPTO_P256_POINT_BYTES + 1];
    size_t size = 0;
    char text[100];
    cr_assert(text_base64_decode(good_key, strlen(good_key), point, &size));
    text_base64_encode(bytes_of(point + 1, 64), text);
    cr_expect_eq(parse_with("public_key", json_string(text)).code, ERR_NONE);
    point[40] ^= 1;
    text_base64_encode(bytes_of(point, 65), text);
    cr_expect_eq(parse_with("public_key", json_string(text)).code, ERR_INVALID_KEY);
    text_base64_encode(bytes_of(point + 1, 64), text);
    cr_expect_eq(parse_with("public_key", json_string(text)).code, ERR_INVALID_KEY);
    point[40] ^= 1;
    point[0] = 0x02;
    text_base64_encode(bytes_of(point, 65), text);
    cr_expect_eq(parse_with("public_key", json_string(text)).code, ERR_INVALID_KEY);
    text_base64_encode(bytes_of(point, 33), text);
    cr_expect_eq(parse_with("public_key", json_string(text)).code, ERR_INVALID_KEY);
}

Test(service_execute_request, defaults_and_caps_are_applied)
{
    struct execute_request request;
    struct arena arena;
    struct err err;
    json_t *body = good_body();
    arena_init(&arena, NULL);
    cr_assert(parse(body, &request, &arena, &err), "%s", err.message);
    cr_expect_eq(request.timeout_seconds, 10);
    cr_expect_eq(request.gas_limit, service_config_default.gas_max);
    cr_expect_eq(request.memory_limit_bytes, 64 * 1024 * 1024);
    cr_expect_eq(request.result_type, EXECUTE_VALUES);
    cr_expect_eq(json_array_size(request.arguments), 0);
    cr_expect_str_eq(request.request_id_text, good_id);
    execute_request_release(&request);
    json_object_set_new(body, "gas_limit", json_integer(9007199254740991));
    cr_assert(parse(body, &request, &arena, &err));
    cr_expect_eq(request.gas_limit, service_config_default.gas_max, "the cap applies");
    execute_request_release(&request);
    json_object_set_new(body, "gas_limit", json_integer(5));
    cr_assert(parse(body, &request, &arena, &err));
    cr_expect_eq(request.gas_limit, 5);
    execute_request_release(&request);
    json_decref(body);
    arena_release(&arena);
}

Test(service_execute_request, arguments_in_the_clear_and_sealed_exclude_each_other)
{
    json_t *body = good_body();
    json_object_set_new(body, "arguments", json_array());
    json_object_set_new(body, "encrypted_arguments", json_string("AAAAAAAAAAAAAAAAAAAAAA=="));
    struct execute_request request;
    struct arena arena;
    struct err err;
    arena_init(&arena, NULL);
    cr_expect_not(parse(body, &request, &arena, &err));
    cr_expect_eq(err.code, ERR_MALFORMED_REQUEST);
    json_object_del(body, "arguments");
    cr_expect(parse(body, &request, &arena, &err), "%s", err.message);
    cr_expect_eq(request.encrypted_arguments.size, 16);
    execute_request_release(&request);
    json_decref(body);
    arena_release(&arena);
}

static const char *const bad_bodies[] = {
    "",
    " ",
    "{",
    "[]",
    "null",
    "\"x\"",
    "{} {}",
    "{\"a\":1,\"a\":1}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":NaN}",
    "\xef\xbb\xbf{}",
    "{\"a\":\"\xff\"}",
    "{\"request_id\":9007199254740993000000}",
};

Test(service_execute_request, what_is_no_json_object_is_malformed)
{
    for (size_t i = 0; i < sizeof(bad_bodies) / sizeof(bad_bodies[0]); i++) {
        struct execute_request request;
        struct arena arena;
        struct err err = {.code = ERR_NONE};
        arena_init(&arena, NULL);
        cr_expect_not(parse_text(bad_bodies[i], &request, &arena, &err), "%s", bad_bodies[i]);
        cr_expect_eq(err.code, ERR_MALFORMED_REQUEST, "%s", bad_bodies[i]);
        arena_release(&arena);
    }
}

Test(service_execute_request, the_commitment_is_that_of_the_published_vectors)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/docs/vectors/execution.json", WH_SOURCE_DIR);
    json_t *vectors = json_load_file(path, 0, NULL);
    cr_assert_not_null(vectors, "%s", path);
    const json_t *vector = json_array_get(vectors, 0);
    json_t *body = json_of(json_string_value(json_object_get(vector, "body")));
    static const struct {
        const char *member, *from;
    } sealed[] = {{"encrypted_wasm", "encrypted_wasm"}, {"public_key", "enc"}};
    for (size_t i = 0; i < 2; i++) {
        const char *hex = json_string_value(json_object_get(vector, sealed[i].from));
        uint8_t bytes[256];
        char text[400];
        cr_assert(text_hex_decode(hex, strlen(hex), bytes, strlen(hex) / 2));
        text_base64_encode(bytes_of(bytes, strlen(hex) / 2), text);
        json_object_set_new(body, sealed[i].member, json_string(text));
    }
    const char *commitment = json_string_value(json_object_get(vector, "request_commitment"));
    json_object_set_new(body, "request_hash", json_string(commitment));
    struct execute_request request;
    struct arena arena;
    struct err err;
    arena_init(&arena, NULL);
    cr_expect(parse(body, &request, &arena, &err), "%s", err.message);
    execute_request_release(&request);
    arena_release(&arena);
    json_decref(body);
    json_decref(vectors);
}

Test(service_execute_request, without_memory_every_allocation_fails_cleanly)
{
    json_t *body = good_body();
    json_object_set_new(body, "arguments", json_of("[1,{\"type\":\"bytes\",\"value\":\"AAAA\"}]"));
    json_object_set_new(body, "request_metadata", json_of("{\"a\":1}"));
    char *text = json_dumps(body, JSON_COMPACT);
    bool ok = false;
    for (size_t n = 1; n < 1000 && !ok; n++) {
        struct budget budget;
        struct execute_request request;
        struct arena arena;
        struct err err;
        budget_init(&budget, NULL, SIZE_MAX);
        arena_init(&arena, &budget);
        heap_fail_after(n);
        ok = parse_text(text, &request, &arena, &err);
        heap_fail_after(0);
        if (ok) {
            execute_request_release(&request);
        } else {
            cr_expect_eq(err.code, ERR_NO_MEMORY, "%s", err.message);
        }
        arena_release(&arena);
        cr_expect_eq(budget_used(&budget), 0);
    }
    cr_expect(ok);
    heap_free(text);
    json_decref(body);
}
