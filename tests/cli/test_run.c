/* test_run.c: `run` from outside: values in and out, several calls, traps, limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/program.h"

#include "base/arena.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_out(struct program_result result, const char *out)
{
    cr_expect_eq(result.code, 0, "exit status %d: %s", result.code, result.err);
    cr_expect_str_eq(result.out, out);
    program_result_release(&result);
}

static void expect_failure(struct program_result result, int code, const char *out, const char *err)
{
    cr_expect_eq(result.code, code, "exit status %d: %s", result.code, result.err);
    cr_expect_str_eq(result.out, out);
    cr_expect_not_null(strstr(result.err, err), "stderr lacks '%s': %s", err, result.err);
    program_result_release(&result);
}

Test(cli_run, prints_name_type_and_value)
{
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "add", "40", "2"), "add: i32 42\n");
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "fac", "20"),
               "fac: i64 2432902008176640000\n");
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "swap", "-1", "0x10"),
               "swap: i64 16, i32 -1\n");
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "nothing"), "nothing: returned\n");
}

Test(cli_run, floats_pass_bit_by_bit)
{
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "half", "-0.2"), "half: f64 -0.1\n");
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "same32", "nan:0x200000"),
               "same32: f32 nan:0x200000\n");
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "same64", "-inf"),
               "same64: f64 -inf\n");
    expect_out(PROGRAM_RUN("run", WASM("math"), "--invoke", "same64", "-0"), "same64: f64 -0\n");
}

Test(cli_run, finds_the_function_that_is_meant)
{
    expect_out(PROGRAM_RUN("run", WASM("main")), "main: i32 2\n");
    expect_out(PROGRAM_RUN("run", WASM("only")), "answer: i32 42\n");
    expect_failure(PROGRAM_RUN("run", WASM("math")), 2, "", "add(i32, i32) -> i32");
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "sub"), 2, "",
                   "there is no exported function 'sub'");
    expect_failure(PROGRAM_RUN("run", WASM("memory"), "--invoke", "memory"), 2, "",
                   "there is no exported function 'memory'");
}

Test(cli_run, arguments_before_the_function_belong_to_the_default_one)
{
    expect_failure(PROGRAM_RUN("run", WASM("main"), "1"), 2, "", "'main' takes 0 arguments, got 1");
    expect_failure(PROGRAM_RUN("run", WASM("math"), "1", "--invoke", "add", "2"), 2, "",
                   "put the arguments of 'add' after --invoke add");
}

Test(cli_run, wrong_arguments_are_named_and_nothing_runs)
{
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "add", "1"), 2, "",
                   "'add' takes 2 arguments, got 1: (i32, i32) -> i32");
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "add", "1", "x"), 2, "",
                   "argument 2 of 'add': 'x' is not a value of type i32");
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "add", "1", "i64:2"), 2, "",
                   "for a parameter of type i32");
}

Test(cli_run, several_calls_act_on_one_instance)
{
    expect_out(PROGRAM_RUN("run", WASM("counter"), "--invoke", "add", "5", "--invoke", "add", "-2",
                           "--invoke", "add", "@2"),
               "add: i32 5\nadd: i32 3\nadd: i32 6\n");
}

Test(cli_run, a_reference_must_name_an_earlier_result_of_the_type)
{
    expect_failure(PROGRAM_RUN("run", WASM("counter"), "--invoke", "add", "@1"), 2, "",
                   "must name an earlier call");
    expect_failure(
        PROGRAM_RUN("run", WASM("counter"), "--invoke", "add", "1", "--invoke", "add", "@0"), 2, "",
        "must name an earlier call");
    expect_failure(PROGRAM_RUN("run", WASM("counter"), "--invoke", "wide", "--invoke", "add", "@1"),
                   2, "", "'@1' is of type i64, the parameter of type i32");
    expect_failure(
        PROGRAM_RUN("run", WASM("math"), "--invoke", "nothing", "--invoke", "add", "1", "@1"), 2,
        "", "that call has no result");
}

Test(cli_run, a_trap_is_told_with_its_place)
{
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "divide", "1", "0"), 1, "",
                   "integer divide by zero in 'divide', at byte 0x");
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "deep"), 1, "",
                   "call stack exhausted");
    expect_failure(PROGRAM_RUN("run", WASM("start_traps")), 1, "", "unreachable");
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "add", "1", "2", "--invoke",
                               "divide", "1", "0"),
                   1, "add: i32 3\n", "integer divide by zero");
}

Test(cli_run, limits_end_the_program)
{
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "spin", "--gas", "1000"), 1, "",
                   "used up its 1000 units of gas");
    expect_failure(PROGRAM_RUN("run", WASM("math"), "--invoke", "spin", "--timeout", "1"), 1, "",
                   "stopped after 1 s");
    expect_failure(PROGRAM_RUN("run", WASM("memory"), "--invoke", "grow", "1", "--memory", "65536"),
                   1, "", "memory limit exceeded");
    expect_out(PROGRAM_RUN("run", WASM("memory"), "--invoke", "grow", "1", "--memory", "131072"),
               "grow: i32 1\n");
    expect_failure(PROGRAM_RUN("run", WASM("memory"), "--invoke", "grow", "0", "--memory", "65535"),
                   1, "", "");
}

Test(cli_run, imports_are_refused)
{
    expect_failure(PROGRAM_RUN("run", WASM("imports")), 1, "", "the module imports 'env.print'");
}

Test(cli_run, numbers_of_flags_are_checked)
{
    static const char *const flags[] = {"--gas", "--timeout", "--slice"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (i > 0) { /* no gas at all is a limit, too */
            expect_failure(PROGRAM_RUN("run", WASM("only"), flags[i], "0"), 2, "", flags[i]);
        }
        expect_failure(PROGRAM_RUN("run", WASM("only"), flags[i], "x"), 2, "", "not 'x'");
    }
    expect_failure(PROGRAM_RUN("run", WASM("only"), "--memory", "4294967297"), 2, "", "--memory");
}

