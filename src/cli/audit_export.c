/* audit_export.c: `audit export`: the entries as JSON lines, or as a table for a spreadsheet.
 *
 * Entries are written as they are read, so memory does not grow with the log. CSV is RFC 4180, with
 * fixed columns; what an entry has beyond them is only in its JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/audit_common.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <string.h>

static const char *const columns[] = {
    "index",        "time",   "type",       "request_id",        "request_commitment",
    "admit",        "status", "error_code", "result_commitment", "gas_consumed",
    "gas_schedule", "prev",
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0], PROGRESS_ENTRIES = 10000 };

struct export
{
    bool is_csv;
    const char *type; /* NULL: all */
    uint64_t first;
    uint64_t end;
    struct progress progress;
    bool failed; /* to write, or an entry that is no JSON */
    struct err err;
};

/* Quoted if it has to be: RFC 4180 section 2. */
static void csv_text(const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            putchar('"');
        }
        putchar(*text);
    }
    putchar('"');
}

static void csv_value(const json_t *value)
{
    if (json_is_string(value)) {
        csv_text(json_string_value(value));
    } else if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        fputs(json_is_true(value) ? "true" : "false", stdout);
    }
}

static void csv_row(const json_t *entry)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (i > 0) {
            putchar(',');
        }
        csv_value(json_object_get(entry, columns[i]));
    }
    fputs("\r\n", stdout);
}

static void csv_head(void)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        printf("%s%s", i > 0 ? "," : "", columns[i]);
    }
    fputs("\r\n", stdout);
}

static bool visit(void *context, uint64_t index, struct bytes leaf)
{
    struct export *export = context;
    json_t *entry = NULL;
    if (index % PROGRESS_ENTRIES == 0) {
        progress_bar(&export->progress, "exporting", index - export->first,
                     export->end - export->first);
    }
    if (export->is_csv || export->type != NULL) {
        if (!json_text_parse(leaf, &entry, &export->err)) {
            export->failed = true;
            return err_wrap(&export->err, "entry %" PRIu64, index);
        }
        const char *type = json_string_value(json_object_get(entry, "type"));
        if (export->type != NULL && (type == NULL || strcmp(type, export->type) != 0)) {
            json_decref(entry);
            return true;
        }
    }
    if (export->is_csv) {
        csv_row(entry);
    } else {
        fwrite(leaf.ptr, 1, leaf.size, stdout);
        putchar('\n');
    }
    json_decref(entry);
    return ferror(stdout) == 0; /* main says so */
}

static bool export_run(const struct audit_request *request, struct audit_target *target,
                       struct export *export, struct err *err)
{
    struct audit_checkpoint checkpoint;
    struct buffer note;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    bool ok = audit_target_open(request->words[0], target, err) &&
              target->source.checkpoint(target->source.context, &note, err);
    if (ok && audit_checkpoint_verify(buffer_bytes(&note), "", &checkpoint) == AUDIT_TAMPERED) {
        ok = err_set(err, ERR_TAMPERED, "the checkpoint is malformed");
    }
    buffer_release(&note);
    if (!ok) {
        return false;
    }
    export->first = request->from;
    export->end = request->to < checkpoint.size ? request->to + 1 : checkpoint.size;
    if (export->first >= checkpoint.size && checkpoint.size > 0) {
        return err_set(err, ERR_NOT_FOUND,
                       "there is no entry %" PRIu64 ": the checkpoint signs %" PRIu64 " entries",
                       export->first, checkpoint.size);
    }
    if (export->is_csv) {
        csv_head();
    }
    ok = audit_source_each(&target->source, export->first, export->end, visit, export, err);
    if (ok && export->failed) {
        *err = export->err;
        err->code = ERR_TAMPERED;
        return false;
    }
    return ok;
}

static int audit_export_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    struct audit_target target;
    struct err err;
    int code = audit_request_read(command, argc, argv, 1, "which log? name its directory or URL",
                                  &request);
    if (code >= 0) {
        return code;
    }
    struct export export = {.type = request.type};
    export.is_csv = request.format != NULL && strcmp(request.format, "csv") == 0;
    if (request.format != NULL && !export.is_csv && strcmp(request.format, "jsonl") != 0) {
        return cli_complain_usage(command, "--format is jsonl or csv, not '%s'", request.format);
    }
    if (request.from > request.to) {
        return cli_complain_usage(command, "--from is behind --to");
    }
    progress_init(&export.progress, false);
    bool ok = export_run(&request, &target, &export, &err);
    progress_bar_end(&export.progress);
    code = ok ? CLI_OK : audit_target_complain(command, &target, &err);
    audit_target_close(&target);
    return code;
}

static const struct cli_option audit_export_options[] = {
    {AUDIT_FORMAT, "format", "FORMAT",
     "jsonl (default): one entry a line, as it was hashed; or csv"},
    {AUDIT_FROM, "from", "N", "begin with entry N (default: 0)"},
    {AUDIT_TO, "to", "N", "end with entry N (default: the last one that is signed)"},
    {AUDIT_TYPE, "type", "TYPE", "entries of this type only, as ADMIT or RESULT"},
};

const struct cli_command cli_command_audit_export = {
    .name = "audit export",
    .synopsis = "DIR|URL [--format jsonl|csv] [--from N] [--to N] [--type TYPE]",
    .summary = "write an audit log's entries as JSON lines or CSV",
    .description =
        "  Writes the signed entries of the log in DIR or at URL to stdout. It does not verify\n"
        "  them; 'audit verify' does. CSV is RFC 4180 with the columns index, time, type,\n"
        "  request_id, request_commitment, admit, status, error_code, result_commitment,\n"
        "  gas_consumed, gas_schedule, prev. Pruned entries are left out.\n",
    .options = audit_export_options,
    .option_count = sizeof audit_export_options / sizeof audit_export_options[0],
    .notes = "EXIT STATUS\n"
             "  0 written, 2 wrong usage or unreadable directory, 3 the server cannot be reached, "
             "4 an\n"
             "  entry is malformed, 9 there is no such entry or no log, 70 internal error\n\n"
             "EXAMPLE\n"
             "  wasm-hypervisor audit export /var/lib/wasm-hypervisor/audit --format csv --type "
             "RESULT > results.csv\n",
    .run = audit_export_main,
};
