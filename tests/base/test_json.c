/* test_json: strict parsing, and the canonical form of RFC 8785.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"

#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void assert_canonical(const char *input, const char *expected)
{
    json_t *value;
    struct err err;
    cr_assert(json_text_parse(bytes_of_string(input), &value, &err), "%s: %s", input, err.message);
    struct buffer out;
    buffer_init(&out, 100000);
    cr_assert(json_canonical(value, &out, &err), "%s", err.message);
    buffer_append_u8(&out, 0);
    cr_assert_str_eq((const char *)out.ptr, expected);
    buffer_release(&out);
    json_decref(value);
}

Test(base_json, refuses_what_is_not_one_strict_value)
{
    static const char *const bad[] = {"",         "{",           "{}x",        "{\"a\":1,\"a\":2}",
                                      "\"\xff\"", "\"\\u0000\"", "[1,]",       "{'a':1}",
                                      "nul",      "01",          "\"\\ud800\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *value;
        struct err err = {0};
        cr_assert_not(json_text_parse(bytes_of_string(bad[i]), &value, &err), "%s", bad[i]);
        cr_assert_eq(err.code, ERR_MALFORMED_REQUEST);
    }
}

Test(base_json, nests_to_the_limit_and_not_one_level_deeper)
{
    char text[2 * (JSON_DEPTH_MAX + 1) + 1];
    for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        json_t *value = NULL;
        struct err err;
        bool ok = json_text_parse(bytes_of(text, 2 * depth), &value, &err);
        cr_assert_eq(ok, depth <= JSON_DEPTH_MAX, "%zu", depth);
        json_decref(value);
    }
}

/* `count` values "{}" in an array, which is one more. */
static bool parses_objects(size_t count)
{
    size_t size = 0;
    char *text = heap_alloc(3 * count + 2);
    text[size++] = '[';
    for (size_t i = 0; i < count; i++) {
        memcpy(text + size, "{},", 3);
        size += 3;
    }
    text[size - 1] = ']';
    json_t *value = NULL;
    struct err err = {0};
    bool ok = json_text_parse(bytes_of(text, size), &value, &err);
    cr_expect_eq(err.code, ok ? ERR_NONE : ERR_MALFORMED_REQUEST);
    json_decref(value);
    heap_free(text);
    return ok;
}

Test(base_json, holds_values_to_the_limit_and_not_one_more)
{
    /* an array of n objects: n + 1 brackets, n - 1 commas */
    cr_expect(parses_objects(JSON_VALUES_MAX / 2 - 1));
    cr_expect(parses_objects(JSON_VALUES_MAX / 2));
    cr_expect_not(parses_objects(JSON_VALUES_MAX / 2 + 1));
    cr_expect_not(parses_objects(1000000));
}

Test(base_json, commas_in_strings_are_no_values)
{
    size_t size = 2 * JSON_VALUES_MAX;
    char *text = heap_alloc(size);
    memset(text, ',', size);
    text[0] = '"';
    text[size - 1] = '"';
    json_t *value = NULL;
    struct err err;
    cr_expect(json_text_parse(bytes_of(text, size), &value, &err));
    json_decref(value);
    heap_free(text);
}

Test(base_json, brackets_in_strings_do_not_nest)
{
    char text[400];
    memset(text, '[', sizeof(text));
    text[0] = '"';
    text[sizeof(text) - 3] = '\\';
    text[sizeof(text) - 2] = '"';
    text[sizeof(text) - 1] = '"';
    json_t *value;
    struct err err;
    cr_assert(json_text_parse(bytes_of(text, sizeof(text)), &value, &err), "%s", err.message);
    json_decref(value);
}

