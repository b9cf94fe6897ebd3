/* test_attester.c: the token bucket, the order of duties, failures, and a firmware that does not
 * come back, with a firmware and a clock that the test plays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/attester.h"
#include "service/metrics.h"
#include "support/fake_clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { PATIENCE_MS = 60000 }; /* of a close, with a call that comes back */

static struct fake_clock fake;
static struct metrics metrics;
static struct attester *attester;

/* ---- the firmware ---- */

static pthread_mutex_t firmware_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t firmware_wake = PTHREAD_COND_INITIALIZER;
static enum err_code firmware_error; /* ERR_NONE: it works */
static bool firmware_blocks;
static _Atomic unsigned firmware_calls, epochs_done, batches_done;
static char order[32];

static bool firmware_report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                            uint8_t *report, struct buffer *certificates, struct err *err)
{
    (void)context;
    (void)user_data;
    (void)report;
    (void)certificates;
    pthread_mutex_lock(&firmware_lock);
    atomic_fetch_add(&firmware_calls, 1);
    while (firmware_blocks) {
        pthread_cond_wait(&firmware_wake, &firmware_lock);
    }
    enum err_code code = firmware_error;
    pthread_mutex_unlock(&firmware_lock);
    return code == ERR_NONE || err_set(err, code, "the played firmware says no");
}

static void firmware_set(enum err_code error, bool blocks)
{
    pthread_mutex_lock(&firmware_lock);
    firmware_error = error;
    firmware_blocks = blocks;
    pthread_cond_broadcast(&firmware_wake);
    pthread_mutex_unlock(&firmware_lock);
}

static const struct tee firmware = {.name = "played", .report = firmware_report};

/* ---- the duties ---- */

static bool call(struct err *err)
{
    const uint8_t user_data[ATTEST_USER_DATA_BYTES] = {0};
    uint8_t out[ATTEST_REPORT_BYTES];
    const struct tee *tee = attester_tee(attester);
    return tee->report(tee->context, user_data, out, NULL, err);
}

/* The first ones: on a slow machine there are more. */
static void note(char letter)
{
    size_t count = strlen(order);
    if (count + 1 < sizeof(order)) {
        order[count] = letter;
    }
}

static bool epoch(void *context, struct err *err)
{
    (void)context;
    bool ok = call(err);
    note('e');
    atomic_fetch_add(&epochs_done, 1);
    return ok;
}

static bool batch(void *context, struct err *err)
{
    (void)context;
    bool ok = call(err);
    note('b');
    atomic_fetch_add(&batches_done, 1);
    return ok;
}

static bool idle(void *context, struct err *err)
{
    (void)context;
    (void)err;
    atomic_fetch_add(&batches_done, 1);
    return true;
}

static void open_with(uint32_t calls_per_minute, uint32_t burst, uint32_t close_ms)
{
    fake_clock_init(&fake);
    metrics_init(&metrics);
    const struct attester_config config = {.tee = &firmware,
                                           .clock = &fake.clock,
                                           .metrics = &metrics,
                                           .calls_per_minute = calls_per_minute,
                                           .burst = burst,
                                           .retry_ms = 30000,
                                           .blocked_ms = 10000,
                                           .close_ms = close_ms};
    attester = attester_new(&config);
    cr_assert_not_null(attester);
    attester_set_duty(attester, ATTESTER_EPOCH, (struct attester_duty){.run = epoch});
    attester_set_duty(attester, ATTESTER_BATCH, (struct attester_duty){.run = batch});
}

static void start(void)
{
    struct err err;
    cr_assert(attester_start(attester, &err));
}

static void until(_Atomic unsigned *count, unsigned reached)
{
    while (atomic_load(count) < reached) {
        sched_yield();
    }
}

/* What is done is concluded a moment later. */
static struct attester_facts facts_once(bool is_failing)
{
    struct attester_facts facts;
    do {
        sched_yield();
        attester_facts(attester, &facts);
    } while (facts.is_failing != is_failing || facts.under_way_ns != 0);
    return facts;
}

static uint64_t reports(enum attester_purpose purpose, enum attester_outcome outcome)
{
    size_t at = (size_t)purpose * ATTESTER_OUTCOMES + (size_t)outcome;
    return atomic_load(&metrics.attestation_reports[at]);
}

static uint64_t wait_ms(void)
{
    struct attester_facts facts;
    attester_facts(attester, &facts);
    return facts.wait_ns / 1000000;
}

