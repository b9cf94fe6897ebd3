/* scheduler_queue.h: which run gets the next slice, which a slot, which has waited too long: the
 * decisions, without threads, locks or clocks. Private to service.
 *
 * Slices. A tenant is an API key. Each run is young for its first few milliseconds of service, then
 * grown. The young go first, so that a short program is through before a long one gets another
 * turn; but while both wait, an eighth of the time is for the grown. Among the young, and among the
 * grown, the tenant with the least virtual time goes first, and of its runs the one with the least:
 * start-time fair queueing in two levels. So tenants share evenly however many runs they have, and
 * so do the runs of a tenant; whoever comes or comes back starts at the virtual time of who is
 * served, with no claim on the past. Nobody starves: virtual time goes on for whoever is served,
 * and of a tenant's young, of which the one that has had least goes first, every eighth turn goes
 * to the one that has had most, if it came a
 * second ago.
 *
 * Slots. A regular slot (concurrent_max) is kept until the run has left. When they are all taken, a
 * new run may be young on an express slot (express_max), and is parked when it has grown: not
 * served, its deadline watched, until a regular slot is free. Regular slots go to the tenant that
 * has fewest, of equals to those with a parked run, then in turn; in a tenant the parked go first,
 * then the backlog, in order. Express
 * slots go round among tenants. A tenant has at most its share of reservations and express slots.
 *
 * Invariants: while a run is parked or in the backlog, no regular slot is free. A run is in the
 * deadline heap from add until it is settled or stopped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_SCHEDULER_QUEUE_H
#define SERVICE_SCHEDULER_QUEUE_H

#include "service/scheduler.h"

enum { SCHEDULER_QUEUE_BUCKETS = 256 };

struct scheduler_queue {
    struct scheduler_config config;
    uint32_t reserved_max, reserved_share, express_share;
    struct list tenants[SCHEDULER_QUEUE_BUCKETS]; /* by hash of the name */
    struct list stopped;                          /* ready, to be ended at once */
    struct minheap ready[SCHEDULER_AGES];         /* tenants by virtual time */
    uint64_t virtual_ns[SCHEDULER_AGES];          /* of the tenant served last */
    uint64_t young_ns;                            /* served while grown ones were waiting */
    struct minheap deadlines;
    struct minheap line;      /* tenants with runs that wait for a slot, by the slots they have */
    struct list express_line; /* of them, those that may have an express slot */
    struct list waiting;      /* for memory, oldest first */
    struct list rooming;      /* for the room of an answer, oldest first */
    uint64_t freed;           /* how often memory came back */
    uint32_t reserved, slots, express, parked, backlog, waiting_count, ready_count, tenant_count;
    bool is_stopping; /* whoever comes is stopped with CLOSE */
};

bool scheduler_queue_init(struct scheduler_queue *queue,
                          const struct scheduler_config *config) MUST_CHECK;
void scheduler_queue_release(struct scheduler_queue *queue);

bool scheduler_queue_reserve(struct scheduler_queue *queue, const char *owner,
                             struct scheduler_tenant **out, struct err *err) MUST_CHECK;
void scheduler_queue_unreserve(struct scheduler_queue *queue, struct scheduler_tenant *tenant);
void scheduler_queue_add(struct scheduler_queue *queue, struct scheduler_run *run, uint64_t now_ns);

/* The run that gets the next slice: it is RUNNING then. NULL: none is ready. */
struct scheduler_run *scheduler_queue_take(struct scheduler_queue *queue, uint64_t now_ns);
/* After its slice; not for a run that was settled in it. */
void scheduler_queue_put(struct scheduler_queue *queue, struct scheduler_run *run,
                         enum scheduler_verdict verdict, uint64_t now_ns);
void scheduler_queue_settle(struct scheduler_queue *queue, struct scheduler_run *run,
                            uint64_t now_ns);
void scheduler_queue_leave(struct scheduler_queue *queue, struct scheduler_run *run);

void scheduler_queue_stop(struct scheduler_queue *queue, struct scheduler_run *run,
                          enum scheduler_stop reason);
void scheduler_queue_stop_all(struct scheduler_queue *queue);
/* Stops whose deadline is over, or who has waited too long for a slot. */
void scheduler_queue_expire(struct scheduler_queue *queue, uint64_t now_ns);
/* When expire has to be called at the latest; UINT64_MAX: no need. */
uint64_t scheduler_queue_next_ns(const struct scheduler_queue *queue);

/* Memory has come back: the oldest that waits for some tries again. If it gets enough, it may grow
 * on for a while or to its end before the next one tries: what has come back must bring one
 * through, not be spread over all. settle (a program is gone) and unreserve (an answer) say so
 * themselves. */
void scheduler_queue_memory_freed(struct scheduler_queue *queue);

uint32_t scheduler_queue_position(const struct scheduler_queue *queue,
                                  const struct scheduler_run *run);

#endif
