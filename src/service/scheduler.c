/* scheduler.c: one lock, two heaps (ready runs by time had, all runs by deadline), four lists.
 *
 * The lock is held for pointer moves only. Gas per slice is tuned by each worker: it aims at
 * slice_us by what its last slices cost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/scheduler.h"

#include "base/arena.h"

#include <assert.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum {
    GAS_PER_SLICE_FIRST = 50000,
    GAS_PER_SLICE_MIN = 1000,
    GAS_PER_SLICE_MAX = 100000000,
    STEPS_PER_SLICE_MAX = 16, /* also with a clock that stands still */
    SLICES_PER_TURN = 8,      /* the last of so many goes to whoever has waited longest */
    NS_PER_US = 1000,
    NS_PER_S = 1000000000,
};

struct scheduler {
    struct scheduler_config config;
    pthread_t *threads;
    uint32_t thread_count;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work;  /* something to do, or closing */
    pthread_cond_t empty; /* nothing reserved, no jobs */
    struct list jobs;
    struct list backlog;
    struct list waiting;
    struct list ready_order; /* what is in `ready`, the longest there first */
    struct minheap ready;
    struct minheap deadlines;
    uint32_t reserved, active, backlog_count, waiting_count, jobs_running;
    bool is_draining;
    bool is_stopping; /* every run is told to end */
    bool is_closing;  /* the workers, too */
    void (*drained)(void *context);
    void *drained_context;
};

/* ---- under the lock ---- */

static void run_make_ready(struct scheduler *scheduler, struct scheduler_run *run)
{
    bool is_stopped = atomic_load(&run->stop) != SCHEDULER_GO;
    run->place = SCHEDULER_READY;
    minheap_push(&scheduler->ready, &run->ready, is_stopped ? 0 : run->attained_ns);
    list_push_back(&scheduler->ready_order, &run->link);
    pthread_cond_signal(&scheduler->work);
}

static void run_unready(struct scheduler *scheduler, struct scheduler_run *run)
{
    minheap_remove(&scheduler->ready, &run->ready);
    list_remove(&run->link);
}

/* Brings a run to where its next step is soon, whatever it waits for. */
static void run_hurry(struct scheduler *scheduler, struct scheduler_run *run)
{
    switch (run->place) {
    case SCHEDULER_BACKLOG:
        list_remove(&run->link);
        scheduler->backlog_count--;
        scheduler->active++;
        run_make_ready(scheduler, run);
        break;
    case SCHEDULER_WAITING:
        list_remove(&run->link);
        scheduler->waiting_count--;
        run_make_ready(scheduler, run);
        break;
    case SCHEDULER_READY:
        run_unready(scheduler, run);
        run_make_ready(scheduler, run);
        break;
    case SCHEDULER_OUTSIDE: /* add will see it */
    case SCHEDULER_RUNNING: /* its worker will */
    case SCHEDULER_SETTLED:
        break;
    }
}

static void run_stop(struct scheduler *scheduler, struct scheduler_run *run,
                     enum scheduler_stop reason)
{
    int expected = SCHEDULER_GO;
    if (run->place != SCHEDULER_SETTLED &&
        atomic_compare_exchange_strong(&run->stop, &expected, (int)reason)) {
        run_hurry(scheduler, run);
    }
}

static void scheduler_expire(struct scheduler *scheduler, uint64_t now_ns)
{
    for (;;) {
        struct minheap_node *node = minheap_top(&scheduler->deadlines);
        if (node == NULL || node->key > now_ns) {
            return;
        }
        minheap_remove(&scheduler->deadlines, node);
        run_stop(scheduler, LIST_ENTRY(node, struct scheduler_run, deadline), SCHEDULER_DEADLINE);
    }
}

