/* test_values.c: values: every type, every accepted form, every bad one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/values.h"

#include "base/json.h"
#include "service/execute_request.h"
#include "service/service.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool read_buffers(struct values_argument *arguments, uint32_t count, struct arena *arena,
                         size_t bytes, struct err *err)
{
    bool is_done = false;
    while (!is_done) {
        if (!values_read_buffers(arguments, count, arena, bytes, &is_done, err)) {
            return false;
        }
    }
    return true;
}

static bool parse_as(const char *arguments, const enum vm_type *types, uint32_t count,
                     struct arena *arena, struct values_argument **out, uint32_t *out_count,
                     struct err *err)
{
    struct vm_func_type type = {.param_count = count, .result_count = 0, .types = types};
    json_t *json = NULL;
    cr_assert(json_text_parse(bytes_of_string(arguments), &json, err), "%s: %s", arguments,
              err->message);
    bool ok = values_check_form(json, true, err) &&
              values_parse(json, NULL, &type, arena, out, out_count, err) &&
              read_buffers(*out, *out_count, arena, SIZE_MAX, err);
    json_decref(json);
    return ok;
}

struct good {
    enum vm_type type;
    const char *argument;
    uint64_t bits;
    const char *back; /* the result's "value" as JSON text */
};

static const struct good goods[] = {
    {VM_I32, "0", 0, "0"},
    {VM_I32, "-1", 0xffffffff, "-1"},
    {VM_I32, "-2147483648", 0x80000000, "-2147483648"},
    {VM_I32, "4294967295", 0xffffffff, "-1"},
    {VM_I32, "{\"value\": 42}", 42, "42"},
    {VM_I32, "{\"type\":\"i32\",\"value\":7}", 7, "7"},
    {VM_I32, "3.0", 3, "3"},
    {VM_I32, "1e3", 1000, "1000"},
    {VM_I64, "-9007199254740991", (uint64_t)-INT64_C(9007199254740991), "\"-9007199254740991\""},
    {VM_I64, "{\"type\":\"i64\",\"value\":\"-9007199254740993\"}",
     (uint64_t)-INT64_C(9007199254740993), "\"-9007199254740993\""},
    {VM_I64, "{\"value\":\"18446744073709551615\"}", UINT64_MAX, "\"-1\""},
    {VM_I64, "{\"value\":\"-9223372036854775808\"}", UINT64_C(1) << 63, "\"-9223372036854775808\""},
    {VM_I64, "{\"value\":\"0xffffffffffffffff\"}", UINT64_MAX, "\"-1\""},
    {VM_I64, "{\"value\":\"0x1F\"}", 31, "\"31\""},
    {VM_I64, "{\"value\":5}", 5, "\"5\""},
    {VM_F32, "1.5", 0x3fc00000, "1.5"},
    {VM_F32, "0.1", 0x3dcccccd, "0.10000000149011612"},
    {VM_F32, "1", 0x3f800000, "1.0"},
    {VM_F32, "{\"value\":\"nan\"}", 0x7fc00000, "\"nan\""},
    {VM_F32, "{\"value\":\"-nan\"}", 0xffc00000, "\"-nan\""},
    {VM_F32, "{\"value\":\"nan:0x1\"}", 0x7f800001, "\"nan:0x1\""},
    {VM_F32, "{\"value\":\"-nan:0x7fffff\"}", 0xffffffff, "\"-nan:0x7fffff\""},
    {VM_F32, "{\"value\":\"inf\"}", 0x7f800000, "\"inf\""},
    {VM_F32, "{\"value\":\"-inf\"}", 0xff800000, "\"-inf\""},
    {VM_F32, "{\"value\":\"-0\"}", 0x80000000, "\"-0\""},
    {VM_F32, "-0.0", 0x80000000, "\"-0\""},
    {VM_F64, "0.1", 0x3fb999999999999a, "0.1"},
    {VM_F64, "-1e308", 0xffe1ccf385ebc8a0, "-1e308"},
    {VM_F64, "5e-324", 1, "5e-324"},
    {VM_F64, "{\"value\":\"nan\"}", 0x7ff8000000000000, "\"nan\""},
    {VM_F64, "{\"value\":\"nan:0xfffffffffffff\"}", 0x7fffffffffffffff, "\"nan:0xfffffffffffff\""},
    {VM_F64, "{\"value\":\"-inf\"}", 0xfff0000000000000, "\"-inf\""},
    {VM_F64, "{\"type\":\"f64\",\"value\":-0.0}", 0x8000000000000000, "\"-0\""},
    {VM_FUNCREF, "null", 0, "null"},
    {VM_EXTERNREF, "{\"type\":\"externref\",\"value\":null}", 0, "null"},
};

