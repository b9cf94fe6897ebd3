/* unanswered.h: which ADMITs have no RESULT yet: one bit for each entry.
 *
 * ADMIT sets its bit, its RESULT or a RECOVERED leaf clears it; naming anything else is a broken
 * log. A million entries cost 125 KB.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_UNANSWERED_H
#define AUDIT_UNANSWERED_H

#include "audit/leaf.h"

struct audit_unanswered {
    uint64_t *words;
    size_t word_count;
    uint64_t count;     /* bits set */
    uint64_t recovered; /* bits that RECOVERED leaves cleared */
    uint64_t pruned;    /* entries at the beginning: answers to them are not looked for */
};

/* TAMPERED if the leaf names an index that is not an unanswered ADMIT (nothing is changed then), or
 * NO_MEMORY. */
bool audit_unanswered_apply(struct audit_unanswered *set, const struct audit_leaf *leaf,
                            struct err *err) MUST_CHECK;
/* The first at or after `from`. */
bool audit_unanswered_next(const struct audit_unanswered *set, uint64_t from,
                           uint64_t *index) MUST_CHECK;
void audit_unanswered_release(struct audit_unanswered *set);

#endif
