/* test_program.c: the built program from outside: help, unknown words, files that are not there,
 * keys, logs, a node's life.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/program.h"

#include "base/arena.h"
#include "cli/temporary.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void setup(void)
{
    unsetenv("WASM_HYPERVISOR_CONFIG");
    unsetenv("WASM_HYPERVISOR_DATA_DIR");
    unsetenv("WASM_HYPERVISOR_API_KEY");
    unsetenv("WASM_HYPERVISOR_URL");
}

TestSuite(cli_program, .init = setup);

static const char *const command_names[] = {
    "serve",         "exec",         "run",           "load",
    "inspect",       "audit verify", "audit init",    "audit checkpoint",
    "audit prove",   "audit export", "audit show",    "audit rotate",
    "audit prune",   "key new",      "key list",      "key revoke",
    "attest verify", "attest show",  "attest report", "attest fresh",
    "attest measure"};
enum { COMMANDS = sizeof command_names / sizeof command_names[0] };

/* The words of a command's name, NULL-terminated. */
static void words_of(const char *name, char *copy, size_t size, const char **words)
{
    snprintf(copy, size, "%s", name);
    char *space = strchr(copy, ' ');
    words[0] = copy;
    words[1] = NULL;
    words[2] = NULL;
    if (space != NULL) {
        *space = '\0';
        words[1] = space + 1;
    }
}

static void expect(struct program_result result, int code, const char *out, const char *err)
{
    cr_expect_eq(result.code, code, "exit status %d, not %d: %s%s", result.code, code, result.out,
                 result.err);
    cr_expect_not_null(strstr(result.out, out), "stdout lacks '%s': %s", out, result.out);
    cr_expect_not_null(strstr(result.err, err), "stderr lacks '%s': %s", err, result.err);
    if (code == 0 && err[0] == '\0') {
        cr_expect_str_empty(result.err);
    }
    program_result_release(&result);
}

Test(cli_program, every_command_helps_in_three_ways_with_the_same_words)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        char copy[64];
        const char *words[3];
        words_of(command_names[i], copy, sizeof copy, words);
        const char *help[] = {"help", words[0], words[1], NULL};
        const char *flag[] = {words[0], words[1] != NULL ? words[1] : "--help",
                              words[1] != NULL ? "--help" : NULL, NULL};
        const char *letter[] = {words[0], words[1] != NULL ? words[1] : "-h",
                                words[1] != NULL ? "-h" : NULL, NULL};
        struct program_result first = program_run(help);
        struct program_result second = program_run(flag);
        struct program_result third = program_run(letter);
        cr_expect_eq(first.code + second.code + third.code, 0);
        cr_expect_str_eq(first.out, second.out);
        cr_expect_str_eq(first.out, third.out);
        cr_expect_str_empty(first.err);
        static const char *const sections[] = {"NAME\n", "USAGE\n", "DESCRIPTION\n", "OPTIONS\n",
                                               "EXIT STATUS\n"};
        for (size_t j = 0; j < sizeof sections / sizeof sections[0]; j++) {
            cr_expect_not_null(strstr(first.out, sections[j]), "%s lacks %s", command_names[i],
                               sections[j]);
        }
        program_result_release(&first);
        program_result_release(&second);
        program_result_release(&third);
    }
}

Test(cli_program, the_page_holds_every_help_text)
{
    FILE *file = fopen(WH_SOURCE_DIR "/docs/cli.md", "r");
    cr_assert_not_null(file);
    static char page[160 * 1024];
    size_t size = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    cr_assert_lt(size, sizeof page - 1);
    for (size_t i = 0; i < COMMANDS; i++) {
        char copy[64];
        const char *words[3];
        words_of(command_names[i], copy, sizeof copy, words);
        struct program_result help =
            program_run((const char *const[]){"help", words[0], words[1], NULL});
        cr_expect_not_null(strstr(page, help.out),
                           "docs/cli.md is old: put in what 'wasm-hypervisor help %s' prints",
                           command_names[i]);
        program_result_release(&help);
    }
}

/* Lines of the list: "  serve              run a node", up to the one of help itself. */
static size_t listed(const char *list)
{
    size_t count = 0;
    const char *line = strstr(list, "\nCOMMANDS\n");
    const char *end = strstr(list, "\n  help ");
    cr_assert(line != NULL && end != NULL);
    for (line++; (line = strchr(line, '\n')) != end; line++) {
        count++;
    }
    return count;
}

