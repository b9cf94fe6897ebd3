/* test_scheduler_queue.c: who is served and who gets a slot, on simulated time: no threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/scheduler_queue.h"

#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { SLICE_US = 500, SLICE_NS = SLICE_US * 1000, RUNS_MAX = 256, MS = 1000000 };

static struct scheduler_queue queue;
static uint64_t now_ns;
static struct sim_run {
    struct scheduler_run run;
    uint64_t work_ns; /* then it leaves; 0: never */
} runs[RUNS_MAX];
static size_t run_count;
static uint32_t random_state;

static void open_queue(uint32_t concurrent, uint32_t express, uint32_t queued, uint32_t percent)
{
    struct scheduler_config config = {.concurrent_max = concurrent,
                                      .express_max = express,
                                      .queued_max = queued,
                                      .tenant_percent = percent,
                                      .queue_wait_max_ns = 5000UL * MS,
                                      .slice_us = SLICE_US};
    cr_assert(scheduler_queue_init(&queue, &config));
    memset(runs, 0, sizeof(runs));
    run_count = 0;
    now_ns = 1000000UL * MS;
    random_state = 1;
}

static struct scheduler_run *prepare(const char *owner, uint64_t work_ns)
{
    struct err err;
    struct sim_run *sim = &runs[run_count++];
    cr_assert_leq(run_count, RUNS_MAX);
    *sim = (struct sim_run){.work_ns = work_ns, .run.deadline_ns = now_ns + 3600000UL * MS};
    cr_assert(scheduler_queue_reserve(&queue, owner, &sim->run.tenant, &err), "%s", err.message);
    return &sim->run;
}

static struct scheduler_run *add(const char *owner, uint64_t work_ns)
{
    struct scheduler_run *run = prepare(owner, work_ns);
    scheduler_queue_add(&queue, run, now_ns);
    return run;
}

static void finish(struct scheduler_run *run)
{
    scheduler_queue_settle(&queue, run, now_ns);
    scheduler_queue_leave(&queue, run);
    scheduler_queue_unreserve(&queue, run->tenant);
}

/* One slice of the run that has been taken; true when that was its last. */
static bool serve_taken(struct scheduler_run *run, uint64_t slice_ns)
{
    now_ns += slice_ns;
    run->attained_ns += slice_ns;
    uint64_t work_ns = LIST_ENTRY(run, struct sim_run, run)->work_ns;
    bool is_over =
        atomic_load(&run->stop) != SCHEDULER_GO || (work_ns != 0 && run->attained_ns >= work_ns);
    if (is_over) {
        finish(run);
    } else {
        scheduler_queue_put(&queue, run, SCHEDULER_AGAIN, now_ns);
    }
    return is_over;
}

static struct scheduler_run *serve(void)
{
    struct scheduler_run *run = scheduler_queue_take(&queue, now_ns);
    if (run != NULL) {
        (void)serve_taken(run, SLICE_NS);
    }
    return run;
}

static void serve_many(size_t slices)
{
    for (size_t i = 0; i < slices; i++) {
        cr_assert_not_null(serve());
    }
}

/* Serves until that run is parked or over. */
static void serve_youth(struct scheduler_run *run)
{
    while (run->attained_ns < 10 * MS && run->place != SCHEDULER_SETTLED) {
        cr_assert_not_null(serve());
    }
}

/* Ends everything and sees that nothing is left. */
static void close_queue(void)
{
    struct scheduler_run *run;
    scheduler_queue_stop_all(&queue);
    while ((run = scheduler_queue_take(&queue, now_ns)) != NULL) {
        cr_assert(serve_taken(run, SLICE_NS));
    }
    cr_expect_eq(queue.reserved, 0);
    cr_expect_eq(queue.slots + queue.express + queue.parked + queue.backlog, 0);
    cr_expect_eq(queue.waiting_count + queue.ready_count, 0);
    cr_expect_eq(scheduler_queue_next_ns(&queue), UINT64_MAX);
    scheduler_queue_release(&queue);
}

