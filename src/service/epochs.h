/* epochs.h: the node's signing epochs: one current, renewed as a duty of the attester. Private to
 * service.
 *
 * A request key and the receipt of its execution are signed by the same epoch, whose evidence the
 * client got with the key: it verifies one evidence per execution, also across a renewal. So an
 * epoch vouches for new keys for as long as signing_ms says, and its statement is valid for
 * trailing_ms more: until the last receipt. A renewal that fails keeps the epoch that there is;
 * when that is over nothing new is signed, until the firmware makes reports again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_EPOCHS_H
#define SERVICE_EPOCHS_H

#include "audit/audit.h"
#include "service/attester.h"

struct epoch { /* immutable, shared by reference count */
    _Atomic unsigned references;
    uint64_t made_ns; /* monotonic */
    int64_t made_ms;
    struct attest_epoch *attest;
    char *evidence; /* attest_epoch_evidence as compact JSON text, made once */
};

/* Appends evidence, JSON text as the above, as an object that is still open: for a member more and
 * json_put_close. Large and the same for many answers, it is never parsed again. */
void epoch_evidence_open(const char *evidence, struct buffer *out);
struct epoch *epoch_ref(struct epoch *epoch);
void epoch_unref(struct epoch *epoch); /* NULL is fine */

struct epochs_config { /* everything outlives the epochs */
    struct attester *attester;
    const struct clock *clock;
    struct audit_log *log;
    struct attest_facts facts;
    uint64_t signing_ms;
    uint64_t trailing_ms;
};

struct epochs;

/* Makes the first epoch (may take as long as a report takes), logs its EPOCH leaf; the later ones
 * are made on the attester's thread, which must have ended before close. */
bool epochs_open(const struct epochs_config *config, struct epochs **out,
                 struct err *err) MUST_CHECK;
void epochs_close(struct epochs *epochs);
/* A new reference. */
struct epoch *epochs_current(struct epochs *epochs);
/* The same if it may sign something new: its time is not over by either clock. OVERLOADED. */
bool epochs_signing(struct epochs *epochs, struct epoch **out, struct err *err) MUST_CHECK;
/* Asks for the next epoch once three quarters of the current one's time are over, and tells when
 * all of it is. */
void epochs_tick(struct epochs *epochs);
/* When the current epoch's time is over, on the wall clock. */
int64_t epochs_until_ms(struct epochs *epochs);
bool epochs_is_over(struct epochs *epochs);

#endif