Test(cli_program, the_list_names_every_command)
{
    struct program_result list = PROGRAM_RUN("help");
    cr_expect_eq(list.code, 0);
    cr_expect_eq(listed(list.out), COMMANDS, "a command is missing in this test");
    for (size_t i = 0; i < COMMANDS; i++) {
        cr_expect_not_null(strstr(list.out, command_names[i]));
    }
    program_result_release(&list);
    expect(PROGRAM_RUN("--help"), 0, "COMMANDS", "");
    expect(PROGRAM_RUN("-h"), 0, "COMMANDS", "");
    expect(program_run((const char *const[]){NULL}), 2, "", "COMMANDS");
    expect(PROGRAM_RUN("help", "key"), 0, "key revoke", "");
    expect(PROGRAM_RUN("audit", "--help"), 0, "audit verify", "");
}

Test(cli_program, the_version_tells_of_the_parts)
{
    expect(PROGRAM_RUN("--version"), 0, "wasm-hypervisor " WH_VERSION, "");
    expect(PROGRAM_RUN("--version"), 0, "dispatch, gas schedule 1", "");
    expect(PROGRAM_RUN("--version"), 0, "OpenSSL", "");
}

Test(cli_program, an_unknown_command_is_named)
{
    expect(PROGRAM_RUN("sever"), 2, "", "there is no command 'sever'");
    expect(PROGRAM_RUN("help", "sever"), 2, "", "there is no command 'sever'");
    expect(PROGRAM_RUN("--sever"), 2, "", "there is no command '--sever'");
    expect(PROGRAM_RUN("key"), 2, "", "key list");
    expect(PROGRAM_RUN("key", "lost"), 2, "", "there is no 'lost' here");
}

Test(cli_program, every_command_refuses_an_unknown_flag)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        char copy[64], message[128];
        const char *words[3];
        words_of(command_names[i], copy, sizeof copy, words);
        const char *arguments[] = {words[0], words[1] != NULL ? words[1] : "--flux",
                                   words[1] != NULL ? "--flux" : NULL, NULL};
        snprintf(message, sizeof message, "wasm-hypervisor %s: there is no flag '--flux'",
                 command_names[i]);
        expect(program_run(arguments), 2, "", message);
    }
}

Test(cli_program, what_is_missing_is_asked_for)
{
    expect(PROGRAM_RUN("run"), 2, "", "which module?");
    expect(PROGRAM_RUN("exec"), 2, "", "which module?");
    expect(PROGRAM_RUN("inspect"), 2, "", "which module?");
    expect(PROGRAM_RUN("audit", "verify"), 2, "", "which log?");
    expect(PROGRAM_RUN("audit", "init"), 2, "", "which log?");
    expect(PROGRAM_RUN("audit", "rotate"), 2, "", "which log?");
    expect(PROGRAM_RUN("audit", "prove"), 2, "", "which entry?");
    expect(PROGRAM_RUN("audit", "prove", "x"), 2, "", "neither an index nor a request id");
    expect(PROGRAM_RUN("audit", "show"), 2, "", "which request?");
    expect(PROGRAM_RUN("audit", "show", "7"), 2, "", "not a request id");
    expect(PROGRAM_RUN("audit", "export", "x", "--format", "xml"), 2, "", "jsonl or csv");
    expect(PROGRAM_RUN("audit", "export", "x", "--from", "2", "--to", "1"), 2, "", "behind --to");
    expect(PROGRAM_RUN("audit", "verify", "ftp://127.0.0.1/log"), 2, "", "not the address");
    expect(PROGRAM_RUN("audit", "init"), 2, "", "which log?");
    expect(PROGRAM_RUN("audit", "checkpoint"), 2, "", "which log?");
    expect(PROGRAM_RUN("key", "revoke"), 2, "", "which key?");
    expect(PROGRAM_RUN("attest", "verify"), 2, "", "which report?");
    expect(PROGRAM_RUN("attest", "show"), 2, "", "which report?");
    expect(PROGRAM_RUN("attest", "measure"), 2, "", "which firmware?");
}

Test(cli_program, what_is_too_much_is_refused)
{
    expect(PROGRAM_RUN("serve", "x"), 2, "", "unexpected argument 'x'");
    expect(PROGRAM_RUN("inspect", "a", "b"), 2, "", "one argument too many: 'b'");
    expect(PROGRAM_RUN("audit", "verify", "a", "b"), 2, "", "one argument too many: 'b'");
    expect(PROGRAM_RUN("key", "list", "x"), 2, "", "unexpected argument 'x'");
    expect(PROGRAM_RUN("key", "new", "x"), 2, "", "unexpected argument 'x'");
    expect(PROGRAM_RUN("key", "revoke", "x", "y"), 2, "", "one argument too many: 'y'");
}

