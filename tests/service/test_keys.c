/* test_keys.c: POST /v1/keys.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"
#include "support/fake_clock.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;
static struct fake_clock fake;

static void open_world(void)
{
    struct service_config config = service_config_default;
    config.workers = 1;
    config.request_keys_max = 4;
    config.request_keys_per_api_key_max = 3;
    fake_clock_init(&fake);
    world_open(&world, &config, &fake.clock);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_keys, .init = open_world, .fini = close_world);

static json_t *binding_of(const struct reply *reply)
{
    const json_t *attestation = json_object_get(reply->json, "attestation");
    const json_t *binding = json_object_get(attestation, "key_binding");
    const char *payload = json_string_value(json_object_get(binding, "payload"));
    json_t *parsed = NULL;
    struct err err;
    cr_assert_not_null(payload);
    cr_expect(world_is_canonical(bytes_of_string(payload)));
    cr_assert(json_text_parse(bytes_of_string(payload), &parsed, &err));
    return parsed;
}

Test(service_keys, a_key_comes_with_its_signed_binding)
{
    struct reply reply =
        world_ask(&world, "POST", "/v1/keys", world.user.secret, "{\"nonce\":\"AAECAwQFBgc=\"}");
    cr_assert_eq(reply.status, 201, "%s", reply.text);
    uint8_t bytes[100];
    cr_expect_eq(world_unbase64(reply_text(&reply, "public_key"), bytes), 65);
    cr_expect(crypto_p256_point_is_valid(bytes));
    cr_expect_eq(world_unbase64(reply_text(&reply, "key_derivation_salt"), bytes), 32);
    cr_expect_str_eq(reply_text(&reply, "algorithm"), "P-256");
    cr_expect_str_eq(reply_text(&reply, "node_id"), "00112233");
    cr_expect_str_eq(reply_text(&reply, "created_at"), "2026-09-21T14:13:20.000Z");
    cr_expect_str_eq(reply_text(&reply, "expires_at"), "2026-09-21T15:13:20.000Z");
    json_t *binding = binding_of(&reply);
    static const char *const same[] = {"request_id", "public_key", "key_derivation_salt",
                                       "expires_at"};
    for (size_t i = 0; i < 4; i++) {
        cr_expect_str_eq(json_string_value(json_object_get(binding, same[i])),
                         reply_text(&reply, same[i]));
    }
    cr_expect_str_eq(json_string_value(json_object_get(binding, "domain")),
                     "wasm-hypervisor/1 request key");
    cr_expect_str_eq(json_string_value(json_object_get(binding, "nonce")), "AAECAwQFBgc=");
    json_decref(binding);
    reply_release(&reply);
}

Test(service_keys, every_key_is_another)
{
    struct reply a = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
    struct reply b = world_ask(&world, "POST", "/v1/keys", world.user.secret, "{}");
    cr_expect_str_neq(reply_text(&a, "request_id"), reply_text(&b, "request_id"));
    cr_expect_str_neq(reply_text(&a, "public_key"), reply_text(&b, "public_key"));
    cr_expect_str_neq(reply_text(&a, "key_derivation_salt"), reply_text(&b, "key_derivation_salt"));
    json_t *binding = binding_of(&b);
    cr_expect_null(json_object_get(binding, "nonce"));
    json_decref(binding);
    reply_release(&a);
    reply_release(&b);
}

struct blocker { /* keeps the only worker busy */
    struct scheduler_job job;
    pthread_mutex_t held;
};

static void wait_for_mutex(void *context)
{
    struct blocker *blocker = context;
    pthread_mutex_lock(&blocker->held);
    pthread_mutex_unlock(&blocker->held);
}

/* White space up to the size of the longest body that is taken. */
static const char *longest_body(char out[static 4097])
{
    memset(out, ' ', 4096);
    memcpy(out, "{}", 2);
    out[4096] = 0;
    return out;
}

