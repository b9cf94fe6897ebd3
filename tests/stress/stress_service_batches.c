/* stress_service_batches: fresh proofs asked for and looked at from many threads beside the tick,
 * more than may wait, and a close while some still wait. For ThreadSanitizer; every call has
 * exactly one answer, which the world insists on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "support/service_world.h"

enum { CLIENTS = 4, ROUNDS = 12 };

static struct world world;
static _Atomic unsigned proofs;

static bool tee_new(struct tee *out)
{
    char path[128];
    struct err err;
    world_path(&world, "tee", path);
    return tee_simulated_new(path, &clock_system, out, &err);
}

static struct world_call *ask(void)
{
    return world_begin(&world, "POST", "/v1/attestation", NULL,
                       bytes_of_string("{\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}"),
                       "application/json");
}

static void end(struct world_call *call)
{
    struct reply reply = world_end(call);
    WORLD_CHECK(reply.status == 200 || reply.status == 422 || reply.status == 503);
    atomic_fetch_add(&proofs, reply.status == 200);
    reply_release(&reply);
}

static void tick(void)
{
    pthread_mutex_lock(&world.loop);
    service_tick(world.service);
    pthread_mutex_unlock(&world.loop);
}

static void *client(void *context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct world_call *first = ask();
        struct world_call *second = ask();
        tick();
        struct reply reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
        WORLD_CHECK(reply.status == 200);
        reply_release(&reply);
        end(first);
        end(second);
    }
    return NULL;
}

int main(void)
{
    struct service_config config = service_config_default;
    pthread_t threads[CLIENTS];
    struct world_call *last[CLIENTS];
    struct err err;
    WORLD_CHECK(log_open("/dev/null", LOG_ERROR, true, &err));
    config.workers = 2;
    config.attester_calls_per_minute = 6000;
    config.attester_burst = 100;
    config.fresh_waiting_max = 6;
    world_prepare(&world, &config, NULL, audit_log_open);
    world.tee_new = tee_new;
    world_start(&world);
    for (unsigned i = 0; i < CLIENTS; i++) {
        WORLD_CHECK(pthread_create(&threads[i], NULL, client, NULL) == 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        last[i] = ask();
    }
    world_close(&world);
    for (unsigned i = 0; i < CLIENTS; i++) {
        end(last[i]);
    }
    log_close();
    printf("%u proofs\n", atomic_load(&proofs));
    return atomic_load(&proofs) > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
