/* attest.h: policies for attestation as files, and what the commands about evidence share. Private
 * to cli.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_ATTEST_H
#define CLI_ATTEST_H

#include "attest/attest.h"
#include "base/arena.h"

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

#endif
