/* scheduler.h: worker threads, and which run gets the next slice. Private to service.
 *
 * A run is a resumable coroutine: step() works for a short while and says what is next; a slice is
 * as many steps as fit into slice_us. Who gets the next slice, and who a slot, is decided in
 * scheduler_queue.h; here are the threads that do it.
 *
 *     reserve -> add -> [backlog] -> ready <-> running -> settled -> leave -> unreserve
 *                                     |^---- waits for memory
 *                                     v^---- parked: has had its youth, waits for a slot
 *
 * Whoever has to end early (cancelled, deadline over, node closing) is told by `stop` at its next
 * step, which comes before everything else wherever it waits. Deadlines are watched for runs that
 * wait as well as for running ones.
 *
 * Jobs are one-shot functions that do not belong on the loop's thread (large JSON, the disk,
 * signatures); they go before runs, but while runs are ready they get half of a worker's time at
 * most.
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
struct scheduler_tenant; /* an API key that has something reserved */

enum { SCHEDULER_OWNER_CHARS = 32 }; /* of a tenant's name */

struct scheduler_job { /* the caller's memory, until run is called */
    struct list link;
    void (*run)(void *context);
    void *context;
};

enum scheduler_stop {
    SCHEDULER_GO,
    SCHEDULER_CANCEL,
    SCHEDULER_DEADLINE,
    SCHEDULER_CLOSE,
    SCHEDULER_NO_SLOT,   /* queue_wait_max_ns in the backlog */
    SCHEDULER_NO_MEMORY, /* it was the youngest of those that waited, and nobody could go on */
};

enum scheduler_verdict {
    SCHEDULER_AGAIN,
    SCHEDULER_WAIT_MEMORY, /* step again when other runs have given some back, or when stopped */
    SCHEDULER_WAIT_ROOM,   /* the same of memory that answers on their way hold */
    SCHEDULER_LEFT,        /* scheduler_settle was called; the run may be gone already */
};

enum scheduler_place {
    SCHEDULER_OUTSIDE,
    SCHEDULER_BACKLOG,
    SCHEDULER_READY,
    SCHEDULER_RUNNING,
    SCHEDULER_WAITING,
    SCHEDULER_PARKED,
    SCHEDULER_SETTLED,
};

enum scheduler_slot { SCHEDULER_SLOT_NONE, SCHEDULER_SLOT_REGULAR, SCHEDULER_SLOT_EXPRESS };

enum scheduler_age { SCHEDULER_YOUNG, SCHEDULER_GROWN, SCHEDULER_AGES };

struct scheduler_slice {
    uint64_t gas;       /* spend about so much */
    uint64_t gas_spent; /* by step; 0 if it did not run a guest */
};

struct scheduler_run { /* embedded in what is run; zeroed, then the first block is set */
    enum scheduler_verdict (*step)(struct scheduler_run *run, struct scheduler_slice *slice);
    struct scheduler_tenant *tenant; /* from scheduler_reserve */
    uint64_t deadline_ns;
    bool holds_memory; /* set by step: worth having back when all wait for some */
    bool is_patient;   /* may stay in the backlog until its deadline: nobody waits for the answer */

    uint64_t attained_ns;      /* on processors so far, without the step that is under way */
    uint64_t step_started_ns;  /* of the step that is under way */
    uint64_t first_started_ns; /* 0: never */
    uint64_t gas;              /* of its next step; 0: has had none */
    bool is_stop_noted;
    _Atomic int stop; /* enum scheduler_stop */

    enum scheduler_place place; /* under the lock, as the rest; scheduler_queue.c's */
    enum scheduler_slot slot;
    enum scheduler_age age;
    bool is_present;     /* counted among its tenant's ready and running */
    bool waits_for_room; /* while WAITING: of the two lists the other */
    uint32_t retry;      /* it has waited: slices until those behind it may try as well; else 0 */
    uint64_t freed;      /* of the queue, when the slice under way was given */
    uint64_t added_ns;
    uint64_t taken_ns; /* when its last slice was given; later by what it does not pay for */
    uint64_t turn_ns;  /* its virtual time within its tenant */
    struct minheap_node deadline;
    struct list link;
};

