/* test_scheduler.c: the scheduler with runs that are not programs: order, bounds, stops, deadlines
 * under a clock that stands still.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/scheduler.h"

#include "base/arena.h"
#include "support/fake_clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

static struct fake_clock fake;
static struct scheduler *scheduler;

static void open_scheduler_sliced(uint32_t workers, uint32_t concurrent, uint32_t queued,
                                  uint32_t slice_us)
{
    struct err err;
    fake_clock_init(&fake);
    struct scheduler_config config = {.workers = workers,
                                      .concurrent_max = concurrent,
                                      .queued_max = queued,
                                      .slice_us = slice_us,
                                      .clock = &fake.clock};
    cr_assert(scheduler_open(&config, &scheduler, &err), "%s", err.message);
}

static void open_scheduler(uint32_t workers, uint32_t concurrent, uint32_t queued)
{
    open_scheduler_sliced(workers, concurrent, queued, 500);
}

/* A run that steps until it has done `steps`, or until it is stopped. */
struct fake_run {
    struct scheduler_run run;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int steps; /* -1: for ever */
    int done;
    bool has_ended;
    bool waits_for_memory;
    int stop;
};

static enum scheduler_verdict fake_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    struct fake_run *fake_run = LIST_ENTRY(run, struct fake_run, run);
    slice->gas_spent = slice->gas;
    pthread_mutex_lock(&fake_run->lock);
    fake_run->done++;
    int stop = atomic_load(&run->stop);
    bool is_over = stop != SCHEDULER_GO || fake_run->done == fake_run->steps;
    bool waits = fake_run->waits_for_memory && !is_over;
    pthread_cond_broadcast(&fake_run->changed);
    pthread_mutex_unlock(&fake_run->lock);
    if (!is_over) {
        return waits ? SCHEDULER_WAIT_MEMORY : SCHEDULER_AGAIN;
    }
    scheduler_settle(scheduler, run);
    scheduler_leave(scheduler, run);
    scheduler_unreserve(scheduler, run->tenant);
    pthread_mutex_lock(&fake_run->lock);
    fake_run->stop = stop;
    fake_run->has_ended = true;
    pthread_cond_broadcast(&fake_run->changed);
    pthread_mutex_unlock(&fake_run->lock);
    return SCHEDULER_LEFT;
}

static void start_which(struct fake_run *run, int steps, uint64_t deadline_ms,
                        bool waits_for_memory)
{
    struct err err;
    memset(run, 0, sizeof(*run));
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    run->steps = steps;
    run->waits_for_memory = waits_for_memory;
    run->run.step = fake_step;
    run->run.deadline_ns = clock_monotonic_ns(&fake.clock) + deadline_ms * 1000000;
    cr_assert(scheduler_reserve(scheduler, "a", &run->run.tenant, &err), "%s", err.message);
    scheduler_add(scheduler, &run->run);
}

static void start(struct fake_run *run, int steps, uint64_t deadline_ms)
{
    start_which(run, steps, deadline_ms, false);
}

/* One that lacks memory after each step. */
static void start_waiting(struct fake_run *run, int steps, uint64_t deadline_ms)
{
    start_which(run, steps, deadline_ms, true);
}

static int wait_end(struct fake_run *run)
{
    pthread_mutex_lock(&run->lock);
    while (!run->has_ended) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    int stop = run->stop;
    pthread_mutex_unlock(&run->lock);
    return stop;
}

static int steps_done(struct fake_run *run)
{
    pthread_mutex_lock(&run->lock);
    int done = run->done;
    pthread_mutex_unlock(&run->lock);
    return done;
}

static bool has_ended(struct fake_run *run)
{
    pthread_mutex_lock(&run->lock);
    bool has_ended = run->has_ended;
    pthread_mutex_unlock(&run->lock);
    return has_ended;
}

static void wait_steps(struct fake_run *run, int steps)
{
    pthread_mutex_lock(&run->lock);
    while (run->done < steps) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    pthread_mutex_unlock(&run->lock);
}