Test(cli_program, a_file_that_cannot_be_read_is_named_with_the_reason)
{
    expect(PROGRAM_RUN("run", "/nowhere/x.wasm"), 2, "",
           "wasm-hypervisor run: cannot open '/nowhere/x.wasm': No such file or directory");
    expect(PROGRAM_RUN("inspect", "/"), 2, "", "cannot read '/': Is a directory");
    expect(PROGRAM_RUN("exec", "/nowhere/x.wasm"), 2, "", "cannot open '/nowhere/x.wasm'");
    expect(PROGRAM_RUN("audit", "checkpoint", "/nowhere"), 2, "", "/nowhere: No such file");
    expect(PROGRAM_RUN("audit", "verify", "/", "--since", "/nowhere"), 2, "", "'/nowhere'");
}

Test(cli_program, what_is_not_a_module_is_told_apart)
{
    expect(PROGRAM_RUN("inspect", WH_SOURCE_DIR "/src/main.c"), 1, "",
           "is not a WebAssembly binary (it does not begin with");
    expect(PROGRAM_RUN("run", WH_SOURCE_DIR "/tests/cli/wat/math.wat"), 1, "", "run wat2wasm");
    expect(PROGRAM_RUN("inspect", "-"), 1, "", "'-' is not a WebAssembly binary");
}

Test(cli_program, inspect_shows_imports_exports_and_types)
{
    expect(PROGRAM_RUN("inspect", WASM("imports")), 0, "func    env.print  (i32)", "");
    expect(PROGRAM_RUN("inspect", WASM("math")), 0, "func    swap  (i32, i64) -> i64, i32", "");
    expect(PROGRAM_RUN("inspect", WASM("memory")), 0, "memory  memory  1 to any number of pages",
           "");
    expect(PROGRAM_RUN("inspect", WASM("memories")), 0, "memory  memory  64-bit, 1 to 9 pages", "");
    expect(PROGRAM_RUN("inspect", WASM("start_traps")), 0, "start function: [0]", "");
    expect(PROGRAM_RUN("inspect", WASM("only"), "--function", "0"), 0, "i32.const", "");
    expect(PROGRAM_RUN("inspect", WASM("imports"), "--function", "0"), 2, "",
           "numbered from 1 to 1");
    expect(PROGRAM_RUN("inspect", WASM("only"), "--function", "1"), 2, "", "numbered from 0 to 0");
    expect(PROGRAM_RUN("inspect", WASM("only"), "--function", "x"), 2, "", "--function must be");
}

Test(cli_program, run_takes_tail_calls_and_holds_all_memories_to_the_limit)
{
    expect(PROGRAM_RUN("run", WASM("memories"), "--invoke", "count", "1000000"), 0, "i32 42",
           "gas 6000003, ");
    expect(PROGRAM_RUN("run", WASM("memories"), "--invoke", "grow", "1", "--memory", "196608"), 0,
           "i64 1", "memory 196608 bytes");
    expect(PROGRAM_RUN("run", WASM("memories"), "--invoke", "grow", "1", "--memory", "196607"), 1,
           "", "memory");
    expect(PROGRAM_RUN("run", WASM("memories"), "--invoke", "count", "1", "--memory", "131071"), 1,
           "", "memory");
}

Test(cli_program, inspect_json_says_the_same)
{
    struct program_result result = PROGRAM_RUN("inspect", WASM("imports"), "--json");
    json_t *json = program_json(&result);
    cr_expect_eq(json_array_size(json_object_get(json, "imports")), 1);
    const json_t *import = json_array_get(json_object_get(json, "imports"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(import, "module")), "env");
    cr_expect_str_eq(json_string_value(json_object_get(import, "name")), "print");
    cr_expect_str_eq(json_string_value(json_object_get(import, "type")), "(i32)");
    const json_t *export = json_array_get(json_object_get(json, "exports"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(export, "name")), "main");
    cr_expect_eq(json_integer_value(json_object_get(export, "index")), 1);
    cr_expect_eq(json_string_length(json_object_get(json, "program_hash")), 64);
    json_decref(json);
    program_result_release(&result);
}

/* ---- keys ---- */

