/* test_webhook.c: who asks to be told when an execution has ended is told, a bounded number of
 * times, and the execution does not notice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;

/* ---- what the service takes for the network ---- */

enum { SENT_MAX = 4, BODY_MAX = 8192 };

struct network {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_full, is_stopped;
    size_t tries, count;
    struct outgoing_request sent[SENT_MAX]; /* its pointers are dead but for `context` */
    char url[128], party[64], body[BODY_MAX], headers[512];
};

static struct network network;

static bool network_check(void *context, const char *url, struct err *err)
{
    (void)context;
    return strncmp(url, "https://good", 12) == 0 ||
           err_set(err, ERR_MALFORMED_REQUEST, "the URL is bad");
}

static bool network_send(void *context, const struct outgoing_request *request, struct err *err)
{
    (void)context;
    pthread_mutex_lock(&network.lock);
    network.tries++;
    bool ok = !network.is_full || err_set(err, ERR_OVERLOADED, "too many wait");
    if (ok) {
        cr_assert_lt(network.count, SENT_MAX);
        cr_assert_lt(request->body.size, BODY_MAX);
        network.sent[network.count] = *request;
        (void)snprintf(network.url, sizeof(network.url), "%s", request->url);
        (void)snprintf(network.party, sizeof(network.party), "%s", request->party);
        memset(network.body, 0, sizeof(network.body));
        memcpy(network.body, request->body.ptr, request->body.size);
        network.headers[0] = 0;
        for (size_t i = 0; i < request->header_count; i++) {
            size_t size = strlen(network.headers);
            (void)snprintf(network.headers + size, sizeof(network.headers) - size, "%s: %s\n",
                           request->headers[i].name, request->headers[i].value);
        }
        network.count++;
    }
    pthread_cond_broadcast(&network.changed);
    pthread_mutex_unlock(&network.lock);
    return ok;
}

static void network_stop(void *context)
{
    (void)context;
    network.is_stopped = true;
}

static void network_await(size_t count)
{
    pthread_mutex_lock(&network.lock);
    while (network.count < count) {
        pthread_cond_wait(&network.changed, &network.lock);
    }
    pthread_mutex_unlock(&network.lock);
}

static void network_answer(size_t index, enum outgoing_outcome outcome, int status)
{
    struct outgoing_answer answer = {.outcome = outcome, .status = status, .problem = "a problem"};
    network.sent[index].done(network.sent[index].context, &answer);
}

/* ---- the fixture ---- */

static void open_world(void)
{
    memset(&network, 0, sizeof(network));
    pthread_mutex_init(&network.lock, NULL);
    pthread_cond_init(&network.changed, NULL);
    world_open(&world, NULL, NULL);
    world_stop(&world);
    world.webhooks = (struct outgoing){network_check, network_send, network_stop, NULL};
    world_start(&world);
}

static void close_world(void)
{
    world_close(&world);
    cr_expect(network.is_stopped);
}

TestSuite(service_webhook, .init = open_world, .fini = close_world);

static struct reply send_with(const struct prepared *prepared, const struct message_header *headers,
                              size_t count)
{
    char *text = json_dumps(prepared->body, JSON_COMPACT);
    struct reply reply =
        world_end(world_begin_with(&world, "POST", "/v1/execute", world.user.secret,
                                   bytes_of_string(text), "application/json", headers, count));
    heap_free(text);
    return reply;
}

static void prepare(const char *function, const char *arguments, struct prepared *prepared)
{
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   function, arguments, "{\"timeout_seconds\":300}", false, prepared);
}

/* An execution that is accepted with a webhook. */
static void begin(const char *function, const char *arguments, struct prepared *prepared)
{
    static const struct message_header headers[] = {{"prefer", "respond-async"},
                                                    {"webhook-url", "https://good.example/x"}};
    prepare(function, arguments, prepared);
    struct reply reply = send_with(prepared, headers, 2);
    cr_assert_eq(reply.status, 202, "%s", reply.text);
    reply_release(&reply);
}

static void expect_metric(const char *name, unsigned value)
{
    char line[128];
    struct reply reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
    (void)snprintf(line, sizeof(line), "\nwasm_hypervisor_webhooks_%s %u\n", name, value);
    cr_expect_not_null(strstr(reply.text, line), "no %s", line);
    reply_release(&reply);
}

