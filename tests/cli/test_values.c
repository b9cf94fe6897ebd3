/* test_values.c: values as people write and read them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/values.h"
#include "service/service.h"

#include <criterion/criterion.h>
#include <string.h>

static struct vm_value parse(const char *text, enum vm_type type)
{
    struct vm_value value;
    struct err err;
    cr_assert(cli_value_parse(text, type, &value, &err), "%s: %s", text, err.message);
    cr_assert_eq(value.type, type);
    return value;
}

static void expect_refused(const char *text, enum vm_type type)
{
    struct vm_value value;
    struct err err = {0};
    cr_expect_not(cli_value_parse(text, type, &value, &err), "%s accepted", text);
    cr_expect_eq(err.code, ERR_INVALID_ARGUMENTS);
    cr_expect_not_null(strstr(err.message, vm_type_name(type)));
}

static void expect_text(struct vm_value value, const char *expected)
{
    struct buffer out;
    buffer_init(&out, 100);
    cli_value_append(&value, &out);
    buffer_append_u8(&out, 0);
    cr_expect_str_eq((const char *)out.ptr, expected);
    buffer_release(&out);
}

Test(cli_values, i32_takes_both_readings_and_nothing_beyond)
{
    cr_expect_eq(parse("0", VM_I32).as.i32, 0);
    cr_expect_eq(parse("2147483647", VM_I32).as.i32, 0x7fffffff);
    cr_expect_eq(parse("4294967295", VM_I32).as.i32, 0xffffffff);
    cr_expect_eq(parse("-2147483648", VM_I32).as.i32, 0x80000000);
    cr_expect_eq(parse("-1", VM_I32).as.i32, 0xffffffff);
    cr_expect_eq(parse("+7", VM_I32).as.i32, 7);
    cr_expect_eq(parse("0xFf", VM_I32).as.i32, 255);
    cr_expect_eq(parse("-0x80000000", VM_I32).as.i32, 0x80000000);
    expect_refused("4294967296", VM_I32);
    expect_refused("-2147483649", VM_I32);
    expect_refused("0x100000000", VM_I32);
}

Test(cli_values, i64_takes_both_readings_and_nothing_beyond)
{
    cr_expect_eq(parse("18446744073709551615", VM_I64).as.i64, UINT64_MAX);
    cr_expect_eq(parse("-9223372036854775808", VM_I64).as.i64, UINT64_C(1) << 63);
    cr_expect_eq(parse("-9007199254740993", VM_I64).as.i64, (uint64_t)INT64_C(-9007199254740993));
    cr_expect_eq(parse("0xffffffffffffffff", VM_I64).as.i64, UINT64_MAX);
    expect_refused("18446744073709551616", VM_I64);
    expect_refused("-9223372036854775809", VM_I64);
}

Test(cli_values, what_is_no_integer_is_refused)
{
    static const char *const bad[] = {"",    "-",   "+",    "0x",  "1.0", "1e3", " 1", "1 ",
                                      "--1", "-+1", "0x1g", "abc", "nan", "1_0", "@1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_refused(bad[i], VM_I32);
        expect_refused(bad[i], VM_I64);
    }
}

Test(cli_values, f64_is_read_to_the_last_bit)
{
    double number = 0;
    struct vm_value value = parse("0.1", VM_F64);
    memcpy(&number, &value.as.f64, sizeof number);
    cr_expect(number == 0.1);
    value = parse("-0x1.8p3", VM_F64);
    memcpy(&number, &value.as.f64, sizeof number);
    cr_expect(number == -12.0);
    cr_expect_eq(parse("-0", VM_F64).as.f64, UINT64_C(1) << 63);
    cr_expect_eq(parse("4.9406564584124654e-324", VM_F64).as.f64, 1);
    cr_expect_eq(parse("inf", VM_F64).as.f64, UINT64_C(0x7ff) << 52);
    cr_expect_eq(parse("-inf", VM_F64).as.f64, UINT64_C(0xfff) << 52);
    cr_expect_eq(parse("nan", VM_F64).as.f64, UINT64_C(0x7ff8) << 48);
    cr_expect_eq(parse("-nan:0x1", VM_F64).as.f64, (UINT64_C(0xfff) << 52) | 1);
    cr_expect_eq(parse("nan:0xfffffffffffff", VM_F64).as.f64, UINT64_C(0x7fffffffffffffff));
    expect_refused("nan:0x10000000000000", VM_F64);
    expect_refused("nan:0x0", VM_F64);
    expect_refused("nan:0x", VM_F64);
    expect_refused("nan:1", VM_F64);
    expect_refused("1e400", VM_F64);
}

Test(cli_values, f32_is_rounded_once)
{
    /* 1 + 2^-24 + 2^-60: rounding to double first would lose what breaks the tie. */
    cr_expect_eq(parse("1.00000005960464477626171", VM_F32).as.f32, 0x3f800001);
    cr_expect_eq(parse("nan:0x1", VM_F32).as.f32, 0x7f800001);
    cr_expect_eq(parse("nan:0x7fffff", VM_F32).as.f32, 0x7fffffff);
    cr_expect_eq(parse("3.4028235e38", VM_F32).as.f32, 0x7f7fffff);
    expect_refused("nan:0x800000", VM_F32);
    expect_refused("3.5e38", VM_F32);
}