static uint64_t bits_of(const struct vm_value *value)
{
    return value->type == VM_I32 || value->type == VM_F32 ? value->as.i32 : value->as.i64;
}

static void cr_same_json(const char *context, json_t *got, const char *want)
{
    json_t *expected = NULL;
    struct err err;
    cr_assert(json_text_parse(bytes_of_string(want), &expected, &err));
    bool equal = json_is_real(got) || json_is_real(expected)
                     ? json_number_value(got) == json_number_value(expected)
                     : json_equal(got, expected) != 0;
    char *text = json_dumps(got, JSON_ENCODE_ANY);
    cr_expect(equal, "%s: %s, not %s", context, text, want);
    heap_free(text);
    json_decref(expected);
}

Test(service_values, every_form_is_read_and_written_back_exactly)
{
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        char text[128];
        struct arena arena;
        struct err err;
        struct values_argument *parsed = NULL;
        uint32_t count = 0;
        arena_init(&arena, NULL);
        (void)snprintf(text, sizeof(text), "[%s]", goods[i].argument);
        cr_assert(parse_as(text, &goods[i].type, 1, &arena, &parsed, &count, &err), "%s: %s", text,
                  err.message);
        cr_assert_eq(count, 1);
        cr_expect_eq(parsed[0].value.type, goods[i].type);
        cr_expect_eq(bits_of(&parsed[0].value), goods[i].bits, "%s: %" PRIx64, text,
                     bits_of(&parsed[0].value));
        json_t *json = service_value_to_json(&parsed[0].value);
        cr_expect_str_eq(json_string_value(json_object_get(json, "type")),
                         vm_type_name(goods[i].type));
        cr_same_json(text, json_object_get(json, "value"), goods[i].back);
        json_decref(json);
        arena_release(&arena);
    }
}

Test(service_values, v128_keeps_its_bytes_in_order)
{
    static const enum vm_type type = VM_V128;
    struct arena arena;
    struct err err;
    struct values_argument *parsed = NULL;
    uint32_t count = 0;
    arena_init(&arena, NULL);
    cr_assert(parse_as("[{\"value\":\"000102030405060708090a0b0c0d0e0F\"}]", &type, 1, &arena,
                       &parsed, &count, &err));
    for (uint8_t i = 0; i < 16; i++) {
        cr_expect_eq(parsed[0].value.as.v128[i], i);
    }
    json_t *json = service_value_to_json(&parsed[0].value);
    cr_expect_str_eq(json_string_value(json_object_get(json, "value")),
                     "000102030405060708090a0b0c0d0e0f");
    json_decref(json);
    arena_release(&arena);
}

struct bad {
    enum vm_type type;
    const char *arguments;
    const char *says;
};