static void scheduler_promote(struct scheduler *scheduler)
{
    while (scheduler->active < scheduler->config.concurrent_max) {
        struct list *link = list_pop_front(&scheduler->backlog);
        if (link == NULL) {
            return;
        }
        scheduler->backlog_count--;
        scheduler->active++;
        run_make_ready(scheduler, LIST_ENTRY(link, struct scheduler_run, link));
    }
}

static bool scheduler_is_empty(const struct scheduler *scheduler)
{
    return scheduler->reserved == 0 && scheduler->jobs_running == 0 &&
           list_is_empty(&scheduler->jobs);
}

/* Waits for work, at most until the next deadline. */
static void scheduler_sleep(struct scheduler *scheduler, uint64_t now_ns)
{
    const struct minheap_node *node = minheap_top(&scheduler->deadlines);
    if (node == NULL) {
        pthread_cond_wait(&scheduler->work, &scheduler->lock);
        return;
    }
    uint64_t left_ns = node->key > now_ns ? node->key - now_ns : 0;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    left_ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(left_ns / NS_PER_S);
    until.tv_nsec = (long)(left_ns % NS_PER_S);
    pthread_cond_timedwait(&scheduler->work, &scheduler->lock, &until);
}

/* ---- workers ---- */

struct worker {
    uint64_t gas; /* of the next slice */
    uint32_t slices;
    uint64_t jobs_ns; /* spent on jobs since the last slice */
};

static uint64_t gas_tuned(uint64_t gas, uint64_t spent, uint64_t elapsed_ns, uint64_t aim_ns)
{
    if (spent < gas / 2 || elapsed_ns == 0) {
        return gas; /* too little to learn from */
    }
    double aimed = (double)spent * (double)aim_ns / (double)elapsed_ns;
    uint64_t next = aimed < (double)UINT32_MAX ? (uint64_t)aimed : GAS_PER_SLICE_MAX;
    uint64_t mixed = gas / 2 + next / 2;
    if (mixed < GAS_PER_SLICE_MIN) {
        return GAS_PER_SLICE_MIN;
    }
    return mixed > GAS_PER_SLICE_MAX ? GAS_PER_SLICE_MAX : mixed;
}

/* Steps for about one slice. A run that LEFT must not be touched any more. */
static enum scheduler_verdict worker_slice(struct scheduler *scheduler, struct scheduler_run *run,
                                           uint64_t *gas)
{
    const struct clock *clock = scheduler->config.clock;
    uint64_t aim_ns = (uint64_t)scheduler->config.slice_us * NS_PER_US;
    uint64_t began_ns = clock_monotonic_ns(clock);
    uint64_t now_ns = began_ns;
    enum scheduler_verdict verdict = SCHEDULER_AGAIN;
    if (run->first_started_ns == 0) {
        run->first_started_ns = began_ns;
    }
    for (int step = 0; step < STEPS_PER_SLICE_MAX && verdict == SCHEDULER_AGAIN; step++) {
        int expected = SCHEDULER_GO;
        if (now_ns >= run->deadline_ns) {
            (void)atomic_compare_exchange_strong(&run->stop, &expected, SCHEDULER_DEADLINE);
        }
        struct scheduler_slice slice = {.gas = *gas};
        run->step_started_ns = now_ns;
        verdict = run->step(run, &slice);
        if (verdict == SCHEDULER_LEFT) {
            return verdict;
        }
        uint64_t then_ns = now_ns;
        now_ns = clock_monotonic_ns(clock);
        run->attained_ns += now_ns - then_ns;
        *gas = gas_tuned(*gas, slice.gas_spent, now_ns - then_ns, aim_ns);
        if (now_ns - began_ns >= aim_ns) {
            break;
        }
    }
    return verdict;
}

/* The ready run that has had the least; now and then the one that has waited longest, so that a
 * stream of new runs, which have all had nothing, cannot keep an old one waiting for ever. */