static void name_tenant(char name[8], size_t index)
{
    (void)snprintf(name, 8, "t%u", (unsigned)(index % 1000));
}

/* ---- slices ---- */

Test(service_scheduler_queue, a_tenant_with_many_loops_has_no_more_than_one_with_a_single_run)
{
    open_queue(200, 0, 0, 100);
    for (int i = 0; i < 99; i++) {
        (void)add("many", 0);
    }
    struct scheduler_run *single = add("single", 0);
    serve_many(4000); /* all are grown: 99 x 20 slices of youth, and the single one's */
    uint64_t before_ns = now_ns;
    uint64_t attained_ns = single->attained_ns;
    serve_many(2000);
    uint64_t share = (single->attained_ns - attained_ns) * 1000 / (now_ns - before_ns);
    cr_expect(share >= 495 && share <= 505, "%llu of 1000", (unsigned long long)share);
    close_queue();
}

static void expect_spread(size_t jobs)
{
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (size_t i = 0; i < jobs; i++) {
        uint64_t attained = runs[i].run.attained_ns;
        least = attained < least ? attained : least;
        most = attained > most ? attained : most;
    }
    cr_expect_leq((most - least) * 100, most * 5, "%llu to %llu", (unsigned long long)least,
                  (unsigned long long)most);
}

/* A hundred jobs on two workers, in slices of 0.3 to 0.7 ms: the spread from about 0.2 s of each
 * on. */
static void check_spread(bool has_own_tenants)
{
    enum { JOBS = 100, SLICES = 80000 };
    struct {
        struct scheduler_run *run;
        uint64_t until_ns;
        uint64_t slice_ns;
    } workers[2];
    char name[8] = "same";
    open_queue(JOBS, 0, 0, 100);
    for (size_t i = 0; i < JOBS; i++) {
        if (has_own_tenants) {
            name_tenant(name, i);
        }
        (void)add(name, 0);
    }
    for (size_t i = 0; i < 2; i++) {
        workers[i].run = scheduler_queue_take(&queue, now_ns);
        workers[i].slice_ns = SLICE_NS * (i + 1) / 2;
        workers[i].until_ns = now_ns + workers[i].slice_ns;
    }
    for (size_t slice = 0; slice < SLICES; slice++) {
        size_t i = workers[0].until_ns < workers[1].until_ns ? 0 : 1;
        now_ns = workers[i].until_ns - workers[i].slice_ns;
        (void)serve_taken(workers[i].run, workers[i].slice_ns);
        workers[i].run = scheduler_queue_take(&queue, now_ns);
        random_state = random_state * 1103515245 + 12345;
        workers[i].slice_ns = 300000 + (random_state >> 8) % 400000;
        workers[i].until_ns = now_ns + workers[i].slice_ns;
        if (slice > SLICES / 2 && slice % 1000 == 0) {
            expect_spread(JOBS);
        }
    }
    (void)serve_taken(workers[0].run, SLICE_NS);
    (void)serve_taken(workers[1].run, SLICE_NS);
    close_queue();
}

Test(service_scheduler_queue, identical_jobs_of_one_tenant_attain_the_same)
{
    check_spread(false);
}

Test(service_scheduler_queue, identical_jobs_of_as_many_tenants_attain_the_same)
{
    check_spread(true);
}

Test(service_scheduler_queue, a_short_run_is_through_before_a_hundred_loops_had_a_turn)
{
    for (int has_own_tenant = 0; has_own_tenant < 2; has_own_tenant++) {
        open_queue(200, 0, 0, 100);
        for (int i = 0; i < 100; i++) {
            (void)add("loops", 0);
        }
        serve_many(3000);
        uint64_t began_ns = now_ns;
        struct scheduler_run *brief = add(has_own_tenant ? "brief" : "loops", 6 * SLICE_NS);
        while (brief->place != SCHEDULER_SETTLED) {
            serve_many(1);
        }
        cr_expect_leq(now_ns - began_ns, 8 * SLICE_NS, "at most an eighth was the loops'");
        close_queue();
    }
}

