/* scheduler.c: one lock around the decisions of scheduler_queue.c, and the workers that follow
 * them.
 *
 * One queue for all workers: it keeps order, shares and deadlines exact, and the lock is held for
 * pointer moves only. Taking a run and putting it back costs less than a thousandth of a slice
 * (bench/bench_service_scheduler.c): a queue for each worker would gain nothing.
 *
 * A slice is many steps. Gas says little of time: the same amount takes a thousand times longer
 * where each access meets a new page. So a step gets so little gas that even then it is over in a
 * few milliseconds, the clock is looked at after each, and a run whose steps take long gets less.
 *
 * After a slice the worker offers its processor to whoever waits for it. Endless loops would keep
 * it for as long as the kernel lets them, several milliseconds, while the loop has an answer to
 * send, or the log a sync that is done. Where other busy processes share the node's control group
 * it leaves them more than half. Those threads are prompt (process_thread_be_prompt): the kernel
 * lets them go first when they wake up in the middle of a slice.
 *
 * A sync of the log needs the kernel's own threads, and those Linux weighs against the whole of
 * the node: they may wait for a processor up to the next tick, 4 ms, while the workers compute, and
 * yielding is of no use to them. One sync in a hundred is as unlucky. When one takes long, each
 * worker leaves its processor for a moment, once: that is enough for the disk to be told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/scheduler.h"

#include "base/arena.h"
#include "base/process.h"
#include "base/wait.h"
#include "service/scheduler_queue.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

enum {
    GAS_PER_STEP_MIN = 1024,
    GAS_PER_STEP_MAX = 16384,
    STEP_AIM_NS = 50000,
    STEPS_PER_SLICE_MAX = 1024, /* also with a clock that stands still */
    SYNC_SLOW_NS = 500000,      /* twice what one takes on a good disk */
    MAKE_WAY_NS = 100000,       /* more than the kernel's threads need */
    NS_PER_US = 1000,
};

struct scheduler {
    struct scheduler_config config;
    pthread_t *threads;
    uint32_t thread_count;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work;  /* something to do, or closing */
    pthread_cond_t empty; /* nothing reserved, no jobs */
    struct list jobs;
    struct scheduler_queue queue;
    uint32_t jobs_running;
    uint32_t idle;           /* workers that wait for `work` */
    _Atomic uint32_t posted; /* jobs in the list; workers look at it between steps */
    _Atomic uint32_t wakers; /* threads that have left the lock to signal `work` */
    bool is_draining;
    bool is_closing; /* the workers */
    void (*drained)(void *context);
    void *drained_context;
};

struct worker { /* its thread's own */
    struct scheduler *scheduler;
    uint64_t jobs_ns;     /* spent on jobs since the last slice */
    uint64_t made_way_ns; /* for the sync that began then */
};

static uint64_t scheduler_now_ns(const struct scheduler *scheduler)
{
    return clock_monotonic_ns(scheduler->config.clock);
}

static void scheduler_observe(const struct scheduler *scheduler, enum scheduler_fact fact,
                              uint64_t ns)
{
    if (scheduler->config.observe != NULL) {
        scheduler->config.observe(scheduler->config.observe_context, fact, ns);
    }
}

/* ---- under the lock ---- */

static bool scheduler_is_empty(const struct scheduler *scheduler)
{
    return scheduler->queue.reserved == 0 && scheduler->jobs_running == 0 &&
           list_is_empty(&scheduler->jobs);
}

/* One worker for one thing to do: it wakes the next if it leaves something behind. */
static bool scheduler_has_to_wake(const struct scheduler *scheduler)
{
    return scheduler->idle > 0 &&
           (scheduler->queue.ready_count > 0 || !list_is_empty(&scheduler->jobs));
}

static void scheduler_wake(struct scheduler *scheduler)
{
    if (scheduler_has_to_wake(scheduler)) {
        pthread_cond_signal(&scheduler->work);
    }
}

/* Leaves the lock first: whoever wakes needs it at once, and often on this processor. */
static void scheduler_unlock_and_wake(struct scheduler *scheduler, bool wakes)
{
    if (wakes) {
        atomic_fetch_add(&scheduler->wakers, 1);
    }
    pthread_mutex_unlock(&scheduler->lock);
    if (wakes) {
        pthread_cond_signal(&scheduler->work);
        atomic_fetch_sub(&scheduler->wakers, 1);
    }
}

