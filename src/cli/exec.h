/* exec.h: one execution on a node, as its client sees it. Private to cli.
 *
 *   exec.c         the flags, and the order of things: key, evidence, encryption, answer, report
 *   exec_args.c    what the command line says about arguments, as the protocol's JSON
 *   exec_verify.c  what is believed only after it has been checked
 *   exec_fetch.c   the answer of an execution whose connection was lost, or never waited for it
 *   exec_cancel.c  Ctrl-C
 *   exec_state.c   what fetching needs, in a file
 *   exec_report.c  what is printed and saved
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include "attest/attest.h"
#include "audit/audit.h"
#include "base/text.h"
#include "cli/attest.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/module.h"
#include "cli/progress.h"

enum { EXEC_ARGS_MAX = 1000, EXEC_FILE_BYTES_MAX = 16 * 1024 * 1024 };

enum exec_arg_kind { EXEC_ARG_TEXT, EXEC_ARG_FILE, EXEC_ARG_STRING };

struct exec_arg {
    enum exec_arg_kind kind;
    const char *text; /* a value, the name of a file, or a string */
};

struct exec_request { /* what the command line says */
    const char *path;
    const char *function;
    struct exec_arg args[EXEC_ARGS_MAX];
    uint32_t arg_count;
    const char *server;
    const char *api_key;
    uint64_t gas_limit, timeout_seconds, memory_bytes; /* 0: not said */
    const char *result_type;                           /* NULL: not said */
    bool encrypt_arguments;
    struct attest_root root;
    bool no_attestation;
    const char *policy_path;               /* --attestation-policy; NULL: the strict default */
    struct attest_policy_file policy_file; /* read before anything else is done */
    const char *log_vkey;
    bool json;
    const char *save;
    bool is_async;
    const char *webhook; /* whom the node tells about the end; NULL: nobody */
    const char *state;   /* file to keep what fetching the answer needs; NULL: none */
    const char *resume;  /* file that has it; NULL: a new execution */
};

enum exec_outcome { EXEC_UNCHECKED, EXEC_VERIFIED, EXEC_FAILED };

/* Everything that is checked, each by name, in the order of checking. */
enum exec_check {
    EXEC_CHECK_ATTESTATION,
    EXEC_CHECK_KEY_BINDING,
    EXEC_CHECK_REQUEST_COMMITMENT,
    EXEC_CHECK_RESULT_COMMITMENT,
    EXEC_CHECK_RESULT_CONTENT,
    EXEC_CHECK_LEAF,
    EXEC_CHECK_AUDIT_PROOF,
    EXEC_CHECK_RECEIPT,
    EXEC_CHECK_COUNT
};

struct exec_finding {
    enum exec_outcome outcome;
    char detail[ERR_MESSAGE_BYTES_MAX];
};

struct exec {
    const struct exec_request *request;
    struct progress progress;
    struct client *client;
    struct cli_module module;
    struct bytes function_name;
    uint8_t program_hash[CRYPTO_SHA256_BYTES];
    json_t *state; /* of a resumed one: names are borrowed from it */

    json_t *key_answer;     /* of POST /v1/keys */
    json_t *body;           /* of POST /v1/execute, as sent; NULL if resumed */
    json_t *execute_answer; /* of POST /v1/execute */
    int execute_status;

    uint8_t nonce[32];
    uint8_t request_id[TEXT_UUID_BYTES];
    char request_id_text[TEXT_UUID_CHARS + 1];
    uint8_t public_key[CRYPTO_P256_POINT_BYTES];
    uint8_t salt[CRYPTO_REQUEST_SALT_BYTES];
    struct crypto_hpke hpke;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];

    int64_t judged_ms; /* the time for which the evidence is verified: that of sealing */
    struct attest_result attestation;
    uint8_t request_commitment[CRYPTO_SHA256_BYTES];
    uint8_t result_commitment[CRYPTO_SHA256_BYTES];
    uint8_t *plaintext; /* the result, as it was sealed; a NUL follows */
    size_t plaintext_size;
    json_t *result; /* the same, parsed */
    uint64_t leaf_index;
    struct audit_checkpoint checkpoint;
    struct exec_finding findings[EXEC_CHECK_COUNT];
    double milliseconds; /* of the whole */
};

const char *exec_check_name(enum exec_check check); /* "audit_proof" */
/* Notes an outcome; FAILED prints it as a step, too. Returns outcome == VERIFIED. */
bool exec_finding_set(struct exec *exec, enum exec_check check, enum exec_outcome outcome,
                      const char *format, ...) PRINTF_LIKE(4, 5);
bool exec_has_failed(const struct exec *exec);

/* exec_args.c: the JSON array for the function's type. INVALID_ARGUMENTS, IO. A new reference. */
bool exec_args_json(const struct exec_request *request, const struct vm_func_type *type,
                    json_t **out, struct err *err) MUST_CHECK;

/* exec_verify.c. Each sets its findings, and returns false if going on makes no sense. */
bool exec_verify_key(struct exec *exec);
bool exec_verify_answer(struct exec *exec);

/* exec_fetch.c: asks for the answer until it is there. *is_unsent: the node knows the key and no
 * request with it. IO when the node cannot be reached for long, or has no answer. */
bool exec_fetch(struct exec *exec, bool *is_unsent, struct err *err) MUST_CHECK;
/* A refusal of the node as an error: its code and message, or the bare status. Always false. */
bool exec_refused(const struct client_answer *answer, const char *what, struct err *err);

/* exec_cancel.c: from `watch` on, Ctrl-C interrupts what waits for the node (CANCELLED); then it is
 * due to cancel the execution, and `end` ends the program as the signal would have. */
void exec_cancel_watch(struct exec *exec);
bool exec_cancel_is_due(void);
void exec_cancel(struct exec *exec);
void exec_cancel_end(void);

/* exec_state.c. Saving makes a new file, 0600, and fails with IO if there is one. Loading fills
 * what the answer's verification needs, and what `request` leaves open. */
bool exec_state_save(const struct exec *exec, struct err *err) MUST_CHECK;
bool exec_state_load(struct exec *exec, struct exec_request *request, struct err *err) MUST_CHECK;

/* exec_report.c: prints, saves, and returns the exit code. */
int exec_report(const struct cli_command *command, struct exec *exec);
int exec_report_accepted(const struct exec *exec);

/* A member of an object as fixed-size bytes from hex or base64; false if absent or of another size.
 */
bool exec_hex_member(const json_t *object, const char *member, uint8_t *out, size_t size);
bool exec_base64_member(const json_t *object, const char *member, uint8_t *out, size_t size);

/* Does the member say exactly this (exec_verify.c)? */
bool exec_says_text(const json_t *object, const char *member, const char *expected);
bool exec_says_hash(const json_t *object, const char *member,
                    const uint8_t expected[static CRYPTO_SHA256_BYTES]);
bool exec_says_number(const json_t *object, const char *member, uint64_t expected);
/* What evidence that nobody vouches for says of its epoch: enough to hold the node's signatures
 * against each other, and no more. False if it says nothing usable. */
bool exec_epoch_from_claims(const json_t *evidence, struct attest_result *epoch);

#endif
