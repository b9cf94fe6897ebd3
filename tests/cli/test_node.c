/* test_node.c: `serve` and `exec` together: a real node on a free port, a program sent to it, and
 * what the client says when the node cannot be believed or reached.
 *
 * The node's attestation is `none` except where the simulator is the point: its first start makes
 * RSA keys, which takes long.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/program.h"

#include "base/arena.h"
#include "cli/temporary.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct node {
    struct temporary directory;
    struct program_process process;
    char url[256];
};

static struct node node;

/* One line of the node's stdout, without the line break. */
static void read_line(int fd, char *out, size_t size)
{
    size_t used = 0;
    while (used + 1 < size && read(fd, out + used, 1) == 1 && out[used] != '\n') {
        used++;
    }
    out[used] = '\0';
}

static void node_start(const char *tee)
{
    const char *arguments[] = {
        "serve",           "--port", "0", "--tee", tee, "--data-dir", node.directory.path,
        "--drain-seconds", "0",      NULL};
    node.process = program_start(arguments, temporary_file(&node.directory, "stderr"));
    static const char ready[] = "listening on ";
    static const char key[] = "  export WASM_HYPERVISOR_API_KEY=";
    char line[256];
    do {
        read_line(node.process.out_fd, line, sizeof line);
        cr_assert_str_not_empty(line, "the node did not start");
        if (strncmp(line, key, strlen(key)) == 0) {
            setenv("WASM_HYPERVISOR_API_KEY", line + strlen(key), 1);
        }
    } while (strncmp(line, ready, strlen(ready)) != 0);
    snprintf(node.url, sizeof node.url, "%s", line + strlen(ready));
    setenv("WASM_HYPERVISOR_URL", node.url, 1);
}

static void setup(void)
{
    unsetenv("WASM_HYPERVISOR_CONFIG");
    unsetenv("WASM_HYPERVISOR_DATA_DIR");
    unsetenv("http_proxy");
    temporary_make(&node.directory);
    node_start("none");
}

static void teardown(void)
{
    cr_expect_eq(program_stop(&node.process, SIGTERM), 0);
    temporary_remove(&node.directory);
}

TestSuite(cli_node, .init = setup, .fini = teardown);

static void expect(struct program_result result, int code, const char *out, const char *err)
{
    cr_expect_eq(result.code, code, "exit status %d, not %d: %s%s", result.code, code, result.out,
                 result.err);
    cr_expect_not_null(strstr(result.out, out), "stdout lacks '%s': %s", out, result.out);
    cr_expect_not_null(strstr(result.err, err), "stderr lacks '%s': %s", err, result.err);
    program_result_release(&result);
}

Test(cli_node, a_node_that_nothing_vouches_for_gets_no_program)
{
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "add", "1", "2"), 4,
           "attestation: none, NOT verified", "nothing was sent to it");
}

Test(cli_node, a_result_comes_back_decrypted_and_proven)
{
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "add", "40", "2", "--no-attestation"), 0,
           "add: i32 42\nattestation: none, NOT verified\naudit proof: verified (leaf ", "receipt");
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "swap", "-1", "18446744073709551615",
                       "--no-attestation", "--encrypt-arguments"),
           0, "swap: i64 -1, i32 -1\n", "arguments too");
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "same64", "-0", "--no-attestation"), 0,
           "same64: f64 -0\n", "");
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "nothing", "--no-attestation"), 0,
           "nothing: returned\n", "");
}

Test(cli_node, a_failure_is_proven_too)
{
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "divide", "1", "0", "--no-attestation"), 1,
           "divide: failed: EXECUTION_TRAP: ", "");
    expect(
        PROGRAM_RUN("exec", WASM("math"), "--invoke", "spin", "--gas", "1000", "--no-attestation"),
        1, "audit proof: verified (leaf ", "");
    expect(
        PROGRAM_RUN("exec", WASM("math"), "--invoke", "spin", "--timeout", "1", "--no-attestation"),
        1, "spin: failed: EXECUTION_TIMEOUT: ", "");
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "grow", "1", "--memory", "65536",
                       "--no-attestation"),
           1, "grow: failed: MEMORY_EXCEEDED: ", "");
    expect(PROGRAM_RUN("exec", WASM("imports"), "1", "--no-attestation"), 2, "",
           "takes no more than 0");
    expect(PROGRAM_RUN("exec", WASM("imports"), "--no-attestation"), 1,
           "main: failed: POLICY_VIOLATION: ", "");
}