Test(cli_values, what_is_no_number_is_refused_for_floats)
{
    static const char *const bad[] = {"",      " 1",   "1 ",  "infx", "NAN",
                                      "nan()", "1..2", "0xg", "e",    "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_refused(bad[i], VM_F32);
        expect_refused(bad[i], VM_F64);
    }
    static char longer[80];
    memset(longer, '1', sizeof longer - 1);
    expect_refused(longer, VM_F64);
}

Test(cli_values, vectors_and_references_have_one_form)
{
    struct vm_value value = parse("000102030405060708090a0b0c0d0e0f", VM_V128);
    cr_expect_eq(value.as.v128[1], 1);
    cr_expect_eq(value.as.v128[15], 15);
    expect_text(value, "000102030405060708090a0b0c0d0e0f");
    expect_refused("00", VM_V128);
    cr_expect_null(parse("null", VM_FUNCREF).as.funcref);
    expect_refused("1", VM_FUNCREF);
    cr_expect_eq(parse("null", VM_EXTERNREF).as.externref, 0);
    cr_expect_eq(parse("5", VM_EXTERNREF).as.externref, 6);
    expect_refused("18446744073709551615", VM_EXTERNREF);
    expect_refused("x", VM_EXTERNREF);
    expect_text(parse("null", VM_FUNCREF), "null");
    expect_text(parse("5", VM_EXTERNREF), "5");
    expect_text(parse("null", VM_EXTERNREF), "null");
}

Test(cli_values, a_prefix_must_agree_with_the_parameter)
{
    cr_expect_eq(parse("i64:5", VM_I64).as.i64, 5);
    cr_expect_eq(parse("f64:nan:0x1", VM_F64).as.f64, (UINT64_C(0x7ff) << 52) | 1);
    expect_refused("i64:5", VM_I32);
    expect_refused("i32:", VM_I32);
    expect_refused("i65:5", VM_I32);
}

Test(cli_values, what_is_printed_reads_back_to_the_same_bits)
{
    static const char *const doubles[] = {"0",
                                          "-0",
                                          "0.1",
                                          "1e+100",
                                          "-1.5",
                                          "5e-324",
                                          "0.30000000000000004",
                                          "inf",
                                          "-inf",
                                          "nan",
                                          "-nan",
                                          "nan:0x1",
                                          "123456789012345680"};
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
        struct vm_value value = parse(doubles[i], VM_F64);
        struct buffer out;
        buffer_init(&out, 100);
        cli_value_append(&value, &out);
        buffer_append_u8(&out, 0);
        cr_expect_eq(parse((const char *)out.ptr, VM_F64).as.f64, value.as.f64, "%s", doubles[i]);
        buffer_release(&out);
    }
    expect_text(parse("0.1", VM_F32), "0.1");
    expect_text(parse("0.1", VM_F64), "0.1");
    expect_text(parse("nan:0x200000", VM_F32), "nan:0x200000");
    expect_text(parse("4294967295", VM_I32), "-1");
    expect_text(parse("18446744073709551615", VM_I64), "-1");
}

static void expect_json(const char *text, enum vm_type type, const char *expected)
{
    struct vm_value value = parse(text, type);
    json_t *json = service_value_to_json(&value);
    char *dump = json_dumps(json, JSON_COMPACT);
    cr_expect_str_eq(dump, expected);
    heap_free(dump);
    json_decref(json);
}

Test(cli_values, json_holds_what_a_reader_would_round_as_a_string)
{
    expect_json("-1", VM_I32, "{\"type\":\"i32\",\"value\":-1}");
    expect_json("9007199254740993", VM_I64, "{\"type\":\"i64\",\"value\":\"9007199254740993\"}");
    expect_json("1.5", VM_F32, "{\"type\":\"f32\",\"value\":1.5}");
    expect_json("9007199254740994", VM_F64, "{\"type\":\"f64\",\"value\":9007199254740994.0}");
    expect_json("-0", VM_F64, "{\"type\":\"f64\",\"value\":\"-0\"}");
    expect_json("nan", VM_F32, "{\"type\":\"f32\",\"value\":\"nan\"}");
    expect_json("-inf", VM_F64, "{\"type\":\"f64\",\"value\":\"-inf\"}");
    expect_json("null", VM_EXTERNREF, "{\"type\":\"externref\",\"value\":null}");
    expect_json("3", VM_EXTERNREF, "{\"type\":\"externref\",\"value\":\"ref\"}");
    expect_json("000102030405060708090a0b0c0d0e0f", VM_V128,
                "{\"type\":\"v128\",\"value\":\"000102030405060708090a0b0c0d0e0f\"}");
}
