/* test_api.c: routing, authentication per path, health, and what a node says of itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;

static void open_world(void)
{
    world_open(&world, NULL, NULL);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_api, .init = open_world, .fini = close_world);

struct route_row {
    const char *method, *target;
    char key; /* 'u'ser, 'a'dmin, 'm'etrics, '-' none, 'x' revoked */
    int status;
    const char *code;
};

static const struct route_row route_rows[] = {
    {"GET", "/", '-', 200, ""},
    {"GET", "/v1", '-', 200, ""},
    {"GET", "/v1/", '-', 200, ""},
    {"GET", "/health", '-', 200, ""},
    {"GET", "/v1/health", '-', 200, ""},
    {"HEAD", "/v1/health", '-', 200, ""},
    {"GET", "/livez", '-', 200, ""},
    {"GET", "/readyz", '-', 200, ""},
    {"GET", "/readyz?verbose", '-', 200, ""},
    {"GET", "/openapi.json", '-', 200, ""},
    {"GET", "/attestation", '-', 200, ""},
    {"GET", "/log/checkpoint", '-', 200, ""},
    {"GET", "/log/tile/0/000.p/1", '-', 200, ""},
    {"HEAD", "/v1/log/tile/entries/000.p/1", '-', 200, ""},
    {"GET", "/log/tile/", '-', 404, "NOT_FOUND"},
    {"GET", "/log/tile", '-', 404, "NOT_FOUND"},
    {"POST", "/log/tile/0/000.p/1", '-', 405, "METHOD_NOT_ALLOWED"},
    {"GET", "/log/witnessed/checkpoint", '-', 404, "NOT_FOUND"}, /* none cosigned it */
    {"GET", "/v1/log/witnessed/tile/0/000.p/1", '-', 200, ""},
    {"POST", "/v1/witness/add-checkpoint", '-', 404, "NOT_FOUND"}, /* it is no witness */
    {"GET", "/witness/add-checkpoint", '-', 404, "NOT_FOUND"},
    {"POST", "/witness/other", '-', 405, "METHOD_NOT_ALLOWED"},
    {"GET", "/metrics", 'm', 200, ""},
    {"GET", "/v1/metrics", 'a', 200, ""},
    {"GET", "/metrics", '-', 401, "UNAUTHENTICATED"},
    {"GET", "/metrics", 'u', 403, "FORBIDDEN"},
    {"POST", "/v1/keys", 'u', 201, ""},
    {"POST", "/keys", 'a', 201, ""},
    {"POST", "/v1/keys", '-', 401, "UNAUTHENTICATED"},
    {"POST", "/v1/keys", 'x', 401, "UNAUTHENTICATED"},
    {"POST", "/v1/keys", 'm', 403, "FORBIDDEN"},
    {"POST", "/v1/execute", '-', 401, "UNAUTHENTICATED"},
    {"POST", "/v1/execute", 'u', 400, "MALFORMED_REQUEST"},
    {"GET", "/nothing", '-', 404, "NOT_FOUND"},
    {"GET", "/v2/health", '-', 404, "NOT_FOUND"},
    {"GET", "/v1health", '-', 404, "NOT_FOUND"},
    {"GET", "/v1/v1/health", '-', 404, "NOT_FOUND"},
    {"GET", "/health/", '-', 404, "NOT_FOUND"},
    {"GET", "/executions/", 'u', 404, "NOT_FOUND"},
    {"GET", "/executions/a/b", 'u', 404, "NOT_FOUND"},
    {"GET", "/executions/nonsense", 'u', 404, "NOT_FOUND"},
    {"GET", "/executions/6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f", 'u', 404, "NOT_FOUND"},
    {"DELETE", "/executions/6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f", 'u', 404, "NOT_FOUND"},
    {"DELETE", "/executions/nonsense", 'u', 404, "NOT_FOUND"},
    {"GET", "/executions/nonsense", '-', 401, "UNAUTHENTICATED"},
    {"GET", "/verify/6f1d2c3b-4a59-4687-9768-5a4b3c2d1e0f", '-', 404, "NOT_FOUND"},
    {"GET", "/verify/nonsense", '-', 404, "NOT_FOUND"},
    {"GET", "/execute", 'u', 405, "METHOD_NOT_ALLOWED"},
    {"DELETE", "/keys", '-', 405, "METHOD_NOT_ALLOWED"},
    {"POST", "/health", '-', 405, "METHOD_NOT_ALLOWED"},
    {"PATCH", "/nothing", '-', 404, "NOT_FOUND"},
};

