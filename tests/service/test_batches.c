/* test_batches.c: POST /v1/attestation: many nonces under one report, and everybody who leaves
 * before it is there. The firmware is the simulated one, which a test can hold back or make fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fake_clock.h"
#include "support/service_world.h"

#include "service/batches.h"
#include "service/internal.h"

#include <criterion/criterion.h>
#include <sched.h>

enum { CALLERS = 300, NONCE_BYTES = 16 };

static struct world world;

/* ---- the firmware ---- */

static struct tee simulated;
static pthread_mutex_t firmware_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t firmware_wake = PTHREAD_COND_INITIALIZER;
static bool firmware_blocks, firmware_lies;
static enum err_code firmware_error;
static _Atomic unsigned firmware_calls;

static bool firmware_report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                            uint8_t *report, struct buffer *certificates, struct err *err)
{
    uint8_t asked[ATTEST_USER_DATA_BYTES];
    memcpy(asked, user_data, sizeof asked);
    pthread_mutex_lock(&firmware_lock);
    atomic_fetch_add(&firmware_calls, 1);
    while (firmware_blocks) {
        pthread_cond_wait(&firmware_wake, &firmware_lock);
    }
    enum err_code code = firmware_error;
    asked[0] ^= firmware_lies;
    pthread_mutex_unlock(&firmware_lock);
    return code == ERR_NONE ? simulated.report(context, asked, report, certificates, err)
                            : err_set(err, code, "the played firmware says no");
}

static void firmware_set(bool blocks, enum err_code error, bool lies)
{
    pthread_mutex_lock(&firmware_lock);
    firmware_blocks = blocks;
    firmware_error = error;
    firmware_lies = lies;
    pthread_cond_broadcast(&firmware_wake);
    pthread_mutex_unlock(&firmware_lock);
}