Test(service_keys, are_made_while_every_worker_is_busy)
{
    struct blocker blocker = {.job = {.run = wait_for_mutex, .context = &blocker}};
    char longest[4097];
    const char *const bodies[] = {NULL, "{\"nonce\":\"AAECAwQFBgc=\"}", longest_body(longest)};
    pthread_mutex_init(&blocker.held, NULL);
    pthread_mutex_lock(&blocker.held);
    scheduler_post(world.service->scheduler, &blocker.job);
    for (size_t i = 0; i < 3; i++) {
        struct bytes body = bodies[i] == NULL ? bytes_of(NULL, 0) : bytes_of_string(bodies[i]);
        struct world_call *call =
            world_begin(&world, "POST", "/v1/keys", world.user.secret, body, "application/json");
        cr_assert(call->is_answered, "nobody but this thread can have answered");
        struct reply reply = world_end(call);
        cr_expect_eq(reply.status, 201, "%s", reply.text);
        reply_release(&reply);
    }
    pthread_mutex_unlock(&blocker.held);
    world_close(&world); /* waits for the job */
    pthread_mutex_destroy(&blocker.held);
    open_world();
}

static const struct {
    const char *body, *code, *says;
} bad_bodies[] = {
    {"[]", "MALFORMED_REQUEST", "object"},
    {"{", "MALFORMED_REQUEST", "JSON"},
    {"{\"surplus\":1}", "MALFORMED_REQUEST", "surplus"},
    {"{\"nonce\":7}", "MALFORMED_REQUEST", "nonce"},
    {"{\"nonce\":null}", "MALFORMED_REQUEST", "nonce"},
    {"{\"nonce\":\"?\"}", "MALFORMED_REQUEST", "nonce"},
    {"{\"nonce\":\"\"}", "INVALID_ARGUMENTS", "nonce"},
    {"{\"nonce\":\"AAECAwQFBg==\"}", "INVALID_ARGUMENTS", "nonce"},
    {"{\"nonce\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
     "\"}",
     "INVALID_ARGUMENTS", "nonce"},
};

Test(service_keys, a_bad_body_is_told_why)
{
    for (size_t i = 0; i < sizeof(bad_bodies) / sizeof(bad_bodies[0]); i++) {
        struct reply reply =
            world_ask(&world, "POST", "/v1/keys", world.user.secret, bad_bodies[i].body);
        cr_expect_str_eq(reply_text(&reply, "error_code"), bad_bodies[i].code, "%s",
                         bad_bodies[i].body);
        cr_expect_not_null(strstr(reply_text(&reply, "message"), bad_bodies[i].says), "%s",
                           reply_text(&reply, "message"));
        reply_release(&reply);
    }
}

Test(service_keys, are_bounded_and_expire)
{
    struct reply first = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
    for (int i = 0; i < 2; i++) {
        struct reply reply = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
        cr_expect_eq(reply.status, 201);
        reply_release(&reply);
    }
    struct reply reply = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "RATE_LIMITED");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "1");
    reply_release(&reply);
    char target[80];
    (void)snprintf(target, sizeof(target), "/executions/%s", reply_text(&first, "request_id"));
    reply = world_ask(&world, "GET", target, world.user.secret, NULL);
    cr_expect_str_eq(reply_text(&reply, "state"), "KEY_GENERATED");
    reply_release(&reply);
    reply = world_ask(&world, "GET", target, world.other.secret, NULL);
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
    fake_clock_advance(&fake, 3600 * 1000 - 1);
    reply = world_ask(&world, "GET", target, world.user.secret, NULL);
    cr_expect_str_eq(reply_text(&reply, "state"), "KEY_GENERATED");
    reply_release(&reply);
    fake_clock_advance(&fake, 1);
    reply = world_ask(&world, "GET", target, world.user.secret, NULL);
    cr_expect_eq(reply.status, 410);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "KEY_EXPIRED");
    reply_release(&reply);
    service_tick(world.service);
    int status = 0;
    while (status != 201) { /* once there is a new epoch */
        reply = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
        status = reply.status;
        reply_release(&reply);
    }
    reply_release(&first);
}

static void expect_refused(const char *method, const char *target)
{
    struct reply reply = world_ask(&world, method, target, world.user.secret, NULL);
    cr_expect_eq(reply.status, 503, "%s", target);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "OVERLOADED");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "1");
    reply_release(&reply);
}