Test(service_scheduler, runs_to_the_end)
{
    open_scheduler(2, 4, 4);
    struct fake_run runs[8];
    for (int i = 0; i < 8; i++) {
        start(&runs[i], 1 + i * 10, 1000);
    }
    for (int i = 0; i < 8; i++) {
        cr_expect_eq(wait_end(&runs[i]), SCHEDULER_GO);
        cr_expect_eq(runs[i].done, 1 + i * 10);
    }
    scheduler_close(scheduler);
}

Test(service_scheduler, bounds_what_is_reserved_at_and_above)
{
    open_scheduler(1, 2, 1);
    struct err err;
    struct scheduler_tenant *tenant = NULL;
    for (int i = 0; i < 3; i++) {
        cr_expect(scheduler_reserve(scheduler, "a", &tenant, &err));
    }
    cr_expect_not(scheduler_reserve(scheduler, "a", &tenant, &err));
    cr_expect_eq(err.code, ERR_OVERLOADED);
    scheduler_unreserve(scheduler, tenant);
    cr_expect(scheduler_reserve(scheduler, "a", &tenant, &err));
    for (int i = 0; i < 3; i++) {
        scheduler_unreserve(scheduler, tenant);
    }
    scheduler_close(scheduler);
}

Test(service_scheduler, a_cancelled_run_ends_wherever_it_is)
{
    open_scheduler(1, 2, 2);
    struct fake_run running, ready, backlog, waiting;
    start(&running, -1, 1000);
    wait_steps(&running, 3);
    start(&ready, -1, 1000);
    start(&backlog, -1, 1000);
    scheduler_stop(scheduler, &backlog.run, SCHEDULER_CANCEL);
    cr_expect_eq(wait_end(&backlog), SCHEDULER_CANCEL);
    scheduler_stop(scheduler, &ready.run, SCHEDULER_CANCEL);
    cr_expect_eq(wait_end(&ready), SCHEDULER_CANCEL);
    start_waiting(&waiting, -1, 1000);
    wait_steps(&waiting, 1);
    wait_steps(&running, steps_done(&running) + 3);
    cr_expect_eq(steps_done(&waiting), 1);
    scheduler_stop(scheduler, &waiting.run, SCHEDULER_CANCEL);
    scheduler_stop(scheduler, &waiting.run, SCHEDULER_DEADLINE);
    cr_expect_eq(wait_end(&waiting), SCHEDULER_CANCEL, "the first reason counts");
    scheduler_stop(scheduler, &running.run, SCHEDULER_CANCEL);
    cr_expect_eq(wait_end(&running), SCHEDULER_CANCEL);
    scheduler_close(scheduler);
}

Test(service_scheduler, deadlines_end_running_and_queued_runs_alike)
{
    open_scheduler(1, 1, 2);
    struct fake_run running, queued, later;
    start(&running, -1, 100);
    start(&queued, -1, 100);
    start(&later, -1, 101);
    wait_steps(&running, 2);
    fake_clock_advance(&fake, 99);
    scheduler_tick(scheduler);
    wait_steps(&running, steps_done(&running) + 10);
    cr_expect_not(has_ended(&running));
    fake_clock_advance(&fake, 1);
    cr_expect_eq(wait_end(&running), SCHEDULER_DEADLINE);
    cr_expect_eq(wait_end(&queued), SCHEDULER_DEADLINE);
    cr_expect_not(has_ended(&later));
    fake_clock_advance(&fake, 1);
    cr_expect_eq(wait_end(&later), SCHEDULER_DEADLINE);
    scheduler_close(scheduler);
}

Test(service_scheduler, who_waits_for_memory_is_woken_when_another_leaves)
{
    open_scheduler(2, 4, 0);
    struct fake_run waiting, other;
    start(&other, -1, 100000);
    start_waiting(&waiting, 2, 100000);
    wait_steps(&waiting, 1);
    wait_steps(&other, steps_done(&other) + 3);
    cr_expect_eq(steps_done(&waiting), 1);
    scheduler_stop(scheduler, &other.run, SCHEDULER_CANCEL);
    cr_expect_eq(wait_end(&other), SCHEDULER_CANCEL);
    cr_expect_eq(wait_end(&waiting), SCHEDULER_GO);
    scheduler_close(scheduler);
}

static void count_up(void *context)
{
    atomic_fetch_add((_Atomic int *)context, 1);
}

