/* attester.c: see attester.h.
 *
 * The bucket counts in units of which a nanosecond brings as many as calls are allowed a minute, so
 * a token is a minute's nanoseconds. The clock is the node's; when it is one that a test moves, the
 * waits below end too early or by attester_tick, and what has to hold is looked at again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/attester.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/process.h"
#include "base/wait.h"
#include "service/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static const uint64_t attester_token = UINT64_C(60) * 1000 * 1000 * 1000; /* units */
static const uint64_t attester_ns_per_ms = 1000 * 1000;
enum { ATTESTER_LATE_MS = 10 }; /* between two looks of a close that waits for more than a call */

struct attester {
    struct attester_config config;
    struct tee tee; /* what duties ask; context: the attester */
    struct attester_duty duties[ATTESTER_PURPOSES];
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;  /* of the thread */
    pthread_cond_t done;  /* the thread has ended */
    bool due[ATTESTER_PURPOSES];
    bool is_started, is_closing, is_done;
    bool is_left;             /* nobody but the thread, in a call, is here any more */
    uint64_t units, units_ns; /* in the bucket, at that time */
    uint64_t not_before_ns;   /* after a failure */
    bool is_calling, has_called;
    uint64_t call_ns; /* since when */
    enum attester_purpose purpose;
    struct attester_facts facts; /* of failures; the rest is made when asked for */
};

const char *attester_purpose_name(enum attester_purpose purpose)
{
    static const char *const names[] = {[ATTESTER_EPOCH] = "epoch", [ATTESTER_BATCH] = "batch"};
    return names[purpose];
}

const char *attester_outcome_name(enum attester_outcome outcome)
{
    static const char *const names[] = {
        [ATTESTER_SUCCESS] = "success", [ATTESTER_BUSY] = "busy",
        [ATTESTER_REFUSED] = "refused", [ATTESTER_LOST] = "lost",
        [ATTESTER_INVALID] = "invalid", [ATTESTER_FAILED] = "failed",
        [ATTESTER_BLOCKED] = "blocked",
    };
    return names[outcome];
}

static enum attester_outcome outcome_of(enum err_code code)
{
    if (code == ERR_BUSY) {
        return ATTESTER_BUSY;
    }
    if (code == ERR_IO) {
        return ATTESTER_REFUSED;
    }
    if (code == ERR_CLOSED) {
        return ATTESTER_LOST;
    }
    return code == ERR_TAMPERED || code == ERR_FORMAT ? ATTESTER_INVALID : ATTESTER_FAILED;
}

static uint64_t now_ns(const struct attester *attester)
{
    return clock_monotonic_ns(attester->config.clock);
}

/* Under the lock, or before there is a thread: as everything up to "the call". */

/* ---- the bucket ---- */

static void bucket_fill(struct attester *attester, uint64_t now)
{
    uint64_t capacity = attester->config.burst * attester_token;
    uint64_t elapsed = now > attester->units_ns ? now - attester->units_ns : 0;
    uint64_t missing = capacity - attester->units;
    bool is_full = elapsed > missing / attester->config.calls_per_minute;
    attester->units =
        is_full ? capacity : attester->units + elapsed * attester->config.calls_per_minute;
    attester->units_ns = now;
}

static uint64_t bucket_wait(struct attester *attester, uint64_t now)
{
    bucket_fill(attester, now);
    uint64_t missing = attester->units < attester_token ? attester_token - attester->units : 0;
    uint64_t per_ns = attester->config.calls_per_minute;
    uint64_t token_ns = (missing + per_ns - 1) / per_ns;
    uint64_t pause_ns = attester->not_before_ns > now ? attester->not_before_ns - now : 0;
    return token_ns > pause_ns ? token_ns : pause_ns;
}

/* ---- what became of it ---- */

static void fail(struct attester *attester, enum attester_outcome outcome, const char *message)
{
    struct attester_facts *facts = &attester->facts;
    bool is_news = !facts->is_failing || facts->error != outcome;
    if (!facts->is_failing) {
        facts->is_failing = true;
        facts->failing_since_ms = clock_wall_ms(attester->config.clock);
    }
    facts->error = outcome;
    if (is_news) {
        log_event(LOG_ERROR, "attestation_failing",
                  LOG_FIELDS(log_text("provider", attester->tee.name),
                             log_text("purpose", attester_purpose_name(attester->purpose)),
                             log_text("outcome", attester_outcome_name(outcome))),
                  "%s", message);
    }
}

