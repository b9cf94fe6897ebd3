/* webhook.c: telling a receiver that an asynchronous execution has ended (docs/protocol.md section
 * 4a).
 *
 *     admit: URL checked, kept -> end: message made -> answer stored -> sent, again if need be
 *
 * It is a courtesy: it neither delays nor fails an execution, is bounded, and is given up after
 * some tries or when the node stops. What it says is proven by the receipt in it alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"
#include "base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    WEBHOOK_TRIES = 3,
    WEBHOOK_BODY_BYTES_MAX = 16384,
    WEBHOOK_CONNECT_MS = 2000,
    WEBHOOK_TOTAL_MS = 10000,
    WEBHOOK_ANSWER_BYTES_MAX = 65536, /* nobody reads it */
    WEBHOOK_LOCATION_CHARS_MAX = 64,
    WEBHOOK_TIME_CHARS_MAX = 24,
    MS_PER_S = 1000,
};

/* The n-th wait is this many times the setting. */
static const uint64_t webhook_wait_factors[WEBHOOK_TRIES] = {0, 1, 6};

struct webhook { /* one message, until it is delivered or given up */
    struct service *service;
    char request_id[TEXT_UUID_CHARS + 1];
    char api_key[STORE_KEY_ID_CHARS + 1];
    char *url;
    struct buffer body;
    unsigned tries;
};

void webhook_free(struct webhook *webhook)
{
    if (webhook != NULL) {
        heap_free(webhook->url);
        buffer_release(&webhook->body);
        heap_free(webhook);
    }
}

/* ---- admission ---- */

static bool header_find(const struct message_request *request, const char **url, struct err *err)
{
    *url = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, "webhook-url") == 0) {
            if (*url != NULL) {
                return err_set(err, ERR_MALFORMED_REQUEST, "there are two Webhook-Url");
            }
            *url = request->headers[i].value;
        }
    }
    return true;
}

bool webhook_admit(struct session *session, struct err *err)
{
    const struct outgoing *outgoing = &session->service->parts.webhooks;
    const char *url = NULL;
    if (!header_find(&session->call->exchange->request, &url, err) || url == NULL) {
        return url == NULL;
    }
    if (outgoing->send == NULL) {
        return err_set(err, ERR_MALFORMED_REQUEST,
                       "Webhook-Url: this node sends no webhooks; its operator has to enable them");
    }
    if (!session->is_async) {
        return err_set(err, ERR_MALFORMED_REQUEST,
                       "Webhook-Url goes with Prefer: respond-async only");
    }
    if (!outgoing->check(outgoing->context, url, err)) {
        return err_wrap(err, "Webhook-Url");
    }
    session->webhook_url = arena_strdup(&session->arena, url);
    return session->webhook_url != NULL ||
           err_set(err, ERR_NO_MEMORY, "no memory for the Webhook-Url");
}

/* ---- the message ---- */

static bool body_put(const struct session *session, struct buffer *out)
{
    char location[WEBHOOK_LOCATION_CHARS_MAX];
    char ended_at[CLOCK_RFC3339_CHARS + 1];
    const char *id = session->request.request_id_text;
    (void)snprintf(location, sizeof(location), "/v1/executions/%s", id);
    clock_rfc3339_encode(session->ended_ms, ended_at);
    json_put_open(out);
    json_put_string(out, "type", "execution.ended");
    json_put_string(out, "timestamp", ended_at);
    json_put_name(out, "data");
    json_put_open(out);
    json_put_string(out, "request_id", id);
    json_put_string(out, "state", session_state_name(session_state(session)));
    json_put_string(out, "location", location);
    bool ok = true;
    if (session->record.is_committed) { /* without an entry in the log there is nothing to sign */
        json_put_name(out, "receipt");
        ok = receipt_sign(session, out);
    }
    json_put_close(out);
    json_put_close(out);
    return ok && !out->failed;
}

static struct webhook *webhook_new(const struct session *session)
{
    struct webhook *webhook = HEAP_NEW(struct webhook);
    if (webhook == NULL) {
        return NULL;
    }
    webhook->service = session->service;
    memcpy(webhook->request_id, session->request.request_id_text, sizeof(webhook->request_id));
    memcpy(webhook->api_key, session->owner, sizeof(webhook->api_key));
    buffer_init(&webhook->body, WEBHOOK_BODY_BYTES_MAX);
    webhook->url = heap_strdup(session->webhook_url);
    if (webhook->url == NULL || !body_put(session, &webhook->body)) {
        webhook_free(webhook);
        return NULL;
    }
    return webhook;
}