static bool firmware_new(struct tee *out)
{
    struct err err;
    if (!tee_simulated_new(WH_BUILD_DIR "/attest-simulated", &clock_system, &simulated, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    *out = simulated;
    out->report = firmware_report;
    return true;
}

/* ---- the node ---- */

static void open_on(const struct service_config *config, const struct clock *clock)
{
    world_prepare(&world, config, clock, audit_log_open);
    world.tee_new = firmware_new;
    world_start(&world);
}

static void open_with(const struct service_config *config)
{
    open_on(config, NULL);
}

static struct service_config quick(void)
{
    struct service_config config = service_config_default;
    config.workers = 2;
    config.attester_calls_per_minute = 6000;
    config.attester_burst = 100;
    config.fresh_wait_max_ms = 60 * 1000;
    return config;
}

static struct world_call *begin(size_t number)
{
    uint8_t nonce[NONCE_BYTES] = {0};
    char text[64], body[96];
    memcpy(nonce, &number, sizeof number);
    text_base64_encode(bytes_of(nonce, sizeof nonce), text);
    (void)snprintf(body, sizeof body, "{\"nonce\":\"%s\"}", text);
    return world_begin(&world, "POST", "/v1/attestation", NULL, bytes_of_string(body),
                       "application/json");
}

static void until_waiting(uint32_t count)
{
    while (batches_waiting(world.service->batches) != count) {
        sched_yield();
    }
}

static void until_calls(unsigned count)
{
    while (atomic_load(&firmware_calls) < count) {
        sched_yield();
    }
}

static void expect_refused(struct world_call *call, int status, const char *code)
{
    struct reply reply = world_end(call);
    cr_expect_eq(reply.status, status, "%s", reply.text);
    cr_expect_str_eq(reply_text(&reply, "error_code"), code);
    cr_expect(strcmp(code, "OVERLOADED") != 0 || atoi(reply_header(&reply, "Retry-After")) >= 1);
    reply_release(&reply);
}

/* The proof of nonce `number`; its index. */
static size_t expect_proof(struct world_call *call, size_t number, size_t size, bool whole)
{
    struct attest_result result;
    struct reply reply = world_end(call);
    const json_t *batch = json_object_get(reply.json, "batch");
    uint8_t nonce[NONCE_BYTES] = {0};
    memcpy(nonce, &number, sizeof number);
    const struct attest_policy policy = {.allow_any_simulated_root = true,
                                         .now_ms = clock_wall_ms(&clock_system),
                                         .nonce = bytes_of(nonce, sizeof nonce),
                                         .nonce_in_report = true};
    cr_assert_eq(reply.status, 200, "%s", reply.text);
    cr_expect_eq((size_t)json_integer_value(json_object_get(batch, "size")), size);
    if (whole) {
        attest_evidence_verify(reply.json, &policy, &result);
        for (size_t i = 0; i < result.check_count; i++) {
            cr_expect(result.checks[i].outcome != ATTEST_FAILED, "%s: %s", result.checks[i].name,
                      result.checks[i].detail);
        }
        cr_expect(result.ok);
    }
    size_t index = (size_t)json_integer_value(json_object_get(batch, "index"));
    reply_release(&reply);
    return index;
}

Test(service_batches, hundreds_of_callers_share_one_call_of_the_firmware)
{
    struct service_config config = quick();
    struct world_call *calls[CALLERS];
    bool seen[CALLERS + 1] = {true}; /* the node's own */
    open_with(&config);
    cr_expect_eq(atomic_load(&firmware_calls), 1, "the epoch");
    firmware_set(true, ERR_NONE, false);
    struct world_call *first = begin(CALLERS);
    until_calls(2);
    for (size_t i = 0; i < CALLERS; i++) {
        calls[i] = begin(i);
    }
    until_waiting(CALLERS + 1);
    firmware_set(false, ERR_NONE, false);
    cr_expect_eq(expect_proof(first, CALLERS, 2, true), 1);
    for (size_t i = 0; i < CALLERS; i++) {
        size_t index = expect_proof(calls[i], i, CALLERS + 1, i % 50 == 0);
        cr_assert(index <= CALLERS && !seen[index]);
        seen[index] = true;
    }
    cr_expect_eq(atomic_load(&firmware_calls), 3);
    size_t at = (size_t)ATTESTER_BATCH * ATTESTER_OUTCOMES + (size_t)ATTESTER_SUCCESS;
    while (atomic_load(&world.service->metrics.attestation_reports[at]) < 2) {
        sched_yield(); /* counted after the last answer */
    }
    world_close(&world);
}

static void expect_bad(const char *body, const char *code)
{
    struct reply reply = world_ask(&world, "POST", "/v1/attestation", NULL, body);
    cr_expect_eq(reply.status, 400, "%s: %s", body, reply.text);
    cr_expect_str_eq(reply_text(&reply, "error_code"), code, "%s", body);
    reply_release(&reply);
}

Test(service_batches, nonces_have_16_to_64_bytes)
{
    struct service_config config = quick();
    open_with(&config);
    expect_bad("{\"nonce\":\"AAAAAAAAAAAAAAAAAAAA\"}", "INVALID_ARGUMENTS"); /* 15 */
    expect_bad("{\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
               "AAAAAAAAAAAAAAAAA=\"}",
               "INVALID_ARGUMENTS"); /* 65 */
    expect_bad("{\"nonce\":\"A\"}", "MALFORMED_REQUEST");
    expect_bad("{\"nonce\":1}", "MALFORMED_REQUEST");
    expect_bad("{}", "MALFORMED_REQUEST");
    expect_bad("[]", "MALFORMED_REQUEST");
    expect_bad("", "MALFORMED_REQUEST");
    expect_bad("{\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"more\":1}", "MALFORMED_REQUEST");
    struct reply reply = world_ask(
        &world, "POST", "/attestation", NULL,
        "{\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAA==\"}"); /* 64 */
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    world_close(&world);
}

Test(service_batches, without_a_provider_there_is_nobody_to_ask)
{
    world_open(&world, NULL, NULL);
    expect_refused(begin(0), 404, "NOT_FOUND");
    world_close(&world);
}

/* A tick's work is a worker's; there is no second beside it. */
static void tick(void)
{
    service_tick(world.service);
    while (atomic_load(&world.service->tick_is_running)) {
        sched_yield();
    }
}

Test(service_batches, so_many_may_wait_and_each_so_long)
{
    struct fake_clock fake;
    struct service_config config = quick();
    config.fresh_waiting_max = 2;
    config.fresh_wait_max_ms = 50;
    fake_clock_init(&fake);
    /* the firmware's certificates are of today */
    fake_clock_step_wall(&fake, clock_wall_ms(&clock_system) - clock_wall_ms(&fake.clock));
    open_on(&config, &fake.clock);
    firmware_set(true, ERR_NONE, false);
    struct world_call *asked = begin(0);
    until_calls(2);
    struct world_call *gathered = begin(1);
    until_waiting(2);
    expect_refused(begin(2), 503, "OVERLOADED");
    fake_clock_advance(&fake, 49);
    tick();
    cr_expect_eq(batches_waiting(world.service->batches), 2);
    fake_clock_advance(&fake, 2);
    tick();
    expect_refused(asked, 503, "OVERLOADED");
    expect_refused(gathered, 503, "OVERLOADED");
    expect_refused(begin(3), 503, "OVERLOADED"); /* at once: the call blocks */
    cr_expect_eq(batches_waiting(world.service->batches), 0);
    firmware_set(false, ERR_NONE, false);
    world_close(&world);
}

static void go_away(struct world_call *call)
{
    world_leave(call);
    expect_refused(call, 422, "CANCELLED");
}

Test(service_batches, who_goes_away_leaves_the_others_their_proof)
{
    struct service_config config = quick();
    open_with(&config);
    firmware_set(true, ERR_NONE, false);
    struct world_call *asked[3], *gathered[3];
    struct world_call *first = begin(9);
    until_calls(2);
    for (size_t i = 0; i < 3; i++) {
        asked[i] = begin(i);
    }
    until_waiting(4);
    go_away(first); /* while the firmware is asked for it */
    firmware_set(false, ERR_NONE, false);
    for (size_t i = 0; i < 3; i++) {
        (void)expect_proof(asked[i], i, 4, true);
    }
    firmware_set(true, ERR_NONE, false);
    first = begin(9);
    until_calls(4);
    for (size_t i = 0; i < 3; i++) {
        gathered[i] = begin(i);
    }
    until_waiting(4);
    go_away(gathered[1]); /* before it is */
    firmware_set(false, ERR_NONE, false);
    (void)expect_proof(first, 9, 2, true);
    (void)expect_proof(gathered[0], 0, 3, true);
    (void)expect_proof(gathered[2], 2, 3, true);
    world_close(&world);
}

Test(service_batches, a_failure_is_told_to_all_and_nobody_asks_for_a_while)
{
    static const struct {
        enum err_code error;
        bool lies;
        enum attester_outcome outcome;
    } rows[] = {{ERR_BUSY, false, ATTESTER_BUSY}, {ERR_NONE, true, ATTESTER_INVALID}};
    for (size_t i = 0; i < 2; i++) {
        struct service_config config = quick();
        open_with(&config);
        unsigned before = atomic_load(&firmware_calls);
        firmware_set(true, rows[i].error, rows[i].lies);
        struct world_call *asked = begin(0);
        until_calls(before + 1);
        struct world_call *gathered = begin(1);
        until_waiting(2);
        world.service->config.fresh_wait_max_ms = 10 * 1000; /* shorter than the pause */
        firmware_set(false, rows[i].error, rows[i].lies);
        expect_refused(asked, 503, "OVERLOADED");
        expect_refused(gathered, 503, "OVERLOADED");
        struct attester_facts facts;
        do {
            attester_facts(world.service->attester, &facts);
        } while (!facts.is_failing);
        cr_expect_eq(facts.error, rows[i].outcome);
        expect_refused(begin(2), 503, "OVERLOADED");
        cr_expect_eq(atomic_load(&firmware_calls), before + 1);
        firmware_set(false, ERR_NONE, false);
        world_close(&world);
    }
}

Test(service_batches, who_waits_when_the_node_ends_is_told)
{
    struct service_config config = quick();
    open_with(&config);
    firmware_set(true, ERR_NONE, false);
    struct world_call *asked = begin(0);
    until_calls(2);
    struct world_call *gathered = begin(1);
    until_waiting(2);
    service_drain(world.service, NULL, NULL);
    expect_refused(begin(2), 503, "DRAINING");
    world_close(&world); /* leaves the thread behind */
    expect_refused(asked, 503, "DRAINING");
    expect_refused(gathered, 503, "DRAINING");
}