/* What is worth a histogram, in nanoseconds. */
enum scheduler_fact {
    SCHEDULER_FACT_WAIT,         /* from add to the first slice */
    SCHEDULER_FACT_SLICE,        /* the length of a slice */
    SCHEDULER_FACT_STOP_LATE,    /* from a run's deadline to the moment when it ran no more */
    SCHEDULER_FACT_SETTLED_LATE, /* and to its outcome: sealed, handed to the log */
    SCHEDULER_FACT_MADE_WAY,     /* how long a sync had lasted when a worker slept for it */
    SCHEDULER_FACTS,
};

struct scheduler_config {
    uint32_t workers;        /* 0: one per processor */
    uint32_t concurrent_max; /* regular slots */
    uint32_t express_max;    /* more runs that may have their youth while no slot is free */
    uint32_t queued_max;
    uint32_t tenant_percent;    /* of reservations and of express slots, for one tenant; 0: 100 */
    uint64_t queue_wait_max_ns; /* 0: until the deadline */
    uint32_t slice_us;
    const struct clock *clock;
    /* Since when answers have waited for a sync of the disk, by `clock`; 0: none is under way.
     * Called by workers between steps; may be NULL. */
    uint64_t (*sync_began_ns)(void *context);
    void *sync_context;
    /* Called by workers, without a lock; may be NULL. */
    void (*observe)(void *context, enum scheduler_fact fact, uint64_t ns);
    void *observe_context;
};

struct scheduler_counts {
    uint32_t reserved;
    uint32_t active;  /* with a slot, regular or express */
    uint32_t express; /* of them on express slots */
    uint32_t parked;  /* of these waiting for a regular one */
    uint32_t backlog;
    uint32_t tenants;
};

bool scheduler_open(const struct scheduler_config *config, struct scheduler **out,
                    struct err *err) MUST_CHECK;
/* No more reservations (DRAINING). `drained`, once, from any thread, when nothing is reserved. */
void scheduler_drain(struct scheduler *scheduler, void (*drained)(void *context), void *context);
/* After drain: stops every run with CLOSE, waits until nothing is reserved and all jobs have been
 * run, joins the workers. */
void scheduler_close(struct scheduler *scheduler);

void scheduler_post(struct scheduler *scheduler, struct scheduler_job *job);

/* Room for one run of the tenant of that name (an API key's id; "" is one as well). *out is what
 * run.tenant and unreserve take. OVERLOADED, RATE_LIMITED (the tenant's share is used up),
 * DRAINING, NO_MEMORY. */
bool scheduler_reserve(struct scheduler *scheduler, const char *owner,
                       struct scheduler_tenant **out, struct err *err) MUST_CHECK;
void scheduler_add(struct scheduler *scheduler, struct scheduler_run *run);
/* The first reason counts. Does nothing once the run is settled. */
void scheduler_stop(struct scheduler *scheduler, struct scheduler_run *run,
                    enum scheduler_stop reason);
/* By step: the run's outcome is decided, it will not be stepped again. */
void scheduler_settle(struct scheduler *scheduler, struct scheduler_run *run);
/* A settled run's slot is free; its memory is back in the budget. */
void scheduler_leave(struct scheduler *scheduler, struct scheduler_run *run);
void scheduler_unreserve(struct scheduler *scheduler, struct scheduler_tenant *tenant);
/* Memory has come back that no run held: of an answer that was sent. */
void scheduler_memory_freed(struct scheduler *scheduler);

/* How many runs get a slot before this one does, if nobody leaves out of turn, and it: 1 is next.
 * 0: it has had one, or has not been added. */
uint32_t scheduler_position(struct scheduler *scheduler, const struct scheduler_run *run);
void scheduler_counts(struct scheduler *scheduler, struct scheduler_counts *out);
/* Looks at the deadlines now (tests move the clock by hand). */
void scheduler_tick(struct scheduler *scheduler);

#endif