Test(service_scheduler_queue, while_new_runs_come_without_end_an_eighth_is_for_the_grown)
{
    open_queue(8, 0, 0, 100);
    struct scheduler_run *old = add("old", 0);
    serve_youth(old);
    uint64_t before_ns = now_ns;
    uint64_t attained_ns = old->attained_ns;
    for (int i = 0; i < 100; i++) {
        struct scheduler_run *young = add("stream", 4 * SLICE_NS);
        while (young->place != SCHEDULER_SETTLED) {
            serve_many(1);
        }
    }
    uint64_t share = (old->attained_ns - attained_ns) * 100 / (now_ns - before_ns);
    cr_expect(share >= 11 && share <= 14, "%llu %%", (unsigned long long)share);
    close_queue();
}

Test(service_scheduler_queue, who_comes_late_or_comes_back_has_no_claim_on_the_past)
{
    open_queue(8, 0, 0, 100);
    struct scheduler_run *early = add("a", 0);
    serve_many(1000);
    struct scheduler_run *late = add("b", 0);
    serve_youth(late);
    serve_many(10);
    uint64_t early_ns = early->attained_ns;
    uint64_t late_ns = late->attained_ns;
    serve_many(1000);
    uint64_t early_part = (early->attained_ns - early_ns) / SLICE_NS;
    uint64_t late_part = (late->attained_ns - late_ns) / SLICE_NS;
    cr_expect(early_part >= 490 && late_part >= 490, "%llu and %llu",
              (unsigned long long)early_part, (unsigned long long)late_part);
    close_queue();
}

/* ---- slots ---- */

Test(service_scheduler_queue, a_run_without_a_slot_has_its_youth_and_is_parked)
{
    open_queue(1, 1, 8, 100);
    struct scheduler_run *first = add("a", 0);
    struct scheduler_run *second = add("b", 0);
    struct scheduler_run *third = add("c", 0);
    cr_expect_eq(first->slot, SCHEDULER_SLOT_REGULAR);
    cr_expect_eq(second->slot, SCHEDULER_SLOT_EXPRESS);
    cr_expect_eq(third->place, SCHEDULER_BACKLOG);
    while (second->attained_ns < 10 * MS) {
        cr_expect_neq(second->place, SCHEDULER_PARKED, "not before its time");
        serve_many(1);
    }
    cr_expect_eq(second->place, SCHEDULER_PARKED);
    cr_expect_eq(second->attained_ns, 10 * MS, "nor after it");
    cr_expect_eq(third->place, SCHEDULER_BACKLOG, "the express slot is taken still");
    for (int i = 0; i < 100; i++) {
        cr_expect_eq(serve(), first);
    }
    scheduler_queue_stop(&queue, first, SCHEDULER_CANCEL);
    cr_expect_eq(serve(), first);
    cr_expect_eq(second->slot, SCHEDULER_SLOT_REGULAR, "the parked go first");
    cr_expect_eq(second->place, SCHEDULER_READY);
    cr_expect_eq(third->slot, SCHEDULER_SLOT_EXPRESS);
    close_queue();
}

Test(service_scheduler_queue, who_has_grown_on_an_express_slot_takes_a_free_regular_one)
{
    open_queue(1, 1, 8, 100);
    struct scheduler_run *first = add("a", 2 * SLICE_NS);
    struct scheduler_run *second = add("b", 0);
    while (first->place != SCHEDULER_SETTLED) {
        serve_many(1);
    }
    cr_expect_eq(second->slot, SCHEDULER_SLOT_EXPRESS);
    serve_youth(second);
    cr_expect_eq(second->slot, SCHEDULER_SLOT_REGULAR);
    cr_expect_eq(second->place, SCHEDULER_READY);
    close_queue();
}