/* Waits for work, at most until the next deadline. */
static void scheduler_sleep(struct scheduler *scheduler, uint64_t now_ns)
{
    uint64_t next_ns = scheduler_queue_next_ns(&scheduler->queue);
    scheduler->idle++;
    if (next_ns == UINT64_MAX) {
        pthread_cond_wait(&scheduler->work, &scheduler->lock);
    } else {
        uint64_t left_ns = next_ns > now_ns ? next_ns - now_ns : 0;
        (void)wait_until(&scheduler->work, &scheduler->lock, wait_end_ns(left_ns));
    }
    scheduler->idle--;
}

/* ---- workers ---- */

static uint64_t gas_tuned(uint64_t gas, uint64_t spent, uint64_t elapsed_ns)
{
    if (spent < gas / 2 || elapsed_ns == 0) {
        return gas; /* too little to learn from */
    }
    uint64_t aimed = spent * STEP_AIM_NS / elapsed_ns;
    if (aimed < GAS_PER_STEP_MIN) {
        return GAS_PER_STEP_MIN;
    }
    return aimed > GAS_PER_STEP_MAX ? GAS_PER_STEP_MAX : aimed;
}

static void run_begin(struct scheduler *scheduler, struct scheduler_run *run, uint64_t now_ns)
{
    if (run->first_started_ns == 0) {
        run->first_started_ns = now_ns;
        run->gas = GAS_PER_STEP_MAX;
        scheduler_observe(scheduler, SCHEDULER_FACT_WAIT, now_ns - run->added_ns);
    }
}

/* Whether its time is over is seen here and by expire, whoever comes first. */
static void run_check_deadline(struct scheduler *scheduler, struct scheduler_run *run,
                               uint64_t now_ns)
{
    int expected = SCHEDULER_GO;
    if (now_ns >= run->deadline_ns) {
        (void)atomic_compare_exchange_strong(&run->stop, &expected, SCHEDULER_DEADLINE);
    }
    if (!run->is_stop_noted && atomic_load(&run->stop) == SCHEDULER_DEADLINE) {
        bool is_late = now_ns > run->deadline_ns; /* expire may have looked at the clock later */
        run->is_stop_noted = true;
        scheduler_observe(scheduler, SCHEDULER_FACT_STOP_LATE,
                          is_late ? now_ns - run->deadline_ns : 0);
    }
}

/* When the sync began that the worker has to make way for; 0: there is none. */
static uint64_t slow_sync_ns(const struct worker *worker, uint64_t now_ns)
{
    const struct scheduler_config *config = &worker->scheduler->config;
    uint64_t began_ns =
        config->sync_began_ns != NULL ? config->sync_began_ns(config->sync_context) : 0;
    bool is_slow = began_ns != 0 && now_ns >= began_ns + SYNC_SLOW_NS;
    return is_slow && began_ns != worker->made_way_ns ? began_ns : 0;
}

/* That of a grown run ends early for a job, but not before it has lasted as long as the jobs before
 * it. Young ones are rather brought to their end. */
static bool slice_is_over(const struct worker *worker, const struct scheduler_run *run,
                          uint64_t now_ns)
{
    const struct scheduler *scheduler = worker->scheduler;
    uint64_t elapsed_ns = now_ns - run->taken_ns;
    return elapsed_ns >= (uint64_t)scheduler->config.slice_us * NS_PER_US ||
           (run->age == SCHEDULER_GROWN && elapsed_ns >= worker->jobs_ns &&
            atomic_load_explicit(&scheduler->posted, memory_order_relaxed) > 0) ||
           slow_sync_ns(worker, now_ns) != 0;
}

/* Steps for about one slice, and says when it was over. A run that LEFT must not be touched any
 * more. */
static enum scheduler_verdict worker_slice(const struct worker *worker, struct scheduler_run *run,
                                           uint64_t *ended_ns)
{
    struct scheduler *scheduler = worker->scheduler;
    uint64_t began_ns = run->taken_ns;
    uint64_t now_ns = began_ns;
    enum scheduler_verdict verdict = SCHEDULER_AGAIN;
    run_begin(scheduler, run, now_ns);
    for (int step = 0; step < STEPS_PER_SLICE_MAX && verdict == SCHEDULER_AGAIN; step++) {
        run_check_deadline(scheduler, run, now_ns);
        struct scheduler_slice slice = {.gas = run->gas};
        run->step_started_ns = now_ns;
        verdict = run->step(run, &slice);
        uint64_t then_ns = now_ns;
        now_ns = scheduler_now_ns(scheduler);
        if (verdict == SCHEDULER_LEFT) {
            break;
        }
        run->attained_ns += now_ns - then_ns;
        run->gas = gas_tuned(run->gas, slice.gas_spent, now_ns - then_ns);
        if (slice_is_over(worker, run, now_ns)) {
            break;
        }
    }
    scheduler_observe(scheduler, SCHEDULER_FACT_SLICE, now_ns - began_ns);
    *ended_ns = now_ns;
    return verdict;
}

