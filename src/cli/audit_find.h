/* audit_find.h: the entries of one request, and what proves them.
 *
 * In a directory they are found by reading it all, which verifies it on the way. A node is asked
 * for them by id; each of its answers is checked by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_AUDIT_FIND_H
#define CLI_AUDIT_FIND_H

#include "cli/audit_common.h"

struct audit_found_entry {
    bool is_there;
    uint64_t index;
    json_t *json;
    struct buffer leaf;
    struct buffer tlog_proof; /* of a node's answer; a directory is asked for it */
};

struct audit_found {
    const char *id;
    struct audit_found_entry admit;
    struct audit_found_entry result;
    struct audit_found_entry recovered; /* a RECOVERED that names the ADMIT; directories only */
    enum audit_verdict verdict;         /* of what was read: not yet of whether it was found */
    char detail[512];
    struct audit_checkpoint checkpoint;
    bool key_is_given;   /* else the log's own word was taken */
    struct buffer roots; /* of a directory, for audit_source_prove */
    struct buffer note;
    bool failed; /* out of memory while reading */
};

/* Is it a request id? */
bool audit_id_is_valid(const char *text);

/* id NULL, for directories: verifies, and keeps roots and note. Fails only if nothing can be read.
 * Release in any case. */
bool audit_find(const struct audit_target *target, const struct audit_request *request,
                const char *id, struct audit_found *found, struct err *err) MUST_CHECK;
void audit_found_release(struct audit_found *found);

#endif
