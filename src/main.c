/* main.c: the list of subcommands, and nothing else: each lives in cli/ and opens what it needs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <string.h>

static const struct cli_command *const commands[] = {
    &cli_command_serve,
    &cli_command_exec,
    &cli_command_run,
    &cli_command_load,
    &cli_command_inspect,
    &cli_command_audit_verify,
    &cli_command_audit_init,
    &cli_command_audit_checkpoint,
    &cli_command_audit_prove,
    &cli_command_audit_export,
    &cli_command_audit_show,
    &cli_command_audit_rotate,
    &cli_command_audit_prune,
    &cli_command_key_new,
    &cli_command_key_list,
    &cli_command_key_revoke,
    &cli_command_attest_verify,
    &cli_command_attest_show,
    &cli_command_attest_report,
    &cli_command_attest_fresh,
    &cli_command_attest_measure,
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void usage_print(FILE *out)
{
    fputs("wasm-hypervisor runs encrypted WebAssembly programs, and proves what it ran.\n\n"
          "USAGE\n  wasm-hypervisor COMMAND [ARGUMENTS]\n\nCOMMANDS\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, "  %-18s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("  help [COMMAND]     print this text, or that of a command\n\n"
          "OPTIONS\n  --help             print this text\n"
          "  --version          print versions\n\n"
          "'wasm-hypervisor COMMAND --help' tells all about a command.\n",
          out);
}

/* The command that the first words name: one word or two. *words tells how many. */
static const struct cli_command *command_find(int argc, char **argv, int *words)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i]->name;
        size_t first = strcspn(name, " ");
        if (argc < 1 || strlen(argv[0]) != first || memcmp(argv[0], name, first) != 0) {
            continue;
        }
        if (name[first] == '\0') {
            *words = 1;
            return commands[i];
        }
        if (argc > 1 && strcmp(argv[1], name + first + 1) == 0) {
            *words = 2;
            return commands[i];
        }
    }
    return NULL;
}

/* "audit" alone: lists its commands. False if no command begins with that word. */
static bool group_print(const char *word, FILE *out)
{
    size_t size = strlen(word);
    bool found = false;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i]->name;
        if (strncmp(name, word, size) == 0 && name[size] == ' ') {
            fprintf(out, "  wasm-hypervisor %-18s %s\n", name, commands[i]->summary);
            found = true;
        }
    }
    return found;
}

static int command_unknown(int argc, char **argv)
{
    bool is_group = false;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t size = strlen(argv[0]);
        is_group = is_group || (strncmp(commands[i]->name, argv[0], size) == 0 &&
                                commands[i]->name[size] == ' ');
    }
    if (is_group && argc == 1) {
        fprintf(stderr, "wasm-hypervisor %s: say what to do:\n", argv[0]);
    } else if (is_group) {
        fprintf(stderr, "wasm-hypervisor %s: there is no '%s' here; there are:\n", argv[0],
                argv[1]);
    } else {
        fprintf(stderr,
                "wasm-hypervisor: there is no command '%s'.\n"
                "Try 'wasm-hypervisor help' for the list.\n",
                argv[0]);
    }
    (void)group_print(argv[0], stderr);
    return CLI_USAGE;
}

static int help(int argc, char **argv)
{
    int words = 0;
    if (argc == 0) {
        usage_print(stdout);
        return CLI_OK;
    }
    const struct cli_command *command = command_find(argc, argv, &words);
    if (command != NULL) {
        cli_help_print(command, stdout);
        return CLI_OK;
    }
    return argc == 1 && group_print(argv[0], stdout) ? CLI_OK : command_unknown(argc, argv);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage_print(stderr);
        return CLI_USAGE;
    }
    json_wipe_on_free();
    const char *first = argv[1];
    if (strcmp(first, "help") == 0) {
        return help(argc - 2, argv + 2);
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        return help(0, NULL);
    }
    if (strcmp(first, "--version") == 0) {
        cli_version_print(stdout);
        return CLI_OK;
    }
    int words = 0;
    const struct cli_command *command = command_find(argc - 1, argv + 1, &words);
    if (command == NULL) {
        bool wants_help =
            argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
        return wants_help ? help(1, argv + 1) : command_unknown(argc - 1, argv + 1);
    }
    int code = command->run(command, argc - words, argv + words);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "wasm-hypervisor: cannot write to standard output\n");
        return code == CLI_OK ? CLI_INTERNAL : code;
    }
    return code;
}
