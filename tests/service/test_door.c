/* test_door.c: who pays for a request from which bucket, and what they are told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fake_clock.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;
static struct fake_clock fake;

/* An API key may execute once a second and do two other things, an address may do three, with two
 * bad keys beside them. */
static void open_world(void)
{
    struct service_config config = service_config_default;
    config.workers = 1;
    config.executions_per_second_per_key = 1;
    config.requests_per_second_per_key = 2;
    config.requests_per_second_per_address = 3;
    config.bad_keys_per_second_per_address = 2;
    config.limit_window_s = 1;
    config.trusted_proxies = "10.0.0.1";
    fake_clock_init(&fake);
    world_open(&world, &config, &fake.clock);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_door, .init = open_world, .fini = close_world);

struct asked {
    int status; /* 0: let in */
    char policy[64], limit[64], retry[16];
};

static void keep(const struct message_response *response, const char *name, char *out, size_t size)
{
    struct reply reply = {.response = *response};
    (void)snprintf(out, size, "%s", reply_header(&reply, name));
}

static struct asked ask(const char *method, const char *path, const char *peer, const char *secret,
                        const char *forwarded)
{
    struct message_header headers[3] = {{"content-type", "application/json"}};
    struct message_exchange exchange = {.request = {.method = method,
                                                    .path = path,
                                                    .query = "",
                                                    .headers = headers,
                                                    .header_count = 1,
                                                    .peer = peer}};
    struct message_response response;
    struct asked asked = {0};
    if (secret != NULL) {
        headers[exchange.request.header_count++] = (struct message_header){"x-api-key", secret};
    }
    if (forwarded != NULL) {
        headers[exchange.request.header_count++] =
            (struct message_header){"x-forwarded-for", forwarded};
    }
    arena_init(&exchange.arena, NULL);
    if (!service_accept(world.service, &exchange, &response)) {
        asked.status = response.status;
        keep(&response, "RateLimit-Policy", asked.policy, sizeof(asked.policy));
        keep(&response, "RateLimit", asked.limit, sizeof(asked.limit));
        keep(&response, "Retry-After", asked.retry, sizeof(asked.retry));
        arena_release(&response.arena);
    }
    arena_release(&exchange.arena);
    return asked;
}

static int status(const char *method, const char *path, const char *peer, const char *secret)
{
    return ask(method, path, peer, secret, NULL).status;
}

Test(service_door, executions_and_other_requests_of_a_key_are_counted_apart)
{
    const char *key = world.user.secret;
    cr_expect_eq(status("POST", "/v1/execute", "192.0.2.1", key), 0);
    cr_expect_eq(status("POST", "/v1/execute", "192.0.2.1", key), 429);
    cr_expect_eq(status("POST", "/execute", "192.0.2.2", key), 429, "a key is one party anywhere");
    cr_expect_eq(status("POST", "/v1/keys", "192.0.2.1", key), 0);
    cr_expect_eq(status("GET", "/v1/health", "192.0.2.1", key), 0);
    cr_expect_eq(status("GET", "/v1/health", "192.0.2.1", key), 429);
    cr_expect_eq(status("POST", "/v1/keys", "192.0.2.1", world.other.secret), 0);
    fake_clock_advance(&fake, 499);
    cr_expect_eq(status("POST", "/v1/keys", "192.0.2.1", key), 429);
    fake_clock_advance(&fake, 1);
    cr_expect_eq(status("POST", "/v1/keys", "192.0.2.1", key), 0);
    cr_expect_eq(status("POST", "/v1/execute", "192.0.2.1", key), 429);
    fake_clock_advance(&fake, 500);
    cr_expect_eq(status("POST", "/v1/execute", "192.0.2.1", key), 0);
}

Test(service_door, without_a_key_the_address_pays_whatever_is_asked)
{
    cr_expect_eq(status("GET", "/nothing", "192.0.2.1", NULL), 404);
    cr_expect_eq(status("OPTIONS", "/execute", "192.0.2.1", NULL), 0);
    cr_expect_eq(status("POST", "/execute", "192.0.2.1", NULL), 401);
    cr_expect_eq(status("HEAD", "/health", "192.0.2.1", NULL), 429);
    cr_expect_eq(status("PATCH", "/health", "192.0.2.1", NULL), 429);
    cr_expect_eq(status("OPTIONS", "/execute", "192.0.2.1", NULL), 429);
    cr_expect_eq(status("GET", "/health", "192.0.2.2", NULL), 0);
    cr_expect_eq(status("GET", "/health", "192.0.2.1", world.user.secret), 0);
}

Test(service_door, a_64_of_ipv6_is_one_party)
{
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(status("GET", "/health", "2001:db8:0:1::1", NULL), 0);
    }
    cr_expect_eq(status("GET", "/health", "2001:db8:0:1:ffff::2", NULL), 429);
    cr_expect_eq(status("GET", "/health", "2001:db8:0:2::1", NULL), 0);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(status("GET", "/health", "192.0.2.1", NULL), 0);
    }
    cr_expect_eq(status("GET", "/health", "::ffff:192.0.2.1", NULL), 429);
}

