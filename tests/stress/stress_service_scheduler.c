/* stress_service_scheduler.c: many threads of several tenants bring runs that go on, wait for
 * memory, end by themselves, are cancelled, or run out of time, while another ticks, asks for
 * positions and counts, and posts jobs. Each run must end exactly once, and nothing be left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/scheduler.h"

#include "base/arena.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TENANTS = 6,
    RUNS_PER_TENANT = 400,
    IN_FLIGHT = 12, /* of each tenant; more than its share */
    NS_PER_MS = 1000000,
    REASONS = SCHEDULER_NO_MEMORY + 1,
};

struct stress_run {
    struct scheduler_run run;
    uint32_t steps; /* 0: never ends by itself */
    uint32_t waits; /* how often it waits for memory */
    _Atomic bool has_ended;
};

static struct scheduler *scheduler;
static _Atomic uint32_t ended_by[REASONS];
static _Atomic uint32_t refused, jobs_run, facts;
static _Atomic bool is_over;

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "stress_service_scheduler: %s\n", what);
        exit(1);
    }
}

static void burn(void)
{
    for (volatile uint32_t i = 0; i < 2000; i++) {
    }
}

static enum scheduler_verdict stress_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    struct stress_run *stress = LIST_ENTRY(run, struct stress_run, run);
    int stop = atomic_load(&run->stop);
    slice->gas_spent = slice->gas;
    if (stop == SCHEDULER_GO && stress->waits > 0) {
        stress->waits--;
        return SCHEDULER_WAIT_MEMORY;
    }
    burn();
    if (stop == SCHEDULER_GO && (stress->steps == 0 || --stress->steps > 0)) {
        return SCHEDULER_AGAIN;
    }
    struct scheduler_tenant *tenant = run->tenant;
    scheduler_settle(scheduler, run);
    scheduler_leave(scheduler, run);
    atomic_fetch_add(&ended_by[stop], 1);
    scheduler_unreserve(scheduler, tenant);
    check(!atomic_exchange(&stress->has_ended, true), "a run ended twice");
    return SCHEDULER_LEFT;
}

/* Some end, some have no end but a deadline, some are cancelled by whoever brought them. */
static void bring(struct stress_run *stress, const char *owner, uint32_t number)
{
    struct err err;
    *stress = (struct stress_run){.run = {.step = stress_step}};
    stress->steps = number % 4 == 0 ? 0 : 1 + number % 700;
    stress->waits = number % 5 == 0 ? 2 : 0;
    stress->run.is_patient = number % 7 == 0;
    stress->run.deadline_ns =
        clock_monotonic_ns(&clock_system) + (5 + number % 60) * (uint64_t)NS_PER_MS;
    while (!scheduler_reserve(scheduler, owner, &stress->run.tenant, &err)) {
        check(err.code == ERR_OVERLOADED || err.code == ERR_RATE_LIMITED, err.message);
        atomic_fetch_add(&refused, 1);
        sched_yield();
    }
    scheduler_add(scheduler, &stress->run);
}

static void *tenant_main(void *context)
{
    const char *owner = context;
    static _Thread_local struct stress_run runs[IN_FLIGHT];
    for (uint32_t number = 0; number < RUNS_PER_TENANT; number++) {
        struct stress_run *stress = &runs[number % IN_FLIGHT];
        if (number >= IN_FLIGHT) {
            while (!atomic_load(&stress->has_ended)) {
                sched_yield();
            }
        }
        bring(stress, owner, number);
        if (number % 3 == 0) {
            (void)scheduler_position(scheduler, &stress->run);
            scheduler_stop(scheduler, &stress->run, SCHEDULER_CANCEL);
        }
    }
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        while (!atomic_load(&runs[i].has_ended)) {
            sched_yield();
        }
    }
    return NULL;
}

struct stress_job {
    struct scheduler_job job;
    _Atomic bool is_done;
};

static void job_run(void *context)
{
    struct stress_job *job = context;
    burn();
    atomic_fetch_add(&jobs_run, 1);
    atomic_store(&job->is_done, true);
}

static void *ticker_main(void *context)
{
    (void)context;
    struct scheduler_counts counts;
    static struct stress_job job;
    atomic_store(&job.is_done, true);
    while (!atomic_load(&is_over)) {
        scheduler_tick(scheduler);
        scheduler_counts(scheduler, &counts);
        check(counts.active <= 8 + 4, "more runs than slots");
        check(counts.reserved >= counts.backlog, "a backlog without reservations");
        if (atomic_exchange(&job.is_done, false)) {
            job.job = (struct scheduler_job){.run = job_run, .context = &job};
            scheduler_post(scheduler, &job.job);
        }
        sched_yield();
    }
    return NULL;
}

static void observe(void *context, enum scheduler_fact fact, uint64_t ns)
{
    (void)context;
    check(fact < SCHEDULER_FACTS && ns < 3600UL * 1000 * NS_PER_MS, "a fact that cannot be");
    atomic_fetch_add(&facts, 1);
}

int main(void)
{
    static char owners[TENANTS][8];
    pthread_t tenants[TENANTS], ticker;
    struct err err;
    struct scheduler_config config = {
        .workers = 4,
        .concurrent_max = 8,
        .express_max = 4,
        .queued_max = 40,
        .tenant_percent = 20,
        .queue_wait_max_ns = 20 * NS_PER_MS,
        .slice_us = 100,
        .clock = &clock_system,
        .observe = observe,
    };
    check(scheduler_open(&config, &scheduler, &err), "it does not open");
    pthread_create(&ticker, NULL, ticker_main, NULL);
    for (int i = 0; i < TENANTS; i++) {
        (void)snprintf(owners[i], sizeof(owners[i]), "t%d", i);
        pthread_create(&tenants[i], NULL, tenant_main, owners[i]);
    }
    for (int i = 0; i < TENANTS; i++) {
        pthread_join(tenants[i], NULL);
    }
    atomic_store(&is_over, true);
    pthread_join(ticker, NULL);
    struct scheduler_counts counts;
    scheduler_counts(scheduler, &counts);
    check(counts.reserved == 0 && counts.active == 0 && counts.backlog == 0 && counts.parked == 0 &&
              counts.tenants == 0,
          "something is left");
    scheduler_close(scheduler);
    uint32_t total = 0;
    for (int i = 0; i < REASONS; i++) {
        total += atomic_load(&ended_by[i]);
    }
    check(total == TENANTS * RUNS_PER_TENANT, "runs are missing");
    check(atomic_load(&ended_by[SCHEDULER_GO]) > 0, "none ended by itself");
    check(atomic_load(&ended_by[SCHEDULER_CANCEL]) > 0, "none was cancelled");
    check(atomic_load(&ended_by[SCHEDULER_DEADLINE]) > 0, "none ran out of time");
    check(atomic_load(&jobs_run) > 0 && atomic_load(&facts) > 0, "no jobs, or no facts");
    printf("%u runs: %u ended, %u cancelled, %u late, %u without a slot; %u refusals, %u jobs\n",
           total, ended_by[SCHEDULER_GO], ended_by[SCHEDULER_CANCEL], ended_by[SCHEDULER_DEADLINE],
           ended_by[SCHEDULER_NO_SLOT], atomic_load(&refused), atomic_load(&jobs_run));
    return 0;
}
