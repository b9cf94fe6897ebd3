/* audit.c: `audit verify`, `audit init`, `audit checkpoint`: a log from outside.
 *
 * verify and checkpoint only read, also beside a running node: an auditor may hold a copy, a backup
 * or a mount, or nothing but the node's address.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_common.h"
#include "cli/audit_policy.h"
#include "cli/progress.h"
#include "cli/sealing.h"

#include <inttypes.h>
#include <string.h>

static bool report_json(const struct audit_report *report)
{
    json_t *bad =
        report->bad_index == UINT64_MAX ? json_null() : json_integer((json_int_t)report->bad_index);
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "verdict",
        audit_verdict_name(report->verdict), "detail", report->detail, "origin", report->origin,
        "size", (json_int_t)report->size, "root", report->root_hex, "bad_index", bad, "unanswered",
        (json_int_t)report->unanswered_count, "recovered", (json_int_t)report->recovered_count,
        "pending", (json_int_t)report->pending_entries, "pruned",
        (json_int_t)report->pruned_entries, "segments_closed", (json_int_t)report->segment_count,
        "key_rotations", (json_int_t)report->rotation_count, "cosigned",
        (json_int_t)report->cosigned_count);
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
    if (report->segment_count > 0 || report->rotation_count > 0) {
        printf("segments:   %" PRIu64 " closed; the key was replaced %" PRIu64 " times\n",
               report->segment_count, report->rotation_count);
    }
    if (report->pruned_entries > 0) {
        printf("pruned:     the first %" PRIu64 " entries; only their hashes are there\n",
               report->pruned_entries);
    }
    if (report->cosigned_count > 0) {
        printf("witnesses:  %" PRIu64 " of the policy's cosigned the checkpoint\n",
               report->cosigned_count);
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

/* The policy's keys and the typed ones: any of them will do. */
static void expect_keys(const struct audit_request *request, const struct audit_policy_file *policy,
                        const char *keys[static AUDIT_KEYS_MAX + AUDIT_POLICY_KEYS_MAX],
                        struct audit_expectation *expectation)
{
    for (size_t i = 0; i < request->vkey_count; i++) {
        keys[expectation->vkey_count++] = request->vkeys[i];
    }
    for (size_t i = 0; i < policy->key_count; i++) {
        keys[expectation->vkey_count++] = policy->keys[i];
    }
    expectation->vkeys = keys;
}

static int verify_target(const struct cli_command *command, const struct audit_request *request,
                         struct audit_expectation *expectation)
{
    struct audit_target target;
    struct audit_report report;
    struct progress progress;
    struct err err;
    int code;
    progress_init(&progress, request->json);
    expectation->progress = verify_progress;
    expectation->context = &progress;
    bool ok = audit_target_open(request->words[0], &target, &err) &&
              audit_verify(&target.source, expectation, &report, &err);
    progress_bar_end(&progress);
    if (!ok) {
        code = audit_target_complain(command, &target, &err);
    } else if (!request->json) {
        report_text(&report);
        code = audit_exit_of(report.verdict);
    } else if (report_json(&report)) {
        code = audit_exit_of(report.verdict);
    } else {
        cli_complain(command, "out of memory");
        code = CLI_INTERNAL;
    }
    audit_target_close(&target);
    return code;
}

static int verify(const struct cli_command *command, const struct audit_request *request)
{
    const char *keys[AUDIT_KEYS_MAX + AUDIT_POLICY_KEYS_MAX];
    struct audit_policy_file policy = {.has_witnesses = false};
    struct audit_expectation expectation = {.clock = &clock_system};
    uint8_t *since = NULL;
    size_t since_size = 0;
    struct err err;
    int code;
    bool ok = (request->policy == NULL || audit_policy_load(&policy, request->policy, &err)) &&
              (request->since == NULL || cli_file_read(request->since, AUDIT_CHECKPOINT_BYTES_MAX,
                                                       &since, &since_size, &err));
    if (ok) {
        expect_keys(request, &policy, keys, &expectation);
        expectation.since = bytes_of(since, since_size);
        expectation.origin = policy.origin;
        expectation.witnesses = policy.has_witnesses ? &policy.witnesses : NULL;
        expectation.age_ms_max = policy.age_ms_max;
        code = verify_target(command, request, &expectation);
    } else {
        code = cli_complain_err(command, &err);
    }
    heap_free(since);
    if (request->policy != NULL) {
        audit_policy_release(&policy);
    }
    return code;
}

static int audit_verify_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    int code = audit_request_read(command, argc, argv, 1, "which log? name its directory or URL",
                                  &request);
    return code >= 0 ? code : verify(command, &request);
}

static int audit_init_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    int code =
        audit_request_read(command, argc, argv, 1, "which log? name its directory", &request);
    if (code >= 0) {
        return code;
    }
    struct log_sealing sealing;
    struct audit_config config = {.directory = request.words[0], .clock = &clock_system};
    struct err err;
    bool ok = log_sealing_open(request.words[0], request.seal, request.tee, &sealing, &err);
    log_sealing_apply(&sealing, &config);
    if (!ok || !audit_log_make(&config, request.origin, &err)) {
        log_sealing_close(&sealing);
        return cli_complain_err(command, &err);
    }
    printf("made the log %s; keep a copy of its public key elsewhere: %s/log.vkey\n",
           request.words[0], request.words[0]);
    log_sealing_print(&sealing);
    log_sealing_close(&sealing);
    return CLI_OK;
}

