/* audit_common.h: what the audit commands share: their flags, where the log is, exit codes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_AUDIT_COMMON_H
#define CLI_AUDIT_COMMON_H

#include "audit/audit.h"
#include "cli/audit_http.h"
#include "cli/cli.h"

/* What the shell learns of a verdict. 2, 3 and 70 keep their meaning, and 0 is OK alone. */
enum audit_exit {
    AUDIT_EXIT_TAMPERED = CLI_UNVERIFIED, /* 4 */
    AUDIT_EXIT_TRUNCATED = 5,
    AUDIT_EXIT_ROLLED_BACK = 6,
    AUDIT_EXIT_FORKED = 7,
    AUDIT_EXIT_UNVERIFIABLE = 8,
    AUDIT_EXIT_NOT_FOUND = 9,
    AUDIT_EXIT_PENDING = 10,
    AUDIT_EXIT_PRUNED = 11,
};
int audit_exit_of(enum audit_verdict verdict);

/* For the help texts. */
#define AUDIT_EXIT_HELP                                                                            \
    "EXIT STATUS\n"                                                                                \
    "  0 OK, 4 TAMPERED, 5 TRUNCATED, 6 ROLLED_BACK, 7 FORKED, 8 UNVERIFIABLE, 9 NOT_FOUND,\n"     \
    "  10 PENDING, 11 PRUNED; 2 wrong usage or unreadable directory, 3 the server cannot be\n"     \
    "  reached or does not answer, 70 internal error\n"

enum audit_flag {
    AUDIT_VKEY = 1,
    AUDIT_SINCE,
    AUDIT_JSON,
    AUDIT_ORIGIN,
    AUDIT_POLICY,
    AUDIT_FORMAT,
    AUDIT_FROM,
    AUDIT_TO,
    AUDIT_TYPE,
    AUDIT_REQUEST,
    AUDIT_OUT,
    AUDIT_KEY,
    AUDIT_BEFORE,
    AUDIT_SEGMENTS,
    AUDIT_REASON,
    AUDIT_SEAL,
    AUDIT_TEE,
};

enum { AUDIT_WORDS_MAX = 2, AUDIT_KEYS_MAX = 16 };

struct audit_request { /* as typed; NULL: not given */
    const char *words[AUDIT_WORDS_MAX];
    size_t word_count, words_max;
    const char *vkeys[AUDIT_KEYS_MAX];
    size_t vkey_count;
    const char *since;
    const char *origin;
    const char *policy;
    const char *format;
    const char *type;
    const char *out;
    const char *before;
    const char *reason;
    const char *seal;
    const char *tee;
    uint64_t segments; /* 0: not given */
    uint64_t from;
    uint64_t to; /* UINT64_MAX: the end */
    bool wants_request;
    bool wants_key;
    bool json;
};

/* `missing`: what to say when no word was given; NULL: it may be so. -1: go on; else the exit
 * code. */
int audit_request_read(const struct cli_command *command, int argc, char **argv, size_t words_max,
                       const char *missing, struct audit_request *request);

struct audit_target {
    const char *name;
    struct audit_directory *directory; /* one of the two */
    struct audit_http *http;
    struct audit_source source;
};

/* A directory or, with "://" in it, a URL. NULL: the node of $WASM_HYPERVISOR_URL, else the one on
 * this machine. */
bool audit_target_open(const char *name, struct audit_target *target, struct err *err) MUST_CHECK;
void audit_target_close(struct audit_target *target);
/* Says what went wrong with it; the exit code. */
int audit_target_complain(const struct cli_command *command, const struct audit_target *target,
                          const struct err *err);

/* For the options of commands that write to a log. */
#define AUDIT_TEE_HELP                                                                             \
    "who opens the log's key if it is sealed, as the setting tee (default:\n"                      \
    "$WASM_HYPERVISOR_TEE, else auto). The simulator is looked for beside DIR"

#endif