static const struct bad bads[] = {
    {VM_I32, "[]", "takes 1"},
    {VM_I32, "[1,2]", "too many"},
    {VM_I32, "[1.5]", "arguments[0]"},
    {VM_I32, "[4294967296]", "arguments[0]"},
    {VM_I32, "[-2147483649]", "arguments[0]"},
    {VM_I32, "[1e300]", "arguments[0]"},
    {VM_I32, "[{\"value\":\"1\"}]", "arguments[0]"},
    {VM_I32, "[null]", "arguments[0]"},
    {VM_I32, "[{\"type\":\"i64\",\"value\":1}]", "said to be i64, the parameter is i32"},
    {VM_I32, "[{\"type\":\"bytes\",\"value\":\"\"}]", "too many"},
    {VM_I64, "[1.5]", "arguments[0]"},
    {VM_I64, "[1e16]", "arguments[0]"},
    {VM_I64, "[{\"value\":\"\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"-\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"1.0\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"+1\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"18446744073709551616\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"-9223372036854775809\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"0x\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"0x10000000000000000\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"0xg\"}]", "i64 text"},
    {VM_I64, "[{\"value\":\"-0x1\"}]", "i64 text"},
    {VM_I64, "[null]", "arguments[0]"},
    {VM_F32, "[1e39]", "too large"},
    {VM_F32, "[{\"value\":\"NaN\"}]", "f32 text"},
    {VM_F32, "[{\"value\":\"nan:0x0\"}]", "f32 text"},
    {VM_F32, "[{\"value\":\"nan:0x800000\"}]", "f32 text"},
    {VM_F32, "[{\"value\":\"nan:\"}]", "f32 text"},
    {VM_F32, "[{\"value\":\"0\"}]", "f32 text"},
    {VM_F32, "[{\"value\":\"1.5\"}]", "f32 text"},
    {VM_F32, "[null]", "an f32 must"},
    {VM_F64, "[{\"value\":\"nan:0x10000000000000\"}]", "f64 text"},
    {VM_F64, "[{\"value\":\"infinity\"}]", "f64 text"},
    {VM_F64, "[null]", "an f64 must"},
    {VM_V128, "[0]", "32 hexadecimal"},
    {VM_V128, "[{\"value\":\"00\"}]", "32 hexadecimal"},
    {VM_V128, "[{\"value\":\"zz0102030405060708090a0b0c0d0e0f\"}]", "32 hexadecimal"},
    {VM_FUNCREF, "[0]", "only be null"},
    {VM_EXTERNREF, "[{\"value\":\"x\"}]", "only be null"},
};

Test(service_values, every_bad_value_is_refused_by_name)
{
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct arena arena;
        struct err err;
        struct values_argument *parsed = NULL;
        uint32_t count = 0;
        arena_init(&arena, NULL);
        cr_expect_not(parse_as(bads[i].arguments, &bads[i].type, 1, &arena, &parsed, &count, &err),
                      "%s", bads[i].arguments);
        cr_expect_eq(err.code, ERR_INVALID_ARGUMENTS, "%s", bads[i].arguments);
        cr_expect_not_null(strstr(err.message, bads[i].says), "%s: %s", bads[i].arguments,
                           err.message);
        arena_release(&arena);
    }
}

static const char *const bad_forms[] = {
    "[true]",
    "[\"1\"]",
    "[[]]",
    "[{}]",
    "[{\"type\":\"i32\"}]",
    "[{\"value\":true}]",
    "[{\"value\":[]}]",
    "[{\"value\":1,\"more\":1}]",
    "[{\"type\":\"i32\",\"value\":1,\"more\":1}]",
    "[{\"type\":\"i31\",\"value\":1}]",
    "[{\"type\":7,\"value\":1}]",
    "[{\"type\":\"bytes\",\"value\":1}]",
    "[{\"type\":\"string\",\"value\":null}]",
    "[{\"type\":\"bytes\",\"value\":\"AB==\"}]",
    "[{\"type\":\"bytes\",\"value\":\"!\"}]",
    "[9007199254740992]",
    "[-9007199254740992]",
    "[{\"value\":9007199254740992}]",
};

Test(service_values, what_is_no_argument_at_all_is_refused_without_the_type)
{
    for (size_t i = 0; i < sizeof(bad_forms) / sizeof(bad_forms[0]); i++) {
        json_t *json = NULL;
        struct err err;
        cr_assert(json_text_parse(bytes_of_string(bad_forms[i]), &json, &err));
        cr_expect_not(values_check_form(json, true, &err), "%s", bad_forms[i]);
        cr_expect_eq(err.code, ERR_INVALID_ARGUMENTS);
        cr_expect_not_null(strstr(err.message, "arguments[0]"), "%s", err.message);
        json_decref(json);
    }
}

Test(service_values, a_thousand_elements_are_the_most)
{
    struct err err;
    json_t *array = json_array();
    for (int i = 0; i < EXECUTE_ARGUMENTS_MAX; i++) {
        json_array_append_new(array, json_integer(i));
    }
    cr_expect(values_check_form(array, true, &err));
    json_array_append_new(array, json_integer(0));
    cr_expect_not(values_check_form(array, true, &err));
    cr_expect_eq(err.code, ERR_INVALID_ARGUMENTS);
    json_decref(array);
    json_t *object = json_object();
    cr_expect_not(values_check_form(object, true, &err));
    json_decref(object);
}

