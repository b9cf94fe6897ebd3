/* audit_rotate.c: `audit rotate`: ends the segment of a log that no node is writing to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_common.h"

#include <inttypes.h>

struct rotated {
    bool ok;
    uint64_t index; /* of the entry that ended the segment, or of the log's last one */
};

static void rotated_cb(void *context, const struct audit_commit *commit)
{
    struct rotated *rotated = context;
    rotated->ok = commit->ok;
    rotated->index = commit->index;
}

static bool rotate(const char *directory, struct rotated *rotated, struct err *err)
{
    const struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    if (!audit_log_open(&config, NULL, NULL, &log, &recovery, err)) {
        return false;
    }
    bool ok = audit_log_rotate(log, rotated_cb, rotated, err);
    audit_log_close(log); /* commits what was submitted, so that `rotated` is told */
    return ok &&
           (rotated->ok || err_set(err, ERR_IO, "%s: the log could not be written to", directory));
}

static int audit_rotate_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    struct rotated rotated = {.ok = false};
    struct err err;
    int code =
        audit_request_read(command, argc, argv, 1, "which log? name its directory", &request);
    if (code >= 0) {
        return code;
    }
    if (!rotate(request.words[0], &rotated, &err)) {
        if (err.code == ERR_BUSY) {
            cli_complain(command, "%s; a running node rotates on SIGUSR1", err.message);
            return CLI_USAGE;
        }
        code = cli_complain_err(command, &err);
        return code == CLI_PROGRAM_FAILED ? CLI_USAGE : code;
    }
    printf("entry %" PRIu64 " ends the segment\n", rotated.index);
    return CLI_OK;
}

const struct cli_command cli_command_audit_rotate = {
    .name = "audit rotate",
    .synopsis = "DIR",
    .summary = "end the segment of an audit log and begin the next",
    .description = "  Writes a SEGMENT_CLOSE entry to the log in DIR, so that what comes next lies "
                   "in a file of\n"
                   "  its own; the tree goes on. No node may be running on DIR: a running one does "
                   "the same on\n"
                   "  SIGUSR1, and by itself at the end of each month. A segment without entries "
                   "is left as it\n"
                   "  is.\n",
    .options = NULL,
    .option_count = 0,
    .notes = "EXIT STATUS\n"
             "  0 done, 2 there is no log in DIR or another process has it, 4 the log is not as it "
             "was\n"
             "  signed, 70 internal error\n",
    .run = audit_rotate_main,
};