static json_t *message_data(json_t **message)
{
    struct err err;
    cr_assert(json_text_parse(bytes_of_string(network.body), message, &err), "%s", network.body);
    return json_object_get(*message, "data");
}

static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

/* ---- tests ---- */

Test(service_webhook, tells_of_the_end_when_the_answer_can_be_fetched)
{
    struct prepared prepared;
    char line[128];
    json_t *message = NULL;
    begin("add", "[2,40]", &prepared);
    network_await(1);
    cr_expect_str_eq(network.url, "https://good.example/x");
    cr_expect_str_eq(network.party, world.user.id);
    const struct outgoing_request *sent = &network.sent[0];
    cr_expect(sent->delay_ms == 0 && sent->connect_ms_max == 2000 && sent->total_ms_max == 10000 &&
              sent->answer_bytes_max == 65536);
    (void)snprintf(
        line, sizeof(line),
        "Content-Type: application/json\nwebhook-id: %s\nwebhook-timestamp: ", prepared.id);
    cr_expect_eq(strncmp(network.headers, line, strlen(line)), 0, "%s", network.headers);
    const json_t *data = message_data(&message);
    cr_expect_str_eq(member(message, "type"), "execution.ended");
    cr_expect_str_eq(member(data, "request_id"), prepared.id);
    cr_expect_str_eq(member(data, "state"), "COMPLETED");
    const json_t *receipt = json_object_get(data, "receipt");
    cr_expect_not_null(strstr(member(receipt, "payload"), prepared.id));
    cr_expect_str_neq(member(receipt, "signature"), "");
    cr_expect_null(strstr(network.body, "encrypted_result"));
    /* The store has it: the session may be gone already. */
    struct reply shown =
        world_ask(&world, "GET", member(data, "location"), world.user.secret, NULL);
    cr_expect_eq(shown.status, 200);
    const json_t *answer = json_object_get(shown.json, "answer");
    cr_expect_str_eq(member(json_object_get(answer, "receipt"), "payload"),
                     member(receipt, "payload"));
    reply_release(&shown);
    expect_metric("pending", 1);
    network_answer(0, OUTGOING_ANSWERED, 204);
    expect_metric("sent_total", 1);
    expect_metric("pending", 0);
    json_decref(message);
    prepared_release(&prepared);
}

Test(service_webhook, tells_of_failures_as_well)
{
    struct prepared prepared;
    json_t *message = NULL;
    begin("no_such_function", "[]", &prepared);
    network_await(1);
    const json_t *data = message_data(&message);
    cr_expect_str_eq(member(data, "state"), "EXEC_ERROR");
    cr_expect_not_null(strstr(member(json_object_get(data, "receipt"), "payload"),
                              "\"error_code\":\"FUNCTION_NOT_FOUND\""));
    network_answer(0, OUTGOING_ANSWERED, 200);
    json_decref(message);
    prepared_release(&prepared);
}

Test(service_webhook, tries_three_times_with_longer_waits)
{
    struct prepared prepared;
    begin("add", "[2,40]", &prepared);
    network_await(1);
    network_answer(0, OUTGOING_ANSWERED, 500);
    cr_assert_eq(network.count, 2);
    cr_expect(network.sent[1].delay_ms >= 7500 && network.sent[1].delay_ms <= 12500);
    network_answer(1, OUTGOING_UNREACHABLE, 0);
    cr_assert_eq(network.count, 3);
    cr_expect(network.sent[2].delay_ms >= 45000 && network.sent[2].delay_ms <= 75000);
    expect_metric("pending", 1);
    network_answer(2, OUTGOING_ANSWERED, 429);
    cr_expect_eq(network.count, 3);
    expect_metric("pending", 0);
    expect_metric("failed_total", 1);
    prepared_release(&prepared);
}