Test(base_json, canonical_form_sorts_by_utf16_and_escapes_little)
{
    assert_canonical("{ \"b\" : [true, false, null], \"a\":{} }",
                     "{\"a\":{},\"b\":[true,false,null]}");
    assert_canonical("{\"\\ufb33\":1,\"\\ud83d\\ude02\":2,\"\\u20ac\":3,\"1\":4,\"\\r\":5,"
                     "\"\\u0080\":6,\"\\u00f6\":7}",
                     "{\"\\r\":5,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":3,"
                     "\"\xf0\x9f\x98\x82\":2,\"\xef\xac\xb3\":1}");
    assert_canonical("\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"",
                     "\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
    assert_canonical("\"\\b\\t\\f\\r\\u007f\"", "\"\\b\\t\\f\\r\x7f\"");
}

Test(base_json, canonical_numbers_are_ecmascripts)
{
    assert_canonical("[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]",
                     "[333333333.3333333,1e+30,4.5,0.002,1e-27]");
    assert_canonical("[0,-0.0,-1,9007199254740991,1.0,1e21,1e20,123e-7,1e-6,1e-7,5e-324,1."
                     "7976931348623157e308,-0.5,9.999999999999997e22,1e23,1.0000000000000001e23]",
                     "[0,0,-1,9007199254740991,1,1e+21,100000000000000000000,0.0000123,0.000001,1e-"
                     "7,5e-324,1.7976931348623157e+308,-0.5,9.999999999999997e+22,1e+23,1."
                     "0000000000000001e+23]");
}

Test(base_json, integers_past_two_to_the_53_are_refused)
{
    static const char *const rows[] = {"9007199254740992", "-9007199254740992"};
    for (size_t i = 0; i < 2; i++) {
        json_t *value;
        struct err err;
        cr_assert(json_text_parse(bytes_of_string(rows[i]), &value, &err));
        struct buffer out;
        buffer_init(&out, 100);
        cr_assert_not(json_canonical(value, &out, &err));
        cr_assert_eq(err.code, ERR_FORMAT);
        buffer_release(&out);
        json_decref(value);
    }
}

Test(base_json, canonical_form_that_does_not_fit_is_a_limit_error)
{
    json_t *value = json_pack("{s:s}", "key", "value");
    struct err err;
    struct buffer out;
    buffer_init(&out, 14);
    cr_assert_not(json_canonical(value, &out, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    buffer_release(&out);
    buffer_init(&out, 15);
    cr_assert(json_canonical(value, &out, &err));
    buffer_release(&out);
    json_decref(value);
}

Test(base_json, plain_json_keeps_its_order_and_writes_short_numbers)
{
    json_t *value =
        json_pack("{s:f, s:I, s:[b, n]}", "z", 0.1, "a", (json_int_t)INT64_MIN, "list", 1);
    struct err err;
    struct buffer out;
    buffer_init(&out, 100);
    cr_assert(json_write(value, &out, &err));
    buffer_append_u8(&out, 0);
    cr_assert_str_eq((const char *)out.ptr,
                     "{\"z\":0.1,\"a\":-9223372036854775808,\"list\":[true,null]}");
    buffer_release(&out);
    json_decref(value);
}

Test(base_json, what_jansson_frees_is_overwritten)
{
    json_wipe_on_free();
    json_malloc_t allocate;
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    cr_assert_eq(release, heap_free_wiped);
    cr_assert_eq(allocate, heap_alloc);
    json_t *value = json_string("a secret that is long enough to be a block of its own");
    cr_assert_not_null(value);
    json_decref(value);
}

/* Without values in between the same text comes out. */
Test(base_json, members_put_in_order_are_the_canonical_form)
{
    static const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff};
    struct buffer out;
    buffer_init(&out, 100000);
    json_put_open(&out);
    json_put_base64(&out, "base64", bytes_of(bytes, sizeof(bytes)));
    json_put_hex(&out, "hex", bytes_of(bytes, sizeof(bytes)));
    json_put_integer(&out, "integer", -((INT64_C(1) << 53) - 1));
    json_put_name(&out, "nested");
    json_put_open(&out);
    json_put_integer(&out, "zero", 0);
    json_put_close(&out);
    json_put_string(&out, "text", "quote \" backslash \\ line \n \x01 \x1f \x7f é");
    json_put_close(&out);
    buffer_append_u8(&out, 0);
    assert_canonical((const char *)out.ptr, (const char *)out.ptr);
    cr_expect_str_eq((const char *)out.ptr,
                     "{\"base64\":\"AH+A/w==\",\"hex\":\"007f80ff\",\"integer\":"
                     "-9007199254740991,\"nested\":{\"zero\":0},\"text\":\"quote \\\" "
                     "backslash \\\\ line \\n \\u0001 \\u001f \x7f é\"}");
    buffer_release(&out);
}

Test(base_json, members_that_do_not_fit_fail_the_buffer)
{
    static const uint8_t bytes[8];
    for (size_t room = 0; room < 30; room++) {
        struct buffer out;
        buffer_init(&out, room);
        json_put_open(&out);
        json_put_hex(&out, "h", bytes_of(bytes, sizeof(bytes)));
        json_put_close(&out);
        cr_expect_eq(out.failed, room < 24, "%zu", room);
        buffer_release(&out);
    }
}

static void assert_thousandths(uint64_t thousandths)
{
    char plain[64];
    struct buffer out;
    struct err err;
    json_t *array = json_pack("[f]", (double)thousandths / 1000);
    buffer_init(&out, 1000);
    json_put_open(&out);
    json_put_thousandths(&out, "n", thousandths);
    buffer_append(&out, "", 1);
    (void)snprintf(plain, sizeof(plain), "%s]", (const char *)out.ptr + strlen("{\"n\":"));
    out.size = 0;
    cr_assert(json_canonical(array, &out, &err));
    buffer_append(&out, "", 1);
    cr_assert_str_eq((const char *)out.ptr + 1, plain);
    cr_assert_eq(strtod(plain, NULL), (double)thousandths / 1000);
    buffer_release(&out);
    json_decref(array);
}

Test(base_json, thousandths_are_the_shortest_form_of_their_number)
{
    static const uint64_t some[] = {0,
                                    1,
                                    9,
                                    10,
                                    99,
                                    100,
                                    101,
                                    999,
                                    1000,
                                    1001,
                                    1010,
                                    1100,
                                    999999,
                                    1000000,
                                    1000001,
                                    123456,
                                    987654321,
                                    999999999999,
                                    1000000000000,
                                    1000000000001,
                                    123456789012345};
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        assert_thousandths(some[i]);
    }
    for (uint64_t i = 1, value = 12345; i < 5000; i++) {
        value = value * 6364136223846793005U + 1442695040888963407U;
        assert_thousandths(value >> (24 + value % 40));
    }
}

/* ---- in pieces ---- */

static json_t *parse_in_pieces(struct bytes text, size_t bytes, size_t *steps, struct err *err)
{
    struct json_parser *parser = json_parser_new(text, JSON_NO_LONGS);
    bool is_done = false;
    for (*steps = 0; !is_done; ++*steps) {
        if (!json_parser_step(parser, bytes, &is_done, err)) {
            json_parser_free(parser);
            return NULL;
        }
    }
    json_t *value = json_incref((json_t *)(uintptr_t)json_parser_value(parser));
    json_parser_free(parser);
    return value;
}

static const char sample_object[] = "{\"a\":[1,-2.5e3,true,false,null,{\"b\":{}}],"
                                    "\"\\u00e9\\ud83d\\ude00\":\"x\\n\\\"\\/\\u0041\"}";
static const char *const samples[] = {
    sample_object,
    " [ \"abcdefghijklmnopqrstuvwxyz\\\\\" , \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" ]\n",
    "-9223372036854775808",
    "\"\"",
    "[[[[]]],{},0.1]",
};

