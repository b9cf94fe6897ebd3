/* audit.c: `audit verify`, `audit init`, `audit checkpoint`: the log's directory from outside.
 *
 * verify and checkpoint only read, also beside a running node: an auditor may hold a copy, a backup
 * or a mount.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"
#include "cli/cli.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <string.h>

enum audit_flag { AUDIT_VKEY = 1, AUDIT_SINCE, AUDIT_JSON, AUDIT_ORIGIN };

struct audit_request {
    const char *directory;
    const char *vkey;
    const char *since;
    const char *origin;
    bool json;
};

/* Reads the flags of all three commands. -1: go on. */
static int audit_read(const struct cli_command *command, int argc, char **argv,
                      struct audit_request *request)
{
    struct cli_options options;
    cli_options_init(&options, command, argc, argv);
    const char *text;
    int id;
    while ((id = cli_options_next(&options, &text)) != CLI_OPTION_END) {
        switch (id) {
        case CLI_OPTION_HELP:
            return CLI_OK;
        case CLI_OPTION_BAD:
            return CLI_USAGE;
        case AUDIT_VKEY:
            request->vkey = text;
            break;
        case AUDIT_SINCE:
            request->since = text;
            break;
        case AUDIT_ORIGIN:
            request->origin = text;
            break;
        case AUDIT_JSON:
            request->json = true;
            break;
        default:
            if (request->directory != NULL) {
                return cli_complain_usage(command, "one argument too many: '%s'", text);
            }
            request->directory = text;
            break;
        }
    }
    if (request->directory == NULL) {
        return cli_complain_usage(command, "which log? name its directory");
    }
    return -1;
}

static bool report_json(const struct audit_report *report)
{
    json_t *bad =
        report->bad_index == UINT64_MAX ? json_null() : json_integer((json_int_t)report->bad_index);
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:o, s:I, s:I, s:I}", "verdict",
        audit_verdict_name(report->verdict), "detail", report->detail, "origin", report->origin,
        "size", (json_int_t)report->size, "root", report->root_hex, "bad_index", bad, "unanswered",
        (json_int_t)report->unanswered_count, "recovered", (json_int_t)report->recovered_count,
        "pending", (json_int_t)report->pending_entries);
    return cli_print_json(json);
}

static void report_text(const struct audit_report *report)
{
    if (report->origin[0] != '\0') {
        printf("origin:     %s\nsize:       %" PRIu64 "\nroot:       %s\n", report->origin,
               report->size, report->root_hex);
        printf("unanswered: %" PRIu64 " (requests admitted without a result; %" PRIu64
               " more are named as recovered after a stop)\n",
               report->unanswered_count, report->recovered_count);
    }
    if (report->pending_entries > 0) {
        printf("pending:    %" PRIu64 " entries past the last checkpoint\n",
               report->pending_entries);
    }
    if (report->bad_index != UINT64_MAX) {
        printf("bad entry:  %" PRIu64 "\n", report->bad_index);
    }
    printf("%s%s%s\n", audit_verdict_name(report->verdict), report->detail[0] != '\0' ? ": " : "",
           report->detail);
}

static void verify_progress(void *context, uint64_t done, uint64_t total)
{
    progress_bar(context, "verifying", done, total);
}

static int verify(const struct cli_command *command, const struct audit_request *request)
{
    uint8_t *since = NULL;
    size_t since_size = 0;
    struct err err;
    if (request->since != NULL &&
        !cli_file_read(request->since, AUDIT_CHECKPOINT_BYTES_MAX, &since, &since_size, &err)) {
        return cli_complain_err(command, &err);
    }
    struct progress progress;
    struct audit_report report;
    progress_init(&progress, request->json);
    bool ok = audit_verify_directory(request->directory, request->vkey, bytes_of(since, since_size),
                                     verify_progress, &progress, &report, &err);
    progress_bar_end(&progress);
    heap_free(since);
    if (!ok) {
        (void)cli_complain_err(command, &err);
        return err.code == ERR_NO_MEMORY ? CLI_INTERNAL : CLI_USAGE;
    }
    if (!request->json) {
        report_text(&report);
    } else if (!report_json(&report)) {
        cli_complain(command, "out of memory");
        return CLI_INTERNAL;
    }
    return report.verdict == AUDIT_OK ? CLI_OK : CLI_UNVERIFIED;
}

static int audit_verify_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request = {0};
    int code = audit_read(command, argc, argv, &request);
    return code >= 0 ? code : verify(command, &request);
}

static int audit_init_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request = {0};
    int code = audit_read(command, argc, argv, &request);
    if (code >= 0) {
        return code;
    }
    struct err err;
    if (!audit_log_init(request.directory, request.origin, &clock_system, &err)) {
        code = cli_complain_err(command, &err);
        return code == CLI_PROGRAM_FAILED ? CLI_USAGE : code;
    }
    printf("made the log %s; keep a copy of its public key elsewhere: %s/log.vkey\n",
           request.directory, request.directory);
    return CLI_OK;
}