Test(service_webhook, tries_again_only_what_may_pass)
{
    static const struct {
        enum outgoing_outcome outcome;
        int status;
        bool is_tried_again;
        const char *counted; /* the metric that it ends in */
    } rows[] = {
        {OUTGOING_ANSWERED, 200, false, "sent_total"},
        {OUTGOING_ANSWERED, 299, false, "sent_total"},
        {OUTGOING_ANSWERED, 301, false, "failed_total"},
        {OUTGOING_ANSWERED, 400, false, "failed_total"},
        {OUTGOING_ANSWERED, 410, false, "failed_total"},
        {OUTGOING_ANSWERED, 429, true, NULL},
        {OUTGOING_ANSWERED, 499, false, "failed_total"},
        {OUTGOING_ANSWERED, 500, true, NULL},
        {OUTGOING_ANSWERED, 503, true, NULL},
        {OUTGOING_UNREACHABLE, 0, true, NULL},
        {OUTGOING_TOO_LARGE, 200, false, "failed_total"},
        {OUTGOING_REFUSED, 0, false, "refused_total"},
        {OUTGOING_STOPPED, 0, false, "failed_total"},
    };
    unsigned counts[3] = {0};
    static const char *const names[] = {"sent_total", "failed_total", "refused_total"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct prepared prepared;
        network.count = 0;
        begin("add", "[2,40]", &prepared);
        network_await(1);
        network_answer(0, rows[i].outcome, rows[i].status);
        cr_expect_eq(network.count, rows[i].is_tried_again ? 2 : 1, "row %zu", i);
        if (rows[i].is_tried_again) {
            network_answer(1, OUTGOING_ANSWERED, 200);
        }
        for (size_t j = 0; j < 3; j++) {
            const char *counted = rows[i].counted != NULL ? rows[i].counted : "sent_total";
            counts[j] += strcmp(counted, names[j]) == 0;
            expect_metric(names[j], counts[j]);
        }
        prepared_release(&prepared);
    }
}

Test(service_webhook, room_that_is_missing_is_the_webhooks_alone)
{
    struct prepared prepared;
    char target[80];
    network.is_full = true;
    begin("add", "[2,40]", &prepared);
    (void)snprintf(target, sizeof(target), "/v1/executions/%s", prepared.id);
    pthread_mutex_lock(&network.lock);
    while (network.tries == 0) {
        pthread_cond_wait(&network.changed, &network.lock);
    }
    pthread_mutex_unlock(&network.lock);
    struct reply shown = world_ask(&world, "GET", target, world.user.secret, NULL);
    cr_expect_eq(json_integer_value(json_object_get(shown.json, "answer_status")), 200);
    reply_release(&shown);
    world_stop(&world);
    world_start(&world);
    prepared_release(&prepared);
}

Test(service_webhook, says_what_is_wrong_and_leaves_the_key)
{
    static const struct {
        struct message_header headers[3];
        size_t count;
        const char *message;
    } rows[] = {
        {{{"webhook-url", "https://good.example/"}}, 1, "Prefer: respond-async"},
        {{{"webhook-url", "https://good.example/"}, {"prefer", "wait=1"}}, 2, "respond-async"},
        {{{"webhook-url", "ftp://bad"}, {"prefer", "respond-async"}},
         2,
         "Webhook-Url: the URL is bad"},
        {{{"webhook-url", ""}, {"prefer", "respond-async"}}, 2, "Webhook-Url: the URL is bad"},
        {{{"webhook-url", "https://good.example/"},
          {"prefer", "respond-async"},
          {"webhook-url", "https://good.example/"}},
         3,
         "two Webhook-Url"},
    };
    struct prepared prepared;
    prepare("add", "[2,40]", &prepared);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply reply = send_with(&prepared, rows[i].headers, rows[i].count);
        cr_expect_eq(reply.status, 400, "row %zu: %s", i, reply.text);
        cr_expect_str_eq(reply_text(&reply, "error_code"), "MALFORMED_REQUEST");
        cr_expect_not_null(strstr(reply_text(&reply, "message"), rows[i].message), "row %zu: %s", i,
                           reply.text);
        reply_release(&reply);
    }
    struct reply reply = send_with(&prepared, NULL, 0);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    cr_expect_eq(network.count, 0);
    prepared_release(&prepared);
}

Test(service_webhook, is_refused_where_it_is_off)
{
    static const struct message_header headers[] = {{"prefer", "respond-async"},
                                                    {"webhook-url", "https://good.example/"}};
    struct prepared prepared;
    world_stop(&world);
    struct outgoing webhooks = world.webhooks;
    world.webhooks = (struct outgoing){0};
    world_start(&world);
    prepare("add", "[2,40]", &prepared);
    struct reply reply = send_with(&prepared, headers, 2);
    cr_expect_eq(reply.status, 400);
    cr_expect_not_null(strstr(reply_text(&reply, "message"), "sends no webhooks"));
    reply_release(&reply);
    world_stop(&world);
    world.webhooks = webhooks;
    world_start(&world);
    prepared_release(&prepared);
}