Test(service_values, a_buffer_takes_two_i32)
{
    static const enum vm_type types[] = {VM_I64, VM_I32, VM_I32, VM_F32};
    struct arena arena;
    struct err err;
    struct values_argument *parsed = NULL;
    uint32_t count = 0;
    arena_init(&arena, NULL);
    cr_assert(parse_as("[1,{\"type\":\"bytes\",\"value\":\"AAEC\"},2.5]", types, 4, &arena, &parsed,
                       &count, &err),
              "%s", err.message);
    cr_assert_eq(count, 3);
    cr_expect(parsed[1].is_buffer);
    cr_expect_eq(parsed[1].data.size, 3);
    cr_expect_eq(parsed[1].data.ptr[2], 2);
    cr_expect_not(parse_as("[{\"type\":\"string\",\"value\":\"x\"},1,2.5]", types, 4, &arena,
                           &parsed, &count, &err));
    cr_expect_not_null(strstr(err.message, "two i32"), "%s", err.message);
    cr_assert(parse_as("[1,{\"type\":\"string\",\"value\":\"\"},2.5]", types, 4, &arena, &parsed,
                       &count, &err));
    cr_expect_eq(parsed[1].data.size, 0);
    arena_release(&arena);
}

Test(service_values, without_memory_it_says_so)
{
    static const enum vm_type type = VM_I32;
    struct budget budget;
    struct arena arena;
    struct err err;
    struct values_argument *parsed = NULL;
    uint32_t count = 0;
    budget_init(&budget, NULL, 1);
    arena_init(&arena, &budget);
    cr_expect_not(parse_as("[1]", &type, 1, &arena, &parsed, &count, &err));
    cr_expect_eq(err.code, ERR_NO_MEMORY);
    arena_release(&arena);
}

/* Without a look at the base64 before: reading tells. */
static bool parse_in_pieces(const char *arguments, size_t bytes, struct arena *arena,
                            struct values_argument **out, struct err *err)
{
    static const enum vm_type types[] = {VM_I32, VM_I32, VM_I32, VM_I32};
    const struct vm_func_type type = {.param_count = 4, .types = types};
    json_t *json = NULL;
    uint32_t count;
    cr_assert(json_text_parse(bytes_of_string(arguments), &json, err));
    cr_assert(values_check_form(json, false, err));
    cr_assert(values_parse(json, NULL, &type, arena, out, &count, err));
    bool ok = read_buffers(*out, count, arena, bytes, err);
    json_decref(json);
    return ok;
}

Test(service_values, buffers_are_read_in_pieces_of_any_size)
{
    struct arena arena;
    struct err err;
    struct values_argument *parsed;
    arena_init(&arena, NULL);
    for (size_t bytes = 4; bytes < 50; bytes++) {
        cr_assert(parse_in_pieces("[{\"type\":\"string\",\"value\":\"sixteen letters.\"},"
                                  "{\"type\":\"bytes\",\"value\":\"c2l4dGVlbiBsZXR0ZXJzLg==\"}]",
                                  bytes, &arena, &parsed, &err));
        for (int i = 0; i < 2; i++) {
            cr_expect(bytes_equal(parsed[i].data, bytes_of_string("sixteen letters.")));
        }
    }
    arena_release(&arena);
}

Test(service_values, base64_that_is_none_is_refused_in_whatever_piece_it_is)
{
    static const char *const bad[] = {"QQ==QUJD", "QUJDQQ==QUJD", "QUJDQ", "QUJDQUJD?QUJ",
                                      "QUJDQR=="};
    struct arena arena;
    struct err err;
    struct values_argument *parsed;
    arena_init(&arena, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t bytes = 4; bytes < 20; bytes++) {
            char text[200];
            (void)snprintf(text, sizeof(text), "[1,2,{\"type\":\"bytes\",\"value\":\"%s\"}]",
                           bad[i]);
            cr_expect_not(parse_in_pieces(text, bytes, &arena, &parsed, &err), "%s", bad[i]);
            cr_expect_eq(err.code, ERR_INVALID_ARGUMENTS);
            cr_expect_not_null(strstr(err.message, "arguments[2]"), "%s", err.message);
        }
    }
    arena_release(&arena);
}
