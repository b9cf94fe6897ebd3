/* bench_service_scheduler.c: what a slice costs beside the program: choosing the run, the lock, two
 * looks at the clock, putting it back.
 *
 * Every slice is a single step that does nothing, so all workers want the lock all the time: a
 * contention that real slices, a thousand times longer, never come near. The figure is the time in
 * which all workers together get through one slice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "service/scheduler.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 1000, TENANTS = 10, SLICES = 400000 };

static struct bench_run {
    struct scheduler_run run;
    uint32_t slices;
} runs[RUNS_MAX];
static struct scheduler *scheduler;
static sem_t ended;

static enum scheduler_verdict bench_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    struct bench_run *bench = LIST_ENTRY(run, struct bench_run, run);
    slice->gas_spent = slice->gas;
    if (--bench->slices > 0) {
        return SCHEDULER_AGAIN;
    }
    scheduler_settle(scheduler, run);
    scheduler_leave(scheduler, run);
    scheduler_unreserve(scheduler, run->tenant);
    sem_post(&ended);
    return SCHEDULER_LEFT;
}

static void check(bool ok, const struct err *err)
{
    if (!ok) {
        fprintf(stderr, "bench_service_scheduler: %s\n", err->message);
        exit(1);
    }
}

static void bench_slices(uint32_t workers, uint32_t count)
{
    struct err err;
    char name[64];
    char owner[2] = "a";
    struct scheduler_config config = {
        .workers = workers, .concurrent_max = RUNS_MAX, .slice_us = 0, .clock = &clock_system};
    check(scheduler_open(&config, &scheduler, &err), &err);
    memset(runs, 0, sizeof(runs));
    sem_init(&ended, 0, 0);
    uint64_t began_ns = clock_monotonic_ns(&clock_system);
    for (uint32_t i = 0; i < count; i++) {
        owner[0] = (char)('a' + i % TENANTS);
        runs[i].slices = SLICES / count;
        runs[i].run.step = bench_step;
        runs[i].run.deadline_ns = UINT64_MAX;
        check(scheduler_reserve(scheduler, owner, &runs[i].run.tenant, &err), &err);
        scheduler_add(scheduler, &runs[i].run);
    }
    for (uint32_t i = 0; i < count; i++) {
        sem_wait(&ended);
    }
    double elapsed_ns = (double)(clock_monotonic_ns(&clock_system) - began_ns);
    scheduler_close(scheduler);
    sem_destroy(&ended);
    (void)snprintf(name, sizeof(name), "scheduler_slice_workers_%u_runs_%u", workers, count);
    bench_print(name, elapsed_ns / (double)SLICES, "ns");
}

int main(void)
{
    for (uint32_t workers = 1; workers <= 8; workers *= 2) {
        bench_slices(workers, 10);
        bench_slices(workers, RUNS_MAX);
    }
    return 0;
}
