/* audit_prune.c: `audit prune`: removes old segments of a log that no node is writing to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_common.h"
#include "cli/sealing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The beginning of the month "2026-11", UTC. */
static bool month_read(const char *text, int64_t *out)
{
    char day[CLOCK_RFC3339_CHARS + 1];
    int size = snprintf(day, sizeof(day), "%s-01T00:00:00.000Z", text);
    return strlen(text) == sizeof("2026-11") - 1 && size > 0 &&
           clock_rfc3339_decode(day, (size_t)size, out);
}

static int audit_prune_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    struct audit_pruned pruned;
    struct err err;
    int code =
        audit_request_read(command, argc, argv, 1, "which log? name its directory", &request);
    if (code >= 0) {
        return code;
    }
    struct audit_config config = {.directory = request.words[0], .clock = &clock_system};
    struct audit_pruning wanted = {.segments = (size_t)request.segments, .reason = request.reason};
    if ((request.before != NULL) == (request.segments > 0)) {
        return cli_complain_usage(command, "what is to go? say --before or --segments");
    }
    if (request.before != NULL && !month_read(request.before, &wanted.before_ms)) {
        return cli_complain_usage(command, "--before is a month, as 2026-11, not '%s'",
                                  request.before);
    }
    struct log_sealing sealing;
    bool ok = log_sealing_open(request.words[0], NULL, request.tee, &sealing, &err);
    log_sealing_apply(&sealing, &config);
    ok = ok && audit_log_prune(&config, &wanted, &pruned, &err);
    log_sealing_close(&sealing);
    if (!ok) {
        return cli_complain_err(command, &err);
    }
    printf("%zu segments pruned; of the first %" PRIu64 " entries only the hashes are there\n",
           pruned.segments, pruned.size);
    return CLI_OK;
}

static const struct cli_option audit_prune_options[] = {
    {AUDIT_BEFORE, "before", "MONTH",
     "segments whose entries are all older than this month (UTC), as 2026-11"},
    {AUDIT_SEGMENTS, "segments", "N", "the oldest N segments"},
    {AUDIT_REASON, "reason", "TEXT", "why, for the PRUNE entry (default: retention)"},
    {AUDIT_TEE, "tee", "WHICH", AUDIT_TEE_HELP},
};

const struct cli_command cli_command_audit_prune = {
    .name = "audit prune",
    .synopsis = "DIR --before MONTH|--segments N [--reason TEXT] [--tee WHICH]",
    .summary = "remove the oldest segments of an audit log, but for their hashes",
    .description =
        "  Writes a PRUNE entry to the log in DIR and then removes its oldest segments. The leaf\n"
        "  hashes of their entries stay, so that the log verifies and each other entry can be "
        "proved;\n"
        "  copy the segments away before if they are to be readable. No node may be running on "
        "DIR.\n"
        "  The last segment stays, and up to 256 entries before it. What a crash cut off, the "
        "next\n"
        "  call finishes, and does nothing else.\n",
    .options = audit_prune_options,
    .option_count = sizeof audit_prune_options / sizeof audit_prune_options[0],
    .notes =
        "EXIT STATUS\n"
        "  0 done, or nothing is old enough; 2 wrong usage, so many segments cannot go, there is "
        "no\n"
        "  log in DIR, or another process has it; 4 the log is not as it was signed, 70 internal\n"
        "  error\n\n"
        "EXAMPLE\n"
        "  wasm-hypervisor audit prune /var/lib/wasm-hypervisor/audit --before 2026-01\n",
    .run = audit_prune_main,
};
