/* idempotency.h: which Idempotency-Keys are being worked on, and what a repeat is told. Private to
 * service.
 *
 * A claim is made before anything else of the request is looked at and lasts until its session is
 * gone: then either the answer is stored, and the store knows the key, or the request was refused
 * and the key stands for nothing. So of two requests with one key only one ever goes on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_IDEMPOTENCY_H
#define SERVICE_IDEMPOTENCY_H

#include "base/list.h"
#include "store/store.h"

struct idempotency;

struct idempotency_claim { /* embedded in a session */
    struct list link;
    struct idempotency *table; /* NULL: nothing is claimed */
    struct store_idempotency record;
    bool has_request; /* record.request_id is set: of an admitted session */
};

struct idempotency *idempotency_new(void);
void idempotency_free(struct idempotency *table); /* must be empty */
/* Claims record.key_hash for record.api_key_id. IDEMPOTENCY_IN_FLIGHT if another request has it,
 * with the id of that (*has_id, as soon as it has one); IDEMPOTENCY_MISMATCH if that one is
 * different. */
bool idempotency_claim(struct idempotency *table, const struct store_idempotency *record,
                       struct idempotency_claim *claim, uint8_t id[static TEXT_UUID_BYTES],
                       bool *has_id, struct err *err) MUST_CHECK;
/* Tells later repeats which request it is, once that is admitted. Does nothing without a claim, as
 * release. */
void idempotency_name(struct idempotency_claim *claim, const uint8_t id[static TEXT_UUID_BYTES]);
void idempotency_release(struct idempotency_claim *claim);

#endif