void webhook_make(struct session *session)
{
    if (session->webhook_url == NULL) {
        return;
    }
    session->webhook = webhook_new(session);
    if (session->webhook == NULL) {
        metric_add(session->service->metrics.webhooks_refused, 1);
        log_write(LOG_WARN, "webhook_refused", session->request.request_id_text,
                  "no memory for the message");
    }
}

/* ---- sending ---- */

/* The receiver's name is the tenant's affair, and an address may hold a password: neither is said.
 */
static void tell_end(const struct webhook *webhook, enum log_level level, const char *event,
                     int status, const char *problem)
{
    log_event(level, event,
              LOG_FIELDS(log_text("request_id", webhook->request_id),
                         log_text("api_key", webhook->api_key[0] != 0 ? webhook->api_key : NULL),
                         log_number("tries", webhook->tries),
                         log_number("status", (uint64_t)status)),
              "%s", problem);
}

static void webhook_end(struct webhook *webhook)
{
    atomic_fetch_sub(&webhook->service->webhooks_pending, 1);
    webhook_free(webhook);
}

static void webhook_refuse(struct webhook *webhook, const char *problem)
{
    metric_add(webhook->service->metrics.webhooks_refused, 1);
    tell_end(webhook, LOG_WARN, "webhook_refused", 0, problem);
    webhook_end(webhook);
}

/* The wait before the next try, a quarter more or less, so that what failed together does not come
 * together again. */
static uint64_t wait_ms(const struct webhook *webhook)
{
    uint8_t random = 0;
    crypto_random(&random, sizeof(random));
    uint64_t ms = webhook->service->config.webhook_retry_ms * webhook_wait_factors[webhook->tries];
    return ms * 3 / 4 + ms / 2 * random / UINT8_MAX;
}

static void answered_cb(void *context, const struct outgoing_answer *answer);

static void webhook_try(struct webhook *webhook)
{
    const struct outgoing *outgoing = &webhook->service->parts.webhooks;
    char stamp[WEBHOOK_TIME_CHARS_MAX];
    uint64_t delay_ms = wait_ms(webhook);
    int64_t at_ms = clock_wall_ms(webhook->service->parts.clock) + (int64_t)delay_ms;
    (void)snprintf(stamp, sizeof(stamp), "%" PRId64, at_ms / MS_PER_S);
    const struct message_header headers[] = {{"Content-Type", "application/json"},
                                             {"webhook-id", webhook->request_id},
                                             {"webhook-timestamp", stamp}};
    struct outgoing_request request = {
        .url = webhook->url,
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .body = buffer_bytes(&webhook->body),
        .connect_ms_max = WEBHOOK_CONNECT_MS,
        .total_ms_max = WEBHOOK_TOTAL_MS,
        .answer_bytes_max = WEBHOOK_ANSWER_BYTES_MAX,
        .delay_ms = delay_ms,
        .party = webhook->api_key[0] != 0 ? webhook->api_key : NULL,
        .done = answered_cb,
        .context = webhook,
    };
    struct err err;
    webhook->tries++;
    if (!outgoing->send(outgoing->context, &request, &err)) {
        webhook_refuse(webhook, err.message);
    }
}

static bool may_try_again(const struct webhook *webhook, const struct outgoing_answer *answer)
{
    bool is_passing =
        answer->outcome == OUTGOING_UNREACHABLE ||
        (answer->outcome == OUTGOING_ANSWERED && (answer->status == 429 || answer->status >= 500));
    return is_passing && webhook->tries < WEBHOOK_TRIES;
}

static void answered_cb(void *context, const struct outgoing_answer *answer)
{
    struct webhook *webhook = context;
    bool is_answered = answer->outcome == OUTGOING_ANSWERED;
    if (is_answered && answer->status / 100 == 2) {
        metric_add(webhook->service->metrics.webhooks_sent, 1);
        tell_end(webhook, LOG_DEBUG, "webhook_sent", answer->status, "a webhook was delivered");
        webhook_end(webhook);
    } else if (may_try_again(webhook, answer)) {
        webhook_try(webhook);
    } else if (answer->outcome == OUTGOING_REFUSED) {
        webhook_refuse(webhook, answer->problem);
    } else {
        metric_add(webhook->service->metrics.webhooks_failed, 1);
        tell_end(webhook, LOG_WARN, "webhook_failed", answer->status,
                 is_answered ? "the receiver did not take it" : answer->problem);
        webhook_end(webhook);
    }
}

void webhook_send(struct session *session)
{
    struct webhook *webhook = session->webhook;
    session->webhook = NULL;
    if (webhook != NULL) {
        atomic_fetch_add(&webhook->service->webhooks_pending, 1);
        webhook_try(webhook);
    }
}