static const char *secret_of(char key)
{
    switch (key) {
    case 'u':
        return world.user.secret;
    case 'a':
        return world.admin.secret;
    case 'm':
        return world.metrics.secret;
    case 'x':
        return world.revoked.secret;
    default:
        return NULL;
    }
}

Test(service_api, every_path_answers_as_the_page_says)
{
    for (size_t i = 0; i < sizeof(route_rows) / sizeof(route_rows[0]); i++) {
        const struct route_row *row = &route_rows[i];
        struct reply reply = world_ask(&world, row->method, row->target, secret_of(row->key), NULL);
        cr_expect_eq(reply.status, row->status, "%s %s: %d", row->method, row->target,
                     reply.status);
        cr_expect_str_eq(reply_text(&reply, "error_code"), row->code, "%s %s", row->method,
                         row->target);
        reply_release(&reply);
    }
}

Test(service_api, a_wrong_method_is_told_the_right_ones)
{
    static const struct {
        const char *target, *allow;
    } rows[] = {{"/v1/execute", "POST, OPTIONS"},
                {"/health", "GET, HEAD, OPTIONS"},
                {"/executions/x", "GET, HEAD, DELETE, OPTIONS"}};
    for (size_t i = 0; i < 3; i++) {
        struct reply reply = world_ask(&world, "PUT", rows[i].target, NULL, NULL);
        cr_expect_eq(reply.status, 405);
        cr_expect_str_eq(reply_header(&reply, "Allow"), rows[i].allow);
        reply_release(&reply);
        reply = world_ask(&world, "OPTIONS", rows[i].target, NULL, NULL);
        cr_expect_eq(reply.status, 204);
        cr_expect_str_eq(reply_header(&reply, "Allow"), rows[i].allow);
        cr_expect_eq(reply.response.body.size, 0);
        reply_release(&reply);
    }
}

static struct reply send_typed(const char *target, const char *type, const char *body)
{
    return world_end(
        world_begin(&world, "POST", target, world.user.secret, bytes_of_string(body), type));
}

Test(service_api, a_body_must_be_json)
{
    static const struct {
        const char *type;
        int status;
    } rows[] = {{"application/json", 201},
                {"Application/JSON; charset=utf-8", 201},
                {"application/jsonx", 415},
                {"text/plain", 415},
                {"application/json-patch+json", 415},
                {NULL, 415},
                {"", 415}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply reply = send_typed("/keys", rows[i].type, "{}");
        cr_expect_eq(reply.status, rows[i].status, "%s: %d", rows[i].type, reply.status);
        reply_release(&reply);
    }
}

Test(service_api, a_body_over_the_limit_is_refused)
{
    char *body = heap_alloc(4098);
    memset(body, ' ', 4097);
    memcpy(body, "{}", 2);
    struct reply reply = send_typed("/keys", "application/json", body);
    cr_expect_eq(reply.status, 413);
    reply_release(&reply);
    body[4096] = 0;
    reply = send_typed("/keys", "application/json", body);
    cr_expect_eq(reply.status, 201);
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/health", NULL, "x");
    cr_expect_eq(reply.status, 413, "there is no body for GET");
    reply_release(&reply);
    heap_free(body);
}

static int accept_status(const char *method, const char *path, const struct message_header *headers,
                         size_t count)
{
    struct message_exchange exchange = {.request = {.method = method,
                                                    .path = path,
                                                    .query = "",
                                                    .headers = headers,
                                                    .header_count = count,
                                                    .peer = "127.0.0.1"}};
    struct message_response response;
    int status = 0;
    arena_init(&exchange.arena, NULL);
    if (!service_accept(world.service, &exchange, &response)) {
        status = response.status;
        cr_expect_str_eq(response.content_type, "application/problem+json");
        arena_release(&response.arena);
    }
    arena_release(&exchange.arena);
    return status;
}