/* The kernel may have given the processor to others in the middle of the slice: the run does not
 * pay for them. */
static void run_forgive(struct scheduler_run *run, uint64_t ended_ns, uint64_t used_ns)
{
    uint64_t elapsed_ns = ended_ns - run->taken_ns;
    uint64_t lost_ns = elapsed_ns > used_ns ? elapsed_ns - used_ns : 0;
    run->attained_ns -= run->attained_ns < lost_ns ? run->attained_ns : lost_ns;
    run->taken_ns += lost_ns;
}

/* Between two slices, without the lock: nobody pays for this. */
static void worker_offer_processor(struct worker *worker, uint64_t now_ns)
{
    uint64_t sync_began_ns = slow_sync_ns(worker, now_ns);
    if (sync_began_ns == 0) {
        (void)sched_yield();
        return;
    }
    const struct timespec moment = {.tv_nsec = MAKE_WAY_NS};
    worker->made_way_ns = sync_began_ns;
    scheduler_observe(worker->scheduler, SCHEDULER_FACT_MADE_WAY, now_ns - sync_began_ns);
    (void)nanosleep(&moment, NULL);
}

static void worker_run(struct worker *worker, struct scheduler_run *run)
{
    struct scheduler *scheduler = worker->scheduler;
    uint64_t ended_ns;
    uint64_t used_ns = clock_thread_ns(scheduler->config.clock);
    scheduler_unlock_and_wake(scheduler, scheduler_has_to_wake(scheduler));
    enum scheduler_verdict verdict = worker_slice(worker, run, &ended_ns);
    used_ns = clock_thread_ns(scheduler->config.clock) - used_ns;
    pthread_mutex_lock(&scheduler->lock);
    if (verdict != SCHEDULER_LEFT) {
        run_forgive(run, ended_ns, used_ns);
        scheduler_queue_put(&scheduler->queue, run, verdict, ended_ns);
    }
    if (verdict == SCHEDULER_AGAIN) {
        pthread_mutex_unlock(&scheduler->lock);
        worker_offer_processor(worker, ended_ns);
        pthread_mutex_lock(&scheduler->lock);
    }
}

static void worker_job(struct scheduler *scheduler, struct list *link)
{
    struct scheduler_job *job = LIST_ENTRY(link, struct scheduler_job, link);
    scheduler->jobs_running++;
    scheduler_unlock_and_wake(scheduler, scheduler_has_to_wake(scheduler));
    job->run(job->context);
    pthread_mutex_lock(&scheduler->lock);
    scheduler->jobs_running--;
    if (scheduler_is_empty(scheduler)) {
        pthread_cond_broadcast(&scheduler->empty);
    }
}

/* Who is being ended goes first. Then jobs; but while a run is ready they get no more than a slice
 * between two of its. */
static struct list *worker_take_job(const struct worker *worker)
{
    struct scheduler *scheduler = worker->scheduler;
    const struct scheduler_queue *queue = &scheduler->queue;
    uint64_t slice_ns = (uint64_t)scheduler->config.slice_us * NS_PER_US;
    bool is_runs_turn =
        !list_is_empty(&queue->stopped) || (worker->jobs_ns >= slice_ns && queue->ready_count > 0);
    struct list *link = is_runs_turn ? NULL : list_pop_front(&scheduler->jobs);
    if (link != NULL) {
        atomic_fetch_sub_explicit(&scheduler->posted, 1, memory_order_relaxed);
    }
    return link;
}