static void conclude(struct attester *attester, bool ok, const struct err *err)
{
    struct attester_facts *facts = &attester->facts;
    enum attester_outcome outcome = ok ? ATTESTER_SUCCESS : outcome_of(err->code);
    if (attester->has_called) {
        size_t at = (size_t)attester->purpose * ATTESTER_OUTCOMES + (size_t)outcome;
        metric_add(&attester->config.metrics->attestation_reports[at], 1);
    }
    if (!ok) {
        facts->failures++;
        attester->not_before_ns = now_ns(attester) + attester->config.retry_ms * attester_ns_per_ms;
        fail(attester, outcome, err->message);
    } else if (attester->has_called && facts->is_failing) {
        *facts = (struct attester_facts){0};
        log_event(LOG_INFO, "attestation_recovered",
                  LOG_FIELDS(log_text("provider", attester->tee.name)),
                  "the firmware makes reports again");
    }
}

/* Unlocks while the duty is done. */
static bool run(struct attester *attester, enum attester_purpose purpose, struct err *err)
{
    const struct attester_duty *duty = &attester->duties[purpose];
    attester->purpose = purpose;
    attester->has_called = false;
    pthread_mutex_unlock(&attester->lock);
    bool ok = duty->run(duty->context, err);
    pthread_mutex_lock(&attester->lock);
    conclude(attester, ok, err);
    return ok;
}

/* ---- the call ---- */

/* Everything that the caller would go back to is gone. */
static void stay_behind(void)
{
    for (;;) {
        (void)pause();
    }
}

static bool report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                   uint8_t *out, struct buffer *certificates, struct err *err)
{
    struct attester *attester = context;
    const struct tee *tee = attester->config.tee;
    pthread_mutex_lock(&attester->lock);
    assert(!attester->has_called);
    attester->has_called = attester->is_calling = true;
    attester->call_ns = now_ns(attester);
    bucket_fill(attester, attester->call_ns);
    attester->units -= attester->units < attester_token ? attester->units : attester_token;
    pthread_mutex_unlock(&attester->lock);
    bool ok = tee->report(tee->context, user_data, out, certificates, err);
    pthread_mutex_lock(&attester->lock);
    if (attester->is_left) {
        pthread_mutex_unlock(&attester->lock);
        stay_behind();
    }
    attester->is_calling = false;
    histogram_add(attester->config.metrics->attestation_time, now_ns(attester) - attester->call_ns);
    pthread_mutex_unlock(&attester->lock);
    return ok;
}

/* ---- the thread ---- */

static void *attester_main(void *context)
{
    struct attester *attester = context;
    struct err err;
    process_thread_name("attester");
    pthread_mutex_lock(&attester->lock);
    while (!attester->is_closing) {
        size_t next = 0;
        while (next < ATTESTER_PURPOSES && !attester->due[next]) {
            next++;
        }
        uint64_t wait_ns = bucket_wait(attester, now_ns(attester));
        if (next == ATTESTER_PURPOSES) {
            pthread_cond_wait(&attester->wake, &attester->lock);
        } else if (wait_ns > 0) {
            (void)wait_until(&attester->wake, &attester->lock, wait_end_ns(wait_ns));
        } else {
            attester->due[next] = false;
            (void)!run(attester, (enum attester_purpose)next, &err);
        }
    }
    attester->is_done = true;
    pthread_cond_signal(&attester->done);
    pthread_mutex_unlock(&attester->lock);
    return NULL;
}

/* ---- the interface ---- */

struct attester *attester_new(const struct attester_config *config)
{
    assert(config->calls_per_minute > 0 && config->burst > 0);
    struct attester *attester = HEAP_NEW(struct attester);
    if (attester == NULL) {
        return NULL;
    }
    attester->config = *config;
    attester->tee = (struct tee){.name = config->tee->name, .report = report, .context = attester};
    attester->units = config->burst * attester_token;
    attester->units_ns = now_ns(attester);
    pthread_mutex_init(&attester->lock, NULL);
    wait_init(&attester->wake);
    wait_init(&attester->done);
    return attester;
}