Test(service_attester, the_bucket_holds_the_burst_and_gets_its_calls_per_minute)
{
    struct err err;
    struct attester_facts facts;
    open_with(30, 2, PATIENCE_MS);
    attester_facts(attester, &facts);
    cr_expect_eq(facts.tokens, 2);
    cr_expect_eq(wait_ms(), 0);
    cr_expect(attester_do(attester, ATTESTER_EPOCH, &err));
    cr_expect_eq(wait_ms(), 0);
    cr_expect(attester_do(attester, ATTESTER_BATCH, &err));
    cr_expect_eq(wait_ms(), 2000);
    fake_clock_advance(&fake, 1999);
    cr_expect_eq(wait_ms(), 1);
    fake_clock_advance(&fake, 1);
    cr_expect_eq(wait_ms(), 0);
    fake_clock_advance(&fake, UINT64_C(1000) * 1000 * 1000);
    attester_facts(attester, &facts);
    cr_expect_eq(facts.tokens, 2, "never more than the burst");
    cr_expect_eq(reports(ATTESTER_EPOCH, ATTESTER_SUCCESS), 1);
    cr_expect_eq(reports(ATTESTER_BATCH, ATTESTER_SUCCESS), 1);
    cr_expect(attester_close(attester));
}

Test(service_attester, a_duty_that_asks_nobody_costs_nothing)
{
    struct err err;
    open_with(30, 1, PATIENCE_MS);
    attester_set_duty(attester, ATTESTER_BATCH, (struct attester_duty){.run = idle});
    cr_expect(attester_do(attester, ATTESTER_BATCH, &err));
    cr_expect_eq(wait_ms(), 0);
    cr_expect_eq(reports(ATTESTER_BATCH, ATTESTER_SUCCESS), 0);
    cr_expect(attester_close(attester));
}

Test(service_attester, every_failure_has_its_class_and_half_a_minute_without_calls)
{
    static const struct {
        enum err_code code;
        enum attester_outcome outcome;
    } rows[] = {
        {ERR_BUSY, ATTESTER_BUSY},      {ERR_IO, ATTESTER_REFUSED},
        {ERR_CLOSED, ATTESTER_LOST},    {ERR_TAMPERED, ATTESTER_INVALID},
        {ERR_FORMAT, ATTESTER_INVALID}, {ERR_NO_MEMORY, ATTESTER_FAILED},
    };
    struct err err;
    struct attester_facts facts;
    open_with(6000, 100, PATIENCE_MS);
    int64_t since_ms = clock_wall_ms(&fake.clock);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t before = reports(ATTESTER_EPOCH, rows[i].outcome);
        firmware_set(rows[i].code, false);
        cr_expect_not(attester_do(attester, ATTESTER_EPOCH, &err));
        cr_expect_eq(err.code, rows[i].code);
        attester_facts(attester, &facts);
        cr_expect(facts.is_failing);
        cr_expect_eq(facts.failures, i + 1);
        cr_expect_eq(facts.error, rows[i].outcome);
        cr_expect_eq(facts.failing_since_ms, since_ms, "since the first");
        cr_expect_eq(wait_ms(), 30000);
        cr_expect_eq(reports(ATTESTER_EPOCH, rows[i].outcome), before + 1);
        fake_clock_advance(&fake, 30000);
        cr_expect_eq(wait_ms(), 0);
    }
    firmware_set(ERR_NONE, false);
    cr_expect(attester_do(attester, ATTESTER_EPOCH, &err));
    attester_facts(attester, &facts);
    cr_expect_not(facts.is_failing);
    cr_expect_eq(facts.failures, 0);
    cr_expect(attester_close(attester));
}

Test(service_attester, epochs_go_first_and_everybody_waits_for_a_token)
{
    struct err err;
    open_with(30, 1, PATIENCE_MS);
    cr_expect(attester_do(attester, ATTESTER_EPOCH, &err));
    start();
    attester_ask(attester, ATTESTER_BATCH);
    attester_ask(attester, ATTESTER_EPOCH);
    attester_ask(attester, ATTESTER_BATCH);
    cr_expect_eq(atomic_load(&firmware_calls), 1, "the clock stands still");
    fake_clock_advance(&fake, 2000);
    attester_tick(attester);
    until(&epochs_done, 2);
    cr_expect_eq(atomic_load(&batches_done), 0);
    fake_clock_advance(&fake, 2000);
    attester_tick(attester);
    until(&batches_done, 1);
    fake_clock_advance(&fake, 60000);
    cr_expect(attester_close(attester), "and nobody has asked twice");
    cr_expect_str_eq(order, "eeb");
}