static int status_of(const char *method, const char *target)
{
    struct reply reply = world_ask(&world, method, target, world.user.secret, NULL);
    int status = reply.status;
    reply_release(&reply);
    return status;
}

Test(service_keys, nothing_is_signed_by_an_epoch_that_is_over)
{
    fake_clock_advance(&fake, 3600 * 1000 - 1);
    cr_expect_eq(status_of("POST", "/v1/keys"), 201);
    cr_expect_eq(status_of("GET", "/readyz"), 200);
    fake_clock_advance(&fake, 1);
    expect_refused("POST", "/v1/keys");
    expect_refused("GET", "/v1/attestation?nonce=AAECAwQFBgc%3D");
    cr_expect_eq(status_of("GET", "/v1/attestation"), 200, "it says itself that it is over");
    cr_expect_eq(status_of("GET", "/readyz"), 503);
}

Test(service_keys, a_wall_clock_that_is_set_ends_an_epoch_early_and_never_late)
{
    fake_clock_step_wall(&fake, -3600 * 1000);
    cr_expect_eq(status_of("POST", "/v1/keys"), 201);
    fake_clock_step_wall(&fake, 2 * 3600 * 1000 - 1);
    cr_expect_eq(status_of("POST", "/v1/keys"), 201);
    fake_clock_step_wall(&fake, 1);
    expect_refused("POST", "/v1/keys");
    fake_clock_step_wall(&fake, -3600 * 1000);
    fake_clock_advance(&fake, 3600 * 1000);
    expect_refused("POST", "/v1/keys");
}

static int delete_status(const char *target, const struct world_key *key)
{
    struct reply reply = world_ask(&world, "DELETE", target, key->secret, NULL);
    int status = reply.status;
    cr_expect(status != 200 || strcmp(reply_text(&reply, "state"), "CANCELLED") == 0);
    reply_release(&reply);
    return status;
}

Test(service_keys, can_be_given_up_by_their_owner_and_then_there_is_room_for_another)
{
    struct reply keys[3];
    char target[80];
    for (int i = 0; i < 3; i++) {
        keys[i] = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
        cr_expect_eq(keys[i].status, 201);
    }
    (void)snprintf(target, sizeof(target), "/executions/%s", reply_text(&keys[0], "request_id"));
    cr_expect_eq(delete_status(target, &world.other), 404);
    cr_expect_eq(delete_status(target, &world.admin), 404, "a key is its owner's alone");
    for (int i = 0; i < 2; i++) { /* a second time changes nothing */
        cr_expect_eq(delete_status(target, &world.user), 200);
        struct reply reply = world_ask(&world, "GET", target, world.user.secret, NULL);
        cr_expect_str_eq(reply_text(&reply, "error_code"), "KEY_EXPIRED");
        reply_release(&reply);
    }
    struct reply reply = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
    cr_expect_eq(reply.status, 201);
    reply_release(&reply);
    (void)snprintf(target, sizeof(target), "/executions/%s", reply_text(&keys[1], "request_id"));
    fake_clock_advance(&fake, 3600 * 1000);
    cr_expect_eq(delete_status(target, &world.user), 200, "an expired one is over as well");
    for (int i = 0; i < 3; i++) {
        reply_release(&keys[i]);
    }
}

Test(service_keys, the_epoch_is_renewed_before_it_ends)
{
    struct reply before = world_ask(&world, "GET", "/attestation", NULL, NULL);
    uint64_t size = audit_log_size(world.log);
    fake_clock_advance(&fake, 3600 * 1000 * 3 / 4);
    service_tick(world.service);
    while (audit_log_size(world.log) == size) {
        sched_yield(); /* until the EPOCH leaf is there */
    }
    struct reply after = {0};
    do {
        reply_release(&after);
        after = world_ask(&world, "GET", "/attestation", NULL, NULL);
    } while (strcmp(reply_text(&after, "statement"), reply_text(&before, "statement")) == 0);
    reply_release(&before);
    reply_release(&after);
}