Test(base_json, pieces_of_any_size_come_to_the_same)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        json_t *whole;
        struct err err;
        struct bytes text = bytes_of_string(samples[i]);
        cr_assert(json_text_parse(text, &whole, &err), "%s", err.message);
        size_t before = SIZE_MAX;
        for (size_t bytes = 1; bytes < 4 * text.size; bytes++) {
            size_t steps;
            json_t *value = parse_in_pieces(text, bytes, &steps, &err);
            cr_assert_not_null(value, "%s", err.message);
            cr_expect(json_equal(value, whole));
            cr_expect_leq(steps, before);
            before = steps;
            json_decref(value);
        }
        json_decref(whole);
    }
}

Test(base_json, a_text_that_ends_too_early_or_goes_on_is_refused_in_pieces_too)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        char text[200];
        struct err err;
        size_t steps;
        size_t size = strlen(samples[i]);
        memcpy(text, samples[i], size);
        text[size] = '}';
        for (size_t cut = 1; cut <= size + 1; cut++) {
            json_t *whole = NULL;
            bool ok = json_text_parse(bytes_of(text, cut), &whole, &err);
            json_t *pieces = parse_in_pieces(bytes_of(text, cut), 3, &steps, &err);
            cr_expect_eq(pieces != NULL, ok);
            cr_expect(!ok || json_equal(pieces, whole));
            cr_expect(cut <= size || !ok);
            json_decref(whole);
            json_decref(pieces);
        }
    }
}

