/* witnesses.h: what the rest of the service asks of the node's witnesses. Private to service;
 * opening and closing are in service.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_WITNESSES_H
#define SERVICE_WITNESSES_H

#include "service/service.h"

struct witnesses_facts {
    uint64_t count;
    uint64_t threshold;
    uint64_t reached;        /* have cosigned the checkpoint that was shown to them last */
    uint64_t cosigned_size;  /* of the largest tree that enough of them cosigned; 0: none */
    uint64_t failures;       /* requests that brought no good cosignature, since the start */
    uint64_t contradictions; /* times that one told of a larger log, or another beginning */
    bool is_good;            /* enough were reached, and none contradicts */
};

/* NULL: zeros, and good. Any thread, as all that follow; waits for no disk. */
void witnesses_facts(struct service_witnesses *witnesses, struct witnesses_facts *out);
/* About once a second, on a thread that may read files: shows them the newest checkpoint, if it is
 * time and there is something to show. NULL is fine. */
void witnesses_tick(struct service_witnesses *witnesses);
/* Appends the last checkpoint that enough of them cosigned. False: none yet. NULL is fine. Waits
 * for no disk. */
bool witnesses_checkpoint(struct service_witnesses *witnesses, struct buffer *out) MUST_CHECK;

#endif