Test(service_scheduler, draining_refuses_and_tells_when_it_is_done)
{
    open_scheduler(1, 4, 0);
    struct fake_run run;
    struct err err;
    _Atomic int drained = 0;
    start(&run, -1, 100000);
    wait_steps(&run, 1);
    scheduler_drain(scheduler, count_up, (void *)&drained);
    cr_expect_not(scheduler_reserve(scheduler, "a", &run.run.tenant, &err));
    cr_expect_eq(err.code, ERR_DRAINING);
    cr_expect_eq(atomic_load(&drained), 0);
    scheduler_stop(scheduler, &run.run, SCHEDULER_CANCEL);
    (void)wait_end(&run);
    scheduler_close(scheduler);
    cr_expect_eq(atomic_load(&drained), 1);
}

Test(service_scheduler, an_empty_one_is_drained_at_once)
{
    open_scheduler(1, 1, 0);
    _Atomic int drained = 0;
    scheduler_drain(scheduler, count_up, (void *)&drained);
    cr_expect_eq(atomic_load(&drained), 1);
    scheduler_close(scheduler);
}

Test(service_scheduler, closing_ends_what_runs_and_runs_what_was_posted)
{
    open_scheduler(1, 1, 2);
    struct fake_run running, queued;
    _Atomic int count = 0;
    struct scheduler_job jobs[50];
    start(&running, -1, 100000);
    start(&queued, -1, 100000);
    for (int i = 0; i < 50; i++) {
        jobs[i] = (struct scheduler_job){.run = count_up, .context = (void *)&count};
        scheduler_post(scheduler, &jobs[i]);
    }
    scheduler_close(scheduler);
    cr_expect_eq(wait_end(&running), SCHEDULER_CLOSE);
    cr_expect_eq(wait_end(&queued), SCHEDULER_CLOSE);
    cr_expect_eq(atomic_load(&count), 50);
}

Test(service_scheduler, without_memory_it_does_not_open)
{
    struct scheduler_config config = {.workers = 1, .concurrent_max = 1, .clock = &clock_system};
    struct scheduler *none = NULL;
    for (size_t n = 1; n <= 6; n++) {
        struct err err;
        heap_fail_after(n);
        bool ok = scheduler_open(&config, &none, &err);
        heap_fail_after(0);
        cr_expect_not(ok);
        cr_expect_eq(err.code, ERR_NO_MEMORY);
    }
}

/* ---- starvation: every step and job takes a millisecond, which is more than a slice ---- */

enum {
    STREAM_MAX = 5000,
    OLD_STEPS = 10,
    PATIENCE = 1000
}; /* a starved run is let go at last: the test ends */

static struct {
    struct scheduler_run runs[2]; /* of one step, each brings the next; so does the job */
    struct scheduler_job job;
    struct scheduler_run old;
    int old_steps;
    int count;      /* of runs or jobs so far */
    int before_end; /* how many there had been when the old run ended; 0: it has not */
    sem_t over;
} stream; /* touched by the only worker, once it has begun */

static void stream_open(void)
{
    open_scheduler(1, 8, 0);
    memset(&stream, 0, sizeof(stream));
    stream.old_steps = OLD_STEPS;
    sem_init(&stream.over, 0, 0);
}

/* When the old run and the stream have ended. */
static void stream_close(void)
{
    sem_wait(&stream.over);
    sem_wait(&stream.over);
    scheduler_close(scheduler);
    sem_destroy(&stream.over);
}

static void stream_begin(enum scheduler_verdict (*step)(struct scheduler_run *,
                                                        struct scheduler_slice *),
                         struct scheduler_run *run)
{
    struct err err;
    *run = (struct scheduler_run){.step = step, .deadline_ns = UINT64_MAX};
    cr_assert(scheduler_reserve(scheduler, "a", &run->tenant, &err), "%s", err.message);
    scheduler_add(scheduler, run);
}

static enum scheduler_verdict old_step(struct scheduler_run *run, struct scheduler_slice *slice);

