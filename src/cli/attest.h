/* attest.h: policies for attestation as files, and what the commands about evidence share. Private
 * to cli.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_ATTEST_H
#define CLI_ATTEST_H

#include "attest/attest.h"
#include "base/arena.h"
#include "cli/cli.h"

struct attest_policy_file {
    struct arena arena; /* has everything that the policy points to */
    struct attest_policy policy;
};

/* The strict default, which a file can add to. */
void attest_policy_file_init(struct attest_policy_file *file);
void attest_policy_file_release(struct attest_policy_file *file);
/* Reads YAML (docs/attestation.md). CONFIG: "FILE:LINE: what is wrong"; IO. A revocation list is
 * looked for beside the file. */
bool attest_policy_file_load(struct attest_policy_file *file, const char *path,
                             struct err *err) MUST_CHECK;
/* The same for text that is already there; `path` is for messages and for names of other files. */
bool attest_policy_file_load_text(struct attest_policy_file *file, struct bytes text,
                                  const char *path, struct err *err) MUST_CHECK;

/* ---- what the commands that verify have in common (attest_verify.c) ---- */

struct attest_root { /* of a simulated node that may be believed */
    bool is_named, is_any;
    uint8_t sha256[CRYPTO_SHA256_BYTES];
};

/* "any" or a hash; false for anything else. */
bool attest_root_read(const char *text, struct attest_root *out) MUST_CHECK;
/* The argument of --allow-simulated. False: it has complained. */
bool attest_root_take(const struct cli_command *command, const char *text,
                      struct attest_root *out) MUST_CHECK;
/* The policy refers to `root` from then on. */
void attest_root_apply(const struct attest_root *root, struct attest_policy *policy);
/* Prints every check and the verdict; what the command has to return. */
int attest_result_tell(const struct cli_command *command, const struct attest_result *result,
                       bool as_json);

#endif