Test(service_api, a_head_alone_is_enough_to_refuse)
{
    struct message_header headers[] = {{"x-api-key", world.user.secret},
                                       {"content-type", "application/json"},
                                       {"content-length", "10"}};
    cr_expect_eq(accept_status("POST", "/v1/execute", headers, 3), 0);
    cr_expect_eq(accept_status("OPTIONS", "/v1/execute", headers, 0), 0);
    cr_expect_eq(accept_status("POST", "/v1/execute", headers + 1, 2), 401);
    cr_expect_eq(accept_status("POST", "/v1/nothing", headers, 3), 404);
    cr_expect_eq(accept_status("GET", "/v1/execute", headers, 3), 405);
    headers[0] = (struct message_header){"x-node-id", "00"};
    cr_expect_eq(accept_status("POST", "/v1/execute", headers, 3), 421);
    cr_expect_eq(accept_status("GET", "/v1/health", headers, 1), 421);
    cr_expect_eq(accept_status("GET", "/v1/nothing", headers, 1), 404);
    headers[0].value = "00112233";
    cr_expect_eq(accept_status("GET", "/v1/health", headers, 1), 0);
    headers[0] = (struct message_header){"x-api-key", world.user.secret};
    headers[2].value = "99999999999";
    cr_expect_eq(accept_status("POST", "/v1/execute", headers, 3), 413);
    headers[2].value = "99999999999999999999999";
    cr_expect_eq(accept_status("POST", "/v1/execute", headers, 3), 413);
    headers[2].value = "10";
    headers[1].value = "text/html";
    cr_expect_eq(accept_status("POST", "/v1/execute", headers, 3), 415);
    headers[1] = (struct message_header){"transfer-encoding", "chunked"};
    cr_expect_eq(accept_status("POST", "/v1/execute", headers, 2), 415);
}

Test(service_api, what_net_refuses_looks_like_all_other_errors)
{
    static const struct {
        int status;
        const char *code;
    } rows[] = {{400, "MALFORMED_REQUEST"}, {408, "MALFORMED_REQUEST"}, {413, "PAYLOAD_TOO_LARGE"},
                {431, "MALFORMED_REQUEST"}, {501, "MALFORMED_REQUEST"}, {503, "OVERLOADED"},
                {505, "MALFORMED_REQUEST"}, {500, "INTERNAL"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct message_response response;
        struct err err;
        json_t *body = NULL;
        service_refuse(world.service, rows[i].status, "the reason", &response);
        cr_expect_eq(response.status, rows[i].status);
        cr_assert(json_text_parse(response.body, &body, &err));
        cr_expect_str_eq(json_string_value(json_object_get(body, "error_code")), rows[i].code);
        cr_expect_eq(json_integer_value(json_object_get(body, "status")), rows[i].status);
        json_decref(body);
        arena_release(&response.arena);
    }
}

Test(service_api, health_tells_capacity_and_no_secret)
{
    struct reply reply = world_ask(&world, "GET", "/health", NULL, NULL);
    cr_expect_str_eq(reply_text(&reply, "status"), "ok");
    cr_expect_str_eq(reply_text(&reply, "node_id"), "00112233");
    const json_t *capacity = json_object_get(reply.json, "capacity");
    cr_expect_eq(json_integer_value(json_object_get(capacity, "running_max")), 100);
    cr_expect_eq(json_integer_value(json_object_get(capacity, "memory_bytes")), 0);
    cr_expect_null(strstr(reply.text, world.user.id));
    reply_release(&reply);
}

Test(service_api, a_draining_node_is_not_ready_and_makes_no_keys)
{
    service_drain(world.service, NULL, NULL);
    struct reply reply = world_ask(&world, "GET", "/readyz?verbose", NULL, NULL);
    cr_expect_eq(reply.status, 503);
    cr_expect_not_null(strstr(reply.text, "[-] serving"));
    reply_release(&reply);
    reply = world_ask(&world, "POST", "/keys", world.user.secret, NULL);
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(reply_text(&reply, "error_code"), "DRAINING");
    cr_expect_str_eq(reply_header(&reply, "Retry-After"), "5");
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/health", NULL, NULL);
    cr_expect_str_eq(reply_text(&reply, "status"), "draining");
    reply_release(&reply);
}

Test(service_api, openapi_names_every_path)
{
    static const char *const paths[] = {"/keys",           "/execute",        "/executions/{id}",
                                        "/verify/{id}",    "/health",         "/metrics",
                                        "/log/checkpoint", "/log/tile/{tile}"};
    struct reply reply = world_ask(&world, "GET", "/openapi.json", NULL, NULL);
    const json_t *all = json_object_get(reply.json, "paths");
    cr_expect_str_eq(reply_text(&reply, "openapi"), "3.1.0");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        cr_expect_not_null(json_object_get(all, paths[i]), "%s", paths[i]);
    }
    cr_expect_not_null(json_object_get(json_object_get(all, "/executions/{id}"), "delete"));
    cr_expect_not_null(strstr(reply.text, "\"Idempotency-Key\""));
    cr_expect_not_null(strstr(reply.text, "\"Prefer\""));
    cr_expect_not_null(strstr(reply.text, "{\"name\":\"tile\",\"in\":\"path\""));
    cr_expect_not_null(strstr(reply.text, "{\"name\":\"id\",\"in\":\"path\""));
    reply_release(&reply);
}