static struct scheduler_run *worker_choose(struct scheduler *scheduler, struct worker *worker)
{
    if (++worker->slices % SLICES_PER_TURN == 0) {
        return LIST_ENTRY(scheduler->ready_order.next, struct scheduler_run, link);
    }
    return LIST_ENTRY(minheap_top(&scheduler->ready), struct scheduler_run, ready);
}

static void worker_run(struct scheduler *scheduler, struct worker *worker)
{
    struct scheduler_run *run = worker_choose(scheduler, worker);
    run_unready(scheduler, run);
    run->place = SCHEDULER_RUNNING;
    worker->jobs_ns = 0;
    pthread_mutex_unlock(&scheduler->lock);
    enum scheduler_verdict verdict = worker_slice(scheduler, run, &worker->gas);
    pthread_mutex_lock(&scheduler->lock);
    if (verdict == SCHEDULER_LEFT) {
        return;
    }
    if (verdict == SCHEDULER_WAIT_MEMORY && atomic_load(&run->stop) == SCHEDULER_GO) {
        run->place = SCHEDULER_WAITING;
        scheduler->waiting_count++;
        list_push_back(&scheduler->waiting, &run->link);
    } else {
        run_make_ready(scheduler, run);
    }
}

static void worker_job(struct scheduler *scheduler, struct list *link)
{
    struct scheduler_job *job = LIST_ENTRY(link, struct scheduler_job, link);
    scheduler->jobs_running++;
    pthread_mutex_unlock(&scheduler->lock);
    job->run(job->context);
    pthread_mutex_lock(&scheduler->lock);
    scheduler->jobs_running--;
    if (scheduler_is_empty(scheduler)) {
        pthread_cond_broadcast(&scheduler->empty);
    }
}

/* Jobs go first, but while a run is ready they get no more than a slice between two of its. */
static struct list *worker_take_job(struct scheduler *scheduler, const struct worker *worker)
{
    uint64_t slice_ns = (uint64_t)scheduler->config.slice_us * NS_PER_US;
    bool is_runs_turn = worker->jobs_ns >= slice_ns && minheap_top(&scheduler->ready) != NULL;
    return is_runs_turn ? NULL : list_pop_front(&scheduler->jobs);
}