void attester_set_duty(struct attester *attester, enum attester_purpose purpose,
                       struct attester_duty duty)
{
    assert(!attester->is_started);
    attester->duties[purpose] = duty;
}

bool attester_do(struct attester *attester, enum attester_purpose purpose, struct err *err)
{
    assert(!attester->is_started);
    pthread_mutex_lock(&attester->lock);
    bool ok = run(attester, purpose, err);
    pthread_mutex_unlock(&attester->lock);
    return ok;
}

bool attester_start(struct attester *attester, struct err *err)
{
    attester->is_started = pthread_create(&attester->thread, NULL, attester_main, attester) == 0;
    return attester->is_started || err_set(err, ERR_NO_MEMORY, "cannot start the attester");
}

/* Only a thread in a call may be left behind: whatever else it does ends, and is waited for. */
static bool stop(struct attester *attester)
{
    uint64_t until_ns = wait_end_ns(attester->config.close_ms * attester_ns_per_ms);
    pthread_mutex_lock(&attester->lock);
    attester->is_closing = true;
    pthread_cond_broadcast(&attester->wake);
    while (!attester->is_done && !attester->is_left) {
        if (!wait_until(&attester->done, &attester->lock, until_ns)) {
            attester->is_left = attester->is_calling && !attester->is_done;
            until_ns = wait_end_ns(ATTESTER_LATE_MS * attester_ns_per_ms);
        }
    }
    bool is_left = attester->is_left;
    pthread_mutex_unlock(&attester->lock);
    return !is_left;
}

bool attester_close(struct attester *attester)
{
    if (attester == NULL) {
        return true;
    }
    if (attester->is_started && !stop(attester)) {
        pthread_detach(attester->thread);
        log_event(LOG_WARN, "attestation_left",
                  LOG_FIELDS(log_text("provider", attester->tee.name)),
                  "a call of the firmware has not come back; its thread ends with the process");
        return false;
    }
    if (attester->is_started) {
        pthread_join(attester->thread, NULL);
    }
    pthread_cond_destroy(&attester->done);
    pthread_cond_destroy(&attester->wake);
    pthread_mutex_destroy(&attester->lock);
    heap_free(attester);
    return true;
}

const struct tee *attester_tee(const struct attester *attester)
{
    return &attester->tee;
}

void attester_ask(struct attester *attester, enum attester_purpose purpose)
{
    pthread_mutex_lock(&attester->lock);
    attester->due[purpose] = true;
    pthread_cond_signal(&attester->wake);
    pthread_mutex_unlock(&attester->lock);
}

void attester_tick(struct attester *attester)
{
    pthread_mutex_lock(&attester->lock);
    uint64_t blocked_ns = attester->config.blocked_ms * attester_ns_per_ms;
    if (attester->is_calling && now_ns(attester) - attester->call_ns > blocked_ns) {
        fail(attester, ATTESTER_BLOCKED, "a call of the firmware does not come back");
    }
    pthread_cond_signal(&attester->wake);
    pthread_mutex_unlock(&attester->lock);
}

void attester_pause(struct attester *attester, uint64_t ns)
{
    uint64_t until_ns = wait_end_ns(ns);
    pthread_mutex_lock(&attester->lock);
    /* Whoever asks or ticks signals, too. */
    while (!attester->is_closing && wait_until(&attester->wake, &attester->lock, until_ns)) {
    }
    pthread_mutex_unlock(&attester->lock);
}

void attester_facts(struct attester *attester, struct attester_facts *out)
{
    pthread_mutex_lock(&attester->lock);
    uint64_t now = now_ns(attester);
    *out = attester->facts;
    out->wait_ns = bucket_wait(attester, now);
    out->tokens = attester->units / attester_token;
    out->under_way_ns = attester->is_calling ? now - attester->call_ns : 0;
    pthread_mutex_unlock(&attester->lock);
}