Test(cli_program, keys_are_made_listed_and_revoked)
{
    struct temporary directory;
    temporary_make(&directory);
    struct program_result made =
        PROGRAM_RUN("key", "new", "--name", "laptop", "--scopes", "execute,metrics", "--expires",
                    "7", "--data-dir", directory.path);
    cr_assert_eq(made.code, 0, "%s", made.err);
    cr_expect_eq(strlen(made.out), 63 + 1);
    char id[17] = "";
    memcpy(id, made.out + 3, 16);
    cr_expect_not_null(strstr(made.err, id));
    struct program_result list = PROGRAM_RUN("key", "list", "--json", "--data-dir", directory.path);
    json_t *keys = program_json(&list);
    const json_t *key = json_array_get(keys, 0);
    cr_expect_eq(json_array_size(keys), 1);
    cr_expect_str_eq(json_string_value(json_object_get(key, "id")), id);
    cr_expect_str_eq(json_string_value(json_object_get(key, "name")), "laptop");
    cr_expect_str_eq(json_string_value(json_object_get(key, "scopes")), "execute,metrics");
    cr_expect_str_eq(json_string_value(json_object_get(key, "state")), "valid");
    cr_expect(json_is_string(json_object_get(key, "expires_at")));
    json_decref(keys);
    expect(PROGRAM_RUN("key", "revoke", id, "--data-dir", directory.path), 0, id, "");
    expect(PROGRAM_RUN("key", "list", "--data-dir", directory.path), 0, "revoked", "");
    expect(PROGRAM_RUN("key", "revoke", "0000000000000000", "--data-dir", directory.path), 2, "",
           "there is no key with the id '0000000000000000'");
    program_result_release(&made);
    program_result_release(&list);
    temporary_remove(&directory);
}

Test(cli_program, a_key_for_nothing_or_for_what_there_is_not_is_refused)
{
    static char long_name[66];
    memset(long_name, 'n', sizeof long_name - 1);
    expect(PROGRAM_RUN("key", "new", "--scopes", "fly"), 2, "", "not 'fly'");
    expect(PROGRAM_RUN("key", "new", "--scopes", ""), 2, "", "not ''");
    expect(PROGRAM_RUN("key", "new", "--scopes", "execute,"), 2, "", "not 'execute,'");
    expect(PROGRAM_RUN("key", "new", "--expires", "0"), 2, "", "--expires must be");
    expect(PROGRAM_RUN("key", "new", "--name", long_name), 2, "", "at most 64 bytes");
}

Test(cli_program, without_a_home_the_place_must_be_said)
{
    unsetenv("HOME");
    unsetenv("XDG_DATA_HOME");
    expect(PROGRAM_RUN("key", "list"), 2, "", "say where with --data-dir");
    expect(PROGRAM_RUN("serve", "--port", "0"), 2, "", "say where with --data-dir");
}

Test(cli_program, a_place_that_is_no_directory_is_refused)
{
    struct temporary directory;
    temporary_make(&directory);
    const char *file = temporary_write(&directory, "file", "x");
    expect(PROGRAM_RUN("key", "list", "--data-dir", file), 2, "", "something else is there");
    expect(PROGRAM_RUN("key", "list", "--data-dir", ""), 2, "", "data_dir must have");
    expect(PROGRAM_RUN("key", "list", "--data-dir", "/proc/nowhere/x"), 2, "",
           "cannot make the directory");
    temporary_remove(&directory);
}

/* ---- logs ---- */

Test(cli_program, a_log_is_made_read_and_verified)
{
    struct temporary directory;
    temporary_make(&directory);
    const char *log = temporary_file(&directory, "log");
    expect(PROGRAM_RUN("audit", "init", log, "--origin", "example.org/log"), 0, "log.vkey", "");
    expect(PROGRAM_RUN("audit", "init", log), 2, "", "not empty");
    struct program_result checkpoint = PROGRAM_RUN("audit", "checkpoint", log);
    cr_expect_eq(checkpoint.code, 0);
    cr_expect_eq(strncmp(checkpoint.out, "example.org/log\n1\n", 18), 0);
    const char *kept = temporary_write(&directory, "kept", checkpoint.out);
    expect(PROGRAM_RUN("audit", "verify", log), 0, "\nOK", "");
    expect(PROGRAM_RUN("audit", "verify", log, "--since", kept), 0, "\nOK", "");
    expect(PROGRAM_RUN("audit", "rotate", log), 0, "entry 1 ends the segment", "");
    expect(PROGRAM_RUN("audit", "rotate", log), 0, "entry 1 ends the segment", "");
    struct program_result report = PROGRAM_RUN("audit", "verify", log, "--since", kept, "--json");
    json_t *json = program_json(&report);
    cr_expect_str_eq(json_string_value(json_object_get(json, "verdict")), "OK");
    cr_expect_eq(json_integer_value(json_object_get(json, "size")), 2);
    cr_expect_eq(json_integer_value(json_object_get(json, "segments_closed")), 1);
    cr_expect(json_is_null(json_object_get(json, "bad_index")));
    json_decref(json);
    program_result_release(&report);
    program_result_release(&checkpoint);
    temporary_remove(&directory);
}