static void *worker_main(void *context)
{
    struct scheduler *scheduler = context;
    const struct clock *clock = scheduler->config.clock;
    struct worker worker = {.gas = GAS_PER_SLICE_FIRST};
    pthread_mutex_lock(&scheduler->lock);
    while (!scheduler->is_closing) {
        uint64_t now_ns = clock_monotonic_ns(clock);
        scheduler_expire(scheduler, now_ns);
        struct list *link = worker_take_job(scheduler, &worker);
        if (link != NULL) {
            worker_job(scheduler, link);
            worker.jobs_ns += clock_monotonic_ns(clock) - now_ns;
        } else if (minheap_top(&scheduler->ready) != NULL) {
            worker_run(scheduler, &worker);
        } else {
            scheduler_sleep(scheduler, now_ns);
        }
    }
    pthread_mutex_unlock(&scheduler->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static void scheduler_free(struct scheduler *scheduler)
{
    minheap_release(&scheduler->ready);
    minheap_release(&scheduler->deadlines);
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
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&scheduler->work, &attributes);
    pthread_cond_init(&scheduler->empty, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&scheduler->jobs);
    list_init(&scheduler->backlog);
    list_init(&scheduler->waiting);
    list_init(&scheduler->ready_order);
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
    size_t runs_max = (size_t)config->concurrent_max + config->queued_max;
    scheduler->threads = heap_alloc_array(workers, sizeof(*scheduler->threads));
    bool ready_ok = minheap_init(&scheduler->ready, runs_max);
    bool deadlines_ok = minheap_init(&scheduler->deadlines, runs_max);
    if (scheduler->threads == NULL || !ready_ok || !deadlines_ok) {
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
    if (scheduler->reserved > 0 || scheduler->drained == NULL) {
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
    scheduler->is_stopping = true; /* whoever comes in later is stopped by add */
    for (struct minheap_node *node; (node = minheap_top(&scheduler->deadlines)) != NULL;) {
        minheap_remove(&scheduler->deadlines, node);
        run_stop(scheduler, LIST_ENTRY(node, struct scheduler_run, deadline), SCHEDULER_CLOSE);
    }
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
    pthread_cond_signal(&scheduler->work);
    pthread_mutex_unlock(&scheduler->lock);
}

bool scheduler_reserve(struct scheduler *scheduler, struct err *err)
{
    const struct scheduler_config *config = &scheduler->config;
    pthread_mutex_lock(&scheduler->lock);
    bool is_draining = scheduler->is_draining;
    bool has_room = scheduler->reserved < config->concurrent_max + config->queued_max;
    scheduler->reserved += !is_draining && has_room;
    pthread_mutex_unlock(&scheduler->lock);
    if (is_draining) {
        return err_set(err, ERR_DRAINING, "this node is shutting down; another one will serve");
    }
    return has_room || err_set(err, ERR_OVERLOADED, "too many executions are waiting");
}

void scheduler_add(struct scheduler *scheduler, struct scheduler_run *run)
{
    pthread_mutex_lock(&scheduler->lock);
    assert(run->place == SCHEDULER_OUTSIDE);
    minheap_push(&scheduler->deadlines, &run->deadline, run->deadline_ns);
    if (scheduler->is_stopping) {
        run_stop(scheduler, run, SCHEDULER_CLOSE);
    }
    if (scheduler->active < scheduler->config.concurrent_max ||
        atomic_load(&run->stop) != SCHEDULER_GO) {
        scheduler->active++;
        run_make_ready(scheduler, run);
    } else {
        run->place = SCHEDULER_BACKLOG;
        scheduler->backlog_count++;
        list_push_back(&scheduler->backlog, &run->link);
    }
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_stop(struct scheduler *scheduler, struct scheduler_run *run,
                    enum scheduler_stop reason)
{
    pthread_mutex_lock(&scheduler->lock);
    run_stop(scheduler, run, reason);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_settle(struct scheduler *scheduler, struct scheduler_run *run)
{
    pthread_mutex_lock(&scheduler->lock);
    assert(run->place == SCHEDULER_RUNNING);
    run->place = SCHEDULER_SETTLED;
    minheap_remove(&scheduler->deadlines, &run->deadline);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_leave(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    assert(scheduler->active > 0);
    scheduler->active--;
    for (struct list *link = list_pop_front(&scheduler->waiting); link != NULL;
         link = list_pop_front(&scheduler->waiting)) {
        scheduler->waiting_count--;
        run_make_ready(scheduler, LIST_ENTRY(link, struct scheduler_run, link));
    }
    scheduler_promote(scheduler);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_unreserve(struct scheduler *scheduler)
{
    void (*drained)(void *context) = NULL;
    void *context = NULL;
    pthread_mutex_lock(&scheduler->lock);
    assert(scheduler->reserved > 0);
    scheduler->reserved--;
    bool is_drained = scheduler_take_drained(scheduler, &drained, &context);
    if (scheduler_is_empty(scheduler)) {
        pthread_cond_broadcast(&scheduler->empty);
    }
    pthread_mutex_unlock(&scheduler->lock);
    if (is_drained) {
        drained(context);
    }
}

bool scheduler_may_wait(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    bool may = scheduler->active - scheduler->waiting_count > 1;
    pthread_mutex_unlock(&scheduler->lock);
    return may;
}

void scheduler_counts(struct scheduler *scheduler, struct scheduler_counts *out)
{
    pthread_mutex_lock(&scheduler->lock);
    *out =
        (struct scheduler_counts){scheduler->reserved, scheduler->active, scheduler->backlog_count};
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_tick(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler_expire(scheduler, clock_monotonic_ns(scheduler->config.clock));
    pthread_mutex_unlock(&scheduler->lock);
}