/* The first of the stream brings the old run, so that nothing depends on threads. */
static bool stream_goes_on(void)
{
    fake_clock_advance(&fake, 1);
    if (stream.count++ == 0) {
        stream_begin(old_step, &stream.old);
    }
    return stream.before_end == 0 && stream.count < STREAM_MAX;
}

static enum scheduler_verdict stream_leave(struct scheduler_run *run, bool is_over)
{
    scheduler_settle(scheduler, run);
    scheduler_leave(scheduler, run);
    scheduler_unreserve(scheduler, run->tenant);
    if (is_over) {
        sem_post(&stream.over);
    }
    return SCHEDULER_LEFT;
}

static enum scheduler_verdict stream_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    (void)slice;
    bool goes_on = stream_goes_on();
    if (goes_on) {
        stream_begin(stream_step, &stream.runs[stream.count % 2]);
    }
    return stream_leave(run, !goes_on);
}

static void stream_job(void *context)
{
    (void)context;
    if (stream_goes_on()) {
        scheduler_post(scheduler, &stream.job);
    } else {
        sem_post(&stream.over);
    }
}

static enum scheduler_verdict old_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    (void)slice;
    fake_clock_advance(&fake, 1);
    if (--stream.old_steps > 0) {
        return SCHEDULER_AGAIN;
    }
    stream.before_end = stream.count;
    return stream_leave(run, true);
}

Test(service_scheduler, a_stream_of_new_runs_does_not_starve_an_old_one)
{
    stream_open();
    stream_begin(stream_step, &stream.runs[0]);
    stream_close();
    cr_expect_leq(stream.before_end, PATIENCE + 9 * OLD_STEPS, "%d", stream.before_end);
    cr_expect_geq(stream.before_end, PATIENCE, "new ones go first all the same");
}

Test(service_scheduler, a_stream_of_jobs_does_not_starve_a_run)
{
    stream_open();
    stream.job.run = stream_job;
    scheduler_post(scheduler, &stream.job);
    stream_close();
    cr_expect_leq(stream.before_end, 2 * OLD_STEPS, "%d", stream.before_end);
    cr_expect_geq(stream.before_end, OLD_STEPS, "jobs go first all the same");
}

/* ---- jobs that come while a run has its slice ---- */

enum { JOBS = 5, JOB_MS = 4, LONG_SLICE_MS = 20 }; /* it grows up in the first one */

static struct {
    struct scheduler_run run;
    struct scheduler_job job;
    bool is_posted;
    int steps;        /* of the run so far, each a millisecond long */
    int at_job[JOBS]; /* how many they were when a job had its turn */
    int jobs;
    sem_t over;
} between; /* touched by the only worker, once it has begun */

static void between_job(void *context)
{
    (void)context;
    fake_clock_advance(&fake, JOB_MS);
    between.at_job[between.jobs++] = between.steps;
    between.is_posted = false;
}

/* While it runs, a job waits. */
static enum scheduler_verdict between_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    (void)slice;
    fake_clock_advance(&fake, 1);
    between.steps++;
    if (between.jobs == JOBS) {
        (void)stream_leave(run, false);
        sem_post(&between.over);
        return SCHEDULER_LEFT;
    }
    if (!between.is_posted) {
        between.is_posted = true;
        scheduler_post(scheduler, &between.job);
    }
    return SCHEDULER_AGAIN;
}

Test(service_scheduler, a_job_ends_a_grown_runs_slice_that_lasted_as_long_as_the_job_before)
{
    open_scheduler_sliced(1, 8, 0, LONG_SLICE_MS * 1000);
    memset(&between, 0, sizeof(between));
    between.job.run = between_job;
    sem_init(&between.over, 0, 0);
    stream_begin(between_step, &between.run);
    sem_wait(&between.over);
    scheduler_close(scheduler);
    sem_destroy(&between.over);
    for (int i = 0; i < JOBS; i++) {
        cr_expect_eq(between.at_job[i], LONG_SLICE_MS + i * JOB_MS, "%d: %d", i, between.at_job[i]);
    }
}

/* ---- a processor that the kernel gives to others ---- */

enum { LOST_STEPS = 5 };

static _Atomic uint64_t thread_ms;

static uint64_t fake_thread_ns(void *context)
{
    (void)context;
    return atomic_load(&thread_ms) * 1000000;
}

