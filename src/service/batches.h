/* batches.h: POST /v1/attestation: fresh proofs, one report for all nonces that have come since the
 * last one. Private to service.
 *
 *     ask -> gathered -> [the attester's turn] asked -> report -> answered, some at a time
 *
 * A caller leaves its place early by going away or when its time is over, also while the firmware
 * is asked; its leaf stays in the tree. The tree is made, and all answers are, on the attester's
 * thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_BATCHES_H
#define SERVICE_BATCHES_H

#include "base/err.h"

struct api_call;
struct service;
struct batches;

/* Registers the duty with the service's attester, which must have ended before close. NULL: no
 * memory. */
struct batches *batches_new(struct service *service);
/* Answers whoever still waits. NULL is fine. */
void batches_close(struct batches *batches);
/* Refuses callers whose time is over, at most some hundred at once. */
void batches_tick(struct batches *batches);
uint32_t batches_waiting(struct batches *batches);

/* The endpoint: on the loop's thread, then on a worker's. */
void batches_watch(struct api_call *call);
void batches_ask(struct api_call *call);

#endif