static int audit_checkpoint_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request = {0};
    int code = audit_read(command, argc, argv, &request);
    if (code >= 0) {
        return code;
    }
    struct buffer path;
    buffer_init(&path, 8192);
    buffer_printf(&path, "%s/checkpoint", request.directory);
    buffer_append_u8(&path, '\0');
    uint8_t *note = NULL;
    size_t size = 0;
    struct err err;
    bool ok = !path.failed || err_set(&err, ERR_USAGE, "the directory's name is too long");
    ok =
        ok && cli_file_read((const char *)path.ptr, AUDIT_CHECKPOINT_BYTES_MAX, &note, &size, &err);
    buffer_release(&path);
    if (!ok) {
        return cli_complain_err(command, &err);
    }
    fwrite(note, 1, size, stdout);
    heap_free(note);
    return CLI_OK;
}

static const struct cli_option audit_verify_options[] = {
    {AUDIT_VKEY, "vkey", "KEY",
     "the log's public key, name+hash+base64, from somewhere else than DIR.\n"
     "Without it the one in DIR is used: that finds damage, not a forger"},
    {AUDIT_SINCE, "since", "FILE",
     "a checkpoint that you kept: the log must be a continuation of it"},
    {AUDIT_JSON, "json", NULL, "print one JSON object"},
};

const struct cli_command cli_command_audit_verify = {
    .name = "audit verify",
    .synopsis = "DIR [--vkey KEY] [--since FILE] [--json]",
    .summary = "check an audit log, entry by entry",
    .description =
        "  Reads the log in DIR (the directory 'audit' of a node, or a copy), hashes every entry\n"
        "  anew, checks every link of the chain, the tree, the signature of the checkpoint and,\n"
        "  with --since, that nothing which you saw before was taken back. Reads only; a node may\n"
        "  be writing to it. The last line is the verdict:\n\n"
        "  OK            everything is as it was signed\n"
        "  PENDING       whole entries follow the last checkpoint; look again later\n"
        "  PRUNED        what was asked for was removed by its owner, as the log says\n"
        "  NOT_FOUND     there is no log, or no such entry\n"
        "  TAMPERED      an entry, link, root or signature is wrong\n"
        "  TRUNCATED     entries that the checkpoint covers are missing\n"
        "  ROLLED_BACK   the log is shorter than the checkpoint of --since\n"
        "  FORKED        another history than that of --since\n"
        "  UNVERIFIABLE  no key that you know has signed\n",
    .options = audit_verify_options,
    .option_count = sizeof audit_verify_options / sizeof audit_verify_options[0],
    .notes =
        "EXIT STATUS\n"
        "  0 for the verdict OK only, 4 for every other, 2 wrong usage or unreadable directory,\n"
        "  70 internal error\n\n"
        "EXAMPLE\n"
        "  wasm-hypervisor audit checkpoint /mnt/copy/audit > june.checkpoint\n"
        "  wasm-hypervisor audit verify /mnt/copy/audit --vkey \"$(cat log.vkey)\" --since "
        "may.checkpoint\n",
    .run = audit_verify_main,
};

static const struct cli_option audit_init_options[] = {
    {AUDIT_ORIGIN, "origin", "NAME",
     "the log's name in its checkpoints (default: wasm-hypervisor.local/ and\na random number)"},
};

const struct cli_command cli_command_audit_init = {
    .name = "audit init",
    .synopsis = "DIR [--origin NAME]",
    .summary = "make a new audit log",
    .description = "  Makes the directory DIR with a fresh signing key and the first entry. "
                   "'serve' does this\n"
                   "  by itself on its first start; do it by hand to choose the name, or to begin "
                   "a new log on\n"
                   "  purpose after the old one was lost. An existing log is never touched.\n",
    .options = audit_init_options,
    .option_count = sizeof audit_init_options / sizeof audit_init_options[0],
    .notes = "EXIT STATUS\n  0 made, 2 DIR is not empty or cannot be made, 70 internal error\n",
    .run = audit_init_main,
};

const struct cli_command cli_command_audit_checkpoint = {
    .name = "audit checkpoint",
    .synopsis = "DIR",
    .summary = "print the newest checkpoint of an audit log",
    .description =
        "  Prints the signed checkpoint of the log in DIR (a C2SP signed note: name, size, root\n"
        "  hash, signature) as it is. Keep it away from the node: 'audit verify --since' shows\n"
        "  later that nothing was taken back.\n",
    .options = NULL,
    .option_count = 0,
    .notes = "EXIT STATUS\n  0 printed, 2 there is no log in DIR, 70 internal error\n",
    .run = audit_checkpoint_main,
};