static void *worker_main(void *context)
{
    struct scheduler *scheduler = context;
    struct worker worker = {.scheduler = scheduler};
    process_thread_name("worker");
    pthread_mutex_lock(&scheduler->lock);
    while (!scheduler->is_closing) {
        uint64_t now_ns = scheduler_now_ns(scheduler);
        struct scheduler_run *run;
        scheduler_queue_expire(&scheduler->queue, now_ns);
        struct list *link = worker_take_job(&worker);
        if (link != NULL) {
            worker_job(scheduler, link);
            worker.jobs_ns += scheduler_now_ns(scheduler) - now_ns;
        } else if ((run = scheduler_queue_take(&scheduler->queue, now_ns)) != NULL) {
            worker_run(&worker, run);
            worker.jobs_ns = 0;
        } else {
            scheduler_sleep(scheduler, now_ns);
        }
    }
    pthread_mutex_unlock(&scheduler->lock);
    return NULL;
}

/* ---- opening and closing ---- */

/* Whoever added the last work may not be out of its signal yet. */
static void scheduler_free(struct scheduler *scheduler)
{
    while (atomic_load(&scheduler->wakers) > 0) {
        (void)sched_yield();
    }
    scheduler_queue_release(&scheduler->queue);
    heap_free(scheduler->threads);
    pthread_cond_destroy(&scheduler->work);
    pthread_cond_destroy(&scheduler->empty);
    pthread_mutex_destroy(&scheduler->lock);
    heap_free(scheduler);
}

static void scheduler_join(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler->is_closing = true;
    pthread_cond_broadcast(&scheduler->work);
    pthread_mutex_unlock(&scheduler->lock);
    for (uint32_t i = 0; i < scheduler->thread_count; i++) {
        pthread_join(scheduler->threads[i], NULL);
    }
}

static void scheduler_init(struct scheduler *scheduler, const struct scheduler_config *config)
{
    scheduler->config = *config;
    pthread_mutex_init(&scheduler->lock, NULL);
    wait_init(&scheduler->work);
    wait_init(&scheduler->empty);
    list_init(&scheduler->jobs);
}

bool scheduler_open(const struct scheduler_config *config, struct scheduler **out, struct err *err)
{
    struct scheduler *scheduler = HEAP_NEW(struct scheduler);
    if (scheduler == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the scheduler");
    }
    scheduler_init(scheduler, config);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t workers =
        config->workers != 0 ? config->workers : (uint32_t)(processors > 0 ? processors : 1);
    scheduler->threads = heap_alloc_array(workers, sizeof(*scheduler->threads));
    bool queue_ok = scheduler_queue_init(&scheduler->queue, config);
    if (scheduler->threads == NULL || !queue_ok) {
        scheduler_free(scheduler);
        return err_set(err, ERR_NO_MEMORY, "no memory for the scheduler");
    }
    while (scheduler->thread_count < workers) {
        if (pthread_create(&scheduler->threads[scheduler->thread_count], NULL, worker_main,
                           scheduler) != 0) {
            scheduler_join(scheduler);
            scheduler_free(scheduler);
            return err_set(err, ERR_NO_MEMORY, "cannot start worker thread %u",
                           scheduler->thread_count);
        }
        scheduler->thread_count++;
    }
    *out = scheduler;
    return true;
}

/* Takes the callback out when its moment has come; called with the lock held, the callback comes
 * after it. */
static bool scheduler_take_drained(struct scheduler *scheduler, void (**drained)(void *context),
                                   void **context)
{
    if (scheduler->queue.reserved > 0 || scheduler->drained == NULL) {
        return false;
    }
    *drained = scheduler->drained;
    *context = scheduler->drained_context;
    scheduler->drained = NULL;
    return true;
}

void scheduler_drain(struct scheduler *scheduler, void (*drained)(void *context), void *context)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler->is_draining = true;
    scheduler->drained = drained;
    scheduler->drained_context = context;
    bool is_drained = scheduler_take_drained(scheduler, &drained, &context);
    pthread_mutex_unlock(&scheduler->lock);
    if (is_drained) {
        drained(context);
    }
}

void scheduler_close(struct scheduler *scheduler)
{
    if (scheduler == NULL) {
        return;
    }
    pthread_mutex_lock(&scheduler->lock);
    scheduler->is_draining = true;
    scheduler_queue_stop_all(&scheduler->queue);
    pthread_cond_broadcast(&scheduler->work);
    while (!scheduler_is_empty(scheduler)) {
        pthread_cond_wait(&scheduler->empty, &scheduler->lock);
    }
    pthread_mutex_unlock(&scheduler->lock);
    scheduler_join(scheduler);
    scheduler_free(scheduler);
}