Test(service_door, bad_keys_do_not_keep_good_ones_from_the_same_address_out)
{
    char wrong[SERVICE_API_KEY_CHARS + 1];
    memcpy(wrong, world.user.secret, sizeof(wrong));
    wrong[SERVICE_API_KEY_CHARS - 2] ^= 1;
    cr_expect_eq(status("POST", "/keys", "192.0.2.1", wrong), 401);
    cr_expect_eq(status("POST", "/keys", "192.0.2.1", "nonsense"), 401);
    cr_expect_eq(status("POST", "/keys", "192.0.2.1", world.revoked.secret), 429);
    cr_expect_eq(status("GET", "/health", "192.0.2.1", world.expired.secret), 429);
    cr_expect_eq(status("GET", "/health", "192.0.2.1", NULL), 0, "another bucket");
    cr_expect_eq(status("POST", "/keys", "192.0.2.1", world.user.secret), 0);
    cr_expect_eq(status("GET", "/health", "192.0.2.2", world.expired.secret), 0,
                 "who needs no key may have a bad one");
}

Test(service_door, the_loopback_is_not_counted)
{
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(status("GET", "/health", "127.0.0.1", NULL), 0);
        cr_expect_eq(status("GET", "/health", "::1", NULL), 0);
        cr_expect_eq(status("POST", "/keys", "127.0.0.1", "nonsense"), 401);
    }
}

Test(service_door, a_trusted_proxy_speaks_for_others_and_nobody_else_does)
{
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(ask("GET", "/health", "10.0.0.1", NULL, "192.0.2.1").status, 0);
    }
    cr_expect_eq(ask("GET", "/health", "10.0.0.1", NULL, "192.0.2.1").status, 429);
    cr_expect_eq(ask("GET", "/health", "10.0.0.1", NULL, "127.0.0.1, 192.0.2.1").status, 429);
    cr_expect_eq(ask("GET", "/health", "10.0.0.1", NULL, "192.0.2.2").status, 0);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(ask("GET", "/health", "10.0.0.2", NULL, "192.0.2.3").status, 0);
    }
    cr_expect_eq(ask("GET", "/health", "10.0.0.2", NULL, "127.0.0.1").status, 429);
}

Test(service_door, a_refusal_says_who_when_and_how_much)
{
    struct asked asked = ask("GET", "/nothing", "192.0.2.1", NULL, NULL);
    cr_expect_str_eq(asked.policy, "\"address\";q=3;w=1");
    cr_expect_str_eq(asked.limit, "\"address\";r=2;t=1");
    cr_expect_str_eq(asked.retry, "");
    for (int i = 0; i < 2; i++) {
        (void)ask("GET", "/nothing", "192.0.2.1", NULL, NULL);
    }
    asked = ask("GET", "/nothing", "192.0.2.1", NULL, NULL);
    cr_expect_eq(asked.status, 429);
    cr_expect_str_eq(asked.limit, "\"address\";r=0;t=1");
    cr_expect_str_eq(asked.retry, "1");
}

Test(service_door, answers_tell_what_is_left_and_are_charged_once)
{
    struct reply reply = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
    cr_expect_eq(reply.status, 201);
    cr_expect_str_eq(reply_header(&reply, "RateLimit-Policy"), "\"requests\";q=2;w=1");
    cr_expect_str_eq(reply_header(&reply, "RateLimit"), "\"requests\";r=1;t=1");
    reply_release(&reply);
    reply = world_ask(&world, "POST", "/v1/execute", world.user.secret, "{}");
    cr_expect_eq(reply.status, 400);
    cr_expect_str_eq(reply_header(&reply, "RateLimit"), "\"executions\";r=0;t=1");
    reply_release(&reply);
    reply = world_ask(&world, "POST", "/v1/execute", world.user.secret, "{}");
    cr_expect_eq(reply.status, 429);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "RATE_LIMITED");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "1");
    cr_expect_not_null(strstr(reply_text(&reply, "message"), "at most 1 a second"));
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/health", NULL, NULL);
    cr_expect_str_eq(reply_header(&reply, "RateLimit"), "", "the loopback has no limit to tell of");
    reply_release(&reply);
}

Test(service_door, limits_that_are_off_are_not_spoken_of)
{
    struct service_config config = world.config;
    world_stop(&world);
    config.executions_per_second_per_key = 0;
    config.requests_per_second_per_key = 0;
    config.requests_per_second_per_address = 0;
    config.bad_keys_per_second_per_address = 0;
    world.config = config;
    world_start(&world);
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(status("GET", "/health", "192.0.2.1", NULL), 0);
        cr_expect_eq(status("POST", "/execute", "192.0.2.1", world.user.secret), 0);
        struct asked asked = ask("POST", "/keys", "192.0.2.1", "nonsense", NULL);
        cr_expect_eq(asked.status, 401);
        cr_expect_str_eq(asked.policy, "");
    }
}