Test(base_json, a_text_of_megabytes_takes_many_steps)
{
    size_t size = 4 << 20, steps;
    struct err err;
    char *text = heap_alloc(size);
    memset(text, 'a', size);
    text[0] = '"';
    text[size - 1] = '"';
    json_t *value = parse_in_pieces(bytes_of(text, size), 65536, &steps, &err);
    cr_assert_not_null(value);
    cr_expect_eq(json_string_length(value), size - 2);
    cr_expect_geq(steps, size / 65536);
    json_decref(value);
    heap_free(text);
}

/* {"a":"aaa…","b":["bbb…"]} */
static struct buffer long_strings(size_t first, const char *escape, size_t second)
{
    struct buffer text;
    buffer_init(&text, 8 << 20);
    buffer_append_string(&text, "{\"a\":\"");
    for (size_t i = 0; i < first; i++) {
        buffer_append_u8(&text, 'a');
    }
    buffer_append_string(&text, escape);
    buffer_append_string(&text, "\",\"b\":[\"");
    for (size_t i = 0; i < second; i++) {
        buffer_append_u8(&text, 'b');
    }
    buffer_append_string(&text, "\"]}");
    return text;
}

/* In any container, escaped or not: what it stands for is the same. */
Test(base_json, long_strings_anywhere_are_no_values_and_all_there)
{
    for (int has_escape = 0; has_escape < 2; has_escape++) {
        struct buffer text;
        buffer_init(&text, 2 << 20);
        buffer_append_string(&text, "[{\"value\":\"");
        for (int i = 0; i < 1 << 20; i++) {
            buffer_append_u8(&text, 'a');
        }
        buffer_append_string(&text, has_escape ? "\\nb\\u00e9" : "bc");
        buffer_append_string(&text, "\"},\"short\\n\"]");
        struct json_parser *parser = json_parser_new(buffer_bytes(&text), JSON_LONGS_ANYWHERE);
        struct err err;
        bool is_done = false;
        while (!is_done) {
            cr_assert(json_parser_step(parser, 10000, &is_done, &err), "%s", err.message);
        }
        const json_t *value =
            json_object_get(json_array_get(json_parser_value(parser), 0), "value");
        cr_expect_eq(json_string_length(value), 0);
        struct bytes found = json_parser_string(parser, value);
        struct bytes end = bytes_of_string(has_escape ? "a\nb\xc3\xa9" : "abc");
        cr_assert_eq(found.size, (1 << 20) + end.size - 1);
        cr_expect_eq(found.ptr[0], 'a');
        cr_expect(bytes_equal(bytes_of(found.ptr + found.size - end.size, end.size), end));
        cr_expect_str_eq(json_string_value(json_array_get(json_parser_value(parser), 1)),
                         "short\n");
        json_parser_free(parser);
        buffer_release(&text);
    }
}

