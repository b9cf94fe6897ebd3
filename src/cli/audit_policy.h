/* audit_policy.h: what an auditor asks of a log, as a YAML file says it.
 *
 *     origin: log.example/node-1         the log's name
 *     keys:                              any one of them is, or was, the log's
 *       - log.example/node-1+8c1dcdc4+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea
 *     max_age_seconds: 86400             how old the newest entry, or cosignature, may be
 *     witnesses:
 *       threshold: 1                     how many of these must have cosigned the checkpoint
 *       keys:
 *         - witness.example+…
 *
 * Everything is optional; what is not known is refused with its line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_AUDIT_POLICY_H
#define CLI_AUDIT_POLICY_H

#include "audit/audit.h"
#include "base/arena.h"

enum { AUDIT_POLICY_KEYS_MAX = 16 };

struct audit_policy_file {
    struct budget budget;
    struct arena arena; /* the texts */
    const char *origin;
    const char *keys[AUDIT_POLICY_KEYS_MAX];
    size_t key_count;
    uint64_t age_ms_max;
    bool has_witnesses;
    struct audit_key cosigners[AUDIT_WITNESSES_MAX];
    struct audit_policy witnesses; /* of cosigners */
};

/* CONFIG with file and line; IO, LIMIT. Release in any case. */
bool audit_policy_load(struct audit_policy_file *policy, const char *path,
                       struct err *err) MUST_CHECK;
void audit_policy_release(struct audit_policy_file *policy);

#endif
