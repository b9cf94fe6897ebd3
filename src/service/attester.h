/* attester.h: the one thread that asks the firmware for reports, and the token bucket before it.
 * Private to service.
 *
 * The firmware is shared by all VMs of a machine, a call of it may block for a minute, and one that
 * times out can cost the VM its key to it. So everything that needs a report is a duty of this
 * thread: it is asked for, and done when the bucket has a token. Epochs go before batches: without
 * them nothing is signed. After a failure nobody is asked for a while.
 *
 *     ask -> due -> a token is there -> duty's run -> one call of attester_tee's report -> counted
 *
 * A call that does not come back cannot be ended. It blocks this thread and nothing else, also not
 * the end: attester_close then leaves thread and provider behind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_ATTESTER_H
#define SERVICE_ATTESTER_H

#include "attest/attest.h"

enum attester_purpose { ATTESTER_EPOCH, ATTESTER_BATCH, ATTESTER_PURPOSES };

/* What became of a call, as metrics and the log name it. */
enum attester_outcome {
    ATTESTER_SUCCESS,
    ATTESTER_BUSY,    /* perhaps later */
    ATTESTER_REFUSED, /* by the firmware or the kernel */
    ATTESTER_LOST,    /* the kernel's key to the firmware is gone until the VM is restarted */
    ATTESTER_INVALID, /* what came is no report about what was asked, or does not verify */
    ATTESTER_FAILED,  /* this node's own failure */
    ATTESTER_OUTCOMES,
    ATTESTER_BLOCKED = ATTESTER_OUTCOMES, /* it has not come back; no outcome yet */
};

const char *attester_purpose_name(enum attester_purpose purpose); /* "epoch" … */
const char *attester_outcome_name(enum attester_outcome outcome); /* "success" … */

struct metrics;
struct attester;

struct attester_config { /* everything outlives the attester */
    const struct tee *tee;
    const struct clock *clock;
    struct metrics *metrics;
    uint32_t calls_per_minute;
    uint32_t burst;      /* so many at once, at most */
    uint64_t retry_ms;   /* nobody is asked for so long after a failure */
    uint64_t blocked_ms; /* a call that takes longer is told as blocked */
    uint64_t close_ms;   /* so long close waits for a call to come back; real time */
};

/* What is asked of the attester, by purpose: run is called on its thread, one at a time, calls
 * attester_tee's report at most once, and fails with what that fails with. */
struct attester_duty {
    bool (*run)(void *context, struct err *err);
    void *context;
};

/* No thread yet. NULL: no memory. */
struct attester *attester_new(const struct attester_config *config);
void attester_set_duty(struct attester *attester, enum attester_purpose purpose,
                       struct attester_duty duty);
/* Does a duty now, on this thread. Only before start. Fails as run. */
bool attester_do(struct attester *attester, enum attester_purpose purpose,
                 struct err *err) MUST_CHECK;
bool attester_start(struct attester *attester, struct err *err) MUST_CHECK;
/* Stops the thread and frees. False: a call of the firmware has not come back. Then thread,
 * attester and what the tee's context is stay until the process ends; when the call comes back,
 * the thread touches nothing but the attester. */
bool attester_close(struct attester *attester); /* NULL is fine */

/* The provider as duties ask it: counted and paid for. */
const struct tee *attester_tee(const struct attester *attester);
/* Any thread; does not block. */
void attester_ask(struct attester *attester, enum attester_purpose purpose);
/* About once a second: looks at clock and bucket again, and tells of a call that blocks. */
void attester_tick(struct attester *attester);
/* Lets so much real time pass, on the attester's thread; less if it is being closed. */
void attester_pause(struct attester *attester, uint64_t ns);

struct attester_facts {
    uint64_t tokens;             /* whole ones in the bucket */
    uint64_t wait_ns;            /* until a call may be made */
    uint64_t under_way_ns;       /* since when the call under way lasts; 0: none is */
    uint64_t failures;           /* in a row */
    bool is_failing;             /* failures, or a call that blocks */
    int64_t failing_since_ms;    /* wall clock, if it is failing */
    enum attester_outcome error; /* the last one, if it is failing */
};

void attester_facts(struct attester *attester, struct attester_facts *out);

#endif