/* ---- jobs and runs ---- */

void scheduler_post(struct scheduler *scheduler, struct scheduler_job *job)
{
    pthread_mutex_lock(&scheduler->lock);
    list_push_back(&scheduler->jobs, &job->link);
    atomic_fetch_add_explicit(&scheduler->posted, 1, memory_order_relaxed);
    scheduler_unlock_and_wake(scheduler, scheduler_has_to_wake(scheduler));
}

bool scheduler_reserve(struct scheduler *scheduler, const char *owner,
                       struct scheduler_tenant **out, struct err *err)
{
    pthread_mutex_lock(&scheduler->lock);
    bool ok = scheduler->is_draining
                  ? err_set(err, ERR_DRAINING, "this node is shutting down; another one will serve")
                  : scheduler_queue_reserve(&scheduler->queue, owner, out, err);
    pthread_mutex_unlock(&scheduler->lock);
    return ok;
}

/* Somebody who sleeps until a later deadline is woken, also if the run has to wait for a slot. */
void scheduler_add(struct scheduler *scheduler, struct scheduler_run *run)
{
    pthread_mutex_lock(&scheduler->lock);
    assert(run->place == SCHEDULER_OUTSIDE);
    uint64_t next_ns = scheduler_queue_next_ns(&scheduler->queue);
    scheduler_queue_add(&scheduler->queue, run, scheduler_now_ns(scheduler));
    bool is_earlier = scheduler_queue_next_ns(&scheduler->queue) < next_ns;
    scheduler_unlock_and_wake(scheduler, is_earlier || scheduler_has_to_wake(scheduler));
}

void scheduler_stop(struct scheduler *scheduler, struct scheduler_run *run,
                    enum scheduler_stop reason)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler_queue_stop(&scheduler->queue, run, reason);
    scheduler_wake(scheduler);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_settle(struct scheduler *scheduler, struct scheduler_run *run)
{
    uint64_t now_ns = scheduler_now_ns(scheduler);
    if (atomic_load(&run->stop) == SCHEDULER_DEADLINE) {
        scheduler_observe(scheduler, SCHEDULER_FACT_SETTLED_LATE, now_ns - run->deadline_ns);
    }
    pthread_mutex_lock(&scheduler->lock);
    scheduler_queue_settle(&scheduler->queue, run, now_ns);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_leave(struct scheduler *scheduler, struct scheduler_run *run)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler_queue_leave(&scheduler->queue, run);
    scheduler_wake(scheduler);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_unreserve(struct scheduler *scheduler, struct scheduler_tenant *tenant)
{
    void (*drained)(void *context) = NULL;
    void *context = NULL;
    pthread_mutex_lock(&scheduler->lock);
    scheduler_queue_unreserve(&scheduler->queue, tenant);
    scheduler_wake(scheduler);
    bool is_drained = scheduler_take_drained(scheduler, &drained, &context);
    if (scheduler_is_empty(scheduler)) {
        pthread_cond_broadcast(&scheduler->empty);
    }
    pthread_mutex_unlock(&scheduler->lock);
    if (is_drained) {
        drained(context);
    }
}

void scheduler_memory_freed(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler_queue_memory_freed(&scheduler->queue);
    scheduler_wake(scheduler);
    pthread_mutex_unlock(&scheduler->lock);
}

/* ---- questions ---- */

uint32_t scheduler_position(struct scheduler *scheduler, const struct scheduler_run *run)
{
    pthread_mutex_lock(&scheduler->lock);
    uint32_t position = scheduler_queue_position(&scheduler->queue, run);
    pthread_mutex_unlock(&scheduler->lock);
    return position;
}

void scheduler_counts(struct scheduler *scheduler, struct scheduler_counts *out)
{
    const struct scheduler_queue *queue = &scheduler->queue;
    pthread_mutex_lock(&scheduler->lock);
    *out = (struct scheduler_counts){
        .reserved = queue->reserved,
        .active = queue->slots + queue->express,
        .express = queue->express,
        .parked = queue->parked,
        .backlog = queue->backlog,
        .tenants = queue->tenant_count,
    };
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_tick(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler_queue_expire(&scheduler->queue, scheduler_now_ns(scheduler));
    scheduler_queue_memory_freed(&scheduler->queue); /* an answer may have been sent */
    scheduler_wake(scheduler);
    pthread_mutex_unlock(&scheduler->lock);
}
