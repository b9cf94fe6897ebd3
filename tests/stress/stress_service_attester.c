/* stress_service_attester: many ask, look and tick while the attester calls a firmware that fails
 * now and then, and it is closed in the middle of that, again and again. For ThreadSanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "service/attester.h"
#include "service/metrics.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 20, ASKERS = 3, ASKS = 200 };

static struct metrics metrics;
static struct attester *attester;
static _Atomic unsigned calls;

static bool report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                   uint8_t *out, struct buffer *certificates, struct err *err)
{
    (void)context;
    (void)user_data;
    (void)out;
    (void)certificates;
    return atomic_fetch_add(&calls, 1) % 64 != 63 || err_set(err, ERR_BUSY, "now and then");
}

static bool duty(void *context, struct err *err)
{
    const uint8_t user_data[ATTEST_USER_DATA_BYTES] = {0};
    uint8_t out[ATTEST_REPORT_BYTES];
    const struct tee *tee = attester_tee(attester);
    (void)context;
    bool ok = tee->report(tee->context, user_data, out, NULL, err);
    attester_pause(attester, 1000);
    return ok;
}

static void *asker(void *context)
{
    struct attester_facts facts;
    (void)context;
    for (unsigned i = 0; i < ASKS; i++) {
        attester_ask(attester, i % 2 == 0 ? ATTESTER_EPOCH : ATTESTER_BATCH);
        attester_facts(attester, &facts);
        attester_tick(attester);
        sched_yield();
    }
    return NULL;
}

int main(void)
{
    static const struct tee firmware = {.name = "played", .report = report};
    const struct attester_config config = {.tee = &firmware,
                                           .clock = &clock_system,
                                           .metrics = &metrics,
                                           .calls_per_minute = 6000000,
                                           .burst = 100,
                                           .retry_ms = 1,
                                           .blocked_ms = 1000,
                                           .close_ms = 60000};
    struct err err;
    if (!log_open("/dev/null", LOG_ERROR, true, &err)) {
        return EXIT_FAILURE;
    }
    metrics_init(&metrics);
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_t threads[ASKERS];
        attester = attester_new(&config);
        for (unsigned i = 0; i < ATTESTER_PURPOSES; i++) {
            attester_set_duty(attester, (enum attester_purpose)i,
                              (struct attester_duty){.run = duty});
        }
        if (!attester_start(attester, &err)) {
            return EXIT_FAILURE;
        }
        for (unsigned i = 0; i < ASKERS; i++) {
            if (pthread_create(&threads[i], NULL, asker, NULL) != 0) {
                return EXIT_FAILURE;
            }
        }
        for (unsigned i = 0; i < ASKERS; i++) {
            pthread_join(threads[i], NULL);
        }
        if (!attester_close(attester)) {
            return EXIT_FAILURE;
        }
    }
    log_close();
    printf("%u calls\n", atomic_load(&calls));
    return atomic_load(&calls) > ROUNDS ? EXIT_SUCCESS : EXIT_FAILURE;
}