Test(cli_program, only_the_verdict_ok_is_a_success)
{
    struct temporary directory;
    temporary_make(&directory);
    const char *log = temporary_file(&directory, "log");
    const char *other = temporary_file(&directory, "other");
    expect(PROGRAM_RUN("audit", "init", log), 0, "", "");
    expect(PROGRAM_RUN("audit", "init", other), 0, "", "");
    struct program_result checkpoint = PROGRAM_RUN("audit", "checkpoint", other);
    const char *kept = temporary_write(&directory, "kept", checkpoint.out);
    struct program_result report = PROGRAM_RUN("audit", "verify", log, "--since", kept);
    cr_expect_eq(report.code, 8, "%s", report.out);
    program_result_release(&checkpoint);
    program_result_release(&report);
    report = PROGRAM_RUN("audit", "verify", log, "--vkey",
                         "example.org/x+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    cr_expect_eq(report.code, 8, "%s", report.out);
    program_result_release(&report);
    temporary_remove(&directory);
}

/* ---- settings ---- */

Test(cli_program, check_config_prints_what_would_be_in_effect)
{
    struct temporary directory;
    temporary_make(&directory);
    const char *path = temporary_write(
        &directory, "c.yaml", "server:\n  port: 1\n  workers: 2\nlogging:\n  level: warn\n");
    setenv("WASM_HYPERVISOR_SERVER_WORKERS", "3", 1);
    setenv("WASM_HYPERVISOR_LOGGING_LEVEL", "error", 1);
    struct program_result result =
        PROGRAM_RUN("serve", "--check-config", "--config", path, "--log-level", "debug");
    cr_expect_eq(result.code, 0, "%s", result.err);
    cr_expect_not_null(strstr(result.out, "  port: 1  # file, line 2\n"));
    cr_expect_not_null(
        strstr(result.out, "  workers: 3  # environment, WASM_HYPERVISOR_SERVER_WORKERS\n"));
    cr_expect_not_null(strstr(result.out, "  level: debug  # flag, --log-level\n"));
    program_result_release(&result);
    setenv("WASM_HYPERVISOR_CONFIG", path, 1);
    expect(PROGRAM_RUN("serve", "--check-config"), 0, "  port: 1  # file, line 2\n", "");
    unsetenv("WASM_HYPERVISOR_SERVER_WORKERS");
    unsetenv("WASM_HYPERVISOR_LOGGING_LEVEL");
    temporary_remove(&directory);
}

Test(cli_program, wrong_settings_end_the_start)
{
    struct temporary directory;
    temporary_make(&directory);
    const char *path = temporary_write(&directory, "c.yaml", "server:\n  prot: 1\n");
    expect(PROGRAM_RUN("serve", "--check-config", "--config", path), 2, "",
           "c.yaml:2: there is no");
    expect(PROGRAM_RUN("serve", "--port", "65536"), 2, "", "--port: server.port must be");
    expect(PROGRAM_RUN("serve", "--config", "/nowhere/c.yaml"), 2, "", "'/nowhere/c.yaml'");
    expect(PROGRAM_RUN("serve", "--host", "0.0.0.0", "--data-dir", directory.path), 2, "",
           "server.allow_plaintext");
    expect(PROGRAM_RUN("serve", "--log-file", "/nowhere/log", "--data-dir", directory.path), 2, "",
           "/nowhere/log");
    const char *simulator = temporary_file(&directory, "tee");
    cr_assert(mkdir(simulator, 0700) == 0 && chmod(simulator, 0755) == 0);
    expect(PROGRAM_RUN("serve", "--port", "0", "--tee", "simulated", "--data-dir", directory.path),
           2, "", "make it 700");
    temporary_remove(&directory);
}
