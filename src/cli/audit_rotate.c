/* audit_rotate.c: `audit rotate`: ends the segment of a log that no node is writing to, or replaces
 * its key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_common.h"
#include "cli/sealing.h"

#include <inttypes.h>

struct rotated {
    struct audit_log *log;
    bool ok;
    uint64_t index; /* of the entry that did it, or of the log's last one */
    char vkey[AUDIT_VKEY_CHARS_MAX + 1];
};

static void rotated_cb(void *context, const struct audit_commit *commit)
{
    struct rotated *rotated = context;
    rotated->ok = commit->ok;
    rotated->index = commit->index;
    snprintf(rotated->vkey, sizeof rotated->vkey, "%s", audit_log_vkey(rotated->log));
}

static bool rotate(const char *directory, bool wants_key, const struct log_sealing *sealing,
                   struct rotated *rotated, struct err *err)
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    log_sealing_apply(sealing, &config);
    if (!audit_log_open(&config, NULL, NULL, &rotated->log, &recovery, err)) {
        return false;
    }
    bool ok = wants_key ? audit_log_rotate_key(rotated->log, rotated_cb, rotated, err)
                        : audit_log_rotate(rotated->log, rotated_cb, rotated, err);
    audit_log_close(rotated->log); /* commits what was submitted, so that `rotated` is told */
    return ok &&
           (rotated->ok || err_set(err, ERR_IO, "%s: the log could not be written to", directory));
}

static void key_print(const struct rotated *rotated)
{
    printf("entry %" PRIu64 " replaces the log's key. From now on this one signs:\n"
           "%s\n"
           "Keep a copy of it elsewhere, and give it to whoever verifies single proofs (exec "
           "--log-vkey) and to\n"
           "the log's witnesses. 'audit verify' takes the old key as well: the old one vouches for "
           "the new one.\n",
           rotated->index, rotated->vkey);
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
    if (request.seal != NULL && !request.wants_key) {
        return cli_complain_usage(command, "--seal says how the new key is kept: it needs --key");
    }
    struct log_sealing sealing;
    bool ok = log_sealing_open(request.words[0], request.seal, request.tee, &sealing, &err) &&
              rotate(request.words[0], request.wants_key, &sealing, &rotated, &err);
    if (ok && request.wants_key) {
        key_print(&rotated);
        log_sealing_print(&sealing);
    } else if (ok) {
        printf("entry %" PRIu64 " ends the segment\n", rotated.index);
    }
    log_sealing_close(&sealing);
    if (!ok) {
        if (err.code == ERR_BUSY) {
            cli_complain(command, "%s; %s", err.message,
                         request.wants_key ? "stop the node first"
                                           : "a running node rotates on SIGUSR1");
            return CLI_USAGE;
        }
        return cli_complain_err(command, &err);
    }
    return CLI_OK;
}

static const struct cli_option audit_rotate_options[] = {
    {AUDIT_KEY, "key", NULL, "replace the key that signs the log instead"},
    {AUDIT_SEAL, "seal", "WHICH",
     "with --key: on seals the new key to this VM on this processor, off does not\n"
     "(default: as the old one is)"},
    {AUDIT_TEE, "tee", "WHICH",
     "who opens a sealed key and seals the new one, as the setting tee (default:\n"
     "$WASM_HYPERVISOR_TEE, else auto). The simulator is looked for beside DIR"},
};

const struct cli_command cli_command_audit_rotate = {
    .name = "audit rotate",
    .synopsis = "DIR [--key [--seal WHICH]] [--tee WHICH]",
    .summary = "end the segment of an audit log and begin the next, or replace its key",
    .description = "  Writes a SEGMENT_CLOSE entry to the log in DIR, so that what comes next lies "
                   "in a file of\n"
                   "  its own; the tree goes on. No node may be running on DIR: a running one does "
                   "the same on\n"
                   "  SIGUSR1, and by itself at the end of each month. A segment without entries "
                   "is left as it\n"
                   "  is.\n\n"
                   "  With --key it makes a new signing key and writes a KEY_ROTATE entry, which "
                   "both keys sign;\n"
                   "  the old private key is deleted. It prints the new public key. 'audit verify' "
                   "goes on to\n"
                   "  take any key that the log has had; single proofs that are made from now on, "
                   "and 'exec\n"
                   "  --log-vkey', need the new one, and witnesses must be told it. The node keeps "
                   "its node id.\n",
    .options = audit_rotate_options,
    .option_count = sizeof audit_rotate_options / sizeof audit_rotate_options[0],
    .notes = "EXIT STATUS\n"
             "  0 done, 2 there is no log in DIR or another process has it, 4 the log is not as it "
             "was\n"
             "  signed, 70 internal error\n",
    .run = audit_rotate_main,
};