/* Of two milliseconds others have one. */
static enum scheduler_verdict lossy_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    (void)slice;
    fake_clock_advance(&fake, 2);
    atomic_fetch_add(&thread_ms, 1);
    cr_expect_eq(run->attained_ns, (uint64_t)between.steps * 1000000);
    if (++between.steps < LOST_STEPS) {
        return SCHEDULER_AGAIN;
    }
    (void)stream_leave(run, false);
    sem_post(&between.over);
    return SCHEDULER_LEFT;
}

Test(service_scheduler, a_run_pays_for_the_time_on_a_processor_only)
{
    open_scheduler(1, 8, 0);
    fake.clock.thread_ns = fake_thread_ns; /* before any run: no worker has looked */
    memset(&between, 0, sizeof(between));
    sem_init(&between.over, 0, 0);
    stream_begin(lossy_step, &between.run);
    sem_wait(&between.over);
    scheduler_close(scheduler);
    sem_destroy(&between.over);
    cr_expect_eq(between.steps, LOST_STEPS);
    cr_expect_eq(between.run.turn_ns, LOST_STEPS * UINT64_C(1000000) + 1000000,
                 "its last slice was settled as it was");
}

/* ---- syncs ---- */

enum {
    SYNC_SLOW_NS = 500000,
    STEPS_PER_STAGE = 2500
}; /* two slices of a clock that stands still, and more */

static struct {
    struct scheduler_run run;
    sem_t over;
    uint64_t began_ns; /* of the sync under way */
    int steps;
    int made_way_at[4]; /* after so many steps */
    int made_way;
} syncing;

static uint64_t syncing_began_ns(void *context)
{
    (void)context;
    return syncing.began_ns;
}

static void syncing_observe(void *context, enum scheduler_fact fact, uint64_t ns)
{
    (void)context;
    if (fact == SCHEDULER_FACT_MADE_WAY && syncing.made_way < 4) {
        cr_expect_geq(ns, SYNC_SLOW_NS);
        syncing.made_way_at[syncing.made_way++] = syncing.steps;
    }
}

/* A sync that is not slow yet, one that just is, another, and none. */
static enum scheduler_verdict syncing_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    static const uint64_t lasted_ns[] = {SYNC_SLOW_NS - 1, SYNC_SLOW_NS, SYNC_SLOW_NS + 1};
    const int stages = sizeof(lasted_ns) / sizeof(lasted_ns[0]);
    (void)slice;
    syncing.steps++;
    if (syncing.steps % STEPS_PER_STAGE != 0) {
        return SCHEDULER_AGAIN;
    }
    int stage = syncing.steps / STEPS_PER_STAGE - 1;
    if (stage <= stages) {
        syncing.began_ns = stage < stages ? clock_monotonic_ns(&fake.clock) - lasted_ns[stage] : 0;
        return SCHEDULER_AGAIN;
    }
    scheduler_settle(scheduler, run);
    scheduler_leave(scheduler, run);
    scheduler_unreserve(scheduler, run->tenant);
    sem_post(&syncing.over);
    return SCHEDULER_LEFT;
}

Test(service_scheduler, a_worker_makes_way_once_for_a_sync_that_is_slow)
{
    struct err err;
    fake_clock_init(&fake);
    memset(&syncing, 0, sizeof(syncing));
    sem_init(&syncing.over, 0, 0);
    struct scheduler_config config = {.workers = 1,
                                      .concurrent_max = 8,
                                      .slice_us = 500,
                                      .clock = &fake.clock,
                                      .sync_began_ns = syncing_began_ns,
                                      .observe = syncing_observe};
    cr_assert(scheduler_open(&config, &scheduler, &err), "%s", err.message);
    stream_begin(syncing_step, &syncing.run);
    sem_wait(&syncing.over);
    scheduler_close(scheduler);
    sem_destroy(&syncing.over);
    cr_assert_eq(syncing.made_way, 2);
    cr_expect_eq(syncing.made_way_at[0], 2 * STEPS_PER_STAGE, "the slice ends at once");
    cr_expect_eq(syncing.made_way_at[1], 3 * STEPS_PER_STAGE);
}