static long page_faults(void)
{
    struct rusage usage;
    cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

/* Each of them has room for all that follows it, which need not be what it says. */
Test(base_json, room_that_a_long_string_did_not_need_is_never_touched)
{
    enum { SIZE = 16 << 20, PER_STRING = JSON_LONG_BYTES_MIN, PAGE = 4096 };
    char *text = malloc(SIZE);
    size_t at = 0;
    memset(text, ' ', SIZE);
    for (size_t i = 0; i < JSON_LONGS_MAX; i++) {
        text[at++] = i == 0 ? '[' : ',';
        text[at++] = '"';
        memset(text + at, 'a', PER_STRING);
        at += PER_STRING;
        memcpy(text + at, "\\n\"", 3);
        at += 3;
    }
    text[SIZE - 1] = ']';
    struct json_parser *parser =
        json_parser_new(bytes_of((const uint8_t *)text, SIZE), JSON_LONGS_ANYWHERE);
    struct err err;
    bool is_done = false;
    while (!is_done) {
        cr_assert(json_parser_step(parser, 1 << 20, &is_done, &err), "%s", err.message);
    }
    long before = page_faults();
    json_parser_free(parser);
    cr_expect_lt(page_faults() - before, JSON_LONGS_MAX / 2 * (SIZE / PAGE));
    free(text);
}

static bool long_is_copied(size_t first, const char *escape, size_t second, struct err *err)
{
    struct buffer text = long_strings(first, escape, second);
    struct json_parser *parser = json_parser_new(buffer_bytes(&text), JSON_LONG_MEMBERS);
    bool is_done = false, ok = true, is_copied = false;
    while (ok && !is_done) {
        ok = json_parser_step(parser, 100000, &is_done, err);
    }
    if (ok) {
        const json_t *string = json_object_get(json_parser_value(parser), "a");
        struct bytes found = json_parser_string(parser, string);
        cr_expect_eq(found.size, first + strlen(escape) / 2);
        cr_expect_eq(found.ptr[0], 'a');
        cr_expect_eq(found.ptr[first - 1], 'a');
        is_copied = found.ptr == (const uint8_t *)json_string_value(string);
        err->code = ERR_NONE;
    }
    json_parser_free(parser);
    buffer_release(&text);
    return is_copied;
}

Test(base_json, long_members_of_the_outermost_object_are_not_copied)
{
    struct err err;
    cr_expect(long_is_copied(JSON_LONG_BYTES_MIN - 1, "", 0, &err));
    cr_expect_not(long_is_copied(JSON_LONG_BYTES_MIN, "", 0, &err));
    cr_expect_eq(err.code, ERR_NONE);
    cr_expect_not(long_is_copied(3 << 20, "", 0, &err));
    cr_expect_eq(err.code, ERR_NONE);
    cr_expect(long_is_copied(JSON_LONG_BYTES_MIN, "\\n", 0, &err), "one with an escape is");
}

Test(base_json, other_strings_have_a_limit_together)
{
    struct err err;
    enum { NAMES = 2, ONE = 1 };
    size_t most = JSON_COPIED_BYTES_MAX - NAMES - ONE;
    (void)long_is_copied(ONE, "", most, &err);
    cr_expect_eq(err.code, ERR_NONE);
    (void)long_is_copied(ONE, "", most + 1, &err);
    cr_expect_eq(err.code, ERR_MALFORMED_REQUEST);
    (void)long_is_copied(most, "\\n", 0, &err);
    cr_expect_eq(err.code, ERR_NONE);
    (void)long_is_copied(most + 1, "\\n", 0, &err);
    cr_expect_eq(err.code, ERR_MALFORMED_REQUEST);
    (void)long_is_copied(JSON_LONG_BYTES_MIN, "", most, &err);
    cr_expect_eq(err.code, ERR_NONE, "what is not copied does not count");
}

Test(base_json, a_number_has_a_limit)
{
    char text[1100];
    json_t *value;
    struct err err;
    memset(text, '0', sizeof text);
    text[1] = '.';
    cr_expect(json_text_parse(bytes_of(text, 1000), &value, &err));
    json_decref(value);
    cr_expect_not(json_text_parse(bytes_of(text, 1001), &value, &err));
    cr_expect_not(json_text_parse(bytes_of_string("9223372036854775808"), &value, &err));
    cr_expect_not(json_text_parse(bytes_of_string("1e400"), &value, &err));
}

Test(base_json, every_failure_of_an_allocation_is_told)
{
    for (size_t i = 0; i < 2; i++) {
        bool ok = false;
        for (size_t n = 1; n < 1000 && !ok; n++) {
            json_t *value = NULL;
            struct err err = {0};
            json_wipe_on_free(); /* jansson's allocations count, too */
            heap_fail_after(n);
            ok = json_text_parse(bytes_of_string(samples[i]), &value, &err);
            heap_fail_after(0);
            cr_expect(ok || err.code == ERR_NO_MEMORY);
            json_decref(value);
        }
        cr_expect(ok);
    }
}

Test(base_json, shortest_digits_are_those_of_every_precision)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{5e-324, "5e-324"},
                {1.7976931348623157e308, "1.7976931348623157e+308"},
                {2.2250738585072014e-308, "2.2250738585072014e-308"},
                {9.73e-321, "9.73e-321"},
                {0.1, "0.1"},
                {0.30000000000000004, "0.30000000000000004"},
                {123456789012345680.0, "123456789012345680"},
                {1e21, "1e+21"},
                {1.5, "1.5"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out;
        struct err err;
        json_t *value = json_real(rows[i].value);
        buffer_init(&out, 100);
        cr_assert(json_canonical(value, &out, &err));
        buffer_append_u8(&out, 0);
        cr_expect_str_eq((const char *)out.ptr, rows[i].text);
        buffer_release(&out);
        json_decref(value);
    }
}