Test(cli_node, buffers_go_in_and_come_out)
{
    const char *file = temporary_write(&node.directory, "data", "\001\002\003");
    char reference[300];
    snprintf(reference, sizeof reference, "@%s", file);
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "sum", reference, "--no-attestation"), 0,
           "sum: i32 6\n", "");
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "sum", "--arg-bytes", file,
                       "--no-attestation"),
           0, "sum: i32 6\n", "");
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "echo", "--arg-string", "h\xc3\xa9llo",
                       "--result-type", "string", "--no-attestation"),
           0, "echo: string h\xc3\xa9llo\n", "");
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "echo", "--arg-bytes", file,
                       "--result-type", "bytes", "--no-attestation"),
           0, "echo: bytes AQID\n", "");
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "swap", reference, "--no-attestation"), 2,
           "", "needs two i32 parameters");
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "sum", "@/nowhere", "--no-attestation"),
           2, "", "'/nowhere'");
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "sum", "--arg-string", "\xff",
                       "--no-attestation"),
           2, "", "not valid UTF-8");
    expect(PROGRAM_RUN("exec", WASM("math"), "--invoke", "add", "1", "--no-attestation"), 2, "",
           "takes 2 parameters, got 1");
}

Test(cli_node, json_names_every_check)
{
    struct program_result result =
        PROGRAM_RUN("exec", WASM("math"), "--invoke", "add64", "9007199254740993", "0",
                    "--no-attestation", "--json");
    cr_expect_eq(result.code, 0, "%s", result.err);
    json_t *json = program_json(&result);
    const json_t *checks = json_object_get(json, "checks");
    const char *name = NULL;
    json_t *check = NULL;
    cr_expect_eq(json_object_size(checks), 8);
    json_object_foreach ((json_t *)checks, name, check) {
        const char *outcome = json_string_value(json_object_get(check, "outcome"));
        cr_expect_str_eq(outcome, strcmp(name, "attestation") == 0 ? "unchecked" : "verified", "%s",
                         name);
    }
    cr_expect(json_is_false(json_object_get(json, "verified")));
    cr_expect(json_is_true(json_object_get(json_object_get(json, "audit"), "verified")));
    const json_t *output =
        json_array_get(json_object_get(json_object_get(json, "result"), "outputs"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(output, "value")), "9007199254740993");
    json_decref(json);
    program_result_release(&result);
}

Test(cli_node, what_is_saved_can_be_read_again)
{
    const char *directory = temporary_file(&node.directory, "saved/here");
    expect(PROGRAM_RUN("exec", WASM("memory"), "--invoke", "echo", "--arg-string", "abc",
                       "--result-type", "bytes", "--no-attestation", "--save", directory),
           0, "echo: bytes YWJj", "");
    static const char *const names[] = {"key.json",    "request.json", "answer.json",
                                        "result.json", "leaf.json",    "proof.tlog"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        cr_expect_eq(access(path, R_OK), 0, "%s", path);
    }
    char content[8] = "";
    FILE *file = fopen(temporary_file(&node.directory, "saved/here/output.bin"), "r");
    cr_assert_not_null(file);
    cr_expect_eq(fread(content, 1, sizeof content, file), 3);
    cr_expect_str_eq(content, "abc");
    fclose(file);
    const char *taken = temporary_write(&node.directory, "taken", "");
    expect(PROGRAM_RUN("exec", WASM("only"), "--no-attestation", "--save", taken), 2, "",
           "something else is there");
}

