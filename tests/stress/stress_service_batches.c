/* stress_service_batches: fresh proofs, clients that leave, request keys, evidence, a firmware that
 * fails now and then, epochs that end all the time, and the tick, all at once, then a close in the
 * middle of it. For ThreadSanitizer; everybody is answered, and whoever stays gets a proof or is
 * told to come again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "support/service_world.h"

enum { CLIENTS = 4, ROUNDS = 40, AT_ONCE = 8, FAILS_EACH = 7 };

static struct world world;
static struct tee simulated;
static _Atomic unsigned calls, proofs;

static bool firmware_report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                            uint8_t *report, struct buffer *certificates, struct err *err)
{
    return atomic_fetch_add(&calls, 1) % FAILS_EACH == FAILS_EACH - 1
               ? err_set(err, ERR_BUSY, "the played firmware says no")
               : simulated.report(context, user_data, report, certificates, err);
}

static bool firmware_new(struct tee *out)
{
    char directory[128];
    struct err err;
    world_path(&world, "tee", directory);
    WORLD_CHECK(tee_simulated_new(directory, &clock_system, &simulated, &err));
    *out = simulated;
    out->report = firmware_report;
    return true;
}

static struct world_call *ask_fresh(void)
{
    uint8_t nonce[ATTEST_NONCE_BYTES_MIN];
    char text[64], body[96];
    crypto_random(nonce, sizeof nonce);
    text_base64_encode(bytes_of(nonce, sizeof nonce), text);
    (void)snprintf(body, sizeof body, "{\"nonce\":\"%s\"}", text);
    return world_begin(&world, "POST", "/v1/attestation", NULL, bytes_of_string(body),
                       "application/json");
}

static void end(struct world_call *call)
{
    struct reply reply = world_end(call);
    WORLD_CHECK(reply.status == 200 || reply.status == 201 || reply.status == 422 ||
                reply.status == 503);
    atomic_fetch_add(&proofs, json_object_get(reply.json, "batch") != NULL);
    reply_release(&reply);
}

static void *client_main(void *context)
{
    (void)context;
    for (int round = 0; round < ROUNDS; round++) {
        struct world_call *asked[AT_ONCE];
        for (size_t i = 0; i < AT_ONCE; i++) {
            asked[i] = ask_fresh();
        }
        for (size_t i = 0; i < AT_ONCE; i += 3) {
            world_leave(asked[i]);
        }
        end(world_begin(&world, "POST", "/v1/keys", world.user.secret, bytes_of(NULL, 0), NULL));
        end(world_begin(&world, "GET", "/v1/attestation", NULL, bytes_of(NULL, 0), NULL));
        end(world_begin(&world, "GET", "/v1/health", NULL, bytes_of(NULL, 0), NULL));
        for (size_t i = 0; i < AT_ONCE; i++) {
            end(asked[i]);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t clients[CLIENTS];
    struct world_ticker ticker;
    struct service_config config = service_config_default;
    struct world_call *left[AT_ONCE];
    struct err err;
    config.workers = 3;
    config.attester_calls_per_minute = 6000;
    config.attester_burst = 100;
    config.attester_retry_ms = 1;
    config.epoch_lifetime_ms = 100;
    config.requests_per_second_per_address = 1000 * 1000;
    WORLD_CHECK(log_open(NULL, LOG_ERROR, false, &err));
    world_prepare(&world, &config, NULL, audit_log_open);
    world.tee_new = firmware_new;
    world_start(&world);
    world_ticker_start(&ticker, &world);
    for (int i = 0; i < CLIENTS; i++) {
        WORLD_CHECK(pthread_create(&clients[i], NULL, client_main, NULL) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
    }
    world_ticker_stop(&ticker);
    WORLD_CHECK(atomic_load(&proofs) > 0);
    for (size_t i = 0; i < AT_ONCE; i++) {
        left[i] = ask_fresh();
    }
    WORLD_CHECK(service_close(world.service));
    world.service = NULL;
    for (size_t i = 0; i < AT_ONCE; i++) {
        end(left[i]);
    }
    world_close(&world);
    log_close();
    return 0;
}
