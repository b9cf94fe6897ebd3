/* scheduler.h: worker threads, and which run gets the next slice. Private to service.
 *
 * A run is a resumable coroutine: step() works for about a slice and says what is next. The ready
 * run that has had the least time goes first, so new and short runs overtake long ones and long
 * ones share evenly; every eighth slice goes to the run that has waited longest, so none starves. A
 * run that has to end early (cancelled, deadline over, node closing) is told by `stop` at its next
 * step, which comes at once wherever it waits. Deadlines are watched for queued runs as well as for
 * running ones.
 *
 *     reserve -> add -> [backlog] -> ready <-> running -> settled -> leave -> unreserve
 *                                      ^--- waits for memory
 *
 * At most `concurrent_max` runs are between add and leave without being in the backlog; at most
 * concurrent_max + queued_max are between reserve and unreserve. Jobs are one-shot functions that
 * do not belong on the loop's thread (large JSON, the disk, signatures); they go before runs, but
 * while runs are ready they get half of a worker's time at most.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_SCHEDULER_H
#define SERVICE_SCHEDULER_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "service/minheap.h"

struct scheduler;

struct scheduler_job { /* the caller's memory, until run is called */
    struct list link;
    void (*run)(void *context);
    void *context;
};

enum scheduler_stop { SCHEDULER_GO, SCHEDULER_CANCEL, SCHEDULER_DEADLINE, SCHEDULER_CLOSE };

enum scheduler_verdict {
    SCHEDULER_AGAIN,
    SCHEDULER_WAIT_MEMORY, /* step again when another run has left, or when stopped */
    SCHEDULER_LEFT,        /* scheduler_settle was called; the run may be gone already */
};

enum scheduler_place {
    SCHEDULER_OUTSIDE,
    SCHEDULER_BACKLOG,
    SCHEDULER_READY,
    SCHEDULER_RUNNING,
    SCHEDULER_WAITING,
    SCHEDULER_SETTLED,
};

struct scheduler_slice {
    uint64_t gas;       /* spend about so much */
    uint64_t gas_spent; /* by step; 0 if it did not run a guest */
};

struct scheduler_run { /* embedded in what is run; zeroed, then the first block is set */
    enum scheduler_verdict (*step)(struct scheduler_run *run, struct scheduler_slice *slice);
    uint64_t deadline_ns;

    uint64_t attained_ns;      /* on workers so far, without the step that is under way */
    uint64_t step_started_ns;  /* of the step that is under way */
    uint64_t first_started_ns; /* 0: never */
    _Atomic int stop;          /* enum scheduler_stop */

    enum scheduler_place place; /* under the lock, as the rest */
    struct minheap_node ready;
    struct minheap_node deadline;
    struct list link;
};

struct scheduler_config {
    uint32_t workers;
    uint32_t concurrent_max;
    uint32_t queued_max;
    uint32_t slice_us;
    const struct clock *clock;
};

struct scheduler_counts {
    uint32_t reserved, active, backlog;
};

bool scheduler_open(const struct scheduler_config *config, struct scheduler **out,
                    struct err *err) MUST_CHECK;
/* No more reservations (DRAINING). `drained`, once, from any thread, when nothing is reserved. */
void scheduler_drain(struct scheduler *scheduler, void (*drained)(void *context), void *context);
/* After drain: stops every run with CLOSE, waits until nothing is reserved and all jobs have been
 * run, joins the workers. */
void scheduler_close(struct scheduler *scheduler);

void scheduler_post(struct scheduler *scheduler, struct scheduler_job *job);

/* OVERLOADED, DRAINING. */
bool scheduler_reserve(struct scheduler *scheduler, struct err *err) MUST_CHECK;
void scheduler_add(struct scheduler *scheduler, struct scheduler_run *run);
/* The first reason counts. Does nothing once the run is settled. */
void scheduler_stop(struct scheduler *scheduler, struct scheduler_run *run,
                    enum scheduler_stop reason);
/* By step: the run's outcome is decided, it will not be stepped again. */
void scheduler_settle(struct scheduler *scheduler, struct scheduler_run *run);
/* A settled run's slot is free; its memory is back in the budget. */
void scheduler_leave(struct scheduler *scheduler);
void scheduler_unreserve(struct scheduler *scheduler);

/* True if other active runs may yet give memory back. */
bool scheduler_may_wait(struct scheduler *scheduler);
void scheduler_counts(struct scheduler *scheduler, struct scheduler_counts *out);
/* Looks at the deadlines now (tests move the clock by hand). */
void scheduler_tick(struct scheduler *scheduler);

#endif
