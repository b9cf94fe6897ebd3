/* check.h: does what a power cut left of a log keep what was promised?
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POWER_CHECK_H
#define POWER_CHECK_H

#include "promise.h"

/* The leaf hashes of a log, in order. */
struct check_history {
    uint8_t (*hashes)[AUDIT_HASH_BYTES];
    uint64_t count;
    uint64_t own_count; /* without what opening added at the end */
};
bool check_history_read(const char *directory, struct check_history *out,
                        struct err *err) MUST_CHECK;
void check_history_release(struct check_history *history);

struct check {
    const struct promises *promises;
    const struct check_history *whole; /* what the server wrote in the end */
    const char *vkey;                  /* that an auditor kept */
    bool log_was_there;                /* from the beginning: there must be one whatever happens */
};

/* Verifies the directory, opens it, compares it with what had been promised before `record`, closes
 * it, verifies again. False with the reason. */
bool check_directory(const struct check *check, const char *directory, size_t record,
                     struct err *err) MUST_CHECK;

#endif
