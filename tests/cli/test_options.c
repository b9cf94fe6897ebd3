/* test_options.c: flags, positionals between them, and negative numbers that are neither.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

enum { OPT_NUMBER = 1, OPT_FLAG, OPT_NAME };

static const struct cli_option rows[] = {
    {OPT_NUMBER, "number", "N", "a number\non two lines"},
    {OPT_FLAG, "flag", NULL, "a flag"},
    {OPT_NAME, "a-name-that-is-longer-than-the-column", "NAME", "a name"},
};

static int never(const struct cli_command *command, int argc, char **argv)
{
    (void)command;
    (void)argc;
    (void)argv;
    return CLI_INTERNAL;
}

static const struct cli_command command = {.name = "test",
                                           .synopsis = "FILE",
                                           .summary = "tests",
                                           .description = "  Tests.\n",
                                           .options = rows,
                                           .option_count = sizeof rows / sizeof rows[0],
                                           .notes = "NOTES\n  none\n",
                                           .run = never};

/* Everything that comes out, one letter each: N=text F L=text positional=text. */
static void expect_events(const char *const *words, const char *expected)
{
    char *argv[20] = {(char *)"test"};
    int argc = 1;
    for (size_t i = 0; words[i] != NULL; i++) {
        argv[argc++] = (char *)words[i];
    }
    struct cli_options options;
    cli_options_init(&options, &command, argc, argv);
    char events[400] = "";
    const char *text;
    int id;
    while ((id = cli_options_next(&options, &text)) > 0 || id == CLI_OPTION_POSITIONAL) {
        size_t used = strlen(events);
        const char *kind = id == OPT_NUMBER ? "N="
                           : id == OPT_FLAG ? "F"
                           : id == OPT_NAME ? "L="
                                            : "";
        snprintf(events + used, sizeof events - used, "%s%s ", kind, text != NULL ? text : "");
    }
    size_t used = strlen(events);
    snprintf(events + used, sizeof events - used, "%s",
             id == CLI_OPTION_END   ? "END"
             : id == CLI_OPTION_BAD ? "BAD"
                                    : "HELP");
    cr_expect_str_eq(events, expected);
}
#define EXPECT_EVENTS(expected, ...)                                                               \
    expect_events((const char *const[]){__VA_ARGS__, NULL}, expected)

Test(cli_options, flags_and_positionals_keep_their_order)
{
    EXPECT_EVENTS("END", NULL);
    EXPECT_EVENTS("a N=1 b F c END", "a", "--number", "1", "b", "--flag", "c");
    EXPECT_EVENTS("N=1 L=x y END", "--number=1", "--a-name-that-is-longer-than-the-column", "x",
                  "y");
    EXPECT_EVENTS("- END", "-");
}

Test(cli_options, negative_numbers_are_positionals)
{
    EXPECT_EVENTS("f -5 F -1.5 -.5 -inf -nan:0x1 -0x1 END", "f", "-5", "--flag", "-1.5", "-.5",
                  "-inf", "-nan:0x1", "-0x1");
    EXPECT_EVENTS("N=-5 END", "--number", "-5");
}

Test(cli_options, all_after_two_dashes_is_positional)
{
    EXPECT_EVENTS("a --flag -x -- END", "a", "--", "--flag", "-x", "--");
    EXPECT_EVENTS("END", "--");
}