Test(cli_node, another_key_of_the_log_does_not_verify_the_proof)
{
    expect(PROGRAM_RUN("exec", WASM("only"), "--no-attestation", "--log-vkey",
                       "example.org/x+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
           4, "audit proof: NOT verified", "do not rely on it");
}

Test(cli_node, a_refusal_is_passed_on)
{
    setenv("WASM_HYPERVISOR_API_KEY", "wh_wrong", 1);
    expect(PROGRAM_RUN("exec", WASM("only")), 3, "", "UNAUTHENTICATED (401)");
    unsetenv("WASM_HYPERVISOR_API_KEY");
    expect(PROGRAM_RUN("exec", WASM("only")), 3, "", "WASM_HYPERVISOR_API_KEY");
    expect(PROGRAM_RUN("exec", WASM("only"), "--api-key", "a\nb"), 2, "", "line break");
}

Test(cli_node, wrong_flags_are_refused_before_anything_is_sent)
{
    expect(PROGRAM_RUN("exec", WASM("only"), "--server", "nonsense://x"), 2, "", "'nonsense://x'");
    expect(PROGRAM_RUN("exec", WASM("only"), "--server", "http://x/?q"), 2, "", "'http://x/?q'");
    expect(PROGRAM_RUN("exec", WASM("only"), "--result-type", "x"), 2, "", "not 'x'");
    expect(PROGRAM_RUN("exec", WASM("only"), "--allow-simulated", "abc"), 2, "", "not 'abc'");
    expect(PROGRAM_RUN("exec", WASM("only"), "--timeout", "301"), 2, "", "from 1 to 300");
    expect(PROGRAM_RUN("exec", WASM("only"), "--gas", "9007199254740992"), 2, "", "--gas");
    expect(PROGRAM_RUN("exec", WASM("only"), "--memory", "0"), 2, "", "--memory");
}

Test(cli_node, the_next_start_goes_on_with_log_and_keys)
{
    expect(PROGRAM_RUN("exec", WASM("only"), "--no-attestation"), 0, "answer: i32 42\n", "");
    cr_expect_eq(program_stop(&node.process, SIGINT), 0);
    expect(PROGRAM_RUN("exec", WASM("only"), "--no-attestation"), 3, "", node.url);
    node_start("none");
    expect(PROGRAM_RUN("exec", WASM("only"), "--no-attestation"), 0, "answer: i32 42\n", "");
    const char *log = temporary_file(&node.directory, "audit");
    expect(PROGRAM_RUN("audit", "verify", log), 0, "\nOK", "");
}

Test(cli_node, a_log_that_is_gone_is_not_replaced)
{
    expect(PROGRAM_RUN("exec", WASM("only"), "--no-attestation"), 0, "", "");
    cr_expect_eq(program_stop(&node.process, SIGTERM), 0);
    char other[300];
    const char *log = temporary_file(&node.directory, "audit");
    snprintf(other, sizeof other, "%s.away", log);
    cr_assert_eq(rename(log, other), 0);
    expect(PROGRAM_RUN("serve", "--port", "0", "--data-dir", node.directory.path), 4, "",
           "wasm-hypervisor audit init");
    cr_assert_eq(mkdir(log, 0700), 0);
    expect(PROGRAM_RUN("serve", "--port", "0", "--data-dir", node.directory.path), 4, "",
           "wasm-hypervisor audit init");
    cr_assert_eq(rmdir(log), 0);
    cr_assert_eq(rename(other, log), 0);
    node_start("none");
}

Test(cli_node, a_first_start_takes_an_empty_directory_for_the_log)
{
    cr_expect_eq(program_stop(&node.process, SIGTERM), 0);
    temporary_remove(&node.directory);
    temporary_make(&node.directory);
    cr_assert_eq(mkdir(temporary_file(&node.directory, "audit"), 0700), 0);
    node_start("none");
    expect(PROGRAM_RUN("exec", WASM("only"), "--no-attestation"), 0, "answer: i32 42\n", "");
}

Test(cli_node, a_place_or_port_that_is_taken_is_refused)
{
    expect(PROGRAM_RUN("serve", "--port", "0", "--data-dir", node.directory.path), 2, "",
           "audit log");
    struct temporary other;
    temporary_make(&other);
    expect(PROGRAM_RUN("serve", "--port", strrchr(node.url, ':') + 1, "--data-dir", other.path), 2,
           "", "already in use");
    temporary_remove(&other);
}

Test(cli_node, a_simulated_node_is_believed_only_when_it_was_allowed)
{
    cr_expect_eq(program_stop(&node.process, SIGTERM), 0);
    node_start("simulated");
    expect(PROGRAM_RUN("exec", WASM("only")), 4, "attestation: simulated, NOT verified",
           "--allow-simulated");
    struct program_result result =
        PROGRAM_RUN("exec", WASM("only"), "--allow-simulated", "any", "--json");
    cr_expect_eq(result.code, 0, "%s", result.err);
    json_t *json = program_json(&result);
    cr_expect(json_is_true(json_object_get(json, "verified")));
    const char *root =
        json_string_value(json_object_get(json_object_get(json, "attestation"), "root_sha256"));
    cr_assert_not_null(root);
    expect(PROGRAM_RUN("exec", WASM("only"), "--allow-simulated", root), 0,
           "answer: i32 42\nattestation: simulated, verified\naudit proof: verified (leaf ", "");
    char wrong[65];
    memcpy(wrong, root, sizeof wrong);
    wrong[0] = wrong[0] == '0' ? '1' : '0';
    expect(PROGRAM_RUN("exec", WASM("only"), "--allow-simulated", wrong), 4, "NOT verified", "");
    json_decref(json);
    program_result_release(&result);
}