Test(service_attester, a_call_that_blocks_is_told_and_the_next_that_works_as_well)
{
    struct attester_facts facts;
    open_with(6000, 1, PATIENCE_MS);
    firmware_set(ERR_NONE, true);
    start();
    attester_ask(attester, ATTESTER_BATCH);
    until(&firmware_calls, 1);
    fake_clock_advance(&fake, 10000);
    attester_tick(attester);
    attester_facts(attester, &facts);
    cr_expect_not(facts.is_failing, "not yet");
    cr_expect_eq(facts.under_way_ns, UINT64_C(10000) * 1000 * 1000);
    fake_clock_advance(&fake, 1);
    attester_tick(attester);
    attester_facts(attester, &facts);
    cr_expect(facts.is_failing);
    cr_expect_eq(facts.error, ATTESTER_BLOCKED);
    cr_expect_eq(facts.failures, 0, "it has not failed");
    firmware_set(ERR_NONE, false);
    (void)facts_once(false);
    cr_expect(attester_close(attester));
}

Test(service_attester, a_call_that_never_comes_back_is_left_behind)
{
    open_with(6000, 1, 1);
    firmware_set(ERR_NONE, true);
    start();
    attester_ask(attester, ATTESTER_EPOCH);
    until(&firmware_calls, 1);
    cr_expect_not(attester_close(attester));
    firmware_set(ERR_NONE, false);
    for (int i = 0; i < 1000; i++) {
        sched_yield();
    }
    cr_expect_eq(atomic_load(&epochs_done), 0, "the duty does not go on");
}

Test(service_attester, closing_waits_for_a_call_that_comes_back)
{
    open_with(6000, 1, PATIENCE_MS);
    start();
    for (unsigned i = 1; i <= 20; i++) {
        fake_clock_advance(&fake, 1000);
        attester_ask(attester, i % 2 == 0 ? ATTESTER_EPOCH : ATTESTER_BATCH);
        until(&firmware_calls, i);
    }
    cr_expect(attester_close(attester));
    cr_expect_eq(atomic_load(&epochs_done) + atomic_load(&batches_done), 20);
}

static _Atomic unsigned pauses;
static uint64_t pause_ns;
static _Atomic uint64_t paused_ns;

static bool pausing(void *context, struct err *err)
{
    (void)context;
    (void)err;
    uint64_t began_ns = clock_monotonic_ns(&clock_system);
    atomic_fetch_add(&pauses, 1);
    attester_pause(attester, pause_ns);
    atomic_store(&paused_ns, clock_monotonic_ns(&clock_system) - began_ns);
    return true;
}

Test(service_attester, a_pause_lasts_however_many_ask_meanwhile)
{
    open_with(60, 4, PATIENCE_MS);
    attester_set_duty(attester, ATTESTER_BATCH, (struct attester_duty){.run = pausing});
    pause_ns = 20 * 1000 * 1000;
    start();
    attester_ask(attester, ATTESTER_BATCH);
    while (atomic_load(&paused_ns) == 0) {
        attester_ask(attester, ATTESTER_EPOCH);
        attester_tick(attester);
        sched_yield();
    }
    cr_expect_geq(atomic_load(&paused_ns), pause_ns);
    attester_close(attester);
}

Test(service_attester, closing_ends_a_pause)
{
    open_with(60, 4, PATIENCE_MS);
    attester_set_duty(attester, ATTESTER_BATCH, (struct attester_duty){.run = pausing});
    pause_ns = UINT64_C(24) * 3600 * 1000 * 1000 * 1000;
    start();
    attester_ask(attester, ATTESTER_BATCH);
    until(&pauses, 1);
    cr_expect(attester_close(attester), "today");
}

Test(service_attester, names)
{
    cr_expect_str_eq(attester_purpose_name(ATTESTER_EPOCH), "epoch");
    cr_expect_str_eq(attester_purpose_name(ATTESTER_BATCH), "batch");
    cr_expect_str_eq(attester_outcome_name(ATTESTER_SUCCESS), "success");
    cr_expect_str_eq(attester_outcome_name(ATTESTER_BLOCKED), "blocked");
}