Test(cli_options, an_unknown_flag_is_named, .init = cr_redirect_stderr)
{
    EXPECT_EVENTS("a BAD", "a", "--flux");
    EXPECT_EVENTS("BAD", "-x");
    EXPECT_EVENTS("BAD", "--flag=1");
    EXPECT_EVENTS("BAD", "--number");
    fflush(stderr);
    cr_expect_stderr_eq_str(
        "wasm-hypervisor test: there is no flag '--flux'\n"
        "Usage: wasm-hypervisor test FILE\nTry 'wasm-hypervisor test --help'.\n"
        "wasm-hypervisor test: there is no flag '-x'\n"
        "Usage: wasm-hypervisor test FILE\nTry 'wasm-hypervisor test --help'.\n"
        "wasm-hypervisor test: '--flag=1': there is no such flag, or it takes no value\n"
        "Usage: wasm-hypervisor test FILE\nTry 'wasm-hypervisor test --help'.\n"
        "wasm-hypervisor test: '--number' needs a value\n"
        "Usage: wasm-hypervisor test FILE\nTry 'wasm-hypervisor test --help'.\n");
}

Test(cli_options, help_shows_every_flag, .init = cr_redirect_stdout)
{
    EXPECT_EVENTS("HELP", "--help");
    EXPECT_EVENTS("HELP", "-h");
    cli_help_print(&command, stdout);
    fflush(stdout);
    const char *once = "NAME\n  wasm-hypervisor test - tests\n\n"
                       "USAGE\n  wasm-hypervisor test FILE\n\n"
                       "DESCRIPTION\n  Tests.\n\n"
                       "OPTIONS\n"
                       "  --number N              a number\n"
                       "                          on two lines\n"
                       "  --flag                  a flag\n"
                       "  --a-name-that-is-longer-than-the-column NAME\n"
                       "                          a name\n"
                       "  --help                  print this text\n\n"
                       "NOTES\n  none\n";
    char thrice[2000];
    snprintf(thrice, sizeof thrice, "%s%s%s", once, once, once);
    cr_expect_stdout_eq_str(thrice);
}

static bool number(const char *text, uint64_t *out)
{
    struct cli_options options;
    char *argv[] = {(char *)"test", NULL};
    cli_options_init(&options, &command, 1, argv);
    return cli_options_number(&options, "number", text, 2, 5, out);
}

Test(cli_options, numbers_are_checked_at_below_and_above_their_bounds, .init = cr_redirect_stderr)
{
    uint64_t value = 0;
    cr_expect(number("2", &value) && value == 2);
    cr_expect(number("5", &value) && value == 5);
    value = 99;
    static const char *const bad[] = {"1",   "6",   "",   "-2",
                                      "2.0", "0x2", " 2", "18446744073709551618"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_not(number(bad[i], &value), "%s", bad[i]);
    }
    cr_expect_eq(value, 99);
}

static int code_of(enum err_code code)
{
    struct err err;
    (void)err_set(&err, code, "x");
    return cli_complain_err(&command, &err);
}

Test(cli_options, an_error_has_the_exit_code_of_its_kind, .init = cr_redirect_stderr)
{
    cr_expect_eq(code_of(ERR_IO), CLI_USAGE);
    cr_expect_eq(code_of(ERR_CONFIG), CLI_USAGE);
    cr_expect_eq(code_of(ERR_BUSY), CLI_USAGE);
    cr_expect_eq(code_of(ERR_INVALID_ARGUMENTS), CLI_USAGE);
    cr_expect_eq(code_of(ERR_FUNCTION_NOT_FOUND), CLI_USAGE);
    cr_expect_eq(code_of(ERR_FORBIDDEN), CLI_USAGE);
    cr_expect_eq(code_of(ERR_NOT_FOUND), CLI_USAGE);
    cr_expect_eq(code_of(ERR_INVALID_WASM), CLI_PROGRAM_FAILED);
    cr_expect_eq(code_of(ERR_MEMORY_EXCEEDED), CLI_PROGRAM_FAILED);
    cr_expect_eq(code_of(ERR_TAMPERED), CLI_UNVERIFIED);
    cr_expect_eq(code_of(ERR_NO_MEMORY), CLI_INTERNAL);
    cr_expect_eq(code_of(ERR_CRYPTO), CLI_INTERNAL);
    cr_expect_eq(code_of(ERR_INTERNAL), CLI_INTERNAL);
}