Test(service_api, metrics_count_answers_and_bad_keys)
{
    struct reply reply = world_ask(&world, "GET", "/metrics", world.revoked.secret, NULL);
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
    cr_expect_not_null(strstr(reply.text, "wasm_hypervisor_authentication_failures_total 1\n"));
    cr_expect_not_null(
        strstr(reply.text, "wasm_hypervisor_refusals_total{code=\"UNAUTHENTICATED\"} 1\n"));
    cr_expect_not_null(strstr(reply.text, "wasm_hypervisor_responses_total{method=\"GET\","
                                          "route=\"/metrics\",status=\"4xx\"} 1\n"));
    reply_release(&reply);
}

Test(service_api, evidence_is_the_same_text_with_and_without_what_is_signed_for_a_nonce)
{
    struct reply plain = world_ask(&world, "GET", "/v1/attestation", NULL, NULL);
    struct reply bound = world_ask(&world, "GET", "/attestation?nonce=AAAAAAAAAAA%3D", NULL, NULL);
    struct reply key = world_ask(&world, "POST", "/v1/keys", world.user.secret, NULL);
    size_t size = plain.response.body.size - 1;
    const char *in_key = strstr(key.text, "\"attestation\":");
    cr_expect_str_eq(plain.response.content_type, "application/json");
    cr_expect_eq(strncmp(bound.text, plain.text, size), 0);
    cr_expect_eq(strncmp(bound.text + size, ",\"nonce_binding\":{", 18), 0);
    cr_assert_not_null(in_key);
    cr_expect_eq(strncmp(in_key + strlen("\"attestation\":"), plain.text, size), 0);
    cr_assert(json_object_del(bound.json, "nonce_binding") == 0);
    cr_expect(json_equal(plain.json, bound.json));
    reply_release(&plain);
    reply_release(&bound);
    reply_release(&key);
}

Test(service_api, attestation_binds_a_nonce)
{
    static const char *const bad[] = {"/attestation?nonce=", "/attestation?nonce=AAAA",
                                      "/attestation?nonce=AAAAAAAAAAA",
                                      "/attestation?nonce=AAAAAAAAAAA%3D&nonce=AAAAAAAAAAA%3D"};
    static const char bound[] =
        "{\"domain\":\"wasm-hypervisor/1 nonce\",\"nonce\":\"+/AAAAAAAAA=\",\"time\":\"20";
    struct reply reply =
        world_ask(&world, "GET", "/v1/attestation?nonce=%2B/AAAAAAAAA%3D", NULL, NULL);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply_text(&reply, "provider"), "none");
    const char *payload =
        json_string_value(json_object_get(json_object_get(reply.json, "nonce_binding"), "payload"));
    cr_assert_not_null(payload);
    cr_expect_eq(strncmp(payload, bound, strlen(bound)), 0, "%s", payload);
    cr_expect(world_is_canonical(bytes_of_string(payload)));
    reply_release(&reply);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reply = world_ask(&world, "GET", bad[i], NULL, NULL);
        cr_expect_str_eq(reply_text(&reply, "error_code"), "INVALID_ARGUMENTS", "%s", bad[i]);
        reply_release(&reply);
    }
}