Test(service_scheduler_queue, one_tenant_cannot_fill_the_express_slots)
{
    open_queue(1, 4, 20, 50);
    struct scheduler_run *mine[4];
    (void)add("hog", 0);
    for (int i = 0; i < 4; i++) {
        mine[i] = add("hog", 0);
    }
    cr_expect_eq(mine[1]->slot, SCHEDULER_SLOT_EXPRESS);
    cr_expect_eq(mine[2]->place, SCHEDULER_BACKLOG);
    serve_youth(mine[0]);
    serve_youth(mine[1]);
    cr_expect_eq(queue.parked, 2);
    cr_expect_eq(mine[2]->place, SCHEDULER_BACKLOG);
    struct scheduler_run *other = add("other", 6 * SLICE_NS);
    cr_expect_eq(other->slot, SCHEDULER_SLOT_EXPRESS);
    while (other->place != SCHEDULER_SETTLED) {
        serve_many(1);
    }
    close_queue();
}

Test(service_scheduler_queue, free_slots_go_to_who_has_fewest_as_the_positions_said)
{
    static const char *const owners[] = {"a", "a", "a", "b", "b", "c"};
    static const int order[] = {3, 5, 0, 4, 1, 2}; /* a has one slot still, b and c have none */
    struct scheduler_run *waiting[6];
    open_queue(2, 0, 20, 100);
    struct scheduler_run *first = add("a", 0);
    struct scheduler_run *second = add("a", 0);
    for (size_t i = 0; i < 6; i++) {
        waiting[i] = add(owners[i], 0);
    }
    cr_expect_eq(scheduler_queue_position(&queue, first), 0);
    scheduler_queue_stop(&queue, first, SCHEDULER_CANCEL);
    (void)serve();
    cr_expect_eq(waiting[order[0]]->slot, SCHEDULER_SLOT_REGULAR);
    cr_expect_eq(scheduler_queue_position(&queue, waiting[order[0]]), 0);
    cr_expect_eq(scheduler_queue_position(&queue, waiting[order[1]]), 1);
    scheduler_queue_stop(&queue, second, SCHEDULER_CANCEL);
    for (size_t i = 1; i < 6; i++) {
        struct scheduler_run *run = serve();
        while (atomic_load(&run->stop) == SCHEDULER_GO) {
            run = serve();
        }
        cr_expect_eq(waiting[order[i]]->slot, SCHEDULER_SLOT_REGULAR, "%zu", i);
        scheduler_queue_stop(&queue, waiting[order[i - 1]], SCHEDULER_CANCEL);
    }
    close_queue();
}

Test(service_scheduler_queue, positions_count_everybody_before)
{
    open_queue(1, 0, 20, 100);
    (void)add("a", 0);
    struct scheduler_run *a[3], *b[2];
    for (int i = 0; i < 3; i++) {
        a[i] = add("a", 0);
    }
    b[0] = add("b", 0);
    b[1] = add("b", 0);
    cr_expect_eq(scheduler_queue_position(&queue, b[0]), 1, "b has no slot, a has one");
    cr_expect_eq(scheduler_queue_position(&queue, a[0]), 2);
    cr_expect_eq(scheduler_queue_position(&queue, b[1]), 3);
    cr_expect_eq(scheduler_queue_position(&queue, a[1]), 4);
    cr_expect_eq(scheduler_queue_position(&queue, a[2]), 5);
    close_queue();
}

/* ---- shares of the places ---- */