Test(cli_run, too_many_calls_or_arguments_are_refused)
{
    const char *calls[4 + 2 * 65] = {"run", WASM("only")};
    for (size_t i = 0; i < 65; i++) {
        calls[2 + 2 * i] = "--invoke";
        calls[3 + 2 * i] = "answer";
    }
    expect_failure(program_run(calls), 2, "", "more than 64 calls");
    calls[2 + 2 * 64] = NULL;
    struct program_result most = program_run(calls);
    cr_expect_eq(most.code, 0);
    program_result_release(&most);
}

/* ---- JSON ---- */

static json_t *run_json(struct program_result result, int code)
{
    cr_expect_eq(result.code, code, "exit status %d: %s", result.code, result.err);
    json_t *json = program_json(&result);
    program_result_release(&result);
    return json;
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

Test(cli_run, json_tells_all_of_a_success)
{
    json_t *json = run_json(
        PROGRAM_RUN("run", WASM("counter"), "--invoke", "add", "5", "--invoke", "wide", "--json"),
        0);
    cr_expect_str_eq(text_at(json, "status"), "success");
    cr_expect(json_is_null(json_object_get(json, "error")));
    json_t *output = json_array_get(json_object_get(json, "outputs"), 0);
    cr_expect_str_eq(text_at(output, "type"), "i64");
    cr_expect_str_eq(text_at(output, "value"), "7");
    cr_expect_gt(json_integer_value(json_object_get(json, "gas_consumed")), 0);
    cr_expect(json_is_integer(json_object_get(json, "memory_used_bytes")));
    cr_expect(json_is_real(json_object_get(json, "execution_time_ms")));
    json_t *calls = json_object_get(json, "calls");
    cr_expect_eq(json_array_size(calls), 2);
    cr_expect_str_eq(text_at(json_array_get(calls, 0), "function"), "add");
    output = json_array_get(json_object_get(json_array_get(calls, 0), "outputs"), 0);
    cr_expect_eq(json_integer_value(json_object_get(output, "value")), 5);
    json_decref(json);
}

Test(cli_run, json_tells_all_of_a_trap)
{
    json_t *json =
        run_json(PROGRAM_RUN("run", WASM("math"), "--invoke", "divide", "1", "0", "--json"), 1);
    cr_expect_str_eq(text_at(json, "status"), "error");
    cr_expect_eq(json_array_size(json_object_get(json, "outputs")), 0);
    const json_t *error = json_object_get(json, "error");
    cr_expect_str_eq(text_at(error, "code"), "EXECUTION_TRAP");
    cr_expect_str_eq(text_at(error, "trap"), "INTEGER_DIVIDE_BY_ZERO");
    cr_expect_str_eq(text_at(error, "function"), "divide");
    cr_expect_gt(json_integer_value(json_object_get(error, "offset")), 8);
    json_decref(json);
}

static void expect_code(struct program_result result, const char *status, const char *code)
{
    json_t *json = run_json(result, 1);
    const json_t *error = json_object_get(json, "error");
    cr_expect_str_eq(text_at(json, "status"), status);
    cr_expect_str_eq(text_at(error, "code"), code);
    cr_expect_gt(strlen(text_at(error, "message")), 0);
    json_decref(json);
}

Test(cli_run, json_has_the_code_of_each_failure)
{
    expect_code(PROGRAM_RUN("run", WASM("math"), "--invoke", "spin", "--gas", "9", "--json"),
                "resource_exhausted", "GAS_EXHAUSTED");
    expect_code(PROGRAM_RUN("run", WASM("math"), "--invoke", "spin", "--timeout", "1", "--json"),
                "timeout", "EXECUTION_TIMEOUT");
    expect_code(PROGRAM_RUN("run", WASM("math"), "--invoke", "deep", "--json"),
                "resource_exhausted", "STACK_EXHAUSTED");
    expect_code(PROGRAM_RUN("run", WASM("memory"), "--invoke", "grow", "9999", "--json"),
                "resource_exhausted", "MEMORY_EXCEEDED");
    expect_code(PROGRAM_RUN("run", WASM("imports"), "--json"), "error", "POLICY_VIOLATION");
    expect_code(PROGRAM_RUN("run", WH_SOURCE_DIR "/tests/cli/wat/only.wat", "--json"), "error",
                "INVALID_WASM");
}

/* What `fac 20` spends, with a flag and its argument; `code` is the exit status it must have. */
static json_int_t gas_of_fac(const char *flag, const char *argument, int code)
{
    json_t *json = run_json(
        PROGRAM_RUN("run", WASM("math"), "--json", flag, argument, "--invoke", "fac", "20"), code);
    json_int_t gas = json_integer_value(json_object_get(json, "gas_consumed"));
    json_decref(json);
    return gas;
}

Test(cli_run, a_profile_goes_to_stderr_and_changes_nothing_else)
{
    struct program_result plain = PROGRAM_RUN("run", WASM("math"), "--invoke", "fac", "20");
    struct program_result result =
        PROGRAM_RUN("run", WASM("math"), "--profile", "--invoke", "fac", "20");
    cr_expect_eq(result.code, 0);
    cr_expect_str_eq(result.out, plain.out);
    cr_expect_eq(strncmp(result.err, plain.err, strcspn(plain.err, ",")), 0, "gas: %s", result.err);
    cr_expect_not_null(strstr(result.err, "dispatches "), "%s", result.err);
    cr_expect_not_null(strstr(result.err, "  i64.mul\n"), "%s", result.err);
    program_result_release(&plain);
    program_result_release(&result);
    expect_failure(PROGRAM_RUN("run", WASM("imports"), "--profile"), 1, "", "import");
}

Test(cli_run, gas_is_the_same_however_the_run_is_sliced_and_every_limit_is_exact)
{
    json_int_t whole = gas_of_fac("--slice", "1000000", 0);
    cr_expect_gt(whole, 100);
    static const char *const slices[] = {"1", "7", "1000"};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        cr_expect_eq(gas_of_fac("--slice", slices[i], 0), whole);
    }
    for (json_int_t n = 0; n <= whole + 1; n++) {
        char limit[32];
        snprintf(limit, sizeof limit, "%lld", (long long)n);
        cr_expect_eq(gas_of_fac("--gas", limit, n < whole), n < whole ? n : whole);
    }
    expect_code(PROGRAM_RUN("run", WASM("math"), "--invoke", "fac", "20", "--gas", "9", "--json"),
                "resource_exhausted", "GAS_EXHAUSTED");
}
