/* cli.h: what the subcommands share: their description, flags, exit codes and messages.
 *
 * A subcommand is one `struct cli_command`: its help text is printed from the same table that its
 * flags are parsed with, so the two cannot differ. main.c holds the list. Errors go to stderr as
 * "wasm-hypervisor run: cannot open 'x.wasm': …", results to stdout.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/arena.h"
#include "base/json.h"

#include <getopt.h>
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_PROGRAM_FAILED = 1, /* the guest trapped, ran out of something, or is not valid */
    CLI_USAGE = 2,          /* wrong flags or arguments, or a file that cannot be read */
    CLI_NETWORK = 3,        /* the node cannot be reached or refused the request */
    CLI_UNVERIFIED = 4,     /* evidence, proof or commitment does not verify */
    CLI_REFUSED = 12,       /* evidence is genuine, but not what the policy accepts */
    CLI_MALFORMED = 13,     /* it is no evidence at all */
    CLI_INTERNAL = 70,      /* this machine failed us (memory, disk), or a bug */
};

struct cli_option {
    int id;               /* what cli_options_next returns: > 0, one per command */
    const char *name;     /* without the dashes */
    const char *argument; /* "N" in the help; NULL: takes none */
    const char *help;     /* a sentence without the full stop; may hold newlines */
};

struct cli_command {
    const char *name;        /* "run"; "audit verify" for one of a group */
    const char *synopsis;    /* what follows the name */
    const char *summary;     /* one line, for the list of commands */
    const char *description; /* paragraphs, ready to print */
    const struct cli_option *options;
    size_t option_count;
    const char *notes; /* titled paragraphs after the options: examples, exit status */
    int (*run)(const struct cli_command *command, int argc, char **argv); /* argv[0]: the name */
};

extern const struct cli_command cli_command_serve, cli_command_exec, cli_command_run,
    cli_command_audit_verify, cli_command_audit_init, cli_command_audit_checkpoint,
    cli_command_audit_prove, cli_command_audit_export, cli_command_audit_show,
    cli_command_audit_rotate, cli_command_audit_prune, cli_command_key_new, cli_command_key_list,
    cli_command_key_revoke, cli_command_inspect, cli_command_load, cli_command_attest_verify,
    cli_command_attest_show, cli_command_attest_report, cli_command_attest_fresh,
    cli_command_attest_measure;

/* ---- options.c: flags and help ---- */

enum { CLI_OPTIONS_MAX = 64 };
enum cli_option_event {
    CLI_OPTION_END = 0,
    CLI_OPTION_POSITIONAL = -1,
    CLI_OPTION_BAD = -2, /* the complaint has been printed: return CLI_USAGE */
    CLI_OPTION_HELP = -3 /* the help has been printed: return CLI_OK */
};

struct cli_options {
    const struct cli_command *command;
    int argc;
    char **argv;
    bool only_positionals; /* after "--" */
    struct option table[CLI_OPTIONS_MAX + 2];
};

void cli_options_init(struct cli_options *options, const struct cli_command *command, int argc,
                      char **argv);
/* The id of the next flag (*text: its argument, or NULL) or one of enum cli_option_event. Flags and
 * positionals may mix; what looks like a negative number is a positional. */
int cli_options_next(struct cli_options *options, const char **text);
/* A positive decimal in [min, max], or a complaint that names the flag and false. */
bool cli_options_number(const struct cli_options *options, const char *flag, const char *text,
                        uint64_t min, uint64_t max, uint64_t *out) MUST_CHECK;

/* The only positional of a command, or a complaint that it is one too many and false. */
bool cli_options_word(const struct cli_options *options, const char *text,
                      const char **word) MUST_CHECK;
/* Takes a flag, or a positional (CLI_OPTION_POSITIONAL), into the command's own request. False: it
 * has complained. */
typedef bool (*cli_option_cb)(const struct cli_options *options, int id, const char *text,
                              void *request);
/* Reads a whole command line. -1: go on; else what the command has to return. */
int cli_options_read(const struct cli_command *command, int argc, char **argv, void *request,
                     cli_option_cb take) MUST_CHECK;

void cli_help_print(const struct cli_command *command, FILE *out);

/* "wasm-hypervisor run: …" and a newline, on stderr. */
void cli_complain(const struct cli_command *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same, and how to get help. Returns CLI_USAGE. */
int cli_complain_usage(const struct cli_command *command, const char *format, ...)
    PRINTF_LIKE(2, 3);
/* The same for an err. Returns the exit code that fits err->code. */
int cli_complain_err(const struct cli_command *command, const struct err *err);

/* version.c: this program, its engine, and the libraries that it runs with. */
void cli_version_print(FILE *out);

/* ---- print.c: JSON on stdout ---- */

/* Without and with a newline; the second takes the reference over. False if `value` is NULL or
 * there is no memory for its text. */
bool cli_write_json(const json_t *value);
bool cli_print_json(json_t *value);

/* ---- file.c ---- */

/* Reads a file whole ("-": standard input) into a fresh heap block. Fails with IO or LIMIT. */
bool cli_file_read(const char *path, size_t size_max, uint8_t **out, size_t *size,
                   struct err *err) MUST_CHECK;
/* Creates or replaces a file, mode 0644. */
bool cli_file_write(const char *path, struct bytes content, struct err *err) MUST_CHECK;
bool cli_file_write_json(const char *path, const json_t *value, struct err *err) MUST_CHECK;
/* Makes the directory and the missing ones above it, the last with `mode`. */
bool cli_directory_make(const char *path, unsigned mode, struct err *err) MUST_CHECK;

#endif
