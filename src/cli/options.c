/* options.c: flags by getopt_long, help and complaints, all from one table per command.
 *
 * getopt_long runs in "return in order" mode, so that `run x.wasm --invoke f 1 --invoke g 2` keeps
 * which argument belongs to which call. Before each step we look at the next word ourselves: "-5"
 * and
 * "-inf" are values of a guest's parameters, not flags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/cli.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* getopt_long itself returns characters and 1: ids begin behind them. */
enum { FIRST_ID = 1000, HELP_ID = FIRST_ID, HELP_COLUMN = 26 };

void cli_options_init(struct cli_options *options, const struct cli_command *command, int argc,
                      char **argv)
{
    assert(command->option_count <= CLI_OPTIONS_MAX);
    *options = (struct cli_options){.command = command, .argc = argc, .argv = argv};
    for (size_t i = 0; i < command->option_count; i++) {
        const struct cli_option *row = &command->options[i];
        options->table[i] =
            (struct option){row->name, row->argument != NULL ? required_argument : no_argument,
                            NULL, FIRST_ID + row->id};
    }
    options->table[command->option_count] = (struct option){"help", no_argument, NULL, HELP_ID};
    optind = 0; /* glibc: start afresh, and read the mode in the option string again */
    opterr = 0;
}

static bool looks_like_a_number(const char *word)
{
    if (word[0] != '-') {
        return false;
    }
    return isdigit((unsigned char)word[1]) || (word[1] == '.' && isdigit((unsigned char)word[2])) ||
           strncmp(word + 1, "inf", 3) == 0 || strncmp(word + 1, "nan", 3) == 0;
}

static int options_bad(struct cli_options *options, int previous_index, bool is_missing)
{
    const char *word = options->argv[previous_index];
    if (is_missing) {
        cli_complain_usage(options->command, "'%s' needs a value", word);
    } else if (strncmp(word, "--", 2) == 0 && strchr(word, '=') != NULL) {
        cli_complain_usage(options->command, "'%s': there is no such flag, or it takes no value",
                           word);
    } else {
        cli_complain_usage(options->command, "there is no flag '%s'", word);
    }
    return CLI_OPTION_BAD;
}

int cli_options_next(struct cli_options *options, const char **text)
{
    *text = NULL;
    int index = optind == 0 ? 1 : optind;
    if (index < options->argc &&
        (options->only_positionals || looks_like_a_number(options->argv[index]))) {
        *text = options->argv[index];
        optind = index + 1;
        return CLI_OPTION_POSITIONAL;
    }
    if (index < options->argc && strcmp(options->argv[index], "--") == 0) {
        options->only_positionals = true;
        optind = index + 1;
        return cli_options_next(options, text);
    }
    if (index >= options->argc) {
        return CLI_OPTION_END;
    }
    int id = getopt_long(options->argc, options->argv, "-:h", options->table, NULL);
    switch (id) {
    case -1:
        return CLI_OPTION_END;
    case 1:
        *text = optarg;
        return CLI_OPTION_POSITIONAL;
    case 'h':
    case HELP_ID:
        cli_help_print(options->command, stdout);
        return CLI_OPTION_HELP;
    case ':':
    case '?':
        return options_bad(options, index, id == ':');
    default:
        *text = optarg;
        return id - FIRST_ID;
    }
}

bool cli_options_number(const struct cli_options *options, const char *flag, const char *text,
                        uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (!text_u64_decode(text, strlen(text), &value) || value < min || value > max) {
        cli_complain_usage(options->command,
                           "--%s must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'", flag,
                           min, max, text);
        return false;
    }
    *out = value;
    return true;
}

bool cli_options_word(const struct cli_options *options, const char *text, const char **word)
{
    if (*word != NULL) {
        cli_complain_usage(options->command, "one argument too many: '%s'", text);
        return false;
    }
    *word = text;
    return true;
}

int cli_options_read(const struct cli_command *command, int argc, char **argv, void *request,
                     cli_option_cb take)
{
    struct cli_options options;
    const char *text;
    int id;
    cli_options_init(&options, command, argc, argv);
    while ((id = cli_options_next(&options, &text)) != CLI_OPTION_END) {
        if (id == CLI_OPTION_HELP) {
            return CLI_OK;
        }
        if (id == CLI_OPTION_BAD || !take(&options, id, text, request)) {
            return CLI_USAGE;
        }
    }
    return -1;
}

/* Prints `text` so that every line after the first begins in the help column. */
static void help_text_print(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        fputc(*text, out);
        if (*text == '\n') {
            fprintf(out, "%*s", HELP_COLUMN, "");
        }
    }
    fputc('\n', out);
}

static void help_option_print(const char *name, const char *argument, const char *help, FILE *out)
{
    int width = fprintf(out, "  --%s%s%s", name, argument != NULL ? " " : "",
                        argument != NULL ? argument : "");
    if (width < HELP_COLUMN - 1) {
        fprintf(out, "%*s", HELP_COLUMN - width, "");
    } else {
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    }
    help_text_print(help, out);
}

void cli_help_print(const struct cli_command *command, FILE *out)
{
    fprintf(out, "NAME\n  wasm-hypervisor %s - %s\n\nUSAGE\n  wasm-hypervisor %s%s%s\n\n",
            command->name, command->summary, command->name, command->synopsis[0] != '\0' ? " " : "",
            command->synopsis);
    fprintf(out, "DESCRIPTION\n%s\nOPTIONS\n", command->description);
    for (size_t i = 0; i < command->option_count; i++) {
        const struct cli_option *row = &command->options[i];
        help_option_print(row->name, row->argument, row->help, out);
    }
    help_option_print("help", NULL, "print this text", out);
    fprintf(out, "\n%s", command->notes);
}

static void complain(const struct cli_command *command, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void complain(const struct cli_command *command, const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "wasm-hypervisor %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void cli_complain(const struct cli_command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(command, format, arguments);
    va_end(arguments);
}

int cli_complain_usage(const struct cli_command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(command, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Usage: wasm-hypervisor %s %s\nTry 'wasm-hypervisor %s --help'.\n",
            command->name, command->synopsis, command->name);
    return CLI_USAGE;
}

int cli_complain_err(const struct cli_command *command, const struct err *err)
{
    cli_complain(command, "%s", err->message);
    /* The last two: a file that has the wrong mode, or is not there. */
    if (err->code == ERR_INVALID_ARGUMENTS || err->code == ERR_FUNCTION_NOT_FOUND ||
        err->code == ERR_FORBIDDEN || err->code == ERR_NOT_FOUND) {
        return CLI_USAGE;
    }
    int http_status = err_code_http_status(err->code);
    if (http_status >= 400 && http_status < 500) {
        return CLI_PROGRAM_FAILED;
    }
    bool is_users = err->code == ERR_IO || err->code == ERR_LIMIT || err->code == ERR_CONFIG ||
                    err->code == ERR_USAGE || err->code == ERR_FORMAT || err->code == ERR_BUSY;
    if (err->code == ERR_TAMPERED) {
        return CLI_UNVERIFIED;
    }
    return is_users || err->code == ERR_UNLINKABLE ? CLI_USAGE : CLI_INTERNAL;
}