Test(service_scheduler_queue, a_tenant_may_hold_its_share_of_the_places_and_no_more)
{
    struct scheduler_tenant *tenants[10];
    struct scheduler_tenant *none = NULL;
    struct err err;
    open_queue(4, 0, 6, 50);
    for (int i = 0; i < 5; i++) {
        cr_expect(scheduler_queue_reserve(&queue, "a", &tenants[i], &err));
        cr_expect_eq(tenants[i], tenants[0]);
    }
    cr_expect_not(scheduler_queue_reserve(&queue, "a", &none, &err));
    cr_expect_eq(err.code, ERR_RATE_LIMITED);
    for (int i = 5; i < 10; i++) {
        cr_expect(scheduler_queue_reserve(&queue, "b", &tenants[i], &err));
    }
    cr_expect_not(scheduler_queue_reserve(&queue, "c", &none, &err));
    cr_expect_eq(err.code, ERR_OVERLOADED);
    cr_expect_null(none);
    scheduler_queue_unreserve(&queue, tenants[0]);
    cr_expect(scheduler_queue_reserve(&queue, "a", &tenants[0], &err), "at the share again");
    cr_expect_eq(queue.tenant_count, 2);
    for (int i = 0; i < 10; i++) {
        scheduler_queue_unreserve(&queue, tenants[i]);
    }
    cr_expect_eq(queue.tenant_count, 0);
    close_queue();
}

Test(service_scheduler_queue, the_smallest_share_is_one)
{
    struct scheduler_tenant *tenant = NULL;
    struct scheduler_tenant *none = NULL;
    struct err err;
    open_queue(1, 1, 9, 1);
    cr_expect(scheduler_queue_reserve(&queue, "a", &tenant, &err));
    cr_expect_not(scheduler_queue_reserve(&queue, "a", &none, &err));
    scheduler_queue_unreserve(&queue, tenant);
    close_queue();
}

Test(service_scheduler_queue, a_tenant_that_memory_does_not_suffice_for_is_refused)
{
    struct scheduler_tenant *none = NULL;
    struct err err;
    open_queue(1, 1, 9, 50);
    heap_fail_after(1);
    bool ok = scheduler_queue_reserve(&queue, "a", &none, &err);
    heap_fail_after(0);
    cr_expect_not(ok);
    cr_expect_eq(err.code, ERR_NO_MEMORY);
    cr_expect_eq(queue.reserved, 0);
    close_queue();
}

/* ---- time ---- */

Test(service_scheduler_queue, who_waits_too_long_for_a_slot_is_stopped)
{
    open_queue(1, 0, 8, 100);
    (void)add("a", 0);
    struct scheduler_run *waits = add("a", 0);
    struct scheduler_run *patient = prepare("a", 0);
    patient->is_patient = true;
    scheduler_queue_add(&queue, patient, now_ns);
    struct scheduler_run *brief = prepare("a", 0);
    brief->deadline_ns = now_ns + 5000UL * MS;
    scheduler_queue_add(&queue, brief, now_ns);
    cr_expect_eq(scheduler_queue_next_ns(&queue), now_ns + 5000UL * MS);
    scheduler_queue_expire(&queue, now_ns + 5000UL * MS - 1);
    cr_expect_eq(atomic_load(&waits->stop), SCHEDULER_GO);
    now_ns += 5000UL * MS;
    scheduler_queue_expire(&queue, now_ns);
    cr_expect_eq(atomic_load(&waits->stop), SCHEDULER_NO_SLOT);
    cr_expect_eq(atomic_load(&brief->stop), SCHEDULER_DEADLINE);
    cr_expect_eq(atomic_load(&patient->stop), SCHEDULER_GO);
    scheduler_queue_expire(&queue, patient->deadline_ns - 1);
    cr_expect_eq(atomic_load(&patient->stop), SCHEDULER_GO);
    scheduler_queue_expire(&queue, patient->deadline_ns);
    cr_expect_eq(atomic_load(&patient->stop), SCHEDULER_DEADLINE);
    close_queue();
}

Test(service_scheduler_queue, who_has_got_a_slot_is_not_stopped_for_having_waited)
{
    open_queue(1, 0, 8, 100);
    struct scheduler_run *first = add("a", 0);
    struct scheduler_run *second = add("a", 0);
    now_ns += 4999UL * MS;
    scheduler_queue_stop(&queue, first, SCHEDULER_CANCEL);
    cr_expect_eq(serve(), first);
    now_ns += 10UL * MS;
    scheduler_queue_expire(&queue, now_ns);
    cr_expect_eq(atomic_load(&second->stop), SCHEDULER_GO);
    close_queue();
}