static int audit_checkpoint_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    struct audit_target target;
    struct buffer note;
    struct err err;
    int code = audit_request_read(command, argc, argv, 1, "which log? name its directory or URL",
                                  &request);
    if (code >= 0) {
        return code;
    }
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    if (audit_target_open(request.words[0], &target, &err) &&
        target.source.checkpoint(target.source.context, &note, &err)) {
        fwrite(note.ptr, 1, note.size, stdout);
        code = CLI_OK;
    } else {
        code = audit_target_complain(command, &target, &err);
    }
    audit_target_close(&target);
    buffer_release(&note);
    return code;
}

static const struct cli_option audit_verify_options[] = {
    {AUDIT_VKEY, "vkey", "KEY",
     "the log's public key, name+hash+base64, from somewhere else than the log;\n"
     "one that was replaced since will do. More than once: any of them.\n"
     "Without it the log's own word is taken: that finds damage, not a forger"},
    {AUDIT_SINCE, "since", "FILE",
     "a checkpoint that you kept: the log must be a continuation of it"},
    {AUDIT_POLICY, "policy", "FILE",
     "what you ask of the log, as YAML: origin, keys, max_age_seconds,\n"
     "witnesses: {threshold, keys}"},
    {AUDIT_JSON, "json", NULL, "print one JSON object"},
};

const struct cli_command cli_command_audit_verify = {
    .name = "audit verify",
    .synopsis = "DIR|URL [--vkey KEY]... [--since FILE] [--policy FILE] [--json]",
    .summary = "check an audit log, entry by entry",
    .description =
        "  Reads the log in DIR (the directory 'audit' of a node, or a copy) or at URL (a node, "
        "as\n"
        "  http://127.0.0.1:3000, or any log that is served as c2sp.org/tlog-tiles says), hashes\n"
        "  every entry anew, and checks every link of the chain, the tree, the signature of the\n"
        "  checkpoint, the changes of keys and segments, what you ask for with --policy and, with\n"
        "  --since, that nothing which you saw before was taken back. Reads only; a node may be\n"
        "  writing to it. It uses two threads and a few MiB of memory, however long the log is.\n"
        "  The last line is the verdict:\n\n"
        "  OK            everything is as it was signed\n"
        "  TAMPERED      an entry, link, root or signature is wrong; the first bad entry is named\n"
        "  TRUNCATED     entries that the checkpoint covers are missing\n"
        "  ROLLED_BACK   the log is shorter than the checkpoint of --since\n"
        "  FORKED        another history than that of --since\n"
        "  UNVERIFIABLE  no key that you know has signed, or your policy is not met\n",
    .options = audit_verify_options,
    .option_count = sizeof audit_verify_options / sizeof audit_verify_options[0],
    .notes = AUDIT_EXIT_HELP
    "\nEXAMPLES\n"
    "  wasm-hypervisor audit checkpoint http://127.0.0.1:3000 > june.checkpoint\n"
    "  wasm-hypervisor audit verify http://127.0.0.1:3000 --vkey \"$(head -n 1 log.vkey)\" --since "
    "may.checkpoint\n"
    "  wasm-hypervisor audit verify /mnt/copy/audit --policy policy.yaml --json\n",
    .run = audit_verify_main,
};

static const struct cli_option audit_init_options[] = {
    {AUDIT_ORIGIN, "origin", "NAME",
     "the log's name in its checkpoints (default: wasm-hypervisor.local/ and\na random number)"},
    {AUDIT_SEAL, "seal", "WHICH",
     "on: seal the signing key to this VM on this processor; off: do not\n"
     "(default: $WASM_HYPERVISOR_SEAL, else off)"},
    {AUDIT_TEE, "tee", "WHICH",
     "who seals it, as the setting tee (default: $WASM_HYPERVISOR_TEE, else auto).\n"
     "The simulator is looked for beside DIR"},
};

const struct cli_command cli_command_audit_init = {
    .name = "audit init",
    .synopsis = "DIR [--origin NAME] [--seal WHICH] [--tee WHICH]",
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
    .synopsis = "DIR|URL",
    .summary = "print the newest checkpoint of an audit log",
    .description =
        "  Prints the signed checkpoint of the log in DIR or at URL, a C2SP signed note with "
        "name,\n"
        "  size, root hash and signatures, as it is. Keep it away from the node: 'audit verify\n"
        "  --since' shows later that nothing was taken back. The file in the directory of a\n"
        "  running node may be a second older than what the node answers.\n",
    .options = NULL,
    .option_count = 0,
    .notes = "EXIT STATUS\n"
             "  0 printed, 2 the directory cannot be read, 3 the server cannot be reached, 9 there "
             "is no\n"
             "  checkpoint, 70 internal error\n",
    .run = audit_checkpoint_main,
};
