/* epochs.h: the node's signing epochs: one current, renewed on a thread of its own because a
 * firmware report may block for a minute. Private to service.
 *
 * A request key and the receipt of its execution are signed by the same epoch, whose evidence the
 * client got with the key: it verifies one evidence per execution, also across a renewal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_EPOCHS_H
#define SERVICE_EPOCHS_H

#include "attest/attest.h"
#include "audit/audit.h"

struct epoch { /* immutable, shared by reference count */
    _Atomic unsigned references;
    uint64_t made_ns; /* monotonic */
    struct attest_epoch *attest;
    char *evidence; /* attest_epoch_evidence as compact JSON text, made once */
};

struct epoch *epoch_ref(struct epoch *epoch);
void epoch_unref(struct epoch *epoch); /* NULL is fine */

struct epochs_config { /* everything outlives the epochs */
    const struct tee *tee;
    const struct clock *clock;
    struct audit_log *log;
    struct attest_facts facts;
    uint64_t lifetime_ms;
};

struct epochs;

/* Makes the first epoch (may take as long as a report takes), logs its EPOCH leaf, starts the
 * thread. */
bool epochs_open(const struct epochs_config *config, struct epochs **out,
                 struct err *err) MUST_CHECK;
void epochs_close(struct epochs *epochs);
/* A new reference. */
struct epoch *epochs_current(struct epochs *epochs);
/* Asks the thread for the next epoch once three quarters of the current one's life are over. */
void epochs_tick(struct epochs *epochs);

#endif