/* Takes the next run and lets it be refused memory. */
static struct scheduler_run *refuse_memory(void)
{
    struct scheduler_run *run = scheduler_queue_take(&queue, now_ns);
    scheduler_queue_put(&queue, run, SCHEDULER_WAIT_MEMORY, now_ns);
    return run;
}

Test(service_scheduler_queue, the_stopped_are_served_first_wherever_they_wait)
{
    open_queue(3, 1, 8, 100);
    struct scheduler_run *memory = add("a", 0);
    (void)add("a", 0);
    cr_expect_eq(refuse_memory(), memory);
    struct scheduler_run *ready = add("b", 0);
    struct scheduler_run *parked = add("c", 0);
    struct scheduler_run *backlog = add("d", 0);
    serve_youth(parked);
    cr_expect_eq(parked->place, SCHEDULER_PARKED);
    struct scheduler_run *const stopped[] = {backlog, parked, memory, ready};
    for (size_t i = 0; i < 4; i++) {
        stopped[i]->deadline_ns = now_ns; /* what follows is to show who came first */
        scheduler_queue_stop(&queue, stopped[i], SCHEDULER_CANCEL);
        scheduler_queue_stop(&queue, stopped[i], SCHEDULER_DEADLINE);
    }
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(serve(), stopped[i]);
        cr_expect_eq(atomic_load(&stopped[i]->stop), SCHEDULER_CANCEL, "the first reason counts");
    }
    close_queue();
}

Test(service_scheduler_queue, a_run_that_was_stopped_before_it_came_needs_no_slot)
{
    open_queue(1, 0, 8, 100);
    (void)add("a", 0);
    struct scheduler_run *late = prepare("a", 0);
    scheduler_queue_stop(&queue, late, SCHEDULER_CANCEL);
    scheduler_queue_add(&queue, late, now_ns);
    cr_expect_eq(serve(), late);
    cr_expect_eq(late->slot, SCHEDULER_SLOT_NONE);
    cr_expect_eq(queue.slots, 1);
    close_queue();
}

Test(service_scheduler_queue, who_waits_for_memory_goes_on_when_another_has_left)
{
    open_queue(2, 0, 8, 100);
    struct scheduler_run *first = add("a", 0);
    struct scheduler_run *second = add("b", 0);
    cr_expect_eq(refuse_memory(), first);
    cr_expect_eq(first->place, SCHEDULER_WAITING);
    scheduler_queue_stop(&queue, second, SCHEDULER_CANCEL);
    cr_expect_eq(serve(), second);
    cr_expect_eq(first->place, SCHEDULER_READY);
    close_queue();
}

Test(service_scheduler_queue, nobody_waits_for_the_memory_of_a_parked_run_that_waits_for_its_slot)
{
    open_queue(1, 1, 8, 100);
    struct scheduler_run *first = add("a", 0);
    struct scheduler_run *second = add("b", 0);
    serve_youth(second);
    cr_expect_eq(second->place, SCHEDULER_PARKED);
    cr_expect_eq(refuse_memory(), first);
    cr_expect_eq(atomic_load(&first->stop), SCHEDULER_NO_MEMORY);
    cr_expect_eq(serve(), first);
    cr_expect_eq(second->place, SCHEDULER_READY);
    close_queue();
}

Test(service_scheduler_queue, without_memory_it_is_not_made)
{
    struct scheduler_config config = {.concurrent_max = 1, .slice_us = SLICE_US};
    for (size_t n = 1; n <= 4; n++) {
        heap_fail_after(n);
        bool ok = scheduler_queue_init(&queue, &config);
        heap_fail_after(0);
        cr_expect_not(ok, "%zu", n);
    }
}
